/* Language model: prefill with a KV cache that can be cut back, and the logits of one position (models.md 3). */
#ifndef TOKSWEEP_ENGINE_LANGUAGE_H
#define TOKSWEEP_ENGINE_LANGUAGE_H

#include "engine/model.h"

struct language_state; /* cache and buffers for one sequence; one worker's */

/* `capacity`: most positions the cache will hold; `positions`: largest position id + 1 (larger than capacity when kept positions
 * leave gaps). */
size_t language_state_bytes(const struct model_shape *shape, enum dtype dtype, size_t capacity, size_t positions, int threads);
int language_state_new(struct language_state **out, const struct model *model, size_t capacity, size_t positions, int threads,
                       struct err *err);
void language_state_free(struct language_state *state); /* NULL is fine */

size_t language_length(const struct language_state *state); /* rows in the cache */

/* Forgets all rows from `length` on. */
void language_cut(struct language_state *state, size_t length);

/* Runs n embedded rows [n][d] (overwritten) behind those in the cache. `position` are their position ids, ascending and above all
 * before them; NULL: first_position, first_position + 1, ... With `last` not NULL it receives the final-norm'ed hidden state of the
 * last row [d]; otherwise only the cache is filled, which saves the last layer's half. The caller has made sure that they fit.
 * `probe`, for tests, sees the rows after each layer (all layers then run whole). */
typedef void language_probe(void *context, int layer, const float *rows);
void language_prefill(const struct model *model, struct language_state *state, float *rows, size_t n, const uint32_t *position,
                      uint32_t first_position, float *last, language_probe *probe, void *context);

/* logits[head.n_out] of a hidden state that language_prefill gave. */
void language_logits(const struct model *model, struct language_state *state, const float *hidden, float *logits);

/* Embedding row of a text id, f32 [d]. */
void language_embed(const struct model *model, int32_t id, float *out);

/* cos and sin of position p: [hd/2] each; for tests. */
void language_rope(const struct language_state *state, uint32_t position, const float **cosines, const float **sines);

#endif
