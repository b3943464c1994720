/* What the native runner promises about sharing: an answer is the same, to the bit, whether its cell and question are computed alone or
 * among others that share frames, guides, prefixes and layers with them, and for any number of threads. And who pays is who computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runners/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 3, FRAMES = 5 };

enum { TOME = 10, GUIDED = 14 }; /* cells that controls match */

/* Every role and every way to share. `layers` of the micro model's three are shared by questions; `match` is the cell that a control
 * matches, 0 for the others. */
static const struct { const char *methods; int layers, match; } cells[] = {
    {"[\"none\"]", 3, 0},
    {"[{\"name\": \"fastv\", \"layer\": 1}]", 1, 0},
    {"[{\"name\": \"fastv\", \"layer\": 2, \"keep\": 0.25}]", 2, 0},
    {"[{\"name\": \"fastv\", \"layer\": 1, \"form\": \"hide\"}]", 3, 0},
    {"[{\"name\": \"fastv\", \"layer\": 1, \"keep\": 1}]", 1, 0},
    {"[{\"name\": \"pyramiddrop\"}]", 1, 0},
    {"[{\"name\": \"dycoke\", \"k\": 0.5, \"p\": 0.5, \"layer\": 1}]", 3, 0},
    {"[{\"name\": \"dycoke\", \"k\": 0, \"p\": 0.5, \"layer\": 2}]", 3, 0},
    {"[{\"name\": \"framefusion\", \"cost\": 0.6, \"threshold\": 0.9999}]", 0, 0},
    {"[{\"name\": \"framefusion\", \"cost\": 0.3, \"threshold\": -1}]", 3, 0},
    {"[{\"name\": \"tome\"}]", 3, 0},
    {"[{\"name\": \"tome\"}, {\"name\": \"fastv\", \"layer\": 1, \"size_power\": 1}]", 1, 0},
    {"[{\"name\": \"dyntok\"}, {\"name\": \"fastv\", \"layer\": 2}, {\"name\": \"dycoke\", \"k\": 0, \"layer\": 1}]", 2, 0},
    {"[{\"name\": \"dytok\", \"guide\": \"self\"}, {\"name\": \"visionzip\"}]", 0, 0},
    {"[{\"name\": \"dytok\"}, {\"name\": \"visionzip\"}]", 0, 0},
    {"[{\"name\": \"dytok\", \"first_layer\": 0, \"last_layer\": 1}, {\"name\": \"visionzip\", \"grid\": \"raw\"}]", 0, 0},
    {"[{\"name\": \"dytok\"}, {\"name\": \"divprune\", \"per\": \"frame\"}]", 0, 0},
    {"[{\"name\": \"dytok\"}, {\"name\": \"dyntok\"}]", 0, 0},
    {"[{\"name\": \"dytok\"}, {\"name\": \"dycoke\", \"p\": 0}]", 0, 0},
    {"[{\"name\": \"dytok\"}, {\"name\": \"dycoke\", \"k\": 0, \"layer\": 1}]", 3, 0},
    {"[{\"name\": \"dytok\"}, {\"name\": \"fastv\", \"layer\": 1}]", 1, 0},
    {"[{\"name\": \"dytok\", \"per_frame\": 80, \"cap\": 120}, {\"name\": \"fastv\", \"layer\": 1}]", 1, 0},
    {"[{\"name\": \"random\", \"match\": \"it\"}]", 0, GUIDED},
    {"[{\"name\": \"divprune\", \"match\": \"it\"}]", 3, TOME},
    {"[{\"name\": \"uniform\", \"per\": \"whole_frames\", \"match\": \"it\"}, {\"name\": \"fastv\", \"layer\": 2}]", 2, TOME},
    {"[{\"name\": \"pool\", \"mode\": \"adaptive\", \"match\": \"it\"}]", 0, GUIDED},
};

enum { CELLS = sizeof cells / sizeof *cells };

struct subject { /* the native runner on the micro checkpoint, its llava-hf form as assistant, and a job */
    void *self, *worker;
    struct runner_facts facts;
    struct run_cell runs[CELLS];
    struct job_cell job_cells[CELLS];
    struct job_sample samples[SAMPLES];
    struct sample sample_of[SAMPLES];
    struct video_ref video;
    uint32_t index[FRAMES];
    bool wanted[CELLS * SAMPLES];
    atomic_bool stop;
    struct job job;
};

