/* Kernels: the engine's arithmetic, as one table of slots.
 *
 * ref/ defines every slot in plain loops and double sums. cpu/ fills the same slots for AVX2, AVX-512F and AVX-512 BF16, cuda/ for NVIDIA
 * cards; the table is picked once, at run time (kernels_open, kernels_open_device). Every filled slot is tested against ref/.
 *
 * A table says where its tensors live (struct memory) and how it lays them out (enum layout). Tensors are weights, rows on their way,
 * caches and features: every pointer that a slot takes refers to tensor memory, but for those whose comment says "host".
 *
 * Determinism. For one table, each output element is computed by one thread with one fixed order of operations, which depends on
 * k, on the head size and on absolute key positions, never on the number of rows in the call, on how rows are split over calls or
 * on `threads`. So batching, chunking, sharing a prefix and threading leave every bit alone. Different tables may differ in the
 * last bits; a cell's identity holds the table's name.
 *
 * Compute dtype ("dtype" below): DTYPE_F32, or DTYPE_BF16 or DTYPE_F16, where matrix inputs are of that kind, products accumulate in f32
 * and everything else (residual stream, norms, softmax) is f32; kernels_computes says which a table has. Pointers called `act` are in the
 * compute dtype. Nothing here allocates but where it says so. Legend: n rows, D width, hd head size, L keys.
 *
 * int8 is for weights: a matrix of it takes rows of int8 (quantise), multiplies whole numbers exactly, and scales the sums to f32; all
 * else beside it is as with bf16. */
#ifndef TOKSWEEP_ENGINE_KERNELS_H
#define TOKSWEEP_ENGINE_KERNELS_H

#include "core/dtype.h"
#include "core/err.h"
#include "core/similarity.h"
#include "core/tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

struct recording; /* what a device was asked for, to be repeated */

/* Where the tensors of a table live. On a device, calls of one thread happen in their order, without waiting for each other; another
 * thread sees what they did after `settle`. */
struct memory {
    bool host; /* tensors lie in this process's memory: pointers to it are pointers to tensors, and nothing is waited for */
    void *(*take)(size_t bytes); /* zeroed, 64-byte aligned; NULL when there is no more */
    void (*release)(void *tensor); /* NULL is fine */
    void (*put)(void *tensor, const void *host, size_t bytes); /* the host's bytes may change as soon as it returns */
    void (*get)(void *host, const void *tensor, size_t bytes); /* waits for what the thread asked for before */
    void (*move)(void *to, const void *from, size_t bytes); /* between tensors that do not overlap */
    /* n pieces of `bytes` bytes, from_stride apart, to the host, side by side. */
    void (*get_rows)(void *host, const void *tensor, size_t from_stride, size_t bytes, size_t n);
    /* Waits for what the thread asked for. ERR_DEVICE, or ERR_MEMORY, with what went wrong since the process began; the results of
     * everything after that are worthless. */
    int (*settle)(struct err *err);
    size_t (*left)(void); /* bytes that can still be taken; 0 on the host, where the system is asked instead */

    /* Recording: NULL on the host. Between record and recorded what the thread asks for is kept instead of done: products, attention (not its
     * weights), norms, rotation, rounding, writing to caches, moves; nothing that takes memory or what is the host's. `repeat` does it, the same to the bit,
     * with every position that was given (attention's first and n_keys, kv_write's and rope's first) higher by `by`, which may be
     * negative, as long as caches have these positions. Tensors must live as long as the recording. */
    bool (*record)(void); /* false: cannot */
    struct recording *(*recorded)(void); /* NULL where something could not be kept: nothing has been done, and no harm */
    void (*repeat)(const struct recording *recording, ptrdiff_t by);
    void (*forget)(struct recording *recording); /* NULL is fine */
};

/* ---- weights ------------------------------------------------------------------------------------------------------------- */

enum { PANEL = 64 }; /* output columns per panel */

/* How matrices and caches lie in memory. */
enum layout {
    LAYOUT_PANELS, /* 32-bit groups interleaved over 64 columns: what the processors' tables read */
    LAYOUT_ROWS,   /* row by row, each padded with zeros to a multiple of 8 values: what cards read */
};

/* W[n_out, n_in] of a linear layer, packed once. LAYOUT_PANELS: panel p holds outputs 64p..64p+63, padded with zeros, as 32-bit groups
 * interleaved over the panel: f32: [n_in][64]; 16 bit: [ceil(n_in/2)][64][2], the pair along n_in, padded with zero; int8:
 * [ceil(n_in/4)][64][4] bytes, the weight divided by its output's scale, rounded to nearest even, plus 128. Panels follow one another;
 * behind those of int8 lie the scales, f32 [n_out rounded up to PANEL]: the largest size of the output's weights over 127. LAYOUT_ROWS:
 * [n_out][n_in rounded up to 8], not of int8. */
