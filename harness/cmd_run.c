/* `run`: the main job. Computes what the store lacks of a sweep, prints the table. */
#include "harness/accuracy.h"
#include "harness/run.h"

#include "core/log.h"

#include <stdio.h>

static const struct cli_option options[] = {
    RUN_OPTIONS,
    {0},
};

static int print_table(struct run *run, struct err *err)
{
    struct text where = {0}, out = {0};
    size_t n;
    run_put_where(run, &where);
    int rc = where.failed ? err_no_memory(err, "a table") : accuracy_table(run->store, where.bytes, TABLE_TERMINAL, &out, &n, err);
    if (!rc && out.bytes)
        fputs(out.bytes, stdout);
    text_free(&where);
    text_free(&out);
    return rc;
}

static int run_command(const struct cli_args *args, struct err *err)
{
    struct run run = {.args = args};
    int rc = run_prepare(&run, args->operands[0], err);
    if (!rc)
        rc = run_compute(&run, err);
    if (!rc && run.cell_ids)
        rc = print_table(&run, err);
    if (!rc && atomic_load(&cli_stopped)) {
        log_say(LOG_NOTE, "stopped; every answer so far is in '%s', the same command continues", cli_text(args, "store"));
        rc = EXIT_RUN_FAILED;
    }
    run_free(&run);
    return rc;
}

const struct cli_command command_run = {
    .name = "run",
    .operands = "SWEEP.yaml",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "runs what the store lacks of a sweep, keeps every answer, prints the table",
    .options = options,
    .run = run_command,
};
