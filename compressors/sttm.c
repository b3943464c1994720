/* STTM (Hyun et al., ICCV 2025): in each frame a quadtree of means, in which a block stays whole while all its children
 * are like it; over adjacent frames, blocks of which one holds the other are united when they are alike. Query-free, class A: meant for
 * prefixes that questions share. Acts on hidden rows before a layer of the language model, as released, or on projected features before
 * the language model. */
#include "compressors/methods.h"

#include "compressors/layer.h"

#include "core/similarity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SPATIAL, TEMPORAL, LAYER, ROOT, MEAN, BORDER, UNION, MARKERS };

enum { MEAN_NODES, MEAN_CELLS };
enum { BORDER_RELEASED, BORDER_PLAIN };
enum { UNION_RELEASED, UNION_WHOLE };

static const char *const means[] = {"nodes", "cells", NULL};
static const char *const borders[] = {"released", "plain", NULL};
static const char *const unions[] = {"released", "whole", NULL};

static const struct option options[] = {
    {"spatial", OPTION_REAL, 0.85, -2, 2, NULL, "a block stays whole while the cosines of its children with it reach this (tau_s, tuned from 0.8 to 0.95)"},
    {"temporal", OPTION_REAL, 0.55, -2, 2, NULL, "blocks of adjacent frames unite when their cosine reaches this (tau_t, tuned from 0.5 to 0.65); 0 and below: none do"},
    {"layer", OPTION_INT, 2, 0, 1000, NULL, "layer before which it acts, counted from 0 (released: 2); 0: before the language model, on projected features"},
    {"root", OPTION_INT, 1, 0, 16, NULL, "level of the largest blocks: 0 is the one with 2 of them along a side (released: 1, 4 x 4 of 14 x 14)"},
    {"mean", OPTION_CHOICE, MEAN_NODES, 0, 0, means, "a block is the mean of its children, and a union of its blocks, as released; or both of all cells (weighted_avg)"},
    {"border", OPTION_CHOICE, BORDER_RELEASED, 0, 0, borders,
     "blocks of fewer than four children on grids of odd sides are compared with the frame's first child as well, as released; or not"},
    {"union", OPTION_CHOICE, UNION_RELEASED, 0, 0, unions, "unions stop when no representative has another, as released, or hold all that is linked, as in the paper"},
    {"markers", OPTION_CHOICE, MARKERS_ALL, 0, 0, marker_choices, "before the language model: all markers, or those of rows and frames that have a token left"},
};

static unsigned roles(const double *values)
{
    return values[LAYER] == 0 ? ROLE_TOKENS : ROLE_LAYER;
}

/* ---- the tree ------------------------------------------------------------------------------------------------------------ */

enum { MOST_LEVELS = 16, CHILDREN = 4, PAIRS_OF_BLOCK = CHILDREN + 1 };

struct level {
    int h, w;
    size_t first; /* of its rows, [T][h][w]; sums, not means, with MEAN_CELLS */
    float *norm;  /* [T][h][w] */
};

struct node { int level, t, y, x; int y0, y1, x0, x1; }; /* span in cells, half open */

struct tree {
    const double *values;
    struct sim_rows rows; /* of cells, and behind them those of blocks, level by level */
    int T, n_levels;
    struct level level[MOST_LEVELS]; /* largest blocks first, cells last */
    struct node *node;
    size_t n;
    struct row_pair *pairs; /* [PAIRS_OF_BLOCK * T*h*w], and dots: what is compared at once */
    float *dots;
    struct arena *arena;
};

/* Children of block j along an axis of `side` children: two of them, but on odd sides one in the first block. */
static int first_child(int side, int j)
{
    return side % 2 && j ? 2 * j - 1 : 2 * j;
}

static int child_count(int side, int j)
{
    return side % 2 && !j ? 1 : 2;
}

static size_t block_at(const struct tree *tree, int level, int t, int y, int x)
{
    const struct level *at = &tree->level[level];
    return (size_t)(t * at->h + y) * (size_t)at->w + (size_t)x;
}

