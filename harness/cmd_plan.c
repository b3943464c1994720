/* `plan`: what a sweep would cost, with and without sharing, before anything is opened. Works with neither model nor videos: shapes
 * of published models and counts of published benchmarks are known, and what is assumed is said. */
#include "harness/cli.h"
#include "harness/plan.h"
#include "harness/table.h"

#include "compressors/match.h"
#include "engine/features.h"
#include "engine/kernels/peak.h"
#include "engine/language.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_ROWS = 128, NOMINAL_FRAMES = 10007 };

#define PEAK_S 0.03 /* of measuring, for an estimate that nothing is held against */

static const struct cli_option options[] = {
    {"set", "KEY=VALUE", NULL, "changes the sweep file, as for run", true},
    {"plugin", "FILE.so", NULL, "a compressor in a shared object; may be repeated", true},
    {"data", "FOLDER", NULL, "where benchmarks named without a manifest are looked for", false},
    {"threads", "N", NULL, "threads that the estimate of time counts on (all processors)", false},
    {"dtype", "NAME", NULL, "overrides runner.dtype", false},
    {0},
};

struct totals { double videos, frames_decoded, frames_encoded, rows, visual, vision_tflop, prefill_tflop, guide_tflop; };

struct estimate {
    struct sweep sweep;
    struct model_shape shape, assistant; /* the latter without layers if the sweep names none */
    bool published, assistant_published; /* shapes that stand for those of checkpoints that are not here */
    struct totals shared, alone;
    size_t most_rows, most_frames, features_bytes;
    struct table cells;
    struct arena arena;
};

static void benchmark_counts(const struct sweep_benchmark *b, double *videos, double *samples)
{
    *videos = (double)(b->loaded ? b->manifest.n_videos : b->benchmark->published_videos);
    *samples = (double)(b->loaded ? b->manifest.n_samples : b->benchmark->published_samples);
}

/* Fixed digits; below one, two that count. */
static void amount_cell(struct table *table, int digits, double amount)
{
    if (digits && amount > 0 && amount < 1)
        table_cell(table, "%.2g", amount);
    else
        table_cell(table, "%.*f", digits, amount);
}

/* The grids a cell's compressor sees, without features. */
static struct vid_view cell_view(const struct estimate *estimate, const struct run_cell *run, enum newline *native)
{
    const struct model_shape *shape = &estimate->shape;
    char mode[32];
    snprintf(mode, sizeof mode, "%s", run->cell.pooling ? run->cell.pooling : pool_mode_name(shape->pool_mode));
    mode[strcspn(mode, "_")] = 0;
    struct vid_view view = {.T = run->cell.frames, .mode = (enum pool_mode)pool_mode_find(mode), .stride = shape->pool_stride > 1 ? shape->pool_stride : 2};
    view.raw = (struct grid_view){.h = shape->vision.side, .w = shape->vision.side, .dx = shape->vision.width, .d = shape->language.width};
    view.pooled = view.raw;
    view.pooled.h = view.pooled.w = pool_side(view.mode, shape->vision.side, view.stride);
    *native = run->cell.newline ? (enum newline)newline_find(run->cell.newline) : shape->newline;
    return view;
}

/* Content that an allocator hands out, by equal weights: what its total is does not depend on them. NaN when memory is out. */
static double allotted(struct estimate *estimate, const struct run_cell *run, const struct vid_view *view)
{
    const struct method *allocator = methods_find(run->methods, run->n_methods, ROLE_ALLOCATE);
    float *share = arena_alloc(&estimate->arena, (size_t)view->T, sizeof *share);
    struct budget budget;
    struct err err = {0};
    for (int t = 0; share && t < view->T; t++)
        share[t] = 1 / (float)view->T;
    const struct aux_attn equal = {view->T, share};
    if (!share || allocator->compressor->allocate(allocator->values, view, NULL, &equal, &estimate->arena, &budget, &err))
        return NAN;
    double sum = 0;
    for (int t = 0; t < view->T; t++)
        sum += budget.per_frame[t];
    return sum;
}

/* Tokens that a method makes when it is told a number: markers are those of its grid. */
static double told_tokens(const struct method *tokens, const struct vid_view *view, enum newline native, double content)
{
    enum src_dom dom = tokens->compressor->domain(tokens->values);
    size_t cells, markers;
    const struct grid_view *grid = dom == DOM_H_POOLED ? &view->pooled : &view->raw;
    newline_count(native, view->T, grid->h, grid->w, &cells, &markers);
    return fmin(content, (double)cells) + (double)markers;
}

