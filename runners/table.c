/* The table of runners. */
#include "runners/runner.h"

#include <string.h>

static const struct runner *const runners[] = {&runner_native, &runner_http, &runner_mock};

enum { N_RUNNERS = sizeof runners / sizeof *runners };

const struct runner *runner_at(int i)
{
    return i >= 0 && i < N_RUNNERS ? runners[i] : NULL;
}

const struct runner *runner_find(const char *name)
{
    for (int i = 0; i < N_RUNNERS; i++)
        if (!strcmp(runners[i]->name, name))
            return runners[i];
    return NULL;
}
