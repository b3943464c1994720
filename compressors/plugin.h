/* Plugins: a compressor in a shared object, with the same interface as one of ours.
 *
 * The file that would be compressors/mine.c is built outside the tree and given to the program:
 *
 *     #include "compressors/plugin.h"
 *     static const struct compressor mine = {.name = "mine", ...};
 *     COMPRESSOR_PLUGIN(mine)
 *
 *     cc -std=c17 -O2 -shared -fPIC -I<prefix>/include/toksweep -o mine.so mine.c
 *     toksweep run sweep.yaml --plugin ./mine.so
 *
 * It may call what these headers declare (arena, err, json, tok_plan_...). The digest of the file is part of the identity of every
 * cell that uses it, so that a changed plugin makes new cells. Loading a plugin runs its code: load what you trust. */
#ifndef TOKSWEEP_COMPRESSORS_PLUGIN_H
#define TOKSWEEP_COMPRESSORS_PLUGIN_H

#include "compressors/compressor.h"

#include <stdint.h>

/* Raised whenever anything a plugin sees changes its meaning or layout. */
enum { COMPRESSOR_ABI = 4 };

struct compressor_plugin {
    uint32_t abi;
    uint32_t compressor_bytes, video_bytes, plan_bytes; /* sizes of the structs it was built with */
    const struct compressor *compressor;
};

/* The one symbol that a plugin exports. */
#define COMPRESSOR_PLUGIN(which)                                                                                                           \
    extern const struct compressor_plugin toksweep_plugin;                                                                                 \
    const struct compressor_plugin toksweep_plugin = {COMPRESSOR_ABI, sizeof(struct compressor), sizeof(struct vid_view),                  \
                                                      sizeof(struct tok_plan), &(which)};

/* Loads shared objects and adds their compressors to the table, for as long as the process lives; call before threads start. `paths` is
 * NULL-terminated. ERR_CONFIG for a file that cannot be loaded, is no plugin, was built for another ABI, or has a name that is taken. */
int compressors_load(const char *const *paths, struct err *err);

#endif
