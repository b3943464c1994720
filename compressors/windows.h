/* Windows of frames whose cells are averaged over time or clustered within a frame: what HoliTom and PruneVid share. */
#ifndef TOKSWEEP_COMPRESSORS_WINDOWS_H
#define TOKSWEEP_COMPRESSORS_WINDOWS_H

#include "core/arena.h"
#include "core/similarity.h"
#include "core/tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Some cells of a grid over some frames, in work. */
struct windows {
    const struct grid_view *grid;
    size_t T, N, d;
    struct sim_rows rows;  /* the grid's H, and room for N rows made of it, or for T where that is more: the caller's between pushes */
    struct tok_plan *plan;
    struct arena *arena;
    uint32_t *cell;        /* [N] the cells in work; the caller fills it */
    struct tap *taps;      /* [T*N], and begin[N + 1], with T where that is more: room to make rows */
    uint32_t *begin;
    uint32_t *row;         /* [N] of the cells */
    float *distance;       /* [N][N] */
};

/* Clusters by density peaks (compressors/peaks.h). */
struct clustering {
    size_t nearest;  /* neighbours that density is measured by */
    bool ascending;  /* clusters in the order of their centres, else best first */
    double beta;     /* weight of a centre beside the mean of the others; NaN: the mean of all */
};

/* Room for the work and for a plan in which every source is in one token at most. */
int windows_new(struct windows *w, const struct grid_view *grid, int T, struct tok_plan *plan, struct arena *arena, struct err *err);

/* Reduces cell[0..n) to `wanted` <= n tokens, each averaged over frames first..last and standing in the first of them, at its centre.
 * All of them, as they are, with wanted == n and no clustering. */
int windows_push(struct windows *w, size_t n, size_t wanted, const struct clustering *clustering, size_t first, size_t last, struct err *err);

#endif
