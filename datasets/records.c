/* Records: one walk over the rows of Parquet, CSV, JSON lists and JSON Lines. A cell of the first two is turned into a JSON value when
 * it is asked for, so that types are checked and complained about in one place. */
#include "datasets/records.h"

#include "core/digest.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "datasets/csv.h"
#include "datasets/parquet.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_FILE = 256 << 20 };

enum form { FORM_PARQUET, FORM_CSV, FORM_LIST, FORM_LINES };

struct records {
    char *path;
    struct records_layout layout;
    enum form form;
    char digest[DIGEST_HEX];
    size_t number; /* of records met so far: the current one is number - 1 */

    char *bytes; /* of the file; JSON Lines are parsed from them one by one */
    size_t length, at;
    size_t line;

    struct json *tree;                 /* FORM_LIST: the list, or the object of keyed ones; FORM_LINES: the current line */
    const struct json *outer, *record; /* the object that holds the current record, or is it; the current record */

    struct arena arena; /* of the tables */
    struct parquet_table table;
    struct csv_table csv;
    struct json *cell; /* the table's value asked for last */
};

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

static int fail_at(const struct records *records, struct err *err, const char *format, va_list args)
{
    char text[sizeof err->text];
    vsnprintf(text, sizeof text, format, args);
    if (records->form == FORM_LINES || records->form == FORM_CSV)
        return err_set(err, ERR_DATA, "'%s', line %zu: %s", records->path,
                       records->form == FORM_CSV ? records->csv.lines[records->number - 1] : records->line, text);
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

static bool is_table(const struct records *records)
{
    return records->form == FORM_PARQUET || records->form == FORM_CSV;
}

/* A table lacks a column in all rows: naming those it has shows what was misspelt. */
static int fail_absent(const struct records *records, const char *key, struct err *err)
{
    if (!is_table(records))
        return records_fail(records, err, "no field '%s'", key);
    struct text names = {0};
    size_t n = records->form == FORM_CSV ? records->csv.n_columns : records->table.n_columns;
    for (size_t i = 0; i < n; i++)
        text_printf(&names, "%s%s", i ? ", " : "", records->form == FORM_CSV ? records->csv.names[i] : records->table.columns[i].name);
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

static bool name_ends(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && !strcasecmp(path + n - m, ending);
}

/* One object for the whole file is told from JSON Lines by what its members are. */
static bool keyed_open(struct records *records)
{
    struct err not_whole = {0};
    if (json_parse(&records->tree, records->bytes, records->length, records->path, &not_whole))
        return false;
    if (json_type(json_first(records->tree)) == JSON_OBJECT)
        return true;
    json_free(records->tree);
    records->tree = NULL;
    return false;
}

static int form_open(struct records *records, struct err *err)
{
    if (name_ends(records->path, ".csv")) {
        records->form = FORM_CSV;
        return csv_parse(&records->csv, records->bytes, records->length, records->path, &records->arena, err);
    }
    if (!form_detect(records->bytes, records->length, &records->form))
        return err_set(err, ERR_DATA,
                       "'%s' is no manifest: it is not named .csv, and begins neither with 'PAR1' (Parquet) nor with '[' (a JSON list) "
                       "nor with '{' (JSON Lines)",
                       records->path);
    if (records->form == FORM_PARQUET)
        return parquet_parse(&records->table, records->bytes, records->length, records->path, &records->arena, err);
    if (records->form == FORM_LIST)
        return json_parse(&records->tree, records->bytes, records->length, records->path, err);
    if (records->layout.keyed && keyed_open(records))
        records->form = FORM_LIST;
    return 0;
}

int records_open(struct records **out, const char *path, const struct records_layout *layout, struct err *err)
{
    *out = NULL;
    struct records *records = calloc(1, sizeof *records);
    if (!records)
        return err_no_memory(err, path);
    records->layout = layout ? *layout : (struct records_layout){0};
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
    const struct json *list = records->layout.nested ? json_get(records->outer, records->layout.nested) : NULL;
    records->record = list ? json_first(list) : records->outer;
    if (!list || json_type(list) == JSON_ARRAY)
        return 0;
    records->number++;
    return records_fail(records, err, "field '%s' is %s; expected a list", records->layout.nested, json_type_name(list));
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
    if (!is_table(records))
        return json_record_next(records, err);
    return records->number++ < (records->form == FORM_CSV ? records->csv.n_rows : records->table.n_rows);
}

const char *records_key(const struct records *records)
{
    return json_type(records->tree) == JSON_OBJECT && records->form == FORM_LIST ? json_key(records->outer) : NULL;
}

/* ---- fields -------------------------------------------------------------------------------------------------------------- */

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
    return text_is_clean(value->as.text.bytes, value->as.text.length) ? json_new_string(value->as.text.bytes) : NULL;
}

/* The list in a Parquet cell; NULL as above. */
static struct json *json_of_list(const struct parquet_column *column, size_t row)
{
    struct json *list = json_new(JSON_ARRAY);
    bool whole = list;
    for (size_t i = column->row_start[row]; i < column->row_start[row + 1] && whole; i++)
        whole = json_add(list, NULL, json_of_value(&column->values[i], column->kind));
    if (!whole)
        json_free(list);
    return whole ? list : NULL;
}

static int cell_find(struct records *records, const char *key, const struct json **out, struct err *err)
{
    size_t row = records->number - 1;
    const struct parquet_column *column = records->form == FORM_PARQUET ? parquet_column(&records->table, key) : NULL;
    int place = records->form == FORM_CSV ? csv_column(&records->csv, key) : -1;
    if (!column && place < 0)
        return 0;
    json_free(records->cell);
    if (!column)
        records->cell = json_new_string(records->csv.cells[row * records->csv.n_columns + (size_t)place]);
    else
        records->cell = column->is_list ? json_of_list(column, row) : json_of_value(&column->values[row], column->kind);
    *out = records->cell;
    return records->cell ? 0 : records_fail(records, err, "field '%s' is no UTF-8 text", key);
}

static int field_find(struct records *records, const char *key, const struct json **out, struct err *err)
{
    *out = NULL;
    if (is_table(records))
        return cell_find(records, key, out, err);
    *out = json_get(records->record, key);
    if (!*out)
        *out = json_get(records->outer, key);
    return 0;
}

/* The field if it is there and not null; *out is NULL if it need not be. A required one may be null here. */
static int field_get_any(struct records *records, const char *key, enum field_need need, const struct json **out, struct err *err)
{
    int rc = field_find(records, key, out, err);
    if (rc)
        return rc;
    if (!*out)
        return need == FIELD_OPTIONAL ? 0 : fail_absent(records, key, err);
    if (json_type(*out) == JSON_NULL && need != FIELD_REQUIRED)
        *out = NULL;
    return 0;
}

/* The same, and of the type. */
static int field_get(struct records *records, const char *key, enum field_need need, enum json_type type, const char *expected,
                     const struct json **out, struct err *err)
{
    int rc = field_get_any(records, key, need, out, err);
    if (rc || !*out || json_type(*out) == type)
        return rc;
    return records_fail(records, err, "field '%s' is %s; expected %s", key, json_type_name(*out), expected);
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

int records_word(struct records *records, const char *key, enum field_need need, struct arena *arena, const char **out, struct err *err)
{
    static const int64_t most = (int64_t)1 << 53; /* where doubles begin to leave numbers out */
    const struct json *field;
    int64_t number;
    *out = NULL;
    int rc = field_get_any(records, key, need, &field, err);
    if (rc || !field)
        return rc;
    if (json_integer(field, -most, most, &number))
        *out = arena_printf(arena, "%lld", (long long)number);
    else if (json_type(field) == JSON_STRING)
        *out = arena_strdup(arena, json_string(field));
    else
        return records_fail(records, err, "field '%s' is %s; expected a text or a whole number", key,
                            json_type(field) == JSON_NUMBER ? "another number" : json_type_name(field));
    return *out ? 0 : err_no_memory(err, "a manifest's texts");
}

int records_texts(struct records *records, const char *key, int least, int most, struct arena *arena, const char *const **out, int *n,
                  struct err *err)
{
    const struct json *field;
    *out = NULL;
    *n = 0;
    int rc = field_get(records, key, least ? FIELD_REQUIRED : FIELD_OPTIONAL, JSON_ARRAY, "a list of texts", &field, err);
    if (rc || !field)
        return rc;
    size_t count = json_count(field);
    if (count < (size_t)least || count > (size_t)most)
        return records_fail(records, err, "field '%s' has %zu texts; expected %d to %d", key, count, least, most);
    const char **texts = arena_alloc(arena, count, sizeof *texts);
    *out = texts;
    for (const struct json *item = json_first(field); item; item = json_next(item)) {
        if (json_type(item) != JSON_STRING)
            return records_fail(records, err, "item %d of field '%s' is %s; expected a text", *n, key, json_type_name(item));
        if (!texts || !(texts[(*n)++] = arena_strdup(arena, json_string(item))))
            return err_no_memory(err, "a manifest's texts");
    }
    return 0;
}

/* A field of CSV as a number: decimal, all of it. */
static int number_read(const struct records *records, const char *key, const char *text, double *out, struct err *err)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !isfinite(*out) || strspn(text, "+-.0123456789eE") != strlen(text))
        return records_fail(records, err, "field '%s' is '%s'; expected a number", key, text);
    return 0;
}

int records_number(struct records *records, const char *key, double otherwise, double *out, struct err *err)
{
    const struct json *field;
    *out = otherwise;
    if (records->form != FORM_CSV) {
        int rc = field_get(records, key, FIELD_OPTIONAL, JSON_NUMBER, "a number", &field, err);
        if (!rc && field)
            *out = json_number(field);
        return rc;
    }
    int rc = field_get(records, key, FIELD_OPTIONAL, JSON_STRING, "a number", &field, err);
    return rc || !field || !*json_string(field) ? rc : number_read(records, key, json_string(field), out, err);
}
