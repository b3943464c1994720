/* Video-MME: the four forms of its manifest, where its videos are, its prompts, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/text.h"
#include "tests/support/manifest_fixture.h"

#define FOLDER FIXTURES_DIR "/videomme/"

static const struct sample expected[] = {
    {.id = "001-1", .video = 0, .n_options = 4, .answer = 1, .task_type = "Object Reasoning", .duration = "short",
     .domain = "Knowledge", .sub_category = "Geography", .question = "What stands on the pier?"},
    {.id = "001-2", .video = 0, .n_options = 4, .answer = 0, .task_type = "Counting Problem", .duration = "short",
     .domain = "Knowledge", .sub_category = "Geography", .question = "How many boats leave?\n(a) before noon\n(b) after noon"},
    {.id = "002-1", .video = 1, .n_options = 4, .answer = 3, .task_type = "OCR Problems", .duration = "medium",
     .domain = "Life Record", .sub_category = "Food", .question = "What does the sign say?"},
    {.id = "002-2", .video = 1, .n_options = 4, .answer = 2, .task_type = "Action Reasoning", .duration = "medium",
     .domain = "Life Record", .sub_category = "Food", .question = "Why is the pan covered?"},
    {.id = "003-1", .video = 2, .n_options = 4, .answer = 0, .task_type = "Temporal Perception", .duration = "long",
     .domain = "Multilingual", .sub_category = "Multilingual", .question = "When is salt added?"},
};

static void check_samples(const struct manifest *manifest)
{
    assert_int_equal(manifest->n_samples, 5);
    assert_int_equal(manifest->n_videos, 3);
    for (size_t i = 0; i < 5; i++) {
        const struct sample *sample = &manifest->samples[i];
        assert_string_equal(sample->id, expected[i].id);
        assert_int_equal(sample->row, i);
        assert_int_equal(sample->video, expected[i].video);
        assert_string_equal(sample->question, expected[i].question);
        assert_int_equal(sample->n_options, expected[i].n_options);
        assert_int_equal(sample->answer, expected[i].answer);
        assert_string_equal(sample->task_type, expected[i].task_type);
        assert_string_equal(sample->duration, expected[i].duration);
        assert_string_equal(sample->domain, expected[i].domain);
        assert_string_equal(sample->sub_category, expected[i].sub_category);
    }
    assert_string_equal(manifest->samples[2].options[0], "A. Café.");
    assert_string_equal(manifest->samples[2].options[1], "B. \"Open\".");
    assert_string_equal(manifest->samples[2].options[2], "C. 营业.");
    assert_string_equal(manifest->samples[2].options[3], "D. It isn't shown.");
}

static void test_forms(void **state)
{
    (void)state;
    static const struct { const char *file, *first_id; } forms[] = {
        {"test-00000-of-00001.parquet", "aaaaaaaaa_1"}, {"flat.json", "aaaaaaaaa_1"}, {"lines.jsonl", "aaaaaaaaa_1"},
        {"leaderboard.json", "001"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char path[SANDBOX_PATH], digest[DIGEST_HEX], wanted[SANDBOX_PATH];
        struct err err = {0};
        snprintf(path, sizeof path, FOLDER "%s", forms[i].file);
        struct manifest manifest = load_ok("videomme", path, NULL);
        check_samples(&manifest);
        assert_int_equal(digest_of_file(path, digest, &err), 0);
        assert_string_equal(manifest.digest, digest);
        assert_string_equal(manifest.videos[0].id, forms[i].first_id);
        snprintf(wanted, sizeof wanted, FOLDER "data/%s.mp4", forms[i].first_id);
        assert_string_equal(manifest.videos[0].path, wanted);
        assert_true(manifest.videos[0].missing);
        assert_true(manifest.videos[0].start_s < 0);
        manifest_free(&manifest);
    }
}

static void check_video(const struct video_ref *video, const char *path, bool missing)
{
    assert_string_equal(video->path, path);
    assert_int_equal(video->missing, missing);
    assert_false(video->is_folder);
}

/* The three names that lmms-eval tries, and the others that people have. */
static void test_video_names(void **state)
{
    (void)state;
    put_copy("videomme/test.parquet", FOLDER "test-00000-of-00001.parquet");
    put("videomme/data/aaaaaaaaa_1.MP4", "");
    put("videomme/data/aaaaaaaaa_1.mkv", "");
    put("videomme/data/bbbbbbbbb-2.webm", "");
    struct manifest manifest = load_ok("videomme", at("videomme/test.parquet"), NULL);
    check_video(&manifest.videos[0], at("videomme/data/aaaaaaaaa_1.MP4"), false);
    check_video(&manifest.videos[1], at("videomme/data/bbbbbbbbb-2.webm"), false);
    check_video(&manifest.videos[2], at("videomme/data/ccccccccccc13.mp4"), true);
    manifest_free(&manifest);

    put("videomme/data/aaaaaaaaa_1.mp4", "");
    put("videomme/data/ccccccccccc13.mp4/", ""); /* a folder is no video */
    manifest = load_ok("videomme", at("videomme/test.parquet"), NULL);
    check_video(&manifest.videos[0], at("videomme/data/aaaaaaaaa_1.mp4"), false);
    assert_true(manifest.videos[2].missing);
    manifest_free(&manifest);
}

