/* Opening a store: what is made, what is accepted, and the words for what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int folder_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    fixture_folder(fixture);
    *state = fixture;
    return 0;
}

static int folder_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* Opening fails with this code and exactly this text, in which %s is the path. */
static void refuses(const struct store_fixture *fixture, enum store_mode mode, int code, const char *format)
{
    char expected[1024];
    const char *at = strstr(format, "%s"), *again = strstr(at + 2, "%s");
    if (again)
        snprintf(expected, sizeof expected, "%.*s%s%.*s%s%s", (int)(at - format), format, fixture->path, (int)(again - at - 2), at + 2,
                 fixture->path, again + 2);
    else
        snprintf(expected, sizeof expected, "%.*s%s%s", (int)(at - format), format, fixture->path, at + 2);
    struct store *store = (struct store *)1;
    struct err err = {0};
    assert_int_equal(store_open(&store, fixture->path, mode, &err), code);
    assert_null(store);
    assert_string_equal(err.text, expected);
}

static void new_store_has_identity_and_wal(void **state)
{
    struct store_fixture *fixture = *state;
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_string_equal(sql(fixture->path, "PRAGMA application_id"), "1953198967");
    assert_string_equal(sql(fixture->path, "PRAGMA user_version"), "10");
    assert_string_equal(sql(fixture->path, "PRAGMA journal_mode"), "wal");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"), "23");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM sqlite_schema WHERE type = 'view'"), "10");
}

static void store_opens_again_for_both(void **state)
{
    struct store_fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        struct store *reader;
        OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
        OK(store_open(&reader, fixture->path, STORE_READ, &err));
        store_close(reader);
        store_close(fixture->store);
        fixture->store = NULL;
    }
}

