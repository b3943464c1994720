/* What every runner promises (runners/runner.h), whichever it is: one answer for each wanted (cell, sample) and none for others; a
 * sink that says stop, and a set stop flag, end the job; failures are statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runners/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 4, SAMPLES = 3, FRAMES = 3 };

struct subject { /* a runner opened on the micro checkpoint, and a job for it */
    const struct runner *runner;
    void *self, *worker;
    struct runner_facts facts;
    struct run_cell runs[CELLS];
    struct job_cell cells[CELLS];
    struct job_sample job_samples[SAMPLES];
    struct sample samples[SAMPLES];
    struct video_ref video;
    uint32_t index[FRAMES];
    bool wanted[CELLS * SAMPLES];
    atomic_bool stop;
    struct job job;
};

struct seen { int answers[CELLS * SAMPLES]; enum answer_status status[CELLS * SAMPLES]; char raw[CELLS * SAMPLES][200]; int total, most; };

static int see(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct seen *seen = context;
    size_t at = cell * SAMPLES + sample;
    seen->answers[at]++;
    seen->status[at] = answer->status;
    snprintf(seen->raw[at], sizeof seen->raw[at], "%s", answer->raw ? answer->raw : "");
    return ++seen->total >= seen->most;
}

static void fill_cell(struct subject *subject, int c, const char *compressor, const char *options)
{
    struct json *json;
    struct err err = {0};
    struct run_cell *run = &subject->runs[c];
    run->methods[0].compressor = compressor_find(compressor);
    run->n_methods = 1;
    assert_int_equal(json_parse(&json, options, strlen(options), "o", &err), 0);
    assert_int_equal(compressor_resolve(run->methods[0].compressor, json, NULL, run->methods[0].values, &err), 0);
    json_free(json);
    run->cell = (struct cell){.compressor = compressor, .frames = FRAMES, .pooling = subject->facts.pooling, .newline = subject->facts.newline,
                              .conversation = "qwen_1_5", .prompt_form = "default", .repetition_penalty = 1.1, .max_new_tokens = 4,
                              .image_size = subject->facts.frame_side};
    subject->cells[c] = (struct job_cell){run, subject->index, FRAMES};
}

static void fill_frames(struct subject *subject)
{
    size_t side = subject->facts.frame_side > 0 ? (size_t)subject->facts.frame_side : 1, bytes = FRAMES * side * side * 3;
    struct frames *frames = &subject->job.frames;
    *frames = (struct frames){.width = (int)side, .height = (int)side, .n = FRAMES};
    frames->index = calloc(FRAMES, sizeof *frames->index);
    frames->time_s = calloc(FRAMES, sizeof *frames->time_s);
    frames->rgb = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        frames->rgb[i] = (uint8_t)((i / 3 % side * 5 + i / 3 / side * 3) ^ (i % 3 * 40));
    for (uint32_t i = 0; i < FRAMES; i++)
        subject->index[i] = frames->index[i] = 10 * i;
}

static void subject_open(struct subject *subject, const struct runner *runner)
{
    struct err err = {0};
    struct runner_options options = {.model = FIXTURES_DIR "/micro", .dtype = "f32", .isa = "auto", .device = "cpu"};
    memset(subject, 0, sizeof *subject);
    subject->runner = runner;
    if (runner->open(&subject->self, &options, &subject->facts, &err) || runner->worker_open(subject->self, &subject->worker, 1, &err))
        fail_msg("%s: %s", runner->name, err.text);
    fill_frames(subject);
    fill_cell(subject, 0, "none", "{}");
    fill_cell(subject, 1, "dyntok", "{}");
    fill_cell(subject, 2, "dyntok", "{\"threshold\": 1}"); /* the same tokens as none: shares its replies */
    fill_cell(subject, 3, "pool", "{\"stride\": 4, \"mode\": \"max\"}");
    static const char *const ids[SAMPLES] = {"a-1", "a-2", "a-3"}, *const options_of[] = {"A. x", "B. y"};
    for (int s = 0; s < SAMPLES; s++) {
        subject->samples[s] = (struct sample){.id = ids[s], .question = "q", .options = options_of, .n_options = 2, .answer = 1};
        subject->job_samples[s] = (struct job_sample){&subject->samples[s], {.user = s == 0 ? "Which?" : s == 1 ? "How many?" : "Where is it?"}};
    }
    subject->video = (struct video_ref){.id = "a", .path = "a.mp4", .start_s = -1};
    for (int i = 0; i < CELLS * SAMPLES; i++)
        subject->wanted[i] = true;
    subject->job.benchmark = "videomme";
    subject->job.video = &subject->video;
    subject->job.facts = (struct video_facts){.width = 1, .height = 1, .n_frames = 100, .fps = 10, .duration_s = 10};
    subject->job.cells = subject->cells;
    subject->job.n_cells = CELLS;
    subject->job.samples = subject->job_samples;
    subject->job.n_samples = SAMPLES;
    subject->job.wanted = subject->wanted;
    subject->job.stop = &subject->stop;
}

