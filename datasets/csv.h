/* CSV as RFC 4180 has it: quoted fields with commas, quotes ("") and line ends in them; lines end with LF or CRLF. Internal to
 * datasets/. The first record names the columns. Lenient only where nothing is lost: a byte order mark, blank lines, quotes inside a
 * field that does not begin with one. */
#ifndef TOKSWEEP_DATASETS_CSV_H
#define TOKSWEEP_DATASETS_CSV_H

#include "core/arena.h"
#include "core/err.h"

#include <stddef.h>

enum { CSV_MOST_COLUMNS = 1000 };

struct csv_table {
    size_t n_columns, n_rows; /* rows without the first record */
    const char *const *names; /* [n_columns], each once */
    const char *const *cells; /* [n_rows][n_columns]; an empty field is "" */
    const size_t *lines;      /* [n_rows] where each row begins in the file, from 1 */
};

/* Reads all of it into `arena`. ERR_DATA names the file and the line: no UTF-8, NUL, a quoted field that does not end or goes on behind
 * its end, a row with more or fewer fields than the first, too many columns, two of one name. */
int csv_parse(struct csv_table *out, const char *bytes, size_t length, const char *name, struct arena *arena, struct err *err);

/* Number of a column, -1 if there is none of that name. */
int csv_column(const struct csv_table *table, const char *name);

#endif
