/* Text: doubling growth, a check of UTF-8, and what a blank is. */
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->capacity - text->length > more)
        return true;
    size_t capacity = text->capacity ? text->capacity : 128;
    while (capacity - text->length <= more)
        capacity *= 2;
    char *bytes = realloc(text->bytes, capacity);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void text_add(struct text *text, const char *bytes, size_t n)
{
    if (!reserve(text, n))
        return;
    memcpy(text->bytes + text->length, bytes, n);
    text->length += n;
    text->bytes[text->length] = 0;
}

void text_put(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && reserve(text, (size_t)n)) {
        vsnprintf(text->bytes + text->length, (size_t)n + 1, format, again);
        text->length += (size_t)n;
    }
    va_end(again);
}

char *text_take(struct text *text)
{
    text_add(text, "", 0);
    char *bytes = text->bytes;
    if (text->failed) {
        free(bytes);
        bytes = NULL;
    }
    *text = (struct text){0};
    return bytes;
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

/* Unicode, table 3-7. */
size_t utf8_length(const char *at, size_t left)
{
    const unsigned char *p = (const unsigned char *)at;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool text_is_clean(const char *bytes, size_t length)
{
    for (size_t at = 0, n; at < length; at += n) {
        n = utf8_length(bytes + at, length - at);
        if (!n || !bytes[at])
            return false;
    }
    return true;
}

/* ---- on a terminal --------------------------------------------------------------------------------------------------------- */

/* The code point of a well-formed sequence of n bytes. */
static uint32_t code_point(const char *at, size_t n)
{
    const unsigned char *p = (const unsigned char *)at;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

static bool steers(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void text_put_shown(struct text *text, const char *string)
{
    for (size_t left = strlen(string); left;) {
        size_t n = utf8_length(string, left), step = n ? n : 1;
        if (!n)
            text_put(text, "\xef\xbf\xbd"); /* U+FFFD */
        else if (steers(code_point(string, n)))
            text_put(text, " ");
        else
            text_add(text, string, n);
        string += step;
        left -= step;
    }
}

/* Unicode's East_Asian_Width W and F, in blocks. */
static bool is_wide(uint32_t c)
{
    static const struct { uint32_t first, last; } wide[] = {
        {0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
        {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
    };
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (c >= wide[i].first && c <= wide[i].last)
            return true;
    return false;
}

size_t text_columns(const char *string)
{
    size_t columns = 0;
    for (size_t left = strlen(string), n; left; string += n, left -= n) {
        n = utf8_length(string, left);
        columns += n && is_wide(code_point(string, n)) ? 2 : 1;
        n = n ? n : 1;
    }
    return columns;
}

/* ---- blanks -------------------------------------------------------------------------------------------------------------- */

bool text_is_blank(int32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Length of the blank that begins at `at`, 0 if there is none. No blank takes more than three bytes. */
static size_t blank_length(const char *at, size_t left)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t n = left ? utf8_length(at, left) : 0;
    int32_t c = n == 1 ? p[0] : n == 2 ? (p[0] & 0x1f) << 6 | (p[1] & 0x3f)
              : n == 3 ? (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f) : -1;
    return text_is_blank(c) ? n : 0;
}

void text_strip(const char **text, size_t *length)
{
    const char *at = *text, *end = at + *length;
    for (size_t n; (n = blank_length(at, (size_t)(end - at))); at += n)
        continue;
    for (bool stripped = true; stripped;) {
        stripped = false;
        for (size_t n = 1; n <= 3 && n <= (size_t)(end - at) && !stripped; n++)
            if (blank_length(end - n, n) == n) {
                end -= n;
                stripped = true;
            }
    }
    *text = at;
    *length = (size_t)(end - at);
}
