/* A whole file in memory: for files of moderate size, whose digest and content must come from the same bytes. And back: what is written
 * is there whole, or what was there before is. */
#ifndef TOKSWEEP_CORE_FILE_H
#define TOKSWEEP_CORE_FILE_H

#include "core/err.h"

#include <stddef.h>

/* Reads all of `path`, at most `most` bytes, into malloc'ed memory with a NUL past the end. ERR_IO when the system refuses or it
 * is no regular file, ERR_DATA when it is larger. */
int file_load(char **bytes, size_t *length, const char *path, size_t most, struct err *err);

/* Writes a file, in the place of one that is there, by way of another beside it. ERR_IO. */
int file_save(const char *path, const char *bytes, size_t length, struct err *err);

#endif
