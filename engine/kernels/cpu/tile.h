/* The register tile: C[rows, columns] = A B (or += A B), with A row-major in act and B interleaved in groups. GEMM uses it on
 * weights, attention on keys and on values; all dot products of a table are computed here and nowhere else.
 *
 * Each sum runs over the groups in order, whatever the number of rows and columns, and a sum that is stored and resumed goes on as
 * if it had stayed in its register: so neither the tiling nor the blocking shows in a result. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_TILE_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_TILE_H

#include "engine/kernels/layout.h"

/* Sums stay in registers only if loops over rows and vectors are gone before gcc looks at arrays; clang does that unasked. */
#if defined(__clang__)
#define TILE_UNROLL
#else
#define TILE_UNROLL _Pragma("GCC unroll 8")
#endif

/* Inputs are the rows of A, as the dot product takes them: values in the compute dtype, but bf16 where the instruction set has no
 * dot product for it, which is widened to f32 beforehand. A row of inputs is padded to whole groups. */
#ifdef VEC_BF16
enum { TILE_WIDENS = 0 };
#else
enum { TILE_WIDENS = 1 };
#endif

static inline enum dtype tile_input_dtype(enum dtype dtype)
{
    return TILE_WIDENS && dtype == DTYPE_BF16 ? DTYPE_F32 : dtype;
}

/* Bytes of `groups` groups of inputs. */
static inline size_t tile_input_bytes(size_t groups, enum dtype dtype)
{
    return groups * group_values(dtype) * dtype_size(tile_input_dtype(dtype));
}

static inline void tile_widen(float *to, const uint16_t *from, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(to + i, vec_load_bf16(from + i));
    for (; i < n; i++)
        to[i] = f32_from_bf16(from[i]);
}

enum { ROWS_AHEAD = 2 }; /* rows of act are asked for this early */

static inline void tile_prefetch(const char *act, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch(act + at);
}

/* Makes inputs of n values of act. */
static inline void tile_input_write(void *to, const void *act, size_t n, enum dtype dtype)
{
    if (n % group_values(dtype))
        memset((char *)to + tile_input_bytes(n / 2, dtype), 0, tile_input_bytes(1, dtype));
    if (tile_input_dtype(dtype) == dtype)
        memcpy(to, act, n * dtype_size(dtype));
    else
        tile_widen(to, act, n);
}

enum { TILE_WIDEN = 4 }; /* from this many tiles on, columns are widened once rather than in the registers of each */

/* Widens `groups` groups of `columns` columns to rows of f32, with which tiles then go on as f32. */
static void tile_widen_columns(float *to, const char *from, size_t groups, size_t columns)
{
    for (size_t g = 0; g < groups; g++, to += 2 * columns)
        for (size_t column = 0; column < columns; column += LANES, from += sizeof(vec)) {
            group_vec pairs = groups_load(from);
            vec_store(to + column, groups_low(pairs));
            vec_store(to + columns + column, groups_high(pairs));
        }
}

struct tile {
    const char *a;     /* [rows][n groups] of inputs */
    size_t a_stride;   /* bytes from row to row */
    const char *b;     /* [n][columns] groups */
    size_t b_stride;   /* bytes from group to group along n */
    size_t n;          /* groups summed over */
    float *c;          /* [rows][columns] */
    size_t c_stride;   /* floats from row to row */
    enum dtype dtype;
    bool resume;       /* add to what is in c; else start from zero */
};

/* sums += one f32 of each row times one f32 of each column: value g of the inputs, seen as f32, and of the groups at `b`. */
enum half { HALF_NONE, HALF_LOW, HALF_HIGH };

static inline __attribute__((always_inline)) void tile_step_f32(const int rows, const int vecs, const enum half half,
                                                                const struct tile *t, size_t g, const char *b,
                                                                vec sums[TILE_ROWS][STRIP_MOST])
{
    vec column[STRIP_MOST];
    TILE_UNROLL
    for (int v = 0; v < vecs; v++) {
        group_vec group = groups_load(b + (size_t)v * sizeof(vec));
        column[v] = half == HALF_NONE ? groups_f32(group) : half == HALF_LOW ? groups_low(group) : groups_high(group);
    }
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        vec input = vec_set(*(const float *)(t->a + (size_t)r * t->a_stride + g * sizeof(float)));
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            vec_accumulate(&sums[r][v], input, column[v]);
    }
}

