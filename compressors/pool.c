/* Pooling as a compressor: another grid from the tower's own patches. Query-free, class A. */
#include "compressors/methods.h"
#include "compressors/pooling.h"

#include <math.h>

enum { STRIDE, MODE, SIDE };

static const char *const modes[] = {"bilinear", "average", "max", "adaptive", NULL};
static const enum pooling_kind kind_of[] = {POOLING_BILINEAR, POOLING_AVERAGE, POOLING_MAX, POOLING_ADAPTIVE};

static const struct option options[] = {
    {"stride", OPTION_INT, 4, 1, 64, NULL, "patches per side that become one token"},
    {"mode", OPTION_CHOICE, 0, 0, 0, modes,
     "bilinear: ceil(side/stride), half-pixel centres; average, max: floor(side/stride); adaptive: averages to a grid of `side`"},
    {"side", OPTION_INT, NAN, 1, 64, NULL, "mode adaptive: tokens per side, instead of a stride"},
};

static const char *const instead_of_stride[] = {"side", NULL};

static enum pooling_kind kind(const double *values)
{
    return kind_of[(int)values[MODE]];
}

static unsigned needs(const double *values)
{
    return kind(values) == POOLING_MAX ? NEED_H_RAW : 0;
}

static enum src_dom domain(const double *values)
{
    (void)values;
    return DOM_H_RAW;
}

static int check(const double *values, struct err *err)
{
    if (isnan(values[STRIDE]))
        return 0; /* another cell says how much is kept */
    bool adaptive = kind(values) == POOLING_ADAPTIVE;
    if (adaptive == !isnan(values[SIDE]))
        return 0;
    return err_set(err, ERR_CONFIG, adaptive ? "compressor pool: mode adaptive needs a side; give the number of tokens per side"
                                             : "compressor pool: option 'side' only applies to mode: adaptive; leave it out");
}

static struct pooling pooling_of(const double *values, const struct grid_view *raw)
{
    if (kind(values) == POOLING_ADAPTIVE)
        return (struct pooling){.kind = POOLING_ADAPTIVE, .h = (int)values[SIDE], .w = (int)values[SIDE]};
    return pooling_by_stride(kind(values), (int)values[STRIDE], raw->h, raw->w);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *raw = &video->raw;
    struct pooling pooling = pooling_of(values, raw);
    if (pooling.h < 1 || pooling.w < 1)
        return err_set(err, ERR_CONFIG, "compressor pool: stride %d leaves nothing of a grid of %d x %d; use at most %d", pooling.stride, raw->h,
                       raw->w, raw->h < raw->w ? raw->h : raw->w);
    if (pooling.h > raw->h || pooling.w > raw->w)
        return err_set(err, ERR_CONFIG, "compressor pool: side %d is more than the grid of %d x %d has; use at most %d", pooling.h, raw->h, raw->w,
                       raw->h < raw->w ? raw->h : raw->w);
    size_t T = (size_t)video->T, n = T * (size_t)pooling.h * (size_t)pooling.w;
    float *dense = kind(values) == POOLING_MAX ? arena_alloc(arena, n * (size_t)raw->d, sizeof *dense) : NULL;
    if (!tok_plan_reserve(out, video->T, pooling.h, pooling.w, n, T * pooling_taps(&pooling, raw->h, raw->w), arena) ||
        (kind(values) == POOLING_MAX && !dense))
        return err_no_memory(err, "a token plan");
    out->dom = DOM_H_RAW;
    out->dense = dense;
    out->dense_width = dense ? (size_t)raw->d : 0;
    for (int t = 0; t < video->T; t++)
        pooling_push(&pooling, raw, t, out, dense);
    return 0;
}

/* Sides of the grid for `adaptive`; strides for the others, the largest first. */
static int settings(const double *values, const struct vid_view *shape)
{
    (void)values;
    return shape->raw.h < shape->raw.w ? shape->raw.h : shape->raw.w;
}

static void set(double *values, const struct vid_view *shape, int setting)
{
    bool adaptive = kind(values) == POOLING_ADAPTIVE;
    values[SIDE] = adaptive ? setting + 1 : (double)NAN;
    values[STRIDE] = settings(values, shape) - setting;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    struct pooling pooling = pooling_of(values, &shape->raw);
    *source = "exact";
    return pooling_ratio(&pooling, shape, native);
}

const struct compressor compressor_pool = {
    .name = "pool",
    .summary = "pools the tower's patches to a smaller grid",
    .source = "LLaVA-VL/LLaVA-NeXT llava/model/llava_arch.py get_2dPool",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .instead = instead_of_stride,
    .flags = KEEPS_GRID,
    .needs = needs,
    .domain = domain,
    .check = check,
    .settings = settings,
    .set = set,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
