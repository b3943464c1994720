/* The http runner: answers from servers that speak OpenAI's chat completions (vLLM, SGLang, llama-server, hosted models), and from
 * `toksweep serve`, which it recognises by its list of models and then sends the cells' compressors by name. */
#include "runners/http_impl.h"

#include "core/curl.h"
#include "core/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what the other side is ---------------------------------------------------------------------------------------------------- */

/* What `toksweep serve` says of its model beside what OpenAI's list has. */
static int read_own(struct http *http, const struct json *own, struct runner_facts *facts, struct err *err)
{
    const struct { const char *key, **out; } words[] = {
        {"digest", &facts->model_digest}, {"isa", &facts->isa}, {"dtype", &facts->dtype}, {"pooling", &facts->pooling},
        {"newline", &facts->newline}};
    const char *build;
    int rc = json_get_string(own, "build", "", &build, "the list of models", err);
    for (size_t i = 0; i < sizeof words / sizeof *words && !rc; i++) {
        const char *word;
        rc = json_get_string(own, words[i].key, "", &word, "the list of models", err);
        if (!rc && !(*words[i].out = arena_strdup(&http->arena, word)))
            rc = err_no_memory(err, "a server's facts");
    }
    if (!rc)
        rc = json_get_number(own, "repetition_penalty", 1, &facts->repetition_penalty, "the list of models", err);
    if (rc)
        return rc;
    char *identity = arena_printf(&http->arena, "%s %s", facts->model_digest, build);
    return identity ? http_settings_digest(&http->settings, identity, http->digest, err) : err_no_memory(err, "a server's facts");
}

static const struct json *find_model(const struct json *list, const char *name)
{
    for (const struct json *model = json_first(json_get(list, "data")); model; model = json_next(model)) {
        const char *id = json_string(json_get(model, "id"));
        if (id && !strcmp(id, name))
            return model;
    }
    return NULL;
}

static int read_models(struct http *http, const struct json *list, struct runner_facts *facts, struct err *err)
{
    const struct http_settings *settings = &http->settings;
    const struct json *model = find_model(list, settings->model), *own = json_get(model, "toksweep");
    const char *first = json_string(json_get(json_first(json_get(list, "data")), "id"));
    http->toksweep = own != NULL;
    if (own)
        return read_own(http, own, facts, err);
    if (first && !model)
        log_say(LOG_WARNING, "the server '%s' does not list a model '%s'; it lists '%.100s'", settings->base_url, settings->model, first);
    return http_settings_digest(settings, settings->server ? settings->server : settings->base_url, http->digest, err);
}

/* The list of models tells whether anybody is there, whether the key is taken, and whether it is `toksweep serve`. Servers without
 * such a list are fine. */
static int meet(struct http *http, struct runner_facts *facts, struct err *err)
{
    char *body;
    size_t n;
    long status = 0;
    struct err ignored = {0};
    struct json *list = NULL;
    int rc = http_get_models(http, &status, &body, &n, err);
    if (rc)
        return rc;
    if (status == 401 || status == 403)
        rc = err_set(err, ERR_REMOTE, "the server '%s' refuses %s (%ld); set OPENAI_API_KEY, or name the key's variable in runner.key_variable",
                     http->settings.base_url, http->settings.key ? "the key" : "requests without a key", status);
    else if (status == 200)
        json_parse(&list, body, n, "the list of models", &ignored);
    if (!rc)
        rc = read_models(http, list, facts, err);
    json_free(list);
    free(body);
    return rc;
}

/* ---- the runner ---------------------------------------------------------------------------------------------------------------- */

static void http_close(void *self)
{
    struct http *http = self;
    if (!http)
        return;
    http_gate_close(&http->gate);
    http_settings_free(&http->settings);
    arena_free(&http->arena);
    free(http);
}

