/* Extractors: from a reply to a letter, each as its protocol has it, faults included.
 *
 * Replies are walked in place as spans of UTF-8, so nothing is allocated and nothing can fail. Where upstream looks at whole
 * strings only to compare positions of one kind, the spans are searched from the end that decides. An invalid byte counts as one
 * replacement character. */
#include "metrics/extract.h"

#include "core/text.h"

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
    size_t length = (size_t)(span.end - span.at);
    text_strip(&span.at, &length);
    span.end = span.at + length;
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

/* ---- shared multiple-choice extractor ------------------------------------------------------------------------------------ */

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
        int32_t c = span_empty(at) ? -1 : span_take(&at);
        if (c < 0 || c == DOTTED_CAPITAL_I || utf8proc_tolower(c) != span_take(&wanted))
            return false;
    }
    *after = at;
    return true;
}

/* What follows the first occurrence of `phrase`; false if there is none. Upstream finds the place in the lower-case text and uses
 * it in the text itself; the dotted capital I, alone of all letters, is two code points in lower case, so that each one before the
 * place moves it one on. No phrase has one in it: the second of them is a combining dot. */
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

/* ---- the first letter after known prefixes are deleted --------------------------------------------------------------------- */

/* The last is what two missing commas upstream made of three. */
static const char *const legacy_prefixes[] = {
    "The best answer is", "The correct answer is", "The answer is", "The answer", "The best option isThe correct option is",
    "Best answer:Best option:", NULL,
};

static const char *const longvideobench_prefixes[] = {
    "The best answer is", "The correct answer is", "The answer is", "The answer", "The best option is", "The correct option is",
    "Best answer:", "Best option:", NULL,
};

enum { MOST_DELETIONS = 8 };

struct deletion { /* of one prefix, from a stream of bytes that is looked ahead as far as the prefix is long */
    const char *prefix;
    size_t length, n;
    char ahead[40];
};

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

static int extract_after_prefixes(struct span text, const char *const *prefixes, int n_letters)
{
    struct deletion deletions[MOST_DELETIONS] = {0};
    int n = 0;
    for (; prefixes[n]; n++) {
        deletions[n].prefix = prefixes[n];
        deletions[n].length = strlen(prefixes[n]);
    }
    for (int c; (c = deletion_next(deletions, n - 1, &text)) >= 0;)
        if (letter_index(c, n_letters) >= 0)
            return letter_index(c, n_letters);
    return -1;
}

/* ---- parenthesis rule ---------------------------------------------------------------------------------------------------- */

static int extract_parenthesis(struct span text)
{
    const char *parenthesis = memchr(text.at, ')', (size_t)(text.end - text.at));
    if (parenthesis && parenthesis > text.at)
        return letter_index(parenthesis[-1], 26);
    return !parenthesis && text.end - text.at == 1 ? letter_index(*text.at, 26) : -1;
}

/* ---- MMMU ---------------------------------------------------------------------------------------------------------------- */

struct lowered { /* a text in lower case, as Python's str.lower() has it, as a stream of code points */
    struct span rest;
    int32_t pending;  /* second half of the dotted capital I's lower case, 0 if none */
    bool after_cased; /* the last code point that is not ignored here has a case */
};

enum { CAPITAL_SIGMA = 0x3a3, SIGMA = 0x3c3, FINAL_SIGMA = 0x3c2, DOT_ABOVE = 0x307 };

/* Unicode's Cased. */
static bool is_cased(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT ||
           c == 0xaa || c == 0xba || (c >= 0x2160 && c <= 0x217f) || (c >= 0x24b6 && c <= 0x24e9);
}

