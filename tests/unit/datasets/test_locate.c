/* Where benchmarks are found that were named and nothing else: a folder of data, the Hub's cache, HF_HOME. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/hub.h"
#include "tests/support/manifest_fixture.h"

static struct arena arena;

static int setup(void **state)
{
    unsetenv("HF_HOME");
    unsetenv("HF_HUB_CACHE");
    int rc = sandbox_make(state);
    setenv("HOME", sandbox, 1);
    return rc;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return sandbox_remove(state);
}

static struct manifest_source located(const char *benchmark, const char *path, const char *data)
{
    struct manifest_source source = {.path = path};
    benchmark_locate(&source, benchmark_find(benchmark), data, &arena);
    return source;
}

static void check_path(const char *benchmark, const char *data, const char *expected)
{
    struct manifest_source source = located(benchmark, NULL, data);
    if (!expected) {
        assert_null(source.path);
        return;
    }
    assert_non_null(source.path);
    assert_string_equal(source.path, at(expected));
}

static void test_data(void **state)
{
    (void)state;
    check_path("videomme", NULL, NULL);
    check_path("videomme", at("d [1]"), NULL);
    put("d [1]/videomme/videomme/test-00000-of-00001.parquet", "");
    put("d [1]/nextqa/test.csv", "");
    put("d [1]/nextqa/val.csv", "");
    put("d [1]/mlvu/2_needle.json", "");
    put("d [1]/mvbench_video/json/action_count.json", "");
    put("d [1]/longvideobench_val_v.jsonl", "");
    put("d [1]/perceptiontest_val_mc/mc_question_valid.json", "");
    check_path("videomme", at("d [1]"), "d [1]/videomme/videomme/test-00000-of-00001.parquet");
    check_path("videomme_w_subtitle", at("d [1]"), "d [1]/videomme/videomme/test-00000-of-00001.parquet");
    check_path("nextqa_mc_test", at("d [1]"), "d [1]/nextqa/test.csv");
    check_path("nextqa_mc_val", at("d [1]"), "d [1]/nextqa/val.csv");
    check_path("mlvu_dev", at("d [1]"), "d [1]/mlvu");
    check_path("mvbench", at("d [1]"), "d [1]/mvbench_video");
    check_path("longvideobench_val_v", at("d [1]"), "d [1]/longvideobench_val_v.jsonl");
    check_path("perceptiontest_val_mc", at("d [1]"), "d [1]/perceptiontest_val_mc/mc_question_valid.json");
    check_path("mlvu_test", at("d [1]"), NULL);
}

#define SNAPSHOT "hub/datasets--lmms-lab--Video-MME/snapshots/0123abc/"

static void put_hub(void)
{
    put("h/" SNAPSHOT "videomme/test-00000-of-00001.parquet", "");
    put("h/hub/datasets--lmms-lab--Video-MME/refs/main", "0123abc\n");
    put("h/videomme/data/", "");
    setenv("HF_HOME", at("h"), 1);
}

static void test_hub(void **state)
{
    (void)state;
    put_hub();
    struct manifest_source source = located("videomme", NULL, NULL);
    assert_string_equal(source.path, at("h/" SNAPSHOT "videomme/test-00000-of-00001.parquet"));
    assert_string_equal(source.videos, at("h/videomme/data"));
    source = located("videomme", "lmms-lab/Video-MME", NULL); /* by its id */
    assert_string_equal(source.path, at("h/" SNAPSHOT "videomme/test-00000-of-00001.parquet"));
    source = located("videomme", "lmms-lab/Video-MMEE", NULL);
    assert_string_equal(source.path, "lmms-lab/Video-MMEE");
    put("d/videomme.json", ""); /* what was given comes first, and has its videos beside it */
    source = located("videomme", NULL, at("d"));
    assert_string_equal(source.path, at("d/videomme.json"));
    assert_null(source.videos);
    put("elsewhere/datasets--lmms-eval--NExTQA/snapshots/f00/MC/test-00000-of-00001.parquet", "");
    put("elsewhere/datasets--lmms-eval--NExTQA/refs/main", "f00");
    setenv("HF_HUB_CACHE", at("elsewhere"), 1);
    check_path("nextqa_mc_test", NULL, "elsewhere/datasets--lmms-eval--NExTQA/snapshots/f00/MC/test-00000-of-00001.parquet");
    check_path("videomme", NULL, NULL);
}

static void test_home(void **state)
{
    (void)state;
    put(".cache/huggingface/nextqa/test.csv", "");
    check_path("nextqa_mc_test", NULL, ".cache/huggingface/nextqa/test.csv");
    unsetenv("HOME");
    check_path("nextqa_mc_test", NULL, NULL);
}

static void test_snapshots(void **state)
{
    (void)state;
    put_hub();
    assert_non_null(hub_snapshot("datasets", "lmms-lab/Video-MME", "main", &arena));
    assert_non_null(hub_snapshot("datasets", "lmms-lab/Video-MME", "0123abc", &arena));
    static const char *const ids[] = {"", "Video-MME", "/", "lmms-lab/", "/Video-MME", "lmms-lab/Video-MME/x", "../x", "x/..", "./x"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_null(hub_snapshot("datasets", ids[i], "main", &arena));
    assert_null(hub_snapshot("models", "lmms-lab/Video-MME", "main", &arena));
    put("h/hub/datasets--lmms-lab--Video-MME/refs/main", "../../..");
    assert_null(hub_snapshot("datasets", "lmms-lab/Video-MME", "main", &arena));
}

/* A folder stands for the manifest in it. */
static void test_folders(void **state)
{
    (void)state;
    put_copy("f/test-00000-of-00001.parquet", FIXTURES_DIR "/videomme/test-00000-of-00001.parquet");
    struct manifest manifest;
    struct err err = {0};
    assert_int_equal(manifest_load(&manifest, benchmark_find("videomme"), &(struct manifest_source){.path = at("f")}, &err), 0);
    assert_string_equal(manifest.path, at("f/test-00000-of-00001.parquet"));
    manifest_free(&manifest);
    put("g/readme", "");
    load_refused("videomme", at("g"), ERR_IO, "/g'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_data, setup, teardown),      cmocka_unit_test_setup_teardown(test_hub, setup, teardown),
        cmocka_unit_test_setup_teardown(test_home, setup, teardown),      cmocka_unit_test_setup_teardown(test_snapshots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
