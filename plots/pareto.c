/* Figure "pareto": the best accuracy that so many visual tokens buy. The front as steps, its band and each cell's chance of being on it
 * from a bootstrap over videos that all cells share. */
#include "plots/plot_impl.h"

#include "metrics/front.h"
#include "metrics/headline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 2000, LIST_ROW = 18, LIST_COLUMNS = 2, MOST_NAMED = 24 };

struct question { int64_t video; double score; const char *task; };

struct plan {
    struct cells *cells;
    struct front_cell *front;  /* [cells->n], cost in tokens, accuracy in percent */
    double *moved;             /* [cells->n][n_videos], percent */
    int64_t *videos;           /* [n_videos], ascending */
    size_t n_videos;
    double *at;                /* [n_at], ascending: the costs of the cells */
    struct interval *band;
    size_t n_at;
    size_t named[MOST_NAMED];  /* cells with a number beside them, by tokens: on the front, or likely to be */
    size_t n_named;
    struct panel panel;
    int height;
};

static bool wanted(const struct cell_row *row)
{
    return cell_has_replies(row) && !isnan(row->tokens_visual);
}

static int one_set_of_questions(const struct cells *cells, struct err *err)
{
    for (size_t i = 1; i < cells->n; i++)
        if (strcmp(cells->rows[i].benchmark, cells->rows[0].benchmark) != 0 || strcmp(cells->rows[i].model, cells->rows[0].model) != 0)
            return err_set(err, ERR_CONFIG,
                           "a front is of one model on one benchmark, and there are %s on %s and %s on %s; choose with --where, "
                           "such as \"benchmark = '%s'\"", cells->rows[0].model, cells->rows[0].benchmark, cells->rows[i].model,
                           cells->rows[i].benchmark, cells->rows[0].benchmark);
    return 0;
}

/* ---- what each video does to each cell ----------------------------------------------------------------------------------- */

struct reader { struct question *questions; size_t n, most; struct arena *arena; bool no_memory; };

static int add_question(const struct scored_row *row, void *context)
{
    struct reader *reader = context;
    if (!row->counted || reader->n == reader->most)
        return 0;
    reader->questions[reader->n++] = (struct question){row->video, 100.0 * row->correct, arena_strdup(reader->arena, row->task_type)};
    return reader->no_memory = !reader->questions[reader->n - 1].task;
}

/* Task types numbered as they come. */
static size_t number_tasks(const struct reader *reader, size_t *groups)
{
    size_t n_groups = 0;
    for (size_t i = 0; i < reader->n; i++) {
        size_t same = 0;
        while (same < i && strcmp(reader->questions[same].task, reader->questions[i].task) != 0)
            same++;
        groups[i] = same < i ? groups[same] : n_groups++;
    }
    return n_groups;
}

static int make_macro(struct reader *reader, int macro_types, struct err *err)
{
    double *scores = arena_alloc(reader->arena, reader->n, sizeof *scores);
    size_t *groups = arena_alloc(reader->arena, reader->n, sizeof *groups);
    if (!scores || !groups)
        return err_no_memory(err, "a Pareto front");
    for (size_t i = 0; i < reader->n; i++)
        scores[i] = reader->questions[i].score;
    int rc = headline_macro(scores, groups, reader->n, number_tasks(reader, groups), (size_t)macro_types, err);
    for (size_t i = 0; i < reader->n; i++)
        reader->questions[i].score = scores[i];
    return rc;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The videos of all cells' questions, each once. */
static int collect_videos(struct plan *plan, const struct reader *readers, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->cells->n; i++)
        n += readers[i].n;
    if (!(plan->videos = arena_alloc(&plan->cells->arena, n, sizeof *plan->videos)))
        return err_no_memory(err, "a Pareto front");
    n = 0;
    for (size_t i = 0; i < plan->cells->n; i++)
        for (size_t q = 0; q < readers[i].n; q++)
            plan->videos[n++] = readers[i].questions[q].video;
    qsort(plan->videos, n, sizeof *plan->videos, by_id);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || plan->videos[i] != plan->videos[plan->n_videos - 1])
            plan->videos[plan->n_videos++] = plan->videos[i];
    return plan->n_videos > 1 ? 0 : err_set(err, ERR_CONFIG, "one video says nothing of how sure a front is; at least 2 are needed");
}

