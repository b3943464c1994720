/* Extractors: from a reply to a letter, each as its protocol has it, faults included.
 *
 * Replies are walked in place as spans of UTF-8, so nothing is allocated and nothing can fail. Where upstream looks at whole
 * strings only to compare positions of one kind, the spans are searched from the end that decides. An invalid byte counts as one
 * replacement character. Facts: benchmarks.md 11; the numbers of its rules are given below. */
#include "metrics/extract.h"

#include <string.h>
#include <utf8proc.h>

struct span {
    const char *at, *end;
};

enum { REPLACEMENT = 0xfffd, DOTTED_CAPITAL_I = 0x130 };

/* ---- code points --------------------------------------------------------------------------------------------------------- */

static int32_t span_first(struct span span, size_t *length)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)span.at, span.end - span.at, &c);
    *length = n > 0 ? (size_t)n : 1;
    return n > 0 ? c : REPLACEMENT;
}

static int32_t span_last(struct span span, size_t *length)
{
    for (*length = 1; *length <= 4 && *length <= (size_t)(span.end - span.at); ++*length) {
        size_t n;
        int32_t c = span_first((struct span){span.end - *length, span.end}, &n);
        if (n == *length && c != REPLACEMENT)
            return c;
    }
    *length = 1;
    return REPLACEMENT;
}

/* Takes the first code point off; the span is not empty. */
static int32_t span_take(struct span *span)
{
    size_t n;
    int32_t c = span_first(*span, &n);
    span->at += n;
    return c;
}

static bool span_empty(struct span span)
{
    return span.at == span.end;
}

