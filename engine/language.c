/* Language model. Layer by layer over all rows of a call, in chunks of rows inside a layer: weights stream through the caches once
 * per chunk, and hooks between layers see whole sequences. Every row's bits are independent of chunking (kernels.h). */
#include "engine/language.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 768,
    PLAIN_STEPS = 3, /* of generation, before one is recorded: that costs as much as some, and most replies are a letter */
};

struct language_state {
    const struct memory *owner;
    int threads, layers;
    size_t capacity, positions;
    struct kv *kv;       /* [layers] */
    size_t *length;      /* [layers] rows cached */
    float *cosines, *sines; /* [positions][head_dim/2] */
    float *angles;       /* both on the host, where tensors are elsewhere; NULL where they are not */
    void *h;             /* act [CHUNK][d] */
    float *qkv;          /* [CHUNK][q + 2 kv] */
    void *q, *o;         /* act [CHUNK][q] */
    void *wide;          /* act [CHUNK][ff rounded] */
    void *scratch;
    void *narrow;        /* rows of h, o or wide in int8; of no size where weights are not */
    void *products;      /* gemm's scratch */
    float *logits;       /* [vocab] */
    float *bias;         /* [capacity] a pass's bias, where tensors are elsewhere */
    float *weights;      /* [heads][capacity], likewise */
    float *row, *last;   /* [d] of a step, and what comes of it */
    size_t n_steps;
    struct recording *step; /* NULL: not recorded */
    size_t step_length;  /* rows in the cache before the step that was recorded, and its position */
    uint32_t step_position;
    void *memory;
};

struct offsets { size_t cosines, sines, h, qkv, q, o, wide, scratch, narrow, products, bias, logits, weights, row, last, kv, kv_keys, kv_layer, total; };

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

static struct kv layer_kv(const struct language_shape *l, const struct kernels *kernels, enum dtype dtype, size_t capacity)
{
    return (struct kv){.dtype = dtype, .kv_heads = l->kv_heads, .head_dim = l->head_dim, .capacity = (capacity + 63) / 64 * 64,
                       .layout = kernels->layout};
}

static struct offsets state_offsets(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t capacity,
                                    size_t positions, int threads)
{
    const struct language_shape *l = &shape->language;
    size_t act = dtype_size(dtype_act(dtype)), half = (size_t)l->head_dim / 2, q = q_width(l), apart = !kernels->memory->host;
    size_t qkv = q + 2 * kv_width(l), wide = wide_width(l) > q ? wide_width(l) : q;
    struct kv kv = layer_kv(l, kernels, dtype_act(dtype), capacity);
    struct offsets at = {0};
    at.cosines = take(&at.total, positions * half * sizeof(float));
    at.sines = take(&at.total, positions * half * sizeof(float));
    at.h = take(&at.total, CHUNK * (size_t)l->width * act);
    at.qkv = take(&at.total, CHUNK * qkv * sizeof(float));
    at.q = take(&at.total, CHUNK * q * act);
    at.o = take(&at.total, CHUNK * q * act);
    at.wide = take(&at.total, CHUNK * wide_width(l) * act);
    at.scratch = take(&at.total, attention_scratch_bytes(kernels, &kv, threads));
    at.narrow = take(&at.total, dtype == DTYPE_I8 ? narrow_bytes(CHUNK, wide > (size_t)l->width ? wide : (size_t)l->width) : 0);
    at.products = take(&at.total, gemm_scratch_bytes(kernels, CHUNK, 2 * wide_width(l)));
    at.bias = take(&at.total, apart * kv.capacity * sizeof(float));
    at.logits = take(&at.total, (size_t)l->vocab * sizeof(float));
    at.weights = take(&at.total, apart * (size_t)l->heads * kv.capacity * sizeof(float));
    at.row = take(&at.total, (size_t)l->width * sizeof(float));
    at.last = take(&at.total, (size_t)l->width * sizeof(float));
    at.kv_keys = (kv_key_bytes(&kv) + 63) / 64 * 64;
    at.kv_layer = at.kv_keys + (kv_value_bytes(&kv) + 63) / 64 * 64;
    at.kv = take(&at.total, at.kv_layer * (size_t)l->layers);
    return at;
}

size_t language_state_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t capacity,
                            size_t positions, int threads)
{
    return state_offsets(shape, kernels, dtype, capacity, positions, threads).total;
}

/* Angles in f32 as the reference has them; their cosines from double, rounded once. */
static void fill_rope(const struct language_shape *l, size_t positions, float *cosines, float *sines)
{
    size_t half = (size_t)l->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)l->head_dim;
        float frequency = 1.0f / (float)pow(l->rope_theta, (double)exponent);
        for (size_t p = 0; p < positions; p++) {
            float angle = (float)p * frequency;
            cosines[p * half + i] = (float)cos((double)angle);
            sines[p * half + i] = (float)sin((double)angle);
        }
    }
}