static void add_moves(const struct plan *plan, const struct reader *reader, double *moved)
{
    double mean = 0;
    for (size_t q = 0; q < reader->n; q++)
        mean += reader->questions[q].score / (double)reader->n;
    for (size_t q = 0; q < reader->n; q++) {
        const int64_t *video = bsearch(&reader->questions[q].video, plan->videos, plan->n_videos, sizeof *video, by_id);
        moved[video - plan->videos] += (reader->questions[q].score - mean) / (double)reader->n;
    }
}

static int read_cells(struct plan *plan, struct store *store, struct err *err)
{
    struct arena *arena = &plan->cells->arena;
    struct reader *readers = arena_alloc(arena, plan->cells->n, sizeof *readers);
    int rc = readers ? 0 : err_no_memory(err, "a Pareto front");
    for (size_t i = 0; i < plan->cells->n && rc == 0; i++) {
        const struct cell_row *row = &plan->cells->rows[i];
        readers[i] = (struct reader){.arena = arena, .most = (size_t)row->headline_n};
        readers[i].questions = arena_alloc(arena, readers[i].most, sizeof *readers[i].questions);
        rc = readers[i].questions ? store_each_scored(store, row->id, add_question, &readers[i], err) : err_no_memory(err,
                "a Pareto front");
        if (rc == 0 && readers[i].no_memory)
            rc = err_no_memory(err, "a Pareto front");
        if (rc == 0 && row->macro)
            rc = make_macro(&readers[i], row->macro_types, err);
    }
    if (rc == 0)
        rc = collect_videos(plan, readers, err);
    if (rc == 0 && !(plan->moved = arena_alloc(arena, plan->cells->n * plan->n_videos, sizeof *plan->moved)))
        rc = err_no_memory(err, "a Pareto front");
    for (size_t i = 0; i < plan->cells->n && rc == 0; i++)
        add_moves(plan, &readers[i], plan->moved + i * plan->n_videos);
    return rc;
}

/* ---- the front ----------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int make_front(struct plan *plan, struct err *err)
{
    struct arena *arena = &plan->cells->arena;
    size_t n = plan->cells->n;
    plan->front = arena_alloc(arena, n, sizeof *plan->front);
    plan->at = arena_alloc(arena, n, sizeof *plan->at);
    plan->band = arena_alloc(arena, n, sizeof *plan->band);
    if (!plan->front || !plan->at || !plan->band)
        return err_no_memory(err, "a Pareto front");
    for (size_t i = 0; i < n; i++) {
        const struct cell_row *row = &plan->cells->rows[i];
        plan->front[i] = (struct front_cell){cell_tokens(row), 100 * row->accuracy, plan->moved + i * plan->n_videos, false, 0};
        plan->at[i] = plan->front[i].cost;
    }
    qsort(plan->at, n, sizeof *plan->at, by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || plan->at[i] > plan->at[plan->n_at - 1])
            plan->at[plan->n_at++] = plan->at[i];
    return front_bootstrap(plan->front, n, plan->n_videos, plan->at, plan->band, plan->n_at, 0.95, DRAWS, 0, err);
}

/* The cells that are named, in the order of their tokens. */
static void choose_named(struct plan *plan)
{
    static const double likely = 0.2;
    for (size_t i = 0; i < plan->n_at; i++)
        for (size_t c = 0; c < plan->cells->n && plan->n_named < MOST_NAMED; c++)
            if (plan->front[c].cost >= plan->at[i] && plan->front[c].cost <= plan->at[i] && (plan->front[c].on_front ||
                                                                                             plan->front[c].chance >= likely))
                plan->named[plan->n_named++] = c;
}

static void panel_make(struct plan *plan)
{
    double low = 100, high = 0, most = 1;
    for (size_t i = 0; i < plan->cells->n; i++) {
        struct interval interval = cell_interval(&plan->cells->rows[i]);
        low = fmin(low, interval.low);
        high = fmax(high, interval.high);
        most = fmax(most, plan->front[i].cost);
    }
    plan->panel = (struct panel){.left = 76, .right = CANVAS_WIDTH - 24, .top = 78, .bottom = 510, .x = axis_make(0, most, 10, 0, INFINITY),
                                 .y = axis_make(low, high, 2, 0, 100)};
    plan->height = 588 + 2 * LEGEND_ROW + ((int)plan->n_named + LIST_COLUMNS - 1) / LIST_COLUMNS * LIST_ROW;
}

