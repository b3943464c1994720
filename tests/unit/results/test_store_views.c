/* The views: every number against one worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

enum { SAMPLES = 12 };

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

static void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("%.17g is not %.17g", value, expected);
}

static int64_t cell_with(struct store_fixture *fixture, struct cell cell, bool macro, bool drop_empty)
{
    struct protocol protocol = {.macro = macro, .drop_empty = drop_empty};
    int64_t id = 0;
    cell_identify(&cell);
    OK(store_put_cell(fixture->store, &cell, &protocol, &id, &err));
    return id;
}

static int64_t plain_cell(struct store_fixture *fixture, int frames)
{
    return cell_with(fixture, fixture_cell(&fixture->manifest, "none", "{}", "none", frames), false, false);
}

static void put(struct store_fixture *fixture, int64_t cell, size_t sample, struct answer answer)
{
    OK(store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, sample, &answer, &err));
}

static struct answer answer_failed(enum answer_status status)
{
    return (struct answer){.status = status, .message = "why", .extracted = -1, .cost = {.frames = 4, .tokens_before = 99, .joules = 1}};
}

static struct answer answer_silent(void)
{
    struct answer answer = fixture_answer(false, 4, 300);
    answer.status = ANSWER_NO_ANSWER;
    answer.raw = "";
    answer.extracted = -1;
    return answer;
}

struct taken { int n; struct cell_row row; char label[64], variant[64]; };

static int take_cell(const struct cell_row *row, void *context)
{
    struct taken *taken = context;
    taken->n++;
    taken->row = *row;
    snprintf(taken->label, sizeof taken->label, "%s", row->label);
    snprintf(taken->variant, sizeof taken->variant, "%s", row->variant);
    return 0;
}

static struct cell_row only_cell(struct store_fixture *fixture)
{
    struct taken taken = {0};
    OK(store_each_cell(fixture->store, NULL, take_cell, &taken, &err));
    assert_int_equal(taken.n, 1);
    return taken.row;
}

/* ---- cell_accuracy --------------------------------------------------------------------------------------------------------- */

static void cell_without_answers_has_no_numbers(void **state)
{
    struct store_fixture *fixture = *state;
    plain_cell(fixture, 4);
    struct cell_row row = only_cell(fixture);
    assert_int_equal(row.n_samples, SAMPLES);
    assert_int_equal(row.n_answered, 0);
    assert_int_equal(row.n_ok + row.n_correct + row.n_failed, 0);
    const double none[] = {row.accuracy, row.accuracy_micro, row.wilson_low, row.wilson_high, row.ratio, row.ratio_content,
                           row.tokens_before, row.alone_ms[STAGE_OPEN], row.threshold, row.accuracy_se};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_true(isnan(none[i]));
}

/* 7 right of 10 replies, one of which says nothing; 2 failures count nowhere. */
static void accuracy_is_over_replies(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = plain_cell(fixture, 4);
    OK(fixture_answer_all(fixture, cell, 9, 7, 4, 300, &err));
    put(fixture, cell, 9, answer_silent());
    put(fixture, cell, 10, answer_failed(ANSWER_TIMEOUT));
    put(fixture, cell, 11, answer_failed(ANSWER_TOO_LONG));
    struct cell_row row = only_cell(fixture);
    assert_int_equal(row.n_answered, 12);
    assert_int_equal(row.n_ok, 9);
    assert_int_equal(row.n_correct, 7);
    assert_int_equal(row.n_failed, 2);
    near(row.accuracy, 0.7);
    near(row.accuracy_micro, 0.7);
    /* Wilson for 7 of 10 at z = 1.959963984540054, from the definition in exact decimal arithmetic */
    near(row.wilson_low, 0.39677814746114537);
    near(row.wilson_high, 0.8922087325936989);
    /* Videos have 2, 2, 2, 1 and 0 of 2: squared deviations sum to 3.2, times 5/4, over 10 squared. */
    near(row.accuracy_se, 0.2);
    assert_int_equal(row.n_videos, 5);
    near(row.tokens_before, 840);
    near(row.tokens_visual, 300);
    near(row.tokens_marker, 56);
    near(row.tokens_text, 50);
    near(row.tokens_generated, 2);
    near(row.ratio, 356.0 / 840);
    near(row.ratio_content, 300.0 / (840 - 56));
}

