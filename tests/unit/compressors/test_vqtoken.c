/* Token Dynamics / VQToken: clusters, adaptive numbers and fusion against the released code; runs, diagnostics and k-means by what they
 * promise. */
#include "compressors/kmeans.h"
#include "tests/unit/compressors/oracle.h"

enum { WIDTH = 16 };

static struct vid_view oracle_video(const struct json *item, struct arena *arena)
{
    int side = oracle_number(item, "side"), T = oracle_number(item, "frames");
    struct grid_view grid = {.h = side, .w = side, .d = WIDTH,
                             .H = oracle_features((uint64_t)oracle_number(item, "seed"), "H", (size_t)(T * side * side), WIDTH, arena)};
    return (struct vid_view){.T = T, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1, .video_hash = (uint64_t)oracle_number(item, "video")};
}

/* ---- token base ---------------------------------------------------------------------------------------------------------- */

static void expect_labels(const struct json *item, const struct tok_plan *plan, const double *labels)
{
    for (size_t i = 0; i < plan->n_tok; i++)
        for (uint32_t k = plan->tok[i].row0; k < plan->tok[i].row1; k++)
            if (labels[plan->taps[k].src] != (double)i)
                fail_msg("%s: token %u has code %zu, recorded %g", json_key(item), plan->taps[k].src, i, labels[plan->taps[k].src]);
}

static void test_recorded_bases(void **state)
{
    (void)state;
    struct json *file = oracle_open("vqtoken");
    int found = 0;
    for (const struct json *item = oracle_cases(file); item; item = json_next(item)) {
        struct arena arena = {0};
        char options[128], method[32];
        size_t n;
        float row[WIDTH];
        sscanf(json_key(item), "%31s", method);
        if (json_get(item, "labels")) {
            bool fixed = !strcmp(method, "fixed");
            if (fixed)
                snprintf(options, sizeof options, "{\"order\": \"label\", \"codes\": \"unit\", \"k\": %d, \"seed\": %d}", oracle_number(item, "k"),
                         oracle_number(item, "seed"));
            else
                snprintf(options, sizeof options, "{\"order\": \"label\", \"adaptive\": \"%s\", \"k_most\": %d, \"iterations\": 100, \"seed\": %d}", method,
                         oracle_number(item, "most"), oracle_number(item, "seed"));
            struct vid_view video = oracle_video(item, &arena);
            struct tok_plan plan = plan_with("vqtoken", options, &video, NULL, NEWLINE_NO, &arena);
            assert_int_equal(plan.n_tok, oracle_number(item, "k"));
            expect_labels(item, &plan, oracle_numbers(item, "labels", &n, &arena));
            const double *means = fixed ? oracle_numbers(item, "means", &n, &arena) : NULL;
            for (size_t i = 0; i < plan.n_tok && means; i++) {
                token_row(&plan, &plan.tok[i], video.raw.H, WIDTH, row);
                for (size_t c = 0; c < WIDTH; c++)
                    expect_close(json_key(item), i * WIDTH + c, (double)row[c], means[i * WIDTH + c], 1e-5);
            }
            found++;
        }
        arena_free(&arena);
    }
    assert_int_equal(found, 8);
    json_free(file);
}

