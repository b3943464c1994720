/* Claims between real processes, and the rules for a claim whose process is gone or cannot be seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_sql.h"

#include <signal.h>
#include <sys/wait.h>

static int64_t cell_of(struct store_fixture *fixture)
{
    int64_t id = 0;
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none", 4), &id, &err));
    return id;
}

static int store_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    if (fixture_open(fixture, 4, &err) != 0)
        fail_msg("%s", err.text);
    cell_of(fixture);
    *state = fixture;
    return 0;
}

static int store_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static bool claim(struct store *store, int64_t run, const char *video)
{
    bool taken = false;
    OK(store_claim(store, run, 1, "videomme", video, &taken, &err));
    return taken;
}

/* Another process with a run of its own that claims `video`, reports one byte ('y' or 'n') and lives until it is killed. */
struct other { pid_t pid; char said; };

static struct other other_claims(const struct store_fixture *fixture, const char *video)
{
    int ends[2];
    struct other other = {0};
    assert_int_equal(pipe(ends), 0);
    other.pid = fork();
    if (other.pid == 0) {
        struct store *store;
        struct err err = {0};
        int64_t run;
        bool taken = false;
        int rc = store_open(&store, fixture->path, STORE_WRITE, &err);
        if (rc == 0)
            rc = fixture_begin_run(store, &run, &err);
        if (rc == 0)
            rc = store_claim(store, run, 1, "videomme", video, &taken, &err);
        char byte = rc ? 'e' : taken ? 'y' : 'n';
        if (write(ends[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &other.said, 1), 1);
    close(ends[0]);
    return other;
}

static void other_dies(struct other other, bool reap)
{
    kill(other.pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)other.pid, &info, WEXITED | (reap ? 0 : WNOWAIT)); /* without reaping it stays a zombie */
}

static void claims_exclude_each_other(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t second = 0;
    OK(fixture_begin_run(fixture->store, &second, &err));
    assert_true(claim(fixture->store, fixture->run, "v0"));
    assert_true(claim(fixture->store, fixture->run, "v0")); /* one's own, again */
    assert_false(claim(fixture->store, second, "v0"));
    assert_true(claim(fixture->store, second, "v1"));
    OK(store_release(fixture->store, second, 1, "videomme", "v0", &err)); /* not its own: nothing happens */
    assert_false(claim(fixture->store, second, "v0"));
    OK(store_release(fixture->store, fixture->run, 1, "videomme", "v0", &err));
    assert_true(claim(fixture->store, second, "v0"));
}

static void claims_are_per_cell(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t second = 0, cell = 0;
    bool taken = false;
    OK(fixture_begin_run(fixture->store, &second, &err));
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none", 8), &cell, &err));
    assert_true(claim(fixture->store, fixture->run, "v0"));
    OK(store_claim(fixture->store, second, cell, "videomme", "v0", &taken, &err));
    assert_true(taken);
}

static void end_of_run_releases_all(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t second = 0;
    OK(fixture_begin_run(fixture->store, &second, &err));
    assert_true(claim(fixture->store, fixture->run, "v0"));
    assert_true(claim(fixture->store, fixture->run, "v1"));
    OK(store_end_run(fixture->store, fixture->run, "done", &err));
    assert_true(claim(fixture->store, second, "v0"));
    assert_true(claim(fixture->store, second, "v1"));
}

static void killed_process_loses_its_claim(void **state)
{
    struct store_fixture *fixture = *state;
    struct other other = other_claims(fixture, "v0");
    assert_int_equal(other.said, 'y');
    assert_false(claim(fixture->store, fixture->run, "v0"));
    other_dies(other, true);
    assert_true(claim(fixture->store, fixture->run, "v0"));
    assert_string_equal(sql(fixture->path, "SELECT count(*), max(run_id) FROM claim"), "1|1");
    other = other_claims(fixture, "v0"); /* and now it is ours */
    assert_int_equal(other.said, 'n');
    other_dies(other, true);
}

static void zombie_loses_its_claim(void **state)
{
    struct store_fixture *fixture = *state;
    struct other other = other_claims(fixture, "v0");
    other_dies(other, false);
    assert_true(claim(fixture->store, fixture->run, "v0"));
    waitpid(other.pid, NULL, 0);
}

/* A number that came back: the process lives, but it started at another time. */
static void reused_pid_is_another_process(void **state)
{
    struct store_fixture *fixture = *state;
    struct other other = other_claims(fixture, "v0");
    assert_false(claim(fixture->store, fixture->run, "v0"));
    sql(fixture->path, "UPDATE claim SET process_start = process_start - 1");
    assert_true(claim(fixture->store, fixture->run, "v0"));
    other_dies(other, true);
}

static void rebooted_host_has_no_claims(void **state)
{
    struct store_fixture *fixture = *state;
    struct other other = other_claims(fixture, "v0");
    sql(fixture->path, "UPDATE claim SET boot = 'an earlier one'");
    assert_true(claim(fixture->store, fixture->run, "v0"));
    other_dies(other, true);
}

/* A process that cannot be seen, on another host or in another container, is believed for ten minutes after it was heard last. */
static void unseen_process_is_believed_for_ten_minutes(void **state)
{
    static const char *const unseen[] = {"UPDATE claim SET host = 'far away'", "UPDATE claim SET pid_space = 'pid:[1]'"};
    struct store_fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        struct other other = other_claims(fixture, "v0");
        other_dies(other, true);
        sql(fixture->path, unseen[i]);
        assert_false(claim(fixture->store, fixture->run, "v0"));
        sql(fixture->path, "UPDATE claim SET renewed_s = unixepoch() - 590");
        assert_false(claim(fixture->store, fixture->run, "v0"));
        sql(fixture->path, "UPDATE claim SET renewed_s = unixepoch() - 600");
        assert_true(claim(fixture->store, fixture->run, "v0"));
        OK(store_release(fixture->store, fixture->run, 1, "videomme", "v0", &err));
    }
}

