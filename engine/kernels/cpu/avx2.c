/* The table for AVX2 and FMA. bf16 is expanded to f32: two multiply-adds for a pair. */
#include "engine/kernels/cpu/vec_avx2.h"

#include "engine/kernels/cpu/table.h"

const struct kernels kernels_avx2 = KERNELS_TABLE("avx2");

double kernels_spin_avx2(enum dtype dtype, size_t steps)
{
    return spin(dtype, steps);
}
