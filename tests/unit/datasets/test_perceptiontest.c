/* Perception Test: the Hub's rows and the authors' object of videos, skills and areas, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_fixture.h"

#define NAME "perceptiontest_val_mc"
#define BODY                                                                                                             \
    "\"question\":\"What?\",\"options\":[\"one\",\"two\",\"three\"],\"area\":\"semantics\",\"reasoning\":\"explanatory\"," \
    "\"tag\":[\"motion\",\"sequencing\",\"collision\"]"

static bool has_tag(const struct sample *sample, const char *kind, const char *name)
{
    for (size_t i = 0; i < sample->n_tags; i++)
        if (!strcmp(sample->tags[i].kind, kind) && !strcmp(sample->tags[i].name, name))
            return true;
    return false;
}

static void check_sample(const struct sample *sample, const char *id, int answer)
{
    assert_string_equal(sample->id, id);
    assert_int_equal(sample->answer, answer);
    assert_string_equal(sample->domain, "semantics");
    assert_string_equal(sample->task_type, "explanatory");
    assert_int_equal(sample->n_tags, 5); /* three skills, in two areas */
    assert_true(has_tag(sample, "tag", "collision") && has_tag(sample, "area", "physics") && has_tag(sample, "area", "memory"));
    assert_false(has_tag(sample, "area", "semantics"));
}

static void test_forms(void **state)
{
    (void)state;
    put("hub.jsonl", "{\"video_name\":\"video_7\",\"question_id\":\"3\",\"answer_id\":\"2\"," BODY "}\n"
                     "{\"video_name\":\"video_7\",\"question_id\":\"4\",\"answer_id\":\"0\"," BODY "}");
    put("mc_question_valid.json", "{\"video_7\":{\"metadata\":{\"split\":\"valid\",\"id\":9},"
                                  "\"mc_question\":[{\"id\":3,\"answer_id\":2," BODY "},"
                                  "{\"id\":4,\"answer_id\":0," BODY "}]},\"video_8\":{\"metadata\":{},\"mc_question\":[]},"
                                  "\"video_9\":{\"mc_question\":[{\"id\":3,\"answer_id\":1," BODY "}]}}");
    put("videos/video_7.MP4", "");
    struct manifest hub = load_ok(NAME, at("hub.jsonl"), NULL), authors = load_ok(NAME, at("mc_question_valid.json"), NULL);
    check_sample(&hub.samples[0], "video_7_3", 2);
    check_sample(&hub.samples[1], "video_7_4", 0);
    check_sample(&authors.samples[0], "video_7_3", 2);
    check_sample(&authors.samples[2], "video_9_3", 1);
    assert_int_equal(authors.n_samples, 3);
    assert_int_equal(authors.n_videos, 2);
    assert_string_equal(authors.videos[0].path, at("videos/video_7.MP4"));
    assert_string_equal(authors.videos[1].path, at("videos/video_9.mp4"));
    manifest_free(&hub);
    manifest_free(&authors);
}

/* A fourth option is D with us, and C upstream. */
static void test_prompts(void **state)
{
    (void)state;
    static const char *const options[] = {"one", "two", "three", "four"};
    const struct sample sample = {.question = "What?", .options = options, .n_options = 4};
    struct arena arena = {0};
    assert_string_equal(prompt_of(NAME, "toksweep", PROMPT_DEFAULT, &sample, &arena).user,
                        "What?\nA. one\nB. two\nC. three\nD. four\nAnswer with the option's letter from the given choices directly.");
    assert_string_equal(prompt_of(NAME, "lmms-head", PROMPT_DEFAULT, &sample, &arena).user,
                        "What?\nA. one\nB. two\nC. three\nC. four\nAnswer with the option's letter from the given choices directly.");
    arena_free(&arena);
}

static void refuse(const char *text, const char *part)
{
    put("m.json", text);
    load_refused(NAME, at("m.json"), ERR_DATA, part);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("{\"video_1\":{\"mc_question\":[{\"id\":0,\"answer_id\":3," BODY "}]}}", "row 0 ('video_1_0') cannot be asked: field "
        "'answer_id' is '3'; expected 0 to 2");
    refuse("{\"../1\":{\"mc_question\":[{\"id\":0,\"answer_id\":1," BODY "}]}}", "row 0: '../1' cannot be the name of a video");
    refuse("{\"video_1\":{\"mc_question\":[{\"id\":0.5,\"answer_id\":1," BODY "}]}}", "row 0: field 'id' is another number; expected "
        "a text or a whole number");
    refuse("{\"video_1\":{\"mc_question\":3}}", "row 0: field 'mc_question' is a number; expected a list");
    refuse("{\"video_1\":{\"mc_question\":[4]}}", "row 0: the record is a number; expected an object");
    refuse("{\"video_1\":{}}", "row 0: no field 'question'");
    refuse("{\"video_1\":{\"mc_question\":[{\"id\":0,\"answer_id\":1,\"question\":\"q\",\"options\":[\"a\"],\"tag\":[1]}]}}",
           "row 0: item 0 of field 'tag' is a number; expected a text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forms, sandbox_make, sandbox_remove),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test_setup_teardown(test_refusals, sandbox_make, sandbox_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
