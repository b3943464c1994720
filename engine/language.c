/* Language model. Layer by layer over all rows of a call, in chunks of rows inside a layer: weights stream through the caches once
 * per chunk, and hooks between layers see whole sequences. Every row's bits are independent of chunking (kernels.h). */
#include "engine/language.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 768 };

struct language_state {
    int threads, layers;
    size_t capacity, positions;
    struct kv *kv;       /* [layers] */
    size_t *length;      /* [layers] rows cached */
    float *cosines, *sines; /* [positions][head_dim/2] */
    void *h;             /* act [CHUNK][d] */
    float *qkv;          /* [CHUNK][q + 2 kv] */
    void *q, *o;         /* act [CHUNK][q] */
    void *wide;          /* act [CHUNK][ff rounded] */
    void *scratch;
    void *narrow;        /* rows of h, o or wide in int8; of no size where weights are not */
    void *memory;
};

struct layout { size_t cosines, sines, h, qkv, q, o, wide, scratch, narrow, kv, kv_keys, kv_layer, total; };

static size_t take(size_t *used, size_t bytes)
{
    size_t at = *used;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

static size_t q_width(const struct language_shape *l)
{
    return (size_t)(l->heads * l->head_dim);
}

static size_t kv_width(const struct language_shape *l)
{
    return (size_t)(l->kv_heads * l->head_dim);
}

static size_t wide_width(const struct language_shape *l)
{
    return (size_t)(l->ff + 31) / 32 * 32;
}

static struct kv layer_kv(const struct language_shape *l, enum dtype dtype, size_t capacity)
{
    return (struct kv){.dtype = dtype, .kv_heads = l->kv_heads, .head_dim = l->head_dim, .capacity = (capacity + 63) / 64 * 64};
}

static struct layout state_layout(const struct model_shape *shape, enum dtype dtype, size_t capacity, size_t positions, int threads)
{
    const struct language_shape *l = &shape->language;
    size_t act = dtype_size(dtype_act(dtype)), half = (size_t)l->head_dim / 2, q = q_width(l);
    size_t widest = wide_width(l) > q ? wide_width(l) : q;
    struct kv kv = layer_kv(l, dtype_act(dtype), capacity);
    struct layout at = {0};
    at.cosines = take(&at.total, positions * half * sizeof(float));
    at.sines = take(&at.total, positions * half * sizeof(float));
    at.h = take(&at.total, CHUNK * (size_t)l->width * act);
    at.qkv = take(&at.total, CHUNK * (q + 2 * kv_width(l)) * sizeof(float));
    at.q = take(&at.total, CHUNK * q * act);
    at.o = take(&at.total, CHUNK * q * act);
    at.wide = take(&at.total, CHUNK * wide_width(l) * act);
    at.scratch = take(&at.total, attention_scratch_bytes(l->head_dim, threads));
    at.narrow = take(&at.total, dtype == DTYPE_I8 ? narrow_bytes(CHUNK, widest > (size_t)l->width ? widest : (size_t)l->width) : 0);
    at.kv_keys = (kv_key_bytes(&kv) + 63) / 64 * 64;
    at.kv_layer = at.kv_keys + (kv_value_bytes(&kv) + 63) / 64 * 64;
    at.kv = take(&at.total, at.kv_layer * (size_t)l->layers);
    return at;
}

size_t language_state_bytes(const struct model_shape *shape, enum dtype dtype, size_t capacity, size_t positions, int threads)
{
    return state_layout(shape, dtype, capacity, positions, threads).total;
}

/* Angles in f32 as the reference has them (models.md 3.4); their cosines from double, rounded once. */
static void fill_rope(struct language_state *state, const struct language_shape *l)
{
    size_t half = (size_t)l->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)l->head_dim;
        float frequency = 1.0f / (float)pow(l->rope_theta, (double)exponent);
        for (size_t p = 0; p < state->positions; p++) {
            float angle = (float)p * frequency;
            state->cosines[p * half + i] = (float)cos((double)angle);
            state->sines[p * half + i] = (float)sin((double)angle);
        }
    }
}

