/* FlashVID (ICLR 2026). Before the language model, query-free: each frame keeps tokens that are salient and unlike each
 * other; of the rest, each token that is alike enough to one anywhere in the frame before becomes its child, trees are averaged at
 * their roots, and the roots of each frame are clustered. Inside it FastV's rule, late. */
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
    return NEED_H_POOLED | NEED_SUMS | ((int)values[SELECT] == SELECT_DIV ? 0 : NEED_SAL_POOLED);
}

struct flashvid {
    const double *values;
    const struct grid_view *grid;
    size_t T, N, n_kept, n_merged; /* of each frame */
    struct sim_rows rows; /* H, and behind it what is made: */
    size_t means, units, sums; /* [T] mean tokens of frames, and of a segment in place of the first; [N] a frame's tokens of length 1; [N] roots */
    uint8_t *kept;       /* [T*N] as they are */
    uint32_t *root;      /* [T*N] of the tree that a token is in; itself while alone */
    float *alike;        /* [T*N] cosine with the most alike token of the frame before, -1 without one */
    uint32_t *parent;    /* [T*N] that token */
    uint32_t *divisor;   /* [T*N] what a root's sum is divided by */
    uint32_t *cluster;   /* [T*N] of each root of the frame in work, the token that it becomes */
    float *norm;         /* [T*N] */
    float *weight;       /* [N] */
    float *distance;     /* [N][N] */
    uint32_t *cell;      /* [N] */
    uint32_t *row[2];    /* [N] each */
    struct tap *taps;    /* [T*N], and begin[T + 1] or [N + 1]: room to make rows */
    uint32_t *begin;
    struct arena *arena;
    struct tok_plan *plan;
};

/* ---- segments ------------------------------------------------------------------------------------------------------------ */

/* Makes the mean tokens of n parts of the same number of frames, from frame `first` on. */
static int average(struct flashvid *f, size_t first, size_t n, size_t frames, struct err *err)
{
    size_t tokens = frames * f->N;
    for (size_t i = 0; i < n * tokens; i++)
        f->taps[i] = (struct tap){(uint32_t)(first * f->N + i), (float)tokens};
    for (size_t k = 0; k <= n; k++)
        f->begin[k] = (uint32_t)(k * tokens);
    return sim_sum(&f->rows, &(struct sim_sums){.first = f->means, .n = n, .begin = f->begin, .taps = f->taps, .divide = true}, err);
}

/* alike[t]: the cosine of the mean tokens of frames t and t + 1. */
static int compare_frames(struct flashvid *f, float *alike, struct err *err)
{
    float *norm = arena_alloc(f->arena, f->T, sizeof *norm);
    struct row_pair *pairs = arena_alloc(f->arena, f->T, sizeof *pairs);
    if (!norm || !pairs)
        return err_no_memory(err, "a token plan");
    for (size_t t = 0; t + 1 < f->T; t++)
        pairs[t] = (struct row_pair){(uint32_t)(f->means + t), (uint32_t)(f->means + t + 1)};
    int rc = average(f, 0, f->T, 1, err);
    if (!rc)
        rc = sim_lengths(&f->rows, (struct row_list){.first = f->means, .n = f->T}, norm, f->arena, err);
    if (!rc)
        rc = sim_pairs(&f->rows, pairs, f->T - 1, false, alike, err);
    for (size_t t = 0; t + 1 < f->T && !rc; t++)
        alike[t] = sim_cosine(alike[t], norm[t], norm[t + 1]);
    return rc;
}

