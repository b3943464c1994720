/* Stages of the engine at the shapes of a published model with random weights, and one sample made of them. */
#include "harness/bench.h"

#include "datasets/video.h"
#include "engine/generate.h"
#include "engine/vision.h"

#include <stdio.h>
#include <stdlib.h>

enum { GENERATED = 16, VIDEO_FRAMES = 64, SAMPLE_TEXT = 60 };

void *bench_take(struct bench *bench, size_t bytes)
{
    if (bench->n_tensors == (int)(sizeof bench->tensors / sizeof *bench->tensors))
        return NULL;
    return bench->tensors[bench->n_tensors++] = bench->model->kernels->memory->take(bytes);
}

void bench_release(struct bench *bench)
{
    while (bench->n_tensors)
        bench->model->kernels->memory->release(bench->tensors[--bench->n_tensors]);
    arena_reset(&bench->arena);
}

int bench_fill(struct bench *bench, float *tensor, size_t n, struct err *err)
{
    float *values = malloc(n * sizeof *values);
    if (!values)
        return err_no_memory(err, "a benchmark");
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((int)(i * 2654435761u >> 20 & 4095) - 2048) / 2048;
    bench->model->kernels->memory->put(tensor, values, n * sizeof *values);
    free(values);
    return 0;
}

static int settle(const struct bench *bench, struct err *err)
{
    return bench->model->kernels->memory->settle(err);
}

/* ---- the tower ----------------------------------------------------------------------------------------------------------- */

struct tower { /* as many frames as go through in one pass */
    struct vision_space *space;
    uint8_t *rgb; /* one, shown again and again */
    float *X, *P;
};

static int tower_new(struct tower *tower, struct bench *bench, struct err *err)
{
    const struct model_shape *shape = &bench->model->shape;
    size_t side = (size_t)shape->vision.image_size, n = (size_t)(bench->model->frames_at_once * shape->vision.side * shape->vision.side);
    *tower = (struct tower){.rgb = arena_alloc(&bench->arena, side * side, 3),
                            .X = bench_take(bench, n * (size_t)shape->vision.width * sizeof *tower->X),
                            .P = bench_take(bench, n * (size_t)shape->language.width * sizeof *tower->P)};
    if (!tower->rgb || !tower->X || !tower->P)
        return err_no_memory(err, "a benchmark");
    for (size_t i = 0; i < side * side * 3; i++)
        tower->rgb[i] = (uint8_t)(i * 2654435761u >> 13);
    return vision_space_new(&tower->space, bench->model, bench->threads, err);
}

static void tower_encode(const struct tower *tower, const struct bench *bench, int n)
{
    const struct vision_shape *v = &bench->model->shape.vision;
    const uint8_t *rgb[MOST_FRAMES_AT_ONCE] = {NULL};
    for (int i = 0; i < n; i++)
        rgb[i] = tower->rgb;
    vision_encode(bench->model, tower->space, rgb, n, v->image_size, tower->X, NULL, NULL, NULL);
    vision_project(bench->model, tower->space, tower->X, (size_t)(n * v->side * v->side), tower->P);
}

int bench_time_vision(struct bench *bench, double *seconds, struct err *err)
{
    struct tower tower;
    int rc = tower_new(&tower, bench, err);
    for (int r = -1; r < bench->repeats && !rc; r++) {
        double start = bench_now(bench);
        tower_encode(&tower, bench, bench->model->frames_at_once);
        rc = settle(bench, err);
        seconds[r < 0 ? 0 : r] = bench_now(bench) - start;
    }
    vision_space_free(tower.space);
    bench_release(bench);
    return rc;
}

/* ---- the language model -------------------------------------------------------------------------------------------------- */

struct speaker { /* of one prompt */
    struct language_state *state;
    float *rows, *last;
    size_t n;
};

static int speaker_new(struct speaker *speaker, struct bench *bench, size_t n, struct err *err)
{
    size_t d = (size_t)bench->model->shape.language.width, most = n + 1 + GENERATED;
    *speaker = (struct speaker){.rows = bench_take(bench, n * d * sizeof *speaker->rows), .last = bench_take(bench, d * sizeof *speaker->last), .n = n};
    if (!speaker->rows || !speaker->last)
        return err_no_memory(err, "a benchmark");
    return language_state_new(&speaker->state, bench->model, most, most, bench->threads, err);
}

