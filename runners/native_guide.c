/* The detection pass of an allocator: a guide reads the uncompressed video once, then every question that is asked of a cell with budgets;
 * from what its last row attends to come the frames' shares, and from those the budgets. Cells that show the same frames in the same words
 * share a pass, whatever layers they look at. */
#include "runners/native_impl.h"

#include "compressors/methods.h"
#include "core/clock.h"
#include "engine/guide.h"
#include "engine/prompt.h"

#include <math.h>
#include <string.h>

struct guide_pass {
    struct guide_pass *next;
    size_t lead;             /* the cell it was made for */
    enum guide kind;
    int first, last;         /* layers that any of its cells looks at */
    float *share;            /* [n_samples][last - first + 1][T] */
    size_t *rows;            /* [n_samples] of prefix and question; 0: not asked */
    const char **refusal;    /* [n_samples] why not; NULL: it was, or nobody wanted it */
    double vision_ms, prefix_ms, *question_ms; /* [n_samples] */
    double owed_ms;          /* of the prefix and the frames: to be paid by the first answer */
    bool *paid;              /* [n_samples] the question has been */
};

static const struct model *guide_model(const struct work *work, enum guide kind)
{
    return kind == GUIDE_SELF ? work->native->model : work->native->assistant;
}

/* Whether a cell has an allocator, and which layers of which guide it looks at. */
static bool cell_guide(const struct work *work, size_t c, enum guide *kind, int *first, int *last)
{
    const struct run_cell *run = work->job->cells[c].run;
    const struct method *allocator = methods_find(run->methods, run->n_methods, ROLE_ALLOCATE);
    if (!allocator)
        return false;
    *kind = allocator->compressor->guide(allocator->values, 1, first, last); /* which guide does not depend on its layers */
    const struct model *model = guide_model(work, *kind);
    if (model)
        allocator->compressor->guide(allocator->values, model->shape.language.layers, first, last);
    return true;
}

int native_guide_check(const struct native *native, const struct run_cell *run, struct err *err)
{
    const struct method *allocator = methods_find(run->methods, run->n_methods, ROLE_ALLOCATE);
    int first, last;
    if (!allocator)
        return 0;
    const char *name = allocator->compressor->name;
    enum guide kind = allocator->compressor->guide(allocator->values, 1, &first, &last);
    const struct model *model = kind == GUIDE_SELF ? native->model : native->assistant;
    if (!model)
        return err_set(err, ERR_CONFIG, "compressor %s is to be guided by an assistant and the sweep names none; write assistant: MODEL, or guide: self", name);
    allocator->compressor->guide(allocator->values, model->shape.language.layers, &first, &last);
    if (last >= model->shape.language.layers)
        return err_set(err, ERR_CONFIG, "compressor %s looks at layer %d of a guide whose layers are 0 to %d; use one of them", name, last,
                       model->shape.language.layers - 1);
    if (model->shape.vision.image_size != native->model->shape.vision.image_size)
        return err_set(err, ERR_CONFIG, "the assistant reads frames of %d pixels, the model of %d; use one of the same size",
                       model->shape.vision.image_size, native->model->shape.vision.image_size);
    return 0;
}

/* ---- the guide's frames -------------------------------------------------------------------------------------------------- */

/* How a guide sees frames without compression: as the cell does, or, an assistant, by its own habits. */
static struct feature_grid guide_grid(const struct work *work, enum guide kind, size_t c)
{
    const struct model_shape *shape = &work->native->assistant->shape;
    if (kind == GUIDE_SELF)
        return work->grids.grids[work->grids.of_cell[c]];
    return (struct feature_grid){.mode = shape->pool_mode,
                                 .stride = shape->pool_mode == POOL_NONE ? 1 : shape->pool_stride > 1 ? shape->pool_stride : 2};
}

/* Encodes the cell's frames with the assistant, those that it has not seen; returns how long that took. */
static int encode_frames(struct work *work, size_t c, double *alone_ms, double *paid_ms, struct err *err)
{
    const struct job *job = work->job;
    const struct model *model = work->native->assistant;
    struct feature_grid grid = guide_grid(work, GUIDE_ASSISTANT, c);
    size_t frames = 0;
    int rc = work->assistant_features ? 0 : features_new(&work->assistant_features, model, job->frames.n, &grid, 1, err);
    if (!rc && !work->assistant_ms && !(work->assistant_ms = arena_alloc(&work->arena, job->frames.n, sizeof *work->assistant_ms)))
        rc = err_no_memory(err, "a job");
    const struct encoder encoder = {model, work->assistant_features, work->worker->assistant_space};
    if (!rc)
        rc = native_encode(work, &encoder, work->cells[c].slots, job->cells[c].n, work->assistant_ms, paid_ms, &frames, err);
    if (!rc)
        *alone_ms += native_encode_ms(work->cells[c].slots, job->cells[c].n, work->assistant_ms, &frames);
    return rc;
}

