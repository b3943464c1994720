/* The extractors on any reply: a letter of the protocol or none, and the same for the reply without its blanks. */
#include "core/text.h"
#include "metrics/extract.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char *reply = malloc(length + 1);
    if (!reply)
        return 0;
    if (length)
        memcpy(reply, bytes, length);
    reply[length] = 0;
    static const struct { enum extractor extractor; int n_letters; } rules[] = {
        {EXTRACT_MCQ, 5},  {EXTRACT_LEGACY, 4},  {EXTRACT_PARENTHESIS, 26}, {EXTRACT_LONGVIDEOBENCH, 5},
        {EXTRACT_MMMU, 5}, {EXTRACT_MVBENCH, 5}, {EXTRACT_STANDALONE, 4},   {EXTRACT_FIRST_WORD, 5},
    };
    static const char *const options[] = {"clap proudly", "", "A", "\xc4\xb0stanbul", "\xce\x9f\xce\x94\xce\x9f\xce\xa3"};
    enum { RULES = sizeof rules / sizeof *rules };
    int letters[RULES];
    for (int i = 0; i < RULES; i++) {
        letters[i] = extract_letter(rules[i].extractor, reply, 5, options);
        if (letters[i] < -1 || letters[i] >= rules[i].n_letters)
            abort();
    }
    const char *text = reply;
    size_t n = strlen(reply);
    text_strip(&text, &n);
    char *stripped = strndup(text, n);
    for (int i = 0; stripped && i < RULES; i++)
        if (extract_letter(rules[i].extractor, stripped, 5, options) != letters[i])
            abort();
    free(stripped);
    text_drop_reasoning(reply);
    free(reply);
    return 0;
}
