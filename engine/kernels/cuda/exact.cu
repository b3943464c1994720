/* The slots that are defined to the bit: every sum and product is rounded by itself, in the order of kernels/ref/exact.c. */
#include "engine/kernels/cuda/kernel.cuh"

#include <float.h>

enum { THREADS = 256 };

/* ---- pixels -------------------------------------------------------------------------------------------------------------- */

struct patches_call {
    const uint8_t *rgb;
    size_t image_side, patch, side;
    void *out;
};

template <class T>
static __global__ void patch_values(patches_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, area = c.patch * c.patch, inputs = 3 * area;
    size_t patch = i / inputs, channel = i % inputs / area, ky = i % area / c.patch, kx = i % c.patch;
    size_t y = patch / c.side * c.patch + ky, x = patch % c.side * c.patch + kx;
    if (patch >= c.side * c.side)
        return;
    float value = (float)((double)c.rgb[(y * c.image_side + x) * 3 + channel] * (1.0 / 255.0));
    ((typename T::bits *)c.out)[i] = T::store(__fmul_rn(__fadd_rn(value, -0.5f), 2.0f));
}

void cuda_patches(const uint8_t *rgb, int image_side, int patch, int side, void *out, enum dtype dtype)
{
    patches_call c = {rgb, (size_t)image_side, (size_t)patch, (size_t)side, out};
    size_t n = c.side * c.side * 3 * c.patch * c.patch;
    WITH_DTYPE(dtype, launch(patch_values<T>, "patches", blocks_for(n, THREADS), 1, THREADS, 0, c));
}

/* ---- pooling ------------------------------------------------------------------------------------------------------------- */

struct pool_call {
    enum pool_mode mode;
    int stride, side, out_side;
    size_t width;
    const float *in;
    float *out;
};

struct axis_tap { int i0, i1; float w0, w1; };

/* core/tokens.c's pool_bilinear_tap. */
static __device__ axis_tap bilinear_tap(int in, int out, int o)
{
    float scale = __fdiv_rn((float)in, (float)out);
    float source = fmaxf(__fadd_rn(__fmul_rn(scale, __fadd_rn((float)o, 0.5f)), -0.5f), 0.0f);
    int i0 = (int)source;
    if (i0 > in - 1)
        i0 = in - 1;
    float w1 = __fadd_rn(source, -(float)i0);
    axis_tap tap = {i0, i0 + 1 < in ? i0 + 1 : i0, __fadd_rn(1.0f, -w1), w1};
    return tap;
}

static __device__ float between(float w0, float a, float w1, float b)
{
    return __fadd_rn(__fmul_rn(w0, a), __fmul_rn(w1, b));
}

static __device__ float pooled_bilinear(const pool_call &c, int y, int x, size_t k)
{
    axis_tap ty = bilinear_tap(c.side, c.out_side, y), tx = bilinear_tap(c.side, c.out_side, x);
    const float *above = c.in + (size_t)(ty.i0 * c.side) * c.width + k, *below = c.in + (size_t)(ty.i1 * c.side) * c.width + k;
    size_t left = (size_t)tx.i0 * c.width, right = (size_t)tx.i1 * c.width;
    return between(ty.w0, between(tx.w0, above[left], tx.w1, above[right]), ty.w1, between(tx.w0, below[left], tx.w1, below[right]));
}

static __device__ float pooled_window(const pool_call &c, int y, int x, size_t k)
{
    float value = c.mode == POOL_MAX ? -FLT_MAX : 0.0f;
    for (int i = 0; i < c.stride * c.stride; i++) {
        float source = c.in[(size_t)((y * c.stride + i / c.stride) * c.side + x * c.stride + i % c.stride) * c.width + k];
        value = c.mode == POOL_AVERAGE ? __fadd_rn(value, source) : source > value ? source : value;
    }
    return c.mode == POOL_AVERAGE ? __fdiv_rn(value, (float)(c.stride * c.stride)) : value;
}

static __global__ void pool_values(pool_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, k = i % c.width, cell = i / c.width;
    if (cell >= (size_t)(c.out_side * c.out_side))
        return;
    int y = (int)cell / c.out_side, x = (int)cell % c.out_side;
    c.out[i] = c.mode == POOL_BILINEAR ? pooled_bilinear(c, y, x, k) : pooled_window(c, y, x, k);
}

void cuda_pool(enum pool_mode mode, int stride, int side, int width, const float *in, float *out)
{
    pool_call c = {mode, stride, side, pool_side(mode, side, stride), (size_t)width, in, out};
    size_t n = (size_t)(c.out_side * c.out_side * width);
    if (mode == POOL_NONE)
        memory_cuda.move(out, in, n * sizeof *out);
    else
        launch(pool_values, "pool", blocks_for(n, THREADS), 1, THREADS, 0, c);
}

/* ---- sums of rows -------------------------------------------------------------------------------------------------------- */

struct merge_call {
    size_t D;
    const uint32_t *begin;
    const struct tap *taps;
    struct row_set source;
    const float *fill;
    bool divide, round_each;
    float *out;
};

template <class T>
static __device__ float tap_value(const merge_call &c, const struct tap *tap, size_t d)
{
    return tap->src == MERGE_FILL ? c.fill[d] : row_of<T>(c.source, tap->src, c.D).load(d);
}

template <class T>
static __global__ void merge_rows(merge_call c)
{
    const struct tap *first = c.taps + c.begin[blockIdx.x], *end = c.taps + c.begin[blockIdx.x + 1];
    bool copy = end - first == 1 && first->w == 1 && (!c.round_each || first->src == MERGE_FILL);
    for (size_t d = threadIdx.x; d < c.D; d += THREADS) {
        float sum = 0;
        for (const struct tap *tap = first; tap < end; tap++) {
            float value = tap_value<T>(c, tap, d);
            sum = copy ? value : __fadd_rn(sum, c.divide ? __fdiv_rn(value, tap->w) : __fmul_rn(tap->w, value));
            if (c.round_each && !copy)
                sum = as_bf16::load(as_bf16::store(sum));
        }
        c.out[(size_t)blockIdx.x * c.D + d] = sum;
    }
}

