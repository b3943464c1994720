/* `reproduce`: a paper's table or figure. Runs its sweeps, holds what is published against what came out, draws the figure. */
#include "harness/held.h"
#include "harness/run.h"

#include "core/log.h"
#include "plots/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    {"table", "N", NULL, "this table of the paper", false},
    {"figure", "N", NULL, "this figure of the paper: its numbers, and the figure itself", false},
    {"stored", NULL, NULL, "runs nothing: takes what the store has of the sweeps' model, imported answers too", false},
    {"margin", "POINTS", "3", "how narrow an interval must be, to either side, for 'within noise'", false},
    {"out", "FILE", NULL, "for figures: .svg, .png or .pdf (PAPER-figureN.svg)", false},
    {"format", "NAME", "terminal", "terminal, md, csv, json or latex", false},
    {"configs", "FOLDER", NULL, "where paper/ and sweeps/ are (configs here, or what came with the program)", false},
    RUN_OPTIONS,
    {0},
};

enum { MOST_SWEEPS = 8 };

struct reproduction {
    const struct cli_args *args;
    struct paper paper;
    const struct paper_result *result;
    enum table_format format;
    double margin;
    struct held_sweep sweeps[MOST_SWEEPS];
    size_t n_sweeps;
    struct err failure; /* of the first sweep that was not run */
    struct arena arena;
};

/* ---- sweeps -------------------------------------------------------------------------------------------------------------- */

static const char *sweep_path(struct reproduction *it, const char *name)
{
    return arena_printf(&it->arena, "%s/%s.yaml", it->paper.sweeps_folder, name);
}

static struct sweep_overrides overrides_of(const struct cli_args *args)
{
    return (struct sweep_overrides){.plugins = cli_texts(args, "plugin"), .sets = cli_texts(args, "set"), .dtype = cli_text(args, "dtype"),
                                    .device = cli_text(args, "device"), .isa = cli_text(args, "isa"), .data = cli_text(args, "data")};
}

/* An SQL string. */
static void put_quoted(struct text *out, const char *string)
{
    text_put(out, "'");
    for (; *string; string++)
        text_add(out, *string == '\'' ? "''" : string, *string == '\'' ? 2 : 1);
    text_put(out, "'");
}

/* The sweep's cells in a store, by what a store calls them: those of other builds and of imported logs too. */
static void put_cells(const struct sweep *sweep, struct text *out)
{
    text_put(out, "model = ");
    put_quoted(out, sweep->model);
    text_put(out, " AND (benchmark, frames, label) IN (VALUES ");
    for (size_t i = 0; i < sweep->n_cells; i++) {
        const struct cell *cell = &sweep->cells[i].run.cell;
        text_put(out, i ? ", (" : "(");
        put_quoted(out, cell->benchmark);
        text_printf(out, ", %d, ", cell->frames);
        put_quoted(out, cell->label);
        text_put(out, ")");
    }
    text_put(out, ")");
}

/* Reads a sweep before it is run: its model, the benchmarks that are not here, and in which cells of a store its answers are. */
static int look_at_sweep(struct reproduction *it, struct held_sweep *out, const char *path, struct err *err)
{
    struct sweep sweep;
    struct sweep_overrides overrides = overrides_of(it->args);
    struct text where = {0};
    size_t n = 0;
    int rc = sweep_load(&sweep, path, &overrides, err);
    if (rc)
        return rc;
    const char **missing = arena_alloc(&it->arena, sweep.n_benchmarks + 1, sizeof *missing);
    for (size_t i = 0; i < sweep.n_benchmarks && missing; i++)
        if (!sweep.benchmarks[i].source.path)
            missing[n++] = sweep.benchmarks[i].benchmark->name;
    put_cells(&sweep, &where);
    out->missing = cli_flag(it->args, "stored") ? NULL : missing;
    out->model = arena_strdup(&it->arena, sweep.model);
    out->where = where.failed ? NULL : arena_strdup(&it->arena, where.bytes);
    if (!missing || !out->model || !out->where)
        rc = err_no_memory(err, "a sweep");
    else if (n == sweep.n_benchmarks && out->missing)
        rc = err_set(err, ERR_CONFIG,
                     "no manifest of the benchmarks of sweep '%s' is here; give --data FOLDER, set HF_HOME, or write one into it with "
                     "--set axes.benchmark={name: NAME, manifest: PATH, videos: FOLDER}", out->name);
    text_free(&where);
    sweep_free(&sweep);
    return rc;
}

/* Computes what the store lacks, and notes which cells these are. */
static int run_sweep(struct reproduction *it, struct held_sweep *out, const char *path, struct err *err)
{
    struct run run = {.args = it->args, .found_only = true};
    struct text where = {0};
    int rc = run_prepare(&run, path, err);
    if (!rc)
        rc = run_compute(&run, err);
    if (!rc) {
        run_put_where(&run, &where);
        out->where = where.failed ? NULL : arena_strdup(&it->arena, where.bytes);
        rc = out->where ? 0 : err_no_memory(err, "a sweep");
    }
    text_free(&where);
    run_free(&run);
    return rc;
}

