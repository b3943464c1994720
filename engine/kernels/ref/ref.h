/* The reference table: every slot in plain loops and double sums, for any machine; and what all tables of the host share with it.
 * Private to kernels/. */
#ifndef TOKSWEEP_ENGINE_KERNELS_REF_REF_H
#define TOKSWEEP_ENGINE_KERNELS_REF_REF_H

#include "engine/kernels/kernels.h"

extern const struct kernels kernels_ref;
extern const struct memory memory_host;

bool host_pack(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from);

void ref_gemm(const struct gemm *g, int threads);
void ref_attention(const struct attention *a, int threads);
void ref_attention_weights(const struct attention *a, float *weights, int threads);
void ref_kv_write(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads);

/* Defined to the bit: no table has its own reading of these. */
void ref_patches(const uint8_t *rgb, int image_side, int patch, int side, void *out, enum dtype dtype);
void ref_pool(enum pool_mode mode, int stride, int side, int width, const float *in, float *out);
void ref_merge(const struct merge *merge);
bool ref_wide_sums(const struct wide_sums *sums);
bool ref_dots(const struct dots *dots);
bool ref_block(const struct block *block);
bool ref_choose(const struct picks *picks);
void ref_sum_rows(size_t groups, size_t n, size_t D, const float *x, size_t group, size_t ldx, float *y, bool add, float divisor);
void ref_embed(const struct matrix *matrix, size_t n, const int32_t *ids, float *out);
struct next_id ref_next(const struct candidates *candidates);

/* What those tables of the host fill these slots with. */
#define HOST_SLOTS \
    .memory = &memory_host, .layout = LAYOUT_PANELS, .pack = host_pack, .patches = ref_patches, .pool = ref_pool, .merge = ref_merge, \
    .wide_sums = ref_wide_sums, .dots = ref_dots, .block = ref_block, .choose = ref_choose, .sum_rows = ref_sum_rows, .embed = ref_embed, \
    .next = ref_next

#endif
