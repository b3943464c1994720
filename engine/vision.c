/* Vision tower and projector. All buffers are tensors. Frames go through one at a time: batching brings nothing once weights are packed (the tower's
 * matrices are far larger than its activations), and memory stays at some megabytes. */
#include "engine/vision.h"

#include <math.h>
#include <stdlib.h>

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
    void *products;  /* gemm's scratch */
    uint8_t *rgb;    /* one frame */
    const struct memory *owner;
    void *memory;
};

struct offsets { size_t x, h, q, o, kv_rows, wide, keys, values, scratch, narrow, weights, products, rgb, total; };

static size_t take(size_t *used, size_t bytes)
{
    size_t at = *used;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

static struct kv tower_kv(const struct vision_shape *v, const struct kernels *kernels, enum dtype dtype)
{
    size_t n = (size_t)(v->side * v->side);
    return (struct kv){.dtype = dtype, .kv_heads = v->heads, .head_dim = v->width / v->heads, .capacity = (n + 63) / 64 * 64,
                       .layout = kernels->layout};
}

static struct offsets space_offsets(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, int threads)
{
    const struct vision_shape *v = &shape->vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width, act = dtype_size(dtype_act(dtype)), d = (size_t)shape->language.width;
    size_t inputs = (size_t)(3 * v->patch * v->patch), ff = (size_t)v->ff, widest = ff > d ? ff : d;
    struct kv kv = tower_kv(v, kernels, dtype_act(dtype));
    struct offsets at = {0};
    at.x = take(&at.total, n * dx * sizeof(float));
    at.h = take(&at.total, n * (inputs > dx ? inputs : dx) * act);
    at.q = take(&at.total, n * dx * act);
    at.o = take(&at.total, n * dx * act);
    at.kv_rows = take(&at.total, n * 2 * dx * sizeof(float));
    at.wide = take(&at.total, n * widest * act);
    at.keys = take(&at.total, kv_key_bytes(&kv));
    at.values = take(&at.total, kv_value_bytes(&kv));
    at.scratch = take(&at.total, attention_scratch_bytes(kv.head_dim, threads));
    at.narrow = take(&at.total, dtype == DTYPE_I8 ? narrow_bytes(n, ff > dx ? ff : dx) : 0);
    at.weights = take(&at.total, WEIGHT_ROWS * (size_t)v->heads * n * sizeof(float));
    at.products = take(&at.total, gemm_scratch_bytes(kernels, n, widest > 2 * dx ? widest : 2 * dx));
    at.rgb = take(&at.total, kernels->memory->host ? 0 : (size_t)(v->image_size * v->image_size) * 3);
    return at;
}

size_t vision_space_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, int threads)
{
    return space_offsets(shape, kernels, dtype, threads).total;
}

int vision_space_new(struct vision_space **out, const struct model *model, int threads, struct err *err)
{
    const struct memory *owner = model->kernels->memory;
    struct offsets at = space_offsets(&model->shape, model->kernels, model->dtype, threads);
    struct vision_space *space = calloc(1, sizeof *space);
    char *memory = space ? owner->take(at.total) : NULL;
    *out = NULL;
    if (!memory) {
        free(space);
        return err_no_memory(err, "the vision tower's buffers");
    }
    *space = (struct vision_space){.threads = threads,
                                   .x = (float *)(void *)(memory + at.x),
                                   .h = memory + at.h,
                                   .q = memory + at.q,
                                   .o = memory + at.o,
                                   .kv_rows = (float *)(void *)(memory + at.kv_rows),
                                   .wide = memory + at.wide,
                                   .kv = tower_kv(&model->shape.vision, model->kernels, model->act),
                                   .scratch = memory + at.scratch,
                                   .narrow = memory + at.narrow,
                                   .weights = (float *)(void *)(memory + at.weights),
                                   .products = memory + at.products,
                                   .rgb = (uint8_t *)memory + at.rgb,
                                   .owner = owner,
                                   .memory = memory};
    space->kv.keys = memory + at.keys;
    space->kv.values = memory + at.values;
    *out = space;
    return 0;
}

