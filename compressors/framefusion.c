/* FrameFusion (Fu et al., ICCV 2025): before the first attention and after each one, tokens that are like the same cell of the frame before
 * are merged into it; when hardly any are left that are, the tokens that the last prompt row attends to least are dropped, so many that the
 * mean share of tokens over all layers is the cost asked for. Merging needs no question, dropping does. Row markers are cells, too. */
#include "compressors/methods.h"

#include "compressors/layer.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { COST, THRESHOLD, LEAST, SIZE_POWER };

static const struct option options[] = {
    {"cost", OPTION_REAL, 0.3, 0.01, 1, NULL, "mean share of tokens over all layers"},
    {"threshold", OPTION_REAL, 0.6, -1, 1.5, NULL, "tokens of this cosine or more are merged (per model in the paper)"},
    {"least", OPTION_REAL, 0.1, 0, 1, NULL, "merging ends with the call that merges a smaller share than this"},
    {"size_power", OPTION_REAL, 0, -4, 4, NULL, "scores are multiplied by size^this where tokens were merged before; 0: plain, 1 favours big groups"},
};

/* What is kept from call to call: the share that each merging call took. */
struct progress {
    bool merged, pruned;
    int n_calls;
    double share[];
};

static size_t memory(const double *values, size_t n, int n_layers)
{
    (void)values, (void)n;
    return sizeof(struct progress) + ((size_t)n_layers + 1) * sizeof(double);
}

double framefusion_share(const double *share, int n_calls, double cost, int n_layers)
{
    double left = 1, spent = 0;
    for (int i = 0; i < n_calls; i++) {
        left *= 1 - share[i];
        spent += left;
    }
    double rest = (n_layers - n_calls) * left, density = rest > 0 ? (n_layers * cost - spent) / rest : 1;
    return density > 1 ? 0 : density < 0 ? 1 : 1 - density;
}

static void want(const double *values, const void *state, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    const struct progress *progress = state;
    (void)values, (void)n_layers;
    bool merging = !progress || !progress->merged;
    out->call = point == POINT_MID ? merging || !progress->pruned : merging && layer == 0;
    out->hidden = merging;
    out->rows = merging ? ROWS_NONE : ROWS_LAST;
    out->heads = HEADS_MEAN;
}

/* ---- merging ------------------------------------------------------------------------------------------------------------- */

enum { NO_CELL = -1 };

/* A cell's number in its frame, markers behind the grid; the marker of the whole video is none. */
static int cell_of(const struct layer_view *view, const struct out_tok *tok)
{
    int grid = view->h * view->w;
    return tok->kind == TOK_END_MARK                                      ? NO_CELL
           : tok->kind == TOK_ROW_MARK || tok->kind == TOK_FRAME_MARK ? grid + tok->y0
                                                                      : (int)(tok->rep % (uint32_t)grid);
}

struct merging { /* [n] each, but the table */
    uint32_t *before;   /* the token of the same cell in the last frame that has it; itself: there is none */
    float *alike;       /* their cosine; NaN where there is none */
    uint8_t *merges;
    uint32_t *into;     /* the survivor that it is part of */
    uint32_t *parts;    /* of a survivor, itself included */
    uint32_t *last;     /* [h * w + h] by cell, 0: not seen, else token + 1 */
    size_t n_cells;     /* tokens that have one */
};

static bool merging_new(struct merging *m, const struct layer_view *view, struct arena *arena)
{
    size_t n = view->n;
    *m = (struct merging){.before = arena_alloc(arena, n, sizeof *m->before), .alike = arena_alloc(arena, n, sizeof *m->alike),
                          .merges = arena_alloc(arena, n, 1), .into = arena_alloc(arena, n, sizeof *m->into),
                          .parts = arena_alloc(arena, n, sizeof *m->parts),
                          .last = arena_alloc(arena, (size_t)(view->h * view->w + view->h), sizeof *m->last)};
    return m->before && m->alike && m->merges && m->into && m->parts && m->last;
}

static bool compare_cells(struct merging *m, const struct layer_view *view, struct arena *arena)
{
    size_t d = (size_t)view->d;
    float *norm = sim_norms(view->hidden, view->n, d, arena);
    if (!norm)
        return false;
    for (size_t i = 0; i < view->n; i++) {
        int cell = cell_of(view, &view->tok[i]);
        uint32_t before = cell == NO_CELL || !m->last[cell] ? (uint32_t)i : m->last[cell] - 1;
        m->before[i] = before;
        m->alike[i] = before == i ? NAN : sim_cosine(sim_dot(view->hidden + i * d, view->hidden + before * d, d), norm[i], norm[before]);
        if (cell != NO_CELL) {
            m->last[cell] = (uint32_t)i + 1;
            m->n_cells++;
        }
    }
    return true;
}

