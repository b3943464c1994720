/* What the tower knows beside X, against transformers (tests/fixtures/micro-head, recorded by tools/oracle/record_side.py): attention
 * received, keys, the pooling head; and that asking for it leaves every bit of the plain path alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"
#include "core/arena.h"
#include "core/json.h"
#include "datasets/video.h"
#include "engine/features.h"
#include "engine/safetensors.h"
#include "tests/support/micro.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 2, PATCHES = 729, GRID = 14, DX = 72, D = 64, DK = DX / 2 };

static struct safetensors *truth;
static char made[] = "/tmp/toksweep-test-XXXXXX"; /* micro-head put together */
static uint8_t resized[T][MICRO_SIZE * MICRO_SIZE * 3];
static const size_t patch[] = {0, 1, 26, 27, 100, 364, 365, 500, 701, 702, 727, 728}; /* record_stages.py: PATCHES */
enum { N_PATCH = sizeof patch / sizeof *patch };

struct tower { /* a model and room for what it says of a frame */
    struct model *model;
    struct vision_space *space;
    float X[PATCHES * DX], sal[PATCHES], keys[PATCHES * DX], kv[PATCHES * DX], probe[PATCHES], frame[DX];
};

static struct tower *tower_open(const char *folder, const char *isa, enum dtype dtype, int threads)
{
    struct err err = {0};
    const struct kernels *kernels;
    struct tower *tower = calloc(1, sizeof *tower);
    micro_check(kernels_open(&kernels, isa, &err), &err);
    micro_check(model_open(&tower->model, folder, kernels, dtype, &err), &err);
    tower->model->frames_at_once = T; /* as on a card */
    micro_check(vision_space_new(&tower->space, tower->model, threads, &err), &err);
    return tower;
}

static void tower_close(struct tower *tower)
{
    vision_space_free(tower->space);
    model_close(tower->model);
    free(tower);
}

static struct vision_side all_sides(struct tower *tower)
{
    bool pool = tower->model->vision_pool;
    return (struct vision_side){tower->sal, tower->keys, tower->kv, pool ? tower->probe : NULL, pool ? tower->frame : NULL};
}

static void look(struct tower *tower, int t)
{
    struct vision_side side = all_sides(tower);
    vision_encode(tower->model, tower->space, (const uint8_t *const[]){resized[t]}, 1, MICRO_SIZE, tower->X, &side, NULL, NULL);
}

/* Values of frame t, `n` of them, against the recorded tensor; relative to its largest. */
static void assert_frame(const char *name, int t, const float *ours, size_t n, double tolerance)
{
    struct err err = {0};
    const struct tensor *tensor = safetensors_find(truth, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->count, T * n);
    float *theirs = malloc(n * sizeof *theirs);
    micro_check(safetensors_read(truth, tensor, (size_t)t * n, n, theirs, &err), &err);
    micro_assert_close(name, ours, theirs, n, tolerance);
    free(theirs);
}

static void assert_patches(const char *name, int t, const float *ours, size_t width)
{
    float some[N_PATCH * DX];
    for (size_t i = 0; i < N_PATCH; i++)
        memcpy(some + i * width, ours + patch[i] * width, width * sizeof *some);
    assert_frame(name, t, some, N_PATCH * width, 1e-4);
}

static void compare_tower(const char *isa, enum dtype dtype)
{
    struct tower *tower = tower_open(made, isa, dtype, 1);
    assert_int_equal(tower->model->shape.vision.heads, 2);
    assert_non_null(tower->model->vision_pool);
    for (int t = 0; t < T; t++) {
        look(tower, t);
        if (dtype == DTYPE_BF16) { /* rounding all along the tower moves a weight by some percent */
            assert_frame("sal", t, tower->sal, PATCHES, 0.05);
            assert_frame("probe", t, tower->probe, PATCHES, 0.05);
            continue;
        }
        assert_patches("X", t, tower->X, DX);
        assert_frame("sal", t, tower->sal, PATCHES, 1e-4);
        assert_patches("keys", t, tower->keys, DX);
        assert_patches("kv", t, tower->kv, DK);
        assert_frame("probe", t, tower->probe, PATCHES, 1e-4);
        assert_frame("frame", t, tower->frame, DX, 1e-4);
    }
    tower_close(tower);
}

static void test_two_heads_and_a_pooling_head(void **state)
{
    (void)state;
    for (const char *const *isa = kernels_names(); *isa; isa++)
        if (kernels_runs(*isa)) {
            compare_tower(*isa, DTYPE_F32);
            compare_tower(*isa, DTYPE_BF16);
        }
}

static void test_one_head(void **state)
{
    (void)state;
    struct tower *tower = tower_open(FIXTURES_DIR "/micro", NULL, DTYPE_F32, 1);
    assert_null(tower->model->vision_pool);
    for (int t = 0; t < T; t++) {
        look(tower, t);
        assert_frame("one_head.sal", t, tower->sal, PATCHES, 1e-4);
        assert_memory_equal(tower->kv, tower->keys, sizeof tower->kv); /* the mean over one */
    }
    tower_close(tower);
}