/* Prefills the rows and generates; seconds of either. */
static int speak(struct speaker *speaker, struct bench *bench, double *prefill, double *generation, struct err *err)
{
    const struct generate_options how = {.max_new_tokens = GENERATED, .repetition_penalty = 1};
    const int32_t prompt[1] = {1};
    struct arena arena = {0};
    struct reply reply;
    language_cut(speaker->state, 0);
    int rc = settle(bench, err);
    if (rc)
        return rc;
    double start = bench_now(bench);
    language_prefill(bench->model, speaker->state, speaker->rows, speaker->n, NULL, 0, speaker->last, NULL, NULL);
    rc = settle(bench, err);
    *prefill = bench_now(bench) - start;
    if (!rc)
        rc = generate(&reply, bench->model, speaker->state, prompt, 1, (uint32_t)speaker->n, &how, &arena, err);
    *generation = rc ? 0 : (bench_now(bench) - start - *prefill) / (double)reply.n_steps;
    arena_free(&arena);
    return rc;
}

static double rows_flops(const struct bench *bench, size_t n)
{
    const struct model_shape *shape = &bench->model->shape;
    return prefill_flops(shape, (double)n) - 2.0 * shape->language.vocab * shape->language.width;
}

/* Weights that one step of generation reads: what its time goes to on a card, to be held against the rate of copies there. */
static double step_bytes(const struct model *model)
{
    double sum = (double)matrix_bytes(model->head.n_out, model->head.n_in, model->head.dtype, model->head.layout);
    for (int i = 0; i < model->shape.language.layers; i++) {
        const struct language_layer *layer = &model->language_layers[i];
        const struct matrix *const read[] = {&layer->qkv, &layer->out, &layer->gate_up, &layer->down};
        for (int m = 0; m < 4; m++)
            sum += (double)matrix_bytes(read[m]->n_out, read[m]->n_in, read[m]->dtype, read[m]->layout);
    }
    return sum;
}

static int time_language(struct bench *bench, struct err *err)
{
    double prefill[BENCH_MOST_REPEATS], generation[BENCH_MOST_REPEATS];
    struct speaker speaker;
    char name[64];
    int rc = speaker_new(&speaker, bench, bench->rows, err);
    for (int r = -1; r < bench->repeats && !rc; r++) {
        rc = bench_fill(bench, speaker.rows, bench->rows * (size_t)bench->model->shape.language.width, err);
        if (!rc)
            rc = speak(&speaker, bench, &prefill[r < 0 ? 0 : r], &generation[r < 0 ? 0 : r], err);
    }
    language_state_free(speaker.state);
    bench_release(bench);
    snprintf(name, sizeof name, "prefill of %zu rows", bench->rows);
    if (!rc)
        rc = bench_add(bench, "stages", name, "tokens/s", (double)bench->rows, rows_flops(bench, bench->rows), prefill, err);
    if (!rc)
        rc = bench_add(bench, "stages", "generation", "text ids/s", 1, 0, generation, err);
    if (rc || bench->model->kernels->memory->host)
        return rc;
    return bench_add(bench, "stages", "weights read by generation", "GB/s", 1e-9 * step_bytes(bench->model), 0, generation, err);
}

/* ---- video --------------------------------------------------------------------------------------------------------------- */

static int time_video(struct bench *bench, const char *path, struct err *err)
{
    struct video_ref ref = {.id = path, .path = path, .start_s = -1};
    double seconds[BENCH_MOST_REPEATS], resize[BENCH_MOST_REPEATS];
    int rc = 0;
    for (int r = -1; r < bench->repeats && !rc; r++) {
        struct video *video;
        struct frames frames = {0};
        uint32_t index[VIDEO_FRAMES];
        size_t n_replaced, n = 0;
        double start = bench_now(bench);
        if ((rc = video_open(&video, &ref, bench->threads, err)))
            break;
        uint32_t count = video_facts(video)->n_frames;
        size_t m = frame_indices(FRAMES_UNIFORM, count, video_facts(video)->fps, 0, count - 1, VIDEO_FRAMES, index);
        for (size_t i = 0; i < m; i++)
            if (!n || index[i] != index[n - 1])
                index[n++] = index[i];
        rc = video_read(video, index, n, bench->model->shape.vision.image_size, &frames, &n_replaced, err);
        seconds[r < 0 ? 0 : r] = (bench_now(bench) - start) / (double)n;
        resize[r < 0 ? 0 : r] = frames.resize_ms / 1000 / (double)n;
        frames_free(&frames);
        video_close(video);
    }
    if (!rc)
        rc = bench_add(bench, "stages", "video: open, decode, resize", "frames/s", 1, 0, seconds, err);
    return rc ? rc : bench_add(bench, "stages", "video: of that, resize on one thread", "frames/s", 1, 0, resize, err);
}