/* ends[T]: the last frames of segments. */
static int cut(struct flashvid *f, uint8_t *ends, struct err *err)
{
    float *apart = arena_alloc(f->arena, f->T, sizeof *apart);
    uint8_t *more = arena_alloc(f->arena, f->T, 1);
    size_t segments = 1;
    if (!apart || !more)
        return err_no_memory(err, "a token plan");
    int rc = compare_frames(f, apart, err);
    if (rc)
        return rc;
    for (size_t t = 0; t + 1 < f->T; t++) {
        ends[t] = apart[t] < (float)f->values[CUT];
        apart[t] = ends[t] ? NAN : -apart[t]; /* less than all others */
        segments += ends[t];
    }
    size_t wanted = (size_t)f->values[SEGMENTS];
    topk_mark(apart, f->T - 1, wanted > segments ? wanted - segments : 0, more);
    for (size_t t = 0; t + 1 < f->T; t++)
        ends[t] |= more[t];
    ends[f->T - 1] = 1;
    return 0;
}

/* ---- tokens that are kept ------------------------------------------------------------------------------------------------ */

/* By saliency, and likeness to the mean token of the segment. */
static int weigh(struct flashvid *f, size_t t, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < f->N; i++)
        f->weight[i] = 1;
    if ((int)f->values[SELECT] == SELECT_ATTN_DIV_V2)
        rc = sim_block(&f->rows, (struct row_list){.first = t * f->N, .n = f->N}, (struct row_list){.first = f->means, .n = 1}, SIM_PRODUCT, f->weight, err);
    for (size_t i = 0; i < f->N && !rc; i++)
        f->weight[i] *= f->grid->sal[t * f->N + i];
    return rc;
}

static int choose_diverse(struct flashvid *f, size_t t, const float *weight, struct err *err)
{
    const struct sim_choice choice = {.first = f->units, .n = f->N, .k = f->n_kept, .weight = weight};
    int rc = sim_units(&f->rows, (struct row_list){.first = t * f->N, .n = f->N}, f->norm + t * f->N, f->units, f->arena, err);
    return rc ? rc : sim_choose(&f->rows, &choice, f->cell, f->arena, err);
}

static int select_frame(struct flashvid *f, size_t t, struct err *err)
{
    int select = (int)f->values[SELECT], rc = select == SELECT_DIV ? 0 : weigh(f, t, err);
    if (!rc && select == SELECT_ATTN)
        topk_select(f->weight, f->N, f->n_kept, f->cell);
    else if (!rc)
        rc = choose_diverse(f, t, select == SELECT_DIV ? NULL : f->weight, err);
    for (size_t k = 0; k < f->n_kept && !rc; k++) {
        f->kept[t * f->N + f->cell[k]] = 1;
        plan_push_source(f->plan, (uint32_t)(t * f->N + f->cell[k]));
    }
    return rc;
}

/* ---- trees --------------------------------------------------------------------------------------------------------------- */

/* The tokens of frame t that are not kept. */
static struct row_list take_rest(const struct flashvid *f, size_t t, uint32_t *row)
{
    struct row_list list = {.of = row};
    for (size_t i = t * f->N; i < (t + 1) * f->N; i++)
        if (!f->kept[i])
            row[list.n++] = (uint32_t)i;
    return list;
}

/* Of token i, whose dot products with the rest of the frame before are known: the most alike token there, kept ones being like nothing. */
static void find_parent(struct flashvid *f, size_t i, const float *dots)
{
    size_t before = (i / f->N - 1) * f->N;
    for (size_t j = before; j < before + f->N; j++) {
        float cosine = f->kept[j] ? -1 : sim_cosine(*dots++, f->norm[i], f->norm[j]);
        if (j == before || cosine > f->alike[i]) {
            f->alike[i] = cosine;
            f->parent[i] = (uint32_t)j;
        }
    }
}

