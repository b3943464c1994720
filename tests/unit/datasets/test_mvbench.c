/* MVBench: folders and single files, the video folders of both revisions, parts and frame folders, its prompt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_fixture.h"

#define FOLDER FIXTURES_DIR "/mvbench"

static const struct sample *sample_find(const struct manifest *manifest, const char *id)
{
    for (size_t i = 0; i < manifest->n_samples; i++)
        if (!strcmp(manifest->samples[i].id, id))
            return &manifest->samples[i];
    fail_msg("no sample '%s'", id);
    return NULL;
}

static const struct video_ref *video_of(const struct manifest *manifest, const char *id)
{
    return &manifest->videos[sample_find(manifest, id)->video];
}

static void check_part(const struct video_ref *video, double start_s, double end_s)
{
    assert_true(video->start_s == start_s);
    assert_true(video->end_s == end_s);
}

static void test_folder(void **state)
{
    (void)state;
    struct manifest manifest = load_ok("mvbench", FOLDER, NULL);
    static const char *const ids[] = {
        "action_sequence-0",    "action_sequence-1",    "action_sequence-2",          "action_sequence-3",          "action_antonym-0",
        "episodic_reasoning-0", "episodic_reasoning-1", "counterfactual_inference-0", "counterfactual_inference-1",
    };
    assert_int_equal(manifest.n_samples, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < manifest.n_samples; i++) {
        assert_string_equal(manifest.samples[i].id, ids[i]);
        assert_int_equal(manifest.samples[i].row, i);
        assert_int_equal(strncmp(ids[i], manifest.samples[i].task_type, strlen(manifest.samples[i].task_type)), 0);
        assert_null(manifest.samples[i].duration);
    }
    const struct sample *sample = sample_find(&manifest, "episodic_reasoning-0");
    assert_string_equal(sample->question, " Why does Ann laugh? ");
    assert_string_equal(sample->options[1], "A fall ");
    assert_int_equal(sample->n_options, 5);
    assert_int_equal(sample->answer, 4);
    assert_int_equal(sample_find(&manifest, "counterfactual_inference-0")->n_options, 1);
    assert_int_equal(sample_find(&manifest, "counterfactual_inference-1")->answer, 0); /* the first of equal ones */
    manifest_free(&manifest);
}

/* Equal parts of one video are one entry. */
static void test_parts(void **state)
{
    (void)state;
    struct manifest manifest = load_ok("mvbench", FOLDER "/action_sequence.json", NULL);
    assert_int_equal(manifest.n_samples, 4);
    assert_int_equal(manifest.n_videos, 3);
    check_part(video_of(&manifest, "action_sequence-0"), 1.5, 17.1);
    check_part(video_of(&manifest, "action_sequence-1"), 12.0, 21.3);
    assert_int_equal(manifest.samples[2].video, manifest.samples[0].video);
    assert_true(manifest.videos[0].missing);
    assert_string_equal(manifest.videos[0].path, FOLDER "/video/star/Charades_segment/AAAAA.mp4");
    assert_string_equal(manifest.videos[0].id, "AAAAA.mp4");
    manifest_free(&manifest);
}

/* Whole videos of revision main keep their bounds; parts that revision video has cut out do not. */
static void test_revisions(void **state)
{
    (void)state;
    put_copy("json/action_sequence.json", FOLDER "/action_sequence.json");
    put_copy("json/action_antonym.json", FOLDER "/action_antonym.json");
    put_copy("json/counterfactual_inference.json", FOLDER "/counterfactual_inference.json");
    put("video/star/Charades_v1_480/AAAAA.mp4", "");
    put("video/star/Charades_segment/BBBBB_2.5_9.0.mp4", "");
    put("video/ssv2_video_mp4/101.mp4", "");
    put("video/data0613/clevrer/video_validation/video_20001.mp4", "");
    struct manifest manifest = load_ok("mvbench", sandbox, NULL);
    const struct video_ref *video = video_of(&manifest, "action_sequence-1");
    assert_string_equal(video->path, at("video/star/Charades_v1_480/AAAAA.mp4"));
    assert_false(video->missing);
    check_part(video, 12.0, 21.3);
    video = video_of(&manifest, "action_sequence-3");
    assert_string_equal(video->path, at("video/star/Charades_segment/BBBBB_2.5_9.0.mp4"));
    check_part(video, -1, -1);
    assert_string_equal(video_of(&manifest, "action_antonym-0")->path, at("video/ssv2_video_mp4/101.mp4"));
    check_part(video_of(&manifest, "action_antonym-0"), -1, -1);
    assert_true(video_of(&manifest, "counterfactual_inference-0")->missing);
    assert_string_equal(video_of(&manifest, "counterfactual_inference-0")->path, at("video/clevrer/video_validation/video_20000.mp4"));
    assert_string_equal(video_of(&manifest, "counterfactual_inference-1")->path,
                        at("video/data0613/clevrer/video_validation/video_20001.mp4"));
    manifest_free(&manifest);

    struct manifest one = load_ok("mvbench", at("json/action_sequence.json"), NULL); /* json/ beside video/ */
    assert_string_equal(video_of(&one, "action_sequence-1")->path, at("json/../video/star/Charades_v1_480/AAAAA.mp4"));
    manifest_free(&one);
}