static uint32_t block_row(const struct tree *tree, int level, int t, int y, int x)
{
    return (uint32_t)(tree->level[level].first + block_at(tree, level, t, y, x));
}

/* The taps of a block: its children, which are added up or averaged. Returns how many. */
static uint32_t block_taps(const struct tree *tree, int level, int t, int y, int x, struct tap *taps)
{
    const struct level *child = &tree->level[level + 1];
    int ny = child_count(child->h, y), nx = child_count(child->w, x);
    float share = (int)tree->values[MEAN] == MEAN_CELLS ? 1 : 1 / (float)(ny * nx);
    for (int i = 0; i < ny * nx; i++)
        taps[i] = (struct tap){block_row(tree, level + 1, t, first_child(child->h, y) + i / nx, first_child(child->w, x) + i % nx), share};
    return (uint32_t)(ny * nx);
}

static int measure_level(struct tree *tree, int level, struct err *err)
{
    struct level *at = &tree->level[level];
    size_t n = (size_t)tree->T * (size_t)at->h * (size_t)at->w;
    at->norm = arena_alloc(tree->arena, n, sizeof *at->norm);
    return at->norm ? sim_lengths(&tree->rows, (struct row_list){.first = at->first, .n = n}, at->norm, tree->arena, err)
                    : err_no_memory(err, "a quadtree");
}

static int fill_level(struct tree *tree, int level, struct err *err)
{
    struct level *at = &tree->level[level];
    size_t frame = (size_t)at->h * (size_t)at->w, n = (size_t)tree->T * frame;
    uint32_t *begin = arena_alloc(tree->arena, n + 1, sizeof *begin);
    struct tap *taps = arena_alloc(tree->arena, CHILDREN * n, sizeof *taps);
    if (!begin || !taps)
        return err_no_memory(err, "a quadtree");
    for (size_t i = 0; i < n; i++)
        begin[i + 1] = begin[i] + block_taps(tree, level, (int)(i / frame), (int)(i % frame) / at->w, (int)(i % frame) % at->w, taps + begin[i]);
    int rc = sim_sum(&tree->rows, &(struct sim_sums){.first = at->first, .n = n, .begin = begin, .taps = taps}, err);
    return rc ? rc : measure_level(tree, level, err);
}

/* Levels from the cells to blocks of two along a side; of these, the first `root` are left out. */
static int plant(struct tree *tree, const double *values, const struct sim_rows *rows, int T, int h, int w, struct arena *arena, struct err *err)
{
    int all = 1, rc;
    size_t made = 0, most = PAIRS_OF_BLOCK * rows->n;
    for (int y = h, x = w; y > 2 && x > 2; y = (y + 1) / 2, x = (x + 1) / 2)
        all++;
    *tree = (struct tree){.values = values, .rows = *rows, .T = T, .arena = arena, .n_levels = values[ROOT] < all ? all - (int)values[ROOT] : 1,
                          .node = arena_alloc(arena, rows->n, sizeof *tree->node), .pairs = arena_alloc(arena, most, sizeof *tree->pairs),
                          .dots = arena_alloc(arena, most, sizeof *tree->dots)};
    if (!tree->node || !tree->pairs || !tree->dots)
        return err_no_memory(err, "a quadtree");
    tree->level[tree->n_levels - 1] = (struct level){.h = h, .w = w};
    for (int level = tree->n_levels - 2; level >= 0; level--) {
        const struct level *child = &tree->level[level + 1];
        tree->level[level] = (struct level){.h = (child->h + 1) / 2, .w = (child->w + 1) / 2, .first = rows->n + made};
        made += (size_t)T * (size_t)tree->level[level].h * (size_t)tree->level[level].w;
    }
    if ((rc = sim_room(&tree->rows, made, arena, err)) || (rc = measure_level(tree, tree->n_levels - 1, err)))
        return rc;
    for (int level = tree->n_levels - 2; level >= 0 && !rc; level--)
        rc = fill_level(tree, level, err);
    return rc;
}

