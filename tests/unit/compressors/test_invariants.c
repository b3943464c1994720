/* What every method promises, whatever its options: each method of the table with each value of each option, on grids of every odd
 * shape, with features that are random, equal, zero and denormal, with and without an allocator's budgets, empty ones included. What a
 * method promises beyond that is claimed in a table below and checked on random videos. */
#include "tests/unit/compressors/videos.h"

#include "core/similarity.h"

#include <math.h>

static const struct { int T, h, w; enum pool_mode mode; } shapes[] = {
    {1, 1, 1, POOL_NONE}, {1, 4, 4, POOL_AVERAGE}, {3, 5, 4, POOL_BILINEAR}, {5, 1, 7, POOL_NONE},
    {2, 7, 1, POOL_NONE}, {4, 9, 9, POOL_BILINEAR}, {7, 6, 6, POOL_MAX},
};

enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- every option -------------------------------------------------------------------------------------------------------- */

static int n_variants(const struct option *option)
{
    int n = 0;
    switch (option->type) {
    case OPTION_CHOICE:
        while (option->choices[n])
            n++;
        return n;
    case OPTION_FLAG:
        return 2;
    case OPTION_REAL:
    case OPTION_INT:
        break;
    }
    return 3;
}

static double variant(const struct option *option, int i)
{
    if (option->type == OPTION_CHOICE || option->type == OPTION_FLAG)
        return i;
    double middle = sqrt(fmax(option->least, 0.01) * option->most);
    return i == 0 ? option->least : i == 1 ? option->most : option->type == OPTION_INT ? floor(middle) : middle;
}

typedef void variant_check(const struct compressor *method, const double *values, bool defaults);

static void each_variant(const struct compressor *method, variant_check *check)
{
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    for (int i = 0; i < method->n_options; i++)
        values[i] = method->options[i].otherwise;
    if (method->check)
        assert_int_equal(method->check(values, &err), 0);
    check(method, values, true);
    for (int i = 0; i < method->n_options; i++)
        for (int k = 0; k < n_variants(&method->options[i]); k++) {
            values[i] = variant(&method->options[i], k);
            if (!method->check || !method->check(values, &err))
                if (compressor_roles(method, values) & ROLE_TOKENS)
                    check(method, values, false);
            values[i] = method->options[i].otherwise;
        }
}

/* ---- views --------------------------------------------------------------------------------------------------------------- */

/* Leaves what the method did not ask for NULL: reading it would crash. */
static void hide_unasked(struct vid_view *video, unsigned needs)
{
    const struct { unsigned any; const float **array; } arrays[] = {
        {NEED_X_POOLED, &video->pooled.X},
        {NEED_X_RAW, &video->raw.X},
        {NEED_H_POOLED, &video->pooled.H},
        {NEED_H_RAW, &video->raw.H},
        {NEED_SAL_POOLED | NEED_PROBE_POOLED, &video->pooled.sal},
        {NEED_SAL_RAW, &video->raw.sal},
        {NEED_KV_POOLED, &video->pooled.kv},
        {NEED_KV_RAW | NEED_KEYS_RAW, &video->raw.kv},
        {NEED_FRAME, &video->pooled.frame},
        {NEED_FRAME, &video->raw.frame},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(needs & arrays[i].any))
            *arrays[i].array = NULL;
}

/* An array as rows that stay elsewhere. */
struct elsewhere { struct far_rows far; struct sim_rows rows; struct arena arena; };

static struct elsewhere *elsewhere(const struct far_rows *far)
{
    return (struct elsewhere *)(uintptr_t)far;
}

static int elsewhere_room(const struct far_rows *far, size_t n, struct err *err)
{
    return sim_room(&elsewhere(far)->rows, n, &elsewhere(far)->arena, err);
}

static int elsewhere_put(const struct far_rows *far, size_t first, size_t n, const float *values, struct err *err)
{
    return sim_put(&elsewhere(far)->rows, first, n, values, err);
}

static int elsewhere_get(const struct far_rows *far, size_t first, size_t n, float *out, struct err *err)
{
    return sim_get(&elsewhere(far)->rows, first, n, out, err);
}

