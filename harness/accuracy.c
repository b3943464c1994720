/* The accuracy table. Percentages on a terminal and in documents, plain shares of one in CSV and JSON. */
#include "harness/accuracy.h"

#include "datasets/manifest.h"
#include "harness/guesses.h"
#include "metrics/interval.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may tell cells apart beside benchmark, frames and compressor: columns of those of it that are not the same in all rows. */
static const struct { const char *name; size_t at; } traits[] = {
    {"model", offsetof(struct cell_row, model)},       {"profile", offsetof(struct cell_row, profile)},
    {"dtype", offsetof(struct cell_row, dtype)},       {"sampling", offsetof(struct cell_row, sampling)},
    {"pooling", offsetof(struct cell_row, pooling)},   {"newline", offsetof(struct cell_row, newline)},
};
enum { N_TRAITS = sizeof traits / sizeof *traits };

struct cell_traits {
    int64_t cell;
    char *of[N_TRAITS];
};

struct rows {
    struct table table;
    struct cell_traits *cells; /* in the order of their rows */
    size_t n_cells;
    bool varies[N_TRAITS];
    struct store *store;
    struct err *err; /* of what is read for a row */
    bool plain;    /* numbers for machines */
    bool averages; /* shows micro and macro */
    bool guesses;  /* shows what drawn letters make of it */
    bool controls; /* shows the tokens that controls were to have */
    bool guides;   /* shows what guides cost */
    size_t n;
    int64_t failed;
};

static void share_cell(struct rows *rows, double share)
{
    if (isnan(share))
        table_cell(&rows->table, "%s", "");
    else if (rows->plain)
        table_cell(&rows->table, "%.6f", share);
    else
        table_cell(&rows->table, "%.1f", 100 * share);
}

/* Nothing is said where one video, or none, has answers. */
static void interval_cells(struct rows *rows, double accuracy, double se, int64_t n, int64_t n_videos)
{
    struct interval interval = share_interval(accuracy, se, n, n_videos, 0.95);
    if (rows->plain) {
        share_cell(rows, n_videos > 1 ? interval.low : NAN);
        share_cell(rows, n_videos > 1 ? interval.high : NAN);
    } else if (n_videos > 1) {
        table_cell(&rows->table, "%.1f–%.1f", 100 * interval.low, 100 * interval.high);
    } else {
        table_cell(&rows->table, "%s", "");
    }
}

/* A model is named by the end of its path or Hub id, but for programs. */
static const char *trait_of(const struct rows *rows, const struct cell_row *row, int i)
{
    const char *value = *(const char *const *)((const char *)row + traits[i].at);
    const char *slash = value && i == 0 && !rows->plain ? strrchr(value, '/') : NULL;
    return slash && slash[1] ? slash + 1 : value ? value : "";
}

static bool remember_traits(struct rows *rows, const struct cell_row *row)
{
    struct cell_traits *cells = realloc(rows->cells, (rows->n_cells + 1) * sizeof *cells);
    if (!cells)
        return false;
    rows->cells = cells;
    cells[rows->n_cells] = (struct cell_traits){.cell = row->id};
    for (int i = 0; i < N_TRAITS; i++) {
        if (!(cells[rows->n_cells].of[i] = strdup(trait_of(rows, row, i))))
            rows->table.failed = true;
        else
            rows->varies[i] |= rows->n_cells && strcmp(cells[0].of[i], cells[rows->n_cells].of[i]) != 0;
    }
    rows->n_cells++;
    return true;
}

static void forget_traits(struct rows *rows)
{
    for (size_t c = 0; c < rows->n_cells; c++)
        for (int i = 0; i < N_TRAITS; i++)
            free(rows->cells[c].of[i]);
    free(rows->cells);
}

static void trait_columns(struct rows *rows)
{
    for (int i = 0; i < N_TRAITS; i++)
        if (rows->varies[i])
            table_column(&rows->table, traits[i].name, false);
}

static void trait_cells(struct rows *rows, int64_t cell)
{
    size_t c = 0;
    while (c < rows->n_cells && rows->cells[c].cell != cell)
        c++;
    for (int i = 0; i < N_TRAITS; i++)
        if (rows->varies[i])
            table_cell(&rows->table, "%s", c < rows->n_cells ? rows->cells[c].of[i] : "");
}

