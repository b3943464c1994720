/* Exports to lmms-eval: the samples log, byte for byte as lmms-eval writes it, and the results file, in its structure. */
#include "results/export_impl.h"
#include "results/lmms.h"
#include "results/python.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* SHA-256 of "null": lmms-eval digests the document of a request, which it never sets. */
static const char no_doc_hash[] = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b";

/* ---- samples --------------------------------------------------------------------------------------------------------------- */

struct line { /* one question */
    const struct export_source *source;
    const struct lmms_benchmark *benchmark;
    size_t sample;
    const struct stored_answer *stored;
    const struct json *record; /* of an imported answer; NULL */
};

static const struct json *recorded(const struct line *line, const char *key)
{
    return line->record ? json_get(line->record, key) : NULL;
}

static void put_replies(struct text *out, bool *first, const struct line *line)
{
    const struct export_reply *reply = &line->source->replies[line->sample];
    if (strcmp(reply->raw, reply->filtered)) {
        python_key(out, first, "resps");
        python_string(out, reply->raw);
    }
    python_key(out, first, "filtered_resps");
    python_string(out, reply->filtered);
}

static void put_counts(struct text *out, bool *first, const struct line *line)
{
    const struct cost *cost = &line->stored->answer.cost;
    const struct json *counts = recorded(line, "token_counts");
    python_key(out, first, "token_counts");
    if (counts)
        python_json(out, counts);
    else if (line->record)
        text_put(out, "[null]");
    else
        text_printf(out, "[{\"input_tokens\": %d, \"output_tokens\": %d}]",
                    (int)(cost->tokens_visual + cost->tokens_marker + cost->tokens_text), (int)cost->tokens_generated);
}

static void put_line(struct text *out, const struct line *line)
{
    const struct sample *sample = &line->source->cell->manifest.samples[line->sample];
    const struct answer *answer = &line->stored->answer;
    const struct export_reply *reply = &line->source->replies[line->sample];
    const struct json *media = recorded(line, "input_media"), *hash = recorded(line, "doc_hash");
    struct text target = {0};
    bool first = true;
    python_key(out, &first, "doc_id");
    text_printf(out, "%lld", (long long)lmms_doc_id(line->benchmark, sample));
    lmms_put_target(&target, line->benchmark, sample);
    python_key(out, &first, "target");
    python_string(out, target.bytes ? target.bytes : "");
    out->failed |= target.failed;
    text_free(&target);
    put_replies(out, &first, line);
    put_counts(out, &first, line);
    python_key(out, &first, "doc_hash");
    python_string(out, hash && json_string(hash) ? json_string(hash) : no_doc_hash);
    if (media) {
        python_key(out, &first, "input_media");
        python_json(out, media);
    }
    text_put(out, ", ");
    lmms_put_metric(out, line->benchmark, sample, export_video(line->source, line->sample),
                    &(struct lmms_reply){reply->bare, answer->extracted, answer->correct});
    if (reply->prompt) {
        python_key(out, &first, "input");
        python_string(out, reply->prompt);
    }
    text_put(out, "}\n");
}

static bool is_of_task(const struct export_source *source, const struct lmms_benchmark *benchmark, size_t sample, const char *task)
{
    char name[LMMS_TASK_NAME];
    lmms_task_name(benchmark, &source->cell->manifest.samples[sample], name);
    return !strcmp(name, task);
}

int export_lmms_samples(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    const struct stored_cell *cell = source->cell;
    const struct lmms_benchmark *benchmark = lmms_find(cell->manifest.benchmark);
    int rc = 0;
    for (size_t i = 0; i < cell->manifest.n_samples && !rc; i++) {
        const char *record = cell->answers[i].record;
        struct json *tree = NULL;
        if (!source->replies[i].bare || !is_of_task(source, benchmark, i, task))
            continue;
        if (lmms_doc_id(benchmark, &cell->manifest.samples[i]) < 0)
            return err_set(err, ERR_DATA, "sample '%s' has no row in lmms-eval's task %s", cell->manifest.samples[i].id, task);
        if (record && (rc = json_parse(&tree, record, strlen(record), "an imported record", err)))
            break;
        put_line(out, &(struct line){source, benchmark, i, &cell->answers[i], tree});
        json_free(tree);
    }
    return !rc && out->failed ? err_no_memory(err, "an export") : rc;
}

/* ---- results --------------------------------------------------------------------------------------------------------------- */

struct tally { /* of a task, or of a task type in it */
    const char *type;
    size_t n, n_correct;
};

/* Adds `right` to the tally of that type. */
static bool tally_add(struct tally **tallies, size_t *n, const char *type, bool right)
{
    size_t i = 0;
    while (i < *n && strcmp((*tallies)[i].type, type))
        i++;
    if (i == *n) {
        struct tally *more = realloc(*tallies, (*n + 1) * sizeof *more);
        if (!more)
            return false;
        *tallies = more;
        more[(*n)++] = (struct tally){.type = type};
    }
    (*tallies)[i].n++;
    (*tallies)[i].n_correct += right;
    return true;
}

