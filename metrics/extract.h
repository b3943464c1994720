/* From a reply to a letter, as each protocol does it (benchmarks.md 11). Pure; Unicode-aware where upstream is. */
#ifndef TOKSWEEP_METRICS_EXTRACT_H
#define TOKSWEEP_METRICS_EXTRACT_H

#include "core/profile.h"

#include <stdbool.h>
#include <stddef.h>

/* Python's str.strip(): the span of text[0..length) without leading and trailing Unicode blanks (benchmarks.md 2.3). */
void text_strip(const char **text, size_t *length);

/* Takes <think>...</think> blocks out of a reply, then <analysis> ones, then blanks at its ends, in place. An end tag without a start
 * takes all before it; a start tag without an end stays. For profiles with drops_reasoning. */
void text_drop_reasoning(char *reply);

/* Index of the option chosen (0 for A), -1 for none. `n_letters` letters are on offer; only EXTRACT_MCQ looks at that, the others
 * know the letters of their protocol (A-D, any, A-E), so that the index can be past the options: a wrong answer. `reply` is
 * NUL-terminated UTF-8. */
int extract_letter(enum extractor extractor, const char *reply, int n_letters);

#endif
