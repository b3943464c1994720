/* Videos: which frame is which, however it was reached, and a clear error where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "core/rng.h"
#include "datasets/video.h"
#include "tests/support/clip.h"

#include <libavutil/pixfmt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHANNELS = 3, SIDE = 48, MOST_INDICES = 512 };

/* ---- A folder of its own for every test ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/toksweep-video-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* A path inside the folder; valid until the next call. */
static const char *inside(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- Shorthands that fail the test ---- */

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(inside(name), "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void render(const char *name, struct clip clip)
{
    struct err err;
    if (clip_render(inside(name), &clip, &err) < 0)
        fail_msg("%s", err.text);
}

static struct video *open_ref(struct video_ref ref, int threads)
{
    struct video *video;
    struct err err;
    if (video_open(&video, &ref, threads, &err) < 0)
        fail_msg("%s", err.text);
    return video;
}

static struct video *open_clip(const char *name, int threads)
{
    return open_ref((struct video_ref){.path = inside(name), .start_s = -1}, threads);
}

static void expect_open_error(struct video_ref ref, int code, const char *words)
{
    struct video *video;
    struct err err = {0};
    assert_int_equal(video_open(&video, &ref, 1, &err), code);
    assert_null(video);
    if (!strstr(err.text, words) || !strstr(err.text, ref.path))
        fail_msg("expected '%s' and the path in: %s", words, err.text);
}

static struct frames read_frames(struct video *video, const uint32_t *index, size_t n, int side, size_t *n_replaced)
{
    struct frames frames;
    struct err err;
    if (video_read(video, index, n, side, &frames, n_replaced, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(frames.n, n);
    return frames;
}

static size_t all_indices(const struct video *video, uint32_t *index)
{
    uint32_t n = video_facts(video)->n_frames;
    assert_true(n <= MOST_INDICES);
    for (uint32_t i = 0; i < n; i++)
        index[i] = i;
    return n;
}

static const uint8_t *picture(const struct frames *frames, size_t i)
{
    return frames->rgb + i * (size_t)frames->width * (size_t)frames->height * CHANNELS;
}

static int number_at(const struct frames *frames, size_t i)
{
    return clip_number(picture(frames, i), frames->width, frames->height);
}

/* ---- Which frame is which ---- */

/* Every frame in order, at full size and resized, carries its own number. */
static void check_numbers(const char *name, uint32_t n_frames)
{
    struct video *video = open_clip(name, 1);
    assert_int_equal(video_facts(video)->n_frames, n_frames);
    uint32_t index[MOST_INDICES];
    for (int side = 0; side <= SIDE; side += SIDE) {
        size_t n_replaced;
        struct frames frames = read_frames(video, index, all_indices(video, index), side, &n_replaced);
        assert_int_equal(n_replaced, 0);
        for (size_t i = 0; i < frames.n; i++)
            if (number_at(&frames, i) != (int)i)
                fail_msg("%s: frame %zu shows number %d", name, i, number_at(&frames, i));
        frames_free(&frames);
    }
    video_close(video);
}

static size_t random_indices(uint32_t *index, uint32_t n_frames, uint64_t round)
{
    static const uint32_t gaps[] = {2, 9, 40, 90};
    uint32_t gap = gaps[round % 4];
    size_t n = 0;
    for (uint32_t i = (uint32_t)(rng_u64(round, 0, 0) % gap); i < n_frames; i += 1 + (uint32_t)(rng_u64(round, 1, n) % gap))
        index[n++] = i;
    if (round % 3 == 0 && n > 0)
        index[n - 1] = n_frames - 1;
    return n;
}

/* Some of the frames are, byte for byte, what they are among all of them, with any number of threads. */
static void check_subsets(const char *name)
{
    struct video *one = open_clip(name, 1), *three = open_clip(name, 3);
    uint32_t index[MOST_INDICES];
    size_t n_replaced;
    struct frames all = read_frames(one, index, all_indices(one, index), SIDE, &n_replaced);
    for (uint64_t round = 0; round < 24; round++) {
        size_t n = random_indices(index, video_facts(one)->n_frames, round);
        struct frames some = read_frames(round % 2 ? three : one, index, n, SIDE, &n_replaced);
        for (size_t i = 0; i < n; i++)
            if (memcmp(picture(&some, i), picture(&all, index[i]), SIDE * SIDE * CHANNELS))
                fail_msg("%s: frame %u of a subset is not frame %u of all", name, index[i], index[i]);
        assert_memory_equal(some.index, index, n * sizeof *index);
        frames_free(&some);
    }
    frames_free(&all);
    video_close(one);
    video_close(three);
}

static void test_containers(void **state)
{
    (void)state;
    static const char *const names[] = {"clip.mp4", "clip.mov", "clip.mkv", "clip.avi", "clip.ts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        render(names[i], (struct clip){.n_frames = 130});
        check_numbers(names[i], 130);
        check_subsets(names[i]);
    }
}

/* In avi and ts B-frames are where presentation times get lost: ranks then come from counting. */
static void test_b_frames(void **state)
{
    (void)state;
    static const char *const names[] = {"b.mp4", "b.mkv", "b.avi", "b.ts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        render(names[i], (struct clip){.n_frames = 121, .b_frames = 2, .gop = 24});
        check_numbers(names[i], 121);
        check_subsets(names[i]);
    }
}

static void test_other_codecs(void **state)
{
    (void)state;
    render("jpeg.avi", (struct clip){.n_frames = 60, .codec = CLIP_MJPEG});
    render("ffv1.mkv", (struct clip){.n_frames = 60, .codec = CLIP_FFV1});
    render("deep.mkv", (struct clip){.n_frames = 60, .codec = CLIP_FFV1, .ten_bits = true});
    static const char *const names[] = {"jpeg.avi", "ffv1.mkv", "deep.mkv"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check_numbers(names[i], 60);
        check_subsets(names[i]);
    }
}

static void test_odd_sizes(void **state)
{
    (void)state;
    static const int sizes[][2] = {{17, 16}, {33, 47}, {98, 101}, {131, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        render("odd.mkv", (struct clip){.n_frames = 20, .width = sizes[i][0], .height = sizes[i][1], .codec = CLIP_FFV1});
        check_numbers("odd.mkv", 20);
    }
}

static void test_one_frame(void **state)
{
    (void)state;
    render("one.mp4", (struct clip){.n_frames = 1});
    check_numbers("one.mp4", 1);
}

/* ---- Times and sizes ---- */

static void test_facts(void **state)
{
    (void)state;
    render("facts.mp4", (struct clip){.n_frames = 50, .width = 96, .height = 64, .fps = 20});
    struct video *video = open_clip("facts.mp4", 1);
    const struct video_facts *facts = video_facts(video);
    assert_int_equal(facts->width, 96);
    assert_int_equal(facts->height, 64);
    assert_int_equal(facts->n_frames, 50);
    assert_int_equal(facts->rotation, 0);
    assert_true(facts->fps == 20.0);
    assert_true(facts->duration_s == 2.5);
    video_close(video);
}

/* Indices count frames, not time; time comes beside them. */
static void test_varying_rate(void **state)
{
    (void)state;
    static const char *const names[] = {"vfr.mp4", "vfr.mkv"};
    for (size_t f = 0; f < 2; f++) {
        render(names[f], (struct clip){.n_frames = 90, .varying = true, .b_frames = 2});
        check_numbers(names[f], 90);
        check_subsets(names[f]);
        struct video *video = open_clip(names[f], 1);
        size_t n_replaced;
        struct frames frames = read_frames(video, (uint32_t[]){0, 1, 2, 3, 30}, 5, SIDE, &n_replaced);
        static const int ticks[] = {0, 1, 3, 6, 60};
        for (size_t i = 0; i < frames.n; i++)
            assert_true(fabs(frames.time_s[i] - ticks[i] / 25.0) < 1e-9);
        assert_true(frames.decode_ms > 0 && frames.resize_ms > 0);
        frames_free(&frames);
        video_close(video);
    }
}

static void test_rotation(void **state)
{
    (void)state;
    static const int turns[] = {0, 90, 180, 270};
    for (size_t i = 0; i < 4; i++) {
        /* The picture is painted upright, so the number is only legible when the turn is undone. */
        render("turned.mp4", (struct clip){.n_frames = 30, .width = 96, .height = 64, .rotation = turns[i]});
        struct video *video = open_clip("turned.mp4", 1);
        const struct video_facts *facts = video_facts(video);
        assert_int_equal(facts->rotation, turns[i]);
        assert_int_equal(facts->width, turns[i] % 180 ? 64 : 96);
        assert_int_equal(facts->height, turns[i] % 180 ? 96 : 64);
        for (int side = 0; side <= SIDE; side += SIDE) {
            size_t n_replaced;
            struct frames frames = read_frames(video, (uint32_t[]){5, 29}, 2, side, &n_replaced);
            assert_int_equal(number_at(&frames, 0) == 5, turns[i] == 0);
            assert_int_equal(frames.width, side ? side : facts->width);
            /* The white corner goes round clockwise. */
            static const int corners[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
            for (size_t c = 0; c < 4; c++) {
                int x = corners[c][0] ? frames.width - 6 : 5, y = corners[c][1] ? frames.height - 6 : 5;
                assert_int_equal(picture(&frames, 1)[(y * frames.width + x) * CHANNELS] > 128, c == i);
            }
            frames_free(&frames);
        }
        video_close(video);
    }
}

/* ---- Colour ---- */

static void check_colour(struct clip clip, int tolerance)
{
    static const uint8_t colours[][CHANNELS] = {{200, 40, 60}, {20, 180, 90}, {30, 60, 220}, {255, 255, 255}, {0, 0, 0}, {128, 128, 128}};
    for (size_t i = 0; i < sizeof colours / sizeof *colours; i++) {
        uint8_t colour[CHANNELS];
        memcpy(colour, colours[i], CHANNELS);
        clip.n_frames = 3;
        clip.paint = clip_paint_flat;
        clip.context = colour;
        render("colour.mkv", clip);
        struct video *video = open_clip("colour.mkv", 1);
        size_t n_replaced;
        struct frames frames = read_frames(video, (uint32_t[]){1}, 1, 0, &n_replaced);
        for (size_t p = 0; p < (size_t)frames.width * (size_t)frames.height * CHANNELS; p++)
            if (abs(frames.rgb[p] - colour[p % CHANNELS]) > tolerance)
                fail_msg("colour %zu, channel %zu: %d, expected %d", i, p % CHANNELS, frames.rgb[p], colour[p % CHANNELS]);
        frames_free(&frames);
        video_close(video);
    }
}

/* Without tags BT.601 of limited range is meant; tags are honoured. Products are cut, not rounded, hence up to 3 levels. */
static void test_colour(void **state)
{
    (void)state;
    check_colour((struct clip){.codec = CLIP_FFV1}, 3);
    check_colour((struct clip){.codec = CLIP_FFV1, .matrix = AVCOL_SPC_BT709}, 3);
    check_colour((struct clip){.codec = CLIP_FFV1, .full_range = true}, 3);
    check_colour((struct clip){.codec = CLIP_FFV1, .full_range = true, .matrix = AVCOL_SPC_BT709}, 3);
    check_colour((struct clip){.codec = CLIP_FFV1, .ten_bits = true, .matrix = AVCOL_SPC_BT709}, 3);
    check_colour((struct clip){.codec = CLIP_FFV1, .width = 33, .height = 47}, 3);
    check_colour((struct clip){.codec = CLIP_MJPEG}, 4);
}

/* Lossless noise, and what decord made of it: every bit. */
static void test_recorded_colours(void **state)
{
    (void)state;
    static const char *const names[] = {"untagged", "bt709", "full", "wide", "dense"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        snprintf(path, sizeof path, FIXTURES_DIR "/colour/%s.mkv", names[i]);
        struct video *video = open_ref((struct video_ref){.path = path, .start_s = -1}, 1);
        size_t n_replaced, length;
        struct frames frames = read_frames(video, (uint32_t[]){0}, 1, 0, &n_replaced);
        char *expected;
        struct err err;
        snprintf(path, sizeof path, FIXTURES_DIR "/colour/%s.rgb", names[i]);
        assert_int_equal(file_load(&expected, &length, path, 1 << 20, &err), 0);
        assert_int_equal(length, frames.width * frames.height * CHANNELS);
        if (memcmp(frames.rgb, expected, length))
            fail_msg("%s: pixels differ from decord's", names[i]);
        free(expected);
        frames_free(&frames);
        video_close(video);
    }
}

/* ---- Frames that are promised and not shown ---- */

static void test_edit_list(void **state)
{
    (void)state;
    render("edit.mp4", (struct clip){.n_frames = 40, .n_hidden = 5});
    struct video *video = open_clip("edit.mp4", 1);
    assert_int_equal(video_facts(video)->n_frames, 40);
    size_t n_replaced;
    struct frames frames = read_frames(video, (uint32_t[]){0, 3, 4, 5, 6, 39}, 6, SIDE, &n_replaced);
    static const int shown[] = {5, 5, 5, 5, 6, 39};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(number_at(&frames, i), shown[i]);
    assert_int_equal(frames.index[1], 3);
    assert_int_equal(n_replaced, 3);
    frames_free(&frames);
    video_close(video);
    check_subsets("edit.mp4");
}

static void cut_to(const char *name, int percent)
{
    struct stat about;
    assert_int_equal(stat(inside(name), &about), 0);
    assert_int_equal(truncate(inside(name), about.st_size * percent / 100), 0);
}

/* What is left of a cut file is right, and its last frame is there even if its packet is not whole. */
static void test_truncated(void **state)
{
    (void)state;
    static const char *const names[] = {"cut.mp4", "cut.mkv", "cut.avi", "cut.ts"};
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        render(names[f], (struct clip){.n_frames = 100, .index_first = true});
        cut_to(names[f], 60);
        struct video *video = open_clip(names[f], 1);
        uint32_t index[MOST_INDICES], n = video_facts(video)->n_frames;
        assert_in_range(n, 40, 80);
        size_t n_replaced;
        struct frames frames = read_frames(video, index, all_indices(video, index), SIDE, &n_replaced);
        assert_in_range(n_replaced, 0, 1);
        for (uint32_t i = 0; i + 1 < n; i++)
            assert_int_equal(number_at(&frames, i), i);
        assert_int_equal(number_at(&frames, n - 1), n - 1 - n_replaced);
        frames_free(&frames);
        video_close(video);
        check_subsets(names[f]);
    }
}

/* Bytes in the middle are overwritten: frames that do not need them are right, the others are an error, none is a guess. */
static void test_damaged(void **state)
{
    (void)state;
    render("hurt.mp4", (struct clip){.n_frames = 100, .codec = CLIP_MJPEG, .quantiser = 2});
    FILE *file = fopen(inside("hurt.mp4"), "r+b");
    assert_non_null(file);
    struct stat about;
    assert_int_equal(stat(inside("hurt.mp4"), &about), 0);
    assert_int_equal(fseek(file, about.st_size / 2, SEEK_SET), 0);
    for (int i = 0; i < 6000; i++)
        assert_int_not_equal(fputc(0xff, file), EOF);
    fclose(file);

    struct video *video = open_clip("hurt.mp4", 1);
    size_t n_failed = 0;
    for (uint32_t i = 0; i < 100; i++) {
        struct frames frames;
        struct err err = {0};
        size_t n_replaced;
        if (video_read(video, &i, 1, SIDE, &frames, &n_replaced, &err) == 0) {
            assert_int_equal(n_replaced, 0);
            assert_int_equal(number_at(&frames, 0), i);
        } else {
            assert_int_equal(err.code, ERR_DATA);
            assert_non_null(strstr(err.text, "although frames behind it can"));
            assert_non_null(strstr(err.text, "hurt.mp4"));
            assert_null(frames.rgb);
            n_failed++;
        }
        frames_free(&frames);
    }
    assert_in_range(n_failed, 1, 10);
    video_close(video);
}

/* ---- Sizes that change ---- */

static void test_size_changes(void **state)
{
    (void)state;
    render("grow.avi", (struct clip){.n_frames = 20, .codec = CLIP_MJPEG, .width = 64, .height = 48, .late_width = 96, .late_height = 80});
    struct video *video = open_clip("grow.avi", 1);
    size_t n_replaced;
    struct frames frames = read_frames(video, (uint32_t[]){3, 15}, 2, SIDE, &n_replaced);
    assert_int_equal(number_at(&frames, 0), 3);
    assert_int_equal(number_at(&frames, 1), 15);
    frames_free(&frames);

    struct err err = {0};
    assert_int_equal(video_read(video, (uint32_t[]){3, 15}, 2, 0, &frames, &n_replaced, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "frame 15"));
    assert_non_null(strstr(err.text, "96x80, expected 64x48"));
    assert_null(frames.rgb);
    video_close(video);
}

/* ---- Folders of pictures ---- */

static struct video_ref folder_ref(void)
{
    return (struct video_ref){.path = folder, .is_folder = true, .folder_fps = 3, .start_s = -1};
}

static void test_folder(void **state)
{
    (void)state;
    render("%05d.jpg", (struct clip){.n_frames = 12, .width = 96, .height = 64, .codec = CLIP_MJPEG});
    struct video *video = open_ref(folder_ref(), 1);
    const struct video_facts *facts = video_facts(video);
    assert_int_equal(facts->n_frames, 12);
    assert_int_equal(facts->width, 96);
    assert_int_equal(facts->height, 64);
    assert_true(facts->fps == 3.0);
    assert_true(facts->duration_s == 4.0);
    for (int side = 0; side <= SIDE; side += SIDE) {
        size_t n_replaced;
        struct frames frames = read_frames(video, (uint32_t[]){0, 7, 11}, 3, side, &n_replaced);
        assert_int_equal(number_at(&frames, 0), 0);
        assert_int_equal(number_at(&frames, 1), 7);
        assert_int_equal(number_at(&frames, 2), 11);
        assert_true(fabs(frames.time_s[1] - 7 / 3.0) < 1e-9);
        assert_int_equal(n_replaced, 0);
        frames_free(&frames);
    }
    video_close(video);
}

/* Pictures of either kind in the order of their names; whatever else lies there is not counted. */
static void test_folder_order(void **state)
{
    (void)state;
    uint8_t colours[3][CHANNELS] = {{10, 20, 30}, {40, 50, 60}, {70, 80, 90}};
    static const char *const names[] = {"b%d.png", "a%d.PNG", "c%d.png"};
    for (size_t i = 0; i < 3; i++)
        render(names[i], (struct clip){.n_frames = 1, .codec = CLIP_PNG, .paint = clip_paint_flat, .context = colours[i]});
    write_file("a.txt", "no picture");
    write_file(".a.png", "no picture");
    struct video *video = open_ref(folder_ref(), 1);
    assert_int_equal(video_facts(video)->n_frames, 3);
    size_t n_replaced;
    struct frames frames = read_frames(video, (uint32_t[]){0, 1, 2}, 3, 0, &n_replaced);
    static const int order[] = {1, 0, 2};
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(picture(&frames, i), colours[order[i]], CHANNELS);
    frames_free(&frames);
    video_close(video);
}

static void expect_read_error(struct video *video, uint32_t index, const char *words)
{
    struct frames frames;
    struct err err = {0};
    size_t n_replaced;
    assert_int_equal(video_read(video, &index, 1, 0, &frames, &n_replaced, &err), ERR_DATA);
    assert_null(frames.rgb);
    if (!strstr(err.text, words))
        fail_msg("expected '%s' in: %s", words, err.text);
}

/* Pixels are Pillow's, whose chroma filter is not that of video: up to 3 levels, because its inverse transform rounds otherwise. */
static void test_folder_colours(void **state)
{
    (void)state;
    static const char *const recorded[] = {FIXTURES_DIR "/pictures/420.rgb", FIXTURES_DIR "/pictures/422.rgb",
                                           FIXTURES_DIR "/pictures/444.rgb"};
    struct video *video = open_ref((struct video_ref){.path = FIXTURES_DIR "/pictures", .is_folder = true, .folder_fps = 3}, 1);
    size_t n_replaced, length;
    struct frames frames = read_frames(video, (uint32_t[]){0, 1, 2}, 3, 0, &n_replaced);
    for (size_t f = 0; f < 3; f++) {
        char *expected;
        struct err err;
        assert_int_equal(file_load(&expected, &length, recorded[f], 1 << 20, &err), 0);
        assert_int_equal(length, frames.width * frames.height * CHANNELS);
        int worst = 0, sum = 0;
        for (size_t i = 0; i < length; i++) {
            int difference = abs(picture(&frames, f)[i] - (uint8_t)expected[i]);
            worst = difference > worst ? difference : worst;
            sum += difference;
        }
        assert_in_range(worst, 0, 3);
        assert_in_range(sum, 0, length / 5);
        free(expected);
    }
    frames_free(&frames);
    video_close(video);
}

static void test_folder_errors(void **state)
{
    (void)state;
    expect_open_error(folder_ref(), ERR_DATA, "holds no picture");
    expect_open_error((struct video_ref){.path = inside("nowhere"), .is_folder = true}, ERR_IO, "No such file");

    render("%d.png", (struct clip){.n_frames = 4, .codec = CLIP_PNG, .width = 64, .height = 48});
    write_file("2.png", "not a picture at all");
    cut_to("3.png", 60);
    render("4%d.png", (struct clip){.n_frames = 1, .codec = CLIP_PNG, .width = 48, .height = 64});
    struct video *video = open_ref(folder_ref(), 1);
    assert_int_equal(video_facts(video)->n_frames, 5);
    expect_read_error(video, 1, "/2.png' is not a whole picture");
    expect_read_error(video, 2, "/3.png' is not a whole picture");
    expect_read_error(video, 4, "/41.png': its size is 48x64, expected 64x48");
    video_close(video);
}

/* ---- What is no video ---- */

static void test_no_video(void **state)
{
    (void)state;
    struct err err;
    expect_open_error((struct video_ref){.path = inside("nowhere.mp4")}, ERR_IO, "No such file");
    expect_open_error((struct video_ref){.path = folder}, ERR_DATA, "is not a file");
    write_file("empty.mp4", "");
    expect_open_error((struct video_ref){.path = inside("empty.mp4")}, ERR_DATA, "is not a video");
    write_file("text.mp4", "It was a dark and stormy night; the rain fell in torrents.\n");
    expect_open_error((struct video_ref){.path = inside("text.mp4")}, ERR_DATA, "is not a video");
    assert_int_equal(clip_render_sound(inside("sound.mov"), &err), 0);
    expect_open_error((struct video_ref){.path = inside("sound.mov")}, ERR_DATA, "no video stream");
    render("late.mp4", (struct clip){.n_frames = 50});
    cut_to("late.mp4", 50);
    expect_open_error((struct video_ref){.path = inside("late.mp4")}, ERR_DATA, "is not a video");
    render("none.avi", (struct clip){.n_frames = 0});
    expect_open_error((struct video_ref){.path = inside("none.avi")}, ERR_DATA, "without a packet");
}

/* A playlist could name any file of this machine, or of another. */
static void test_playlists_are_refused(void **state)
{
    (void)state;
    render("real.ts", (struct clip){.n_frames = 30});
    char text[512];
    snprintf(text, sizeof text, "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n%s\n#EXT-X-ENDLIST\n", inside("real.ts"));
    write_file("list.mp4", text);
    expect_open_error((struct video_ref){.path = inside("list.mp4")}, ERR_DATA, "unknown container");
    snprintf(text, sizeof text, "ffconcat version 1.0\nfile '%s'\n", inside("real.ts"));
    write_file("concat.mp4", text);
    expect_open_error((struct video_ref){.path = inside("concat.mp4")}, ERR_DATA, "unknown container");
}

static void test_nothing_asked(void **state)
{
    (void)state;
    render("idle.mp4", (struct clip){.n_frames = 5});
    struct video *video = open_clip("idle.mp4", 2);
    size_t n_replaced;
    struct frames frames = read_frames(video, NULL, 0, SIDE, &n_replaced);
    frames_free(&frames);
    video_close(video);
    video_close(NULL);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_containers), IN_FOLDER(test_b_frames), IN_FOLDER(test_other_codecs), IN_FOLDER(test_odd_sizes),
        IN_FOLDER(test_one_frame), IN_FOLDER(test_facts), IN_FOLDER(test_varying_rate), IN_FOLDER(test_rotation),
        IN_FOLDER(test_colour), IN_FOLDER(test_recorded_colours), IN_FOLDER(test_edit_list),
        IN_FOLDER(test_truncated), IN_FOLDER(test_damaged),
        IN_FOLDER(test_size_changes), IN_FOLDER(test_folder), IN_FOLDER(test_folder_order),
        IN_FOLDER(test_folder_colours), IN_FOLDER(test_folder_errors),
        IN_FOLDER(test_no_video), IN_FOLDER(test_playlists_are_refused), IN_FOLDER(test_nothing_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