static size_t count_children(const struct tree *tree, const struct node *block)
{
    const struct level *child = &tree->level[block->level + 1];
    return (size_t)(child_count(child->h, block->y) * child_count(child->w, block->x));
}

static struct node child_of(const struct tree *tree, const struct node *block, size_t i)
{
    const struct level *child = &tree->level[block->level + 1];
    int nx = child_count(child->w, block->x), y = (int)i / nx, x = (int)i % nx;
    return (struct node){.level = block->level + 1, .t = block->t, .y = first_child(child->h, block->y) + y, .x = first_child(child->w, block->x) + x};
}

static uint32_t node_row(const struct tree *tree, const struct node *node)
{
    return block_row(tree, node->level, node->t, node->y, node->x);
}

static float node_cosine(const struct tree *tree, const struct node *p, const struct node *q, float dot)
{
    return sim_cosine(dot, tree->level[p->level].norm[block_at(tree, p->level, p->t, p->y, p->x)],
                      tree->level[q->level].norm[block_at(tree, q->level, q->t, q->y, q->x)]);
}

/* What a block is compared with: its children, and where there are fewer than four of them, the frame's first child as well. */
static size_t list_compared(const struct tree *tree, const struct node *block, struct node out[PAIRS_OF_BLOCK])
{
    size_t children = count_children(tree, block), n = 0;
    for (; n < children; n++)
        out[n] = child_of(tree, block, n);
    if (children < CHILDREN && (int)tree->values[BORDER] == BORDER_RELEASED)
        out[n++] = (struct node){.level = block->level + 1, .t = block->t};
    return n;
}

/* The cells that a block covers. */
static void span(const struct tree *tree, struct node *block)
{
    block->y0 = block->y1 = block->y;
    block->x0 = block->x1 = block->x;
    for (int level = block->level + 1; level < tree->n_levels; level++) {
        const struct level *child = &tree->level[level];
        block->y1 = first_child(child->h, block->y1) + child_count(child->h, block->y1) - 1;
        block->x1 = first_child(child->w, block->x1) + child_count(child->w, block->x1) - 1;
        block->y0 = first_child(child->h, block->y0);
        block->x0 = first_child(child->w, block->x0);
    }
    block->y1++;
    block->x1++;
}

static bool stays_whole(const struct tree *tree, const struct node *block, const float *dots, size_t *used)
{
    struct node with[PAIRS_OF_BLOCK];
    size_t n = list_compared(tree, block, with);
    bool whole = true;
    for (size_t i = 0; i < n; i++)
        whole = whole && node_cosine(tree, block, &with[i], dots[i]) >= (float)tree->values[SPATIAL];
    *used += n;
    return whole;
}

static void add_node(struct tree *tree, struct node block)
{
    span(tree, &block);
    tree->node[tree->n++] = block;
}

/* Decides on n blocks of a level: those that stay whole are nodes, the children of the others go to `children`. Returns how many those are. */
static int split_level(struct tree *tree, const struct node *blocks, size_t n, struct node *children, size_t *n_children, struct err *err)
{
    struct node with[PAIRS_OF_BLOCK];
    size_t pairs = 0, used = 0;
    for (size_t b = 0; b < n; b++)
        for (size_t i = 0, compared = list_compared(tree, &blocks[b], with); i < compared; i++)
            tree->pairs[pairs++] = (struct row_pair){node_row(tree, &blocks[b]), node_row(tree, &with[i])};
    int rc = sim_pairs(&tree->rows, tree->pairs, pairs, false, tree->dots, err);
    *n_children = 0;
    for (size_t b = 0; b < n && !rc; b++) {
        if (stays_whole(tree, &blocks[b], tree->dots + used, &used))
            add_node(tree, blocks[b]);
        else
            for (size_t i = 0; i < count_children(tree, &blocks[b]); i++)
                children[(*n_children)++] = child_of(tree, &blocks[b], i);
    }
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct node *p = a, *q = b;
    int apart = p->t != q->t ? p->t - q->t : p->y0 != q->y0 ? p->y0 - q->y0 : p->x0 - q->x0;
    return apart;
}

