/* DynTok (Zhang et al., arXiv 2506.03990, sections 3.2-4.3): along each row of each frame a token joins the group of its left
 * neighbour when the cosine of their vision features exceeds a threshold; each group becomes its mean, each row ends with a marker.
 * Query-free, class A. What the paper leaves open is an option here, its default the reading argued for there; the
 * directions other than rows, and exact numbers of groups (DynTok-k), answer its open questions. */
#include "compressors/groups.h"
#include "compressors/methods.h"
#include "compressors/topk.h"

#include "core/dtype.h"
#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { THRESHOLD, TARGET_RATIO, GROUPS, PER, DIRECTION, SIMILARITY, X_POOL, X_LAYER, COMPARISON, SIMILARITY_DTYPE, MEAN_DTYPE, MARKER,
       POSITIONS, SIZE_BIAS };

enum { PER_FRAME, PER_VIDEO };
enum { ALONG_ROWS, ALONG_COLUMNS, ALONG_SNAKE, ALONG_BOTH, ALONG_BOXES, ALONG_TIME, ALONG_ROWS_TIME };
enum { SIM_POOLED_X, SIM_PATCH_MEAN, SIM_PATCH_MIN, SIM_PATCH_MAX, SIM_H };
enum { POOL_SAME, POOL_BLOCK_AVERAGE, POOL_NEAREST };
enum { LAYER_LAST, LAYER_POST_NORM };
enum { COMPARE_STRICT, COMPARE_NON_STRICT };
enum { DTYPE_CHOICE_F32, DTYPE_CHOICE_BF16 };
enum { MARK_ROW, MARK_FRAME, MARK_NONE, MARK_NATIVE };

static const char *const pers[] = {"frame", "video", NULL};
static const char *const directions[] = {"rows", "columns", "snake", "both", "boxes", "time", "rows_time", NULL};
static const char *const similarities[] = {"pooled_x", "patch_mean", "patch_min", "patch_max", "h", NULL};
static const char *const x_pools[] = {"same", "average", "nearest", NULL};
static const char *const x_layers[] = {"last", "post_norm", NULL};
static const char *const comparisons[] = {"strict", "non_strict", NULL};
static const char *const dtypes[] = {"f32", "bf16", NULL};
static const char *const markers[] = {"row", "frame", "none", "native", NULL};
static const char *const positions[] = {"compact", "keep", NULL};

static const struct option options[] = {
    {"threshold", OPTION_REAL, 0.6, -2, 2, NULL, "S_th: a token joins its neighbour's group when their cosine exceeds it (paper: 0.4 to 0.6)"},
    {"target_ratio", OPTION_REAL, NAN, 0.01, 1, NULL, "share of tokens to keep, markers counted; the threshold is searched once and stored"},
    {"groups", OPTION_INT, NAN, 1, 1e6, NULL,
     "DynTok-k: exactly this many groups per frame, the links of largest cosine first, instead of a threshold (rows: at least one per row)"},
    {"per", OPTION_CHOICE, PER_FRAME, 0, 0, pers, "an exact number holds in each frame, or over the video, where frames compete"},
    {"direction", OPTION_CHOICE, ALONG_ROWS, 0, 0, directions,
     "rows; columns; snake: rows in alternating direction joined at their ends; both: connected components of rows and columns; boxes: runs "
     "of equal extent joined downwards; time: the same cell of the frame before; rows_time: runs of equal extent joined over time"},
    {"similarity", OPTION_CHOICE, SIM_POOLED_X, 0, 0, similarities,
     "cosine of pooled vision features, of the patch pairs that face each other (mean, min, max), or of projected features"},
    {"x_pool", OPTION_CHOICE, POOL_SAME, 0, 0, x_pools, "how vision features are pooled for the comparison: as the tokens, 2x2 mean, nearest patch"},
    {"x_layer", OPTION_CHOICE, LAYER_LAST, 0, 0, x_layers, "vision features: the last layer used, or those after the tower's final norm"},
    {"comparison", OPTION_CHOICE, COMPARE_STRICT, 0, 0, comparisons, "strict: cosine > threshold (\"exceeds\"); non_strict: >="},
    {"similarity_dtype", OPTION_CHOICE, DTYPE_CHOICE_F32, 0, 0, dtypes, "bf16 rounds features and cosine, as half-precision code does"},
    {"mean_dtype", OPTION_CHOICE, DTYPE_CHOICE_F32, 0, 0, dtypes, "bf16 rounds every partial sum of a mean"},
    {"marker", OPTION_CHOICE, MARK_ROW, 0, 0, markers, "after each row, after each frame, none, or as the model does without compression"},
    {"positions", OPTION_CHOICE, 0, 0, 0, positions, "positions in the prompt: 0..n-1, or those the tokens had before merging"},
    {"size_bias", OPTION_FLAG, 0, 0, 1, NULL, "attention adds log(group size) to a group's logit, as ToMe's proportional attention does"},
};

