/* Tokens: bilinear taps, layouts and the arithmetic of markers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tokens.h"

#include <math.h>

static void test_bilinear_taps(void **state)
{
    (void)state;
    static const int i0[14] = {0, 2, 4, 6, 8, 10, 12, 13, 15, 17, 19, 21, 23, 25};
    static const int w1_28[14] = {13, 11, 9, 7, 5, 3, 1, 27, 25, 23, 21, 19, 17, 15};
    for (int o = 0; o < 14; o++) {
        struct pool_tap tap = pool_bilinear_tap(27, 14, o);
        assert_int_equal(tap.i0, i0[o]);
        assert_int_equal(tap.i1, i0[o] + 1);
        assert_true(fabs(tap.w1 - w1_28[o] / 28.0) < 2e-6);
        assert_true(fabs(tap.w0 + tap.w1 - 1) < 1e-7);
    }
    assert_int_equal(pool_side(POOL_BILINEAR, 27, 2), 14);
    assert_int_equal(pool_side(POOL_AVERAGE, 27, 2), 13);
    assert_int_equal(pool_side(POOL_MAX, 27, 4), 6);
    assert_int_equal(pool_side(POOL_BILINEAR, 27, 4), 7);
    assert_int_equal(pool_side(POOL_NONE, 14, 1), 14);
}

static void test_token_arithmetic(void **state)
{
    (void)state;
    static const struct { enum newline newline; int T, g; size_t total; } cases[] = {
        {NEWLINE_GRID, 64, 14, 13440}, {NEWLINE_FRAME, 64, 14, 12608}, {NEWLINE_ONE, 64, 14, 12545}, {NEWLINE_NO, 64, 14, 12544},
        {NEWLINE_GRID, 96, 14, 20160}, {NEWLINE_GRID, 160, 14, 33600}, {NEWLINE_GRID, 1, 13, 182},   {NEWLINE_ONE, 96, 14, 18817},
        {NEWLINE_GRID, 1, 14, 210}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t content, markers;
        newline_count(cases[i].newline, cases[i].T, cases[i].g, cases[i].g, &content, &markers);
        assert_int_equal(content + markers, cases[i].total);
    }
}

/* Keeps cells `keep` of a T x h x w grid, not laid out. */
static struct tok_plan made(struct arena *arena, int T, int h, int w, const uint32_t *keep, size_t n)
{
    struct tok_plan plan;
    assert_true(tok_plan_reserve(&plan, T, h, w, n, n, arena));
    for (size_t i = 0; i < n; i++) {
        int t = (int)keep[i] / (h * w), y = (int)keep[i] / w % h, x = (int)keep[i] % w;
        plan.taps[plan.n_taps++] = (struct tap){keep[i], 1};
        tok_plan_push(&plan, (uint32_t)i, t, t + 1, y, y + 1, x, x + 1, keep[i], 1);
    }
    return plan;
}

static struct tok_plan laid(struct arena *arena, int T, int h, int w, const uint32_t *keep, size_t n, enum newline newline,
                            enum tok_positions positions)
{
    struct tok_plan plan = made(arena, T, h, w, keep, n);
    plan.positions = positions;
    assert_true(tok_plan_layout(&plan, newline, arena));
    assert_null(tok_plan_fault(&plan, (size_t)(T * h * w)));
    return plan;
}

