/* PACT (Dhouib et al., CVPR 2025), before a layer of the language model: tokens that neither the mean visual query nor
 * the length of their hidden row speaks for are pruned; the others are clustered by distance-bounded density peaks of their keys, and
 * pruned tokens close to a centre are averaged in after all. Query-free, class A; centres keep their positions. */
#include "compressors/methods.h"

#include "compressors/layer.h"

#include "core/similarity.h"

#include <math.h>
#include <stdlib.h>

enum { KEEP, CUTOFF, LAYER, REACH, SIZE_BIAS, MARKERS };

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.55, 0, 1, NULL, "share of tokens that are not pruned, rounded down, before they are clustered (pruning_tokeep_percentage_value)"},
    {"cutoff", OPTION_REAL, 0.21, 0, 2, NULL, "no two centres are within this distance, 1 - cosine of keys after rotation (cutoff)"},
    {"layer", OPTION_INT, 4, 0, 1000, NULL, "layer before which it acts, counted from 0 (layer_for_reduction)"},
    {"reach", OPTION_REAL, 1.5, 0, 100, NULL, "tokens within cutoff times this of their nearest centre are averaged in, pruned ones too (coef_pruned)"},
    {"size_bias", OPTION_FLAG, 1, 0, 1, NULL, "attention adds log(size) to a token's logit (proportional attention)"},
    {"markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and take no part; ranked: like any token, as upstream"},
};

static int fits(const double *values, int n_layers, struct err *err)
{
    return layer_fits("pact", "layer", values[LAYER], n_layers, err);
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory, (void)n_layers;
    out->call = point == POINT_PRE && layer == (int)values[LAYER];
    out->hidden = out->keys_after = true;
    out->rows = ROWS_MEAN_VISUAL;
    out->heads = HEADS_MEAN;
}

struct pact {
    const double *values;
    const struct layer_view *view;
    uint8_t *kept;      /* [n] not pruned */
    const float *unit;  /* [n][key_dim] keys of unit length */
    uint32_t *order;    /* [n] kept tokens by falling density */
    double *density;    /* [n] */
    uint32_t *centre;   /* [n] tokens */
    uint32_t *joins;    /* [n] the centre whose cluster a token is in, UINT32_MAX: in none */
    uint32_t *members;  /* [n] of each centre */
    size_t n_kept, n_centres;
};

static float distance(const struct pact *p, size_t a, size_t b)
{
    size_t width = (size_t)p->view->key_dim;
    float apart = a == b ? 0 : 1 - sim_dot(p->unit + a * width, p->unit + b * width, width);
    return apart > 0 ? apart : 0;
}

/* Marks the share of tokens with the largest product of attention and length. */
static bool prune(struct pact *p, struct arena *arena)
{
    const struct layer_view *view = p->view;
    size_t d = (size_t)view->d;
    int markers = (int)p->values[MARKERS];
    float *score = arena_alloc(arena, view->n, sizeof *score);
    if (!score)
        return false;
    layer_score(view, 0, score);
    for (size_t i = 0; i < view->n; i++)
        score[i] *= sqrtf(sim_dot(view->hidden + i * d, view->hidden + i * d, d));
    layer_keep_best(view, markers, (size_t)((double)layer_ranked(view, markers) * p->values[KEEP]), score, p->kept);
    return true;
}

/* Tokens that take part: all, or all but markers. */
static bool takes_part(const struct pact *p, size_t i)
{
    return (int)p->values[MARKERS] == LAYER_MARKERS_RANKED || !layer_is_marker(&p->view->tok[i]);
}

/* Sums of Gaussians over all kept tokens, each pair looked at once. */
static void measure_density(struct pact *p)
{
    for (size_t i = 0; i < p->view->n; i++)
        if (p->kept[i] && takes_part(p, i)) {
            p->order[p->n_kept++] = (uint32_t)i;
            p->density[i] = 1;
        }
    for (size_t i = 0; i < p->n_kept; i++)
        for (size_t j = i + 1; j < p->n_kept; j++) {
            uint32_t a = p->order[i], b = p->order[j];
            double half = (double)distance(p, a, b) / 2, near = exp(-half * half);
            p->density[a] += near;
            p->density[b] += near;
        }
}

struct ranked { double density; uint32_t token; };

static int by_density(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    return p->density != q->density ? (p->density < q->density) - (p->density > q->density) : (p->token > q->token) - (p->token < q->token);
}

