/* Tokens: pooling arithmetic and the life of a token plan between a compressor and the engine. */
#include "core/tokens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static int find_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

/* ---- pooling ------------------------------------------------------------------------------------------------------------- */

static const char *const pool_names[] = {"none", "bilinear", "average", "max"};

const char *pool_mode_name(enum pool_mode mode)
{
    return pool_names[mode];
}

int pool_mode_find(const char *name)
{
    return find_name(pool_names, COUNT(pool_names), name);
}

int pool_side(enum pool_mode mode, int side, int stride)
{
    return mode == POOL_NONE ? side : mode == POOL_BILINEAR ? (side + stride - 1) / stride : side / stride;
}

struct pool_tap pool_bilinear_tap(int in, int out, int o)
{
    float scale = (float)in / (float)out; /* f32, as the reference derives its weights */
    float source = scale * ((float)o + 0.5f) - 0.5f;
    if (source < 0)
        source = 0;
    int i0 = (int)source;
    if (i0 > in - 1)
        i0 = in - 1;
    struct pool_tap tap = {.i0 = i0, .i1 = i0 + 1 < in ? i0 + 1 : i0, .w1 = source - (float)i0};
    tap.w0 = 1 - tap.w1;
    return tap;
}

/* ---- views --------------------------------------------------------------------------------------------------------------- */

const struct named_tensor *vid_tensor(const struct vid_view *video, const char *name)
{
    for (size_t i = 0; i < video->n_tensors; i++)
        if (!strcmp(video->tensors[i].name, name))
            return &video->tensors[i];
    return NULL;
}

/* ---- layouts ------------------------------------------------------------------------------------------------------------- */

static const char *const newline_names[] = {"grid", "frame", "one_token", "no_token", "native"};

const char *newline_name(enum newline newline)
{
    return newline_names[newline];
}

int newline_find(const char *name)
{
    return find_name(newline_names, COUNT(newline_names), name);
}

void newline_count(enum newline newline, int T, int h, int w, size_t *content, size_t *markers)
{
    *content = (size_t)T * (size_t)h * (size_t)w;
    *markers = newline == NEWLINE_GRID ? (size_t)T * (size_t)h : newline == NEWLINE_FRAME ? (size_t)T : newline == NEWLINE_ONE ? 1 : 0;
}

/* ---- plans --------------------------------------------------------------------------------------------------------------- */

bool tok_plan_reserve(struct tok_plan *plan, int T, int h, int w, size_t n_tok, size_t n_taps, struct arena *arena)
{
    *plan = (struct tok_plan){.T = T, .h = h, .w = w, .newline = NEWLINE_NATIVE};
    plan->tok = arena_alloc(arena, n_tok, sizeof *plan->tok);
    plan->taps = arena_alloc(arena, n_taps, sizeof *plan->taps);
    return plan->tok && plan->taps;
}

void tok_plan_push(struct tok_plan *plan, uint32_t row0, int t0, int t1, int y0, int y1, int x0, int x1, uint32_t rep, uint32_t size)
{
    plan->tok[plan->n_tok++] = (struct out_tok){
        .kind = TOK_VISUAL, .row0 = row0, .row1 = (uint32_t)plan->n_taps, .t0 = (uint16_t)t0, .t1 = (uint16_t)t1,
        .y0 = (uint16_t)y0, .y1 = (uint16_t)y1, .x0 = (uint16_t)x0, .x1 = (uint16_t)x1, .rep = rep, .size = size};
}

/* Sort key of a token: its representative, by rows or by columns; the order of making breaks ties. */
struct sort_key { uint64_t key; size_t made; };

static int by_sort_key(const void *a, const void *b)
{
    const struct sort_key *p = a, *q = b;
    if (p->key != q->key)
        return p->key < q->key ? -1 : 1;
    return p->made < q->made ? -1 : p->made > q->made;
}

/* Position of a representative in the order of the plan: (t, line, place in the line). */
static uint64_t rep_key(const struct tok_plan *plan, uint32_t rep)
{
    uint64_t w = (uint64_t)plan->w, h = (uint64_t)plan->h, t = rep / (h * w), y = rep / w % h, x = rep % w;
    return plan->order == ORDER_COLUMNS ? (t * w + x) * h + y : rep;
}