/* Level by level, so that all blocks of one are compared at once. */
static int grow(struct tree *tree, struct err *err)
{
    size_t n = 0, most = tree->rows.n;
    struct node *blocks = arena_alloc(tree->arena, most, sizeof *blocks), *children = arena_alloc(tree->arena, most, sizeof *children);
    int rc = blocks && children ? 0 : err_no_memory(err, "a quadtree");
    for (int t = 0; t < tree->T && !rc; t++)
        for (int i = 0; i < tree->level[0].h * tree->level[0].w; i++)
            blocks[n++] = (struct node){.t = t, .y = i / tree->level[0].w, .x = i % tree->level[0].w};
    for (int level = 0; level + 1 < tree->n_levels && !rc; level++) {
        struct node *swap = blocks;
        rc = split_level(tree, blocks, n, children, &n, err);
        blocks = children;
        children = swap;
    }
    for (size_t i = 0; i < n && !rc; i++)
        add_node(tree, blocks[i]);
    if (!rc)
        qsort(tree->node, tree->n, sizeof *tree->node, by_place);
    return rc;
}

/* ---- unions over time ---------------------------------------------------------------------------------------------------- */

struct pair { uint32_t a, b; };

static bool holds(const struct node *p, const struct node *q)
{
    return p->y0 <= q->y0 && p->x0 <= q->x0 && p->y1 >= q->y1 && p->x1 >= q->x1;
}

/* Pairs of blocks of adjacent frames, one holding the other. As blocks do not overlap, there are fewer of them than blocks in both. */
static size_t list_holding(const struct tree *tree, struct pair *pairs)
{
    size_t n = 0, begin = 0;
    for (int t = 0; t + 1 < tree->T; t++) {
        size_t middle = begin, end;
        while (tree->node[middle].t == t)
            middle++;
        for (end = middle; end < tree->n && tree->node[end].t == t + 1;)
            end++;
        for (size_t i = begin; i < middle; i++)
            for (size_t j = middle; j < end; j++)
                if (holds(&tree->node[i], &tree->node[j]) || holds(&tree->node[j], &tree->node[i]))
                    pairs[n++] = (struct pair){(uint32_t)i, (uint32_t)j};
        begin = middle;
    }
    return n;
}

/* Leaves the pairs of them that are alike. */
static int list_pairs(const struct tree *tree, struct pair *pairs, size_t *n, struct err *err)
{
    size_t holding = list_holding(tree, pairs);
    for (size_t i = 0; i < holding; i++)
        tree->pairs[i] = (struct row_pair){node_row(tree, &tree->node[pairs[i].a]), node_row(tree, &tree->node[pairs[i].b])};
    int rc = sim_pairs(&tree->rows, tree->pairs, holding, false, tree->dots, err);
    *n = 0;
    for (size_t i = 0; i < holding && !rc; i++)
        if (node_cosine(tree, &tree->node[pairs[i].a], &tree->node[pairs[i].b], tree->dots[i]) >= (float)tree->values[TEMPORAL])
            pairs[(*n)++] = pairs[i];
    return rc;
}

/* One round of the released union: both of a pair take the lower of their representatives as they were, then everyone takes that of its own. */
static void unite_round(const struct pair *pairs, size_t n_pairs, uint32_t *rep, uint32_t *before, size_t n)
{
    memcpy(before, rep, n * sizeof *rep);
    for (size_t i = 0; i < n_pairs; i++) {
        uint32_t a = before[pairs[i].a], b = before[pairs[i].b], least = a < b ? a : b;
        rep[pairs[i].a] = least < rep[pairs[i].a] ? least : rep[pairs[i].a];
        rep[pairs[i].b] = least < rep[pairs[i].b] ? least : rep[pairs[i].b];
    }
    memcpy(before, rep, n * sizeof *rep);
    for (size_t i = 0; i < n; i++)
        rep[i] = before[before[i]];
}

