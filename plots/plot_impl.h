/* What the figures share: cells of the store grouped into series, a layout in pixels, and gnuplot as a process.
 *
 * A figure's data and text go through here once: numbers into <stem>.dat, everything else into <stem>.gp, both beside the figure, so that
 * `gnuplot <stem>.gp` in that folder draws it again. Percent, not ratios, from here on: that is what the axes show. */
#ifndef TOKSWEEP_PLOTS_PLOT_IMPL_H
#define TOKSWEEP_PLOTS_PLOT_IMPL_H

#include "core/arena.h"
#include "core/text.h"
#include "metrics/interval.h"
#include "plots/plot.h"

#include <stdbool.h>
#include <stddef.h>

/* ---- cells and series ------------------------------------------------------------------------------------------------------ */

struct cells { /* zero-initialise; everything below lives in the arena */
    struct cell_row *rows;
    size_t n, capacity;
    struct arena arena;
};

/* Copies the cells that `where` selects and `wanted` accepts. None at all is ERR_CONFIG: "nothing to plot: no cell <lacking>". */
int cells_collect(struct cells *cells, struct store *store, const char *where, bool (*wanted)(const struct cell_row *row),
                  const char *lacking, struct err *err);
void cells_free(struct cells *cells);

/* 95 % of the headline accuracy, over videos; percent. */
struct interval cell_interval(const struct cell_row *row);

/* Whether there is an accuracy to show. */
bool cell_has_replies(const struct cell_row *row);

/* What is published of a cell, NULL if nothing is; and whether there is anything of the cells shown. */
const struct plot_reference *reference_of(const struct plot_options *options, const struct cell_row *row);
bool references_any(const struct plot_options *options, const struct cells *cells);

/* Percent of the visual tokens kept, and how many a question these are, markers included; means over the language model's layers, so that
 * what is dropped between them counts. */
double cell_kept(const struct cell_row *row);
double cell_tokens(const struct cell_row *row);

/* How cells come together. In all cases cells of a series have one compressor and agree in all that is no parameter of it. */
enum series_by {
    SERIES_OPTIONS, /* one number of frames, any parameters */
    SERIES_VARIANT, /* one number of frames, parameters that differ in threshold and target ratio only */
    SERIES_FRAMES,  /* the same parameters, any number of frames */
    SERIES_CELL,    /* each by itself */
};

struct series {
    const struct cell_row **cells; /* by ascending x */
    size_t n;
    const char *param;             /* the one parameter that every label names, NULL if there is no such */
    const char *title;             /* for the legend: what sets it apart from the other series */
    bool baseline;                 /* no compression */
};

struct series_set {
    struct series *series;
    size_t n;
};

/* Groups in the order the cells came. */
int series_make(struct series_set *out, struct cells *cells, enum series_by by, double (*x)(const struct cell_row *row), struct err *err);

/* Whether two series differ only in compressor and parameters. */
bool series_same_setting(const struct series *a, const struct series *b);

/* What a point is called: on a line the value of series->param, or the label without the compressor's name; alone the compressor's name, with
 * the value of series->param behind it. */
const char *series_point_label(struct cells *cells, const struct series *series, const struct cell_row *row);

/* "LLaVA-Video-7B-Qwen2 on videomme": what all cells have in common. NULL when memory is out. */
const char *cells_title(struct cells *cells);

/* "2700 replies a point; bars are 95 % intervals over videos ..." and, on a second line if need be, what a reader must know to trust it. */
struct notes { const char *first, *second; };
struct notes cells_notes(struct cells *cells, bool moved_apart);

/* ---- layout ---------------------------------------------------------------------------------------------------------------- */

enum { CANVAS_WIDTH = 900, LEGEND_ROW = 22, LABEL_HEIGHT = 13, MARKER = 11 }; /* pixels */

struct axis { double low, high, step; };

/* Round bounds round [low, high] with a margin, at least `least` apart, within [bottom, top]; four to eight steps. */
struct axis axis_make(double low, double high, double least, double bottom, double top);

/* The name of an accuracy axis, which says so when it does not start at 0. */
struct axis_name { char text[64]; };
struct axis_name axis_accuracy_name(const struct axis *axis);

struct panel { /* a plot's frame in pixels from the canvas's upper left corner, and what it spans */
    double left, right, top, bottom;
    struct axis x, y;
};

double panel_px(const struct panel *panel, double x);
double panel_py(const struct panel *panel, double y);

/* Characters of UTF-8 text. */
size_t text_width(const char *text);

/* Where a panel begins whose rows have names of at most so many characters to its left. */
double names_left(size_t longest);

