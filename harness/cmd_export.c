/* `export`: one cell of a store in the files of other programs. */
#include "harness/asked.h"
#include "harness/cli.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "datasets/manifest.h"
#include "metrics/extract.h"
#include "results/export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option options[] = {
    {"cell", "NAME", NULL, "which cell: its label, LABEL@FRAMES, or the beginning of its digest (the only one in the store)", false},
    {"out", "PATH", NULL, "the file; a folder (one that is there, or a name with / at its end) gets files named as the other program does; "
                          "- is standard output", false},
    {0},
};

struct exporting {
    const struct export_format *format;
    const char *out;
    bool is_folder;
    struct stored_cell cell;
    const struct benchmark *benchmark;
    const struct profile *profile;
    const struct protocol *protocol;
    struct export_reply *replies;
    size_t n_replies;
    struct arena arena;
};

/* ---- replies --------------------------------------------------------------------------------------------------------------- */

static int form_of(const struct stored_cell *cell)
{
    int form = 0;
    while (asked_form_name(form) && strcmp(asked_form_name(form), cell->prompt_form))
        form++;
    return form;
}

/* `logged` when it is `text` but for blanks at its ends, else `text`. */
static const char *spelling(const char *text, const char *logged)
{
    const char *at = logged ? logged : "";
    size_t length = strlen(at);
    text_strip(&at, &length);
    return logged && strlen(text) == length && !memcmp(text, at, length) ? logged : text;
}

/* An imported log's own words, where it has them. */
static int respell(struct exporting *exporting, const char *record, struct export_reply *reply, struct err *err)
{
    struct json *tree;
    int rc = json_parse(&tree, record, strlen(record), "an imported record", err);
    if (rc)
        return rc;
    const char *logged[3] = {0};
    static const char *const keys[] = {"filtered_resps", "resps", "input"};
    for (int i = 0; i < 3 && !rc; i++) {
        const struct json *value = json_get(tree, keys[i]);
        if (value && json_type(value) == JSON_STRING && !(logged[i] = arena_strdup(&exporting->arena, json_string(value))))
            rc = err_no_memory(err, "an export");
    }
    reply->filtered = spelling(reply->bare, logged[0]);
    reply->raw = spelling(reply->raw, logged[1] ? logged[1] : logged[0]);
    reply->prompt = logged[2] ? logged[2] : reply->prompt;
    json_free(tree);
    return rc;
}

static int make_reply(struct exporting *exporting, size_t sample, struct err *err)
{
    const struct stored_answer *stored = &exporting->cell.answers[sample];
    struct export_reply *reply = &exporting->replies[sample];
    if (!stored->id || !stored->answer.raw)
        return 0;
    char *bare = arena_strdup(&exporting->arena, stored->answer.raw);
    if (bare && exporting->profile->drops_reasoning)
        text_drop_reasoning(bare);
    *reply = (struct export_reply){.bare = bare, .filtered = bare, .raw = stored->answer.raw};
    int rc = bare ? asked_prompt(&reply->prompt, exporting->benchmark, exporting->protocol, form_of(&exporting->cell),
                                 &exporting->cell.manifest, sample, &exporting->arena, err)
                  : err_no_memory(err, "an export");
    exporting->n_replies += !rc;
    return !rc && stored->record ? respell(exporting, stored->record, reply, err) : rc;
}

