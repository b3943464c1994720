/* Replies: from what a server sent to a verdict. Servers are strangers: whatever comes is an answer or a reason. */
#include "runners/http_impl.h"

#include "core/curl.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_QUOTED = 300 }; /* bytes of a server's own words in a message */

/* ---- waits --------------------------------------------------------------------------------------------------------------------- */

double http_retry_after(const char *value, double now)
{
    while (*value == ' ' || *value == '\t')
        value++;
    if (isdigit((unsigned char)*value)) {
        char *end;
        double seconds = strtod(value, &end);
        while (isspace((unsigned char)*end))
            end++;
        return *end ? NAN : seconds;
    }
    struct err ignored;
    time_t date = curl_open(&ignored) ? -1 : curl.curl_getdate(value, NULL);
    return date == (time_t)-1 ? NAN : fmax(0, (double)date - now);
}

/* ---- what went wrong ----------------------------------------------------------------------------------------------------------- */

/* The first bytes of a text, whole characters of it, on one line. */
static const char *quote(const char *text, struct arena *arena)
{
    size_t n = 0, left = strlen(text);
    for (size_t step; n < MOST_QUOTED && left > n && (step = utf8_length(text + n, left - n)); n += step)
        if (n + step > MOST_QUOTED)
            break;
    char *out = arena_strndup(arena, text, n);
    for (char *p = out; p && *p; p++)
        *p = iscntrl((unsigned char)*p) ? ' ' : *p;
    return out;
}

/* OpenAI: {"error": {"message", "code"}}; others {"error": "..."}, {"message": "..."} or {"detail": "..."}. */
static const char *words_of(const struct json *reply, const char **code)
{
    const struct json *error = json_get(reply, "error");
    const char *message = json_string(json_get(error, "message"));
    *code = json_string(json_get(error, "code"));
    message = message ? message : json_string(error);
    message = message ? message : json_string(json_get(reply, "message"));
    return message ? message : json_string(json_get(reply, "detail"));
}

/* How servers say that a prompt is too long: OpenAI by code, vLLM "maximum context length", SGLang "context length", llama-server
 * "available context size". */
static bool is_too_long(const char *message, const char *code)
{
    static const char *const phrases[] = {"context length", "context size", "context window"};
    bool found = code && !strcmp(code, "context_length_exceeded");
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        found |= message && strstr(message, phrases[i]);
    return found;
}

static enum http_verdict verdict_on(long status)
{
    if (status == 429 || status == 503)
        return HTTP_STRAINED;
    if (status == 401 || status == 402 || status == 403)
        return HTTP_REFUSED;
    return status == 408 || status == 409 || status >= 500 ? HTTP_AGAIN : HTTP_FAILED;
}

static int read_error(struct http_reply *out, long status, const struct json *reply, const char *body, struct arena *arena, struct err *err)
{
    const char *code = NULL, *message = words_of(reply, &code), *said = quote(message ? message : body, arena);
    out->verdict = verdict_on(status);
    out->status = ANSWER_RUNNER_FAILED;
    if ((status == 400 || status == 413 || status == 422) && is_too_long(message, code))
        out->status = ANSWER_TOO_LONG;
    if (code && !strcmp(code, "insufficient_quota")) /* comes as 429, and no patience helps */
        out->verdict = HTTP_REFUSED;
    out->message = said ? arena_printf(arena, "the server says %ld%s%s", status, *said ? ": " : "", said) : NULL;
    return out->message ? 0 : err_no_memory(err, "a server's reply");
}

/* ---- what went right ----------------------------------------------------------------------------------------------------------- */

/* The reply's text; NULL when there is none where it should be. A content of null is a reply that says nothing. */
static const char *text_of(const struct json *choice)
{
    const struct json *message = json_get(choice, "message"), *content = json_get(message, "content");
    if (json_string(content))
        return json_string(content);
    return message && content && json_type(content) == JSON_NULL ? "" : NULL;
}

static int read_usage(struct http_reply *out, const struct json *usage, struct arena *arena, struct err *err)
{
    int64_t prompt = 0, completion = 0, most = INT64_C(1) << 40;
    if (!usage || json_type(usage) != JSON_OBJECT)
        return 0;
    json_integer(json_get(usage, "prompt_tokens"), 0, most, &prompt);
    json_integer(json_get(usage, "completion_tokens"), 0, most, &completion);
    char *text = json_text(usage);
    out->tokens = prompt + completion;
    out->usage = text ? arena_strdup(arena, text) : NULL;
    free(text);
    return out->usage ? 0 : err_no_memory(err, "a server's reply");
}

static int read_answer(struct http_reply *out, const struct json *reply, struct arena *arena, struct err *err)
{
    const struct json *choice = json_first(json_get(reply, "choices"));
    const char *text = text_of(choice), *finish = json_string(json_get(choice, "finish_reason"));
    if (!text) {
        *out = (struct http_reply){.verdict = HTTP_AGAIN, .status = ANSWER_RUNNER_FAILED,
                                   .message = "the server's reply has no choices[0].message.content"};
        return 0;
    }
    *out = (struct http_reply){.verdict = HTTP_ANSWER, .status = ANSWER_OK, .text = arena_strdup(arena, text),
                               .finish = finish ? arena_strdup(arena, finish) : NULL};
    if (!out->text || (finish && !out->finish))
        return err_no_memory(err, "a server's reply");
    return read_usage(out, json_get(reply, "usage"), arena, err);
}

int http_reply_read(struct http_reply *out, long status, const char *body, size_t n, struct arena *arena, struct err *err)
{
    struct json *reply = NULL;
    struct err why = {0};
    *out = (struct http_reply){0};
    int rc = json_parse(&reply, body, n, "the server's reply", &why);
    if (rc == ERR_MEMORY)
        return err_no_memory(err, "a server's reply");
    if (status != 200) {
        rc = read_error(out, status, reply, body, arena, err);
    } else if (reply) {
        rc = read_answer(out, reply, arena, err);
    } else {
        *out = (struct http_reply){.verdict = HTTP_AGAIN, .status = ANSWER_RUNNER_FAILED, .message = arena_strdup(arena, why.text)};
        rc = out->message ? 0 : err_no_memory(err, "a server's reply");
    }
    json_free(reply);
    return rc;
}
