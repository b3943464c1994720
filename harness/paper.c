/* Papers: from a YAML file to tables of published numbers. */
#include "harness/paper.h"

#include "core/text.h"
#include "datasets/manifest.h"

#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- where it is --------------------------------------------------------------------------------------------------------- */

/* The folder that the program is in; NULL if that cannot be told. */
static const char *program_folder(struct arena *arena)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    return slash ? arena_strndup(arena, path, (size_t)(slash - path)) : NULL;
}

/* Names the papers of a folder. */
static void put_names(const char *folder, struct text *out)
{
    struct text pattern = {0};
    glob_t files = {0};
    text_printf(&pattern, "%s/*.yaml", folder);
    if (!pattern.failed && glob(pattern.bytes, 0, NULL, &files) == 0)
        for (size_t i = 0; i < files.gl_pathc; i++) {
            const char *name = strrchr(files.gl_pathv[i], '/') + 1;
            text_printf(out, "%s'%.*s'", i ? ", " : "", (int)(strlen(name) - strlen(".yaml")), name);
        }
    globfree(&files);
    text_free(&pattern);
}

/* The folder of papers: of `configs`, here, or what was installed or built with the program. NULL when memory is out. */
static const char *papers_folder(struct paper *paper, const char *configs)
{
    static const char *const beside[] = {"../share/toksweep/configs", "../configs", "../../configs"};
    const char *program = program_folder(&paper->arena), *path = arena_printf(&paper->arena, "%s/paper", configs ? configs : "configs");
    if (configs || !path || access(path, R_OK) == 0)
        return path;
    for (int i = 0; i < 3 && program; i++) {
        const char *other = arena_printf(&paper->arena, "%s/%s/paper", program, beside[i]);
        if (other && access(other, R_OK) == 0)
            return other;
    }
    return path;
}

static int find_paper(struct paper *paper, const char *name, const char *configs, const char **path, struct err *err)
{
    const char *dot = strrchr(name, '.'), *folder = papers_folder(paper, configs);
    *path = dot && !strcmp(dot, ".yaml") ? name : folder ? arena_printf(&paper->arena, "%s/%s.yaml", folder, name) : NULL;
    if (!*path)
        return err_no_memory(err, "a paper");
    if (*path == name || access(*path, R_OK) == 0)
        return 0;
    struct text names = {0};
    put_names(folder, &names);
    int rc = err_set(err, ERR_CONFIG,
                     "no paper '%s' in '%s'; there %s%s; give one of these, a file that ends in .yaml, or --configs FOLDER", name,
                     folder, names.length ? "are " : "is none", names.length ? names.bytes : "");
    text_free(&names);
    return rc;
}

/* "<folder>/../sweeps" of "<folder>/<name>.yaml". */
static const char *sweeps_beside(struct paper *paper, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? arena_printf(&paper->arena, "%.*s/../sweeps", (int)(slash - path), path) : "../sweeps";
}

/* ---- values -------------------------------------------------------------------------------------------------------------- */

struct reader { struct paper *paper; const struct config *config; };

static int read_text(const struct reader *reader, const struct json *object, const char *key, bool required, const char **out,
                     struct err *err)
{
    const struct json *value = json_get(object, key);
    *out = json_string(value);
    if (value && !*out)
        return config_err(reader->config, value, err, "'%s' should be text, it is %s", key, json_type_name(value));
    return value || !required ? 0 : config_err(reader->config, object, err, "'%s' is missing", key);
}

static int read_int(const struct reader *reader, const struct json *object, const char *key, int64_t most, int64_t *out, struct err *err)
{
    const struct json *value = json_get(object, key);
    *out = 0;
    return !value || json_integer(value, 1, most, out)
               ? 0
               : config_err(reader->config, value, err, "'%s' should be a whole number from 1 to %lld", key, (long long)most);
}

/* A list, or nothing: how many elements it has. */
static int count_list(const struct reader *reader, const struct json *object, const char *key, size_t *n, struct err *err)
{
    const struct json *list = json_get(object, key);
    *n = list ? json_count(list) : 0;
    return !list || json_type(list) == JSON_ARRAY ? 0 : config_err(reader->config, list, err, "'%s' should be a list", key);
}

