/* Locating: where a benchmark named without a path is. Three places, in this order: the folder of data that was given, the Hub's cache,
 * and HF_HOME, where lmms-eval unpacks videos. */
#include "datasets/manifest_build.h"

#include "core/hub.h"
#include "core/text.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* A folder's name, with what means something in a pattern made plain. */
static const char *pattern_quote(const char *folder, struct arena *arena)
{
    struct text quoted = {0};
    for (; *folder; folder++) {
        text_put(&quoted, strchr("*?[\\", *folder) ? "\\" : "");
        text_add(&quoted, folder, 1);
    }
    char *text = text_take(&quoted), *kept = text ? arena_strdup(arena, text) : NULL;
    free(text);
    return kept;
}

/* The first path that a pattern below a folder matches, NULL if none does. */
static const char *match(const char *folder, const char *pattern, struct arena *arena)
{
    glob_t found;
    const char *quoted = pattern_quote(folder, arena), *path = NULL;
    const char *whole = quoted ? arena_printf(arena, "%s/%s", quoted, pattern) : NULL;
    if (whole && !glob(whole, 0, NULL, &found)) {
        path = arena_strdup(arena, found.gl_pathv[0]);
        globfree(&found);
    }
    return path;
}

static const char *match_any(const char *folder, const char *const *patterns, struct arena *arena)
{
    const char *path = NULL;
    for (; patterns && *patterns && !path; patterns++)
        path = match(folder, *patterns, arena);
    return path;
}

/* A file named after the benchmark. */
static const char *match_name(const char *folder, const struct benchmark *benchmark, struct arena *arena)
{
    static const char *const endings[] = {"parquet", "json", "jsonl", "csv"};
    const char *path = NULL;
    for (size_t i = 0; i < sizeof endings / sizeof *endings && !path; i++) {
        const char *name = arena_printf(arena, "%s.%s", benchmark->name, endings[i]);
        path = name ? match(folder, name, arena) : NULL;
    }
    return path;
}

const char *manifest_in_folder(const struct benchmark *benchmark, const char *folder, struct arena *arena)
{
    const char *path = match_any(folder, benchmark->files, arena);
    return path ? path : match_name(folder, benchmark, arena);
}

/* The same, or the folder itself where that is a manifest. */
static const char *manifest_of_folder(const struct benchmark *benchmark, const char *folder, struct arena *arena)
{
    if (!folder || !path_is_folder(folder))
        return NULL;
    const char *path = manifest_in_folder(benchmark, folder, arena);
    return path ? path : match_any(folder, benchmark->folder_files, arena) ? folder : NULL;
}

/* In <data>/<name>, in the folders that lmms-eval has for it, or by its name in <data> itself, which can be many benchmarks'. */
static const char *manifest_in_data(const struct benchmark *benchmark, const char *data, struct arena *arena)
{
    if (!data)
        return NULL;
    const char *path = manifest_of_folder(benchmark, arena_printf(arena, "%s/%s", data, benchmark->name), arena);
    for (const char *const *home = benchmark->homes; home && *home && !path; home++)
        path = manifest_of_folder(benchmark, arena_printf(arena, "%s/%.*s", data, (int)strcspn(*home, "/"), *home), arena);
    return path ? path : match_name(data, benchmark, arena);
}

static const char *manifest_in_hub(const struct benchmark *benchmark, struct arena *arena)
{
    const char *path = NULL;
    for (const char *const *id = benchmark->hub; id && *id && !path; id++)
        path = manifest_of_folder(benchmark, hub_snapshot("datasets", *id, benchmark->hub_revision, arena), arena);
    return path;
}

/* Where lmms-eval has the videos, NULL if it has none. */
static const char *videos_in_home(const struct benchmark *benchmark, struct arena *arena)
{
    const char *hub = hub_home(arena);
    for (const char *const *home = benchmark->homes; hub && home && *home; home++) {
        const char *folder = arena_printf(arena, "%s/%s", hub, *home);
        if (folder && path_is_folder(folder))
            return folder;
    }
    return NULL;
}

void benchmark_locate(struct manifest_source *source, const struct benchmark *benchmark, const char *data, struct arena *arena)
{
    bool in_hub = false;
    if (source->path && !path_is_file(source->path) && !path_is_folder(source->path)) {
        const char *revision = benchmark->hub_revision ? benchmark->hub_revision : "main";
        const char *named = manifest_of_folder(benchmark, hub_snapshot("datasets", source->path, revision, arena), arena);
        in_hub = named;
        source->path = named ? named : source->path;
    }
    if (!source->path)
        source->path = manifest_in_data(benchmark, data, arena);
    if (!source->path) {
        source->path = manifest_in_hub(benchmark, arena);
        in_hub = source->path;
    }
    if (!source->path)
        source->path = manifest_in_data(benchmark, hub_home(arena), arena);
    if (in_hub && !source->videos)
        source->videos = videos_in_home(benchmark, arena);
}
