/* Writing: rows are what was given, byte for byte; what is there stays; one failed row harms nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

enum { SAMPLES = 7 };

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

static int64_t plain_cell(struct store_fixture *fixture)
{
    int64_t id = 0;
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none", 4), &id, &err));
    return id;
}

/* ---- runs ------------------------------------------------------------------------------------------------------------------ */

static void run_keeps_its_facts(void **state)
{
    struct store_fixture *fixture = *state;
    assert_string_equal(sql(fixture->path, "SELECT id, command, sweep_name, config, revision, build_digest, libraries, host, device, "
                                           "ended_at, outcome FROM run"),
                        "1|toksweep run sweep.yaml|sweep|{\"axes\":{}}||b0|{\"sqlite\":\"3\"}|here|cpu: test, 1 threads|NULL|NULL");
    assert_string_equal(sql(fixture->path, "SELECT started_at GLOB "
                                           "'20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z' FROM "
                                           "run"), "1");
    OK(store_end_run(fixture->store, fixture->run, "stopped", &err));
    assert_string_equal(sql(fixture->path, "SELECT outcome, ended_at >= started_at FROM run"), "stopped|1");
}

static void run_outcome_is_one_of_three(void **state)
{
    struct store_fixture *fixture = *state;
    struct err err = {0};
    assert_int_equal(store_end_run(fixture->store, fixture->run, "fine", &err), ERR_DATA);
    assert_non_null(strstr(err.text, "cannot end the run in store '"));
    assert_non_null(strstr(err.text, "CHECK constraint failed: outcome IN ('done', 'stopped', 'failed')"));
    assert_string_equal(sql(fixture->path, "SELECT outcome FROM run"), "NULL");
}

/* ---- manifests ------------------------------------------------------------------------------------------------------------- */

static void manifest_is_written_once(void **state)
{
    struct store_fixture *fixture = *state;
    static const char counts[] =
        "SELECT (SELECT count(*) FROM benchmark), (SELECT count(*) FROM video), (SELECT count(*) FROM sample), (SELECT count(*) FROM "
        "option)";
    assert_string_equal(sql(fixture->path, counts), "1|4|7|21");
    OK(store_put_manifest(fixture->store, &fixture->manifest, &err));
    assert_string_equal(sql(fixture->path, counts), "1|4|7|21");
    assert_string_equal(sql(fixture->path, "SELECT sample.name, manifest_row, video.name, answer, task_type, duration FROM sample JOIN "
                                           "video ON video.id = video_id "
                                     "WHERE manifest_row IN (0, 6)"),
                        "q0|0|v0|0|alpha|NULL\nq6|6|v3|0|alpha|NULL");
    assert_string_equal(sql(fixture->path, "SELECT position, text FROM option WHERE sample_id = 1"), "0|A. red\n1|B. blue\n2|C. green");
    assert_string_equal(sql(fixture->path, "SELECT name, path FROM benchmark"), "videomme|manifest.json");
}

static void manifest_text_is_kept_byte_for_byte(void **state)
{
    struct store_fixture *fixture = *state;
    static const char odd[] = "\xc3\xa9 \xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x8e\x9e \t\r\n\x01\x7f ' \" ; -- \\ %s \xff\xfe";
    static const char *const options[] = {odd, "", odd + 3};
    struct manifest other = fixture_manifest("mvbench", "odd", 1);
    other.samples[0].question = odd;
    other.samples[0].id = odd + 1;
    other.samples[0].options = options;
    other.samples[0].answer = -1;
    other.samples[0].task_type = NULL;
    other.samples[0].domain = odd;
    other.videos[0].start_s = 1.25;
    other.videos[0].end_s = 3.5;
    other.videos[0].missing = true;
    other.videos[0].is_folder = true;
    other.videos[0].folder_fps = 3;
    OK(store_put_manifest(fixture->store, &other, &err));
    assert_string_equal(sql(fixture->path, "SELECT question FROM sample WHERE benchmark_id = 2"), odd);
    assert_string_equal(sql(fixture->path, "SELECT name FROM sample WHERE benchmark_id = 2"), odd + 1);
    assert_string_equal(sql(fixture->path, "SELECT domain FROM sample WHERE benchmark_id = 2"), odd);
    assert_string_equal(sql(fixture->path, "SELECT text FROM option WHERE sample_id = 8 AND position = 0"), odd);
    assert_string_equal(sql(fixture->path, "SELECT text FROM option WHERE sample_id = 8 AND position = 1"), "");
    assert_string_equal(sql(fixture->path, "SELECT text FROM option WHERE sample_id = 8 AND position = 2"), odd + 3);
    assert_string_equal(sql(fixture->path, "SELECT answer, task_type FROM sample WHERE benchmark_id = 2"), "NULL|NULL");
    assert_string_equal(sql(fixture->path, "SELECT missing, is_folder, folder_fps, start_s, end_s FROM video WHERE benchmark_id = 2"),
                        "1|1|3.0|1.25|3.5");
    arena_free(&other.arena);
}

