/* What the loaders of benchmarks share: growing arrays that end up in the manifest's arena, the search for video files, and lists
 * of options. */
#include "datasets/manifest_build.h"

#include "core/rng.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- names --------------------------------------------------------------------------------------------------------------- */

/* The slot that holds `key`, or the free one where it belongs. There always is a free one. */
static struct name *slot_find(struct name *slots, size_t capacity, const char *key)
{
    size_t at = rng_mix(rng_stream(key)) & (capacity - 1);
    while (slots[at].key && strcmp(slots[at].key, key))
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static bool names_grow(struct names *names)
{
    size_t capacity = names->capacity ? names->capacity * 2 : 256;
    struct name *slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < names->capacity; i++)
        if (names->slots[i].key)
            *slot_find(slots, capacity, names->slots[i].key) = names->slots[i];
    free(names->slots);
    names->slots = slots;
    names->capacity = capacity;
    return true;
}

int names_put(struct names *names, const char *key, size_t number, size_t *first, struct err *err)
{
    if (names->n >= names->capacity / 2 && !names_grow(names))
        return err_no_memory(err, "a manifest's names");
    struct name *slot = slot_find(names->slots, names->capacity, key);
    if (!slot->key) {
        *slot = (struct name){key, number};
        names->n++;
    }
    *first = slot->number;
    return 0;
}

void names_free(struct names *names)
{
    free(names->slots);
    *names = (struct names){0};
}

/* ---- samples and videos -------------------------------------------------------------------------------------------------- */

/* Room for one more element of `size` bytes; the array as it is now, or NULL. */
static void *array_reserve(void *array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return array;
    size_t grown = *capacity ? *capacity * 2 : 256;
    void *moved = realloc(array, grown * size);
    if (moved)
        *capacity = grown;
    return moved;
}

int build_add_video(struct build *build, const struct video_ref *video, size_t *index, struct err *err)
{
    struct manifest *manifest = build->manifest;
    const char *place = arena_printf(&manifest->arena, "%a %a %s", video->start_s, video->end_s, video->path);
    struct video_ref *videos = array_reserve(build->videos, manifest->n_videos, &build->videos_capacity, sizeof *videos);
    if (videos)
        build->videos = videos;
    if (!videos || !place)
        return err_no_memory(err, "a manifest's videos");
    int rc = names_put(&build->by_place, place, manifest->n_videos, index, err);
    if (!rc && *index == manifest->n_videos)
        videos[manifest->n_videos++] = *video;
    return rc;
}

int build_add_sample(struct build *build, const struct sample *sample, struct err *err)
{
    struct manifest *manifest = build->manifest;
    struct sample *samples = array_reserve(build->samples, manifest->n_samples, &build->samples_capacity, sizeof *samples);
    if (!samples)
        return err_no_memory(err, "a manifest's samples");
    build->samples = samples;
    samples[manifest->n_samples] = *sample;
    samples[manifest->n_samples].row = manifest->n_samples;
    manifest->n_samples++;
    return 0;
}

static char *text_format(struct arena *arena, const char *format, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    return arena_strdup(arena, text);
}

int build_flaw(struct build *build, struct sample *sample, struct err *err, const char *format, ...)
{
    if (sample->flaw)
        return 0;
    va_list args;
    va_start(args, format);
    sample->flaw = text_format(&build->manifest->arena, format, args);
    va_end(args);
    return sample->flaw ? 0 : err_no_memory(err, "a manifest's texts");
}

int build_note(struct build *build, const char *kind, const char *sample_id, struct err *err, const char *format, ...)
{
    struct manifest *manifest = build->manifest;
    va_list args;
    va_start(args, format);
    struct manifest_note note = {kind, sample_id, text_format(&manifest->arena, format, args)};
    va_end(args);
    struct manifest_note *notes = array_reserve(build->notes, manifest->n_notes, &build->notes_capacity, sizeof *notes);
    if (notes)
        build->notes = notes;
    if (!notes || !note.text)
        return err_no_memory(err, "a manifest's notes");
    notes[manifest->n_notes++] = note;
    return 0;
}

static void *array_keep(struct arena *arena, const void *array, size_t n, size_t size)
{
    void *kept = arena_alloc(arena, n, size);
    if (kept && n)
        memcpy(kept, array, n * size);
    return kept;
}

int build_finish(struct build *build, int rc, struct err *err)
{
    struct manifest *manifest = build->manifest;
    if (!rc) {
        manifest->samples = array_keep(&manifest->arena, build->samples, manifest->n_samples, sizeof *build->samples);
        manifest->videos = array_keep(&manifest->arena, build->videos, manifest->n_videos, sizeof *build->videos);
        manifest->notes = array_keep(&manifest->arena, build->notes, manifest->n_notes, sizeof *build->notes);
        if (!manifest->samples || !manifest->videos || !manifest->notes)
            rc = err_no_memory(err, "a manifest");
    }
    if (rc)
        manifest->n_samples = manifest->n_videos = manifest->n_notes = 0;
    free(build->samples);
    free(build->videos);
    free(build->notes);
    names_free(&build->by_place);
    return rc;
}

/* ---- videos on disk ------------------------------------------------------------------------------------------------------ */

