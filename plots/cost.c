/* Figure "cost": where the time of a question goes. Two bars for each cell, stage by stage: as if its questions ran alone, and, thinner,
 * what was paid with work shared between cells and questions. */
#include "plots/plot_impl.h"

#include "core/answer.h"

#include <math.h>
#include <string.h>

enum { BAR_ROW = 46, MOST_CELLS = 24, NUMBER_WIDTH = 84, LEGEND_ENTRY = 106 };

/* From dark to light, so that their order shows in grey, too (cividis; Nunez, Anderton and Renslow 2018); ink for text on them. */
static const struct { const char *colour, *ink; } looks[STAGES] = {
    {"#00224e", "#ffffff"}, {"#1d3a6d", "#ffffff"}, {"#45516c", "#ffffff"}, {"#666970", "#ffffff"},
    {"#868478", "#000000"}, {"#a69d75", "#000000"}, {"#cbba69", "#000000"}, {"#fdea45", "#000000"},
};

struct plan {
    struct cells *cells;
    struct series_set set;
    struct panel panel;
    double unit;          /* milliseconds in what the axis shows: 1 or 1000 */
    bool present[STAGES]; /* takes any time in any cell */
    struct legend legend;
    int height;
};

static double cell_id(const struct cell_row *row)
{
    return (double)row->id;
}

static double sum_of(const double *ms)
{
    double sum = 0;
    for (int i = 0; i < STAGES; i++)
        sum += isnan(ms[i]) ? 0 : ms[i];
    return sum;
}

static bool wanted(const struct cell_row *row)
{
    return cell_has_replies(row) && sum_of(row->alone_ms) > 0;
}

static int plan_make(struct plan *plan, struct err *err)
{
    double most = 0;
    if (plan->cells->n > MOST_CELLS)
        return err_set(err, ERR_CONFIG, "%zu cells are too many for one picture, %d are most; choose with --where, such as \"frames = %d\"",
                       plan->cells->n, (int)MOST_CELLS, plan->cells->rows[0].frames);
    for (size_t i = 0; i < plan->cells->n; i++) {
        const struct cell_row *row = &plan->cells->rows[i];
        most = fmax(most, fmax(sum_of(row->alone_ms), sum_of(row->paid_ms)));
        for (int stage = 0; stage < STAGES; stage++)
            plan->present[stage] |= row->alone_ms[stage] > 0;
    }
    int rc = series_make(&plan->set, plan->cells, SERIES_CELL, cell_id, err);
    if (rc < 0)
        return rc;
    size_t longest = 0;
    for (size_t i = 0; i < plan->set.n; i++)
        longest = text_width(plan->set.series[i].title) > longest ? text_width(plan->set.series[i].title) : longest;
    plan->unit = most >= 2000 ? 1000 : 1;
    double bottom = 78 + (double)plan->cells->n * BAR_ROW;
    plan->panel = (struct panel){.left = names_left(longest), .right = CANVAS_WIDTH - NUMBER_WIDTH, .top = 78, .bottom = bottom,
                                 .x = axis_make(0, most / plan->unit, 1e-6, 0, INFINITY), .y = {0, (double)plan->cells->n, 1}};
    int entries = 0, columns = (int)(plan->panel.right - plan->panel.left) / LEGEND_ENTRY;
    for (int stage = 0; stage < STAGES; stage++)
        entries += plan->present[stage];
    plan->legend = (struct legend){columns, (entries + columns - 1) / columns};
    plan->height = (int)bottom + 78 + plan->legend.rows * LEGEND_ROW;
    return 0;
}

/* Upper and lower edge of a bar, rows counted from below. */
static void bar_edges(const struct plan *plan, size_t cell, bool paid, double *high, double *low)
{
    double row = (double)(plan->set.n - cell);
    *high = row - (paid ? 0.64 : 0.12);
    *low = row - (paid ? 0.84 : 0.60);
}

static void data_write(struct text *data, const struct plan *plan)
{
    const char *separator = "";
    text_printf(data, "# One block per stage, as many as the legend has entries. Mean per question in %s; from, to: where its part of the bar is;\n"
                      "# alone: as if run by itself; paid: what sharing left of it.\n", plan->unit > 1 ? "seconds" : "milliseconds");
    for (int stage = 0; stage < STAGES; stage++) {
        if (!plan->present[stage])
            continue;
        text_printf(data, "%s# \"%s\"\n# from to low high kind cell\n", separator, stage_name((enum stage)stage));
        separator = "\n\n";
        for (size_t i = 0; i < plan->set.n; i++)
            for (int paid = 0; paid < 2; paid++) {
                const struct cell_row *row = plan->set.series[i].cells[0];
                const double *ms = paid ? row->paid_ms : row->alone_ms;
                double from = 0, high, low, part = isnan(ms[stage]) ? 0 : ms[stage];
                for (int before = 0; before < stage; before++)
                    from += isnan(ms[before]) ? 0 : ms[before];
                bar_edges(plan, i, paid, &high, &low);
                text_printf(data, "%.6g %.6g %.4f %.4f %s ", from / plan->unit, (from + part) / plan->unit, low, high,
                            paid ? "paid" : "alone");
                text_quote_data(data, plan->set.series[i].title);
                text_put(data, "\n");
            }
    }
}

