#include "compressors/groups.h"

bool groups_new(struct groups *groups, size_t n, struct arena *arena)
{
    *groups = (struct groups){.parent = arena_alloc(arena, n, sizeof *groups->parent), .n = n, .count = n};
    for (size_t i = 0; groups->parent && i < n; i++)
        groups->parent[i] = (uint32_t)i;
    return groups->parent;
}

uint32_t groups_root(struct groups *groups, uint32_t i)
{
    uint32_t *parent = groups->parent;
    while (parent[i] != i) {
        parent[i] = parent[parent[i]]; /* halves the path for the next one */
        i = parent[i];
    }
    return i;
}

bool groups_join(struct groups *groups, uint32_t a, uint32_t b)
{
    a = groups_root(groups, a);
    b = groups_root(groups, b);
    if (a == b)
        return false;
    if (a < b)
        groups->parent[b] = a;
    else
        groups->parent[a] = b;
    groups->count--;
    return true;
}

static void cover(struct out_tok *tok, int t, int y, int x)
{
    tok->t0 = (uint16_t)t < tok->t0 ? (uint16_t)t : tok->t0;
    tok->y0 = (uint16_t)y < tok->y0 ? (uint16_t)y : tok->y0;
    tok->x0 = (uint16_t)x < tok->x0 ? (uint16_t)x : tok->x0;
    tok->t1 = (uint16_t)(t + 1) > tok->t1 ? (uint16_t)(t + 1) : tok->t1;
    tok->y1 = (uint16_t)(y + 1) > tok->y1 ? (uint16_t)(y + 1) : tok->y1;
    tok->x1 = (uint16_t)(x + 1) > tok->x1 ? (uint16_t)(x + 1) : tok->x1;
}

/* Opens a token for each part, in the order of roots, with room for its taps; number[root] says which. */
static void open_tokens(struct groups *groups, const uint32_t *size, struct tok_plan *plan, uint32_t *number)
{
    for (size_t i = 0; i < groups->n; i++) {
        if (groups->parent[i] != i)
            continue;
        number[i] = (uint32_t)plan->n_tok;
        plan->tok[plan->n_tok++] = (struct out_tok){.kind = TOK_VISUAL, .row0 = (uint32_t)plan->n_taps, .row1 = (uint32_t)plan->n_taps,
                                                    .t0 = UINT16_MAX, .y0 = UINT16_MAX, .x0 = UINT16_MAX, .rep = (uint32_t)i, .size = size[i]};
        plan->n_taps += size[i];
    }
}

int groups_plan(struct groups *groups, int T, int h, int w, struct arena *arena, struct tok_plan *out, struct err *err)
{
    uint32_t *size = arena_alloc(arena, groups->n, sizeof *size), *number = arena_alloc(arena, groups->n, sizeof *number);
    if (!size || !number || !tok_plan_reserve(out, T, h, w, groups->count, groups->n, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < groups->n; i++)
        size[groups_root(groups, (uint32_t)i)]++;
    open_tokens(groups, size, out, number);
    for (size_t i = 0; i < groups->n; i++) {
        struct out_tok *tok = &out->tok[number[groups_root(groups, (uint32_t)i)]];
        out->taps[tok->row1++] = (struct tap){(uint32_t)i, 1 / (float)tok->size};
        cover(tok, (int)i / (h * w), (int)i / w % h, (int)i % w);
    }
    return 0;
}
