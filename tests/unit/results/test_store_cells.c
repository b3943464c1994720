/* Cells whole: found by what users call them, read back as they were written, scored again beside what is there; and writes in batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

enum { SAMPLES = 6 };

static int store_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    if (fixture_open(fixture, SAMPLES, &err) != 0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static int store_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static int64_t put_cell(struct store_fixture *fixture, const char *label, int frames)
{
    int64_t id = 0;
    char params[64];
    snprintf(params, sizeof params, "{\"for\":\"%s\"}", label);
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", params, label, frames), &id, &err));
    return id;
}

/* ---- finding --------------------------------------------------------------------------------------------------------------- */

static void refuses_name(struct store_fixture *fixture, const char *name, const char *part, const char *other)
{
    int64_t id;
    struct err err = {0};
    assert_int_equal(store_find_cell(fixture->store, name, &id, &err), ERR_CONFIG);
    if (!strstr(err.text, part) || !strstr(err.text, other))
        fail_msg("'%s' lacks '%s' or '%s'", err.text, part, other);
}

static void cell_is_found_by_label_and_digest(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = 0;
    refuses_name(fixture, NULL, "holds no cell", "'toksweep run'");
    int64_t first = put_cell(fixture, "none", 4);
    OK(store_find_cell(fixture->store, NULL, &id, &err));
    assert_int_equal(id, first);
    int64_t second = put_cell(fixture, "dyntok threshold=0.5", 4);
    put_cell(fixture, "none", 8);
    OK(store_find_cell(fixture->store, "dyntok threshold=0.5", &id, &err));
    assert_int_equal(id, second);
    OK(store_find_cell(fixture->store, "none@4", &id, &err));
    assert_int_equal(id, first);
    OK(store_find_cell(fixture->store, "none@8", &id, &err));
    assert_int_equal(id, 3);
    char digest[DIGEST_HEX];
    snprintf(digest, sizeof digest, "%s", sql(fixture->path, "SELECT substr(digest, 1, 12) FROM cell WHERE id = 3"));
    OK(store_find_cell(fixture->store, digest, &id, &err));
    assert_int_equal(id, 3);
}

