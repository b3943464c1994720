/* Sweep files: what YAML is taken, what is refused and at which place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reads_as(const char *yaml, const char *json)
{
    struct config *config;
    struct err err = {0};
    if (config_parse(&config, yaml, strlen(yaml), "s.yaml", &err))
        fail_msg("%s", err.text);
    char *text = json_text(config_root(config));
    assert_string_equal(text, json);
    free(text);
    config_free(config);
}

static void refused(const char *yaml, const char *words)
{
    struct config *config;
    struct err err = {0};
    int rc = config_parse(&config, yaml, strlen(yaml), "s.yaml", &err);
    if (rc != ERR_CONFIG || !strstr(err.text, words))
        fail_msg("'%s': %d '%s', wanted '%s'", yaml, rc, err.text, words);
    assert_null(config);
}

static void test_core_scalars(void **state)
{
    (void)state;
    reads_as("a: 1\nb: 0.50\nc: 1e3\nd: true\ne: ~\nf: yes\ng: '1'\nh: -.5\ni: 0x10\nj: 1.\nk:\nl: no\n",
             "{\"a\":1,\"b\":0.5,\"c\":1000,\"d\":true,\"e\":null,\"f\":\"yes\",\"g\":\"1\",\"h\":-0.5,\"i\":\"0x10\",\"j\":1,\"k\":null,\"l\":\"no\"}");
    reads_as("{\"a\": [1, {\"b\": \"x\"}]}", "{\"a\":[1,{\"b\":\"x\"}]}");
}

static void test_aliases_expand(void **state)
{
    (void)state;
    reads_as("base: &b {x: 1}\nlist: [*b, *b]\n", "{\"base\":{\"x\":1},\"list\":[{\"x\":1},{\"x\":1}]}");
}

static void test_refusals(void **state)
{
    (void)state;
    refused("", "empty");
    refused("a: 1\na: 2\n", "s.yaml:2:1: this key stands twice");
    refused("a: !!python/object x\n", "s.yaml:1:4: tags are not accepted");
    refused("a: !x 1\n", "tags are not accepted");
    refused("? [1]\n: 2\n", "a key must be a plain string");
    refused("a: *nope\n", "alias without its anchor");
    refused("a: &x [*x]\n", "alias inside the value it names");
    refused("a: 1\n---\nb: 2\n", "second document");
    refused("a: [1, 2\n", "not valid YAML");
    refused("a: 1\n <<: 2\n b: 1", "not valid YAML");
    refused("<<: {a: 1}\n", "merge keys");
    refused("a:\tb: c: d\n", "not valid YAML");
}

static void test_alias_bomb(void **state)
{
    (void)state;
    char yaml[4000] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 12; i++) {
        char line[200];
        snprintf(line, sizeof line, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        strcat(yaml, line);
    }
    refused(yaml, "more than 10,000 values");
}

static void test_deep_nesting(void **state)
{
    (void)state;
    char yaml[300];
    memset(yaml, '[', 100);
    memset(yaml + 100, ']', 100);
    yaml[200] = 0;
    refused(yaml, "nested deeper than 64");
}

static void test_unknown_key_names_the_nearest(void **state)
{
    (void)state;
    static const char *const known[] = {"frames", "compressor", NULL};
    struct config *config;
    struct err err = {0};
    const char *yaml = "axes:\n  frames: 1\n  compresor: 2\n";
    assert_int_equal(config_parse(&config, yaml, strlen(yaml), "s.yaml", &err), 0);
    assert_int_equal(config_check_keys(config, json_get(config_root(config), "axes"), "axes", known, &err), ERR_CONFIG);
    assert_string_equal(err.text, "s.yaml:3:3: unknown key 'compresor' in axes; did you mean 'compressor'?");
    config_free(config);
}

static void test_set(void **state)
{
    (void)state;
    struct config *config;
    struct err err = {0};
    const char *yaml = "axes:\n  frames: [8]\n  list: [{a: 1}, {a: 2}]\n";
    assert_int_equal(config_parse(&config, yaml, strlen(yaml), "s.yaml", &err), 0);
    assert_int_equal(config_set(config, "axes.frames", "[16, 32]", &err), 0);
    assert_int_equal(config_set(config, "axes.list.1.a", "x", &err), 0);
    assert_int_equal(config_set(config, "axes.fresh", "true", &err), 0);
    char *text = json_text(config_root(config));
    assert_string_equal(text, "{\"axes\":{\"frames\":[16,32],\"fresh\":true,\"list\":[{\"a\":1},{\"a\":\"x\"}]}}");
    free(text);
    assert_int_equal(config_set(config, "nowhere.deep", "1", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "no such place"));
    assert_string_equal(config_name(config), "s.yaml");
    assert_int_equal(config_set(config, "axes.", "1", &err), ERR_CONFIG);
    assert_int_equal(config_set(config, "axes.list.2", "1", &err), ERR_CONFIG);
    assert_int_equal(config_set(config, "axes.frames", "[16", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--set axes.frames:"));
    assert_int_equal(config_set(config, "axes.fresh", "", &err), 0);
    assert_int_equal(json_type(json_get(json_get(config_root(config), "axes"), "fresh")), JSON_NULL);
    config_free(config);
}

/* What --set gave is named by it; what it did not touch keeps its place in the file. */
static void test_set_keeps_places(void **state)
{
    (void)state;
    static const char *const known[] = {"frames", NULL};
    struct config *config;
    struct err err = {0};
    const char *yaml = "name: x\naxes:\n  frames: 8\n  framse: 9\n";
    assert_int_equal(config_parse(&config, yaml, strlen(yaml), "s.yaml", &err), 0);
    for (int i = 0; i < 100; i++) /* values come and go, and with them their places in memory */
        assert_int_equal(config_set(config, "name", i % 2 ? "[a, [b, c]]" : "{d: {e: 1}}", &err), 0);
    const struct json *axes = json_get(config_root(config), "axes");
    assert_int_equal(config_check_keys(config, axes, "axes", known, &err), ERR_CONFIG);
    assert_string_equal(err.text, "s.yaml:4:3: unknown key 'framse' in axes; did you mean 'frames'?");
    const struct json *deep = json_first(json_next(json_first(json_get(config_root(config), "name"))));
    assert_int_equal(config_err(config, deep, &err, "no"), ERR_CONFIG);
    assert_string_equal(err.text, "--set name: no");
    config_free(config);
}

static void test_nearest_word(void **state)
{
    (void)state;
    static const char *const known[] = {"dyntok", "pool", "uniform", NULL};
    assert_string_equal(nearest_word("dyntoc", known), "dyntok");
    assert_string_equal(nearest_word("pol", known), "pool");
    assert_string_equal(nearest_word("uni", known), "uniform");
    assert_null(nearest_word("xyzzy", known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_scalars), cmocka_unit_test(test_aliases_expand), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_alias_bomb),   cmocka_unit_test(test_deep_nesting),   cmocka_unit_test(test_unknown_key_names_the_nearest),
        cmocka_unit_test(test_set),          cmocka_unit_test(test_set_keeps_places), cmocka_unit_test(test_nearest_word),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
