/* Vectors of f32 to and from memory in the compute dtype. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_ACT_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_ACT_H

#include "engine/kernels/layout.h"

/* The first n <= LANES values from `from`, zeros after them. */
static inline vec f32_load(const float *from, size_t n)
{
    return n == LANES ? vec_load(from) : vec_load_part(from, n);
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
