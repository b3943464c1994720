/* A chart: accuracy with its interval upwards, something else across, a line per series. What figures that differ in no more share. */
#include "plots/plot_impl.h"

#include <math.h>
#include <stdlib.h>

struct plan { /* what the parts of the drawing agree on */
    const struct chart *chart;
    const struct plot_options *options;
    struct cells *cells;
    struct series_set set;
    struct panel panel;
    double apart; /* in x, between points at equal x */
    bool moved, published;
    int height;
};

/* Points whose x are equal stand side by side, so that their bars can be told apart: how far this one moves. */
static double shift_of(const struct plan *plan, const struct series *series, const struct cell_row *row)
{
    size_t before = 0, all = 0;
    bool passed = false;
    for (size_t i = 0; i < plan->set.n; i++)
        for (size_t j = 0; j < plan->set.series[i].n; j++) {
            const struct cell_row *other = plan->set.series[i].cells[j];
            passed |= &plan->set.series[i] == series && other == row;
            if (fabs(plan->chart->x(other) - plan->chart->x(row)) < plan->apart / 20) {
                all++;
                before += !passed;
            }
        }
    return plan->apart * ((double)before - (double)(all - 1) / 2);
}

static int plan_make(struct plan *plan, struct err *err)
{
    const struct chart *chart = plan->chart;
    double low = 100, high = 0;
    int rc = series_make(&plan->set, plan->cells, chart->by, chart->x, err);
    for (size_t i = 0; i < plan->cells->n; i++) {
        struct interval interval = cell_interval(&plan->cells->rows[i]);
        low = fmin(low, interval.low);
        high = fmax(high, interval.high);
        const struct plot_reference *published = reference_of(plan->options, &plan->cells->rows[i]);
        if (published) { /* fmin and fmax pass over NaN */
            low = fmin(low, published->accuracy);
            high = fmax(high, published->accuracy);
        }
    }
    plan->panel = (struct panel){.left = 76, .right = CANVAS_WIDTH - 24, .top = 78, .bottom = 510, .x = chart->axis(plan->cells),
                                 .y = axis_make(low, high, 2, 0, 100)};
    plan->apart = chart->apart * (plan->panel.x.high - plan->panel.x.low);
    for (size_t i = 0; i < plan->set.n && rc == 0; i++)
        for (size_t j = 0; j < plan->set.series[i].n; j++)
            plan->moved |= shift_of(plan, &plan->set.series[i], plan->set.series[i].cells[j]) != 0;
    plan->published = references_any(plan->options, plan->cells);
    plan->height = 588 + (legend_make(&plan->set, &plan->panel).rows + plan->published) * LEGEND_ROW;
    return rc;
}

static void data_write(struct text *data, const struct plan *plan)
{
    const struct chart *chart = plan->chart;
    text_printf(data, "# One block per series, as many as the legend has entries. Accuracy in percent, low and high its 95 %% interval.\n"
                      "# %s\n# shift: added to %s where points at equal x are drawn side by side.\n", chart->about, chart->column);
    for (size_t i = 0; i < plan->set.n; i++) {
        const struct series *series = &plan->set.series[i];
        text_printf(data, "%s# ", i ? "\n\n" : "");
        text_quote_data(data, series->title);
        text_printf(data, "\n# %s accuracy low high correct replies shift label\n", chart->column);
        for (size_t j = 0; j < series->n; j++) {
            const struct cell_row *row = series->cells[j];
            struct interval interval = cell_interval(row);
            text_printf(data, "%.4f %.4f %.4f %.4f %lld %lld %.6g ", chart->x(row), 100 * row->accuracy, interval.low, interval.high,
                        (long long)row->headline_correct, (long long)row->headline_n, shift_of(plan, series, row));
            text_quote_data(data, row->label);
            text_put(data, "\n");
        }
    }
}

/* One more block, of what is published of the cells shown. */
static void published_write(struct text *data, const struct plan *plan)
{
    text_printf(data, "\n\n# \"published\"\n# %s accuracy label\n", plan->chart->column);
    for (size_t i = 0; i < plan->cells->n; i++) {
        const struct cell_row *row = &plan->cells->rows[i];
        const struct plot_reference *published = reference_of(plan->options, row);
        double x = published && plan->chart->published_x ? plan->chart->published_x(published) : (double)NAN;
        if (!published || isnan(published->accuracy))
            continue;
        text_printf(data, "%.4f %.4f ", isnan(x) ? plan->chart->x(row) : x, published->accuracy);
        text_quote_data(data, row->label);
        text_put(data, "\n");
    }
}

