/* ToMe (Bolya et al., ICLR 2023) on projected tokens, per frame or per video: the tokens at even places look for
 * their most alike among those at odd places, and the r most alike pairs become one token each, a mean weighted by how many sources
 * each stands for. Repeated until the number wanted is left, as a step removes half at most. Query-free, class A.
 *
 * The form inside the tower's blocks would encode every frame once per cell, where everything before a method is computed once for
 * all cells; it is not offered. */
#include "compressors/groups.h"
#include "compressors/methods.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { KEEP, PER, METRIC, STEPS, ORDER, SIZE_BIAS };

enum { PER_FRAME, PER_VIDEO };
enum { METRIC_H, METRIC_X, METRIC_KEYS };

static const char *const pers[] = {"frame", "video", NULL};
static const char *const metrics[] = {"h", "x", "keys", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.5, 0, 1, NULL, "share of the grid's tokens left, markers not counted; at least one"},
    {"per", OPTION_CHOICE, PER_FRAME, 0, 0, pers, "within each frame, or over the whole video (a quarter of its square in comparisons)"},
    {"metric", OPTION_CHOICE, METRIC_H, 0, 0, metrics, "what is compared: projected features, vision features, or attention keys (as inside a tower)"},
    {"steps", OPTION_INT, NAN, 1, 64, NULL, "spreads the merging over this many steps of equal r; unset: as few as halving needs"},
    {"order", OPTION_CHOICE, ORDER_PLACE, 0, 0, order_choices,
     "place: where each token's odd member was; made: unmerged by falling similarity, then merged, as released, with one marker at most"},
    {"size_bias", OPTION_FLAG, 1, 0, 1, NULL, "attention adds log(size) to a token's logit (proportional attention)"},
};

static unsigned needs(const double *values)
{
    static const unsigned of_metric[] = {NEED_H_POOLED, NEED_X_POOLED, NEED_KV_POOLED};
    return of_metric[(int)values[METRIC]] | NEED_SUMS;
}

/* ---- merging ------------------------------------------------------------------------------------------------------------- */

/* Tokens of one frame or video while they are merged. A token goes by its source number; a merged one by that of its odd member. */
struct merging {
    struct sim_rows rows;     /* sources, and behind them room for `half` means and as many sums */
    size_t half;
    uint32_t *row;            /* [n] what is compared: a source's row until it takes part in a merge, then that of its mean */
    float *norm;
    uint32_t *size;
    struct groups groups;
    uint32_t *list, *next;    /* tokens left, in the order of making */
    float *score;             /* of each even token: its cosine with the odd one it likes best */
    uint32_t *best, *ranked;
    uint32_t *even, *odd;     /* rows of a step's tokens */
    uint32_t *joined, *chain; /* of each token: the first that joins it in a step; the one that joins after it. NOBODY */
    uint32_t *merged;         /* the tokens left that have a mean */
    struct tap *taps;
    uint32_t *begin;
    float *dots;              /* [CHUNK_VALUES, or one even token's] */
    struct arena *arena;
};

enum { NOBODY = UINT32_MAX, CHUNK_VALUES = 1 << 18 };

static bool merging_reserve(struct merging *m, size_t n, size_t half, struct arena *arena)
{
    m->row = arena_alloc(arena, n, sizeof *m->row);
    m->norm = arena_alloc(arena, n, sizeof *m->norm);
    m->size = arena_alloc(arena, n, sizeof *m->size);
    m->list = arena_alloc(arena, n, sizeof *m->list);
    m->next = arena_alloc(arena, n, sizeof *m->next);
    m->score = arena_alloc(arena, half, sizeof *m->score);
    m->best = arena_alloc(arena, half, sizeof *m->best);
    m->ranked = arena_alloc(arena, half, sizeof *m->ranked);
    m->even = arena_alloc(arena, half, sizeof *m->even);
    m->odd = arena_alloc(arena, half, sizeof *m->odd);
    m->joined = arena_alloc(arena, n, sizeof *m->joined);
    m->chain = arena_alloc(arena, n, sizeof *m->chain);
    m->merged = arena_alloc(arena, half, sizeof *m->merged);
    m->taps = arena_alloc(arena, 2 * half, sizeof *m->taps);
    m->begin = arena_alloc(arena, half + 1, sizeof *m->begin);
    m->dots = arena_alloc(arena, half > CHUNK_VALUES ? half : CHUNK_VALUES, sizeof *m->dots);
    return m->row && m->norm && m->size && m->list && m->next && m->score && m->best && m->ranked && m->even && m->odd && m->joined && m->chain &&
           m->merged && m->taps && m->begin && m->dots && groups_new(&m->groups, n, arena);
}

