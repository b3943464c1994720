/* The server with a runner that does as it is told: what is refused, 64 clients at once, clients that go away, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base64.h"
#include "core/text.h"
#include "harness/serve.h"

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIDE = 4, CLIENTS = 64 };

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* ---- the runner: says how many frames it saw and what it was asked; "wait" in the question holds it until `go` or a stop -------------- */

struct puppet { atomic_int running, stopped; atomic_bool go; };

static int puppet_bytes(void *self, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads, size_t *bytes, struct err *err)
{
    (void)self, (void)cells, (void)n_cells, (void)n_frames, (void)threads, (void)err;
    *bytes = 0;
    return 0;
}

static int puppet_worker(void *self, void **worker, int threads, struct err *err)
{
    (void)threads, (void)err;
    *worker = self;
    return 0;
}

static void puppet_worker_close(void *self, void *worker)
{
    (void)self, (void)worker;
}

static int puppet_run(void *self, void *worker, const struct job *job, answer_sink *sink, void *context, struct err *err)
{
    struct puppet *puppet = self;
    char said[300];
    const char *user = job->samples[0].prompt.user;
    (void)worker, (void)err;
    atomic_fetch_add(&puppet->running, 1);
    while (strstr(user, "wait") && !atomic_load(&puppet->go) && !atomic_load(job->stop))
        pause_ms(5);
    atomic_fetch_sub(&puppet->running, 1);
    if (atomic_load(job->stop)) {
        atomic_fetch_add(&puppet->stopped, 1);
        return 0;
    }
    snprintf(said, sizeof said, "%zu frames, %s, %s", job->cells[0].n, job->cells[0].run->methods[0].compressor->name, user);
    struct answer answer = {.status = ANSWER_OK, .raw = said, .margin = NAN,
                            .cost = {.tokens_visual = 100, .tokens_marker = 10, .tokens_text = 7, .tokens_generated = 3}};
    if (strstr(user, "too long"))
        answer = (struct answer){.status = ANSWER_TOO_LONG, .message = "the prompt is too long", .margin = NAN};
    if (strstr(user, "fail"))
        answer = (struct answer){.status = ANSWER_RUNNER_FAILED, .message = "it cannot be", .margin = NAN};
    return sink(context, 0, 0, &answer) && 0;
}

static const struct runner runner_puppet = {.name = "puppet", .bytes_needed = puppet_bytes, .worker_open = puppet_worker,
                                            .worker_close = puppet_worker_close, .run = puppet_run};

/* ---- the server ---------------------------------------------------------------------------------------------------------------- */

struct house {
    struct puppet puppet;
    struct chat_model model;
    struct serve_options options;
    atomic_bool stop;
    atomic_int port;
    pthread_t thread;
    int rc;
    struct err err;
};

static void note_port(const char *url, void *context)
{
    atomic_store(&((struct house *)context)->port, atoi(strrchr(url, ':') + 1));
}

static void *run_server(void *context)
{
    struct house *house = context;
    house->rc = serve(&runner_puppet, &house->puppet, &house->model, &house->options, &house->err);
    atomic_store(&house->port, -1);
    return NULL;
}

static void open_house(struct house *house, struct serve_options options)
{
    memset(house, 0, sizeof *house);
    house->model = (struct chat_model){.name = "m", .dtype = "f32", .build = "b", .most_frames = 8,
                                       .facts = {.model_digest = "d", .isa = "i", .frame_side = SIDE, .repetition_penalty = 1, .pooling = "bilinear", .newline = "grid"}};
    house->options = options;
    house->options.host = "127.0.0.1";
    house->options.threads = 1;
    house->options.jobs = options.jobs ? options.jobs : 1;
    house->options.most_held = options.most_held ? options.most_held : 256;
    house->options.most_body = options.most_body ? options.most_body : 1 << 20;
    house->options.most_bytes = options.most_bytes ? options.most_bytes : 64 << 20;
    house->options.idle_s = 30;
    house->options.stop = &house->stop;
    house->options.listening = note_port;
    house->options.context = house;
    assert_int_equal(pthread_create(&house->thread, NULL, run_server, house), 0);
    while (!atomic_load(&house->port))
        pause_ms(5);
    if (atomic_load(&house->port) < 0)
        fail_msg("%s", house->err.text);
}

static void close_house(struct house *house)
{
    atomic_store(&house->stop, true);
    pthread_join(house->thread, NULL);
    assert_int_equal(house->rc, 0);
}

/* ---- clients ------------------------------------------------------------------------------------------------------------------- */

static int dial(const struct house *house)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)atomic_load(&house->port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail_msg("no connection");
    return fd;
}

