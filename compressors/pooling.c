#include "compressors/pooling.h"

#include <float.h>

/* Patches first..first+n-1 along one axis; their weights. */
struct window { int first, n; float first_weight, other_weight; };

static struct window axis_window(const struct pooling *pooling, int in, int out, int o)
{
    struct window window = {.first = o * pooling->stride, .n = pooling->stride};
    if (pooling->kind == POOLING_BILINEAR) {
        struct pool_tap tap = pool_bilinear_tap(in, out, o);
        bool two = tap.i1 > tap.i0 && tap.w1 > 0;
        return (struct window){tap.i0, two ? 2 : 1, two ? tap.w0 : 1, tap.w1};
    }
    if (pooling->kind == POOLING_ADAPTIVE) {
        window.first = o * in / out;
        window.n = ((o + 1) * in + out - 1) / out - window.first;
    }
    window.first_weight = window.other_weight = 1 / (float)window.n;
    return window;
}

static int most_in_bin(int in, int out)
{
    return in / out + 2;
}

struct pooling pooling_by_stride(enum pooling_kind kind, int stride, int in_h, int in_w)
{
    enum pool_mode mode = kind == POOLING_BILINEAR ? POOL_BILINEAR : POOL_AVERAGE;
    return (struct pooling){kind, stride, pool_side(mode, in_h, stride), pool_side(mode, in_w, stride)};
}

size_t pooling_taps(const struct pooling *pooling, int in_h, int in_w)
{
    size_t tokens = (size_t)pooling->h * (size_t)pooling->w;
    switch (pooling->kind) {
    case POOLING_BILINEAR:
        return tokens * 4;
    case POOLING_AVERAGE:
        return tokens * (size_t)pooling->stride * (size_t)pooling->stride;
    case POOLING_ADAPTIVE:
        return tokens * (size_t)most_in_bin(in_h, pooling->h) * (size_t)most_in_bin(in_w, pooling->w);
    case POOLING_MAX:
        break;
    }
    return 0;
}

/* Largest value over a window, per channel: no sum can say it, so it is a dense row. */
static void max_row(const struct grid_view *grid, int t, const struct window *rows, const struct window *columns, float *out)
{
    for (int c = 0; c < grid->d; c++)
        out[c] = -FLT_MAX;
    for (int y = rows->first; y < rows->first + rows->n; y++)
        for (int x = columns->first; x < columns->first + columns->n; x++) {
            const float *source = grid->H + ((size_t)(t * grid->h + y) * (size_t)grid->w + (size_t)x) * (size_t)grid->d;
            for (int c = 0; c < grid->d; c++)
                out[c] = source[c] > out[c] ? source[c] : out[c];
        }
}

static void push_taps(struct tok_plan *plan, const struct grid_view *grid, int t, const struct window *rows, const struct window *columns)
{
    for (int y = 0; y < rows->n; y++)
        for (int x = 0; x < columns->n; x++)
            plan->taps[plan->n_taps++] = (struct tap){(uint32_t)((t * grid->h + rows->first + y) * grid->w + columns->first + x),
                                                      (y ? rows->other_weight : rows->first_weight) *
                                                          (x ? columns->other_weight : columns->first_weight)};
}

static void push_cell(const struct pooling *pooling, const struct grid_view *grid, int t, int y, int x, struct tok_plan *plan, float *dense)
{
    struct window rows = axis_window(pooling, grid->h, pooling->h, y), columns = axis_window(pooling, grid->w, pooling->w, x);
    int y0 = y * plan->h / pooling->h, y1 = (y + 1) * plan->h / pooling->h, x0 = x * plan->w / pooling->w, x1 = (x + 1) * plan->w / pooling->w;
    uint32_t rep = (uint32_t)((t * plan->h + y0) * plan->w + x0), first = (uint32_t)plan->n_taps;
    if (pooling->kind == POOLING_MAX)
        max_row(grid, t, &rows, &columns, dense + plan->n_dense * (size_t)grid->d);
    else
        push_taps(plan, grid, t, &rows, &columns);
    tok_plan_push(plan, first, t, t + 1, y0, y1, x0, x1, rep, (uint32_t)(rows.n * columns.n));
    if (pooling->kind == POOLING_MAX) {
        struct out_tok *tok = &plan->tok[plan->n_tok - 1];
        tok->kind = TOK_DENSE;
        tok->row0 = tok->row1 = (uint32_t)plan->n_dense++;
    }
}

void pooling_push(const struct pooling *pooling, const struct grid_view *grid, int t, struct tok_plan *plan, float *dense)
{
    for (int y = 0; y < pooling->h; y++)
        for (int x = 0; x < pooling->w; x++)
            push_cell(pooling, grid, t, y, x, plan, dense);
}

double pooling_ratio(const struct pooling *pooling, const struct vid_view *shape, enum newline native)
{
    size_t content, markers, content_none, markers_none;
    newline_count(native, shape->T, pooling->h, pooling->w, &content, &markers);
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content_none, &markers_none);
    return (double)(content + markers) / (double)(content_none + markers_none);
}