static void bounds_stay_within_0_and_1(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t all = plain_cell(fixture, 4), none = plain_cell(fixture, 8);
    OK(fixture_answer_all(fixture, all, SAMPLES, SAMPLES, 4, 300, &err));
    OK(fixture_answer_all(fixture, none, SAMPLES, 0, 8, 300, &err));
    struct taken taken = {0};
    OK(store_each_cell(fixture->store, "frames = 4", take_cell, &taken, &err));
    near(taken.row.wilson_low, 0.7575059933447591); /* n / (n + z^2) */
    assert_true(taken.row.wilson_high <= 1 && taken.row.wilson_high > 1 - 1e-15);
    OK(store_each_cell(fixture->store, "frames = 8", take_cell, &taken, &err));
    assert_true(taken.row.wilson_low == 0);
    near(taken.row.wilson_high, 0.24249400665524085);
}

/* Task types alpha (samples 0, 3, 6, 9), beta (1, 4, 7, 10), gamma (2, 5, 8, 11). */
static void macro_headline_is_the_mean_over_tasks(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = cell_with(fixture, fixture_cell(&fixture->manifest, "none", "{}", "none", 4), true, false);
    static const bool correct[] = {true, true, false, true, false, false, true}; /* alpha 3 of 3, beta 1 of 2, gamma 0 of 2 */
    for (size_t i = 0; i < 7; i++)
        put(fixture, cell, i, fixture_answer(correct[i], 4, 300));
    put(fixture, cell, 8, answer_failed(ANSWER_DECODE_FAILED));
    struct cell_row row = only_cell(fixture);
    assert_true(row.macro);
    near(row.accuracy, (1 + 0.5 + 0) / 3);
    /* Only beta varies, by half a question of its two on videos 0 and 2: a third of that moves the headline; four videos. */
    near(row.accuracy_se, sqrt(4.0 / 3 * 2) * 0.5 / 2 / 3);
    assert_int_equal(row.n_videos, 4);
    near(row.accuracy_micro, 4.0 / 7);
}

static void empty_replies_leave_only_the_headline(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = cell_with(fixture, fixture_cell(&fixture->manifest, "none", "{}", "none", 4), false, true);
    OK(fixture_answer_all(fixture, cell, 4, 3, 4, 300, &err));
    put(fixture, cell, 4, answer_silent());
    struct answer wordless = answer_silent();
    wordless.raw = NULL; /* no text at all counts as empty */
    put(fixture, cell, 5, wordless);
    struct cell_row row = only_cell(fixture);
    near(row.accuracy, 3.0 / 4);
    near(row.accuracy_micro, 3.0 / 6);
    assert_string_equal(sql(fixture->path, "SELECT task_type, n_correct, n FROM task_accuracy"), "alpha|1|2\nbeta|1|1\ngamma|1|1");
}

static void content_ratio_leaves_markers_out(void **state)
{
    static const struct { int before, markers, visual; double expected; } layouts[] = {
        {4 * 210, 4 * 14, 392, 0.5},  /* a marker after each row of 14 */
        {4 * 197, 4, 392, 0.5},       /* after each frame */
        {4 * 196 + 1, 1, 392, 0.5},   /* after the video */
        {4 * 196, 0, 392, 0.5},
        {0, 0, 0, (double)NAN},       /* a server that does not tell */
    };
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 100 + (int)i);
        int64_t id = cell_with(fixture, cell, false, false);
        struct answer answer = fixture_answer(true, 4, layouts[i].visual);
        answer.cost.tokens_before = layouts[i].before;
        answer.cost.tokens_marker_before = layouts[i].markers;
        put(fixture, id, 0, answer);
        char where[32];
        snprintf(where, sizeof where, "frames = %d", 100 + (int)i);
        struct taken taken = {0};
        OK(store_each_cell(fixture->store, where, take_cell, &taken, &err));
        if (isnan(layouts[i].expected))
            assert_true(isnan(taken.row.ratio_content));
        else
            near(taken.row.ratio_content, layouts[i].expected);
        assert_int_equal(isnan(taken.row.ratio), layouts[i].before == 0);
    }
}

