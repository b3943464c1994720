/* Chat completions, as a server reads and writes them: OpenAI's requests with pictures to one cell and one question, answers back to
 * OpenAI's replies. Text in, text out; serve.c does the talking. */
#ifndef TOKSWEEP_HARNESS_CHAT_H
#define TOKSWEEP_HARNESS_CHAT_H

#include "runners/runner.h"

struct chat_model { /* what answers */
    const char *name;           /* that requests have to give */
    const char *dtype, *build;  /* for the list of models */
    struct runner_facts facts;
    size_t most_frames;
    int64_t started;            /* seconds since 1970 */
};

struct chat { /* one request: a job of one cell and one question */
    struct run_cell run;
    struct job_cell cell;
    struct sample sample;
    struct job_sample asked;
    struct video_ref video;
    bool wanted;
    struct job job;
    bool stream, stream_usage;
    struct arena arena;
};

/* Reads a body. The job borrows from `out`, which may not move and is the caller's to free, whatever is returned. *status is the HTTP
 * status of an error: 400 what is asked makes no sense or cannot be done here, 404 another model, 413 too many frames, 500 out of memory. */
int chat_read(struct chat *out, const struct chat_model *model, const char *body, size_t n, int *status, struct err *err);
void chat_free(struct chat *chat);

/* Bodies of replies, malloc'ed; NULL when memory is out. chat_write gives the events of a stream if the request wanted one. `id` is the
 * number of the request, `now` seconds since 1970. */
char *chat_write(const struct chat *chat, const struct chat_model *model, const struct answer *answer, uint64_t id, int64_t now);
char *chat_write_error(int status, const char *code, const char *message); /* code NULL: none */
char *chat_write_models(const struct chat_model *model, bool alone);       /* alone: the model instead of a list of one */

#endif
