/* The mock runner: answers from the manifest, sees no picture. It exists to test everything but the engine: a share `accuracy` of
 * the questions, drawn by a counter-based generator from question and cell, is answered right. */
#include "runners/runner.h"

#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct mock { double accuracy; };

static int mock_open(void **self, const struct runner_options *options, struct runner_facts *facts, struct err *err)
{
    struct mock *mock = malloc(sizeof *mock);
    *self = NULL;
    if (!mock)
        return err_no_memory(err, "the mock runner");
    int rc = json_get_number(options->extra, "accuracy", 0.6, &mock->accuracy, "runner mock", err);
    if (!rc && !(mock->accuracy >= 0 && mock->accuracy <= 1))
        rc = err_set(err, ERR_CONFIG, "runner mock: 'accuracy' should be a number from 0 to 1");
    if (rc) {
        free(mock);
        return rc;
    }
    *facts = (struct runner_facts){.model_digest = "mock", .isa = "none", .device = "none", .frame_side = -1, .repetition_penalty = 1,
                                   .pooling = "bilinear", .newline = "grid"};
    *self = mock;
    return 0;
}

static int mock_bytes(void *self, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads, size_t *bytes, struct err *err)
{
    (void)self, (void)cells, (void)n_cells, (void)n_frames, (void)threads, (void)err;
    *bytes = 0;
    return 0;
}

static int mock_worker(void *self, void **worker, int threads, struct err *err)
{
    (void)threads, (void)err;
    *worker = self;
    return 0;
}

static void mock_worker_close(void *self, void *worker)
{
    (void)self, (void)worker;
}

static struct answer mock_answer(const struct mock *mock, const struct job_cell *cell, const struct sample *sample, char *room, size_t size)
{
    uint64_t stream = rng_stream(sample->id), seed = rng_stream(cell->run->cell.compressor) + (uint64_t)cell->run->cell.frames;
    int letter = sample->answer >= 0 ? sample->answer : 0;
    if (rng_unit(seed, stream, 0) >= mock->accuracy)
        letter = (letter + 1) % (sample->n_options > 0 ? sample->n_options : 1);
    snprintf(room, size, "%c", 'A' + letter);
    struct answer answer = {.status = ANSWER_OK, .raw = room, .extracted = -1, .margin = NAN, .cost = {.joules = NAN}};
    answer.cost.frames = (int32_t)cell->n;
    answer.cost.tokens_generated = 1;
    return answer;
}

static int mock_run(void *self, void *worker, const struct job *job, answer_sink *sink, void *context, struct err *err)
{
    (void)worker, (void)err;
    const struct answer no_tokens = {.status = ANSWER_OK, .extracted = -1, .margin = NAN, .cost = {.joules = NAN}};
    for (size_t c = 0; c < job->n_cells; c++)
        for (size_t s = 0; s < job->n_samples && !atomic_load(job->stop); s++) {
            char room[8];
            if (!job->wanted[c * job->n_samples + s])
                continue;
            struct answer answer = job->plan_only ? no_tokens : mock_answer(self, &job->cells[c], job->samples[s].sample, room, sizeof room);
            if (sink(context, c, s, &answer))
                return 0;
        }
    return 0;
}

static const char *const keys[] = {"accuracy", NULL};

const struct runner runner_mock = {
    .name = "mock",
    .interleaves = true,
    .summary = "answers from the manifest without a model, to try a sweep's plumbing",
    .keys = keys,
    .open = mock_open,
    .close = free,
    .bytes_needed = mock_bytes,
    .worker_open = mock_worker,
    .worker_close = mock_worker_close,
    .run = mock_run,
};
