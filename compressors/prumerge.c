/* LLaVA-PruMerge and PruMerge+ (Shang et al., ICCV 2025), per frame on the tower's patches, before the projector:
 * tokens whose saliency stands out are kept, each adds its nearest neighbours by attention keys, weighted by saliency, and one token
 * more sums up all that was dropped. PruMerge+ also keeps evenly spaced tokens. Query-free, class A.
 *
 * The released code reads the attention of CLIP's class token, softmax over keys of full width; SigLIP has no such token, so saliency
 * is attention received. */
#include "compressors/methods.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>
#include <stdlib.h>

enum { KEEP, VARIANT, NEIGHBOURS, KEYS, ORDER, MARKERS };

enum { PRUMERGE, PRUMERGE_PLUS };
enum { KEYS_ALL, KEYS_MEAN };

static const char *const variants[] = {"prumerge", "plus", NULL};
static const char *const key_choices[] = {"all", "mean", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, NAN, 0, 1, NULL, "share of patches kept by saliency; unset: as many as lie above the third quartile by 1.5 quartile ranges"},
    {"variant", OPTION_CHOICE, PRUMERGE, 0, 0, variants, "plus: also keeps every s-th patch, s a third of patches per kept one"},
    {"neighbours", OPTION_INT, 32, 0, 65536, NULL, "patches whose features are added to each kept one"},
    {"keys", OPTION_CHOICE, KEYS_ALL, 0, 0, key_choices, "neighbours are alike in the keys of all heads side by side, as released, or in their mean"},
    {"order", OPTION_CHOICE, ORDER_PLACE, 0, 0, order_choices,
     "place: where each patch is, the dropped ones' sum last in its frame; made: by falling saliency, then the evenly spaced, as released"},
    {"markers", OPTION_CHOICE, MARKERS_KEPT, 0, 0, marker_choices, "of rows and frames: all, or of those that have a token left"},
};

static unsigned needs(const double *values)
{
    return NEED_SAL_RAW | NEED_SUMS | ((int)values[KEYS] == KEYS_ALL ? NEED_KEYS_RAW : NEED_KV_RAW);
}

static enum src_dom domain(const double *values)
{
    (void)values;
    return DOM_X_RAW;
}

/* One frame in work; arrays are as long as a frame. */
struct merge {
    const double *values;
    struct sim_rows keys;     /* of the video, and behind them the same of length 1 */
    const float *sal;         /* the frame's */
    size_t N, first;          /* first: the frame's first source */
    uint32_t *kept, n_kept;   /* in the order of making */
    uint8_t *is_kept;
    uint32_t *kept_row;       /* the kept ones' keys */
    float *alike, *sorted;    /* alike: [n_kept][N] */
    uint32_t *near;
    struct tok_plan *plan;
};

/* ---- which are kept ------------------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    const float *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* The share-th quantile of sorted numbers, between its neighbours in proportion. */
static double quantile(const float *sorted, size_t n, double share)
{
    double at = share * (double)(n - 1);
    size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
    return (double)sorted[below] + ((double)sorted[above] - (double)sorted[below]) * (at - (double)below);
}

/* How many numbers stand out. */
static size_t count_outliers(const struct merge *m)
{
    for (size_t i = 0; i < m->N; i++)
        m->sorted[i] = m->sal[i];
    qsort(m->sorted, m->N, sizeof *m->sorted, ascending);
    double low = quantile(m->sorted, m->N, 0.25), high = quantile(m->sorted, m->N, 0.75), bound = high + 1.5 * (high - low);
    size_t count = 0;
    for (size_t i = 0; i < m->N; i++)
        count += (double)m->sal[i] > bound;
    return count;
}

/* The evenly spaced tokens of PruMerge+: 0, step, 2 step, ..., the frame's last one left out, as released. */
static void keep_spaced(struct merge *m, double share)
{
    size_t per_kept = (size_t)(1 / fmax(share, 1 / (double)m->N)), step = per_kept / 3 ? per_kept / 3 : 1;
    for (size_t i = 0; i + 1 < m->N; i += step)
        if (!m->is_kept[i]) {
            m->is_kept[i] = 1;
            m->kept[m->n_kept++] = (uint32_t)i;
        }
}

static bool choose_kept(struct merge *m, struct arena *arena)
{
    bool adaptive = isnan(m->values[KEEP]);
    size_t count = adaptive ? count_outliers(m) : (size_t)(m->values[KEEP] * (double)m->N);
    double share = adaptive ? (double)count / (double)m->N : m->values[KEEP];
    for (size_t i = 0; i < m->N; i++)
        m->is_kept[i] = 0;
    if (!topk_rank(m->sal, m->N, count, m->kept, arena))
        return false;
    for (size_t i = 0; i < count; i++)
        m->is_kept[m->kept[i]] = 1;
    m->n_kept = (uint32_t)count;
    if ((int)m->values[VARIANT] == PRUMERGE_PLUS)
        keep_spaced(m, share);
    return true;
}

/* ---- what becomes of them ------------------------------------------------------------------------------------------------ */

