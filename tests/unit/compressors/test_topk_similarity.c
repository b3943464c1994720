/* What methods share: the k largest against a full sort, and cosines at the edges of floating point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/topk.h"
#include "core/rng.h"
#include "core/similarity.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { N = 97 };

/* Few distinct values, so that ties are common; all the odd ones among them. */
static float odd_score(uint64_t seed, size_t i)
{
    static const float values[] = {0, -0.0f, 1, -1, INFINITY, -INFINITY, 1e-42f, -1e-42f, FLT_MAX, NAN, 0.5f, 0.25f};
    return values[rng_u64(seed, 1, i) % (sizeof values / sizeof *values)];
}

static bool ranks_before(const float *score, size_t a, size_t b)
{
    bool nan_a = isnan(score[a]), nan_b = isnan(score[b]);
    if (nan_a != nan_b)
        return nan_b;
    if (!nan_a && score[a] != score[b])
        return score[a] > score[b];
    return a < b;
}

static void test_every_k_against_a_plain_sort(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct arena arena = {0};
        float score[N];
        uint32_t sorted[N], ranked[N], chosen[N];
        uint8_t marked[N];
        for (size_t i = 0; i < N; i++)
            score[i] = odd_score(seed, i);
        for (size_t i = 0; i < N; i++) {
            size_t rank = 0;
            for (size_t j = 0; j < N; j++)
                rank += ranks_before(score, j, i);
            sorted[rank] = (uint32_t)i;
        }
        for (size_t k = 0; k <= N + 1; k++) {
            size_t wanted = k < N ? k : N, count = topk_select(score, N, k, chosen);
            assert_int_equal(count, wanted);
            assert_true(topk_rank(score, N, k, ranked, &arena));
            assert_memory_equal(ranked, sorted, wanted * sizeof *sorted);
            topk_mark(score, N, k, marked);
            for (size_t i = 0, next = 0; i < N; i++)
                assert_int_equal(marked[i], next < count && chosen[next] == i ? (next++, 1) : 0);
            for (size_t i = 0; i < wanted; i++)
                assert_int_equal(marked[sorted[i]], 1);
        }
        assert_int_equal(topk_best(score, N), sorted[0]);
        arena_free(&arena);
    }
}

static void test_nothing_of_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint32_t out[1];
    assert_int_equal(topk_select(NULL, 0, 3, out), 0);
    assert_true(topk_rank(NULL, 0, 3, out, &arena));
    arena_free(&arena);
}

/* The order of core/similarity.h, spelled out: what cards follow. */
static float dot_by_lanes(const float *a, const float *b, size_t n)
{
    float lane[16] = {0}, sum = 0;
    for (size_t i = 0; i < n / 16 * 16; i++)
        lane[i % 16] += a[i] * b[i];
    for (size_t i = n / 16 * 16; i < n; i++)
        sum += a[i] * b[i];
    for (size_t l = 0; l < 4; l++)
        sum += (lane[l] + lane[l + 4]) + (lane[l + 8] + lane[l + 12]);
    return sum;
}

static void test_dots_have_the_bits_of_dot(void **state)
{
    (void)state;
    enum { MOST = 75, ROWS = 7 };
    float rows[ROWS * MOST], out[ROWS];
    for (size_t i = 0; i < ROWS * MOST; i++)
        rows[i] = (float)(rng_unit(1, 2, i) - 0.5);
    for (size_t n = 1; n <= MOST; n++)
        for (size_t n_rows = 1; n_rows <= ROWS; n_rows++) {
            sim_dots(rows, rows, n_rows, n, out);
            for (size_t j = 0; j < n_rows; j++) {
                float forward = sim_dot(rows, rows + j * n, n), back = sim_dot(rows + j * n, rows, n);
                float plain = dot_by_lanes(rows, rows + j * n, n);
                double exact = 0;
                for (size_t i = 0; i < n; i++)
                    exact += (double)rows[i] * (double)rows[j * n + i];
                assert_memory_equal(&out[j], &forward, sizeof forward);
                assert_memory_equal(&back, &forward, sizeof forward);
                assert_memory_equal(&plain, &forward, sizeof forward);
                assert_true(fabs((double)forward - exact) < 1e-5);
            }
        }
}

static void test_cosines_at_the_edges(void **state)
{
    (void)state;
    struct arena arena = {0};
    enum { D = 3 };
    static const float rows[][D] = {{0, 0, 0}, {1e-42f, 0, 0}, {3, 4, 0}, {-6, -8, 0}, {1e18f, 1e18f, 1e18f}, {1e-18f, 1e-18f, 1e-18f}, {NAN, 1, 1}};
    float *norms = sim_norms(rows[0], 7, D, &arena), *unit = sim_unit_rows(rows[0], 7, D, &arena);
    assert_non_null(norms);
    assert_non_null(unit);
    static const struct { int a, b; float cosine; } cases[] = {{0, 2, 0}, {0, 0, 0}, {1, 1, 0}, {2, 2, 1}, {2, 3, -1}, {4, 5, 1}, {4, 4, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int a = cases[i].a, b = cases[i].b;
        float value = sim_cosine(sim_dot(rows[a], rows[b], D), norms[a], norms[b]);
        assert_true(fabsf(value - cases[i].cosine) < 1e-6f && fabsf(value) <= 1);
    }
    assert_true(isnan(sim_cosine(sim_dot(rows[6], rows[2], D), norms[6], norms[2])));
    for (int k = 0; k < D; k++)
        assert_true(unit[k] == 0 && unit[D + k] == 0);
    assert_true(fabsf(unit[2 * D] - 0.6f) < 1e-6f && fabsf(unit[2 * D + 1] - 0.8f) < 1e-6f);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_k_against_a_plain_sort),
        cmocka_unit_test(test_nothing_of_nothing),
        cmocka_unit_test(test_dots_have_the_bits_of_dot),
        cmocka_unit_test(test_cosines_at_the_edges),
    };
    return cmocka_run_group_tests_name("topk_similarity", tests, NULL, NULL);
}
