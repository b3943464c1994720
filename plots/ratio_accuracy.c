/* Figure "ratio-accuracy": what compression costs. Share of visual tokens kept across, accuracy with its interval upwards, a line per
 * compressor and number of frames, each point named by its parameter. */
#include "plots/plot_impl.h"

#include <math.h>

static const double side_by_side = 1; /* percent of tokens between points at equal x */

static double kept(const struct cell_row *row)
{
    return 100 * row->ratio;
}

static bool wanted(const struct cell_row *row)
{
    return cell_has_replies(row) && !isnan(row->ratio);
}

/* Points whose x are equal stand side by side, so that their bars can be told apart: how far this one moves. */
static double shift_of(const struct series_set *set, const struct series *series, const struct cell_row *row)
{
    size_t before = 0, all = 0;
    bool passed = false;
    for (size_t i = 0; i < set->n; i++)
        for (size_t j = 0; j < set->series[i].n; j++) {
            const struct cell_row *other = set->series[i].cells[j];
            passed |= &set->series[i] == series && other == row;
            if (fabs(kept(other) - kept(row)) < 0.05) {
                all++;
                before += !passed;
            }
        }
    return side_by_side * ((double)before - (double)(all - 1) / 2);
}

static struct style style_of(const struct series_set *set, size_t index)
{
    size_t baselines = 0;
    for (size_t i = 0; i < index; i++)
        baselines += set->series[i].baseline;
    return set->series[index].baseline ? style_baseline(baselines) : style_series(index - baselines);
}

static struct panel panel_make(const struct cells *cells)
{
    double low = 100, high = 0, widest = 100;
    for (size_t i = 0; i < cells->n; i++) {
        const struct cell_row *row = &cells->rows[i];
        struct interval interval = cell_interval(row);
        low = fmin(low, interval.low);
        high = fmax(high, interval.high);
        widest = fmax(widest, kept(row));
    }
    return (struct panel){.left = 76, .right = CANVAS_WIDTH - 24, .top = 78, .bottom = 510,
                          .x = {0, ceil(widest / 5) * 5 + 5, widest > 200 ? 50 : 10}, .y = axis_make(low, high, 2, 0, 100)};
}

static void data_write(struct text *data, const struct series_set *set)
{
    text_put(data, "# One block per series, as many as the legend has entries. Percent.\n"
                   "# kept: visual tokens that entered the language model, of those without compression, markers included.\n"
                   "# shift: added to kept where points at equal x are drawn side by side.\n");
    for (size_t i = 0; i < set->n; i++) {
        const struct series *series = &set->series[i];
        text_printf(data, "%s# ", i ? "\n\n" : "");
        text_quote_data(data, series->title);
        text_put(data, "\n# kept accuracy low high correct replies shift label\n");
        for (size_t j = 0; j < series->n; j++) {
            const struct cell_row *row = series->cells[j];
            struct interval interval = cell_interval(row);
            text_printf(data, "%.4f %.4f %.4f %.4f %lld %lld %g ", kept(row), 100 * row->accuracy, interval.low, interval.high,
                        (long long)row->headline_correct, (long long)row->headline_n,
                        shift_of(set, series, row));
            text_quote_data(data, row->label);
            text_put(data, "\n");
        }
    }
}

static int labels_write(struct text *script, struct cells *cells, const struct panel *panel, int height,
                        const struct series_set *set, struct err *err)
{
    size_t n = 0, n_segments = 0;
    struct label *labels = arena_alloc(&cells->arena, cells->n, sizeof *labels);
    struct segment *segments = arena_alloc(&cells->arena, cells->n, sizeof *segments);
    if (!labels || !segments)
        return err_no_memory(err, "the labels of a plot");
    for (size_t i = 0; i < set->n; i++)
        for (size_t j = 0; j < set->series[i].n; j++) {
            const struct cell_row *row = set->series[i].cells[j];
            const char *text = series_point_label(cells, &set->series[i], row);
            struct interval interval = cell_interval(row);
            if (!text)
                return err_no_memory(err, "the labels of a plot");
            labels[n] = (struct label){.x = kept(row) + shift_of(set, &set->series[i], row), .y = 100 * row->accuracy,
                                       .low = interval.low, .high = interval.high, .text = text, .ink = style_of(set, i).ink};
            if (j > 0)
                segments[n_segments++] = (struct segment){n - 1, n};
            n++;
        }
    labels_place(panel, labels, n, segments, n_segments);
    script_labels(script, panel, height, labels, n);
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

static int draw(struct cells *cells, const struct plot_options *options, struct err *err)
{
    struct series_set set;
    int rc = series_make(&set, cells, false, kept, err);
    if (rc < 0)
        return rc;
    bool moved = false;
    for (size_t i = 0; i < set.n; i++)
        for (size_t j = 0; j < set.series[i].n; j++)
            moved |= shift_of(&set, &set.series[i], set.series[i].cells[j]) != 0;
    struct panel panel = panel_make(cells);
    struct legend legend = legend_make(&set);
    struct notes notes = cells_notes(cells, moved);
    const char *title = options->title ? options->title : cells_title(cells);
    if (!title || !notes.first || !notes.second)
        return err_no_memory(err, "the title of a plot");
    struct drawing drawing = {.height = 588 + legend.rows * LEGEND_ROW};
    data_write(&drawing.data, &set);
    script_title(&drawing.script, title, &notes, drawing.height);
    script_legend(&drawing.script, &legend, drawing.height);
    script_panel(&drawing.script, &panel, drawing.height);
    script_axis_names(&drawing.script, &panel, drawing.height, "visual tokens kept (%, row markers included)",
                      axis_accuracy_name(&panel.y).text);
    rc = labels_write(&drawing.script, cells, &panel, drawing.height, &set, err);
    for (size_t i = 0; i < set.n; i++) {
        text_put(&drawing.script, i ? ", \\\n  " : "plot ");
        series_write(&drawing.script, &set.series[i], i, style_of(&set, i));
    }
    text_put(&drawing.script, "\n");
    return drawing_finish(&drawing, rc, options->out, err);
}

int figure_ratio_accuracy(struct store *store, const struct plot_options *options, struct err *err)
{
    struct cells cells = {0};
    int rc = cells_collect(&cells, store, options->where, wanted,
                           "has replies with a count of visual tokens; 'toksweep run SWEEP.yaml' makes some", err);
    if (rc == 0)
        rc = draw(&cells, options, err);
    cells_free(&cells);
    return rc;
}
