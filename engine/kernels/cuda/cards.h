/* The CUDA cards of this machine, by the runtime's own words, and the table that computes on one. In a build without CUDA there are none. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CUDA_CARDS_H
#define TOKSWEEP_ENGINE_KERNELS_CUDA_CARDS_H

#include "engine/kernels/kernels.h"

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

/* The table, computing on this card from now on, in all threads. ERR_DEVICE when another card was opened before, or when the card is older
 * than what this build has code for, or without CUDA. */
int cuda_open(const struct kernels **out, int card, struct err *err);

/* Of the card that was opened; false when there is none, or `k` is another table. */
bool cuda_card_of(const struct kernels *k, int *number, struct cuda_card *card);

#endif
