/* Chat completions: requests to jobs, answers to replies. Requests come from strangers: every member is checked, and those that would
 * change the answer in a way that this engine cannot do are refused, not ignored. */
#include "harness/chat.h"

#include "harness/sweep.h"

#include "compressors/compressor.h"
#include "core/base64.h"
#include "core/text.h"
#include "engine/prompt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NEW_TOKENS = 4096, DEFAULT_NEW_TOKENS = 512 };

static const char who[] = "the request";

struct reading {
    struct chat *chat;
    const struct chat_model *model;
    const struct json *root;
    int *status;
    struct err *err;
};

/* ---- members ------------------------------------------------------------------------------------------------------------------- */

static int check_members(const struct reading *reading)
{
    static const char *const known[] = {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "n", "stop", "logprobs",
        "frequency_penalty", "presence_penalty", "repetition_penalty", "compressor", "pooling", "newline", "conversation", "video",
        "top_p", "seed", "user", "metadata", "store", NULL}; /* the last five change nothing here */
    for (const struct json *member = json_first(reading->root); member; member = json_next(member)) {
        const char *const *k = known, *near = nearest_word(json_key(member), known);
        while (*k && strcmp(*k, json_key(member)))
            k++;
        if (!*k)
            return err_set(reading->err, ERR_DATA, "unknown member '%.100s'%s%s%s; known: model, messages, max_tokens, temperature, stream, "
                           "compressor, pooling, newline, conversation, repetition_penalty, video",
                           json_key(member), near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return 0;
}

/* Numbers that must be what greedy decoding of one reply makes of them. */
static int check_fixed(const struct reading *reading)
{
    static const struct { const char *key; double only; } fixed[] = {
        {"temperature", 0}, {"n", 1}, {"frequency_penalty", 0}, {"presence_penalty", 0}};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        double value;
        int rc = json_get_number(reading->root, fixed[i].key, fixed[i].only, &value, who, reading->err);
        if (rc)
            return rc;
        if (value != fixed[i].only)
            return err_set(reading->err, ERR_DATA, "'%s' is %g; this engine decodes greedily, one reply at a time: leave it out or send %g",
                           fixed[i].key, value, fixed[i].only);
    }
    const struct json *stop = json_get(reading->root, "stop"), *logprobs = json_get(reading->root, "logprobs");
    if (stop && json_type(stop) != JSON_NULL && !(json_type(stop) == JSON_ARRAY && !json_first(stop)))
        return err_set(reading->err, ERR_DATA, "'stop' is not offered; limit the reply with max_tokens");
    if (logprobs && json_bool(logprobs))
        return err_set(reading->err, ERR_DATA, "'logprobs' are not offered; the reply's member toksweep.margin has the first id's");
    return 0;
}

static int read_limit(const struct reading *reading, int *out)
{
    int64_t limit;
    int rc = json_get_integer(reading->root, "max_tokens", DEFAULT_NEW_TOKENS, 1, MOST_NEW_TOKENS, &limit, who, reading->err);
    if (!rc)
        rc = json_get_integer(reading->root, "max_completion_tokens", limit, 1, MOST_NEW_TOKENS, &limit, who, reading->err);
    *out = (int)limit;
    return rc;
}

static int read_word(const struct reading *reading, const char *key, const char *const *words, const char *otherwise, const char **out)
{
    char list[200] = "";
    const char *word;
    int rc = json_get_string(reading->root, key, otherwise, &word, who, reading->err);
    for (const char *const *w = words; !rc && *w; w++) {
        if (!strcmp(*w, word)) {
            *out = *w;
            return 0;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *w);
    }
    return rc ? rc : err_set(reading->err, ERR_DATA, "'%s' should be one of %s", key, list);
}

static int read_cell(const struct reading *reading)
{
    const struct runner_facts *facts = &reading->model->facts;
    struct cell *cell = &reading->chat->run.cell;
    const struct json *options = json_get(reading->root, "stream_options");
    struct err *err = reading->err;
    *cell = (struct cell){.model = reading->model->name, .prompt_form = "default", .image_size = facts->frame_side};
    int rc = read_limit(reading, &cell->max_new_tokens);
    if (rc || (rc = read_word(reading, "pooling", sweep_poolings, facts->pooling, &cell->pooling)) ||
        (rc = read_word(reading, "newline", sweep_newlines, facts->newline, &cell->newline)) ||
        (rc = read_word(reading, "conversation", conversation_names(), *conversation_names(), &cell->conversation)) ||
        (rc = json_get_bool(reading->root, "stream", false, &reading->chat->stream, who, err)) ||
        (rc = json_get_bool(options, "include_usage", false, &reading->chat->stream_usage, who, err)) ||
        (rc = json_get_string(reading->root, "video", "", &reading->chat->video.id, who, err)) ||
        (rc = json_get_number(reading->root, "repetition_penalty", facts->repetition_penalty, &cell->repetition_penalty, who, err)))
        return rc;
    if (!(cell->repetition_penalty >= 0.01 && cell->repetition_penalty <= 100))
        return err_set(err, ERR_DATA, "'repetition_penalty' should be a number from 0.01 to 100");
    char *id = arena_strdup(&reading->chat->arena, reading->chat->video.id);
    reading->chat->video = (struct video_ref){.id = id, .path = "", .start_s = -1};
    return id ? 0 : err_no_memory(err, "a request");
}

/* ---- compressors --------------------------------------------------------------------------------------------------------------- */

static int read_method(const struct reading *reading, const struct json *entry, struct method *out)
{
    const char *name = json_string(entry) ? json_string(entry) : json_string(json_get(entry, "name"));
    struct json *empty = json_new(JSON_OBJECT);
    out->compressor = name ? compressor_find(name) : NULL;
    int rc = empty ? 0 : err_no_memory(reading->err, "a request");
    if (!rc && !out->compressor)
        rc = err_set(reading->err, ERR_DATA, "'compressor' is a name or {name, options}, or a list of these, and there is none '%.100s'; "
                     "see 'toksweep list compressors'", name ? name : "");
    if (!rc)
        rc = compressor_resolve(out->compressor, json_string(entry) ? empty : entry, "name", out->values, reading->err);
    int target = rc ? -1 : compressor_option(out->compressor, "target_ratio");
    if (target >= 0 && !isnan(out->values[target]))
        rc = err_set(reading->err, ERR_DATA, "compressor %s: a target_ratio has to be calibrated on videos, which 'toksweep run' does; "
                     "send the threshold", name);
    json_free(empty);
    return rc;
}

static int read_compressor(const struct reading *reading)
{
    struct run_cell *run = &reading->chat->run;
    const struct json *value = json_get(reading->root, "compressor");
    bool list = value && json_type(value) == JSON_ARRAY;
    int rc = 0;
    if (list && (!json_first(value) || json_count(value) > MOST_METHODS))
        return err_set(reading->err, ERR_DATA, "'compressor' should have 1 to %d methods", MOST_METHODS);
    for (const struct json *entry = list ? json_first(value) : value; entry && !rc; entry = list ? json_next(entry) : NULL)
        rc = read_method(reading, entry, &run->methods[run->n_methods++]);
    if (!value) {
        run->methods[0] = (struct method){.compressor = compressor_find("none")};
        run->n_methods = 1;
    }
    if (!rc)
        rc = methods_resolve(run->methods, &run->n_methods, reading->err);
    if (rc)
        return rc;
    run->cell.compressor = methods_name(run->methods, run->n_methods, &reading->chat->arena);
    run->cell.params = methods_params(run->methods, run->n_methods, &reading->chat->arena);
    return run->cell.compressor && run->cell.params ? 0 : err_no_memory(reading->err, "a request");
}

/* ---- messages ------------------------------------------------------------------------------------------------------------------ */

static bool has_type(const struct json *part, const char *type)
{
    const char *found = json_string(json_get(part, "type"));
    return found && !strcmp(found, type);
}

/* The text of a content, its parts joined by line feeds; pictures are counted. In the arena. */
static int read_content(const struct reading *reading, const struct json *content, const char **text, size_t *n_pictures)
{
    struct text joined = {0};
    struct err *err = reading->err;
    bool list = content && json_type(content) == JSON_ARRAY;
    int rc = list || json_string(content) ? 0 : err_set(err, ERR_DATA, "a message's 'content' should be a string or a list of parts");
    if (json_string(content))
        text_put(&joined, json_string(content));
    for (const struct json *part = list ? json_first(content) : NULL; part && !rc; part = json_next(part)) {
        const char *words = json_string(json_get(part, "text"));
        if (has_type(part, "text") && words)
            text_printf(&joined, "%s%s", joined.length ? "\n" : "", words);
        else if (has_type(part, "image_url"))
            ++*n_pictures;
        else
            rc = err_set(err, ERR_DATA, "a part of a message should be {\"type\": \"text\", \"text\"} or {\"type\": \"image_url\", "
                         "\"image_url\": {\"url\"}}; send videos as the pictures of their frames");
    }
    *text = rc || joined.failed ? NULL : arena_strndup(&reading->chat->arena, joined.length ? joined.bytes : "", joined.length);
    text_free(&joined);
    return rc || *text ? rc : err_no_memory(err, "a request");
}

/* A system message, the question, and how the reply begins; the first and the last may be missing. *pictures is the question's content. */
static int read_messages(const struct reading *reading, const struct json **pictures, size_t *n_pictures)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    struct prompt_text *prompt = &reading->chat->asked.prompt;
    const char **texts[] = {&prompt->system, &prompt->user, &prompt->prefill};
    const struct json *messages = json_get(reading->root, "messages");
    size_t place = 0, n = 0;
    for (const struct json *message = json_first(messages); message; message = json_next(message), n++) {
        const char *role = json_string(json_get(message, "role"));
        bool developer = role && !strcmp(role, "developer"); /* OpenAI's later word for system */
        while (place < 3 && (!role || strcmp(developer ? "system" : role, roles[place])))
            place++;
        if (place == 3)
            break;
        size_t found = 0;
        int rc = read_content(reading, json_get(message, "content"), texts[place], &found);
        if (rc)
            return rc;
        if (found && place != 1)
            return err_set(reading->err, ERR_DATA, "pictures belong into the message with role user");
        if (place++ == 1) {
            *pictures = json_get(message, "content");
            *n_pictures = found;
        }
    }
    if (!prompt->user || n != json_count(messages))
        return err_set(reading->err, ERR_DATA, "'messages' should be one with role user, before it at most one with role system, behind it at "
                       "most one with role assistant, which is how the reply begins");
    return 0;
}