static void unclear_cell_is_an_error_with_choices(void **state)
{
    struct store_fixture *fixture = *state;
    put_cell(fixture, "none", 4);
    put_cell(fixture, "none", 8);
    refuses_name(fixture, "none", "2 cells of store '", "'none' (videomme, 4 frames, digest ");
    refuses_name(fixture, NULL, "2 cells of store '", "'none' (videomme, 8 frames, digest ");
    refuses_name(fixture, "none@16", "no cell of store '", "LABEL@FRAMES");
    refuses_name(fixture, "none@4 ", "no cell of store '", "'none'");
    refuses_name(fixture, "nine", "no cell of store '", "'none' (videomme, 4 frames, digest ");
    refuses_name(fixture, "", "is called ''", "'none'");
    char digest[DIGEST_HEX]; /* three digits are too few */
    snprintf(digest, sizeof digest, "%s", sql(fixture->path, "SELECT substr(digest, 1, 3) FROM cell WHERE id = 1"));
    refuses_name(fixture, digest, "is called '", "'none'");
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static void cell_is_read_as_written(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = put_cell(fixture, "none", 4), other = put_cell(fixture, "none", 8);
    struct answer ok = fixture_answer(true, 4, 300), failed = {.status = ANSWER_TOO_LONG, .message = "why", .extracted = -1};
    struct answer silent = {.status = ANSWER_NO_ANSWER, .raw = "", .extracted = -1};
    OK(store_put_answer(fixture->store, fixture->run, id, &fixture->manifest, 0, &ok, &err));
    OK(store_put_answer(fixture->store, fixture->run, id, &fixture->manifest, 3, &failed, &err));
    OK(store_put_answer(fixture->store, fixture->run, id, &fixture->manifest, 5, &silent, &err));
    OK(store_put_answer(fixture->store, fixture->run, other, &fixture->manifest, 1, &ok, &err));
    OK(store_put_record(fixture->store, id, &fixture->manifest, 5, "{\"input\":\"x\"}", &err));
    struct stored_cell cell;
    OK(store_load_cell(&cell, fixture->store, id, &err));
    assert_string_equal(cell.label, "none");
    assert_string_equal(cell.model, "lmms-lab/tiny");
    assert_string_equal(cell.profile, "toksweep");
    assert_string_equal(cell.prompt_form, "default");
    assert_string_equal(cell.sampling, "uniform");
    assert_int_equal(cell.frames, 4);
    assert_int_equal(cell.max_new_tokens, 16);
    assert_string_equal(cell.manifest.benchmark, "videomme");
    assert_string_equal(cell.manifest.path, "manifest.json");
    assert_string_equal(cell.manifest.digest, fixture->manifest.digest);
    assert_int_equal(cell.manifest.n_samples, SAMPLES);
    assert_int_equal(cell.manifest.n_videos, SAMPLES / 2);
    assert_int_equal(cell.n_answers, 3);
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *found = &cell.manifest.samples[i], *put = &fixture->manifest.samples[i];
        assert_string_equal(found->id, put->id);
        assert_int_equal(found->row, i);
        assert_string_equal(cell.manifest.videos[found->video].id, fixture->manifest.videos[put->video].id);
        assert_string_equal(found->question, put->question);
        assert_int_equal(found->answer, put->answer);
        assert_string_equal(found->task_type, put->task_type);
        assert_null(found->duration);
        assert_int_equal(found->n_options, 3);
        assert_string_equal(found->options[2], "C. green");
        assert_int_equal(cell.answers[i].id != 0, i == 0 || i == 3 || i == 5);
    }
    assert_string_equal(cell.answers[0].answer.raw, "A");
    assert_int_equal(cell.answers[0].answer.extracted, 0);
    assert_true(cell.answers[0].answer.correct);
    assert_int_equal(cell.answers[0].answer.cost.tokens_visual, 300);
    const struct cost *cost = &cell.answers[0].answer.cost;
    assert_int_equal(cost->tokens_generated, 2);
    assert_int_equal(cost->frames, ok.cost.frames);
    assert_int_equal(cost->frames_encoded, ok.cost.frames_encoded);
    assert_int_equal(cost->tokens_prefilled, ok.cost.tokens_prefilled);
    for (int stage = 0; stage < STAGES; stage++) {
        assert_true(cost->alone_ms[stage] == ok.cost.alone_ms[stage] || (isnan(cost->alone_ms[stage]) && isnan(ok.cost.alone_ms[stage])));
        assert_true(cost->paid_ms[stage] == ok.cost.paid_ms[stage] || (isnan(cost->paid_ms[stage]) && isnan(ok.cost.paid_ms[stage])));
    }
    assert_true(cell.answers[0].answer.margin == ok.margin || isnan(ok.margin));
    assert_int_equal(cell.answers[1].answer.cost.frames, 0); /* no answer at all */
    assert_null(cell.answers[0].record);
    assert_int_equal(cell.answers[3].answer.status, ANSWER_TOO_LONG);
    assert_null(cell.answers[3].answer.raw);
    assert_string_equal(cell.answers[3].answer.message, "why");
    assert_int_equal(cell.answers[5].answer.status, ANSWER_NO_ANSWER);
    assert_string_equal(cell.answers[5].answer.raw, "");
    assert_int_equal(cell.answers[5].answer.extracted, -1);
    assert_string_equal(cell.answers[5].record, "{\"input\":\"x\"}");
    assert_true(strcmp(cell.started_at, cell.ended_at) <= 0 && *cell.started_at);
    stored_cell_free(&cell);
}

static void cell_that_is_not_there_is_an_error(void **state)
{
    struct store_fixture *fixture = *state;
    struct stored_cell cell;
    struct err err = {0};
    assert_int_equal(store_load_cell(&cell, fixture->store, 77, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "has no cell 77"));
    stored_cell_free(&cell);
}

/* ---- scores under other profiles ------------------------------------------------------------------------------------------- */

static const char answers_sql[] = "SELECT id, cell_id, sample_id, status, raw, extracted, correct, answered_at FROM answer ORDER BY id";

/* Answers 0..3 of four, the first two right; under the other profile the second is wrong, the third right, the fourth no letter. */
static int64_t rescored_cell(struct store_fixture *fixture)
{
    int64_t id = put_cell(fixture, "none", 4);
    OK(fixture_answer_all(fixture, id, 4, 2, 4, 300, &err));
    const struct rescored scores[] = {
        {1, ANSWER_OK, 0, true, true}, {2, ANSWER_OK, 2, false, true}, {3, ANSWER_OK, 2, true, true},
                                      {4, ANSWER_NO_ANSWER, -1, false, true}};
    const struct protocol macro = {.benchmark = "videomme", .macro = true};
    OK(store_put_rescoring(fixture->store, id, "lmms-head", &macro, "b1", scores, 4, &err));
    return id;
}

