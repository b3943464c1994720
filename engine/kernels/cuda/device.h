/* What the parts of the table for CUDA cards share: the card, its memory and its stream, and the slots, each of which is a launch of kernels
 * or a call of cuBLASLt on the calling thread's own stream. Private to kernels/cuda. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CUDA_DEVICE_H
#define TOKSWEEP_ENGINE_KERNELS_CUDA_DEVICE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "engine/kernels/kernels.h"

#include <cuda_runtime_api.h>

extern const struct kernels kernels_cuda;
extern const struct memory memory_cuda;

/* Takes this card for the process; ERR_DEVICE when it is another already, or does not start. */
int device_choose(int card, struct err *err);
int device_chosen(void); /* -1: none yet */

/* The calling thread's stream, on the card. */
cudaStream_t device_stream(void);

/* Keeps the first thing that went wrong for memory_cuda's settle; cudaSuccess is fine. What goes wrong in a recording spoils that alone. */
void device_note(cudaError_t error, const char *what);

/* What positions are higher by when a recording is repeated, on the card, for the kernels that the thread launches now; NULL: they are run
 * at once. */
const ptrdiff_t *device_shift(void);

/* A copy of the host's bytes that is gone after what has been asked for so far, and device_drop. NULL, and noted, when memory is out. */
void *device_bring(const void *host, size_t bytes);
void device_drop(void *brought);

/* The product by cuBLASLt: y = epilogue of it where the library has that, else the bare product to scratch, f32 [n][n_out]: *bare says which.
 * false where it has no algorithm for the shape or an operand is not aligned. */
bool cuda_gemm_lt(const struct gemm *g, bool *bare);

/* ---- slots: see kernels.h ---- */

void cuda_gemm(const struct gemm *g, int threads);
void cuda_attention(const struct attention *a, int threads);
void cuda_attention_weights(const struct attention *a, float *weights, int threads);
void cuda_kv_write(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads);
void cuda_layernorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, const float *b, float eps, void *y, size_t ldy,
                    enum dtype out, int threads);
void cuda_rmsnorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, float eps, void *y, size_t ldy, enum dtype out, int threads);
void cuda_rope(size_t n, int heads, int head_dim, float *x, size_t ld, const float *cos, const float *sin, size_t first, int threads);
void cuda_convert(size_t n, size_t D, const float *x, size_t ldx, void *y, size_t ldy, enum dtype out, int threads);
void cuda_patches(const uint8_t *rgb, int image_side, int patch, int side, void *out, enum dtype dtype);
void cuda_pool(enum pool_mode mode, int stride, int side, int width, const float *in, float *out);
void cuda_merge(const struct merge *merge);
bool cuda_wide_sums(const struct wide_sums *sums);
bool cuda_dots(const struct dots *dots);
bool cuda_block(const struct block *block);
bool cuda_choose(const struct picks *picks);
void cuda_sum_rows(size_t groups, size_t n, size_t D, const float *x, size_t group, size_t ldx, float *y, bool add, float divisor);
void cuda_embed(const struct matrix *matrix, size_t n, const int32_t *ids, float *out);
struct next_id cuda_next(const struct candidates *candidates);

#ifdef __cplusplus
}
#endif

#endif
