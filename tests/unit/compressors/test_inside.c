/* Methods inside the language model on views written out by hand: what they ask for, what they keep, and their golden numbers. */
#include "tests/unit/compressors/videos.h"

#include "compressors/layer.h"
#include "compressors/methods.h"
#include "compressors/rank.h"

#include <math.h>
#include <stdlib.h>

/* A view of T frames on an h x w grid with row markers, one row of one head: scores ascend with the token's number. */
struct fake {
    struct layer_view view;
    struct out_tok *tok;
    float *rows;
    struct arena arena;
};

static struct fake *fake_new(int T, int h, int w)
{
    struct fake *fake = calloc(1, sizeof *fake);
    size_t n = (size_t)(T * h * (w + 1)), at = 0;
    fake->tok = arena_alloc(&fake->arena, n, sizeof *fake->tok);
    fake->rows = arena_alloc(&fake->arena, n, sizeof *fake->rows);
    for (int t = 0; t < T; t++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x <= w; x++, at++) {
                fake->tok[at] = (struct out_tok){.kind = x < w ? TOK_VISUAL : TOK_ROW_MARK, .t0 = (uint16_t)t, .t1 = (uint16_t)(t + 1),
                                                 .y0 = (uint16_t)y, .y1 = (uint16_t)(y + 1), .x0 = (uint16_t)(x < w ? x : 0),
                                                 .x1 = (uint16_t)(x < w ? x + 1 : w), .size = 1,
                                                 .rep = (uint32_t)((t * h + y) * w + (x < w ? x : w - 1))};
                fake->rows[at] = (float)(at + 1) / 1024;
            }
    fake->view = (struct layer_view){.layer = 2, .n_layers = 28, .T = T, .h = h, .w = w, .n = n, .n_entered = n,
                                     .n_content = (size_t)(T * h * w), .tok = fake->tok, .heads = 1, .n_rows = 1, .rows = fake->rows};
    return fake;
}

static void fake_free(struct fake *fake)
{
    arena_free(&fake->arena);
    free(fake);
}

/* The plan a method makes of the view; kept[i] says which tokens are its sources. */
static struct layer_plan act(const char *name, const char *options, struct fake *fake, uint8_t *kept)
{
    double values[COMPRESSOR_MOST_OPTIONS];
    struct layer_plan plan = {0};
    struct err err = {0};
    const struct compressor *method = compressor_find(name);
    resolve_options(method, options, values);
    if (method->layer(values, POINT_PRE, &fake->view, &fake->arena, &plan, &err))
        fail_msg("%s", err.text);
    memset(kept, plan.merge.tok == NULL, fake->view.n);
    for (size_t i = 0; i < plan.merge.n_taps; i++)
        kept[plan.merge.taps[i].src] = 1;
    return plan;
}

static size_t count(const struct fake *fake, const uint8_t *kept, bool markers)
{
    size_t n = 0;
    for (size_t i = 0; i < fake->view.n; i++)
        n += kept[i] && layer_is_marker(&fake->tok[i]) == markers;
    return n;
}

static struct layer_want asks(const char *name, const char *options, int layer, enum layer_point point, int n_layers)
{
    double values[COMPRESSOR_MOST_OPTIONS];
    struct layer_want want = {0};
    const struct compressor *method = compressor_find(name);
    resolve_options(method, options, values);
    method->want(values, NULL, layer, point, n_layers, &want);
    return want;
}

static void expect_fit(const char *name, const char *options, int n_layers, bool fits)
{
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    const struct compressor *method = compressor_find(name);
    resolve_options(method, options, values);
    assert_int_equal(method->fits(values, n_layers, &err), fits ? 0 : ERR_CONFIG);
}

/* ---- FastV --------------------------------------------------------------------------------------------------------------- */

