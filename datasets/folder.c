/* Folders of pictures: MVBench's cut of TVQA is one (frames, first half, the other way in). */
#include "datasets/folder.h"

#include "core/file.h"
#include "datasets/picture.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_BYTES = 1 << 28, MOST_PICTURES = 1 << 24 };

static bool is_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && name[0] != '.' && !strcasecmp(name + length - ending, endings[i]))
            return true;
    }
    return false;
}

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static int compare_paths(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int folder_add(struct folder *folder, size_t *room, char *path, const char *of, struct err *err)
{
    if (path && folder->n == *room && *room < MOST_PICTURES) {
        size_t more = *room ? *room * 2 : 256;
        char **paths = realloc(folder->paths, more * sizeof *paths);
        if (paths) {
            folder->paths = paths;
            *room = more;
        }
    }
    if (!path || folder->n == *room) {
        free(path);
        return err_no_memory(err, of);
    }
    folder->paths[folder->n++] = path;
    return 0;
}

int folder_list(struct folder *out, const char *path, struct err *err)
{
    *out = (struct folder){0};
    DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, "open the folder of pictures", path);
    size_t room = 0;
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir));)
        if (is_picture(entry->d_name))
            rc = folder_add(out, &room, join(path, entry->d_name), path, err);
    closedir(dir);
    if (rc == 0 && out->n == 0)
        rc = err_set(err, ERR_DATA, "the folder '%s' holds no picture, expected one jpg or png per frame", path);
    if (rc < 0)
        folder_free(out);
    else
        qsort(out->paths, out->n, sizeof *out->paths, compare_paths);
    return rc;
}

void folder_free(struct folder *folder)
{
    for (uint32_t i = 0; i < folder->n; i++)
        free(folder->paths[i]);
    free(folder->paths);
    *folder = (struct folder){0};
}

int folder_decode(const char *path, AVFrame *frame, struct err *err)
{
    char *bytes;
    size_t n;
    int rc = file_load(&bytes, &n, path, MOST_BYTES, err);
    if (rc < 0)
        return rc;
    rc = picture_file_read(bytes, n, path, frame, err);
    free(bytes);
    return rc;
}
