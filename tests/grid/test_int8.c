/* What int8 costs: each stage of the micro checkpoint in bf16 and in int8 beside f32, held below stated bounds; the same bits for any
 * threads and chunks; and memory as it is announced. The table that docs/numbers.md shows is what this prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/generate.h"
#include "engine/language.h"
#include "engine/vision.h"
#include "tests/support/micro.h"

#define MICRO FIXTURES_DIR "/micro"

enum { ROWS = 150 };

/* What a model makes of one frame, and of some of its patches as rows of the language model. */
struct stages {
    size_t n_X, n_P, n_last, n_logits;
    float *X, *P, *last, *logits;
};

static const struct kernels *kernels;
static uint8_t frame[MICRO_SIZE * MICRO_SIZE * 3];

static struct model *open_model(enum dtype dtype)
{
    struct err err = {0};
    struct model *model;
    micro_check(model_open(&model, MICRO, kernels, dtype, &err), &err);
    return model;
}

static float *floats(size_t n)
{
    float *values = calloc(n, sizeof *values);
    assert_non_null(values);
    return values;
}

/* Rows go in `piece` by piece. */
static void run_language(const struct model *model, struct stages *out, size_t piece, int threads)
{
    struct err err = {0};
    struct language_state *state;
    float *rows = floats(out->n_P);
    memcpy(rows, out->P, out->n_P * sizeof *rows);
    micro_check(language_state_new(&state, model, ROWS, ROWS, threads, &err), &err);
    for (size_t first = 0; first < ROWS; first += piece) {
        size_t n = ROWS - first < piece ? ROWS - first : piece;
        language_prefill(model, state, rows + first * out->n_last, n, NULL, (uint32_t)first, out->last, NULL, NULL);
    }
    language_logits(model, state, out->last, out->logits);
    language_state_free(state);
    free(rows);
}

static struct stages run_stages(const struct model *model, size_t piece, int threads)
{
    struct err err = {0};
    struct vision_space *space;
    size_t patches = (size_t)(model->shape.vision.side * model->shape.vision.side), d = (size_t)model->shape.language.width;
    struct stages s = {.n_X = patches * (size_t)model->shape.vision.width, .n_P = patches * d, .n_last = d, .n_logits = model->head.n_out};
    s.X = floats(s.n_X), s.P = floats(s.n_P), s.last = floats(s.n_last), s.logits = floats(s.n_logits);
    micro_check(vision_space_new(&space, model, threads, &err), &err);
    vision_encode(model, space, (const uint8_t *const[]){frame}, 1, MICRO_SIZE, s.X, NULL, NULL, NULL);
    vision_project(model, space, s.X, patches, s.P);
    vision_space_free(space);
    run_language(model, &s, piece, threads);
    return s;
}

static void stages_free(struct stages *s)
{
    free(s->X);
    free(s->P);
    free(s->last);
    free(s->logits);
}

/* Root of the mean square of the difference over that of the truth. */
static double relative(const float *ours, const float *truth, size_t n)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)ours[i] - truth[i]) * ((double)ours[i] - truth[i]);
        size += (double)truth[i] * truth[i];
    }
    return sqrt(difference / size);
}

static void compare(enum dtype dtype, double bound)
{
    struct model *truth = open_model(DTYPE_F32), *model = open_model(dtype);
    struct stages want = run_stages(truth, ROWS, 1), got = run_stages(model, ROWS, 1);
    double X = relative(got.X, want.X, want.n_X), P = relative(got.P, want.P, want.n_P);
    double last = relative(got.last, want.last, want.n_last), logits = relative(got.logits, want.logits, want.n_logits);
    print_message("%-5s tower %.2f %%, projector %.2f %%, last hidden row %.2f %%, logits %.2f %%\n", dtype_name(dtype), 100 * X, 100 * P, 100 * last, 100 * logits);
    assert_true(X > 0 && X < bound);
    assert_true(P < bound);
    assert_true(last < 2 * bound);
    assert_true(logits < 2 * bound);
    stages_free(&want);
    stages_free(&got);
    model_close(truth);
    model_close(model);
}

static void test_errors(void **state)
{
    (void)state;
    compare(DTYPE_BF16, 0.01);
    compare(DTYPE_I8, 0.02);
}

static void test_same_bits(void **state)
{
    (void)state;
    struct model *model = open_model(DTYPE_I8);
    struct stages whole = run_stages(model, ROWS, 1), threads = run_stages(model, ROWS, 2), pieces = run_stages(model, 7, 2);
    assert_memory_equal(whole.X, threads.X, whole.n_X * sizeof *whole.X);
    assert_memory_equal(whole.logits, threads.logits, whole.n_logits * sizeof *whole.logits);
    assert_memory_equal(whole.logits, pieces.logits, whole.n_logits * sizeof *whole.logits);
    stages_free(&whole);
    stages_free(&threads);
    stages_free(&pieces);
    model_close(model);
}

/* Weights of layers take a byte each and the rest two; what is announced is what is taken, but for norms and biases. */
static void test_memory(void **state)
{
    (void)state;
    struct model *model = open_model(DTYPE_I8);
    assert_int_equal(model->act, DTYPE_BF16);
    assert_int_equal(model->language_layers[0].down.dtype, DTYPE_I8);
    assert_int_equal(model->vision_layers[0].q.dtype, DTYPE_I8);
    assert_int_equal(model->embed.dtype, DTYPE_BF16);
    assert_int_equal(model->projector1.dtype, DTYPE_BF16);
    size_t announced = model_bytes(&model->shape, kernels, DTYPE_I8);
    assert_true(announced < model_bytes(&model->shape, kernels, DTYPE_BF16));
    assert_true(model->weight_bytes >= announced && model->weight_bytes < announced + announced / 5);
    model_close(model);
}

/* A table without int8, as one for a card may be. */
static void test_refusal(void **state)
{
    (void)state;
    struct kernels without = *kernels;
    struct model *model;
    struct err err = {0};
    without.name = "card";
    without.quantise = NULL;
    assert_int_equal(model_open(&model, MICRO, &without, DTYPE_I8, &err), ERR_CONFIG);
    assert_string_equal(err.text, "kernel table 'card' has no int8; use --dtype bf16, or --device cpu");
    assert_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_refusal),
    };
    struct err err = {0};
    int failed = 0;
    micro_frames(1, frame);
    for (const char *const *isa = kernels_names(); *isa; isa++)
        if (kernels_runs(*isa) && strcmp(*isa, "ref") != 0 && !kernels_open(&kernels, *isa, &err))
            failed += cmocka_run_group_tests_name(*isa, tests, NULL, NULL);
    return failed;
}