static void test_fastv_keeps_the_best_and_all_markers(void **state)
{
    (void)state;
    struct fake *fake = fake_new(2, 2, 5);
    uint8_t kept[24];
    struct layer_plan plan = act("fastv", "{\"keep\": 0.5}", fake, kept);
    assert_int_equal(count(fake, kept, true), 4);
    assert_int_equal(count(fake, kept, false), 10);
    assert_int_equal(plan.merge.positions, POSITIONS_KEEP);
    for (size_t i = 12; i < 24; i++)
        assert_true(kept[i]); /* the later, the better */
    for (size_t i = 1; i < plan.merge.n_tok; i++) {
        assert_true(plan.merge.taps[i].src > plan.merge.taps[i - 1].src);
        assert_int_equal(plan.merge.tok[i].rep, fake->tok[plan.merge.taps[i].src].rep);
    }
    act("fastv", "{\"keep\": 0.5, \"markers\": \"ranked\"}", fake, kept);
    assert_int_equal(count(fake, kept, true) + count(fake, kept, false), 12);
    assert_int_equal(count(fake, kept, true), 2);
    act("fastv", "{\"keep\": 0.125}", fake, kept); /* 2.5 of 20 */
    assert_int_equal(count(fake, kept, false), 2); /* half to even */
    assert_null(act("fastv", "{\"keep\": 1}", fake, kept).merge.tok);
    fake_free(fake);
}

static void test_fastv_spends_budgets(void **state)
{
    (void)state;
    struct fake *fake = fake_new(3, 2, 3);
    uint8_t kept[24];
    static const uint32_t per_frame[] = {0, 9, 2};
    static const struct budget budget = {.T = 3, .total = 11, .per_frame = per_frame};
    fake->view.budget = &budget;
    act("fastv", "{\"keep\": 0.9}", fake, kept);
    size_t content[3] = {0};
    for (size_t i = 0; i < fake->view.n; i++)
        content[fake->tok[i].t0] += kept[i] && !layer_is_marker(&fake->tok[i]);
    assert_int_equal(content[0], 0);
    assert_int_equal(content[1], 6); /* all it has */
    assert_int_equal(content[2], 2);
    assert_true(kept[16 + 5] && kept[16 + 6]);
    assert_int_equal(count(fake, kept, true), 6);
    fake_free(fake);
}

static void test_fastv_favours_sizes(void **state)
{
    (void)state;
    struct fake *fake = fake_new(1, 1, 4);
    uint8_t kept[5];
    fake->tok[0].size = 16;
    act("fastv", "{\"keep\": 0.25}", fake, kept);
    assert_true(kept[3] && !kept[0]);
    act("fastv", "{\"keep\": 0.25, \"size_power\": 1}", fake, kept);
    assert_true(kept[0] && !kept[3]);
    fake_free(fake);
}

static void test_fastv_asks_once(void **state)
{
    (void)state;
    for (int layer = 0; layer < 28; layer++) {
        assert_int_equal(asks("fastv", "{\"layer\": 3}", layer, POINT_PRE, 28).call, layer == 3);
        assert_false(asks("fastv", "{\"layer\": 3}", layer, POINT_MID, 28).call);
    }
    struct layer_want want = asks("fastv", "{\"layer\": 3}", 3, POINT_PRE, 28);
    assert_int_equal(want.rows, ROWS_LAST);
    assert_false(want.hides || want.rows_of_this_layer || want.rows_visual_only);
    assert_true(asks("fastv", "{\"form\": \"hide\"}", 2, POINT_PRE, 28).hides);
    expect_fit("fastv", "{\"layer\": 23}", 24, true);
    expect_fit("fastv", "{\"layer\": 24}", 24, false);
}

/* ---- PyramidDrop --------------------------------------------------------------------------------------------------------- */

