/* Sweeps: YAML to cells. The file's words are lmms-eval's where the meaning is the same. */
#include "harness/sweep.h"

#include "build_facts.h"
#include "compressors/plugin.h"
#include "core/dtype.h"
#include "core/hub.h"
#include "core/text.h"
#include "engine/kernels/kernels.h"
#include "engine/prompt.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_CELLS = 10000, MOST_FRAMES = 4096 };

static bool path_exists(const char *path)
{
    struct stat stat_of;
    return !stat(path, &stat_of);
}

static bool is_folder(const char *path)
{
    struct stat stat_of;
    return !stat(path, &stat_of) && S_ISDIR(stat_of.st_mode);
}

static const char *folder_of(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/');
    return slash ? arena_strndup(arena, path, (size_t)(slash - path)) : ".";
}

/* Relative paths count from the sweep file's folder, or, when nothing is there, from the working folder. */
static const char *resolve_path(struct sweep *sweep, const char *path)
{
    if (*path == '/' || !strchr(config_name(sweep->config), '/'))
        return path;
    const char *beside = arena_printf(&sweep->arena, "%s/%s", folder_of(config_name(sweep->config), &sweep->arena), path);
    return beside && (path_exists(beside) || !path_exists(path)) ? beside : path;
}

/* ---- reading values ------------------------------------------------------------------------------------------------------ */

/* `otherwise` may be said, too, though it is none of the choices: "auto". */
static int get_choice(const struct sweep *sweep, const struct json *object, const char *key, const char *const *choices, const char *otherwise,
                      const char **out, struct err *err)
{
    const struct json *value = json_get(object, key);
    *out = otherwise;
    if (!value || json_type(value) == JSON_NULL || (otherwise && json_string(value) && !strcmp(json_string(value), otherwise)))
        return 0;
    char list[400] = "";
    for (const char *const *choice = choices; *choice; choice++) {
        if (json_type(value) == JSON_STRING && !strcmp(*choice, json_string(value))) {
            *out = *choice;
            return 0;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *choice);
    }
    const char *near = json_type(value) == JSON_STRING ? nearest_word(json_string(value), choices) : NULL;
    return near ? config_err(sweep->config, value, err, "'%s' is '%s'; did you mean '%s'?", key, json_string(value), near)
                : config_err(sweep->config, value, err, "'%s' should be one of %s", key, list);
}

static int get_int(const struct sweep *sweep, const struct json *object, const char *key, int64_t otherwise, int64_t least, int64_t most,
                   int64_t *out, struct err *err)
{
    const struct json *value = json_get(object, key);
    *out = otherwise;
    if (!value || json_type(value) == JSON_NULL || json_integer(value, least, most, out))
        return 0;
    return config_err(sweep->config, value, err, "'%s' should be a whole number from %lld to %lld, it is %s", key, (long long)least,
                      (long long)most, json_type(value) == JSON_NUMBER ? "another number" : json_type_name(value));
}

static int get_string(const struct sweep *sweep, const struct json *object, const char *key, const char *otherwise, const char **out,
                      struct err *err)
{
    const struct json *value = json_get(object, key);
    *out = otherwise;
    if (!value || json_type(value) == JSON_NULL)
        return 0;
    if (json_type(value) != JSON_STRING)
        return config_err(sweep->config, value, err, "'%s' should be a string, it is %s", key, json_type_name(value));
    *out = json_string(value);
    return 0;
}

/* Absent is false. */
static int get_bool(const struct sweep *sweep, const struct json *object, const char *key, bool *out, struct err *err)
{
    const struct json *value = json_get(object, key);
    *out = false;
    if (!value || json_type(value) == JSON_NULL)
        return 0;
    if (json_type(value) != JSON_BOOL)
        return config_err(sweep->config, value, err, "'%s' should be true or false, it is %s", key, json_type_name(value));
    *out = json_bool(value);
    return 0;
}

static const char *runner_name_at(int i)
{
    const struct runner *runner = runner_at(i);
    return runner ? runner->name : NULL;
}

static const char *profile_name_at(int i)
{
    const struct profile *profile = profile_at(i);
    return profile ? profile->name : NULL;
}

static const char *benchmark_name_at(int i)
{
    const struct benchmark *benchmark = benchmark_at(i);
    return benchmark ? benchmark->name : NULL;
}

static const char *compressor_name_at(int i)
{
    const struct compressor *compressor = compressor_at(i);
    return compressor ? compressor->name : NULL;
}

static const char *const *names(const char *(*at)(int), struct arena *arena)
{
    enum { MOST = 128 };
    const char **out = arena_alloc(arena, MOST + 1, sizeof *out);
    for (int i = 0; out && i < MOST && at(i); i++)
        out[i] = at(i);
    return out;
}

/* ---- the top of the file ------------------------------------------------------------------------------------------------- */

/* Keys that every runner has, and its own. */
static int check_runner_keys(const struct sweep *sweep, const struct json *object, const struct runner *runner, struct err *err)
{
    enum { MOST = 32 };
    const char *known[MOST + 1] = {"name", "device", "dtype", "isa"};
    for (int n = 4, i = 0; runner->keys && runner->keys[i] && n < MOST; i++)
        known[n++] = runner->keys[i];
    return config_check_keys(sweep->config, object, "runner", known, err);
}

