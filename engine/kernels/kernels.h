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
 * where it says so. Legend: n rows, D width, hd head size, L keys. */
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
 * with zero. Panels follow one another. The layout is the same for every table. */
struct matrix {
    enum dtype dtype;   /* F32 or BF16 */
    size_t n_out, n_in;
    void *panels;       /* matrix_bytes(), 64-byte aligned; owned by whoever allocated it */
    const float *bias;  /* [n_out rounded up to PANEL, tail zero] or NULL */
};

size_t matrix_panel_bytes(size_t n_in, enum dtype dtype);
size_t matrix_bytes(size_t n_out, size_t n_in, enum dtype dtype);

/* Writes source rows (each n_in values of `from`) to outputs first..first+n-1. Rows may come in any order and size of piece. */
void matrix_pack_rows(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from);

/* Reads output row `row` back as f32: how a tied embedding is looked up. */
void matrix_row(const struct matrix *matrix, size_t row, float *out);

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

/* y[n, n_out] = epilogue(x[n, n_in] W^T + bias). x is act; out_dtype is F32 or the compute dtype (rounded to nearest even).
 * Leading dimensions count elements. The buffers do not overlap. Accumulation is f32 over n_in in order, in fixed blocks. */
struct gemm {
    size_t n;
    const void *x;      /* act [n][ldx] */
    size_t ldx;
    const struct matrix *w;
    enum epilogue epilogue;
    void *y;
    size_t ldy;
    enum dtype out_dtype;
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

    /* y[i] = x[i] rounded to `out`. */
    void (*convert)(size_t n, const float *x, void *y, enum dtype out, int threads);
};

/* The best table this processor runs, or the one called `name` (NULL or "auto": best). ERR_CONFIG for an unknown name, ERR_DEVICE
 * for one this processor cannot run. The tables are static. */
int kernels_open(const struct kernels **out, const char *name, struct err *err);

/* Names of all tables in this build, best first, NULL-terminated; and whether this processor runs one. */
const char *const *kernels_names(void);
bool kernels_runs(const char *name);

#endif