static void renewing_makes_claims_young(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t second = 0;
    OK(fixture_begin_run(fixture->store, &second, &err));
    assert_true(claim(fixture->store, fixture->run, "v0"));
    assert_true(claim(fixture->store, second, "v1"));
    sql(fixture->path, "UPDATE claim SET renewed_s = 5");
    OK(store_renew_claims(fixture->store, fixture->run, &err));
    assert_string_equal(sql(fixture->path, "SELECT video, renewed_s > unixepoch() - 60 FROM claim ORDER BY video"), "v0|1\nv1|0");
}

static void unknown_cell_is_refused(void **state)
{
    struct store_fixture *fixture = *state;
    bool taken = true;
    struct err err = {0};
    assert_int_equal(store_claim(fixture->store, fixture->run, 99, "videomme", "v0", &taken, &err), ERR_DATA);
    assert_false(taken);
}

/* Many processes go for the same videos at once: each video is taken exactly once. */
static void race_has_one_winner_per_video(void **state)
{
    enum { PROCESSES = 6, VIDEOS = 20 };
    struct store_fixture *fixture = *state;
    int gate[2];
    pid_t child[PROCESSES];
    assert_int_equal(pipe(gate), 0);
    sql(fixture->path, "CREATE TABLE won (video TEXT)");
    for (int p = 0; p < PROCESSES; p++) {
        child[p] = fork();
        if (child[p] == 0) {
            struct store *store;
            struct err err = {0};
            int64_t run;
            char byte, name[16], note[64];
            close(gate[1]);
            int rc = store_open(&store, fixture->path, STORE_WRITE, &err);
            if (rc == 0)
                rc = fixture_begin_run(store, &run, &err);
            if (read(gate[0], &byte, 1) != 0)
                _exit(2);
            for (int v = 0; v < VIDEOS && rc == 0; v++) {
                bool taken = false;
                snprintf(name, sizeof name, "v%d", v);
                rc = store_claim(store, run, 1, "videomme", name, &taken, &err);
                snprintf(note, sizeof note, "INSERT INTO won VALUES ('%s')", name);
                sqlite3 *db = NULL;
                if (taken && (sqlite3_open(fixture->path, &db) || sqlite3_busy_timeout(db, 10000) || sqlite3_exec(db, note, NULL, NULL,
                    NULL)))
                    rc = 1;
                sqlite3_close(db);
            }
            pause(); /* all stay alive until all have tried */
            _exit(rc != 0);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int tries = 0; tries < 500 && strcmp(sql(fixture->path, "SELECT count(*) FROM won"), "20") != 0; tries++)
        pause_ms(20);
    pause_ms(300); /* time for a wrong second winner */
    for (int p = 0; p < PROCESSES; p++)
        other_dies((struct other){.pid = child[p]}, true);
    assert_string_equal(sql(fixture->path, "SELECT count(*), count(DISTINCT video) FROM won"), "20|20");
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(claims_exclude_each_other),
        IN_STORE(claims_are_per_cell),
        IN_STORE(end_of_run_releases_all),
        IN_STORE(killed_process_loses_its_claim),
        IN_STORE(zombie_loses_its_claim),
        IN_STORE(reused_pid_is_another_process),
        IN_STORE(rebooted_host_has_no_claims),
        IN_STORE(unseen_process_is_believed_for_ten_minutes),
        IN_STORE(renewing_makes_claims_young),
        IN_STORE(unknown_cell_is_refused),
        IN_STORE(race_has_one_winner_per_video),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
