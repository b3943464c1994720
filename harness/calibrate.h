/* Calibration: from a target ratio to the threshold that reaches it on a seeded subset of a benchmark's videos. */
#ifndef TOKSWEEP_HARNESS_CALIBRATE_H
#define TOKSWEEP_HARNESS_CALIBRATE_H

#include "harness/sweep.h"
#include "results/store.h"

/* Resolves every cell of the sweep that has a target_ratio, from the store where the search was done before, else by searching; without
 * a store (NULL) always by searching. ERR_DATA when no calibration video can be read. `threads` for the one worker that searches. */
int calibrate_cells(struct sweep *sweep, struct store *store, void *runner, const struct runner_facts *facts, int threads,
                    const atomic_bool *stop, struct err *err);

#endif
