/* Outside libraries that are opened when something first needs them: a program start should not pay for the hundred and more that FFmpeg
 * and libcurl bring along. Their functions are then called through a table (datasets/ffmpeg.h is one).
 *
 * A library once opened stays until the process ends. */
#ifndef TOKSWEEP_CORE_LIBRARY_H
#define TOKSWEEP_CORE_LIBRARY_H

#include "core/err.h"

#include <stddef.h>

struct library_function {
    const char *name;
    void *slot; /* the function pointer that takes its address */
};

/* Opens a library by its soname, looked for where the system looks for libraries, and fills the slots of n functions. ERR_LIBRARY with a
 * sentence that says what it is needed for and that `package` brings it, or which function it lacks. */
int library_bind(const char *soname, const char *package, const char *purpose, const struct library_function *functions, size_t n,
                 struct err *err);

#endif