/* A runner is a name or {name, options}. */
static int read_runner(struct sweep *sweep, const struct json *root, const struct sweep_overrides *overrides, struct err *err)
{
    const struct json *object = json_get(root, "runner");
    enum dtype dtype;
    const char *name, *const *runners = names(runner_name_at, &sweep->arena);
    int rc;
    if (!runners)
        return err_no_memory(err, "a sweep");
    if (json_string(object)) {
        rc = get_choice(sweep, root, "runner", runners, "native", &name, err);
        object = NULL;
    } else {
        rc = get_choice(sweep, object, "name", runners, "native", &name, err);
        if (!rc && object)
            rc = check_runner_keys(sweep, object, runner_find(name), err);
    }
    if (!rc)
        rc = get_choice(sweep, object, "dtype", dtype_computed, "bf16", &sweep->dtype, err);
    if (!rc)
        rc = get_choice(sweep, object, "isa", kernels_names(), "auto", &sweep->isa, err);
    if (!rc)
        rc = get_string(sweep, object, "device", "cpu", &sweep->device, err);
    if (rc)
        return rc;
    sweep->runner = runner_find(name);
    sweep->runner_config = object;
    if (overrides->dtype && !dtype_parse(overrides->dtype, &dtype))
        return err_set(err, ERR_CONFIG, "--dtype should be f32, bf16, f16 or int8, it is '%s'", overrides->dtype);
    sweep->dtype = overrides->dtype ? overrides->dtype : sweep->dtype;
    sweep->isa = overrides->isa ? overrides->isa : sweep->isa;
    sweep->device = overrides->device ? overrides->device : sweep->device;
    return 0;
}

static int read_protocol(struct sweep *sweep, const struct json *root, struct err *err)
{
    static const char *const forms[] = {"default", "llava_vid", NULL};
    const char *profile, *form;
    int64_t new_tokens, videos, seed;
    const struct json *penalty = json_get(root, "repetition_penalty"), *calibration = json_get(root, "calibration");
    static const char *const calibration_keys[] = {"videos", "seed", NULL};
    int rc = get_choice(sweep, root, "profile", names(profile_name_at, &sweep->arena), "toksweep", &profile, err);
    if (!rc)
        rc = get_choice(sweep, root, "prompt_form", forms, "default", &form, err);
    if (!rc)
        rc = get_choice(sweep, root, "conversation", conversation_names(), "qwen_1_5", &sweep->conversation, err);
    if (!rc)
        rc = get_int(sweep, root, "max_new_tokens", 0, 1, 4096, &new_tokens, err);
    if (!rc && calibration)
        rc = config_check_keys(sweep->config, calibration, "calibration", calibration_keys, err);
    if (!rc)
        rc = get_int(sweep, calibration, "videos", 16, 1, 10000, &videos, err);
    if (!rc)
        rc = get_int(sweep, calibration, "seed", 0, 0, INT32_MAX, &seed, err);
    if (!rc)
        rc = get_bool(sweep, root, "time_instruction", &sweep->time_instruction, err);
    if (!rc && penalty && (json_type(penalty) != JSON_NUMBER || json_number(penalty) < 0.01 || json_number(penalty) > 100))
        rc = config_err(sweep->config, penalty, err, "'repetition_penalty' should be a number from 0.01 to 100");
    if (rc)
        return rc;
    sweep->profile = profile_find(profile);
    sweep->prompt_form = strcmp(form, "default") ? PROMPT_LLAVA_VID : PROMPT_DEFAULT;
    sweep->max_new_tokens = (int)new_tokens;
    sweep->repetition_penalty = penalty ? json_number(penalty) : NAN;
    sweep->calibration_videos = (int)videos;
    sweep->calibration_seed = (uint64_t)seed;
    return 0;
}

/* ---- benchmarks ---------------------------------------------------------------------------------------------------------- */

/* Where a benchmark's files are: by path, by the id of a data set on the Hub, or by the benchmark's name. */
static void locate_benchmark(struct sweep *sweep, struct sweep_benchmark *out, const char *manifest, const struct sweep_overrides *overrides)
{
    struct manifest_source *source = &out->source;
    const char *path = manifest ? resolve_path(sweep, manifest) : NULL;
    source->path = path && !path_exists(path) ? manifest : path;
    benchmark_locate(source, out->benchmark, overrides->data, &sweep->arena);
    if (manifest && source->path == manifest)
        source->path = path;
}

