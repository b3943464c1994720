/* Replies of servers on any bytes: an answer with text, or a verdict with a reason. The first byte chooses the status. */
#include "runners/http_impl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const long statuses[] = {200, 400, 401, 404, 413, 422, 429, 500, 503};
    struct arena arena = {0};
    struct http_reply reply;
    struct err err = {0};
    char line[64] = "";
    if (!length)
        return 0;
    long status = statuses[bytes[0] % (sizeof statuses / sizeof *statuses)];
    if (http_reply_read(&reply, status, (const char *)bytes + 1, length - 1, &arena, &err))
        abort();
    if (reply.verdict == HTTP_ANSWER ? status != 200 || !reply.text : !reply.message || reply.status == ANSWER_OK)
        abort();
    memcpy(line, bytes, length < sizeof line ? length : sizeof line - 1);
    http_retry_after(line, 0);
    arena_free(&arena);
    return 0;
}