static int elsewhere_sum(const struct far_rows *far, const struct sim_sums *sums, struct err *err)
{
    return sim_sum(&elsewhere(far)->rows, sums, err);
}

static int elsewhere_total(const struct far_rows *far, const struct sim_totals *totals, double *out, struct err *err)
{
    return sim_total(&elsewhere(far)->rows, totals, out, err);
}

static int elsewhere_pairs(const struct far_rows *far, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err)
{
    return sim_pairs(&elsewhere(far)->rows, pairs, n, rounded, out, err);
}

static int elsewhere_block(const struct far_rows *far, struct row_list a, struct row_list b, enum sim_term term, float *out, struct err *err)
{
    return sim_block(&elsewhere(far)->rows, a, b, term, out, err);
}

static int elsewhere_choose(const struct far_rows *far, const struct sim_choice *choice, uint32_t *out, struct err *err)
{
    return sim_choose(&elsewhere(far)->rows, choice, out, &elsewhere(far)->arena, err);
}

enum { MOST_ELSEWHERE = 2 };

/* The view that the engine gives to a method that compares rows and adds them up: none of the arrays it asked for is there. */
static struct vid_view view_elsewhere(const struct vid_view *video, struct elsewhere out[MOST_ELSEWHERE])
{
    struct vid_view view = *video;
    const struct { const float **near; const struct far_rows **far; const struct grid_view *grid; int width; } arrays[] = {
        {&view.pooled.X, &view.pooled.far_X, &view.pooled, view.pooled.dx}, {&view.raw.X, &view.raw.far_X, &view.raw, view.raw.dx},
        {&view.pooled.H, &view.pooled.far_H, &view.pooled, view.pooled.d},  {&view.raw.H, &view.raw.far_H, &view.raw, view.raw.d},
        {&view.pooled.kv, &view.pooled.far_kv, &view.pooled, view.pooled.dk}, {&view.raw.kv, &view.raw.far_kv, &view.raw, view.raw.dk}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        if (!*arrays[i].near)
            continue;
        assert_true(n < MOST_ELSEWHERE);
        out[n] = (struct elsewhere){
            .far = {elsewhere_room, elsewhere_put, elsewhere_get, elsewhere_sum, elsewhere_total, elsewhere_pairs, elsewhere_block, elsewhere_choose},
            .rows = {.near = *arrays[i].near, .n = (size_t)(view.T * arrays[i].grid->h * arrays[i].grid->w), .width = (size_t)arrays[i].width}};
        *arrays[i].far = &out[n++].far;
        *arrays[i].near = NULL;
    }
    assert_true(n);
    return view;
}

static size_t sources_of(const struct vid_view *video, enum src_dom domain)
{
    const struct grid_view *grid = domain == DOM_H_POOLED ? &video->pooled : &video->raw;
    return (size_t)video->T * (size_t)grid->h * (size_t)grid->w;
}

/* What a failing check was about. */
static void describe(char *out, size_t size, const struct compressor *method, const double *values, const struct vid_view *video, int kind)
{
    struct arena arena = {0};
    snprintf(out, size, "%s on %d x %d x %d, features %d", compressor_label(method, values, &arena), video->T, video->raw.h, video->raw.w, kind);
    arena_free(&arena);
}

static bool same_tokens(const struct tok_plan *a, const struct tok_plan *b)
{
    bool same = a->n_tok == b->n_tok && a->n_taps == b->n_taps && a->n_dense == b->n_dense && a->dense_width == b->dense_width;
    same = same && !memcmp(a->taps, b->taps, a->n_taps * sizeof *a->taps);
    for (size_t i = 0; i < a->n_tok && same; i++)
        same = a->tok[i].kind == b->tok[i].kind && a->tok[i].rep == b->tok[i].rep && a->tok[i].size == b->tok[i].size &&
               a->tok[i].row0 == b->tok[i].row0 && a->tok[i].row1 == b->tok[i].row1;
    return same && (!a->n_dense || !memcmp(a->dense, b->dense, a->n_dense * a->dense_width * sizeof *a->dense));
}

