/* DynTok (Zhang et al., arXiv 2506.03990, sections 3.2-4.3): along each row of each frame a token joins the group of its left
 * neighbour when the cosine of their vision features exceeds a threshold; each group becomes its mean, each row ends with a marker.
 * Query-free, class A. What the paper leaves open is an option here (models.md 6.3), its default the reading argued for there. */
#include "compressors/methods.h"

#include "core/dtype.h"

#include <math.h>

enum { THRESHOLD, TARGET_RATIO, SIMILARITY, X_POOL, X_LAYER, COMPARISON, SIMILARITY_DTYPE, MEAN_DTYPE, MARKER, DIRECTION, POSITIONS };

enum { SIM_POOLED_X, SIM_PATCH_MEAN, SIM_PATCH_MIN, SIM_PATCH_MAX, SIM_H };
enum { POOL_SAME, POOL_BLOCK_AVERAGE, POOL_NEAREST };
enum { LAYER_LAST, LAYER_POST_NORM };
enum { COMPARE_STRICT, COMPARE_NON_STRICT };
enum { DTYPE_CHOICE_F32, DTYPE_CHOICE_BF16 };
enum { MARK_ROW, MARK_FRAME, MARK_NONE, MARK_NATIVE };
enum { ALONG_ROWS, ALONG_COLUMNS, ALONG_SNAKE };

static const char *const similarities[] = {"pooled_x", "patch_mean", "patch_min", "patch_max", "h", NULL};
static const char *const x_pools[] = {"same", "average", "nearest", NULL};
static const char *const x_layers[] = {"last", "post_norm", NULL};
static const char *const comparisons[] = {"strict", "non_strict", NULL};
static const char *const dtypes[] = {"f32", "bf16", NULL};
static const char *const markers[] = {"row", "frame", "none", "native", NULL};
static const char *const directions[] = {"rows", "columns", "snake", NULL};
static const char *const positions[] = {"compact", "keep", NULL};

static const struct option options[] = {
    {"threshold", OPTION_REAL, 0.6, -2, 2, NULL, "S_th: a token joins its neighbour's group when their cosine exceeds it (paper: 0.4 to 0.6)"},
    {"target_ratio", OPTION_REAL, NAN, 0.01, 1, NULL, "share of tokens to keep, markers counted; the threshold is searched once and stored"},
    {"similarity", OPTION_CHOICE, SIM_POOLED_X, 0, 0, similarities,
     "cosine of pooled vision features, of the two patch pairs between neighbours (mean, min, max), or of projected features"},
    {"x_pool", OPTION_CHOICE, POOL_SAME, 0, 0, x_pools, "how vision features are pooled for the comparison: as the tokens, 2x2 mean, nearest patch"},
    {"x_layer", OPTION_CHOICE, LAYER_LAST, 0, 0, x_layers, "vision features: the last layer used, or those after the tower's final norm"},
    {"comparison", OPTION_CHOICE, COMPARE_STRICT, 0, 0, comparisons, "strict: cosine > threshold (\"exceeds\"); non_strict: >="},
    {"similarity_dtype", OPTION_CHOICE, DTYPE_CHOICE_F32, 0, 0, dtypes, "bf16 rounds features and cosine, as half-precision code does"},
    {"mean_dtype", OPTION_CHOICE, DTYPE_CHOICE_F32, 0, 0, dtypes, "bf16 rounds every partial sum of a mean"},
    {"marker", OPTION_CHOICE, MARK_ROW, 0, 0, markers, "after each row, after each frame, none, or as the model does without compression"},
    {"direction", OPTION_CHOICE, ALONG_ROWS, 0, 0, directions, "rows, columns, or rows in alternating direction joined at their ends"},
    {"positions", OPTION_CHOICE, 0, 0, 0, positions, "positions in the prompt: 0..n-1, or those the tokens had before merging"},
};

static bool chosen(const double *values, int option, int choice)
{
    return (int)values[option] == choice;
}

