/* Figure "tasks", after Table 2 of the DynTok paper: a row per task type with its number of questions, in it a dot with its interval for
 * each cell; all questions first. */
#include "plots/plot_impl.h"

#include <math.h>
#include <string.h>

enum { MOST_CELLS = 8, MOST_TASKS = 64, DOT_ROW = 13, TASK_GAP = 12 };

struct dot { double accuracy; struct interval interval; int64_t correct, n; }; /* percent; n 0: none */

struct plan {
    struct cells *cells;
    struct series_set set;
    const char *tasks[MOST_TASKS]; /* tasks[0] is all questions */
    struct dot dots[MOST_TASKS][MOST_CELLS];
    size_t n_tasks;
    bool too_many, no_memory;
    struct panel panel;
    int height;
};

static double cell_id(const struct cell_row *row)
{
    return (double)row->id;
}

/* ---- what there is ------------------------------------------------------------------------------------------------------- */

static size_t find_task(struct plan *plan, const char *name)
{
    for (size_t i = 1; i < plan->n_tasks; i++)
        if (!strcmp(plan->tasks[i], name))
            return i;
    if (plan->n_tasks == MOST_TASKS) {
        plan->too_many = true;
        return 0;
    }
    plan->no_memory |= !(plan->tasks[plan->n_tasks] = arena_strdup(&plan->cells->arena, name));
    return plan->n_tasks++;
}

static int add_group(const struct group_row *row, void *context)
{
    struct plan *plan = context;
    struct interval share = share_interval(row->accuracy, row->accuracy_se, row->n, row->n_videos, 0.95);
    size_t task = find_task(plan, row->name);
    for (size_t i = 0; i < plan->set.n && task; i++)
        if (plan->set.series[i].cells[0]->id == row->cell)
            plan->dots[task][i] = (struct dot){100 * row->accuracy, {100 * share.low, 100 * share.high}, row->n_correct, row->n};
    return plan->too_many || plan->no_memory;
}

static void panel_make(struct plan *plan)
{
    size_t longest = 0;
    for (size_t t = 0; t < plan->n_tasks; t++)
        longest = text_width(plan->tasks[t]) > longest ? text_width(plan->tasks[t]) : longest;
    double low = 100, high = 0, rows = (double)(plan->n_tasks * (plan->set.n * DOT_ROW + TASK_GAP));
    for (size_t t = 0; t < plan->n_tasks; t++)
        for (size_t i = 0; i < plan->set.n; i++)
            if (plan->dots[t][i].n) {
                low = fmin(low, plan->dots[t][i].interval.low);
                high = fmax(high, plan->dots[t][i].interval.high);
            }
    plan->panel = (struct panel){.left = names_left(longest + strlen(" (2700)")), .right = CANVAS_WIDTH - 24, .top = 78,
                                 .bottom = 78 + rows, .x = axis_make(low, high, 10, 0, 100),
                                 .y = {0, (double)plan->n_tasks, 1}};
    plan->height = (int)rows + 156 + legend_make(&plan->set, &plan->panel).rows * LEGEND_ROW;
}

static int plan_make(struct plan *plan, struct store *store, const struct plot_options *options, struct err *err)
{
    if (plan->cells->n > MOST_CELLS)
        return err_set(err, ERR_CONFIG,
                       "%zu cells are too many for the dots of one row, %d are most; choose with --where, such as \"frames = %d AND "
                       "label IN ('none', '%s')\"", plan->cells->n, (int)MOST_CELLS, plan->cells->rows[0].frames,
                           plan->cells->rows[plan->cells->n - 1].label);
    int rc = series_make(&plan->set, plan->cells, SERIES_CELL, cell_id, err);
    plan->tasks[plan->n_tasks++] = "all questions";
    for (size_t i = 0; i < plan->set.n && rc == 0; i++) {
        const struct cell_row *row = plan->set.series[i].cells[0];
        plan->dots[0][i] = (struct dot){100 * row->accuracy, cell_interval(row), row->headline_correct, row->headline_n};
    }
    if (rc == 0)
        rc = store_each_group(store, "task_type", options->where, add_group, plan, err);
    if (rc == 0 && plan->no_memory)
        rc = err_no_memory(err, "the tasks of a plot");
    if (rc == 0 && plan->n_tasks == 1)
        rc = err_set(err, ERR_CONFIG, "nothing to plot: benchmark %s has no task types", plan->cells->rows[0].benchmark);
    if (rc == 0 && plan->too_many)
        rc = err_set(err, ERR_CONFIG, "more than %d task types; choose cells of one benchmark with --where", (int)MOST_TASKS - 1);
    panel_make(plan);
    return rc;
}

/* ---- data and script ----------------------------------------------------------------------------------------------------- */

