/* Tokens: what visual features look like to a compressor, and the token plan that it makes of them.
 *
 * Legend, here and everywhere: T frames; h x w grid; N = h*w tokens per frame; dx width of vision features X; d width of projected
 * features H; dk width of attention keys; L layers. Source tokens of a grid are numbered (t*h + y)*w + x. */
#ifndef TOKSWEEP_CORE_TOKENS_H
#define TOKSWEEP_CORE_TOKENS_H

#include "core/arena.h"
#include "core/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- pooling ------------------------------------------------------------------------------------------------------------- */

/* How the tower's patches become the grid the language model sees. */
enum pool_mode { POOL_NONE, POOL_BILINEAR, POOL_AVERAGE, POOL_MAX };

const char *pool_mode_name(enum pool_mode mode); /* "none", "bilinear", "average", "max" */
int pool_mode_find(const char *name);            /* a pool_mode, or -1 */

/* Side of the pooled grid: bilinear ceil(side/stride), average and max floor(side/stride), none side. */
int pool_side(enum pool_mode mode, int side, int stride);

/* Bilinear taps of output `o` of `out` from `in` along one axis, half-pixel centres, no antialiasing: i0, i0+1 (i1 = i0 at the
 * border) with weights w0, w1. */
struct pool_tap { int i0, i1; float w0, w1; };
struct pool_tap pool_bilinear_tap(int in, int out, int o);

/* ---- what a compressor sees ---------------------------------------------------------------------------------------------- */

struct far_rows; /* core/similarity.h */

struct grid_view { /* arrays are row-major [T][h][w][width]; NULL where the compressor did not ask */
    int h, w;
    int dx, d, dk;
    const float *X;     /* vision features [dx]: the projector's input */
    const float *H;     /* projected features [d] */
    const float *sal;   /* saliency, one number a token: attention that it receives in the tower */
    const float *kv;    /* attention keys [dk]: mean over heads, or those of all heads side by side */
    const float *frame; /* [T][dx], one row a frame: what the tower's pooling head makes of it */
    const struct far_rows *far_X, *far_H, *far_kv; /* of a method that compares rows and adds them up (NEED_DOTS, NEED_SUMS): in place of these
                                                    * arrays; NULL: they are there */
};

struct named_tensor { /* a trained tensor that belongs to a method, not to the architecture; f32, row-major */
    const char *name;      /* as the checkpoint has it */
    const float *values;
    size_t rows, columns;  /* a vector has one column */
};

struct vid_view {
    int T;
    struct grid_view raw;    /* the tower's own grid, e.g. 27 x 27 */
    struct grid_view pooled; /* the grid the language model sees without compression, e.g. 14 x 14 */
    enum pool_mode mode;     /* how raw became pooled */
    int stride;
    uint64_t video_hash;     /* for counter-based random numbers: the same for equal frames of equal videos */
    const struct named_tensor *tensors; /* what the checkpoint holds for methods; n_tensors of them */
    size_t n_tensors;
};

/* The tensor of this name, NULL if the checkpoint has none. */
const struct named_tensor *vid_tensor(const struct vid_view *video, const char *name);

struct qst_view { /* NULL for query-free stages */
    uint64_t hash;
    const int32_t *ids;
    int n;
};

struct budget { /* per-frame budgets, markers excluded; NULL where a method's own options decide */
    int T;
    uint32_t total, cap;
    const uint32_t *per_frame;
    const float *weight;
    bool total_only;        /* only the total was asked for; frames have equal parts of it */
};

/* ---- what it returns ----------------------------------------------------------------------------------------------------- */

enum tok_kind { TOK_VISUAL, TOK_ROW_MARK, TOK_FRAME_MARK, TOK_END_MARK, TOK_DENSE };

struct tap { uint32_t src; float w; };

