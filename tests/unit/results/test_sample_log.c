/* Samples logs: the shapes of every release, as recorded and as strangers may have them, and whose questions they answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "results/log_match.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sample_log parsed(const char *text, const char *path)
{
    struct sample_log log;
    struct err err = {0};
    if (sample_log_parse(&log, text, strlen(text), path, &err))
        fail_msg("%s", err.text);
    return log;
}

static void refuses(const char *text, size_t length, const char *part)
{
    struct sample_log log;
    struct err err = {0};
    assert_int_equal(sample_log_parse(&log, text, length, "x.jsonl", &err), ERR_DATA);
    if (!strstr(err.text, part))
        fail_msg("'%s' lacks '%s'", err.text, part);
    assert_null(log.entries);
}

static void refuses_text(const char *text, const char *part)
{
    refuses(text, strlen(text), part);
}

/* ---- shapes ---------------------------------------------------------------------------------------------------------------- */

static void test_present_shape(void **state)
{
    (void)state;
    struct sample_log log = parsed(
        "{\"doc_id\": 3, \"target\": \"D\", \"filtered_resps\": \" D\\n\", \"token_counts\": [null], \"doc_hash\": \"ab\", "
        "\"videomme_perception_score\": {\"question_id\": \"002-1\", \"pred_answer\": \"D\", \"answer\": \"D\", \"score\": 1.0}, "
        "\"input\": \"Say\\n\"}\n\n"
        "{\"doc_id\": 0, \"target\": \"A\", \"resps\": \"<think>x</think>B\", \"filtered_resps\": \"B\", "
        "\"token_counts\": [{\"input_tokens\": 7, \"output_tokens\": 5}], \"doc_hash\": \"cd\", \"input_media\": [\"a\", \"b\"], "
        "\"videomme_perception_score\": {\"question_id\": \"001-1\", \"score\": 0.0}}",
        "logs/20250601_120000_samples_videomme.jsonl");
    assert_string_equal(log.task, "videomme");
    assert_string_equal(log.unit, "line");
    assert_int_equal(log.n_entries, 2);
    assert_int_equal(strlen(log.digest), 64);
    const struct logged *first = &log.entries[0], *second = &log.entries[1];
    assert_int_equal(first->place, 1);
    assert_int_equal(first->doc_id, 3);
    assert_string_equal(first->reply, " D\n");
    assert_string_equal(first->target, "D");
    assert_string_equal(first->asked, "002-1");
    assert_int_equal(first->right, 1);
    assert_string_equal(first->input, "Say\n");
    assert_string_equal(first->record, "{\"filtered_resps\": \" D\\n\", \"token_counts\": [null], \"doc_hash\": \"ab\"}");
    assert_int_equal(second->place, 3);
    assert_string_equal(second->reply, "<think>x</think>B");
    assert_int_equal(second->right, 0);
    assert_null(second->input);
    assert_string_equal(second->record, "{\"filtered_resps\": \"B\", \"resps\": \"<think>x</think>B\", \"token_counts\": "
                                        "[{\"input_tokens\": 7, \"output_tokens\": 5}], \"doc_hash\": \"cd\", \"input_media\": [\"a\", \"b\"]}");
    sample_log_free(&log);
}

