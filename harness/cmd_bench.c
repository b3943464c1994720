/* `bench`: how near the engine comes to this machine's limit, at the shapes of a published model with random weights. Every figure is
 * the median of its repeats, and is set against a peak that was measured in the same process; with --methods, against the tower. */
#include "harness/bench_methods.h"

#include "core/clock.h"
#include "harness/cli.h"
#include "harness/table.h"

#include "datasets/video.h"
#include "engine/generate.h"
#include "engine/kernels/peak.h"
#include "engine/vision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"model", "NAME", "lmms-lab/llava-onevision-qwen2-0.5b-ov", "published model, or folder of a checkpoint, whose shape is used", false},
    {"rows", "N", "2048", "rows of the prefill", false},
    {"repeats", "N", "5", "of each figure; the median is printed", false},
    {"threads", "N", NULL, "threads (all processors)", false},
    {"device", "NAME", "cpu", "cpu, cuda, cuda:N or auto", false},
    {"dtype", "NAME", "bf16", "f32, bf16, int8 (on the processor) or f16 (on a card)", false},
    {"isa", "NAME", "auto", "kernel table", false},
    {"video", "FILE", NULL, "also measures how fast 64 evenly spread frames of this video are read", false},
    {"methods", NULL, NULL, "measures compressors instead, on made-up features, against encoding the frames", false},
    {"format", "NAME", "terminal", "terminal, md, csv or json", false},
    {0},
};

enum { MOST_REPEATS = 101, GENERATED = 16, VIDEO_FRAMES = 64 };

struct bench {
    struct model *model;
    int threads, repeats;
    double peak;          /* GFLOP/s */
    struct table table;
    struct arena arena;
};

static int by_size(const void *a, const void *b)
{
    const double *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return values[n / 2];
}

/* One figure: `amount` units of work in the median of the times; flops of one repeat, or 0 where peak has no meaning. */
static void add_figure(struct bench *bench, const char *name, const char *unit, double amount, double flops, double *seconds)
{
    double middle = median(seconds, bench->repeats);
    table_cell(&bench->table, "%s", name);
    table_cell(&bench->table, "%.4g", amount / middle);
    table_cell(&bench->table, "%s", unit);
    table_cell(&bench->table, "%.4g", middle);
    table_cell(&bench->table, "%.4g", seconds[0]);
    table_cell(&bench->table, "%.4g", seconds[bench->repeats - 1]);
    table_cell(&bench->table, flops > 0 ? "%.1f" : "", flops / middle * 1e-9);
    table_cell(&bench->table, flops > 0 ? "%.1f" : "", flops / middle * 1e-7 / bench->peak);
}

/* Seconds of one frame through tower and projector, `repeats` times. */
static int time_vision(struct bench *bench, double *seconds, struct err *err)
{
    const struct model_shape *shape = &bench->model->shape;
    size_t n = (size_t)(shape->vision.side * shape->vision.side), side = (size_t)shape->vision.image_size;
    struct vision_space *space;
    int rc = vision_space_new(&space, bench->model, bench->threads, err);
    if (rc)
        return rc;
    const struct memory *memory = bench->model->kernels->memory;
    uint8_t *rgb = arena_alloc(&bench->arena, side * side, 3);
    float *X = memory->take(n * (size_t)shape->vision.width * sizeof *X), *P = memory->take(n * (size_t)shape->language.width * sizeof *P);
    if (!rgb || !X || !P)
        rc = err_no_memory(err, "a benchmark");
    for (size_t i = 0; i < side * side * 3 && !rc; i++)
        rgb[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int r = -1; r < bench->repeats && !rc; r++) { /* the first is a warm-up */
        double start = now_s();
        vision_encode(bench->model, space, rgb, (int)side, X, NULL, NULL, NULL);
        vision_project(bench->model, space, X, n, P);
        rc = memory->settle(err);
        seconds[r < 0 ? 0 : r] = now_s() - start;
    }
    memory->release(X);
    memory->release(P);
    vision_space_free(space);
    return rc;
}

static int bench_vision(struct bench *bench, struct err *err)
{
    double encode[MOST_REPEATS];
    int rc = time_vision(bench, encode, err);
    if (!rc)
        add_figure(bench, "vision tower and projector", "frames/s", 1, vision_flops(&bench->model->shape), encode);
    return rc;
}

