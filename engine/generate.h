/* Generation: greedy decoding behind a cached prefix. */
#ifndef TOKSWEEP_ENGINE_GENERATE_H
#define TOKSWEEP_ENGINE_GENERATE_H

#include "core/arena.h"
#include "engine/hooks.h"

struct reply {
    int32_t *ids;       /* generated, the stop id left out; in the arena */
    size_t n_ids;
    size_t n_steps;     /* logits that were computed: n_ids, and one more when a stop id ended it */
    char *text;         /* decoded, special ids skipped, stripped of nothing */
    double margin;      /* top logit minus second at the first step */
    double prefill_ms, generate_ms;
};

struct generate_options {
    int max_new_tokens;        /* >= 1 */
    double repetition_penalty; /* on ids generated so far, prompt not counted; 1: none */
    struct hooks *hooks;       /* whose prefix this is about; NULL: what is in the cache */
    const struct budget *budget; /* for the hooks; NULL without an allocator */
};

/* Runs the text ids `prompt` behind what is in the cache and generates until a stop id or the limit; the cache then holds all of
 * it (cut it back to ask again). With hooks they run it, behind their prefix, and know its position. The caller has made sure that
 * everything fits. ERR_MEMORY, or what a method says. */
int generate(struct reply *out, const struct model *model, struct language_state *state, const int32_t *prompt, size_t n,
             uint32_t first_position, const struct generate_options *options, struct arena *arena, struct err *err);

#endif
