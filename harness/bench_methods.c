#include "harness/bench_methods.h"

#include "compressors/compressor.h"
#include "core/clock.h"
#include "core/rng.h"

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

static bool fill_grid(struct grid_view *grid, const struct model_shape *shape, int side, bool X, bool H, bool sal, int key_width,
                      struct arena *arena)
{
    *grid = (struct grid_view){.h = side, .w = side, .dx = shape->vision.width, .d = shape->language.width, .dk = key_width};
    return (!X || (grid->X = made_up(arena, side, grid->dx, false))) && (!H || (grid->H = made_up(arena, side, grid->d, false))) &&
           (!sal || (grid->sal = made_up(arena, side, 1, true))) && (!key_width || (grid->kv = made_up(arena, side, key_width, false)));
}

static int make_up_video(struct vid_view *video, const struct model_shape *shape, unsigned needs, struct arena *arena, struct err *err)
{
    const struct vision_shape *v = &shape->vision;
    int head = v->width / v->heads, pooled = pool_side(shape->pool_mode, v->side, shape->pool_stride);
    *video = (struct vid_view){.T = BENCH_FRAMES, .mode = shape->pool_mode, .stride = shape->pool_stride, .video_hash = 1};
    bool made = fill_grid(&video->raw, shape, v->side, needs & NEED_X_RAW, needs & NEED_H_RAW, needs & NEED_SAL_RAW,
                          needs & NEED_KEYS_RAW ? v->width : needs & NEED_KV_RAW ? head : 0, arena) &&
                fill_grid(&video->pooled, shape, pooled, needs & NEED_X_POOLED, needs & NEED_H_POOLED,
                          needs & (NEED_SAL_POOLED | NEED_PROBE_POOLED), needs & NEED_KV_POOLED ? head : 0, arena);
    if (made && needs & NEED_FRAME)
        made = (video->pooled.frame = made_up(arena, 1, v->width, false)) != NULL;
    return made ? 0 : err_no_memory(err, "made-up features");
}

int bench_method_run(const struct bench_method *method, const struct model_shape *shape, int repeats, double *seconds, size_t *n,
                     const char **label, struct arena *arena, struct err *err)
{
    const struct compressor *compressor = compressor_find(method->name);
    double values[COMPRESSOR_MOST_OPTIONS];
    struct vid_view video;
    struct json *options;
    int rc = json_parse(&options, method->options, strlen(method->options), method->name, err);
    if (rc)
        return rc;
    if (!(rc = compressor_resolve(compressor, options, NULL, values, err)))
        rc = make_up_video(&video, shape, compressor->needs(values), arena, err);
    *label = rc ? NULL : compressor_label(compressor, values, arena);
    for (int r = -1; r < repeats && !rc; r++) {
        struct arena work = {0};
        struct tok_plan plan = {0};
        double start = now_s();
        rc = compressor->tokens(values, &video, NULL, NULL, &work, &plan, err);
        seconds[r < 0 ? 0 : r] = now_s() - start;
        *n = plan.n_tok;
        arena_free(&work);
    }
    json_free(options);
    return rc;
}
