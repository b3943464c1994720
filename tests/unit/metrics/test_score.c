/* Scoring: the profile decides what a reply is worth, and the reply stays as it was. */
#include "metrics/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const options[] = {"A. one", "B. two", "C. three", "D. four", "E. five"};

static struct answer score(const char *profile_name, const char *benchmark, const char *reply, int n_options, int right)
{
    const struct profile *profile = profile_find(profile_name);
    struct sample sample = {.id = "s", .question = "q", .options = options, .n_options = n_options, .answer = right};
    struct answer answer = {.status = ANSWER_TIMEOUT, .raw = reply, .margin = 0.5};
    struct err err = {0};
    assert_int_equal(score_reply(&answer, reply, &sample, profile, profile_protocol(profile, benchmark), 4, &err), 0);
    assert_ptr_equal(answer.raw, reply);
    assert_true(answer.margin == 0.5);
    return answer;
}

static void test_right_wrong_and_none(void **state)
{
    (void)state;
    struct answer answer = score("toksweep", "videomme", "The answer is C", 4, 2);
    assert_int_equal(answer.status, ANSWER_OK);
    assert_int_equal(answer.extracted, 2);
    assert_true(answer.correct);
    answer = score("toksweep", "videomme", "B", 4, 2);
    assert_int_equal(answer.status, ANSWER_OK);
    assert_false(answer.correct);
    answer = score("toksweep", "videomme", "", 4, 2);
    assert_int_equal(answer.status, ANSWER_NO_ANSWER);
    assert_int_equal(answer.extracted, -1);
    assert_false(answer.correct);
}

/* Without a right option nothing can be right, least of all no letter. */
static void test_untold_answer(void **state)
{
    (void)state;
    assert_false(score("toksweep", "videomme", "none", 4, -1).correct);
    assert_false(score("toksweep", "videomme", "A", 4, -1).correct);
}

/* Neither letters that the row lacks nor those that the benchmark lacks are on offer. */
static void test_letters_on_offer(void **state)
{
    (void)state;
    assert_int_equal(score("toksweep", "videomme", "D", 3, 0).extracted, -1);
    assert_int_equal(score("toksweep", "videomme", "E", 5, 4).extracted, -1);
}

static void test_profiles_differ(void **state)
{
    (void)state;
    assert_int_equal(score("lmms-head", "videomme", "Answer: C", 4, 2).extracted, 2);
    assert_int_equal(score("lmms-0.3.4", "videomme", "Answer: C", 4, 2).extracted, 0);
    const char reply[] = "<think>maybe A</think>C";
    assert_int_equal(score("lmms-head", "videomme", reply, 4, 2).extracted, 2);
    assert_int_equal(score("lmms-0.3.4", "videomme", reply, 4, 2).extracted, 0);
    assert_string_equal(reply, "<think>maybe A</think>C");
}

/* Which replies a headline leaves out: silent ones, those without a letter, or none. */
static void test_counts(void **state)
{
    (void)state;
    const struct protocol all = {.benchmark = "b"}, said = {.benchmark = "b", .drop_empty = true}, read = {.benchmark = "b", .drop_unread = true};
    const struct answer ok = {.extracted = 0}, unread = {.extracted = -1}, silent = {.extracted = -1, .empty = true};
    assert_true(score_counts(&ok, &all) && score_counts(&unread, &all) && score_counts(&silent, &all));
    assert_true(score_counts(&ok, &said) && score_counts(&unread, &said) && !score_counts(&silent, &said));
    assert_true(score_counts(&ok, &read) && !score_counts(&unread, &read) && !score_counts(&silent, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_wrong_and_none),
        cmocka_unit_test(test_untold_answer),
        cmocka_unit_test(test_letters_on_offer),
        cmocka_unit_test(test_profiles_differ),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
