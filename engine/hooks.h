/* Hooks: a prompt whose visual tokens are dropped, merged or hidden between the layers of the language model, by a method's `layer`
 * function, and hidden from steps of generation, by its `decode` (compressors/compressor.h).
 *
 * The prefix (text before the video, and the visual tokens) runs once, through the layers below the first at which a hook asks about the
 * question; what those layers cached is shared by all questions, the rest is computed for each. So a method that never asks shares the
 * whole prefix (level A), one that asks at layer K its first K layers (level B(K)). A question alone and a question
 * among others run through the same steps, so their bits are the same. */
#ifndef TOKSWEEP_ENGINE_HOOKS_H
#define TOKSWEEP_ENGINE_HOOKS_H

#include "compressors/compressor.h"
#include "engine/language.h"

struct hooks; /* one prefix, and the question that was put last; one worker's. Rows [n][d] are tensors (struct memory) */

/* Whether cells with these methods need hooks at all: for layers, for decoding, or since attention is to count sizes. */
bool hooks_needed(const struct method *methods, int n_methods, const struct tok_plan *plan);

/* Most bytes that hooks hold beside the caches, for a prompt of n_prefix + n_suffix rows, n_visual of them visual tokens. */
size_t hooks_bytes(const struct model_shape *shape, const struct method *methods, int n_methods, size_t n_prefix, size_t n_visual,
                   size_t n_suffix);

/* `methods` and `plan` (laid out) are borrowed; `state` is empty, holds the longest prompt with its reply, and is the hooks' own until
 * they are freed. ERR_MEMORY. */
int hooks_new(struct hooks **out, const struct model *model, struct language_state *state, const struct method *methods, int n_methods,
              const struct tok_plan *plan, size_t n_before, struct err *err);
void hooks_free(struct hooks *hooks); /* NULL is fine */

/* Runs the prefix: rows [n_before + plan->n_tok][d], a tensor, which are the hooks' until they are freed. ERR_MEMORY, or what a method says. */
int hooks_prefix(struct hooks *hooks, float *rows, struct err *err);

/* Runs a question's n rows [n][d] (overwritten) behind the prefix; `last` receives the final-norm'ed hidden state of the last row.
 * `budget` for the method that spends it, or NULL. What was asked before is forgotten. ERR_MEMORY, or what a method says. */
int hooks_ask(struct hooks *hooks, float *rows, size_t n, const struct budget *budget, float *last, struct err *err);

/* Runs one generated row [d] (overwritten) behind question and reply so far. Allocates nothing. */
void hooks_step(struct hooks *hooks, float *row, float *last);

/* Layers whose part of the prefix all questions share: of n_layers. */
int hooks_shared_layers(const struct hooks *hooks);

/* Of the question put last, markers counted: visual tokens per layer, mean over the layers; and those that the first step of generation
 * saw in the cache (before one was made: would see, if no step hid more), mean over the layers. */
void hooks_count(const struct hooks *hooks, double *tokens_mean, double *tokens_cached);

/* Of the question put last: the visual tokens in a layer's cache (their number is returned; *tok, whose taps mean nothing here, until the
 * next question), and which of them each token that entered is part of: became[plan->n_tok], HOOKS_GONE for those that were dropped or
 * that the reply does not see in this layer. What a step of generation does not see is not counted. */
enum { HOOKS_GONE = UINT32_MAX };
size_t hooks_trace(struct hooks *hooks, int layer, const struct out_tok **tok, uint32_t *became);

#endif