/* The other ceiling of a card: bytes read and written by a copy there. */
static int time_copies(struct bench *bench, struct err *err)
{
    enum { COPIES = 10 };
    const struct memory *memory = bench->model->kernels->memory;
    size_t bytes = memory->left() / 8 < (size_t)1 << 30 ? memory->left() / 8 : (size_t)1 << 30;
    char *from = bench_take(bench, bytes), *to = bench_take(bench, bytes);
    double seconds[BENCH_MOST_REPEATS];
    int rc = from && to ? 0 : err_no_memory(err, "a benchmark");
    for (int r = -1; r < bench->repeats && !rc; r++) {
        double start = bench_now(bench);
        for (int i = 0; i < COPIES; i++)
            memory->move(to, from, bytes);
        rc = memory->settle(err);
        seconds[r < 0 ? 0 : r] = bench_now(bench) - start;
    }
    bench_release(bench);
    return rc ? rc : bench_add(bench, "stages", "copies on the card, read and written", "GB/s", 2e-9 * COPIES * (double)bytes, 0, seconds, err);
}

int bench_stages(struct bench *bench, struct err *err)
{
    double encode[BENCH_MOST_REPEATS];
    const char *path = cli_text(bench->args, "video");
    int rc = bench_time_vision(bench, encode, err);
    if (!rc)
        rc = bench_add(bench, "stages", "vision tower and projector", "frames/s", bench->model->frames_at_once,
                       bench->model->frames_at_once * vision_flops(&bench->model->shape), encode, err);
    if (!rc)
        rc = time_language(bench, err);
    if (!rc && !bench->model->kernels->memory->host)
        rc = time_copies(bench, err);
    return !rc && path ? time_video(bench, path, err) : rc;
}

/* ---- a sample ------------------------------------------------------------------------------------------------------------ */

struct sample_times { double encode[BENCH_MOST_REPEATS], prefill[BENCH_MOST_REPEATS], generation[BENCH_MOST_REPEATS], all[BENCH_MOST_REPEATS]; };

/* Frames through tower, projector and pooling, with some text behind them through the language model. */
static int time_sample(struct bench *bench, struct tower *tower, struct speaker *speaker, struct sample_times *times, int r, struct err *err)
{
    const struct model_shape *shape = &bench->model->shape;
    size_t d = (size_t)shape->language.width, side = (size_t)pool_side(shape->pool_mode, shape->vision.side, shape->pool_stride);
    int rc = bench_fill(bench, speaker->rows, speaker->n * d, err);
    double start = bench_now(bench), step;
    size_t most = (size_t)bench->model->frames_at_once, patches = (size_t)(shape->vision.side * shape->vision.side), n;
    for (size_t t = 0; t < bench->frames; t += n) {
        n = bench->frames - t < most ? bench->frames - t : most;
        tower_encode(tower, bench, (int)n);
        for (size_t i = 0; i < n; i++)
            bench->model->kernels->pool(shape->pool_mode, shape->pool_stride, shape->vision.side, (int)d, tower->P + i * patches * d,
                                        speaker->rows + (t + i) * side * side * d);
    }
    if (!rc)
        rc = settle(bench, err);
    times->encode[r] = bench_now(bench) - start;
    if (!rc)
        rc = speak(speaker, bench, &times->prefill[r], &step, err);
    times->all[r] = bench_now(bench) - start;
    times->generation[r] = times->all[r] - times->encode[r] - times->prefill[r];
    return rc;
}

int bench_sample(struct bench *bench, struct err *err)
{
    const struct model_shape *shape = &bench->model->shape;
    int side = pool_side(shape->pool_mode, shape->vision.side, shape->pool_stride);
    size_t n = bench->frames * (size_t)(side * side) + SAMPLE_TEXT;
    struct sample_times times;
    struct tower tower;
    struct speaker speaker = {0};
    char whole[64], part[64], name[64];
    double frames = (double)bench->frames, seen = frames * vision_flops(shape);
    int rc = tower_new(&tower, bench, err);
    if (!rc)
        rc = speaker_new(&speaker, bench, n, err);
    for (int r = -1; r < bench->repeats && !rc; r++)
        rc = time_sample(bench, &tower, &speaker, &times, r < 0 ? 0 : r, err);
    vision_space_free(tower.space);
    language_state_free(speaker.state);
    bench_release(bench);
    snprintf(whole, sizeof whole, "a question on %zu frames", bench->frames);
    snprintf(part, sizeof part, "of it %zu frames", bench->frames);
    snprintf(name, sizeof name, "of it prefill of %zu rows", n);
    if (!rc)
        rc = bench_add(bench, "sample", whole, "samples/s", 1, seen + rows_flops(bench, n), times.all, err);
    if (!rc)
        rc = bench_add(bench, "sample", part, "frames/s", frames, seen, times.encode, err);
    if (!rc)
        rc = bench_add(bench, "sample", name, "tokens/s", (double)n, rows_flops(bench, n), times.prefill, err);
    return rc ? rc : bench_add(bench, "sample", "of it 16 text ids", "text ids/s", GENERATED, 0, times.generation, err);
}