static bool is_counted(const struct export_source *source, size_t sample)
{
    const struct protocol *protocol = source->protocol;
    const char *bare = source->replies[sample].bare;
    return bare && (*bare || !protocol->drop_empty) && (source->cell->answers[sample].answer.extracted >= 0 || !protocol->drop_unread);
}

/* A task's number: over its questions, or the mean over their types where the profile has that and the task is not a type itself. Products
 * come before quotients, as upstream, so that the last digit is the same. */
static bool task_value(const struct export_source *source, const struct lmms_benchmark *benchmark, const char *task, double *value)
{
    const struct stored_cell *cell = source->cell;
    bool by_type = source->protocol->macro && !benchmark->is_group, ok = true;
    struct tally *tallies = NULL;
    size_t n = 0;
    *value = 0;
    for (size_t i = 0; i < cell->manifest.n_samples && ok; i++) {
        const char *type = cell->manifest.samples[i].task_type;
        if (is_counted(source, i) && is_of_task(source, benchmark, i, task))
            ok = tally_add(&tallies, &n, by_type && type ? type : "", cell->answers[i].answer.correct);
    }
    for (size_t i = 0; i < n; i++)
        *value += benchmark->scale * (double)tallies[i].n_correct / (double)tallies[i].n;
    int least = by_type ? source->protocol->macro_types : 0; /* types without an answer count as 0 */
    *value /= fmax(1, fmax((double)n, least));
    double unit = pow(10, benchmark->digits);
    *value = benchmark->digits ? rint(*value * unit) / unit : *value;
    free(tallies);
    return ok;
}

static struct json *task_results(const struct export_source *source, const struct lmms_benchmark *benchmark, const char *task)
{
    static const char *const errors[] = {"_stderr", "_stderr_clt", "_stderr_clustered"};
    struct json *entry = json_new(JSON_OBJECT);
    struct text key = {0}, alias = {0};
    double value;
    text_printf(&alias, "%s%s", benchmark->is_group ? " - " : "", task);
    text_printf(&key, "%s,none", benchmark->metric);
    bool ok = !key.failed && !alias.failed && task_value(source, benchmark, task, &value) &&
              export_put_text(entry, "alias", alias.bytes) && export_put(entry, key.bytes, json_new_number(value));
    for (size_t i = 0; i < sizeof errors / sizeof *errors && ok; i++) {
        text_free(&key);
        text_printf(&key, "%s%s,none", benchmark->metric, errors[i]);
        ok = !key.failed && export_put_text(entry, key.bytes, "N/A");
    }
    text_free(&key);
    text_free(&alias);
    if (!ok) {
        json_free(entry);
        return NULL;
    }
    return entry;
}

/* How the numbers were made. */
static bool put_run(struct json *file, const struct stored_cell *cell)
{
    static const char *const unset[] = {"device", "use_cache", "limit"};
    struct text args = {0};
    struct json *config = export_put(file, "config", json_new(JSON_OBJECT));
    text_printf(&args, "pretrained=%s,conv_template=%s,max_frames_num=%d", cell->model, cell->conversation, cell->frames);
    bool ok = config && !args.failed && export_put_text(config, "model", "toksweep") &&
              export_put_text(config, "model_args", args.bytes) && export_put_text(config, "batch_size", "1") &&
              export_put(config, "batch_sizes", json_new(JSON_ARRAY));
    for (size_t i = 0; i < sizeof unset / sizeof *unset && ok; i++)
        ok = export_put_text(config, unset[i], NULL);
    ok = ok && export_put(config, "offset", json_new_number(0)) && export_put_text(config, "gen_kwargs", "");
    text_free(&args);
    return ok;
}

/* The members of a results file that have an entry for each task. */
struct sections { struct json *results, *subtasks, *configs, *versions, *shots, *higher, *samples, *hashes; };

static bool put_sections(struct json *file, const struct stored_cell *cell, struct sections *out)
{
    const struct { const char *key; struct json **at; } sections[] = {
        {"results", &out->results},   {"group_subtasks", &out->subtasks}, {"configs", &out->configs},    {"versions", &out->versions},
        {"n-shot", &out->shots},      {"higher_is_better", &out->higher}, {"n-samples", &out->samples},
    };
    char stamp[16];
    export_stamp(cell, stamp);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (!(*sections[i].at = export_put(file, sections[i].key, json_new(JSON_OBJECT))))
            return false;
    return put_run(file, cell) && export_put_text(file, "git_hash", NULL) && export_put_text(file, "date", stamp) &&
           (out->hashes = export_put(file, "task_hashes", json_new(JSON_OBJECT)));
}

static size_t count(const struct export_source *source, const struct lmms_benchmark *benchmark, const char *task, bool answered)
{
    size_t n = 0;
    for (size_t i = 0; i < source->cell->manifest.n_samples; i++)
        n += is_of_task(source, benchmark, i, task) && (source->replies[i].bare || !answered);
    return n;
}

