/* DynTok: golden vectors, and invariants as properties of random videos. What one might expect and is false (idempotence, pairwise
 * similarity inside a group, ...) is not tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"
#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DX = 16, D = 8, CASES = 40 };

struct video { /* a random video and the arena its arrays live in */
    struct vid_view view;
    float *X, *H;
    struct arena arena;
};

/* Neighbours that drift: x_{k} = mix of x_{k-1} and noise, so that cosines spread over the whole range. */
static struct video make_video(uint64_t seed, int T, int h, int w)
{
    struct video v;
    memset(&v, 0, sizeof v);
    size_t n = (size_t)(T * h * w);
    v.X = arena_alloc(&v.arena, n * DX, sizeof *v.X);
    v.H = arena_alloc(&v.arena, n * D, sizeof *v.H);
    for (size_t i = 0; i < n; i++) {
        double mix = rng_unit(seed, 1, i);
        for (size_t c = 0; c < DX; c++) {
            double noise = rng_unit(seed, 2, i * DX + c) - 0.5;
            v.X[i * DX + c] = (float)(i % (size_t)w ? mix * (double)v.X[(i - 1) * DX + c] + (1 - mix) * noise : noise);
        }
        for (size_t c = 0; c < D; c++)
            v.H[i * D + c] = (float)(rng_unit(seed, 3, i * D + c) - 0.5);
    }
    struct grid_view grid = {.h = h, .w = w, .dx = DX, .d = D, .X = v.X, .H = v.H};
    v.view = (struct vid_view){.T = T, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
    return v;
}

static struct tok_plan run(struct video *v, const char *json_options, enum newline native)
{
    const struct compressor *dyntok = compressor_find("dyntok");
    double values[COMPRESSOR_MOST_OPTIONS];
    struct json *json;
    struct err err = {0};
    struct tok_plan plan;
    assert_int_equal(json_parse(&json, json_options, strlen(json_options), "options", &err), 0);
    if (compressor_resolve(dyntok, json, NULL, values, &err))
        fail_msg("%s", err.text);
    json_free(json);
    assert_int_equal(dyntok->tokens(values, &v->view, NULL, NULL, &v->arena, &plan, &err), 0);
    assert_true(tok_plan_layout(&plan, native, &v->arena));
    assert_null(tok_plan_fault(&plan, (size_t)(v->view.T * v->view.pooled.h * v->view.pooled.w)));
    return plan;
}

static struct tok_plan at_threshold(struct video *v, double threshold)
{
    char options[64];
    snprintf(options, sizeof options, "{\"threshold\": %.17g}", threshold);
    return run(v, options, NEWLINE_GRID);
}

static size_t groups(const struct tok_plan *plan)
{
    size_t content, markers;
    tok_plan_count(plan, &content, &markers);
    return content;
}

static size_t marks(const struct tok_plan *plan)
{
    size_t content, markers;
    tok_plan_count(plan, &content, &markers);
    return markers;
}

/* One row of w unit vectors in the plane whose neighbours have the given cosines. */
static struct video row_with_cosines(const double *cosines, int w)
{
    struct video v = make_video(1, 1, 1, w);
    double angle = 0;
    memset(v.X, 0, (size_t)w * DX * sizeof *v.X);
    for (int i = 0; i < w; i++) {
        angle += i ? acos(cosines[i - 1]) : 0;
        v.X[i * DX] = (float)cos(angle);
        v.X[i * DX + 1] = (float)sin(angle);
    }
    return v;
}

static void expect_groups(const struct tok_plan *plan, const int *lengths, size_t n)
{
    assert_int_equal(groups(plan), n);
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(plan->tok[i].size, lengths[i]);
        assert_int_equal(plan->tok[i].rep, at);
        at += (uint32_t)lengths[i];
    }
}

static void test_golden_row_strict(void **state)
{
    (void)state;
    static const double cosines[] = {0.70, 0.30, 0.65, 0.595};
    static const int wanted[] = {2, 2, 1};
    struct video v = row_with_cosines(cosines, 5);
    struct tok_plan plan = at_threshold(&v, 0.6);
    expect_groups(&plan, wanted, 3);
    arena_free(&v.arena);
}

