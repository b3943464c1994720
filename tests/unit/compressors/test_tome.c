/* ToMe: against the released matching, and what it promises. */
#include "tests/unit/compressors/oracle.h"

static struct vid_view oracle_video(const struct json *item, struct arena *arena)
{
    int side = oracle_number(item, "side"), T = oracle_number(item, "frames"), width = oracle_number(item, "width");
    struct grid_view grid = {.h = side, .w = side, .d = width,
                             .H = oracle_features((uint64_t)oracle_number(item, "seed"), "H", (size_t)(T * side * side), (size_t)width, arena)};
    return (struct vid_view){.T = T, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
}

static void expect_recorded(const struct json *item)
{
    struct arena arena = {0};
    struct vid_view video = oracle_video(item, &arena);
    size_t n_sizes, n, width = (size_t)video.pooled.d;
    const double *sizes = oracle_numbers(item, "sizes", &n_sizes, &arena), *member = oracle_numbers(item, "member", &n, &arena);
    char options[128], steps[32] = "";
    if (oracle_number(item, "steps"))
        snprintf(steps, sizeof steps, ", \"steps\": %d", oracle_number(item, "steps"));
    snprintf(options, sizeof options, "{\"order\": \"made\", \"keep\": %.17g, \"per\": \"%s\"%s}", json_number(json_get(item, "keep")),
             json_string(json_get(item, "per")), steps);
    struct tok_plan plan = plan_with("tome", options, &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(plan.n_tok, n_sizes);
    for (size_t i = 0; i < plan.n_tok; i++) {
        if (plan.tok[i].size != (uint32_t)sizes[i])
            fail_msg("%s: token %zu stands for %u sources, recorded %g", json_key(item), i, plan.tok[i].size, sizes[i]);
        for (uint32_t k = plan.tok[i].row0; k < plan.tok[i].row1; k++)
            if (member[plan.taps[k].src] != (double)i)
                fail_msg("%s: source %u is in token %zu, recorded %g", json_key(item), plan.taps[k].src, i, member[plan.taps[k].src]);
    }
    if (json_get(item, "means")) {
        const double *means = oracle_numbers(item, "means", &n, &arena);
        float *row = arena_alloc(&arena, width, sizeof *row);
        assert_int_equal(n, plan.n_tok * width);
        for (size_t i = 0; i < plan.n_tok; i++) {
            token_row(&plan, &plan.tok[i], video.pooled.H, width, row);
            for (size_t c = 0; c < width; c++)
                expect_close(json_key(item), i * width + c, (double)row[c], means[i * width + c], 1e-5);
        }
    }
    arena_free(&arena);
}

static void test_recorded_merges(void **state)
{
    (void)state;
    struct json *file = oracle_open("tome");
    for (const struct json *item = oracle_cases(file); item; item = json_next(item))
        expect_recorded(item);
    json_free(file);
}

/* Tokens 0..5 in a row; 0 likes 1 most, 4 likes 3, 2 likes 3 less. */
static void test_a_row_by_hand(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const float H[6][2] = {{1, 0}, {1, 0.1f}, {0, 1}, {-1, 2}, {-1, 1.9f}, {0, -1}};
    struct grid_view grid = {.h = 1, .w = 6, .d = 2, .H = H[0]};
    struct vid_view video = {.T = 1, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
    static const struct { uint32_t rep, size; } place[] = {{1, 2}, {2, 1}, {3, 2}, {5, 1}}, made[] = {{2, 1}, {1, 2}, {3, 2}, {5, 1}};
    struct tok_plan plan = plan_with("tome", "{\"keep\": 0.667}", &video, NULL, NEWLINE_NO, &arena);
    struct tok_plan raw = plan_with("tome", "{\"keep\": 0.667, \"order\": \"made\"}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(plan.n_tok, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(plan.tok[i].rep, place[i].rep);
        assert_int_equal(plan.tok[i].size, place[i].size);
        assert_int_equal(raw.tok[i].rep, made[i].rep);
        assert_int_equal(raw.tok[i].size, made[i].size);
    }
    arena_free(&arena);
}

static void test_counts_are_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct arena arena = {0};
        int h = 1 + (int)(seed % 4), w = 1 + (int)(seed % 7), T = 1 + (int)(seed % 3);
        struct vid_view video = random_video(seed, T, h, w, POOL_NONE, FEATURES_RANDOM, &arena);
        double keep = rng_unit(seed, 3, 0);
        char options[96];
        for (int each = 0; each < 2; each++) {
            size_t unit = (size_t)(h * w) * (each ? 1 : (size_t)T), wanted = (size_t)nearbyint(keep * (double)unit);
            snprintf(options, sizeof options, "{\"keep\": %.17g, \"per\": \"%s\"}", keep, each ? "frame" : "video");
            struct tok_plan plan = plan_with("tome", options, &video, NULL, NEWLINE_GRID, &arena);
            assert_int_equal(content_of(&plan), (wanted ? wanted : 1) * (each ? (size_t)T : 1));
            assert_int_equal(markers_of(&plan), T * h);
            assert_true(plan.size_bias);
        }
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_merges),
        cmocka_unit_test(test_a_row_by_hand),
        cmocka_unit_test(test_counts_are_exact),
    };
    return cmocka_run_group_tests_name("tome", tests, NULL, NULL);
}
