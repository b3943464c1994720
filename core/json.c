/* JSON: a strict check of the text, then cJSON's tree. cJSON alone accepts numbers, control characters and duplicate keys that the
 * grammar or the users of this header do not, so nothing reaches it unchecked. */
#include "core/json.h"

#include "core/file.h"
#include "core/text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 64 };

/* ---- checking ------------------------------------------------------------------------------------------------------------ */

struct scan {
    const char *start, *at, *end;
    const char *name;
    struct err *err;
};

static int scan_fail(const struct scan *scan, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = scan->start; p < scan->at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return err_set(scan->err, ERR_DATA, "%s:%zu:%zu: not valid JSON: %s", scan->name, line, column, what);
}

static void scan_blank(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static int hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : (p[i] | 32) >= 'a' && (p[i] | 32) <= 'f' ? (p[i] | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static int scan_escape(struct scan *scan)
{
    if (scan->at + 1 >= scan->end)
        return scan_fail(scan, "the text ends inside a string");
    char c = scan->at[1];
    if (c != 'u') {
        if (!strchr("\"\\/bfnrt", c) || !c)
            return scan_fail(scan, "unknown escape in a string");
        scan->at += 2;
        return 0;
    }
    int unit = hex4(scan->at + 2, scan->end);
    if (unit <= 0)
        return scan_fail(scan, unit ? "\\u needs four hexadecimal digits" : "\\u0000 is not accepted in strings");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return scan_fail(scan, "half of a surrogate pair");
    scan->at += 6;
    if (unit < 0xd800 || unit > 0xdbff)
        return 0;
    int low = scan->end - scan->at >= 6 && scan->at[0] == '\\' && scan->at[1] == 'u' ? hex4(scan->at + 2, scan->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return scan_fail(scan, "half of a surrogate pair");
    scan->at += 6;
    return 0;
}

static int scan_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"';) {
        unsigned char c = (unsigned char)*scan->at;
        if (c < 0x20)
            return scan_fail(scan, "a control character inside a string");
        if (c == '\\') {
            int rc = scan_escape(scan);
            if (rc)
                return rc;
            continue;
        }
        size_t n = utf8_length(scan->at, (size_t)(scan->end - scan->at));
        if (!n)
            return scan_fail(scan, "invalid UTF-8 inside a string");
        scan->at += n;
    }
    if (scan->at >= scan->end)
        return scan_fail(scan, "the text ends inside a string");
    scan->at++;
    return 0;
}

static bool scan_digits(struct scan *scan)
{
    const char *first = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > first;
}

static int scan_number(struct scan *scan)
{
    if (*scan->at == '-')
        scan->at++;
    if (scan->at < scan->end && *scan->at == '0')
        scan->at++;
    else if (!scan_digits(scan))
        return scan_fail(scan, "a value was expected");
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan))
            return scan_fail(scan, "a digit was expected after the decimal point");
    }
    if (scan->at < scan->end && (*scan->at | 32) == 'e') {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        if (!scan_digits(scan))
            return scan_fail(scan, "a digit was expected in the exponent");
    }
    return 0;
}

static int scan_word(struct scan *scan, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(scan->end - scan->at) < n || memcmp(scan->at, word, n))
        return scan_fail(scan, "a value was expected");
    scan->at += n;
    return 0;
}

static int scan_value(struct scan *scan, int depth);

static int scan_members(struct scan *scan, char close, int depth)
{
    int rc;
    scan->at++;
    scan_blank(scan);
    if (scan->at < scan->end && *scan->at == close) {
        scan->at++;
        return 0;
    }
    for (;;) {
        if (close == '}') {
            scan_blank(scan);
            if (scan->at >= scan->end || *scan->at != '"')
                return scan_fail(scan, "a key in double quotes was expected");
            if ((rc = scan_string(scan)))
                return rc;
            scan_blank(scan);
            if (scan->at >= scan->end || *scan->at != ':')
                return scan_fail(scan, "':' was expected after a key");
            scan->at++;
        }
        if ((rc = scan_value(scan, depth)))
            return rc;
        scan_blank(scan);
        if (scan->at >= scan->end)
            return scan_fail(scan, close == '}' ? "the text ends inside an object" : "the text ends inside an array");
        if (*scan->at == close) {
            scan->at++;
            return 0;
        }
        if (*scan->at != ',')
            return scan_fail(scan, close == '}' ? "',' or '}' was expected" : "',' or ']' was expected");
        scan->at++;
    }
}

