/* The command line: tables to parsing, help and exit status. */
#include "harness/cli.h"

#include "build_facts.h"
#include "core/config.h"
#include "core/log.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

atomic_bool cli_stopped;

static const struct cli_command *const commands[] = {
    &command_run,    &command_plan,   &command_reproduce, &command_report,  &command_show,  &command_compare, &command_gate, &command_plot,
    &command_export, &command_import, &command_merge,     &command_rescore, &command_check, &command_inspect, &command_list, &command_bench,
    &command_world,  &command_serve,   &command_fetch,
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* ---- values -------------------------------------------------------------------------------------------------------------- */

static int option_place(const struct cli_command *command, const char *name)
{
    for (int i = 0; command->options[i].name; i++)
        if (!strcmp(command->options[i].name, name))
            return i;
    return -1;
}

static const char *environment_value(const char *name)
{
    char variable[64] = "TOKSWEEP_";
    size_t n = strlen(variable);
    for (const char *p = name; *p && n + 1 < sizeof variable; p++)
        variable[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    variable[n] = 0;
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

const char *cli_text(const struct cli_args *args, const char *name)
{
    int i = option_place(args->command, name);
    if (args->options[i].n)
        return args->options[i].values[args->options[i].n - 1];
    const char *value = environment_value(name);
    return value ? value : args->command->options[i].otherwise;
}

const char *const *cli_texts(const struct cli_args *args, const char *name)
{
    return args->options[option_place(args->command, name)].values;
}

bool cli_flag(const struct cli_args *args, const char *name)
{
    const char *value = environment_value(name);
    return args->options[option_place(args->command, name)].n || (value && strcmp(value, "0"));
}

int cli_integer(const struct cli_args *args, const char *name, int64_t least, int64_t most, int64_t *out, struct err *err)
{
    const char *text = cli_text(args, name);
    char *end;
    if (!text)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        return err_set(err, ERR_CONFIG, "--%s should be a whole number from %lld to %lld, it is '%s'", name, (long long)least, (long long)most, text);
    *out = value;
    return 0;
}

int cli_bytes(const struct cli_args *args, const char *name, size_t *out, struct err *err)
{
    const char *text = cli_text(args, name);
    char *end;
    if (!text)
        return 0;
    double value = strtod(text, &end);
    double unit = *end == 'K' ? 0x1p10 : *end == 'M' ? 0x1p20 : *end == 'G' ? 0x1p30 : *end == 'T' ? 0x1p40 : 1;
    end += unit > 1;
    if (end == text || *end || !(value > 0) || value * unit > 0x1p60)
        return err_set(err, ERR_CONFIG, "--%s should be a size such as 800M or 12G, it is '%s'", name, text);
    *out = (size_t)(value * unit);
    return 0;
}

/* ---- help ---------------------------------------------------------------------------------------------------------------- */

static void print_overview(FILE *to)
{
    fprintf(to, "toksweep %s: what a visual token compressor costs in accuracy, and whether the difference is real\n\n"
                "usage: toksweep COMMAND [OPTIONS] [OPERANDS]\n\n", BUILD_VERSION);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-9s %-22s %s\n", commands[i]->name, commands[i]->operands, commands[i]->summary);
    fprintf(to, "\n'toksweep help COMMAND' lists a command's options; each can also be given as TOKSWEEP_<OPTION> in the environment.\n"
                "Exit status: 0 done, 1 gate failed, 2 usage, 3 run failed, 4 gate inconclusive.\n");
}

static void print_help(const struct cli_command *command)
{
    printf("usage: toksweep %s [OPTIONS] %s\n\n%s\n\n", command->name, command->operands, command->summary);
    for (const struct cli_option *option = command->options; option->name; option++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument ? " " : "", option->argument ? option->argument : "");
        printf("  %-24s %s%s%s%s\n", left, option->help, option->otherwise ? " (" : "", option->otherwise ? option->otherwise : "",
               option->otherwise ? ")" : "");
    }
}

/* ---- parsing ------------------------------------------------------------------------------------------------------------- */

static const struct cli_command *find_command(const char *name, struct err *err)
{
    const char *known[N_COMMANDS + 2] = {"help"};
    for (int i = 0; i < N_COMMANDS; i++) {
        known[i + 1] = commands[i]->name;
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    }
    const char *near = nearest_word(name, known);
    err_set(err, ERR_CONFIG, "no command '%s'%s%s%s; see 'toksweep help'", name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

static int unknown_option(const struct cli_command *command, const char *name, struct err *err)
{
    const char *known[CLI_MOST_OPTIONS + 1] = {0};
    for (int i = 0; command->options[i].name; i++)
        known[i] = command->options[i].name;
    const char *near = nearest_word(name, known);
    return err_set(err, ERR_CONFIG, "'%s' has no option --%s%s%s%s; see 'toksweep help %s'", command->name, name, near ? "; did you mean --" : "",
                   near ? near : "", near ? "?" : "", command->name);
}

/* Takes "--name", "--name value" or "--name=value" at argv[*at]. */
static int parse_option(struct cli_args *args, int *at, struct err *err)
{
    char name[64];
    const char *text = args->argv[*at] + 2, *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), text);
    int i = option_place(args->command, name);
    if (i < 0)
        return unknown_option(args->command, name, err);
    const struct cli_option *option = &args->command->options[i];
    const char *value = equals ? equals + 1 : NULL;
    if (!option->argument && value)
        return err_set(err, ERR_CONFIG, "--%s takes no value", name);
    if (option->argument && !value) {
        if (*at + 1 >= args->argc)
            return err_set(err, ERR_CONFIG, "--%s needs a value: --%s %s", name, name, option->argument);
        value = args->argv[++*at];
    }
    if (args->options[i].n == CLI_MOST_REPEATS)
        return err_set(err, ERR_CONFIG, "--%s is given more than %d times", name, CLI_MOST_REPEATS);
    if (args->options[i].n && !option->repeats)
        return err_set(err, ERR_CONFIG, "--%s is given twice", name);
    args->options[i].values[args->options[i].n++] = value ? value : "";
    return 0;
}

static int parse(struct cli_args *args, int argc, char **argv, struct err *err)
{
    bool only_operands = false;
    args->argc = argc;
    args->argv = argv;
    for (int at = 2; at < argc; at++) {
        if (!only_operands && !strcmp(argv[at], "--")) {
            only_operands = true;
        } else if (!only_operands && !strncmp(argv[at], "--", 2)) {
            int rc = parse_option(args, &at, err);
            if (rc)
                return rc;
        } else if (args->n_operands == args->command->most_operands) {
            return err_set(err, ERR_CONFIG, "'%s' is one operand too many; usage: toksweep %s [OPTIONS] %s", argv[at], args->command->name,
                           args->command->operands);
        } else {
            args->operands[args->n_operands++] = argv[at];
        }
    }
    for (int i = 0; args->command->options[i].name; i++)
        if (args->command->options[i].repeats && !args->options[i].n && (args->options[i].values[0] = environment_value(args->command->options[i].name)))
            args->options[i].n = 1;
    if (args->n_operands < args->command->least_operands)
        return err_set(err, ERR_CONFIG, "an operand is missing; usage: toksweep %s [OPTIONS] %s", args->command->name, args->command->operands);
    return 0;
}

/* ---- the program --------------------------------------------------------------------------------------------------------- */

/* One line on stderr. The text may quote strangers' files: control characters in it must not steer the terminal. */
static void print_line(const char *lead, const char *text)
{
    char clean[2048];
    snprintf(clean, sizeof clean, "%s", text);
    for (char *p = clean; *p; p++)
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
    fprintf(stderr, "%s%s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", lead, clean); /* over a line of progress */
}

static void print_talk(enum log_level level, const char *text)
{
    print_line(level == LOG_WARNING ? "warning: " : "", text);
}

static void stop(int signal_number)
{
    atomic_store(&cli_stopped, true);
    signal(signal_number, SIG_DFL); /* the next one ends the process */
}

static int run_command(const struct cli_command *command, int argc, char **argv, struct err *err)
{
    struct cli_args args = {.command = command};
    for (int i = 2; i < argc; i++)
        if (!strcmp(argv[i], "--help")) {
            print_help(command);
            return EXIT_DONE;
        }
    int rc = parse(&args, argc, argv, err);
    return rc ? rc : command->run(&args, err);
}

static int help(int argc, char **argv, struct err *err)
{
    if (argc < 3) {
        print_overview(stdout);
        return EXIT_DONE;
    }
    const struct cli_command *command = find_command(argv[2], err);
    if (command)
        print_help(command);
    return command ? EXIT_DONE : ERR_CONFIG;
}

/* Whoever read what is printed, such as `head`, has read enough, which is no error to be told. */
static bool reader_left(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};
    return poll(&output, 1, 0) == 1 && output.revents & POLLERR;
}

int cli_main(int argc, char **argv)
{
    struct err err = {0};
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* past a limit on file sizes, writing fails as on a full disk */
    log_set_sink(print_talk, LOG_NOTE);
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    int rc;
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        rc = help(argc, argv, &err);
    } else if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version")) {
        printf("toksweep %s, revision %s, sources %.12s\n", BUILD_VERSION, *BUILD_REVISION ? BUILD_REVISION : "unknown", BUILD_DIGEST);
        rc = EXIT_DONE;
    } else {
        const struct cli_command *command = find_command(argv[1], &err);
        rc = command ? run_command(command, argc, argv, &err) : ERR_CONFIG;
    }
    if (rc < 0) {
        print_line("error: ", err.text);
        return err.code == ERR_CONFIG ? EXIT_USAGE : EXIT_RUN_FAILED;
    }
    if (fflush(stdout) || ferror(stdout)) {
        if (!reader_left())
            print_line("error: ", "cannot write to standard output");
        return EXIT_RUN_FAILED;
    }
    return rc;
}
