/* DyCoke (Tao et al., CVPR 2025). Before the language model, token temporal merging (TTM): of two frames compared, the second keeps the
 * cells least like the first's. While text is generated, each step sees only the visual tokens that the layer before attended to most.
 * Nothing is merged and nothing is deleted, whatever the names say. */
#include "compressors/methods.h"

#include "compressors/layer.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { K, P, LAYER, FORM, HOLD, SIZE_POWER };
enum { FORM_INTENDED, FORM_STRICT };

static const char *const forms[] = {"intended", "strict", NULL};

static const struct option options[] = {
    {"k", OPTION_REAL, 0.7, 0, 1, NULL, "share of a compared frame that is removed (paper: 0.3, 0.5, 0.7); an allocator's budgets decide instead of it"},
    {"p", OPTION_REAL, 0.7, 0, 1, NULL, "share of visual tokens hidden from a step of generation (0.7 in the README, 0.8 in some defaults); 0: none"},
    {"layer", OPTION_INT, 3, 1, 1000, NULL, "first layer that does not see them, counted from 0"},
    {"form", OPTION_CHOICE, FORM_INTENDED, 0, 0, forms,
     "intended: every window, raster order; strict: as released, which skips the last window, loses an odd last frame and sorts by likeness"},
    {"hold", OPTION_REAL, 0.9, -1, 2, NULL, "nothing is hidden in a step whose attention has this cosine or more with the step before's; 2: never"},
    {"size_power", OPTION_REAL, 0, -4, 4, NULL, "scores are multiplied by size^this where tokens were merged before; 0: plain, 1 favours big groups"},
};

static unsigned roles(const double *values)
{
    bool all = values[K] == 0 && (int)values[FORM] == FORM_INTENDED; /* the released form drops and sorts even then */
    return (all ? 0u : ROLE_TOKENS) | (values[P] > 0 ? ROLE_DECODE : 0u);
}

/* ---- before the language model ------------------------------------------------------------------------------------------- */

static unsigned needs(const double *values)
{
    (void)values;
    return NEED_H_POOLED | NEED_DOTS;
}

/* Which frame a frame is compared with; itself: it is kept whole. -1: it is lost. */
static int partner(const double *values, int t, int T)
{
    bool strict = (int)values[FORM] == FORM_STRICT;
    if (t % 2)
        return t - 1;
    if (strict && t == T - 1)
        return -1;
    return t % 4 == 2 && (!strict || t - 2 < T - 4) ? t - 2 : t;
}

struct ttm {
    size_t frame;
    float *unlike;   /* [T * frame] minus the cosine with the same cell of the partner */
    uint32_t *kept;  /* [T * frame] */
    size_t n_kept;
};

/* Every cell with itself, for its norm, and with its partner's. */
static int compare_frames(const double *values, const struct vid_view *video, struct ttm *ttm, struct arena *arena, struct err *err)
{
    size_t frame = ttm->frame, n = (size_t)video->T * frame;
    const struct sim_rows rows = {.near = video->pooled.H, .n = n, .width = (size_t)video->pooled.d, .far = video->pooled.far_H};
    struct row_pair *pairs = arena_alloc(arena, 2 * n, sizeof *pairs);
    float *dots = arena_alloc(arena, 2 * n, sizeof *dots);
    if (!pairs || !dots)
        return err_no_memory(err, "a token plan");
    for (uint32_t i = 0; i < n; i++) {
        int t = (int)(i / frame), other = partner(values, t, video->T);
        pairs[i] = (struct row_pair){i, i};
        pairs[n + i] = (struct row_pair){i, other < 0 ? i : (uint32_t)((size_t)other * frame + i % frame)};
    }
    int rc = sim_pairs(&rows, pairs, 2 * n, false, dots, err);
    for (size_t i = 0; i < n && !rc; i++)
        ttm->unlike[i] = -sim_cosine(dots[n + i], sqrtf(dots[i]), sqrtf(dots[pairs[n + i].b]));
    return rc;
}

