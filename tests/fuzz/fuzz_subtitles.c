/* Subtitles of both forms on any bytes, through a file, and what prompts say of them. */
#include "datasets/subtitles.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char path[] = "/tmp/toksweep-fuzz-XXXXXX";

static void file_remove(void)
{
    remove(path);
}

static void file_write(const uint8_t *bytes, size_t length)
{
    static int fd = -1;
    if (fd < 0 && ((fd = mkstemp(path)) < 0 || atexit(file_remove)))
        abort();
    if (ftruncate(fd, 0) || (length && pwrite(fd, bytes, length, 0) != (ssize_t)length))
        abort();
}

static void prompts_make(const struct subtitles *subtitles, struct arena *arena)
{
    if (!subtitles_list(subtitles, 29.97, 100000, 768, SUBTITLES_BY_SET, arena) ||
        !subtitles_list(subtitles, 25, 71, 32, SUBTITLES_BY_TIME, arena) || !subtitles_interleave(subtitles, 16, arena))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct manifest manifest = {0};
    struct build build = {.manifest = &manifest};
    struct subtitle_shelf shelf = {.digest = digest_new()};
    struct err err = {0};
    char digest[DIGEST_HEX];
    struct sample samples[3] = {0};
    file_write(bytes, length);
    if (subtitles_attach_srt(&shelf, &build, path, &samples[0], &err) ||
        subtitles_attach_json(&shelf, &build, path, 2, 14.5, &samples[1], &err) ||
        subtitles_attach_json(&shelf, &build, path, 2, 14.5, &samples[2], &err))
        abort();
    if (!samples[1].flaw != !samples[2].flaw || samples[1].subtitles != samples[2].subtitles)
        abort();
    for (int i = 0; i < 2; i++)
        if (!samples[i].flaw)
            prompts_make(samples[i].subtitles, &manifest.arena);
    digest_finish(shelf.digest, digest);
    subtitle_shelf_free(&shelf);
    arena_free(&manifest.arena);
    return 0;
}
