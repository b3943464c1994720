/* Schedule: runs a plan. Decoders fetch the frames of the next videos while workers compute; the calling thread hands out work and
 * alone touches the store, committing every answer as it comes.
 *
 *   caller: claim, admit by memory -> decoders: open, decode, resize -> workers: runner->run -> caller: score, store
 *
 * Each handoff transfers ownership of the task. */
#ifndef TOKSWEEP_HARNESS_SCHEDULE_H
#define TOKSWEEP_HARNESS_SCHEDULE_H

#include "harness/plan.h"
#include "results/store.h"

#include <stdatomic.h>

struct schedule_progress {
    size_t answers_done, answers_total; /* of this run */
    size_t jobs_done, jobs_total;
    size_t answers_failed;              /* of those done: sum of `failed` */
    size_t failed[ANSWER_STATUSES];
    size_t answers_elsewhere;           /* not counted above: another process computes them */
    double seconds;
};

struct schedule_options {
    int jobs;                  /* workers; as many decoders beside them */
    int threads;               /* per worker */
    size_t memory_bytes;       /* for everything but the runner's fixed part */
    bool retry_failed;
    int64_t asked_at;          /* store_version() before the store was asked what is answered */
    bool keep_groups;          /* stores which token each source token went into */
    const atomic_bool *stop;   /* set from a signal handler: finish nothing, keep what is committed */
    void (*progress)(const struct schedule_progress *progress, void *context); /* called a few times a second and at the end; may be NULL */
    void *context;
};

/* cell_ids[i] is the store's row of sweep->cells[i]. ERR_MEMORY when a single video cannot fit, naming both numbers; ERR_IO from the
 * store ends the run. Answers that fail are rows with their status, not errors. */
int schedule_run(const struct sweep *sweep, const struct plan *plan, struct store *store, int64_t run, const int64_t *cell_ids, void *runner,
                 const struct runner_facts *facts, const struct schedule_options *options, struct err *err);

/* Fetches the frames that some cells show of a video: opens it, unites the indices, decodes, resizes. Fills job->facts, frames,
 * open_ms and cells[].index (from `arena`; cells[].run is set by the caller). On failure `status` says of what kind. */
int fetch_frames(const struct sweep *sweep, const struct video_ref *video, int frame_side, struct job *job, struct job_cell *cells,
                 int threads, struct arena *arena, enum answer_status *status, struct err *err);

/* What is said about each sample of a job (samples[s].sample is set). Some benchmarks look at the video for that, so it is done where
 * videos are opened. On failure `status` says of what kind. */
int fetch_prompts(const struct sweep *sweep, size_t benchmark, const struct job *job, struct job_sample *samples, struct arena *arena,
                  enum answer_status *status, struct err *err);

#endif
