/* The f32 engine's logits for the questions about a video of the tiny world, for tools/train/check_engine.py:
 *
 *   world_logits CHECKPOINT VIDEO FRAMES [COMPRESSOR OPTIONS]
 *
 * Frames come from the renderer, not from a file. A line per question: the logits of the reply's first text id. OPTIONS are JSON. */
#include "compressors/compressor.h"
#include "core/json.h"
#include "datasets/manifest.h"
#include "datasets/video.h"
#include "engine/features.h"
#include "engine/language.h"
#include "engine/prompt.h"
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct show { /* a model that looks at frames of a video */
    struct model *model;
    struct vision_space *space;
    struct features *features;
    struct arena arena;
    size_t slots[64];
    int T;
    struct err err;
};

static int encode_frames(struct show *show, const struct world_scene *scene)
{
    static const struct feature_grid grid = {.mode = POOL_NONE, .stride = 1, .keep = NEED_X_POOLED | NEED_H_RAW};
    static uint8_t rgb[64 * WORLD_FRAME_BYTES];
    uint32_t index[64];
    frame_indices(FRAMES_UNIFORM, (uint32_t)scene->n_frames, WORLD_FPS, 0, (uint32_t)scene->n_frames - 1, (size_t)show->T, index);
    int rc = vision_space_new(&show->space, show->model, 1, &show->err);
    if (!rc)
        rc = features_new(&show->features, show->model, (size_t)show->T, &grid, 1, &show->err);
    for (int t = 0; t < show->T && !rc; t++) {
        show->slots[t] = (size_t)t;
        world_frame_render(scene, (int)index[t], rgb + (size_t)t * WORLD_FRAME_BYTES, NULL);
        rc = features_encode(show->features, show->space, &show->slots[t], 1, rgb, WORLD_SIDE, &show->err);
    }
    return rc;
}

static int make_plan(struct show *show, const char *name, const char *options, struct tok_plan *plan)
{
    double values[COMPRESSOR_MOST_OPTIONS];
    struct vid_view view;
    struct json *json;
    const struct compressor *method = compressor_find(name);
    if (!method)
        return err_set(&show->err, ERR_CONFIG, "no compressor is named '%s'; 'toksweep list compressors' shows all", name);
    int rc = json_parse(&json, options, strlen(options), "the options", &show->err);
    if (rc)
        return rc;
    rc = compressor_resolve(method, json, NULL, values, &show->err);
    json_free(json);
    if (!rc)
        rc = features_view(show->features, 0, show->slots, show->T, method->needs(values), &show->arena, &view, &show->err);
    if (!rc)
        rc = method->tokens(values, &view, NULL, NULL, &show->arena, plan, &show->err);
    return rc ? rc : tok_plan_layout(plan, show->model->shape.newline, &show->arena) ? 0 : err_no_memory(&show->err, "a token plan");
}

static int make_prompt(struct show *show, const struct world_question *question, struct prompt *out)
{
    const struct benchmark *benchmark = benchmark_find("videomme");
    const char *options[WORLD_OPTIONS];
    struct prompt_text text;
    struct sample sample = {.question = question->text, .options = options, .n_options = WORLD_OPTIONS};
    const struct prompting how = {.protocol = profile_protocol(profile_find("toksweep"), benchmark->name), .form = PROMPT_DEFAULT};
    for (int i = 0; i < WORLD_OPTIONS; i++)
        options[i] = arena_printf(&show->arena, "%c. %s", 'A' + i, question->options[i]);
    int rc = benchmark->prompt(&text, &sample, &how, &show->arena, &show->err);
    return rc ? rc : prompt_make(out, show->model->tokenizer, "qwen_1_5", NULL, &text, &show->arena, &show->err);
}

static int ask(struct show *show, const struct tok_plan *plan, const struct world_question *question)
{
    struct prompt prompt;
    struct language_state *language;
    int rc = make_prompt(show, question, &prompt);
    size_t d = (size_t)show->model->shape.language.width, n = prompt.n_before + plan->n_tok + prompt.n_after;
    if (rc || (rc = language_state_new(&language, show->model, n, n, 1, &show->err)))
        return rc;
    float *rows = arena_alloc(&show->arena, n * d, sizeof *rows), *last = arena_alloc(&show->arena, d, sizeof *last);
    float *logits = arena_alloc(&show->arena, show->model->head.n_out, sizeof *logits);
    language_embed(show->model, prompt.before, prompt.n_before, rows);
    rc = features_apply(show->features, show->space, 0, show->slots, plan, 0, plan->n_tok, rows + prompt.n_before * d, &show->err);
    language_embed(show->model, prompt.after, prompt.n_after, rows + (prompt.n_before + plan->n_tok) * d);
    language_prefill(show->model, language, rows, n, NULL, 0, last, NULL, NULL);
    language_logits(show->model, language, last, logits);
    for (size_t i = 0; i < show->model->head.n_out; i++)
        printf("%.9g%c", (double)logits[i], i + 1 < show->model->head.n_out ? ' ' : '\n');
    language_state_free(language);
    return rc;
}

int main(int argc, char **argv)
{
    struct show show = {0};
    struct world_scene scene;
    struct world_question questions[WORLD_QUESTIONS];
    struct tok_plan plan;
    const struct kernels *kernels;
    if (argc < 4 || (show.T = atoi(argv[3])) < 1 || show.T > 64) {
        fprintf(stderr, "usage: world_logits CHECKPOINT VIDEO FRAMES [COMPRESSOR OPTIONS]\n");
        return 2;
    }
    int rc = kernels_open(&kernels, "auto", &show.err);
    if (!rc)
        rc = model_open(&show.model, argv[1], kernels, DTYPE_F32, &show.err);
    world_video_draw(&scene, atoi(argv[2]));
    world_questions_ask(&scene, (uint64_t)atoi(argv[2]), questions);
    if (!rc)
        rc = encode_frames(&show, &scene);
    if (!rc)
        rc = make_plan(&show, argc > 5 ? argv[4] : "none", argc > 5 ? argv[5] : "{}", &plan);
    for (int q = 0; q < WORLD_QUESTIONS && !rc; q++)
        rc = ask(&show, &plan, &questions[q]);
    if (rc)
        fprintf(stderr, "error: %s\n", show.err.text);
    features_free(show.features);
    vision_space_free(show.space);
    model_close(show.model);
    arena_free(&show.arena);
    return rc ? 3 : 0;
}
