/* Plots: from the store to a figure, through gnuplot. The figure's data (.dat) and script (.gp) are left beside it. */
#ifndef TOKSWEEP_PLOTS_PLOT_H
#define TOKSWEEP_PLOTS_PLOT_H

#include "core/err.h"
#include "results/store.h"

/* A published number about a cell of the store, drawn as a cross beside it. */
struct plot_reference {
    int64_t cell;                   /* cell_row.id */
    double accuracy, kept, tokens;  /* percent, percent, visual tokens a question; NaN: not published */
};

struct plot_options {
    const char *out;    /* path of the figure; its ending picks the format: .svg, .png, .pdf */
    const char *where;  /* restricts the cells, as in store_each_cell; NULL for all */
    const char *title;  /* NULL: made from what is plotted */
    const struct plot_reference *references; /* [n_references]; figures threshold, frames, budget and ratio-accuracy show them */
    size_t n_references;
};

struct figure {
    const char *name;     /* "ratio-accuracy" */
    const char *summary;  /* one line for `list figures` */
    int (*draw)(struct store *store, const struct plot_options *options, struct err *err);
};

/* ERR_CONFIG when a figure cannot be drawn to `out`, since its name has another ending or holds what no script can: to know before hours of
 * work. */
int figure_check_path(const char *out, struct err *err);

const struct figure *figure_find(const char *name); /* NULL if there is none */
const struct figure *figure_at(int i);              /* NULL past the end */

#endif
