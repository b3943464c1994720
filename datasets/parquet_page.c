/* Pages of Parquet: from compressed bytes to levels and values. A page is decompressed into one scratch buffer; only texts outlive
 * it, copied once into the arena and shared by all rows that name the same dictionary entry. */
#include "datasets/parquet_page.h"

#include "datasets/thrift.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

struct span {
    const uint8_t *at, *end;
};

static size_t span_length(struct span span)
{
    return (size_t)(span.end - span.at);
}

/* ---- decompression ------------------------------------------------------------------------------------------------------- */

static bool snappy_expand(struct span from, uint8_t *to, size_t size)
{
    size_t stated = 0;
    return snappy_uncompressed_length((const char *)from.at, span_length(from), &stated) == SNAPPY_OK && stated == size &&
           snappy_uncompress((const char *)from.at, span_length(from), (char *)to, &stated) == SNAPPY_OK;
}

static bool gzip_expand(struct span from, uint8_t *to, size_t size)
{
    enum { GZIP_OR_ZLIB = 15 + 32 };
    z_stream stream = {.next_in = (Bytef *)from.at, .avail_in = (uInt)span_length(from), .next_out = to, .avail_out = (uInt)size};
    if (inflateInit2(&stream, GZIP_OR_ZLIB) != Z_OK)
        return false;
    bool whole = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
    inflateEnd(&stream);
    return whole;
}

static bool zstd_expand(struct span from, uint8_t *to, size_t size)
{
    return ZSTD_decompress(to, size, from.at, span_length(from)) == size;
}

static const struct codec {
    int64_t id;
    const char *name;
    bool (*expand)(struct span from, uint8_t *to, size_t size); /* to exactly `size` bytes, or false */
} codecs[] = {{PARQUET_SNAPPY, "snappy", snappy_expand}, {PARQUET_GZIP, "gzip", gzip_expand}, {PARQUET_ZSTD, "zstd", zstd_expand}};

static const struct codec *codec_find(int64_t id)
{
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (codecs[i].id == id)
            return &codecs[i];
    return NULL;
}

/* At least one byte, so that an empty page has an address too. */
static bool scratch_reserve(struct parquet_scratch *scratch, size_t size)
{
    if (scratch->bytes && scratch->capacity >= size)
        return true;
    free(scratch->bytes);
    *scratch = (struct parquet_scratch){.bytes = malloc(size + 1), .capacity = size};
    return scratch->bytes;
}

/* Makes *span the `size` bytes that it holds once decompressed. */
static int span_expand(struct span *span, size_t size, int64_t codec_id, struct parquet_scratch *scratch, struct err *err)
{
    if (codec_id == PARQUET_UNCOMPRESSED) {
        if (span_length(*span) == size)
            return 0;
        return err_set(err, ERR_DATA, "an uncompressed page has %zu bytes where %zu are stated", span_length(*span), size);
    }
    const struct codec *codec = codec_find(codec_id);
    if (!codec)
        return err_set(err, ERR_DATA, "compressed with codec %lld; write the file with snappy, gzip, zstd or none", (long long)codec_id);
    if (!scratch_reserve(scratch, size))
        return err_no_memory(err, "a page");
    if (!codec->expand(*span, scratch->bytes, size))
        return err_set(err, ERR_DATA, "the %s data does not decompress to the stated %zu bytes; fetch the file again", codec->name, size);
    *span = (struct span){scratch->bytes, scratch->bytes + size};
    return 0;
}

/* ---- runs ---------------------------------------------------------------------------------------------------------------- */

