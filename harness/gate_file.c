/* Gates, reading: a YAML file to gates, every mistake with its line. */
#include "harness/gate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct reader {
    struct gate_file *file;
    struct err *err;
};

/* ---- values -------------------------------------------------------------------------------------------------------------- */

/* A number of an open or half-open range, or NaN when the key is not there. */
static int read_number(struct reader *reader, const struct json *object, const char *key, double above, double most, const char *expected,
                       double *out)
{
    const struct json *value = json_get(object, key);
    *out = (double)NAN;
    if (!value)
        return 0;
    if (json_type(value) != JSON_NUMBER || !(json_number(value) > above && json_number(value) <= most))
        return config_err(reader->file->config, value, reader->err, "'%s' should be %s", key, expected);
    *out = json_number(value);
    return 0;
}

static int read_text(struct reader *reader, const struct json *object, const char *key, const char **out)
{
    const struct json *value = json_get(object, key);
    if (value && (json_type(value) != JSON_STRING || !*json_string(value)))
        return config_err(reader->file->config, value, reader->err, "'%s' should be a text, it is %s", key, json_type_name(value));
    *out = value ? json_string(value) : NULL;
    return 0;
}

/* ---- one gate ------------------------------------------------------------------------------------------------------------ */

static const struct { const char *key; enum gate_bound bound; } bounds[] = {
    {"margin", BOUND_MARGIN},  {"exact", BOUND_EXACT},      {"within", BOUND_WITHIN},     {"least", BOUND_RANGE},
    {"most", BOUND_RANGE},     {"least_ratio", BOUND_RATIO}, {"most_ratio", BOUND_RATIO},
};
enum { BOUNDS = sizeof bounds / sizeof *bounds };

