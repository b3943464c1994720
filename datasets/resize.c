/* Pictures to the size a vision tower wants (frames, last step): Pillow's bicubic with antialiasing, to the bit.
 *
 * Two separable passes, horizontal first, weights rounded to 22 bits, 8-bit pixels between the passes. Horizontal first is what
 * Pillow does up to 12.1, with which the published numbers were made; later versions turn the order round for tall pictures.
 * Sums are int32 and exact, so neither the order of additions nor the instruction set can change a pixel. */
#include "datasets/video.h"

#include <stdlib.h>
#include <string.h>

enum { WEIGHT_BITS = 22, CHANNELS = 3, LANES = 4, COLUMNS = 256 };

/* One pass of one axis: output i is the sum of weight[i * most + t] * input[first[i] + t] over t < count[i]. */
struct taps {
    int *first, *count;
    int32_t *weight;
    int most;
};

static double bicubic(double x)
{
    const double a = -0.5;
    double t = x < 0 ? -x : x;
    if (t < 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    if (t < 2)
        return (((t - 5) * t + 8) * t - 4) * a;
    return 0;
}

static int32_t fixed_point(double weight)
{
    return (int32_t)(weight * (1 << WEIGHT_BITS) + (weight < 0 ? -0.5 : 0.5));
}

static void taps_free(struct taps *taps)
{
    free(taps->first);
    free(taps->count);
    free(taps->weight);
}

/* The weights of output i: `raw` holds them as doubles until their sum is known. */
static void taps_fill(struct taps *taps, int i, int in, int out, double *raw)
{
    double scale = (double)in / (double)out;
    double stretch = scale > 1 ? scale : 1;
    double support = 2.0 * stretch, inverse = 1.0 / stretch;
    double centre = (i + 0.5) * scale;
    int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);
    lo = lo > 0 ? lo : 0;
    hi = hi < in ? hi : in;
    double sum = 0;
    for (int t = 0; t < hi - lo; t++) {
        raw[t] = bicubic((t + lo - centre + 0.5) * inverse);
        sum += raw[t];
    }
    for (int t = 0; t < hi - lo; t++)
        taps->weight[(size_t)i * (size_t)taps->most + (size_t)t] = fixed_point(sum != 0 ? raw[t] / sum : raw[t]);
    taps->first[i] = lo;
    taps->count[i] = hi - lo;
}

static int taps_make(struct taps *taps, int in, int out, struct err *err)
{
    double scale = (double)in / (double)out;
    *taps = (struct taps){.most = (int)(4.0 * (scale > 1 ? scale : 1)) + 2};
    taps->first = malloc((size_t)out * sizeof *taps->first);
    taps->count = malloc((size_t)out * sizeof *taps->count);
    taps->weight = calloc((size_t)out * (size_t)taps->most, sizeof *taps->weight);
    double *raw = malloc((size_t)taps->most * sizeof *raw);
    int rc = 0;
    if (!taps->first || !taps->count || !taps->weight || !raw)
        rc = err_no_memory(err, "the weights of a picture's resize");
    for (int i = 0; rc == 0 && i < out; i++)
        taps_fill(taps, i, in, out, raw);
    free(raw);
    if (rc < 0)
        taps_free(taps);
    return rc;
}

static uint8_t clamp_sum(int32_t sum)
{
    sum >>= WEIGHT_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > UINT8_MAX ? UINT8_MAX : sum);
}

/* One row. Pixels are widened to four int32 first, so that a tap is one vector multiplication and one addition. */
static void resize_row(const struct taps *taps, const uint8_t *restrict src, int w, uint8_t *restrict dst, int ow, int32_t *restrict wide)
{
    for (int x = 0; x < w; x++)
        for (int c = 0; c < LANES; c++)
            wide[x * LANES + c] = c < CHANNELS ? src[x * CHANNELS + c] : 0;
    for (int x = 0; x < ow; x++) {
        const int32_t *weight = taps->weight + (size_t)x * (size_t)taps->most;
        const int32_t *pixel = wide + (size_t)taps->first[x] * LANES;
        int32_t sum[LANES];
        for (int c = 0; c < LANES; c++)
            sum[c] = 1 << (WEIGHT_BITS - 1);
        for (int t = 0; t < taps->count[x]; t++)
            for (int c = 0; c < LANES; c++)
                sum[c] += weight[t] * pixel[t * LANES + c];
        for (int c = 0; c < CHANNELS; c++)
            dst[x * CHANNELS + c] = clamp_sum(sum[c]);
    }
}

/* Output row y from the rows of `src`, a strip of columns at a time so that the sums stay in the first cache. */
static void resize_column_strip(const struct taps *taps, int y, const uint8_t *restrict src, size_t stride, size_t n, uint8_t *restrict dst)
{
    const int32_t *weight = taps->weight + (size_t)y * (size_t)taps->most;
    const uint8_t *row = src + (size_t)taps->first[y] * stride;
    int32_t sum[COLUMNS];
    for (size_t i = 0; i < n; i++)
        sum[i] = 1 << (WEIGHT_BITS - 1);
    for (int t = 0; t < taps->count[y]; t++, row += stride) {
        int32_t k = weight[t];
        for (size_t i = 0; i < n; i++)
            sum[i] += k * row[i];
    }
    for (size_t i = 0; i < n; i++)
        dst[i] = clamp_sum(sum[i]);
}

static int resize_rows(const uint8_t *src, int w, int h, uint8_t *dst, int ow, struct err *err)
{
    struct taps taps;
    int rc = taps_make(&taps, w, ow, err);
    if (rc < 0)
        return rc;
    int32_t *wide = malloc((size_t)w * LANES * sizeof *wide);
    if (!wide)
        rc = err_no_memory(err, "a row of a picture's resize");
    for (int y = 0; rc == 0 && y < h; y++)
        resize_row(&taps, src + (size_t)y * (size_t)w * CHANNELS, w, dst + (size_t)y * (size_t)ow * CHANNELS, ow, wide);
    free(wide);
    taps_free(&taps);
    return rc;
}

static int resize_columns(const uint8_t *src, int w, int h, uint8_t *dst, int oh, struct err *err)
{
    struct taps taps;
    int rc = taps_make(&taps, h, oh, err);
    if (rc < 0)
        return rc;
    size_t stride = (size_t)w * CHANNELS;
    for (int y = 0; y < oh; y++)
        for (size_t x = 0; x < stride; x += COLUMNS)
            resize_column_strip(&taps, y, src + x, stride, stride - x < COLUMNS ? stride - x : COLUMNS, dst + (size_t)y * stride + x);
    taps_free(&taps);
    return 0;
}

int resize_bicubic(const uint8_t *src, int w, int h, uint8_t *dst, int ow, int oh, struct err *err)
{
    if (w == ow && h == oh) {
        memcpy(dst, src, (size_t)w * (size_t)h * CHANNELS);
        return 0;
    }
    if (h == oh)
        return resize_rows(src, w, h, dst, ow, err);
    if (w == ow)
        return resize_columns(src, w, h, dst, oh, err);
    uint8_t *between = malloc((size_t)ow * (size_t)h * CHANNELS);
    if (!between)
        return err_no_memory(err, "a picture between the two passes of its resize");
    int rc = resize_rows(src, w, h, between, ow, err);
    if (rc == 0)
        rc = resize_columns(between, ow, h, dst, oh, err);
    free(between);
    return rc;
}
