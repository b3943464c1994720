/* Safetensors: files and shards opened and checked, tensors found by name and read in place.
 *
 * What a header may say is checked in safetensors_header.c; here are the files around it: lengths, the index of a sharded
 * checkpoint, names across shards, and reading. All tensors of all shards lie in one array sorted by name. */
#include "engine/safetensors.h"

#include "core/arena.h"
#include "core/json.h"
#include "core/known.h"
#include "core/log.h"
#include "engine/safetensors_header.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MOST UINT64_C(100000000) /* the cap of the reference implementation */
enum { LENGTH_BYTES = 8, INDEX_MOST = 64 << 20, SHARDS_MOST = 512, DIGEST_PIECE = 8 << 20 };
static const char INDEX_NAME[] = "model.safetensors.index.json";

struct shard {
    const char *path;
    int fd;
};

struct safetensors {
    struct arena arena; /* paths and names */
    struct tensor_list tensors;
    struct shard shards[SHARDS_MOST];
    int n_shards;
};

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static int read_at(const struct shard *shard, void *out, uint64_t n, uint64_t offset, struct err *err)
{
    unsigned char *to = out;
    while (n) {
        size_t piece = n < 1u << 30 ? (size_t)n : 1u << 30; /* what pread() takes at once has a limit */
        ssize_t got = pread(shard->fd, to, piece, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read", shard->path);
        if (got == 0)
            return err_set(err, ERR_IO, "'%s' has become shorter since it was opened: it ends before byte %" PRIu64 "; restore the file",
                           shard->path, offset + 1);
        to += got;
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return 0;
}

static uint64_t u64_from_bytes(const unsigned char bytes[LENGTH_BYTES])
{
    uint64_t value = 0;
    for (int i = LENGTH_BYTES; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* ---- opening one file ---------------------------------------------------------------------------------------------------- */

static int shard_size(const struct shard *shard, uint64_t *size, struct err *err)
{
    struct stat stat;
    if (fstat(shard->fd, &stat))
        return err_errno(err, "read", shard->path);
    if (!S_ISREG(stat.st_mode))
        return err_set(err, ERR_DATA, "'%s' is not a regular file; give the path of a .safetensors file", shard->path);
    *size = (uint64_t)stat.st_size;
    return 0;
}

static int shard_read_header(struct safetensors *files, int index, struct err *err)
{
    const struct shard *shard = &files->shards[index];
    unsigned char raw[LENGTH_BYTES];
    uint64_t size = 0;
    int rc = shard_size(shard, &size, err);
    if (rc)
        return rc;
    if (size < LENGTH_BYTES)
        return err_set(err, ERR_DATA, "'%s' is cut short: it has %" PRIu64 " bytes, a safetensors file begins with 8; download it again",
                       shard->path, size);
    if ((rc = read_at(shard, raw, sizeof raw, 0, err)))
        return rc;
    uint64_t length = u64_from_bytes(raw);
    if (length > HEADER_MOST)
        return err_set(err, ERR_DATA,
                       "'%s' is no safetensors file: its first 8 bytes ask for a header of %" PRIu64 " bytes, where at most %" PRIu64
                       " are allowed (a Git LFS pointer or a web page looks like this); download it again",
                       shard->path, length, HEADER_MOST);
    if (length > size - LENGTH_BYTES)
        return err_set(err, ERR_DATA, "'%s' is cut short: its header has %" PRIu64 " bytes, only %" PRIu64 " follow; download it again",
                       shard->path, length, size - LENGTH_BYTES);
    char *text = malloc(length ? (size_t)length : 1);
    if (!text)
        return err_no_memory(err, "a safetensors header");
    const struct header_place place = {shard->path, index, LENGTH_BYTES + length, size - LENGTH_BYTES - length};
    rc = read_at(shard, text, length, LENGTH_BYTES, err);
    if (!rc)
        rc = safetensors_header_read(&files->tensors, text, (size_t)length, &place, &files->arena, err);
    free(text);
    return rc == ERR_DATA ? err_append(err, "; download the file again") : rc;
}

/* Opens `path`, which is the arena's, as the next shard. */
static int shard_add(struct safetensors *files, const char *path, struct err *err)
{
    if (!path)
        return err_no_memory(err, "the path of a checkpoint");
    /* O_NONBLOCK lets a pipe be refused by shard_size() instead of waiting for its writer; it means nothing for files. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, "open", path);
    files->shards[files->n_shards] = (struct shard){path, fd};
    return shard_read_header(files, files->n_shards++, err);
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->shard - y->shard;
}

/* Puts the tensors of all shards into the order of their names, each of which only one shard may have. */
static int sort_names(struct safetensors *files, struct err *err)
{
    struct tensor *at = files->tensors.at;
    if (files->tensors.n)
        qsort(at, files->tensors.n, sizeof *at, by_name);
    for (size_t i = 1; i < files->tensors.n; i++)
        if (!strcmp(at[i - 1].name, at[i].name))
            return err_set(err, ERR_DATA, "tensor '%s' is in both '%s' and '%s'; download the checkpoint again", at[i].name,
                           files->shards[at[i - 1].shard].path, files->shards[at[i].shard].path);
    return 0;
}

static int open_one(struct safetensors *files, const char *path, struct err *err)
{
    int rc = shard_add(files, arena_strdup(&files->arena, path), err);
    return rc ? rc : sort_names(files, err);
}

/* ---- opening shards by their index --------------------------------------------------------------------------------------- */

struct index {
    const char *path, *folder;
    struct json *tree;
    const struct json **entries; /* members of weight_map, by the name of their shard */
    size_t n;
};

static int by_shard(const void *a, const void *b)
{
    return strcmp(json_string(*(const struct json *const *)a), json_string(*(const struct json *const *)b));
}

static int check_shard_name(const struct index *index, const struct json *entry, struct err *err)
{
    const char *name = json_string(entry);
    if (!name)
        return err_set(err, ERR_DATA, "'%s' maps tensor '%.200s' to %s instead of the name of a shard", index->path, json_key(entry),
                       json_type_name(entry));
    if (!*name || strpbrk(name, "/\\") || strstr(name, ".."))
        return err_set(err, ERR_DATA,
                       "'%s' maps tensor '%.200s' to the shard '%.200s'; a shard is a file beside the index, without '/', '\\' or '..'",
                       index->path, json_key(entry), name);
    return 0;
}

static int index_load(struct index *index, struct err *err)
{
    int rc = json_load(&index->tree, index->path, INDEX_MOST, err);
    if (rc)
        return rc;
    const struct json *map = json_get(index->tree, "weight_map");
    if (!map || json_type(map) != JSON_OBJECT || !json_first(map))
        return err_set(err, ERR_DATA, "'%s' lacks its 'weight_map', an object from tensors to shards; download it again", index->path);
    index->entries = malloc(json_count(map) * sizeof *index->entries);
    if (!index->entries)
        return err_no_memory(err, "the index of a checkpoint");
    for (const struct json *entry = json_first(map); entry; entry = json_next(entry)) {
        if ((rc = check_shard_name(index, entry, err)))
            return rc;
        index->entries[index->n++] = entry;
    }
    qsort(index->entries, index->n, sizeof *index->entries, by_shard);
    return 0;
}

static int index_open_shard(struct safetensors *files, const struct index *index, const char *name, struct err *err)
{
    if (files->n_shards == SHARDS_MOST)
        return err_set(err, ERR_DATA, "'%s' names more than the %d shards that are accepted", index->path, SHARDS_MOST);
    const char *path = arena_printf(&files->arena, "%s/%s", index->folder, name);
    if (path && access(path, F_OK))
        return err_set(err, ERR_IO, "shard '%s' is missing, though '%s' lists it; download it into the same folder", path, index->path);
    return shard_add(files, path, err);
}

/* Every mapped tensor is in the shard it is mapped to: entry's shard is `shard`. */
static int index_check_entry(const struct safetensors *files, const struct index *index, const struct json *entry, int shard,
                             struct err *err)
{
    const struct tensor *tensor = safetensors_find(files, json_key(entry));
    if (!tensor)
        return err_set(err, ERR_DATA, "'%s' maps tensor '%.200s' to '%s', which does not have it; download the checkpoint again",
                       index->path, json_key(entry), files->shards[shard].path);
    if (tensor->shard != shard)
        return err_set(err, ERR_DATA, "'%s' maps tensor '%.200s' to '%s', but it is in '%s'; download the checkpoint again", index->path,
                       json_key(entry), files->shards[shard].path, files->shards[tensor->shard].path);
    return 0;
}

static bool index_same_shard(const struct index *index, size_t i)
{
    return i && !by_shard(&index->entries[i - 1], &index->entries[i]);
}

static void index_compare_size(const struct safetensors *files, const struct index *index)
{
    int64_t stated;
    uint64_t total = 0;
    if (!json_integer(json_get(json_get(index->tree, "metadata"), "total_size"), 0, INT64_MAX, &stated))
        return;
    for (size_t i = 0; i < files->tensors.n; i++)
        total += files->tensors.at[i].bytes;
    if (total != (uint64_t)stated)
        log_say(LOG_WARNING, "'%s' states a total_size of %" PRId64 " bytes, its shards have %" PRIu64, index->path, stated, total);
}

static int index_open(struct safetensors *files, struct index *index, struct err *err)
{
    int rc = index_load(index, err);
    for (size_t i = 0; i < index->n && !rc; i++)
        if (!index_same_shard(index, i))
            rc = index_open_shard(files, index, json_string(index->entries[i]), err);
    if (!rc)
        rc = sort_names(files, err);
    int shard = -1;
    for (size_t i = 0; i < index->n && !rc; i++) {
        shard += !index_same_shard(index, i);
        rc = index_check_entry(files, index, index->entries[i], shard, err);
    }
    if (!rc)
        index_compare_size(files, index);
    free(index->entries);
    json_free(index->tree);
    return rc;
}

static int open_folder(struct safetensors *files, const char *folder, struct err *err)
{
    struct index index = {.folder = folder, .path = arena_printf(&files->arena, "%s/%s", folder, INDEX_NAME)};
    const char *single = arena_printf(&files->arena, "%s/model.safetensors", folder);
    if (!index.path || !single)
        return err_no_memory(err, "the path of a checkpoint");
    if (!access(index.path, F_OK))
        return index_open(files, &index, err);
    if (access(single, F_OK))
        return err_set(err, ERR_IO, "'%s' has neither %s nor model.safetensors; give a folder with a checkpoint in safetensors", folder,
                       INDEX_NAME);
    return open_one(files, single, err);
}

/* ---- the interface ------------------------------------------------------------------------------------------------------- */

static int open_with(struct safetensors **out, int (*open_path)(struct safetensors *, const char *, struct err *), const char *path,
                     struct err *err)
{
    *out = NULL;
    struct safetensors *files = calloc(1, sizeof *files);
    if (!files)
        return err_no_memory(err, "a checkpoint");
    int rc = open_path(files, path, err);
    if (rc)
        safetensors_close(files);
    else
        *out = files;
    return rc;
}

int safetensors_open_file(struct safetensors **out, const char *path, struct err *err)
{
    return open_with(out, open_one, path, err);
}

int safetensors_open_folder(struct safetensors **out, const char *folder, struct err *err)
{
    return open_with(out, open_folder, folder, err);
}

void safetensors_close(struct safetensors *files)
{
    if (!files)
        return;
    for (int i = 0; i < files->n_shards; i++)
        close(files->shards[i].fd);
    free(files->tensors.at);
    arena_free(&files->arena);
    free(files);
}

size_t safetensors_count(const struct safetensors *files)
{
    return files->tensors.n;
}

const struct tensor *safetensors_at(const struct safetensors *files, size_t i)
{
    assert(i < files->tensors.n);
    return &files->tensors.at[i];
}

static int name_of(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct tensor *)tensor)->name);
}

const struct tensor *safetensors_find(const struct safetensors *files, const char *name)
{
    return files->tensors.n ? bsearch(name, files->tensors.at, files->tensors.n, sizeof *files->tensors.at, name_of) : NULL;
}

const char *safetensors_path(const struct safetensors *files, const struct tensor *tensor)
{
    return files->shards[tensor->shard].path;
}

int safetensors_read(const struct safetensors *files, const struct tensor *tensor, uint64_t first, uint64_t n, void *out, struct err *err)
{
    assert(first <= tensor->count && n <= tensor->count - first);
    if (!n)
        return 0;
    uint64_t bits = tensor->bytes * 8 / tensor->count;
    if (first * bits % 8 || n * bits % 8)
        return err_set(err, ERR_DATA, "elements of tensor '%s' in '%s' are %" PRIu64 " bits wide and cannot be read one by one",
                       tensor->name, files->shards[tensor->shard].path, bits);
    return read_at(&files->shards[tensor->shard], out, n * bits / 8, tensor->offset + first * bits / 8, err);
}

static void digest_add_header(struct digest *digest, const struct tensor *tensor)
{
    digest_add_text(digest, tensor->name);
    digest_add_text(digest, tensor->dtype_text);
    digest_add_u64(digest, (uint64_t)tensor->n_dims);
    for (int i = 0; i < tensor->n_dims; i++)
        digest_add_u64(digest, tensor->shape[i]);
}

static int digest_add_bytes(struct digest *digest, const struct safetensors *files, const struct tensor *tensor, void *piece,
                            struct err *err)
{
    for (uint64_t at = 0; at < tensor->bytes;) {
        uint64_t n = tensor->bytes - at < DIGEST_PIECE ? tensor->bytes - at : DIGEST_PIECE;
        int rc = read_at(&files->shards[tensor->shard], piece, n, tensor->offset + at, err);
        if (rc)
            return rc;
        digest_add(digest, piece, (size_t)n);
        at += n;
    }
    return 0;
}

static int digest_tensors(const struct safetensors *files, char hex[DIGEST_HEX], struct err *err)
{
    int rc = 0;
    void *piece = malloc(DIGEST_PIECE);
    struct digest *digest = digest_new();
    if (!piece || !digest)
        rc = err_no_memory(err, "hashing a checkpoint");
    for (size_t i = 0; i < files->tensors.n && !rc; i++) {
        digest_add_header(digest, &files->tensors.at[i]);
        rc = digest_add_bytes(digest, files, &files->tensors.at[i], piece, err);
    }
    if (digest)
        digest_finish(digest, hex);
    free(piece);
    return rc;
}

int safetensors_digest(const struct safetensors *files, char hex[DIGEST_HEX], struct err *err)
{
    static const char what[] = "tensors";
    char key[DIGEST_HEX];
    int descriptors[SHARDS_MOST];
    for (int i = 0; i < files->n_shards; i++)
        descriptors[i] = files->shards[i].fd;
    bool lasting = known_key(key, what, descriptors, (size_t)files->n_shards);
    if (lasting && known_find(key, hex))
        return 0;
    int rc = digest_tensors(files, hex, err);
    if (!rc && lasting)
        known_add(key, hex, what, descriptors, (size_t)files->n_shards);
    return rc;
}
