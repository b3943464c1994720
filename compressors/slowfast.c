/* SlowFast of LLaVA-Video (arXiv 2410.02713): every s-th frame keeps its grid, the others are pooled twice as
 * hard. Query-free, class A. The learned token after each frame exists in checkpoints trained with it; without it, it is left out. */
#include "compressors/methods.h"
#include "compressors/pooling.h"

enum { EVERY, STRIDE, MODE, FASTER_TOKEN };
enum { MODE_NATIVE, MODE_BILINEAR, MODE_AVERAGE };

static const char *const modes[] = {"native", "bilinear", "average", NULL};

static const struct option options[] = {
    {"every", OPTION_INT, 10, 1, 1e6, NULL, "one frame in this many is slow, the first included (faster_token_stride)"},
    {"stride", OPTION_INT, 2, 1, 32, NULL, "patches per side that become one token in slow frames; twice as many in fast ones"},
    {"mode", OPTION_CHOICE, MODE_NATIVE, 0, 0, modes, "how patches are pooled; native: as the cell does without compression, bilinear if not at all"},
    {"faster_token", OPTION_FLAG, 0, 0, 1, NULL, "the learned token after every frame; the checkpoint must hold model.faster_token"},
};

static enum src_dom domain(const double *values)
{
    (void)values;
    return DOM_H_RAW;
}

static struct pooling frame_pooling(const double *values, const struct vid_view *video, bool slow)
{
    bool average = (int)values[MODE] == MODE_NATIVE ? video->mode == POOL_AVERAGE : (int)values[MODE] == MODE_AVERAGE;
    return pooling_by_stride(average ? POOLING_AVERAGE : POOLING_BILINEAR, (int)values[STRIDE] * (slow ? 1 : 2), video->raw.h, video->raw.w);
}

static bool is_slow(const double *values, int t)
{
    return t % (int)values[EVERY] == 0;
}

static int refuse(const double *values, const struct vid_view *video, const struct named_tensor *faster, struct err *err)
{
    struct pooling fast = frame_pooling(values, video, false);
    if ((int)values[MODE] == MODE_NATIVE && video->mode == POOL_MAX)
        return err_set(err, ERR_CONFIG, "compressor slowfast: maxima are not pooled again here; use mode: average");
    if (fast.h < 1 || fast.w < 1)
        return err_set(err, ERR_CONFIG, "compressor slowfast: stride %d leaves nothing of a grid of %d x %d in fast frames; use at most %d",
                       fast.stride / 2, video->raw.h, video->raw.w, (video->raw.h < video->raw.w ? video->raw.h : video->raw.w) / 2);
    if (values[FASTER_TOKEN] != 0 && (!faster || faster->rows * faster->columns != (size_t)video->raw.d))
        return err_set(err, ERR_CONFIG, "compressor slowfast: the checkpoint has no 'model.faster_token' of %d numbers; leave faster_token out",
                       video->raw.d);
    return 0;
}

/* The learned token behind frame t and its last marker: it stands where the next frame begins, and is made before it. */
static void push_faster_token(struct tok_plan *plan, int t)
{
    uint32_t rep = (uint32_t)((t + 1) * plan->h * plan->w);
    tok_plan_push(plan, (uint32_t)plan->n_taps, t, t + 1, 0, plan->h, 0, plan->w, rep, 1);
    struct out_tok *tok = &plan->tok[plan->n_tok - 1];
    tok->kind = TOK_DENSE;
    tok->row0 = tok->row1 = 0;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *raw = &video->raw;
    const struct named_tensor *faster = vid_tensor(video, "model.faster_token");
    int rc = refuse(values, video, faster, err);
    if (rc)
        return rc;
    struct pooling slow = frame_pooling(values, video, true), fast = frame_pooling(values, video, false);
    size_t T = (size_t)video->T, most = (size_t)slow.h * (size_t)slow.w + 1;
    size_t taps = pooling_taps(&slow, raw->h, raw->w), taps_fast = pooling_taps(&fast, raw->h, raw->w);
    if (!tok_plan_reserve(out, video->T, slow.h, slow.w, T * most, T * (taps > taps_fast ? taps : taps_fast), arena))
        return err_no_memory(err, "a token plan");
    out->dom = DOM_H_RAW;
    out->drop_empty_marks = true; /* a fast frame has half the rows */
    if (values[FASTER_TOKEN] != 0) {
        out->dense = faster->values;
        out->n_dense = 1;
        out->dense_width = (size_t)raw->d;
    }
    for (int t = 0; t < video->T; t++) {
        pooling_push(is_slow(values, t) ? &slow : &fast, raw, t, out, NULL);
        if (values[FASTER_TOKEN] != 0)
            push_faster_token(out, t);
    }
    return 0;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    struct pooling slow = frame_pooling(values, shape, true), fast = frame_pooling(values, shape, false);
    int n_slow = (shape->T + (int)values[EVERY] - 1) / (int)values[EVERY], n_fast = shape->T - n_slow;
    size_t content, markers, content_fast, markers_fast, content_none, markers_none;
    newline_count(native, n_slow, slow.h, slow.w, &content, &markers);
    newline_count(native, n_fast, fast.h, fast.w, &content_fast, &markers_fast);
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content_none, &markers_none);
    size_t total = content + content_fast + (native == NEWLINE_ONE ? 1 : markers + markers_fast) +
                   (values[FASTER_TOKEN] != 0 ? (size_t)shape->T : 0);
    *source = "exact";
    return (double)total / (double)(content_none + markers_none);
}

const struct compressor compressor_slowfast = {
    .name = "slowfast",
    .summary = "keeps the grid of every s-th frame and pools the others twice as hard",
    .source = "arXiv 2410.02713; LLaVA-VL/LLaVA-NeXT llava/model/llava_arch.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .needs = needs_nothing,
    .domain = domain,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