static int labels_write(struct text *script, const struct plan *plan, struct err *err)
{
    size_t n = 0, n_segments = 0;
    struct label *labels = arena_alloc(&plan->cells->arena, plan->cells->n, sizeof *labels);
    struct segment *segments = arena_alloc(&plan->cells->arena, plan->cells->n, sizeof *segments);
    if (!labels || !segments)
        return err_no_memory(err, "the labels of a plot");
    for (size_t i = 0; i < plan->set.n; i++)
        for (size_t j = 0; j < plan->set.series[i].n; j++) {
            const struct series *series = &plan->set.series[i];
            const struct cell_row *row = series->cells[j];
            const char *text = plan->chart->label(plan->cells, series, row);
            struct interval interval = cell_interval(row);
            if (!text)
                return err_no_memory(err, "the labels of a plot");
            labels[n] = (struct label){.x = plan->chart->x(row) + shift_of(plan, series, row), .y = 100 * row->accuracy,
                                       .low = interval.low, .high = interval.high, .text = text, .ink = style_of(&plan->set, i).ink};
            if (j > 0)
                segments[n_segments++] = (struct segment){n - 1, n};
            n++;
        }
    labels_place(&plan->panel, labels, n, segments, n_segments);
    script_labels(script, &plan->panel, plan->height, labels, n);
    return 0;
}

/* A line with its points and bars, and the legend's entry for both; a single point has no line. */
static void series_write(struct text *script, const struct series *series, size_t index, struct style style)
{
    if (series->n > 1)
        text_printf(script, "data index %zu using ($1+$7):2 with lines linecolor rgb '%s' linewidth 1.6 dashtype %d notitle, \\\n  ", index,
                    style.colour, style.dash);
    text_printf(script, "data index %zu using ($1+$7):2:3:4 with yerrorbars linecolor rgb '%s' linewidth 1.3 pointtype %d pointsize point "
                "notitle, \\\n  ", index, style.colour, style.point);
    text_printf(script, "keyentry with %s linecolor rgb '%s' linewidth 1.6 dashtype %d pointtype %d pointsize point title ",
                series->n > 1 ? "linespoints" : "points", style.colour, series->n > 1 ? style.dash : 1, style.point);
    text_quote_script(script, series->title);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Marks just the values that there are, if these are few. */
static void tics_write(struct text *script, const struct plan *plan)
{
    enum { MOST = 12 };
    size_t n = 0;
    double values[MOST];
    for (size_t i = 0; i < plan->cells->n; i++) {
        double x = plan->chart->x(&plan->cells->rows[i]);
        size_t same = 0;
        while (same < n && fabs(values[same] - x) > 1e-9)
            same++;
        if (same == MOST)
            return;
        values[same] = x;
        n += same == n;
    }
    qsort(values, n, sizeof *values, by_value);
    text_put(script, "set xtics (");
    for (size_t i = 0; i < n; i++)
        text_printf(script, "%s%.10g", i ? ", " : "", values[i]);
    text_put(script, ")\n");
}

static int draw(struct plan *plan, const struct plot_options *options, struct err *err)
{
    struct legend legend = legend_make(&plan->set, &plan->panel);
    struct notes notes = cells_notes(plan->cells, plan->moved);
    const char *title = options->title ? options->title : cells_title(plan->cells);
    if (!title || !notes.first || !notes.second)
        return err_no_memory(err, "the title of a plot");
    struct drawing drawing = {.height = plan->height};
    data_write(&drawing.data, plan);
    if (plan->published)
        published_write(&drawing.data, plan);
    script_title(&drawing.script, title, &notes, plan->height);
    script_legend(&drawing.script, &legend, plan->height);
    script_panel(&drawing.script, &plan->panel, plan->height);
    if (plan->chart->tics_at_points)
        tics_write(&drawing.script, plan);
    script_axis_names(&drawing.script, &plan->panel, plan->height, plan->chart->x_name, axis_accuracy_name(&plan->panel.y).text);
    int rc = labels_write(&drawing.script, plan, err);
    for (size_t i = 0; i < plan->set.n; i++) {
        text_put(&drawing.script, i ? ", \\\n  " : "plot ");
        series_write(&drawing.script, &plan->set.series[i], i, style_of(&plan->set, i));
    }
    if (plan->published)
        text_printf(&drawing.script, ", \\\n  data index %zu using 1:2 with points %s title 'published'", plan->set.n, style_published);
    text_put(&drawing.script, "\n");
    return drawing_finish(&drawing, rc, options->out, err);
}

int chart_draw(const struct chart *chart, struct store *store, const struct plot_options *options, struct err *err)
{
    struct cells cells = {0};
    struct plan plan = {.chart = chart, .options = options, .cells = &cells};
    int rc = cells_collect(&cells, store, options->where, chart->wanted, chart->lacking, err);
    if (rc == 0 && (rc = plan_make(&plan, err)) == 0)
        rc = draw(&plan, options, err);
    cells_free(&cells);
    return rc;
}