/* Of each token that is not kept, the most alike token of the frame before that is not kept. */
static int find_parents(struct flashvid *f, size_t first, size_t end, struct err *err)
{
    struct row_list before = take_rest(f, first, f->row[0]);
    int rc = 0;
    for (size_t i = first * f->N; i < end * f->N; i++)
        f->alike[i] = -1;
    for (size_t t = first + 1; t < end && !rc; t++) {
        const struct row_list rest = take_rest(f, t, f->row[(t - first) % 2]);
        rc = sim_block(&f->rows, rest, before, SIM_PRODUCT, f->distance, err);
        for (size_t k = 0; k < rest.n && !rc; k++)
            find_parent(f, rest.of[k], f->distance + k * before.n);
        before = rest;
    }
    return rc;
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

static int grow_trees(struct flashvid *f, size_t first, size_t end, struct err *err)
{
    float threshold;
    int rc = find_parents(f, first, end, err);
    if (rc)
        return rc;
    if (!joining_cosine(f, first, end, &threshold))
        return err_no_memory(err, "a token plan");
    bool all = (end - first) * f->N <= (end - first) * (f->n_kept + f->n_merged); /* nothing needs to be merged */
    for (size_t i = first * f->N; i < end * f->N; i++) {
        bool joins = !all && f->alike[i] > threshold;
        f->root[i] = joins ? f->root[f->parent[i]] : (uint32_t)i;
        if (!joins || (int)f->values[FORM] == FORM_INTENDED || f->parent[i] == f->root[i])
            f->divisor[f->root[i]]++;
    }
    return 0;
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

/* The number of a token's root among the roots of frame t that take part; UINT32_MAX: it is none of these. */
static uint32_t root_number(const struct flashvid *f, size_t t, size_t i)
{
    uint32_t root = f->root[i];
    return root < t * f->N || root >= (t + 1) * f->N ? UINT32_MAX : f->cluster[root];
}

/* Their rows: the sums of their trees over frames t..end-1, divided. */
static int fill_rows(struct flashvid *f, size_t t, size_t n, size_t end, struct err *err)
{
    memset(f->begin, 0, (n + 2) * sizeof *f->begin);
    for (size_t k = 0; k < n; k++)
        f->cluster[t * f->N + f->cell[k]] = (uint32_t)k;
    for (size_t i = t * f->N; i < end * f->N; i++)
        if (root_number(f, t, i) != UINT32_MAX)
            f->begin[root_number(f, t, i) + 2]++;
    for (size_t k = 0; k < n; k++)
        f->begin[k + 2] += f->begin[k + 1];
    for (size_t i = t * f->N; i < end * f->N; i++) { /* begin[k + 1] moves from where part k begins to where it ends */
        uint32_t k = root_number(f, t, i);
        if (k != UINT32_MAX)
            f->taps[f->begin[k + 1]++] = (struct tap){(uint32_t)i, (float)f->divisor[f->root[i]]};
    }
    return sim_sum(&f->rows, &(struct sim_sums){.first = f->sums, .n = n, .begin = f->begin, .taps = f->taps, .divide = true}, err);
}

/* One token: the mean of the trees whose roots are in cluster k. */
static void push_cluster(struct flashvid *f, size_t t, size_t end, uint32_t k, size_t n_roots, uint32_t centre)
{
    size_t taps = f->plan->n_taps;
    for (size_t i = t * f->N; i < end * f->N; i++) {
        if (root_number(f, t, i) == k)
            f->plan->taps[f->plan->n_taps++] = (struct tap){(uint32_t)i, 1 / (float)f->divisor[f->root[i]] / (float)n_roots};
    }
    plan_push_sum(f->plan, taps, (uint32_t)(t * f->N + centre));
}

static int push_roots(struct flashvid *f, size_t t, size_t end, bool alone, double ratio, struct err *err)
{
    size_t n = take_roots(f, t, alone), wanted = (size_t)ceil((double)n * ratio);
    struct peaks peaks;
    for (size_t i = 0; i < f->N; i++)
        f->cluster[t * f->N + i] = UINT32_MAX;
    int rc = fill_rows(f, t, n, end, err);
    if (rc)
        return rc;
    if (ratio >= 1 || !wanted) {
        for (uint32_t k = 0; k < n; k++)
            push_cluster(f, t, end, k, 1, f->cell[k]);
        return 0;
    }
    if ((rc = peaks_distances(&f->rows, (struct row_list){.first = f->sums, .n = n}, f->distance, err)))
        return rc;
    if (!peaks_cluster(f->distance, n, wanted < NEAREST ? wanted : NEAREST, wanted, false, &peaks, f->arena))
        return err_no_memory(err, "clusters of tokens");
    for (size_t k = 0; k < n; k++)
        f->cluster[t * f->N + f->cell[k]] = peaks.of[k];
    for (uint32_t k = 0; k < wanted; k++) {
        size_t members = 0;
        for (size_t i = 0; i < n; i++)
            members += peaks.of[i] == k;
        push_cluster(f, t, end, k, members, f->cell[peaks.centre[k]]);
    }
    return 0;
}

static int push_segment(struct flashvid *f, size_t first, size_t end, struct err *err)
{
    bool alone = end - first == 1;
    size_t left = 0;
    int rc = average(f, first, 1, end - first, err);
    for (size_t t = first; t < end && !rc; t++)
        rc = select_frame(f, t, err);
    if (rc || !f->n_merged)
        return rc;
    if ((rc = grow_trees(f, first, end, err)))
        return rc;
    for (size_t t = first; t < end; t++)
        left += take_roots(f, t, alone);
    double ratio = left ? (double)(f->n_merged * (end - first)) / (double)left : 1;
    for (size_t t = first; t < end && !rc; t++)
        rc = push_roots(f, t, end, alone, ratio, err);
    return rc;
}

static int room(struct flashvid *f, struct err *err)
{
    size_t n = f->rows.n, N = f->N, lines = f->T > N ? f->T : N;
    f->means = n;
    f->units = n + f->T;
    f->sums = f->units + N;
    f->kept = arena_alloc(f->arena, n, 1);
    f->root = arena_alloc(f->arena, n, sizeof *f->root);
    f->parent = arena_alloc(f->arena, n, sizeof *f->parent);
    f->divisor = arena_alloc(f->arena, n, sizeof *f->divisor);
    f->cluster = arena_alloc(f->arena, n, sizeof *f->cluster);
    f->alike = arena_alloc(f->arena, n, sizeof *f->alike);
    f->norm = arena_alloc(f->arena, n, sizeof *f->norm);
    f->weight = arena_alloc(f->arena, N, sizeof *f->weight);
    f->distance = arena_alloc(f->arena, N * N, sizeof *f->distance);
    f->cell = arena_alloc(f->arena, N, sizeof *f->cell);
    f->row[0] = arena_alloc(f->arena, N, sizeof *f->row[0]);
    f->row[1] = arena_alloc(f->arena, N, sizeof *f->row[1]);
    f->taps = arena_alloc(f->arena, n, sizeof *f->taps);
    f->begin = arena_alloc(f->arena, lines + 2, sizeof *f->begin);
    if (!f->kept || !f->root || !f->parent || !f->divisor || !f->cluster || !f->alike || !f->norm || !f->weight || !f->distance || !f->cell ||
        !f->row[0] || !f->row[1] || !f->taps || !f->begin || !tok_plan_reserve(f->plan, (int)f->T, f->grid->h, f->grid->w, 2 * n, 2 * n, f->arena))
        return err_no_memory(err, "a token plan");
    int rc = sim_lengths(&f->rows, (struct row_list){.n = n}, f->norm, f->arena, err);
    return rc ? rc : sim_room(&f->rows, f->T + 2 * N, f->arena, err);
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
    struct flashvid f = {.values = values, .grid = grid, .T = (size_t)video->T, .N = (size_t)grid->h * (size_t)grid->w, .rows = rows_pooled(video),
                         .arena = arena, .plan = out};
    uint8_t *ends = arena_alloc(arena, f.T, 1);
    int rc = ends ? room(&f, err) : err_no_memory(err, "a token plan");
    if (!rc)
        rc = cut(&f, ends, err);
    count_tokens(&f);
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    for (size_t t = 0, first = 0; t < f.T && !rc; t++) {
        if (!ends[t])
            continue;
        rc = push_segment(&f, first, t + 1, err);
        first = t + 1;
    }
    return rc;
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