static void test_threads_leave_bits_alone(void **state)
{
    (void)state;
    for (int d = 0; d < 2; d++) {
        struct tower *one = tower_open(made, NULL, d ? DTYPE_BF16 : DTYPE_F32, 1), *three = tower_open(made, NULL, d ? DTYPE_BF16 : DTYPE_F32, 3);
        look(one, 0);
        look(three, 0);
        assert_memory_equal(one->sal, three->sal, sizeof one->sal);
        assert_memory_equal(one->probe, three->probe, sizeof one->probe);
        assert_memory_equal(one->frame, three->frame, sizeof one->frame);
        tower_close(one);
        tower_close(three);
    }
}

/* ---- features ------------------------------------------------------------------------------------------------------------ */

enum { EVERYTHING = NEED_X_POOLED | NEED_X_RAW | NEED_H_POOLED | NEED_H_RAW | NEED_SAL_POOLED | NEED_SAL_RAW | NEED_KV_POOLED | NEED_KV_RAW | NEED_FRAME };

/* All frames in one pass: what `look` sees of them one by one is the same to the bit. */
static struct features *encode(struct tower *tower, const struct feature_grid *grids, size_t n_grids)
{
    static const size_t slots[T] = {0, 1};
    struct err err = {0};
    struct features *features;
    micro_check(features_new(&features, tower->model, T, grids, n_grids, &err), &err);
    micro_check(features_encode(features, tower->space, slots, T, resized[0], MICRO_SIZE, &err), &err);
    return features;
}

static struct vid_view view_of(struct features *features, size_t grid, unsigned needs, struct arena *arena)
{
    static const size_t slots[T] = {0, 1};
    struct err err = {0};
    struct vid_view view;
    micro_check(features_view(features, grid, slots, T, needs, arena, &view, &err), &err);
    return view;
}

static void test_views_and_pooling(void **state)
{
    (void)state;
    struct tower *tower = tower_open(made, NULL, DTYPE_F32, 1);
    struct arena arena = {0};
    struct feature_grid grids[2] = {{.mode = POOL_BILINEAR, .stride = 2, .keep = EVERYTHING | NEED_PROBE_POOLED | NEED_KEYS_RAW}};
    grids[1] = grids[0];
    grids[1].mode = POOL_AVERAGE;
    struct features *features = encode(tower, grids, 2);
    struct vid_view view = view_of(features, 0, EVERYTHING, &arena), average = view_of(features, 1, NEED_SAL_POOLED, &arena);
    struct vid_view wide = view_of(features, 0, NEED_KEYS_RAW, &arena), probe = view_of(features, 0, NEED_PROBE_POOLED, &arena);
    assert_int_equal(view.pooled.dk, DK);
    assert_int_equal(wide.raw.dk, DX);
    assert_null(wide.raw.X);
    assert_ptr_equal(view.raw.frame, view.pooled.frame);
    for (int t = 0; t < T; t++) {
        look(tower, t);
        assert_memory_equal(view.raw.sal + t * PATCHES, tower->sal, sizeof tower->sal);
        assert_memory_equal(view.raw.kv + t * PATCHES * DK, tower->kv, PATCHES * DK * sizeof(float));
        assert_memory_equal(wide.raw.kv + t * PATCHES * DX, tower->keys, sizeof tower->keys);
        assert_memory_equal(view.pooled.frame + t * DX, tower->frame, sizeof tower->frame);
        assert_frame("pool.sal", t, view.pooled.sal + t * GRID * GRID, GRID * GRID, 1e-4);
        assert_frame("pool.probe", t, probe.pooled.sal + t * GRID * GRID, GRID * GRID, 1e-4);
        float rows[4][GRID * DK];
        for (int i = 0; i < 4; i++)
            memcpy(rows[i], view.pooled.kv + (t * GRID + 4 * i) * GRID * DK, sizeof rows[i]);
        assert_frame("pool.kv_every_4th_row", t, rows[0], 4 * GRID * DK, 1e-4);
        const float *sal = tower->sal;
        float mean = (sal[0] + sal[1] + sal[27] + sal[28]) / 4;
        assert_true(fabsf(average.pooled.sal[t * 13 * 13] - mean) <= 1e-6f * mean);
    }
    features_free(features);
    arena_free(&arena);
    tower_close(tower);
}

static void assert_same(const char *what, const float *a, const float *b, size_t n)
{
    if (memcmp(a, b, n * sizeof *a))
        fail_msg("%s: bits differ", what);
}