char *path_folder(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return arena_strdup(arena, ".");
    return arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

bool path_is_folder(const char *path)
{
    struct stat stat_of;
    return !stat(path, &stat_of) && S_ISDIR(stat_of.st_mode);
}

bool path_is_file(const char *path)
{
    struct stat stat_of;
    return !stat(path, &stat_of) && S_ISREG(stat_of.st_mode);
}

const char *folder_choose(const char *given, const char *folder, const char *const *beside, struct arena *arena)
{
    if (given)
        return arena_strdup(arena, given);
    for (const char *const *part = beside; *part; part++) {
        const char *path = arena_printf(arena, "%s/%s", folder, *part);
        if (!path || path_is_folder(path))
            return path;
    }
    return arena_printf(arena, "%s/%s", folder, *beside);
}

const char *videos_root(const struct manifest_source *source, const char *const *beside, struct arena *arena)
{
    const char *folder = path_folder(source->path, arena);
    return folder ? folder_choose(source->videos, folder, beside, arena) : NULL;
}

const char *subtitles_root(const struct manifest_source *source, const char *videos, const char *name, struct arena *arena)
{
    const char *folder = path_folder(source->path, arena), *path = source->subtitles;
    const struct { const char *base, *step; } places[] = {{videos, "/.."}, {videos, ""}, {folder, ""}, {folder, "/.."}};
    for (size_t i = 0; i < sizeof places / sizeof *places && folder && !path; i++) {
        path = arena_printf(arena, "%s%s/%s", places[i].base, places[i].step, name);
        path = path && path_is_folder(path) ? path : NULL;
    }
    return path ? path : arena_printf(arena, "%s/%s", folder ? folder : ".", name); /* NULL when memory is out */
}

static const char *const extensions[] = {".mp4", ".MP4", ".mkv", ".webm", ".avi", ".mov"};

enum { EXTENSIONS = sizeof extensions / sizeof *extensions };

/* Length of a name without its extension, if it is one of ours. */
static size_t stem_length(const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < EXTENSIONS; i++) {
        size_t n = strlen(extensions[i]);
        if (length > n && !strcmp(name + length - n, extensions[i]))
            return length - n;
    }
    return length;
}

bool name_is_inside(const char *name)
{
    for (const char *part = name;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 2 && !strncmp(part, "..", 2)))
            return false;
        part += length;
        if (!*part)
            return true;
    }
}

/* A NULL path, for want of memory, is for the caller to see. */
static bool candidate_matches(struct video_ref *video, const char *path, bool frames)
{
    video->path = path;
    video->is_folder = path && frames && path_is_folder(path);
    return !path || video->is_folder || path_is_file(path);
}

/* Tries a name in one folder, then the same with other extensions. */
static bool folder_search(struct video_ref *video, const char *folder, const char *name, bool frames, struct arena *arena)
{
    size_t stem = stem_length(name);
    if (candidate_matches(video, arena_printf(arena, "%s/%s", folder, name), frames))
        return true;
    for (int i = 0; i < EXTENSIONS; i++)
        if (strcmp(name + stem, extensions[i]) &&
            candidate_matches(video, arena_printf(arena, "%s/%.*s%s", folder, (int)stem, name, extensions[i]), false))
            return true;
    return false;
}

int video_find(struct video_ref *video, const char *name, const char *root, const char *const *folders, bool frames, int *place,
               struct arena *arena, struct err *err)
{
    if (!name_is_inside(name))
        return err_set(err, ERR_DATA, "the video '%s' is not below the folder of the videos; name it by a relative path without '..'",
                       name);
    video->missing = false;
    for (*place = 0; folders[*place]; ++*place) {
        const char *folder = *folders[*place] ? arena_printf(arena, "%s/%s", root, folders[*place]) : root;
        if (!folder)
            return err_no_memory(err, "the path of a video");
        if (path_is_folder(folder) && folder_search(video, folder, name, frames, arena))
            return video->path ? 0 : err_no_memory(err, "the path of a video");
    }
    *place = -1;
    video->missing = true;
    video->is_folder = frames && !name[stem_length(name)];
    video->path = arena_printf(arena, "%s%s%s/%s", root, **folders ? "/" : "", *folders, name);
    return video->path ? 0 : err_no_memory(err, "the path of a video");
}

int build_video_file(struct build *build, struct records *records, const char *name, const char *root, const char *const *folders,
                     struct video_ref *video, size_t *index, struct err *err)
{
    int place, rc = video_find(video, name, root, folders, false, &place, &build->manifest->arena, err);
    if (rc == ERR_DATA)
        return records_fail(records, err, "'%s' cannot be the name of a video", video->id);
    return rc ? rc : build_add_video(build, video, index, err);
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

char *options_text(const struct sample *sample, const char *open, const char *close, const char *between, struct arena *arena)
{
    struct text text = {0};
    for (int i = 0; i < sample->n_options; i++) {
        text_put(&text, i ? between : "");
        if (open)
            text_printf(&text, "%s%c%s", open, 'A' + i, close);
        text_put(&text, sample->options[i]);
    }
    char *whole = text_take(&text);
    char *kept = whole ? arena_strdup(arena, whole) : NULL;
    free(whole);
    return kept;
}

char *official_question(const char *question, const struct sample *sample, struct arena *arena)
{
    const char *options = options_text(sample, "(", ") ", "\n", arena);
    char *whole = options ? arena_printf(arena, "Question: %s\nOptions:\n%s", question, options) : NULL;
    const char *start = whole;
    size_t length = whole ? strlen(whole) : 0;
    if (whole) {
        text_strip(&start, &length);
        whole[length] = 0; /* it does not begin with a blank */
    }
    return whole;
}

int prompt_user(struct prompt_text *out, const char *user, struct err *err)
{
    *out = (struct prompt_text){.user = user};
    return user ? 0 : err_no_memory(err, "a prompt");
}
