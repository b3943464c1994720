/* DivPrune (Alvar et al., CVPR 2025): keeps the tokens that are least alike, by max-min diversity of projected
 * features, over the whole video as the released code does with all tokens of a prompt, or within each frame. Query-free, class A. */
#include "compressors/methods.h"

enum { KEEP, PER };

enum { PER_VIDEO, PER_FRAME };

static const char *const scopes[] = {"video", "frame", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.098, 0, 1, NULL, "share of the grid's tokens kept, markers not counted (released: 0.098)"},
    {"per", OPTION_CHOICE, PER_VIDEO, 0, 0, scopes,
     "chosen from the whole video, at a cost of its square, or within each frame, as an allocator's budgets always are"},
};

/* All tokens once more, of length 1. */
static int make_units(struct sim_rows *rows, float *norm, struct arena *arena, struct err *err)
{
    const struct row_list all = {.n = rows->n};
    int rc = sim_lengths(rows, all, norm, arena, err);
    if (!rc)
        rc = sim_room(rows, rows->n, arena, err);
    return rc ? rc : sim_units(rows, all, norm, rows->n, arena, err);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    const struct grid_view *grid = &video->pooled;
    struct sim_rows rows = rows_pooled(video);
    size_t N = (size_t)grid->h * (size_t)grid->w, n = rows.n, kept = 0;
    size_t pool = (budget && !budget->total_only) || (int)values[PER] == PER_FRAME ? N : n;
    float *norm = arena_alloc(arena, n, sizeof *norm);
    uint32_t *keep = arena_alloc(arena, n, sizeof *keep);
    if (!norm || !keep)
        return err_no_memory(err, "a token plan");
    int rc = make_units(&rows, norm, arena, err);
    for (size_t first = 0; first < n && !rc; first += pool) {
        size_t wanted = budget && pool == n ? budget->total : tokens_wanted(values[KEEP], budget, (int)(first / N), pool);
        rc = sim_choose(&rows, &(struct sim_choice){.first = n + first, .n = pool, .k = wanted}, keep + kept, arena, err);
        for (size_t i = 0; i < wanted && !rc; i++)
            keep[kept++] += (uint32_t)first;
    }
    return rc ? rc : plan_select(video, keep, kept, arena, out, err);
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    size_t N = (size_t)shape->pooled.h * (size_t)shape->pooled.w, T = (size_t)shape->T;
    bool each = (int)values[PER] == PER_FRAME;
    *source = "exact";
    return kept_ratio((double)(tokens_wanted(values[KEEP], NULL, 0, each ? N : N * T) * (each ? T : 1)), &shape->pooled, false, shape, native);
}

const struct compressor compressor_divprune = {
    .name = "divprune",
    .summary = "keeps the tokens that are least alike",
    .source = "arXiv 2503.02175; vbdi/divprune LLaVA/llava/model/llava_arch.py DivPrune",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = EXACT_BUDGET,
    .needs = needs_h_sums,
    .domain = domain_pooled,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
