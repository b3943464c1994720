/* A gate's verdicts: by hand, and their errors and power over simulated runs. */
#include "core/rng.h"
#include "metrics/judgement.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- by hand ------------------------------------------------------------------------------------------------------------- */

static enum judgement judge(double mean, double se, size_t videos, double margin)
{
    struct difference difference = {.mean = mean, .se = se, .df = (double)videos - 1, .n = 3 * videos, .clusters = videos};
    return difference_judge(&difference, margin, 0.05).verdict;
}

/* 901 videos: t(0.95, 900) = 1.6465, half a video 0.00055. */
static void test_bounds(void **state)
{
    (void)state;
    struct difference difference = {.mean = -0.01, .se = 0.006, .df = 900, .n = 2703, .clusters = 901};
    struct judged judgement = difference_judge(&difference, 0.02, 0.05);
    assert_true(fabs(judgement.bounds.low - (-0.01 - 1.64654 * 0.006 - 0.5 / 901)) < 1e-6);
    assert_true(fabs(judgement.bounds.high - (-0.01 + 1.64654 * 0.006 + 0.5 / 901)) < 1e-6);
    assert_int_equal(judgement.verdict, JUDGED_INCONCLUSIVE);
    assert_true(judgement.questions == ceil(2703 * pow((1.6448536 + 0.8416212) * 0.006 / 0.02, 2)));
    assert_int_equal(judge(0, 0.006, 901, 0.02), JUDGED_PASS);
    assert_int_equal(judge(-0.009, 0.006, 901, 0.02), JUDGED_PASS);
    assert_int_equal(judge(-0.03, 0.006, 901, 0.02), JUDGED_INCONCLUSIVE);
    assert_int_equal(judge(-0.031, 0.006, 901, 0.02), JUDGED_FAIL);
    assert_int_equal(judge(0.1, 0.006, 901, 0.02), JUDGED_PASS);
}

/* Equal answers prove little when there are few: at a margin of 2 points, 20 questions nothing, 200 videos enough. */
static void test_equal_answers(void **state)
{
    (void)state;
    assert_int_equal(judge(0, 0, 7, 0.02), JUDGED_INCONCLUSIVE);
    assert_int_equal(judge(0, 0, 20, 0.02), JUDGED_INCONCLUSIVE);
    assert_int_equal(judge(0, 0, 150, 0.02), JUDGED_INCONCLUSIVE); /* 0.98^150 is still 0.048 */
    assert_int_equal(judge(0, 0, 200, 0.02), JUDGED_PASS);
    assert_int_equal(judge(0, 0, 80, 0.05), JUDGED_PASS);
    assert_int_equal(judge(-1, 0, 20, 0.02), JUDGED_FAIL);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(judgement_name(JUDGED_PASS), "pass");
    assert_string_equal(judgement_name(JUDGED_INCONCLUSIVE), "inconclusive");
    assert_string_equal(judgement_name(JUDGED_INCOMPLETE), "incomplete");
    assert_string_equal(judgement_name(JUDGED_FAIL), "fail");
}

/* ---- by simulation ------------------------------------------------------------------------------------------------------- */

enum { RUNS = 10000, FEWER_RUNS = 3000, MOST_QUESTIONS = 600 };

/* A world of runs: questions that the baseline alone gets right (lost) and that the candidate alone does (won). */
struct world {
    const char *name;
    size_t videos, questions; /* per video */
    double lost, won;         /* shares */
    bool together;            /* a video's questions flip together */
};

static void imagine(struct pair *pairs, const struct world *world, uint64_t run)
{
    for (size_t i = 0; i < world->videos * world->questions; i++) {
        size_t video = i / world->questions;
        double luck = rng_unit(run, rng_stream(world->name), world->together ? video : i);
        bool won = luck < world->won, lost = !won && luck < world->won + world->lost;
        pairs[i] = (struct pair){video, won, lost};
    }
}

struct tally { size_t n[JUDGEMENTS], covered; double se; };

