/* PruneVid (Huang et al., ACL 2025). Before the language model, query-free: frames are clustered into segments; a cell
 * that stays alike throughout its segment becomes its mean over time; staying cells of a segment and moving cells of a frame are then
 * clustered. Inside it, at one layer: of each such set those tokens stay that a row of the question attends to most, and the others are
 * taken out of the caches of the layers before, too. */
#include "compressors/layer.h"
#include "compressors/methods.h"
#include "compressors/peaks.h"
#include "compressors/topk.h"
#include "compressors/windows.h"

#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { KEEP, TAU, SEGMENTS, NEAREST, LEAST, ORDER, MARKERS, INNER_KEEP, INNER_LAYER, INNER_ROWS, INNER_PAST, INNER_MARKERS };
enum { INNER_ROWS_UNTURNED, INNER_ROWS_PLAIN };

static const char *const inner_rows[] = {"unturned", "plain", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.5, 0, 1, NULL, "clusters per token of each set, rounded down (cluster_ratio; released: 0.5)"},
    {"tau", OPTION_REAL, 0.8, -2, 2, NULL, "a cell stays if the mean cosine of its pairs of frames exceeds this"},
    {"segments", OPTION_REAL, 0.25, 0, 1, NULL, "clusters of frames per frame, rounded down, at least one (temporal_segment_ratio)"},
    {"nearest", OPTION_INT, 7, 1, PEAKS_MOST_NEAREST, NULL, "neighbours that density is measured by"},
    {"least", OPTION_INT, 14, 0, 65536, NULL, "sets of this many tokens or fewer stay as they are"},
    {"order", OPTION_CHOICE, ORDER_PLACE, 0, 0, order_choices,
     "place: staying cells in their segment's first frame; made: per segment staying ones first, clusters best first, as released"},
    {"markers", OPTION_CHOICE, MARKERS_ALL, 0, 0, marker_choices, "of rows and frames: all, or of those that have a token left"},
    {"inner_keep", OPTION_REAL, 0.4, 0, 1, NULL, "share of each set that stays inside the language model, rounded down (alpha); 1: all"},
    {"inner_layer", OPTION_INT, NAN, 1, 1000, NULL, "first layer that lacks the others, counted from 0; unset: behind layer 10 of 32, in proportion"},
    {"inner_rows", OPTION_CHOICE, INNER_ROWS_UNTURNED, 0, 0, inner_rows,
     "attention of the layer before it: without positions and on later text as well, as released, or as it is, as in the paper"},
    {"inner_past", OPTION_FLAG, 1, 0, 1, NULL, "a reply does not see dropped tokens in the layers before either"},
    {"inner_markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and are not counted; ranked: like tokens of their frame"},
};

static unsigned roles(const double *values)
{
    return ROLE_TOKENS | (values[INNER_KEEP] < 1 ? ROLE_LAYER : 0u);
}

/* ---- segments ------------------------------------------------------------------------------------------------------------ */

/* Clusters frames by their mean tokens, into label[T]. */
static int label_frames(const double *values, const struct windows *w, uint32_t *label, struct err *err)
{
    const struct sim_sums means = {.first = w->rows.n, .n = w->T, .begin = w->begin, .taps = w->taps, .divide = true};
    size_t clusters = (size_t)((double)w->T * values[SEGMENTS]);
    float *distance = arena_alloc(w->arena, w->T * w->T, sizeof *distance);
    struct peaks peaks;
    if (!distance)
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < w->T * w->N; i++)
        w->taps[i] = (struct tap){(uint32_t)i, (float)w->N};
    for (size_t t = 0; t <= w->T; t++)
        w->begin[t] = (uint32_t)(t * w->N);
    int rc = sim_sum(&w->rows, &means, err);
    if (!rc)
        rc = peaks_distances(&w->rows, (struct row_list){.first = w->rows.n, .n = w->T}, distance, err);
    if (rc)
        return rc;
    if (!peaks_cluster(distance, w->T, (size_t)values[NEAREST], clusters ? clusters : 1, false, &peaks, w->arena))
        return err_no_memory(err, "clusters of frames");
    for (size_t t = 0; t < w->T; t++)
        label[t] = peaks.of[t];
    return 0;
}

/* Frames around t with its label. */
static void run_of(const uint32_t *label, size_t T, size_t t, size_t *first, size_t *end)
{
    for (*first = t; *first && label[*first - 1] == label[t]; --*first)
        ;
    for (*end = t + 1; *end < T && label[*end] == label[t]; ++*end)
        ;
}

static size_t longest_run(const uint32_t *label, size_t T, uint32_t wanted)
{
    size_t longest = 0;
    for (size_t t = 0, first, end; t < T; t = end) {
        run_of(label, T, t, &first, &end);
        longest = label[t] == wanted && end - first > longest ? end - first : longest;
    }
    return longest;
}

/* Makes labels contiguous: of each, the longest runs stay, unless they are single frames; the frames of the others join the longer of
 * the runs beside them, the left one of equal ones. */
