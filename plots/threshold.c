/* Figure "threshold", after Figure 3 of the DynTok paper: the merging threshold across; above, the share of visual tokens that is kept;
 * below, accuracy with its interval and the uncompressed model as a dashed line. One line per compressor and number of frames. */
#include "plots/plot_impl.h"

#include <math.h>
#include <string.h>

static double threshold_of(const struct cell_row *row)
{
    return row->threshold;
}

static bool is_baseline(const struct cell_row *row)
{
    return strcmp(row->compressor, "none") == 0;
}

static bool wanted(const struct cell_row *row)
{
    return cell_has_replies(row) && (is_baseline(row) || (!isnan(row->threshold) && !isnan(row->ratio)));
}

struct plan { /* what the parts of the drawing agree on */
    const struct plot_options *options;
    bool published;             /* something is, of these cells */
    struct series_set set;
    size_t n_lines;             /* series that are not baselines */
    struct panel kept, accuracy;
    double apart;               /* in x, between series at equal thresholds */
    int height;
};

/* ---- geometry -------------------------------------------------------------------------------------------------------------- */

/* The least distance between different thresholds; 0 when all are equal. */
static double least_spacing(const struct cells *cells)
{
    double least = INFINITY;
    for (size_t i = 0; i < cells->n; i++)
        for (size_t j = 0; j < cells->n; j++) {
            double distance = cells->rows[i].threshold - cells->rows[j].threshold;
            if (distance > 1e-9 && distance < least) /* never true for a baseline's NaN */
                least = distance;
        }
    return isinf(least) ? 0 : least;
}

/* Moves the series' points apart where all are at the same thresholds, by little against the distance between thresholds. */
static double shift_of(const struct plan *plan, size_t line)
{
    return plan->apart * ((double)line - (double)(plan->n_lines - 1) / 2);
}

static void panels_make(struct plan *plan, const struct cells *cells)
{
    double least = INFINITY, most = -INFINITY, low = 100, high = 0, widest = 100;
    for (size_t i = 0; i < cells->n; i++) {
        const struct cell_row *row = &cells->rows[i];
        least = fmin(least, row->threshold); /* fmin and fmax pass over NaN */
        most = fmax(most, row->threshold);
        struct interval interval = cell_interval(row);
        low = fmin(low, interval.low);
        high = fmax(high, interval.high);
        const struct plot_reference *published = reference_of(plan->options, row);
        if (published) {
            low = fmin(low, published->accuracy);
            high = fmax(high, published->accuracy);
        }
        if (!is_baseline(row))
            widest = fmax(widest, 100 * row->ratio);
    }
    struct axis x = axis_make(least, most, 0.1, -INFINITY, INFINITY);
    plan->kept = (struct panel){.left = 76, .right = CANVAS_WIDTH - 24, .top = 78, .bottom = 248, .x = x,
                                .y = {0, ceil(widest / 20) * 20, widest > 200 ? 50 : 20}};
    plan->accuracy = (struct panel){.left = 76, .right = CANVAS_WIDTH - 24, .top = 272, .bottom = 550, .x = x,
                                    .y = axis_make(low, high, 2, 0, 100)};
}

static int plan_make(struct plan *plan, struct cells *cells, struct err *err)
{
    int rc = series_make(&plan->set, cells, SERIES_VARIANT, threshold_of, err);
    if (rc < 0)
        return rc;
    plan->n_lines = 0;
    for (size_t i = 0; i < plan->set.n; i++)
        plan->n_lines += !plan->set.series[i].baseline;
    if (plan->n_lines == 0)
        return err_set(err, ERR_CONFIG, "nothing to plot: only cells without compression have replies; sweep a threshold as well, such as "
                       "'{ name: dyntok, threshold: [0.4, 0.5, 0.6] }'");
    plan->apart = plan->n_lines > 1 ? least_spacing(cells) * fmin(0.12, 0.6 / (double)plan->n_lines) : 0;
    panels_make(plan, cells);
    plan->published = references_any(plan->options, cells);
    plan->height = 628 + (legend_make(&plan->set, &plan->accuracy).rows + plan->published) * LEGEND_ROW;
    return 0;
}

/* ---- data ------------------------------------------------------------------------------------------------------------------ */

static void data_write(struct text *data, const struct series_set *set)
{
    text_put(data, "# One block per series, as many as the legend has entries. Percent, but for the threshold.\n"
                   "# kept: visual tokens that entered the language model, of those without compression, markers included.\n");
    for (size_t i = 0; i < set->n; i++) {
        const struct series *series = &set->series[i];
        text_printf(data, "%s# ", i ? "\n\n" : "");
        text_quote_data(data, series->title);
        text_put(data, "\n# threshold kept accuracy low high correct replies label\n");
        for (size_t j = 0; j < series->n; j++) {
            const struct cell_row *row = series->cells[j];
            struct interval interval = cell_interval(row);
            if (series->baseline)
                text_put(data, "NaN");
            else
                text_printf(data, "%.10g", row->threshold);
            text_printf(data, " %.4f %.4f %.4f %.4f %lld %lld ", 100 * row->ratio, 100 * row->accuracy, interval.low, interval.high,
                        (long long)row->headline_correct, (long long)row->headline_n);
            text_quote_data(data, row->label);
            text_put(data, "\n");
        }
    }
}

