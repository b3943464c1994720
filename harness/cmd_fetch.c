/* `fetch`: models and data sets of the Hub into the cache of this machine, where sweeps find them by name. */
#include "harness/cli.h"

#include "core/clock.h"
#include "core/hub.h"
#include "core/log.h"
#include "datasets/http_hub.h"
#include "datasets/manifest.h"
#include "datasets/unpack.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"revision", "NAME", NULL, "branch, tag or commit (main; of a benchmark, the one it is read at)", false},
    {"include", "GLOB", NULL, "only files whose path matches; may be repeated", true},
    {"exclude", "GLOB", NULL, "not these; may be repeated", true},
    {"unpack", "FOLDER", NULL, "unpacks zip and tar archives into this folder (of a benchmark: where lmms-eval looks for its videos)", false},
    {"list", NULL, NULL, "prints the files with their sizes and which are here, fetches none", false},
    {0},
};

struct fetch {
    const struct cli_args *args;
    const char *kind, *id, *revision;
    const char *unpack_to; /* NULL: archives stay as they are */
    struct hub_remote remote;
    struct hub_repository repository;
    struct arena arena;
    bool terminal;
    size_t n_wanted, n_done;
    int64_t bytes_wanted, bytes_done; /* of files that were not here */
    double started, printed;
};

/* ---- what to fetch ------------------------------------------------------------------------------------------------------------- */

static int find_benchmark(struct fetch *fetch, const char *name, struct err *err)
{
    const struct benchmark *benchmark = benchmark_find(name);
    if (!benchmark || !benchmark->hub || !benchmark->hub[0])
        return err_set(err, ERR_CONFIG, benchmark ? "benchmark %s is on no Hub" : "no benchmark '%s'; see 'toksweep list benchmarks'", name);
    fetch->kind = "datasets";
    fetch->id = benchmark->hub[0];
    fetch->revision = benchmark->hub_revision;
    const char *home = benchmark->homes ? benchmark->homes[0] : NULL, *hub = hub_home(&fetch->arena);
    if (home && hub)
        fetch->unpack_to = arena_printf(&fetch->arena, "%s/%.*s", hub, (int)strcspn(home, "/"), home);
    return 0;
}

static int read_operands(struct fetch *fetch, struct err *err)
{
    const char *what = fetch->args->operands[0], *name = fetch->args->operands[1], *revision = cli_text(fetch->args, "revision");
    int rc = 0;
    fetch->id = name;
    if (!strcmp(what, "model"))
        fetch->kind = "models";
    else if (!strcmp(what, "dataset"))
        fetch->kind = "datasets";
    else if (!strcmp(what, "benchmark"))
        rc = find_benchmark(fetch, name, err);
    else
        rc = err_set(err, ERR_CONFIG, "cannot fetch a '%s'; say model, dataset or benchmark", what);
    fetch->unpack_to = cli_text(fetch->args, "unpack") ? cli_text(fetch->args, "unpack") : fetch->unpack_to;
    fetch->revision = revision ? revision : fetch->revision ? fetch->revision : "main";
    return rc;
}

static bool matches(const char *const *globs, const char *path)
{
    bool any = false;
    for (; *globs; globs++)
        any |= !fnmatch(*globs, path, 0);
    return any;
}

static bool is_wanted(const struct fetch *fetch, const struct hub_file *file)
{
    const char *const *include = cli_texts(fetch->args, "include"), *const *exclude = cli_texts(fetch->args, "exclude");
    return (!include[0] || matches(include, file->path)) && !matches(exclude, file->path);
}

/* ---- where from ---------------------------------------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* As the Hub's own tools read their switches. */
static bool is_offline(void)
{
    const char *value = environment("HF_HUB_OFFLINE");
    return value && (!strcmp(value, "1") || !strcasecmp(value, "true") || !strcasecmp(value, "yes") || !strcasecmp(value, "on"));
}

static bool goes_unencrypted(const char *endpoint)
{
    const char *host = endpoint + 7;
    return !strncmp(endpoint, "http://", 7) && strncmp(host, "127.", 4) && strncmp(host, "localhost", 9) && strncmp(host, "[::1]", 5);
}

