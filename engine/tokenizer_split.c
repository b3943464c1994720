/* Splitting of text in front of byte-pair encoding. NFC is utf8proc's, apart from the order of combining marks, which it finds in
 * quadratic time, and from marks that the reference does not know; the pattern is PCRE2's, apart from \s, by which it means U+180E
 * too. */
#include "engine/tokenizer_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- UTF-8 --------------------------------------------------------------------------------------------------------------- */

/* Length of the sequence at p, or where it is ill-formed of the part that U+FFFD replaces: the bytes that could have begun one. */
static size_t sequence_length(const unsigned char *p, size_t left, bool *well_formed)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    unsigned char least = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80; /* no overlong forms */
    unsigned char most = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;  /* no surrogates, nothing past U+10FFFF */
    size_t have = 1;
    while (have < n && have < left && p[have] >= least && p[have] <= most) {
        have++;
        least = 0x80;
        most = 0xbf;
    }
    *well_formed = have == n;
    return have;
}

void tokenizer_add_repaired(struct text *out, const char *text, size_t length)
{
    size_t done = 0, at = 0;
    while (at < length) {
        bool well_formed;
        size_t n = sequence_length((const unsigned char *)text + at, length - at, &well_formed);
        if (!well_formed) {
            text_add(out, text + done, at - done);
            text_put(out, "\xef\xbf\xbd");
            done = at + n;
        }
        at += n;
    }
    text_add(out, length ? text + done : "", length - done);
}

/* ---- NFC ----------------------------------------------------------------------------------------------------------------- */

enum { DECOMPOSITION_MOST = 16, CLASSES = 256 }; /* the longest canonical decomposition has 4 code points */

static unsigned combining_class(utf8proc_int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class & (CLASSES - 1);
}

/* Puts one run of combining marks into the order of their classes, equals as they were, by counting; `spare` has room for it. */
static void order_run(utf8proc_int32_t *run, size_t n, utf8proc_int32_t *spare)
{
    size_t place[CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++)
        place[combining_class(run[i]) + 1]++;
    for (size_t i = 1; i <= CLASSES; i++)
        place[i] += place[i - 1];
    for (size_t i = 0; i < n; i++)
        spare[place[combining_class(run[i])]++] = run[i];
    memcpy(run, spare, n * sizeof *run);
}

static void order_marks(utf8proc_int32_t *points, size_t n, utf8proc_int32_t *spare)
{
    for (size_t i = 0; i < n;) {
        bool ordered = true;
        unsigned before = combining_class(points[i]);
        size_t first = i++;
        while (before && i < n) {
            unsigned class = combining_class(points[i]);
            if (!class)
                break;
            ordered &= class >= before;
            before = class;
            i++;
        }
        if (!ordered)
            order_run(points + first, i - first, spare);
    }
}

/* Canonical decompositions of all characters, unordered; NULL when memory is out. */
static utf8proc_int32_t *decompose(const char *text, size_t length, size_t *n)
{
    size_t capacity = length + DECOMPOSITION_MOST;
    utf8proc_int32_t *points = malloc(capacity * sizeof *points);
    *n = 0;
    for (size_t at = 0; points && at < length;) {
        utf8proc_int32_t c;
        at += (size_t)utf8proc_iterate((const unsigned char *)text + at, (utf8proc_ssize_t)(length - at), &c);
        if (capacity - *n < DECOMPOSITION_MOST) {
            utf8proc_int32_t *grown = realloc(points, 2 * capacity * sizeof *points);
            if (!grown)
                free(points);
            points = grown;
            capacity *= 2;
        }
        if (points)
            *n += (size_t)utf8proc_decompose_char(c, points + *n, DECOMPOSITION_MOST, UTF8PROC_STABLE | UTF8PROC_COMPOSE, NULL);
    }
    return points;
}

/* Nothing below U+0300, whose first byte is 0xcc, decomposes for NFC or combines with what stands before it. */
static bool is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0xcc)
            return false;
    return true;
}

