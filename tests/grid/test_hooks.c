/* Methods inside the language model: logits against a transformers run with the same drop applied (tests/fixtures/micro/hooks.*, recorded
 * by tools/oracle/record_hooks.py), settings that drop nothing against the plain path, and the same bits for any threads and sharing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compressors/compressor.h"
#include "core/json.h"
#include "engine/features.h"
#include "engine/generate.h"
#include "engine/guide.h"
#include "engine/prompt.h"
#include "engine/safetensors.h"
#include "tests/support/micro.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICRO FIXTURES_DIR "/micro"

enum { T = 6, D = 64, MOST_BEHIND = 200 };

static struct safetensors *truth;
static struct json *facts, *stages;
static struct model *model;
static struct vision_space *space;
static struct features *features;
static const struct kernels *kernels;
static const size_t slots[T] = {0, 1, 2, 3, 4, 5};

/* ---- allocations: counted through the linker (tests/CMakeLists.txt) ------------------------------------------------------- */

static long n_allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    n_allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    n_allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    n_allocations++;
    return __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    n_allocations++;
    return __real_aligned_alloc(alignment, size);
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

/* The methods of a cell, its tokens, and a prompt about them. */
struct talk {
    struct method methods[MOST_METHODS];
    int n_methods, threads;
    struct tok_plan plan;
    struct prompt prompt;
    struct language_state *state;
    struct hooks *hooks; /* NULL: plain */
    float *prefix;
    struct arena arena;
};

static void read_methods(struct talk *talk, const struct json *list)
{
    struct err err = {0};
    for (const struct json *m = json_first(list); m; m = json_next(m)) {
        struct method *method = &talk->methods[talk->n_methods++];
        method->compressor = compressor_find(json_string(json_get(m, "name")));
        assert_non_null(method->compressor);
        micro_check(compressor_resolve(method->compressor, m, "name", method->values, &err), &err);
    }
    micro_check(methods_resolve(talk->methods, &talk->n_methods, &err), &err);
}

static void make_tokens(struct talk *talk)
{
    struct vid_view view;
    struct err err = {0};
    const struct method *tokens = methods_find(talk->methods, talk->n_methods, ROLE_TOKENS);
    const struct compressor *compressor = tokens ? tokens->compressor : compressor_find("none");
    const double *values = tokens ? tokens->values : NULL;
    micro_check(features_view(features, 0, slots, T, compressor->needs(values), &talk->arena, &view, &err), &err);
    micro_check(compressor->tokens(values, &view, NULL, NULL, &talk->arena, &talk->plan, &err), &err);
    assert_true(tok_plan_layout(&talk->plan, NEWLINE_GRID, &talk->arena));
}

static const char *question_text(const char *name)
{
    return json_string(json_get(json_get(json_get(stages, "prompts"), name), "question"));
}

static void set_question(struct talk *talk, const char *question)
{
    struct err err = {0};
    micro_check(prompt_make(&talk->prompt, model->tokenizer, "qwen_1_5", NULL, &(struct prompt_text){.user = question_text(question)},
                            &talk->arena, &err), &err);
}

static float *embed(struct talk *talk, const int32_t *ids, size_t n)
{
    float *rows = arena_alloc(&talk->arena, n * D, sizeof *rows);
    language_embed(model, ids, n, rows);
    return rows;
}

enum talk_form { TALK_HOOKED, TALK_PLAIN, TALK_ROWS }; /* through hooks, past them, not run at all */

static void talk_open(struct talk *talk, const char *methods, const char *question, int threads, enum talk_form form)
{
    struct err err = {0};
    struct json *list;
    *talk = (struct talk){.threads = threads};
    micro_check(json_parse(&list, methods, strlen(methods), "methods", &err), &err);
    read_methods(talk, list);
    json_free(list);
    make_tokens(talk);
    set_question(talk, question);
    size_t before = talk->prompt.n_before, n = before + talk->plan.n_tok;
    talk->prefix = arena_alloc(&talk->arena, n * D, sizeof *talk->prefix);
    language_embed(model, talk->prompt.before, before, talk->prefix);
    micro_check(features_apply(features, space, 0, slots, &talk->plan, 0, talk->plan.n_tok, talk->prefix + before * D, &err), &err);
    if (form == TALK_ROWS)
        return;
    micro_check(language_state_new(&talk->state, model, n + MOST_BEHIND, n + MOST_BEHIND, threads, &err), &err);
    if (form == TALK_PLAIN) {
        language_prefill(model, talk->state, talk->prefix, n, NULL, 0, NULL, NULL, NULL);
        return;
    }
    micro_check(hooks_new(&talk->hooks, model, talk->state, talk->methods, talk->n_methods, &talk->plan, before, &err), &err);
    micro_check(hooks_prefix(talk->hooks, talk->prefix, &err), &err);
}

