/* The program as its user starts it: times of whole processes, by the clock and, as a machine may be busy, of their
 * processors. The harness is what is left of a run when the runner computes nothing; a sweep is one with and without sharing. */
#define _GNU_SOURCE /* wait4, environ */
#include "harness/bench.h"

#include "core/clock.h"
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUESTIONS = 3, MOST_ANSWERS = 10000000 };

/* ---- a folder for a while ------------------------------------------------------------------------------------------------- */

struct scratch { char folder[512]; };

static int scratch_make(struct scratch *scratch, struct err *err)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(scratch->folder, sizeof scratch->folder, "%s/toksweep-bench.XXXXXX", temporary && *temporary ? temporary : "/tmp");
    return mkdtemp(scratch->folder) ? 0 : err_set(err, ERR_IO, "cannot make folder '%s': %s; name another one in TMPDIR", scratch->folder, strerror(errno));
}

static const char *scratch_file(const struct scratch *scratch, const char *name, struct bench *bench)
{
    const char *path = arena_printf(&bench->arena, "%s/%s", scratch->folder, name);
    return path ? path : "";
}

/* Removes the files of the folder whose names begin so, and with "" the folder. */
static void scratch_remove(const struct scratch *scratch, const char *beginning)
{
    DIR *folder = opendir(scratch->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", scratch->folder, entry->d_name);
        if (!strncmp(entry->d_name, beginning, strlen(beginning)))
            unlink(path); /* "." and ".." stay */
    }
    if (folder)
        closedir(folder);
    if (!*beginning)
        rmdir(scratch->folder);
}

/* ---- processes ----------------------------------------------------------------------------------------------------------- */

struct spent { double seconds, processor; long peak_kib; };

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec * 1e-6;
}

/* Runs this program with arguments (NULL at the end) and nowhere to write to. */
static int run_self(const char *const *arguments, struct spent *spent, struct err *err)
{
    const char *argv[16] = {"toksweep"};
    posix_spawn_file_actions_t actions;
    struct rusage usage = {0};
    pid_t pid;
    int status = 0;
    for (int i = 0; arguments[i]; i++)
        argv[i + 1] = arguments[i];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    double start = now_s();
    int code = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code)
        return err_set(err, ERR_IO, "cannot start this program once more: %s", strerror(code));
    if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
        return err_set(err, ERR_DATA, "'toksweep %s %s' did not succeed; run it to see why", arguments[0], arguments[1] ? arguments[1] : "");
    *spent = (struct spent){now_s() - start, seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime), usage.ru_maxrss};
    return 0;
}

/* Two figures of a command: by the clock, and of processors. Files whose names begin with `fresh` are removed before each repeat. */
static int time_self(struct bench *bench, const struct scratch *scratch, const char *fresh, const char *part, const char *name, const char *unit,
                     double amount, const char *const *arguments, long *peak_kib, struct err *err)
{
    double seconds[BENCH_MOST_REPEATS], processor[BENCH_MOST_REPEATS];
    struct spent spent = {0};
    char busy[96];
    int rc = 0;
    for (int r = -1; r < bench->repeats && !rc; r++) {
        if (fresh)
            scratch_remove(scratch, fresh);
        rc = run_self(arguments, &spent, err);
        seconds[r < 0 ? 0 : r] = spent.seconds;
        processor[r < 0 ? 0 : r] = spent.processor;
    }
    if (peak_kib)
        *peak_kib = spent.peak_kib;
    snprintf(busy, sizeof busy, "%s, of processors", name);
    if (!rc)
        rc = bench_add(bench, part, name, unit, amount, 0, seconds, err);
    return rc ? rc : bench_add(bench, part, busy, unit, amount, 0, processor, err);
}

/* ---- the harness --------------------------------------------------------------------------------------------------------- */

