/* Statistics against scipy and statsmodels (tools/oracle/record_statistics.py), and by simulation. */
#include "core/rng.h"
#include "metrics/paired.h"
#include "metrics/special.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(const char *what, double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fmax(fabs(expected), 1e-3)))
        fail_msg("%s: %.17g, expected %.17g", what, value, expected);
}

/* ---- recorded values ----------------------------------------------------------------------------------------------------- */

static uint32_t bits(uint32_t x)
{
    x *= 0x9E3779B1u;
    x ^= x >> 15;
    x *= 0x85EBCA77u;
    return x ^ (x >> 13);
}

static struct pair *make_pairs(uint32_t seed, size_t n, size_t n_videos)
{
    struct pair *pairs = malloc(n * sizeof *pairs);
    for (size_t i = 0; pairs && i < n; i++) {
        uint32_t x = bits(seed * 1000003 + (uint32_t)i);
        size_t video = (x >> 8) % n_videos;
        uint32_t hard = bits(seed * 7919 + (uint32_t)video) % 100;
        pairs[i] = (struct pair){video, bits(x) % 100 > hard, bits(x + 1) % 110 > hard};
    }
    return pairs;
}

static void check_pairs(const double *v)
{
    size_t n = (size_t)v[1], n_videos = (size_t)v[2];
    struct pair *pairs = make_pairs((uint32_t)v[0], n, n_videos);
    struct difference difference;
    struct err err = {0};
    assert_int_equal(paired_difference(pairs, n, n_videos, 0.95, &difference, &err), 0);
    near("mean", difference.mean, v[3]);
    near("se", difference.se, v[4]);
    near("low", difference.interval.low, v[5]);
    near("high", difference.interval.high, v[6]);
    near("p", difference_p(&difference), v[7]);
    near("non-inferiority", noninferiority_p(&difference, 0.02), v[8]);
    near("equivalence", equivalence_p(&difference, 0.02), v[9]);
    free(pairs);
}

static void check_holm(const double *v)
{
    size_t n = (size_t)v[0];
    double adjusted[16];
    struct err err = {0};
    assert_int_equal(holm_adjust(v + 1, n, adjusted, &err), 0);
    for (size_t i = 0; i < n; i++)
        near("holm", adjusted[i], v[1 + n + i]);
}

static void check_line(const char *name, const double *v)
{
    if (!strcmp(name, "normal"))
        near(name, normal_quantile(v[0]), v[1]);
    else if (!strcmp(name, "student"))
        near(name, student_quantile(v[0], v[1]), v[2]);
    else if (!strcmp(name, "binomial"))
        near(name, binomial_cdf((long long)v[0], (long long)v[1], v[2]), v[3]);
    else if (!strcmp(name, "mcnemar"))
        near(name, mcnemar_exact((int64_t)v[0], (int64_t)v[1]), v[2]);
    else if (!strcmp(name, "holm"))
        check_holm(v);
    else if (!strcmp(name, "pairs"))
        check_pairs(v);
    else
        fail_msg("no check for '%s'", name);
}

static void test_recorded(void **state)
{
    (void)state;
    FILE *file = fopen(FIXTURES_DIR "/statistics.txt", "r");
    char line[1024];
    int n_checked = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (*line == '#')
            continue;
        double values[32] = {0};
        int n = 0;
        char *name = strtok(line, " \n");
        for (char *word; n < 32 && (word = strtok(NULL, " \n")); n++)
            values[n] = strtod(word, NULL);
        check_line(name, values);
        n_checked++;
    }
    fclose(file);
    assert_true(n_checked > 100);
}

static void test_inverses(void **state)
{
    (void)state;
    for (double p = 0.0005; p < 1; p += 0.0101) {
        near("normal", normal_cdf(normal_quantile(p)), p);
        for (double df = 1; df < 2000; df *= 3)
            near("student", student_cdf(student_quantile(p, df), df), p);
    }
}

/* ---- what must hold ------------------------------------------------------------------------------------------------------ */

static void test_degenerate(void **state)
{
    (void)state;
    struct difference difference;
    struct interval interval;
    struct err err = {0};
    struct pair equal[] = {{0, 1, 1}, {1, 0, 0}, {1, 1, 1}}, one[] = {{0, 1, 0}, {0, 0, 0}};
    assert_int_equal(paired_difference(equal, 3, 2, 0.95, &difference, &err), 0);
    assert_true(difference.mean == 0 && difference.se == 0 && difference.interval.low == 0 && difference.interval.high == 0);
    assert_true(difference_p(&difference) == 1 && noninferiority_p(&difference, 0.01) == 0 && equivalence_p(&difference, 0.01) == 0);
    assert_true(isnan(difference.design_effect));
    assert_int_equal(paired_difference(one, 2, 1, 0.95, &difference, &err), ERR_DATA);
    assert_int_equal(paired_bootstrap(one, 2, 5, 0.95, 10, 1, &interval, &err), ERR_DATA);
}