static void talk_close(struct talk *talk)
{
    hooks_free(talk->hooks);
    language_state_free(talk->state);
    arena_free(&talk->arena);
}

/* Logits of the last prompt row and of each row of the reply, one behind the other: [1 + n][head rows]. */
static float *say(struct talk *talk, const int32_t *reply, size_t n, const struct budget *budget)
{
    struct err err = {0};
    size_t width = model->head.n_out, length = talk->prompt.n_before + talk->plan.n_tok;
    float *last = arena_alloc(&talk->arena, D, sizeof *last), *logits = arena_alloc(&talk->arena, (1 + n) * width, sizeof *logits);
    float *rows = embed(talk, talk->prompt.after, talk->prompt.n_after), *said = embed(talk, reply, n);
    if (talk->hooks) {
        micro_check(hooks_ask(talk->hooks, rows, talk->prompt.n_after, budget, last, &err), &err);
    } else {
        language_cut(talk->state, length);
        language_prefill(model, talk->state, rows, talk->prompt.n_after, NULL, (uint32_t)length, last, NULL, NULL);
    }
    long before = n_allocations;
    assert_true(before > 0); /* they are counted */
    language_logits(model, talk->state, last, logits);
    for (size_t i = 0; i < n; i++) {
        if (talk->hooks)
            hooks_step(talk->hooks, said + i * D, last);
        else
            language_prefill(model, talk->state, said + i * D, 1, NULL, (uint32_t)(length + talk->prompt.n_after + i), last, NULL, NULL);
        language_logits(model, talk->state, last, logits + (1 + i) * width);
    }
    assert_int_equal(n_allocations, before); /* nothing between the first and the last id */
    return logits;
}

static size_t reply_ids(int32_t *ids)
{
    size_t n = 0;
    for (const struct json *id = json_first(json_get(facts, "reply")); id; id = json_next(id))
        ids[n++] = (int32_t)json_number(id);
    return n;
}

/* The budget of frames that the cases' allocators are taken to allot. */
static const struct budget *frame_budget(void)
{
    static uint32_t per_frame[T];
    static struct budget budget = {.T = T, .per_frame = per_frame};
    size_t t = 0;
    budget.total = 0;
    for (const struct json *count = json_first(json_get(facts, "budget")); count && t < T; count = json_next(count)) {
        per_frame[t++] = (uint32_t)json_number(count);
        budget.total += (uint32_t)json_number(count);
    }
    return &budget;
}

/* Logits of a question after others were put to the same prefix, and after nothing, with so many threads. */
static float *hear(struct talk *talk, const char *methods, int threads, const char *const *questions, enum talk_form form)
{
    int32_t reply[16];
    size_t n = reply_ids(reply);
    float *logits = NULL;
    talk_open(talk, methods, questions[0], threads, form);
    for (; *questions; questions++) {
        set_question(talk, *questions);
        logits = say(talk, reply, n, frame_budget());
    }
    return logits;
}

static void assert_same_bits(const char *what, const float *a, const float *b)
{
    int32_t reply[16];
    size_t n = (1 + reply_ids(reply)) * model->head.n_out;
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s (%s): logit %zu is %.9g and %.9g", what, kernels->name, i, (double)a[i], (double)b[i]);
}

/* ---- against transformers ------------------------------------------------------------------------------------------------ */

static double mean_of(const struct json *numbers)
{
    double sum = 0;
    for (const struct json *number = json_first(numbers); number; number = json_next(number))
        sum += json_number(number);
    return sum / (double)json_count(numbers);
}

