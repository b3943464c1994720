/* The reference table: every slot in plain loops and double sums, for any machine. Private to kernels/. */
#ifndef TOKSWEEP_ENGINE_KERNELS_REF_REF_H
#define TOKSWEEP_ENGINE_KERNELS_REF_REF_H

#include "engine/kernels/kernels.h"

extern const struct kernels kernels_ref;

void ref_gemm(const struct gemm *g, int threads);
void ref_attention(const struct attention *a, int threads);
void ref_attention_weights(const struct attention *a, float *weights, int threads);
void ref_kv_write(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads);

#endif
