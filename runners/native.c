/* The native runner: the C engine in this process. One job is one walk down the tree of DESIGN 5:
 *
 *   frames -> features (each distinct frame once) -> token plan per cell -> groups of cells with equal visual tokens
 *     -> one cached prefix per group -> one reply per question, given to every cell of the group that wants it
 *
 * What an answer would have cost alone and what was really paid for it are counted side by side. */
#include "runners/runner.h"

#include "compressors/methods.h"
#include "engine/features.h"
#include "engine/generate.h"
#include "engine/prompt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_ALLOWANCE = 2048 }; /* rows planned for a question before it is tokenized */

struct native {
    struct model *model;
    char device[160];
};

struct native_worker {
    int threads;
    struct vision_space *space;
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static void name_processor(char *out, size_t size, const char *isa)
{
    char line[256], *colon;
    snprintf(out, size, "cpu: %s", isa);
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10) && (colon = strchr(line, ':'))) {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, size, "cpu:%.100s, %s", colon + 1, isa);
            break;
        }
    fclose(file);
}

static const char *checkpoint_pooling(const struct model_shape *shape)
{
    return pool_mode_name(shape->pool_mode);
}

static void native_close(void *self)
{
    struct native *native = self;
    if (native)
        model_close(native->model);
    free(native);
}

static int native_open(void **self, const struct runner_options *options, struct runner_facts *facts, struct err *err)
{
    const struct kernels *kernels;
    *self = NULL;
    if (strcmp(options->device, "cpu"))
        return err_set(err, ERR_DEVICE, "no device '%s': this engine computes on the CPU; use --device cpu", options->device);
    if (strcmp(options->dtype, "f32") && strcmp(options->dtype, "bf16"))
        return err_set(err, ERR_CONFIG, "no dtype '%s' on the CPU; use f32 or bf16", options->dtype);
    int rc = kernels_open(&kernels, options->isa, err);
    if (rc)
        return rc;
    struct native *native = calloc(1, sizeof *native);
    if (!native)
        return err_no_memory(err, "the native runner");
    if ((rc = model_open(&native->model, options->model, kernels, strcmp(options->dtype, "f32") ? DTYPE_BF16 : DTYPE_F32, err))) {
        native_close(native);
        return rc;
    }
    const struct model_shape *shape = &native->model->shape;
    name_processor(native->device, sizeof native->device, kernels->name);
    *facts = (struct runner_facts){.model_digest = native->model->digest, .isa = kernels->name, .device = native->device,
                                   .frame_side = shape->vision.image_size, .repetition_penalty = shape->repetition_penalty,
                                   .pooling = checkpoint_pooling(shape), .newline = newline_name(shape->newline),
                                   .fixed_bytes = native->model->weight_bytes};
    *self = native;
    return 0;
}

static int native_worker_open(void *self, void **worker, int threads, struct err *err)
{
    struct native *native = self;
    struct native_worker *made = calloc(1, sizeof *made);
    *worker = NULL;
    if (!made)
        return err_no_memory(err, "a worker");
    made->threads = threads;
    int rc = vision_space_new(&made->space, native->model, threads, err);
    if (rc)
        free(made);
    else
        *worker = made;
    return rc;
}

static void native_worker_close(void *self, void *worker)
{
    struct native_worker *native_worker = worker;
    (void)self;
    if (native_worker)
        vision_space_free(native_worker->space);
    free(native_worker);
}

/* ---- grids: what features the cells of a job need ------------------------------------------------------------------------ */

struct grid_set {
    struct feature_grid *grids;
    size_t n;
    size_t *of_cell; /* [n_cells] */
};

/* The method that chooses a cell's tokens: all of them where it names none. */
static const struct method *token_method(const struct run_cell *run)
{
    static const struct method none = {.compressor = &compressor_none};
    const struct method *method = methods_find(run->methods, run->n_methods, ROLE_TOKENS);
    return method ? method : &none;
}