int language_state_new(struct language_state **out, const struct model *model, size_t capacity, size_t positions, int threads, struct err *err)
{
    const struct language_shape *l = &model->shape.language;
    struct layout at = state_layout(&model->shape, model->dtype, capacity, positions, threads);
    struct language_state *state = calloc(1, sizeof *state);
    char *memory = state ? aligned_alloc(64, at.total) : NULL;
    struct kv *kv = memory ? calloc((size_t)l->layers, sizeof *kv) : NULL;
    size_t *length = kv ? calloc((size_t)l->layers, sizeof *length) : NULL;
    *out = NULL;
    if (!length) {
        free(kv);
        free(memory);
        free(state);
        return err_set(err, ERR_MEMORY, "out of memory for a cache of %zu positions (%zu MiB)", capacity, at.total >> 20);
    }
    memset(memory, 0, at.total);
    *state = (struct language_state){.threads = threads,
                                     .layers = l->layers,
                                     .capacity = capacity,
                                     .positions = positions,
                                     .kv = kv,
                                     .length = length,
                                     .cosines = (float *)(void *)(memory + at.cosines),
                                     .sines = (float *)(void *)(memory + at.sines),
                                     .h = memory + at.h,
                                     .qkv = (float *)(void *)(memory + at.qkv),
                                     .q = memory + at.q,
                                     .o = memory + at.o,
                                     .wide = memory + at.wide,
                                     .scratch = memory + at.scratch,
                                     .narrow = memory + at.narrow,
                                     .memory = memory};
    for (int i = 0; i < l->layers; i++) {
        kv[i] = layer_kv(l, model->act, capacity);
        kv[i].keys = memory + at.kv + (size_t)i * at.kv_layer;
        kv[i].values = memory + at.kv + (size_t)i * at.kv_layer + at.kv_keys;
    }
    fill_rope(state, l);
    *out = state;
    return 0;
}

void language_state_free(struct language_state *state)
{
    if (!state)
        return;
    free(state->kv);
    free(state->length);
    free(state->memory);
    free(state);
}

size_t language_length(const struct language_state *state)
{
    return state->length[0];
}

size_t language_capacity(const struct language_state *state)
{
    return state->capacity;
}

size_t language_layer_length(const struct language_state *state, int layer)
{
    return state->length[layer];
}

void language_cut_layer(struct language_state *state, int layer, size_t length)
{
    state->length[layer] = length;
}

void language_cut(struct language_state *state, size_t length)
{
    for (int i = 0; i < state->layers; i++)
        state->length[i] = length;
}

void language_rope(const struct language_state *state, uint32_t position, const float **cosines, const float **sines)
{
    size_t half = (size_t)state->kv[0].head_dim / 2;
    *cosines = state->cosines + position * half;
    *sines = state->sines + position * half;
}

void language_embed(const struct model *model, int32_t id, float *out)
{
    matrix_row(&model->embed, (size_t)id, out);
}

static void linear(const struct model *model, const struct language_state *state, size_t n, const void *x, size_t ldx, const struct matrix *w,
                   enum epilogue epilogue, void *y, size_t ldy, enum dtype out_dtype)
{
    struct gemm g = {.n = n, .x = x, .ldx = ldx, .w = w, .epilogue = epilogue, .y = y, .ldy = ldy, .out_dtype = out_dtype};
    kernels_linear(model->kernels, g, state->narrow, state->threads);
}

struct chunk { /* rows first..first+n-1 of a pass */
    float *rows;
    size_t n, at; /* at: place of the first in the cache */
    const uint32_t *position;
    uint32_t first_position;
    const float *bias;
};

static struct chunk chunk_of(const struct pass *pass, size_t d, size_t length, size_t first)
{
    return (struct chunk){pass->rows + first * d, pass->n - first < CHUNK ? pass->n - first : CHUNK, length + first,
                          pass->position ? pass->position + first : NULL, pass->first_position + (uint32_t)first, pass->bias};
}

/* Rotates queries and keys, run by run of consecutive positions. */
static void rotate(const struct model *model, struct language_state *state, const struct chunk *chunk)
{
    const struct language_shape *l = &model->shape.language;
    size_t ld = q_width(l) + 2 * kv_width(l);
    const uint32_t *position = chunk->position;
    for (size_t i = 0; i < chunk->n;) {
        size_t run = 1;
        uint32_t at = position ? position[i] : chunk->first_position + (uint32_t)i;
        while (i + run < chunk->n && (!position || position[i + run] == at + run))
            run++;
        model->kernels->rope(run, l->heads + l->kv_heads, l->head_dim, state->qkv + i * ld, ld, state->cosines, state->sines, at, state->threads);
        i += run;
    }
}

