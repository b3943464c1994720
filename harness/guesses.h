/* Guesses: what the letters that lmms-eval draws would have made of a cell's replies without one. */
#ifndef TOKSWEEP_HARNESS_GUESSES_H
#define TOKSWEEP_HARNESS_GUESSES_H

#include "results/store.h"

struct guesses {
    int64_t n;       /* replies without a letter */
    int64_t seeded;  /* of these, right by lmms-eval's own draws: seed 0, in the order of the manifest, nothing else drawing in between */
    double expected; /* of these, right on average */
};

/* Of all samples, or of those in one group of a kind ("task_type", "duration", "domain", "sub_category"); `kind` NULL: all. The draws are
 * the same either way. */
int guesses_of_cell(struct guesses *out, struct store *store, int64_t cell, const char *kind, const char *group, struct err *err);

#endif
