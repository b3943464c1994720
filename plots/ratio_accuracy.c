/* Figure "ratio-accuracy": what compression costs. Share of visual tokens kept across, accuracy with its interval upwards, a line per
 * compressor and number of frames, each point named by its parameter. */
#include "plots/plot_impl.h"

#include <math.h>

static bool wanted(const struct cell_row *row)
{
    return cell_has_replies(row) && !isnan(row->ratio);
}

static double published_kept(const struct plot_reference *reference)
{
    return reference->kept;
}

static struct axis axis(const struct cells *cells)
{
    double widest = 100;
    for (size_t i = 0; i < cells->n; i++)
        widest = fmax(widest, cell_kept(&cells->rows[i]));
    return (struct axis){0, ceil(widest / 5) * 5 + 5, widest > 200 ? 50 : 10};
}

int figure_ratio_accuracy(struct store *store, const struct plot_options *options, struct err *err)
{
    static const struct chart chart = {
        .about = "kept: visual tokens of those without compression, markers included, in percent; mean over the language model's layers.",
        .column = "kept",
        .x_name = "visual tokens kept (%, row markers included)",
        .lacking = "has replies with a count of visual tokens; 'toksweep run SWEEP.yaml' makes some",
        .by = SERIES_OPTIONS,
        .x = cell_kept,
        .published_x = published_kept,
        .wanted = wanted,
        .label = series_point_label,
        .axis = axis,
        .apart = 1.0 / 105,
    };
    return chart_draw(&chart, store, options, err);
}
