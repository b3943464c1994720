/* Pooling of a frame's patches to a smaller grid, as rows of a token plan: what pool, slowfast and dynamic-vlm share. */
#ifndef TOKSWEEP_COMPRESSORS_POOLING_H
#define TOKSWEEP_COMPRESSORS_POOLING_H

#include "core/tokens.h"

#include <stddef.h>

enum pooling_kind {
    POOLING_BILINEAR, /* to ceil(side / stride): half-pixel centres, two taps an axis, no antialiasing */
    POOLING_AVERAGE,  /* windows of stride x stride, floor(side / stride) of them, the remainder dropped */
    POOLING_MAX,      /* the same windows' largest value per channel: dense rows */
    POOLING_ADAPTIVE, /* average over bins [floor(side i / h), ceil(side (i + 1) / h)) to a given h x w */
};

struct pooling { enum pooling_kind kind; int stride; int h, w; }; /* stride: of the first three kinds */

/* Pooling of an in_h x in_w grid by a stride; h or w is 0 when nothing is left. */
struct pooling pooling_by_stride(enum pooling_kind kind, int stride, int in_h, int in_w);

/* Most taps that a frame of this pooling takes from an in_h x in_w grid. */
size_t pooling_taps(const struct pooling *pooling, int in_h, int in_w);

/* Adds frame t's h*w tokens to the plan, made from the frame's patches on `grid`, whose H is read by POOLING_MAX alone: it writes
 * its rows at plan->n_dense into `dense`, [.][grid->d]. On a plan whose grid is larger than h x w each token spans the cells it stands for;
 * h and w are at most the plan's. */
void pooling_push(const struct pooling *pooling, const struct grid_view *grid, int t, struct tok_plan *plan, float *dense);

/* Share of `none`'s tokens, markers counted, that a whole video pooled this way has. */
double pooling_ratio(const struct pooling *pooling, const struct vid_view *shape, enum newline native);

#endif
