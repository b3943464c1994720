/* Store: one SQLite file with every answer of every run, safe against kill -9, full disks and a second process.
 *
 * Schema and views are in schema.sql and views.sql beside this header (embedded at build time); `PRAGMA user_version` numbers
 * them. WAL, foreign keys on, one transaction per answer. All functions are called by one thread: the writer during a run.
 * ERR_IO carries SQLite's own words and the path; a store of a newer version, or a file that is no store, is ERR_DATA. After an
 * ERR_IO from a full disk the store stays openable and holds every answer committed before. */
#ifndef TOKSWEEP_RESULTS_STORE_H
#define TOKSWEEP_RESULTS_STORE_H

#include "core/answer.h"
#include "core/cell.h"
#include "core/err.h"
#include "core/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* WRITE creates the file and brings an older one to this version; READ leaves it as it is, and reads an older one through a copy. */
enum store_mode { STORE_READ, STORE_WRITE };

int store_open(struct store **out, const char *path, enum store_mode mode, struct err *err);
void store_close(struct store *store); /* NULL is fine */

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

/* Makes one transaction of all writes until store_end_batch: with `rc` 0 it keeps them, else none of them, and returns `rc`. After a
 * write that failed nothing but the end may follow, with that failure. Not for runs: others are to see claims and answers at once. */
int store_begin_batch(struct store *store, struct err *err);
int store_end_batch(struct store *store, int rc, struct err *err);

struct run_facts {
    const char *command;       /* argv joined */
    const char *sweep_name;
    const char *config;        /* resolved, canonical JSON */
    const char *revision;      /* of the source tree, "" if not known */
    const char *build_digest;
    const char *libraries;     /* JSON object: name -> version */
    const char *host, *device; /* "cpu: <model name>, 2 threads" */
};

/* Starts a run; *run is its number. Its start is now; its end stays NULL until store_end_run. */
int store_begin_run(struct store *store, const struct run_facts *facts, int64_t *run, struct err *err);
int store_end_run(struct store *store, int64_t run, const char *outcome, struct err *err); /* "done", "stopped", "failed" */

/* Writes what is not there yet of a benchmark's manifest (benchmark, videos, samples). */
int store_put_manifest(struct store *store, const struct manifest *manifest, struct err *err);

/* Whether the store has all of a manifest's samples already. */
int store_has_manifest(struct store *store, const struct manifest *manifest, bool *has, struct err *err);

/* Writes the cell if it is not there; *id is its row. `protocol` gives how its headline number is made. */
int store_put_cell(struct store *store, const struct cell *cell, const struct protocol *protocol, int64_t *id, struct err *err);

/* The one build whose cells the store holds and whose digest begins with `beginning`. ERR_CONFIG when there is none, or more than one:
 * names those there are. */
int store_find_build(struct store *store, const char *beginning, char digest[DIGEST_HEX], struct err *err);

/* For each sample of `manifest`: done[i] = the cell has an answer for it. With `retry_failed`, answers whose status is not ok,
 * no_answer or ambiguous do not count. */
int store_answered(struct store *store, int64_t cell, const struct manifest *manifest, bool retry_failed, bool *done, struct err *err);

/* Whether the store holds an answer of the cell for one sample, by the same rule: another process may have given it meanwhile. */
int store_has_answer(struct store *store, int64_t cell, const struct manifest *manifest, size_t sample, bool retry_failed, bool *has,
                     struct err *err);

/* A number that is another one after another process has written to the store. */
int store_version(struct store *store, int64_t *version, struct err *err);

/* Takes the work (cell, video) for this run, so that a second process leaves it alone. *taken is false when another live process
 * holds it. A claim dies with its process (same host: the process is gone; other host: not renewed for 10 minutes) and with its run
 * (store_end_run). Another process may have finished the work before it was claimed: ask store_answered again once it is taken. */
int store_claim(struct store *store, int64_t run, int64_t cell, const char *benchmark, const char *video_id, bool *taken,
                struct err *err);
int store_release(struct store *store, int64_t run, int64_t cell, const char *benchmark, const char *video_id, struct err *err);
int store_renew_claims(struct store *store, int64_t run, struct err *err); /* call about once a minute */

/* Commits one answer (with its cost, if that is known); replaces an earlier answer of the same cell and sample only if that one failed. */
int store_put_answer(struct store *store, int64_t run, int64_t cell, const struct manifest *manifest, size_t sample,
                     const struct answer *answer, struct err *err);

