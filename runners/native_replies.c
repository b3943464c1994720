/* From token plans to answers: cells whose prompts begin alike are one prefix, and one reply per question answers all of them that want
 * it. What an answer would have cost alone and what was really paid for it are counted side by side. */
#include "runners/native_impl.h"

#include "core/clock.h"
#include "engine/prompt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- answers ------------------------------------------------------------------------------------------------------------- */

static bool is_open(const struct work *work, size_t c, size_t s)
{
    return work->open[c * work->job->n_samples + s];
}

/* What an answer carries; moves what the cell and its tokens (NULL: there are none) owe onto it. */
static struct cost cell_cost(struct work *work, size_t c, size_t s, struct token_set *tokens)
{
    static struct token_set none;
    const struct job *job = work->job;
    struct cell_work *cell = &work->cells[c];
    struct token_set *set = tokens ? tokens : &none;
    double share = job->frames.n ? (double)cell->frames_distinct / (double)job->frames.n : 0;
    struct cost cost = {.frames = (int32_t)job->cells[c].n,
                        .frames_encoded = (int32_t)cell->owed_frames,
                        .tokens_before = (int32_t)(cell->content_before + cell->markers_before),
                        .tokens_marker_before = (int32_t)cell->markers_before,
                        .tokens_visual = (int32_t)set->content,
                        .tokens_marker = (int32_t)set->markers,
                        .tokens_match = (int32_t)set->match,
                        .peak_bytes = (int64_t)work->planned_bytes,
                        .joules = NAN};
    cost.alone_ms[STAGE_OPEN] = job->open_ms;
    cost.alone_ms[STAGE_DECODE] = job->frames.decode_ms * share; /* decoding is one pass; a cell's part is its share of the frames */
    cost.alone_ms[STAGE_RESIZE] = job->frames.resize_ms * share;
    cost.alone_ms[STAGE_VISION] = cell->vision_ms;
    cost.alone_ms[STAGE_COMPRESS] = set->compress_ms;
    if (!work->fetched_paid) {
        cost.paid_ms[STAGE_OPEN] = job->open_ms;
        cost.paid_ms[STAGE_DECODE] = job->frames.decode_ms;
        cost.paid_ms[STAGE_RESIZE] = job->frames.resize_ms;
    }
    cost.paid_ms[STAGE_VISION] = cell->owed_vision_ms;
    cost.paid_ms[STAGE_COMPRESS] = set->owed_compress_ms;
    work->fetched_paid = true;
    cell->owed_vision_ms = 0;
    cell->owed_frames = 0;
    if (tokens)
        tokens->owed_compress_ms = 0;
    native_guide_cost(work, c, s, &cost);
    return cost;
}

static void give(struct work *work, size_t c, size_t s, const struct answer *answer)
{
    work->open[c * work->job->n_samples + s] = false;
    if (work->sink(work->context, c, s, answer))
        work->stopped = true;
}

void native_fail(struct work *work, size_t c, size_t s, enum answer_status status, const char *message)
{
    struct answer answer = {.status = status, .message = message, .extracted = -1, .margin = NAN,
                            .cost = cell_cost(work, c, s, work->cells[c].tokens ? native_tokens(work, c, s) : NULL)};
    give(work, c, s, &answer);
}

static enum answer_status status_of(const struct err *err)
{
    return err->code == ERR_MEMORY ? ANSWER_OUT_OF_MEMORY : ANSWER_RUNNER_FAILED;
}

void native_fail_cell(struct work *work, size_t c, const struct err *why)
{
    for (size_t s = 0; s < work->job->n_samples && !work->stopped; s++)
        if (is_open(work, c, s))
            native_fail(work, c, s, status_of(why), why->text);
}

void native_give_plan(struct work *work, size_t c)
{
    struct token_set *tokens = native_tokens(work, c, 0);
    struct err why = {0};
    if (native_show(work, c, 0, NULL, &why)) {
        native_fail(work, c, 0, status_of(&why), why.text);
        return;
    }
    struct answer answer = {.status = ANSWER_OK, .extracted = -1, .margin = NAN, .cost = cell_cost(work, c, 0, tokens)};
    memcpy(answer.tokens_digest, tokens->digest, DIGEST_HEX);
    give(work, c, 0, &answer);
}

/* ---- groups: what goes behind one prefix --------------------------------------------------------------------------------- */

struct ask { size_t c, s; }; /* a cell and a question of the job */

