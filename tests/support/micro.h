/* The micro checkpoint for tests that compute with it: its video, copies of its folder with a shard more, closeness.
 * Header-only: for cmocka tests that link the engine. */
#ifndef TOKSWEEP_TESTS_SUPPORT_MICRO_H
#define TOKSWEEP_TESTS_SUPPORT_MICRO_H

#include "core/err.h"
#include "core/file.h"
#include "datasets/video.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MICRO_SIZE = 108, MICRO_FRAME_W = 120, MICRO_FRAME_H = 90 };

static inline void micro_check(int rc, const struct err *err)
{
    if (rc)
        fail_msg("%s", err->text);
}

/* Fails unless the largest difference is within `tolerance` of the largest magnitude of the truth. */
static inline void micro_assert_close(const char *what, const float *ours, const float *theirs, size_t n, double tolerance)
{
    double most = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)ours[i] - (double)theirs[i]);
        most = difference > most || isnan(difference) ? difference : most;
        scale = fabs((double)theirs[i]) > scale ? fabs((double)theirs[i]) : scale;
    }
    if (!(most <= tolerance * scale))
        fail_msg("%s: off by %g where values reach %g", what, most, scale);
}

/* tools/oracle/pictures.py: frame(t) */
static inline uint8_t micro_pixel(int t, int y, int x, int c)
{
    int flat = 30 + 70 * c + 10 * t, slope = (2 * x + y + 40 * c) & 255, busy = ((x * 7 + y * 13 + c * 29 + t * 31) ^ (x * y >> 3)) & 255;
    const int kinds[] = {flat, slope, busy, (busy + 3 * flat) >> 2};
    return (uint8_t)kinds[(x / 24 + y / 18 + t) % 4];
}

/* The first T frames of the video, resized to the tower's square: out[T][MICRO_SIZE][MICRO_SIZE][3]. */
static inline void micro_frames(int T, uint8_t *out)
{
    static uint8_t source[MICRO_FRAME_W * MICRO_FRAME_H * 3];
    struct err err = {0};
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < MICRO_FRAME_W * MICRO_FRAME_H * 3; i++)
            source[i] = micro_pixel(t, i / 3 / MICRO_FRAME_W, i / 3 % MICRO_FRAME_W, i % 3);
        micro_check(resize_bicubic(source, MICRO_FRAME_W, MICRO_FRAME_H, out + (size_t)t * MICRO_SIZE * MICRO_SIZE * 3, MICRO_SIZE, MICRO_SIZE, &err),
                    &err);
    }
}

/* ---- folders made of the committed ones ---------------------------------------------------------------------------------- */

static inline char *micro_read(const char *folder, const char *name, size_t *length)
{
    char path[512], *bytes;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    micro_check(file_load(&bytes, length, path, 2 << 20, &err), &err);
    return bytes;
}

static inline void micro_write(const char *folder, const char *name, const char *bytes, size_t length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static inline void micro_copy(const char *from, const char *to, const char *name)
{
    size_t length;
    char *bytes = micro_read(from, name, &length);
    micro_write(to, name, bytes, length);
    free(bytes);
}

/* Removes the files and the folder; `folder` becomes a template for mkdtemp again. */
static inline void micro_remove(char *folder, const char *const *names)
{
    char path[512];
    for (; *names; names++) {
        snprintf(path, sizeof path, "%s/%s", folder, *names);
        remove(path);
    }
    remove(folder);
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
}

static const char *const micro_shared[] = {"generation_config.json", "vocab.json", "merges.txt", "added_tokens.json",
                                           "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", NULL};

/* micro-sharded with what `extra` puts over it: config, index and one shard more. `folder` is a template for mkdtemp. */
static inline void micro_put_together(char *folder, const char *extra, const char *shard)
{
    assert_non_null(mkdtemp(folder));
    for (int i = 0; micro_shared[i]; i++)
        micro_copy(FIXTURES_DIR "/micro-sharded", folder, micro_shared[i]);
    micro_copy(extra, folder, "config.json");
    micro_copy(extra, folder, "model.safetensors.index.json");
    micro_copy(extra, folder, shard);
}

static inline void micro_take_apart(char *folder, const char *shard)
{
    const char *names[16] = {"config.json", "model.safetensors.index.json", shard};
    for (int i = 0; micro_shared[i]; i++)
        names[3 + i] = micro_shared[i];
    micro_remove(folder, names);
}

#endif
