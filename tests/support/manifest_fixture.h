/* For tests of manifests: a folder of its own per test, files in it, and loading with the message checked. */
#ifndef TOKSWEEP_TESTS_SUPPORT_MANIFEST_FIXTURE_H
#define TOKSWEEP_TESTS_SUPPORT_MANIFEST_FIXTURE_H

#include "core/file.h"
#include "datasets/manifest.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SANDBOX_PATH = 512 };

static char sandbox[64];

static inline int sandbox_make(void **state)
{
    (void)state;
    strcpy(sandbox, "/tmp/toksweep-manifest-XXXXXX");
    return mkdtemp(sandbox) ? 0 : -1;
}

static inline int entry_remove(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)stat, (void)flag, (void)ftw;
    return remove(path);
}

static inline int sandbox_remove(void **state)
{
    (void)state;
    return nftw(sandbox, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* "<sandbox>/<name>", in one of a few buffers that take turns. */
static inline const char *at(const char *name)
{
    static char paths[8][SANDBOX_PATH];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, SANDBOX_PATH, "%s/%s", sandbox, name);
    return path;
}

/* Makes the folders of `name`, and a file of those bytes there; none for a name that ends with '/'. */
static inline void put_bytes(const char *name, const char *bytes, size_t length)
{
    char path[SANDBOX_PATH];
    snprintf(path, sizeof path, "%s/%s", sandbox, name);
    for (char *slash = path + strlen(sandbox) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    if (path[strlen(path) - 1] == '/')
        return;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static inline void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

/* The bytes of a fixture, to be freed. */
static inline char *fixture_load(const char *path, size_t *length)
{
    char *bytes;
    struct err err = {0};
    if (file_load(&bytes, length, path, 1 << 20, &err))
        fail_msg("%s", err.text);
    return bytes;
}

static inline void put_copy(const char *name, const char *fixture)
{
    size_t length;
    char *bytes = fixture_load(fixture, &length);
    put_bytes(name, bytes, length);
    free(bytes);
}

static inline struct manifest load_ok(const char *benchmark, const char *path, const char *videos)
{
    struct manifest manifest;
    struct err err = {0};
    if (manifest_load(&manifest, benchmark_find(benchmark), &(struct manifest_source){.path = path, .videos = videos}, &err))
        fail_msg("%s", err.text);
    assert_string_equal(manifest.benchmark, benchmark);
    assert_string_equal(manifest.path, path);
    return manifest;
}

/* What a profile says to the model about a sample, in `arena`. */
static inline struct prompt_text prompt_of(const char *benchmark, const char *profile, enum prompt_form form, const struct sample *sample,
                                           struct arena *arena)
{
    static const struct video_ref video = {.id = "v", .path = "v.mp4", .start_s = -1};
    const struct protocol *protocol = profile_protocol(profile_find(profile), benchmark);
    struct prompt_text prompt;
    struct err err = {0};
    assert_non_null(protocol);
    const struct prompting how = {.protocol = protocol, .form = form, .video = &video, .header_fps = 25, .header_frames = 1500};
    if (benchmark_find(benchmark)->prompt(&prompt, sample, &how, arena, &err))
        fail_msg("%s", err.text);
    return prompt;
}

/* Loading fails with a text of which `part` is a part. */
static inline void load_refused(const char *benchmark, const char *path, int code, const char *part)
{
    struct manifest manifest;
    struct err err = {0};
    assert_int_equal(manifest_load(&manifest, benchmark_find(benchmark), &(struct manifest_source){.path = path}, &err), code);
    if (!strstr(err.text, part))
        fail_msg("the message \"%s\" lacks \"%s\"", err.text, part);
}

#endif