/* Whether no more rounds are due: representatives are their own, and, for whole unions, pairs have the same. */
static bool settled(const struct tree *tree, const struct pair *pairs, size_t n_pairs, const uint32_t *rep)
{
    for (size_t i = 0; i < tree->n; i++)
        if (rep[rep[i]] != rep[i])
            return false;
    for (size_t i = 0; i < n_pairs && (int)tree->values[UNION] == UNION_WHOLE; i++)
        if (rep[pairs[i].a] != rep[pairs[i].b])
            return false;
    return true;
}

/* rep[n]: the first block of the union that each belongs to. */
static int unite(const struct tree *tree, uint32_t **out, struct err *err)
{
    uint32_t *rep = arena_alloc(tree->arena, tree->n, sizeof *rep), *before = arena_alloc(tree->arena, tree->n, sizeof *before);
    struct pair *pairs = arena_alloc(tree->arena, 2 * tree->n, sizeof *pairs);
    size_t n_pairs = 0;
    *out = rep;
    if (!rep || !before || !pairs)
        return err_no_memory(err, "a quadtree");
    for (size_t i = 0; i < tree->n; i++)
        rep[i] = (uint32_t)i;
    int rc = tree->values[TEMPORAL] > 0 ? list_pairs(tree, pairs, &n_pairs, err) : 0;
    if (rc)
        return rc;
    do
        unite_round(pairs, n_pairs, rep, before, tree->n);
    while (!settled(tree, pairs, n_pairs, rep));
    return 0;
}

/* ---- plans --------------------------------------------------------------------------------------------------------------- */

static void push_cells(const struct tree *tree, struct tok_plan *plan, int level, int t, int y, int x, float weight)
{
    if (level == tree->n_levels - 1) {
        plan->taps[plan->n_taps++] = (struct tap){(uint32_t)((t * plan->h + y) * plan->w + x), weight};
        return;
    }
    const struct level *child = &tree->level[level + 1];
    int ny = child_count(child->h, y), nx = child_count(child->w, x);
    float share = (int)tree->values[MEAN] == MEAN_CELLS ? weight : weight / (float)(ny * nx);
    for (int i = 0; i < ny * nx; i++)
        push_cells(tree, plan, level + 1, t, first_child(child->h, y) + i / nx, first_child(child->w, x) + i % nx, share);
}

/* One token for each union, where its first block begins. */
static bool push_unions(const struct tree *tree, const uint32_t *rep, struct tok_plan *plan)
{
    uint32_t *count = arena_alloc(tree->arena, tree->n, sizeof *count), *next = arena_alloc(tree->arena, tree->n, sizeof *next);
    uint32_t *last = arena_alloc(tree->arena, tree->n, sizeof *last);
    if (!count || !next || !last)
        return false;
    for (uint32_t i = 0; i < tree->n; i++) { /* count: blocks, or cells with MEAN_CELLS; next: the members after one */
        const struct node *node = &tree->node[i];
        count[rep[i]] += (int)tree->values[MEAN] == MEAN_CELLS ? (uint32_t)((node->y1 - node->y0) * (node->x1 - node->x0)) : 1;
        if (rep[i] != i)
            next[last[rep[i]]] = i;
        last[rep[i]] = i;
    }
    for (uint32_t i = 0; i < tree->n; i++) {
        size_t taps = plan->n_taps;
        if (rep[i] != i)
            continue;
        for (uint32_t k = i;; k = next[k]) {
            const struct node *node = &tree->node[k];
            push_cells(tree, plan, node->level, node->t, node->y, node->x, 1 / (float)count[i]);
            if (k == last[i])
                break;
        }
        plan_push_sum(plan, taps, (uint32_t)((tree->node[i].t * plan->h + tree->node[i].y0) * plan->w + tree->node[i].x0));
    }
    return true;
}

/* The plan over the cells of a T x h x w grid by their rows. */
static int plan_cells(const double *values, const struct sim_rows *rows, int T, int h, int w, struct arena *arena, struct tok_plan *out,
                      struct err *err)
{
    struct tree tree;
    uint32_t *rep;
    int rc;
    if ((rc = plant(&tree, values, rows, T, h, w, arena, err)) || (rc = grow(&tree, err)) || (rc = unite(&tree, &rep, err)))
        return rc;
    if (!tok_plan_reserve(out, T, h, w, tree.n, rows->n, arena) || !push_unions(&tree, rep, out))
        return err_no_memory(err, "a token plan");
    return 0;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *grid = &video->pooled;
    const struct sim_rows rows = rows_pooled(video);
    int rc = plan_cells(values, &rows, video->T, grid->h, grid->w, arena, out, err);
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    return rc;
}

