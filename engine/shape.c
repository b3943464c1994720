/* Shape of a model: two config layouts, one struct. */
#include "engine/shape.h"

#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONFIG_BYTES = 4 << 20 };

/* The tower of every published checkpoint: google/siglip-so400m-patch14-384 with its last layer unused. */
static const struct vision_shape so400m = {.image_size = 384, .patch = 14, .side = 27, .width = 1152, .layers = 26, .heads = 16, .ff = 4304, .eps = 1e-6f};

static const struct language_shape qwen2_0_5b = {.width = 896, .layers = 24, .heads = 14, .kv_heads = 2, .head_dim = 64, .ff = 4864,
                                                 .vocab = 151936, .eps = 1e-6f, .rope_theta = 1e6, .tied = true};
static const struct language_shape qwen2_7b = {.width = 3584, .layers = 28, .heads = 28, .kv_heads = 4, .head_dim = 128, .ff = 18944,
                                               .vocab = 152064, .eps = 1e-6f, .rope_theta = 1e6, .tied = false};

bool model_shape_published(struct model_shape *out, const char *name)
{
    static const struct {
        const char *name;
        const struct language_shape *language;
        enum newline newline;
        double penalty;
    } published[] = {
        {"lmms-lab/LLaVA-Video-7B-Qwen2", &qwen2_7b, NEWLINE_GRID, 1.05},
        {"lmms-lab/LLaVA-Video-7B-Qwen2-Video-Only", &qwen2_7b, NEWLINE_GRID, 1.05},
        {"lmms-lab/llava-onevision-qwen2-7b-ov", &qwen2_7b, NEWLINE_ONE, 1.05},
        {"lmms-lab/llava-onevision-qwen2-7b-ov-chat", &qwen2_7b, NEWLINE_ONE, 1.05},
        {"lmms-lab/llava-onevision-qwen2-0.5b-ov", &qwen2_0_5b, NEWLINE_ONE, 1.1},
        {"llava-hf/llava-onevision-qwen2-7b-ov-hf", &qwen2_7b, NEWLINE_ONE, 1},
        {"llava-hf/llava-onevision-qwen2-0.5b-ov-hf", &qwen2_0_5b, NEWLINE_ONE, 1},
    };
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (!strcmp(published[i].name, name)) {
            *out = (struct model_shape){
                .layout = strncmp(name, "llava-hf/", 9) ? LAYOUT_LMMS : LAYOUT_HF, .vision = so400m, .language = *published[i].language,
                .pool_mode = POOL_BILINEAR, .pool_stride = 2, .newline = published[i].newline, .context = 32768,
                .repetition_penalty = published[i].penalty, .eos = {151645, 151643}, .n_eos = 2,
                .first_placeholder = INT32_MAX};
            return true;
        }
    return false;
}

/* ---- config.json --------------------------------------------------------------------------------------------------------- */

struct reader {
    const char *path;
    struct err *err;
    int rc; /* first failure; later reads do nothing */
};

static int read_int(struct reader *reader, const struct json *object, const char *key, int64_t otherwise, int64_t least, int64_t most)
{
    int64_t value = otherwise;
    if (!reader->rc)
        reader->rc = json_get_integer(object, key, otherwise, least, most, &value, reader->path, reader->err);
    if (!reader->rc && value < least)
        reader->rc = err_set(reader->err, ERR_DATA, "%s: key '%s' is missing; a checkpoint's config must have it", reader->path, key);
    return (int)value;
}

static double read_number(struct reader *reader, const struct json *object, const char *key, double otherwise, double least, double most)
{
    double value = otherwise;
    if (!reader->rc)
        reader->rc = json_get_number(object, key, otherwise, &value, reader->path, reader->err);
    if (!reader->rc && !(value >= least && value <= most))
        reader->rc = err_set(reader->err, ERR_DATA, "%s: '%s' is %g, outside %g to %g", reader->path, key, value, least, most);
    return value;
}

static const char *read_string(struct reader *reader, const struct json *object, const char *key, const char *otherwise)
{
    const char *value = otherwise;
    if (!reader->rc)
        reader->rc = json_get_string(object, key, otherwise, &value, reader->path, reader->err);
    return value;
}

static void must_be(struct reader *reader, const struct json *object, const char *key, const char *wanted)
{
    const char *value = read_string(reader, object, key, wanted);
    if (!reader->rc && strcmp(value, wanted))
        reader->rc = err_set(reader->err, ERR_DATA, "%s: '%s' is \"%s\", this engine computes \"%s\" only", reader->path, key, value, wanted);
}

enum { REQUIRED = -1 };

