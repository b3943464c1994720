/* What survives: a process that dies in the middle of a commit, a disk that fills, a file that may not grow, a lock that takes time.
 *
 * SQLite's own system-call table is where writes are made to fail or to be the process's last, so the code under test is the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SAMPLES = 40 };

enum fault { FAULT_NONE, FAULT_NO_SPACE, FAULT_DEATH };

static enum fault fault;
static int writes_left; /* until the fault */

static int store_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    int64_t cell;
    fault = FAULT_NONE;
    if (fixture_open(fixture, SAMPLES, &err) != 0 ||
        fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none", 4), &cell, &err) != 0)
        fail_msg("%s", err.text);
    store_close(fixture->store);
    fixture->store = NULL;
    *state = fixture;
    return 0;
}

static int store_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

/* ---- the write that fails -------------------------------------------------------------------------------------------------- */

static ssize_t write_faulty(int fd, const void *bytes, size_t n, off_t offset)
{
    if (fault != FAULT_NONE && writes_left-- <= 0) {
        ssize_t half = pwrite(fd, bytes, n / 2, offset); /* torn in the middle */
        if (fault == FAULT_DEATH)
            _exit(half < 0 ? 98 : 77);
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, bytes, n, offset);
}

static void writes_go_through_us(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)write_faulty), SQLITE_OK);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)write_faulty); /* whichever this build uses */
}

static int put_next(struct store_fixture *fixture, size_t i, struct err *err)
{
    char reply[4000];
    memset(reply, 'A' + (int)(i % 26), sizeof reply - 1); /* long, so that each answer takes pages of its own */
    reply[sizeof reply - 1] = 0;
    struct answer answer = fixture_answer(true, 4, 100);
    answer.raw = reply;
    return store_put_answer(fixture->store, fixture->run, 1, &fixture->manifest, i, &answer, err);
}

static int64_t answers_in(const struct store_fixture *fixture)
{
    return atoll(sql(fixture->path, "SELECT count(*) FROM answer"));
}

static void store_is_sound(const struct store_fixture *fixture)
{
    assert_string_equal(sql(fixture->path, "PRAGMA integrity_check"), "ok");
    assert_string_equal(sql(fixture->path, "PRAGMA foreign_key_check"), "");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM answer LEFT JOIN cost ON answer_id = answer.id WHERE answer_id IS NULL"),
                        "0");
    assert_string_equal(sql(fixture->path, "SELECT answer_id - coalesce((SELECT max(id) FROM answer), 0) FROM summed"), "0");
    assert_string_equal(sql(fixture->path, "SELECT total(n) - (SELECT count(*) FROM answer) FROM answer_count"), "0.0");
    assert_string_equal(sql(fixture->path, "SELECT total(n) - (SELECT count(*) FROM answer WHERE NOT failed) FROM group_sum WHERE kind = ''"), "0.0");
}

/* ---- tests ----------------------------------------------------------------------------------------------------------------- */

/* The process dies at its k-th write, for every k until it gets through. Every answer that was reported as stored is there. */
static void death_in_a_commit_loses_at_most_that_answer(void **state)
{
    enum { ANSWERS = 3 };
    struct store_fixture *fixture = *state;
    bool got_through = false;
    for (int k = 0; !got_through; k++) {
        int ends[2];
        int64_t before = answers_in(fixture);
        assert_true(k < 200 && before + ANSWERS <= SAMPLES);
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            struct err err = {0};
            if (store_open(&fixture->store, fixture->path, STORE_WRITE, &err) != 0)
                _exit(1);
            fault = FAULT_DEATH;
            writes_left = k;
            for (int64_t i = before; i < before + ANSWERS; i++)
                if (put_next(fixture, (size_t)i, &err) != 0 || write(ends[1], "+", 1) != 1)
                    _exit(1);
            _exit(0);
        }
        close(ends[1]);
        char told[ANSWERS + 1];
        int64_t reported = 0;
        for (ssize_t n; (n = read(ends[0], told, sizeof told)) > 0;)
            reported += n;
        close(ends[0]);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0));
        got_through = WEXITSTATUS(status) == 0;
        assert_true(got_through || k > 0 || reported == 0);
        int64_t after = answers_in(fixture);
        assert_true(after >= before + reported && after <= before + reported + 1);
        store_is_sound(fixture);
        sql(fixture->path, "DELETE FROM cost");
        sql(fixture->path, "DELETE FROM answer");
    }
}

/* The disk is full from the k-th write on, for every k until all get through: the call says so, what was stored stays, and once there is
 * room the same connection goes on. */