static int read_remote(struct fetch *fetch, struct err *err)
{
    const char *endpoint = environment("HF_ENDPOINT");
    endpoint = endpoint ? endpoint : "https://huggingface.co";
    size_t n = strlen(endpoint);
    while (n && endpoint[n - 1] == '/')
        n--;
    fetch->remote.endpoint = arena_strndup(&fetch->arena, endpoint, n);
    fetch->remote.token = environment("HF_TOKEN");
    fetch->remote.backoff_s = 1;
    fetch->remote.stop = &cli_stopped;
    if (strncmp(endpoint, "http://", 7) && strncmp(endpoint, "https://", 8))
        return err_set(err, ERR_CONFIG, "HF_ENDPOINT should begin with https:// or http://, it is '%s'", endpoint);
    if (fetch->remote.token && strpbrk(fetch->remote.token, " \t\r\n"))
        return err_set(err, ERR_CONFIG, "HF_TOKEN has blanks in it; set it anew");
    if (fetch->remote.token && goes_unencrypted(endpoint))
        return err_set(err, ERR_CONFIG, "HF_TOKEN would go to '%s' unencrypted; use https://, or unset it", endpoint);
    return fetch->remote.endpoint ? 0 : err_no_memory(err, "a URL");
}

/* ---- progress ------------------------------------------------------------------------------------------------------------------ */

static void print_progress(int64_t bytes, void *context)
{
    struct fetch *fetch = context;
    double now = now_s(), seconds = now - fetch->started;
    fetch->bytes_done += bytes;
    if (now - fetch->printed < (fetch->terminal ? 0.2 : 60))
        return;
    fetch->printed = now;
    double rate = seconds > 0 ? (double)fetch->bytes_done / seconds : 0;
    long left = rate > 0 ? (long)((double)(fetch->bytes_wanted - fetch->bytes_done) / rate) : 0;
    fprintf(stderr, "%s%zu/%zu files, %.1f/%.1f MiB, %.1f MiB/s, %ld:%02ld left%s", fetch->terminal ? "\r\033[K" : "", fetch->n_done,
            fetch->n_wanted, (double)fetch->bytes_done / 0x1p20, (double)fetch->bytes_wanted / 0x1p20, rate / 0x1p20, left / 60,
            left % 60, fetch->terminal ? "" : "\n");
}

/* ---- without a network --------------------------------------------------------------------------------------------------------- */

struct lack { size_t n; };

static void say_missing(const char *path, void *context)
{
    struct lack *lack = context;
    if (++lack->n <= 20)
        log_say(LOG_WARNING, "missing: %s", path);
}

static int fetch_offline(struct fetch *fetch, struct err *err)
{
    const char *snapshot = hub_snapshot(fetch->kind, fetch->id, fetch->revision, &fetch->arena), *cache = hub_cache(&fetch->arena);
    struct lack lack = {0};
    if (!snapshot)
        return err_set(err, ERR_IO, "HF_HUB_OFFLINE is set, and '%s' at revision '%s' is not in '%s'; unset it to fetch", fetch->id, fetch->revision,
                       cache ? cache : "(no HOME)");
    int rc = hub_check(snapshot, say_missing, &lack, err);
    if (!rc && lack.n)
        rc = err_set(err, ERR_IO, "%zu files of '%s' are missing in '%s', and HF_HUB_OFFLINE is set; unset it to fetch them", lack.n, fetch->id, snapshot);
    if (!rc)
        printf("%s\n", snapshot);
    return rc;
}

/* ---- with one ------------------------------------------------------------------------------------------------------------------ */

static void count_wanted(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->repository.n; i++) {
        const struct hub_file *file = &fetch->repository.files[i];
        if (!is_wanted(fetch, file))
            continue;
        fetch->n_wanted++;
        fetch->bytes_wanted += hub_has(&fetch->repository, file) ? 0 : file->bytes;
    }
}

static void print_list(const struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->repository.n; i++) {
        const struct hub_file *file = &fetch->repository.files[i];
        if (is_wanted(fetch, file))
            printf("%-7s %14lld  %s\n", hub_has(&fetch->repository, file) ? "here" : "missing", (long long)file->bytes, file->path);
    }
}