/* sums += one group of each row times one group of each column, a pair of bf16. */
static inline __attribute__((always_inline)) void tile_step_bf16(const int rows, const int vecs, const struct tile *t, size_t g,
                                                                 const char *b, vec sums[TILE_ROWS][STRIP_MOST])
{
#ifdef VEC_BF16
    group_vec column[STRIP_MOST];
    TILE_UNROLL
    for (int v = 0; v < vecs; v++)
        column[v] = groups_load(b + (size_t)v * sizeof(vec));
    TILE_UNROLL
    for (int r = 0; r < rows; r++) {
        uint32_t pair;
        memcpy(&pair, t->a + (size_t)r * t->a_stride + g * GROUP_BYTES, sizeof pair);
        group_vec input = groups_set(pair);
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            sums[r][v] = groups_dot(input, column[v], sums[r][v]);
    }
#else
    tile_step_f32(rows, vecs, HALF_LOW, t, 2 * g, b, sums);
    tile_step_f32(rows, vecs, HALF_HIGH, t, 2 * g + 1, b, sums);
#endif
}

/* The compiler forgets where `at` came from, and does not keep an address for each row of sums in a register of its own. */
static inline __attribute__((always_inline)) float *tile_row(float *at)
{
    __asm__("" : "+r"(at));
    return at;
}

/* The kernel for constant `rows`, `vecs` and `dtype`: the sums stay in registers. */
static inline __attribute__((always_inline)) void tile_kernel(const int rows, const int vecs, const enum dtype dtype,
                                                              const struct tile *given)
{
    const struct tile t = *given;
    vec sums[TILE_ROWS][STRIP_MOST];
    float *c = t.c;
    TILE_UNROLL
    for (int r = 0; r < rows; r++)
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            sums[r][v] = vec_zero();
    if (t.resume) {
        TILE_UNROLL
        for (int r = 0; r < rows; r++, c = tile_row(c + t.c_stride))
            TILE_UNROLL
            for (int v = 0; v < vecs; v++)
                sums[r][v] = vec_load(c + v * LANES);
    }
    for (size_t g = 0; g < t.n; g++) {
        if (dtype == DTYPE_F32)
            tile_step_f32(rows, vecs, HALF_NONE, &t, g, t.b + g * t.b_stride, sums);
        else
            tile_step_bf16(rows, vecs, &t, g, t.b + g * t.b_stride, sums);
    }
    c = tile_row(t.c);
    TILE_UNROLL
    for (int r = 0; r < rows; r++, c = tile_row(c + t.c_stride))
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            vec_store(c + v * LANES, sums[r][v]);
}

static inline __attribute__((always_inline)) group_vec tile_dot_i8(const bool vnni, group_vec sum, group_vec w, group_vec x)
{
#ifdef VEC_VNNI
    if (vnni)
        return groups_dot_vnni(sum, w, x);
#endif
    (void)vnni;
    return groups_dot_i8(sum, w, x);
}

/* The same for int8: sums in c are int32, and rows of weights, as they are packed, each 128 too large. */
static inline __attribute__((always_inline)) void tile_kernel_i8(const int rows, const int vecs, const bool vnni, const struct tile *t)
{
    group_vec sums[TILE_ROWS][STRIP_MOST], column[STRIP_MOST];
    TILE_UNROLL
    for (int r = 0; r < rows; r++)
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            sums[r][v] = t->resume ? groups_load(t->c + (size_t)r * t->c_stride + v * LANES) : groups_zero();
    for (size_t g = 0; g < t->n; g++) {
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            column[v] = groups_load(t->b + g * t->b_stride + (size_t)v * sizeof(group_vec));
        TILE_UNROLL
        for (int r = 0; r < rows; r++) {
            uint32_t four;
            memcpy(&four, t->a + (size_t)r * t->a_stride + g * GROUP_BYTES, sizeof four);
            group_vec input = groups_set(four);
            TILE_UNROLL
            for (int v = 0; v < vecs; v++)
                sums[r][v] = tile_dot_i8(vnni, sums[r][v], column[v], input);
        }
    }
    float *c = tile_row(t->c);
    TILE_UNROLL
    for (int r = 0; r < rows; r++, c = tile_row(c + t->c_stride))
        TILE_UNROLL
        for (int v = 0; v < vecs; v++)
            groups_store(c + v * LANES, sums[r][v]);
}

