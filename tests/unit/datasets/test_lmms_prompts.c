/* Prompts against what four releases of lmms-eval make of the same rows, byte for byte (tools/oracle/lmms_eval). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/text.h"
#include "tests/support/manifest_fixture.h"

#define FOLDER FIXTURES_DIR "/lmms/"

struct recorded { /* the lines of prompts.jsonl */
    struct json *lines[1000];
    size_t n;
};

static void recorded_load(struct recorded *recorded)
{
    size_t length;
    char *bytes = fixture_load(FOLDER "prompts.jsonl", &length);
    recorded->n = 0;
    for (char *line = bytes, *end; (end = strchr(line, '\n')); line = end + 1) {
        struct err err = {0};
        if (json_parse(&recorded->lines[recorded->n++], line, (size_t)(end - line), "prompts.jsonl", &err))
            fail_msg("%s", err.text);
    }
    free(bytes);
}

static void recorded_free(struct recorded *recorded)
{
    for (size_t i = 0; i < recorded->n; i++)
        json_free(recorded->lines[i]);
}

static const char *text_at(const struct json *line, const char *key)
{
    const char *text = json_string(json_get(line, key));
    return text ? text : "";
}

/* Holds one prompt against the recorded one; NULL: the release fails there, and so must we. */
static void check_prompt(const struct benchmark *benchmark, const struct sample *sample, const struct prompting *how, const char *expected,
                         const char *profile, struct arena *arena)
{
    struct prompt_text prompt;
    struct err err = {0};
    int rc = sample->flaw || !how->protocol ? ERR_DATA : benchmark->prompt(&prompt, sample, how, arena, &err);
    if (rc && expected)
        fail_msg("%s under %s, '%s': %s", benchmark->name, profile, sample->id, sample->flaw ? sample->flaw : err.text);
    if (!rc && !expected)
        fail_msg("%s under %s, '%s': lmms-eval fails, we say '%s'", benchmark->name, profile, sample->id, prompt.user);
    if (rc)
        return;
    assert_null(prompt.system);
    assert_null(prompt.prefill);
    if (strcmp(prompt.user, expected))
        fail_msg("%s under %s, '%s':\n'%s'\nexpected\n'%s'", benchmark->name, profile, sample->id, prompt.user, expected);
}

/* All releases and both adapters. Returns how many were compared. */
static size_t check_line(const struct benchmark *benchmark, const struct json *line, const struct sample *sample,
                         const struct video_ref *video)
{
    struct arena arena = {0};
    size_t n = 0;
    const struct json *header = json_get(line, "video");
    for (const struct json *release = json_first(json_get(line, "prompts")); release; release = json_next(release))
        for (const struct json *prompt = json_first(release); prompt; prompt = json_next(prompt), n++) {
            const struct profile *profile = profile_find(json_key(release));
            assert_non_null(profile);
            struct prompting how = {.protocol = profile_protocol(profile, benchmark->name), .video = video,
                                    .form = strcmp(json_key(prompt), "llava_vid") ? PROMPT_DEFAULT : PROMPT_LLAVA_VID,
                                    .header_fps = json_number(json_get(header, "fps")),
                                    .header_frames = (int64_t)json_number(json_get(header, "frames"))};
            check_prompt(benchmark, sample, &how, json_string(prompt), profile->name, &arena);
        }
    arena_free(&arena);
    return n;
}

static struct manifest read_ok(const struct benchmark *benchmark, const char *path)
{
    struct manifest manifest;
    struct err err = {0};
    const struct manifest_source source = {
        .path = path, .subtitles = strstr(benchmark->name, "videomme") ? FOLDER "subtitles/videomme" : FOLDER "subtitles/longvideobench"};
    if (manifest_read(&manifest, benchmark, &source, &err))
        fail_msg("%s", err.text);
    return manifest;
}

/* The rows of one recorded task, in their manifest. */
static void check_task(const struct recorded *recorded, const char *task, const char *name, const char *path)
{
    const struct benchmark *benchmark = benchmark_find(name);
    struct manifest manifest = read_ok(benchmark, path);
    size_t row = 0, n = 0;
    for (size_t i = 0; i < recorded->n; i++) {
        const struct json *line = recorded->lines[i];
        if (strcmp(text_at(line, "task"), task) || !json_bool(json_get(line, "in_manifest")))
            continue;
        assert_true(row < manifest.n_samples);
        const struct sample *sample = &manifest.samples[row++];
        n += check_line(benchmark, line, sample, &manifest.videos[sample->video]);
    }
    assert_int_equal(row, manifest.n_samples);
    assert_true(n >= row);
    manifest_free(&manifest);
}

static void test_tasks(void **state)
{
    (void)state;
    static const char *const tasks[] = {"videomme", "videomme_w_subtitle", "mlvu_dev", "mlvu_test", "longvideobench_val_v",
                                        "longvideobench_val_i", "nextqa_mc_test", "perceptiontest_val_mc"};
    struct recorded recorded;
    recorded_load(&recorded);
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        char path[SANDBOX_PATH];
        snprintf(path, sizeof path, FOLDER "manifests/%s.parquet", tasks[i]);
        check_task(&recorded, tasks[i], tasks[i], path);
    }
    recorded_free(&recorded);
}

static void test_mvbench(void **state)
{
    (void)state;
    struct recorded recorded;
    int n = 0;
    recorded_load(&recorded);
    for (const struct published_group *group = benchmark_find("mvbench")->groups; group->name; group++, n++) {
        char path[SANDBOX_PATH], task[64];
        snprintf(path, sizeof path, FOLDER "manifests/mvbench/%s.json", group->name);
        snprintf(task, sizeof task, "mvbench_%s", group->name);
        check_task(&recorded, task, "mvbench", path);
    }
    assert_int_equal(n, 20);
    recorded_free(&recorded);
}

/* Rows that no published file has, as JSON Lines. A row without options is refused. */
static void test_others(void **state)
{
    (void)state;
    struct recorded recorded;
    size_t n = 0;
    recorded_load(&recorded);
    for (size_t i = 0; i < recorded.n; i++) {
        const struct json *line = recorded.lines[i];
        const struct benchmark *benchmark = benchmark_find(text_at(line, "task"));
        const struct json *options = json_get(json_get(line, "row"), "options");
        if (json_bool(json_get(line, "in_manifest")) || (options && !json_count(options)))
            continue;
        char *row = json_text(json_get(line, "row"));
        put("row.jsonl", row);
        free(row);
        struct manifest manifest = read_ok(benchmark, at("row.jsonl"));
        assert_int_equal(manifest.n_samples, 1);
        n += check_line(benchmark, line, &manifest.samples[0], &manifest.videos[0]);
        manifest_free(&manifest);
    }
    assert_true(n > 0);
    recorded_free(&recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_mvbench),
        cmocka_unit_test_setup_teardown(test_others, sandbox_make, sandbox_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
