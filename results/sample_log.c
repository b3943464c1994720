/* Sample logs: the file is told apart by its beginning, then every entry is read alike, whatever release wrote it. */
#include "results/sample_log.h"

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "results/python.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILE_BYTES = 1 << 30, MOST_LINE_BYTES = 8 << 20 };

struct reading {
    struct sample_log *log;
    size_t capacity;
    size_t place;
    struct err *err;
};

static int entry_fail(const struct reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int entry_fail(const struct reading *reading, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(reading->err, ERR_DATA, "'%s', %s %zu: %s", reading->log->path, reading->log->unit, reading->place, text);
}

/* ---- members --------------------------------------------------------------------------------------------------------------- */

/* The one reply of a question: a text, or a list of one of these. NULL with err set when it is anything else. */
static const char *reply_text(const struct reading *reading, const struct json *value, const char *key)
{
    while (json_type(value) == JSON_ARRAY && json_count(value) == 1)
        value = json_first(value);
    if (json_type(value) == JSON_STRING)
        return json_string(value);
    if (json_type(value) == JSON_ARRAY)
        entry_fail(reading, "'%s' holds %zu replies; expected one reply to each question", key, json_count(value));
    else
        entry_fail(reading, "'%s' is %s; expected a text, or a list of one", key, json_type_name(value));
    return NULL;
}

static int read_doc_id(const struct reading *reading, const struct json *entry, struct logged *out)
{
    const struct json *value = json_get(entry, "doc_id");
    if (!value)
        return entry_fail(reading, "there is no 'doc_id'; expected the samples log of lmms-eval (--log_samples)");
    if (!json_integer(value, 0, INT32_MAX, &out->doc_id))
        return entry_fail(reading, "'doc_id' should be a row's number, a whole number from 0 on");
    return 0;
}

/* The prompt, where the shape at hand has it. Release 0.3.0 turned "arguments" into an object and lost it there. */
static const char *prompt_of(const struct json *entry)
{
    const struct json *value = json_get(entry, "input");
    if (!value) {
        value = json_get(entry, "arguments");
        while (value && json_type(value) == JSON_ARRAY)
            value = json_first(value);
    }
    return value ? json_string(value) : NULL;
}

static const char *first_string(const struct json *object, const char *const *keys)
{
    for (; *keys; keys++)
        if (json_get(object, *keys))
            return json_string(json_get(object, *keys));
    return NULL;
}

/* What a task's metric says of the question and of the reply. */
static void read_metric(const struct json *metric, struct logged *out)
{
    static const char *const ids[] = {"question_id", "id", "video_name", NULL};
    static const char *const scores[] = {"score", "correct"};
    static const char *const found[] = {"pred_answer", "parsed_pred", NULL}, *const wanted[] = {"answer", NULL};
    if (json_type(metric) == JSON_BOOL) {
        out->right = json_bool(metric);
        return;
    }
    out->asked = first_string(metric, ids);
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        const struct json *score = json_get(metric, scores[i]);
        if (score && json_type(score) == JSON_NUMBER)
            out->right = json_number(score) != 0;
    }
    const char *letter = first_string(metric, found), *right = first_string(metric, wanted);
    if (out->right < 0 && letter && right)
        out->right = strcmp(letter, right) == 0;
}

static void read_metrics(const struct json *entry, struct logged *out)
{
    static const char *const names[] = {"videomme_perception_score", "videomme_percetion_score", "mlvu_percetion_score",
                                        "mlvu_perception_score", "mvbench_accuracy", "lvb_acc", "exact_match", "accuracy"};
    const struct json *metric = NULL;
    out->right = -1;
    for (size_t i = 0; i < sizeof names / sizeof *names && !metric; i++)
        metric = json_get(entry, names[i]);
    if (metric)
        read_metric(metric, out);
}

/* Copies what outlives the tree; the texts of `out` are the tree's until then. */
static int keep_entry(const struct reading *reading, const struct json *entry, const char *filtered, const char *resps, struct logged *out)
{
    static const char *const whole[] = {"token_counts", "doc_hash", "input_media"};
    struct arena *arena = &reading->log->arena;
    struct text record = {0}, target = {0};
    bool first = true;
    python_key(&record, &first, "filtered_resps");
    python_string(&record, filtered);
    if (resps) {
        python_key(&record, &first, "resps");
        python_string(&record, resps);
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (json_get(entry, whole[i])) {
            python_key(&record, &first, whole[i]);
            python_json(&record, json_get(entry, whole[i]));
        }
    text_put(&record, "}");
    const struct json *wanted = json_get(entry, "target");
    if (wanted && json_type(wanted) == JSON_STRING)
        text_put(&target, json_string(wanted));
    else if (wanted)
        python_json(&target, wanted);
    bool failed = record.failed || target.failed;
    const char **texts[] = {&out->reply, &out->asked, &out->input};
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !failed; i++)
        failed = *texts[i] && !(*texts[i] = arena_strdup(arena, *texts[i]));
    failed = failed || !(out->record = arena_strdup(arena, record.bytes)) ||
             (wanted && !(out->target = arena_strdup(arena, target.bytes ? target.bytes : "")));
    text_free(&record);
    text_free(&target);
    return failed ? err_no_memory(reading->err, "the entries of a log") : 0;
}