static struct tally simulate(const struct world *world, double margin, double alpha, size_t runs)
{
    static struct pair pairs[MOST_QUESTIONS];
    struct tally tally = {0};
    struct err err = {0};
    double truth = world->won - world->lost;
    for (uint64_t run = 0; run < runs; run++) {
        struct difference difference;
        imagine(pairs, world, run);
        assert_int_equal(paired_difference(pairs, world->videos * world->questions, world->videos, 0.95, &difference, &err), 0);
        struct judged judgement = difference_judge(&difference, margin, alpha);
        tally.n[judgement.verdict]++;
        tally.covered += judgement.bounds.low <= truth && truth <= judgement.bounds.high;
        tally.se += difference.se / (double)runs;
    }
    return tally;
}

/* What a count of a share of FEWER_RUNS may reach by chance: three standard errors. */
static double most_of(double share)
{
    return FEWER_RUNS * share + 3 * sqrt(FEWER_RUNS * share * (1 - share));
}

/* Nothing changed but noise: false alarms are few. The same at the worst of all that is allowed, a loss of the margin to the dot. */
static void test_false_alarms(void **state)
{
    (void)state;
    static const struct world worlds[] = {
        {"20 questions", 20, 1, 0.05, 0.05, false},
        {"Video-MME", 100, 3, 0.05, 0.05, false},
        {"whole videos", 100, 3, 0.05, 0.05, true},
        {"few flips", 200, 1, 0.01, 0.01, false},
    };
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        struct world at_margin = worlds[i];
        at_margin.lost += 0.05;
        size_t alarms = simulate(&worlds[i], 0.05, 0.05, RUNS).n[JUDGED_FAIL];
        size_t worst = simulate(&at_margin, 0.05, 0.05, FEWER_RUNS).n[JUDGED_FAIL];
        if (alarms > RUNS / 20)
            fail_msg("%s: %zu of %d runs without a change failed", worlds[i].name, alarms, RUNS);
        if ((double)worst > most_of(0.05))
            fail_msg("%s: %zu of %d runs that lost the margin failed", worlds[i].name, worst, FEWER_RUNS);
    }
}

/* And what lost the margin passes as seldom. */
static void test_false_passes(void **state)
{
    (void)state;
    static const struct world worlds[] = {
        {"loss only", 150, 1, 0.05, 0, false},
        {"few flips", 150, 1, 0.06, 0.01, false},
        {"many flips", 100, 3, 0.15, 0.10, false},
        {"whole videos", 100, 3, 0.10, 0.05, true},
        {"20 questions", 20, 1, 0.10, 0.05, false},
    };
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        struct tally tally = simulate(&worlds[i], 0.05, 0.05, FEWER_RUNS);
        if ((double)tally.n[JUDGED_PASS] > most_of(0.055)) /* a little more than alpha where flips are few */
            fail_msg("%s: %zu of %d runs that lost the margin passed", worlds[i].name, tally.n[JUDGED_PASS], FEWER_RUNS);
        if ((double)tally.covered < 0.89 * FEWER_RUNS)
            fail_msg("%s: 90 %% bounds held the truth in %zu of %d runs", worlds[i].name, tally.covered, FEWER_RUNS);
    }
}

static void near(const char *world, const char *what, size_t found, double expected)
{
    if (fabs((double)found / FEWER_RUNS - expected) > 0.03)
        fail_msg("%s: %zu of %d runs %s, %.0f were predicted", world, found, FEWER_RUNS, what, FEWER_RUNS * expected);
}

/* The verdicts come as often as their power says. */
static void test_power(void **state)
{
    (void)state;
    static const struct world worlds[] = {
        {"no change", 200, 3, 0.05, 0.05, false},
        {"a loss of 2 points", 200, 3, 0.06, 0.04, false},
        {"a loss of 8 points", 200, 3, 0.10, 0.02, false},
        {"a loss of 10 points, whole videos", 200, 3, 0.14, 0.04, true},
    };
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        const struct world *world = &worlds[i];
        double truth = world->won - world->lost, margin = 0.04, alpha = 0.05;
        struct tally tally = simulate(world, margin, alpha, FEWER_RUNS);
        near(world->name, "passed", tally.n[JUDGED_PASS], pass_power(tally.se, world->videos, truth, margin, alpha));
        near(world->name, "failed", tally.n[JUDGED_FAIL], fail_power(tally.se, world->videos, truth, margin, alpha));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_equal_answers), cmocka_unit_test(test_names),
        cmocka_unit_test(test_false_alarms), cmocka_unit_test(test_false_passes),  cmocka_unit_test(test_power),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
