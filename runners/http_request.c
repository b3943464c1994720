/* Bodies of requests: a conversation with the frames of a cell in it, in pieces. */
#include "runners/http_impl.h"

#include "core/base64.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---------------------------------------------------------------------------------------------------------------------- */

/* Adds a string as JSON has it. */
static void put_string(struct text *text, const char *string)
{
    struct json *value = json_new_string(string);
    char *quoted = value ? json_text(value) : NULL;
    if (quoted)
        text_put(text, quoted);
    else
        text->failed = true;
    free(quoted);
    json_free(value);
}

static void put_message(struct text *text, const char *role, const char *content)
{
    text_printf(text, "{\"role\":\"%s\",\"content\":", role);
    put_string(text, content);
    text_put(text, "}");
}

static int take_piece(struct http_piece *out, struct text *text, struct arena *arena, struct err *err)
{
    *out = (struct http_piece){text->failed ? NULL : arena_strndup(arena, text->length ? text->bytes : "", text->length), text->length};
    text_free(text);
    return out->bytes ? 0 : err_no_memory(err, "a request");
}

/* ---- frames -------------------------------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct frames *frames, uint32_t index)
{
    size_t slot = 0;
    while (slot + 1 < frames->n && frames->index[slot] != index)
        slot++;
    return slot;
}

/* Makes a frame smaller so that its longer side is what the settings allow, keeping its shape. *scaled is NULL when it already is. */
static int shrink(const struct http_settings *settings, const struct frames *frames, size_t slot, uint8_t **scaled, int *w, int *h,
                  struct err *err)
{
    const uint8_t *rgb = frames->rgb + slot * (size_t)frames->width * (size_t)frames->height * 3;
    int longest = frames->width > frames->height ? frames->width : frames->height;
    *scaled = NULL;
    *w = frames->width;
    *h = frames->height;
    if (!settings->longest_side || longest <= settings->longest_side)
        return 0;
    double scale = (double)settings->longest_side / longest;
    *w = (int)fmax(1, nearbyint(frames->width * scale));
    *h = (int)fmax(1, nearbyint(frames->height * scale));
    *scaled = malloc((size_t)*w * (size_t)*h * 3);
    return *scaled ? resize_bicubic(rgb, frames->width, frames->height, *scaled, *w, *h, err) : err_no_memory(err, "a frame to be sent");
}

/* {"type":"image_url","image_url":{"url":"data:image/png;base64,..."}}, with a comma behind it. */
static int wrap_picture(struct http_piece *out, bool jpeg, const uint8_t *file, size_t n, struct arena *arena, struct err *err)
{
    static const char tail[] = "\"}},";
    char head[80];
    int printed = snprintf(head, sizeof head, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/%s;base64,", jpeg ? "jpeg" : "png");
    size_t n_head = (size_t)printed;
    size_t length = base64_length(n);
    char *text = arena_alloc(arena, n_head + length + sizeof tail, 1);
    if (!text)
        return err_no_memory(err, "a frame to be sent");
    memcpy(text, head, n_head);
    base64_encode(text + n_head, file, n);
    memcpy(text + n_head + length, tail, sizeof tail);
    *out = (struct http_piece){text, n_head + length + sizeof tail - 1};
    return 0;
}

static int make_picture(struct http_pictures *pictures, size_t slot, const struct http_settings *settings, const struct frames *frames,
                        struct arena *arena, struct err *err)
{
    uint8_t *scaled, *file = NULL;
    int w, h;
    size_t n;
    int rc = shrink(settings, frames, slot, &scaled, &w, &h, err);
    const uint8_t *rgb = scaled ? scaled : frames->rgb + slot * (size_t)frames->width * (size_t)frames->height * 3;
    if (!rc)
        rc = picture_encode(&file, &n, rgb, w, h, settings->jpeg_quantiser, err);
    if (!rc)
        rc = wrap_picture(&pictures->parts[slot], settings->jpeg_quantiser, file, n, arena, err);
    free(file);
    free(scaled);
    return rc;
}

/* Appends the frames that a cell shows, as often as it shows them. */
static int add_frames(struct http_body *body, const struct http_settings *settings, const struct job *job, const struct job_cell *shown,
                      struct http_pictures *pictures, struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < shown->n; i++) {
        size_t slot = slot_of(&job->frames, shown->index[i]);
        int rc = pictures->parts[slot].bytes ? 0 : make_picture(pictures, slot, settings, &job->frames, arena, err);
        if (rc)
            return rc;
        body->pieces[body->n_pieces++] = pictures->parts[slot];
    }
    return 0;
}

