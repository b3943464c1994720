/* Settings of the http runner: its keys in the sweep file, and the key to the server, which comes from the environment alone. */
#include "runners/http_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char who[] = "runner http";

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

struct number { const char *key; double otherwise, least, most; double *out; };

/* Numbers in a range. Those that may be unset are null in the file and NaN here. */
static int read_number(const struct json *keys, const struct number *number, struct err *err)
{
    const struct json *value = json_get(keys, number->key);
    if (value && json_type(value) == JSON_NULL) {
        *number->out = NAN;
        return 0;
    }
    int rc = json_get_number(keys, number->key, number->otherwise, number->out, who, err);
    if (!rc && value && !(*number->out >= number->least && *number->out <= number->most))
        rc = err_set(err, ERR_CONFIG, "%s: '%s' should be a number from %g to %g", who, number->key, number->least, number->most);
    return rc;
}

static int read_numbers(struct http_settings *out, const struct json *keys, struct err *err)
{
    const struct number numbers[] = {
        {"temperature", 0, 0, 2, &out->temperature},
        {"top_p", NAN, 0, 1, &out->top_p},
        {"timeout", 300, 0.001, 86400, &out->timeout_s},
        {"backoff", 1, 0.001, 600, &out->backoff_s},
    };
    int64_t quantiser, side, retries, concurrency;
    int rc = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !rc; i++)
        rc = read_number(keys, &numbers[i], err);
    if (!rc && (isnan(out->timeout_s) || isnan(out->backoff_s)))
        rc = err_set(err, ERR_CONFIG, "%s: 'timeout' and 'backoff' are seconds and cannot be null", who);
    if (rc || (rc = json_get_integer(keys, "jpeg_quantiser", 2, 1, 31, &quantiser, who, err)) ||
        (rc = json_get_integer(keys, "longest_side", 0, 16, 16384, &side, who, err)) ||
        (rc = json_get_integer(keys, "retries", 5, 0, 100, &retries, who, err)) ||
        (rc = json_get_integer(keys, "concurrency", 16, 1, 1024, &concurrency, who, err)) ||
        (rc = json_get_integer(keys, "seed", -1, 0, INT64_C(1) << 53, &out->seed, who, err)) ||
        (rc = json_get_integer(keys, "most_requests", 0, 1, INT64_C(1) << 53, &out->most_requests, who, err)) ||
        (rc = json_get_integer(keys, "most_tokens", 0, 1, INT64_C(1) << 53, &out->most_tokens, who, err)))
        return rc;
    out->jpeg_quantiser = (int)quantiser;
    out->longest_side = (int)side;
    out->retries = (int)retries;
    out->concurrency = (int)concurrency;
    return 0;
}

static int read_words(struct http_settings *out, const struct json *keys, struct err *err)
{
    const char *picture;
    int rc = json_get_string(keys, "server", NULL, &out->server, who, err);
    if (rc || (rc = json_get_string(keys, "system", NULL, &out->system, who, err)) ||
        (rc = json_get_string(keys, "video_url", NULL, &out->video_url, who, err)) ||
        (rc = json_get_string(keys, "length_key", "max_tokens", &out->length_key, who, err)) ||
        (rc = json_get_string(keys, "picture", "png", &picture, who, err)))
        return rc;
    if (strcmp(out->length_key, "max_tokens") && strcmp(out->length_key, "max_completion_tokens"))
        return err_set(err, ERR_CONFIG, "%s: 'length_key' should be max_tokens or max_completion_tokens, it is '%s'", who, out->length_key);
    if (strcmp(picture, "png") && strcmp(picture, "jpeg"))
        return err_set(err, ERR_CONFIG, "%s: 'picture' should be png or jpeg, it is '%s'", who, picture);
    if (!strcmp(picture, "png") && json_get(keys, "jpeg_quantiser"))
        return err_set(err, ERR_CONFIG, "%s: 'jpeg_quantiser' is given, and frames are sent as PNG; add picture: jpeg", who);
    if (!strcmp(picture, "png"))
        out->jpeg_quantiser = 0;
    return 0;
}

/* ---- the other side ------------------------------------------------------------------------------------------------------------ */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_here(const char *host)
{
    return !strncmp(host, "127.", 4) || !strncmp(host, "localhost", 9) || !strncmp(host, "[::1]", 5);
}

