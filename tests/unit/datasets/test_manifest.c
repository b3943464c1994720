/* The table of benchmarks, and what `check manifest` finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/text.h"
#include "tests/support/manifest_fixture.h"

static void test_table(void **state)
{
    (void)state;
    int n = 0;
    for (const struct benchmark *benchmark; (benchmark = benchmark_at(n)); n++) {
        assert_ptr_equal(benchmark_find(benchmark->name), benchmark);
        assert_true(*benchmark->summary && benchmark->load && benchmark->prompt);
        assert_in_range(benchmark->max_option_letters, 2, SAMPLE_MOST_OPTIONS);
        static const char *const dimensions[] = {"task_type", "duration", "domain", "sub_category"};
        size_t sums[4] = {0};
        for (const struct published_group *group = benchmark->groups; group && group->name; group++)
            for (int d = 0; d < 4; d++)
                sums[d] += strcmp(group->by, dimensions[d]) ? 0 : group->samples;
        for (int d = 0; d < 4; d++)
            if (sums[d])
                assert_int_equal(sums[d], benchmark->published_samples);
    }
    assert_int_equal(n, 16);
    assert_null(benchmark_at(-1));
    assert_null(benchmark_find("videoMME"));
    assert_int_equal(benchmark_find("videomme")->published_samples, 2700);
    assert_int_equal(benchmark_find("videomme")->published_videos, 900);
    assert_int_equal(benchmark_find("mvbench")->published_samples, 4000);
    assert_int_equal(benchmark_find("mvbench")->max_option_letters, 5);
}

static bool is_lacking(const char *profile, const char *benchmark)
{
    if (!strcmp(benchmark, "mlvu_test")) /* came after two of them, and fails in the third */
        return !strncmp(profile, "lmms-0", 6);
    return !strcmp(profile, "official") && (!strncmp(benchmark, "nextqa", 6) || !strncmp(benchmark, "perceptiontest", 14));
}

/* Every benchmark can be scored under every profile, but for what was never published; no protocol is of nothing. */
static void test_profiles(void **state)
{
    (void)state;
    int n_protocols = 0, n_found = 0;
    for (int i = 0; profile_at(i); i++) {
        n_protocols += profile_at(i)->n_protocols;
        for (int j = 0; benchmark_at(j); j++) {
            const struct protocol *protocol = profile_protocol(profile_at(i), benchmark_at(j)->name);
            assert_int_equal(!protocol, is_lacking(profile_at(i)->name, benchmark_at(j)->name));
            assert_true(!protocol || protocol->max_new_tokens > 0);
            n_found += protocol != NULL;
        }
    }
    assert_int_equal(n_found, n_protocols);
    assert_string_equal(profile_at(0)->name, "toksweep");
}

static void finding_add(const struct finding *finding, void *context)
{
    text_printf(context, "%s %s %s: %s\n", finding->is_error ? "error" : "warning", finding->kind,
                finding->sample_id ? finding->sample_id : "-", finding->text);
}

static void check_findings(const struct manifest *manifest, const struct benchmark *benchmark, size_t n_errors, const char *expected)
{
    struct text text = {0};
    assert_int_equal(manifest_check(manifest, benchmark, finding_add, &text), n_errors);
    char *found = text_take(&text);
    assert_string_equal(found, expected);
    free(found);
}