static void times_are_means(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = plain_cell(fixture, 4);
    for (int i = 0; i < 2; i++) {
        struct answer answer = fixture_answer(true, 4, 300);
        for (int stage = 0; stage < STAGES; stage++) {
            answer.cost.alone_ms[stage] = 10 + stage;
            answer.cost.paid_ms[stage] = i ? 0 : 100 + stage;
        }
        put(fixture, cell, (size_t)i, answer);
    }
    put(fixture, cell, 2, answer_failed(ANSWER_TIMEOUT));
    struct cell_row row = only_cell(fixture);
    for (int stage = 0; stage < STAGES; stage++) {
        near(row.alone_ms[stage], 10 + stage);
        near(row.paid_ms[stage], (100 + stage) / 2.0);
    }
}

static void parameters_are_split(void **state)
{
    static const struct { const char *params, *variant; double threshold; } cases[] = {
        {"{\"order\":\"row\",\"threshold\":0.45}", "{\"order\":\"row\"}", 0.45},
        {"{\"target_ratio\":0.3,\"threshold\":1}", "{}", 1},
        {"{\"threshold\":\"high\"}", "{}", (double)NAN},
        {"{\"keep\":64}", "{\"keep\":64}", (double)NAN},
    };
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t id = cell_with(fixture, fixture_cell(&fixture->manifest, "dyntok", cases[i].params, "x", 4), false, false);
        char where[32];
        snprintf(where, sizeof where, "id = %d", (int)id);
        struct taken taken = {0};
        OK(store_each_cell(fixture->store, where, take_cell, &taken, &err));
        assert_string_equal(taken.variant, cases[i].variant);
        assert_true(isnan(cases[i].threshold) ? isnan(taken.row.threshold) : taken.row.threshold == cases[i].threshold);
    }
}

/* ---- order and selection --------------------------------------------------------------------------------------------------- */

struct labels { char text[256]; int most, n; };

static int take_label(const struct cell_row *row, void *context)
{
    struct labels *labels = context;
    strcat(labels->text, row->label);
    return ++labels->n == labels->most;
}

static void cells_come_in_order(void **state)
{
    static const struct { const char *benchmark, *model, *label; int frames; } made[] = {
        {"videomme", "b", "f", 8}, {"videomme", "a", "d", 64}, {"videomme", "a", "c", 8}, {"mvbench", "z", "a", 96},
        {"videomme", "a", "e", 64}, {"mvbench", "z", "b", 96},
    };
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char params[32];
        snprintf(params, sizeof params, "{\"x\":%zu}", i);
        struct cell cell = fixture_cell(&fixture->manifest, "none", params, made[i].label, made[i].frames);
        cell.benchmark = made[i].benchmark;
        cell.model = cell.model_digest = made[i].model;
        cell_with(fixture, cell, false, false);
    }
    struct labels labels = {0};
    OK(store_each_cell(fixture->store, NULL, take_label, &labels, &err));
    assert_string_equal(labels.text, "abcdef");
    labels = (struct labels){.most = 2};
    OK(store_each_cell(fixture->store, "benchmark = 'videomme' -- of two", take_label, &labels, &err));
    assert_string_equal(labels.text, "cd"); /* stopped after two */
    labels = (struct labels){0};
    OK(store_each_cell(fixture->store, "model = 'z' OR label = 'f'", take_label, &labels, &err));
    assert_string_equal(labels.text, "abf");
    labels = (struct labels){0};
    OK(store_each_cell(fixture->store, "pooling = 'max'", take_label, &labels, &err)); /* a column the struct has, and one it lacks: */
    OK(store_each_cell(fixture->store, "time_instruction", take_label, &labels, &err));
    assert_string_equal(labels.text, "");
}

static void wrong_conditions_are_explained(void **state)
{
    struct store_fixture *fixture = *state;
    struct labels labels = {0};
    struct err err = {0};
    plain_cell(fixture, 4);
    assert_int_equal(store_each_cell(fixture->store, "frame = 4", take_label, &labels, &err), ERR_CONFIG);
    char expected[1024];
    snprintf(expected, sizeof expected, "cannot select by 'frame = 4' in store '%s': no such column: frame; give one SQL condition over "
                                        "the columns of view "
             "cell_accuracy, such as \"frames = 96 AND label LIKE 'dyntok%%'\"; 'SELECT * FROM cell_accuracy' shows them all",
    fixture->path);
    assert_string_equal(err.text, expected);
    static const char *const wrong[] = {"", "frames = ", "1); DELETE FROM answer; --", "(", "json_extract(label, '$')", "frames = 'x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err = (struct err){0};
        if (store_each_cell(fixture->store, wrong[i], take_label, &labels, &err) != ERR_CONFIG)
            fail_msg("'%s' gave %d: %s", wrong[i], err.code, err.text);
    }
    assert_string_equal(labels.text, "");
}

