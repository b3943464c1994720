/* Manifests: what a benchmark's own files hold, as samples (core/sample.h). One .c per benchmark, one line in the table here. */
#ifndef TOKSWEEP_DATASETS_MANIFEST_H
#define TOKSWEEP_DATASETS_MANIFEST_H

#include "core/arena.h"
#include "core/err.h"
#include "core/profile.h"
#include "core/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where things are. Every member but `path` may be NULL. */
struct manifest_source {
    const char *path;      /* the manifest: a file, or a folder that has it under one of the benchmark's own names */
    const char *videos;    /* folder of the videos; default: beside the manifest, by the benchmark's own layout */
    const char *subtitles; /* folder of the subtitles; default: beside that of the videos */
    const char *exclude;   /* list of samples to leave out (manifest_exclude.c says what it may look like) */
};

struct published_group { /* questions of one group in the released set */
    const char *by;   /* "task_type", "duration", "domain" or "sub_category" */
    const char *name;
    size_t samples;
};

/* What a prompt depends on besides its sample. */
struct prompting {
    const struct protocol *protocol;
    enum prompt_form form;
    const struct video_ref *video; /* the sample's */
    double header_fps;             /* for benchmarks that need it: what video_header() says, 0 where it cannot be read */
    int64_t header_frames;
};

struct benchmark {
    const char *name;                 /* lmms-eval's name of the task */
    const char *summary;              /* one line for `list benchmarks` */
    size_t published_samples, published_videos; /* counts of the released set; 0 if not known */
    const struct published_group *groups; /* all whose sizes are known, ends with a NULL name; NULL if none are */
    int max_option_letters;
    bool two_averages;                /* papers print the one or the other: tables show micro and macro */
    bool needs_header;                /* its prompts depend on the video's header */
    bool interleaves;                 /* its prompts hold an "<image>" for each frame */

    const char *tier, *control;       /* of the tiny world, when it is rendered on first use (world/manifest.h); NULL: it has files of its own */

    const char *const *files;         /* globs that find the manifest in a folder, as they are tried, ends with NULL */
    const char *const *folder_files;  /* globs of which one finds something in a folder that is a manifest as a whole; NULL: none is */
    const char *const *hub;           /* data sets on the Hub that have it, ends with NULL */
    const char *hub_revision;
    const char *const *homes;         /* folders below HF_HOME where lmms-eval has the videos, ends with NULL */

    /* Reads the manifest into an empty one, all but its benchmark and path. ERR_DATA names file, row and column; a missing video is no
     * error (video_ref.missing), nor is a row that cannot be asked (sample.flaw). On failure the arena holds what was read until then.
     * For manifest_read(). */
    int (*load)(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err);

    /* What is said to the model, in `arena`. ERR_DATA when a file that the prompt needs is missing, ERR_MEMORY. */
    int (*prompt)(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err);
};

const struct benchmark *benchmark_find(const char *name); /* NULL if there is none */
const struct benchmark *benchmark_at(int i);              /* NULL past the end */

/* Fills in what `source` leaves open of where a benchmark is (texts in `arena`): the manifest looked for in folder `data` (NULL: none),
 * then in the Hub's cache, then below HF_HOME; the videos below HF_HOME when the manifest is in the cache, which has none. A path that
 * is not there and reads as a Hub id ("owner/name") is looked up in the cache. Leaves source->path NULL where nothing was found. */
void benchmark_locate(struct manifest_source *source, const struct benchmark *benchmark, const char *data, struct arena *arena);

/* Reads a manifest as it is, for manifest_check() to judge. On failure there is nothing to free. */
int manifest_read(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err);

/* The same, then the checks every manifest must pass: ids unique, answers within options, no row with a flaw, at least one sample. */
int manifest_load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err);
void manifest_free(struct manifest *manifest);

/* What is wrong with a manifest, for `check manifest`: calls `say` once per finding, in manifest order, and returns how many
 * findings are errors. Errors are missing videos and subtitles, ids twice, answers out of range and rows that cannot be asked; warnings
 * are what published sets have too (equal options, two of them right, a single option, no answer, an empty question, a question asked
 * twice) and counts other than the published ones. */
struct finding {
    bool is_error;
    const char *kind;      /* "missing_video", "equal_options", "count", ... */
    const char *sample_id; /* NULL for findings about the whole */
    const char *text;
};
size_t manifest_check(const struct manifest *manifest, const struct benchmark *benchmark,
                      void (*say)(const struct finding *finding, void *context), void *context);

#endif
