/* Expected results: what `toksweep export STORE answers` wrote, read as a cell to compare with. */
#ifndef TOKSWEEP_HARNESS_EXPECTED_H
#define TOKSWEEP_HARNESS_EXPECTED_H

#include "results/store.h"

/* The answers in the CSV file at `path` to the questions of `like`, whose manifest `out` borrows. What the file does not have is not known
 * (counts -1, times and means NaN), a question that it lacks has no answer. ERR_DATA names line and column; a question that `like` does not
 * have is one. To be freed with stored_cell_free(), before `like`. */
int expected_load(struct stored_cell *out, const char *path, const struct stored_cell *like, struct err *err);

#endif