/* Videos without questions count for nothing; the order of questions does not matter. */
static void test_clusters(void **state)
{
    (void)state;
    struct pair sparse[] = {{9, 1, 0}, {3, 1, 1}, {3, 0, 1}, {5, 1, 0}}, dense[] = {{1, 0, 1}, {0, 1, 0}, {2, 1, 0}, {1, 1, 1}};
    struct difference a, b;
    struct err err = {0};
    assert_int_equal(paired_difference(sparse, 4, 12, 0.95, &a, &err), 0);
    assert_int_equal(paired_difference(dense, 4, 3, 0.95, &b, &err), 0);
    assert_int_equal(a.clusters, 3);
    near("se", a.se, b.se);
    /* By hand: mean 1/4; sums 1, -1, 1 of 1, 2, 1 questions leave 3/4, -3/2, 3/4; 3/2 (27/8) / 16. */
    near("mean", a.mean, 0.25);
    near("se", a.se, sqrt(1.5 * 3.375 / 16));
}

static void test_bootstrap(void **state)
{
    (void)state;
    struct pair *pairs = make_pairs(3, 2700, 900);
    struct difference difference;
    struct interval first, again, other;
    struct err err = {0};
    assert_int_equal(paired_difference(pairs, 2700, 900, 0.95, &difference, &err), 0);
    assert_int_equal(paired_bootstrap(pairs, 2700, 900, 0.95, 4000, 1, &first, &err), 0);
    assert_int_equal(paired_bootstrap(pairs, 2700, 900, 0.95, 4000, 1, &again, &err), 0);
    assert_int_equal(paired_bootstrap(pairs, 2700, 900, 0.95, 4000, 2, &other, &err), 0);
    assert_memory_equal(&first, &again, sizeof first);
    assert_true(first.low != other.low);
    /* Bounds of 4,000 draws scatter by about 0.04 se. */
    assert_true(fabs(first.low - difference.interval.low) < 0.2 * difference.se);
    assert_true(fabs(first.high - difference.interval.high) < 0.2 * difference.se);
    free(pairs);
}

/* One imagined study: `n_videos` videos of 3 questions, both sides right with chances that the video moves together. */
static void imagine(struct pair *pairs, size_t n_videos, double drop, uint64_t study)
{
    for (size_t v = 0; v < n_videos; v++) {
        double ease = rng_unit(study, 1, v), harm = drop * 2 * rng_unit(study, 2, v);
        for (size_t q = 0; q < 3; q++) {
            double luck = rng_unit(study, 3, 3 * v + q), other = rng_unit(study, 4, 3 * v + q);
            pairs[3 * v + q] = (struct pair){v, luck < 0.2 + 0.6 * ease, (q ? luck : other) < 0.2 + 0.6 * ease - harm};
        }
    }
}

enum { STUDIES = 10000, VIDEOS = 60 };

static void test_coverage(void **state)
{
    (void)state;
    static struct pair pairs[3 * VIDEOS];
    static const double drop = 0.05; /* true difference: the mean of drop * 2 * uniform */
    size_t covered = 0;
    struct err err = {0};
    for (uint64_t study = 0; study < STUDIES; study++) {
        struct difference difference;
        imagine(pairs, VIDEOS, drop, study);
        assert_int_equal(paired_difference(pairs, 3 * VIDEOS, VIDEOS, 0.95, &difference, &err), 0);
        covered += difference.interval.low <= drop && drop <= difference.interval.high;
    }
    if (covered < 0.94 * STUDIES || covered > 0.96 * STUDIES)
        fail_msg("95 %% intervals held the truth in %zu of %d studies", covered, STUDIES);
}

/* At the margin itself, "not inferior" is wrong, and is said at most as often as alpha allows (and three standard errors of the count). */
static void test_false_alarms(void **state)
{
    (void)state;
    static struct pair pairs[3 * VIDEOS];
    static const double margin = 0.05, alpha = 0.05;
    size_t n_noninferior = 0;
    struct err err = {0};
    for (uint64_t study = 0; study < STUDIES; study++) {
        struct difference difference;
        imagine(pairs, VIDEOS, margin, study);
        for (size_t i = 0; i < 3 * VIDEOS; i++) { /* the harmed side is a */
            double swap = pairs[i].a;
            pairs[i].a = pairs[i].b;
            pairs[i].b = swap;
        }
        assert_int_equal(paired_difference(pairs, 3 * VIDEOS, VIDEOS, 0.95, &difference, &err), 0);
        n_noninferior += noninferiority_p(&difference, margin) < alpha;
    }
    assert_true((double)n_noninferior < STUDIES * alpha + 3 * sqrt(STUDIES * alpha * (1 - alpha)));
    assert_true((double)n_noninferior > STUDIES * alpha / 2); /* nor is the test asleep */
}

static void test_minimum_detectable(void **state)
{
    (void)state;
    near("80 % at 5 %", minimum_detectable(1, 0.05, 0.8), 1.9599639845400545 + 0.8416212335729143);
    near("se", minimum_detectable(0.02, 0.05, 0.9) / 0.02, minimum_detectable(1, 0.05, 0.9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_inverses),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_false_alarms),
        cmocka_unit_test(test_minimum_detectable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
