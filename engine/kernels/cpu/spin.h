/* Independent multiply-adds in registers, in the shape of the register tile. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_SPIN_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_SPIN_H

#include "engine/kernels/cpu/cpu.h"

static inline __attribute__((always_inline)) vec spin_step(const enum dtype dtype, group_vec a, vec sum)
{
#ifdef VEC_BF16
    if (dtype == DTYPE_BF16)
        return groups_dot(a, a, sum);
#endif
    (void)dtype;
    return vec_fma(groups_f32(a), groups_f32(a), sum);
}

static inline __attribute__((always_inline)) float spin_as(const enum dtype dtype, size_t steps)
{
    vec sums[TILE_ROWS][STRIP], total = vec_zero();
    volatile uint32_t small = 0x00800080u; /* its square vanishes beside any sum; volatile, so that the compiler cannot know */
    group_vec a = groups_set(small);
    TILE_UNROLL
    for (int r = 0; r < TILE_ROWS; r++)
        TILE_UNROLL
        for (int v = 0; v < STRIP; v++)
            sums[r][v] = vec_set((float)(r * STRIP + v + 1)); /* not 0: a product that underflows is slow there */
    for (size_t step = 0; step < steps; step++) {
        TILE_UNROLL
        for (int r = 0; r < TILE_ROWS; r++)
            TILE_UNROLL
            for (int v = 0; v < STRIP; v++)
                sums[r][v] = spin_step(dtype, a, sums[r][v]);
    }
    TILE_UNROLL
    for (int r = 0; r < TILE_ROWS; r++)
        TILE_UNROLL
        for (int v = 0; v < STRIP; v++)
            total = vec_add(total, sums[r][v]);
    return vec_sum(total);
}

/* The same for whole numbers; the sums wrap around. */
static inline __attribute__((always_inline)) int32_t spin_i8(const bool vnni, size_t steps)
{
    group_vec sums[TILE_ROWS][STRIP];
    volatile uint32_t some = 0x01020301u;
    int32_t last[LANES];
    TILE_UNROLL
    for (int r = 0; r < TILE_ROWS; r++)
        TILE_UNROLL
        for (int v = 0; v < STRIP; v++)
            sums[r][v] = groups_set((uint32_t)(r * STRIP + v));
    group_vec a = groups_set(some);
    for (size_t step = 0; step < steps; step++) {
        TILE_UNROLL
        for (int r = 0; r < TILE_ROWS; r++)
            TILE_UNROLL
            for (int v = 0; v < STRIP; v++)
                sums[r][v] = tile_dot_i8(vnni, sums[r][v], a, a);
    }
    for (int r = 1; r < TILE_ROWS * STRIP; r++)
        sums[0][0] = tile_dot_i8(vnni, sums[0][0], sums[r / STRIP][r % STRIP], a);
    groups_store(last, sums[0][0]);
    return last[0];
}

#ifdef VEC_VNNI
static VEC_VNNI __attribute__((noinline)) int32_t spin_vnni(size_t steps)
{
    return spin_i8(true, steps);
}
#endif

static int32_t spin_whole(size_t steps)
{
#ifdef VEC_VNNI
    if (vec_has_vnni())
        return spin_vnni(steps);
#endif
    return spin_i8(false, steps);
}

/* Two operations for the one f32, for each int8 of four, or for each bf16 of a pair where a step takes pairs. */
static double spin(enum dtype dtype, size_t steps)
{
#ifdef VEC_BF16
    size_t values = dtype == DTYPE_BF16 ? 2 : 1;
#else
    size_t values = 1;
#endif
    if (dtype == DTYPE_I8) {
        volatile int32_t whole = spin_whole(steps);
        (void)whole;
        return 2.0 * 4 * LANES * TILE_ROWS * STRIP * (double)steps;
    }
    volatile float kept = dtype == DTYPE_BF16 ? spin_as(DTYPE_BF16, steps) : spin_as(DTYPE_F32, steps);
    (void)kept; /* so that the work cannot be left out */
    return 2.0 * (double)(values * LANES * TILE_ROWS * STRIP * steps);
}

#endif
