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
#include "core/tokens.h"

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

/* Rows of[0..n), or, where `of` is NULL, first..first+n-1. */
struct row_list { const uint32_t *of; size_t first, n; };

/* What is added up over two rows: products, or squares of differences. */
enum sim_term { SIM_PRODUCT, SIM_APART };

/* Rows first..first+n-1, each the sum of taps begin[i]..begin[i + 1]: of w * row src, or with `divide` of row src / w, in f32, in order, from
 * zero. None of them is a source. */
struct sim_sums {
    size_t first, n;
    const uint32_t *begin; /* [n + 1] */
    const struct tap *taps;
    bool divide;
};

/* n sums in double: of scale[i] * row src[i], i from begin[k] to begin[k + 1], in order, from zero. */
struct sim_totals {
    size_t n;
    const uint32_t *begin; /* [n + 1] */
    const uint32_t *src;
    const double *scale;
};

/* A choice of k <= n of rows first..first+n-1 by max-min distance. The first is the one whose nearest other is farthest, each further one
 * the one whose nearest chosen is farthest, in 1 - dot product, which `weight` [n], if not NULL, multiplies for each candidate; candidates
 * of negative weight come last. Ties go to the lower row; NaN is less than all. The k first are among the k + 1 first. */
struct sim_choice {
    size_t first, n, k;
    const float *weight;
};

/* Rows that stay where the engine computes, on a card for instance: what follows can be asked of them, with the bits of rows that are
 * here. `room` is for rows made of them. ERR_MEMORY, ERR_DEVICE. */
struct far_rows {
    int (*room)(const struct far_rows *rows, size_t n, struct err *err);
    int (*put)(const struct far_rows *rows, size_t first, size_t n, const float *values, struct err *err);
    int (*get)(const struct far_rows *rows, size_t first, size_t n, float *out, struct err *err);
    int (*sum)(const struct far_rows *rows, const struct sim_sums *sums, struct err *err);
    int (*total)(const struct far_rows *rows, const struct sim_totals *totals, double *out, struct err *err);
    int (*pairs)(const struct far_rows *rows, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err);
    int (*block)(const struct far_rows *rows, struct row_list a, struct row_list b, enum sim_term term, float *out, struct err *err);
    int (*choose)(const struct far_rows *rows, const struct sim_choice *choice, uint32_t *out, struct err *err);
};

/* Rows 0..n-1, at `near` or far ones, and behind them rows that a method makes of them: n, n + 1, ... */
struct sim_rows {
    const float *near;
    size_t n, width;
    const struct far_rows *far; /* not NULL: `near` and `made` are void */
    float *made;
};

/* Room for this many made rows, zeroed; what was made before is gone. Near ones are the arena's, far ones the engine's. */
int sim_room(struct sim_rows *rows, size_t n, struct arena *arena, struct err *err);

/* Writes made rows first..first+n-1, and reads them. */
int sim_put(const struct sim_rows *rows, size_t first, size_t n, const float *values, struct err *err);
int sim_get(const struct sim_rows *rows, size_t first, size_t n, float *out, struct err *err);

/* Makes rows that are sums. */
int sim_sum(const struct sim_rows *rows, const struct sim_sums *sums, struct err *err);

/* Makes rows first..first+n-1: the listed ones divided by norm[0..n), those of norm 0 being 0. */
int sim_units(const struct sim_rows *rows, struct row_list list, const float *norm, size_t first, struct arena *arena, struct err *err);

/* out[n][width] */
int sim_total(const struct sim_rows *rows, const struct sim_totals *totals, double *out, struct err *err);

/* out[i] = sim_dot of the rows of pair i, or sim_dot_rounded. */
int sim_pairs(const struct sim_rows *rows, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err);

/* out[i] = the norm of row i of the list. */
int sim_lengths(const struct sim_rows *rows, struct row_list list, float *out, struct arena *arena, struct err *err);

/* out[i * b.n + j] = sim_dot (SIM_PRODUCT) or sim_distance2 (SIM_APART) of row i of list a and row j of list b. */
int sim_block(const struct sim_rows *rows, struct row_list a, struct row_list b, enum sim_term term, float *out, struct err *err);

/* The block of a list with itself. */
int sim_square(const struct sim_rows *rows, struct row_list list, enum sim_term term, float *out, struct err *err);

/* The chosen rows' places in the list, ascending, to out[k]. Of made rows only. */
int sim_choose(const struct sim_rows *rows, const struct sim_choice *choice, uint32_t *out, struct arena *arena, struct err *err);

#endif
