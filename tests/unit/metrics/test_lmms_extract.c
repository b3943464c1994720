/* Extractors against what released lmms-evals find in 10,500 replies each, and the letters they draw where they find none
 * (tools/oracle/lmms_eval). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "core/json.h"
#include "core/text.h"
#include "metrics/extract.h"
#include "metrics/guess.h"

enum { MOST_TEXT = 16 << 20, MOST_LETTERS = 8, LEAST_LINES = 10000 };

/* All of a gzip file, NUL-terminated. */
static char *unpack(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, FIXTURES_DIR "/lmms/%s.jsonl.gz", name);
    gzFile file = gzopen(path, "rb");
    char *text = malloc(MOST_TEXT);
    assert_non_null(file);
    assert_non_null(text);
    int n = gzread(file, text, MOST_TEXT - 1);
    assert_in_range(n, 1, MOST_TEXT - 2);
    text[n] = 0;
    gzclose(file);
    return text;
}

/* Calls `check` with each line as JSON, and holds their number against what is promised. */
static void each_line(const char *name, void (*check)(const struct json *line, void *context), void *context)
{
    char *text = unpack(name);
    size_t n = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        struct json *json;
        struct err err = {0};
        if (json_parse(&json, line, (size_t)(end - line), name, &err))
            fail_msg("%s", err.text);
        check(json, context);
        json_free(json);
    }
    assert_true(n >= LEAST_LINES);
    free(text);
}

struct rule {
    const char *name;
    enum extractor extractor;
    int n_letters;
    struct guesser guesser;
    size_t n_letters_found, n_drawn;
};

/* The path from a reply to its extractor is the framework's: blanks at its ends go. */
static char *stripped(const char *text)
{
    size_t length = strlen(text);
    text_strip(&text, &length);
    return strndup(text, length);
}

static int options_of(const struct json *line, const char **options)
{
    int n = 0;
    for (const struct json *option = json_first(json_get(line, "options")); option && n < MOST_LETTERS; option = json_next(option))
        options[n++] = json_string(option);
    return n;
}

static void check_reply(const struct json *line, void *context)
{
    struct rule *rule = context;
    const char *options[MOST_LETTERS], *expected = json_string(json_get(line, "extracted"));
    const char *letters = json_string(json_get(line, "letters"));
    int n = options_of(line, options), n_letters = letters ? (int)strlen(letters) : n ? n : rule->n_letters;
    char *reply = stripped(json_string(json_get(line, "response")));
    int found = extract_letter(rule->extractor, reply, n_letters, n ? options : NULL), letter = found;
    assert_non_null(reply);
    if (json_bool(json_get(line, "fallback"))) {
        letter = guesser_choose(&rule->guesser, n);
        rule->n_drawn++;
    }
    bool is_letter = expected[0] >= 'A' && expected[0] <= 'Z' && !expected[1]; /* any text may come of some rules, and is no letter */
    if ((json_bool(json_get(line, "fallback")) && found >= 0) || letter != (is_letter ? expected[0] - 'A' : -1))
        fail_msg("%s finds %d, draws %d in '%s'; lmms-eval has '%s'", rule->name, found, letter, reply, expected);
    rule->n_letters_found += found >= 0;
    free(reply);
}

static void test_replies(void **state)
{
    (void)state;
    static struct rule rules[] = {
        {.name = "mcq", EXTRACT_MCQ, 4},
        {.name = "mcq_letters", EXTRACT_MCQ, 0},
        {.name = "legacy", EXTRACT_LEGACY, 4},
        {.name = "parenthesis", EXTRACT_PARENTHESIS, 4},
        {.name = "longvideobench_mmmu", EXTRACT_MMMU, 0},
        {.name = "longvideobench", EXTRACT_LONGVIDEOBENCH, 0},
        {.name = "nextqa", EXTRACT_MMMU, 0},
        {.name = "mvbench", EXTRACT_MVBENCH, 5},
        {.name = "perceptiontest", EXTRACT_STANDALONE, 4},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char name[64];
        snprintf(name, sizeof name, "extraction_%s", rules[i].name);
        guesser_seed(&rules[i].guesser, 0);
        each_line(name, check_reply, &rules[i]);
        assert_true(rules[i].n_letters_found > LEAST_LINES / 20);
        assert_int_equal(rules[i].n_drawn > 0, rules[i].extractor == EXTRACT_MMMU || rules[i].extractor == EXTRACT_LONGVIDEOBENCH);
    }
}

static void check_reasoning(const struct json *line, void *context)
{
    (void)context;
    char *reply = stripped(json_string(json_get(line, "response")));
    text_drop_reasoning(reply);
    assert_string_equal(reply, json_string(json_get(line, "stripped")));
    free(reply);
}

static void test_reasoning(void **state)
{
    (void)state;
    each_line("reasoning", check_reasoning, NULL);
}

static void test_guesses(void **state)
{
    (void)state;
    static const struct { int n; const char *letters; } drawn[] = {
        {3, "BBABCBBBBBCACABAACBCCCAB"}, {4, "DDACDDCDCBBCBACBCAACDACD"}, {5, "DDACEDDCDCEBEBCBAECEEBCA"}, {1, "AAAA"}};
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        struct guesser guesser;
        guesser_seed(&guesser, 0);
        for (const char *letter = drawn[i].letters; *letter; letter++)
            assert_int_equal(guesser_choose(&guesser, drawn[i].n), *letter - 'A');
    }
    struct guesser guesser;
    guesser_seed(&guesser, 0);
    long sum = 0;
    for (int i = 0; i < 5000; i++) /* past the first renewal of the state */
        sum += guesser_choose(&guesser, 1000);
    assert_int_equal(sum, 2503797);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_reasoning),
        cmocka_unit_test(test_guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
