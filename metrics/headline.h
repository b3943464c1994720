/* A cell's headline as a plain mean: what its protocol makes of the scores, turned into one number per question whose mean is the headline
 * and whose spread over videos is the headline's, so that the same statistics do for micro and macro averages. Pure. */
#ifndef TOKSWEEP_METRICS_HEADLINE_H
#define TOKSWEEP_METRICS_HEADLINE_H

#include "core/err.h"

#include <stddef.h>

/* Macro: scores[i], of a question in group group[i] (0..n_groups-1), becomes mean + (score - its group's mean) * n / (questions of the
 * group * groups): the delta method on the mean of the groups' means. Groups without a question are left out, but for `least` groups, of
 * which those that are missing count as 0. Returns ERR_MEMORY, or 0. A micro headline needs no such step. */
int headline_macro(double *scores, const size_t *group, size_t n, size_t n_groups, size_t least, struct err *err);

#endif
