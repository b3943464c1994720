/* What the parts of the native runner share: one job on its way. native.c opens and ends it, native_tokens.c goes from frames to token
 * plans, native_replies.c from token plans to answers. */
#ifndef TOKSWEEP_RUNNERS_NATIVE_IMPL_H
#define TOKSWEEP_RUNNERS_NATIVE_IMPL_H

#include "runners/runner.h"

#include "engine/features.h"
#include "engine/generate.h"

struct native {
    struct model *model;
    char device[160];
};

struct native_worker {
    int threads;
    struct vision_space *space;
};

/* The grids of features that the cells of a job need. */
struct grid_set {
    struct feature_grid *grids;
    size_t n;
    size_t *of_cell; /* [n_cells] */
};

/* Visual tokens. */
struct token_set {
    struct tok_plan plan;    /* laid out */
    size_t content, markers;
    char digest[DIGEST_HEX];
    double compress_ms, owed_compress_ms; /* owed: to be paid by the first answer on them */
};

struct cell_work {
    size_t *slots;           /* [n] frame slot of each shown frame */
    struct token_set *tokens;
    size_t content_before, markers_before;
    const char *time;        /* time instruction or NULL */
    double vision_ms;        /* alone */
    size_t frames_distinct;
    double owed_vision_ms;   /* owed: to be paid by the cell's first answer */
    size_t owed_frames;
};

struct work {
    struct native *native;
    struct native_worker *worker;
    const struct job *job;
    answer_sink *sink;
    void *context;
    struct grid_set grids;
    struct features *features;
    struct cell_work *cells;
    bool *open;              /* [n_cells][n_samples] wanted and not yet answered */
    double *frame_ms;        /* [n_frames] encode time, 0: not yet encoded */
    struct arena arena;      /* the job's */
    struct arena scratch;    /* reset per cell and per group */
    size_t planned_bytes;
    bool fetched_paid;       /* open, decode and resize have been paid by an answer */
    bool stopped;
};

double native_now_ms(void);
bool native_must_stop(struct work *work);

/* ---- native_tokens.c ----------------------------------------------------------------------------------------------------------- */

/* The method that chooses a cell's tokens: all of them where it names none. */
const struct method *native_token_method(const struct run_cell *run);

int native_grids(struct grid_set *out, const struct model *model, const struct job_cell *cells, size_t n_cells, struct arena *arena,
                 struct err *err);

/* Visual tokens of a cell without compression. */
void native_uncompressed(const struct model_shape *shape, const struct feature_grid *grid, const struct job_cell *cell, size_t *content,
                         size_t *markers);

/* Encodes the frames of a cell that no cell before it has shown, plans its tokens and makes its time instruction. */
int native_prepare(struct work *work, size_t c, struct err *err);

/* The tokens on which a cell answers a question. */
struct token_set *native_tokens(const struct work *work, size_t c, size_t s);

/* ---- native_replies.c ---------------------------------------------------------------------------------------------------------- */

/* Answers everything of a cell that is still open with a failure. */
void native_fail_cell(struct work *work, size_t c, const struct err *why);

/* Answers with the token counts alone. */
void native_give_plan(struct work *work, size_t c);

/* Answers all that is open. */
int native_answer(struct work *work, struct err *err);

#endif