/* Every token of the grid, laid out as the guide is used to. */
static int plan_everything(struct work *work, const struct guide_pass *pass, struct tok_plan *plan, struct err *err)
{
    const struct model *model = guide_model(work, pass->kind);
    struct feature_grid grid = guide_grid(work, pass->kind, pass->lead);
    const struct job_cell *shown = &work->job->cells[pass->lead];
    int side = pool_side(grid.mode, model->shape.vision.side, grid.stride);
    struct vid_view view = {.T = (int)shown->n, .pooled = {.h = side, .w = side}};
    enum newline newline = pass->kind == GUIDE_SELF ? (enum newline)newline_find(shown->run->cell.newline) : model->shape.newline;
    int rc = compressor_none.tokens(NULL, &view, NULL, NULL, &work->scratch, plan, err);
    if (!rc && !tok_plan_layout(plan, newline, &work->scratch))
        rc = err_no_memory(err, "a token plan");
    return rc;
}

/* ---- the pass ------------------------------------------------------------------------------------------------------------ */

/* Prompts of the questions that are asked. */
static int make_prompts(struct work *work, const struct guide_pass *pass, const bool *asked, struct prompt *prompts, struct err *err)
{
    const struct job *job = work->job;
    const struct model *model = guide_model(work, pass->kind);
    int rc = 0;
    for (size_t s = 0; s < job->n_samples && !rc; s++) {
        if (!asked[s])
            continue;
        rc = prompt_make(&prompts[s], model->tokenizer, job->cells[pass->lead].run->cell.conversation, work->cells[pass->lead].time,
                         &job->samples[s].prompt, &work->scratch, err);
    }
    return rc;
}

static void ask(struct work *work, struct guide_pass *pass, struct guide_state *guide, const struct prompt *prompt, size_t s, float *rows,
                size_t n_prefix)
{
    size_t layers = (size_t)(pass->last - pass->first + 1);
    double start = now_ms();
    language_embed(guide_model(work, pass->kind), prompt->after, prompt->n_after, rows);
    guide_ask(guide, rows, prompt->n_after, pass->first, pass->share + s * layers * work->job->cells[pass->lead].n);
    pass->question_ms[s] = now_ms() - start;
    pass->rows[s] = n_prefix + prompt->n_after;
}

/* Runs the prefix once for each text before the video that the questions have, which is one unless a benchmark writes its own. */
static int run_prefix(struct work *work, struct guide_pass *pass, const struct tok_plan *plan, const struct prompt *prompts, size_t s,
                      size_t most, bool *left, struct err *err)
{
    const struct model *model = guide_model(work, pass->kind);
    bool self = pass->kind == GUIDE_SELF;
    size_t d = (size_t)model->shape.language.width, n_prefix = prompts[s].n_before + plan->n_tok;
    struct guide_state *guide = NULL;
    double start = now_ms();
    int rc = native_take_rows(work, model, n_prefix + most, err); /* the prefix, and room for a question */
    if (rc)
        return rc;
    float *rows = work->rows, *behind = rows + n_prefix * d;
    language_embed(model, prompts[s].before, prompts[s].n_before, rows);
    rc = features_apply(self ? work->features : work->assistant_features, self ? work->worker->space : work->worker->assistant_space,
                        self ? work->grids.of_cell[pass->lead] : 0, work->cells[pass->lead].slots, plan, 0, plan->n_tok,
                        rows + prompts[s].n_before * d, err);
    if (!rc)
        rc = guide_new(&guide, model, plan, rows, prompts[s].n_before, most, pass->last, work->worker->threads, err);
    pass->prefix_ms += now_ms() - start;
    for (size_t other = s; other < work->job->n_samples && !rc && !native_must_stop(work); other++) {
        bool same = left[other] && prompts[other].n_before == prompts[s].n_before &&
                    !memcmp(prompts[other].before, prompts[s].before, prompts[s].n_before * sizeof *prompts[s].before);
        if (same)
            ask(work, pass, guide, &prompts[other], other, behind, n_prefix);
        left[other] &= !same;
    }
    guide_free(guide);
    return rc;
}