/* tile_6x4_f32, tile_6x4_bf16 and so on, each a function of its own, so that registers are shared out for it alone. */
#define TILE_DEFINE(rows, vecs)                                                               \
    static __attribute__((noinline)) void tile_##rows##x##vecs##_f32(const struct tile *t)    \
    {                                                                                         \
        tile_kernel(rows, vecs, DTYPE_F32, t);                                                \
    }                                                                                         \
    static __attribute__((noinline)) void tile_##rows##x##vecs##_bf16(const struct tile *t)   \
    {                                                                                         \
        tile_kernel(rows, vecs, DTYPE_BF16, t);                                               \
    }                                                                                         \
    static __attribute__((noinline)) void tile_##rows##x##vecs##_i8(const struct tile *t)     \
    {                                                                                         \
        tile_kernel_i8(rows, vecs, false, t);                                                 \
    }
TILE_SHAPES(TILE_DEFINE)

#define TILE_ENTRY(rows, vecs) \
    [rows - 1][vecs - 1] = {[DTYPE_F32] = tile_##rows##x##vecs##_f32, [DTYPE_BF16] = tile_##rows##x##vecs##_bf16, \
                            [DTYPE_I8] = tile_##rows##x##vecs##_i8},
typedef void tile_function(const struct tile *t);
static tile_function *const tile_kernels[TILE_ROWS][STRIP_MOST][DTYPE_I8 + 1] = {TILE_SHAPES(TILE_ENTRY)};

#ifdef VEC_VNNI
#define TILE_DEFINE_VNNI(rows, vecs)                                                                   \
    static VEC_VNNI __attribute__((noinline)) void tile_##rows##x##vecs##_vnni(const struct tile *t)   \
    {                                                                                                  \
        tile_kernel_i8(rows, vecs, true, t);                                                           \
    }
TILE_SHAPES(TILE_DEFINE_VNNI)

#define TILE_ENTRY_VNNI(rows, vecs) [rows - 1][vecs - 1] = tile_##rows##x##vecs##_vnni,
static tile_function *const tile_kernels_vnni[TILE_ROWS][STRIP_MOST] = {TILE_SHAPES(TILE_ENTRY_VNNI)};
#endif

/* Sums of int8 are exact: which of the two runs leaves no trace. */
static inline tile_function *tile_kernel_for(size_t rows, size_t strip, enum dtype dtype)
{
#ifdef VEC_VNNI
    if (dtype == DTYPE_I8 && vec_has_vnni())
        return tile_kernels_vnni[rows - 1][strip - 1];
#endif
    return tile_kernels[rows - 1][strip - 1][dtype];
}

/* Computes `rows` <= TILE_ROWS by `columns`, a multiple of 16, in strips, the last two as equal as they can be; moves t->b and t->c
 * past them. */
static void tile_run(struct tile *t, size_t rows, size_t columns)
{
    size_t widest = rows == 1 ? STRIP_ONE : rows < TILE_ROWS ? STRIP_FEW : STRIP;
    for (size_t vecs = columns / LANES, strip; vecs > 0; vecs -= strip) {
        strip = vecs <= widest ? vecs : vecs < 2 * widest ? (vecs + 1) / 2 : widest;
        tile_kernel_for(rows, strip, t->dtype)(t);
        t->b += strip * sizeof(vec);
        t->c += strip * LANES;
    }
}

/* Rows of a register tile, when `n` rows are shared out evenly: tile i covers rows tile_start(i, n) to tile_start(i + 1, n). */
static inline size_t tile_count(size_t n)
{
    return (n + TILE_ROWS - 1) / TILE_ROWS;
}

static inline size_t tile_start(size_t i, size_t n)
{
    return i * n / tile_count(n);
}

#endif