static void test_frame_folders(void **state)
{
    (void)state;
    put_copy("episodic_reasoning.json", FOLDER "/episodic_reasoning.json");
    put("clips/tvqa/frames_fps3_hq/show_s01e02_seg00_clip_03/00001.jpg", "");
    put("clips/tvqa/video_fps3_hq_segment/show_s01e02_seg00_clip_04.mp4", "");
    struct manifest manifest = load_ok("mvbench", sandbox, at("clips"));
    const struct video_ref *folder = video_of(&manifest, "episodic_reasoning-0"), *file = video_of(&manifest, "episodic_reasoning-1");
    assert_string_equal(folder->path, at("clips/tvqa/frames_fps3_hq/show_s01e02_seg00_clip_03"));
    assert_true(folder->is_folder && folder->folder_fps == 3 && !folder->missing);
    check_part(folder, 0.0, 12.5);
    assert_string_equal(file->path, at("clips/tvqa/video_fps3_hq_segment/show_s01e02_seg00_clip_04.mp4"));
    assert_true(!file->is_folder && file->folder_fps == 0 && !file->missing);
    check_part(file, -1, -1);
    manifest_free(&manifest);
}

/* The digest covers the files in the order of the tasks, and nothing else. */
static void test_digest(void **state)
{
    (void)state;
    char wanted[DIGEST_HEX], hex[DIGEST_HEX];
    struct err err = {0};
    struct digest *digest = digest_new();
    static const char *const tasks[] = {"action_sequence", "action_antonym", "episodic_reasoning", "counterfactual_inference"};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        char path[SANDBOX_PATH];
        snprintf(path, sizeof path, FOLDER "/%s.json", tasks[i]);
        assert_int_equal(digest_of_file(path, hex, &err), 0);
        digest_add_text(digest, hex);
    }
    digest_finish(digest, wanted);
    struct manifest manifest = load_ok("mvbench", FOLDER, NULL);
    assert_string_equal(manifest.digest, wanted);
    manifest_free(&manifest);
}

static void refuse(const char *text, const char *part)
{
    put("state_change.json", text);
    load_refused("mvbench", at("state_change.json"), ERR_DATA, part);
}

#define QUESTION "\"question\":\"q\",\"candidates\":[\"x\",\"y\"]"

static void test_refusals(void **state)
{
    (void)state;
    load_refused("mvbench", sandbox, ERR_DATA, "has no file named after an MVBench task, such as 'action_sequence.json'");
    put("states.json", "[]");
    load_refused("mvbench", at("states.json"), ERR_DATA, "is not named after an MVBench task");
    load_refused("mvbench", at("state_change.json"), ERR_IO, "cannot open '");
    refuse("[{" QUESTION ",\"answer\":\"z\",\"video\":\"v.mp4\"}]", "row 0 ('state_change-0') cannot be asked: the answer 'z' is "
        "none of the 2 candidates");
    refuse("[{" QUESTION ",\"answer\":\"x\"}]", "row 0: no field 'video'");
    refuse("[{" QUESTION ",\"answer\":\"x\",\"video\":\"a/../../v.mp4\"}]", "row 0: 'a/../../v.mp4' cannot be the name of a video");
    refuse("[{" QUESTION ",\"answer\":\"x\",\"video\":\"v.mp4\",\"start\":3,\"end\":2}]",
           "row 0: the part from 'start' 3 to 'end' 2 is none");
    refuse("[{" QUESTION ",\"answer\":\"x\",\"video\":\"v.mp4\",\"start\":3}]", "row 0: the part from 'start' 3 to 'end' -1 is none");
    refuse("[{" QUESTION ",\"answer\":\"x\",\"video\":\"v.mp4\",\"start\":\"3\"}]", "row 0: field 'start' is a string; expected a number");
    refuse("[{" QUESTION ",\"answer\":\"x\",\"video\":\"v.mp4\",\"fps\":0}]", "row 0: field 'fps' is 0");
    refuse("[{" QUESTION ",\"answer\":\"x\",\"video\":\"\"}]", "row 0: '' cannot be the name of a video");
}

static void test_prompt(void **state)
{
    (void)state;
    static const char *const options[] = {"Ate the medicine.", "Tidied up the blanket.", " Took the box."};
    const struct sample sample = {.question = "What happened after the person took the food?", .options = options, .n_options = 3};
    static const char *const names[] = {"toksweep", "lmms-0.3.4", "lmms-head"};
    struct arena arena = {0};
    for (int i = 0; i < 6; i++)
        assert_string_equal(prompt_of("mvbench", names[i / 2], (enum prompt_form)(i % 2), &sample, &arena).user,
                            "Question:What happened after the person took the food?\nOption:\n(A) Ate the medicine.\n"
                            "(B) Tidied up the blanket.\n(C)  Took the box.\nOnly give the best option.\n");
    struct prompt_text official = prompt_of("mvbench", "official", PROMPT_DEFAULT, &sample, &arena);
    assert_non_null(strstr(official.user, "accurately addresses the question.\nQuestion: What happened after the person took the "
        "food?\nOptions:\n"
                                          "(A) Ate the medicine.\n(B) Tidied up the blanket.\n(C)  Took the box.\nOnly give the best "
                                              "option."));
    assert_int_equal(strncmp(official.user, official.system, strlen(official.system)), 0);
    assert_string_equal(official.prefill, "Best option:(");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_parts),
        cmocka_unit_test_setup_teardown(test_revisions, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_frame_folders, sandbox_make, sandbox_remove),
        cmocka_unit_test(test_digest),
        cmocka_unit_test_setup_teardown(test_refusals, sandbox_make, sandbox_remove),
        cmocka_unit_test(test_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