/* Methods run on one thread, encoding on all that were asked for. */
static int bench_methods(struct bench *bench, struct err *err)
{
    static const char *const columns[] = {"method", "tokens", "seconds", "least", "most", "% of encoding"};
    const struct bench_method *method;
    double encode[MOST_REPEATS], seconds[MOST_REPEATS];
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(&bench->table, columns[i], i != 0);
    int rc = time_vision(bench, encode, err);
    double whole = rc ? 1 : BENCH_FRAMES * median(encode, bench->repeats);
    for (int i = 0; (method = bench_method_at(i)) && !rc; i++) {
        struct arena arena = {0};
        const char *label;
        size_t n = 0;
        if (!(rc = bench_method_run(method, &bench->model->shape, bench->repeats, seconds, &n, &label, &arena, err))) {
            double middle = median(seconds, bench->repeats);
            table_cell(&bench->table, "%s", label ? label : method->name);
            table_cell(&bench->table, "%zu", n);
            table_cell(&bench->table, "%.3f", middle);
            table_cell(&bench->table, "%.3f", seconds[0]);
            table_cell(&bench->table, "%.3f", seconds[bench->repeats - 1]);
            table_cell(&bench->table, "%.2f", 100 * middle / whole);
        }
        arena_free(&arena);
    }
    if (!rc)
        fprintf(stderr, "encoding %d frames: %.1f s on %d threads\n", BENCH_FRAMES, whole, bench->threads);
    return rc;
}

static int bench_language(struct bench *bench, size_t n, struct err *err)
{
    const struct model_shape *shape = &bench->model->shape;
    size_t d = (size_t)shape->language.width;
    double prefill[MOST_REPEATS], generated[MOST_REPEATS];
    int32_t prompt[1] = {1};
    struct language_state *state;
    int rc = language_state_new(&state, bench->model, n + 1 + GENERATED, n + 1 + GENERATED, bench->threads, err);
    if (rc)
        return rc;
    const struct memory *memory = bench->model->kernels->memory;
    float *values = arena_alloc(&bench->arena, n * d, sizeof *values), *rows = memory->take(n * d * sizeof *rows), *last = memory->take(d * sizeof *last);
    if (!values || !rows || !last)
        rc = err_no_memory(err, "a benchmark");
    for (int r = -1; r < bench->repeats && !rc; r++) {
        struct reply reply;
        struct generate_options how = {.max_new_tokens = GENERATED, .repetition_penalty = 1};
        for (size_t i = 0; i < n * d; i++)
            values[i] = (float)((int)(i * 2654435761u >> 20) - 2048) / 2048;
        memory->put(rows, values, n * d * sizeof *rows);
        language_cut(state, 0);
        if ((rc = memory->settle(err)))
            break;
        double start = now_s();
        language_prefill(bench->model, state, rows, n, NULL, 0, last, NULL, NULL);
        if ((rc = memory->settle(err)))
            break;
        prefill[r < 0 ? 0 : r] = now_s() - start;
        rc = generate(&reply, bench->model, state, prompt, 1, (uint32_t)n, &how, &bench->arena, err);
        generated[r < 0 ? 0 : r] = rc ? 0 : reply.generate_ms * 1e-3 / (double)reply.n_steps;
    }
    char name[64];
    snprintf(name, sizeof name, "prefill of %zu rows", n);
    if (!rc) {
        add_figure(bench, name, "tokens/s", (double)n, prefill_flops(shape, (double)n) - 2.0 * shape->language.vocab * (double)d, prefill);
        add_figure(bench, "generation", "text ids/s", 1, 0, generated);
    }
    memory->release(rows);
    memory->release(last);
    language_state_free(state);
    return rc;
}

static int bench_video(struct bench *bench, const char *path, struct err *err)
{
    struct video_ref ref = {.id = path, .path = path, .start_s = -1};
    double seconds[MOST_REPEATS];
    int rc = 0;
    for (int r = -1; r < bench->repeats && !rc; r++) {
        struct video *video;
        struct frames frames = {0};
        uint32_t index[VIDEO_FRAMES];
        size_t n_replaced, n = 0;
        double start = now_s();
        if ((rc = video_open(&video, &ref, bench->threads, err)))
            break;
        uint32_t count = video_facts(video)->n_frames;
        size_t m = frame_indices(FRAMES_UNIFORM, count, video_facts(video)->fps, 0, count - 1, VIDEO_FRAMES, index);
        for (size_t i = 0; i < m; i++)
            if (!n || index[i] != index[n - 1])
                index[n++] = index[i];
        rc = video_read(video, index, n, bench->model->shape.vision.image_size, &frames, &n_replaced, err);
        seconds[r < 0 ? 0 : r] = (now_s() - start) / (double)n;
        frames_free(&frames);
        video_close(video);
    }
    if (!rc)
        add_figure(bench, "video: open, decode, resize", "frames/s", 1, 0, seconds);
    return rc;
}