static int http_open(void **self, const struct runner_options *options, struct runner_facts *facts, struct err *err)
{
    struct timespec now;
    *self = NULL;
    int rc = curl_open(err);
    if (rc)
        return rc;
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return err_no_memory(err, "the http runner");
    clock_gettime(CLOCK_REALTIME, &now);
    http->jitter = (uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec;
    if ((rc = http_settings_read(&http->settings, options, err))) {
        free(http);
        return rc;
    }
    http_gate_open(&http->gate, &http->settings);
    *facts = (struct runner_facts){.isa = "server", .dtype = "server", .frame_side = http->settings.video_url ? -1 : 0, .repetition_penalty = 1,
                                   .pooling = "server", .newline = "server"};
    if ((rc = meet(http, facts, err))) {
        http_close(http);
        return rc;
    }
    snprintf(http->device, sizeof http->device, "http: %.120s", http->settings.base_url);
    facts->model_digest = http->digest;
    facts->device = http->device;
    *self = http;
    return 0;
}

static int check_cell(const struct http *http, const struct run_cell *run, struct err *err)
{
    struct json *body = NULL;
    bool plain = run->n_methods == 1 && !strcmp(run->methods[0].compressor->name, "none");
    int rc = 0;
    if (!http->toksweep && !plain)
        return err_set(err, ERR_CONFIG, "the server '%s' has no compressor '%s': it is no toksweep serve; sweep its own settings in axes.body",
                       http->settings.base_url, run->methods[0].compressor->name);
    if (!http->toksweep && (strcmp(run->cell.pooling, "server") || strcmp(run->cell.newline, "server")))
        return err_set(err, ERR_CONFIG, "the server '%s' pools and lays out tokens as it does; leave out axes.pooling and axes.newline",
                       http->settings.base_url);
    if (run->cell.body && !(rc = json_parse(&body, run->cell.body, strlen(run->cell.body), "axes.body", err)))
        rc = http_body_check(body, "axes.body", err);
    json_free(body);
    return rc;
}

/* Pictures are kept as base64 while a video's requests run; a PNG is planned with as many bytes as it has pixels' bytes. */
static int http_bytes(void *self, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads, size_t *bytes, struct err *err)
{
    const struct http *http = self;
    size_t longest = (size_t)http->settings.longest_side, pixels = RUNNER_UNKNOWN_PIXELS;
    int rc = 0;
    (void)threads;
    for (size_t c = 0; c < n_cells && !rc; c++)
        rc = check_cell(http, cells[c].run, err);
    if (longest && longest * longest < pixels)
        pixels = longest * longest;
    *bytes = http->settings.video_url ? 0 : n_frames * pixels * (http->settings.jpeg_quantiser ? 1 : 4);
    return rc;
}

static int http_worker_open(void *self, void **worker, int threads, struct err *err)
{
    (void)self, (void)threads;
    *worker = http_connections_new();
    return *worker ? 0 : err_no_memory(err, "a worker");
}

static void http_worker_close(void *self, void *worker)
{
    (void)self;
    http_connections_free(worker);
}

/* Nothing is known of tokens before a server has counted them. */
static void give_plans(const struct job *job, answer_sink *sink, void *context)
{
    const struct answer nothing = {.status = ANSWER_OK, .extracted = -1, .margin = NAN, .cost = {.joules = NAN}};
    for (size_t c = 0; c < job->n_cells && !atomic_load(job->stop); c++)
        if (job->wanted[c * job->n_samples] && sink(context, c, 0, &nothing))
            return;
}

static int http_run(void *self, void *worker, const struct job *job, answer_sink *sink, void *context, struct err *err)
{
    if (!job->plan_only)
        return atomic_load(job->stop) ? 0 : http_ask(self, worker, job, sink, context, err);
    give_plans(job, sink, context);
    return 0;
}

static const char *const keys[] = {"base_url", "key_variable", "server", "system", "temperature", "top_p", "seed", "length_key", "picture",
                                   "jpeg_quantiser", "longest_side", "video_url", "body", "timeout", "retries", "backoff", "concurrency",
                                   "most_requests", "most_tokens", NULL};

const struct runner runner_http = {
    .name = "http",
    .summary = "a server that speaks OpenAI's chat completions, or 'toksweep serve'",
    .sends = true,
    .keys = keys,
    .open = http_open,
    .close = http_close,
    .bytes_needed = http_bytes,
    .worker_open = http_worker_open,
    .worker_close = http_worker_close,
    .run = http_run,
};
