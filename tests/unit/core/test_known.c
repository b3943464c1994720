/* Remembered digests: found again while nothing changed, and never after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/known.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64], path[96], list[128];

static void put(const char *to, const char *bytes, size_t n)
{
    int file = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666); /* the inode stays */
    assert_true(file >= 0 && write(file, bytes, n) == (ssize_t)n);
    close(file);
}

/* As long ago as nobody would doubt; the inode's time of change is now, and cannot be set. */
static void age(void)
{
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}}, tick = {.tv_nsec = 30000000};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    nanosleep(&tick, NULL); /* longer than the clock of a file system takes to go on */
}

static void assert_digest(const char *bytes)
{
    char expected[DIGEST_HEX], found[DIGEST_HEX];
    struct err err = {0};
    digest_of(bytes, strlen(bytes), expected);
    assert_int_equal(known_digest_of_file(path, found, &err), 0);
    assert_string_equal(found, expected);
}

static size_t list_bytes(void)
{
    struct stat about;
    return stat(list, &about) ? 0 : (size_t)about.st_size;
}

/* Puts zeros for the digests of the list: what is found there is not what hashing gives. */
static void forge_list(size_t digits)
{
    struct err err = {0};
    char *text;
    size_t n;
    assert_int_equal(file_load(&text, &n, list, 1 << 22, &err), 0);
    for (size_t line = 0; line + 2 * DIGEST_HEX <= n; line += 2 * DIGEST_HEX)
        memset(text + line + DIGEST_HEX, '0', digits);
    put(list, text, n);
    free(text);
}

static void test_found_again_until_it_changes(void **state)
{
    char hex[DIGEST_HEX];
    struct err err = {0};
    (void)state;
    unlink(list);
    put(path, "one", 3);
    assert_digest("one");
    assert_int_equal(list_bytes(), 0); /* too young to be remembered */
    age();
    assert_digest("one");
    assert_int_equal(list_bytes(), 2 * DIGEST_HEX);
    forge_list(DIGEST_HEX - 1);
    assert_int_equal(known_digest_of_file(path, hex, &err), 0);
    assert_int_equal(strspn(hex, "0"), DIGEST_HEX - 1); /* from the list */
    put(path, "two", 3);
    age(); /* same inode, size and time of modification */
    assert_digest("two");
}

static void test_lines_that_are_none(void **state)
{
    (void)state;
    unlink(list);
    put(path, "three", 5);
    age();
    assert_digest("three");
    forge_list(DIGEST_HEX - 1);
    assert_int_equal(truncate(list, 2 * DIGEST_HEX - 5), 0);
    assert_digest("three");
    forge_list(0);
    assert_digest("three");
}

static void test_a_full_list_begins_anew(void **state)
{
    size_t n = (1 << 20) + 1;
    char *junk = calloc(n, 1);
    (void)state;
    assert_non_null(junk);
    put(list, memset(junk, 'x', n), n);
    free(junk);
    put(path, "four", 4);
    age();
    assert_digest("four");
    assert_int_equal(list_bytes(), 2 * DIGEST_HEX);
}

static void test_what_files_tell_apart(void **state)
{
    char one[DIGEST_HEX], other[DIGEST_HEX], twice[DIGEST_HEX];
    (void)state;
    put(path, "five", 4);
    age();
    int file = open(path, O_RDONLY), files[] = {file, file}, none[] = {-1};
    assert_true(file >= 0 && known_key(one, "a", files, 1) && known_key(other, "b", files, 1) && known_key(twice, "a", files, 2));
    assert_string_not_equal(one, other);
    assert_string_not_equal(one, twice);
    assert_false(known_key(one, "a", none, 1));
    close(file);
}

static int make_folder(void **state)
{
    struct err err;
    (void)state;
    strcpy(folder, "/tmp/toksweep-known-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(list, sizeof list, "%s/toksweep/digests", folder);
    return setenv("XDG_CACHE_HOME", folder, 1) || file_make_folders(list, &err);
}

static int drop_folder(void **state)
{
    char inner[96];
    (void)state;
    snprintf(inner, sizeof inner, "%s/toksweep", folder);
    unlink(path);
    unlink(list);
    rmdir(inner);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_again_until_it_changes),
        cmocka_unit_test(test_lines_that_are_none),
        cmocka_unit_test(test_a_full_list_begins_anew),
        cmocka_unit_test(test_what_files_tell_apart),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
