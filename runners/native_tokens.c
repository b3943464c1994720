/* From frames to token plans: each distinct frame is encoded once, for all cells of a job. */
#include "runners/native_impl.h"

#include "compressors/methods.h"
#include "core/clock.h"
#include "core/rng.h"

#include <stdio.h>
#include <string.h>

/* ---- grids: what features the cells of a job need ------------------------------------------------------------------------ */

const struct method *native_token_method(const struct run_cell *run)
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
    const struct method *tokens = native_token_method(run);
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

int native_grids(struct grid_set *out, const struct model *model, const struct job_cell *cells, size_t n_cells, struct arena *arena,
                 struct err *err)
{
    *out = (struct grid_set){.grids = arena_alloc(arena, n_cells, sizeof *out->grids), .of_cell = arena_alloc(arena, n_cells, sizeof *out->of_cell)};
    if (!out->grids || !out->of_cell)
        return err_no_memory(err, "a job");
    for (size_t c = 0; c < n_cells; c++) {
        struct feature_grid grid = cell_grid(&model->shape, cells[c].run);
        size_t g = 0;
        if (features_check(model, grid.keep, err))
            return err_prefix(err, "compressor %s", native_token_method(cells[c].run)->compressor->name);
        while (g < out->n && !same_grid(&out->grids[g], &grid))
            g++;
        if (g == out->n)
            out->grids[out->n++] = grid;
        out->grids[g].keep |= grid.keep;
        out->of_cell[c] = g;
    }
    return 0;
}

void native_uncompressed(const struct model_shape *shape, const struct feature_grid *grid, const struct job_cell *cell, size_t *content,
                         size_t *markers)
{
    int side = pool_side(grid->mode, shape->vision.side, grid->stride);
    newline_count((enum newline)newline_find(cell->run->cell.newline), (int)cell->n, side, side, content, markers);
}

/* ---- frames -------------------------------------------------------------------------------------------------------------- */

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

int native_encode(struct work *work, const struct encoder *by, const size_t *slots, size_t n, double *ms, double *paid_ms, size_t *paid_frames,
                  struct err *err)
{
    const struct frames *frames = &work->job->frames;
    size_t batch[MOST_FRAMES_AT_ONCE], most = (size_t)by->model->frames_at_once;
    for (size_t i = 0; i < n && !native_must_stop(work);) {
        double start = now_ms();
        size_t b = 0;
        for (; i < n && b < most; i++)
            if (ms[slots[i]] == 0 && (b == 0 || batch[b - 1] != slots[i]))
                batch[b++] = slots[i];
        int rc = b ? features_encode(by->features, by->space, batch, b, frames->rgb, frames->width, err) : 0;
        if (rc)
            return rc;
        double spent = now_ms() - start;
        for (size_t k = 0; k < b; k++)
            ms[batch[k]] = spent / (double)b;
        *paid_ms += b ? spent : 0;
        *paid_frames += b;
    }
    return 0;
}

double native_encode_ms(const size_t *slots, size_t n, const double *ms, size_t *distinct)
{
    double sum = 0;
    *distinct = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || slots[i] != slots[i - 1]) {
            sum += ms[slots[i]];
            ++*distinct;
        }
    return sum;
}

/* Encodes the cell's frames that no cell before it has shown. */
static int encode_cell(struct work *work, size_t c, struct err *err)
{
    const struct job *job = work->job;
    struct cell_work *cell = &work->cells[c];
    const struct encoder encoder = {work->native->model, work->features, work->worker->space};
    size_t n = job->cells[c].n;
    cell->slots = arena_alloc(&work->arena, n, sizeof *cell->slots);
    if (!cell->slots)
        return err_no_memory(err, "a job");
    for (size_t i = 0; i < n; i++)
        cell->slots[i] = slot_of(&job->frames, job->cells[c].index[i]);
    int rc = native_encode(work, &encoder, cell->slots, n, work->frame_ms, &cell->owed_vision_ms, &cell->owed_frames, err);
    cell->vision_ms = native_encode_ms(cell->slots, n, work->frame_ms, &cell->frames_distinct);
    return rc;
}

/* ---- tokens -------------------------------------------------------------------------------------------------------------- */

struct token_set *native_tokens(const struct work *work, size_t c, size_t s)
{
    return &work->cells[c].tokens[work->cells[c].per_question ? s : 0];
}

static int digest_tokens(struct token_set *set, const struct job_cell *shown, struct err *err)
{
    struct digest *digest = digest_new();
    if (!digest)
        return err_no_memory(err, "a digest");
    digest_add_text(digest, shown->run->cell.pooling);
    tok_plan_digest(&set->plan, shown->index, digest);
    digest_finish(digest, set->digest);
    return 0;
}

