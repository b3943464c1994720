/* Measures what the multiply-add and dot instructions of a table can do: bursts on all threads, timed together. */
#include "engine/kernels/peak.h"

#if defined(__x86_64__)
#include "engine/kernels/cpu/cpu.h"
#include "engine/kernels/cpu/parallel.h"

#include <time.h>

/* Short bursts, and the best of many: on a shared machine a long one is interrupted. */
static const double burst_s = 0.0005, bursts_s = 1;

struct burst {
    kernels_spin *spin;
    enum dtype dtype;
    size_t steps;
};

static void burst_unit(const void *call, size_t unit, int worker)
{
    (void)unit;
    (void)worker;
    const struct burst *burst = call;
    burst->spin(burst->dtype, burst->steps);
}

static double burst_seconds(const struct burst *burst, int threads)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    kernels_deal((size_t)threads, threads, burst_unit, burst);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
}

static double spin_gflops(kernels_spin *spin, enum dtype dtype, int threads)
{
    struct burst burst = {spin, dtype, 1 << 12};
    while (burst_seconds(&burst, 1) < burst_s)
        burst.steps *= 2;
    double best = burst_seconds(&burst, threads);
    for (double sum = best; sum < bursts_s;) {
        double s = burst_seconds(&burst, threads);
        best = s < best ? s : best;
        sum += s;
    }
    return spin(dtype, burst.steps) * threads / best * 1e-9;
}

double kernels_peak_gflops(const struct kernels *k, enum dtype dtype, int threads)
{
    kernels_spin *spin = k == &kernels_avx512_bf16 ? kernels_spin_avx512_bf16
                         : k == &kernels_avx512    ? kernels_spin_avx512
                         : k == &kernels_avx2      ? kernels_spin_avx2
                                                   : NULL;
    return spin ? spin_gflops(spin, dtype, threads) : 0;
}
#else
double kernels_peak_gflops(const struct kernels *k, enum dtype dtype, int threads)
{
    (void)k;
    (void)dtype;
    (void)threads;
    return 0;
}
#endif
