/* Model: reads a checkpoint's tensors, whichever published layout they are named by, and packs them for the kernels. */
#include "engine/model.h"

#include "core/log.h"
#include "core/rng.h"
#include "engine/safetensors.h"
#include "engine/vision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 4 << 20, NAME_BYTES = 192, PART_BYTES = NAME_BYTES + 8 /* and ".weight" */ };

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

struct model_blocks {
    struct model_blocks *next;
    void (*release)(void *bytes);
    void *bytes;
};

/* While a model is only examined, what it will take is counted, and nobody writes to what is returned. */
static void *model_keep(struct model *model, void *(*take)(size_t bytes), void (*release)(void *bytes), size_t bytes)
{
    static char nothing[64];
    size_t rounded = (bytes + 63) / 64 * 64;
    if (!model->loaded) {
        model->weight_bytes += rounded;
        return nothing;
    }
    struct model_blocks *block = malloc(sizeof *block);
    void *memory = block ? take(rounded ? rounded : 64) : NULL;
    if (!memory) {
        free(block);
        return NULL;
    }
    *block = (struct model_blocks){model->blocks, release, memory};
    model->blocks = block;
    model->weight_bytes += rounded;
    return memory;
}

/* Tensor memory. */
static void *model_tensor(struct model *model, size_t bytes)
{
    return model_keep(model, model->kernels->memory->take, model->kernels->memory->release, bytes);
}

static void *host_take(size_t bytes)
{
    return calloc(1, bytes);
}

/* Memory of the host, for what compressors read. */
static void *model_alloc(struct model *model, size_t bytes)
{
    return model_keep(model, host_take, free, bytes);
}

void model_close(struct model *model)
{
    if (!model)
        return;
    tokenizer_close(model->tokenizer);
    safetensors_close(model->files);
    for (struct model_blocks *block = model->blocks; block;) {
        struct model_blocks *next = block->next;
        block->release(block->bytes);
        free(block);
        block = next;
    }
    free(model->vision_layers);
    free(model->vision_pool);
    free(model->language_layers);
    free(model);
}

static size_t rounded_ff(const struct language_shape *l)
{
    return (size_t)(l->ff + 31) / 32 * 32;
}

size_t model_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype)
{
    const struct vision_shape *v = &shape->vision;
    const struct language_shape *l = &shape->language;
    enum layout at = kernels->layout;
    size_t dx = (size_t)v->width, d = (size_t)l->width, q = (size_t)(l->heads * l->head_dim), kv = (size_t)(l->kv_heads * l->head_dim);
    enum dtype act = dtype_act(dtype);
    size_t vision = 4 * matrix_bytes(dx, dx, dtype, at) + matrix_bytes((size_t)v->ff, dx, dtype, at) + matrix_bytes(dx, (size_t)v->ff, dtype, at);
    size_t layer = matrix_bytes(q + 2 * kv, d, dtype, at) + matrix_bytes(d, q, dtype, at) + matrix_bytes(2 * rounded_ff(l), d, dtype, at) +
                   matrix_bytes(d, (size_t)l->ff, dtype, at);
    size_t ends = matrix_bytes(dx, (size_t)(3 * v->patch * v->patch), act, at) + matrix_bytes(d, dx, act, at) + matrix_bytes(d, d, act, at) +
                  (l->tied ? 1 : 2) * matrix_bytes((size_t)l->vocab, d, act, at);
    return vision * (size_t)v->layers + layer * (size_t)l->layers + ends + (size_t)(v->side * v->side) * dx * sizeof(float);
}

/* ---- where weights come from --------------------------------------------------------------------------------------------- */

struct source {
    struct model *model;
    struct safetensors *files; /* NULL: random weights */
    uint64_t seed;
    const char *vision, *projector1, *projector2, *newline, *language, *head; /* name prefixes of the layout */
    const struct tensor **used;
    size_t n_used, most_used;
    void *piece; /* PIECE_BYTES */
    struct err *err;
};

/* Published names of one part of the model; the first that is there decides. */
static const char *const vision_prefixes[] = {"model.vision_tower.vision_tower.vision_model.", "vision_tower.vision_model.",
                                              "model.vision_tower.vision_model.", NULL};
