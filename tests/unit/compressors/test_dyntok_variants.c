/* DynTok's answers to the paper's open questions: exact numbers of groups (DynTok-k), and the directions beside rows, on small
 * partitions written out by hand. */
#include "tests/unit/compressors/videos.h"

#include <math.h>

enum { DX = 16, CASES = 30 };

static struct vid_view plain_video(int T, int h, int w, float *X)
{
    struct grid_view grid = {.h = h, .w = w, .dx = DX, .d = 1, .X = X};
    return (struct vid_view){.T = T, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
}

static struct tok_plan run(const struct vid_view *video, const char *options, struct arena *arena)
{
    return plan_with("dyntok", options, video, NULL, NEWLINE_GRID, arena);
}

/* ---- exact numbers of groups --------------------------------------------------------------------------------------------- */

/* The golden row: neighbours with cosines (0.70, 0.30, 0.65, 0.60). */
static void test_golden_exact_groups(void **state)
{
    (void)state;
    static const double cosines[] = {0.70, 0.30, 0.65, 0.60};
    static const struct { const char *options; size_t n; int lengths[5]; } cases[] = {
        {"{\"groups\": 1}", 1, {5}},          {"{\"groups\": 2}", 2, {2, 3}},          {"{\"groups\": 3}", 3, {2, 2, 1}},
        {"{\"groups\": 4}", 4, {2, 1, 1, 1}}, {"{\"groups\": 5}", 5, {1, 1, 1, 1, 1}}, {"{\"groups\": 99}", 5, {1, 1, 1, 1, 1}}};
    struct arena arena = {0};
    float X[5 * DX] = {0};
    double angle = 0;
    for (int i = 0; i < 5; i++) {
        angle += i ? acos(cosines[i - 1]) : 0;
        X[i * DX] = (float)cos(angle);
        X[i * DX + 1] = (float)sin(angle);
    }
    struct vid_view video = plain_video(1, 1, 5, X);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct tok_plan plan = run(&video, cases[c].options, &arena);
        assert_int_equal(content_of(&plan), cases[c].n);
        for (size_t i = 0; i < cases[c].n; i++)
            assert_int_equal(plan.tok[i].size, cases[c].lengths[i]);
    }
    arena_free(&arena);
}

static void test_equal_links_merge_from_the_left(void **state)
{
    (void)state;
    struct arena arena = {0};
    float X[4 * DX];
    for (size_t i = 0; i < 4 * DX; i++)
        X[i] = 1;
    struct vid_view video = plain_video(1, 1, 4, X);
    struct tok_plan plan = run(&video, "{\"groups\": 3}", &arena);
    assert_int_equal(plan.tok[0].size, 2);
    arena_free(&arena);
}

/* Exact wherever links can reach: at least one group per line, at most one per token; per frame and over the video. */
static void test_exact_groups_are_exact(void **state)
{
    (void)state;
    static const struct { const char *direction; int least; } cases[] = {{"rows", 4}, {"columns", 7}, {"snake", 1}, {"both", 1}};
    for (uint64_t seed = 0; seed < CASES; seed++)
        for (size_t c = 0; c < 4; c++) {
            struct arena arena = {0};
            struct vid_view video = random_video(seed, 3, 4, 7, POOL_NONE, FEATURES_RANDOM, &arena);
            int k = 1 + (int)(rng_u64(seed, 4, c) % 30), wanted = k < cases[c].least ? cases[c].least : k < 28 ? k : 28;
            char options[96];
            size_t in[3] = {0};
            snprintf(options, sizeof options, "{\"groups\": %d, \"direction\": \"%s\"}", k, cases[c].direction);
            struct tok_plan each = run(&video, options, &arena);
            for (size_t i = 0; i < each.n_tok; i++)
                in[each.tok[i].t0] += each.tok[i].kind == TOK_VISUAL;
            for (int t = 0; t < 3; t++)
                assert_int_equal(in[t], wanted);
            snprintf(options, sizeof options, "{\"groups\": %d, \"direction\": \"%s\", \"per\": \"video\"}", k, cases[c].direction);
            struct tok_plan all = run(&video, options, &arena);
            assert_int_equal(content_of(&all), 3 * wanted);
            arena_free(&arena);
        }
}

