/* Methods that keep tokens as they are: none, uniform, random. Row and frame markers stay whatever is kept. */
#include "compressors/methods.h"

#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

unsigned needs_nothing(const double *values)
{
    (void)values;
    return 0;
}

enum src_dom domain_pooled(const double *values)
{
    (void)values;
    return DOM_H_POOLED;
}

int plan_select(const struct vid_view *video, const uint32_t *keep, size_t n_keep, struct arena *arena, struct tok_plan *out,
                struct err *err)
{
    int h = video->pooled.h, w = video->pooled.w;
    if (!tok_plan_reserve(out, video->T, h, w, n_keep, n_keep, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < n_keep; i++) {
        int t = (int)(keep[i] / (uint32_t)(h * w)), y = (int)(keep[i] / (uint32_t)w) % h, x = (int)(keep[i] % (uint32_t)w);
        out->taps[out->n_taps++] = (struct tap){keep[i], 1};
        tok_plan_push(out, (uint32_t)i, t, t + 1, y, y + 1, x, x + 1, keep[i], 1);
    }
    return 0;
}

static size_t tokens_per_frame(const struct vid_view *video)
{
    return (size_t)video->pooled.h * (size_t)video->pooled.w;
}

/* ---- none ---------------------------------------------------------------------------------------------------------------- */

static int none_tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                       struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)values, (void)question, (void)budget;
    size_t n = (size_t)video->T * tokens_per_frame(video);
    uint32_t *all = arena_alloc(arena, n, sizeof *all);
    if (!all)
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < n; i++)
        all[i] = (uint32_t)i;
    return plan_select(video, all, n, arena, out, err);
}

static double none_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    (void)values, (void)shape, (void)native;
    *source = "exact";
    return 1;
}

const struct compressor compressor_none = {
    .name = "none",
    .summary = "every token of the pooled grid: the baseline",
    .source = "LLaVA-VL/LLaVA-NeXT llava/model/llava_arch.py",
    .flags = KEEPS_GRID,
    .needs = needs_nothing,
    .domain = domain_pooled,
    .tokens = none_tokens,
    .expected_ratio = none_ratio,
};

/* ---- uniform and random -------------------------------------------------------------------------------------------------- */

enum { KEEP, SCOPE, SEED };
enum { PER_FRAME, PER_VIDEO, WHOLE_FRAMES };

static const char *const scopes[] = {"frame", "video", "whole_frames", NULL};

static const struct option uniform_options[] = {
    {"keep", OPTION_REAL, 0.5, 0, 1, NULL, "share of the grid's tokens kept, markers not counted"},
    {"per", OPTION_CHOICE, PER_FRAME, 0, 0, scopes, "spread over each frame, over the whole video, or as whole frames, with their markers"},
};

static const struct option random_options[] = {
    {"keep", OPTION_REAL, 0.5, 0, 1, NULL, "share of the grid's tokens kept, markers not counted"},
    {"per", OPTION_CHOICE, PER_FRAME, 0, 0, scopes, "drawn within each frame, from the whole video, or as whole frames, with their markers"},
    {"seed", OPTION_INT, 0, 0, 1e9, NULL, "of the counter-based generator; also keyed by video, frame and place"},
};

static size_t share_of(const double *values, size_t n)
{
    return (size_t)nearbyint(values[KEEP] * (double)n);
}

/* Whole frames cannot be divided: 0 to T of them. */
static int settings(const double *values, const struct vid_view *shape)
{
    return (int)values[SCOPE] == WHOLE_FRAMES ? shape->T + 1 : 0;
}

static void set(double *values, const struct vid_view *shape, int setting)
{
    values[KEEP] = (double)setting / shape->T;
}

static double drop_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    size_t content, markers, content_kept, markers_kept;
    double kept = values[KEEP];
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content, &markers);
    newline_count(native, (int)share_of(values, (size_t)shape->T), shape->pooled.h, shape->pooled.w, &content_kept, &markers_kept);
    *source = "exact";
    if ((int)values[SCOPE] == WHOLE_FRAMES)
        return (double)(content_kept + markers_kept) / (double)(content + markers);
    return (kept * (double)content + (double)markers) / (double)(content + markers);
}

/* Chooses `keep` of the units first..first+n-1, ascending, into `out`. false when memory is out. */
typedef bool chooser(const double *values, const struct vid_view *video, size_t first, size_t n, size_t keep, uint32_t *out, struct arena *arena);

