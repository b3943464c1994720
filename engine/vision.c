/* Vision tower and projector. Frames go through one at a time: batching brings nothing once weights are packed (the tower's
 * matrices are far larger than its activations), and memory stays at some megabytes. */
#include "engine/vision.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_ROWS = 16 }; /* queries whose attention is looked at together */

struct vision_space {
    int threads;
    float *x;        /* [N][width] residual stream */
    void *h;         /* act [N][max(width, patch inputs)] */
    void *q, *o;     /* act [N][width] */
    float *kv_rows;  /* [N][2 width] */
    void *wide;      /* act [N][max(ff, d)] */
    struct kv kv;
    void *scratch;
    void *narrow;    /* rows of h, o or wide in int8; of no size where weights are not */
    float *weights;  /* [WEIGHT_ROWS][heads][N] of the side outputs */
    float pixel[256]; /* value of a pixel: models.md 2.5 */
    void *memory;
};

struct layout { size_t x, h, q, o, kv_rows, wide, keys, values, scratch, narrow, weights, total; };

static size_t take(size_t *used, size_t bytes)
{
    size_t at = *used;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

static struct kv tower_kv(const struct vision_shape *v, enum dtype dtype)
{
    size_t n = (size_t)(v->side * v->side);
    return (struct kv){.dtype = dtype, .kv_heads = v->heads, .head_dim = v->width / v->heads, .capacity = (n + 63) / 64 * 64};
}

static struct layout space_layout(const struct model_shape *shape, enum dtype dtype, int threads)
{
    const struct vision_shape *v = &shape->vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width, act = dtype_size(dtype_act(dtype)), d = (size_t)shape->language.width;
    size_t inputs = (size_t)(3 * v->patch * v->patch), ff = (size_t)v->ff;
    struct kv kv = tower_kv(v, dtype_act(dtype));
    struct layout at = {0};
    at.x = take(&at.total, n * dx * sizeof(float));
    at.h = take(&at.total, n * (inputs > dx ? inputs : dx) * act);
    at.q = take(&at.total, n * dx * act);
    at.o = take(&at.total, n * dx * act);
    at.kv_rows = take(&at.total, n * 2 * dx * sizeof(float));
    at.wide = take(&at.total, n * (ff > d ? ff : d) * act);
    at.keys = take(&at.total, kv_key_bytes(&kv));
    at.values = take(&at.total, kv_value_bytes(&kv));
    at.scratch = take(&at.total, attention_scratch_bytes(kv.head_dim, threads));
    at.narrow = take(&at.total, dtype == DTYPE_I8 ? narrow_bytes(n, ff > dx ? ff : dx) : 0);
    at.weights = take(&at.total, WEIGHT_ROWS * (size_t)v->heads * n * sizeof(float));
    return at;
}

size_t vision_space_bytes(const struct model_shape *shape, enum dtype dtype, int threads)
{
    return space_layout(shape, dtype, threads).total;
}

int vision_space_new(struct vision_space **out, const struct model *model, int threads, struct err *err)
{
    struct layout at = space_layout(&model->shape, model->dtype, threads);
    struct vision_space *space = calloc(1, sizeof *space);
    char *memory = space ? aligned_alloc(64, at.total) : NULL;
    *out = NULL;
    if (!memory) {
        free(space);
        return err_no_memory(err, "the vision tower's buffers");
    }
    memset(memory, 0, at.total);
    *space = (struct vision_space){.threads = threads,
                                   .x = (float *)(void *)(memory + at.x),
                                   .h = memory + at.h,
                                   .q = memory + at.q,
                                   .o = memory + at.o,
                                   .kv_rows = (float *)(void *)(memory + at.kv_rows),
                                   .wide = memory + at.wide,
                                   .kv = tower_kv(&model->shape.vision, model->act),
                                   .scratch = memory + at.scratch,
                                   .narrow = memory + at.narrow,
                                   .weights = (float *)(void *)(memory + at.weights),
                                   .memory = memory};
    space->kv.keys = memory + at.keys;
    space->kv.values = memory + at.values;
    for (int u = 0; u < 256; u++)
        space->pixel[u] = ((float)(u * (1.0 / 255.0)) - 0.5f) / 0.5f;
    *out = space;
    return 0;
}

void vision_space_free(struct vision_space *space)
{
    if (space)
        free(space->memory);
    free(space);
}

/* Patches as rows in the order (channel, ky, kx), in the compute dtype. */
static void lay_patches(const struct model *model, const struct vision_space *space, const uint8_t *rgb, int image_side, void *out)
{
    int patch = model->shape.vision.patch, side = model->shape.vision.side;
    size_t at = 0;
    for (int row = 0; row < side; row++)
        for (int column = 0; column < side; column++)
            for (int c = 0; c < 3; c++)
                for (int ky = 0; ky < patch; ky++) {
                    const uint8_t *line = rgb + ((size_t)(row * patch + ky) * (size_t)image_side + (size_t)(column * patch)) * 3 + c;
                    for (int kx = 0; kx < patch; kx++, at++) {
                        float value = space->pixel[line[3 * kx]];
                        if (model->act == DTYPE_F32)
                            ((float *)out)[at] = value;
                        else
                            ((uint16_t *)out)[at] = bf16_from_f32(value);
                    }
                }
}

static void linear(const struct model *model, const struct vision_space *space, size_t n, const void *x, const struct matrix *w,
                   enum epilogue epilogue, void *y, enum dtype out_dtype)
{
    struct gemm g = {.n = n, .x = x, .ldx = w->n_in, .w = w, .epilogue = epilogue, .y = y, .ldy = w->n_out, .out_dtype = out_dtype};
    kernels_linear(model->kernels, g, space->narrow, space->threads);
}

static void norm(const struct model *model, const struct vision_space *space, const float *w, const float *b, void *out, enum dtype dtype)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width;
    model->kernels->layernorm(n, dx, space->x, dx, w, b, v->eps, out, dx, dtype, space->threads);
}

