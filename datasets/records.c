/* Records: one walk over the rows of Parquet, JSON lists and JSON Lines. A Parquet cell is turned into a JSON value when it is
 * asked for, so that types are checked and complained about in one place. */
#include "datasets/records.h"

#include "core/digest.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "datasets/parquet.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILE = 256 << 20 };

enum form { FORM_PARQUET, FORM_LIST, FORM_LINES };

struct records {
    char *path;
    const char *nested;
    enum form form;
    char digest[DIGEST_HEX];
    size_t number; /* of records met so far: the current one is number - 1 */

    char *bytes; /* of the file; JSON Lines are parsed from them one by one */
    size_t length, at;
    size_t line;

    struct json *tree;                 /* FORM_LIST: the list; FORM_LINES: the current line */
    const struct json *outer, *record; /* the object that holds the current record, or is it; the current record */

    struct arena arena; /* FORM_PARQUET */
    struct parquet_table table;
    struct json *cell; /* the value asked for last */
};

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

static int fail_at(const struct records *records, struct err *err, const char *format, va_list args)
{
    char text[sizeof err->text];
    vsnprintf(text, sizeof text, format, args);
    if (records->form == FORM_LINES)
        return err_set(err, ERR_DATA, "'%s', line %zu: %s", records->path, records->line, text);
    return err_set(err, ERR_DATA, "'%s', row %zu: %s", records->path, records->number - 1, text);
}

int records_fail(const struct records *records, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fail_at(records, err, format, args);
    va_end(args);
    return rc;
}