/* Visual tokens that are expected to enter the language model, and where that is known from. */
static double expected_tokens(struct estimate *estimate, const struct sweep_cell *cell, const struct vid_view *view, enum newline native,
                              double full, const char **source)
{
    const struct run_cell *run = &cell->run;
    const struct method *tokens = methods_find(run->methods, run->n_methods, ROLE_TOKENS);
    *source = "exact";
    if (!tokens)
        return full;
    if (cell->match != SIZE_MAX) {
        double values[COMPRESSOR_MOST_OPTIONS];
        size_t wanted = (size_t)nearbyint(expected_tokens(estimate, &estimate->sweep.cells[cell->match], view, native, full, source));
        memcpy(values, tokens->values, sizeof values);
        *source = arena_printf(&estimate->arena, "match, %s", *source);
        if (match_setting(tokens->compressor, values, view, native, wanted))
            return full * tokens->compressor->expected_ratio(values, view, native, &(const char *){NULL});
        return told_tokens(tokens, view, native, (double)match_content(tokens->compressor->domain(values), view, native, wanted));
    }
    if (methods_spender(run->methods, run->n_methods) == ROLE_TOKENS && match_can(tokens->compressor)) {
        *source = "budgets";
        return told_tokens(tokens, view, native, allotted(estimate, run, view));
    }
    return full * tokens->compressor->expected_ratio(tokens->values, view, native, source);
}

/* Whether the cell's tokens depend on the question: they are nobody else's prefix then. */
static bool asks_first(const struct estimate *estimate, const struct sweep_cell *cell)
{
    const struct run_cell *run = cell->match == SIZE_MAX ? &cell->run : &estimate->sweep.cells[cell->match].run;
    return methods_spender(run->methods, run->n_methods) == ROLE_TOKENS;
}

static void add_cell(struct estimate *estimate, const struct sweep_cell *cell)
{
    const struct run_cell *run = &cell->run;
    double videos, samples;
    enum newline native;
    const char *source;
    struct vid_view view = cell_view(estimate, run, &native);
    size_t content, markers;
    benchmark_counts(&estimate->sweep.benchmarks[cell->benchmark], &videos, &samples);
    newline_count(native, view.T, view.pooled.h, view.pooled.w, &content, &markers);
    double full = (double)(content + markers), visual = expected_tokens(estimate, cell, &view, native, full, &source);
    double rows = visual + TEXT_ROWS;
    double one = prefill_flops(&estimate->shape, rows) * 1e-12, prefix = prefill_flops(&estimate->shape, visual) * 1e-12;
    table_cell(&estimate->cells, "%s", run->cell.benchmark);
    table_cell(&estimate->cells, "%d", run->cell.frames);
    table_cell(&estimate->cells, "%s", cell->label);
    table_cell(&estimate->cells, "%.0f", full);
    table_cell(&estimate->cells, "%.0f", visual);
    table_cell(&estimate->cells, "%.1f", 100 * visual / full);
    table_cell(&estimate->cells, "%s", source);
    amount_cell(&estimate->cells, 2, one);
    estimate->alone.videos += samples;
    estimate->alone.frames_decoded += samples * view.T;
    estimate->alone.frames_encoded += samples * view.T;
    estimate->alone.visual += samples * visual;
    estimate->alone.rows += samples * rows;
    estimate->alone.prefill_tflop += samples * one;
    double prefixes = asks_first(estimate, cell) ? samples : videos;
    estimate->shared.visual += prefixes * visual;
    estimate->shared.rows += prefixes * visual + samples * TEXT_ROWS;
    estimate->shared.prefill_tflop += prefixes * prefix + samples * (one - prefix);
    size_t needed = (size_t)full + TEXT_ROWS;
    estimate->most_rows = needed > estimate->most_rows ? needed : estimate->most_rows;
}

/* ---- guides -------------------------------------------------------------------------------------------------------------- */

/* Whose layers up to which a cell's allocator looks at; NULL without an allocator. */
static const struct model_shape *guide_of(const struct estimate *estimate, const struct sweep_cell *cell, int *last)
{
    const struct method *allocator = methods_find(cell->run.methods, cell->run.n_methods, ROLE_ALLOCATE);
    int first;
    if (!allocator)
        return NULL;
    bool self = allocator->compressor->guide(allocator->values, 1, &first, last) == GUIDE_SELF;
    const struct model_shape *shape = self ? &estimate->shape : &estimate->assistant;
    allocator->compressor->guide(allocator->values, shape->language.layers, &first, last);
    return shape;
}