static void subject_close(struct subject *subject)
{
    subject->runner->worker_close(subject->self, subject->worker);
    subject->runner->close(subject->self);
    frames_free(&subject->job.frames);
}

static struct seen run(struct subject *subject, int most)
{
    struct seen seen = {.most = most};
    struct err err = {0};
    if (subject->runner->run(subject->self, subject->worker, &subject->job, see, &seen, &err))
        fail_msg("%s: %s", subject->runner->name, err.text);
    return seen;
}

#define FOR_EACH_RUNNER(subject)                                                                            \
    struct subject subject;                                                                                 \
    for (int runner_i = 0; runner_at(runner_i) && (subject_open(&(subject), runner_at(runner_i)), true);    \
         subject_close(&(subject)), runner_i++)

static void test_every_wanted_answer_once(void **state)
{
    (void)state;
    FOR_EACH_RUNNER(subject)
    {
        for (int skipped = -1; skipped < CELLS * SAMPLES; skipped += 5) {
            for (int i = 0; i < CELLS * SAMPLES; i++)
                subject.wanted[i] = i != skipped;
            struct seen seen = run(&subject, 1000);
            for (int i = 0; i < CELLS * SAMPLES; i++) {
                assert_int_equal(seen.answers[i], i != skipped);
                if (i != skipped)
                    assert_int_equal(seen.status[i], ANSWER_OK);
            }
        }
    }
}

static void test_replies_repeat(void **state)
{
    (void)state;
    FOR_EACH_RUNNER(subject)
    {
        struct seen first = run(&subject, 1000), second = run(&subject, 1000);
        assert_memory_equal(first.raw, second.raw, sizeof first.raw);
        memset(subject.wanted, 0, sizeof subject.wanted);
        subject.wanted[1 * SAMPLES + 2] = true; /* alone, it is what it was among the others */
        struct seen alone = run(&subject, 1000);
        assert_string_equal(alone.raw[1 * SAMPLES + 2], first.raw[1 * SAMPLES + 2]);
        assert_int_equal(alone.total, 1);
    }
}

static void test_stop_is_heeded(void **state)
{
    (void)state;
    FOR_EACH_RUNNER(subject)
    {
        struct seen two = run(&subject, 2);
        assert_int_equal(two.total, 2);
        atomic_store(&subject.stop, true);
        struct seen none = run(&subject, 1000);
        assert_int_equal(none.total, 0);
    }
}

static void test_memory_is_known_beforehand(void **state)
{
    (void)state;
    FOR_EACH_RUNNER(subject)
    {
        size_t few, many;
        struct err err = {0};
        assert_int_equal(subject.runner->bytes_needed(subject.self, subject.cells, CELLS, 3, 1, &few, &err), 0);
        assert_int_equal(subject.runner->bytes_needed(subject.self, subject.cells, CELLS, 300, 1, &many, &err), 0);
        assert_true(many >= few);
        if (subject.facts.frame_side > 0)
            assert_true(many > few && few > 0);
    }
}

/* Without questions, as a calibration asks. */
static void test_plans_alone(void **state)
{
    (void)state;
    FOR_EACH_RUNNER(subject)
    {
        subject.job.plan_only = true;
        subject.job.n_samples = 1;
        subject.job_samples[0] = (struct job_sample){0};
        struct seen seen = run(&subject, 1000);
        assert_int_equal(seen.total, CELLS);
        assert_int_equal(seen.status[0], ANSWER_OK);
        assert_string_equal(seen.raw[0], "");
    }
}

static void test_too_long_is_a_status(void **state)
{
    (void)state;
    struct subject subject;
    subject_open(&subject, &runner_native);
    char *prompt = malloc(200001);
    memset(prompt, '7', 200000); /* digits are never grouped: one id each, far more than the context holds */
    prompt[200000] = 0;
    subject.job_samples[1].prompt.user = prompt;
    struct seen seen = run(&subject, 1000);
    for (int c = 0; c < CELLS; c++) {
        assert_int_equal(seen.status[c * SAMPLES], ANSWER_OK);
        assert_int_equal(seen.status[c * SAMPLES + 1], ANSWER_TOO_LONG);
        assert_int_equal(seen.status[c * SAMPLES + 2], ANSWER_OK);
    }
    free(prompt);
    subject_close(&subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_wanted_answer_once), cmocka_unit_test(test_replies_repeat),
        cmocka_unit_test(test_stop_is_heeded),           cmocka_unit_test(test_memory_is_known_beforehand),
        cmocka_unit_test(test_plans_alone),              cmocka_unit_test(test_too_long_is_a_status),
    };
    return cmocka_run_group_tests_name("runner", tests, NULL, NULL);
}
