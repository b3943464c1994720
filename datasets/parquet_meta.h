/* What a Parquet file says about itself: the footer and the page headers, as structs. Internal to the Parquet reader.
 * Numbers keep the names and values of parquet.thrift; nothing here has been checked against the file's size. */
#ifndef TOKSWEEP_DATASETS_PARQUET_META_H
#define TOKSWEEP_DATASETS_PARQUET_META_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum parquet_type {
    PARQUET_TYPE_GROUP = -1, /* a schema element without a type */
    PARQUET_TYPE_BOOLEAN = 0,
    PARQUET_TYPE_INT32 = 1,
    PARQUET_TYPE_INT64 = 2,
    PARQUET_TYPE_FLOAT = 4,
    PARQUET_TYPE_DOUBLE = 5,
    PARQUET_TYPE_BYTE_ARRAY = 6,
};
enum parquet_repetition { PARQUET_REQUIRED = 0, PARQUET_OPTIONAL = 1, PARQUET_REPEATED = 2 };
enum parquet_converted { PARQUET_LIST = 3, PARQUET_DECIMAL = 5, PARQUET_UINT_32 = 13, PARQUET_UINT_64 = 14 };
enum parquet_logical { PARQUET_LOGICAL_LIST = 3, PARQUET_LOGICAL_DECIMAL = 5 };
enum parquet_codec { PARQUET_UNCOMPRESSED = 0, PARQUET_SNAPPY = 1, PARQUET_GZIP = 2, PARQUET_ZSTD = 6 };
enum parquet_encoding { PARQUET_PLAIN = 0, PARQUET_PLAIN_DICTIONARY = 2, PARQUET_RLE = 3, PARQUET_RLE_DICTIONARY = 8 };
enum parquet_page_type { PARQUET_DATA_PAGE = 0, PARQUET_INDEX_PAGE = 1, PARQUET_DICTIONARY_PAGE = 2, PARQUET_DATA_PAGE_V2 = 3 };

struct parquet_element { /* one node of the schema, depth first; the root comes first */
    const char *name;
    int64_t type, repetition, n_children;
    int64_t converted, logical; /* -1 where absent */
};

struct parquet_chunk { /* one leaf column in one row group */
    int64_t type, codec, n_values;
    int64_t compressed_bytes, data_page_offset, dictionary_page_offset; /* the last is -1 where absent */
    bool elsewhere; /* in another file */
    bool readable;  /* has metadata, which encrypted columns hide */
};

struct parquet_group {
    int64_t n_rows;
    struct parquet_chunk *chunks;
    size_t n_chunks;
};

struct parquet_meta {
    int64_t n_rows;
    struct parquet_element *elements;
    size_t n_elements;
    struct parquet_group *groups;
    size_t n_groups;
};

struct parquet_page { /* a page's header */
    int64_t type, compressed_bytes, uncompressed_bytes;
    bool has_crc;
    uint32_t crc;
    bool has_body_header; /* the struct that belongs to its type */
    int64_t n_values, encoding;
    int64_t level_encodings[2];                 /* v1: repetition, definition */
    int64_t repetition_bytes, definition_bytes; /* v2 */
    bool is_compressed;                         /* v2; true otherwise */
};

/* Reads the footer of a whole file. ERR_DATA for what is no Parquet file; the text does not name it. */
int parquet_meta_read(struct parquet_meta *out, const uint8_t *file, size_t length, struct arena *arena, struct err *err);

/* Reads the header at `at`, moving it past. */
int parquet_page_read(struct parquet_page *out, const uint8_t **at, const uint8_t *end, struct err *err);

#endif
