/* Pairing: two cells question by question. */
#ifndef TOKSWEEP_HARNESS_PAIRING_H
#define TOKSWEEP_HARNESS_PAIRING_H

#include "metrics/paired.h"
#include "results/store.h"

struct pairing {
    struct pair *pairs;               /* [n] questions that both answered; failures are left out */
    size_t n, n_videos;               /* n_videos: of the manifest */
    size_t n_unpaired;                /* other questions */
    int64_t only_a, only_b, n_a, n_b; /* right: on one side alone; on each, of the n */
};

/* Whether there is a reply: an answer that is no failure. */
bool pairing_replied(const struct stored_answer *answer);

/* ERR_CONFIG unless both ask the same questions in the same order; ERR_MEMORY. */
int pairing_make(struct pairing *out, const struct stored_cell *a, const struct stored_cell *b, struct err *err);
void pairing_free(struct pairing *pairing);

#endif