/* A sweep that cannot be run leaves its reason in the table; what others have is shown all the same. */
static int take_sweep(struct reproduction *it, const char *name, struct err *err)
{
    struct held_sweep *out = &it->sweeps[it->n_sweeps++];
    struct err inner = {0};
    const char *path = sweep_path(it, name);
    out->name = name;
    int rc = path ? look_at_sweep(it, out, path, &inner) : err_no_memory(&inner, "a sweep");
    if (!rc && !cli_flag(it->args, "stored"))
        rc = run_sweep(it, out, path, &inner);
    if (!rc)
        return 0;
    out->where = NULL;
    if (inner.code == ERR_MEMORY || inner.code == ERR_IO) {
        *err = inner;
        return rc;
    }
    if (!it->failure.code)
        it->failure = inner;
    out->failure = "its sweep was not run, see the error";
    return 0;
}

static int take_sweeps(struct reproduction *it, struct err *err)
{
    int rc = 0;
    for (const char **name = it->result->sweeps; *name && !rc && !atomic_load(&cli_stopped); name++) {
        if (it->n_sweeps == MOST_SWEEPS)
            return err_set(err, ERR_CONFIG, "a table of '%s' names more than %d sweeps", it->paper.name, (int)MOST_SWEEPS);
        rc = take_sweep(it, *name, err);
    }
    return rc;
}

/* ---- showing ------------------------------------------------------------------------------------------------------------- */

static bool is_prose(enum table_format format)
{
    return format == TABLE_TERMINAL || format == TABLE_MARKDOWN;
}

static void put_heading(const struct reproduction *it, struct text *out)
{
    const struct paper_result *result = it->result;
    text_printf(out, "%s (%s)\n%s %lld: %s\n", it->paper.title, it->paper.source, result->figure ? "Figure" : "Table",
                (long long)result->number,
                result->caption);
    for (size_t i = 0; i < it->n_sweeps; i++)
        if (it->sweeps[i].model)
            text_printf(out, "ours: %s, sweep %s\n", it->sweeps[i].model, it->sweeps[i].name);
    text_put(out, "\n");
}

static void put_legend(const struct held *held, struct text *out)
{
    text_printf(out, "\npublished: as printed; difference: ours minus published%s; 95 %%: its interval over videos, n: questions of ours.\n",
                held->changes ? ", of the changes where these stand" : "");
    text_put(out, "within noise: the interval holds 0 and is narrow enough; cannot tell: it is too wide, so many questions would do.\n");
    if (held->changes)
        text_put(out, "change: published, against the row that it is compared with; our change: paired, question by question.\n");
}

static int print_held(const struct reproduction *it, const struct held *held, struct err *err)
{
    struct table table = {0};
    struct text out = {0};
    if (is_prose(it->format))
        put_heading(it, &out);
    held_tabulate(held, it->format == TABLE_CSV || it->format == TABLE_JSON, &table);
    bool whole = table_write(&table, it->format, &out);
    if (it->format == TABLE_TERMINAL)
        put_legend(held, &out);
    if (is_prose(it->format))
        text_put(&out, "\n");
    if (is_prose(it->format) || it->format == TABLE_LATEX)
        held_put_notes(held, it->format == TABLE_LATEX ? "% " : it->format == TABLE_MARKDOWN ? "* " : "", &out);
    whole = whole && !out.failed;
    if (whole)
        fputs(out.bytes, stdout);
    table_free(&table);
    text_free(&out);
    return whole ? 0 : err_no_memory(err, "a table");
}

/* "dyntok-figure3.svg"; of several figures each has its name before the ending. */
static const char *figure_path(struct reproduction *it, const char *figure, bool several)
{
    const char *out = cli_text(it->args, "out"), *dot = out ? strrchr(out, '.') : NULL;
    if (!out)
        return arena_printf(&it->arena, "%s-figure%lld%s%s.svg", it->paper.name, (long long)it->result->number, several ? "-" : "",
                            several ? figure : "");
    return several && dot ? arena_printf(&it->arena, "%.*s-%s%s", (int)(dot - out), out, figure, dot) : out;
}

/* What is published of our cells: [held->n] at most. NULL when memory is out. */
static struct plot_reference *references_of(struct reproduction *it, const struct held *held, size_t *n)
{
    struct plot_reference *references = arena_alloc(&it->arena, held->n, sizeof *references);
    *n = 0;
    for (size_t i = 0; i < held->n && references; i++) {
        const struct held_number *number = &held->numbers[i];
        size_t at = 0;
        while (at < *n && references[at].cell != number->cell)
            at++;
        if (!number->cell || number->column->task)
            continue;
        if (at == *n)
            references[(*n)++] = (struct plot_reference){number->cell, (double)NAN, (double)NAN, (double)NAN};
        *(number->column->quantity == QUANTITY_ACCURACY ? &references[at].accuracy
          : number->column->quantity == QUANTITY_RATIO  ? &references[at].kept
                                                        : &references[at].tokens) = number->published;
    }
    return references;
}