static unsigned needs(const double *values)
{
    if (chosen(values, SIMILARITY, SIM_H))
        return NEED_H_POOLED;
    bool raw = !chosen(values, SIMILARITY, SIM_POOLED_X) || !chosen(values, X_POOL, POOL_SAME);
    unsigned layer = chosen(values, X_LAYER, LAYER_POST_NORM) ? NEED_X_POST_NORM : 0;
    return layer | (raw ? NEED_X_RAW : NEED_X_POOLED);
}

static int check(const double *values, struct err *err)
{
    if (chosen(values, DIRECTION, ALONG_SNAKE) && chosen(values, POSITIONS, POSITIONS_KEEP))
        return err_set(err, ERR_CONFIG, "compressor dyntok: direction snake has no kept positions; use positions: compact");
    if (chosen(values, X_POOL, POOL_SAME) || chosen(values, SIMILARITY, SIM_POOLED_X))
        return 0;
    return err_set(err, ERR_CONFIG, "compressor dyntok: option 'x_pool' only applies to similarity: pooled_x; leave it out");
}

/* ---- similarity ---------------------------------------------------------------------------------------------------------- */

static float maybe_rounded(const double *values, float value)
{
    return chosen(values, SIMILARITY_DTYPE, DTYPE_CHOICE_BF16) ? f32_from_bf16(bf16_from_f32(value)) : value;
}

/* Sums over eight interleaved lanes: a fixed order that a compiler can vectorise. */
static float dot(const double *values, const float *a, const float *b, int n)
{
    float lane[8] = {0}, sum = 0;
    bool rounded = chosen(values, SIMILARITY_DTYPE, DTYPE_CHOICE_BF16);
    int i = 0;
    if (rounded) {
        for (; i < n; i++)
            lane[i % 8] += maybe_rounded(values, a[i]) * maybe_rounded(values, b[i]);
    } else {
        for (; i + 8 <= n; i += 8)
            for (int k = 0; k < 8; k++)
                lane[k] += a[i + k] * b[i + k];
        for (; i < n; i++)
            lane[i % 8] += a[i] * b[i];
    }
    for (int k = 0; k < 8; k++)
        sum += lane[k];
    return sum;
}

/* cos(a, b), clamped to [-1, 1]; NaN when a feature is not finite, which starts a new group. models.md 6.3: "zero norm". */
static float cosine(const double *values, const float *a, const float *b, int n)
{
    float scale = sqrtf(dot(values, a, a, n)) * sqrtf(dot(values, b, b, n));
    float value = maybe_rounded(values, dot(values, a, b, n) / (scale > 1e-8f || isnan(scale) ? scale : 1e-8f));
    return value > 1 ? 1 : value < -1 ? -1 : value;
}

struct finder { /* where features for a comparison come from */
    const double *values;
    const struct vid_view *video;
    float *a, *b; /* [dx] room for features pooled on the way */
};

static const float *grid_feature(const struct grid_view *grid, const float *features, int width, int t, int y, int x)
{
    return features + ((size_t)(t * grid->h + y) * (size_t)grid->w + (size_t)x) * (size_t)width;
}

/* The patch whose weight in the pooled cell is largest along one axis, and the other one. */
static struct pool_tap axis_tap(const struct vid_view *video, int in, int out, int o)
{
    if (video->mode == POOL_BILINEAR)
        return pool_bilinear_tap(in, out, o);
    int first = video->mode == POOL_NONE ? o : o * video->stride;
    return (struct pool_tap){first, video->mode == POOL_NONE ? first : first + 1, 0.5f, 0.5f};
}

