/* Guide: how much a language model attends to each frame when a question was put to it. The uncompressed prefix runs
 * once for all questions, through the layers up to the last that counts, of which only keys and queries are needed. */
#ifndef TOKSWEEP_ENGINE_GUIDE_H
#define TOKSWEEP_ENGINE_GUIDE_H

#include "core/tokens.h"
#include "engine/language.h"

struct guide_state; /* one prefix; one worker's */

/* Bytes for a prompt of `rows` rows, `visual` of them visual tokens. */
size_t guide_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t rows, int threads);

/* Runs the prefix rows [n_before + plan->n_tok][d] (a tensor, overwritten) through layers 0..last; questions of at most n_behind rows come behind
 * it. `plan` (laid out, borrowed) says which rows are content, and of which frame. ERR_MEMORY. */
int guide_new(struct guide_state **out, const struct model *model, const struct tok_plan *plan, float *rows, size_t n_before, size_t n_behind,
              int last, int threads, struct err *err);
void guide_free(struct guide_state *guide); /* NULL is fine */

/* Runs a question's n rows [n][d] (a tensor, overwritten) behind the prefix. share[last - first + 1][T]: for each layer first..last the mean over
 * heads of the last row's attention that falls on each frame's content, softmax over content alone; a layer's sum is 1. */
void guide_ask(struct guide_state *guide, float *rows, size_t n, int first, float *share);

#endif
