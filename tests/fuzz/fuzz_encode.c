/* Any bytes as text for the fixture's tokenizer: encoding works, and what is well-formed, normalized and free of added tokens comes
 * back as it was. */
#include "core/text.h"
#include "engine/tokenizer.h"
#include "engine/tokenizer_split.h"

#include <stdlib.h>
#include <string.h>

static struct tokenizer *tokenizer;

static void close_tokenizer(void)
{
    tokenizer_close(tokenizer);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err err = {0};
    (void)argc;
    (void)argv;
    if (tokenizer_open(&tokenizer, FIXTURES_DIR "/tokenizer", &err))
        abort();
    return atexit(close_tokenizer);
}

static bool is_equal(const struct text *text, const uint8_t *bytes, size_t size)
{
    return text->length == size && (!size || !memcmp(text->bytes, bytes, size));
}

/* Nothing in these bytes is changed or dropped on the way. */
static bool comes_back(const uint8_t *bytes, size_t size)
{
    static const char *const added[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"};
    struct text repaired = {0}, nfc = {0};
    tokenizer_add_repaired(&repaired, (const char *)bytes, size);
    tokenizer_add_nfc(&nfc, repaired.bytes, repaired.length);
    bool same = !memchr(bytes, 0, size) && is_equal(&repaired, bytes, size) && is_equal(&nfc, bytes, size);
    for (size_t i = 0; i < sizeof added / sizeof *added && same; i++)
        same = !strstr(repaired.bytes, added[i]);
    text_free(&repaired);
    text_free(&nfc);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena = {0};
    struct err err = {0};
    int32_t *ids;
    size_t n;
    if (tokenizer_encode(tokenizer, (const char *)bytes, size, &arena, &ids, &n, &err))
        abort();
    const char *decoded = tokenizer_decode(tokenizer, ids, n, &arena);
    if (!decoded || (comes_back(bytes, size) && (strlen(decoded) != size || memcmp(decoded, bytes, size))))
        abort();
    arena_free(&arena);
    return 0;
}
