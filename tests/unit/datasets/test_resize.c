/* The resize against the published test vectors and against what Pillow recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/digest.h"
#include "core/file.h"
#include "datasets/video.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, HALF = 1 << 21, WEIGHT_BITS = 22 };

static uint8_t *resized(const uint8_t *src, int w, int h, int ow, int oh)
{
    struct err err;
    uint8_t *dst = malloc((size_t)ow * (size_t)oh * CHANNELS);
    assert_non_null(dst);
    assert_int_equal(resize_bicubic(src, w, h, dst, ow, oh, &err), 0);
    return dst;
}

/* A row of grey, and the same as a column, resized along its length. */
static void assert_row(const uint8_t *grey, int n, const uint8_t *expected, int to)
{
    uint8_t src[64 * CHANNELS];
    for (int i = 0; i < n * CHANNELS; i++)
        src[i] = grey[i / CHANNELS];
    uint8_t *row = resized(src, n, 1, to, 1), *column = resized(src, 1, n, 1, to);
    for (int i = 0; i < to * CHANNELS; i++) {
        assert_int_equal(row[i], expected[i / CHANNELS]);
        assert_int_equal(column[i], expected[i / CHANNELS]);
    }
    free(row);
    free(column);
}

static void test_published_rows(void **state)
{
    (void)state;
    assert_row((uint8_t[]){0, 5, 20, 45, 80, 125, 180, 245}, 8, (uint8_t[]){2, 31, 104, 209}, 4);
    assert_row((uint8_t[]){0, 255, 0, 255}, 4, (uint8_t[]){0, 17, 135, 248, 200, 55, 7, 120, 238, 255}, 10);
}

/* One white pixel shows the weight that output `i` gives it. */
static void assert_tap(int in, int out, int i, int place, int32_t weight)
{
    uint8_t *src = calloc((size_t)in, CHANNELS);
    assert_non_null(src);
    memset(src + (size_t)place * CHANNELS, 255, CHANNELS);
    uint8_t *dst = resized(src, in, 1, out, 1);
    int expected = (HALF + 255 * weight) >> WEIGHT_BITS;
    assert_int_equal(dst[i * CHANNELS], expected < 0 ? 0 : expected);
    free(src);
    free(dst);
}

static void test_published_taps(void **state)
{
    (void)state;
    static const int32_t first[] = {1031733, 1352763, 1180254, 671405, 156432, -73750, -92634, -31899};
    static const int32_t inner[] = {-1493, -50046, -92943, -28362, 284800, 792491, 1192705};
    static const int32_t last[] = {-10771, -176013, 315813, 1951922, 2113353};
    for (int t = 0; t < 8; t++)
        assert_tap(1280, 384, 0, t, first[t]);
    for (int t = 0; t < 7; t++) {
        assert_tap(1280, 384, 100, 328 + t, inner[t]);
        assert_tap(1280, 384, 100, 341 - t, inner[t]);
    }
    for (int t = 0; t < 5; t++)
        assert_tap(720, 384, 383, 715 + t, last[t]);
}

static void test_same_size_is_a_copy(void **state)
{
    (void)state;
    uint8_t src[5 * 3 * CHANNELS];
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (uint8_t)(i * 37);
    uint8_t *dst = resized(src, 5, 3, 5, 3);
    assert_memory_equal(dst, src, sizeof src);
    free(dst);
}

static void test_flat_stays_flat(void **state)
{
    (void)state;
    uint8_t src[31 * 17 * CHANNELS];
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (uint8_t[]){3, 128, 252}[i % CHANNELS];
    uint8_t *dst = resized(src, 31, 17, 97, 5);
    for (size_t i = 0; i < 97 * 5 * CHANNELS; i++)
        assert_int_equal(dst[i], src[i % CHANNELS]);
    free(dst);
}

/* ---- The recorded fixture ---- */

/* The generator of tools/oracle/record_resize.py. */
static uint8_t *picture(const char *kind, uint32_t seed, int width, int height)
{
    size_t bytes = (size_t)width * (size_t)height * CHANNELS;
    uint8_t *rgb = malloc(bytes);
    assert_non_null(rgb);
    for (size_t i = 0; i < bytes; i++) {
        uint32_t x = ((uint32_t)i + seed * 1000003u) * 0x9e3779b1u;
        x = (x ^ (x >> 15)) * 0x85ebca77u;
        uint8_t level = (uint8_t)(x >> 24);
        rgb[i] = strcmp(kind, "hard") ? level : level < 128 ? 0 : 255;
    }
    return rgb;
}

static void check_sum(const char *line)
{
    char kind[8], expected[DIGEST_HEX], got[DIGEST_HEX];
    uint32_t seed;
    int w, h, ow, oh;
    assert_int_equal(sscanf(line, "sum %7s %u %d %d %d %d %64s", kind, &seed, &w, &h, &ow, &oh, expected), 7);
    uint8_t *src = picture(kind, seed, w, h), *dst = resized(src, w, h, ow, oh);
    digest_of(dst, (size_t)ow * (size_t)oh * CHANNELS, got);
    if (strcmp(got, expected))
        fail_msg("pixels differ from Pillow's: %s", line);
    free(src);
    free(dst);
}

static void check_row(const char *line)
{
    char kind[8], expected[256];
    uint32_t seed;
    int w, ow;
    assert_int_equal(sscanf(line, "row %7s %u %d %d %255s", kind, &seed, &w, &ow, expected), 5);
    uint8_t *src = picture(kind, seed, w, 1), *dst = resized(src, w, 1, ow, 1);
    assert_int_equal(strlen(expected), ow * CHANNELS * 2);
    for (int i = 0; i < ow * CHANNELS; i++) {
        unsigned value;
        assert_int_equal(sscanf(expected + 2 * i, "%2x", &value), 1);
        assert_int_equal(dst[i], value);
    }
    free(src);
    free(dst);
}

static void test_recorded(void **state)
{
    (void)state;
    char *text;
    size_t length, n_sums = 0, n_rows = 0;
    struct err err;
    assert_int_equal(file_load(&text, &length, FIXTURES_DIR "/resize.txt", 1 << 20, &err), 0);
    for (char *rest = text, *line; (line = strtok_r(rest, "\n", &rest));)
        if (!strncmp(line, "sum ", 4)) {
            check_sum(line);
            n_sums++;
        } else if (!strncmp(line, "row ", 4)) {
            check_row(line);
            n_rows++;
        }
    free(text);
    assert_int_equal(n_sums, 126);
    assert_int_equal(n_rows, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_rows), cmocka_unit_test(test_published_taps), cmocka_unit_test(test_same_size_is_a_copy),
        cmocka_unit_test(test_flat_stays_flat), cmocka_unit_test(test_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
