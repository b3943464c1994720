/* `show`: a store looked at closely from a terminal: which questions cells disagree on, one question with every cell's answer, one cell. */
#include "harness/cli.h"
#include "harness/pairing.h"
#include "harness/table.h"
#include "metrics/interval.h"
#include "results/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"cell", "NAME", NULL, "only this cell, by its label, LABEL@FRAMES or the beginning of its digest; may be repeated", true},
    {"where", "SQL", NULL, "only cells for which this holds over view cell_accuracy", false},
    {"limit", "N", "20", "of questions: at most so many", false},
    {0},
};

enum { NARROWEST = 60, USUAL = 100, WIDEST = 400 };

struct shown {
    struct store *store;
    const struct cli_args *args;
    struct stored_cell *cells; /* [n_cells] those chosen */
    size_t n_cells;
    size_t width;              /* columns to write in */
    struct text out;
    struct err *err;           /* of what is read for a cell */
};

/* ---- a terminal ------------------------------------------------------------------------------------------------------------ */

static size_t terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size = {0};
    long width = columns ? strtol(columns, NULL, 10) : 0;
    if (width <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        width = size.ws_col;
    if (width <= 0)
        return USUAL;
    return width < NARROWEST ? NARROWEST : width > WIDEST ? WIDEST : (size_t)width;
}

/* Words of strangers in lines of at most `width` columns, each but the first behind `indent` blanks; a word that is longer has a line of
 * its own. */
static void put_wrapped(struct text *out, const char *string, size_t indent, size_t width)
{
    struct text plain = {0};
    text_put_shown(&plain, string);
    size_t at = indent;
    for (char *rest = plain.bytes, *word; rest && (word = strtok_r(rest, " ", &rest));) {
        size_t columns = text_columns(word);
        if (at > indent && at + 1 + columns > width) {
            text_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        }
        text_printf(out, "%s%s", at > indent ? " " : "", word);
        at += columns + (at > indent);
    }
    text_put(out, "\n");
    out->failed |= plain.failed;
    text_free(&plain);
}

/* The beginning of a text in at most `width` columns. */
static void put_beginning(struct text *out, const char *string, size_t width)
{
    struct text plain = {0};
    size_t columns = 0, at = 0, length;
    text_put_shown(&plain, string);
    if (text_columns(plain.length ? plain.bytes : "") <= width) {
        text_add(out, plain.bytes ? plain.bytes : "", plain.length);
    } else {
        for (char one[5]; (length = utf8_length(plain.bytes + at, plain.length - at)); at += length) {
            snprintf(one, sizeof one, "%.*s", (int)length, plain.bytes + at);
            if ((columns += text_columns(one)) > width - 1)
                break;
        }
        text_add(out, plain.bytes, at);
        text_put(out, "…");
    }
    out->failed |= plain.failed;
    text_free(&plain);
}

/* ---- choosing -------------------------------------------------------------------------------------------------------------- */

static bool is_chosen(const struct shown *shown, const struct cell_row *row)
{
    const char *const *names = cli_texts(shown->args, "cell");
    bool chosen = !names[0];
    for (int i = 0; names[i]; i++)
        chosen |= store_is_called(names[i], row->label, row->frames, row->digest);
    return chosen;
}

static int add_cell(const struct cell_row *row, void *context)
{
    struct shown *shown = context;
    if (!is_chosen(shown, row))
        return 0;
    struct stored_cell *grown = realloc(shown->cells, (shown->n_cells + 1) * sizeof *grown);
    if (!grown)
        return err_no_memory(shown->err, "a store's cells");
    shown->cells = grown;
    int rc = store_load_cell(&grown[shown->n_cells], shown->store, row->id, shown->err);
    shown->n_cells += rc == 0;
    return rc;
}

static int load_cells(struct shown *shown, struct err *err)
{
    struct err inner = {0};
    shown->err = &inner;
    int rc = store_each_cell(shown->store, cli_text(shown->args, "where"), add_cell, shown, err);
    if (!rc && inner.code) {
        *err = inner;
        rc = inner.code;
    }
    if (!rc && !shown->n_cells)
        rc = err_set(err, ERR_CONFIG, "'%s' holds no such cell; 'toksweep report' lists them, --cell and --where choose",
                     shown->args->operands[0]);
    return rc;
}

static bool same_manifest(const struct stored_cell *a, const struct stored_cell *b)
{
    return !strcmp(a->manifest.benchmark, b->manifest.benchmark) && !strcmp(a->manifest.digest, b->manifest.digest);
}

