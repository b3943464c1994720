/* FastVID (Shen et al., NeurIPS 2025): the video is cut where adjacent frames differ; each frame keeps its salient
 * tokens; of each segment, anchors in every fourth frame, counted from its end, take in the tokens that are most like them. Query-free,
 * class A, positions of the survivors kept. The two released programs share out and merge in slightly different ways; both are here.
 *
 * They cut and rank by SigLIP's own pooling head, which LLaVA's checkpoints lack. Without it the frame's mean vision feature and
 * attention received stand for it. */
#include "compressors/methods.h"
#include "compressors/peaks.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>

enum { KEEP, PROGRAM, GUIDE, SEGMENTS, TAU, CONTEXT, EVERY, BETA, POSITIONS, MARKERS };

enum { PROGRAM_ONEVISION, PROGRAM_VIDEO };
enum { GUIDE_TOWER, GUIDE_HEAD };
enum { NEAREST = 4 };

static const char *const programs[] = {"onevision", "video", NULL};
static const char *const guides[] = {"tower", "head", NULL};
static const char *const positions[] = {"keep", "compact", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.1, 0, 1, NULL, "share of each frame's tokens, rounded down, markers not counted (released: 0.1)"},
    {"program", OPTION_CHOICE, PROGRAM_ONEVISION, 0, 0, programs, "the release for LLaVA-OneVision, or that for LLaVA-Video: remainders, and whether anchors join anchors"},
    {"guide", OPTION_CHOICE, GUIDE_TOWER, 0, 0, guides,
     "what ranks tokens and compares frames: attention received and mean X; or the tower's pooling head, as released, if the checkpoint has it"},
    {"segments", OPTION_INT, 8, 1, 65536, NULL, "least number of segments (DySeg c)"},
    {"tau", OPTION_REAL, 0.9, -1, 1, NULL, "frames less alike than this are cut apart (DySeg tau)"},
    {"context", OPTION_REAL, 0.4, 0, 1, NULL, "share of a frame's tokens that are merged, not salient, rounded down (STPrune d)"},
    {"every", OPTION_INT, 4, 1, 65536, NULL, "frames of a segment per frame with anchors (DTM p)"},
    {"beta", OPTION_REAL, 0.6, 0, 1, NULL, "least weight of an anchor beside the mean of what joins it (DTM beta)"},
    {"positions", OPTION_CHOICE, 0, 0, 0, positions, "those that the tokens had, as released, or 0..n-1"},
    {"markers", OPTION_CHOICE, MARKERS_KEPT, 0, 0, marker_choices, "of rows and frames: all, or of those that have a token left, as released"},
};

static bool head(const double *values)
{
    return (int)values[GUIDE] == GUIDE_HEAD;
}

static unsigned needs(const double *values)
{
    return NEED_H_POOLED | NEED_SUMS | (head(values) ? NEED_PROBE_POOLED | NEED_FRAME : NEED_SAL_POOLED | NEED_X_POOLED);
}

/* ---- segments ------------------------------------------------------------------------------------------------------------ */

struct frame {
    size_t first, end;           /* frames of its segment */
    size_t n_salient, n_context; /* tokens of each kind */
    uint32_t *rest;              /* cells that are not salient, ascending */
    size_t n_rest;
    uint32_t *anchor;            /* [n_context] places in rest, best first */
};

/* Makes the mean rows of frames, behind the rows of their tokens. */
static int average_frames(const struct sim_rows *rows, size_t T, struct arena *arena, struct err *err)
{
    size_t N = rows->n / T;
    struct tap *taps = arena_alloc(arena, rows->n, sizeof *taps);
    uint32_t *begin = arena_alloc(arena, T + 1, sizeof *begin);
    if (!taps || !begin)
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < rows->n; i++)
        taps[i] = (struct tap){(uint32_t)i, (float)N};
    for (size_t t = 0; t <= T; t++)
        begin[t] = (uint32_t)(t * N);
    return sim_sum(rows, &(struct sim_sums){.first = rows->n, .n = T, .begin = begin, .taps = taps, .divide = true}, err);
}

