/* The Pareto front of cells between cost and accuracy, and how sure it is: a bootstrap of videos (Field and Welsh 2007), the same videos
 * for all cells in a draw, so that what cells have in common cancels. Pure. */
#ifndef TOKSWEEP_METRICS_FRONT_H
#define TOKSWEEP_METRICS_FRONT_H

#include "core/err.h"
#include "metrics/interval.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct front_cell {
    double cost, accuracy;
    const double *moved;  /* [n_videos] by how much each video moves the accuracy off its mean; they sum to 0 */
    bool on_front;        /* out: no other cell is as good for no more, and better or cheaper */
    double chance;        /* out: share of the draws in which it is */
};

/* Fills in on_front and chance of `cells`, and band[i]: the middle `confidence` of the best accuracy for at most the cost at[i], which some
 * cell must have. The same for the same seed. ERR_MEMORY. */
int front_bootstrap(struct front_cell *cells, size_t n_cells, size_t n_videos, const double *at, struct interval *band, size_t n_at,
                    double confidence, size_t draws, uint64_t seed, struct err *err);

#endif
