/* Generation: on the host everything is allocated before the first text id, nothing between the first and the last. */
#include "engine/generate.h"

#include "core/clock.h"

static bool is_stop(const struct model *model, int32_t id)
{
    for (int i = 0; i < model->shape.n_eos; i++)
        if (model->shape.eos[i] == id)
            return true;
    return false;
}

/* A prompt's rows, and behind them one hidden state. */
static float *take_rows(const struct model *model, size_t n)
{
    return model->kernels->memory->take((n + 1) * (size_t)model->shape.language.width * sizeof(float));
}

/* One text id more; returns its hidden state, in `last` or where the language model has it. `row` is room for it. */
static const float *step(const struct model *model, struct language_state *state, struct hooks *hooks, int32_t id, uint32_t position, float *row,
                         float *last)
{
    if (!hooks)
        return language_step(model, state, id, position);
    language_embed(model, &id, 1, row);
    hooks_step(hooks, row, last);
    return last;
}

/* From the hidden state `last` of the prompt's last row to the end. `row` is room for one. */
static void say(struct reply *out, const struct model *model, struct language_state *state, uint32_t position, const struct generate_options *options,
                float *row, float *last)
{
    const float *hidden = last;
    for (;;) {
        struct next_id next = language_next(model, state, hidden, out->ids, out->n_ids, (float)options->repetition_penalty);
        if (out->n_steps++ == 0)
            out->margin = (double)next.most - (double)next.second;
        if (is_stop(model, next.id))
            break;
        out->ids[out->n_ids++] = next.id;
        if (out->n_ids == (size_t)options->max_new_tokens)
            break;
        hidden = step(model, state, options->hooks, next.id, position++, row, last);
    }
}

int generate(struct reply *out, const struct model *model, struct language_state *state, const int32_t *prompt, size_t n,
             uint32_t first_position, const struct generate_options *options, struct arena *arena, struct err *err)
{
    const struct memory *memory = model->kernels->memory;
    int32_t *ids = arena_alloc(arena, (size_t)options->max_new_tokens, sizeof *ids);
    float *rows = take_rows(model, n), *hidden = rows ? rows + n * (size_t)model->shape.language.width : NULL;
    int rc = rows && ids ? 0 : err_no_memory(err, "a reply");
    if (rc)
        goto done;
    *out = (struct reply){.ids = ids};
    double start = now_ms();
    language_embed(model, prompt, n, rows);
    if (options->hooks)
        rc = hooks_ask(options->hooks, rows, n, options->budget, hidden, err);
    else
        language_prefill(model, state, rows, n, NULL, first_position, hidden, NULL, NULL);
    if (rc || (rc = memory->settle(err)))
        goto done;
    out->prefill_ms = now_ms() - start;
    start = now_ms();
    say(out, model, state, first_position + (uint32_t)n, options, rows, hidden);
    out->generate_ms = now_ms() - start;
    rc = memory->settle(err);
    if (!rc && model->tokenizer) { /* a random model for benchmarks has no text */
        out->text = tokenizer_decode(model->tokenizer, ids, out->n_ids, arena);
        rc = out->text ? 0 : err_no_memory(err, "a reply");
    }
done:
    memory->release(rows);
    return rc;
}
