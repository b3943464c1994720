/* From a reply to a letter, as each protocol does it (benchmarks.md 11). Pure; Unicode-aware where upstream is. */
#ifndef TOKSWEEP_METRICS_EXTRACT_H
#define TOKSWEEP_METRICS_EXTRACT_H

#include "core/profile.h"

#include <stdbool.h>
#include <stddef.h>

/* Python's str.strip(): the span of text[0..length) without leading and trailing Unicode blanks (benchmarks.md 2.3). */
void text_strip(const char **text, size_t *length);

/* Index of the option chosen (0 for A), -1 for none. `n_letters` letters are on offer. `reply` is NUL-terminated UTF-8. */
int extract_letter(enum extractor extractor, const char *reply, int n_letters);

#endif
