/* Language model. Layer by layer over all rows of a call, in chunks of rows inside a layer: weights stream through the caches once
 * per chunk, and hooks between layers see whole sequences. Every row's bits are independent of chunking (kernels.h). */
#include "engine/language.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 768 };

struct language_state {
    int threads;
    size_t length, capacity, positions;
    struct kv *kv;       /* [layers] */
    float *cosines, *sines; /* [positions][head_dim/2] */
    void *h;             /* act [CHUNK][d] */
    float *qkv;          /* [CHUNK][q + 2 kv] */
    void *q, *o;         /* act [CHUNK][q] */
    void *wide;          /* act [CHUNK][ff rounded] */
    void *scratch;
    void *memory;
};

struct layout { size_t cosines, sines, h, qkv, q, o, wide, scratch, kv, kv_keys, kv_layer, total; };

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
    size_t act = dtype_size(dtype), half = (size_t)l->head_dim / 2, q = q_width(l);
    struct kv kv = layer_kv(l, dtype, capacity);
    struct layout at = {0};
    at.cosines = take(&at.total, positions * half * sizeof(float));
    at.sines = take(&at.total, positions * half * sizeof(float));
    at.h = take(&at.total, CHUNK * (size_t)l->width * act);
    at.qkv = take(&at.total, CHUNK * (q + 2 * kv_width(l)) * sizeof(float));
    at.q = take(&at.total, CHUNK * q * act);
    at.o = take(&at.total, CHUNK * q * act);
    at.wide = take(&at.total, CHUNK * wide_width(l) * act);
    at.scratch = take(&at.total, attention_scratch_bytes(l->head_dim, threads));
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
    *out = NULL;
    if (!kv) {
        free(memory);
        free(state);
        return err_set(err, ERR_MEMORY, "out of memory for a cache of %zu positions (%zu MiB)", capacity, at.total >> 20);
    }
    memset(memory, 0, at.total);
    *state = (struct language_state){.threads = threads,
                                     .capacity = capacity,
                                     .positions = positions,
                                     .kv = kv,
                                     .cosines = (float *)(void *)(memory + at.cosines),
                                     .sines = (float *)(void *)(memory + at.sines),
                                     .h = memory + at.h,
                                     .qkv = (float *)(void *)(memory + at.qkv),
                                     .q = memory + at.q,
                                     .o = memory + at.o,
                                     .wide = memory + at.wide,
                                     .scratch = memory + at.scratch,
                                     .memory = memory};
    for (int i = 0; i < l->layers; i++) {
        kv[i] = layer_kv(l, model->dtype, capacity);
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
    free(state->memory);
    free(state);
}

size_t language_length(const struct language_state *state)
{
    return state->length;
}

void language_cut(struct language_state *state, size_t length)
{
    state->length = length;
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
    model->kernels->gemm(&g, state->threads);
}

/* Rotates queries and keys, run by run of consecutive positions. */
static void rotate(const struct model *model, struct language_state *state, size_t n, const uint32_t *position, uint32_t first_position)
{
    const struct language_shape *l = &model->shape.language;
    size_t ld = q_width(l) + 2 * kv_width(l);
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        uint32_t at = position ? position[i] : first_position + (uint32_t)i;
        while (i + run < n && (!position || position[i + run] == at + run))
            run++;
        model->kernels->rope(run, l->heads + l->kv_heads, l->head_dim, state->qkv + i * ld, ld, state->cosines, state->sines, at, state->threads);
        i += run;
    }
}

struct chunk { /* rows first..first+n-1 of a call */
    float *rows;
    size_t n, at; /* at: place of the first in the cache */
    const uint32_t *position;
    uint32_t first_position;
};

/* Keys, values and queries of a chunk; the first two go to the cache. */
static void project_chunk(const struct model *model, struct language_state *state, int i, const struct chunk *chunk)
{
    const struct language_shape *l = &model->shape.language;
    const struct language_layer *layer = &model->language_layers[i];
    size_t d = (size_t)l->width, q = q_width(l), ld = q + 2 * kv_width(l);
    model->kernels->rmsnorm(chunk->n, d, chunk->rows, d, layer->norm1_w, l->eps, state->h, d, model->dtype, state->threads);
    linear(model, state, chunk->n, state->h, d, &layer->qkv, EPILOGUE_NONE, state->qkv, ld, DTYPE_F32);
    rotate(model, state, chunk->n, chunk->position, chunk->first_position);
    model->kernels->kv_write(&state->kv[i], chunk->at, chunk->n, state->qkv + q, state->qkv + q + kv_width(l), ld, state->threads);
}

/* Attention and MLP of the chunk's last m rows. */
static void finish_chunk(const struct model *model, struct language_state *state, int i, const struct chunk *chunk, size_t m)
{
    const struct language_shape *l = &model->shape.language;
    const struct language_layer *layer = &model->language_layers[i];
    size_t d = (size_t)l->width, q = q_width(l), ld = q + 2 * kv_width(l), skip = chunk->n - m, wide = wide_width(l);
    float *rows = chunk->rows + skip * d;
    for (size_t r = 0; r < m; r++)
        model->kernels->convert(q, state->qkv + (skip + r) * ld, (char *)state->q + r * q * dtype_size(model->dtype), model->dtype, 1);
    struct attention a = {.n = m, .first = chunk->at + skip, .n_keys = chunk->at + chunk->n, .causal = true, .heads = l->heads,
                          .scale = 1 / sqrtf((float)l->head_dim), .kv = &state->kv[i], .q = state->q, .ldq = q, .out = state->o, .ldo = q,
                          .scratch = state->scratch};
    model->kernels->attention(&a, state->threads);
    linear(model, state, m, state->o, q, &layer->out, EPILOGUE_ADD, rows, d, DTYPE_F32);
    model->kernels->rmsnorm(m, d, rows, d, layer->norm2_w, l->eps, state->h, d, model->dtype, state->threads);
    linear(model, state, m, state->h, d, &layer->gate_up, EPILOGUE_SWIGLU, state->wide, wide, model->dtype);
    linear(model, state, m, state->wide, wide, &layer->down, EPILOGUE_ADD, rows, d, DTYPE_F32);
}

void language_prefill(const struct model *model, struct language_state *state, float *rows, size_t n, const uint32_t *position,
                      uint32_t first_position, float *last, language_probe *probe, void *context)
{
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width;
    for (int i = 0; i < l->layers; i++) {
        bool whole = i + 1 < l->layers || probe;
        for (size_t first = 0; first < n; first += CHUNK) {
            struct chunk chunk = {rows + first * d, n - first < CHUNK ? n - first : CHUNK, state->length + first,
                                  position ? position + first : NULL, first_position + (uint32_t)first};
            bool ends = first + chunk.n == n;
            size_t m = whole ? chunk.n : last && ends ? 1 : 0;
            project_chunk(model, state, i, &chunk);
            if (m)
                finish_chunk(model, state, i, &chunk, m);
        }
        if (probe)
            probe(context, i, rows);
    }
    state->length += n;
    if (last)
        model->kernels->rmsnorm(1, d, rows + (n - 1) * d, d, model->final_norm, l->eps, last, d, DTYPE_F32, 1);
}

void language_logits(const struct model *model, struct language_state *state, const float *hidden, float *logits)
{
    size_t d = (size_t)model->shape.language.width;
    model->kernels->convert(d, hidden, state->h, model->dtype, 1);
    linear(model, state, 1, state->h, d, &model->head, EPILOGUE_NONE, logits, model->head.n_out, DTYPE_F32);
}