struct heard { enum answer_status status; char raw[200], digest[DIGEST_HEX]; double margin; struct cost cost; int n; };

struct seen { struct heard heard[CELLS * SAMPLES]; int total; };

static int see(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct seen *seen = context;
    struct heard *heard = &seen->heard[cell * SAMPLES + sample];
    heard->status = answer->status;
    heard->margin = answer->margin;
    heard->cost = answer->cost;
    heard->n++;
    seen->total++;
    snprintf(heard->raw, sizeof heard->raw, "%s", answer->raw ? answer->raw : answer->message ? answer->message : "");
    memcpy(heard->digest, answer->tokens_digest, DIGEST_HEX);
    return 0;
}

static void fill_cell(struct subject *subject, size_t c)
{
    struct json *list;
    struct err err = {0};
    struct run_cell *run = &subject->runs[c];
    assert_int_equal(json_parse(&list, cells[c].methods, strlen(cells[c].methods), "methods", &err), 0);
    for (const struct json *m = json_first(list); m; m = json_next(m)) {
        struct method *method = &run->methods[run->n_methods++];
        method->compressor = compressor_find(json_string(m) ? json_string(m) : json_string(json_get(m, "name")));
        assert_non_null(method->compressor);
        if (compressor_resolve(method->compressor, m, "name", method->values, &err))
            fail_msg("%s", err.text);
    }
    json_free(list);
    if (methods_resolve(run->methods, &run->n_methods, &err))
        fail_msg("%s", err.text);
    run->cell = (struct cell){.compressor = cells[c].methods, .frames = FRAMES, .pooling = subject->facts.pooling, .newline = subject->facts.newline,
                              .conversation = "qwen_1_5", .prompt_form = "default", .repetition_penalty = 1.1, .max_new_tokens = 6};
    run->match = cells[c].match ? &subject->runs[cells[c].match] : NULL;
    subject->job_cells[c] = (struct job_cell){run, subject->index, FRAMES};
}

static void fill_frames(struct subject *subject)
{
    size_t side = (size_t)subject->facts.frame_side, frame = side * side * 3;
    struct frames *frames = &subject->job.frames;
    *frames = (struct frames){.width = (int)side, .height = (int)side, .n = FRAMES};
    frames->index = calloc(FRAMES, sizeof *frames->index);
    frames->time_s = calloc(FRAMES, sizeof *frames->time_s);
    frames->rgb = malloc(FRAMES * frame);
    for (size_t i = 0; i < FRAMES * frame; i++) {
        size_t t = i / frame, pixel = i % frame / 3, x = pixel % side, y = pixel / side;
        frames->rgb[i] = (uint8_t)((x * (3 + t) + y * 5) ^ (i % 3 * 40) ^ (x / 20 == t * 2 ? 200 : 0));
    }
    for (uint32_t i = 0; i < FRAMES; i++)
        subject->index[i] = frames->index[i] = 7 * i;
}

static void subject_open_beside(struct subject *subject, int threads, const char *assistant)
{
    static const char *const ids[SAMPLES] = {"q-1", "q-2", "q-3"}, *const options[] = {"A. x", "B. y"};
    static const char *const words[SAMPLES] = {"Which one?", "How many of them are there in the video?", "Where is it?"};
    struct err err = {0};
    struct runner_options how = {.model = FIXTURES_DIR "/micro", .assistant = assistant, .dtype = "f32", .isa = "auto", .device = "cpu"};
    memset(subject, 0, sizeof *subject);
    if (runner_native.open(&subject->self, &how, &subject->facts, &err) ||
        runner_native.worker_open(subject->self, &subject->worker, threads, &err))
        fail_msg("%s", err.text);
    fill_frames(subject);
    for (size_t c = 0; c < CELLS; c++)
        fill_cell(subject, c);
    for (int s = 0; s < SAMPLES; s++) {
        subject->sample_of[s] = (struct sample){.id = ids[s], .question = words[s], .options = options, .n_options = 2, .answer = 1};
        subject->samples[s] = (struct job_sample){.sample = &subject->sample_of[s], .prompt = {.user = words[s]}};
    }
    subject->video = (struct video_ref){.id = "a", .path = "a.mp4", .start_s = -1};
    subject->job = (struct job){.benchmark = "videomme", .video = &subject->video, .frames = subject->job.frames,
                                .facts = {.width = 1, .height = 1, .n_frames = 100, .fps = 10, .duration_s = 10},
                                .cells = subject->job_cells, .n_cells = CELLS, .samples = subject->samples, .n_samples = SAMPLES,
                                .wanted = subject->wanted, .stop = &subject->stop};
}