/* What else the table has to show is told by its rows. */
static int look_at_row(const struct cell_row *row, void *context)
{
    struct rows *rows = context;
    const struct benchmark *benchmark = benchmark_find(row->benchmark);
    if (!remember_traits(rows, row))
        rows->table.failed = true;
    rows->averages |= row->macro || (benchmark && benchmark->two_averages);
    rows->guesses |= row->guesses;
    rows->controls |= !isnan(row->tokens_match);
    rows->guides |= row->tokens_guide > 0;
    return 0;
}

/* The score with letters drawn where a reply has none, and how many have none. */
static int guess_cells(struct rows *rows, const struct cell_row *row)
{
    struct guesses guesses = {0};
    int rc = row->guesses ? guesses_of_cell(&guesses, rows->store, row->id, NULL, NULL, rows->err) : 0;
    bool any = row->guesses && row->headline_n;
    share_cell(rows, any ? (double)(row->headline_correct + guesses.seeded) / (double)row->headline_n : NAN);
    share_cell(rows, row->accuracy_expected);
    table_cell(&rows->table, "%lld", (long long)row->n_no_answer);
    return rc;
}

static double sum_ms(const double *ms)
{
    double sum = 0;
    for (int i = 0; i < STAGES; i++)
        sum += isnan(ms[i]) ? 0 : ms[i];
    return sum;
}

static void tenths_cell(struct rows *rows, double number)
{
    if (isnan(number))
        table_cell(&rows->table, "%s", "");
    else
        table_cell(&rows->table, "%.1f", number);
}

/* Rows that the guide's language model runs through, and the guide's part of the time alone; blank without a guide. */
static void guide_cells(struct rows *rows, const struct cell_row *row)
{
    bool any = row->tokens_guide > 0;
    tenths_cell(rows, any ? row->tokens_guide : NAN);
    tenths_cell(rows, any ? row->alone_ms[STAGE_GUIDE] : NAN);
}

static int add_cell_row(const struct cell_row *row, void *context)
{
    struct rows *rows = context;
    struct table *table = &rows->table;
    int64_t scored = row->n_answered - row->n_failed;
    table_cell(table, "%s", row->benchmark);
    trait_cells(rows, row->id);
    table_cell(table, "%d", row->frames);
    table_cell(table, "%s", row->label);
    share_cell(rows, row->accuracy);
    if (rows->averages) {
        share_cell(rows, row->accuracy_micro);
        share_cell(rows, row->accuracy_macro);
    }
    if (rows->guesses && guess_cells(rows, row))
        return 1;
    interval_cells(rows, row->accuracy, row->accuracy_se, row->headline_n, row->n_videos);
    if (rows->plain) {
        table_cell(table, "%lld", (long long)row->n_correct);
        table_cell(table, "%lld", (long long)scored);
        table_cell(table, "%lld", (long long)row->n_samples);
        table_cell(table, "%lld", (long long)row->n_failed);
    } else {
        table_cell(table, "%lld/%lld/%lld", (long long)row->n_correct, (long long)scored, (long long)row->n_samples);
        table_cell(table, "%lld", (long long)row->n_failed);
    }
    tenths_cell(rows, row->tokens_visual + row->tokens_marker);
    share_cell(rows, row->ratio);
    share_cell(rows, row->ratio_content);
    if (rows->controls) {
        tenths_cell(rows, row->tokens_match);
        share_cell(rows, row->match_off);
    }
    tenths_cell(rows, sum_ms(row->alone_ms));
    tenths_cell(rows, sum_ms(row->paid_ms));
    if (rows->guides)
        guide_cells(rows, row);
    rows->n++;
    rows->failed += row->n_failed;
    return 0;
}

static void average_columns(const struct rows *rows, struct table *table)
{
    table_column(table, rows->plain ? "accuracy" : "acc %", true);
    if (rows->averages) {
        table_column(table, rows->plain ? "accuracy_micro" : "micro %", true);
        table_column(table, rows->plain ? "accuracy_macro" : "macro %", true);
    }
    if (rows->guesses) {
        table_column(table, rows->plain ? "accuracy_seeded" : "seeded %", true);
        table_column(table, rows->plain ? "accuracy_expected" : "expected %", true);
        table_column(table, rows->plain ? "no_letter" : "no letter", true);
    }
}

