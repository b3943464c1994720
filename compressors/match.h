/* Controls at equal tokens: a method that is told to leave as many visual tokens as another cell did on the same video and question.
 *
 * What counts is what enters the language model, markers included. A method that honours budgets exactly is given one, an equal part for
 * each frame; pooling and whole frames come in steps, and the nearest is taken. */
#ifndef TOKSWEEP_COMPRESSORS_MATCH_H
#define TOKSWEEP_COMPRESSORS_MATCH_H

#include "compressors/compressor.h"

/* Whether the method can be told how many tokens to leave. */
bool match_can(const struct compressor *compressor);

/* Writes into `values` the setting whose tokens on a video of this shape are nearest to `tokens`, the fewer of two that are as near.
 * false, and values as they were: with these the method goes by budgets. `native`: the layout of markers without compression. */
bool match_setting(const struct compressor *compressor, double *values, const struct vid_view *shape, enum newline native, size_t tokens);

/* Tokens that may be content of `tokens` on the grid that a plan of this domain refers to: those that its markers leave. */
size_t match_content(enum src_dom dom, const struct vid_view *shape, enum newline native, size_t tokens);

/* A budget of so many tokens, or of the whole grid where it has fewer. Memory from `arena`; false when it is out. */
bool match_budget(enum src_dom dom, const struct vid_view *shape, size_t content, struct arena *arena, struct budget *out);

#endif
