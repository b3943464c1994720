/* LLaVA-Scissor (Sun et al., arXiv 2506.21862): tokens whose cosine exceeds a threshold, anywhere in their frame, are
 * linked, and each connected component becomes its mean; the same is done with the means of all frames; at last every token of the video
 * joins the survivor it is most like. Query-free, class A.
 *
 * The released code samples the nodes of a graph of more than some 3000 and loses members that its union-find has not yet brought
 * under their root; components are whole here. */
#include "compressors/groups.h"
#include "compressors/methods.h"

#include "core/similarity.h"

#include <math.h>
#include <stdlib.h>

enum { THRESHOLD, TARGET_RATIO };

static const struct option options[] = {
    {"threshold", OPTION_REAL, 0.9, -2, 2, NULL, "tokens whose cosine exceeds this are linked (mm_zip_tau; released: 0.9)"},
    {"target_ratio", OPTION_REAL, NAN, 0.01, 1, NULL, "share of tokens to keep, markers counted; the threshold is searched once and stored"},
};

/* A set of rows to be linked, and what becomes of them. */
struct nodes {
    const float *rows, *norm;
    size_t n, width;
    struct groups groups;
    uint32_t *degree; /* [n] links of each, its own included */
    uint32_t *key;    /* [n] of each root: the member with most links, the first of equal ones */
};

static bool nodes_new(struct nodes *nodes, const float *rows, size_t n, size_t width, struct arena *arena)
{
    *nodes = (struct nodes){.rows = rows, .n = n, .width = width, .norm = sim_norms(rows, n, width, arena),
                            .degree = arena_alloc(arena, n, sizeof *nodes->degree), .key = arena_alloc(arena, n, sizeof *nodes->key)};
    return nodes->norm && nodes->degree && nodes->key && groups_new(&nodes->groups, n, arena);
}

/* Links rows first..end-1 among themselves. */
static void link_rows(struct nodes *nodes, size_t first, size_t end, float threshold)
{
    for (size_t i = first; i < end; i++)
        for (size_t j = i + 1; j < end; j++) {
            float dot = sim_dot(nodes->rows + i * nodes->width, nodes->rows + j * nodes->width, nodes->width);
            if (!(sim_cosine(dot, nodes->norm[i], nodes->norm[j]) > threshold))
                continue;
            nodes->degree[i]++;
            nodes->degree[j]++;
            groups_join(&nodes->groups, (uint32_t)i, (uint32_t)j);
        }
}

static int by_key(const void *a, const void *b)
{
    const uint32_t *p = a, *q = b;
    return (p[0] > q[0]) - (p[0] < q[0]);
}

/* {key, root} of each component, by key; NULL when memory is out. */
static uint32_t (*list_components(struct nodes *nodes, struct arena *arena))[2]
{
    uint32_t(*list)[2] = arena_alloc(arena, nodes->groups.count, sizeof *list);
    size_t n = 0;
    if (!list)
        return NULL;
    for (uint32_t i = 0; i < nodes->n; i++) { /* a root comes before its other members */
        uint32_t root = groups_root(&nodes->groups, i);
        if (root == i || nodes->degree[i] > nodes->degree[nodes->key[root]])
            nodes->key[root] = i;
    }
    for (uint32_t i = 0; i < nodes->n; i++)
        if (groups_root(&nodes->groups, i) == i) {
            list[n][0] = nodes->key[i];
            list[n++][1] = i;
        }
    qsort(list, n, sizeof *list, by_key);
    return list;
}

struct scissor {
    struct nodes cells, means;     /* of the video; of the components of its frames */
    uint32_t (*part)[2];           /* {key, root} of each component of cells */
    uint32_t *part_of, *part_size; /* [n] of each root of cells: which component; [parts] */
    float *mean;                   /* [parts][width]; of the roots among means, in the end, the mean of their component */
    uint32_t (*left)[2];           /* {key, root} of each component of means: the survivors */
    uint32_t *left_of, *left_size; /* [parts] of each root of means; [survivors] */
    uint32_t *joins, *joined;      /* [n] the survivor that each source joins; [survivors] how many do */
};

/* Means of the components of frames, in the order of their keys. */
static bool average_parts(struct scissor *s, struct arena *arena)
{
    size_t parts = s->cells.groups.count, width = s->cells.width;
    s->part = list_components(&s->cells, arena);
    s->part_of = arena_alloc(arena, s->cells.n, sizeof *s->part_of);
    s->part_size = arena_alloc(arena, parts, sizeof *s->part_size);
    s->mean = arena_alloc(arena, parts * width, sizeof *s->mean);
    if (!s->part || !s->part_of || !s->part_size || !s->mean)
        return false;
    for (uint32_t p = 0; p < parts; p++)
        s->part_of[s->part[p][1]] = p;
    for (uint32_t i = 0; i < s->cells.n; i++)
        s->part_size[s->part_of[groups_root(&s->cells.groups, i)]]++;
    for (uint32_t i = 0; i < s->cells.n; i++) {
        uint32_t p = s->part_of[groups_root(&s->cells.groups, i)];
        for (size_t c = 0; c < width; c++)
            s->mean[p * width + c] += s->cells.rows[i * width + c] / (float)s->part_size[p];
    }
    return true;
}

