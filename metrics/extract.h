/* From a reply to a letter, as each protocol does it. Pure; Unicode-aware where upstream is. */
#ifndef TOKSWEEP_METRICS_EXTRACT_H
#define TOKSWEEP_METRICS_EXTRACT_H

#include "core/profile.h"

#include <stdbool.h>
#include <stddef.h>

/* Takes <think>...</think> blocks out of a reply, then <analysis> ones, then blanks at its ends, in place. An end tag without a start
 * takes all before it; a start tag without an end stays. For profiles with drops_reasoning. */
void text_drop_reasoning(char *reply);

/* Index of the option chosen (0 for A), -1 for none: also where upstream would guess at random (protocol.guesses). `n_letters` letters
 * are on offer; only EXTRACT_MCQ, EXTRACT_MMMU and EXTRACT_FIRST_WORD look at that, the others know the letters of their protocol
 * (A-D, A-E, any), so that the index can be past the options: a wrong answer. `options` are the texts of those letters, for
 * EXTRACT_MMMU; NULL does for the others. All texts are NUL-terminated UTF-8. */
int extract_letter(enum extractor extractor, const char *reply, int n_letters, const char *const *options);

#endif
