/* Trained parts of methods travel from the checkpoint to the method that asks for them: read by name whatever their number format,
 * seen by its view, applied as dense rows; what no method knows is refused as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"
#include "core/arena.h"
#include "core/dtype.h"
#include "core/json.h"
#include "core/rng.h"
#include "engine/features.h"
#include "tests/support/micro.h"

enum { T = 2, D = 64, PATCHES = 729, FF = 24 };

static const char micro[] = FIXTURES_DIR "/micro-sharded", shard[] = "methods.safetensors", index_name[] = "model.safetensors.index.json";
static char made[] = "/tmp/toksweep-test-XXXXXX";

static const struct { const char *name; size_t rows, columns; } tensors[] = {
    {"model.faster_token", D, 0},
    {"model.cross_attention.to_q_proj.weight", D, PATCHES},
    {"model.cross_attention.to_q_proj.bias", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.self_attn.in_proj_weight", 3 * D, D},
    {"model.cross_attention.transformer_decoder.layers.0.self_attn.in_proj_bias", 3 * D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.self_attn.out_proj.weight", D, D},
    {"model.cross_attention.transformer_decoder.layers.0.self_attn.out_proj.bias", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.multihead_attn.in_proj_weight", 3 * D, D},
    {"model.cross_attention.transformer_decoder.layers.0.multihead_attn.in_proj_bias", 3 * D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.multihead_attn.out_proj.weight", D, D},
    {"model.cross_attention.transformer_decoder.layers.0.multihead_attn.out_proj.bias", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.linear1.weight", FF, D},
    {"model.cross_attention.transformer_decoder.layers.0.linear1.bias", FF, 0},
    {"model.cross_attention.transformer_decoder.layers.0.linear2.weight", D, FF},
    {"model.cross_attention.transformer_decoder.layers.0.linear2.bias", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.norm1.weight", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.norm1.bias", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.norm2.weight", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.norm2.bias", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.norm3.weight", D, 0},
    {"model.cross_attention.transformer_decoder.layers.0.norm3.bias", D, 0},
};

enum { TENSORS = sizeof tensors / sizeof *tensors };

static float value_of(size_t tensor, size_t i)
{
    return f32_from_bf16(bf16_from_f32((float)rng_unit(9, tensor, i) - 0.5f));
}

/* The shard: the first tensor, by this name, in F32, the others in BF16. */
static void write_shard(const char *first)
{
    static char header[16384];
    size_t at = 0, total = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        size_t columns = tensors[i].columns, n = tensors[i].rows * (columns ? columns : 1), bytes = n * (i ? 2 : 4);
        char second[24] = "";
        if (columns)
            snprintf(second, sizeof second, ",%zu", columns);
        at += (size_t)snprintf(header + at, sizeof header - at, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu%s],\"data_offsets\":[%zu,%zu]}", i ? "," : "{",
                               i ? tensors[i].name : first, i ? "BF16" : "F32", tensors[i].rows, second, total, total + bytes);
        total += bytes;
    }
    header[at++] = '}';
    char *bytes = calloc(1, 8 + at + total), *out = bytes + 8 + at;
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(at >> (8 * i));
    memcpy(bytes + 8, header, at);
    for (size_t i = 0; i < TENSORS; i++)
        for (size_t k = 0; k < tensors[i].rows * (tensors[i].columns ? tensors[i].columns : 1); k++, out += i ? 2 : 4) {
            float value = value_of(i, k);
            uint16_t half = bf16_from_f32(value);
            memcpy(out, i ? (void *)&half : (void *)&value, i ? 2 : 4);
        }
    micro_write(made, shard, bytes, (size_t)(out - bytes));
    free(bytes);
}

static struct model *open_made(struct err *err)
{
    const struct kernels *kernels;
    struct model *model;
    micro_check(kernels_open(&kernels, "ref", err), err);
    return model_open(&model, made, kernels, DTYPE_F32, err) ? NULL : model;
}