/* Whether two cells with allocators can share a guide's pass. */
static bool same_guide(const struct estimate *estimate, const struct sweep_cell *a, const struct sweep_cell *b)
{
    int last;
    return a->benchmark == b->benchmark && a->run.cell.frames == b->run.cell.frames && a->run.cell.sampling == b->run.cell.sampling &&
           guide_of(estimate, a, &last) == guide_of(estimate, b, &last);
}

/* What the guide of a cell computes: an assistant sees the frames with its own tower, and every guide all tokens of the video. Shared: for
 * the first cell of those that share it, once a video but for the question's rows. */
static void add_guide(struct estimate *estimate, size_t c)
{
    const struct sweep_cell *cell = &estimate->sweep.cells[c];
    int last;
    const struct model_shape *shape = guide_of(estimate, cell, &last);
    double videos, samples;
    bool first = true;
    if (!shape)
        return;
    benchmark_counts(&estimate->sweep.benchmarks[cell->benchmark], &videos, &samples);
    int side = pool_side(shape->pool_mode, shape->vision.side, shape->pool_stride > 1 ? shape->pool_stride : 2);
    double frames = cell->run.cell.frames, visual = frames * side * (side + (shape->newline == NEWLINE_GRID));
    double part = (last + 1.0) / shape->language.layers;
    double vision = shape == &estimate->shape ? 0 : frames * vision_flops(shape) * 1e-12;
    double prefix = part * prefill_flops(shape, visual) * 1e-12, one = part * prefill_flops(shape, visual + TEXT_ROWS) * 1e-12;
    for (size_t other = 0; other < c; other++)
        first &= !same_guide(estimate, cell, &estimate->sweep.cells[other]);
    estimate->alone.guide_tflop += samples * (vision + one);
    estimate->shared.guide_tflop += first ? videos * (vision + prefix) + samples * (one - prefix) : 0;
}

/* ---- totals -------------------------------------------------------------------------------------------------------------- */

/* Distinct frames that a benchmark's cells show of a video long enough that their samplings hardly meet. */
static size_t distinct_frames(const struct estimate *estimate, size_t benchmark)
{
    static bool shown[NOMINAL_FRAMES];
    uint32_t index[4096];
    size_t n = 0;
    memset(shown, 0, sizeof shown);
    for (size_t c = 0; c < estimate->sweep.n_cells; c++) {
        const struct cell *cell = &estimate->sweep.cells[c].run.cell;
        if (estimate->sweep.cells[c].benchmark != benchmark)
            continue;
        size_t m = frame_indices(cell->sampling, NOMINAL_FRAMES, 30, 0, NOMINAL_FRAMES - 1, (size_t)cell->frames, index);
        for (size_t i = 0; i < m; i++) {
            n += !shown[index[i]];
            shown[index[i]] = true;
        }
    }
    return n;
}

static void add_benchmark(struct estimate *estimate, size_t b)
{
    double videos, samples;
    size_t frames = distinct_frames(estimate, b);
    benchmark_counts(&estimate->sweep.benchmarks[b], &videos, &samples);
    estimate->shared.videos += videos;
    estimate->shared.frames_decoded += videos * (double)frames;
    estimate->shared.frames_encoded += videos * (double)frames;
    estimate->most_frames = frames > estimate->most_frames ? frames : estimate->most_frames;
}

static void print_totals(struct estimate *estimate, double seconds_per_tflop)
{
    struct totals *s = &estimate->shared, *a = &estimate->alone;
    struct table table = {0};
    struct text out = {0};
    s->vision_tflop = s->frames_encoded * vision_flops(&estimate->shape) * 1e-12;
    a->vision_tflop = a->frames_encoded * vision_flops(&estimate->shape) * 1e-12;
    const struct { const char *name; double shared, alone; int digits; } rows[] = {
        {"videos opened", s->videos, a->videos, 0},
        {"frames decoded", s->frames_decoded, a->frames_decoded, 0},
        {"frames encoded", s->frames_encoded, a->frames_encoded, 0},
        {"visual tokens prefilled", s->visual, a->visual, 0},
        {"rows prefilled", s->rows, a->rows, 0},
        {"vision TFLOP", s->vision_tflop, a->vision_tflop, 1},
        {"prefill TFLOP", s->prefill_tflop, a->prefill_tflop, 1},
        {"guides' TFLOP", s->guide_tflop, a->guide_tflop, 1},
        {"hours, computing only", (s->vision_tflop + s->prefill_tflop + s->guide_tflop) * seconds_per_tflop / 3600,
         (a->vision_tflop + a->prefill_tflop + a->guide_tflop) * seconds_per_tflop / 3600, 2},
    };
    table_column(&table, "whole sweep", false);
    table_column(&table, "with sharing", true);
    table_column(&table, "without", true);
    table_column(&table, "saved", true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!strcmp(rows[i].name, "guides' TFLOP") && a->guide_tflop == 0)
            continue;
        table_cell(&table, "%s", rows[i].name);
        amount_cell(&table, rows[i].digits, rows[i].shared);
        amount_cell(&table, rows[i].digits, rows[i].alone);
        table_cell(&table, "%.1fx", rows[i].shared > 0 ? rows[i].alone / rows[i].shared : 1);
    }
    if (table_write(&table, TABLE_TERMINAL, &out))
        fputs(out.bytes, stdout);
    text_free(&out);
    table_free(&table);
}