static bool refine(uint32_t *label, size_t T, struct arena *arena)
{
    uint32_t *refined = arena_alloc(arena, T, sizeof *refined);
    if (!refined)
        return false;
    for (size_t t = 0, first, end; t < T; t = end) {
        run_of(label, T, t, &first, &end);
        size_t longest = longest_run(label, T, label[t]);
        for (size_t i = first; i < end; i++)
            refined[i] = longest > 1 && end - first == longest ? label[t] : UINT32_MAX;
    }
    for (size_t t = 0, first, end, unused; t < T; t = end) {
        run_of(refined, T, t, &first, &end);
        if (refined[t] != UINT32_MAX)
            continue;
        size_t left = 0, right = 0, begin;
        if (t) {
            run_of(refined, T, t - 1, &begin, &unused);
            left = t - begin;
        }
        if (end < T) {
            run_of(refined, T, end, &unused, &begin);
            right = begin - end;
        }
        uint32_t joined = right > left ? refined[end] : left ? refined[t - 1] : 0;
        for (size_t i = t; i < end; i++)
            refined[i] = joined;
    }
    for (size_t t = 0; t < T; t++)
        label[t] = refined[t];
    return true;
}

/* ---- tokens -------------------------------------------------------------------------------------------------------------- */

/* A video in work: the norms of its tokens, and of the cells in a segment which stay. */
struct prunevid {
    const double *values;
    struct windows windows;
    float *norm;            /* [T*N] */
    struct row_pair *pairs; /* [N] */
    float *squares;         /* [N] */
    uint8_t *stays;         /* [N] */
};

/* Which cells stay throughout frames first..last: the square of the sum of a cell's unit rows holds all cosines of pairs. */
static int find_staying(struct prunevid *p, size_t first, size_t last, struct err *err)
{
    const struct windows *w = &p->windows;
    const struct sim_sums sums = {.first = w->rows.n, .n = w->N, .begin = w->begin, .taps = w->taps, .divide = true};
    size_t frames = last - first + 1;
    uint32_t taps = 0;
    for (size_t i = 0; i < w->N; i++) {
        w->begin[i] = taps;
        for (size_t t = first; t <= last; t++)
            if (p->norm[t * w->N + i] != 0)
                w->taps[taps++] = (struct tap){(uint32_t)(t * w->N + i), p->norm[t * w->N + i]};
        p->pairs[i] = (struct row_pair){(uint32_t)(w->rows.n + i), (uint32_t)(w->rows.n + i)};
    }
    w->begin[w->N] = taps;
    int rc = frames > 1 ? sim_sum(&w->rows, &sums, err) : 0;
    if (!rc && frames > 1)
        rc = sim_pairs(&w->rows, p->pairs, w->N, false, p->squares, err);
    for (size_t i = 0; i < w->N && !rc; i++)
        p->stays[i] = frames > 1 && (p->squares[i] - (float)frames) / (float)(frames * (frames - 1)) > (float)p->values[TAU];
    return rc;
}

static int push_cells(struct prunevid *p, bool staying, size_t first, size_t last, struct err *err)
{
    struct clustering clustering = {.nearest = (size_t)p->values[NEAREST], .beta = NAN};
    size_t n = 0;
    for (size_t i = 0; i < p->windows.N; i++)
        if (p->stays[i] == staying)
            p->windows.cell[n++] = (uint32_t)i;
    bool cluster = (double)n > p->values[LEAST];
    return windows_push(&p->windows, n, (size_t)((double)n * p->values[KEEP]), cluster ? &clustering : NULL, first, last, err);
}

static int prunevid_new(struct prunevid *p, const double *values, const struct vid_view *video, struct tok_plan *out, struct arena *arena,
                        struct err *err)
{
    *p = (struct prunevid){.values = values};
    int rc = windows_new(&p->windows, &video->pooled, video->T, out, arena, err);
    size_t N = p->windows.N, n = p->windows.T * N;
    p->norm = arena_alloc(arena, n, sizeof *p->norm);
    p->pairs = arena_alloc(arena, N, sizeof *p->pairs);
    p->squares = arena_alloc(arena, N, sizeof *p->squares);
    p->stays = arena_alloc(arena, N, 1);
    if (!rc && !(p->norm && p->pairs && p->squares && p->stays))
        rc = err_no_memory(err, "a token plan");
    return rc ? rc : sim_lengths(&p->windows.rows, (struct row_list){.n = n}, p->norm, arena, err);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    struct prunevid p;
    int rc = prunevid_new(&p, values, video, out, arena, err);
    size_t T = p.windows.T;
    uint32_t *label = arena_alloc(arena, T, sizeof *label);
    if (!rc)
        rc = label ? label_frames(values, &p.windows, label, err) : err_no_memory(err, "a token plan");
    if (!rc && !refine(label, T, arena))
        rc = err_no_memory(err, "a token plan");
    out->order = (int)values[ORDER] == ORDER_MADE ? ORDER_GIVEN : ORDER_RASTER;
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    for (size_t first = 0, end, unused; first < T && !rc; first = end) {
        run_of(label, T, first, &unused, &end);
        rc = find_staying(&p, first, end - 1, err);
        if (!rc)
            rc = push_cells(&p, true, first, end - 1, err);
        for (size_t t = first; t < end && !rc; t++)
            rc = push_cells(&p, false, t, t, err);
    }
    return rc;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    size_t N = (size_t)shape->pooled.h * (size_t)shape->pooled.w;
    size_t kept = (double)N > values[LEAST] ? (size_t)((double)N * values[KEEP]) : N;
    *source = "at most, when all moves";
    return kept_ratio((double)kept * (double)shape->T, &shape->pooled, (int)values[ORDER] == ORDER_MADE, shape, native);
}

