/* Origin: command line, sources, libraries and machine. */
#include "harness/origin.h"

#include "build_facts.h"
#include "core/text.h"

#include <sys/utsname.h>

int origin_begin_run(struct store *store, const struct cli_args *args, const char *sweep_name, const char *config, const char *device,
                     int64_t *run, struct err *err)
{
    struct utsname host = {0};
    struct text command = {0};
    uname(&host);
    text_put(&command, "toksweep");
    for (int i = 1; i < args->argc; i++)
        text_printf(&command, " %s", args->argv[i]);
    struct run_facts facts = {.command = command.bytes,
                              .sweep_name = sweep_name,
                              .config = config,
                              .revision = BUILD_REVISION,
                              .build_digest = BUILD_DIGEST,
                              .libraries = "{\"compiler\":\"" BUILD_COMPILER "\",\"libraries\":\"" BUILD_LIBRARIES "\"}",
                              .host = host.nodename,
                              .device = device};
    int rc = command.failed ? err_no_memory(err, "a command line") : store_begin_run(store, &facts, run, err);
    text_free(&command);
    return rc;
}