struct legend { int columns, rows; };
struct legend legend_make(const struct series_set *set, const struct panel *panel); /* as wide as the panel: gnuplot makes it no wider */

/* A text that wants to stand near a point, and where it may: offsets in pixels to the text's left edge and middle, y downwards. */
struct label {
    double x, y, low, high;   /* the point and its bar, in the panel's units */
    const char *text, *ink;
    bool placed;              /* false: there was no room, or no text */
    double dx, dy;
};

/* Finds places for the labels that hide no marker, no bar and no other label, in order, and keep off the lines if they can. `segments`
 * holds n_segments lines between points as indices into labels. */
struct segment { size_t from, to; };
void labels_place(const struct panel *panel, struct label *labels, size_t n, const struct segment *segments, size_t n_segments);

/* ---- styles ---------------------------------------------------------------------------------------------------------------- */

struct style { const char *colour, *ink; int point, dash; };

/* Colours that colour-blind readers tell apart (Okabe and Ito), each with a darker one for text; points and dashes that tell the series
 * apart without colours. */
struct style style_series(size_t i);
struct style style_baseline(size_t i);

/* How published numbers are drawn: to follow "data index N using X:Y with points". */
extern const char style_published[];

/* Of the series at `index`: baselines and others are counted apart. */
struct style style_of(const struct series_set *set, size_t index);

/* ---- gnuplot --------------------------------------------------------------------------------------------------------------- */

/* Text made fit for a figure: valid UTF-8, blanks for control characters; then inside single quotes, for a script or a data file. */
void text_quote_script(struct text *text, const char *string);
void text_quote_data(struct text *text, const char *string);

struct drawing {
    struct text data, script; /* the script without the terminal and output, in which `data` names the data file,
                               * `large`, `small` and `tiny` are fonts and `point` is the size of a marker */
    struct text pixels;       /* bytes of pictures, in a file that `pixels` names; untouched: there is none */
    int width, height;        /* pixels; width 0: CANVAS_WIDTH */
};

/* A panel's place on the canvas and its axes; then their names (`x` may be NULL). */
void script_panel(struct text *script, const struct panel *panel, int height);

void script_x_name(struct text *script, const struct panel *panel, int height, const char *name);
void script_axis_names(struct text *script, const struct panel *panel, int height, const char *x, const char *y);

/* Small text that begins at a place on the canvas, in pixels from its upper left corner. */
void script_text(struct text *script, const char *words, double x, double y, int height, const char *ink);

/* All labels that found a place. */
void script_labels(struct text *script, const struct panel *panel, int height, const struct label *labels, size_t n);

/* Title and notes at the top of the canvas, the legend's place at its bottom. */
void script_title(struct text *script, const char *title, const struct notes *notes, int height);
void script_legend(struct text *script, const struct legend *legend, int height);

/* Writes <stem>.dat and <stem>.gp and runs gnuplot on them, unless `rc` says that making them failed. Empties `drawing` in any case. */
int drawing_finish(struct drawing *drawing, int rc, const char *out, struct err *err);

/* ---- charts ---------------------------------------------------------------------------------------------------------------- */

/* A figure of accuracy against something: see ratio_accuracy.c. */
struct chart {
    const char *about, *column;  /* a line about x for the data file, and its column's name */
    const char *x_name;          /* of the axis, with the unit */
    const char *lacking;         /* as of cells_collect */
    enum series_by by;
    double (*x)(const struct cell_row *row);
    double (*published_x)(const struct plot_reference *reference); /* NULL or NaN: that of the cell */
    bool (*wanted)(const struct cell_row *row);
    const char *(*label)(struct cells *cells, const struct series *series, const struct cell_row *row); /* "" for none, NULL: no memory */
    struct axis (*axis)(const struct cells *cells);
    double apart;                /* of the axis' length, between points at equal x */
    bool tics_at_points;         /* the axis names the values that there are, not round ones */
};
int chart_draw(const struct chart *chart, struct store *store, const struct plot_options *options, struct err *err);

/* ---- figures --------------------------------------------------------------------------------------------------------------- */

int figure_ratio_accuracy(struct store *store, const struct plot_options *options, struct err *err);
int figure_cost(struct store *store, const struct plot_options *options, struct err *err);
int figure_pareto(struct store *store, const struct plot_options *options, struct err *err);
int figure_tasks(struct store *store, const struct plot_options *options, struct err *err);
int figure_frames(struct store *store, const struct plot_options *options, struct err *err);
int figure_budget(struct store *store, const struct plot_options *options, struct err *err);
int figure_threshold(struct store *store, const struct plot_options *options, struct err *err);
int figure_history(struct store *store, const struct plot_options *options, struct err *err);

#endif
