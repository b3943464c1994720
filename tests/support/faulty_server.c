/* The faulty server: a thread per connection, one request per connection. */
#include "tests/support/faulty_server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BODY = 1 << 22, MOST_QUESTION = 400, SERVICE_MS = 20 };

struct asked { /* a question and how often it came */
    struct asked *next;
    char question[MOST_QUESTION];
    int times;
};

struct faulty {
    int listener, capacity;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;     /* guards the rest */
    pthread_cond_t quiet;
    struct asked *asked;
    char *last_body;
    int requests, at_once, most_at_once, connections;
    atomic_bool stop;
};

struct visit { struct faulty *server; int fd; };

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

struct request { char *bytes, *body; char authorization[200]; };

/* Reads one request; false when the client is gone. */
static bool read_request(int fd, struct request *out)
{
    size_t n = 0, wanted = MOST_BODY;
    *out = (struct request){.bytes = calloc(1, MOST_BODY + 1)};
    while (out->bytes && n < wanted) {
        ssize_t got = recv(fd, out->bytes + n, wanted - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        out->bytes[n] = 0;
        char *end = strstr(out->bytes, "\r\n\r\n"), *length = strstr(out->bytes, "Content-Length:");
        if (end && !out->body) {
            char *key = strstr(out->bytes, "Authorization: ");
            if (key && key < end)
                snprintf(out->authorization, sizeof out->authorization, "%.*s", (int)strcspn(key + 15, "\r"), key + 15);
            out->body = end + 4;
            wanted = (size_t)(out->body - out->bytes) + (length && length < end ? strtoull(length + 15, NULL, 10) : 0);
        }
    }
    return out->body;
}

/* The last text of the body, which is the question. */
static void find_question(const char *body, char question[MOST_QUESTION])
{
    static const char mark[] = "\"type\":\"text\",\"text\":\"";
    const char *at = strstr(body, mark);
    snprintf(question, MOST_QUESTION, "%.*s", at ? (int)strcspn(at + sizeof mark - 1, "\"") : 0, at ? at + sizeof mark - 1 : "");
}

/* Notes that a question was asked, and copies the word that is due. */
static void next_word(struct faulty *server, const char *question, char *word, size_t size)
{
    struct asked *asked = server->asked;
    while (asked && strcmp(asked->question, question))
        asked = asked->next;
    if (!asked) {
        asked = calloc(1, sizeof *asked);
        snprintf(asked->question, sizeof asked->question, "%s", question);
        asked->next = server->asked;
        server->asked = asked;
    }
    const char *at = question;
    for (int i = 0; i < asked->times && strchr(at, ' '); i++)
        at = strchr(at, ' ') + 1;
    asked->times++;
    snprintf(word, size, "%.*s", (int)strcspn(at, " "), at);
}

/* ---- replies ------------------------------------------------------------------------------------------------------------------- */

static void send_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void reply(int fd, int status, const char *header, const char *body, size_t promised)
{
    char head[300];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Word\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, promised, header);
    send_all(fd, head, (size_t)n);
    send_all(fd, body, strlen(body));
}

static void reply_whole(int fd, int status, const char *header, const char *body)
{
    reply(fd, status, header, body, strlen(body));
}

static void reply_error(int fd, int status, const char *word)
{
    char header[100] = "", body[100];
    const char *colon = strchr(word, ':');
    snprintf(body, sizeof body, "{\"error\":{\"message\":\"as you wish\",\"code\":null}}");
    if (colon && colon[1] == '-') {
        time_t then = time(NULL) + atoi(colon + 2);
        struct tm utc;
        strftime(header, sizeof header, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&then, &utc));
    } else if (colon) {
        snprintf(header, sizeof header, "Retry-After: %s\r\n", colon + 1);
    }
    reply_whole(fd, status, header, body);
}

static void reply_for_ever(const struct faulty *server, int fd, const char *bytes, size_t n, long between_ms, size_t most)
{
    char byte;
    reply(fd, 200, "", "", 1 << 26);
    for (size_t sent = 0; sent < most && !atomic_load(&server->stop) && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0; sent += n) {
        send_all(fd, bytes, n);
        pause_ms(between_ms);
    }
}

static void reply_ok(int fd, const char *question)
{
    char body[MOST_QUESTION + 300];
    snprintf(body, sizeof body, "{\"choices\":[{\"message\":{\"content\":\"heard %s\"},\"finish_reason\":\"stop\"}],"
             "\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":10,\"cached\":{\"tokens\":1}}}", question);
    reply_whole(fd, 200, "", body);
}

