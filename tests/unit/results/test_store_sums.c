/* The sums that the views are made of: whatever happens to a store, they are those of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

enum { SAMPLES = 23, VIDEOS = 5, CELLS = 3 };

static const struct protocol protocols[CELLS] = {{.benchmark = "videomme"}, {.macro = true, .macro_types = 2, .guesses = true},
                                                 {.macro = true, .drop_empty = true, .drop_unread = true}};

static const char *const durations[] = {"short", "long", NULL};
static const struct sample_tag tags[] = {{"area", "physics"}, {"tag", "one"}, {"tag", "two"}};

/* Videos with one to many questions, of which some have no task type and some several tags. */
static int sums_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    fixture_folder(fixture);
    fixture->manifest = fixture_manifest("videomme", "manifest", SAMPLES);
    fixture->manifest.n_videos = VIDEOS;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct sample *sample = &fixture->manifest.samples[i];
        sample->video = i * i % VIDEOS;
        sample->duration = durations[i % 3];
        sample->tags = tags + i % 2;
        sample->n_tags = i % 3;
        if (i % 5 == 4)
            sample->task_type = NULL;
    }
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    OK(store_put_manifest(fixture->store, &fixture->manifest, &err));
    OK(fixture_begin_run(fixture->store, &fixture->run, &err));
    for (int c = 0; c < CELLS; c++) {
        int64_t id;
        struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 4 + c);
        cell_identify(&cell);
        OK(store_put_cell(fixture->store, &cell, &protocols[c], &id, &err));
        assert_int_equal(id, c + 1);
    }
    *state = fixture;
    return 0;
}

static int sums_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static struct answer random_answer(uint64_t i)
{
    static const enum answer_status statuses[] = {ANSWER_OK, ANSWER_OK, ANSWER_OK, ANSWER_NO_ANSWER, ANSWER_TIMEOUT, ANSWER_TOO_LONG};
    struct answer answer = fixture_answer(rng_unit(1, i, 0) < 0.5, 4, (int)(rng_unit(1, i, 1) * 300));
    answer.status = statuses[(size_t)(rng_unit(1, i, 2) * 6)];
    if (answer.status == ANSWER_OK)
        answer.cost.tokens_mean = answer.cost.tokens_cached = 100 + (double)(i % 28) / 28;
    else {
        answer.correct = false;
        answer.extracted = -1;
        answer.raw = answer.status != ANSWER_NO_ANSWER ? NULL : i % 2 ? "" : "what?";
        answer.message = answer.raw ? NULL : "why";
    }
    for (int stage = 0; stage < STAGES; stage++)
        answer.cost.alone_ms[stage] = answer.cost.paid_ms[stage] = stage % 3 ? rng_unit(1, i, (uint64_t)(3 + stage)) * 1000 : NAN;
    answer.cost.frames = i % 7 ? answer.cost.frames : -1; /* as of an imported log */
    return answer;
}

/* Sums by table, as text. */
static const char all_sums[] =
    "SELECT group_concat(line, char(10)) FROM ("
    "SELECT (SELECT answer_id FROM summed) || ' ' || (SELECT count(*) FROM stale_cell) AS line "
    "UNION ALL SELECT concat FROM (SELECT cell_id || ' ' || run_id || ' ' || status || ' ' || n AS concat FROM answer_count ORDER BY 1) "
    "UNION ALL SELECT * FROM (SELECT cell_id || ' ' || n || ' ' || n_correct || ' ' || expected || ' ' || tokens_before || ' ' || tokens_visual_n "
    "|| ' ' || tokens_mean || ' ' || layers_before || ' ' || decode_alone_ns || ' ' || decode_alone_ns_n || ' ' || open_paid_ns_n "
    "|| ' ' || generate_paid_ns FROM reply_sum ORDER BY 1) "
    "UNION ALL SELECT * FROM (SELECT cell_id || kind || name || ' ' || first_row || ' ' || n || ' ' || n_correct || ' ' || n_videos || ' ' || nn "
    "|| ' ' || nk || ' ' || kk FROM group_sum ORDER BY 1) "
    "UNION ALL SELECT * FROM (SELECT cell_id || a || '-' || b || ' ' || nn || ' ' || nk || ' ' || kn || ' ' || kk FROM type_pair ORDER BY 1))";

