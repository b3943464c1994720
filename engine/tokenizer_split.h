/* From bytes to the pieces that byte-pair merges never cross: repair, NFC, split. Internal to
 * tokenizer.c and its tests. */
#ifndef TOKSWEEP_ENGINE_TOKENIZER_SPLIT_H
#define TOKSWEEP_ENGINE_TOKENIZER_SPLIT_H

#include "core/err.h"
#include "core/text.h"

#include <stddef.h>

/* The pattern of the tokenizers that this one implements, as their tokenizer.json spells it. */
extern const char tokenizer_split_pattern[];

/* Adds `text` as well-formed UTF-8: each ill-formed part becomes one U+FFFD (as Unicode 3.9 recommends, and Python and Rust do). */
void tokenizer_add_repaired(struct text *out, const char *text, size_t length);

/* Adds the NFC of `text`, which is well-formed, in time linear in its length. */
void tokenizer_add_nfc(struct text *out, const char *text, size_t length);

struct splitter; /* the compiled pattern; read-only, for any thread */

int tokenizer_splitter_new(struct splitter **out, struct err *err);
void tokenizer_splitter_free(struct splitter *splitter); /* NULL is fine */

/* Hands the pieces of `text`, which is well-formed and in NFC, to `take` in their order; together they are the text. Stops at the
 * first non-zero that `take` returns and returns it. Fails by itself only when memory is out. */
typedef int tokenizer_take(void *context, const char *piece, size_t length, struct err *err);
int tokenizer_split(const struct splitter *splitter, const char *text, size_t length, tokenizer_take *take, void *context,
                    struct err *err);

#endif