/* `unit`: most tokens that are merged among each other. */
static int merging_new(struct merging *m, const struct sim_rows *rows, size_t unit, struct arena *arena, struct err *err)
{
    size_t n = rows->n, half = unit / 2 + 1;
    *m = (struct merging){.rows = *rows, .half = half, .arena = arena};
    if (!merging_reserve(m, n, half, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < n; i++) {
        m->row[i] = (uint32_t)i;
        m->size[i] = 1;
        m->joined[i] = m->chain[i] = NOBODY;
    }
    int rc = sim_lengths(&m->rows, (struct row_list){.n = n}, m->norm, arena, err);
    return rc ? rc : sim_room(&m->rows, 2 * half, arena, err);
}

/* The best of the odd tokens for the a-th even one, by its dot products with them. */
static void take_best(struct merging *m, const uint32_t *list, size_t a, size_t n_odd, const float *dots)
{
    m->score[a] = -2;
    m->best[a] = 1;
    for (size_t b = 0; b < n_odd; b++) {
        float value = sim_cosine(dots[b], m->norm[list[2 * a]], m->norm[list[2 * b + 1]]);
        if (value > m->score[a]) {
            m->score[a] = value;
            m->best[a] = (uint32_t)(2 * b + 1);
        }
    }
}

/* For each even place of the list, the odd one of largest cosine; equal ones: the first. */
static int find_best(struct merging *m, const uint32_t *list, size_t n, struct err *err)
{
    size_t n_odd = n / 2, n_even = n - n_odd, chunk = n_odd < CHUNK_VALUES ? CHUNK_VALUES / n_odd : 1;
    const struct row_list odd = {.of = m->odd, .n = n_odd};
    int rc = 0;
    for (size_t i = 0; i < n; i++)
        (i % 2 ? m->odd : m->even)[i / 2] = m->row[list[i]];
    for (size_t first = 0; first < n_even && !rc; first += chunk) {
        const struct row_list even = {.of = m->even + first, .n = chunk < n_even - first ? chunk : n_even - first};
        rc = sim_block(&m->rows, even, odd, SIM_PRODUCT, m->dots, err);
        for (size_t i = 0; i < even.n && !rc; i++)
            take_best(m, list, first + i, n_odd, m->dots + i * n_odd);
    }
    return rc;
}

/* The r even tokens ranked first go into the odd ones that they like best, in that order. */
static void join_ranked(struct merging *m, const uint32_t *list, size_t r)
{
    for (size_t i = r; i-- > 0;) {
        uint32_t source = list[2 * m->ranked[i]], token = list[m->best[m->ranked[i]]];
        m->chain[source] = m->joined[token];
        m->joined[token] = source;
        groups_join(&m->groups, source, token);
    }
}

/* The taps of a token's sum: its rows times their sizes, or the mean that it has already. */
static uint32_t push_taps(struct merging *m, uint32_t token, uint32_t taps)
{
    bool joined = m->joined[token] != NOBODY;
    m->taps[taps++] = (struct tap){m->row[token], joined ? (float)m->size[token] : 1};
    for (uint32_t source = m->joined[token]; source != NOBODY; source = m->chain[source])
        m->taps[taps++] = (struct tap){m->row[source], (float)m->size[source]};
    return taps;
}

/* Means of all tokens left that have one, in two steps, so that what they are made of can make place: sums, and these divided by the size
 * of the tokens that others joined. */
static int make_means(struct merging *m, const uint32_t *left, size_t n, struct err *err)
{
    struct sim_sums sums = {.first = m->rows.n + m->half, .begin = m->begin, .taps = m->taps};
    uint32_t taps = 0;
    for (size_t i = 0; i < n; i++) {
        if (m->joined[left[i]] == NOBODY && m->row[left[i]] < m->rows.n)
            continue;
        taps = push_taps(m, left[i], taps);
        m->merged[sums.n] = left[i];
        m->begin[++sums.n] = taps;
    }
    int rc = sim_sum(&m->rows, &sums, err);
    for (size_t k = 0; k < sums.n; k++) {
        uint32_t token = m->merged[k];
        bool joined = m->joined[token] != NOBODY;
        for (uint32_t source = m->joined[token]; source != NOBODY; source = m->chain[source])
            m->size[token] += m->size[source];
        m->joined[token] = NOBODY;
        m->row[token] = (uint32_t)(m->rows.n + k);
        m->taps[k] = (struct tap){(uint32_t)(sums.first + k), joined ? (float)m->size[token] : 1};
        m->begin[k + 1] = (uint32_t)k + 1;
    }
    sums.first = m->rows.n;
    sums.divide = true;
    if (!rc)
        rc = sim_sum(&m->rows, &sums, err);
    if (!rc)
        rc = sim_lengths(&m->rows, (struct row_list){.first = m->rows.n, .n = sums.n}, m->score, m->arena, err);
    for (size_t k = 0; k < sums.n && !rc; k++)
        m->norm[m->merged[k]] = m->score[k];
    return rc;
}

/* One step: removes r <= n/2 of the n tokens of the list. What is left: unmerged even ones by falling similarity, then the odd ones. */
static int merge_step(struct merging *m, uint32_t *list, size_t n, size_t r, struct err *err)
{
    size_t even = (n + 1) / 2, left = 0;
    int rc = find_best(m, list, n, err);
    if (rc)
        return rc;
    if (!topk_rank(m->score, even, even, m->ranked, m->arena))
        return err_no_memory(err, "a token plan");
    join_ranked(m, list, r);
    for (size_t i = r; i < even; i++)
        m->next[left++] = list[2 * m->ranked[i]];
    for (size_t b = 1; b < n; b += 2)
        m->next[left++] = list[b];
    memcpy(list, m->next, left * sizeof *list);
    return make_means(m, list, left, err);
}

/* Merges the n tokens of the list until `wanted` are left; wanted >= 1. */
static int merge_down(struct merging *m, uint32_t *list, size_t n, size_t wanted, size_t steps, struct err *err)
{
    int rc = 0;
    for (size_t step = 0; n > wanted && !rc; step++) {
        size_t ahead = step < steps ? steps - step : 1, r = (n - wanted + ahead - 1) / ahead;
        r = r < n / 2 ? r : n / 2;
        rc = merge_step(m, list, n, r, err);
        n -= r;
    }
    return rc;
}

/* ---- the plan ------------------------------------------------------------------------------------------------------------ */

/* Gives every token the place of its odd member, and brings them into the order of making. */
static bool place_tokens(struct merging *m, size_t n_left, struct tok_plan *plan)
{
    uint32_t *number = arena_alloc(m->arena, m->groups.n, sizeof *number);
    struct out_tok *tok = arena_alloc(m->arena, n_left, sizeof *tok);
    if (!number || !tok)
        return false;
    for (size_t i = 0; i < plan->n_tok; i++)
        number[plan->tok[i].rep] = (uint32_t)i;
    for (size_t i = 0; i < n_left; i++) {
        tok[i] = plan->tok[number[groups_root(&m->groups, m->list[i])]];
        tok[i].rep = m->list[i];
    }
    plan->tok = tok;
    return true;
}

static size_t count_wanted(const double *values, const struct budget *budget, int t, size_t n)
{
    size_t wanted = !budget ? (size_t)nearbyint(values[KEEP] * (double)n) : (int)values[PER] == PER_FRAME ? budget->per_frame[t] : budget->total;
    return wanted < 1 ? 1 : wanted < n ? wanted : n;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    const struct grid_view *grid = &video->pooled;
    size_t frame = (size_t)grid->h * (size_t)grid->w, n = (size_t)video->T * frame;
    const struct sim_rows rows[] = {{.near = grid->H, .n = n, .width = (size_t)grid->d, .far = grid->far_H},
                                    {.near = grid->X, .n = n, .width = (size_t)grid->dx, .far = grid->far_X},
                                    {.near = grid->kv, .n = n, .width = (size_t)grid->dk, .far = grid->far_kv}};
    size_t unit = (int)values[PER] == PER_FRAME ? frame : n, left = 0;
    struct merging m;
    (void)question;
    int rc = merging_new(&m, &rows[(int)values[METRIC]], unit, arena, err);
    for (size_t first = 0; first < n && !rc; first += unit) {
        uint32_t *list = m.list + left; /* what is left of earlier frames stands before it */
        size_t wanted = count_wanted(values, budget, (int)(first / frame), unit);
        for (size_t i = 0; i < unit; i++)
            list[i] = (uint32_t)(first + i);
        rc = merge_down(&m, list, unit, wanted, isnan(values[STEPS]) ? 0 : (size_t)values[STEPS], err);
        left += wanted;
    }
    if (!rc)
        rc = groups_plan(&m.groups, video->T, grid->h, grid->w, arena, out, err);
    if (rc)
        return rc;
    out->order = (int)values[ORDER] == ORDER_MADE ? ORDER_GIVEN : ORDER_RASTER;
    out->size_bias = values[SIZE_BIAS] != 0;
    return place_tokens(&m, left, out) ? 0 : err_no_memory(err, "a token plan");
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    size_t frame = (size_t)shape->pooled.h * (size_t)shape->pooled.w, T = (size_t)shape->T;
    bool each = (int)values[PER] == PER_FRAME;
    size_t left = count_wanted(values, NULL, 0, each ? frame : frame * T) * (each ? T : 1);
    *source = "exact";
    return kept_ratio((double)left, &shape->pooled, (int)values[ORDER] == ORDER_MADE, shape, native);
}

const struct compressor compressor_tome = {
    .name = "tome",
    .summary = "merges the most alike pairs of two halves of the tokens, step by step",
    .source = "facebookresearch/ToMe tome/merge.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = EXACT_BUDGET | LOGSIZE_BIAS,
    .needs = needs,
    .domain = domain_pooled,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
