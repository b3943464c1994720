/* The cheap pass over a file: it gives what the whole pass gives, without falling back on it, and stops at every surprise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datasets/reader.h"
#include "tests/support/clip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHANNELS = 3, SIDE = 32, BYTES = SIDE * SIDE * CHANNELS, N_FRAMES = 120, GOP = 15 };

/* A rendered clip and what opening it finds out. */
struct subject {
    char folder[64], path[96];
    struct packet_table table;
    uint8_t wanted[N_FRAMES];
};

static void subject_make(struct subject *subject, const char *ending, int b_frames)
{
    *subject = (struct subject){0};
    strcpy(subject->folder, "/tmp/toksweep-reader-XXXXXX");
    assert_non_null(mkdtemp(subject->folder));
    snprintf(subject->path, sizeof subject->path, "%s/clip%s", subject->folder, ending);
    struct err err;
    struct clip clip = {.n_frames = N_FRAMES, .gop = GOP, .b_frames = b_frames};
    struct container container;
    if (clip_render(subject->path, &clip, &err) < 0 || container_open(&container, subject->path, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(packet_table_read(&subject->table, &container, subject->path, &err), 0);
    container_close(&container);
    assert_int_equal(subject->table.n, N_FRAMES);
    assert_true(subject->table.timed);
}

static void subject_free(struct subject *subject)
{
    packet_table_free(&subject->table);
    unlink(subject->path);
    rmdir(subject->folder);
}

/* One pass over the subject for some ranks; pictures go to `rgb`. */
static int pass(struct subject *subject, int (*read)(struct reader *, struct err *), const uint32_t *ranks, size_t n, bool give_up,
                uint8_t *rgb)
{
    struct target targets[N_FRAMES] = {0};
    memset(subject->wanted, 0, sizeof subject->wanted);
    for (size_t i = 0; i < n; i++) {
        targets[i] = (struct target){.rank = ranks[i], .dst = rgb + i * BYTES};
        subject->wanted[subject->table.by_rank[ranks[i]]] = 1;
    }
    atomic_bool shared = give_up;
    struct reader reader = {
        .path = subject->path, .table = &subject->table, .wanted = subject->wanted, .targets = targets, .n_targets = n,
        .painter = {.side = SIDE}, .give_up = &shared,
    };
    struct err err;
    int rc = read(&reader, &err);
    reader_close(&reader);
    if (rc < 0)
        fail_msg("%s", err.text);
    return rc;
}

/* Every frame alone, and every stride: with and without seeks, with and without frames to skip. */
static void check_cheap_pass(const char *ending, int b_frames)
{
    struct subject subject;
    subject_make(&subject, ending, b_frames);
    uint8_t *rgb = malloc((size_t)N_FRAMES * BYTES);
    assert_non_null(rgb);
    for (uint32_t stride = 1; stride <= N_FRAMES; stride += 1 + stride / 3)
        for (uint32_t first = 0; first < stride; first += 1 + stride / 7) {
            uint32_t ranks[N_FRAMES];
            size_t n = 0;
            for (uint32_t rank = first; rank < N_FRAMES; rank += stride)
                ranks[n++] = rank;
            if (pass(&subject, reader_read_some, ranks, n, false, rgb) != 0)
                fail_msg("%s: the cheap pass gives up, from %u by %u", ending, first, stride);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(clip_number(rgb + i * BYTES, SIDE, SIDE), ranks[i]);
        }
    free(rgb);
    subject_free(&subject);
}

static void test_no_need_to_fall_back(void **state)
{
    (void)state;
    check_cheap_pass(".mp4", 0);
    check_cheap_pass(".mp4", 2);
    check_cheap_pass(".mkv", 2);
    check_cheap_pass(".avi", 0);
    check_cheap_pass(".ts", 2);
}

static void test_surprises(void **state)
{
    (void)state;
    static const uint32_t ranks[] = {2, 100};
    uint8_t rgb[2 * BYTES];
    struct subject subject;
    subject_make(&subject, ".mp4", 0);
    struct packet_entry *entries = subject.table.entries;
    assert_int_equal(pass(&subject, reader_read_some, ranks, 2, false, rgb), 0);

    entries[1].size++; /* a packet is not the one in the table */
    assert_int_equal(pass(&subject, reader_read_some, ranks, 2, false, rgb), READER_UNSURE);
    entries[1].size--;

    assert_false(entries[97].key);
    entries[97].key = true; /* the container calls a picture a key that is none */
    assert_int_equal(pass(&subject, reader_read_some, ranks, 2, false, rgb), READER_UNSURE);
    entries[97].key = false;

    int64_t pts = entries[90].pts;
    assert_true(entries[90].key);
    entries[90].pts = pts + 1; /* the packet that is sought is not there */
    assert_int_equal(pass(&subject, reader_read_some, ranks, 2, false, rgb), READER_UNSURE);
    entries[90].pts = pts;

    assert_int_equal(pass(&subject, reader_read_some, ranks, 2, true, rgb), READER_UNSURE); /* another reader gave up */
    assert_int_equal(pass(&subject, reader_read_some, ranks, 2, false, rgb), 0);
    assert_int_equal(pass(&subject, reader_read_all, ranks, 2, false, rgb), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(clip_number(rgb + i * BYTES, SIDE, SIDE), ranks[i]);
    subject_free(&subject);
}

/* Decoding starts at the last key picture that is shown no later: frames shown before a key picture need the one before. */
static void test_where_decoding_starts(void **state)
{
    (void)state;
    struct packet_entry entries[] = { /* I0 P3 b1 b2 | I6 b4 b5 P7 */
        {.rank = 0, .key = true}, {.rank = 3}, {.rank = 1}, {.rank = 2}, {.rank = 6, .key = true}, {.rank = 4}, {.rank = 5}, {.rank = 7},
    };
    struct packet_table table = {.entries = entries, .n = 8, .timed = true};
    static const uint32_t starts[] = {0, 0, 0, 0, 4, 0, 0, 4};
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(packet_table_start(&table, i), starts[i]);
    entries[0].key = false; /* nothing to start with: the first packet */
    assert_int_equal(packet_table_start(&table, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_need_to_fall_back), cmocka_unit_test(test_surprises), cmocka_unit_test(test_where_decoding_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