static const char *const projector1_names[] = {"model.mm_projector.0", "multi_modal_projector.linear_1",
                                               "model.multi_modal_projector.linear_1", NULL};
static const char *const projector2_names[] = {"model.mm_projector.2", "multi_modal_projector.linear_2",
                                               "model.multi_modal_projector.linear_2", NULL};
static const char *const newline_names[] = {"model.image_newline", "image_newline", NULL};
static const char *const language_prefixes[] = {"language_model.model.", "model.language_model.", "model.", NULL};
static const char *const head_names[] = {"lm_head.weight", "language_model.lm_head.weight", NULL};

static const char *find_prefix(const struct source *source, const char *const *prefixes, const char *suffix)
{
    char name[NAME_BYTES];
    for (; *prefixes; prefixes++) {
        snprintf(name, sizeof name, "%s%s", *prefixes, suffix);
        if (safetensors_find(source->files, name))
            return *prefixes;
    }
    return NULL;
}

static int missing_part(struct source *source, const char *part, const char *const *names, const char *suffix)
{
    return err_set(source->err, ERR_DATA, "%s has no %s: looked for '%s%s', '%s%s'%s; is this a LLaVA-OneVision or LLaVA-Video checkpoint?",
                   safetensors_path(source->files, safetensors_at(source->files, 0)), part, names[0], suffix, names[1], suffix,
                   names[2] ? " and one more" : "");
}

static int find_layout(struct source *source)
{
    if (!safetensors_count(source->files))
        return err_set(source->err, ERR_DATA, "the checkpoint holds no tensors; download it again");
    source->vision = find_prefix(source, vision_prefixes, "embeddings.patch_embedding.weight");
    if (!source->vision)
        return missing_part(source, "vision tower", vision_prefixes, "embeddings.patch_embedding.weight");
    source->language = find_prefix(source, language_prefixes, "norm.weight");
    if (!source->language)
        return missing_part(source, "language model", language_prefixes, "norm.weight");
    source->projector1 = find_prefix(source, projector1_names, ".weight");
    source->projector2 = find_prefix(source, projector2_names, ".weight");
    if (!source->projector1 || !source->projector2)
        return missing_part(source, "projector", projector1_names, ".weight");
    source->newline = find_prefix(source, newline_names, "");
    source->head = find_prefix(source, head_names, "");
    return 0;
}

static const struct tensor *claim(struct source *source, const char *name)
{
    const struct tensor *tensor = safetensors_find(source->files, name);
    for (size_t i = 0; i < source->n_used; i++)
        if (source->used[i] == tensor)
            return tensor; /* parts of it go to several matrices */
    if (tensor)
        source->used[source->n_used++] = tensor;
    return tensor;
}

static bool shape_fits(const struct tensor *tensor, uint64_t rows, uint64_t columns)
{
    uint64_t rest = 1;
    for (int i = 1; i < tensor->n_dims; i++)
        rest *= tensor->shape[i];
    return tensor->n_dims >= 1 && tensor->shape[0] == rows && rest == columns;
}

static int wrong_shape(struct source *source, const struct tensor *tensor, uint64_t rows, uint64_t columns)
{
    char is[128] = "";
    size_t used = 0;
    for (int i = 0; i < tensor->n_dims && used < sizeof is - 24; i++)
        used += (size_t)snprintf(is + used, sizeof is - used, "%s%llu", i ? ", " : "", (unsigned long long)tensor->shape[i]);
    return err_set(source->err, ERR_DATA, "%s: tensor '%s' has shape [%s], the config asks for [%llu, %llu]; config and weights do not belong together",
                   safetensors_path(source->files, tensor), tensor->name, is, (unsigned long long)rows, (unsigned long long)columns);
}

/* Checks the tensor and returns it, or NULL with the error set. */
static const struct tensor *need(struct source *source, const char *name, uint64_t rows, uint64_t columns)
{
    const struct tensor *tensor = claim(source, name);
    if (!tensor)
        err_set(source->err, ERR_DATA, "%s: tensor '%s' is missing; a shard may be incomplete, download the checkpoint again",
                safetensors_path(source->files, safetensors_at(source->files, 0)), name);
    else if (!shape_fits(tensor, rows, columns))
        wrong_shape(source, tensor, rows, columns);
    else if (!tensor->usable)
        err_set(source->err, ERR_DATA, "%s: tensor '%s' is %s; this engine reads F32, F16 and BF16 weights",
                safetensors_path(source->files, tensor), name, tensor->dtype_text);
    else
        return tensor;
    return NULL;
}