static void subject_open(struct subject *subject, int threads)
{
    subject_open_beside(subject, threads, FIXTURES_DIR "/micro-hf");
}

static void subject_close(struct subject *subject)
{
    runner_native.worker_close(subject->self, subject->worker);
    runner_native.close(subject->self);
    frames_free(&subject->job.frames);
}

/* Runs the job with all answers wanted, or only that of one cell and question. */
static struct seen *run(struct subject *subject, int only)
{
    struct seen *seen = calloc(1, sizeof *seen);
    struct err err = {0};
    for (int i = 0; i < CELLS * SAMPLES; i++)
        subject->wanted[i] = only < 0 || i == only;
    if (runner_native.run(subject->self, subject->worker, &subject->job, see, seen, &err))
        fail_msg("%s", err.text);
    return seen;
}

/* Everything, asked at once. */
static struct seen *all;

static int ask_everything(void **state)
{
    struct subject subject;
    (void)state;
    subject_open(&subject, 1);
    all = run(&subject, -1);
    subject_close(&subject);
    return 0;
}

static int forget_everything(void **state)
{
    (void)state;
    free(all);
    return 0;
}

static void assert_same(const struct heard *among, const struct heard *alone, int at)
{
    const char *methods = cells[at / SAMPLES].methods;
    if (among->status != ANSWER_OK)
        fail_msg("%s, question %d: %s", methods, at % SAMPLES, among->raw);
    if (strcmp(among->raw, alone->raw) != 0 || strcmp(among->digest, alone->digest) != 0 ||
        memcmp(&among->margin, &alone->margin, sizeof among->margin) != 0)
        fail_msg("%s, question %d: '%s' by %.9g among others, '%s' by %.9g alone", methods, at % SAMPLES, among->raw, among->margin,
                 alone->raw, alone->margin);
    assert_true(among->cost.tokens_mean == alone->cost.tokens_mean);
    assert_true(among->cost.tokens_cached == alone->cost.tokens_cached);
    assert_int_equal(among->cost.tokens_guide, alone->cost.tokens_guide);
    assert_int_equal(among->cost.tokens_match, alone->cost.tokens_match);
    assert_int_equal(among->cost.shared_layers, cells[at / SAMPLES].layers);
}

static void test_alone_and_among_others(void **state)
{
    (void)state;
    struct subject one, two;
    subject_open(&one, 1);
    subject_open(&two, 2);
    struct seen *threaded = run(&two, -1);
    assert_int_equal(all->total, CELLS * SAMPLES);
    for (int i = 0; i < CELLS * SAMPLES; i++)
        assert_same(&all->heard[i], &threaded->heard[i], i);
    for (int c = 0; c < CELLS; c++) { /* one question of each cell */
        int i = c * SAMPLES + c % SAMPLES;
        struct seen *alone = run(&one, i);
        assert_int_equal(alone->total, 1);
        assert_same(&all->heard[i], &alone->heard[i], i);
        free(alone);
    }
    free(threaded);
    subject_close(&one);
    subject_close(&two);
}

/* Dropping nothing is dropping nothing; methods that do something do. */
static void test_what_changes_and_what_does_not(void **state)
{
    (void)state;
    for (int s = 0; s < SAMPLES; s++) {
        const struct heard *none = &all->heard[s];
        assert_true(all->heard[4 * SAMPLES + s].margin == none->margin); /* fastv with keep 1 */
        for (int c = 1; c < CELLS; c++)
            if (c != 4 && all->heard[c * SAMPLES + s].margin == none->margin && c != 7 && c != 19) /* steps begin behind the first id */
                fail_msg("%s leaves the first id's margin as it was", cells[c].methods);
        assert_true(all->heard[7 * SAMPLES + s].cost.tokens_cached < none->cost.tokens_cached);
        assert_true(all->heard[1 * SAMPLES + s].cost.tokens_mean < none->cost.tokens_mean);
    }
}

