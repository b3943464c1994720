/* Features: storage by frame slot and grid, and the one place where token plans meet embeddings. */
#include "engine/features.h"

#include "compressors/compressor.h"

#include <stdlib.h>
#include <string.h>

/* H is kept in the compute dtype: it is what the language model's first matrix would round anyway. X decides, so it stays f32. */
struct grid_store {
    struct feature_grid grid;
    int side;       /* of the pooled grid */
    void *h_pooled; /* act [n_frames][side*side][d] */
    void *h_raw;    /* act [n_frames][patches][d] or NULL */
    float *x_pooled; /* [n_frames][side*side][width] or NULL */
    float *x_raw;   /* [n_frames][patches][width] or NULL */
};

struct features {
    const struct model *model;
    size_t n_frames, n_grids;
    struct grid_store *grids;
    float *X, *normed, *P, *pooled_x, *pooled_h; /* one frame's */
    void *memory;
};

struct sizes { size_t h_pooled, h_raw, x_pooled, x_raw; };

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t patches(const struct model_shape *shape)
{
    return (size_t)(shape->vision.side * shape->vision.side);
}

static struct sizes grid_sizes(const struct model_shape *shape, enum dtype dtype, size_t n_frames, const struct feature_grid *grid)
{
    size_t side = (size_t)pool_side(grid->mode, shape->vision.side, grid->stride), dx = (size_t)shape->vision.width,
           d = (size_t)shape->language.width, raw = patches(shape);
    return (struct sizes){
        .h_pooled = rounded(n_frames * side * side * d * dtype_size(dtype)),
        .h_raw = grid->h_raw ? rounded(n_frames * raw * d * dtype_size(dtype)) : 0,
        .x_pooled = grid->x_pooled ? rounded(n_frames * side * side * dx * sizeof(float)) : 0,
        .x_raw = grid->x_raw ? rounded(n_frames * raw * dx * sizeof(float)) : 0,
    };
}

/* One frame's buffers: X, X normed and X pooled; P and P pooled. */
static size_t frame_bytes(const struct model_shape *shape)
{
    size_t dx = (size_t)shape->vision.width, d = (size_t)shape->language.width;
    return 3 * rounded(patches(shape) * dx * sizeof(float)) + 2 * rounded(patches(shape) * d * sizeof(float));
}

size_t features_bytes(const struct model_shape *shape, enum dtype dtype, size_t n_frames, const struct feature_grid *grids, size_t n_grids)
{
    size_t total = frame_bytes(shape);
    for (size_t i = 0; i < n_grids; i++) {
        struct sizes s = grid_sizes(shape, dtype, n_frames, &grids[i]);
        total += s.h_pooled + s.h_raw + s.x_pooled + s.x_raw;
    }
    return total;
}

static void *carve(char **at, size_t bytes)
{
    void *here = bytes ? *at : NULL;
    *at += bytes;
    return here;
}

int features_new(struct features **out, const struct model *model, size_t n_frames, const struct feature_grid *grids, size_t n_grids,
                 struct err *err)
{
    const struct model_shape *shape = &model->shape;
    size_t total = features_bytes(shape, model->dtype, n_frames, grids, n_grids), dx = (size_t)shape->vision.width;
    struct features *features = calloc(1, sizeof *features);
    struct grid_store *stores = calloc(n_grids, sizeof *stores);
    char *memory = aligned_alloc(64, total);
    *out = NULL;
    if (!features || !stores || !memory) {
        free(features);
        free(stores);
        free(memory);
        return err_set(err, ERR_MEMORY, "out of memory for the features of %zu frames (%zu MiB)", n_frames, total >> 20);
    }
    char *at = memory;
    *features = (struct features){.model = model, .n_frames = n_frames, .n_grids = n_grids, .grids = stores, .memory = memory};
    size_t x_bytes = rounded(patches(shape) * dx * sizeof(float)), h_bytes = rounded(patches(shape) * (size_t)shape->language.width * sizeof(float));
    features->X = carve(&at, x_bytes);
    features->normed = carve(&at, x_bytes);
    features->pooled_x = carve(&at, x_bytes);
    features->P = carve(&at, h_bytes);
    features->pooled_h = carve(&at, h_bytes);
    for (size_t i = 0; i < n_grids; i++) {
        struct sizes s = grid_sizes(shape, model->dtype, n_frames, &grids[i]);
        stores[i] = (struct grid_store){.grid = grids[i], .side = pool_side(grids[i].mode, shape->vision.side, grids[i].stride)};
        stores[i].h_pooled = carve(&at, s.h_pooled);
        stores[i].h_raw = carve(&at, s.h_raw);
        stores[i].x_pooled = carve(&at, s.x_pooled);
        stores[i].x_raw = carve(&at, s.x_raw);
    }
    *out = features;
    return 0;
}

