/* GEMM: cuBLASLt where it has an algorithm, own kernels for what it has none for (rows that are not aligned). Either way a product's bits do
 * not depend on the number of rows: one chain of sums over n_in for each value here, one algorithm per matrix there. */
#include "engine/kernels/cuda/matrix_unit.cuh"

struct gemm_call {
    size_t n, n_out, n_in;
    const void *x;
    size_t ldx;
    const void *w;
    size_t ldw;
    const float *bias;
    enum epilogue epilogue;
    void *y;
    size_t ldy;
    bool y_f32;             /* y is f32, whatever the operands are */
    const float *products;  /* [n][n_out] where they have been computed */
};

/* ---- epilogues ----------------------------------------------------------------------------------------------------------- */

static __device__ float gelu_tanh(float v)
{
    return 0.5f * v * (1 + tanhf(0.7978845608028654f * (v + 0.044715f * v * v * v)));
}

static __device__ float gelu_erf(float v)
{
    return 0.5f * v * erfcf(-0.70710678118654752f * v); /* 1 + erf(u) without the cancellation below zero */
}

static __device__ float silu(float v)
{
    return v / (1 + expf(-v));
}

/* kernels.h's swiglu_gate_row. */
static __device__ size_t gate_place(size_t i)
{
    return i / 32 * 64 + i % 32;
}

template <class T>
static __device__ void put_value(const gemm_call &c, size_t row, size_t column, float value)
{
    size_t at = row * c.ldy + column;
    if (c.y_f32)
        ((float *)c.y)[at] = value;
    else
        ((typename T::bits *)c.y)[at] = T::store(value);
}

/* Output `column` of a row from its products v of 64 columns that begin with column / 64 * 64 (SwiGLU: of a panel, 32 outputs). */
template <class T>
static __device__ void finish(const gemm_call &c, size_t row, size_t column, const float *v)
{
    bool pairs = c.epilogue == EPILOGUE_SWIGLU;
    size_t place = pairs ? gate_place(column) : column, within = place % PANEL;
    float value = v[within] + (c.bias ? c.bias[place] : 0.0f);
    if (pairs)
        value = silu(value) * (v[within + 32] + (c.bias ? c.bias[place + 32] : 0.0f));
    else if (c.epilogue == EPILOGUE_GELU_TANH)
        value = gelu_tanh(value);
    else if (c.epilogue == EPILOGUE_GELU_ERF)
        value = gelu_erf(value);
    else if (c.epilogue == EPILOGUE_ADD)
        value += ((float *)c.y)[row * c.ldy + column];
    put_value<T>(c, row, column, value);
}

enum { FINISH_THREADS = 256 };

/* Epilogues of products that are there. */
template <class T>
static __global__ void finish_values(gemm_call c)
{
    size_t columns = c.epilogue == EPILOGUE_SWIGLU ? c.n_out / 2 : c.n_out;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, row = i / columns, column = i % columns;
    size_t panel = c.epilogue == EPILOGUE_SWIGLU ? column / 32 : column / PANEL;
    if (row < c.n)
        finish<T>(c, row, column, c.products + row * c.n_out + panel * PANEL);
}

/* ---- products ------------------------------------------------------------------------------------------------------------ */

enum { TILE = 64, TILE_STRIDE = TILE + 1 }; /* rows and columns of a block's products; TILE is PANEL */

/* Epilogues of a block's products in shared memory. */
template <class T>
static __device__ void finish_tile(const gemm_call &c, const float *products)
{
    int columns = c.epilogue == EPILOGUE_SWIGLU ? TILE / 2 : TILE;
    size_t width = c.epilogue == EPILOGUE_SWIGLU ? c.n_out / 2 : c.n_out;
    for (int i = (int)threadIdx.x; i < TILE * columns; i += (int)blockDim.x) {
        size_t row = (size_t)blockIdx.x * TILE + (size_t)(i / columns), column = (size_t)blockIdx.y * (size_t)columns + (size_t)(i % columns);
        if (row < c.n && column < width)
            finish<T>(c, row, column, products + i / columns * TILE_STRIDE);
    }
}

/* A tile of 64 rows and `depth` columns from column k of an operand to shared memory, zeros past its end. */
template <class Bits>
static __device__ void load_tile(Bits *to, int stride, const Bits *from, size_t ld, size_t first, size_t rows, size_t k, size_t n_in, int depth)
{
    for (int i = (int)threadIdx.x; i < TILE * depth; i += (int)blockDim.x) {
        size_t row = first + (size_t)(i / depth), column = k + (size_t)(i % depth);
        to[i / depth * stride + i % depth] = row < rows && column < n_in ? from[row * ld + column] : (Bits)0;
    }
}

enum { F32_THREADS = 256, F32_DEPTH = 16, F32_STRIDE = F32_DEPTH + 1, F32_SHARED = (TILE * TILE_STRIDE + 2 * TILE * F32_STRIDE) * 4 };