static int read_entry(const struct reading *reading, const struct json *entry, struct logged *out)
{
    *out = (struct logged){.place = reading->place};
    if (json_type(entry) != JSON_OBJECT)
        return entry_fail(reading, "there is %s; expected an object, one question of a samples log", json_type_name(entry));
    int rc = read_doc_id(reading, entry, out);
    if (rc)
        return rc;
    const struct json *filtered = json_get(entry, "filtered_resps"), *resps = json_get(entry, "resps");
    if (!filtered)
        return entry_fail(reading, "there is no 'filtered_resps', the reply");
    const char *filtered_text = reply_text(reading, filtered, "filtered_resps");
    const char *resps_text = filtered_text && resps ? reply_text(reading, resps, "resps") : NULL;
    if (!filtered_text || (resps && !resps_text))
        return ERR_DATA;
    out->reply = resps_text ? resps_text : filtered_text;
    out->input = prompt_of(entry);
    read_metrics(entry, out);
    return keep_entry(reading, entry, filtered_text, resps_text, out);
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static int add_entry(struct reading *reading, const struct json *entry)
{
    struct sample_log *log = reading->log;
    if (log->n_entries == reading->capacity) {
        size_t capacity = reading->capacity ? 2 * reading->capacity : 256;
        struct logged *entries = realloc(log->entries, capacity * sizeof *entries);
        if (!entries)
            return err_no_memory(reading->err, "the entries of a log");
        log->entries = entries;
        reading->capacity = capacity;
    }
    int rc = read_entry(reading, entry, &log->entries[log->n_entries]);
    log->n_entries += rc == 0;
    return rc;
}

static bool is_blank(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", at[i]) || !at[i])
            return false;
    return true;
}

static int parse_line(struct reading *reading, const char *at, size_t n)
{
    char name[512];
    struct json *entry = NULL;
    if (n > MOST_LINE_BYTES)
        return entry_fail(reading, "the line has %zu bytes, more than the %d that are accepted", n, (int)MOST_LINE_BYTES);
    snprintf(name, sizeof name, "'%s', line %zu", reading->log->path, reading->place);
    int rc = json_parse(&entry, at, n, name, reading->err);
    if (rc == ERR_DATA)
        err_append(reading->err, "; expected a samples log of lmms-eval, one object per line: was the file cut short?");
    if (!rc)
        rc = add_entry(reading, entry);
    json_free(entry);
    return rc;
}

static int parse_lines(struct reading *reading, const char *bytes, size_t length)
{
    const char *at = bytes, *end = bytes + length;
    int rc = 0;
    reading->log->unit = "line";
    for (reading->place = 1; at < end && !rc; reading->place++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((newline ? newline : end) - at);
        if (!is_blank(at, n))
            rc = parse_line(reading, at, n);
        at += n + 1;
    }
    return rc;
}

/* The whole file of an older release. */
static int parse_list(struct reading *reading, const struct json *file)
{
    const struct json *logs = json_get(file, "logs"), *configs = json_get(file, "model_configs");
    const char *task = configs && json_get(configs, "task") ? json_string(json_get(configs, "task")) : NULL;
    if (!logs || json_type(logs) != JSON_ARRAY)
        return err_set(reading->err, ERR_DATA, "'%s' has no list 'logs'; expected a samples log of lmms-eval", reading->log->path);
    if (task && !(reading->log->task = arena_strdup(&reading->log->arena, task)))
        return err_no_memory(reading->err, "the entries of a log");
    int rc = 0;
    reading->log->unit = "entry";
    reading->place = 1;
    for (const struct json *entry = json_first(logs); entry && !rc; entry = json_next(entry), reading->place++)
        rc = add_entry(reading, entry);
    return rc;
}

/* An older release wrote one indented object: its first line is the bracket. */
static bool is_one_object(const char *bytes, size_t length)
{
    const char *newline = memchr(bytes, '\n', length);
    const char *bracket = newline ? memchr(bytes, '{', (size_t)(newline - bytes)) : NULL;
    return bracket && is_blank(bytes, (size_t)(bracket - bytes)) && is_blank(bracket + 1, (size_t)(newline - bracket - 1));
}

/* "<stamp>_samples_<task>.jsonl", "samples_<task>_<stamp>.jsonl": the task; "" for other names. */
static const char *task_of_name(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *after = strstr(name, "samples_"), *dot = strrchr(name, '.');
    if (!after || !dot || dot < after)
        return arena_strdup(arena, "");
    after += strlen("samples_");
    char *task = arena_strndup(arena, after, (size_t)(dot - after));
    size_t n = task ? strcspn(task, "0123456789") : 0;
    if (n > 1 && task[n] && task[n - 1] == '_') /* no task's name has a digit after an underscore; a stamp begins so */
        task[n - 1] = 0;
    return task;
}

int sample_log_parse(struct sample_log *out, const char *bytes, size_t length, const char *path, struct err *err)
{
    *out = (struct sample_log){.path = path};
    struct reading reading = {.log = out, .err = err};
    struct json *file = NULL;
    digest_of(bytes, length, out->digest);
    out->task = task_of_name(path, &out->arena);
    int rc = out->task ? 0 : err_no_memory(err, "the entries of a log");
    if (!rc && is_one_object(bytes, length)) {
        if (!(rc = json_parse(&file, bytes, length, path, err)))
            rc = parse_list(&reading, file);
        json_free(file);
    } else if (!rc) {
        rc = parse_lines(&reading, bytes, length);
    }
    if (!rc && !out->n_entries)
        rc = err_set(err, ERR_DATA, "'%s' holds no question; expected a samples log of lmms-eval (--log_samples)", path);
    if (rc)
        sample_log_free(out);
    return rc;
}

int sample_log_load(struct sample_log *out, const char *path, struct err *err)
{
    char *bytes;
    size_t length;
    *out = (struct sample_log){0};
    int rc = file_load(&bytes, &length, path, MOST_FILE_BYTES, err);
    if (rc)
        return rc;
    rc = sample_log_parse(out, bytes, length, path, err);
    free(bytes);
    return rc;
}

void sample_log_free(struct sample_log *log)
{
    free(log->entries);
    arena_free(&log->arena);
    *log = (struct sample_log){0};
}