/* Marks what is merged in this call, and notes what that leaves to do. */
static void choose(struct merging *m, const double *values, const struct layer_view *view, struct progress *progress)
{
    size_t count = 0, comparable = 0;
    double most = framefusion_share(progress->share, progress->n_calls, values[COST], view->n_layers);
    for (size_t i = 0; i < view->n; i++) {
        m->merges[i] = (double)m->alike[i] >= values[THRESHOLD];
        count += m->merges[i];
        comparable += !isnan(m->alike[i]) ? 1 : 0;
    }
    double share = m->n_cells ? (double)count / (double)m->n_cells : 0;
    if (share < most) {
        progress->share[progress->n_calls++] = share;
        progress->merged = share < values[LEAST];
        return;
    }
    size_t enough = (size_t)(most * (double)m->n_cells);
    topk_mark(m->alike, view->n, enough < comparable ? enough : comparable, m->merges);
    progress->merged = progress->pruned = true;
}

/* Survivors in order, each the mean of itself and the run of merged tokens behind it in its cell. */
static int plan_survivors(struct merging *m, const struct layer_view *view, struct arena *arena, struct layer_plan *out, struct err *err)
{
    size_t n_left = 0;
    for (size_t i = 0; i < view->n; i++) {
        m->into[i] = m->merges[i] ? m->into[m->before[i]] : (uint32_t)i;
        m->parts[m->into[i]]++;
        n_left += !m->merges[i];
    }
    if (n_left == view->n)
        return 0;
    if (!tok_plan_reserve(&out->merge, view->T, view->h, view->w, n_left, view->n, arena))
        return err_no_memory(err, "a token plan");
    out->merge.positions = POSITIONS_KEEP;
    out->merge.n_taps = view->n;
    uint32_t at = 0, *place = m->before; /* not needed any more: the token's next tap */
    for (size_t i = 0; i < view->n; i++) {
        if (m->merges[i])
            continue;
        struct out_tok *tok = &out->merge.tok[out->merge.n_tok++];
        *tok = view->tok[i];
        tok->size = 0;
        tok->row0 = place[i] = at;
        tok->row1 = at += m->parts[i];
        m->parts[i] = (uint32_t)out->merge.n_tok; /* not needed any more: its place in the plan + 1 */
    }
    for (size_t i = 0; i < view->n; i++) {
        struct out_tok *tok = &out->merge.tok[m->parts[m->into[i]] - 1];
        out->merge.taps[place[m->into[i]]++] = (struct tap){(uint32_t)i, 1 / (float)(tok->row1 - tok->row0)};
        tok->size += view->tok[i].size;
        tok->t1 = view->tok[i].t1 > tok->t1 ? view->tok[i].t1 : tok->t1;
    }
    return 0;
}

static int merge(const double *values, const struct layer_view *view, struct arena *arena, struct layer_plan *out, struct err *err)
{
    struct merging m;
    if (!merging_new(&m, view, arena) || !compare_cells(&m, view, arena))
        return err_no_memory(err, "the cells of frames");
    choose(&m, values, view, view->memory);
    return plan_survivors(&m, view, arena, out, err);
}

/* ---- pruning ------------------------------------------------------------------------------------------------------------- */

static int prune(const double *values, const struct layer_view *view, struct arena *arena, struct layer_plan *out, struct err *err)
{
    struct progress *progress = view->memory;
    float *score = arena_alloc(arena, view->n, sizeof *score);
    uint8_t *keep = arena_alloc(arena, view->n, 1);
    if (!score || !keep)
        return err_no_memory(err, "the scores of visual tokens");
    double share = framefusion_share(progress->share, progress->n_calls, values[COST], view->n_layers);
    size_t n = 0;
    layer_score(view, values[SIZE_POWER], score);
    for (size_t i = 0; i < view->n; i++) {
        bool cell = cell_of(view, &view->tok[i]) != NO_CELL;
        score[i] = cell ? score[i] : NAN;
        n += cell;
    }
    topk_mark(score, view->n, (size_t)nearbyint((double)n * (1 - share)), keep);
    for (size_t i = 0; i < view->n; i++)
        if (isnan(score[i]))
            keep[i] = 1;
    progress->pruned = true;
    return layer_plan_keep(view, keep, POSITIONS_KEEP, arena, out, err);
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    const struct progress *progress = view->memory;
    (void)point;
    return progress->merged ? prune(values, view, arena, out, err) : merge(values, view, arena, out, err);
}

const struct compressor compressor_framefusion = {
    .name = "framefusion",
    .summary = "merges what stays alike over time, layer by layer, then drops what the last prompt row hardly attends to",
    .source = "thu-nics/FrameFusion framefusion/main.py; arXiv 2501.01986",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_LAYER | NEEDS_GRID,
    .memory = memory,
    .want = want,
    .layer = layer,
};