/* The middle of a cell's dot, rows counted from below. */
static double dot_y(const struct plan *plan, size_t task, size_t cell)
{
    double row = (double)plan->set.n * DOT_ROW + TASK_GAP;
    return (double)(plan->n_tasks - task) - (TASK_GAP / 2.0 + ((double)cell + 0.5) * DOT_ROW) / row;
}

static void data_write(struct text *data, const struct plan *plan)
{
    text_put(data, "# One block per cell, as many as the legend has entries. Accuracy in percent, low and high its 95 % interval; y: the place of "
                   "its dot.\n");
    for (size_t i = 0; i < plan->set.n; i++) {
        text_printf(data, "%s# ", i ? "\n\n" : "");
        text_quote_data(data, plan->set.series[i].title);
        text_put(data, "\n# accuracy low high y correct questions task\n");
        for (size_t t = 0; t < plan->n_tasks; t++) {
            const struct dot *dot = &plan->dots[t][i];
            if (!dot->n)
                continue;
            text_printf(data, "%.4f %.4f %.4f %.4f %lld %lld ", dot->accuracy, dot->interval.low, dot->interval.high, dot_y(plan, t, i),
                        (long long)dot->correct, (long long)dot->n);
            text_quote_data(data, plan->tasks[t]);
            text_put(data, "\n");
        }
    }
}

static int64_t most_questions(const struct plan *plan, size_t task)
{
    int64_t most = 0;
    for (size_t i = 0; i < plan->set.n; i++)
        most = plan->dots[task][i].n > most ? plan->dots[task][i].n : most;
    return most;
}

/* Names of the rows with their questions, and a thin line between them. */
static int rows_write(struct text *script, const struct plan *plan, struct err *err)
{
    text_put(script, "unset grid\nset grid xtics linetype 1 linecolor rgb '#d4d4d4' linewidth 1 dashtype 1\nset ytics scale 0 (");
    for (size_t t = 0; t < plan->n_tasks; t++) {
        const char *name = arena_printf(&plan->cells->arena, "%s (%lld)", plan->tasks[t], (long long)most_questions(plan, t));
        if (!name)
            return err_no_memory(err, "the tasks of a plot");
        text_put(script, t ? ", " : "");
        text_quote_script(script, name);
        text_printf(script, " %.4f", (double)(plan->n_tasks - t) - 0.5);
    }
    text_put(script, ")\n");
    for (size_t t = 1; t < plan->n_tasks; t++)
        text_printf(script, "set arrow from graph 0, first %zu to graph 1, first %zu nohead linecolor rgb '%s' linewidth %s back\n",
                    plan->n_tasks - t, plan->n_tasks - t, t == 1 ? "#444444" : "#d4d4d4", t == 1 ? "1.2" : "1");
    return 0;
}

static int script_write(struct text *script, struct plan *plan, const char *given, struct err *err)
{
    struct legend legend = legend_make(&plan->set, &plan->panel);
    struct notes notes = cells_notes(plan->cells, false);
    const char *title = given ? given : cells_title(plan->cells);
    if (!title || !notes.first || !notes.second)
        return err_no_memory(err, "the title of a plot");
    notes.first = "in brackets: questions; bars are 95 % intervals over videos";
    script_title(script, title, &notes, plan->height);
    script_legend(script, &legend, plan->height);
    script_panel(script, &plan->panel, plan->height);
    script_x_name(script, &plan->panel, plan->height, axis_accuracy_name(&plan->panel.x).text);
    int rc = rows_write(script, plan, err);
    for (size_t i = 0; i < plan->set.n && rc == 0; i++) {
        struct style style = style_of(&plan->set, i);
        text_printf(script, "%sdata index %zu using 1:4:2:3 with xerrorbars linecolor rgb '%s' linewidth 1.3 pointtype %d pointsize 0.8*point title ",
                    i ? ", \\\n  " : "plot ", i, style.colour, style.point);
        text_quote_script(script, plan->set.series[i].title);
    }
    text_put(script, "\n");
    return rc;
}

int figure_tasks(struct store *store, const struct plot_options *options, struct err *err)
{
    struct cells cells = {0};
    struct plan plan = {.cells = &cells};
    struct drawing drawing = {0};
    int rc = cells_collect(&cells, store, options->where, cell_has_replies, "has replies; 'toksweep run SWEEP.yaml' makes some", err);
    if (rc == 0 && (rc = plan_make(&plan, store, options, err)) == 0) {
        drawing.height = plan.height;
        data_write(&drawing.data, &plan);
        rc = script_write(&drawing.script, &plan, options->title, err);
    }
    rc = drawing_finish(&drawing, rc, options->out, err);
    cells_free(&cells);
    return rc;
}
