/* Base64 (RFC 4648, section 4): how pictures travel inside JSON. */
#ifndef TOKSWEEP_CORE_BASE64_H
#define TOKSWEEP_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters that n bytes take, padding included, NUL excluded. */
size_t base64_length(size_t n);

/* Writes base64_length(n) characters, no NUL. */
void base64_encode(char *out, const uint8_t *bytes, size_t n);

/* Most bytes that text of `length` characters stands for. */
size_t base64_most(size_t length);

/* Decodes text[0..length) into `out`, which holds base64_most(length). Padding is required, blanks are refused, and so are bits that stand
 * for no byte. false when it is not base64. */
bool base64_decode(uint8_t *out, size_t *n, const char *text, size_t length);

#endif
