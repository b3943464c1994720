/* CSV: one walk over the bytes, done twice: to count the fields, and to keep them. */
#include "datasets/csv.h"

#include "core/text.h"

#include <stdbool.h>
#include <string.h>

struct scan {
    const char *at, *end;
    const char *name;
    size_t line;   /* of `at`, from 1 */
    char *out;     /* where the next field goes; NULL while counting */
    struct err *err;
};

enum stop { STOP_FIELD, STOP_RECORD, STOP_FILE }; /* what a field is followed by */

static int scan_fail(const struct scan *scan, size_t line, const char *what)
{
    return err_set(scan->err, ERR_DATA, "'%s', line %zu: %s", scan->name, line, what);
}

static void keep(struct scan *scan, char c)
{
    if (scan->out)
        *scan->out++ = c;
}

/* Takes what stands behind a field. */
static enum stop stop_take(struct scan *scan)
{
    enum stop stop = STOP_FILE;
    if (scan->at < scan->end) {
        stop = *scan->at == ',' ? STOP_FIELD : STOP_RECORD;
        scan->at += *scan->at == '\r' ? 2 : 1;
        scan->line += stop == STOP_RECORD;
    }
    keep(scan, 0);
    return stop;
}

static bool at_stop(const struct scan *scan)
{
    if (scan->at == scan->end || *scan->at == ',' || *scan->at == '\n')
        return true;
    return *scan->at == '\r' && scan->at + 1 < scan->end && scan->at[1] == '\n';
}

/* The rest of a field whose opening quote is taken. */
static int quoted_take(struct scan *scan, enum stop *stop)
{
    size_t first = scan->line;
    for (;; scan->at++) {
        if (scan->at == scan->end)
            return scan_fail(scan, first, "a quoted field begins here and does not end");
        bool quote = *scan->at == '"';
        if (quote && !(scan->at + 1 < scan->end && scan->at[1] == '"'))
            break;
        scan->at += quote;
        scan->line += *scan->at == '\n';
        keep(scan, *scan->at);
    }
    scan->at++;
    if (!at_stop(scan))
        return scan_fail(scan, scan->line, "a quoted field goes on behind its closing quote; write a quote inside it twice");
    *stop = stop_take(scan);
    return 0;
}

static int field_take(struct scan *scan, enum stop *stop)
{
    if (scan->at < scan->end && *scan->at == '"') {
        scan->at++;
        return quoted_take(scan, stop);
    }
    for (; !at_stop(scan); scan->at++)
        keep(scan, *scan->at);
    *stop = stop_take(scan);
    return 0;
}

/* Moves past blank lines; false at the end of the file. */
static bool record_begins(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == '\n' || (*scan->at == '\r' && at_stop(scan)))) {
        scan->at += *scan->at == '\r' ? 2 : 1;
        scan->line++;
    }
    return scan->at < scan->end;
}

/* Walks the file. Counts into out->n_rows and n_columns; keeps fields and lines where `cells` is not NULL (that of the first record
 * included). */
static int walk(struct scan *scan, struct csv_table *out, const char **cells, size_t *lines)
{
    size_t n_records = 0;
    for (; record_begins(scan); n_records++) {
        enum stop stop = STOP_FIELD;
        size_t n = 0, line = scan->line;
        for (; stop == STOP_FIELD; n++) {
            const char *field = scan->out;
            int rc = field_take(scan, &stop);
            if (rc)
                return rc;
            if (n == (n_records ? out->n_columns : CSV_MOST_COLUMNS))
                return err_set(scan->err, ERR_DATA, "'%s', line %zu: more than %zu fields; %s", scan->name, line, n,
                               n_records ? "the first line has no more" : "a manifest has a few columns");
            if (cells)
                *cells++ = field;
        }
        if (n_records && n < out->n_columns)
            return err_set(scan->err, ERR_DATA, "'%s', line %zu: %zu fields; the first line has %zu", scan->name, line, n, out->n_columns);
        out->n_columns = n;
        if (lines && n_records)
            lines[n_records - 1] = line;
    }
    if (!n_records)
        return scan_fail(scan, 1, "a line that names the columns was expected, the file is empty");
    out->n_rows = n_records - 1;
    return 0;
}

static int bytes_check(const struct scan *scan)
{
    size_t line = 1;
    for (const char *at = scan->at; at < scan->end;) {
        size_t n = utf8_length(at, (size_t)(scan->end - at));
        if (!n || !*at)
            return scan_fail(scan, line, n ? "a NUL byte; the file is no text" : "no UTF-8; write the file in UTF-8");
        line += *at == '\n';
        at += n;
    }
    return 0;
}

static int names_check(const struct scan *scan, const struct csv_table *table)
{
    for (size_t i = 0; i < table->n_columns; i++)
        for (size_t j = 0; j < i; j++)
            if (*table->names[i] && !strcmp(table->names[i], table->names[j]))
                return err_set(scan->err, ERR_DATA, "'%s', line 1: two columns are named '%s'", scan->name, table->names[i]);
    return 0;
}

int csv_parse(struct csv_table *out, const char *bytes, size_t length, const char *name, struct arena *arena, struct err *err)
{
    size_t mark = length >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0;
    const struct scan start = {.at = bytes + mark, .end = bytes + length, .name = name, .line = 1, .err = err};
    struct scan counting = start, keeping = start;
    *out = (struct csv_table){0};
    int rc = bytes_check(&start);
    if (!rc)
        rc = walk(&counting, out, NULL, NULL);
    if (rc)
        return rc;
    const char **cells = arena_alloc(arena, (out->n_rows + 1) * out->n_columns, sizeof *cells);
    size_t *lines = arena_alloc(arena, out->n_rows, sizeof *lines);
    keeping.out = arena_alloc(arena, length + 1, 1); /* each field is followed by one byte at least, but for the last */
    if (!cells || !lines || !keeping.out)
        return err_no_memory(err, name);
    rc = walk(&keeping, out, cells, lines);
    out->names = cells;
    out->cells = cells + out->n_columns;
    out->lines = lines;
    return rc ? rc : names_check(&start, out);
}

int csv_column(const struct csv_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (!strcmp(table->names[i], name))
            return (int)i;
    return -1;
}
