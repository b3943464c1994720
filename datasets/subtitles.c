/* Subtitles. Which entries are shown, and in what order, is upstream's arithmetic in upstream's precision. */
#include "datasets/subtitles.h"

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "datasets/video.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILE = 16 << 20 };

struct span {
    const char *at, *end;
};

static int file_read(const char *path, char **bytes, size_t *length, char digest[DIGEST_HEX], struct err *err)
{
    int rc = file_load(bytes, length, path, MOST_FILE, err);
    if (rc)
        return rc;
    digest_of(*bytes, *length, digest);
    if (text_is_clean(*bytes, *length))
        return 0;
    free(*bytes);
    *bytes = NULL;
    return err_set(err, ERR_DATA, "'%s': subtitles should be UTF-8 without NUL", path);
}

/* ---- srt ----------------------------------------------------------------------------------------------------------------- */

/* LF for CRLF and CR, in place. */
static size_t lines_unify(char *bytes, size_t length)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != '\r')
            bytes[n++] = bytes[i];
        else if (i + 1 == length || bytes[i + 1] != '\n')
            bytes[n++] = '\n';
    return n;
}

/* Takes the text up to `mark`, or all; *found says whether it was there. */
static struct span span_cut(struct span *text, const char *mark, bool *found)
{
    size_t n = strlen(mark);
    struct span part = *text;
    for (*found = false; (size_t)(part.end - text->at) >= n; text->at++)
        if (!memcmp(text->at, mark, n)) {
            part.end = text->at;
            text->at += n;
            *found = true;
            return part;
        }
    text->at = text->end;
    return part;
}

/* A whole number with blanks round it. */
static bool number_take(struct span text, int64_t *out)
{
    size_t length = (size_t)(text.end - text.at), digits = 0;
    text_strip(&text.at, &length);
    for (*out = 0; digits < length && digits < 15 && text.at[digits] >= '0' && text.at[digits] <= '9'; digits++)
        *out = *out * 10 + (text.at[digits] - '0');
    return digits && digits == length;
}

/* "h:m:s,ms" in seconds. */
static bool time_read(struct span text, double *seconds)
{
    int64_t part[4];
    static const char *const marks[] = {":", ":", ","};
    for (int i = 0; i < 3; i++) {
        bool found;
        if (!number_take(span_cut(&text, marks[i], &found), &part[i]) || !found)
            return false;
    }
    *seconds = (double)(part[0] * 3600 + part[1] * 60 + part[2]);
    if (!number_take(text, &part[3]))
        return false;
    *seconds += (double)part[3] / 1000;
    return true;
}

/* The lines of a section after the second, joined by blanks. */
static char *section_text(struct span lines, struct arena *arena)
{
    char *text = arena_strndup(arena, lines.at, (size_t)(lines.end - lines.at));
    for (char *p = text; p && (p = strchr(p, '\n'));)
        *p = ' ';
    return text;
}

struct srt { /* a file on its way to entries */
    struct subtitles *out;
    struct names by_times;
    const char *start;
    struct arena *arena;
    struct err *err;
};

static int srt_add(struct srt *srt, const struct subtitle *entry)
{
    size_t first = srt->out->n;
    const char *times = arena_printf(srt->arena, "%.17g %.17g", entry->start_s, entry->end_s);
    int rc = times && entry->text ? names_put(&srt->by_times, times, srt->out->n, &first, srt->err) : err_no_memory(srt->err, "subtitles");
    if (rc)
        return rc;
    srt->out->entries[first] = *entry;
    srt->out->n += first == srt->out->n;
    return 0;
}

static size_t line_of(const char *start, const char *at)
{
    size_t line = 1;
    for (; start < at; start++)
        line += *start == '\n';
    return line;
}

static int srt_section(struct srt *srt, struct span section)
{
    bool has_times, has_text, found;
    span_cut(&section, "\n", &has_times);
    struct span times = span_cut(&section, "\n", &has_text), end = times;
    if (!has_times || !has_text)
        return 0;
    struct subtitle entry = {.text = section_text(section, srt->arena)};
    struct span start = span_cut(&end, " --> ", &found);
    end = span_cut(&end, " --> ", &(bool){false});
    if (!found || !time_read(start, &entry.start_s) || !time_read(end, &entry.end_s))
        return err_set(srt->err, ERR_DATA, "'%s', line %zu: 'h:m:s,ms --> h:m:s,ms' was expected; sections are divided by one empty line",
                       srt->out->path, line_of(srt->start, times.at));
    return srt_add(srt, &entry);
}