static void test_frames_compete_for_the_groups_of_a_video(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(8, 2, 1, 6, POOL_NONE, FEATURES_RANDOM, &arena);
    float *X = random_rows(8, "X", 12, DX, FEATURES_RANDOM, &arena);
    for (size_t i = 0; i < 6 * DX; i++)
        X[i] = 1; /* nothing moves in the first frame: it gives up most */
    video = plain_video(2, 1, 6, X);
    struct tok_plan plan = run(&video, "{\"groups\": 3, \"per\": \"video\"}", &arena);
    assert_int_equal(content_of(&plan), 6);
    assert_int_equal(plan.tok[0].size, 6);
    arena_free(&arena);
}

/* Time alone: the cells of the video are joined with those before them until the number is met, or one per place is left. */
static void test_exact_groups_along_time(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(3, 5, 2, 3, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan plan = run(&video, "{\"groups\": 2, \"per\": \"video\", \"direction\": \"time\"}", &arena);
    assert_int_equal(content_of(&plan), 10);
    plan = run(&video, "{\"groups\": 1, \"per\": \"video\", \"direction\": \"time\"}", &arena);
    assert_int_equal(content_of(&plan), 6);
    arena_free(&arena);
}

static void test_budgets_of_an_allocator(void **state)
{
    (void)state;
    static const uint32_t per_frame[] = {0, 28, 17, 5}; /* 0 stands for one group a row: less is not possible */
    static const size_t wanted[] = {4, 28, 17, 5};
    const struct budget budget = {.T = 4, .total = 50, .cap = 28, .per_frame = per_frame};
    struct arena arena = {0};
    struct vid_view video = random_video(9, 4, 4, 7, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan plan = plan_with("dyntok", "{}", &video, &budget, NEWLINE_GRID, &arena);
    size_t in[4] = {0};
    for (size_t i = 0; i < plan.n_tok; i++)
        in[plan.tok[i].t0] += plan.tok[i].kind == TOK_VISUAL;
    for (int t = 0; t < 4; t++)
        assert_int_equal(in[t], wanted[t]);
    plan = plan_with("dyntok", "{\"per\": \"video\", \"direction\": \"both\"}", &video, &budget, NEWLINE_GRID, &arena);
    assert_int_equal(content_of(&plan), 50);
    arena_free(&arena);
}

static void test_budgets_of_frames_need_links_within_frames(void **state)
{
    (void)state;
    static const uint32_t per_frame[] = {3};
    static const char *const options[] = {"{\"direction\": \"time\"}", "{\"direction\": \"boxes\"}", "{\"direction\": \"rows_time\"}"};
    const struct budget budget = {.T = 1, .total = 3, .cap = 28, .per_frame = per_frame};
    const struct compressor *dyntok = compressor_find("dyntok");
    for (size_t i = 0; i < 3; i++) {
        struct arena arena = {0};
        struct vid_view video = random_video(9, 1, 4, 7, POOL_NONE, FEATURES_RANDOM, &arena);
        double values[COMPRESSOR_MOST_OPTIONS];
        struct tok_plan plan;
        struct err err = {0};
        resolve_options(dyntok, options[i], values);
        assert_int_equal(dyntok->tokens(values, &video, NULL, &budget, &arena, &plan, &err), ERR_CONFIG);
        assert_non_null(strstr(err.text, "cannot spend budgets of frames"));
        arena_free(&arena);
    }
}

/* ---- directions ---------------------------------------------------------------------------------------------------------- */

/* Cells as letters, [T][h][w]: equal letters have cosine 1, others 0. `wanted` names the groups, in any letters. */
static void expect_partition(int T, int h, int w, const char *cells, const char *direction, const char *wanted)
{
    struct arena arena = {0};
    size_t n = (size_t)(T * h * w);
    float *X = arena_alloc(&arena, n * DX, sizeof *X);
    size_t *group = arena_alloc(&arena, n, sizeof *group);
    char options[64];
    for (size_t i = 0; i < n; i++)
        X[i * DX + (size_t)(cells[i] - 'a')] = 1;
    struct vid_view video = plain_video(T, h, w, X);
    snprintf(options, sizeof options, "{\"threshold\": 0.5, \"direction\": \"%s\"}", direction);
    struct tok_plan plan = run(&video, options, &arena);
    for (size_t i = 0; i < plan.n_tok; i++)
        for (uint32_t k = plan.tok[i].row0; k < plan.tok[i].row1; k++)
            group[plan.taps[k].src] = i;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if ((group[i] == group[k]) != (wanted[i] == wanted[k]))
                fail_msg("%s of %s: cells %zu and %zu", direction, cells, i, k);
    assert_int_equal(markers_of(&plan), T * (strcmp(direction, "columns") ? h : w));
    arena_free(&arena);
}

static void test_partitions_of_one_frame(void **state)
{
    (void)state;
    static const char cells[] = "aab"
                                "acb"
                                "ccb";
    expect_partition(1, 3, 3, cells, "rows", "aab"
                                             "cde"
                                             "ffg");
    expect_partition(1, 3, 3, cells, "columns", "acb"
                                                "adb"
                                                "edb");
    expect_partition(1, 3, 3, cells, "snake", "aab" /* turns at (0,2)-(1,2) and (1,0)-(2,0) */
                                              "dcb"
                                              "eef");
    expect_partition(1, 3, 3, cells, "both", "aab"
                                             "acb"
                                             "ccb");
    expect_partition(1, 3, 3, cells, "boxes", "aab" /* the run aa is wider than the a below it, cc wider than the c above */
                                              "dcb"
                                              "eeb");
}

static void test_boxes_stay_rectangles(void **state)
{
    (void)state;
    expect_partition(1, 4, 4, "aabb" "aabb" "aaab" "aaab", "boxes", "aabb" "aabb" "cccd" "cccd");
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct arena arena = {0};
        struct vid_view video = random_video(seed, 2, 5, 6, POOL_NONE, FEATURES_RANDOM, &arena);
        struct tok_plan plan = run(&video, "{\"threshold\": 0.2, \"direction\": \"boxes\"}", &arena);
        for (size_t i = 0; i < plan.n_tok; i++) {
            const struct out_tok *tok = &plan.tok[i];
            if (tok->kind == TOK_VISUAL)
                assert_int_equal(tok->size, (tok->t1 - tok->t0) * (tok->y1 - tok->y0) * (tok->x1 - tok->x0));
        }
        arena_free(&arena);
    }
}

static void test_partitions_over_time(void **state)
{
    (void)state;
    static const char cells[] = "aab" "cdb"  /* frame 0: two rows */
                                "aab" "ccb"  /* frame 1 */
                                "aaa" "cdb"; /* frame 2 */
    expect_partition(3, 2, 3, cells, "time", "abc" "def"
                                             "abc" "dgf"
                                             "abh" "dif");
    expect_partition(3, 2, 3, cells, "rows_time", "aac" "def" /* runs of equal extent only */
                                                  "aac" "ggf"
                                                  "hhh" "ijf");
}

static void test_a_group_over_time_stands_where_it_began(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(2, 4, 2, 2, POOL_NONE, FEATURES_EQUAL, &arena);
    struct tok_plan plan = run(&video, "{\"direction\": \"time\", \"marker\": \"frame\"}", &arena);
    assert_int_equal(content_of(&plan), 4);
    assert_int_equal(markers_of(&plan), 4); /* every frame keeps its own */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(plan.tok[i].rep, i);
        assert_int_equal(plan.tok[i].size, 4);
        assert_int_equal(plan.tok[i].t0, 0);
        assert_int_equal(plan.tok[i].t1, 4);
    }
    arena_free(&arena);
}