static void scores_live_beside_answers(void **state)
{
    struct store_fixture *fixture = *state;
    rescored_cell(fixture);
    char before[4096];
    snprintf(before, sizeof before, "%s", sql(fixture->path, answers_sql));
    assert_string_equal(sql(fixture->path, "SELECT own_profile, profile, n, n_correct, n_flipped, accuracy_micro FROM rescored_accuracy"),
                        "toksweep|lmms-head|4|2|3|0.5");
    /* alpha: samples 0 and 3, half right; beta: sample 1, wrong; gamma: sample 2, right */
    assert_string_equal(sql(fixture->path, "SELECT accuracy FROM rescored_accuracy"), "0.5");
    assert_string_equal(sql(fixture->path, answers_sql), before);
}

/* A fourth reply that does not count: alpha is right, beta wrong, gamma right; seven types would be two sevenths. */
static void headline_is_the_other_profiles(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = rescored_cell(fixture);
    const struct rescored scores[] = {{1, ANSWER_OK, 0, true, true}, {2, ANSWER_OK, 2, false, true}, {3, ANSWER_OK, 2, true, true},
                                      {4, ANSWER_NO_ANSWER, -1, false, false}};
    struct protocol protocol = {.benchmark = "videomme"};
    OK(store_put_rescoring(fixture->store, id, "lmms-head", &protocol, "b1", scores, 4, &err));
    assert_string_equal(sql(fixture->path, "SELECT round(accuracy, 9), accuracy_micro FROM rescored_accuracy"), "0.666666667|0.5");
    protocol = (struct protocol){.benchmark = "videomme", .macro = true, .macro_types = 7};
    OK(store_put_rescoring(fixture->store, id, "lmms-head", &protocol, "b1", scores, 4, &err));
    assert_string_equal(sql(fixture->path, "SELECT round(accuracy, 9) FROM rescored_accuracy"), "0.285714286");
}

static void scoring_again_replaces(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = rescored_cell(fixture);
    const struct rescored one = {1, ANSWER_OK, 0, true, true};
    const struct protocol micro = {.benchmark = "videomme"};
    OK(store_put_rescoring(fixture->store, id, "lmms-head", &micro, "b2", &one, 1, &err));
    OK(store_put_rescoring(fixture->store, id, "lmms-0.3.4", &micro, "b2", &one, 1, &err));
    assert_string_equal(sql(fixture->path, "SELECT profile, macro, build_digest FROM rescoring ORDER BY profile"),
                        "lmms-0.3.4|0|b2\nlmms-head|0|b2");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM score"), "2");
}

static void failed_scores_leave_what_was_there(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = rescored_cell(fixture);
    const struct rescored wrong[] = {{1, ANSWER_OK, 0, true, true}, {99, ANSWER_OK, 0, true, true}};
    const struct protocol micro = {.benchmark = "videomme"};
    struct err err = {0};
    assert_int_equal(store_put_rescoring(fixture->store, id, "lmms-head", &micro, "b2", wrong, 2, &err), ERR_DATA);
    assert_string_equal(sql(fixture->path, "SELECT macro, count(*) FROM rescoring JOIN score ON rescoring_id = rescoring.id"), "1|4");
}

/* An answer that is replaced takes its score and its record with it. */
static void scores_go_with_their_answer(void **state)
{
    struct store_fixture *fixture = *state;
    rescored_cell(fixture);
    OK(store_put_record(fixture->store, 1, &fixture->manifest, 2, "{}", &err));
    sql(fixture->path, "UPDATE answer SET status = 'timeout', raw = NULL, correct = 0 WHERE id = 3");
    struct answer again = fixture_answer(true, 4, 300);
    OK(store_put_answer(fixture->store, fixture->run, 1, &fixture->manifest, 2, &again, &err));
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM score"), "3");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM imported"), "0");
}

/* ---- batches --------------------------------------------------------------------------------------------------------------- */

static void batch_is_all_or_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    OK(store_begin_batch(fixture->store, &err));
    int64_t id = put_cell(fixture, "none", 4);
    OK(fixture_answer_all(fixture, id, 3, 1, 4, 300, &err));
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM answer"), "0"); /* seen by nobody yet */
    OK(store_end_batch(fixture->store, 0, &err));
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM answer"), "3");

    struct err failure = {0};
    OK(store_begin_batch(fixture->store, &err));
    put_cell(fixture, "none", 8);
    OK(fixture_answer_all(fixture, 2, 3, 1, 8, 300, &err));
    assert_int_equal(store_end_batch(fixture->store, err_set(&failure, ERR_DATA, "no"), &failure), ERR_DATA);
    assert_string_equal(failure.text, "no");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM answer"), "3");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM cell"), "1");
}