/* A checkpoint's own shape, or the published one of this name where it is not here. */
static int find_shape(struct estimate *estimate, const char *name, struct model_shape *out, bool *published, struct err *err)
{
    struct err missing = {0};
    const char *folder;
    *published = false;
    if (!sweep_model_folder(&estimate->sweep, name, &estimate->arena, &folder, &missing))
        return model_shape_load(out, folder, err);
    if ((*published = model_shape_published(out, name)))
        return 0;
    *err = missing;
    return missing.code;
}

static int find_shapes(struct estimate *estimate, struct err *err)
{
    const struct sweep *sweep = &estimate->sweep;
    int rc = find_shape(estimate, sweep->model, &estimate->shape, &estimate->published, err);
    return rc || !sweep->assistant ? rc : find_shape(estimate, sweep->assistant, &estimate->assistant, &estimate->assistant_published, err);
}

static int load_manifests(struct sweep *sweep, struct err *err)
{
    for (size_t b = 0; b < sweep->n_benchmarks; b++) {
        struct sweep_benchmark *benchmark = &sweep->benchmarks[b];
        if (benchmark->source.path) {
            int rc = manifest_load(&benchmark->manifest, benchmark->benchmark, &benchmark->source, err);
            if (rc)
                return rc;
            benchmark->loaded = true;
        } else if (!benchmark->benchmark->published_samples) {
            return err_set(err, ERR_CONFIG, "no manifest of benchmark %s, and its size is not known; give --data FOLDER", benchmark->benchmark->name);
        }
    }
    return 0;
}

static void print_head(const struct estimate *estimate)
{
    const struct sweep *sweep = &estimate->sweep;
    printf("sweep %s: %zu cells, profile %s\n", sweep->name, sweep->n_cells, sweep->profile->name);
    if (estimate->published)
        printf("model %s: not here; its published shape is used\n", sweep->model);
    if (estimate->assistant_published)
        printf("assistant %s: not here; its published shape is used\n", sweep->assistant);
    for (size_t b = 0; b < sweep->n_benchmarks; b++) {
        double videos, samples;
        benchmark_counts(&sweep->benchmarks[b], &videos, &samples);
        printf("%s: %.0f videos, %.0f questions%s\n", sweep->benchmarks[b].benchmark->name, videos, samples,
               sweep->benchmarks[b].loaded ? "" : " (published counts; the manifest is not here)");
    }
}

static void print_cells(struct estimate *estimate)
{
    struct table *table = &estimate->cells;
    struct text out = {0};
    static const char *const columns[] = {"benchmark", "frames", "compressor", "tokens full", "expected", "kept %", "known from", "prefill TFLOP"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i], i != 0 && i != 2 && i != 6);
    for (size_t b = 0; b < estimate->sweep.n_benchmarks; b++)
        add_benchmark(estimate, b);
    for (size_t c = 0; c < estimate->sweep.n_cells; c++)
        add_cell(estimate, &estimate->sweep.cells[c]);
    for (size_t c = 0; c < estimate->sweep.n_cells; c++)
        add_guide(estimate, c);
    if (table_write(table, TABLE_TERMINAL, &out))
        printf("\nper question:\n%s\n", out.bytes);
    text_free(&out);
}