static size_t neighbours(const double *values, size_t N)
{
    return values[NEIGHBOURS] < (double)(N - 1) ? (size_t)values[NEIGHBOURS] : N - 1;
}

/* A kept token and its nearest others, kept ones included, by weights that do not add up to 1. */
static void push_kept(const struct merge *m, uint32_t token, float *alike)
{
    struct tok_plan *plan = m->plan;
    size_t first = plan->n_taps, n = neighbours(m->values, m->N);
    plan->taps[plan->n_taps++] = (struct tap){(uint32_t)m->first + token, 1};
    alike[token] = NAN; /* not its own neighbour */
    topk_select(alike, m->N, n, m->near);
    for (size_t i = 0; i < n; i++)
        plan->taps[plan->n_taps++] = (struct tap){(uint32_t)m->first + m->near[i], m->sal[m->near[i]]};
    plan_push_sum(plan, first, (uint32_t)m->first + token);
}

static int push_all_kept(const struct merge *m, struct err *err)
{
    const struct row_list frame = {.first = m->keys.n + m->first, .n = m->N};
    for (uint32_t i = 0; i < m->n_kept; i++)
        m->kept_row[i] = (uint32_t)frame.first + m->kept[i];
    int rc = sim_block(&m->keys, (struct row_list){.of = m->kept_row, .n = m->n_kept}, frame, SIM_PRODUCT, m->alike, err);
    for (uint32_t i = 0; i < m->n_kept && !rc; i++)
        push_kept(m, m->kept[i], m->alike + i * m->N);
    return rc;
}

static void push_dropped(const struct merge *m)
{
    struct tok_plan *plan = m->plan;
    size_t first = plan->n_taps;
    for (size_t i = 0; i < m->N; i++)
        if (!m->is_kept[i])
            plan->taps[plan->n_taps++] = (struct tap){(uint32_t)(m->first + i), m->sal[i]};
    if (plan->n_taps > first)
        plan_push_sum(plan, first, (uint32_t)(m->first + m->N - 1));
}

static int room(struct merge *m, struct arena *arena, struct err *err)
{
    size_t N = m->N;
    const struct row_list all = {.n = m->keys.n};
    float *norm = arena_alloc(arena, all.n, sizeof *norm);
    m->kept = arena_alloc(arena, N, sizeof *m->kept);
    m->is_kept = arena_alloc(arena, N, 1);
    m->kept_row = arena_alloc(arena, N, sizeof *m->kept_row);
    m->alike = arena_alloc(arena, N * N, sizeof *m->alike);
    m->sorted = arena_alloc(arena, N, sizeof *m->sorted);
    m->near = arena_alloc(arena, N, sizeof *m->near);
    if (!norm || !m->kept || !m->is_kept || !m->kept_row || !m->alike || !m->sorted || !m->near)
        return err_no_memory(err, "a token plan");
    int rc = sim_lengths(&m->keys, all, norm, arena, err);
    if (!rc)
        rc = sim_room(&m->keys, all.n, arena, err);
    return rc ? rc : sim_units(&m->keys, all, norm, all.n, arena, err);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *grid = &video->raw;
    size_t N = (size_t)grid->h * (size_t)grid->w, T = (size_t)video->T;
    struct merge m = {.values = values, .N = N, .plan = out,
                      .keys = {.near = grid->kv, .n = T * N, .width = (size_t)grid->dk, .far = grid->far_kv}};
    int rc = room(&m, arena, err);
    if (!rc && !tok_plan_reserve(out, video->T, grid->h, grid->w, T * (N + 1), T * N * (neighbours(values, N) + 2), arena))
        rc = err_no_memory(err, "a token plan");
    out->order = (int)values[ORDER] == ORDER_MADE ? ORDER_GIVEN : ORDER_RASTER;
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    for (size_t t = 0; t < T && !rc; t++) {
        m.first = t * N;
        m.sal = grid->sal + m.first;
        rc = choose_kept(&m, arena) ? push_all_kept(&m, err) : err_no_memory(err, "a token plan");
        if (!rc)
            push_dropped(&m);
    }
    return rc;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    size_t N = (size_t)shape->raw.h * (size_t)shape->raw.w, kept = isnan(values[KEEP]) ? 0 : (size_t)(values[KEEP] * (double)N);
    bool exact = !isnan(values[KEEP]) && (int)values[VARIANT] == PRUMERGE && (int)values[MARKERS] == MARKERS_ALL;
    *source = exact ? "exact" : "depends on the video";
    return exact ? kept_ratio((double)shape->T * (double)(kept + (kept < N)), &shape->raw, (int)values[ORDER] == ORDER_MADE, shape, native) : NAN;
}

const struct compressor compressor_prumerge = {
    .name = "prumerge",
    .summary = "keeps patches whose saliency stands out and adds their neighbours to them, before the projector",
    .source = "arXiv 2403.15388; 42Shawn/LLaVA-PruMerge llava/model/multimodal_encoder/clip_encoder.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .needs = needs,
    .domain = domain,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