/* Logits; and the same bits with another question before, and with two threads. */
static void check_case(const struct json *fact)
{
    struct talk talk, after;
    struct err err = {0};
    int32_t reply[16];
    const char *name = json_string(json_get(fact, "name"));
    size_t n = reply_ids(reply);
    char *methods = json_text(json_get(fact, "methods"));
    talk_open(&talk, methods, json_string(json_get(fact, "question")), 1, TALK_HOOKED);
    float *ours = say(&talk, reply, n, frame_budget());
    const struct tensor *tensor = safetensors_find(truth, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->count, (1 + n) * model->head.n_out);
    float *theirs = arena_alloc(&talk.arena, tensor->count, sizeof *theirs);
    micro_check(safetensors_read(truth, tensor, 0, tensor->count, theirs, &err), &err);
    micro_assert_close(name, ours, theirs, tensor->count, 1e-4);
    double tokens, cached;
    hooks_count(talk.hooks, &tokens, &cached);
    if (fabs(tokens - mean_of(json_get(fact, "tokens"))) > 1e-9 || fabs(cached - mean_of(json_get(fact, "cached"))) > 1e-9)
        fail_msg("%s: %g tokens per layer, %g seen in the cache; the reference has %g and %g", name, tokens, cached,
                 mean_of(json_get(fact, "tokens")), mean_of(json_get(fact, "cached")));
    const char *question = json_string(json_get(fact, "question"));
    const char *const questions[] = {strcmp(question, "choice") ? "choice" : "detail", question, NULL};
    assert_same_bits(name, ours, hear(&after, methods, 2, questions, TALK_HOOKED));
    talk_close(&after);
    talk_close(&talk);
    free(methods);
}

static void test_logits_are_those_of_transformers_however_they_are_asked_for(void **state)
{
    (void)state;
    int n = 0;
    for (const struct json *fact = json_first(json_get(facts, "cases")); fact; fact = json_next(fact), n++)
        check_case(fact);
    assert_true(n >= 8);
}

/* Shares of frames, for questions in any order, from whichever layer on, stopping early or not. */
static void test_a_guides_shares(void **state)
{
    (void)state;
    static const char *const questions[] = {"detail", "choice", "detail"};
    static const struct { int first, last; } ranges[] = {{0, 2}, {1, 1}, {2, 2}, {0, 0}};
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        struct talk talk;
        struct guide_state *guide;
        struct err err = {0};
        size_t n_layers = (size_t)(ranges[r].last - ranges[r].first + 1);
        talk_open(&talk, "[{\"name\": \"none\"}]", "choice", 1, TALK_ROWS);
        micro_check(guide_new(&guide, model, &talk.plan, talk.prefix, talk.prompt.n_before, MOST_BEHIND, ranges[r].last, 1, &err), &err);
        for (size_t q = 0; q < 3; q++) {
            char name[32];
            float ours[3 * T], theirs[3 * T];
            snprintf(name, sizeof name, "guide.%s", questions[q]);
            set_question(&talk, questions[q]);
            guide_ask(guide, embed(&talk, talk.prompt.after, talk.prompt.n_after), talk.prompt.n_after, ranges[r].first, ours);
            const struct tensor *tensor = safetensors_find(truth, name);
            assert_non_null(tensor);
            micro_check(safetensors_read(truth, tensor, 0, 3 * T, theirs, &err), &err);
            micro_assert_close(name, ours, theirs + ranges[r].first * T, n_layers * T, 1e-5);
        }
        guide_free(guide);
        talk_close(&talk);
    }
}

/* ---- bits ---------------------------------------------------------------------------------------------------------------- */

static const char *const one[] = {"detail", NULL}, *const three[] = {"choice", "describe", "detail", NULL};

