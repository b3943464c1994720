/* Token groups: a token plan turned round. For every source cell, the token that it went into; for every token, where it stands and
 * which cells are in it. What pictures are drawn from, and what is counted about a plan. Pure. */
#ifndef TOKSWEEP_PLOTS_TOKEN_GROUPS_H
#define TOKSWEEP_PLOTS_TOKEN_GROUPS_H

#include "core/arena.h"
#include "core/err.h"
#include "core/frames.h"
#include "core/tokens.h"

enum {
    OWNER_NONE = UINT32_MAX,    /* dropped */
    OWNER_ALL = UINT32_MAX - 1, /* in tokens that are made of all cells of the frame, or of the video */
    PIECE_NONE = UINT32_MAX,
};

struct token_group {
    uint32_t size;       /* sources merged, as the method counts them */
    uint32_t cells;      /* that it owns: fewer than size where a source is in several tokens, and the one of largest weight owns it */
    uint32_t pieces;     /* connected pieces of these cells, frame by frame, four neighbours */
    uint16_t t, y, x;    /* the cell where it stands */
    bool elsewhere;      /* it stands behind its frame or the video */
    bool still;          /* in several frames, and in each of them one piece of the same cells */
    uint8_t rgb[3];      /* mean colour of its cells, after token_groups_colour */
};

struct token_groups {
    int T, h, w;         /* the sources' grid */
    uint32_t *owner;     /* [T][h][w] index into group, or OWNER_ */
    uint32_t *piece;     /* [T][h][w] the connected piece a cell is in, numbered frame by frame; PIECE_NONE where nobody owns it */
    struct token_group *group; /* [n] content tokens in the order of the plan */
    size_t n;
    size_t markers;      /* tokens that are no content */
};

/* Groups of a laid-out plan over sources of an h x w grid, in `arena`. ERR_MEMORY. */
int token_groups_make(struct token_groups *out, const struct tok_plan *plan, int h, int w, struct arena *arena, struct err *err);

/* The same after something has been done to the plan's tokens: token i of the plan has become part of token became[i] of tok[n], or of
 * nothing (UINT32_MAX); tokens that none has become part of are hidden, and no groups. `plan` gives the grid that `tok` stand on, `before`
 * are its groups. ERR_MEMORY. */
int token_groups_follow(struct token_groups *out, const struct token_groups *before, const struct tok_plan *plan, const struct out_tok *tok,
                        size_t n, const uint32_t *became, struct arena *arena, struct err *err);

/* Fills in the groups' colours; slot[T] are places among the frames. ERR_MEMORY. */
int token_groups_colour(struct token_groups *groups, const struct frames *frames, const size_t *slot, struct arena *arena, struct err *err);

/* Content tokens that stand in frame t. */
size_t token_groups_in_frame(const struct token_groups *groups, int t);

#endif
