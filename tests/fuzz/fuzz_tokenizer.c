/* Any bytes as a tokenizer.json (as a merges.txt beside the fixture's vocab.json if they begin otherwise than JSON): opening them
 * fails with a sentence or gives a tokenizer that encodes and decodes. Seed: tests/fixtures/tokenizer. */
#include "engine/tokenizer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = P_tmpdir "/toksweep-fuzz-XXXXXX";
static char single[64], vocab[64], merges[64];

static void remove_folder(void)
{
    remove(single);
    remove(vocab);
    remove(merges);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (!mkdtemp(folder))
        abort();
    snprintf(single, sizeof single, "%s/tokenizer.json", folder);
    snprintf(vocab, sizeof vocab, "%s/vocab.json", folder);
    snprintf(merges, sizeof merges, "%s/merges.txt", folder);
    if (symlink(FIXTURES_DIR "/tokenizer/vocab.json", vocab))
        abort();
    return atexit(remove_folder);
}

static void use(const struct tokenizer *tokenizer)
{
    static const char text[] = "It's <|im_start|>the  e\xcc\x81 12 \xf0\x9f\x98\x80\n";
    struct arena arena = {0};
    struct err err = {0};
    int32_t *ids;
    size_t n;
    if (tokenizer_encode(tokenizer, text, sizeof text - 1, &arena, &ids, &n, &err))
        abort();
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= tokenizer_size(tokenizer))
            abort();
    if (!tokenizer_decode(tokenizer, ids, n, &arena) || strlen(tokenizer_digest(tokenizer)) != 64)
        abort();
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bool json = size && (bytes[0] == '{' || bytes[0] == '[');
    FILE *file = fopen(json ? single : merges, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        abort();
    struct tokenizer *tokenizer;
    struct err err = {0};
    int rc = tokenizer_open(&tokenizer, folder, &err);
    if (rc ? rc != err.code || tokenizer || !err.text[0] : !tokenizer)
        abort();
    if (!rc)
        use(tokenizer);
    tokenizer_close(tokenizer);
    remove(json ? single : merges);
    return 0;
}
