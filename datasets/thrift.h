/* Thrift's compact protocol, read only: what Parquet's footer and page headers are written in.
 *
 * A reader fails once and for good: after that every call gives zero or false, so that a run of reads needs one check at its end.
 * It never reads past `end`, and every step takes at least one byte, so that it ends. Format: apache/thrift, compact protocol. */
#ifndef TOKSWEEP_DATASETS_THRIFT_H
#define TOKSWEEP_DATASETS_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thrift {
    const uint8_t *at, *end;
    bool failed;
};

enum thrift_type {
    THRIFT_TRUE = 1,
    THRIFT_FALSE = 2,
    THRIFT_I8 = 3,
    THRIFT_I16 = 4,
    THRIFT_I32 = 5,
    THRIFT_I64 = 6,
    THRIFT_DOUBLE = 7,
    THRIFT_BINARY = 8,
    THRIFT_LIST = 9,
    THRIFT_SET = 10,
    THRIFT_MAP = 11,
    THRIFT_STRUCT = 12,
};

struct thrift_field { /* zero-initialise before the first field of a struct */
    int16_t id;
    uint8_t type;
};

/* Goes to the next field of the struct that is being read; false at its end or on failure. The caller reads or skips its value. */
bool thrift_next(struct thrift *thrift, struct thrift_field *field);

/* The value of the field just met; a field of another type is a failure. */
int64_t thrift_integer(struct thrift *thrift, const struct thrift_field *field); /* I8 to I64 */
bool thrift_bool(struct thrift *thrift, const struct thrift_field *field);
void thrift_binary(struct thrift *thrift, const struct thrift_field *field, const uint8_t **bytes, size_t *length); /* borrowed */
void thrift_skip(struct thrift *thrift, uint8_t type);

/* Enters a list of `element`s and gives their number, at most the bytes left: the caller reads so many. */
size_t thrift_list(struct thrift *thrift, const struct thrift_field *field, uint8_t element);

/* An unsigned varint (ULEB128), outside of any field: the runs inside Parquet's pages begin with one. */
uint64_t thrift_varint(struct thrift *thrift);

/* Enters a struct in a field; the caller then loops with a fresh thrift_field. List elements that are structs need no entering. */
bool thrift_struct(struct thrift *thrift, const struct thrift_field *field);

#endif