struct matrix {
    enum dtype dtype;   /* I8: n_in <= INT8_INPUTS */
    size_t n_out, n_in;
    void *panels;       /* matrix_bytes(), 64-byte aligned; owned by whoever allocated it */
    const float *bias;  /* [n_out rounded up to PANEL, tail zero] or NULL */
    enum layout layout;
};

enum { INT8_INPUTS = 65536 }; /* 255 * 127 times as many fit an int32 */

size_t matrix_panel_bytes(size_t n_in, enum dtype dtype);
size_t matrix_bytes(size_t n_out, size_t n_in, enum dtype dtype, enum layout layout);

/* Values from one row of a matrix of LAYOUT_ROWS to the next. */
size_t matrix_stride(size_t n_in);

/* Writes source rows (each n_in values of `from`) to outputs first..first+n-1 of a matrix in the host's memory. Rows may come in any order
 * and size of piece. */
void matrix_pack_rows(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from);

/* Reads output row `row` of a matrix in the host's memory back as f32. */
void matrix_row(const struct matrix *matrix, size_t row, float *out);

/* The scales of an int8 matrix. */
const float *matrix_scales(const struct matrix *matrix);

/* Where gate row i and up row i of a SwiGLU pair are packed, so that one panel holds 32 gates and their 32 ups:
 * gate i -> 64*(i/32) + i%32, up i -> that + 32. The matrix has n_out = 2 * (n_ff rounded up to 32). */
static inline size_t swiglu_gate_row(size_t i)
{
    return i / 32 * 64 + i % 32;
}

/* ---- slots --------------------------------------------------------------------------------------------------------------- */

enum epilogue {
    EPILOGUE_NONE,       /* y = v */
    EPILOGUE_GELU_TANH,  /* y = gelu_tanh(v) */
    EPILOGUE_GELU_ERF,   /* y = gelu_erf(v) */
    EPILOGUE_ADD,        /* y += v; out is f32 (the residual stream) */
    EPILOGUE_SWIGLU,     /* matrix packed by swiglu_gate_row: y[i] = silu(gate_i) * up_i, i < n_out/2 */
};

/* What a row was divided by to become int8, and the sum of what became of it. */
struct row_scale {
    float scale;
    int32_t sum;
};

/* y[n, n_out] = epilogue(x[n, n_in] W^T + bias). x is act, or for int8 weights what quantise made of it; out_dtype is F32 or the
 * compute dtype (rounded to nearest even). Leading dimensions count elements. The buffers do not overlap. Accumulation is f32 over n_in in order, in fixed blocks. */
struct gemm {
    size_t n;
    const void *x;      /* act or int8 [n][ldx] */
    size_t ldx;
    const struct matrix *w;
    enum epilogue epilogue;
    void *y;
    size_t ldy;
    enum dtype out_dtype;
    const struct row_scale *scales; /* [n]; NULL unless x is int8 */
    void *scratch;      /* gemm_scratch_bytes(); not read where that is 0 */
};

/* Keys and values of one layer, packed for attention as they are written. LAYOUT_PANELS: in blocks of 64 positions per kv head:
 *   keys   [kv_head][block] : f32 [hd][64]   16 bit [hd/2][64][2] (pairs along hd)
 *   values [kv_head][block] : f32 [64][hp]   16 bit [32][hp][2]   (pairs along positions), hp = hd rounded up to 16, pad zero
 * LAYOUT_ROWS: keys and values [kv_head][capacity][hp]. The caches of several sequences lie one behind the other. Positions past
 * the written ones hold zeros or old finite values; attention masks them. */
struct kv {
    enum dtype dtype;
    int kv_heads, head_dim;  /* head_dim even, 2..256 */
    size_t capacity;         /* positions, a multiple of 64 */
    void *keys, *values;     /* 64-byte aligned, kv_bytes() together, zeroed once by the owner */
    enum layout layout;
    int sequences;           /* that are written and attended to together, each on its own; 0: one */
};

static inline size_t kv_sequences(const struct kv *kv)
{
    return kv->sequences ? (size_t)kv->sequences : 1;
}

size_t kv_key_bytes(const struct kv *kv);   /* of all keys */
size_t kv_value_bytes(const struct kv *kv); /* of all values */

/* The cache of one of several sequences. */
struct kv kv_sequence(const struct kv *kv, size_t i);

/* out[i, head] = softmax over keys j of (q[i,head] . k[j]) * scale + bias[j], times v; causal: query i sees keys 0..first+i, else
 * all n_keys. Query head h uses kv head h / (heads / kv_heads). Softmax in f32 (online, key blocks in order of position).
 * q and out are act, [n][ld]; head h at columns h*head_dim. With several sequences in kv, n queries of each, one behind the other. */
