/* The client: the requests of one job through one set of connections, each answer asked for until it comes or there is no hope.
 *
 *   waiting --(its time has come, the gate lets it pass)--> under way --(reply)--> answered
 *      ^----------------(408, 409, 429, 5xx, resets, nonsense: later again)----------'                                              */
#include "runners/http_impl.h"

#include "core/clock.h"
#include "core/curl.h"
#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CONNECT_MS = 20000,
    LONGEST_WAIT_S = 600, /* that a server may ask for */
    LONGEST_BACKOFF_S = 60,
    POLL_MS = 100,        /* how late a stop may be seen */
    GATE_MS = 10,         /* how late a place may be taken */
};

/* ---- one request --------------------------------------------------------------------------------------------------------------- */

struct flight { /* a request under way */
    CURL *easy;
    struct curl_slist *headers;
    const struct http_body *body; /* NULL: a GET */
    size_t piece, at;             /* next byte to send */
    char *reply;
    size_t n, room;
    bool too_large;
    double retry_after_s;         /* NaN: not said */
    double started_s;
};

static size_t send_bytes(char *to, size_t size, size_t count, void *context)
{
    struct flight *flight = context;
    size_t room = size * count, sent = 0;
    while (sent < room && flight->piece < flight->body->n_pieces) {
        const struct http_piece *piece = &flight->body->pieces[flight->piece];
        size_t n = piece->n - flight->at < room - sent ? piece->n - flight->at : room - sent;
        memcpy(to + sent, piece->bytes + flight->at, n);
        sent += n;
        flight->at += n;
        if (flight->at == piece->n) {
            flight->piece++;
            flight->at = 0;
        }
    }
    return sent;
}

/* A connection that was kept may turn out to be dead after the first bytes; then they go out again. */
static int send_again(void *context, curl_off_t offset, int origin)
{
    struct flight *flight = context;
    if (offset || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    flight->piece = flight->at = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t take_bytes(char *from, size_t size, size_t count, void *context)
{
    struct flight *flight = context;
    size_t n = size * count;
    flight->too_large |= flight->n + n > HTTP_MOST_REPLY;
    if (flight->too_large)
        return 0;
    if (flight->n + n + 1 > flight->room) {
        size_t room = 2 * (flight->n + n + 1);
        char *grown = realloc(flight->reply, room);
        if (!grown)
            return 0;
        flight->reply = grown;
        flight->room = room;
    }
    memcpy(flight->reply + flight->n, from, n);
    flight->n += n;
    flight->reply[flight->n] = 0;
    return n;
}

/* Retry-After, and retry-after-ms as OpenAI and Azure send it. */
static size_t take_header(char *from, size_t size, size_t count, void *context)
{
    static const char seconds[] = "retry-after:", milliseconds[] = "retry-after-ms:";
    struct flight *flight = context;
    size_t n = size * count;
    char line[128];
    snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), from);
    if (!strncasecmp(line, milliseconds, sizeof milliseconds - 1))
        flight->retry_after_s = http_retry_after(line + sizeof milliseconds - 1, (double)time(NULL)) / 1e3;
    else if (!strncasecmp(line, seconds, sizeof seconds - 1) && isnan(flight->retry_after_s))
        flight->retry_after_s = http_retry_after(line + sizeof seconds - 1, (double)time(NULL));
    return n;
}

static void flight_free(struct flight *flight)
{
    if (!flight)
        return;
    curl.curl_easy_cleanup(flight->easy);
    curl.curl_slist_free_all(flight->headers);
    free(flight->reply);
    free(flight);
}

static bool add_header(struct flight *flight, const char *line)
{
    struct curl_slist *longer = curl.curl_slist_append(flight->headers, line);
    flight->headers = longer ? longer : flight->headers;
    return longer;
}

static bool add_headers(struct flight *flight, const struct http_settings *settings)
{
    bool done = add_header(flight, "Content-Type: application/json") && add_header(flight, "Accept: application/json") &&
                add_header(flight, "Expect:"); /* not to wait a second for servers that do not know it */
    if (!done || !settings->key)
        return done;
    struct text line = {0};
    text_printf(&line, "Authorization: Bearer %s", settings->key);
    done = !line.failed && add_header(flight, line.bytes);
    text_free(&line);
    return done;
}

