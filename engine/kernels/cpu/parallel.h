/* Dealing work to threads: the one place where cpu/ meets OpenMP. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_PARALLEL_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_PARALLEL_H

#include <stddef.h>

/* One unit of a call. Units are independent; `worker` is 0..threads-1, and no two units run at once under the same worker. */
typedef void kernels_unit(const void *call, size_t unit, int worker);

/* Runs units 0..n-1, dealt in ascending order to at most `threads` threads. With one thread, or without OpenMP, in the caller's. */
void kernels_deal(size_t n, int threads, kernels_unit *run, const void *call);

#endif
