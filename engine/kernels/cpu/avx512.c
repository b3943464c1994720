/* The table for AVX-512 (F, BW, DQ, VL). bf16 is expanded to f32: two multiply-adds for a pair. */
#include "engine/kernels/cpu/vec_avx512.h"

#include "engine/kernels/cpu/table.h"

const struct kernels kernels_avx512 = KERNELS_TABLE("avx512");

double kernels_spin_avx512(enum dtype dtype, size_t steps)
{
    return spin(dtype, steps);
}
