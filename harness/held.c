/* Published numbers against ours: cells are found, measured and compared; then shown. */
#include "harness/held.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells --------------------------------------------------------------------------------------------------------------- */

struct found_cell {
    struct cell_row row;    /* its texts are in the arena */
    const char *sweep;
    struct scores scores;
    bool loaded;
};

struct finder {
    struct held *held;
    struct store *store;
    const struct held_sweep *sweeps;
    size_t n_sweeps;
    struct found_cell *cells;
    size_t n, capacity;
    const struct held_sweep *sweep; /* whose cells are being found */
    bool no_memory;
};

static int add_cell(const struct cell_row *row, void *context)
{
    struct finder *finder = context;
    if (finder->n == finder->capacity) {
        size_t capacity = finder->capacity ? 2 * finder->capacity : 32;
        struct found_cell *grown = realloc(finder->cells, capacity * sizeof *grown);
        if (!grown)
            return finder->no_memory = true;
        finder->cells = grown;
        finder->capacity = capacity;
    }
    struct found_cell *cell = &finder->cells[finder->n++];
    *cell = (struct found_cell){.row = *row, .sweep = finder->sweep->name};
    cell->row.benchmark = arena_strdup(&finder->held->arena, row->benchmark);
    cell->row.label = arena_strdup(&finder->held->arena, row->label);
    return finder->no_memory = !cell->row.benchmark || !cell->row.label;
}

static int find_cells(struct finder *finder, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < finder->n_sweeps && !rc; i++) {
        finder->sweep = &finder->sweeps[i];
        if (finder->sweep->where && finder->store)
            rc = store_each_cell(finder->store, finder->sweep->where, add_cell, finder, err);
        if (!rc && finder->no_memory)
            rc = err_no_memory(err, "the cells of a paper");
    }
    return rc;
}

static void finder_free(struct finder *finder)
{
    for (size_t i = 0; i < finder->n; i++)
        scores_free(&finder->cells[i].scores);
    free(finder->cells);
}

/* The cell for a number, or with `base` what that changes from: the last in the store that has replies. NULL if there is none. */
static struct found_cell *find_cell(struct finder *finder, const struct paper_row *row, const struct paper_column *column, bool base)
{
    struct found_cell *found = NULL;
    for (size_t i = 0; i < finder->n; i++) {
        struct found_cell *cell = &finder->cells[i];
        bool wanted = (!row->sweep || !strcmp(row->sweep, cell->sweep)) &&
                      paper_wants(row, column, base, cell->row.benchmark, cell->row.frames, cell->row.label);
        if (wanted && (!found || cell->row.headline_n))
            found = cell;
    }
    return found;
}

static int load_scores(struct finder *finder, struct found_cell *cell, struct err *err)
{
    if (cell->loaded)
        return 0;
    cell->loaded = true;
    return scores_load(&cell->scores, finder->store, &cell->row, err);
}

static bool lists(const char *const *names, const char *name)
{
    while (names && *names && strcmp(*names, name))
        names++;
    return names && *names;
}

/* Why a number has no cell: its benchmark is not here, or a sweep that it could be in was not run. */
static const char *why_missing(const struct finder *finder, const struct paper_row *row, const struct paper_column *column)
{
    const char *failure = NULL;
    for (size_t i = 0; i < finder->n_sweeps; i++) {
        const struct held_sweep *sweep = &finder->sweeps[i];
        if (row->sweep && strcmp(row->sweep, sweep->name))
            continue;
        if (lists(sweep->missing, column->benchmark))
            return arena_printf(&finder->held->arena, "%s is not here", column->benchmark);
        failure = sweep->failure ? sweep->failure : failure;
    }
    return failure ? failure : "the store has no such cell";
}

/* ---- comparing ----------------------------------------------------------------------------------------------------------- */

static const struct paper_erratum *erratum_of(const struct paper_result *result, const struct paper_row *row, size_t column)
{
    for (size_t i = 0; i < result->n_errata; i++)
        if (result->errata[i].row == row && result->errata[i].column == column)
            return &result->errata[i];
    return NULL;
}

/* Half a unit of the last digit: of one number, or of the difference of two. Zeros at the end of a number of tokens are taken for rounding. */
static double open_digits(const struct held_number *number)
{
    double unit = 1;
    if (number->column->quantity != QUANTITY_TOKENS)
        unit = pow(10, -paper_decimals(number->published));
    else
        while (fmod(number->published, 10 * unit) == 0 && unit < number->published)
            unit *= 10;
    return isnan(number->published_change) ? unit / 2 : unit;
}