static void read_language(struct reader *reader, const struct json *object, struct language_shape *out)
{
    const struct json *rope = json_get(object, "rope_parameters");
    bool tied = false;
    out->width = read_int(reader, object, "hidden_size", REQUIRED, 1, 1 << 16);
    out->layers = read_int(reader, object, "num_hidden_layers", REQUIRED, 1, 1024);
    out->heads = read_int(reader, object, "num_attention_heads", REQUIRED, 1, 1024);
    out->kv_heads = read_int(reader, object, "num_key_value_heads", out->heads, 1, 1024);
    out->ff = read_int(reader, object, "intermediate_size", REQUIRED, 1, 1 << 20);
    out->vocab = read_int(reader, object, "vocab_size", REQUIRED, 1, 1 << 24);
    out->eps = (float)read_number(reader, object, "rms_norm_eps", 1e-6, 0, 1);
    out->rope_theta = read_number(reader, json_get(object, "rope_theta") ? object : rope, "rope_theta", 10000, 1, 1e12);
    out->head_dim = read_int(reader, object, "head_dim", out->heads ? out->width / out->heads : 0, 2, 256);
    if (!reader->rc)
        reader->rc = json_get_bool(object, "tie_word_embeddings", false, &tied, reader->path, reader->err);
    out->tied = tied;
    must_be(reader, object, "hidden_act", "silu");
    if (!reader->rc && (out->heads % out->kv_heads || out->head_dim % 2))
        reader->rc = err_set(reader->err, ERR_DATA, "%s: %d heads of size %d cannot share %d key heads", reader->path, out->heads,
                             out->head_dim, out->kv_heads);
}

/* `object` may be NULL: the published tower. */
static void read_vision(struct reader *reader, const struct json *object, struct vision_shape *out)
{
    *out = so400m;
    if (!object || json_type(object) == JSON_NULL)
        return;
    out->image_size = read_int(reader, object, "image_size", so400m.image_size, 1, 4096);
    out->patch = read_int(reader, object, "patch_size", so400m.patch, 1, 256);
    out->width = read_int(reader, object, "hidden_size", so400m.width, 1, 1 << 16);
    out->layers = read_int(reader, object, "num_hidden_layers", so400m.layers, 1, 1024);
    out->heads = read_int(reader, object, "num_attention_heads", so400m.heads, 1, 1024);
    out->ff = read_int(reader, object, "intermediate_size", so400m.ff, 1, 1 << 20);
    out->eps = (float)read_number(reader, object, "layer_norm_eps", 1e-6, 0, 1);
    must_be(reader, object, "hidden_act", "gelu_pytorch_tanh");
    out->side = out->patch ? out->image_size / out->patch : 0;
    if (!reader->rc && (out->side < 1 || out->width % out->heads || out->width / out->heads % 2 || out->width / out->heads > 256))
        reader->rc = err_set(reader->err, ERR_DATA, "%s: a vision tower of width %d with %d heads and patches of %d in %d pixels cannot be",
                             reader->path, out->width, out->heads, out->patch, out->image_size);
}

static void read_lmms(struct reader *reader, const struct json *root, struct model_shape *out)
{
    out->layout = LAYOUT_LMMS;
    must_be(reader, root, "mm_projector_type", "mlp2x_gelu");
    read_language(reader, root, &out->language);
    read_vision(reader, json_get(root, "vision_config"), &out->vision);
    const char *mode = read_string(reader, root, "mm_spatial_pool_mode", "bilinear");
    const char *newline = read_string(reader, root, "mm_newline_position", "one_token");
    const char *merge = read_string(reader, root, "mm_patch_merge_type", "spatial_unpad");
    out->context = read_int(reader, root, "tokenizer_model_max_length", 32768, 16, 1 << 24);
    if (reader->rc)
        return;
    if (pool_mode_find(mode) < 0)
        reader->rc = err_set(reader->err, ERR_DATA, "%s: 'mm_spatial_pool_mode' is \"%s\"; known: bilinear, average, max, none", reader->path, mode);
    else if (newline_find(newline) < 0 || newline_find(newline) == NEWLINE_NATIVE)
        reader->rc = err_set(reader->err, ERR_DATA, "%s: 'mm_newline_position' is \"%s\"; known: grid, frame, one_token, no_token",
                             reader->path, newline);
    if (reader->rc)
        return;
    out->pool_mode = (enum pool_mode)pool_mode_find(mode);
    out->newline = (enum newline)newline_find(newline);
    if (!strcmp(merge, "flat") || (out->newline == NEWLINE_ONE && !strstr(merge, "unpad")))
        out->newline = NEWLINE_NO;
}