static int make_replies(struct exporting *exporting, struct err *err)
{
    size_t n = exporting->cell.manifest.n_samples;
    exporting->profile = profile_find(exporting->cell.profile);
    exporting->benchmark = benchmark_find(exporting->cell.manifest.benchmark);
    exporting->protocol = exporting->profile ? profile_protocol(exporting->profile, exporting->cell.manifest.benchmark) : NULL;
    if (!exporting->protocol || !exporting->benchmark)
        return err_set(err, ERR_CONFIG, "this program lacks the profile '%s' or the benchmark '%s' of the cell; use the one that ran it",
                       exporting->cell.profile, exporting->cell.manifest.benchmark);
    exporting->replies = arena_alloc(&exporting->arena, n, sizeof *exporting->replies);
    int rc = exporting->replies ? 0 : err_no_memory(err, "an export");
    for (size_t i = 0; i < n && !rc; i++)
        rc = make_reply(exporting, i, err);
    if (!rc && !exporting->n_replies)
        rc = err_set(err, ERR_DATA, "cell '%s' has no reply to export; 'toksweep run' fills it", exporting->cell.label);
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static int find_out(struct exporting *exporting, const char *out, struct err *err)
{
    struct stat stat_of;
    if (!out || !*out)
        return err_set(err, ERR_CONFIG, "--out is missing: name the file or folder that '%s' is written to, or -", exporting->format->name);
    exporting->out = out;
    exporting->is_folder = out[strlen(out) - 1] == '/';
    if (exporting->is_folder && mkdir(out, 0777) && errno != EEXIST)
        return err_errno(err, "make", out);
    exporting->is_folder = exporting->is_folder || (!stat(out, &stat_of) && S_ISDIR(stat_of.st_mode));
    return 0;
}

static int save(struct exporting *exporting, const char *task, const struct text *text, struct err *err)
{
    const char *path = exporting->out, *bytes = text->bytes ? text->bytes : "";
    if (exporting->is_folder) {
        char *name = export_file_name(exporting->format, &exporting->cell, task);
        path = name ? arena_printf(&exporting->arena, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", name) : NULL;
        free(name);
        if (!path)
            return err_no_memory(err, "an export");
    }
    if (!strcmp(path, "-")) {
        fwrite(bytes, 1, text->length, stdout);
        return 0;
    }
    int rc = file_save(path, bytes, text->length, err);
    if (!rc)
        log_say(LOG_NOTE, "%s", path);
    return rc;
}

static int write_one(struct exporting *exporting, const char *task, struct err *err)
{
    struct text text = {0};
    int rc = exporting->format->write(&text, &(struct export_source){&exporting->cell, exporting->protocol, exporting->replies}, task, err);
    if (!rc)
        rc = save(exporting, task, &text, err);
    text_free(&text);
    return rc;
}

static int write_by_task(struct exporting *exporting, struct err *err)
{
    char **tasks = export_tasks(&exporting->cell);
    int rc = tasks ? 0 : err_no_memory(err, "an export");
    if (!rc && tasks[0] && tasks[1] && !exporting->is_folder)
        rc = err_set(err, ERR_CONFIG, "cell '%s' is of several lmms-eval tasks, each with its own file: name a folder with --out FOLDER/",
                     exporting->cell.label);
    for (char **task = tasks; !rc && *task; task++)
        rc = write_one(exporting, *task, err);
    free(tasks);
    return rc;
}

/* ---- the command ----------------------------------------------------------------------------------------------------------- */

static int find_format(const char *name, const struct export_format **out, struct err *err)
{
    struct text names = {0};
    if ((*out = export_format_find(name)))
        return 0;
    for (int i = 0; export_format_at(i); i++)
        text_printf(&names, "%s%s", i ? ", " : "", export_format_at(i)->name);
    int rc = err_set(err, ERR_CONFIG, "no format '%s'; there are %s", name, names.bytes ? names.bytes : "none");
    text_free(&names);
    return rc;
}

static int load(struct exporting *exporting, const struct cli_args *args, struct err *err)
{
    struct store *store = NULL;
    int64_t id = 0;
    int rc = store_open(&store, args->operands[0], STORE_READ, err);
    if (!rc)
        rc = store_find_cell(store, cli_text(args, "cell"), &id, err);
    if (!rc)
        rc = store_load_cell(&exporting->cell, store, id, err);
    store_close(store);
    return rc;
}

static int export(const struct cli_args *args, struct err *err)
{
    struct exporting exporting = {0};
    int rc = find_format(args->operands[1], &exporting.format, err);
    if (!rc)
        rc = load(&exporting, args, err);
    if (!rc)
        rc = export_check(exporting.format, &exporting.cell, err);
    if (!rc)
        rc = make_replies(&exporting, err);
    if (!rc)
        rc = find_out(&exporting, cli_text(args, "out"), err);
    if (!rc)
        rc = exporting.format->by_task ? write_by_task(&exporting, err) : write_one(&exporting, NULL, err);
    if (!rc)
        log_say(LOG_NOTE, "%zu replies of cell '%s', of %zu questions; %zu answers are failures", exporting.n_replies, exporting.cell.label,
                exporting.cell.manifest.n_samples, exporting.cell.n_answers - exporting.n_replies);
    stored_cell_free(&exporting.cell);
    arena_free(&exporting.arena);
    return rc;
}

const struct cli_command command_export = {
    .name = "export",
    .operands = "STORE FORMAT",
    .least_operands = 2,
    .most_operands = 2,
    .summary = "writes a cell as lmms-eval, VLMEvalKit or a leaderboard has it",
    .options = options,
    .run = export,
};
