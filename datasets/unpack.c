#include "datasets/unpack.h"

#include "core/arena.h"
#include "core/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

/* The parts as one stream of bytes. */
struct stream {
    const char *const *parts;
    int file; /* of parts[0], -1: not open */
    char bytes[READ_BYTES];
};

static la_ssize_t stream_read(struct archive *archive, void *context, const void **bytes)
{
    struct stream *stream = context;
    *bytes = stream->bytes;
    while (*stream->parts) {
        if (stream->file < 0 && (stream->file = open(*stream->parts, O_RDONLY | O_CLOEXEC)) < 0) {
            archive_set_error(archive, errno, "cannot open '%s': %s", *stream->parts, strerror(errno));
            return ARCHIVE_FATAL;
        }
        ssize_t n = read(stream->file, stream->bytes, sizeof stream->bytes);
        if (n > 0)
            return n;
        if (n < 0) {
            archive_set_error(archive, errno, "cannot read '%s': %s", *stream->parts, strerror(errno));
            return ARCHIVE_FATAL;
        }
        close(stream->file);
        stream->file = -1;
        stream->parts++;
    }
    return 0;
}

struct unpack {
    struct archive *archive;
    const char *name, *folder; /* name: of the first part, for messages */
    const atomic_bool *stop;
    size_t n_files, n_there;
    struct arena arena;
};

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), n = strlen(end);
    return length > n && !strcmp(name + length - n, end);
}

size_t archive_stem(const char *name)
{
    static const char *const beside[] = {".md5", ".sha256", ".json", ".txt", ".idx"}; /* what lies beside archives under their names */
    const char *tar = strstr(name, ".tar");
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        if (ends_with(name, beside[i]))
            return 0;
    if (tar && tar > name && (tar[4] == 0 || tar[4] == '.'))
        return (size_t)(tar - name);
    return ends_with(name, ".zip") || ends_with(name, ".tgz") ? strlen(name) : 0;
}

static int cannot_read(const struct unpack *unpack, struct err *err)
{
    const char *why = archive_error_string(unpack->archive);
    return err_set(err, ERR_DATA, "cannot read archive '%s': %s; remove it and fetch it again", unpack->name, why ? why : "it ends early");
}

/* The system's own failures first: a disk that is full is no fault of the archive. */
static int write_bytes(const struct unpack *unpack, int file, const char *path, struct err *err)
{
    const void *bytes;
    size_t n;
    la_int64_t at;
    int got;
    while ((got = archive_read_data_block(unpack->archive, &bytes, &n, &at)) == ARCHIVE_OK) {
        if (atomic_load(unpack->stop))
            return err_set(err, ERR_REMOTE, "unpacking '%s' was stopped; give the command again to go on", unpack->name);
        for (size_t done = 0; done < n;) {
            ssize_t wrote = pwrite(file, (const char *)bytes + done, n - done, (off_t)at + (off_t)done);
            if (wrote < 0 && errno != EINTR)
                return err_errno(err, "write", path);
            done += wrote > 0 ? (size_t)wrote : 0;
        }
    }
    return got == ARCHIVE_EOF ? 0 : cannot_read(unpack, err);
}

static bool is_whole(struct archive_entry *entry, const char *path)
{
    struct stat there;
    return archive_entry_size_is_set(entry) && !stat(path, &there) && S_ISREG(there.st_mode) && there.st_size == archive_entry_size(entry);
}

static int unpack_file(struct unpack *unpack, struct archive_entry *entry, const char *path, struct err *err)
{
    if (is_whole(entry, path)) {
        unpack->n_there++;
        return 0;
    }
    const char *partial = arena_printf(&unpack->arena, "%s.incomplete", path);
    int rc = partial ? file_make_folders(path, err) : err_no_memory(err, "a path"), file;
    if (rc)
        return rc;
    if ((file = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666)) < 0)
        return err_errno(err, "write", partial);
    rc = write_bytes(unpack, file, partial, err);
    if (!rc && archive_entry_size_is_set(entry) && ftruncate(file, archive_entry_size(entry))) /* a hole at the end */
        rc = err_errno(err, "write", partial);
    if (close(file) && !rc)
        rc = err_errno(err, "write", partial);
    if (!rc && rename(partial, path))
        rc = err_errno(err, "write", path);
    if (rc)
        unlink(partial);
    unpack->n_files += !rc;
    return rc;
}

