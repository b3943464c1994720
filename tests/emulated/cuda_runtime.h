/* The dialect of CUDA that engine/kernels/cuda is written in, as plain C++: what kernels of emulated.cpp's card see. */
#ifndef TOKSWEEP_TESTS_EMULATED_CUDA_RUNTIME_H
#define TOKSWEEP_TESTS_EMULATED_CUDA_RUNTIME_H

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstring>

#define __global__
#define __device__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern thread_local dim3 threadIdx, blockIdx, blockDim;

unsigned char *shared_memory(void); /* of the block that runs */
void __syncthreads(void);
void __syncwarp(void);
float __shfl_xor_sync(unsigned mask, float value, int apart);

/* matrix_unit.cuh's load_b_rows for the address of one row, and its multiply with values read by `load`. */
void emulated_load_transposed(uint32_t b[2], const uint16_t *row);
void emulated_multiply(float c[4], const uint32_t a[4], const uint32_t b[2], float (*load)(uint16_t));

/* Compiled without contraction of products into sums, so that each operation is rounded. */
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }

static inline float __uint_as_float(uint32_t bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t __float_as_uint(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

cudaError_t emulated_launch(const cudaLaunchConfig_t *config, const void *kernel, void (*run)(const void *kernel, const void *call), const void *call,
                            size_t call_bytes);

template <class Call>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Call), const Call &call)
{
    struct pair {
        static void run(const void *kernel_, const void *call_)
        {
            (*(void (*const *)(Call))kernel_)(*(const Call *)call_);
        }
    };
    Call clean = call;
    __builtin_clear_padding(&clean); /* so that what looks like a pointer is one */
    return emulated_launch(config, &kernel, pair::run, &clean, sizeof clean);
}

#endif
