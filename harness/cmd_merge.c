/* `merge`: the stores of several workers into one. */
#include "harness/cli.h"

#include "core/log.h"
#include "results/store.h"

static const struct cli_option options[] = {{0}};

static int merge(const struct cli_args *args, struct err *err)
{
    struct store *store = NULL;
    int rc = store_open(&store, args->operands[0], STORE_WRITE, err);
    for (int i = 1; i < args->n_operands && !rc; i++) {
        struct merge_counts counts;
        if ((rc = store_merge(store, args->operands[i], &counts, err)))
            break;
        log_say(LOG_NOTE, "'%s': %lld answers and %lld cells are new; %lld of the answers in the place of failures", args->operands[i],
                (long long)counts.answers, (long long)counts.cells, (long long)counts.replaced);
        if (counts.differing)
            log_say(LOG_WARNING, "'%s' has other replies to %lld questions that are answered in the same cells already; those of '%s' stay",
                    args->operands[i], (long long)counts.differing, args->operands[0]);
    }
    store_close(store);
    return rc;
}

const struct cli_command command_merge = {
    .name = "merge",
    .operands = "INTO STORE...",
    .least_operands = 2,
    .most_operands = CLI_MOST_OPERANDS,
    .summary = "takes the answers of other stores into one",
    .options = options,
    .run = merge,
};
