/* Vectors of f32 to and from memory in the compute dtype. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_ACT_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_ACT_H

#include "engine/kernels/layout.h"

/* The first n <= LANES values from `from`, zeros after them. */
static inline vec f32_load(const float *from, size_t n)
{
    return n == LANES ? vec_load(from) : vec_load_part(from, n);
}

/* The first n <= LANES values of act, zeros after them. */
static inline vec act_load(const void *from, enum dtype dtype, size_t n)
{
    if (dtype == DTYPE_F32)
        return f32_load(from, n);
    if (n == LANES)
        return vec_load_bf16(from);
    uint16_t some[LANES] = {0};
    memcpy(some, from, n * sizeof *some);
    return vec_load_bf16(some);
}

/* The first n <= LANES values to `to`. */
static inline void f32_store(float *to, vec v, size_t n)
{
    if (n == LANES)
        vec_store(to, v);
    else
        vec_store_part(to, v, n);
}

/* The same, rounded to `dtype`. */
static inline void act_store(void *to, enum dtype dtype, vec v, size_t n)
{
    if (dtype == DTYPE_F32)
        f32_store(to, v, n);
    else if (n == LANES)
        vec_store_bf16(to, v);
    else
        vec_store_bf16_part(to, v, n);
}

#endif
