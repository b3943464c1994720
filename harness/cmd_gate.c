/* `gate`: cells of a store against their baselines, for a pipeline. */
#include "harness/cli.h"
#include "harness/expected.h"
#include "harness/gate.h"
#include "harness/revisions.h"
#include "harness/table.h"

#include "core/file.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option options[] = {
    {"baseline", "WHAT", NULL, "instead of the files' baseline: previous, a store, expected results (.csv), a revision, or a cell", false},
    {"cell", "NAME", NULL, "instead of the files' cells; may be repeated", true},
    {"bisect", NULL, NULL, "judges every stored revision of the cells, and names the first that fails", false},
    {"format", "NAME", "terminal", "terminal, md, csv, json, junit, benchmark-bigger, benchmark-smaller or bencher", false},
    {"write", "FORMAT=FILE", NULL, "also writes a file in one of these formats; may be repeated", true},
    {"github", NULL, NULL, "prints annotations for GitHub Actions, and adds Markdown to the step's summary", false},
    {0},
};

struct gating {
    const struct cli_args *args;
    struct store *store;
    struct gate_file files[CLI_MOST_OPERANDS];
    size_t n_files;
    struct gate_outcomes outcomes;
    struct arena arena; /* names in outcomes */
};

/* ---- sides --------------------------------------------------------------------------------------------------------------- */

struct side { /* zero-initialise */
    struct stored_cell cell;
    struct gate_side told;
    const char *why; /* there is nothing to compare with; NULL: there is */
};

static void side_free(struct side *side)
{
    stored_cell_free(&side->cell);
}

static int load_row(struct side *side, struct store *store, const struct history_row *row, struct arena *arena, struct err *err)
{
    int rc = store_load_cell(&side->cell, store, row->cell, err);
    if (rc)
        return rc;
    side->told = (struct gate_side){
        .name = arena_printf(arena, "%s@%d, %s", row->label, row->frames, revision_name(row).text),
        .cell = &side->cell,
        .device = arena_strdup(arena, row->device),
    };
    return side->told.name && side->told.device ? 0 : err_no_memory(err, "a gate");
}

static int load_candidate(struct side *side, struct gating *gating, const struct revisions *revisions, struct err *err)
{
    int rc = load_row(side, gating->store, &revisions->rows[revisions->chosen], &gating->arena, err);
    if (rc)
        return rc;
    side->told.name = arena_printf(&gating->arena, "%s@%d", side->cell.label, side->cell.frames);
    return side->told.name ? 0 : err_no_memory(err, "gates");
}

/* Of the revisions of another cell the latest, unless one is of the candidate's own build and model. */
static int load_named(struct side *side, struct store *store, const char *name, const struct history_row *candidate, struct arena *arena,
                      struct err *err)
{
    struct revisions revisions = {0};
    int rc = revisions_find(&revisions, store, name, err);
    size_t at = revisions.chosen;
    for (size_t i = 0; i < revisions.n && !rc; i++) {
        const struct history_row *row = &revisions.rows[i];
        if (!strcmp(row->build_digest, candidate->build_digest) && !strcmp(row->model_digest, candidate->model_digest))
            at = i;
    }
    if (!rc)
        rc = load_row(side, store, &revisions.rows[at], arena, err);
    revisions_free(&revisions);
    return rc;
}

static bool is_file(const char *path)
{
    struct stat stat_of;
    return !stat(path, &stat_of) && S_ISREG(stat_of.st_mode);
}

/* A file that is beside the gate file or where the program runs; NULL when there is none. */
static const char *find_file(struct gating *gating, const struct gate_file *file, const char *name)
{
    const char *slash = strrchr(file->path, '/');
    const char *beside = NULL;
    if (slash && *name != '/')
        beside = arena_printf(&gating->arena, "%.*s/%s", (int)(slash - file->path), file->path, name);
    return beside && is_file(beside) ? beside : is_file(name) ? name : NULL;
}

/* Expected results, or in another store the latest cell of the candidate's label and frames. */
static int load_file(struct gating *gating, struct side *side, const char *path, const struct side *candidate, struct err *err)
{
    size_t length = strlen(path);
    struct store *store = NULL;
    struct revisions revisions = {0};
    side->told = (struct gate_side){.name = path, .cell = &side->cell, .device = ""};
    if (length > 4 && !strcmp(path + length - 4, ".csv"))
        return expected_load(&side->cell, path, &candidate->cell, err);
    int rc = store_open(&store, path, STORE_READ, err);
    if (!rc)
        rc = revisions_find(&revisions, store, candidate->told.name, err);
    if (!rc)
        rc = load_row(side, store, &revisions.rows[revisions.chosen], &gating->arena, err);
    revisions_free(&revisions);
    store_close(store);
    return rc;
}