static int read_benchmark(struct sweep *sweep, const struct json *value, const struct sweep_overrides *overrides, struct err *err)
{
    static const char *const known[] = {"name", "manifest", "videos", "subtitles", "exclude", NULL};
    struct sweep_benchmark *out = &sweep->benchmarks[sweep->n_benchmarks];
    const char *name = json_string(value), *manifest = NULL;
    const struct { const char *key; const char **out; } folders[] = {
        {"videos", &out->source.videos}, {"subtitles", &out->source.subtitles}, {"exclude", &out->source.exclude}};
    int rc = 0;
    if (json_type(value) == JSON_OBJECT) {
        rc = config_check_keys(sweep->config, value, "benchmark", known, err);
        if (!rc)
            rc = get_choice(sweep, value, "name", names(benchmark_name_at, &sweep->arena), NULL, &name, err);
        if (!rc)
            rc = get_string(sweep, value, "manifest", NULL, &manifest, err);
        for (size_t i = 0; i < sizeof folders / sizeof *folders && !rc; i++)
            if (!(rc = get_string(sweep, value, folders[i].key, NULL, folders[i].out, err)) && *folders[i].out)
                *folders[i].out = resolve_path(sweep, *folders[i].out);
    }
    if (rc)
        return rc;
    if (!name || !benchmark_find(name)) {
        const char *near = name ? nearest_word(name, names(benchmark_name_at, &sweep->arena)) : NULL;
        return config_err(sweep->config, value, err, "a benchmark is a name or {name, manifest, videos, subtitles, exclude}; %s%s%s",
                          near ? "did you mean '" : "see 'toksweep list benchmarks'", near ? near : "", near ? "'?" : "");
    }
    out->benchmark = benchmark_find(name);
    if (out->benchmark->interleaves && !sweep->runner->interleaves)
        return config_err(sweep->config, value, err, "benchmark %s puts frames between subtitles, and runner %s shows them in one piece; ask "
                          "longvideobench_val_v instead", name, sweep->runner->name);
    locate_benchmark(sweep, out, manifest, overrides);
    sweep->n_benchmarks++;
    return 0;
}

/* ---- axes ---------------------------------------------------------------------------------------------------------------- */

/* Elements of an axis: a list's, or the one value. */
static const struct json *axis_first(const struct json *axis)
{
    return axis && json_type(axis) == JSON_ARRAY ? json_first(axis) : axis;
}

static const struct json *axis_next(const struct json *axis, const struct json *value)
{
    return json_type(axis) == JSON_ARRAY ? json_next(value) : NULL;
}

static int check_axis(const struct sweep *sweep, const struct json *axes, const char *key, bool required, struct err *err)
{
    const struct json *axis = json_get(axes, key);
    if (!axis)
        return required ? config_err(sweep->config, axes, err, "axes has no '%s'; give a value or a list", key) : 0;
    return axis_first(axis) ? 0 : config_err(sweep->config, axis, err, "axis '%s' is empty; give at least one value", key);
}

/* A compressor's entry with one value chosen for each option that is a list: choice number k of the product. */
static struct json *choose_options(const struct json *entry, size_t k)
{
    struct json *chosen = json_new(JSON_OBJECT);
    for (const struct json *member = json_first(entry); member && chosen; member = json_next(member)) {
        const struct json *value = member;
        if (json_type(member) == JSON_ARRAY) {
            size_t n = json_count(member), i = k % n;
            k /= n;
            for (value = json_first(member); i; i--)
                value = json_next(value);
        }
        if (!json_add(chosen, json_key(member), json_copy(value))) {
            json_free(chosen);
            chosen = NULL;
        }
    }
    return chosen;
}

struct axis_values { /* one point of the other axes */
    size_t benchmark;
    int frames;
    enum frame_rule sampling;
    const char *pooling, *newline;
    const char *body;
    size_t first, end; /* cells of this point that controls can match */
};

/* "none pruning=0.5": the label of the methods and what is added to requests, each member as JSON has it. NULL when memory is out. */
static const char *label_body(const char *label, const char *body, struct arena *arena)
{
    struct json *members = NULL;
    struct err ignored = {0};
    if (label && json_parse(&members, body, strlen(body), "body", &ignored))
        return NULL;
    for (const struct json *member = json_first(members); member && label; member = json_next(member)) {
        char *value = json_string(member) ? strdup(json_string(member)) : json_text(member);
        label = value ? arena_printf(arena, "%s %s=%s", label, json_key(member), value) : NULL;
        free(value);
    }
    json_free(members);
    return label;
}

/* Name, params and label of a cell from its methods and its body. */
static int describe_cell(struct sweep *sweep, struct run_cell *run, struct err *err)
{
    run->cell.compressor = methods_name(run->methods, run->n_methods, &sweep->arena);
    run->cell.params = methods_params(run->methods, run->n_methods, &sweep->arena);
    run->cell.label = methods_label(run->methods, run->n_methods, &sweep->arena);
    if (run->cell.body)
        run->cell.label = label_body(run->cell.label, run->cell.body, &sweep->arena);
    return run->cell.compressor && run->cell.params && run->cell.label ? 0 : err_no_memory(err, "the cells of a sweep");
}