/* Token groups that were kept (answer.groups), by an answer's tokens_digest. Texts in `arena`. */
int store_get_groups(struct store *store, const char *digest, struct arena *arena, struct answer_groups *out, bool *found, struct err *err);

/* Keeps what an imported log says beyond the reply to a sample that store_put_answer has written: canonical JSON. */
int store_put_record(struct store *store, int64_t cell, const struct manifest *manifest, size_t sample, const char *record,
                     struct err *err);

/* What a reply is worth under a profile that is not its cell's. counted: in the headline's denominator. */
struct rescored { int64_t answer; enum answer_status status; int extracted; bool correct, counted; };

/* Keeps the scores of a cell's replies under another profile, in the place of those it may have under it; answers stay as they are.
 * `build_digest` is of the program that scored. */
int store_put_rescoring(struct store *store, int64_t cell, const char *profile, const struct protocol *protocol, const char *build_digest,
                        const struct rescored *scores, size_t n_scores, struct err *err);

/* Thresholds that target_ratio was resolved to: key is a digest of what the search depended on. */
struct calibration { double target_ratio, threshold, achieved_ratio; int n_videos; };
int store_put_calibration(struct store *store, const char *key, const struct calibration *calibration, struct err *err);
int store_get_calibration(struct store *store, const char *key, struct calibration *out, bool *found, struct err *err);

/* Takes in what another store has and this one lacks: models, manifests, runs, cells, answers with what belongs to them, calibrations;
 * claims stay behind. All or nothing. A reply takes the place of a failure; of two replies to one question in one cell, which should be
 * equal, this store's stays. ERR_CONFIG when `path` is this store, and what store_open() says of one that cannot be read. Not within a
 * batch. */
struct merge_counts {
    int64_t cells, answers; /* new to this store */
    int64_t replaced;       /* of the answers: in the place of failures */
    int64_t differing;      /* replies that are not equal; none was taken */
};
int store_merge(struct store *store, const char *path, struct merge_counts *out, struct err *err);

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* One row of view cell_accuracy. Strings are valid during the callback. Ratios are 0..1, accuracies 0..1, NaN when n is 0. Means, ratios
 * and times are over the answers that are not failures. */
struct cell_row {
    int64_t id;
    const char *digest, *model, *benchmark, *profile, *compressor, *params, *label, *dtype, *sampling;
    const char *variant;      /* params without threshold and target_ratio */
    const char *pooling, *newline, *conversation, *prompt_form, *runner, *isa, *build_digest;
    int frames, image_size;
    bool macro;               /* accuracy is a mean over task types */
    int macro_types;          /* over so many at least, those without an answer as 0 */
    bool guesses;             /* the protocol's program draws a letter where it finds none */
    double threshold;         /* the parameter of that name, NaN if there is none */
    int64_t n_samples;        /* of the manifest */
    int64_t n_answered, n_ok, n_correct, n_failed; /* answered: rows; ok: status ok; failed: neither ok, no_answer nor ambiguous */
    double accuracy;          /* headline by the cell's protocol: micro or macro, over answers that are not failures (and, with
                               * drop_empty, not empty) */
    double accuracy_se;       /* standard error of accuracy, videos as clusters; NaN with fewer than two: for share_interval() */
    int64_t n_videos;         /* that have an answer in the headline */
    double accuracy_micro;    /* correct / (answered - failed) */
    double accuracy_macro;    /* mean over task types, with the headline's denominators; NaN if there are none */
    double accuracy_expected; /* headline if letters were drawn, on average; NaN unless `guesses` */
    int64_t headline_n, headline_correct; /* what a micro headline is made of */
    int64_t n_no_answer;      /* replies without a letter */
    double wilson_low, wilson_high; /* 95 % of accuracy_micro, questions taken as independent */
    double tokens_before, tokens_visual, tokens_marker, tokens_text, tokens_generated; /* means per answer */
    double tokens_mean;       /* visual tokens and markers per layer of the language model, mean over its layers */
    double tokens_cached;     /* of these, what the first step of generation sees in the cache */
    double tokens_guide;      /* rows that a guide's language model ran through for the frames' budgets; 0 without one */
    double tokens_match;      /* a control's: tokens of the cell that it matches, markers counted; NaN for others */
    double match_off;         /* sum of distances to them, question by question, over their sum; NaN for others */
    double ratio;             /* (visual + marker) / before: the papers' number, summed over answers */
    double ratio_mean;        /* tokens_mean / before: the same, unless something acts between the layers */
    double ratio_content;     /* visual / (before - markers before); NaN when the marker layout does not tell the markers before */
    double alone_ms[STAGES], paid_ms[STAGES]; /* means per answer */
};