static bool sort_tokens(struct tok_plan *plan, struct arena *arena)
{
    struct sort_key *keys = arena_alloc(arena, plan->n_tok, sizeof *keys);
    struct out_tok *sorted = arena_alloc(arena, plan->n_tok, sizeof *sorted);
    if (!keys || !sorted)
        return false;
    for (size_t i = 0; i < plan->n_tok; i++)
        keys[i] = (struct sort_key){rep_key(plan, plan->tok[i].rep), i};
    qsort(keys, plan->n_tok, sizeof *keys, by_sort_key);
    for (size_t i = 0; i < plan->n_tok; i++)
        sorted[i] = plan->tok[keys[i].made];
    plan->tok = sorted;
    return true;
}

static struct out_tok marker(const struct tok_plan *plan, enum tok_kind kind, size_t unit, size_t units_per_frame)
{
    size_t per_unit = (size_t)plan->h * (size_t)plan->w / units_per_frame;
    size_t t = unit / units_per_frame, line = unit % units_per_frame;
    struct out_tok mark = {.kind = kind, .size = 1, .t0 = (uint16_t)t, .t1 = (uint16_t)(t + 1), .y1 = (uint16_t)plan->h, .x1 = (uint16_t)plan->w};
    if (kind == TOK_END_MARK) {
        mark.t0 = 0;
        mark.t1 = (uint16_t)plan->T;
    } else if (kind == TOK_ROW_MARK && plan->order == ORDER_COLUMNS) {
        mark.x0 = (uint16_t)line;
        mark.x1 = (uint16_t)(line + 1);
    } else if (kind == TOK_ROW_MARK) {
        mark.y0 = (uint16_t)line;
        mark.y1 = (uint16_t)(line + 1);
    }
    mark.rep = (uint32_t)((unit + 1) * per_unit - 1);
    return mark;
}

/* What gets a marker each: lines, frames, or the video. A token's original position counts the sources before it and the markers
 * of the units before its own. */
struct units { enum tok_kind kind; size_t n, sources, per_frame; };

static struct units plan_units(const struct tok_plan *plan)
{
    size_t lines = plan->order == ORDER_COLUMNS ? (size_t)plan->w : (size_t)plan->h, frame = (size_t)plan->h * (size_t)plan->w;
    switch (plan->newline) {
    case NEWLINE_GRID:
        return (struct units){TOK_ROW_MARK, (size_t)plan->T * lines, frame / lines, lines};
    case NEWLINE_FRAME:
        return (struct units){TOK_FRAME_MARK, (size_t)plan->T, frame, 1};
    case NEWLINE_ONE:
        return (struct units){TOK_END_MARK, 1, frame * (size_t)plan->T, 1};
    case NEWLINE_NO:
    case NEWLINE_NATIVE:
        break;
    }
    return (struct units){.sources = frame * (size_t)plan->T};
}

struct laying { struct out_tok *tok; uint32_t *position; size_t n, unit; bool held; }; /* held: the unit has a token */

/* Ends all units before number `next`. */
static void close_units(struct laying *laying, const struct tok_plan *plan, const struct units *units, size_t next)
{
    for (; laying->unit < next; laying->unit++) {
        size_t unit = laying->unit;
        if (!plan->drop_empty_marks || laying->held || units->kind == TOK_END_MARK) {
            laying->position[laying->n] = (uint32_t)((unit + 1) * units->sources + unit);
            laying->tok[laying->n++] = marker(plan, units->kind, unit, units->per_frame);
        }
        laying->held = false;
    }
}

