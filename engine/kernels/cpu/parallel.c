/* Dealing work to threads. Which thread runs a unit never shows in a result, so units are dealt to whoever is free. */
#include "engine/kernels/cpu/parallel.h"

#ifdef _OPENMP
#include <omp.h>

static void deal_shared(size_t n, int threads, kernels_unit *run, const void *call)
{
#pragma omp parallel num_threads(threads)
    {
        int worker = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
        for (size_t unit = 0; unit < n; unit++)
            run(call, unit, worker);
    }
}
#endif

void kernels_deal(size_t n, int threads, kernels_unit *run, const void *call)
{
#ifdef _OPENMP
    if (threads > 1 && n > 1) {
        deal_shared(n, n < (size_t)threads ? (int)n : threads, run, call);
        return;
    }
#else
    (void)threads;
#endif
    for (size_t unit = 0; unit < n; unit++)
        run(call, unit, 0);
}