/* A higher threshold refines, and two directions of links merge at least what one of them does. */
static void test_refinement_in_every_direction_with_fixed_links(void **state)
{
    (void)state;
    static const char *const directions[] = {"rows", "columns", "snake", "both", "time"};
    for (uint64_t seed = 0; seed < CASES; seed++)
        for (size_t k = 0; k < 5; k++) {
            struct arena arena = {0};
            struct vid_view video = random_video(seed, 3, 4, 5, POOL_NONE, FEATURES_RANDOM, &arena);
            size_t last = 0;
            uint32_t coarse[60] = {0};
            for (double s = -1.1; s <= 1.1; s += 0.2) {
                char options[96];
                snprintf(options, sizeof options, "{\"threshold\": %.17g, \"direction\": \"%s\"}", s, directions[k]);
                struct tok_plan plan = run(&video, options, &arena);
                assert_true(content_of(&plan) >= last);
                for (size_t i = 0; i < plan.n_tok; i++)
                    for (uint32_t m = plan.tok[i].row0; m < plan.tok[i].row1; m++)
                        if (last)
                            assert_int_equal(coarse[plan.taps[m].src], coarse[plan.taps[plan.tok[i].row0].src]);
                for (size_t i = 0; i < plan.n_tok; i++)
                    for (uint32_t m = plan.tok[i].row0; m < plan.tok[i].row1; m++)
                        coarse[plan.taps[m].src] = plan.tok[i].rep;
                last = content_of(&plan);
            }
            assert_int_equal(last, 60);
            arena_free(&arena);
        }
}