/* alike[t]: what frames t and t + 1 are compared by, one row each, of length 1. */
static int compare_frames(const double *values, const struct vid_view *video, float *alike, struct arena *arena, struct err *err)
{
    const struct grid_view *grid = &video->pooled;
    size_t T = (size_t)video->T, n = head(values) ? T : T * (size_t)grid->h * (size_t)grid->w, first = head(values) ? 0 : n;
    struct sim_rows rows = {.near = head(values) ? grid->frame : grid->X, .n = n, .width = (size_t)grid->dx, .far = head(values) ? NULL : grid->far_X};
    const struct row_list frames = {.first = first, .n = T};
    struct row_pair *pairs = arena_alloc(arena, T, sizeof *pairs);
    float *norm = arena_alloc(arena, T, sizeof *norm);
    if (!pairs || !norm)
        return err_no_memory(err, "a token plan");
    for (uint32_t t = 0; t + 1 < T; t++)
        pairs[t] = (struct row_pair){(uint32_t)(n + T) + t, (uint32_t)(n + T) + t + 1};
    int rc = sim_room(&rows, 2 * T, arena, err);
    if (!rc && !head(values))
        rc = average_frames(&rows, T, arena, err);
    if (!rc)
        rc = sim_lengths(&rows, frames, norm, arena, err);
    if (!rc)
        rc = sim_units(&rows, frames, norm, n + T, arena, err);
    return rc ? rc : sim_pairs(&rows, pairs, T - 1, false, alike, err);
}

/* Cuts after the frames that are least like the next: segments - 1 of them at least, and all below tau. */
static int cut(const double *values, const struct vid_view *video, struct frame *frames, struct arena *arena, struct err *err)
{
    size_t T = (size_t)video->T;
    float *apart = arena_alloc(arena, T, sizeof *apart);
    uint8_t *ends = arena_alloc(arena, T, 1);
    if (!apart || !ends)
        return err_no_memory(err, "a token plan");
    int rc = compare_frames(values, video, apart, arena, err);
    if (rc)
        return rc;
    for (size_t t = 0; t + 1 < T; t++)
        apart[t] = -apart[t];
    topk_mark(apart, T - 1, (size_t)values[SEGMENTS] - 1, ends);
    for (size_t t = 0, first = 0; t < T; t++) {
        if (t + 1 < T && !ends[t] && !(-apart[t] < (float)values[TAU]))
            continue;
        for (size_t i = first; i <= t; i++)
            frames[i] = (struct frame){.first = first, .end = t + 1};
        first = t + 1;
    }
    return 0;
}

/* ---- how many of each -------------------------------------------------------------------------------------------------- */

/* Every frame keeps as many salient tokens; frames with anchors share the rest of their segment's, what does not divide being lost. */
static void share_onevision(const double *values, struct frame *frames, size_t T, size_t keep)
{
    size_t context = (size_t)((double)keep * values[CONTEXT]), every = (size_t)values[EVERY];
    for (size_t t = 0; t < T; t++) {
        size_t length = frames[t].end - frames[t].first, anchored = (length + every - 1) / every;
        frames[t].n_salient = keep - context;
        frames[t].n_context = (frames[t].end - 1 - t) % every ? 0 : context * length / anchored;
    }
}

/* A segment's tokens are split as a whole, remainders going to the first frame with salient tokens and to the last with anchors. */
static void share_video(const double *values, struct frame *frames, size_t T, size_t keep)
{
    size_t every = (size_t)values[EVERY];
    for (size_t t = 0; t < T; t++) {
        size_t length = frames[t].end - frames[t].first, anchored = (length + every - 1) / every, from_end = frames[t].end - 1 - t;
        size_t context = (size_t)((double)(keep * length) * values[CONTEXT]), salient = keep * length - context;
        frames[t].n_salient = salient / length + (t - frames[t].first < salient % length);
        frames[t].n_context = from_end % every ? 0 : context / anchored + (from_end / every < context % anchored);
    }
}

static void share(const double *values, struct frame *frames, size_t T, size_t N)
{
    size_t keep = (size_t)((double)N * values[KEEP]);
    if ((int)values[PROGRAM] == PROGRAM_VIDEO)
        share_video(values, frames, T, keep);
    else
        share_onevision(values, frames, T, keep);
    for (size_t t = 0; t < T; t++) { /* segments of few frames may ask for more than there are */
        size_t rest = N - frames[t].n_salient;
        frames[t].n_context = frames[t].n_context < rest ? frames[t].n_context : rest;
    }
}

/* ---- tokens -------------------------------------------------------------------------------------------------------------- */

struct fastvid {
    const double *values;
    const struct grid_view *grid;
    size_t T, N;
    struct sim_rows rows;      /* H, and behind it the same of length 1 */
    struct frame *frames;
    uint32_t *row;             /* [N] */
    float *distance, *score;   /* [N][N], [N] */
    struct arena *arena;
    struct tok_plan *plan;
    uint32_t *scope, *targets; /* unit rows of the tokens of a scope that are not salient; those of a frame's anchors */
    float *alike;              /* [scope][targets] */
    uint32_t *joins;           /* of each token of the scope, the anchor it joins */
    size_t *joined;
};