/* A cosine exactly at the threshold: x = (1,0,..), y = (0.6,0.8,..) have cosine 0.6 in f32. */
static void test_golden_comparison_at_the_threshold(void **state)
{
    (void)state;
    struct video v = make_video(1, 1, 1, 2);
    memset(v.X, 0, 2 * DX * sizeof *v.X);
    v.X[0] = 1;
    v.X[DX] = 3;
    v.X[DX + 1] = 4;
    struct tok_plan strict = run(&v, "{\"threshold\": 0.6}", NEWLINE_NO);
    struct tok_plan loose = run(&v, "{\"threshold\": 0.6, \"comparison\": \"non_strict\"}", NEWLINE_NO);
    assert_int_equal(groups(&strict), 2);
    assert_int_equal(groups(&loose), 1);
    arena_free(&v.arena);
}

static void test_slow_gradient_chains(void **state)
{
    (void)state;
    static const double cosines[] = {0.825, 0.825, 0.825, 0.825, 0.825}; /* its ends have cosine -0.99 */
    static const int wanted[] = {6};
    struct video v = row_with_cosines(cosines, 6);
    struct tok_plan plan = at_threshold(&v, 0.6);
    expect_groups(&plan, wanted, 1);
    arena_free(&v.arena);
}

static void test_paper_grid_has_210_tokens_a_frame(void **state)
{
    (void)state;
    struct video v = make_video(3, 2, 14, 14);
    struct tok_plan none = at_threshold(&v, 1), floor = at_threshold(&v, -1.5);
    assert_int_equal(none.n_tok, 2 * 210);
    assert_int_equal(floor.n_tok, 2 * 28);
    arena_free(&v.arena);
}

static void test_partition_bounds_and_markers(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        int T = 1 + (int)(seed % 3), h = 1 + (int)(seed % 5), w = 1 + (int)(seed * 7 % 13);
        struct video v = make_video(seed, T, h, w);
        struct tok_plan plan = at_threshold(&v, -0.5 + 1.5 * rng_unit(seed, 9, 0));
        size_t n = (size_t)(T * h * w), sizes = 0;
        uint8_t *seen = arena_alloc(&v.arena, n, 1);
        for (size_t i = 0; i < plan.n_tok; i++) {
            const struct out_tok *tok = &plan.tok[i];
            double sum = 0;
            if (tok->kind != TOK_VISUAL)
                continue;
            sizes += tok->size;
            assert_int_equal(tok->y1 - tok->y0, 1); /* groups never cross rows or frames */
            assert_int_equal(tok->t1 - tok->t0, 1);
            for (uint32_t k = tok->row0; k < tok->row1; k++) {
                seen[plan.taps[k].src]++;
                sum += (double)plan.taps[k].w;
            }
            assert_true(fabs(sum - 1) < 1e-5);
        }
        for (size_t i = 0; i < n; i++)
            assert_int_equal(seen[i], 1);
        assert_int_equal(sizes, n);
        assert_int_equal(marks(&plan), T * h);
        assert_in_range(groups(&plan), T * h, n);
        arena_free(&v.arena);
    }
}

static void test_strict_lower_threshold_refines(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct video v = make_video(seed, 2, 4, 11);
        size_t last = 0;
        uint32_t coarse[2 * 4 * 11];
        for (double s = -1.1; s <= 1.1; s += 0.1) {
            struct tok_plan plan = at_threshold(&v, s);
            assert_true(groups(&plan) >= last);
            for (size_t i = 0; i < plan.n_tok; i++)
                for (uint32_t k = plan.tok[i].row0; k < plan.tok[i].row1; k++) {
                    uint32_t src = plan.taps[k].src, lead = plan.taps[plan.tok[i].row0].src;
                    if (last) /* members of a finer group were together in the coarser one */
                        assert_int_equal(coarse[src], coarse[lead]);
                }
            for (size_t i = 0; i < plan.n_tok; i++)
                for (uint32_t k = plan.tok[i].row0; k < plan.tok[i].row1; k++)
                    coarse[plan.taps[k].src] = plan.tok[i].rep;
            last = groups(&plan);
        }
        arena_free(&v.arena);
    }
}

