/* Number formats of weights, features and caches, and the exact conversions between them. */
#ifndef TOKSWEEP_CORE_DTYPE_H
#define TOKSWEEP_CORE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* DTYPE_I8: whole numbers -127..127 times a scale that is kept apart. Weights of linear layers may be; what flows between them is not. */
enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_I8 };

static inline size_t dtype_size(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? 4 : dtype == DTYPE_I8 ? 1 : 2;
}

static inline const char *dtype_name(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? "f32" : dtype == DTYPE_BF16 ? "bf16" : dtype == DTYPE_F16 ? "f16" : "int8";
}

/* What activations, features and caches are in where a model computes in `dtype`. */
static inline enum dtype dtype_act(enum dtype dtype)
{
    return dtype == DTYPE_I8 ? DTYPE_BF16 : dtype;
}

/* The names that a model may compute in, NULL-terminated; and the dtype of one of them: false when it is none. */
extern const char *const dtype_computed[];
bool dtype_parse(const char *name, enum dtype *out);

static inline float f32_from_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* Round to nearest, ties to even; NaN stays a quiet NaN; infinity stays. */
static inline uint16_t bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Exact, subnormals included. */
float f32_from_f16(uint16_t bits);

/* Round to nearest, ties to even; NaN stays a quiet NaN; what is too large becomes infinity. */
uint16_t f16_from_f32(float value);

/* dst[i] = src[i] converted; the buffers do not overlap. Not to or from int8, which needs scales. */
void dtype_convert(void *dst, enum dtype to, const void *src, enum dtype from, size_t n);

#endif
