/* Dot products, norms and cosines of feature rows: what every method that compares tokens shares, and the tables of engine/kernels with
 * them.
 *
 * Sums run over 16 interleaved lanes, so a result depends on nothing but its arguments: lane l adds up the products l, l + 16, l + 32, ...
 * of all whole sixteens; what is left over is a sum of its own, to which (l + (l + 4)) + ((l + 8) + (l + 12)) is added for l = 0, 1, 2, 3.
 * Each product and each sum is rounded: an order that compilers can vectorise and cards can follow.
 * Symmetric: sim_dot(a, b) == sim_dot(b, a), bit for bit. Norms are computed once per row and passed along, because the dot products
 * are what a method's time goes to. */
#ifndef TOKSWEEP_CORE_SIMILARITY_H
#define TOKSWEEP_CORE_SIMILARITY_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sum of a[i] * b[i], i < n. */
float sim_dot(const float *a, const float *b, size_t n);

/* The same of values that are rounded to bf16 before. */
float sim_dot_rounded(const float *a, const float *b, size_t n);

/* out[j] = sim_dot(a, rows + j * n, n) for j < n_rows. */
void sim_dots(const float *a, const float *rows, size_t n_rows, size_t n, float *out);

/* Sum of (a[i] - b[i])^2, i < n: 0 for equal rows, which |a|^2 + |b|^2 - 2ab would not give. */
float sim_distance2(const float *a, const float *b, size_t n);

/* Euclidean norms of n_rows rows of n: [n_rows] in `arena`; NULL when memory is out. */
float *sim_norms(const float *rows, size_t n_rows, size_t n, struct arena *arena);

/* Cosine from a dot product and two norms: clamped to [-1, 1]; 0 where a norm is 0 (of denormal features too, whose squares
 * vanish); NaN where a feature is not finite. */
float sim_cosine(float dot, float norm_a, float norm_b);

/* The rows divided by their norms, [n_rows][n] in `arena`; rows of norm 0 stay 0. NULL when memory is out. */
float *sim_unit_rows(const float *rows, size_t n_rows, size_t n, struct arena *arena);

/* ---- rows wherever they are ---------------------------------------------------------------------------------------------- */

struct row_pair { uint32_t a, b; };

/* Rows that stay where the engine computes, on a card for instance: all that can be asked is how they compare. */
struct far_rows {
    /* out[i] = sim_dot of the rows of pair i, or sim_dot_rounded, to the bit. ERR_MEMORY, ERR_DEVICE. */
    int (*dots)(const struct far_rows *rows, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err);
};

/* Rows [n][width] at `near`, or far ones. */
struct sim_rows {
    const float *near;
    size_t width;
    const struct far_rows *far; /* not NULL: `near` is void */
};

int sim_pairs(const struct sim_rows *rows, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err);

#endif
