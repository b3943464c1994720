/* Token groups: who owns which cell, in how many pieces, in what colour. */
#include "plots/token_groups.h"

#include <math.h>
#include <string.h>

static bool is_content(const struct out_tok *tok)
{
    return tok->kind == TOK_VISUAL || tok->kind == TOK_DENSE;
}

static size_t cells_of(const struct token_groups *groups)
{
    return (size_t)groups->T * (size_t)groups->h * (size_t)groups->w;
}

static size_t at(const struct token_groups *groups, int t, int y, int x)
{
    return ((size_t)t * (size_t)groups->h + (size_t)y) * (size_t)groups->w + (size_t)x;
}

/* ---- where a token stands ------------------------------------------------------------------------------------------------ */

/* The cell in the middle of place `i` of `n`, on an axis of `cells`. */
static uint16_t middle(int i, int n, int cells)
{
    return (uint16_t)((2 * i + 1) * cells / (2 * n));
}

static struct token_group group_of(const struct out_tok *tok, const struct tok_plan *plan, int h, int w)
{
    uint32_t frame = (uint32_t)(plan->h * plan->w), all = frame * (uint32_t)plan->T;
    struct token_group group = {.size = tok->size};
    group.elsewhere = tok->rep >= all || tok->t0 > tok->rep / frame || tok->t1 <= tok->rep / frame;
    uint32_t rep = group.elsewhere ? (uint32_t)tok->t1 * frame - 1 : tok->rep;
    group.t = (uint16_t)(rep / frame);
    group.y = middle((int)(rep / (uint32_t)plan->w) % plan->h, plan->h, h);
    group.x = middle((int)rep % plan->w, plan->w, w);
    return group;
}

/* Content tokens become groups, in order; the others are counted. number[i] is the group of token i. `there` says which tokens are; NULL:
 * all. */
static int list_groups(struct token_groups *groups, const struct tok_plan *plan, const struct out_tok *tok, size_t n, const bool *there,
                       uint32_t *number, struct arena *arena, struct err *err)
{
    groups->owner = arena_alloc(arena, cells_of(groups), sizeof *groups->owner);
    groups->group = arena_alloc(arena, n, sizeof *groups->group);
    if (!groups->owner || !groups->group)
        return err_no_memory(err, "the groups of a token plan");
    for (size_t i = 0; i < n; i++) {
        number[i] = (uint32_t)groups->n;
        if (there && !there[i])
            continue;
        if (is_content(&tok[i]))
            groups->group[groups->n++] = group_of(&tok[i], plan, groups->h, groups->w);
        else
            groups->markers++;
    }
    return 0;
}

/* ---- who owns a cell ----------------------------------------------------------------------------------------------------- */

/* The token of largest weight owns a source; the earlier of equals. */
static void claim_taps(struct token_groups *groups, const struct tok_plan *plan, const struct out_tok *tok, uint32_t number, float *weight)
{
    for (uint32_t i = tok->row0; i < tok->row1; i++) {
        const struct tap *tap = &plan->taps[i];
        if (fabsf(tap->w) > weight[tap->src]) {
            weight[tap->src] = fabsf(tap->w);
            groups->owner[tap->src] = number;
        }
    }
}

/* A token without taps owns the cells whose middle lies in its span and that no narrower one has. One that spans whole frames says
 * nothing about cells, unless it is alone in them. */
static void claim_span(struct token_groups *groups, const struct tok_plan *plan, const struct out_tok *tok, uint32_t number, float *weight)
{
    int tall = tok->y1 - tok->y0, wide = tok->x1 - tok->x0;
    float narrow = 1 / (float)((tok->t1 - tok->t0) * tall * wide);
    bool whole = tall == plan->h && wide == plan->w;
    for (int t = tok->t0; t < tok->t1; t++)
        for (int y = tok->y0 * groups->h / plan->h; y < groups->h && middle(y, groups->h, plan->h) < tok->y1; y++)
            for (int x = tok->x0 * groups->w / plan->w; x < groups->w && middle(x, groups->w, plan->w) < tok->x1; x++) {
                size_t cell = at(groups, t, y, x);
                if (middle(y, groups->h, plan->h) < tok->y0 || middle(x, groups->w, plan->w) < tok->x0)
                    continue;
                if (whole && groups->owner[cell] == OWNER_NONE) {
                    groups->owner[cell] = OWNER_ALL;
                } else if (!whole && narrow > weight[cell]) {
                    weight[cell] = narrow;
                    groups->owner[cell] = number;
                }
            }
}