static void moved_videos_are_followed(void **state)
{
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < fixture->manifest.n_videos; i++)
        fixture->manifest.videos[i].path = arena_printf(&fixture->manifest.arena, "elsewhere/v%zu.mp4", i);
    OK(store_put_manifest(fixture->store, &fixture->manifest, &err));
    assert_string_equal(sql(fixture->path, "SELECT count(*), min(path), max(path) FROM video"), "4|elsewhere/v0.mp4|elsewhere/v3.mp4");
    assert_string_equal(sql(fixture->path, "SELECT group_concat(video.name, ' ') FROM sample JOIN video ON video.id = video_id"),
                        "v0 v0 v1 v1 v2 v2 v3");
}

static void equal_names_in_two_folders_are_two_videos(void **state)
{
    struct store_fixture *fixture = *state;
    struct manifest other = fixture_manifest("mvbench", "folders", 4);
    other.videos[1].id = other.videos[0].id;
    OK(store_put_manifest(fixture->store, &other, &err));
    assert_string_equal(sql(fixture->path, "SELECT name, path FROM video WHERE benchmark_id = 2"), "v0|clips/v0.mp4\nv0|clips/v1.mp4");
    arena_free(&other.arena);
}

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */

static void cell_is_written_once(void **state)
{
    struct store_fixture *fixture = *state;
    struct cell cell = fixture_cell(&fixture->manifest, "dyntok", "{\"threshold\":0.6}", "dyntok threshold=0.6", 96);
    cell.sampling = FRAMES_1FPS;
    cell.time_instruction = true;
    cell.repetition_penalty = 1.05;
    static const struct protocol protocol = {.macro = true, .drop_empty = true};
    int64_t first = 0, second = 0;
    cell_identify(&cell);
    OK(store_put_cell(fixture->store, &cell, &protocol, &first, &err));
    cell.model = "another name of it";
    OK(store_put_cell(fixture->store, &cell, &protocol, &second, &err));
    assert_int_equal(first, second);
    assert_string_equal(sql(fixture->path, "SELECT count(*), profile, frames, sampling, compressor, params, label, pooling, image_size, "
                                           "newline, conversation, prompt_form, time_instruction, "
                                     "repetition_penalty, max_new_tokens, dtype, runner, isa, build_digest, macro, drop_empty FROM cell"),
                        "1|toksweep|96|1fps|dyntok|{\"threshold\":0.6}|dyntok "
                        "threshold=0.6|bilinear|384|grid|qwen_1_5|default|1|1.05|16|f32|mock|ref|b0|1|1");
    assert_string_equal(sql(fixture->path, "SELECT digest, name FROM model"), "m0|lmms-lab/tiny");
    assert_string_equal(sql(fixture->path, "SELECT length(digest) FROM cell"), "64");
    cell.frames = 64;
    cell_identify(&cell);
    OK(store_put_cell(fixture->store, &cell, &protocol, &second, &err));
    assert_int_not_equal(first, second);
}

