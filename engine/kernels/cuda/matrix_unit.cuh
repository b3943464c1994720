/* The matrix unit: one warp's product of small 16-bit matrices, and how operands get from shared memory into the registers it wants
 * (PTX ISA, "mma.m16n8k16" and "ldmatrix"). Lane l holds of
 *
 *   a [16][16]  a[0]: row l/4, columns 2(l%4) and the next; a[1]: row l/4 + 8; a[2], a[3]: the same, columns + 8
 *   b [16][8]   b[0]: column l/4, rows 2(l%4) and the next; b[1]: rows + 8
 *   c [16][8]   c[0], c[1]: row l/4, columns 2(l%4) and the next; c[2], c[3]: row l/4 + 8
 *
 * two values to a register, the earlier one in its low half. Each c is one chain of f32 sums over k: its bits do not depend on what is
 * computed beside it. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CUDA_MATRIX_UNIT_CUH
#define TOKSWEEP_ENGINE_KERNELS_CUDA_MATRIX_UNIT_CUH

#include "engine/kernels/cuda/kernel.cuh"

/* Two neighbouring values, at an even place. */
static __device__ inline uint32_t pair_at(const uint16_t *values)
{
    return *(const uint32_t *)(const void *)values;
}

template <class T>
static __device__ inline uint32_t pair_of(float low, float high)
{
    return (uint32_t)T::store(low) | (uint32_t)T::store(high) << 16;
}

/* a of rows row..row+15, columns k..k+15, of values in shared memory, `stride` from row to row. */
static __device__ inline void load_a(uint32_t a[4], const uint16_t *values, int stride, int row, int k)
{
    int lane = (int)threadIdx.x % WARP;
    const uint16_t *at = values + (row + lane / 4) * stride + k + 2 * (lane % 4);
    a[0] = pair_at(at);
    a[1] = pair_at(at + 8 * stride);
    a[2] = pair_at(at + 8);
    a[3] = pair_at(at + 8 * stride + 8);
}

/* b whose column n, rows k.., are row `column + n`, columns k.., of values in shared memory: b is their transpose. */
static __device__ inline void load_b(uint32_t b[2], const uint16_t *values, int stride, int column, int k)
{
    int lane = (int)threadIdx.x % WARP;
    const uint16_t *at = values + (column + lane / 4) * stride + k + 2 * (lane % 4);
    b[0] = pair_at(at);
    b[1] = pair_at(at + 8);
}

#ifdef __CUDACC__

/* b of rows k..k+15, columns column..column+7, as they lie in shared memory. */
static __device__ inline void load_b_rows(uint32_t b[2], const uint16_t *values, int stride, int k, int column)
{
    const uint16_t *row = values + (k + (int)threadIdx.x % 16) * stride + column;
    uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(b[0]), "=r"(b[1]) : "r"(address) : "memory");
}

template <class T>
static __device__ inline void multiply(float c[4], const uint32_t a[4], const uint32_t b[2]);

template <>
__device__ inline void multiply<as_bf16>(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
__device__ inline void multiply<as_f16>(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

static inline void load_b_rows(uint32_t b[2], const uint16_t *values, int stride, int k, int column)
{
    emulated_load_transposed(b, values + (k + (int)threadIdx.x % 16) * stride + column);
}

template <class T>
static inline void multiply(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    emulated_multiply(c, a, b, T::load);
}

#endif

#endif
