/* JSON from strangers, read strictly; JSON of our own, written canonically. cJSON stays behind this header.
 *
 * Reading refuses what the grammar (RFC 8259) refuses, invalid UTF-8, nesting deeper than 64, more text than the caller allows,
 * and duplicate keys. Values borrow from the tree that json_parse() made; the tree's owner frees it.
 * Lookups by key walk the object: iterate (json_first, json_next) over large ones. */
#ifndef TOKSWEEP_CORE_JSON_H
#define TOKSWEEP_CORE_JSON_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json; /* one value: null, boolean, number, string, array or object */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* `name` says in messages where the text is from (a path); `most` is the largest accepted length in bytes. Errors are ERR_DATA
 * with line and column, ERR_MEMORY, and for json_load ERR_IO. */
int json_parse(struct json **out, const char *text, size_t length, const char *name, struct err *err);
int json_load(struct json **out, const char *path, size_t most, struct err *err);
void json_free(struct json *json); /* NULL is fine */

enum json_type json_type(const struct json *json);
const char *json_type_name(const struct json *json); /* "a string", for messages */

/* Children. json_get gives NULL when `json` is no object or has no such key. */
const struct json *json_get(const struct json *json, const char *key);
const struct json *json_first(const struct json *json); /* first element or member, NULL if none */
const struct json *json_next(const struct json *child);
const char *json_key(const struct json *member); /* key of an object's member */
size_t json_count(const struct json *json);      /* elements or members; walks */

/* Values. The caller has checked the type, or takes what these give otherwise: NULL, 0, false. */
const char *json_string(const struct json *json);
double json_number(const struct json *json);
bool json_bool(const struct json *json);

/* A whole number in [least, most], exactly; false when it is anything else. */
bool json_integer(const struct json *json, int64_t least, int64_t most, int64_t *out);

/* Members with a default for absent and null; a wrong type is ERR_DATA naming `name` and the key. */
int json_get_string(const struct json *object, const char *key, const char *otherwise, const char **out, const char *name, struct err *err);
int json_get_number(const struct json *object, const char *key, double otherwise, double *out, const char *name, struct err *err);
int json_get_integer(const struct json *object, const char *key, int64_t otherwise, int64_t least, int64_t most, int64_t *out,
                     const char *name, struct err *err);
int json_get_bool(const struct json *object, const char *key, bool otherwise, bool *out, const char *name, struct err *err);

/* Building. Each returns the new value, or NULL when memory is out; json_add and json_replace then free the child. */
struct json *json_new(enum json_type type); /* array, object or null */
struct json *json_new_string(const char *text);
struct json *json_new_number(double value); /* NaN and infinities become null */
struct json *json_new_bool(bool value);
struct json *json_copy(const struct json *json);
struct json *json_add(struct json *parent, const char *key, struct json *child); /* key NULL for arrays; takes `child`; returns it */

/* Puts `child` in the place of `old`, an element or member of `parent`, whose key it gets; `old` is freed. As json_add. */
struct json *json_replace(struct json *parent, const struct json *old, struct json *child);

/* Canonical text: members sorted by key bytes, no blanks, shortest numbers that read back equal. malloc'ed; NULL when memory is out. */
char *json_text(const struct json *json);

/* The same tree over lines, indented by two, members in their order. */
char *json_text_pretty(const struct json *json);

#endif
