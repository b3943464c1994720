/* Parquet's footer and page headers: thrift structs of parquet.thrift, the fields that reading values needs. */
#include "datasets/parquet_meta.h"

#include "datasets/thrift.h"

#include <string.h>

enum {
    MOST_FOOTER = 16 << 20,
    MOST_ELEMENTS = 1 << 14,
    MOST_CHUNKS = 1 << 18, /* of all row groups */
    TRAILER = 8,           /* footer length and magic */
};

struct footer {
    struct thrift thrift;
    struct arena *arena;
    size_t n_chunks;
    bool no_memory;
};

/* An array for a thrift list of `n`; NULL makes the reader fail, so that loops over it end. */
static void *array_new(struct footer *footer, size_t n, size_t size)
{
    void *array = arena_alloc(footer->arena, n, size);
    if (!array)
        footer->no_memory = footer->thrift.failed = true;
    return array;
}

static int64_t logical_type_read(struct thrift *thrift)
{
    int64_t logical = -1;
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        logical = field.id;
        thrift_skip(thrift, field.type);
    }
    return logical;
}

static void name_read(struct footer *footer, const struct thrift_field *field, const char **name)
{
    const uint8_t *bytes;
    size_t length;
    thrift_binary(&footer->thrift, field, &bytes, &length);
    *name = arena_strndup(footer->arena, (const char *)bytes, length);
    if (!*name)
        footer->no_memory = footer->thrift.failed = true;
}

static void element_read(struct footer *footer, struct parquet_element *out)
{
    *out = (struct parquet_element){.name = "", .type = PARQUET_TYPE_GROUP, .converted = -1, .logical = -1};
    struct thrift *thrift = &footer->thrift;
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        switch (field.id) {
        case 1: out->type = thrift_integer(thrift, &field); break;
        case 3: out->repetition = thrift_integer(thrift, &field); break;
        case 4: name_read(footer, &field, &out->name); break;
        case 5: out->n_children = thrift_integer(thrift, &field); break;
        case 6: out->converted = thrift_integer(thrift, &field); break;
        case 10: out->logical = thrift_struct(thrift, &field) ? logical_type_read(thrift) : -1; break;
        default: thrift_skip(thrift, field.type);
        }
    }
}

static void chunk_meta_read(struct thrift *thrift, struct parquet_chunk *out)
{
    out->readable = true;
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        switch (field.id) {
        case 1: out->type = thrift_integer(thrift, &field); break;
        case 4: out->codec = thrift_integer(thrift, &field); break;
        case 5: out->n_values = thrift_integer(thrift, &field); break;
        case 7: out->compressed_bytes = thrift_integer(thrift, &field); break;
        case 9: out->data_page_offset = thrift_integer(thrift, &field); break;
        case 11: out->dictionary_page_offset = thrift_integer(thrift, &field); break;
        default: thrift_skip(thrift, field.type);
        }
    }
}

static void chunk_read(struct thrift *thrift, struct parquet_chunk *out)
{
    *out = (struct parquet_chunk){.dictionary_page_offset = -1};
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        if (field.id == 1)
            out->elsewhere = true;
        if (field.id == 3 && thrift_struct(thrift, &field))
            chunk_meta_read(thrift, out);
        else
            thrift_skip(thrift, field.type);
    }
}

static void group_read(struct footer *footer, struct parquet_group *out)
{
    struct thrift *thrift = &footer->thrift;
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        if (field.id == 1) {
            size_t n = thrift_list(thrift, &field, THRIFT_STRUCT);
            footer->n_chunks += n;
            if (footer->n_chunks > MOST_CHUNKS)
                thrift->failed = true;
            else
                out->chunks = array_new(footer, out->n_chunks = n, sizeof *out->chunks);
            for (size_t i = 0; i < out->n_chunks && !thrift->failed; i++)
                chunk_read(thrift, &out->chunks[i]);
        } else if (field.id == 3) {
            out->n_rows = thrift_integer(thrift, &field);
        } else {
            thrift_skip(thrift, field.type);
        }
    }
}

static void elements_read(struct footer *footer, const struct thrift_field *field, struct parquet_meta *out)
{
    size_t n = thrift_list(&footer->thrift, field, THRIFT_STRUCT);
    if (out->elements || n > MOST_ELEMENTS)
        footer->thrift.failed = true;
    else
        out->elements = array_new(footer, out->n_elements = n, sizeof *out->elements);
    for (size_t i = 0; i < out->n_elements && !footer->thrift.failed; i++)
        element_read(footer, &out->elements[i]);
}

static void groups_read(struct footer *footer, const struct thrift_field *field, struct parquet_meta *out)
{
    size_t n = thrift_list(&footer->thrift, field, THRIFT_STRUCT);
    if (out->groups || n > MOST_CHUNKS)
        footer->thrift.failed = true;
    else
        out->groups = array_new(footer, out->n_groups = n, sizeof *out->groups);
    for (size_t i = 0; i < out->n_groups && !footer->thrift.failed; i++)
        group_read(footer, &out->groups[i]);
}

