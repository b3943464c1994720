/* The vector layer over AVX2 and FMA: what the rest of cpu/ is written in. `part` forms touch the first n < LANES values only. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_VEC_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_VEC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m256 vec;

enum {
    LANES = 8,
    STRIP = 2,      /* vectors across a register tile: 6 x 2 sums, 2 weights, 1 input and a mask fill the 16 registers */
    STRIP_FEW = 2,  /* the same for a tile of fewer rows */
    STRIP_ONE = 8,  /* for a tile of one row: a whole panel, so that decoding reads weights in order */
    STRIP_MOST = 8, /* for any */
};

/* The shapes (rows, vectors) of register tile that strips of 16 columns need. */
#define TILE_SHAPES(X) \
    X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) \
    X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2)

static inline vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

static inline vec vec_set(float value)
{
    return _mm256_set1_ps(value);
}

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_store(float *to, vec v)
{
    _mm256_storeu_ps(to, v);
}

static inline __m256i vec_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_load_part(const float *from, size_t n)
{
    return _mm256_maskload_ps(from, vec_first(n));
}

static inline void vec_store_part(float *to, vec v, size_t n)
{
    _mm256_maskstore_ps(to, vec_first(n), v);
}

/* The first n <= LANES values of a, the rest of b. */
static inline vec vec_select_first(vec a, vec b, size_t n)
{
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(vec_first(n)));
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

/* a * b + c, rounded once */
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* sum += a * b, in place: assembler, because gcc 12 renames the sums of a register tile from step to step, and then spills them. */
static inline void vec_accumulate(vec *sum, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b));
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

static inline vec vec_abs(vec v)
{
    return _mm256_andnot_ps(vec_set(-0.0f), v);
}

/* Zero where the value is subnormal. */
static inline vec vec_flush(vec v)
{
    return _mm256_and_ps(v, _mm256_cmp_ps(vec_abs(v), vec_set(0x1p-126f), _CMP_GE_OQ));
}

/* To the nearest whole number. */
static inline vec vec_round(vec v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* v * 2^exponent for v in (0.5, 2) and whole exponents up to 127; exactly zero for exponents below -126. */
static inline vec vec_scale(vec v, vec exponent)
{
    __m256i shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(exponent), 23);
    vec scaled = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), shifted));
    return _mm256_and_ps(scaled, _mm256_cmp_ps(exponent, vec_set(-126), _CMP_GE_OQ));
}

static inline float vec_first_lane(vec v)
{
    return _mm256_cvtss_f32(v);
}

/* Sum and greatest of the lanes, in a fixed order. */
static inline float vec_sum(vec v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static inline float vec_most(vec v)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* bf16, rounded to nearest even, NaN kept as a quiet NaN. (With VEC_BF16 subnormals become zero, as the dot product reads them.) */
static inline __m128i vec_to_bf16(vec v)
{
    __m256i bits = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i even = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(even, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}

static inline vec vec_load_bf16(const uint16_t *from)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from)), 16));
}

static inline void vec_store_bf16(uint16_t *to, vec v)
{
    _mm_storeu_si128((__m128i *)to, vec_to_bf16(v));
}

static inline void vec_store_bf16_part(uint16_t *to, vec v, size_t n)
{
    uint16_t all[LANES];
    vec_store_bf16(all, v);
    memcpy(to, all, n * sizeof *to);
}

/* Rounded to bf16, as f32. Not for NaN. */
static inline vec vec_round_bf16(vec v)
{
    __m256i bits = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i even = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    return _mm256_castsi256_ps(_mm256_and_si256(even, _mm256_set1_epi32((int)0xffff0000u)));
}

/* Whole numbers of at most 127 in size as bytes, the first n <= LANES of them. */
static inline void vec_store_i8(int8_t *to, vec v, size_t n)
{
    __m256i whole = _mm256_cvtps_epi32(v);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    int8_t all[16];
    _mm_storeu_si128((__m128i *)all, _mm_packs_epi16(words, words));
    memcpy(to, all, n);
}

/* LANES int32 as f32, `less` taken away before. */
static inline vec vec_from_i32(const void *from, int32_t less)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256(from), _mm256_set1_epi32(less)));
}

/* Groups: LANES times 32 bits, one f32 or a pair of bf16 each. */
typedef __m256i group_vec;

static inline group_vec groups_load(const void *from)
{
    return _mm256_loadu_si256(from);
}

static inline group_vec groups_set(uint32_t group)
{
    return _mm256_set1_epi32((int)group);
}

static inline vec groups_f32(group_vec g)
{
    return _mm256_castsi256_ps(g);
}

/* The earlier and the later bf16 of each pair, as f32. */
static inline vec groups_low(group_vec g)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(g, 16));
}

static inline vec groups_high(group_vec g)
{
    return _mm256_castsi256_ps(_mm256_and_si256(g, _mm256_set1_epi32((int)0xffff0000u)));
}

static inline group_vec groups_zero(void)
{
    return _mm256_setzero_si256();
}

static inline void groups_store(void *to, group_vec g)
{
    _mm256_storeu_si256(to, g);
}

/* sum + the products of four bytes of w, without sign, and of x, with sign, as int32: exact, in 16 bits two by two. */
static inline group_vec groups_dot_i8(group_vec sum, group_vec w, group_vec x)
{
    __m256i even = _mm256_and_si256(w, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(w, 8);
    __m256i x_even = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), x_odd = _mm256_srai_epi16(x, 8);
    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(even, x_even), _mm256_madd_epi16(odd, x_odd)));
}

#endif