static void read_hf(struct reader *reader, const struct json *root, const struct json *text, struct model_shape *out)
{
    out->layout = LAYOUT_HF;
    must_be(reader, root, "projector_hidden_act", "gelu");
    read_language(reader, text, &out->language);
    read_vision(reader, json_get(root, "vision_config"), &out->vision);
    out->pool_mode = POOL_BILINEAR;
    out->newline = NEWLINE_ONE;
    out->context = read_int(reader, text, "max_position_embeddings", 32768, 16, 1 << 24);
    int image = read_int(reader, root, "image_token_index", INT32_MAX, 0, INT32_MAX), video = read_int(reader, root, "video_token_index", INT32_MAX, 0, INT32_MAX);
    out->first_placeholder = image < video ? image : video;
}

static void read_eos(struct reader *reader, const struct json *value, struct model_shape *out)
{
    const struct json *one = value && json_type(value) == JSON_ARRAY ? json_first(value) : value;
    for (; one && json_type(one) != JSON_NULL && !reader->rc; one = json_type(value) == JSON_ARRAY ? json_next(one) : NULL) {
        int64_t id;
        bool known = false;
        if (!json_integer(one, 0, INT32_MAX, &id)) {
            reader->rc = err_set(reader->err, ERR_DATA, "%s: 'eos_token_id' should be a text id or a list of them", reader->path);
            return;
        }
        for (int i = 0; i < out->n_eos; i++)
            known |= out->eos[i] == id;
        if (!known && out->n_eos < (int)(sizeof out->eos / sizeof *out->eos))
            out->eos[out->n_eos++] = (int32_t)id;
    }
}

static int read_config(const char *path, struct model_shape *out, struct err *err)
{
    struct json *root;
    int rc = json_load(&root, path, MOST_CONFIG_BYTES, err);
    if (rc)
        return rc;
    struct reader reader = {path, err, 0};
    const struct json *text = json_get(root, "text_config");
    out->pool_stride = 2;
    if (text)
        read_hf(&reader, root, text, out);
    else
        read_lmms(&reader, root, out);
    read_eos(&reader, json_get(text ? text : root, "eos_token_id"), out);
    if (!reader.rc && out->pool_mode == POOL_NONE)
        out->pool_stride = 1;
    json_free(root);
    return reader.rc;
}

static int read_generation(const char *path, struct model_shape *out, struct err *err)
{
    struct json *root;
    int rc = json_load(&root, path, MOST_CONFIG_BYTES, err);
    if (rc)
        return rc;
    struct reader reader = {path, err, 0};
    out->repetition_penalty = read_number(&reader, root, "repetition_penalty", 1, 0.01, 100);
    if (json_get(root, "eos_token_id")) {
        out->n_eos = 0; /* generation_config overrides config */
        read_eos(&reader, json_get(root, "eos_token_id"), out);
    }
    json_free(root);
    return reader.rc;
}

int model_shape_load(struct model_shape *out, const char *folder, struct err *err)
{
    char path[4096];
    *out = (struct model_shape){.repetition_penalty = 1, .first_placeholder = INT32_MAX};
    snprintf(path, sizeof path, "%s/config.json", folder);
    int rc = read_config(path, out, err);
    if (rc)
        return rc == ERR_IO ? err_append(err, "; give the folder of a checkpoint") : rc;
    snprintf(path, sizeof path, "%s/generation_config.json", folder);
    FILE *file = fopen(path, "rb"); /* optional */
    if (!file)
        return 0;
    fclose(file);
    return read_generation(path, out, err);
}

/* ---- cost ---------------------------------------------------------------------------------------------------------------- */

double vision_flops(const struct model_shape *shape)
{
    const struct vision_shape *v = &shape->vision;
    double n = (double)v->side * v->side, dx = v->width, d = shape->language.width;
    double layer = 2 * n * dx * (4 * dx + 2 * v->ff) + 4 * n * n * dx;
    return 2 * n * dx * 3 * v->patch * v->patch + v->layers * layer + 2 * n * d * (dx + d);
}

double prefill_flops(const struct model_shape *shape, double n)
{
    const struct language_shape *l = &shape->language;
    double d = l->width, q = (double)l->heads * l->head_dim, kv = (double)l->kv_heads * l->head_dim;
    double linear = 2 * (d * (q + 2 * kv) + q * d + 3 * d * l->ff) * l->layers;
    double attention = 4 * q * l->layers;
    return linear * n + attention * n * (n + 1) / 2 + 2 * d * l->vocab;
}
