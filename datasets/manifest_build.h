/* Building a manifest: samples and videos as a benchmark's loader meets them, equal videos once; where videos are; options as text.
 * Internal to datasets/: what the loaders share. */
#ifndef TOKSWEEP_DATASETS_MANIFEST_BUILD_H
#define TOKSWEEP_DATASETS_MANIFEST_BUILD_H

#include "core/digest.h"
#include "datasets/manifest.h"
#include "datasets/records.h"

#include <stdbool.h>
#include <stddef.h>

extern const struct benchmark benchmark_videomme, benchmark_videomme_w_subtitle, benchmark_mlvu_dev, benchmark_mlvu_test, benchmark_mvbench,
    benchmark_longvideobench_val_v, benchmark_longvideobench_val_i, benchmark_nextqa_mc_test, benchmark_nextqa_mc_val,
    benchmark_perceptiontest_val_mc, benchmark_tinyworld, benchmark_tinyworld_smoke, benchmark_tinyworld_quick, benchmark_tinyworld_full,
    benchmark_tinyworld_shuffled, benchmark_tinyworld_blank;

/* Video-MME's rows and words, which others have too: struct benchmark's load and prompt. */
int videomme_load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err);
int videomme_prompt(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err);

/* ---- names --------------------------------------------------------------------------------------------------------------- */

struct names { /* zero-initialise; borrows its keys */
    struct name { const char *key; size_t number; } *slots;
    size_t n, capacity;
};

/* Files `key` under `number` unless it is there; *first is then the number it was filed under first. ERR_MEMORY only. */
int names_put(struct names *names, const char *key, size_t number, size_t *first, struct err *err);
void names_free(struct names *names);

/* ---- samples and videos -------------------------------------------------------------------------------------------------- */

struct build { /* zero-initialise apart from the manifest, whose arena owns all texts */
    struct manifest *manifest;
    struct sample *samples;
    struct video_ref *videos;
    struct manifest_note *notes;
    size_t samples_capacity, videos_capacity, notes_capacity;
    struct names by_place; /* videos by path and bounds */
};

/* Adds a copy of `video`, unless there is one of equal path and bounds; *index is its place. */
int build_add_video(struct build *build, const struct video_ref *video, size_t *index, struct err *err);

/* Adds a copy of `sample`; its row becomes its place. */
int build_add_sample(struct build *build, const struct sample *sample, struct err *err);

/* Sets a sample's flaw to the formatted text, unless it has one. 0 or ERR_MEMORY. */
int build_flaw(struct build *build, struct sample *sample, struct err *err, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds a note on a sample (NULL: on what became none). 0 or ERR_MEMORY. */
int build_note(struct build *build, const char *kind, const char *sample_id, struct err *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Hands everything to the manifest when `rc` is 0; gives back what the build holds either way. Returns rc or ERR_MEMORY. */
int build_finish(struct build *build, int rc, struct err *err);

/* Takes the samples out that the list at `path` names, and the videos that nobody asks about any more; the list's samples become part of
 * the manifest's digest. The list is text with one id a line (blank lines and those that begin with '#' are none), a JSON list of ids, or
 * what `check manifest --format json` prints: a JSON list of objects whose "sample" is an id (those without one are passed over).
 * ERR_CONFIG for an id that the manifest does not have. */
int manifest_exclude(struct manifest *manifest, const char *path, struct err *err);

/* The benchmark's manifest in a folder, NULL if there is none. In `arena`. */
const char *manifest_in_folder(const struct benchmark *benchmark, const char *folder, struct arena *arena);

/* ---- videos on disk ------------------------------------------------------------------------------------------------------ */

/* Path of what stands beside a manifest: the folder of the file at `path`. In `arena`, as all below. */
char *path_folder(const char *path, struct arena *arena);
bool path_is_folder(const char *path);
bool path_is_file(const char *path);

/* A folder of videos or subtitles: the one that was given, else the first of `beside` (below `folder`, NULL-terminated) that is there,
 * else the first of them. NULL when memory is out. */
const char *folder_choose(const char *given, const char *folder, const char *const *beside, struct arena *arena);

/* The same, beside the file that the manifest is. */
const char *videos_root(const struct manifest_source *source, const char *const *beside, struct arena *arena);

/* The folder of the subtitles: the one that was given, else the first of that name beside the videos, in them, or beside the manifest. */
const char *subtitles_root(const struct manifest_source *source, const char *videos, const char *name, struct arena *arena);

/* Looks for `name` in the folders (below `root`, NULL-terminated), under its own extension and then mp4, MP4, mkv, webm, avi, mov;
 * where `frames`, also for a folder of that name. Fills path, missing and is_folder of `video`, and *place with the number of the
 * folder it is in, -1 when it is missing. ERR_DATA for a name that leads out of the folder, ERR_MEMORY. */
int video_find(struct video_ref *video, const char *name, const char *root, const char *const *folders, bool frames, int *place,
               struct arena *arena, struct err *err);

/* Whether a name from a manifest leads to a place below the folder that it is looked for in. */
bool name_is_inside(const char *name);

/* video_find() for a file, then build_add_video(). Of `video`, id and bounds are set before. A name that leads elsewhere is ERR_DATA at
 * the current record. */
int build_video_file(struct build *build, struct records *records, const char *name, const char *root, const char *const *folders,
                     struct video_ref *video, size_t *index, struct err *err);

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

/* All options, `between` two of them; each after "<open><letter><close>", or bare when `open` is NULL. NULL when memory is out. */
char *options_text(const struct sample *sample, const char *open, const char *close, const char *between, struct arena *arena);

/* "Question: <question>\nOptions:\n(A) ...", without blanks at its end: as the scripts of MVBench and MLVU ask. NULL when memory is out. */
char *official_question(const char *question, const struct sample *sample, struct arena *arena);

/* ERR_MEMORY if `user` is NULL; otherwise a prompt of nothing else. */
int prompt_user(struct prompt_text *out, const char *user, struct err *err);

#endif
