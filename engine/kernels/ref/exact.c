/* Slots that are defined to the bit, each operation in f32 in a fixed order: pixels, pooling, sums and products of rows, the choice of a text id. */
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <float.h>
#include <math.h>
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

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

/* Values first..first+n-1 of a row: where they are, or, of 16 bits, widened into `room`. */
static const float *read_part(const struct row_set *set, size_t row, size_t D, size_t first, size_t n, float *room)
{
    if (set->made && row >= set->n)
        return set->made + (row - set->n) * D + first;
    const char *at = (const char *)set->rows + (row * D + first) * dtype_size(set->dtype);
    if (set->dtype == DTYPE_F32)
        return (const float *)(const void *)at;
    dtype_convert(room, DTYPE_F32, at, set->dtype, n);
    return room;
}

/* ---- sums of rows -------------------------------------------------------------------------------------------------------- */

static void add_values(const struct merge *merge, float w, const float *values, size_t n, float *out)
{
    if (merge->round_each)
        for (size_t d = 0; d < n; d++)
            out[d] = f32_from_bf16(bf16_from_f32(out[d] + (merge->divide ? values[d] / w : w * values[d])));
    else if (merge->divide)
        for (size_t d = 0; d < n; d++)
            out[d] += values[d] / w;
    else
        for (size_t d = 0; d < n; d++)
            out[d] += w * values[d];
}

static void add_tap(const struct merge *merge, const struct tap *tap, bool copy, float *out)
{
    enum { PART = 256 };
    float room[PART];
    for (size_t first = 0; first < merge->D; first += PART) {
        size_t n = size_min(merge->D - first, PART);
        const float *values = tap->src == MERGE_FILL ? merge->fill + first : read_part(&merge->source, tap->src, merge->D, first, n, room);
        if (copy)
            memcpy(out + first, values, n * sizeof *out);
        else
            add_values(merge, tap->w, values, n, out + first);
    }
}

void ref_merge(const struct merge *merge)
{
    for (size_t i = 0; i < merge->n; i++) {
        float *out = merge->out + i * merge->D;
        const struct tap *first = merge->taps + merge->begin[i], *end = merge->taps + merge->begin[i + 1];
        bool copy = end - first == 1 && first->w == 1 && (!merge->round_each || first->src == MERGE_FILL);
        memset(out, 0, merge->D * sizeof *out);
        for (const struct tap *tap = first; tap < end; tap++)
            add_tap(merge, tap, copy, out);
    }
}

bool ref_wide_sums(const struct wide_sums *sums)
{
    size_t D = sums->D;
    float *room = malloc(D * sizeof *room);
    double *out = sums->out;
    memset(out, 0, sums->n * D * sizeof *out);
    for (size_t k = 0; k < sums->n && room; k++, out += D)
        for (uint32_t i = sums->begin[k]; i < sums->begin[k + 1]; i++) {
            const float *row = read_part(&sums->rows, sums->src[i], D, 0, D, room);
            for (size_t d = 0; d < D; d++)
                out[d] += (double)row[d] * sums->scale[i];
        }
    free(room);
    return room != NULL;
}

/* ---- products of rows ---------------------------------------------------------------------------------------------------- */

bool ref_dots(const struct dots *dots)
{
    size_t D = dots->D;
    float *room = malloc(2 * D * sizeof *room);
    for (size_t i = 0; i < dots->n && room; i++) {
        const float *a = read_part(&dots->rows, dots->pairs[i].a, D, 0, D, room), *b = a; /* a row's length is half of what is asked for */
        if (dots->pairs[i].b != dots->pairs[i].a)
            b = read_part(&dots->rows, dots->pairs[i].b, D, 0, D, room + D);
        dots->out[i] = dots->rounded ? sim_dot_rounded(a, b, D) : sim_dot(a, b, D);
    }
    free(room);
    return room != NULL;
}

enum { TILE = 32 };

static size_t read_tile(const struct block *block, const uint32_t *list, size_t n, size_t first, float *room, const float **row)
{
    size_t rows = size_min(n - first, TILE);
    for (size_t i = 0; i < rows; i++)
        row[i] = read_part(&block->rows, list[first + i], block->D, 0, block->D, room + i * block->D);
    return rows;
}

/* Tiles, so that rows of 16 bits are not widened for each product; of a list with itself, half of them. */
bool ref_block(const struct block *block)
{
    size_t D = block->D, n_b = block->n_b;
    bool square = block->a == block->b;
    float *room = malloc(2 * TILE * D * sizeof *room);
    const float *a[TILE], *b[TILE];
    for (size_t first_a = 0; first_a < block->n_a && room; first_a += TILE) {
        size_t rows_a = read_tile(block, block->a, block->n_a, first_a, room, a);
        for (size_t first_b = square ? first_a : 0; first_b < n_b; first_b += TILE) {
            size_t rows_b = read_tile(block, block->b, n_b, first_b, room + TILE * D, b);
            for (size_t i = 0; i < rows_a; i++)
                for (size_t j = square && first_a == first_b ? i : 0; j < rows_b; j++) {
                    float value = block->term == SIM_PRODUCT ? sim_dot(a[i], b[j], D) : sim_distance2(a[i], b[j], D);
                    block->out[(first_a + i) * n_b + first_b + j] = value;
                    if (square)
                        block->out[(first_b + j) * n_b + first_a + i] = value;
                }
        }
    }
    free(room);
    return room != NULL;
}

bool ref_choose(const struct picks *picks)
{
    const struct sim_rows rows = {.width = picks->D, .made = (float *)(uintptr_t)picks->rows};
    const struct sim_choice wanted = {.n = picks->n, .k = picks->k, .weight = picks->weight};
    struct arena arena = {0};
    struct err none;
    int rc = sim_choose(&rows, &wanted, picks->out, &arena, &none);
    arena_free(&arena);
    return !rc;
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

static void penalise(const struct candidates *candidates)
{
    for (size_t i = 0; i < candidates->n_ids; i++) {
        float *logit = candidates->logits + candidates->ids[i];
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = candidates->ids[j] == candidates->ids[i];
        if (!seen)
            *logit = *logit < 0 ? *logit * candidates->penalty : *logit / candidates->penalty;
    }
}

struct next_id ref_next(const struct candidates *candidates)
{
    const float *logits = candidates->logits;
    penalise(candidates);
    struct next_id next = {0, logits[0], -INFINITY};
    for (size_t i = 1; i < candidates->n; i++) {
        if (logits[i] > next.most)
            next = (struct next_id){(int32_t)i, logits[i], next.most};
        else if (logits[i] > next.second)
            next.second = logits[i];
    }
    return next;
}