static void test_video_folders(void **state)
{
    (void)state;
    put_copy("a/flat.json", FOLDER "flat.json");
    put("data/aaaaaaaaa_1.mp4", ""); /* the folder above: a/../data */
    struct manifest manifest = load_ok("videomme", at("a/flat.json"), NULL);
    check_video(&manifest.videos[0], at("a/../data/aaaaaaaaa_1.mp4"), false);
    manifest_free(&manifest);

    put_copy("b/c/flat.json", FOLDER "flat.json");
    put("b/c/videomme/data/bbbbbbbbb-2.mkv", "");
    manifest = load_ok("videomme", at("b/c/flat.json"), NULL);
    check_video(&manifest.videos[1], at("b/c/videomme/data/bbbbbbbbb-2.mkv"), false);
    manifest_free(&manifest);

    put("elsewhere_mp4/bbbbbbbbb-2.mkv", ""); /* upstream would look in elsewhere_mkv */
    manifest = load_ok("videomme", at("a/flat.json"), at("elsewhere_mp4"));
    check_video(&manifest.videos[0], at("elsewhere_mp4/aaaaaaaaa_1.mp4"), true);
    check_video(&manifest.videos[1], at("elsewhere_mp4/bbbbbbbbb-2.mkv"), false);
    manifest_free(&manifest);
}

#define QUESTION "\"question_id\":\"1\",\"question\":\"q\",\"videoID\":\"v\""

static void test_answers(void **state)
{
    (void)state;
    put("m.jsonl", "{" QUESTION ",\"options\":[\"A. a\",\"B. b\"],\"answer\":null}\n"
                   "{\"question_id\":\"2\",\"question\":\"q\",\"videoID\":\"v\",\"options\":[\"A. a\",\"B. b\"],\"answer\":\"\"}\n"
                   "{\"question_id\":\"3\",\"question\":\"q\",\"videoID\":\"w\",\"options\":[\"A. a\",\"B. b\"],\"answer\":\"B\"}");
    struct manifest manifest = load_ok("videomme", at("m.jsonl"), NULL);
    assert_int_equal(manifest.n_videos, 2);
    assert_int_equal(manifest.samples[0].answer, -1);
    assert_int_equal(manifest.samples[1].answer, -1);
    assert_int_equal(manifest.samples[2].answer, 1);
    assert_null(manifest.samples[0].domain);
    manifest_free(&manifest);
}

static void refuse(const char *text, const char *part)
{
    put("m.json", text);
    load_refused("videomme", at("m.json"), ERR_DATA, part);
}

