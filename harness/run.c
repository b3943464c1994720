/* Runs: resolve, calibrate, plan what the store lacks, compute it. Start at run_prepare and run_compute. */
#include "harness/run.h"

#include "harness/calibrate.h"
#include "harness/origin.h"
#include "harness/world_make.h"

#include "build_facts.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------------------------------------------------------- */

static size_t free_memory(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
        continue;
    if (file)
        fclose(file);
    return kib ? (size_t)kib * 1024 : (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

static int read_shard(const struct cli_args *args, struct plan_options *out, struct err *err)
{
    const char *text = cli_text(args, "shard");
    unsigned k, n;
    char rest;
    if (!text)
        return 0;
    if (sscanf(text, "%u/%u%c", &k, &n, &rest) != 2 || !k || k > n || n > 1000000)
        return err_set(err, ERR_CONFIG, "--shard should be K/N with 1 <= K <= N, it is '%s'", text);
    out->shard = k - 1;
    out->n_shards = n;
    return 0;
}

static int read_plan_options(struct run *run, struct err *err)
{
    int64_t limit = 0;
    const char *const *samples = cli_texts(run->args, "samples");
    int rc = cli_integer(run->args, "limit", 1, INT32_MAX, &limit, err);
    if (!rc)
        rc = read_shard(run->args, &run->plan_options, err);
    run->plan_options.limit = (size_t)limit;
    run->plan_options.samples = samples[0] ? samples : NULL;
    run->plan_options.no_share = cli_flag(run->args, "no-share");
    return rc;
}

/* On a card what is left there is planned with, but for a tenth: what is allocated in pieces leaves gaps. */
static size_t plannable(const struct run *run, size_t memory)
{
    size_t left = run->facts.device_bytes / 10 * 9, beside_weights = memory - run->facts.fixed_bytes;
    return run->facts.device_bytes && (!cli_text(run->args, "memory") || left < beside_weights) ? left : beside_weights;
}

/* Small models: a worker on every processor, where one thread is busy all the time. Large ones: one worker, whose matrices are
 * large enough for all threads, and only one video's memory. On a card two, so that it computes while one of them waits for the host. */
static int read_schedule_options(struct run *run, size_t memory, struct err *err)
{
    enum { SMALL_MODEL_BYTES = 64 << 20 };
    int64_t processors = sysconf(_SC_NPROCESSORS_ONLN), jobs, threads;
    jobs = run->facts.device_bytes ? 2 : run->facts.fixed_bytes < SMALL_MODEL_BYTES ? processors : 1;
    int rc = cli_integer(run->args, "jobs", 1, 1024, &jobs, err);
    threads = processors / jobs > 1 ? processors / jobs : 1;
    if (!rc)
        rc = cli_integer(run->args, "threads", 1, 1024, &threads, err);
    bool planned = cli_text(run->args, "memory") || !run->facts.device_bytes; /* weights on a card are there already */
    if (!rc && planned && memory <= run->facts.fixed_bytes)
        rc = err_set(err, ERR_MEMORY, "the weights of '%s' take %.1f MiB, --memory allows %.1f MiB; allow more%s", run->sweep.model,
                     (double)run->facts.fixed_bytes / 0x1p20, (double)memory / 0x1p20,
                     strcmp(run->sweep.dtype, "f32") ? "" : ", or take half with --dtype bf16");
    run->schedule.jobs = (int)jobs;
    run->schedule.threads = (int)threads;
    run->schedule.memory_bytes = plannable(run, memory);
    run->schedule.retry_failed = cli_flag(run->args, "retry-failed");
    run->schedule.keep_groups = cli_flag(run->args, "keep-groups");
    run->schedule.stop = &cli_stopped;
    return rc;
}

/* ---- progress ------------------------------------------------------------------------------------------------------------ */

struct talk {
    bool terminal;
    const char *jobs; /* what a job is */
    double printed; /* when the last line was */
    struct schedule_progress last;
};

static void print_progress(const struct schedule_progress *progress, void *context)
{
    struct talk *talk = context;
    bool terminal = talk->terminal;
    talk->last = *progress;
    if (progress->seconds - talk->printed < (terminal ? 0.5 : 60))
        return;
    talk->printed = progress->seconds;
    double rate = progress->seconds > 0 ? (double)progress->answers_done / progress->seconds : 0;
    long left = rate > 0 ? (long)((double)(progress->answers_total - progress->answers_done) / rate) : 0;
    fprintf(stderr, "%s%zu/%zu answers, %zu/%zu %s, %.1f answers/s, %ld:%02ld left%s%s", terminal ? "\r\033[K" : "", progress->answers_done,
            progress->answers_total, progress->jobs_done, progress->jobs_total, talk->jobs, rate, left / 60, left % 60,
            progress->answers_failed ? ", some failed" : "", terminal ? "" : "\n");
}

/* ---- steps --------------------------------------------------------------------------------------------------------------- */

static int begin(struct run *run, struct err *err)
{
    char *config = json_text(config_root(run->sweep.config));
    const char *device =
        arena_printf(&run->arena, "%s, %d jobs of %d threads", run->facts.device, run->schedule.jobs, run->schedule.threads);
    int rc = config && device ? origin_begin_run(run->store, run->args, run->sweep.name, config, device, &run->id, err)
                              : err_no_memory(err, "a sweep's configuration");
    free(config);
    return rc;
}

static int reuse_build(struct run *run, struct err *err)
{
    const char *beginning = cli_text(run->args, "reuse-build");
    char *build = arena_alloc(&run->arena, DIGEST_HEX, 1);
    if (!beginning)
        return 0;
    int rc = build ? store_find_build(run->store, beginning, build, err) : err_no_memory(err, "a build's digest");
    if (rc)
        return rc;
    for (size_t i = 0; i < run->sweep.n_cells; i++)
        run->sweep.cells[i].run.cell.build_digest = build;
    if (strcmp(build, BUILD_DIGEST))
        log_say(LOG_WARNING, "continuing the cells of build %.12s with build %.12s; numbers may differ", build, BUILD_DIGEST);
    return 0;
}

static const struct manifest *manifest_of(const struct run *run, size_t c)
{
    return &run->sweep.benchmarks[run->sweep.cells[c].benchmark].manifest;
}

static int put_cells(struct run *run, struct err *err)
{
    struct sweep *sweep = &run->sweep;
    int rc = store_begin_batch(run->store, err);
    if (rc)
        return rc;
    for (size_t c = 0; c < sweep->n_cells && !rc; c++)
        rc = store_put_cell(run->store, &sweep->cells[c].run.cell, profile_protocol(sweep->profile, manifest_of(run, c)->benchmark),
                            &run->cell_ids[c], err);
    return store_end_batch(run->store, rc, err);
}

/* Writes cells and manifests, and asks which answers are there: behind the transaction, because of large stores that takes a while. */
static int register_cells(struct run *run, struct err *err)
{
    struct sweep *sweep = &run->sweep;
    int rc = store_version(run->store, &run->schedule.asked_at, err);
    for (size_t b = 0; b < sweep->n_benchmarks && !rc; b++)
        rc = store_put_manifest(run->store, &sweep->benchmarks[b].manifest, err);
    run->cell_ids = arena_alloc(&run->arena, sweep->n_cells, sizeof *run->cell_ids);
    run->done = arena_alloc(&run->arena, sweep->n_cells, sizeof *run->done);
    if (!rc)
        rc = run->cell_ids && run->done ? put_cells(run, err) : err_no_memory(err, "the cells of a sweep");
    for (size_t c = 0; c < sweep->n_cells && !rc; c++) {
        const struct manifest *manifest = manifest_of(run, c);
        run->done[c] = arena_alloc(&run->arena, manifest->n_samples, sizeof **run->done);
        rc = run->done[c] ? store_answered(run->store, run->cell_ids[c], manifest, run->schedule.retry_failed, run->done[c], err)
                          : err_no_memory(err, "the cells of a sweep");
    }
    return rc;
}

/* The tiny world is made on first use. */
static int make_world(struct run *run, struct sweep_benchmark *benchmark, struct err *err)
{
    char folder[2048], path[4096];
    struct world_made made;
    int rc = world_folder(cli_text(run->args, "cache"), folder, sizeof folder, err);
    if (!rc)
        rc = world_make(&made, folder, world_tier_find(benchmark->benchmark->tier), (int)sysconf(_SC_NPROCESSORS_ONLN), err);
    if (rc)
        return rc;
    if (made.n_rendered)
        log_say(LOG_NOTE, "%d videos of the tiny world rendered in '%s'", made.n_rendered, folder);
    world_manifest_path(folder, benchmark->benchmark->tier, benchmark->benchmark->control, path, sizeof path);
    benchmark->source.path = arena_strdup(&run->sweep.arena, path);
    benchmark->source.videos = arena_printf(&run->sweep.arena, "%s/videos", folder);
    return benchmark->source.path && benchmark->source.videos ? 0 : err_no_memory(err, "where the tiny world is");
}

/* With `found_only`, what is not here is not run. */
static int find_manifests(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->sweep.n_benchmarks; i++) {
        struct sweep_benchmark *benchmark = &run->sweep.benchmarks[i];
        int rc = benchmark->benchmark->tier && !benchmark->source.path ? make_world(run, benchmark, err) : 0;
        if (rc)
            return rc;
    }
    if (run->found_only)
        sweep_keep_found(&run->sweep);
    return sweep_load_manifests(&run->sweep, err);
}

int run_prepare(struct run *run, const char *path, struct err *err)
{
    const struct cli_args *args = run->args;
    struct sweep_overrides overrides = {.plugins = cli_texts(args, "plugin"), .sets = cli_texts(args, "set"), .dtype = cli_text(args, "dtype"),
                                        .device = cli_text(args, "device"), .isa = cli_text(args, "isa"), .data = cli_text(args, "data")};
    size_t memory = free_memory() / 5 * 4;
    int rc;
    if ((rc = read_plan_options(run, err)) || (rc = cli_bytes(args, "memory", &memory, err)) ||
        (rc = sweep_load(&run->sweep, path, &overrides, err)) || (rc = find_manifests(run, err)) ||
        (rc = store_open(&run->store, cli_text(args, "store"), STORE_WRITE, err)) ||
        (rc = sweep_open_runner(&run->sweep, &run->runner, &run->facts, err)) ||
        (rc = read_schedule_options(run, memory, err)))
        return rc;
    if ((rc = reuse_build(run, err)) || (rc = sweep_bind(&run->sweep, &run->facts, err)) ||
        (rc = calibrate_cells(&run->sweep, run->store, run->runner, &run->facts, run->schedule.jobs * run->schedule.threads, &cli_stopped, err)))
        return rc;
    if (atomic_load(&cli_stopped))
        return 0;
    if ((rc = register_cells(run, err)))
        return rc;
    return plan_make(&run->plan, &run->sweep, (const bool *const *)run->done, &run->plan_options, err);
}

static const char *job_name(const struct run *run)
{
    return run->plan_options.no_share ? "questions" : "videos";
}

/* Runs the plan, and adds what it did to *sum. */
static int compute_pass(struct run *run, struct schedule_progress *sum, struct err *err)
{
    struct talk talk = {.terminal = isatty(STDERR_FILENO), .jobs = job_name(run)};
    run->schedule.progress = print_progress;
    run->schedule.context = &talk;
    int rc = schedule_run(&run->sweep, &run->plan, run->store, run->id, run->cell_ids, run->runner, &run->facts, &run->schedule, err);
    if (talk.terminal)
        fputs("\r\033[K", stderr);
    sum->answers_done += talk.last.answers_done;
    sum->answers_failed += talk.last.answers_failed;
    sum->seconds += talk.last.seconds;
    sum->answers_elsewhere = talk.last.answers_elsewhere;
    for (int status = 0; status < ANSWER_STATUSES; status++)
        sum->failed[status] += talk.last.failed[status];
    return rc;
}

static void print_sum(const struct schedule_progress *sum)
{
    struct text kinds = {0};
    for (int status = 0; status < ANSWER_STATUSES; status++)
        if (sum->failed[status])
            text_printf(&kinds, "%s%zu %s", kinds.length ? ", " : ": ", sum->failed[status], answer_status_name((enum answer_status)status));
    log_say(LOG_NOTE, "computed %zu answers in %.1f s, %zu of them failed%s%s", sum->answers_done, sum->seconds, sum->answers_failed,
            kinds.length ? kinds.bytes : "", kinds.length ? "; --retry-failed computes them again" : "");
    text_free(&kinds);
}

/* Another process may stop before it has given the answers that it holds, so they are asked for again after a while. An answer that
 * failed is not: this run may have tried it. */
static int plan_rest(struct run *run, struct err *err)
{
    const struct timespec pause = {.tv_sec = 1};
    nanosleep(&pause, NULL);
    int rc = store_version(run->store, &run->schedule.asked_at, err);
    for (size_t c = 0; c < run->sweep.n_cells && !rc; c++)
        rc = store_answered(run->store, run->cell_ids[c], &run->sweep.benchmarks[run->sweep.cells[c].benchmark].manifest, false,
                            run->done[c], err);
    if (rc)
        return rc;
    plan_free(&run->plan);
    return plan_make(&run->plan, &run->sweep, (const bool *const *)run->done, &run->plan_options, err);
}

int run_compute(struct run *run, struct err *err)
{
    struct schedule_progress sum = {0};
    bool told = false;
    if (!run->plan.n_wanted || atomic_load(&cli_stopped))
        return 0;
    log_say(LOG_NOTE, "%zu cells, %zu %s, %zu answers to compute, %zu in the store; %d jobs of %d threads, %s", run->sweep.n_cells,
            run->plan.n_jobs, job_name(run), run->plan.n_wanted, run->plan.n_stored, run->schedule.jobs, run->schedule.threads,
            run->facts.device);
    int rc = begin(run, err);
    if (rc)
        return rc;
    while (!(rc = compute_pass(run, &sum, err)) && sum.answers_elsewhere && !atomic_load(&cli_stopped)) {
        if (!told)
            log_say(LOG_NOTE, "another process computes %zu answers of this sweep; waiting for them", sum.answers_elsewhere);
        told = true;
        if ((rc = plan_rest(run, err)))
            break;
    }
    print_sum(&sum);
    struct err ending = {0};
    int ended = store_end_run(run->store, run->id, rc ? "failed" : atomic_load(&cli_stopped) ? "stopped" : "done", rc ? &ending : err);
    return rc ? rc : ended;
}

void run_put_where(const struct run *run, struct text *out)
{
    text_put(out, "id IN (");
    for (size_t c = 0; c < run->sweep.n_cells && run->cell_ids; c++)
        text_printf(out, "%s%lld", c ? "," : "", (long long)run->cell_ids[c]);
    text_put(out, ")");
}

void run_free(struct run *run)
{
    plan_free(&run->plan);
    store_close(run->store);
    if (run->runner)
        run->sweep.runner->close(run->runner);
    sweep_free(&run->sweep);
    arena_free(&run->arena);
}