bool tok_plan_layout(struct tok_plan *plan, enum newline native, struct arena *arena)
{
    if (plan->newline == NEWLINE_NATIVE)
        plan->newline = native;
    if (plan->order == ORDER_GIVEN && (plan->newline == NEWLINE_GRID || plan->newline == NEWLINE_FRAME))
        plan->newline = NEWLINE_ONE;
    if (plan->order != ORDER_GIVEN && !sort_tokens(plan, arena))
        return false;
    struct units units = plan_units(plan);
    struct laying laying = {.tok = arena_alloc(arena, plan->n_tok + units.n, sizeof *laying.tok),
                            .position = arena_alloc(arena, plan->n_tok + units.n, sizeof *laying.position)};
    if (!laying.tok || !laying.position)
        return false;
    for (size_t i = 0; i < plan->n_tok; i++) {
        uint64_t key = rep_key(plan, plan->tok[i].rep);
        if (units.n && plan->order != ORDER_GIVEN)
            close_units(&laying, plan, &units, (size_t)(key / units.sources));
        laying.position[laying.n] = (uint32_t)(key + laying.unit);
        laying.tok[laying.n++] = plan->tok[i];
        laying.held = true;
    }
    close_units(&laying, plan, &units, units.n);
    plan->tok = laying.tok;
    plan->n_tok = laying.n;
    bool keep = plan->positions == POSITIONS_KEEP && plan->order != ORDER_GIVEN;
    plan->position = keep ? laying.position : NULL;
    plan->end_position = keep ? (uint32_t)((size_t)plan->T * (size_t)plan->h * (size_t)plan->w + units.n) : (uint32_t)laying.n;
    return true;
}

void tok_plan_count(const struct tok_plan *plan, size_t *content, size_t *markers)
{
    *content = *markers = 0;
    for (size_t i = 0; i < plan->n_tok; i++)
        ++*(plan->tok[i].kind == TOK_VISUAL || plan->tok[i].kind == TOK_DENSE ? content : markers);
}

static const char *token_fault(const struct tok_plan *plan, const struct out_tok *tok, size_t n_sources)
{
    if (tok->t0 >= tok->t1 || tok->t1 > plan->T || tok->y0 >= tok->y1 || tok->y1 > plan->h || tok->x0 >= tok->x1 || tok->x1 > plan->w)
        return "a span outside the grid";
    uint64_t end = (uint64_t)plan->T * (uint64_t)plan->h * (uint64_t)plan->w;
    if (tok->rep >= end && !(tok->rep == end && tok->kind == TOK_DENSE))
        return "a representative outside the grid";
    if (tok->kind == TOK_DENSE)
        return tok->row0 < plan->n_dense ? NULL : "a dense row out of range";
    if (tok->kind != TOK_VISUAL)
        return NULL;
    if (!tok->size)
        return "a token of size zero";
    if (tok->row0 >= tok->row1 || tok->row1 > plan->n_taps)
        return "taps out of range";
    for (uint32_t i = tok->row0; i < tok->row1; i++)
        if (plan->taps[i].src >= n_sources || !isfinite(plan->taps[i].w))
            return "a tap that refers to nothing or weighs nothing finite";
    return NULL;
}

const char *tok_plan_fault(const struct tok_plan *plan, size_t n_sources)
{
    const char *fault = NULL;
    for (size_t i = 0; i < plan->n_tok && !fault; i++)
        fault = token_fault(plan, &plan->tok[i], n_sources);
    return fault;
}

void tok_plan_digest(const struct tok_plan *plan, const uint32_t *frame_index, struct digest *digest)
{
    const int numbers[] = {(int)plan->dom, plan->T, plan->h, plan->w, plan->round_each, plan->position != NULL, plan->size_bias};
    for (int i = 0; i < COUNT(numbers); i++)
        digest_add_u64(digest, (uint64_t)(int64_t)numbers[i]);
    for (int t = 0; t < plan->T; t++)
        digest_add_u64(digest, frame_index[t]);
    for (size_t i = 0; i < plan->n_tok; i++) {
        const struct out_tok *tok = &plan->tok[i];
        digest_add_u64(digest, (uint64_t)(tok->kind == TOK_DENSE || tok->kind == TOK_VISUAL ? tok->kind : TOK_ROW_MARK)); /* markers are one embedding */
        digest_add_u64(digest, plan->position ? plan->position[i] : i);
        digest_add_u64(digest, tok->size);
        if (tok->kind == TOK_DENSE)
            digest_add_u64(digest, tok->row0);
        if (tok->kind == TOK_VISUAL) {
            digest_add_u64(digest, tok->row1 - tok->row0);
            digest_add(digest, plan->taps + tok->row0, (tok->row1 - tok->row0) * sizeof *plan->taps);
        }
    }
    digest_add(digest, plan->dense, plan->n_dense * plan->dense_width * sizeof *plan->dense);
}