static int add_cell(struct sweep *sweep, const struct axis_values *at, const struct method *methods, int n_methods, size_t match,
                    const struct json *entry, struct err *err)
{
    if (sweep->n_cells == MOST_CELLS)
        return config_err(sweep->config, entry, err, "more than %d cells; split the sweep", MOST_CELLS);
    if ((sweep->n_cells & (sweep->n_cells - 1)) == 0) { /* full at powers of two, and at zero */
        size_t room = sweep->n_cells ? 2 * sweep->n_cells : 1;
        struct sweep_cell *grown = realloc(sweep->cells, room * sizeof *grown);
        if (!grown)
            return err_no_memory(err, "the cells of a sweep");
        sweep->cells = grown;
    }
    struct sweep_cell *cell = &sweep->cells[sweep->n_cells++];
    const struct benchmark *benchmark = sweep->benchmarks[at->benchmark].benchmark;
    const struct protocol *protocol = profile_protocol(sweep->profile, benchmark->name);
    if (!protocol)
        return config_err(sweep->config, entry, err, "profile %s has no protocol for benchmark %s; see 'toksweep list profiles'",
                          sweep->profile->name, benchmark->name);
    *cell = (struct sweep_cell){.benchmark = at->benchmark, .at = entry, .match = match, .run.n_methods = n_methods};
    memcpy(cell->run.methods, methods, (size_t)n_methods * sizeof *methods);
    cell->run.cell = (struct cell){.model = sweep->model,
                                   .benchmark = benchmark->name,
                                   .profile = sweep->profile->name,
                                   .frames = at->frames,
                                   .sampling = at->sampling,
                                   .pooling = at->pooling,
                                   .newline = at->newline,
                                   .body = at->body,
                                   .conversation = sweep->conversation,
                                   .prompt_form = sweep->prompt_form == PROMPT_DEFAULT ? "default" : "llava_vid",
                                   .time_instruction = sweep->time_instruction,
                                   .repetition_penalty = sweep->repetition_penalty,
                                   .max_new_tokens = sweep->max_new_tokens ? sweep->max_new_tokens : protocol->max_new_tokens,
                                   .dtype = sweep->dtype,
                                   .runner = sweep->runner->name,
                                   .build_digest = BUILD_DIGEST};
    sweep->most_frames = at->frames > sweep->most_frames ? at->frames : sweep->most_frames;
    int rc = describe_cell(sweep, &cell->run, err);
    cell->label = cell->run.cell.label;
    return rc;
}

/* Puts the place of the entry in front of what a compressor's option check said. */
static int at_entry(const struct sweep *sweep, const struct json *entry, struct err *err)
{
    struct err inner = *err;
    return config_err(sweep->config, entry, err, "%s", inner.text);
}

/* Multiplies `points` by the number of combinations of a method's options that are lists. */
static int count_options(const struct sweep *sweep, const struct json *entry, size_t *points, struct err *err)
{
    for (const struct json *member = json_first(entry); member; member = json_next(member))
        if (json_type(member) == JSON_ARRAY) {
            size_t n = json_count(member);
            if (!n)
                return config_err(sweep->config, member, err, "option '%s' is an empty list; give at least one value", json_key(member));
            *points = n > MOST_CELLS / *points ? MOST_CELLS + 1 : *points * n;
        }
    return *points > MOST_CELLS ? config_err(sweep->config, entry, err, "more than %d cells; split the sweep", MOST_CELLS) : 0;
}

