/* The server. libmicrohttpd's thread receives bodies and suspends connections; workers compute and resume them; the calling thread
 * watches for clients that went away.
 *
 *   receiving -> waiting -> computed by a worker -> answered
 *                   '-> gone: the client closed its end     */
#include "harness/serve.h"

#include "core/log.h"
#include "core/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_MS = 50, LAST_WORDS_MS = 5000 };

enum call_state { CALL_RECEIVING, CALL_WAITING, CALL_COMPUTED, CALL_ANSWERED };

struct call { /* one request, from its first line to the last byte of its reply */
    struct call *next;       /* in the list of those held */
    struct serve *serve;
    struct MHD_Connection *connection;
    enum call_state state;
    char *body;
    size_t n, room;
    unsigned refusal;        /* HTTP status by which the body was refused; 0: it was not */
    atomic_bool gone;        /* the client is; the job's stop flag */
    unsigned status;
    char *reply;             /* NULL when memory is out */
    bool stream;
};

struct serve {
    const struct runner *runner;
    void *self;
    const struct chat_model *model;
    const struct serve_options *options;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;    /* guards all below, and the state of calls */
    pthread_cond_t work;
    struct call *held;       /* waiting, computed or answered, oldest first */
    size_t n_held, bytes;
    uint64_t n_calls;
    bool closing;
};

/* ---- replies ------------------------------------------------------------------------------------------------------------------- */

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, char *text, const char *type)
{
    static char out_of_memory[] = "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\",\"param\":null,\"code\":null}}";
    char *body = text ? text : out_of_memory;
    enum MHD_ResponseMemoryMode mode = text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(body), body, mode);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    enum MHD_Result result = MHD_queue_response(connection, text ? status : MHD_HTTP_INTERNAL_SERVER_ERROR, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status, char *text)
{
    return send_text(connection, status, text, "application/json");
}

static enum MHD_Result send_error(struct MHD_Connection *connection, unsigned status, const char *message)
{
    return send_json(connection, status, chat_write_error((int)status, NULL, message));
}

/* ---- the bodies that are held -------------------------------------------------------------------------------------------------- */

static void drop_body(struct call *call)
{
    pthread_mutex_lock(&call->serve->lock);
    call->serve->bytes -= call->room;
    pthread_mutex_unlock(&call->serve->lock);
    free(call->body);
    call->body = NULL;
    call->n = call->room = 0;
}

/* Room for `more` bytes beyond those there are; an HTTP status when they are too many. */
static unsigned grow_body(struct call *call, size_t more)
{
    struct serve *serve = call->serve;
    size_t wanted = call->n + more, room = call->room;
    if (wanted > serve->options->most_body)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (wanted <= room)
        return 0;
    room = 2 * wanted < serve->options->most_body ? 2 * wanted : serve->options->most_body;
    pthread_mutex_lock(&serve->lock);
    bool fits = serve->bytes + room - call->room <= serve->options->most_bytes;
    if (fits)
        serve->bytes += room - call->room;
    pthread_mutex_unlock(&serve->lock);
    if (!fits)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    char *grown = realloc(call->body, room);
    if (!grown) {
        pthread_mutex_lock(&serve->lock);
        serve->bytes -= room - call->room;
        pthread_mutex_unlock(&serve->lock);
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    call->body = grown;
    call->room = room;
    return 0;
}

/* After a refusal the rest of the body is read and forgotten, so that the client gets to see the reply. */
static void take_bytes(struct call *call, const char *bytes, size_t n)
{
    unsigned refusal = call->refusal ? call->refusal : grow_body(call, n);
    if (refusal && !call->refusal)
        drop_body(call);
    call->refusal = refusal;
    if (refusal)
        return;
    memcpy(call->body + call->n, bytes, n);
    call->n += n;
}

/* ---- computing ----------------------------------------------------------------------------------------------------------------- */

struct hearing { const struct chat *chat; struct call *call; const struct chat_model *model; uint64_t id; };

static void answer_error(struct call *call, unsigned status, const char *code, const char *message)
{
    call->status = status;
    call->reply = chat_write_error((int)status, code, message);
}

/* The job's one answer becomes the reply. */
static int hear(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct hearing *hearing = context;
    struct call *call = hearing->call;
    (void)cell, (void)sample;
    if (answer->status == ANSWER_OK) {
        call->status = MHD_HTTP_OK;
        call->stream = hearing->chat->stream;
        call->reply = chat_write(hearing->chat, hearing->model, answer, hearing->id, (int64_t)time(NULL));
    } else if (answer->status == ANSWER_TOO_LONG) {
        answer_error(call, MHD_HTTP_BAD_REQUEST, "context_length_exceeded", answer->message);
    } else if (answer->status == ANSWER_OUT_OF_MEMORY) {
        answer_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, answer->message);
    } else {
        answer_error(call, MHD_HTTP_UNPROCESSABLE_CONTENT, answer_status_name(answer->status), answer->message);
    }
    return 0;
}

