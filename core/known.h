/* Digests of large files, remembered: a checkpoint of 15 GB should be hashed once and not at every start.
 *
 * A digest is remembered under device, inode, size, and times of the last change of bytes and of the inode, all to the nanosecond, of every
 * file that went into it. A file that was changed, replaced or copied over has another inode or another time of change, whatever its
 * modification time was set to, and is hashed again. A file changed less than two seconds ago is not remembered: clocks of file systems
 * are coarse, and a later change could leave the same times.
 *
 * The list is XDG_CACHE_HOME/toksweep/digests, or ~/.cache/toksweep/digests: a line of key and digest each, begun anew at a megabyte. It
 * may be deleted at any time; where it cannot be written nothing is remembered. */
#ifndef TOKSWEEP_CORE_KNOWN_H
#define TOKSWEEP_CORE_KNOWN_H

#include "core/digest.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The key of what is computed from these open files, in this order; `what` tells apart what else might be. False when nothing should be
 * remembered of them. */
bool known_key(char key[DIGEST_HEX], const char *what, const int *files, size_t n);

/* The digest that was remembered under a key; false if there is none. */
bool known_find(const char key[DIGEST_HEX], char hex[DIGEST_HEX]);

/* Remembers a digest, if the files still have the key that they had before they were read. */
void known_add(const char key[DIGEST_HEX], const char hex[DIGEST_HEX], const char *what, const int *files, size_t n);

/* digest_of_file(), remembered. */
int known_digest_of_file(const char *path, char hex[DIGEST_HEX], struct err *err);

#endif