/* A copy of micro-sharded with the tensors above, the first by another name. */
static void put_together(const char *first)
{
    size_t length;
    struct err err = {0};
    struct json *index;
    assert_non_null(mkdtemp(made));
    for (int i = 0; micro_shared[i]; i++)
        micro_copy(micro, made, micro_shared[i]);
    micro_copy(micro, made, "config.json");
    char *text = micro_read(micro, index_name, &length);
    micro_check(json_parse(&index, text, length, index_name, &err), &err);
    free(text);
    struct json *map = (struct json *)(uintptr_t)json_get(index, "weight_map");
    for (size_t i = 0; i < TENSORS; i++)
        assert_non_null(json_add(map, i ? tensors[i].name : first, json_new_string(shard)));
    text = json_text(index);
    micro_write(made, index_name, text, strlen(text));
    free(text);
    json_free(index);
    write_shard(first);
}

static void test_methods_get_what_they_were_trained_with(void **state)
{
    (void)state;
    static const struct { const char *method, *options; size_t content; } cases[] = {
        {"vqtoken", "{\"form\": \"fused\", \"k\": 5}", 5}, {"slowfast", "{\"faster_token\": true}", 14 * 14 + 1 + 7 * 7 + 1}};
    static uint8_t rgb[T * MICRO_SIZE * MICRO_SIZE * 3];
    static const size_t slots[T] = {0, 1};
    struct err err = {0};
    put_together(tensors[0].name);
    struct model *model = open_made(&err);
    if (!model)
        fail_msg("%s", err.text);
    assert_int_equal(model->n_method_tensors, TENSORS);
    struct vision_space *space;
    struct features *features;
    struct feature_grid grid = {.mode = POOL_BILINEAR, .stride = 2, .keep = NEED_H_RAW};
    micro_check(vision_space_new(&space, model, 1, &err), &err);
    micro_check(features_new(&features, model, T, &grid, 1, &err), &err);
    micro_frames(T, rgb);
    for (size_t t = 0; t < T; t++)
        micro_check(features_encode(features, space, &t, 1, rgb, MICRO_SIZE, &err), &err);
    for (size_t c = 0; c < 2; c++) {
        const struct compressor *method = compressor_find(cases[c].method);
        struct arena arena = {0};
        struct vid_view view;
        struct tok_plan plan;
        struct json *json;
        double values[COMPRESSOR_MOST_OPTIONS];
        size_t content, markers;
        micro_check(json_parse(&json, cases[c].options, strlen(cases[c].options), "options", &err), &err);
        micro_check(compressor_resolve(method, json, NULL, values, &err), &err);
        json_free(json);
        micro_check(features_view(features, 0, slots, T, method->needs(values), &arena, &view, &err), &err);
        for (size_t i = 0; i < TENSORS; i++) {
            const struct named_tensor *tensor = vid_tensor(&view, tensors[i].name);
            assert_non_null(tensor);
            assert_int_equal(tensor->rows, tensors[i].rows);
            for (size_t k = 0; k < tensor->rows * tensor->columns; k++)
                assert_true(tensor->values[k] == value_of(i, k));
        }
        micro_check(method->tokens(values, &view, NULL, NULL, &arena, &plan, &err), &err);
        plan.dom = method->domain(values);
        assert_true(tok_plan_layout(&plan, NEWLINE_GRID, &arena));
        tok_plan_count(&plan, &content, &markers);
        assert_int_equal(content, cases[c].content);
        float *rows = arena_alloc(&arena, plan.n_tok * D, sizeof *rows);
        micro_check(features_apply(features, space, 0, slots, &plan, 0, plan.n_tok, rows, &err), &err);
        for (size_t i = 0; i < plan.n_tok; i++)
            if (plan.tok[i].kind == TOK_DENSE)
                assert_memory_equal(rows + i * D, plan.dense + plan.tok[i].row0 * D, D * sizeof *rows);
        arena_free(&arena);
    }
    features_free(features);
    vision_space_free(space);
    model_close(model);
    micro_take_apart(made, shard);
}

static void test_what_no_method_knows_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    put_together("model.faster_tokens");
    assert_null(open_made(&err));
    if (err.code != ERR_DATA || !strstr(err.text, "'model.faster_tokens' is not part of the architecture"))
        fail_msg("%s", err.text);
    micro_take_apart(made, shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_get_what_they_were_trained_with),
        cmocka_unit_test(test_what_no_method_knows_is_refused),
    };
    return cmocka_run_group_tests_name("method_tensors", tests, NULL, NULL);
}