/* Digest of "sample_<n><doc_hash>" of every line in order: what one worker of lmms-eval would note. */
static struct json *task_hash(size_t n_lines)
{
    struct text lines = {0};
    char hex[DIGEST_HEX];
    for (size_t i = 0; i < n_lines; i++)
        text_printf(&lines, "sample_%zu%s", i, no_doc_hash);
    digest_of(lines.bytes ? lines.bytes : "", lines.length, hex);
    struct json *hash = lines.failed ? NULL : json_new_string(hex);
    text_free(&lines);
    return hash;
}

static bool put_config(struct json *configs, const struct export_source *source, const char *task)
{
    struct json *config = export_put(configs, task, json_new(JSON_OBJECT)), *generation;
    return config && export_put_text(config, "task", task) && export_put(config, "num_fewshot", json_new_number(0)) &&
           export_put_text(config, "output_type", "generate_until") &&
           (generation = export_put(config, "generation_kwargs", json_new(JSON_OBJECT))) &&
           export_put(generation, "max_new_tokens", json_new_number(source->cell->max_new_tokens)) &&
           export_put(generation, "temperature", json_new_number(0)) && export_put(generation, "do_sample", json_new_bool(false)) &&
           export_put(config, "repeats", json_new_number(1));
}

static bool put_task(const struct sections *to, const struct export_source *source, const struct lmms_benchmark *benchmark,
                     const char *task)
{
    struct json *higher, *samples;
    size_t n = count(source, benchmark, task, true);
    return export_put(to->results, task, task_results(source, benchmark, task)) &&
           (benchmark->is_group || export_put(to->subtasks, task, json_new(JSON_ARRAY))) && put_config(to->configs, source, task) &&
           export_put(to->versions, task, json_new_string("Yaml")) && export_put(to->shots, task, json_new_number(0)) &&
           (higher = export_put(to->higher, task, json_new(JSON_OBJECT))) && export_put(higher, benchmark->metric, json_new_bool(true)) &&
           (samples = export_put(to->samples, task, json_new(JSON_OBJECT))) &&
           export_put(samples, "original", json_new_number((double)count(source, benchmark, task, false))) &&
           export_put(samples, "effective", json_new_number((double)n)) && export_put(to->hashes, task, task_hash(n));
}

/* A group stands before its tasks, without a number: lmms-eval declares none for it. */
static bool put_group(const struct sections *to, const struct lmms_benchmark *benchmark, char *const *tasks)
{
    const char *name = benchmark->benchmark;
    struct json *entry = export_put(to->results, name, json_new(JSON_OBJECT));
    struct json *subtasks = export_put(to->subtasks, name, json_new(JSON_ARRAY));
    bool ok = entry && subtasks && export_put_text(entry, " ", " ") && export_put_text(entry, "alias", name);
    for (; *tasks && ok; tasks++)
        ok = export_put(subtasks, NULL, json_new_string(*tasks));
    return ok;
}

static bool put_names(struct json *file, const struct stored_cell *cell)
{
    char *name = export_model_name(cell, "/"), *sanitized = export_model_name(cell, "__");
    bool ok = name && sanitized && export_put_text(file, "model_source", "toksweep") && export_put_text(file, "model_name", name) &&
              export_put_text(file, "model_name_sanitized", sanitized) &&
              export_put_text(file, "system_instruction", NULL) && export_put_text(file, "system_instruction_sha", NULL) &&
              export_put(file, "fewshot_as_multiturn", json_new_bool(false)) && export_put_text(file, "chat_template", NULL) &&
              export_put_text(file, "chat_template_sha", NULL);
    free(name);
    free(sanitized);
    return ok;
}

static bool put_cell(struct json *file, const struct stored_cell *cell)
{
    struct json *own = export_put(file, "toksweep", json_new(JSON_OBJECT));
    struct err ignored;
    struct json *params = NULL;
    const struct { const char *key, *value; } texts[] = {
        {"cell", cell->digest},     {"label", cell->label}, {"profile", cell->profile}, {"compressor", cell->compressor},
        {"sampling", cell->sampling}, {"dtype", cell->dtype}, {"runner", cell->runner},   {"prompt_form", cell->prompt_form},
    };
    bool ok = own != NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && ok; i++)
        ok = export_put(own, texts[i].key, json_new_string(texts[i].value));
    ok = ok && !json_parse(&params, cell->params, strlen(cell->params), "params", &ignored);
    return ok && export_put(own, "params", params);
}

int export_lmms_results(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    (void)task;
    const struct lmms_benchmark *benchmark = lmms_find(source->cell->manifest.benchmark);
    struct json *file = json_new(JSON_OBJECT);
    struct sections to = {0};
    char **tasks = export_tasks(source->cell);
    bool ok = file && tasks && put_sections(file, source->cell, &to) && (!benchmark->is_group || put_group(&to, benchmark, tasks));
    for (char **at = tasks; ok && *at; at++)
        ok = put_task(&to, source, benchmark, *at);
    ok = ok && put_names(file, source->cell) && put_cell(file, source->cell);
    free(tasks);
    if (!ok) {
        json_free(file);
        file = NULL;
    }
    return export_put_tree(out, file, err);
}