/* ---- a video in one piece ------------------------------------------------------------------------------------------------------ */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~/", c);
}

/* Percent-encodes what a URL's path cannot hold as it is (RFC 3986). */
static void put_path(struct text *text, const char *path)
{
    for (; *path; path++)
        text_printf(text, is_plain(*path) ? "%c" : "%%%02X", (unsigned char)*path);
}

/* The settings' URL with {path}, the absolute path, and {name}, its last part, filled in. */
static int put_video(struct text *text, const char *url, const char *path, struct err *err)
{
    char *whole = realpath(path, NULL);
    struct text filled = {0};
    if (!whole)
        return err_errno(err, "find", path);
    for (const char *p = url; *p;) {
        if (!strncmp(p, "{path}", 6)) {
            put_path(&filled, whole);
            p += 6;
        } else if (!strncmp(p, "{name}", 6)) {
            put_path(&filled, strrchr(whole, '/') + 1);
            p += 6;
        } else {
            text_add(&filled, p++, 1);
        }
    }
    free(whole);
    char *made = text_take(&filled);
    if (!made)
        return err_no_memory(err, "a URL");
    text_put(text, "{\"type\":\"video_url\",\"video_url\":{\"url\":");
    put_string(text, made);
    text_put(text, "}},");
    free(made);
    return 0;
}

/* ---- members ------------------------------------------------------------------------------------------------------------------- */

/* A copy in which every "{frames}" is the number of the cell's frames. NULL when memory is out. */
static struct json *fill_in(const struct json *value, int frames)
{
    enum json_type type = json_type(value);
    if (type == JSON_STRING && !strcmp(json_string(value), "{frames}"))
        return json_new_number(frames);
    if (type != JSON_OBJECT && type != JSON_ARRAY)
        return json_copy(value);
    struct json *out = json_new(type);
    for (const struct json *child = json_first(value); child && out; child = json_next(child))
        if (!json_add(out, type == JSON_OBJECT ? json_key(child) : NULL, fill_in(child, frames))) {
            json_free(out);
            out = NULL;
        }
    return out;
}

/* Sets a member, in the place of one that is there; takes `value`. false when memory is out. */
static bool set(struct json *object, const char *key, struct json *value)
{
    const struct json *old = json_get(object, key);
    return value && (old ? json_replace(object, old, value) : json_add(object, key, value));
}

static bool set_members(struct json *object, const struct json *members, int frames)
{
    bool done = true;
    for (const struct json *member = json_first(members); member && done; member = json_next(member))
        done = set(object, json_key(member), fill_in(member, frames));
    return done;
}

/* What `toksweep serve` has to know of a cell beyond the conversation. */
static bool set_cell(struct json *object, const struct run_cell *run, const struct video_ref *video, struct arena *arena)
{
    const struct cell *cell = &run->cell;
    const char *params = methods_params(run->methods, run->n_methods, arena);
    struct json *compressor = NULL;
    struct err ignored = {0};
    if (!params || json_parse(&compressor, params, strlen(params), "params", &ignored))
        return false;
    if (json_type(compressor) == JSON_OBJECT && !json_add(compressor, "name", json_new_string(run->methods[0].compressor->name))) {
        json_free(compressor);
        return false;
    }
    return set(object, "compressor", compressor) && set(object, "pooling", json_new_string(cell->pooling)) &&
           set(object, "newline", json_new_string(cell->newline)) && set(object, "conversation", json_new_string(cell->conversation)) &&
           set(object, "video", json_new_string(video->id));
}