/* ---- pictures ------------------------------------------------------------------------------------------------------------------ */

static int read_picture(const struct reading *reading, const struct json *part, size_t i, uint8_t *rgb)
{
    static const char *const kinds[] = {"data:image/png;base64,", "data:image/jpeg;base64,", "data:image/jpg;base64,"};
    const struct json *url_of = json_get(part, "image_url");
    const char *url = json_string(url_of) ? json_string(url_of) : json_string(json_get(url_of, "url")), *data = NULL;
    char name[40];
    snprintf(name, sizeof name, "picture %zu", i + 1);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds && url; k++)
        if (!strncmp(url, kinds[k], strlen(kinds[k])))
            data = url + strlen(kinds[k]);
    if (!data)
        return err_set(reading->err, ERR_DATA, "%s should be a URL that begins with data:image/png;base64, or data:image/jpeg;base64,; this "
                       "server fetches nothing", name);
    size_t length = strlen(data), n;
    uint8_t *file = malloc(base64_most(length) + 1);
    if (!file)
        return err_no_memory(reading->err, name);
    int side = reading->model->facts.frame_side;
    int rc = base64_decode(file, &n, data, length) ? picture_decode((const char *)file, n, name, side, rgb, reading->err)
                                                   : err_set(reading->err, ERR_DATA, "%s is not base64", name);
    free(file);
    return rc;
}