/* X and H are the same to the bit whether or not anything else is asked for. */
static void test_plain_path_keeps_its_bits(void **state)
{
    (void)state;
    struct feature_grid plain = {.mode = POOL_BILINEAR, .stride = 2, .keep = NEED_X_POOLED | NEED_X_RAW | NEED_H_RAW}, rich = plain;
    rich.keep = EVERYTHING | NEED_PROBE_POOLED | NEED_KEYS_RAW;
    for (int d = 0; d < 2; d++) {
        struct tower *tower = tower_open(made, NULL, d ? DTYPE_BF16 : DTYPE_F32, 1);
        struct arena arena = {0};
        unsigned needs = NEED_X_POOLED | NEED_X_RAW | NEED_H_POOLED | NEED_H_RAW;
        struct features *a = encode(tower, &plain, 1), *b = encode(tower, &rich, 1);
        struct vid_view p = view_of(a, 0, needs, &arena), q = view_of(b, 0, needs, &arena);
        assert_same("pooled X", p.pooled.X, q.pooled.X, T * GRID * GRID * DX);
        assert_same("raw X", p.raw.X, q.raw.X, T * PATCHES * DX);
        assert_same("pooled H", p.pooled.H, q.pooled.H, T * GRID * GRID * D);
        assert_same("raw H", p.raw.H, q.raw.H, T * PATCHES * D);
        features_free(a);
        features_free(b);
        arena_free(&arena);
        tower_close(tower);
    }
}

static void test_what_a_checkpoint_lacks_is_named(void **state)
{
    (void)state;
    struct tower *tower = tower_open(FIXTURES_DIR "/micro", NULL, DTYPE_F32, 1);
    struct err err = {0};
    assert_int_equal(features_check(tower->model, NEED_SAL_RAW | NEED_KV_POOLED | NEED_X_POST_NORM, &err), 0);
    assert_int_equal(features_check(tower->model, NEED_FRAME, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "pooling head"));
    assert_int_equal(features_check(tower->model, NEED_PROBE_POOLED, &err), ERR_CONFIG);
    tower_close(tower);
}

/* Tokens made of X before the projector: projected together, each as it would be alone. */
static void test_tokens_of_x_are_projected(void **state)
{
    (void)state;
    struct err err = {0};
    static const size_t slots[T] = {0, 1};
    enum { N = 800 }; /* more than the tower has patches, markers among them */
    struct feature_grid grid = {.mode = POOL_BILINEAR, .stride = 2, .keep = NEED_X_RAW};
    struct tower *tower = tower_open(made, NULL, DTYPE_F32, 1);
    struct features *features = encode(tower, &grid, 1);
    struct arena arena = {0};
    struct tok_plan plan;
    assert_true(tok_plan_reserve(&plan, T, 27, 27, N, 2 * N, &arena));
    plan.dom = DOM_X_RAW;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t source = i * 7 % (T * PATCHES), first = (uint32_t)plan.n_taps;
        plan.taps[plan.n_taps++] = (struct tap){source, 0.75f};
        plan.taps[plan.n_taps++] = (struct tap){(source + 5) % (T * PATCHES), 0.5f};
        int t = (int)source / PATCHES, y = (int)source / 27 % 27, x = (int)source % 27;
        tok_plan_push(&plan, first, t, t + 1, y, y + 1, x, x + 1, source, 2);
    }
    assert_true(tok_plan_layout(&plan, NEWLINE_FRAME, &arena));
    float *all = arena_alloc(&arena, plan.n_tok * D, sizeof *all), one[D];
    micro_check(features_apply(features, tower->space, 0, slots, &plan, 0, plan.n_tok, all, &err), &err);
    for (size_t i = 0; i < plan.n_tok; i++) {
        micro_check(features_apply(features, tower->space, 0, slots, &plan, i, 1, one, &err), &err);
        assert_same("a token of X", one, all + i * D, D);
    }
    struct vid_view view = view_of(features, 0, NEED_X_RAW, &arena);
    const struct tap *tap = plan.taps + plan.tok[0].row0;
    float sum[DX], projected[D];
    for (size_t c = 0; c < DX; c++)
        sum[c] = tap[0].w * view.raw.X[tap[0].src * DX + c] + tap[1].w * view.raw.X[tap[1].src * DX + c];
    vision_project(tower->model, tower->space, sum, 1, projected);
    micro_assert_close("the projected sum", all, projected, D, 1e-6);
    features_free(features);
    arena_free(&arena);
    tower_close(tower);
}

static int open_all(void **state)
{
    (void)state;
    struct err err = {0};
    micro_frames(T, resized[0]);
    micro_put_together(made, FIXTURES_DIR "/micro-head", "head.safetensors");
    micro_check(safetensors_open_file(&truth, FIXTURES_DIR "/micro-head/side.safetensors", &err), &err);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    safetensors_close(truth);
    micro_take_apart(made, "head.safetensors");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_heads_and_a_pooling_head), cmocka_unit_test(test_one_head),
        cmocka_unit_test(test_threads_leave_bits_alone),     cmocka_unit_test(test_views_and_pooling),
        cmocka_unit_test(test_plain_path_keeps_its_bits),    cmocka_unit_test(test_what_a_checkpoint_lacks_is_named),
        cmocka_unit_test(test_tokens_of_x_are_projected),
    };
    return cmocka_run_group_tests_name("side", tests, open_all, close_all);
}