struct group {
    struct ask *asks;       /* the first leads: what holds for all is looked up there */
    size_t n;
    struct language_state *state;
    struct hooks *hooks;    /* NULL where nothing acts in the language model */
    size_t prefix_rows;
    uint32_t next_position; /* of the first row behind the prefix */
    double prefix_ms;
    bool prefix_paid;
};

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool same_method(const struct run_cell *a, const struct run_cell *b, enum role role)
{
    const struct method *p = methods_find(a->methods, a->n_methods, role), *q = methods_find(b->methods, b->n_methods, role);
    if (!p || !q)
        return p == q;
    return p->compressor == q->compressor && !memcmp(p->values, q->values, (size_t)p->compressor->n_options * sizeof *p->values);
}

/* Whether the same is done to equal tokens in the language model. */
static bool same_hooks(const struct work *work, const struct ask *a, const struct ask *b)
{
    const struct run_cell *p = work->job->cells[a->c].run, *q = work->job->cells[b->c].run;
    const struct tok_plan *x = &native_tokens(work, a->c, a->s)->plan, *y = &native_tokens(work, b->c, b->s)->plan;
    if (!hooks_needed(p->methods, p->n_methods, x) && !hooks_needed(q->methods, q->n_methods, y))
        return true;
    return same_method(p, q, ROLE_ALLOCATE) && same_method(p, q, ROLE_LAYER) && same_method(p, q, ROLE_DECODE) && x->n_tok == y->n_tok &&
           !memcmp(x->tok, y->tok, x->n_tok * sizeof *x->tok);
}

static bool same_prefix(const struct work *work, const struct ask *a, const struct ask *b)
{
    const struct cell *p = &work->job->cells[a->c].run->cell, *q = &work->job->cells[b->c].run->cell;
    return !strcmp(native_tokens(work, a->c, a->s)->digest, native_tokens(work, b->c, b->s)->digest) &&
           same_text(work->job->samples[a->s].prompt.system, work->job->samples[b->s].prompt.system) &&
           !strcmp(p->conversation, q->conversation) && same_text(work->cells[a->c].time, work->cells[b->c].time) &&
           p->repetition_penalty == q->repetition_penalty && p->max_new_tokens == q->max_new_tokens && same_hooks(work, a, b);
}

/* Prompts of a group's questions; n_after is 0 for those nobody asks. */
static int make_prompts(struct work *work, const struct group *group, struct prompt *prompts, struct err *err)
{
    const struct job *job = work->job;
    size_t lead = group->asks[0].c;
    int rc = 0;
    for (size_t i = 0; i < group->n && !rc; i++) {
        size_t s = group->asks[i].s;
        if (!prompts[s].n_after)
            rc = prompt_make(&prompts[s], work->native->model->tokenizer, job->cells[lead].run->cell.conversation, work->cells[lead].time,
                             &job->samples[s].prompt, &work->scratch, err);
    }
    return rc;
}

/* ---- prefixes ------------------------------------------------------------------------------------------------------------ */

/* Rows of what all questions share, in work->rows: the text before the video, and the visual tokens. */
static int embed_prefix(struct work *work, const struct group *group, const struct prompt *prompt, struct err *err)
{
    const struct model *model = work->native->model;
    const struct ask *lead = group->asks;
    const struct tok_plan *plan = &native_tokens(work, lead->c, lead->s)->plan;
    int rc = native_take_rows(work, model, prompt->n_before + plan->n_tok, err);
    if (rc)
        return rc;
    language_embed(model, prompt->before, prompt->n_before, work->rows);
    return features_apply(work->features, work->worker->space, work->grids.of_cell[lead->c], work->cells[lead->c].slots, plan, 0, plan->n_tok,
                          work->rows + prompt->n_before * (size_t)model->shape.language.width, err);
}

static int run_prefix(struct work *work, struct group *group, const struct prompt *prompt, struct err *err)
{
    const struct model *model = work->native->model;
    const struct ask *lead = group->asks;
    const struct run_cell *run = work->job->cells[lead->c].run;
    const struct tok_plan *plan = &native_tokens(work, lead->c, lead->s)->plan;
    if (hooks_needed(run->methods, run->n_methods, plan)) {
        int rc = hooks_new(&group->hooks, model, group->state, run->methods, run->n_methods, plan, prompt->n_before, err);
        return rc ? rc : hooks_prefix(group->hooks, work->rows, err);
    }
    uint32_t *position = plan->position ? arena_alloc(&work->scratch, group->prefix_rows, sizeof *position) : NULL;
    if (plan->position && !position)
        return err_no_memory(err, "the rows of a prompt");
    for (size_t i = 0; i < group->prefix_rows && position; i++)
        position[i] = (uint32_t)(i < prompt->n_before ? i : prompt->n_before + plan->position[i - prompt->n_before]);
    language_prefill(model, group->state, work->rows, group->prefix_rows, position, 0, NULL, NULL, NULL);
    return model->kernels->memory->settle(err);
}

