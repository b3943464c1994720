/* HoliTom (Shao et al., NeurIPS 2025). Before the language model, query-free: the video is divided into windows of frames
 * so that most tokens are saved by cells that stay alike over a window, whose mean replaces them; these and the cells that move are
 * then reduced further, by density peaks and by saliency. Inside it, at one layer: the tokens that the last prompt row attends to least
 * are merged into those that stay. */
#include "compressors/layer.h"
#include "compressors/methods.h"
#include "compressors/peaks.h"
#include "compressors/topk.h"
#include "compressors/windows.h"

#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { KEEP, TAU, BETA, CENTRE, DENSITY, NEAREST, MOST_FRAMES, ORDER, MARKERS, INNER_KEEP, INNER_LAYER, INNER_MERGE, INNER_MARKERS };

enum { CENTRE_BETA, CENTRE_MEAN };
enum { INNER_MERGE_SEQUENCE, INNER_MERGE_MEAN, INNER_MERGE_NONE };

static const char *const centres[] = {"beta", "mean", NULL};
static const char *const inner_merges[] = {"sequence", "mean", "none", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.15, 0, 1, NULL, "share of the video's tokens left, about, markers not counted (RETAIN_RATIO)"},
    {"tau", OPTION_REAL, 0.8, -2, 2, NULL, "a cell stays while its cosine with the next frame's exceeds this (T; 0.65 for a tenth of the tokens)"},
    {"beta", OPTION_REAL, 0.6, 0, 1, NULL, "weight of a cluster's centre beside the mean of the others (BETA)"},
    {"centre", OPTION_CHOICE, CENTRE_BETA, 0, 0, centres, "a cluster's token: by beta, as released, or the mean of all (NO_BETA=1)"},
    {"density", OPTION_REAL, 0, 0, 1, NULL, "share of moving tokens that are chosen by density peaks, not by saliency (D)"},
    {"nearest", OPTION_INT, 7, 1, PEAKS_MOST_NEAREST, NULL, "neighbours that density is measured by, at most as many as clusters (K)"},
    {"most_frames", OPTION_INT, 1024, 1, 65536, NULL, "longest window (MAX_WINDOW_SIZE)"},
    {"order", OPTION_CHOICE, ORDER_PLACE, 0, 0, order_choices,
     "place: staying cells in their window's first frame; made: per window staying ones first, as released for one newline"},
    {"markers", OPTION_CHOICE, MARKERS_KEPT, 0, 0, marker_choices, "of rows and frames: all, or of those that have a token left, as released"},
    {"inner_keep", OPTION_REAL, 0.5, 0, 1, NULL, "share that stays inside the language model (1 - HOLITOM_r); 1: nothing is done there (without M)"},
    {"inner_layer", OPTION_INT, NAN, 1, 1000, NULL, "first layer that lacks the others, counted from 0 (HOLITOM_k); unset: 18 of 28, in proportion"},
    {"inner_merge", OPTION_CHOICE, INNER_MERGE_SEQUENCE, 0, 0, inner_merges,
     "sequence: a token that goes is averaged with the most alike one that stays, one after the other, as released; mean: all at once; none"},
    {"inner_markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and are not counted; ranked: like any token, as upstream"},
};

static unsigned roles(const double *values)
{
    return ROLE_TOKENS | (values[INNER_KEEP] < 1 ? ROLE_LAYER : 0u);
}

static unsigned needs(const double *values)
{
    (void)values;
    return NEED_H_POOLED | NEED_SAL_POOLED | NEED_SUMS;
}

struct holitom {
    const double *values;
    struct windows work;
    uint8_t *stays;     /* [T-1][N] the cell is alike in the next frame */
    uint8_t *alive;     /* [N] */
    double ratio;       /* share that the rest is reduced to */
    uint32_t *begin;    /* [T] where the window that ends here begins */
};

/* ---- windows ------------------------------------------------------------------------------------------------------------- */

