/* Wilson's interval against values worked out by hand; with clusters, its limits and its coverage. */
#include "core/rng.h"
#include "metrics/interval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.12g, expected %.12g", value, expected);
}

static void check(int64_t correct, int64_t n, double z, double low, double high)
{
    struct interval interval = wilson_interval((double)correct / (double)n, (double)n, z);
    near(interval.low, low, 1e-9);
    near(interval.high, high, 1e-9);
}

static void test_closed_forms(void **state)
{
    (void)state;
    /* z = 2: k = n gives n / (n + 4), k = 0 its mirror; 2 of 4: 1/2 -+ 2 sqrt(1/2) / 4; 1 of 1: 1/5. */
    check(16, 16, 2, 0.8, 1.0);
    check(0, 16, 2, 0.0, 0.2);
    check(1, 1, 2, 0.2, 1.0);
    check(0, 1, 2, 0.0, 0.8);
    check(2, 4, 2, 0.14644660940672624, 0.8535533905932737);
    /* z = 1, 1 of 4: centre (1/4 + 1/8) / (5/4) = 0.3, half sqrt(3/64 + 1/64) / (5/4) = 0.2. */
    check(1, 4, 1, 0.1, 0.5);
    /* z = 0 is the share itself. */
    check(3, 4, 0, 0.75, 0.75);
}

/* 63.6 % of Video-MME's 2,700 questions at 95 %. */
static void test_benchmark_size(void **state)
{
    (void)state;
    struct interval interval = wilson_interval(1717.0 / 2700, 2700, 1.959964);
    near(interval.low, 0.6175952, 1e-6);
    near(interval.high, 0.6538704, 1e-6);
}

static void test_ends(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 2000; n++) {
        struct interval none = wilson_interval(0, (double)n, 1.959964), all = wilson_interval(1, (double)n, 1.959964);
        assert_true(none.low == 0.0 && none.high > 0.0 && none.high < 1.0);
        assert_true(all.high == 1.0 && all.low > 0.0 && all.low < 1.0);
        near(none.high, 1.0 - all.low, 1e-12);
    }
}

/* ---- clusters ------------------------------------------------------------------------------------------------------------ */

static void test_clusters_widen(void **state)
{
    (void)state;
    /* Video-MME: 900 videos, 3 questions each. Independent questions: t with 899 degrees is 0.14 % above z, no more. */
    double share = 0.636, se = sqrt(share * (1 - share) / 2700), z = 1.959963984540054, t = 1.962602;
    struct interval plain = wilson_interval(share, 2700 * (z / t) * (z / t), z), clustered = share_interval(share, se, 2700, 900, 0.95);
    near(clustered.low, plain.low, 1e-7);
    near(clustered.high, plain.high, 1e-7);
    /* All questions of a video answered alike: as wide as 900 questions. */
    clustered = share_interval(share, sqrt(share * (1 - share) / 900), 2700, 900, 0.95);
    plain = wilson_interval(share, 900 * (z / t) * (z / t), z);
    near(clustered.low, plain.low, 1e-6);
    near(clustered.high, plain.high, 1e-6);
    /* Questions that even each other out are not counted as more than there are, nor is a share without any spread known exactly. */
    struct interval most = share_interval(0.5, 0, 20, 10, 0.95);
    assert_true(most.low > 0.274 && most.low < 0.275);
    near(most.high, 1 - most.low, 1e-12);
    struct interval all = share_interval(1, 0, 20, 10, 0.95), none = share_interval(0, 0, 20, 10, 0.95);
    assert_true(all.high == 1 && all.low > 0.75 && all.low < 0.82 && none.low == 0);
    near(none.high, 1 - all.low, 1e-12);
}

static void test_one_video_says_nothing(void **state)
{
    (void)state;
    struct interval one = share_interval(0.5, NAN, 10, 1, 0.95), empty = share_interval(NAN, NAN, 0, 0, 0.95);
    assert_true(one.low == 0 && one.high == 1 && empty.low == 0 && empty.high == 1);
}

enum { VIDEOS = 300, PER_VIDEO = 3, ROUNDS = 4000 };

/* A round: each video has a difficulty of its own, all its questions share it; as results/views.sql sums it up. */
static bool covers(double low, double high, uint64_t round)
{
    double right[VIDEOS], sum = 0, squares = 0, n = VIDEOS * PER_VIDEO;
    for (uint64_t v = 0; v < VIDEOS; v++) {
        double chance = low + (high - low) * rng_unit(round, 1, v);
        right[v] = 0;
        for (uint64_t q = 0; q < PER_VIDEO; q++)
            right[v] += rng_unit(round, 2, v * PER_VIDEO + q) < chance;
        sum += right[v];
    }
    for (int v = 0; v < VIDEOS; v++)
        squares += (right[v] - PER_VIDEO * sum / n) * (right[v] - PER_VIDEO * sum / n);
    struct interval interval = share_interval(sum / n, sqrt(VIDEOS / (VIDEOS - 1.0) * squares) / n, (int64_t)n, VIDEOS, 0.95);
    return interval.low <= (low + high) / 2 && interval.high >= (low + high) / 2;
}

/* What is promised as 95 % holds in 94 to 96 % of the rounds, with clustered questions and at shares near 1. */
static void test_coverage(void **state)
{
    (void)state;
    static const struct { double low, high; } worlds[] = {{0.05, 1}, {0.6, 0.6}, {0.3, 0.9}, {0.9, 1}};
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        int covered = 0;
        for (uint64_t round = 0; round < ROUNDS; round++)
            covered += covers(worlds[i].low, worlds[i].high, i * ROUNDS + round);
        double share = (double)covered / ROUNDS;
        if (share < 0.94 || share > 0.96)
            fail_msg("videos from %g to %g: covered in %.4f of the rounds", worlds[i].low, worlds[i].high, share);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_forms),
        cmocka_unit_test(test_benchmark_size),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_clusters_widen),
        cmocka_unit_test(test_one_video_says_nothing),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