/* Uniform in +-sqrt(3 / columns): unit variance in, unit variance out. */
static void random_values(const struct source *source, const char *name, uint64_t first, size_t n, double scale, float *out)
{
    uint64_t stream = rng_stream(name);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((2 * rng_unit(source->seed, stream, first + i) - 1) * scale);
}

/* ---- matrices and vectors ------------------------------------------------------------------------------------------------ */

/* Where row i of a tensor goes in the packed matrix. */
enum row_place { PLACE_AT, PLACE_GATE, PLACE_UP };

static bool pack_piece(const struct kernels *k, struct matrix *matrix, enum row_place place, size_t at, size_t first, size_t n,
                       const void *rows, size_t row_bytes, enum dtype dtype)
{
    if (place == PLACE_AT)
        return k->pack(matrix, at + first, n, rows, dtype);
    bool packed = true;
    for (size_t i = 0; i < n && packed;) { /* runs of up to 32 rows stay together */
        size_t row = first + i, run = 32 - row % 32 < n - i ? 32 - row % 32 : n - i;
        packed = k->pack(matrix, swiglu_gate_row(row) + (place == PLACE_UP ? 32 : 0), run, (const char *)rows + i * row_bytes, dtype);
        i += run;
    }
    return packed;
}

/* Rows first..first+n-1 of a tensor of `of` rows, and where they go. */
struct slice { enum row_place place; size_t at, first, n, of; };

static int read_slice(struct source *source, struct matrix *matrix, const char *name, struct slice slice)
{
    size_t n_in = matrix->n_in;
    const struct tensor *tensor = source->files ? need(source, name, slice.of, n_in) : NULL;
    if (source->files && !tensor)
        return source->err->code;
    enum dtype dtype = tensor ? tensor->dtype : DTYPE_F32;
    size_t row_bytes = n_in * dtype_size(dtype), most = PIECE_BYTES / row_bytes;
    if (!most)
        return err_set(source->err, ERR_DATA, "tensor '%s' has rows of %zu bytes, more than this engine reads", name, row_bytes);
    for (size_t done = 0; source->model->loaded && done < slice.n; done += most) {
        size_t n = slice.n - done < most ? slice.n - done : most, from = (slice.first + done) * n_in;
        int rc = 0;
        if (tensor)
            rc = safetensors_read(source->files, tensor, from, n * n_in, source->piece, source->err);
        else
            random_values(source, name, from, n * n_in, sqrt(3 / (double)n_in), source->piece);
        if (rc)
            return rc;
        if (!pack_piece(source->model->kernels, matrix, slice.place, slice.at, done, n, source->piece, row_bytes, dtype))
            return err_no_memory(source->err, "the model's weights");
    }
    return 0;
}

/* Reads tensor `name` [rows, matrix->n_in] into the matrix. */
static int read_rows(struct source *source, struct matrix *matrix, const char *name, enum row_place place, size_t at, size_t rows)
{
    return read_slice(source, matrix, name, (struct slice){place, at, 0, rows, rows});
}

/* Reads a [rows, columns] tensor as f32 into `out`, on the host. */
static int read_values(struct source *source, const char *name, size_t rows, size_t columns, double random_scale, float *out)
{
    size_t n = rows * columns;
    if (!source->files) {
        random_values(source, name, 0, n, random_scale, out);
        return 0;
    }
    const struct tensor *tensor = need(source, name, rows, columns);
    if (!tensor)
        return source->err->code;
    size_t most = PIECE_BYTES / dtype_size(tensor->dtype);
    for (size_t first = 0; source->model->loaded && first < n; first += most) {
        size_t count = n - first < most ? n - first : most;
        int rc = safetensors_read(source->files, tensor, first, count, source->piece, source->err);
        if (rc)
            return rc;
        dtype_convert(out + first, DTYPE_F32, source->piece, tensor->dtype, count);
    }
    return 0;
}

