/* Scores and averages against what four releases of lmms-eval make of the same rows and replies (tools/oracle/lmms_eval): row by row,
 * group by group, and as the number that they print, all through a store and its views. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/text.h"
#include "harness/guesses.h"
#include "metrics/score.h"
#include "tests/support/manifest_fixture.h"
#include "tests/support/store_fixture.h"

enum { MOST_LINE = 8 << 20 };

struct compared { /* one line under one release */
    const struct json *line, *result;
    const struct profile *profile;
    const struct protocol *protocol;
    const struct benchmark *benchmark;
    struct manifest manifest;
    struct store *store;
    int64_t run, cell;
};

static const char *task_of(const struct json *line)
{
    return json_string(json_get(line, "task"));
}

static const char *benchmark_name(const char *task)
{
    return strncmp(task, "mvbench_", 8) ? task : "mvbench";
}

/* The rows as a file that the loader takes; MVBench's says its task by its name. */
static void manifest_write(const struct json *line, char *path, size_t size)
{
    const char *task = task_of(line);
    struct text text = {0};
    text_put(&text, "[");
    for (const struct json *row = json_first(json_get(line, "rows")); row; row = json_next(row)) {
        char *one = json_text(json_get(row, "row"));
        text_printf(&text, "%s%s", text.length > 1 ? ",\n" : "", one);
        free(one);
    }
    text_put(&text, "]");
    char name[128];
    snprintf(name, sizeof name, "%s.json", strncmp(task, "mvbench_", 8) ? task : task + 8);
    put(name, text.bytes);
    text_free(&text);
    snprintf(path, size, "%s", at(name));
}

static void check_step(int rc, const struct err *err)
{
    if (rc)
        fail_msg("%s", err->text);
}

static void cell_put(struct compared *compared)
{
    struct err err = {0};
    struct cell cell = fixture_cell(&compared->manifest, "none", "{}", "none", 8);
    cell.profile = compared->profile->name;
    cell_identify(&cell);
    check_step(store_put_manifest(compared->store, &compared->manifest, &err), &err);
    check_step(store_put_cell(compared->store, &cell, compared->protocol, &compared->cell, &err), &err);
}

/* A row is worth to us what it is upstream; null there is left out of the denominator here. */
static void check_row(const struct compared *compared, const struct answer *answer, const struct json *correct, bool drawn, size_t row)
{
    bool dropped = compared->protocol->drop_empty && answer->empty;
    if ((json_type(correct) == JSON_NULL) != dropped)
        fail_msg("%s under %s, row %zu: in one denominator only", task_of(compared->line), compared->profile->name, row);
    if (drawn != (compared->protocol->guesses && answer->status == ANSWER_NO_ANSWER))
        fail_msg("%s under %s, row %zu: a letter is drawn on one side only", task_of(compared->line), compared->profile->name, row);
    if (!dropped && !drawn && (json_number(correct) != 0) != answer->correct)
        fail_msg("%s under %s, row %zu: right on one side only", task_of(compared->line), compared->profile->name, row);
}

static bool has_number(const struct json *list, size_t number)
{
    for (const struct json *item = json_first(list); item; item = json_next(item))
        if ((size_t)json_number(item) == number)
            return true;
    return false;
}

static void answers_put(struct compared *compared)
{
    struct err err = {0};
    const struct json *row = json_first(json_get(compared->line, "rows")), *correct = json_first(json_get(compared->result, "correct"));
    const struct json *fallbacks = json_get(compared->result, "fallbacks");
    for (size_t i = 0; i < compared->manifest.n_samples; i++, row = json_next(row), correct = json_next(correct)) {
        const char *reply = json_string(json_get(row, "response"));
        size_t length = strlen(reply);
        text_strip(&reply, &length);
        char *stripped = strndup(reply, length);
        struct answer answer = {.raw = stripped, .margin = NAN, .cost = {.joules = NAN}};
        check_step(score_reply(&answer, stripped, &compared->manifest.samples[i], compared->profile, compared->protocol,
                               compared->benchmark->max_option_letters, &err), &err);
        check_row(compared, &answer, correct, has_number(fallbacks, i), i);
        check_step(store_put_answer(compared->store, compared->run, compared->cell, &compared->manifest, i, &answer, &err), &err);
        free(stripped);
    }
    assert_null(row);
    assert_null(correct);
}

/* The number that upstream's aggregation returns. */
static int check_headline(const struct cell_row *row, void *context)
{
    const struct compared *compared = context;
    struct err err = {0};
    struct guesses guesses = {0};
    const char *task = task_of(compared->line);
    bool shares = !strncmp(task, "longvideobench", 14) || !strncmp(task, "nextqa", 6) || !strncmp(task, "perceptiontest", 14);
    double value = json_number(json_get(compared->result, "value")), scale = shares ? 1 : 100;
    if (row->guesses)
        check_step(guesses_of_cell(&guesses, compared->store, row->id, NULL, NULL, &err), &err);
    double right = (double)(row->headline_correct + guesses.seeded), mean = scale * right / (double)row->headline_n;
    if (!strncmp(task, "mlvu", 4) && row->macro) { /* summed in the order of a Python set there */
        assert_true(fabs(row->accuracy * scale - value) < 1e-9);
        assert_true(fabs(row->accuracy_macro * scale - value) < 1e-9);
    } else if (!strncmp(task, "longvideobench", 14)) { /* rounded to five places there */
        char ours[32], theirs[32];
        snprintf(ours, sizeof ours, "%.5f", mean);
        snprintf(theirs, sizeof theirs, "%.5f", value);
        assert_string_equal(ours, theirs);
    } else {
        if (mean != value)
            fail_msg("%s under %s: %.17g, upstream has %.17g", task, compared->profile->name, mean, value);
        if (!row->guesses)
            assert_true(fabs(row->accuracy * scale - value) < 1e-9);
    }
    assert_int_equal(row->n_answered, row->n_samples);
    return 0;
}

