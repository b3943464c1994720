/* Sweep files: libyaml's events become cJSON-backed values; a table beside the tree remembers where each value stood. */
#include "core/config.h"

#include "core/arena.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MOST_DEPTH = 64, MOST_NODES = 10000, MOST_BYTES = 1 << 20 };

struct place {
    const struct json *value;
    size_t line, column;
    const char *set; /* the --set that gave the value; NULL: the file */
};

struct anchor {
    char *name;
    const struct json *value;
};

struct config {
    char *name;
    struct json *root;
    struct place *places; /* a value's last one counts: values that --set replaced leave theirs behind */
    size_t n_places;
    struct arena sets;
};

struct reader {
    struct config *config;
    yaml_parser_t parser;
    struct anchor anchors[256];
    size_t n_anchors;
    size_t n_nodes; /* made so far, expanded aliases included */
    struct err *err;
};

static int fail_at(const struct reader *reader, yaml_mark_t mark, const char *what)
{
    return err_set(reader->err, ERR_CONFIG, "%s:%zu:%zu: %s", reader->config->name, mark.line + 1, mark.column + 1, what);
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event))
        return 0;
    yaml_mark_t mark = reader->parser.problem ? reader->parser.problem_mark : reader->parser.mark;
    if (reader->parser.error == YAML_MEMORY_ERROR)
        return err_no_memory(reader->err, reader->config->name);
    struct text what = {0};
    text_printf(&what, "not valid YAML: %s", reader->parser.problem ? reader->parser.problem : "unreadable");
    int rc = fail_at(reader, mark, what.failed ? "not valid YAML" : what.bytes);
    text_free(&what);
    return rc;
}

/* ---- scalars: YAML 1.2 core schema --------------------------------------------------------------------------------------- */

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(text, *words))
            return true;
    return false;
}

static bool is_number(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t digits = strspn(p, "0123456789");
    p += digits;
    if (*p == '.') {
        size_t fraction = strspn(++p, "0123456789");
        digits += fraction;
        p += fraction;
    }
    if (!digits)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t exponent = strspn(p, "0123456789");
        if (!exponent)
            return false;
        p += exponent;
    }
    return !*p;
}

static struct json *scalar_value(const char *text, bool plain)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    if (plain && one_of(text, nulls))
        return json_new(JSON_NULL);
    if (plain && one_of(text, trues))
        return json_new_bool(true);
    if (plain && one_of(text, falses))
        return json_new_bool(false);
    if (plain && is_number(text))
        return json_new_number(strtod(text, NULL));
    return json_new_string(text);
}

/* ---- the tree ------------------------------------------------------------------------------------------------------------ */

static int add_place(struct config *config, struct place place, struct err *err)
{
    if ((config->n_places & (config->n_places + 1)) == 0) { /* full at 2^k - 1 */
        struct place *grown = realloc(config->places, 2 * (config->n_places + 1) * sizeof *grown);
        if (!grown)
            return err_no_memory(err, config->name);
        config->places = grown;
    }
    config->places[config->n_places++] = place;
    return 0;
}

static int remember(struct reader *reader, const struct json *value, yaml_mark_t mark)
{
    struct config *config = reader->config;
    if (!value)
        return err_no_memory(reader->err, config->name);
    if (++reader->n_nodes > MOST_NODES)
        return fail_at(reader, mark, "more than 10,000 values, aliases expanded; write the sweep with fewer aliases");
    return add_place(config, (struct place){value, mark.line + 1, mark.column + 1, NULL}, reader->err);
}

static struct place *place_of(const struct config *config, const struct json *value)
{
    for (size_t i = config->n_places; i-- > 0;)
        if (config->places[i].value == value)
            return &config->places[i];
    return NULL;
}

/* A copy of an anchored value, each of its nodes with the place of the alias. */
static int remember_copy(struct reader *reader, const struct json *copy, yaml_mark_t mark)
{
    int rc = remember(reader, copy, mark);
    for (const struct json *child = json_first(copy); child && !rc; child = json_next(child))
        rc = remember_copy(reader, child, mark);
    return rc;
}

