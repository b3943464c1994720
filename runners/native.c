/* The native runner: the C engine in this process. One job is one walk down the tree of DESIGN 5:
 *
 *   frames -> features (each distinct frame once) -> token plan per cell                        (native_tokens.c)
 *                    budgets of frames from a guide's attention, where a cell asks for them  -/  (native_guide.c)
 *     -> groups of what goes behind equal visual tokens -> one cached prefix per group
 *       -> one reply per question, given to every cell of the group that wants it               (native_replies.c) */
#include "runners/native_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool native_must_stop(struct work *work)
{
    work->stopped |= atomic_load(work->job->stop);
    return work->stopped;
}

int native_take_rows(struct work *work, const struct model *model, size_t n, struct err *err)
{
    const struct memory *memory = model->kernels->memory;
    memory->release(work->rows);
    work->rows = memory->take(n * (size_t)model->shape.language.width * sizeof *work->rows);
    return work->rows ? 0 : err_no_memory(err, "the rows of a prompt");
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

static void name_device(struct native *native, const struct kernels *kernels)
{
    kernels_describe(kernels, native->isa, sizeof native->isa, native->device, sizeof native->device);
    if (!*native->device)
        name_processor(native->device, sizeof native->device, native->isa);
}

static const char *checkpoint_pooling(const struct model_shape *shape)
{
    return pool_mode_name(shape->pool_mode);
}

static void native_close(void *self)
{
    struct native *native = self;
    if (native) {
        model_close(native->model);
        model_close(native->assistant);
        pthread_mutex_destroy(&native->lock);
    }
    free(native);
}

/* A card must hold the weights beside what is on it. */
static int check_card(const struct native *native, size_t weights, struct err *err)
{
    size_t left = native->model->kernels->memory->left();
    if (!left || weights < left)
        return 0;
    return err_set(err, ERR_MEMORY, "the weights take %.1f MiB, %s has %.1f MiB left; take another card, a smaller model or a smaller dtype",
                   (double)weights / 0x1p20, native->device, (double)left / 0x1p20);
}

static int native_open(void **self, const struct runner_options *options, struct runner_facts *facts, struct err *err)
{
    const struct kernels *kernels;
    enum dtype dtype;
    *self = NULL;
    if (!dtype_parse(options->dtype, &dtype))
        return err_set(err, ERR_CONFIG, "no dtype '%s'; use f32, bf16, f16 or int8", options->dtype);
    int rc = kernels_open_device(&kernels, options->device, options->isa, err);
    if (rc)
        return rc;
    struct native *native = calloc(1, sizeof *native);
    if (!native)
        return err_no_memory(err, "the native runner");
    pthread_mutex_init(&native->lock, NULL);
    name_device(native, kernels);
    rc = model_examine(&native->model, options->model, kernels, dtype, err);
    if (!rc && options->assistant)
        rc = model_examine(&native->assistant, options->assistant, kernels, dtype, err);
    size_t weights = rc ? 0 : native->model->weight_bytes + (native->assistant ? native->assistant->weight_bytes : 0);
    if (!rc)
        rc = check_card(native, weights, err);
    if (rc) {
        native_close(native);
        return rc;
    }
    const struct model_shape *shape = &native->model->shape;
    size_t left = kernels->memory->left();
    *facts = (struct runner_facts){.model_digest = native->model->digest, .isa = native->isa, .device = native->device,
                                   .frame_side = shape->vision.image_size, .repetition_penalty = shape->repetition_penalty,
                                   .pooling = checkpoint_pooling(shape), .newline = newline_name(shape->newline),
                                   .assistant_digest = native->assistant ? native->assistant->digest : NULL,
                                   .fixed_bytes = weights, .device_bytes = left ? left - weights : 0};
    *self = native;
    return 0;
}

static void native_worker_close(void *self, void *worker)
{
    struct native_worker *native_worker = worker;
    (void)self;
    if (native_worker) {
        vision_space_free(native_worker->space);
        vision_space_free(native_worker->assistant_space);
    }
    free(native_worker);
}

/* Weights are read when the first worker is about to need them: a run that finds all its answers in the store has none. */
static int load_models(struct native *native, struct err *err)
{
    pthread_mutex_lock(&native->lock);
    struct err *failure = &native->load_failure;
    if (!native->model->loaded && !model_load(native->model, failure) && native->assistant)
        model_load(native->assistant, failure);
    if (failure->code)
        *err = *failure;
    int rc = failure->code;
    pthread_mutex_unlock(&native->lock);
    return rc;
}

static int native_worker_open(void *self, void **worker, int threads, struct err *err)
{
    struct native *native = self;
    struct native_worker *made = calloc(1, sizeof *made);
    *worker = NULL;
    if (!made)
        return err_no_memory(err, "a worker");
    made->threads = threads;
    int rc = load_models(native, err);
    if (!rc)
        rc = vision_space_new(&made->space, native->model, threads, err);
    if (!rc && native->assistant)
        rc = vision_space_new(&made->assistant_space, native->assistant, threads, err);
    if (rc)
        native_worker_close(self, made);
    else
        *worker = made;
    return rc;
}

static int cell_fits(const struct model_shape *shape, const struct run_cell *run, struct err *err)
{
    int rc = 0;
    for (int i = 0; i < run->n_methods && !rc; i++)
        if (run->methods[i].compressor->fits)
            rc = run->methods[i].compressor->fits(run->methods[i].values, shape->language.layers, err);
    return rc;
}

/* What acting in the language model takes beside its caches. */
static size_t cell_hooks_bytes(const struct model_shape *shape, const struct run_cell *run, size_t rows)
{
    const struct method *tokens = native_token_method(run);
    bool any = tokens->compressor->flags & LOGSIZE_BIAS || methods_find(run->methods, run->n_methods, ROLE_LAYER) ||
               methods_find(run->methods, run->n_methods, ROLE_DECODE);
    return any ? hooks_bytes(shape, run->methods, run->n_methods, rows, rows, TEXT_ALLOWANCE) : 0;
}

static int native_bytes(void *self, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads, size_t *bytes, struct err *err)
{
    const struct model *model = ((struct native *)self)->model;
    const struct model_shape *shape = &model->shape;
    struct arena arena = {0};
    struct grid_set set;
    int rc = native_grids(&set, model, cells, n_cells, &arena, err);
    size_t most_rows = 0, most_view = 0, most_hooks = 0, context = (size_t)shape->context;
    for (size_t c = 0; c < n_cells && !rc; c++) {
        if ((rc = cell_fits(shape, cells[c].run, err)) || (rc = native_guide_check(self, cells[c].run, err)))
            break;
        const struct feature_grid *grid = &set.grids[set.of_cell[c]];
        size_t content, markers, raw = (size_t)(shape->vision.side * shape->vision.side);
        native_uncompressed(shape, grid, &cells[c], &content, &markers);
        size_t rows = cells[c].n * raw + markers; /* no compressor makes more tokens than the tower has patches */
        if (!(grid->keep & (NEED_H_RAW | NEED_X_RAW)))
            rows = content + cells[c].n * (size_t)pool_side(grid->mode, shape->vision.side, grid->stride);
        const struct method *tokens = native_token_method(cells[c].run);
        unsigned needs = tokens->compressor->needs(tokens->values);
        size_t view = features_view_bytes(shape, grid, needs, (int)cells[c].n);
        size_t hooks = cell_hooks_bytes(shape, cells[c].run, rows < context ? rows : context);
        most_rows = rows > most_rows ? rows : most_rows;
        most_view = view > most_view ? view : most_view;
        most_hooks = hooks > most_hooks ? hooks : most_hooks;
    }
    most_rows = most_rows + TEXT_ALLOWANCE < context ? most_rows + TEXT_ALLOWANCE : context;
    if (!rc)
        *bytes = features_bytes(shape, model->dtype, model->frames_at_once, n_frames, set.grids, set.n) + most_view + most_hooks +
                 native_guide_bytes(self, cells, n_cells, n_frames, threads) +
                 most_rows * (size_t)shape->language.width * sizeof(float) +
                 language_state_bytes(shape, model->kernels, model->dtype, most_rows, most_rows, threads) +
                 vision_space_bytes(shape, model->kernels, model->dtype, model->frames_at_once, threads);
    arena_free(&arena);
    return rc;
}

/* ---- one job ------------------------------------------------------------------------------------------------------------- */

/* Who matches whom, and whose tokens are needed for that. */
static int find_matches(struct work *work, struct err *err)
{
    const struct job *job = work->job;
    memcpy(work->needed, job->wanted, job->n_cells * job->n_samples * sizeof *work->needed);
    for (size_t c = 0; c < job->n_cells; c++) {
        size_t *match = &work->cells[c].match, n = job->n_samples;
        *match = SIZE_MAX;
        if (!job->cells[c].run->match)
            continue;
        for (size_t other = 0; other < job->n_cells; other++)
            if (job->cells[other].run == job->cells[c].run->match)
                *match = other;
        if (*match == SIZE_MAX)
            return err_set(err, ERR_CONFIG, "the job has cell '%s' and not the one that it matches", job->cells[c].run->cell.label);
        for (size_t s = 0; s < n; s++)
            work->needed[*match * n + s] |= job->wanted[c * n + s];
    }
    return 0;
}

static bool is_needed(const struct work *work, size_t c)
{
    bool needed = false;
    for (size_t s = 0; s < work->job->n_samples; s++)
        needed |= work->needed[c * work->job->n_samples + s];
    return needed;
}

static void prepare_cell(struct work *work, size_t c)
{
    struct err *why = &work->cells[c].failure;
    if (native_prepare(work, c, why))
        native_fail_cell(work, c, why);
    else if (work->job->plan_only && !work->stopped)
        native_give_plan(work, c);
}

static int run_cells(struct work *work, struct err *err)
{
    const struct job *job = work->job;
    for (size_t c = 0; c < job->n_cells; c++) {
        int rc = job_time_instruction(&work->cells[c].time, job, &job->cells[c], &work->arena, err);
        if (rc)
            return rc;
    }
    for (int controls = 0; controls < 2; controls++) /* after all others */
        for (size_t c = 0; c < job->n_cells && !native_must_stop(work); c++)
            if ((work->cells[c].match != SIZE_MAX) == controls && is_needed(work, c))
                prepare_cell(work, c);
    return job->plan_only || work->stopped ? 0 : native_answer(work, err);
}

static int native_run(void *self, void *worker, const struct job *job, answer_sink *sink, void *context, struct err *err)
{
    struct work work = {.native = self, .worker = worker, .job = job, .sink = sink, .context = context};
    struct model *model = work.native->model;
    struct err why = {0};
    work.cells = arena_alloc(&work.arena, job->n_cells, sizeof *work.cells);
    work.frame_ms = arena_alloc(&work.arena, job->frames.n, sizeof *work.frame_ms);
    work.open = arena_alloc(&work.arena, job->n_cells * job->n_samples, sizeof *work.open);
    work.needed = arena_alloc(&work.arena, job->n_cells * job->n_samples, sizeof *work.needed);
    int rc = work.cells && work.frame_ms && work.open && work.needed ? 0 : err_no_memory(err, "a job");
    if (rc)
        goto done;
    memcpy(work.open, job->wanted, job->n_cells * job->n_samples * sizeof *work.open);
    if ((rc = find_matches(&work, err)))
        goto done;
    rc = native_grids(&work.grids, model, job->cells, job->n_cells, &work.arena, &why);
    if (!rc)
        rc = native_bytes(self, job->cells, job->n_cells, job->frames.n, work.worker->threads, &work.planned_bytes, &why);
    if (!rc)
        rc = features_new(&work.features, model, job->frames.n, work.grids.grids, work.grids.n, &why);
    if (rc) {
        for (size_t c = 0; c < job->n_cells && !work.stopped; c++)
            native_fail_cell(&work, c, &why);
        rc = 0;
        goto done;
    }
    rc = run_cells(&work, err);
done:
    model->kernels->memory->settle(&why); /* memory that ran out here is not the next job's affair */
    features_free(work.features);
    features_free(work.assistant_features);
    model->kernels->memory->release(work.rows);
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