/* Headline and its standard error straight from the answers, in the words of their definitions: rows that differ from cell_accuracy. */
static const char differing_cells[] =
    "WITH headline AS (SELECT * FROM scored_answer WHERE in_headline),"
    " part AS (SELECT cell_id, task_type, avg(correct) AS accuracy, count(*) AS n FROM headline GROUP BY cell_id, task_type),"
    " macro AS (SELECT cell_id, sum(accuracy) / max(count(*), macro_types) AS accuracy, max(count(*), macro_types) AS n_parts"
    "           FROM part JOIN cell ON cell.id = cell_id GROUP BY cell_id),"
    " micro AS (SELECT cell_id, avg(correct) AS accuracy, count(*) AS n, avg(expected) AS expected FROM headline GROUP BY cell_id),"
    " moved AS (SELECT headline.cell_id, video_id, sum(CASE WHEN cell.macro THEN (correct - part.accuracy) / part.n / n_parts"
    "           ELSE (correct - micro.accuracy) / micro.n END) AS moved"
    "           FROM headline JOIN cell ON cell.id = headline.cell_id JOIN micro ON micro.cell_id = cell.id JOIN macro ON macro.cell_id = cell.id"
    "           JOIN part ON part.cell_id = cell.id AND part.task_type IS headline.task_type GROUP BY 1, 2),"
    " spread AS (SELECT cell_id, count(*) AS n, sqrt(1.0 * count(*) / (count(*) - 1) * sum(moved * moved)) AS se FROM moved GROUP BY cell_id),"
    " plain AS (SELECT cell_id, count(*) AS n, sum(failed) AS failed, sum(correct) AS correct, avg(tokens_mean) FILTER (WHERE replied) AS mean,"
    "           avg(tokens_visual) FILTER (WHERE replied) AS visual, avg(decode_paid_ms) FILTER (WHERE replied) AS decode"
    "           FROM scored_answer GROUP BY cell_id) "
    "SELECT shown.id, accuracy_se, spread.se FROM cell_accuracy AS shown JOIN cell ON cell.id = shown.id LEFT JOIN micro ON micro.cell_id = cell.id "
    "LEFT JOIN macro ON macro.cell_id = cell.id LEFT JOIN spread ON spread.cell_id = cell.id LEFT JOIN plain ON plain.cell_id = cell.id WHERE NOT ("
    " coalesce(abs(shown.accuracy - CASE WHEN cell.macro THEN macro.accuracy ELSE micro.accuracy END) < 1e-12, micro.accuracy IS NULL)"
    " AND coalesce(abs(accuracy_se - se) < 1e-12, accuracy_se IS se)"
    " AND coalesce(abs(accuracy_expected - expected) < 1e-12, NOT cell.guesses OR expected IS NULL)"
    " AND n_videos = coalesce(spread.n, 0) AND headline_n = coalesce(micro.n, 0) AND n_answered = coalesce(plain.n, 0)"
    " AND n_failed = coalesce(failed, 0) AND n_correct = coalesce(plain.correct, 0)"
    " AND coalesce(abs(tokens_mean - mean) < 1e-6, tokens_mean IS mean) AND coalesce(abs(tokens_visual - visual) < 1e-9, tokens_visual IS visual)"
    " AND coalesce(abs(decode_paid_ms - decode) < 1e-6, decode_paid_ms IS decode))";

