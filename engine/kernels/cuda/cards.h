/* The CUDA cards of this machine, by the runtime's own words. In a build without CUDA there are none. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CUDA_CARDS_H
#define TOKSWEEP_ENGINE_KERNELS_CUDA_CARDS_H

#include <stdbool.h>
#include <stddef.h>

struct cuda_card {
    char name[128];
    int major, minor;     /* compute capability */
    size_t memory_bytes;
};

/* Whether this build knows CUDA at all. */
bool cuda_built(void);

/* Fills at most `most` cards; returns how many there are, or -1 with `why` set to the runtime's message (no driver, ...). */
int cuda_cards(struct cuda_card *out, int most, const char **why);

#endif
