/* LongVideoBench: both files' forms, groups, subtitles as part of the manifest, and prompts that lmms-eval does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/text.h"
#include "tests/support/manifest_fixture.h"

#define COMMON(id)                                                                                                         \
    "\"id\":\"" id "\",\"video_id\":\"v\",\"video_path\":\"v-1.mp4\",\"subtitle_path\":\"v_en.json\",\"question\":\"What?\"," \
    "\"duration\":3.5,\"duration_group\":15,\"question_category\":\"T2A\",\"topic_category\":\"KA-Knowledge-Art\","           \
    "\"starting_timestamp_for_subtitles\":2"
#define AUTHORS(id, choice)                                                                                                \
    "{" COMMON(id) ",\"candidates\":[\"one\",\"two \",\"three\"],\"correct_choice\":" choice                              \
    ",\"position\":[1,2],\"level\":\"L1-Perception\"}"
#define HUB(id, choice)                                                                                                    \
    "{" COMMON(id) ",\"option0\":\"one\",\"option1\":\"two \",\"option2\":\"three\",\"option3\":\"N/A\",\"option4\":\"N/A\"," \
    "\"correct_choice\":" choice "}"

static void check_sample(const struct sample *sample)
{
    assert_string_equal(sample->id, "v_0");
    assert_int_equal(sample->n_options, 3);
    assert_string_equal(sample->options[1], "two ");
    assert_int_equal(sample->answer, 2);
    assert_string_equal(sample->task_type, "T2A");
    assert_string_equal(sample->duration, "15");
    assert_string_equal(sample->domain, "KA-Knowledge-Art");
    assert_string_equal(sample->sub_category, "L1-Perception");
}

static void test_forms(void **state)
{
    (void)state;
    put("lvb_val.json", "[" AUTHORS("v_0", "2") "]");
    put("m.jsonl", HUB("v_0", "2") "\n" HUB("v_1", "-1"));
    put("videos/v-1.mp4", "");
    struct manifest authors = load_ok("longvideobench_val_v", at("lvb_val.json"), NULL);
    struct manifest hub = load_ok("longvideobench_val_v", at("m.jsonl"), NULL);
    check_sample(&authors.samples[0]);
    check_sample(&hub.samples[0]);
    assert_int_equal(hub.samples[1].answer, -1);
    assert_null(hub.samples[0].subtitles);
    assert_string_equal(authors.videos[0].path, at("videos/v-1.mp4"));
    struct arena arena = {0};
    assert_string_equal(prompt_of("longvideobench_val_v", "official", PROMPT_DEFAULT, &hub.samples[0], &arena).user,
                        "Question: What?\nA. one\nB. two \nC. three\nAnswer with the option's letter from the given choices directly.");
    arena_free(&arena);
    manifest_free(&authors);
    manifest_free(&hub);
}

/* Frames at 0, 1 and 2 seconds of the video; the file's times begin two seconds earlier. */
static void test_subtitles(void **state)
{
    (void)state;
    put("lvb_val.json", "[" AUTHORS("v_0", "2") "," AUTHORS("v_1", "0") "]");
    put("subtitles/v_en.json", "[{\"timestamp\":[2.2,3.8],\"text\":\"early\"},"
                               "{\"start\":\"00:00:03.5\",\"end\":\"00:00:04.9\",\"line\":\"late\"}]");
    struct manifest manifest = load_ok("longvideobench_val_i", at("lvb_val.json"), NULL);
    struct arena arena = {0};
    assert_ptr_equal(manifest.samples[0].subtitles, manifest.samples[1].subtitles);
    assert_string_equal(prompt_of("longvideobench_val_i", "lmms-0.3.4", PROMPT_DEFAULT, &manifest.samples[0], &arena).user,
                        "<image>\n<image>\nearly\n<image>\nlate\nWhat?\nA. one\nB. two \nC. three\n"
                        "Answer with the option's letter from the given choices directly.\n");
    char before[DIGEST_HEX];
    strcpy(before, manifest.digest);
    manifest_free(&manifest);
    put("subtitles/v_en.json", "[]"); /* other subtitles are another manifest */
    manifest = load_ok("longvideobench_val_i", at("lvb_val.json"), NULL);
    assert_string_not_equal(manifest.digest, before);
    manifest_free(&manifest);
    arena_free(&arena);
}

static void finding_add(const struct finding *finding, void *context)
{
    text_printf(context, "%s %s %s\n", finding->is_error ? "error" : "note", finding->kind, finding->sample_id ? finding->sample_id : "-");
}

static void test_bad_subtitles(void **state)
{
    (void)state;
    struct err err = {0};
    struct text findings = {0};
    struct manifest manifest;
    const struct benchmark *benchmark = benchmark_find("longvideobench_val_i");
    put("lvb_val.json", "[" AUTHORS("v_0", "2") "," AUTHORS("v_1", "0") "]");
    put("videos/v-1.mp4", "");
    manifest = load_ok("longvideobench_val_i", at("lvb_val.json"), NULL);
    assert_int_equal(manifest_check(&manifest, benchmark, finding_add, &findings), 2);
    assert_non_null(strstr(findings.bytes, "error missing_subtitles v_0\n"));
    assert_non_null(strstr(findings.bytes, "error missing_subtitles v_1\n"));
    struct prompt_text prompt;
    const struct prompting how = {.protocol = profile_protocol(profile_find("toksweep"), benchmark->name), .video = &manifest.videos[0]};
    assert_int_equal(benchmark->prompt(&prompt, &manifest.samples[0], &how, &manifest.arena, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "subtitles/v_en.json', which this benchmark shows"));
    manifest_free(&manifest);
    text_free(&findings);
    static const struct { const char *json, *part; } files[] = {
        {"{}", "v_en.json' is an object; expected a list of subtitles"},
        {"[{\"timestamp\":[1.0,2.0]}]", "v_en.json', entry 0: expected"},
        {"[{\"start\":\"1\",\"end\":\"2\",\"line\":\"x\"}]", "entry 0: expected"},
        {"[{\"timestamp\":\"1\",\"text\":\"x\"}]", "entry 0: expected"},
        {"[", "not valid JSON"},
        {"[{\"timestamp\":[1.0,2.0],\"text\":\"\xff\"}]", "subtitles should be UTF-8"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put("subtitles/v_en.json", files[i].json);
        load_refused("longvideobench_val_i", at("lvb_val.json"), ERR_DATA, files[i].part);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    put("m.json", "[" AUTHORS("v_0", "3") "]");
    load_refused("longvideobench_val_v", at("m.json"), ERR_DATA, "row 0 ('v_0') cannot be asked: field 'correct_choice' is 3; "
        "expected 0 to 2, or -1");
    put("m.json", "[{" COMMON("v_0") ",\"candidates\":[],\"correct_choice\":-1}]");
    load_refused("longvideobench_val_v", at("m.json"), ERR_DATA, "cannot be asked: it has no options");
    put("m.json", "[{" COMMON("v_0") ",\"candidates\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"],\"correct_choice\":0}]");
    load_refused("longvideobench_val_v", at("m.json"), ERR_DATA, "row 0: field 'candidates' has 6 texts; expected 0 to 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forms, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_subtitles, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_bad_subtitles, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_refusals, sandbox_make, sandbox_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