/* Where tensors are elsewhere the host keeps the angles as well: hooks read them. */
static bool make_rope(struct language_state *state, const struct language_shape *l)
{
    size_t n = state->positions * (size_t)l->head_dim / 2;
    if (state->owner->host) {
        fill_rope(l, state->positions, state->cosines, state->sines);
        return true;
    }
    state->angles = malloc(2 * n * sizeof *state->angles);
    if (!state->angles)
        return false;
    fill_rope(l, state->positions, state->angles, state->angles + n);
    state->owner->put(state->cosines, state->angles, n * sizeof *state->angles);
    state->owner->put(state->sines, state->angles + n, n * sizeof *state->angles);
    return true;
}

/* Deals out the state's memory. */
static void place_parts(struct language_state *state, const struct model *model, const struct offsets *at)
{
    char *memory = state->memory;
    state->cosines = (float *)(void *)(memory + at->cosines);
    state->sines = (float *)(void *)(memory + at->sines);
    state->h = memory + at->h;
    state->qkv = (float *)(void *)(memory + at->qkv);
    state->q = memory + at->q;
    state->o = memory + at->o;
    state->wide = memory + at->wide;
    state->scratch = memory + at->scratch;
    state->narrow = memory + at->narrow;
    state->products = memory + at->products;
    state->bias = (float *)(void *)(memory + at->bias);
    state->logits = (float *)(void *)(memory + at->logits);
    state->weights = (float *)(void *)(memory + at->weights);
    state->row = (float *)(void *)(memory + at->row);
    state->last = (float *)(void *)(memory + at->last);
    for (int i = 0; i < state->layers; i++) {
        state->kv[i] = layer_kv(&model->shape.language, model->kernels, model->act, state->capacity);
        state->kv[i].keys = memory + at->kv + (size_t)i * at->kv_layer;
        state->kv[i].values = memory + at->kv + (size_t)i * at->kv_layer + at->kv_keys;
    }
}

int language_state_new(struct language_state **out, const struct model *model, size_t capacity, size_t positions, int threads, struct err *err)
{
    const struct language_shape *l = &model->shape.language;
    const struct memory *owner = model->kernels->memory;
    struct offsets at = state_offsets(&model->shape, model->kernels, model->dtype, capacity, positions, threads);
    struct language_state *state = calloc(1, sizeof *state);
    *out = NULL;
    if (!state)
        return err_no_memory(err, "a cache");
    *state = (struct language_state){.owner = owner, .threads = threads, .layers = l->layers, .capacity = capacity, .positions = positions,
                                     .kv = calloc((size_t)l->layers, sizeof *state->kv), .length = calloc((size_t)l->layers, sizeof *state->length),
                                     .memory = owner->take(at.total)};
    bool made = state->kv && state->length && state->memory;
    if (made) {
        place_parts(state, model, &at);
        made = make_rope(state, l);
    }
    if (!made) {
        language_state_free(state);
        return err_set(err, ERR_MEMORY, "out of memory for a cache of %zu positions (%zu MiB)", capacity, at.total >> 20);
    }
    *out = state;
    return 0;
}

void language_state_free(struct language_state *state)
{
    if (!state)
        return;
    if (state->step)
        state->owner->forget(state->step);
    free(state->kv);
    free(state->length);
    free(state->angles);
    state->owner->release(state->memory);
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
    *cosines = (state->angles ? state->angles : state->cosines) + position * half;
    *sines = (state->angles ? state->angles + state->positions * half : state->sines) + position * half;
}

void language_embed(const struct model *model, const int32_t *ids, size_t n, float *out)
{
    if (n)
        model->kernels->embed(&model->embed, n, ids, out);
}

static void linear(const struct model *model, const struct language_state *state, size_t n, const void *x, size_t ldx, const struct matrix *w,
                   enum epilogue epilogue, void *y, size_t ldy, enum dtype out_dtype)
{
    struct gemm g = {.n = n, .x = x, .ldx = ldx, .w = w, .epilogue = epilogue, .y = y, .ldy = ldy, .out_dtype = out_dtype,
                     .scratch = state->products};
    kernels_linear(model->kernels, g, state->narrow, state->threads);
}

/* A bias of n keys where the kernels read it. */
static const float *bring_bias(const struct language_state *state, const float *bias, size_t n)
{
    if (!bias || state->owner->host)
        return bias;
    state->owner->put(state->bias, bias, n * sizeof *bias);
    return state->bias;
}

struct chunk { /* rows first..first+n-1 of a pass */
    float *rows;
    size_t n, at; /* at: place of the first in the cache */
    const uint32_t *position;
    uint32_t first_position;
    const float *bias;
};

