/* JSON: what is refused, with which words, and what canonical text looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct json *parse(const char *text)
{
    struct json *json;
    struct err err = {0};
    assert_int_equal(json_parse(&json, text, strlen(text), "t.json", &err), 0);
    return json;
}

static void refused(const char *text, const char *words)
{
    struct json *json;
    struct err err = {0};
    int rc = json_parse(&json, text, strlen(text), "t.json", &err);
    if (rc != ERR_DATA || !strstr(err.text, words))
        fail_msg("'%s': %d '%s', wanted '%s'", text, rc, err.text, words);
    assert_null(json);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("", "t.json:1:1: not valid JSON: a value was expected");
    refused("{\"a\":1,}", "a key in double quotes");
    refused("[1,\n 2,\n x]", "t.json:3:2");
    refused("01", "goes on after its value");
    refused("1.", "digit was expected after the decimal point");
    refused("-", "a value was expected");
    refused("1e", "exponent");
    refused("+1", "a value was expected");
    refused("NaN", "a value was expected");
    refused("\"a\tb\"", "control character");
    refused("\"\\x\"", "unknown escape");
    refused("\"\\u12\"", "four hexadecimal digits");
    refused("\"\\u0000\"", "\\u0000");
    refused("\"\\ud800x\"", "surrogate");
    refused("\"\\udc00\"", "surrogate");
    refused("\"\xc0\x80\"", "UTF-8");
    refused("\"\xed\xa0\x80\"", "UTF-8");
    refused("\"abc", "ends inside a string");
    refused("[1", "ends inside an array");
    refused("{\"a\":1", "ends inside an object");
    refused("[1 2]", "',' or ']'");
    refused("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", "key 'c' stands twice");
    refused("true false", "goes on after its value");
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    struct json *json;
    struct err err = {0};
    assert_int_equal(json_parse(&json, deep, 200, "deep", &err), ERR_DATA);
    assert_non_null(strstr(err.text, "deeper than 64"));
}

static void test_values(void **state)
{
    (void)state;
    struct json *json = parse(" {\"s\": \"\\u00e4\\ud83d\\ude00\\n\", \"n\": -1.5e3, \"i\": 42, \"b\": true, \"z\": null, \"l\": [1,2,3]} ");
    int64_t i;
    assert_string_equal(json_string(json_get(json, "s")), "\xc3\xa4\xf0\x9f\x98\x80\n");
    assert_float_equal(json_number(json_get(json, "n")), -1500, 0);
    assert_true(json_integer(json_get(json, "i"), 0, 100, &i));
    assert_int_equal(i, 42);
    assert_false(json_integer(json_get(json, "i"), 0, 41, &i));
    assert_false(json_integer(json_get(json, "s"), 0, 41, &i));
    assert_true(json_bool(json_get(json, "b")));
    assert_int_equal(json_type(json_get(json, "z")), JSON_NULL);
    assert_int_equal(json_count(json_get(json, "l")), 3);
    assert_null(json_get(json, "none"));
    assert_null(json_get(json_get(json, "i"), "x"));
    json_free(json);
}

static void test_integer_is_exact(void **state)
{
    (void)state;
    int64_t i;
    struct json *json = parse("[9007199254740992, 9007199254740994, 1.5, 1e2, 1e300]");
    const struct json *at = json_first(json);
    assert_true(json_integer(at, INT64_MIN, INT64_MAX, &i));
    assert_int_equal(i, 9007199254740992);
    assert_false(json_integer(at = json_next(at), INT64_MIN, INT64_MAX, &i)); /* past 2^53 a double cannot tell */
    assert_false(json_integer(at = json_next(at), INT64_MIN, INT64_MAX, &i));
    assert_true(json_integer(at = json_next(at), INT64_MIN, INT64_MAX, &i));
    assert_false(json_integer(at = json_next(at), INT64_MIN, INT64_MAX, &i));
    json_free(json);
}

static void test_canonical_text(void **state)
{
    (void)state;
    struct json *json = parse("{\"b\": [1.0, 0.1, 1e100, -0.5], \"a\": {\"y\": \"q\\\"\\u0001\", \"x\": false}}");
    char *text = json_text(json);
    assert_string_equal(text, "{\"a\":{\"x\":false,\"y\":\"q\\\"\\u0001\"},\"b\":[1,0.1,1e+100,-0.5]}");
    struct json *again = parse(text);
    char *twice = json_text(again);
    assert_string_equal(text, twice);
    free(text);
    free(twice);
    json_free(again);
    json_free(json);
}

static void test_members_with_defaults(void **state)
{
    (void)state;
    struct json *json = parse("{\"n\": \"x\", \"z\": null, \"k\": 3}");
    struct err err = {0};
    double number;
    int64_t integer;
    const char *string;
    assert_int_equal(json_get_number(json, "z", 7, &number, "f", &err), 0);
    assert_float_equal(number, 7, 0);
    assert_int_equal(json_get_string(json, "n", NULL, &string, "f", &err), 0);
    assert_string_equal(string, "x");
    assert_int_equal(json_get_number(json, "n", 7, &number, "f", &err), ERR_DATA);
    assert_string_equal(err.text, "f: 'n' should be a number, it is a string");
    assert_int_equal(json_get_integer(json, "k", 0, 5, 9, &integer, "f", &err), ERR_DATA);
    assert_string_equal(err.text, "f: 'k' should be a whole number from 5 to 9");
    json_free(json);
}

static void test_building(void **state)
{
    (void)state;
    struct json *json = json_new(JSON_OBJECT);
    assert_non_null(json_add(json, "nan", json_new_number(NAN)));
    assert_non_null(json_add(json, "list", json_new(JSON_ARRAY)));
    assert_null(json_add(NULL, "x", json_new_bool(true)));
    char *text = json_text(json);
    assert_string_equal(text, "{\"list\":[],\"nan\":null}");
    free(text);
    json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_values),
        cmocka_unit_test(test_integer_is_exact), cmocka_unit_test(test_canonical_text),
        cmocka_unit_test(test_members_with_defaults), cmocka_unit_test(test_building),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
