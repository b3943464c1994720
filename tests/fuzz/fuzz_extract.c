/* The extractors on any reply: a letter of the protocol or none, and the same for the reply without its blanks. */
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
    static const enum extractor extractors[] = {EXTRACT_MCQ, EXTRACT_LEGACY, EXTRACT_PARENTHESIS, EXTRACT_MVBENCH};
    int letters[4];
    for (int i = 0; i < 4; i++) {
        letters[i] = extract_letter(extractors[i], reply, 5);
        if (letters[i] < -1 || letters[i] >= (extractors[i] == EXTRACT_PARENTHESIS ? 26 : extractors[i] == EXTRACT_LEGACY ? 4 : 5))
            abort();
    }
    const char *text = reply;
    size_t n = strlen(reply);
    text_strip(&text, &n);
    char *stripped = strndup(text, n);
    for (int i = 0; stripped && i < 4; i++)
        if (extract_letter(extractors[i], stripped, 5) != letters[i])
            abort();
    free(stripped);
    text_drop_reasoning(reply);
    free(reply);
    return 0;
}