/* Finds what `what` means for the candidate, whose revisions are given. */
static int load_baseline(struct gating *gating, struct side *side, const struct gate_file *file, const char *what,
                         const struct revisions *revisions, const struct side *candidate, struct err *err)
{
    const struct history_row *chosen = &revisions->rows[revisions->chosen], *row;
    const char *path;
    if (!strcmp(what, "previous")) {
        if (revisions->chosen > 0)
            return load_row(side, gating->store, chosen - 1, &gating->arena, err);
        side->why = "the store has no earlier revision of the cell to compare with";
        return 0;
    }
    if ((path = find_file(gating, file, what)))
        return load_file(gating, side, path, candidate, err);
    if ((row = revisions_begin(revisions, what)) && row != chosen)
        return load_row(side, gating->store, row, &gating->arena, err);
    return load_named(side, gating->store, what, chosen, &gating->arena, err) == 0
               ? 0
               : err_prefix(err, "no file, revision or cell for baseline '%s'", what);
}

/* ---- judging ------------------------------------------------------------------------------------------------------------- */

static int judge_gates(const struct gate_file *file, const struct side *a, const struct side *b,
                       struct gate_outcomes *outcomes, struct err *err)
{
    struct gate_outcome *grown = realloc(outcomes->rows, (outcomes->n + file->n_gates) * sizeof *grown);
    int rc = grown ? 0 : err_no_memory(err, "gates");
    outcomes->rows = grown ? grown : outcomes->rows;
    for (size_t i = 0; i < file->n_gates && !rc; i++) {
        struct gate_outcome *out = &outcomes->rows[outcomes->n];
        rc = gate_check(out, &file->gates[i], &a->told, b->why ? NULL : &b->told, b->why, err);
        out->file = file;
        outcomes->n += !rc;
    }
    return rc;
}

static void outcomes_free(struct gate_outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->n; i++)
        free(outcomes->rows[i].detail);
    free(outcomes->rows);
    *outcomes = (struct gate_outcomes){0};
}

static const char *baseline_of(const struct gating *gating, const struct gate_file *file)
{
    const char *what = cli_text(gating->args, "baseline");
    return what ? what : file->baseline ? file->baseline : "previous";
}

static int judge_cell(struct gating *gating, const struct gate_file *file, const char *name, struct err *err)
{
    struct revisions revisions = {0};
    struct side candidate = {0}, baseline = {0};
    int rc = revisions_find(&revisions, gating->store, name, err);
    if (!rc)
        rc = load_candidate(&candidate, gating, &revisions, err);
    if (!rc)
        rc = load_baseline(gating, &baseline, file, baseline_of(gating, file), &revisions, &candidate, err);
    if (!rc)
        rc = judge_gates(file, &candidate, &baseline, &gating->outcomes, err);
    side_free(&baseline);
    side_free(&candidate);
    revisions_free(&revisions);
    return rc;
}

/* ---- bisecting ----------------------------------------------------------------------------------------------------------- */

/* What a revision is against the one before it. */
static const char *what_changed(const struct history_row *row, const struct history_row *before, char text[48])
{
    const bool changed[] = {strcmp(row->build_digest, before->build_digest), strcmp(row->model_digest, before->model_digest),
                            strcmp(row->manifest_digest, before->manifest_digest)};
    static const char *const names[] = {"program", "model", "questions"};
    *text = 0;
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        if (changed[i])
            snprintf(text + strlen(text), 48 - strlen(text), "%s%s", *text ? ", " : "", names[i]);
    return *text ? text : "kernels";
}

/* The finding of the weightiest verdict. */
static const struct gate_outcome *weightiest(const struct gate_outcomes *outcomes)
{
    size_t at = 0;
    while (outcomes->rows[at].verdict != gate_judgement(outcomes))
        at++;
    return &outcomes->rows[at];
}

struct bisection {
    struct table table;
    const struct history_row *last_pass, *first_fail; /* in order of time; first_fail: none passes from there on */
    enum judgement verdict;                             /* of the latest */
};

static int judge_revision(struct gating *gating, const struct gate_file *file, const struct history_row *row,
                          const struct history_row *before, const struct side *baseline, struct bisection *bisection, struct err *err)
{
    struct side side = {0};
    struct gate_outcomes outcomes = {0};
    char changed[48];
    int rc = load_row(&side, gating->store, row, &gating->arena, err);
    if (!rc)
        rc = judge_gates(file, &side, baseline, &outcomes, err);
    if (!rc) {
        bisection->verdict = gate_judgement(&outcomes);
        table_cell(&bisection->table, "%.16s", row->started_at);
        table_cell(&bisection->table, "%.12s", row->revision);
        table_cell(&bisection->table, "%.8s", row->digest);
        table_cell(&bisection->table, "%s", before ? what_changed(row, before, changed) : "");
        table_cell(&bisection->table, "%s", judgement_name(bisection->verdict));
        table_cell(&bisection->table, "%s: %s", weightiest(&outcomes)->gate->metric->name, weightiest(&outcomes)->detail);
        if (bisection->verdict == JUDGED_PASS) {
            bisection->last_pass = row;
            bisection->first_fail = NULL;
        } else if (bisection->verdict == JUDGED_FAIL && !bisection->first_fail) {
            bisection->first_fail = row;
        }
    }
    outcomes_free(&outcomes);
    side_free(&side);
    return rc;
}

