/* SparseVLM (Zhang et al., ICML 2025): after three layers, the visual tokens stay that those rows of the question attend to most which have
 * something to do with the picture, the raters; what goes is recycled, the better part of it clustered into a few tokens behind the
 * others. The second version corrects attention for distance, listens to some heads and recycles nothing. */
#include "compressors/methods.h"

#include "compressors/layer.h"
#include "compressors/peaks.h"
#include "compressors/rank.h"
#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>
#include <string.h>

enum { STAGES = 3, SIZES = 4 };
enum { RETAIN, KEEP1, KEEP2, KEEP3, LAYER1, LAYER2, LAYER3, COUNT, SCALE, FORM, RECYCLE, CLUSTERS, MERGE, HEADS, MARKERS, SIZE_POWER };
enum { COUNT_GIVEN, COUNT_RANK };
enum { FORM_V1, FORM_V2 };
enum { MERGE_MEAN, MERGE_SUM };

static const char *const counts[] = {"given", "rank", NULL};
static const char *const forms[] = {"v1", "v2", NULL};
static const char *const merges[] = {"mean", "sum", NULL};
static const char *const instead[] = {"keep1", NULL};

static const struct option options[] = {
    {"retain", OPTION_INT, 192, 64, 192, NULL, "tokens of 576 that a model of 32 layers has on average (RETAIN_TOKN): 192, 128, 96 or 64"},
    {"keep1", OPTION_REAL, NAN, 0, 1, NULL, "share kept from the first stage on, of the tokens that entered; unset: what retain stands for"},
    {"keep2", OPTION_REAL, NAN, 0, 1, NULL, "from the second; unset: as much less than before as for retain"},
    {"keep3", OPTION_REAL, NAN, 0, 1, NULL, "from the third; likewise"},
    {"layer1", OPTION_INT, NAN, 1, 1000, NULL, "first layer of the first stage, counted from 0; unset: behind layer 2 of 32, in proportion"},
    {"layer2", OPTION_INT, NAN, 0, 1000, NULL, "of the second; unset: behind layer 6 of 32; 0: there is none"},
    {"layer3", OPTION_INT, NAN, 0, 1000, NULL, "of the third; unset: behind layer 15 of 32; 0: there is none"},
    {"count", OPTION_CHOICE, COUNT_GIVEN, 0, 0, counts,
     "given: shares, as released for images; rank: n - scale (n - the rank of the raters' attention), as in the paper and released for video"},
    {"scale", OPTION_REAL, 1, 0, 2, NULL, "the paper's lambda, for count: rank"},
    {"form", OPTION_CHOICE, FORM_V1, 0, 0, forms, "v1: positions 0..n-1, recycling; v2 (SparseVLM+): attention corrected, some heads, positions kept, no recycling"},
    {"recycle", OPTION_REAL, 0.3, 0, 1, NULL, "v1: share of dropped tokens, and one more, that is clustered; 0: none"},
    {"clusters", OPTION_REAL, 0.1, 0, 1, NULL, "v1: clusters per such token, and one more"},
    {"merge", OPTION_CHOICE, MERGE_MEAN, 0, 0, merges, "v1: a cluster becomes its mean, as released, or its sum, as in the paper"},
    {"heads", OPTION_INT, 14, 1, 1000, NULL, "v2: heads listened to, those whose raters attend to the visual tokens most"},
    {"markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and are not counted; ranked: like any token, as upstream"},
    {"size_power", OPTION_REAL, 0, -4, 4, NULL, "scores are multiplied by size^this where tokens were merged before; 0: plain, 1 favours big groups"},
};

/* ---- stages -------------------------------------------------------------------------------------------------------------- */

enum { NO_STAGE = -1 };

/* First layer of stage i. */
static int stage_layer(const double *values, int i, int n_layers)
{
    static const int released[STAGES] = {3, 7, 16};
    int layer = layer_in_proportion(released[i], 32, n_layers);
    if (isnan(values[LAYER1 + i]))
        return layer > i + 1 ? layer : i + 1;
    return values[LAYER1 + i] == 0 ? NO_STAGE : (int)values[LAYER1 + i];
}

static int stage_of(const double *values, int layer, int n_layers)
{
    for (int i = 0; i < STAGES; i++)
        if (stage_layer(values, i, n_layers) == layer)
            return i;
    return NO_STAGE;
}

static const int sizes[SIZES] = {192, 128, 96, 64};

