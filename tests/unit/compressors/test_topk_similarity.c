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

/* ---- rows wherever they are ---------------------------------------------------------------------------------------------- */

/* Sums, quotients and rows of length 1 by hand, of rows and of rows made of them. */
static void test_rows_made_by_hand(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    static const float values[] = {3, 4, 0, 0, 1, 2}, given[] = {7, 9}, norms[] = {5, 0};
    static const uint32_t begin[] = {0, 2, 2, 3};
    static const struct tap taps[] = {{0, 2}, {2, 1}, {6, 2}}, halves[] = {{0, 2}, {2, 4}, {3, 2}};
    struct sim_rows rows = {.near = values, .n = 3, .width = 2};
    float out[6];
    assert_int_equal(sim_room(&rows, 6, &arena, &err), 0);
    assert_int_equal(sim_put(&rows, 6, 1, given, &err), 0);
    assert_int_equal(sim_sum(&rows, &(struct sim_sums){.first = 3, .n = 3, .begin = begin, .taps = taps}, &err), 0);
    assert_int_equal(sim_get(&rows, 3, 3, out, &err), 0);
    static const float sums[] = {7, 10, 0, 0, 14, 18};
    assert_memory_equal(out, sums, sizeof sums);
    assert_int_equal(sim_sum(&rows, &(struct sim_sums){.first = 6, .n = 3, .begin = begin, .taps = halves, .divide = true}, &err), 0);
    assert_int_equal(sim_get(&rows, 6, 3, out, &err), 0);
    static const float quotients[] = {1.75f, 2.5f, 0, 0, 3.5f, 5};
    assert_memory_equal(out, quotients, sizeof quotients);
    assert_int_equal(sim_units(&rows, (struct row_list){.n = 2}, norms, 3, &arena, &err), 0);
    assert_int_equal(sim_get(&rows, 3, 2, out, &err), 0);
    static const float unit[] = {3 / 5.f, 4 / 5.f, 0, 0};
    assert_memory_equal(out, unit, sizeof unit);
    arena_free(&arena);
}

static void test_totals_by_hand(void **state)
{
    (void)state;
    static const float values[] = {1, 2, 3, 4};
    static const uint32_t begin[] = {0, 2, 2}, src[] = {1, 0};
    static const double scale[] = {0.5, 0.1}, want[] = {0.5 * 3 + 0.1 * 1, 0.5 * 4 + 0.1 * 2, 0, 0};
    const struct sim_rows rows = {.near = values, .n = 2, .width = 2};
    struct err err;
    double out[4];
    assert_int_equal(sim_total(&rows, &(struct sim_totals){.n = 2, .begin = begin, .src = src, .scale = scale}, out, &err), 0);
    assert_memory_equal(out, want, sizeof want);
}

enum { ROWS = 9, WIDTH = 21 };

static struct sim_rows some_rows(float values[ROWS * WIDTH])
{
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        values[i] = (float)(rng_unit(3, 4, i) - 0.5);
    return (struct sim_rows){.near = values, .n = ROWS, .width = WIDTH};
}

/* Pairs, lengths, blocks and squares are the same products. */
static void test_blocks_have_the_bits_of_dot(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    static const uint32_t of[] = {8, 0, 8, 3};
    float values[ROWS * WIDTH], block[4 * 5], square[5 * 5], lengths[5];
    const struct sim_rows rows = some_rows(values);
    const struct row_list a = {.of = of, .n = 4}, b = {.first = 2, .n = 5};
    for (enum sim_term term = SIM_PRODUCT; term <= SIM_APART; term++) {
        assert_int_equal(sim_block(&rows, a, b, term, block, &err), 0);
        assert_int_equal(sim_square(&rows, b, term, square, &err), 0);
        for (size_t i = 0; i < 20; i++) {
            const float *x = values + of[i / 5] * WIDTH, *y = values + (2 + i % 5) * WIDTH;
            assert_true(block[i] == (term == SIM_PRODUCT ? sim_dot(x, y, WIDTH) : sim_distance2(x, y, WIDTH)));
        }
        for (size_t i = 0; i < 25; i++) {
            const float *x = values + (2 + i / 5) * WIDTH, *y = values + (2 + i % 5) * WIDTH;
            assert_true(square[i] == (term == SIM_PRODUCT ? sim_dot(x, y, WIDTH) : sim_distance2(x, y, WIDTH)));
        }
    }
    assert_int_equal(sim_lengths(&rows, b, lengths, &arena, &err), 0);
    for (size_t i = 0; i < 5; i++)
        assert_true(lengths[i] == sqrtf(sim_dot(values + (2 + i) * WIDTH, values + (2 + i) * WIDTH, WIDTH)));
    arena_free(&arena);
}

/* On a line, the one farthest from its nearest other first, then what is farthest from all chosen; weights, ties, one row alone. */
static void test_choice_by_hand(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    enum { N_ROWS = 5 };
    static const float angle[N_ROWS] = {-0.05f, 0.1f, 0.2f, 1.5f, 0.1f}, weight[N_ROWS] = {1, 1, 1, -1, 1};
    struct sim_rows rows = {.width = 2};
    uint32_t out[N_ROWS];
    assert_int_equal(sim_room(&rows, N_ROWS, &arena, &err), 0);
    for (size_t i = 0; i < N_ROWS; i++) {
        rows.made[2 * i] = cosf(angle[i]);
        rows.made[2 * i + 1] = sinf(angle[i]);
    }
    static const uint32_t want[][3] = {{3}, {0, 3}, {0, 2, 3}}, weighted[][3] = {{0}, {0, 2}, {0, 1, 2}};
    for (size_t k = 1; k <= 3; k++) {
        assert_int_equal(sim_choose(&rows, &(struct sim_choice){.n = N_ROWS, .k = k}, out, &arena, &err), 0);
        assert_memory_equal(out, want[k - 1], k * sizeof *out);
        assert_int_equal(sim_choose(&rows, &(struct sim_choice){.n = N_ROWS, .k = k, .weight = weight}, out, &arena, &err), 0);
        assert_memory_equal(out, weighted[k - 1], k * sizeof *out);
    }
    assert_int_equal(sim_choose(&rows, &(struct sim_choice){.first = 3, .n = 1, .k = 1}, out, &arena, &err), 0);
    assert_int_equal(out[0], 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_k_against_a_plain_sort),
        cmocka_unit_test(test_nothing_of_nothing),
        cmocka_unit_test(test_dots_have_the_bits_of_dot),
        cmocka_unit_test(test_cosines_at_the_edges),
        cmocka_unit_test(test_rows_made_by_hand),
        cmocka_unit_test(test_totals_by_hand),
        cmocka_unit_test(test_blocks_have_the_bits_of_dot),
        cmocka_unit_test(test_choice_by_hand),
    };
    return cmocka_run_group_tests_name("topk_similarity", tests, NULL, NULL);
}