/* ---- inside the language model ------------------------------------------------------------------------------------------- */

static int fits(const double *values, int n_layers, struct err *err)
{
    return layer_fits("sttm", "layer", values[LAYER], n_layers, err);
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory, (void)n_layers;
    out->call = point == POINT_PRE && layer == (int)values[LAYER] && layer > 0;
    out->hidden = true;
}

/* Markers as they are, and a union in the place of its first cell. */
static void push_current(const struct layer_view *view, const struct tok_plan *cells, const uint32_t *at, const uint32_t *token_of, struct tok_plan *out)
{
    for (size_t i = 0; i < view->n; i++) {
        bool marker = layer_is_marker(&view->tok[i]);
        const struct out_tok *merged = marker ? NULL : &cells->tok[token_of[view->tok[i].rep]];
        if (merged && merged->rep != view->tok[i].rep)
            continue;
        struct out_tok *tok = &out->tok[out->n_tok++];
        *tok = marker ? view->tok[i] : *merged;
        tok->row0 = (uint32_t)out->n_taps;
        tok->size = marker ? tok->size : 0;
        if (marker)
            out->taps[out->n_taps++] = (struct tap){(uint32_t)i, 1};
        for (uint32_t k = merged ? merged->row0 : 0; merged && k < merged->row1; k++) {
            uint32_t source = at[cells->taps[k].src];
            out->taps[out->n_taps++] = (struct tap){source, cells->taps[k].w};
            tok->size += view->tok[source].size;
        }
        tok->row1 = (uint32_t)out->n_taps;
    }
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    size_t cells = (size_t)(view->T * view->h * view->w), d = (size_t)view->d;
    float *rows = arena_alloc(arena, cells * d, sizeof *rows);
    uint32_t *at = arena_alloc(arena, cells, sizeof *at), *token_of = arena_alloc(arena, cells, sizeof *token_of);
    struct tok_plan plan;
    if (!rows || !at || !token_of)
        return err_no_memory(err, "the hidden rows of visual tokens");
    for (size_t i = 0; i < view->n; i++)
        if (!layer_is_marker(&view->tok[i])) {
            memcpy(rows + view->tok[i].rep * d, view->hidden + i * d, d * sizeof *rows);
            at[view->tok[i].rep] = (uint32_t)i;
        }
    const struct sim_rows near = {.near = rows, .n = cells, .width = d};
    int rc = plan_cells(values, &near, view->T, view->h, view->w, arena, &plan, err);
    if (rc)
        return rc;
    for (size_t k = 0; k < plan.n_tok; k++)
        for (uint32_t i = plan.tok[k].row0; i < plan.tok[k].row1; i++)
            token_of[plan.taps[i].src] = (uint32_t)k;
    if (!tok_plan_reserve(&out->merge, view->T, view->h, view->w, view->n, view->n, arena))
        return err_no_memory(err, "a token plan");
    out->merge.positions = POSITIONS_COMPACT;
    push_current(view, &plan, at, token_of, &out->merge);
    return 0;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    (void)values, (void)shape, (void)native;
    *source = "depends on the video";
    return NAN;
}

const struct compressor compressor_sttm = {
    .name = "sttm",
    .summary = "merges alike blocks of a quadtree in each frame, and over adjacent frames",
    .source = "arXiv 2507.07990; HYUNJS/STTM token_merging_utils/quadtree_builder.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = NEEDS_GRID,
    .needs = needs_h_sums,
    .domain = domain_pooled,
    .roles = roles,
    .tokens = tokens,
    .fits = fits,
    .want = want,
    .layer = layer,
    .expected_ratio = expected_ratio,
};
