/* Building a manifest: samples and videos as a benchmark's loader meets them, equal videos once; where videos are; options as text.
 * Internal to datasets/: what the loaders share. */
#ifndef TOKSWEEP_DATASETS_MANIFEST_BUILD_H
#define TOKSWEEP_DATASETS_MANIFEST_BUILD_H

#include "core/digest.h"
#include "datasets/manifest.h"

#include <stdbool.h>
#include <stddef.h>

extern const struct benchmark benchmark_videomme, benchmark_mvbench;

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
    size_t samples_capacity, videos_capacity;
    struct names by_place; /* videos by path and bounds */
};

/* Adds a copy of `video`, unless there is one of equal path and bounds; *index is its place. */
int build_add_video(struct build *build, const struct video_ref *video, size_t *index, struct err *err);

/* Adds a copy of `sample`; its row becomes its place. */
int build_add_sample(struct build *build, const struct sample *sample, struct err *err);

/* Hands everything to the manifest when `rc` is 0; gives back what the build holds either way. Returns rc or ERR_MEMORY. */
int build_finish(struct build *build, int rc, struct err *err);

/* ---- videos on disk ------------------------------------------------------------------------------------------------------ */

/* Path of what stands beside a manifest: the folder of the file at `path`. In `arena`, as all below. */
char *path_folder(const char *path, struct arena *arena);
bool path_is_folder(const char *path);
bool path_is_file(const char *path);

/* The folder of the videos: source->videos, else the first of `beside` (below `folder`, NULL-terminated) that is there, else the
 * first of them. NULL when memory is out. */
const char *videos_root(const struct manifest_source *source, const char *folder, const char *const *beside, struct arena *arena);

/* Looks for `name` in the folders (below `root`, NULL-terminated), under its own extension and then mp4, MP4, mkv, webm, avi, mov;
 * where `frames`, also for a folder of that name. Fills path, missing and is_folder of `video`, and *place with the number of the
 * folder it is in, -1 when it is missing. ERR_DATA for a name that leads out of the folder, ERR_MEMORY. */
int video_find(struct video_ref *video, const char *name, const char *root, const char *const *folders, bool frames, int *place,
               struct arena *arena, struct err *err);

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

/* All options, `between` two of them; each after "<open><letter><close>", or bare when `open` is NULL. NULL when memory is out. */
char *options_text(const struct sample *sample, const char *open, const char *close, const char *between, struct arena *arena);

#endif