static double stage_share(const double *values, int i)
{
    static const double released[2][SIZES][STAGES] = {{{300, 200, 110}, {303, 110, 36}, {238, 48, 26}, {66, 30, 17}},
                                                      {{300, 200, 118}, {238, 108, 60}, {246, 54, 28}, {66, 34, 20}}};
    int size = 0;
    while (size < SIZES - 1 && (double)sizes[size] != values[RETAIN])
        size++;
    const double *list = released[(int)values[FORM]][size];
    if (!isnan(values[KEEP1 + i]))
        return values[KEEP1 + i];
    bool as_released = isnan(values[KEEP1]) && (i < 2 || isnan(values[KEEP2]));
    return as_released ? list[i] / 576 : stage_share(values, i - 1) * list[i] / list[i - 1];
}

static int check(const double *values, struct err *err)
{
    bool known = false;
    for (int i = 0; i < SIZES; i++)
        known |= (double)sizes[i] == values[RETAIN];
    if (!known)
        return err_set(err, ERR_CONFIG, "compressor sparsevlm: 'retain' should be 192, 128, 96 or 64, it is %g; for others give keep1 to keep3",
                       values[RETAIN]);
    for (int i = 1; i < STAGES; i++)
        if (stage_share(values, i) > stage_share(values, i - 1))
            return err_set(err, ERR_CONFIG, "compressor sparsevlm: 'keep%d' is larger than the share kept before; tokens do not come back",
                           i + 1);
    return 0;
}

static int fits(const double *values, int n_layers, struct err *err)
{
    static const char *const names[] = {"layer1", "layer2", "layer3"};
    int rc = 0, before = 0;
    for (int i = 0; i < STAGES && !rc; i++) {
        int layer = stage_layer(values, i, n_layers);
        if (layer == NO_STAGE)
            continue;
        if (!isnan(values[LAYER1 + i]))
            rc = layer_fits("sparsevlm", names[i], layer, n_layers, err);
        if (!rc && layer <= before)
            rc = err_set(err, ERR_CONFIG, "compressor sparsevlm: stage %d begins at layer %d and the one before at layer %d; let them ascend",
                         i + 1, layer, before);
        before = layer;
    }
    return rc;
}

static bool recycles(const double *values)
{
    return (int)values[FORM] == FORM_V1 && values[RECYCLE] > 0;
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory;
    bool second = (int)values[FORM] == FORM_V2;
    out->call = point == POINT_PRE && stage_of(values, layer, n_layers) >= 0;
    out->rows = ROWS_QUESTION;
    out->entered = true;
    out->hidden = recycles(values);
    out->heads = second ? HEADS_EACH : HEADS_MEAN;
    out->rotation = second;
}

/* ---- raters -------------------------------------------------------------------------------------------------------------- */

struct ratings {
    uint32_t *rater; /* [n_raters] rows of the question */
    size_t n_raters;
    float *rows;     /* [n_raters][n] their attention to each token, mean over the heads that count; 0 to markers that are not ranked */
    float *score;    /* [n] mean over raters */
};

/* Adds to mean[] the softmax over the question's rows of their products with one visual row. */
static void ask(const struct layer_view *view, const float *visual, float *logit, double *mean)
{
    float most = -INFINITY;
    double sum = 0;
    for (size_t q = 0; q < view->n_asked; q++) {
        logit[q] = sim_dot(visual, view->asked + q * (size_t)view->d, (size_t)view->d);
        most = logit[q] > most ? logit[q] : most;
    }
    for (size_t q = 0; q < view->n_asked; q++)
        sum += exp((double)(logit[q] - most));
    for (size_t q = 0; q < view->n_asked; q++)
        mean[q] += exp((double)(logit[q] - most)) / sum / (double)view->n_entered;
}

/* The rows of the question that visual rows match more than the average; all when none stands out. */
static bool choose_raters(const struct layer_view *view, struct ratings *r, struct arena *arena)
{
    double *mean = arena_alloc(arena, view->n_asked, sizeof *mean);
    float *logit = arena_alloc(arena, view->n_asked, sizeof *logit);
    r->rater = arena_alloc(arena, view->n_asked, sizeof *r->rater);
    if (!mean || !logit || !r->rater)
        return false;
    for (size_t i = 0; i < view->n_entered; i++)
        ask(view, view->entered + i * (size_t)view->d, logit, mean);
    for (size_t q = 0; q < view->n_asked; q++)
        if (mean[q] > 1 / (double)view->n_asked) /* their sum is 1 */
            r->rater[r->n_raters++] = (uint32_t)q;
    bool any = r->n_raters;
    for (size_t q = 0; q < view->n_asked && !any; q++)
        r->rater[r->n_raters++] = (uint32_t)q;
    return true;
}