/* 32 frames of 14 x 14: 3136, 1568 and 784 of 6272. */
static void test_pyramiddrop_golden_counts(void **state)
{
    (void)state;
    static const struct { int layer; size_t kept; } stages[] = {{7, 3136}, {14, 1568}, {21, 784}};
    struct fake *fake = fake_new(32, 14, 14);
    uint8_t *kept = calloc(fake->view.n, 1);
    for (int layer = 0; layer < 28; layer++)
        assert_int_equal(asks("pyramiddrop", "{}", layer, POINT_PRE, 28).call, layer == 7 || layer == 14 || layer == 21);
    for (size_t i = 0; i < 3; i++) {
        fake->view.layer = stages[i].layer;
        struct layer_plan plan = act("pyramiddrop", "{}", fake, kept);
        assert_int_equal(count(fake, kept, false), stages[i].kept);
        assert_int_equal(plan.merge.positions, POSITIONS_COMPACT);
    }
    free(kept);
    fake_free(fake);
}

static void test_pyramiddrop_refuses_stages_out_of_order(void **state)
{
    (void)state;
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    struct json *json;
    static const char grows[] = "{\"keep1\": 0.2, \"keep2\": 0.5}";
    expect_fit("pyramiddrop", "{}", 28, true);
    expect_fit("pyramiddrop", "{}", 3, true);
    expect_fit("pyramiddrop", "{\"layer1\": 15}", 28, false);
    expect_fit("pyramiddrop", "{\"layer3\": 28}", 28, false);
    assert_int_equal(json_parse(&json, grows, strlen(grows), "options", &err), 0);
    assert_int_equal(compressor_resolve(compressor_find("pyramiddrop"), json, NULL, values, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "keep2"));
    json_free(json);
}

/* ---- SparseVLM ----------------------------------------------------------------------------------------------------------- */

/* Two rows of the question, of which only the first has to do with the picture; the second would choose the other way round. */
static void let_ask(struct fake *fake)
{
    static const float asked[2][2] = {{1, 0}, {0, 1}};
    size_t n = fake->view.n;
    float *entered = arena_alloc(&fake->arena, 2 * n, sizeof *entered), *rows = arena_alloc(&fake->arena, 2 * n, sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        entered[2 * i] = 1;
        rows[i] = fake->rows[i];
        rows[n + i] = 1 - fake->rows[i];
    }
    fake->view.d = 2;
    fake->view.entered = fake->view.hidden = entered;
    fake->view.asked = asked[0];
    fake->view.n_asked = 2;
    fake->view.rows = rows;
    fake->view.n_rows = 2;
}

/* One picture of 24 x 24 in a model of 32 layers: the released numbers of RETAIN_TOKN=192, behind layers 2, 6 and 15. */
static void test_sparsevlm_golden_counts(void **state)
{
    (void)state;
    static const struct { int layer; size_t kept, second; } stages[] = {{3, 300, 300}, {7, 200, 200}, {16, 110, 118}};
    struct fake *fake = fake_new(1, 24, 24);
    uint8_t *kept = calloc(fake->view.n, 1);
    let_ask(fake);
    fake->view.n_layers = 32;
    for (int layer = 0; layer < 32; layer++)
        assert_int_equal(asks("sparsevlm", "{}", layer, POINT_PRE, 32).call, layer == 3 || layer == 7 || layer == 16);
    for (size_t i = 0; i < 3; i++) {
        fake->view.layer = stages[i].layer;
        struct layer_plan plan = act("sparsevlm", "{\"recycle\": 0}", fake, kept);
        assert_int_equal(count(fake, kept, false), stages[i].kept);
        assert_int_equal(count(fake, kept, true), 24);
        assert_true(kept[fake->view.n - 2] && !kept[0]); /* as the rater says */
        assert_int_equal(plan.merge.positions, POSITIONS_COMPACT);
        plan = act("sparsevlm", "{}", fake, kept);
        size_t again = (size_t)((double)(576 - stages[i].kept) * 0.3) + 1;
        assert_int_equal(plan.merge.n_tok, stages[i].kept + 24 + again / 10 + 1);
        assert_int_equal(count(fake, kept, false), stages[i].kept + again);
        plan = act("sparsevlm", "{\"form\": \"v2\"}", fake, kept);
        assert_int_equal(count(fake, kept, false), stages[i].second);
        assert_int_equal(plan.merge.positions, POSITIONS_KEEP);
    }
    free(kept);
    fake_free(fake);
}