/* The same into tensor memory. */
static int read_tensor(struct source *source, const char *name, size_t rows, size_t columns, double random_scale, float *out)
{
    const struct memory *memory = source->model->kernels->memory;
    if (memory->host || !source->model->loaded)
        return read_values(source, name, rows, columns, random_scale, out);
    float *values = malloc(rows * columns * sizeof *values);
    int rc = values ? read_values(source, name, rows, columns, random_scale, values) : err_no_memory(source->err, "the model's weights");
    if (!rc)
        memory->put(out, values, rows * columns * sizeof *values);
    free(values);
    return rc;
}

static int new_matrix(struct source *source, struct matrix *matrix, enum dtype dtype, size_t n_out, size_t n_in, bool bias)
{
    struct model *model = source->model;
    if (dtype == DTYPE_I8 && n_in > INT8_INPUTS)
        return err_set(source->err, ERR_CONFIG, "int8 sums at most %d inputs, a layer of this model has %zu; use --dtype bf16", INT8_INPUTS, n_in);
    *matrix = (struct matrix){.dtype = dtype, .n_out = n_out, .n_in = n_in, .layout = model->kernels->layout};
    matrix->panels = model_tensor(model, matrix_bytes(n_out, n_in, dtype, matrix->layout));
    if (bias)
        matrix->bias = model_tensor(model, (n_out + PANEL - 1) / PANEL * PANEL * sizeof(float));
    return matrix->panels && (matrix->bias || !bias) ? 0 : err_no_memory(source->err, "the model's weights; --dtype bf16 halves them");
}

/* One linear layer: "<name>.weight" and, with `bias`, "<name>.bias". */
static int read_part(struct source *source, struct matrix *matrix, const char *name, enum row_place place, size_t at, size_t rows)
{
    char full[PART_BYTES];
    snprintf(full, sizeof full, "%s.weight", name);
    int rc = read_rows(source, matrix, full, place, at, rows);
    if (rc || !matrix->bias)
        return rc;
    snprintf(full, sizeof full, "%s.bias", name);
    return read_tensor(source, full, rows, 1, 0.02, (float *)(uintptr_t)matrix->bias + at);
}

static int read_linear(struct source *source, struct matrix *matrix, enum dtype dtype, const char *name, size_t n_out, size_t n_in, bool bias)
{
    int rc = new_matrix(source, matrix, dtype, n_out, n_in, bias);
    return rc ? rc : read_part(source, matrix, name, PLACE_AT, 0, n_out);
}

static int read_table(struct source *source, const float **out, const char *name, size_t rows, size_t columns, double random_scale)
{
    float *values = model_tensor(source->model, rows * columns * sizeof *values);
    *out = values;
    return values ? read_tensor(source, name, rows, columns, random_scale, values) : err_no_memory(source->err, "the model's weights");
}

/* ---- the parts ----------------------------------------------------------------------------------------------------------- */

#define NAMED(...) (snprintf(name, sizeof name, __VA_ARGS__), name)

static int read_norm(struct source *source, const float **w, const float **b, const char *prefix, size_t n)
{
    char name[NAME_BYTES];
    int rc = read_table(source, w, NAMED("%.180s.weight", prefix), n, 1, 1);
    return rc || !b ? rc : read_table(source, b, NAMED("%.180s.bias", prefix), n, 1, 0.02);
}

static int read_vision_layer(struct source *source, struct vision_layer *layer, int i)
{
    const struct vision_shape *v = &source->model->shape.vision;
    enum dtype dtype = source->model->dtype;
    size_t dx = (size_t)v->width, ff = (size_t)v->ff;
    char prefix[NAME_BYTES], name[NAME_BYTES];
    snprintf(prefix, sizeof prefix, "%sencoder.layers.%d", source->vision, i);
    int rc = read_norm(source, &layer->norm1_w, &layer->norm1_b, NAMED("%.150s.layer_norm1", prefix), dx);
    if (!rc)
        rc = read_norm(source, &layer->norm2_w, &layer->norm2_b, NAMED("%.150s.layer_norm2", prefix), dx);
    if (!rc)
        rc = read_linear(source, &layer->q, dtype, NAMED("%.150s.self_attn.q_proj", prefix), dx, dx, true);
    if (!rc)
        rc = new_matrix(source, &layer->kv, dtype, 2 * dx, dx, true);
    if (!rc)
        rc = read_part(source, &layer->kv, NAMED("%.150s.self_attn.k_proj", prefix), PLACE_AT, 0, dx);
    if (!rc)
        rc = read_part(source, &layer->kv, NAMED("%.150s.self_attn.v_proj", prefix), PLACE_AT, dx, dx);
    if (!rc)
        rc = read_linear(source, &layer->out, dtype, NAMED("%.150s.self_attn.out_proj", prefix), dx, dx, true);
    if (!rc)
        rc = read_linear(source, &layer->fc1, dtype, NAMED("%.150s.mlp.fc1", prefix), ff, dx, true);
    if (!rc)
        rc = read_linear(source, &layer->fc2, dtype, NAMED("%.150s.mlp.fc2", prefix), dx, ff, true);
    return rc;
}

