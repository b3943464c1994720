/* Token Dynamics, later VQToken (arXiv 2503.16980): the tokens of the whole video are clustered into K codes (the
 * token base); which code stands in which cell is the token dynamics map. Query-free, class A.
 *
 * Forms: the base alone, its order the only trace of the map; runs of cells with equal codes, which keep the layout that an untrained
 * language model can read; and the trained fusion, for checkpoints that hold it. */
#include "compressors/groups.h"
#include "compressors/kmeans.h"
#include "compressors/methods.h"
#include "compressors/vq_fusion.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

enum { K, ADAPTIVE, K_MOST, FORM, GRID, CODES, ORDER, RUNS, ITERATIONS, SEED };

enum { FIXED, ELBOW, ELBOW_RELEASED, SILHOUETTE, SILHOUETTE_RELEASED };
enum { FORM_BASE, FORM_RUNS, FORM_FUSED, FORM_FUSED_PAPER };
enum { GRID_RAW, GRID_POOLED };
enum { CODES_RAW, CODES_UNIT };
enum { ORDER_FIRST, ORDER_LABEL };
enum { RUNS_ROWS, RUNS_TIME, RUNS_BOTH };

static const char *const adaptives[] = {"no", "elbow", "elbow_released", "silhouette", "silhouette_released", NULL};
static const char *const forms[] = {"base", "runs", "fused", "fused_paper", NULL};
static const char *const grids[] = {"raw", "pooled", NULL};
static const char *const codes[] = {"raw", "unit", NULL};
static const char *const orders[] = {"first", "label", NULL};
static const char *const runs[] = {"rows", "time", "both", NULL};

/* The adaptive scan begins here, in the released code. */
enum { K_LEAST = 12 };

static const struct option options[] = {
    {"k", OPTION_INT, 32, 1, 4096, NULL, "codes for the whole video (paper: 12, 32, 64)"},
    {"adaptive", OPTION_CHOICE, FIXED, 0, 0, adaptives,
     "chooses k between 12 and k_most: at the bend of the distortion; as released, where its place in the scan is taken for k - 4; by "
     "cosine silhouette; as released, where the score does not depend on k, so that it is 12"},
    {"k_most", OPTION_INT, 32, K_LEAST + 2, 256, NULL, "end of the adaptive scan (released: 32)"},
    {"form", OPTION_CHOICE, FORM_BASE, 0, 0, forms,
     "base: one token per code; runs: one per run of equal codes; fused: the released module; fused_paper: the paper's"},
    {"grid", OPTION_CHOICE, GRID_RAW, 0, 0, grids, "tokens that are clustered: the tower's patches, projected, or the pooled ones"},
    {"codes", OPTION_CHOICE, CODES_RAW, 0, 0, codes, "a code of base and runs is the mean of its tokens, or of their unit vectors, as released"},
    {"order", OPTION_CHOICE, ORDER_FIRST, 0, 0, orders, "codes of form base stand by first appearance, or by label, as released"},
    {"runs", OPTION_CHOICE, RUNS_ROWS, 0, 0, runs, "form runs: along rows, over time in one place, or both"},
    {"iterations", OPTION_INT, 50, 1, 1000, NULL, "most steps of k-means (released: 50 fixed, 100 adaptive)"},
    {"seed", OPTION_INT, 0, 0, 1e9, NULL, "of k-means++, counter-based; also keyed by video"},
};

static bool chosen(const double *values, int option, int choice)
{
    return (int)values[option] == choice;
}

static unsigned needs(const double *values)
{
    return NEED_SUMS | (chosen(values, GRID, GRID_RAW) ? NEED_H_RAW : NEED_H_POOLED);
}

static enum src_dom domain(const double *values)
{
    return chosen(values, GRID, GRID_RAW) ? DOM_H_RAW : DOM_H_POOLED;
}