void features_free(struct features *features)
{
    if (!features)
        return;
    free(features->grids);
    free(features->memory);
    free(features);
}

static void keep(const struct features *features, void *store, size_t slot, size_t per_frame, const float *values)
{
    dtype_convert((char *)store + slot * per_frame * dtype_size(features->model->dtype), features->model->dtype, values, DTYPE_F32, per_frame);
}

static void fill_grid(struct features *features, struct vision_space *space, struct grid_store *store, size_t slot)
{
    const struct model_shape *shape = &features->model->shape;
    const struct feature_grid *grid = &store->grid;
    int side = shape->vision.side, dx = shape->vision.width, d = shape->language.width;
    size_t cells = (size_t)(store->side * store->side), raw = patches(shape);
    const float *X = grid->post_norm ? features->normed : features->X;
    if (grid->post_norm)
        vision_post_norm(features->model, space, features->X, features->normed);
    if (grid->before_projector) {
        grid_pool(grid->mode, grid->stride, side, dx, features->X, features->pooled_x);
        vision_project(features->model, space, features->pooled_x, cells, features->pooled_h);
    } else {
        grid_pool(grid->mode, grid->stride, side, d, features->P, features->pooled_h);
    }
    keep(features, store->h_pooled, slot, cells * (size_t)d, features->pooled_h);
    if (store->h_raw)
        keep(features, store->h_raw, slot, raw * (size_t)d, features->P);
    if (store->x_pooled)
        grid_pool(grid->mode, grid->stride, side, dx, X, store->x_pooled + slot * cells * (size_t)dx);
    if (store->x_raw)
        memcpy(store->x_raw + slot * raw * (size_t)dx, X, raw * (size_t)dx * sizeof(float));
}

void features_encode(struct features *features, struct vision_space *space, size_t slot, const uint8_t *rgb, int image_side)
{
    vision_encode(features->model, space, rgb, image_side, features->X, NULL, NULL);
    vision_project(features->model, space, features->X, patches(&features->model->shape), features->P);
    for (size_t i = 0; i < features->n_grids; i++)
        fill_grid(features, space, &features->grids[i], slot);
}

static const float *gather(const void *store, enum dtype dtype, size_t per_frame, const size_t *slots, int T, struct arena *arena)
{
    float *out = store ? arena_alloc(arena, (size_t)T * per_frame, sizeof *out) : NULL;
    for (int t = 0; t < T && out; t++)
        dtype_convert(out + (size_t)t * per_frame, DTYPE_F32, (const char *)store + slots[t] * per_frame * dtype_size(dtype), dtype, per_frame);
    return out;
}

