/* Origin: what the store notes of one start of the program. */
#ifndef TOKSWEEP_HARNESS_ORIGIN_H
#define TOKSWEEP_HARNESS_ORIGIN_H

#include "harness/cli.h"
#include "results/store.h"

/* Begins a run in the store for this command line on this machine. config: JSON; device: what computes, "" for nothing. */
int origin_begin_run(struct store *store, const struct cli_args *args, const char *sweep_name, const char *config, const char *device,
                     int64_t *run, struct err *err);

#endif
