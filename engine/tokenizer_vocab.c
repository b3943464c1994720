/* Vocabulary: texts resolved to ids once, so that encoding compares numbers only.
 *
 * Merges lie in one array, grouped by their left id and sorted by their right one: a lookup is a short binary search whatever the
 * file says, where a hash table would be at the mercy of whoever chose the ids. */
#include "engine/tokenizer_vocab.h"

#include "core/text.h"
#include "engine/tokenizer_split.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- byte alphabet ------------------------------------------------------------------------------------------------------- */

/* Printable bytes stand for themselves; the others, in their order, are U+0100 and on: 00-20, then 7f-a0, then ad. */
static unsigned alphabet_char(unsigned byte)
{
    return byte <= 0x20 ? 0x100 + byte : byte >= 0x7f && byte <= 0xa0 ? 0x121 + byte - 0x7f : byte == 0xad ? 0x143 : byte;
}

/* The byte of the character at *at, which it steps over; -1 for a character outside the alphabet. */
static int alphabet_byte(const char **at)
{
    const unsigned char *p = (const unsigned char *)*at;
    unsigned c = p[0];
    if (c >= 0xc2 && c <= 0xc5)
        c = (c & 0x1fu) << 6 | (p[1] & 0x3fu);
    else if (c >= 0x80)
        return -1;
    *at += c < 0x80 ? 1 : 2;
    unsigned byte = c < 0x100 ? c : c <= 0x120 ? c - 0x100 : c <= 0x142 ? c - 0x121 + 0x7f : 0xad;
    return alphabet_char(byte) == c ? (int)byte : -1;
}

/* The bytes a token stands for; a token with any character outside the alphabet stands for itself. Never longer than its text. */
static size_t token_bytes(const char *text, char *out)
{
    size_t n = 0;
    for (const char *at = text; *at;) {
        int byte = alphabet_byte(&at);
        if (byte < 0) {
            n = strlen(text);
            memcpy(out, text, n);
            return n;
        }
        out[n++] = (char)byte;
    }
    return n;
}

/* ---- ids by text, while building ----------------------------------------------------------------------------------------- */

struct builder {
    struct vocab *vocab;
    const struct vocab_parts *parts;
    const char **text;  /* [size], NULL for unused ids */
    int32_t *slots;     /* hash table of ids + 1 with open addressing, 0 where empty */
    size_t mask;
    uint64_t base;
    struct err *err;
};

/* A polynomial of the bytes modulo 2^31 - 1 at a point that no file can know. `hash` goes on from an earlier part; it stays below 2^32. */
static uint64_t hash_add(const struct builder *builder, uint64_t hash, const char *bytes, size_t n)
{
    const uint64_t prime = 0x7fffffff;
    for (size_t i = 0; i < n; i++) {
        hash = hash * builder->base + (unsigned char)bytes[i] + 1;
        hash = (hash & prime) + (hash >> 31);
    }
    return hash;
}

static uint64_t hash_base(const void *somewhere)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mixed = ((uint64_t)(uintptr_t)somewhere ^ (uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec) * UINT64_C(0x9e3779b97f4a7c15);
    return (1u << 28) + (mixed >> 36); /* below 2^29, so that products with a hash fit */
}

/* Where the text left+right is, or would be. */
static int32_t *find_slot(const struct builder *builder, const char *left, size_t left_length, const char *right, size_t right_length)
{
    uint64_t hash = hash_add(builder, hash_add(builder, 0, left, left_length), right, right_length);
    for (size_t at = (size_t)hash & builder->mask;; at = (at + 1) & builder->mask) {
        int32_t *slot = &builder->slots[at];
        if (!*slot)
            return slot;
        const char *text = builder->text[*slot - 1];
        if (strlen(text) == left_length + right_length && !memcmp(text, left, left_length) &&
            !memcmp(text + left_length, right, right_length))
            return slot;
    }
}

static int32_t find_id(const struct builder *builder, const char *left, size_t left_length, const char *right, size_t right_length)
{
    return *find_slot(builder, left, left_length, right, right_length) - 1;
}

