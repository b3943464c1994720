/* pool, dynamic-vlm and slowfast: against torch and the released code, and the arithmetic of their tokens. */
#include "tests/unit/compressors/oracle.h"

enum { WIDTH = 3 };

static struct vid_view oracle_video(int seed, int T, int side, enum pool_mode mode, struct arena *arena)
{
    struct vid_view video = {.T = T, .mode = mode, .stride = 2};
    video.raw = (struct grid_view){.h = side, .w = side, .dx = WIDTH, .d = WIDTH,
                                   .H = oracle_features((uint64_t)seed, "H", (size_t)(T * side * side), WIDTH, arena)};
    video.pooled = (struct grid_view){.h = pool_side(mode, side, 2), .w = pool_side(mode, side, 2), .dx = WIDTH, .d = WIDTH};
    return video;
}

static void expect_recorded(const struct json *item, const char *method, const char *options, int T)
{
    struct arena arena = {0};
    int side = oracle_number(item, "side");
    struct vid_view video = oracle_video(side, T, side, POOL_BILINEAR, &arena);
    struct tok_plan plan = plan_with(method, options, &video, NULL, NEWLINE_NO, &arena);
    size_t n;
    const double *wanted = oracle_numbers(item, "out", &n, &arena);
    float row[WIDTH];
    assert_int_equal(plan.n_tok * WIDTH, n);
    for (size_t i = 0; i < plan.n_tok; i++) {
        token_row(&plan, &plan.tok[i], video.raw.H, WIDTH, row);
        for (size_t c = 0; c < WIDTH; c++)
            expect_close(json_key(item), i * WIDTH + c, (double)row[c], wanted[i * WIDTH + c], 1e-6);
    }
    arena_free(&arena);
}

static void test_recorded_grids(void **state)
{
    (void)state;
    struct json *file = oracle_open("pooling");
    for (const struct json *item = oracle_cases(file); item; item = json_next(item)) {
        char options[96], mode[16];
        sscanf(json_key(item), "%15s", mode);
        if (!strcmp(mode, "dynamic")) {
            snprintf(options, sizeof options, "{\"tokens\": %d, \"per_frame\": %d, \"pools\": \"h\"}", oracle_number(item, "tokens"),
                     oracle_number(item, "most"));
            expect_recorded(item, "dynamic-vlm", options, oracle_number(item, "frames"));
            continue;
        }
        if (!strcmp(mode, "adaptive"))
            snprintf(options, sizeof options, "{\"mode\": \"adaptive\", \"side\": %d}", oracle_number(item, "m"));
        else
            snprintf(options, sizeof options, "{\"mode\": \"%s\", \"stride\": %d}", mode, oracle_number(item, "stride"));
        expect_recorded(item, "pool", options, 1);
    }
    json_free(file);
}

static struct vid_view shape(int T, enum pool_mode mode)
{
    struct vid_view video = {.T = T, .mode = mode, .stride = 2, .raw = {.h = 27, .w = 27, .dx = WIDTH, .d = WIDTH}};
    video.pooled = video.raw;
    video.pooled.h = video.pooled.w = pool_side(mode, 27, 2);
    return video;
}

/* 211 and 57, 183 and 43 tokens with the learned one, row markers and ceil(T / every) slow frames. */
static void test_slowfast_arithmetic(void **state)
{
    (void)state;
    static const float faster[WIDTH] = {7, 8, 9};
    static const struct named_tensor tensors[] = {{"model.faster_token", faster, WIDTH, 1}};
    static const struct { enum pool_mode mode; int T, every; size_t slow, fast; } cases[] = {
        {POOL_BILINEAR, 1, 10, 211, 57}, {POOL_BILINEAR, 21, 10, 211, 57}, {POOL_AVERAGE, 20, 10, 183, 43}, {POOL_AVERAGE, 5, 1, 183, 43}};
    for (size_t i = 0; i < 4; i++) {
        struct arena arena = {0};
        struct vid_view video = shape(cases[i].T, cases[i].mode);
        char options[64];
        video.tensors = tensors;
        video.n_tensors = 1;
        size_t T = (size_t)cases[i].T, slow = (T + (size_t)cases[i].every - 1) / (size_t)cases[i].every;
        snprintf(options, sizeof options, "{\"every\": %d, \"faster_token\": true}", cases[i].every);
        struct tok_plan plan = plan_with("slowfast", options, &video, NULL, NEWLINE_GRID, &arena);
        assert_int_equal(plan.n_tok, slow * cases[i].slow + (T - slow) * cases[i].fast);
        snprintf(options, sizeof options, "{\"every\": %d}", cases[i].every);
        plan = plan_with("slowfast", options, &video, NULL, NEWLINE_GRID, &arena);
        assert_int_equal(plan.n_tok, slow * (cases[i].slow - 1) + (T - slow) * (cases[i].fast - 1));
        const struct compressor *method = compressor_find("slowfast");
        double values[COMPRESSOR_MOST_OPTIONS];
        const char *source;
        resolve_options(method, options, values);
        size_t content, markers;
        newline_count(NEWLINE_GRID, cases[i].T, video.pooled.h, video.pooled.w, &content, &markers);
        assert_int_equal(plan.n_tok, (size_t)(method->expected_ratio(values, &video, NEWLINE_GRID, &source) * (double)(content + markers) + 0.5));
        arena_free(&arena);
    }
}