static void cell_may_come_before_its_manifest(void **state)
{
    struct store_fixture *fixture = *state;
    struct manifest other = fixture_manifest("mvbench", "late", 3);
    struct answer answer = fixture_answer(true, 4, 100);
    int64_t cell = 0;
    OK(fixture_put_cell(fixture->store, fixture_cell(&other, "none", "{}", "none", 4), &cell, &err));
    assert_string_equal(sql(fixture->path, "SELECT name, path FROM benchmark WHERE id = 2"), "mvbench|NULL");
    OK(store_put_manifest(fixture->store, &other, &err));
    assert_string_equal(sql(fixture->path, "SELECT count(*), max(path) FROM benchmark WHERE name = 'mvbench'"), "1|late.json");
    OK(store_put_answer(fixture->store, fixture->run, cell, &other, 2, &answer, &err));
    arena_free(&other.arena);
}

static void cell_with_broken_params_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    struct err err = {0};
    int64_t id = 0;
    assert_int_equal(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{", "none", 4), &id, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "cannot write the cell in store '"));
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM model"), "0"); /* the whole call was undone */
}

/* ---- answers --------------------------------------------------------------------------------------------------------------- */

static void answer_keeps_every_member(void **state)
{
    struct store_fixture *fixture = *state;
    struct answer answer = {.status = ANSWER_OK, .raw = "B. caf\xc3\xa9\n\x02", .extracted = 1, .correct = true, .margin = 0.25};
    memset(answer.tokens_digest, 'e', 64);
    static const struct answer_groups groups = {"[0,9]", 1, 2, "nl.n"};
    answer.groups = &groups;
    answer.cost = (struct cost){1, 2, 3, 4, 5, 6, 7, 8, 9, 18, 22, 19, 20.5, 21.5,
                                {.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5}, {10, 11, 12, 13, 14, 15, 16, 17}, 1LL << 40, 17.5};
    OK(store_put_answer(fixture->store, fixture->run, plain_cell(fixture), &fixture->manifest, 3, &answer, &err));
    assert_string_equal(sql(fixture->path, "SELECT sample.name, run_id, status, failed, raw, message, extracted, correct, margin, "
                                           "tokens_digest "
                                     "FROM answer JOIN sample ON sample.id = sample_id"),
                        "q3|1|ok|0|B. caf\xc3\xa9\n\x02|NULL|1|1|0.25|eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
    assert_string_equal(sql(fixture->path, "SELECT digest = (SELECT tokens_digest FROM answer), frames, h, w, map FROM token_groups"),
                        "1|[0,9]|1|2|nl.n");
    assert_string_equal(sql(fixture->path, "SELECT * FROM cost"),
                        "1|1|2|3|4|5|6|7|8|9|0.5|1.5|2.5|3.5|5.5|6.5|7.5|10.0|11.0|12.0|13.0|15.0|16.0|17.0|1099511627776|17.5|1|"
                        "20.5|21.5|19|18|4.5|14.0|22");
}

static void unknown_values_are_null(void **state)
{
    struct store_fixture *fixture = *state;
    struct answer answer = {.status = ANSWER_NO_ANSWER, .raw = "", .extracted = -1, .margin = (double)NAN, .cost.joules = (double)NAN};
    answer.cost.alone_ms[STAGE_VISION] = (double)NAN;
    OK(store_put_answer(fixture->store, fixture->run, plain_cell(fixture), &fixture->manifest, 0, &answer, &err));
    assert_string_equal(sql(fixture->path, "SELECT raw = '', message, extracted, margin, tokens_digest FROM answer"),
                        "1|NULL|NULL|NULL|NULL");
    assert_string_equal(sql(fixture->path, "SELECT joules, peak_bytes, vision_alone_ms, decode_alone_ms, tokens_mean, shared_layers FROM cost"),
                        "NULL|NULL|NULL|0.0|NULL|NULL");
}

/* Which answers stay and which are replaced, for every pair of statuses. */
static void only_failures_are_replaced(void **state)
{
    struct store_fixture *fixture = *state;
    for (int before = 0; before < ANSWER_STATUSES; before++)
        for (int after = 0; after < ANSWER_STATUSES; after++) {
            int64_t cell = 0;
            OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none",
                                                             10 + ANSWER_STATUSES * before + after), &cell, &err));
            struct answer first = {.status = (enum answer_status)before, .extracted = -1, .cost.frames = 1};
            struct answer second = {.status = (enum answer_status)after, .extracted = -1, .cost.frames = 2};
            OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 0, &first, &err));
            OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 0, &second, &err));
            bool replaced = before > ANSWER_AMBIGUOUS;
            char query[128], expected[64];
            snprintf(query, sizeof query, "SELECT status, frames FROM answer JOIN cost ON answer_id = answer.id WHERE cell_id = %lld",
                     (long long)cell);
            snprintf(expected, sizeof expected, "%s|%d", answer_status_name((enum answer_status)(replaced ? after : before)),
                     replaced ? 2 : 1);
            assert_string_equal(sql(fixture->path, query), expected);
        }
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM cost"), "81");
}

