/* `list`: what there is, with options and defaults, straight from the tables that the program runs on. */
#include "harness/cli.h"
#include "harness/gate.h"

#include "compressors/match.h"
#include "compressors/plugin.h"
#include "engine/kernels/cuda/cards.h"
#include "engine/kernels/kernels.h"
#include "plots/plot.h"
#include "results/export.h"
#include "runners/runner.h"
#include "datasets/manifest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"plugin", "FILE.so", NULL, "also lists the compressor in this shared object; may be repeated", true},
    {0},
};

static void list_option(const struct option *option)
{
    char values[256] = "", otherwise[64] = "unset";
    for (int i = 0; option->type == OPTION_CHOICE && option->choices[i]; i++) {
        size_t used = strlen(values);
        snprintf(values + used, sizeof values - used, "%s%s", i ? "|" : "", option->choices[i]);
    }
    if (option->type == OPTION_FLAG)
        snprintf(values, sizeof values, "true|false");
    else if (option->type != OPTION_CHOICE)
        snprintf(values, sizeof values, "%g..%g", option->least, option->most);
    if (option->type == OPTION_CHOICE)
        snprintf(otherwise, sizeof otherwise, "%s", option->choices[(int)option->otherwise]);
    else if (option->type == OPTION_FLAG)
        snprintf(otherwise, sizeof otherwise, "%s", option->otherwise != 0 ? "true" : "false");
    else if (!isnan(option->otherwise))
        snprintf(otherwise, sizeof otherwise, "%g", option->otherwise);
    printf("    %-18s %s (%s)\n    %-18s   %s\n", option->name, values, otherwise, "", option->help);
}

static void list_compressors(void)
{
    const struct compressor *compressor;
    for (int i = 0; (compressor = compressor_at(i)); i++) {
        printf("%s%s: %s\n    source: %s\n", i ? "\n" : "", compressor->name, compressor->summary, compressor->source);
        for (int k = 0; k < compressor->n_options; k++)
            list_option(&compressor->options[k]);
        if (match_can(compressor))
            printf("    %-18s label of a cell (unset)\n    %-18s   a control: leaves as many tokens as that cell does, see docs/sweep-file.md\n",
                   "match", "");
    }
}

static void list_benchmarks(void)
{
    const struct benchmark *benchmark;
    for (int i = 0; (benchmark = benchmark_at(i)); i++)
        printf("%-22s %s\n", benchmark->name, benchmark->summary);
}

static void list_profiles(void)
{
    const struct profile *profile;
    for (int i = 0; (profile = profile_at(i)); i++) {
        printf("%-12s %s (", profile->name, profile->summary);
        for (int k = 0; k < profile->n_protocols; k++)
            printf("%s%s", k ? ", " : "", profile->protocols[k].benchmark);
        printf(")\n");
    }
}

static void list_runners(void)
{
    const struct runner *runner;
    for (int i = 0; (runner = runner_at(i)); i++)
        printf("%-12s %s\n", runner->name, runner->summary);
}

static void list_devices(void)
{
    printf("cpu\n");
    for (const char *const *name = kernels_names(); *name; name++)
        printf("    isa %-14s %s\n", *name, kernels_runs(*name) ? "runs here" : "not on this processor");
}

static void list_cards(void)
{
    enum { MOST = 16 };
    struct cuda_card cards[MOST];
    const char *why = "";
    int n = cuda_cards(cards, MOST, &why);
    if (!cuda_built())
        printf("cuda    not in this build (cmake --preset cuda)\n");
    else if (n < 0)
        printf("cuda    %s\n", why);
    else if (!n)
        printf("cuda    no card\n");
    for (int i = 0; i < n && i < MOST; i++)
        printf("cuda:%d  %s, compute %d.%d, %.0f GiB\n", i, cards[i].name, cards[i].major, cards[i].minor,
               (double)cards[i].memory_bytes / 0x1p30);
}

static void list_devices_and_cards(void)
{
    list_devices();
    list_cards();
}

static void list_figures(void)
{
    const struct figure *figure;
    for (int i = 0; (figure = figure_at(i)); i++)
        printf("%-16s %s\n", figure->name, figure->summary);
}

static void list_formats(void)
{
    const struct export_format *format;
    for (int i = 0; (format = export_format_at(i)); i++)
        printf("%-22s %s (%s)\n", format->name, format->summary, format->benchmark ? format->benchmark : "benchmarks of lmms-eval");
}

static void list_metrics(void)
{
    static const char *const bounds[] = {"margin", "exact", "within", "least, most", "least_ratio, most_ratio"};
    const struct gate_metric *metric;
    for (int i = 0; (metric = gate_metric_at(i)); i++) {
        const char *between = "";
        printf("%-16s %s, in %s (", metric->name, metric->summary, metric->unit);
        for (unsigned b = 0; b < sizeof bounds / sizeof *bounds; b++)
            if (metric->bounds & 1u << b) {
                printf("%s%s", between, bounds[b]);
                between = ", ";
            }
        printf(")\n");
    }
}

static void list_axes(void)
{
    printf("benchmark   names of 'toksweep list benchmarks', or {name, manifest, videos, subtitles, exclude}\n"
           "frames      most frames shown, 1..4096\n"
           "compressor  names of 'toksweep list compressors', or {name, options}; an option that is a list is an axis of its own;\n"
           "            a list of them works together in one cell\n"
           "sampling    uniform (default), 1fps, centre\n"
           "pooling     none, bilinear, average, max, each but none also with _before_projector; default: the checkpoint's\n"
           "newline     grid, frame, one_token, no_token; default: the checkpoint's\n"
           "body        {member: value} added to each request of runner http; a member that is a list is an axis of its own\n");
}

static const struct { const char *name; void (*print)(void); } lists[] = {
    {"compressors", list_compressors}, {"benchmarks", list_benchmarks}, {"profiles", list_profiles}, {"runners", list_runners},
    {"devices", list_devices_and_cards}, {"figures", list_figures},       {"formats", list_formats},   {"axes", list_axes},
    {"metrics", list_metrics},
};

static int list(const struct cli_args *args, struct err *err)
{
    int rc = compressors_load(cli_texts(args, "plugin"), err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(lists[i].name, args->operands[0])) {
            lists[i].print();
            return EXIT_DONE;
        }
    return err_set(err, ERR_CONFIG, "nothing to list by the name '%s'; there are compressors, benchmarks, profiles, runners, devices, "
                   "figures, formats, axes, metrics", args->operands[0]);
}

const struct cli_command command_list = {
    .name = "list",
    .operands = "WHAT",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "lists compressors, benchmarks, profiles, runners, devices, figures, formats, axes or metrics",
    .options = options,
    .run = list,
};