/* As released: rows with their markers, then the learned token, then the next frame. */
static void test_the_learned_token_ends_each_frame(void **state)
{
    (void)state;
    static const float faster[WIDTH] = {7, 8, 9};
    static const struct named_tensor tensors[] = {{"model.faster_token", faster, WIDTH, 1}};
    struct arena arena = {0};
    struct vid_view video = shape(2, POOL_BILINEAR);
    video.tensors = tensors;
    video.n_tensors = 1;
    struct tok_plan plan = plan_with("slowfast", "{\"faster_token\": true}", &video, NULL, NEWLINE_GRID, &arena);
    float row[WIDTH];
    assert_int_equal(plan.n_tok, 211 + 57);
    for (size_t end = 210; end < plan.n_tok; end += 57) {
        assert_int_equal(plan.tok[end].kind, TOK_DENSE);
        assert_int_equal(plan.tok[end - 1].kind, TOK_ROW_MARK);
        token_row(&plan, &plan.tok[end], NULL, WIDTH, row);
        assert_memory_equal(row, faster, sizeof row);
    }
    assert_int_equal(plan.tok[211].kind, TOK_VISUAL);
    assert_int_equal(plan.tok[211].t0, 1);
    arena_free(&arena);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct { const char *method, *options; enum pool_mode mode; const char *words; } cases[] = {
        {"slowfast", "{\"faster_token\": true}", POOL_BILINEAR, "leave faster_token out"},
        {"slowfast", "{}", POOL_MAX, "use mode: average"},
        {"slowfast", "{\"stride\": 14, \"mode\": \"average\"}", POOL_BILINEAR, "use at most 13"},
        {"pool", "{\"mode\": \"average\", \"stride\": 28}", POOL_BILINEAR, "use at most 27"},
        {"pool", "{\"mode\": \"adaptive\", \"side\": 28}", POOL_BILINEAR, "use at most 27"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        const struct compressor *method = compressor_find(cases[i].method);
        struct vid_view video = shape(2, cases[i].mode);
        struct tok_plan plan;
        struct err err = {0};
        double values[COMPRESSOR_MOST_OPTIONS];
        resolve_options(method, cases[i].options, values);
        assert_int_equal(method->tokens(values, &video, NULL, NULL, &arena, &plan, &err), ERR_CONFIG);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s", err.text);
        arena_free(&arena);
    }
}

static void test_dynamic_vlm_reads_what_it_is_told(void **state)
{
    (void)state;
    const struct compressor *method = compressor_find("dynamic-vlm");
    static const struct { int T, tokens; size_t side; } cases[] = {{32, 12000, 19}, {64, 12000, 13}, {96, 12000, 11}, {1, 12000, 24}, {200, 100, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct vid_view video = shape(cases[i].T, POOL_BILINEAR);
        char options[64];
        snprintf(options, sizeof options, "{\"tokens\": %d}", cases[i].tokens);
        struct tok_plan plan = plan_with("dynamic-vlm", options, &video, NULL, NEWLINE_GRID, &arena);
        assert_int_equal(content_of(&plan), (size_t)cases[i].T * cases[i].side * cases[i].side);
        assert_int_equal(markers_of(&plan), (size_t)cases[i].T * cases[i].side);
        assert_int_equal(plan.dom, DOM_X_RAW);
        double values[COMPRESSOR_MOST_OPTIONS];
        resolve_options(method, "{\"pools\": \"h\"}", values);
        assert_int_equal(method->domain(values), DOM_H_RAW);
        arena_free(&arena);
    }
}

static void test_whole_frames_keep_their_markers_and_no_others(void **state)
{
    (void)state;
    static const struct { const char *method; int frames[2]; } cases[] = {{"uniform", {2, 7}}, {"random", {-1, -1}}};
    for (size_t i = 0; i < 2; i++) {
        struct arena arena = {0};
        struct vid_view video = shape(10, POOL_BILINEAR);
        struct tok_plan plan = plan_with(cases[i].method, "{\"keep\": 0.2, \"per\": \"whole_frames\"}", &video, NULL, NEWLINE_GRID, &arena);
        assert_int_equal(plan.n_tok, 2 * 210); /* what two frames have without compression */
        for (size_t k = 0; k < plan.n_tok; k++) {
            assert_int_equal(plan.tok[k].t0, plan.tok[k / 210 * 210].t0);
            if (cases[i].frames[0] >= 0)
                assert_int_equal(plan.tok[k].t0, cases[i].frames[k / 210]); /* floor((i + 0.5) 10 / 2) */
        }
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_grids),
        cmocka_unit_test(test_slowfast_arithmetic),
        cmocka_unit_test(test_the_learned_token_ends_each_frame),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_dynamic_vlm_reads_what_it_is_told),
        cmocka_unit_test(test_whole_frames_keep_their_markers_and_no_others),
    };
    return cmocka_run_group_tests_name("pooling", tests, NULL, NULL);
}