static void unknown_sample_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    struct answer answer = fixture_answer(true, 4, 100);
    struct manifest other = fixture_manifest("videomme", "other", 9);
    struct err err = {0};
    int64_t cell = plain_cell(fixture);
    assert_int_equal(store_put_answer(fixture->store, fixture->run, cell, &other, 8, &answer, &err), ERR_CONFIG);
    char expected[512];
    snprintf(expected, sizeof expected, "cell 1 of store '%s' does not ask sample 'q8' of manifest 'other.json'; write this manifest and "
                                        "a cell of it first",
             fixture->path);
    assert_string_equal(err.text, expected);
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM answer"), "0");
    arena_free(&other.arena);
}

static void answer_against_the_rules_leaves_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = plain_cell(fixture);
    struct err refusal = {0};
    struct answer wrong = {.status = ANSWER_NO_ANSWER, .raw = "?", .extracted = -1, .correct = true};
    assert_int_equal(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 0, &wrong, &refusal), ERR_DATA);
    assert_non_null(strstr(refusal.text, "CHECK constraint failed: only_ok_is_correct"));
    wrong = (struct answer){.status = ANSWER_TIMEOUT, .raw = "A", .extracted = -1};
    assert_int_equal(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 0, &wrong, &refusal), ERR_DATA);
    assert_non_null(strstr(refusal.text, "CHECK constraint failed: failures_have_no_reply"));
    struct answer fine = fixture_answer(true, 4, 100);
    assert_int_equal(store_put_answer(fixture->store, 99, cell, &fixture->manifest, 0, &fine, &refusal), ERR_DATA);
    assert_non_null(strstr(refusal.text, "FOREIGN KEY constraint failed"));
    assert_string_equal(sql(fixture->path, "SELECT (SELECT count(*) FROM answer), (SELECT count(*) FROM cost)"), "0|0");
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 0, &fine, &err));
    assert_string_equal(sql(fixture->path, "SELECT (SELECT count(*) FROM answer), (SELECT count(*) FROM cost)"), "1|1");
}

static void answered_is_by_sample_and_manifest(void **state)
{
    struct store_fixture *fixture = *state;
    struct manifest other = fixture_manifest("videomme", "other", SAMPLES);
    struct answer good = fixture_answer(false, 4, 100), failed = {.status = ANSWER_TIMEOUT, .message = "60 s", .extracted = -1};
    struct answer silent = {.status = ANSWER_NO_ANSWER, .raw = "", .extracted = -1};
    int64_t cell = plain_cell(fixture), other_cell = 0;
    OK(store_put_manifest(fixture->store, &other, &err));
    OK(fixture_put_cell(fixture->store, fixture_cell(&other, "none", "{}", "none", 4), &other_cell, &err));
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 1, &good, &err));
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 4, &failed, &err));
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 5, &silent, &err));
    OK(store_put_answer(fixture->store, fixture->run, other_cell, &other, 0, &good, &err));
    bool done[SAMPLES];
    memset(done, 1, sizeof done);
    OK(store_answered(fixture->store, cell, &fixture->manifest, false, done, &err));
    assert_memory_equal(done, ((bool[SAMPLES]){false, true, false, false, true, true, false}), sizeof done);
    OK(store_answered(fixture->store, cell, &fixture->manifest, true, done, &err));
    assert_memory_equal(done, ((bool[SAMPLES]){false, true, false, false, false, true, false}), sizeof done);
    OK(store_answered(fixture->store, other_cell, &other, false, done, &err));
    assert_memory_equal(done, ((bool[SAMPLES]){true}), sizeof done);
    OK(store_answered(fixture->store, cell, &other, false, done, &err));
    assert_memory_equal(done, ((bool[SAMPLES]){false}), sizeof done);

    /* A part of the manifest, in another order, is matched by id. */
    struct sample part[] = {fixture->manifest.samples[5], fixture->manifest.samples[0], fixture->manifest.samples[1]};
    struct manifest some = fixture->manifest;
    some.samples = part;
    some.n_samples = 3;
    OK(store_answered(fixture->store, cell, &some, false, done, &err));
    assert_memory_equal(done, ((bool[]){true, false, true}), 3);
    arena_free(&other.arena);
}

