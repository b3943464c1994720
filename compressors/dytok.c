/* DyToK (Li et al., NeurIPS 2025): allots tokens to frames by how much the last prompt row of a guide attends to each of them. The guide
 * is a smaller checkpoint beside the model, or the model itself, and sees the uncompressed tokens. Another method spends the budgets. */
#include "compressors/methods.h"

#include "compressors/allot.h"

#include <math.h>

enum { KEEP, PER_FRAME, CAP, GUIDE, FIRST_LAYER, LAST_LAYER };

static const char *const guides[] = {"self", "assistant", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.25, 0, 1, NULL, "tokens per frame on average, as a share of the grid's, markers not counted"},
    {"per_frame", OPTION_INT, NAN, 0, 1e6, NULL, "the same as a number (scripts: 147, 98, 49, 35, 14 of 196); unset: round(keep * h * w)"},
    {"cap", OPTION_INT, NAN, 1, 1e6, NULL, "most tokens of one frame, against temporal outliers of attention; unset: the grid's"},
    {"guide", OPTION_CHOICE, GUIDE_ASSISTANT, 0, 0, guides, "whose attention: the model's own, or that of the sweep's `assistant`"},
    {"first_layer", OPTION_INT, NAN, 0, 1000, NULL, "of the layers that count, from 0; unset: the last third (16 of 24)"},
    {"last_layer", OPTION_INT, NAN, 0, 1000, NULL, "the last of them, where the guide stops; unset: its last"},
};

static int check(const double *values, struct err *err)
{
    if (!(values[FIRST_LAYER] > values[LAST_LAYER])) /* nor when either is unset */
        return 0;
    return err_set(err, ERR_CONFIG, "compressor dytok: 'first_layer' is above 'last_layer'; exchange them");
}

static enum guide guide(const double *values, int n_layers, int *first, int *last)
{
    *first = isnan(values[FIRST_LAYER]) ? n_layers - (n_layers + 2) / 3 : (int)values[FIRST_LAYER];
    *last = isnan(values[LAST_LAYER]) ? n_layers - 1 : (int)values[LAST_LAYER];
    if (isnan(values[FIRST_LAYER]) && *first > *last)
        *first = *last; /* a last layer before the last third stands alone */
    return (enum guide)(int)values[GUIDE];
}

static int allocate(const double *values, const struct vid_view *video, const struct qst_view *question, const struct aux_attn *attention,
                    struct arena *arena, struct budget *out, struct err *err)
{
    (void)question;
    uint32_t frame = (uint32_t)(video->pooled.h * video->pooled.w);
    uint32_t each = isnan(values[PER_FRAME]) ? (uint32_t)nearbyint(values[KEEP] * frame) : (uint32_t)values[PER_FRAME];
    uint32_t *per_frame = arena_alloc(arena, (size_t)video->T, sizeof *per_frame);
    *out = (struct budget){.T = video->T, .total = each * (uint32_t)video->T, .weight = attention->share, .per_frame = per_frame};
    out->cap = isnan(values[CAP]) || values[CAP] > frame ? frame : (uint32_t)values[CAP];
    if (!per_frame || !allot_tokens(attention->share, video->T, out->total, out->cap, per_frame, arena))
        return err_no_memory(err, "the budgets of frames");
    return 0;
}

const struct compressor compressor_dytok = {
    .name = "dytok",
    .summary = "allots tokens to frames by a guide's attention, for another method to spend",
    .source = "yu-lin-li/DyToK dytok/visionzip/modeling_qwen2.py, utils.py; arXiv 2512.06866",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_BUDGET,
    .check = check,
    .guide = guide,
    .allocate = allocate,
};
