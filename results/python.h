/* JSON as Python's json.dumps(value, ensure_ascii=False) writes it, so that exports can be compared byte for byte with what lmms-eval
 * leaves: ", " and ": " between things, members in their order, floats by repr(). Memory running out shows in text->failed. */
#ifndef TOKSWEEP_RESULTS_PYTHON_H
#define TOKSWEEP_RESULTS_PYTHON_H

#include "core/json.h"
#include "core/text.h"

void python_string(struct text *out, const char *string); /* NULL is null */
void python_float(struct text *out, double value);        /* "0.0", "66.66666666666667"; NaN as json.dumps has it */
void python_json(struct text *out, const struct json *value); /* numbers without a fraction as int */

/* A member's key with what stands before its value: "{" or ", ", the key, ": ". `first` is set to false. */
void python_key(struct text *out, bool *first, const char *key);

#endif
