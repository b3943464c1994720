/* Vocabulary, merges and added tokens, laid out for encoding and decoding. Internal to the tokenizer. */
#ifndef TOKSWEEP_ENGINE_TOKENIZER_VOCAB_H
#define TOKSWEEP_ENGINE_TOKENIZER_VOCAB_H

#include "core/arena.h"
#include "core/digest.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKENIZER_MOST_IDS = 1 << 22, TOKENIZER_MOST_ADDED = 4096 };

/* ---- as files give them -------------------------------------------------------------------------------------------------- */

struct vocab_token { /* `text` is in the byte alphabet */
    const char *text;
    int32_t id;
};

struct vocab_merge { /* of two texts in the byte alphabet; the place in the list is the rank */
    const char *left, *right;
    size_t left_length, right_length;
};

struct vocab_added {
    const char *path; /* for messages */
    const char *text; /* literal */
    int32_t id;
    bool special;     /* left out of decoded text */
    bool normalized;  /* looked for after NFC, not before */
};

struct vocab_parts { /* texts are borrowed, lists are not kept */
    const char *tokens_path, *merges_path; /* for messages */
    struct vocab_token *tokens;
    struct vocab_merge *merges;
    struct vocab_added *added;
    size_t n_tokens, n_merges, n_added;
};

/* ---- as they are used ---------------------------------------------------------------------------------------------------- */

struct merge { /* `left` and `right` become `made` */
    int32_t left, right, made;
    uint32_t rank;
};

struct added_token {
    const char *text;
    size_t length;
    int32_t id;
    bool special, normalized;
};

struct vocab { /* lists and texts are the arena's */
    struct arena arena;
    int32_t size;         /* highest id + 1 */
    char *bytes;          /* of all ids, one after the other */
    uint32_t *start;      /* [size + 1] id's bytes are bytes[start[id]..start[id + 1]); none for an unused id */
    bool *special;        /* [size] */
    int32_t byte_id[256];
    struct merge *merges; /* by left id, then by right id */
    size_t n_merges;
    uint32_t *first;      /* [size + 1] merges with left id: merges[first[id]..first[id + 1]) */
    struct added_token *added; /* by normalized, first byte, length from long to short */
    size_t n_added;
    size_t added_from[2 * 256 + 1]; /* added tokens of a first byte: added[added_from[k]..added_from[k + 1]), k = normalized * 256 + byte */
};

/* ERR_DATA names the file: ids out of range or given twice, bytes without a token, merges of or into unknown tokens. On failure
 * `vocab` is empty. */
int tokenizer_vocab_build(struct vocab *vocab, const struct vocab_parts *parts, struct err *err);
void tokenizer_vocab_free(struct vocab *vocab);

/* The merge of two neighbours, NULL if there is none. */
const struct merge *tokenizer_vocab_merge(const struct vocab *vocab, int32_t left, int32_t right);

/* The longest added token at the start of `text`, NULL if there is none. */
const struct added_token *tokenizer_vocab_added(const struct vocab *vocab, bool normalized, const char *text, size_t length);

/* Equal for equal behaviour: vocabulary in the order of ids, merges in the order of ranks, added tokens in the order of ids. False
 * when memory is out. */
bool tokenizer_vocab_digest(const struct vocab *vocab, char hex[DIGEST_HEX]);

#endif