static int run_pass(struct work *work, struct guide_pass *pass, bool *left, struct err *err)
{
    const struct job *job = work->job;
    struct tok_plan plan;
    size_t most = 0, context = (size_t)guide_model(work, pass->kind)->shape.context;
    struct prompt *prompts = arena_alloc(&work->scratch, job->n_samples, sizeof *prompts);
    int rc = prompts ? plan_everything(work, pass, &plan, err) : err_no_memory(err, "a job");
    if (!rc)
        rc = make_prompts(work, pass, left, prompts, err);
    for (size_t s = 0; s < job->n_samples && !rc; s++)
        if (left[s] && prompts[s].n_before + plan.n_tok + prompts[s].n_after > context) {
            pass->refusal[s] = arena_printf(&work->arena, "the guide's prompt has %zu rows without compression, its context holds %zu; use fewer frames",
                                            prompts[s].n_before + plan.n_tok + prompts[s].n_after, context);
            left[s] = false;
            rc = pass->refusal[s] ? 0 : err_no_memory(err, "a job");
        } else if (left[s] && prompts[s].n_after > most) {
            most = prompts[s].n_after;
        }
    for (size_t s = 0; s < job->n_samples && !rc && !native_must_stop(work); s++)
        if (left[s])
            rc = run_prefix(work, pass, &plan, prompts, s, most, left, err);
    return rc;
}

static bool same_pass(const struct work *work, size_t a, size_t b, enum guide kind)
{
    const struct job_cell *p = &work->job->cells[a], *q = &work->job->cells[b];
    const char *time_a = work->cells[a].time, *time_b = work->cells[b].time;
    return p->n == q->n && !memcmp(p->index, q->index, p->n * sizeof *p->index) && !strcmp(p->run->cell.conversation, q->run->cell.conversation) &&
           (time_a && time_b ? !strcmp(time_a, time_b) : time_a == time_b) &&
           (kind == GUIDE_ASSISTANT || (work->grids.of_cell[a] == work->grids.of_cell[b] && !strcmp(p->run->cell.newline, q->run->cell.newline)));
}

/* Widens the pass to the layers of all cells that will share it; marks the questions that any of them is asked. */
static void gather(const struct work *work, struct guide_pass *pass, bool *asked)
{
    const struct job *job = work->job;
    for (size_t c = pass->lead; c < job->n_cells; c++) {
        enum guide kind;
        int first, last;
        if (!cell_guide(work, c, &kind, &first, &last) || kind != pass->kind || !same_pass(work, pass->lead, c, kind))
            continue;
        pass->first = c == pass->lead || first < pass->first ? first : pass->first;
        pass->last = c == pass->lead || last > pass->last ? last : pass->last;
        for (size_t s = 0; s < job->n_samples; s++)
            asked[s] |= work->needed[c * job->n_samples + s];
    }
}

static int make_pass(struct work *work, struct guide_pass *pass, struct err *err)
{
    const struct job *job = work->job;
    arena_reset(&work->scratch);
    bool *asked = arena_alloc(&work->scratch, job->n_samples, sizeof *asked);
    if (!asked)
        return err_no_memory(err, "a job");
    gather(work, pass, asked);
    pass->share = arena_alloc(&work->arena, job->n_samples * (size_t)(pass->last - pass->first + 1) * job->cells[pass->lead].n, sizeof *pass->share);
    pass->rows = arena_alloc(&work->arena, job->n_samples, sizeof *pass->rows);
    pass->refusal = arena_alloc(&work->arena, job->n_samples, sizeof *pass->refusal);
    pass->question_ms = arena_alloc(&work->arena, job->n_samples, sizeof *pass->question_ms);
    pass->paid = arena_alloc(&work->arena, job->n_samples, sizeof *pass->paid);
    if (!pass->share || !pass->rows || !pass->refusal || !pass->question_ms || !pass->paid)
        return err_no_memory(err, "a job");
    double encoded_ms = 0;
    int rc = pass->kind == GUIDE_ASSISTANT ? encode_frames(work, pass->lead, &pass->vision_ms, &encoded_ms, err) : 0;
    if (!rc && !work->stopped)
        rc = run_pass(work, pass, asked, err);
    pass->owed_ms = encoded_ms + pass->prefix_ms;
    return rc;
}