/* A method of an entry, with choice number *k of its options; *k becomes the choice of the methods behind it. */
static int read_method(struct sweep *sweep, const struct json *entry, size_t *k, struct method *out, struct err *err)
{
    size_t points = 1;
    const char *name = json_type(entry) == JSON_OBJECT ? json_string(json_get(entry, "name")) : json_string(entry);
    out->compressor = name ? compressor_find(name) : NULL;
    if (!out->compressor) {
        const char *near = name ? nearest_word(name, names(compressor_name_at, &sweep->arena)) : NULL;
        return config_err(sweep->config, entry, err, "a compressor is a name or {name, options}, or a list of these%s%s%s; see 'toksweep list compressors'",
                          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    int rc = count_options(sweep, entry, &points, err);
    if (rc)
        return rc;
    struct json *chosen = json_type(entry) == JSON_OBJECT ? choose_options(entry, *k % points) : json_new(JSON_OBJECT);
    *k /= points;
    rc = chosen ? compressor_resolve(out->compressor, chosen, "name", out->values, err) : err_no_memory(err, "a sweep");
    const struct json *match = json_get(chosen, "match");
    if (!rc && match && !json_string(match))
        rc = err_set(err, ERR_CONFIG, "'match' should be the label of a cell, it is %s", json_type_name(match));
    out->match = !rc && match ? arena_strdup(&sweep->arena, json_string(match)) : NULL;
    json_free(chosen);
    return rc ? at_entry(sweep, entry, err) : 0;
}

/* ---- controls: cells that leave as many tokens as others ------------------------------------------------------------------- */

/* Whether an entry of the compressor axis, or a method of it, matches other cells. */
static bool is_control(const struct json *entry)
{
    bool matches = false;
    for (const struct json *s = axis_first(entry); s; s = axis_next(entry, s))
        matches |= json_type(s) == JSON_OBJECT && json_get(s, "match");
    return matches;
}

/* Whether all of a cell's tokens are chosen before the language model, so that their number is one. */
static bool has_one_number(const struct sweep_cell *cell)
{
    return !methods_find(cell->run.methods, cell->run.n_methods, ROLE_LAYER);
}

static int refuse_unmatched(struct sweep *sweep, const struct axis_values *at, const char *pattern, const struct json *entry,
                            struct err *err)
{
    struct text labels = {0};
    for (size_t i = at->first; i < at->end; i++) {
        const char *label = sweep->cells[i].label;
        if (!fnmatch(pattern, label, 0)) {
            text_free(&labels);
            return config_err(sweep->config, entry, err, "'%s' drops tokens between layers of the language model, so that it has no "
                              "one number of them to match; match a cell that chooses them before", label);
        }
        text_printf(&labels, "%s'%s'", i > at->first ? ", " : "", label);
    }
    int rc = config_err(sweep->config, entry, err, "no cell '%s' to match at %d frames; there are %s", pattern, at->frames,
                        labels.length ? labels.bytes : "controls only");
    text_free(&labels);
    return rc;
}

/* Adds the cell of these methods, or, of a control, one for each cell that its pattern names. */
static int add_methods(struct sweep *sweep, const struct axis_values *at, struct method *methods, int n, const struct json *entry,
                       struct err *err)
{
    int control = 0, rc = 0;
    while (control < n && !methods[control].match)
        control++;
    if (control == n)
        return add_cell(sweep, at, methods, n, SIZE_MAX, entry, err);
    const char *pattern = methods[control].match;
    bool any = false;
    for (size_t i = at->first; i < at->end && !rc; i++) {
        if (fnmatch(pattern, sweep->cells[i].label, 0) || !has_one_number(&sweep->cells[i]))
            continue;
        methods[control].match = sweep->cells[i].label;
        rc = add_cell(sweep, at, methods, n, i, entry, err);
        any = true;
    }
    return rc || any ? rc : refuse_unmatched(sweep, at, pattern, entry, err);
}

/* An entry of the compressor axis is a method or a list of methods that work together. */
static int add_compressor(struct sweep *sweep, const struct axis_values *at, const struct json *entry, struct err *err)
{
    size_t points = 1;
    int rc = 0;
    for (const struct json *s = axis_first(entry); s && !rc; s = axis_next(entry, s))
        rc = count_options(sweep, s, &points, err);
    if (rc)
        return rc;
    if (!axis_first(entry) || (json_type(entry) == JSON_ARRAY && json_count(entry) > MOST_METHODS))
        return config_err(sweep->config, entry, err, "a list of compressors that work together has 1 to %d of them, this has %zu", MOST_METHODS,
                          json_count(entry));
    for (size_t point = 0; point < points; point++) {
        struct method methods[MOST_METHODS];
        size_t k = point;
        int n = 0;
        for (const struct json *s = axis_first(entry); s && !rc; s = axis_next(entry, s))
            rc = read_method(sweep, s, &k, &methods[n++], err);
        if (!rc && methods_resolve(methods, &n, err))
            rc = at_entry(sweep, entry, err);
        if (!rc)
            rc = add_methods(sweep, at, methods, n, entry, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int axis_int(const struct sweep *sweep, const struct json *value, const char *key, int64_t most, int *out, struct err *err)
{
    int64_t number;
    if (!json_integer(value, 1, most, &number))
        return config_err(sweep->config, value, err, "'%s' should be whole numbers from 1 to %lld, this is %s", key, (long long)most,
                          json_type(value) == JSON_STRING ? json_string(value) : json_type_name(value));
    *out = (int)number;
    return 0;
}

static const char *const samplings[] = {"uniform", "1fps", "centre", NULL};
const char *const sweep_newlines[] = {"grid", "frame", "one_token", "no_token", NULL};
const char *const sweep_poolings[] = {"none", "bilinear", "average", "max", "bilinear_before_projector", "average_before_projector",
                                       "max_before_projector", NULL};

enum { MOST_WORDS = 16 };

struct word_axis { /* values of an axis of words; an absent axis is one NULL: the model's own */
    const char *word[MOST_WORDS];
    size_t n;
};

static int read_words(const struct sweep *sweep, const struct json *axes, const char *key, const char *const *words, struct word_axis *out,
                      struct err *err)
{
    const struct json *axis = json_get(axes, key);
    *out = (struct word_axis){.n = axis ? 0 : 1};
    for (const struct json *value = axis_first(axis); value; value = axis_next(axis, value)) {
        const char *word = json_string(value), *const *known = words;
        while (word && *known && strcmp(*known, word))
            known++;
        if (!word || !*known || out->n == MOST_WORDS)
            return config_err(sweep->config, value, err, "axis '%s' has no value '%s'; see 'toksweep list axes'", key,
                              word ? word : json_type_name(value));
        out->word[out->n++] = *known;
    }
    return 0;
}

/* All cells of one point of the other axes: controls stand behind what they can match. */
static int add_compressors(struct sweep *sweep, struct axis_values *at, const struct json *compressors, struct err *err)
{
    at->first = sweep->n_cells;
    int rc = 0;
    for (const struct json *c = axis_first(compressors); c && !rc; c = axis_next(compressors, c))
        rc = is_control(c) ? 0 : add_compressor(sweep, at, c, err);
    at->end = sweep->n_cells;
    for (const struct json *c = axis_first(compressors); c && !rc; c = axis_next(compressors, c))
        rc = is_control(c) ? add_compressor(sweep, at, c, err) : 0;
    return rc;
}

/* The cells of one point of the other axes: every choice of an entry of the axis `body`, which may be absent, with every compressor. */
static int add_bodies(struct sweep *sweep, struct axis_values *at, const struct json *entry, const struct json *compressors, struct err *err)
{
    size_t points = 1;
    int rc = entry ? count_options(sweep, entry, &points, err) : 0;
    for (size_t point = 0; point < points && !rc; point++) {
        struct json *chosen = entry && json_first(entry) ? choose_options(entry, point) : NULL;
        char *text = chosen ? json_text(chosen) : NULL;
        at->body = text ? arena_strdup(&sweep->arena, text) : NULL;
        rc = entry && json_first(entry) && !at->body ? err_no_memory(err, "the cells of a sweep") : 0;
        free(text);
        json_free(chosen);
        if (!rc)
            rc = add_compressors(sweep, at, compressors, err);
    }
    return rc;
}

static int check_bodies(const struct sweep *sweep, const struct json *bodies, struct err *err)
{
    if (bodies && !sweep->runner->sends)
        return config_err(sweep->config, bodies, err, "axis 'body' is what is added to requests, and runner %s sends none; leave it out", sweep->runner->name);
    for (const struct json *b = axis_first(bodies); b; b = axis_next(bodies, b))
        if (json_type(b) != JSON_OBJECT)
            return config_err(sweep->config, b, err, "'body' should be mappings of what is added to each request, this is %s", json_type_name(b));
    return 0;
}

/* All cells of one benchmark and one number of frames. The compressor is innermost: cells that share most stand together. */
static int add_frames(struct sweep *sweep, size_t benchmark, int frames, const struct json *axes, struct err *err)
{
    struct word_axis sampling, pooling, newline;
    const struct json *compressors = json_get(axes, "compressor"), *bodies = json_get(axes, "body");
    int rc = check_bodies(sweep, bodies, err);
    if (!rc)
        rc = read_words(sweep, axes, "sampling", samplings, &sampling, err);
    if (!rc)
        rc = read_words(sweep, axes, "pooling", sweep_poolings, &pooling, err);
    if (!rc)
        rc = read_words(sweep, axes, "newline", sweep_newlines, &newline, err);
    if (rc)
        return rc;
    for (size_t s = 0; s < sampling.n; s++)
        for (size_t p = 0; p < pooling.n; p++)
            for (size_t n = 0; n < newline.n; n++) {
                struct axis_values at = {.benchmark = benchmark, .frames = frames, .pooling = pooling.word[p], .newline = newline.word[n],
                                         .sampling = sampling.word[s] ? (enum frame_rule)frame_rule_find(sampling.word[s]) : FRAMES_UNIFORM};
                rc = bodies ? 0 : add_bodies(sweep, &at, NULL, compressors, err);
                for (const struct json *b = axis_first(bodies); b && !rc; b = axis_next(bodies, b))
                    rc = add_bodies(sweep, &at, b, compressors, err);
                if (rc)
                    return rc;
            }
    return 0;
}

static int add_points(struct sweep *sweep, const struct json *axes, struct err *err)
{
    const struct json *frames = json_get(axes, "frames");
    for (size_t b = 0; b < sweep->n_benchmarks; b++)
        for (const struct json *f = axis_first(frames); f; f = axis_next(frames, f)) {
            int n = 0, rc = axis_int(sweep, f, "frames", MOST_FRAMES, &n, err);
            if (!rc)
                rc = add_frames(sweep, b, n, axes, err);
            if (rc)
                return rc;
        }
    return 0;
}

static int read_axes(struct sweep *sweep, const struct json *root, const struct sweep_overrides *overrides, struct err *err)
{
    static const char *const known[] = {"benchmark", "frames", "compressor", "sampling", "pooling", "newline", "body", NULL};
    const struct json *axes = json_get(root, "axes");
    if (!axes)
        return config_err(sweep->config, root, err, "the sweep has no 'axes'; give at least benchmark, frames and compressor");
    int rc = config_check_keys(sweep->config, axes, "axes", known, err);
    for (int i = 0; known[i] && !rc; i++)
        rc = check_axis(sweep, axes, known[i], i < 3, err);
    if (rc)
        return rc;
    const struct json *benchmark = json_get(axes, "benchmark");
    sweep->benchmarks = arena_alloc(&sweep->arena, json_count(benchmark) + 1, sizeof *sweep->benchmarks);
    if (!sweep->benchmarks)
        return err_no_memory(err, "a sweep");
    for (const struct json *b = axis_first(benchmark); b && !rc; b = axis_next(benchmark, b))
        rc = read_benchmark(sweep, b, overrides, err);
    return rc ? rc : add_points(sweep, axes, err);
}

static int apply_sets(struct sweep *sweep, const char *const *sets, struct err *err)
{
    for (; sets && *sets; sets++) {
        const char *equals = strchr(*sets, '=');
        if (!equals)
            return err_set(err, ERR_CONFIG, "--set %s: write path.to.key=value", *sets);
        char *path = strndup(*sets, (size_t)(equals - *sets));
        int rc = path ? config_set(sweep->config, path, equals + 1, err) : err_no_memory(err, "--set");
        free(path);
        if (rc)
            return rc;
    }
    return 0;
}

static bool same_body(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Two cells that differ in nothing would be one row in every table. */
static int refuse_twins(const struct sweep *sweep, struct err *err)
{
    for (size_t i = 0; i < sweep->n_cells; i++)
        for (size_t j = 0; j < i; j++) {
            const struct cell *a = &sweep->cells[i].run.cell, *b = &sweep->cells[j].run.cell;
            if (sweep->cells[i].benchmark == sweep->cells[j].benchmark && a->frames == b->frames && a->sampling == b->sampling &&
                !strcmp(a->compressor, b->compressor) && !strcmp(a->params, b->params) && a->pooling == b->pooling && a->newline == b->newline &&
                same_body(a->body, b->body))
                return config_err(sweep->config, sweep->cells[i].at, err, "cell '%s' at %d frames stands twice; keep one of them", a->label, a->frames);
        }
    return 0;
}

/* Whether the assistant can change the cell's numbers. */
static bool wants_assistant(const struct run_cell *run)
{
    const struct method *allocator = methods_find(run->methods, run->n_methods, ROLE_ALLOCATE);
    int first, last;
    return allocator && allocator->compressor->guide(allocator->values, 1, &first, &last) == GUIDE_ASSISTANT;
}

static int refuse_missing_assistant(const struct sweep *sweep, struct err *err)
{
    for (size_t i = 0; i < sweep->n_cells && !sweep->assistant && sweep->runner->opens_checkpoint; i++)
        if (wants_assistant(&sweep->cells[i].run))
            return config_err(sweep->config, sweep->cells[i].at, err,
                              "'%s' is guided by an assistant, and the sweep names none; write assistant: MODEL beside model, or guide: self",
                              sweep->cells[i].label);
    return 0;
}

/* All that follows from the tree in sweep->config. */
static int read_sweep(struct sweep *sweep, const struct sweep_overrides *overrides, struct err *err)
{
    static const char *const known[] = {"name", "model", "assistant", "runner", "profile", "prompt_form", "conversation", "time_instruction", "max_new_tokens",
                                        "repetition_penalty", "calibration", "axes", NULL};
    int rc = apply_sets(sweep, overrides->sets, err);
    const struct json *root = rc ? NULL : config_root(sweep->config);
    if (!rc)
        rc = config_check_keys(sweep->config, root, "a sweep", known, err);
    if (!rc)
        rc = get_string(sweep, root, "name", "sweep", &sweep->name, err);
    if (!rc)
        rc = get_string(sweep, root, "model", NULL, &sweep->model, err);
    if (!rc)
        rc = get_string(sweep, root, "assistant", NULL, &sweep->assistant, err);
    if (!rc)
        rc = read_runner(sweep, root, overrides, err);
    if (!rc && !sweep->model && sweep->runner->opens_checkpoint)
        rc = config_err(sweep->config, root, err, "the sweep has no 'model'; give a checkpoint folder or a Hub id");
    if (!rc && !sweep->model && sweep->runner->sends)
        rc = config_err(sweep->config, root, err, "the sweep has no 'model'; give the name by which the server knows it");
    if (!rc && !sweep->model)
        sweep->model = sweep->runner->name;
    if (!rc)
        rc = read_protocol(sweep, root, err);
    if (!rc)
        rc = read_axes(sweep, root, overrides, err);
    if (!rc)
        rc = refuse_twins(sweep, err);
    if (!rc)
        rc = refuse_missing_assistant(sweep, err);
    for (size_t i = 0; i < sweep->n_cells; i++) /* from here on cells stay where they are */
        if (sweep->cells[i].match != SIZE_MAX)
            sweep->cells[i].run.match = &sweep->cells[sweep->cells[i].match].run;
    return rc;
}

int sweep_load(struct sweep *out, const char *path, const struct sweep_overrides *overrides, struct err *err)
{
    *out = (struct sweep){0};
    int rc = overrides->plugins ? compressors_load(overrides->plugins, err) : 0;
    if (!rc)
        rc = config_load(&out->config, path, err);
    if (!rc)
        rc = read_sweep(out, overrides, err);
    if (rc)
        sweep_free(out);
    return rc;
}

int sweep_parse(struct sweep *out, const char *text, const char *name, const struct sweep_overrides *overrides, struct err *err)
{
    *out = (struct sweep){0};
    int rc = overrides->plugins ? compressors_load(overrides->plugins, err) : 0;
    if (!rc)
        rc = config_parse(&out->config, text, strlen(text), name, err);
    if (!rc)
        rc = read_sweep(out, overrides, err);
    if (rc)
        sweep_free(out);
    return rc;
}

void sweep_free(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n_benchmarks; i++)
        if (sweep->benchmarks[i].loaded)
            manifest_free(&sweep->benchmarks[i].manifest);
    free(sweep->cells);
    config_free(sweep->config);
    arena_free(&sweep->arena);
    *sweep = (struct sweep){0};
}

/* ---- binding ------------------------------------------------------------------------------------------------------------- */

void sweep_keep_found(struct sweep *sweep)
{
    size_t n_cells = 0, n_found = 0;
    for (size_t i = 0; i < sweep->n_benchmarks; i++) {
        if (!sweep->benchmarks[i].source.path)
            continue;
        for (size_t c = 0; c < sweep->n_cells; c++)
            if (sweep->cells[c].benchmark == i) { /* cells stand benchmark by benchmark */
                sweep->cells[n_cells] = sweep->cells[c];
                sweep->cells[n_cells++].benchmark = n_found;
            }
        sweep->benchmarks[n_found++] = sweep->benchmarks[i];
    }
    sweep->n_cells = n_cells;
    sweep->n_benchmarks = n_found;
}

int sweep_load_manifests(struct sweep *sweep, struct err *err)
{
    for (size_t i = 0; i < sweep->n_benchmarks; i++) {
        struct sweep_benchmark *b = &sweep->benchmarks[i];
        if (!b->source.path)
            return err_set(err, ERR_CONFIG, "no manifest of benchmark %s; write {name: %s, manifest: PATH, videos: FOLDER} in '%s', give --data FOLDER, or set HF_HOME",
                           b->benchmark->name, b->benchmark->name, config_name(sweep->config));
        int rc = manifest_load(&b->manifest, b->benchmark, &b->source, err);
        if (rc)
            return rc;
        b->loaded = true;
    }
    return 0;
}

struct method *sweep_target(struct run_cell *run)
{
    for (int i = 0; i < run->n_methods; i++) {
        const struct compressor *compressor = run->methods[i].compressor;
        int target = compressor->flags & HAS_TARGET ? compressor_option(compressor, "target_ratio") : -1;
        if (target >= 0 && !isnan(run->methods[i].values[target]))
            return &run->methods[i];
    }
    return NULL;
}

/* Identifies the controls of cells that are identified. */
static void identify_controls(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->n_cells; i++) {
        struct run_cell *run = &sweep->cells[i].run;
        if (!run->match || !run->match->cell.digest[0])
            continue;
        run->cell.match_digest = run->match->cell.digest;
        cell_identify(&run->cell);
    }
}

int sweep_bind(struct sweep *sweep, const struct runner_facts *facts, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < sweep->n_cells; i++) {
        struct cell *cell = &sweep->cells[i].run.cell;
        cell->pooling = cell->pooling ? cell->pooling : facts->pooling;
        cell->newline = cell->newline ? cell->newline : facts->newline;
        cell->image_size = facts->frame_side;
        cell->repetition_penalty = isnan(cell->repetition_penalty) ? facts->repetition_penalty : cell->repetition_penalty;
        cell->isa = facts->isa;
        cell->dtype = facts->dtype ? facts->dtype : cell->dtype;
        cell->model_digest = facts->model_digest;
        cell->assistant_digest = wants_assistant(&sweep->cells[i].run) ? facts->assistant_digest : NULL;
        cell->manifest_digest = sweep->benchmarks[sweep->cells[i].benchmark].manifest.digest;
        if (!sweep_target(&sweep->cells[i].run) && !sweep->cells[i].run.match)
            cell_identify(cell);
    }
    identify_controls(sweep);
    return 0;
}

int sweep_calibrated(struct sweep *sweep, size_t i, double threshold, struct err *err)
{
    struct run_cell *run = &sweep->cells[i].run;
    struct method *method = sweep_target(run);
    method->values[compressor_option(method->compressor, "threshold")] = threshold;
    int rc = describe_cell(sweep, run, err);
    if (rc)
        return rc;
    cell_identify(&run->cell);
    identify_controls(sweep);
    return 0;
}

int model_folder(const char *model, const char *beside, struct arena *arena, const char **out, struct err *err)
{
    *out = model;
    if (is_folder(model))
        return 0;
    const char *path = beside ? arena_printf(arena, "%s/%s", beside, model) : NULL, *cache = hub_cache(arena);
    *out = path && is_folder(path) ? path : hub_snapshot("models", model, "main", arena);
    if (*out)
        return 0;
    return err_set(err, ERR_CONFIG, "no model '%s': neither a folder here%s nor in the Hub cache '%s'; give the path of a checkpoint folder",
                   model, beside ? " nor beside the sweep file" : "", cache ? cache : "(no HOME)");
}

int sweep_model_folder(const struct sweep *sweep, const char *model, struct arena *arena, const char **out, struct err *err)
{
    return model_folder(model, folder_of(config_name(sweep->config), arena), arena, out, err);
}

int sweep_open_runner(struct sweep *sweep, void **runner, struct runner_facts *facts, struct err *err)
{
    const char *folder = sweep->model, *assistant = sweep->assistant;
    int rc = sweep->runner->opens_checkpoint ? sweep_model_folder(sweep, sweep->model, &sweep->arena, &folder, err) : 0;
    if (!rc && assistant && sweep->runner->opens_checkpoint)
        rc = sweep_model_folder(sweep, sweep->assistant, &sweep->arena, &assistant, err);
    struct runner_options how = {.model = folder, .assistant = assistant, .dtype = sweep->dtype, .isa = sweep->isa, .device = sweep->device,
                                 .extra = sweep->runner_config};
    return rc ? rc : sweep->runner->open(runner, &how, facts, err);
}