/* ---- group_accuracy -------------------------------------------------------------------------------------------------------- */

struct tasks { char text[768]; };

static int take_group(const struct group_row *row, void *context)
{
    struct tasks *tasks = context;
    char line[128];
    snprintf(line, sizeof line, "%lld %s %d %s %lld/%lld %.4f %.4f %.4f %.4f %lld\n", (long long)row->cell, row->label, row->frames, row->name,
             (long long)row->n_correct, (long long)row->n, row->accuracy, row->wilson_low, row->wilson_high,
             row->accuracy_se, (long long)row->n_videos);
    strcat(tasks->text, line);
    return 0;
}

static void groups_come_with_bounds(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = plain_cell(fixture, 4);
    OK(fixture_answer_all(fixture, cell, 11, 4, 4, 300, &err)); /* 0..3 are right */
    put(fixture, cell, 11, answer_failed(ANSWER_RUNNER_FAILED));
    struct tasks tasks = {{0}};
    OK(store_each_group(fixture->store, "task_type", NULL, take_group, &tasks, &err));
    assert_string_equal(tasks.text, "1 none 4 alpha 2/4 0.5000 0.1500 0.8500 0.2887 4\n"
                                    "1 none 4 beta 1/4 0.2500 0.0456 0.6994 0.2500 4\n"
                                    "1 none 4 gamma 1/3 0.3333 0.0615 0.7923 0.3333 3\n");
    assert_string_equal(sql(fixture->path, "SELECT group_concat(task_type || n) FROM task_accuracy"), "alpha4,beta4,gamma3");
    tasks = (struct tasks){{0}};
    OK(store_each_group(fixture->store, "task_type", "frames = 4 -- a comment", take_group, &tasks, &err));
    assert_non_null(strstr(tasks.text, "gamma 1/3"));
    tasks = (struct tasks){{0}};
    OK(store_each_group(fixture->store, "task_type", "frames = 5", take_group, &tasks, &err));
    OK(store_each_group(fixture->store, "it's none", NULL, take_group, &tasks, &err));
    assert_string_equal(tasks.text, "");
    struct err refusal = {0};
    assert_int_equal(store_each_group(fixture->store, "task_type", "params2 = 1", take_group, &tasks, &refusal), ERR_CONFIG);
    assert_non_null(strstr(refusal.text, "no such column: params2; give one SQL condition over the columns of view cell_accuracy"));
}

/* ---- protocols ------------------------------------------------------------------------------------------------------------- */

static int64_t cell_of(struct store_fixture *fixture, const struct protocol *protocol)
{
    struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 4);
    int64_t id = 0;
    cell_identify(&cell);
    OK(store_put_cell(fixture->store, &cell, protocol, &id, &err));
    return id;
}

static struct answer answer_unread(const char *raw, bool empty)
{
    struct answer answer = fixture_answer(false, 4, 300);
    answer.status = ANSWER_NO_ANSWER;
    answer.raw = raw;
    answer.extracted = -1;
    answer.empty = empty;
    return answer;
}

/* Types without an answer count as 0 where the protocol has so many: alpha 1 of 2, beta 1 of 1, of seven. */
static void a_macro_mean_may_be_over_more_types(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = cell_of(fixture, &(struct protocol){.macro = true, .macro_types = 7});
    put(fixture, cell, 0, fixture_answer(true, 4, 300));
    put(fixture, cell, 1, fixture_answer(true, 4, 300));
    put(fixture, cell, 3, fixture_answer(false, 4, 300));
    struct cell_row row = only_cell(fixture);
    near(row.accuracy, 1.5 / 7);
    near(row.accuracy_macro, 1.5 / 7);
    near(row.accuracy_micro, 2.0 / 3);
    assert_false(row.guesses);
    assert_true(isnan(row.accuracy_expected));
}

