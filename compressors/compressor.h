/* Compressors: pure functions from features to a token plan.
 *
 * A compressor is one file and one line in the table (table.c). It owns no memory, starts no threads and reads nothing but its
 * arguments, so equal arguments give equal plans on any machine with the same arithmetic.
 *
 * The stages a compressor may take part in, each NULL where it does not:
 *   allocate  how many tokens each frame may keep                      (before the language model; sees the question through a guide)
 *   tokens    which tokens there are: a token plan                     (before the language model)
 *   layer     dropping or merging between layers of the language model (in prefill)
 *   decode    which cached positions a generation step may see
 * The engine lays a plan out (core/tokens.h), applies it to the features and calls the hooks at fixed points (engine/hooks.h). */
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
enum layer_heads { HEADS_EACH, HEADS_MEAN, HEADS_MOST }; /* rows of each head; their mean; the largest of them */

/* What a layer hook asks to be computed beside the plain path. A call that asks for rows of the question (ROWS_LAST, ROWS_QUESTION)
 * or for `question` depends on the question: from its layer on, nothing of the visual prefix is shared between questions. `entered`
 * goes with rows of the question. */
struct layer_want {
    bool call;                /* call the hook at this point; without it the rest is void */
    bool hides;               /* tokens that its plan leaves out are hidden from question and reply, here and in the layers above, and
                               * stay in the cache: the prefix stays shared */
    bool hidden, keys_before, keys_after; /* this layer's, around the rotation; POINT_PRE only */
    bool question;            /* the question's hidden rows as well */
    bool entered;             /* visual rows and the question's as they were when they entered the language model */
    enum layer_rows rows;     /* attention rows: of the last prompt row, of all rows behind the visual tokens, or of the mean query over
                               * visual tokens (before RoPE, on keys before RoPE) */
    bool rows_of_this_layer;  /* at POINT_PRE: from this layer's own projections of what would enter it; else of the layer before.
                               * At POINT_MID rows are always this layer's */
    bool rows_visual_only;    /* softmax over visual tokens only, else over all keys that the row sees */
    enum layer_heads heads;   /* of rows; view->heads is 1 unless it is each */
    bool rows_unturned;       /* with ROWS_QUESTION of this layer: before rotation, and every row sees all keys of the prompt */
    bool rotation;            /* what the rotation of positions alone makes of the rows' logits */
};

/* What it gets: the current visual tokens, n of them, in order, markers included. Arrays are NULL where not asked for. */
struct layer_view {
    int layer, n_layers;
    int T, h, w;               /* the token plan's grid */
    size_t n;                  /* now */
    size_t n_entered, n_content; /* when the language model began: of these, no markers */
    const struct out_tok *tok; /* [n] kind, span, rep and size of each; taps mean nothing here */
    int d, key_dim;            /* key_dim: of all key heads together */
    int heads, n_rows;
    const float *hidden;       /* [n][d] */
    const float *keys_before, *keys_after; /* [n][key_dim], this layer's */
    const float *rows;         /* [n_rows][heads][n] */
    const float *rotation;     /* [n_rows][n] logits of queries and keys that are all ones before rotation */
    const float *question;     /* [n_question][d] */
    size_t n_question;
    const float *entered;      /* [n_entered][d] */
    const float *asked;        /* [n_asked][d] the question's rows as they entered */
    size_t n_asked;
    const struct budget *budget; /* per-frame budgets that this stage is to spend; NULL without an allocator */
    void *memory;              /* the method's own, see `memory` below; NULL without */
};

/* What it returns. `merge` is over the current visual tokens: taps refer to them, every token has its own, markers too, and stands
 * where it is to stand; with POSITIONS_KEEP its position is that of its first tap's source. Kind, span, rep and size describe the tokens
 * to the next hook; positions and size_bias count, order and newline do not. merge.tok NULL: nothing changes. */
struct layer_plan {
    struct tok_plan merge;
    bool prune_past_kv;        /* also hide dropped tokens in the layers before */
};

struct kv_mask { uint8_t *visible; size_t n; }; /* per visual token of the view; all 1 on call */

/* ---- the interface ------------------------------------------------------------------------------------------------------- */