int features_view(const struct features *features, size_t grid, const size_t *slots, int T, unsigned needs, struct arena *arena,
                  struct vid_view *out, struct err *err)
{
    const struct grid_store *store = &features->grids[grid];
    const struct model_shape *shape = &features->model->shape;
    enum dtype act = features->model->dtype;
    size_t cells = (size_t)(store->side * store->side), raw = patches(shape), dx = (size_t)shape->vision.width, d = (size_t)shape->language.width;
    *out = (struct vid_view){.T = T, .mode = store->grid.mode, .stride = store->grid.stride};
    out->raw = (struct grid_view){.h = shape->vision.side, .w = shape->vision.side, .dx = shape->vision.width, .d = shape->language.width};
    out->pooled = out->raw;
    out->pooled.h = out->pooled.w = store->side;
    if (needs & NEED_X_POOLED)
        out->pooled.X = gather(store->x_pooled, DTYPE_F32, cells * dx, slots, T, arena);
    if (needs & NEED_X_RAW)
        out->raw.X = gather(store->x_raw, DTYPE_F32, raw * dx, slots, T, arena);
    if (needs & NEED_H_POOLED)
        out->pooled.H = gather(store->h_pooled, act, cells * d, slots, T, arena);
    if (needs & NEED_H_RAW)
        out->raw.H = gather(store->h_raw, act, raw * d, slots, T, arena);
    bool missing = (needs & NEED_X_POOLED && !out->pooled.X) || (needs & NEED_X_RAW && !out->raw.X) ||
                   (needs & NEED_H_POOLED && !out->pooled.H) || (needs & NEED_H_RAW && !out->raw.H);
    return missing ? err_no_memory(err, "the features a compressor reads") : 0;
}

/* ---- applying a plan ----------------------------------------------------------------------------------------------------- */

static void add_scaled(const void *source, enum dtype dtype, size_t n, float w, bool round_each, float *out)
{
    for (size_t k = 0; k < n; k++) {
        float value = dtype == DTYPE_F32 ? ((const float *)source)[k] : f32_from_bf16(((const uint16_t *)source)[k]);
        out[k] += w * value;
        if (round_each)
            out[k] = f32_from_bf16(bf16_from_f32(out[k]));
    }
}

/* Sum of a token's taps over frames of `per_frame` sources, each `width` wide. */
static void sum_taps(const struct tok_plan *plan, const struct out_tok *tok, const void *store, enum dtype dtype, size_t per_frame,
                     size_t width, const size_t *slots, float *out)
{
    memset(out, 0, width * sizeof *out);
    for (uint32_t i = tok->row0; i < tok->row1; i++) {
        size_t src = plan->taps[i].src, at = slots[src / per_frame] * per_frame + src % per_frame;
        add_scaled((const char *)store + at * width * dtype_size(dtype), dtype, width, plan->taps[i].w, plan->round_each, out);
    }
}

void features_apply(const struct features *features, struct vision_space *space, size_t grid, const size_t *slots,
                    const struct tok_plan *plan, size_t first, size_t n, float *rows)
{
    const struct grid_store *store = &features->grids[grid];
    const struct model *model = features->model;
    size_t d = (size_t)model->shape.language.width, dx = (size_t)model->shape.vision.width, raw = patches(&model->shape);
    size_t cells = (size_t)(store->side * store->side);
    for (size_t i = 0; i < n; i++) {
        const struct out_tok *tok = &plan->tok[first + i];
        float *row = rows + i * d;
        if (tok->kind == TOK_DENSE) {
            memcpy(row, plan->dense + (size_t)tok->row0 * d, d * sizeof *row);
        } else if (tok->kind != TOK_VISUAL) {
            memcpy(row, model->newline, d * sizeof *row);
        } else if (plan->dom == DOM_X_RAW) {
            sum_taps(plan, tok, store->x_raw, DTYPE_F32, raw, dx, slots, features->X);
            vision_project(model, space, features->X, 1, row);
        } else if (plan->dom == DOM_H_RAW) {
            sum_taps(plan, tok, store->h_raw, model->dtype, raw, d, slots, row);
        } else {
            sum_taps(plan, tok, store->h_pooled, model->dtype, cells, d, slots, row);
        }
    }
}
