/* Gates: bounds on stored numbers, read from a file and held against a cell and its baseline.
 *
 * gate_file.c reads, gate_metric.c is the table of what can be bounded, gate_check.c judges, gate_report.c writes what others read. */
#ifndef TOKSWEEP_HARNESS_GATE_H
#define TOKSWEEP_HARNESS_GATE_H

#include "core/arena.h"
#include "core/config.h"
#include "core/text.h"
#include "metrics/judgement.h"
#include "results/store.h"

/* ---- metrics ------------------------------------------------------------------------------------------------------------- */

enum gate_bound {
    BOUND_MARGIN = 1, /* of accuracy: a loss is judged as metrics/judgement.h has it */
    BOUND_EXACT = 2,  /* every question's value equals the baseline's */
    BOUND_WITHIN = 4, /* every question's value is at most so far from it */
    BOUND_RANGE = 8,  /* the mean over questions lies between `least` and `most` */
    BOUND_RATIO = 16, /* the sum over questions, divided by the baseline's, lies between them */
};

struct gate_metric {
    const char *name, *unit, *summary;
    unsigned bounds;         /* gate_bounds that it can have */
    enum gate_source { GATE_ANSWER, GATE_MARGIN, GATE_TOKENS, GATE_COUNT, GATE_MEAN, GATE_STAGE, GATE_TOTAL } source;
    size_t place;            /* of a count or a mean in struct cost; the stage */
};

/* One question's value, NaN when it is not known or is no number. */
double gate_value(const struct gate_metric *metric, const struct answer *answer);

bool gate_metric_is_time(const struct gate_metric *metric); /* and means little between machines */

const struct gate_metric *gate_metric_at(int i); /* NULL past the end */
const struct gate_metric *gate_metric_find(const char *name);

/* ---- files --------------------------------------------------------------------------------------------------------------- */

struct gate {
    const struct gate_metric *metric;
    const char *rule;      /* metric and bound: "accuracy margin 2", "tokens exact" */
    enum gate_bound bound;
    double margin, alpha;  /* shares */
    double within;
    double least, most;    /* NaN: no such bound */
    size_t line;           /* in its file */
};

struct gate_file { /* zero-initialise */
    struct config *config;
    const char *path, *name, *baseline; /* baseline: NULL when the file has none */
    const char **cells;                 /* names, as store_find_cell() takes them */
    struct gate *gates;
    size_t n_cells, n_gates;
    struct arena arena;                 /* owns all of these */
};

int gate_file_load(struct gate_file *out, const char *path, struct err *err);
void gate_file_free(struct gate_file *file);

/* ---- judging ------------------------------------------------------------------------------------------------------------- */

struct gate_side {
    const char *name;             /* what messages call it */
    const struct stored_cell *cell;
    const char *device;           /* "" when not known, or several */
};

struct gate_outcome {
    const struct gate *gate;
    const struct gate_file *file;
    const char *cell, *baseline;  /* names of the sides */
    enum judgement verdict;
    double value, expected;       /* of the candidate and the baseline, in the metric's unit; NaN when there is none */
    double low, high;             /* 95 % of value over videos, for accuracy; else NaN */
    char *detail;                 /* one sentence, malloc'ed */
};

/* Judges one gate. `baseline` NULL: there is nothing to compare with, for the reason `why`. ERR_MEMORY. */
int gate_check(struct gate_outcome *out, const struct gate *gate, const struct gate_side *candidate, const struct gate_side *baseline,
               const char *why, struct err *err);

/* ---- reports ------------------------------------------------------------------------------------------------------------- */

struct gate_outcomes { /* zero-initialise */
    struct gate_outcome *rows;
    size_t n;
};

enum judgement gate_judgement(const struct gate_outcomes *outcomes); /* the weightiest; pass when there are none */

struct gate_format {
    const char *name, *summary;
    int (*write)(struct text *out, const struct gate_outcomes *outcomes, struct err *err);
};

const struct gate_format *gate_format_at(int i); /* NULL past the end */
const struct gate_format *gate_format_find(const char *name);

/* Workflow commands of GitHub Actions: an error or a warning for each gate that does not pass, at its line in its file. */
void gate_annotations(struct text *out, const struct gate_outcomes *outcomes);

#endif