/* A write within that fails undoes nothing by itself; the end does, and the store goes on. */
static void failed_write_ends_the_batch(void **state)
{
    struct store_fixture *fixture = *state;
    struct err failure = {0};
    OK(store_begin_batch(fixture->store, &err));
    int64_t id = put_cell(fixture, "none", 4);
    struct answer impossible = fixture_answer(true, 4, 300);
    impossible.status = ANSWER_TIMEOUT;
    OK(fixture_answer_all(fixture, id, 1, 1, 4, 300, &err));
    int rc = store_put_answer(fixture->store, fixture->run, id, &fixture->manifest, 1, &impossible, &failure);
    assert_int_equal(rc, ERR_DATA);
    assert_int_equal(store_end_batch(fixture->store, rc, &failure), ERR_DATA);
    assert_non_null(strstr(failure.text, "only_ok_is_correct"));
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM answer"), "0");
    OK(store_end_run(fixture->store, fixture->run, "done", &err));
    assert_string_equal(sql(fixture->path, "SELECT outcome FROM run"), "done");
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

/* ---- history --------------------------------------------------------------------------------------------------------------- */

struct revisions { char text[1024]; };

static int tell_revision(const struct history_row *row, void *context)
{
    struct revisions *revisions = context;
    size_t n = strlen(revisions->text);
    snprintf(revisions->text + n, sizeof revisions->text - n, "%s@%d %s %lld/%lld on %lld videos, %s;", row->label, row->frames, row->build_digest,
             (long long)row->n_correct, (long long)row->n_answered, (long long)row->n_videos, row->device);
    return 0;
}

/* Cells that differ in their build alone are one point, in the order of their answers; those without answers are left out. */
static void history_goes_by_point_and_time(void **state)
{
    struct store_fixture *fixture = *state;
    static const char *const builds[] = {"b2", "b1", "b3"};
    int64_t cells[3], other = put_cell(fixture, "none", 8);
    for (int i = 0; i < 3; i++) {
        struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 4);
        cell.build_digest = builds[i];
        OK(fixture_put_cell(fixture->store, cell, &cells[i], &err));
    }
    struct answer right = fixture_answer(true, 4, 300), wrong = fixture_answer(false, 4, 300);
    OK(store_put_answer(fixture->store, fixture->run, cells[1], &fixture->manifest, 0, &right, &err));
    pause_ms(20);
    OK(store_put_answer(fixture->store, fixture->run, cells[0], &fixture->manifest, 0, &right, &err));
    OK(store_put_answer(fixture->store, fixture->run, cells[0], &fixture->manifest, 2, &wrong, &err));
    OK(store_put_answer(fixture->store, fixture->run, other, &fixture->manifest, 0, &right, &err));
    struct revisions revisions = {""};
    OK(store_each_history(fixture->store, NULL, tell_revision, &revisions, &err));
    assert_string_equal(revisions.text, "none@4 b1 1/1 on 1 videos, cpu: test, 1 threads;none@4 b2 1/2 on 2 videos, cpu: test, 1 threads;"
                                        "none@8 b0 1/1 on 1 videos, cpu: test, 1 threads;");
    revisions.text[0] = 0;
    OK(store_each_history(fixture->store, "frames = 8", tell_revision, &revisions, &err));
    assert_string_equal(revisions.text, "none@8 b0 1/1 on 1 videos, cpu: test, 1 threads;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(cell_is_found_by_label_and_digest),
        WITH_STORE(unclear_cell_is_an_error_with_choices),
        WITH_STORE(cell_is_read_as_written),
        WITH_STORE(cell_that_is_not_there_is_an_error),
        WITH_STORE(scores_live_beside_answers),
        WITH_STORE(headline_is_the_other_profiles),
        WITH_STORE(scoring_again_replaces),
        WITH_STORE(failed_scores_leave_what_was_there),
        WITH_STORE(scores_go_with_their_answer),
        WITH_STORE(history_goes_by_point_and_time),
        WITH_STORE(batch_is_all_or_nothing),
        WITH_STORE(failed_write_ends_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