static void replies_without_a_letter_may_leave(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = cell_of(fixture, &(struct protocol){.drop_unread = true});
    put(fixture, cell, 0, fixture_answer(true, 4, 300));
    put(fixture, cell, 1, fixture_answer(false, 4, 300));
    put(fixture, cell, 2, answer_unread("none", false));
    struct cell_row row = only_cell(fixture);
    near(row.accuracy, 0.5);
    near(row.accuracy_micro, 1.0 / 3);
    assert_int_equal(row.n_no_answer, 1);
    assert_int_equal(row.headline_n, 2);
}

/* What is empty without its reasoning leaves, although something was said; what has no letter does not. */
static void emptiness_is_told_not_seen(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = cell_of(fixture, &(struct protocol){.drop_empty = true});
    put(fixture, cell, 0, fixture_answer(true, 4, 300));
    put(fixture, cell, 1, answer_unread("<think>A</think>", true));
    put(fixture, cell, 2, answer_unread("none", false));
    near(only_cell(fixture).accuracy, 0.5);
    assert_string_equal(sql(fixture->path, "SELECT group_concat(empty, '') FROM answer"), "010");
}

static int count_unread(const struct unread_row *row, void *context)
{
    char *text = context;
    snprintf(text + strlen(text), 64, "%d/%d %s%s;", row->answer, row->n_options, row->task_type, row->domain);
    return 0;
}

/* Three options each: a third, where the right one is known. */
static void guesses_are_worth_their_chance(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = cell_of(fixture, &(struct protocol){.guesses = true});
    char text[256] = "";
    put(fixture, cell, 4, answer_unread("none", false));
    put(fixture, cell, 0, fixture_answer(true, 4, 300));
    put(fixture, cell, 2, answer_unread("", true));
    put(fixture, cell, 5, answer_failed(ANSWER_TIMEOUT));
    struct cell_row row = only_cell(fixture);
    near(row.accuracy, 1.0 / 3);
    near(row.accuracy_expected, (1 + 2.0 / 3) / 3);
    assert_true(row.guesses);
    OK(store_each_unread(fixture->store, cell, count_unread, text, &err));
    assert_string_equal(text, "2/3 gamma;1/3 beta;"); /* in the order of the manifest */
}

static void tags_are_groups_too(void **state)
{
    struct store_fixture *fixture = *state;
    static const struct sample_tag tags[] = {{"area", "physics"}, {"area", "memory"}, {"tag", "motion"}};
    struct manifest manifest = fixture_manifest("perceptiontest_val_mc", "tagged", 2);
    manifest.samples[0].tags = tags;
    manifest.samples[0].n_tags = 3;
    manifest.samples[1].tags = tags;
    manifest.samples[1].n_tags = 1;
    manifest.samples[1].domain = "d";
    OK(store_put_manifest(fixture->store, &manifest, &err));
    OK(store_put_manifest(fixture->store, &manifest, &err)); /* again: nothing twice */
    int64_t cell = cell_with(fixture, fixture_cell(&manifest, "none", "{}", "none", 4), false, false);
    for (size_t i = 0; i < 2; i++) {
        struct answer answer = fixture_answer(i == 0, 4, 300);
        OK(store_put_answer(fixture->store, fixture->run, cell, &manifest, i, &answer, &err));
    }
    struct tasks groups = {{0}};
    OK(store_each_group(fixture->store, "area", NULL, take_group, &groups, &err));
    assert_non_null(strstr(groups.text, "physics 1/2"));
    assert_non_null(strstr(groups.text, "memory 1/1"));
    groups = (struct tasks){{0}};
    OK(store_each_group(fixture->store, "domain", NULL, take_group, &groups, &err));
    assert_string_equal(groups.text, "1 none 4 d 0/1 0.0000 0.0000 0.7935 nan 1\n");
    arena_free(&manifest.arena);
}

/* ---- what a person reads with sqlite3 ---------------------------------------------------------------------------------------- */

static void failures_name_video_and_reason(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cell = plain_cell(fixture, 4);
    put(fixture, cell, 7, answer_failed(ANSWER_DECODE_FAILED));
    put(fixture, cell, 2, answer_failed(ANSWER_TIMEOUT));
    put(fixture, cell, 1, answer_silent());
    assert_string_equal(sql(fixture->path, "SELECT cell, benchmark, model, frames, label, sample, video, path, status, message, run FROM "
                                           "failures"),
                        "1|videomme|lmms-lab/tiny|4|none|q2|v1|clips/v1.mp4|timeout|why|1\n"
                        "1|videomme|lmms-lab/tiny|4|none|q7|v3|clips/v3.mp4|decode_failed|why|1");
}

