#include "compressors/match.h"

#include "compressors/allot.h"

#include <math.h>

bool match_can(const struct compressor *compressor)
{
    return compressor->tokens && (compressor->settings || compressor->flags & EXACT_BUDGET);
}

bool match_setting(const struct compressor *compressor, double *values, const struct vid_view *shape, enum newline native, size_t tokens)
{
    size_t content, markers;
    const char *source;
    int n = compressor->settings ? compressor->settings(values, shape) : 0, best = 0;
    double least = INFINITY;
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content, &markers);
    for (int i = 0; i < n; i++) {
        compressor->set(values, shape, i);
        double left = nearbyint(compressor->expected_ratio(values, shape, native, &source) * (double)(content + markers));
        double off = fabs(left - (double)tokens);
        best = off < least ? i : best;
        least = off < least ? off : least;
    }
    if (n)
        compressor->set(values, shape, best);
    return n > 0;
}

static const struct grid_view *grid_of(enum src_dom dom, const struct vid_view *shape)
{
    return dom == DOM_H_POOLED ? &shape->pooled : &shape->raw;
}

size_t match_content(enum src_dom dom, const struct vid_view *shape, enum newline native, size_t tokens)
{
    size_t content, markers;
    const struct grid_view *grid = grid_of(dom, shape);
    newline_count(native, shape->T, grid->h, grid->w, &content, &markers);
    return tokens < markers ? 0 : tokens - markers < content ? tokens - markers : content;
}

bool match_budget(enum src_dom dom, const struct vid_view *shape, size_t content, struct arena *arena, struct budget *out)
{
    const struct grid_view *grid = grid_of(dom, shape);
    size_t T = (size_t)shape->T, frame = (size_t)grid->h * (size_t)grid->w;
    uint32_t *per_frame = arena_alloc(arena, T, sizeof *per_frame);
    float *equal = arena_alloc(arena, T, sizeof *equal);
    *out = (struct budget){.T = shape->T, .total = (uint32_t)(content < T * frame ? content : T * frame),
                           .cap = (uint32_t)frame, .per_frame = per_frame, .total_only = true};
    return per_frame && equal && allot_tokens(equal, shape->T, out->total, out->cap, per_frame, arena); /* weights of 0 are equal */
}
