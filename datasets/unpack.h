/* Archives: zip and tar, compressed or not, tar also in parts that follow one another. */
#ifndef TOKSWEEP_DATASETS_UNPACK_H
#define TOKSWEEP_DATASETS_UNPACK_H

#include "core/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Length of what the parts of one archive have in common in their names: "videos" of "videos.tar.part.ab", all of "videos.zip"; 0 for
 * names of no archive. */
size_t archive_stem(const char *name);

/* Unpacks the archive whose bytes are in `parts`, NULL-terminated and in order, into `folder`, which is made. A file that is there with
 * the size that the archive gives is left alone, any other gets its name once it is whole; *n_files: written, and *n_there: left alone.
 * ERR_DATA for an archive that cannot be read, and before anything of such an entry is written for one that leads out of the folder, or
 * is neither file nor folder; ERR_IO when the system refuses; ERR_REMOTE when *stop is set, what is whole then stays. */
int archive_unpack(const char *const *parts, const char *folder, const atomic_bool *stop, size_t *n_files, size_t *n_there, struct err *err);

#endif