static struct feature_grid cell_grid(const struct model_shape *shape, const struct run_cell *run)
{
    static const char suffix[] = "_before_projector";
    char mode[32];
    size_t n = strcspn(run->cell.pooling, "_");
    snprintf(mode, sizeof mode, "%.*s", (int)(n < sizeof mode - 1 ? n : sizeof mode - 1), run->cell.pooling);
    const struct method *tokens = token_method(run);
    unsigned needs = tokens->compressor->needs(tokens->values);
    enum src_dom domain = tokens->compressor->domain(tokens->values);
    struct feature_grid grid = {.mode = (enum pool_mode)pool_mode_find(mode), .before_projector = !strcmp(run->cell.pooling + n, suffix)};
    grid.stride = grid.mode == POOL_NONE ? 1 : shape->pool_stride > 1 ? shape->pool_stride : 2;
    grid.post_norm = needs & NEED_X_POST_NORM;
    grid.keep = needs | (domain == DOM_X_RAW ? NEED_X_RAW : domain == DOM_H_RAW ? NEED_H_RAW : 0);
    return grid;
}

static bool same_grid(const struct feature_grid *a, const struct feature_grid *b)
{
    return a->mode == b->mode && a->stride == b->stride && a->before_projector == b->before_projector && a->post_norm == b->post_norm;
}

static int grids_of(struct grid_set *out, const struct model *model, const struct job_cell *cells, size_t n_cells, struct arena *arena,
                    struct err *err)
{
    *out = (struct grid_set){.grids = arena_alloc(arena, n_cells, sizeof *out->grids), .of_cell = arena_alloc(arena, n_cells, sizeof *out->of_cell)};
    if (!out->grids || !out->of_cell)
        return err_no_memory(err, "a job");
    for (size_t c = 0; c < n_cells; c++) {
        struct feature_grid grid = cell_grid(&model->shape, cells[c].run);
        size_t g = 0;
        if (features_check(model, grid.keep, err))
            return err_prefix(err, "compressor %s", token_method(cells[c].run)->compressor->name);
        while (g < out->n && !same_grid(&out->grids[g], &grid))
            g++;
        if (g == out->n)
            out->grids[out->n++] = grid;
        out->grids[g].keep |= grid.keep;
        out->of_cell[c] = g;
    }
    return 0;
}

/* Visual tokens of a cell without compression. */
static void tokens_uncompressed(const struct model_shape *shape, const struct feature_grid *grid, const struct job_cell *cell, size_t *content,
                                size_t *markers)
{
    int side = pool_side(grid->mode, shape->vision.side, grid->stride);
    newline_count((enum newline)newline_find(cell->run->cell.newline), (int)cell->n, side, side, content, markers);
}

static int native_bytes(void *self, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads, size_t *bytes, struct err *err)
{
    const struct model *model = ((struct native *)self)->model;
    const struct model_shape *shape = &model->shape;
    struct arena arena = {0};
    struct grid_set set;
    int rc = grids_of(&set, model, cells, n_cells, &arena, err);
    size_t most_rows = 0, most_view = 0;
    for (size_t c = 0; c < n_cells && !rc; c++) {
        const struct feature_grid *grid = &set.grids[set.of_cell[c]];
        size_t content, markers, raw = (size_t)(shape->vision.side * shape->vision.side);
        tokens_uncompressed(shape, grid, &cells[c], &content, &markers);
        size_t rows = cells[c].n * raw + markers; /* no compressor makes more tokens than the tower has patches */
        if (!(grid->keep & (NEED_H_RAW | NEED_X_RAW)))
            rows = content + cells[c].n * (size_t)pool_side(grid->mode, shape->vision.side, grid->stride);
        const struct method *tokens = token_method(cells[c].run);
        unsigned needs = tokens->compressor->needs(tokens->values);
        size_t view = 2 * features_view_bytes(shape, grid, needs, (int)cells[c].n); /* and as much for what a method derives from it */
        most_rows = rows > most_rows ? rows : most_rows;
        most_view = view > most_view ? view : most_view;
    }
    size_t context = (size_t)shape->context;
    most_rows = most_rows + TEXT_ALLOWANCE < context ? most_rows + TEXT_ALLOWANCE : context;
    if (!rc)
        *bytes = features_bytes(shape, model->dtype, n_frames, set.grids, set.n) + most_view +
                 most_rows * (size_t)shape->language.width * sizeof(float) +
                 language_state_bytes(shape, model->dtype, most_rows, most_rows, threads) + vision_space_bytes(shape, model->dtype, threads);
    arena_free(&arena);
    return rc;
}