/* One of the three projections that the pooling head keeps in one tensor: outputs first..first+n-1 of it. */
static int read_projection(struct source *source, struct matrix *matrix, const char *prefix, size_t first, size_t n)
{
    size_t dx = (size_t)source->model->shape.vision.width;
    char name[NAME_BYTES];
    int rc = new_matrix(source, matrix, source->model->act, n, dx, true);
    if (!rc)
        rc = read_slice(source, matrix, NAMED("%.150sattention.in_proj_weight", prefix), (struct slice){PLACE_AT, 0, first, n, 3 * dx});
    const float *bias;
    if (!rc)
        rc = read_table(source, &bias, NAMED("%.150sattention.in_proj_bias", prefix), 3 * dx, 1, 0.02);
    if (!rc && source->model->loaded)
        source->model->kernels->memory->move((float *)(uintptr_t)matrix->bias, bias + first, n * sizeof *bias);
    return rc;
}

static int read_vision_pool(struct source *source)
{
    struct model *model = source->model;
    struct vision_pool *pool = model->vision_pool ? model->vision_pool : calloc(1, sizeof *pool);
    model->vision_pool = pool;
    size_t dx = (size_t)model->shape.vision.width, ff = (size_t)model->shape.vision.ff;
    char prefix[NAME_BYTES], name[NAME_BYTES];
    snprintf(prefix, sizeof prefix, "%shead.", source->vision);
    int rc = pool ? 0 : err_no_memory(source->err, "the vision tower's pooling head");
    if (!rc)
        rc = read_table(source, &pool->probe, NAMED("%.150sprobe", prefix), 1, dx, 1);
    if (!rc)
        rc = read_projection(source, &pool->q, prefix, 0, dx);
    if (!rc)
        rc = read_projection(source, &pool->kv, prefix, dx, 2 * dx);
    if (!rc)
        rc = read_linear(source, &pool->out, source->model->act, NAMED("%.150sattention.out_proj", prefix), dx, dx, true);
    if (!rc)
        rc = read_norm(source, &pool->norm_w, &pool->norm_b, NAMED("%.150slayernorm", prefix), dx);
    if (!rc)
        rc = read_linear(source, &pool->fc1, source->model->act, NAMED("%.150smlp.fc1", prefix), ff, dx, true);
    if (!rc)
        rc = read_linear(source, &pool->fc2, source->model->act, NAMED("%.150smlp.fc2", prefix), dx, ff, true);
    return rc;
}

static int read_vision(struct source *source)
{
    struct model *model = source->model;
    const struct vision_shape *v = &model->shape.vision;
    size_t dx = (size_t)v->width, d = (size_t)model->shape.language.width, n = (size_t)(v->side * v->side);
    char name[NAME_BYTES];
    int rc = read_linear(source, &model->patch, model->act, NAMED("%sembeddings.patch_embedding", source->vision), dx, (size_t)(3 * v->patch * v->patch), true);
    if (!rc)
        rc = read_table(source, &model->position, NAMED("%sembeddings.position_embedding.weight", source->vision), n, dx, 0.02);
    for (int i = 0; i < v->layers && !rc; i++)
        rc = read_vision_layer(source, &model->vision_layers[i], i);
    if (!rc && source->files && safetensors_find(source->files, NAMED("%spost_layernorm.weight", source->vision)))
        rc = read_norm(source, &model->post_norm_w, &model->post_norm_b, NAMED("%spost_layernorm", source->vision), dx);
    if (!rc && model->post_norm_w && safetensors_find(source->files, NAMED("%shead.probe", source->vision)))
        rc = read_vision_pool(source);
    if (!rc)
        rc = read_linear(source, &model->projector1, model->act, source->projector1, d, dx, true);
    if (!rc)
        rc = read_linear(source, &model->projector2, model->act, source->projector2, d, d, true);
    if (!rc && source->newline)
        rc = read_table(source, &model->newline, source->newline, d, 1, 1);
    return rc;
}

