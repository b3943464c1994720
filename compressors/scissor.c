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
    const struct sim_rows *rows;
    const uint32_t *row; /* [n] */
    size_t n;
    float *norm;
    struct groups groups;
    uint32_t *degree; /* [n] links of each, its own included */
    uint32_t *key;    /* [n] of each root: the member with most links, the first of equal ones */
};

/* Compared together: so many rows with others, at most so many values. */
enum { CHUNK = 256, CHUNK_VALUES = 1 << 20 };

static int nodes_new(struct nodes *nodes, const struct sim_rows *rows, const uint32_t *row, size_t n, struct arena *arena, struct err *err)
{
    *nodes = (struct nodes){.rows = rows, .row = row, .n = n, .norm = arena_alloc(arena, n, sizeof *nodes->norm),
                            .degree = arena_alloc(arena, n, sizeof *nodes->degree), .key = arena_alloc(arena, n, sizeof *nodes->key)};
    if (!nodes->norm || !nodes->degree || !nodes->key || !groups_new(&nodes->groups, n, arena))
        return err_no_memory(err, "a token plan");
    return sim_lengths(rows, (struct row_list){.of = row, .n = n}, nodes->norm, arena, err);
}

/* Links node i with nodes from..from+n-1, by their dot products. */
static void link_row(struct nodes *nodes, size_t i, size_t from, size_t n, const float *dots, float threshold)
{
    for (size_t j = from; j < from + n; j++) {
        if (!(sim_cosine(dots[j - from], nodes->norm[i], nodes->norm[j]) > threshold))
            continue;
        nodes->degree[i]++;
        nodes->degree[j]++;
        groups_join(&nodes->groups, (uint32_t)i, (uint32_t)j);
    }
}

/* Links nodes first..first+n-1 among themselves and with those behind them, before `end`. */
static int link_chunk(struct nodes *nodes, size_t first, size_t n, size_t end, float threshold, float *dots, struct err *err)
{
    const struct row_list chunk = {.of = nodes->row + first, .n = n};
    int rc = sim_square(nodes->rows, chunk, SIM_PRODUCT, dots, err);
    for (size_t i = 0; i < n && !rc; i++)
        link_row(nodes, first + i, first + i + 1, n - i - 1, dots + i * n + i + 1, threshold);
    for (size_t from = first + n, others; from < end && !rc; from += others) {
        others = CHUNK_VALUES / n < end - from ? CHUNK_VALUES / n : end - from;
        rc = sim_block(nodes->rows, chunk, (struct row_list){.of = nodes->row + from, .n = others}, SIM_PRODUCT, dots, err);
        for (size_t i = 0; i < n && !rc; i++)
            link_row(nodes, first + i, from, others, dots + i * others, threshold);
    }
    return rc;
}

/* Links nodes first..end-1 among themselves. dots: CHUNK_VALUES. */
static int link_rows(struct nodes *nodes, size_t first, size_t end, float threshold, float *dots, struct err *err)
{
    int rc = 0;
    for (size_t i = first; i < end && !rc; i += CHUNK)
        rc = link_chunk(nodes, i, end - i < CHUNK ? end - i : CHUNK, end, threshold, dots, err);
    return rc;
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
    struct sim_rows rows;          /* of the video, and behind them means */
    size_t made;                   /* how many there are */
    struct nodes cells, means;     /* of the video; of the components of its frames */
    uint32_t (*part)[2];           /* {key, root} of each component of cells */
    uint32_t *part_of, *part_size; /* [n] of each root of cells: which component; [parts] */
    uint32_t *part_row;            /* [parts] its mean: that of a single cell is the cell's row */
    uint32_t (*left)[2];           /* {key, root} of each component of means: the survivors */
    uint32_t *left_of, *left_size; /* [parts] of each root of means; [survivors] */
    uint32_t *left_row;            /* [survivors] its mean, as part_row */
    uint32_t *joins, *joined;      /* [n] the survivor that each source joins; [survivors] how many do */
    float *dots;                   /* [CHUNK_VALUES] */
};

/* Makes the sum or the mean of each component's rows, in their order, the next made rows; a component of one member has its row. row[n]: which
 * it is; of_root: the component of a root; size[n]: its members. */
static int sum_components(struct scissor *s, struct nodes *nodes, const uint32_t *of_root, const uint32_t *size, size_t n, bool mean, uint32_t *row,
                          struct arena *arena, struct err *err)
{
    uint32_t *begin = arena_alloc(arena, n + 2, sizeof *begin), *place = arena_alloc(arena, n, sizeof *place);
    struct tap *taps = arena_alloc(arena, nodes->n, sizeof *taps);
    struct sim_sums sums = {.first = s->rows.n + s->made, .begin = begin, .taps = taps, .divide = mean};
    if (!begin || !place || !taps)
        return err_no_memory(err, "a token plan");
    for (size_t k = 0; k < n; k++)
        if (size[k] > 1) {
            row[k] = (uint32_t)(sums.first + sums.n);
            place[k] = begin[sums.n];
            begin[sums.n + 1] = begin[sums.n] + size[k];
            sums.n++;
        }
    for (uint32_t i = 0; i < nodes->n; i++) {
        uint32_t k = of_root[groups_root(&nodes->groups, i)];
        if (size[k] > 1)
            taps[place[k]++] = (struct tap){nodes->row[i], mean ? (float)size[k] : 1};
        else
            row[k] = nodes->row[i];
    }
    s->made += sums.n;
    return sim_sum(&s->rows, &sums, err);
}