static void send_all(int fd, const char *bytes, size_t n)
{
    for (ssize_t sent; n && (sent = send(fd, bytes, n, MSG_NOSIGNAL)) > 0; bytes += sent)
        n -= (size_t)sent;
}

static void request(int fd, const char *line, const char *header, const char *body)
{
    char head[400];
    int n = snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n", line, strlen(body), header);
    send_all(fd, head, (size_t)n);
    send_all(fd, body, strlen(body));
}

struct said { int status; char text[8192]; };

/* Reads until the server closes. */
static void listen_to(int fd, struct said *out)
{
    size_t n = 0;
    for (ssize_t got; n + 1 < sizeof out->text && (got = recv(fd, out->text + n, sizeof out->text - n - 1, 0)) > 0;)
        n += (size_t)got;
    out->text[n] = 0;
    out->status = n > 12 ? atoi(out->text + 9) : 0;
    close(fd);
}

static struct said talk(const struct house *house, const char *line, const char *header, const char *body)
{
    struct said said;
    int fd = dial(house);
    request(fd, line, header, body);
    listen_to(fd, &said);
    return said;
}

/* A body with n frames and these members before the messages, malloc'ed. */
static char *body_with(const char *members, int n_frames, const char *question)
{
    static const uint8_t grey[SIDE * SIDE * 3] = {100};
    struct err err = {0};
    struct text text = {0};
    uint8_t *file;
    size_t n;
    assert_int_equal(picture_encode(&file, &n, grey, SIDE, SIDE, 0, &err), 0);
    char *code = calloc(1, base64_length(n) + 1);
    base64_encode(code, file, n);
    text_printf(&text, "{\"model\":\"m\",%s\"messages\":[{\"role\":\"user\",\"content\":[", members);
    for (int i = 0; i < n_frames; i++)
        text_printf(&text, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,%s\"}},", code);
    text_printf(&text, "{\"type\":\"text\",\"text\":\"%s\"}]}]}", question);
    free(code);
    free(file);
    return text_take(&text);
}

static const char post[] = "POST /v1/chat/completions";

static struct said complete(const struct house *house, const char *members, int n_frames, const char *question)
{
    char *body = body_with(members, n_frames, question);
    struct said said = talk(house, post, "", body);
    free(body);
    return said;
}

static void assert_says(const struct said *said, int status, const char *text)
{
    if (said->status != status || !strstr(said->text, text))
        fail_msg("expected %d with '%s', found: %s", status, text, said->text);
}

/* ---- requests and replies ------------------------------------------------------------------------------------------------------ */

static void test_replies(void **state)
{
    (void)state;
    struct house house;
    open_house(&house, (struct serve_options){0});
    struct said said = complete(&house, "", 3, "what?");
    assert_says(&said, 200, "\"content\":\"3 frames, none, what?\"");
    assert_says(&said, 200, "\"usage\":{\"completion_tokens\":3,\"prompt_tokens\":117,\"total_tokens\":120}");
    assert_says(&said, 200, "\"finish_reason\":\"stop\"");
    said = complete(&house, "\"max_tokens\":3,\"compressor\":{\"name\":\"dyntok\",\"threshold\":0.5},", 1, "what?");
    assert_says(&said, 200, "1 frames, dyntok");
    assert_says(&said, 200, "\"finish_reason\":\"length\"");
    said = complete(&house, "\"stream\":true,\"stream_options\":{\"include_usage\":true},", 1, "what?");
    assert_says(&said, 200, "text/event-stream");
    assert_says(&said, 200, "\"delta\":{\"content\":\"1 frames, none, what?\"}");
    assert_says(&said, 200, "\"usage\":{");
    assert_says(&said, 200, "data: [DONE]\n\n");
    said = complete(&house, "", 1, "too long");
    assert_says(&said, 400, "\"code\":\"context_length_exceeded\"");
    said = complete(&house, "", 1, "fail");
    assert_says(&said, 422, "\"code\":\"runner_failed\",\"message\":\"it cannot be\"");
    said = talk(&house, "GET /health", "", "");
    assert_says(&said, 200, "{\"status\":\"ok\"}");
    said = talk(&house, "GET /v1/models", "", "");
    assert_says(&said, 200, "\"id\":\"m\"");
    said = talk(&house, "GET /v1/models/m", "", "");
    assert_says(&said, 200, "{\"created\"");
    said = talk(&house, "GET /v1/models/n", "", "");
    assert_says(&said, 404, "there are /health");
    said = talk(&house, "DELETE /v1/models", "", "");
    assert_says(&said, 405, "GET and POST");
    close_house(&house);
}

