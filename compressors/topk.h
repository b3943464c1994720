/* The largest of n scores, ties to the lower index. NaN is less than everything; -0 equals 0.
 *
 * The k largest are a subset of the k + 1 largest, and depend on neither threads nor how they are found. k > n stands for n. */
#ifndef TOKSWEEP_COMPRESSORS_TOPK_H
#define TOKSWEEP_COMPRESSORS_TOPK_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* marked[i] = 1 for the k largest, 0 for the others. Needs no memory: usable while text is generated. */
void topk_mark(const float *score, size_t n, size_t k, uint8_t *marked);

/* The indices of the k largest, ascending, into out[k]; returns how many. Needs no memory. */
size_t topk_select(const float *score, size_t n, size_t k, uint32_t *out);

/* The same, best first. false when memory is out. */
bool topk_rank(const float *score, size_t n, size_t k, uint32_t *out, struct arena *arena);

/* Index of the largest; n > 0. */
size_t topk_best(const float *score, size_t n);

#endif
