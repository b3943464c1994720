/* Generation: everything is allocated before the first text id, nothing between the first and the last. */
#include "engine/generate.h"

#include "core/clock.h"

#include <math.h>

static bool is_stop(const struct model *model, int32_t id)
{
    for (int i = 0; i < model->shape.n_eos; i++)
        if (model->shape.eos[i] == id)
            return true;
    return false;
}

/* Each id is penalised once, however often it was generated. */
static void penalise(float *logits, const int32_t *ids, size_t n, float penalty)
{
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = ids[j] == ids[i];
        if (!seen)
            logits[ids[i]] = logits[ids[i]] < 0 ? logits[ids[i]] * penalty : logits[ids[i]] / penalty;
    }
}

/* The lowest id of the largest logit, and how far the second is behind. */
static int32_t best(const float *logits, size_t n, double *margin)
{
    size_t top = 0;
    float second = -INFINITY;
    for (size_t i = 1; i < n; i++) {
        if (logits[i] > logits[top]) {
            second = logits[top];
            top = i;
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    *margin = (double)logits[top] - (double)second;
    return (int32_t)top;
}

int generate(struct reply *out, const struct model *model, struct language_state *state, const int32_t *prompt, size_t n,
             uint32_t first_position, const struct generate_options *options, struct arena *arena, struct err *err)
{
    size_t d = (size_t)model->shape.language.width, most = (size_t)options->max_new_tokens, n_logits = model->head.n_out;
    float *rows = arena_alloc(arena, n * d, sizeof *rows), *hidden = arena_alloc(arena, d, sizeof *hidden);
    float *logits = arena_alloc(arena, n_logits, sizeof *logits);
    int32_t *ids = arena_alloc(arena, most, sizeof *ids);
    if (!rows || !hidden || !logits || !ids)
        return err_no_memory(err, "a reply");
    *out = (struct reply){.ids = ids};
    double start = now_ms();
    for (size_t i = 0; i < n; i++)
        language_embed(model, prompt[i], rows + i * d);
    int rc = 0;
    if (options->hooks)
        rc = hooks_ask(options->hooks, rows, n, options->budget, hidden, err);
    else
        language_prefill(model, state, rows, n, NULL, first_position, hidden, NULL, NULL);
    if (rc)
        return rc;
    out->prefill_ms = now_ms() - start;
    start = now_ms();
    uint32_t position = first_position + (uint32_t)n;
    for (;;) {
        double margin;
        language_logits(model, state, hidden, logits);
        penalise(logits, ids, out->n_ids, (float)options->repetition_penalty);
        int32_t id = best(logits, n_logits, &margin);
        if (out->n_steps++ == 0)
            out->margin = margin;
        if (is_stop(model, id))
            break;
        ids[out->n_ids++] = id;
        if (out->n_ids == most)
            break;
        language_embed(model, id, rows);
        if (options->hooks)
            hooks_step(options->hooks, rows, hidden);
        else
            language_prefill(model, state, rows, 1, NULL, position++, hidden, NULL, NULL);
    }
    out->generate_ms = now_ms() - start;
    if (!model->tokenizer) /* a random model for benchmarks has no text */
        return 0;
    out->text = tokenizer_decode(model->tokenizer, ids, out->n_ids, arena);
    return out->text ? 0 : err_no_memory(err, "a reply");
}