/* The paid parts of guides add up to what was done: one pass for all cells of one guide and video, one for each question. */
static void test_guides_are_paid_once(void **state)
{
    (void)state;
    int payers = 0, guided = 0;
    for (int i = 0; i < CELLS * SAMPLES; i++) {
        const struct cost *cost = &all->heard[i].cost;
        bool guide = strstr(cells[i / SAMPLES].methods, "dytok") != NULL; /* not in the words of controls */
        assert_int_equal(cost->tokens_guide > 0, guide);
        assert_int_equal(cost->alone_ms[STAGE_GUIDE] > 0, guide);
        payers += cost->paid_ms[STAGE_GUIDE] > 0;
        guided += guide;
    }
    assert_int_equal(payers, 2 * SAMPLES); /* the model as its own guide, and the assistant */
    assert_true(guided > payers);
}

/* With its own tower, projector, layout and prompt an assistant that is the model allots what the model itself does. */
static void test_the_model_as_its_own_assistant(void **state)
{
    (void)state;
    struct subject subject;
    int differ = 0;
    subject_open_beside(&subject, 1, FIXTURES_DIR "/micro");
    for (int s = 0; s < SAMPLES; s++) {
        struct seen *seen = run(&subject, GUIDED * SAMPLES + s);
        const struct heard *assistant = &seen->heard[GUIDED * SAMPLES + s], *self = &all->heard[(GUIDED - 1) * SAMPLES + s];
        assert_string_equal(self->digest, assistant->digest);
        assert_true(self->margin == assistant->margin);
        assert_int_equal(self->cost.tokens_guide, assistant->cost.tokens_guide);
        differ += strcmp(self->digest, all->heard[(GUIDED - 1) * SAMPLES].digest) != 0;
        free(seen);
    }
    assert_true(differ > 0); /* budgets depend on the question */
    subject_close(&subject);
}

static int tokens_of(const struct heard *heard)
{
    return heard->cost.tokens_visual + heard->cost.tokens_marker;
}

/* The tokens of `sides` x `sides` of each frame, or of so many frames, that are nearest to a number. */
static int nearest(int wanted, bool frames)
{
    int best = 0;
    for (int i = !frames; i <= (frames ? FRAMES : 27); i++) {
        int n = frames ? i * 14 * 15 : FRAMES * i * (i + 1);
        best = i == !frames || abs(n - wanted) < abs(best - wanted) ? n : best;
    }
    return best;
}

/* A control has as many tokens as the cell that it matches has for the same question, or the nearest that its method can make. */
static void test_controls_match(void **state)
{
    (void)state;
    for (int i = 0; i < CELLS * SAMPLES; i++) {
        const struct heard *heard = &all->heard[i];
        int match = cells[i / SAMPLES].match, wanted = match ? tokens_of(&all->heard[match * SAMPLES + i % SAMPLES]) : 0;
        const char *methods = cells[i / SAMPLES].methods;
        bool frames = strstr(methods, "whole_frames"), steps = frames || strstr(methods, "pool");
        assert_int_equal(heard->cost.tokens_match, wanted);
        if (match)
            assert_int_equal(tokens_of(heard), steps ? nearest(wanted, frames) : wanted);
        assert_true(match != GUIDED || heard->cost.paid_ms[STAGE_GUIDE] == 0); /* the guided cell itself is there to pay */
    }
}