void cuda_merge(const struct merge *merge)
{
    size_t n_taps = merge->begin[merge->n];
    uint32_t *begin = (uint32_t *)device_bring(merge->begin, (merge->n + 1) * sizeof *begin);
    struct tap *taps = (struct tap *)device_bring(merge->taps, n_taps * sizeof *taps);
    merge_call c = {merge->D, begin, taps, merge->source, merge->fill, merge->divide, merge->round_each, merge->out};
    if (begin && taps)
        WITH_DTYPE(merge->source.dtype, launch(merge_rows<T>, "merge", merge->n, 1, THREADS, 0, c));
    device_drop(begin);
    device_drop(taps);
}

struct sum_call {
    size_t groups, n, D;
    const float *x;
    size_t group, ldx;
    float *y;
    bool add;
    float divisor;
};

static __global__ void sum_values(sum_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, g = i / c.D, d = i % c.D;
    if (g >= c.groups)
        return;
    const float *x = c.x + g * c.group + d;
    float sum = c.add ? c.y[i] : 0.0f;
    for (size_t row = 0; row < c.n; row++)
        sum = __fadd_rn(sum, x[row * c.ldx]);
    c.y[i] = __fdiv_rn(sum, c.divisor);
}

void cuda_sum_rows(size_t groups, size_t n, size_t D, const float *x, size_t group, size_t ldx, float *y, bool add, float divisor)
{
    sum_call c = {groups, n, D, x, group, ldx, y, add, divisor};
    launch(sum_values, "sum_rows", blocks_for(groups * D, THREADS), 1, THREADS, 0, c);
}

/* ---- embedding ----------------------------------------------------------------------------------------------------------- */

struct embed_call {
    size_t width, stride;
    const void *rows;
    const int32_t *ids;
    float *out;
};

template <class T>
static __global__ void embed_rows(embed_call c)
{
    const typename T::bits *row = (const typename T::bits *)c.rows + (size_t)c.ids[blockIdx.x] * c.stride;
    for (size_t k = threadIdx.x; k < c.width; k += THREADS)
        c.out[(size_t)blockIdx.x * c.width + k] = T::load(row[k]);
}

void cuda_embed(const struct matrix *matrix, size_t n, const int32_t *ids, float *out)
{
    int32_t *brought = (int32_t *)device_bring(ids, n * sizeof *ids);
    embed_call c = {matrix->n_in, matrix_stride(matrix->n_in), matrix->panels, brought, out};
    if (brought)
        WITH_DTYPE(matrix->dtype, launch(embed_rows<T>, "embed", n, 1, THREADS, 0, c));
    device_drop(brought);
}

/* ---- the next text id ------------------------------------------------------------------------------------------------------- */

enum { NEXT_THREADS = 1024 };

struct next_call {
    size_t n, n_ids;
    float *logits;
    const int32_t *ids;
    float penalty;
    struct next_id *out;
};

/* An id in a thread: the first of those that are the same. */
static __global__ void penalise_logits(next_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= c.n_ids)
        return;
    for (size_t j = 0; j < i; j++)
        if (c.ids[j] == c.ids[i])
            return;
    float *logit = c.logits + c.ids[i];
    *logit = *logit < 0 ? __fmul_rn(*logit, c.penalty) : __fdiv_rn(*logit, c.penalty);
}

/* Of two sets of logits, the best of both. */
static __device__ struct next_id better(const struct next_id &a, const struct next_id &b)
{
    bool first = a.most > b.most || (a.most == b.most && a.id < b.id);
    struct next_id best = first ? a : b;
    best.second = first ? fmaxf(a.second, b.most) : fmaxf(b.second, a.most);
    return best;
}

/* One block goes through all logits: they are read faster than another kernel starts. */
static __global__ void find_next(next_call c)
{
    struct next_id *best = (struct next_id *)shared_memory();
    struct next_id own = {INT32_MAX, -INFINITY, -INFINITY};
    for (size_t i = threadIdx.x; i < c.n; i += NEXT_THREADS) {
        struct next_id one = {(int32_t)i, c.logits[i], -INFINITY};
        own = better(own, one);
    }
    best[threadIdx.x] = own;
    for (unsigned half = NEXT_THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            best[threadIdx.x] = better(best[threadIdx.x], best[threadIdx.x + half]);
    }
    if (threadIdx.x == 0)
        *c.out = best[0];
}

struct next_id cuda_next(const struct candidates *candidates)
{
    bool penalised = candidates->n_ids && candidates->penalty != 1;
    struct next_id next = {0, 0, 0}, *out = (struct next_id *)device_bring(&next, sizeof next);
    int32_t *ids = penalised ? (int32_t *)device_bring(candidates->ids, candidates->n_ids * sizeof *ids) : NULL;
    next_call c = {candidates->n, candidates->n_ids, candidates->logits, ids, candidates->penalty, out};
    if (ids)
        launch(penalise_logits, "the penalty", blocks_for(c.n_ids, THREADS), 1, THREADS, 0, c);
    if (out && (ids || !penalised)) {
        launch(find_next, "the next text id", 1, 1, NEXT_THREADS, NEXT_THREADS * sizeof(struct next_id), c);
        memory_cuda.get(&next, out, sizeof next);
    }
    device_drop(ids);
    device_drop(out);
    return next;
}
