/* For those who look: the tokens of a cell as a picture needs them, before the language model and between its layers. */
#include "runners/native_impl.h"

#include <string.h>

static bool same_layers(const struct shown_layers *a, const struct shown_layers *b, size_t n_entered)
{
    return a->tok == b->tok && !memcmp(a->became, b->became, n_entered * sizeof *a->became);
}

/* Runs of layers that hold the same tokens. */
static int trace_layers(struct work *work, struct hooks *hooks, struct arena *arena, struct shown_tokens *shown, struct err *err)
{
    const struct tok_plan *plan = shown->plan;
    int n_layers = work->native->model->shape.language.layers;
    struct shown_layers *runs = arena_alloc(arena, (size_t)n_layers, sizeof *runs);
    if (!runs)
        return err_no_memory(err, "the tokens of layers");
    for (int layer = 0; layer < n_layers; layer++) {
        uint32_t *became = arena_alloc(arena, plan->n_tok, sizeof *became);
        struct shown_layers *now = &runs[shown->n_layers];
        if (!became)
            return err_no_memory(err, "the tokens of layers");
        *now = (struct shown_layers){.first = layer, .last = layer, .became = became};
        now->n = hooks_trace(hooks, layer, &now->tok, became);
        if (shown->n_layers && same_layers(now - 1, now, plan->n_tok))
            now[-1].last = layer;
        else
            shown->n_layers++;
    }
    shown->layers = runs;
    return 0;
}

int native_show(struct work *work, size_t c, size_t s, struct hooks *hooks, struct err *err)
{
    const struct cell_work *cell = &work->cells[c];
    const struct feature_grid *grid = &work->grids.grids[work->grids.of_cell[c]];
    int side = work->native->model->shape.vision.side;
    struct arena arena = {0};
    if (!work->job->viewer)
        return 0;
    struct shown_tokens shown = {.plan = &native_tokens(work, c, s)->plan, .raw_side = side,
                                 .pooled_side = pool_side(grid->mode, side, grid->stride), .content_before = cell->content_before,
                                 .markers_before = cell->markers_before, .measures = cell->measures, .n_measures = cell->n_measures};
    int rc = hooks ? trace_layers(work, hooks, &arena, &shown, err) : 0;
    if (!rc && work->job->viewer(work->context, c, s, &shown))
        work->stopped = true;
    arena_free(&arena);
    return rc;
}