/* Thread (i, j) of 16 x 16 has rows i + 16 r and columns j + 16 s. */
static __global__ void multiply_f32(gemm_call c)
{
    float *products = (float *)shared_memory(), *xs = products + TILE * TILE_STRIDE, *ws = xs + TILE * F32_STRIDE;
    int i = (int)threadIdx.x / 16, j = (int)threadIdx.x % 16;
    float sums[4][4] = {};
    for (size_t k = 0; k < c.n_in; k += F32_DEPTH) {
        __syncthreads();
        load_tile(xs, F32_STRIDE, (const float *)c.x, c.ldx, (size_t)blockIdx.x * TILE, c.n, k, c.n_in, F32_DEPTH);
        load_tile(ws, F32_STRIDE, (const float *)c.w, c.ldw, (size_t)blockIdx.y * TILE, c.n_out, k, c.n_in, F32_DEPTH);
        __syncthreads();
        for (int step = 0; step < F32_DEPTH; step++)
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < 4; s++)
                    sums[r][s] = fmaf(xs[(i + 16 * r) * F32_STRIDE + step], ws[(j + 16 * s) * F32_STRIDE + step], sums[r][s]);
    }
    for (int r = 0; r < 4; r++)
        for (int s = 0; s < 4; s++)
            products[(i + 16 * r) * TILE_STRIDE + j + 16 * s] = sums[r][s];
    __syncthreads();
    finish_tile<as_f32>(c, products);
}

enum { HALF_THREADS = 128, HALF_DEPTH = 32, HALF_STRIDE = HALF_DEPTH + 8, HALF_SHARED = TILE * TILE_STRIDE * 4 + 2 * TILE * HALF_STRIDE * 2 };

/* Warp (i, j) of 2 x 2 has rows 32 i.. and columns 32 j.. . */
template <class T>
static __global__ void multiply_half(gemm_call c)
{
    float *products = (float *)shared_memory();
    uint16_t *xs = (uint16_t *)(products + TILE * TILE_STRIDE), *ws = xs + TILE * HALF_STRIDE;
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP, top = warp / 2 * 32, left = warp % 2 * 32;
    float sums[2][4][4] = {};
    for (size_t k = 0; k < c.n_in; k += HALF_DEPTH) {
        __syncthreads();
        load_tile(xs, HALF_STRIDE, (const uint16_t *)c.x, c.ldx, (size_t)blockIdx.x * TILE, c.n, k, c.n_in, HALF_DEPTH);
        load_tile(ws, HALF_STRIDE, (const uint16_t *)c.w, c.ldw, (size_t)blockIdx.y * TILE, c.n_out, k, c.n_in, HALF_DEPTH);
        __syncthreads();
        for (int step = 0; step < HALF_DEPTH; step += 16)
            for (int r = 0; r < 2; r++) {
                uint32_t a[4], b[2];
                load_a(a, xs, HALF_STRIDE, top + 16 * r, step);
                for (int s = 0; s < 4; s++) {
                    load_b(b, ws, HALF_STRIDE, left + 8 * s, step);
                    multiply<T>(sums[r][s], a, b);
                }
            }
    }
    for (int r = 0; r < 2; r++)
        for (int s = 0; s < 4; s++)
            for (int i = 0; i < 4; i++)
                products[(top + 16 * r + lane / 4 + i / 2 * 8) * TILE_STRIDE + left + 8 * s + lane % 4 * 2 + i % 2] = sums[r][s][i];
    __syncthreads();
    finish_tile<T>(c, products);
}

/* ---- the slot ------------------------------------------------------------------------------------------------------------ */

static void multiply_own(const gemm_call &c, enum dtype dtype)
{
    size_t down = blocks_for(c.n, TILE), across = blocks_for(c.n_out, TILE);
    if (dtype == DTYPE_F32)
        launch(multiply_f32, "gemm", down, across, F32_THREADS, F32_SHARED, c);
    else if (dtype == DTYPE_BF16)
        launch(multiply_half<as_bf16>, "gemm", down, across, HALF_THREADS, HALF_SHARED, c);
    else
        launch(multiply_half<as_f16>, "gemm", down, across, HALF_THREADS, HALF_SHARED, c);
}

void cuda_gemm(const struct gemm *g, int threads)
{
    (void)threads;
    const struct matrix *w = g->w;
    bool bare = false;
    gemm_call c = {g->n,  w->n_out, w->n_in,     g->x, g->ldx, w->panels, matrix_stride(w->n_in),
                   w->bias, g->epilogue, g->y, g->ldy, g->out_dtype == DTYPE_F32, NULL};
    size_t columns = g->epilogue == EPILOGUE_SWIGLU ? w->n_out / 2 : w->n_out;
    if (!g->n)
        return;
    if (!cuda_gemm_lt(g, &bare)) {
        multiply_own(c, w->dtype);
    } else if (bare) {
        c.products = (const float *)g->scratch;
        WITH_DTYPE(w->dtype, launch(finish_values<T>, "gemm's epilogue", blocks_for(g->n * columns, FINISH_THREADS), 1, FINISH_THREADS, 0, c));
    }
}
