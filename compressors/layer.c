/* Scores and plans of methods inside the language model. */
#include "compressors/layer.h"

#include "compressors/topk.h"

#include <math.h>
#include <string.h>

const char *const layer_markers[] = {"kept", "ranked", NULL};

int layer_fits(const char *name, const char *option, double layer, int n_layers, struct err *err)
{
    if (layer < n_layers)
        return 0;
    return err_set(err, ERR_CONFIG, "compressor %s: option '%s' is %g and the model's layers are 0 to %d; use one of them", name, option, layer,
                   n_layers - 1);
}

int layer_in_proportion(int layer, int of, int n_layers)
{
    int near = (2 * layer * n_layers + of) / (2 * of);
    return near > 1 ? near : 1;
}

bool layer_is_marker(const struct out_tok *tok)
{
    return tok->kind == TOK_ROW_MARK || tok->kind == TOK_FRAME_MARK || tok->kind == TOK_END_MARK;
}

void layer_widen(struct out_tok *tok, const struct out_tok *by)
{
    tok->t0 = by->t0 < tok->t0 ? by->t0 : tok->t0;
    tok->t1 = by->t1 > tok->t1 ? by->t1 : tok->t1;
    tok->y0 = by->y0 < tok->y0 ? by->y0 : tok->y0;
    tok->y1 = by->y1 > tok->y1 ? by->y1 : tok->y1;
    tok->x0 = by->x0 < tok->x0 ? by->x0 : tok->x0;
    tok->x1 = by->x1 > tok->x1 ? by->x1 : tok->x1;
    tok->size += by->size;
}

void layer_score(const struct layer_view *view, double size_power, float *score)
{
    int n_rows = view->n_rows * view->heads;
    memset(score, 0, view->n * sizeof *score);
    for (int r = 0; r < n_rows; r++)
        for (size_t i = 0; i < view->n; i++)
            score[i] += view->rows[(size_t)r * view->n + i];
    for (size_t i = 0; i < view->n; i++)
        score[i] = score[i] / (float)n_rows * (size_power != 0 ? (float)pow((double)view->tok[i].size, size_power) : 1);
}

size_t layer_ranked(const struct layer_view *view, int markers)
{
    size_t n = 0;
    for (size_t i = 0; i < view->n; i++)
        n += markers == LAYER_MARKERS_RANKED || !layer_is_marker(&view->tok[i]);
    return n;
}

/* Markers that stay anyway take no part. */
static void leave_out_markers(const struct layer_view *view, int markers, float *score)
{
    for (size_t i = 0; i < view->n && markers == LAYER_MARKERS_KEPT; i++)
        if (layer_is_marker(&view->tok[i]))
            score[i] = NAN; /* less than everything */
}

static void keep_markers(const struct layer_view *view, int markers, uint8_t *keep)
{
    for (size_t i = 0; i < view->n && markers == LAYER_MARKERS_KEPT; i++)
        keep[i] |= layer_is_marker(&view->tok[i]);
}

void layer_keep_best(const struct layer_view *view, int markers, size_t count, float *score, uint8_t *keep)
{
    leave_out_markers(view, markers, score);
    topk_mark(score, view->n, count, keep);
    keep_markers(view, markers, keep);
}

size_t layer_room(size_t n)
{
    return n * (sizeof(float) + 1);
}

void layer_keep_budget(const struct layer_view *view, int markers, const struct budget *budget, float *score, void *room, uint8_t *keep)
{
    size_t n = view->n;
    float *of_frame = room;
    uint8_t *best = (uint8_t *)(of_frame + n);
    leave_out_markers(view, markers, score);
    memset(keep, 0, n);
    for (int t = 0; t < budget->T; t++) {
        size_t ranked = 0;
        for (size_t i = 0; i < n; i++) {
            of_frame[i] = view->tok[i].t0 == t ? score[i] : NAN;
            ranked += isnan(of_frame[i]) ? 0 : 1;
        }
        topk_mark(of_frame, n, budget->per_frame[t] < ranked ? budget->per_frame[t] : ranked, best);
        for (size_t i = 0; i < n; i++)
            keep[i] |= best[i];
    }
    keep_markers(view, markers, keep);
}

int layer_plan_keep(const struct layer_view *view, const uint8_t *keep, enum tok_positions positions, struct arena *arena,
                    struct layer_plan *out, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < view->n; i++)
        n += keep[i];
    if (n == view->n)
        return 0;
    if (!tok_plan_reserve(&out->merge, view->T, view->h, view->w, n, n, arena))
        return err_no_memory(err, "a token plan");
    out->merge.positions = positions;
    for (size_t i = 0; i < view->n; i++) {
        if (!keep[i])
            continue;
        struct out_tok *tok = &out->merge.tok[out->merge.n_tok++];
        *tok = view->tok[i];
        tok->row0 = (uint32_t)out->merge.n_taps;
        out->merge.taps[out->merge.n_taps++] = (struct tap){(uint32_t)i, 1};
        tok->row1 = (uint32_t)out->merge.n_taps;
    }
    return 0;
}

int layer_plan_best(const struct layer_view *view, int markers, size_t count, double size_power, enum tok_positions positions,
                    struct arena *arena, struct layer_plan *out, struct err *err)
{
    float *score = arena_alloc(arena, view->n, sizeof *score);
    uint8_t *keep = arena_alloc(arena, view->n, 1);
    if (!score || !keep)
        return err_no_memory(err, "the scores of visual tokens");
    layer_score(view, size_power, score);
    layer_keep_best(view, markers, count, score, keep);
    return layer_plan_keep(view, keep, positions, arena, out, err);
}
