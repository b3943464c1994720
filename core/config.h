/* Sweep files: YAML 1.2 core scalars through libyaml (JSON is a subset), read into a JSON tree that remembers places.
 *
 * Refused, each with line and column: more than one document, tags, duplicate keys, keys that are not strings, aliases whose
 * expansion passes 10,000 nodes, nesting deeper than 64, files over 1 MiB. */
#ifndef TOKSWEEP_CORE_CONFIG_H
#define TOKSWEEP_CORE_CONFIG_H

#include "core/json.h"

struct config; /* the tree and the places of its values */

int config_load(struct config **out, const char *path, struct err *err);
int config_parse(struct config **out, const char *text, size_t length, const char *name, struct err *err);
void config_free(struct config *config);

const struct json *config_root(const struct config *config);
const char *config_name(const struct config *config); /* the path, for messages */

/* Sets path.to.key (array elements by number) to the YAML scalar or flow value `text`: the command line's --set. Messages about this
 * value say so, all others keep their places in the file. On failure nothing has changed, unless memory is out. */
int config_set(struct config *config, const char *path, const char *text, struct err *err);

/* ERR_CONFIG "<file>:<line>:<column>: <formatted>", at the place of `at` (a member's key when it is one); "--set <path>: <formatted>" for
 * what --set gave. */
int config_err(const struct config *config, const struct json *at, struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Line of a value in the file (of a member's key when it is one), from 1; 0 for what --set gave. */
size_t config_line(const struct config *config, const struct json *at);

/* Checks that every member of `object` is one of `known` (NULL-terminated); otherwise an error that names the nearest. */
int config_check_keys(const struct config *config, const struct json *object, const char *what, const char *const *known, struct err *err);

/* The entry of `known` with the least edit distance to `word`, or that it is the beginning of; NULL when none is near: for "did you mean". */
const char *nearest_word(const char *word, const char *const *known);

#endif
