/* Steps of generation on the emulated card: after the first few they are one recording, repeated, with the bits of steps that are run one by
 * one; across the end of a span of keys, after the cache has been cut back, and where a position does not follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/generate.h"
#include "engine/kernels/cuda/cards.h"
#include "tests/emulated/cuda_runtime_api.h"
#include "tests/support/micro.h"

#define MICRO FIXTURES_DIR "/micro"

enum { PREFIX = 507, TEXT = 24, SHORTER = PREFIX - 11, BEHIND = 40, PLAIN_STEPS = 3, SPANS_END = 512 };

static const struct kernels *card;

/* The same text in two states: one goes on by language_step, one without. */
struct talk {
    const struct model *model;
    struct language_state *steps, *plain;
    float *row, *last; /* of the plain one */
    float *logits[2];
};

static int32_t text_id(size_t i)
{
    return (int32_t)((i * 7919 + 3) % 500);
}

/* PREFIX rows: the first of them zeros, as the cache begins with, the last TEXT of text. */
static void prefill(const struct talk *talk, struct language_state *state)
{
    size_t d = (size_t)talk->model->shape.language.width;
    int32_t ids[TEXT];
    float *rows = card->memory->take(TEXT * d * sizeof *rows);
    for (size_t i = 0; i < TEXT; i++)
        ids[i] = text_id(i);
    language_embed(talk->model, ids, TEXT, rows);
    language_cut(state, PREFIX - TEXT);
    language_prefill(talk->model, state, rows, TEXT, NULL, PREFIX - TEXT, NULL, NULL, NULL);
    card->memory->release(rows);
}

static void talk_start(struct talk *talk, const struct model *model)
{
    size_t d = (size_t)model->shape.language.width;
    struct err err = {0};
    *talk = (struct talk){.model = model, .row = card->memory->take(d * sizeof *talk->row), .last = card->memory->take(d * sizeof *talk->last)};
    for (int i = 0; i < 2; i++)
        talk->logits[i] = calloc(model->head.n_out, sizeof *talk->logits[i]);
    micro_check(language_state_new(&talk->steps, model, PREFIX + BEHIND, PREFIX + 2 * BEHIND, 1, &err), &err);
    micro_check(language_state_new(&talk->plain, model, PREFIX + BEHIND, PREFIX + 2 * BEHIND, 1, &err), &err);
    prefill(talk, talk->steps);
    prefill(talk, talk->plain);
}

static void talk_end(struct talk *talk)
{
    struct err err = {0};
    language_state_free(talk->steps);
    language_state_free(talk->plain);
    card->memory->release(talk->row);
    card->memory->release(talk->last);
    free(talk->logits[0]), free(talk->logits[1]);
    micro_check(card->memory->settle(&err), &err);
}

/* n ids from a position: both states' logits after each are the same bits. Returns how many graphs were launched. */
static long go_on(struct talk *talk, uint32_t position, size_t n)
{
    long graphs = emulated_counts().graphs;
    for (size_t i = 0; i < n; i++, position++) {
        int32_t id = text_id(position);
        language_logits(talk->model, talk->steps, language_step(talk->model, talk->steps, id, position), talk->logits[0]);
        language_embed(talk->model, &id, 1, talk->row);
        language_prefill(talk->model, talk->plain, talk->row, 1, NULL, position, talk->last, NULL, NULL);
        language_logits(talk->model, talk->plain, talk->last, talk->logits[1]);
        if (memcmp(talk->logits[0], talk->logits[1], talk->model->head.n_out * sizeof(float)))
            fail_msg("step %zu in %s: bits differ", i, dtype_name(talk->model->dtype));
    }
    assert_int_equal(language_length(talk->steps), language_length(talk->plain));
    return emulated_counts().graphs - graphs;
}

static void cut(struct talk *talk, size_t length)
{
    language_cut(talk->steps, length);
    language_cut(talk->plain, length);
}

static void check_steps(enum dtype dtype)
{
    struct err err = {0};
    struct model *model;
    struct talk talk;
    micro_check(model_open(&model, MICRO, card, dtype, &err), &err);
    talk_start(&talk, model);
    assert_int_equal(go_on(&talk, PREFIX, PLAIN_STEPS), 0);
    assert_int_equal(go_on(&talk, PREFIX + PLAIN_STEPS, SPANS_END - PREFIX), SPANS_END - PREFIX);
    cut(&talk, SHORTER);
    assert_int_equal(go_on(&talk, SHORTER, 2), 2);
    assert_int_equal(go_on(&talk, SHORTER + 10, 1), 0); /* row and position have moved apart */
    cut(&talk, SHORTER);
    assert_int_equal(go_on(&talk, SHORTER, 1), 1);
    talk_end(&talk);
    model_close(model);
}

static void test_steps(void **state)
{
    (void)state;
    check_steps(DTYPE_F32);
    check_steps(DTYPE_BF16);
}

/* A reply of 6 ids has 5 steps; repeated ones cost the host one launch for what lies between embedding and logits. */
static void test_generate(void **state)
{
    (void)state;
    const struct generate_options options = {.max_new_tokens = 6, .repetition_penalty = 1};
    const int32_t prompt[] = {text_id(1), text_id(2)};
    struct err err = {0};
    struct arena arena = {0};
    struct model *model;
    struct talk talk;
    struct reply reply;
    micro_check(model_open(&model, MICRO, card, DTYPE_BF16, &err), &err);
    talk_start(&talk, model);
    struct model mute = *model;
    mute.shape.n_eos = 0;
    struct emulated_counts before = emulated_counts();
    micro_check(generate(&reply, &mute, talk.steps, prompt, 2, PREFIX, &options, &arena, &err), &err);
    struct emulated_counts after = emulated_counts();
    assert_int_equal(reply.n_ids, 6);
    assert_int_equal(after.graphs - before.graphs, 5 - PLAIN_STEPS);
    long each = (after.repeated_launches - before.repeated_launches) / (after.graphs - before.graphs);
    print_message("a repeated step has %ld launches in it\n", each);
    assert_true(each > 10 * model->shape.language.layers);
    talk_end(&talk);
    arena_free(&arena);
    model_close(model);
}

int main(void)
{
    const char *why;
    struct err err;
    if (cuda_cards(NULL, 0, &why) < 1) {
        printf("skip: no emulated card\n");
        return 77;
    }
    if (kernels_open_device(&card, "cuda", NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_generate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