static void test_sparsevlm_options(void **state)
{
    (void)state;
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    struct json *json;
    static const char *const bad[] = {"{\"retain\": 100}", "{\"keep1\": 0.2, \"keep2\": 0.5}"};
    expect_fit("sparsevlm", "{}", 28, true);
    expect_fit("sparsevlm", "{}", 3, true);
    expect_fit("sparsevlm", "{\"layer1\": 2, \"layer2\": 0, \"layer3\": 0}", 3, true);
    expect_fit("sparsevlm", "{\"layer2\": 2}", 28, false);
    expect_fit("sparsevlm", "{\"layer3\": 28}", 28, false);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(json_parse(&json, bad[i], strlen(bad[i]), "options", &err), 0);
        assert_int_equal(compressor_resolve(compressor_find("sparsevlm"), json, NULL, values, &err), ERR_CONFIG);
        json_free(json);
    }
    struct layer_want want = asks("sparsevlm", "{\"form\": \"v2\"}", 3, POINT_PRE, 28);
    assert_true(want.call && want.rotation && want.entered && !want.hidden && want.heads == HEADS_EACH);
    assert_true(asks("sparsevlm", "{\"layer2\": 0}", 6, POINT_PRE, 28).call == false);
}

/* As many tokens as there are raters that do not repeat each other. */
static void test_sparsevlm_counts_by_rank(void **state)
{
    (void)state;
    struct fake *fake = fake_new(1, 4, 4);
    uint8_t kept[20];
    let_ask(fake);
    act("sparsevlm", "{\"count\": \"rank\", \"recycle\": 0}", fake, kept);
    assert_int_equal(count(fake, kept, false), 1);
    act("sparsevlm", "{\"count\": \"rank\", \"scale\": 0.5, \"recycle\": 0}", fake, kept);
    assert_int_equal(count(fake, kept, false), 16 - 7);
    fake_free(fake);
}

static size_t rank_of(const float *rows, size_t m, size_t n)
{
    struct arena arena = {0};
    size_t rank;
    assert_true(rank_of_rows(rows, m, n, &rank, &arena));
    arena_free(&arena);
    return rank;
}

static void test_ranks(void **state)
{
    (void)state;
    static const float rows[][4] = {{1, 2, 3, 4}, {2, 4, 6, 8}, {0, 1, 0, -1}, {1, 3, 3, 3}, {0, 0, 1e-3f, 0}, {0, 0, 0, 0}};
    static const float near[][2] = {{1, 1}, {1, 1 + 2e-6f}}, same[][2] = {{1, 1}, {1, 1 + 2e-7f}};
    static const size_t ranks[] = {1, 1, 2, 2, 3, 3};
    for (size_t m = 1; m <= 6; m++)
        assert_int_equal(rank_of(rows[0], m, 4), ranks[m - 1]);
    assert_int_equal(rank_of(rows[5], 1, 4), 0);
    assert_int_equal(rank_of(near[0], 2, 2), 2); /* singular values 2 and 1e-6: more than 2 epsilon of the largest */
    assert_int_equal(rank_of(same[0], 2, 2), 1);
}

/* ---- HoliTom, FlashVID and PruneVid -------------------------------------------------------------------------------------- */

