/* Compressors: pure functions from features to a token plan (compressors.md 9).
 *
 * A compressor is one file and one line in the table (table.c). It owns no memory, starts no threads and reads nothing but its
 * arguments, so equal arguments give equal plans on any machine with the same arithmetic.
 *
 * The stages a compressor may take part in, each NULL where it does not:
 *   allocate  how many tokens each frame may keep                      (before the language model; may see the question)
 *   tokens    which tokens there are: a token plan                     (before the language model)
 *   layer     dropping or merging between layers of the language model (in prefill)
 *   decode    which cached positions a generation step may see
 * The engine lays a plan out (core/tokens.h), applies it to the features and calls the hooks at fixed points. */
#ifndef TOKSWEEP_COMPRESSORS_COMPRESSOR_H
#define TOKSWEEP_COMPRESSORS_COMPRESSOR_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- options ------------------------------------------------------------------------------------------------------------- */

enum option_type { OPTION_REAL, OPTION_INT, OPTION_CHOICE, OPTION_FLAG };

/* One option of a compressor. A resolved value is a double: the number, the choice's index, 0 or 1; NaN where it may be unset. */
struct option {
    const char *name;
    enum option_type type;
    double otherwise;            /* default; NaN: unset */
    double least, most;          /* numbers: inclusive range */
    const char *const *choices;  /* NULL-terminated */
    const char *help;            /* one line with unit and source */
};

enum { COMPRESSOR_MOST_OPTIONS = 16 };

/* ---- hooks inside the language model ------------------------------------------------------------------------------------- */

enum layer_point { POINT_PRE, POINT_MID }; /* before a layer's attention; between its attention and its MLP */
enum layer_rows { ROWS_NONE, ROWS_LAST, ROWS_QUESTION, ROWS_MEAN_VISUAL };

/* What a layer hook asks to be computed beside the plain path. */
struct layer_want {
    enum layer_point point;
    bool hidden, keys_before_rope, keys_after_rope;
    enum layer_rows rows;       /* attention rows of these queries ... */
    bool rows_visual_only;      /* ... softmax over visual keys only, else over all keys */
};

/* What it gets: the current visual tokens, n of them, in order. */
struct layer_view {
    size_t n;
    int d, key_dim, n_rows, heads;
    const float *hidden;        /* [n][d] */
    const float *keys;          /* [n][key_dim] */
    const float *rows;          /* [n_rows][heads][n] */
    const uint32_t *size;       /* [n] sources merged into each */
};

struct layer_plan {
    struct tok_plan merge;      /* over current visual tokens */
    bool prune_past_kv;         /* also hide dropped tokens in the layers before */
};

struct kv_mask { uint8_t *visible; size_t n; }; /* per visual position */

/* ---- the interface ------------------------------------------------------------------------------------------------------- */

enum compressor_needs { NEED_X_POOLED = 1, NEED_X_RAW = 2, NEED_H_POOLED = 4, NEED_H_RAW = 8, NEED_X_POST_NORM = 16 };

enum compressor_flags {
    QDEP_BUDGET = 1, QDEP_TOKENS = 2, QDEP_LAYER = 4, QDEP_DECODE = 8, /* where it looks at the question */
    LOGSIZE_BIAS = 16,   /* attention adds log(size) to logits of merged keys */
    EXACT_BUDGET = 32,   /* honours per-frame budgets exactly */
    HAS_TARGET = 64,     /* has options `threshold` and `target_ratio`: the harness calibrates one from the other */
};

struct compressor {
    const char *name, *summary, *source; /* source: paper section or upstream path */
    const struct option *options;
    int n_options;
    unsigned flags;

    /* Which views `tokens` reads, and the domain whose features its plan refers to, for these values. */
    unsigned (*needs)(const double *values);
    enum src_dom (*domain)(const double *values);

    /* ERR_CONFIG for values that only together make no sense; NULL when every combination does. */
    int (*check)(const double *values, struct err *err);

    int (*allocate)(const double *values, const struct vid_view *video, const struct qst_view *question, struct arena *arena,
                    struct budget *out, struct err *err);

    /* The plan for one video, not laid out. Memory from `arena`. ERR_MEMORY, or ERR_CONFIG for a grid it cannot work on. */
    int (*tokens)(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err);

    void (*want)(const double *values, int layer, int n_layers, struct layer_want *out);
    int (*layer)(const double *values, int layer, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err);
    int (*decode)(const double *values, int step, int layer, const struct layer_view *view, struct kv_mask *out, struct err *err);

    /* Share of `none`'s tokens (markers counted) expected on ordinary video, for `plan` before anything was measured, and where
     * that comes from. NaN: cannot tell. */
    double (*expected_ratio)(const double *values, const struct vid_view *shape, enum newline native, const char **source);
};

const struct compressor *compressor_find(const char *name); /* NULL if there is none */
const struct compressor *compressor_at(int i);              /* NULL past the end */

/* Resolves options from a JSON object (members other than the compressor's options, and `ignore`, are errors): fills values
 * [n_options]. ERR_CONFIG names the option, its range and the nearest known name. */
int compressor_resolve(const struct compressor *compressor, const struct json *object, const char *ignore, double *values, struct err *err);

/* The values as a JSON object of all options that are set; NULL when memory is out. */
struct json *compressor_params(const struct compressor *compressor, const double *values);

/* "dyntok threshold=0.6": name and the options that differ from their defaults or that the table always shows. In `arena`. */
const char *compressor_label(const struct compressor *compressor, const double *values, struct arena *arena);

/* Index of an option, -1 if there is none of this name. */
int compressor_option(const struct compressor *compressor, const char *name);

#endif