static int read_language_layer(struct source *source, struct language_layer *layer, int i)
{
    const struct language_shape *l = &source->model->shape.language;
    enum dtype dtype = source->model->dtype;
    size_t d = (size_t)l->width, q = (size_t)(l->heads * l->head_dim), kv = (size_t)(l->kv_heads * l->head_dim), ff = (size_t)l->ff;
    char prefix[NAME_BYTES], name[NAME_BYTES];
    snprintf(prefix, sizeof prefix, "%slayers.%d", source->language, i);
    int rc = read_norm(source, &layer->norm1_w, NULL, NAMED("%.150s.input_layernorm", prefix), d);
    if (!rc)
        rc = read_norm(source, &layer->norm2_w, NULL, NAMED("%.150s.post_attention_layernorm", prefix), d);
    if (!rc)
        rc = new_matrix(source, &layer->qkv, dtype, q + 2 * kv, d, true);
    if (!rc)
        rc = read_part(source, &layer->qkv, NAMED("%.150s.self_attn.q_proj", prefix), PLACE_AT, 0, q);
    if (!rc)
        rc = read_part(source, &layer->qkv, NAMED("%.150s.self_attn.k_proj", prefix), PLACE_AT, q, kv);
    if (!rc)
        rc = read_part(source, &layer->qkv, NAMED("%.150s.self_attn.v_proj", prefix), PLACE_AT, q + kv, kv);
    if (!rc)
        rc = read_linear(source, &layer->out, dtype, NAMED("%.150s.self_attn.o_proj", prefix), d, q, false);
    if (!rc)
        rc = new_matrix(source, &layer->gate_up, dtype, 2 * rounded_ff(l), d, false);
    if (!rc)
        rc = read_part(source, &layer->gate_up, NAMED("%.150s.mlp.gate_proj", prefix), PLACE_GATE, 0, ff);
    if (!rc)
        rc = read_part(source, &layer->gate_up, NAMED("%.150s.mlp.up_proj", prefix), PLACE_UP, 0, ff);
    if (!rc)
        rc = read_linear(source, &layer->down, dtype, NAMED("%.150s.mlp.down_proj", prefix), d, ff, false);
    return rc;
}

static int read_language(struct source *source)
{
    struct model *model = source->model;
    const struct language_shape *l = &model->shape.language;
    size_t d = (size_t)l->width, vocab = (size_t)l->vocab;
    char name[NAME_BYTES];
    bool has_embed = !source->files || safetensors_find(source->files, NAMED("%sembed_tokens.weight", source->language));
    bool has_head = source->files ? source->head != NULL : !l->tied;
    if (!has_embed && !has_head)
        return missing_part(source, "embedding", language_prefixes, "embed_tokens.weight");
    int rc = new_matrix(source, &model->embed, model->act, vocab, d, false);
    if (!rc) /* where one of the two is stored, it is both */
        rc = read_rows(source, &model->embed, has_embed ? NAMED("%sembed_tokens.weight", source->language) : source->head, PLACE_AT, 0, vocab);
    model->head = model->embed;
    model->shape.language.tied = !(has_embed && has_head);
    if (!rc && !model->shape.language.tied) {
        rc = new_matrix(source, &model->head, model->act, vocab, d, false);
        if (!rc)
            rc = read_rows(source, &model->head, source->files ? source->head : "head", PLACE_AT, 0, vocab);
    }
    if (!rc)
        rc = read_norm(source, &model->final_norm, NULL, NAMED("%snorm", source->language), d);
    for (int i = 0; i < l->layers && !rc; i++)
        rc = read_language_layer(source, &model->language_layers[i], i);
    return rc;
}

