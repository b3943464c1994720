/* Merging: what another store has comes in once, whole, and under ids of this store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

enum { SAMPLES = 6 };

struct pair { struct store_fixture into, from; }; /* of one manifest */

static int pair_setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    struct err err = {0};
    if (fixture_open(&pair->into, SAMPLES, &err) || fixture_open(&pair->from, SAMPLES, &err))
        fail_msg("%s", err.text);
    *state = pair;
    return 0;
}

static int pair_teardown(void **state)
{
    struct pair *pair = *state;
    fixture_close(&pair->into);
    fixture_close(&pair->from);
    free(pair);
    return 0;
}

static int64_t put_cell(struct store_fixture *fixture, const char *label)
{
    int64_t id = 0;
    char params[64];
    snprintf(params, sizeof params, "{\"for\":\"%s\"}", label);
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", params, label, 4), &id, &err));
    return id;
}

static void put_answer(struct store_fixture *fixture, int64_t cell, size_t sample, const char *raw)
{
    struct answer answer = fixture_answer(raw && raw[0] == 'A', 4, 300);
    static const struct answer_groups groups = {"[0,9]", 1, 2, "nl.n"};
    answer.raw = raw;
    memset(answer.tokens_digest, 'e', DIGEST_HEX - 1);
    answer.groups = &groups;
    if (!raw) {
        answer.status = ANSWER_TIMEOUT;
        answer.message = "why";
        answer.remote = (struct remote){.attempts = 5, .request_ms = 1000, .usage = "{\"prompt_tokens\":7}"};
    }
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, sample, &answer, &err));
}

static struct merge_counts merged(struct pair *pair)
{
    struct merge_counts counts;
    OK(store_merge(pair->into.store, pair->from.path, &counts, &err));
    assert_string_equal(sql(pair->into.path, "PRAGMA foreign_key_check"), "");
    assert_string_equal(sql(pair->into.path, "PRAGMA integrity_check"), "ok");
    return counts;
}

/* Something in every table but the claims. */
static void fill(struct store_fixture *fixture)
{
    static const struct sample_tag tags[] = {{"area", "physics"}, {"tag", "motion"}};
    fixture->manifest.samples[2].tags = tags;
    fixture->manifest.samples[2].n_tags = 2;
    OK(store_put_manifest(fixture->store, &fixture->manifest, &err));
    int64_t cell = put_cell(fixture, "one");
    put_answer(fixture, cell, 0, "A");
    put_answer(fixture, cell, 4, NULL);
    put_answer(fixture, cell, 2, "B");
    OK(store_put_record(fixture->store, cell, &fixture->manifest, 2, "{\"input\": \"x\"}", &err));
    const struct rescored scores[] = {{1, ANSWER_OK, 1, false, true}, {3, ANSWER_OK, 2, true, true}};
    const struct protocol protocol = {.benchmark = "videomme"};
    OK(store_put_rescoring(fixture->store, cell, "lmms-head", &protocol, "b1", scores, 2, &err));
    const struct calibration calibration = {0.5, 0.6, 0.51, 3};
    OK(store_put_calibration(fixture->store, "k", &calibration, &err));
    OK(store_end_run(fixture->store, fixture->run, "done", &err));
}

/* Every answer with all that belongs to it, by names. */
static const char content[] =
    "SELECT model.digest, benchmark.digest, cell.digest, cell.label, sample.name, video.name, answer.status, raw, answer.message, "
    "answer.extracted, answer.correct, answered_at, started_at, outcome, tokens_visual, record, attempts, usage, rescoring.profile, score.extracted, "
    "(SELECT frames || h || w || map FROM token_groups WHERE digest = tokens_digest), "
    "(SELECT group_concat(text) FROM option WHERE option.sample_id = sample.id), "
    "(SELECT group_concat(tag.name) FROM tag WHERE tag.sample_id = sample.id) "
    "FROM answer JOIN cell ON cell.id = answer.cell_id JOIN sample ON sample.id = answer.sample_id JOIN video ON video.id = video_id "
    "JOIN model ON model.id = model_id JOIN benchmark ON benchmark.id = cell.benchmark_id JOIN run ON run.id = run_id "
    "LEFT JOIN cost ON cost.answer_id = answer.id LEFT JOIN imported ON imported.answer_id = answer.id LEFT JOIN remote ON remote.answer_id = answer.id "
    "LEFT JOIN score ON score.answer_id = answer.id LEFT JOIN rescoring ON rescoring.id = rescoring_id ORDER BY cell.digest, sample.name";

