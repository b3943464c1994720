/* Measures what the multiply-add and dot instructions of a table can do: bursts on all threads, timed together. */
#include "engine/kernels/peak.h"

#include "core/clock.h"
#include "core/rng.h"

#include <stdlib.h>

/* ---- a card -------------------------------------------------------------------------------------------------------------- */

/* A square product on the card. */
struct square {
    const struct kernels *k;
    size_t n;
    enum dtype dtype;
    struct matrix w;
    float *row;
    void *x, *y;
};

static bool square_fill(struct square *s)
{
    const struct memory *memory = s->k->memory;
    bool packed = true;
    for (size_t i = 0; i < s->n; i++)
        s->row[i] = (float)(rng_unit(1, 1, i) - 0.5);
    for (size_t i = 0; i < s->n && packed; i++)
        packed = s->k->pack(&s->w, i, 1, s->row, DTYPE_F32);
    for (size_t i = 0; i < s->n; i++) { /* rows of random numbers, one after the other through y */
        memory->put(s->y, s->row, s->n * sizeof *s->row);
        s->k->convert(1, s->n, s->y, s->n, (char *)s->x + i * s->n * dtype_size(s->dtype), s->n, s->dtype, 1);
    }
    return packed;
}

/* Seconds of one product, the least of some; 0 when the card fails. */
static double square_seconds(const struct square *s)
{
    enum { BURSTS = 10, PRODUCTS = 4 };
    struct gemm g = {.n = s->n, .x = s->x, .ldx = s->n, .w = &s->w, .epilogue = EPILOGUE_NONE, .y = s->y, .ldy = s->n, .out_dtype = DTYPE_F32};
    struct err err;
    double best = 0;
    for (int burst = -1; burst < BURSTS; burst++) {
        double start = now_s();
        for (int i = 0; i < PRODUCTS; i++)
            s->k->gemm(&g, 1);
        if (s->k->memory->settle(&err))
            return 0;
        double took = (now_s() - start) / PRODUCTS;
        best = burst >= 0 && (best == 0 || took < best) ? took : best;
    }
    return best;
}

static double card_gflops(const struct kernels *k, enum dtype dtype)
{
    const struct memory *memory = k->memory;
    size_t n = 8192;
    while (n > 64 && 16 * n * n > memory->left())
        n /= 2;
    size_t bytes = matrix_bytes(n, n, dtype, k->layout);
    struct square s = {k, n, dtype, {dtype, n, n, memory->take(bytes), NULL, k->layout}, malloc(n * sizeof(float)), memory->take(n * n * dtype_size(dtype)),
                       memory->take(n * n * sizeof(float))};
    double took = s.w.panels && s.row && s.x && s.y && square_fill(&s) ? square_seconds(&s) : 0;
    memory->release(s.w.panels);
    memory->release(s.x);
    memory->release(s.y);
    free(s.row);
    return took > 0 ? 2e-9 * (double)n * (double)n * (double)n / took : 0;
}

/* ---- the processor ------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include "engine/kernels/cpu/cpu.h"
#include "engine/kernels/cpu/parallel.h"

#include <time.h>

/* Short bursts, and the best of many: on a shared machine a long one is interrupted. */
static const double burst_s = 0.0005;

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

static double spin_gflops(kernels_spin *spin, enum dtype dtype, int threads, double seconds)
{
    struct burst burst = {spin, dtype, 1 << 12};
    while (burst_seconds(&burst, 1) < burst_s)
        burst.steps *= 2;
    double best = burst_seconds(&burst, threads);
    for (double sum = best; sum < seconds;) {
        double s = burst_seconds(&burst, threads);
        best = s < best ? s : best;
        sum += s;
    }
    return spin(dtype, burst.steps) * threads / best * 1e-9;
}

double kernels_peak_gflops(const struct kernels *k, enum dtype dtype, int threads, double seconds)
{
    if (!k->memory->host)
        return card_gflops(k, dtype);
    kernels_spin *spin = k == &kernels_avx512_bf16 ? kernels_spin_avx512_bf16
                         : k == &kernels_avx512    ? kernels_spin_avx512
                         : k == &kernels_avx2      ? kernels_spin_avx2
                                                   : NULL;
    return spin ? spin_gflops(spin, dtype, threads, seconds) : 0;
}
#else
double kernels_peak_gflops(const struct kernels *k, enum dtype dtype, int threads, double seconds)
{
    (void)threads;
    (void)seconds;
    return k->memory->host ? 0 : card_gflops(k, dtype);
}
#endif