/* Queries, keys and values of a chunk, not yet rotated, in state->qkv. */
static void project_chunk(const struct model *model, struct language_state *state, int i, const struct chunk *chunk)
{
    const struct language_shape *l = &model->shape.language;
    const struct language_layer *layer = &model->language_layers[i];
    size_t d = (size_t)l->width, ld = q_width(l) + 2 * kv_width(l);
    model->kernels->rmsnorm(chunk->n, d, chunk->rows, d, layer->norm1_w, l->eps, state->h, d, model->act, state->threads);
    linear(model, state, chunk->n, state->h, d, &layer->qkv, EPILOGUE_NONE, state->qkv, ld, DTYPE_F32);
}

/* Rotates what project_chunk left, and puts keys and values in the cache. */
static void cache_chunk(const struct model *model, struct language_state *state, int i, const struct chunk *chunk)
{
    const struct language_shape *l = &model->shape.language;
    size_t q = q_width(l), ld = q + 2 * kv_width(l);
    rotate(model, state, chunk);
    model->kernels->kv_write(&state->kv[i], chunk->at, chunk->n, state->qkv + q, state->qkv + q + kv_width(l), ld, state->threads);
}

/* Attention of the chunk's last m rows. */
static void attend_chunk(const struct model *model, struct language_state *state, int i, const struct chunk *chunk, size_t m)
{
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width, q = q_width(l), ld = q + 2 * kv_width(l), skip = chunk->n - m;
    for (size_t r = 0; r < m; r++)
        model->kernels->convert(q, state->qkv + (skip + r) * ld, (char *)state->q + r * q * dtype_size(model->act), model->act, 1);
    struct attention a = {.n = m, .first = chunk->at + skip, .n_keys = chunk->at + chunk->n, .causal = true, .heads = l->heads,
                          .scale = 1 / sqrtf((float)l->head_dim), .kv = &state->kv[i], .q = state->q, .ldq = q, .out = state->o, .ldo = q,
                          .scratch = state->scratch, .bias = chunk->bias};
    model->kernels->attention(&a, state->threads);
    linear(model, state, m, state->o, q, &model->language_layers[i].out, EPILOGUE_ADD, chunk->rows + skip * d, d, DTYPE_F32);
}

/* The MLP of m rows, at most a chunk. */
static void feed_chunk(const struct model *model, struct language_state *state, int i, float *rows, size_t m)
{
    const struct language_shape *l = &model->shape.language;
    const struct language_layer *layer = &model->language_layers[i];
    size_t d = (size_t)l->width, wide = wide_width(l);
    model->kernels->rmsnorm(m, d, rows, d, layer->norm2_w, l->eps, state->h, d, model->act, state->threads);
    linear(model, state, m, state->h, d, &layer->gate_up, EPILOGUE_SWIGLU, state->wide, wide, model->act);
    linear(model, state, m, state->wide, wide, &layer->down, EPILOGUE_ADD, rows, d, DTYPE_F32);
}

void language_prefill(const struct model *model, struct language_state *state, float *rows, size_t n, const uint32_t *position,
                      uint32_t first_position, float *last, language_probe *probe, void *context)
{
    const struct language_shape *l = &model->shape.language;
    const struct pass pass = {.rows = rows, .n = n, .position = position, .first_position = first_position};
    size_t d = (size_t)l->width;
    for (int i = 0; i < l->layers; i++) {
        bool whole = i + 1 < l->layers || probe;
        for (size_t first = 0; first < n; first += CHUNK) {
            struct chunk chunk = chunk_of(&pass, d, state->length[i], first);
            bool ends = first + chunk.n == n;
            size_t m = whole ? chunk.n : last && ends ? 1 : 0;
            project_chunk(model, state, i, &chunk);
            cache_chunk(model, state, i, &chunk);
            if (m) {
                attend_chunk(model, state, i, &chunk, m);
                feed_chunk(model, state, i, chunk.rows + (chunk.n - m) * d, m);
            }
        }
        state->length[i] += n;
        if (probe)
            probe(context, i, rows);
    }
    if (last)
        language_finish(model, rows + (n - 1) * d, last);
}