static int scan_value(struct scan *scan, int depth)
{
    if (depth > MOST_DEPTH)
        return scan_fail(scan, "nested deeper than 64");
    scan_blank(scan);
    if (scan->at >= scan->end)
        return scan_fail(scan, "a value was expected, the text ends");
    switch (*scan->at) {
    case '{':
        return scan_members(scan, '}', depth + 1);
    case '[':
        return scan_members(scan, ']', depth + 1);
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        return scan_number(scan);
    }
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* Members of `object` in the order of their keys, malloc'ed; NULL when memory is out (or there are none). */
static const cJSON **sorted_members(const cJSON *object, size_t *n)
{
    size_t count = 0;
    for (const cJSON *child = object->child; child; child = child->next)
        count++;
    const cJSON **members = malloc((count ? count : 1) * sizeof *members);
    if (!members)
        return NULL;
    *n = 0;
    for (const cJSON *child = object->child; child; child = child->next)
        members[(*n)++] = child;
    qsort(members, *n, sizeof *members, by_key);
    return members;
}

static int refuse_duplicates(const cJSON *tree, const char *name, struct err *err)
{
    for (const cJSON *child = tree->child; child; child = child->next) {
        int rc = child->child ? refuse_duplicates(child, name, err) : 0;
        if (rc)
            return rc;
    }
    if (!cJSON_IsObject(tree) || !tree->child)
        return 0;
    size_t n;
    const cJSON **members = sorted_members(tree, &n);
    if (!members)
        return err_no_memory(err, "checking JSON keys");
    int rc = 0;
    for (size_t i = 1; i < n && !rc; i++)
        if (!strcmp(members[i - 1]->string, members[i]->string))
            rc = err_set(err, ERR_DATA, "%s: key '%.100s' stands twice in one object; keep one of them", name, members[i]->string);
    free(members);
    return rc;
}

int json_parse(struct json **out, const char *text, size_t length, const char *name, struct err *err)
{
    *out = NULL;
    struct scan scan = {text, text, text + length, name, err};
    int rc = scan_value(&scan, 0);
    if (rc)
        return rc;
    scan_blank(&scan);
    if (scan.at != scan.end)
        return scan_fail(&scan, "the text goes on after its value");
    cJSON *tree = cJSON_ParseWithLength(text, length);
    if (!tree)
        return err_no_memory(err, name);
    if ((rc = refuse_duplicates(tree, name, err))) {
        cJSON_Delete(tree);
        return rc;
    }
    *out = (struct json *)tree;
    return 0;
}

int json_load(struct json **out, const char *path, size_t most, struct err *err)
{
    char *text;
    size_t length;
    *out = NULL;
    int rc = file_load(&text, &length, path, most, err);
    if (rc)
        return rc;
    rc = json_parse(out, text, length, path, err);
    free(text);
    return rc;
}

void json_free(struct json *json)
{
    cJSON_Delete((cJSON *)json);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

enum json_type json_type(const struct json *json)
{
    const cJSON *c = (const cJSON *)json;
    return cJSON_IsBool(c) ? JSON_BOOL : cJSON_IsNumber(c) ? JSON_NUMBER : cJSON_IsString(c) ? JSON_STRING : cJSON_IsArray(c) ? JSON_ARRAY
           : cJSON_IsObject(c) ? JSON_OBJECT : JSON_NULL;
}

const char *json_type_name(const struct json *json)
{
    static const char *const names[] = {"null", "true or false", "a number", "a string", "a list", "an object"};
    return names[json_type(json)];
}

const struct json *json_get(const struct json *json, const char *key)
{
    return (const struct json *)cJSON_GetObjectItemCaseSensitive((const cJSON *)json, key);
}

const struct json *json_first(const struct json *json)
{
    return json ? (const struct json *)((const cJSON *)json)->child : NULL;
}

const struct json *json_next(const struct json *child)
{
    return (const struct json *)((const cJSON *)child)->next;
}

const char *json_key(const struct json *member)
{
    return ((const cJSON *)member)->string;
}

size_t json_count(const struct json *json)
{
    size_t n = 0;
    for (const struct json *child = json_first(json); child; child = json_next(child))
        n++;
    return n;
}

const char *json_string(const struct json *json)
{
    return cJSON_GetStringValue((const cJSON *)json);
}

double json_number(const struct json *json)
{
    return json && json_type(json) == JSON_NUMBER ? ((const cJSON *)json)->valuedouble : 0;
}

bool json_bool(const struct json *json)
{
    return cJSON_IsTrue((const cJSON *)json);
}

bool json_integer(const struct json *json, int64_t least, int64_t most, int64_t *out)
{
    const double exact = 9007199254740992.0; /* 2^53: past it a double no longer holds every integer */
    if (!json || json_type(json) != JSON_NUMBER)
        return false;
    double value = json_number(json);
    if (!(fabs(value) <= exact) || value != floor(value) || (int64_t)value < least || (int64_t)value > most)
        return false;
    *out = (int64_t)value;
    return true;
}

static int wrong_type(const struct json *value, const char *key, const char *wanted, const char *name, struct err *err)
{
    return err_set(err, ERR_DATA, "%s: '%s' should be %s, it is %s", name, key, wanted, json_type_name(value));
}

/* The member, or NULL for one that is absent or null. */
static const struct json *member(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);
    return value && json_type(value) != JSON_NULL ? value : NULL;
}

int json_get_string(const struct json *object, const char *key, const char *otherwise, const char **out, const char *name, struct err *err)
{
    const struct json *value = member(object, key);
    if (value && json_type(value) != JSON_STRING)
        return wrong_type(value, key, "a string", name, err);
    *out = value ? json_string(value) : otherwise;
    return 0;
}

int json_get_number(const struct json *object, const char *key, double otherwise, double *out, const char *name, struct err *err)
{
    const struct json *value = member(object, key);
    if (value && json_type(value) != JSON_NUMBER)
        return wrong_type(value, key, "a number", name, err);
    *out = value ? json_number(value) : otherwise;
    return 0;
}

int json_get_integer(const struct json *object, const char *key, int64_t otherwise, int64_t least, int64_t most, int64_t *out,
                     const char *name, struct err *err)
{
    const struct json *value = member(object, key);
    if (value && !json_integer(value, least, most, out))
        return err_set(err, ERR_DATA, "%s: '%s' should be a whole number from %lld to %lld", name, key, (long long)least, (long long)most);
    if (!value)
        *out = otherwise;
    return 0;
}

int json_get_bool(const struct json *object, const char *key, bool otherwise, bool *out, const char *name, struct err *err)
{
    const struct json *value = member(object, key);
    if (value && json_type(value) != JSON_BOOL)
        return wrong_type(value, key, "true or false", name, err);
    *out = value ? json_bool(value) : otherwise;
    return 0;
}

/* ---- building ------------------------------------------------------------------------------------------------------------ */

struct json *json_new(enum json_type type)
{
    cJSON *made = type == JSON_OBJECT ? cJSON_CreateObject() : type == JSON_ARRAY ? cJSON_CreateArray() : cJSON_CreateNull();
    return (struct json *)made;
}

struct json *json_new_string(const char *text)
{
    return (struct json *)cJSON_CreateString(text);
}

struct json *json_new_number(double value)
{
    return (struct json *)(isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

struct json *json_new_bool(bool value)
{
    return (struct json *)cJSON_CreateBool(value);
}

struct json *json_copy(const struct json *json)
{
    return (struct json *)cJSON_Duplicate((const cJSON *)json, true);
}

struct json *json_add(struct json *parent, const char *key, struct json *child)
{
    bool added = parent && child &&
                 (key ? cJSON_AddItemToObject((cJSON *)parent, key, (cJSON *)child) : cJSON_AddItemToArray((cJSON *)parent, (cJSON *)child));
    if (!added) {
        json_free(child);
        return NULL;
    }
    return child;
}

struct json *json_replace(struct json *parent, const struct json *old, struct json *child)
{
    const char *key = json_type(parent) == JSON_OBJECT ? json_key(old) : NULL;
    cJSON *into = (cJSON *)parent, *item = (cJSON *)child;
    bool replaced = item && (key ? cJSON_ReplaceItemInObjectCaseSensitive(into, key, item)
                                 : cJSON_ReplaceItemViaPointer(into, (cJSON *)(uintptr_t)old, item));
    if (!replaced) {
        json_free(child);
        return NULL;
    }
    return child;
}

static void write_string(struct text *text, const char *string)
{
    text_put(text, "\"");
    for (const char *p = string; *p; p++) {
        unsigned char c = (unsigned char)*p;
        const char *at = c ? strchr("\"\\\b\f\n\r\t", c) : NULL;
        if (at) {
            static const char letters[] = "\"\\bfnrt";
            static const char specials[] = "\"\\\b\f\n\r\t";
            text_printf(text, "\\%c", letters[strchr(specials, c) - specials]);
        } else if (c < 0x20) {
            text_printf(text, "\\u%04x", c);
        } else {
            text_add(text, p, 1);
        }
    }
    text_put(text, "\"");
}

static void write_number(struct text *text, double value)
{
    char digits[40];
    if (value == floor(value) && fabs(value) < 1e15) {
        text_printf(text, "%.0f", value);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_put(text, digits);
}

/* indent < 0: canonical (sorted, no blanks); otherwise the depth of the line. */
static void write_value(struct text *text, const cJSON *value, int indent);

static void write_members(struct text *text, const cJSON *value, int indent)
{
    bool object = cJSON_IsObject(value);
    size_t n = 0;
    const cJSON **sorted = NULL;
    if (object && indent < 0 && !(sorted = sorted_members(value, &n))) {
        text->failed = true;
        return;
    }
    text_put(text, object ? "{" : "[");
    size_t i = 0;
    for (const cJSON *child = value->child; child; child = child->next, i++) {
        const cJSON *item = sorted ? sorted[i] : child;
        if (i)
            text_put(text, ",");
        if (indent >= 0)
            text_printf(text, "\n%*s", 2 * (indent + 1), "");
        if (object) {
            write_string(text, item->string);
            text_put(text, indent < 0 ? ":" : ": ");
        }
        write_value(text, item, indent < 0 ? -1 : indent + 1);
    }
    if (indent >= 0 && i)
        text_printf(text, "\n%*s", 2 * indent, "");
    text_put(text, object ? "}" : "]");
    free(sorted);
}

static void write_value(struct text *text, const cJSON *value, int indent)
{
    switch (json_type((const struct json *)value)) {
    case JSON_NULL:
        text_put(text, "null");
        break;
    case JSON_BOOL:
        text_put(text, cJSON_IsTrue(value) ? "true" : "false");
        break;
    case JSON_NUMBER:
        write_number(text, value->valuedouble);
        break;
    case JSON_STRING:
        write_string(text, value->valuestring);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        write_members(text, value, indent);
        break;
    }
}

static char *written(const struct json *json, int indent)
{
    struct text text = {0};
    if (!json)
        return NULL;
    write_value(&text, (const cJSON *)json, indent);
    return text_take(&text);
}

char *json_text(const struct json *json)
{
    return written(json, -1);
}

char *json_text_pretty(const struct json *json)
{
    return written(json, 0);
}