/* ---- pieces -------------------------------------------------------------------------------------------------------------- */

/* Gives the number to the cells of a piece, found from one of them; stack holds a frame's cells. */
static void number_piece(struct token_groups *groups, size_t cell, uint32_t number, uint32_t *stack)
{
    size_t frame = (size_t)groups->h * (size_t)groups->w, w = (size_t)groups->w, n = 0;
    stack[n++] = (uint32_t)cell;
    groups->piece[cell] = number;
    while (n) {
        size_t here = stack[--n], place = here % frame;
        const struct { bool there; size_t cell; } near[] = {
            {place % w > 0, here - 1}, {place % w + 1 < w, here + 1}, {place >= w, here - w}, {place + w < frame, here + w}};
        for (int i = 0; i < 4; i++)
            if (near[i].there && groups->piece[near[i].cell] == PIECE_NONE && groups->owner[near[i].cell] == groups->owner[cell]) {
                groups->piece[near[i].cell] = number;
                stack[n++] = (uint32_t)near[i].cell;
            }
    }
}

/* Cells of a group in the first frame that it is in, and the frames it is in. */
struct span { int first, last, cells, frames; bool still; };

/* What stays where it is over time. */
static int find_still(struct token_groups *groups, struct arena *arena, struct err *err)
{
    struct span *spans = arena_alloc(arena, groups->n, sizeof *spans);
    if (!spans)
        return err_no_memory(err, "the groups of a token plan");
    for (int t = 0; t < groups->T; t++)
        for (size_t i = 0; i < (size_t)groups->h * (size_t)groups->w; i++) {
            size_t frame = (size_t)groups->h * (size_t)groups->w;
            uint32_t owner = groups->owner[(size_t)t * frame + i];
            if (owner >= OWNER_ALL)
                continue;
            struct span *span = &spans[owner];
            if (!span->frames)
                *span = (struct span){.first = t, .last = -1, .still = true};
            span->frames += span->last != t;
            span->last = t;
            span->cells += t == span->first;
            span->still &= groups->owner[(size_t)span->first * frame + i] == owner;
        }
    for (size_t i = 0; i < groups->n; i++) {
        const struct span *span = &spans[i];
        groups->group[i].still = span->frames > 1 && span->still && (uint32_t)(span->cells * span->frames) == groups->group[i].cells &&
                                 (uint32_t)span->frames == groups->group[i].pieces;
    }
    return 0;
}

static int find_pieces(struct token_groups *groups, struct arena *arena, struct err *err)
{
    uint32_t *stack = arena_alloc(arena, (size_t)groups->h * (size_t)groups->w, sizeof *stack), number = 0;
    groups->piece = arena_alloc(arena, cells_of(groups), sizeof *groups->piece);
    if (!groups->piece || !stack)
        return err_no_memory(err, "the groups of a token plan");
    for (size_t i = 0; i < cells_of(groups); i++)
        groups->piece[i] = PIECE_NONE;
    for (size_t i = 0; i < cells_of(groups); i++) {
        if (groups->owner[i] >= OWNER_ALL)
            continue;
        groups->group[groups->owner[i]].cells++;
        if (groups->piece[i] != PIECE_NONE)
            continue;
        groups->group[groups->owner[i]].pieces++;
        number_piece(groups, i, number++, stack);
    }
    return find_still(groups, arena, err);
}

/* ---- making -------------------------------------------------------------------------------------------------------------- */