static void test_older_shapes(void **state)
{
    (void)state;
    struct sample_log log = parsed(
        "{\"doc_id\": 0, \"doc\": {\"x\": 1}, \"target\": 2, \"arguments\": {\"0\": \"max_new_tokens\"}, \"resps\": [[\"A \"]], "
        "\"filtered_resps\": [\"A\"], \"exact_match\": true, \"input\": \"Q\"}\n"
        "{\"doc_id\": 1, \"target\": true, \"arguments\": [[\"Q2\", {}]], \"filtered_resps\": [[\"B\"]], \"exact_match\": false}\n",
        "samples_nextqa_mc_test_0924_1200.jsonl");
    assert_string_equal(log.task, "nextqa_mc_test");
    assert_string_equal(log.entries[0].reply, "A ");
    assert_string_equal(log.entries[0].target, "2");
    assert_int_equal(log.entries[0].right, 1);
    assert_string_equal(log.entries[0].input, "Q");
    assert_string_equal(log.entries[1].reply, "B");
    assert_string_equal(log.entries[1].input, "Q2");
    assert_int_equal(log.entries[1].right, 0);
    assert_null(log.entries[1].asked);
    sample_log_free(&log);

    log = parsed("{\n  \"args\": {},\n  \"model_configs\": {\"task\": \"mlvu\"},\n  \"logs\": [{\"doc_id\": 5, \"resps\": [[\"C\"]], "
                 "\"filtered_resps\": [\"C\"], \"mlvu_percetion_score\": {\"pred_answer\": \"C\", \"answer\": \"B\"}}],\n  \"time\": 1\n}\n",
                 "out/mlvu.json");
    assert_string_equal(log.task, "mlvu");
    assert_string_equal(log.unit, "entry");
    assert_int_equal(log.n_entries, 1);
    assert_int_equal(log.entries[0].doc_id, 5);
    assert_int_equal(log.entries[0].right, 0);
    assert_null(log.entries[0].target);
    sample_log_free(&log);
}

