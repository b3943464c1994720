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
    return of_metric[(int)values[METRIC]];
}

/* ---- merging ------------------------------------------------------------------------------------------------------------- */

/* Tokens of one frame or video while they are merged. A token goes by its source number; a merged one by that of its odd member. */
struct merging {
    size_t width;
    const float **row;       /* [n] what is compared: a source's features until it takes part in a merge, then a mean */
    float **own;             /* [n] where its mean is kept; NULL while it has none */
    float *norm;
    uint32_t *size;
    struct groups groups;
    float **spare;           /* means that are not needed any more */
    size_t n_spare;
    uint32_t *list, *next;   /* tokens left, in the order of making */
    float *score;            /* of each even token: its cosine with the odd one it likes best */
    uint32_t *best, *ranked;
    uint8_t *touched;
    struct arena *arena;
};

static bool merging_new(struct merging *m, const float *rows, size_t n, size_t width, struct arena *arena)
{
    *m = (struct merging){.width = width, .row = arena_alloc(arena, n, sizeof *m->row), .own = arena_alloc(arena, n, sizeof *m->own),
                          .norm = sim_norms(rows, n, width, arena), .size = arena_alloc(arena, n, sizeof *m->size),
                          .spare = arena_alloc(arena, n, sizeof *m->spare), .list = arena_alloc(arena, n, sizeof *m->list),
                          .next = arena_alloc(arena, n, sizeof *m->next), .score = arena_alloc(arena, n, sizeof *m->score),
                          .best = arena_alloc(arena, n, sizeof *m->best), .ranked = arena_alloc(arena, n, sizeof *m->ranked),
                          .touched = arena_alloc(arena, n, 1), .arena = arena};
    if (!m->row || !m->own || !m->norm || !m->size || !m->spare || !m->list || !m->next || !m->score || !m->best || !m->ranked ||
        !m->touched || !groups_new(&m->groups, n, arena))
        return false;
    for (size_t i = 0; i < n; i++) {
        m->row[i] = rows + i * width;
        m->size[i] = 1;
    }
    return true;
}

/* For each even place of the list, the odd one of largest cosine; equal ones: the first. */
static void find_best(struct merging *m, const uint32_t *list, size_t n)
{
    for (size_t a = 0; a < n; a += 2) {
        float most = -2;
        uint32_t best = 1, i = list[a];
        for (size_t b = 1; b < n; b += 2) {
            uint32_t k = list[b];
            float value = sim_cosine(sim_dot(m->row[i], m->row[k], m->width), m->norm[i], m->norm[k]);
            if (value > most) {
                most = value;
                best = (uint32_t)b;
            }
        }
        m->score[a / 2] = most;
        m->best[a / 2] = best;
    }
}

/* Gives a token a mean of its own that holds its sum, to be divided when its sources are in. */
static bool open_sum(struct merging *m, uint32_t token)
{
    if (!m->own[token])
        m->own[token] = m->n_spare ? m->spare[--m->n_spare] : arena_alloc(m->arena, m->width, sizeof(float));
    if (!m->own[token])
        return false;
    for (size_t c = 0; c < m->width; c++)
        m->own[token][c] = m->row[token][c] * (float)m->size[token];
    m->row[token] = m->own[token];
    m->touched[token] = 1;
    return true;
}

static bool merge_into(struct merging *m, uint32_t source, uint32_t token)
{
    if (!m->touched[token] && !open_sum(m, token))
        return false;
    for (size_t c = 0; c < m->width; c++)
        m->own[token][c] += m->row[source][c] * (float)m->size[source];
    m->size[token] += m->size[source];
    groups_join(&m->groups, source, token);
    if (m->own[source])
        m->spare[m->n_spare++] = m->own[source];
    return true;
}

static void close_sums(struct merging *m, const uint32_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t token = list[i];
        if (!m->touched[token])
            continue;
        for (size_t c = 0; c < m->width; c++)
            m->own[token][c] /= (float)m->size[token];
        m->norm[token] = sqrtf(sim_dot(m->own[token], m->own[token], m->width));
        m->touched[token] = 0;
    }
}

/* One step: removes r <= n/2 of the n tokens of the list. What is left: unmerged even ones by falling similarity, then the odd ones. */
static bool merge_step(struct merging *m, uint32_t *list, size_t n, size_t r)
{
    size_t even = (n + 1) / 2, left = 0;
    find_best(m, list, n);
    if (!topk_rank(m->score, even, even, m->ranked, m->arena))
        return false;
    for (size_t i = 0; i < r; i++)
        if (!merge_into(m, list[2 * m->ranked[i]], list[m->best[m->ranked[i]]]))
            return false;
    for (size_t i = r; i < even; i++)
        m->next[left++] = list[2 * m->ranked[i]];
    for (size_t b = 1; b < n; b += 2)
        m->next[left++] = list[b];
    close_sums(m, m->next, left);
    memcpy(list, m->next, left * sizeof *list);
    return true;
}

/* Merges the n tokens of the list until `wanted` are left; wanted >= 1. */
static bool merge_down(struct merging *m, uint32_t *list, size_t n, size_t wanted, size_t steps)
{
    for (size_t step = 0; n > wanted; step++) {
        size_t ahead = step < steps ? steps - step : 1, r = (n - wanted + ahead - 1) / ahead;
        r = r < n / 2 ? r : n / 2;
        if (!merge_step(m, list, n, r))
            return false;
        n -= r;
    }
    return true;
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
    const float *rows[] = {grid->H, grid->X, grid->kv};
    const int widths[] = {grid->d, grid->dx, grid->dk};
    int metric = (int)values[METRIC];
    size_t frame = (size_t)grid->h * (size_t)grid->w, n = (size_t)video->T * frame, unit = (int)values[PER] == PER_FRAME ? frame : n, left = 0;
    struct merging m;
    (void)question;
    if (!merging_new(&m, rows[metric], n, (size_t)widths[metric], arena))
        return err_no_memory(err, "a token plan");
    for (size_t first = 0; first < n; first += unit) {
        uint32_t *list = m.list + left; /* what is left of earlier frames stands before it */
        size_t wanted = count_wanted(values, budget, (int)(first / frame), unit);
        for (size_t i = 0; i < unit; i++)
            list[i] = (uint32_t)(first + i);
        if (!merge_down(&m, list, unit, wanted, isnan(values[STEPS]) ? 0 : (size_t)values[STEPS]))
            return err_no_memory(err, "a token plan");
        left += wanted;
    }
    int rc = groups_plan(&m.groups, video->T, grid->h, grid->w, arena, out, err);
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