void vision_space_free(struct vision_space *space)
{
    if (space)
        space->owner->release(space->memory);
    free(space);
}

/* Patches as rows in the order (channel, ky, kx), in the compute dtype. */
static void lay_patches(const struct model *model, const struct vision_space *space, const uint8_t *rgb, int image_side, void *out)
{
    const struct vision_shape *v = &model->shape.vision;
    if (!space->owner->host) {
        space->owner->put(space->rgb, rgb, (size_t)(image_side * image_side) * 3);
        rgb = space->rgb;
    }
    model->kernels->patches(rgb, image_side, v->patch, v->side, out, model->act);
}

static void linear(const struct model *model, const struct vision_space *space, size_t n, const void *x, const struct matrix *w,
                   enum epilogue epilogue, void *y, enum dtype out_dtype)
{
    struct gemm g = {.n = n, .x = x, .ldx = w->n_in, .w = w, .epilogue = epilogue, .y = y, .ldy = w->n_out, .out_dtype = out_dtype,
                     .scratch = space->products};
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
    size_t n = a.n, heads = (size_t)a.heads, keys = a.n_keys, row = a.ldq * dtype_size(model->act);
    const char *q = a.q;
    for (size_t first = 0; first < n; first += WEIGHT_ROWS) {
        a.n = n - first < WEIGHT_ROWS ? n - first : WEIGHT_ROWS;
        a.q = q + first * row;
        model->kernels->attention_weights(&a, space->weights, space->threads);
        model->kernels->sum_rows(1, a.n * heads, keys, space->weights, 0, keys, out, first != 0, first + a.n == n ? (float)(n * heads) : 1);
    }
}

/* What the last layer left behind: its queries, its keys in the cache, and the same in f32 in kv_rows. */
static void read_last_layer(const struct model *model, const struct vision_space *space, const struct vision_side *side)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = (size_t)(v->side * v->side), dx = (size_t)v->width, heads = (size_t)v->heads;
    if (side->keys)
        model->kernels->sum_rows(n, 1, dx, space->kv_rows, 2 * dx, dx, side->keys, false, 1); /* of one row: a copy */
    if (side->kv)
        model->kernels->sum_rows(n, heads, dx / heads, space->kv_rows, 2 * dx, dx / heads, side->kv, false, (float)heads);
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
    model->kernels->convert(1, dx, pool->probe, dx, space->h, dx, model->act, space->threads);
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
    space->owner->move(space->x, model->position, n * dx * sizeof(float));
    linear(model, space, n, space->h, &model->patch, EPILOGUE_ADD, space->x, DTYPE_F32);
    if (each_layer)
        each_layer(context, -1, space->x);
    for (int i = 0; i < v->layers; i++) {
        run_layer(model, space, &model->vision_layers[i]);
        if (each_layer)
            each_layer(context, i, space->x);
    }
    space->owner->move(X, space->x, n * dx * sizeof(float));
    if (side && (side->sal || side->keys || side->kv))
        read_last_layer(model, space, side);
    if (side && (side->probe || side->frame))
        run_pool(model, space, side);
}

void vision_project(const struct model *model, struct vision_space *space, const float *X, size_t n, float *P)
{
    size_t dx = (size_t)model->shape.vision.width;
    model->kernels->convert(n, dx, X, dx, space->h, dx, model->act, space->threads);
    linear(model, space, n, space->h, &model->projector1, EPILOGUE_GELU_ERF, space->wide, model->act);
    linear(model, space, n, space->wide, &model->projector2, EPILOGUE_NONE, P, DTYPE_F32);
}

void vision_post_norm(const struct model *model, struct vision_space *space, const float *X, float *out)
{
    space->owner->move(space->x, X, (size_t)(model->shape.vision.side * model->shape.vision.side) * (size_t)model->shape.vision.width * sizeof(float));
    norm(model, space, model->post_norm_w, model->post_norm_b, out, DTYPE_F32);
}