static int compare_frames(struct holitom *h, struct err *err)
{
    size_t n = h->work.T * h->work.N, N = h->work.N, links = n - N;
    struct row_pair *pairs = arena_alloc(h->work.arena, links, sizeof *pairs);
    float *norm = arena_alloc(h->work.arena, n, sizeof *norm), *dots = arena_alloc(h->work.arena, links, sizeof *dots);
    h->stays = arena_alloc(h->work.arena, n, 1);
    h->alive = arena_alloc(h->work.arena, N, 1);
    if (!pairs || !norm || !dots || !h->stays || !h->alive)
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < links; i++)
        pairs[i] = (struct row_pair){(uint32_t)i, (uint32_t)(i + N)};
    int rc = sim_lengths(&h->work.rows, (struct row_list){.n = n}, norm, h->work.arena, err);
    if (!rc)
        rc = sim_pairs(&h->work.rows, pairs, links, false, dots, err);
    for (size_t i = 0; i < links && !rc; i++)
        h->stays[i] = sim_cosine(dots[i], norm[i], norm[i + N]) > (float)h->values[TAU];
    return rc;
}

/* Tokens that each window saves: saved[s][e] = cells that stay from frame s to e, times e - s. */
static void count_saved(struct holitom *h, uint32_t *saved)
{
    size_t T = h->work.T, N = h->work.N;
    for (size_t s = 0; s < T; s++) {
        size_t alive = N;
        for (size_t i = 0; i < N; i++)
            h->alive[i] = 1;
        for (size_t e = s + 1; e < T && alive; e++) {
            for (size_t i = 0; i < N; i++) {
                alive -= h->alive[i] && !h->stays[(e - 1) * N + i];
                h->alive[i] &= h->stays[(e - 1) * N + i];
            }
            saved[s * T + e] = (uint32_t)(alive * (e - s));
        }
    }
}

/* The windows that save most in all, by dynamic programming over where they end; of equal ones the shortest. */
static bool divide(struct holitom *h, uint32_t *total)
{
    size_t T = h->work.T;
    uint32_t *saved = arena_alloc(h->work.arena, T * T, sizeof *saved), *best = arena_alloc(h->work.arena, T + 1, sizeof *best);
    h->begin = arena_alloc(h->work.arena, T, sizeof *h->begin);
    if (!saved || !best || !h->begin)
        return false;
    count_saved(h, saved);
    for (size_t e = 0; e < T; e++) { /* best[e + 1]: of frames 0..e */
        best[e + 1] = best[e];
        h->begin[e] = (uint32_t)e;
        for (size_t frames = 2; frames <= e + 1 && (double)frames <= h->values[MOST_FRAMES]; frames++) {
            size_t s = e + 1 - frames;
            if (best[s] + saved[s * T + e] > best[e + 1]) {
                best[e + 1] = best[s] + saved[s * T + e];
                h->begin[e] = (uint32_t)s;
            }
        }
    }
    *total = best[T];
    return true;
}

/* ---- windows to tokens --------------------------------------------------------------------------------------------------- */

/* Cells of the window that stay, or that move; their number. */
static size_t take_cells(struct holitom *h, size_t first, size_t last, bool staying)
{
    size_t n = 0;
    for (size_t i = 0; i < h->work.N; i++) {
        bool stays = last > first;
        for (size_t t = first; t < last; t++)
            stays &= h->stays[t * h->work.N + i];
        if (stays == staying)
            h->work.cell[n++] = (uint32_t)i;
    }
    return n;
}

static int push_clusters(struct holitom *h, size_t n, size_t wanted, size_t first, size_t last, struct err *err)
{
    struct clustering clustering = {.nearest = h->values[NEAREST] < (double)wanted ? (size_t)h->values[NEAREST] : wanted, .ascending = true,
                                    .beta = (int)h->values[CENTRE] == CENTRE_MEAN ? NAN : h->values[BETA]};
    return windows_push(&h->work, n, wanted, &clustering, first, last, err);
}

