/* How many of a few long rows are independent of each other. */
#ifndef TOKSWEEP_COMPRESSORS_RANK_H
#define TOKSWEEP_COMPRESSORS_RANK_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>

/* Rank of rows[m][n] as single precision can tell it: singular values above the largest one times max(m, n) times epsilon, as numpy and
 * torch count them. Costs m^2 n, and m^3 for each of a few sweeps. false when memory is out. */
bool rank_of_rows(const float *rows, size_t m, size_t n, size_t *rank, struct arena *arena);

#endif