/* The NFC of text that the reference knows all marks of. */
static void add_composed(struct text *out, const char *text, size_t length)
{
    size_t n;
    utf8proc_int32_t *points = decompose(text, length, &n);
    utf8proc_int32_t *spare = points ? malloc((n + 1) * sizeof *spare) : NULL;
    if (spare) {
        order_marks(points, n, spare);
        utf8proc_ssize_t left = utf8proc_normalize_utf32(points, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        for (utf8proc_ssize_t i = 0; i < left; i++) {
            unsigned char bytes[4];
            text_add(out, (const char *)bytes, (size_t)utf8proc_encode_char(points[i], bytes));
        }
    } else {
        out->failed = true;
    }
    free(spare);
    free(points);
}

/* The reference normalizes by the tables of Unicode 9. To it these, which came later, are no marks: they stay where they are and
 * nothing passes or composes across them. Found by comparing the two on every character. */
static const struct range { utf8proc_int32_t first, last; } later_marks[] = {
    {0x07fd, 0x07fd}, {0x0898, 0x089f}, {0x08ca, 0x08d3}, {0x09fe, 0x09fe}, {0x0c3c, 0x0c3c}, {0x0d3b, 0x0d3c}, {0x0eba, 0x0eba},
    {0x1715, 0x1715}, {0x1abf, 0x1ace}, {0x1df6, 0x1dfa}, {0xa82c, 0xa82c}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff},
    {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11930, 0x11930}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47},
    {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
};

static int compare_range(const void *key, const void *element)
{
    utf8proc_int32_t c = *(const utf8proc_int32_t *)key;
    const struct range *range = element;
    return c < range->first ? -1 : c > range->last;
}

static bool is_later_mark(utf8proc_int32_t c)
{
    return bsearch(&c, later_marks, sizeof later_marks / sizeof *later_marks, sizeof *later_marks, compare_range);
}

void tokenizer_add_nfc(struct text *out, const char *text, size_t length)
{
    size_t done = 0;
    if (is_plain(text, length)) {
        text_add(out, text, length);
        return;
    }
    for (size_t at = 0, n; at < length; at += n) {
        utf8proc_int32_t c;
        n = (size_t)utf8proc_iterate((const unsigned char *)text + at, (utf8proc_ssize_t)(length - at), &c);
        if (is_later_mark(c)) {
            add_composed(out, text + done, at - done);
            text_add(out, text + at, n);
            done = at + n;
        }
    }
    add_composed(out, text + done, length - done);
}

/* ---- the pattern --------------------------------------------------------------------------------------------------------- */

const char tokenizer_split_pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                                       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* The same with Unicode's White_Space spelt out. Letters and numbers are those of PCRE2's Unicode version. */
#define BLANK "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
static const char pcre2_pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?"
                                    "[^" BLANK "\\p{L}\\p{N}]+[\\r\\n]*|"
                                    "[" BLANK "]*[\\r\\n]+|[" BLANK "]+(?![^" BLANK "])|[" BLANK "]+";

struct splitter {
    pcre2_code *code;
    pcre2_match_context *limits;
};

int tokenizer_splitter_new(struct splitter **out, struct err *err)
{
    int code;
    PCRE2_SIZE where;
    PCRE2_UCHAR reason[128];
    struct splitter *splitter = calloc(1, sizeof *splitter);
    *out = NULL;
    if (!splitter || !(splitter->limits = pcre2_match_context_create(NULL))) {
        tokenizer_splitter_free(splitter);
        return err_no_memory(err, "a tokenizer");
    }
    splitter->code = pcre2_compile((PCRE2_SPTR)pcre2_pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &where,
                                   NULL);
    if (!splitter->code) {
        pcre2_get_error_message(code, reason, sizeof reason);
        tokenizer_splitter_free(splitter);
        return err_set(err, ERR_CONFIG, "the PCRE2 library cannot compile the tokenizer's pattern (%s); it needs Unicode support",
                       (const char *)reason);
    }
    pcre2_jit_compile(splitter->code, PCRE2_JIT_COMPLETE); /* faster where it exists; matching is the same without */
    pcre2_set_match_limit(splitter->limits, UINT32_MAX);   /* no alternative backtracks more than once over its run */
    *out = splitter;
    return 0;
}

void tokenizer_splitter_free(struct splitter *splitter)
{
    if (!splitter)
        return;
    pcre2_code_free(splitter->code);
    pcre2_match_context_free(splitter->limits);
    free(splitter);
}

int tokenizer_split(const struct splitter *splitter, const char *text, size_t length, tokenizer_take *take, void *context,
                    struct err *err)
{
    int rc = 0;
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!match)
        return err_no_memory(err, "splitting text");
    for (size_t at = 0; at < length && !rc;) {
        /* From `at` on, without a look at what stands before: the pattern has no lookbehind. */
        int matched = pcre2_match(splitter->code, (PCRE2_SPTR)text + at, length - at, 0, PCRE2_NO_UTF_CHECK, match, splitter->limits);
        if (matched < 1) {
            rc = err_no_memory(err, "splitting text"); /* each character matches one alternative, so nothing else can be the cause */
            break;
        }
        size_t n = pcre2_get_ovector_pointer(match)[1];
        rc = take(context, text + at, n, err);
        at += n;
    }
    pcre2_match_data_free(match);
    return rc;
}
