/* VidCom2 (Liu et al., EMNLP 2025): keeps the tokens that are least like the mean of their video and of their frame,
 * and more of them in frames that are unlike the video. Looks at projected features, in the channels that vary least. Query-free,
 * class A. Row and frame markers all stay, as released. */
#include "compressors/methods.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>

enum { KEEP, TEMPERATURE };

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.25, 0, 1, NULL, "about this share of the grid's tokens, markers not counted; at least one a frame"},
    {"temperature", OPTION_REAL, 0.01, 1e-6, 1e6, NULL, "of the softmax that shares tokens out to frames; large: equally (released: 0.01)"},
};

/* The video in work: unit rows of the channels that vary least, and what each token scores. */
struct outliers {
    size_t T, N, width;  /* width: channels looked at */
    float *unit;         /* [T*N][width] */
    float *score;        /* [T*N] likeness to the video's mean and to the frame's */
    float *unlike;       /* [T] how unlike the video a frame is, by the mean of its tokens */
};

static float variance(const float *rows, size_t n, size_t d, size_t channel)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)rows[i * d + channel];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += ((double)rows[i * d + channel] - mean) * ((double)rows[i * d + channel] - mean);
    return (float)(squares / (double)n);
}

/* Half of the channels, those of least variance over the video; each token of unit length in them. */
static bool look_at_quiet_channels(struct outliers *o, const float *rows, size_t d, struct arena *arena)
{
    size_t n = o->T * o->N;
    float *quiet = arena_alloc(arena, d, sizeof *quiet), *row = arena_alloc(arena, n * o->width, sizeof *row);
    uint32_t *channel = arena_alloc(arena, d, sizeof *channel);
    if (!quiet || !row || !channel)
        return false;
    for (size_t c = 0; c < d; c++)
        quiet[c] = -variance(rows, n, d, c);
    topk_select(quiet, d, o->width, channel);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < o->width; c++)
            row[i * o->width + c] = rows[i * d + channel[c]];
    o->unit = sim_unit_rows(row, n, o->width, arena);
    return o->unit;
}

static void mean_row(const float *rows, size_t n, size_t width, double *sum, float *mean)
{
    for (size_t c = 0; c < width; c++)
        sum[c] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < width; c++)
            sum[c] += (double)rows[i * width + c];
    for (size_t c = 0; c < width; c++)
        mean[c] = (float)(sum[c] / (double)n);
}

/* Sum of Gaussians of five widths at the distance of two rows. */
static float likeness(const float *a, const float *b, size_t width)
{
    float distance = sim_distance2(a, b, width), sum = 0;
    for (float alpha = 0.125f; alpha <= 2; alpha *= 2)
        sum += expf(-distance / (2 * alpha));
    return sum;
}

static bool score_tokens(struct outliers *o, struct arena *arena)
{
    double *sum = arena_alloc(arena, o->width, sizeof *sum);
    float *of_video = arena_alloc(arena, o->width, sizeof *of_video), *of_frame = arena_alloc(arena, o->width, sizeof *of_frame);
    o->score = arena_alloc(arena, o->T * o->N, sizeof *o->score);
    o->unlike = arena_alloc(arena, o->T, sizeof *o->unlike);
    if (!sum || !of_video || !of_frame || !o->score || !o->unlike)
        return false;
    mean_row(o->unit, o->T * o->N, o->width, sum, of_video);
    for (size_t t = 0; t < o->T; t++) {
        const float *frame = o->unit + t * o->N * o->width;
        double alike = 0;
        mean_row(frame, o->N, o->width, sum, of_frame);
        for (size_t i = 0; i < o->N; i++) {
            float to_video = likeness(frame + i * o->width, of_video, o->width);
            alike += (double)to_video;
            o->score[t * o->N + i] = to_video + likeness(frame + i * o->width, of_frame, o->width);
        }
        o->unlike[t] = (float)(-alike / (double)o->N);
    }
    return true;
}

/* Tokens of frame t: an equal share, more where the softmax of unlikeness over frames is above its mean, less where below. */
static size_t frame_tokens(const double *values, const struct outliers *o, size_t t)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < o->T; i++)
        most = fmax(most, (double)o->unlike[i]);
    for (size_t i = 0; i < o->T; i++)
        sum += exp(((double)o->unlike[i] - most) / values[TEMPERATURE]);
    double part = exp(((double)o->unlike[t] - most) / values[TEMPERATURE]) / sum;
    double tokens = nearbyint(fmin(values[KEEP] * (1 + part - 1 / (double)o->T), 1) * (double)o->N);
    return tokens < 1 ? 1 : (size_t)tokens;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    const struct grid_view *grid = &video->pooled;
    struct outliers o = {.T = (size_t)video->T, .N = (size_t)grid->h * (size_t)grid->w, .width = (size_t)grid->d / 2};
    uint32_t *keep = arena_alloc(arena, o.T * o.N, sizeof *keep);
    size_t kept = 0;
    if (!keep || !look_at_quiet_channels(&o, grid->H, (size_t)grid->d, arena) || !score_tokens(&o, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < o.T * o.N; i++)
        o.score[i] = -o.score[i];
    for (size_t t = 0; t < o.T; t++) {
        size_t wanted = budget ? tokens_wanted(0, budget, (int)t, o.N) : frame_tokens(values, &o, t);
        topk_select(o.score + t * o.N, o.N, wanted, keep + kept);
        for (size_t i = 0; i < wanted; i++)
            keep[kept++] += (uint32_t)(t * o.N);
    }
    return plan_select(video, keep, kept, arena, out, err);
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    double n = (double)shape->T * (double)shape->pooled.h * (double)shape->pooled.w;
    *source = "about";
    return kept_ratio(fmax(values[KEEP] * n, (double)shape->T), &shape->pooled, false, shape, native);
}

const struct compressor compressor_vidcom2 = {
    .name = "vidcom2",
    .summary = "keeps the tokens that are least like their video and frame, and more of them in unusual frames",
    .source = "arXiv 2505.14454; xuyang-liu16/VidCom2 token_compressor/vidcom2/vidcom2.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = EXACT_BUDGET,
    .needs = needs_h_pooled,
    .domain = domain_pooled,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
