/* Made-up videos for tests of compressors, and running a method by its name as a sweep does. */
#ifndef TOKSWEEP_TESTS_UNIT_COMPRESSORS_VIDEOS_H
#define TOKSWEEP_TESTS_UNIT_COMPRESSORS_VIDEOS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"
#include "core/rng.h"

#include <stdio.h>
#include <string.h>

enum video_features { FEATURES_RANDOM, FEATURES_ZERO, FEATURES_DENORMAL, FEATURES_EQUAL, FEATURE_KINDS };

/* Features of n rows; neighbours drift, so that cosines spread over the whole range. */
static inline float *random_rows(uint64_t seed, const char *purpose, size_t n, size_t width, enum video_features kind, struct arena *arena)
{
    float *rows = arena_alloc(arena, n * width, sizeof *rows);
    uint64_t stream = rng_stream(purpose);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        double mix = i ? rng_unit(seed, stream ^ 1, i) : 0;
        for (size_t c = 0; c < width; c++) {
            double noise = rng_unit(seed, stream, i * width + c) - 0.5;
            double drift = i ? mix * (double)rows[(i - 1) * width + c] + (1 - mix) * noise : noise;
            rows[i * width + c] = (float)(kind == FEATURES_RANDOM     ? drift
                                          : kind == FEATURES_DENORMAL ? 1e-41 * noise
                                          : kind == FEATURES_EQUAL    ? 0.25 + (double)(c % 3)
                                                                      : 0);
        }
    }
    return rows;
}

/* A video of T frames, raw_h x raw_w patches pooled by `mode` with stride 2 (POOL_NONE: not pooled), every view filled. */
static inline struct vid_view random_video(uint64_t seed, int T, int raw_h, int raw_w, enum pool_mode mode, enum video_features kind,
                                           struct arena *arena)
{
    enum { DX = 12, D = 16, DK = 6 };
    struct vid_view video = {.T = T, .mode = mode, .stride = mode == POOL_NONE ? 1 : 2, .video_hash = seed};
    struct grid_view *grids[2] = {&video.raw, &video.pooled};
    for (int i = 0; i < 2; i++) {
        int h = i ? pool_side(mode, raw_h, 2) : raw_h, w = i ? pool_side(mode, raw_w, 2) : raw_w;
        size_t n = (size_t)T * (size_t)h * (size_t)w;
        *grids[i] = (struct grid_view){.h = h, .w = w, .dx = DX, .d = D, .dk = DK,
                                       .X = random_rows(seed, i ? "pooled X" : "raw X", n, DX, kind, arena),
                                       .H = random_rows(seed, i ? "pooled H" : "raw H", n, D, kind, arena),
                                       .kv = random_rows(seed, i ? "pooled kv" : "raw kv", n, DK, kind, arena),
                                       .frame = random_rows(seed, "frame", (size_t)T, DX, kind, arena)};
        float *sal = arena_alloc(arena, n, sizeof *sal);
        assert_non_null(sal);
        for (size_t k = 0; k < n; k++)
            sal[k] = kind == FEATURES_RANDOM ? (float)rng_unit(seed, 77, k) : 1 / (float)(h * w);
        grids[i]->sal = sal;
    }
    return video;
}

/* Options as a sweep file gives them; fails the test when they are refused. */
static inline void resolve_options(const struct compressor *method, const char *options, double *values)
{
    struct json *json;
    struct err err = {0};
    assert_int_equal(json_parse(&json, options, strlen(options), "options", &err), 0);
    if (compressor_resolve(method, json, NULL, values, &err))
        fail_msg("%s", err.text);
    json_free(json);
}

/* A method's plan, laid out and well-formed. */
static inline struct tok_plan plan_with(const char *name, const char *options, const struct vid_view *video, const struct budget *budget,
                                        enum newline native, struct arena *arena)
{
    const struct compressor *method = compressor_find(name);
    double values[COMPRESSOR_MOST_OPTIONS];
    struct tok_plan plan;
    struct err err = {0};
    assert_non_null(method);
    resolve_options(method, options, values);
    if (method->tokens(values, video, NULL, budget, arena, &plan, &err))
        fail_msg("%s", err.text);
    plan.dom = method->domain(values);
    assert_true(tok_plan_layout(&plan, native, arena));
    const struct grid_view *grid = plan.dom == DOM_H_POOLED ? &video->pooled : &video->raw;
    const char *fault = tok_plan_fault(&plan, (size_t)video->T * (size_t)grid->h * (size_t)grid->w);
    if (fault)
        fail_msg("%s makes a plan with %s", name, fault);
    return plan;
}

static inline size_t content_of(const struct tok_plan *plan)
{
    size_t content, markers;
    tok_plan_count(plan, &content, &markers);
    return content;
}

static inline size_t markers_of(const struct tok_plan *plan)
{
    size_t content, markers;
    tok_plan_count(plan, &content, &markers);
    return markers;
}

/* The row that a content token stands for: [width] into `out`. `sources` are the features of the plan's domain. */
static inline void token_row(const struct tok_plan *plan, const struct out_tok *tok, const float *sources, size_t width, float *out)
{
    memset(out, 0, width * sizeof *out);
    if (tok->kind == TOK_DENSE)
        memcpy(out, plan->dense + tok->row0 * plan->dense_width, width * sizeof *out);
    else
        for (uint32_t i = tok->row0; i < tok->row1; i++)
            for (size_t c = 0; c < width; c++)
                out[c] += plan->taps[i].w * sources[plan->taps[i].src * width + c];
}

#endif