static void expect_well_formed(struct tok_plan *plan, const struct vid_view *video, const char *what, struct arena *arena)
{
    if (!tok_plan_layout(plan, NEWLINE_GRID, arena))
        fail_msg("%s: no layout", what);
    const char *fault = tok_plan_fault(plan, sources_of(video, plan->dom));
    if (fault)
        fail_msg("%s: %s", what, fault);
    for (size_t i = 1; plan->position && i < plan->n_tok; i++)
        if (plan->position[i] <= plan->position[i - 1])
            fail_msg("%s: positions do not ascend at %zu", what, i);
    if (plan->n_tok && plan->end_position <= (plan->position ? plan->position[plan->n_tok - 1] : plan->n_tok - 1))
        fail_msg("%s: text stands before the last visual token", what);
    for (size_t i = 0; i < plan->n_dense * plan->dense_width; i++)
        if (!isfinite(plan->dense[i]))
            fail_msg("%s: dense row %zu is not finite", what, i / plan->dense_width);
}

/* Runs the method twice, the second time in an arena with a past and with another question; the plan is the same, or the refusal is. */
static int run_twice(const struct compressor *method, const double *values, const struct vid_view *video, const struct budget *budget,
                     const char *what, struct arena *arena, struct tok_plan *out)
{
    static const int32_t ids[] = {3, 1, 4};
    const struct qst_view questions[2] = {{.hash = 1, .ids = ids, .n = 2}, {.hash = 2, .ids = ids + 1, .n = 2}};
    struct tok_plan again;
    struct err err = {0}, err_again = {0};
    int rc = method->tokens(values, video, &questions[0], budget, arena, out, &err);
    arena_alloc(arena, 12345, 1);
    if (method->tokens(values, video, &questions[method->flags & QDEP_TOKENS ? 0 : 1], budget, arena, &again, &err_again) != rc)
        fail_msg("%s: fails once only", what);
    if (rc && (rc != ERR_CONFIG || !err.text[0]))
        fail_msg("%s: %d, %s", what, rc, err.text);
    if (rc)
        return rc;
    out->dom = again.dom = method->domain(values);
    if (!same_tokens(out, &again))
        fail_msg("%s: two plans of the same", what);
    if (method->needs(values) & (NEED_DOTS | NEED_SUMS)) {
        struct elsewhere rows[MOST_ELSEWHERE] = {0};
        const struct vid_view view = view_elsewhere(video, rows);
        if (method->tokens(values, &view, &questions[0], budget, arena, &again, &err) || !same_tokens(out, &again))
            fail_msg("%s: another plan when rows are elsewhere", what);
        for (int i = 0; i < MOST_ELSEWHERE; i++)
            arena_free(&rows[i].arena);
    }
    return 0;
}

static void check_every_shape(const struct compressor *method, const double *values, bool defaults)
{
    for (int s = 0; s < SHAPES; s++)
        for (enum video_features kind = 0; kind < FEATURE_KINDS; kind++) {
            struct arena arena = {0};
            char what[400];
            struct vid_view video = random_video((uint64_t)s, shapes[s].T, shapes[s].h, shapes[s].w, shapes[s].mode, kind, &arena);
            struct tok_plan plan;
            hide_unasked(&video, method->needs(values));
            describe(what, sizeof what, method, values, &video, (int)kind);
            if (!run_twice(method, values, &video, NULL, what, &arena, &plan))
                expect_well_formed(&plan, &video, what, &arena);
            else if (defaults && s == 5)
                fail_msg("%s: refused", what);
            arena_free(&arena);
        }
}

static void test_every_method_on_every_shape(void **state)
{
    (void)state;
    const struct compressor *method;
    for (int i = 0; (method = compressor_at(i)); i++)
        if (method->tokens)
            each_variant(method, check_every_shape);
}

/* ---- budgets ------------------------------------------------------------------------------------------------------------- */

static void count_frames(const struct tok_plan *plan, size_t *counts)
{
    memset(counts, 0, (size_t)plan->T * sizeof *counts);
    for (size_t i = 0; i < plan->n_tok; i++)
        counts[plan->tok[i].t0] += plan->tok[i].kind == TOK_VISUAL || plan->tok[i].kind == TOK_DENSE;
}