static int push_staying(struct holitom *h, size_t first, size_t last, struct err *err)
{
    size_t n = take_cells(h, first, last, true);
    return push_clusters(h, n, (size_t)nearbyint((double)n * h->ratio), first, last, err);
}

/* Of each frame, the cells of largest saliency as they are, and clusters of the others. */
static int push_moving(struct holitom *h, size_t first, size_t last, struct err *err)
{
    size_t N = h->work.N, n = take_cells(h, first, last, false), wanted = (size_t)ceil((double)n * h->ratio);
    size_t salient = (size_t)nearbyint((double)wanted * (1 - h->values[DENSITY]));
    uint32_t *cells = arena_alloc(h->work.arena, n, sizeof *cells);
    float *sal = arena_alloc(h->work.arena, n, sizeof *sal);
    int rc = 0;
    if (!cells || !sal)
        return err_no_memory(err, "a token plan");
    memcpy(cells, h->work.cell, n * sizeof *cells);
    for (size_t t = first; t <= last && !rc; t++) {
        size_t rest = 0;
        for (size_t i = 0; i < n; i++)
            sal[i] = h->work.grid->sal[t * N + cells[i]];
        topk_mark(sal, n, salient, h->alive);
        for (size_t i = 0; i < n; i++) {
            if (h->alive[i])
                plan_push_source(h->work.plan, (uint32_t)(t * N + cells[i]));
            else
                h->work.cell[rest++] = cells[i];
        }
        rc = push_clusters(h, rest, wanted - salient, t, t, err);
    }
    return rc;
}

static int push_windows(struct holitom *h, struct err *err)
{
    size_t T = h->work.T;
    uint8_t *ends = arena_alloc(h->work.arena, T, 1);
    int rc = ends ? 0 : err_no_memory(err, "a token plan");
    for (size_t end = T; !rc && end; end = h->begin[end - 1])
        ends[end - 1] = 1;
    for (size_t t = 0; t < T && !rc; t++)
        if (ends[t] && !(rc = push_staying(h, h->begin[t], t, err)))
            rc = push_moving(h, h->begin[t], t, err);
    return rc;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    struct holitom h = {.values = values};
    uint32_t saved;
    int rc = windows_new(&h.work, &video->pooled, video->T, out, arena, err);
    if (!rc)
        rc = compare_frames(&h, err);
    if (rc)
        return rc;
    if (!divide(&h, &saved))
        return err_no_memory(err, "a token plan");
    double n = (double)(h.work.T * h.work.N);
    h.ratio = fmin(values[KEEP] / ((n - (double)saved) / n), 1);
    out->order = (int)values[ORDER] == ORDER_MADE ? ORDER_GIVEN : ORDER_RASTER;
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    return push_windows(&h, err);
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    double n = (double)shape->T * (double)shape->pooled.h * (double)shape->pooled.w;
    *source = "about";
    return kept_ratio(values[KEEP] * n, &shape->pooled, (int)values[ORDER] == ORDER_MADE, shape, native);
}

/* ---- inside the language model ------------------------------------------------------------------------------------------- */

static int inner_layer(const double *values, int n_layers)
{
    return isnan(values[INNER_LAYER]) ? layer_in_proportion(18, 28, n_layers) : (int)values[INNER_LAYER];
}

static int fits(const double *values, int n_layers, struct err *err)
{
    return values[INNER_KEEP] < 1 ? layer_fits("holitom", "inner_layer", inner_layer(values, n_layers), n_layers, err) : 0;
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory;
    out->call = point == POINT_PRE && values[INNER_KEEP] < 1 && layer == inner_layer(values, n_layers);
    out->hidden = (int)values[INNER_MERGE] != INNER_MERGE_NONE;
    out->rows = ROWS_LAST;
    out->heads = HEADS_MEAN;
}