int native_plan_tokens(struct work *work, size_t c, const struct vid_view *view, const double *values, const struct budget *budget,
                       struct token_set *set, struct err *err)
{
    const struct job_cell *shown = &work->job->cells[c];
    const struct method *tokens = native_token_method(shown->run);
    double start = now_ms();
    int rc = tokens->compressor->tokens(values, view, NULL, budget, &work->arena, &set->plan, err);
    if (rc)
        return rc;
    set->plan.dom = tokens->compressor->domain(values);
    if (!tok_plan_layout(&set->plan, (enum newline)newline_find(shown->run->cell.newline), &work->arena))
        return err_no_memory(err, "a token plan");
    set->compress_ms = set->owed_compress_ms = now_ms() - start;
    size_t sources = shown->n * (size_t)(set->plan.dom == DOM_H_POOLED ? view->pooled.h * view->pooled.w : view->raw.h * view->raw.w);
    const char *fault = tok_plan_fault(&set->plan, sources);
    if (fault)
        return err_set(err, ERR_DATA, "compressor %s made a plan with %s", tokens->compressor->name, fault);
    tok_plan_count(&set->plan, &set->content, &set->markers);
    if (set->markers && !work->native->model->newline)
        return err_set(err, ERR_DATA, "the checkpoint has no newline embedding; use newline: no_token and marker: none");
    return digest_tokens(set, shown, err);
}

/* Budgets of the questions that need a cell's tokens. When tokens are only counted nothing is asked, and any question has the same
 * number of them. */
static int allot_budgets(struct work *work, size_t c, const struct vid_view *view, struct err *err)
{
    const struct job *job = work->job;
    const struct run_cell *run = job->cells[c].run;
    struct cell_work *cell = &work->cells[c];
    int rc = 0;
    if (!methods_find(run->methods, run->n_methods, ROLE_ALLOCATE))
        return 0;
    cell->budgets = arena_alloc(&work->arena, job->n_samples, sizeof *cell->budgets);
    if (!cell->budgets)
        return err_no_memory(err, "the budgets of frames");
    for (size_t s = 0; s < job->n_samples && !rc && !work->stopped; s++) {
        const char *refusal = native_guide_refusal(work, c, s);
        if (!work->needed[c * job->n_samples + s])
            continue;
        if (!refusal)
            rc = native_budget(work, c, s, view, &cell->budgets[s], err);
        else if (work->open[c * job->n_samples + s])
            native_fail(work, c, s, ANSWER_TOO_LONG, refusal);
    }
    return rc;
}

static int measure_cell(struct work *work, size_t c, const struct vid_view *view, struct err *err)
{
    const struct method *tokens = native_token_method(work->job->cells[c].run);
    struct cell_work *cell = &work->cells[c];
    if (!tokens->compressor->measure)
        return 0;
    cell->measures = arena_alloc(&work->arena, COMPRESSOR_MOST_MEASURES, sizeof *cell->measures);
    if (!cell->measures)
        return err_no_memory(err, "the measures of a method");
    return tokens->compressor->measure(tokens->values, view, &work->scratch, cell->measures, &cell->n_measures, err);
}

/* What a method spent on getting its features is part of its time; the first answer pays for all. */
static void add_view_time(struct token_set *sets, size_t n, double ms)
{
    double owed = ms;
    for (size_t s = 0; s < n; s++)
        if (sets[s].digest[0]) {
            sets[s].compress_ms += ms;
            sets[s].owed_compress_ms += owed;
            owed = 0;
        }
}

static int plan_cell(struct work *work, size_t c, struct err *err)
{
    const struct job *job = work->job;
    const struct job_cell *shown = &job->cells[c];
    const struct method *tokens = native_token_method(shown->run);
    struct cell_work *cell = &work->cells[c];
    struct vid_view view;
    double start = now_ms();
    arena_reset(&work->scratch);
    int rc = features_view(work->features, work->grids.of_cell[c], cell->slots, (int)shown->n, tokens->compressor->needs(tokens->values),
                           &work->scratch, &view, err);
    double view_ms = now_ms() - start;
    if (rc)
        return rc;
    view.video_hash = rng_stream(job->video->id); /* the same for equal frames of equal videos, whatever folder they are in */
    cell->per_question = methods_spender(shown->run->methods, shown->run->n_methods) == ROLE_TOKENS;
    native_uncompressed(&work->native->model->shape, &work->grids.grids[work->grids.of_cell[c]], shown, &cell->content_before,
                        &cell->markers_before);
    bool control = cell->match != SIZE_MAX;
    rc = control ? native_meet_match(work, c, err) : allot_budgets(work, c, &view, err);
    size_t n = cell->per_question ? job->n_samples : 1;
    struct token_set *sets = arena_alloc(&work->arena, n, sizeof *sets);
    if (!rc && !sets)
        rc = err_no_memory(err, "a token plan");
    for (size_t s = 0; s < n && !rc; s++)
        if (cell->per_question && (!work->needed[c * job->n_samples + s] || native_guide_refusal(work, control ? cell->match : c, s)))
            continue;
        else if (control)
            rc = native_plan_control(work, c, s, &view, &sets[s], err);
        else
            rc = native_plan_tokens(work, c, &view, tokens->values, cell->per_question ? &cell->budgets[s] : NULL, &sets[s], err);
    if (!rc && job->viewer)
        rc = measure_cell(work, c, &view, err);
    if (!rc)
        add_view_time(sets, n, view_ms);
    cell->tokens = rc ? NULL : sets;
    return rc;
}

int native_prepare(struct work *work, size_t c, struct err *err)
{
    int rc = encode_cell(work, c, err);
    if (!rc && !native_must_stop(work))
        rc = native_guide(work, c, err);
    if (!rc && !native_must_stop(work))
        rc = plan_cell(work, c, err);
    features_forget(work->features);
    return rc;
}