/* ---- parts of methods ---------------------------------------------------------------------------------------------------- */

static bool is_method_tensor(const struct tensor *tensor)
{
    static const char base[] = "model.cross_attention.", map[] = "model.vq_attention.";
    bool known = !strncmp(tensor->name, base, strlen(base)) || !strncmp(tensor->name, map, strlen(map)) || !strcmp(tensor->name, "model.faster_token");
    return known && (tensor->n_dims == 1 || tensor->n_dims == 2);
}

/* What compressors were trained with: kept as it is, by name, for those that ask for it. */
static int read_method_tensors(struct source *source)
{
    struct model *model = source->model;
    size_t n = safetensors_count(source->files), found = 0;
    struct named_tensor *kept = model_alloc(model, n * sizeof *kept);
    int rc = kept ? 0 : err_no_memory(source->err, "the model's weights");
    for (size_t i = 0; i < n && !rc; i++) {
        const struct tensor *tensor = safetensors_at(source->files, i);
        if (!is_method_tensor(tensor))
            continue;
        size_t length = strlen(tensor->name) + 1, rows = (size_t)tensor->shape[0], columns = tensor->n_dims == 2 ? (size_t)tensor->shape[1] : 1;
        char *name = model_alloc(model, length);
        float *values = name ? model_alloc(model, rows * columns * sizeof *values) : NULL;
        rc = values ? read_values(source, tensor->name, rows, columns, 1, values) : err_no_memory(source->err, "the model's weights");
        if (!rc && model->loaded)
            kept[found++] = (struct named_tensor){.name = memcpy(name, tensor->name, length), .rows = rows, .columns = columns, .values = values};
    }
    model->method_tensors = model->loaded ? kept : NULL;
    model->n_method_tensors = found;
    return rc;
}

/* ---- leftovers ----------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* Tensors that published files hold and inference never reads. */
static bool ignorable(const struct source *source, const char *name)
{
    char layer[NAME_BYTES], head[NAME_BYTES];
    snprintf(layer, sizeof layer, "%sencoder.layers.%d.", source->vision, source->model->shape.vision.layers);
    snprintf(head, sizeof head, "%shead.", source->vision);
    return ends_with(name, ".inv_freq") || ends_with(name, ".position_ids") || ends_with(name, "faster_token") ||
           !strncmp(name, layer, strlen(layer)) || !strncmp(name, head, strlen(head));
}

static int refuse_leftovers(struct source *source)
{
    for (size_t i = 0; i < safetensors_count(source->files); i++) {
        const struct tensor *tensor = safetensors_at(source->files, i);
        bool used = ignorable(source, tensor->name);
        for (size_t j = 0; j < source->n_used && !used; j++)
            used = source->used[j] == tensor;
        if (!used)
            return err_set(source->err, ERR_DATA, "%s: tensor '%s' is not part of the architecture in config.json; config and weights do not belong together",
                           safetensors_path(source->files, tensor), tensor->name);
    }
    return 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static struct model *model_new(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype)
{
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return NULL;
    *model = (struct model){.shape = *shape, .kernels = kernels, .dtype = dtype, .act = dtype_act(dtype)};
    model->vision_layers = calloc((size_t)shape->vision.layers, sizeof *model->vision_layers);
    model->language_layers = calloc((size_t)shape->language.layers, sizeof *model->language_layers);
    if (!model->vision_layers || !model->language_layers) {
        model_close(model);
        return NULL;
    }
    return model;
}

/* The identity of a checkpoint: what is computed from, however it is stored. */
static int model_identify(struct model *model, struct err *err)
{
    char tensors[DIGEST_HEX];
    int rc = safetensors_digest(model->files, tensors, err);
    if (rc)
        return rc;
    struct digest *digest = digest_new();
    if (!digest)
        return err_no_memory(err, "a digest");
    const struct model_shape *s = &model->shape;
    const struct vision_shape *v = &s->vision;
    const struct language_shape *l = &s->language;
    const double numbers[] = {v->image_size, v->patch, v->heads, (double)v->eps, l->heads, l->kv_heads, l->head_dim, (double)l->eps, l->rope_theta,
                              s->pool_mode, s->pool_stride, s->newline, s->context, s->repetition_penalty};
    char text[32];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(text, sizeof text, "%.17g", numbers[i]);
        digest_add_text(digest, text);
    }
    for (int i = 0; i < s->n_eos; i++)
        digest_add_u64(digest, (uint64_t)s->eos[i]);
    digest_add_text(digest, tokenizer_digest(model->tokenizer));
    digest_add_text(digest, tensors);
    digest_finish(digest, model->digest);
    return 0;
}