/* Six tokens, of which the last three stay: 0 and 2 are like 3, 1 is like 5. */
static void test_holitom_folds_what_goes(void **state)
{
    (void)state;
    struct fake *fake = fake_new(1, 1, 6);
    uint8_t kept[7];
    static const float hidden[7][2] = {{2, 0}, {0, 1}, {1, 0.1f}, {1, 0}, {1, 1}, {0, 3}, {-1, -1}};
    static const struct { uint32_t source; float sequence, mean; } taps[] = {{3, 0.25f, 1 / 3.0f}, {0, 0.25f, 1 / 3.0f}, {2, 0.5f, 1 / 3.0f},
                                                                             {4, 1, 1},            {5, 0.5f, 0.5f},      {1, 0.5f, 0.5f},
                                                                             {6, 1, 1}};
    fake->view.hidden = hidden[0];
    fake->view.d = 2;
    for (int mean = 0; mean < 2; mean++) {
        struct layer_plan plan = act("holitom", mean ? "{\"inner_merge\": \"mean\"}" : "{}", fake, kept);
        assert_int_equal(plan.merge.n_tok, 4);
        assert_int_equal(plan.merge.n_taps, 7);
        assert_int_equal(plan.merge.positions, POSITIONS_KEEP);
        assert_int_equal(plan.merge.tok[0].size, 3);
        assert_int_equal(plan.merge.tok[0].x0, 0);
        assert_int_equal(plan.merge.tok[0].x1, 4);
        for (size_t i = 0; i < 7; i++) {
            assert_int_equal(plan.merge.taps[i].src, taps[i].source);
            assert_true(plan.merge.taps[i].w == (mean ? taps[i].mean : taps[i].sequence));
        }
    }
    act("holitom", "{\"inner_merge\": \"none\"}", fake, kept);
    assert_int_equal(count(fake, kept, false), 3);
    assert_true(asks("holitom", "{}", 18, POINT_PRE, 28).call && asks("holitom", "{}", 15, POINT_PRE, 24).call);
    assert_false(asks("holitom", "{\"inner_keep\": 1}", 18, POINT_PRE, 28).call);
    expect_fit("holitom", "{\"inner_layer\": 28}", 28, false);
    expect_fit("holitom", "{\"inner_layer\": 28, \"inner_keep\": 1}", 28, true);
    fake_free(fake);
}

static void test_flashvid_rounds_up(void **state)
{
    (void)state;
    struct fake *fake = fake_new(1, 2, 4);
    uint8_t kept[10];
    act("flashvid", "{}", fake, kept); /* 2.4 of 8 */
    assert_int_equal(count(fake, kept, false), 3);
    assert_int_equal(count(fake, kept, true), 2);
    act("flashvid", "{\"inner_markers\": \"ranked\"}", fake, kept);
    assert_int_equal(count(fake, kept, true) + count(fake, kept, false), 3);
    assert_true(asks("flashvid", "{}", 20, POINT_PRE, 28).call && asks("flashvid", "{}", 17, POINT_PRE, 24).call);
    expect_fit("flashvid", "{\"inner_layer\": 24}", 24, false);
    fake_free(fake);
}

/* Two frames of six tokens, the first three of the first frame stand for both: of each set 40 %, rounded down. */
static void test_prunevid_keeps_of_each_set(void **state)
{
    (void)state;
    struct fake *fake = fake_new(2, 1, 6);
    uint8_t kept[14];
    for (size_t i = 0; i < 3; i++)
        fake->tok[i].t1 = 2;
    fake->view.layer = 11;
    fake->view.n_layers = 32;
    fake->view.memory = arena_alloc(&fake->arena, 14, sizeof(float));
    struct layer_plan plan = act("prunevid", "{\"inner_rows\": \"plain\"}", fake, kept);
    assert_true(plan.prune_past_kv);
    assert_int_equal(plan.merge.positions, POSITIONS_KEEP);
    static const uint8_t of_three_three_six[14] = {0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1};
    assert_memory_equal(kept, of_three_three_six, 14);
    plan = act("prunevid", "{\"inner_rows\": \"plain\", \"inner_markers\": \"ranked\", \"inner_past\": false}", fake, kept);
    assert_false(plan.prune_past_kv);
    static const uint8_t with_markers[14] = {0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1};
    assert_memory_equal(kept, with_markers, 14);
    struct layer_want rates = asks("prunevid", "{}", 10, POINT_PRE, 32), drops = asks("prunevid", "{}", 11, POINT_PRE, 32);
    assert_true(rates.call && rates.rows == ROWS_QUESTION && rates.rows_unturned && rates.heads == HEADS_MOST && drops.call && drops.rows == ROWS_NONE);
    assert_false(asks("prunevid", "{\"inner_rows\": \"plain\"}", 10, POINT_PRE, 32).call);
    fake_free(fake);
}

