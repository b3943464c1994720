/* The CUDA cards of this machine. Compiled against the runtime where TOKSWEEP_CUDA is on, and to "none" elsewhere. */
#include "engine/kernels/cuda/cards.h"

#ifdef TOKSWEEP_CUDA

#include "engine/kernels/cuda/device.h"

#include <stdio.h>

bool cuda_built(void)
{
    return true;
}

static cudaError_t describe(struct cuda_card *out, int number)
{
    struct cudaDeviceProp card;
    cudaError_t error = cudaGetDeviceProperties(&card, number);
    if (error != cudaSuccess)
        return error;
    snprintf(out->name, sizeof out->name, "%.127s", card.name);
    out->major = card.major;
    out->minor = card.minor;
    out->memory_bytes = card.totalGlobalMem;
    return cudaSuccess;
}

int cuda_cards(struct cuda_card *out, int most, const char **why)
{
    int n = 0;
    cudaError_t error = cudaGetDeviceCount(&n);
    if (error == cudaErrorNoDevice)
        return 0;
    for (int i = 0; error == cudaSuccess && i < n && i < most; i++)
        error = describe(&out[i], i);
    *why = cudaGetErrorString(error);
    return error == cudaSuccess ? n : -1;
}

int cuda_open(const struct kernels **out, int card, struct err *err)
{
    struct cuda_card facts;
    cudaError_t error = describe(&facts, card);
    if (error != cudaSuccess)
        return err_set(err, ERR_DEVICE, "cuda:%d does not answer (%s)", card, cudaGetErrorString(error));
    if (10 * facts.major + facts.minor < TOKSWEEP_CUDA_LEAST)
        return err_set(err, ERR_DEVICE, "cuda:%d (%s) is of compute %d.%d, this build has code from %d.%d on; build with "
                       "-DCMAKE_CUDA_ARCHITECTURES=%d%d (80 is the least that works), or use --device cpu", card, facts.name, facts.major, facts.minor,
                       TOKSWEEP_CUDA_LEAST / 10, TOKSWEEP_CUDA_LEAST % 10, facts.major, facts.minor);
    int rc = device_choose(card, err);
    if (!rc)
        *out = &kernels_cuda;
    return rc;
}

bool cuda_card_of(const struct kernels *k, int *number, struct cuda_card *card)
{
    *number = device_chosen();
    return k == &kernels_cuda && *number >= 0 && describe(card, *number) == cudaSuccess;
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

int cuda_open(const struct kernels **out, int card, struct err *err)
{
    (void)out, (void)card;
    return err_set(err, ERR_DEVICE, "this build has no CUDA");
}

bool cuda_card_of(const struct kernels *k, int *number, struct cuda_card *card)
{
    (void)k, (void)number, (void)card;
    return false;
}

#endif