/* A URL has neither a name and password nor a query: sweeps are stored, and keys have no place in a store. */
static int check_url(const char *url, bool has_key, struct err *err)
{
    bool plain = !strncmp(url, "http://", 7);
    if ((!plain && strncmp(url, "https://", 8)) || strlen(url) > 2000)
        return err_set(err, ERR_CONFIG, "%s: 'base_url' should begin with http:// or https://, such as http://127.0.0.1:8000/v1", who);
    const char *host = strstr(url, "//") + 2;
    if (strpbrk(url, "?#@ \t\r\n") || !*host)
        return err_set(err, ERR_CONFIG, "%s: 'base_url' should be a host and a path without '?', '#' or '@'; keys belong into the environment",
                       who);
    if (plain && has_key && !is_here(host))
        return err_set(err, ERR_CONFIG, "%s: the key would go to '%s' unencrypted; use https://, or unset its variable", who, url);
    return 0;
}

static int read_key(struct http_settings *out, const struct json *keys, struct err *err)
{
    const char *variable;
    int rc = json_get_string(keys, "key_variable", NULL, &variable, who, err);
    if (rc)
        return rc;
    const char *key = environment(variable ? variable : "OPENAI_API_KEY");
    if (!key && variable)
        return err_set(err, ERR_CONFIG, "%s: environment variable %s holds no key; set it, or leave key_variable out", who, variable);
    for (const char *p = key; p && *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return err_set(err, ERR_CONFIG, "%s: the key in environment variable %s has blanks or control characters; set it anew", who,
                           variable ? variable : "OPENAI_API_KEY");
    out->key = key ? strdup(key) : NULL;
    return key && !out->key ? err_no_memory(err, "a key") : 0;
}

static int read_url(struct http_settings *out, const struct json *keys, struct err *err)
{
    const char *url;
    int rc = json_get_string(keys, "base_url", NULL, &url, who, err);
    if (rc)
        return rc;
    url = url ? url : environment("OPENAI_BASE_URL");
    url = url ? url : environment("OPENAI_API_BASE");
    if (!url)
        return err_set(err, ERR_CONFIG, "%s does not know its server; write runner: {name: http, base_url: 'http://127.0.0.1:8000/v1'}, or "
                       "set OPENAI_BASE_URL", who);
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    out->base_url = arena_strndup(&out->arena, url, n);
    return out->base_url ? check_url(out->base_url, out->key, err) : err_no_memory(err, "a URL");
}

int http_body_check(const struct json *body, const char *where, struct err *err)
{
    static const char *const own[] = {"messages", "model", "stream", "n", "max_tokens", "max_completion_tokens"};
    static const char *const secret[] = {"api_key", "authorization", "key", "token"};
    if (body && json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_CONFIG, "%s should be a mapping of what is added to each request, it is %s", where, json_type_name(body));
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (json_get(body, own[i]))
            return err_set(err, ERR_CONFIG, "%s cannot have '%s', which runner http writes itself", where, own[i]);
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        if (json_get(body, secret[i]))
            return err_set(err, ERR_CONFIG, "%s has '%s'; the store would keep it, so set OPENAI_API_KEY instead", where, secret[i]);
    return 0;
}

int http_settings_read(struct http_settings *out, const struct runner_options *options, struct err *err)
{
    const struct json *keys = options->extra;
    *out = (struct http_settings){.model = options->model, .body = json_get(keys, "body")};
    int rc = read_numbers(out, keys, err);
    if (!rc)
        rc = read_words(out, keys, err);
    if (!rc)
        rc = read_key(out, keys, err);
    if (!rc)
        rc = read_url(out, keys, err);
    if (!rc)
        rc = http_body_check(out->body, "runner.body", err);
    if (rc)
        http_settings_free(out);
    return rc == ERR_DATA ? err->code = ERR_CONFIG : rc; /* a key of the wrong type is the sweep file's fault */
}

void http_settings_free(struct http_settings *settings)
{
    if (settings->key)
        memset(settings->key, 0, strlen(settings->key));
    free(settings->key);
    arena_free(&settings->arena);
    *settings = (struct http_settings){0};
}

/* ---- identity ------------------------------------------------------------------------------------------------------------------ */

int http_settings_digest(const struct http_settings *settings, const char *server, char digest[DIGEST_HEX], struct err *err)
{
    struct digest *running = digest_new();
    char *body = settings->body ? json_text(settings->body) : NULL;
    int rc = running && (body || !settings->body) ? 0 : err_no_memory(err, "a digest");
    char numbers[200];
    snprintf(numbers, sizeof numbers, "%.17g|%.17g|%lld|%d|%d", settings->temperature, settings->top_p, (long long)settings->seed,
             settings->jpeg_quantiser, settings->longest_side);
    const char *const parts[] = {"http-1", server, settings->model, settings->length_key, numbers, body ? body : "{}",
                                 settings->system ? settings->system : "", settings->system ? "system" : "",
                                 settings->video_url ? settings->video_url : ""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rc; i++)
        digest_add_text(running, parts[i]);
    if (running)
        digest_finish(running, digest);
    free(body);
    return rc;
}
