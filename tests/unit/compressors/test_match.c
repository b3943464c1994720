/* Controls at equal tokens: the setting that is taken is the nearest there is, budgets add up, and what another cell says is said once. */
#include "tests/unit/compressors/videos.h"

#include "compressors/match.h"

#include <math.h>
#include <stdlib.h>

static const struct { const char *name, *options; } stepped[] = {
    {"pool", "{\"match\": \"it\"}"},
    {"pool", "{\"mode\": \"average\", \"match\": \"it\"}"},
    {"pool", "{\"mode\": \"max\", \"match\": \"it\"}"},
    {"pool", "{\"mode\": \"adaptive\", \"match\": \"it\"}"},
    {"uniform", "{\"per\": \"whole_frames\", \"match\": \"it\"}"},
    {"random", "{\"per\": \"whole_frames\", \"seed\": 3, \"match\": \"it\"}"},
};

static size_t tokens_made(const struct compressor *method, const double *values, const struct vid_view *video, enum newline newline,
                          struct arena *arena)
{
    struct tok_plan plan = {0};
    struct err err = {0};
    if (method->tokens(values, video, NULL, NULL, arena, &plan, &err))
        fail_msg("%s", err.text);
    assert_true(tok_plan_layout(&plan, newline, arena));
    return plan.n_tok;
}

/* Of all settings, none makes a number of tokens that is nearer; of two as near the fewer; each makes no less than the one before. */
static void check_nearest(const struct compressor *method, double *values, const struct vid_view *video, enum newline newline, size_t wanted,
                          struct arena *arena)
{
    size_t best = SIZE_MAX, before = 0;
    int n = method->settings(values, video);
    for (int i = 0; i < n; i++) {
        double each[COMPRESSOR_MOST_OPTIONS];
        memcpy(each, values, sizeof each);
        method->set(each, video, i);
        size_t made = tokens_made(method, each, video, newline, arena);
        assert_true(made >= before);
        before = made;
        if (best == SIZE_MAX || labs((long)made - (long)wanted) < labs((long)best - (long)wanted))
            best = made;
    }
    assert_true(match_setting(method, values, video, newline, wanted));
    assert_int_equal(tokens_made(method, values, video, newline, arena), best);
}