static int read_texts(const struct reader *reader, const struct json *object, const char *key, const char ***out, struct err *err)
{
    size_t n, i = 0;
    int rc = count_list(reader, object, key, &n, err);
    if (rc)
        return rc;
    *out = arena_alloc(&reader->paper->arena, n + 1, sizeof **out);
    if (!*out)
        return err_no_memory(err, "a paper");
    for (const struct json *value = json_first(json_get(object, key)); value; value = json_next(value))
        if (!((*out)[i++] = json_string(value)))
            return config_err(reader->config, value, err, "'%s' should be a list of texts", key);
    return 0;
}

/* ---- columns, rows, errata ----------------------------------------------------------------------------------------------- */

static int read_quantity(const struct reader *reader, const struct json *object, enum quantity *out, struct err *err)
{
    static const char *const names[] = {"accuracy", "ratio", "tokens", NULL};
    const char *name;
    int rc = read_text(reader, object, "measure", false, &name, err);
    *out = QUANTITY_ACCURACY;
    for (int i = 0; name && names[i]; i++)
        if (!strcmp(name, names[i])) {
            *out = (enum quantity)i;
            return 0;
        }
    return rc || !name ? rc : config_err(reader->config, json_get(object, "measure"), err, "'measure' should be accuracy, ratio or tokens");
}

static int read_column(const struct reader *reader, const struct json *object, struct paper_column *out, struct err *err)
{
    static const char *const known[] = {"name", "benchmark", "task", "measure", "frames", "questions", NULL};
    int64_t frames = 0;
    int rc = config_check_keys(reader->config, object, "a column", known, err);
    if (!rc)
        rc = read_text(reader, object, "name", true, &out->name, err);
    if (!rc)
        rc = read_text(reader, object, "benchmark", true, &out->benchmark, err);
    if (!rc && !benchmark_find(out->benchmark))
        rc = config_err(reader->config, json_get(object, "benchmark"), err, "no benchmark '%s'; see 'toksweep list benchmarks'",
                        out->benchmark);
    if (!rc)
        rc = read_text(reader, object, "task", false, &out->task, err);
    if (!rc)
        rc = read_quantity(reader, object, &out->quantity, err);
    if (!rc)
        rc = read_int(reader, object, "frames", 4096, &frames, err);
    if (!rc)
        rc = read_int(reader, object, "questions", 1000000, &out->questions, err);
    out->frames = (int)frames;
    return rc;
}

static int read_values(const struct reader *reader, const struct json *object, const struct paper_result *result, struct paper_row *out,
                       struct err *err)
{
    const struct json *values = json_get(object, "values");
    size_t i = 0;
    if (json_type(values ? values : object) != JSON_ARRAY || json_count(values) != result->n_columns)
        return config_err(reader->config, values ? values : object, err,
                          "'values' should be a list of %zu numbers, one for each column, with ~ for none",
                          result->n_columns);
    if (!(out->values = arena_alloc(&reader->paper->arena, result->n_columns, sizeof *out->values)))
        return err_no_memory(err, "a paper");
    for (const struct json *value = json_first(values); value; value = json_next(value)) {
        enum json_type type = json_type(value);
        if (type != JSON_NUMBER && type != JSON_NULL)
            return config_err(reader->config, value, err, "a published value should be a number, or ~ for none");
        out->values[i++] = type == JSON_NUMBER ? json_number(value) : (double)NAN;
    }
    return 0;
}

static const struct paper_row *find_row(const struct paper_result *result, size_t n_rows, const char *name)
{
    for (size_t i = 0; i < n_rows; i++)
        if (!strcmp(result->rows[i].name, name))
            return &result->rows[i];
    return NULL;
}

static int check_row(const struct reader *reader, const struct json *object, const struct paper_row *row, struct err *err)
{
    if (!row->not_run == !row->compressor)
        return config_err(reader->config, object, err,
                          "a row needs either 'compressor', the label of its cells, or 'not_run', the reason why there are none");
    if (!row->against != !row->base)
        return config_err(reader->config, object, err,
                          "'against' and 'base' belong together: what published and our numbers are a change from");
    return 0;
}