/* A rater's attention through one head; divided by what distance alone makes of it where that is known. */
static float attends(const struct layer_view *view, size_t rater, size_t head, size_t token)
{
    float weight = view->rows[(rater * (size_t)view->heads + head) * view->n + token];
    return view->rotation ? weight / view->rotation[rater * view->n + token] : weight;
}

/* chosen[heads]: those whose raters attend to the visual tokens most. */
static bool choose_heads(const struct layer_view *view, const struct ratings *r, size_t count, uint8_t *chosen, struct arena *arena)
{
    size_t heads = (size_t)view->heads;
    float *sum = arena_alloc(arena, heads, sizeof *sum);
    for (size_t h = 0; h < heads && sum; h++)
        for (size_t k = 0; k < r->n_raters; k++)
            for (size_t i = 0; i < view->n; i++)
                sum[h] += attends(view, r->rater[k], h, i);
    if (sum)
        topk_mark(sum, heads, count, chosen);
    return sum;
}

static bool rate(const double *values, const struct layer_view *view, struct ratings *r, struct arena *arena)
{
    size_t heads = (size_t)view->heads, n = view->n, count = heads;
    if ((int)values[FORM] == FORM_V2 && values[HEADS] < (double)heads)
        count = (size_t)values[HEADS];
    uint8_t *chosen = arena_alloc(arena, heads, 1);
    if (!choose_raters(view, r, arena) || !chosen || !choose_heads(view, r, count, chosen, arena))
        return false;
    r->rows = arena_alloc(arena, r->n_raters * n, sizeof *r->rows);
    r->score = arena_alloc(arena, n, sizeof *r->score);
    if (!r->rows || !r->score)
        return false;
    for (size_t k = 0; k < r->n_raters; k++)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < n && chosen[h]; i++)
                if ((int)values[MARKERS] == LAYER_MARKERS_RANKED || !layer_is_marker(&view->tok[i]))
                    r->rows[k * n + i] += attends(view, r->rater[k], h, i) / (float)count;
    for (size_t k = 0; k < r->n_raters; k++)
        for (size_t i = 0; i < n; i++)
            r->score[i] += r->rows[k * n + i];
    for (size_t i = 0; i < n; i++)
        r->score[i] *= (values[SIZE_POWER] != 0 ? (float)pow((double)view->tok[i].size, values[SIZE_POWER]) : 1) / (float)r->n_raters;
    return true;
}

/* ---- how many ------------------------------------------------------------------------------------------------------------ */

/* Ranked tokens that stay in this stage. */
static bool count_kept(const double *values, const struct layer_view *view, const struct ratings *r, size_t *kept, struct arena *arena)
{
    int markers = (int)values[MARKERS];
    size_t ranked = layer_ranked(view, markers), rank = 0;
    if ((int)values[COUNT] == COUNT_GIVEN) {
        double entered = (double)(markers == LAYER_MARKERS_RANKED ? view->n_entered : view->n_content);
        *kept = (size_t)nearbyint(stage_share(values, stage_of(values, view->layer, view->n_layers)) * entered);
        return true;
    }
    if (!rank_of_rows(r->rows, r->n_raters, view->n, &rank, arena))
        return false;
    double gone = rank < ranked ? floor(values[SCALE] * (double)(ranked - rank)) : 0;
    *kept = gone < (double)ranked ? ranked - (size_t)gone : 0;
    return true;
}

/* ---- recycling ----------------------------------------------------------------------------------------------------------- */

struct recycled {
    uint32_t *token; /* [n] dropped ones, best first */
    size_t n;
    struct peaks peaks;
};