/* Every picture is a frame of its own, at the model's size. */
static int read_pictures(const struct reading *reading, const struct json *content, size_t n)
{
    struct chat *chat = reading->chat;
    struct frames *frames = &chat->job.frames;
    size_t side = (size_t)reading->model->facts.frame_side, i = 0;
    if (!n)
        return err_set(reading->err, ERR_DATA, "the question comes without pictures; send a video's frames as parts of type image_url");
    if (n > reading->model->most_frames) {
        *reading->status = 413;
        return err_set(reading->err, ERR_DATA, "%zu pictures are too many; this server takes up to %zu", n, reading->model->most_frames);
    }
    *frames = (struct frames){.width = (int)side, .height = (int)side, .n = n};
    frames->index = calloc(n, sizeof *frames->index);
    frames->time_s = calloc(n, sizeof *frames->time_s);
    frames->rgb = malloc(n * side * side * 3);
    if (!frames->index || !frames->time_s || !frames->rgb)
        return err_no_memory(reading->err, "the pictures of a request");
    int rc = 0;
    for (const struct json *part = json_first(content); part && !rc; part = json_next(part))
        if (has_type(part, "image_url")) {
            frames->index[i] = (uint32_t)i;
            rc = read_picture(reading, part, i, frames->rgb + i * side * side * 3);
            i++;
        }
    chat->run.cell.frames = (int)n;
    chat->cell = (struct job_cell){&chat->run, frames->index, n};
    return rc;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------- */

static int read_model(const struct reading *reading)
{
    const char *name;
    int rc = json_get_string(reading->root, "model", NULL, &name, who, reading->err);
    if (rc || (name && !strcmp(name, reading->model->name)))
        return rc;
    *reading->status = name ? 404 : 400;
    return err_set(reading->err, ERR_DATA, "no model '%.200s' here; this server has '%s'", name ? name : "", reading->model->name);
}

static int read_all(const struct reading *reading)
{
    const struct json *pictures = NULL;
    size_t n = 0;
    int rc;
    if (json_type(reading->root) != JSON_OBJECT)
        return err_set(reading->err, ERR_DATA, "the body should be a JSON object");
    if ((rc = check_members(reading)) || (rc = read_model(reading)) || (rc = check_fixed(reading)) || (rc = read_cell(reading)) ||
        (rc = read_compressor(reading)) || (rc = read_messages(reading, &pictures, &n)))
        return rc;
    return read_pictures(reading, pictures, n);
}

int chat_read(struct chat *out, const struct chat_model *model, const char *body, size_t n, int *status, struct err *err)
{
    struct json *root = NULL;
    struct reading reading = {out, model, NULL, status, err};
    *out = (struct chat){.wanted = true, .sample = {.id = "request", .question = "", .answer = -1}};
    *status = 400;
    int rc = json_parse(&root, body, n, "the body", err);
    reading.root = root;
    if (!rc)
        rc = read_all(&reading);
    json_free(root);
    if (rc == ERR_MEMORY)
        *status = 500;
    out->asked.sample = &out->sample;
    out->job.benchmark = "chat";
    out->job.video = &out->video;
    out->job.cells = &out->cell;
    out->job.samples = &out->asked;
    out->job.n_cells = out->job.n_samples = 1;
    out->job.wanted = &out->wanted;
    return rc;
}

void chat_free(struct chat *chat)
{
    frames_free(&chat->job.frames);
    arena_free(&chat->arena);
}

/* ---- replies ------------------------------------------------------------------------------------------------------------------- */

/* Adds a member; false when memory is out, and for a parent that is. */
static bool put(struct json *parent, const char *key, struct json *value)
{
    return json_add(parent, key, value);
}

static char *text_and_free(struct json *json, bool whole)
{
    char *text = whole ? json_text(json) : NULL;
    json_free(json);
    return text;
}

char *chat_write_error(int status, const char *code, const char *message)
{
    const char *type = status == 401 ? "authentication_error" : status >= 500 ? "server_error" : "invalid_request_error";
    struct json *root = json_new(JSON_OBJECT), *error = json_add(root, "error", json_new(JSON_OBJECT));
    bool whole = put(error, "message", json_new_string(message)) && put(error, "type", json_new_string(type)) &&
                 put(error, "param", json_new(JSON_NULL)) && put(error, "code", code ? json_new_string(code) : json_new(JSON_NULL));
    return text_and_free(root, whole);
}

static bool put_model(struct json *entry, const struct chat_model *model)
{
    const struct runner_facts *facts = &model->facts;
    struct json *own = json_add(entry, "toksweep", json_new(JSON_OBJECT));
    return put(entry, "id", json_new_string(model->name)) && put(entry, "object", json_new_string("model")) &&
           put(entry, "created", json_new_number((double)model->started)) && put(entry, "owned_by", json_new_string("toksweep")) &&
           put(own, "digest", json_new_string(facts->model_digest)) && put(own, "build", json_new_string(model->build)) &&
           put(own, "dtype", json_new_string(model->dtype)) && put(own, "isa", json_new_string(facts->isa)) &&
           put(own, "pooling", json_new_string(facts->pooling)) && put(own, "newline", json_new_string(facts->newline)) &&
           put(own, "repetition_penalty", json_new_number(facts->repetition_penalty)) &&
           put(own, "image_size", json_new_number(facts->frame_side)) &&
           put(own, "most_frames", json_new_number((double)model->most_frames));
}

char *chat_write_models(const struct chat_model *model, bool alone)
{
    struct json *root = json_new(JSON_OBJECT);
    if (alone)
        return text_and_free(root, put_model(root, model));
    bool whole = put(root, "object", json_new_string("list"));
    struct json *data = json_add(root, "data", json_new(JSON_ARRAY));
    whole = whole && put_model(json_add(data, NULL, json_new(JSON_OBJECT)), model);
    return text_and_free(root, whole);
}

static const char *finish_reason(const struct chat *chat, const struct answer *answer)
{
    return answer->cost.tokens_generated >= chat->run.cell.max_new_tokens ? "length" : "stop";
}

static struct json *make_usage(const struct cost *cost)
{
    struct json *usage = json_new(JSON_OBJECT);
    int prompt = cost->tokens_visual + cost->tokens_marker + cost->tokens_text;
    bool whole = put(usage, "prompt_tokens", json_new_number(prompt)) && put(usage, "completion_tokens", json_new_number(cost->tokens_generated)) &&
                 put(usage, "total_tokens", json_new_number(prompt + cost->tokens_generated));
    if (!whole) {
        json_free(usage);
        return NULL;
    }
    return usage;
}

/* What this engine knows beyond OpenAI's members. */
static struct json *make_own(const struct answer *answer)
{
    const struct cost *cost = &answer->cost;
    const struct { const char *key; double value; } numbers[] = {
        {"frames", cost->frames}, {"tokens_before", cost->tokens_before}, {"tokens_visual", cost->tokens_visual},
        {"tokens_marker", cost->tokens_marker}, {"tokens_text", cost->tokens_text}, {"margin", answer->margin},
        {"vision_ms", cost->alone_ms[STAGE_VISION]}, {"compress_ms", cost->alone_ms[STAGE_COMPRESS]},
        {"prefill_ms", cost->alone_ms[STAGE_PREFILL]}, {"generate_ms", cost->alone_ms[STAGE_GENERATE]}};
    struct json *own = json_new(JSON_OBJECT);
    bool whole = put(own, "tokens_digest", json_new_string(answer->tokens_digest));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && whole; i++)
        whole = put(own, numbers[i].key, json_new_number(numbers[i].value));
    if (!whole) {
        json_free(own);
        return NULL;
    }
    return own;
}