/* ---- one question ---------------------------------------------------------------------------------------------------------- */

static const char *verdict(const struct stored_answer *stored)
{
    if (stored->answer.status == ANSWER_OK)
        return stored->answer.correct ? "right" : "wrong";
    return answer_status_name(stored->answer.status);
}

/* The reply, or why there is none. */
static const char *words_of(const struct stored_answer *stored)
{
    return stored->answer.raw ? stored->answer.raw : stored->answer.message ? stored->answer.message : "";
}

/* The uncompressed cell that a cell is to be held against; NULL if there is none. */
static const struct stored_cell *baseline_of(const struct shown *shown, const struct stored_cell *cell)
{
    for (size_t c = 0; c < shown->n_cells; c++) {
        const struct stored_cell *other = &shown->cells[c];
        if (other != cell && !strcmp(other->compressor, "none") && other->frames == cell->frames && same_manifest(other, cell) &&
            !strcmp(other->model, cell->model) && !strcmp(other->profile, cell->profile) && !strcmp(other->dtype, cell->dtype))
            return other;
    }
    return NULL;
}

static const char *flip_of(const struct shown *shown, const struct stored_cell *cell, size_t sample)
{
    const struct stored_cell *base = strcmp(cell->compressor, "none") ? baseline_of(shown, cell) : NULL;
    const struct stored_answer *ours = &cell->answers[sample], *theirs = base ? &base->answers[sample] : NULL;
    if (!theirs || !pairing_replied(ours) || !pairing_replied(theirs) || ours->answer.correct == theirs->answer.correct)
        return "";
    return ours->answer.correct ? "gained" : "lost";
}

/* What the other columns leave for the reply. */
static size_t reply_room(const struct shown *shown)
{
    enum { OTHERS = 57, LEAST = 8 };
    size_t label = 0;
    for (size_t c = 0; c < shown->n_cells; c++)
        if (text_columns(shown->cells[c].label) > label)
            label = text_columns(shown->cells[c].label);
    return shown->width > label + OTHERS + LEAST ? shown->width - label - OTHERS : LEAST;
}

static void put_answer_row(struct shown *shown, struct table *table, const struct stored_cell *cell, size_t sample)
{
    const struct stored_answer *stored = &cell->answers[sample];
    const struct cost *cost = &stored->answer.cost;
    struct text reply = {0};
    put_beginning(&reply, words_of(stored), reply_room(shown));
    table_cell(table, "%s", cell->label);
    table_cell(table, "%d", cell->frames);
    table_cell(table, "%s", verdict(stored));
    table_cell(table, "%s", flip_of(shown, cell, sample));
    table_cell(table, stored->answer.extracted < 0 ? "" : "%c", 'A' + stored->answer.extracted);
    table_cell(table, stored->answer.margin == stored->answer.margin ? "%.2f" : "", stored->answer.margin);
    table_cell(table, cost->frames >= 0 && cost->tokens_before > 0 ? "%d" : "", cost->tokens_visual + cost->tokens_marker);
    table_cell(table, "%s", reply.bytes ? reply.bytes : "");
    text_free(&reply);
}

