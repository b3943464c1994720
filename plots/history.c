/* Figure "history": accuracy over the revisions of a store, a line for each point of a sweep that has more than one. A revision is what
 * cells differ in that a sweep file cannot tell apart: the bytes of program, model and questions. */
#include "plots/plot_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TICKS = 18 };

struct entry { /* one cell with its place in time */
    const struct cell_row *row;
    const char *point, *revision, *started_at;
    const char *bytes[3]; /* digests of program, model and questions */
    size_t tick;
};

struct timeline {
    struct cells cells;
    struct entry *entries; /* point by point, each from the oldest revision on */
    size_t n;
    const struct entry **ticks; /* the first entry of each revision, in order of time */
    size_t n_ticks;
    struct series_set set;
    size_t *first;         /* [set.n + 1] where each series begins in `entries` */
    struct panel panel;
    int height;
    bool no_memory;
};

/* ---- what is shown ------------------------------------------------------------------------------------------------------- */

static const char *keep(struct timeline *timeline, const char *text)
{
    const char *copy = arena_strdup(&timeline->cells.arena, text);
    timeline->no_memory |= !copy;
    return copy ? copy : "";
}

static int take(const struct history_row *row, void *context)
{
    struct timeline *timeline = context;
    const struct cell_row *found = NULL;
    for (size_t i = 0; i < timeline->cells.n && !found; i++)
        if (timeline->cells.rows[i].id == row->cell)
            found = &timeline->cells.rows[i];
    if (found)
        timeline->entries[timeline->n++] = (struct entry){
            .row = found,
            .point = keep(timeline, row->point),
            .revision = keep(timeline, row->revision),
            .started_at = keep(timeline, row->started_at),
            .bytes = {keep(timeline, row->build_digest), keep(timeline, row->model_digest), keep(timeline, row->manifest_digest)},
        };
    return 0;
}

static size_t end_of_point(const struct timeline *timeline, size_t from)
{
    size_t to = from;
    while (to < timeline->n && !strcmp(timeline->entries[to].point, timeline->entries[from].point))
        to++;
    return to;
}

/* A point with one revision has no history. */
static void drop_lone_points(struct timeline *timeline)
{
    size_t kept = 0;
    for (size_t from = 0, to; from < timeline->n; from = to) {
        to = end_of_point(timeline, from);
        for (size_t i = from; i < to && to - from > 1; i++)
            timeline->entries[kept++] = timeline->entries[i];
    }
    timeline->n = kept;
}

/* Only the cells that are shown are spoken of. */
static void keep_shown_cells(struct timeline *timeline)
{
    struct cell_row *shown = arena_alloc(&timeline->cells.arena, timeline->n, sizeof *shown);
    timeline->no_memory |= !shown;
    for (size_t i = 0; i < timeline->n && shown; i++) {
        shown[i] = *timeline->entries[i].row;
        timeline->entries[i].row = &shown[i];
    }
    timeline->cells.rows = shown ? shown : timeline->cells.rows;
    timeline->cells.n = shown ? timeline->n : timeline->cells.n;
}

static bool same_revision(const struct entry *a, const struct entry *b)
{
    return !strcmp(a->bytes[0], b->bytes[0]) && !strcmp(a->bytes[1], b->bytes[1]) && !strcmp(a->bytes[2], b->bytes[2]);
}

/* Insertion by time; revisions that began together stay in the order of their cells. */
static void add_tick(struct timeline *timeline, const struct entry *entry)
{
    size_t at = timeline->n_ticks;
    for (size_t i = 0; i < timeline->n_ticks; i++)
        if (same_revision(timeline->ticks[i], entry))
            return;
    for (; at > 0 && strcmp(timeline->ticks[at - 1]->started_at, entry->started_at) > 0; at--)
        timeline->ticks[at] = timeline->ticks[at - 1];
    timeline->ticks[at] = entry;
    timeline->n_ticks++;
}

static void place_entries(struct timeline *timeline)
{
    for (size_t i = 0; i < timeline->n; i++)
        add_tick(timeline, &timeline->entries[i]);
    for (size_t i = 0; i < timeline->n; i++)
        while (!same_revision(timeline->ticks[timeline->entries[i].tick], &timeline->entries[i]))
            timeline->entries[i].tick++;
}