static const char *const instead_of_threshold[] = {"groups", NULL};

enum { MOST_FACING = 4 }; /* pairs of patches compared for one link */

static bool chosen(const double *values, int option, int choice)
{
    return (int)values[option] == choice;
}

static bool compares_patches(const double *values)
{
    return !chosen(values, SIMILARITY, SIM_POOLED_X) && !chosen(values, SIMILARITY, SIM_H);
}

static unsigned needs(const double *values)
{
    if (chosen(values, SIMILARITY, SIM_H))
        return NEED_H_POOLED | NEED_DOTS;
    bool raw = compares_patches(values) || !chosen(values, X_POOL, POOL_SAME);
    unsigned layer = chosen(values, X_LAYER, LAYER_POST_NORM) ? NEED_X_POST_NORM : 0;
    unsigned dots = chosen(values, X_POOL, POOL_BLOCK_AVERAGE) ? NEED_SUMS : NEED_DOTS;
    return layer | dots | (raw ? NEED_X_RAW : NEED_X_POOLED);
}

/* Whether links in this direction stay inside frames and any set of them gives a valid partition, so that a frame's number of groups
 * can be met exactly. */
static bool counts_per_frame(const double *values)
{
    return (int)values[DIRECTION] <= ALONG_BOTH;
}

static int check(const double *values, struct err *err)
{
    const char *direction = directions[(int)values[DIRECTION]];
    if (chosen(values, DIRECTION, ALONG_SNAKE) && chosen(values, POSITIONS, POSITIONS_KEEP))
        return err_set(err, ERR_CONFIG, "compressor dyntok: direction snake has no kept positions; use positions: compact");
    if (!chosen(values, X_POOL, POOL_SAME) && !chosen(values, SIMILARITY, SIM_POOLED_X))
        return err_set(err, ERR_CONFIG, "compressor dyntok: option 'x_pool' only applies to similarity: pooled_x; leave it out");
    if (isnan(values[GROUPS]) && !isnan(values[THRESHOLD])) /* without either, another cell says how many groups */
        return 0;
    if (!isnan(values[GROUPS]) && !isnan(values[TARGET_RATIO]))
        return err_set(err, ERR_CONFIG, "compressor dyntok: groups and target_ratio both say how much is kept; leave one out");
    if (chosen(values, DIRECTION, ALONG_TIME) && chosen(values, PER, PER_FRAME))
        return err_set(err, ERR_CONFIG, "compressor dyntok: groups along time belong to no one frame; use per: video");
    if (!counts_per_frame(values) && !chosen(values, DIRECTION, ALONG_TIME))
        return err_set(err, ERR_CONFIG, "compressor dyntok: direction %s cannot meet a number of groups; use threshold, or direction both or time", direction);
    return 0;
}

/* ---- features to compare ------------------------------------------------------------------------------------------------- */

static float rounded(float value)
{
    return f32_from_bf16(bf16_from_f32(value));
}

/* Rows of a video that are compared: cells of its pooled grid or patches. */
struct linker {
    const double *values;
    const struct vid_view *video;
    struct sim_rows rows;
    size_t frame;           /* rows of a frame */
    size_t averages;        /* the first row of averages, where cells are averages; else 0 */
    bool rounds;            /* features and cosine are rounded */
    struct row_pair *pairs; /* room for all links of a kind, or all rows */
    float *dots, *norms;    /* of pairs; [T][frame] of those rows that links refer to */
};

/* The patch whose weight in the pooled cell is largest along one axis, and the other one. */
static struct pool_tap axis_tap(const struct vid_view *video, int in, int out, int o)
{
    if (video->mode == POOL_BILINEAR)
        return pool_bilinear_tap(in, out, o);
    int first = video->mode == POOL_NONE ? o : o * video->stride;
    return (struct pool_tap){first, video->mode == POOL_NONE ? first : first + 1, 0.5f, 0.5f};
}

