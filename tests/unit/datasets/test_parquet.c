/* The Parquet reader against files that pyarrow wrote, two written by hand, and damaged copies of them. */
#include "core/json.h"
#include "core/file.h"
#include "datasets/parquet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER FIXTURES_DIR "/parquet/"

static const char *const kind_names[] = {"bool", "int", "real", "bytes"};

static void value_check(const struct parquet_value *value, enum parquet_kind kind, const struct json *expected)
{
    assert_int_equal(value->null, json_type(expected) == JSON_NULL);
    if (value->null)
        return;
    switch (kind) {
    case PARQUET_BOOL:
        assert_int_equal(value->as.integer, json_bool(expected));
        break;
    case PARQUET_INT:
        assert_true(value->as.integer == strtoll(json_string(expected), NULL, 10));
        break;
    case PARQUET_REAL:
        assert_true(value->as.real == json_number(expected));
        break;
    case PARQUET_BYTES:
        assert_int_equal(value->as.text.length, strlen(json_string(expected)));
        assert_string_equal(value->as.text.bytes, json_string(expected));
    }
}

static void column_check(const struct parquet_table *table, const struct json *expected)
{
    const struct parquet_column *column = parquet_column(table, json_string(json_get(expected, "name")));
    assert_non_null(column);
    assert_string_equal(kind_names[column->kind], json_string(json_get(expected, "kind")));
    assert_int_equal(column->is_list, json_bool(json_get(expected, "list")));
    size_t row = 0, seen = 0;
    for (const struct json *j = json_first(json_get(expected, "rows")); j; j = json_next(j), row++) {
        if (!column->is_list) {
            value_check(&column->values[seen++], column->kind, j);
            continue;
        }
        assert_int_equal(column->row_start[row], seen);
        for (const struct json *item = json_first(j); item; item = json_next(item))
            value_check(&column->values[seen++], column->kind, item);
        assert_int_equal(column->row_start[row + 1], seen);
    }
    assert_int_equal(row, table->n_rows);
    assert_int_equal(seen, column->n_values);
}

static void test_values(void **state)
{
    (void)state;
    struct err err = {0};
    struct json *expected;
    assert_int_equal(json_load(&expected, FOLDER "expected.json", 1 << 20, &err), 0);
    assert_int_equal(json_count(expected), 12);
    for (const struct json *file = json_first(expected); file; file = json_next(file)) {
        struct arena arena = {0};
        struct parquet_table table;
        char path[4096];
        snprintf(path, sizeof path, FOLDER "%s.parquet", json_key(file));
        int rc = parquet_load(&table, path, &arena, &err);
        if (rc)
            fail_msg("%s", err.text);
        assert_int_equal(table.n_rows, json_number(json_get(file, "rows")));
        assert_int_equal(table.n_columns, json_count(json_get(file, "columns")));
        for (const struct json *column = json_first(json_get(file, "columns")); column; column = json_next(column))
            column_check(&table, column);
        arena_free(&arena);
    }
    json_free(expected);
}

static void test_absent_column(void **state)
{
    (void)state;
    struct err err = {0};
    struct arena arena = {0};
    struct parquet_table table;
    assert_int_equal(parquet_load(&table, FOLDER "strange.parquet", &arena, &err), 0);
    assert_int_equal(table.n_columns, 2);
    assert_string_equal(table.columns[0].name, "first");
    assert_string_equal(table.columns[1].name, "last");
    assert_null(parquet_column(&table, "point"));
    assert_null(parquet_column(&table, "nowhere"));
    arena_free(&arena);
}