/* into[n]: the most alike of those that stay for one that goes, ties to the lower index; itself for all others, and when none stays that
 * is ranked. */
static bool find_likest(const struct layer_view *view, int markers, const uint8_t *keep, uint32_t *into, struct arena *arena)
{
    size_t d = (size_t)view->d;
    const float *norm = sim_norms(view->hidden, view->n, d, arena);
    if (!norm)
        return false;
    for (size_t i = 0; i < view->n; i++) {
        float most = -INFINITY;
        into[i] = (uint32_t)i;
        for (size_t j = 0; j < view->n && !keep[i]; j++) {
            if (!keep[j] || (markers == LAYER_MARKERS_KEPT && layer_is_marker(&view->tok[j])))
                continue;
            float alike = sim_cosine(sim_dot(view->hidden + i * d, view->hidden + j * d, d), norm[i], norm[j]);
            into[i] = alike > most ? (uint32_t)j : into[i];
            most = alike > most ? alike : most;
        }
    }
    return true;
}

/* The token that token i becomes with all that go into it: ((h + a)/2 + b)/2 ..., or their mean. */
static void push_merged(const double *values, const struct layer_view *view, const uint32_t *into, size_t i, struct tok_plan *out)
{
    struct out_tok *tok = &out->tok[out->n_tok++];
    int rest = -1; /* members but itself that are not in yet */
    for (size_t j = 0; j < view->n; j++)
        rest += into[j] == i;
    float share = 1 / (float)(rest + 1);
    bool sequence = (int)values[INNER_MERGE] == INNER_MERGE_SEQUENCE;
    *tok = view->tok[i];
    tok->row0 = (uint32_t)out->n_taps;
    out->taps[out->n_taps++] = (struct tap){(uint32_t)i, sequence ? ldexpf(1, -rest) : share};
    for (size_t j = 0; j < view->n; j++)
        if (into[j] == i && j != i) {
            out->taps[out->n_taps++] = (struct tap){(uint32_t)j, sequence ? ldexpf(1, -rest) : share};
            layer_widen(tok, &view->tok[j]);
            rest--;
        }
    tok->row1 = (uint32_t)out->n_taps;
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    int markers = (int)values[INNER_MARKERS];
    size_t n = view->n, count = (size_t)nearbyint(values[INNER_KEEP] * (double)layer_ranked(view, markers));
    float *score = arena_alloc(arena, n, sizeof *score);
    uint8_t *keep = arena_alloc(arena, n, 1);
    uint32_t *into = arena_alloc(arena, n, sizeof *into);
    if (!score || !keep || !into)
        return err_no_memory(err, "the scores of visual tokens");
    layer_score(view, 0, score);
    layer_keep_best(view, markers, count, score, keep);
    if ((int)values[INNER_MERGE] == INNER_MERGE_NONE)
        return layer_plan_keep(view, keep, POSITIONS_KEEP, arena, out, err);
    if (!find_likest(view, markers, keep, into, arena) || !tok_plan_reserve(&out->merge, view->T, view->h, view->w, n, n, arena))
        return err_no_memory(err, "merged tokens");
    for (size_t i = 0; i < n; i++)
        if (keep[i])
            push_merged(values, view, into, i, &out->merge);
    out->merge.positions = POSITIONS_KEEP;
    return 0;
}

const struct compressor compressor_holitom = {
    .name = "holitom",
    .summary = "averages cells that stay alike over windows of frames, and reduces these and the moving ones further",
    .source = "arXiv 2505.21334; cokeshao/HoliTom holitom/llava_arch.py, holitom/modeling_qwen2.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_LAYER,
    .roles = roles,
    .needs = needs,
    .domain = domain_pooled,
    .tokens = tokens,
    .fits = fits,
    .want = want,
    .layer = layer,
    .expected_ratio = expected_ratio,
};
