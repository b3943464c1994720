/* A record of one start of `bench`: machine, program, and every figure with all its repeats. In memory, as JSON, and two of them compared. */
#ifndef TOKSWEEP_HARNESS_BENCH_RECORD_H
#define TOKSWEEP_HARNESS_BENCH_RECORD_H

#include "core/arena.h"
#include "core/err.h"
#include "core/text.h"
#include "harness/table.h"

enum { BENCH_MOST_FIGURES = 128, BENCH_MOST_REPEATS = 101 };

/* `amount` units of work in each of `seconds`. Two records' figures are the same when part and name are. */
struct bench_figure {
    const char *part, *name, *unit; /* "stages", "prefill of 2048 rows", "tokens/s" */
    double amount;
    double flops;                   /* of one repeat; 0 where the peak has no meaning */
    const double *seconds;          /* [n] in the order they were taken, positive */
    size_t n;
};

struct bench_record { /* zero-initialise; texts and arrays in its arena */
    const char *date;               /* "2026-11-21" */
    const char *commit, *compiler;  /* of this program; "" if not known */
    const char *cpu, *isa;          /* the processor's name; the kernel table */
    const char *model, *dtype;
    const char *clock;              /* "wall", or "processor": seconds are of the process's processors */
    int processors, threads;
    double memory_gib;
    double load;                    /* processes that ran or wanted to on the whole machine, this one counted, mean of the minute at the end */
    double peak_gflops;             /* measured in the same process; 0: was not */
    struct bench_figure figures[BENCH_MOST_FIGURES];
    size_t n_figures;
    struct arena arena;
};

/* Fills in all but figures, model, dtype, threads, isa and peak; and the load when all is measured. */
int bench_record_begin(struct bench_record *record, struct err *err);
void bench_record_end(struct bench_record *record);

/* Adds a figure; `seconds` and texts are copied. ERR_MEMORY. */
int bench_record_add(struct bench_record *record, const struct bench_figure *figure, struct err *err);

/* The middle of a figure's times; of an even number the mean of the two in the middle. */
double bench_median(const struct bench_figure *figure);

/* Figures as a table: rate, median, least and most seconds, GFLOP/s and share of the peak. */
void bench_record_table(const struct bench_record *record, struct table *table);

/* To a file and back. Errors of reading name the file and what is wrong in it: ERR_IO, ERR_DATA. */
int bench_record_write(const struct bench_record *record, const char *path, struct err *err);
int bench_record_read(struct bench_record *out, const char *path, struct err *err);
void bench_record_free(struct bench_record *record);

/* Rates of b over those of a, figure by figure, each with the 95 % interval of ratio_of() and a verdict; 1.05 is five per cent faster. Says in
 * `notes`, a line each, why the two may not be comparable. */
int bench_compare(const struct bench_record *a, const struct bench_record *b, struct table *table, struct text *notes, struct err *err);

#endif
