/* The Hub over HTTP: what a repository holds, and its files into the cache of this machine, laid out as the Hub's own tools lay it out.
 *
 *   <cache>/<kind>--<owner>--<name>/refs/<revision>          the commit it is at
 *                                   blobs/<etag>             a file's bytes: by SHA-256, small ones by git's SHA-1
 *                                   blobs/<etag>.incomplete  so far
 *                                   snapshots/<commit>/<path> -> ../../blobs/<etag>
 *   <cache>/.locks/<kind>--<owner>--<name>/<etag>.lock       held while a blob is fetched, by those tools as well
 *
 * Bytes are verified by size and digest before they get a blob's name. */
#ifndef TOKSWEEP_DATASETS_HTTP_HUB_H
#define TOKSWEEP_DATASETS_HTTP_HUB_H

#include "core/arena.h"
#include "core/digest.h"
#include "core/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub_remote {
    const char *endpoint;     /* "https://huggingface.co", without a slash at its end */
    const char *token;        /* NULL: none. Goes to the endpoint only, not where it redirects to */
    double backoff_s;         /* before a cut download goes on; doubles while nothing comes */
    const atomic_bool *stop;
    void (*progress)(int64_t bytes, void *context); /* that came in, from the calling thread; may be NULL */
    void *context;
};

struct hub_file {
    const char *path;         /* in the repository; no part of it leads out */
    int64_t bytes;
    char etag[DIGEST_HEX];    /* SHA-256 when 64 digits, git's SHA-1 when 40 */
};

struct hub_repository {
    const char *kind, *id;    /* "models" or "datasets"; "owner/name" */
    const char *revision;     /* as asked for */
    const char *folder;       /* in the cache */
    char commit[48];
    struct hub_file *files;   /* [n] in the Hub's order */
    size_t n;
    struct arena arena;
};

/* Asks what a revision holds. ERR_CONFIG for an id that is none, ERR_REMOTE for what the server says, ERR_DATA for what makes no sense, a path
 * that leads out of the snapshot among it. On failure there is nothing to free. */
int hub_open(struct hub_repository *out, const struct hub_remote *remote, const char *kind, const char *id, const char *revision, struct err *err);
void hub_close(struct hub_repository *repository);

/* Whether the snapshot has the file, whole by its size. */
bool hub_has(const struct hub_repository *repository, const struct hub_file *file);

/* Puts a file into the snapshot: links the blob that is there, or fetches it, going on with what an earlier attempt left. ERR_REMOTE, ERR_IO;
 * ERR_DATA when the bytes are not those that the Hub promised; what came is then removed. A set stop flag is ERR_REMOTE, too. */
int hub_get(const struct hub_repository *repository, const struct hub_file *file, const struct hub_remote *remote, struct err *err);

/* Notes which commit the revision is at, once all that was wanted is there. */
int hub_note_revision(const struct hub_repository *repository, struct err *err);

/* What a snapshot on this machine lacks: calls `missing` with each path that is a link to nothing, and each shard that
 * model.safetensors.index.json names and that is not there. ERR_IO, ERR_DATA. */
int hub_check(const char *snapshot, void (*missing)(const char *path, void *context), void *context, struct err *err);

#endif