/* Python's str.isspace(). */
static bool is_blank(int32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_letter(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_digit(int32_t c)
{
    return utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

/* Python's \w. */
static bool is_word(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return c == '_' || is_letter(c) || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

/* ---- spans --------------------------------------------------------------------------------------------------------------- */

static struct span span_strip(struct span span)
{
    size_t n;
    while (!span_empty(span) && is_blank(span_first(span, &n)))
        span.at += n;
    while (!span_empty(span) && is_blank(span_last(span, &n)))
        span.end -= n;
    return span;
}

/* Without the ASCII character `c` at both ends. */
static struct span span_strip_char(struct span span, char c)
{
    while (!span_empty(span) && *span.at == c)
        span.at++;
    while (!span_empty(span) && span.end[-1] == c)
        span.end--;
    return span;
}

static struct span span_of_reply(const char *reply)
{
    return span_strip((struct span){reply, reply + strlen(reply)});
}

void text_strip(const char **text, size_t *length)
{
    struct span span = span_strip((struct span){*text, *text + *length});
    *text = span.at;
    *length = (size_t)(span.end - span.at);
}

/* Moves what is at `from` to `to`, before it in the same string. */
static void tail_move(char *to, const char *from)
{
    memmove(to, from, strlen(from) + 1);
}

static void blocks_drop(char *reply, const char *start, const char *end)
{
    char *block = reply, *close = NULL;
    while ((block = strstr(block, start)) && (close = strstr(block + strlen(start), end)))
        tail_move(block, close + strlen(end));
    if (strstr(reply, start))
        return;
    while ((close = strstr(reply, end)))
        tail_move(reply, close + strlen(end));
}

void text_drop_reasoning(char *reply)
{
    blocks_drop(reply, "<think>", "</think>");
    blocks_drop(reply, "<analysis>", "</analysis>");
    const char *text = reply;
    size_t length = strlen(reply);
    text_strip(&text, &length);
    memmove(reply, text, length);
    reply[length] = 0;
}

/* Index of the letter c among the first n, -1 if it is none. */
static int letter_index(int32_t c, int n)
{
    return c >= 'A' && c < 'A' + n ? c - 'A' : -1;
}

/* ---- 11.1 shared multiple-choice extractor ------------------------------------------------------------------------------- */

static const char *const phrases[] = {
    "the answer is",        "answer is",         "the correct answer is", "correct answer is", "the best answer is", "best answer is",
    "the correct option is", "correct option is", "the best option is",    "best option is",    "the choice is",      "choice is",
    "the correct choice is", "correct choice is", "i choose",              "i select",          "i pick",             "my answer is",
    "my choice is",         "옵션",              "정답은",                "답은",              "답:",                "答案是",
    "答案为",               "选",                "答えは",
};

/* Whether the text at `at` begins with `phrase` in lower case; *after is then what follows. */
static bool phrase_matches(struct span at, const char *phrase, struct span *after)
{
    struct span wanted = {phrase, phrase + strlen(phrase)};
    while (!span_empty(wanted)) {
        if (span_empty(at) || utf8proc_tolower(span_take(&at)) != span_take(&wanted))
            return false;
    }
    *after = at;
    return true;
}

/* What follows the first occurrence of `phrase`; false if there is none. Upstream finds the place in the lower-case text and uses
 * it in the text itself; the dotted capital I, alone of all letters, is two code points in lower case, so that each one before the
 * place moves it one on. (Its lower case begins with 'i', but then comes a combining dot, which no phrase has.) */
static bool phrase_find(struct span text, const char *phrase, struct span *after)
{
    size_t moved = 0;
    for (; !span_empty(text); moved += span_take(&text) == DOTTED_CAPITAL_I) {
        if (!phrase_matches(text, phrase, after))
            continue;
        for (; moved > 0 && !span_empty(*after); moved--)
            span_take(after);
        return true;
    }
    return false;
}

/* The letter whose first occurrence in `text` comes last, if that is past *place, which then moves there. */
static int letter_latest(struct span text, int n_letters, const char **place)
{
    int latest = -1;
    for (int i = 0; i < n_letters; i++) {
        const char *found = memchr(text.at, 'A' + i, (size_t)(text.end - text.at));
        if (found && (!*place || found > *place)) {
            *place = found;
            latest = i;
        }
    }
    return latest;
}

static int letter_after_phrase(struct span text, int n_letters)
{
    int latest = -1;
    const char *place = NULL;
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        struct span after;
        if (!phrase_find(text, phrases[i], &after))
            continue;
        int letter = letter_latest(after, n_letters, &place);
        latest = letter >= 0 ? letter : latest;
    }
    return latest;
}

static int letter_at_start(struct span text, int n_letters)
{
    int letter = span_empty(text) ? -1 : letter_index(*text.at++, n_letters);
    size_t n;
    return letter >= 0 && (span_empty(text) || !is_letter(span_first(text, &n))) ? letter : -1;
}

static int letter_at_end(struct span text, int n_letters)
{
    int letter = span_empty(text) ? -1 : letter_index(*--text.end, n_letters);
    size_t n;
    return letter >= 0 && (span_empty(text) || !is_letter(span_last(text, &n))) ? letter : -1;
}

/* The last letter with `before` in front of it and `after` behind it; 0 stands for anything. The text counts as ended by a blank. */
static int letter_between(struct span text, char before, char after, int n_letters)
{
    for (const char *p = text.end; p-- > text.at;) {
        int letter = letter_index(*p, n_letters);
        if (letter < 0 || (before && (p == text.at || p[-1] != before)))
            continue;
        if (!after || (p + 1 < text.end ? p[1] : ' ') == after)
            return letter;
    }
    return -1;
}

static int extract_mcq(struct span text, int n_letters)
{
    for (const char *c = ",.!?;:'\""; *c; c++)
        text = span_strip_char(text, *c);
    struct span stripped = span_strip(text);
    int letter = letter_at_start(stripped, n_letters);
    if (letter < 0)
        letter = letter_at_end(stripped, n_letters);
    if (letter < 0)
        letter = letter_after_phrase(text, n_letters);
    static const struct { char before, after; } formats[] = {{'(', ')'}, {0, '.'}, {0, ':'}, {0, ')'}, {0, ' '}, {0, 0}};
    for (size_t i = 0; letter < 0 && i < sizeof formats / sizeof *formats; i++)
        letter = letter_between(text, formats[i].before, formats[i].after, n_letters);
    return letter;
}

/* ---- 11.2 legacy regex --------------------------------------------------------------------------------------------------- */

/* The last is what two missing commas upstream made of three. */
static const char *const legacy_prefixes[] = {
    "The best answer is", "The correct answer is", "The answer is", "The answer", "The best option isThe correct option is",
    "Best answer:Best option:",
};

struct deletion { /* of one prefix, from a stream of bytes that is looked ahead as far as the prefix is long */
    const char *prefix;
    size_t length, n;
    char ahead[40];
};

enum { DELETIONS = sizeof legacy_prefixes / sizeof *legacy_prefixes };

/* The next byte of `text` after deletions[0..level]; -1 at its end. Deletion happens level by level, as upstream does it, so that
 * what one leaves behind can be a prefix of a later one, but never of its own. */
static int deletion_next(struct deletion *deletions, int level, struct span *text)
{
    if (level < 0)
        return span_empty(*text) ? -1 : (unsigned char)*text->at++;
    struct deletion *own = &deletions[level];
    do {
        if (own->n == own->length)
            own->n = 0;
        for (int c; own->n < own->length && (c = deletion_next(deletions, level - 1, text)) >= 0;)
            own->ahead[own->n++] = (char)c;
    } while (own->n == own->length && !memcmp(own->ahead, own->prefix, own->length));
    if (!own->n)
        return -1;
    int c = (unsigned char)own->ahead[0];
    memmove(own->ahead, own->ahead + 1, --own->n);
    return c;
}

static int extract_legacy(struct span text)
{
    struct deletion deletions[DELETIONS] = {0};
    for (int i = 0; i < DELETIONS; i++) {
        deletions[i].prefix = legacy_prefixes[i];
        deletions[i].length = strlen(legacy_prefixes[i]);
    }
    for (int c; (c = deletion_next(deletions, DELETIONS - 1, &text)) >= 0;)
        if (letter_index(c, 4) >= 0)
            return letter_index(c, 4);
    return -1;
}

/* ---- 11.3 parenthesis rule ----------------------------------------------------------------------------------------------- */

static int extract_parenthesis(struct span text)
{
    const char *parenthesis = memchr(text.at, ')', (size_t)(text.end - text.at));
    if (parenthesis && parenthesis > text.at)
        return letter_index(parenthesis[-1], 26);
    return !parenthesis && text.end - text.at == 1 ? letter_index(*text.at, 26) : -1;
}

/* ---- 11.7 MVBench -------------------------------------------------------------------------------------------------------- */

static const char punctuation[] = ";/[]\"{}()=+\\_-><@`,?!";

enum { MOST_PERIODS = 32 }; /* deleted; upstream passes a flag where a count belongs */

struct cleaned { /* a reply without most of its punctuation, as a stream of code points */
    struct span rest;
    uint32_t deleted; /* bit i: punctuation[i] goes, otherwise it becomes a blank */
    int periods;
};

static int32_t line_take(struct span *text)
{
    int32_t c = span_take(text);
    return c == '\n' || c == '\t' ? ' ' : c;
}

/* Which punctuation goes: what stands beside a blank anywhere, or all where a comma stands between digits. */
static uint32_t deleted_find(struct span text)
{
    uint32_t deleted = 0;
    for (int32_t before = 0, c = 0; !span_empty(text); before = c) {
        c = line_take(&text);
        struct span ahead = text;
        int32_t after = span_empty(ahead) ? 0 : line_take(&ahead);
        const char *mark = c > 0 && c < 0x80 ? strchr(punctuation, c) : NULL;
        if (mark && (before == ' ' || after == ' '))
            deleted |= (uint32_t)1 << (mark - punctuation);
        if (c == ',' && is_digit(before) && is_digit(after))
            return UINT32_MAX;
    }
    return deleted;
}

/* -1 at the end. */
static int32_t unpunctuated_next(struct cleaned *cleaned)
{
    while (!span_empty(cleaned->rest)) {
        int32_t c = line_take(&cleaned->rest);
        const char *mark = c > 0 && c < 0x80 ? strchr(punctuation, c) : NULL;
        if (!mark)
            return c;
        if (!(cleaned->deleted >> (mark - punctuation) & 1))
            return ' ';
    }
    return -1;
}

static int32_t cleaned_next(struct cleaned *cleaned)
{
    for (;;) {
        int32_t c = unpunctuated_next(cleaned);
        struct cleaned ahead = *cleaned;
        if (c != '.' || cleaned->periods == MOST_PERIODS || is_digit(unpunctuated_next(&ahead)))
            return c;
        cleaned->periods++;
    }
}

/* "B. something" on one line. */
static int letter_of_line(struct span text)
{
    int letter = span_empty(text) ? -1 : letter_index(*text.at++ & ~0x20, 5);
    if (letter < 0 || span_empty(text) || *text.at++ != '.')
        return -1;
    text = span_strip(text);
    return span_empty(text) || memchr(text.at, '\n', (size_t)(text.end - text.at)) ? -1 : letter;
}

/* The first a-e that is a word of its own, in either case. Upstream's stripping and lower-casing before this changes no word, but
 * for the dotted capital I, whose lower case ends with a combining dot and so with no word character. */
static int extract_mvbench(struct span text)
{
    int letter = letter_of_line(text);
    if (letter >= 0)
        return letter;
    struct cleaned cleaned = {.rest = text, .deleted = deleted_find(text)};
    bool after_word = false;
    for (int32_t c; (c = cleaned_next(&cleaned)) >= 0; after_word = is_word(c) && c != DOTTED_CAPITAL_I) {
        struct cleaned ahead = cleaned;
        letter = c < 0x80 ? letter_index(c & ~0x20, 5) : -1;
        if (letter >= 0 && !after_word && !is_word(cleaned_next(&ahead)))
            return letter;
    }
    return -1;
}

int extract_letter(enum extractor extractor, const char *reply, int n_letters)
{
    struct span text = span_of_reply(reply);
    switch (extractor) {
    case EXTRACT_MCQ: return extract_mcq(text, n_letters);
    case EXTRACT_LEGACY: return extract_legacy(text);
    case EXTRACT_PARENTHESIS: return extract_parenthesis(text);
    case EXTRACT_MVBENCH: return extract_mvbench(text);
    }
    return -1;
}
