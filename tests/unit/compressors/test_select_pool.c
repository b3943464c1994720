/* none, uniform, random and pool: counts, order, weights, and that equal arguments give equal plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"

#include <math.h>
#include <string.h>

static struct vid_view shape(int T, int raw, int pooled)
{
    struct vid_view view;
    memset(&view, 0, sizeof view);
    view.T = T;
    view.raw = (struct grid_view){.h = raw, .w = raw, .dx = 4, .d = 2, .X = NULL, .H = NULL};
    view.pooled = view.raw;
    view.pooled.h = view.pooled.w = pooled;
    view.mode = POOL_BILINEAR;
    view.stride = 2;
    view.video_hash = 77;
    return view;
}

static struct tok_plan make(const char *name, const char *options, const struct vid_view *view, struct arena *arena)
{
    const struct compressor *method = compressor_find(name);
    double values[COMPRESSOR_MOST_OPTIONS];
    struct tok_plan plan;
    struct json *json;
    struct err err = {0};
    assert_int_equal(json_parse(&json, options, strlen(options), "options", &err), 0);
    if (compressor_resolve(method, json, NULL, values, &err) || method->tokens(values, view, NULL, NULL, arena, &plan, &err))
        fail_msg("%s", err.text);
    json_free(json);
    assert_true(tok_plan_layout(&plan, NEWLINE_GRID, arena));
    const struct grid_view *sources = method->domain(values) == DOM_H_POOLED ? &view->pooled : &view->raw;
    const char *fault = tok_plan_fault(&plan, (size_t)(view->T * sources->h * sources->w));
    if (fault)
        fail_msg("%s", fault);
    return plan;
}

static size_t content_of(const struct tok_plan *plan)
{
    size_t content, markers;
    tok_plan_count(plan, &content, &markers);
    return content;
}

static void test_none_is_the_grid(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(3, 27, 14);
    struct tok_plan plan = make("none", "{}", &view, &arena);
    assert_int_equal(plan.n_tok, 3 * 210);
    for (size_t i = 0, source = 0; i < plan.n_tok; i++)
        if (plan.tok[i].kind == TOK_VISUAL)
            assert_int_equal(plan.taps[plan.tok[i].row0].src, source++);
    arena_free(&arena);
}

static void test_uniform_is_the_formula(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(2, 6, 3); /* 9 tokens a frame */
    struct tok_plan plan = make("uniform", "{\"keep\": 0.4444}", &view, &arena);
    static const uint32_t wanted[] = {1, 3, 5, 7, 10, 12, 14, 16}; /* floor((i + 0.5) 9 / 4), frame by frame */
    assert_int_equal(content_of(&plan), 8);
    for (size_t i = 0, k = 0; i < plan.n_tok; i++)
        if (plan.tok[i].kind == TOK_VISUAL)
            assert_int_equal(plan.tok[i].rep, wanted[k++]);
    assert_int_equal(plan.n_tok - content_of(&plan), 2 * 3); /* every row marker stays */
    arena_free(&arena);
}

static void test_random_counts_and_repeats(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(4, 27, 14), other = shape(4, 27, 14);
    other.video_hash = 78;
    struct tok_plan a = make("random", "{\"keep\": 0.25}", &view, &arena), b = make("random", "{\"keep\": 0.25}", &view, &arena);
    struct tok_plan c = make("random", "{\"keep\": 0.25, \"seed\": 1}", &view, &arena), d = make("random", "{\"keep\": 0.25}", &other, &arena);
    assert_int_equal(content_of(&a), 4 * 49);
    assert_memory_equal(a.taps, b.taps, a.n_taps * sizeof *a.taps);
    assert_memory_not_equal(a.taps, c.taps, a.n_taps * sizeof *a.taps);
    assert_memory_not_equal(a.taps, d.taps, a.n_taps * sizeof *a.taps);
    for (int t = 0; t < 4; t++) { /* drawn within each frame */
        size_t n = 0;
        for (size_t i = 0; i < a.n_taps; i++)
            n += a.taps[i].src / 196 == (uint32_t)t;
        assert_int_equal(n, 49);
    }
    arena_free(&arena);
}

static void test_smaller_random_choice_is_nested(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(1, 27, 14);
    struct tok_plan few = make("random", "{\"keep\": 0.1}", &view, &arena), many = make("random", "{\"keep\": 0.3}", &view, &arena);
    for (size_t i = 0; i < few.n_taps; i++) {
        bool found = false;
        for (size_t k = 0; k < many.n_taps; k++)
            found |= many.taps[k].src == few.taps[i].src;
        assert_true(found);
    }
    arena_free(&arena);
}

