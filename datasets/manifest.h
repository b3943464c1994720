/* Manifests: what a benchmark's own files hold, as samples (core/sample.h). One .c per benchmark, one line in the table here. */
#ifndef TOKSWEEP_DATASETS_MANIFEST_H
#define TOKSWEEP_DATASETS_MANIFEST_H

#include "core/arena.h"
#include "core/err.h"
#include "core/profile.h"
#include "core/sample.h"

/* Where things are. Every member may be NULL. */
struct manifest_source {
    const char *path;    /* the manifest: a file, or a folder (MVBench: of its 20 json files) */
    const char *videos;  /* folder of the videos; default: beside the manifest, by the benchmark's own layout */
};

struct published_group { /* questions of one task type in the released set */
    const char *task_type;
    size_t samples;
};

struct benchmark {
    const char *name;
    const char *summary;              /* one line for `list benchmarks` */
    size_t published_samples, published_videos; /* counts of the released set; 0 if not known */
    const struct published_group *groups; /* all of its task types, ends with a NULL name; NULL if it has none or sizes are not known */
    int max_option_letters;

    /* Reads the manifest into an empty one, all but its benchmark and path. ERR_DATA names file, row and column; a missing video is no
     * error (video_ref.missing). On failure the arena holds what was read until then. For manifest_read(). */
    int (*load)(struct manifest *out, const struct manifest_source *source, struct err *err);

    /* The user's part of the prompt, without the image placeholder, under a profile: in `arena`, NULL when memory is out. */
    char *(*prompt)(const struct sample *sample, const struct profile *profile, enum prompt_form form, struct arena *arena);
};

const struct benchmark *benchmark_find(const char *name); /* NULL if there is none */
const struct benchmark *benchmark_at(int i);              /* NULL past the end */

/* Reads a manifest as it is, for manifest_check() to judge. On failure there is nothing to free. */
int manifest_read(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err);

/* The same, then the checks every manifest must pass: ids unique, answers within options, at least one sample. */
int manifest_load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err);
void manifest_free(struct manifest *manifest);

/* What is wrong with a manifest, for `check manifest`: calls `say` once per finding, in manifest order, and returns how many
 * findings are errors. Errors are missing videos, ids twice and answers out of range; warnings are what published sets have too
 * (equal options, a single option, no answer, an empty question) and counts other than the published ones. */
struct finding {
    bool is_error;
    const char *kind;      /* "missing_video", "equal_options", "count", ... */
    const char *sample_id; /* NULL for findings about the whole */
    const char *text;
};
size_t manifest_check(const struct manifest *manifest, const struct benchmark *benchmark,
                      void (*say)(const struct finding *finding, void *context), void *context);

#endif