struct attention {
    size_t n;            /* queries */
    size_t first;        /* position of query 0 (causal only); first + n <= n_keys */
    size_t n_keys;
    bool causal;
    int heads;
    float scale;
    const struct kv *kv;
    const void *q;
    size_t ldq;
    void *out;
    size_t ldo;
    void *scratch;       /* attention_scratch_bytes() */
    const float *bias;   /* [n_keys], finite, or -INFINITY to hide a key (every query sees one that is not); NULL: zeros, the same bits */
};

/* Rows [n][D] of any dtype but int8, which slots read as f32, and behind them, numbered n, n + 1, ..., rows of f32 that were made of others;
 * `made` NULL: none, and n is not read. */
struct row_set {
    const void *rows;
    enum dtype dtype;
    size_t n;
    const float *made;
};

/* n rows out[i][D] f32: sums of taps from begin[i] to begin[i + 1], in f32, in order, from zero; a row of one tap of weight 1 is a copy. A
 * tap's src is a row of `source`, or MERGE_FILL: the row `fill`. begin and taps are the host's. Source rows and out do not overlap. */
enum { MERGE_FILL = UINT32_MAX };
struct merge {
    size_t n, D;
    const uint32_t *begin;   /* [n + 1] */
    const struct tap *taps;
    struct row_set source;
    const float *fill;       /* [D] */
    bool divide;             /* values are divided by weights, not multiplied */
    bool round_each;         /* sums are rounded to bf16 after each tap */
    float *out;
};

/* out[k][D] in double: sums of scale[i] * row src[i], i from begin[k] to begin[k + 1], in order, from zero. All but rows are the host's. */
struct wide_sums {
    size_t n, D;
    const uint32_t *begin;   /* [n + 1] */
    const uint32_t *src;
    const double *scale;
    struct row_set rows;
    double *out;
};

/* out[i] = sim_dot of rows a and b of pair i, or sim_dot_rounded (core/similarity.h). */
struct dots {
    size_t n, D;
    const struct row_pair *pairs; /* [n], the host's */
    struct row_set rows;
    bool rounded;
    float *out;                   /* [n], the host's */
};

/* out[i][j] = sim_dot or sim_distance2 of rows a[i] and b[j]. The same list twice is one pointer: half of its values are those of the other
 * half. */
struct block {
    size_t n_a, n_b, D;
    const uint32_t *a, *b;        /* [n_a], [n_b], the host's */
    struct row_set rows;
    enum sim_term term;
    float *out;                   /* [n_a][n_b], the host's */
};

/* The choice of core/similarity.h (struct sim_choice), of rows [n][D] of f32. */
struct picks {
    size_t n, D, k;
    const float *rows;
    const float *weight;          /* [n] or NULL, the host's */
    uint32_t *out;                /* [k], the host's */
};

/* The next text id by n logits, which are finite: each of ids, however often it stands there, is made less likely first, divided by the
 * penalty, or multiplied where it is below zero. */
struct candidates {
    size_t n, n_ids;
    float *logits;        /* [n]; penalised by the call */
    const int32_t *ids;   /* [n_ids], the host's */
    float penalty;        /* 1: none */
};

struct next_id {
    int32_t id;           /* the lowest of the largest logit */
    float most, second;   /* that one and the largest of the others; -INFINITY without one */
};

/* The table. Every call takes the number of threads it may use (>= 1); the row-wise slots split rows. */
struct kernels {
    const char *name; /* "ref", "avx2", "avx512", "avx512-bf16", "cuda" */
    const struct memory *memory;
    enum layout layout;

    /* Writes rows of the host to a matrix: matrix_pack_rows for a matrix in tensor memory. false when memory is out. */
    bool (*pack)(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from);

    void (*gemm)(const struct gemm *g, int threads);
    void (*attention)(const struct attention *a, int threads);

    /* weights[i][head][j] = that softmax itself, j < n_keys: 0 for keys that query i does not see. f32, never rounded; `out` is not
     * touched. Of one sequence. For those who read attention: `attention` never holds a whole row. */
    void (*attention_weights)(const struct attention *a, float *weights, int threads);

    /* Writes n keys and values (f32 rows [n][ld], head h at h*head_dim) at positions first..first+n-1, rounding to kv->dtype; n of each
     * sequence, one behind the other. */
    void (*kv_write)(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads);

    /* y[n,D] (act dtype `out`) = (x - mean) / sqrt(var + eps) * w + b, biased variance */
    void (*layernorm)(size_t n, size_t D, const float *x, size_t ldx, const float *w, const float *b, float eps, void *y, size_t ldy,
                      enum dtype out, int threads);

    /* y = round(x * rsqrt(mean(x^2) + eps)) * w: s is rounded to `out` before w, as upstream does */
    void (*rmsnorm)(size_t n, size_t D, const float *x, size_t ldx, const float *w, float eps, void *y, size_t ldy, enum dtype out,
                    int threads);

