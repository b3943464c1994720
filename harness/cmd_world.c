/* `world`: the tiny world's manifests and videos, in the cache, and where they are. */
#include "harness/cli.h"
#include "harness/world_make.h"

#include "core/log.h"
#include "world/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"cache", "FOLDER", NULL, "where it is kept (XDG_CACHE_HOME/toksweep, or ~/.cache/toksweep)", false},
    {"jobs", "N", NULL, "videos rendered at once (all processors)", false},
    {0},
};

enum { MOST_JOBS = 1024 };

static const struct world_tier *find_tier(const char *name, struct err *err)
{
    const struct world_tier *tier = world_tier_find(name);
    if (!tier)
        err_set(err, ERR_CONFIG, "no tier '%s'; there are smoke (160 questions), quick (480), default (2,000) and full (8,000)", name);
    return tier;
}

static int world(const struct cli_args *args, struct err *err)
{
    char folder[2048];
    int64_t jobs = sysconf(_SC_NPROCESSORS_ONLN);
    struct world_made made = {0};
    const struct world_tier *tier = find_tier(args->operands[0], err);
    int rc = tier ? world_folder(cli_text(args, "cache"), folder, sizeof folder, err) : ERR_CONFIG;
    if (!rc)
        rc = cli_integer(args, "jobs", 1, MOST_JOBS, &jobs, err);
    if (!rc)
        rc = world_make(&made, folder, tier, jobs > 0 ? (int)jobs : 1, err);
    if (rc)
        return rc;
    log_say(LOG_NOTE, "%d videos rendered, %d were there", made.n_rendered, made.n_kept);
    for (int control = 0; control < N_CONTROLS; control++) {
        char path[4096];
        world_manifest_path(folder, tier->name, world_control_names[control], path, sizeof path);
        printf("%-9s %s\n", control ? world_control_names[control] : "manifest", path);
    }
    printf("%-9s %s/videos\n", "videos", folder);
    return EXIT_DONE;
}

const struct cli_command command_world = {
    .name = "world",
    .operands = "TIER",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "makes the tiny world, a benchmark of rendered videos",
    .options = options,
    .run = world,
};