static void test_identity_at_one_and_floor_below_minus_one(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct video v = make_video(seed, 2, 3, 7);
        for (size_t i = 0; i < 7 * DX; i++)
            v.X[i] = v.X[i % DX]; /* a row of equal features: cos(v,v) may be 1 + ulp before the clamp */
        struct tok_plan whole = at_threshold(&v, 1), rows = at_threshold(&v, -1.0001);
        assert_int_equal(groups(&whole), 2 * 3 * 7);
        assert_int_equal(groups(&rows), 2 * 3);
        arena_free(&v.arena);
    }
}

static void test_constant_frame_is_one_token_a_row(void **state)
{
    (void)state;
    struct video v = make_video(5, 1, 3, 7);
    for (size_t i = 0; i < 3 * 7 * DX; i++)
        v.X[i] = 0.25f + (float)(i % DX);
    struct tok_plan plan = at_threshold(&v, 0.999);
    assert_int_equal(groups(&plan), 3);
    arena_free(&v.arena);
}

static void test_zero_and_nan_features_start_groups(void **state)
{
    (void)state;
    struct video v = make_video(5, 1, 1, 4);
    for (size_t i = 0; i < 4 * DX; i++)
        v.X[i] = 1;
    memset(v.X + DX, 0, DX * sizeof *v.X);
    v.X[3 * DX] = NAN;
    struct tok_plan plan = at_threshold(&v, 0.5);
    assert_int_equal(groups(&plan), 4);
    arena_free(&v.arena);
}

static bool same_plan(const struct tok_plan *a, const struct tok_plan *b)
{
    bool same = a->n_tok == b->n_tok && a->n_taps == b->n_taps && !memcmp(a->taps, b->taps, a->n_taps * sizeof *a->taps);
    for (size_t i = 0; i < a->n_tok && same; i++)
        same = a->tok[i].kind == b->tok[i].kind && a->tok[i].rep == b->tok[i].rep && a->tok[i].size == b->tok[i].size;
    return same;
}

static void test_positive_scale_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct video v = make_video(seed, 1, 4, 9);
        struct tok_plan before = at_threshold(&v, 0.6);
        for (size_t i = 0; i < 4 * 9; i++)
            for (size_t c = 0; c < DX; c++)
                v.X[i * DX + c] *= i % 2 ? 4.0f : 0.125f; /* powers of two: bit-exact */
        struct tok_plan after = at_threshold(&v, 0.6);
        assert_true(same_plan(&before, &after));
        arena_free(&v.arena);
    }
}

static void test_frames_are_independent(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct video v = make_video(seed, 3, 3, 6);
        struct tok_plan whole = at_threshold(&v, 0.4);
        size_t at = 0;
        for (int t = 0; t < 3; t++) { /* compress(V1 ++ V2) = compress(V1) ++ compress(V2) */
            struct video one = v;
            one.view.T = 1;
            one.view.pooled.X = v.X + (size_t)t * 18 * DX;
            struct tok_plan plan = run(&one, "{\"threshold\": 0.4}", NEWLINE_GRID);
            for (size_t i = 0; i < plan.n_tok; i++, at++) {
                assert_int_equal(whole.tok[at].kind, plan.tok[i].kind);
                assert_int_equal(whole.tok[at].size, plan.tok[i].size);
            }
            v.arena = one.arena;
        }
        assert_int_equal(at, whole.n_tok);
        arena_free(&v.arena);
    }
}

