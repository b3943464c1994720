/* Tokenizer: text <-> text ids, as Qwen2's byte-level BPE does it.
 *
 * Reads tokenizer.json, or vocab.json with merges.txt and added_tokens.json. A tokenizer is read-only after opening and can be
 * used from any number of threads. */
#ifndef TOKSWEEP_ENGINE_TOKENIZER_H
#define TOKSWEEP_ENGINE_TOKENIZER_H

#include "core/arena.h"
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

struct tokenizer;

/* `folder` is a checkpoint folder. ERR_DATA names the file and what is wrong (no merges, an id twice, a merge of unknown parts...). */
int tokenizer_open(struct tokenizer **out, const char *folder, struct err *err);
void tokenizer_close(struct tokenizer *tokenizer);

/* Number of ids, added tokens included: highest id + 1. Rows of the embedding at and past it are meaningless. */
int32_t tokenizer_size(const struct tokenizer *tokenizer);

/* Id of an added token by its literal text ("<|im_end|>"), -1 if there is none. */
int32_t tokenizer_added(const struct tokenizer *tokenizer, const char *text);

/* SHA-256 over vocabulary, merges and added tokens, in id and rank order: equal for equal behaviour whatever the files' layout. */
const char *tokenizer_digest(const struct tokenizer *tokenizer);

/* Ids of `text` (length bytes; invalid UTF-8 is replaced by U+FFFD), appended to nothing: a fresh array in `arena`.
 * Added tokens in the text become their ids. Fails only when memory is out. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, struct arena *arena, int32_t **ids, size_t *n,
                     struct err *err);

/* Text of ids, added tokens marked special skipped, invalid UTF-8 and NUL replaced by U+FFFD; NUL-terminated, in `arena`; NULL when
 * memory is out. Ids outside the vocabulary give nothing. */
char *tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, struct arena *arena);

#endif