/* The other ceiling of a card: bytes read and written by a copy there. */
static int bench_copy(struct bench *bench, struct err *err)
{
    enum { COPIES = 10 };
    const struct memory *memory = bench->model->kernels->memory;
    size_t bytes = memory->left() / 8 < (size_t)1 << 30 ? memory->left() / 8 : (size_t)1 << 30;
    char *from = memory->take(bytes), *to = memory->take(bytes);
    double seconds[MOST_REPEATS];
    int rc = from && to ? 0 : err_no_memory(err, "a benchmark");
    for (int r = -1; r < bench->repeats && !rc; r++) {
        double start = now_s();
        for (int i = 0; i < COPIES; i++)
            memory->move(to, from, bytes);
        rc = memory->settle(err);
        seconds[r < 0 ? 0 : r] = now_s() - start;
    }
    if (!rc)
        add_figure(bench, "copies on the card, read and written", "GB/s", 2e-9 * COPIES * (double)bytes, 0, seconds);
    memory->release(from);
    memory->release(to);
    return rc;
}

static int bench_all(struct bench *bench, const struct cli_args *args, size_t rows, struct err *err)
{
    static const char *const columns[] = {"stage", "rate", "unit", "seconds", "least", "most", "GFLOP/s", "% of peak"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(&bench->table, columns[i], i != 0 && i != 2);
    int rc = bench_vision(bench, err);
    if (!rc)
        rc = bench_language(bench, rows, err);
    if (!rc && !bench->model->kernels->memory->host)
        rc = bench_copy(bench, err);
    if (!rc && cli_text(args, "video"))
        rc = bench_video(bench, cli_text(args, "video"), err);
    return rc;
}

static int find_shape(struct model_shape *shape, const char *model, struct err *err)
{
    if (model_shape_published(shape, model))
        return 0;
    int rc = model_shape_load(shape, model, err);
    return rc == ERR_IO ? err_set(err, ERR_CONFIG, "no shape of model '%s': it is neither a published one nor a folder with a config.json; "
                                  "give a Hub id such as lmms-lab/LLaVA-Video-7B-Qwen2, or a folder", model)
                        : rc;
}

static int bench_command(const struct cli_args *args, struct err *err)
{
    struct bench bench = {0};
    struct model_shape shape;
    const struct kernels *kernels;
    struct text out = {0};
    int64_t threads = sysconf(_SC_NPROCESSORS_ONLN), rows = 0, repeats = 0;
    int format = table_format_find(cli_text(args, "format")), rc;
    enum dtype dtype;
    if (format < 0 || format == TABLE_LATEX)
        return err_set(err, ERR_CONFIG, "--format should be terminal, md, csv or json, it is '%s'", cli_text(args, "format"));
    if (!dtype_parse(cli_text(args, "dtype"), &dtype))
        return err_set(err, ERR_CONFIG, "--dtype should be f32, bf16, f16 or int8, it is '%s'", cli_text(args, "dtype"));
    if ((rc = find_shape(&shape, cli_text(args, "model"), err)) || (rc = cli_integer(args, "rows", 1, 32768, &rows, err)) ||
        (rc = cli_integer(args, "repeats", 1, MOST_REPEATS, &repeats, err)) || (rc = cli_integer(args, "threads", 1, 1024, &threads, err)) ||
        (rc = kernels_open_device(&kernels, cli_text(args, "device"), cli_text(args, "isa"), err)))
        return rc;
    if ((rc = kernels_check(kernels, dtype, err)))
        return rc;
    bench.threads = (int)threads;
    bench.repeats = (int)repeats;
    bench.peak = kernels_peak_gflops(kernels, dtype, bench.threads);
    fprintf(stderr, "%s, %s, %s, %d threads: peak %.0f GFLOP/s measured; making random weights\n", cli_text(args, "model"), kernels->name,
            dtype_name(dtype), bench.threads, bench.peak);
    if (!(rc = model_random(&bench.model, &shape, kernels, dtype, 1, err)))
        rc = cli_flag(args, "methods") ? bench_methods(&bench, err) : bench_all(&bench, args, (size_t)rows, err);
    if (!rc && !table_write(&bench.table, (enum table_format)format, &out))
        rc = err_no_memory(err, "a table");
    if (!rc)
        fputs(out.bytes, stdout);
    text_free(&out);
    table_free(&bench.table);
    model_close(bench.model);
    arena_free(&bench.arena);
    return rc;
}

const struct cli_command command_bench = {
    .name = "bench",
    .operands = "",
    .summary = "measures tower, prefill, generation and video reading against this machine's peak",
    .options = options,
    .run = bench_command,
};
