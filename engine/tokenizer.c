/* Tokenizer: encoding and decoding. Files are read in tokenizer_load.c, laid out in tokenizer_vocab.c, text is split in
 * tokenizer_split.c.
 *
 * Added tokens are cut out of the text first, then each piece of the rest is merged by itself: its symbols form a linked list, and
 * the merges that are possible wait in a heap by rank and place, so that a piece of n bytes takes O(n log n) whatever it is. */
#include "engine/tokenizer.h"

#include "core/digest.h"
#include "core/text.h"
#include "engine/tokenizer_load.h"
#include "engine/tokenizer_split.h"
#include "engine/tokenizer_vocab.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer {
    struct vocab vocab;
    struct splitter *splitter;
    char digest[DIGEST_HEX];
};

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

int tokenizer_open(struct tokenizer **out, const char *folder, struct err *err)
{
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    *out = NULL;
    if (!tokenizer)
        return err_no_memory(err, "a tokenizer");
    int rc = tokenizer_load(&tokenizer->vocab, folder, err);
    if (!rc)
        rc = tokenizer_splitter_new(&tokenizer->splitter, err);
    if (!rc && !tokenizer_vocab_digest(&tokenizer->vocab, tokenizer->digest))
        rc = err_no_memory(err, "a tokenizer");
    if (rc)
        tokenizer_close(tokenizer);
    else
        *out = tokenizer;
    return rc;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    tokenizer_vocab_free(&tokenizer->vocab);
    tokenizer_splitter_free(tokenizer->splitter);
    free(tokenizer);
}

int32_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->vocab.size;
}

int32_t tokenizer_added(const struct tokenizer *tokenizer, const char *text)
{
    for (size_t i = 0; i < tokenizer->vocab.n_added; i++)
        if (!strcmp(tokenizer->vocab.added[i].text, text))
            return tokenizer->vocab.added[i].id;
    return -1;
}

const char *tokenizer_digest(const struct tokenizer *tokenizer)
{
    return tokenizer->digest;
}

/* ---- merging ------------------------------------------------------------------------------------------------------------- */

#define NONE UINT32_MAX

struct symbol { /* one part of a piece; the part's place is that of its first byte */
    int32_t id; /* -1 once it is merged into the part before it */
    uint32_t previous, next;
};

struct encoding { /* one call of tokenizer_encode() */
    const struct tokenizer *tokenizer;
    struct symbol *symbols; /* [room] */
    uint64_t *heap;         /* [2 * room] rank << 32 | place of the left symbol; the least on top */
    size_t n_heap, room;
    int32_t *ids;
    size_t n_ids, ids_room;
};

