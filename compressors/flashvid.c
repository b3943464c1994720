/* FlashVID (ICLR 2026). Before the language model, query-free: each frame keeps tokens that are salient and unlike each
 * other; of the rest, each token that is alike enough to one anywhere in the frame before becomes its child, trees are averaged at
 * their roots, and the roots of each frame are clustered. Inside it FastV's rule, late. */
#include "compressors/diverse.h"
#include "compressors/layer.h"
#include "compressors/methods.h"
#include "compressors/peaks.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP, ALPHA, TAU, SELECT, SEGMENTS, CUT, EXPANSION, FORM, MARKERS, INNER_KEEP, INNER_LAYER, INNER_MARKERS };

enum { SELECT_ATTN_DIV_V2, SELECT_ATTN_DIV, SELECT_ATTN, SELECT_DIV };
enum { FORM_RELEASED, FORM_INTENDED };
enum { NEAREST = 7 };

static const char *const selects[] = {"attn_div_v2", "attn_div", "attn", "div", NULL};
static const char *const forms[] = {"released", "intended", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.25, 0, 1, NULL, "share of each frame's tokens, times expansion, rounded up, markers not counted (retention_ratio)"},
    {"alpha", OPTION_REAL, 0.7, 0, 1, NULL, "share of these that are kept as they are, rounded up; the others are merged"},
    {"tau", OPTION_REAL, 0.8, -1, 1, NULL, "a token joins the most alike one of the frame before when their cosine exceeds this (temporal_threshold)"},
    {"select", OPTION_CHOICE, SELECT_ATTN_DIV_V2, 0, 0, selects,
     "kept tokens: max-min diversity times saliency and likeness to the segment (as evaluated), times saliency, saliency alone, diversity alone"},
    {"segments", OPTION_INT, 8, 1, 65536, NULL, "least number of segments (min_segment_num)"},
    {"cut", OPTION_REAL, 0.9, -2, 2, NULL, "frames less alike than this are cut apart (segment_threshold)"},
    {"expansion", OPTION_REAL, 1.25, 0, 100, NULL, "how many more tokens enter the language model than its layers have on average; 1 goes with inner_keep 1"},
    {"form", OPTION_CHOICE, FORM_RELEASED, 0, 0, forms,
     "released: a tree's sum is divided by its root and the root's children, a lone frame clusters kept tokens again; intended: neither"},
    {"markers", OPTION_CHOICE, MARKERS_ALL, 0, 0, marker_choices, "of rows and frames: all, or of those that have a token left"},
    {"inner_keep", OPTION_REAL, 0.3, 0, 1, NULL, "share that stays inside the language model, rounded up (llm_retention_ratio); 1: all"},
    {"inner_layer", OPTION_INT, NAN, 1, 1000, NULL, "first layer that lacks the others, counted from 0 (pruning_layer); unset: 20 of 28, in proportion"},
    {"inner_markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and are not counted; ranked: like any token, as upstream"},
};

static unsigned roles(const double *values)
{
    return ROLE_TOKENS | (values[INNER_KEEP] < 1 ? ROLE_LAYER : 0u);
}

static unsigned needs(const double *values)
{
    return NEED_H_POOLED | ((int)values[SELECT] == SELECT_DIV ? 0 : NEED_SAL_POOLED);
}

struct flashvid {
    const double *values;
    const struct grid_view *grid;
    size_t T, N, d, n_kept, n_merged; /* of each frame */
    uint8_t *kept;       /* [T*N] as they are */
    uint32_t *root;      /* [T*N] of the tree that a token is in; itself while alone */
    float *alike;        /* [T*N] cosine with the most alike token of the frame before, -1 without one */
    uint32_t *parent;    /* [T*N] that token */
    uint32_t *divisor;   /* [T*N] what a root's sum is divided by */
    uint32_t *cluster;   /* [T*N] of each root of the frame in work, the token that it becomes */
    const float *norm;   /* [T*N] */
    float *unit;         /* [N][d] a frame's unit rows */
    float *sum, *weight; /* [N][d] rows of roots; [N] */
    float *distance;     /* [N][N] */
    const float **row;   /* [N] */
    uint32_t *cell;      /* [N] */
    struct arena *arena;
    struct tok_plan *plan;
};

/* ---- segments ------------------------------------------------------------------------------------------------------------ */