static void test_both_merges_at_least_what_rows_or_columns_do(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct arena arena = {0};
        struct vid_view video = random_video(seed, 2, 6, 6, POOL_NONE, FEATURES_RANDOM, &arena);
        static const char *const names[] = {"both", "boxes", "snake", "rows", "columns"};
        size_t n[5];
        for (int i = 0; i < 5; i++) {
            char options[64];
            snprintf(options, sizeof options, "{\"threshold\": 0.3, \"direction\": \"%s\"}", names[i]);
            struct tok_plan plan = run(&video, options, &arena);
            n[i] = content_of(&plan);
        }
        assert_true(n[0] <= n[1] && n[0] <= n[2] && n[0] <= n[4]);
        assert_true(n[1] <= n[3] && n[2] <= n[3]);
        arena_free(&arena);
    }
}

/* Backwards in time the partition is the same, mirrored; its first members are others. */
static void test_time_reversal_mirrors_the_partition(void **state)
{
    (void)state;
    enum { T = 4, N = 6, D = 12 };
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct arena arena = {0};
        struct vid_view video = random_video(seed, T, 2, 3, POOL_NONE, FEATURES_RANDOM, &arena), reversed = video;
        float *X = arena_alloc(&arena, T * N * D, sizeof *X);
        for (size_t t = 0; t < T; t++)
            memcpy(X + (T - 1 - t) * N * D, video.pooled.X + t * N * D, N * D * sizeof *X);
        reversed.pooled.X = X;
        struct tok_plan a = run(&video, "{\"threshold\": 0.2, \"direction\": \"time\"}", &arena);
        struct tok_plan b = run(&reversed, "{\"threshold\": 0.2, \"direction\": \"time\"}", &arena);
        uint8_t same[T * N * T * N] = {0};
        for (size_t i = 0; i < a.n_tok; i++)
            for (uint32_t p = a.tok[i].row0; p < a.tok[i].row1; p++)
                for (uint32_t q = a.tok[i].row0; q < a.tok[i].row1; q++)
                    same[a.taps[p].src * T * N + a.taps[q].src] = 1;
        for (size_t i = 0; i < b.n_tok; i++)
            for (uint32_t p = b.tok[i].row0; p < b.tok[i].row1; p++)
                for (uint32_t q = b.tok[i].row0; q < b.tok[i].row1; q++) {
                    uint32_t m = b.taps[p].src, n = b.taps[q].src;
                    uint32_t mirrored_m = (T - 1 - m / N) * N + m % N, mirrored_n = (T - 1 - n / N) * N + n % N;
                    assert_int_equal(same[mirrored_m * T * N + mirrored_n], 1);
                }
        assert_int_equal(content_of(&a), content_of(&b));
        arena_free(&arena);
    }
}