static struct json *make_members(const struct http_settings *settings, bool toksweep, const struct job *job, const struct run_cell *run,
                                 struct arena *arena)
{
    const struct cell *cell = &run->cell;
    struct json *object = json_new(JSON_OBJECT), *own = NULL;
    struct err ignored = {0};
    bool done = object && set(object, "model", json_new_string(settings->model)) &&
                set(object, settings->length_key, json_new_number(cell->max_new_tokens));
    if (done && !isnan(settings->temperature))
        done = set(object, "temperature", json_new_number(settings->temperature));
    if (done && !isnan(settings->top_p))
        done = set(object, "top_p", json_new_number(settings->top_p));
    if (done && settings->seed >= 0)
        done = set(object, "seed", json_new_number((double)settings->seed));
    if (done && (toksweep || cell->repetition_penalty != 1))
        done = set(object, "repetition_penalty", json_new_number(cell->repetition_penalty));
    if (done && toksweep)
        done = set_cell(object, run, job->video, arena);
    if (done)
        done = set_members(object, settings->body, cell->frames);
    if (done && cell->body)
        done = !json_parse(&own, cell->body, strlen(cell->body), "body", &ignored) && set_members(object, own, cell->frames);
    json_free(own);
    if (!done) {
        json_free(object);
        return NULL;
    }
    return object;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------- */

/* Everything before the frames; with a video's URL, that too. */
static int make_head(struct http_piece *out, const struct http_settings *settings, const struct job *job, const struct prompt_text *prompt,
                     struct arena *arena, struct err *err)
{
    struct text text = {0};
    const char *system = prompt->system ? prompt->system : settings->system;
    int rc = 0;
    text_put(&text, "{\"messages\":[");
    if (system) {
        put_message(&text, "system", system);
        text_put(&text, ",");
    }
    text_put(&text, "{\"role\":\"user\",\"content\":[");
    if (settings->video_url)
        rc = put_video(&text, settings->video_url, job->video->path, err);
    if (rc) {
        text_free(&text);
        return rc;
    }
    return take_piece(out, &text, arena, err);
}

/* Everything behind them: the question, how the reply begins, and the other members. */
static int make_tail(struct http_piece *out, const struct prompt_text *prompt, const char *time, const struct json *members,
                     struct arena *arena, struct err *err)
{
    struct text text = {0}, user = {0};
    char *others = json_text(members);
    if (time)
        text_printf(&user, "%s\n", time);
    text_put(&user, prompt->user);
    char *said = text_take(&user);
    text_put(&text, "{\"type\":\"text\",\"text\":");
    if (said && others)
        put_string(&text, said);
    text_put(&text, "}]}");
    if (prompt->prefill) {
        text_put(&text, ",");
        put_message(&text, "assistant", prompt->prefill);
    }
    text_put(&text, "],");
    if (others)
        text_put(&text, others + 1); /* its brace is already open */
    text.failed |= !said || !others;
    free(said);
    free(others);
    return take_piece(out, &text, arena, err);
}

int http_body_make(struct http_body *out, const struct http_settings *settings, bool toksweep, const struct job *job, size_t c, size_t s,
                   struct http_pictures *pictures, struct arena *arena, struct err *err)
{
    const struct job_cell *shown = &job->cells[c];
    const struct prompt_text *prompt = &job->samples[s].prompt;
    size_t frames = settings->video_url ? 0 : shown->n;
    struct json *members = make_members(settings, toksweep, job, shown->run, arena);
    const char *time = NULL;
    *out = (struct http_body){.pieces = arena_alloc(arena, frames + 2, sizeof *out->pieces)};
    int rc = members && out->pieces ? 0 : err_no_memory(err, "a request");
    if (!rc && !settings->video_url)
        rc = job_time_instruction(&time, job, shown, arena, err);
    if (!rc && !(rc = make_head(&out->pieces[0], settings, job, prompt, arena, err)))
        out->n_pieces = 1;
    if (!rc && frames)
        rc = add_frames(out, settings, job, shown, pictures, arena, err);
    if (!rc && !(rc = make_tail(&out->pieces[out->n_pieces], prompt, time, members, arena, err)))
        out->n_pieces++;
    for (size_t i = 0; i < out->n_pieces; i++)
        out->length += out->pieces[i].n;
    json_free(members);
    return rc;
}