/* Splits a frame's cells into salient ones, which are kept as they are, and the rest. */
static bool keep_salient(struct fastvid *f, size_t t)
{
    struct frame *frame = &f->frames[t];
    uint8_t *salient = arena_alloc(f->arena, f->N, 1);
    frame->rest = arena_alloc(f->arena, f->N, sizeof *frame->rest);
    if (!salient || !frame->rest)
        return false;
    topk_mark(f->grid->sal + t * f->N, f->N, frame->n_salient, salient);
    for (size_t i = 0; i < f->N; i++) {
        if (salient[i])
            plan_push_source(f->plan, (uint32_t)(t * f->N + i));
        else
            frame->rest[frame->n_rest++] = (uint32_t)i;
    }
    return true;
}

static int choose_anchors(struct fastvid *f, size_t t, struct err *err)
{
    struct frame *frame = &f->frames[t];
    if (!frame->n_context)
        return 0;
    frame->anchor = arena_alloc(f->arena, frame->n_context, sizeof *frame->anchor);
    for (size_t i = 0; i < frame->n_rest; i++)
        f->row[i] = (uint32_t)(t * f->N + frame->rest[i]);
    int rc = peaks_distances(&f->rows, (struct row_list){.of = f->row, .n = frame->n_rest}, f->distance, err);
    if (rc)
        return rc;
    bool fine = frame->anchor && peaks_scores(f->distance, frame->n_rest, NEAREST, f->score, f->arena) &&
                topk_rank(f->score, frame->n_rest, frame->n_context, frame->anchor, f->arena);
    return fine ? 0 : err_no_memory(err, "a token plan");
}

static uint32_t anchor_source(const struct fastvid *f, size_t t, size_t k)
{
    return (uint32_t)(t * f->N + f->frames[t].rest[f->frames[t].anchor[k]]);
}

/* Frames whose tokens join the anchors of frame t: those of its segment. The program for LLaVA-OneVision has a path for segments of one
 * frame that frames of others take when their anchors are as many as each frame's share. */
static void scope(const struct fastvid *f, size_t t, size_t *first, size_t *end)
{
    size_t context = (size_t)((double)(size_t)((double)f->N * f->values[KEEP]) * f->values[CONTEXT]);
    bool alone = (int)f->values[PROGRAM] == PROGRAM_ONEVISION && f->frames[t].n_context == context;
    *first = alone ? t : f->frames[t].first;
    *end = alone ? t + 1 : f->frames[t].end;
}

static bool is_anchor(const struct fastvid *f, size_t t, uint32_t source)
{
    for (size_t k = 0; k < f->frames[t].n_context; k++)
        if (anchor_source(f, t, k) == source)
            return true;
    return false;
}

/* Finds for each token of the scope that is not salient the anchor of frame t it is most like. The program for LLaVA-Video leaves these
 * anchors themselves out. */
static int join(struct fastvid *f, size_t t, struct err *err)
{
    size_t n = 0, first, end, anchors = f->frames[t].n_context;
    scope(f, t, &first, &end);
    for (size_t k = 0; k < anchors; k++) {
        f->joined[k] = 0;
        f->targets[k] = (uint32_t)f->rows.n + anchor_source(f, t, k);
    }
    for (size_t s = first; s < end; s++)
        for (size_t i = 0; i < f->frames[s].n_rest; i++)
            f->scope[n++] = (uint32_t)(f->rows.n + s * f->N + f->frames[s].rest[i]);
    int rc = sim_block(&f->rows, (struct row_list){.of = f->scope, .n = n}, (struct row_list){.of = f->targets, .n = anchors}, SIM_PRODUCT, f->alike, err);
    for (size_t i = 0; i < n && !rc; i++) {
        uint32_t source = f->scope[i] - (uint32_t)f->rows.n;
        f->joins[i] = UINT32_MAX;
        if ((int)f->values[PROGRAM] == PROGRAM_VIDEO && source / f->N == t && is_anchor(f, t, source))
            continue;
        f->joins[i] = (uint32_t)topk_best(f->alike + i * anchors, anchors);
        f->joined[f->joins[i]]++;
    }
    return rc;
}