/* Rows of a frame may change places, and channels may be turned, here by another order and other signs. */
static void test_rows_and_channels_may_change_places(void **state)
{
    (void)state;
    enum { H = 4, W = 6, D = 12 };
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct arena arena = {0};
        struct vid_view video = random_video(seed, 1, H, W, POOL_NONE, FEATURES_RANDOM, &arena), other = video;
        float *X = arena_alloc(&arena, H * W * D, sizeof *X);
        for (size_t i = 0; i < H * W; i++)
            for (size_t c = 0; c < D; c++)
                X[(i + W) % (H * W) * D + (c * 5 + seed) % D] = c % 2 ? video.pooled.X[i * D + c] : -video.pooled.X[i * D + c];
        other.pooled.X = X;
        struct tok_plan a = run(&video, "{\"threshold\": 0.3}", &arena), b = run(&other, "{\"threshold\": 0.3}", &arena);
        assert_int_equal(a.n_tok, b.n_tok);
        for (size_t i = 0; i < a.n_tok; i++) {
            bool found = a.tok[i].kind != TOK_VISUAL;
            for (size_t k = 0; k < b.n_tok && !found; k++)
                found = b.tok[k].kind == TOK_VISUAL && b.tok[k].rep == (a.tok[i].rep + W) % (H * W) && b.tok[k].size == a.tok[i].size;
            assert_true(found);
        }
        arena_free(&arena);
    }
}

/* The patches that face each other: in a reversed row of the snake too, and all four over time. */
static void test_patches_face_each_other(void **state)
{
    (void)state;
    struct arena arena = {0};
    float X[2 * 16 * DX] = {0}, *frame1 = X + 16 * DX;
    for (int i = 0; i < 32; i++)
        X[i * DX + i % 16] = 1; /* every patch like nothing but itself in the other frame */
    struct vid_view video = plain_video(2, 4, 4, X);
    video.pooled.h = video.pooled.w = 2;
    video.pooled.X = NULL;
    video.mode = POOL_AVERAGE;
    video.stride = 2;
    for (int row = 0; row < 2; row++) { /* cells (1,0) and (1,1) face each other at patches (2..3, 1) and (2..3, 2) */
        float *left = X + ((2 + row) * 4 + 1) * DX, *right = left + DX;
        memcpy(right, left, DX * sizeof *X);
    }
    struct tok_plan rows = run(&video, "{\"similarity\": \"patch_min\"}", &arena);
    assert_int_equal(content_of(&rows), 7);
    struct tok_plan snake = run(&video, "{\"similarity\": \"patch_min\", \"direction\": \"snake\"}", &arena);
    assert_int_equal(content_of(&snake), 7);
    struct tok_plan time = run(&video, "{\"similarity\": \"patch_min\", \"direction\": \"time\"}", &arena);
    assert_int_equal(content_of(&time), 5); /* cells (0,0), (0,1) and (1,0) did not change between the frames */
    memset(frame1, 0, 16 * DX * sizeof *X);
    time = run(&video, "{\"similarity\": \"patch_max\", \"direction\": \"time\"}", &arena);
    assert_int_equal(content_of(&time), 8);
    arena_free(&arena);
}

static void test_measures_by_hand(void **state)
{
    (void)state;
    static const char cells[] = "aab" "bbb"; /* links: 1 0 1 1 */
    static const struct { const char *name; double value; } wanted[] = {
        {"links", 4}, {"mean cosine of linked tokens", 0.75}, {"standard deviation of these cosines", 0.4330127}, {"share of links above the threshold", 0.75},
        {"groups per frame", 3}, {"tokens per group", 2}, {"tokens in the largest group", 3}};
    const struct compressor *dyntok = compressor_find("dyntok");
    struct arena arena = {0};
    struct measure measures[COMPRESSOR_MOST_MEASURES];
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    int n;
    float X[6 * DX] = {0};
    for (int i = 0; i < 6; i++)
        X[i * DX + (cells[i] - 'a')] = 1;
    struct vid_view video = plain_video(1, 2, 3, X);
    resolve_options(dyntok, "{}", values);
    assert_int_equal(dyntok->measure(values, &video, &arena, measures, &n, &err), 0);
    assert_int_equal(n, 7);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(measures[i].name, wanted[i].name);
        assert_true(fabs(measures[i].value - wanted[i].value) < 1e-6);
    }
    arena_free(&arena);
}