static bool is_blank(struct span text)
{
    size_t length = (size_t)(text.end - text.at);
    text_strip(&text.at, &length);
    return !length;
}

/* ERR_DATA names file and line of a section whose times cannot be read. `digest` is of the file's bytes. */
static int srt_read(struct subtitles *out, double from_s, struct arena *arena, char digest[DIGEST_HEX], struct err *err)
{
    char *bytes;
    size_t length;
    (void)from_s;
    int rc = file_read(out->path, &bytes, &length, digest, err);
    if (rc)
        return rc;
    struct span rest = {bytes, bytes + lines_unify(bytes, length)};
    struct srt srt = {.out = out, .start = bytes, .arena = arena, .err = err};
    out->entries = arena_alloc(arena, length / 4 + 1, sizeof *out->entries); /* a section has two line ends, and two behind it */
    if (!out->entries)
        rc = err_no_memory(err, "subtitles");
    for (bool more = true; more && !rc;) {
        struct span section = span_cut(&rest, "\n\n", &more);
        if (!is_blank(section))
            rc = srt_section(&srt, section);
    }
    names_free(&srt.by_times);
    free(bytes);
    return rc;
}

/* ---- json ---------------------------------------------------------------------------------------------------------------- */

static bool is_of_number(char c)
{
    return (c >= '0' && c <= '9') || strchr("+-.eE", c);
}

/* The same JSON with its whole numbers as strings: upstream tells 5 from 5.0, and JSON's own types do not. */
static char *whole_numbers_quote(const char *json, size_t length)
{
    struct text out = {0};
    bool inside = false;
    for (size_t i = 0, n; i < length; i += n) {
        for (n = 1; !inside && is_of_number(json[i]) && i + n < length && is_of_number(json[i + n]); n++)
            continue;
        bool number = !inside && ((json[i] >= '0' && json[i] <= '9') || json[i] == '-');
        bool whole = number && !memchr(json + i, '.', n) && !memchr(json + i, 'e', n) && !memchr(json + i, 'E', n);
        if (inside && json[i] == '\\' && i + 1 < length)
            n = 2;
        else if (json[i] == '"')
            inside = !inside;
        text_put(&out, whole ? "\"" : "");
        text_add(&out, json + i, n);
        text_put(&out, whole ? "\"" : "");
    }
    return text_take(&out);
}

/* A number, or one that was quoted above. */
static bool seconds_of(const struct json *value, double *out)
{
    char *end = NULL;
    *out = json_type(value) == JSON_NUMBER ? json_number(value) : 0;
    if (json_type(value) == JSON_STRING)
        *out = strtod(json_string(value), &end);
    return value && (json_type(value) == JSON_NUMBER || (end && end != json_string(value) && !*end));
}

/* "h:m:s", the seconds with a fraction. */
static bool clock_read(const char *text, double *out)
{
    int64_t hours, minutes;
    bool found[2];
    if (!text)
        return false;
    struct span rest = {text, text + strlen(text)}, part = span_cut(&rest, ":", &found[0]);
    bool good = number_take(part, &hours);
    part = span_cut(&rest, ":", &found[1]);
    if (!good || !number_take(part, &minutes) || !found[0] || !found[1])
        return false;
    size_t length = (size_t)(rest.end - rest.at);
    char *end, digits[32] = "";
    text_strip(&rest.at, &length);
    if (!length || length >= sizeof digits)
        return false;
    memcpy(digits, rest.at, length);
    double seconds = strtod(digits, &end);
    *out = (double)(hours * 3600 + minutes * 60) + seconds;
    return strspn(digits, "0123456789.eE+-") == length && !*end && isfinite(*out);
}