static void act(struct faulty *server, int fd, const char *word, const char *question, const char *authorization)
{
    static char block[1 << 16];
    char echo[400];
    if (!strcmp(word, "reset"))
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    else if (!strcmp(word, "stall"))
        while (!atomic_load(&server->stop) && recv(fd, echo, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
            pause_ms(10);
    else if (!strcmp(word, "half"))
        reply(fd, 200, "", "{\"choices\":[{\"mess", 500);
    else if (!strcmp(word, "slow"))
        reply_for_ever(server, fd, "{", 1, 50, 1 << 20);
    else if (!strcmp(word, "huge"))
        reply_for_ever(server, fd, memset(block, ' ', sizeof block), sizeof block, 0, 1 << 26);
    else if (!strcmp(word, "nonsense"))
        reply_whole(fd, 200, "", "<html><body>502 Bad Gateway</body></html>");
    else if (!strcmp(word, "empty"))
        reply_whole(fd, 200, "", "{}");
    else if (!strcmp(word, "null"))
        reply_whole(fd, 200, "", "{\"choices\":[{\"message\":{\"content\":null}}]}");
    else if (!strcmp(word, "quota"))
        reply_whole(fd, 429, "", "{\"error\":{\"message\":\"You exceeded your current quota\",\"code\":\"insufficient_quota\"}}");
    else if (!strcmp(word, "long"))
        reply_whole(fd, 400, "", "{\"message\":\"This model's maximum context length is 4096 tokens\"}");
    else if (!strcmp(word, "echo")) {
        snprintf(echo, sizeof echo, "{\"error\":{\"message\":\"what is %.150s?\"}}", authorization);
        reply_whole(fd, 400, "", echo);
    } else if (*word >= '4' && *word <= '5')
        reply_error(fd, atoi(word), word);
    else if (strcmp(word, "drop"))
        reply_ok(fd, question);
}

/* ---- connections --------------------------------------------------------------------------------------------------------------- */

static bool enter(struct faulty *server, struct request *request, char *word, size_t size, char question[MOST_QUESTION])
{
    pthread_mutex_lock(&server->lock);
    bool room = !server->capacity || server->at_once < server->capacity;
    server->at_once++;
    server->requests++;
    server->most_at_once = server->at_once > server->most_at_once ? server->at_once : server->most_at_once;
    free(server->last_body);
    server->last_body = strdup(request->body);
    find_question(request->body, question);
    if (room)
        next_word(server, question, word, size);
    pthread_mutex_unlock(&server->lock);
    return room;
}

static void answer(struct faulty *server, int fd, struct request *request)
{
    char word[64], question[MOST_QUESTION];
    if (strncmp(request->bytes, "POST /v1/chat/completions ", 26)) {
        reply_whole(fd, 404, "", "{}");
        return;
    }
    bool room = enter(server, request, word, sizeof word, question);
    if (server->capacity)
        pause_ms(SERVICE_MS);
    if (room)
        act(server, fd, word, question, request->authorization);
    else
        reply_error(fd, 503, "503");
    pthread_mutex_lock(&server->lock);
    server->at_once--;
    pthread_mutex_unlock(&server->lock);
}

static void *visit(void *context)
{
    struct visit *visit = context;
    struct faulty *server = visit->server;
    struct request request;
    if (read_request(visit->fd, &request))
        answer(server, visit->fd, &request);
    free(request.bytes);
    close(visit->fd);
    free(visit);
    pthread_mutex_lock(&server->lock);
    server->connections--;
    pthread_cond_signal(&server->quiet);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void *receive(void *context)
{
    struct faulty *server = context;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0;) {
        struct visit *made = malloc(sizeof *made);
        pthread_t thread;
        *made = (struct visit){server, fd};
        pthread_mutex_lock(&server->lock);
        server->connections++;
        pthread_mutex_unlock(&server->lock);
        if (pthread_create(&thread, &detached, visit, made))
            abort();
    }
    pthread_attr_destroy(&detached);
    return NULL;
}

struct faulty *faulty_start(int capacity)
{
    struct faulty *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->capacity = capacity;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (server->listener < 0 || bind(server->listener, (struct sockaddr *)&address, size) || listen(server->listener, 256) ||
        getsockname(server->listener, (struct sockaddr *)&address, &size))
        abort();
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d/v1/", ntohs(address.sin_port));
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->quiet, NULL);
    if (pthread_create(&server->thread, NULL, receive, server))
        abort();
    return server;
}

void faulty_stop(struct faulty *server)
{
    atomic_store(&server->stop, true);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    pthread_mutex_lock(&server->lock);
    while (server->connections)
        pthread_cond_wait(&server->quiet, &server->lock);
    pthread_mutex_unlock(&server->lock);
    for (struct asked *asked = server->asked, *next; asked; asked = next) {
        next = asked->next;
        free(asked);
    }
    free(server->last_body);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *faulty_url(const struct faulty *server)
{
    return server->url;
}

int faulty_requests(struct faulty *server)
{
    pthread_mutex_lock(&server->lock);
    int n = server->requests;
    pthread_mutex_unlock(&server->lock);
    return n;
}

int faulty_most_at_once(struct faulty *server)
{
    pthread_mutex_lock(&server->lock);
    int n = server->most_at_once;
    pthread_mutex_unlock(&server->lock);
    return n;
}

const char *faulty_last_body(struct faulty *server)
{
    return server->last_body;
}
