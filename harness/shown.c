/* Shown: rows made as the runner shows tokens, and what is counted about them. */
#include "harness/shown.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- gathering ----------------------------------------------------------------------------------------------------------- */

static struct shown_row *add_row(struct shown *shown, size_t cell, const struct shown_tokens *tokens)
{
    if (shown->n == shown->room) {
        size_t room = shown->room ? 2 * shown->room : 16;
        struct shown_row *grown = realloc(shown->rows, room * sizeof *grown);
        if (!grown) {
            err_no_memory(&shown->err, "the rows of a picture");
            return NULL;
        }
        shown->rows = grown;
        shown->room = room;
    }
    size_t raw = (size_t)(tokens->raw_side * tokens->raw_side);
    struct shown_row *row = &shown->rows[shown->n++];
    *row = (struct shown_row){.cell = cell, .first_layer = -1, .last_layer = -1, .content_before = tokens->content_before,
                              .markers_before = tokens->markers_before, .unpooled = raw * shown->job->cells[cell].n};
    return row;
}

static int keep_measures(struct shown *shown, struct shown_row *row, const struct shown_tokens *tokens)
{
    row->measures = arena_alloc(&shown->arena, (size_t)tokens->n_measures, sizeof *row->measures);
    if (!row->measures)
        return err_no_memory(&shown->err, "the measures of a method");
    memcpy(row->measures, tokens->measures, (size_t)tokens->n_measures * sizeof *row->measures);
    row->n_measures = tokens->n_measures;
    return 0;
}

/* Places of a cell's frames among the job's. */
static size_t *frame_slots(struct shown *shown, size_t cell)
{
    const struct job_cell *shows = &shown->job->cells[cell];
    size_t *slot = arena_alloc(&shown->arena, shows->n, sizeof *slot);
    for (size_t i = 0; slot && i < shows->n; i++)
        while (shown->job->frames.index[slot[i]] != shows->index[i])
            slot[i]++;
    return slot;
}

static bool same_groups(const struct token_groups *a, const struct token_groups *b)
{
    size_t cells = (size_t)a->T * (size_t)a->h * (size_t)a->w;
    bool same = a->n == b->n && a->markers == b->markers && !memcmp(a->owner, b->owner, cells * sizeof *a->owner);
    for (size_t i = 0; i < a->n && same; i++)
        same = a->group[i].size == b->group[i].size;
    return same;
}

/* Layers whose caches differ, but not in what is seen of them, are one row. */
static void join_layers(struct shown *shown)
{
    struct shown_row *row = &shown->rows[shown->n - 1], *before = row - 1;
    if (same_groups(&row->groups, &before->groups)) {
        before->last_layer = row->last_layer;
        shown->n--;
    }
}

int shown_add(void *context, size_t cell, size_t sample, const struct shown_tokens *tokens)
{
    struct shown *shown = context;
    const struct tok_plan *plan = tokens->plan;
    int side = plan->dom == DOM_H_POOLED ? tokens->pooled_side : tokens->raw_side;
    struct token_groups entered;
    size_t *slot = frame_slots(shown, cell);
    (void)sample;
    int rc = slot ? token_groups_make(&entered, plan, side, side, &shown->arena, &shown->err) : err_no_memory(&shown->err, "a picture");
    bool changes = tokens->n_layers > 1 || (tokens->n_layers && tokens->layers[0].tok != plan->tok);
    for (int i = 0; i < (changes ? tokens->n_layers : 1) && !rc; i++) {
        const struct shown_layers *layers = changes ? &tokens->layers[i] : NULL;
        struct shown_row *row = add_row(shown, cell, tokens);
        if (!row)
            return 1;
        row->groups = entered;
        if (layers) {
            row->first_layer = layers->first;
            row->last_layer = layers->last;
            rc = token_groups_follow(&row->groups, &entered, plan, layers->tok, layers->n, layers->became, &shown->arena, &shown->err);
        }
        if (!rc)
            rc = token_groups_colour(&row->groups, &shown->job->frames, slot, &shown->arena, &shown->err);
        if (!rc && !i)
            rc = keep_measures(shown, row, tokens);
        if (!rc && i)
            join_layers(shown);
    }
    return rc;
}