static void heap_push(struct encoding *encoding, uint64_t key)
{
    uint64_t *heap = encoding->heap;
    size_t at = encoding->n_heap++;
    for (; at && heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = key;
}

static uint64_t heap_pop(struct encoding *encoding)
{
    uint64_t *heap = encoding->heap, top = heap[0], last = heap[--encoding->n_heap];
    size_t at = 0, n = encoding->n_heap;
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[child] >= last)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

/* The merge of the symbol at `left` with its right neighbour, NULL if there is none. */
static const struct merge *merge_at(const struct encoding *encoding, uint32_t left)
{
    const struct symbol *symbol = &encoding->symbols[left];
    if (symbol->id < 0 || symbol->next == NONE)
        return NULL;
    return tokenizer_vocab_merge(&encoding->tokenizer->vocab, symbol->id, encoding->symbols[symbol->next].id);
}

static void merge_propose(struct encoding *encoding, uint32_t left)
{
    const struct merge *merge = left == NONE ? NULL : merge_at(encoding, left);
    if (merge)
        heap_push(encoding, (uint64_t)merge->rank << 32 | left);
}

static void merge_apply(struct encoding *encoding, uint32_t left, const struct merge *merge)
{
    struct symbol *symbol = &encoding->symbols[left], *gone = &encoding->symbols[symbol->next];
    symbol->id = merge->made;
    symbol->next = gone->next;
    gone->id = -1;
    if (symbol->next != NONE)
        encoding->symbols[symbol->next].previous = left;
    merge_propose(encoding, symbol->previous);
    merge_propose(encoding, left);
}

/* Each merge takes one proposal from the heap and adds at most two, and there are fewer merges than symbols: 2n have room. */
static bool reserve_symbols(struct encoding *encoding, size_t n)
{
    if (n <= encoding->room)
        return true;
    free(encoding->symbols);
    free(encoding->heap);
    encoding->room = n < 256 ? 256 : n;
    encoding->symbols = malloc(encoding->room * sizeof *encoding->symbols);
    encoding->heap = malloc(2 * encoding->room * sizeof *encoding->heap);
    if (encoding->symbols && encoding->heap)
        return true;
    encoding->room = 0;
    return false;
}

static bool add_id(struct encoding *encoding, int32_t id)
{
    if (encoding->n_ids == encoding->ids_room) {
        size_t room = encoding->ids_room ? 2 * encoding->ids_room : 256;
        int32_t *grown = realloc(encoding->ids, room * sizeof *grown);
        if (!grown)
            return false;
        encoding->ids = grown;
        encoding->ids_room = room;
    }
    encoding->ids[encoding->n_ids++] = id;
    return true;
}

/* Adds the ids of one piece; a tokenizer_take. */
static int encode_piece(void *context, const char *piece, size_t length, struct err *err)
{
    struct encoding *encoding = context;
    if (length >= NONE || !reserve_symbols(encoding, length))
        return err_no_memory(err, "encoding text");
    uint32_t n = (uint32_t)length;
    encoding->n_heap = 0;
    for (uint32_t i = 0; i < n; i++)
        encoding->symbols[i] = (struct symbol){encoding->tokenizer->vocab.byte_id[(unsigned char)piece[i]], i ? i - 1 : NONE,
                                               i + 1 < n ? i + 1 : NONE};
    for (uint32_t i = 0; i < n; i++)
        merge_propose(encoding, i);
    while (encoding->n_heap) {
        uint64_t key = heap_pop(encoding);
        const struct merge *merge = merge_at(encoding, (uint32_t)key);
        if (merge && merge->rank == key >> 32) /* otherwise one of the two has been merged with another since */
            merge_apply(encoding, (uint32_t)key, merge);
    }
    for (uint32_t i = 0; i != NONE; i = encoding->symbols[i].next)
        if (!add_id(encoding, encoding->symbols[i].id))
            return err_no_memory(err, "encoding text");
    return 0;
}

/* ---- encoding ------------------------------------------------------------------------------------------------------------ */

/* What is done with the text between added tokens. */
typedef int encode_plain(struct encoding *encoding, const char *text, size_t length, struct err *err);

/* Adds the ids of the added tokens of one kind, and has `plain` add those of the text between them. */
static int encode_added(struct encoding *encoding, bool normalized, const char *text, size_t length, encode_plain *plain, struct err *err)
{
    size_t done = 0;
    int rc = 0;
    for (size_t at = 0; at < length && !rc;) {
        const struct added_token *added = tokenizer_vocab_added(&encoding->tokenizer->vocab, normalized, text + at, length - at);
        if (!added) {
            at++;
            continue;
        }
        rc = at > done ? plain(encoding, text + done, at - done, err) : 0;
        if (!rc && !add_id(encoding, added->id))
            rc = err_no_memory(err, "encoding text");
        done = at += added->length;
    }
    return rc || done == length ? rc : plain(encoding, text + done, length - done, err);
}

static int encode_split(struct encoding *encoding, const char *text, size_t length, struct err *err)
{
    return tokenizer_split(encoding->tokenizer->splitter, text, length, encode_piece, encoding, err);
}

static int encode_raw(struct encoding *encoding, const char *text, size_t length, struct err *err)
{
    struct text nfc = {0};
    tokenizer_add_nfc(&nfc, text, length);
    int rc = nfc.failed ? err_no_memory(err, "encoding text") : encode_added(encoding, true, nfc.bytes, nfc.length, encode_split, err);
    text_free(&nfc);
    return rc;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, struct arena *arena, int32_t **ids, size_t *n,
                     struct err *err)
{
    struct encoding encoding = {.tokenizer = tokenizer};
    struct text repaired = {0};
    *ids = NULL;
    *n = 0;
    tokenizer_add_repaired(&repaired, text, length);
    int rc = repaired.failed ? err_no_memory(err, "encoding text")
                             : encode_added(&encoding, false, repaired.bytes, repaired.length, encode_raw, err);
    if (!rc && !(*ids = arena_alloc(arena, encoding.n_ids, sizeof **ids)))
        rc = err_no_memory(err, "encoding text");
    if (!rc && encoding.n_ids)
        memcpy(*ids, encoding.ids, encoding.n_ids * sizeof **ids);
    *n = rc ? 0 : encoding.n_ids;
    text_free(&repaired);
    free(encoding.symbols);
    free(encoding.heap);
    free(encoding.ids);
    return rc;
}

/* ---- decoding ------------------------------------------------------------------------------------------------------------ */

/* Adds `bytes` as text that a NUL can end: repaired, with U+FFFD for each NUL too. */
static void add_text(struct text *out, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        size_t n = strnlen(bytes + at, length - at);
        tokenizer_add_repaired(out, bytes + at, n);
        at += n;
        if (at < length)
            text_put(out, "\xef\xbf\xbd");
    }
}

char *tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, struct arena *arena)
{
    const struct vocab *vocab = &tokenizer->vocab;
    struct text bytes = {0}, text = {0};
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] < vocab->size && !vocab->special[ids[i]])
            text_add(&bytes, vocab->bytes + vocab->start[ids[i]], vocab->start[ids[i] + 1] - vocab->start[ids[i]]);
    add_text(&text, bytes.bytes, bytes.length);
    text_put(&text, "");
    char *out = bytes.failed || text.failed ? NULL : arena_strndup(arena, text.bytes, text.length);
    text_free(&bytes);
    text_free(&text);
    return out;
}
