/* Written videos come back as they went in, but for what 4:2:0 and MPEG-4 lose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/digest.h"
#include "datasets/video.h"
#include "datasets/video_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 64, HEIGHT = 48, N = 40, BYTES = WIDTH * HEIGHT * 3 };

static const struct video_form form = {WIDTH, HEIGHT, 2, 2, 16};
static char path[64];

/* Blocks of colour that move by two pixels a frame. */
static void paint(uint8_t *rgb, int i)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++, rgb += 3) {
            int block = (x + 2 * i) / 16 + y / 16 * 3;
            rgb[0] = (uint8_t)(block * 37 % 256);
            rgb[1] = (uint8_t)(block * 91 % 256);
            rgb[2] = (uint8_t)(block * 53 % 256);
        }
}

static void write_video(char hex[DIGEST_HEX])
{
    static uint8_t rgb[BYTES];
    struct video_writer *writer;
    struct err err = {0};
    assert_int_equal(video_write_open(&writer, path, &form, &err), 0);
    for (int i = 0; i < N; i++) {
        paint(rgb, i);
        assert_int_equal(video_write_frame(writer, rgb, &err), 0);
    }
    assert_int_equal(video_write_close(writer, &err), 0);
    assert_int_equal(digest_of_file(path, hex, &err), 0);
}

static void test_what_is_read_is_what_was_written(void **state)
{
    char hex[DIGEST_HEX];
    struct video *video;
    struct frames frames;
    struct err err = {0};
    size_t replaced;
    static uint8_t rgb[BYTES];
    static const uint32_t index[] = {0, 7, 17, N - 1};
    const struct video_ref ref = {.id = "v", .path = path, .start_s = -1, .end_s = -1};
    (void)state;
    write_video(hex);
    assert_int_equal(video_open(&video, &ref, 1, &err), 0);
    assert_int_equal(video_facts(video)->n_frames, N);
    assert_true(video_facts(video)->fps == 2);
    assert_int_equal(video_read(video, index, 4, 0, &frames, &replaced, &err), 0);
    assert_int_equal(replaced, 0);
    for (int k = 0; k < 4; k++) {
        long sum = 0;
        paint(rgb, (int)index[k]);
        for (int p = 0; p < BYTES; p++)
            sum += abs(rgb[p] - frames.rgb[(size_t)k * BYTES + (size_t)p]);
        assert_in_range(sum, 0, 4 * BYTES); /* levels per value */
    }
    frames_free(&frames);
    video_close(video);
}

static void test_the_same_bytes_each_time(void **state)
{
    char first[DIGEST_HEX], second[DIGEST_HEX];
    (void)state;
    write_video(first);
    write_video(second);
    assert_string_equal(first, second);
}

static void test_what_cannot_be_written_is_said(void **state)
{
    struct video_writer *writer;
    struct err err = {0};
    (void)state;
    assert_int_equal(video_write_open(&writer, "/no/such/folder/a.mp4", &form, &err), ERR_IO);
    assert_non_null(strstr(err.text, "/no/such/folder/a.mp4"));
    assert_null(writer);
    if (access("/dev/full", W_OK))
        return;
    static uint8_t rgb[BYTES];
    int rc = video_write_open(&writer, "/dev/full", &form, &err);
    for (int i = 0; i < N && !rc; i++)
        rc = video_write_frame(writer, rgb, &err);
    assert_int_equal(rc ? rc : video_write_close(writer, &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read_is_what_was_written),
        cmocka_unit_test(test_the_same_bytes_each_time),
        cmocka_unit_test(test_what_cannot_be_written_is_said),
    };
    snprintf(path, sizeof path, "/tmp/toksweep-video-write-%ld.mp4", (long)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
