/* What the kernel checks share: buffers, seeded values, a walk over the tables of this machine, comparison with a bound, a clock. */
#ifndef TOKSWEEP_TESTS_KERNELS_CHECK_H
#define TOKSWEEP_TESTS_KERNELS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "engine/kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const enum dtype check_dtypes[] = {DTYPE_F32, DTYPE_BF16};

static inline const struct kernels *check_table(const char *name)
{
    const struct kernels *k;
    struct err err;
    if (kernels_open(&k, name, &err))
        fail_msg("%s", err.text);
    return k;
}

/* Whether a table is to be checked: it runs here, and is the one that CHECK_TABLE names if that is set. */
static inline bool check_wanted(const char *name)
{
    const char *only = getenv("CHECK_TABLE");
    return kernels_runs(name) && (!only || !strcmp(name, only));
}

/* Calls `check` with every table that this processor runs, but for ref, and says which it leaves out. */
static inline void check_tables(void (*check)(const struct kernels *k))
{
    for (const char *const *name = kernels_names(); *name; name++) {
        if (!strcmp(*name, "ref"))
            continue;
        if (check_wanted(*name))
            check(check_table(*name));
        else if (!kernels_runs(*name))
            print_message("skip: this processor does not run %s\n", *name);
    }
}

/* Zeroed, 64-byte aligned. */
static inline void *check_alloc(size_t bytes)
{
    size_t whole = (bytes + 64) / 64 * 64;
    void *memory = aligned_alloc(64, whole);
    assert_non_null(memory);
    return memset(memory, 0, whole);
}

static inline void *check_copy(const void *from, size_t bytes)
{
    return memcpy(check_alloc(bytes), from, bytes);
}

/* n values, nearly normal (a sum of four uniforms), of unit variance. */
static inline void check_fill(float *to, size_t n, uint64_t seed, const char *what)
{
    uint64_t stream = rng_stream(what);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t part = 0; part < 4; part++)
            sum += rng_unit(seed, stream, 4 * i + part) - 0.5;
        to[i] = (float)(sum * 1.7320508);
    }
}

static inline float *check_floats(size_t n, uint64_t seed, const char *what)
{
    float *values = check_alloc(n * sizeof *values);
    check_fill(values, n, seed, what);
    return values;
}

/* A copy in `dtype`. */
static inline void *check_act(const float *values, size_t n, enum dtype dtype)
{
    void *act = check_alloc(n * dtype_size(dtype));
    dtype_convert(act, dtype, values, DTYPE_F32, n);
    return act;
}

static inline float check_read(const void *act, enum dtype dtype, size_t i)
{
    float value;
    dtype_convert(&value, DTYPE_F32, (const char *)act + i * dtype_size(dtype), dtype, 1);
    return value;
}

/* Fails unless got is within `bound` of want; NaN never is. */
static inline void check_near(double got, double want, double bound, const char *what, size_t i, size_t j)
{
    if (!(fabs(got - want) <= bound))
        fail_msg("%s: [%zu][%zu] is %.9g, expected %.9g within %.3g", what, i, j, got, want, bound);
}

static inline void check_equal(const void *got, const void *want, size_t bytes, const char *what)
{
    if (memcmp(got, want, bytes))
        fail_msg("%s: bits differ", what);
}

/* `--bench [table [threads]]`: what to time. */
struct check_bench {
    const struct kernels *k;
    int threads;
};

static inline bool check_wants_bench(int argc, char **argv, struct check_bench *bench)
{
    if (argc < 2 || strcmp(argv[1], "--bench"))
        return false;
    bench->k = check_table(argc > 2 ? argv[2] : NULL);
    bench->threads = argc > 3 ? atoi(argv[3]) : 1;
    return true;
}

/* One thread is timed by its own clock, which leaves out what else the machine does. */
static inline double check_seconds(const struct check_bench *bench)
{
    struct timespec now;
    clock_gettime(bench->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Least seconds of a call, over at least 5 calls and half a second. */
static inline double check_time(const struct check_bench *bench, void (*call)(const void *context), const void *context)
{
    double best = INFINITY, total = 0;
    for (int i = 0; i < 5 || total < 0.5; i++) {
        double before = check_seconds(bench);
        call(context);
        double took = check_seconds(bench) - before;
        best = took < best ? took : best;
        total += took;
    }
    return best;
}

#endif
