#include "harness/bench_record.h"

#include "build_facts.h"
#include "core/file.h"
#include "core/json.h"
#include "metrics/ratio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, MOST_BYTES = 1 << 20, MOST_PROCESSORS = 1 << 20 };

/* ---- this machine and program -------------------------------------------------------------------------------------------- */

/* The value of a line "key : value" of a file of /proc; "" if there is none. */
static const char *proc_value(const char *path, const char *key, struct arena *arena)
{
    char line[512];
    const char *value = "";
    FILE *file = fopen(path, "r");
    while (file && !*value && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)))
            continue;
        line[strcspn(line, "\n")] = 0;
        value = arena_strdup(arena, colon + 1 + strspn(colon + 1, " \t"));
    }
    if (file)
        fclose(file);
    return value ? value : "";
}

int bench_record_begin(struct bench_record *record, struct err *err)
{
    time_t now = time(NULL);
    struct tm day;
    char date[16];
    gmtime_r(&now, &day);
    strftime(date, sizeof date, "%Y-%m-%d", &day);
    record->date = arena_strdup(&record->arena, date);
    record->commit = BUILD_REVISION;
    record->compiler = BUILD_COMPILER;
    record->cpu = proc_value("/proc/cpuinfo", "model name", &record->arena);
    record->processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
    record->memory_gib = round(10 * atof(proc_value("/proc/meminfo", "MemTotal", &record->arena)) / 0x1p20) / 10;
    return record->date ? 0 : err_no_memory(err, "a benchmark");
}

void bench_record_end(struct bench_record *record)
{
    FILE *file = fopen("/proc/loadavg", "r");
    if (!file || fscanf(file, "%lf", &record->load) != 1)
        record->load = 0;
    if (file)
        fclose(file);
}

/* ---- figures ------------------------------------------------------------------------------------------------------------- */

int bench_record_add(struct bench_record *record, const struct bench_figure *figure, struct err *err)
{
    struct bench_figure *copy = &record->figures[record->n_figures];
    double *seconds = arena_alloc(&record->arena, figure->n, sizeof *seconds);
    if (record->n_figures == BENCH_MOST_FIGURES)
        return err_set(err, ERR_CONFIG, "more than %d figures in one record; measure fewer parts at once", (int)BENCH_MOST_FIGURES);
    *copy = *figure;
    copy->part = arena_strdup(&record->arena, figure->part);
    copy->name = arena_strdup(&record->arena, figure->name);
    copy->unit = arena_strdup(&record->arena, figure->unit);
    copy->seconds = seconds;
    if (!seconds || !copy->part || !copy->name || !copy->unit)
        return err_no_memory(err, "a benchmark");
    memcpy(seconds, figure->seconds, figure->n * sizeof *seconds);
    record->n_figures++;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const double *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

static void sort_seconds(const struct bench_figure *figure, double sorted[BENCH_MOST_REPEATS])
{
    memcpy(sorted, figure->seconds, figure->n * sizeof *sorted);
    qsort(sorted, figure->n, sizeof *sorted, by_size);
}

double bench_median(const struct bench_figure *figure)
{
    double sorted[BENCH_MOST_REPEATS];
    sort_seconds(figure, sorted);
    return (sorted[(figure->n - 1) / 2] + sorted[figure->n / 2]) / 2;
}

void bench_record_table(const struct bench_record *record, struct table *table)
{
    static const char *const columns[] = {"part", "figure", "rate", "unit", "seconds", "least", "most", "GFLOP/s", "% of peak"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i], i != 0 && i != 1 && i != 3);
    for (size_t i = 0; i < record->n_figures; i++) {
        const struct bench_figure *figure = &record->figures[i];
        double sorted[BENCH_MOST_REPEATS], middle = bench_median(figure);
        bool peak = figure->flops > 0 && record->peak_gflops > 0;
        sort_seconds(figure, sorted);
        table_cell(table, "%s", figure->part);
        table_cell(table, "%s", figure->name);
        table_cell(table, "%.4g", figure->amount / middle);
        table_cell(table, "%s", figure->unit);
        table_cell(table, "%.4g", middle);
        table_cell(table, "%.4g", sorted[0]);
        table_cell(table, "%.4g", sorted[figure->n - 1]);
        table_cell(table, figure->flops > 0 ? "%.1f" : "", figure->flops / middle * 1e-9);
        table_cell(table, peak ? "%.1f" : "", peak ? figure->flops / middle * 1e-7 / record->peak_gflops : 0);
    }
}