void language_finish(const struct model *model, const float *row, float *last)
{
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width;
    model->kernels->rmsnorm(1, d, row, d, model->final_norm, l->eps, last, d, DTYPE_F32, 1);
}

/* ---- layer by layer ------------------------------------------------------------------------------------------------------ */

/* Copies columns [column, column + width) of the chunk's rows that are among the last n_kept of the pass. */
static void keep_columns(const struct language_state *state, const struct language_shape *l, const struct pass *pass, size_t first, size_t n,
                         size_t column, size_t width, float *out, size_t n_kept)
{
    size_t ld = q_width(l) + 2 * kv_width(l), from = pass->n - n_kept;
    for (size_t r = first > from ? first : from; r < first + n; r++)
        memcpy(out + (r - from) * width, state->qkv + (r - first) * ld + column, width * sizeof *out);
}

void language_attend(const struct model *model, struct language_state *state, int layer, const struct pass *pass, size_t n_out)
{
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width, silent = pass->n - n_out; /* rows that attend to nothing */
    for (size_t first = 0; first < pass->n; first += CHUNK) {
        struct chunk chunk = chunk_of(pass, d, state->length[layer], first);
        size_t end = first + chunk.n, m = end <= silent ? 0 : first >= silent ? chunk.n : end - silent;
        project_chunk(model, state, layer, &chunk);
        cache_chunk(model, state, layer, &chunk);
        if (pass->queries)
            keep_columns(state, l, pass, first, chunk.n, 0, q_width(l), pass->queries, pass->n_queries);
        if (m)
            attend_chunk(model, state, layer, &chunk, m);
    }
    state->length[layer] += pass->n;
}

void language_feed(const struct model *model, struct language_state *state, int layer, float *rows, size_t n)
{
    size_t d = (size_t)model->shape.language.width;
    for (size_t first = 0; first < n; first += CHUNK)
        feed_chunk(model, state, layer, rows + first * d, n - first < CHUNK ? n - first : CHUNK);
}

void language_project(const struct model *model, struct language_state *state, int layer, const struct pass *pass, float *keys_before,
                      float *keys_after, float *queries_before)
{
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width, q = q_width(l), kv = kv_width(l);
    for (size_t first = 0; first < pass->n; first += CHUNK) {
        struct chunk chunk = chunk_of(pass, d, state->length[layer], first);
        project_chunk(model, state, layer, &chunk);
        if (keys_before)
            keep_columns(state, l, pass, first, chunk.n, q, kv, keys_before, pass->n);
        if (queries_before)
            keep_columns(state, l, pass, first, chunk.n, 0, q, queries_before, pass->n);
        cache_chunk(model, state, layer, &chunk);
        if (keys_after)
            keep_columns(state, l, pass, first, chunk.n, q, kv, keys_after, pass->n);
        if (pass->queries)
            keep_columns(state, l, pass, first, chunk.n, 0, q, pass->queries, pass->n_queries);
    }
}

void language_lay_keys(const struct model *model, struct language_state *state, int layer, const float *keys, size_t n)
{
    size_t kv = kv_width(&model->shape.language);
    model->kernels->kv_write(&state->kv[layer], state->length[layer], n, keys, keys, kv, state->threads); /* values are not looked at */
}

void language_weigh(const struct model *model, struct language_state *state, int layer, const float *query, size_t n_keys, const float *bias,
                    float *weights)
{
    const struct language_shape *l = &model->shape.language;
    size_t q = q_width(l);
    model->kernels->convert(q, query, state->q, model->act, 1);
    struct attention a = {.n = 1, .n_keys = n_keys, .heads = l->heads, .scale = 1 / sqrtf((float)l->head_dim), .kv = &state->kv[layer],
                          .q = state->q, .ldq = q, .scratch = state->scratch, .bias = bias};
    model->kernels->attention_weights(&a, weights, state->threads);
}

void language_logits(const struct model *model, struct language_state *state, const float *hidden, float *logits)
{
    size_t d = (size_t)model->shape.language.width;
    model->kernels->convert(d, hidden, state->h, model->act, 1);
    linear(model, state, 1, state->h, d, &model->head, EPILOGUE_NONE, logits, model->head.n_out, DTYPE_F32);
}
