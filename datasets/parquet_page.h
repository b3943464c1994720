/* The inside of a Parquet page: decompression, levels, values. Internal to the Parquet reader; parquet.c knows which page belongs
 * to which column and what its levels mean. Errors do not name the file: the caller does. */
#ifndef TOKSWEEP_DATASETS_PARQUET_PAGE_H
#define TOKSWEEP_DATASETS_PARQUET_PAGE_H

#include "core/arena.h"
#include "core/err.h"
#include "datasets/parquet.h"
#include "datasets/parquet_meta.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PARQUET_MOST_PAGE = 64 << 20 }; /* bytes of a page, compressed or not */

/* Numbers of a fixed width as runs: repeated ones, or packed bits. Holds levels, dictionary indices and booleans. */
struct parquet_runs {
    const uint8_t *at, *end; /* of the runs that are not open yet */
    unsigned width;          /* bits of a number, up to 32 */
    uint64_t left;           /* numbers in the open run */
    bool packed;
    uint32_t repeated;       /* the number of a repeated run */
    const uint8_t *bits;     /* of a packed run */
    uint64_t bit, n_bits;
};

/* False when the runs end before the next number. */
bool parquet_runs_next(struct parquet_runs *runs, uint32_t *out);

struct parquet_leaf { /* what pages must know about their column */
    int64_t type, converted, codec;
    uint32_t most_repetition, most_definition;
};

struct parquet_dictionary {
    struct parquet_value *values; /* NULL: there is none */
    size_t n;
};

struct parquet_values { /* the values of a page that are not null, one after the other */
    const struct parquet_leaf *leaf;
    const uint8_t *at, *end;                    /* PLAIN */
    char *text;                                 /* where the next text goes */
    struct parquet_runs runs;                   /* booleans and indices */
    const struct parquet_dictionary *dictionary; /* NULL when values are not indices */
};

struct parquet_body { /* a data page, open */
    struct parquet_runs repetition, definition; /* unused where the most is 0 */
    struct parquet_values values;
};

struct parquet_scratch { /* zero-initialise; bytes of the page that was decompressed last */
    uint8_t *bytes;
    size_t capacity;
};

/* Opens a data page, v1 or v2, of header->compressed_bytes at `bytes`; texts go to `arena`. The body borrows bytes, scratch and
 * dictionary. */
int parquet_body_open(struct parquet_body *out, const struct parquet_page *header, const uint8_t *bytes, const struct parquet_leaf *leaf,
                      const struct parquet_dictionary *dictionary, struct parquet_scratch *scratch, struct arena *arena, struct err *err);

/* Reads a dictionary page, values and texts into `arena`. */
int parquet_dictionary_read(struct parquet_dictionary *out, const struct parquet_page *header, const uint8_t *bytes,
                            const struct parquet_leaf *leaf, struct parquet_scratch *scratch, struct arena *arena, struct err *err);

/* The next value; ERR_DATA when there is none. */
int parquet_values_next(struct parquet_values *values, struct parquet_value *out, struct err *err);

#endif