static void test_size_bias_is_asked_for(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(1, 1, 2, 2, POOL_NONE, FEATURES_RANDOM, &arena);
    assert_false(run(&video, "{}", &arena).size_bias);
    assert_true(run(&video, "{\"size_bias\": true}", &arena).size_bias);
    arena_free(&arena);
}

static void test_options_that_contradict(void **state)
{
    (void)state;
    static const struct { const char *options, *words; } cases[] = {
        {"{\"groups\": 50, \"target_ratio\": 0.3}", "leave one out"},
        {"{\"groups\": 50, \"direction\": \"time\"}", "use per: video"},
        {"{\"groups\": 50, \"direction\": \"boxes\"}", "direction boxes cannot meet a number of groups"},
        {"{\"groups\": 50, \"direction\": \"rows_time\", \"per\": \"video\"}", "direction rows_time cannot"}};
    const struct compressor *dyntok = compressor_find("dyntok");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *json;
        struct err err = {0};
        double values[COMPRESSOR_MOST_OPTIONS];
        assert_int_equal(json_parse(&json, cases[i].options, strlen(cases[i].options), "options", &err), 0);
        assert_int_equal(compressor_resolve(dyntok, json, NULL, values, &err), ERR_CONFIG);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s", err.text);
        json_free(json);
    }
}

static void test_expected_ratio_of_exact_groups(void **state)
{
    (void)state;
    const struct compressor *dyntok = compressor_find("dyntok");
    static const struct { const char *options; double tokens; } cases[] = {
        {"{\"groups\": 79}", 79 + 14}, {"{\"groups\": 3}", 14 + 14}, {"{\"groups\": 3, \"direction\": \"both\"}", 3 + 14}, {"{\"groups\": 500}", 210}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vid_view shape = {.T = 4, .pooled = {.h = 14, .w = 14}};
        const char *source;
        double values[COMPRESSOR_MOST_OPTIONS];
        resolve_options(dyntok, cases[i].options, values);
        double ratio = dyntok->expected_ratio(values, &shape, NEWLINE_GRID, &source);
        assert_true(fabs(ratio - cases[i].tokens / 210) < 1e-9);
        assert_string_equal(source, "exact");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_exact_groups),
        cmocka_unit_test(test_equal_links_merge_from_the_left),
        cmocka_unit_test(test_exact_groups_are_exact),
        cmocka_unit_test(test_frames_compete_for_the_groups_of_a_video),
        cmocka_unit_test(test_exact_groups_along_time),
        cmocka_unit_test(test_budgets_of_an_allocator),
        cmocka_unit_test(test_budgets_of_frames_need_links_within_frames),
        cmocka_unit_test(test_partitions_of_one_frame),
        cmocka_unit_test(test_boxes_stay_rectangles),
        cmocka_unit_test(test_partitions_over_time),
        cmocka_unit_test(test_a_group_over_time_stands_where_it_began),
        cmocka_unit_test(test_refinement_in_every_direction_with_fixed_links),
        cmocka_unit_test(test_both_merges_at_least_what_rows_or_columns_do),
        cmocka_unit_test(test_time_reversal_mirrors_the_partition),
        cmocka_unit_test(test_rows_and_channels_may_change_places),
        cmocka_unit_test(test_patches_face_each_other),
        cmocka_unit_test(test_measures_by_hand),
        cmocka_unit_test(test_size_bias_is_asked_for),
        cmocka_unit_test(test_options_that_contradict),
        cmocka_unit_test(test_expected_ratio_of_exact_groups),
    };
    return cmocka_run_group_tests_name("dyntok_variants", tests, NULL, NULL);
}
