/* K-means of feature rows by cosine: seeds by k-means++, rows assigned to the centroid of largest cosine, a
 * centroid the mean of its rows' unit vectors. Ties go to the lower index; a centroid without rows stays where it was.
 *
 * Deterministic: draws are counter-based, sums are double in the order of rows. Rows are not copied. */
#ifndef TOKSWEEP_COMPRESSORS_KMEANS_H
#define TOKSWEEP_COMPRESSORS_KMEANS_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kmeans {
    const float *rows;  /* [n][width] */
    const float *norms; /* [n] */
    size_t n, width, most; /* most: clusters there is room for */
    uint32_t *seed;     /* [most] rows that begin the clusters; the first k of them begin k clusters */
    /* of the last kmeans_fit(): */
    size_t k;
    uint32_t *label;    /* [n] 0..k-1 */
    uint32_t *count;    /* [k] rows of each; 0 is possible */
    float *centroid;    /* [k][width] means of unit vectors; 0 where there are no rows */
    float *centroid_norm; /* [k] */
    int iterations;
    /* working space */
    double *sum;
    float *dots;
};

/* Room for up to `most` clusters of these rows, and the norms. false when memory is out. */
bool kmeans_new(struct kmeans *kmeans, const float *rows, size_t n, size_t width, size_t most, struct arena *arena);

/* Fills seed[0..most): the first drawn evenly, each further one with probability proportional to the squared distance of its unit
 * vector to the nearest seed so far, plus 1e-6. The draws are those of (seed, stream). Needs n > 0. false when memory is out. */
bool kmeans_seed(struct kmeans *kmeans, uint64_t seed, uint64_t stream, struct arena *arena);

/* Clusters from the first k <= most seeds, until no centroid moves (Frobenius norm of the change below 1e-4), or `iterations` times. */
void kmeans_fit(struct kmeans *kmeans, size_t k, int iterations);

/* Cosine of a row with a centroid. */
double kmeans_cosine(const struct kmeans *kmeans, size_t row, size_t k);

/* Sum over rows of the cosine with their centroid, and of the squared distance of their unit vector to it. */
double kmeans_cosines(const struct kmeans *kmeans);
double kmeans_distortion(const struct kmeans *kmeans);

#endif
