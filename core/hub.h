/* The Hub's cache on this machine, as its own tools lay it out: <cache>/<kind>--<owner>--<name>/{refs,snapshots/<commit>}. Reads
 * HF_HUB_CACHE and HF_HOME; fetches nothing. */
#ifndef TOKSWEEP_CORE_HUB_H
#define TOKSWEEP_CORE_HUB_H

#include "core/arena.h"

/* HF_HOME, or ~/.cache/huggingface. In `arena`, as all below; NULL when there is no HOME either, or memory is out. */
const char *hub_home(struct arena *arena);

/* HF_HUB_CACHE, or hub/ in the home above. */
const char *hub_cache(struct arena *arena);

/* The folder of a repository in the cache, there or not. NULL when `id` is no name, or there is no cache. */
const char *hub_folder(const char *kind, const char *id, struct arena *arena);

/* The folder of a snapshot: `kind` is "models" or "datasets", `id` is "owner/name", `revision` the name of a branch or tag, or a
 * commit. NULL when `id` is no such name, or the cache does not have it. */
const char *hub_snapshot(const char *kind, const char *id, const char *revision, struct arena *arena);

#endif
