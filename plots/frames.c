/* Figures "frames" and "budget", after the two halves of Figure 4 of the DynTok paper: accuracy against the frames shown, and against
 * the visual tokens that they became. A line per compressor and setting, its points the numbers of frames. */
#include "plots/plot_impl.h"

#include <math.h>

static bool has_tokens(const struct cell_row *row)
{
    return cell_has_replies(row) && !isnan(row->tokens_visual);
}

static double frames_of(const struct cell_row *row)
{
    return row->frames;
}

static const char *no_label(struct cells *cells, const struct series *series, const struct cell_row *row)
{
    (void)cells, (void)series, (void)row;
    return "";
}

static const char *frames_label(struct cells *cells, const struct series *series, const struct cell_row *row)
{
    (void)series;
    return arena_printf(&cells->arena, "%d", row->frames);
}

static double published_tokens(const struct plot_reference *reference)
{
    return reference->tokens;
}

static struct axis frames_axis(const struct cells *cells)
{
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < cells->n; i++) {
        least = fmin(least, cells->rows[i].frames);
        most = fmax(most, cells->rows[i].frames);
    }
    double margin = fmax(0.08 * (most - least), 2);
    return (struct axis){least - margin, most + margin, most - least + 2 * margin}; /* its tics are the points */
}

static struct axis tokens_axis(const struct cells *cells)
{
    double most = 1;
    for (size_t i = 0; i < cells->n; i++)
        most = fmax(most, cell_tokens(&cells->rows[i]));
    return axis_make(0, most, 10, 0, INFINITY);
}

int figure_frames(struct store *store, const struct plot_options *options, struct err *err)
{
    static const struct chart chart = {
        .about = "frames: most frames shown of a video.",
        .column = "frames",
        .x_name = "frames",
        .lacking = "has replies; 'toksweep run SWEEP.yaml' makes some",
        .by = SERIES_FRAMES,
        .x = frames_of,
        .wanted = cell_has_replies,
        .label = no_label,
        .axis = frames_axis,
        .apart = 0.011,
        .tics_at_points = true,
    };
    return chart_draw(&chart, store, options, err);
}

int figure_budget(struct store *store, const struct plot_options *options, struct err *err)
{
    static const struct chart chart = {
        .about = "tokens: visual tokens per question, markers included, mean over the language model's layers.",
        .column = "tokens",
        .x_name = "visual tokens per question, markers included; points are named by their frames",
        .lacking = "has replies with a count of visual tokens; 'toksweep run SWEEP.yaml' makes some",
        .by = SERIES_FRAMES,
        .x = cell_tokens,
        .published_x = published_tokens,
        .wanted = has_tokens,
        .label = frames_label,
        .axis = tokens_axis,
        .apart = 0.004,
    };
    return chart_draw(&chart, store, options, err);
}
