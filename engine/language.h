/* Language model: prefill with a KV cache that can be cut back, and the logits of one position. Rows [n][d] and hidden states
 * [d] are tensors (struct memory), all other arrays the host's. */
#ifndef TOKSWEEP_ENGINE_LANGUAGE_H
#define TOKSWEEP_ENGINE_LANGUAGE_H

#include "engine/model.h"

struct language_state; /* cache and buffers for one sequence; one worker's */

/* `capacity`: most positions the cache will hold; `positions`: largest position id + 1 (larger than capacity when kept positions
 * leave gaps). */
size_t language_state_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t capacity,
                            size_t positions, int threads);
int language_state_new(struct language_state **out, const struct model *model, size_t capacity, size_t positions, int threads,
                       struct err *err);
void language_state_free(struct language_state *state); /* NULL is fine */

size_t language_length(const struct language_state *state); /* rows in the cache, the first layer's */
size_t language_capacity(const struct language_state *state);

/* Forgets all rows from `length` on, in every layer. */
void language_cut(struct language_state *state, size_t length);

/* Runs n embedded rows [n][d] (overwritten) behind those in the cache. `position` are their position ids, ascending and above all
 * before them; NULL: first_position, first_position + 1, ... With `last` not NULL it receives the final-norm'ed hidden state of the
 * last row [d]; otherwise only the cache is filled, which saves the last layer's half. The caller has made sure that they fit.
 * `probe`, for tests, sees the rows after each layer (all layers then run whole). */
typedef void language_probe(void *context, int layer, const float *rows);
void language_prefill(const struct model *model, struct language_state *state, float *rows, size_t n, const uint32_t *position,
                      uint32_t first_position, float *last, language_probe *probe, void *context);

/* Runs one text id behind those in the cache, of which all layers hold as many, and returns the hidden state [d] as language_prefill gives it,
 * which is the state's until the next step. On a device a state that goes on has its steps recorded once and repeated then (struct memory):
 * the same bits, at less cost for the host. */
const float *language_step(const struct model *model, struct language_state *state, int32_t id, uint32_t position);

/* The text id that a hidden state of language_prefill or language_step leads to, ids[n_ids] being penalised (kernels.h). */
struct next_id language_next(const struct model *model, struct language_state *state, const float *hidden, const int32_t *ids, size_t n_ids,
                              float penalty);

/* logits[head.n_out] of such a hidden state. */
void language_logits(const struct model *model, struct language_state *state, const float *hidden, float *logits);

/* Embedding rows of n text ids, f32 [n][d]. */
void language_embed(const struct model *model, const int32_t *ids, size_t n, float *out);

/* cos and sin of position p: [hd/2] each. */
void language_rope(const struct language_state *state, uint32_t position, const float **cosines, const float **sines);

/* ---- layer by layer, for those who act in between (hooks.h) -------------------------------------------------------------------
 *
 * Layers may then hold different numbers of rows. language_prefill is nothing but attend and feed for every layer, and the bits of a
 * row are the same either way. */

/* Rows on their way through a layer, behind what it has cached. */
struct pass {
    float *rows;              /* [n][d], the residual stream */
    size_t n;
    const uint32_t *position; /* as for language_prefill */
    uint32_t first_position;
    const float *bias;        /* of all keys, cached ones and these: struct attention; NULL: none */
    float *queries;           /* receives the rotated queries of the last n_queries rows, [n_queries][heads * head_dim]; NULL: not kept */
    size_t n_queries;
};

/* Puts keys and values of all rows in the layer's cache, and adds what the last n_out of them attend to (0: nothing). */
void language_attend(const struct model *model, struct language_state *state, int layer, const struct pass *pass, size_t n_out);

/* Adds the layer's MLP to n rows. */
void language_feed(const struct model *model, struct language_state *state, int layer, float *rows, size_t n);

/* Projects rows without letting them in: their keys lie behind the layer's cached rows until something is attended to there. Keys before
 * and after rotation go to [n][kv_heads * head_dim] where not NULL, queries before rotation to [n][heads * head_dim]. */
void language_project(const struct model *model, struct language_state *state, int layer, const struct pass *pass, float *keys_before,
                      float *keys_after, float *queries_before);

/* Attention weights [heads][n_keys] of one query, [heads * head_dim], on the first n_keys keys of a layer. */
void language_weigh(const struct model *model, struct language_state *state, int layer, const float *query, size_t n_keys, const float *bias,
                    float *weights);

/* Writes keys [n][kv_heads * head_dim] behind the layer's cached rows, as language_project does. */
void language_lay_keys(const struct model *model, struct language_state *state, int layer, const float *keys, size_t n);

/* The final norm of a row: what language_logits takes. */
void language_finish(const struct model *model, const float *row, float *last);

/* Rows that one layer has cached; and forgetting those from `length` on. */
size_t language_layer_length(const struct language_state *state, int layer);
void language_cut_layer(struct language_state *state, int layer, size_t length);

#endif