static void test_what_is_refused(void **state)
{
    static const struct { const char *body; int status; const char *said; } bodies[] = {
        {"", 400, "not valid JSON"},
        {"[]", 400, "should be a JSON object"},
        {"{\"model\":\"m\"", 400, "not valid JSON"},
        {"{}", 400, "no model ''"},
        {"{\"model\":\"gpt\"}", 404, "no model 'gpt' here; this server has 'm'"},
        {"{\"model\":\"m\",\"mesages\":[]}", 400, "did you mean 'messages'"},
        {"{\"model\":\"m\",\"temperature\":0.7,\"messages\":[]}", 400, "decodes greedily"},
        {"{\"model\":\"m\",\"n\":2,\"messages\":[]}", 400, "'n' is 2"},
        {"{\"model\":\"m\",\"stop\":[\"x\"],\"messages\":[]}", 400, "'stop' is not offered"},
        {"{\"model\":\"m\",\"max_tokens\":0,\"messages\":[]}", 400, "from 1 to 4096"},
        {"{\"model\":\"m\",\"pooling\":\"cubic\",\"messages\":[]}", 400, "'pooling' should be one of none, bilinear"},
        {"{\"model\":\"m\",\"compressor\":\"dintok\",\"messages\":[]}", 400, "there is none 'dintok'"},
        {"{\"model\":\"m\",\"compressor\":{\"name\":\"dyntok\",\"treshold\":1},\"messages\":[]}", 400, "did you mean 'threshold'"},
        {"{\"model\":\"m\",\"compressor\":{\"name\":\"dyntok\",\"target_ratio\":0.3},\"messages\":[]}", 400, "has to be calibrated"},
        {"{\"model\":\"m\",\"compressor\":[\"dyntok\",\"pool\"],\"messages\":[]}", 400, "dyntok"},
        {"{\"model\":\"m\",\"compressor\":[],\"messages\":[]}", 400, "1 to 4 methods"},
        {"{\"model\":\"m\",\"messages\":[]}", 400, "one with role user"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 400, "comes without pictures"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"}]}", 400, "one with role user"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video_url\",\"video_url\":{\"url\":\"x\"}}]}]}", 400, "pictures of their frames"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/a.png\"}},"
         "{\"type\":\"text\",\"text\":\"q\"}]}]}", 400, "picture 1 should be a URL that begins with data:image/png;base64,"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,????\"}}]}]}", 400,
         "picture 1 is not base64"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}]}]}", 400,
         "'picture 1' is not a whole picture"},
    };
    (void)state;
    struct house house;
    open_house(&house, (struct serve_options){.most_body = 1 << 14});
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct said said = talk(&house, post, "", bodies[i].body);
        assert_says(&said, bodies[i].status, bodies[i].said);
    }
    struct said said = complete(&house, "", 9, "q");
    assert_says(&said, 413, "9 pictures are too many; this server takes up to 8");
    char *large = body_with("", 1, "q");
    char *padded = calloc(1, (1 << 15) + strlen(large) + 1);
    memset(padded, ' ', 1 << 15);
    strcpy(padded + (1 << 15), large);
    said = talk(&house, post, "", padded);
    assert_int_equal(said.status, 413);
    said = complete(&house, "", 1, "still here?"); /* the server is none the worse for all that */
    assert_says(&said, 200, "still here?");
    free(padded);
    free(large);
    close_house(&house);
}

static void test_tokens(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "Authorization: Bearer secre\r\n", "Authorization: Bearer secrets\r\n", "Authorization: Basic secret\r\n"};
    struct house house;
    open_house(&house, (struct serve_options){.token = "secret"});
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct said said = talk(&house, "GET /v1/models", wrong[i], "");
        assert_says(&said, 401, "bearer token");
        said = talk(&house, post, wrong[i], "{}");
        assert_says(&said, 401, "bearer token");
    }
    struct said said = talk(&house, "GET /v1/models", "Authorization: Bearer secret\r\n", "");
    assert_says(&said, 200, "\"id\":\"m\"");
    said = talk(&house, "GET /health", "", "");
    assert_says(&said, 200, "ok");
    close_house(&house);
}

static void test_addresses(void **state)
{
    (void)state;
    atomic_bool stop = true;
    struct puppet puppet = {0};
    const struct chat_model model = {.name = "m"};
    struct serve_options options = {.jobs = 1, .threads = 1, .most_held = 1, .most_body = 1, .most_bytes = 1, .idle_s = 1, .stop = &stop};
    static const struct { const char *host; int code; const char *said; } hosts[] = {
        {"0.0.0.0", ERR_CONFIG, "need a token"}, {"::", ERR_CONFIG, "need a token"}, {"here", ERR_CONFIG, "is no address"}, {"192.0.2.1", ERR_CONFIG, "need a token"}};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct err err = {0};
        options.host = hosts[i].host;
        assert_int_equal(serve(&runner_puppet, &puppet, &model, &options, &err), hosts[i].code);
        assert_non_null(strstr(err.text, hosts[i].said));
    }
}