static bool choose_uniform(const double *values, const struct vid_view *video, size_t first, size_t n, size_t keep, uint32_t *out,
                           struct arena *arena)
{
    (void)values, (void)video, (void)arena;
    for (size_t i = 0; i < keep; i++)
        out[i] = (uint32_t)(first + (2 * i + 1) * n / (2 * keep)); /* floor((i + 0.5) n / keep) */
    return true;
}

struct draw { uint64_t key; uint32_t index; };

static int by_draw(const void *a, const void *b)
{
    const struct draw *p = a, *q = b;
    return p->key != q->key ? (p->key < q->key ? -1 : 1) : (p->index > q->index) - (p->index < q->index);
}

static int by_index(const void *a, const void *b)
{
    const uint32_t *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

static bool choose_random(const double *values, const struct vid_view *video, size_t first, size_t n, size_t keep, uint32_t *out,
                          struct arena *arena)
{
    struct draw *draws = arena_alloc(arena, n, sizeof *draws);
    if (!draws)
        return false;
    uint64_t stream = rng_stream("random-drop") ^ video->video_hash;
    for (size_t i = 0; i < n; i++)
        draws[i] = (struct draw){rng_u64((uint64_t)values[SEED], stream, first + i), (uint32_t)(first + i)};
    qsort(draws, n, sizeof *draws, by_draw);
    for (size_t i = 0; i < keep; i++)
        out[i] = draws[i].index;
    qsort(out, keep, sizeof *out, by_index);
    return true;
}

/* Whole frames: the control at equal tokens that shows fewer of them. */
static int choose_frames(chooser *choose, const double *values, const struct vid_view *video, struct arena *arena, struct tok_plan *out,
                         struct err *err)
{
    size_t frame = tokens_per_frame(video), T = (size_t)video->T, keep = share_of(values, T);
    uint32_t *frames = arena_alloc(arena, T, sizeof *frames), *kept = arena_alloc(arena, T * frame, sizeof *kept);
    if (!frames || !kept || !choose(values, video, 0, T, keep, frames, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < keep * frame; i++)
        kept[i] = frames[i / frame] * (uint32_t)frame + (uint32_t)(i % frame);
    int rc = plan_select(video, kept, keep * frame, arena, out, err);
    out->drop_empty_marks = true;
    return rc;
}

static int choose_tokens(chooser *choose, const double *values, const struct vid_view *video, const struct budget *budget, struct arena *arena,
                         struct tok_plan *out, struct err *err)
{
    if ((int)values[SCOPE] == WHOLE_FRAMES && budget)
        return err_set(err, ERR_CONFIG, "whole frames cannot spend an allocator's budgets; use per: frame");
    if ((int)values[SCOPE] == WHOLE_FRAMES)
        return choose_frames(choose, values, video, arena, out, err);
    size_t frame = tokens_per_frame(video), total = frame * (size_t)video->T, n_kept = 0;
    bool each = (int)values[SCOPE] == PER_FRAME;
    size_t pool = each ? frame : total;
    uint32_t *kept = arena_alloc(arena, total, sizeof *kept);
    if (!kept)
        return err_no_memory(err, "a token plan");
    for (size_t first = 0; first < total; first += pool) {
        size_t keep = !budget ? share_of(values, pool) : each ? budget->per_frame[first / frame] : budget->total;
        keep = keep < pool ? keep : pool;
        if (!choose(values, video, first, pool, keep, kept + n_kept, arena))
            return err_no_memory(err, "a token plan");
        n_kept += keep;
    }
    return plan_select(video, kept, n_kept, arena, out, err);
}

static int uniform_tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                          struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    return choose_tokens(choose_uniform, values, video, budget, arena, out, err);
}

static int random_tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                         struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    return choose_tokens(choose_random, values, video, budget, arena, out, err);
}

const struct compressor compressor_uniform = {
    .name = "uniform",
    .summary = "keeps evenly spaced tokens",
    .source = "a control without a paper",
    .options = uniform_options,
    .n_options = 2,
    .flags = EXACT_BUDGET,
    .settings = settings,
    .set = set,
    .needs = needs_nothing,
    .domain = domain_pooled,
    .tokens = uniform_tokens,
    .expected_ratio = drop_ratio,
};

const struct compressor compressor_random = {
    .name = "random",
    .summary = "keeps tokens drawn at random: the control every method has to beat",
    .source = "a control; arXiv 2505.14454 reports it as a strong one",
    .options = random_options,
    .n_options = 3,
    .flags = EXACT_BUDGET,
    .settings = settings,
    .set = set,
    .needs = needs_nothing,
    .domain = domain_pooled,
    .tokens = random_tokens,
    .expected_ratio = drop_ratio,
};
