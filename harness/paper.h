/* Papers: published tables and figures as data, with what of them can be run (configs/paper/). */
#ifndef TOKSWEEP_HARNESS_PAPER_H
#define TOKSWEEP_HARNESS_PAPER_H

#include "harness/measure.h"

#include "core/arena.h"
#include "core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct paper_column {
    const char *name, *benchmark;
    const char *task;     /* only questions of this task type; NULL: all */
    enum quantity quantity;
    int frames;           /* of the cells it is about; 0: the row's */
    int64_t questions;    /* 0: not told */
};

struct paper_row {
    const char *name;
    double *values;          /* [n_columns] as printed, NaN where nothing is */
    const char *not_run;     /* why it cannot be run; NULL: it can */
    const char *compressor;  /* a pattern of fnmatch() for the labels of its cells */
    const char *sweep;       /* only cells of this one; NULL: of any */
    int frames;              /* instead of the column's; 0: the column's */
    /* Compared as a change: published against row `against`, ours against the cell `base`. */
    const struct paper_row *against; /* NULL: compared as it is; columns that measure no accuracy always are */
    const char *base;
    int base_frames;         /* 0: those of the row's cell */
};

struct paper_erratum { const struct paper_row *row; size_t column; double value; const char *note; };

struct paper_result { /* a table or a figure */
    bool figure;
    int64_t number;
    const char *caption;
    bool whole_questions; /* numbers must be shares of whole questions, the parts adding up to the first column */
    const char **sweeps, **draw, **notes; /* NULL-terminated; names of sweeps, of figures, texts */
    struct paper_column *columns;
    struct paper_row *rows;
    struct paper_erratum *errata;
    size_t n_columns, n_rows, n_errata;
};

struct paper { /* strings and arrays live in the configuration and the arena */
    struct config *config;
    const char *name, *title, *source;
    const char *sweeps_folder; /* where its sweeps are: ../sweeps beside the file */
    struct paper_result *results;
    size_t n_results;
    struct arena arena;
};

/* Reads `name`: a path that ends in .yaml, or the name of a file in `paper/` of a folder of configurations, which is `configs` when that
 * is given, else ./configs, or what is installed or built with the program. ERR_CONFIG with line and column. */
int paper_load(struct paper *out, const char *name, const char *configs, struct err *err);
void paper_free(struct paper *paper);

/* The table or figure of that number; NULL if there is none. */
const struct paper_result *paper_find(const struct paper *paper, bool figure, int64_t number);

/* Whether a cell is what a row's number in a column is about; with `base`, what that is a change from. */
bool paper_wants(const struct paper_row *row, const struct paper_column *column, bool base, const char *benchmark, int frames,
                 const char *label);

/* Digits behind the point that a published number is taken to have: one, or two where the second is not 0. */
int paper_decimals(double value);

#endif