static int note_anchor(struct reader *reader, const yaml_char_t *name, const struct json *value, yaml_mark_t mark)
{
    if (!name)
        return 0;
    if (reader->n_anchors == sizeof reader->anchors / sizeof *reader->anchors)
        return fail_at(reader, mark, "more than 256 anchors");
    char *copy = strdup((const char *)name);
    if (!copy)
        return err_no_memory(reader->err, reader->config->name);
    reader->anchors[reader->n_anchors++] = (struct anchor){copy, value};
    return 0;
}

static int count_nodes(const struct json *value, size_t most)
{
    size_t n = 1;
    for (const struct json *child = json_first(value); child && n <= most; child = json_next(child))
        n += (size_t)count_nodes(child, most - n);
    return (int)n;
}

static int read_value(struct reader *reader, yaml_event_t *event, int depth, struct json *parent, const char *key);

static int read_alias(struct reader *reader, const yaml_event_t *event, struct json *parent, const char *key)
{
    for (size_t i = reader->n_anchors; i-- > 0;) {
        const struct anchor *anchor = &reader->anchors[i];
        if (strcmp(anchor->name, (const char *)event->data.alias.anchor))
            continue;
        if (!anchor->value)
            return fail_at(reader, event->start_mark, "an alias inside the value it names");
        if (reader->n_nodes + (size_t)count_nodes(anchor->value, MOST_NODES) > MOST_NODES)
            return fail_at(reader, event->start_mark,
                           "more than 10,000 values, aliases expanded; write the sweep with fewer aliases");
        struct json *copy = json_add(parent, key, json_copy(anchor->value));
        return copy ? remember_copy(reader, copy, event->start_mark) : err_no_memory(reader->err, reader->config->name);
    }
    return fail_at(reader, event->start_mark, "an alias without its anchor");
}

static int read_sequence(struct reader *reader, struct json *array, int depth)
{
    for (;;) {
        yaml_event_t event;
        int rc = next_event(reader, &event);
        if (rc)
            return rc;
        bool ends = event.type == YAML_SEQUENCE_END_EVENT;
        if (!ends)
            rc = read_value(reader, &event, depth, array, NULL);
        yaml_event_delete(&event);
        if (rc || ends)
            return rc;
    }
}

static int read_mapping(struct reader *reader, struct json *object, int depth)
{
    for (;;) {
        yaml_event_t key, value;
        int rc = next_event(reader, &key);
        if (rc)
            return rc;
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return 0;
        }
        const char *name = key.type == YAML_SCALAR_EVENT ? (const char *)key.data.scalar.value : NULL;
        if (!name || (key.data.scalar.tag && *key.data.scalar.tag))
            rc = fail_at(reader, key.start_mark, "a key must be a plain string");
        else if (!strcmp(name, "<<"))
            rc = fail_at(reader, key.start_mark, "merge keys ('<<') are not YAML 1.2; write the keys out");
        else if (strlen(name) != key.data.scalar.length)
            rc = fail_at(reader, key.start_mark, "a key with a NUL in it");
        else if (json_get(object, name))
            rc = fail_at(reader, key.start_mark, "this key stands twice; keep one of them");
        if (!rc && !(rc = next_event(reader, &value))) {
            rc = read_value(reader, &value, depth, object, name);
            const struct json *made = rc ? NULL : json_get(object, name);
            struct place *place = made ? place_of(reader->config, made) : NULL;
            if (place) { /* the key's place is the better one for messages about the member */
                place->line = key.start_mark.line + 1;
                place->column = key.start_mark.column + 1;
            }
            yaml_event_delete(&value);
        }
        yaml_event_delete(&key);
        if (rc)
            return rc;
    }
}