static int prefill_prefix(struct work *work, struct group *group, const struct prompt *prompt, size_t rows_behind, struct err *err)
{
    const struct ask *lead = group->asks;
    const struct tok_plan *plan = &native_tokens(work, lead->c, lead->s)->plan;
    double start = now_ms();
    group->prefix_rows = prompt->n_before + plan->n_tok;
    group->next_position = (uint32_t)prompt->n_before + plan->end_position;
    int rc = language_state_new(&group->state, work->native->model, group->prefix_rows + rows_behind, group->next_position + rows_behind,
                                work->worker->threads, err);
    if (!rc)
        rc = embed_prefix(work, group, prompt, err);
    if (!rc)
        rc = run_prefix(work, group, prompt, err);
    group->prefix_ms = now_ms() - start;
    return rc;
}

/* ---- replies ------------------------------------------------------------------------------------------------------------- */

/* What of the visual tokens is left in the language model, and of how many layers questions share them. */
static void count_layers(const struct work *work, const struct group *group, const struct token_set *tokens, struct cost *cost)
{
    bool per_question = work->cells[group->asks[0].c].per_question;
    cost->tokens_mean = cost->tokens_cached = (double)tokens->plan.n_tok;
    cost->shared_layers = group->hooks ? hooks_shared_layers(group->hooks) : work->native->model->shape.language.layers;
    if (group->hooks)
        hooks_count(group->hooks, &cost->tokens_mean, &cost->tokens_cached);
    if (per_question)
        cost->shared_layers = 0;
}

/* Gives one reply to every cell of the group that asked. The first pays for it. */
static void share_reply(struct work *work, struct group *group, size_t s, const struct prompt *prompt, const struct reply *reply)
{
    bool paid = false;
    size_t layers = (size_t)work->native->model->shape.language.layers;
    size_t shared = group->hooks ? (size_t)hooks_shared_layers(group->hooks) : layers;
    for (size_t i = 0; i < group->n && !work->stopped; i++) {
        size_t c = group->asks[i].c;
        if (group->asks[i].s != s)
            continue;
        struct token_set *tokens = native_tokens(work, c, s);
        struct err why = {0};
        if (native_show(work, c, s, group->hooks, &why)) {
            native_fail(work, c, s, status_of(&why), why.text);
            continue;
        }
        struct answer answer = {.status = ANSWER_OK, .raw = reply->text, .extracted = -1, .margin = reply->margin,
                                .cost = cell_cost(work, c, s, tokens)};
        memcpy(answer.tokens_digest, tokens->digest, DIGEST_HEX);
        answer.cost.tokens_text = (int32_t)(prompt->n_before + prompt->n_after);
        answer.cost.tokens_generated = (int32_t)reply->n_steps;
        count_layers(work, group, tokens, &answer.cost);
        answer.cost.alone_ms[STAGE_PREFILL] = group->prefix_ms + reply->prefill_ms;
        answer.cost.alone_ms[STAGE_GENERATE] = reply->generate_ms;
        if (!group->prefix_paid) {
            answer.cost.tokens_prefilled += (int32_t)(group->prefix_rows * shared / layers);
            answer.cost.paid_ms[STAGE_PREFILL] += group->prefix_ms;
        }
        if (!paid) {
            answer.cost.tokens_prefilled += (int32_t)(prompt->n_after + group->prefix_rows * (layers - shared) / layers);
            answer.cost.paid_ms[STAGE_PREFILL] += reply->prefill_ms;
            answer.cost.paid_ms[STAGE_GENERATE] = reply->generate_ms;
        }
        group->prefix_paid = paid = true;
        give(work, c, s, &answer);
    }
}

static void share_failure(struct work *work, const struct group *group, size_t s, enum answer_status status, const char *message)
{
    for (size_t i = 0; i < group->n && !work->stopped; i++)
        if (group->asks[i].s == s)
            native_fail(work, group->asks[i].c, s, status, message);
}