static void test_nothing_dropped_is_the_plain_path(void **state)
{
    (void)state;
    static const char *const idle[] = {
        "[{\"name\": \"fastv\", \"layer\": 1, \"keep\": 1}]",
        "[{\"name\": \"fastv\", \"layer\": 2, \"keep\": 1, \"form\": \"hide\"}]",
        "[{\"name\": \"pyramiddrop\", \"keep\": 1}]",
        "[{\"name\": \"sttm\", \"layer\": 1, \"spatial\": 2, \"temporal\": 0}]",
        "[{\"name\": \"sparsevlm\", \"keep1\": 1, \"keep2\": 1, \"keep3\": 1}]",
        "[{\"name\": \"sparsevlm\", \"form\": \"v2\", \"keep1\": 1, \"keep2\": 1, \"keep3\": 1, \"markers\": \"ranked\"}]",
        "[{\"name\": \"sparsevlm\", \"count\": \"rank\", \"scale\": 0}]",
        "[{\"name\": \"holitom\", \"keep\": 1, \"tau\": 2, \"inner_keep\": 1}]",
        "[{\"name\": \"flashvid\", \"keep\": 1, \"expansion\": 1, \"alpha\": 1, \"inner_keep\": 1}]",
        "[{\"name\": \"prunevid\", \"tau\": 2, \"least\": 65536, \"inner_keep\": 1}]",
        "[{\"name\": \"pact\", \"layer\": 2, \"keep\": 1, \"cutoff\": 0}]",
        "[{\"name\": \"dycoke\", \"k\": 0, \"p\": 0}]",
        "[{\"name\": \"framefusion\", \"cost\": 1, \"threshold\": 1.5}]",
        "[{\"name\": \"dyntok\"}, {\"name\": \"fastv\", \"layer\": 1, \"keep\": 1, \"markers\": \"ranked\"}]",
    };
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        struct talk hooked, plain;
        float *a = hear(&hooked, idle[i], 1, three, TALK_HOOKED), *b = hear(&plain, idle[i], 1, one, TALK_PLAIN);
        assert_same_bits(idle[i], a, b);
        talk_close(&hooked);
        talk_close(&plain);
    }
}

/* Allocations of a reply of so many text ids: those before the first, and none after it. */
static long allocations_of(const char *methods, enum talk_form form, int ids)
{
    struct talk talk;
    struct reply reply;
    struct err err = {0};
    struct model mute = *model; /* without text, whose decoding comes after the last id */
    mute.tokenizer = NULL;
    mute.shape.n_eos = 0;
    talk_open(&talk, methods, "describe", 1, form);
    struct generate_options options = {.max_new_tokens = ids, .repetition_penalty = 1.1, .hooks = talk.hooks};
    struct arena arena = {0};
    long before = n_allocations;
    micro_check(generate(&reply, &mute, talk.state, talk.prompt.after, talk.prompt.n_after,
                         (uint32_t)talk.prompt.n_before + talk.plan.end_position, &options, &arena, &err), &err);
    long n = n_allocations - before;
    assert_int_equal(reply.n_ids, ids);
    arena_free(&arena);
    talk_close(&talk);
    return n;
}

static void test_nothing_is_allocated_while_ids_are_generated(void **state)
{
    (void)state;
    static const char plain[] = "[{\"name\": \"none\"}]";
    static const char *const hooked[] = {
        plain,
        "[{\"name\": \"fastv\", \"layer\": 1}]",
        "[{\"name\": \"fastv\", \"layer\": 1, \"form\": \"hide\"}]",
        "[{\"name\": \"sparsevlm\"}]",
        "[{\"name\": \"prunevid\"}]",
        "[{\"name\": \"pact\", \"layer\": 1}]",
        "[{\"name\": \"dycoke\", \"layer\": 1, \"hold\": 2}]",
        "[{\"name\": \"dycoke\", \"k\": 0, \"layer\": 2, \"hold\": 2}, {\"name\": \"pyramiddrop\"}]",
    };
    assert_true(allocations_of(plain, TALK_PLAIN, 1) > 0); /* they are counted */
    assert_int_equal(allocations_of(plain, TALK_PLAIN, 1), allocations_of(plain, TALK_PLAIN, 24));
    for (size_t i = 0; i < sizeof hooked / sizeof *hooked; i++)
        assert_int_equal(allocations_of(hooked[i], TALK_HOOKED, 1), allocations_of(hooked[i], TALK_HOOKED, 24));
}