static void test_findings(void **state)
{
    (void)state;
    static const struct published_group groups[] = {{"task_type", "alpha", 3}, {"task_type", "beta", 2}, {NULL, NULL, 0}};
    static const struct benchmark benchmark = {.name = "b", .published_samples = 5, .published_videos = 2, .groups = groups,
                                               .max_option_letters = 2};
    static const char *const options[] = {"x", "y", "x"}, *const one[] = {"x"};
    static struct video_ref videos[] = {{.id = "v", .path = "v.mp4", .missing = true, .start_s = -1}, {.id = "w", .path = "w.mp4"}};
    static struct sample samples[] = {
        {.id = "1", .row = 0, .video = 0, .question = "q", .options = options, .n_options = 2, .answer = 1, .task_type = "alpha"},
        {.id = "2", .row = 1, .video = 0, .question = "", .options = options, .n_options = 3, .answer = -1, .task_type = "alpha"},
        {.id = "1", .row = 2, .video = 1, .question = "q", .options = one, .n_options = 1, .answer = 1, .task_type = "alpha"},
        {.id = "3", .row = 3, .video = 1, .question = "q", .options = options, .n_options = 2, .answer = 0, .task_type = NULL},
    };
    const struct manifest manifest = {.benchmark = "b", .path = "m", .videos = videos, .n_videos = 2, .samples = samples, .n_samples = 4};
    check_findings(&manifest, &benchmark, 4,
                   "error missing_video 1: no video 'v.mp4', nor under the names that are tried instead\n"
                   "error missing_video 2: no video 'v.mp4', nor under the names that are tried instead\n"
                   "warning empty_question 2: the question is empty\n"
                   "warning no_answer 2: the right answer is not told, so that the question cannot be scored\n"
                   "warning equal_options 2: options A and C are both 'x'\n"
                   "warning many_options 2: there are 3 options; the benchmark's letters end with B\n"
                   "error duplicate_id 1: rows 0 and 2 have the same id\n"
                   "error answer_range 1: the answer is 1 of 1 options\n"
                   "warning one_option 1: there is one option, so that any letter but A is wrong\n"
                   "warning count -: 4 questions; the published set has 5\n"
                   "warning count -: 0 questions of task_type 'beta'; the published set has 2\n");
}

/* A manifest that manifest_load() refuses can be read and judged. */
static void test_read(void **state)
{
    (void)state;
    put("m.json", "[{\"question_id\":\"1\",\"question\":\"q\",\"videoID\":\"v\",\"options\":[\"A. a\",\"B. b\"],\"answer\":\"A\"},"
                  "{\"question_id\":\"1\",\"question\":\"q\",\"videoID\":\"v\",\"options\":[\"A. a\",\"B. b\"],\"answer\":\"B\"}]");
    put("data/v.mp4", "");
    load_refused("videomme", at("m.json"), ERR_DATA, "m.json': rows 0 and 1 have the same id '1'; ids must be unique");
    struct manifest manifest;
    struct err err = {0};
    static const struct benchmark *videomme;
    videomme = benchmark_find("videomme");
    assert_int_equal(manifest_read(&manifest, videomme, &(struct manifest_source){.path = at("m.json")}, &err), 0);
    struct text text = {0};
    assert_int_equal(manifest_check(&manifest, videomme, finding_add, &text), 1);
    assert_non_null(strstr(text.bytes, "error duplicate_id 1: rows 0 and 1 have the same id\n"));
    assert_non_null(strstr(text.bytes, "warning count -: 2 questions; the published set has 2700\n"));
    text_free(&text);
    manifest_free(&manifest);
}

/* More ids than the table of names begins with. */
static void test_many(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, "[");
    for (int i = 0; i < 3000; i++)
        text_printf(&text, "%s{\"question_id\":\"%d\",\"question\":\"q\",\"videoID\":\"v%d\",\"options\":[\"A. a\"],\"answer\":\"A\"}",
                    i ? "," : "", i, i / 3);
    text_put(&text, "]");
    put("m.json", text.bytes);
    text_free(&text);
    struct manifest manifest = load_ok("videomme", at("m.json"), NULL);
    assert_int_equal(manifest.n_samples, 3000);
    assert_int_equal(manifest.n_videos, 1000);
    for (size_t i = 0; i < manifest.n_samples; i++)
        assert_int_equal(manifest.samples[i].video, i / 3);
    assert_string_equal(manifest.samples[2999].id, "2999");
    assert_string_equal(manifest.videos[999].id, "v999");
    manifest_free(&manifest);
}

/* ---- exclusion ----------------------------------------------------------------------------------------------------------- */

#define ROW(id, video, answer)                                                                                          \
    "{\"question_id\":\"" id "\",\"question\":\"q " id "\",\"videoID\":\"" video "\",\"options\":[\"A. a\",\"B. b\"]," \
    "\"answer\":\"" answer "\"}"

static int load_without(struct manifest *out, const char *list, struct err *err)
{
    put("list", list);
    *err = (struct err){0};
    return manifest_load(out, benchmark_find("videomme"), &(struct manifest_source){.path = at("m.json"), .exclude = at("list")}, err);
}

