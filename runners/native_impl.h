/* What the parts of the native runner share: one job on its way. native.c opens and ends it, native_guide.c allots budgets to frames,
 * native_tokens.c goes from frames to token plans, native_match.c plans those of controls, native_replies.c goes on to answers,
 * native_show.c shows the tokens on the way. */
#ifndef TOKSWEEP_RUNNERS_NATIVE_IMPL_H
#define TOKSWEEP_RUNNERS_NATIVE_IMPL_H

#include "runners/runner.h"

#include "engine/features.h"
#include "engine/generate.h"

#include <pthread.h>

enum { TEXT_ALLOWANCE = 2048 }; /* rows planned for a question before it is tokenized */

struct native {
    struct model *model, *assistant; /* assistant: NULL unless the sweep names one */
    char isa[16];                    /* table, and on a card what it computes with */
    char device[160];
    pthread_mutex_t lock;            /* of what follows */
    struct err load_failure;         /* why the weights could not be read; code 0: they were, or nobody has asked yet */
};

struct native_worker {
    int threads;
    struct vision_space *space, *assistant_space;
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
    size_t match;            /* tokens of the cell that a control matches; 0 for all others */
    char digest[DIGEST_HEX];
    double compress_ms, owed_compress_ms; /* the features' way to the method counted; owed: to be paid by the first answer on them */
};

struct guide_pass;

struct cell_work {
    size_t match;            /* the job's cell that it matches; SIZE_MAX: none */
    struct err failure;      /* why it could not be prepared; code 0: it was */
    size_t *slots;           /* [n] frame slot of each shown frame */
    struct guide_pass *pass; /* of the guide that allots budgets; NULL: none */
    struct budget *budgets;  /* [n_samples], of questions that are open; NULL without an allocator */
    struct token_set *tokens; /* one, or where they depend on the question [n_samples] */
    bool per_question;
    struct measure *measures; /* n_measures of them, when somebody looks */
    int n_measures;
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
    struct features *features, *assistant_features; /* the latter NULL until a guide asks */
    double *assistant_ms;    /* [n_frames] as frame_ms */
    struct guide_pass *passes;
    struct cell_work *cells;
    bool *open;              /* [n_cells][n_samples] wanted and not yet answered */
    bool *needed;            /* [n_cells][n_samples] tokens are wanted, by this cell's answer or by that of a control */
    double *frame_ms;        /* [n_frames] encode time, 0: not yet encoded */
    struct arena arena;      /* the job's */
    struct arena scratch;    /* reset per cell and per group */
    float *rows;             /* the tensor that the prefix of the group, or of the guide, goes through */
    size_t planned_bytes;
    bool fetched_paid;       /* open, decode and resize have been paid by an answer */
    bool stopped;
};

bool native_must_stop(struct work *work);

/* Room for n rows of a model's width in work->rows, which what was there before makes place for. ERR_MEMORY. */
int native_take_rows(struct work *work, const struct model *model, size_t n, struct err *err);

/* ---- native_guide.c ------------------------------------------------------------------------------------------------------------ */

/* ERR_CONFIG when a cell's allocator lacks its guide, or the guide what it asks for. */
int native_guide_check(const struct native *native, const struct run_cell *run, struct err *err);

/* Bytes of the guides of a job's cells. */
size_t native_guide_bytes(const struct native *native, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads);

/* Runs the guide of a cell with an allocator on all questions that need it, unless a cell before it has had the same. */
int native_guide(struct work *work, size_t c, struct err *err);

/* Why the guide could not read a question: it does not fit its context. NULL: it could. */
const char *native_guide_refusal(const struct work *work, size_t c, size_t s);

/* The budgets of a cell's frames for a question. */
int native_budget(struct work *work, size_t c, size_t s, const struct vid_view *video, struct budget *out, struct err *err);

/* Adds the guide's part to the cost of an answer. */
void native_guide_cost(struct work *work, size_t c, size_t s, struct cost *cost);

/* ---- native_tokens.c ----------------------------------------------------------------------------------------------------------- */

/* What encodes frames, the model's own or the assistant's. */
struct encoder { const struct model *model; struct features *features; struct vision_space *space; };

/* Encodes the frames in these slots whose ms is 0, several at a time, and notes there how long each took; adds what that came to. Stops
 * between passes when the job must. */
int native_encode(struct work *work, const struct encoder *by, const size_t *slots, size_t n, double *ms, double *paid_ms, size_t *paid_frames,
                  struct err *err);

/* What the frames in these slots took, each counted once, and how many they are. */
double native_encode_ms(const size_t *slots, size_t n, const double *ms, size_t *distinct);

/* The method that chooses a cell's tokens: all of them where it names none. */
const struct method *native_token_method(const struct run_cell *run);

int native_grids(struct grid_set *out, const struct model *model, const struct job_cell *cells, size_t n_cells, struct arena *arena,
                 struct err *err);

/* Visual tokens of a cell without compression. */
void native_uncompressed(const struct model_shape *shape, const struct feature_grid *grid, const struct job_cell *cell, size_t *content,
                         size_t *markers);

/* Plans a cell's tokens with these values of its method, and a budget or NULL. */
int native_plan_tokens(struct work *work, size_t c, const struct vid_view *view, const double *values, const struct budget *budget,
                       struct token_set *set, struct err *err);

/* Encodes the frames of a cell that no cell before it has shown, allots budgets and plans its tokens. All cells have their times. */
int native_prepare(struct work *work, size_t c, struct err *err);

/* The tokens on which a cell answers a question. */
struct token_set *native_tokens(const struct work *work, size_t c, size_t s);

/* ---- native_match.c ------------------------------------------------------------------------------------------------------------ */

/* Whether a control pays for what is computed of the cell that it matches: that one gives no answers in this job. false for others. */
bool native_pays_for_match(const struct work *work, size_t c);

/* Prepares a control: whether its tokens depend on the question, which questions have none, and the debts of the cell that it matches if
 * it pays for that one. The cell that it matches has been prepared. */
int native_meet_match(struct work *work, size_t c, struct err *err);

/* Plans a control's tokens for a question. */
int native_plan_control(struct work *work, size_t c, size_t s, const struct vid_view *view, struct token_set *set, struct err *err);

/* ---- native_replies.c, native_show.c -------------------------------------------------------------------------------------------- */

/* Answers a question with a failure; and everything of a cell that is still open. */
void native_fail(struct work *work, size_t c, size_t s, enum answer_status status, const char *message);
void native_fail_cell(struct work *work, size_t c, const struct err *why);

/* Answers with the token counts alone. */
void native_give_plan(struct work *work, size_t c);

/* Shows the tokens on which a cell answers a question to the job's viewer, if it has one. `hooks` has put the question, or is NULL.
 * ERR_MEMORY; what the viewer says stops the job. */
int native_show(struct work *work, size_t c, size_t s, struct hooks *hooks, struct err *err);

/* Answers all that is open. */
int native_answer(struct work *work, struct err *err);

#endif