static void test_what_is_shared(void **state)
{
    (void)state;
    static const struct { const char *methods; int layers; } shared[] = {
        {"[{\"name\": \"none\"}]", 3},
        {"[{\"name\": \"fastv\", \"layer\": 1}]", 1},
        {"[{\"name\": \"fastv\", \"layer\": 2}]", 2},
        {"[{\"name\": \"fastv\", \"layer\": 1, \"form\": \"hide\"}]", 3},
        {"[{\"name\": \"pyramiddrop\"}]", 1},
        {"[{\"name\": \"sparsevlm\"}]", 1},
        {"[{\"name\": \"sparsevlm\", \"form\": \"v2\", \"layer1\": 2, \"layer2\": 0, \"layer3\": 0}]", 2},
        {"[{\"name\": \"holitom\"}]", 2},
        {"[{\"name\": \"holitom\", \"inner_keep\": 1}]", 3},
        {"[{\"name\": \"flashvid\", \"inner_layer\": 1}]", 1},
        {"[{\"name\": \"prunevid\", \"inner_layer\": 2}]", 1}, /* rated before layer 1 */
        {"[{\"name\": \"prunevid\", \"inner_layer\": 2, \"inner_rows\": \"plain\"}]", 2},
        {"[{\"name\": \"dycoke\", \"layer\": 1}]", 3},
        {"[{\"name\": \"sttm\", \"layer\": 1}]", 3},
        {"[{\"name\": \"pact\", \"layer\": 1}]", 3},
        {"[{\"name\": \"framefusion\", \"cost\": 0.4, \"threshold\": -0.5}]", 3}, /* merging is all it needs */
        {"[{\"name\": \"framefusion\", \"cost\": 0.6, \"threshold\": 0.99}]", 0},
        {"[{\"name\": \"framefusion\", \"cost\": 0.7, \"threshold\": 0.9, \"least\": 0.02}]", 1},
    };
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        struct talk talk;
        talk_open(&talk, shared[i].methods, "choice", 1, TALK_HOOKED);
        assert_int_equal(hooks_shared_layers(talk.hooks), shared[i].layers);
        talk_close(&talk);
    }
}

/* ---- the group ----------------------------------------------------------------------------------------------------------- */

static int open_all(void **state)
{
    (void)state;
    static const struct feature_grid grid = {.mode = POOL_BILINEAR, .stride = 2, .keep = NEED_X_POOLED | NEED_H_POOLED | NEED_SAL_POOLED};
    static uint8_t resized[T][MICRO_SIZE * MICRO_SIZE * 3];
    struct err err = {0};
    micro_check(safetensors_open_file(&truth, MICRO "/hooks.safetensors", &err), &err);
    micro_check(json_load(&facts, MICRO "/hooks.json", 1 << 20, &err), &err);
    micro_check(json_load(&stages, MICRO "/stages.json", 1 << 20, &err), &err);
    micro_check(vision_space_new(&space, model, 1, &err), &err);
    micro_check(features_new(&features, model, T, &grid, 1, &err), &err);
    micro_frames(T, resized[0]);
    for (size_t t = 0; t < T; t++)
        micro_check(features_encode(features, space, &t, 1, resized[0], MICRO_SIZE, &err), &err);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    features_free(features);
    vision_space_free(space);
    safetensors_close(truth);
    json_free(facts);
    json_free(stages);
    return 0;
}

/* The whole group runs once for each kernel table that this processor has; ref's loops are slow and its logits those of stages. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_are_those_of_transformers_however_they_are_asked_for),
        cmocka_unit_test(test_a_guides_shares),
        cmocka_unit_test(test_nothing_dropped_is_the_plain_path),
        cmocka_unit_test(test_nothing_is_allocated_while_ids_are_generated),
        cmocka_unit_test(test_what_is_shared),
    };
    int failed = 0;
    for (const char *const *isa = kernels_names(); *isa; isa++) {
        struct err err = {0};
        if (!strcmp(*isa, "ref") || !kernels_runs(*isa) || kernels_open(&kernels, *isa, &err) ||
            model_open(&model, MICRO, kernels, DTYPE_F32, &err)) {
            fprintf(stderr, "%s: %s\n", *isa, err.code ? err.text : "left out");
            failed += err.code != 0;
            continue;
        }
        failed += cmocka_run_group_tests_name(*isa, tests, open_all, close_all);
        model_close(model);
    }
    return failed;
}