enum { MOST_T = 8 };

/* Budgets 0, full, and anything between. Methods that honour them exactly do so above the least that they can keep, which is what
 * they keep of nothing. */
static void check_budgets(const struct compressor *method, const double *values, bool defaults)
{
    if (!(method->flags & (EXACT_BUDGET | SOME_BUDGET)))
        return;
    for (int s = 0; s < SHAPES; s++) {
        size_t least[MOST_T] = {0}, counts[MOST_T];
        for (int round = 0; round < 3; round++) {
            struct arena arena = {0};
            char what[400];
            struct vid_view video = random_video((uint64_t)s, shapes[s].T, shapes[s].h, shapes[s].w, shapes[s].mode, FEATURES_RANDOM, &arena);
            uint32_t N = (uint32_t)(video.pooled.h * video.pooled.w), per_frame[MOST_T];
            struct budget budget = {.T = video.T, .cap = N, .per_frame = per_frame};
            struct tok_plan plan;
            for (int t = 0; t < video.T; t++) {
                per_frame[t] = round == 0 ? 0 : round == 1 ? N : (uint32_t)(rng_u64(5, 6, (uint64_t)t) % (N + 1));
                budget.total += per_frame[t];
            }
            hide_unasked(&video, method->needs(values));
            describe(what, sizeof what, method, values, &video, round);
            if (!run_twice(method, values, &video, &budget, what, &arena, &plan)) {
                expect_well_formed(&plan, &video, what, &arena);
                count_frames(&plan, counts);
                for (int t = 0; t < video.T && defaults; t++) {
                    if (round == 0)
                        least[t] = counts[t];
                    else if (method->flags & EXACT_BUDGET && counts[t] != (per_frame[t] > least[t] ? per_frame[t] : least[t]))
                        fail_msg("%s: frame %d keeps %zu of a budget of %u", what, t, counts[t], per_frame[t]);
                }
            }
            arena_free(&arena);
        }
    }
}

static void test_budgets_empty_full_and_between(void **state)
{
    (void)state;
    const struct compressor *method;
    for (int i = 0; (method = compressor_at(i)); i++)
        if (method->tokens)
            each_variant(method, check_budgets);
}

/* ---- settings that change nothing ---------------------------------------------------------------------------------------- */