static int read_row(const struct reader *reader, const struct json *object, const struct paper_result *result, size_t at, struct err *err)
{
    static const char *const known[] = {"name", "values", "not_run", "compressor", "sweep", "frames", "against", "base", "base_frames",
                                        NULL};
    struct paper_row *out = &result->rows[at];
    const struct { const char *key; bool required; const char **out; } texts[] = {
        {"name", true, &out->name}, {"not_run", false, &out->not_run}, {"compressor", false, &out->compressor},
        {"sweep", false, &out->sweep}, {"base", false, &out->base}};
    const char *against = NULL;
    int64_t frames = 0, base_frames = 0;
    int rc = config_check_keys(reader->config, object, "a row", known, err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = read_text(reader, object, texts[i].key, texts[i].required, texts[i].out, err);
    if (!rc)
        rc = read_text(reader, object, "against", false, &against, err);
    if (!rc)
        rc = read_int(reader, object, "frames", 4096, &frames, err);
    if (!rc)
        rc = read_int(reader, object, "base_frames", 4096, &base_frames, err);
    if (!rc && against && !(out->against = find_row(result, at, against)))
        rc = config_err(reader->config, json_get(object, "against"), err, "no row '%s' stands above this one", against);
    if (!rc)
        rc = read_values(reader, object, result, out, err);
    out->frames = (int)frames;
    out->base_frames = (int)base_frames;
    return rc ? rc : check_row(reader, object, out, err);
}

static int read_erratum(const struct reader *reader, const struct json *object, const struct paper_result *result,
                        struct paper_erratum *out,
                        struct err *err)
{
    static const char *const known[] = {"row", "column", "value", "note", NULL};
    const char *row, *column;
    const struct json *value = json_get(object, "value");
    int rc = config_check_keys(reader->config, object, "an erratum", known, err);
    if (!rc)
        rc = read_text(reader, object, "row", true, &row, err);
    if (!rc)
        rc = read_text(reader, object, "column", true, &column, err);
    if (!rc)
        rc = read_text(reader, object, "note", true, &out->note, err);
    if (rc)
        return rc;
    out->row = find_row(result, result->n_rows, row);
    while (out->column < result->n_columns && strcmp(result->columns[out->column].name, column))
        out->column++;
    if (!out->row || out->column == result->n_columns)
        return config_err(reader->config, object, err, "an erratum names a row and a column of its table; there is no '%s', '%s'", row,
                          column);
    if (!value || json_type(value) != JSON_NUMBER)
        return config_err(reader->config, object, err, "an erratum has a 'value': what the number should be");
    out->value = json_number(value);
    return 0;
}

/* ---- results ------------------------------------------------------------------------------------------------------------- */

static int read_heading(const struct reader *reader, const struct json *object, struct paper_result *out, struct err *err)
{
    const struct json *whole = json_get(object, "whole_questions");
    int64_t table, figure;
    int rc = read_int(reader, object, "table", 1000, &table, err);
    if (!rc)
        rc = read_int(reader, object, "figure", 1000, &figure, err);
    if (!rc && !table == !figure)
        rc = config_err(reader->config, object, err, "a result is either a 'table' or a 'figure', with its number");
    if (!rc && whole && json_type(whole) != JSON_BOOL)
        rc = config_err(reader->config, whole, err, "'whole_questions' should be true or false");
    if (!rc)
        rc = read_text(reader, object, "caption", true, &out->caption, err);
    if (!rc)
        rc = read_texts(reader, object, "sweeps", &out->sweeps, err);
    if (!rc)
        rc = read_texts(reader, object, "draw", &out->draw, err);
    if (!rc)
        rc = read_texts(reader, object, "notes", &out->notes, err);
    if (rc)
        return rc;
    out->figure = figure != 0;
    out->number = figure ? figure : table;
    out->whole_questions = json_bool(whole);
    return out->sweeps[0] ? 0 : config_err(reader->config, object, err, "a result names its 'sweeps'");
}

static int read_result(const struct reader *reader, const struct json *object, struct paper_result *out, struct err *err)
{
    static const char *const known[] = {"table", "figure", "caption", "whole_questions", "sweeps", "draw", "notes", "columns", "rows",
                                        "errata", NULL};
    struct arena *arena = &reader->paper->arena;
    int rc = config_check_keys(reader->config, object, "a result", known, err);
    if (!rc)
        rc = read_heading(reader, object, out, err);
    if (!rc)
        rc = count_list(reader, object, "columns", &out->n_columns, err);
    if (!rc)
        rc = count_list(reader, object, "rows", &out->n_rows, err);
    if (!rc)
        rc = count_list(reader, object, "errata", &out->n_errata, err);
    if (rc)
        return rc;
    out->columns = arena_alloc(arena, out->n_columns, sizeof *out->columns);
    out->rows = arena_alloc(arena, out->n_rows, sizeof *out->rows);
    out->errata = arena_alloc(arena, out->n_errata, sizeof *out->errata);
    if (!out->columns || !out->rows || !out->errata)
        return err_no_memory(err, "a paper");
    size_t i = 0;
    for (const struct json *at = json_first(json_get(object, "columns")); at && !rc; at = json_next(at))
        rc = read_column(reader, at, &out->columns[i++], err);
    i = 0;
    for (const struct json *at = json_first(json_get(object, "rows")); at && !rc; at = json_next(at))
        rc = read_row(reader, at, out, i++, err);
    i = 0;
    for (const struct json *at = json_first(json_get(object, "errata")); at && !rc; at = json_next(at))
        rc = read_erratum(reader, at, out, &out->errata[i++], err);
    return rc;
}

static int read_paper(struct paper *paper, struct err *err)
{
    static const char *const known[] = {"paper", "title", "source", "results", NULL};
    const struct reader reader = {paper, paper->config};
    const struct json *root = config_root(paper->config);
    const struct { const char *key, **out; } texts[] = {{"paper", &paper->name}, {"title", &paper->title}, {"source", &paper->source}};
    int rc = config_check_keys(paper->config, root, "a paper", known, err);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = read_text(&reader, root, texts[i].key, true, texts[i].out, err);
    if (!rc)
        rc = count_list(&reader, root, "results", &paper->n_results, err);
    if (!rc && !(paper->results = arena_alloc(&paper->arena, paper->n_results, sizeof *paper->results)))
        rc = err_no_memory(err, "a paper");
    size_t i = 0;
    for (const struct json *at = rc ? NULL : json_first(json_get(root, "results")); at && !rc; at = json_next(at))
        rc = read_result(&reader, at, &paper->results[i++], err);
    return rc;
}

int paper_load(struct paper *out, const char *name, const char *configs, struct err *err)
{
    const char *path;
    *out = (struct paper){0};
    int rc = find_paper(out, name, configs, &path, err);
    if (!rc)
        rc = config_load(&out->config, path, err);
    if (!rc && !(out->sweeps_folder = sweeps_beside(out, path)))
        rc = err_no_memory(err, "a paper");
    if (!rc)
        rc = read_paper(out, err);
    if (rc)
        paper_free(out);
    return rc;
}

void paper_free(struct paper *paper)
{
    config_free(paper->config);
    arena_free(&paper->arena);
    *paper = (struct paper){0};
}

const struct paper_result *paper_find(const struct paper *paper, bool figure, int64_t number)
{
    for (size_t i = 0; i < paper->n_results; i++)
        if (paper->results[i].figure == figure && paper->results[i].number == number)
            return &paper->results[i];
    return NULL;
}

bool paper_wants(const struct paper_row *row, const struct paper_column *column, bool base, const char *benchmark, int frames,
                 const char *label)
{
    const char *pattern = base ? row->base : row->compressor;
    int wanted = base && row->base_frames ? row->base_frames : row->frames ? row->frames : column->frames;
    return pattern && !strcmp(benchmark, column->benchmark) && frames == wanted && fnmatch(pattern, label, 0) == 0;
}

int paper_decimals(double value)
{
    return fabs(value * 10 - round(value * 10)) < 1e-6 ? 1 : 2;
}