/* Calls `each` per cell in the order benchmark, model, frames, first seen; `each` returns nonzero to stop. `where` selects by
 * label, params or columns: an SQL condition over view cell_accuracy, or NULL (trusted: from our own code or the user's command line,
 * the connection being read-only). */
int store_each_cell(struct store *store, const char *where, int (*each)(const struct cell_row *row, void *context), void *context,
                    struct err *err);

/* One row of view group_accuracy: a cell's accuracy on the samples of one group. Order: that of the cells, then of the manifest. */
struct group_row {
    int64_t cell;
    const char *benchmark, *label, *kind, *name;
    int frames;
    int64_t n, n_correct; /* n: the headline's denominator */
    double accuracy, accuracy_se, wilson_low, wilson_high; /* as in cell_row */
    int64_t n_videos;
};

/* Those of one kind ("task_type", "duration", "domain", "sub_category", or a kind of tag); `where` is a condition over view cell_accuracy. */
int store_each_group(struct store *store, const char *kind, const char *where, int (*each)(const struct group_row *row, void *context),
                     void *context, struct err *err);

/* One row of view cell_history: a revision of a point of a sweep, "point" being what a sweep file says of a cell. Order: points, each
 * from its oldest revision to its latest. */
struct history_row {
    int64_t cell;
    const char *point, *digest, *benchmark, *model, *label;
    const char *revision;                                     /* of the source tree; "" if not known */
    const char *build_digest, *model_digest, *manifest_digest;
    const char *started_at, *device;                          /* "" when its answers come from several machines */
    int frames;
    int64_t n_samples, n_answered, n_failed, n_correct, headline_n, n_videos;
    double accuracy, accuracy_se, ratio;                      /* as of a cell_row */
};

/* As store_each_cell, of cells that have answers. */
int store_each_history(struct store *store, const char *where, int (*each)(const struct history_row *row, void *context), void *context,
                       struct err *err);

/* A reply of a cell, as statistics need it; failures are left out. Order: that of the manifest. */
struct scored_row {
    int64_t sample, video;    /* rows of the store: the same in all cells of one manifest */
    const char *task_type;    /* "" for none */
    bool counted, correct;    /* counted: in the headline's denominator */
    double tokens, tokens_before; /* visual tokens and markers that entered the model, and those without compression; NaN if not known */
};
int store_each_scored(struct store *store, int64_t cell, int (*each)(const struct scored_row *row, void *context), void *context,
                      struct err *err);

/* A reply of a cell without a letter. Order: that of the manifest. */
struct unread_row {
    int n_options, answer; /* the right option, -1 if the manifest does not tell */
    const char *task_type, *duration, *domain, *sub_category; /* "" for none */
};
int store_each_unread(struct store *store, int64_t cell, int (*each)(const struct unread_row *row, void *context), void *context,
                      struct err *err);

/* The cell of that label, or LABEL@FRAMES, or whose digest begins so (with four digits at least); with `name` NULL the only one there is.
 * ERR_CONFIG when there is none, or more than one: names those there are. */
int store_find_cell(struct store *store, const char *name, int64_t *id, struct err *err);

/* Whether `name` may mean a cell, by the same rule. */
bool store_is_called(const char *name, const char *label, int frames, const char *digest);

/* A cell with all it was asked and answered, for exports and for scoring again. Owns its texts. */
struct stored_answer {
    int64_t id;               /* 0: the sample has none */
    struct answer answer;     /* raw and message NULL where they are; cost.frames -1 where no cost is known, and times NaN */
    bool counted;             /* in the headline's denominator */
    const char *record;       /* of store_put_record; NULL if it has none */
};
struct stored_cell {
    int64_t id;
    const char *digest, *model, *label, *profile, *prompt_form, *compressor, *params, *sampling, *dtype, *runner, *conversation;
    int frames, max_new_tokens;
    const char *started_at, *ended_at; /* of its first and its last answer; "" without any */
    struct manifest manifest;        /* as it was read last */
    struct stored_answer *answers;   /* [manifest.n_samples] */
    size_t n_answers;
};
int store_load_cell(struct stored_cell *out, struct store *store, int64_t id, struct err *err);
void stored_cell_free(struct stored_cell *cell);

/* How many answers of each status the store holds, all cells. */
int store_statuses(struct store *store, int64_t count[ANSWER_STATUSES], struct err *err);

#endif