void bench_record_free(struct bench_record *record)
{
    arena_free(&record->arena);
    *record = (struct bench_record){0};
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */

/* A child, or NULL with *failed: memory is out. */
static struct json *put(struct json *parent, const char *key, struct json *child, bool *failed)
{
    struct json *added = parent && child ? json_add(parent, key, child) : NULL;
    *failed |= !added;
    return added;
}

static struct json *figures_json(const struct bench_record *record, bool *failed)
{
    struct json *figures = json_new(JSON_ARRAY);
    for (size_t i = 0; i < record->n_figures; i++) {
        const struct bench_figure *figure = &record->figures[i];
        struct json *object = put(figures, NULL, json_new(JSON_OBJECT), failed), *seconds;
        put(object, "part", json_new_string(figure->part), failed);
        put(object, "name", json_new_string(figure->name), failed);
        put(object, "unit", json_new_string(figure->unit), failed);
        put(object, "amount", json_new_number(figure->amount), failed);
        put(object, "flops", json_new_number(figure->flops), failed);
        seconds = put(object, "seconds", json_new(JSON_ARRAY), failed);
        for (size_t r = 0; r < figure->n; r++)
            put(seconds, NULL, json_new_number(figure->seconds[r]), failed);
    }
    return figures;
}

static struct json *record_json(const struct bench_record *record, bool *failed)
{
    struct json *root = json_new(JSON_OBJECT), *machine;
    put(root, "bench", json_new_number(VERSION), failed);
    put(root, "date", json_new_string(record->date), failed);
    put(root, "commit", json_new_string(record->commit), failed);
    put(root, "compiler", json_new_string(record->compiler), failed);
    machine = put(root, "machine", json_new(JSON_OBJECT), failed);
    put(machine, "cpu", json_new_string(record->cpu), failed);
    put(machine, "isa", json_new_string(record->isa), failed);
    put(machine, "processors", json_new_number(record->processors), failed);
    put(machine, "memory_gib", json_new_number(record->memory_gib), failed);
    put(machine, "load", json_new_number(record->load), failed);
    put(machine, "peak_gflops", json_new_number(record->peak_gflops), failed);
    put(root, "model", json_new_string(record->model), failed);
    put(root, "dtype", json_new_string(record->dtype), failed);
    put(root, "clock", json_new_string(record->clock), failed);
    put(root, "threads", json_new_number(record->threads), failed);
    put(root, "figures", figures_json(record, failed), failed);
    return root;
}

int bench_record_write(const struct bench_record *record, const char *path, struct err *err)
{
    bool failed = false;
    struct json *root = record_json(record, &failed);
    char *text = failed ? NULL : json_text_pretty(root);
    struct text line = {0};
    int rc = text ? 0 : err_no_memory(err, "a record of a benchmark");
    if (!rc) {
        text_printf(&line, "%s\n", text);
        rc = line.failed ? err_no_memory(err, "a record of a benchmark") : file_save(path, line.bytes, line.length, err);
    }
    text_free(&line);
    free(text);
    json_free(root);
    return rc;
}

struct reader { struct bench_record *out; const char *path; struct err *err; int rc; };

static const char *read_text(struct reader *reader, const struct json *object, const char *key)
{
    const char *text = NULL;
    if (!reader->rc)
        reader->rc = json_get_string(object, key, "", &text, reader->path, reader->err);
    if (!reader->rc && !(text = arena_strdup(&reader->out->arena, text)))
        reader->rc = err_no_memory(reader->err, "a record of a benchmark");
    return text ? text : "";
}

static double read_number(struct reader *reader, const struct json *object, const char *key)
{
    double number = 0;
    if (!reader->rc)
        reader->rc = json_get_number(object, key, 0, &number, reader->path, reader->err);
    if (!reader->rc && (number < 0 || !isfinite(number)))
        reader->rc = err_set(reader->err, ERR_DATA, "%s: '%s' should not be negative, it is %g", reader->path, key, number);
    return number;
}

static void read_figure(struct reader *reader, const struct json *object)
{
    double seconds[BENCH_MOST_REPEATS];
    struct bench_figure figure = {.part = read_text(reader, object, "part"), .name = read_text(reader, object, "name"),
                                  .unit = read_text(reader, object, "unit"), .amount = read_number(reader, object, "amount"),
                                  .flops = read_number(reader, object, "flops"), .seconds = seconds};
    const struct json *times = json_get(object, "seconds");
    for (const struct json *time = json_first(times); time && !reader->rc; time = json_next(time)) {
        double value = json_type(time) == JSON_NUMBER ? json_number(time) : 0;
        if (figure.n == BENCH_MOST_REPEATS || !(value > 0) || !isfinite(value))
            reader->rc = err_set(reader->err, ERR_DATA, "%s: 'seconds' of figure '%s' should be up to %d positive numbers", reader->path,
                                 figure.name, (int)BENCH_MOST_REPEATS);
        else
            seconds[figure.n++] = value;
    }
    if (!reader->rc && (!*figure.name || !figure.n || !(figure.amount > 0)))
        reader->rc = err_set(reader->err, ERR_DATA, "%s: figure %zu should have a name, a positive amount and seconds", reader->path,
                             reader->out->n_figures + 1);
    if (!reader->rc)
        reader->rc = bench_record_add(reader->out, &figure, reader->err);
}

static int read_root(struct bench_record *out, const struct json *root, const char *path, struct err *err)
{
    struct reader reader = {out, path, err, 0};
    const struct json *machine = json_get(root, "machine");
    if (read_number(&reader, root, "bench") != VERSION && !reader.rc)
        return err_set(err, ERR_DATA, "%s is no record of version %d; give a file that 'toksweep bench --json' has written", path, (int)VERSION);
    out->date = read_text(&reader, root, "date");
    out->commit = read_text(&reader, root, "commit");
    out->compiler = read_text(&reader, root, "compiler");
    out->model = read_text(&reader, root, "model");
    out->dtype = read_text(&reader, root, "dtype");
    out->clock = read_text(&reader, root, "clock");
    out->cpu = read_text(&reader, machine, "cpu");
    out->isa = read_text(&reader, machine, "isa");
    out->threads = (int)fmin(read_number(&reader, root, "threads"), MOST_PROCESSORS);
    out->processors = (int)fmin(read_number(&reader, machine, "processors"), MOST_PROCESSORS);
    out->memory_gib = read_number(&reader, machine, "memory_gib");
    out->load = read_number(&reader, machine, "load");
    out->peak_gflops = read_number(&reader, machine, "peak_gflops");
    for (const struct json *figure = json_first(json_get(root, "figures")); figure && !reader.rc; figure = json_next(figure))
        read_figure(&reader, figure);
    return reader.rc;
}

int bench_record_read(struct bench_record *out, const char *path, struct err *err)
{
    struct json *root = NULL;
    *out = (struct bench_record){0};
    int rc = json_load(&root, path, MOST_BYTES, err);
    if (!rc)
        rc = read_root(out, root, path, err);
    json_free(root);
    if (rc)
        bench_record_free(out);
    return rc;
}

/* ---- comparing ----------------------------------------------------------------------------------------------------------- */

static const struct bench_figure *find_figure(const struct bench_record *record, const struct bench_figure *figure)
{
    for (size_t i = 0; i < record->n_figures; i++)
        if (!strcmp(record->figures[i].part, figure->part) && !strcmp(record->figures[i].name, figure->name))
            return &record->figures[i];
    return NULL;
}

static void fill_rates(const struct bench_figure *figure, double rates[BENCH_MOST_REPEATS])
{
    for (size_t i = 0; i < figure->n; i++)
        rates[i] = figure->amount / figure->seconds[i];
}

/* Within two per cent is what other work on a machine does to a figure anyway. */
static const char *verdict_of(const struct ratio *ratio)
{
    static const double same = 1.02;
    const struct interval *interval = &ratio->interval;
    if (ratio->confidence == 0)
        return "too few repeats";
    if (interval->low >= 1 / same && interval->high <= same)
        return "same within 2 %";
    return interval->low > 1 ? "faster" : interval->high < 1 ? "slower" : "not shown to differ";
}

static int compare_figure(const struct bench_figure *a, const struct bench_figure *b, struct table *table, struct err *err)
{
    double rates_a[BENCH_MOST_REPEATS], rates_b[BENCH_MOST_REPEATS];
    struct ratio ratio;
    fill_rates(a, rates_a);
    fill_rates(b, rates_b);
    int rc = ratio_of(rates_a, a->n, rates_b, b->n, 0.95, &ratio, err);
    if (rc)
        return rc;
    table_cell(table, "%s", a->part);
    table_cell(table, "%s", a->name);
    table_cell(table, "%.4g", a->amount / bench_median(a));
    table_cell(table, "%.4g", b->amount / bench_median(b));
    table_cell(table, "%s", a->unit);
    table_cell(table, "%.3f", ratio.estimate);
    table_cell(table, ratio.confidence > 0 ? "%.3f" : "", ratio.interval.low);
    table_cell(table, ratio.confidence > 0 ? "%.3f" : "", ratio.interval.high);
    table_cell(table, "%s", verdict_of(&ratio));
    return 0;
}

static void note_difference(struct text *notes, const char *what, const char *a, const char *b)
{
    if (strcmp(a, b))
        text_printf(notes, "A and B differ in %s: '%s' and '%s'\n", what, a, b);
}

static void note_differences(struct text *notes, const struct bench_record *a, const struct bench_record *b)
{
    note_difference(notes, "processor", a->cpu, b->cpu);
    note_difference(notes, "instruction set", a->isa, b->isa);
    note_difference(notes, "model", a->model, b->model);
    note_difference(notes, "dtype", a->dtype, b->dtype);
    note_difference(notes, "clock", a->clock, b->clock);
    note_difference(notes, "compiler", a->compiler, b->compiler);
    if (a->threads != b->threads)
        text_printf(notes, "A and B differ in threads: %d and %d\n", a->threads, b->threads);
    for (int side = 0; side < 2; side++) {
        const struct bench_record *record = side ? b : a;
        if (record->load > record->threads + 0.5)
            text_printf(notes, "%s was measured beside other work: load %.1f with %d threads\n", side ? "B" : "A", record->load, record->threads);
    }
}

static void note_missing(struct text *notes, const struct bench_record *in, const struct bench_record *from, const char *name)
{
    for (size_t i = 0; i < in->n_figures; i++)
        if (!find_figure(from, &in->figures[i]))
            text_printf(notes, "only in %s: %s, %s\n", name, in->figures[i].part, in->figures[i].name);
}

int bench_compare(const struct bench_record *a, const struct bench_record *b, struct table *table, struct text *notes, struct err *err)
{
    static const char *const columns[] = {"part", "figure", "A", "B", "unit", "B/A", "low", "high", "verdict"};
    int rc = 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i], i >= 2 && i != 4 && i != 8);
    for (size_t i = 0; i < a->n_figures && !rc; i++) {
        const struct bench_figure *other = find_figure(b, &a->figures[i]);
        if (other)
            rc = compare_figure(&a->figures[i], other, table, err);
    }
    note_differences(notes, a, b);
    note_missing(notes, a, b, "A");
    note_missing(notes, b, a, "B");
    return rc;
}