/* The same once more, in place: a component's smallest member holds its mean. */
static bool average_means(struct scissor *s, struct arena *arena)
{
    size_t left = s->means.groups.count, width = s->means.width;
    s->left = list_components(&s->means, arena);
    s->left_of = arena_alloc(arena, s->means.n, sizeof *s->left_of);
    s->left_size = arena_alloc(arena, left, sizeof *s->left_size);
    if (!s->left || !s->left_of || !s->left_size)
        return false;
    for (uint32_t k = 0; k < left; k++)
        s->left_of[s->left[k][1]] = k;
    for (uint32_t p = 0; p < s->means.n; p++) {
        uint32_t root = groups_root(&s->means.groups, p);
        s->left_size[s->left_of[root]]++;
        for (size_t c = 0; c < width && root != p; c++)
            s->mean[root * width + c] += s->mean[p * width + c];
    }
    for (uint32_t k = 0; k < left; k++)
        for (size_t c = 0; c < width; c++)
            s->mean[s->left[k][1] * width + c] /= (float)s->left_size[k];
    return true;
}

/* Every source joins the survivor of largest cosine, the first of equal ones. */
static bool join_survivors(struct scissor *s, struct arena *arena)
{
    size_t left = s->means.groups.count, width = s->means.width;
    float *norm = arena_alloc(arena, left, sizeof *norm);
    s->joins = arena_alloc(arena, s->cells.n, sizeof *s->joins);
    s->joined = arena_alloc(arena, left, sizeof *s->joined);
    if (!norm || !s->joins || !s->joined)
        return false;
    for (size_t k = 0; k < left; k++) {
        const float *row = s->mean + s->left[k][1] * width;
        norm[k] = sqrtf(sim_dot(row, row, width));
    }
    for (size_t i = 0; i < s->cells.n; i++) {
        float best = -2;
        for (uint32_t k = 0; k < left; k++) {
            float dot = sim_dot(s->cells.rows + i * width, s->mean + s->left[k][1] * width, width);
            float value = sim_cosine(dot, s->cells.norm[i], norm[k]);
            if (value > best) {
                best = value;
                s->joins[i] = k;
            }
        }
        s->joined[s->joins[i]]++;
    }
    return true;
}

/* The survivor that a source is part of, and its weight in it. */
static uint32_t own_survivor(struct scissor *s, uint32_t source, float *weight)
{
    uint32_t part = s->part_of[groups_root(&s->cells.groups, source)];
    uint32_t left = s->left_of[groups_root(&s->means.groups, part)];
    *weight = 1 / (float)s->part_size[part] / (float)s->left_size[left];
    return left;
}

/* A survivor and what joined it, all divided by their number. */
static int push_survivors(struct scissor *s, const struct vid_view *video, struct arena *arena, struct tok_plan *out, struct err *err)
{
    size_t left = s->means.groups.count, n = s->cells.n;
    uint32_t *start = arena_alloc(arena, left + 1, sizeof *start);
    if (!start || !tok_plan_reserve(out, video->T, video->pooled.h, video->pooled.w, left, 2 * n, arena))
        return err_no_memory(err, "a token plan");
    struct tap *taps = arena_alloc(arena, 2 * n, sizeof *taps); /* sorted by survivor */
    if (!taps)
        return err_no_memory(err, "a token plan");
    float weight;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t own = own_survivor(s, i, &weight);
        start[own + 1]++;
        start[s->joins[i] + 1] += own != s->joins[i];
    }
    for (size_t k = 0; k < left; k++)
        start[k + 1] += start[k];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t own = own_survivor(s, i, &weight), joins = s->joins[i];
        taps[start[own]++] = (struct tap){i, (weight + (own == joins)) / (float)(s->joined[own] + 1)};
        if (own != joins)
            taps[start[joins]++] = (struct tap){i, 1 / (float)(s->joined[joins] + 1)};
    }
    for (uint32_t k = 0; k < left; k++) {
        size_t first = out->n_taps;
        for (; out->n_taps < start[k]; out->n_taps++)
            out->taps[out->n_taps] = taps[out->n_taps];
        plan_push_sum(out, first, s->part[s->left[k][0]][0]);
    }
    return 0;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *grid = &video->pooled;
    size_t N = (size_t)grid->h * (size_t)grid->w, n = (size_t)video->T * N, width = (size_t)grid->d;
    float threshold = (float)values[THRESHOLD];
    struct scissor s = {0};
    if (!nodes_new(&s.cells, grid->H, n, width, arena))
        return err_no_memory(err, "a token plan");
    for (size_t first = 0; first < n; first += N)
        link_rows(&s.cells, first, first + N, threshold);
    if (!average_parts(&s, arena) || !nodes_new(&s.means, s.mean, s.cells.groups.count, width, arena))
        return err_no_memory(err, "a token plan");
    link_rows(&s.means, 0, s.means.n, threshold);
    if (!average_means(&s, arena) || !join_survivors(&s, arena))
        return err_no_memory(err, "a token plan");
    return push_survivors(&s, video, arena, out, err);
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    (void)shape, (void)native;
    bool target = !isnan(values[TARGET_RATIO]);
    *source = target ? "target" : "depends on the video";
    return values[TARGET_RATIO];
}

const struct compressor compressor_scissor = {
    .name = "scissor",
    .summary = "merges connected components of alike tokens in each frame, then over all frames",
    .source = "arXiv 2506.21862; HumanMLLM/LLaVA-Scissor llava/model/llava_arch_zip.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = HAS_TARGET,
    .needs = needs_h_pooled,
    .domain = domain_pooled,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