static void judge(struct held_number *number, const struct estimate *estimate, double margin)
{
    bool change = !isnan(number->published_change);
    double theirs = change ? number->published_change : number->published;
    if (number->column->quantity == QUANTITY_TOKENS)
        margin *= number->published / 100;
    number->difference = estimate->value - theirs;
    number->interval = (struct interval){estimate->interval.low - theirs, estimate->interval.high - theirs};
    number->n = estimate->n;
    number->videos = estimate->videos;
    number->verdict = verdict_of(number->interval, open_digits(number), margin, (int64_t)estimate->n, &number->needed);
}

/* Whether the number is compared as a change. */
static bool is_change(const struct paper_row *row, const struct paper_column *column, size_t at)
{
    return row->against && column->quantity == QUANTITY_ACCURACY && !isnan(row->against->values[at]);
}

/* Fills in our side, or why there is none. */
static int measure_number(struct finder *finder, struct held_number *number, double margin, struct err *err)
{
    const struct paper_row *row = number->row;
    struct found_cell *cell = find_cell(finder, row, number->column, false), *base = NULL;
    struct estimate alone, change;
    bool changes = !isnan(number->published_change);
    if (changes)
        base = find_cell(finder, row, number->column, true);
    number->not_run = row->not_run ? row->not_run : !cell || (changes && !base) ? why_missing(finder, row, number->column) : NULL;
    if (number->not_run)
        return 0;
    int rc = load_scores(finder, cell, err);
    if (!rc && base)
        rc = load_scores(finder, base, err);
    if (!rc)
        rc = measure_cell(&cell->scores, NULL, number->column->task, number->column->quantity, &alone, err);
    if (!rc && base)
        rc = measure_cell(&cell->scores, &base->scores, number->column->task, number->column->quantity, &change, err);
    if (rc)
        return rc;
    if (!alone.n || (base && !change.n)) {
        number->not_run = "no replies to such questions";
        return 0;
    }
    number->cell = cell->row.id;
    number->ours = alone.value;
    number->ours_change = base ? change.value : (double)NAN;
    judge(number, base ? &change : &alone, margin);
    return 0;
}

static int compare(struct finder *finder, double margin, struct err *err)
{
    struct held *held = finder->held;
    const struct paper_result *result = held->result;
    int rc = 0;
    for (size_t r = 0; r < result->n_rows && !rc; r++)
        for (size_t c = 0; c < result->n_columns && !rc; c++) {
            const struct paper_row *row = &result->rows[r];
            const struct paper_column *column = &result->columns[c];
            if (isnan(row->values[c]))
                continue;
            struct held_number *number = &held->numbers[held->n++];
            const struct paper_erratum *erratum = erratum_of(result, row, c);
            *number = (struct held_number){.row = row, .column = column, .erratum = erratum, .ours = (double)NAN, .ours_change = (double)NAN,
                                           .published = erratum ? erratum->value : row->values[c], .published_change = (double)NAN,
                                           .difference = (double)NAN};
            if (is_change(row, column, c))
                number->published_change = number->published - row->against->values[c];
            rc = measure_number(finder, number, margin, err);
            held->changes |= !isnan(number->published_change);
            held->measured |= !number->not_run;
        }
    return rc;
}

int held_make(struct held *out, const struct paper_result *result, struct store *store, const struct held_sweep *sweeps, size_t n_sweeps,
              double margin, struct err *err)
{
    *out = (struct held){.result = result};
    struct finder finder = {.held = out, .store = store, .sweeps = sweeps, .n_sweeps = n_sweeps};
    out->numbers = arena_alloc(&out->arena, result->n_rows * result->n_columns, sizeof *out->numbers);
    int rc = out->numbers ? find_cells(&finder, err) : err_no_memory(err, "a paper");
    if (!rc)
        rc = compare(&finder, margin, err);
    finder_free(&finder);
    if (rc)
        held_free(out);
    return rc;
}

void held_free(struct held *held)
{
    arena_free(&held->arena);
    *held = (struct held){0};
}

/* ---- the table ----------------------------------------------------------------------------------------------------------- */

static int erratum_number(const struct held *held, const struct paper_erratum *erratum)
{
    return erratum ? (int)(erratum - held->result->errata) + 1 : 0;
}