/* Two cells on one video, two questions each: the first answer pays for decoding and encoding, the others for what is theirs. */
static void sharing_is_visible(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t cells[] = {plain_cell(fixture, 4), plain_cell(fixture, 8)};
    for (int i = 0; i < 4; i++) {
        struct answer answer = fixture_answer(true, 4, 300);
        answer.cost.alone_ms[STAGE_VISION] = 100;
        answer.cost.alone_ms[STAGE_PREFILL] = 20;
        answer.cost.paid_ms[STAGE_VISION] = i ? 0 : 100;
        answer.cost.paid_ms[STAGE_PREFILL] = 20;
        answer.cost.frames_encoded = i ? 0 : 4;
        answer.cost.tokens_prefilled = i ? 50 : 406;
        answer.cost.peak_bytes = 1000 + i;
        answer.cost.joules = 0.5;
        put(fixture, cells[i / 2], (size_t)(i % 2), answer);
    }
    assert_string_equal(sql(fixture->path, "SELECT run, sweep_name, outcome, n_cells, n_answers, frames_alone, frames_paid, "
                                           "rows_prefilled_alone, rows_prefilled_paid, "
                                           "tokens_generated, alone_ms, paid_ms, vision_paid_ms, prefill_paid_ms, peak_bytes, joules FROM "
                                           "run_cost"),
                        "1|sweep|NULL|2|4|16|4|1624|556|8|480.0|180.0|100.0|80.0|1003|2.0");
    assert_string_equal(sql(fixture->path, "SELECT saved_by_sharing FROM run_cost"), "0.625");
    assert_string_equal(sql(fixture->path, "SELECT run, benchmark, video, n_cells, n_answers, frames_shown, frames_encoded FROM "
                                           "video_frames"), "1|videomme|v0|2|4|16|4");
    assert_string_equal(sql(fixture->path, "SELECT group_concat(shared) FROM cost"), "0,1,1,1");
    int64_t empty = 0;
    OK(fixture_begin_run(fixture->store, &empty, &err));
    assert_string_equal(sql(fixture->path, "SELECT n_answers, frames_paid, alone_ms, saved_by_sharing FROM run_cost WHERE run = 2"),
                        "0|0|0.0|NULL");
}

static void cell_accuracy_reads_well_by_itself(void **state)
{
    struct store_fixture *fixture = *state;
    OK(fixture_answer_all(fixture, plain_cell(fixture, 4), 4, 1, 4, 300, &err));
    assert_string_equal(sql(fixture->path, "SELECT benchmark, model, frames, label, accuracy, n_correct, n_answered, n_samples, ratio, "
                                           "manifest_digest = (SELECT digest "
                                           "FROM benchmark) FROM cell_accuracy"),
                        "videomme|lmms-lab/tiny|4|none|0.25|1|4|12|0.423809523809524|1");
    assert_string_equal(sql(fixture->path, "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info('cell_accuracy') LIMIT 8)"),
                        "id,benchmark,model,frames,label,accuracy,accuracy_se,n_videos");
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(cell_without_answers_has_no_numbers),
        IN_STORE(accuracy_is_over_replies),
        IN_STORE(bounds_stay_within_0_and_1),
        IN_STORE(macro_headline_is_the_mean_over_tasks),
        IN_STORE(empty_replies_leave_only_the_headline),
        IN_STORE(content_ratio_leaves_markers_out),
        IN_STORE(times_are_means),
        IN_STORE(parameters_are_split),
        IN_STORE(cells_come_in_order),
        IN_STORE(wrong_conditions_are_explained),
        IN_STORE(groups_come_with_bounds),
        IN_STORE(failures_name_video_and_reason),
        IN_STORE(sharing_is_visible),
        IN_STORE(cell_accuracy_reads_well_by_itself),
        IN_STORE(a_macro_mean_may_be_over_more_types),
        IN_STORE(replies_without_a_letter_may_leave),
        IN_STORE(emptiness_is_told_not_seen),
        IN_STORE(guesses_are_worth_their_chance),
        IN_STORE(tags_are_groups_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