/* Without what it does inside, a method leaves room for another one there. */
static void test_inner_roles(void **state)
{
    (void)state;
    static const struct { const char *name, *options; unsigned roles; } cases[] = {
        {"holitom", "{}", ROLE_TOKENS | ROLE_LAYER}, {"holitom", "{\"inner_keep\": 1}", ROLE_TOKENS},
        {"flashvid", "{}", ROLE_TOKENS | ROLE_LAYER}, {"flashvid", "{\"inner_keep\": 1}", ROLE_TOKENS},
        {"prunevid", "{}", ROLE_TOKENS | ROLE_LAYER}, {"prunevid", "{\"inner_keep\": 1}", ROLE_TOKENS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double values[COMPRESSOR_MOST_OPTIONS];
        const struct compressor *method = compressor_find(cases[i].name);
        resolve_options(method, cases[i].options, values);
        assert_int_equal(compressor_roles(method, values), cases[i].roles);
    }
}

/* ---- DyCoke -------------------------------------------------------------------------------------------------------------- */

static size_t ttm_count(int T, int side, double k, const char *form)
{
    struct arena arena = {0};
    char options[80];
    struct vid_view video = random_video(5, T, side, side, POOL_NONE, FEATURES_RANDOM, &arena);
    snprintf(options, sizeof options, "{\"k\": %g, \"form\": \"%s\"}", k, form);
    struct tok_plan plan = plan_with("dycoke", options, &video, NULL, NEWLINE_NO, &arena);
    size_t n = plan.n_tok;
    arena_free(&arena);
    return n;
}

static void test_dycoke_golden_counts(void **state)
{
    (void)state;
    assert_int_equal(ttm_count(8, 2, 0.5, "strict"), 22);
    assert_int_equal(ttm_count(8, 2, 0.5, "intended"), 20);
    assert_int_equal(ttm_count(32, 14, 0.7, "strict"), 3098);
    assert_int_equal(ttm_count(32, 14, 0.7, "intended"), 2960);
    assert_int_equal(ttm_count(7, 2, 1, "intended"), 2 * 4);
    assert_int_equal(ttm_count(7, 2, 0, "strict"), 6 * 4); /* an odd last frame is lost */
}

/* Frames of two cells: the second frame repeats cell 0, the third cell 1 of the first, the fourth cell 1 of the third. */
static void test_dycoke_keeps_what_is_new(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const float H[4][2][2] = {{{1, 0}, {0, 1}}, {{1, 0}, {1, 1}}, {{-1, 0}, {0, 2}}, {{0, 1}, {0, 3}}};
    struct grid_view grid = {.h = 1, .w = 2, .d = 2, .H = H[0][0]};
    struct vid_view video = {.T = 4, .raw = grid, .pooled = grid, .mode = POOL_NONE, .stride = 1};
    static const uint32_t whole[] = {0, 1, 3, 4, 6};
    struct tok_plan plan = plan_with("dycoke", "{\"k\": 0.5}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(plan.n_tok, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(plan.taps[plan.tok[i].row0].src, whole[i]);
    static const uint32_t per_frame[] = {0, 2, 0, 1};
    const struct budget budget = {.T = 4, .total = 3, .per_frame = per_frame};
    plan = plan_with("dycoke", "{\"k\": 0.5}", &video, &budget, NEWLINE_NO, &arena);
    assert_int_equal(plan.n_tok, 2 + 2 + 0 + 1); /* the anchor stays whole */
    arena_free(&arena);
}

static void test_dycoke_hides_and_holds(void **state)
{
    (void)state;
    struct fake *fake = fake_new(1, 2, 5);
    const struct compressor *method = compressor_find("dycoke");
    double values[COMPRESSOR_MOST_OPTIONS];
    uint8_t visible[12];
    struct kv_mask mask = {visible, 12};
    resolve_options(method, "{\"p\": 0.75}", values);
    fake->view.memory = arena_alloc(&fake->arena, method->memory(values, 12, 28), 1);
    memset(visible, 1, sizeof visible);
    method->decode(values, 0, &fake->view, &mask);
    assert_int_equal(count(fake, visible, false), 2); /* int(10 * 0.25) */
    assert_int_equal(count(fake, visible, true), 2);
    assert_true(visible[9] && visible[10]);
    memset(visible, 1, sizeof visible);
    method->decode(values, 1, &fake->view, &mask); /* the same attention again */
    assert_int_equal(count(fake, visible, false), 10);
    for (size_t i = 0; i < 12; i++)
        fake->rows[i] = i == 3 ? 1 : 0;
    method->decode(values, 2, &fake->view, &mask);
    assert_int_equal(count(fake, visible, false), 2);
    assert_true(visible[3] && visible[0]); /* ties to the lower index */
    fake_free(fake);
}

static void test_dycoke_roles(void **state)
{
    (void)state;
    static const struct { const char *options; unsigned roles; } cases[] = {
        {"{}", ROLE_TOKENS | ROLE_DECODE}, {"{\"k\": 0}", ROLE_DECODE}, {"{\"p\": 0}", ROLE_TOKENS},
        {"{\"k\": 0, \"p\": 0}", 0},       {"{\"k\": 0, \"p\": 0, \"form\": \"strict\"}", ROLE_TOKENS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double values[COMPRESSOR_MOST_OPTIONS];
        resolve_options(compressor_find("dycoke"), cases[i].options, values);
        assert_int_equal(compressor_roles(compressor_find("dycoke"), values), cases[i].roles);
    }
}

/* ---- FrameFusion --------------------------------------------------------------------------------------------------------- */

static void test_framefusion_golden_shares(void **state)
{
    (void)state;
    static const double share[] = {0.4, 0.05};
    static const double wanted[] = {0.7000, 0.5185, 0.5121};
    for (int n = 0; n < 3; n++)
        if (fabs(framefusion_share(share, n, 0.3, 28) - wanted[n]) > 5e-5)
            fail_msg("%d calls: %g", n, framefusion_share(share, n, 0.3, 28));
    assert_true(framefusion_share(share, 0, 1, 28) == 0);
    assert_true(framefusion_share((const double[]){0.9}, 1, 0.9, 28) == 0);   /* more was merged than had to */
    assert_true(framefusion_share((const double[]){0, 0}, 2, 0.05, 28) == 1); /* more was spent than there was */
    assert_true(framefusion_share((const double[]){0, 0, 0}, 3, 0.5, 3) == 0); /* no layer is left */
}

/* Three frames of two cells and a marker: cell 0 stays, cell 1 changes, the marker stays. */
static void test_framefusion_merges_runs(void **state)
{
    (void)state;
    struct fake *fake = fake_new(3, 1, 2);
    const struct compressor *method = compressor_find("framefusion");
    static const float hidden[9][2] = {{1, 0}, {1, 0}, {0, 3}, {2, 0}, {0, 1}, {0, 3}, {6, 0}, {-1, 0}, {0, 3}};
    double values[COMPRESSOR_MOST_OPTIONS];
    struct layer_plan plan = {0};
    struct layer_want want = {0};
    struct err err = {0};
    resolve_options(method, "{\"cost\": 0.3, \"threshold\": 0.6}", values);
    fake->view.hidden = hidden[0];
    fake->view.d = 2;
    fake->view.memory = arena_alloc(&fake->arena, method->memory(values, 9, 28), 1);
    method->want(values, fake->view.memory, 0, POINT_PRE, 28, &want);
    assert_true(want.call && want.hidden && want.rows == ROWS_NONE);
    assert_int_equal(method->layer(values, POINT_PRE, &fake->view, &fake->arena, &plan, &err), 0);
    static const struct { uint32_t source, size; } left[] = {{0, 3}, {1, 1}, {2, 3}, {4, 1}, {7, 1}};
    assert_int_equal(plan.merge.n_tok, 5); /* 4 of 9 merge: less than 0.7 */
    for (size_t i = 0; i < 5; i++) {
        const struct out_tok *tok = &plan.merge.tok[i];
        assert_int_equal(plan.merge.taps[tok->row0].src, left[i].source); /* its place */
        assert_int_equal(tok->row1 - tok->row0, left[i].size);
        assert_int_equal(tok->size, left[i].size);
    }
    assert_true(plan.merge.taps[plan.merge.tok[0].row0].w == 1 / 3.0f);
    want = (struct layer_want){0};
    method->want(values, fake->view.memory, 0, POINT_MID, 28, &want);
    assert_true(want.call && want.rows == ROWS_NONE); /* there was much to merge: it goes on */
    fake_free(fake);
}

/* ---- composition --------------------------------------------------------------------------------------------------------- */

static int compose(const char *const *names, struct method *methods, int *n, struct err *err)
{
    for (*n = 0; names[*n]; ++*n) {
        methods[*n] = (struct method){.compressor = compressor_find(names[*n])};
        resolve_options(methods[*n].compressor, "{}", methods[*n].values);
    }
    return methods_resolve(methods, n, err);
}

static void test_composition(void **state)
{
    (void)state;
    struct method methods[MOST_METHODS];
    struct arena arena = {0};
    struct err err = {0};
    int n;
    assert_int_equal(compose((const char *const[]){"none", "dyntok", "fastv", NULL}, methods, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_string_equal(methods_name(methods, n, &arena), "dyntok + fastv");
    assert_string_equal(methods_label(methods, n, &arena), "dyntok threshold=0.6 + fastv keep=0.5");
    assert_non_null(strstr(methods_params(methods, n, &arena), "[{"));
    assert_ptr_equal(methods_find(methods, n, ROLE_LAYER), &methods[1]);
    assert_null(methods_find(methods, n, ROLE_DECODE));
    assert_int_equal(methods_spender(methods, n), 0);
    assert_int_equal(compose((const char *const[]){"pool", "framefusion", NULL}, methods, &n, &err), 0); /* a full grid, if a smaller one */
    assert_int_equal(compose((const char *const[]){"none", "none", NULL}, methods, &n, &err), 0);
    assert_int_equal(n, 1);
    static const char *const rivals[][3] = {{"fastv", "pyramiddrop", NULL}, {"dyntok", "dycoke", NULL}, {"dyntok", "uniform", NULL}, {"dyntok", "framefusion", NULL}, {"holitom", "fastv", NULL}};
    for (size_t i = 0; i < sizeof rivals / sizeof *rivals; i++) {
        assert_int_equal(compose(rivals[i], methods, &n, &err), ERR_CONFIG);
        assert_non_null(strstr(err.text, rivals[i][1]));
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fastv_keeps_the_best_and_all_markers),
        cmocka_unit_test(test_fastv_spends_budgets),
        cmocka_unit_test(test_fastv_favours_sizes),
        cmocka_unit_test(test_fastv_asks_once),
        cmocka_unit_test(test_pyramiddrop_golden_counts),
        cmocka_unit_test(test_pyramiddrop_refuses_stages_out_of_order),
        cmocka_unit_test(test_sparsevlm_golden_counts),
        cmocka_unit_test(test_sparsevlm_options),
        cmocka_unit_test(test_sparsevlm_counts_by_rank),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_holitom_folds_what_goes),
        cmocka_unit_test(test_flashvid_rounds_up),
        cmocka_unit_test(test_prunevid_keeps_of_each_set),
        cmocka_unit_test(test_inner_roles),
        cmocka_unit_test(test_dycoke_golden_counts),
        cmocka_unit_test(test_dycoke_keeps_what_is_new),
        cmocka_unit_test(test_dycoke_hides_and_holds),
        cmocka_unit_test(test_dycoke_roles),
        cmocka_unit_test(test_framefusion_golden_shares),
        cmocka_unit_test(test_framefusion_merges_runs),
        cmocka_unit_test(test_composition),
    };
    return cmocka_run_group_tests_name("inside", tests, NULL, NULL);
}
