/* The tables for x86-64, one per instruction set, and what measures their ceiling. Private to kernels/. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_CPU_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_CPU_H

#include "engine/kernels/kernels.h"

extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512_bf16;

/* Runs `steps` steps of independent multiply-adds in `dtype` and returns the floating-point operations in them. */
typedef double kernels_spin(enum dtype dtype, size_t steps);

kernels_spin kernels_spin_avx2, kernels_spin_avx512, kernels_spin_avx512_bf16;

#endif