/* Codes stand by first appearance, with one marker where the layout has any; their means are plain by default. */
static void test_base_by_hand(void **state)
{
    (void)state;
    static const float H[8][WIDTH] = {{0, 2}, {4}, {0, 4}, {2}, {0, 6}, {0, 0, 1}, {0, 0, 3}, {0, 0, 5}};
    struct arena arena = {0};
    struct grid_view grid = {.h = 2, .w = 2, .d = WIDTH, .H = H[0]};
    struct vid_view video = {.T = 2, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
    struct tok_plan plan = plan_with("vqtoken", "{\"k\": 3}", &video, NULL, NEWLINE_GRID, &arena);
    static const struct { uint32_t rep, size; float mean; } wanted[] = {{0, 3, 4}, {1, 2, 3}, {5, 3, 3}};
    float row[WIDTH];
    assert_int_equal(plan.n_tok, 4);
    assert_int_equal(plan.tok[3].kind, TOK_END_MARK);
    for (size_t i = 0; i < 3; i++) {
        token_row(&plan, &plan.tok[i], video.raw.H, WIDTH, row);
        assert_int_equal(plan.tok[i].rep, wanted[i].rep);
        assert_int_equal(plan.tok[i].size, wanted[i].size);
        assert_true(fabsf(row[i == 0 ? 1 : i == 1 ? 0 : 2] - wanted[i].mean) < 1e-6f);
    }
    assert_int_equal(plan.tok[0].t1, 2); /* its tokens are in both frames */
    arena_free(&arena);
}

static void test_more_codes_than_tokens_is_every_token(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(3, 2, 2, 3, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan plan = plan_with("vqtoken", "{\"k\": 64}", &video, NULL, NEWLINE_NO, &arena);
    assert_in_range(content_of(&plan), 1, 12);
    video = random_video(3, 2, 2, 3, POOL_NONE, FEATURES_EQUAL, &arena);
    plan = plan_with("vqtoken", "{\"k\": 4}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(content_of(&plan), 1); /* codes without tokens are no tokens */
    assert_int_equal(plan.tok[0].size, 12);
    arena_free(&arena);
}

/* ---- adaptive numbers ---------------------------------------------------------------------------------------------------- */

/* A video of n directions far apart, each with small noise. */
static struct vid_view blobs(uint64_t seed, size_t n, int T, int side, struct arena *arena)
{
    size_t tokens = (size_t)(T * side * side);
    float *H = arena_alloc(arena, tokens * WIDTH, sizeof *H);
    for (size_t i = 0; i < tokens; i++)
        for (size_t c = 0; c < WIDTH; c++) {
            size_t blob = i % n;
            H[i * WIDTH + c] = (float)((c == blob % WIDTH ? (blob < WIDTH ? 1 : -1) : 0) + 0.02 * (rng_unit(seed, 1, i * WIDTH + c) - 0.5));
        }
    struct grid_view grid = {.h = side, .w = side, .d = WIDTH, .H = H};
    return (struct vid_view){.T = T, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1, .video_hash = seed};
}

static void test_adaptive_numbers_find_what_is_there(void **state)
{
    (void)state;
    static const char *const criteria[] = {"elbow", "silhouette"};
    for (int i = 0; i < 2; i++)
        for (size_t n = 14; n <= 18; n += 2) {
            struct arena arena = {0};
            struct vid_view video = blobs(n, n, 2, 12, &arena);
            char options[96];
            snprintf(options, sizeof options, "{\"adaptive\": \"%s\", \"k_most\": 24}", criteria[i]);
            struct tok_plan plan = plan_with("vqtoken", options, &video, NULL, NEWLINE_NO, &arena);
            assert_int_equal(content_of(&plan), n);
            arena_free(&arena);
        }
}

static void test_released_silhouette_is_always_twelve(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = blobs(5, 18, 2, 12, &arena);
    struct tok_plan plan = plan_with("vqtoken", "{\"adaptive\": \"silhouette_released\"}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(content_of(&plan), 12);
    arena_free(&arena);
}

/* ---- runs ---------------------------------------------------------------------------------------------------------------- */

static void test_runs_by_hand(void **state)
{
    (void)state;
    static const char cells[] = "aab" "bbb" "aab" "bab"; /* two frames of 2 x 3 */
    static const struct { const char *options; size_t n; uint32_t size[9]; } cases[] = {
        {"{\"k\": 2, \"form\": \"runs\"}", 8, {2, 1, 3, 2, 1, 1, 1, 1}},
        {"{\"k\": 2, \"form\": \"runs\", \"runs\": \"time\"}", 7, {2, 2, 2, 2, 1, 2, 1}},
        {"{\"k\": 2, \"form\": \"runs\", \"runs\": \"both\"}", 4, {4, 2, 5, 1}}};
    struct arena arena = {0};
    float H[12 * WIDTH] = {0}, row[WIDTH];
    for (int i = 0; i < 12; i++)
        H[i * WIDTH + (cells[i] - 'a')] = (float)(1 + i);
    struct grid_view grid = {.h = 2, .w = 3, .d = WIDTH, .H = H};
    struct vid_view video = {.T = 2, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
    for (size_t c = 0; c < 3; c++) {
        struct tok_plan plan = plan_with("vqtoken", cases[c].options, &video, NULL, NEWLINE_GRID, &arena);
        assert_int_equal(content_of(&plan), cases[c].n);
        assert_int_equal(markers_of(&plan), 4); /* the layout stays */
        assert_int_equal(plan.n_dense, 2);
        for (size_t i = 0, k = 0; i < plan.n_tok; i++) {
            if (plan.tok[i].kind != TOK_DENSE)
                continue;
            assert_int_equal(plan.tok[i].size, cases[c].size[k++]);
            token_row(&plan, &plan.tok[i], NULL, WIDTH, row);
            bool a = cells[plan.tok[i].rep] == 'a';
            assert_true(fabsf(row[0] - (a ? 5.8f : 0)) < 1e-5f); /* a's cells hold 1, 2, 7, 8 and 11 */
        }
    }
    arena_free(&arena);
}

/* ---- fusion -------------------------------------------------------------------------------------------------------------- */

struct shape { const char *name; size_t rows, columns; };

/* weights() of the script, for tensors of these shapes. */
static struct named_tensor *oracle_weights(uint64_t seed, const char *prefix, const struct shape *shapes, size_t n, struct arena *arena)
{
    struct named_tensor *tensors = arena_alloc(arena, n, sizeof *tensors);
    for (size_t i = 0; i < n; i++) {
        const char *name = arena_printf(arena, "%s%s", prefix, shapes[i].name);
        size_t count = shapes[i].rows * shapes[i].columns;
        float *values = arena_alloc(arena, count, sizeof *values);
        for (size_t k = 0; k < count; k++)
            values[k] = (float)((rng_unit(seed, rng_stream(name), k) - 0.5) * 0.5);
        tensors[i] = (struct named_tensor){name, values, shapes[i].rows, shapes[i].columns};
    }
    return tensors;
}

#define LAYER "transformer_decoder.layers.0."

static const struct shape released[] = {
    {"to_q_proj.weight", WIDTH, 9}, {"to_q_proj.bias", WIDTH, 1},
    {LAYER "self_attn.in_proj_weight", 3 * WIDTH, WIDTH}, {LAYER "self_attn.in_proj_bias", 3 * WIDTH, 1},
    {LAYER "self_attn.out_proj.weight", WIDTH, WIDTH}, {LAYER "self_attn.out_proj.bias", WIDTH, 1},
    {LAYER "multihead_attn.in_proj_weight", 3 * WIDTH, WIDTH}, {LAYER "multihead_attn.in_proj_bias", 3 * WIDTH, 1},
    {LAYER "multihead_attn.out_proj.weight", WIDTH, WIDTH}, {LAYER "multihead_attn.out_proj.bias", WIDTH, 1},
    {LAYER "linear1.weight", 2048, WIDTH}, {LAYER "linear1.bias", 2048, 1}, {LAYER "linear2.weight", WIDTH, 2048}, {LAYER "linear2.bias", WIDTH, 1},
    {LAYER "norm1.weight", WIDTH, 1}, {LAYER "norm1.bias", WIDTH, 1}, {LAYER "norm2.weight", WIDTH, 1}, {LAYER "norm2.bias", WIDTH, 1},
    {LAYER "norm3.weight", WIDTH, 1}, {LAYER "norm3.bias", WIDTH, 1},
};

enum { RELEASED = sizeof released / sizeof *released };

static void expect_fused(const struct json *item, const char *form, const struct named_tensor *tensors, size_t n_tensors, size_t n_wanted)
{
    struct arena arena = {0};
    struct vid_view video = oracle_video(item, &arena);
    char options[96];
    size_t n;
    const double *wanted = oracle_numbers(item, "out", &n, &arena);
    video.tensors = tensors;
    video.n_tensors = n_tensors;
    snprintf(options, sizeof options, "{\"form\": \"%s\", \"k\": %d, \"seed\": %d}", form, oracle_number(item, "k"), oracle_number(item, "seed"));
    struct tok_plan plan = plan_with("vqtoken", options, &video, NULL, NEWLINE_GRID, &arena);
    assert_int_equal(content_of(&plan), n_wanted);
    assert_int_equal(plan.n_tok, n_wanted + 1);
    assert_int_equal(n, n_wanted * WIDTH);
    for (size_t i = 0; i < n; i++)
        expect_close(json_key(item), i, (double)plan.dense[plan.tok[i / WIDTH].row0 * WIDTH + i % WIDTH], wanted[i], 1e-5);
    arena_free(&arena);
}

static void test_recorded_fusions(void **state)
{
    (void)state;
    struct json *file = oracle_open("vqtoken");
    int found = 0;
    for (const struct json *item = oracle_cases(file); item; item = json_next(item)) {
        struct arena arena = {0};
        char method[32];
        sscanf(json_key(item), "%31s", method);
        if (!json_get(item, "out")) {
            arena_free(&arena);
            continue;
        }
        uint64_t seed = (uint64_t)oracle_number(item, "seed");
        size_t T = (size_t)oracle_number(item, "frames"), K = (size_t)oracle_number(item, "k");
        if (!strcmp(method, "fused")) {
            expect_fused(item, "fused", oracle_weights(seed, "model.cross_attention.", released, RELEASED, &arena), RELEASED, T > K ? T : K);
        } else {
            size_t hidden = (size_t)oracle_number(item, "hidden");
            const struct shape paper[] = {{"mlp.0.weight", hidden, T * 9}, {"mlp.0.bias", hidden, 1}, {"mlp.2.weight", K * WIDTH, hidden},
                                          {"mlp.2.bias", K * WIDTH, 1}, {"in_proj.weight", 3 * WIDTH, WIDTH}, {"in_proj.bias", 3 * WIDTH, 1},
                                          {"out_proj.weight", WIDTH, WIDTH}, {"out_proj.bias", WIDTH, 1}};
            expect_fused(item, "fused_paper", oracle_weights(seed, "model.vq_attention.", paper, 8, &arena), 8, K);
        }
        found++;
        arena_free(&arena);
    }
    assert_int_equal(found, 6);
    json_free(file);
}

static void expect_refused(struct vid_view *video, const char *options, const char *words)
{
    const struct compressor *method = compressor_find("vqtoken");
    double values[COMPRESSOR_MOST_OPTIONS];
    struct arena arena = {0};
    struct tok_plan plan;
    struct err err = {0};
    resolve_options(method, options, values);
    assert_int_equal(method->tokens(values, video, NULL, NULL, &arena, &plan, &err), ERR_CONFIG);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
    arena_free(&arena);
}

static void test_fusion_names_the_tensor_that_does_not_fit(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(1, 2, 3, 3, POOL_NONE, FEATURES_RANDOM, &arena); /* of width 16 */
    expect_refused(&video, "{\"form\": \"fused\"}", "has no 'model.cross_attention.to_q_proj.weight'");
    expect_refused(&video, "{\"form\": \"fused_paper\"}", "has no 'model.vq_attention.mlp.0.weight'");
    video.tensors = oracle_weights(1, "model.cross_attention.", released, RELEASED, &arena);
    video.n_tensors = RELEASED - 1;
    expect_refused(&video, "{\"form\": \"fused\"}", "has no 'model.cross_attention.transformer_decoder.layers.0.norm3.bias'");
    struct vid_view wide = random_video(1, 2, 3, 4, POOL_NONE, FEATURES_RANDOM, &arena);
    wide.tensors = video.tensors;
    wide.n_tensors = RELEASED;
    expect_refused(&wide, "{\"form\": \"fused\"}", "is 16 x 9, this video needs 16 x 12");
    wide.raw.d = 12;
    expect_refused(&wide, "{\"form\": \"fused\"}", "8 heads do not divide features of 12");
    arena_free(&arena);
}

/* ---- diagnostics --------------------------------------------------------------------------------------------------------- */

static double measured(const struct measure *measures, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(measures[i].name, name))
            return measures[i].value;
    fail_msg("nothing is called '%s'", name);
    return 0;
}

static void test_measures_by_hand(void **state)
{
    (void)state;
    static const char cells[] = "aab" "bbb" "aab" "bab";
    struct arena arena = {0};
    const struct compressor *method = compressor_find("vqtoken");
    struct measure measures[COMPRESSOR_MOST_MEASURES];
    double values[COMPRESSOR_MOST_OPTIONS];
    float H[12 * WIDTH] = {0};
    int n;
    struct err err = {0};
    for (int i = 0; i < 12; i++)
        H[i * WIDTH + (cells[i] - 'a')] = (float)(1 + i);
    struct grid_view grid = {.h = 2, .w = 3, .d = WIDTH, .H = H};
    struct vid_view video = {.T = 2, .raw = grid, .pooled = grid, .mode = POOL_AVERAGE, .stride = 2};
    video.pooled.h = video.pooled.w = 1;
    resolve_options(method, "{\"k\": 2}", values);
    assert_int_equal(method->measure(values, &video, &arena, measures, &n, &err), 0);
    assert_true(fabs(measured(measures, n, "codes") - 2) < 1e-9);
    assert_true(fabs(measured(measures, n, "mean cosine with the code") - 1) < 1e-6);
    assert_true(fabs(measured(measures, n, "squared distance to the code")) < 1e-6);
    assert_true(fabs(measured(measures, n, "bits of the map per cell") - (-5. / 12 * log2(5. / 12) - 7. / 12 * log2(7. / 12))) < 1e-9);
    assert_true(fabs(measured(measures, n, "runs per frame along rows") - 4) < 1e-9);
    assert_true(fabs(measured(measures, n, "runs per frame over time") - 3.5) < 1e-9);
    assert_true(fabs(measured(measures, n, "share of unpooled tokens") - 2. / 12) < 1e-9);
    assert_true(fabs(measured(measures, n, "share of pooled tokens") - 2. / 2) < 1e-9);
    arena_free(&arena);
}

/* ---- k-means ------------------------------------------------------------------------------------------------------------- */

static void test_cosines_never_fall(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct arena arena = {0};
        size_t n = 60 + seed, k = 2 + seed % 9;
        const struct sim_rows rows = {.near = random_rows(seed, "rows", n, WIDTH, FEATURES_RANDOM, &arena), .n = n, .width = WIDTH};
        struct kmeans kmeans;
        struct err err;
        double last = -INFINITY, now;
        assert_int_equal(kmeans_new(&kmeans, &rows, k, &arena, &err), 0);
        assert_int_equal(kmeans_seed(&kmeans, seed, 1, &err), 0);
        for (int iterations = 1; iterations < 12; iterations++) {
            assert_int_equal(kmeans_fit(&kmeans, k, iterations, &err), 0);
            assert_int_equal(kmeans_cosines(&kmeans, &now, &err), 0);
            assert_true(now >= last - 1e-4);
            last = now;
            size_t total = 0;
            for (size_t i = 0; i < k; i++)
                total += kmeans.count[i];
            assert_int_equal(total, n);
            for (size_t i = 0; i < n; i++)
                assert_true(kmeans.label[i] < k);
        }
        arena_free(&arena);
    }
}

static void test_seeds_are_nested_and_far_apart(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = blobs(7, 6, 1, 12, &arena);
    const struct sim_rows rows = {.near = video.raw.H, .n = 144, .width = WIDTH};
    struct kmeans few, many;
    struct err err;
    assert_int_equal(kmeans_new(&few, &rows, 3, &arena, &err), 0);
    assert_int_equal(kmeans_new(&many, &rows, 6, &arena, &err), 0);
    assert_int_equal(kmeans_seed(&few, 1, 2, &err), 0);
    assert_int_equal(kmeans_seed(&many, 1, 2, &err), 0);
    assert_memory_equal(few.seed, many.seed, 3 * sizeof *few.seed);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++)
            assert_int_not_equal(many.seed[i] % 6, many.seed[k] % 6); /* one in each of the six directions */
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_bases),
        cmocka_unit_test(test_base_by_hand),
        cmocka_unit_test(test_more_codes_than_tokens_is_every_token),
        cmocka_unit_test(test_adaptive_numbers_find_what_is_there),
        cmocka_unit_test(test_released_silhouette_is_always_twelve),
        cmocka_unit_test(test_runs_by_hand),
        cmocka_unit_test(test_recorded_fusions),
        cmocka_unit_test(test_fusion_names_the_tensor_that_does_not_fit),
        cmocka_unit_test(test_measures_by_hand),
        cmocka_unit_test(test_cosines_never_fall),
        cmocka_unit_test(test_seeds_are_nested_and_far_apart),
    };
    return cmocka_run_group_tests_name("vqtoken", tests, NULL, NULL);
}
