/* Pareto fronts: who is on them, how often, and how far their best reaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "metrics/front.h"
#include "metrics/special.h"

#include <math.h>

enum { VIDEOS = 200, DRAWS = 4000 };

static void near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.6g, expected %.6g", value, expected);
}

static const double still[VIDEOS];

static void front_is_of_what_nothing_beats(void **state)
{
    (void)state;
    struct front_cell cells[] = {{.cost = 1, .accuracy = 50, .moved = still}, {.cost = 2, .accuracy = 60, .moved = still},
                                 {.cost = 3, .accuracy = 60, .moved = still}, {.cost = 3, .accuracy = 70, .moved = still},
                                 {.cost = 4, .accuracy = 65, .moved = still}, {.cost = 2, .accuracy = 60, .moved = still}};
    static const bool expected[] = {true, true, false, true, false, true}; /* equal cells do not beat each other */
    const double at[] = {1, 2.5, 9};
    struct interval band[3];
    struct err err = {0};
    assert_int_equal(front_bootstrap(cells, 6, VIDEOS, at, band, 3, 0.95, 100, 0, &err), 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(cells[i].on_front, expected[i]);
        near(cells[i].chance, expected[i], 1e-9);
    }
    assert_true(band[0].low == 50 && band[0].high == 50 && band[1].low == 60 && band[2].low == 70 && band[2].high == 70);
}

/* Two cells whose difference has a known error: the dearer one is on the front when it comes out better. */
static void chance_is_that_of_the_difference(void **state)
{
    (void)state;
    double moved[VIDEOS], sum = 0, squares = 0;
    for (uint64_t v = 0; v < VIDEOS; v++)
        sum += moved[v] = rng_unit(3, 1, v) - 0.5;
    for (int v = 0; v < VIDEOS; v++) {
        moved[v] -= sum / VIDEOS;
        squares += moved[v] * moved[v];
    }
    double se = sqrt(squares);
    for (double gap = -1; gap <= 1; gap += 0.5) {
        struct front_cell cells[] = {{.cost = 1, .accuracy = 60, .moved = still}, {.cost = 2, .accuracy = 60 + gap * se, .moved = moved}};
        const double at[] = {2};
        struct interval band;
        struct err err = {0};
        assert_int_equal(front_bootstrap(cells, 2, VIDEOS, at, &band, 1, 0.95, DRAWS, 1, &err), 0);
        near(cells[1].chance, normal_cdf(gap), 0.03);
        near(cells[0].chance, 1, 0);
        near(band.high, 60 + fmax(0, gap + 1.96) * se, 0.15 * se);
        assert_true(band.low >= 60);
    }
}

/* What cells have in common does not count: both move alike, the better one is always better. */
static void common_noise_cancels(void **state)
{
    (void)state;
    double moved[VIDEOS] = {0};
    moved[0] = 30;
    moved[1] = -30;
    struct front_cell cells[] = {{.cost = 1, .accuracy = 60, .moved = moved}, {.cost = 2, .accuracy = 60.1, .moved = moved}};
    const double at[] = {2};
    struct interval band, again;
    struct err err = {0};
    assert_int_equal(front_bootstrap(cells, 2, VIDEOS, at, &band, 1, 0.95, 500, 2, &err), 0);
    near(cells[1].chance, 1, 1e-9);
    assert_true(band.high > 80 && band.low < 40);
    assert_int_equal(front_bootstrap(cells, 2, VIDEOS, at, &again, 1, 0.95, 500, 2, &err), 0);
    assert_true(again.low == band.low && again.high == band.high); /* the same seed, the same draws */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_is_of_what_nothing_beats),
        cmocka_unit_test(chance_is_that_of_the_difference),
        cmocka_unit_test(common_noise_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
