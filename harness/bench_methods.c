#include "harness/bench_methods.h"

#include "compressors/compressor.h"
#include "core/clock.h"
#include "core/rng.h"
#include "engine/features.h"

#include <string.h>

static const struct bench_method methods[] = {
    {"none", "{}"},
    {"pool", "{\"stride\": 4}"},
    {"uniform", "{\"keep\": 0.1}"},
    {"random", "{\"keep\": 0.1}"},
    {"slowfast", "{}"},
    {"dynamic-vlm", "{\"tokens\": 90}"},
    {"dyntok", "{\"threshold\": 0.6}"},
    {"dyntok", "{\"threshold\": 0.6, \"direction\": \"rows_time\"}"},
    {"visionzip", "{\"keep\": 0.1}"},
    {"prumerge", "{}"},
    {"vidcom2", "{\"keep\": 0.1}"},
    {"prunevid", "{}"},
    {"holitom", "{\"inner_keep\": 1}"},
    {"sttm", "{\"layer\": 0}"},
    {"tome", "{\"keep\": 0.1}"},
    {"vqtoken", "{}"},
    {"flashvid", "{\"inner_keep\": 1}"},
    {"scissor", "{\"threshold\": 0.6}"},
    {"fastvid", "{\"keep\": 0.1}"},
    {"divprune", "{\"keep\": 0.1}"},
    {"tome", "{\"keep\": 0.1, \"per\": \"video\"}"},
};

const struct bench_method *bench_method_at(int i)
{
    return i < (int)(sizeof methods / sizeof *methods) ? &methods[i] : NULL;
}

/* Which thing a patch shows: rectangles of a quarter of the picture, each of which changes at times of its own. */
static uint64_t thing_at(int side, int t, int y, int x)
{
    uint64_t place = (uint64_t)(y * 4 / side * 4 + x * 4 / side);
    return place * BENCH_FRAMES + (uint64_t)(t + (int)place) / 8;
}

/* [T][side][side][width]: a vector of the thing that is seen, and a smaller one of the patch's own. */
static const float *made_up(struct arena *arena, int side, int width, bool positive)
{
    size_t n = (size_t)BENCH_FRAMES * (size_t)side * (size_t)side;
    float *values = arena_alloc(arena, n * (size_t)width, sizeof *values), *at = values;
    for (size_t i = 0; i < n && values; i++) {
        int t = (int)(i / (size_t)(side * side)), y = (int)(i / (size_t)side) % side, x = (int)i % side;
        uint64_t thing = thing_at(side, t, y, x);
        for (int k = 0; k < width; k++, at++) {
            double own = rng_unit(2, i, (uint64_t)k), common = rng_unit(1, thing, (uint64_t)k);
            *at = (float)(positive ? common * 0.5 + own * 0.5 : common * 2 - 1 + 0.5 * (own * 2 - 1));
        }
    }
    return values;
}

/* A video's features where the engine keeps them. */
static int make_up_video(struct features **out, const struct model *model, const struct feature_grid *grid, struct err *err)
{
    const struct vision_shape *v = &model->shape.vision;
    int head = v->width / v->heads, raw = v->side, pooled = pool_side(grid->mode, raw, grid->stride), d = model->shape.language.width;
    const struct { unsigned need; int side, width; } kinds[] = {
        {NEED_X_POOLED, pooled, v->width}, {NEED_X_RAW, raw, v->width},  {NEED_H_POOLED, pooled, d},    {NEED_H_RAW, raw, d},
        {NEED_SAL_POOLED, pooled, 1},      {NEED_SAL_RAW, raw, 1},       {NEED_PROBE_POOLED, pooled, 1}, {NEED_KV_POOLED, pooled, head},
        {NEED_KV_RAW, raw, head},          {NEED_KEYS_RAW, raw, v->width}, {NEED_FRAME, 1, v->width},
    };
    int rc = features_new(out, model, BENCH_FRAMES, grid, 1, err);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds && !rc; k++) {
        struct arena arena = {0};
        const float *values = grid->keep & kinds[k].need ? made_up(&arena, kinds[k].side, kinds[k].width, kinds[k].width == 1) : NULL;
        if (values)
            rc = features_put(*out, 0, kinds[k].need, values, err);
        else if (grid->keep & kinds[k].need)
            rc = err_no_memory(err, "made-up features");
        arena_free(&arena);
    }
    return rc;
}

/* As the runner does it: the features' way to the method is part of its time. */
static int run_once(const struct compressor *compressor, const double *values, struct features *features, size_t *n, struct err *err)
{
    struct arena arena = {0};
    struct vid_view video;
    struct tok_plan plan = {0};
    size_t slots[BENCH_FRAMES];
    for (size_t t = 0; t < BENCH_FRAMES; t++)
        slots[t] = t;
    int rc = features_view(features, 0, slots, BENCH_FRAMES, compressor->needs(values), &arena, &video, err);
    video.video_hash = 1;
    if (!rc)
        rc = compressor->tokens(values, &video, NULL, NULL, &arena, &plan, err);
    *n = plan.n_tok;
    features_forget(features);
    arena_free(&arena);
    return rc;
}

int bench_method_run(const struct bench_method *method, const struct model *model, int repeats, double *seconds, size_t *n, const char **label,
                     struct arena *arena, struct err *err)
{
    const struct compressor *compressor = compressor_find(method->name);
    double values[COMPRESSOR_MOST_OPTIONS];
    struct feature_grid grid = {.mode = model->shape.pool_mode, .stride = model->shape.pool_stride};
    struct features *features = NULL;
    struct json *options;
    int rc = json_parse(&options, method->options, strlen(method->options), method->name, err);
    if (rc)
        return rc;
    if (!(rc = compressor_resolve(compressor, options, NULL, values, err))) {
        grid.keep = compressor->needs(values);
        rc = make_up_video(&features, model, &grid, err);
    }
    *label = rc ? NULL : compressor_label(compressor, values, arena);
    for (int r = -1; r < repeats && !rc; r++) {
        double start = now_s();
        rc = run_once(compressor, values, features, n, err);
        seconds[r < 0 ? 0 : r] = now_s() - start;
    }
    features_free(features);
    json_free(options);
    return rc;
}