/* ends[T]: the last frames of segments. */
static bool cut(struct flashvid *f, uint8_t *ends)
{
    float *mean = arena_alloc(f->arena, f->T * f->d, sizeof *mean), *apart = arena_alloc(f->arena, f->T, sizeof *apart);
    uint8_t *more = arena_alloc(f->arena, f->T, 1);
    size_t segments = 1;
    if (!mean || !apart || !more)
        return false;
    for (size_t i = 0; i < f->T * f->N; i++)
        for (size_t c = 0; c < f->d; c++)
            mean[i / f->N * f->d + c] += f->grid->H[i * f->d + c] / (float)f->N;
    const float *norm = sim_norms(mean, f->T, f->d, f->arena);
    if (!norm)
        return false;
    for (size_t t = 0; t + 1 < f->T; t++) {
        float cosine = sim_cosine(sim_dot(mean + t * f->d, mean + (t + 1) * f->d, f->d), norm[t], norm[t + 1]);
        ends[t] = cosine < (float)f->values[CUT];
        apart[t] = ends[t] ? NAN : -cosine; /* less than all others */
        segments += ends[t];
    }
    size_t wanted = (size_t)f->values[SEGMENTS];
    topk_mark(apart, f->T - 1, wanted > segments ? wanted - segments : 0, more);
    for (size_t t = 0; t + 1 < f->T; t++)
        ends[t] |= more[t];
    ends[f->T - 1] = 1;
    return true;
}

/* ---- tokens that are kept ------------------------------------------------------------------------------------------------ */

/* The mean token of frames first..end-1. */
static void segment_mean(const struct flashvid *f, size_t first, size_t end, float *mean)
{
    for (size_t c = 0; c < f->d; c++)
        mean[c] = 0;
    for (size_t i = first * f->N; i < end * f->N; i++)
        for (size_t c = 0; c < f->d; c++)
            mean[c] += f->grid->H[i * f->d + c] / (float)((end - first) * f->N);
}

static void weigh(const struct flashvid *f, size_t t, const float *mean)
{
    for (size_t i = 0; i < f->N; i++) {
        f->weight[i] = f->grid->sal[t * f->N + i];
        if ((int)f->values[SELECT] == SELECT_ATTN_DIV_V2)
            f->weight[i] *= sim_dot(f->grid->H + (t * f->N + i) * f->d, mean, f->d);
    }
}

static bool select_frame(struct flashvid *f, size_t t, const float *mean)
{
    int select = (int)f->values[SELECT];
    if (select != SELECT_DIV)
        weigh(f, t, mean);
    for (size_t i = 0; i < f->N; i++) {
        float norm = f->norm[t * f->N + i];
        for (size_t c = 0; c < f->d; c++)
            f->unit[i * f->d + c] = norm != 0 ? f->grid->H[(t * f->N + i) * f->d + c] / norm : 0;
    }
    if (select == SELECT_ATTN)
        topk_select(f->weight, f->N, f->n_kept, f->cell);
    else if (!diverse_select(f->unit, f->N, f->d, select == SELECT_DIV ? NULL : f->weight, f->n_kept, f->cell, f->arena))
        return false;
    for (size_t k = 0; k < f->n_kept; k++) {
        f->kept[t * f->N + f->cell[k]] = 1;
        plan_push_source(f->plan, (uint32_t)(t * f->N + f->cell[k]));
    }
    return true;
}

/* ---- trees --------------------------------------------------------------------------------------------------------------- */

/* Of each token that is not kept, the most alike token of the frame before that is not kept. */
static void find_parents(struct flashvid *f, size_t first, size_t end)
{
    for (size_t i = first * f->N; i < end * f->N; i++) {
        size_t before = (i / f->N - 1) * f->N;
        f->alike[i] = -1;
        for (size_t j = before; i >= (first + 1) * f->N && !f->kept[i] && j < before + f->N; j++) {
            float cosine = f->kept[j] ? -1 : sim_cosine(sim_dot(f->grid->H + i * f->d, f->grid->H + j * f->d, f->d), f->norm[i], f->norm[j]);
            if (j == before || cosine > f->alike[i]) {
                f->alike[i] = cosine;
                f->parent[i] = (uint32_t)j;
            }
        }
    }
}

/* The cosine above which tokens join: raised when fewer would be left than the segment is to keep. */
static bool joining_cosine(struct flashvid *f, size_t first, size_t end, float *threshold)
{
    size_t n = (end - first) * f->N, least = (end - first) * (f->n_kept + f->n_merged), joining = 0;
    *threshold = (float)f->values[TAU];
    for (size_t i = first * f->N; i < end * f->N; i++)
        joining += f->alike[i] > *threshold;
    if (n - joining >= least || n <= least)
        return true;
    uint32_t *ranked = arena_alloc(f->arena, n - least, sizeof *ranked);
    if (!ranked || !topk_rank(f->alike + first * f->N, n, n - least, ranked, f->arena))
        return false;
    *threshold = fmaxf(f->alike[first * f->N + ranked[n - least - 1]], -1 + 1e-6f);
    return true;
}