static int check(const double *values, struct err *err)
{
    if (!chosen(values, FORM, FORM_RUNS) && !chosen(values, RUNS, RUNS_ROWS))
        return err_set(err, ERR_CONFIG, "compressor vqtoken: option 'runs' only applies to form: runs; leave it out");
    if (!chosen(values, FORM, FORM_BASE) && !chosen(values, ORDER, ORDER_FIRST))
        return err_set(err, ERR_CONFIG, "compressor vqtoken: option 'order' only applies to form: base; leave it out");
    bool fused = chosen(values, FORM, FORM_FUSED) || chosen(values, FORM, FORM_FUSED_PAPER);
    if (fused && !chosen(values, CODES, CODES_RAW))
        return err_set(err, ERR_CONFIG, "compressor vqtoken: the fusion reads unit codes in any case; leave option 'codes' out");
    return 0;
}

/* ---- how many codes ------------------------------------------------------------------------------------------------------ */

/* Place of the largest second difference; the first of equal ones. n >= 3. */
static size_t bend(const double *distortion, size_t n)
{
    size_t best = 0;
    double most = -INFINITY;
    for (size_t i = 0; i + 2 < n; i++) {
        double second = distortion[i + 2] - 2 * distortion[i + 1] + distortion[i];
        if (second > most) {
            most = second;
            best = i;
        }
    }
    return best;
}

/* Released: best_K = argmax(second differences) + 2 + 2, at least 12; the scan's own offset of 12 is not added. Intended: the k at the
 * bend. */
static size_t elbow_k(const double *values, const double *distortion, size_t n)
{
    size_t place = bend(distortion, n);
    if (chosen(values, ADAPTIVE, ELBOW))
        return K_LEAST + place + 1;
    return place + 4 < K_LEAST ? K_LEAST : place + 4;
}

static int adaptive_k(const double *values, struct kmeans *kmeans, size_t *out, struct err *err)
{
    double distortion[256], best_score = -INFINITY;
    size_t n = 0, most = kmeans->most;
    bool silhouette = chosen(values, ADAPTIVE, SILHOUETTE);
    int rc = 0;
    *out = most < K_LEAST ? most : K_LEAST;
    if (chosen(values, ADAPTIVE, SILHOUETTE_RELEASED) || most < K_LEAST + 2)
        return 0;
    for (size_t k = K_LEAST; k <= most && !rc; k++) {
        double score = -INFINITY;
        rc = kmeans_fit(kmeans, k, (int)values[ITERATIONS], err);
        if (!rc)
            rc = silhouette ? kmeans_silhouette(kmeans, &score, err) : kmeans_distortion(kmeans, &distortion[n++], err);
        if (score > best_score) {
            best_score = score;
            *out = k;
        }
    }
    if (!rc && !silhouette)
        *out = elbow_k(values, distortion, n);
    return rc;
}

/* ---- codes --------------------------------------------------------------------------------------------------------------- */

static const struct grid_view *grid_of(const double *values, const struct vid_view *video)
{
    return chosen(values, GRID, GRID_RAW) ? &video->raw : &video->pooled;
}

/* Token base and dynamics map of a video. */
static int quantise(const double *values, const struct vid_view *video, struct arena *arena, struct kmeans *out, struct err *err)
{
    const struct grid_view *grid = grid_of(values, video);
    const struct sim_rows rows = {.near = grid->H, .n = (size_t)video->T * (size_t)grid->h * (size_t)grid->w, .width = (size_t)grid->d, .far = grid->far_H};
    size_t most = (size_t)(chosen(values, ADAPTIVE, FIXED) ? values[K] : values[K_MOST]);
    most = most < rows.n ? most : rows.n;
    size_t k = most;
    int rc = kmeans_new(out, &rows, most, arena, err);
    if (!rc)
        rc = kmeans_seed(out, (uint64_t)values[SEED], rng_stream("k-means++") ^ video->video_hash, err);
    if (!rc && !chosen(values, ADAPTIVE, FIXED))
        rc = adaptive_k(values, out, &k, err);
    return rc ? rc : kmeans_fit(out, k, (int)values[ITERATIONS], err);
}