static int read_value(struct reader *reader, yaml_event_t *event, int depth, struct json *parent, const char *key)
{
    if (depth > MOST_DEPTH)
        return fail_at(reader, event->start_mark, "nested deeper than 64");
    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(reader, event, parent, key);
    bool scalar = event->type == YAML_SCALAR_EVENT, sequence = event->type == YAML_SEQUENCE_START_EVENT;
    const yaml_char_t *tag = scalar ? event->data.scalar.tag : sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    const yaml_char_t *anchor = scalar     ? event->data.scalar.anchor
                                : sequence ? event->data.sequence_start.anchor
                                           : event->data.mapping_start.anchor;
    if (tag && *tag)
        return fail_at(reader, event->start_mark, "tags are not accepted; write the value without its '!'");
    if (scalar && strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
        return fail_at(reader, event->start_mark, "a NUL inside a string");
    struct json *value = scalar ? scalar_value((const char *)event->data.scalar.value, event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
                                : json_new(sequence ? JSON_ARRAY : JSON_OBJECT);
    value = parent ? json_add(parent, key, value) : (reader->config->root = value);
    int rc = remember(reader, value, event->start_mark);
    size_t mine = reader->n_anchors;
    if (!rc)
        rc = note_anchor(reader, anchor, scalar ? value : NULL, event->start_mark);
    if (!rc && sequence)
        rc = read_sequence(reader, value, depth + 1);
    else if (!rc && !scalar)
        rc = read_mapping(reader, value, depth + 1);
    if (!rc && anchor)
        reader->anchors[mine].value = value; /* from here on it may be used */
    return rc;
}

static int read_document(struct reader *reader)
{
    bool done = false;
    int rc = 0;
    while (!done && !rc) {
        yaml_event_t event;
        if ((rc = next_event(reader, &event)))
            return rc;
        switch (event.type) {
        case YAML_STREAM_END_EVENT:
            done = true;
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (reader->config->root)
                rc = fail_at(reader, event.start_mark, "a second document; a sweep file holds one");
            break;
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        default:
            rc = read_value(reader, &event, 0, NULL, NULL);
        }
        yaml_event_delete(&event);
    }
    if (!rc && !reader->config->root)
        rc = err_set(reader->err, ERR_CONFIG, "%s: the file is empty; a sweep file has at least 'model' and 'axes'",
                     reader->config->name);
    return rc;
}

int config_parse(struct config **out, const char *text, size_t length, const char *name, struct err *err)
{
    *out = NULL;
    struct config *config = calloc(1, sizeof *config);
    struct reader reader = {.config = config, .err = err};
    if (!config || !(config->name = strdup(name)) || !yaml_parser_initialize(&reader.parser)) {
        config_free(config);
        return err_no_memory(err, name);
    }
    int rc;
    if (length > MOST_BYTES) {
        rc = err_set(err, ERR_CONFIG, "%s: larger than the 1 MiB that a sweep file may have", name);
    } else {
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
        rc = read_document(&reader);
    }
    for (size_t i = 0; i < reader.n_anchors; i++)
        free(reader.anchors[i].name);
    yaml_parser_delete(&reader.parser);
    if (rc)
        config_free(config);
    else
        *out = config;
    return rc;
}

int config_load(struct config **out, const char *path, struct err *err)
{
    *out = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return err_errno(err, "open", path);
    char *text = malloc(MOST_BYTES + 2);
    size_t n = text ? fread(text, 1, MOST_BYTES + 1, file) : 0;
    int rc;
    if (!text)
        rc = err_no_memory(err, path);
    else if (ferror(file))
        rc = err_errno(err, "read", path);
    else
        rc = config_parse(out, text, n, path, err);
    free(text);
    fclose(file);
    return rc;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    json_free(config->root);
    arena_free(&config->sets);
    free(config->places);
    free(config->name);
    free(config);
}

const struct json *config_root(const struct config *config)
{
    return config->root;
}

const char *config_name(const struct config *config)
{
    return config->name;
}

/* ---- changing ------------------------------------------------------------------------------------------------------------ */

/* The member of that key, or the element of that number; NULL if there is none. */
static struct json *child_at(const struct json *parent, const char *key, size_t n)
{
    bool object = json_type(parent) == JSON_OBJECT;
    size_t i = 0;
    for (const struct json *child = json_first(parent); child; child = json_next(child), i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        const char *name = object ? json_key(child) : number;
        if (strlen(name) == n && !memcmp(name, key, n))
            return (struct json *)(uintptr_t)child;
    }
    return NULL;
}

static int note_set(struct config *config, const struct json *value, const char *set, struct err *err)
{
    int rc = add_place(config, (struct place){.value = value, .set = set}, err);
    for (const struct json *child = json_first(value); child && !rc; child = json_next(child))
        rc = note_set(config, child, set, err);
    return rc;
}

/* The value of a --set, read as a file of its own, so that what is wrong with it is said about it. */
static int read_set(struct json **out, const char *set, const char *text, struct err *err)
{
    struct config *given;
    const char *value = *text ? text : "~";
    int rc = config_parse(&given, value, strlen(value), set, err);
    if (rc)
        return rc;
    *out = given->root;
    given->root = NULL;
    config_free(given);
    return 0;
}

int config_set(struct config *config, const char *path, const char *text, struct err *err)
{
    struct json *parent = config->root, *value;
    const char *key = path, *set = arena_printf(&config->sets, "--set %s", path);
    if (!set)
        return err_no_memory(err, "--set");
    for (const char *dot; parent && (dot = strchr(key, '.')); key = dot + 1)
        parent = child_at(parent, key, (size_t)(dot - key));
    const struct json *old = parent ? child_at(parent, key, strlen(key)) : NULL;
    if (!*key || !parent || (!old && json_type(parent) != JSON_OBJECT))
        return err_set(err, ERR_CONFIG, "%s: '%s' has no such place; use keys joined by dots, list elements by number from 0", set,
                       config->name);
    int rc = read_set(&value, set, text, err);
    if (rc)
        return rc;
    value = old ? json_replace(parent, old, value) : json_add(parent, key, value);
    return value ? note_set(config, value, set, err) : err_no_memory(err, "--set");
}

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

int config_err(const struct config *config, const struct json *at, struct err *err, const char *format, ...)
{
    char what[800];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const struct place *place = place_of(config, at);
    if (place && place->set)
        return err_set(err, ERR_CONFIG, "%s: %s", place->set, what);
    if (place)
        return err_set(err, ERR_CONFIG, "%s:%zu:%zu: %s", config->name, place->line, place->column, what);
    return err_set(err, ERR_CONFIG, "%s: %s", config->name, what);
}

/* Levenshtein distance, capped by the length of the buffers: words here are keys and names. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { MOST = 63 };
    size_t n = strlen(a), m = strlen(b), row[MOST + 1];
    if (n > MOST || m > MOST)
        return MOST;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t least = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[m];
}

const char *nearest_word(const char *word, const char *const *known)
{
    const char *best = NULL;
    size_t n = strlen(word), least = n / 2 + 1;
    for (; *known; known++) {
        size_t distance = n > 2 && !strncmp(word, *known, n) ? 1 : edit_distance(word, *known); /* the beginning is nearly all */
        if (distance < least) {
            least = distance;
            best = *known;
        }
    }
    return best;
}

size_t config_line(const struct config *config, const struct json *at)
{
    const struct place *place = place_of(config, at);
    return place && !place->set ? place->line : 0;
}

int config_check_keys(const struct config *config, const struct json *object, const char *what, const char *const *known, struct err *err)
{
    if (json_type(object) != JSON_OBJECT)
        return config_err(config, object, err, "%s should be a mapping of keys to values, it is %s", what, json_type_name(object));
    for (const struct json *member = json_first(object); member; member = json_next(member)) {
        if (one_of(json_key(member), known))
            continue;
        struct text list = {0};
        for (const char *const *word = known; *word; word++)
            text_printf(&list, "%s%s", word == known ? "" : ", ", *word);
        const char *near = nearest_word(json_key(member), known);
        int rc = near ? config_err(config, member, err, "unknown key '%s' in %s; did you mean '%s'?", json_key(member), what, near)
                      : config_err(config, member, err, "unknown key '%s' in %s; known keys: %s", json_key(member), what,
                                   list.bytes ? list.bytes : "");
        text_free(&list);
        return rc;
    }
    return 0;
}