/* Vision features of a pooled cell, pooled here from the raw grid (x_pool average or nearest). */
static const float *pool_feature(const struct finder *finder, int t, int y, int x, float *room)
{
    const struct vid_view *video = finder->video;
    const struct grid_view *raw = &video->raw;
    struct pool_tap ty = axis_tap(video, raw->h, video->pooled.h, y), tx = axis_tap(video, raw->w, video->pooled.w, x);
    if (chosen(finder->values, X_POOL, POOL_NEAREST))
        return grid_feature(raw, raw->X, raw->dx, t, ty.w1 > ty.w0 ? ty.i1 : ty.i0, tx.w1 > tx.w0 ? tx.i1 : tx.i0);
    const float *corner[4] = {grid_feature(raw, raw->X, raw->dx, t, ty.i0, tx.i0), grid_feature(raw, raw->X, raw->dx, t, ty.i0, tx.i1),
                              grid_feature(raw, raw->X, raw->dx, t, ty.i1, tx.i0), grid_feature(raw, raw->X, raw->dx, t, ty.i1, tx.i1)};
    for (int c = 0; c < raw->dx; c++)
        room[c] = (corner[0][c] + corner[1][c] + corner[2][c] + corner[3][c]) / 4;
    return room;
}

/* Cosines of the patches that face each other across two neighbouring cells, one pair for each of the two patch lines the cells
 * cover, reduced to one number. */
static float patch_similarity(const struct finder *finder, int t, int y0, int x0, int y1, int x1)
{
    const struct vid_view *video = finder->video;
    const struct grid_view *raw = &video->raw;
    struct pool_tap ay = axis_tap(video, raw->h, video->pooled.h, y0), ax = axis_tap(video, raw->w, video->pooled.w, x0);
    struct pool_tap by = axis_tap(video, raw->h, video->pooled.h, y1), bx = axis_tap(video, raw->w, video->pooled.w, x1);
    float pair[2];
    for (int i = 0; i < 2; i++) {
        bool along_x = y0 == y1;
        int ya = along_x ? (i ? ay.i1 : ay.i0) : ay.i1, yb = along_x ? (i ? by.i1 : by.i0) : by.i0;
        int xa = along_x ? ax.i1 : (i ? ax.i1 : ax.i0), xb = along_x ? bx.i0 : (i ? bx.i1 : bx.i0);
        pair[i] = cosine(finder->values, grid_feature(raw, raw->X, raw->dx, t, ya, xa), grid_feature(raw, raw->X, raw->dx, t, yb, xb), raw->dx);
    }
    if (isnan(pair[0]) || isnan(pair[1]))
        return NAN;
    return chosen(finder->values, SIMILARITY, SIM_PATCH_MEAN)  ? (pair[0] + pair[1]) / 2
           : chosen(finder->values, SIMILARITY, SIM_PATCH_MIN) ? fminf(pair[0], pair[1])
                                                               : fmaxf(pair[0], pair[1]);
}

static float similarity(const struct finder *finder, int t, int y0, int x0, int y1, int x1)
{
    const struct grid_view *grid = &finder->video->pooled;
    if (chosen(finder->values, SIMILARITY, SIM_H))
        return cosine(finder->values, grid_feature(grid, grid->H, grid->d, t, y0, x0), grid_feature(grid, grid->H, grid->d, t, y1, x1), grid->d);
    if (!chosen(finder->values, SIMILARITY, SIM_POOLED_X))
        return patch_similarity(finder, t, y0, x0, y1, x1);
    if (!chosen(finder->values, X_POOL, POOL_SAME))
        return cosine(finder->values, pool_feature(finder, t, y0, x0, finder->a), pool_feature(finder, t, y1, x1, finder->b), finder->video->raw.dx);
    return cosine(finder->values, grid_feature(grid, grid->X, grid->dx, t, y0, x0), grid_feature(grid, grid->X, grid->dx, t, y1, x1), grid->dx);
}

/* ---- grouping ------------------------------------------------------------------------------------------------------------ */

struct cell_at { int y, x; };

/* Cell number k of a frame in scan order. */
static struct cell_at scan_cell(const double *values, int h, int w, int k)
{
    if (chosen(values, DIRECTION, ALONG_COLUMNS))
        return (struct cell_at){k % h, k / h};
    int y = k / w, x = k % w;
    return (struct cell_at){y, chosen(values, DIRECTION, ALONG_SNAKE) && y % 2 ? w - 1 - x : x};
}