static const char differing_groups[] =
    "WITH grouped AS (SELECT cell_id, 'task_type' AS kind, task_type AS name, video_id, correct FROM scored_answer WHERE in_headline UNION ALL"
    "  SELECT cell_id, 'duration', duration, video_id, correct FROM scored_answer WHERE in_headline UNION ALL"
    "  SELECT cell_id, tag.kind, tag.name, video_id, correct FROM scored_answer JOIN tag ON tag.sample_id = scored_answer.sample_id WHERE in_headline),"
    " tally AS (SELECT cell_id, kind, name, avg(correct) AS accuracy, count(*) AS n FROM grouped WHERE name IS NOT NULL GROUP BY 1, 2, 3),"
    " moved AS (SELECT cell_id, kind, name, accuracy, n, sum(correct - accuracy) / n AS moved FROM grouped JOIN tally USING (cell_id, kind, name)"
    "           GROUP BY cell_id, kind, name, video_id),"
    " spread AS (SELECT cell_id, kind, name, accuracy, n, count(*) AS n_videos,"
    "            sqrt(1.0 * count(*) / (count(*) - 1) * sum(moved * moved)) AS se FROM moved GROUP BY 1, 2, 3) "
    "SELECT coalesce(shown.cell, spread.cell_id), spread.kind, spread.name FROM spread"
    " FULL JOIN group_accuracy AS shown ON shown.cell = spread.cell_id AND shown.kind = spread.kind AND shown.name = spread.name "
    "WHERE NOT coalesce(abs(shown.accuracy - spread.accuracy) < 1e-12 AND coalesce(abs(accuracy_se - se) < 1e-12, accuracy_se IS se)"
    " AND shown.n_videos = spread.n_videos AND shown.n = spread.n, 0)";

/* Sums are those of the answers, and those of a store that makes them anew. */
static void sums_are_right(struct store_fixture *fixture)
{
    char kept[16384];
    assert_string_equal(sql(fixture->path, differing_cells), "");
    assert_string_equal(sql(fixture->path, differing_groups), "");
    snprintf(kept, sizeof kept, "%s", sql(fixture->path, all_sums));
    sql(fixture->path, "INSERT INTO stale_cell SELECT id FROM cell");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM group_sum"), "0");
    store_close(fixture->store);
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    assert_string_equal(sql(fixture->path, all_sums), kept);
}

static void put(struct store_fixture *fixture, int cell, size_t sample, uint64_t i)
{
    struct answer answer = random_answer(i);
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, sample, &answer, &err));
}

/* Answers in any order, in batches of any length, with failures that are tried again. */
static void answers_come_one_by_one_and_in_batches(void **state)
{
    struct store_fixture *fixture = *state;
    size_t i = 0;
    for (int round = 0; round < 60; round++) {
        int length = round % 4 * round % 7;
        if (length)
            OK(store_begin_batch(fixture->store, &err));
        for (int k = 0; k < (length ? length : 1); k++, i++)
            put(fixture, 1 + (int)(rng_unit(2, i, 0) * CELLS), (size_t)(rng_unit(2, i, 1) * SAMPLES), i);
        if (length)
            OK(store_end_batch(fixture->store, 0, &err));
        if (round % 10 == 9)
            sums_are_right(fixture);
    }
}

static void batch_that_is_dropped_leaves_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    char kept[16384];
    put(fixture, 1, 0, 0);
    snprintf(kept, sizeof kept, "%s", sql(fixture->path, all_sums));
    struct err refusal = {0};
    OK(store_begin_batch(fixture->store, &err));
    put(fixture, 1, 1, 1);
    assert_int_equal(store_end_batch(fixture->store, ERR_IO, &refusal), ERR_IO);
    assert_string_equal(sql(fixture->path, all_sums), kept);
    put(fixture, 1, 2, 2);
    sums_are_right(fixture);
}