static int find_metric(struct reader *reader, const struct json *object, struct gate *gate)
{
    const char *name = NULL, *known[64] = {0};
    int rc = read_text(reader, object, "metric", &name);
    if (rc)
        return rc;
    if (!name)
        return config_err(reader->file->config, object, reader->err, "this gate has no 'metric'; 'toksweep list metrics' names them");
    if ((gate->metric = gate_metric_find(name)))
        return 0;
    for (int i = 0; gate_metric_at(i); i++)
        known[i] = gate_metric_at(i)->name;
    const char *near = nearest_word(name, known);
    return config_err(reader->file->config, json_get(object, "metric"), reader->err, "no metric '%s'%s%s%s; see 'toksweep list metrics'",
                      name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* Which kind of bound its keys make: the only one that is there, or "exact" when there is none. */
static int find_bound(struct reader *reader, const struct json *object, struct gate *gate)
{
    unsigned found = 0;
    char can[96] = "";
    for (int i = 0; i < BOUNDS; i++) {
        found |= json_get(object, bounds[i].key) ? bounds[i].bound : 0;
        if (gate->metric->bounds & bounds[i].bound)
            snprintf(can + strlen(can), sizeof can - strlen(can), "%s%s", *can ? ", " : "", bounds[i].key);
    }
    found = found ? found : gate->metric->bounds & BOUND_EXACT;
    if (!found)
        return config_err(reader->file->config, object, reader->err, "a gate on %s needs a bound: %s", gate->metric->name, can);
    if (found & (found - 1))
        return config_err(reader->file->config, object, reader->err, "this gate has bounds of several kinds; make it several gates");
    if (!(found & gate->metric->bounds))
        return config_err(reader->file->config, object, reader->err, "%s cannot be bounded so; its bounds are %s", gate->metric->name, can);
    gate->bound = (enum gate_bound)found;
    return 0;
}

static int read_bounds(struct reader *reader, const struct json *object, struct gate *gate)
{
    bool is_ratio = gate->bound == BOUND_RATIO;
    const struct json *exact = json_get(object, "exact");
    if (exact && !(json_type(exact) == JSON_BOOL && json_bool(exact)))
        return config_err(reader->file->config, exact, reader->err, "'exact' should be true, or not be there");
    if (json_get(object, "alpha") && gate->bound != BOUND_MARGIN)
        return config_err(reader->file->config, json_get(object, "alpha"), reader->err, "'alpha' goes with 'margin'");
    int rc = read_number(reader, object, "margin", 0, 99, "points of accuracy above 0, at most 99", &gate->margin);
    if (!rc)
        rc = read_number(reader, object, "alpha", 0, 0.49, "a share above 0, at most 0.49, such as 0.05", &gate->alpha);
    if (!rc)
        rc = read_number(reader, object, "within", 0, 1e9, "a number above 0", &gate->within);
    if (!rc)
        rc = read_number(reader, object, is_ratio ? "least_ratio" : "least", -1e-300, 1e15, "a number, 0 or more", &gate->least);
    if (!rc)
        rc = read_number(reader, object, is_ratio ? "most_ratio" : "most", -1e-300, 1e15, "a number, 0 or more", &gate->most);
    if (!rc && gate->least > gate->most)
        rc = config_err(reader->file->config, object, reader->err, "the least that this gate allows is more than the most");
    gate->margin /= 100;
    gate->alpha = isnan(gate->alpha) ? 0.05 : gate->alpha;
    return rc;
}

/* Metric and bounds as the file has them. */
static int name_rule(struct reader *reader, const struct json *object, struct gate *gate)
{
    struct text rule = {0};
    text_put(&rule, gate->metric->name);
    text_put(&rule, gate->bound == BOUND_EXACT ? " exact" : "");
    for (int i = 0; i < BOUNDS; i++)
        if (bounds[i].bound == gate->bound && gate->bound != BOUND_EXACT && json_get(object, bounds[i].key))
            text_printf(&rule, " %s %g", bounds[i].key, json_number(json_get(object, bounds[i].key)));
    gate->rule = rule.failed ? NULL : arena_strdup(&reader->file->arena, rule.bytes);
    text_free(&rule);
    return gate->rule ? 0 : err_no_memory(reader->err, "gates");
}

static int read_gate(struct reader *reader, const struct json *object, struct gate *gate)
{
    static const char *const keys[] = {"metric", "margin",     "alpha",      "exact", "within", "least",
                                       "most",   "least_ratio", "most_ratio", NULL};
    int rc = config_check_keys(reader->file->config, object, "a gate", keys, reader->err);
    if (!rc)
        rc = find_metric(reader, object, gate);
    if (!rc)
        rc = find_bound(reader, object, gate);
    if (!rc)
        rc = read_bounds(reader, object, gate);
    if (!rc)
        rc = name_rule(reader, object, gate);
    gate->line = config_line(reader->file->config, object);
    return rc;
}

/* ---- the file ------------------------------------------------------------------------------------------------------------ */

static int read_gates(struct reader *reader, const struct json *root)
{
    struct gate_file *file = reader->file;
    const struct json *list = json_get(root, "gates");
    if (!list || json_type(list) != JSON_ARRAY || !json_first(list))
        return config_err(file->config, list ? list : root, reader->err, "a gate file needs 'gates', a list with at least one");
    if (!(file->gates = arena_alloc(&file->arena, json_count(list), sizeof *file->gates)))
        return err_no_memory(reader->err, "gates");
    int rc = 0;
    for (const struct json *gate = json_first(list); gate && !rc; gate = json_next(gate))
        rc = read_gate(reader, gate, &file->gates[file->n_gates++]);
    return rc;
}

/* One name, or a list of them. */
static int read_cells(struct reader *reader, const struct json *root)
{
    struct gate_file *file = reader->file;
    const struct json *cells = json_get(root, "cells");
    bool is_list = cells && json_type(cells) == JSON_ARRAY;
    if (!cells || (is_list && !json_first(cells)))
        return config_err(file->config, cells ? cells : root, reader->err,
                          "a gate file needs 'cells': LABEL, LABEL@FRAMES or a list of them");
    if (!(file->cells = arena_alloc(&file->arena, is_list ? json_count(cells) : 1, sizeof *file->cells)))
        return err_no_memory(reader->err, "gates");
    for (const struct json *name = is_list ? json_first(cells) : cells; name; name = is_list ? json_next(name) : NULL) {
        if (json_type(name) != JSON_STRING)
            return config_err(file->config, name, reader->err, "a cell's name should be a text, it is %s", json_type_name(name));
        file->cells[file->n_cells++] = json_string(name);
    }
    return 0;
}

int gate_file_load(struct gate_file *out, const char *path, struct err *err)
{
    static const char *const keys[] = {"name", "cells", "baseline", "gates", NULL};
    struct reader reader = {out, err};
    *out = (struct gate_file){.path = path};
    int rc = config_load(&out->config, path, err);
    if (rc)
        return rc;
    const struct json *root = config_root(out->config);
    rc = config_check_keys(out->config, root, "a gate file", keys, err);
    if (!rc)
        rc = read_text(&reader, root, "name", &out->name);
    if (!rc)
        rc = read_text(&reader, root, "baseline", &out->baseline);
    if (!rc)
        rc = read_cells(&reader, root);
    if (!rc)
        rc = read_gates(&reader, root);
    out->name = out->name ? out->name : "gate";
    return rc;
}

void gate_file_free(struct gate_file *file)
{
    config_free(file->config);
    arena_free(&file->arena);
    *file = (struct gate_file){0};
}
