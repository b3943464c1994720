/* Dot products, norms and cosines of feature rows: what every method that compares tokens shares.
 *
 * Sums run over 16 interleaved lanes (a fixed order that a compiler can vectorise), so a result depends on nothing but its arguments.
 * Symmetric: sim_dot(a, b) == sim_dot(b, a), bit for bit. Norms are computed once per row and passed along, because the dot products
 * are what a method's time goes to. */
#ifndef TOKSWEEP_COMPRESSORS_SIMILARITY_H
#define TOKSWEEP_COMPRESSORS_SIMILARITY_H

#include "core/arena.h"

#include <stddef.h>

/* Sum of a[i] * b[i], i < n. */
float sim_dot(const float *a, const float *b, size_t n);

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

#endif