struct cell_taps { struct pool_tap y, x; };

static struct cell_taps cell_taps(const struct vid_view *video, size_t cell)
{
    int y = (int)cell / video->pooled.w, x = (int)cell % video->pooled.w;
    return (struct cell_taps){axis_tap(video, video->raw.h, video->pooled.h, y), axis_tap(video, video->raw.w, video->pooled.w, x)};
}

static size_t patch_at(const struct vid_view *video, int y, int x)
{
    return (size_t)y * (size_t)video->raw.w + (size_t)x;
}

/* Cells as means of four patches, x_pool average: sums first, and behind them what they are divided by four. */
static int average_patches(struct linker *linker, size_t cells, struct arena *arena, struct err *err)
{
    const struct vid_view *video = linker->video;
    size_t frame = (size_t)video->pooled.h * (size_t)video->pooled.w, first = linker->rows.n;
    struct tap *taps = arena_alloc(arena, 5 * cells, sizeof *taps);
    uint32_t *begin = arena_alloc(arena, 2 * (cells + 1), sizeof *begin), *begin_means = begin + cells + 1;
    if (!taps || !begin)
        return err_no_memory(err, "the links of a video");
    for (size_t i = 0; i < cells; i++) {
        size_t patches = i / frame * linker->frame;
        struct cell_taps at = cell_taps(video, i % frame);
        const int y[] = {at.y.i0, at.y.i0, at.y.i1, at.y.i1}, x[] = {at.x.i0, at.x.i1, at.x.i0, at.x.i1};
        for (size_t k = 0; k < 4; k++)
            taps[4 * i + k] = (struct tap){(uint32_t)(patches + patch_at(video, y[k], x[k])), 1};
        taps[4 * cells + i] = (struct tap){(uint32_t)(first + i), 4};
        begin[i + 1] = (uint32_t)(4 * (i + 1));
        begin_means[i + 1] = (uint32_t)(i + 1);
    }
    const struct sim_sums sums = {.first = first, .n = cells, .begin = begin, .taps = taps};
    const struct sim_sums means = {.first = first + cells, .n = cells, .begin = begin_means, .taps = taps + 4 * cells, .divide = true};
    linker->averages = first + cells;
    int rc = sim_room(&linker->rows, 2 * cells, arena, err);
    if (!rc)
        rc = sim_sum(&linker->rows, &sums, err);
    return rc ? rc : sim_sum(&linker->rows, &means, err);
}

/* The row that stands for a cell of the video. */
static size_t cell_row(const struct linker *linker, size_t cell)
{
    const struct vid_view *video = linker->video;
    size_t cells = (size_t)video->pooled.h * (size_t)video->pooled.w;
    if (!chosen(linker->values, X_POOL, POOL_NEAREST))
        return linker->averages + cell;
    struct cell_taps at = cell_taps(video, cell % cells);
    return cell / cells * linker->frame + patch_at(video, at.y.w1 > at.y.w0 ? at.y.i1 : at.y.i0, at.x.w1 > at.x.w0 ? at.x.i1 : at.x.i0);
}

static int find_norms(struct linker *linker, struct err *err)
{
    const struct vid_view *video = linker->video;
    bool patches = compares_patches(linker->values);
    size_t n = (size_t)video->T * (patches ? linker->frame : (size_t)video->pooled.h * (size_t)video->pooled.w);
    for (size_t i = 0; i < n; i++) {
        uint32_t row = (uint32_t)(patches ? i : cell_row(linker, i));
        linker->pairs[i] = (struct row_pair){row, row};
    }
    int rc = sim_pairs(&linker->rows, linker->pairs, n, linker->rounds, linker->dots, err);
    for (size_t i = 0; i < n && !rc; i++)
        linker->norms[linker->pairs[i].a - linker->averages] = sqrtf(linker->dots[i]);
    return rc;
}

