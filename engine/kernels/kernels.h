/* Kernels: the engine's arithmetic, as one table of slots.
 *
 * ref/ defines every slot in plain loops and double sums. cpu/ fills the same slots for AVX2, AVX-512F and AVX-512 BF16; the table
 * is picked once, at run time (kernels_open). Every filled slot is tested against ref/.
 *
 * Determinism. For one table, each output element is computed by one thread with one fixed order of operations, which depends on
 * k, on the head size and on absolute key positions, never on the number of rows in the call, on how rows are split over calls or
 * on `threads`. So batching, chunking, sharing a prefix and threading leave every bit alone. Different tables may differ in the
 * last bits; a cell's identity holds the table's name.
 *
 * Compute dtype ("dtype" below): DTYPE_F32, or DTYPE_BF16, where matrix inputs are bf16, products accumulate in f32 and everything
 * else (residual stream, norms, softmax) is f32. Pointers called `act` are in the compute dtype. Nothing here allocates but
 * where it says so. Legend: n rows, D width, hd head size, L keys.
 *
 * int8 is for weights: a matrix of it takes rows of int8 (quantise), multiplies whole numbers exactly, and scales the sums to f32; all
 * else beside it is as with bf16. */
#ifndef TOKSWEEP_ENGINE_KERNELS_H
#define TOKSWEEP_ENGINE_KERNELS_H

#include "core/dtype.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- weights ------------------------------------------------------------------------------------------------------------- */

enum { PANEL = 64 }; /* output columns per panel */

/* W[n_out, n_in] of a linear layer, packed once into panels of PANEL outputs. Panel p holds outputs 64p..64p+63, padded with
 * zeros, as 32-bit groups interleaved over the panel: f32: [n_in][64]; bf16: [ceil(n_in/2)][64][2], the pair along n_in, padded
 * with zero; int8: [ceil(n_in/4)][64][4] bytes, the weight divided by its output's scale, rounded to nearest even, plus 128. Panels
 * follow one another; behind those of int8 lie the scales, f32 [n_out rounded up to PANEL]: the largest size of the output's weights
 * over 127. The layout is the same for every table. */
struct matrix {
    enum dtype dtype;   /* F32, BF16 or I8; I8: n_in <= INT8_INPUTS */
    size_t n_out, n_in;
    void *panels;       /* matrix_bytes(), 64-byte aligned; owned by whoever allocated it */
    const float *bias;  /* [n_out rounded up to PANEL, tail zero] or NULL */
};

enum { INT8_INPUTS = 65536 }; /* 255 * 127 times as many fit an int32 */

size_t matrix_panel_bytes(size_t n_in, enum dtype dtype);
size_t matrix_bytes(size_t n_out, size_t n_in, enum dtype dtype);

/* Writes source rows (each n_in values of `from`) to outputs first..first+n-1. Rows may come in any order and size of piece. */
void matrix_pack_rows(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from);

/* Reads output row `row` back as f32: how a tied embedding is looked up. */
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
    EPILOGUE_GELU_TANH,  /* y = gelu_tanh(v), models.md 2.4 */
    EPILOGUE_GELU_ERF,   /* y = gelu_erf(v), models.md 1.6 */
    EPILOGUE_ADD,        /* y += v; out is f32 (the residual stream) */
    EPILOGUE_SWIGLU,     /* matrix packed by swiglu_gate_row: y[i] = silu(gate_i) * up_i, i < n_out/2 */
};

/* What a row was divided by to become int8, and the sum of what became of it. */
struct row_scale {
    float scale;
    int32_t sum;
};

/* y[n, n_out] = epilogue(x[n, n_in] W^T + bias). x is act, or for int8 weights what quantise made of it; out_dtype is F32 or the compute dtype (rounded to nearest even).
 * Leading dimensions count elements. The buffers do not overlap. Accumulation is f32 over n_in in order, in fixed blocks. */
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
};

/* Keys and values of one layer, packed for attention as they are written, in blocks of 64 positions per kv head:
 *   keys   [kv_head][block] : f32 [hd][64]   bf16 [hd/2][64][2] (pairs along hd)
 *   values [kv_head][block] : f32 [64][hp]   bf16 [32][hp][2]   (pairs along positions), hp = hd rounded up to 16, pad zero
 * Positions past the written ones hold zeros or old finite values; attention masks them. */
