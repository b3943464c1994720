/* Frame rules against the published golden numbers and against what numpy recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/digest.h"
#include "core/file.h"
#include "datasets/video.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024 };

static uint32_t uniform_at(uint32_t n_frames, size_t most, size_t i)
{
    uint32_t out[MOST];
    assert_int_equal(frame_indices(FRAMES_UNIFORM, n_frames, 25, 0, n_frames - 1, most, out), most);
    return out[i];
}

static void assert_indices(enum frame_rule rule, uint32_t n_frames, double fps, uint32_t first, uint32_t last, size_t most,
                           const uint32_t *expected, size_t n)
{
    uint32_t out[MOST];
    assert_int_equal(frame_indices(rule, n_frames, fps, first, last, most, out), n);
    assert_memory_equal(out, expected, n * sizeof *out);
}

/* A whole video, by a list of numbers. */
#define assert_rule(rule, n_frames, fps, most, ...)                                                                                   \
    do {                                                                                                                              \
        const uint32_t expected_[] = {__VA_ARGS__};                                                                                   \
        assert_indices(rule, n_frames, fps, 0, (n_frames) - 1, most, expected_, sizeof expected_ / sizeof *expected_);                \
    } while (0)

/* Where exact integer arithmetic would give another frame. */
static void test_uniform_is_a_rounded_product(void **state)
{
    (void)state;
    assert_int_equal(uniform_at(154, 64, 21), 50);
    assert_int_equal(uniform_at(154, 64, 42), 101);
    assert_int_equal(uniform_at(154, 64, 49), 118);
    assert_int_equal(uniform_at(162, 64, 45), 114);
    assert_int_equal(uniform_at(134, 96, 45), 62);
    assert_int_equal(uniform_at(694, 160, 53), 230);
    assert_int_equal(uniform_at(2094, 768, 177), 482);
}

static void test_uniform_small(void **state)
{
    (void)state;
    assert_rule(FRAMES_UNIFORM, 10u, 25, 4, 0, 3, 6, 9);
    assert_rule(FRAMES_UNIFORM, 100u, 25, 8, 0, 14, 28, 42, 56, 70, 84, 99);
    assert_rule(FRAMES_UNIFORM, 5u, 25, 8, 0, 0, 1, 1, 2, 2, 3, 4);
    assert_rule(FRAMES_UNIFORM, 2u, 25, 8, 0, 0, 0, 0, 0, 0, 0, 1);
    assert_rule(FRAMES_UNIFORM, 1u, 25, 3, 0, 0, 0);
    assert_rule(FRAMES_UNIFORM, 100u, 25, 1, 0);
}

static void test_one_per_second(void **state)
{
    (void)state;
    assert_rule(FRAMES_1FPS, 100u, 25, 4, 0, 25, 50, 75);
    assert_rule(FRAMES_1FPS, 101u, 25, 8, 0, 25, 50, 75, 100);
    assert_rule(FRAMES_1FPS, 101u, 25, 4, 0, 33, 66, 100);         /* five would be too many: uniform */
    assert_rule(FRAMES_1FPS, 90u, 29.97, 8, 0, 30, 60);
    assert_rule(FRAMES_1FPS, 7u, 2.5, 8, 0, 2, 4, 6);              /* halves to even: 2 */
    assert_rule(FRAMES_1FPS, 7u, 3.5, 8, 0, 4);                    /* and 4 */
    assert_rule(FRAMES_1FPS, 3u, 0.5, 8, 0, 1, 2);                 /* stride 0 is 1 */
    assert_rule(FRAMES_1FPS, 3u, 0.0, 8, 0, 1, 2);
    assert_rule(FRAMES_1FPS, 3u, NAN, 8, 0, 1, 2);
    assert_rule(FRAMES_1FPS, 3u, -4.0, 8, 0, 1, 2);
    assert_rule(FRAMES_1FPS, 3u, INFINITY, 8, 0);
}

static void test_centre(void **state)
{
    (void)state;
    assert_rule(FRAMES_CENTRE, 9u, 25, 4, 1, 3, 5, 7);
    assert_rule(FRAMES_CENTRE, 101u, 25, 2, 25, 75);
    assert_rule(FRAMES_CENTRE, 1u, 25, 3, 0, 0, 0);
    assert_rule(FRAMES_CENTRE, 11u, 25, 4, 1, 3, 6, 9); /* segment 2.5: 2.5 and 7.5 round to 2 and 8 */
}