static bool run_open(struct parquet_runs *runs)
{
    struct thrift reader = {.at = runs->at, .end = runs->end};
    uint64_t header = thrift_varint(&reader), n = header >> 1;
    size_t left = (size_t)(reader.end - reader.at);
    runs->packed = header & 1;
    if (reader.failed || header > UINT32_MAX)
        return false;
    uint64_t bytes = runs->packed ? n * runs->width : (runs->width + 7) / 8;
    if (runs->packed) {
        /* The last group may be cut after the last number that counts. */
        bytes = bytes < left ? bytes : left;
        runs->left = n * 8;
        runs->bits = reader.at;
        runs->bit = 0;
        runs->n_bits = bytes * 8;
    } else {
        if (bytes > left)
            return false;
        runs->left = n;
        runs->repeated = 0;
        for (uint64_t i = 0; i < bytes; i++)
            runs->repeated |= (uint32_t)reader.at[i] << (8 * i);
    }
    runs->at = reader.at + bytes;
    return true;
}

static uint32_t bits_read(const uint8_t *bytes, uint64_t bit, unsigned width)
{
    uint64_t value = 0;
    unsigned skipped = (unsigned)(bit % 8);
    for (unsigned i = 0; 8 * i < skipped + width; i++)
        value |= (uint64_t)bytes[bit / 8 + i] << (8 * i);
    return (uint32_t)(value >> skipped & (((uint64_t)1 << width) - 1));
}

bool parquet_runs_next(struct parquet_runs *runs, uint32_t *out)
{
    while (!runs->left)
        if (!run_open(runs))
            return false;
    runs->left--;
    *out = runs->repeated;
    if (!runs->packed)
        return true;
    if (runs->bit + runs->width > runs->n_bits)
        return false;
    *out = bits_read(runs->bits, runs->bit, runs->width);
    runs->bit += runs->width;
    return true;
}

/* ---- values -------------------------------------------------------------------------------------------------------------- */