static void test_flip_mirrors_the_partition(void **state)
{
    (void)state;
    enum { W = 9 };
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct video v = make_video(seed, 1, 2, W), flipped = make_video(seed, 1, 2, W);
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < W; x++)
                memcpy(flipped.X + (y * W + W - 1 - x) * DX, v.X + (y * W + x) * DX, DX * sizeof *v.X);
        struct tok_plan a = at_threshold(&v, 0.5), b = at_threshold(&flipped, 0.5);
        assert_int_equal(a.n_tok, b.n_tok);
        for (size_t i = 0, line = 0; i < a.n_tok; i++) {
            if (a.tok[i].kind != TOK_VISUAL) {
                line = i + 1;
                continue;
            }
            size_t ends = line;
            while (a.tok[ends].kind == TOK_VISUAL)
                ends++;
            assert_int_equal(a.tok[i].size, b.tok[ends - 1 - (i - line)].size);
        }
        arena_free(&v.arena);
        arena_free(&flipped.arena);
    }
}

static void test_mean_is_preserved(void **state)
{
    (void)state;
    struct video v = make_video(11, 2, 4, 9);
    struct tok_plan plan = at_threshold(&v, 0.3);
    for (int c = 0; c < D; c++) {
        double merged = 0, all = 0;
        for (size_t i = 0; i < plan.n_tok; i++) {
            double out = 0;
            for (uint32_t k = plan.tok[i].row0; k < plan.tok[i].row1; k++)
                out += (double)plan.taps[k].w * (double)v.H[plan.taps[k].src * D + (uint32_t)c];
            merged += plan.tok[i].kind == TOK_VISUAL ? out * plan.tok[i].size : 0;
        }
        for (size_t i = 0; i < 2 * 4 * 9; i++)
            all += (double)v.H[i * D + (size_t)c];
        assert_true(fabs(merged - all) < 1e-4);
    }
    arena_free(&v.arena);
}

static void test_directions(void **state)
{
    (void)state;
    struct video v = make_video(2, 1, 3, 3);
    for (int i = 0; i < 9; i++) /* columns alike, rows not */
        for (int c = 0; c < DX; c++)
            v.X[i * DX + c] = c == i % 3;
    struct tok_plan rows = run(&v, "{\"threshold\": 0.5}", NEWLINE_GRID);
    struct tok_plan columns = run(&v, "{\"threshold\": 0.5, \"direction\": \"columns\"}", NEWLINE_GRID);
    struct tok_plan snake = run(&v, "{\"threshold\": 0.5, \"direction\": \"snake\"}", NEWLINE_GRID);
    assert_int_equal(groups(&rows), 9);
    assert_int_equal(groups(&columns), 3);
    assert_int_equal(columns.tok[1].kind, TOK_ROW_MARK); /* one group, then the marker of its column */
    assert_int_equal(marks(&columns), 3);
    assert_int_equal(groups(&snake), 7); /* two turns join: (0,2)-(1,2) and (1,0)-(2,0) */
    assert_int_equal(marks(&snake), 3);
    arena_free(&v.arena);
}