int shown_fail(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct shown *shown = context;
    (void)sample;
    const char *why = answer->message ? answer->message : answer_status_name(answer->status);
    if (answer->status != ANSWER_OK && !shown->err.code)
        err_set(&shown->err, ERR_DATA, "%s: %s", shown->job->cells[cell].run->cell.label, why);
    return shown->err.code;
}

static int by_cell(const void *a, const void *b)
{
    const struct shown_row *p = a, *q = b;
    if (p->cell != q->cell)
        return p->cell < q->cell ? -1 : 1;
    return (p->first_layer > q->first_layer) - (p->first_layer < q->first_layer);
}

void shown_finish(struct shown *shown)
{
    qsort(shown->rows, shown->n, sizeof *shown->rows, by_cell);
}

void shown_free(struct shown *shown)
{
    free(shown->rows);
    arena_free(&shown->arena);
}

/* ---- words --------------------------------------------------------------------------------------------------------------- */

const char *shown_label(struct shown *shown, const struct shown_row *row)
{
    const struct job *job = shown->job;
    const struct run_cell *run = job->cells[row->cell].run;
    bool frames_differ = false;
    for (size_t c = 0; c < job->n_cells; c++)
        frames_differ |= job->cells[c].n != job->cells[0].n;
    struct text text = {0};
    text_put(&text, run->cell.label);
    if (frames_differ)
        text_printf(&text, ", %zu frames", job->cells[row->cell].n);
    if (row->first_layer >= 0 && row->first_layer == row->last_layer)
        text_printf(&text, ", layer %d", row->first_layer);
    else if (row->first_layer >= 0)
        text_printf(&text, ", layers %d to %d", row->first_layer, row->last_layer);
    const char *label = text.failed ? NULL : arena_strdup(&shown->arena, text.bytes);
    text_free(&text);
    return label;
}

/* ---- counts -------------------------------------------------------------------------------------------------------------- */

enum { BINS = 12 }; /* of sizes: 1, 2, 3-4, 5-8, ... and all above */

struct tally {
    size_t in, out, content_in, content_out, unpooled;
    size_t single, merged, largest, dropped; /* tokens, tokens, sources, sources */
    size_t bin[BINS];
};

static int bin_of(uint32_t size)
{
    int bin = 0;
    while (bin + 1 < BINS && size > (uint32_t)1 << bin)
        bin++;
    return bin;
}

static void name_bin(int bin, char *out, size_t room)
{
    unsigned most = 1u << bin, least = bin ? most / 2 + 1 : 1;
    if (bin + 1 == BINS)
        snprintf(out, room, "%u and more", least);
    else if (least == most)
        snprintf(out, room, "%u", most);
    else
        snprintf(out, room, "%u-%u", least, most);
}

static struct tally tally_row(const struct shown_row *row)
{
    const struct token_groups *groups = &row->groups;
    struct tally tally = {.in = row->content_before + row->markers_before, .out = groups->n + groups->markers,
                          .content_in = row->content_before, .content_out = groups->n, .unpooled = row->unpooled};
    for (size_t i = 0; i < groups->n; i++) {
        uint32_t size = groups->group[i].size;
        tally.bin[bin_of(size)]++;
        tally.single += size == 1;
        tally.merged += size > 1;
        tally.largest = size > tally.largest ? size : tally.largest;
    }
    for (size_t i = 0; i < (size_t)groups->T * (size_t)groups->h * (size_t)groups->w; i++)
        tally.dropped += groups->owner[i] == OWNER_NONE;
    return tally;
}

static double percent(size_t part, size_t whole)
{
    return whole ? 100 * (double)part / (double)whole : NAN;
}

/* ---- for people ---------------------------------------------------------------------------------------------------------- */

static void put_sizes(const struct tally *tally, struct text *out)
{
    char name[32];
    const char *separator = "  sizes       ";
    for (int bin = 0; bin < BINS; bin++)
        if (tally->bin[bin]) {
            name_bin(bin, name, sizeof name);
            text_printf(out, "%s%zu of %s", separator, tally->bin[bin], name);
            separator = ", ";
        }
    text_put(out, "\n");
}

