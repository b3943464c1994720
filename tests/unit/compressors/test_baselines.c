/* Methods that act before the language model: golden vectors, exact counts, and what each promises alone. */
#include "tests/unit/compressors/videos.h"

#include "core/digest.h"

#include <math.h>

static size_t taps_of(const struct out_tok *tok)
{
    return tok->row1 - tok->row0;
}

static double weight_of(const struct tok_plan *plan, size_t i)
{
    double sum = 0;
    for (uint32_t k = plan->tok[i].row0; k < plan->tok[i].row1; k++)
        sum += (double)plan->taps[k].w;
    return sum;
}

/* The plan keeps what the other keeps. */
static void expect_nested(const struct tok_plan *few, const struct tok_plan *many)
{
    for (size_t i = 0; i < few->n_taps; i++) {
        bool found = false;
        for (size_t k = 0; k < many->n_taps; k++)
            found |= many->taps[k].src == few->taps[i].src;
        assert_true(found);
    }
}

static void plan_digest(const struct tok_plan *plan, char *out)
{
    static const uint32_t frames[16] = {0};
    struct digest *digest = digest_new();
    assert_non_null(digest);
    tok_plan_digest(plan, frames, digest);
    digest_finish(digest, out);
}

/* Settings that keep everything give the tokens of `none`: the same digest, and so the same prefill. */
static void test_keeping_everything(void **state)
{
    (void)state;
    static const struct { const char *name, *options; } cases[] = {
        {"visionzip", "{\"keep\": 1}"},
        {"visionzip", "{\"dominant\": 65536, \"contextual\": 0}"},
        {"holitom", "{\"keep\": 1, \"tau\": 2}"},
        {"prunevid", "{\"tau\": 2, \"least\": 65536}"},
        {"scissor", "{\"threshold\": 2}"},
        {"sttm", "{\"layer\": 0, \"spatial\": 2, \"temporal\": 0}"},
        {"flashvid", "{\"keep\": 1, \"expansion\": 1, \"alpha\": 1}"},
        {"divprune", "{\"keep\": 1}"},
        {"divprune", "{\"keep\": 1, \"per\": \"frame\"}"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct arena arena = {0};
        char wanted[DIGEST_HEX], found[DIGEST_HEX];
        struct vid_view video = random_video(c, 3, 9, 9, POOL_BILINEAR, FEATURES_RANDOM, &arena);
        struct tok_plan none = plan_with("none", "{}", &video, NULL, NEWLINE_GRID, &arena);
        struct tok_plan plan = plan_with(cases[c].name, cases[c].options, &video, NULL, NEWLINE_GRID, &arena);
        plan_digest(&none, wanted);
        plan_digest(&plan, found);
        if (strcmp(wanted, found))
            fail_msg("%s %s is not none", cases[c].name, cases[c].options);
        arena_free(&arena);
    }
}

/* Greedy choices and choices by score: what is kept of a smaller budget is kept of a larger one. */
static void test_nested_selections(void **state)
{
    (void)state;
    static const struct { const char *name, *few, *many; size_t n_few, n_many; } cases[] = {
        {"visionzip", "{\"dominant\": 9, \"contextual\": 0}", "{\"dominant\": 10, \"contextual\": 0}", 27, 30},
        {"divprune", "{\"keep\": 0.25}", "{\"keep\": 0.26}", 27, 28},
        {"divprune", "{\"keep\": 0.25, \"per\": \"frame\"}", "{\"keep\": 0.3, \"per\": \"frame\"}", 27, 33},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct arena arena = {0};
        struct vid_view video = random_video(c, 3, 6, 6, POOL_NONE, FEATURES_RANDOM, &arena);
        struct tok_plan few = plan_with(cases[c].name, cases[c].few, &video, NULL, NEWLINE_NO, &arena);
        struct tok_plan many = plan_with(cases[c].name, cases[c].many, &video, NULL, NEWLINE_NO, &arena);
        assert_int_equal(few.n_tok, cases[c].n_few);
        assert_int_equal(many.n_tok, cases[c].n_many);
        expect_nested(&few, &many);
        arena_free(&arena);
    }
}

/* ---- visionzip ----------------------------------------------------------------------------------------------------------- */

static void test_visionzip_golden_split(void **state)
{
    (void)state;
    static const struct { uint32_t tokens; size_t dominant, contextual; } cases[] = {{0, 0, 0},  {1, 0, 1},   {6, 5, 1},   {7, 6, 1},
                                                                                    {13, 11, 2}, {14, 12, 2}, {78, 66, 12}, {196, 168, 28}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct arena arena = {0};
        struct vid_view video = random_video(c, 1, 14, 14, POOL_NONE, FEATURES_RANDOM, &arena);
        struct budget budget = {.T = 1, .total = cases[c].tokens, .per_frame = &cases[c].tokens};
        struct tok_plan plan = plan_with("visionzip", "{\"order\": \"made\"}", &video, &budget, NEWLINE_NO, &arena);
        assert_int_equal(plan.n_tok, cases[c].dominant + cases[c].contextual);
        for (size_t i = 0; i < plan.n_tok; i++) { /* dominant ones come first, each by itself; a merged one weighs 2 */
            if (i < cases[c].dominant && (taps_of(&plan.tok[i]) != 1 || plan.taps[plan.tok[i].row0].w != 1))
                fail_msg("token %zu of %u is not dominant", i, cases[c].tokens);
            if (i >= cases[c].dominant && fabs(weight_of(&plan, i) - (taps_of(&plan.tok[i]) > 1 ? 2 : 1)) > 1e-5)
                fail_msg("token %zu of %u weighs %g", i, cases[c].tokens, weight_of(&plan, i));
        }
        arena_free(&arena);
    }
}

/* N = 196, 42 dominant, 7 contextual: step 22, targets R[0], R[22], ... R[132]; every token is in one place. */
static void test_visionzip_golden_targets(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(3, 1, 14, 14, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan plan = plan_with("visionzip", "{\"dominant\": 42, \"contextual\": 7, \"order\": \"made\"}", &video, NULL, NEWLINE_NO, &arena);
    bool dominant[196] = {false};
    uint32_t rest[196];
    size_t n_rest = 0, sources = 0;
    assert_int_equal(plan.n_tok, 49);
    for (size_t i = 0; i < 42; i++)
        dominant[plan.tok[i].rep] = true;
    for (uint32_t p = 0; p < 196; p++)
        if (!dominant[p])
            rest[n_rest++] = p;
    assert_int_equal(n_rest, 154);
    for (size_t k = 0; k < 7; k++)
        assert_int_equal(plan.tok[42 + k].rep, rest[22 * k]);
    for (size_t i = 0; i < plan.n_tok; i++)
        sources += taps_of(&plan.tok[i]);
    assert_int_equal(sources, 196);
    arena_free(&arena);
}

/* Rows that keep nothing keep their marker, or lose it. */
static void test_visionzip_markers(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(5, 2, 6, 6, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan all = plan_with("visionzip", "{\"keep\": 0.05}", &video, NULL, NEWLINE_GRID, &arena);
    struct tok_plan kept = plan_with("visionzip", "{\"keep\": 0.05, \"markers\": \"kept\"}", &video, NULL, NEWLINE_GRID, &arena);
    struct tok_plan made = plan_with("visionzip", "{\"keep\": 0.05, \"order\": \"made\"}", &video, NULL, NEWLINE_GRID, &arena);
    assert_int_equal(markers_of(&all), 12);
    assert_in_range(markers_of(&kept), 1, content_of(&kept));
    assert_int_equal(markers_of(&made), 1);
    arena_free(&arena);
}

static void test_visionzip_counts_go_together(void **state)
{
    (void)state;
    static const char options[] = "{\"dominant\": 5}";
    const struct compressor *method = compressor_find("visionzip");
    double values[COMPRESSOR_MOST_OPTIONS];
    struct json *json;
    struct err err = {0};
    assert_int_equal(json_parse(&json, options, strlen(options), "options", &err), 0);
    assert_int_equal(compressor_resolve(method, json, NULL, values, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "give both"));
    json_free(json);
}

/* ---- prumerge ------------------------------------------------------------------------------------------------------------ */

/* A kept token and its neighbours by their saliency; one token more, of all that were dropped; nothing stands out of equal saliency. */
static void test_prumerge_weights(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(6, 2, 7, 7, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan plan = plan_with("prumerge", "{\"keep\": 0.1, \"neighbours\": 5, \"order\": \"made\"}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(plan.n_tok, 2 * (4 + 1));
    for (size_t i = 0; i < plan.n_tok; i++) {
        const struct out_tok *tok = &plan.tok[i];
        bool extra = i % 5 == 4;
        assert_int_equal(taps_of(tok), extra ? 45 : 6);
        for (uint32_t k = tok->row0; k < tok->row1; k++)
            assert_true(plan.taps[k].w == (!extra && k == tok->row0 ? 1 : video.raw.sal[plan.taps[k].src]));
    }
    video = random_video(6, 2, 7, 7, POOL_NONE, FEATURES_EQUAL, &arena);
    plan = plan_with("prumerge", "{}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(plan.n_tok, 2);
    arena_free(&arena);
}

/* ---- vidcom2 ------------------------------------------------------------------------------------------------------------- */

static size_t tokens_of_frame(const struct tok_plan *plan, int t)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_tok; i++)
        n += plan->tok[i].t0 == t;
    return n;
}

/* A frame unlike the others gets more; without a temperature to speak of, all get the same. */
static void test_vidcom2_shares(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(8, 4, 6, 6, POOL_NONE, FEATURES_EQUAL, &arena);
    size_t d = (size_t)video.pooled.d;
    float *H = arena_alloc(&arena, 4 * 36 * d, sizeof *H);
    for (size_t i = 0; i < 4 * 36 * d; i++)
        H[i] = (i / (36 * d) == 2 ? -1.0f : 1.0f) + (float)(i % 7) * 0.01f;
    video.pooled.H = H;
    struct tok_plan plan = plan_with("vidcom2", "{\"keep\": 0.25}", &video, NULL, NEWLINE_NO, &arena);
    struct tok_plan equal = plan_with("vidcom2", "{\"keep\": 0.25, \"temperature\": 1e6}", &video, NULL, NEWLINE_NO, &arena);
    for (int t = 0; t < 4; t++) {
        assert_int_equal(tokens_of_frame(&plan, t), t == 2 ? 16 : 7); /* 0.25 (1 + 1 - 1/4) 36 and 0.25 (1 - 1/4) 36, rounded half to even */
        assert_int_equal(tokens_of_frame(&equal, t), 9);
    }
    struct tok_plan least = plan_with("vidcom2", "{\"keep\": 0}", &video, NULL, NEWLINE_GRID, &arena);
    assert_int_equal(content_of(&least), 4);
    assert_int_equal(markers_of(&least), 24);
    arena_free(&arena);
}

/* ---- fastvid ------------------------------------------------------------------------------------------------------------- */

/* int(0.1 * 196) = 19 = 12 salient + 7 context tokens of a frame. */
static void test_fastvid_golden_split(void **state)
{
    (void)state;
    static const char *const programs[] = {"{\"program\": \"onevision\"}", "{\"program\": \"video\"}"};
    for (int p = 0; p < 2; p++)
        for (int T = 1; T <= 8; T += 7) { /* every frame a segment */
            struct arena arena = {0};
            struct vid_view video = random_video(9, T, 14, 14, POOL_NONE, FEATURES_RANDOM, &arena);
            struct tok_plan plan = plan_with("fastvid", programs[p], &video, NULL, NEWLINE_NO, &arena);
            size_t whole = 0;
            assert_int_equal(plan.n_tok, 19 * T);
            for (size_t i = 0; i < plan.n_tok; i++)
                whole += taps_of(&plan.tok[i]) == 1 && plan.taps[plan.tok[i].row0].w == 1;
            assert_in_range(whole, 12 * T, 19 * T - 1);
            arena_free(&arena);
        }
}

/* Survivors keep their positions, and so does the text behind them. */
static void test_fastvid_positions(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(10, 3, 6, 6, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan plan = plan_with("fastvid", "{\"keep\": 0.2}", &video, NULL, NEWLINE_ONE, &arena);
    assert_non_null(plan.position);
    for (size_t i = 0; i + 1 < plan.n_tok; i++)
        assert_int_equal(plan.position[i], plan.tok[i].rep);
    assert_int_equal(plan.end_position, 3 * 36 + 1);
    plan = plan_with("fastvid", "{\"keep\": 0.2, \"positions\": \"compact\"}", &video, NULL, NEWLINE_ONE, &arena);
    assert_null(plan.position);
    arena_free(&arena);
}

/* ---- holitom ------------------------------------------------------------------------------------------------------------- */

/* A still video is one window whose cells all stay; its share is taken of what is left. */
static void test_holitom_still_video(void **state)
{
    (void)state;
    static const struct { const char *options; size_t tokens; } cases[] = {
        {"{\"keep\": 0.2}", 29},                      /* 36 cells, 0.2 / (36 / 144) of them */
        {"{\"keep\": 0.25}", 36},
        {"{\"keep\": 0.2, \"most_frames\": 2}", 28},  /* two windows, 0.2 / (72 / 144) of 36 cells each */
        {"{\"keep\": 0.2, \"most_frames\": 1}", 32},  /* ceil(0.2 * 36) of each frame */
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct arena arena = {0};
        struct vid_view video = random_video(11, 4, 6, 6, POOL_NONE, FEATURES_RANDOM, &arena);
        size_t frame = 36 * (size_t)video.pooled.d;
        float *H = arena_alloc(&arena, 4 * frame, sizeof *H);
        for (size_t t = 0; t < 4; t++)
            memcpy(H + t * frame, video.pooled.H, frame * sizeof *H);
        video.pooled.H = H;
        struct tok_plan plan = plan_with("holitom", cases[c].options, &video, NULL, NEWLINE_NO, &arena);
        assert_int_equal(plan.n_tok, cases[c].tokens);
        arena_free(&arena);
    }
}

/* ---- scissor ------------------------------------------------------------------------------------------------------------- */

/* Everything linked is one token, the mean of all; more is left at a higher threshold, at the ends of its range. */
static void test_scissor_ends(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(12, 3, 5, 5, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan one = plan_with("scissor", "{\"threshold\": -2}", &video, NULL, NEWLINE_NO, &arena);
    assert_int_equal(one.n_tok, 1);
    assert_int_equal(one.tok[0].size, 75);
    for (size_t i = 0; i < one.n_taps; i++)
        assert_true(fabsf(one.taps[i].w - 1 / 75.0f) < 1e-6f);
    video = random_video(12, 3, 5, 5, POOL_NONE, FEATURES_EQUAL, &arena);
    assert_int_equal(plan_with("scissor", "{}", &video, NULL, NEWLINE_NO, &arena).n_tok, 1);
    arena_free(&arena);
}

/* ---- sttm ---------------------------------------------------------------------------------------------------------------- */

/* Every token of `fine` lies in one of `coarse`. */
static void expect_refined(const struct tok_plan *coarse, const struct tok_plan *fine, size_t n, struct arena *arena)
{
    uint32_t *of = arena_alloc(arena, n, sizeof *of);
    for (size_t i = 0; i < coarse->n_tok; i++)
        for (uint32_t k = coarse->tok[i].row0; k < coarse->tok[i].row1; k++)
            of[coarse->taps[k].src] = (uint32_t)i;
    for (size_t i = 0; i < fine->n_tok; i++)
        for (uint32_t k = fine->tok[i].row0; k < fine->tok[i].row1; k++)
            assert_int_equal(of[fine->taps[k].src], of[fine->tok[i].rep]);
}

static void test_sttm_spatial_thresholds_refine(void **state)
{
    (void)state;
    static const char *const options[] = {"{\"layer\": 0, \"temporal\": 0, \"root\": 0, \"spatial\": -2}",
                                          "{\"layer\": 0, \"temporal\": 0, \"root\": 0, \"spatial\": 0.3}",
                                          "{\"layer\": 0, \"temporal\": 0, \"root\": 0, \"spatial\": 0.6}",
                                          "{\"layer\": 0, \"temporal\": 0, \"root\": 0, \"spatial\": 0.9}"};
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct arena arena = {0};
        struct vid_view video = random_video(seed, 2, 14, 14, POOL_NONE, FEATURES_RANDOM, &arena);
        struct tok_plan plan[4];
        for (int i = 0; i < 4; i++)
            plan[i] = plan_with("sttm", options[i], &video, NULL, NEWLINE_NO, &arena);
        assert_int_equal(plan[0].n_tok, 2 * 4); /* the largest blocks */
        for (int i = 0; i < 3; i++) {
            assert_true(plan[i].n_tok <= plan[i + 1].n_tok);
            expect_refined(&plan[i], &plan[i + 1], 2 * 196, &arena);
        }
        arena_free(&arena);
    }
}

/* Before a layer it makes of hidden rows what it makes of features, and leaves markers where they are. */
static void test_sttm_between_layers(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(13, 3, 7, 7, POOL_NONE, FEATURES_RANDOM, &arena);
    const struct compressor *sttm = compressor_find("sttm");
    struct tok_plan wanted = plan_with("sttm", "{\"layer\": 0, \"spatial\": 0.4}", &video, NULL, NEWLINE_NO, &arena);
    struct tok_plan all = plan_with("none", "{}", &video, NULL, NEWLINE_GRID, &arena);
    size_t d = (size_t)video.pooled.d;
    float *hidden = arena_alloc(&arena, all.n_tok * d, sizeof *hidden);
    for (size_t i = 0; i < all.n_tok; i++)
        if (all.tok[i].kind == TOK_VISUAL)
            memcpy(hidden + i * d, video.pooled.H + all.tok[i].rep * d, d * sizeof *hidden);
    struct layer_view view = {.layer = 2, .n_layers = 4, .T = 3, .h = 7, .w = 7, .n = all.n_tok, .tok = all.tok, .d = (int)d, .hidden = hidden};
    struct layer_plan plan = {0};
    struct layer_want want = {0};
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    resolve_options(sttm, "{\"spatial\": 0.4}", values);
    assert_int_equal(compressor_roles(sttm, values), ROLE_LAYER);
    sttm->want(values, NULL, 2, POINT_PRE, 4, &want);
    assert_true(want.call && want.hidden && !want.question && want.rows == ROWS_NONE);
    assert_int_equal(sttm->layer(values, POINT_PRE, &view, &arena, &plan, &err), 0);
    assert_int_equal(plan.merge.n_tok, wanted.n_tok + 21);
    for (size_t i = 0, k = 0; i < plan.merge.n_tok; i++) {
        const struct out_tok *tok = &plan.merge.tok[i];
        if (tok->kind != TOK_VISUAL)
            continue;
        const struct out_tok *like = &wanted.tok[k++];
        assert_int_equal(tok->rep, like->rep);
        assert_int_equal(tok->size, like->size);
        assert_int_equal(taps_of(tok), taps_of(like));
        for (uint32_t j = 0; j < taps_of(tok); j++) {
            assert_int_equal(all.tok[plan.merge.taps[tok->row0 + j].src].rep, wanted.taps[like->row0 + j].src);
            assert_true(plan.merge.taps[tok->row0 + j].w == wanted.taps[like->row0 + j].w);
        }
    }
    arena_free(&arena);
}

/* ---- pact ---------------------------------------------------------------------------------------------------------------- */

/* Centres are farther apart than the cutoff, members within its reach; markers stay and are counted nowhere. */
static void test_pact_clusters(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(14, 2, 7, 7, POOL_NONE, FEATURES_RANDOM, &arena);
    struct tok_plan all = plan_with("none", "{}", &video, NULL, NEWLINE_GRID, &arena);
    enum { D = 16, DK = 6 };
    float *hidden = arena_alloc(&arena, all.n_tok * D, sizeof *hidden), *key = arena_alloc(&arena, all.n_tok * DK, sizeof *key);
    float *row = arena_alloc(&arena, all.n_tok, sizeof *row);
    for (size_t i = 0; i < all.n_tok; i++) {
        memcpy(hidden + i * D, video.pooled.H + all.tok[i].rep * D, D * sizeof *hidden);
        memcpy(key + i * DK, video.pooled.kv + all.tok[i].rep * DK, DK * sizeof *key);
        row[i] = video.pooled.sal[all.tok[i].rep];
    }
    struct layer_view view = {.layer = 4, .n_layers = 28, .T = 2, .h = 7, .w = 7, .n = all.n_tok, .tok = all.tok, .d = D, .hidden = hidden,
                              .key_dim = DK, .keys_after = key, .heads = 1, .n_rows = 1, .rows = row};
    struct layer_plan plan = {0};
    double values[COMPRESSOR_MOST_OPTIONS];
    struct err err = {0};
    resolve_options(compressor_find("pact"), "{\"cutoff\": 0.2}", values);
    assert_int_equal(compressor_find("pact")->layer(values, POINT_PRE, &view, &arena, &plan, &err), 0);
    assert_true(plan.merge.size_bias);
    assert_int_equal(plan.merge.positions, POSITIONS_KEEP);
    assert_int_equal(markers_of(&plan.merge), 14);
    for (size_t i = 0; i < plan.merge.n_tok; i++) {
        const struct out_tok *tok = &plan.merge.tok[i];
        assert_int_equal(tok->size, taps_of(tok));
        for (size_t k = 0; k < plan.merge.n_tok && tok->kind == TOK_VISUAL; k++) {
            const float *a = video.pooled.kv + tok->rep * DK, *b = video.pooled.kv + plan.merge.tok[k].rep * DK;
            double dot = 0, aa = 0, bb = 0;
            for (int c = 0; c < DK; c++) {
                dot += (double)(a[c] * b[c]);
                aa += (double)(a[c] * a[c]);
                bb += (double)(b[c] * b[c]);
            }
            if (k != i && plan.merge.tok[k].kind == TOK_VISUAL && 1 - dot / sqrt(aa * bb) < 0.2 - 1e-5)
                fail_msg("centres %u and %u are near each other", tok->rep, plan.merge.tok[k].rep);
        }
    }
    arena_free(&arena);
}

/* ---- flashvid ------------------------------------------------------------------------------------------------------------ */

/* ceil(1.25 keep hw) tokens a frame, of which ceil(alpha) are sources as they are; a still video's trees run through a whole segment. */
static void test_flashvid_still_video(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct vid_view video = random_video(15, 5, 6, 6, POOL_NONE, FEATURES_RANDOM, &arena);
    size_t frame = 36 * (size_t)video.pooled.d, merged = 0, sources = 0;
    float *H = arena_alloc(&arena, 5 * frame, sizeof *H);
    for (size_t t = 0; t < 5; t++)
        memcpy(H + t * frame, video.pooled.H, frame * sizeof *H);
    video.pooled.H = H;
    struct tok_plan plan = plan_with("flashvid", "{\"keep\": 0.2, \"select\": \"div\", \"segments\": 1, \"form\": \"intended\"}", &video, NULL,
                                     NEWLINE_NO, &arena);
    for (size_t i = 0; i < plan.n_tok; i++) {
        merged += taps_of(&plan.tok[i]) > 1;
        sources += taps_of(&plan.tok[i]);
    }
    assert_int_equal(plan.n_tok - merged, 5 * 7); /* ceil(0.7 * ceil(0.2 * 36 * 1.25)) */
    assert_int_equal(sources, 5 * 36);
    assert_in_range(merged, 1, 5 * 2);
    arena_free(&arena);
}

/* ---- what the plan command says ------------------------------------------------------------------------------------------ */

/* Ratios said to be exact are. */
static void test_expected_ratios(void **state)
{
    (void)state;
    static const struct { const char *name, *options; } cases[] = {
        {"visionzip", "{}"},
        {"visionzip", "{\"dominant\": 7, \"contextual\": 3, \"order\": \"made\"}"},
        {"visionzip", "{\"keep\": 0.1, \"grid\": \"raw\"}"},
        {"prumerge", "{\"keep\": 0.15, \"markers\": \"all\"}"},
        {"prumerge", "{\"keep\": 1, \"order\": \"made\", \"markers\": \"all\"}"},
        {"divprune", "{}"},
        {"divprune", "{\"keep\": 0.3, \"per\": \"frame\"}"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (enum newline newline = NEWLINE_GRID; newline <= NEWLINE_NO; newline++) {
            struct arena arena = {0};
            struct vid_view video = random_video(c, 4, 9, 9, POOL_BILINEAR, FEATURES_RANDOM, &arena);
            const struct compressor *method = compressor_find(cases[c].name);
            double values[COMPRESSOR_MOST_OPTIONS];
            const char *source;
            size_t content, markers;
            struct tok_plan plan = plan_with(cases[c].name, cases[c].options, &video, NULL, newline, &arena);
            resolve_options(method, cases[c].options, values);
            newline_count(newline, video.T, video.pooled.h, video.pooled.w, &content, &markers);
            double ratio = method->expected_ratio(values, &video, newline, &source), is = (double)plan.n_tok / (double)(content + markers);
            assert_string_equal(source, "exact");
            if (fabs(ratio - is) > 1e-9)
                fail_msg("%s %s, %s: %g, not %g", cases[c].name, cases[c].options, newline_name(newline), is, ratio);
            arena_free(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeping_everything),
        cmocka_unit_test(test_nested_selections),
        cmocka_unit_test(test_visionzip_golden_split),
        cmocka_unit_test(test_visionzip_golden_targets),
        cmocka_unit_test(test_visionzip_markers),
        cmocka_unit_test(test_visionzip_counts_go_together),
        cmocka_unit_test(test_prumerge_weights),
        cmocka_unit_test(test_vidcom2_shares),
        cmocka_unit_test(test_fastvid_golden_split),
        cmocka_unit_test(test_fastvid_positions),
        cmocka_unit_test(test_holitom_still_video),
        cmocka_unit_test(test_scissor_ends),
        cmocka_unit_test(test_sttm_spatial_thresholds_refine),
        cmocka_unit_test(test_sttm_between_layers),
        cmocka_unit_test(test_pact_clusters),
        cmocka_unit_test(test_flashvid_still_video),
        cmocka_unit_test(test_expected_ratios),
    };
    return cmocka_run_group_tests_name("baselines", tests, NULL, NULL);
}