static uint64_t little_endian(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static int values_ended(struct err *err)
{
    return err_set(err, ERR_DATA, "the page ends before its last value; fetch the file again");
}

static int text_next(struct parquet_values *values, struct parquet_value *out, struct err *err)
{
    size_t left = (size_t)(values->end - values->at);
    uint64_t length = left < 4 ? 0 : little_endian(values->at, 4);
    if (left < 4 || length > left - 4)
        return values_ended(err);
    memcpy(values->text, values->at + 4, (size_t)length);
    values->text[length] = 0;
    out->as.text.bytes = values->text;
    out->as.text.length = (size_t)length;
    values->text += length + 1;
    values->at += 4 + length;
    return 0;
}

static void number_decode(uint64_t bits, const struct parquet_leaf *leaf, struct parquet_value *out)
{
    uint32_t low = (uint32_t)bits;
    float single;
    memcpy(&single, &low, sizeof single);
    switch (leaf->type) {
    case PARQUET_TYPE_FLOAT: out->as.real = (double)single; break;
    case PARQUET_TYPE_DOUBLE: memcpy(&out->as.real, &bits, sizeof bits); break;
    case PARQUET_TYPE_INT32: out->as.integer = leaf->converted == PARQUET_UINT_32 ? (int64_t)low : (int32_t)low; break;
    default: out->as.integer = (int64_t)bits;
    }
}

static int plain_next(struct parquet_values *values, struct parquet_value *out, struct err *err)
{
    int64_t type = values->leaf->type;
    if (type == PARQUET_TYPE_BYTE_ARRAY)
        return text_next(values, out, err);
    size_t size = type == PARQUET_TYPE_INT32 || type == PARQUET_TYPE_FLOAT ? 4 : 8;
    if ((size_t)(values->end - values->at) < size)
        return values_ended(err);
    number_decode(little_endian(values->at, size), values->leaf, out);
    values->at += size;
    return 0;
}

int parquet_values_next(struct parquet_values *values, struct parquet_value *out, struct err *err)
{
    uint32_t number;
    if (!values->dictionary && values->leaf->type != PARQUET_TYPE_BOOLEAN)
        return plain_next(values, out, err);
    if (!parquet_runs_next(&values->runs, &number))
        return values_ended(err);
    if (!values->dictionary)
        out->as.integer = number;
    else if (number < values->dictionary->n)
        *out = values->dictionary->values[number];
    else
        return err_set(err, ERR_DATA, "a value is entry %u of a dictionary of %zu; fetch the file again", number, values->dictionary->n);
    return 0;
}

static int plain_open(struct parquet_values *out, struct span span, struct arena *arena, struct err *err)
{
    out->at = span.at;
    out->end = span.end;
    if (out->leaf->type == PARQUET_TYPE_BOOLEAN)
        out->runs = (struct parquet_runs){.width = 1, .packed = true, .left = 8 * span_length(span), .bits = span.at,
                                          .n_bits = 8 * span_length(span)};
    /* Each text's NUL takes less than the four bytes of its length, so what they came in holds them. */
    if (out->leaf->type == PARQUET_TYPE_BYTE_ARRAY && !(out->text = arena_alloc(arena, span_length(span), 1)))
        return err_no_memory(err, "the texts of a page");
    return 0;
}

static int indices_open(struct parquet_values *out, struct span span, const struct parquet_dictionary *dictionary, struct err *err)
{
    if (!dictionary->values)
        return err_set(err, ERR_DATA, "the page needs a dictionary, and none comes before it; fetch the file again");
    out->dictionary = dictionary;
    if (span.at == span.end) /* all values are null */
        return 0;
    if (*span.at > 32)
        return err_set(err, ERR_DATA, "dictionary indices have %u bits, more than 32; fetch the file again", *span.at);
    out->runs = (struct parquet_runs){.at = span.at + 1, .end = span.end, .width = *span.at};
    return 0;
}

/* Takes a length of four bytes and so many bytes off the front of `span`. */
static bool runs_take(struct parquet_runs *out, struct span *span, unsigned width)
{
    size_t left = span_length(*span);
    uint64_t length = left < 4 ? 0 : little_endian(span->at, 4);
    if (left < 4 || length > left - 4)
        return false;
    span->at += 4 + length;
    *out = (struct parquet_runs){.at = span->at - length, .end = span->at, .width = width};
    return true;
}

static int values_open(struct parquet_values *out, int64_t encoding, struct span span, const struct parquet_leaf *leaf,
                       const struct parquet_dictionary *dictionary, struct arena *arena, struct err *err)
{
    *out = (struct parquet_values){.leaf = leaf};
    if (encoding == PARQUET_PLAIN)
        return plain_open(out, span, arena, err);
    if (encoding == PARQUET_RLE_DICTIONARY || encoding == PARQUET_PLAIN_DICTIONARY)
        return indices_open(out, span, dictionary, err);
    if (encoding == PARQUET_RLE && leaf->type == PARQUET_TYPE_BOOLEAN)
        return span.at == span.end || runs_take(&out->runs, &span, 1) ? 0 : values_ended(err);
    return err_set(err, ERR_DATA, "values are in encoding %lld; write the file with PLAIN or dictionary encoding", (long long)encoding);
}

/* ---- pages --------------------------------------------------------------------------------------------------------------- */

static unsigned bits_for(uint32_t most)
{
    unsigned bits = 0;
    while (most >> bits)
        bits++;
    return bits;
}

/* Levels of a v1 page stand, each with its length, before the values, compressed with them. */
static int levels_open_v1(struct parquet_body *out, const struct parquet_page *header, const struct parquet_leaf *leaf, struct span *span,
                          struct err *err)
{
    const uint32_t most[2] = {leaf->most_repetition, leaf->most_definition};
    struct parquet_runs *runs[2] = {&out->repetition, &out->definition};
    for (int i = 0; i < 2; i++) {
        if (!most[i])
            continue;
        if (header->level_encodings[i] != PARQUET_RLE)
            return err_set(err, ERR_DATA, "levels are in encoding %lld; write the file with RLE levels",
                           (long long)header->level_encodings[i]);
        if (!runs_take(runs[i], span, bits_for(most[i])))
            return err_set(err, ERR_DATA, "the page ends inside its levels; fetch the file again");
    }
    return 0;
}

static int body_open_v1(struct parquet_body *out, const struct parquet_page *header, struct span *span, const struct parquet_leaf *leaf,
                        struct parquet_scratch *scratch, struct err *err)
{
    int rc = span_expand(span, (size_t)header->uncompressed_bytes, leaf->codec, scratch, err);
    return rc ? rc : levels_open_v1(out, header, leaf, span, err);
}

/* Levels of a v2 page stand before the values too, but are never compressed, and the page's header has their lengths. */
static int body_open_v2(struct parquet_body *out, const struct parquet_page *header, struct span *span, const struct parquet_leaf *leaf,
                        struct parquet_scratch *scratch, struct err *err)
{
    int64_t least = header->compressed_bytes < header->uncompressed_bytes ? header->compressed_bytes : header->uncompressed_bytes;
    int64_t repetition = header->repetition_bytes, definition = header->definition_bytes;
    if (repetition < 0 || definition < 0 || repetition > least || definition > least - repetition)
        return err_set(err, ERR_DATA, "the levels say they have %lld and %lld bytes in a page of %lld; fetch the file again",
                       (long long)repetition, (long long)definition, (long long)least);
    const uint8_t *middle = span->at + repetition, *values = middle + definition;
    out->repetition = (struct parquet_runs){.at = span->at, .end = middle, .width = bits_for(leaf->most_repetition)};
    out->definition = (struct parquet_runs){.at = middle, .end = values, .width = bits_for(leaf->most_definition)};
    span->at = values;
    size_t size = (size_t)(header->uncompressed_bytes - repetition - definition);
    bool plain = !header->is_compressed || (size == 0 && span->at == span->end);
    return span_expand(span, size, plain ? PARQUET_UNCOMPRESSED : leaf->codec, scratch, err);
}

int parquet_body_open(struct parquet_body *out, const struct parquet_page *header, const uint8_t *bytes, const struct parquet_leaf *leaf,
                      const struct parquet_dictionary *dictionary, struct parquet_scratch *scratch, struct arena *arena, struct err *err)
{
    struct span span = {bytes, bytes + header->compressed_bytes};
    *out = (struct parquet_body){0};
    int rc = header->type == PARQUET_DATA_PAGE_V2 ? body_open_v2(out, header, &span, leaf, scratch, err)
                                                  : body_open_v1(out, header, &span, leaf, scratch, err);
    return rc ? rc : values_open(&out->values, header->encoding, span, leaf, dictionary, arena, err);
}

int parquet_dictionary_read(struct parquet_dictionary *out, const struct parquet_page *header, const uint8_t *bytes,
                            const struct parquet_leaf *leaf, struct parquet_scratch *scratch, struct arena *arena, struct err *err)
{
    if (header->encoding != PARQUET_PLAIN && header->encoding != PARQUET_PLAIN_DICTIONARY)
        return err_set(err, ERR_DATA, "the dictionary is in encoding %lld; write the file with PLAIN dictionaries",
                       (long long)header->encoding);
    struct span span = {bytes, bytes + header->compressed_bytes};
    struct parquet_values values;
    int rc = span_expand(&span, (size_t)header->uncompressed_bytes, leaf->codec, scratch, err);
    if (!rc)
        rc = values_open(&values, PARQUET_PLAIN, span, leaf, NULL, arena, err);
    if (rc)
        return rc;
    size_t n = (size_t)header->n_values;
    *out = (struct parquet_dictionary){.values = arena_alloc(arena, n, sizeof *out->values), .n = n};
    if (!out->values)
        return err_no_memory(err, "a dictionary");
    for (size_t i = 0; i < n && !rc; i++)
        rc = parquet_values_next(&values, &out->values[i], err);
    return rc;
}