static void put_frames(const struct token_groups *groups, struct text *out)
{
    enum { A_LINE = 16 };
    for (int t = 0; t < groups->T; t++)
        text_printf(out, "%s%5zu", t % A_LINE ? "" : t ? "\n             " : "  per frame  ", token_groups_in_frame(groups, t));
    text_put(out, "\n");
}

static void put_block(const char *label, const struct shown_row *row, struct text *out)
{
    struct tally tally = tally_row(row);
    text_printf(out, "%s\n  tokens      %zu of %zu, %.1f %%, markers included\n", label, tally.out, tally.in, percent(tally.out, tally.in));
    text_printf(out, "  content     %zu of %zu, %.1f %%; of %zu unpooled %.2f %%\n", tally.content_out, tally.content_in,
                percent(tally.content_out, tally.content_in), tally.unpooled, percent(tally.content_out, tally.unpooled));
    put_frames(&row->groups, out);
    put_sizes(&tally, out);
    text_printf(out, "  sources     %zu of %d x %d x %d dropped, at most %zu in a token\n", tally.dropped, row->groups.T, row->groups.h,
                row->groups.w, tally.largest);
    for (int i = 0; i < row->n_measures; i++)
        text_printf(out, "  %-36s %.6g\n", row->measures[i].name, row->measures[i].value);
}

/* ---- for programs -------------------------------------------------------------------------------------------------------- */

static void add_value(struct table *table, const char *label, const char *what, const char *of, double value)
{
    table_cell(table, "%s", label);
    table_cell(table, "%s", what);
    table_cell(table, "%s", of);
    table_cell(table, "%.10g", value);
}

static void fill_row(struct table *table, const char *label, const struct shown_row *row)
{
    struct tally tally = tally_row(row);
    const struct { const char *what, *of; size_t value; } counts[] = {
        {"tokens", "in", tally.in}, {"tokens", "out", tally.out}, {"content", "in", tally.content_in},
        {"content", "out", tally.content_out}, {"unpooled", "in", tally.unpooled},
        {"sources", "dropped", tally.dropped}, {"sources", "largest token", tally.largest}};
    const struct { const char *of; double value; } ratios[] = {
        {"with markers", percent(tally.out, tally.in)}, {"content", percent(tally.content_out, tally.content_in)},
        {"content of unpooled", percent(tally.content_out, tally.unpooled)}};
    char name[32];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        add_value(table, label, counts[i].what, counts[i].of, (double)counts[i].value);
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++)
        add_value(table, label, "ratio", ratios[i].of, ratios[i].value / 100);
    for (int t = 0; t < row->groups.T; t++) {
        snprintf(name, sizeof name, "%d", t + 1);
        add_value(table, label, "frame", name, (double)token_groups_in_frame(&row->groups, t));
    }
    for (int bin = 0; bin < BINS; bin++)
        if (tally.bin[bin]) {
            name_bin(bin, name, sizeof name);
            add_value(table, label, "size", name, (double)tally.bin[bin]);
        }
    for (int i = 0; i < row->n_measures; i++)
        add_value(table, label, "measure", row->measures[i].name, row->measures[i].value);
}

static bool count_table(struct shown *shown, enum table_format format, struct text *out)
{
    struct table table = {0};
    bool good = true;
    table_column(&table, "method", false);
    table_column(&table, "what", false);
    table_column(&table, "of", false);
    table_column(&table, "value", true);
    for (size_t i = 0; i < shown->n && good; i++) {
        const char *label = shown_label(shown, &shown->rows[i]);
        if ((good = label))
            fill_row(&table, label, &shown->rows[i]);
    }
    good = good && table_write(&table, format, out);
    table_free(&table);
    return good;
}

bool shown_count(struct shown *shown, enum table_format format, struct text *out)
{
    if (format != TABLE_TERMINAL)
        return count_table(shown, format, out);
    for (size_t i = 0; i < shown->n; i++) {
        const char *label = shown_label(shown, &shown->rows[i]);
        if (!label)
            return false;
        put_block(label, &shown->rows[i], out);
    }
    return !out->failed;
}
