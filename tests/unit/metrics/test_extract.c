/* Extractors against the tables of recorded outputs of the protocols they follow, and their corner cases. */
#include "core/text.h"
#include "metrics/extract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { NONE = -1, A, B, C, D, E, F };

static void check(enum extractor extractor, const char *rule, const char *reply, int n_letters, int expected)
{
    int letter = extract_letter(extractor, reply, n_letters, NULL);
    if (letter != expected)
        fail_msg("%s on '%s': %d, expected %d", rule, reply, letter, expected);
}

/* Video-MME: what lmms-eval's head and its releases up to 0.7.1 make of a reply. */
static void test_videomme(void **state)
{
    (void)state;
    static const struct { const char *reply; int mcq, legacy; } rows[] = {
        {"B", B, B},
        {"B.", B, B},
        {"(B)", B, B},
        {"b", NONE, NONE},
        {"B. Candles.", B, B},
        {"The best answer is: C", C, C},
        {"Answer: C", C, A},
        {"Best answer: C", C, B},
        {"The best option is C", C, C},
        {"Based on the video, the answer is C.", C, B},
        {"Both are visible, so D", D, B},
        {"A man opens the door. The answer is (C).", A, A},
        {"The correct answer is not A but D.", D, A},
        {"The correct option is B, not C", C, B},
        {"Candles", C, C},
        {"AB", B, A},
        {"BCD", D, B},
        {"The man has a CD", D, C},
        {"C, D", C, C},
        {"**C**", C, C},
        {"D. (a)(c)(b)(d).", D, D},
        {"!!!!!!!!!!!!!!!!", NONE, NONE},
        {"none of the above", NONE, NONE},
        {"E", NONE, NONE},
        {"B\nExplanation: A is wrong", B, B},
        {"<think>maybe A</think>C", C, A},
        {"Video /data/Cache/x.mp4 can not load, check the source", C, C},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(EXTRACT_MCQ, "mcq", rows[i].reply, 4, rows[i].mcq);
        check(EXTRACT_LEGACY, "legacy", rows[i].reply, 4, rows[i].legacy);
    }
}