enum compressor_needs {
    NEED_X_POOLED = 1, NEED_X_RAW = 2, NEED_H_POOLED = 4, NEED_H_RAW = 8,
    NEED_X_POST_NORM = 16,                    /* X after the tower's final norm */
    NEED_SAL_POOLED = 32, NEED_SAL_RAW = 64,  /* sal: attention received in the tower's last layer that runs */
    NEED_PROBE_POOLED = 128,                  /* sal: attention of the tower's pooling head instead; not with NEED_SAL_POOLED */
    NEED_KV_POOLED = 256, NEED_KV_RAW = 512,  /* kv: that layer's keys, mean over heads */
    NEED_KEYS_RAW = 1024,                     /* kv: keys of all heads side by side instead; not with NEED_KV_RAW */
    NEED_FRAME = 2048,                        /* frame: what the pooling head makes of each frame */
    NEED_DOTS = 4096,                         /* of X, H and keys only comparisons are wanted (core/similarity.h): the view has far rows instead */
    NEED_SUMS = 8192,                         /* likewise, and as many rows are made of them as there are, or fewer */
};

enum compressor_flags {
    QDEP_BUDGET = 1, QDEP_TOKENS = 2, QDEP_LAYER = 4, QDEP_DECODE = 8, /* where it looks at the question */
    LOGSIZE_BIAS = 16,   /* attention adds log(size) to logits of merged keys */
    EXACT_BUDGET = 32,   /* honours per-frame budgets exactly */
    HAS_TARGET = 64,     /* has options `threshold` and `target_ratio`: the harness calibrates one from the other */
    SOME_BUDGET = 128,   /* honours them approximately */
    NEEDS_GRID = 256,    /* its layer hook needs every cell of every frame */
    KEEPS_GRID = 512,    /* its tokens are every cell of every frame of their grid */
};

/* Places in the pipeline. A sweep's cell has at most one method in each. */
enum role { ROLE_ALLOCATE = 1, ROLE_TOKENS = 2, ROLE_LAYER = 4, ROLE_DECODE = 8 };

/* Whose attention an allocator reads: the primary model's own, or that of an assistant checkpoint beside it. */
enum guide { GUIDE_SELF, GUIDE_ASSISTANT };

/* Share of the last prompt row's attention over visual tokens (softmax over them alone) that falls on each frame: mean over heads and
 * over the layers that `guide` named; sums to 1. */
struct aux_attn { int T; const float *share; };

/* What a method can tell of a video without a language model, such as how well its tokens stand for the sources. */
struct measure { const char *name; double value; };

enum { COMPRESSOR_MOST_MEASURES = 16 };

struct compressor {
    const char *name, *summary, *source; /* source: paper section or upstream path */
    const struct option *options;
    int n_options;
    const char *const *instead; /* options that, once set, make the first one void, as target_ratio does; NULL-terminated; NULL: none.
                                 * Of a method that can be a control: these and the first are all that say how much is kept */
    unsigned flags;

    /* Which views `tokens` reads, and the domain whose features its plan refers to, for these values. With `tokens` only. */
    unsigned (*needs)(const double *values);
    enum src_dom (*domain)(const double *values);

    /* ERR_CONFIG for values that only together make no sense; NULL when every combination does. */
    int (*check)(const double *values, struct err *err);

    /* The roles it plays with these options; NULL: all that it has functions for. */
    unsigned (*roles)(const double *values);

    /* Layers first..last of a guide with n_layers layers whose attention `allocate` reads. With `allocate` only. */
    enum guide (*guide)(const double *values, int n_layers, int *first, int *last);
    int (*allocate)(const double *values, const struct vid_view *video, const struct qst_view *question, const struct aux_attn *attention,
                    struct arena *arena, struct budget *out, struct err *err);

    /* The plan for one video, not laid out. Memory from `arena`. ERR_MEMORY, or ERR_CONFIG for a grid it cannot work on. */
    int (*tokens)(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err);

    /* ERR_CONFIG when it cannot act in a model of so many layers, naming the option; NULL when it can in any. */
    int (*fits)(const double *values, int n_layers, struct err *err);

    /* A control at equal tokens (compressors/match.h) turns the budget of a method that honours budgets exactly. One that has steps of its
     * own names them here: how many settings there are on such a video, by rising number of tokens, which expected_ratio then tells
     * exactly, and the values of one. `settings` NULL, or 0 of them: none. */
    int (*settings)(const double *values, const struct vid_view *shape);
    void (*set)(double *values, const struct vid_view *shape, int setting);

