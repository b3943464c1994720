/* Packing of weights, the sizes of everything packed, and the host's memory. Plain C for every machine. */
#include "engine/kernels/layout.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

size_t matrix_panel_bytes(size_t n_in, enum dtype dtype)
{
    return groups_for(n_in, dtype) * PANEL * GROUP_BYTES;
}

size_t matrix_stride(size_t n_in)
{
    return size_round_up(n_in, 8);
}

size_t matrix_bytes(size_t n_out, size_t n_in, enum dtype dtype, enum layout layout)
{
    size_t columns = size_round_up(n_out, PANEL);
    if (layout == LAYOUT_ROWS)
        return n_out * matrix_stride(n_in) * dtype_size(dtype);
    return columns / PANEL * matrix_panel_bytes(n_in, dtype) + (dtype == DTYPE_I8 ? columns * sizeof(float) : 0);
}

const float *matrix_scales(const struct matrix *matrix)
{
    size_t panels = size_round_up(matrix->n_out, PANEL) / PANEL;
    return (const float *)(void *)((char *)matrix->panels + panels * matrix_panel_bytes(matrix->n_in, matrix->dtype));
}

/* A strip of source rows is converted and interleaved piece by piece, so that whole cache lines are written at a time. */
enum { STRIP_ROWS = 16, STRIP_GROUPS = 64 };

static void strip_write(char *to, const uint32_t strip[STRIP_ROWS][STRIP_GROUPS], size_t rows, size_t groups)
{
    for (size_t g = 0; g < groups; g++, to += PANEL * GROUP_BYTES)
        for (size_t r = 0; r < rows; r++)
            memcpy(to + r * GROUP_BYTES, &strip[r][g], GROUP_BYTES);
}

/* The largest size of n values. */
static float row_largest(const char *row, enum dtype dtype, size_t n)
{
    float values[STRIP_GROUPS], largest = 0;
    for (size_t k = 0; k < n; k += STRIP_GROUPS) {
        size_t some = size_min(n - k, STRIP_GROUPS);
        dtype_convert(values, DTYPE_F32, row + k * dtype_size(dtype), dtype, some);
        for (size_t i = 0; i < some; i++)
            largest = fmaxf(largest, fabsf(values[i]));
    }
    return largest;
}

/* n weights as bytes of an int8 matrix. */
static void bytes_from(uint8_t *to, const char *from, enum dtype dtype, size_t n, float scale)
{
    float values[4 * STRIP_GROUPS];
    dtype_convert(values, DTYPE_F32, from, dtype, n);
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(128 + (scale > 0 ? lrintf(fminf(fmaxf(values[i] / scale, -127), 127)) : 0));
}

/* Packs rows that lie in one panel, at most STRIP_ROWS of them. */
static void strip_pack(struct matrix *matrix, size_t first, size_t rows, const char *from, enum dtype dtype)
{
    size_t values = group_values(matrix->dtype), row_bytes = matrix->n_in * dtype_size(dtype);
    float *scales = matrix->dtype == DTYPE_I8 ? (float *)(uintptr_t)matrix_scales(matrix) + first : NULL;
    for (size_t r = 0; r < rows && scales; r++)
        scales[r] = row_largest(from + r * row_bytes, dtype, matrix->n_in) / 127;
    for (size_t k = 0; k < matrix->n_in; k += STRIP_GROUPS * values) {
        uint32_t strip[STRIP_ROWS][STRIP_GROUPS];
        size_t n = size_min(matrix->n_in - k, STRIP_GROUPS * values), groups = groups_for(n, matrix->dtype);
        for (size_t r = 0; r < rows; r++) {
            strip[r][groups - 1] = 0; /* the pad of an odd end */
            const char *piece = from + r * row_bytes + k * dtype_size(dtype);
            if (scales)
                bytes_from((uint8_t *)strip[r], piece, dtype, n, scales[r]);
            else
                dtype_convert(strip[r], matrix->dtype, piece, dtype, n);
        }
        strip_write(matrix_at(matrix, first, k), strip, rows, groups);
    }
}

void matrix_pack_rows(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from)
{
    assert(first + n <= matrix->n_out);
    const char *source = rows;
    for (size_t i = 0; matrix->layout == LAYOUT_ROWS && i < n; i++)
        dtype_convert(matrix_at(matrix, first + i, 0), matrix->dtype, source + i * matrix->n_in * dtype_size(from), from, matrix->n_in);
    if (matrix->layout == LAYOUT_ROWS)
        return;
    for (size_t end = first + n; first < end;) {
        size_t strip = size_min(end - first, STRIP_ROWS - first % STRIP_ROWS);
        strip_pack(matrix, first, strip, source, from);
        source += strip * matrix->n_in * dtype_size(from);
        first += strip;
    }
}