static struct attention tower_attention(const struct model *model, const struct vision_space *space)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width;
    return (struct attention){.n = n, .n_keys = n, .heads = v->heads, .scale = 1 / sqrtf((float)space->kv.head_dim), .kv = &space->kv,
                              .q = space->q, .ldq = dx, .out = space->o, .ldo = dx, .scratch = space->scratch};
}

static void run_layer(const struct model *model, struct vision_space *space, const struct vision_layer *layer)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width;
    norm(model, space, layer->norm1_w, layer->norm1_b, space->h, model->act);
    linear(model, space, n, space->h, &layer->q, EPILOGUE_NONE, space->q, model->act);
    linear(model, space, n, space->h, &layer->kv, EPILOGUE_NONE, space->kv_rows, DTYPE_F32);
    model->kernels->kv_write(&space->kv, 0, n, space->kv_rows, space->kv_rows + dx, 2 * dx, space->threads);
    struct attention a = tower_attention(model, space);
    model->kernels->attention(&a, space->threads);
    linear(model, space, n, space->o, &layer->out, EPILOGUE_ADD, space->x, DTYPE_F32);
    norm(model, space, layer->norm2_w, layer->norm2_b, space->h, model->act);
    linear(model, space, n, space->h, &layer->fc1, EPILOGUE_GELU_TANH, space->wide, model->act);
    linear(model, space, n, space->wide, &layer->fc2, EPILOGUE_ADD, space->x, DTYPE_F32);
}

/* ---- side outputs -------------------------------------------------------------------------------------------------------- */

/* out[j] = mean over the call's queries and heads of the attention that key j receives, summed in that order. */
static void mean_received(const struct model *model, const struct vision_space *space, struct attention a, float *out)
{
    size_t n = a.n, keys = a.n_keys, row = a.ldq * dtype_size(model->act);
    const char *q = a.q;
    memset(out, 0, keys * sizeof *out);
    for (size_t first = 0; first < n; first += WEIGHT_ROWS) {
        a.n = n - first < WEIGHT_ROWS ? n - first : WEIGHT_ROWS;
        a.q = q + first * row;
        model->kernels->attention_weights(&a, space->weights, space->threads);
        for (size_t i = 0; i < a.n * (size_t)a.heads; i++)
            for (size_t j = 0; j < keys; j++)
                out[j] += space->weights[i * keys + j];
    }
    for (size_t j = 0; j < keys; j++)
        out[j] /= (float)(n * (size_t)a.heads);
}

/* out[d]: mean over heads of key[heads][d]. */
static void mean_key(size_t heads, size_t d, const float *key, float *out)
{
    for (size_t c = 0; c < d; c++) {
        out[c] = 0;
        for (size_t head = 0; head < heads; head++)
            out[c] += key[head * d + c];
        out[c] /= (float)heads;
    }
}

/* What the last layer left behind: its queries, its keys in the cache, and the same in f32 in kv_rows. */
static void read_last_layer(const struct model *model, const struct vision_space *space, const struct vision_side *side)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width, heads = (size_t)v->heads;
    for (size_t i = 0; i < n; i++) {
        const float *key = space->kv_rows + i * 2 * dx;
        if (side->keys)
            memcpy(side->keys + i * dx, key, dx * sizeof *key);
        if (side->kv)
            mean_key(heads, dx / heads, key, side->kv + i * (dx / heads));
    }
    if (side->sal)
        mean_received(model, space, tower_attention(model, space), side->sal);
}