/* Refuses the questions that do not fit the context; returns the most rows behind the prefix that the others need. */
static size_t refuse_too_long(struct work *work, const struct group *group, struct prompt *prompts, size_t prefix_rows)
{
    size_t most = 0, context = (size_t)work->native->model->shape.context;
    size_t reply = (size_t)work->job->cells[group->asks[0].c].run->cell.max_new_tokens;
    for (size_t s = 0; s < work->job->n_samples; s++) {
        if (!prompts[s].n_after)
            continue;
        size_t behind = prompts[s].n_after + reply;
        if (prefix_rows + behind > context) {
            char message[200];
            snprintf(message, sizeof message, "the prompt has %zu rows and its reply up to %zu, the model's context holds %zu; use fewer frames or a lower threshold",
                     prefix_rows + prompts[s].n_after, reply, context);
            share_failure(work, group, s, ANSWER_TOO_LONG, message);
            prompts[s].n_after = 0;
        } else if (behind > most) {
            most = behind;
        }
    }
    return most;
}

/* The budget that the group's hooks spend on a question: equal for all that ask it. */
static const struct budget *budget_of(const struct work *work, const struct group *group, size_t s)
{
    for (size_t i = 0; i < group->n; i++)
        if (group->asks[i].s == s && work->cells[group->asks[i].c].budgets)
            return &work->cells[group->asks[i].c].budgets[s];
    return NULL;
}

static int ask_questions(struct work *work, struct group *group, const struct prompt *prompts, struct err *err)
{
    const struct job *job = work->job;
    const struct cell *cell = &job->cells[group->asks[0].c].run->cell;
    struct generate_options options = {.max_new_tokens = cell->max_new_tokens, .repetition_penalty = cell->repetition_penalty,
                                       .hooks = group->hooks};
    struct arena arena = {0};
    int rc = 0;
    for (size_t s = 0; s < job->n_samples && !rc && !native_must_stop(work); s++) {
        struct reply reply;
        if (!prompts[s].n_after)
            continue;
        arena_reset(&arena);
        options.budget = budget_of(work, group, s);
        if (!group->hooks)
            language_cut(group->state, group->prefix_rows);
        rc = generate(&reply, work->native->model, group->state, prompts[s].after, prompts[s].n_after, group->next_position, &options, &arena,
                      err);
        if (!rc)
            share_reply(work, group, s, &prompts[s], &reply);
    }
    arena_free(&arena);
    return rc;
}

static int answer_group(struct work *work, struct group *group, struct err *err)
{
    const struct job *job = work->job;
    const struct ask *lead = group->asks;
    arena_reset(&work->scratch);
    struct prompt *prompts = arena_alloc(&work->scratch, job->n_samples, sizeof *prompts);
    int rc = prompts ? make_prompts(work, group, prompts, err) : err_no_memory(err, "the prompts of a video");
    if (rc)
        return rc;
    const struct prompt *any = &prompts[lead->s];
    size_t behind = refuse_too_long(work, group, prompts, any->n_before + native_tokens(work, lead->c, lead->s)->plan.n_tok);
    if (!behind || native_must_stop(work))
        return 0;
    rc = prefill_prefix(work, group, any, behind, err);
    if (!rc)
        rc = ask_questions(work, group, prompts, err);
    hooks_free(group->hooks);
    language_state_free(group->state);
    return rc;
}

/* All that is open and goes behind the prefix of the first. */
static void gather(const struct work *work, struct group *group, struct ask first)
{
    const struct job *job = work->job;
    for (size_t c = first.c; c < job->n_cells; c++)
        for (size_t s = 0; s < job->n_samples; s++) {
            struct ask other = {c, s};
            if (is_open(work, c, s) && same_prefix(work, &first, &other))
                group->asks[group->n++] = other;
        }
}

int native_answer(struct work *work, struct err *err)
{
    const struct job *job = work->job;
    struct ask *asks = arena_alloc(&work->arena, job->n_cells * job->n_samples, sizeof *asks);
    if (!asks)
        return err_no_memory(err, "a job");
    for (size_t c = 0; c < job->n_cells; c++)
        for (size_t s = 0; s < job->n_samples && !native_must_stop(work); s++) {
            struct group group = {.asks = asks};
            struct err why = {0};
            if (!is_open(work, c, s))
                continue;
            gather(work, &group, (struct ask){c, s});
            if (answer_group(work, &group, &why))
                for (size_t i = 0; i < group.n && !work->stopped; i++)
                    if (is_open(work, asks[i].c, asks[i].s))
                        native_fail(work, asks[i].c, asks[i].s, status_of(&why), why.text);
        }
    return 0;
}
