/* Max-min diversity: the choice of tokens that are least alike (DivPrune, CVPR 2025). */
#ifndef TOKSWEEP_COMPRESSORS_DIVERSE_H
#define TOKSWEEP_COMPRESSORS_DIVERSE_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Chooses k of n tokens by their unit rows, ascending, into out[k], k <= n. The first is the one whose nearest other is farthest, each
 * further one the one whose nearest chosen is farthest, in 1 - cosine, which `weight`, if not NULL, multiplies for each candidate;
 * candidates of negative weight come last. Ties go to the lower index. The k first are among the k + 1 first. Costs n^2/2 + k n dot products, and no matrix.
 * false when memory is out. */
bool diverse_select(const float *unit, size_t n, size_t width, const float *weight, size_t k, uint32_t *out, struct arena *arena);

#endif