/* Alone, a control pays for what was computed to know its number of tokens: its cost by itself is that of its method all the same. */
static void test_a_lone_control_pays_for_its_match(void **state)
{
    (void)state;
    struct subject subject;
    subject_open(&subject, 1);
    for (int c = 0; c < CELLS; c++) {
        if (!cells[c].match)
            continue;
        struct seen *alone = run(&subject, c * SAMPLES);
        const struct cost *cost = &alone->heard[c * SAMPLES].cost;
        assert_int_equal(cost->frames_encoded, FRAMES);
        assert_true(cost->paid_ms[STAGE_VISION] > 0);
        assert_true(cost->paid_ms[STAGE_COMPRESS] > cost->alone_ms[STAGE_COMPRESS]);
        assert_int_equal(cost->paid_ms[STAGE_GUIDE] > 0, cells[c].match == GUIDED);
        assert_true(cost->alone_ms[STAGE_GUIDE] == 0);
        assert_int_equal(cost->tokens_guide, 0);
        free(alone);
    }
    subject_close(&subject);
}

/* What cannot be prepared cannot be matched; the control says why. */
static void test_a_match_that_fails(void **state)
{
    (void)state;
    struct subject subject;
    subject_open(&subject, 1);
    subject.runs[TOME].cell.label = "tome";
    struct method *method = &subject.runs[TOME].methods[0];
    *method = (struct method){.compressor = compressor_find("pool")}; /* of a side that the grid has not */
    const double values[] = {4, 3, 60};
    memcpy(method->values, values, sizeof values);
    int control = CELLS - 3; /* divprune */
    struct seen *alone = run(&subject, control * SAMPLES);
    assert_int_equal(alone->total, 1);
    assert_int_equal(alone->heard[control * SAMPLES].status, ANSWER_RUNNER_FAILED);
    assert_non_null(strstr(alone->heard[control * SAMPLES].raw, "the cell to match, 'tome', has no tokens: compressor pool: side 60"));
    free(alone);
    subject_close(&subject);
}

static void test_a_missing_assistant_is_said_beforehand(void **state)
{
    (void)state;
    struct runner_options how = {.model = FIXTURES_DIR "/micro", .dtype = "f32", .isa = "auto", .device = "cpu"};
    struct subject subject;
    struct runner_facts facts;
    struct err err = {0};
    size_t bytes, with;
    void *self;
    subject_open(&subject, 1);
    assert_int_equal(runner_native.open(&self, &how, &facts, &err), 0);
    assert_null(facts.assistant_digest);
    assert_non_null(subject.facts.assistant_digest);
    assert_int_equal(runner_native.bytes_needed(self, subject.job_cells + 14, 1, FRAMES, 1, &bytes, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "the sweep names none"));
    assert_int_equal(runner_native.bytes_needed(self, subject.job_cells + 13, 1, FRAMES, 1, &bytes, &err), 0);
    assert_int_equal(runner_native.bytes_needed(subject.self, subject.job_cells, CELLS, FRAMES, 1, &with, &err), 0);
    assert_true(with > bytes);
    runner_native.close(self);
    subject_close(&subject);
}

/* Layers that the model lacks are refused before anything is computed. */
static void test_layers_that_are_not_there(void **state)
{
    (void)state;
    struct subject subject;
    struct err err = {0};
    size_t bytes;
    subject_open(&subject, 1);
    struct run_cell *run_cell = &subject.runs[1];
    run_cell->methods[0].values[compressor_option(run_cell->methods[0].compressor, "layer")] = 3;
    assert_int_equal(runner_native.bytes_needed(subject.self, subject.job_cells + 1, 1, FRAMES, 1, &bytes, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "layers are 0 to 2"));
    run_cell = &subject.runs[15];
    run_cell->methods[0].values[compressor_option(run_cell->methods[0].compressor, "last_layer")] = 9;
    assert_int_equal(runner_native.bytes_needed(subject.self, subject.job_cells + 15, 1, FRAMES, 1, &bytes, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "looks at layer 9"));
    subject_close(&subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_and_among_others),
        cmocka_unit_test(test_what_changes_and_what_does_not),
        cmocka_unit_test(test_guides_are_paid_once),
        cmocka_unit_test(test_the_model_as_its_own_assistant),
        cmocka_unit_test(test_controls_match),
        cmocka_unit_test(test_a_lone_control_pays_for_its_match),
        cmocka_unit_test(test_a_match_that_fails),
        cmocka_unit_test(test_a_missing_assistant_is_said_beforehand),
        cmocka_unit_test(test_layers_that_are_not_there),
    };
    return cmocka_run_group_tests_name("sharing", tests, ask_everything, forget_everything);
}
