/* Token groups: who owns which cell, and the picture made of it, on plans small enough to be written out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plots/token_groups.h"
#include "plots/token_picture.h"

#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 255, A = 254 }; /* OWNER_NONE and OWNER_ALL in the lists below, which are of bytes */

static void good(int rc, const struct err *err)
{
    if (rc)
        fail_msg("%s", err->text);
}

/* A token of these sources, each with the same weight; stands at the first. */
static void push(struct tok_plan *plan, size_t n, const uint32_t *sources)
{
    uint32_t row0 = (uint32_t)plan->n_taps;
    for (size_t i = 0; i < n; i++)
        plan->taps[plan->n_taps++] = (struct tap){sources[i], 1 / (float)n};
    tok_plan_push(plan, row0, 0, plan->T, 0, plan->h, 0, plan->w, sources[0], (uint32_t)n);
}

#define PUSH(plan, ...) push(plan, sizeof(const uint32_t[]){__VA_ARGS__} / sizeof(uint32_t), (const uint32_t[]){__VA_ARGS__})

static void begin(struct tok_plan *plan, int T, int h, int w, struct arena *arena)
{
    assert_true(tok_plan_reserve(plan, T, h, w, 32, 64, arena));
}

static void finish(struct token_groups *groups, struct tok_plan *plan, int h, int w, struct arena *arena)
{
    struct err err = {0};
    assert_true(tok_plan_layout(plan, NEWLINE_GRID, arena));
    good(token_groups_make(groups, plan, h, w, arena, &err), &err);
}

static void owners_are(const struct token_groups *groups, const uint8_t *expected)
{
    for (int i = 0; i < groups->T * groups->h * groups->w; i++)
        if ((uint8_t)groups->owner[i] != expected[i])
            fail_msg("cell %d is owned by %u, not by %u", i, groups->owner[i], expected[i]);
}

static void group_is(const struct token_groups *groups, size_t i, uint32_t size, uint32_t pieces, bool still)
{
    const struct token_group *group = &groups->group[i];
    if (group->size != size || group->pieces != pieces || group->still != still)
        fail_msg("group %zu has size %u, %u pieces, still %d", i, group->size, group->pieces, group->still);
}

/* Two frames of 2 x 3: one token kept, one merged over time in its place, one whose cells lie apart, one that moves, two cells dropped. */
static void merged(struct tok_plan *plan, struct token_groups *groups, struct arena *arena)
{
    begin(plan, 2, 2, 3, arena);
    PUSH(plan, 0);
    PUSH(plan, 1, 7);
    PUSH(plan, 2, 3);
    PUSH(plan, 4, 6);
    PUSH(plan, 9, 10);
    finish(groups, plan, 2, 3, arena);
}

static void cells_have_owners(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct tok_plan plan;
    struct token_groups groups;
    merged(&plan, &groups, &arena);
    assert_int_equal(groups.n, 5);
    assert_int_equal(groups.markers, 4);
    owners_are(&groups, (uint8_t[]){0, 1, 2, 2, 3, N, 3, 1, N, 4, 4, N});
    group_is(&groups, 0, 1, 1, false);
    group_is(&groups, 1, 2, 2, true);
    group_is(&groups, 2, 2, 2, false);
    group_is(&groups, 3, 2, 2, false);
    group_is(&groups, 4, 2, 1, false);
    assert_true(groups.piece[9] == groups.piece[10] && groups.piece[2] != groups.piece[3] && groups.piece[5] == PIECE_NONE);
    assert_int_equal(token_groups_in_frame(&groups, 0), 4);
    assert_int_equal(token_groups_in_frame(&groups, 1), 1);
    arena_free(&arena);
}

static void largest_weight_owns(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct tok_plan plan;
    struct token_groups groups;
    begin(&plan, 1, 1, 3, &arena);
    const struct tap taps[] = {{0, 0.5f}, {1, 0.5f}, {1, 0.6f}, {2, -0.7f}, {2, 0.7f}};
    memcpy(plan.taps, taps, sizeof taps);
    for (uint32_t i = 0; i < 3; i++) { /* the third token's only source is owned by the second, which came first */
        plan.n_taps = i < 2 ? 2 * i + 2 : 5;
        tok_plan_push(&plan, 2 * i, 0, 1, 0, 1, 0, 3, i, 2);
    }
    finish(&groups, &plan, 1, 3, &arena);
    owners_are(&groups, (uint8_t[]){0, 1, 1});
    assert_int_equal(groups.group[2].cells, 0);
    arena_free(&arena);
}

static void push_dense(struct tok_plan *plan, int t, int y0, int y1, int x0, int x1, uint32_t rep)
{
    tok_plan_push(plan, 0, t, t + 1, y0, y1, x0, x1, rep, 4);
    plan->tok[plan->n_tok - 1].kind = TOK_DENSE;
}

/* A plan's grid of 1 x 2 over patches of 2 x 4: what has no taps owns what its span covers; what spans a whole frame owns nothing. */
static void spans_own(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct tok_plan plan;
    struct token_groups groups;
    begin(&plan, 2, 1, 2, &arena);
    push_dense(&plan, 0, 0, 1, 0, 1, 0);
    push_dense(&plan, 0, 0, 1, 1, 2, 1);
    push_dense(&plan, 1, 0, 1, 0, 2, 4);
    finish(&groups, &plan, 2, 4, &arena);
    owners_are(&groups, (uint8_t[]){0, 0, 1, 1, 0, 0, 1, 1, A, A, A, A, A, A, A, A});
    assert_true(groups.group[0].x == 1 && groups.group[0].y == 1 && groups.group[1].x == 3);
    assert_true(groups.group[2].elsewhere && groups.group[2].t == 1);
    arena_free(&arena);
}