/* ---- data and script ----------------------------------------------------------------------------------------------------- */

static void cells_write(struct text *data, const struct plan *plan, bool on_front)
{
    for (size_t i = 0; i < plan->cells->n; i++) {
        const struct cell_row *row = &plan->cells->rows[i];
        struct interval interval = cell_interval(row);
        if (plan->front[i].on_front != on_front)
            continue;
        text_printf(data, "%.4f %.4f %.4f %.4f %.4f %d ", plan->front[i].cost, plan->front[i].accuracy, interval.low, interval.high,
                    plan->front[i].chance, row->frames);
        text_quote_data(data, row->label);
        text_put(data, "\n");
    }
}

static double front_at(const struct plan *plan, double tokens)
{
    double best = 0;
    for (size_t i = 0; i < plan->cells->n; i++)
        if (plan->front[i].cost <= tokens)
            best = fmax(best, plan->front[i].accuracy);
    return best;
}

/* The front as steps: from each of its cells on, up to the next one and to the end of the axis. */
static void front_write(struct text *data, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_at; i++) {
        double best = front_at(plan, plan->at[i]);
        text_printf(data, "%.4f %.4f %.4f %.4f\n", plan->at[i], best, plan->band[i].low, plan->band[i].high);
        double end = i + 1 < plan->n_at ? plan->at[i + 1] : plan->panel.x.high;
        text_printf(data, "%.4f %.4f %.4f %.4f\n", end, best, plan->band[i].low, plan->band[i].high);
    }
}

static void data_write(struct text *data, const struct plan *plan)
{
    text_printf(data, "# Accuracy in percent; tokens: visual tokens per question, markers included; low and high: 95 %%, over videos.\n"
                      "# chance: share of %d resamplings of the videos in which the cell is on the front.\n"
                      "# The front, as steps: the best accuracy for at most so many tokens.\n# tokens accuracy low high\n", (int)DRAWS);
    front_write(data, plan);
    text_put(data, "\n\n# Cells on the front.\n# tokens accuracy low high chance frames label\n");
    cells_write(data, plan, true);
    text_put(data, "\n\n# All others.\n# tokens accuracy low high chance frames label\n");
    cells_write(data, plan, false);
}

/* Points and steps, which numbers should keep off; labels[i] is cell i's. */
static size_t put_obstacles(const struct plan *plan, struct label *labels, struct segment *segments)
{
    size_t n = plan->cells->n;
    for (size_t i = 0; i < n; i++) {
        struct interval interval = cell_interval(&plan->cells->rows[i]);
        labels[i] = (struct label){.x = plan->front[i].cost, .y = plan->front[i].accuracy, .low = interval.low, .high = interval.high,
                                   .text = "",
                                   .ink = plan->front[i].on_front ? style_series(0).ink : "#444444"};
    }
    for (size_t i = 0; i < plan->n_at; i++) {
        double y = front_at(plan, plan->at[i]), ends[] = {plan->at[i], i + 1 < plan->n_at ? plan->at[i + 1] : plan->panel.x.high};
        segments[i] = (struct segment){n, n + 1};
        for (int end = 0; end < 2; end++)
            labels[n++] = (struct label){.x = ends[end], .y = y, .low = y, .high = y, .text = ""};
    }
    return n;
}

/* Takes the first cell off the list that is not on the front and whose number has no place. */
static bool drop_unplaced(struct plan *plan, const struct label *labels)
{
    for (size_t k = 0; k < plan->n_named; k++)
        if (!labels[plan->named[k]].placed && !plan->front[plan->named[k]].on_front) {
            memmove(&plan->named[k], &plan->named[k + 1], (--plan->n_named - k) * sizeof *plan->named);
            return true;
        }
    return false;
}

