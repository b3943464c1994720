/* `report` and `plot`: what a store holds, as tables and figures. */
#include "harness/accuracy.h"
#include "harness/cli.h"
#include "harness/thumbnails.h"

#include "build_facts.h"
#include "core/log.h"
#include "plots/plot.h"
#include "plots/report.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option report_options[] = {
    {"format", "NAME", "terminal", "terminal, md, csv, json or latex", false},
    {"where", "SQL", NULL, "only cells for which this holds over view cell_accuracy: \"frames = 96 AND compressor = 'dyntok'\"", false},
    {"by", "WHAT", "cell", "cell, or a row for each group of each: task_type (or task), duration, domain, sub_category, area, tag", false},
    {"html", "FILE", NULL, "writes a page for a browser instead, one file: plot, tables, every question with its answers, flips", false},
    {"frames", "SIZE", NULL, "with --html: embeds thumbnails of frames, and the token groups that were kept, up to this size: 16M", false},
    {"title", "TEXT", NULL, "with --html: its title (the store's path)", false},
    {0},
};

static int refuse_empty(const struct cli_args *args, const char *by, struct err *err)
{
    if (!strcmp(by, "cell"))
        return err_set(err, ERR_CONFIG, "'%s' holds no such cell; 'toksweep run' fills it, --where chooses", args->operands[0]);
    return err_set(err, ERR_CONFIG, "'%s' holds no such cell with groups by '%s'; --by should be cell, task_type, duration, domain, "
                   "sub_category, area or tag, of which each benchmark has some, and --where chooses cells", args->operands[0], by);
}

static int report_page(const struct cli_args *args, struct err *err)
{
    struct store *store = NULL;
    struct report_counts counts;
    const char *path = args->operands[0], *slash = strrchr(path, '/');
    struct report_options options = {.out = cli_text(args, "html"), .where = cli_text(args, "where"), .title = cli_text(args, "title"),
                                     .store = slash ? slash + 1 : path, .program = "toksweep " BUILD_VERSION};
    options.frames = cli_text(args, "frames") ? thumbnails : NULL;
    int rc = cli_bytes(args, "frames", &options.most_bytes, err);
    if (!rc)
        rc = store_open(&store, path, STORE_READ, err);
    if (!rc)
        rc = report_write(store, &options, &counts, err);
    if (!rc)
        log_say(LOG_NOTE, "%s: %zu cells, %zu answers, %.1f MB", options.out, counts.cells, counts.answers, (double)counts.bytes / 1e6);
    if (!rc && options.frames)
        log_say(LOG_NOTE, "frames of %zu videos are in it; %zu are left out: beyond --frames, or not to be decoded", counts.videos,
                counts.videos_left);
    store_close(store);
    return rc;
}

static int report(const struct cli_args *args, struct err *err)
{
    if (cli_text(args, "html"))
        return report_page(args, err);
    struct store *store = NULL;
    struct text out = {0};
    int format = table_format_find(cli_text(args, "format"));
    const char *by = cli_text(args, "by");
    size_t n = 1;
    if (format < 0)
        return err_set(err, ERR_CONFIG, "--format should be terminal, md, csv, json or latex, it is '%s'", cli_text(args, "format"));
    if (!strcmp(by, "task"))
        by = "task_type";
    int rc = store_open(&store, args->operands[0], STORE_READ, err);
    if (!rc && !strcmp(by, "cell"))
        rc = accuracy_table(store, cli_text(args, "where"), (enum table_format)format, &out, &n, err);
    else if (!rc)
        rc = group_table(store, by, cli_text(args, "where"), (enum table_format)format, &out, &n, err);
    if (!rc && !n)
        rc = refuse_empty(args, by, err);
    if (!rc && out.bytes)
        fputs(out.bytes, stdout);
    text_free(&out);
    store_close(store);
    return rc;
}

const struct cli_command command_report = {
    .name = "report",
    .operands = "STORE",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "prints the accuracy table of a store",
    .options = report_options,
    .run = report,
};

static const struct cli_option plot_options[] = {
    {"out", "FILE", NULL, "the figure: .svg, .png or .pdf (FIGURE.svg)", false},
    {"where", "SQL", NULL, "only cells for which this holds over view cell_accuracy", false},
    {"title", "TEXT", NULL, "instead of the title made from what is shown", false},
    {0},
};

static int plot(const struct cli_args *args, struct err *err)
{
    char beside[256];
    struct store *store = NULL;
    const struct figure *figure = figure_find(args->operands[1]);
    struct plot_options options = {.out = cli_text(args, "out"), .where = cli_text(args, "where"), .title = cli_text(args, "title")};
    if (!figure)
        return err_set(err, ERR_CONFIG, "no figure '%s'; see 'toksweep list figures'", args->operands[1]);
    if (!options.out) {
        snprintf(beside, sizeof beside, "%s.svg", figure->name);
        options.out = beside;
    }
    int rc = store_open(&store, args->operands[0], STORE_READ, err);
    if (!rc)
        rc = figure->draw(store, &options, err);
    if (!rc)
        fprintf(stderr, "%s\n", options.out);
    store_close(store);
    return rc;
}

const struct cli_command command_plot = {
    .name = "plot",
    .operands = "STORE FIGURE",
    .least_operands = 2,
    .most_operands = 2,
    .summary = "draws a figure from a store, and leaves its data and script beside it",
    .options = plot_options,
    .run = plot,
};