/* Weight of source i in its code: of the mean of its tokens, or of their unit vectors. */
static float code_weight(const double *values, const struct kmeans *kmeans, size_t i)
{
    float share = 1 / (float)kmeans->count[kmeans->label[i]];
    if (chosen(values, CODES, CODES_RAW))
        return share;
    return kmeans->norms[i] > 0 ? share / kmeans->norms[i] : 0;
}

/* ---- the base alone ------------------------------------------------------------------------------------------------------ */

/* Joins the tokens of each code. */
static bool join_codes(const struct kmeans *kmeans, struct groups *groups, struct arena *arena)
{
    uint32_t *first = arena_alloc(arena, kmeans->k, sizeof *first);
    uint8_t *seen = arena_alloc(arena, kmeans->k, 1);
    if (!first || !seen || !groups_new(groups, kmeans->n, arena))
        return false;
    for (size_t i = 0; i < kmeans->n; i++) {
        uint32_t label = kmeans->label[i];
        if (seen[label])
            groups_join(groups, first[label], (uint32_t)i);
        else
            first[label] = (uint32_t)i;
        seen[label] = 1;
    }
    return true;
}

static bool order_by_label(const struct kmeans *kmeans, struct tok_plan *plan, struct arena *arena)
{
    struct out_tok *of_label = arena_alloc(arena, kmeans->k, sizeof *of_label);
    size_t n = 0;
    if (!of_label)
        return false;
    for (size_t i = 0; i < plan->n_tok; i++)
        of_label[kmeans->label[plan->tok[i].rep]] = plan->tok[i];
    for (size_t k = 0; k < kmeans->k; k++)
        if (kmeans->count[k])
            plan->tok[n++] = of_label[k];
    return true;
}

/* One token per code that has any: a sum over the video. Tokens stand by first appearance, as groups_plan() makes them. */
static int plan_base(const double *values, const struct vid_view *video, const struct kmeans *kmeans, struct arena *arena, struct tok_plan *out,
                     struct err *err)
{
    const struct grid_view *grid = grid_of(values, video);
    struct groups groups;
    if (!join_codes(kmeans, &groups, arena))
        return err_no_memory(err, "a token plan");
    int rc = groups_plan(&groups, video->T, grid->h, grid->w, arena, out, err);
    for (size_t i = 0; i < out->n_taps && !rc; i++)
        out->taps[i].w = code_weight(values, kmeans, out->taps[i].src);
    if (!rc && chosen(values, ORDER, ORDER_LABEL) && !order_by_label(kmeans, out, arena))
        return err_no_memory(err, "a token plan");
    return rc;
}

/* ---- dense forms --------------------------------------------------------------------------------------------------------- */

/* [k][width] codes, 0 where a code has no tokens. */
static int code_rows(const double *values, const struct kmeans *kmeans, float **out, struct arena *arena, struct err *err)
{
    struct tap *taps = arena_alloc(arena, kmeans->n, sizeof *taps);
    const struct sim_sums sums = {.first = kmeans->n + kmeans->most, .n = kmeans->k, .begin = kmeans->begin, .taps = taps};
    *out = arena_alloc(arena, kmeans->k * kmeans->width, sizeof **out);
    if (!taps || !*out)
        return err_no_memory(err, "the codes of a video");
    for (size_t i = 0; i < kmeans->n; i++)
        taps[i] = (struct tap){kmeans->members[i], code_weight(values, kmeans, kmeans->members[i])};
    int rc = sim_sum(&kmeans->rows, &sums, err);
    return rc ? rc : sim_get(&kmeans->rows, sums.first, kmeans->k, *out, err);
}

static void join_equal(const struct kmeans *kmeans, struct groups *groups, size_t i, size_t distance)
{
    if (kmeans->label[i] == kmeans->label[i - distance])
        groups_join(groups, (uint32_t)i, (uint32_t)(i - distance));
}

