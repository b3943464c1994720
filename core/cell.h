/* Cell: one fully resolved point of a sweep. Its digest covers everything that can change its numbers, and nothing else. */
#ifndef TOKSWEEP_CORE_CELL_H
#define TOKSWEEP_CORE_CELL_H

#include "core/digest.h"
#include "core/profile.h"

#include <stdbool.h>

struct cell { /* strings belong to the sweep */
    /* axes */
    const char *model;         /* as the sweep names it: a folder or a Hub id; not part of the identity, the digest is */
    const char *benchmark;
    const char *profile;
    int frames;                /* most frames shown */
    enum frame_rule sampling;
    const char *compressor;
    const char *params;        /* its resolved options as canonical JSON, defaults included */
    const char *label;         /* short text for tables: "dyntok threshold=0.6" */
    const char *pooling;       /* grid the tower's patches are pooled to: "bilinear", "average", "max", "none";
                                * with "_before_projector" pooled first, projected after */
    int image_size;            /* side of the square a frame is resized to */
    const char *newline;       /* marker layout without compression: "grid", "frame", "one_token", "no_token" */
    const char *conversation;  /* template round the question: "qwen_1_5", "qwen_2_5" */
    const char *prompt_form;   /* "default", "llava_vid" */
    bool time_instruction;
    double repetition_penalty;
    int max_new_tokens;
    const char *dtype;
    const char *body;          /* what the sweep adds to each request to a server, canonical JSON; NULL: nothing */

    /* what was found when the sweep was resolved */
    const char *runner;           /* "native", "http", "mock" */
    const char *isa;              /* name of the kernel table */
    const char *model_digest;     /* config, tokenizer and tensor bytes */
    const char *assistant_digest; /* the same of the checkpoint that guides its allocator; NULL: none does */
    const char *match_digest;     /* of the cell whose number of tokens it makes; NULL: none */
    const char *manifest_digest;
    const char *build_digest;     /* sources that can change a number; DESIGN 7 */

    char digest[DIGEST_HEX];
};

/* Fills cell->digest from the other members (all but model and label). */
void cell_identify(struct cell *cell);

#endif