/* Gives `id` to `text`. The same again is fine. */
static int define(struct builder *builder, int32_t id, const char *text, const char *path)
{
    int32_t *slot = find_slot(builder, text, strlen(text), "", 0);
    if (*slot && *slot - 1 != id)
        return err_set(builder->err, ERR_DATA, "'%s' gives token '%.100s' the id %d, but it already has the id %d", path, text, id,
                       *slot - 1);
    if (builder->text[id] && strcmp(builder->text[id], text))
        return err_set(builder->err, ERR_DATA, "'%s' gives the id %d to '%.100s', but '%.100s' has it already", path, id, text,
                       builder->text[id]);
    *slot = id + 1;
    builder->text[id] = text;
    return 0;
}

static int builder_open(struct builder *builder)
{
    const struct vocab_parts *parts = builder->parts;
    int32_t most = -1;
    size_t slots = 1024;
    for (size_t i = 0; i < parts->n_tokens; i++)
        most = parts->tokens[i].id > most ? parts->tokens[i].id : most;
    for (size_t i = 0; i < parts->n_added; i++)
        most = parts->added[i].id > most ? parts->added[i].id : most;
    builder->vocab->size = most + 1;
    while (slots < 2 * (parts->n_tokens + parts->n_added))
        slots *= 2;
    builder->mask = slots - 1;
    builder->base = hash_base(builder);
    builder->slots = calloc(slots, sizeof *builder->slots);
    builder->text = calloc((size_t)builder->vocab->size + 1, sizeof *builder->text);
    return builder->slots && builder->text ? 0 : err_no_memory(builder->err, "a tokenizer");
}

/* ---- building ------------------------------------------------------------------------------------------------------------ */

