/* SHA-256, for the identities of cells, checkpoints, manifests and token streams. */
#ifndef TOKSWEEP_CORE_DIGEST_H
#define TOKSWEEP_CORE_DIGEST_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_HEX = 65 }; /* 64 lower-case digits and a NUL */

struct digest; /* a running hash; one thread */

struct digest *digest_new(void); /* NULL when memory is out */
void digest_add(struct digest *digest, const void *bytes, size_t n);
void digest_add_text(struct digest *digest, const char *text); /* with its NUL, so that "ab","c" differs from "a","bc" */
void digest_add_u64(struct digest *digest, uint64_t value);    /* little-endian */
void digest_finish(struct digest *digest, char hex[DIGEST_HEX]); /* frees `digest` */

/* The digest of one buffer, or of a file's bytes. */
void digest_of(const void *bytes, size_t n, char hex[DIGEST_HEX]);
int digest_of_file(const char *path, char hex[DIGEST_HEX], struct err *err);

/* What git calls a file's bytes, 40 digits: SHA-1 of "blob <length>", a NUL, and them. Names files of the Hub; nothing here trusts it. */
int digest_of_blob(const char *path, char hex[DIGEST_HEX], struct err *err);

#endif
