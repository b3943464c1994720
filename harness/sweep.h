/* Sweeps: a sweep file resolved to cells. Two steps, so that `plan` works with neither model nor videos: load (what the file says)
 * and bind (what model and manifests add: the cells' identities). */
#ifndef TOKSWEEP_HARNESS_SWEEP_H
#define TOKSWEEP_HARNESS_SWEEP_H

#include "core/config.h"
#include "datasets/manifest.h"
#include "runners/runner.h"

struct sweep_benchmark {
    const struct benchmark *benchmark;
    struct manifest_source source;  /* path NULL: found nowhere */
    struct manifest manifest;       /* after sweep_load_manifests */
    bool loaded;
};

struct sweep_cell {
    struct run_cell run;
    size_t benchmark;         /* index into sweep->benchmarks */
    size_t match;             /* a control's: index of the cell that it matches, before it; SIZE_MAX: none */
    const struct json *at;    /* the compressor's entry in the file, for messages */
    const char *label;        /* before calibration */
};

struct sweep {
    struct config *config;
    const char *name;
    const char *model;        /* as written */
    const char *assistant;    /* as written; NULL: none */
    const struct runner *runner;
    const struct json *runner_config; /* the runner's own keys */
    const char *dtype, *isa, *device;
    const struct profile *profile;
    const char *conversation;
    enum prompt_form prompt_form;
    bool time_instruction;
    int max_new_tokens;       /* 0: the profile's */
    double repetition_penalty; /* NaN: the checkpoint's */
    int calibration_videos;
    uint64_t calibration_seed;
    struct sweep_benchmark *benchmarks;
    size_t n_benchmarks;
    struct sweep_cell *cells;
    size_t n_cells;
    int most_frames;          /* of any cell */
    struct arena arena;
};

struct sweep_overrides { /* from the command line; NULL where not given */
    const char *const *plugins; /* NULL-terminated; loaded before the sweep is read */
    const char *const *sets; /* "path.to.key=value", NULL-terminated */
    const char *dtype, *device, *isa;
    const char *data;        /* folder that benchmarks are looked for in */
};

/* Values of these axes, NULL-terminated. */
extern const char *const sweep_poolings[], *const sweep_newlines[];

/* Reads and checks the file. Paths in it are relative to its folder. ERR_CONFIG with line and column. */
int sweep_load(struct sweep *out, const char *path, const struct sweep_overrides *overrides, struct err *err);

/* The same from text; `name` stands for the path in messages. */
int sweep_parse(struct sweep *out, const char *text, const char *name, const struct sweep_overrides *overrides, struct err *err);
void sweep_free(struct sweep *sweep);

/* Leaves out the benchmarks whose manifest was found nowhere, with their cells: between load and the manifests. */
void sweep_keep_found(struct sweep *sweep);

/* Reads the manifests. ERR_CONFIG for a benchmark that was found nowhere, or what manifest_load says. */
int sweep_load_manifests(struct sweep *sweep, struct err *err);

/* Fills in what the runner knows and identifies the cells whose options are all resolved. Cells with a target_ratio, and controls of
 * such, stay without digest until sweep_calibrated. */
int sweep_bind(struct sweep *sweep, const struct runner_facts *facts, struct err *err);
int sweep_calibrated(struct sweep *sweep, size_t cell, double threshold, struct err *err);

/* The method whose threshold is to be searched for a target ratio; NULL if none is. */
struct method *sweep_target(struct run_cell *run);

/* Opens the sweep's runner on its checkpoints; the caller closes it, before sweep_free. */
int sweep_open_runner(struct sweep *sweep, void **runner, struct runner_facts *facts, struct err *err);

/* The folder of a model: itself when it is one, here or in the folder `beside` (NULL: none); a Hub id found in HF_HUB_CACHE, HF_HOME/hub or
 * ~/.cache/huggingface/hub. In `arena`. ERR_CONFIG. The second looks beside the sweep file. */
int model_folder(const char *model, const char *beside, struct arena *arena, const char **out, struct err *err);
int sweep_model_folder(const struct sweep *sweep, const char *model, struct arena *arena, const char **out, struct err *err);

#endif