/* Two connections add to the same video of the same cell in turn. */
static void two_writers_add_up(void **state)
{
    struct store_fixture *fixture = *state, other = *fixture;
    OK(store_open(&other.store, fixture->path, STORE_WRITE, &err));
    OK(fixture_begin_run(other.store, &other.run, &err));
    for (size_t i = 0; i < SAMPLES; i++)
        put(i % 2 ? fixture : &other, 2, i, i);
    store_close(other.store);
    sums_are_right(fixture);
}

static void merged_answers_are_summed(void **state)
{
    struct store_fixture *fixture = *state, *theirs;
    struct merge_counts counts;
    sums_setup((void **)&theirs);
    for (size_t i = 0; i < 2 * SAMPLES; i++)
        put(i % 2 ? fixture : theirs, 1 + (int)(i % CELLS), i % SAMPLES, i);
    OK(store_merge(fixture->store, theirs->path, &counts, &err));
    assert_true(counts.answers > SAMPLES / 2);
    sums_are_right(fixture);
    sums_teardown((void **)&theirs);
}

/* A folder that moved takes its samples to other videos; where it moved for a part of them, a video falls apart into two. */
static void moved_samples_are_counted_where_they_are(void **state)
{
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < SAMPLES; i++)
        put(fixture, 1, i, 7 * i);
    fixture->manifest.n_samples = SAMPLES / 2; /* as with --limit */
    for (size_t i = 0; i < VIDEOS; i++)
        fixture->manifest.videos[i].path = "elsewhere.mp4";
    OK(store_put_manifest(fixture->store, &fixture->manifest, &err));
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM stale_cell"), "0");
    sums_are_right(fixture);
}

static int take_counts(const struct cell_row *row, void *context)
{
    *(int64_t *)context += row->n_answered;
    return 0;
}

/* What another program does to answers is seen: no numbers until this program looks, then right ones. */
static void changes_from_outside_are_seen(void **state)
{
    static const char *const changes[] = {
        "DELETE FROM answer WHERE sample_id = 3",
        "UPDATE answer SET status = 'timeout', raw = NULL, extracted = NULL, correct = 0 WHERE sample_id = 5",
        "UPDATE cost SET tokens_visual = 1 WHERE answer_id = 2",
        "DELETE FROM cost WHERE answer_id = 9",
        "INSERT INTO tag VALUES (6, 'tag', 'three')",
        "INSERT INTO answer (cell_id, sample_id, run_id, status, raw, correct, answered_at) VALUES (3, 1, 1, 'ok', 'A', 1, 'now')",
    };
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < SAMPLES; i++)
        put(fixture, 1 + (int)i % 2, i, i);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct store *reader;
        int64_t n = 0;
        sql(fixture->path, changes[i]);
        OK(store_open(&reader, fixture->path, STORE_READ, &err)); /* through a copy */
        OK(store_each_cell(reader, NULL, take_counts, &n, &err));
        store_close(reader);
        assert_int_equal(n, atoll(sql(fixture->path, "SELECT count(*) FROM answer")));
        store_close(fixture->store);
        OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
        sums_are_right(fixture);
    }
}

/* A store of the version before sums gets them once. */
static void older_store_gets_its_sums(void **state)
{
    struct store_fixture *fixture = *state;
    char kept[16384];
    for (size_t i = 0; i < 2 * SAMPLES; i++)
        put(fixture, 1 + (int)(i % CELLS), i % SAMPLES, i);
    snprintf(kept, sizeof kept, "%s", sql(fixture->path, all_sums));
    store_close(fixture->store);
    make_version_9(fixture->path);
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    assert_string_equal(sql(fixture->path, all_sums), kept);
    sums_are_right(fixture);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, sums_setup, sums_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(answers_come_one_by_one_and_in_batches),
        WITH_STORE(batch_that_is_dropped_leaves_nothing),
        WITH_STORE(two_writers_add_up),
        WITH_STORE(merged_answers_are_summed),
        WITH_STORE(moved_samples_are_counted_where_they_are),
        WITH_STORE(changes_from_outside_are_seen),
        WITH_STORE(older_store_gets_its_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
