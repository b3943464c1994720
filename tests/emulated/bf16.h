/* The two AVX-512 BF16 instructions that kernels use, in plain AVX-512, so that the table "avx512-bf16" is tested on processors that
 * lack them. Included before the sources of that table and before the choice of tables, which then takes a processor with AVX-512 for one
 * that has both. Intel's manual (VDPBF16PS, VCVTNEPS2BF16): products of a pair are added one after the other, the odd one first, each by a
 * fused multiply-add rounded to nearest even; subnormals are taken and given as zero, and the state of the processor changes nothing. */
#ifndef TOKSWEEP_TESTS_EMULATED_BF16_H
#define TOKSWEEP_TESTS_EMULATED_BF16_H

#include <immintrin.h>
#include <string.h>

#define __builtin_cpu_supports(feature) (!strcmp(feature, "avx512bf16") || __builtin_cpu_supports(feature))

#ifdef __AVX512F__
static inline __m512 emulated_without_subnormals(__m512 v)
{
    const __m512i size = _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
    const __mmask16 small = _mm512_cmplt_epu32_mask(size, _mm512_set1_epi32(0x800000));
    return _mm512_mask_and_ps(v, small, v, _mm512_set1_ps(-0.0f));
}

static inline __m512 emulated_step(__m512 sum, __m512 a, __m512 b)
{
    return emulated_without_subnormals(_mm512_fmadd_ps(emulated_without_subnormals(a), emulated_without_subnormals(b), sum));
}

static inline __m512 emulated_dpbf16(__m512 sum, __m512i a, __m512i b)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    sum = emulated_step(emulated_without_subnormals(sum), _mm512_castsi512_ps(_mm512_and_si512(a, high)), _mm512_castsi512_ps(_mm512_and_si512(b, high)));
    return emulated_step(sum, _mm512_castsi512_ps(_mm512_slli_epi32(a, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)));
}

static inline __m256i emulated_cvtneps(__m512 v)
{
    const __m512i bits = _mm512_castps_si512(emulated_without_subnormals(v)), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i even = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), quiet = _mm512_set1_epi32(0x400000);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_or_epi32(even, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits, quiet), 16));
}

#define _mm512_dpbf16_ps(sum, a, b) emulated_dpbf16(sum, (__m512i)(a), (__m512i)(b))
#define _mm512_cvtneps_pbh(v) emulated_cvtneps(v)
#endif

#endif
