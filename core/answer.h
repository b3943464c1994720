/* Answer: what a runner said to one sample in one cell, what that cost, and how it was scored. */
#ifndef TOKSWEEP_CORE_ANSWER_H
#define TOKSWEEP_CORE_ANSWER_H

#include "core/digest.h"

#include <stdbool.h>
#include <stdint.h>

enum answer_status {
    ANSWER_OK,
    ANSWER_NO_ANSWER,     /* a reply without a letter */
    ANSWER_AMBIGUOUS,
    ANSWER_DECODE_FAILED, /* the video cannot be decoded */
    ANSWER_MISSING_VIDEO,
    ANSWER_TOO_LONG,      /* prompt longer than the model's context */
    ANSWER_OUT_OF_MEMORY,
    ANSWER_RUNNER_FAILED,
    ANSWER_TIMEOUT,
    ANSWER_STATUSES
};

const char *answer_status_name(enum answer_status status); /* "ok", "no_answer", ... */
bool answer_is_reply(enum answer_status status);           /* something was said; else a failure, which has a message instead */

/* Stages whose time is counted, in the order of the work. */
enum stage { STAGE_OPEN, STAGE_DECODE, STAGE_RESIZE, STAGE_VISION, STAGE_GUIDE, STAGE_COMPRESS, STAGE_PREFILL, STAGE_GENERATE, STAGES };

const char *stage_name(enum stage stage); /* "open", "decode", ... */

/* Cost of one answer. `alone` is what the answer needed, as if run by itself; `paid` is the part that was computed for it and not
 * taken from an earlier answer. So the sum of `paid` over a run is the real work, and their difference is what sharing saved. */
struct cost {
    int32_t frames;           /* shown; -1: nothing is known of the cost */
    int32_t frames_encoded;   /* paid: of these, run through the vision tower for this answer */
    int32_t tokens_before;    /* visual tokens without compression, markers included */
    int32_t tokens_marker_before; /* of these, markers */
    int32_t tokens_visual;    /* content tokens that entered the language model */
    int32_t tokens_marker;    /* row, frame and end markers that entered it */
    int32_t tokens_text;      /* text ids of the prompt */
    int32_t tokens_generated;
    int32_t tokens_prefilled; /* paid: rows run through the language model before generating; through some layers only: in part */
    int32_t tokens_guide;     /* rows that a guide's language model ran through for the frames' budgets; 0 without one */
    int32_t tokens_match;     /* a control's: tokens of the cell that it matches, markers counted; 0 for all others */
    int32_t shared_layers;    /* layers whose part of the visual prefix is the same for all questions on the video */
    double tokens_mean;       /* visual tokens per layer of the language model, markers counted, mean over the layers; 0 if not known */
    double tokens_cached;     /* of these, what the first step of generation sees in the cache */
    double alone_ms[STAGES], paid_ms[STAGES];
    int64_t peak_bytes;       /* planned memory of the video's work; 0 if not known */
    double joules;            /* NaN where the machine does not report them */
};

/* What a server says of an answer, as it says it, and what asking took. Never mixed with what is measured or counted here. */
struct remote {
    int attempts;             /* requests that were sent; 0 in answers of this process */
    double request_ms;        /* of the last of them, from its first byte out to its last byte in; NaN if none was sent */
    const char *finish;       /* finish_reason; NULL if there is none */
    const char *usage;        /* its usage object as canonical JSON; NULL if there is none */
};

/* Which visual token each source token went into, as they enter the language model; for pictures. */
struct answer_groups {
    const char *frames;       /* indices of the frames shown, a JSON array */
    int h, w;                 /* the grid of a frame's source tokens */
    const char *map;          /* a mark for each: plots/group_map.h */
};

struct answer {
    enum answer_status status;
    const char *raw;          /* the reply, stripped; NULL unless status is ok, no_answer or ambiguous */
    const char *message;      /* why, for the other statuses; NULL otherwise */
    int extracted;            /* index of the option chosen, -1 if none */
    bool correct;
    bool empty;               /* nothing was said, reasoning apart where the profile drops it */
    double margin;            /* top logit minus second, at the first generated text id; NaN if not known */
    char tokens_digest[DIGEST_HEX]; /* of the visual tokens (their plan and source frames); "" if not known */
    struct cost cost;
    const struct answer_groups *groups; /* of tokens_digest, to be kept with the answer; NULL: they are not */
    struct remote remote;
};

#endif