/* ---- one job ------------------------------------------------------------------------------------------------------------- */

struct cell_work {
    size_t *slots;           /* [n] frame slot of each shown frame */
    struct tok_plan plan;
    size_t content, markers, content_before, markers_before;
    char digest[DIGEST_HEX];
    const char *time;        /* time instruction or NULL */
    double vision_ms;        /* alone */
    size_t frames_distinct;
    double owed_vision_ms, owed_compress_ms, compress_ms; /* owed: to be paid by the cell's first answer */
    size_t owed_frames;
    bool failed;             /* answered with a failure already */
    bool grouped;
};

struct work {
    struct native *native;
    struct native_worker *worker;
    const struct job *job;
    answer_sink *sink;
    void *context;
    struct grid_set grids;
    struct features *features;
    struct language_state *state;
    struct cell_work *cells;
    double *frame_ms;        /* [n_frames] encode time, 0: not yet encoded */
    struct arena arena;      /* the job's */
    struct arena scratch;    /* reset per cell, per group and per question */
    size_t planned_bytes;
    bool fetched_paid;       /* open, decode and resize have been paid by an answer */
    bool stopped;
};

static bool must_stop(struct work *work)
{
    work->stopped |= atomic_load(work->job->stop);
    return work->stopped;
}

static bool wanted(const struct work *work, size_t c, size_t s)
{
    return work->job->wanted[c * work->job->n_samples + s] && !work->cells[c].failed;
}

/* What every answer of a cell carries; moves what the cell owes onto it. */
static struct cost cell_cost(struct work *work, size_t c)
{
    const struct job *job = work->job;
    struct cell_work *cell = &work->cells[c];
    double share = job->frames.n ? (double)cell->frames_distinct / (double)job->frames.n : 0;
    struct cost cost = {.frames = (int32_t)job->cells[c].n,
                        .frames_encoded = (int32_t)cell->owed_frames,
                        .tokens_before = (int32_t)(cell->content_before + cell->markers_before),
                        .tokens_marker_before = (int32_t)cell->markers_before,
                        .tokens_visual = (int32_t)cell->content,
                        .tokens_marker = (int32_t)cell->markers,
                        .peak_bytes = (int64_t)work->planned_bytes,
                        .joules = NAN};
    cost.alone_ms[STAGE_OPEN] = job->open_ms;
    cost.alone_ms[STAGE_DECODE] = job->frames.decode_ms * share; /* decoding is one pass; a cell's part is its share of the frames */
    cost.alone_ms[STAGE_RESIZE] = job->frames.resize_ms * share;
    cost.alone_ms[STAGE_VISION] = cell->vision_ms;
    cost.alone_ms[STAGE_COMPRESS] = cell->compress_ms;
    if (!work->fetched_paid) {
        cost.paid_ms[STAGE_OPEN] = job->open_ms;
        cost.paid_ms[STAGE_DECODE] = job->frames.decode_ms;
        cost.paid_ms[STAGE_RESIZE] = job->frames.resize_ms;
    }
    cost.paid_ms[STAGE_VISION] = cell->owed_vision_ms;
    cost.paid_ms[STAGE_COMPRESS] = cell->owed_compress_ms;
    work->fetched_paid = true;
    cell->owed_vision_ms = cell->owed_compress_ms = 0;
    cell->owed_frames = 0;
    return cost;
}