static void print_memory(const struct estimate *estimate, const struct kernels *kernels, enum dtype dtype, int threads)
{
    const struct model_shape *shape = &estimate->shape;
    struct feature_grid grid = {.mode = shape->pool_mode, .stride = shape->pool_stride, .keep = NEED_X_POOLED};
    double assistant = estimate->assistant.language.layers ? (double)model_bytes(&estimate->assistant, kernels, dtype) : 0;
    double weights = (double)model_bytes(shape, kernels, dtype) + assistant;
    int at_once = vision_frames_at_once(shape, kernels, dtype, kernels->memory->left());
    double features = (double)(features_bytes(shape, dtype, at_once, estimate->most_frames, &grid, 1) +
                               vision_space_bytes(shape, kernels, dtype, at_once, threads));
    double state = (double)(language_state_bytes(shape, kernels, dtype, estimate->most_rows, estimate->most_rows, threads) +
                            estimate->most_rows * (size_t)shape->language.width * sizeof(float));
    double frames = (double)estimate->most_frames * shape->vision.image_size * shape->vision.image_size * 3;
    printf("\nmemory, %s: %.0f MiB of weights; per video in work %.0f MiB of features, %.0f MiB of cache and buffers, %.0f MiB of frames\n",
           dtype_name(dtype), weights / 0x1p20, features / 0x1p20, state / 0x1p20, frames / 0x1p20);
}

/* What a model's work comes to. */
static int print_work(struct estimate *estimate, int threads, struct err *err)
{
    const struct kernels *kernels;
    enum dtype dtype;
    dtype_parse(estimate->sweep.dtype, &dtype); /* the sweep was read: it is one */
    enum dtype act = dtype_act(dtype);          /* what int8 leaves is not faster for it */
    int rc = kernels_open(&kernels, estimate->sweep.isa, err);
    if (!rc)
        rc = find_shapes(estimate, err);
    if (rc)
        return rc;
    print_head(estimate);
    print_cells(estimate);
    double gflops = kernels_peak_gflops(kernels, act, threads, PEAK_S);
    print_totals(estimate, 1e3 / (0.7 * gflops));
    print_memory(estimate, kernels, dtype, threads);
    printf("time: 70 %% of this machine's measured %.0f GFLOP/s (%s, %s, %d threads); decoding of videos comes on top and overlaps\n"
           "assumed: %d text rows a question, videos long enough that different frame counts hardly share frames\n",
           gflops, kernels->name, dtype_name(act), threads, TEXT_ROWS);
    return 0;
}

/* The same for a runner that opens no model: only the answers can be counted. */
static void print_answers(struct estimate *estimate)
{
    struct table *table = &estimate->cells;
    struct text out = {0};
    double total = 0;
    print_head(estimate);
    static const char *const columns[] = {"benchmark", "frames", "compressor", "answers"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i], i % 2);
    for (size_t c = 0; c < estimate->sweep.n_cells; c++) {
        const struct sweep_cell *cell = &estimate->sweep.cells[c];
        double videos, samples;
        benchmark_counts(&estimate->sweep.benchmarks[cell->benchmark], &videos, &samples);
        table_cell(table, "%s", cell->run.cell.benchmark);
        table_cell(table, "%d", cell->run.cell.frames);
        table_cell(table, "%s", cell->label);
        table_cell(table, "%.0f", samples);
        total += samples;
    }
    if (table_write(table, TABLE_TERMINAL, &out))
        printf("\n%s\n", out.bytes);
    printf("%.0f answers; runner %s opens no model, so there are no frames, tokens or FLOPs to plan\n", total,
           estimate->sweep.runner->name);
    text_free(&out);
}

static int plan(const struct cli_args *args, struct err *err)
{
    struct estimate estimate = {0};
    struct sweep_overrides overrides = {.plugins = cli_texts(args, "plugin"), .sets = cli_texts(args, "set"), .data = cli_text(args, "data"),
                                        .dtype = cli_text(args, "dtype")};
    int64_t threads = sysconf(_SC_NPROCESSORS_ONLN);
    int rc = cli_integer(args, "threads", 1, 1024, &threads, err);
    if (!rc)
        rc = sweep_load(&estimate.sweep, args->operands[0], &overrides, err);
    if (rc)
        return rc;
    rc = load_manifests(&estimate.sweep, err);
    if (!rc && estimate.sweep.runner->opens_checkpoint)
        rc = print_work(&estimate, (int)threads, err);
    else if (!rc)
        print_answers(&estimate);
    table_free(&estimate.cells);
    sweep_free(&estimate.sweep);
    arena_free(&estimate.arena);
    return rc;
}

const struct cli_command command_plan = {
    .name = "plan",
    .operands = "SWEEP.yaml",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "prints what a sweep would cost, with and without sharing; runs nothing",
    .options = options,
    .run = plan,
};