static int run_chat(struct serve *serve, void *worker, struct chat *chat, struct hearing *hearing, int *status, struct err *err)
{
    size_t bytes;
    struct job_cell *cell = &chat->cell;
    int rc = serve->runner->bytes_needed(serve->self, cell, 1, cell->n, serve->options->threads, &bytes, err);
    if (rc)
        return rc;
    *status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    chat->job.stop = &hearing->call->gone;
    return serve->runner->run(serve->self, worker, &chat->job, hear, hearing, err);
}

static void compute(struct serve *serve, void *worker, struct call *call, uint64_t id)
{
    struct chat chat;
    struct err err = {0};
    int status;
    struct hearing hearing = {&chat, call, serve->model, id};
    int rc = chat_read(&chat, serve->model, call->body, call->n, &status, &err);
    drop_body(call);
    if (!rc)
        rc = run_chat(serve, worker, &chat, &hearing, &status, &err);
    if (rc)
        answer_error(call, (unsigned)status, NULL, err.text);
    else if (!call->status) /* stopped: nobody listens any more */
        answer_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the request was given up");
    chat_free(&chat);
}

static struct call *next_waiting(const struct serve *serve)
{
    struct call *call = serve->held;
    while (call && call->state != CALL_WAITING)
        call = call->next;
    return call;
}

/* The lock is held. From here on the connection belongs to libmicrohttpd's thread again. */
static void resume(struct call *call)
{
    call->state = CALL_ANSWERED;
    MHD_resume_connection(call->connection);
}

struct crew { struct serve *serve; void *worker; };

static void *work(void *context)
{
    const struct crew *crew = context;
    struct serve *serve = crew->serve;
    pthread_mutex_lock(&serve->lock);
    while (!serve->closing) {
        struct call *call = next_waiting(serve);
        if (!call) {
            pthread_cond_wait(&serve->work, &serve->lock);
            continue;
        }
        uint64_t id = ++serve->n_calls;
        call->state = CALL_COMPUTED;
        pthread_mutex_unlock(&serve->lock);
        compute(serve, crew->worker, call, id);
        pthread_mutex_lock(&serve->lock);
        resume(call);
    }
    pthread_mutex_unlock(&serve->lock);
    return NULL;
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

static bool same_secret(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned char differ = n != m;
    for (size_t i = 0; i < m; i++) /* always all of it, so that the time tells nothing */
        differ |= (unsigned char)((i < n ? a[i] : 0) ^ b[i]);
    return !differ;
}

static bool is_allowed(const struct serve *serve, struct MHD_Connection *connection)
{
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (!serve->options->token)
        return true;
    return header && !strncasecmp(header, "Bearer ", 7) && same_secret(header + 7, serve->options->token);
}

static enum MHD_Result answer_get(struct serve *serve, struct MHD_Connection *connection, const char *url)
{
    static const char models[] = "/v1/models";
    if (!strcmp(url, "/health"))
        return send_json(connection, MHD_HTTP_OK, strdup("{\"status\":\"ok\"}"));
    if (!is_allowed(serve, connection))
        return send_error(connection, MHD_HTTP_UNAUTHORIZED, "a bearer token is needed, and this is none or another");
    if (!strcmp(url, models))
        return send_json(connection, MHD_HTTP_OK, chat_write_models(serve->model, false));
    if (!strncmp(url, models, sizeof models - 1) && url[sizeof models - 1] == '/' && !strcmp(url + sizeof models, serve->model->name))
        return send_json(connection, MHD_HTTP_OK, chat_write_models(serve->model, true));
    if (!strcmp(url, "/v1/chat/completions"))
        return send_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "chat completions are asked for by POST");
    return send_error(connection, MHD_HTTP_NOT_FOUND, "there are /health, /v1/models and /v1/chat/completions");
}