    /* Fills out[COMPRESSOR_MOST_MEASURES], *n of them, for the views that `tokens` reads; ERR_ as `tokens`. NULL: nothing to tell. */
    int (*measure)(const double *values, const struct vid_view *video, struct arena *arena, struct measure *out, int *n, struct err *err);

    /* Bytes that hooks keep between calls, for n visual tokens; zeroed before the first call on a prompt, and what calls on the shared
     * prefix left in them is there for every question. NULL: none. */
    size_t (*memory)(const double *values, size_t n, int n_layers);

    /* `out` is zero on call. `memory` as it was left by the calls before. */
    void (*want)(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out);
    int (*layer)(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err);

    /* `decode` is called at each step of generation before layer decode_layer, with the row of the layer before (ROWS_LAST, all keys);
     * what it hides is hidden in that layer and those above, for that step. It may not allocate. */
    int (*decode_layer)(const double *values);
    void (*decode)(const double *values, int step, const struct layer_view *view, struct kv_mask *out);

    /* Share of `none`'s tokens (markers counted) expected to enter the language model on ordinary video, for `plan` before anything was
     * measured, and where that comes from. NaN: cannot tell. NULL without `tokens`. */
    double (*expected_ratio)(const double *values, const struct vid_view *shape, enum newline native, const char **source);
};

const struct compressor *compressor_find(const char *name); /* NULL if there is none */
const struct compressor *compressor_at(int i);              /* NULL past the end */

/* Resolves options from a JSON object (members other than the compressor's options, and `ignore`, are errors): fills values
 * [n_options]. With a member `match` another cell says how much is kept, and what would say it is unset. ERR_CONFIG names the option, its
 * range and the nearest known name. */
int compressor_resolve(const struct compressor *compressor, const struct json *object, const char *ignore, double *values, struct err *err);

/* Unsets what says how much is kept, of a method that is told by an allocator or by another cell (compressors/match.h). */
void compressor_unset_amounts(const struct compressor *compressor, double *values);

/* The values as a JSON object of all options that are set, and "plugin", the digest of the file it came from, where it came from one;
 * NULL when memory is out. */
struct json *compressor_params(const struct compressor *compressor, const double *values);

/* "dyntok threshold=0.6": name and the options that differ from their defaults or that the table always shows. In `arena`. */
const char *compressor_label(const struct compressor *compressor, const double *values, struct arena *arena);

/* Index of an option, -1 if there is none of this name. */
int compressor_option(const struct compressor *compressor, const char *name);

/* The roles (enum role) it plays with these values. */
unsigned compressor_roles(const struct compressor *compressor, const double *values);

/* ---- composition --------------------------------------------------------------------------------------------------------- */

/* A method with its options, in its place among others: allocator x token stage x layer hook x decode hook. */
struct method {
    const struct compressor *compressor;
    double values[COMPRESSOR_MOST_OPTIONS];
    const char *match; /* label of the cell whose number of tokens it makes; NULL: its options say how many */
};

enum { MOST_METHODS = 4 };

/* Leaves out `none` beside other methods, which stands for an empty place, and checks that the rest makes sense together: one method in
 * each role, an allocator only with one that spends its budget, no method after one that broke what it needs. A token stage that spends a
 * budget exactly has no numbers of its own left. ERR_CONFIG names both. */
int methods_resolve(struct method *methods, int *n, struct err *err);

/* The method that plays a role; NULL if none does. */
const struct method *methods_find(const struct method *methods, int n, enum role role);

/* The role whose method spends the allocator's budget: the first that honours budgets; 0 without an allocator. */
enum role methods_spender(const struct method *methods, int n);

/* "dyntok + fastv"; params as a JSON object, or an array of objects with `name` when there are several; and "dyntok threshold=0.6 +
 * fastv layer=2 keep=0.5", "random match=(dyntok threshold=0.6)". Text in `arena`, NULL when memory is out. */
const char *methods_name(const struct method *methods, int n, struct arena *arena);
const char *methods_params(const struct method *methods, int n, struct arena *arena);
const char *methods_label(const struct method *methods, int n, struct arena *arena);

#endif
