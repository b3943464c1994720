/* The server: a model behind OpenAI's chat completions, over libmicrohttpd.
 *
 *   GET  /health                 200 while it runs; without a token
 *   GET  /v1/models              the model; also /v1/models/<name>
 *   POST /v1/chat/completions    chat.h
 *
 * One thread moves bytes, `jobs` threads compute. A request's body is held until its turn comes; what is held is bounded in number and in
 * bytes, and more is answered with 503 and Retry-After. A client that goes away frees its place at once when it waits, and between two
 * frames or questions when it is being answered. */
#ifndef TOKSWEEP_HARNESS_SERVE_H
#define TOKSWEEP_HARNESS_SERVE_H

#include "harness/chat.h"

#include <stdatomic.h>

struct serve_options {
    const char *host;         /* numeric address, or "localhost" */
    int port;                 /* 0: any that is free */
    const char *token;        /* bearer token that requests have to give; NULL: none */
    int jobs, threads;        /* requests computed at once, and threads of each */
    size_t most_held;         /* requests waiting or being computed */
    size_t most_body;         /* bytes of one body */
    size_t most_bytes;        /* of all bodies held */
    int idle_s;               /* after which a silent connection is closed */
    const atomic_bool *stop;
    void (*listening)(const char *url, void *context); /* called once it is: "http://127.0.0.1:8000/v1" */
    void *context;
};

/* Serves until *stop: then no request is taken any more, those being computed are answered, those waiting get 503. ERR_CONFIG when the
 * address is none or needs a token, ERR_IO when it is taken. */
int serve(const struct runner *runner, void *self, const struct chat_model *model, const struct serve_options *options, struct err *err);

#endif
