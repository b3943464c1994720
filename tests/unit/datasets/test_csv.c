/* CSV: what RFC 4180 allows, what is let pass beside it, and what is refused. */
#include "datasets/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/text.h"

static struct arena arena;

static int arena_drop(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct csv_table parsed(const char *text)
{
    struct csv_table table;
    struct err err = {0};
    if (csv_parse(&table, text, strlen(text), "t.csv", &arena, &err))
        fail_msg("%s", err.text);
    return table;
}

static void check_cells(const struct csv_table *table, const char *const *expected)
{
    for (size_t i = 0; i < table->n_rows * table->n_columns; i++)
        assert_string_equal(table->cells[i], expected[i]);
}

static void test_plain(void **state)
{
    (void)state;
    struct csv_table table = parsed("video,question,a0\n24,what is it,ball\n25,,bat");
    assert_int_equal(table.n_columns, 3);
    assert_int_equal(table.n_rows, 2);
    assert_int_equal(csv_column(&table, "question"), 1);
    assert_int_equal(csv_column(&table, "Question"), -1);
    check_cells(&table, (const char *const[]){"24", "what is it", "ball", "25", "", "bat"});
    assert_int_equal(table.lines[1], 3);
}

static void test_quoted(void **state)
{
    (void)state;
    struct csv_table table = parsed("\xef\xbb\xbf\"a\",\"b,c\"\r\n\"one \"\"two\"\"\",\"lines\nof\r\ntext\"\r\n\r\n\"\",x\"y\"\"z\r\n\n");
    assert_int_equal(table.n_columns, 2);
    assert_string_equal(table.names[0], "a");
    assert_string_equal(table.names[1], "b,c");
    check_cells(&table, (const char *const[]){"one \"two\"", "lines\nof\r\ntext", "", "x\"y\"\"z"});
    assert_int_equal(table.lines[0], 2);
    assert_int_equal(table.lines[1], 6); /* behind two lines of text and a blank one */
}

static void test_edges(void **state)
{
    (void)state;
    struct csv_table table = parsed("a,b\n,\n1,2\r3");
    assert_int_equal(table.n_rows, 2);
    check_cells(&table, (const char *const[]){"", "", "1", "2\r3"}); /* a CR alone ends no line */
    assert_int_equal(parsed("a").n_rows, 0);
    assert_int_equal(parsed("a\n").n_rows, 0);
    table = parsed("a\n\"\"\n");
    assert_int_equal(table.n_rows, 1);
    check_cells(&table, (const char *const[]){""});
    assert_int_equal(parsed("a,\n1,2").n_columns, 2);
}

static void refuse_bytes(const char *bytes, size_t length, const char *part)
{
    struct csv_table table;
    struct err err = {0};
    assert_int_equal(csv_parse(&table, bytes, length, "t.csv", &arena, &err), ERR_DATA);
    if (!strstr(err.text, part))
        fail_msg("the message \"%s\" lacks \"%s\"", err.text, part);
}

static void refuse(const char *text, const char *part)
{
    refuse_bytes(text, strlen(text), part);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("", "'t.csv', line 1: a line that names the columns was expected");
    refuse("\n\r\n", "line 1: a line that names the columns");
    refuse("a,b\n1\n", "line 2: 1 fields; the first line has 2");
    refuse("a,b\n1,2\n\n1,2,3\n", "line 4: more than 2 fields; the first line has no more");
    refuse("a,b\n\"x,2\n3,4\n", "line 2: a quoted field begins here and does not end");
    refuse("a,b\n\"x\"y,2\n", "line 2: a quoted field goes on behind its closing quote");
    refuse("a,a\n", "line 1: two columns are named 'a'");
    refuse("a,b\n1,\xff\n", "line 2: no UTF-8");
    refuse_bytes("a,b\n1,\0\n", 8, "line 2: a NUL byte");
}

/* A million columns are refused before a million of anything is kept. */
static void test_wide(void **state)
{
    (void)state;
    size_t n = 1000000;
    char *wide = malloc(n + 1);
    assert_non_null(wide);
    memset(wide, ',', n);
    wide[n] = 0;
    refuse(wide, "line 1: more than 1000 fields; a manifest has a few columns");
    assert_int_equal(arena.total, 0);
    free(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_plain, arena_drop),    cmocka_unit_test_teardown(test_quoted, arena_drop),
        cmocka_unit_test_teardown(test_edges, arena_drop),    cmocka_unit_test_teardown(test_refusals, arena_drop),
        cmocka_unit_test_teardown(test_wide, arena_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
