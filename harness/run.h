/* A run: a sweep computed into a store, as the command line's options say. `run` prints its table; `reproduce` holds it against a paper. */
#ifndef TOKSWEEP_HARNESS_RUN_H
#define TOKSWEEP_HARNESS_RUN_H

#include "harness/cli.h"
#include "harness/schedule.h"

#include "core/text.h"

/* The options that a command must have to run sweeps: rows of its table. */
#define RUN_OPTIONS \
    {"store", "FILE", "results.sqlite", "the SQLite file of answers; made if it is not there", false}, \
    {"set", "KEY=VALUE", NULL, "changes the sweep file: --set axes.frames=[8,16]", true}, \
    {"plugin", "FILE.so", NULL, "a compressor in a shared object; may be repeated", true}, \
    {"data", "FOLDER", NULL, "where benchmarks named without a manifest are looked for", false}, \
    {"cache", "FOLDER", NULL, "where the tiny world is kept (XDG_CACHE_HOME/toksweep, or ~/.cache/toksweep)", false}, \
    {"jobs", "N", NULL, "videos computed at once (small models: one per processor; large ones: 1)", false}, \
    {"threads", "N", NULL, "threads per job (processors divided by jobs)", false}, \
    {"memory", "SIZE", NULL, "most memory to plan with, weights included (80 % of what is free)", false}, \
    {"limit", "N", NULL, "only the first N samples of each benchmark", false}, \
    {"samples", "ID", NULL, "only this sample; may be repeated", true}, \
    {"shard", "K/N", NULL, "only every N-th video, starting with the K-th (1 to N)", false}, \
    {"retry-failed", NULL, NULL, "computes failed answers again", false}, \
    {"keep-groups", NULL, NULL, "stores which tokens became one, for 'report --html --frames'", false}, \
    {"no-share", NULL, NULL, "computes every answer by itself; the answers are the same", false}, \
    {"reuse-build", "DIGEST", NULL, "continues the cells of an older build in this store on purpose; the beginning of its digest is enough", false}, \
    {"device", "NAME", NULL, "cpu, cuda, cuda:N or auto; overrides runner.device", false}, \
    {"dtype", "NAME", NULL, "overrides runner.dtype: f32, bf16, f16 or int8", false}, \
    {"isa", "NAME", NULL, "overrides runner.isa: a kernel table of 'toksweep list devices'", false}

struct run { /* zero-initialise, but for args and found_only */
    const struct cli_args *args;
    bool found_only; /* leaves out the benchmarks whose manifest is found nowhere, instead of failing */
    struct sweep sweep;
    struct runner_facts facts;
    void *runner;
    struct store *store;
    int64_t id, *cell_ids;
    bool **done;
    struct plan plan;
    struct plan_options plan_options;
    struct schedule_options schedule;
    struct arena arena;
};

/* Reads the sweep at `path`, opens store and runner, resolves cells and calibrates them, registers them in the store and plans what it
 * lacks. The errors of all these. Free the run in any case. */
int run_prepare(struct run *run, const char *path, struct err *err);

/* Computes what the plan wants, if it wants anything; until it is done, or cli_stopped. */
int run_compute(struct run *run, struct err *err);

/* "id IN (...)": the sweep's cells, for store_each_cell. Appends nothing before the cells are registered. */
void run_put_where(const struct run *run, struct text *out);

void run_free(struct run *run);

#endif
