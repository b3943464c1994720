/* K-means of feature rows by cosine: seeds by k-means++, rows assigned to the centroid of largest cosine, a
 * centroid the mean of its rows' unit vectors. Ties go to the lower index; a centroid without rows stays where it was.
 *
 * Deterministic: draws are counter-based, sums are double in the order of rows. Rows are not copied. */
#ifndef TOKSWEEP_COMPRESSORS_KMEANS_H
#define TOKSWEEP_COMPRESSORS_KMEANS_H

#include "core/arena.h"
#include "core/similarity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kmeans {
    struct sim_rows rows; /* and behind them room for 2 * most: first the centroids of the last fit, then as many for the caller */
    float *norms;       /* [n] */
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
    uint32_t *begin, *members; /* [most + 1], [n]: rows by label */
    struct row_pair *pairs;    /* [n] */
    double *scale, *sum;       /* [n], [most][width] */
    float *dots;               /* [KMEANS_CHUNK_VALUES, or most, or n] */
    struct arena *arena;
};

enum { KMEANS_CHUNK_VALUES = 1 << 20 };

/* Room for up to `most` clusters of these rows, and the norms. */
int kmeans_new(struct kmeans *kmeans, const struct sim_rows *rows, size_t most, struct arena *arena, struct err *err);

/* Fills seed[0..most): the first drawn evenly, each further one with probability proportional to the squared distance of its unit
 * vector to the nearest seed so far, plus 1e-6. The draws are those of (seed, stream). Needs n > 0. */
int kmeans_seed(struct kmeans *kmeans, uint64_t seed, uint64_t stream, struct err *err);

/* Clusters from the first k <= most seeds, until no centroid moves (Frobenius norm of the change below 1e-4), or `iterations` times. */
int kmeans_fit(struct kmeans *kmeans, size_t k, int iterations, struct err *err);

/* Sum over rows of the cosine with their centroid, and of the squared distance of their unit vector to it. */
int kmeans_cosines(const struct kmeans *kmeans, double *out, struct err *err);
int kmeans_distortion(const struct kmeans *kmeans, double *out, struct err *err);

/* Mean over rows of (b - a) / max(a, b), a and b the cosine distances to the own centroid and to the nearest other. The silhouette of
 * all pairs is quadratic in rows; this one is its usual form by centroids. */
int kmeans_silhouette(const struct kmeans *kmeans, double *out, struct err *err);

#endif
