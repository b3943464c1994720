/* `bench`: how near the engine comes to this machine's limit, at the shapes of a published model with random weights, and what the program
 * costs around it. Every figure is the median of its repeats; those of the engine are set against a peak that was measured in the same
 * process. `bench compare` holds two records of it against each other. */
#include "harness/bench.h"
#include "harness/bench_methods.h"

#include "core/clock.h"
#include "engine/kernels/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"model", "NAME", "lmms-lab/llava-onevision-qwen2-0.5b-ov", "published model, or folder of a checkpoint, whose shape is used", false},
    {"rows", "N", "2048", "rows of the prefill", false},
    {"frames", "N", "4", "frames of the sample", false},
    {"clock", "NAME", "wall", "wall, or processor: seconds of this process's processors per thread, for machines with other work", false},
    {"repeats", "N", "5", "of each figure; the median is printed", false},
    {"threads", "N", NULL, "threads (all processors)", false},
    {"device", "NAME", "cpu", "cpu, cuda, cuda:N or auto", false},
    {"dtype", "NAME", "bf16", "f32, bf16, int8 (on the processor) or f16 (on a card)", false},
    {"isa", "NAME", "auto", "kernel table", false},
    {"video", "FILE", NULL, "with stages: also measures how fast 64 evenly spread frames of this video are read", false},
    {"sweep", "FILE.yaml", NULL, "with sweep: the sweep that is run, shared and not", false},
    {"answers", "N", "30000", "with harness: answers of the mock runner in the longer of two runs; a tenth of them in the other", false},
    {"json", "FILE", NULL, "writes a record for 'bench compare': machine, program, and every figure with its repeats", false},
    {"methods", NULL, NULL, "measures compressors instead, on made-up features, against encoding the frames", false},
    {"format", "NAME", "terminal", "terminal, md, csv or json", false},
    {0},
};

static const struct part {
    const char *name;
    int (*measure)(struct bench *bench, struct err *err);
    bool computes; /* needs weights */
} parts[] = {
    {"kernels", bench_kernels, true}, {"stages", bench_stages, true},    {"sample", bench_sample, true},
    {"sweep", bench_sweep, false},    {"harness", bench_harness, false},
};

enum { PARTS = sizeof parts / sizeof *parts };

int bench_add(struct bench *bench, const char *part, const char *name, const char *unit, double amount, double flops, const double *seconds,
              struct err *err)
{
    const struct bench_figure figure = {part, name, unit, amount, flops, seconds, (size_t)bench->repeats};
    return bench_record_add(&bench->record, &figure, err);
}

double bench_now(const struct bench *bench)
{
    struct timespec now;
    if (!bench->by_processor)
        return now_s();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return ((double)now.tv_sec + (double)now.tv_nsec * 1e-9) / bench->threads;
}

/* ---- methods ------------------------------------------------------------------------------------------------------------- */

static double median(const double *seconds, int n)
{
    const struct bench_figure figure = {.seconds = seconds, .n = (size_t)n};
    return bench_median(&figure);
}

static void put_method(struct bench *bench, struct table *table, const char *label, size_t n, const double *seconds, double whole)
{
    double least = seconds[0], most = seconds[0], middle = median(seconds, bench->repeats);
    for (int r = 1; r < bench->repeats; r++) {
        least = seconds[r] < least ? seconds[r] : least;
        most = seconds[r] > most ? seconds[r] : most;
    }
    table_cell(table, "%s", label);
    table_cell(table, "%zu", n);
    table_cell(table, "%.3f", middle);
    table_cell(table, "%.3f", least);
    table_cell(table, "%.3f", most);
    table_cell(table, "%.2f", 100 * middle / whole);
}