/* A Parquet file lacks a column in all rows: naming those it has shows what was misspelt. */
static int fail_absent(const struct records *records, const char *key, struct err *err)
{
    if (records->form != FORM_PARQUET)
        return records_fail(records, err, "no field '%s'", key);
    struct text names = {0};
    for (size_t i = 0; i < records->table.n_columns; i++)
        text_printf(&names, "%s%s", i ? ", " : "", records->table.columns[i].name);
    char *list = text_take(&names);
    int rc = err_set(err, ERR_DATA, "'%s': no column '%s'; it has %s", records->path, key, list ? list : "others");
    free(list);
    return rc;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static bool form_detect(const char *bytes, size_t length, enum form *form)
{
    size_t blank = 0;
    while (blank < length && strchr(" \t\r\n", bytes[blank]) && bytes[blank])
        blank++;
    char first = blank < length ? bytes[blank] : 0;
    *form = first == '[' ? FORM_LIST : first == '{' ? FORM_LINES : FORM_PARQUET;
    return first == '[' || first == '{' || (length >= 4 && !memcmp(bytes, "PAR1", 4));
}

static int form_open(struct records *records, struct err *err)
{
    if (!form_detect(records->bytes, records->length, &records->form))
        return err_set(err, ERR_DATA,
                       "'%s' is no manifest: it begins neither with 'PAR1' (Parquet) nor with '[' (a JSON list) nor with '{' (JSON Lines)",
                       records->path);
    if (records->form == FORM_PARQUET)
        return parquet_parse(&records->table, records->bytes, records->length, records->path, &records->arena, err);
    if (records->form == FORM_LIST)
        return json_parse(&records->tree, records->bytes, records->length, records->path, err);
    return 0;
}

int records_open(struct records **out, const char *path, const char *nested, struct err *err)
{
    *out = NULL;
    struct records *records = calloc(1, sizeof *records);
    if (!records)
        return err_no_memory(err, path);
    records->nested = nested;
    records->path = strdup(path);
    int rc = records->path ? file_load(&records->bytes, &records->length, path, MOST_FILE, err) : err_no_memory(err, path);
    if (!rc) {
        digest_of(records->bytes, records->length, records->digest);
        rc = form_open(records, err);
    }
    if (rc)
        records_close(records);
    else
        *out = records;
    return rc;
}

void records_close(struct records *records)
{
    if (!records)
        return;
    json_free(records->tree);
    json_free(records->cell);
    arena_free(&records->arena);
    free(records->bytes);
    free(records->path);
    free(records);
}

const char *records_digest(const struct records *records)
{
    return records->digest;
}

/* ---- walking ------------------------------------------------------------------------------------------------------------- */

/* Parses the next line that is not blank into records->tree, which becomes NULL at the end. */
static int line_next(struct records *records, struct err *err)
{
    char name[512];
    json_free(records->tree);
    records->tree = NULL;
    while (!records->tree && records->at < records->length) {
        const char *line = records->bytes + records->at;
        const char *end = memchr(line, '\n', records->length - records->at);
        size_t length = end ? (size_t)(end - line) : records->length - records->at;
        records->at += length + 1;
        records->line++;
        if (strspn(line, " \t\r") >= length)
            continue;
        snprintf(name, sizeof name, "'%s', read as JSON Lines because it begins with '{', line %zu", records->path, records->line);
        int rc = json_parse(&records->tree, line, length, name, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int outer_next(struct records *records, struct err *err)
{
    if (records->form == FORM_LINES) {
        int rc = line_next(records, err);
        records->outer = records->tree;
        return rc;
    }
    records->outer = records->outer ? json_next(records->outer) : json_first(records->tree);
    return 0;
}

/* The first record that the object at `outer` stands for: itself, or the first of its list; NULL if that is empty. */
static int record_enter(struct records *records, struct err *err)
{
    const struct json *list = records->nested ? json_get(records->outer, records->nested) : NULL;
    records->record = list ? json_first(list) : records->outer;
    if (!list || json_type(list) == JSON_ARRAY)
        return 0;
    records->number++;
    return records_fail(records, err, "field '%s' is %s; expected a list", records->nested, json_type_name(list));
}

static int json_record_next(struct records *records, struct err *err)
{
    records->record = records->record == records->outer ? NULL : json_next(records->record);
    while (!records->record) {
        int rc = outer_next(records, err);
        if (!rc && records->outer)
            rc = record_enter(records, err);
        if (rc || !records->outer)
            return rc;
    }
    records->number++;
    if (json_type(records->record) != JSON_OBJECT)
        return records_fail(records, err, "the record is %s; expected an object", json_type_name(records->record));
    return 1;
}

int records_next(struct records *records, struct err *err)
{
    if (records->form != FORM_PARQUET)
        return json_record_next(records, err);
    return records->number++ < records->table.n_rows;
}

/* ---- fields -------------------------------------------------------------------------------------------------------------- */

static bool is_text(const char *bytes, size_t length)
{
    for (size_t at = 0, n; at < length; at += n) {
        n = utf8_length(bytes + at, length - at);
        if (!n || !bytes[at])
            return false;
    }
    return true;
}

/* NULL when memory is out, or bytes are no text. */
static struct json *json_of_value(const struct parquet_value *value, enum parquet_kind kind)
{
    if (value->null)
        return json_new(JSON_NULL);
    switch (kind) {
    case PARQUET_BOOL: return json_new_bool(value->as.integer != 0);
    case PARQUET_INT: return json_new_number((double)value->as.integer);
    case PARQUET_REAL: return json_new_number(value->as.real);
    case PARQUET_BYTES: break;
    }
    return is_text(value->as.text.bytes, value->as.text.length) ? json_new_string(value->as.text.bytes) : NULL;
}

static int cell_find(struct records *records, const char *key, const struct json **out, struct err *err)
{
    const struct parquet_column *column = parquet_column(&records->table, key);
    if (!column)
        return 0;
    size_t row = records->number - 1;
    json_free(records->cell);
    if (column->is_list) {
        records->cell = json_new(JSON_ARRAY);
        bool whole = records->cell;
        for (size_t i = column->row_start[row]; i < column->row_start[row + 1] && whole; i++)
            whole = json_add(records->cell, NULL, json_of_value(&column->values[i], column->kind));
        if (!whole) {
            json_free(records->cell);
            records->cell = NULL;
        }
    } else {
        records->cell = json_of_value(&column->values[row], column->kind);
    }
    *out = records->cell;
    return records->cell ? 0 : records_fail(records, err, "field '%s' is no UTF-8 text", key);
}

static int field_find(struct records *records, const char *key, const struct json **out, struct err *err)
{
    *out = NULL;
    if (records->form == FORM_PARQUET)
        return cell_find(records, key, out, err);
    *out = json_get(records->record, key);
    if (!*out)
        *out = json_get(records->outer, key);
    return 0;
}

/* The field if it is there, not null, and of the type; *out is NULL if it need not be. */
static int field_get(struct records *records, const char *key, enum field_need need, enum json_type type, const char *expected,
                     const struct json **out, struct err *err)
{
    int rc = field_find(records, key, out, err);
    if (rc)
        return rc;
    if (!*out)
        return need == FIELD_OPTIONAL ? 0 : fail_absent(records, key, err);
    if (json_type(*out) == JSON_NULL && need != FIELD_REQUIRED)
        *out = NULL;
    else if (json_type(*out) != type)
        return records_fail(records, err, "field '%s' is %s; expected %s", key, json_type_name(*out), expected);
    return 0;
}

int records_text(struct records *records, const char *key, enum field_need need, struct arena *arena, const char **out, struct err *err)
{
    const struct json *field;
    *out = NULL;
    int rc = field_get(records, key, need, JSON_STRING, "a text", &field, err);
    if (rc || !field)
        return rc;
    *out = arena_strdup(arena, json_string(field));
    return *out ? 0 : err_no_memory(err, "a manifest's texts");
}

int records_texts(struct records *records, const char *key, int most, struct arena *arena, const char *const **out, int *n, struct err *err)
{
    const struct json *field;
    int rc = field_get(records, key, FIELD_REQUIRED, JSON_ARRAY, "a list of texts", &field, err);
    if (rc)
        return rc;
    size_t count = json_count(field);
    if (count < 1 || count > (size_t)most)
        return records_fail(records, err, "field '%s' has %zu texts; expected 1 to %d", key, count, most);
    const char **texts = arena_alloc(arena, count, sizeof *texts);
    *out = texts;
    *n = 0;
    for (const struct json *item = json_first(field); item; item = json_next(item)) {
        if (json_type(item) != JSON_STRING)
            return records_fail(records, err, "item %d of field '%s' is %s; expected a text", *n, key, json_type_name(item));
        if (!texts || !(texts[(*n)++] = arena_strdup(arena, json_string(item))))
            return err_no_memory(err, "a manifest's texts");
    }
    return 0;
}

int records_number(struct records *records, const char *key, double otherwise, double *out, struct err *err)
{
    const struct json *field;
    int rc = field_get(records, key, FIELD_OPTIONAL, JSON_NUMBER, "a number", &field, err);
    *out = rc || !field ? otherwise : json_number(field);
    return rc;
}
