/* Thrift's compact protocol: varints, field headers, and skipping of what the caller does not know. */
#include "datasets/thrift.h"

enum { MOST_DEPTH = 32 }; /* of values that are skipped */

static uint8_t byte_read(struct thrift *thrift)
{
    if (thrift->failed || thrift->at == thrift->end) {
        thrift->failed = true;
        return 0;
    }
    return *thrift->at++;
}

uint64_t thrift_varint(struct thrift *thrift)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = byte_read(thrift);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    thrift->failed = true;
    return 0;
}

static int64_t zigzag_read(struct thrift *thrift)
{
    uint64_t value = thrift_varint(thrift);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static void bytes_skip(struct thrift *thrift, uint64_t n)
{
    if (thrift->failed || n > (uint64_t)(thrift->end - thrift->at))
        thrift->failed = true;
    else
        thrift->at += n;
}

bool thrift_next(struct thrift *thrift, struct thrift_field *field)
{
    uint8_t header = byte_read(thrift);
    field->type = header & 15;
    if (thrift->failed || header == 0)
        return false;
    int64_t id = header >> 4 ? field->id + (header >> 4) : zigzag_read(thrift);
    if (field->type == 0 || field->type > THRIFT_STRUCT || id < INT16_MIN || id > INT16_MAX)
        thrift->failed = true;
    field->id = (int16_t)id;
    return !thrift->failed;
}

static bool field_is(struct thrift *thrift, bool matches)
{
    if (!matches)
        thrift->failed = true;
    return !thrift->failed;
}

int64_t thrift_integer(struct thrift *thrift, const struct thrift_field *field)
{
    if (!field_is(thrift, field->type >= THRIFT_I8 && field->type <= THRIFT_I64))
        return 0;
    return field->type == THRIFT_I8 ? (int8_t)byte_read(thrift) : zigzag_read(thrift);
}

bool thrift_bool(struct thrift *thrift, const struct thrift_field *field)
{
    return field_is(thrift, field->type == THRIFT_TRUE || field->type == THRIFT_FALSE) && field->type == THRIFT_TRUE;
}

void thrift_binary(struct thrift *thrift, const struct thrift_field *field, const uint8_t **bytes, size_t *length)
{
    uint64_t n = field_is(thrift, field->type == THRIFT_BINARY) ? thrift_varint(thrift) : 0;
    *bytes = thrift->at;
    bytes_skip(thrift, n);
    *length = thrift->failed ? 0 : (size_t)n;
}

/* A list's header: every element takes at least one byte, so a longer list than there are bytes is a lie. */
static size_t list_enter(struct thrift *thrift, uint8_t *element)
{
    uint8_t header = byte_read(thrift);
    uint64_t n = header >> 4 == 15 ? thrift_varint(thrift) : header >> 4;
    *element = header & 15;
    if (n > (uint64_t)(thrift->end - thrift->at))
        thrift->failed = true;
    return thrift->failed ? 0 : (size_t)n;
}

size_t thrift_list(struct thrift *thrift, const struct thrift_field *field, uint8_t element)
{
    uint8_t found = element;
    size_t n = field_is(thrift, field->type == THRIFT_LIST) ? list_enter(thrift, &found) : 0;
    return field_is(thrift, n == 0 || found == element) ? n : 0;
}

bool thrift_struct(struct thrift *thrift, const struct thrift_field *field)
{
    return field_is(thrift, field->type == THRIFT_STRUCT);
}

static void value_skip(struct thrift *thrift, uint8_t type, bool in_container, int depth);

static void struct_skip(struct thrift *thrift, int depth)
{
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field))
        value_skip(thrift, field.type, false, depth);
}

static void list_skip(struct thrift *thrift, int depth)
{
    uint8_t element;
    for (size_t n = list_enter(thrift, &element); n > 0 && !thrift->failed; n--)
        value_skip(thrift, element, true, depth);
}

static void map_skip(struct thrift *thrift, int depth)
{
    uint64_t n = thrift_varint(thrift);
    uint8_t types = n ? byte_read(thrift) : 0;
    for (; n > 0 && !thrift->failed; n--) {
        value_skip(thrift, types >> 4, true, depth);
        value_skip(thrift, types & 15, true, depth);
    }
}

/* A boolean is part of a field's header, but a byte of its own in lists and maps. */
static void value_skip(struct thrift *thrift, uint8_t type, bool in_container, int depth)
{
    if (depth == MOST_DEPTH)
        thrift->failed = true;
    else if (type == THRIFT_TRUE || type == THRIFT_FALSE)
        bytes_skip(thrift, in_container ? 1 : 0);
    else if (type == THRIFT_I8)
        bytes_skip(thrift, 1);
    else if (type >= THRIFT_I16 && type <= THRIFT_I64)
        thrift_varint(thrift);
    else if (type == THRIFT_DOUBLE)
        bytes_skip(thrift, 8);
    else if (type == THRIFT_BINARY)
        bytes_skip(thrift, thrift_varint(thrift));
    else if (type == THRIFT_LIST || type == THRIFT_SET)
        list_skip(thrift, depth + 1);
    else if (type == THRIFT_MAP)
        map_skip(thrift, depth + 1);
    else if (type == THRIFT_STRUCT)
        struct_skip(thrift, depth + 1);
    else
        thrift->failed = true;
}

void thrift_skip(struct thrift *thrift, uint8_t type)
{
    value_skip(thrift, type, false, 0);
}
