/* The vector layer over AVX-512 (F, BW, DQ, VL; with VEC_BF16 also BF16): what the rest of cpu/ is written in. See vec_avx2.h for the
 * meaning of each word; `part` forms touch the first n < LANES values only. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_VEC_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_VEC_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec;

enum {
    LANES = 16,
    STRIP = 4,      /* vectors across a register tile: 6 x 4 sums, 4 weights and 1 input fill the 32 registers */
    STRIP_FEW = 5,  /* the same for a tile of fewer rows */
    STRIP_ONE = 5,  /* for a tile of one row */
    STRIP_MOST = 5, /* for any */
};

/* The shapes (rows, vectors) of register tile that strips of 16 columns need. */
#define TILE_SHAPES(X) \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) \
    X(3, 1) X(3, 2) X(3, 3) X(3, 4) X(3, 5) X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(4, 5) \
    X(5, 1) X(5, 2) X(5, 3) X(5, 4) X(5, 5) X(6, 1) X(6, 2) X(6, 3) X(6, 4)

static inline vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

static inline vec vec_set(float value)
{
    return _mm512_set1_ps(value);
}

static inline vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_store(float *to, vec v)
{
    _mm512_storeu_ps(to, v);
}

static inline __mmask16 vec_first(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

static inline vec vec_load_part(const float *from, size_t n)
{
    return _mm512_maskz_loadu_ps(vec_first(n), from);
}

static inline void vec_store_part(float *to, vec v, size_t n)
{
    _mm512_mask_storeu_ps(to, vec_first(n), v);
}

static inline vec vec_select_first(vec a, vec b, size_t n)
{
    return _mm512_mask_mov_ps(b, vec_first(n), a);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* sum += a * b, in place: assembler, because gcc 12 renames the sums of a register tile from step to step, and then spills them. */
static inline void vec_accumulate(vec *sum, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
}

static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static inline vec vec_abs(vec v)
{
    return _mm512_abs_ps(v);
}

static inline vec vec_flush(vec v)
{
    __mmask16 normal = _mm512_cmp_ps_mask(vec_abs(v), vec_set(0x1p-126f), _CMP_GE_OQ);
    return _mm512_maskz_mov_ps(normal, v);
}

static inline vec vec_round(vec v)
{
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec vec_scale(vec v, vec exponent)
{
    return _mm512_scalef_ps(v, exponent);
}

static inline float vec_first_lane(vec v)
{
    return _mm512_cvtss_f32(v);
}

static inline float vec_sum(vec v)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}

static inline float vec_most(vec v)
{
    __m256 half = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
}

#ifdef VEC_BF16
static inline __m256i vec_to_bf16(vec v)
{
    return (__m256i)_mm512_cvtneps_pbh(v);
}
#else
static inline __m256i vec_to_bf16(vec v)
{
    __m512i bits = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i even = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    even = _mm512_mask_or_epi32(even, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(even, 16));
}
#endif

static inline vec vec_load_bf16(const uint16_t *from)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16));
}

static inline void vec_store_bf16(uint16_t *to, vec v)
{
    _mm256_storeu_si256((__m256i *)to, vec_to_bf16(v));
}

static inline void vec_store_bf16_part(uint16_t *to, vec v, size_t n)
{
    _mm256_mask_storeu_epi16(to, vec_first(n), vec_to_bf16(v));
}

static inline vec vec_round_bf16(vec v)
{
    __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i even = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    return _mm512_castsi512_ps(_mm512_and_si512(even, _mm512_set1_epi32((int)0xffff0000u)));
}

static inline void vec_store_i8(int8_t *to, vec v, size_t n)
{
    _mm_mask_storeu_epi8(to, vec_first(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

static inline vec vec_from_i32(const void *from, int32_t less)
{
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(from), _mm512_set1_epi32(less)));
}

/* Groups: LANES times 32 bits, one f32 or a pair of bf16 each. */
typedef __m512i group_vec;

static inline group_vec groups_load(const void *from)
{
    return _mm512_loadu_si512(from);
}

static inline group_vec groups_set(uint32_t group)
{
    return _mm512_set1_epi32((int)group);
}

static inline vec groups_f32(group_vec g)
{
    return _mm512_castsi512_ps(g);
}

static inline vec groups_low(group_vec g)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(g, 16));
}

static inline vec groups_high(group_vec g)
{
    return _mm512_castsi512_ps(_mm512_and_si512(g, _mm512_set1_epi32((int)0xffff0000u)));
}

#ifdef VEC_BF16
static inline vec groups_dot(group_vec a, group_vec b, vec sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#endif

static inline group_vec groups_zero(void)
{
    return _mm512_setzero_si512();
}

static inline void groups_store(void *to, group_vec g)
{
    _mm512_storeu_si512(to, g);
}

static inline group_vec groups_dot_i8(group_vec sum, group_vec w, group_vec x)
{
    __m512i even = _mm512_and_si512(w, _mm512_set1_epi16(0xff)), odd = _mm512_srli_epi16(w, 8);
    __m512i x_even = _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8), x_odd = _mm512_srai_epi16(x, 8);
    return _mm512_add_epi32(sum, _mm512_add_epi32(_mm512_madd_epi16(even, x_even), _mm512_madd_epi16(odd, x_odd)));
}

/* The same in one instruction, for functions that are VEC_VNNI: in assembler, in place, as vec_accumulate. */
#define VEC_VNNI __attribute__((target("avx512vnni")))

static inline bool vec_has_vnni(void)
{
    return __builtin_cpu_supports("avx512vnni");
}

static inline __attribute__((always_inline)) group_vec groups_dot_vnni(group_vec sum, group_vec w, group_vec x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

#endif
