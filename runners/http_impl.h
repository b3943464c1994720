/* What the parts of the http runner share. http.c opens and ends it, http_settings.c reads its keys, http_request.c makes the bodies of
 * requests, http_client.c sends them through libcurl, http_gate.c says how many may be under way, http_reply.c reads what comes back. */
#ifndef TOKSWEEP_RUNNERS_HTTP_IMPL_H
#define TOKSWEEP_RUNNERS_HTTP_IMPL_H

#include "runners/runner.h"

#include "core/text.h"

#include <pthread.h>
#include <stdint.h>

enum { HTTP_MOST_REPLY = 4 << 20 }; /* bytes of a reply's body that are read: a chat completion has a few thousand */

/* ---- settings ------------------------------------------------------------------------------------------------------------------ */

struct http_settings { /* strings and JSON belong to the sweep or to `arena` */
    const char *base_url;      /* without a slash at its end: "http://127.0.0.1:8000/v1" */
    const char *server;        /* what stands for it in the identity of cells; NULL: base_url does */
    const char *model;
    char *key;                 /* from the environment; NULL: none. Nowhere else but in requests */
    const char *system;        /* system line where the benchmark has none of its own; NULL: the server's */
    double temperature, top_p; /* NaN: not sent */
    int64_t seed;              /* negative: not sent */
    const char *length_key;    /* by which a request limits its reply: "max_tokens", "max_completion_tokens" */
    int jpeg_quantiser;        /* of the frames' files; 0: PNG */
    int longest_side;          /* to which larger frames are made smaller, in pixels; 0: never */
    const char *video_url;     /* of a video instead of its frames, with {path} and {name} for the video's; NULL: frames */
    const struct json *body;   /* members added to each request; NULL: none */
    double timeout_s;          /* of a request */
    int retries;               /* requests for an answer beyond the first */
    double backoff_s;          /* about how long before the first of them; doubles with each */
    int concurrency;           /* most requests under way */
    int64_t most_requests, most_tokens; /* of this run, tokens as the server counts them; 0: no bound */
    struct arena arena;
};

/* Reads the runner's keys and the environment. ERR_CONFIG. */
int http_settings_read(struct http_settings *out, const struct runner_options *options, struct err *err);
void http_settings_free(struct http_settings *settings);

/* The identity of what answers: all settings that can change a reply, and `server`, what is known of the other side. */
int http_settings_digest(const struct http_settings *settings, const char *server, char digest[DIGEST_HEX], struct err *err);

/* Refuses members of a body that the runner writes itself, and keys, which have no place in a sweep file. */
int http_body_check(const struct json *body, const char *where, struct err *err);

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

/* A body in pieces, so that the frames of a video are in memory once, however many requests show them. */
struct http_piece { const char *bytes; size_t n; };

struct http_body {
    struct http_piece *pieces;
    size_t n_pieces, length;
};

struct http_pictures { /* of a job */
    struct http_piece *parts; /* [n_frames] of the job: members of a content array; empty until a cell shows the frame */
};

/* Whether the other side is `toksweep serve`, which takes compressors by name. */
int http_body_make(struct http_body *out, const struct http_settings *settings, bool toksweep, const struct job *job, size_t cell, size_t sample,
                   struct http_pictures *pictures, struct arena *arena, struct err *err);

/* ---- replies ------------------------------------------------------------------------------------------------------------------- */

enum http_verdict {
    HTTP_ANSWER,
    HTTP_AGAIN,    /* may go better next time */
    HTTP_STRAINED, /* so, and the server has too much to do */
    HTTP_FAILED,   /* this answer will not come */
    HTTP_REFUSED,  /* nor will any other: the key, or the account */
};

struct http_reply { /* text in the arena that it was read into */
    enum http_verdict verdict;
    enum answer_status status; /* if this is the last word */
    const char *text;          /* of an answer */
    const char *finish, *usage; /* NULL if there is none */
    int64_t tokens;            /* prompt and reply, as the server counts; 0 if it does not say */
    const char *message;       /* of all others: what the server said, in short */
};

/* Reads the body of a reply with this status. ERR_MEMORY. */
int http_reply_read(struct http_reply *out, long status, const char *body, size_t n, struct arena *arena, struct err *err);

/* Seconds to wait by a Retry-After header (RFC 9110, 10.2.3: seconds or a date, `now` being seconds since 1970); NaN when it says nothing. */
double http_retry_after(const char *value, double now);

/* ---- how many at once ---------------------------------------------------------------------------------------------------------- */

/* How many requests may be under way, over all workers: one more for each round of answers, half as many after a server's complaint
 * (additive increase, multiplicative decrease: Chiu and Jain, Computer Networks and ISDN Systems 17, 1989); none while the server asks to
 * wait; and never more in all than the run's bounds. Times are of now_s(). */
struct http_gate {
    pthread_mutex_t lock;
    int most, in_flight;
    double limit;              /* 1..most */
    double paused_until, cut_at;
    int64_t most_requests, most_tokens, requests, tokens, largest;
};

enum http_pass { HTTP_GO, HTTP_WAIT, HTTP_SPENT };

void http_gate_open(struct http_gate *gate, const struct http_settings *settings);
void http_gate_close(struct http_gate *gate);

/* HTTP_GO takes a place, which http_gate_leave gives back. */
enum http_pass http_gate_enter(struct http_gate *gate, double now);

/* `started` is when the request was sent, `tokens` what it cost; a strained server is left alone for pause_s. A request that was given up
 * is HTTP_FAILED. */
void http_gate_leave(struct http_gate *gate, enum http_verdict verdict, double started, double now, int64_t tokens, double pause_s);

/* ---- the client ---------------------------------------------------------------------------------------------------------------- */

struct http {
    struct http_settings settings;
    struct http_gate gate;
    bool toksweep;             /* the other side is `toksweep serve` */
    char digest[DIGEST_HEX];
    char device[160];
    uint64_t jitter;           /* seeds the waits, so that processes do not knock in step */
    struct arena arena;        /* facts */
};

/* GET base_url/models: *status and the body, malloc'ed and NUL-terminated. ERR_REMOTE when no reply comes. */
int http_get_models(const struct http *http, long *status, char **body, size_t *n, struct err *err);

/* Connections of one thread, kept from job to job: a CURLM. NULL when memory is out. */
void *http_connections_new(void);
void http_connections_free(void *connections);

/* Asks for every wanted answer of a job, with retries, and gives each to the sink once. ERR_REMOTE when the run has to end: the server
 * refuses the key, or a bound is reached. */
int http_ask(struct http *http, void *connections, const struct job *job, answer_sink *sink, void *context, struct err *err);

#endif
