/* A published table held against our numbers: which cell of the store answers which published number, and what comes of it. */
#ifndef TOKSWEEP_HARNESS_HELD_H
#define TOKSWEEP_HARNESS_HELD_H

#include "harness/paper.h"
#include "harness/table.h"
#include "metrics/published.h"

/* What a sweep of the paper has in the store, and why it has no more. Texts belong to whoever fills it. */
struct held_sweep {
    const char *name, *model;
    const char *where;            /* its cells, as for store_each_cell; NULL: none */
    const char *failure;          /* why nothing of it was run; NULL: it was */
    const char *const *missing;   /* benchmarks without a manifest here, NULL-terminated; or NULL */
};

struct held_number { /* a published number beside ours; percent, or tokens */
    const struct paper_row *row;
    const struct paper_column *column;
    const struct paper_erratum *erratum; /* NULL: none */
    int64_t cell;           /* ours, in the store; 0: there is none */
    double published;       /* as printed, or what the erratum says */
    double published_change; /* from the row it is compared against; NaN: it is compared as it is */
    double ours, ours_change; /* NaN: no such cell */
    double difference;      /* ours minus published, of the changes where these are compared */
    struct interval interval;
    size_t n, videos;
    enum verdict verdict;
    int64_t needed;         /* questions; 0: not known */
    const char *not_run;    /* why ours is not there; NULL: it is. In the arena */
};

struct held {
    const struct paper_result *result;
    struct held_number *numbers; /* row by row, published ones only */
    size_t n;
    bool changes, measured;      /* some are compared as changes; some are there */
    struct arena arena;
};

/* `margin` in points (percent of the number for tokens): how narrow an interval must be for "within noise". */
int held_make(struct held *out, const struct paper_result *result, struct store *store, const struct held_sweep *sweeps, size_t n_sweeps,
              double margin, struct err *err);
void held_free(struct held *held);

/* Fills the table; `plain` for machines: every number in a column of its own. */
void held_tabulate(const struct held *held, bool plain, struct table *table);

/* Errata, whole questions and notes, a line each, every line behind `lead`. */
void held_put_notes(const struct held *held, const char *lead, struct text *out);

#endif