static void test_exclusion(void **state)
{
    (void)state;
    struct manifest whole, manifest;
    struct err err;
    put("m.json", "[" ROW("1", "v", "A") "," ROW("2", "w", "C") "," ROW("3", "x", "B") "," ROW("4", "v", "B") "]");
    load_refused("videomme", at("m.json"), ERR_DATA, "row 1 ('2') cannot be asked: field 'answer' is 'C'");
    static const char *const lists[] = {"# why\n\n2\n 3 \r\n", "3\n2", "[\"2\", \"3\"]",
        " [{\"level\":\"error\",\"sample\":\"3\"},{\"sample\":\"\"},{\"sample\":\"2\"},{\"sample\":null}]"};
    char digest[DIGEST_HEX] = "";
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        assert_int_equal(load_without(&manifest, lists[i], &err), 0);
        assert_int_equal(manifest.n_samples, 2);
        assert_int_equal(manifest.n_excluded, 2);
        assert_int_equal(manifest.n_videos, 1);
        assert_string_equal(manifest.samples[1].id, "4");
        assert_int_equal(manifest.samples[1].row, 3);
        assert_int_equal(manifest.samples[1].video, 0);
        if (*digest)
            assert_string_equal(digest, manifest.digest); /* however the list is written */
        strcpy(digest, manifest.digest);
        manifest_free(&manifest);
    }
    assert_int_equal(load_without(&manifest, "2\n4", &err), 0);
    assert_string_not_equal(digest, manifest.digest);
    assert_string_equal(manifest.videos[1].id, "x");
    manifest_free(&manifest);
    put("m.json", "[" ROW("1", "v", "A") "," ROW("2", "w", "A") "]");
    whole = load_ok("videomme", at("m.json"), NULL);
    assert_int_equal(load_without(&manifest, "# none", &err), 0);
    assert_string_not_equal(whole.digest, manifest.digest);
    manifest_free(&whole);
    manifest_free(&manifest);
}

static void test_bad_exclusion(void **state)
{
    (void)state;
    struct manifest manifest;
    struct err err;
    put("m.json", "[" ROW("1", "v", "A") "]");
    static const struct { const char *list; int code; const char *part; } lists[] = {
        {"1\n9\n", ERR_CONFIG, "list' excludes '9', which is no sample of"},
        {"[1]", ERR_DATA, "list' lists a number; expected ids"},
        {"[\"1\"", ERR_DATA, "not valid JSON"},
        {"\xff", ERR_DATA, "an exclusion list should be UTF-8"},
        {"1", ERR_DATA, "has no questions"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        assert_int_equal(load_without(&manifest, lists[i].list, &err), lists[i].code);
        if (!strstr(err.text, lists[i].part))
            fail_msg("the message \"%s\" lacks \"%s\"", err.text, lists[i].part);
    }
}

/* A row that stands there twice is told, under one id or two; so is one that is gone. */
static void test_twins(void **state)
{
    (void)state;
    struct manifest manifest;
    struct err err = {0};
    struct text text = {0};
    const struct benchmark *videomme = benchmark_find("videomme");
    put("m.json", "[" ROW("1", "v", "A") ",{\"question_id\":\"5\",\"question\":\"q 1\",\"videoID\":\"v\","
        "\"options\":[\"A. a\",\"B. b\"],\"answer\":\"B\"},"
                  ROW("1", "v", "A") "]");
    put("data/v.mp4", "");
    assert_int_equal(manifest_read(&manifest, videomme, &(struct manifest_source){.path = at("m.json")}, &err), 0);
    assert_int_equal(manifest_check(&manifest, videomme, finding_add, &text), 1);
    assert_non_null(strstr(text.bytes, "error duplicate_id 1: rows 0 and 2 have the same id\n"
                                       "warning count -: 3 questions"));
    assert_non_null(strstr(text.bytes, "warning same_question 5: '1' asks the same about the same video, with the same options\n"));
    text_free(&text);
    manifest_free(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_findings),
        cmocka_unit_test_setup_teardown(test_read, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_many, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_exclusion, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_bad_exclusion, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_twins, sandbox_make, sandbox_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