static bool order_by_density(struct pact *p, struct arena *arena)
{
    struct ranked *ranked = arena_alloc(arena, p->n_kept, sizeof *ranked);
    if (!ranked)
        return false;
    for (size_t i = 0; i < p->n_kept; i++)
        ranked[i] = (struct ranked){p->density[p->order[i]], p->order[i]};
    qsort(ranked, p->n_kept, sizeof *ranked, by_density);
    for (size_t i = 0; i < p->n_kept; i++)
        p->order[i] = ranked[i].token;
    return true;
}

/* A token is a centre unless a denser one is within the cutoff. The released code finds the same ones in rounds. */
static void choose_centres(struct pact *p)
{
    float cutoff = (float)p->values[CUTOFF];
    for (size_t i = 0; i < p->n_kept; i++) {
        bool apart = true;
        for (size_t k = 0; k < p->n_centres && apart; k++)
            apart = distance(p, p->order[i], p->centre[k]) > cutoff;
        if (apart)
            p->centre[p->n_centres++] = p->order[i];
    }
}

static void join_centres(struct pact *p)
{
    float reach = (float)(p->values[CUTOFF] * p->values[REACH]);
    for (size_t i = 0; i < p->view->n; i++) {
        float least = INFINITY;
        p->joins[i] = UINT32_MAX;
        for (size_t k = 0; k < p->n_centres && takes_part(p, i); k++) {
            float apart = distance(p, i, p->centre[k]);
            if (apart < least && apart <= reach)
                p->joins[i] = p->centre[k];
            least = apart < least ? apart : least;
        }
    }
    for (size_t k = 0; k < p->n_centres; k++)
        p->joins[p->centre[k]] = p->centre[k];
    for (size_t i = 0; i < p->view->n; i++)
        if (p->joins[i] != UINT32_MAX)
            p->members[p->joins[i]]++;
}

/* Markers that take no part as they are; a cluster as its mean, in its centre's place. */
static int push_clusters(const struct pact *p, struct arena *arena, struct tok_plan *out, struct err *err)
{
    const struct layer_view *view = p->view;
    if (!tok_plan_reserve(out, view->T, view->h, view->w, view->n, view->n, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < view->n; i++) {
        bool alone = !takes_part(p, i);
        if (!alone && !p->members[i])
            continue;
        struct out_tok *tok = &out->tok[out->n_tok++];
        *tok = view->tok[i];
        tok->row0 = (uint32_t)out->n_taps;
        float share = alone ? 1 : 1 / (float)p->members[i];
        out->taps[out->n_taps++] = (struct tap){(uint32_t)i, share}; /* first: its position is the cluster's */
        for (size_t j = 0; j < view->n && !alone; j++)
            if (p->joins[j] == i && j != i) {
                out->taps[out->n_taps++] = (struct tap){(uint32_t)j, share};
                tok->size += view->tok[j].size;
            }
        tok->row1 = (uint32_t)out->n_taps;
    }
    out->positions = POSITIONS_KEEP;
    out->size_bias = p->values[SIZE_BIAS] != 0;
    return 0;
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    size_t n = view->n;
    struct pact p = {.values = values, .view = view, .kept = arena_alloc(arena, n, 1), .order = arena_alloc(arena, n, sizeof *p.order),
                     .density = arena_alloc(arena, n, sizeof *p.density), .centre = arena_alloc(arena, n, sizeof *p.centre),
                     .joins = arena_alloc(arena, n, sizeof *p.joins), .members = arena_alloc(arena, n, sizeof *p.members),
                     .unit = sim_unit_rows(view->keys_after, n, (size_t)view->key_dim, arena)};
    if (!p.kept || !p.order || !p.density || !p.centre || !p.joins || !p.members || !p.unit || !prune(&p, arena))
        return err_no_memory(err, "the clusters of visual tokens");
    measure_density(&p);
    if (!order_by_density(&p, arena))
        return err_no_memory(err, "the clusters of visual tokens");
    choose_centres(&p);
    join_centres(&p);
    return push_clusters(&p, arena, &out->merge, err);
}

const struct compressor compressor_pact = {
    .name = "pact",
    .summary = "prunes tokens and clusters the rest by their keys, between two layers",
    .source = "arXiv 2504.08966; orailix/PACT transformers/PACT/utils.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = LOGSIZE_BIAS,
    .fits = fits,
    .want = want,
    .layer = layer,
};
