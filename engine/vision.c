/* Vision tower and projector. All buffers are tensors. On the host frames go through one at a time: several bring nothing once weights are
 * packed (the tower's matrices are far larger than its activations), and memory stays at some megabytes. On a card one frame does not fill
 * the machine. */
#include "engine/vision.h"

#include <math.h>
#include <stdlib.h>

enum { WEIGHT_ROWS = 16 }; /* queries whose attention is looked at together */

struct vision_space {
    int threads;
    float *x;        /* [frames N][width] residual stream */
    void *h;         /* act [frames N][max(width, patch inputs)] */
    void *q, *o;     /* act [frames N][width] */
    float *kv_rows;  /* [frames N][2 width] */
    void *wide;      /* act [frames N][max(ff, d)] */
    struct kv kv;    /* of all frames */
    void *scratch;
    void *narrow;    /* rows of h, o or wide in int8; of no size where weights are not */
    float *weights;  /* [WEIGHT_ROWS][heads][N] of the side outputs */
    void *products;  /* gemm's scratch */
    uint8_t *rgb;    /* the frames */
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

static struct kv tower_kv(const struct vision_shape *v, const struct kernels *kernels, enum dtype dtype, int frames)
{
    size_t n = (size_t)(v->side * v->side);
    return (struct kv){.dtype = dtype, .kv_heads = v->heads, .head_dim = v->width / v->heads, .capacity = (n + 63) / 64 * 64,
                       .layout = kernels->layout, .sequences = frames};
}

static size_t patches(const struct vision_shape *v)
{
    return (size_t)(v->side * v->side);
}

static size_t frame_bytes(const struct vision_shape *v)
{
    return (size_t)(v->image_size * v->image_size) * 3;
}

static struct offsets space_offsets(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, int frames, int threads)
{
    const struct vision_shape *v = &shape->vision;
    size_t n = (size_t)frames * patches(v), dx = (size_t)v->width, act = dtype_size(dtype_act(dtype)), d = (size_t)shape->language.width;
    size_t inputs = (size_t)(3 * v->patch * v->patch), ff = (size_t)v->ff, widest = ff > d ? ff : d;
    struct kv kv = tower_kv(v, kernels, dtype_act(dtype), frames);
    struct offsets at = {0};
    at.x = take(&at.total, n * dx * sizeof(float));
    at.h = take(&at.total, n * (inputs > dx ? inputs : dx) * act);
    at.q = take(&at.total, n * dx * act);
    at.o = take(&at.total, n * dx * act);
    at.kv_rows = take(&at.total, n * 2 * dx * sizeof(float));
    at.wide = take(&at.total, n * widest * act);
    at.keys = take(&at.total, kv_key_bytes(&kv));
    at.values = take(&at.total, kv_value_bytes(&kv));
    at.scratch = take(&at.total, attention_scratch_bytes(kernels, &kv, threads));
    at.narrow = take(&at.total, dtype == DTYPE_I8 ? narrow_bytes(n, ff > dx ? ff : dx) : 0);
    at.weights = take(&at.total, WEIGHT_ROWS * (size_t)v->heads * patches(v) * sizeof(float));
    at.products = take(&at.total, gemm_scratch_bytes(kernels, n, widest > 2 * dx ? widest : 2 * dx));
    at.rgb = take(&at.total, kernels->memory->host ? 0 : (size_t)frames * frame_bytes(v));
    return at;
}

size_t vision_space_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, int frames_at_once, int threads)
{
    return space_offsets(shape, kernels, dtype, frames_at_once, threads).total;
}

int vision_frames_at_once(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t left)
{
    enum { PART = 32 };
    int frames = kernels->memory->host ? 1 : MOST_FRAMES_AT_ONCE;
    while (frames > 1 && vision_space_bytes(shape, kernels, dtype, frames, 1) > left / PART)
        frames /= 2;
    return frames;
}

