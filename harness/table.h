/* Tables: one set of rows, printed for a terminal, Markdown, CSV, JSON or LaTeX. */
#ifndef TOKSWEEP_HARNESS_TABLE_H
#define TOKSWEEP_HARNESS_TABLE_H

#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>

enum table_format { TABLE_TERMINAL, TABLE_MARKDOWN, TABLE_CSV, TABLE_JSON, TABLE_LATEX };

int table_format_find(const char *name); /* "terminal", "md", "csv", "json", "latex"; -1 */

enum { TABLE_MOST_COLUMNS = 32 };

struct table { /* zero-initialise */
    struct { const char *name; bool number; } columns[TABLE_MOST_COLUMNS];
    size_t n_columns;
    char **cells; /* row by row */
    size_t n_cells;
    bool failed;  /* memory ran out */
};

void table_column(struct table *table, const char *name, bool number);

/* Adds the next cell, row by row. Numbers are aligned right, and are numbers in JSON; "" is null there. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends the table to `out`. false when memory ran out. */
bool table_write(const struct table *table, enum table_format format, struct text *out);
void table_free(struct table *table);

#endif