struct out_tok {
    enum tok_kind kind;
    uint32_t row0, row1;             /* taps[row0..row1); none for markers; for TOK_DENSE row0 is the row of `dense` */
    uint16_t t0, t1, y0, y1, x0, x1; /* span on the plan's grid, half open */
    uint32_t rep;                    /* (t*h + y)*w + x on the plan's grid: gives order and original position; T*h*w for a dense
                                      * token that stands after everything, markers included */
    uint32_t size;                   /* sources merged */
};

enum src_dom { DOM_H_POOLED, DOM_H_RAW, DOM_X_RAW };      /* what taps refer to; DOM_X_RAW is projected afterwards */
/* By (t,y,x), by (t,x,y), or as made: where tokens as made have no lines or frames of their own, so that the only marker is one at
 * the end, if the layout has any. */
enum tok_order { ORDER_RASTER, ORDER_COLUMNS, ORDER_GIVEN };
enum tok_positions { POSITIONS_COMPACT, POSITIONS_KEEP }; /* 0..n-1, or the places the tokens had uncompressed */

/* Where markers go. NATIVE: the layout of the cell's model. */
enum newline { NEWLINE_GRID, NEWLINE_FRAME, NEWLINE_ONE, NEWLINE_NO, NEWLINE_NATIVE };

const char *newline_name(enum newline newline); /* "grid", "frame", "one_token", "no_token", "native" */
int newline_find(const char *name);             /* a newline, or -1 */

/* Out token i is the sum over its taps of w * source row, accumulated in f32 in tap order. Memory is the arena's. */
struct tok_plan {
    enum src_dom dom;
    int T, h, w;              /* the plan's grid: where spans and reps live */
    struct out_tok *tok;
    size_t n_tok;
    struct tap *taps;
    size_t n_taps;
    const float *dense;       /* [n_dense][dense_width] for TOK_DENSE, dense_width = d */
    size_t n_dense, dense_width;
    enum tok_order order;
    enum newline newline;
    enum tok_positions positions;
    bool round_each;          /* partial sums are rounded to bf16 after each tap, as half-precision code does */
    bool drop_empty_marks;    /* rows and frames that have no token left have no marker either */
    bool size_bias;           /* attention adds log(size) to the logits of a token's key, in every layer from here on */
    const uint32_t *position; /* [n_tok] after layout, NULL while positions are 0..n_tok-1; ascending */
    uint32_t end_position;    /* first position after the visual tokens */
};

/* Room for a plan: n_tok tokens and n_taps taps, both arrays zeroed, on a T x h x w grid. false when memory is out. */
bool tok_plan_reserve(struct tok_plan *plan, int T, int h, int w, size_t n_tok, size_t n_taps, struct arena *arena);

/* Adds a visual token over the span, its taps being taps[row0..plan->n_taps); the caller has reserved enough. */
void tok_plan_push(struct tok_plan *plan, uint32_t row0, int t0, int t1, int y0, int y1, int x0, int x1, uint32_t rep, uint32_t size);

/* Lays a plan out: orders the tokens, inserts markers (`native` stands for NEWLINE_NATIVE) and assigns positions. Every row,
 * frame or video has its marker even when none of its tokens is left, unless drop_empty_marks says otherwise. Call once. false when
 * memory is out. */
bool tok_plan_layout(struct tok_plan *plan, enum newline native, struct arena *arena);

/* Tokens a T x h x w grid has under a layout without compression: content, and markers. */
void newline_count(enum newline newline, int T, int h, int w, size_t *content, size_t *markers);

/* How many of a laid-out plan's tokens are content, and how many markers. */
void tok_plan_count(const struct tok_plan *plan, size_t *content, size_t *markers);

/* nothing out of range, spans inside the grid, sizes positive, weights finite: what every compressor promises. NULL, or what is wrong. */
const char *tok_plan_fault(const struct tok_plan *plan, size_t n_sources);

/* Adds the plan and the frames it was made of to a digest: equal for equal visual tokens of equal sizes. */
void tok_plan_digest(const struct tok_plan *plan, const uint32_t *frame_index, struct digest *digest);

#endif