static void tell_bisection(const struct bisection *bisection, const char *name, struct text *out)
{
    const struct history_row *last = bisection->last_pass, *first = bisection->first_fail;
    if (!first)
        text_printf(out, "\n%s: nothing to find: no stored revision fails, or a later one passes again\n", name);
    else
        text_printf(out, "\n%s: %s, cell %.8s, is the first that fails; %s%s\n", name, revision_name(first).text, first->digest,
                    last ? "the last that passes is " : "none passes before it", last ? revision_name(last).text : "");
}

/* Every revision up to the chosen one, against the baseline, or against the oldest when the baseline is the previous one. */
static int bisect_cell(struct gating *gating, const struct gate_file *file, const char *name, enum table_format format, struct text *out,
                       enum judgement *verdict, struct err *err)
{
    static const char *const columns[] = {"started", "revision", "cell", "changed", "verdict", "finding"};
    struct revisions revisions = {0};
    struct side candidate = {0}, baseline = {0};
    struct bisection bisection = {.verdict = JUDGED_PASS};
    const char *what = baseline_of(gating, file);
    bool from_oldest = !strcmp(what, "previous");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(&bisection.table, columns[i], false);
    int rc = revisions_find(&revisions, gating->store, name, err);
    if (!rc && from_oldest)
        rc = load_row(&baseline, gating->store, &revisions.rows[0], &gating->arena, err);
    else if (!rc && !(rc = load_candidate(&candidate, gating, &revisions, err)))
        rc = load_baseline(gating, &baseline, file, what, &revisions, &candidate, err);
    for (size_t i = from_oldest; i <= revisions.chosen && !rc; i++)
        rc = judge_revision(gating, file, &revisions.rows[i], i ? &revisions.rows[i - 1] : NULL, &baseline, &bisection, err);
    if (!rc && !table_write(&bisection.table, format, out))
        rc = err_no_memory(err, "a table");
    if (!rc && format == TABLE_TERMINAL)
        tell_bisection(&bisection, name, out);
    *verdict = bisection.verdict > *verdict ? bisection.verdict : *verdict;
    table_free(&bisection.table);
    side_free(&baseline);
    side_free(&candidate);
    revisions_free(&revisions);
    return rc;
}

/* ---- reports ------------------------------------------------------------------------------------------------------------- */

static int unknown_format(const char *option, const char *name, struct err *err)
{
    struct text known = {0};
    for (int i = 0; gate_format_at(i); i++)
        text_printf(&known, "%s%s", i ? ", " : "", gate_format_at(i)->name);
    int rc = err_set(err, ERR_CONFIG, "--%s should name one of %s, it is '%s'", option, known.bytes ? known.bytes : "", name);
    text_free(&known);
    return rc;
}

static int make_report(struct text *out, const struct gating *gating, const struct gate_format *format, struct err *err)
{
    int rc = format->write(out, &gating->outcomes, err);
    return rc || !out->failed ? rc : err_no_memory(err, "a report of gates");
}

static int find_write(const char *value, const struct gate_format **format, const char **path, struct err *err)
{
    char name[32];
    const char *equals = strchr(value, '=');
    if (!equals || !equals[1])
        return err_set(err, ERR_CONFIG, "--write should be FORMAT=FILE, such as junit=gate.xml, it is '%s'", value);
    snprintf(name, sizeof name, "%.*s", (int)(equals - value), value);
    *path = equals + 1;
    return (*format = gate_format_find(name)) ? 0 : unknown_format("write", name, err);
}

static int write_files(struct gating *gating, struct err *err)
{
    int rc = 0;
    for (const char *const *value = cli_texts(gating->args, "write"); *value && !rc; value++) {
        const struct gate_format *format;
        const char *path;
        struct text text = {0};
        if (!(rc = find_write(*value, &format, &path, err)) && !(rc = make_report(&text, gating, format, err)))
            rc = file_save(path, text.bytes ? text.bytes : "", text.length, err);
        text_free(&text);
    }
    return rc;
}