static bool joins(const struct finder *finder, int t, int line, int k, struct cell_at left, struct cell_at here)
{
    if (k % line == 0 && !chosen(finder->values, DIRECTION, ALONG_SNAKE)) /* groups never cross lines or frames */
        return false;
    float value = similarity(finder, t, left.y, left.x, here.y, here.x), threshold = (float)finder->values[THRESHOLD];
    return chosen(finder->values, COMPARISON, COMPARE_STRICT) ? value > threshold : value >= threshold;
}

/* Closes the group of scan cells first..end-1 of frame t: one token, the mean of its cells. */
static void push_group(struct tok_plan *plan, const double *values, int t, int first, int end)
{
    int h = plan->h, w = plan->w, y0 = h, y1 = 0, x0 = w, x1 = 0;
    uint32_t taps = (uint32_t)plan->n_taps, rep = UINT32_MAX;
    float weight = 1 / (float)(end - first);
    for (int k = first; k < end; k++) {
        struct cell_at at = scan_cell(values, h, w, k);
        uint32_t src = (uint32_t)((t * h + at.y) * w + at.x);
        plan->taps[plan->n_taps++] = (struct tap){src, weight};
        rep = src < rep ? src : rep;
        y0 = at.y < y0 ? at.y : y0;
        y1 = at.y + 1 > y1 ? at.y + 1 : y1;
        x0 = at.x < x0 ? at.x : x0;
        x1 = at.x + 1 > x1 ? at.x + 1 : x1;
    }
    tok_plan_push(plan, taps, t, t + 1, y0, y1, x0, x1, rep, (uint32_t)(end - first));
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    static const enum newline newline_of[] = {NEWLINE_GRID, NEWLINE_FRAME, NEWLINE_NO, NEWLINE_NATIVE};
    (void)question, (void)budget;
    int h = video->pooled.h, w = video->pooled.w, line = chosen(values, DIRECTION, ALONG_COLUMNS) ? h : w;
    size_t n = (size_t)video->T * (size_t)h * (size_t)w;
    struct finder finder = {values, video, arena_alloc(arena, (size_t)video->raw.dx, sizeof(float)),
                            arena_alloc(arena, (size_t)video->raw.dx, sizeof(float))};
    if (!tok_plan_reserve(out, video->T, h, w, n, n, arena) || !finder.a || !finder.b)
        return err_no_memory(err, "a token plan");
    out->newline = newline_of[(int)values[MARKER]];
    out->order = chosen(values, DIRECTION, ALONG_COLUMNS) ? ORDER_COLUMNS : ORDER_RASTER;
    out->positions = (enum tok_positions)(int)values[POSITIONS];
    out->round_each = chosen(values, MEAN_DTYPE, DTYPE_CHOICE_BF16);
    for (int t = 0; t < video->T; t++) {
        int first = 0;
        for (int k = 1; k < h * w; k++) {
            if (joins(&finder, t, line, k, scan_cell(values, h, w, k - 1), scan_cell(values, h, w, k)))
                continue;
            push_group(out, values, t, first, k);
            first = k;
        }
        push_group(out, values, t, first, h * w);
    }
    return 0;
}

/* ---- planning ------------------------------------------------------------------------------------------------------------ */

/* The paper's own points (section 4.3 and figure 3), joined by lines and ended by the floor and the whole. */
static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    static const double at[] = {-1, 0.4, 0.5, 0.6, 1}, kept[] = {28.0 / 210, 0.20, 0.30, 0.444, 1};
    (void)shape, (void)native;
    if (!isnan(values[TARGET_RATIO])) {
        *source = "target";
        return values[TARGET_RATIO];
    }
    *source = "paper's model";
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
    .flags = HAS_TARGET,
    .needs = needs,
    .domain = domain_pooled,
    .check = check,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
