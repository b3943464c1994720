/* Exports: the table of formats, and what files are called. */
#include "results/export.h"

#include "results/export_impl.h"
#include "results/lmms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct export_format formats[] = {
    {"lmms-eval-samples", "lmms-eval's samples log, JSON Lines; a file for each of its tasks", NULL, true, "%S_samples_%T.jsonl",
     export_lmms_samples},
    {"lmms-eval-results", "lmms-eval's results file, JSON", NULL, false, "%S_results.json", export_lmms_results},
    {"vlmevalkit-tsv", "VLMEvalKit's table of predictions and scores", "videomme", false, "%M_Video-MME_score.tsv", export_vlmevalkit_tsv},
    {"vlmevalkit-rating", "VLMEvalKit's rating, JSON", "videomme", false, "%M_Video-MME_rating.json", export_vlmevalkit_rating},
    {"videomme-leaderboard", "what Video-MME's leaderboard takes, JSON", "videomme", false, "%M_videomme.json",
     export_videomme_leaderboard},
    {"mlvu-leaderboard", "what MLVU's leaderboard takes, JSON", "mlvu_test", false, "%M_mlvu.json", export_mlvu_leaderboard},
    {"answers", "answers, token counts and margins, CSV: expected results for 'toksweep gate'", NULL, false, "%S_answers.csv", export_answers},
};

const struct export_format *export_format_at(int i)
{
    return i >= 0 && (size_t)i < sizeof formats / sizeof *formats ? &formats[i] : NULL;
}

const struct export_format *export_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

int export_check(const struct export_format *format, const struct stored_cell *cell, struct err *err)
{
    const char *benchmark = cell->manifest.benchmark;
    if (format->benchmark && strcmp(format->benchmark, benchmark))
        return err_set(err, ERR_CONFIG, "%s is for cells of %s; cell '%s' is of %s", format->name, format->benchmark, cell->label,
                       benchmark);
    if (!format->benchmark && !lmms_find(benchmark))
        return err_set(err, ERR_CONFIG, "lmms-eval has no task for %s, of which cell '%s' is", benchmark, cell->label);
    return 0;
}

char **export_tasks(const struct stored_cell *cell)
{
    const struct lmms_benchmark *benchmark = lmms_find(cell->manifest.benchmark);
    size_t n = cell->manifest.n_samples, n_tasks = 0;
    size_t most = benchmark && !benchmark->is_group && n ? 1 : n;
    char **tasks = calloc(most + 1, sizeof *tasks + LMMS_TASK_NAME);
    char *names = tasks ? (char *)(tasks + most + 1) : NULL;
    for (size_t i = 0; tasks && benchmark && i < n; i++) {
        char name[LMMS_TASK_NAME];
        size_t k = 0;
        lmms_task_name(benchmark, &cell->manifest.samples[i], name);
        while (k < n_tasks && strcmp(tasks[n_tasks - 1 - k], name))
            k++;
        if (k < n_tasks || !*name)
            continue;
        tasks[n_tasks] = memcpy(names + n_tasks * LMMS_TASK_NAME, name, sizeof name);
        n_tasks++;
    }
    return tasks;
}

void export_stamp(const struct stored_cell *cell, char stamp[16])
{
    size_t n = 0;
    strcpy(stamp, "00000000_000000");
    for (const char *at = cell->started_at; *at && *at != '.' && n < 15; at++) { /* "2025-06-01T12:00:00.000Z" */
        if (*at == 'T')
            stamp[n++] = '_';
        else if (*at >= '0' && *at <= '9')
            stamp[n++] = *at;
    }
}

char *export_model_name(const struct stored_cell *cell, const char *between)
{
    struct text name = {0};
    size_t n = strlen(cell->model), from = 0, slashes = 0;
    while (n > 1 && cell->model[n - 1] == '/')
        n--;
    for (size_t i = n; i > 0 && slashes < 2; i--)
        if (cell->model[i - 1] == '/' && ++slashes == 2)
            from = i;
    for (size_t i = from; i < n; i++) {
        if (cell->model[i] == '/')
            text_put(&name, i > from ? between : "");
        else
            text_add(&name, &cell->model[i], 1);
    }
    return text_take(&name);
}

char *export_file_name(const struct export_format *format, const struct stored_cell *cell, const char *task)
{
    struct text name = {0};
    char stamp[16], *model = export_model_name(cell, "__");
    export_stamp(cell, stamp);
    for (const char *at = format->file; model && *at; at++) {
        if (*at != '%')
            text_add(&name, at, 1);
        else
            at++, text_put(&name, *at == 'S' ? stamp : *at == 'M' ? model : task ? task : "");
    }
    free(model);
    char *taken = text_take(&name);
    if (!model)
        free(taken);
    return model ? taken : NULL;
}

struct json *export_put(struct json *parent, const char *key, struct json *child)
{
    if (parent && child)
        return json_add(parent, key, child);
    json_free(child);
    return NULL;
}

bool export_put_text(struct json *object, const char *key, const char *text)
{
    return export_put(object, key, text ? json_new_string(text) : json_new(JSON_NULL));
}

void export_put_field(struct text *out, const char *value, const char *end)
{
    text_put(out, "\"");
    for (const char *at = value ? value : ""; *at; at++)
        text_printf(out, "%s%c", *at == '"' ? "\"" : "", *at);
    text_printf(out, "\"%s", end);
}

int export_put_tree(struct text *out, struct json *tree, struct err *err)
{
    char *text = tree ? json_text_pretty(tree) : NULL;
    json_free(tree);
    if (text) {
        text_put(out, text);
        text_put(out, "\n");
    }
    bool failed = !text || out->failed;
    free(text);
    return failed ? err_no_memory(err, "an export") : 0;
}