static bool cluster(const double *values, const struct layer_view *view, const float *score, const uint8_t *keep, struct recycled *out,
                    struct arena *arena)
{
    size_t dropped = 0;
    float *of_dropped = arena_alloc(arena, view->n, sizeof *of_dropped);
    uint32_t *token = arena_alloc(arena, view->n, sizeof *token);
    out->token = arena_alloc(arena, view->n, sizeof *out->token);
    if (!of_dropped || !token || !out->token)
        return false;
    for (size_t i = 0; i < view->n; i++)
        if (!keep[i]) {
            of_dropped[dropped] = score[i];
            token[dropped++] = (uint32_t)i;
        }
    size_t wanted = (size_t)((double)dropped * values[RECYCLE]) + 1;
    out->n = wanted < dropped ? wanted : dropped;
    float *distance = arena_alloc(arena, out->n * out->n, sizeof *distance);
    const struct sim_rows rows = {.near = view->hidden, .n = view->n, .width = (size_t)view->d};
    if (!distance || !topk_rank(of_dropped, dropped, out->n, out->token, arena))
        return false;
    for (size_t k = 0; k < out->n; k++)
        out->token[k] = token[out->token[k]];
    size_t clusters = (size_t)((double)out->n * values[CLUSTERS]) + 1;
    clusters = clusters < out->n ? clusters : out->n;
    struct err none;
    return !peaks_distances(&rows, (struct row_list){.of = out->token, .n = out->n}, distance, &none) &&
           peaks_cluster(distance, out->n, clusters, clusters, false, &out->peaks, arena);
}

/* One token behind the others: what cluster k becomes. */
static void push_cluster(const double *values, const struct layer_view *view, const struct recycled *recycled, uint32_t k,
                         struct tok_plan *out)
{
    struct out_tok *tok = &out->tok[out->n_tok++];
    size_t members = 0;
    for (size_t i = 0; i < recycled->n; i++)
        members += recycled->peaks.of[i] == k;
    *tok = view->tok[recycled->token[recycled->peaks.centre[k]]];
    tok->size = 0;
    tok->row0 = (uint32_t)out->n_taps;
    for (size_t i = 0; i < recycled->n; i++)
        if (recycled->peaks.of[i] == k) {
            out->taps[out->n_taps++] = (struct tap){recycled->token[i], (int)values[MERGE] == MERGE_SUM ? 1 : 1 / (float)members};
            layer_widen(tok, &view->tok[recycled->token[i]]);
        }
    tok->row1 = (uint32_t)out->n_taps;
}

static int recycle(const double *values, const struct layer_view *view, const float *score, const uint8_t *keep, struct arena *arena,
                   struct layer_plan *out, struct err *err)
{
    struct recycled recycled;
    int rc = layer_plan_keep(view, keep, POSITIONS_COMPACT, arena, out, err);
    if (rc || !out->merge.tok)
        return rc;
    struct tok_plan kept = out->merge;
    if (!cluster(values, view, score, keep, &recycled, arena) ||
        !tok_plan_reserve(&out->merge, view->T, view->h, view->w, kept.n_tok + recycled.peaks.n_centres, kept.n_taps + recycled.n, arena))
        return err_no_memory(err, "recycled tokens");
    memcpy(out->merge.tok, kept.tok, kept.n_tok * sizeof *kept.tok);
    memcpy(out->merge.taps, kept.taps, kept.n_taps * sizeof *kept.taps);
    out->merge.n_tok = kept.n_tok;
    out->merge.n_taps = kept.n_taps;
    out->merge.positions = POSITIONS_COMPACT;
    for (uint32_t k = 0; k < recycled.peaks.n_centres; k++)
        push_cluster(values, view, &recycled, k, &out->merge);
    return 0;
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    struct ratings ratings = {0};
    uint8_t *keep = arena_alloc(arena, view->n, 1);
    size_t kept;
    (void)point;
    if (!keep || !rate(values, view, &ratings, arena) || !count_kept(values, view, &ratings, &kept, arena))
        return err_no_memory(err, "the ratings of visual tokens");
    layer_keep_best(view, (int)values[MARKERS], kept, ratings.score, keep);
    if (recycles(values))
        return recycle(values, view, ratings.score, keep, arena, out, err);
    return layer_plan_keep(view, keep, (int)values[FORM] == FORM_V2 ? POSITIONS_KEEP : POSITIONS_COMPACT, arena, out, err);
}

const struct compressor compressor_sparsevlm = {
    .name = "sparsevlm",
    .summary = "drops tokens in stages, those that the question's telling rows hardly attend to, and recycles some",
    .source = "Gumpest/SparseVLMs llava/model/language_model/{modelling_sparse_llama,score,utils}.py; arXiv 2410.04417",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .instead = instead,
    .flags = QDEP_LAYER,
    .check = check,
    .fits = fits,
    .want = want,
    .layer = layer,
};
