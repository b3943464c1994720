/* Repair, NFC and splitting, each by itself: the pieces, and what Unicode says about the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/tokenizer_split.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int make_splitter(void **state)
{
    struct err err = {0};
    return tokenizer_splitter_new((struct splitter **)state, &err);
}

static int free_splitter(void **state)
{
    tokenizer_splitter_free(*state);
    return 0;
}

/* Joins the pieces with '|'. */
static int take_piece(void *context, const char *piece, size_t length, struct err *err)
{
    struct text *joined = context;
    (void)err;
    if (joined->length)
        text_put(joined, "|");
    text_add(joined, piece, length);
    return 0;
}

static void expect_pieces(const struct splitter *splitter, const char *text, const char *pieces)
{
    struct text joined = {0};
    struct err err = {0};
    assert_int_equal(tokenizer_split(splitter, text, strlen(text), take_piece, &joined, &err), 0);
    assert_string_equal(joined.bytes, pieces);
    text_free(&joined);
}

static void test_pieces(void **state)
{
    static const struct { const char *text, *pieces; } cases[] = {
        {"I'm  here 123", "I|'m| | here| |1|2|3"},
        {"don't DON'T", "don|'t| DON|'T"},
        {"a...\n\nb", "a|...\n\n|b"},
        {"x \n y", "x| \n| y"},
        {"a \n\n b", "a| \n\n| b"},
        {"\n \n x", "\n \n| x"},
        {"end \n ", "end| \n| "},
        {"tab\tx", "tab|\tx"},
        {"$5 %x", "$|5| %|x"},
        {"_a_b", "_a|_b"},
        {"a\xcc\x81" "b", "a|\xcc\x81" "b"},
        {"12.34", "1|2|.|3|4"},
        {"it\xe2\x80\x99s", "it|\xe2\x80\x99s"},
        {"<image>", "<image|>"},
        {"'llama", "'ll|ama"},
        {"x'\xc5\xbf y", "x|'\xc5\xbf| y"}, /* long s is a case of s */
        {"x'\xe2\x84\xaa", "x|'\xe2\x84\xaa"}, /* no contraction with the Kelvin sign, but a prefix and a letter */
        {" !?\r\n\n x", " !?\r\n\n| x"},
        {"   x", "  | x"},
        {"   \t", "   \t"},
        {"a\xe3\x80\x80" "b", "a|\xe3\x80\x80" "b"},
        {" \xc2\xa0\xe2\x80\xa8!", " \xc2\xa0|\xe2\x80\xa8|!"},
        {" \x1c\x1d a", " \x1c\x1d| a"},       /* separators of ASCII are no White_Space */
        {"\xe1\xa0\x8e\xe1\xa0\x8e!", "\xe1\xa0\x8e\xe1\xa0\x8e!"}, /* nor is U+180E, which PCRE2's \s has */
        {"x \xe1\xa0\x8e", "x| \xe1\xa0\x8e"},
        {"\xc2\x85\xc2\x85x", "\xc2\x85|\xc2\x85x"},
        {"\xe2\x85\xa7\xc2\xbd\xd9\xa3", "\xe2\x85\xa7|\xc2\xbd|\xd9\xa3"},
        {"\xf0\x9f\x98\x80\xe2\x80\x8d!", "\xf0\x9f\x98\x80\xe2\x80\x8d!"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_pieces(*state, cases[i].text, cases[i].pieces);
}

static int refuse_second(void *context, const char *piece, size_t length, struct err *err)
{
    (void)piece;
    (void)length;
    return ++*(int *)context == 2 ? err_set(err, ERR_MEMORY, "enough") : 0;
}

static void test_taker_can_stop(void **state)
{
    int calls = 0;
    struct err err = {0};
    assert_int_equal(tokenizer_split(*state, "a b c", 5, refuse_second, &calls, &err), ERR_MEMORY);
    assert_int_equal(calls, 2);
    assert_string_equal(err.text, "enough");
}

static int count_piece(void *context, const char *piece, size_t length, struct err *err)
{
    (void)piece;
    (void)err;
    assert_true(length > 0);
    ++*(size_t *)context;
    return 0;
}

/* 4 MB of what could make an alternative backtrack or a stack overflow. */
static void test_long_runs(void **state)
{
    static const struct { const char *unit, *end; size_t pieces; } cases[] = {
        {"a", "", 1}, {" ", "x", 2}, {" ", "", 1}, {" ", "\n", 1}, {"\n", "", 1}, {"!", "", 1}, {"\n ", "x", 2}, {"1", "", 4u << 20},
        {"\xcc\x81", "", 1}, {"'", "", 1}, {"\xc2\xa0", "1", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t unit = strlen(cases[i].unit), length = (4u << 20) / unit * unit, end = strlen(cases[i].end), pieces = 0;
        char *text = malloc(length + end + 1);
        struct err err = {0};
        assert_non_null(text);
        for (size_t at = 0; at < length; at += unit)
            memcpy(text + at, cases[i].unit, unit);
        memcpy(text + length, cases[i].end, end);
        assert_int_equal(tokenizer_split(*state, text, length + end, count_piece, &pieces, &err), 0);
        if (pieces != cases[i].pieces)
            fail_msg("%zu pieces instead of %zu in case %zu", pieces, cases[i].pieces, i);
        free(text);
    }
}

static void expect_repaired(const char *text, size_t length, const char *expected)
{
    struct text out = {0};
    tokenizer_add_repaired(&out, text, length);
    assert_false(out.failed);
    assert_string_equal(out.bytes, expected);
    text_free(&out);
}

#define BAD "\xef\xbf\xbd"

static void test_repair(void **state)
{
    (void)state;
    static const struct { const char *text, *repaired; } cases[] = {
        {"", ""},
        {"plain \xc3\xa9 \xe7\x8c\xab \xf0\x9f\x98\x80", "plain \xc3\xa9 \xe7\x8c\xab \xf0\x9f\x98\x80"},
        {"a\xff" "b", "a" BAD "b"},
        {"\x80\x80", BAD BAD},
        {"\xc3", BAD},
        {"\xc3(", BAD "("},
        {"\xc0\xaf", BAD BAD},
        {"\xe0\x9f\xbf", BAD BAD BAD},
        {"\xe7\x8c", BAD},
        {"\xe7\x8c!", BAD "!"},
        {"\xed\xa0\x80", BAD BAD BAD},
        {"\xf0\x9f\x98", BAD},
        {"\xf0\x9f\x98\xc3\xa9", BAD "\xc3\xa9"},
        {"\xf0\x80\x80\x80", BAD BAD BAD BAD},
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xf5\x80", BAD BAD},
        /* the example of the Unicode standard, table 3-11 */
        {"a\xf1\x80\x80\xe1\x80\xc2" "b\x80" "c\x80\xbf" "d", "a" BAD BAD BAD "b" BAD "c" BAD BAD "d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_repaired(cases[i].text, strlen(cases[i].text), cases[i].repaired);
}

static void expect_nfc(const char *text, const char *expected)
{
    struct text out = {0};
    tokenizer_add_nfc(&out, text, strlen(text));
    assert_false(out.failed);
    assert_string_equal(out.bytes, expected);
    text_free(&out);
}

static void test_nfc(void **state)
{
    (void)state;
    expect_nfc("plain", "plain");
    expect_nfc("e\xcc\x81", "\xc3\xa9");
    expect_nfc("\xe2\x84\xab", "\xc3\x85");                                             /* Angstrom sign */
    expect_nfc("q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87");                               /* marks by class */
    expect_nfc("D\xcc\x87\xcc\xa3", "\xe1\xb8\x8c\xcc\x87");                            /* then composed */
    expect_nfc("a\xcc\x95\xcc\x80\xd6\xae" "b", "\xc3\xa0\xd6\xae\xcc\x95" "b");        /* of NormalizationTest.txt */
    expect_nfc("\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc");                             /* excluded from composition */
    expect_nfc("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c");                 /* Hangul */
    expect_nfc("\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5");                 /* grows */
    expect_nfc("\xcc\x81" "a", "\xcc\x81" "a");
    expect_nfc("a\xe1\xb7\xba\xcc\xa3\xcc\x81", "a\xe1\xb7\xba\xcc\xa3\xcc\x81"); /* U+1DFA is no mark to the reference */
    expect_nfc("a\xcc\x81\xe1\xb7\xba", "\xc3\xa1\xe1\xb7\xba");
}

/* A million marks in the worst order: by comparing neighbours this would take hours. */
static void test_nfc_of_many_marks(void **state)
{
    (void)state;
    enum { MARKS = 1 << 20 };
    char *marks = malloc(2 * MARKS);
    struct text out = {0};
    assert_non_null(marks);
    for (size_t i = 0; i < MARKS; i++)
        memcpy(marks + 2 * i, i % 2 ? "\xcc\xa3" : "\xcc\x87", 2); /* below, class 220; above, class 230 */
    clock_t start = clock();
    tokenizer_add_nfc(&out, marks, 2 * MARKS);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
    assert_int_equal(out.length, 2 * MARKS);
    assert_memory_equal(out.bytes, "\xcc\xa3\xcc\xa3", 4);
    assert_memory_equal(out.bytes + MARKS - 2, "\xcc\xa3\xcc\x87", 4);
    assert_memory_equal(out.bytes + out.length - 4, "\xcc\x87\xcc\x87", 4);
    text_free(&out);
    free(marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_taker_can_stop), cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_repair),     cmocka_unit_test(test_nfc),            cmocka_unit_test(test_nfc_of_many_marks),
    };
    return cmocka_run_group_tests(tests, make_splitter, free_splitter);
}