struct groups { const struct compared *compared; const struct json *expected; const char *kind; size_t n; };

static int check_group(const struct group_row *row, void *context)
{
    struct groups *groups = context;
    const struct json *expected = json_get(groups->expected, row->name);
    struct err err = {0};
    struct guesses guesses = {0};
    char ours[32], theirs[32];
    if (!expected)
        fail_msg("%s: upstream has no %s '%s'", task_of(groups->compared->line), row->kind, row->name);
    if (groups->compared->protocol->guesses)
        check_step(guesses_of_cell(&guesses, groups->compared->store, row->cell, row->kind, row->name, &err), &err);
    double right = (double)(row->n_correct + guesses.seeded);
    if (json_type(expected) == JSON_OBJECT) {
        assert_int_equal(row->n, (int64_t)json_number(json_get(expected, "num")));
        snprintf(ours, sizeof ours, "%.5f", right / (double)row->n);
        snprintf(theirs, sizeof theirs, "%.5f", json_number(json_get(expected, "acc")));
    } else {
        snprintf(ours, sizeof ours, "%.1f", 100 * right / (double)row->n);
        snprintf(theirs, sizeof theirs, "%s", json_string(expected));
    }
    if (strcmp(ours, theirs))
        fail_msg("%s under %s, %s '%s': %s, upstream has %s", task_of(groups->compared->line), groups->compared->profile->name,
                 row->kind, row->name,
                 ours, theirs);
    groups->n++;
    return 0;
}

/* What upstream prints per group, and none more; groups without a row are 0.0 there. */
static size_t check_groups(const struct compared *compared)
{
    static const struct { const char *theirs, *ours; } names[] = {{"duration_group", "duration"}, {"question_category", "task_type"}};
    size_t n = 0;
    char where[64];
    snprintf(where, sizeof where, "id = %lld", (long long)compared->cell);
    for (const struct json *kind = json_first(json_get(compared->result, "groups")); kind; kind = json_next(kind)) {
        struct groups groups = {.compared = compared, .expected = kind, .kind = json_key(kind)};
        struct err err = {0};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            groups.kind = strcmp(names[i].theirs, groups.kind) ? groups.kind : names[i].ours;
        check_step(store_each_group(compared->store, groups.kind, where, check_group, &groups, &err), &err);
        for (const struct json *group = json_first(kind); group; group = json_next(group))
            groups.n += json_string(group) && !strcmp(json_string(group), "0.0");
        assert_true(groups.n >= json_count(kind));
        n += json_count(kind);
    }
    return n;
}

/* Returns how many groups were compared. */
static size_t compare(struct compared *compared)
{
    struct err err = {0};
    char where[64];
    check_step(store_begin_batch(compared->store, &err), &err);
    cell_put(compared);
    answers_put(compared);
    check_step(store_end_batch(compared->store, 0, &err), &err);
    snprintf(where, sizeof where, "id = %lld", (long long)compared->cell);
    check_step(store_each_cell(compared->store, where, check_headline, compared, &err), &err);
    return check_groups(compared);
}

/* In a store of its own: views are made of all that a store holds. */
static size_t compare_line(const struct json *line, size_t *n_compared)
{
    char path[SANDBOX_PATH], name[64];
    size_t n = 0;
    struct err err = {0};
    struct store *store;
    int64_t run;
    snprintf(name, sizeof name, "%s.sqlite", task_of(line));
    check_step(store_open(&store, at(name), STORE_WRITE, &err), &err);
    check_step(fixture_begin_run(store, &run, &err), &err);
    manifest_write(line, path, sizeof path);
    for (const struct json *result = json_first(json_get(line, "results")); result; result = json_next(result)) {
        struct compared compared = {.line = line, .result = result, .profile = profile_find(json_key(result)), .store = store, .run = run};
        compared.benchmark = benchmark_find(benchmark_name(task_of(line)));
        compared.protocol = profile_protocol(compared.profile, compared.benchmark->name);
        if (!compared.protocol) { /* scores there, but cannot ask */
            assert_string_equal(compared.benchmark->name, "mlvu_test");
            continue;
        }
        compared.manifest = load_ok(compared.benchmark->name, path, NULL);
        n += compare(&compared);
        ++*n_compared;
        manifest_free(&compared.manifest);
    }
    store_close(store);
    return n;
}

static void test_aggregates(void **state)
{
    (void)state;
    char *bytes;
    size_t length, n_groups = 0, n_compared = 0;
    struct err err = {0};
    check_step(file_load(&bytes, &length, FIXTURES_DIR "/lmms/aggregates.jsonl", MOST_LINE, &err), &err);
    for (char *line = bytes, *end; (end = strchr(line, '\n')); line = end + 1) {
        struct json *json;
        check_step(json_parse(&json, line, (size_t)(end - line), "aggregates.jsonl", &err), &err);
        n_groups += compare_line(json, &n_compared);
        json_free(json);
    }
    assert_true(n_compared >= 100);
    assert_true(n_groups >= 300);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_aggregates, sandbox_make, sandbox_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