/* A manifest of n questions, three to a video, and a sweep of one cell that the mock runner answers. */
static int write_sweep(const struct scratch *scratch, struct bench *bench, const char *name, int n, struct err *err)
{
    struct text text = {0};
    for (int i = 0; i < n; i++)
        text_printf(&text, "%s{\"videoID\": \"v%d\", \"question_id\": \"v%d-%d\", \"task_type\": \"Kind %d\", \"duration\": \"short\", \"question\": "
                    "\"What is in part %d of the video?\", \"options\": [\"A. A cat.\", \"B. A dog.\", \"C. A bike.\", \"D. Nothing.\"], "
                    "\"answer\": \"%c\"}", i ? ",\n" : "[", i / QUESTIONS, i / QUESTIONS, i % QUESTIONS + 1, i % 12, i % QUESTIONS + 1, 'A' + i % 4);
    text_put(&text, "]\n");
    int rc = text.failed ? err_no_memory(err, "a manifest")
                         : file_save(scratch_file(scratch, arena_printf(&bench->arena, "%s.json", name), bench), text.bytes, text.length, err);
    text_free(&text);
    text_printf(&text, "runner: mock\naxes: { benchmark: { name: videomme, manifest: %s.json }, frames: [8], compressor: [none] }\n", name);
    if (!rc)
        rc = text.failed ? err_no_memory(err, "a sweep")
                         : file_save(scratch_file(scratch, arena_printf(&bench->arena, "%s.yaml", name), bench), text.bytes, text.length, err);
    text_free(&text);
    return rc;
}

static int time_answers(struct bench *bench, const struct scratch *scratch, const char *name, int64_t n, long *peak_kib, struct err *err)
{
    char what[64];
    const char *sweep = scratch_file(scratch, arena_printf(&bench->arena, "%s.yaml", name), bench);
    const char *store = scratch_file(scratch, "store", bench), *const run[] = {"run", sweep, "--store", store, NULL};
    int rc = write_sweep(scratch, bench, name, (int)n, err);
    snprintf(what, sizeof what, "run of %lld mock answers", (long long)n);
    return rc ? rc : time_self(bench, scratch, "store", "harness", what, "answers/s", (double)n, run, peak_kib, err);
}

int bench_harness(struct bench *bench, struct err *err)
{
    struct scratch scratch;
    long few_kib = 0, many_kib = 0;
    int64_t answers = 0;
    int rc = cli_integer(bench->args, "answers", 10, MOST_ANSWERS, &answers, err);
    if (rc || (rc = scratch_make(&scratch, err)))
        return rc;
    const char *store = scratch_file(&scratch, "store", bench), *few = scratch_file(&scratch, "few.yaml", bench);
    const char *const version[] = {"--version", NULL}, *const plan[] = {"plan", few, NULL}, *const report[] = {"report", store, NULL},
               *const again[] = {"run", few, "--store", store, NULL};
    rc = time_self(bench, &scratch, NULL, "harness", "start: --version", "starts/s", 1, version, NULL, err);
    if (!rc)
        rc = time_answers(bench, &scratch, "many", answers, &many_kib, err);
    if (!rc)
        rc = time_answers(bench, &scratch, "few", answers / 10, &few_kib, err);
    if (!rc)
        rc = time_self(bench, &scratch, NULL, "harness", "plan of a tenth of them", "starts/s", 1, plan, NULL, err);
    if (!rc)
        rc = time_self(bench, &scratch, NULL, "harness", "run with nothing to do", "starts/s", 1, again, NULL, err);
    if (!rc)
        rc = time_self(bench, &scratch, NULL, "harness", "report of a cell", "reports/s", 1, report, NULL, err);
    if (!rc)
        fprintf(stderr, "most memory of a run: %.1f MiB with %lld answers, %.1f MiB with %lld\n", (double)few_kib / 1024,
                (long long)answers / 10, (double)many_kib / 1024, (long long)answers);
    scratch_remove(&scratch, "");
    return rc;
}

/* ---- a sweep ------------------------------------------------------------------------------------------------------------- */

int bench_sweep(struct bench *bench, struct err *err)
{
    const char *path = cli_text(bench->args, "sweep");
    struct scratch scratch;
    if (!path)
        return err_set(err, ERR_CONFIG, "which sweep? give its file with --sweep FILE.yaml");
    int rc = scratch_make(&scratch, err);
    if (rc)
        return rc;
    const char *store = scratch_file(&scratch, "store", bench);
    const char *const shared[] = {"run", path, "--store", store, NULL}, *const alone[] = {"run", path, "--store", store, "--no-share", NULL};
    rc = time_self(bench, &scratch, "store", "sweep", "shared", "sweeps/s", 1, shared, NULL, err);
    if (!rc)
        rc = time_self(bench, &scratch, "store", "sweep", "--no-share", "sweeps/s", 1, alone, NULL, err);
    scratch_remove(&scratch, "");
    return rc;
}
