/* The accuracy table: one row per cell, as `run` and `report` print it. */
#ifndef TOKSWEEP_HARNESS_ACCURACY_H
#define TOKSWEEP_HARNESS_ACCURACY_H

#include "harness/table.h"
#include "results/store.h"

/* Appends the table of the cells that `where` selects (as store_each_cell), with a line below that says what the columns count.
 * *n_rows is how many there were. */
int accuracy_table(struct store *store, const char *where, enum table_format format, struct text *out, size_t *n_rows, struct err *err);

/* The same by groups of samples: `kind` is that of store_each_group. */
int group_table(struct store *store, const char *kind, const char *where, enum table_format format, struct text *out, size_t *n_rows,
                struct err *err);

#endif