/* An anchor and the mean of what joined it, itself included where it did. */
static void push_anchor(struct fastvid *f, size_t t, size_t k)
{
    struct tok_plan *plan = f->plan;
    uint32_t anchor = anchor_source(f, t, k);
    size_t taps = plan->n_taps, n = 0, first, end;
    float joined = (float)f->joined[k], own = fmaxf(1 / (joined + 1), (float)f->values[BETA]), each = f->joined[k] ? (1 - own) / joined : 0;
    if (!f->joined[k])
        own = 1;
    plan->taps[plan->n_taps++] = (struct tap){anchor, own};
    scope(f, t, &first, &end);
    for (size_t s = first; s < end; s++)
        for (size_t i = 0; i < f->frames[s].n_rest; i++, n++) {
            uint32_t source = (uint32_t)(s * f->N + f->frames[s].rest[i]);
            if (f->joins[n] != k)
                continue;
            if (source == anchor)
                plan->taps[taps].w += each;
            else if (each > 0)
                plan->taps[plan->n_taps++] = (struct tap){source, each};
        }
    plan_push_sum(plan, taps, anchor);
}

/* Room for the plan and for the work on a frame, and the rows of length 1. */
static int room(struct fastvid *f, struct err *err)
{
    const struct row_list all = {.n = f->rows.n};
    size_t taps = 0, tokens = 0, most = 0, widest = 0;
    for (size_t t = 0; t < f->T; t++) {
        const struct frame *frame = &f->frames[t];
        size_t sources = (frame->end - frame->first) * f->N;
        tokens += frame->n_salient + frame->n_context;
        taps += frame->n_salient + (frame->n_context ? sources + frame->n_context : 0);
        most = frame->n_context > most ? frame->n_context : most;
        widest = sources > widest ? sources : widest;
    }
    f->row = arena_alloc(f->arena, f->N, sizeof *f->row);
    f->distance = arena_alloc(f->arena, f->N * f->N, sizeof *f->distance);
    f->score = arena_alloc(f->arena, f->N, sizeof *f->score);
    f->targets = arena_alloc(f->arena, most, sizeof *f->targets);
    f->scope = arena_alloc(f->arena, widest, sizeof *f->scope);
    f->alike = arena_alloc(f->arena, widest * most, sizeof *f->alike);
    f->joined = arena_alloc(f->arena, most, sizeof *f->joined);
    f->joins = arena_alloc(f->arena, widest, sizeof *f->joins);
    float *norm = arena_alloc(f->arena, all.n, sizeof *norm);
    if (!f->row || !f->distance || !f->score || !f->targets || !f->scope || !f->alike || !f->joined || !f->joins || !norm ||
        !tok_plan_reserve(f->plan, (int)f->T, f->grid->h, f->grid->w, tokens, taps, f->arena))
        return err_no_memory(err, "a token plan");
    int rc = sim_lengths(&f->rows, all, norm, f->arena, err);
    if (!rc)
        rc = sim_room(&f->rows, all.n, f->arena, err);
    return rc ? rc : sim_units(&f->rows, all, norm, all.n, f->arena, err);
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question, (void)budget;
    const struct grid_view *grid = &video->pooled;
    struct fastvid f = {.values = values, .grid = grid, .T = (size_t)video->T, .N = (size_t)grid->h * (size_t)grid->w, .rows = rows_pooled(video),
                        .arena = arena, .plan = out, .frames = arena_alloc(arena, (size_t)video->T, sizeof *f.frames)};
    int rc = f.frames ? cut(values, video, f.frames, arena, err) : err_no_memory(err, "a token plan");
    if (rc)
        return rc;
    share(values, f.frames, f.T, f.N);
    rc = room(&f, err);
    out->positions = (int)values[POSITIONS] ? POSITIONS_COMPACT : POSITIONS_KEEP;
    out->drop_empty_marks = (int)values[MARKERS] == MARKERS_KEPT;
    for (size_t t = 0; t < f.T && !rc; t++)
        rc = keep_salient(&f, t) ? choose_anchors(&f, t, err) : err_no_memory(err, "a token plan");
    for (size_t t = 0; t < f.T && !rc; t++) {
        if (!f.frames[t].n_context)
            continue;
        rc = join(&f, t, err);
        for (size_t k = 0; k < f.frames[t].n_context && !rc; k++)
            push_anchor(&f, t, k);
    }
    return rc;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    double keep = floor((double)shape->pooled.h * (double)shape->pooled.w * values[KEEP]);
    *source = "at most";
    return kept_ratio(keep * (double)shape->T, &shape->pooled, false, shape, native);
}

const struct compressor compressor_fastvid = {
    .name = "fastvid",
    .summary = "keeps salient tokens and merges the rest of each segment of alike frames into anchors",
    .source = "arXiv 2503.11187; LunarShen/FastVID fastvid_llava*/LLaVA-NeXT/llava/model/language_model/modeling_qwen2.py",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .needs = needs,
    .domain = domain_pooled,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};