static void all_tables_come_along(void **state)
{
    struct pair *pair = *state;
    char path[FIXTURE_PATH + 8], expected[8192], tables[1024], *save, *name;
    struct store *empty;
    struct merge_counts counts;
    fill(&pair->from);
    snprintf(path, sizeof path, "%s/new", pair->into.folder);
    OK(store_open(&empty, path, STORE_WRITE, &err));
    OK(store_merge(empty, pair->from.path, &counts, &err));
    store_close(empty);
    assert_int_equal(counts.answers, 3);
    assert_int_equal(counts.cells, 1);
    assert_int_equal(counts.replaced + counts.differing, 0);
    snprintf(expected, sizeof expected, "%s", sql(pair->from.path, content));
    assert_string_equal(sql(path, content), expected);
    snprintf(tables, sizeof tables, "%s", sql(path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('claim', 'stale_cell', 'type_pair')"));
    for (name = strtok_r(tables, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
        char query[128];
        snprintf(query, sizeof query, "SELECT count(*) FROM %s", name);
        snprintf(expected, sizeof expected, "%s", sql(pair->from.path, query));
        if (!strcmp(expected, "0") || strcmp(sql(path, query), expected))
            fail_msg("table %s: %s of %s rows", name, sql(path, query), expected);
    }
}

static void workers_halves_make_a_whole(void **state)
{
    struct pair *pair = *state;
    int64_t other = put_cell(&pair->into, "other"), ours = put_cell(&pair->into, "shared"), theirs = put_cell(&pair->from, "shared");
    assert_true(ours != theirs);
    put_answer(&pair->into, other, 5, "A");
    put_answer(&pair->into, ours, 0, "A");
    put_answer(&pair->into, ours, 1, "B");
    put_answer(&pair->from, theirs, 3, "B");
    put_answer(&pair->from, theirs, 2, "A");
    put_answer(&pair->from, put_cell(&pair->from, "third"), 0, "C");
    struct merge_counts counts = merged(pair);
    assert_int_equal(counts.answers, 3);
    assert_int_equal(counts.cells, 1);
    assert_string_equal(sql(pair->into.path, "SELECT label, group_concat(name || raw) FROM (SELECT label, sample.name, raw "
                                             "FROM answer JOIN cell ON cell.id = cell_id JOIN sample ON sample.id = sample_id "
                                             "ORDER BY label, sample.name) GROUP BY label"),
                        "other|q5A\nshared|q0A,q1B,q2A,q3B\nthird|q0C");
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM sample"), "6"); /* known already */
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM video"), "3");
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM run"), "2");
}

static void merging_again_adds_nothing(void **state)
{
    struct pair *pair = *state;
    char before[8192];
    fill(&pair->from);
    merged(pair);
    snprintf(before, sizeof before, "%s", sql(pair->into.path, content));
    struct merge_counts counts = merged(pair);
    assert_int_equal(counts.answers + counts.cells + counts.replaced + counts.differing, 0);
    assert_string_equal(sql(pair->into.path, content), before);
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM run"), "2");
}

/* The worker ended after it was merged for the first time. */
static void runs_end_later(void **state)
{
    struct pair *pair = *state;
    static const char outcomes[] = "SELECT group_concat(coalesce(outcome, '-')) FROM (SELECT outcome FROM run ORDER BY id)";
    put_answer(&pair->from, put_cell(&pair->from, "one"), 0, "A");
    merged(pair);
    assert_string_equal(sql(pair->into.path, outcomes), "-,-");
    put_answer(&pair->from, 1, 1, "A");
    OK(store_end_run(pair->from.store, pair->from.run, "stopped", &err));
    assert_int_equal(merged(pair).answers, 1);
    assert_string_equal(sql(pair->into.path, outcomes), "-,stopped");
    assert_string_equal(sql(pair->into.path, "SELECT count(DISTINCT run_id) FROM answer"), "1");
}

static void replies_replace_failures_only(void **state)
{
    struct pair *pair = *state;
    int64_t ours = put_cell(&pair->into, "shared"), theirs = put_cell(&pair->from, "shared");
    put_answer(&pair->into, ours, 0, NULL);
    put_answer(&pair->from, theirs, 0, "A");
    put_answer(&pair->into, ours, 1, "A");
    put_answer(&pair->from, theirs, 1, NULL);
    put_answer(&pair->into, ours, 2, NULL);
    put_answer(&pair->from, theirs, 2, NULL);
    put_answer(&pair->into, ours, 3, "A");
    put_answer(&pair->from, theirs, 3, "B"); /* should not be */
    put_answer(&pair->into, ours, 4, "A");
    put_answer(&pair->from, theirs, 4, "A");
    struct merge_counts counts = merged(pair);
    assert_int_equal(counts.answers, 1);
    assert_int_equal(counts.replaced, 1);
    assert_int_equal(counts.differing, 1);
    assert_string_equal(sql(pair->into.path, "SELECT group_concat(coalesce(raw, '-')) FROM (SELECT raw FROM answer ORDER BY sample_id)"),
                        "A,A,-,A,A");
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM cost"), "5");
}

/* A worker that has its videos elsewhere does not move ours. */
static void places_of_videos_stay(void **state)
{
    struct pair *pair = *state;
    for (size_t i = 0; i < pair->from.manifest.n_videos; i++)
        pair->from.manifest.videos[i].path = "elsewhere.mp4";
    OK(store_put_manifest(pair->from.store, &pair->from.manifest, &err));
    put_answer(&pair->from, put_cell(&pair->from, "shared"), 0, "A");
    merged(pair);
    assert_string_equal(sql(pair->into.path, "SELECT count(*), sum(path = 'elsewhere.mp4') FROM video"), "3|0");
}

/* ---- what cannot be merged ------------------------------------------------------------------------------------------------- */

static void refuses(struct pair *pair, const char *path, int code, const char *part)
{
    struct merge_counts counts;
    struct err err = {0};
    char before[8192];
    snprintf(before, sizeof before, "%s", sql(pair->into.path, content));
    assert_int_equal(store_merge(pair->into.store, path, &counts, &err), code);
    if (!strstr(err.text, part))
        fail_msg("'%s' lacks '%s'", err.text, part);
    assert_string_equal(sql(pair->into.path, content), before);
}

static void other_files_are_refused(void **state)
{
    struct pair *pair = *state;
    char path[FIXTURE_PATH + 8];
    put_answer(&pair->into, put_cell(&pair->into, "one"), 0, "A");
    snprintf(path, sizeof path, "%s/none", pair->from.folder);
    refuses(pair, path, ERR_IO, "cannot open store '");
    refuses(pair, pair->into.path, ERR_CONFIG, "is the store that is merged into; name the others");
    FILE *file = fopen(path, "w");
    fputs("no store at all, but some text that is long enough", file);
    fclose(file);
    refuses(pair, path, ERR_DATA, "is not a store: it is no SQLite file");
    sql(pair->from.path, "PRAGMA user_version = 99");
    refuses(pair, pair->from.path, ERR_DATA, "has version 99, this program knows versions up to");
}

/* A store of an older version comes in through a copy, and stays as it is. */
static void older_store_comes_in(void **state)
{
    struct pair *pair = *state;
    fill(&pair->from);
    make_version_9(pair->from.path);
    sql(pair->from.path, "DROP TABLE token_groups");
    sql(pair->from.path, "PRAGMA user_version = 8");
    assert_int_equal(merged(pair).answers, 3);
    assert_int_equal(merged(pair).answers, 0);
    assert_string_equal(sql(pair->from.path, "PRAGMA user_version"), "8");
}

/* The other store breaks off half-way: nothing came in, and the store goes on. */
static void failure_leaves_all_as_it_was(void **state)
{
    struct pair *pair = *state;
    fill(&pair->from);
    put_answer(&pair->into, put_cell(&pair->into, "one"), 0, "A");
    sql(pair->from.path, "DROP TABLE score");
    refuses(pair, pair->from.path, ERR_DATA, "cannot merge in store '");
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM cell"), "1");
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM calibration"), "0");
    put_answer(&pair->into, 1, 1, "B");
    assert_string_equal(sql(pair->into.path, "SELECT count(*) FROM answer"), "2");
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PAIR(all_tables_come_along),   WITH_PAIR(workers_halves_make_a_whole),   WITH_PAIR(merging_again_adds_nothing),
        WITH_PAIR(places_of_videos_stay),   WITH_PAIR(replies_replace_failures_only), WITH_PAIR(other_files_are_refused),
        WITH_PAIR(older_store_comes_in),
        WITH_PAIR(failure_leaves_all_as_it_was), WITH_PAIR(runs_end_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
