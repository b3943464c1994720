/* Ratios of two samples and their intervals; the quantiles of U are those of Mann and Whitney's table (1947). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/ratio.h"

#include <math.h>
#include <stdlib.h>

static struct ratio of(const double *a, size_t n, const double *b, size_t m)
{
    struct ratio ratio;
    struct err err = {0};
    if (ratio_of(a, n, b, m, 0.95, &ratio, &err))
        fail_msg("%s", err.text);
    return ratio;
}

static void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%.17g is not %.17g", value, expected);
}

/* Of 252 orders of five and five the two least U have 1, 1 and 2 orders more: P(U <= 2) = 4 / 252. */
static void five_against_five(void **state)
{
    (void)state;
    const double a[] = {1, 2, 4, 8, 16}, b[] = {3, 6, 12, 24, 48};
    struct ratio ratio = of(a, 5, b, 5);
    near(ratio.estimate, 3);
    near(ratio.confidence, 1 - 2 * 4.0 / 252);
    near(ratio.interval.low, 3.0 / 8);  /* the third of 3/16, 3/8, 3/8, ... */
    near(ratio.interval.high, 24);
    struct ratio other = of(b, 5, a, 5);
    near(other.estimate, 1 / ratio.estimate);
    near(other.interval.low, 1 / ratio.interval.high);
    near(other.confidence, ratio.confidence);
}

/* P(U <= 0) is 1 / 70 with four on each side, 1 / 20 with three: too much for 95 %. */
static void few_repeats_say_nothing(void **state)
{
    (void)state;
    const double a[] = {1, 1.1, 1.2, 1.3}, b[] = {2, 2.1, 2.2, 2.3};
    struct ratio four = of(a, 4, b, 4), three = of(a, 3, b, 3);
    near(four.confidence, 1 - 2.0 / 70);
    near(four.interval.low, 2 / 1.3);
    near(four.interval.high, 2.3);
    assert_true(three.confidence == 0 && three.interval.low == 0 && isinf(three.interval.high));
    near(three.estimate, 2.1 / 1.1);
}

/* The 2.5 % quantile of U for 20 and 20 is 127: the interval begins at the 128th of 400 ratios. */
static void tables_of_u_agree(void **state)
{
    (void)state;
    double a[20], b[20], sorted_low = 0;
    for (int i = 0; i < 20; i++) {
        a[i] = exp(i);           /* ratios exp(j - i): value d = j - i has 20 - |d| pairs */
        b[19 - i] = exp(i);
    }
    int below = 0;
    for (int d = -19; below < 128; d++) {
        below += 20 - abs(d);
        sorted_low = exp(d);
    }
    struct ratio ratio = of(a, 20, b, 20);
    near(ratio.interval.low, sorted_low);
    near(ratio.interval.high, 1 / sorted_low);
    assert_true(ratio.confidence > 0.95 && ratio.confidence < 0.952);
}

static void an_outlier_moves_nothing(void **state)
{
    (void)state;
    const double a[] = {10, 10, 10, 10, 10}, b[] = {20, 20, 20, 20, 1e9};
    struct ratio ratio = of(a, 5, b, 5);
    near(ratio.estimate, 2);
    near(ratio.interval.low, 2);
}

static void what_is_no_measurement_is_refused(void **state)
{
    (void)state;
    const double good[] = {1, 2}, bad[] = {1, 0}, nan[] = {NAN};
    struct ratio ratio;
    struct err err = {0};
    assert_int_equal(ratio_of(good, 2, bad, 2, 0.95, &ratio, &err), ERR_DATA);
    assert_string_equal(err.text, "a ratio is of positive numbers, 0 is none");
    assert_int_equal(ratio_of(nan, 1, good, 2, 0.95, &ratio, &err), ERR_DATA);
    assert_int_equal(ratio_of(good, 0, good, 2, 0.95, &ratio, &err), ERR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_against_five),       cmocka_unit_test(few_repeats_say_nothing),
        cmocka_unit_test(tables_of_u_agree),       cmocka_unit_test(an_outlier_moves_nothing),
        cmocka_unit_test(what_is_no_measurement_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