int native_guide(struct work *work, size_t c, struct err *err)
{
    enum guide kind;
    int first, last;
    if (!cell_guide(work, c, &kind, &first, &last) || work->job->plan_only)
        return 0;
    struct guide_pass *pass = work->passes;
    while (pass && !(pass->kind == kind && same_pass(work, pass->lead, c, kind)))
        pass = pass->next;
    work->cells[c].pass = pass;
    if (pass)
        return 0;
    if (!(pass = arena_alloc(&work->arena, 1, sizeof *pass)))
        return err_no_memory(err, "a job");
    *pass = (struct guide_pass){.lead = c, .kind = kind};
    int rc = make_pass(work, pass, err);
    if (rc)
        return rc;
    pass->next = work->passes;
    work->passes = work->cells[c].pass = pass;
    return 0;
}

const char *native_guide_refusal(const struct work *work, size_t c, size_t s)
{
    return work->cells[c].pass ? work->cells[c].pass->refusal[s] : NULL;
}

/* ---- what comes of it ---------------------------------------------------------------------------------------------------- */

/* Mean over the cell's layers; without a pass (nothing is asked, or tokens are only counted) all frames are equal. */
static void mean_share(const struct work *work, size_t c, size_t s, float *out)
{
    const struct guide_pass *pass = work->cells[c].pass;
    size_t T = work->job->cells[c].n;
    enum guide kind;
    int first, last;
    cell_guide(work, c, &kind, &first, &last);
    for (size_t t = 0; t < T; t++) {
        double sum = 0;
        for (int layer = first; pass && layer <= last; layer++)
            sum += (double)pass->share[(s * (size_t)(pass->last - pass->first + 1) + (size_t)(layer - pass->first)) * T + t];
        out[t] = pass ? (float)(sum / (last - first + 1)) : 1 / (float)T;
    }
}

int native_budget(struct work *work, size_t c, size_t s, const struct vid_view *video, struct budget *out, struct err *err)
{
    const struct run_cell *run = work->job->cells[c].run;
    const struct method *allocator = methods_find(run->methods, run->n_methods, ROLE_ALLOCATE);
    float *share = arena_alloc(&work->arena, work->job->cells[c].n, sizeof *share);
    if (!share)
        return err_no_memory(err, "the budgets of frames");
    mean_share(work, c, s, share);
    const struct aux_attn attention = {(int)work->job->cells[c].n, share};
    return allocator->compressor->allocate(allocator->values, video, NULL, &attention, &work->arena, out, err);
}

/* A control has no guide, but it pays for that of the cell that it matches if nobody else is there to do so. */
void native_guide_cost(struct work *work, size_t c, size_t s, struct cost *cost)
{
    const struct cell_work *cell = &work->cells[c];
    bool own = cell->pass != NULL;
    struct guide_pass *pass = own ? cell->pass : native_pays_for_match(work, c) ? work->cells[cell->match].pass : NULL;
    if (!pass || !pass->rows[s])
        return;
    cost->tokens_guide = own ? (int32_t)pass->rows[s] : 0;
    cost->alone_ms[STAGE_GUIDE] = own ? pass->vision_ms + pass->prefix_ms + pass->question_ms[s] : 0;
    cost->paid_ms[STAGE_GUIDE] = pass->owed_ms + (pass->paid[s] ? 0 : pass->question_ms[s]);
    pass->owed_ms = 0;
    pass->paid[s] = true;
}

size_t native_guide_bytes(const struct native *native, const struct job_cell *cells, size_t n_cells, size_t n_frames, int threads)
{
    size_t most = 0, features = 0;
    for (size_t c = 0; c < n_cells; c++) {
        const struct run_cell *run = cells[c].run;
        const struct method *allocator = methods_find(run->methods, run->n_methods, ROLE_ALLOCATE);
        int first, last;
        if (!allocator)
            continue;
        bool self = allocator->compressor->guide(allocator->values, 1, &first, &last) == GUIDE_SELF;
        const struct model *model = self ? native->model : native->assistant;
        size_t side = (size_t)model->shape.vision.side, rows = cells[c].n * (side * side + side) + TEXT_ALLOWANCE;
        const struct feature_grid grid = {.mode = model->shape.pool_mode, .stride = model->shape.pool_stride > 1 ? model->shape.pool_stride : 2};
        rows = rows < (size_t)model->shape.context ? rows : (size_t)model->shape.context;
        size_t bytes = guide_bytes(&model->shape, model->kernels, model->dtype, rows, threads);
        most = bytes > most ? bytes : most;
        if (!self)
            features = features_bytes(&model->shape, model->dtype, model->frames_at_once, n_frames, &grid, 1) +
                       vision_space_bytes(&model->shape, model->kernels, model->dtype, model->frames_at_once, threads);
    }
    return most + features;
}