/* What can be said of a POST before its body is read; 0: go on. */
static unsigned check_head(struct serve *serve, struct MHD_Connection *connection, const char *url, const char **why)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    *why = "a bearer token is needed, and this is none or another";
    if (!is_allowed(serve, connection))
        return MHD_HTTP_UNAUTHORIZED;
    *why = "there are /health, /v1/models and /v1/chat/completions";
    if (strcmp(url, "/v1/chat/completions"))
        return MHD_HTTP_NOT_FOUND;
    *why = "the body is larger than this server takes; see --most-body";
    return length && strtoull(length, NULL, 10) > serve->options->most_body ? MHD_HTTP_CONTENT_TOO_LARGE : 0;
}

/* The body is whole: waits for a worker, unless too many do. */
static enum MHD_Result enqueue(struct call *call)
{
    struct serve *serve = call->serve;
    pthread_mutex_lock(&serve->lock);
    bool room = !serve->closing && serve->n_held < serve->options->most_held;
    if (room) {
        struct call **end = &serve->held;
        while (*end)
            end = &(*end)->next;
        *end = call;
        serve->n_held++;
        call->state = CALL_WAITING;
        MHD_suspend_connection(call->connection);
        pthread_cond_signal(&serve->work);
    }
    pthread_mutex_unlock(&serve->lock);
    return room ? MHD_YES : send_error(call->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests are waiting; try again");
}

static enum MHD_Result answer_post(struct call *call)
{
    if (call->refusal == MHD_HTTP_CONTENT_TOO_LARGE)
        return send_error(call->connection, call->refusal, "the body is larger than this server takes; see --most-body");
    if (call->refusal)
        return send_error(call->connection, call->refusal, "too much is waiting; try again");
    if (call->state == CALL_RECEIVING)
        return enqueue(call);
    char *reply = call->reply;
    call->reply = NULL;
    return send_text(call->connection, call->status, reply, call->stream ? "text/event-stream" : "application/json");
}

static enum MHD_Result begin_post(struct serve *serve, struct MHD_Connection *connection, const char *url, void **context)
{
    const char *why;
    unsigned status = check_head(serve, connection, url, &why);
    if (status)
        return send_error(connection, status, why);
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return MHD_NO;
    call->serve = serve;
    call->connection = connection;
    *context = call;
    return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                              const char *bytes, size_t *n, void **request)
{
    struct serve *serve = context;
    struct call *call = *request;
    (void)version;
    if (!strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD))
        return answer_get(serve, connection, url);
    if (strcmp(method, MHD_HTTP_METHOD_POST))
        return send_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "there are GET and POST");
    if (!call)
        return begin_post(serve, connection, url, request);
    if (*n) {
        take_bytes(call, bytes, *n);
        *n = 0;
        return MHD_YES;
    }
    return answer_post(call);
}

/* The connection is done with the request, one way or the other. */
static void forget(void *context, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode how)
{
    struct serve *serve = context;
    struct call *call = *request;
    (void)connection, (void)how;
    if (!call)
        return;
    pthread_mutex_lock(&serve->lock);
    for (struct call **at = &serve->held; *at; at = &(*at)->next)
        if (*at == call) {
            *at = call->next;
            serve->n_held--;
            break;
        }
    pthread_mutex_unlock(&serve->lock);
    drop_body(call);
    free(call->reply);
    free(call);
    *request = NULL;
}

/* ---- watching ------------------------------------------------------------------------------------------------------------------ */

/* Nothing more will come from the other end. Suspended connections are not closed by libmicrohttpd, so the descriptor is theirs. */
static bool has_left(const struct call *call)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char byte;
    if (!info)
        return false;
    ssize_t n = recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Gives the places of those free that nobody waits for; all that wait, when the server closes. */
static void sweep_waiting(struct serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    for (struct call *call = serve->held; call; call = call->next) {
        bool held = call->state == CALL_WAITING || call->state == CALL_COMPUTED;
        if (held && has_left(call))
            atomic_store(&call->gone, true);
        if (call->state != CALL_WAITING || !(serve->closing || atomic_load(&call->gone)))
            continue;
        answer_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the server is closing");
        resume(call);
    }
    pthread_mutex_unlock(&serve->lock);
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static size_t n_held(struct serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    size_t n = serve->n_held;
    pthread_mutex_unlock(&serve->lock);
    return n;
}

/* ---- the address --------------------------------------------------------------------------------------------------------------- */

union address { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; };

static int read_address(union address *out, const struct serve_options *options, struct err *err)
{
    const char *host = strcmp(options->host, "localhost") ? options->host : "127.0.0.1";
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)options->port);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)options->port);
        return 0;
    }
    return err_set(err, ERR_CONFIG, "'%s' is no address; give a numeric one such as 127.0.0.1, ::1 or 0.0.0.0", options->host);
}