/* ---- load ---------------------------------------------------------------------------------------------------------------------- */

struct client { const struct house *house; const char *body; int status; bool right; };

static void *converse(void *context)
{
    struct client *client = context;
    struct said said = talk(client->house, post, "", client->body);
    client->status = said.status;
    client->right = strstr(said.text, said.status == 503 ? "Retry-After: 1" : "8 frames, none, padded");
    return NULL;
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* All clients at once, each with a body of `padding` bytes and more; returns how many were answered. */
static int crowd(const struct house *house, size_t padding)
{
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    char *body = body_with("", 8, "padded"), *padded = calloc(1, padding + strlen(body) + 1);
    int answered = 0;
    memset(padded, ' ', padding);
    strcpy(padded + padding, body);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.house = house, .body = padded};
        assert_int_equal(pthread_create(&threads[i], NULL, converse, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_true((clients[i].status == 200 || clients[i].status == 503) && clients[i].right);
        answered += clients[i].status == 200;
    }
    free(padded);
    free(body);
    return answered;
}

static void test_many_clients(void **state)
{
    (void)state;
    struct house house;
    open_house(&house, (struct serve_options){.jobs = 2, .most_body = 2 << 20, .most_bytes = 256 << 20});
    for (int round = 0; round < 3; round++)
        assert_int_equal(crowd(&house, 1 << 20), CLIENTS);
    close_house(&house);
    /* With room for few bodies the others are told to come again, and nothing is held for them. */
    open_house(&house, (struct serve_options){.jobs = 2, .most_body = 4 << 20, .most_bytes = 16 << 20});
    long before = peak_kib();
    int answered = crowd(&house, 3 << 20);
    assert_true(answered >= 1 && answered < CLIENTS);
    assert_true(peak_kib() - before < 64 << 10); /* 64 bodies of 3 MiB would be three times that */
    assert_int_equal(crowd(&house, 0), CLIENTS); /* all of it was given back */
    close_house(&house);
}

/* ---- clients that go away ------------------------------------------------------------------------------------------------------ */

static void await(const atomic_int *value, int wanted)
{
    for (int i = 0; i < 400 && atomic_load(value) != wanted; i++)
        pause_ms(10);
    assert_int_equal(atomic_load(value), wanted);
}

static int ask(const struct house *house, const char *question)
{
    char *body = body_with("", 1, question);
    int fd = dial(house);
    request(fd, post, "", body);
    free(body);
    return fd;
}

static void test_who_leaves_frees_a_place(void **state)
{
    (void)state;
    struct house house;
    struct said said;
    open_house(&house, (struct serve_options){.most_held = 2});
    int computed = ask(&house, "wait");
    await(&house.puppet.running, 1);
    int waiting = ask(&house, "wait");
    for (int i = 0; i < 200; i++) { /* until both places are taken */
        said = complete(&house, "", 1, "full?");
        if (said.status == 503)
            break;
        pause_ms(10);
    }
    assert_says(&said, 503, "too many requests are waiting");
    close(waiting); /* it frees its place while the other goes on */
    int next = 0;
    for (int i = 0; i < 200; i++) {
        next = ask(&house, "next");
        pause_ms(60);
        char byte;
        if (recv(next, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) /* no refusal: it waits */
            break;
        close(next);
    }
    assert_int_equal(atomic_load(&house.puppet.stopped), 0);
    close(computed); /* the job is told to stop, and the next one's turn comes */
    listen_to(next, &said);
    assert_says(&said, 200, "1 frames, none, next");
    assert_int_equal(atomic_load(&house.puppet.stopped), 1);
    close_house(&house);
}

static void *let_go(void *context)
{
    struct house *house = context;
    pause_ms(200);
    atomic_store(&house->puppet.go, true);
    return NULL;
}

static void test_the_end(void **state)
{
    (void)state;
    struct house house;
    struct said first, second;
    pthread_t thread;
    open_house(&house, (struct serve_options){0});
    int computed = ask(&house, "wait first");
    await(&house.puppet.running, 1);
    int waiting = ask(&house, "wait second");
    pause_ms(100);
    assert_int_equal(pthread_create(&thread, NULL, let_go, &house), 0);
    close_house(&house);
    pthread_join(thread, NULL);
    listen_to(computed, &first);
    listen_to(waiting, &second);
    assert_says(&first, 200, "wait first");
    assert_says(&second, 503, "the server is closing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),      cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_tokens),       cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_many_clients), cmocka_unit_test(test_who_leaves_frees_a_place),
        cmocka_unit_test(test_the_end),
    };
    return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