static const char *verdict_text(const struct held_number *number, struct text *out)
{
    double by = fabs(number->difference);
    bool tokens = number->column->quantity == QUANTITY_TOKENS;
    text_free(out);
    if (number->not_run)
        text_printf(out, "not run: %s", number->not_run);
    else if (number->verdict == VERDICT_WITHIN_NOISE)
        text_put(out, "within noise");
    else if (number->verdict != VERDICT_CANNOT_TELL)
        text_printf(out, tokens ? "%s by %.0f" : "%s by %.1f", number->verdict == VERDICT_LOWER ? "lower" : "higher", by);
    else if (number->needed)
        text_printf(out, "cannot tell: would need %lld questions", (long long)number->needed);
    else
        text_put(out, "cannot tell: one video says nothing about noise");
    return out->failed ? "" : out->bytes;
}

/* "68.3 = 95/139", or only the questions where the printed number is right. */
static void put_whole(const struct held_number *number, struct table *table)
{
    int64_t correct, n = number->column->questions;
    int decimals = paper_decimals(number->published);
    enum whole whole = n ? whole_questions(number->published, decimals, n, &correct) : WHOLE_ANY;
    if (whole == WHOLE_IMPOSSIBLE)
        table_cell(table, "none of %lld", (long long)n);
    else if (whole == WHOLE_ROUNDED_WRONGLY)
        table_cell(table, "%lld/%lld = %.*f", (long long)correct, (long long)n, decimals, whole_printed(correct, n, decimals));
    else
        table_cell(table, whole == WHOLE_ANY ? "" : "%lld/%lld", (long long)correct, (long long)n);
}

static void put_value(struct table *table, double value, enum quantity quantity, bool sign, int decimals)
{
    if (isnan(value))
        table_cell(table, "%s", "");
    else if (quantity == QUANTITY_TOKENS)
        table_cell(table, sign ? "%+.0f" : "%.0f", value);
    else
        table_cell(table, sign ? "%+.*f" : "%.*f", decimals, fabs(value) < 0.5 * pow(10, -decimals) ? 0 : value); /* no -0.0 */
}

static void put_published(const struct held *held, const struct held_number *number, struct table *table)
{
    const struct paper_column *column = number->column;
    double printed = number->row->values[column - held->result->columns];
    int decimals = paper_decimals(printed);
    if (number->erratum)
        table_cell(table, "%.*f [%d]", decimals, printed, erratum_number(held, number->erratum));
    else
        put_value(table, printed, column->quantity, false, decimals);
}

static void put_interval(const struct held_number *number, struct table *table)
{
    if (number->not_run || isinf(number->interval.low))
        table_cell(table, "%s", "");
    else
        table_cell(table, number->column->quantity == QUANTITY_TOKENS ? "%+.0f to %+.0f" : "%+.1f to %+.1f", number->interval.low,
                   number->interval.high);
}

/* For a reader: changes beside the numbers, an interval in one column. */
static void tabulate_shown(const struct held *held, struct table *table)
{
    const struct { const char *name; bool number, wanted; } columns[] = {
        {"row", false, true}, {"of", false, true}, {"published", true, true}, {"ours", true, true}, {"change", true, held->changes},
        {"our change", true, held->changes}, {"difference", true, true}, {"95 %", true, true}, {"n", true, true},
        {"as questions", true, held->result->whole_questions}, {"verdict", false, true}};
    struct text verdict = {0};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (columns[i].wanted)
            table_column(table, columns[i].name, columns[i].number);
    for (size_t i = 0; i < held->n; i++) {
        const struct held_number *number = &held->numbers[i];
        enum quantity quantity = number->column->quantity;
        table_cell(table, "%s", number->row->name);
        table_cell(table, "%s", number->column->name);
        put_published(held, number, table);
        put_value(table, number->ours, quantity, false, 1);
        if (held->changes) {
            put_value(table, number->published_change, quantity, true, 1);
            put_value(table, number->ours_change, quantity, true, 1);
        }
        put_value(table, number->difference, quantity, true, 1);
        put_interval(number, table);
        table_cell(table, number->not_run ? "" : "%zu", number->n);
        if (held->result->whole_questions)
            put_whole(number, table);
        table_cell(table, "%s", verdict_text(number, &verdict));
    }
    text_free(&verdict);
}

