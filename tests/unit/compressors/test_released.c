/* Token plans against what the released programs of each method give on the same features: which sources each token sums, exactly,
 * and by which weights, to 1e-5. Recorded by tools/oracle/compressors. */
#include "tests/unit/compressors/oracle.h"

#include <stdlib.h>

static const char *const fixtures[] = {
    "dycoke",
    "visionzip",
    "prumerge",
    "divprune",
    "vidcom2",
    "fastvid",
    "holitom",
    "prunevid",
    "scissor",
    "sttm",
    "pact",
    "flashvid",
};

enum { DX = 10, D = 12, DK = 6 };

/* The views a case was recorded on: the grid that it names is filled, the other is a stranger's. */
static struct vid_view recorded_video(const struct json *item, struct arena *arena)
{
    int T = oracle_number(item, "T"), h = oracle_number(item, "h"), w = oracle_number(item, "w"), N = h * w;
    uint64_t seed = (uint64_t)oracle_number(item, "seed");
    struct grid_view grid = {.h = h, .w = w, .dx = DX, .d = D, .dk = DK,
                             .X = oracle_scenes(seed, "X", T, N, DX, arena),
                             .H = oracle_scenes(seed, "H", T, N, D, arena),
                             .kv = oracle_scenes(seed, "kv", T, N, DK, arena),
                             .sal = oracle_saliency(seed, "sal", (size_t)(T * N), arena),
                             .frame = oracle_scenes(seed, "frame", T, 1, DX, arena)};
    bool raw = !strcmp(json_string(json_get(item, "grid")), "raw");
    struct grid_view other = {.h = raw ? (h + 1) / 2 : 2 * h, .w = raw ? (w + 1) / 2 : 2 * w, .dx = DX, .d = D, .dk = DK};
    return (struct vid_view){.T = T, .mode = POOL_BILINEAR, .stride = 2, .raw = raw ? grid : other, .pooled = raw ? other : grid};
}

static int by_source(const void *a, const void *b)
{
    const struct tap *p = a, *q = b;
    return (p->src > q->src) - (p->src < q->src);
}

static struct budget *recorded_budget(const struct json *item, int T, struct arena *arena)
{
    if (!json_get(item, "budgets"))
        return NULL;
    size_t n;
    const double *tokens = oracle_numbers(item, "budgets", &n, arena);
    struct budget *budget = arena_alloc(arena, 1, sizeof *budget);
    uint32_t *per_frame = arena_alloc(arena, n, sizeof *per_frame);
    assert_int_equal(n, T);
    *budget = (struct budget){.T = T, .per_frame = per_frame};
    for (size_t t = 0; t < n; t++)
        budget->total += per_frame[t] = (uint32_t)tokens[t];
    return budget;
}

/* What a method makes between layers of the tokens of `none`, whose hidden rows, keys and attention are the recorded views. */
static struct tok_plan plan_between_layers(const struct json *item, const struct vid_view *video, struct arena *arena)
{
    const struct compressor *method = compressor_find(json_string(json_get(item, "method")));
    struct tok_plan all = plan_with("none", "{}", video, NULL, NEWLINE_NO, arena);
    const struct grid_view *grid = &video->pooled;
    struct layer_view view = {.layer = oracle_number(item, "layer"), .n_layers = 28, .T = video->T, .h = grid->h, .w = grid->w, .n = all.n_tok,
                              .n_entered = all.n_tok, .n_content = all.n_tok, .tok = all.tok, .d = grid->d, .hidden = grid->H,
                              .key_dim = grid->dk, .keys_after = grid->kv, .n_rows = 1, .heads = 1, .rows = grid->sal};
    struct layer_plan plan = {0};
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    resolve_options(method, json_string(json_get(item, "options")), values);
    if (method->layer(values, POINT_PRE, &view, arena, &plan, &err))
        fail_msg("%s", err.text);
    return plan.merge;
}

static void expect_token(const char *what, const struct tok_plan *plan, size_t i, const double *sources, const double *weights, size_t n)
{
    const struct out_tok *tok = &plan->tok[i];
    struct tap *taps = plan->taps + tok->row0;
    qsort(taps, tok->row1 - tok->row0, sizeof *taps, by_source);
    if (tok->row1 - tok->row0 != n)
        fail_msg("%s: token %zu has %u sources, recorded %zu", what, i, tok->row1 - tok->row0, n);
    for (size_t k = 0; k < n; k++) {
        if (taps[k].src != (uint32_t)sources[k])
            fail_msg("%s: source %zu of token %zu is %u, recorded %g", what, k, i, taps[k].src, sources[k]);
        expect_close(what, i, (double)taps[k].w, weights[k], 1e-5);
    }
}

static void expect_recorded(const char *fixture, const struct json *item)
{
    struct arena arena = {0};
    struct vid_view video = recorded_video(item, &arena);
    char what[160];
    snprintf(what, sizeof what, "%s: %s", fixture, json_key(item));
    struct tok_plan plan = json_get(item, "layer")
                               ? plan_between_layers(item, &video, &arena)
                               : plan_with(json_string(json_get(item, "method")), json_string(json_get(item, "options")), &video,
                                           recorded_budget(item, video.T, &arena), NEWLINE_NO, &arena);
    size_t n, n_sources, n_weights;
    const double *starts = oracle_numbers(item, "starts", &n, &arena), *sources = oracle_numbers(item, "sources", &n_sources, &arena);
    const double *weights = oracle_numbers(item, "weights", &n_weights, &arena);
    assert_int_equal(n_sources, n_weights);
    if (plan.n_tok != n)
        fail_msg("%s: %zu tokens, recorded %zu", what, plan.n_tok, n);
    const double *reps = json_get(item, "reps") ? oracle_numbers(item, "reps", &n, &arena) : NULL; /* where tokens stand */
    const double *sizes = json_get(item, "sizes") ? oracle_numbers(item, "sizes", &n, &arena) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (sizes && plan.tok[i].size != (uint32_t)sizes[i])
            fail_msg("%s: token %zu is of size %u, recorded %g", what, i, plan.tok[i].size, sizes[i]);
        if (reps && plan.tok[i].rep != (uint32_t)reps[i])
            fail_msg("%s: token %zu stands at %u, recorded %g", what, i, plan.tok[i].rep, reps[i]);
        size_t first = (size_t)starts[i], end = i + 1 < n ? (size_t)starts[i + 1] : n_sources;
        expect_token(what, &plan, i, sources + first, weights + first, end - first);
    }
    arena_free(&arena);
}

static void test_recorded_plans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        struct json *file = oracle_open(fixtures[i]);
        for (const struct json *item = oracle_cases(file); item; item = json_next(item))
            expect_recorded(fixtures[i], item);
        json_free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_plans),
    };
    return cmocka_run_group_tests_name("released", tests, NULL, NULL);
}