int vision_space_new(struct vision_space **out, const struct model *model, int threads, struct err *err)
{
    const struct memory *owner = model->kernels->memory;
    struct offsets at = space_offsets(&model->shape, model->kernels, model->dtype, model->frames_at_once, threads);
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
                                   .kv = tower_kv(&model->shape.vision, model->kernels, model->act, model->frames_at_once),
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

/* Patches of frame i as rows in the order (channel, ky, kx), in the compute dtype, in their place in h. */
static void lay_patches(const struct model *model, const struct vision_space *space, const uint8_t *rgb, int image_side, size_t i)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t inputs = (size_t)(3 * v->patch * v->patch) * dtype_size(model->act);
    if (!space->owner->host) {
        uint8_t *frame = space->rgb + i * frame_bytes(v);
        space->owner->put(frame, rgb, (size_t)(image_side * image_side) * 3);
        rgb = frame;
    }
    model->kernels->patches(rgb, image_side, v->patch, v->side, (char *)space->h + i * patches(v) * inputs, model->act);
}

static void linear(const struct model *model, const struct vision_space *space, size_t n, const void *x, const struct matrix *w,
                   enum epilogue epilogue, void *y, enum dtype out_dtype)
{
    struct gemm g = {.n = n, .x = x, .ldx = w->n_in, .w = w, .epilogue = epilogue, .y = y, .ldy = w->n_out, .out_dtype = out_dtype,
                     .scratch = space->products};
    kernels_linear(model->kernels, g, space->narrow, space->threads);
}

static void norm(const struct model *model, const struct vision_space *space, size_t n, const float *x, const float *w, const float *b, void *out,
                 enum dtype dtype)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t dx = (size_t)v->width;
    model->kernels->layernorm(n, dx, x, dx, w, b, v->eps, out, dx, dtype, space->threads);
}

/* Of as many frames as kv has. */
static struct attention tower_attention(const struct model *model, const struct vision_space *space, const struct kv *kv, const void *q)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = patches(v), dx = (size_t)v->width;
    return (struct attention){.n = n, .n_keys = n, .heads = v->heads, .scale = 1 / sqrtf((float)kv->head_dim), .kv = kv,
                              .q = q, .ldq = dx, .out = space->o, .ldo = dx, .scratch = space->scratch};
}

static void run_layer(const struct model *model, struct vision_space *space, const struct kv *kv, const struct vision_layer *layer)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = kv_sequences(kv) * patches(v), dx = (size_t)v->width;
    norm(model, space, n, space->x, layer->norm1_w, layer->norm1_b, space->h, model->act);
    linear(model, space, n, space->h, &layer->q, EPILOGUE_NONE, space->q, model->act);
    linear(model, space, n, space->h, &layer->kv, EPILOGUE_NONE, space->kv_rows, DTYPE_F32);
    model->kernels->kv_write(kv, 0, patches(v), space->kv_rows, space->kv_rows + dx, 2 * dx, space->threads);
    struct attention a = tower_attention(model, space, kv, space->q);
    model->kernels->attention(&a, space->threads);
    linear(model, space, n, space->o, &layer->out, EPILOGUE_ADD, space->x, DTYPE_F32);
    norm(model, space, n, space->x, layer->norm2_w, layer->norm2_b, space->h, model->act);
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

/* Where the values of frame i go. */
static struct vision_side side_of(const struct vision_shape *v, const struct vision_side *all, size_t i)
{
    size_t n = patches(v), dx = (size_t)v->width;
    return (struct vision_side){.sal = all->sal ? all->sal + i * n : NULL,
                                .keys = all->keys ? all->keys + i * n * dx : NULL,
                                .kv = all->kv ? all->kv + i * n * (dx / (size_t)v->heads) : NULL,
                                .probe = all->probe ? all->probe + i * n : NULL,
                                .frame = all->frame ? all->frame + i * dx : NULL};
}

