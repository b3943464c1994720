/* VisionZip (Yang et al., CVPR 2025), per frame: the tokens that receive most attention stay as they are; evenly
 * spaced ones of the rest each take in those whose attention keys are most like theirs. Query-free, class A. On the pooled grid it is
 * what DyToK spends its budgets with; on the tower's own grid, before the projector, it is the method as first released. */
#include "compressors/methods.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>

enum { KEEP, DOMINANT, CONTEXTUAL, GRID, MERGE, ORDER, MARKERS };

enum { GRID_POOLED, GRID_RAW };
enum { MERGE_SUM, MERGE_MEAN };

static const char *const grids[] = {"pooled", "raw", NULL};
static const char *const merges[] = {"sum", "mean", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.25, 0, 1, NULL, "share of each frame's tokens left, markers not counted: six in seven dominant, the rest contextual"},
    {"dominant", OPTION_INT, NAN, 0, 65536, NULL, "tokens per frame kept by attention, with contextual instead of keep (released: 54 of 64)"},
    {"contextual", OPTION_INT, NAN, 0, 65536, NULL, "tokens per frame that take in others, with dominant instead of keep (released: 10 of 64)"},
    {"grid", OPTION_CHOICE, GRID_POOLED, 0, 0, grids, "pooled: projected tokens as the model sees them; raw: the tower's patches, projected afterwards"},
    {"merge", OPTION_CHOICE, MERGE_SUM, 0, 0, merges,
     "contextual tokens: sum of a token and the mean of those it takes in, about twice as long, as released; or mean of them all"},
    {"order", OPTION_CHOICE, ORDER_PLACE, 0, 0, order_choices, "place: where each token is; made: per frame dominant, then contextual, as released"},
    {"markers", OPTION_CHOICE, MARKERS_ALL, 0, 0, marker_choices, "of rows and frames: all, or of those that have a token left"},
};

static bool raw(const double *values)
{
    return (int)values[GRID] == GRID_RAW;
}

static unsigned needs(const double *values)
{
    return raw(values) ? NEED_SAL_RAW | NEED_KV_RAW : NEED_SAL_POOLED | NEED_KV_POOLED;
}

static enum src_dom domain(const double *values)
{
    return raw(values) ? DOM_X_RAW : DOM_H_POOLED;
}

static const char *const instead_of_keep[] = {"dominant", "contextual", NULL};

static int check(const double *values, struct err *err)
{
    if (isnan(values[DOMINANT]) != isnan(values[CONTEXTUAL]))
        return err_set(err, ERR_CONFIG, "compressor visionzip: dominant and contextual go together; give both, or keep");
    return 0;
}

struct counts { size_t dominant, contextual; };

/* How many of a frame's N tokens are kept, and how; an allocator's budget comes first. */
static struct counts frame_counts(const double *values, const struct budget *budget, int t, size_t N)
{
    size_t tokens = tokens_wanted(values[KEEP], budget, t, N);
    if (budget || isnan(values[DOMINANT]))
        return (struct counts){6 * tokens / 7, tokens - 6 * tokens / 7};
    size_t dominant = values[DOMINANT] < (double)N ? (size_t)values[DOMINANT] : N;
    size_t contextual = values[CONTEXTUAL] < (double)(N - dominant) ? (size_t)values[CONTEXTUAL] : N - dominant;
    return (struct counts){dominant, contextual};
}

/* One frame in work; arrays are as long as a frame. */
struct zip {
    const double *values;
    const float *sal, *key;    /* the frame's; keys are unit rows */
    size_t N, dk, first;       /* first: the frame's first source */
    uint8_t *dominant;
    uint32_t *rest, *joins;    /* tokens that are not dominant, and the contextual token that each joins, by number */
    float *alike;
    struct tok_plan *plan;
};

static void push_dominant(const struct zip *zip)
{
    for (size_t i = 0; i < zip->N; i++)
        if (zip->dominant[i])
            plan_push_source(zip->plan, (uint32_t)(zip->first + i));
}

/* rest[k * step], k < n, are the targets; every other token of the rest joins the one whose key is most like its own. */
static void join_rest(const struct zip *zip, const float *targets, size_t n_rest, size_t step, size_t n)
{
    for (size_t r = 0; r < n_rest; r++) {
        if (r % step == 0 && r / step < n) {
            zip->joins[r] = UINT32_MAX; /* a target */
            continue;
        }
        sim_dots(zip->key + zip->rest[r] * zip->dk, targets, n, zip->dk, zip->alike);
        zip->joins[r] = (uint32_t)topk_best(zip->alike, n);
    }
}