/* Methods run on one thread, encoding on all that were asked for. */
static int measure_methods(struct bench *bench, struct table *table, struct err *err)
{
    static const char *const columns[] = {"method", "tokens", "seconds", "least", "most", "% of encoding"};
    const struct bench_method *method;
    double encode[BENCH_MOST_REPEATS], seconds[BENCH_MOST_REPEATS];
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i], i != 0);
    int rc = bench_time_vision(bench, encode, err);
    double whole = rc ? 1 : BENCH_FRAMES * median(encode, bench->repeats);
    for (int i = 0; (method = bench_method_at(i)) && !rc; i++) {
        struct arena arena = {0};
        const char *label;
        size_t n = 0;
        if (!(rc = bench_method_run(method, bench->model, bench->repeats, seconds, &n, &label, &arena, err)))
            put_method(bench, table, label ? label : method->name, n, seconds, whole);
        arena_free(&arena);
    }
    if (!rc)
        fprintf(stderr, "encoding %d frames: %.1f s on %d threads\n", BENCH_FRAMES, whole, bench->threads);
    return rc;
}

/* ---- what is measured ---------------------------------------------------------------------------------------------------- */

static const struct part *find_part(const char *name)
{
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(parts[i].name, name))
            return &parts[i];
    return NULL;
}