/* A series' title says what sets its point apart: label and frames. */
static void make_series(struct timeline *timeline)
{
    for (size_t from = 0; from < timeline->n; from = end_of_point(timeline, from)) {
        const struct cell_row *row = timeline->entries[from].row;
        const char *title = arena_printf(&timeline->cells.arena, "%s@%d", row->label, row->frames);
        timeline->no_memory |= !title;
        timeline->first[timeline->set.n] = from;
        timeline->set.series[timeline->set.n++] = (struct series){.n = end_of_point(timeline, from) - from, .title = title ? title : ""};
    }
    timeline->first[timeline->set.n] = timeline->n;
}

static void make_panel(struct timeline *timeline)
{
    double low = 100, high = 0;
    for (size_t i = 0; i < timeline->n; i++) {
        struct interval interval = cell_interval(timeline->entries[i].row);
        low = fmin(low, interval.low);
        high = fmax(high, interval.high);
    }
    timeline->panel = (struct panel){.left = 76, .right = CANVAS_WIDTH - 24, .top = 78, .bottom = 400,
                                     .x = {0.5, (double)timeline->n_ticks + 0.5, 1}, .y = axis_make(low, high, 2, 0, 100)};
    timeline->height = 560 + legend_make(&timeline->set, &timeline->panel).rows * LEGEND_ROW;
}

static bool wanted(const struct cell_row *row)
{
    return cell_has_replies(row);
}

static int timeline_make(struct timeline *timeline, struct store *store, const char *where, struct err *err)
{
    int rc = cells_collect(&timeline->cells, store, where, wanted, "has replies", err);
    if (rc)
        return rc;
    struct arena *arena = &timeline->cells.arena;
    size_t n = timeline->cells.n;
    timeline->entries = arena_alloc(arena, n, sizeof *timeline->entries);
    timeline->ticks = arena_alloc(arena, n, sizeof *timeline->ticks);
    timeline->set.series = arena_alloc(arena, n, sizeof *timeline->set.series);
    timeline->first = arena_alloc(arena, n + 1, sizeof *timeline->first);
    if (!timeline->entries || !timeline->ticks || !timeline->set.series || !timeline->first)
        return err_no_memory(err, "a history");
    if ((rc = store_each_history(store, where, take, timeline, err)))
        return rc;
    drop_lone_points(timeline);
    if (timeline->n == 0)
        return err_set(err, ERR_CONFIG, "nothing to plot: no cell has two revisions; a history grows when later builds or checkpoints run "
                       "their sweep into the same store, or stores are merged");
    keep_shown_cells(timeline);
    place_entries(timeline);
    make_series(timeline);
    make_panel(timeline);
    return timeline->no_memory ? err_no_memory(err, "a history") : 0;
}

/* ---- data ------------------------------------------------------------------------------------------------------------------ */

static void data_write(struct text *data, const struct timeline *timeline)
{
    text_put(data, "# One block per line of the figure. Percent. program, model and questions: beginnings of digests.\n");
    for (size_t s = 0; s < timeline->set.n; s++) {
        text_printf(data, "%s# ", s ? "\n\n" : "");
        text_quote_data(data, timeline->set.series[s].title);
        text_put(data, "\n# place accuracy low high correct replies date revision program model questions\n");
        for (size_t i = timeline->first[s]; i < timeline->first[s + 1]; i++) {
            const struct entry *entry = &timeline->entries[i];
            struct interval interval = cell_interval(entry->row);
            text_printf(data, "%zu %.4f %.4f %.4f %lld %lld %.10s ", entry->tick + 1, 100 * entry->row->accuracy, interval.low,
                        interval.high, (long long)entry->row->headline_correct, (long long)entry->row->headline_n, entry->started_at);
            text_quote_data(data, *entry->revision ? entry->revision : "unknown");
            text_printf(data, " %.12s %.12s %.12s\n", entry->bytes[0], entry->bytes[1], entry->bytes[2]);
        }
    }
}

