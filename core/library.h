/* Outside libraries that are opened when something first needs them: a program start should not pay for the hundred and more that FFmpeg
 * and libcurl bring along. Their functions are then called through a table (datasets/ffmpeg.h is one).
 *
 * A library once opened stays until the process ends. */
#ifndef TOKSWEEP_CORE_LIBRARY_H
#define TOKSWEEP_CORE_LIBRARY_H

#include "core/err.h"

/* Opens a library by its soname, looked for where the system looks for libraries. ERR_LIBRARY with a sentence that says what it is needed
 * for and that `package` brings it. */
int library_open(void **library, const char *soname, const char *package, const char *purpose, struct err *err);

/* Writes the address of a function to the function pointer at `slot`. ERR_LIBRARY when the library, named for the message, lacks it. */
int library_find(void *library, const char *soname, const char *name, void *slot, struct err *err);

#endif
