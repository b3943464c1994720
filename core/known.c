/* Remembered digests: keys from what the system says of files, and the list of them. */
#include "core/known.h"

#include "core/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 2 * DIGEST_HEX, MOST_BYTES = 1 << 20, SETTLED_S = 2, PATH_BYTES = 4096 };

static void add_time(struct digest *digest, struct timespec at)
{
    digest_add_u64(digest, (uint64_t)at.tv_sec);
    digest_add_u64(digest, (uint64_t)at.tv_nsec);
}

static bool add_file(struct digest *digest, int file, time_t now)
{
    struct stat about;
    if (fstat(file, &about) || !S_ISREG(about.st_mode) || about.st_mtim.tv_sec > now - SETTLED_S)
        return false;
    digest_add_u64(digest, (uint64_t)about.st_dev);
    digest_add_u64(digest, (uint64_t)about.st_ino);
    digest_add_u64(digest, (uint64_t)about.st_size);
    add_time(digest, about.st_mtim);
    add_time(digest, about.st_ctim);
    return true;
}

bool known_key(char key[DIGEST_HEX], const char *what, const int *files, size_t n)
{
    struct digest *digest = digest_new();
    bool settled = digest != NULL;
    time_t now = time(NULL);
    if (digest)
        digest_add_text(digest, what);
    for (size_t i = 0; i < n && settled; i++)
        settled = add_file(digest, files[i], now);
    if (digest)
        digest_finish(digest, key);
    return settled;
}

/* A line that was cut off, or in which others wrote, is none. */
static bool line_digest(const char *line, char hex[DIGEST_HEX])
{
    const char *digest = line + DIGEST_HEX;
    if (strnlen(line, LINE) < LINE || line[DIGEST_HEX - 1] != ' ' || strspn(digest, "0123456789abcdef") != DIGEST_HEX - 1 ||
        digest[DIGEST_HEX - 1] != '\n')
        return false;
    memcpy(hex, digest, DIGEST_HEX - 1);
    hex[DIGEST_HEX - 1] = 0;
    return true;
}

bool known_find(const char key[DIGEST_HEX], char hex[DIGEST_HEX])
{
    char path[PATH_BYTES], *text;
    size_t length;
    struct err ignored;
    if (!file_cache_path(path, sizeof path, "digests") || file_load(&text, &length, path, 2 * MOST_BYTES, &ignored))
        return false;
    bool found = false;
    for (const char *line = text; !found && (line = strstr(line, key)); line++)
        found = line_digest(line, hex);
    free(text);
    return found;
}

void known_add(const char key[DIGEST_HEX], const char hex[DIGEST_HEX], const char *what, const int *files, size_t n)
{
    char path[PATH_BYTES], line[LINE + 1], now[DIGEST_HEX];
    struct stat about;
    struct err ignored;
    if (!known_key(now, what, files, n) || strcmp(now, key) || !file_cache_path(path, sizeof path, "digests") ||
        file_make_folders(path, &ignored))
        return;
    int list = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (list < 0)
        return;
    snprintf(line, sizeof line, "%s %s\n", key, hex);
    bool room = fstat(list, &about) || about.st_size < MOST_BYTES || !ftruncate(list, 0);
    ssize_t written = room ? write(list, line, LINE) : 0;
    (void)written; /* what was cut off is no line: it will be hashed again */
    close(list);
}

int known_digest_of_file(const char *path, char hex[DIGEST_HEX], struct err *err)
{
    static const char what[] = "file";
    char key[DIGEST_HEX];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return err_errno(err, "open", path);
    bool lasting = known_key(key, what, &file, 1);
    int rc = 0;
    if (!lasting || !known_find(key, hex)) {
        rc = digest_of_file(path, hex, err);
        if (!rc && lasting)
            known_add(key, hex, what, &file, 1);
    }
    close(file);
    return rc;
}