/* Runs all of a file's statements. */
static void run_file(sqlite3 *db, const char *name)
{
    char path[512], *bytes;
    size_t length;
    char *message = NULL;
    snprintf(path, sizeof path, TESTS_DIR "/../results/%s", name);
    OK(file_load(&bytes, &length, path, 1 << 20, &err));
    if (sqlite3_exec(db, bytes, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", name, message);
    free(bytes);
}

/* A store as version 2 left it, with an answer of each kind. */
static void make_older_store(const struct store_fixture *fixture)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    run_file(db, "schema.sql");
    run_file(db, "schema_2.sql");
    static const char rows[] =
        "PRAGMA application_id = 1953198967; PRAGMA user_version = 2;"
        "INSERT INTO model VALUES (1, 'm', 'm'); INSERT INTO benchmark VALUES (1, 'videomme', 'd', NULL);"
        "INSERT INTO video VALUES (1, 1, 'v', 'v.mp4', 0, 0, 0, -1, -1);"
        "INSERT INTO sample SELECT value, 1, 'q' || value, value, 1, 'q', 0, 't', NULL, NULL, NULL FROM json_each('[0, 1, 2, 3]');"
        "INSERT INTO run VALUES (1, 'c', 's', '{}', '', 'b', '{}', 'h', 'cpu', 'now', NULL, NULL);"
        "INSERT INTO cell VALUES (1, 'c', 1, 1, 'lmms-0.3.4', 4, 'uniform', 'none', '{}', 'none', 'none', 384, 'grid', 'qwen_1_5', "
            "'default', 0, 1, 16,"
        "  'f32', 'mock', 'none', 'b', 0, 1);"
        "INSERT INTO answer (cell_id, sample_id, run_id, status, raw, correct, answered_at) VALUES (1, 0, 1, 'ok', 'A', 1, 'now'),"
        "  (1, 1, 1, 'no_answer', '', 0, 'now'), (1, 2, 1, 'no_answer', 'x', 0, 'now'), (1, 3, 1, 'timeout', NULL, 0, 'now');"
        "INSERT INTO cost (answer_id, frames, frames_encoded, tokens_before, tokens_marker_before, tokens_visual, tokens_marker, "
            "tokens_text,"
        "  tokens_generated, tokens_prefilled) SELECT id, 4, 4, 8, 1, 7, 1, 1, 1, 9 FROM answer;";
    char *message = NULL;
    if (sqlite3_exec(db, rows, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(db);
}

static void older_store_is_brought_up(void **state)
{
    struct store_fixture *fixture = *state;
    make_older_store(fixture);
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    assert_string_equal(sql(fixture->path, "SELECT group_concat(empty, '') FROM answer"), "0100");
    assert_string_equal(sql(fixture->path, "SELECT drop_empty, drop_unread, guesses, macro_types FROM cell"), "1|0|0|0");
    assert_string_equal(sql(fixture->path, "SELECT accuracy, headline_n, n_no_answer, n_failed FROM cell_accuracy"), "0.5|2|2|1");
}

static int take_accuracy(const struct cell_row *row, void *context)
{
    *(double *)context = row->accuracy;
    return 0;
}

/* What a reader needs is in a copy; the file stays what it was, to the byte. */
static void older_store_is_read_as_it_is(void **state)
{
    struct store_fixture *fixture = *state;
    char *before, *after;
    size_t n_before, n_after;
    double accuracy = 0;
    struct err refusal = {0};
    int64_t run;
    make_older_store(fixture);
    OK(file_load(&before, &n_before, fixture->path, 1 << 20, &err));
    OK(store_open(&fixture->store, fixture->path, STORE_READ, &err));
    OK(store_each_cell(fixture->store, "label = 'none'", take_accuracy, &accuracy, &err));
    assert_true(accuracy == 0.5);
    assert_int_equal(fixture_begin_run(fixture->store, &run, &refusal), ERR_IO);
    store_close(fixture->store);
    fixture->store = NULL;
    OK(file_load(&after, &n_after, fixture->path, 1 << 20, &err));
    assert_int_equal(n_before, n_after);
    assert_memory_equal(before, after, n_before);
    free(before);
    free(after);
    assert_string_equal(sql(fixture->path, "PRAGMA user_version"), "2");
}

static void reader_cannot_write(void **state)
{
    struct store_fixture *fixture = *state;
    struct err refusal = {0};
    int64_t run;
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    store_close(fixture->store);
    OK(store_open(&fixture->store, fixture->path, STORE_READ, &err));
    assert_int_equal(fixture_begin_run(fixture->store, &run, &refusal), ERR_IO);
    assert_non_null(strstr(refusal.text, "cannot begin a run in store '"));
    assert_non_null(strstr(refusal.text, "attempt to write a readonly database; make the file and its folder writable, or name another "
                                         "store"));
}

static void empty_file_becomes_a_store(void **state)
{
    struct store_fixture *fixture = *state;
    write_file(fixture->path, "", 0);
    refuses(fixture, STORE_READ, ERR_DATA, "store '%s' is empty; fill it with 'toksweep run SWEEP.yaml --store %s'");
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
}

static void missing_file_is_named(void **state)
{
    refuses(*state, STORE_READ, ERR_IO, "cannot open store '%s': No such file or directory; name a store that 'toksweep run' has written");
    struct store_fixture *fixture = *state;
    assert_int_equal(access(fixture->path, F_OK), -1);
}

static void folder_is_no_store(void **state)
{
    struct store_fixture *fixture = *state;
    memcpy(fixture->path, fixture->folder, sizeof fixture->folder);
    refuses(fixture, STORE_WRITE, ERR_IO, "cannot open store '%s': Is a directory");
}

static void text_file_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    char text[4096];
    memset(text, 'x', sizeof text);
    write_file(fixture->path, text, sizeof text);
    static const char words[] = "'%s' is not a store: it is no SQLite file; name another file, or move this one away";
    refuses(fixture, STORE_WRITE, ERR_DATA, words);
    refuses(fixture, STORE_READ, ERR_DATA, words);
    write_file(fixture->path, "short", 5);
    refuses(fixture, STORE_WRITE, ERR_DATA, words);
    struct stat info;
    assert_int_equal(stat(fixture->path, &info), 0);
    assert_int_equal(info.st_size, 5);
}

static void foreign_database_is_refused_untouched(void **state)
{
    struct store_fixture *fixture = *state;
    sql(fixture->path, "CREATE TABLE theirs (x)");
    refuses(fixture, STORE_WRITE, ERR_DATA,
            "'%s' is an SQLite file of another program (application id 0), not a store of toksweep; name another file");
    sql(fixture->path, "PRAGMA application_id = 77");
    refuses(fixture, STORE_READ, ERR_DATA,
            "'%s' is an SQLite file of another program (application id 77), not a store of toksweep; name another file");
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM sqlite_schema"), "1");
    assert_string_equal(sql(fixture->path, "PRAGMA journal_mode"), "delete");
}

static void newer_version_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    sql(fixture->path, "PRAGMA user_version = 70");
    static const char words[] = "store '%s' has version 70, this program knows versions up to 10; use a newer toksweep, or another store";
    refuses(fixture, STORE_WRITE, ERR_DATA, words);
    refuses(fixture, STORE_READ, ERR_DATA, words);
    sql(fixture->path, "PRAGMA user_version = -1");
    refuses(fixture, STORE_WRITE, ERR_DATA, "store '%s' has version -1, which no toksweep has written; restore a copy, or name another "
                                            "file");
}

static void truncated_file_is_an_error(void **state)
{
    struct store_fixture *fixture = *state;
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    struct stat info;
    assert_int_equal(stat(fixture->path, &info), 0);
    for (off_t length = info.st_size - 512; length > 0; length -= 512) {
        assert_int_equal(truncate(fixture->path, length), 0);
        struct err refusal = {0};
        int rc = store_open(&fixture->store, fixture->path, STORE_WRITE, &refusal);
        if (rc == 0) { /* a lost page may be one that opening does not read; the first use finds it */
            int64_t run;
            rc = fixture_begin_run(fixture->store, &run, &refusal);
            store_close(fixture->store);
            fixture->store = NULL;
        }
        if (rc != 0) {
            assert_int_equal(rc, ERR_DATA);
            assert_non_null(strstr(refusal.text, fixture->path));
        }
    }
}

/* As a user without rights, also where the tests are run by root. */
static int open_without_rights(const char *path, enum store_mode mode, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct err err = {0};
        struct store *store;
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(99);
        int rc = store_open(&store, path, mode, &err);
        _exit(write(ends[1], err.text, strlen(err.text)) < 0 ? 98 : -rc);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, size - 1);
    text[n < 0 ? 0 : n] = 0;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? -WEXITSTATUS(status) : 1;
}