/* One token per run of cells with equal codes, in its place; all tokens of a code share one row. */
static int plan_runs(const double *values, const struct vid_view *video, const struct kmeans *kmeans, struct arena *arena, struct tok_plan *out,
                     struct err *err)
{
    const struct grid_view *grid = grid_of(values, video);
    size_t w = (size_t)grid->w, frame = (size_t)grid->h * w;
    struct groups groups;
    float *rows;
    int rc = code_rows(values, kmeans, &rows, arena, err);
    if (rc)
        return rc;
    if (!groups_new(&groups, kmeans->n, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < kmeans->n; i++) {
        if (i % w && !chosen(values, RUNS, RUNS_TIME))
            join_equal(kmeans, &groups, i, 1);
        if (i >= frame && !chosen(values, RUNS, RUNS_ROWS))
            join_equal(kmeans, &groups, i, frame);
    }
    rc = groups_plan(&groups, video->T, grid->h, grid->w, arena, out, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < out->n_tok; i++) {
        out->tok[i].kind = TOK_DENSE;
        out->tok[i].row0 = out->tok[i].row1 = kmeans->label[out->tok[i].rep];
    }
    out->n_taps = 0;
    out->dense = rows;
    out->n_dense = kmeans->k;
    out->dense_width = kmeans->width;
    return 0;
}

/* What the fusion returns, one token per row, spanning the frame whose labels asked (released) or the video (paper). */
static int plan_fused(const double *values, const struct vid_view *video, const struct kmeans *kmeans, struct arena *arena, struct tok_plan *out,
                      struct err *err)
{
    const struct grid_view *grid = grid_of(values, video);
    size_t frame = (size_t)grid->h * (size_t)grid->w, n = 0;
    bool released = chosen(values, FORM, FORM_FUSED);
    const float *rows = NULL;
    int rc = (released ? fusion_released : fusion_paper)(video, kmeans->centroid, kmeans->k, kmeans->width, kmeans->label, frame, arena, &rows, &n, err);
    if (rc)
        return rc;
    if (!tok_plan_reserve(out, video->T, grid->h, grid->w, n, 0, arena))
        return err_no_memory(err, "a token plan");
    for (size_t i = 0; i < n; i++) {
        int t = released ? (int)(i % (size_t)video->T) : 0;
        tok_plan_push(out, 0, t, released ? t + 1 : video->T, 0, grid->h, 0, grid->w, (uint32_t)((size_t)t * frame), (uint32_t)(released ? frame : kmeans->n));
        out->tok[i].kind = TOK_DENSE;
        out->tok[i].row0 = out->tok[i].row1 = (uint32_t)i;
    }
    out->dense = rows;
    out->n_dense = n;
    out->dense_width = kmeans->width;
    return 0;
}

static int plan_codes(const double *values, const struct vid_view *video, const struct kmeans *kmeans, struct arena *arena, struct tok_plan *out,
                      struct err *err)
{
    bool in_place = chosen(values, FORM, FORM_RUNS);
    int rc = in_place                          ? plan_runs(values, video, kmeans, arena, out, err)
             : chosen(values, FORM, FORM_BASE) ? plan_base(values, video, kmeans, arena, out, err)
                                               : plan_fused(values, video, kmeans, arena, out, err);
    if (rc)
        return rc;
    out->dom = domain(values);
    out->order = in_place ? ORDER_RASTER : ORDER_GIVEN;
    return 0;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    struct kmeans kmeans;
    (void)question, (void)budget;
    int rc = quantise(values, video, arena, &kmeans, err);
    return rc ? rc : plan_codes(values, video, &kmeans, arena, out, err);
}

/* ---- rate and distortion ------------------------------------------------------------------------------------------------- */

/* Empirical entropy of the map, in bits per cell. */
static double map_entropy(const struct kmeans *kmeans)
{
    double bits = 0;
    for (size_t k = 0; k < kmeans->k; k++)
        if (kmeans->count[k]) {
            double share = (double)kmeans->count[k] / (double)kmeans->n;
            bits -= share * log2(share);
        }
    return bits;
}

/* Share of cells whose code is another than that of the cell `distance` before them; cells that have none before them begin a run. */
static double changes(const struct kmeans *kmeans, size_t distance, size_t line)
{
    size_t count = 0;
    for (size_t i = 0; i < kmeans->n; i++)
        count += line ? i % line == 0 || kmeans->label[i] != kmeans->label[i - distance]
                      : i < distance || kmeans->label[i] != kmeans->label[i - distance];
    return (double)count / (double)kmeans->n;
}

static int measure(const double *values, const struct vid_view *video, struct arena *arena, struct measure *out, int *n, struct err *err)
{
    const struct grid_view *grid = grid_of(values, video), *raw = &video->raw, *pooled = &video->pooled;
    size_t used = 0, frame = (size_t)grid->h * (size_t)grid->w, T = (size_t)video->T;
    struct kmeans kmeans;
    struct tok_plan plan;
    double cosines, distortion;
    int rc = quantise(values, video, arena, &kmeans, err);
    if (rc || (rc = plan_codes(values, video, &kmeans, arena, &plan, err)) || (rc = kmeans_cosines(&kmeans, &cosines, err)) ||
        (rc = kmeans_distortion(&kmeans, &distortion, err)))
        return rc;
    for (size_t k = 0; k < kmeans.k; k++)
        used += kmeans.count[k] > 0;
    const struct measure measures[] = {
        {"codes", (double)used},
        {"steps of k-means", kmeans.iterations},
        {"mean cosine with the code", cosines / (double)kmeans.n},
        {"squared distance to the code", distortion / (double)kmeans.n},
        {"bits of the map per cell", map_entropy(&kmeans)},
        {"runs per frame along rows", (double)frame * changes(&kmeans, 1, (size_t)grid->w)},
        {"runs per frame over time", (double)frame * changes(&kmeans, frame, 0)},
        {"tokens", (double)plan.n_tok},
        {"share of unpooled tokens", (double)plan.n_tok / (double)(T * (size_t)raw->h * (size_t)raw->w)},
        {"share of pooled tokens", (double)plan.n_tok / (double)(T * (size_t)pooled->h * (size_t)pooled->w)},
    };
    *n = sizeof measures / sizeof *measures;
    memcpy(out, measures, sizeof measures);
    return 0;
}

/* ---- planning ------------------------------------------------------------------------------------------------------------ */

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    const struct grid_view *grid = grid_of(values, shape);
    size_t content, markers, all, lines;
    newline_count(native, shape->T, shape->pooled.h, shape->pooled.w, &content, &markers);
    newline_count(native, shape->T, grid->h, grid->w, &all, &lines);
    double most = chosen(values, ADAPTIVE, FIXED) ? values[K] : chosen(values, ADAPTIVE, SILHOUETTE_RELEASED) ? K_LEAST : values[K_MOST];
    double left = fmin(most, (double)all);
    bool known = chosen(values, ADAPTIVE, FIXED) || chosen(values, ADAPTIVE, SILHOUETTE_RELEASED);
    *source = known && !chosen(values, FORM, FORM_RUNS) ? "exact" : "at most";
    if (chosen(values, FORM, FORM_RUNS))
        return (double)(all + lines) / (double)(content + markers);
    if (chosen(values, FORM, FORM_FUSED))
        left = fmax(left, shape->T);
    return (left + (markers ? 1 : 0)) / (double)(content + markers);
}

const struct compressor compressor_vqtoken = {
    .name = "vqtoken",
    .summary = "clusters the tokens of the whole video into a few codes",
    .source = "arXiv 2503.16980; Hai-chao-Zhang/VQToken VQToken/",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .needs = needs,
    .domain = domain,
    .check = check,
    .tokens = tokens,
    .measure = measure,
    .expected_ratio = expected_ratio,
};