static int build_tokens(struct builder *builder)
{
    int rc = 0;
    for (size_t i = 0; i < builder->parts->n_tokens && !rc; i++)
        rc = define(builder, builder->parts->tokens[i].id, builder->parts->tokens[i].text, builder->parts->tokens_path);
    for (unsigned byte = 0; byte < 256 && !rc; byte++) {
        unsigned c = alphabet_char(byte);
        const char utf8[2] = {(char)(c < 0x80 ? c : 0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        builder->vocab->byte_id[byte] = find_id(builder, utf8, c < 0x80 ? 1 : 2, "", 0);
        if (builder->vocab->byte_id[byte] < 0)
            rc = err_set(builder->err, ERR_DATA, "'%s' has no token for the byte 0x%02x; a byte-level vocabulary with all 256 is expected",
                         builder->parts->tokens_path, byte);
    }
    return rc;
}

static int resolve_merge(const struct builder *builder, size_t rank, struct merge *merge)
{
    const struct vocab_merge *part = &builder->parts->merges[rank];
    *merge = (struct merge){.left = find_id(builder, part->left, part->left_length, "", 0),
                            .right = find_id(builder, part->right, part->right_length, "", 0),
                            .made = find_id(builder, part->left, part->left_length, part->right, part->right_length),
                            .rank = (uint32_t)rank};
    if (merge->left < 0 || merge->right < 0 || merge->made < 0)
        return err_set(builder->err, ERR_DATA, "merge %zu of '%s', '%.*s' and '%.*s', needs %s, which is not in the vocabulary", rank + 1,
                       builder->parts->merges_path, (int)(part->left_length < 100 ? part->left_length : 100), part->left,
                       (int)(part->right_length < 100 ? part->right_length : 100), part->right,
                       merge->left < 0 ? "its first part" : merge->right < 0 ? "its second part" : "the token that it makes");
    return 0;
}

static int by_left_and_right(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    return x->left != y->left ? (x->left > y->left) - (x->left < y->left) : (x->right > y->right) - (x->right < y->right);
}

static int build_merges(struct builder *builder)
{
    struct vocab *vocab = builder->vocab;
    size_t n = builder->parts->n_merges;
    int rc = 0;
    if (!n)
        return err_set(builder->err, ERR_DATA,
                       "'%s' has no merges, without which text cannot be encoded; put the checkpoint's tokenizer.json, or its vocab.json "
                       "and merges.txt, into the folder",
                       builder->parts->merges_path);
    vocab->merges = arena_alloc(&vocab->arena, n, sizeof *vocab->merges);
    vocab->first = arena_alloc(&vocab->arena, (size_t)vocab->size + 1, sizeof *vocab->first);
    if (!vocab->merges || !vocab->first)
        return err_no_memory(builder->err, "a tokenizer");
    for (size_t i = 0; i < n && !rc; i++)
        rc = resolve_merge(builder, i, &vocab->merges[i]);
    if (rc)
        return rc;
    vocab->n_merges = n;
    qsort(vocab->merges, n, sizeof *vocab->merges, by_left_and_right);
    for (size_t i = 1; i < n; i++)
        if (!by_left_and_right(&vocab->merges[i - 1], &vocab->merges[i]))
            return err_set(builder->err, ERR_DATA, "'%s' has the merge of '%.100s' and '%.100s' twice", builder->parts->merges_path,
                           builder->text[vocab->merges[i].left], builder->text[vocab->merges[i].right]);
    size_t at = 0;
    for (int32_t id = 0; id <= vocab->size; id++) {
        while (at < n && vocab->merges[at].left < id)
            at++;
        vocab->first[id] = (uint32_t)at;
    }
    return 0;
}

static unsigned added_key(const struct added_token *added)
{
    return (added->normalized ? 256u : 0u) + (unsigned char)added->text[0];
}

static int by_key_and_length(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    if (added_key(x) != added_key(y))
        return added_key(x) < added_key(y) ? -1 : 1;
    if (x->length != y->length)
        return x->length > y->length ? -1 : 1;
    return memcmp(x->text, y->text, x->length);
}

/* A token that is looked for in normalized text would never be found if it were not normalized itself. */
static int check_normalized(const struct builder *builder, const struct vocab_added *added)
{
    struct text nfc = {0};
    tokenizer_add_nfc(&nfc, added->text, strlen(added->text));
    bool failed = nfc.failed, equal = !failed && !strcmp(nfc.bytes, added->text);
    text_free(&nfc);
    if (failed)
        return err_no_memory(builder->err, "a tokenizer");
    return equal ? 0 : err_set(builder->err, ERR_DATA, "'%s' has the added token '%.100s', which is 'normalized' but not in NFC",
                               added->path, added->text);
}

static int add_added(struct builder *builder, const struct vocab_added *from)
{
    struct vocab *vocab = builder->vocab;
    int rc = define(builder, from->id, from->text, from->path);
    for (size_t i = 0; i < vocab->n_added && !rc; i++)
        if (vocab->added[i].id == from->id)
            rc = err_set(builder->err, ERR_DATA, "'%s' has the added token '%.100s' twice", from->path, from->text);
    if (!rc && from->normalized)
        rc = check_normalized(builder, from);
    if (rc)
        return rc;
    const char *text = arena_strdup(&vocab->arena, from->text);
    if (!text)
        return err_no_memory(builder->err, "a tokenizer");
    vocab->added[vocab->n_added++] = (struct added_token){text, strlen(text), from->id, from->special, from->normalized};
    vocab->special[from->id] = from->special;
    return 0;
}

static int build_added(struct builder *builder)
{
    struct vocab *vocab = builder->vocab;
    size_t n = builder->parts->n_added;
    int rc = 0;
    if (n > TOKENIZER_MOST_ADDED)
        return err_set(builder->err, ERR_DATA, "'%s' has %zu added tokens, more than the %d that are accepted",
                       builder->parts->added[0].path, n, TOKENIZER_MOST_ADDED);
    vocab->added = arena_alloc(&vocab->arena, n, sizeof *vocab->added);
    vocab->special = arena_alloc(&vocab->arena, (size_t)vocab->size, sizeof *vocab->special);
    if (!vocab->added || !vocab->special)
        return err_no_memory(builder->err, "a tokenizer");
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_added(builder, &builder->parts->added[i]);
    if (rc)
        return rc;
    qsort(vocab->added, n, sizeof *vocab->added, by_key_and_length);
    size_t at = 0;
    for (unsigned key = 0; key <= 2 * 256; key++) {
        while (at < n && added_key(&vocab->added[at]) < key)
            at++;
        vocab->added_from[key] = at;
    }
    return 0;
}

static int build_bytes(struct builder *builder)
{
    struct vocab *vocab = builder->vocab;
    size_t length = 0;
    uint32_t at = 0;
    for (int32_t id = 0; id < vocab->size; id++)
        length += builder->text[id] ? strlen(builder->text[id]) : 0;
    vocab->bytes = arena_alloc(&vocab->arena, length, 1);
    vocab->start = arena_alloc(&vocab->arena, (size_t)vocab->size + 1, sizeof *vocab->start);
    if (!vocab->bytes || !vocab->start)
        return err_no_memory(builder->err, "a tokenizer");
    for (int32_t id = 0; id < vocab->size; id++) {
        vocab->start[id] = at;
        if (builder->text[id])
            at += (uint32_t)token_bytes(builder->text[id], vocab->bytes + at);
    }
    vocab->start[vocab->size] = at;
    return 0;
}

int tokenizer_vocab_build(struct vocab *vocab, const struct vocab_parts *parts, struct err *err)
{
    *vocab = (struct vocab){0};
    struct builder builder = {.vocab = vocab, .parts = parts, .err = err};
    int rc = builder_open(&builder);
    if (!rc)
        rc = build_tokens(&builder);
    if (!rc)
        rc = build_merges(&builder);
    if (!rc)
        rc = build_added(&builder);
    if (!rc)
        rc = build_bytes(&builder);
    free(builder.text);
    free(builder.slots);
    if (rc)
        tokenizer_vocab_free(vocab);
    return rc;
}

void tokenizer_vocab_free(struct vocab *vocab)
{
    arena_free(&vocab->arena);
    *vocab = (struct vocab){0};
}

/* ---- using --------------------------------------------------------------------------------------------------------------- */

const struct merge *tokenizer_vocab_merge(const struct vocab *vocab, int32_t left, int32_t right)
{
    uint32_t low = vocab->first[left], high = vocab->first[left + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (vocab->merges[middle].right < right)
            low = middle + 1;
        else
            high = middle;
    }
    return low < vocab->first[left + 1] && vocab->merges[low].right == right ? &vocab->merges[low] : NULL;
}

const struct added_token *tokenizer_vocab_added(const struct vocab *vocab, bool normalized, const char *text, size_t length)
{
    unsigned key = (normalized ? 256u : 0u) + (unsigned char)text[0];
    for (size_t i = vocab->added_from[key]; i < vocab->added_from[key + 1]; i++) {
        const struct added_token *added = &vocab->added[i];
        if (added->length <= length && !memcmp(added->text, text, added->length))
            return added;
    }
    return NULL;
}

static int by_rank(const void *a, const void *b)
{
    const struct merge *x = *(const struct merge *const *)a, *y = *(const struct merge *const *)b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_id(const void *a, const void *b)
{
    const struct added_token *x = *(const struct added_token *const *)a, *y = *(const struct added_token *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

static void digest_add_tokens(struct digest *digest, const struct vocab *vocab)
{
    digest_add_u64(digest, (uint64_t)vocab->size);
    for (int32_t id = 0; id < vocab->size; id++) {
        uint32_t length = vocab->start[id + 1] - vocab->start[id];
        digest_add_u64(digest, length);
        digest_add(digest, vocab->bytes + vocab->start[id], length);
    }
}

bool tokenizer_vocab_digest(const struct vocab *vocab, char hex[DIGEST_HEX])
{
    const struct merge **merges = malloc(vocab->n_merges * sizeof *merges);
    const struct added_token **added = malloc((vocab->n_added + 1) * sizeof *added);
    struct digest *digest = digest_new();
    bool made = merges && added && digest;
    if (made) {
        digest_add_tokens(digest, vocab);
        for (size_t i = 0; i < vocab->n_merges; i++)
            merges[i] = &vocab->merges[i];
        qsort(merges, vocab->n_merges, sizeof *merges, by_rank);
        for (size_t i = 0; i < vocab->n_merges; i++)
            digest_add_u64(digest, (uint64_t)merges[i]->left << 32 | (uint64_t)merges[i]->right);
        for (size_t i = 0; i < vocab->n_added; i++)
            added[i] = &vocab->added[i];
        qsort(added, vocab->n_added, sizeof *added, by_id);
        for (size_t i = 0; i < vocab->n_added; i++) {
            digest_add_u64(digest, (uint64_t)added[i]->id << 2 | (uint64_t)added[i]->special << 1 | (uint64_t)added[i]->normalized);
            digest_add_text(digest, added[i]->text);
        }
    }
    if (digest)
        digest_finish(digest, hex);
    free(added);
    free(merges);
    return made;
}