static void full_disk_loses_nothing_stored(void **state)
{
    enum { ANSWERS = 3 };
    struct store_fixture *fixture = *state;
    bool got_through = false;
    int refusals = 0;
    for (int k = 0; !got_through; k++) {
        assert_true(k < 200);
        OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
        int64_t stored = 0;
        struct err refusal = {0};
        fault = FAULT_NO_SPACE;
        writes_left = k;
        while (stored < ANSWERS && put_next(fixture, (size_t)stored, &refusal) == 0)
            stored++;
        got_through = stored == ANSWERS;
        if (!got_through) {
            refusals++;
            char expected[1024];
            assert_int_equal(refusal.code, ERR_IO);
            snprintf(expected, sizeof expected, "cannot write an answer in store '%s': database or disk is full; "
                     "every answer committed before is kept: make room, or correct the disk, and run again", fixture->path);
            assert_string_equal(refusal.text, expected);
            assert_int_equal(put_next(fixture, (size_t)stored, &refusal), ERR_IO); /* still full */
        }
        assert_int_equal(answers_in(fixture), stored);
        if (k % 2) { /* odd: the store is closed while the disk is full, and opens later */
            store_close(fixture->store);
            fault = FAULT_NONE;
            OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
        }
        fault = FAULT_NONE;
        OK(put_next(fixture, ANSWERS, &err));
        assert_int_equal(answers_in(fixture), stored + 1);
        store_close(fixture->store);
        fixture->store = NULL;
        store_is_sound(fixture);
        sql(fixture->path, "DELETE FROM cost");
        sql(fixture->path, "DELETE FROM answer");
    }
    assert_true(refusals >= 3);
}

/* The system's own limit on a file's size, in a process of its own. */
static void file_that_may_not_grow_stays_openable(void **state)
{
    struct store_fixture *fixture = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct err err = {0};
        signal(SIGXFSZ, SIG_IGN);
        int rc = store_open(&fixture->store, fixture->path, STORE_WRITE, &err);
        struct rlimit limit = {150000, 150000};
        if (rc != 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(1);
        int64_t stored = 0;
        while (stored < SAMPLES && (rc = put_next(fixture, (size_t)stored, &err)) == 0)
            stored++;
        ssize_t n = write(ends[1], &stored, sizeof stored) + write(ends[1], err.text, strlen(err.text));
        store_close(fixture->store);
        _exit(n < 0 ? 1 : -rc);
    }
    close(ends[1]);
    int64_t stored = -1;
    char text[1024];
    assert_int_equal(read(ends[0], &stored, sizeof stored), sizeof stored);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), -ERR_IO);
    assert_non_null(strstr(text, "disk I/O error (SQLite result code 778); every answer committed before is kept"));
    assert_true(stored > 0 && stored < SAMPLES);
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    assert_int_equal(answers_in(fixture), stored);
    OK(put_next(fixture, (size_t)stored, &err));
    store_is_sound(fixture);
}

/* kill -9 at a moment nobody chose. */
static void killed_writer_leaves_a_sound_store(void **state)
{
    struct store_fixture *fixture = *state;
    for (long delay_ms = 0; delay_ms < 12; delay_ms++) {
        int64_t reported = 0;
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            struct err err = {0};
            if (store_open(&fixture->store, fixture->path, STORE_WRITE, &err) != 0 || write(ends[1], "0", 1) != 1)
                _exit(1);
            for (size_t i = 0; i < SAMPLES && put_next(fixture, i, &err) == 0; i++)
                if (write(ends[1], "+", 1) != 1)
                    _exit(1);
            pause();
        }
        close(ends[1]);
        char told[SAMPLES + 1];
        assert_int_equal(read(ends[0], told, 1), 1); /* it is open */
        pause_ms(delay_ms);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        for (ssize_t n; (n = read(ends[0], told, sizeof told)) > 0;)
            reported += n;
        close(ends[0]);
        int64_t there = answers_in(fixture);
        assert_true(there >= reported && there <= reported + 1);
        store_is_sound(fixture);
        sql(fixture->path, "DELETE FROM cost");
        sql(fixture->path, "DELETE FROM answer");
    }
}

static void writer_waits_for_another_writer(void **state)
{
    struct store_fixture *fixture = *state;
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        if (sqlite3_open(fixture->path, &db) || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) || write(ends[1], "l", 1) != 1)
            _exit(1);
        pause_ms(300);
        _exit(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    OK(put_next(fixture, 0, &err));
    close(ends[0]);
    close(ends[1]);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void reader_sees_answers_as_they_come(void **state)
{
    struct store_fixture *fixture = *state;
    struct store *reader;
    int64_t count[ANSWER_STATUSES];
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    OK(store_open(&reader, fixture->path, STORE_READ, &err));
    for (int64_t i = 0; i < 3; i++) {
        OK(put_next(fixture, (size_t)i, &err));
        OK(store_statuses(reader, count, &err));
        assert_int_equal(count[ANSWER_OK], i + 1);
    }
    store_close(reader);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(death_in_a_commit_loses_at_most_that_answer),
        IN_STORE(full_disk_loses_nothing_stored),
        IN_STORE(file_that_may_not_grow_stays_openable),
        IN_STORE(killed_writer_leaves_a_sound_store),
        IN_STORE(writer_waits_for_another_writer),
        IN_STORE(reader_sees_answers_as_they_come),
    };
    writes_go_through_us();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