static int linker_new(struct linker *linker, const double *values, const struct vid_view *video, struct arena *arena, struct err *err)
{
    bool h = chosen(values, SIMILARITY, SIM_H), patches = compares_patches(values), means = chosen(values, X_POOL, POOL_BLOCK_AVERAGE);
    const struct grid_view *grid = patches || means || chosen(values, X_POOL, POOL_NEAREST) ? &video->raw : &video->pooled;
    *linker = (struct linker){.values = values, .video = video, .rounds = chosen(values, SIMILARITY_DTYPE, DTYPE_CHOICE_BF16)};
    linker->frame = (size_t)grid->h * (size_t)grid->w;
    size_t cells = (size_t)video->T * (size_t)video->pooled.h * (size_t)video->pooled.w, rows = (size_t)video->T * linker->frame;
    size_t links = cells * (patches ? MOST_FACING : 1), most = rows > links ? rows : links;
    linker->rows = (struct sim_rows){.near = h ? grid->H : grid->X, .n = rows, .width = (size_t)(h ? grid->d : grid->dx),
                                     .far = h ? grid->far_H : grid->far_X};
    linker->pairs = arena_alloc(arena, most, sizeof *linker->pairs);
    linker->dots = arena_alloc(arena, most, sizeof *linker->dots);
    linker->norms = arena_alloc(arena, most, sizeof *linker->norms);
    if (!linker->pairs || !linker->dots || !linker->norms)
        return err_no_memory(err, "the links of a video");
    int rc = means ? average_patches(linker, cells, arena, err) : 0;
    if (rc)
        return rc;
    return find_norms(linker, err);
}

/* ---- links --------------------------------------------------------------------------------------------------------------- */

/* Cosine of a pair, clamped to [-1, 1]; NaN where a feature is not finite, which starts a new group. */
static float pair_cosine(const struct linker *linker, size_t pair)
{
    float scale = linker->norms[linker->pairs[pair].a - linker->averages] * linker->norms[linker->pairs[pair].b - linker->averages];
    float value = linker->dots[pair] / (scale > 1e-8f || isnan(scale) ? scale : 1e-8f);
    if (linker->rounds)
        value = rounded(value);
    return value > 1 ? 1 : value < -1 ? -1 : value;
}

enum link_kind { LINK_LEFT, LINK_UP, LINK_BACK, LINK_KINDS }; /* to the left neighbour, the one above, the same cell a frame before */

struct patch_pair { size_t a, b; };

/* Patches of two linked cells that face each other, in the frames whose first rows these are: two pairs across an edge, all four over
 * time. `a` is the smaller cell. */
static size_t facing_patches(const struct vid_view *video, enum link_kind kind, size_t first_a, size_t a, size_t first_b, size_t b,
                             struct row_pair pairs[MOST_FACING])
{
    struct cell_taps p = cell_taps(video, a), q = cell_taps(video, b);
    const int py[2] = {p.y.i0, p.y.i1}, px[2] = {p.x.i0, p.x.i1}, qy[2] = {q.y.i0, q.y.i1}, qx[2] = {q.x.i0, q.x.i1};
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < (kind == LINK_BACK ? 2 : 1); k++) {
            size_t from = kind == LINK_LEFT ? patch_at(video, py[i], px[1]) : kind == LINK_UP ? patch_at(video, py[1], px[i]) : patch_at(video, py[i], px[k]);
            size_t to = kind == LINK_LEFT ? patch_at(video, qy[i], qx[0]) : kind == LINK_UP ? patch_at(video, qy[0], qx[i]) : patch_at(video, qy[i], qx[k]);
            pairs[n++] = (struct row_pair){(uint32_t)(first_a + from), (uint32_t)(first_b + to)};
        }
    return n;
}

/* The rows that are compared for a cell's link; returns how many pairs. `other` is the smaller cell. */
static size_t link_pairs(const struct linker *linker, enum link_kind kind, size_t other, size_t cell, struct row_pair pairs[MOST_FACING])
{
    size_t cells = (size_t)linker->video->pooled.h * (size_t)linker->video->pooled.w;
    if (compares_patches(linker->values))
        return facing_patches(linker->video, kind, other / cells * linker->frame, other % cells, cell / cells * linker->frame, cell % cells, pairs);
    pairs[0] = (struct row_pair){(uint32_t)cell_row(linker, other), (uint32_t)cell_row(linker, cell)};
    return 1;
}