static void test_metrics(void **state)
{
    (void)state;
    static const struct { const char *metric, *asked; int right; } rows[] = {
        {"\"mvbench_accuracy\": {\"pred_answer\": \"(A)\", \"gt_answer\": \"A\", \"score\": 1}", NULL, 1},
        {"\"lvb_acc\": {\"id\": \"v_1\", \"answer\": \"A\", \"parsed_pred\": \"A\"}, \"submission\": {\"v_1\": \"A\"}", "v_1", 1},
        {"\"lvb_acc\": {\"id\": \"v_1\", \"answer\": \"A\", \"parsed_pred\": \"C\"}", "v_1", 0},
        {"\"accuracy\": {\"video_name\": \"video_7\", \"pred_id\": 1, \"answer_id\": \"1\", \"correct\": 1}", "video_7", 1},
        {"\"videomme_percetion_score\": {\"question_id\": \"9-1\", \"pred_answer\": \"\", \"answer\": \"B\"}", "9-1", 0},
        {"\"mlvu_perception_score\": {\"question_id\": \"Q?\", \"pred_answer\": \"B\", \"answer\": \"B\"}", "Q?", 1},
        {"\"some_other_metric\": 1", NULL, -1},
        {"\"accuracy\": 0.5", NULL, -1},
        {"\"accuracy\": null", NULL, -1},
        {"\"lvb_acc\": [1, 2]", NULL, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[512];
        snprintf(line, sizeof line, "{\"doc_id\": 0, \"filtered_resps\": \"A\", %s}", rows[i].metric);
        struct sample_log log = parsed(line, "x");
        if (rows[i].asked)
            assert_string_equal(log.entries[0].asked, rows[i].asked);
        else
            assert_null(log.entries[0].asked);
        assert_int_equal(log.entries[0].right, rows[i].right);
        assert_string_equal(log.task, "");
        sample_log_free(&log);
    }
}

static void test_tasks_of_names(void **state)
{
    (void)state;
    static const struct { const char *path, *task; } rows[] = {
        {"a_samples_/20250601_120000_samples_mlvu_dev.jsonl", "mlvu_dev"}, {"samples_mvbench_action_count_2024-09-24T12-00-00.jsonl", "mvbench_action_count"},
        {"0924_x_samples_perceptiontest_val_mc.jsonl", "perceptiontest_val_mc"}, {"samples_.jsonl", ""}, {"samples_x", ""}, {"results.json", ""},
        {"samples_9.jsonl", "9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sample_log log = parsed("{\"doc_id\": 0, \"filtered_resps\": \"A\"}", rows[i].path);
        assert_string_equal(log.task, rows[i].task);
        sample_log_free(&log);
    }
}

/* Every log that was recorded, of four releases. */
static void test_recorded_logs(void **state)
{
    (void)state;
    glob_t found;
    size_t n_logs = 0;
    assert_int_equal(glob(FIXTURES_DIR "/lmms/logs/*/*/*.json*", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct sample_log log;
        struct err err = {0};
        if (strstr(found.gl_pathv[i], "results.json") || strstr(found.gl_pathv[i], "/submissions/"))
            continue;
        if (sample_log_load(&log, found.gl_pathv[i], &err))
            fail_msg("%s", err.text);
        n_logs++;
        assert_true(*log.task && (log.n_entries == 6 || log.n_entries == 2));
        for (size_t e = 0; e < log.n_entries; e++) {
            assert_int_equal(log.entries[e].doc_id, e);
            assert_non_null(log.entries[e].target);
            assert_non_null(log.entries[e].input);
            assert_in_range(log.entries[e].right, 0, 1);
        }
        sample_log_free(&log);
    }
    globfree(&found);
    assert_in_range(n_logs, 40, 60);
}

/* ---- what is no log -------------------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    refuses_text("", "'x.jsonl' holds no question; expected a samples log of lmms-eval");
    refuses_text("\n \n\t\r\n", "'x.jsonl' holds no question");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": \"A\"}\n{\"doc_id\": 1, \"filt", "'x.jsonl', line 2:1:20: not valid JSON");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": \"A\"}\n{\"doc_id\": 1, \"filt", "was the file cut short?");
    refuses_text("[]", "'x.jsonl', line 1: there is a list; expected an object");
    refuses_text("17", "'x.jsonl', line 1: there is a number");
    refuses_text("{}", "'x.jsonl', line 1: there is no 'doc_id'");
    refuses_text("{\"doc_id\": \"0\", \"filtered_resps\": \"A\"}", "line 1: 'doc_id' should be a row's number");
    refuses_text("{\"doc_id\": -1, \"filtered_resps\": \"A\"}", "line 1: 'doc_id' should be a row's number");
    refuses_text("{\"doc_id\": 0.5, \"filtered_resps\": \"A\"}", "line 1: 'doc_id' should be a row's number");
    refuses_text("{\"doc_id\": 1e30, \"filtered_resps\": \"A\"}", "line 1: 'doc_id' should be a row's number");
    refuses_text("{\"doc_id\": null, \"filtered_resps\": \"A\"}", "line 1: 'doc_id' should be a row's number");
    refuses_text("{\"doc_id\": 0}", "line 1: there is no 'filtered_resps'");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": 7}", "'filtered_resps' is a number; expected a text, or a list of one");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": []}", "'filtered_resps' holds 0 replies; expected one reply to each question");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": [\"A\", \"B\"]}", "'filtered_resps' holds 2 replies");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": [[[null]]]}", "'filtered_resps' is null");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": \"A\", \"resps\": {}}", "'resps' is an object");
    refuses_text("{\"doc_id\": 0, \"doc_id\": 1, \"filtered_resps\": \"A\"}", "key 'doc_id' stands twice");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": \"\\u0000\"}", "\\u0000 is not accepted");
    refuses_text("{\"doc_id\": 0, \"filtered_resps\": \"\xff\"}", "not valid JSON");
    refuses("{\"doc_id\": 0}\0{}", 15, "not valid JSON");
    refuses_text("{\n \"logs\": {}\n}", "'x.jsonl' has no list 'logs'");
    refuses_text("{\n \"logs\": []\n}", "'x.jsonl' holds no question");
    refuses_text("{\n \"logs\": [{\"doc_id\": 0, \"filtered_resps\": \"A\"}, null]\n}", "'x.jsonl', entry 2: there is null");
}

static void test_long_lines(void **state)
{
    (void)state;
    enum { LENGTH = 10 << 20 };
    char *line = malloc(LENGTH + 1);
    memset(line, 'x', LENGTH);
    line[LENGTH] = 0;
    memcpy(line, "{\"doc_id\": 0, \"filtered_resps\": \"", 33);
    memcpy(line + LENGTH - 2, "\"}", 2);
    refuses(line, LENGTH, "'x.jsonl', line 1: the line has 10485760 bytes, more than the 8388608 that are accepted");
    free(line);
}

/* ---- whose questions ------------------------------------------------------------------------------------------------------- */

static const char *const letters[] = {"A. red", "B. blue"};

static struct video_ref videos[] = {{.id = "abc"}, {.id = "xyz"}};

static struct sample questions[] = {
    {.id = "001-1", .row = 0, .question = "Which?", .options = letters, .n_options = 2, .answer = 1},
    {.id = "001-2", .row = 1, .video = 1, .question = "Who?", .options = letters, .n_options = 2, .answer = 0},
    {.id = "002-1", .row = 3, .video = 1, .question = "Why?", .options = letters, .n_options = 2, .answer = -1}, /* one was left out before it */
};

static struct manifest manifest = {.benchmark = "videomme", .path = "m.json", .videos = videos, .n_videos = 2, .samples = questions, .n_samples = 3};

static void test_matched(void **state)
{
    (void)state;
    struct sample_log log = parsed("{\"doc_id\": 3, \"filtered_resps\": \"A\", \"target\": \"whatever\"}\n"
                                   "{\"doc_id\": 0, \"filtered_resps\": \"B\", \"target\": \"B\", "
                                   "\"videomme_perception_score\": {\"question_id\": \"001-1\"}}", "x.jsonl");
    const struct logged *out[3];
    struct err err = {0};
    assert_int_equal(log_match(out, &manifest, &log, 1, &err), 0);
    assert_ptr_equal(out[0], &log.entries[1]);
    assert_null(out[1]);
    assert_ptr_equal(out[2], &log.entries[0]);
    sample_log_free(&log);
}

static void refuses_match(const char *benchmark, const char *path, const char *text, int code, const char *part)
{
    struct manifest other = manifest;
    struct sample_log log = parsed(text, path);
    const struct logged *out[3];
    struct err err = {0};
    other.benchmark = benchmark;
    assert_int_equal(log_match(out, &other, &log, 1, &err), code);
    if (!strstr(err.text, part))
        fail_msg("'%s' lacks '%s'", err.text, part);
    sample_log_free(&log);
}

static void test_mismatched(void **state)
{
    (void)state;
    static const char ok[] = "{\"doc_id\": 0, \"filtered_resps\": \"A\"}\n";
    refuses_match("videomme", "x.jsonl", "{\"doc_id\": 2, \"filtered_resps\": \"A\"}", ERR_DATA, "'x.jsonl', line 1: doc_id 2 is no row of 'm.json'");
    refuses_match("videomme", "x.jsonl", "{\"doc_id\": 4, \"filtered_resps\": \"A\"}", ERR_DATA, "doc_id 4 is no row of 'm.json'; give the manifest");
    refuses_match("videomme", "x.jsonl", "{\"doc_id\": 2147483647, \"filtered_resps\": \"A\"}", ERR_DATA, "doc_id 2147483647 is no row");
    refuses_match("videomme", "x.jsonl", "{\"doc_id\": 0, \"filtered_resps\": \"A\"}\n{\"doc_id\": 0, \"filtered_resps\": \"A\"}", ERR_DATA,
                  "'x.jsonl', line 2: doc_id 0 is answered by line 1 of 'x.jsonl' already");
    refuses_match("videomme", "x.jsonl", "{\"doc_id\": 0, \"filtered_resps\": \"A\", \"target\": \"A\"}", ERR_DATA,
                  "line 1: the target is 'A', that of question '001-1' is 'B'; give the manifest");
    refuses_match("videomme", "x.jsonl", "{\"doc_id\": 1, \"filtered_resps\": \"A\", \"accuracy\": {\"id\": \"007-1\"}}", ERR_DATA,
                  "line 1: row 1 is '007-1' in the log and '001-2' in the manifest");
    refuses_match("videomme", "a_samples_mlvu_dev.jsonl", ok, ERR_DATA, "is a log of task 'mlvu_dev', which is none of videomme");
    refuses_match("mvbench", "x.jsonl", ok, ERR_DATA, "the name of 'x.jsonl' does not tell its task, and mvbench has many");
    refuses_match("our-own", "x.jsonl", ok, ERR_CONFIG, "lmms-eval has no task for our-own");
}

/* An id, a question, a video, and the beginning of an id all name a question. */
static void test_names_of_questions(void **state)
{
    (void)state;
    struct sample named = {.id = "vid_7", .question = "Why?", .options = letters, .n_options = 2, .answer = 0, .video = 1};
    struct manifest one = {.benchmark = "longvideobench_val_v", .path = "m", .videos = videos, .n_videos = 2, .samples = &named, .n_samples = 1};
    static const char *const names[] = {"vid_7", "Why?", "xyz", "vid"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[256];
        snprintf(line, sizeof line, "{\"doc_id\": 0, \"filtered_resps\": \"A\", \"target\": 0, \"lvb_acc\": {\"id\": \"%s\"}}", names[i]);
        struct sample_log log = parsed(line, "x");
        const struct logged *out[1];
        struct err err = {0};
        if (log_match(out, &one, &log, 1, &err))
            fail_msg("%s", err.text);
        sample_log_free(&log);
    }
}

static void test_many_tasks(void **state)
{
    (void)state;
    struct sample rows[] = {
        {.id = "action_count-0", .row = 0, .task_type = "action_count", .question = "?", .options = letters, .n_options = 2, .answer = 0},
        {.id = "action_count-1", .row = 1, .task_type = "action_count", .question = "?", .options = letters, .n_options = 2, .answer = 1},
        {.id = "moving_count-0", .row = 2, .task_type = "moving_count", .question = "?", .options = letters, .n_options = 2, .answer = 1},
        {.id = "moving_count-99999999999", .row = 3, .task_type = "moving_count", .question = "?", .options = letters, .n_options = 2}};
    struct manifest many = {.benchmark = "mvbench", .path = "m", .videos = videos, .n_videos = 2, .samples = rows, .n_samples = 4};
    struct sample_log logs[] = {
        parsed("{\"doc_id\": 0, \"filtered_resps\": \"m0\", \"target\": \"B. blue\"}", "s_samples_mvbench_moving_count.jsonl"),
        parsed("{\"doc_id\": 1, \"filtered_resps\": \"a1\"}\n{\"doc_id\": 0, \"filtered_resps\": \"a0\"}", "s_samples_mvbench_action_count.jsonl")};
    const struct logged *out[4];
    struct err err = {0};
    if (log_match(out, &many, logs, 2, &err))
        fail_msg("%s", err.text);
    assert_string_equal(out[0]->reply, "a0");
    assert_string_equal(out[1]->reply, "a1");
    assert_string_equal(out[2]->reply, "m0");
    assert_null(out[3]);
    struct sample_log twice[] = {logs[0], logs[0]};
    assert_int_equal(log_match(out, &many, twice, 2, &err), ERR_DATA);
    sample_log_free(&logs[0]);
    sample_log_free(&logs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_present_shape),  cmocka_unit_test(test_older_shapes),       cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_tasks_of_names), cmocka_unit_test(test_recorded_logs),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_lines),     cmocka_unit_test(test_matched),            cmocka_unit_test(test_mismatched),
        cmocka_unit_test(test_names_of_questions), cmocka_unit_test(test_many_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