/* One more block, of what is published of the cells shown. */
static void published_write(struct text *data, const struct plan *plan, const struct cells *cells)
{
    text_put(data, "\n\n# \"published\"\n# threshold kept accuracy label\n");
    for (size_t i = 0; i < cells->n; i++) {
        const struct plot_reference *published = reference_of(plan->options, &cells->rows[i]);
        if (!published || is_baseline(&cells->rows[i]))
            continue;
        text_printf(data, "%.10g %.4f %.4f ", cells->rows[i].threshold, published->kept, published->accuracy);
        text_quote_data(data, cells->rows[i].label);
        text_put(data, "\n");
    }
}

/* ---- script ---------------------------------------------------------------------------------------------------------------- */

/* A baseline has the colour of the series it is the baseline of. */
static const char *baseline_colour(const struct series_set *set, const struct series *baseline)
{
    size_t line = 0;
    for (size_t i = 0; i < set->n; i++)
        if (!set->series[i].baseline) {
            if (series_same_setting(&set->series[i], baseline))
                return style_series(line).colour;
            line++;
        }
    return style_baseline(0).colour;
}

/* One series in one panel: a solid line (dashes are for baselines) and its points, with bars when the panel has them. */
static void line_write(struct text *script, size_t index, struct style style, double shift, int column, bool bars)
{
    text_printf(script, "data index %zu using ($1+%.10g):%d with lines linecolor rgb '%s' linewidth 1.6 notitle, \\\n  ", index, shift,
                column,
                style.colour);
    if (bars)
        text_printf(script, "data index %zu using ($1+%.10g):%d:%d:%d with yerrorbars", index, shift, column, column + 1, column + 2);
    else
        text_printf(script, "data index %zu using ($1+%.10g):%d with points", index, shift, column);
    text_printf(script, " linecolor rgb '%s' linewidth 1.3 pointtype %d pointsize point notitle", style.colour, style.point);
}

static void legend_write(struct text *script, const struct series *series, struct style style)
{
    text_printf(script, ", \\\n  keyentry with %s linecolor rgb '%s' linewidth 1.6", series->baseline ? "lines" : "linespoints",
                style.colour);
    if (series->baseline)
        text_printf(script, " dashtype %d title ", style.dash);
    else
        text_printf(script, " pointtype %d pointsize point title ", style.point);
    text_quote_script(script, series->title);
}

/* A horizontal line over the whole panel; with its interval as a band where it is the only one. */
static void baseline_write(struct text *script, const struct plan *plan, size_t index, struct style style)
{
    const struct axis *x = &plan->accuracy.x;
    if (plan->set.n == plan->n_lines + 1)
        text_printf(script, "data index %zu using (%.10g):3:(%.10g):(%.10g):4:5 with boxxyerror linecolor rgb '%s' fillstyle transparent "
                            "solid 0.10 "
                    "noborder notitle, \\\n  ", index, x->low, x->low, x->high, style.colour);
    text_printf(script, "data index %zu using (%.10g):3:(%.10g):(0) with vectors nohead linecolor rgb '%s' linewidth 1.6 dashtype %d "
                        "notitle", index,
                x->low, x->high - x->low, style.colour, style.dash);
}

/* Baselines first, so that points lie on top. */
static void accuracy_write(struct text *script, const struct plan *plan)
{
    const char *comma = "plot ";
    size_t baselines = 0, line = 0;
    for (size_t i = 0; i < plan->set.n; i++)
        if (plan->set.series[i].baseline) {
            struct style style = style_baseline(baselines++);
            style.colour = baseline_colour(&plan->set, &plan->set.series[i]);
            text_put(script, comma);
            baseline_write(script, plan, i, style);
            legend_write(script, &plan->set.series[i], style);
            comma = ", \\\n  ";
        }
    for (size_t i = 0; i < plan->set.n; i++)
        if (!plan->set.series[i].baseline) {
            text_put(script, comma);
            line_write(script, i, style_series(line), shift_of(plan, line), 3, true);
            legend_write(script, &plan->set.series[i], style_series(line++));
            comma = ", \\\n  ";
        }
    if (plan->published)
        text_printf(script, "%sdata index %zu using 1:3 with points %s title 'published'", comma, plan->set.n, style_published);
    text_put(script, "\n");
}