static void test_mlvu(void **state)
{
    (void)state;
    static const struct { const char *reply; int mcq, parenthesis, legacy; } rows[] = {
        {"B", B, B, B},
        {"B)", B, B, B},
        {"B) Green", B, B, B},
        {"(B) Green", B, B, B},
        {"B.", B, NONE, B},
        {"B. Green", B, NONE, B},
        {"Answer: C", C, NONE, A},
        {"Best option: (D)", D, D, B},
        {"D) The answer is A)", D, D, D},
        {") B", B, NONE, B},
        {"c) blue", NONE, NONE, NONE},
        {"A man (in red) walks", A, NONE, A},
        {"I think it is C.", C, NONE, C},
        {"The answer is (C).", C, C, C},
        {"E) sixth option", NONE, E, NONE},
        {"The cat)", NONE, NONE, NONE},
        {"", NONE, NONE, NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(EXTRACT_MCQ, "mcq", rows[i].reply, 4, rows[i].mcq);
        check(EXTRACT_PARENTHESIS, "parenthesis", rows[i].reply, 4, rows[i].parenthesis);
        check(EXTRACT_LEGACY, "legacy", rows[i].reply, 4, rows[i].legacy);
    }
}

static void test_mvbench(void **state)
{
    (void)state;
    static const struct { const char *reply; int letter; } rows[] = {
        {"B", B},
        {"B.", B},
        {"(B)", B},
        {"b)", B},
        {"(B) Open the door.", B},
        {"B. Open the door.", B},
        {"The answer is B.", B},
        {"A person opens the door", A},
        {"The person is holding a cup", A},
        {"Open the door.", NONE},
        {"e.g. B", E},
        {"E", E},
        {"F", NONE},
        {"3", NONE},
        {"yes", NONE},
        {"A. foo\nbar", A},
        {"Both A and C", A},
        {"(C) a (D)", C},
        {"B_1", B},
        {"It's C", C},
        {"I'd say d", D},
        {"", NONE},
        {"B_1 _", NONE},          /* beside a blank the underscore goes and B1 is one word */
        {"B-1 is 1,000", NONE},   /* so does everything where a comma stands between digits */
        {"c.\nd is wrong", C},    /* a blank after the period may be LF */
        {"c.d is\nwrong", NONE},  /* the text after it may not hold one, and the period goes */
        {".C.5", C},              /* a period before a digit stays */
        {"\xc3\xa9.b", NONE},     /* é is a word character */
        {"\xc4\xb0" "c d", C},    /* İ is i and a combining dot in lower case */
        {"D\xcc\x81", D},         /* a combining acute is no word character */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(EXTRACT_MVBENCH, "mvbench", rows[i].reply, 4, rows[i].letter);
}

/* Upstream deletes 32 periods and no more. */
static void test_mvbench_periods(void **state)
{
    (void)state;
    char reply[64] = "x";
    memset(reply + 1, '.', 32);
    strcpy(reply + 33, "c");
    check(EXTRACT_MVBENCH, "mvbench", reply, 4, NONE); /* xc */
    memset(reply + 1, '.', 33);
    strcpy(reply + 34, "c");
    check(EXTRACT_MVBENCH, "mvbench", reply, 4, C); /* x.c */
}

static void test_mcq_formats(void **state)
{
    (void)state;
    static const struct { const char *reply; int n_letters, letter; } rows[] = {
        {"  \xe3\x80\x80 ", 4, NONE},                        /* blanks alone, one of them ideographic */
        {"it may be (A) or (C) or maybe b", 4, C},           /* the last in parentheses */
        {"so (A) it is, not B. at all", 4, A},               /* parentheses before a period */
        {"see B. or D: for it", 4, B},                       /* a period before a colon */
        {"see B: or D) for it", 4, B},                       /* a colon before a parenthesis */
        {"see B) or D for it", 4, B},                        /* a parenthesis before a blank */
        {"oneB two", 4, B},                                  /* a blank needs no left boundary */
        {"E", 5, E},
        {"the answer is (E)", 4, NONE},
        {"I choose C over B", 4, B},                         /* after a phrase, the furthest first occurrence */
        {"my choice is D. I pick A", 4, A},
        {"答案是B吧", 4, B},
        {"정답은 C 입니다", 4, C},
        {"答えは D です", 4, D},
        {"Aé is", 4, NONE + 1},                              /* no start, yet the only letter */
        {"\xc3\xa9" "B", 4, B},                              /* no end after é, but a blank is put behind */
        {"\xe2\x84\xaa: I pic\xe2\x84\xaa D then A.B x", 4, B}, /* the Kelvin sign is k in lower case */
        {"\xc4\xb0 the answer is AB, b", 4, B},              /* İ moves the place after the phrase by one, past the blank */
        {"\xc4\xb0\xc4\xb0 the answer is A.B x", 4, B},      /* two of them, past A too */
        {"\"'C'\"", 4, C},
        {"\xff\xfe" "C\xff", 4, C},                          /* not UTF-8 */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(EXTRACT_MCQ, "mcq", rows[i].reply, rows[i].n_letters, rows[i].letter);
}

static void test_legacy_deletion(void **state)
{
    (void)state;
    check(EXTRACT_LEGACY, "legacy", "The best option isThe correct option isBest answer: D", 4, B);
    check(EXTRACT_LEGACY, "legacy", "Best answer:Best option: D", 4, D);
    check(EXTRACT_LEGACY, "legacy", "The The best answer isanswer D", 4, D);    /* one deletion makes the next one's prefix */
    check(EXTRACT_LEGACY, "legacy", "Best answer:The answerBest option:D", 4, D);
    check(EXTRACT_LEGACY, "legacy", "The answe", 4, NONE);
    check(EXTRACT_LEGACY, "legacy", "The answer is is", 4, NONE);
    check(EXTRACT_LEGACY, "legacy", "F or E, never mind", 6, NONE);
}

static void test_reasoning(void **state)
{
    (void)state;
    static const struct { const char *reply, *left; } rows[] = {
        {"<think>maybe A</think>\n C ", "C"},
        {"<think>A</think>B<think>C</think>D", "BD"},
        {"maybe A</think> so B</think> C", "C"},
        {"<think>maybe A", "<think>maybe A"},
        {"B <think>maybe A</think><think>C", "B <think>C"},
        {"B <think>A", "B <think>A"},
        {"A</think>B<think>C", "A</think>B<think>C"},
        {"<think>a<think>b</think>c", "c"},
        {"<analysis>A</analysis><think>B</think>C", "C"},
        {"<think><analysis></think>A</analysis>B", "B"},
        {"<Think>A</Think>B", "<Think>A</Think>B"},
        {"<th<think></think>ink>A</think>B", "<think>A</think>B"}, /* what is left is not looked at again */
        {"<think></think>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char reply[64];
        strcpy(reply, rows[i].reply);
        text_drop_reasoning(reply);
        assert_string_equal(reply, rows[i].left);
    }
}

static void test_strip(void **state)
{
    (void)state;
    static const struct { const char *text, *stripped; } rows[] = {
        {" \t\r\n a b \v\f", "a b"},
        {"\x1c\x1d\x1e\x1f" "a\xc2\x85\xc2\xa0", "a"},
        {"\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a" "a\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80", "a"},
        {"\xe2\x80\x8b" "a", "\xe2\x80\x8b" "a"}, /* a zero-width space is none */
        {"\x80 a \x80", "\x80 a \x80"},
        {" \xe3\x80\x80 ", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i].text;
        size_t length = strlen(text);
        text_strip(&text, &length);
        assert_int_equal(length, strlen(rows[i].stripped));
        assert_memory_equal(text, rows[i].stripped, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_videomme),     cmocka_unit_test(test_mlvu),            cmocka_unit_test(test_mvbench),
        cmocka_unit_test(test_mvbench_periods), cmocka_unit_test(test_mcq_formats), cmocka_unit_test(test_legacy_deletion),
        cmocka_unit_test(test_reasoning),    cmocka_unit_test(test_strip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