static bool entry_times(const struct json *entry, double video_s, struct subtitle *out)
{
    const struct json *times = json_get(entry, "timestamp"), *start = json_first(times), *end = start ? json_next(start) : NULL;
    if (!times)
        return clock_read(json_string(json_get(entry, "start")), &out->start_s) &&
               clock_read(json_string(json_get(entry, "end")), &out->end_s);
    out->end_s = json_type(end) == JSON_NUMBER ? json_number(end) : video_s;
    return json_type(times) == JSON_ARRAY && json_count(times) == 2 && seconds_of(start, &out->start_s);
}

static int entries_read(struct subtitles *out, const struct json *list, double from_s, struct arena *arena, struct err *err)
{
    out->entries = arena_alloc(arena, json_count(list) + 1, sizeof *out->entries);
    for (const struct json *item = json_first(list); item && out->entries; item = json_next(item)) {
        struct subtitle entry;
        const char *text = json_string(json_get(item, json_get(item, "timestamp") ? "text" : "line"));
        if (!entry_times(item, out->video_s, &entry) || !text)
            return err_set(err, ERR_DATA, "'%s', entry %zu: expected {\"timestamp\": [start, end], \"text\"} in seconds, or "
                           "{\"start\", \"end\", \"line\"} with times as \"h:m:s.ms\"", out->path, out->n);
        entry.start_s -= from_s;
        entry.end_s -= from_s;
        entry.text = arena_strdup(arena, text);
        out->entries[out->n++] = entry;
        if (!entry.text)
            return err_no_memory(err, "subtitles");
    }
    return out->entries ? 0 : err_no_memory(err, "subtitles");
}

/* ERR_DATA names file and entry, counted from 0. */
static int json_read(struct subtitles *out, double from_s, struct arena *arena, char digest[DIGEST_HEX], struct err *err)
{
    char *bytes;
    size_t length;
    struct json *list = NULL;
    int rc = file_read(out->path, &bytes, &length, digest, err);
    if (rc)
        return rc;
    char *quoted = whole_numbers_quote(bytes, length);
    rc = quoted ? json_parse(&list, quoted, strlen(quoted), out->path, err) : err_no_memory(err, out->path);
    if (!rc && json_type(list) != JSON_ARRAY)
        rc = err_set(err, ERR_DATA, "'%s' is %s; expected a list of subtitles", out->path, json_type_name(list));
    if (!rc)
        rc = entries_read(out, list, from_s, arena, err);
    json_free(list);
    free(quoted);
    free(bytes);
    return rc;
}

/* ---- the shelf ----------------------------------------------------------------------------------------------------------- */