static void test_bounds(void **state)
{
    (void)state;
    assert_indices(FRAMES_UNIFORM, 1000, 25, 100, 200, 3, (uint32_t[]){100, 150, 200}, 3);
    assert_indices(FRAMES_CENTRE, 1000, 25, 100, 200, 2, (uint32_t[]){125, 175}, 2);
    assert_indices(FRAMES_1FPS, 1000, 25, 110, 170, 8, (uint32_t[]){110, 135, 160}, 3);
    assert_indices(FRAMES_UNIFORM, 10, 25, 4, 99, 2, (uint32_t[]){4, 9}, 2);   /* last is clamped to the video */
    assert_indices(FRAMES_UNIFORM, 10, 25, 40, 99, 2, (uint32_t[]){9, 9}, 2);  /* first too */
    assert_int_equal(frame_indices(FRAMES_UNIFORM, 10, 25, 0, 9, 0, NULL), 0);
}

static void test_long_video(void **state)
{
    (void)state;
    uint32_t out[4];
    assert_int_equal(frame_indices(FRAMES_UNIFORM, UINT32_MAX, 25, 0, UINT32_MAX - 1, 4, out), 4);
    assert_int_equal(out[3], UINT32_MAX - 1);
    assert_int_equal(out[1], (UINT32_MAX - 1) / 3);
    assert_int_equal(frame_indices(FRAMES_1FPS, UINT32_MAX, 1e12, 0, UINT32_MAX - 1, 4, out), 1);
}

static void assert_range(const struct video_facts *facts, double start_s, double end_s, bool is_folder, uint32_t first, uint32_t last)
{
    struct video_ref ref = {.start_s = start_s, .end_s = end_s, .is_folder = is_folder};
    uint32_t got_first = 7, got_last = 7;
    clip_range(facts, &ref, &got_first, &got_last);
    assert_int_equal(got_first, first);
    assert_int_equal(got_last, last);
}

static void test_clip_range(void **state)
{
    (void)state;
    struct video_facts video = {.n_frames = 300, .fps = 30}, folder = {.n_frames = 90, .fps = 3};
    assert_range(&video, -1, 0, false, 0, 299);
    assert_range(&video, 0, 5, false, 0, 150);
    assert_range(&video, 2.5, 99, false, 75, 299);
    assert_range(&video, 0.05, 0.15, false, 2, 4);  /* 1.5 and 4.5: ties to even */
    assert_range(&video, 50, 60, false, 299, 299);
    assert_range(&video, 5, 2, false, 150, 150);
    assert_range(&video, NAN, 2, false, 0, 299);
    assert_range(&folder, 0, 10, true, 0, 29);      /* pictures 1 to 30 */
    assert_range(&folder, 2, 99, true, 5, 89);
    assert_range(&folder, -1, 0, true, 0, 89);
}

/* ---- The recorded fixture ---- */

static void digest_add_row(struct digest *digest, const uint32_t *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[4] = {(uint8_t)row[i], (uint8_t)(row[i] >> 8), (uint8_t)(row[i] >> 16), (uint8_t)(row[i] >> 24)};
        digest_add(digest, bytes, sizeof bytes);
    }
}

static void check_recorded(const char *line)
{
    char rule_name[16], expected[DIGEST_HEX], got[DIGEST_HEX];
    uint32_t longest;
    double fps;
    size_t most;
    assert_int_equal(sscanf(line, "%15s %u %lf %zu %64s", rule_name, &longest, &fps, &most, expected), 5);
    int rule = frame_rule_find(rule_name);
    assert_true(rule >= 0);
    struct digest *digest = digest_new();
    assert_non_null(digest);
    for (uint32_t n = 1; n <= longest; n++) {
        uint32_t out[MOST], first = rule == FRAMES_CENTRE ? n / 4 : 0;
        uint32_t last = rule == FRAMES_CENTRE ? first + (n - 1) / 2 : n - 1;
        digest_add_row(digest, out, frame_indices((enum frame_rule)rule, n, fps, first, last, most, out));
    }
    digest_finish(digest, got);
    if (strcmp(got, expected))
        fail_msg("indices differ from those recorded: %s", line);
}

static void test_recorded(void **state)
{
    (void)state;
    char *text;
    size_t length, n_checked = 0;
    struct err err;
    assert_int_equal(file_load(&text, &length, FIXTURES_DIR "/frame_indices.txt", 1 << 20, &err), 0);
    for (char *rest = text, *line; (line = strtok_r(rest, "\n", &rest));)
        if (line[0] != '#') {
            check_recorded(line);
            n_checked++;
        }
    free(text);
    assert_int_equal(n_checked, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_is_a_rounded_product), cmocka_unit_test(test_uniform_small),
        cmocka_unit_test(test_one_per_second), cmocka_unit_test(test_centre), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_video), cmocka_unit_test(test_clip_range), cmocka_unit_test(test_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
