/* MLVU: the Hub's files and the authors' folder, the rows that need a decision, where videos are, and the authors' prompt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/text.h"
#include "tests/support/manifest_fixture.h"

#define ROW(video, question, candidates, answer, type) \
    "{\"video\":\"" video "\",\"duration\":480.5,\"question\":\"" question "\",\"candidates\":" candidates ",\"answer\":\"" answer \
    "\",\"question_type\":\"" type "\"}"

static void put_authors(void)
{
    put("json/1_plotQA.json", "[" ROW("movie_1.mp4", "What colour?", "[\"Red\",\"Blue\",\"Red\",\"Grey\"]", "Red", "plotQA") "]");
    put("json/2_needle.json",
        "[" ROW("needle_4.mp4", "What now? ", "[\"Fishing\",\"Catching the drone\",\"Rest\",\"Sleep\"]",
                "Catching a flying drone quadcopter", "findNeedle")
        "," ROW("needle_5.mp4", "And now?", "[\"Fishing\",\"Swim\",\"Rest\",\"Sleep\"]", "Sleep", "findNeedle") "]");
    put("json/7_topic_reasoning.json", "[" ROW("movie_2.mp4", "", "[\"\",\"\",\"\",\"\"]", "", "topic_reasoning") ","
                                       ROW("ego_1.mp4", "Where is it?", "[\"Hall\",\"\",\"Lounge\",\"Attic\"]", "", "topic_reasoning") "]");
    put("json/9_summary.json", "[{\"video\":\"x.mp4\"}]");
}

static void test_authors(void **state)
{
    (void)state;
    put_authors();
    struct manifest manifest = load_ok("mlvu_dev", sandbox, NULL);
    static const char *const ids[] = {"needle-0", "needle-1", "plotQA-0", "topic_reasoning-1"}; /* in the Hub's order of tasks */
    assert_int_equal(manifest.n_samples, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(manifest.samples[i].id, ids[i]);
    assert_string_equal(manifest.samples[0].question, "What now? \n(A) Fishing\n(B) Catching the drone\n(C) Rest\n(D) Sleep\n");
    assert_string_equal(manifest.samples[0].task_type, "needle");
    assert_int_equal(manifest.samples[0].answer, 1); /* as the Hub has it */
    assert_int_equal(manifest.samples[1].answer, 3);
    assert_int_equal(manifest.samples[2].answer, 0); /* the first of equal ones */
    assert_int_equal(manifest.samples[3].answer, 1);
    assert_int_equal(manifest.n_notes, 2);
    assert_string_equal(manifest.notes[0].kind, "answer_text");
    assert_string_equal(manifest.notes[0].sample_id, "needle-0");
    assert_string_equal(manifest.notes[1].kind, "empty_row");
    assert_null(manifest.notes[1].sample_id);
    assert_string_equal(manifest.notes[1].text,
                        "row 0 of task 'topic_reasoning' (video 'movie_2.mp4') has neither question nor candidates; it is left out");
    manifest_free(&manifest);
}

static void test_videos(void **state)
{
    (void)state;
    put_authors();
    put("video/2_needle/needle_4.mp4", "");
    put("video/plotQA/movie_1.mp4", "");
    put("video/ego_1.mp4", "");
    struct manifest manifest = load_ok("mlvu_dev", sandbox, NULL);
    assert_string_equal(manifest.videos[0].path, at("video/2_needle/needle_4.mp4"));
    assert_true(manifest.videos[1].missing);
    assert_string_equal(manifest.videos[2].path, at("video/plotQA/movie_1.mp4"));
    assert_string_equal(manifest.videos[3].path, at("video/ego_1.mp4"));
    manifest_free(&manifest);
    manifest = load_ok("mlvu_dev", at("json/2_needle.json"), NULL); /* one task alone */
    assert_int_equal(manifest.n_samples, 2);
    assert_string_equal(manifest.videos[0].path, at("json/../video/2_needle/needle_4.mp4"));
    manifest_free(&manifest);
}

static void test_digest(void **state)
{
    (void)state;
    put_authors();
    struct manifest before = load_ok("mlvu_dev", sandbox, NULL);
    put("json/1_plotQA.json", "[" ROW("movie_1.mp4", "What colour?", "[\"Red\",\"Blue\",\"Red\",\"Gray\"]", "Red", "plotQA") "]");
    struct manifest after = load_ok("mlvu_dev", sandbox, NULL);
    assert_string_not_equal(before.digest, after.digest);
    assert_int_equal(strlen(after.digest), DIGEST_HEX - 1);
    manifest_free(&before);
    manifest_free(&after);
}

#define HUB(id, answer) \
    "{\"video_name\":\"v.mp4\",\"duration\":1.5,\"question\":\"Who?\\n(A) a\\n(B) " \
        "b\\n\",\"candidates\":[\"a\",\"b\"],\"answer\":\"" answer \
    "\",\"task_type\":\"sportsQA\",\"question_id\":\"" id "\"}"

static void test_hub(void **state)
{
    (void)state;
    put("m.jsonl", HUB("SQ_0", "B") "\n" HUB("SQ_1", ""));
    struct manifest manifest = load_ok("mlvu_test", at("m.jsonl"), NULL);
    assert_string_equal(manifest.samples[0].id, "SQ_0");
    assert_string_equal(manifest.samples[0].question, "Who?\n(A) a\n(B) b\n");
    assert_int_equal(manifest.samples[0].answer, 1);
    assert_int_equal(manifest.samples[1].answer, -1);
    manifest_free(&manifest);
    put("m.jsonl", HUB("SQ_0", "b"));
    load_refused("mlvu_test", at("m.jsonl"), ERR_DATA, "row 0 ('SQ_0') cannot be asked: the answer 'b' is no letter of the 2 candidates");
    put("2_needle.json", "[" ROW("v.mp4", "q", "[\"a\",\"b\"]", "c", "findNeedle") "]");
    load_refused("mlvu_dev", at("2_needle.json"), ERR_DATA, "row 0 ('needle-0') cannot be asked: the answer 'c' is none of the 2 "
        "candidates");
    put("empty/readme", "");
    load_refused("mlvu_dev", at("empty"), ERR_DATA, "has none of MLVU's files, such as '2_needle.json'");
}

static void test_prompts(void **state)
{
    (void)state;
    static const char *const options[] = {"a", "b "};
    const struct sample sample = {.question = "Who? \n(A) a\n(B) b \n", .options = options, .n_options = 2, .task_type = "ego"};
    struct arena arena = {0};
    assert_string_equal(prompt_of("mlvu_test", "toksweep", PROMPT_DEFAULT, &sample, &arena).user,
                        "Who? \n(A) a\n(B) b \n\nOnly give the best option.\nBest option: (");
    struct prompt_text official = prompt_of("mlvu_test", "official", PROMPT_DEFAULT, &sample, &arena);
    assert_string_equal(official.user, "Question: Who? \nOptions:\n(A) a\n(B) b\nOnly give the best option.");
    assert_string_equal(official.prefill, "Best Option: (");
    assert_int_equal(strncmp(official.system, "Carefully watch this video and pay attention to every detail. ", 62), 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_authors, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_videos, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_digest, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_hub, sandbox_make, sandbox_remove),
        cmocka_unit_test(test_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