static void test_the_nearest_setting(void **state)
{
    (void)state;
    static const struct { int T, h, w; } shapes[] = {{1, 9, 9}, {5, 6, 6}, {3, 7, 4}, {8, 1, 5}};
    static const enum newline newlines[] = {NEWLINE_GRID, NEWLINE_ONE, NEWLINE_NO};
    for (size_t m = 0; m < sizeof stepped / sizeof *stepped; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (size_t wanted = 0; wanted < 140; wanted += 9) {
                struct arena arena = {0};
                const struct compressor *method = compressor_find(stepped[m].name);
                struct vid_view video = random_video(s, shapes[s].T, shapes[s].h, shapes[s].w, POOL_NONE, FEATURES_RANDOM, &arena);
                double values[COMPRESSOR_MOST_OPTIONS];
                resolve_options(method, stepped[m].options, values);
                check_nearest(method, values, &video, newlines[wanted % 3], wanted, &arena);
                arena_free(&arena);
            }
}

static void test_what_goes_by_budgets(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = {.T = 3, .pooled = {.h = 4, .w = 4}, .raw = {.h = 6, .w = 6}};
    double values[COMPRESSOR_MOST_OPTIONS];
    struct budget budget;
    resolve_options(compressor_find("random"), "{\"match\": \"it\"}", values);
    assert_false(match_setting(compressor_find("random"), values, &video, NEWLINE_GRID, 20));
    assert_int_equal(match_content(DOM_H_POOLED, &video, NEWLINE_GRID, 30), 30 - 3 * 4);
    assert_int_equal(match_content(DOM_X_RAW, &video, NEWLINE_GRID, 30), 30 - 3 * 6);
    assert_int_equal(match_content(DOM_H_RAW, &video, NEWLINE_ONE, 30), 29);
    assert_int_equal(match_content(DOM_H_POOLED, &video, NEWLINE_GRID, 5), 0);
    assert_int_equal(match_content(DOM_H_POOLED, &video, NEWLINE_GRID, 500), 48);
    for (size_t content = 0; content < 60; content++) {
        assert_true(match_budget(DOM_H_POOLED, &video, content, &arena, &budget));
        assert_int_equal(budget.total, content < 48 ? content : 48);
        assert_int_equal(budget.per_frame[0] + budget.per_frame[1] + budget.per_frame[2], budget.total);
        assert_true(budget.per_frame[0] - budget.per_frame[2] <= 1);
        assert_true(budget.total_only);
    }
    arena_free(&arena);
}

static void refused(const char *name, const char *options, const char *words)
{
    struct json *object;
    struct err err = {0};
    double values[COMPRESSOR_MOST_OPTIONS];
    assert_int_equal(json_parse(&object, options, strlen(options), "options", &err), 0);
    int rc = compressor_resolve(compressor_find(name), object, NULL, values, &err);
    if (rc != ERR_CONFIG || !strstr(err.text, words))
        fail_msg("%s %s: %d '%s', wanted '%s'", name, options, rc, err.text, words);
    json_free(object);
}

static void test_how_much_is_said_once(void **state)
{
    (void)state;
    struct arena arena = {0};
    double values[COMPRESSOR_MOST_OPTIONS];
    refused("random", "{\"match\": \"it\", \"keep\": 0.5}", "'match' and 'keep' both say how much is kept");
    refused("dyntok", "{\"match\": \"it\", \"groups\": 50}", "'match' and 'groups' both say");
    refused("dyntok", "{\"match\": \"it\", \"target_ratio\": 0.5}", "'match' and 'target_ratio' both say");
    refused("pool", "{\"match\": \"it\", \"side\": 5}", "'match' and 'side' both say");
    refused("visionzip", "{\"match\": \"it\", \"dominant\": 5, \"contextual\": 1}", "'match' and 'dominant' both say");
    refused("dyntok", "{\"match\": \"it\", \"direction\": \"boxes\"}", "cannot meet a number of groups");
    static const char *const others[] = {"none", "fastv", "slowfast", "holitom", "dycoke"};
    for (int i = 0; i < 5; i++)
        refused(others[i], "{\"match\": \"it\"}", "cannot be told how many tokens to leave");
    resolve_options(compressor_find("dyntok"), "{\"match\": \"it\", \"direction\": \"both\"}", values);
    struct method method = {.compressor = compressor_find("dyntok"), .match = "tome keep=0.5"};
    memcpy(method.values, values, sizeof values);
    assert_string_equal(methods_label(&method, 1, &arena), "dyntok direction=both match=(tome keep=0.5)");
    assert_non_null(strstr(methods_params(&method, 1, &arena), "\"match\":\"tome keep=0.5\""));
    assert_null(strstr(methods_params(&method, 1, &arena), "threshold"));
    arena_free(&arena);
}

static void test_composition(void **state)
{
    (void)state;
    struct method methods[MOST_METHODS] = {{.compressor = compressor_find("dytok")}, {.compressor = compressor_find("random"), .match = "it"}};
    struct err err = {0};
    int n = 2;
    resolve_options(methods[0].compressor, "{}", methods[0].values);
    resolve_options(methods[1].compressor, "{\"match\": \"it\"}", methods[1].values);
    assert_int_equal(methods_resolve(methods, &n, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "dytok allots tokens and random is to match another cell"));
    methods[1].match = NULL;
    resolve_options(methods[1].compressor, "{\"keep\": 0.1}", methods[1].values);
    assert_int_equal(methods_resolve(methods, &n, &err), 0);
    assert_true(isnan(methods[1].values[compressor_option(methods[1].compressor, "keep")])); /* the allocator says it */
    resolve_options(methods[1].compressor, "{\"per\": \"whole_frames\"}", methods[1].values);
    assert_int_equal(methods_resolve(methods, &n, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "random comes in whole steps with these options"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nearest_setting),   cmocka_unit_test(test_what_goes_by_budgets),
        cmocka_unit_test(test_how_much_is_said_once), cmocka_unit_test(test_composition),
    };
    return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