static bool grow_trees(struct flashvid *f, size_t first, size_t end)
{
    float threshold;
    find_parents(f, first, end);
    if (!joining_cosine(f, first, end, &threshold))
        return false;
    bool all = (end - first) * f->N <= (end - first) * (f->n_kept + f->n_merged); /* nothing needs to be merged */
    for (size_t i = first * f->N; i < end * f->N; i++) {
        bool joins = !all && f->alike[i] > threshold;
        f->root[i] = joins ? f->root[f->parent[i]] : (uint32_t)i;
        if (!joins || (int)f->values[FORM] == FORM_INTENDED || f->parent[i] == f->root[i])
            f->divisor[f->root[i]]++;
    }
    return true;
}

/* ---- clusters of roots --------------------------------------------------------------------------------------------------- */

/* Roots of frame t that take part, into cell[]; their number. */
static size_t take_roots(struct flashvid *f, size_t t, bool alone)
{
    size_t n = 0;
    for (size_t i = 0; i < f->N; i++) {
        size_t at = t * f->N + i;
        bool again = alone && (int)f->values[FORM] == FORM_RELEASED; /* kept ones too */
        if (f->root[at] == at && (again || !f->kept[at]))
            f->cell[n++] = (uint32_t)i;
    }
    return n;
}

/* Their rows: the sums of their trees over frames t..end-1, divided. */
static void fill_rows(struct flashvid *f, size_t t, size_t n, size_t end)
{
    for (size_t k = 0; k < n; k++) {
        f->row[k] = f->sum + k * f->d;
        f->cluster[t * f->N + f->cell[k]] = (uint32_t)k;
    }
    memset(f->sum, 0, n * f->d * sizeof *f->sum);
    for (size_t i = t * f->N; i < end * f->N; i++) {
        uint32_t root = f->root[i];
        if (root < t * f->N || root >= (t + 1) * f->N || f->cluster[root] == UINT32_MAX)
            continue;
        float *sum = f->sum + f->cluster[root] * f->d;
        for (size_t c = 0; c < f->d; c++)
            sum[c] += f->grid->H[i * f->d + c] / (float)f->divisor[root];
    }
}

/* One token: the mean of the trees whose roots are in cluster k. */
static void push_cluster(struct flashvid *f, size_t t, size_t end, uint32_t k, size_t n_roots, uint32_t centre)
{
    size_t taps = f->plan->n_taps;
    for (size_t i = t * f->N; i < end * f->N; i++) {
        uint32_t root = f->root[i];
        if (root >= t * f->N && root < (t + 1) * f->N && f->cluster[root] == k)
            f->plan->taps[f->plan->n_taps++] = (struct tap){(uint32_t)i, 1 / (float)f->divisor[root] / (float)n_roots};
    }
    plan_push_sum(f->plan, taps, (uint32_t)(t * f->N + centre));
}

static bool push_roots(struct flashvid *f, size_t t, size_t end, bool alone, double ratio)
{
    size_t n = take_roots(f, t, alone), wanted = (size_t)ceil((double)n * ratio);
    struct peaks peaks;
    for (size_t i = 0; i < f->N; i++)
        f->cluster[t * f->N + i] = UINT32_MAX;
    fill_rows(f, t, n, end);
    if (ratio >= 1 || !wanted) {
        for (uint32_t k = 0; k < n; k++)
            push_cluster(f, t, end, k, 1, f->cell[k]);
        return true;
    }
    peaks_distances(f->row, n, f->d, f->distance);
    if (!peaks_cluster(f->distance, n, wanted < NEAREST ? wanted : NEAREST, wanted, false, &peaks, f->arena))
        return false;
    for (size_t k = 0; k < n; k++)
        f->cluster[t * f->N + f->cell[k]] = peaks.of[k];
    for (uint32_t k = 0; k < wanted; k++) {
        size_t members = 0;
        for (size_t i = 0; i < n; i++)
            members += peaks.of[i] == k;
        push_cluster(f, t, end, k, members, f->cell[peaks.centre[k]]);
    }
    return true;
}