static int unpack_entry(struct unpack *unpack, struct archive_entry *entry, struct err *err)
{
    const char *name = archive_entry_pathname_utf8(entry) ? archive_entry_pathname_utf8(entry) : archive_entry_pathname(entry);
    bool is_link = archive_entry_hardlink(entry) || archive_entry_symlink(entry);
    while (name && !strncmp(name, "./", 2))
        name += 2;
    if (name && !*name)
        return 0; /* the folder itself */
    bool is_folder = archive_entry_filetype(entry) == AE_IFDIR;
    size_t length = name ? strlen(name) : 0;
    char *plain = name ? arena_strndup(&unpack->arena, name, is_folder && name[length - 1] == '/' ? length - 1 : length) : NULL;
    if (!plain)
        return name ? err_no_memory(err, "a path") : err_set(err, ERR_DATA, "archive '%s' has an entry without a readable name", unpack->name);
    if (!path_stays_inside(plain))
        return err_set(err, ERR_DATA, "archive '%s' has entry '%s', which leads out of the folder; do not trust what else is in it", unpack->name, name);
    if (is_link || (!is_folder && archive_entry_filetype(entry) != AE_IFREG))
        return err_set(err, ERR_DATA, "archive '%s' has entry '%s', which is neither a file nor a folder; unpack it by hand if you trust it",
                       unpack->name, name);
    const char *path = arena_printf(&unpack->arena, "%s/%s%s", unpack->folder, plain, is_folder ? "/" : "");
    if (!path)
        return err_no_memory(err, "a path");
    return is_folder ? file_make_folders(path, err) : unpack_file(unpack, entry, path, err);
}

static int unpack_all(struct unpack *unpack, struct err *err)
{
    struct archive_entry *entry;
    int got, rc = 0;
    while (!rc && (got = archive_read_next_header(unpack->archive, &entry)) != ARCHIVE_EOF) {
        rc = got == ARCHIVE_OK || got == ARCHIVE_WARN ? unpack_entry(unpack, entry, err) : cannot_read(unpack, err);
        arena_reset(&unpack->arena);
    }
    return rc;
}

/* One file is opened by its name: a zip is then read by its list of entries. */
static int open_parts(struct unpack *unpack, const char *const *parts, struct stream *stream, struct err *err)
{
    archive_read_support_filter_all(unpack->archive);
    archive_read_support_format_zip(unpack->archive);
    archive_read_support_format_tar(unpack->archive);
    int got = parts[1] ? archive_read_open(unpack->archive, stream, NULL, stream_read, NULL)
                       : archive_read_open_filename(unpack->archive, parts[0], READ_BYTES);
    return got == ARCHIVE_OK ? 0 : cannot_read(unpack, err);
}

int archive_unpack(const char *const *parts, const char *folder, const atomic_bool *stop, size_t *n_files, size_t *n_there, struct err *err)
{
    struct unpack unpack = {.archive = archive_read_new(), .name = parts[0], .folder = folder, .stop = stop};
    struct stream *stream = malloc(sizeof *stream);
    int rc = unpack.archive && stream ? 0 : err_no_memory(err, "an archive");
    if (stream) {
        stream->parts = parts;
        stream->file = -1;
    }
    if (!rc && !(rc = open_parts(&unpack, parts, stream, err)))
        rc = unpack_all(&unpack, err);
    archive_read_free(unpack.archive);
    if (stream && stream->file >= 0)
        close(stream->file);
    free(stream);
    arena_free(&unpack.arena);
    *n_files = unpack.n_files;
    *n_there = unpack.n_there;
    return rc;
}
