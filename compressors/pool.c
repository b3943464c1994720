/* Pooling as a compressor: another grid from the tower's own patches (compressors.md 4.1). Query-free, class A. */
#include "compressors/methods.h"

#include <float.h>
#include <math.h>

enum { STRIDE, MODE };

static const char *const modes[] = {"bilinear", "average", "max", NULL};
static const enum pool_mode mode_of[] = {POOL_BILINEAR, POOL_AVERAGE, POOL_MAX};

static const struct option options[] = {
    {"stride", OPTION_INT, 4, 1, 64, NULL, "patches per side that become one token"},
    {"mode", OPTION_CHOICE, 0, 0, 0, modes, "bilinear: ceil(side/stride), half-pixel centres; average, max: floor(side/stride)"},
};

static unsigned needs(const double *values)
{
    return (int)values[MODE] == 2 ? NEED_H_RAW : 0;
}

static enum src_dom domain(const double *values)
{
    (void)values;
    return DOM_H_RAW;
}

/* Source patches of one output along one axis, with their weights. */
struct window { int first, n; float weight[64]; };

static struct window axis_window(enum pool_mode mode, int in, int out, int stride, int o)
{
    struct window window = {.first = o * stride, .n = stride};
    if (mode == POOL_BILINEAR) {
        struct pool_tap tap = pool_bilinear_tap(in, out, o);
        window.first = tap.i0;
        window.n = tap.i1 > tap.i0 && tap.w1 > 0 ? 2 : 1;
        window.weight[0] = window.n == 2 ? tap.w0 : 1;
        window.weight[1] = tap.w1;
        return window;
    }
    for (int i = 0; i < stride; i++)
        window.weight[i] = 1 / (float)stride;
    return window;
}

/* Largest value over a window of the raw grid, per channel: no sum can say it, so it is a dense row. */
static void max_row(const struct vid_view *video, int t, const struct window *rows, const struct window *columns, float *out)
{
    const struct grid_view *raw = &video->raw;
    for (int c = 0; c < raw->d; c++)
        out[c] = -FLT_MAX;
    for (int y = rows->first; y < rows->first + rows->n; y++)
        for (int x = columns->first; x < columns->first + columns->n; x++) {
            const float *source = raw->H + ((size_t)(t * raw->h + y) * (size_t)raw->w + (size_t)x) * (size_t)raw->d;
            for (int c = 0; c < raw->d; c++)
                out[c] = source[c] > out[c] ? source[c] : out[c];
        }
}

static void push_taps(struct tok_plan *plan, const struct grid_view *raw, int t, const struct window *rows, const struct window *columns)
{
    for (int y = 0; y < rows->n; y++)
        for (int x = 0; x < columns->n; x++)
            plan->taps[plan->n_taps++] = (struct tap){(uint32_t)((t * raw->h + rows->first + y) * raw->w + columns->first + x),
                                                      rows->weight[y] * columns->weight[x]};
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    enum pool_mode mode = mode_of[(int)values[MODE]];
    int stride = (int)values[STRIDE], h = pool_side(mode, video->raw.h, stride), w = pool_side(mode, video->raw.w, stride);
    if (h < 1 || w < 1)
        return err_set(err, ERR_CONFIG, "compressor pool: stride %d leaves nothing of a grid of %d x %d; use at most %d", stride,
                       video->raw.h, video->raw.w, video->raw.h < video->raw.w ? video->raw.h : video->raw.w);
    size_t n = (size_t)video->T * (size_t)h * (size_t)w, per_token = mode == POOL_BILINEAR ? 4 : (size_t)stride * (size_t)stride;
    float *dense = mode == POOL_MAX ? arena_alloc(arena, n * (size_t)video->raw.d, sizeof *dense) : NULL;
    if (!tok_plan_reserve(out, video->T, h, w, n, mode == POOL_MAX ? 0 : n * per_token, arena) || (mode == POOL_MAX && !dense))
        return err_no_memory(err, "a token plan");
    out->dom = DOM_H_RAW;
    out->dense = dense;
    out->dense_width = mode == POOL_MAX ? (size_t)video->raw.d : 0;
    for (int t = 0; t < video->T; t++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                struct window rows = axis_window(mode, video->raw.h, h, stride, y), columns = axis_window(mode, video->raw.w, w, stride, x);
                uint32_t rep = (uint32_t)((t * h + y) * w + x), first = (uint32_t)out->n_taps;
                if (mode == POOL_MAX)
                    max_row(video, t, &rows, &columns, dense + out->n_dense * (size_t)video->raw.d);
                else
                    push_taps(out, &video->raw, t, &rows, &columns);
                tok_plan_push(out, first, t, t + 1, y, y + 1, x, x + 1, rep, (uint32_t)(rows.n * columns.n));
                if (mode == POOL_MAX) {
                    struct out_tok *tok = &out->tok[out->n_tok - 1];
                    tok->kind = TOK_DENSE;
                    tok->row0 = (uint32_t)out->n_dense++;
                }
            }
    return 0;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    enum pool_mode mode = mode_of[(int)values[MODE]];
    size_t content, markers, content_none, markers_none;
    newline_count(native, shape->T, pool_side(mode, shape->raw.h, (int)values[STRIDE]), pool_side(mode, shape->raw.w, (int)values[STRIDE]),
                  &content, &markers);
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content_none, &markers_none);
    *source = "exact";
    return (double)(content + markers) / (double)(content_none + markers_none);
}

const struct compressor compressor_pool = {
    .name = "pool",
    .summary = "pools the tower's patches to a smaller grid",
    .source = "LLaVA-VL/LLaVA-NeXT llava/model/llava_arch.py get_2dPool",
    .options = options,
    .n_options = 2,
    .flags = KEEPS_GRID,
    .needs = needs,
    .domain = domain,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