static bool push_segment(struct flashvid *f, size_t first, size_t end, float *mean)
{
    bool alone = end - first == 1;
    size_t left = 0;
    segment_mean(f, first, end, mean);
    for (size_t t = first; t < end; t++)
        if (!select_frame(f, t, mean))
            return false;
    if (!f->n_merged)
        return true;
    if (!grow_trees(f, first, end))
        return false;
    for (size_t t = first; t < end; t++)
        left += take_roots(f, t, alone);
    double ratio = left ? (double)(f->n_merged * (end - first)) / (double)left : 1;
    for (size_t t = first; t < end; t++)
        if (!push_roots(f, t, end, alone, ratio))
            return false;
    return true;
}

static bool room(struct flashvid *f)
{
    size_t n = f->T * f->N, N = f->N;
    f->kept = arena_alloc(f->arena, n, 1);
    f->root = arena_alloc(f->arena, n, sizeof *f->root);
    f->parent = arena_alloc(f->arena, n, sizeof *f->parent);
    f->divisor = arena_alloc(f->arena, n, sizeof *f->divisor);
    f->cluster = arena_alloc(f->arena, n, sizeof *f->cluster);
    f->alike = arena_alloc(f->arena, n, sizeof *f->alike);
    f->norm = sim_norms(f->grid->H, n, f->d, f->arena);
    f->unit = arena_alloc(f->arena, N * f->d, sizeof *f->unit);
    f->sum = arena_alloc(f->arena, N * f->d, sizeof *f->sum);
    f->weight = arena_alloc(f->arena, N, sizeof *f->weight);
    f->distance = arena_alloc(f->arena, N * N, sizeof *f->distance);
    f->row = arena_alloc(f->arena, N, sizeof *f->row);
    f->cell = arena_alloc(f->arena, N, sizeof *f->cell);
    return f->kept && f->root && f->parent && f->divisor && f->cluster && f->alike && f->norm && f->unit && f->sum && f->weight &&
           f->distance && f->row && f->cell && tok_plan_reserve(f->plan, (int)f->T, f->grid->h, f->grid->w, 2 * n, 2 * n, f->arena);
}

static void count_tokens(struct flashvid *f)
{
    double tokens = ceil((double)f->N * f->values[KEEP] * f->values[EXPANSION]);
    size_t all = tokens < (double)f->N ? (size_t)tokens : f->N;
    f->n_kept = (size_t)ceil((double)all * f->values[ALPHA]);
    f->n_merged = all - f->n_kept;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *grid = &video->pooled;
    struct flashvid f = {.values = values, .grid = grid, .T = (size_t)video->T, .N = (size_t)grid->h * (size_t)grid->w, .d = (size_t)grid->d,
                         .arena = arena, .plan = out};
    uint8_t *ends = arena_alloc(arena, f.T, 1);
    float *mean = arena_alloc(arena, f.d, sizeof *mean);
    bool fine = room(&f) && ends && mean && cut(&f, ends);
    count_tokens(&f);
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    for (size_t t = 0, first = 0; t < f.T && fine; t++) {
        if (!ends[t])
            continue;
        fine = push_segment(&f, first, t + 1, mean);
        first = t + 1;
    }
    return fine ? 0 : err_no_memory(err, "a token plan");
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    struct flashvid f = {.values = values, .N = (size_t)shape->pooled.h * (size_t)shape->pooled.w};
    count_tokens(&f);
    *source = "about";
    return kept_ratio((double)shape->T * (double)(f.n_kept + f.n_merged), &shape->pooled, false, shape, native);
}

/* ---- inside the language model ------------------------------------------------------------------------------------------- */

static int inner_layer(const double *values, int n_layers)
{
    return isnan(values[INNER_LAYER]) ? layer_in_proportion(20, 28, n_layers) : (int)values[INNER_LAYER];
}

static int fits(const double *values, int n_layers, struct err *err)
{
    return values[INNER_KEEP] < 1 ? layer_fits("flashvid", "inner_layer", inner_layer(values, n_layers), n_layers, err) : 0;
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory;
    out->call = point == POINT_PRE && values[INNER_KEEP] < 1 && layer == inner_layer(values, n_layers);
    out->rows = ROWS_LAST;
    out->heads = HEADS_MEAN;
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    int markers = (int)values[INNER_MARKERS];
    size_t count = (size_t)ceil(values[INNER_KEEP] * (double)layer_ranked(view, markers));
    return layer_plan_best(view, markers, count, 0, POSITIONS_KEEP, arena, out, err);
}

const struct compressor compressor_flashvid = {
    .name = "flashvid",
    .summary = "keeps salient and diverse tokens, and merges the others into trees over time and clusters of them",
    .source = "Fanziyang-v/FlashVID flashvid/utils.py, flashvid/modeling_qwen2.py",
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