static struct json *make_head(const struct chat_model *model, const char *object, uint64_t id, int64_t now)
{
    char name[40];
    struct json *root = json_new(JSON_OBJECT);
    snprintf(name, sizeof name, "chatcmpl-%llu", (unsigned long long)id);
    bool whole = put(root, "id", json_new_string(name)) && put(root, "object", json_new_string(object)) &&
                 put(root, "created", json_new_number((double)now)) && put(root, "model", json_new_string(model->name));
    if (!whole) {
        json_free(root);
        return NULL;
    }
    return root;
}

static char *write_whole(const struct chat *chat, const struct chat_model *model, const struct answer *answer, uint64_t id, int64_t now)
{
    struct json *root = make_head(model, "chat.completion", id, now), *choices = json_add(root, "choices", json_new(JSON_ARRAY));
    struct json *choice = json_add(choices, NULL, json_new(JSON_OBJECT)), *message = json_add(choice, "message", json_new(JSON_OBJECT));
    bool whole = put(message, "role", json_new_string("assistant")) && put(message, "content", json_new_string(answer->raw)) &&
                 put(choice, "index", json_new_number(0)) && put(choice, "finish_reason", json_new_string(finish_reason(chat, answer))) &&
                 put(root, "usage", make_usage(&answer->cost)) && put(root, "toksweep", make_own(answer));
    return text_and_free(root, whole);
}