/* ---- inside the language model ------------------------------------------------------------------------------------------- */

static int inner_layer(const double *values, int n_layers)
{
    return isnan(values[INNER_LAYER]) ? layer_in_proportion(11, 32, n_layers) : (int)values[INNER_LAYER];
}

static int fits(const double *values, int n_layers, struct err *err)
{
    return values[INNER_KEEP] < 1 ? layer_fits("prunevid", "inner_layer", inner_layer(values, n_layers), n_layers, err) : 0;
}

/* The score of each token, from the layer that rates to the one that drops. */
static size_t memory(const double *values, size_t n, int n_layers)
{
    (void)values, (void)n_layers;
    return n * sizeof(float);
}

/* Whether the method is asked to rate before this layer, from its own projections: attention without positions is no layer's. */
static bool rates(const double *values, int layer, int n_layers)
{
    return (int)values[INNER_ROWS] == INNER_ROWS_UNTURNED && layer == inner_layer(values, n_layers) - 1;
}

static void want(const double *values, const void *state, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)state;
    bool rating = rates(values, layer, n_layers), dropping = layer == inner_layer(values, n_layers);
    out->call = point == POINT_PRE && values[INNER_KEEP] < 1 && (rating || dropping);
    out->rows = rating || (int)values[INNER_ROWS] == INNER_ROWS_PLAIN ? ROWS_QUESTION : ROWS_NONE;
    out->rows_of_this_layer = out->rows_unturned = rating;
    out->heads = HEADS_MOST;
}

/* score[n]: the most that any row of the question attends to a token with any head. */
static void rate(const struct layer_view *view, float *score)
{
    memset(score, 0, view->n * sizeof *score);
    for (size_t r = 0; r < (size_t)view->n_rows; r++)
        for (size_t i = 0; i < view->n; i++)
            score[i] = view->rows[r * view->n + i] > score[i] ? view->rows[r * view->n + i] : score[i];
}

/* Of the tokens that share token i's frames, and are ranked, the best stay. */
static void keep_set(const double *values, const struct layer_view *view, const float *score, size_t i, float *of_set, uint8_t *best,
                     uint8_t *keep, uint8_t *seen)
{
    size_t n = 0;
    for (size_t j = 0; j < view->n; j++) {
        bool belongs = view->tok[j].t0 == view->tok[i].t0 && view->tok[j].t1 == view->tok[i].t1;
        bool ranked = (int)values[INNER_MARKERS] == LAYER_MARKERS_RANKED || !layer_is_marker(&view->tok[j]);
        of_set[j] = belongs && ranked ? score[j] : NAN;
        keep[j] |= belongs && !ranked;
        seen[j] |= belongs;
        n += belongs && ranked;
    }
    topk_mark(of_set, view->n, (size_t)((double)n * values[INNER_KEEP]), best);
    for (size_t j = 0; j < view->n; j++)
        keep[j] |= best[j];
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    if (view->n_rows)
        rate(view, view->memory);
    if (rates(values, view->layer, view->n_layers))
        return 0;
    float *of_set = arena_alloc(arena, view->n, sizeof *of_set);
    uint8_t *best = arena_alloc(arena, view->n, 1), *keep = arena_alloc(arena, view->n, 1), *seen = arena_alloc(arena, view->n, 1);
    if (!of_set || !best || !keep || !seen)
        return err_no_memory(err, "the scores of visual tokens");
    for (size_t i = 0; i < view->n; i++)
        if (!seen[i])
            keep_set(values, view, view->memory, i, of_set, best, keep, seen);
    out->prune_past_kv = values[INNER_PAST] != 0;
    return layer_plan_keep(view, keep, POSITIONS_KEEP, arena, out, err);
}

const struct compressor compressor_prunevid = {
    .name = "prunevid",
    .summary = "averages cells that stay alike over segments of frames, and clusters these and the moving ones",
    .source = "arXiv 2412.16117; Visual-AI/PruneVid models/pllava/modeling_pllava.py merge_frames_dynamic, models/pllava/elastic_cache.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_LAYER,
    .roles = roles,
    .needs = needs_h_sums,
    .domain = domain_pooled,
    .tokens = tokens,
    .fits = fits,
    .memory = memory,
    .want = want,
    .layer = layer,
    .expected_ratio = expected_ratio,
};
