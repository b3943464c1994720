/* Every stage of the engine against what transformers and Pillow gave for the micro checkpoint (tests/fixtures/micro/README.md,
 * recorded by tools/oracle/record_stages.py): pixels, text ids and greedy text exactly, f32 stages to 1e-4 relative. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"
#include "core/json.h"
#include "datasets/video.h"
#include "engine/features.h"
#include "engine/generate.h"
#include "engine/prompt.h"
#include "engine/safetensors.h"
#include "tests/support/micro.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICRO FIXTURES_DIR "/micro"

enum { T = 2, SIZE = MICRO_SIZE, PATCHES = 729, GRID = 14, DX = 72, D = 64 };

/* What all tests share: truth, the model in f32, and the two frames. */
static struct safetensors *truth;
static struct json *facts;
static struct model *model;
static struct vision_space *space;
static uint8_t resized[T][SIZE * SIZE * 3];
static const struct kernels *kernels;

static struct model *open_model(const char *folder, const char *isa, enum dtype dtype)
{
    struct err err = {0};
    struct model *opened;
    const struct kernels *table;
    micro_check(kernels_open(&table, isa, &err), &err);
    micro_check(model_open(&opened, folder, table, dtype, &err), &err);
    return opened;
}

static float *load(const char *name, size_t *count)
{
    struct err err = {0};
    const struct tensor *tensor = safetensors_find(truth, name);
    if (!tensor)
        fail_msg("no tensor '%s' in the fixture", name);
    float *values = malloc(tensor->count * sizeof *values);
    micro_check(safetensors_read(truth, tensor, 0, tensor->count, values, &err), &err);
    *count = tensor->count;
    return values;
}

static void assert_close(const char *what, const float *ours, const float *theirs, size_t n)
{
    char named[96];
    snprintf(named, sizeof named, "%s (%s)", what, kernels->name);
    micro_assert_close(named, ours, theirs, n, 1e-4);
}

static void test_resized_pixels_are_pillows(void **state)
{
    (void)state;
    struct err err = {0};
    const struct tensor *tensor = safetensors_find(truth, "frames.resized");
    assert_non_null(tensor);
    assert_int_equal(tensor->bytes, sizeof resized);
    uint8_t *theirs = malloc(sizeof resized);
    micro_check(safetensors_read(truth, tensor, 0, tensor->count, theirs, &err), &err);
    assert_memory_equal(theirs, resized, sizeof resized);
    free(theirs);
}

/* ---- vision -------------------------------------------------------------------------------------------------------------- */

static size_t patch_list(size_t *out)
{
    size_t n = 0;
    for (const struct json *p = json_first(json_get(facts, "patches")); p; p = json_next(p))
        out[n++] = (size_t)json_number(p);
    return n;
}

static void compare_patches(void *context, int layer, const float *rows)
{
    char name[32];
    size_t patch[64], n = patch_list(patch), count;
    int t = *(int *)context;
    snprintf(name, sizeof name, layer < 0 ? "vision.embed" : "vision.layer%d", layer);
    float *theirs = load(name, &count), *ours = malloc(n * DX * sizeof *ours);
    for (size_t i = 0; i < n; i++)
        memcpy(ours + i * DX, rows + patch[i] * DX, DX * sizeof *ours);
    assert_int_equal(count, T * n * DX);
    assert_close(name, ours, theirs + (size_t)t * n * DX, n * DX);
    free(ours);
    free(theirs);
}

static void test_tower_and_projector(void **state)
{
    (void)state;
    size_t patch[64], n = patch_list(patch), count;
    float *X = malloc(PATCHES * DX * sizeof *X), *P = malloc(PATCHES * D * sizeof *P), *theirs;
    for (int t = 0; t < T; t++) {
        vision_encode(model, space, (const uint8_t *const[]){resized[t]}, 1, SIZE, X, NULL, compare_patches, &t);
        if (t == 0) {
            theirs = load("vision.X_frame0", &count);
            assert_close("vision.X_frame0", X, theirs, PATCHES * DX);
            free(theirs);
        }
        vision_project(model, space, X, PATCHES, P);
        theirs = load("project.P", &count);
        for (size_t i = 0; i < n; i++)
            assert_close("project.P", P + patch[i] * D, theirs + ((size_t)t * n + i) * D, D);
        free(theirs);
    }
    free(X);
    free(P);
}