static void cell_columns(struct rows *rows)
{
    struct table *table = &rows->table;
    static const char *const counts[] = {"low", "high", "correct", "answered", "samples", "failed", NULL};
    static const char *const shown[] = {"95 %", "right/answered/all", "failed", NULL};
    table_column(table, "benchmark", false);
    trait_columns(rows);
    table_column(table, "frames", true);
    table_column(table, "compressor", false);
    average_columns(rows, table);
    for (const char *const *name = rows->plain ? counts : shown; *name; name++)
        table_column(table, *name, true);
    table_column(table, "tokens", true);
    table_column(table, rows->plain ? "ratio" : "kept %", true);
    table_column(table, rows->plain ? "ratio_content" : "content %", true);
    if (rows->controls) {
        table_column(table, rows->plain ? "tokens_match" : "to match", true);
        table_column(table, rows->plain ? "match_off" : "off %", true);
    }
    table_column(table, "alone ms", true);
    table_column(table, "paid ms", true);
    if (rows->guides) {
        table_column(table, rows->plain ? "tokens_guide" : "guide rows", true);
        table_column(table, rows->plain ? "guide_alone_ms" : "guide ms", true);
    }
}

/* What the columns count. */
static void put_legend(const struct rows *rows, struct text *out)
{
    text_put(out, "\ntokens: mean visual tokens per question, markers counted; kept: their share of the tokens without compression;\n"
                  "content: the same without markers; alone and paid: time per question by itself, and what sharing left of it;\n"
                  "95 %: interval of acc, Wilson's over videos, as questions on one video are not independent.\n");
    if (rows->controls)
        text_put(out, "to match: mean tokens of the cell that a control matches; off: sum of the distances to them, question by question,\n"
                      "over their sum.\n");
    if (rows->guides)
        text_put(out, "guide: rows that a guide's language model ran through for the budgets of frames, and the guide's part of alone.\n");
    if (rows->averages)
        text_put(out, "micro: mean over questions; macro: mean over task types; acc is the one that the profile makes its headline.\n");
    if (rows->guesses)
        text_put(out, "no letter: replies in which none was found; acc counts them as wrong, seeded with the letters that lmms-eval draws\n"
                      "for them, expected with what its draws make of them on average.\n");
}

int accuracy_table(struct store *store, const char *where, enum table_format format, struct text *out, size_t *n_rows, struct err *err)
{
    bool plain = format == TABLE_CSV || format == TABLE_JSON;
    struct err inner = {0};
    struct rows rows = {.store = store, .err = &inner, .plain = plain, .averages = plain, .guesses = plain,
                        .controls = plain, .guides = plain};
    int rc = store_each_cell(store, where, look_at_row, &rows, err);
    cell_columns(&rows);
    if (!rc)
        rc = store_each_cell(store, where, add_cell_row, &rows, err);
    if (!rc && inner.code) {
        *err = inner;
        rc = inner.code;
    }
    if (!rc && !table_write(&rows.table, format, out))
        rc = err_no_memory(err, "a table");
    if (!rc && format == TABLE_TERMINAL && rows.n)
        put_legend(&rows, out);
    *n_rows = rows.n;
    forget_traits(&rows);
    table_free(&rows.table);
    return rc;
}

static int add_group_row(const struct group_row *row, void *context)
{
    struct rows *rows = context;
    table_cell(&rows->table, "%s", row->benchmark);
    trait_cells(rows, row->cell);
    table_cell(&rows->table, "%d", row->frames);
    table_cell(&rows->table, "%s", row->label);
    table_cell(&rows->table, "%s", row->name);
    share_cell(rows, row->accuracy);
    interval_cells(rows, row->accuracy, row->accuracy_se, row->n, row->n_videos);
    table_cell(&rows->table, "%lld", (long long)row->n);
    rows->n++;
    return 0;
}

int group_table(struct store *store, const char *kind, const char *where, enum table_format format, struct text *out, size_t *n_rows,
                struct err *err)
{
    struct rows rows = {.plain = format == TABLE_CSV || format == TABLE_JSON};
    char name[64];
    snprintf(name, sizeof name, "%s", kind);
    for (char *p = name; (p = strchr(p, '_'));)
        *p = ' ';
    int rc = store_each_cell(store, where, look_at_row, &rows, err);
    table_column(&rows.table, "benchmark", false);
    trait_columns(&rows);
    table_column(&rows.table, "frames", true);
    table_column(&rows.table, "compressor", false);
    table_column(&rows.table, name, false);
    table_column(&rows.table, rows.plain ? "accuracy" : "acc %", true);
    if (rows.plain)
        table_column(&rows.table, "low", true);
    table_column(&rows.table, rows.plain ? "high" : "95 %", true);
    table_column(&rows.table, "n", true);
    if (!rc)
        rc = store_each_group(store, kind, where, add_group_row, &rows, err);
    if (!rc && !table_write(&rows.table, format, out))
        rc = err_no_memory(err, "a table");
    *n_rows = rows.n;
    forget_traits(&rows);
    table_free(&rows.table);
    return rc;
}