static void statuses_are_counted(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = plain_cell(fixture), count[ANSWER_STATUSES];
    OK(store_statuses(fixture->store, count, &err));
    assert_memory_equal(count, ((int64_t[ANSWER_STATUSES]){0}), sizeof count);
    OK(fixture_answer_all(fixture, cell, 5, 2, 4, 100, &err));
    struct answer failed = {.status = ANSWER_MISSING_VIDEO, .message = "no such file", .extracted = -1};
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, 6, &failed, &err));
    OK(store_statuses(fixture->store, count, &err));
    assert_memory_equal(count, ((int64_t[ANSWER_STATUSES]){[ANSWER_OK] = 5, [ANSWER_MISSING_VIDEO] = 1}), sizeof count);
}

static void ten_thousand_answers_are_all_there(void **state)
{
    enum { MANY = 10000 };
    struct store_fixture *fixture = *state;
    struct manifest large = fixture_manifest("videomme", "large", MANY);
    int64_t cell = 0;
    OK(store_put_manifest(fixture->store, &large, &err));
    OK(fixture_put_cell(fixture->store, fixture_cell(&large, "none", "{}", "none", 4), &cell, &err));
    for (size_t i = 0; i < MANY; i++) {
        struct answer answer = fixture_answer(i % 4 == 0, 4, 100);
        OK(store_put_answer(fixture->store, fixture->run, cell, &large, i, &answer, &err));
    }
    assert_string_equal(sql(fixture->path, "SELECT n_samples, n_answered, n_correct, accuracy FROM cell_accuracy"),
                        "10000|10000|2500|0.25");
    bool *done = calloc(MANY, sizeof *done);
    OK(store_answered(fixture->store, cell, &large, true, done, &err));
    for (size_t i = 0; i < MANY; i++)
        assert_true(done[i]);
    free(done);
    arena_free(&large.arena);
}

/* ---- builds ---------------------------------------------------------------------------------------------------------------- */

static void put_cell_of_build(struct store_fixture *fixture, const char *build)
{
    struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 4);
    int64_t id;
    cell.build_digest = build;
    OK(fixture_put_cell(fixture->store, cell, &id, &err));
}

static void builds_are_found_by_their_beginning(void **state)
{
    struct store_fixture *fixture = *state;
    char digest[DIGEST_HEX];
    struct err why = {0};
    assert_int_equal(store_find_build(fixture->store, "a", digest, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "the builds of its cells are none"));
    put_cell_of_build(fixture, "ab01");
    put_cell_of_build(fixture, "ab02");
    put_cell_of_build(fixture, "cd03");
    OK(store_find_build(fixture->store, "c", digest, &err));
    assert_string_equal(digest, "cd03");
    OK(store_find_build(fixture->store, "ab02", digest, &err));
    assert_string_equal(digest, "ab02");
    assert_int_equal(store_find_build(fixture->store, "ab", digest, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "'ab' is the beginning of more than one build's digest in store"));
    assert_int_equal(store_find_build(fixture->store, "x", digest, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "the builds of its cells are cd03, ab02, ab01"));
}

/* ---- servers --------------------------------------------------------------------------------------------------------------- */

