/* Where each number lies in packed memory, and the block sizes that ref/, cpu/ and layout.c share. Private to kernels/.
 *
 * Everything packed consists of 32-bit groups: one f32, a pair of bf16 or four of int8, with the earlier one in the lower part. */
#ifndef TOKSWEEP_ENGINE_KERNELS_LAYOUT_H
#define TOKSWEEP_ENGINE_KERNELS_LAYOUT_H

#include "engine/kernels/kernels.h"

enum {
    GROUP_BYTES = 4,
    KV_BLOCK = PANEL,      /* positions per block of a kv; a block of keys is a panel */
    TILE_ROWS = 6,         /* rows of a register tile */
    ATTENTION_ROWS = 192,  /* most query rows of one unit of attention */
    ATTENTION_KEYS = 256,  /* keys per step of the online softmax, aligned at position 0 */
    ATTENTION_WIDTH = 256, /* largest head_dim */
    ATTENTION_SPAN = 512,  /* on cards: positions that one softmax runs over */
    ATTENTION_SPLIT = 4096, /* and rows, of heads and queries, that are few enough to take their spans side by side */
};

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t size_round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static inline size_t group_values(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? 1 : dtype == DTYPE_I8 ? 4 : 2;
}

static inline size_t groups_for(size_t n, enum dtype dtype)
{
    return (n + group_values(dtype) - 1) / group_values(dtype);
}

/* Byte offset of value `i` of column `column` among interleaved groups, `width` columns side by side. */
static inline size_t group_offset(size_t i, size_t column, size_t width, enum dtype dtype)
{
    size_t values = group_values(dtype);
    return (i / values * width + column) * GROUP_BYTES + i % values * dtype_size(dtype);
}

static inline float value_load(const void *at, enum dtype dtype)
{
    if (dtype == DTYPE_F32) {
        float value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return dtype == DTYPE_BF16 ? f32_from_bf16(bits) : f32_from_f16(bits);
}

static inline void value_store(void *at, float value, enum dtype dtype)
{
    if (dtype == DTYPE_F32) {
        memcpy(at, &value, sizeof value);
    } else {
        uint16_t bits = dtype == DTYPE_BF16 ? bf16_from_f32(value) : f16_from_f32(value);
        memcpy(at, &bits, sizeof bits);
    }
}

/* Value k of output `row`. */
static inline void *matrix_at(const struct matrix *matrix, size_t row, size_t k)
{
    if (matrix->layout == LAYOUT_ROWS)
        return (char *)matrix->panels + (row * matrix_stride(matrix->n_in) + k) * dtype_size(matrix->dtype);
    char *panel = (char *)matrix->panels + row / PANEL * matrix_panel_bytes(matrix->n_in, matrix->dtype);
    return panel + group_offset(k, row % PANEL, PANEL, matrix->dtype);
}

/* The same as a number. */
static inline float matrix_value(const struct matrix *matrix, size_t row, size_t k)
{
    const void *at = matrix_at(matrix, row, k);
    return matrix->dtype == DTYPE_I8 ? (float)(*(const uint8_t *)at - 128) * matrix_scales(matrix)[row] : value_load(at, matrix->dtype);
}

/* Attention on several sequences by one that knows of one alone. */
void attention_each(const struct attention *a, int threads, void (*attend)(const struct attention *a, int threads));

/* head_dim rounded up to what a row of values takes. */
static inline size_t kv_padded(const struct kv *kv)
{
    return size_round_up((size_t)kv->head_dim, 16);
}

/* Value d of the key, and of the value, at `position` in kv head `head`. */
static inline void *kv_key_at(const struct kv *kv, size_t head, size_t position, size_t d)
{
    if (kv->layout == LAYOUT_ROWS)
        return (char *)kv->keys + ((head * kv->capacity + position) * kv_padded(kv) + d) * dtype_size(kv->dtype);
    size_t block = head * (kv->capacity / KV_BLOCK) + position / KV_BLOCK;
    char *panel = (char *)kv->keys + block * matrix_panel_bytes((size_t)kv->head_dim, kv->dtype);
    return panel + group_offset(d, position % KV_BLOCK, PANEL, kv->dtype);
}

static inline void *kv_value_at(const struct kv *kv, size_t head, size_t position, size_t d)
{
    if (kv->layout == LAYOUT_ROWS)
        return (char *)kv->values + ((head * kv->capacity + position) * kv_padded(kv) + d) * dtype_size(kv->dtype);
    char *values = (char *)kv->values + head * kv->capacity * kv_padded(kv) * dtype_size(kv->dtype);
    return values + group_offset(position, d, kv_padded(kv), kv->dtype);
}

/* What one thread of attention works in; every part 64-byte aligned. */
struct attention_scratch {
    char *q;              /* [ATTENTION_ROWS][head_dim], act or f32 */
    float *out;           /* [ATTENTION_ROWS][padded head_dim], not yet divided by the sum of weights */
    float *scores;        /* [TILE_ROWS][ATTENTION_KEYS]; then weights, act or f32 */
    float *keys, *values; /* [head_dim or padded][ATTENTION_KEYS] each, a block widened */
};

/* Lays out the scratch of thread `worker` in `base`. */
struct attention_scratch attention_scratch_at(void *base, int head_dim, int worker);

#endif