/* The subtitles filed under `key`; *is_new: nobody has asked for them before. NULL when memory is out. */
static struct subtitles *shelf_find(struct subtitle_shelf *shelf, const char *key, bool *is_new, struct arena *arena)
{
    struct err err = {0};
    size_t n = shelf->by_key.n, at;
    if (n == shelf->capacity) {
        size_t capacity = 2 * n + 64;
        struct subtitles **grown = realloc(shelf->read, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        shelf->read = grown;
        shelf->capacity = capacity;
    }
    if (!key || names_put(&shelf->by_key, key, n, &at, &err))
        return NULL;
    *is_new = at == n;
    if (*is_new)
        shelf->read[n] = arena_alloc(arena, 1, sizeof **shelf->read);
    return shelf->read[at];
}

/* What was read, or why it could not be, goes on the sample. */
static int subtitles_put(struct build *build, struct sample *sample, struct subtitles *subtitles, int rc, const struct err *why,
                         struct err *err)
{
    sample->subtitles = subtitles;
    if (rc && rc != ERR_MEMORY)
        subtitles->flaw = arena_strdup(&build->manifest->arena, why->text);
    if (rc == ERR_MEMORY || (rc && !subtitles->flaw))
        return err_no_memory(err, "subtitles");
    return subtitles->flaw ? build_flaw(build, sample, err, "%s", subtitles->flaw) : 0;
}

static int attach(struct subtitle_shelf *shelf, struct build *build, const char *key, const struct subtitles *wanted, double from_s,
                  int (*read)(struct subtitles *out, double from_s, struct arena *arena, char digest[DIGEST_HEX], struct err *err),
                  struct sample *sample, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    struct err why = {0};
    char digest[DIGEST_HEX] = "";
    bool is_new;
    int rc = 0;
    struct subtitles *subtitles = shelf_find(shelf, key, &is_new, arena);
    if (!subtitles)
        return err_no_memory(err, "subtitles");
    if (is_new) {
        const char *slash = strrchr(wanted->path, '/');
        *subtitles = *wanted;
        subtitles->missing = !path_is_file(wanted->path);
        rc = subtitles->missing ? 0 : read(subtitles, from_s, arena, digest, &why);
        digest_add_text(shelf->digest, slash ? slash + 1 : wanted->path);
        digest_add_text(shelf->digest, digest);
    }
    return subtitles_put(build, sample, subtitles, rc, &why, err);
}

int subtitles_attach_srt(struct subtitle_shelf *shelf, struct build *build, const char *path, struct sample *sample, struct err *err)
{
    return attach(shelf, build, path, &(struct subtitles){.path = path}, 0, srt_read, sample, err);
}

int subtitles_attach_json(struct subtitle_shelf *shelf, struct build *build, const char *path, double from_s, double video_s,
                          struct sample *sample, struct err *err)
{
    const char *key = arena_printf(&build->manifest->arena, "%s %.17g %.17g", path, from_s, video_s);
    return attach(shelf, build, key, &(struct subtitles){.path = path, .video_s = video_s}, from_s, json_read, sample, err);
}

void subtitle_shelf_free(struct subtitle_shelf *shelf)
{
    names_free(&shelf->by_key);
    free(shelf->read);
    *shelf = (struct subtitle_shelf){0};
}

/* ---- the order of a Python set of small numbers -------------------------------------------------------------------------- */

enum { PROBES = 9, PERTURB_BITS = 5 };

struct number_set { /* CPython 3.7 to 3.13: open addressing, hash(i) = i; Objects/setobject.c */
    int64_t *slots; /* [mask + 1], -1 where free */
    size_t mask, n;
};

/* The slot of `key`, or the free one where it belongs. */
static int64_t *slot_of(const struct number_set *set, int64_t key)
{
    for (size_t i = (size_t)key & set->mask, perturb = (size_t)key;; i = (5 * i + 1 + perturb) & set->mask) {
        size_t last = i + PROBES <= set->mask ? i + PROBES : i;
        for (size_t at = i; at <= last; at++)
            if (set->slots[at] < 0 || set->slots[at] == key)
                return &set->slots[at];
        perturb >>= PERTURB_BITS;
    }
}

static bool set_resize(struct number_set *set, size_t size)
{
    struct number_set grown = {.slots = malloc(size * sizeof *grown.slots), .mask = size - 1, .n = set->n};
    if (!grown.slots)
        return false;
    memset(grown.slots, 0xff, size * sizeof *grown.slots);
    for (size_t i = 0; set->slots && i <= set->mask; i++)
        if (set->slots[i] >= 0)
            *slot_of(&grown, set->slots[i]) = set->slots[i];
    free(set->slots);
    *set = grown;
    return true;
}

static bool set_add(struct number_set *set, int64_t key)
{
    if (!set->slots && !set_resize(set, 8))
        return false;
    int64_t *slot = slot_of(set, key);
    if (*slot == key)
        return true;
    *slot = key;
    set->n++;
    if (set->n * 5 < set->mask * 3)
        return true;
    size_t size = 8, wanted = set->n > 50000 ? 2 * set->n : 4 * set->n;
    while (size <= wanted)
        size *= 2;
    return set_resize(set, size);
}

/* ---- listing ------------------------------------------------------------------------------------------------------------- */

/* What stands in the first <font color="white" size=".72c"> of a text, whatever character the point is. */
static bool font_find(const char *text, struct span *out)
{
    static const char before[] = "<font color=\"white\" size=\"", after[] = "72c\">", end[] = "</font>";
    for (const char *at = text; (at = strstr(at, before)); at++) {
        const char *point = at + strlen(before);
        size_t n = *point ? utf8_length(point, strlen(point)) : 0;
        if (!n || strncmp(point + n, after, strlen(after)))
            continue;
        out->at = point + n + strlen(after);
        out->end = strstr(out->at, end);
        return out->end;
    }
    return false;
}

static void entry_put(struct text *out, const char *text, enum subtitle_order order, bool *any)
{
    struct span shown;
    if (!font_find(text, &shown)) {
        if (order == SUBTITLES_BY_SET)
            return;
        size_t length = strlen(text);
        text_strip(&text, &length);
        shown = (struct span){text, text + length};
    }
    text_put(out, *any ? "\n" : "");
    text_add(out, shown.at, (size_t)(shown.end - shown.at));
    *any = true;
}

/* The numbers of the entries in which one of the frames lies, in the order in which frames and entries meet. */
static bool entries_select(struct number_set *set, const struct subtitles *subtitles, double fps, const uint32_t *frames, size_t n_frames)
{
    for (size_t f = 0; f < n_frames; f++)
        for (size_t i = 0; i < subtitles->n; i++) {
            const struct subtitle *entry = &subtitles->entries[i];
            if (frames[f] >= trunc(entry->start_s * fps) && frames[f] < trunc(entry->end_s * fps) && !set_add(set, (int64_t)i))
                return false;
        }
    return true;
}

char *subtitles_list(const struct subtitles *subtitles, double fps, int64_t n_frames, int n_shown, enum subtitle_order order,
                     struct arena *arena)
{
    struct text out = {0};
    struct number_set set = {0};
    bool any = false, whole = true;
    uint32_t *frames = arena_alloc(arena, (size_t)n_shown, sizeof *frames), total = n_frames < UINT32_MAX ? (uint32_t)n_frames : UINT32_MAX;
    if (n_frames > 0 && frames) {
        size_t n = frame_indices(FRAMES_UNIFORM, total, fps, 0, total - 1, (size_t)n_shown, frames);
        whole = entries_select(&set, subtitles, fps, frames, n);
    }
    for (size_t i = 0; set.slots && order == SUBTITLES_BY_SET && i <= set.mask; i++)
        if (set.slots[i] >= 0)
            entry_put(&out, subtitles->entries[set.slots[i]].text, order, &any);
    for (size_t i = 0; set.slots && order == SUBTITLES_BY_TIME && i < subtitles->n; i++)
        if (*slot_of(&set, (int64_t)i) >= 0)
            entry_put(&out, subtitles->entries[i].text, order, &any);
    free(set.slots);
    char *text = text_take(&out), *kept = text && whole && frames ? arena_strdup(arena, text) : NULL;
    free(text);
    return kept;
}

/* ---- interleaving -------------------------------------------------------------------------------------------------------- */

/* When the k-th frame is shown, as far as the prompt knows: it does not look at the video. */
static double frame_time(const struct subtitles *subtitles, int n_shown, int k)
{
    return subtitles->video_s > n_shown ? subtitles->video_s / n_shown * k : k;
}

static void line_put(struct text *out, const char *line, bool *any)
{
    text_put(out, *any ? "\n" : "");
    text_put(out, line);
    *any = true;
}

/* Whether a frame is shown while an entry lasts, which is a second at least. */
static bool entry_is_seen(const struct subtitles *subtitles, const struct subtitle *entry, int n_shown, int n_frames)
{
    double start = entry->start_s, end = entry->end_s, middle = (start + end) / 2;
    if (end - start < 1) {
        end = middle + 0.5;
        start = middle - 0.5;
    }
    for (int k = 0; k < n_frames; k++) {
        double at = frame_time(subtitles, n_shown, k);
        if (at < end && at > start)
            return true;
    }
    return false;
}

char *subtitles_interleave(const struct subtitles *subtitles, int n_shown, struct arena *arena)
{
    static const char image[] = "<image>";
    struct text out = {0};
    bool any = false;
    int put = 0, n_frames = subtitles->video_s > n_shown ? n_shown : subtitles->video_s > 0 ? (int)subtitles->video_s : 0;
    for (size_t i = 0; i < subtitles->n; i++) {
        const struct subtitle *entry = &subtitles->entries[i];
        for (; put < n_frames && frame_time(subtitles, n_shown, put) <= (entry->start_s + entry->end_s) / 2; put++)
            line_put(&out, image, &any);
        if (entry_is_seen(subtitles, entry, n_shown, n_frames))
            line_put(&out, entry->text, &any);
    }
    for (; put < n_frames; put++)
        line_put(&out, image, &any);
    char *text = text_take(&out), *kept = text ? arena_strdup(arena, text) : NULL;
    free(text);
    return kept;
}
