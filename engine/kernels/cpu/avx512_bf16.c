/* The table for AVX-512 with BF16: a pair of bf16 is one step of vdpbf16ps, which takes subnormals for zero. */
#define VEC_BF16
#include "engine/kernels/cpu/vec_avx512.h"

#include "engine/kernels/cpu/table.h"

const struct kernels kernels_avx512_bf16 = KERNELS_TABLE("avx512-bf16");

double kernels_spin_avx512_bf16(enum dtype dtype, size_t steps)
{
    return spin(dtype, steps);
}