/* What pairs first..first+n-1 say of their link. */
static float link_similarity(const struct linker *linker, size_t first, size_t n)
{
    float sum = 0, least = 1, most = -1;
    for (size_t i = first; i < first + n; i++) {
        float value = pair_cosine(linker, i);
        if (n == 1 || isnan(value))
            return value;
        sum += value;
        least = fminf(least, value);
        most = fmaxf(most, value);
    }
    return chosen(linker->values, SIMILARITY, SIM_PATCH_MEAN) ? sum / (float)n : chosen(linker->values, SIMILARITY, SIM_PATCH_MIN) ? least : most;
}

/* Whether a direction links cell (y, x) of frame t that way. */
static bool has_link(const double *values, enum link_kind kind, int t, int y, int x, int w)
{
    int along = (int)values[DIRECTION];
    switch (kind) {
    case LINK_LEFT:
        return x > 0 && along != ALONG_COLUMNS && along != ALONG_TIME;
    case LINK_UP:
        return y > 0 && (along == ALONG_COLUMNS || along == ALONG_BOTH || along == ALONG_BOXES ||
                         (along == ALONG_SNAKE && x == (y % 2 ? w - 1 : 0)));
    case LINK_BACK:
        return t > 0 && (along == ALONG_TIME || along == ALONG_ROWS_TIME);
    case LINK_KINDS:
        break;
    }
    return false;
}

/* Similarities of a video's cells with their neighbours: [kind][T*h*w], NaN where there is no link. */
struct links { float *of[LINK_KINDS]; size_t distance[LINK_KINDS]; };

static int find_links_of(const struct linker *linker, enum link_kind kind, size_t distance, float *similarity, struct err *err)
{
    const struct vid_view *video = linker->video;
    size_t w = (size_t)video->pooled.w, frame = (size_t)video->pooled.h * w, cells = (size_t)video->T * frame, n = 0, per_link = 1;
    for (size_t cell = 0; cell < cells; cell++) {
        similarity[cell] = NAN;
        if (!has_link(linker->values, kind, (int)(cell / frame), (int)(cell % frame / w), (int)(cell % w), (int)w))
            continue;
        per_link = link_pairs(linker, kind, cell - distance, cell, linker->pairs + n);
        n += per_link;
        similarity[cell] = 0;
    }
    int rc = n ? sim_pairs(&linker->rows, linker->pairs, n, linker->rounds, linker->dots, err) : 0;
    for (size_t cell = 0, at = 0; cell < cells && !rc; cell++)
        if (!isnan(similarity[cell])) {
            similarity[cell] = link_similarity(linker, at, per_link);
            at += per_link;
        }
    return rc;
}

static int find_links(const double *values, const struct vid_view *video, struct arena *arena, struct links *out, struct err *err)
{
    size_t frame = (size_t)video->pooled.h * (size_t)video->pooled.w;
    struct linker linker;
    *out = (struct links){.distance = {1, (size_t)video->pooled.w, frame}};
    int rc = linker_new(&linker, values, video, arena, err);
    for (enum link_kind kind = LINK_LEFT; kind < LINK_KINDS && !rc; kind++) {
        out->of[kind] = arena_alloc(arena, (size_t)video->T * frame, sizeof(float));
        rc = out->of[kind] ? find_links_of(&linker, kind, out->distance[kind], out->of[kind], err) : err_no_memory(err, "the links of a video");
    }
    return rc;
}

/* ---- grouping ------------------------------------------------------------------------------------------------------------ */

static bool holds(const double *values, float similarity)
{
    float threshold = (float)values[THRESHOLD];
    return chosen(values, COMPARISON, COMPARE_STRICT) ? similarity > threshold : similarity >= threshold;
}

/* Every link that holds joins two groups. */
static void join_above_threshold(const double *values, const struct links *links, struct groups *groups)
{
    for (int kind = 0; kind < LINK_KINDS; kind++)
        for (size_t cell = 0; cell < groups->n; cell++)
            if (holds(values, links->of[kind][cell]))
                groups_join(groups, (uint32_t)cell, (uint32_t)(cell - links->distance[kind]));
}

/* Whether cell i is of the same run as the cell to its left. Cells that start a row have no link to the left. */
static bool continues(const double *values, const struct links *links, size_t i)
{
    return holds(values, links->of[LINK_LEFT][i]);
}