struct kv {
    enum dtype dtype;
    int kv_heads, head_dim;  /* head_dim even, 2..256 */
    size_t capacity;         /* positions, a multiple of 64 */
    void *keys, *values;     /* 64-byte aligned, kv_bytes() together, zeroed once by the owner */
};

size_t kv_key_bytes(const struct kv *kv);   /* of all keys */
size_t kv_value_bytes(const struct kv *kv); /* of all values */

/* out[i, head] = softmax over keys j of (q[i,head] . k[j]) * scale + bias[j], times v; causal: query i sees keys 0..first+i, else
 * all n_keys. Query head h uses kv head h / (heads / kv_heads). Softmax in f32 (online, key blocks in order of position).
 * q and out are act, [n][ld]; head h at columns h*head_dim. */
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
    void *scratch;       /* attention_scratch_bytes(threads) */
    const float *bias;   /* [n_keys], finite, or -INFINITY to hide a key (every query sees one that is not); NULL: zeros, the same bits */
};

size_t attention_scratch_bytes(int head_dim, int threads);

/* The table. Every call takes the number of threads it may use (>= 1); the row-wise slots split rows. */
struct kernels {
    const char *name; /* "ref", "avx2", "avx512", "avx512-bf16" */

    void (*gemm)(const struct gemm *g, int threads);
    void (*attention)(const struct attention *a, int threads);

    /* weights[i][head][j] = that softmax itself, j < n_keys: 0 for keys that query i does not see. f32, never rounded; `out` is not
     * touched. For those who read attention: `attention` never holds a whole row. */
    void (*attention_weights)(const struct attention *a, float *weights, int threads);

    /* Writes n keys and values (f32 rows [n][ld], head h at h*head_dim) at positions first..first+n-1, rounding to kv->dtype. */
    void (*kv_write)(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads);

    /* y[n,D] (act dtype `out`) = (x - mean) / sqrt(var + eps) * w + b, biased variance; models.md 2.4. */
    void (*layernorm)(size_t n, size_t D, const float *x, size_t ldx, const float *w, const float *b, float eps, void *y, size_t ldy,
                      enum dtype out, int threads);

    /* y = round(x * rsqrt(mean(x^2) + eps)) * w: s is rounded to `out` before w, as upstream does; models.md 3.3. */
    void (*rmsnorm)(size_t n, size_t D, const float *x, size_t ldx, const float *w, float eps, void *y, size_t ldy, enum dtype out,
                    int threads);

    /* Rotates the halves of each head in place: rows x[n][ld] f32, `heads` heads of hd from column 0; cos and sin [position][hd/2]
     * for row i at position first + i; models.md 3.4. */
    void (*rope)(size_t n, int heads, int head_dim, float *x, size_t ld, const float *cos, const float *sin, size_t first, int threads);

    /* Each row of x (act, [n][ldx]) as whole numbers: scale = its largest size over 127, y = x * (127 / largest) rounded to nearest even,
     * all in f32, the same bits from every table; rows of y are padded with zeros to ldy, a multiple of 4 and less than D + 4. NULL where a
     * table has no int8. */
    void (*quantise)(size_t n, size_t D, const void *x, size_t ldx, enum dtype act, int8_t *y, size_t ldy, struct row_scale *scales,
                     int threads);

    /* y[i] = x[i] rounded to `out`. */
    void (*convert)(size_t n, const float *x, void *y, enum dtype out, int threads);
};

/* The gemm; where the weights are int8, of x quantised in `narrow`, narrow_bytes(n, n_in), 64-byte aligned. */
void kernels_linear(const struct kernels *k, struct gemm g, void *narrow, int threads);
size_t narrow_bytes(size_t n, size_t n_in);

/* The best table this processor runs, or the one called `name` (NULL or "auto": best). ERR_CONFIG for an unknown name, ERR_DEVICE
 * for one this processor cannot run. The tables are static. */
int kernels_open(const struct kernels **out, const char *name, struct err *err);

/* Names of all tables in this build, best first, NULL-terminated; and whether this processor runs one. */
const char *const *kernels_names(void);
bool kernels_runs(const char *name);

#endif