static void kept_write(struct text *script, const struct plan *plan)
{
    const char *comma = "plot ";
    size_t line = 0;
    for (size_t i = 0; i < plan->set.n; i++)
        if (!plan->set.series[i].baseline) {
            text_put(script, comma);
            line_write(script, i, style_series(line), shift_of(plan, line), 2, false);
            line++;
            comma = ", \\\n  ";
        }
    if (plan->published)
        text_printf(script, "%sdata index %zu using 1:2 with points %s notitle", comma, plan->set.n, style_published);
    text_put(script, "\n");
}

/* The numbers themselves beside the points of one panel. */
static int numbers_write(struct text *script, struct cells *cells, const struct plan *plan, bool accuracy, struct err *err)
{
    const struct panel *panel = accuracy ? &plan->accuracy : &plan->kept;
    size_t n = 0, n_segments = 0, line = 0;
    struct label *labels = arena_alloc(&cells->arena, 2 * cells->n, sizeof *labels);
    struct segment *segments = arena_alloc(&cells->arena, cells->n, sizeof *segments);
    bool complete = labels && segments;
    for (size_t i = 0; i < plan->set.n && complete; i++) {
        const struct series *series = &plan->set.series[i];
        for (size_t j = 0; j < series->n && !series->baseline && complete; j++) {
            const struct cell_row *row = series->cells[j];
            double y = 100 * (accuracy ? row->accuracy : row->ratio);
            struct label label = {.x = row->threshold + shift_of(plan, line), .y = y, .low = y, .high = y,
                                  .ink = style_series(line).ink};
            if (accuracy) {
                struct interval interval = cell_interval(row);
                label.low = interval.low;
                label.high = interval.high;
            }
            complete = (label.text = arena_printf(&cells->arena, "%.1f", y)) != NULL;
            if (j > 0)
                segments[n_segments++] = (struct segment){n - 1, n};
            labels[n++] = label;
        }
        line += !series->baseline;
    }
    for (size_t i = 0; i < plan->set.n && complete && accuracy; i++) /* lines that numbers should keep off */
        if (plan->set.series[i].baseline) {
            double y = 100 * plan->set.series[i].cells[0]->accuracy;
            segments[n_segments++] = (struct segment){n, n + 1};
            labels[n++] = (struct label){.x = panel->x.low, .y = y, .low = y, .high = y, .text = ""};
            labels[n++] = (struct label){.x = panel->x.high, .y = y, .low = y, .high = y, .text = ""};
        }
    if (!complete)
        return err_no_memory(err, "the labels of a plot");
    labels_place(panel, labels, n, segments, n_segments);
    script_labels(script, panel, plan->height, labels, n);
    return 0;
}

static int script_write(struct text *script, struct cells *cells, const struct plan *plan, const char *given, struct err *err)
{
    struct legend legend = legend_make(&plan->set, &plan->accuracy);
    struct notes notes = cells_notes(cells, plan->apart > 0);
    const char *title = given ? given : cells_title(cells);
    if (!title || !notes.first || !notes.second)
        return err_no_memory(err, "the title of a plot");
    text_put(script, "set multiplot\n");
    script_title(script, title, &notes, plan->height);
    script_panel(script, &plan->kept, plan->height);
    script_axis_names(script, &plan->kept, plan->height, NULL, "tokens kept (%)");
    text_put(script, "set format x ''\nset key off\n");
    int rc = numbers_write(script, cells, plan, false, err);
    if (rc < 0)
        return rc;
    kept_write(script, plan);
    text_put(script, "unset label\n");
    script_panel(script, &plan->accuracy, plan->height);
    script_axis_names(script, &plan->accuracy, plan->height, "threshold", axis_accuracy_name(&plan->accuracy.y).text);
    text_put(script, "set format x '%g'\n");
    script_legend(script, &legend, plan->height);
    if ((rc = numbers_write(script, cells, plan, true, err)) == 0)
        accuracy_write(script, plan);
    text_put(script, "unset multiplot\n");
    return rc;
}

int figure_threshold(struct store *store, const struct plot_options *options, struct err *err)
{
    struct cells cells = {0};
    struct plan plan = {.options = options};
    struct drawing drawing = {0};
    int rc = cells_collect(&cells, store, options->where, wanted,
                           "has replies and a parameter 'threshold'; sweep one, such as '{ name: dyntok, threshold: [0.4, 0.5, 0.6] }'",
    err);
    if (rc == 0 && (rc = plan_make(&plan, &cells, err)) == 0) {
        drawing.height = plan.height;
        data_write(&drawing.data, &plan.set);
        if (plan.published)
            published_write(&drawing.data, &plan, &cells);
        rc = script_write(&drawing.script, &cells, &plan, options->title, err);
    }
    rc = drawing_finish(&drawing, rc, options->out, err);
    cells_free(&cells);
    return rc;
}