static void test_settings_that_change_nothing(void **state)
{
    (void)state;
    static const struct { const char *name, *options; } cases[] = {
        {"dyntok", "{\"threshold\": 1}"},
        {"dyntok", "{\"threshold\": 1, \"direction\": \"both\"}"},
        {"dyntok", "{\"threshold\": 1, \"direction\": \"time\"}"},
        {"dyntok", "{\"groups\": 1000}"},
        {"pool", "{\"stride\": 1}"},
        {"pool", "{\"stride\": 1, \"mode\": \"average\"}"},
        {"uniform", "{\"keep\": 1}"},
        {"uniform", "{\"keep\": 1, \"per\": \"whole_frames\"}"},
        {"random", "{\"keep\": 1, \"per\": \"video\"}"},
        {"slowfast", "{\"every\": 1, \"stride\": 1}"},
        {"tome", "{\"keep\": 1}"},
        {"tome", "{\"keep\": 1, \"per\": \"video\"}"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct arena arena = {0};
        struct vid_view video = random_video(c, 3, 5, 6, POOL_NONE, FEATURES_RANDOM, &arena);
        struct tok_plan none = plan_with("none", "{}", &video, NULL, NEWLINE_GRID, &arena);
        struct tok_plan plan = plan_with(cases[c].name, cases[c].options, &video, NULL, NEWLINE_GRID, &arena);
        if (!same_tokens(&none, &plan))
            fail_msg("%s %s is not none", cases[c].name, cases[c].options);
        arena_free(&arena);
    }
}

/* ---- claims -------------------------------------------------------------------------------------------------------------- */

enum claim {
    PARTITION = 1,   /* every source in exactly one token; sizes add up to their number */
    UNIT_ROWS = 2,   /* a token's weights are not negative and add up to 1: it stays within the hull of its sources */
    MEANS = 4,       /* the mean over sources is that over tokens weighted by size: plain means of a partition */
    EACH_FRAME = 8,  /* frames are worked on alone: what is made of a video is what is made of its frames, one after the other */
    COSINES = 16,    /* positive factors on each source's features, powers of two, change no choice */
    SUBSET = 32,     /* every token is a source as it is */
};

static const struct { const char *name, *options; unsigned claims; } claims[] = {
    {"none", "{}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | SUBSET},
    {"divprune", "{\"keep\": 0.2}", UNIT_ROWS | COSINES | SUBSET},
    {"divprune", "{\"keep\": 0.3, \"per\": \"frame\"}", UNIT_ROWS | EACH_FRAME | COSINES | SUBSET},
    {"prumerge", "{}", EACH_FRAME | COSINES},
    {"prumerge", "{\"variant\": \"plus\", \"keys\": \"mean\"}", EACH_FRAME | COSINES},
    {"vidcom2", "{\"keep\": 0.3}", UNIT_ROWS | SUBSET},
    {"fastvid", "{\"keep\": 0.3, \"segments\": 2}", UNIT_ROWS},
    {"fastvid", "{\"keep\": 0.3, \"segments\": 2, \"program\": \"video\"}", UNIT_ROWS},
    {"holitom", "{\"keep\": 0.3, \"tau\": 0.3, \"density\": 0.5}", UNIT_ROWS},
    {"prunevid", "{\"tau\": 0.3}", PARTITION | UNIT_ROWS | MEANS},
    {"scissor", "{\"threshold\": 0.4}", UNIT_ROWS},
    {"sttm", "{\"layer\": 0, \"spatial\": 0.4, \"root\": 0}", PARTITION | UNIT_ROWS},
    {"sttm", "{\"layer\": 0, \"spatial\": 0.4, \"root\": 0, \"mean\": \"cells\"}", PARTITION | UNIT_ROWS | MEANS},
    {"flashvid", "{\"form\": \"intended\", \"segments\": 2, \"tau\": 0.4}", UNIT_ROWS},
    {"visionzip", "{\"keep\": 0.3}", PARTITION | EACH_FRAME | COSINES},
    {"visionzip", "{\"keep\": 0.3, \"merge\": \"mean\"}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES},
    {"visionzip", "{\"dominant\": 5, \"contextual\": 2, \"grid\": \"raw\"}", PARTITION | EACH_FRAME | COSINES},
    {"dyntok", "{\"threshold\": 0.4}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES},
    {"dyntok", "{\"threshold\": 0.4, \"direction\": \"columns\"}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES},
    {"dyntok", "{\"threshold\": 0.4, \"direction\": \"both\"}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES},
    {"dyntok", "{\"threshold\": 0.4, \"direction\": \"boxes\"}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES},
    {"dyntok", "{\"threshold\": 0.4, \"direction\": \"time\"}", PARTITION | UNIT_ROWS | MEANS | COSINES},
    {"dyntok", "{\"threshold\": 0.4, \"direction\": \"rows_time\"}", PARTITION | UNIT_ROWS | MEANS | COSINES},
    {"dyntok", "{\"groups\": 12}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES},
    {"dyntok", "{\"groups\": 12, \"per\": \"video\"}", PARTITION | UNIT_ROWS | MEANS | COSINES},
    {"pool", "{\"stride\": 2}", UNIT_ROWS | EACH_FRAME},
    {"pool", "{\"stride\": 3, \"mode\": \"average\"}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME}, /* 3 divides the grid below */
    {"pool", "{\"stride\": 2, \"mode\": \"max\"}", EACH_FRAME},
    {"pool", "{\"mode\": \"adaptive\", \"side\": 4}", UNIT_ROWS | EACH_FRAME},
    {"uniform", "{\"keep\": 0.3}", UNIT_ROWS | EACH_FRAME | SUBSET},
    {"random", "{\"keep\": 0.3, \"per\": \"video\"}", UNIT_ROWS | SUBSET},
    {"slowfast", "{\"every\": 2}", UNIT_ROWS},
    {"dynamic-vlm", "{\"tokens\": 90}", UNIT_ROWS},
    {"vqtoken", "{\"k\": 7}", PARTITION | UNIT_ROWS | MEANS},
    {"vqtoken", "{\"k\": 7, \"codes\": \"unit\", \"grid\": \"pooled\"}", PARTITION},
    {"tome", "{\"keep\": 0.3}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME},
    {"tome", "{\"keep\": 0.3, \"metric\": \"keys\", \"steps\": 5}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME},
    {"tome", "{\"keep\": 0.2, \"per\": \"video\"}", PARTITION | UNIT_ROWS | MEANS},
    {"tome", "{\"keep\": 0.6, \"metric\": \"x\"}", PARTITION | UNIT_ROWS | MEANS | EACH_FRAME | COSINES}, /* one step: no mean is compared */
};

static void check_rows(const struct tok_plan *plan, unsigned claimed, const struct vid_view *video, const char *what, struct arena *arena)
{
    size_t n = sources_of(video, plan->dom), sizes = 0, visual = 0;
    uint8_t *seen = arena_alloc(arena, n, 1);
    for (size_t i = 0; i < plan->n_tok; i++) {
        const struct out_tok *tok = &plan->tok[i];
        double sum = 0;
        if (tok->kind != TOK_VISUAL)
            continue;
        for (uint32_t k = tok->row0; k < tok->row1; k++) {
            seen[plan->taps[k].src]++;
            sum += (double)plan->taps[k].w;
            if (claimed & UNIT_ROWS && plan->taps[k].w < 0)
                fail_msg("%s: token %zu leaves the hull of its sources", what, i);
        }
        sizes += tok->size;
        visual++;
        if (claimed & UNIT_ROWS && fabs(sum - 1) > 1e-5)
            fail_msg("%s: token %zu sums to %g", what, i, sum);
        if (claimed & SUBSET && (tok->row1 - tok->row0 != 1 || sum != 1 || plan->taps[tok->row0].src != tok->rep || tok->size != 1))
            fail_msg("%s: token %zu is not a source as it is", what, i);
        if (claimed & PARTITION && tok->size != tok->row1 - tok->row0)
            fail_msg("%s: token %zu of size %u has %u sources", what, i, tok->size, tok->row1 - tok->row0);
    }
    for (size_t i = 0; i < n && claimed & PARTITION; i++)
        if (seen[i] != 1)
            fail_msg("%s: source %zu is in %d tokens", what, i, seen[i]);
    if (claimed & PARTITION && sizes != n)
        fail_msg("%s: %zu tokens have sizes of %zu, not %zu", what, visual, sizes, n);
}

static void check_means(const struct tok_plan *plan, const struct vid_view *video, const char *what, struct arena *arena)
{
    const struct grid_view *grid = plan->dom == DOM_H_POOLED ? &video->pooled : &video->raw;
    size_t width = (size_t)grid->d, n = sources_of(video, plan->dom);
    float *row = arena_alloc(arena, width, sizeof *row);
    double *balance = arena_alloc(arena, width, sizeof *balance);
    for (size_t i = 0; i < n * width; i++)
        balance[i % width] += (double)grid->H[i];
    for (size_t i = 0; i < plan->n_tok; i++) {
        if (plan->tok[i].kind != TOK_VISUAL)
            continue;
        token_row(plan, &plan->tok[i], grid->H, width, row);
        for (size_t c = 0; c < width; c++)
            balance[c] -= plan->tok[i].size * (double)row[c];
    }
    for (size_t c = 0; c < width; c++)
        if (fabs(balance[c]) > 1e-4)
            fail_msg("%s: channel %zu is off by %g", what, c, balance[c]);
}

/* One frame of a video as a video. */
static struct vid_view frame_of(const struct vid_view *video, int t)
{
    struct vid_view one = *video;
    one.T = 1;
    struct grid_view *grids[2] = {&one.raw, &one.pooled};
    for (int i = 0; i < 2; i++) {
        size_t first = (size_t)t * (size_t)grids[i]->h * (size_t)grids[i]->w;
        grids[i]->X += first * (size_t)grids[i]->dx;
        grids[i]->H += first * (size_t)grids[i]->d;
        grids[i]->kv += first * (size_t)grids[i]->dk;
        grids[i]->sal += first;
        grids[i]->frame += t * grids[i]->dx;
    }
    return one;
}

static void check_frames_alone(const char *name, const char *options, const struct tok_plan *whole, const struct vid_view *video,
                               const char *what, struct arena *arena)
{
    size_t at = 0;
    for (int t = 0; t < video->T; t++) {
        struct vid_view one = frame_of(video, t);
        struct tok_plan plan = plan_with(name, options, &one, NULL, NEWLINE_FRAME, arena);
        uint32_t first = (uint32_t)(sources_of(&one, plan.dom) * (size_t)t);
        for (size_t i = 0; i < plan.n_tok; i++, at++) {
            const struct out_tok *a = &plan.tok[i], *b = &whole->tok[at];
            bool same = at < whole->n_tok && a->kind == b->kind && a->size == b->size && a->row1 - a->row0 == b->row1 - b->row0;
            for (uint32_t k = 0; same && a->kind == TOK_VISUAL && k < a->row1 - a->row0; k++)
                same = plan.taps[a->row0 + k].src + first == whole->taps[b->row0 + k].src && plan.taps[a->row0 + k].w == whole->taps[b->row0 + k].w;
            if (!same)
                fail_msg("%s: frame %d alone is another", what, t);
        }
    }
    assert_int_equal(at, whole->n_tok);
}

static void check_scale(const char *name, const char *options, const struct tok_plan *plan, const struct vid_view *video, const char *what,
                        struct arena *arena)
{
    struct vid_view scaled = *video;
    struct grid_view *grids[2] = {&scaled.raw, &scaled.pooled};
    for (int i = 0; i < 2; i++) {
        size_t n = (size_t)video->T * (size_t)grids[i]->h * (size_t)grids[i]->w, dx = (size_t)grids[i]->dx, d = (size_t)grids[i]->d;
        float *X = arena_alloc(arena, n * dx, sizeof *X), *H = arena_alloc(arena, n * d, sizeof *H);
        for (size_t k = 0; k < n * dx; k++)
            X[k] = grids[i]->X[k] * (k / dx % 3 ? 4.0f : 0.125f);
        for (size_t k = 0; k < n * d; k++)
            H[k] = grids[i]->H[k] * (k / d % 2 ? 2.0f : 0.5f);
        grids[i]->X = X;
        grids[i]->H = H;
    }
    struct tok_plan other = plan_with(name, options, &scaled, NULL, NEWLINE_FRAME, arena);
    if (!same_tokens(plan, &other))
        fail_msg("%s: lengths of features matter", what);
}

static void test_claims(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof claims / sizeof *claims; c++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            struct arena arena = {0};
            char what[200];
            struct vid_view video = random_video(seed, 1 + (int)seed % 4, 6, 9, seed % 2 ? POOL_NONE : POOL_BILINEAR, FEATURES_RANDOM, &arena);
            struct tok_plan plan = plan_with(claims[c].name, claims[c].options, &video, NULL, NEWLINE_FRAME, &arena);
            snprintf(what, sizeof what, "%s %s, seed %d", claims[c].name, claims[c].options, (int)seed);
            check_rows(&plan, claims[c].claims, &video, what, &arena);
            if (claims[c].claims & MEANS)
                check_means(&plan, &video, what, &arena);
            if (claims[c].claims & EACH_FRAME)
                check_frames_alone(claims[c].name, claims[c].options, &plan, &video, what, &arena);
            if (claims[c].claims & COSINES)
                check_scale(claims[c].name, claims[c].options, &plan, &video, what, &arena);
            arena_free(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_on_every_shape),
        cmocka_unit_test(test_budgets_empty_full_and_between),
        cmocka_unit_test(test_settings_that_change_nothing),
        cmocka_unit_test(test_claims),
    };
    return cmocka_run_group_tests_name("invariants", tests, NULL, NULL);
}