/* Annotations to standard output; Markdown behind what the step's summary holds. */
static int tell_github(struct gating *gating, struct err *err)
{
    struct text annotations = {0}, summary = {0};
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    gate_annotations(&annotations, &gating->outcomes);
    int rc = make_report(&summary, gating, gate_format_find("md"), err);
    if (!rc && annotations.failed)
        rc = err_no_memory(err, "annotations");
    if (!rc && annotations.bytes)
        fputs(annotations.bytes, stdout);
    FILE *file = !rc && path && *path ? fopen(path, "a") : NULL;
    if (!rc && path && *path && (!file || fputs(summary.bytes, file) < 0))
        rc = err_errno(err, "write", path);
    if (file && fclose(file) && !rc)
        rc = err_errno(err, "write", path);
    text_free(&annotations);
    text_free(&summary);
    return rc;
}

static int report(struct gating *gating, const struct gate_format *format, struct err *err)
{
    struct text out = {0};
    int rc = make_report(&out, gating, format, err);
    if (!rc && out.bytes)
        fputs(out.bytes, stdout);
    text_free(&out);
    if (!rc)
        rc = write_files(gating, err);
    return rc || !cli_flag(gating->args, "github") ? rc : tell_github(gating, err);
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

static int exit_status(enum judgement verdict)
{
    static const int statuses[JUDGEMENTS] = {EXIT_DONE, EXIT_GATE_INCONCLUSIVE, EXIT_RUN_FAILED, EXIT_GATE_FAILED};
    return statuses[verdict];
}

/* The names that a file's gates are for: those of the command line, or its own. */
static const char *const *cells_of(const struct gating *gating, const struct gate_file *file, size_t *n)
{
    const char *const *given = cli_texts(gating->args, "cell");
    for (*n = 0; given[*n];)
        ++*n;
    if (*n)
        return given;
    *n = file->n_cells;
    return file->cells;
}

static int load_files(struct gating *gating, struct err *err)
{
    int rc = 0;
    for (int i = 1; i < gating->args->n_operands && !rc; i++)
        rc = gate_file_load(&gating->files[gating->n_files++], gating->args->operands[i], err);
    return rc;
}

static int run_gates(struct gating *gating, const struct gate_format *format, struct err *err)
{
    int rc = 0;
    for (size_t f = 0; f < gating->n_files && !rc; f++) {
        size_t n;
        const char *const *names = cells_of(gating, &gating->files[f], &n);
        for (size_t i = 0; i < n && !rc; i++)
            rc = judge_cell(gating, &gating->files[f], names[i], err);
    }
    if (!rc)
        rc = report(gating, format, err);
    return rc ? rc : exit_status(gate_judgement(&gating->outcomes));
}

static int run_bisections(struct gating *gating, struct err *err)
{
    struct text out = {0};
    enum judgement verdict = JUDGED_PASS;
    int format = table_format_find(cli_text(gating->args, "format")), rc = 0;
    if (format < 0 || cli_texts(gating->args, "write")[0] || cli_flag(gating->args, "github"))
        return err_set(err, ERR_CONFIG, "--bisect prints a table: --format terminal, md, csv, json or latex, without --write and --github");
    for (size_t f = 0; f < gating->n_files && !rc; f++) {
        size_t n;
        const char *const *names = cells_of(gating, &gating->files[f], &n);
        for (size_t i = 0; i < n && !rc; i++)
            rc = bisect_cell(gating, &gating->files[f], names[i], (enum table_format)format, &out, &verdict, err);
    }
    if (!rc && out.bytes)
        fputs(out.bytes, stdout);
    text_free(&out);
    return rc ? rc : exit_status(verdict);
}

/* Mistakes in --write show before the work. */
static int check_writes(const struct cli_args *args, struct err *err)
{
    const struct gate_format *format;
    const char *path;
    int rc = 0;
    for (const char *const *value = cli_texts(args, "write"); *value && !rc; value++)
        rc = find_write(*value, &format, &path, err);
    return rc;
}

static int gate(const struct cli_args *args, struct err *err)
{
    struct gating gating = {.args = args};
    bool bisects = cli_flag(args, "bisect");
    const struct gate_format *format = gate_format_find(cli_text(args, "format"));
    if (!format && !bisects)
        return unknown_format("format", cli_text(args, "format"), err);
    int rc = check_writes(args, err);
    if (!rc)
        rc = load_files(&gating, err);
    if (!rc)
        rc = store_open(&gating.store, args->operands[0], STORE_READ, err);
    if (!rc)
        rc = bisects ? run_bisections(&gating, err) : run_gates(&gating, format, err);
    outcomes_free(&gating.outcomes);
    for (size_t i = 0; i < gating.n_files; i++)
        gate_file_free(&gating.files[i]);
    arena_free(&gating.arena);
    store_close(gating.store);
    return rc;
}

const struct cli_command command_gate = {
    .name = "gate",
    .operands = "STORE GATE.yaml...",
    .least_operands = 2,
    .most_operands = CLI_MOST_OPERANDS,
    .summary = "holds cells against their baselines: pass 0, fail 1, incomplete 3, inconclusive 4",
    .options = options,
    .run = gate,
};
