/* Expected results: rows of a CSV file to answers, found by the sample's name. */
#include "harness/expected.h"

#include "core/file.h"
#include "datasets/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 30 };

enum column { SAMPLE, STATUS, LETTER, CORRECT, MARGIN, FRAMES, BEFORE, VISUAL, MARKER, TEXT, GENERATED, REPLY, COLUMNS };
static const char *const names[COLUMNS] = {"sample",        "status",        "letter",        "correct",     "margin",           "frames",
                                           "tokens_before", "tokens_visual", "tokens_marker", "tokens_text", "tokens_generated", "reply"};

struct reader {
    struct stored_cell *out;
    const char *path;
    struct csv_table table;
    int columns[COLUMNS];
    const struct sample **sorted; /* by name */
    struct err *err;
};

static int by_name(const void *a, const void *b)
{
    const struct sample *const *x = a, *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

static const char *field(const struct reader *reader, size_t row, enum column column)
{
    return reader->table.cells[row * reader->table.n_columns + (size_t)reader->columns[column]];
}

static int fail(const struct reader *reader, size_t row, enum column column, const char *expected)
{
    return err_set(reader->err, ERR_DATA, "%s:%zu: '%s' should be %s, it is '%.40s'", reader->path, reader->table.lines[row],
                   names[column], expected, field(reader, row, column));
}

/* An empty field is -1. */
static int read_count(const struct reader *reader, size_t row, enum column column, int32_t *out)
{
    const char *text = field(reader, row, column);
    char *end;
    errno = 0;
    long value = *text ? strtol(text, &end, 10) : -1;
    if (*text && (*end || errno || value < 0 || value > INT32_MAX))
        return fail(reader, row, column, "a whole number, 0 or more");
    *out = (int32_t)value;
    return 0;
}

static int read_status(const struct reader *reader, size_t row, struct answer *answer)
{
    const char *letter = field(reader, row, LETTER);
    int status = 0;
    while (status < ANSWER_STATUSES && strcmp(answer_status_name((enum answer_status)status), field(reader, row, STATUS)))
        status++;
    if (status == ANSWER_STATUSES)
        return fail(reader, row, STATUS, "a status such as ok");
    if (*letter && (*letter < 'A' || *letter > 'Z' || letter[1]))
        return fail(reader, row, LETTER, "a letter from A to Z, or empty");
    answer->status = (enum answer_status)status;
    answer->extracted = *letter ? *letter - 'A' : -1;
    return 0;
}

static int read_numbers(const struct reader *reader, size_t row, struct answer *answer)
{
    struct cost *cost = &answer->cost;
    const struct { enum column column; int32_t *out; } counts[] = {
        {FRAMES, &cost->frames}, {BEFORE, &cost->tokens_before}, {VISUAL, &cost->tokens_visual}, {MARKER, &cost->tokens_marker},
        {TEXT, &cost->tokens_text}, {GENERATED, &cost->tokens_generated},
    };
    const char *right = field(reader, row, CORRECT), *margin = field(reader, row, MARGIN);
    char *end;
    if (strcmp(right, "0") && strcmp(right, "1"))
        return fail(reader, row, CORRECT, "0 or 1");
    answer->correct = *right == '1';
    answer->margin = *margin ? strtod(margin, &end) : (double)NAN;
    if (*margin && (*end || !isfinite(answer->margin)))
        return fail(reader, row, MARGIN, "a number, or empty");
    *cost = (struct cost){.frames_encoded = -1, .tokens_marker_before = -1, .tokens_prefilled = -1, .tokens_guide = -1, .shared_layers = -1,
                          .tokens_mean = (double)NAN, .tokens_cached = (double)NAN, .joules = (double)NAN};
    for (int stage = 0; stage < STAGES; stage++)
        cost->alone_ms[stage] = cost->paid_ms[stage] = (double)NAN;
    int rc = 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && !rc; i++)
        rc = read_count(reader, row, counts[i].column, counts[i].out);
    return rc;
}

static int read_row(struct reader *reader, size_t row)
{
    struct stored_cell *out = reader->out;
    const struct sample key = {.id = field(reader, row, SAMPLE)}, *wanted = &key;
    const struct sample *const *found = bsearch(&wanted, reader->sorted, out->manifest.n_samples, sizeof *reader->sorted, by_name);
    if (!found)
        return fail(reader, row, SAMPLE, "a question of the cell's manifest");
    struct stored_answer *answer = &out->answers[*found - out->manifest.samples];
    if (answer->id)
        return fail(reader, row, SAMPLE, "there once");
    answer->id = (int64_t)row + 1;
    int rc = read_status(reader, row, &answer->answer);
    if (!rc)
        rc = read_numbers(reader, row, &answer->answer);
    if (!rc && answer_is_reply(answer->answer.status))
        answer->answer.raw = field(reader, row, REPLY);
    out->n_answers++;
    return rc;
}

static int find_columns(struct reader *reader)
{
    for (int i = 0; i < COLUMNS; i++)
        if ((reader->columns[i] = csv_column(&reader->table, names[i])) < 0)
            return err_set(reader->err, ERR_DATA, "'%s' has no column '%s'; write it with 'toksweep export STORE answers'", reader->path,
                           names[i]);
    return 0;
}

int expected_load(struct stored_cell *out, const char *path, const struct stored_cell *like, struct err *err)
{
    struct reader reader = {.out = out, .path = path, .err = err};
    char *bytes;
    size_t length, n = like->manifest.n_samples;
    *out = *like;
    out->manifest.arena = (struct arena){0};
    out->n_answers = 0;
    struct arena *arena = &out->manifest.arena;
    out->answers = arena_alloc(arena, n, sizeof *out->answers);
    reader.sorted = arena_alloc(arena, n, sizeof *reader.sorted);
    int rc = out->answers && reader.sorted ? file_load(&bytes, &length, path, MOST_BYTES, err) : err_no_memory(err, "expected results");
    if (rc)
        return rc;
    rc = csv_parse(&reader.table, bytes, length, path, arena, err);
    free(bytes);
    for (size_t i = 0; i < n && !rc; i++)
        reader.sorted[i] = &like->manifest.samples[i];
    if (!rc)
        qsort(reader.sorted, n, sizeof *reader.sorted, by_name);
    if (!rc)
        rc = find_columns(&reader);
    for (size_t row = 0; row < reader.table.n_rows && !rc; row++)
        rc = read_row(&reader, row);
    return rc;
}