static void permissions_are_respected(void **state)
{
    struct store_fixture *fixture = *state;
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    chmod(fixture->folder, 0755);
    chmod(fixture->path, 0444);
    char text[1024], expected[1024];
    assert_int_equal(open_without_rights(fixture->path, STORE_WRITE, text, sizeof text), ERR_IO);
    snprintf(expected, sizeof expected, "cannot write store '%s': its permissions allow only reading; make it writable, or name another "
                                        "store",
             fixture->path);
    assert_string_equal(text, expected);
    chmod(fixture->path, 0);
    assert_int_equal(open_without_rights(fixture->path, STORE_WRITE, text, sizeof text), ERR_IO);
    snprintf(expected, sizeof expected, "cannot open store '%s': Permission denied", fixture->path);
    assert_string_equal(text, expected);
}

/* A finished store in a folder that cannot be written, under a name that a URI would take apart. */
static void archive_can_be_read(void **state)
{
    struct store_fixture *fixture = *state;
    char text[1024];
    snprintf(fixture->path, sizeof fixture->path, "%s/50%%?a=#1.sqlite", fixture->folder);
    OK(store_open(&fixture->store, fixture->path, STORE_WRITE, &err));
    store_close(fixture->store);
    fixture->store = NULL;
    chmod(fixture->path, 0444);
    chmod(fixture->folder, 0555);
    int rc = open_without_rights(fixture->path, STORE_READ, text, sizeof text);
    if (rc != 0)
        fail_msg("%s", text);
    chmod(fixture->folder, 0755);
}

static int drop_sqrt(sqlite3 *db, const char **message, const struct sqlite3_api_routines *api)
{
    (void)message;
    (void)api;
    return sqlite3_create_function(db, "sqrt", 1, SQLITE_UTF8, NULL, NULL, NULL, NULL);
}

static void missing_math_is_said(void **state)
{
    struct store_fixture *fixture = *state;
    struct err err = {0};
    sqlite3_auto_extension((void (*)(void))drop_sqrt);
    int rc = store_open(&fixture->store, fixture->path, STORE_WRITE, &err);
    sqlite3_reset_auto_extension();
    assert_int_equal(rc, ERR_CONFIG);
    assert_non_null(strstr(err.text, " lacks what the views need ("));
    assert_non_null(strstr(err.text, "function sqrt()); use Debian's libsqlite3-0, or one built with SQLITE_ENABLE_MATH_FUNCTIONS and "
                                     "JSON"));
}

static void many_processes_make_one_store(void **state)
{
    enum { PROCESSES = 8 };
    struct store_fixture *fixture = *state;
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t child[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            char byte;
            struct err err = {0};
            int64_t run;
            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0) /* until all are there */
                _exit(2);
            int rc = store_open(&fixture->store, fixture->path, STORE_WRITE, &err);
            if (rc == 0)
                rc = fixture_begin_run(fixture->store, &run, &err);
            if (rc != 0)
                fprintf(stderr, "%s\n", err.text);
            store_close(fixture->store);
            _exit(rc != 0);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        waitpid(child[i], &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_string_equal(sql(fixture->path, "SELECT count(*) FROM run"), "8");
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    store_close(NULL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(new_store_has_identity_and_wal),
        IN_FOLDER(store_opens_again_for_both),
        IN_FOLDER(older_store_is_brought_up),
        IN_FOLDER(older_store_is_read_as_it_is),
        IN_FOLDER(reader_cannot_write),
        IN_FOLDER(empty_file_becomes_a_store),
        IN_FOLDER(missing_file_is_named),
        IN_FOLDER(folder_is_no_store),
        IN_FOLDER(text_file_is_refused),
        IN_FOLDER(foreign_database_is_refused_untouched),
        IN_FOLDER(newer_version_is_refused),
        IN_FOLDER(truncated_file_is_an_error),
        IN_FOLDER(permissions_are_respected),
        IN_FOLDER(archive_can_be_read),
        IN_FOLDER(missing_math_is_said),
        IN_FOLDER(many_processes_make_one_store),
        cmocka_unit_test(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