/* The pooling head on the normed patches; x is the space's residual stream, which ends here. */
static void run_pool(const struct model *model, struct vision_space *space, const struct vision_side *side)
{
    const struct vision_shape *v = &model->shape.vision;
    const struct vision_pool *pool = model->vision_pool;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width;
    norm(model, space, model->post_norm_w, model->post_norm_b, space->h, model->act);
    linear(model, space, n, space->h, &pool->kv, EPILOGUE_NONE, space->kv_rows, DTYPE_F32);
    model->kernels->kv_write(&space->kv, 0, n, space->kv_rows, space->kv_rows + dx, 2 * dx, space->threads);
    model->kernels->convert(dx, pool->probe, space->h, model->act, space->threads);
    linear(model, space, 1, space->h, &pool->q, EPILOGUE_NONE, space->q, model->act);
    struct attention a = tower_attention(model, space);
    a.n = 1;
    if (side->probe)
        mean_received(model, space, a, side->probe);
    if (!side->frame)
        return;
    model->kernels->attention(&a, space->threads);
    linear(model, space, 1, space->o, &pool->out, EPILOGUE_NONE, side->frame, DTYPE_F32);
    model->kernels->layernorm(1, dx, side->frame, dx, pool->norm_w, pool->norm_b, v->eps, space->h, dx, model->act, space->threads);
    linear(model, space, 1, space->h, &pool->fc1, EPILOGUE_GELU_TANH, space->wide, model->act);
    linear(model, space, 1, space->wide, &pool->fc2, EPILOGUE_ADD, side->frame, DTYPE_F32);
}

/* ---- a frame ------------------------------------------------------------------------------------------------------------- */

void vision_encode(const struct model *model, struct vision_space *space, const uint8_t *rgb, int image_side, float *X,
                   const struct vision_side *side, vision_probe *each_layer, void *context)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width;
    lay_patches(model, space, rgb, image_side, space->h);
    memcpy(space->x, model->position, n * dx * sizeof(float));
    linear(model, space, n, space->h, &model->patch, EPILOGUE_ADD, space->x, DTYPE_F32);
    if (each_layer)
        each_layer(context, -1, space->x);
    for (int i = 0; i < v->layers; i++) {
        run_layer(model, space, &model->vision_layers[i]);
        if (each_layer)
            each_layer(context, i, space->x);
    }
    memcpy(X, space->x, n * dx * sizeof(float));
    if (side && (side->sal || side->keys || side->kv))
        read_last_layer(model, space, side);
    if (side && (side->probe || side->frame))
        run_pool(model, space, side);
}

void vision_project(const struct model *model, struct vision_space *space, const float *X, size_t n, float *P)
{
    model->kernels->convert(n * (size_t)model->shape.vision.width, X, space->h, model->act, space->threads);
    linear(model, space, n, space->h, &model->projector1, EPILOGUE_GELU_ERF, space->wide, model->act);
    linear(model, space, n, space->wide, &model->projector2, EPILOGUE_NONE, P, DTYPE_F32);
}

void vision_post_norm(const struct model *model, struct vision_space *space, const float *X, float *out)
{
    memcpy(space->x, X, (size_t)(model->shape.vision.side * model->shape.vision.side) * (size_t)model->shape.vision.width * sizeof(float));
    norm(model, space, model->post_norm_w, model->post_norm_b, out, DTYPE_F32);
}

/* ---- pooling ------------------------------------------------------------------------------------------------------------- */

static void pool_bilinear(int side, int out_side, int width, const float *in, float *out)
{
    for (int y = 0; y < out_side; y++) {
        struct pool_tap ty = pool_bilinear_tap(side, out_side, y);
        for (int x = 0; x < out_side; x++, out += width) {
            struct pool_tap tx = pool_bilinear_tap(side, out_side, x);
            const float *a = in + (size_t)(ty.i0 * side + tx.i0) * (size_t)width, *b = in + (size_t)(ty.i0 * side + tx.i1) * (size_t)width;
            const float *c = in + (size_t)(ty.i1 * side + tx.i0) * (size_t)width, *d = in + (size_t)(ty.i1 * side + tx.i1) * (size_t)width;
            for (int k = 0; k < width; k++)
                out[k] = ty.w0 * (tx.w0 * a[k] + tx.w1 * b[k]) + ty.w1 * (tx.w0 * c[k] + tx.w1 * d[k]);
        }
    }
}

static void pool_window(enum pool_mode mode, int stride, int side, int out_side, int width, const float *in, float *out)
{
    for (int y = 0; y < out_side; y++)
        for (int x = 0; x < out_side; x++, out += width) {
            for (int k = 0; k < width; k++)
                out[k] = mode == POOL_MAX ? -FLT_MAX : 0;
            for (int i = 0; i < stride * stride; i++) {
                const float *source = in + (size_t)((y * stride + i / stride) * side + x * stride + i % stride) * (size_t)width;
                for (int k = 0; k < width; k++)
                    out[k] = mode == POOL_AVERAGE ? out[k] + source[k] : source[k] > out[k] ? source[k] : out[k];
            }
            for (int k = 0; k < width && mode == POOL_AVERAGE; k++)
                out[k] /= (float)(stride * stride);
        }
}

void grid_pool(enum pool_mode mode, int stride, int side, int width, const float *in, float *out)
{
    int out_side = pool_side(mode, side, stride);
    if (mode == POOL_NONE)
        memcpy(out, in, (size_t)(side * side) * (size_t)width * sizeof *out);
    else if (mode == POOL_BILINEAR)
        pool_bilinear(side, out_side, width, in, out);
    else
        pool_window(mode, stride, side, out_side, width, in, out);
}
