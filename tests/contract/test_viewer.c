/* What a job's viewer is shown: the tokens that the answers are given on, no others, before the language model and in each of its
 * layers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runners/runner.h"
#include "tests/support/micro.h"

#include <math.h>
#include <string.h>

enum { FRAMES = 4, LAYERS = 3, NONE = 0, MERGES = 8 };

static const char *const cells[] = {
    "[\"none\"]",
    "[{\"name\": \"dyntok\"}]",
    "[{\"name\": \"fastv\", \"layer\": 1, \"keep\": 0.3}]",
    "[{\"name\": \"fastv\", \"layer\": 1, \"keep\": 0.3, \"form\": \"hide\"}]",
    "[{\"name\": \"pyramiddrop\"}]",
    "[{\"name\": \"dyntok\"}, {\"name\": \"fastv\", \"layer\": 2, \"keep\": 0.5}]",
    "[{\"name\": \"dytok\", \"guide\": \"self\"}, {\"name\": \"dyntok\"}]",
    "[{\"name\": \"vqtoken\", \"k\": 12}]",
    "[{\"name\": \"framefusion\", \"threshold\": 0.5}]",
};

enum { CELLS = sizeof cells / sizeof *cells };

struct look { /* what was seen of a cell, summed up so that it can be compared */
    int times;
    size_t content, markers, n_layers, sum, measures;
    double mean, seen; /* tokens per layer, and those that are visible */
};

struct seen { struct look look[CELLS]; struct cost cost[CELLS]; double margin[CELLS]; bool answered[CELLS]; };

struct subject {
    void *self, *worker;
    struct runner_facts facts;
    struct run_cell runs[CELLS];
    struct job_cell job_cells[CELLS];
    uint32_t index[FRAMES];
    double time_s[FRAMES];
    uint8_t rgb[FRAMES * MICRO_SIZE * MICRO_SIZE * 3];
    struct sample sample;
    struct job_sample job_sample;
    struct video_ref video;
    bool wanted[CELLS];
    atomic_bool stop;
    struct job job;
};

static void fill_cell(struct subject *subject, size_t c)
{
    struct json *list;
    struct err err = {0};
    struct run_cell *run = &subject->runs[c];
    micro_check(json_parse(&list, cells[c], strlen(cells[c]), "methods", &err), &err);
    for (const struct json *m = json_first(list); m; m = json_next(m)) {
        struct method *method = &run->methods[run->n_methods++];
        method->compressor = compressor_find(json_string(m) ? json_string(m) : json_string(json_get(m, "name")));
        assert_non_null(method->compressor);
        micro_check(compressor_resolve(method->compressor, m, "name", method->values, &err), &err);
    }
    json_free(list);
    micro_check(methods_resolve(run->methods, &run->n_methods, &err), &err);
    run->cell = (struct cell){.compressor = cells[c], .frames = FRAMES, .pooling = subject->facts.pooling,
                              .newline = subject->facts.newline, .conversation = "qwen_1_5", .prompt_form = "default",
                              .repetition_penalty = 1, .max_new_tokens = 1};
    subject->job_cells[c] = (struct job_cell){run, subject->index, FRAMES};
}

static struct subject *subject_open(void)
{
    static struct subject opened;
    struct subject *subject = &opened;
    struct err err = {0};
    struct runner_options how = {.model = FIXTURES_DIR "/micro", .dtype = "f32", .isa = "auto", .device = "cpu"};
    memset(subject, 0, sizeof *subject);
    micro_check(runner_native.open(&subject->self, &how, &subject->facts, &err), &err);
    micro_check(runner_native.worker_open(subject->self, &subject->worker, 1, &err), &err);
    micro_frames(FRAMES, subject->rgb);
    for (uint32_t i = 0; i < FRAMES; i++)
        subject->index[i] = 5 * i;
    for (size_t c = 0; c < CELLS; c++)
        fill_cell(subject, c);
    subject->sample = (struct sample){.id = "a", .question = "Which one?", .answer = -1};
    subject->job_sample = (struct job_sample){.sample = &subject->sample, .prompt = {.user = "Which one?"}};
    subject->video = (struct video_ref){.id = "a", .path = "a.mp4", .start_s = -1};
    subject->job = (struct job){.benchmark = "videomme", .video = &subject->video, .facts = {.n_frames = 100, .fps = 10},
                                .frames = {.width = MICRO_SIZE, .height = MICRO_SIZE, .n = FRAMES, .index = subject->index,
                                           .time_s = subject->time_s, .rgb = subject->rgb},
                                .cells = subject->job_cells, .n_cells = CELLS, .samples = &subject->job_sample, .n_samples = 1,
                                .wanted = subject->wanted, .stop = &subject->stop};
    return subject;
}

static void subject_close(struct subject *subject)
{
    runner_native.worker_close(subject->self, subject->worker);
    runner_native.close(subject->self);
}