/* Means of the components of frames, in the order of their keys. */
static int average_parts(struct scissor *s, struct arena *arena, struct err *err)
{
    size_t parts = s->cells.groups.count, merged = 0;
    s->part = list_components(&s->cells, arena);
    s->part_of = arena_alloc(arena, s->cells.n, sizeof *s->part_of);
    s->part_size = arena_alloc(arena, parts, sizeof *s->part_size);
    s->part_row = arena_alloc(arena, parts, sizeof *s->part_row);
    if (!s->part || !s->part_of || !s->part_size || !s->part_row)
        return err_no_memory(err, "a token plan");
    for (uint32_t p = 0; p < parts; p++)
        s->part_of[s->part[p][1]] = p;
    for (uint32_t i = 0; i < s->cells.n; i++)
        s->part_size[s->part_of[groups_root(&s->cells.groups, i)]]++;
    for (uint32_t p = 0; p < parts; p++)
        merged += s->part_size[p] > 1;
    int rc = sim_room(&s->rows, merged + parts, arena, err); /* of survivors of several parts there is a sum and a mean */
    return rc ? rc : sum_components(s, &s->cells, s->part_of, s->part_size, parts, true, s->part_row, arena, err);
}

/* The same once more: sums, which are divided afterwards. */
static int average_means(struct scissor *s, struct arena *arena, struct err *err)
{
    size_t left = s->means.groups.count, n = 0;
    s->left = list_components(&s->means, arena);
    s->left_of = arena_alloc(arena, s->means.n, sizeof *s->left_of);
    s->left_size = arena_alloc(arena, left, sizeof *s->left_size);
    s->left_row = arena_alloc(arena, left, sizeof *s->left_row);
    uint32_t *begin = arena_alloc(arena, left + 1, sizeof *begin);
    struct tap *taps = arena_alloc(arena, left, sizeof *taps);
    if (!s->left || !s->left_of || !s->left_size || !s->left_row || !begin || !taps)
        return err_no_memory(err, "a token plan");
    for (uint32_t k = 0; k < left; k++)
        s->left_of[s->left[k][1]] = k;
    for (uint32_t p = 0; p < s->means.n; p++)
        s->left_size[s->left_of[groups_root(&s->means.groups, p)]]++;
    int rc = sum_components(s, &s->means, s->left_of, s->left_size, left, false, s->left_row, arena, err);
    size_t first = s->rows.n + s->made;
    for (size_t k = 0; k < left; k++)
        if (s->left_size[k] > 1) {
            taps[n] = (struct tap){s->left_row[k], (float)s->left_size[k]};
            s->left_row[k] = (uint32_t)(first + n);
            begin[n + 1] = (uint32_t)n + 1;
            n++;
        }
    s->made += n;
    return rc ? rc : sim_sum(&s->rows, &(struct sim_sums){.first = first, .n = n, .begin = begin, .taps = taps, .divide = true}, err);
}

/* Every source joins the survivor of largest cosine, the first of equal ones. */
static int join_survivors(struct scissor *s, struct arena *arena, struct err *err)
{
    size_t left = s->means.groups.count, n = s->cells.n;
    const struct row_list survivors = {.of = s->left_row, .n = left};
    float *norm = arena_alloc(arena, left, sizeof *norm), *best = arena_alloc(arena, n, sizeof *best);
    s->joins = arena_alloc(arena, n, sizeof *s->joins);
    s->joined = arena_alloc(arena, left, sizeof *s->joined);
    if (!norm || !best || !s->joins || !s->joined)
        return err_no_memory(err, "a token plan");
    int rc = sim_lengths(&s->rows, survivors, norm, arena, err);
    for (size_t i = 0; i < n; i++)
        best[i] = -2;
    for (size_t first = 0, chunk; first < left && !rc; first += chunk) {
        chunk = left - first < CHUNK ? left - first : CHUNK;
        for (size_t i = 0, some; i < n && !rc; i += some) {
            some = n - i < CHUNK_VALUES / CHUNK ? n - i : CHUNK_VALUES / CHUNK;
            rc = sim_block(&s->rows, (struct row_list){.first = i, .n = some}, (struct row_list){.of = s->left_row + first, .n = chunk}, SIM_PRODUCT,
                           s->dots, err);
            for (size_t at = 0; at < some * chunk && !rc; at++) {
                size_t cell = i + at / chunk, k = first + at % chunk;
                float value = sim_cosine(s->dots[at], s->cells.norm[cell], norm[k]);
                if (value > best[cell]) {
                    best[cell] = value;
                    s->joins[cell] = (uint32_t)k;
                }
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        s->joined[s->joins[i]]++;
    return rc;
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
    size_t N = (size_t)grid->h * (size_t)grid->w;
    float threshold = (float)values[THRESHOLD];
    struct scissor s = {.rows = rows_pooled(video), .dots = arena_alloc(arena, CHUNK_VALUES, sizeof *s.dots)};
    uint32_t *row = arena_alloc(arena, s.rows.n, sizeof *row);
    if (!s.dots || !row)
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < s.rows.n; i++)
        row[i] = (uint32_t)i;
    int rc = nodes_new(&s.cells, &s.rows, row, s.rows.n, arena, err);
    for (size_t first = 0; first < s.rows.n && !rc; first += N)
        rc = link_rows(&s.cells, first, first + N, threshold, s.dots, err);
    if (!rc)
        rc = average_parts(&s, arena, err);
    if (!rc)
        rc = nodes_new(&s.means, &s.rows, s.part_row, s.cells.groups.count, arena, err);
    if (!rc)
        rc = link_rows(&s.means, 0, s.means.n, threshold, s.dots, err);
    if (!rc)
        rc = average_means(&s, arena, err);
    if (!rc)
        rc = join_survivors(&s, arena, err);
    return rc ? rc : push_survivors(&s, video, arena, out, err);
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
    .needs = needs_h_sums,
    .domain = domain_pooled,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