static int footer_read(struct parquet_meta *out, const uint8_t *at, const uint8_t *end, struct arena *arena, struct err *err)
{
    struct footer footer = {.thrift = {.at = at, .end = end}, .arena = arena};
    struct thrift_field field = {0};
    while (thrift_next(&footer.thrift, &field)) {
        switch (field.id) {
        case 2: elements_read(&footer, &field, out); break;
        case 3: out->n_rows = thrift_integer(&footer.thrift, &field); break;
        case 4: groups_read(&footer, &field, out); break;
        default: thrift_skip(&footer.thrift, field.type);
        }
    }
    if (footer.no_memory)
        return err_no_memory(err, "the footer of a Parquet file");
    if (footer.thrift.failed)
        return err_set(err, ERR_DATA, "the footer is ill-formed near its byte %zu; fetch the file again",
                       (size_t)(footer.thrift.at - at));
    return 0;
}

int parquet_meta_read(struct parquet_meta *out, const uint8_t *file, size_t length, struct arena *arena, struct err *err)
{
    *out = (struct parquet_meta){0};
    if (length < 4 + TRAILER || memcmp(file, "PAR1", 4))
        return err_set(err, ERR_DATA, "not a Parquet file: it does not begin with 'PAR1'");
    const uint8_t *trailer = file + length - TRAILER;
    if (!memcmp(trailer + 4, "PARE", 4))
        return err_set(err, ERR_DATA, "the footer is encrypted; only plain Parquet files are read");
    if (memcmp(trailer + 4, "PAR1", 4))
        return err_set(err, ERR_DATA, "the file does not end with 'PAR1' and is probably cut; fetch it again");
    uint32_t size = trailer[0] | (uint32_t)trailer[1] << 8 | (uint32_t)trailer[2] << 16 | (uint32_t)trailer[3] << 24;
    if (size > length - 4 - TRAILER || size > MOST_FOOTER)
        return err_set(err, ERR_DATA, "the footer says it has %u bytes in a file of %zu; fetch the file again", size, length);
    return footer_read(out, trailer - size, trailer, arena, err);
}

static void data_header_read(struct thrift *thrift, struct parquet_page *out)
{
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        switch (field.id) {
        case 1: out->n_values = thrift_integer(thrift, &field); break;
        case 2: out->encoding = thrift_integer(thrift, &field); break;
        case 3: out->level_encodings[1] = thrift_integer(thrift, &field); break;
        case 4: out->level_encodings[0] = thrift_integer(thrift, &field); break;
        default: thrift_skip(thrift, field.type);
        }
    }
}

static void dictionary_header_read(struct thrift *thrift, struct parquet_page *out)
{
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        switch (field.id) {
        case 1: out->n_values = thrift_integer(thrift, &field); break;
        case 2: out->encoding = thrift_integer(thrift, &field); break;
        default: thrift_skip(thrift, field.type);
        }
    }
}

static void data_v2_header_read(struct thrift *thrift, struct parquet_page *out)
{
    struct thrift_field field = {0};
    while (thrift_next(thrift, &field)) {
        switch (field.id) {
        case 1: out->n_values = thrift_integer(thrift, &field); break;
        case 4: out->encoding = thrift_integer(thrift, &field); break;
        case 5: out->definition_bytes = thrift_integer(thrift, &field); break;
        case 6: out->repetition_bytes = thrift_integer(thrift, &field); break;
        case 7: out->is_compressed = thrift_bool(thrift, &field); break;
        default: thrift_skip(thrift, field.type);
        }
    }
}

/* The field in which a page header holds the struct of its type; 0 for types without values. */
static int16_t body_header_field(int64_t type)
{
    return type == PARQUET_DATA_PAGE ? 5 : type == PARQUET_DICTIONARY_PAGE ? 7 : type == PARQUET_DATA_PAGE_V2 ? 8 : 0;
}

static void body_header_read(struct thrift *thrift, const struct thrift_field *field, struct parquet_page *out)
{
    if (!thrift_struct(thrift, field))
        return;
    out->has_body_header = true;
    if (out->type == PARQUET_DATA_PAGE_V2)
        data_v2_header_read(thrift, out);
    else if (out->type == PARQUET_DICTIONARY_PAGE)
        dictionary_header_read(thrift, out);
    else
        data_header_read(thrift, out);
}

int parquet_page_read(struct parquet_page *out, const uint8_t **at, const uint8_t *end, struct err *err)
{
    *out = (struct parquet_page){.type = -1, .level_encodings = {PARQUET_RLE, PARQUET_RLE}, .is_compressed = true};
    struct thrift thrift = {.at = *at, .end = end};
    struct thrift_field field = {0};
    while (thrift_next(&thrift, &field)) {
        if (field.id == 1) {
            out->type = thrift_integer(&thrift, &field);
        } else if (field.id == 2) {
            out->uncompressed_bytes = thrift_integer(&thrift, &field);
        } else if (field.id == 3) {
            out->compressed_bytes = thrift_integer(&thrift, &field);
        } else if (field.id == 4) {
            out->has_crc = true;
            out->crc = (uint32_t)thrift_integer(&thrift, &field);
        } else if (field.id == body_header_field(out->type)) {
            body_header_read(&thrift, &field, out);
        } else {
            thrift_skip(&thrift, field.type);
        }
    }
    if (thrift.failed)
        return err_set(err, ERR_DATA, "the page's header is ill-formed; fetch the file again");
    if (!out->has_body_header && body_header_field(out->type))
        return err_set(err, ERR_DATA, "the page's header lacks the part for pages of type %lld", (long long)out->type);
    *at = thrift.at;
    return 0;
}