/* For machines: every number by itself. */
static void tabulate_plain(const struct held *held, struct table *table)
{
    static const char *const names[] = {"published", "corrected", "ours", "published_change", "ours_change", "difference", "low", "high",
                                        "questions", "videos", "questions_needed"};
    struct text verdict = {0};
    table_column(table, "row", false);
    table_column(table, "of", false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        table_column(table, names[i], true);
    table_column(table, "as_questions", false);
    table_column(table, "verdict", false);
    for (size_t i = 0; i < held->n; i++) {
        const struct held_number *number = &held->numbers[i];
        bool bounded = !number->not_run && isfinite(number->interval.low);
        const double values[] = {number->row->values[number->column - held->result->columns],
                                 number->erratum ? number->erratum->value : (double)NAN, number->ours, number->published_change,
                                 number->ours_change, number->difference, bounded ? number->interval.low : (double)NAN,
                                 bounded ? number->interval.high : (double)NAN, number->not_run ? (double)NAN : (double)number->n,
                                 number->not_run ? (double)NAN : (double)number->videos,
                                     number->needed ? (double)number->needed : (double)NAN};
        table_cell(table, "%s", number->row->name);
        table_cell(table, "%s", number->column->name);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            table_cell(table, isnan(values[k]) ? "" : "%.6g", values[k]);
        if (held->result->whole_questions)
            put_whole(number, table);
        else
            table_cell(table, "%s", "");
        table_cell(table, "%s", verdict_text(number, &verdict));
    }
    text_free(&verdict);
}

void held_tabulate(const struct held *held, bool plain, struct table *table)
{
    if (plain)
        tabulate_plain(held, table);
    else
        tabulate_shown(held, table);
}

/* ---- notes --------------------------------------------------------------------------------------------------------------- */

/* What a published row is made of, if it is made of whole questions. */
struct made { int64_t correct, questions; size_t exact, wrong, impossible; };

static struct made made_of(const struct paper_result *result, const struct paper_row *row)
{
    struct made made = {0};
    for (size_t c = 1; c < result->n_columns; c++) {
        int64_t correct, n = result->columns[c].questions;
        if (!n || isnan(row->values[c]))
            continue;
        enum whole whole = whole_questions(row->values[c], paper_decimals(row->values[c]), n, &correct);
        made.exact += whole == WHOLE_EXACT;
        made.wrong += whole == WHOLE_ROUNDED_WRONGLY;
        made.impossible += whole == WHOLE_IMPOSSIBLE;
        made.correct += correct;
        made.questions += n;
    }
    return made;
}

static void put_rounding(const struct paper_result *result, const struct paper_row *row, struct text *out)
{
    for (size_t c = 1; c < result->n_columns; c++) {
        int64_t correct, n = result->columns[c].questions;
        int decimals = paper_decimals(row->values[c]);
        if (n && !isnan(row->values[c]) && whole_questions(row->values[c], decimals, n, &correct) == WHOLE_ROUNDED_WRONGLY)
            text_printf(out, "; %s %.*f should be %.*f = %lld of %lld", result->columns[c].name, decimals, row->values[c], decimals,
                        whole_printed(correct, n, decimals), (long long)correct, (long long)n);
    }
}

static void put_made(const struct paper_result *result, const struct paper_row *row, const struct made *first, const char *lead,
                     struct text *out)
{
    struct made made = made_of(result, row);
    int decimals = paper_decimals(row->values[0]);
    double whole = whole_printed(made.correct, made.questions, decimals);
    int64_t more = made.correct - first->correct, most = whole_most_changed(more, 0.05);
    text_printf(out, "%s%s: ", lead, row->name);
    if (made.impossible)
        text_printf(out, "cannot be built from whole questions: %zu numbers are no share of theirs", made.impossible);
    else
        text_printf(out, "built from whole questions: %lld of %lld right, %.*f %%, %s", (long long)made.correct, (long long)made.questions,
                    decimals + 1, 100 * (double)made.correct / (double)made.questions,
                    fabs(whole - row->values[0]) < 1e-6 ? "as printed" : "not as printed");
    put_rounding(result, row, out);
    if (more && !made.impossible && most)
        text_printf(out, "; %+lld questions against %s, significant at 5 %% (exact McNemar) only if at most %lld answers changed",
                    (long long)more,
                    result->rows[0].name, (long long)most);
    text_put(out, "\n");
}

void held_put_notes(const struct held *held, const char *lead, struct text *out)
{
    const struct paper_result *result = held->result;
    for (size_t i = 0; i < result->n_errata; i++) {
        const struct paper_erratum *erratum = &result->errata[i];
        text_printf(out, "%s[%zu] %s, %s: should be %.*f. %s\n", lead, i + 1, erratum->row->name, result->columns[erratum->column].name,
                    paper_decimals(erratum->value), erratum->value, erratum->note);
    }
    struct made first = result->whole_questions && result->n_rows ? made_of(result, &result->rows[0]) : (struct made){0};
    for (size_t r = 0; r < result->n_rows && first.questions; r++)
        put_made(result, &result->rows[r], &first, lead, out);
    for (const char *const *note = result->notes; *note; note++)
        text_printf(out, "%s%s\n", lead, *note);
}
