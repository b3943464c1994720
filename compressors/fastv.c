/* FastV (Chen et al., ECCV 2024): from a layer on, only the visual tokens that the last prompt row attended to most in the layer before.
 * Decided once, in prefill; positions stay. Hiding instead of dropping makes another method of it: every
 * token is computed with all others present, and the prefix is the same for all questions. */
#include "compressors/methods.h"

#include "compressors/layer.h"

#include <math.h>

enum { KEEP, LAYER, FORM, MARKERS, SIZE_POWER };
enum { FORM_DROP, FORM_HIDE };

static const char *const forms[] = {"drop", "hide", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.5, 0, 1, NULL, "share of visual tokens kept, the paper's 1 - R; an allocator's budgets decide instead of it"},
    {"layer", OPTION_INT, 2, 1, 1000, NULL, "first layer that lacks the others, the paper's K, counted from 0"},
    {"form", OPTION_CHOICE, FORM_DROP, 0, 0, forms, "drop: FastV; hide: all tokens run through all layers, question and reply see the kept ones"},
    {"markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and are not counted; ranked: like any token, as upstream"},
    {"size_power", OPTION_REAL, 0, -4, 4, NULL, "scores are multiplied by size^this where tokens were merged before; 0: plain, 1 favours big groups"},
};

static int fits(const double *values, int n_layers, struct err *err)
{
    return layer_fits("fastv", "layer", values[LAYER], n_layers, err);
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory, (void)n_layers;
    out->call = point == POINT_PRE && layer == (int)values[LAYER];
    out->hides = (int)values[FORM] == FORM_HIDE;
    out->rows = ROWS_LAST;
    out->heads = HEADS_MEAN;
}

static int spend(const double *values, const struct layer_view *view, struct arena *arena, struct layer_plan *out, struct err *err)
{
    float *score = arena_alloc(arena, view->n, sizeof *score);
    uint8_t *keep = arena_alloc(arena, view->n, 1);
    void *room = arena_alloc(arena, layer_room(view->n), 1);
    if (!score || !keep || !room)
        return err_no_memory(err, "the scores of visual tokens");
    layer_score(view, values[SIZE_POWER], score);
    layer_keep_budget(view, (int)values[MARKERS], view->budget, score, room, keep);
    return layer_plan_keep(view, keep, POSITIONS_KEEP, arena, out, err);
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    int markers = (int)values[MARKERS];
    if (view->budget)
        return spend(values, view, arena, out, err);
    return layer_plan_best(view, markers, (size_t)nearbyint(values[KEEP] * (double)layer_ranked(view, markers)), values[SIZE_POWER],
                           POSITIONS_KEEP, arena, out, err);
}

const struct compressor compressor_fastv = {
    .name = "fastv",
    .summary = "drops tokens that the last prompt row hardly attends to, between two layers",
    .source = "pkunlp-icler/FastV src/FastV/lmms-eval/fastv_kvcache.py; arXiv 2403.06764",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_LAYER | EXACT_BUDGET,
    .fits = fits,
    .want = want,
    .layer = layer,
};
