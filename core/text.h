/* Text: a growing string, and what UTF-8 is. Failure to grow is remembered, so that a run of additions needs one check at its end. */
#ifndef TOKSWEEP_CORE_TEXT_H
#define TOKSWEEP_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text { /* zero-initialise: struct text t = {0}; */
    char *bytes;     /* NUL-terminated once something was added; malloc'ed */
    size_t length, capacity;
    bool failed;     /* memory ran out: bytes holds what came before */
};

void text_add(struct text *text, const char *bytes, size_t n);
void text_put(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The string, now the caller's to free; NULL when an addition failed. An untouched text gives "". Empties `text`. */
char *text_take(struct text *text);
void text_free(struct text *text);

/* Python's str.isspace() for one code point. */
bool text_is_blank(int32_t c);

/* Python's str.strip(): the span of text[0..length) without leading and trailing Unicode blanks. Bytes that are no UTF-8 are not blank. */
void text_strip(const char **text, size_t *length);

/* Length of the well-formed UTF-8 sequence at `at`, of which `left` >= 1 bytes are left; 0 if there is none. */
size_t utf8_length(const char *at, size_t left);

/* Appends words of strangers as part of one line for a terminal: a blank for each control character, line separator and mark that turns
 * the direction of text, U+FFFD for each byte that is no UTF-8. */
void text_put_shown(struct text *text, const char *string);

/* Columns of a terminal that text takes: one for a code point, two for East Asian wide ones and pictographs. */
size_t text_columns(const char *string);

/* Whether all of bytes[0..length) is UTF-8, and none of it NUL. */
bool text_is_clean(const char *bytes, size_t length);

#endif
