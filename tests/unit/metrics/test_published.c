/* Published numbers: DynTok's Table 2 out of whole questions, significance without the answers, verdicts; and headlines as means. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/headline.h"
#include "metrics/paired.h"
#include "metrics/published.h"

enum { TASKS = 12, ROWS = 3 };
static const int64_t questions[TASKS] = {55, 54, 222, 313, 354, 139, 268, 177, 56, 285, 454, 323};
static const double table[ROWS][TASKS + 1] = {
    {67.3, 72.2, 76.6, 64.5, 71.5, 68.4, 40.3, 49.2, 80.4, 54.7, 59.5, 78.6, 63.6},
    {69.1, 70.4, 77.9, 64.2, 70.1, 64.0, 38.4, 49.7, 80.4, 50.9, 59.5, 77.4, 62.5},
    {74.6, 70.4, 77.5, 62.3, 70.9, 69.8, 41.4, 51.4, 78.6, 54.7, 61.9, 77.7, 64.0},
};

/* Sums of the published analysis: 1,716, 1,688 and 1,728 of 2,700, and the two cells whose last digit is wrong. */
static void table_is_built_of_whole_questions(void **state)
{
    (void)state;
    static const int64_t sums[ROWS] = {1716, 1688, 1728};
    int wrong = 0;
    for (int row = 0; row < ROWS; row++) {
        int64_t sum = 0;
        for (int task = 0; task < TASKS; task++) {
            int64_t correct;
            enum whole whole = whole_questions(table[row][task], 1, questions[task], &correct);
            bool known = (row == 0 && task == 5) || (row == 2 && task == 0);
            assert_int_equal(whole, known ? WHOLE_ROUNDED_WRONGLY : WHOLE_EXACT);
            wrong += known;
            sum += correct;
        }
        assert_int_equal(sum, sums[row]);
        assert_true(fabs(whole_printed(sum, 2700, 1) - table[row][TASKS]) < 1e-9);
    }
    assert_int_equal(wrong, 2);
    assert_true(fabs(whole_printed(95, 139, 1) - 68.3) < 1e-9 && fabs(whole_printed(41, 55, 1) - 74.5) < 1e-9);
}

static void what_no_number_of_questions_gives(void **state)
{
    (void)state;
    int64_t correct;
    assert_int_equal(whole_questions(55, 1, 10, &correct), WHOLE_IMPOSSIBLE);
    assert_int_equal(whole_questions(50, 1, 10, &correct), WHOLE_EXACT);
    assert_int_equal(correct, 5);
    assert_int_equal(whole_questions(63.6, 1, 2700, &correct), WHOLE_ANY);
    assert_int_equal(whole_questions(100, 0, 3, &correct), WHOLE_EXACT);
    assert_int_equal(correct, 3);
    assert_true(fabs(whole_printed(1, 8, 1) - 12.5) < 1e-9 && fabs(whole_printed(1, 16, 2) - 6.25) < 1e-9 &&
                fabs(whole_printed(1, 16, 1) - 6.3) < 1e-9);
}

static void significance_without_the_answers(void **state)
{
    (void)state;
    int64_t most = whole_most_changed(12, 0.05);
    assert_true(most > 0 && mcnemar_exact((most + 12) / 2, (most - 12) / 2) < 0.05);
    assert_true(mcnemar_exact((most + 14) / 2, (most - 10) / 2) >= 0.05);
    assert_true(most < 68); /* the published analysis: p >= 0.18 from 68 on */
    assert_int_equal(whole_most_changed(-12, 0.05), most);
    most = whole_most_changed(-28, 0.05);
    assert_true(most >= 136 && most < 270); /* p is 0.02 at 136 and 0.10 at 270 */
    assert_int_equal(whole_most_changed(0, 0.05), 0);
    assert_int_equal(whole_most_changed(5, 0.05), 0); /* 5 against 0 is 0.0625 */
    assert_int_equal(whole_most_changed(6, 0.05), 6);
}

static void verdicts_follow_the_interval(void **state)
{
    (void)state;
    int64_t n;
    assert_int_equal(verdict_of((struct interval){-2, 1}, 0.05, 3, 100, &n), VERDICT_WITHIN_NOISE);
    assert_int_equal(verdict_of((struct interval){-3, -1}, 0.05, 3, 100, &n), VERDICT_LOWER);
    assert_int_equal(verdict_of((struct interval){0.1, 9}, 0.05, 3, 100, &n), VERDICT_HIGHER);
    assert_int_equal(verdict_of((struct interval){0.04, 4}, 0.05, 3, 100, &n), VERDICT_WITHIN_NOISE); /* 0.04 may be rounding */
    assert_int_equal(n, 0);
    assert_int_equal(verdict_of((struct interval){-7, 5}, 0.05, 3, 100, &n), VERDICT_CANNOT_TELL);
    assert_int_equal(n, 400); /* twice too wide: four times the questions */
    assert_int_equal(verdict_of((struct interval){-INFINITY, INFINITY}, 0.05, 3, 100, &n), VERDICT_CANNOT_TELL);
    assert_int_equal(n, 0);
}

/* Group 0 has 2 of 4, group 1 has 1 of 1: macro 0.75. Group 2 is empty and counts only when three are asked for. */
static void macro_is_a_mean_over_questions(void **state)
{
    (void)state;
    static const size_t group[] = {0, 0, 0, 0, 1};
    for (size_t least = 0; least <= 3; least += 3) {
        double scores[] = {1, 1, 0, 0, 1}, sum = 0, squares = 0, parts = least ? 3 : 2;
        struct err err = {0};
        assert_int_equal(headline_macro(scores, group, 5, 3, least, &err), 0);
        for (int i = 0; i < 5; i++)
            sum += scores[i];
        assert_true(fabs(sum / 5 - 1.5 / parts) < 1e-12);
        for (int i = 0; i < 5; i++)
            squares += (scores[i] - sum / 5) * (scores[i] - sum / 5) / 25;
        assert_true(fabs(squares - 4 * 0.25 / (4 * parts) / (4 * parts)) < 1e-12); /* that of group 0's mean, over the groups */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_built_of_whole_questions),
        cmocka_unit_test(what_no_number_of_questions_gives),
        cmocka_unit_test(significance_without_the_answers),
        cmocka_unit_test(verdicts_follow_the_interval),
        cmocka_unit_test(macro_is_a_mean_over_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
