/* JSON in Python's spelling. */
#include "results/python.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void python_string(struct text *out, const char *string)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    if (!string) {
        text_put(out, "null");
        return;
    }
    text_put(out, "\"");
    for (const char *from = string;; string++) {
        const char *at = *string ? strchr(escaped, *string) : NULL;
        if ((unsigned char)*string >= 0x20 && !at)
            continue;
        text_add(out, from, (size_t)(string - from));
        if (!*string)
            break;
        if (at)
            text_printf(out, "\\%c", letters[at - escaped]);
        else
            text_printf(out, "\\u%04x", (unsigned)(unsigned char)*string);
        from = string + 1;
    }
    text_put(out, "\"");
}

void python_float(struct text *out, double value)
{
    char digits[40];
    if (!isfinite(value)) {
        text_put(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_printf(out, "%s%s", digits, strpbrk(digits, ".e") ? "" : ".0");
}

void python_key(struct text *out, bool *first, const char *key)
{
    text_put(out, *first ? "{" : ", ");
    *first = false;
    python_string(out, key);
    text_put(out, ": ");
}

static void python_list(struct text *out, const struct json *list)
{
    text_put(out, "[");
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        python_json(out, item);
        if (json_next(item))
            text_put(out, ", ");
    }
    text_put(out, "]");
}

static void python_object(struct text *out, const struct json *object)
{
    bool first = true;
    for (const struct json *member = json_first(object); member; member = json_next(member)) {
        python_key(out, &first, json_key(member));
        python_json(out, member);
    }
    text_put(out, first ? "{}" : "}");
}

void python_json(struct text *out, const struct json *value)
{
    int64_t whole;
    switch (json_type(value)) {
    case JSON_NULL:
        text_put(out, "null");
        break;
    case JSON_BOOL:
        text_put(out, json_bool(value) ? "true" : "false");
        break;
    case JSON_NUMBER:
        if (json_integer(value, INT64_MIN, INT64_MAX, &whole))
            text_printf(out, "%lld", (long long)whole);
        else
            python_float(out, json_number(value));
        break;
    case JSON_STRING:
        python_string(out, json_string(value));
        break;
    case JSON_ARRAY:
        python_list(out, value);
        break;
    case JSON_OBJECT:
        python_object(out, value);
        break;
    }
}