static int draw(struct reproduction *it, struct store *store, const struct held *held, const char *name, struct err *err)
{
    struct plot_options how = {0};
    const struct figure *figure = figure_find(name);
    const char *path = figure_path(it, name, it->result->draw[1] != NULL);
    struct text where = {0};
    if (!figure)
        return err_set(err, ERR_CONFIG, "no figure '%s', which '%s' is to be drawn as; see 'toksweep list figures'", name, it->paper.name);
    for (size_t i = 0; i < it->n_sweeps; i++)
        if (it->sweeps[i].where)
            text_printf(&where, "%s(%s)", where.length ? " OR " : "", it->sweeps[i].where);
    how.out = path;
    how.where = where.bytes;
    how.references = references_of(it, held, &how.n_references);
    int rc = where.failed || !path || !how.references ? err_no_memory(err, "a figure") : figure->draw(store, &how, err);
    if (!rc)
        fprintf(stderr, "%s\n", path);
    text_free(&where);
    return rc;
}

static int show(struct reproduction *it, struct err *err)
{
    struct store *store = NULL;
    struct held held = {0};
    bool any = false;
    for (size_t i = 0; i < it->n_sweeps; i++)
        any |= it->sweeps[i].where != NULL;
    int rc = any ? store_open(&store, cli_text(it->args, "store"), STORE_READ, err) : 0;
    if (!rc)
        rc = held_make(&held, it->result, store, it->sweeps, it->n_sweeps, it->margin, err);
    if (!rc)
        rc = print_held(it, &held, err);
    for (const char **name = it->result->draw; *name && !rc && held.measured; name++)
        rc = draw(it, store, &held, *name, err);
    held_free(&held);
    store_close(store);
    return rc;
}

/* What a paper has. */
static void list_results(const struct paper *paper)
{
    printf("%s (%s)\n", paper->title, paper->source);
    for (size_t i = 0; i < paper->n_results; i++) {
        const struct paper_result *result = &paper->results[i];
        printf("  --%s %lld  %s; sweeps", result->figure ? "figure" : "table", (long long)result->number, result->caption);
        for (const char **sweep = result->sweeps; *sweep; sweep++)
            printf("%s %s", sweep == result->sweeps ? "" : ",", *sweep);
        printf("\n");
    }
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

static int read_margin(const struct cli_args *args, double *out, struct err *err)
{
    const char *text = cli_text(args, "margin");
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && *out > 0 && *out < 100
               ? 0
               : err_set(err, ERR_CONFIG, "--margin should be points of accuracy between 0 and 100, it is '%s'", text);
}

static int choose_result(struct reproduction *it, struct err *err)
{
    const struct cli_args *args = it->args;
    int64_t table = 0, figure = 0;
    int format = table_format_find(cli_text(args, "format")), rc = read_margin(args, &it->margin, err);
    if (!rc && format < 0)
        rc = err_set(err, ERR_CONFIG, "--format should be terminal, md, csv, json or latex, it is '%s'", cli_text(args, "format"));
    it->format = (enum table_format)format;
    if (!rc)
        rc = cli_integer(args, "table", 1, 1000, &table, err);
    if (!rc)
        rc = cli_integer(args, "figure", 1, 1000, &figure, err);
    if (!rc && table && figure)
        rc = err_set(err, ERR_CONFIG, "--table and --figure are two results; ask for one at a time");
    if (!rc)
        rc = paper_load(&it->paper, args->operands[0], cli_text(args, "configs"), err);
    if (rc || (!table && !figure))
        return rc;
    it->result = paper_find(&it->paper, figure != 0, table ? table : figure);
    return it->result ? 0
                      : err_set(err, ERR_CONFIG, "'%s' has no %s %lld; 'toksweep reproduce %s' lists what it has", it->paper.name,
                                table ? "table" : "figure", (long long)(table ? table : figure), args->operands[0]);
}

static int reproduce(const struct cli_args *args, struct err *err)
{
    struct reproduction it = {.args = args};
    int rc = choose_result(&it, err);
    if (!rc && !it.result)
        list_results(&it.paper);
    if (!rc && it.result)
        rc = take_sweeps(&it, err);
    if (!rc && it.result && !atomic_load(&cli_stopped))
        rc = show(&it, err);
    if (!rc && it.failure.code) {
        *err = it.failure;
        rc = it.failure.code;
    }
    if (!rc && atomic_load(&cli_stopped)) {
        log_say(LOG_NOTE, "stopped; every answer so far is in '%s', the same command continues", cli_text(args, "store"));
        rc = EXIT_RUN_FAILED;
    }
    paper_free(&it.paper);
    arena_free(&it.arena);
    return rc;
}

const struct cli_command command_reproduce = {
    .name = "reproduce",
    .operands = "PAPER",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "runs a paper's table or figure, and holds what is published against what came out",
    .options = options,
    .run = reproduce,
};