/* ---- script ---------------------------------------------------------------------------------------------------------------- */

/* "2026-03-01 0123abc, model": date, source revision or build, and what else is new. */
static const char *tick_label(struct timeline *timeline, size_t at)
{
    const struct entry *tick = timeline->ticks[at], *before = at ? timeline->ticks[at - 1] : tick;
    const char *program = *tick->revision ? tick->revision : tick->bytes[0];
    const char *model = strcmp(tick->bytes[1], before->bytes[1]) ? ", model" : "";
    const char *questions = strcmp(tick->bytes[2], before->bytes[2]) ? ", questions" : "";
    return arena_printf(&timeline->cells.arena, "%.10s %.7s%s%s", tick->started_at, program, model, questions);
}

/* As many names as there is room for, the latest always among them. */
static void ticks_write(struct text *script, struct timeline *timeline)
{
    size_t step = (timeline->n_ticks + MOST_TICKS - 1) / MOST_TICKS;
    const char *comma = "";
    text_put(script, "set xtics rotate by 45 right (");
    for (size_t i = (timeline->n_ticks - 1) % step; i < timeline->n_ticks; i += step) {
        const char *label = tick_label(timeline, i);
        timeline->no_memory |= !label;
        text_put(script, comma);
        text_quote_script(script, label ? label : "");
        text_printf(script, " %zu", i + 1);
        comma = ", ";
    }
    text_put(script, ") font small\n");
}

static double shift_of(const struct timeline *timeline, size_t series)
{
    double n = (double)timeline->set.n;
    return fmin(0.08, 0.6 / n) * ((double)series - (n - 1) / 2);
}

static void line_write(struct text *script, const struct timeline *timeline, size_t at)
{
    struct style style = style_series(at);
    double shift = shift_of(timeline, at);
    text_put(script, at ? ", \\\n  " : "plot ");
    text_printf(script, "data index %zu using ($1+%.10g):2 with lines linecolor rgb '%s' linewidth 1.6 notitle", at, shift, style.colour);
    text_printf(script, ", \\\n  data index %zu using ($1+%.10g):2:3:4 with yerrorbars linecolor rgb '%s' linewidth 1.3 pointtype %d "
                        "pointsize point notitle", at, shift, style.colour, style.point);
    text_printf(script, ", \\\n  keyentry with linespoints linecolor rgb '%s' linewidth 1.6 pointtype %d pointsize point title ",
                style.colour, style.point);
    text_quote_script(script, timeline->set.series[at].title);
}

static int script_write(struct text *script, struct timeline *timeline, const char *given, struct err *err)
{
    const struct panel *panel = &timeline->panel;
    struct legend legend = legend_make(&timeline->set, panel);
    struct notes notes = cells_notes(&timeline->cells, timeline->set.n > 1);
    const char *title = given ? given : cells_title(&timeline->cells);
    if (!title || !notes.first || !notes.second)
        return err_no_memory(err, "the title of a plot");
    script_title(script, title, &notes, timeline->height);
    script_panel(script, panel, timeline->height);
    script_axis_names(script, panel, timeline->height, NULL, axis_accuracy_name(&panel->y).text);
    text_printf(script, "set label 'revisions, in the order of their first answers' at screen 0.5,%.6f center\n",
                1 - (panel->bottom + 132) / timeline->height);
    ticks_write(script, timeline);
    script_legend(script, &legend, timeline->height);
    for (size_t i = 0; i < timeline->set.n; i++)
        line_write(script, timeline, i);
    text_put(script, "\n");
    return timeline->no_memory ? err_no_memory(err, "a plot") : 0;
}

int figure_history(struct store *store, const struct plot_options *options, struct err *err)
{
    struct timeline timeline = {0};
    struct drawing drawing = {0};
    int rc = timeline_make(&timeline, store, options->where, err);
    if (rc == 0) {
        drawing.height = timeline.height;
        data_write(&drawing.data, &timeline);
        rc = script_write(&drawing.script, &timeline, options->title, err);
    }
    rc = drawing_finish(&drawing, rc, options->out, err);
    cells_free(&timeline.cells);
    return rc;
}
