/* Row-wise slots, defined, and the reference table itself. */
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <math.h>

static void layernorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, const float *b, float eps, void *y, size_t ldy,
                      enum dtype out, int threads)
{
    (void)threads;
    for (size_t i = 0; i < n; i++, x += ldx) {
        double mean = 0, variance = 0;
        for (size_t d = 0; d < D; d++)
            mean += x[d];
        mean /= (double)D;
        for (size_t d = 0; d < D; d++)
            variance += (x[d] - mean) * (x[d] - mean);
        variance /= (double)D;
        for (size_t d = 0; d < D; d++)
            value_store((char *)y + (i * ldy + d) * dtype_size(out), (float)((x[d] - mean) / sqrt(variance + eps) * w[d] + b[d]), out);
    }
}

static float rounded(double value, enum dtype dtype)
{
    float stored;
    value_store(&stored, (float)value, dtype);
    return value_load(&stored, dtype);
}

static void rmsnorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, float eps, void *y, size_t ldy, enum dtype out,
                    int threads)
{
    (void)threads;
    for (size_t i = 0; i < n; i++, x += ldx) {
        double square = 0;
        for (size_t d = 0; d < D; d++)
            square += (double)x[d] * x[d];
        double scale = 1 / sqrt(square / (double)D + eps);
        for (size_t d = 0; d < D; d++)
            value_store((char *)y + (i * ldy + d) * dtype_size(out), rounded(x[d] * scale, out) * w[d], out);
    }
}

static void rope(size_t n, int heads, int head_dim, float *x, size_t ld, const float *cos, const float *sin, size_t first, int threads)
{
    (void)threads;
    size_t half = (size_t)head_dim / 2;
    for (size_t i = 0; i < n; i++)
        for (size_t head = 0; head < (size_t)heads; head++) {
            float *low = x + i * ld + head * (size_t)head_dim, *high = low + half;
            for (size_t d = 0; d < half; d++) {
                double c = cos[(first + i) * half + d], s = sin[(first + i) * half + d], a = low[d], b = high[d];
                low[d] = (float)(a * c - b * s);
                high[d] = (float)(b * c + a * s);
            }
        }
}

static void quantise(size_t n, size_t D, const void *x, size_t ldx, enum dtype act, int8_t *y, size_t ldy, struct row_scale *scales,
                     int threads)
{
    (void)threads;
    for (size_t i = 0; i < n; i++, y += ldy) {
        const char *row = (const char *)x + i * ldx * dtype_size(act);
        float largest = 0;
        for (size_t d = 0; d < D; d++)
            largest = fmaxf(largest, fabsf(value_load(row + d * dtype_size(act), act)));
        float factor = largest > 0 ? 127 / largest : 0;
        scales[i] = (struct row_scale){largest / 127, 0};
        memset(y, 0, ldy);
        for (size_t d = 0; d < D; d++) {
            y[d] = (int8_t)lrintf(value_load(row + d * dtype_size(act), act) * factor);
            scales[i].sum += y[d];
        }
    }
}

static void convert(size_t n, size_t D, const float *x, size_t ldx, void *y, size_t ldy, enum dtype out, int threads)
{
    (void)threads;
    for (size_t i = 0; i < n; i++)
        dtype_convert((char *)y + i * ldy * dtype_size(out), out, x + i * ldx, DTYPE_F32, D);
}

const struct kernels kernels_ref = {
    .name = "ref",
    HOST_SLOTS,
    .gemm = ref_gemm,
    .attention = ref_attention,
    .attention_weights = ref_attention_weights,
    .kv_write = ref_kv_write,
    .layernorm = layernorm,
    .rmsnorm = rmsnorm,
    .rope = rope,
    .quantise = quantise,
    .convert = convert,
};