/* In a layer the first token is dropped, the second and third became one, the fourth is hidden, row markers stay but for the last. */
static void layers_follow(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err = {0};
    struct tok_plan plan;
    struct token_groups groups, after;
    merged(&plan, &groups, &arena);
    uint32_t became[16], n = 0, content = 0;
    struct out_tok tok[16];
    for (size_t i = 0; i < plan.n_tok; i++) {
        uint32_t place = plan.tok[i].kind == TOK_VISUAL ? content++ : 9;
        became[i] = place == 0 || i + 1 == plan.n_tok ? UINT32_MAX : place == 2 ? n - 1 : n;
        if (place == 2)
            tok[n - 1].size = 4;
        else if (became[i] != UINT32_MAX)
            tok[n++] = plan.tok[i];
        if (place == 3)
            became[i] = UINT32_MAX; /* its token is in the cache, and unseen */
    }
    good(token_groups_follow(&after, &groups, &plan, tok, n, became, &arena, &err), &err);
    owners_are(&after, (uint8_t[]){N, 0, 0, 0, N, N, N, 0, N, 1, 1, N});
    assert_int_equal(after.n, 2);
    assert_int_equal(after.markers, 3);
    group_is(&after, 0, 4, 3, false);
    arena_free(&arena);
}

/* ---- pictures ------------------------------------------------------------------------------------------------------------ */

enum { SIDE = 60, CELL = 30 };

/* Red above, blue below; the left half of each darker. */
static void paint(uint8_t *rgb)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        int x = i % SIDE, y = i / SIDE;
        memset(rgb + 3 * i, 0, 3);
        rgb[3 * i + (y < CELL ? 0 : 2)] = x < CELL ? 100 : 200;
    }
}

static char *load(const char *path, size_t *n)
{
    struct err err = {0};
    char *bytes;
    good(file_load(&bytes, n, path, 1 << 24, &err), &err);
    return bytes;
}

static void pixel_is(const char *bytes, size_t panel, int x, int y, int r, int g, int b)
{
    const uint8_t *found = (const uint8_t *)bytes + panel * SIDE * SIDE * 3 + 3 * (size_t)(y * SIDE + x);
    if (abs(found[0] - r) > 1 || abs(found[1] - g) > 1 || abs(found[2] - b) > 1)
        fail_msg("pixel %d, %d of panel %zu is %d %d %d", x, y, panel, found[0], found[1], found[2]);
}

/* One frame of 2 x 2 cells: kept, dropped, and a row that is one token. */
static void picture_shows_it(void **state)
{
    (void)state;
    static uint8_t rgb[SIDE * SIDE * 3];
    char folder[] = "/tmp/toksweep-token-picture.XXXXXX";
    struct arena arena = {0};
    struct err err = {0};
    struct tok_plan plan;
    struct token_groups groups;
    paint(rgb);
    begin(&plan, 1, 2, 2, &arena);
    PUSH(&plan, 0);
    PUSH(&plan, 2, 3);
    finish(&groups, &plan, 2, 2, &arena);
    struct frames frames = {.width = SIDE, .height = SIDE, .n = 1, .rgb = rgb};
    good(token_groups_colour(&groups, &frames, (size_t[]){0}, &arena, &err), &err);
    assert_true(groups.group[1].rgb[0] == 0 && groups.group[1].rgb[2] == 150);

    const struct token_column column = {"1: frame 0, 0.00 s", rgb};
    const struct token_row row = {"it's <a> \"method\"", "2 of 4", &groups, (int[]){0}};
    struct token_picture picture = {"title", "note", &column, 1, &row, 1, SIDE, SIDE};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    good(token_picture_draw(&picture, "a.svg", &err), &err);
    size_t n;
    char *pixels = load("a.rgb", &n), *data = load("a.dat", &n), *svg = load("a.svg", &n);
    pixel_is(pixels, 0, 5, 5, 100, 0, 0);
    pixel_is(pixels, 1, 5, 5, 100, 0, 0);                                   /* kept */
    pixel_is(pixels, 1, 45, 10, (59 * 26 + 246 * 74) / 100, (59 * 26 + 246 * 74) / 100, (59 * 26 + 246 * 74) / 100); /* dropped */
    pixel_is(pixels, 1, 5, 45, 0, 0, (150 * 68 + 100 * 32) / 100);          /* merged */
    pixel_is(pixels, 1, 55, 45, 0, 0, (150 * 68 + 200 * 32) / 100);
    assert_non_null(strstr(data, "\"2\""));                                 /* its size, and no other number */
    assert_null(strstr(data, "\"1\""));
    assert_non_null(strstr(svg, "&lt;a>"));
    free(pixels);
    free(data);
    free(svg);

    assert_int_equal(token_picture_draw(&picture, "a.gif", &err), ERR_CONFIG);
    picture.width = 40000;
    assert_int_equal(token_picture_check(&picture, 1, &err), ERR_CONFIG);
    assert_int_equal(token_picture_draw(&picture, "a.svg", &err), ERR_CONFIG);
    for (const char *const *name = (const char *const[]){"a.svg", "a.dat", "a.gp", "a.rgb", NULL}; *name; name++)
        unlink(*name);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_have_owners), cmocka_unit_test(largest_weight_owns), cmocka_unit_test(spans_own),
        cmocka_unit_test(layers_follow),     cmocka_unit_test(picture_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
