/* From a reply to a scored answer: the letter that a profile finds in it, and whether it is the right one. Pure. */
#ifndef TOKSWEEP_METRICS_SCORE_H
#define TOKSWEEP_METRICS_SCORE_H

#include "core/answer.h"
#include "core/err.h"
#include "core/profile.h"
#include "core/sample.h"

/* Sets status, extracted, correct and empty of `answer` from a stripped reply to `sample`; its other members stay. A letter that upstream
 * would have drawn is none.
 * protocol      the profile's, of the sample's benchmark
 * most_letters  that the benchmark's options have
 * ERR_MEMORY only. */
int score_reply(struct answer *answer, const char *reply, const struct sample *sample, const struct profile *profile,
                const struct protocol *protocol, int most_letters, struct err *err);

/* Whether a scored reply is in the denominator of the protocol's headline. */
bool score_counts(const struct answer *answer, const struct protocol *protocol);

#endif
