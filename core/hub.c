/* Hub cache: folders, and the files under refs/ that say which commit a branch is at. */
#include "core/hub.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_folder(const char *path)
{
    struct stat stat_of;
    return path && !stat(path, &stat_of) && S_ISDIR(stat_of.st_mode);
}

const char *hub_home(struct arena *arena)
{
    const char *home = environment("HF_HOME"), *user = environment("HOME");
    if (home)
        return arena_strdup(arena, home);
    return user ? arena_printf(arena, "%s/.cache/huggingface", user) : NULL;
}

const char *hub_cache(struct arena *arena)
{
    const char *cache = environment("HF_HUB_CACHE"), *home = cache ? NULL : hub_home(arena);
    if (cache)
        return arena_strdup(arena, cache);
    return home ? arena_printf(arena, "%s/hub", home) : NULL;
}

/* A name on the Hub: no part of a path but itself. */
static bool name_is_plain(const char *name, size_t length)
{
    return length && memcmp(name, ".", 1) && !memchr(name, '/', length);
}

/* The commit that a branch or tag is at, NULL if refs/ does not tell. */
static const char *ref_read(const char *folder, const char *revision, struct arena *arena)
{
    char commit[128] = "";
    const char *path = arena_printf(arena, "%s/refs/%s", folder, revision);
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return NULL;
    if (!fgets(commit, sizeof commit, file))
        commit[0] = 0;
    fclose(file);
    commit[strcspn(commit, " \t\r\n")] = 0;
    return name_is_plain(commit, strlen(commit)) ? arena_strdup(arena, commit) : NULL;
}

const char *hub_folder(const char *kind, const char *id, struct arena *arena)
{
    const char *cache = hub_cache(arena), *slash = strchr(id, '/');
    if (!cache || !slash || !name_is_plain(id, (size_t)(slash - id)) || !name_is_plain(slash + 1, strlen(slash + 1)))
        return NULL;
    return arena_printf(arena, "%s/%s--%.*s--%s", cache, kind, (int)(slash - id), id, slash + 1);
}

const char *hub_snapshot(const char *kind, const char *id, const char *revision, struct arena *arena)
{
    const char *folder = hub_folder(kind, id, arena);
    const char *commit = folder ? ref_read(folder, revision, arena) : NULL;
    const char *snapshot = folder ? arena_printf(arena, "%s/snapshots/%s", folder, commit ? commit : revision) : NULL;
    return is_folder(snapshot) ? snapshot : NULL;
}
