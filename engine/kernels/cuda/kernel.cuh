/* What kernels are written in. Device code here is plain C++ but for a dozen words of CUDA, so that tests/emulated can compile it for the
 * processor and run every kernel block by block where there is no card.
 *
 * Rules that keep results the same for any batch: a block's result depends on its own rows alone, sums run in an order that depends on the
 * width of a row or on key positions, and nothing is added atomically. All shared memory is dynamic (`shared_memory`). */
#ifndef TOKSWEEP_ENGINE_KERNELS_CUDA_KERNEL_CUH
#define TOKSWEEP_ENGINE_KERNELS_CUDA_KERNEL_CUH

#include <cuda_runtime.h>
#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

#include "engine/kernels/cuda/device.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* ---- values -------------------------------------------------------------------------------------------------------------- */

struct as_f32 {
    typedef float bits;
    static __device__ float load(float value) { return value; }
    static __device__ float store(float value) { return value; }
};

struct as_bf16 {
    typedef uint16_t bits;
    static __device__ float load(uint16_t value) { return __uint_as_float((uint32_t)value << 16); }
    static __device__ uint16_t store(float value)
    {
        uint32_t wide = __float_as_uint(value);
        if ((wide & 0x7fffffffu) > 0x7f800000u)
            return (uint16_t)((wide >> 16) | 0x40u);
        return (uint16_t)((wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16);
    }
};

struct as_f16 {
    typedef uint16_t bits;
#ifdef __CUDACC__
    static __device__ float load(uint16_t value) { return __half2float(__ushort_as_half(value)); }
    static __device__ uint16_t store(float value) { return __half_as_ushort(__float2half_rn(value)); }
#else
    static float load(uint16_t value) { return f32_from_f16(value); }
    static uint16_t store(float value) { return f16_from_f32(value); }
#endif
};

/* Calls function<as_...> for a dtype. */
#define WITH_DTYPE(dtype, call)                                \
    do {                                                       \
        if ((dtype) == DTYPE_F32) {                            \
            typedef as_f32 T;                                  \
            call;                                              \
        } else if ((dtype) == DTYPE_BF16) {                    \
            typedef as_bf16 T;                                 \
            call;                                              \
        } else {                                               \
            typedef as_f16 T;                                  \
            call;                                              \
        }                                                      \
    } while (0)

/* Before a loop that is not worth unrolling, as what is inside is long already; and before one whose indices must be known, so that what
 * they refer to stays in registers. */
#ifdef __CUDACC__
#define ROLLED _Pragma("unroll 1")
#define UNROLLED _Pragma("unroll")
#else
#define ROLLED
#define UNROLLED
#endif

/* A row of a set (kernels.h): stored, or made of others. */
template <class T>
struct set_row {
    const typename T::bits *stored;
    const float *made;
    __device__ float load(size_t d) const { return made ? made[d] : T::load(stored[d]); }
};

template <class T>
static __device__ inline set_row<T> row_of(const struct row_set &set, size_t row, size_t D)
{
    bool made = set.made && row >= set.n;
    set_row<T> at = {made ? NULL : (const typename T::bits *)set.rows + row * D, made ? set.made + (row - set.n) * D : NULL};
    return at;
}

/* What a recording is repeated at, beyond the positions that it was made at (device_shift). */
static __device__ inline size_t shifted(size_t position, const ptrdiff_t *shift)
{
    return shift ? position + (size_t)*shift : position;
}

/* ---- threads of a block -------------------------------------------------------------------------------------------------- */

enum { WARP = 32 };

static __device__ inline float warp_sum(float value)
{
    for (int apart = WARP / 2; apart; apart /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
    return value;
}

static __device__ inline float warp_max(float value)
{
    for (int apart = WARP / 2; apart; apart /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, apart));
    return value;
}

/* Over all threads of a block of whole warps, in the order of warps; `room` is a float for each. */
static __device__ inline float block_reduce(float value, float *room, bool most)
{
    int warps = (int)blockDim.x / WARP;
    value = most ? warp_max(value) : warp_sum(value);
    __syncthreads(); /* room may still be read from the last time */
    if (threadIdx.x % WARP == 0)
        room[threadIdx.x / WARP] = value;
    __syncthreads();
    value = room[0];
    for (int i = 1; i < warps; i++)
        value = most ? fmaxf(value, room[i]) : value + room[i];
    return value;
}

/* ---- launching ----------------------------------------------------------------------------------------------------------- */

/* Runs `kernel` on `blocks` x `rows` blocks of `threads` threads with `shared` bytes of shared memory each. Nothing to do is fine. */
template <class Call>
static void launch(void (*kernel)(Call), const char *name, size_t blocks, size_t rows, int threads, size_t shared, const Call &call)
{
    enum { ASK_FOR_MORE = 48 << 10 }; /* what every kernel may have unasked */
    cudaLaunchConfig_t config = {};
    if (!blocks || !rows)
        return;
    if (shared > ASK_FOR_MORE)
        device_note(cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared), name);
    config.gridDim = dim3((unsigned)blocks, (unsigned)rows, 1);
    config.blockDim = dim3((unsigned)threads, 1, 1);
    config.dynamicSmemBytes = shared;
    config.stream = device_stream();
    device_note(cudaLaunchKernelEx(&config, kernel, call), name);
}

static inline size_t blocks_for(size_t n, size_t per_block)
{
    return (n + per_block - 1) / per_block;
}

#ifdef __CUDACC__
static __device__ inline unsigned char *shared_memory(void)
{
    extern __shared__ __align__(16) unsigned char shared_bytes[];
    return shared_bytes;
}
#endif

#endif