/* A layer's tokens: each is made of tokens that entered, and what they hold of sources is what they were made of. */
static void look_at_layers(struct look *look, const struct shown_tokens *shown, const struct shown_layers *layers)
{
    size_t held = 0, entered = 0, seen = 0;
    int n = layers->last - layers->first + 1;
    for (size_t i = 0; i < layers->n; i++) {
        size_t parts = 0;
        for (size_t k = 0; k < shown->plan->n_tok; k++)
            parts += layers->became[k] == i;
        seen += parts > 0;
        held += parts ? layers->tok[i].size : 0;
    }
    for (size_t k = 0; k < shown->plan->n_tok; k++) {
        assert_true(layers->became[k] == UINT32_MAX || layers->became[k] < layers->n);
        entered += layers->became[k] != UINT32_MAX ? shown->plan->tok[k].size : 0;
        look->sum += layers->became[k] * (k + 1);
    }
    assert_int_equal(held, entered);
    look->mean += (double)layers->n * n / LAYERS;
    look->seen += (double)seen * n / LAYERS;
}

static int view(void *context, size_t cell, size_t sample, const struct shown_tokens *shown)
{
    struct seen *seen = context;
    struct look *look = &seen->look[cell];
    int next = 0;
    (void)sample;
    assert_false(seen->answered[cell]);
    look->times++;
    tok_plan_count(shown->plan, &look->content, &look->markers);
    look->n_layers = (size_t)shown->n_layers;
    look->measures = (size_t)shown->n_measures;
    assert_true(shown->raw_side == 27 && shown->pooled_side == 14);
    assert_int_equal(shown->content_before, FRAMES * 14 * 14);
    assert_int_equal(shown->markers_before, FRAMES * 14);
    for (int i = 0; i < shown->n_layers; i++) {
        assert_int_equal(shown->layers[i].first, next);
        next = shown->layers[i].last + 1;
        look_at_layers(look, shown, &shown->layers[i]);
    }
    assert_true(next == 0 || next == LAYERS);
    return 0;
}

static int see(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct seen *seen = context;
    (void)sample;
    if (answer->status != ANSWER_OK)
        fail_msg("%s: %s", cells[cell], answer->message);
    seen->answered[cell] = true;
    seen->cost[cell] = answer->cost;
    seen->margin[cell] = answer->margin;
    return 0;
}

static void run(struct subject *subject, int only, bool plan_only, token_viewer *viewer, struct seen *seen)
{
    struct err err = {0};
    memset(seen, 0, sizeof *seen);
    for (int c = 0; c < CELLS; c++)
        subject->wanted[c] = only < 0 || c == only;
    subject->job.viewer = viewer;
    subject->job.plan_only = plan_only;
    micro_check(runner_native.run(subject->self, subject->worker, &subject->job, see, seen, &err), &err);
}

static void test_tokens_of_the_answers(void **state)
{
    static struct seen all, alone, unseen;
    struct subject *subject = *state;
    static const size_t n_layers[CELLS] = {0, 0, 2, 2, 3, 2, 0, 0, 0};
    run(subject, -1, false, view, &all);
    run(subject, -1, false, NULL, &unseen);
    for (int c = 0; c < CELLS; c++) {
        const struct look *look = &all.look[c];
        const struct cost *cost = &all.cost[c];
        assert_int_equal(look->times, 1);
        assert_int_equal(look->content, cost->tokens_visual);
        assert_int_equal(look->markers, cost->tokens_marker);
        if (look->n_layers) {
            assert_true(fabs(look->mean - cost->tokens_mean) < 1e-9);
            assert_true(fabs(look->seen - cost->tokens_cached) < 1e-9);
        }
        if (c != MERGES)
            assert_int_equal(look->n_layers, n_layers[c]);
        run(subject, c, false, view, &alone);
        assert_memory_equal(&alone.look[c], look, sizeof *look);
        assert_true(unseen.margin[c] == all.margin[c]); /* being looked at changes nothing */
        assert_int_equal(unseen.look[c].times, 0);
    }
    assert_true(all.look[MERGES].n_layers > 0 && all.look[MERGES].mean < (double)(all.look[NONE].content + all.look[NONE].markers));
    assert_true(all.look[1].measures == 7 && all.look[7].measures == 10 && !all.look[NONE].measures);
}

/* Without the language model the same tokens are there, and no layers. */
static void test_plans_alone(void **state)
{
    static struct seen all, planned;
    struct subject *subject = *state;
    run(subject, -1, false, view, &all);
    run(subject, -1, true, view, &planned);
    for (int c = 0; c < CELLS; c++) {
        assert_int_equal(planned.look[c].times, 1);
        assert_int_equal(planned.look[c].content, all.look[c].content);
        assert_int_equal(planned.look[c].n_layers, 0);
    }
}

static int refuse(void *context, size_t cell, size_t sample, const struct shown_tokens *shown)
{
    struct seen *seen = context;
    (void)sample, (void)shown;
    seen->look[cell].times++;
    return 1;
}

static void test_viewer_stops(void **state)
{
    static struct seen seen;
    struct subject *subject = *state;
    run(subject, -1, true, refuse, &seen);
    int times = 0;
    for (int c = 0; c < CELLS; c++)
        times += seen.look[c].times;
    assert_int_equal(times, 1);
}

static int open_all(void **state)
{
    *state = subject_open();
    return 0;
}

static int close_all(void **state)
{
    subject_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_of_the_answers),
        cmocka_unit_test(test_plans_alone),
        cmocka_unit_test(test_viewer_stops),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