static void test_pooling(void **state)
{
    (void)state;
    static const struct { enum pool_mode mode; const char *name; int step; } modes[] = {
        {POOL_BILINEAR, "pool.H_bilinear", 1}, {POOL_AVERAGE, "pool.H_average", 4}, {POOL_MAX, "pool.H_max", 4}};
    float *X = malloc(PATCHES * DX * sizeof *X), *P = malloc(PATCHES * D * sizeof *P), *out = malloc(PATCHES * DX * sizeof *out);
    for (int t = 0; t < T; t++) {
        size_t count;
        vision_encode(model, space, (const uint8_t *const[]){resized[t]}, 1, SIZE, X, NULL, NULL, NULL);
        vision_project(model, space, X, PATCHES, P);
        for (size_t m = 0; m < 3; m++) {
            float *theirs = load(modes[m].name, &count);
            int side = pool_side(modes[m].mode, 27, 2), rows = (side + modes[m].step - 1) / modes[m].step;
            size_t row = (size_t)side * D;
            kernels->pool(modes[m].mode, 2, 27, D, P, out);
            assert_int_equal(count, T * (size_t)rows * row);
            for (int y = 0; y < rows; y++) /* every fourth row is recorded of the last two */
                assert_close(modes[m].name, out + (size_t)(y * modes[m].step) * row, theirs + (size_t)(t * rows + y) * row, row);
            free(theirs);
        }
        float *theirs = load("pool.X_bilinear", &count);
        kernels->pool(POOL_BILINEAR, 2, 27, DX, X, out);
        assert_close("pool.X_bilinear", out, theirs + (size_t)t * GRID * GRID * DX, GRID * GRID * DX);
        free(theirs);
    }
    free(X);
    free(P);
    free(out);
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

static void assert_ids(const struct json *theirs, const int32_t *ours, size_t n)
{
    size_t i = 0;
    for (const struct json *id = json_first(theirs); id; id = json_next(id), i++)
        if (i >= n || ours[i] != (int32_t)json_number(id))
            fail_msg("text id %zu is %d, the reference has %g", i, i < n ? ours[i] : -1, json_number(id));
    assert_int_equal(i, n);
}

static void test_prompt_ids(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err = {0};
    int n = 0;
    for (const struct json *p = json_first(json_get(facts, "prompts")); p; p = json_next(p), n++) {
        struct prompt prompt;
        const struct json *ids = json_first(json_get(p, "ids"));
        micro_check(prompt_make(&prompt, model->tokenizer, "qwen_1_5", NULL, &(struct prompt_text){.user = json_string(json_get(p, "question"))}, &arena, &err), &err);
        assert_ids(ids, prompt.before, prompt.n_before);
        assert_ids(json_next(ids), prompt.after, prompt.n_after);
    }
    assert_int_equal(n, 3);
    arena_free(&arena);
}

static void test_rope(void **state)
{
    (void)state;
    struct err err = {0};
    struct language_state *language;
    size_t count, i = 0;
    float *cosines = load("rope.cos", &count), *sines = load("rope.sin", &count);
    micro_check(language_state_new(&language, model, 64, 32768, 1, &err), &err);
    for (const struct json *p = json_first(json_get(facts, "positions")); p; p = json_next(p), i++) {
        const float *c, *s;
        language_rope(language, (uint32_t)json_number(p), &c, &s);
        assert_close("rope.cos", c, cosines + i * 8, 8);
        assert_close("rope.sin", s, sines + i * 8, 8);
    }
    assert_int_equal(i * 8, count);
    language_state_free(language);
    free(cosines);
    free(sines);
}

/* ---- the language model -------------------------------------------------------------------------------------------------- */

struct talk { /* features of the two frames and what is needed to ask about them */
    const struct model *of;
    struct vision_space *space;
    struct features *features;
    struct arena arena;
};

static void talk_open(struct talk *talk, const struct model *of)
{
    static const struct feature_grid grid = {.mode = POOL_BILINEAR, .stride = 2, .keep = NEED_X_POOLED};
    struct err err = {0};
    *talk = (struct talk){.of = of};
    micro_check(vision_space_new(&talk->space, of, 1, &err), &err);
    micro_check(features_new(&talk->features, of, T, &grid, 1, &err), &err);
    for (size_t t = 0; t < T; t++)
        micro_check(features_encode(talk->features, talk->space, &t, 1, resized[0], SIZE, &err), &err);
}

static void talk_close(struct talk *talk)
{
    features_free(talk->features);
    vision_space_free(talk->space);
    arena_free(&talk->arena);
}

static struct tok_plan make_plan(struct talk *talk, const char *compressor, const char *options, enum newline native)
{
    static const size_t slots[T] = {0, 1};
    double values[COMPRESSOR_MOST_OPTIONS];
    struct vid_view view;
    struct tok_plan plan;
    struct json *json;
    struct err err = {0};
    const struct compressor *method = compressor_find(compressor);
    micro_check(json_parse(&json, options, strlen(options), "options", &err), &err);
    micro_check(compressor_resolve(method, json, NULL, values, &err), &err);
    json_free(json);
    micro_check(features_view(talk->features, 0, slots, T, method->needs(values), &talk->arena, &view, &err), &err);
    micro_check(method->tokens(values, &view, NULL, NULL, &talk->arena, &plan, &err), &err);
    assert_true(tok_plan_layout(&plan, native, &talk->arena));
    return plan;
}

/* The spliced prompt's rows before the reply: prefix text and visual tokens, prefilled. Returns the prompt. */
static struct prompt put_prefix(struct talk *talk, struct language_state **language, const struct tok_plan *plan, const char *question)
{
    static const size_t slots[T] = {0, 1};
    struct err err = {0};
    struct prompt prompt;
    micro_check(prompt_make(&prompt, talk->of->tokenizer, "qwen_1_5", NULL, &(struct prompt_text){.user = question}, &talk->arena, &err), &err);
    size_t n = prompt.n_before + plan->n_tok, all = n + prompt.n_after + 64;
    float *rows = arena_alloc(&talk->arena, n * D, sizeof *rows);
    micro_check(language_state_new(language, talk->of, all, all, 1, &err), &err);
    language_embed(talk->of, prompt.before, prompt.n_before, rows);
    micro_check(features_apply(talk->features, talk->space, 0, slots, plan, 0, plan->n_tok, rows + prompt.n_before * D, &err), &err);
    language_prefill(talk->of, *language, rows, n, NULL, 0, NULL, NULL, NULL);
    return prompt;
}

static struct reply ask(struct talk *talk, const struct tok_plan *plan, const char *question, double penalty, int most)
{
    struct language_state *language;
    struct reply reply;
    struct err err = {0};
    struct generate_options how = {.max_new_tokens = most, .repetition_penalty = penalty};
    struct prompt prompt = put_prefix(talk, &language, plan, question);
    micro_check(generate(&reply, talk->of, language, prompt.after, prompt.n_after, (uint32_t)language_length(language), &how, &talk->arena, &err), &err);
    language_state_free(language);
    return reply;
}

struct layers { size_t row[64], n; };

static void compare_layer(void *context, int layer, const float *rows)
{
    const struct layers *at = context;
    char name[32];
    size_t count;
    snprintf(name, sizeof name, "language.layer%d", layer);
    float *theirs = load(name, &count);
    for (size_t i = 0; i < at->n; i++)
        assert_close(name, rows + at->row[i] * D, theirs + i * D, D);
    free(theirs);
}

static void test_language_layers_and_logits(void **state)
{
    (void)state;
    static const size_t slots[T] = {0, 1};
    struct talk talk;
    struct err err = {0};
    struct layers layers = {{0}, 0};
    struct language_state *language;
    struct prompt prompt;
    size_t count;
    talk_open(&talk, model);
    const struct json *recorded = json_get(facts, "language");
    for (const struct json *row = json_first(json_get(recorded, "recorded_rows")); row; row = json_next(row))
        layers.row[layers.n++] = (size_t)json_number(row);
    struct tok_plan plan = make_plan(&talk, "none", "{}", NEWLINE_GRID);
    const char *question = json_string(json_get(json_get(json_get(facts, "prompts"), json_string(json_get(recorded, "question"))), "question"));
    micro_check(prompt_make(&prompt, model->tokenizer, "qwen_1_5", NULL, &(struct prompt_text){.user = question}, &talk.arena, &err), &err);
    size_t n = prompt.n_before + plan.n_tok + prompt.n_after;
    assert_int_equal(n, (size_t)json_number(json_get(recorded, "rows")));
    float *rows = arena_alloc(&talk.arena, n * D, sizeof *rows), *last = arena_alloc(&talk.arena, D, sizeof *last);
    float *logits = arena_alloc(&talk.arena, model->head.n_out, sizeof *logits);
    language_embed(model, prompt.before, prompt.n_before, rows);
    micro_check(features_apply(talk.features, talk.space, 0, slots, &plan, 0, plan.n_tok, rows + prompt.n_before * D, &err), &err);
    language_embed(model, prompt.after, prompt.n_after, rows + (prompt.n_before + plan.n_tok) * D);
    micro_check(language_state_new(&language, model, n, n, 1, &err), &err);
    language_prefill(model, language, rows, n, NULL, 0, last, compare_layer, &layers);
    float *theirs = load("language.norm", &count);
    assert_close("language.norm", last, theirs + (layers.n - 1) * D, D); /* the last recorded row is the last */
    free(theirs);
    language_logits(model, language, last, logits);
    theirs = load("language.logits", &count);
    assert_int_equal(count, model->head.n_out);
    assert_close("language.logits", logits, theirs, count);
    free(theirs);
    language_state_free(language);
    talk_close(&talk);
}

/* All recorded replies of one set {question key: {ids, text}}. */
static void compare_replies(struct talk *talk, const struct tok_plan *plan, const struct json *replies, double penalty)
{
    int most = (int)json_number(json_get(facts, "new_ids")), n = 0;
    for (const struct json *r = json_first(replies); r; r = json_next(r), n++) {
        const char *question = json_string(json_get(json_get(json_get(facts, "prompts"), json_key(r)), "question"));
        struct reply reply = ask(talk, plan, question, penalty, most);
        int32_t ids[64];
        size_t n_ids = 0; /* the reference lists the stop id, replies leave it out */
        for (const struct json *id = json_first(json_get(r, "ids")); id; id = json_next(id)) {
            bool stop = false;
            for (int k = 0; k < talk->of->shape.n_eos; k++)
                stop |= talk->of->shape.eos[k] == (int32_t)json_number(id);
            if (!stop)
                ids[n_ids++] = (int32_t)json_number(id);
        }
        assert_int_equal(reply.n_ids, n_ids);
        assert_memory_equal(reply.ids, ids, n_ids * sizeof *ids);
        const char *text = reply.text + strspn(reply.text, " \n");
        size_t length = strlen(text);
        while (length && strchr(" \n", text[length - 1]))
            length--;
        assert_int_equal(length, strlen(json_string(json_get(r, "text"))));
        assert_memory_equal(text, json_string(json_get(r, "text")), length);
    }
    assert_int_equal(n, 3);
}

static void test_greedy_text_in_every_layout(void **state)
{
    (void)state;
    struct talk talk;
    talk_open(&talk, model);
    for (const struct json *layout = json_first(json_get(facts, "greedy")); layout; layout = json_next(layout)) {
        struct tok_plan plan = make_plan(&talk, "none", "{}", (enum newline)newline_find(json_key(layout)));
        compare_replies(&talk, &plan, layout, json_number(json_get(facts, "penalty")));
    }
    talk_close(&talk);
}

static void compare_groups(const struct tok_plan *plan, const struct json *groups)
{
    size_t at = 0;
    for (const struct json *picture = json_first(groups); picture; picture = json_next(picture))
        for (const struct json *row = json_first(picture); row; row = json_next(row)) {
            for (const struct json *length = json_first(row); length; length = json_next(length), at++) {
                assert_int_equal(plan->tok[at].kind, TOK_VISUAL);
                assert_int_equal(plan->tok[at].size, (uint32_t)json_number(length));
            }
            assert_int_equal(plan->tok[at++].kind, TOK_ROW_MARK);
        }
    assert_int_equal(at, plan->n_tok);
}

static void test_dyntok_groups_rows_and_text(void **state)
{
    (void)state;
    struct err err = {0};
    static const size_t slots[T] = {0, 1};
    struct talk talk;
    int n = 0;
    talk_open(&talk, model);
    for (const struct json *at = json_first(json_get(facts, "dyntok")); at; at = json_next(at), n++) {
        char options[64], name[64];
        size_t count;
        snprintf(options, sizeof options, "{\"threshold\": %s}", json_key(at));
        snprintf(name, sizeof name, "dyntok.rows_%s", json_key(at));
        struct tok_plan plan = make_plan(&talk, "dyntok", options, NEWLINE_GRID);
        compare_groups(&plan, json_get(at, "groups"));
        float *theirs = load(name, &count), *ours = malloc(plan.n_tok * D * sizeof *ours);
        assert_int_equal(count, plan.n_tok * D);
        micro_check(features_apply(talk.features, talk.space, 0, slots, &plan, 0, plan.n_tok, ours, &err), &err);
        assert_close(name, ours, theirs, count);
        free(ours);
        free(theirs);
        compare_replies(&talk, &plan, json_get(at, "greedy"), json_number(json_get(facts, "penalty")));
    }
    assert_true(n >= 4);
    talk_close(&talk);
}

/* ---- the other layouts --------------------------------------------------------------------------------------------------- */

static void test_shards_are_the_same_model(void **state)
{
    (void)state;
    struct model *sharded = open_model(FIXTURES_DIR "/micro-sharded", kernels->name, DTYPE_F32);
    assert_string_equal(sharded->digest, model->digest);
    model_close(sharded);
}

static void test_hf_layout(void **state)
{
    (void)state;
    struct talk talk;
    struct model *hf = open_model(FIXTURES_DIR "/micro-hf", kernels->name, DTYPE_F32);
    assert_int_equal(hf->shape.layout, LAYOUT_HF);
    assert_int_equal(hf->shape.newline, NEWLINE_ONE);
    talk_open(&talk, hf);
    struct tok_plan plan = make_plan(&talk, "none", "{}", hf->shape.newline);
    compare_replies(&talk, &plan, json_get(facts, "hf_greedy"), hf->shape.repetition_penalty);
    talk_close(&talk);
    model_close(hf);
}

/* ---- checkpoints made on the spot from the committed ones ------------------------------------------------------------------ */

static char made[] = "/tmp/toksweep-test-XXXXXX";

/* A head of its own beside the embedding, as the 7B checkpoints have it. */
static void test_untied_head(void **state)
{
    (void)state;
    struct talk talk;
    micro_put_together(made, FIXTURES_DIR "/micro-untied", "lm_head.safetensors");
    struct model *untied = open_model(made, kernels->name, DTYPE_F32);
    assert_false(untied->shape.language.tied);
    talk_open(&talk, untied);
    struct tok_plan plan = make_plan(&talk, "none", "{}", NEWLINE_GRID);
    compare_replies(&talk, &plan, json_get(facts, "untied_greedy"), json_number(json_get(facts, "penalty")));
    talk_close(&talk);
    model_close(untied);
    micro_take_apart(made, "lm_head.safetensors");
}

/* micro-hf's tensors under the names that newer versions of transformers save. */
static void test_hf_layout_saved_again(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors", NULL};
    static const char *const old[] = {"\"vision_tower.", "\"language_model.model.", "\"multi_modal_projector.", "\"image_newline"};
    static const char *const fresh[] = {"\"model.vision_tower.", "\"model.language_model.", "\"model.multi_modal_projector.", "\"model.image_newline"};
    assert_non_null(mkdtemp(made));
    for (int i = 0; i < 3; i++)
        micro_copy(FIXTURES_DIR "/micro-hf", made, names[i]);
    size_t length, used = 8;
    char *bytes = micro_read(FIXTURES_DIR "/micro-hf", "model.safetensors", &length), *out = malloc(2 * length);
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    for (size_t at = 8; at < 8 + header;) {
        int which = 0;
        while (which < 4 && strncmp(bytes + at, old[which], strlen(old[which])) != 0)
            which++;
        if (which == 4) {
            out[used++] = bytes[at++];
        } else {
            memcpy(out + used, fresh[which], strlen(fresh[which]));
            used += strlen(fresh[which]);
            at += strlen(old[which]);
        }
    }
    uint64_t grown = used - 8;
    memcpy(out, &grown, sizeof grown);
    memcpy(out + used, bytes + 8 + header, length - 8 - header);
    micro_write(made, "model.safetensors", out, used + length - 8 - header);
    struct model *again = open_model(made, kernels->name, DTYPE_F32);
    struct talk talk;
    talk_open(&talk, again);
    struct tok_plan plan = make_plan(&talk, "none", "{}", NEWLINE_ONE);
    compare_replies(&talk, &plan, json_get(facts, "hf_greedy"), 1);
    talk_close(&talk);
    model_close(again);
    free(bytes);
    free(out);
    micro_remove(made, names);
}

static int open_all(void **state)
{
    (void)state;
    struct err err = {0};
    micro_check(safetensors_open_file(&truth, MICRO "/stages.safetensors", &err), &err);
    micro_check(json_load(&facts, MICRO "/stages.json", 1 << 20, &err), &err);
    micro_frames(T, resized[0]);
    return 0;
}

/* What is planned with before the weights are read is what they take: pooling head, biases and all. */
static void test_an_examined_model_knows_its_bytes(void **state)
{
    (void)state;
    static const char *const folders[] = {MICRO, FIXTURES_DIR "/micro-sharded"};
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    for (size_t i = 0; i < 4; i++) {
        struct err err = {0};
        struct model *examined, *opened;
        micro_check(model_examine(&examined, folders[i / 2], kernels, dtypes[i % 2], &err), &err);
        opened = open_model(folders[i / 2], kernels->name, dtypes[i % 2]);
        assert_false(examined->loaded);
        assert_int_equal(examined->weight_bytes, opened->weight_bytes);
        assert_string_equal(examined->digest, opened->digest);
        micro_check(model_load(examined, &err), &err);
        assert_int_equal(examined->weight_bytes, opened->weight_bytes);
        assert_int_equal(examined->head.n_out, opened->head.n_out);
        size_t bytes = matrix_bytes(opened->embed.n_out, opened->embed.n_in, opened->embed.dtype, opened->embed.layout);
        assert_memory_equal(examined->embed.panels, opened->embed.panels, bytes);
        model_close(examined);
        model_close(opened);
    }
}

static int close_all(void **state)
{
    (void)state;
    safetensors_close(truth);
    json_free(facts);
    return 0;
}

/* The whole group runs once for each kernel table that this processor has. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resized_pixels_are_pillows),
        cmocka_unit_test(test_tower_and_projector),
        cmocka_unit_test(test_pooling),
        cmocka_unit_test(test_prompt_ids),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_language_layers_and_logits),
        cmocka_unit_test(test_greedy_text_in_every_layout),
        cmocka_unit_test(test_dyntok_groups_rows_and_text),
        cmocka_unit_test(test_shards_are_the_same_model),
        cmocka_unit_test(test_hf_layout),
        cmocka_unit_test(test_hf_layout_saved_again),
        cmocka_unit_test(test_untied_head),
        cmocka_unit_test(test_an_examined_model_knows_its_bytes),
    };
    int failed = 0;
    for (const char *const *isa = kernels_names(); *isa; isa++) {
        struct err err = {0};
        if (!kernels_runs(*isa) || kernels_open(&kernels, *isa, &err) || model_open(&model, MICRO, kernels, DTYPE_F32, &err) ||
            vision_space_new(&space, model, 1, &err)) {
            fprintf(stderr, "%s: %s\n", *isa, err.code ? err.text : "not on this processor");
            failed += err.code != 0;
            continue;
        }
        failed += cmocka_run_group_tests_name(*isa, tests, open_all, close_all);
        vision_space_free(space);
        model_close(model);
    }
    return failed;
}