static void put_answers(struct shown *shown, const struct stored_cell *first, size_t sample)
{
    struct table table = {0};
    static const struct { const char *name; bool number; } columns[] = {
        {"cell", false}, {"frames", true}, {"verdict", false}, {"flip", false}, {"letter", false}, {"margin", true}, {"tokens", true},
        {"reply", false},
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(&table, columns[i].name, columns[i].number);
    for (size_t c = 0; c < shown->n_cells; c++)
        if (same_manifest(&shown->cells[c], first) && shown->cells[c].answers[sample].id)
            put_answer_row(shown, &table, &shown->cells[c], sample);
    if (!table_write(&table, TABLE_TERMINAL, &shown->out))
        shown->out.failed = true;
    table_free(&table);
    text_put(&shown->out, "\n");
    put_wrapped(&shown->out, "flip: against the uncompressed cell of as many frames; margin: of the first text id's logit over the "
                             "second's; tokens: visual, markers counted.", 0, shown->width);
}

static void put_question(struct shown *shown, const struct stored_cell *cell, size_t at)
{
    const struct sample *sample = &cell->manifest.samples[at];
    const char *about[] = {sample->id, cell->manifest.videos[sample->video].id, sample->task_type, sample->duration, sample->domain,
                           sample->sub_category};
    struct text line = {0};
    for (size_t i = 0; i < sizeof about / sizeof *about; i++)
        if (about[i])
            text_printf(&line, "%s%s%s", line.length ? " · " : "", i == 1 ? "video " : "", about[i]);
    put_wrapped(&shown->out, line.bytes, 0, shown->width);
    put_wrapped(&shown->out, sample->question, 0, shown->width);
    text_put(&shown->out, "\n");
    for (int i = 0; i < sample->n_options; i++) {
        const char *option = sample->options[i];
        bool lettered = option[0] == 'A' + i && option[1] && strchr(".):", option[1]);
        text_printf(&shown->out, "%s %c  ", i == sample->answer ? "*" : " ", 'A' + i);
        put_wrapped(&shown->out, lettered ? option + 2 : option, 5, shown->width);
    }
    text_put(&shown->out, sample->answer >= 0 ? "* the right option\n\n" : "the manifest does not tell the right option\n\n");
    put_answers(shown, cell, at);
    text_free(&line);
}

/* Shows the question of this id, in each manifest that has it. */
static bool show_question(struct shown *shown, const char *id)
{
    bool found = false;
    for (size_t c = 0; c < shown->n_cells; c++) {
        const struct stored_cell *cell = &shown->cells[c];
        bool seen = false;
        for (size_t other = 0; other < c; other++)
            seen |= same_manifest(&shown->cells[other], cell);
        for (size_t i = 0; i < cell->manifest.n_samples && !seen; i++)
            if (!strcmp(cell->manifest.samples[i].id, id)) {
                text_put(&shown->out, found ? "\n" : "");
                put_question(shown, cell, i);
                found = true;
            }
    }
    return found;
}

/* ---- one cell -------------------------------------------------------------------------------------------------------------- */

static void put_confusion(struct shown *shown, const struct stored_cell *cell)
{
    int counts[SAMPLE_MOST_OPTIONS][SAMPLE_MOST_OPTIONS + 1] = {0}, most = 0;
    for (size_t i = 0; i < cell->manifest.n_samples; i++) {
        const struct sample *sample = &cell->manifest.samples[i];
        int letter = cell->answers[i].answer.extracted;
        most = sample->n_options > most ? sample->n_options : most;
        if (pairing_replied(&cell->answers[i]) && sample->answer >= 0)
            counts[sample->answer][letter < 0 ? SAMPLE_MOST_OPTIONS : letter]++;
    }
    struct table table = {0};
    char names[SAMPLE_MOST_OPTIONS][2] = {0};
    most = most < TABLE_MOST_COLUMNS - 2 ? most : TABLE_MOST_COLUMNS - 2;
    table_column(&table, "right", false);
    for (int i = 0; i < most; i++) {
        names[i][0] = (char)('A' + i);
        table_column(&table, names[i], true);
    }
    table_column(&table, "none", true);
    for (int gold = 0; gold < most; gold++) {
        table_cell(&table, "%c", 'A' + gold);
        for (int i = 0; i < most; i++)
            table_cell(&table, "%d", counts[gold][i]);
        table_cell(&table, "%d", counts[gold][SAMPLE_MOST_OPTIONS]);
    }
    text_put(&shown->out, "\nright option in rows, chosen option in columns:\n\n");
    if (!table_write(&table, TABLE_TERMINAL, &shown->out))
        shown->out.failed = true;
    table_free(&table);
}

static void put_failures(struct shown *shown, const struct stored_cell *cell)
{
    for (size_t i = 0, n = 0; i < cell->manifest.n_samples; i++) {
        const struct stored_answer *stored = &cell->answers[i];
        if (!stored->id || pairing_replied(stored))
            continue;
        text_put(&shown->out, n++ ? "" : "\nfailures:\n");
        struct text line = {0};
        text_printf(&line, "%s: %s: %s", cell->manifest.samples[i].id, verdict(stored), words_of(stored));
        text_put(&shown->out, "  ");
        put_wrapped(&shown->out, line.bytes, 4, shown->width);
        text_free(&line);
    }
}

static void put_share(struct text *out, double share, double se, int64_t n, int64_t n_videos)
{
    struct interval interval = share_interval(share, se, n, n_videos, 0.95);
    if (share == share)
        text_printf(out, "%.1f %%", 100 * share);
    if (share == share && n_videos > 1)
        text_printf(out, ", 95 %% %.1f–%.1f", 100 * interval.low, 100 * interval.high);
}

static int put_facts(const struct cell_row *row, void *context)
{
    struct shown *shown = context;
    struct text line = {0};
    text_put(&shown->out, "accuracy  ");
    put_share(&shown->out, row->accuracy, row->accuracy_se, row->headline_n, row->n_videos);
    long long answered = row->n_answered - row->n_failed;
    text_printf(&shown->out, " over %lld videos\n          %lld right of %lld answered of %lld, %lld failed\n", (long long)row->n_videos,
                (long long)row->n_correct, answered, (long long)row->n_samples, (long long)row->n_failed);
    if (row->tokens_before > 0)
        text_printf(&shown->out, "tokens    %.1f visual of %.1f, %.1f %%\n", row->tokens_visual + row->tokens_marker, row->tokens_before,
                    100 * row->ratio);
    for (int stage = 0; stage < STAGES; stage++)
        if (row->alone_ms[stage] > 0)
            text_printf(&line, "%s%s %.1f", line.length ? ", " : "", stage_name((enum stage)stage), row->alone_ms[stage]);
    if (line.length) {
        text_put(&shown->out, "ms alone  ");
        put_wrapped(&shown->out, line.bytes, 10, shown->width);
    }
    text_free(&line);
    return 0;
}

static int add_group(const struct group_row *row, void *context)
{
    struct table *table = context;
    struct text share = {0};
    put_share(&share, row->accuracy, row->accuracy_se, row->n, row->n_videos);
    table_cell(table, "%s", row->name);
    table_cell(table, "%lld of %lld", (long long)row->n_correct, (long long)row->n);
    table_cell(table, "%s", share.bytes ? share.bytes : "");
    text_free(&share);
    return 0;
}

static int put_groups(struct shown *shown, const char *where, struct err *err)
{
    struct table table = {0};
    table_column(&table, "task", false);
    table_column(&table, "right", true);
    table_column(&table, "accuracy", false);
    int rc = store_each_group(shown->store, "task_type", where, add_group, &table, err);
    text_put(&shown->out, table.n_cells ? "\n" : "");
    if (!rc && table.n_cells && !table_write(&table, TABLE_TERMINAL, &shown->out))
        shown->out.failed = true;
    table_free(&table);
    return rc;
}

/* Name, then value in as many lines as it takes; commas in JSON are where it may break. */
static void put_fact(struct shown *shown, const char *name, const char *value)
{
    struct text spaced = {0};
    for (; *value; value++)
        text_printf(&spaced, *value == ',' && value[1] != ' ' ? "%c " : "%c", *value);
    text_printf(&shown->out, "%-10s", name);
    put_wrapped(&shown->out, spaced.bytes ? spaced.bytes : "", 10, shown->width);
    text_free(&spaced);
}

static int show_cell(struct shown *shown, const struct stored_cell *cell, struct err *err)
{
    char where[64];
    snprintf(where, sizeof where, "id = %lld", (long long)cell->id);
    struct text line = {0};
    text_printf(&line, "%s, %d frames, %s on %s, profile %s, %s %s", cell->label, cell->frames, cell->model, cell->manifest.benchmark,
                cell->profile, cell->runner, cell->dtype);
    put_fact(shown, "cell", line.bytes);
    put_fact(shown, "", cell->digest);
    put_fact(shown, "options", cell->params);
    text_free(&line);
    int rc = store_each_cell(shown->store, where, put_facts, shown, err);
    if (!rc)
        rc = put_groups(shown, where, err);
    if (!rc) {
        put_confusion(shown, cell);
        put_failures(shown, cell);
    }
    return rc;
}

/* ---- many questions -------------------------------------------------------------------------------------------------------- */

struct contest { size_t sample, right, n; };

/* The nearest to half right first; then in the manifest's order. */
static int by_contest(const void *a, const void *b)
{
    const struct contest *p = a, *q = b;
    size_t x = (p->right < p->n - p->right ? p->right : p->n - p->right) * q->n;
    size_t y = (q->right < q->n - q->right ? q->right : q->n - q->right) * p->n;
    return x != y ? (x < y) - (x > y) : (p->sample > q->sample) - (p->sample < q->sample);
}

static size_t count_contests(const struct shown *shown, const struct stored_cell *first, struct contest *contests)
{
    size_t n_split = 0;
    for (size_t i = 0; i < first->manifest.n_samples; i++) {
        contests[i].sample = i;
        for (size_t c = 0; c < shown->n_cells; c++) {
            if (!same_manifest(&shown->cells[c], first) || !pairing_replied(&shown->cells[c].answers[i]))
                continue;
            contests[i].n++;
            contests[i].right += shown->cells[c].answers[i].answer.correct;
        }
        n_split += contests[i].right > 0 && contests[i].right < contests[i].n;
    }
    return n_split;
}

static void put_contests(struct shown *shown, const struct stored_cell *first, const struct contest *contests, size_t n)
{
    struct table table = {0};
    table_column(&table, "question", false);
    table_column(&table, "right", true);
    table_column(&table, "task", false);
    table_column(&table, "asks", false);
    for (size_t i = 0; i < n; i++) {
        const struct sample *sample = &first->manifest.samples[contests[i].sample];
        struct text asks = {0};
        put_beginning(&asks, sample->question, shown->width / 2);
        table_cell(&table, "%s", sample->id);
        table_cell(&table, "%zu of %zu", contests[i].right, contests[i].n);
        table_cell(&table, "%s", sample->task_type ? sample->task_type : "");
        table_cell(&table, "%s", asks.bytes ? asks.bytes : "");
        text_free(&asks);
    }
    if (!table_write(&table, TABLE_TERMINAL, &shown->out))
        shown->out.failed = true;
    table_free(&table);
}

static int show_contests(struct shown *shown, const struct stored_cell *first, size_t limit, struct err *err)
{
    size_t n = first->manifest.n_samples, n_cells = 0;
    struct contest *contests = calloc(n + 1, sizeof *contests);
    if (!contests)
        return err_no_memory(err, "a list of questions");
    for (size_t c = 0; c < shown->n_cells; c++)
        n_cells += same_manifest(&shown->cells[c], first);
    size_t n_split = count_contests(shown, first, contests);
    qsort(contests, n, sizeof *contests, by_contest);
    struct text line = {0};
    text_printf(&line, "%s, %zu questions, %zu cells; %zu that some cells have right and others wrong, the most contested first",
                first->manifest.benchmark, n, n_cells, n_split);
    put_wrapped(&shown->out, line.bytes, 0, shown->width);
    text_put(&shown->out, "\n");
    text_free(&line);
    put_contests(shown, first, contests, n_split < limit ? n_split : limit);
    free(contests);
    return 0;
}

static int show_questions(struct shown *shown, struct err *err)
{
    int64_t limit = 20;
    int rc = cli_integer(shown->args, "limit", 1, INT32_MAX, &limit, err);
    for (size_t c = 0; c < shown->n_cells && !rc; c++) {
        bool seen = false;
        for (size_t other = 0; other < c; other++)
            seen |= same_manifest(&shown->cells[other], &shown->cells[c]);
        if (seen)
            continue;
        text_put(&shown->out, shown->out.length ? "\n" : "");
        rc = show_contests(shown, &shown->cells[c], (size_t)limit, err);
    }
    return rc;
}

/* ---- the command ----------------------------------------------------------------------------------------------------------- */

static int show_what(struct shown *shown, const char *what, struct err *err)
{
    int rc = 0, found = 0;
    if (show_question(shown, what))
        return 0;
    for (size_t c = 0; c < shown->n_cells && !rc; c++)
        if (store_is_called(what, shown->cells[c].label, shown->cells[c].frames, shown->cells[c].digest)) {
            text_put(&shown->out, found++ ? "\n" : "");
            rc = show_cell(shown, &shown->cells[c], err);
        }
    if (!rc && !found) {
        const char *store = shown->args->operands[0];
        rc = err_set(err, ERR_CONFIG, "'%s' has no question and no cell called '%s'; 'toksweep show %s' lists questions, 'toksweep report "
                     "%s' cells", store, what, store, store);
    }
    return rc;
}

static int show(const struct cli_args *args, struct err *err)
{
    struct shown shown = {.args = args, .width = terminal_width()};
    int rc = store_open(&shown.store, args->operands[0], STORE_READ, err);
    if (!rc)
        rc = load_cells(&shown, err);
    if (!rc)
        rc = args->n_operands > 1 ? show_what(&shown, args->operands[1], err) : show_questions(&shown, err);
    if (!rc && shown.out.failed)
        rc = err_no_memory(err, "what a store holds");
    if (!rc && shown.out.bytes)
        fputs(shown.out.bytes, stdout);
    for (size_t c = 0; c < shown.n_cells; c++)
        stored_cell_free(&shown.cells[c]);
    free(shown.cells);
    text_free(&shown.out);
    store_close(shown.store);
    return rc;
}

const struct cli_command command_show = {
    .name = "show",
    .operands = "STORE [WHAT]",
    .least_operands = 1,
    .most_operands = 2,
    .summary = "shows one question with every cell's answer, one cell, or the questions that cells disagree on",
    .options = options,
    .run = show,
};
