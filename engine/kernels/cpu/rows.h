/* Row-wise slots. Each row is one thread's; sums run over vectors in order, then over lanes. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_ROWS_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_ROWS_H

#include <math.h>

enum { ROWS_UNIT = 16, CONVERT_UNIT = 16384 };

/* What layernorm and rmsnorm have in common. */
struct norm_call {
    size_t n, D;
    const float *x;
    size_t ldx;
    const float *w, *b;
    float eps;
    char *y;
    size_t ldy;
    enum dtype out;
};

static size_t rows_end(size_t unit, size_t n)
{
    return size_min((unit + 1) * ROWS_UNIT, n);
}

static size_t rows_units(size_t n)
{
    return (n + ROWS_UNIT - 1) / ROWS_UNIT;
}

/* Sum of (x - centre)^2, over D values; lanes past the end are left out. */
static float row_squares(const float *x, size_t D, float centre)
{
    vec sum = vec_zero(), middle = vec_set(centre);
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        vec away = vec_sub(vec_load(x + d), middle);
        sum = vec_fma(away, away, sum);
    }
    float rest = 0;
    for (; d < D; d++)
        rest += (x[d] - centre) * (x[d] - centre);
    return vec_sum(sum) + rest;
}

static float row_sum(const float *x, size_t D)
{
    vec sum = vec_zero();
    for (size_t d = 0; d < D; d += LANES)
        sum = vec_add(sum, f32_load(x + d, size_min(D - d, LANES)));
    return vec_sum(sum);
}

static void layernorm_row(const struct norm_call *c, size_t row)
{
    const float *x = c->x + row * c->ldx;
    char *y = c->y + row * c->ldy * dtype_size(c->out);
    float mean = row_sum(x, c->D) / (float)c->D;
    vec middle = vec_set(mean), scale = vec_set(1 / sqrtf(row_squares(x, c->D, mean) / (float)c->D + c->eps));
    for (size_t d = 0; d < c->D; d += LANES) {
        size_t n = size_min(c->D - d, LANES);
        vec v = vec_mul(vec_sub(f32_load(x + d, n), middle), scale);
        act_store(y + d * dtype_size(c->out), c->out, vec_fma(v, f32_load(c->w + d, n), f32_load(c->b + d, n)), n);
    }
}

static void layernorm_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct norm_call *c = call;
    for (size_t row = unit * ROWS_UNIT; row < rows_end(unit, c->n); row++)
        layernorm_row(c, row);
}

static void layernorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, const float *b, float eps, void *y, size_t ldy,
                      enum dtype out, int threads)
{
    struct norm_call c = {n, D, x, ldx, w, b, eps, y, ldy, out};
    kernels_deal(rows_units(n), threads, layernorm_unit, &c);
}

static void rmsnorm_row(const struct norm_call *c, size_t row)
{
    const float *x = c->x + row * c->ldx;
    char *y = c->y + row * c->ldy * dtype_size(c->out);
    vec scale = vec_set(1 / sqrtf(row_squares(x, c->D, 0) / (float)c->D + c->eps));
    for (size_t d = 0; d < c->D; d += LANES) {
        size_t n = size_min(c->D - d, LANES);
        vec v = vec_mul(f32_load(x + d, n), scale);
        if (c->out == DTYPE_BF16)
            v = vec_round_bf16(v);
        act_store(y + d * dtype_size(c->out), c->out, vec_mul(v, f32_load(c->w + d, n)), n);
    }
}

static void rmsnorm_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct norm_call *c = call;
    for (size_t row = unit * ROWS_UNIT; row < rows_end(unit, c->n); row++)
        rmsnorm_row(c, row);
}

static void rmsnorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, float eps, void *y, size_t ldy, enum dtype out,
                    int threads)
{
    struct norm_call c = {n, D, x, ldx, w, NULL, eps, y, ldy, out};
    kernels_deal(rows_units(n), threads, rmsnorm_unit, &c);
}

struct rope_call {
    size_t n, heads, half;
    float *x;
    size_t ld;
    const float *cos, *sin; /* of row 0 */
};