static void test_marker_options(void **state)
{
    (void)state;
    struct video v = make_video(2, 3, 4, 5);
    static const struct { const char *options; enum newline native; size_t markers; } cases[] = {
        {"{}", NEWLINE_ONE, 12},
        {"{\"marker\": \"frame\"}", NEWLINE_GRID, 3},
        {"{\"marker\": \"none\"}", NEWLINE_GRID, 0},
        {"{\"marker\": \"native\"}", NEWLINE_ONE, 1},
        {"{\"marker\": \"native\"}", NEWLINE_GRID, 12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tok_plan plan = run(&v, cases[i].options, cases[i].native);
        assert_int_equal(marks(&plan), cases[i].markers);
    }
    arena_free(&v.arena);
}

/* A 27 x 27 raw grid pooled to 14 x 14: the options that look at raw patches. */
static void test_raw_similarities(void **state)
{
    (void)state;
    struct video v = make_video(4, 1, 27, 27);
    struct vid_view *view = &v.view;
    view->mode = POOL_BILINEAR;
    view->stride = 2;
    view->pooled.h = view->pooled.w = 14;
    view->pooled.X = NULL;
    size_t mean, min, max, nearest, average;
    struct tok_plan plan = run(&v, "{\"threshold\": 0.5, \"similarity\": \"patch_mean\"}", NEWLINE_GRID);
    mean = groups(&plan);
    plan = run(&v, "{\"threshold\": 0.5, \"similarity\": \"patch_min\"}", NEWLINE_GRID);
    min = groups(&plan);
    plan = run(&v, "{\"threshold\": 0.5, \"similarity\": \"patch_max\"}", NEWLINE_GRID);
    max = groups(&plan);
    plan = run(&v, "{\"threshold\": 0.5, \"x_pool\": \"nearest\"}", NEWLINE_GRID);
    nearest = groups(&plan);
    plan = run(&v, "{\"threshold\": 0.5, \"x_pool\": \"average\"}", NEWLINE_GRID);
    average = groups(&plan);
    assert_true(max <= mean && mean <= min); /* a larger similarity merges more */
    assert_in_range(nearest, 14, 196);
    assert_in_range(average, 14, 196);
    assert_true(average < nearest); /* averages are smoother */
    arena_free(&v.arena);
}

static void test_options_are_checked(void **state)
{
    (void)state;
    static const struct { const char *options, *words; } cases[] = {
        {"{\"treshold\": 0.5}", "did you mean 'threshold'?"},
        {"{\"threshold\": \"high\"}", "'threshold' should be a number from -2 to 2, it is a string"},
        {"{\"threshold\": 3}", "'threshold' should be a number from -2 to 2, it is 3"},
        {"{\"marker\": \"all\"}", "'marker' should be one of row, frame, none, native"},
        {"{\"similarity\": \"h\", \"x_pool\": \"nearest\"}", "only applies to similarity: pooled_x"},
        {"{\"direction\": \"snake\", \"positions\": \"keep\"}", "snake has no kept positions"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double values[COMPRESSOR_MOST_OPTIONS];
        struct json *json;
        struct err err = {0};
        assert_int_equal(json_parse(&json, cases[i].options, strlen(cases[i].options), "options", &err), 0);
        assert_int_equal(compressor_resolve(compressor_find("dyntok"), json, NULL, values, &err), ERR_CONFIG);
        if (!strstr(err.text, cases[i].words))
            fail_msg("'%s' lacks '%s'", err.text, cases[i].words);
        json_free(json);
    }
}

static void test_expected_ratio_is_the_papers(void **state)
{
    (void)state;
    const struct compressor *dyntok = compressor_find("dyntok");
    static const double at[] = {0.4, 0.5, 0.6, 1, -2}, kept[] = {0.2, 0.3, 0.444, 1, 28.0 / 210};
    double values[COMPRESSOR_MOST_OPTIONS];
    const char *source;
    struct err err = {0};
    assert_int_equal(compressor_resolve(dyntok, NULL, NULL, values, &err), 0);
    for (int i = 0; i < 5; i++) {
        values[compressor_option(dyntok, "threshold")] = at[i];
        assert_true(fabs(dyntok->expected_ratio(values, NULL, NEWLINE_GRID, &source) - kept[i]) < 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_row_strict),
        cmocka_unit_test(test_golden_comparison_at_the_threshold),
        cmocka_unit_test(test_slow_gradient_chains),
        cmocka_unit_test(test_paper_grid_has_210_tokens_a_frame),
        cmocka_unit_test(test_partition_bounds_and_markers),
        cmocka_unit_test(test_strict_lower_threshold_refines),
        cmocka_unit_test(test_identity_at_one_and_floor_below_minus_one),
        cmocka_unit_test(test_constant_frame_is_one_token_a_row),
        cmocka_unit_test(test_zero_and_nan_features_start_groups),
        cmocka_unit_test(test_positive_scale_changes_nothing),
        cmocka_unit_test(test_frames_are_independent),
        cmocka_unit_test(test_flip_mirrors_the_partition),
        cmocka_unit_test(test_mean_is_preserved),
        cmocka_unit_test(test_directions),
        cmocka_unit_test(test_marker_options),
        cmocka_unit_test(test_raw_similarities),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_expected_ratio_is_the_papers),
    };
    return cmocka_run_group_tests_name("dyntok", tests, NULL, NULL);
}
