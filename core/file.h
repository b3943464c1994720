/* A whole file in memory: for files of moderate size, whose digest and content must come from the same bytes. And back: what is written
 * is there whole, or what was there before is. With what goes before writing: folders, and paths that others chose. */
#ifndef TOKSWEEP_CORE_FILE_H
#define TOKSWEEP_CORE_FILE_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Reads all of `path`, at most `most` bytes, into malloc'ed memory with a NUL past the end. ERR_IO when the system refuses or it
 * is no regular file, ERR_DATA when it is larger. */
int file_load(char **bytes, size_t *length, const char *path, size_t most, struct err *err);

/* Writes a file, in the place of one that is there, by way of another beside it. ERR_IO. */
int file_save(const char *path, const char *bytes, size_t length, struct err *err);

/* Makes the folders above a path, as far as they are not there; all of it where it ends with a slash. ERR_IO, ERR_MEMORY. */
int file_make_folders(const char *path, struct err *err);

/* Where the program keeps what it can make again: XDG_CACHE_HOME/toksweep/<name>, or ~/.cache/toksweep/<name>. False when there is neither
 * variable, or the path is longer than `size` takes. */
bool file_cache_path(char *path, size_t size, const char *name);

/* Whether a stranger's path, taken below a folder, stays in it: parts with names, none of them "." or "..", no control characters and no
 * backslashes, of lengths that file systems take. */
bool path_stays_inside(const char *path);

#endif