static struct chunk chunk_of(const struct pass *pass, size_t d, size_t length, size_t first, const float *bias)
{
    return (struct chunk){pass->rows + first * d, pass->n - first < CHUNK ? pass->n - first : CHUNK, length + first,
                          pass->position ? pass->position + first : NULL, pass->first_position + (uint32_t)first, bias};
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
    model->kernels->convert(m, q, state->qkv + skip * ld, ld, state->q, q, model->act, state->threads);
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
            struct chunk chunk = chunk_of(&pass, d, state->length[i], first, NULL);
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

/* ---- steps --------------------------------------------------------------------------------------------------------------- */

static void run_step(const struct model *model, struct language_state *state, uint32_t position)
{
    language_prefill(model, state, state->row, 1, NULL, position, state->last, NULL, NULL);
}

/* Leaves the cache as it was; the step is still to be run. */
static void record_step(const struct model *model, struct language_state *state, uint32_t position)
{
    size_t length = language_length(state);
    if (!state->owner->record || !state->owner->record())
        return;
    run_step(model, state, position);
    language_cut(state, length);
    state->step = state->owner->recorded();
    state->step_length = length;
    state->step_position = position;
}

/* A recorded step moves its row and its position by the same. */
static bool repeat_step(struct language_state *state, uint32_t position)
{
    ptrdiff_t by = (ptrdiff_t)language_length(state) - (ptrdiff_t)state->step_length;
    if (!state->step || by != (ptrdiff_t)position - (ptrdiff_t)state->step_position)
        return false;
    state->owner->repeat(state->step, by);
    language_cut(state, language_length(state) + 1);
    return true;
}

const float *language_step(const struct model *model, struct language_state *state, int32_t id, uint32_t position)
{
    language_embed(model, &id, 1, state->row);
    if (state->n_steps++ == PLAIN_STEPS)
        record_step(model, state, position);
    if (!repeat_step(state, position))
        run_step(model, state, position);
    return state->last;
}

/* ---- layer by layer ------------------------------------------------------------------------------------------------------ */

/* Copies columns [column, column + width) of the chunk's rows that are among the last n_kept of the pass to the host. */
static void keep_columns(const struct language_state *state, const struct language_shape *l, const struct pass *pass, size_t first, size_t n,
                         size_t column, size_t width, float *out, size_t n_kept)
{
    size_t ld = q_width(l) + 2 * kv_width(l), from = pass->n - n_kept, r = first > from ? first : from;
    if (r < first + n)
        state->owner->get_rows(out + (r - from) * width, state->qkv + (r - first) * ld + column, ld * sizeof *out, width * sizeof *out,
                               first + n - r);
}

void language_attend(const struct model *model, struct language_state *state, int layer, const struct pass *pass, size_t n_out)
{
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width, silent = pass->n - n_out; /* rows that attend to nothing */
    const float *bias = bring_bias(state, pass->bias, state->length[layer] + pass->n);
    for (size_t first = 0; first < pass->n; first += CHUNK) {
        struct chunk chunk = chunk_of(pass, d, state->length[layer], first, bias);
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
        struct chunk chunk = chunk_of(pass, d, state->length[layer], first, NULL);
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
    size_t kv = kv_width(&model->shape.language), length = state->length[layer];
    if (state->owner->host) {
        model->kernels->kv_write(&state->kv[layer], length, n, keys, keys, kv, state->threads); /* values are not looked at */
        return;
    }
    for (size_t first = 0, m; first < n; first += m) {
        m = n - first < CHUNK ? n - first : CHUNK;
        state->owner->put(state->qkv, keys + first * kv, m * kv * sizeof *keys);
        model->kernels->kv_write(&state->kv[layer], length + first, m, state->qkv, state->qkv, kv, state->threads);
    }
}

void language_weigh(const struct model *model, struct language_state *state, int layer, const float *query, size_t n_keys, const float *bias,
                    float *weights)
{
    const struct language_shape *l = &model->shape.language;
    const struct memory *owner = state->owner;
    size_t q = q_width(l);
    if (!owner->host)
        owner->put(state->qkv, query, q * sizeof *query);
    model->kernels->convert(1, q, owner->host ? query : state->qkv, q, state->q, q, model->act, 1);
    struct attention a = {.n = 1, .n_keys = n_keys, .heads = l->heads, .scale = 1 / sqrtf((float)l->head_dim), .kv = &state->kv[layer],
                          .q = state->q, .ldq = q, .scratch = state->scratch, .bias = bring_bias(state, bias, n_keys)};
    model->kernels->attention_weights(&a, owner->host ? weights : state->weights, state->threads);
    if (!owner->host)
        owner->get(weights, state->weights, (size_t)l->heads * n_keys * sizeof *weights);
}

/* Logits of a hidden state, in state->logits. */
static void project_vocabulary(const struct model *model, struct language_state *state, const float *hidden)
{
    size_t d = (size_t)model->shape.language.width;
    model->kernels->convert(1, d, hidden, d, state->h, d, model->act, 1);
    linear(model, state, 1, state->h, d, &model->head, EPILOGUE_NONE, state->logits, model->head.n_out, DTYPE_F32);
}

void language_logits(const struct model *model, struct language_state *state, const float *hidden, float *logits)
{
    project_vocabulary(model, state, hidden);
    state->owner->get(logits, state->logits, model->head.n_out * sizeof *logits);
}

struct next_id language_next(const struct model *model, struct language_state *state, const float *hidden, const int32_t *ids, size_t n_ids,
                              float penalty)
{
    const struct candidates candidates = {.n = model->head.n_out, .n_ids = n_ids, .logits = state->logits, .ids = ids, .penalty = penalty};
    project_vocabulary(model, state, hidden);
    return model->kernels->next(&candidates);
}
