/* Row-wise slots. Norms take a block for a row; the rest a thread for a value. Products are rounded before they are added where the
 * contract asks for the bits of the plain formula (__fmul_rn: the compiler fuses no such product into a sum). */
#include "engine/kernels/cuda/kernel.cuh"

enum { THREADS = 128, EACH_THREADS = 256 };

/* ---- norms --------------------------------------------------------------------------------------------------------------- */

struct norm_call {
    size_t D;
    const float *x;
    size_t ldx;
    const float *w, *b;
    float eps;
    void *y;
    size_t ldy;
};

/* Sum of (x - centre)^2 over a row, the same in all threads. */
static __device__ float squares(const float *x, size_t D, float centre, float *room)
{
    float sum = 0;
    for (size_t d = threadIdx.x; d < D; d += THREADS)
        sum = fmaf(x[d] - centre, x[d] - centre, sum);
    return block_reduce(sum, room, false);
}

template <class T>
static __global__ void layernorm_rows(norm_call c)
{
    float *room = (float *)shared_memory();
    const float *x = c.x + blockIdx.x * c.ldx;
    typename T::bits *y = (typename T::bits *)c.y + blockIdx.x * c.ldy;
    float sum = 0;
    for (size_t d = threadIdx.x; d < c.D; d += THREADS)
        sum += x[d];
    float mean = block_reduce(sum, room, false) / (float)c.D;
    float scale = 1 / sqrtf(squares(x, c.D, mean, room) / (float)c.D + c.eps);
    for (size_t d = threadIdx.x; d < c.D; d += THREADS)
        y[d] = T::store(fmaf((x[d] - mean) * scale, c.w[d], c.b[d]));
}

template <class T>
static __global__ void rmsnorm_rows(norm_call c)
{
    float *room = (float *)shared_memory();
    const float *x = c.x + blockIdx.x * c.ldx;
    typename T::bits *y = (typename T::bits *)c.y + blockIdx.x * c.ldy;
    float scale = 1 / sqrtf(squares(x, c.D, 0, room) / (float)c.D + c.eps);
    for (size_t d = threadIdx.x; d < c.D; d += THREADS)
        y[d] = T::store(T::load(T::store(x[d] * scale)) * c.w[d]);
}

void cuda_layernorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, const float *b, float eps, void *y, size_t ldy,
                    enum dtype out, int threads)
{
    (void)threads;
    norm_call c = {D, x, ldx, w, b, eps, y, ldy};
    WITH_DTYPE(out, launch(layernorm_rows<T>, "layernorm", n, 1, THREADS, THREADS / WARP * sizeof(float), c));
}

void cuda_rmsnorm(size_t n, size_t D, const float *x, size_t ldx, const float *w, float eps, void *y, size_t ldy, enum dtype out, int threads)
{
    (void)threads;
    norm_call c = {D, x, ldx, w, NULL, eps, y, ldy};
    WITH_DTYPE(out, launch(rmsnorm_rows<T>, "rmsnorm", n, 1, THREADS, THREADS / WARP * sizeof(float), c));
}

/* ---- rotation ------------------------------------------------------------------------------------------------------------ */

struct rope_call {
    size_t n, heads, half;
    float *x;
    size_t ld;
    const float *cosines, *sines;
    size_t first;
    const ptrdiff_t *shift;
};

static __global__ void rope_values(rope_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, d = i % c.half, head = i / c.half % c.heads, row = i / c.half / c.heads;
    if (row >= c.n)
        return;
    float *low = c.x + row * c.ld + head * 2 * c.half + d, *high = low + c.half;
    size_t at = (shifted(c.first, c.shift) + row) * c.half + d;
    float cosine = c.cosines[at], sine = c.sines[at], a = *low, b = *high;
    *low = __fadd_rn(__fmul_rn(a, cosine), -__fmul_rn(b, sine));
    *high = __fadd_rn(__fmul_rn(b, cosine), __fmul_rn(a, sine));
}

void cuda_rope(size_t n, int heads, int head_dim, float *x, size_t ld, const float *cos, const float *sin, size_t first, int threads)
{
    (void)threads;
    size_t half = (size_t)head_dim / 2;
    rope_call c = {n, (size_t)heads, half, x, ld, cos, sin, first, device_shift()};
    launch(rope_values, "rope", blocks_for(n * (size_t)heads * half, EACH_THREADS), 1, EACH_THREADS, 0, c);
}

/* ---- rounding ------------------------------------------------------------------------------------------------------------ */

struct convert_call {
    size_t n, D;
    const float *x;
    size_t ldx;
    void *y;
    size_t ldy;
};

template <class T>
static __global__ void convert_values(convert_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, row = i / c.D, d = i % c.D;
    if (row < c.n)
        ((typename T::bits *)c.y)[row * c.ldy + d] = T::store(c.x[row * c.ldx + d]);
}

void cuda_convert(size_t n, size_t D, const float *x, size_t ldx, void *y, size_t ldy, enum dtype out, int threads)
{
    (void)threads;
    convert_call c = {n, D, x, ldx, y, ldy};
    WITH_DTYPE(out, launch(convert_values<T>, "convert", blocks_for(n * D, EACH_THREADS), 1, EACH_THREADS, 0, c));
}

/* ---- the cache ----------------------------------------------------------------------------------------------------------- */

struct kv_call {
    size_t n, first, heads, width, padded, capacity;
    const float *keys, *values;
    size_t ld;
    void *to_keys, *to_values;
    size_t sequences;
    const ptrdiff_t *shift;
};

template <class T>
static __global__ void kv_values(kv_call c)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, d = i % c.width, head = i / c.width % c.heads, row = i / c.width / c.heads;
    if (row >= c.n * c.sequences)
        return;
    size_t from = row * c.ld + head * c.width + d;
    size_t to = ((row / c.n * c.heads + head) * c.capacity + shifted(c.first, c.shift) + row % c.n) * c.padded + d;
    ((typename T::bits *)c.to_keys)[to] = T::store(c.keys[from]);
    ((typename T::bits *)c.to_values)[to] = T::store(c.values[from]);
}

void cuda_kv_write(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads)
{
    (void)threads;
    size_t heads = (size_t)kv->kv_heads, width = (size_t)kv->head_dim;
    kv_call c = {n, first, heads, width, (width + 15) / 16 * 16, kv->capacity, keys, values, ld, kv->keys, kv->values,
                 kv_sequences(kv), device_shift()};
    WITH_DTYPE(kv->dtype, launch(kv_values<T>, "kv_write", blocks_for(c.sequences * n * heads * width, EACH_THREADS), 1, EACH_THREADS, 0, c));
}