static void test_keep_all_and_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(2, 27, 14);
    static const char *const names[] = {"uniform", "random"};
    for (int i = 0; i < 2; i++) {
        struct tok_plan all = make(names[i], "{\"keep\": 1}", &view, &arena), none = make(names[i], "{\"keep\": 0, \"per\": \"video\"}", &view, &arena);
        assert_int_equal(all.n_tok, 2 * 210);
        assert_int_equal(none.n_tok, 2 * 14); /* markers alone */
    }
    arena_free(&arena);
}

static void test_pool_grids_and_weights(void **state)
{
    (void)state;
    static const struct { const char *options; size_t tokens; } cases[] = {
        {"{\"stride\": 2}", 14 * 14},          {"{\"stride\": 4}", 7 * 7}, {"{\"stride\": 2, \"mode\": \"average\"}", 13 * 13},
        {"{\"stride\": 3, \"mode\": \"average\"}", 9 * 9}, {"{\"stride\": 1}", 27 * 27}, {"{\"stride\": 27}", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct vid_view view = shape(2, 27, 14);
        struct tok_plan plan = make("pool", cases[i].options, &view, &arena);
        assert_int_equal(content_of(&plan), 2 * cases[i].tokens);
        for (size_t k = 0; k < plan.n_tok; k++) {
            double sum = 0;
            for (uint32_t tap = plan.tok[k].row0; tap < plan.tok[k].row1; tap++)
                sum += (double)plan.taps[tap].w;
            if (plan.tok[k].kind == TOK_VISUAL)
                assert_true(fabs(sum - 1) < 1e-5);
        }
        arena_free(&arena);
    }
}

static void test_pool_max_takes_the_largest(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(1, 4, 2);
    float H[16 * 2];
    for (int i = 0; i < 16; i++) {
        H[2 * i] = (float)i;
        H[2 * i + 1] = (float)-i;
    }
    view.raw.H = H;
    struct tok_plan plan = make("pool", "{\"stride\": 2, \"mode\": \"max\"}", &view, &arena);
    static const float wanted[] = {5, 0, 7, -2, 13, -8, 15, -10};
    assert_int_equal(plan.n_dense, 4);
    assert_memory_equal(plan.dense, wanted, sizeof wanted);
    arena_free(&arena);
}

static void test_pool_refuses_too_large_a_stride(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view view = shape(1, 4, 2);
    double values[COMPRESSOR_MOST_OPTIONS];
    struct tok_plan plan;
    struct err err = {0};
    struct json *json;
    const struct compressor *pool = compressor_find("pool");
    static const char options[] = "{\"stride\": 5, \"mode\": \"average\"}";
    assert_int_equal(json_parse(&json, options, strlen(options), "o", &err), 0);
    assert_int_equal(compressor_resolve(pool, json, NULL, values, &err), 0);
    assert_int_equal(pool->tokens(values, &view, NULL, NULL, &arena, &plan, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "use at most 4"));
    json_free(json);
    arena_free(&arena);
}

static void test_labels(void **state)
{
    (void)state;
    static const struct { const char *name, *options, *label; } cases[] = {
        {"none", "{}", "none"},
        {"dyntok", "{}", "dyntok threshold=0.6"},
        {"dyntok", "{\"threshold\": 0.5, \"marker\": \"none\"}", "dyntok threshold=0.5 marker=none"},
        {"dyntok", "{\"target_ratio\": 0.444}", "dyntok target_ratio=0.444"},
        {"dyntok", "{\"groups\": 79, \"per\": \"video\"}", "dyntok groups=79 per=video"},
        {"pool", "{\"stride\": 3, \"mode\": \"max\"}", "pool stride=3 mode=max"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        double values[COMPRESSOR_MOST_OPTIONS];
        struct json *json;
        struct err err = {0};
        const struct compressor *method = compressor_find(cases[i].name);
        assert_int_equal(json_parse(&json, cases[i].options, strlen(cases[i].options), "o", &err), 0);
        assert_int_equal(compressor_resolve(method, json, NULL, values, &err), 0);
        assert_string_equal(compressor_label(method, values, &arena), cases[i].label);
        json_free(json);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_is_the_grid),           cmocka_unit_test(test_uniform_is_the_formula),
        cmocka_unit_test(test_random_counts_and_repeats),  cmocka_unit_test(test_smaller_random_choice_is_nested),
        cmocka_unit_test(test_keep_all_and_nothing),       cmocka_unit_test(test_pool_grids_and_weights),
        cmocka_unit_test(test_pool_max_takes_the_largest), cmocka_unit_test(test_pool_refuses_too_large_a_stride),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests_name("select_pool", tests, NULL, NULL);
}