void matrix_row(const struct matrix *matrix, size_t row, float *out)
{
    for (size_t k = 0; k < matrix->n_in; k++)
        out[k] = matrix_value(matrix, row, k);
}

size_t kv_key_bytes(const struct kv *kv)
{
    size_t width = kv->layout == LAYOUT_ROWS ? kv_padded(kv) : (size_t)kv->head_dim;
    return kv_sequences(kv) * (size_t)kv->kv_heads * matrix_bytes(kv->capacity, width, kv->dtype, kv->layout);
}

size_t kv_value_bytes(const struct kv *kv)
{
    return kv_sequences(kv) * (size_t)kv->kv_heads * kv->capacity * kv_padded(kv) * dtype_size(kv->dtype);
}

struct kv kv_sequence(const struct kv *kv, size_t i)
{
    struct kv one = *kv;
    one.sequences = 1;
    one.keys = (char *)kv->keys + i * kv_key_bytes(&one);
    one.values = (char *)kv->values + i * kv_value_bytes(&one);
    return one;
}

void attention_each(const struct attention *a, int threads, void (*attend)(const struct attention *a, int threads))
{
    size_t size = dtype_size(a->kv->dtype);
    for (size_t i = 0; i < kv_sequences(a->kv); i++) {
        const struct kv kv = kv_sequence(a->kv, i);
        struct attention one = *a;
        one.kv = &kv;
        one.q = (const char *)a->q + i * a->n * a->ldq * size;
        one.out = (char *)a->out + i * a->n * a->ldo * size;
        attend(&one, threads);
    }
}

enum { SCORES_BYTES = TILE_ROWS * ATTENTION_KEYS * sizeof(float) };

/* Bytes of `rows` rows of a head, padded, in f32. */
static size_t scratch_rows_bytes(size_t rows, int head_dim)
{
    return rows * size_round_up((size_t)head_dim, 16) * sizeof(float);
}

static size_t scratch_bytes(int head_dim)
{
    return 2 * scratch_rows_bytes(ATTENTION_ROWS, head_dim) + SCORES_BYTES + 2 * scratch_rows_bytes(ATTENTION_KEYS, head_dim);
}

/* What the spans of a split call come to: maximum, sum and values of each row. */
static size_t span_bytes(const struct kv *kv)
{
    size_t spans = (kv->capacity + ATTENTION_SPAN - 1) / ATTENTION_SPAN;
    return spans < 2 ? 0 : spans * ATTENTION_SPLIT * (kv_padded(kv) + 2) * sizeof(float);
}

size_t attention_scratch_bytes(const struct kernels *k, const struct kv *kv, int threads)
{
    return k->memory->host ? (size_t)threads * scratch_bytes(kv->head_dim) : span_bytes(kv);
}

struct attention_scratch attention_scratch_at(void *base, int head_dim, int worker)
{
    char *q = (char *)base + (size_t)worker * scratch_bytes(head_dim), *out = q + scratch_rows_bytes(ATTENTION_ROWS, head_dim);
    char *scores = out + scratch_rows_bytes(ATTENTION_ROWS, head_dim), *keys = scores + SCORES_BYTES;
    char *values = keys + scratch_rows_bytes(ATTENTION_KEYS, head_dim);
    return (struct attention_scratch){q, (float *)(void *)out, (float *)(void *)scores, (float *)(void *)keys, (float *)(void *)values};
}

size_t gemm_scratch_bytes(const struct kernels *k, size_t n, size_t n_out)
{
    return k->memory->host ? 0 : n * n_out * sizeof(float);
}

/* ---- the host's memory --------------------------------------------------------------------------------------------------- */

static void *host_take(size_t bytes)
{
    size_t whole = bytes ? size_round_up(bytes, 64) : 64;
    void *memory = aligned_alloc(64, whole);
    return memory ? memset(memory, 0, whole) : NULL;
}

static void host_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

static void host_get_rows(void *to, const void *from, size_t from_stride, size_t bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy((char *)to + i * bytes, (const char *)from + i * from_stride, bytes);
}

static int host_settle(struct err *err)
{
    (void)err;
    return 0;
}

static size_t host_left(void)
{
    return 0;
}

const struct memory memory_host = {
    .host = true,
    .take = host_take,
    .release = free,
    .put = host_copy,
    .get = host_copy,
    .move = host_copy,
    .get_rows = host_get_rows,
    .settle = host_settle,
    .left = host_left,
};

bool host_pack(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from)
{
    matrix_pack_rows(matrix, first, n, rows, from);
    return true;
}
