/* The CUDA cards of this machine. Compiled against the runtime where TOKSWEEP_CUDA is on, and to "none" elsewhere. */
#include "engine/kernels/cuda/cards.h"

#ifdef TOKSWEEP_CUDA

#include <cuda_runtime_api.h>
#include <stdio.h>

bool cuda_built(void)
{
    return true;
}

int cuda_cards(struct cuda_card *out, int most, const char **why)
{
    int n = 0;
    cudaError_t error = cudaGetDeviceCount(&n);
    if (error == cudaErrorNoDevice)
        return 0;
    for (int i = 0; error == cudaSuccess && i < n && i < most; i++) {
        struct cudaDeviceProp card;
        if ((error = cudaGetDeviceProperties(&card, i)) != cudaSuccess)
            break;
        snprintf(out[i].name, sizeof out[i].name, "%.127s", card.name);
        out[i].major = card.major;
        out[i].minor = card.minor;
        out[i].memory_bytes = card.totalGlobalMem;
    }
    *why = cudaGetErrorString(error);
    return error == cudaSuccess ? n : -1;
}

#else

bool cuda_built(void)
{
    return false;
}

int cuda_cards(struct cuda_card *out, int most, const char **why)
{
    (void)out, (void)most, (void)why;
    return 0;
}

#endif
