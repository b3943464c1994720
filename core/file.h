/* A whole file in memory: for files of moderate size, whose digest and content must come from the same bytes. */
#ifndef TOKSWEEP_CORE_FILE_H
#define TOKSWEEP_CORE_FILE_H

#include "core/err.h"

#include <stddef.h>

/* Reads all of `path`, at most `most` bytes, into malloc'ed memory with a NUL past the end. ERR_IO when the system refuses or it
 * is no regular file, ERR_DATA when it is larger. */
int file_load(char **bytes, size_t *length, const char *path, size_t most, struct err *err);

#endif