/* Whether nobody but this machine can reach it. */
static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static void say_url(const struct serve *serve, bool v6)
{
    const struct serve_options *options = serve->options;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(serve->daemon, MHD_DAEMON_INFO_BIND_PORT);
    struct text url = {0};
    unsigned port = info ? info->port : (unsigned)options->port;
    text_printf(&url, "http://%s%s%s:%u/v1", v6 ? "[" : "", options->host, v6 ? "]" : "", port);
    if (!url.failed)
        options->listening(url.bytes, options->context);
    text_free(&url);
}

static int listen_on(struct serve *serve, struct err *err)
{
    const struct serve_options *options = serve->options;
    union address address;
    int rc = read_address(&address, options, err);
    if (rc)
        return rc;
    if (!is_loopback(&address) && !options->token)
        return err_set(err, ERR_CONFIG, "others than this machine can reach '%s', so requests need a token; put one into TOKSWEEP_SERVE_TOKEN",
                       options->host);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    flags |= address.any.sa_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    errno = 0;
    serve->daemon = MHD_start_daemon(flags, (uint16_t)options->port, NULL, NULL, handle, serve, MHD_OPTION_SOCK_ADDR, &address.any,
                                     MHD_OPTION_NOTIFY_COMPLETED, forget, serve, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)options->idle_s,
                                     MHD_OPTION_CONNECTION_LIMIT, (unsigned)(options->most_held + 256), MHD_OPTION_END);
    if (!serve->daemon)
        return err_set(err, ERR_IO, "cannot listen on %s, port %d: %s; choose another --port", options->host, options->port,
                       errno ? strerror(errno) : "libmicrohttpd does not say why");
    say_url(serve, address.any.sa_family == AF_INET6);
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------- */

/* Starts workers; *n says how many. */
static int start_crew(struct serve *serve, struct crew *crew, pthread_t *threads, int *n, struct err *err)
{
    int rc = 0;
    for (*n = 0; *n < serve->options->jobs && !rc;) {
        crew[*n].serve = serve;
        rc = serve->runner->worker_open(serve->self, &crew[*n].worker, serve->options->threads, err);
        if (!rc && pthread_create(&threads[*n], NULL, work, &crew[*n])) {
            serve->runner->worker_close(serve->self, crew[*n].worker);
            rc = err_set(err, ERR_MEMORY, "cannot start %d threads; use fewer --jobs", serve->options->jobs);
        }
        *n += !rc;
    }
    return rc;
}

static void end_crew(struct serve *serve, struct crew *crew, const pthread_t *threads, int n)
{
    pthread_mutex_lock(&serve->lock);
    serve->closing = true;
    pthread_cond_broadcast(&serve->work);
    pthread_mutex_unlock(&serve->lock);
    sweep_waiting(serve);
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        serve->runner->worker_close(serve->self, crew[i].worker);
    }
}

/* No new connection; what is being computed is answered, and its bytes are given some time to leave. */
static void close_down(struct serve *serve, struct crew *crew, const pthread_t *threads, int n)
{
    MHD_socket listener = serve->daemon ? MHD_quiesce_daemon(serve->daemon) : MHD_INVALID_SOCKET;
    end_crew(serve, crew, threads, n);
    for (int ms = 0; ms < LAST_WORDS_MS && n_held(serve); ms += WATCH_MS)
        pause_ms(WATCH_MS);
    if (serve->daemon)
        MHD_stop_daemon(serve->daemon);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
}

int serve(const struct runner *runner, void *self, const struct chat_model *model, const struct serve_options *options, struct err *err)
{
    struct serve serve = {.runner = runner, .self = self, .model = model, .options = options};
    struct crew *crew = calloc((size_t)options->jobs, sizeof *crew);
    pthread_t *threads = calloc((size_t)options->jobs, sizeof *threads);
    int n = 0, rc = crew && threads ? 0 : err_no_memory(err, "threads");
    pthread_mutex_init(&serve.lock, NULL);
    pthread_cond_init(&serve.work, NULL);
    if (!rc)
        rc = start_crew(&serve, crew, threads, &n, err);
    if (!rc)
        rc = listen_on(&serve, err);
    while (!rc && !atomic_load(options->stop)) {
        pause_ms(WATCH_MS);
        sweep_waiting(&serve);
    }
    close_down(&serve, crew, threads, n);
    pthread_cond_destroy(&serve.work);
    pthread_mutex_destroy(&serve.lock);
    free(threads);
    free(crew);
    return rc;
}