static void test_refusals(void **state)
{
    (void)state;
    load_refused("videomme", at("nowhere.json"), ERR_IO, "cannot open '");
    refuse("question,answer\n", "it is not named .csv, and begins neither with 'PAR1' (Parquet) nor with '[' (a JSON list) nor with "
        "'{' (JSON Lines)");
    refuse("", "is no manifest");
    refuse("[]", "has no questions");
    refuse("[{" QUESTION ",\"answer\":\"A\"}]", "m.json', row 0: no field 'options'");
    refuse("[{" QUESTION ",\"options\":\"A\",\"answer\":\"A\"}]", "row 0: field 'options' is a string; expected a list of texts");
    refuse("[{" QUESTION ",\"options\":[],\"answer\":\"A\"}]", "row 0: field 'options' has 0 texts; expected 1 to 26");
    refuse("[{" QUESTION ",\"options\":[\"A\",2],\"answer\":\"A\"}]", "row 0: item 1 of field 'options' is a number; expected a text");
    refuse("[{" QUESTION ",\"options\":[\"A. a\"]}]", "row 0: no field 'answer'");
    refuse("[{" QUESTION ",\"options\":[\"A. a\"],\"answer\":\"B\"}]", "field 'answer' is 'B'; expected a letter from A to A");
    refuse("[{" QUESTION ",\"options\":[\"A. a\"],\"answer\":\"a\"}]", "field 'answer' is 'a'");
    refuse("[{\"question_id\":7}]", "row 0: field 'question_id' is a number; expected a text");
    refuse("[{\"question_id\":null}]", "row 0: field 'question_id' is null; expected a text");
    refuse("[{" QUESTION ",\"options\":[\"A. a\"],\"answer\":\"A\"}, 3]", "row 1: the record is a number; expected an object");
    refuse("[{" QUESTION ",\"options\":[\"A. a\"],\"answer\":\"A\"},{" QUESTION ",\"options\":[\"A. a\"],\"answer\":\"A\"}]",
           "rows 0 and 1 have the same id '1'");
    refuse("[{\"video_id\":\"1\",\"questions\":3}]", "row 0: field 'questions' is a number; expected a list");
    refuse("[{\"question_id\":\"1\",\"question\":\"q\",\"options\":[\"A. a\"],\"answer\":\"A\"}]", "row 0: no field 'video_id'");
    refuse("[{\"question_id\":\"1\",\"question\":\"q\",\"options\":[\"A. a\"],\"answer\":\"A\",\"videoID\":\"../x\"}]",
           "row 0: '../x' cannot be the name of a video");
    refuse("[{\"question_id\":\"1\",\"question\":\"q\",\"options\":[\"A. a\"],\"answer\":\"A\",\"videoID\":\"/etc/x\"}]",
           "row 0: '/etc/x' cannot be the name of a video");
    refuse("\n{\"question_id\":\"1\",\n", "line 2:1:");
    refuse("{" QUESTION ",\"options\":[\"A. a\"],\"answer\":\"A\"}\n\n{}", "m.json', line 3: no field 'question_id'");
    refuse("PAR1 and no more", "m.json': the file does not end with 'PAR1'");
    load_refused("videomme", FIXTURES_DIR "/parquet/required.parquet", ERR_DATA,
                 "required.parquet': no column 'question_id'; it has id, flag, options");
}

/* Parquet's texts may be any bytes; a manifest's may not. */
static void test_bad_text(void **state)
{
    (void)state;
    static const char wrong[] = {'\xff', 0};
    for (size_t i = 0; i < sizeof wrong; i++) {
        size_t length;
        char *bytes = fixture_load(FOLDER "test-00000-of-00001.parquet", &length), *word = bytes;
        while (memcmp(word, "pier", 4)) /* snappy leaves new words as they are */
            word++;
        *word = wrong[i];
        put_bytes("m.parquet", bytes, length);
        free(bytes);
        load_refused("videomme", at("m.parquet"), ERR_DATA, "m.parquet', row 0: field 'question' is no UTF-8 text");
    }
}

#define INTRO                                                                                                              \
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. Respond with " \
    "only the letter (A, B, C, or D) of the correct option.\n"

static void test_prompts(void **state)
{
    (void)state;
    static const char *const options[] = {"A. Apples.", "B. Candles.", "C. Berries.", "D. The three kinds are of the same number."};
    const struct sample sample = {.question = "Which kind of the decoration\nhas the largest number?", .options = options, .n_options = 4};
    static const char *const names[] = {"toksweep", "lmms-0.3.4", "lmms-head"};
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_string_equal(prompt_of("videomme", names[i], PROMPT_DEFAULT, &sample, &arena).user,
                            INTRO "Which kind of the decoration\nhas the largest number?\nA. Apples.\nB. Candles.\nC. Berries.\n"
                                  "D. The three kinds are of the same number.\n\n"
                                  "Answer with the option's letter from the given choices directly.");
        assert_string_equal(prompt_of("videomme", names[i], PROMPT_LLAVA_VID, &sample, &arena).user,
                            INTRO "Which kind of the decoration\nhas the largest number?\nA. Apples.\nB. Candles.\nC. Berries.\n"
                                  "D. The three kinds are of the same number.\nThe best answer is:");
    }
    arena_free(&arena);
}