static void set_body(struct flight *flight)
{
    curl.curl_easy_setopt(flight->easy, CURLOPT_POST, 1L);
    curl.curl_easy_setopt(flight->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)flight->body->length);
    curl.curl_easy_setopt(flight->easy, CURLOPT_READFUNCTION, send_bytes);
    curl.curl_easy_setopt(flight->easy, CURLOPT_READDATA, flight);
    curl.curl_easy_setopt(flight->easy, CURLOPT_SEEKFUNCTION, send_again);
    curl.curl_easy_setopt(flight->easy, CURLOPT_SEEKDATA, flight);
}

/* Redirections are not followed: they would carry the key elsewhere. */
static struct flight *flight_new(const struct http_settings *settings, const char *path, const struct http_body *body)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    struct text url = {0};
    text_printf(&url, "%s%s", settings->base_url, path);
    flight->easy = curl.curl_easy_init();
    flight->body = body;
    flight->retry_after_s = NAN;
    flight->started_s = now_s();
    if (!flight->easy || url.failed || !add_headers(flight, settings)) {
        text_free(&url);
        flight_free(flight);
        return NULL;
    }
    curl.curl_easy_setopt(flight->easy, CURLOPT_URL, url.bytes);
    text_free(&url);
    curl.curl_easy_setopt(flight->easy, CURLOPT_HTTPHEADER, flight->headers);
    curl.curl_easy_setopt(flight->easy, CURLOPT_USERAGENT, "toksweep");
    curl.curl_easy_setopt(flight->easy, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(flight->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.curl_easy_setopt(flight->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl.curl_easy_setopt(flight->easy, CURLOPT_TIMEOUT_MS, (long)ceil(settings->timeout_s * 1e3));
    curl.curl_easy_setopt(flight->easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl.curl_easy_setopt(flight->easy, CURLOPT_WRITEDATA, flight);
    curl.curl_easy_setopt(flight->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl.curl_easy_setopt(flight->easy, CURLOPT_HEADERDATA, flight);
    if (body)
        set_body(flight);
    return flight;
}

/* Some servers quote the key that they refuse. */
static void hide_key(char *text, size_t n, const char *key)
{
    size_t length = key ? strlen(key) : 0;
    for (size_t i = 0; length && i + length <= n; i++)
        if (!memcmp(text + i, key, length))
            memset(text + i, '*', length);
}

int http_get_models(const struct http *http, long *status, char **body, size_t *n, struct err *err)
{
    struct flight *flight = flight_new(&http->settings, "/models", NULL);
    *body = NULL;
    if (!flight)
        return err_no_memory(err, "a request");
    CURLcode code = curl.curl_easy_perform(flight->easy);
    int rc = 0;
    if (code) {
        rc = err_set(err, ERR_REMOTE, "no server answers at '%s': %s; start it, or give another base_url", http->settings.base_url,
                     flight->too_large ? "its list of models is too long" : curl.curl_easy_strerror(code));
    } else {
        curl.curl_easy_getinfo(flight->easy, CURLINFO_RESPONSE_CODE, status);
        hide_key(flight->reply, flight->n, http->settings.key);
        *body = flight->reply ? flight->reply : calloc(1, 1);
        *n = flight->n;
        flight->reply = NULL;
        rc = *body ? 0 : err_no_memory(err, "a server's reply");
    }
    flight_free(flight);
    return rc;
}

/* ---- one job ------------------------------------------------------------------------------------------------------------------- */

struct ask { /* one wanted answer */
    size_t c, s;
    int attempts;
    double next_s;          /* not before */
    double request_ms;      /* of the last attempt */
    struct http_body body;  /* made for the first attempt */
    struct flight *flight;  /* NULL while it waits */
    bool done;
};

struct asking {
    struct http *http;
    CURLM *multi;
    const struct job *job;
    answer_sink *sink;
    void *context;
    struct ask *asks;
    size_t n, n_done, n_flying;
    struct http_pictures pictures;
    struct arena arena;     /* the job's: bodies and pictures */
    struct arena scratch;   /* a reply's */
    bool fetched_paid;
    bool stopped;           /* by the sink or the job's flag */
    struct err end;         /* why the run has to end; code 0: it does not */
};

void *http_connections_new(void)
{
    return curl.curl_multi_init();
}

void http_connections_free(void *connections)
{
    curl.curl_multi_cleanup(connections);
}

/* What was measured here: fetching the frames. Tokens and times of the server are its own affair. */
static struct cost cost_of(struct asking *asking, const struct ask *ask)
{
    const struct job *job = asking->job;
    const struct job_cell *shown = &job->cells[ask->c];
    struct cost cost = {.frames = (int32_t)shown->n, .joules = NAN};
    size_t distinct = 0;
    for (size_t i = 0; shown->index && i < shown->n; i++)
        distinct += !i || shown->index[i] != shown->index[i - 1];
    double share = job->frames.n ? (double)distinct / (double)job->frames.n : 0;
    cost.alone_ms[STAGE_OPEN] = job->open_ms;
    cost.alone_ms[STAGE_DECODE] = job->frames.decode_ms * share;
    cost.alone_ms[STAGE_RESIZE] = job->frames.resize_ms * share;
    if (!asking->fetched_paid) {
        cost.paid_ms[STAGE_OPEN] = job->open_ms;
        cost.paid_ms[STAGE_DECODE] = job->frames.decode_ms;
        cost.paid_ms[STAGE_RESIZE] = job->frames.resize_ms;
    }
    asking->fetched_paid = true;
    return cost;
}

static void give(struct asking *asking, struct ask *ask, const struct http_reply *reply)
{
    struct answer answer = {.status = reply->status, .raw = reply->text, .message = reply->text ? NULL : reply->message, .extracted = -1,
                            .margin = NAN, .cost = cost_of(asking, ask)};
    answer.remote = (struct remote){.attempts = ask->attempts, .request_ms = ask->request_ms, .finish = reply->finish, .usage = reply->usage};
    ask->done = true;
    asking->n_done++;
    if (asking->sink(asking->context, ask->c, ask->s, &answer))
        asking->stopped = true;
}

static void give_failure(struct asking *asking, struct ask *ask, enum answer_status status, const char *message)
{
    struct http_reply reply = {.verdict = HTTP_FAILED, .status = status, .message = message};
    give(asking, ask, &reply);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------- */

/* Why a video cannot be shown by its URL; NULL if it can. */
static const char *video_fault(const struct http_settings *settings, const struct video_ref *video)
{
    if (!settings->video_url)
        return NULL;
    return video->missing       ? "there is no such video; give the folder of the videos in the sweep file"
           : video->is_folder   ? "its video is a folder of pictures, which has no URL; leave video_url out"
           : video->start_s >= 0 ? "only a part of its video is asked about, which a URL cannot say; leave video_url out"
                                 : NULL;
}

/* Makes the body of a first attempt. A failure is the answer's. */
static bool prepare(struct asking *asking, struct ask *ask)
{
    struct err why = {0};
    const char *fault = video_fault(&asking->http->settings, asking->job->video);
    if (fault) {
        give_failure(asking, ask, asking->job->video->missing ? ANSWER_MISSING_VIDEO : ANSWER_RUNNER_FAILED, fault);
        return false;
    }
    const struct http *http = asking->http;
    int rc = ask->body.pieces ? 0 : http_body_make(&ask->body, &http->settings, http->toksweep, asking->job, ask->c, ask->s, &asking->pictures,
                                                   &asking->arena, &why);
    if (rc)
        give_failure(asking, ask, rc == ERR_MEMORY ? ANSWER_OUT_OF_MEMORY : ANSWER_RUNNER_FAILED, why.text);
    return !rc;
}

/* The gate has let it pass. */
static void launch(struct asking *asking, struct ask *ask)
{
    struct flight *flight = prepare(asking, ask) ? flight_new(&asking->http->settings, "/chat/completions", &ask->body) : NULL;
    if (flight && curl.curl_easy_setopt(flight->easy, CURLOPT_PRIVATE, ask) == CURLE_OK &&
        curl.curl_multi_add_handle(asking->multi, flight->easy) == CURLM_OK) {
        ask->flight = flight;
        ask->attempts++;
        asking->n_flying++;
        return;
    }
    flight_free(flight);
    double now = now_s();
    http_gate_leave(&asking->http->gate, HTTP_FAILED, now, now, 0, 0);
    if (!ask->done)
        give_failure(asking, ask, ANSWER_OUT_OF_MEMORY, "out of memory for a request");
}

/* Sends what is due; returns milliseconds until something else may be. */
static int launch_due(struct asking *asking)
{
    struct http_gate *gate = &asking->http->gate;
    double now = now_s(), next = now + POLL_MS * 1e-3;
    for (size_t i = 0; i < asking->n && !asking->stopped && !asking->end.code; i++) {
        struct ask *ask = &asking->asks[i];
        if (ask->done || ask->flight)
            continue;
        if (ask->next_s > now) {
            next = fmin(next, ask->next_s);
            continue;
        }
        enum http_pass pass = http_gate_enter(gate, now);
        if (pass == HTTP_WAIT)
            return GATE_MS;
        if (pass == HTTP_SPENT)
            err_set(&asking->end, ERR_REMOTE, "this run's bound of %lld requests or %lld tokens is reached, %lld and %lld are spent; the same "
                    "command continues, with a bound of its own", (long long)gate->most_requests, (long long)gate->most_tokens,
                    (long long)gate->requests, (long long)gate->tokens);
        else
            launch(asking, ask);
    }
    return (int)ceil((next - now) * 1e3);
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------- */

/* A request without a reply. */
static void read_failure(struct http_reply *out, const struct flight *flight, CURLcode code)
{
    bool late = code == CURLE_OPERATION_TIMEDOUT;
    *out = (struct http_reply){.verdict = late ? HTTP_STRAINED : HTTP_AGAIN, .status = late ? ANSWER_TIMEOUT : ANSWER_RUNNER_FAILED,
                               .message = flight->too_large ? "the server's reply is longer than 4 MiB" : curl.curl_easy_strerror(code)};
}

static int read_reply(struct asking *asking, struct flight *flight, CURLcode code, struct http_reply *out, struct err *err)
{
    long status = 0;
    arena_reset(&asking->scratch);
    if (code) {
        read_failure(out, flight, code);
        return 0;
    }
    curl.curl_easy_getinfo(flight->easy, CURLINFO_RESPONSE_CODE, &status);
    hide_key(flight->reply, flight->n, asking->http->settings.key);
    return http_reply_read(out, status, flight->reply ? flight->reply : "", flight->n, &asking->scratch, err);
}

/* Seconds before the next attempt: what the server asks for, or twice as long as before, give or take a half. */
static double wait_before(const struct asking *asking, const struct ask *ask, double retry_after_s)
{
    const struct http *http = asking->http;
    uint64_t stream = rng_stream(asking->job->samples[ask->s].sample->id) + ask->c;
    double backoff = fmin(LONGEST_BACKOFF_S, http->settings.backoff_s * pow(2, ask->attempts - 1));
    backoff *= 0.5 + rng_unit(http->jitter, stream, (uint64_t)ask->attempts);
    return retry_after_s > backoff ? retry_after_s : backoff; /* NaN is not */
}

static void conclude(struct asking *asking, struct ask *ask, struct http_reply *reply, double retry_after_s)
{
    const struct http_settings *settings = &asking->http->settings;
    if (reply->verdict == HTTP_REFUSED) {
        err_set(&asking->end, ERR_REMOTE, "the server '%s' refuses: %s; check the key in the environment and the account, the same command "
                "continues", settings->base_url, reply->message);
        return;
    }
    bool again = reply->verdict == HTTP_AGAIN || reply->verdict == HTTP_STRAINED;
    if (again && ask->attempts <= settings->retries && !(retry_after_s > LONGEST_WAIT_S)) {
        ask->next_s = now_s() + wait_before(asking, ask, retry_after_s);
        return;
    }
    if (again) {
        const char *why = retry_after_s > LONGEST_WAIT_S ? ", and asks to wait for more than ten minutes" : "";
        const char *whole = arena_printf(&asking->scratch, "asked %d times; at last: %s%s", ask->attempts, reply->message, why);
        reply->message = whole ? whole : reply->message;
    }
    give(asking, ask, reply);
}

static void land(struct asking *asking, struct ask *ask, CURLcode code)
{
    struct flight *flight = ask->flight;
    struct http_reply reply;
    struct err why = {0};
    double now = now_s();
    if (read_reply(asking, flight, code, &reply, &why))
        reply = (struct http_reply){.verdict = HTTP_FAILED, .status = ANSWER_OUT_OF_MEMORY, .message = why.text};
    ask->flight = NULL;
    ask->request_ms = (now - flight->started_s) * 1e3;
    asking->n_flying--;
    double retry_after_s = flight->retry_after_s;
    http_gate_leave(&asking->http->gate, reply.verdict, flight->started_s, now, reply.tokens,
                    retry_after_s > LONGEST_WAIT_S ? 0 : retry_after_s);
    curl.curl_multi_remove_handle(asking->multi, flight->easy);
    flight_free(flight);
    conclude(asking, ask, &reply, retry_after_s);
}

static void land_all(struct asking *asking)
{
    CURLMsg *message;
    int left;
    while (!asking->stopped && (message = curl.curl_multi_info_read(asking->multi, &left))) {
        struct ask *ask = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl.curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&ask);
        land(asking, ask, code);
    }
}

static void give_up_flights(struct asking *asking)
{
    for (size_t i = 0; i < asking->n; i++) {
        struct flight *flight = asking->asks[i].flight;
        if (!flight)
            continue;
        curl.curl_multi_remove_handle(asking->multi, flight->easy);
        http_gate_leave(&asking->http->gate, HTTP_FAILED, flight->started_s, now_s(), 0, 0);
        flight_free(flight);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------- */

static int begin(struct asking *asking, struct err *err)
{
    const struct job *job = asking->job;
    asking->asks = arena_alloc(&asking->arena, job->n_cells * job->n_samples, sizeof *asking->asks);
    asking->pictures.parts = arena_alloc(&asking->arena, job->frames.n, sizeof *asking->pictures.parts);
    if (!asking->asks || !asking->pictures.parts)
        return err_no_memory(err, "a job");
    for (size_t c = 0; c < job->n_cells; c++)
        for (size_t s = 0; s < job->n_samples; s++)
            if (job->wanted[c * job->n_samples + s])
                asking->asks[asking->n++] = (struct ask){.c = c, .s = s, .request_ms = NAN};
    return 0;
}

int http_ask(struct http *http, void *connections, const struct job *job, answer_sink *sink, void *context, struct err *err)
{
    struct asking asking = {.http = http, .multi = connections, .job = job, .sink = sink, .context = context};
    int rc = begin(&asking, err);
    while (!rc && !asking.stopped && !asking.end.code && asking.n_done < asking.n) {
        int running, wait_ms = launch_due(&asking);
        if (curl.curl_multi_perform(asking.multi, &running) || curl.curl_multi_poll(asking.multi, NULL, 0, wait_ms, NULL))
            rc = err_set(err, ERR_REMOTE, "libcurl cannot go on with the requests of video '%s'", job->video->id);
        land_all(&asking);
        asking.stopped |= atomic_load(job->stop);
    }
    give_up_flights(&asking);
    if (!rc && asking.end.code && !asking.stopped) {
        *err = asking.end;
        rc = asking.end.code;
    }
    arena_free(&asking.arena);
    arena_free(&asking.scratch);
    return rc;
}
