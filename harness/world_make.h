/* Making the tiny world on disk: its manifests and its videos, rendered and encoded by several threads, each once.
 *
 *   FOLDER/<tier>.json, <tier>-shuffled.json, <tier>-blank.json
 *   FOLDER/videos/tw00000.mp4 ...
 *   FOLDER/videos/SHA256SUMS       a line per video as sha256sum has it, added as soon as the video is whole; and the libraries' versions
 *
 * A video stays when its bytes have the digest that is listed and the libraries are those that made it (while nothing has to be made: those
 * that this program was built with); otherwise it is made again. So
 * what was interrupted goes on, and what was damaged is put right. */
#ifndef TOKSWEEP_HARNESS_WORLD_MAKE_H
#define TOKSWEEP_HARNESS_WORLD_MAKE_H

#include "core/err.h"
#include "world/world.h"

struct world_made {
    int n_rendered, n_kept; /* videos */
};

/* The folder: tinyworld-v1 in `cache`, or where NULL in XDG_CACHE_HOME/toksweep or ~/.cache/toksweep. ERR_CONFIG. */
int world_folder(const char *cache, char *folder, size_t size, struct err *err);

/* Where a manifest is in it; control "" for none. */
void world_manifest_path(const char *folder, const char *tier, const char *control, char *path, size_t size);

/* ERR_IO, ERR_MEMORY; also when cli_stopped is set before the end. */
int world_make(struct world_made *out, const char *folder, const struct world_tier *tier, int jobs, struct err *err);

#endif
