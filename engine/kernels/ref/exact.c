/* Slots that are defined to the bit, each operation in f32 in a fixed order: pixels, pooling, sums and products of rows. */
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <float.h>
#include <stdlib.h>

/* ---- pixels -------------------------------------------------------------------------------------------------------------- */

void ref_patches(const uint8_t *rgb, int image_side, int patch, int side, void *out, enum dtype dtype)
{
    float pixel[256];
    size_t at = 0;
    for (int u = 0; u < 256; u++)
        pixel[u] = ((float)(u * (1.0 / 255.0)) - 0.5f) / 0.5f;
    for (int row = 0; row < side; row++)
        for (int column = 0; column < side; column++)
            for (int c = 0; c < 3; c++)
                for (int ky = 0; ky < patch; ky++) {
                    const uint8_t *line = rgb + ((size_t)(row * patch + ky) * (size_t)image_side + (size_t)(column * patch)) * 3 + c;
                    for (int kx = 0; kx < patch; kx++, at++)
                        value_store((char *)out + at * dtype_size(dtype), pixel[line[3 * kx]], dtype);
                }
}

/* ---- pooling ------------------------------------------------------------------------------------------------------------- */

static void pool_bilinear(int side, int out_side, int width, const float *in, float *out)
{
    for (int y = 0; y < out_side; y++) {
        struct pool_tap ty = pool_bilinear_tap(side, out_side, y);
        for (int x = 0; x < out_side; x++, out += width) {
            struct pool_tap tx = pool_bilinear_tap(side, out_side, x);
            const float *a = in + (size_t)(ty.i0 * side + tx.i0) * (size_t)width, *b = in + (size_t)(ty.i0 * side + tx.i1) * (size_t)width;
            const float *c = in + (size_t)(ty.i1 * side + tx.i0) * (size_t)width, *d = in + (size_t)(ty.i1 * side + tx.i1) * (size_t)width;
            for (int k = 0; k < width; k++)
                out[k] = ty.w0 * (tx.w0 * a[k] + tx.w1 * b[k]) + ty.w1 * (tx.w0 * c[k] + tx.w1 * d[k]);
        }
    }
}

static void pool_window(enum pool_mode mode, int stride, int side, int out_side, int width, const float *in, float *out)
{
    for (int y = 0; y < out_side; y++)
        for (int x = 0; x < out_side; x++, out += width) {
            for (int k = 0; k < width; k++)
                out[k] = mode == POOL_MAX ? -FLT_MAX : 0;
            for (int i = 0; i < stride * stride; i++) {
                const float *source = in + (size_t)((y * stride + i / stride) * side + x * stride + i % stride) * (size_t)width;
                for (int k = 0; k < width; k++)
                    out[k] = mode == POOL_AVERAGE ? out[k] + source[k] : source[k] > out[k] ? source[k] : out[k];
            }
            for (int k = 0; k < width && mode == POOL_AVERAGE; k++)
                out[k] /= (float)(stride * stride);
        }
}

void ref_pool(enum pool_mode mode, int stride, int side, int width, const float *in, float *out)
{
    int out_side = pool_side(mode, side, stride);
    if (mode == POOL_NONE)
        memcpy(out, in, (size_t)(side * side) * (size_t)width * sizeof *out);
    else if (mode == POOL_BILINEAR)
        pool_bilinear(side, out_side, width, in, out);
    else
        pool_window(mode, stride, side, out_side, width, in, out);
}

/* ---- sums of rows -------------------------------------------------------------------------------------------------------- */

static void add_tap(const struct merge *merge, const struct tap *tap, float *out)
{
    bool fill = tap->src == MERGE_FILL;
    const char *row = fill ? (const char *)merge->fill : (const char *)merge->source + tap->src * merge->D * dtype_size(merge->dtype);
    enum dtype dtype = fill ? DTYPE_F32 : merge->dtype;
    for (size_t d = 0; d < merge->D; d++) {
        out[d] += tap->w * value_load(row + d * dtype_size(dtype), dtype);
        if (merge->round_each)
            out[d] = f32_from_bf16(bf16_from_f32(out[d]));
    }
}

static void copy_tap(const struct merge *merge, const struct tap *tap, float *out)
{
    if (tap->src == MERGE_FILL)
        memcpy(out, merge->fill, merge->D * sizeof *out);
    else
        dtype_convert(out, DTYPE_F32, (const char *)merge->source + tap->src * merge->D * dtype_size(merge->dtype), merge->dtype, merge->D);
}

void ref_merge(const struct merge *merge)
{
    for (size_t i = 0; i < merge->n; i++) {
        float *out = merge->out + i * merge->D;
        const struct tap *first = merge->taps + merge->begin[i], *end = merge->taps + merge->begin[i + 1];
        if (end - first == 1 && first->w == 1 && (!merge->round_each || first->src == MERGE_FILL)) {
            copy_tap(merge, first, out);
            continue;
        }
        memset(out, 0, merge->D * sizeof *out);
        for (const struct tap *tap = first; tap < end; tap++)
            add_tap(merge, tap, out);
    }
}

/* Rows of 16 bits are widened pair by pair. */
static bool dots_of_narrow(const struct dots *dots)
{
    size_t D = dots->D, row_bytes = D * dtype_size(dots->dtype);
    float *a = malloc(2 * D * sizeof *a), *b = a + D;
    for (size_t i = 0; i < dots->n && a; i++) {
        dtype_convert(a, DTYPE_F32, (const char *)dots->rows + dots->pairs[i].a * row_bytes, dots->dtype, D);
        dtype_convert(b, DTYPE_F32, (const char *)dots->rows + dots->pairs[i].b * row_bytes, dots->dtype, D);
        dots->out[i] = dots->rounded ? sim_dot_rounded(a, b, D) : sim_dot(a, b, D);
    }
    free(a);
    return a != NULL;
}

bool ref_dots(const struct dots *dots)
{
    const struct sim_rows rows = {.near = dots->rows, .width = dots->D};
    struct err none;
    if (dots->dtype != DTYPE_F32)
        return dots_of_narrow(dots);
    return !sim_pairs(&rows, dots->pairs, dots->n, dots->rounded, dots->out, &none);
}

void ref_sum_rows(size_t groups, size_t n, size_t D, const float *x, size_t group, size_t ldx, float *y, bool add, float divisor)
{
    for (size_t g = 0; g < groups; g++, y += D) {
        if (!add)
            memset(y, 0, D * sizeof *y);
        for (size_t i = 0; i < n; i++)
            for (size_t d = 0; d < D; d++)
                y[d] += x[g * group + i * ldx + d];
        for (size_t d = 0; d < D; d++)
            y[d] /= divisor;
    }
}

void ref_embed(const struct matrix *matrix, size_t n, const int32_t *ids, float *out)
{
    for (size_t i = 0; i < n; i++)
        matrix_row(matrix, (size_t)ids[i], out + i * matrix->n_in);
}
