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

static int find_folder(const struct cli_args *args, char *folder, size_t size, struct err *err)
{
    const char *cache = cli_text(args, "cache"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (cache)
        length = snprintf(folder, size, "%s/" WORLD_NAME, cache);
    else if (xdg && *xdg)
        length = snprintf(folder, size, "%s/toksweep/" WORLD_NAME, xdg);
    else if (home && *home)
        length = snprintf(folder, size, "%s/.cache/toksweep/" WORLD_NAME, home);
    else
        return err_set(err, ERR_CONFIG, "there is neither XDG_CACHE_HOME nor HOME; say where the tiny world goes with --cache FOLDER");
    return length < (int)size ? 0 : err_set(err, ERR_CONFIG, "the path of the cache is longer than %zu bytes", size - 1);
}

static const struct world_tier *find_tier(const char *name, struct err *err)
{
    const struct world_tier *tier = world_tier_find(name);
    if (!tier)
        err_set(err, ERR_CONFIG, "no tier '%s'; there are smoke (160 questions), default (2,000) and full (8,000)", name);
    return tier;
}

static int world(const struct cli_args *args, struct err *err)
{
    char folder[2048];
    int64_t jobs = sysconf(_SC_NPROCESSORS_ONLN);
    struct world_made made = {0};
    const struct world_tier *tier = find_tier(args->operands[0], err);
    int rc = tier ? find_folder(args, folder, sizeof folder, err) : ERR_CONFIG;
    if (!rc)
        rc = cli_integer(args, "jobs", 1, MOST_JOBS, &jobs, err);
    if (!rc)
        rc = world_make(&made, folder, tier, jobs > 0 ? (int)jobs : 1, err);
    if (rc)
        return rc;
    log_say(LOG_NOTE, "%d videos rendered, %d were there", made.n_rendered, made.n_kept);
    for (int control = 0; control < N_CONTROLS; control++)
        printf("%-9s %s/%s%s%s.json\n", control ? world_control_names[control] : "manifest", folder, tier->name, control ? "-" : "",
               world_control_names[control]);
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
