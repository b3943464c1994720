/* Dynamic-VLM (arXiv 2412.09530): every frame is averaged to the largest square grid with which the whole video
 * stays within a number of tokens. Query-free, class A. */
#include "compressors/methods.h"
#include "compressors/pooling.h"

#include <math.h>

enum { TOKENS, PER_FRAME, POOLS };
enum { POOLS_X, POOLS_H };

static const char *const pools[] = {"x", "h", NULL};

static const struct option options[] = {
    {"tokens", OPTION_INT, 12000, 1, 1e7, NULL, "N_max: tokens of the whole video, markers not counted (paper: 12k for 7B, 10k for 14B)"},
    {"per_frame", OPTION_INT, 576, 1, 1e6, NULL, "most tokens of one frame; the grid never exceeds the tower's"},
    {"pools", OPTION_CHOICE, POOLS_X, 0, 0, pools, "x: vision features, projected afterwards, as released; h: projected features"},
};

static enum src_dom domain(const double *values)
{
    return (int)values[POOLS] == POOLS_X ? DOM_X_RAW : DOM_H_RAW;
}

static struct pooling frame_pooling(const double *values, const struct vid_view *video)
{
    int raw = video->raw.h * video->raw.w, most = (int)fmin(values[PER_FRAME], raw), side = (int)values[TOKENS] / video->T;
    side = (int)sqrt(side < most ? side : most);
    side = side < 1 ? 1 : side;
    return (struct pooling){.kind = POOLING_ADAPTIVE, .h = side < video->raw.h ? side : video->raw.h, .w = side < video->raw.w ? side : video->raw.w};
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *raw = &video->raw;
    struct pooling pooling = frame_pooling(values, video);
    size_t T = (size_t)video->T;
    if (!tok_plan_reserve(out, video->T, pooling.h, pooling.w, T * (size_t)pooling.h * (size_t)pooling.w,
                          T * pooling_taps(&pooling, raw->h, raw->w), arena))
        return err_no_memory(err, "a token plan");
    out->dom = domain(values);
    for (int t = 0; t < video->T; t++)
        pooling_push(&pooling, raw, t, out, NULL);
    return 0;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    struct pooling pooling = frame_pooling(values, shape);
    *source = "exact";
    return pooling_ratio(&pooling, shape, native);
}

const struct compressor compressor_dynamic_vlm = {
    .name = "dynamic-vlm",
    .summary = "averages every frame to the largest grid that keeps the video within a number of tokens",
    .source = "arXiv 2412.09530; Hon-Wong/ByteVideoLLM models/adapter/dynamic_spatial_pooling.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = KEEPS_GRID,
    .needs = needs_nothing,
    .domain = domain,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
