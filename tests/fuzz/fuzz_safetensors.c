/* Any bytes as a safetensors file: opening them fails with a sentence or gives tensors that can be read to their last byte. */
#define _GNU_SOURCE /* memfd_create */
#include "engine/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void read_all(const struct safetensors *files, size_t size)
{
    char hex[DIGEST_HEX];
    struct err err = {0};
    uint64_t total = 0;
    for (size_t i = 0; i < safetensors_count(files); i++) {
        const struct tensor *tensor = safetensors_at(files, i);
        if (safetensors_find(files, tensor->name) != tensor)
            abort();
        total += tensor->bytes;
    }
    if (total > size || safetensors_digest(files, hex, &err))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("safetensors", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    struct safetensors *files;
    struct err err = {0};
    int rc = safetensors_open_file(&files, path, &err);
    if (rc ? rc != err.code || files || !err.text[0] : !files)
        abort();
    if (!rc)
        read_all(files, size);
    safetensors_close(files);
    close(fd);
    return 0;
}