    /* Rotates the halves of each head in place: rows x[n][ld] f32, `heads` heads of hd from column 0; cos and sin [position][hd/2]
     * for row i at position first + i */
    void (*rope)(size_t n, int heads, int head_dim, float *x, size_t ld, const float *cos, const float *sin, size_t first, int threads);

    /* Each row of x (act, [n][ldx]) as whole numbers: scale = its largest size over 127, y = x * (127 / largest) rounded to nearest even,
     * all in f32, the same bits from every table; rows of y are padded with zeros to ldy, a multiple of 4 and less than D + 4. NULL where a
     * table has no int8. */
    void (*quantise)(size_t n, size_t D, const void *x, size_t ldx, enum dtype act, int8_t *y, size_t ldy, struct row_scale *scales,
                     int threads);

    /* y[i][d] = x[i][d] rounded to `out`, d < D. */
    void (*convert)(size_t n, size_t D, const float *x, size_t ldx, void *y, size_t ldy, enum dtype out, int threads);

    /* ---- the rest gives the same bits in every table ---- */

    /* A square of side * patch pixels of rgb (RGB24, rows of image_side pixels) as side * side rows in the order (channel, ky, kx), each value
     * (u / 255 - 1/2) / (1/2) rounded to `out` */
    void (*patches)(const uint8_t *rgb, int image_side, int patch, int side, void *out, enum dtype dtype);

    /* out[side'][side'][width] from in[side][side][width], side' = pool_side(mode, side, stride). Bilinear: four taps per output with f32
     * weights, as the reference; average: f32 sum over the window divided by its size; max. */
    void (*pool)(enum pool_mode mode, int stride, int side, int width, const float *in, float *out);

    void (*merge)(const struct merge *merge);

    /* These allocate, and are false when memory is out. They wait for their results. */
    bool (*wide_sums)(const struct wide_sums *sums);
    bool (*dots)(const struct dots *dots);
    bool (*block)(const struct block *block);
    bool (*choose)(const struct picks *picks);

    /* y[g][d] = (y[g][d] or, unless `add`, 0, plus x[g * group + i * ldx + d] for i = 0..n-1 in order) / divisor; d < D. */
    void (*sum_rows)(size_t groups, size_t n, size_t D, const float *x, size_t group, size_t ldx, float *y, bool add, float divisor);

    /* out[i][n_in] = row ids[i] of a matrix as f32; ids are the host's. How a text id is embedded. */
    void (*embed)(const struct matrix *matrix, size_t n, const int32_t *ids, float *out);

    /* Waits for its result; {0} and a fault in settle when a card is out of memory. */
    struct next_id (*next)(const struct candidates *candidates);
};

/* Whether a table has this compute dtype: F32 and BF16 all, F16 ref and cuda, I8 those that quantise. */
bool kernels_computes(const struct kernels *k, enum dtype dtype);
int kernels_check(const struct kernels *k, enum dtype dtype, struct err *err); /* ERR_CONFIG where it does not */

/* Bytes of struct attention's scratch for any call on a cache. */
size_t attention_scratch_bytes(const struct kernels *k, const struct kv *kv, int threads);

/* Bytes of struct gemm's scratch for n rows and n_out outputs. */
size_t gemm_scratch_bytes(const struct kernels *k, size_t n, size_t n_out);

/* The gemm; where the weights are int8, of x quantised in `narrow`, narrow_bytes(n, n_in), 64-byte aligned. */
void kernels_linear(const struct kernels *k, struct gemm g, void *narrow, int threads);
size_t narrow_bytes(size_t n, size_t n_in);

/* The best table this processor runs, or the one called `name` (NULL or "auto": best). ERR_CONFIG for an unknown name, ERR_DEVICE
 * for one this processor cannot run. The tables are static. */
int kernels_open(const struct kernels **out, const char *name, struct err *err);

/* The table of a device: "cpu" (kernels_open by `name`), "cuda" or "cuda:N" (card N, 0 without), or "auto": the first card if there is one.
 * A process computes on one card. ERR_CONFIG for a device that is none of these, ERR_DEVICE with what is missing. */
int kernels_open_device(const struct kernels **out, const char *device, const char *name, struct err *err);

/* What an open table computes with, part of a cell's identity: its name, and of a card's the generation, as bits are its own ("avx2",
 * "cuda-sm90"); and the card, "cuda:0 NVIDIA H200", or "" on the processor. */
void kernels_describe(const struct kernels *k, char *isa, size_t isa_size, char *card, size_t card_size);

/* Names of all tables in this build, best first, NULL-terminated; and whether this processor runs one. */
const char *const *kernels_names(void);
bool kernels_runs(const char *name);

#endif