static int check_parts(const struct cli_args *args, bool *computes, struct err *err)
{
    *computes = !args->n_operands || cli_flag(args, "methods");
    for (int i = 0; i < args->n_operands; i++) {
        const struct part *part = find_part(args->operands[i]);
        if (!part)
            return err_set(err, ERR_CONFIG, "bench has no part '%s'; give some of kernels, stages, sample, sweep and harness, or compare with two files",
                           args->operands[i]);
        *computes |= part->computes;
    }
    return 0;
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

/* The machine's peak and a model with random weights. */
static int make_model(struct bench *bench, enum dtype dtype, struct err *err)
{
    const char *name = cli_text(bench->args, "model");
    const struct kernels *kernels;
    struct model_shape shape;
    int rc = find_shape(&shape, name, err);
    char isa[64], card[128];
    if (rc || (rc = kernels_open_device(&kernels, cli_text(bench->args, "device"), cli_text(bench->args, "isa"), err)) ||
        (rc = kernels_check(kernels, dtype, err)))
        return rc;
    kernels_describe(kernels, isa, sizeof isa, card, sizeof card);
    bench->record.peak_gflops = kernels_peak_gflops(kernels, dtype, bench->threads, 1);
    bench->record.model = name;
    bench->record.isa = arena_strdup(&bench->record.arena, isa);
    bench->record.cpu = *card ? arena_strdup(&bench->record.arena, card) : bench->record.cpu;
    if (!bench->record.isa || !bench->record.cpu)
        return err_no_memory(err, "a benchmark");
    fprintf(stderr, "%s, %s, %s, %d threads: peak %.0f GFLOP/s measured; making random weights\n", name, kernels->name, dtype_name(dtype),
            bench->threads, bench->record.peak_gflops);
    return model_random(&bench->model, &shape, kernels, dtype, 1, err);
}

static int read_options(struct bench *bench, enum dtype *dtype, enum table_format *format, struct err *err)
{
    const struct cli_args *args = bench->args;
    const char *clock = cli_text(args, "clock");
    int64_t threads = sysconf(_SC_NPROCESSORS_ONLN), rows = 0, repeats = 0, frames = 0;
    int found = table_format_find(cli_text(args, "format")), rc;
    if (found < 0 || found == TABLE_LATEX)
        return err_set(err, ERR_CONFIG, "--format should be terminal, md, csv or json, it is '%s'", cli_text(args, "format"));
    if (!dtype_parse(cli_text(args, "dtype"), dtype))
        return err_set(err, ERR_CONFIG, "--dtype should be f32, bf16, f16 or int8, it is '%s'", cli_text(args, "dtype"));
    if (strcmp(clock, "wall") && strcmp(clock, "processor"))
        return err_set(err, ERR_CONFIG, "--clock should be wall or processor, it is '%s'", clock);
    if ((rc = cli_integer(args, "frames", 1, 1024, &frames, err)) || (rc = cli_integer(args, "rows", 1, 32768, &rows, err)) ||
        (rc = cli_integer(args, "repeats", 1, BENCH_MOST_REPEATS, &repeats, err)) || (rc = cli_integer(args, "threads", 1, 1024, &threads, err)))
        return rc;
    *format = (enum table_format)found;
    bench->threads = bench->record.threads = (int)threads;
    bench->repeats = (int)repeats;
    bench->rows = (size_t)rows;
    bench->frames = (size_t)frames;
    bench->record.clock = clock;
    bench->by_processor = !strcmp(clock, "processor");
    return 0;
}

static int measure(struct bench *bench, struct err *err)
{
    int rc = bench->args->n_operands ? 0 : bench_stages(bench, err);
    for (int i = 0; i < bench->args->n_operands && !rc && !atomic_load(&cli_stopped); i++) {
        rc = find_part(bench->args->operands[i])->measure(bench, err);
        arena_free(&bench->arena);
    }
    return rc;
}

static int print_table(const struct table *table, enum table_format format, struct err *err)
{
    struct text out = {0};
    int rc = table_write(table, format, &out) ? 0 : err_no_memory(err, "a table");
    if (!rc)
        fputs(out.bytes, stdout);
    text_free(&out);
    return rc;
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

static int compare_records(const struct cli_args *args, enum table_format format, struct err *err)
{
    struct bench_record a = {0}, b = {0};
    struct table table = {0};
    struct text notes = {0};
    if (args->n_operands != 3)
        return err_set(err, ERR_CONFIG, "bench compare takes two files that 'toksweep bench --json FILE' has written, the older first");
    int rc = bench_record_read(&a, args->operands[1], err);
    if (!rc && !(rc = bench_record_read(&b, args->operands[2], err)))
        rc = bench_compare(&a, &b, &table, &notes, err);
    if (!rc && !(rc = print_table(&table, format, err))) {
        if (format == TABLE_TERMINAL)
            printf("\nA: %s, commit %s; B: %s, commit %s. B/A is the ratio of rates, above 1 is faster; low and high: 95 %% by ranks of the repeats.\n",
                   args->operands[1], *a.commit ? a.commit : "not known", args->operands[2], *b.commit ? b.commit : "not known");
        fputs(notes.bytes ? notes.bytes : "", stderr);
    }
    text_free(&notes);
    table_free(&table);
    bench_record_free(&a);
    bench_record_free(&b);
    return rc;
}

static int measure_all(struct bench *bench, enum dtype dtype, enum table_format format, struct err *err)
{
    struct table table = {0};
    bool computes;
    const char *json = cli_text(bench->args, "json");
    int rc = check_parts(bench->args, &computes, err);
    if (rc || (rc = bench_record_begin(&bench->record, err)) || (computes && (rc = make_model(bench, dtype, err))))
        return rc;
    bench->record.dtype = computes ? dtype_name(dtype) : "";
    if (cli_flag(bench->args, "methods"))
        rc = measure_methods(bench, &table, err);
    else if (!(rc = measure(bench, err)))
        bench_record_table(&bench->record, &table);
    bench_record_end(&bench->record);
    if (!rc && json && !atomic_load(&cli_stopped))
        rc = bench_record_write(&bench->record, json, err);
    if (!rc)
        rc = print_table(&table, format, err);
    table_free(&table);
    return rc;
}

static int bench_command(const struct cli_args *args, struct err *err)
{
    struct bench bench = {.args = args, .record = {.model = "", .isa = "", .dtype = ""}};
    enum table_format format = TABLE_TERMINAL;
    enum dtype dtype = DTYPE_BF16;
    int rc = read_options(&bench, &dtype, &format, err);
    if (!rc)
        rc = args->n_operands && !strcmp(args->operands[0], "compare") ? compare_records(args, format, err)
                                                                        : measure_all(&bench, dtype, format, err);
    model_close(bench.model);
    arena_free(&bench.arena);
    bench_record_free(&bench.record);
    return rc;
}

const struct cli_command command_bench = {
    .name = "bench",
    .operands = "[PART...] | compare A B",
    .most_operands = PARTS,
    .summary = "measures kernels, stages, a sample, a sweep or the harness against this machine's peak; compares two measurements",
    .options = options,
    .run = bench_command,
};