static int fetch_files(struct fetch *fetch, struct err *err)
{
    int rc = 0;
    fetch->started = now_s();
    fetch->terminal = isatty(STDERR_FILENO);
    fetch->remote.progress = print_progress;
    fetch->remote.context = fetch;
    for (size_t i = 0; i < fetch->repository.n && !rc; i++) {
        const struct hub_file *file = &fetch->repository.files[i];
        if (!is_wanted(fetch, file))
            continue;
        if (!hub_has(&fetch->repository, file))
            rc = hub_get(&fetch->repository, file, &fetch->remote, err);
        fetch->n_done += !rc;
    }
    if (fetch->terminal && fetch->printed > 0)
        fputs("\r\033[K", stderr);
    return rc ? rc : hub_note_revision(&fetch->repository, err);
}

/* ---- archives ------------------------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Length of the path of an archive without what tells its parts apart; 0 for other files. */
static size_t path_stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t stem = archive_stem(name);
    return stem ? (size_t)(name - path) + stem : 0;
}

/* Unpacks the archive whose parts are the paths[0..n). */
static int unpack_parts(struct fetch *fetch, const char *const *paths, size_t n, struct err *err)
{
    const struct hub_repository *repository = &fetch->repository;
    const char **parts = arena_alloc(&fetch->arena, n + 1, sizeof *parts);
    size_t n_files = 0, n_there = 0;
    for (size_t i = 0; i < n && parts; i++)
        if (!(parts[i] = arena_printf(&fetch->arena, "%s/snapshots/%s/%s", repository->folder, repository->commit, paths[i])))
            parts = NULL;
    if (!parts)
        return err_no_memory(err, "paths");
    parts[n] = NULL;
    int rc = archive_unpack(parts, fetch->unpack_to, &cli_stopped, &n_files, &n_there, err);
    if (!rc)
        log_say(LOG_NOTE, "'%s': %zu files unpacked into '%s', %zu were there", paths[0], n_files, fetch->unpack_to, n_there);
    return rc;
}

static int unpack_archives(struct fetch *fetch, struct err *err)
{
    const struct hub_repository *repository = &fetch->repository;
    const char **paths = arena_alloc(&fetch->arena, repository->n + 1, sizeof *paths);
    size_t n = 0;
    int rc = paths ? 0 : err_no_memory(err, "paths");
    for (size_t i = 0; i < repository->n && !rc; i++)
        if (is_wanted(fetch, &repository->files[i]) && path_stem(repository->files[i].path))
            paths[n++] = repository->files[i].path;
    if (n)
        qsort(paths, n, sizeof *paths, by_name);
    for (size_t i = 0, end; i < n && !rc; i = end) {
        size_t stem = path_stem(paths[i]);
        for (end = i + 1; end < n && path_stem(paths[end]) == stem && !strncmp(paths[i], paths[end], stem); end++)
            continue;
        rc = unpack_parts(fetch, paths + i, end - i, err);
    }
    return rc;
}

static int fetch_online(struct fetch *fetch, struct err *err)
{
    struct hub_repository *repository = &fetch->repository;
    int rc = hub_open(repository, &fetch->remote, fetch->kind, fetch->id, fetch->revision, err);
    if (rc)
        return rc;
    count_wanted(fetch);
    if (cli_flag(fetch->args, "list")) {
        print_list(fetch);
    } else if (!fetch->n_wanted) {
        rc = err_set(err, ERR_CONFIG, "no file of '%s' matches; --list shows what it has", fetch->id);
    } else if (!(rc = fetch_files(fetch, err)) && !(rc = fetch->unpack_to ? unpack_archives(fetch, err) : 0)) {
        log_say(LOG_NOTE, "%zu files of '%s' are here, %.1f MiB came", fetch->n_done, fetch->id, (double)fetch->bytes_done / 0x1p20);
        printf("%s/snapshots/%s\n", repository->folder, repository->commit);
    }
    hub_close(repository);
    return rc;
}

static int fetch_command(const struct cli_args *args, struct err *err)
{
    struct fetch fetch = {.args = args};
    int rc = read_operands(&fetch, err);
    if (!rc)
        rc = read_remote(&fetch, err);
    if (!rc)
        rc = is_offline() ? fetch_offline(&fetch, err) : fetch_online(&fetch, err);
    arena_free(&fetch.arena);
    return rc;
}

const struct cli_command command_fetch = {
    .name = "fetch",
    .operands = "WHAT NAME",
    .least_operands = 2,
    .most_operands = 2,
    .summary = "gets a model, a dataset or a benchmark from the Hub into its cache",
    .options = options,
    .run = fetch_command,
};