static void test_layout_orders_and_marks(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t keep[] = {11, 1, 0}; /* given out of order; rows 1 of frame 0 and 0 of frame 1 keep nothing */
    struct tok_plan plan = laid(&arena, 2, 2, 3, keep, 3, NEWLINE_GRID, POSITIONS_COMPACT);
    static const enum tok_kind kinds[] = {TOK_VISUAL, TOK_VISUAL, TOK_ROW_MARK, TOK_ROW_MARK, TOK_ROW_MARK, TOK_VISUAL, TOK_ROW_MARK};
    assert_int_equal(plan.n_tok, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(plan.tok[i].kind, kinds[i]);
    assert_int_equal(plan.tok[0].rep, 0);
    assert_int_equal(plan.tok[5].rep, 11);
    assert_null(plan.position);
    assert_int_equal(plan.end_position, 7);
    plan = laid(&arena, 2, 2, 3, keep, 3, NEWLINE_ONE, POSITIONS_COMPACT);
    assert_int_equal(plan.n_tok, 4);
    assert_int_equal(plan.tok[3].kind, TOK_END_MARK);
    plan = laid(&arena, 2, 2, 3, keep, 3, NEWLINE_FRAME, POSITIONS_COMPACT);
    assert_int_equal(plan.n_tok, 5);
    assert_int_equal(plan.tok[2].kind, TOK_FRAME_MARK);
    arena_free(&arena);
}

static void test_kept_positions_are_the_uncompressed_ones(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t keep[] = {0, 4, 11};
    static const uint32_t wanted[] = {0, 3, 5, 7, 11, 14, 15}; /* grid of 2x2x3: rows of 3 and a marker */
    struct tok_plan plan = laid(&arena, 2, 2, 3, keep, 3, NEWLINE_GRID, POSITIONS_KEEP);
    assert_int_equal(plan.n_tok, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(plan.position[i], wanted[i]);
    assert_int_equal(plan.end_position, 16);
    arena_free(&arena);
}

static void test_lines_without_tokens_may_drop_their_marker(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t keep[] = {0, 11};
    static const enum tok_kind kinds[] = {TOK_VISUAL, TOK_ROW_MARK, TOK_VISUAL, TOK_ROW_MARK};
    static const uint32_t positions[] = {0, 3, 14, 15}; /* where they were with all lines present */
    struct tok_plan plan = made(&arena, 2, 2, 3, keep, 2);
    plan.drop_empty_marks = true;
    plan.positions = POSITIONS_KEEP;
    assert_true(tok_plan_layout(&plan, NEWLINE_GRID, &arena));
    assert_int_equal(plan.n_tok, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(plan.tok[i].kind, kinds[i]);
        assert_int_equal(plan.position[i], positions[i]);
    }
    plan = made(&arena, 2, 2, 3, keep, 0);
    plan.drop_empty_marks = true;
    assert_true(tok_plan_layout(&plan, NEWLINE_ONE, &arena));
    assert_int_equal(plan.n_tok, 1); /* the end of the video stays */
    arena_free(&arena);
}

static void test_tokens_as_made_have_one_marker_at_most(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t keep[] = {11, 0, 4};
    static const struct { enum newline newline; size_t n; } cases[] = {{NEWLINE_GRID, 4}, {NEWLINE_FRAME, 4}, {NEWLINE_ONE, 4}, {NEWLINE_NO, 3}};
    for (size_t c = 0; c < 4; c++) {
        struct tok_plan plan = made(&arena, 2, 2, 3, keep, 3);
        plan.order = ORDER_GIVEN;
        assert_true(tok_plan_layout(&plan, cases[c].newline, &arena));
        assert_int_equal(plan.n_tok, cases[c].n);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(plan.tok[i].rep, keep[i]);
        assert_true(plan.n_tok == 3 || plan.tok[3].kind == TOK_END_MARK);
    }
    arena_free(&arena);
}

static void test_a_dense_token_may_stand_after_everything(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t keep[] = {12, 0, 11};
    static const float row[] = {1, 2};
    struct tok_plan plan = made(&arena, 2, 2, 3, keep, 3);
    plan.tok[0] = (struct out_tok){.kind = TOK_DENSE, .t0 = 1, .t1 = 2, .y1 = 2, .x1 = 3, .rep = 12, .size = 1};
    plan.dense = row;
    plan.n_dense = 1;
    plan.dense_width = 2;
    assert_true(tok_plan_layout(&plan, NEWLINE_GRID, &arena));
    assert_int_equal(plan.tok[plan.n_tok - 1].kind, TOK_DENSE);
    assert_null(tok_plan_fault(&plan, 12));
    plan.tok[plan.n_tok - 1].kind = TOK_VISUAL;
    assert_non_null(tok_plan_fault(&plan, 12));
    arena_free(&arena);
}

static void test_digest_tells_plans_apart(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t a[] = {0, 1}, b[] = {0, 2}, frames[] = {5, 9}, others[] = {5, 10};
    const struct tok_plan plans[] = {laid(&arena, 2, 2, 3, a, 2, NEWLINE_GRID, POSITIONS_COMPACT), laid(&arena, 2, 2, 3, a, 2, NEWLINE_GRID, POSITIONS_COMPACT),
                                     laid(&arena, 2, 2, 3, b, 2, NEWLINE_GRID, POSITIONS_COMPACT), laid(&arena, 2, 2, 3, a, 2, NEWLINE_NO, POSITIONS_COMPACT),
                                     laid(&arena, 2, 2, 3, a, 2, NEWLINE_GRID, POSITIONS_KEEP)};
    char hex[6][DIGEST_HEX];
    for (int i = 0; i < 6; i++) {
        struct digest *digest = digest_new();
        tok_plan_digest(&plans[i % 5], i == 5 ? others : frames, digest);
        digest_finish(digest, hex[i]);
    }
    assert_string_equal(hex[0], hex[1]);
    for (int i = 2; i < 6; i++)
        assert_string_not_equal(hex[0], hex[i]);
    struct tok_plan sized = laid(&arena, 2, 2, 3, a, 2, NEWLINE_GRID, POSITIONS_COMPACT);
    sized.tok[0].size = 2; /* what weighs keys by size sees another token */
    struct digest *digest = digest_new();
    tok_plan_digest(&sized, frames, digest);
    digest_finish(digest, hex[1]);
    assert_string_not_equal(hex[0], hex[1]);
    arena_free(&arena);
}

static void test_faults_are_found(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const uint32_t keep[] = {0};
    struct tok_plan plan = laid(&arena, 1, 1, 1, keep, 1, NEWLINE_NO, POSITIONS_COMPACT);
    plan.taps[0].w = NAN;
    assert_non_null(tok_plan_fault(&plan, 1));
    plan.taps[0] = (struct tap){1, 1};
    assert_non_null(tok_plan_fault(&plan, 1));
    plan.taps[0] = (struct tap){0, 1};
    plan.tok[0].x1 = 2;
    assert_non_null(tok_plan_fault(&plan, 1));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bilinear_taps),          cmocka_unit_test(test_token_arithmetic),
        cmocka_unit_test(test_layout_orders_and_marks), cmocka_unit_test(test_kept_positions_are_the_uncompressed_ones),
        cmocka_unit_test(test_lines_without_tokens_may_drop_their_marker), cmocka_unit_test(test_tokens_as_made_have_one_marker_at_most),
        cmocka_unit_test(test_a_dense_token_may_stand_after_everything), cmocka_unit_test(test_digest_tells_plans_apart), cmocka_unit_test(test_faults_are_found),
    };
    return cmocka_run_group_tests_name("tokens", tests, NULL, NULL);
}
