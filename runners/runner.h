/* Runners: what answers samples. The seam between the harness and an engine, a server, or nothing at all.
 *
 * Work comes as jobs. A job is one video with the cells and the questions that are wanted on it, so that a runner can compute
 * once what several answers need. Every wanted (cell, sample) gets exactly one answer, whatever goes wrong.
 *
 *   runner   process lifetime: weights, connections. Its functions other than open and close may be called by several threads.
 *   worker   one thread's state: buffers, caches. */
#ifndef TOKSWEEP_RUNNERS_RUNNER_H
#define TOKSWEEP_RUNNERS_RUNNER_H

#include "compressors/compressor.h"
#include "core/answer.h"
#include "core/cell.h"
#include "core/err.h"
#include "core/frames.h"
#include "core/json.h"
#include "core/sample.h"
#include "datasets/video.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A cell with its methods resolved (methods_resolve); the harness owns it for the whole run. */
struct run_cell {
    struct cell cell;
    struct method methods[MOST_METHODS];
    int n_methods;
    const struct run_cell *match; /* a control's: the cell that leaves as many tokens; NULL: none. It matches none itself */
};

/* What a cell shows of the job's video. */
struct job_cell {
    const struct run_cell *run;
    const uint32_t *index; /* [n] frame indices in order; short videos repeat */
    size_t n;
};

/* The visual tokens in some layers of the language model, and what has become there of those that entered. */
struct shown_layers {
    int first, last;           /* these layers */
    const struct out_tok *tok; /* [n] kind, span, rep and size of each; taps mean nothing here */
    size_t n;
    const uint32_t *became;    /* [plan->n_tok] which of them each token of the plan is part of; UINT32_MAX: dropped, or not seen */
};

/* How a cell's visual tokens came about. */
struct shown_tokens {
    const struct tok_plan *plan;     /* laid out */
    int raw_side, pooled_side;       /* of the grids; the plan's taps refer to pooled tokens for DOM_H_POOLED, else to raw ones */
    size_t content_before, markers_before; /* tokens without compression */
    const struct measure *measures;  /* n_measures; none where the method has nothing to tell */
    int n_measures;
    const struct shown_layers *layers; /* n_layers, ascending; none where nothing acts in the language model, or it did not run */
    int n_layers;
};

/* Called by run() before the answer it belongs to; everything is valid during the call. Returns nonzero to stop the job. */
typedef int token_viewer(void *context, size_t cell, size_t sample, const struct shown_tokens *shown);

struct job_sample {
    const struct sample *sample;
    struct prompt_text prompt; /* profile and benchmark have made it */
};

struct job {
    const char *benchmark;
    const struct video_ref *video;
    struct video_facts facts;
    struct frames frames;        /* union of the cells' indices, at the runner's side; rgb is NULL when it asked for none */
    double open_ms;              /* the rest is in frames */
    const struct job_cell *cells; /* with those that others match: nothing may be wanted of these */
    size_t n_cells;
    const struct job_sample *samples;
    size_t n_samples;
    const bool *wanted;          /* [n_cells][n_samples] */
    bool plan_only;              /* stop after the token plans: one answer per cell, for sample 0, with its token counts and no text */
    token_viewer *viewer;        /* gets run()'s context; NULL: nobody looks */
    const atomic_bool *stop;     /* set: return soon; what was not answered stays unanswered */
};

/* Called by run() once per answer, as it comes; the answer's strings are valid during the call. `extracted` and `correct` are left
 * for the harness. Returns nonzero to stop the job. */
typedef int answer_sink(void *context, size_t cell, size_t sample, const struct answer *answer);

struct runner_options {
    const char *model;        /* folder of the checkpoint, or what the runner calls a model */
    const char *assistant;    /* the same of the checkpoint that guides allocators; NULL: none */
    const char *dtype;        /* "f32", "bf16", "f16", "int8" */
    const char *isa;          /* kernel table, "auto" */
    const char *device;       /* "cpu", "cuda:0", "auto" */
    const struct json *extra; /* runner's own keys of the sweep file, or NULL */
};

enum { RUNNER_UNKNOWN_PIXELS = 1920 * 1080 }; /* of a frame at native size, where memory is planned before the video is open */

/* What a cell's identity and a plan need of a model; strings live as long as the runner. */
struct runner_facts {
    const char *model_digest;
    const char *assistant_digest; /* NULL without an assistant */
    const char *isa;
    const char *dtype;           /* that it computes in; NULL: what was asked for */
    const char *device;          /* for the run's record: "cpu: <processor>" */
    int frame_side;              /* pixels; 0: native size; -1: no frames at all */
    double repetition_penalty;   /* the checkpoint's own */
    const char *pooling, *newline; /* the checkpoint's own */
    size_t fixed_bytes;          /* weights */
    size_t device_bytes;         /* left beside them on a card, which memory is then planned with; 0: this machine's is */
};

struct runner {
    const char *name, *summary;
    bool opens_checkpoint; /* options.model is the folder of a checkpoint, and computing with it is what an answer costs */
    bool interleaves; /* can put frames at the "<image>"s of a prompt */
    bool sends; /* answers come from requests, to whose bodies a sweep's axis `body` adds */
    const char *const *keys; /* its own under `runner` in a sweep file, beside name, device, dtype and isa; NULL-terminated, NULL: none */
    int (*open)(void **self, const struct runner_options *options, struct runner_facts *facts, struct err *err);
    void (*close)(void *self);

    /* Most bytes a worker will hold while it runs a job of these cells with n_frames distinct frames: its state and the video's,
     * decoded frames excluded. ERR_CONFIG names a cell that cannot be run at all. */
    int (*bytes_needed)(void *self, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads, size_t *bytes, struct err *err);

    int (*worker_open)(void *self, void **worker, int threads, struct err *err);
    void (*worker_close)(void *self, void *worker);

    /* Answers what is wanted. Fails only for what concerns the run as a whole (a sink that said stop is no failure); what concerns
     * one answer is its status. */
    int (*run)(void *self, void *worker, const struct job *job, answer_sink *sink, void *context, struct err *err);
};

/* What a cell that wants it says about the moments its frames show; NULL where it does not. In `arena`. ERR_MEMORY. */
int job_time_instruction(const char **out, const struct job *job, const struct job_cell *shown, struct arena *arena, struct err *err);

const struct runner *runner_find(const char *name); /* NULL if there is none */
const struct runner *runner_at(int i);              /* NULL past the end */

extern const struct runner runner_native, runner_http, runner_mock;

#endif
