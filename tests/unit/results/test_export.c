/* Exports: the bytes of every format, over a small cell with right, wrong, silent, failed and missing answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "results/export.h"
#include "results/lmms.h"
#include "results/python.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NULL_HASH "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"

/* ---- Python's spelling ----------------------------------------------------------------------------------------------------- */

static void check_string(const char *string, const char *expected)
{
    struct text out = {0};
    python_string(&out, string);
    assert_string_equal(out.bytes, expected);
    text_free(&out);
}

static void test_strings(void **state)
{
    (void)state;
    check_string("", "\"\"");
    check_string(NULL, "null");
    check_string("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    check_string("\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    check_string("营业 é 👩", "\"营业 é 👩\"");
}

static void check_float(double value, const char *expected)
{
    struct text out = {0};
    python_float(&out, value);
    assert_string_equal(out.bytes, expected);
    text_free(&out);
}

static void test_floats(void **state)
{
    (void)state;
    check_float(0, "0.0");
    check_float(1, "1.0");
    check_float(200.0 / 3, "66.66666666666667");
    check_float(0.1, "0.1");
    check_float(1e-7, "1e-07");
    check_float((double)NAN, "NaN");
}

static void test_trees(void **state)
{
    (void)state;
    static const char text[] = "[{\"z\": 1, \"a\": [], \"m\": {}}, null, true, false, -7, 2.5, \"\\u00e9\"]";
    struct json *tree;
    struct err err = {0};
    struct text out = {0};
    assert_int_equal(json_parse(&tree, text, sizeof text - 1, "test", &err), 0);
    python_json(&out, tree);
    assert_string_equal(out.bytes, "[{\"z\": 1, \"a\": [], \"m\": {}}, null, true, false, -7, 2.5, \"é\"]");
    json_free(tree);
    text_free(&out);
}

/* ---- a cell ---------------------------------------------------------------------------------------------------------------- */

static const char *const letters[] = {"A. red", "B. it's \"blue\"", "C. a\tb", "D. ü"};
static const char *const plain[] = {"red", "blue", "green"};

static struct video_ref videos[] = {{.id = "abc", .path = "abc.mp4"}, {.id = "xyz", .path = "xyz.mp4"}};

static struct sample questions[] = {
    {.id = "001-1", .row = 0, .question = "Which?", .options = letters, .n_options = 4, .answer = 1, .task_type = "OCR Problems",
     .duration = "short", .domain = "Knowledge", .sub_category = "Law"},
    {.id = "001-2", .row = 1, .question = "Say \"x\"", .options = letters, .n_options = 4, .answer = 0, .task_type = "Object Reasoning",
     .duration = "short", .domain = "Knowledge", .sub_category = "Law"},
    {.id = "002-1", .row = 2, .video = 1, .question = "Why?", .options = letters, .n_options = 4, .answer = 2, .task_type = "OCR Problems",
     .duration = "long", .domain = "Multilingual", .sub_category = "Multilingual"},
    {.id = "002-2", .row = 3, .video = 1, .question = "Who?", .options = letters, .n_options = 4, .answer = 3, .task_type = "OCR Problems",
     .duration = "long", .domain = "Multilingual", .sub_category = "Multilingual"},
    {.id = "002-3", .row = 4, .video = 1, .question = "When?", .options = letters, .n_options = 4, .answer = -1, .task_type = "OCR Problems",
     .duration = "long", .domain = "Multilingual", .sub_category = "Multilingual"},
};

/* Right; wrong after reasoning; silent; failed; not asked yet. */
static struct stored_answer answers[] = {
    {.id = 1, .answer = {.status = ANSWER_OK, .raw = "B", .extracted = 1, .correct = true,
                         .cost = {.tokens_visual = 300, .tokens_marker = 20, .tokens_text = 50, .tokens_generated = 2}}},
    {.id = 2, .answer = {.status = ANSWER_OK, .raw = "<think>A</think>C", .extracted = 2}},
    {.id = 3, .answer = {.status = ANSWER_NO_ANSWER, .raw = "", .extracted = -1},
     .record = "{\"filtered_resps\": \"\", \"token_counts\": [{\"output_tokens\": 9}], \"doc_hash\": \"ff\", \"input_media\": [\"a.png\"]}"},
    {.id = 4, .answer = {.status = ANSWER_DECODE_FAILED, .message = "why", .extracted = -1}},
    {.id = 0},
};

static const struct export_reply replies[] = {
    {.bare = "B", .filtered = "B", .raw = "B", .prompt = "Which?\n"},
    {.bare = "C", .filtered = "C", .raw = "<think>A</think>C", .prompt = "Say"},
    {.bare = "", .filtered = "", .raw = ""},
    {0},
    {0},
};

static struct protocol protocol = {.benchmark = "videomme"};

static struct stored_cell cell_of(const char *benchmark)
{
    return (struct stored_cell){
        .id = 7, .digest = "d1", .model = "/models/lmms-lab/LLaVA-7B/", .label = "none", .profile = "lmms-head", .prompt_form = "llava_vid",
        .compressor = "none", .params = "{\"threshold\":0.5}", .sampling = "uniform", .dtype = "f32", .runner = "native",
        .conversation = "qwen_1_5", .frames = 8, .max_new_tokens = 16, .started_at = "2025-06-01T12:34:56.789Z", .ended_at = "2025-06-02T",
        .manifest = {.benchmark = benchmark, .videos = videos, .n_videos = 2, .samples = questions, .n_samples = 5},
        .answers = answers, .n_answers = 4};
}

static char *written(const char *format, const char *benchmark, const char *task)
{
    struct stored_cell cell = cell_of(benchmark);
    struct text out = {0};
    struct err err = {0};
    assert_int_equal(export_check(export_format_find(format), &cell, &err), 0);
    if (export_format_find(format)->write(&out, &(struct export_source){&cell, &protocol, replies}, task, &err))
        fail_msg("%s", err.text);
    return text_take(&out);
}

static void check_written(const char *format, const char *benchmark, const char *task, const char *expected)
{
    char *text = written(format, benchmark, task);
    assert_string_equal(text, expected);
    free(text);
}

static void check_parts(const char *format, const char *const *parts)
{
    char *text = written(format, "videomme", NULL);
    for (; *parts; parts++)
        if (!strstr(text, *parts))
            fail_msg("%s lacks %s: %s", format, *parts, text);
    free(text);
}

/* ---- lmms-eval ------------------------------------------------------------------------------------------------------------- */

static void test_samples_of_videomme(void **state)
{
    (void)state;
    check_written("lmms-eval-samples", "videomme", "videomme",
        "{\"doc_id\": 0, \"target\": \"B\", \"filtered_resps\": \"B\", \"token_counts\": [{\"input_tokens\": 370, \"output_tokens\": 2}], "
        "\"doc_hash\": \"" NULL_HASH "\", \"videomme_perception_score\": {\"question_id\": \"001-1\", \"duration\": \"short\", "
        "\"category\": \"Knowledge\", \"sub_category\": \"Law\", \"task_category\": \"OCR Problems\", \"pred_answer\": \"B\", "
        "\"answer\": \"B\", \"score\": 1.0, \"videoID\": \"abc\"}, \"input\": \"Which?\\n\"}\n"
        "{\"doc_id\": 1, \"target\": \"A\", \"resps\": \"<think>A</think>C\", \"filtered_resps\": \"C\", "
        "\"token_counts\": [{\"input_tokens\": 0, \"output_tokens\": 0}], "
        "\"doc_hash\": \"" NULL_HASH "\", \"videomme_perception_score\": {\"question_id\": \"001-2\", \"duration\": \"short\", "
        "\"category\": \"Knowledge\", \"sub_category\": \"Law\", \"task_category\": \"Object Reasoning\", \"pred_answer\": \"C\", "
        "\"answer\": \"A\", \"score\": 0.0, \"videoID\": \"abc\"}, \"input\": \"Say\"}\n"
        "{\"doc_id\": 2, \"target\": \"C\", \"filtered_resps\": \"\", \"token_counts\": [{\"output_tokens\": 9}], \"doc_hash\": \"ff\", "
        "\"input_media\": [\"a.png\"], \"videomme_perception_score\": {\"question_id\": \"002-1\", \"duration\": \"long\", "
        "\"category\": \"Multilingual\", \"sub_category\": \"Multilingual\", \"task_category\": \"OCR Problems\", \"pred_answer\": \"\", "
        "\"answer\": \"C\", \"score\": 0.0, \"videoID\": \"xyz\"}}\n");
}

static void test_samples_of_mvbench(void **state)
{
    (void)state;
    struct sample rows[] = {
        {.id = "action_count-0", .row = 0, .question = "How many?", .options = plain, .n_options = 3, .answer = 2, .task_type = "action_count"},
        {.id = "moving_count-0", .row = 1, .question = "How?", .options = plain, .n_options = 3, .answer = 0, .task_type = "moving_count"},
        {.id = "moving_count-1", .row = 2, .question = "How?", .options = plain, .n_options = 3, .answer = 1, .task_type = "moving_count"}};
    struct stored_cell cell = cell_of("mvbench");
    cell.manifest.samples = rows;
    cell.manifest.n_samples = 3;
    char **tasks = export_tasks(&cell);
    assert_string_equal(tasks[0], "mvbench_action_count");
    assert_string_equal(tasks[1], "mvbench_moving_count");
    assert_null(tasks[2]);
    free(tasks);
    struct text out = {0};
    struct err err = {0};
    const struct export_format *format = export_format_find("lmms-eval-samples");
    assert_int_equal(format->write(&out, &(struct export_source){&cell, &protocol, replies}, "mvbench_moving_count", &err), 0);
    assert_string_equal(out.bytes,
        "{\"doc_id\": 0, \"target\": \"red\", \"resps\": \"<think>A</think>C\", \"filtered_resps\": \"C\", "
        "\"token_counts\": [{\"input_tokens\": 0, \"output_tokens\": 0}], \"doc_hash\": \"" NULL_HASH "\", "
        "\"mvbench_accuracy\": {\"pred_answer\": \"C\", \"gt_answer\": \"A\", \"score\": 0}, \"input\": \"Say\"}\n"
        "{\"doc_id\": 1, \"target\": \"blue\", \"filtered_resps\": \"\", \"token_counts\": [{\"output_tokens\": 9}], \"doc_hash\": \"ff\", "
        "\"input_media\": [\"a.png\"], \"mvbench_accuracy\": {\"pred_answer\": \"\", \"gt_answer\": \"B\", \"score\": 0}}\n");
    text_free(&out);
    rows[0].id = "of another form";
    assert_int_equal(format->write(&out, &(struct export_source){&cell, &protocol, replies}, "mvbench_action_count", &err), ERR_DATA);
    assert_string_equal(err.text, "sample 'of another form' has no row in lmms-eval's task mvbench_action_count");
    text_free(&out);
}

static void test_results(void **state)
{
    (void)state;
    check_parts("lmms-eval-results", (const char *const[]){
        "\"videomme_perception_score,none\": 33.333333333333336,", "\"videomme_perception_score_stderr,none\": \"N/A\"",
        "\"videomme\": {\n      \"original\": 5,\n      \"effective\": 3\n    }", "\"max_new_tokens\": 16",
        "\"model_args\": \"pretrained=/models/lmms-lab/LLaVA-7B/,conv_template=qwen_1_5,max_frames_num=8\"",
        "\"date\": \"20250601_123456\"", "\"model_name\": \"lmms-lab/LLaVA-7B\"", "\"model_name_sanitized\": \"lmms-lab__LLaVA-7B\"",
        "\"params\": {\n      \"threshold\": 0.5\n    }", NULL});
}

/* What a worker of lmms-eval would note of three lines: sha256(sample_0<hash>sample_1<hash>sample_2<hash>). */
static void test_task_hash(void **state)
{
    (void)state;
    char hex[DIGEST_HEX];
    static const char lines[] = "sample_0" NULL_HASH "sample_1" NULL_HASH "sample_2" NULL_HASH;
    digest_of(lines, sizeof lines - 1, hex);
    check_parts("lmms-eval-results", (const char *const[]){hex, NULL});
}

/* Headlines over task types: (1/2 of OCR + 0 of reasoning) / 2; without empty replies: (1/1 + 0) / 2. */
static void test_results_over_types(void **state)
{
    (void)state;
    const struct export_format *format = export_format_find("lmms-eval-results");
    for (int drop = 0; drop < 2; drop++) {
        struct stored_cell cell = cell_of("videomme");
        struct text out = {0};
        struct err err = {0};
        protocol.macro = true;
        protocol.drop_empty = drop;
        assert_int_equal(format->write(&out, &(struct export_source){&cell, &protocol, replies}, NULL, &err), 0);
        assert_non_null(strstr(out.bytes, drop ? "perception_score,none\": 50," : "perception_score,none\": 25,"));
        text_free(&out);
    }
    protocol = (struct protocol){.benchmark = "videomme"};
}

/* ---- VLMEvalKit ------------------------------------------------------------------------------------------------------------ */

static void test_tsv(void **state)
{
    (void)state;
    static const char candidates[] = "\"['A. red', 'B. it\\'s \"\"blue\"\"', 'C. a\\tb', 'D. ü']\"";
    char expected[4096];
    snprintf(expected, sizeof expected,
        "\"index\"\t\"video\"\t\"video_path\"\t\"duration\"\t\"domain\"\t\"candidates\"\t\"sub_category\"\t\"task_type\"\t"
        "\"subtitle_path\"\t\"question\"\t\"answer\"\t\"prediction\"\t\"score\"\n"
        "\"0\"\t\"abc\"\t\"./video/abc.mp4\"\t\"short\"\t\"Knowledge\"\t%s\t\"Law\"\t\"OCR Problems\"\t\"./subtitle/abc.srt\"\t\"Which?\"\t"
        "\"B\"\t\"B\"\t\"1.0\"\n"
        "\"1\"\t\"abc\"\t\"./video/abc.mp4\"\t\"short\"\t\"Knowledge\"\t%s\t\"Law\"\t\"Object Reasoning\"\t\"./subtitle/abc.srt\"\t"
        "\"Say \"\"x\"\"\"\t\"A\"\t\"<think>A</think>C\"\t\"0.0\"\n"
        "\"2\"\t\"xyz\"\t\"./video/xyz.mp4\"\t\"long\"\t\"Multilingual\"\t%s\t\"Multilingual\"\t\"OCR Problems\"\t\"./subtitle/xyz.srt\"\t"
        "\"Why?\"\t\"C\"\t\"\"\t\"0.0\"\n"
        "\"3\"\t\"xyz\"\t\"./video/xyz.mp4\"\t\"long\"\t\"Multilingual\"\t%s\t\"Multilingual\"\t\"OCR Problems\"\t\"./subtitle/xyz.srt\"\t"
        "\"Who?\"\t\"D\"\t\"\"\t\"-1.0\"\n", candidates, candidates, candidates, candidates);
    check_written("vlmevalkit-tsv", "videomme", NULL, expected);
}

static void test_rating(void **state)
{
    (void)state;
    check_parts("vlmevalkit-rating", (const char *const[]){
        "{\n  \"short\": {\n    \"overall\": \"0.500\",\n    \"domain\": {\n      \"Knowledge\": \"0.500\",\n      \"Film & Television\": \"nan\"",
        "\"medium\": {\n    \"overall\": \"nan\"", "\"long\": {\n    \"overall\": \"0.000\"", "\"overall\": {\n    \"overall\": \"0.333\"",
        "\"OCR Problems\": \"0.500\"", NULL});
}

/* ---- leaderboards ---------------------------------------------------------------------------------------------------------- */

static void test_videomme_leaderboard(void **state)
{
    (void)state;
    check_parts("videomme-leaderboard", (const char *const[]){
        "[\n  {\n    \"video_id\": \"001\",\n    \"duration\": \"short\",\n    \"domain\": \"Knowledge\",\n    \"sub_category\": \"Law\",\n"
        "    \"questions\": [\n      {\n        \"question_id\": \"001-1\",\n        \"task_type\": \"OCR Problems\",\n"
        "        \"question\": \"Which?\",\n        \"options\": [\n          \"A. red\",",
        "        \"answer\": \"A\",\n        \"response\": \"<think>A</think>C\"\n      }\n    ]\n  },\n  {\n    \"video_id\": \"002\"",
        "        \"answer\": \"D\",\n        \"response\": \"\"", "        \"answer\": \"\",\n        \"response\": \"\"\n      }\n    ]\n  }\n]\n",
        NULL});
}

static void test_mlvu_leaderboard(void **state)
{
    (void)state;
    struct sample rows[] = {{.id = "AR_0", .row = 0, .task_type = "anomaly_reco", .question = "?", .answer = -1},
                            {.id = "TR_5", .row = 1, .task_type = "topic_reasoning", .question = "?", .answer = -1},
                            {.id = "TR_6", .row = 2, .task_type = "topic_reasoning", .question = "?", .answer = -1}};
    struct stored_cell cell = cell_of("mlvu_test");
    cell.manifest.samples = rows;
    cell.manifest.n_samples = 3;
    struct text out = {0};
    struct err err = {0};
    assert_int_equal(export_format_find("mlvu-leaderboard")->write(&out, &(struct export_source){&cell, &protocol, replies}, NULL, &err), 0);
    assert_string_equal(out.bytes, "[\n  {\n    \"question_id\": \"AR_0\",\n    \"question_type\": \"anomaly_reco\",\n    \"option\": \"B\"\n"
                                   "  },\n  {\n    \"question_id\": \"TR_5\",\n    \"question_type\": \"topic_reasoning\",\n"
                                   "    \"option\": \"C\"\n  },\n  {\n    \"question_id\": \"TR_6\",\n"
                                   "    \"question_type\": \"topic_reasoning\",\n    \"option\": \"\"\n  }\n]\n");
    text_free(&out);
}

/* ---- names ----------------------------------------------------------------------------------------------------------------- */

static void check_name(const char *model, const char *format, const char *task, const char *expected)
{
    struct stored_cell cell = cell_of("videomme");
    cell.model = model;
    char *name = export_file_name(export_format_find(format), &cell, task);
    assert_string_equal(name, expected);
    free(name);
}

static void test_file_names(void **state)
{
    (void)state;
    check_name("a/b", "lmms-eval-samples", "videomme", "20250601_123456_samples_videomme.jsonl");
    check_name("a/b", "lmms-eval-results", NULL, "20250601_123456_results.json");
    check_name("/x/a/b//", "vlmevalkit-tsv", NULL, "a__b_Video-MME_score.tsv");
    check_name("tiny", "vlmevalkit-rating", NULL, "tiny_Video-MME_rating.json");
    check_name("a/b", "videomme-leaderboard", NULL, "a__b_videomme.json");
}

static void test_formats_are_for_benchmarks(void **state)
{
    (void)state;
    struct stored_cell cell = cell_of("mvbench");
    struct err err = {0};
    assert_null(export_format_find("xlsx"));
    assert_int_equal(export_check(export_format_find("vlmevalkit-tsv"), &cell, &err), ERR_CONFIG);
    assert_string_equal(err.text, "vlmevalkit-tsv is for cells of videomme; cell 'none' is of mvbench");
    cell = cell_of("our-own");
    assert_int_equal(export_check(export_format_find("lmms-eval-samples"), &cell, &err), ERR_CONFIG);
    assert_string_equal(err.text, "lmms-eval has no task for our-own, of which cell 'none' is");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),           cmocka_unit_test(test_floats),
        cmocka_unit_test(test_trees),             cmocka_unit_test(test_samples_of_videomme),
        cmocka_unit_test(test_samples_of_mvbench), cmocka_unit_test(test_results),
        cmocka_unit_test(test_task_hash),         cmocka_unit_test(test_results_over_types),
        cmocka_unit_test(test_tsv),               cmocka_unit_test(test_rating),
        cmocka_unit_test(test_videomme_leaderboard), cmocka_unit_test(test_mlvu_leaderboard),
        cmocka_unit_test(test_file_names),        cmocka_unit_test(test_formats_are_for_benchmarks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
