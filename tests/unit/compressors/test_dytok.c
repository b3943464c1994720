/* DyToK: the allocator's golden vectors and what it promises, and its options. */
#include "tests/unit/compressors/oracle.h"

#include "compressors/allot.h"

#include <math.h>
#include <stdlib.h>

static void expect_allotted(const float *weight, int T, uint32_t total, uint32_t cap, const uint32_t *wanted)
{
    struct arena arena = {0};
    uint32_t got[64];
    assert_true(allot_tokens(weight, T, total, cap, got, &arena));
    for (int t = 0; t < T; t++)
        assert_int_equal(got[t], wanted[t]);
    arena_free(&arena);
}

static void test_golden_vectors(void **state)
{
    (void)state;
    expect_allotted((const float[]){.5f, .3f, .15f, .05f}, 4, 20, 8, (const uint32_t[]){8, 7, 4, 1});
    expect_allotted((const float[]){.4f, .35f, .25f}, 3, 10, 10, (const uint32_t[]){4, 4, 2}); /* a tie of remainders goes to the earlier */
    expect_allotted((const float[]){1, 1, 1}, 3, 10, 10, (const uint32_t[]){4, 3, 3});
    expect_allotted((const float[]){1, 16, 20}, 3, 17, 100, (const uint32_t[]){1, 7, 9}); /* one token more for all */
    expect_allotted((const float[]){1, 16, 20}, 3, 18, 100, (const uint32_t[]){0, 8, 10}); /* is one less for some */
}

static void test_extremes(void **state)
{
    (void)state;
    expect_allotted((const float[]){3, 1}, 2, 50, 7, (const uint32_t[]){7, 7}); /* more than fits: the released loop never ends */
    expect_allotted((const float[]){3, 1}, 2, 0, 7, (const uint32_t[]){0, 0});
    expect_allotted((const float[]){2}, 1, 5, 9, (const uint32_t[]){5});
    expect_allotted((const float[]){0, 0, 0}, 3, 4, 9, (const uint32_t[]){2, 1, 1});
    expect_allotted((const float[]){NAN, 1, 1}, 3, 4, 9, (const uint32_t[]){0, 2, 2});
    expect_allotted((const float[]){INFINITY, 1, 1}, 3, 3, 9, (const uint32_t[]){1, 1, 1});
    expect_allotted((const float[]){0, 1, 0}, 3, 10, 4, (const uint32_t[]){3, 4, 3}); /* over the cap: round by round */
    expect_allotted((const float[]){1e-41f, 3e-41f}, 2, 8, 9, (const uint32_t[]){2, 6});
}

struct allotted { int T; uint32_t total, cap, tokens[40]; float weight[40]; };

static struct allotted random_case(uint64_t seed, struct arena *arena)
{
    struct allotted a = {.T = 1 + (int)(rng_u64(seed, 1, 0) % 40), .cap = 1 + (uint32_t)(rng_u64(seed, 1, 1) % 30)};
    a.total = (uint32_t)(rng_u64(seed, 1, 2) % ((uint64_t)a.T * a.cap * 5 / 4 + 1));
    for (int t = 0; t < a.T; t++) {
        double unit = rng_unit(seed, 2, (uint64_t)t);
        a.weight[t] = (float)(seed % 3 == 0 ? unit : seed % 3 == 1 ? unit * unit * unit * unit : floor(unit * 4));
    }
    assert_true(allot_tokens(a.weight, a.T, a.total, a.cap, a.tokens, arena));
    return a;
}

static void test_promises(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct arena arena = {0};
        struct allotted a = random_case(seed, &arena);
        uint64_t sum = 0, fits = (uint64_t)a.T * a.cap;
        for (int t = 0; t < a.T; t++) {
            assert_true(a.tokens[t] <= a.cap);
            sum += a.tokens[t];
            for (int other = 0; other < a.T; other++)
                if (a.weight[t] > a.weight[other] && a.tokens[t] < a.tokens[other])
                    fail_msg("seed %llu: frame %d weighs more than frame %d and gets less", (unsigned long long)seed, t, other);
        }
        assert_int_equal(sum, a.total < fits ? a.total : fits);
        for (int t = 0; t < a.T; t++)
            a.weight[t] *= 0.25f; /* exact */
        uint32_t scaled[40];
        assert_true(allot_tokens(a.weight, a.T, a.total, a.cap, scaled, &arena));
        assert_memory_equal(scaled, a.tokens, (size_t)a.T * sizeof *scaled);
        arena_free(&arena);
    }
}

static void test_equal_weights_differ_by_one(void **state)
{
    (void)state;
    struct arena arena = {0};
    float weight[40];
    uint32_t tokens[40];
    for (int T = 1; T <= 40; T++)
        for (uint32_t total = 0; total < 200; total += 7) {
            uint32_t least = UINT32_MAX, most = 0;
            for (int t = 0; t < T; t++)
                weight[t] = 0.3f;
            assert_true(allot_tokens(weight, T, total, 1000, tokens, &arena));
            for (int t = 0; t < T; t++) {
                least = tokens[t] < least ? tokens[t] : least;
                most = tokens[t] > most ? tokens[t] : most;
            }
            assert_true(most - least <= 1);
        }
    arena_free(&arena);
}