/* Goes through all tensors of the checkpoint: checks each, and reads it where the model is to be loaded. */
static int read_all(struct model *model, struct err *err)
{
    struct source source = {.model = model, .files = model->files, .err = err};
    source.most_used = safetensors_count(model->files);
    source.used = calloc(source.most_used ? source.most_used : 1, sizeof *source.used);
    source.piece = model->loaded ? malloc(PIECE_BYTES) : NULL;
    model->weight_bytes = 0;
    int rc = source.used && (source.piece || !model->loaded) ? 0 : err_no_memory(err, "reading a checkpoint");
    if (!rc && !(rc = find_layout(&source)) && !(rc = read_vision(&source)) && !(rc = read_language(&source)) &&
        !(rc = read_method_tensors(&source)))
        rc = refuse_leftovers(&source);
    /* rows past the tokenizer are never chosen, nor are placeholders, whose rows are random */
    int32_t ids = tokenizer_size(model->tokenizer), placeholder = model->shape.first_placeholder;
    model->head.n_out = (size_t)(ids < placeholder ? ids : placeholder);
    free(source.used);
    free(source.piece);
    return rc;
}

int model_examine(struct model **out, const char *folder, const struct kernels *kernels, enum dtype dtype, struct err *err)
{
    struct model_shape shape;
    *out = NULL;
    int rc = kernels_check(kernels, dtype, err);
    if (rc || (rc = model_shape_load(&shape, folder, err)))
        return rc;
    struct model *model = model_new(&shape, kernels, dtype);
    if (!model)
        return err_no_memory(err, folder);
    if (!(rc = tokenizer_open(&model->tokenizer, folder, err)) && !(rc = safetensors_open_folder(&model->files, folder, err)) &&
        !(rc = read_all(model, err)))
        rc = model_identify(model, err);
    int32_t ids = rc ? 0 : tokenizer_size(model->tokenizer);
    size_t left = kernels->memory->left();
    model->frames_at_once = vision_frames_at_once(&shape, kernels, dtype, left > model->weight_bytes ? left - model->weight_bytes : 0);
    if (ids > shape.language.vocab)
        rc = err_set(err, ERR_DATA, "%s: the tokenizer knows %d ids, the embedding has %d rows; they do not belong together", folder, ids,
                     shape.language.vocab);
    if (rc)
        model_close(model);
    else
        *out = model;
    return rc;
}

int model_load(struct model *model, struct err *err)
{
    model->loaded = true;
    int rc = read_all(model, err);
    safetensors_close(model->files);
    model->files = NULL;
    return rc ? rc : model->kernels->memory->settle(err);
}

int model_open(struct model **out, const char *folder, const struct kernels *kernels, enum dtype dtype, struct err *err)
{
    int rc = model_examine(out, folder, kernels, dtype, err);
    if (!rc && (rc = model_load(*out, err))) {
        model_close(*out);
        *out = NULL;
    }
    return rc;
}

int model_random(struct model **out, const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, uint64_t seed,
                 struct err *err)
{
    struct source source = {.err = err, .seed = seed, .vision = "vision.", .projector1 = "projector.1", .projector2 = "projector.2",
                            .newline = "newline", .language = "language."};
    *out = NULL;
    struct model *model = source.model = model_new(shape, kernels, dtype);
    source.piece = malloc(PIECE_BYTES);
    int rc = model && source.piece ? 0 : err_no_memory(err, "a random model");
    if (model)
        model->loaded = true;
    if (!rc)
        rc = read_vision(&source);
    if (!rc)
        rc = read_language(&source);
    if (!rc)
        rc = kernels->memory->settle(err);
    free(source.piece);
    if (rc) {
        model_close(model);
        return rc;
    }
    model->frames_at_once = vision_frames_at_once(shape, kernels, dtype, kernels->memory->left());
    *out = model;
    return 0;
}
