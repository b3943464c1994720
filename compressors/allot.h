/* Allotting a total to frames by weight: largest remainder, capped, what is left going round. */
#ifndef TOKSWEEP_COMPRESSORS_ALLOT_H
#define TOKSWEEP_COMPRESSORS_ALLOT_H

#include "core/arena.h"

#include <stdbool.h>
#include <stdint.h>

/* per_frame[T] sums to min(total, T * cap), each at most `cap`; a frame of larger weight never gets fewer. Weights are shares of their
 * sum; without a positive, finite sum all are equal. Equal weights: the earlier frame first. false when memory is out. */
bool allot_tokens(const float *weight, int T, uint32_t total, uint32_t cap, uint32_t *per_frame, struct arena *arena);

#endif