/* Runs along rows, joined with the run above or a frame before when both have the same extent and every link between them holds. */
static void join_runs(const double *values, const struct links *links, enum link_kind across, struct groups *groups)
{
    size_t distance = links->distance[across];
    for (size_t first = 0, end; first < groups->n; first = end) {
        bool whole = first >= distance && !continues(values, links, first - distance) && holds(values, links->of[across][first]);
        for (end = first + 1; end < groups->n && continues(values, links, end); end++) {
            whole = whole && continues(values, links, end - distance) && holds(values, links->of[across][end]);
            groups_join(groups, (uint32_t)first, (uint32_t)end);
        }
        if (whole && !continues(values, links, end - distance))
            groups_join(groups, (uint32_t)(first - distance), (uint32_t)first);
    }
}

/* Joins cells first..first+n-1 by their links of largest similarity until `wanted` groups of them are left, or no link is. Equal
 * similarities: the smaller cell first, left before up before back. */
static int join_to_count(const struct links *links, size_t first, size_t n, size_t wanted, struct groups *groups, struct arena *arena, struct err *err)
{
    float *similarity = arena_alloc(arena, n * LINK_KINDS, sizeof *similarity);
    uint32_t *ranked = arena_alloc(arena, n * LINK_KINDS, sizeof *ranked);
    if (!similarity || !ranked)
        return err_no_memory(err, "the links of a video");
    for (size_t i = 0; i < n * LINK_KINDS; i++)
        similarity[i] = links->of[i % LINK_KINDS][first + i / LINK_KINDS];
    if (!topk_rank(similarity, n * LINK_KINDS, n * LINK_KINDS, ranked, arena))
        return err_no_memory(err, "the links of a video");
    size_t left = n;
    for (size_t i = 0; i < n * LINK_KINDS && left > wanted && !isnan(similarity[ranked[i]]); i++) {
        size_t cell = first + ranked[i] / LINK_KINDS;
        left -= groups_join(groups, (uint32_t)cell, (uint32_t)(cell - links->distance[ranked[i] % LINK_KINDS]));
    }
    return 0;
}

static int join_exactly(const double *values, const struct vid_view *video, const struct budget *budget, const struct links *links,
                        struct groups *groups, struct arena *arena, struct err *err)
{
    size_t frame = groups->n / (size_t)video->T, total = 0;
    int rc = 0;
    for (int t = 0; t < video->T && !rc; t++) {
        size_t wanted = budget ? budget->per_frame[t] : (size_t)values[GROUPS];
        total += wanted;
        if (chosen(values, PER, PER_FRAME))
            rc = join_to_count(links, (size_t)t * frame, frame, wanted, groups, arena, err);
    }
    return rc || chosen(values, PER, PER_FRAME) ? rc : join_to_count(links, 0, groups->n, total, groups, arena, err);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    static const enum newline newline_of[] = {NEWLINE_GRID, NEWLINE_FRAME, NEWLINE_NO, NEWLINE_NATIVE};
    int h = video->pooled.h, w = video->pooled.w;
    struct links links;
    struct groups groups;
    (void)question;
    if (budget && !budget->total_only && !counts_per_frame(values))
        return err_set(err, ERR_CONFIG, "compressor dyntok: direction %s cannot spend budgets of frames; use rows, columns, snake or both",
                       directions[(int)values[DIRECTION]]);
    int rc = find_links(values, video, arena, &links, err);
    if (rc)
        return rc;
    if (!groups_new(&groups, (size_t)video->T * (size_t)h * (size_t)w, arena))
        return err_no_memory(err, "a token plan");
    if (budget || !isnan(values[GROUPS]))
        rc = join_exactly(values, video, budget, &links, &groups, arena, err);
    else if (chosen(values, DIRECTION, ALONG_BOXES) || chosen(values, DIRECTION, ALONG_ROWS_TIME))
        join_runs(values, &links, chosen(values, DIRECTION, ALONG_BOXES) ? LINK_UP : LINK_BACK, &groups);
    else
        join_above_threshold(values, &links, &groups);
    if (rc || (rc = groups_plan(&groups, video->T, h, w, arena, out, err)))
        return rc;
    out->newline = newline_of[(int)values[MARKER]];
    out->order = chosen(values, DIRECTION, ALONG_COLUMNS) ? ORDER_COLUMNS : ORDER_RASTER;
    out->positions = (enum tok_positions)(int)values[POSITIONS];
    out->round_each = chosen(values, MEAN_DTYPE, DTYPE_CHOICE_BF16);
    out->size_bias = values[SIZE_BIAS] != 0;
    return 0;
}

