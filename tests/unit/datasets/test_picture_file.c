/* Pictures in memory: what is written as PNG comes back to the bit, as JPEG nearly; what is no picture is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datasets/video.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3 };

/* Slow waves, that a JPEG can follow, and in the last bit noise, which only a lossless file keeps. */
static uint8_t *paint(int w, int h)
{
    uint8_t *rgb = malloc((size_t)(w * h * CHANNELS));
    for (int i = 0; i < w * h * CHANNELS; i++)
        rgb[i] = (uint8_t)((i / CHANNELS % w + i / CHANNELS / w * (1 + i % CHANNELS)) / 2 % 128 + 40 + i * i % 7 % 2);
    return rgb;
}

static void write_and_read(const uint8_t *rgb, int w, int h, int quantiser, int side, uint8_t *back)
{
    struct err err = {0};
    uint8_t *file;
    size_t n;
    if (picture_encode(&file, &n, rgb, w, h, quantiser, &err) || picture_decode((const char *)file, n, "a picture", side, back, &err))
        fail_msg("%dx%d: %s", w, h, err.text);
    free(file);
}

static void test_png_is_lossless(void **state)
{
    static const int sides[] = {1, 2, 7, 64, 97};
    (void)state;
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        size_t bytes = (size_t)(sides[i] * sides[i] * CHANNELS);
        uint8_t *rgb = paint(sides[i], sides[i]), *back = calloc(bytes, 1);
        write_and_read(rgb, sides[i], sides[i], 0, sides[i], back); /* resizing to its own size changes nothing */
        assert_memory_equal(back, rgb, bytes);
        free(back);
        free(rgb);
    }
}

static void test_what_is_read_is_resized_as_frames_are(void **state)
{
    (void)state;
    enum { W = 51, H = 34, SIDE = 20 };
    uint8_t *rgb = paint(W, H), back[SIDE * SIDE * CHANNELS], expected[SIDE * SIDE * CHANNELS];
    struct err err = {0};
    write_and_read(rgb, W, H, 0, SIDE, back);
    assert_int_equal(resize_bicubic(rgb, W, H, expected, SIDE, SIDE, &err), 0);
    assert_memory_equal(back, expected, sizeof expected);
    free(rgb);
}

static void test_jpeg_is_near(void **state)
{
    (void)state;
    enum { SIDE = 48, BYTES = SIDE * SIDE * CHANNELS };
    uint8_t *rgb = paint(SIDE, SIDE), fine[BYTES], coarse[BYTES];
    double near = 0, far = 0;
    write_and_read(rgb, SIDE, SIDE, 1, SIDE, fine);
    write_and_read(rgb, SIDE, SIDE, 31, SIDE, coarse);
    for (int i = 0; i < BYTES; i++) {
        near += abs(fine[i] - rgb[i]);
        far += abs(coarse[i] - rgb[i]);
    }
    assert_true(near / BYTES < 2);
    assert_true(far > 2 * near);
    free(rgb);
}

static void test_half_a_picture_is_none(void **state)
{
    (void)state;
    enum { SIDE = 32 };
    uint8_t *rgb = paint(SIDE, SIDE), *file, back[SIDE * SIDE * CHANNELS];
    struct err err = {0};
    size_t n;
    assert_int_equal(picture_encode(&file, &n, rgb, SIDE, SIDE, 0, &err), 0);
    assert_int_equal(picture_decode((const char *)file, n / 2, "image 3", SIDE, back, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "'image 3' is not a whole picture"));
    assert_int_equal(picture_decode("GIF89a", 6, "image 4", SIDE, back, &err), ERR_DATA);
    assert_int_equal(picture_decode("", 0, "image 5", SIDE, back, &err), ERR_DATA);
    free(file);
    free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_is_lossless),
        cmocka_unit_test(test_what_is_read_is_resized_as_frames_are),
        cmocka_unit_test(test_jpeg_is_near),
        cmocka_unit_test(test_half_a_picture_is_none),
    };
    return cmocka_run_group_tests_name("picture_file", tests, NULL, NULL);
}