static void give(struct work *work, size_t c, size_t s, const struct answer *answer)
{
    if (work->sink(work->context, c, s, answer))
        work->stopped = true;
}

static enum answer_status status_of(const struct err *err)
{
    return err->code == ERR_MEMORY ? ANSWER_OUT_OF_MEMORY : ANSWER_RUNNER_FAILED;
}

/* Answers everything that is still wanted of a cell with the failure. */
static void fail_cell(struct work *work, size_t c, const struct err *why)
{
    for (size_t s = 0; s < work->job->n_samples && !work->stopped; s++)
        if (wanted(work, c, s)) {
            struct answer answer = {.status = status_of(why), .message = why->text, .extracted = -1, .margin = NAN, .cost = cell_cost(work, c)};
            give(work, c, s, &answer);
        }
    work->cells[c].failed = true;
}

static size_t slot_of(const struct frames *frames, uint32_t index)
{
    size_t low = 0, high = frames->n;
    while (low + 1 < high) {
        size_t middle = (low + high) / 2;
        if (frames->index[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Encodes the cell's frames that no cell before it has shown. */
static int encode_cell(struct work *work, size_t c, struct err *err)
{
    const struct job *job = work->job;
    struct cell_work *cell = &work->cells[c];
    size_t n = job->cells[c].n, frame_bytes = (size_t)(job->frames.width * job->frames.height) * 3;
    cell->slots = arena_alloc(&work->arena, n, sizeof *cell->slots);
    if (!cell->slots)
        return err_no_memory(err, "a job");
    for (size_t i = 0; i < n && !must_stop(work); i++) {
        size_t slot = cell->slots[i] = slot_of(&job->frames, job->cells[c].index[i]);
        if (work->frame_ms[slot] == 0) {
            double start = now_ms();
            features_encode(work->features, work->worker->space, slot, job->frames.rgb + slot * frame_bytes, job->frames.width);
            work->frame_ms[slot] = now_ms() - start;
            cell->owed_vision_ms += work->frame_ms[slot];
            cell->owed_frames++;
        }
        if (i == 0 || slot != cell->slots[i - 1]) {
            cell->vision_ms += work->frame_ms[slot];
            cell->frames_distinct++;
        }
    }
    return 0;
}

/* The same for equal frames of equal videos, whatever folder they are in. */
static uint64_t video_hash(const struct job *job)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *p = job->video->id; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    return hash;
}

static int plan_cell(struct work *work, size_t c, struct err *err)
{
    const struct job_cell *shown = &work->job->cells[c];
    const struct run_cell *run = shown->run;
    const struct method *tokens = token_method(run);
    const struct model_shape *shape = &work->native->model->shape;
    struct cell_work *cell = &work->cells[c];
    struct vid_view view;
    arena_reset(&work->scratch);
    int rc = features_view(work->features, work->grids.of_cell[c], cell->slots, (int)shown->n, tokens->compressor->needs(tokens->values),
                           &work->scratch, &view, err);
    if (rc)
        return rc;
    view.video_hash = video_hash(work->job);
    double start = now_ms();
    enum newline native = (enum newline)newline_find(run->cell.newline);
    if ((rc = tokens->compressor->tokens(tokens->values, &view, NULL, NULL, &work->arena, &cell->plan, err)))
        return rc;
    cell->plan.dom = tokens->compressor->domain(tokens->values);
    if (!tok_plan_layout(&cell->plan, native, &work->arena))
        return err_no_memory(err, "a token plan");
    cell->compress_ms = cell->owed_compress_ms = now_ms() - start;
    size_t sources = shown->n * (size_t)(cell->plan.dom == DOM_H_POOLED ? view.pooled.h * view.pooled.w : view.raw.h * view.raw.w);
    const char *fault = tok_plan_fault(&cell->plan, sources);
    if (fault)
        return err_set(err, ERR_DATA, "compressor %s made a plan with %s", tokens->compressor->name, fault);
    tok_plan_count(&cell->plan, &cell->content, &cell->markers);
    if (cell->markers && !work->native->model->newline)
        return err_set(err, ERR_DATA, "the checkpoint has no newline embedding; use newline: no_token and marker: none");
    tokens_uncompressed(shape, &work->grids.grids[work->grids.of_cell[c]], shown, &cell->content_before, &cell->markers_before);
    struct digest *digest = digest_new();
    if (!digest)
        return err_no_memory(err, "a digest");
    digest_add_text(digest, run->cell.pooling);
    tok_plan_digest(&cell->plan, shown->index, digest);
    digest_finish(digest, cell->digest);
    return 0;
}

static int time_cell(struct work *work, size_t c, struct err *err)
{
    const struct job *job = work->job;
    const struct job_cell *shown = &job->cells[c];
    if (!shown->run->cell.time_instruction)
        return 0;
    double *times = arena_alloc(&work->arena, shown->n, sizeof *times);
    double fps = job->facts.fps > 0 ? job->facts.fps : 1, stride = nearbyint(fps) < 1 ? 1 : nearbyint(fps);
    bool uniform = shown->run->cell.sampling != FRAMES_1FPS || shown->n == (size_t)shown->run->cell.frames;
    for (size_t i = 0; i < shown->n && times; i++) /* models.md 5.1, frame_time */
        times[i] = shown->index[i] / (uniform ? fps : stride);
    work->cells[c].time = times ? time_instruction(job->facts.n_frames / fps, times, shown->n, &work->arena) : NULL;
    return work->cells[c].time ? 0 : err_no_memory(err, "a prompt");
}

/* ---- groups: cells whose prompts are equal row for row ------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool same_prompts(const struct work *work, size_t a, size_t b)
{
    const struct cell *p = &work->job->cells[a].run->cell, *q = &work->job->cells[b].run->cell;
    return !strcmp(work->cells[a].digest, work->cells[b].digest) && !strcmp(p->conversation, q->conversation) &&
           same_text(work->cells[a].time, work->cells[b].time) && p->repetition_penalty == q->repetition_penalty &&
           p->max_new_tokens == q->max_new_tokens;
}

struct group {
    size_t *cells;
    size_t n;
    size_t prefix_rows;
    uint32_t next_position; /* of the first row behind the prefix */
    double prefix_ms;
    bool prefix_paid;
};

/* Prompts of a group's questions; n_after is 0 for those nobody wants. */
static int make_prompts(struct work *work, const struct group *group, struct prompt *prompts, struct err *err)
{
    const struct job *job = work->job;
    size_t lead = group->cells[0];
    for (size_t s = 0; s < job->n_samples; s++) {
        bool any = false;
        for (size_t i = 0; i < group->n; i++)
            any |= wanted(work, group->cells[i], s);
        int rc = any ? prompt_make(&prompts[s], work->native->model->tokenizer, job->cells[lead].run->cell.conversation,
                                   work->cells[lead].time, job->samples[s].prompt, &work->scratch, err)
                     : 0;
        if (rc)
            return rc;
    }
    return 0;
}

/* Embeds and runs what all questions share: the text before the video, and the visual tokens. */
static int prefill_prefix(struct work *work, struct group *group, const struct prompt *prompt, size_t rows_behind, struct err *err)
{
    const struct model *model = work->native->model;
    size_t lead = group->cells[0], d = (size_t)model->shape.language.width;
    const struct tok_plan *plan = &work->cells[lead].plan;
    size_t n = prompt->n_before + plan->n_tok;
    double start = now_ms();
    group->prefix_rows = n;
    group->next_position = (uint32_t)prompt->n_before + plan->end_position;
    language_state_free(work->state);
    work->state = NULL;
    int rc = language_state_new(&work->state, model, n + rows_behind, group->next_position + rows_behind, work->worker->threads, err);
    float *rows = rc ? NULL : arena_alloc(&work->scratch, n * d, sizeof *rows);
    uint32_t *position = plan->position ? arena_alloc(&work->scratch, n, sizeof *position) : NULL;
    if (rc)
        return rc;
    if (!rows || (plan->position && !position))
        return err_no_memory(err, "the rows of a prompt");
    for (size_t i = 0; i < prompt->n_before; i++)
        language_embed(model, prompt->before[i], rows + i * d);
    features_apply(work->features, work->worker->space, work->grids.of_cell[lead], work->cells[lead].slots, plan, 0, plan->n_tok,
                   rows + prompt->n_before * d);
    for (size_t i = 0; i < n && position; i++)
        position[i] = (uint32_t)(i < prompt->n_before ? i : prompt->n_before + plan->position[i - prompt->n_before]);
    language_prefill(model, work->state, rows, n, position, 0, NULL, NULL, NULL);
    group->prefix_ms = now_ms() - start;
    return 0;
}

/* Gives one reply to every cell of the group that wants it. The first pays for it. */
static void share_reply(struct work *work, struct group *group, size_t s, const struct prompt *prompt, const struct reply *reply)
{
    bool paid = false;
    for (size_t i = 0; i < group->n && !work->stopped; i++) {
        size_t c = group->cells[i];
        if (!wanted(work, c, s))
            continue;
        struct answer answer = {.status = ANSWER_OK, .raw = reply->text, .extracted = -1, .margin = reply->margin, .cost = cell_cost(work, c)};
        memcpy(answer.tokens_digest, work->cells[c].digest, DIGEST_HEX);
        answer.cost.tokens_text = (int32_t)(prompt->n_before + prompt->n_after);
        answer.cost.tokens_generated = (int32_t)reply->n_steps;
        answer.cost.alone_ms[STAGE_PREFILL] = group->prefix_ms + reply->prefill_ms;
        answer.cost.alone_ms[STAGE_GENERATE] = reply->generate_ms;
        if (!group->prefix_paid) {
            answer.cost.tokens_prefilled += (int32_t)group->prefix_rows;
            answer.cost.paid_ms[STAGE_PREFILL] += group->prefix_ms;
        }
        if (!paid) {
            answer.cost.tokens_prefilled += (int32_t)prompt->n_after;
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
        if (wanted(work, group->cells[i], s)) {
            struct answer answer = {.status = status, .message = message, .extracted = -1, .margin = NAN,
                                    .cost = cell_cost(work, group->cells[i])};
            give(work, group->cells[i], s, &answer);
        }
}

/* Refuses the questions that do not fit the context; returns the most rows behind the prefix that the others need. */
static size_t refuse_too_long(struct work *work, const struct group *group, struct prompt *prompts, size_t prefix_rows)
{
    size_t lead = group->cells[0], most = 0, context = (size_t)work->native->model->shape.context;
    size_t reply = (size_t)work->job->cells[lead].run->cell.max_new_tokens;
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

static int answer_group(struct work *work, struct group *group, struct err *err)
{
    const struct job *job = work->job;
    size_t lead = group->cells[0];
    const struct cell *cell = &job->cells[lead].run->cell;
    struct generate_options options = {.max_new_tokens = cell->max_new_tokens, .repetition_penalty = cell->repetition_penalty};
    arena_reset(&work->scratch);
    struct prompt *prompts = arena_alloc(&work->scratch, job->n_samples, sizeof *prompts);
    int rc = prompts ? make_prompts(work, group, prompts, err) : err_no_memory(err, "the prompts of a video");
    const struct prompt *any = NULL;
    for (size_t s = 0; s < job->n_samples && !rc && !any; s++)
        any = prompts[s].n_after ? &prompts[s] : NULL;
    if (rc || !any)
        return rc;
    size_t behind = refuse_too_long(work, group, prompts, any->n_before + work->cells[lead].plan.n_tok);
    if (!behind || must_stop(work))
        return 0;
    if ((rc = prefill_prefix(work, group, any, behind, err)))
        return rc;
    struct arena reply_arena = {0};
    for (size_t s = 0; s < job->n_samples && !rc && !must_stop(work); s++) {
        struct reply reply;
        if (!prompts[s].n_after)
            continue;
        arena_reset(&reply_arena);
        language_cut(work->state, group->prefix_rows);
        rc = generate(&reply, work->native->model, work->state, prompts[s].after, prompts[s].n_after, group->next_position, &options,
                      &reply_arena, err);
        if (!rc)
            share_reply(work, group, s, &prompts[s], &reply);
    }
    arena_free(&reply_arena);
    return rc;
}

static int answer_groups(struct work *work, struct err *err)
{
    const struct job *job = work->job;
    size_t *members = arena_alloc(&work->arena, job->n_cells, sizeof *members);
    if (!members)
        return err_no_memory(err, "a job");
    for (size_t c = 0; c < job->n_cells && !must_stop(work); c++) {
        if (work->cells[c].grouped || work->cells[c].failed)
            continue;
        struct group group = {.cells = members};
        for (size_t other = c; other < job->n_cells; other++)
            if (!work->cells[other].grouped && !work->cells[other].failed && same_prompts(work, c, other)) {
                members[group.n++] = other;
                work->cells[other].grouped = true;
            }
        struct err why = {0};
        if (answer_group(work, &group, &why))
            for (size_t i = 0; i < group.n; i++)
                fail_cell(work, group.cells[i], &why);
    }
    return 0;
}

static void give_plan(struct work *work, size_t c)
{
    struct answer answer = {.status = ANSWER_OK, .extracted = -1, .margin = NAN, .cost = cell_cost(work, c)};
    memcpy(answer.tokens_digest, work->cells[c].digest, DIGEST_HEX);
    give(work, c, 0, &answer);
}

static int run_cells(struct work *work, struct err *err)
{
    const struct job *job = work->job;
    for (size_t c = 0; c < job->n_cells && !must_stop(work); c++) {
        struct err why = {0};
        int rc = encode_cell(work, c, &why);
        if (!rc && !must_stop(work))
            rc = plan_cell(work, c, &why);
        if (!rc && !work->stopped)
            rc = time_cell(work, c, &why);
        if (rc)
            fail_cell(work, c, &why);
        else if (job->plan_only && !work->stopped)
            give_plan(work, c);
    }
    return job->plan_only || work->stopped ? 0 : answer_groups(work, err);
}

static int native_run(void *self, void *worker, const struct job *job, answer_sink *sink, void *context, struct err *err)
{
    struct work work = {.native = self, .worker = worker, .job = job, .sink = sink, .context = context};
    struct model *model = work.native->model;
    struct err why = {0};
    work.cells = arena_alloc(&work.arena, job->n_cells, sizeof *work.cells);
    work.frame_ms = arena_alloc(&work.arena, job->frames.n, sizeof *work.frame_ms);
    int rc = work.cells && work.frame_ms ? 0 : err_no_memory(err, "a job");
    if (rc)
        goto done;
    rc = grids_of(&work.grids, model, job->cells, job->n_cells, &work.arena, &why);
    if (!rc)
        rc = native_bytes(self, job->cells, job->n_cells, job->frames.n, work.worker->threads, &work.planned_bytes, &why);
    if (!rc)
        rc = features_new(&work.features, model, job->frames.n, work.grids.grids, work.grids.n, &why);
    if (rc) {
        for (size_t c = 0; c < job->n_cells && !work.stopped; c++)
            fail_cell(&work, c, &why);
        rc = 0;
        goto done;
    }
    rc = run_cells(&work, err);
done:
    language_state_free(work.state);
    features_free(work.features);
    arena_free(&work.arena);
    arena_free(&work.scratch);
    return rc;
}

const struct runner runner_native = {
    .name = "native",
    .summary = "the C engine in this process",
    .opens_checkpoint = true,
    .open = native_open,
    .close = native_close,
    .bytes_needed = native_bytes,
    .worker_open = native_worker_open,
    .worker_close = native_worker_close,
    .run = native_run,
};