static void what_a_server_says_is_kept(void **state)
{
    struct store_fixture *fixture = *state;
    struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 4);
    int64_t plain, knobs;
    OK(fixture_put_cell(fixture->store, cell, &plain, &err));
    cell.body = "{\"pruning\":0.5}";
    OK(fixture_put_cell(fixture->store, cell, &knobs, &err));
    assert_int_not_equal(plain, knobs);
    struct answer answer = fixture_answer(true, 4, 0);
    answer.remote = (struct remote){.attempts = 3, .request_ms = 12.5, .finish = "stop", .usage = "{\"completion_tokens\":2,\"prompt_tokens\":900}"};
    OK(store_put_answer(fixture->store, fixture->run, knobs, &fixture->manifest, 0, &answer, &err));
    answer.remote = (struct remote){.attempts = 1, .request_ms = (double)NAN, .usage = "{\"prompt_tokens\":\"many\"}"};
    OK(store_put_answer(fixture->store, fixture->run, knobs, &fixture->manifest, 1, &answer, &err));
    answer.remote = (struct remote){0};
    OK(store_put_answer(fixture->store, fixture->run, plain, &fixture->manifest, 0, &answer, &err));
    assert_string_equal(sql(fixture->path, "SELECT attempts, request_ms, finish, prompt_tokens, completion_tokens FROM remote ORDER BY answer_id"),
                        "3|12.5|stop|900|2\n1|NULL|NULL|NULL|NULL");
    assert_string_equal(sql(fixture->path, "SELECT n_answers, n_requests, n_reported, prompt_tokens, completion_tokens, request_ms, n_cut FROM server_usage"),
                        "2|4|2|900|2|12.5|0");
    assert_string_equal(sql(fixture->path, "SELECT body FROM cell_accuracy ORDER BY id"), "NULL\n{\"pruning\":0.5}");
    assert_string_equal(sql(fixture->path, "PRAGMA integrity_check"), "ok");
}

/* ---- calibrations ---------------------------------------------------------------------------------------------------------- */

static void calibration_comes_back(void **state)
{
    struct store_fixture *fixture = *state;
    struct calibration one = {.target_ratio = 0.444, .threshold = 0.6012345678901234, .achieved_ratio = 0.4437, .n_videos = 16}, back = {0};
    bool found = true;
    OK(store_get_calibration(fixture->store, "k", &back, &found, &err));
    assert_false(found);
    OK(store_put_calibration(fixture->store, "k", &one, &err));
    one.n_videos = 32; /* a new search replaces the old one */
    OK(store_put_calibration(fixture->store, "k", &one, &err));
    OK(store_get_calibration(fixture->store, "k", &back, &found, &err));
    assert_true(found);
    assert_true(back.target_ratio == one.target_ratio && back.threshold == one.threshold && back.achieved_ratio == one.achieved_ratio);
    assert_int_equal(back.n_videos, 32);
    OK(store_get_calibration(fixture->store, "other", &back, &found, &err));
    assert_false(found);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    /* Ten thousand durable commits take minutes on a slow disk, and nothing here depends on the disk. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {
        IN_STORE(run_keeps_its_facts),
        IN_STORE(run_outcome_is_one_of_three),
        IN_STORE(manifest_is_written_once),
        IN_STORE(manifest_text_is_kept_byte_for_byte),
        IN_STORE(moved_videos_are_followed),
        IN_STORE(equal_names_in_two_folders_are_two_videos),
        IN_STORE(cell_is_written_once),
        IN_STORE(cell_may_come_before_its_manifest),
        IN_STORE(cell_with_broken_params_is_refused),
        IN_STORE(answer_keeps_every_member),
        IN_STORE(what_a_server_says_is_kept),
        IN_STORE(unknown_values_are_null),
        IN_STORE(only_failures_are_replaced),
        IN_STORE(unknown_sample_is_refused),
        IN_STORE(answer_against_the_rules_leaves_nothing),
        IN_STORE(answered_is_by_sample_and_manifest),
        IN_STORE(statuses_are_counted),
        IN_STORE(ten_thousand_answers_are_all_there),
        IN_STORE(builds_are_found_by_their_beginning),
        IN_STORE(calibration_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
