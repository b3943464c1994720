/* Requests to the server on any bytes: what is read becomes a job that can be looked at, what is not an error with a status. */
#include "harness/chat.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const struct chat_model model = {.name = "m", .dtype = "f32", .build = "b", .most_frames = 4,
                                     .facts = {.model_digest = "d", .isa = "i", .frame_side = 4, .repetition_penalty = 1, .pooling = "bilinear", .newline = "grid"}};
    struct chat chat;
    struct err err = {0};
    int status = 0, rc = chat_read(&chat, &model, (const char *)bytes, length, &status, &err);
    if (rc ? !*err.text || status < 400 : !chat.asked.prompt.user || !chat.cell.n || !chat.run.n_methods)
        abort();
    const struct answer answer = {.raw = "x", .margin = 1};
    char *text = rc ? chat_write_error(status, NULL, err.text) : chat_write(&chat, &model, &answer, 1, 2);
    if (!text || !*text)
        abort();
    free(text);
    chat_free(&chat);
    return 0;
}