/* Keeps the k cells of frame t least like their partner's: in raster order, or the least like first. */
static bool keep_unlike(struct ttm *ttm, int t, size_t k, bool by_likeness, struct arena *arena)
{
    size_t first = (size_t)t * ttm->frame;
    uint32_t *kept = ttm->kept + ttm->n_kept;
    k = k < ttm->frame ? k : ttm->frame;
    if (!by_likeness)
        topk_select(ttm->unlike + first, ttm->frame, k, kept);
    else if (!topk_rank(ttm->unlike + first, ttm->frame, k, kept, arena))
        return false;
    for (size_t i = 0; i < k; i++)
        kept[i] += (uint32_t)first;
    ttm->n_kept += k;
    return true;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    const struct grid_view *grid = &video->pooled;
    size_t frame = (size_t)grid->h * (size_t)grid->w, n = (size_t)video->T * frame, k = (size_t)((1 - values[K]) * (double)frame);
    bool strict = (int)values[FORM] == FORM_STRICT, enough = true;
    struct ttm ttm = {.frame = frame, .unlike = arena_alloc(arena, n, sizeof(float)), .kept = arena_alloc(arena, n, sizeof(uint32_t))};
    if (strict && video->T < 5)
        return err_set(err, ERR_CONFIG, "compressor dycoke: the released form needs five frames at least, there are %d; use form: intended", video->T);
    if (!ttm.unlike || !ttm.kept)
        return err_no_memory(err, "a token plan");
    int rc = compare_frames(values, video, &ttm, arena, err);
    for (int t = 0; t < video->T && enough && !rc; t++) {
        int other = partner(values, t, video->T);
        if (other >= 0 && other != t)
            enough = keep_unlike(&ttm, t, budget ? budget->per_frame[t] : k, strict, arena);
        for (size_t i = 0; i < frame && other == t; i++)
            ttm.kept[ttm.n_kept++] = (uint32_t)((size_t)t * frame + i);
    }
    if (!rc)
        rc = enough ? plan_select(video, ttm.kept, ttm.n_kept, arena, out, err) : err_no_memory(err, "a token plan");
    if (!rc && strict)
        out->order = ORDER_GIVEN;
    return rc;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    size_t frame = (size_t)shape->pooled.h * (size_t)shape->pooled.w, k = (size_t)((1 - values[K]) * (double)frame), n = 0;
    for (int t = 0; t < shape->T; t++) {
        int other = partner(values, t, shape->T);
        n += other < 0 ? 0 : other == t ? frame : k;
    }
    *source = "exact";
    return kept_ratio((double)n, &shape->pooled, (int)values[FORM] == FORM_STRICT, shape, native);
}

/* ---- while text is generated --------------------------------------------------------------------------------------------- */

static int fits(const double *values, int n_layers, struct err *err)
{
    return values[P] > 0 ? layer_fits("dycoke", "layer", values[LAYER], n_layers, err) : 0;
}

static int decode_layer(const double *values)
{
    return (int)values[LAYER];
}

/* What is kept from step to step, and room: before[n], score[n], then that of budgets. */
static size_t memory(const double *values, size_t n, int n_layers)
{
    (void)values, (void)n_layers;
    return 2 * n * sizeof(float) + layer_room(n);
}

static float cosine(const float *a, const float *b, size_t n)
{
    return sim_cosine(sim_dot(a, b, n), sqrtf(sim_dot(a, a, n)), sqrtf(sim_dot(b, b, n)));
}

static void decode(const double *values, int step, const struct layer_view *view, struct kv_mask *out)
{
    float *before = view->memory, *score = before + view->n;
    layer_score(view, values[SIZE_POWER], score);
    for (size_t i = 0; i < view->n; i++)
        score[i] = layer_is_marker(&view->tok[i]) ? 0 : score[i]; /* not part of what is compared */
    size_t ranked = layer_ranked(view, LAYER_MARKERS_KEPT), count = (size_t)((double)ranked * (1 - values[P]));
    float likeness = cosine(before, score, view->n);
    memcpy(before, score, view->n * sizeof *before);
    if (step && (double)likeness >= values[HOLD])
        return;
    if (view->budget)
        layer_keep_budget(view, LAYER_MARKERS_KEPT, view->budget, score, score + view->n, out->visible);
    else
        layer_keep_best(view, LAYER_MARKERS_KEPT, count, score, out->visible);
}

const struct compressor compressor_dycoke = {
    .name = "dycoke",
    .summary = "drops what a frame repeats of the one before, and hides tokens from single steps of generation",
    .source = "KD-TAO/DyCoke llava/model/llava_arch.py dycole_ttm, llava/model/language_model/modeling_qwen2.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_DECODE | SOME_BUDGET,
    .roles = roles,
    .needs = needs,
    .domain = domain_pooled,
    .tokens = tokens,
    .fits = fits,
    .memory = memory,
    .decode_layer = decode_layer,
    .decode = decode,
    .expected_ratio = expected_ratio,
};
