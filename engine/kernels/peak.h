/* The machine's ceiling, measured: what a table's multiply-add or dot instruction does when nothing else is in the way; of a card, what its
 * library makes of one large product. */
#ifndef TOKSWEEP_ENGINE_KERNELS_PEAK_H
#define TOKSWEEP_ENGINE_KERNELS_PEAK_H

#include "engine/kernels/kernels.h"

/* GFLOP/s of `threads` threads computing in `dtype` as table `k` does, on independent sums in registers; the best of bursts of
 * half a millisecond that take so many seconds together: one for a benchmark, some milliseconds for an estimate. On a card: of products of
 * 8192 x 8192 x 8192 random numbers (less where memory is short), 0 where they fail. A table that expands bf16 to f32 has the peak of f32.
 * In int8, operations. 0 for "ref", which has no ceiling to reach. */
double kernels_peak_gflops(const struct kernels *k, enum dtype dtype, int threads, double seconds);

#endif