/* The share of a stage inside its part of the upper bar, where it fits. */
static void shares_write(struct text *script, const struct plan *plan, size_t cell)
{
    const struct cell_row *row = plan->set.series[cell].cells[0];
    double from = 0, sum = sum_of(row->alone_ms), high, low;
    bar_edges(plan, cell, false, &high, &low);
    for (int stage = 0; stage < STAGES; stage++) {
        double part = isnan(row->alone_ms[stage]) ? 0 : row->alone_ms[stage];
        double width = panel_px(&plan->panel, part / plan->unit) - plan->panel.left;
        if (width > 40)
            text_printf(script, "set label '%.0f %%' at first %.6g, first %.4f center font small textcolor rgb '%s' front\n",
                        100 * part / sum,
                        (from + part / 2) / plan->unit, (high + low) / 2, looks[stage].ink);
        from += part;
    }
}

static void sums_write(struct text *script, const struct plan *plan, size_t cell)
{
    for (int paid = 0; paid < 2; paid++) {
        const struct cell_row *row = plan->set.series[cell].cells[0];
        double high, low, sum = sum_of(paid ? row->paid_ms : row->alone_ms) / plan->unit;
        bar_edges(plan, cell, paid, &high, &low);
        text_printf(script, "set label '%.3g%s' at first %.6g, first %.4f left offset 0.4,0 font small textcolor rgb '#222222' front\n",
                    sum,
                    paid ? " paid" : " alone", sum, (high + low) / 2);
    }
}

static void rows_write(struct text *script, const struct plan *plan)
{
    text_put(script, "unset grid\nset grid xtics linetype 1 linecolor rgb '#d4d4d4' linewidth 1 dashtype 1\nset ytics scale 0 (");
    for (size_t i = 0; i < plan->set.n; i++) {
        text_put(script, i ? ", " : "");
        text_quote_script(script, plan->set.series[i].title);
        text_printf(script, " %.4f", (double)(plan->set.n - i) - 0.48);
    }
    text_put(script, ")\n");
    for (size_t i = 0; i < plan->set.n; i++) {
        shares_write(script, plan, i);
        sums_write(script, plan, i);
    }
}

static int script_write(struct text *script, const struct plan *plan, const char *given, struct err *err)
{
    const struct notes notes =
        {"upper bar: alone, as if each question ran by itself; lower bar: paid, with work shared between questions and cells",
                                "means over the replies of a cell"};
    const char *title = given ? given : cells_title(plan->cells), *comma = "plot ";
    size_t index = 0;
    if (!title)
        return err_no_memory(err, "the title of a plot");
    script_title(script, title, &notes, plan->height);
    script_legend(script, &plan->legend, plan->height);
    text_put(script, "set key samplen 1\n");
    script_panel(script, &plan->panel, plan->height);
    script_x_name(script, &plan->panel, plan->height, plan->unit > 1 ? "seconds per question" : "milliseconds per question");
    rows_write(script, plan);
    for (int stage = 0; stage < STAGES; stage++)
        if (plan->present[stage]) {
            text_printf(script, "%sdata index %zu using 1:3:1:2:3:4 with boxxyerror fillstyle solid 1 border rgb '#ffffff' linecolor rgb '%s' "
                        "linewidth 0.8 title '%s'", comma, index++, looks[stage].colour, stage_name((enum stage)stage));
            comma = ", \\\n  ";
        }
    text_put(script, "\n");
    return 0;
}

int figure_cost(struct store *store, const struct plot_options *options, struct err *err)
{
    struct cells cells = {0};
    struct plan plan = {.cells = &cells};
    struct drawing drawing = {0};
    int rc = cells_collect(&cells, store, options->where, wanted,
                           "has replies whose time was measured; 'toksweep run SWEEP.yaml' makes some", err);
    if (rc == 0 && (rc = plan_make(&plan, err)) == 0) {
        drawing.height = plan.height;
        data_write(&drawing.data, &plan);
        rc = script_write(&drawing.script, &plan, options->title, err);
    }
    rc = drawing_finish(&drawing, rc, options->out, err);
    cells_free(&cells);
    return rc;
}
