/* Sample logs: what lmms-eval leaves with --log_samples, in the shapes of its releases.
 *
 *   since 0.3   <stamp>_samples_<task>.jsonl, 0.2.x also samples_<task>_<stamp>.jsonl: a line of JSON per question
 *   until 0.2   <task>.json: {"args", "model_configs", "logs": [a question, ...], "time"}
 *
 * A question's entry holds "doc_id" (row of the task's data set), "target", "filtered_resps" (a text, or a list of one), "resps" (the same
 * before reasoning was taken out; a list of lists in older releases, absent where it says nothing new), the task's metric under its name,
 * and the prompt as "input" or first of "arguments". Lines come in any order. Files are strangers': every shape but these is ERR_DATA,
 * naming file, line and member. */
#ifndef TOKSWEEP_RESULTS_SAMPLE_LOG_H
#define TOKSWEEP_RESULTS_SAMPLE_LOG_H

#include "core/arena.h"
#include "core/digest.h"
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

struct logged { /* one question's entry */
    size_t place;             /* its line in the file, or its number in the list, from 1 */
    int64_t doc_id;           /* 0 or more */
    const char *reply;        /* what the model said, before anything was taken out of it, as it is in the log */
    const char *target;       /* NULL where the log does not tell, as all below; numbers as text */
    const char *asked;        /* what the metric names of the question: an id, a video, or its text */
    int right;                /* 1 or 0 as the log scored it; -1 where it does not tell */
    const char *input;        /* the prompt */
    const char *record;       /* JSON object: members that an export gives back, as the log has them: of "filtered_resps" and "resps" the
                               * text, "token_counts", "doc_hash" and "input_media" whole */
};

struct sample_log {
    const char *path;
    const char *unit;         /* what a place is: "line" or "entry" */
    const char *task;         /* lmms-eval's name, by the file's name or its configuration; "" where neither tells */
    char digest[DIGEST_HEX];  /* of the file's bytes */
    struct logged *entries;   /* in the file's order */
    size_t n_entries;         /* 1 or more */
    struct arena arena;       /* owns all texts */
};

/* Reads a log: ERR_DATA, ERR_IO, ERR_MEMORY. On failure there is nothing to free. */
int sample_log_load(struct sample_log *out, const char *path, struct err *err);

/* The same of bytes in memory, followed by a NUL; `path` says where they are from. */
int sample_log_parse(struct sample_log *out, const char *bytes, size_t length, const char *path, struct err *err);
void sample_log_free(struct sample_log *log);

#endif