/* Products are rounded before they are added: no fused step, so all tables agree with the plain formula in f32. */
static void rope_head(float *low, float *high, const float *cosine, const float *sine, size_t half)
{
    for (size_t d = 0; d < half; d += LANES) {
        size_t n = size_min(half - d, LANES);
        vec a = f32_load(low + d, n), b = f32_load(high + d, n), c = f32_load(cosine + d, n), s = f32_load(sine + d, n);
        f32_store(low + d, vec_sub(vec_mul(a, c), vec_mul(b, s)), n);
        f32_store(high + d, vec_add(vec_mul(b, c), vec_mul(a, s)), n);
    }
}

static void rope_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct rope_call *c = call;
    for (size_t row = unit * ROWS_UNIT; row < rows_end(unit, c->n); row++)
        for (size_t head = 0; head < c->heads; head++) {
            float *low = c->x + row * c->ld + head * 2 * c->half;
            rope_head(low, low + c->half, c->cos + row * c->half, c->sin + row * c->half, c->half);
        }
}

static void rope(size_t n, int heads, int head_dim, float *x, size_t ld, const float *cos, const float *sin, size_t first, int threads)
{
    size_t half = (size_t)head_dim / 2;
    struct rope_call c = {n, (size_t)heads, half, x, ld, cos + first * half, sin + first * half};
    kernels_deal(rows_units(n), threads, rope_unit, &c);
}

struct quantise_call {
    size_t n, D;
    const char *x;
    size_t ldx;
    enum dtype act;
    int8_t *y;
    size_t ldy;
    struct row_scale *scales;
};

static void quantise_row(const struct quantise_call *c, size_t row)
{
    const char *x = c->x + row * c->ldx * dtype_size(c->act);
    int8_t *y = c->y + row * c->ldy;
    vec largest = vec_zero(), sum = vec_zero();
    for (size_t d = 0; d < c->D; d += LANES)
        largest = vec_max(largest, vec_abs(act_load(x + d * dtype_size(c->act), c->act, size_min(c->D - d, LANES))));
    float most = vec_most(largest);
    vec factor = vec_set(most > 0 ? 127 / most : 0);
    for (size_t d = 0; d < c->D; d += LANES) {
        size_t n = size_min(c->D - d, LANES);
        vec whole = vec_round(vec_mul(act_load(x + d * dtype_size(c->act), c->act, n), factor));
        vec_store_i8(y + d, whole, size_min(c->ldy - d, LANES));
        sum = vec_add(sum, whole); /* whole numbers below 2^24: exact */
    }
    c->scales[row] = (struct row_scale){most / 127, (int32_t)vec_sum(sum)};
}

static void quantise_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct quantise_call *c = call;
    for (size_t row = unit * ROWS_UNIT; row < rows_end(unit, c->n); row++)
        quantise_row(c, row);
}

static void quantise(size_t n, size_t D, const void *x, size_t ldx, enum dtype act, int8_t *y, size_t ldy, struct row_scale *scales,
                     int threads)
{
    struct quantise_call c = {n, D, x, ldx, act, y, ldy, scales};
    kernels_deal(rows_units(n), threads, quantise_unit, &c);
}

struct convert_call {
    size_t n, D;
    const float *x;
    size_t ldx;
    char *y;
    size_t ldy;
    enum dtype out;
    size_t pieces; /* of a row */
};

/* A piece of a row. */
static void convert_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct convert_call *c = call;
    size_t row = unit / c->pieces, from = unit % c->pieces * CONVERT_UNIT, end = size_min(from + CONVERT_UNIT, c->D);
    for (size_t i = from; i < end; i += LANES) {
        size_t n = size_min(end - i, LANES);
        act_store(c->y + (row * c->ldy + i) * dtype_size(c->out), c->out, f32_load(c->x + row * c->ldx + i, n), n);
    }
}

static void convert(size_t n, size_t D, const float *x, size_t ldx, void *y, size_t ldy, enum dtype out, int threads)
{
    struct convert_call c = {n, D, x, ldx, y, ldy, out, (D + CONVERT_UNIT - 1) / CONVERT_UNIT};
    kernels_deal(n * c.pieces, threads, convert_unit, &c);
}

#endif