/* A number beside each named cell. */
static int numbers_write(struct text *script, struct plan *plan, struct err *err)
{
    struct label *labels = arena_alloc(&plan->cells->arena, plan->cells->n + 2 * plan->n_at, sizeof *labels);
    struct segment *segments = arena_alloc(&plan->cells->arena, plan->n_at, sizeof *segments);
    if (!labels || !segments)
        return err_no_memory(err, "the labels of a plot");
    size_t n;
    do {
        n = put_obstacles(plan, labels, segments);
        for (size_t k = 0; k < plan->n_named; k++)
            if (!(labels[plan->named[k]].text = arena_printf(&plan->cells->arena, "%zu", k + 1)))
                return err_no_memory(err, "the labels of a plot");
        labels_place(&plan->panel, labels, n, segments, plan->n_at);
    } while (drop_unplaced(plan, labels));
    script_labels(script, &plan->panel, plan->height, labels, n);
    return 0;
}

/* Below the axis, what the numbers stand for. */
static int list_write(struct text *script, const struct plan *plan, struct err *err)
{
    size_t rows = (plan->n_named + LIST_COLUMNS - 1) / LIST_COLUMNS;
    for (size_t k = 0; k < plan->n_named; k++) {
        const struct cell_row *row = &plan->cells->rows[plan->named[k]];
        const struct front_cell *cell = &plan->front[plan->named[k]];
        const char *line = arena_printf(&plan->cells->arena, "%zu  %s, %d frames: on the front in %.0f %%", k + 1, row->label, row->frames,
                                        100 * cell->chance);
        if (!line)
            return err_no_memory(err, "the labels of a plot");
        script_text(script, line, plan->panel.left + (double)(k / rows) * (CANVAS_WIDTH - plan->panel.left) / LIST_COLUMNS,
                    plan->panel.bottom + 76 + (double)(k % rows) * LIST_ROW, plan->height,
                        cell->on_front ? style_series(0).ink : "#444444");
    }
    return 0;
}

static int script_write(struct text *script, struct plan *plan, const char *given, struct err *err)
{
    struct notes notes = cells_notes(plan->cells, false);
    const char *title = given ? given : cells_title(plan->cells), *blue = style_series(0).colour;
    if (!title || !notes.first || !notes.second)
        return err_no_memory(err, "the title of a plot");
    notes.second = "in percent below: how often a cell is on the front when the videos are drawn again";
    script_title(script, title, &notes, plan->height);
    script_legend(script, &(struct legend){.columns = 2, .rows = 2}, plan->height);
    script_panel(script, &plan->panel, plan->height);
    script_axis_names(script, &plan->panel, plan->height, "visual tokens per question, markers included",
                      axis_accuracy_name(&plan->panel.y).text);
    int rc = numbers_write(script, plan, err);
    if (rc == 0)
        rc = list_write(script, plan, err);
    text_printf(script, "plot data index 0 using 1:3:4 with filledcurves linecolor rgb '%s' fillstyle transparent solid 0.15 noborder title "
                        "'95 %% of the front', \\\n  "
                        "data index 0 using 1:2 with lines linecolor rgb '%s' linewidth 2 title 'front', \\\n  ", blue, blue);
    text_put(script, "data index 2 using 1:2:3:4 with yerrorbars linecolor rgb '#888888' linewidth 1 pointtype 6 pointsize 0.8*point title "
                     "'other cells', \\\n  ");
    text_printf(script, "data index 1 using 1:2:3:4 with yerrorbars linecolor rgb '%s' linewidth 1.5 pointtype 7 pointsize point title "
                        "'cells on the front'\n", blue);
    return rc;
}

int figure_pareto(struct store *store, const struct plot_options *options, struct err *err)
{
    struct cells cells = {0};
    struct plan plan = {.cells = &cells};
    struct drawing drawing = {0};
    int rc = cells_collect(&cells, store, options->where, wanted,
                           "has replies with a count of visual tokens; 'toksweep run SWEEP.yaml' makes some", err);
    if (rc == 0)
        rc = one_set_of_questions(&cells, err);
    if (rc == 0 && (rc = read_cells(&plan, store, err)) == 0 && (rc = make_front(&plan, err)) == 0) {
        choose_named(&plan);
        panel_make(&plan);
        drawing.height = plan.height;
        data_write(&drawing.data, &plan);
        rc = script_write(&drawing.script, &plan, options->title, err);
    }
    rc = drawing_finish(&drawing, rc, options->out, err);
    cells_free(&cells);
    return rc;
}