/* ---- the released program ------------------------------------------------------------------------------------------------- */

/* Shares as the guide gives them: the mean over layers, f32. */
static void recorded_share(const struct json *item, int T, float *share)
{
    int layers = oracle_number(item, "layers"), power = oracle_number(item, "power");
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int layer = 0; layer < layers; layer++) {
            double unit = rng_unit((uint64_t)oracle_number(item, "seed"), rng_stream("frame weights"), (uint64_t)(layer * T + t)), steep = 1;
            for (int i = 0; i < power; i++)
                steep *= unit;
            sum += (double)(float)steep;
        }
        share[t] = (float)(sum / layers);
    }
}

static struct budget allocate(const char *options, int T, int side, const float *share, struct arena *arena);

/* Budgets and what VisionZip makes of them, frame by frame. */
static void test_released_allocations(void **state)
{
    (void)state;
    struct json *file = oracle_open("dytok");
    int n = 0;
    for (const struct json *item = oracle_cases(file); item; item = json_next(item), n++) {
        struct arena arena = {0};
        float share[64];
        char options[80];
        int T = oracle_number(item, "T");
        size_t n_budgets, n_dominant;
        const double *budgets = oracle_numbers(item, "budgets", &n_budgets, &arena), *dominant = oracle_numbers(item, "dominant", &n_dominant, &arena);
        recorded_share(item, T, share);
        snprintf(options, sizeof options, "{\"per_frame\": %d, \"cap\": %d}", oracle_number(item, "each"), oracle_number(item, "cap"));
        struct budget budget = allocate(options, T, 14, share, &arena);
        for (int t = 0; t < T; t++)
            if (budget.per_frame[t] != (uint32_t)budgets[t] || 6 * budget.per_frame[t] / 7 != (uint32_t)dominant[t])
                fail_msg("%s: frame %d has %u tokens, the released program gives it %g", json_key(item), t, budget.per_frame[t], budgets[t]);
        arena_free(&arena);
    }
    assert_true(n > 80);
    json_free(file);
}

/* ---- the method ---------------------------------------------------------------------------------------------------------- */

static struct budget allocate(const char *options, int T, int side, const float *share, struct arena *arena)
{
    double values[COMPRESSOR_MOST_OPTIONS];
    struct budget budget;
    struct err err = {0};
    const struct compressor *method = compressor_find("dytok");
    struct vid_view video = {.T = T, .pooled = {.h = side, .w = side}};
    const struct aux_attn attention = {T, share};
    resolve_options(method, options, values);
    assert_int_equal(method->allocate(values, &video, NULL, &attention, arena, &budget, &err), 0);
    return budget;
}

static void test_options_make_a_total(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const float share[] = {.5f, .25f, .25f};
    static const struct { const char *options; uint32_t total, cap; } cases[] = {
        {"{}", 3 * 49, 196}, {"{\"keep\": 0.179}", 3 * 35, 196}, {"{\"per_frame\": 14}", 3 * 14, 196},
        {"{\"per_frame\": 98, \"cap\": 120}", 3 * 98, 120}, {"{\"cap\": 500}", 3 * 49, 196},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct budget budget = allocate(cases[i].options, 3, 14, share, &arena);
        uint32_t sum = budget.per_frame[0] + budget.per_frame[1] + budget.per_frame[2];
        assert_int_equal(budget.total, cases[i].total);
        assert_int_equal(budget.cap, cases[i].cap);
        assert_int_equal(sum, cases[i].total);
        assert_true(budget.per_frame[0] >= budget.per_frame[1]);
    }
    arena_free(&arena);
}

static void test_layers_of_the_guide(void **state)
{
    (void)state;
    static const struct { const char *options; int layers, first, last; enum guide guide; } cases[] = {
        {"{}", 24, 16, 23, GUIDE_ASSISTANT},
        {"{\"guide\": \"self\"}", 28, 18, 27, GUIDE_SELF},
        {"{\"first_layer\": 20, \"last_layer\": 20}", 24, 20, 20, GUIDE_ASSISTANT},
        {"{\"first_layer\": 0}", 24, 0, 23, GUIDE_ASSISTANT},
        {"{\"last_layer\": 3}", 24, 3, 3, GUIDE_ASSISTANT},
        {"{}", 1, 0, 0, GUIDE_ASSISTANT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double values[COMPRESSOR_MOST_OPTIONS];
        int first, last;
        resolve_options(compressor_find("dytok"), cases[i].options, values);
        assert_int_equal(compressor_find("dytok")->guide(values, cases[i].layers, &first, &last), cases[i].guide);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(last, cases[i].last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_vectors),          cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_promises),                cmocka_unit_test(test_equal_weights_differ_by_one),
        cmocka_unit_test(test_options_make_a_total),    cmocka_unit_test(test_layers_of_the_guide),
        cmocka_unit_test(test_released_allocations),
    };
    return cmocka_run_group_tests_name("dytok", tests, NULL, NULL);
}