static void push_contextual(const struct zip *zip, size_t n_rest, size_t step, uint32_t target)
{
    struct tok_plan *plan = zip->plan;
    size_t joined = 0, first = plan->n_taps;
    for (size_t r = 0; r < n_rest; r++)
        joined += zip->joins[r] == target;
    bool mean = (int)zip->values[MERGE] == MERGE_MEAN;
    float weight = 1 / (float)(joined + (mean ? 1 : 0));
    uint32_t rep = (uint32_t)zip->first + zip->rest[target * step];
    plan->taps[plan->n_taps++] = (struct tap){rep, mean ? weight : 1};
    for (size_t r = 0; r < n_rest; r++)
        if (zip->joins[r] == target)
            plan->taps[plan->n_taps++] = (struct tap){(uint32_t)zip->first + zip->rest[r], weight};
    plan_push_sum(plan, first, rep);
}

/* `targets` is room for the keys of the targets. */
static void zip_frame(const struct zip *zip, struct counts counts, float *targets)
{
    size_t n_rest = 0;
    topk_mark(zip->sal, zip->N, counts.dominant, zip->dominant);
    push_dominant(zip);
    if (!counts.contextual)
        return;
    for (size_t i = 0; i < zip->N; i++)
        if (!zip->dominant[i])
            zip->rest[n_rest++] = (uint32_t)i;
    size_t step = n_rest / counts.contextual;
    for (size_t k = 0; k < counts.contextual; k++)
        for (size_t c = 0; c < zip->dk; c++)
            targets[k * zip->dk + c] = zip->key[zip->rest[k * step] * zip->dk + c];
    join_rest(zip, targets, n_rest, step, counts.contextual);
    for (uint32_t k = 0; k < counts.contextual; k++)
        push_contextual(zip, n_rest, step, k);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    const struct grid_view *grid = raw(values) ? &video->raw : &video->pooled;
    size_t N = (size_t)grid->h * (size_t)grid->w, n = (size_t)video->T * N, dk = (size_t)grid->dk;
    const float *key = sim_unit_rows(grid->kv, n, dk, arena);
    float *targets = arena_alloc(arena, N * dk, sizeof *targets);
    struct zip zip = {.values = values, .N = N, .dk = dk, .plan = out, .dominant = arena_alloc(arena, N, 1),
                      .rest = arena_alloc(arena, N, sizeof *zip.rest), .joins = arena_alloc(arena, N, sizeof *zip.joins),
                      .alike = arena_alloc(arena, N, sizeof *zip.alike)};
    if (!key || !targets || !zip.dominant || !zip.rest || !zip.joins || !zip.alike ||
        !tok_plan_reserve(out, video->T, grid->h, grid->w, n, n, arena))
        return err_no_memory(err, "a token plan");
    out->order = (int)values[ORDER] == ORDER_MADE ? ORDER_GIVEN : ORDER_RASTER;
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    for (int t = 0; t < video->T; t++) {
        zip.first = (size_t)t * N;
        zip.sal = grid->sal + zip.first;
        zip.key = key + zip.first * dk;
        zip_frame(&zip, frame_counts(values, budget, t, N), targets);
    }
    return 0;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    const struct grid_view *grid = raw(values) ? &shape->raw : &shape->pooled;
    struct counts counts = frame_counts(values, NULL, 0, (size_t)grid->h * (size_t)grid->w);
    *source = "exact";
    return kept_ratio((double)shape->T * (double)(counts.dominant + counts.contextual), grid, (int)values[ORDER] == ORDER_MADE, shape, native);
}

const struct compressor compressor_visionzip = {
    .name = "visionzip",
    .summary = "keeps the tokens that receive most attention in the tower and merges the rest into evenly spaced ones",
    .source = "arXiv 2412.04467; dvlab-research/VisionZip visionzip/clip_encoder.py, yu-lin-li/DyToK dytok/visionzip/utils.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .instead = instead_of_keep,
    .flags = EXACT_BUDGET,
    .needs = needs,
    .domain = domain,
    .check = check,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
