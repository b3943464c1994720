/* Number formats: the conversions that are too long for the header. */
#include "core/dtype.h"

#include <assert.h>
#include <math.h>

const char *const dtype_computed[] = {"f32", "bf16", "int8", NULL};

bool dtype_parse(const char *name, enum dtype *out)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_I8};
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

void dtype_convert(void *dst, enum dtype to, const void *src, enum dtype from, size_t n)
{
    assert(to == from || (to != DTYPE_F16 && to != DTYPE_I8 && from != DTYPE_I8));
    if (to == from) {
        memcpy(dst, src, n * dtype_size(to));
    } else if (to == DTYPE_F32) {
        for (size_t i = 0; i < n; i++)
            ((float *)dst)[i] = load(src, from, i);
    } else {
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = bf16_from_f32(load(src, from, i));
    }
}
