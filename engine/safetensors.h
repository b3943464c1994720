/* Safetensors: named tensors in one file or in shards, read in place.
 *
 * Everything in a header is checked before a byte of data is used: lengths, UTF-8, duplicate names, offsets without holes or
 * overlap, shapes against sizes. Data is read with pread into the caller's memory, never mapped, so a file that shrinks is an
 * error and not a signal. Tensors can be read from any thread. */
#ifndef TOKSWEEP_ENGINE_SAFETENSORS_H
#define TOKSWEEP_ENGINE_SAFETENSORS_H

#include "core/digest.h"
#include "core/dtype.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MOST_DIMS = 8 };

struct tensor {
    const char *name;
    const char *dtype_text;   /* as written: "BF16", "I64", ... */
    bool usable;              /* dtype is F32, BF16 or F16, and `dtype` says which */
    enum dtype dtype;
    int n_dims;
    uint64_t shape[TENSOR_MOST_DIMS];
    uint64_t count;           /* product of shape */
    uint64_t bytes;
    int shard;
    uint64_t offset;          /* of the first byte in its file */
};

struct safetensors;

/* Opens one file. */
int safetensors_open_file(struct safetensors **out, const char *path, struct err *err);

/* Opens model.safetensors.index.json and its shards when the folder has one, else model.safetensors. */
int safetensors_open_folder(struct safetensors **out, const char *folder, struct err *err);

void safetensors_close(struct safetensors *files); /* NULL is fine */

size_t safetensors_count(const struct safetensors *files);
const struct tensor *safetensors_at(const struct safetensors *files, size_t i); /* by name, in byte order of names */
const struct tensor *safetensors_find(const struct safetensors *files, const char *name); /* NULL if absent */

/* Path of the file a tensor is in, for messages. */
const char *safetensors_path(const struct safetensors *files, const struct tensor *tensor);

/* Reads elements first..first+n-1 as they are stored. ERR_IO when the file has become shorter. */
int safetensors_read(const struct safetensors *files, const struct tensor *tensor, uint64_t first, uint64_t n, void *out, struct err *err);

/* SHA-256 over names, dtypes, shapes and bytes of all tensors in name order: the same for one file and for shards. Remembered as long as
 * no file changes (core/known.h). */
int safetensors_digest(const struct safetensors *files, char hex[DIGEST_HEX], struct err *err);

#endif
