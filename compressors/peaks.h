/* Density peaks (DPC-kNN): tokens in dense places that are far from denser ones are centres of clusters. */
#ifndef TOKSWEEP_COMPRESSORS_PEAKS_H
#define TOKSWEEP_COMPRESSORS_PEAKS_H

#include "core/arena.h"
#include "core/similarity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Euclidean distances between the listed rows, divided by the root of their width: [n][n] into `distance`. */
int peaks_distances(const struct sim_rows *rows, struct row_list list, float *distance, struct err *err);

enum { PEAKS_MOST_NEAREST = 64 }; /* for options: more than anybody asks for */

/* score[i] = density times the distance to the nearest denser row (the largest of all distances where none is denser). Density is
 * exp(-mean of the `nearest` smallest squared distances, its own 0 included; at most n of them), plus a millionth of a number in [0, 1)
 * that depends on i alone, so that equal rows have an order. false when memory is out. */
bool peaks_scores(const float *distance, size_t n, size_t nearest, float *score, struct arena *arena);

/* Clusters of n rows: their centres, and the centre that each row belongs to, by number. */
struct peaks {
    uint32_t *centre; /* [n_centres] rows */
    size_t n_centres;
    uint32_t *of;     /* [n] */
};

/* The n_centres <= n rows of largest score are centres, best first or ascending; each other row belongs to the nearest one, ties to the
 * first of them. false when memory is out. */
bool peaks_cluster(const float *distance, size_t n, size_t nearest, size_t n_centres, bool ascending, struct peaks *out, struct arena *arena);

#endif
