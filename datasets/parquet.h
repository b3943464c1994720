/* Parquet: flat columns and lists of strings, as the Hub's benchmark files have them.
 *
 * Reads PLAIN, PLAIN_DICTIONARY, RLE and RLE_DICTIONARY encodings, data pages v1 and v2, uncompressed, snappy, gzip and zstd,
 * any number of row groups, required and optional columns, and three-level (and two-level) lists of them. Physical types:
 * BOOLEAN, INT32, INT64, FLOAT, DOUBLE, BYTE_ARRAY. Every length in the file is checked against what is left of it, and the whole
 * against limits: file 256 MiB, 10 million rows, one page 64 MiB uncompressed, all values together 1 GiB.
 * Format: apache/parquet-format README.md, parquet.thrift, Encodings.md; thrift compact protocol. */
#ifndef TOKSWEEP_DATASETS_PARQUET_H
#define TOKSWEEP_DATASETS_PARQUET_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum parquet_kind { PARQUET_BOOL, PARQUET_INT, PARQUET_REAL, PARQUET_BYTES };

struct parquet_value {
    bool null;
    union {
        int64_t integer; /* INT and BOOL */
        double real;
        struct { const char *bytes; size_t length; } text; /* terminated by NUL past `length` */
    } as;
};

struct parquet_column {
    const char *name;          /* first part of the path: "options" for options.list.element */
    enum parquet_kind kind;
    bool is_list;
    struct parquet_value *values;  /* of all rows, one after the other */
    size_t n_values;
    size_t *row_start;             /* lists: [n_rows + 1] into values; otherwise NULL, row i is values[i] */
};

struct parquet_table {
    size_t n_rows;
    struct parquet_column *columns;
    size_t n_columns;
};

/* Everything the file holds, in `arena`. Columns of kinds this reader does not know (structs, maps, deeper lists, decimals, unsigned
 * 64-bit numbers, other physical types) are skipped; a null list is an empty one. ERR_DATA names the file, the column, the row group
 * and the page, both counted from 0; what was read until then stays in `arena`. */
int parquet_load(struct parquet_table *out, const char *path, struct arena *arena, struct err *err);
int parquet_parse(struct parquet_table *out, const void *bytes, size_t length, const char *name, struct arena *arena, struct err *err);

const struct parquet_column *parquet_column(const struct parquet_table *table, const char *name); /* NULL if absent */

#endif