/* One event of a stream. `choices` holds `delta` unless both are NULL. */
static bool put_event(struct text *out, struct json *root, struct json *delta, const char *finish)
{
    struct json *choices = json_add(root, "choices", json_new(JSON_ARRAY));
    bool whole = choices;
    if (delta) {
        struct json *choice = json_add(choices, NULL, json_new(JSON_OBJECT));
        whole = put(choice, "delta", delta) && put(choice, "index", json_new_number(0)) &&
                put(choice, "finish_reason", finish ? json_new_string(finish) : json_new(JSON_NULL));
    }
    char *text = text_and_free(root, whole);
    if (text)
        text_printf(out, "data: %s\n\n", text);
    free(text);
    return text;
}

static struct json *make_delta(const char *key, const char *value)
{
    struct json *delta = json_new(JSON_OBJECT);
    if (key && !put(delta, key, json_new_string(value))) {
        json_free(delta);
        return NULL;
    }
    return delta;
}

/* The engine gives a reply when it is whole, so the stream has one event with all of it between those that open and close it. */
static char *write_stream(const struct chat *chat, const struct chat_model *model, const struct answer *answer, uint64_t id, int64_t now)
{
    static const char object[] = "chat.completion.chunk";
    struct text out = {0};
    bool whole = put_event(&out, make_head(model, object, id, now), make_delta("role", "assistant"), NULL) &&
                 put_event(&out, make_head(model, object, id, now), make_delta("content", answer->raw), NULL) &&
                 put_event(&out, make_head(model, object, id, now), make_delta(NULL, NULL), finish_reason(chat, answer));
    struct json *last = whole && chat->stream_usage ? make_head(model, object, id, now) : NULL;
    if (whole && chat->stream_usage)
        whole = put(last, "usage", make_usage(&answer->cost)) && put(last, "toksweep", make_own(answer)) && put_event(&out, last, NULL, NULL);
    text_put(&out, "data: [DONE]\n\n");
    if (whole)
        return text_take(&out);
    text_free(&out);
    return NULL;
}

char *chat_write(const struct chat *chat, const struct chat_model *model, const struct answer *answer, uint64_t id, int64_t now)
{
    return chat->stream ? write_stream(chat, model, answer, id, now) : write_whole(chat, model, answer, id, now);
}