static void refuse(const char *file, int code, const char *part, const char *other)
{
    struct err err = {0};
    struct arena arena = {0};
    struct parquet_table table;
    assert_int_equal(parquet_load(&table, file, &arena, &err), code);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, part) || !strstr(err.text, other))
        fail_msg("the message '%s' lacks '%s' or '%s'", err.text, part, other);
    arena_free(&arena);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(FOLDER "nowhere.parquet", ERR_IO, "cannot open", "nowhere.parquet");
    refuse(FIXTURES_DIR "/parquet", ERR_IO, "is not a file", "parquet");
    refuse(FOLDER "expected.json", ERR_DATA, "not a Parquet file", "expected.json");
    refuse(FOLDER "refused_codec.parquet", ERR_DATA, "column 'id': row group 0: page 0: ", "codec 4; write the file with snappy");
    refuse(FOLDER "refused_encoding.parquet", ERR_DATA, "column 'id': row group 0: page 0: ", "encoding 5; write the file with PLAIN");
    /* What a footer promises is refused before anything is allocated for it. */
    refuse(FOLDER "refused_values.parquet", ERR_DATA, "column 'options': row group 0: ", "more than 1024 MiB of values");
    refuse(FOLDER "refused_rows.parquet", ERR_DATA, "refused_rows.parquet': ", "10000001 rows, more than the 10000000 accepted");
}

struct copy { /* of a fixture, to be damaged */
    char *bytes;
    size_t length;
};

static struct copy copy_load(const char *path)
{
    struct copy copy;
    struct err err = {0};
    assert_int_equal(file_load(&copy.bytes, &copy.length, path, 1 << 20, &err), 0);
    return copy;
}

/* Parses the first `length` bytes from memory that ends with them, so that the address sanitizer sees one too many. */
static int parse(const char *bytes, size_t length, struct err *err)
{
    struct arena arena = {0};
    struct parquet_table table;
    char *exact = malloc(length + !length);
    memcpy(exact, bytes, length);
    int rc = parquet_parse(&table, exact, length, "damaged", &arena, err);
    free(exact);
    arena_free(&arena);
    return rc;
}

static void test_cut_files(void **state)
{
    (void)state;
    static const char *const names[] = {FOLDER "required.parquet", FOLDER "two_level.parquet", FOLDER "checksums.parquet"};
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        struct copy copy = copy_load(names[f]);
        for (size_t length = 0; length < copy.length; length++) {
            struct err err = {0};
            assert_int_equal(parse(copy.bytes, length, &err), ERR_DATA);
            assert_non_null(strstr(err.text, "'damaged'"));
        }
        free(copy.bytes);
    }
}

/* Whatever byte is wrong, the reader gives an answer or a reason. */
static void test_wrong_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {FOLDER "required.parquet", FOLDER "two_level.parquet", FOLDER "repeated.parquet"};
    static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x15};
    size_t refused = 0;
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        struct copy copy = copy_load(names[f]);
        for (size_t i = 0; i < copy.length * sizeof changes; i++) {
            struct err err = {0};
            char *byte = &copy.bytes[i / sizeof changes], kept = *byte;
            *byte = (char)(*byte ^ changes[i % sizeof changes]);
            int rc = parse(copy.bytes, copy.length, &err);
            assert_true(rc == 0 || rc == ERR_DATA);
            refused += rc != 0;
            *byte = kept;
        }
        free(copy.bytes);
    }
    assert_true(refused > 500);
}

static void test_checksum(void **state)
{
    (void)state;
    struct err err = {0};
    struct copy copy = copy_load(FOLDER "checksums.parquet");
    char *word = copy.bytes;
    while (memcmp(word, "apples", 6)) /* once, in the dictionary */
        word++;
    *word = 'A';
    assert_int_equal(parse(copy.bytes, copy.length, &err), ERR_DATA);
    assert_string_equal(err.text, "'damaged', column 'options': row group 0: page 0: its checksum is wrong; fetch the file again");
    free(copy.bytes);
}

static void test_encrypted(void **state)
{
    (void)state;
    struct err err = {0};
    struct copy copy = copy_load(FOLDER "required.parquet");
    copy.bytes[copy.length - 1] = 'E';
    assert_int_equal(parse(copy.bytes, copy.length, &err), ERR_DATA);
    assert_string_equal(err.text, "'damaged': the footer is encrypted; only plain Parquet files are read");
    free(copy.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),      cmocka_unit_test(test_absent_column), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cut_files),   cmocka_unit_test(test_wrong_bytes),   cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_encrypted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
