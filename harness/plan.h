/* Plan: the work of a sweep that its store does not hold yet, video by video. */
#ifndef TOKSWEEP_HARNESS_PLAN_H
#define TOKSWEEP_HARNESS_PLAN_H

#include "harness/sweep.h"

#include <stdint.h>

/* Cells and questions on one video. Nothing may be wanted of a cell that is there because others match it. */
struct plan_job {
    size_t benchmark, video;
    size_t *cells;      /* [n_cells] indices into sweep->cells */
    size_t n_cells;
    size_t *samples;    /* [n_samples] indices into the manifest */
    size_t n_samples;
    bool *wanted;       /* [n_cells][n_samples] */
    size_t n_wanted;
};

struct plan {
    struct plan_job *jobs;
    size_t n_jobs;
    size_t n_wanted;    /* answers */
    size_t n_stored;    /* answers of the sweep that the store holds already */
    struct arena arena;
};

struct plan_options {
    size_t limit;              /* most samples per benchmark, in manifest order; 0: all */
    const char *const *samples; /* sample ids, NULL-terminated; NULL: all */
    size_t shard, n_shards;    /* videos whose number modulo n_shards is shard; n_shards 0: all */
    bool no_share;             /* one job for every (cell, sample) */
};

/* done[cell][sample] says what the store holds (rows of the cell's manifest); NULL: nothing. ERR_CONFIG names a sample id that no
 * manifest has. */
int plan_make(struct plan *out, const struct sweep *sweep, const bool *const *done, const struct plan_options *options, struct err *err);
void plan_free(struct plan *plan);

/* Frame indices that a cell shows of a video; out holds cell->frames. Returns how many. */
size_t plan_cell_frames(const struct sweep *sweep, const struct run_cell *run, const struct video_facts *facts,
                        const struct video_ref *video, uint32_t *out);

#endif
