/* Number formats: the conversions that are too long for the header. */
#include "core/dtype.h"

#include <assert.h>
#include <math.h>

const char *const dtype_computed[] = {"f32", "bf16", "f16", "int8", NULL};

bool dtype_parse(const char *name, enum dtype *out)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_I8};
    for (size_t i = 0; dtype_computed[i]; i++)
        if (!strcmp(dtype_computed[i], name)) {
            *out = dtypes[i];
            return true;
        }
    return false;
}

float f32_from_f16(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = (bits >> 10) & 31u, fraction = bits & 0x3ffu, wide;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 is exact */
        float magnitude = ldexpf((float)fraction, -24);
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31)
        wide = sign | 0x7f800000u | (fraction << 13) | (fraction ? 0x400000u : 0u);
    else
        wide = sign | ((exponent + 112u) << 23) | (fraction << 13);
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t f16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14 steps are of 2^-24: adding 0.5 leaves that many in the low bits, rounded as they should */
        float steps;
        memcpy(&steps, &magnitude, sizeof steps);
        steps += 0.5f;
        memcpy(&magnitude, &steps, sizeof magnitude);
        return (uint16_t)(sign | (magnitude - 0x3f000000u));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((magnitude - 0x38000000u) >> 13));
}

static float load(const void *src, enum dtype from, size_t i)
{
    switch (from) {
    case DTYPE_F32:
        return ((const float *)src)[i];
    case DTYPE_BF16:
        return f32_from_bf16(((const uint16_t *)src)[i]);
    case DTYPE_F16:
        return f32_from_f16(((const uint16_t *)src)[i]);
    case DTYPE_I8:
        break;
    }
    return 0;
}

/* By far the most frequent: a loop without a choice in it. */
static void widen(float *restrict dst, const uint16_t *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = f32_from_bf16(src[i]);
}

void dtype_convert(void *dst, enum dtype to, const void *src, enum dtype from, size_t n)
{
    assert(to == from || (to != DTYPE_I8 && from != DTYPE_I8));
    if (to == from) {
        memcpy(dst, src, n * dtype_size(to));
    } else if (to == DTYPE_F32 && from == DTYPE_BF16) {
        widen(dst, src, n);
    } else if (to == DTYPE_F32) {
        for (size_t i = 0; i < n; i++)
            ((float *)dst)[i] = load(src, from, i);
    } else if (to == DTYPE_BF16) {
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = bf16_from_f32(load(src, from, i));
    } else {
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = f16_from_f32(load(src, from, i));
    }
}