static void check_begins(const char *text, const char *beginning)
{
    if (strncmp(text, beginning, strlen(beginning)))
        fail_msg("'%s' does not begin with '%s'", text, beginning);
}

/* Our own words list lines as they are said, whatever the file is called; lmms-eval's need the name that it counts frames under. */
static void test_subtitles(void **state)
{
    (void)state;
    put_copy("flat.json", FOLDER "flat.json");
    put("data/aaaaaaaaa_1.mkv", "");
    put("data/bbbbbbbbb-2.mp4", "");
    struct text srt = {0};
    for (int i = 0; i < 12; i++)
        text_printf(&srt, "%d\n00:00:%02d,000 --> 00:00:%02d,500\n<font color=\"white\" size=\".72c\">line %d</font>\n\n", i + 1,
                    4 * i, 4 * i + 3, i);
    put("subtitle/aaaaaaaaa_1.srt", srt.bytes);
    text_free(&srt);
    put("subtitle/bbbbbbbbb-2.srt", "1\n00:00:00,000 --> 00:01:00,000\nno font\n");
    struct manifest manifest = load_ok("videomme_w_subtitle", at("flat.json"), NULL);
    struct arena arena = {0};
    const char *user = prompt_of("videomme_w_subtitle", "toksweep", PROMPT_LLAVA_VID, &manifest.samples[0], &arena).user;
    check_begins(user, "This video's subtitles are listed below: \nline 0\nline 1\nline 2\n");
    assert_non_null(strstr(user, "line 11\nSelect the best answer"));
    user = prompt_of("videomme_w_subtitle", "official", PROMPT_DEFAULT, &manifest.samples[2], &arena).user;
    check_begins(user, "This video's subtitles are listed below:\nno font\nSelect the best answer to the following multiple-choice "
                                   "question based on the video. Respond");
    user = prompt_of("videomme_w_subtitle", "lmms-0.3.4", PROMPT_DEFAULT, &manifest.samples[2], &arena).user;
    check_begins(user, "This video's subtitles are listed below: \n\nSelect");
    user = prompt_of("videomme_w_subtitle", "lmms-0.3.4", PROMPT_DEFAULT, &manifest.samples[4], &arena).user;
    check_begins(user, "This video's subtitles are listed below: \nNo subtitles available\nSelect");
    const struct protocol *protocol = profile_protocol(profile_find("lmms-0.3.4"), "videomme_w_subtitle");
    struct prompt_text prompt;
    struct err err = {0};
    const struct prompting how = {.protocol = protocol, .video = &manifest.videos[0], .header_fps = 25, .header_frames = 1500};
    assert_int_equal(benchmark_find("videomme_w_subtitle")->prompt(&prompt, &manifest.samples[0], &how, &arena, &err), 0);
    check_begins(prompt.user, "This video's subtitles are listed below: \n\nSelect"); /* .mkv */
    arena_free(&arena);
    manifest_free(&manifest);
    put("subtitle/aaaaaaaaa_1.srt", "1\n00:00 --> 00:01\nx\n");
    load_refused("videomme_w_subtitle", at("flat.json"), ERR_DATA,
                 "row 0 ('001-1') cannot be asked: '");
    load_refused("videomme_w_subtitle", at("flat.json"), ERR_DATA, "subtitle/aaaaaaaaa_1.srt', line 2: 'h:m:s,ms --> h:m:s,ms' was "
        "expected");
}

/* The authors ask without subtitles, and always end with the same words. */
static void test_official(void **state)
{
    (void)state;
    static const char *const options[] = {"A. x", "B. y"};
    const struct sample sample = {.question = "q", .options = options, .n_options = 2};
    struct arena arena = {0};
    assert_string_equal(prompt_of("videomme", "official", PROMPT_DEFAULT, &sample, &arena).user,
                        "Select the best answer to the following multiple-choice question based on the video. Respond with only the letter "
                        "(A, B, C, or D) of the correct option.\nq\nA. x\nB. y\nThe best answer is:");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test_setup_teardown(test_video_names, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_video_folders, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_answers, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_refusals, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_bad_text, sandbox_make, sandbox_remove),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test_setup_teardown(test_subtitles, sandbox_make, sandbox_remove),
        cmocka_unit_test(test_official),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