/* What the last layer left behind of frame i: its queries, its keys in the cache, and the same in f32 in kv_rows. */
static void read_last_layer(const struct model *model, const struct vision_space *space, size_t i, const struct vision_side *side)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t n = patches(v), dx = (size_t)v->width, heads = (size_t)v->heads;
    const float *keys = space->kv_rows + i * n * 2 * dx;
    const struct kv kv = kv_sequence(&space->kv, i);
    if (side->keys)
        model->kernels->sum_rows(n, 1, dx, keys, 2 * dx, dx, side->keys, false, 1); /* of one row: a copy */
    if (side->kv)
        model->kernels->sum_rows(n, heads, dx / heads, keys, 2 * dx, dx / heads, side->kv, false, (float)heads);
    if (side->sal)
        mean_received(model, space, tower_attention(model, space, &kv, (const char *)space->q + i * n * dx * dtype_size(model->act)), side->sal);
}

/* The pooling head on the normed patches of frame i, in the buffers of frame 0, which the side outputs of layers have been read from. */
static void run_pool(const struct model *model, struct vision_space *space, size_t i, const struct vision_side *side)
{
    const struct vision_shape *v = &model->shape.vision;
    const struct vision_pool *pool = model->vision_pool;
    size_t n = patches(v), dx = (size_t)v->width;
    const struct kv kv = kv_sequence(&space->kv, 0);
    norm(model, space, n, space->x + i * n * dx, model->post_norm_w, model->post_norm_b, space->h, model->act);
    linear(model, space, n, space->h, &pool->kv, EPILOGUE_NONE, space->kv_rows, DTYPE_F32);
    model->kernels->kv_write(&kv, 0, n, space->kv_rows, space->kv_rows + dx, 2 * dx, space->threads);
    model->kernels->convert(1, dx, pool->probe, dx, space->h, dx, model->act, space->threads);
    linear(model, space, 1, space->h, &pool->q, EPILOGUE_NONE, space->q, model->act);
    struct attention a = tower_attention(model, space, &kv, space->q);
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

/* ---- frames -------------------------------------------------------------------------------------------------------------- */

static void read_sides(const struct model *model, struct vision_space *space, size_t n, const struct vision_side *all)
{
    for (size_t i = 0; i < n && (all->sal || all->keys || all->kv); i++) {
        const struct vision_side side = side_of(&model->shape.vision, all, i);
        read_last_layer(model, space, i, &side);
    }
    for (size_t i = 0; i < n && (all->probe || all->frame); i++) {
        const struct vision_side side = side_of(&model->shape.vision, all, i);
        run_pool(model, space, i, &side);
    }
}

void vision_encode(const struct model *model, struct vision_space *space, const uint8_t *const *rgb, int n, int image_side, float *X,
                   const struct vision_side *side, vision_probe *each_layer, void *context)
{
    const struct vision_shape *v = &model->shape.vision;
    size_t frame = patches(v) * (size_t)v->width, frames = (size_t)n;
    struct kv kv = space->kv;
    kv.sequences = n;
    for (size_t i = 0; i < frames; i++) {
        lay_patches(model, space, rgb[i], image_side, i);
        space->owner->move(space->x + i * frame, model->position, frame * sizeof(float));
    }
    linear(model, space, frames * patches(v), space->h, &model->patch, EPILOGUE_ADD, space->x, DTYPE_F32);
    if (each_layer)
        each_layer(context, -1, space->x);
    for (int i = 0; i < v->layers; i++) {
        run_layer(model, space, &kv, &model->vision_layers[i]);
        if (each_layer)
            each_layer(context, i, space->x);
    }
    space->owner->move(X, space->x, frames * frame * sizeof(float));
    if (side)
        read_sides(model, space, frames, side);
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
    norm(model, space, patches(&model->shape.vision), X, model->post_norm_w, model->post_norm_b, out, DTYPE_F32);
}