/* Unicode's Case_Ignorable: marks, formats, modifiers, and what can stand inside a word. */
static bool is_case_ignored(int32_t c)
{
    static const int32_t inside[] = {'\'',   '.',    ':',    0xb7,   0x387,  0x55f,  0x5f4,  0x2018, 0x2019,
                                     0x2024, 0x2027, 0xfe13, 0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        if (c == inside[i])
            return true;
    return false;
}

static bool cased_follows(struct span rest)
{
    while (!span_empty(rest)) {
        int32_t c = span_take(&rest);
        if (!is_case_ignored(c))
            return is_cased(c);
    }
    return false;
}

static int32_t lowered_next(struct lowered *text)
{
    int32_t c = text->pending;
    text->pending = 0;
    if (c)
        return c;
    if (span_empty(text->rest))
        return -1;
    c = span_take(&text->rest);
    bool final = text->after_cased && c == CAPITAL_SIGMA && !cased_follows(text->rest);
    text->pending = c == DOTTED_CAPITAL_I ? DOT_ABOVE : 0;
    text->after_cased = is_case_ignored(c) ? text->after_cased : is_cased(c);
    return c == DOTTED_CAPITAL_I ? 'i' : c == CAPITAL_SIGMA ? (final ? FINAL_SIGMA : SIGMA) : utf8proc_tolower(c);
}

static bool lowered_begins(struct lowered text, struct lowered part)
{
    for (int32_t c; (c = lowered_next(&part)) >= 0;)
        if (lowered_next(&text) != c)
            return false;
    return true;
}

/* Where `part` begins last in `text`, both in lower case; -1 if it does not. */
static ptrdiff_t lowered_find_last(struct span text, const char *part)
{
    struct lowered at = {.rest = text}, wanted = {.rest = {part, part + strlen(part)}};
    ptrdiff_t last = -1, place = 0;
    do {
        if (lowered_begins(at, wanted))
            last = place;
        place++;
    } while (lowered_next(&at) >= 0);
    return last;
}

/* Python's len(text.split()). */
static int words_count(struct span text)
{
    int n = 0;
    for (bool inside = false; !span_empty(text);) {
        bool blank = text_is_blank(span_take(&text));
        n += !blank && !inside;
        inside = !blank;
    }
    return n;
}

/* Where `letter` stands last with `before` in front and `after` behind, -1 if nowhere; 0 stands for anything. The text counts as
 * begun and ended by a blank. */
static ptrdiff_t letter_find_last(struct span text, char before, char letter, char after)
{
    for (const char *p = text.end; p-- > text.at;) {
        char in_front = p > text.at ? p[-1] : ' ', behind = p + 1 < text.end ? p[1] : ' ';
        if (*p == letter && (!before || in_front == before) && behind == after)
            return p - text.at;
    }
    return -1;
}

enum mmmu_form { MMMU_BRACKETS, MMMU_BLANK, MMMU_PERIOD, MMMU_CONTENT, MMMU_FORMS };

static ptrdiff_t mmmu_find(struct span text, enum mmmu_form form, int letter, const char *const *options)
{
    switch (form) {
    case MMMU_BRACKETS: return letter_find_last(text, '(', (char)('A' + letter), ')');
    case MMMU_BLANK: return letter_find_last(text, 0, (char)('A' + letter), ' ');
    case MMMU_PERIOD: return letter_find_last(text, 0, (char)('A' + letter), '.');
    case MMMU_CONTENT:
    case MMMU_FORMS: break;
    }
    return lowered_find_last(text, options[letter]);
}

/* Upstream finds letters in one form and ranks them in another: what stands between blanks, whatever was found. */
static ptrdiff_t mmmu_rank(struct span text, enum mmmu_form form, int letter, const char *const *options)
{
    if (form == MMMU_BRACKETS || form == MMMU_CONTENT)
        return mmmu_find(text, form, letter, options);
    return letter_find_last(text, ' ', (char)('A' + letter), ' ');
}

static int extract_mmmu(struct span text, int n_letters, const char *const *options)
{
    for (const char *c = ",.!?;:'"; *c; c++)
        text = span_strip_char(text, *c);
    int last_form = words_count(text) > 5 && options ? MMMU_CONTENT : MMMU_PERIOD;
    for (int form = MMMU_BRACKETS; form <= last_form; form++) {
        int chosen = -1;
        ptrdiff_t best = -1;
        for (int letter = 0; letter < n_letters; letter++) {
            if (mmmu_find(text, (enum mmmu_form)form, letter, options) < 0)
                continue;
            ptrdiff_t rank = mmmu_rank(text, (enum mmmu_form)form, letter, options);
            if (chosen < 0 || rank > best) {
                chosen = letter;
                best = rank;
            }
        }
        if (chosen >= 0)
            return chosen;
    }
    return -1;
}

/* ---- MVBench ------------------------------------------------------------------------------------------------------------- */

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

/* ---- a capital that is a word of its own --------------------------------------------------------------------------------- */

static int extract_standalone(struct span text)
{
    for (bool after_word = false; !span_empty(text);) {
        int32_t c = span_take(&text);
        int letter = letter_index(c, 4);
        size_t n;
        if (letter >= 0 && !after_word && (span_empty(text) || !is_word(span_first(text, &n))))
            return letter;
        after_word = is_word(c);
    }
    return -1;
}

/* ---- MVBench's own script ------------------------------------------------------------------------------------------------ */

/* The reply goes on after "Best option:(". The script puts that bracket back, takes what comes before the first blank of the first
 * line, and holds it against "(x)": it names x when it is a part of that without its periods, or has it as a part with them. Where
 * nothing is left but the bracket it is a part of every answer and the script says right; here it is no answer. */
static int extract_first_word(struct span text, int n_letters)
{
    char word[64] = "(", bare[64] = "("; /* longer words name nothing that a part of them does not */
    size_t n = 1, n_bare = 1;
    for (const char *p = text.at; p < text.end && *p != ' ' && *p != '\n' && n + 1 < sizeof word; p++) {
        word[n] = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
        if (word[n] != '.')
            bare[n_bare++] = word[n];
        n++;
    }
    word[n] = bare[n_bare] = 0;
    for (int letter = 0; letter < n_letters; letter++) {
        const char wanted[] = {'(', (char)('a' + letter), ')', 0};
        if ((n_bare > 1 && strstr(wanted, bare)) || strstr(word, wanted))
            return letter;
    }
    return -1;
}

int extract_letter(enum extractor extractor, const char *reply, int n_letters, const char *const *options)
{
    struct span text = span_of_reply(reply);
    switch (extractor) {
    case EXTRACT_MCQ: return extract_mcq(text, n_letters);
    case EXTRACT_LEGACY: return extract_after_prefixes(text, legacy_prefixes, 4);
    case EXTRACT_PARENTHESIS: return extract_parenthesis(text);
    case EXTRACT_LONGVIDEOBENCH: return extract_after_prefixes(text, longvideobench_prefixes, 5);
    case EXTRACT_MMMU: return extract_mmmu(text, n_letters, options);
    case EXTRACT_MVBENCH: return extract_mvbench(text);
    case EXTRACT_STANDALONE: return extract_standalone(text);
    case EXTRACT_FIRST_WORD: return extract_first_word(text, n_letters);
    }
    return -1;
}
