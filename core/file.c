/* Reading and writing a file whole. */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int descriptor_check(int fd, const char *path, size_t most, size_t *size, struct err *err)
{
    struct stat stat;
    if (fstat(fd, &stat))
        return err_errno(err, "read", path);
    if (!S_ISREG(stat.st_mode))
        return err_set(err, ERR_IO, "'%s' is not a file", path);
    if ((uint64_t)stat.st_size > most)
        return err_set(err, ERR_DATA, "'%s' has %lld bytes, more than the %zu that are accepted for such a file", path,
                       (long long)stat.st_size, most);
    *size = (size_t)stat.st_size;
    return 0;
}

static int descriptor_read(int fd, const char *path, char *bytes, size_t size, size_t *length, struct err *err)
{
    for (*length = 0; *length < size;) {
        ssize_t n = read(fd, bytes + *length, size - *length);
        if (n < 0)
            return err_errno(err, "read", path);
        if (n == 0)
            break;
        *length += (size_t)n;
    }
    bytes[*length] = 0;
    return 0;
}

int file_load(char **bytes, size_t *length, const char *path, size_t most, struct err *err)
{
    *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "open", path);
    size_t size = 0;
    char *buffer = NULL;
    int rc = descriptor_check(fd, path, most, &size, err);
    if (!rc && !(buffer = malloc(size + 1)))
        rc = err_no_memory(err, path);
    if (!rc)
        rc = descriptor_read(fd, path, buffer, size, length, err);
    close(fd);
    if (rc)
        free(buffer);
    else
        *bytes = buffer;
    return rc;
}

static int descriptor_write(int fd, const char *path, const char *bytes, size_t length, struct err *err)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = write(fd, bytes + done, length - done);
        if (n < 0 && errno != EINTR)
            return err_errno(err, "write", path);
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) ? err_errno(err, "write", path) : 0;
}

int file_save(const char *path, const char *bytes, size_t length, struct err *err)
{
    char beside[4096];
    int n = snprintf(beside, sizeof beside, "%s.%ld.part", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof beside)
        return err_set(err, ERR_IO, "cannot write '%.200s...': the path is too long", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_errno(err, "write", path);
    int rc = descriptor_write(fd, path, bytes, length, err);
    if (close(fd) && !rc)
        rc = err_errno(err, "write", path);
    if (!rc && rename(beside, path))
        rc = err_errno(err, "write", path);
    if (rc)
        unlink(beside);
    return rc;
}

int file_make_folders(const char *path, struct err *err)
{
    char *copy = strdup(path);
    int rc = copy ? 0 : err_no_memory(err, "a path");
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && !rc; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0777) && errno != EEXIST)
            rc = err_errno(err, "make folder", copy);
        *slash = '/';
    }
    free(copy);
    return rc;
}

bool file_cache_path(char *path, size_t size, const char *name)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (xdg && *xdg)
        length = snprintf(path, size, "%s/toksweep/%s", xdg, name);
    else if (home && *home)
        length = snprintf(path, size, "%s/.cache/toksweep/%s", home, name);
    return length >= 0 && (size_t)length < size;
}

bool path_stays_inside(const char *path)
{
    if (strlen(path) > 1000)
        return false;
    for (const char *part = path;; part += strcspn(part, "/") + 1) {
        size_t n = strcspn(part, "/");
        if (!n || n > 200 || (part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.'))))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)part[i] < ' ' || part[i] == '\\' || part[i] == 0x7f)
                return false;
        if (!part[n])
            return true;
    }
}
