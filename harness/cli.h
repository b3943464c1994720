/* The command line: commands from one table, options from one table per command, parsing and help from both. */
#ifndef TOKSWEEP_HARNESS_CLI_H
#define TOKSWEEP_HARNESS_CLI_H

#include "core/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exit_status { EXIT_DONE = 0, EXIT_GATE_FAILED = 1, EXIT_USAGE = 2, EXIT_RUN_FAILED = 3, EXIT_GATE_INCONCLUSIVE = 4 };

enum { CLI_MOST_OPTIONS = 24, CLI_MOST_OPERANDS = 32, CLI_MOST_REPEATS = 32 };

struct cli_option {
    const char *name;      /* without dashes; TOKSWEEP_<NAME> in the environment gives it too */
    const char *argument;  /* "FILE"; NULL for a flag */
    const char *otherwise; /* default, as text for help and for cli_text; NULL: none */
    const char *help;
    bool repeats;          /* may be given several times */
};

struct cli_args {
    const struct cli_command *command;
    const char *operands[CLI_MOST_OPERANDS];
    int n_operands;
    struct { const char *values[CLI_MOST_REPEATS + 1]; int n; } options[CLI_MOST_OPTIONS]; /* by place in the command's table */
    int argc;
    char **argv;
};

struct cli_command {
    const char *name, *operands; /* operands as shown: "SWEEP.yaml" */
    int least_operands, most_operands;
    const char *summary;
    const struct cli_option *options; /* ends with name NULL */
    int (*run)(const struct cli_args *args, struct err *err); /* an exit_status, or a negative err_code with err set */
};

/* Value of an option: the command line's, else the environment's, else its default; NULL when there is none of them. */
const char *cli_text(const struct cli_args *args, const char *name);
const char *const *cli_texts(const struct cli_args *args, const char *name); /* all of a repeating option, NULL-terminated */
bool cli_flag(const struct cli_args *args, const char *name);

/* The option as a whole number in range; ERR_CONFIG names option and range. Unset leaves *out alone. */
int cli_integer(const struct cli_args *args, const char *name, int64_t least, int64_t most, int64_t *out, struct err *err);

/* The option as a size: 800M, 12G, or bytes. */
int cli_bytes(const struct cli_args *args, const char *name, size_t *out, struct err *err);

/* The whole program: parses, runs, prints errors to stderr. */
int cli_main(int argc, char **argv);

/* Set by SIGINT and SIGTERM; a second signal ends the process at once. */
extern atomic_bool cli_stopped;

extern const struct cli_command command_run, command_plan, command_report, command_show, command_compare, command_gate, command_plot,
    command_export, command_import, command_merge, command_rescore, command_check, command_list, command_inspect, command_bench,
    command_world, command_serve, command_fetch, command_reproduce;

#endif