/* ---- what a video is like ------------------------------------------------------------------------------------------------ */

/* What a threshold meets on this video: how alike neighbours are, and what became of them. */
static int measure(const double *values, const struct vid_view *video, struct arena *arena, struct measure *out, int *n, struct err *err)
{
    struct links links;
    struct tok_plan plan;
    int rc = find_links(values, video, arena, &links, err);
    if (rc || (rc = tokens(values, video, NULL, NULL, arena, &plan, err)))
        return rc;
    size_t cells = (size_t)video->T * (size_t)video->pooled.h * (size_t)video->pooled.w, count = 0, held = 0, largest = 0;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < cells * LINK_KINDS; i++) {
        float similarity = links.of[i % LINK_KINDS][i / LINK_KINDS];
        if (isnan(similarity))
            continue;
        count++;
        held += holds(values, similarity);
        sum += (double)similarity;
        squares += (double)similarity * (double)similarity;
    }
    for (size_t i = 0; i < plan.n_tok; i++)
        largest = plan.tok[i].size > largest ? plan.tok[i].size : largest;
    double mean = count ? sum / (double)count : NAN;
    const struct measure measures[] = {
        {"links", (double)count},
        {"mean cosine of linked tokens", mean},
        {"standard deviation of these cosines", count ? sqrt(fmax(0, squares / (double)count - mean * mean)) : NAN},
        {"share of links above the threshold", count ? (double)held / (double)count : NAN},
        {"groups per frame", (double)plan.n_tok / video->T},
        {"tokens per group", (double)cells / (double)plan.n_tok},
        {"tokens in the largest group", (double)largest},
    };
    *n = sizeof measures / sizeof *measures;
    memcpy(out, measures, sizeof measures);
    return 0;
}

/* ---- planning ------------------------------------------------------------------------------------------------------------ */

/* Groups per frame between the least that links can reach and all, and the markers that stay. */
static double exact_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    static const enum newline newline_of[] = {NEWLINE_GRID, NEWLINE_FRAME, NEWLINE_NO};
    int h = shape->pooled.h, w = shape->pooled.w, along = (int)values[DIRECTION];
    double all = (double)h * w, least = along == ALONG_ROWS ? h : along == ALONG_COLUMNS ? w : along == ALONG_TIME ? all / shape->T : 1;
    size_t content, content_none, marks, marks_none;
    newline_count(native, shape->T, h, w, &content_none, &marks_none);
    newline_count(chosen(values, MARKER, MARK_NATIVE) ? native : newline_of[(int)values[MARKER]], shape->T,
                  along == ALONG_COLUMNS ? w : h, 1, &content, &marks);
    *source = "exact";
    return (shape->T * fmin(fmax(values[GROUPS], least), all) + (double)marks) / (double)(content_none + marks_none);
}

/* The paper's own points (section 4.3 and figure 3), joined by lines and ended by the floor and the whole. */
static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    static const double at[] = {-1, 0.4, 0.5, 0.6, 1}, kept[] = {28.0 / 210, 0.20, 0.30, 0.444, 1};
    if (!isnan(values[TARGET_RATIO])) {
        *source = "target";
        return values[TARGET_RATIO];
    }
    if (!isnan(values[GROUPS]))
        return exact_ratio(values, shape, native, source);
    bool fewer = (int)values[DIRECTION] > ALONG_COLUMNS; /* more links than rows have: at most as many groups */
    *source = fewer ? "at most" : "paper's model";
    if (chosen(values, DIRECTION, ALONG_TIME))
        return 1;
    double s = values[THRESHOLD];
    if (s <= at[0])
        return kept[0];
    for (int i = 1; i < 5; i++)
        if (s <= at[i])
            return kept[i - 1] + (kept[i] - kept[i - 1]) * (s - at[i - 1]) / (at[i] - at[i - 1]);
    return 1;
}

const struct compressor compressor_dyntok = {
    .name = "dyntok",
    .summary = "merges neighbouring tokens of a row while their vision features are alike",
    .source = "arXiv 2506.03990, sections 3.2 to 4.3",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .instead = instead_of_threshold,
    .flags = HAS_TARGET | EXACT_BUDGET | LOGSIZE_BIAS,
    .needs = needs,
    .domain = domain_pooled,
    .check = check,
    .tokens = tokens,
    .measure = measure,
    .expected_ratio = expected_ratio,
};