int token_groups_make(struct token_groups *out, const struct tok_plan *plan, int h, int w, struct arena *arena, struct err *err)
{
    *out = (struct token_groups){.T = plan->T, .h = h, .w = w};
    uint32_t *number = arena_alloc(arena, plan->n_tok, sizeof *number);
    float *weight = arena_alloc(arena, cells_of(out), sizeof *weight);
    if (!number || !weight)
        return err_no_memory(err, "the groups of a token plan");
    int rc = list_groups(out, plan, plan->tok, plan->n_tok, NULL, number, arena, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < cells_of(out); i++)
        out->owner[i] = OWNER_NONE;
    for (size_t i = 0; i < plan->n_tok; i++)
        if (plan->tok[i].kind == TOK_VISUAL)
            claim_taps(out, plan, &plan->tok[i], number[i], weight);
        else if (plan->tok[i].kind == TOK_DENSE)
            claim_span(out, plan, &plan->tok[i], number[i], weight);
    return find_pieces(out, arena, err);
}

int token_groups_follow(struct token_groups *out, const struct token_groups *before, const struct tok_plan *plan, const struct out_tok *tok,
                        size_t n, const uint32_t *became, struct arena *arena, struct err *err)
{
    *out = (struct token_groups){.T = before->T, .h = before->h, .w = before->w};
    uint32_t *number = arena_alloc(arena, n, sizeof *number), *now = arena_alloc(arena, before->n, sizeof *now);
    bool *seen = arena_alloc(arena, n, sizeof *seen);
    if (!number || !now || !seen)
        return err_no_memory(err, "the groups of a token plan");
    for (size_t i = 0, group = 0; i < plan->n_tok; i++) { /* of each group before, the token it is part of now */
        if (is_content(&plan->tok[i]))
            now[group++] = became[i];
        if (became[i] != UINT32_MAX)
            seen[became[i]] = true;
    }
    int rc = list_groups(out, plan, tok, n, seen, number, arena, err);
    for (size_t i = 0; i < cells_of(out) && !rc; i++) {
        uint32_t owner = before->owner[i], token = owner < OWNER_ALL ? now[owner] : UINT32_MAX;
        out->owner[i] = owner >= OWNER_ALL ? owner : token == UINT32_MAX || !is_content(&tok[token]) ? OWNER_NONE : number[token];
    }
    return rc ? rc : find_pieces(out, arena, err);
}

/* ---- colours ------------------------------------------------------------------------------------------------------------- */

struct sum { double rgb[3]; size_t n; };

/* Adds a cell's pixels. A picture narrower than the grid gives each cell a pixel all the same. */
static void add_cell(struct sum *sum, const uint8_t *rgb, int width, int height, const struct token_groups *groups, int y, int x)
{
    int y0 = y * height / groups->h, y1 = (y + 1) * height / groups->h, x0 = x * width / groups->w, x1 = (x + 1) * width / groups->w;
    for (int py = y0; py < (y1 > y0 ? y1 : y0 + 1); py++)
        for (int px = x0; px < (x1 > x0 ? x1 : x0 + 1); px++) {
            for (int c = 0; c < 3; c++)
                sum->rgb[c] += rgb[((size_t)py * (size_t)width + (size_t)px) * 3 + (size_t)c];
            sum->n++;
        }
}

int token_groups_colour(struct token_groups *groups, const struct frames *frames, const size_t *slot, struct arena *arena, struct err *err)
{
    struct sum *sums = arena_alloc(arena, groups->n, sizeof *sums);
    size_t picture = (size_t)frames->width * (size_t)frames->height * 3;
    if (!sums)
        return err_no_memory(err, "the groups of a token plan");
    for (int t = 0; t < groups->T; t++)
        for (int y = 0; y < groups->h; y++)
            for (int x = 0; x < groups->w; x++) {
                uint32_t owner = groups->owner[at(groups, t, y, x)];
                if (owner < OWNER_ALL)
                    add_cell(&sums[owner], frames->rgb + slot[t] * picture, frames->width, frames->height, groups, y, x);
            }
    for (size_t i = 0; i < groups->n; i++)
        for (int c = 0; c < 3 && sums[i].n; c++)
            groups->group[i].rgb[c] = (uint8_t)lround(sums[i].rgb[c] / (double)sums[i].n);
    return 0;
}

size_t token_groups_in_frame(const struct token_groups *groups, int t)
{
    size_t n = 0;
    for (size_t i = 0; i < groups->n; i++)
        n += groups->group[i].t == t;
    return n;
}
