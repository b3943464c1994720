#include "compressors/methods.h"

#include <math.h>

const char *const order_choices[] = {"place", "made", NULL};
const char *const marker_choices[] = {"all", "kept", NULL};

unsigned needs_h_pooled(const double *values)
{
    (void)values;
    return NEED_H_POOLED;
}

unsigned needs_h_sums(const double *values)
{
    (void)values;
    return NEED_H_POOLED | NEED_SUMS;
}

struct sim_rows rows_pooled(const struct vid_view *video)
{
    const struct grid_view *grid = &video->pooled;
    return (struct sim_rows){.near = grid->H, .n = (size_t)video->T * (size_t)grid->h * (size_t)grid->w, .width = (size_t)grid->d, .far = grid->far_H};
}

static uint16_t least(uint16_t a, uint32_t b)
{
    return b < a ? (uint16_t)b : a;
}

static uint16_t most(uint16_t a, uint32_t b)
{
    return b > a ? (uint16_t)b : a;
}

void plan_push_sum(struct tok_plan *plan, size_t first, uint32_t rep)
{
    uint32_t h = (uint32_t)plan->h, w = (uint32_t)plan->w;
    struct out_tok tok = {.kind = TOK_VISUAL, .row0 = (uint32_t)first, .row1 = (uint32_t)plan->n_taps, .t0 = UINT16_MAX, .y0 = UINT16_MAX,
                          .x0 = UINT16_MAX, .rep = rep, .size = (uint32_t)(plan->n_taps - first)};
    for (size_t i = first; i < plan->n_taps; i++) {
        uint32_t src = plan->taps[i].src, t = src / (h * w), y = src / w % h, x = src % w;
        tok.t0 = least(tok.t0, t);
        tok.y0 = least(tok.y0, y);
        tok.x0 = least(tok.x0, x);
        tok.t1 = most(tok.t1, t + 1);
        tok.y1 = most(tok.y1, y + 1);
        tok.x1 = most(tok.x1, x + 1);
    }
    plan->tok[plan->n_tok++] = tok;
}

void plan_push_source(struct tok_plan *plan, uint32_t source)
{
    plan->taps[plan->n_taps++] = (struct tap){source, 1};
    plan_push_sum(plan, plan->n_taps - 1, source);
}

size_t tokens_wanted(double keep, const struct budget *budget, int t, size_t n)
{
    size_t wanted = budget ? budget->per_frame[t] : (size_t)nearbyint(keep * (double)n);
    return wanted < n ? wanted : n;
}

double kept_ratio(double tokens, const struct grid_view *grid, bool made, const struct vid_view *shape, enum newline native)
{
    size_t content, markers, content_none, markers_none;
    newline_count(native, shape->T, grid->h, grid->w, &content, &markers);
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content_none, &markers_none);
    double left = made ? native != NEWLINE_NO : (double)markers;
    return (tokens + left) / (double)(content_none + markers_none);
}
