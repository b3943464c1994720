/* Store, claims: which process computes a cell's answers on a video, so that two processes on one store share the work.
 *
 * A claim is a row with the identity of its process. It is dead, and may be taken over, when
 *   - its host is ours and has been booted since, or
 *   - its process is visible to us (same host, boot and pid namespace) and is gone: no such pid, or one that started at another time, or
 *     a zombie, or
 *   - its process is not visible and it was not renewed for ten minutes.
 * Looking and taking is one write transaction, so two processes never both take. */
#include "results/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { SILENT_S = 600 };

struct process {
    char host[128], boot[64], pid_space[64]; /* "" if not known */
    int64_t pid, start;                      /* start in clock ticks since boot, 0 if not known */
};

/* First bytes of a small file of /proc, as text; false when it cannot be read. */
static bool proc_read(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[n < 0 ? 0 : n] = 0;
    out[strcspn(out, "\n")] = 0;
    return n > 0;
}

/* Start of a process, field 22 of its stat line; false when there is no such process or it is a zombie, which has finished. */
static bool process_start(int64_t pid, int64_t *start)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (!proc_read(path, line, sizeof line))
        return false;
    const char *field = strrchr(line, ')'); /* field 2, a name that may hold blanks and brackets, ends here */
    if (!field || field[1] != ' ' || field[2] == 'Z' || field[2] == 'X')
        return false;
    field += 2;
    for (int at = 3; at < 22 && field; at++) {
        field = strchr(field, ' ');
        field = field ? field + 1 : NULL;
    }
    *start = field ? strtoll(field, NULL, 10) : 0;
    return true;
}

/* Looked up once in each thread: a claim is taken for every video of every cell. */
static const struct process *process_own(void)
{
    static _Thread_local struct process own;
    struct utsname name;
    if (own.pid == getpid())
        return &own;
    own = (struct process){.pid = getpid()};
    if (uname(&name) == 0)
        snprintf(own.host, sizeof own.host, "%s", name.nodename);
    proc_read("/proc/sys/kernel/random/boot_id", own.boot, sizeof own.boot);
    ssize_t n = readlink("/proc/self/ns/pid", own.pid_space, sizeof own.pid_space - 1);
    own.pid_space[n < 0 ? 0 : n] = 0;
    if (!process_start(own.pid, &own.start))
        own.start = 0;
    return &own;
}

/* Whether a process of our own namespace still runs; without /proc, any process of that number. */
static bool process_runs(const struct process *process, const struct process *own)
{
    int64_t start = 0;
    if (own->start == 0)
        return kill((pid_t)process->pid, 0) == 0 || errno == EPERM;
    return process_start(process->pid, &start) && start == process->start;
}

static bool claim_lives(const struct process *holder, int64_t renewed_s, const struct process *own, int64_t now_s)
{
    bool our_host = strcmp(holder->host, own->host) == 0, our_boot = strcmp(holder->boot, own->boot) == 0;
    if (our_host && !our_boot)
        return false;
    if (our_host && strcmp(holder->pid_space, own->pid_space) == 0)
        return process_runs(holder, own);
    return now_s - renewed_s < SILENT_S;
}

/* *held: another live run has the work. */
static int look_for_holder(struct store *store, int64_t run, int64_t cell, const char *benchmark, const char *video,
                           const struct process *own, int64_t now_s, bool *held, struct err *err)
{
    struct query query = query_on(store,
        "SELECT host, boot, pid_space, pid, process_start, renewed_s FROM claim "
        "WHERE cell_id = :cell AND benchmark = :benchmark AND video = :video AND run_id <> :run");
    query_integer(&query, ":cell", cell);
    query_text(&query, ":benchmark", benchmark);
    query_text(&query, ":video", video);
    query_integer(&query, ":run", run);
    int rc = query_step(&query, "look for a claim", err);
    *held = false;
    if (rc <= 0)
        return rc;
    struct process holder = {.pid = sqlite3_column_int64(query.stmt, 3), .start = sqlite3_column_int64(query.stmt, 4)};
    snprintf(holder.host, sizeof holder.host, "%s", store_column_text(query.stmt, 0));
    snprintf(holder.boot, sizeof holder.boot, "%s", store_column_text(query.stmt, 1));
    snprintf(holder.pid_space, sizeof holder.pid_space, "%s", store_column_text(query.stmt, 2));
    *held = claim_lives(&holder, sqlite3_column_int64(query.stmt, 5), own, now_s);
    query_end(&query);
    return 0;
}

static int write_claim(struct store *store, int64_t run, int64_t cell, const char *benchmark, const char *video, const struct process *own,
                       int64_t now_s, struct err *err)
{
    struct query query = query_on(store,
        "INSERT OR REPLACE INTO claim (cell_id, benchmark, video, run_id, host, boot, pid_space, pid, process_start, renewed_s) "
        "VALUES (:cell, :benchmark, :video, :run, :host, :boot, :pid_space, :pid, :process_start, :renewed_s)");
    query_integer(&query, ":cell", cell);
    query_text(&query, ":benchmark", benchmark);
    query_text(&query, ":video", video);
    query_integer(&query, ":run", run);
    query_text(&query, ":host", own->host);
    query_text(&query, ":boot", own->boot);
    query_text(&query, ":pid_space", own->pid_space);
    query_integer(&query, ":pid", own->pid);
    query_integer(&query, ":process_start", own->start);
    query_integer(&query, ":renewed_s", now_s);
    return query_run(&query, "write a claim", err);
}

int store_claim(struct store *store, int64_t run, int64_t cell, const char *benchmark, const char *video_id, bool *taken, struct err *err)
{
    static const char what[] = "claim a video";
    const struct process *own = process_own();
    int64_t now_s = time(NULL);
    bool held = false;
    *taken = false;
    int rc = store_begin(store, what, err);
    if (rc < 0)
        return rc;
    rc = look_for_holder(store, run, cell, benchmark, video_id, own, now_s, &held, err);
    if (rc == 0 && !held)
        rc = write_claim(store, run, cell, benchmark, video_id, own, now_s, err);
    rc = store_commit(store, rc, what, err);
    *taken = rc == 0 && !held;
    return rc;
}

int store_release(struct store *store, int64_t run, int64_t cell, const char *benchmark, const char *video_id, struct err *err)
{
    struct query query = query_on(store,
        "DELETE FROM claim WHERE cell_id = :cell AND benchmark = :benchmark AND video = :video AND run_id = :run");
    query_integer(&query, ":cell", cell);
    query_text(&query, ":benchmark", benchmark);
    query_text(&query, ":video", video_id);
    query_integer(&query, ":run", run);
    return query_run(&query, "release a video", err);
}

int store_renew_claims(struct store *store, int64_t run, struct err *err)
{
    struct query query = query_on(store, "UPDATE claim SET renewed_s = :now WHERE run_id = :run");
    query_integer(&query, ":now", time(NULL));
    query_integer(&query, ":run", run);
    return query_run(&query, "renew claims", err);
}
