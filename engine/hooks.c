/* Hooks. The visual tokens of a prompt go through eras: between two changes they stay as they are, and the caches of the layers of an era
 * hold the same tokens. Text stands before and behind them and is never touched. */
#include "engine/hooks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct era {
    int from;                /* first layer that caches these tokens */
    size_t n;
    const struct out_tok *tok;
    const struct tap *taps;  /* what they were made of: sources are tokens of the era before */
    const uint32_t *origin;  /* [n] which of the tokens that entered stands here */
    const uint32_t *position; /* [n_before + n] of the prefix's rows; NULL: 0, 1, ... */
    uint32_t next_position;  /* of the first row behind the visual tokens */
    bool size_bias;
};

/* Rows between layers: text, visual tokens, question. A question's rows alone in the layers that questions share. */
struct flow {
    float *rows;
    size_t n_suffix;
    bool prefix;         /* text and visual tokens are among them */
    struct arena *arena; /* for what lives as long as they do */
};

struct hooks {
    const struct model *model;
    struct language_state *state;
    const struct tok_plan *plan;
    const struct method *layer, *decode; /* NULL: none */
    bool layer_spends, decode_spends; /* the allocator's budget */
    int n_layers, shared;
    bool shared_pre;         /* of layer `shared`, the hook before attention has been called on the prefix */
    size_t n_before, n_entered, n_content, n_suffix, n_steps;
    struct era *eras;        /* [2 * n_layers + 1] */
    int n_eras, n_prefix_eras;
    float *hidden;           /* the prefix's rows as they enter layer `shared`: a tensor, as are joined and spare */
    float *joined;           /* the question's rows behind a copy of them; NULL: they have not met yet */
    float *spare;            /* [max(n_entered, n_suffix)][d] while rows change; NULL: they have not yet */
    float *entered, *asked;  /* [n_entered][d], [n_suffix][d] visual rows and the question's as they came; NULL: nobody wants them */
    const struct budget *budget;
    float *bias, *step_bias; /* [n_layers][capacity]: of a question, and of a step of generation */
    bool *biased;            /* [n_layers] a layer's bias is not all zeros */
    uint8_t *veiled, *prefix_veiled; /* [n_layers][n_entered] hidden from question and reply, by origin */
    size_t capacity;
    void *memory, *prefix_memory; /* the layer method's, then the decode method's */
    size_t layer_memory, all_memory;
    float *queries;          /* of the layer that ran last: [n_suffix][q] */
    float *weights;          /* [heads][capacity] */
    float *step_rows;        /* [heads][n_entered] */
    uint8_t *visible;        /* [n_entered] of the tokens a decode hook sees */
    uint8_t *hidden_now;     /* [n_entered] by origin, in this step */
    uint32_t *place;         /* [n_entered] by origin */
    uint32_t *positions;     /* [capacity] of the rows on their way */
    double tokens_cached;    /* NaN until counted */
    struct arena prefix_arena, arena; /* the prefix's lifetime; a question's */
};

static size_t q_width(const struct hooks *hooks)
{
    return (size_t)(hooks->model->shape.language.heads * hooks->model->shape.language.head_dim);
}

static size_t key_width(const struct hooks *hooks)
{
    return (size_t)(hooks->model->shape.language.kv_heads * hooks->model->shape.language.head_dim);
}

static size_t row_width(const struct hooks *hooks)
{
    return (size_t)hooks->model->shape.language.width;
}

static const struct memory *memory_of(const struct hooks *hooks)
{
    return hooks->model->kernels->memory;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

bool hooks_needed(const struct method *methods, int n_methods, const struct tok_plan *plan)
{
    return plan->size_bias || methods_find(methods, n_methods, ROLE_LAYER) || methods_find(methods, n_methods, ROLE_DECODE);
}

static size_t memory_bytes(const struct method *method, size_t n, int n_layers)
{
    size_t bytes = method && method->compressor->memory ? method->compressor->memory(method->values, n, n_layers) : 0;
    return (bytes + 63) / 64 * 64;
}

size_t hooks_bytes(const struct model_shape *shape, const struct method *methods, int n_methods, size_t n_prefix, size_t n_visual,
                   size_t n_suffix)
{
    const struct language_shape *l = &shape->language;
    const struct method *layer = methods_find(methods, n_methods, ROLE_LAYER), *decode = methods_find(methods, n_methods, ROLE_DECODE);
    size_t layers = (size_t)l->layers, heads = (size_t)l->heads, rows = n_prefix + n_suffix, d = (size_t)l->width;
    size_t floats = 3 * rows * d + (2 * layers + 1) * rows + heads * (rows + n_visual) + n_suffix * heads * (size_t)l->head_dim;
    size_t memory = memory_bytes(layer, n_visual, l->layers);
    void *zeros = memory ? calloc(1, memory) : NULL;
    bool entered = false;
    for (int i = 0; layer && i < l->layers && (zeros || !memory); i++)
        for (int point = 0; point < 2; point++) {
            struct layer_want want = {0};
            layer->compressor->want(layer->values, zeros, i, (enum layer_point)point, l->layers, &want);
            size_t n_rows = want.rows == ROWS_QUESTION ? n_suffix : 1, keys = (size_t)want.keys_before + (size_t)want.keys_after;
            if (want.call && (want.rows_unturned || want.rows == ROWS_MEAN_VISUAL)) /* queries and keys of all rows */
                floats += rows * (size_t)((l->heads + l->kv_heads) * l->head_dim);
            if (want.call) /* what it sees, and what a plan and its era take */
                floats += n_visual * (n_rows * ((want.heads == HEADS_EACH ? heads : 1) + want.rotation) + 64) +
                          n_visual * keys * (size_t)(l->kv_heads * l->head_dim);
            entered |= want.call && want.entered;
        }
    floats += entered ? (n_visual + n_suffix) * d : 0;
    free(zeros);
    return floats * sizeof(float) + layers * n_visual + 2 * (memory + memory_bytes(decode, n_visual, l->layers));
}

static bool first_era(struct hooks *hooks, const struct tok_plan *plan)
{
    size_t n = plan->n_tok;
    uint32_t *origin = arena_alloc(&hooks->prefix_arena, n, sizeof *origin);
    uint32_t *position = plan->position ? arena_alloc(&hooks->prefix_arena, hooks->n_before + n, sizeof *position) : NULL;
    if (!origin || (plan->position && !position))
        return false;
    for (size_t i = 0; i < n; i++)
        origin[i] = (uint32_t)i;
    for (size_t i = 0; i < hooks->n_before + n && position; i++)
        position[i] = (uint32_t)(i < hooks->n_before ? i : hooks->n_before + plan->position[i - hooks->n_before]);
    hooks->eras[hooks->n_eras++] = (struct era){.n = n, .tok = plan->tok, .origin = origin, .position = position,
                                                .next_position = (uint32_t)hooks->n_before + plan->end_position,
                                                .size_bias = plan->size_bias};
    return true;
}

static bool allocate(struct hooks *hooks)
{
    struct arena *arena = &hooks->prefix_arena;
    size_t layers = (size_t)hooks->n_layers, heads = (size_t)hooks->model->shape.language.heads, n = hooks->n_entered;
    hooks->eras = arena_alloc(arena, 2 * layers + 1, sizeof *hooks->eras);
    hooks->bias = arena_alloc(arena, layers * hooks->capacity, sizeof *hooks->bias);
    hooks->step_bias = arena_alloc(arena, layers * hooks->capacity, sizeof *hooks->step_bias);
    hooks->biased = arena_alloc(arena, layers, sizeof *hooks->biased);
    hooks->veiled = arena_alloc(arena, layers, n);
    hooks->prefix_veiled = arena_alloc(arena, layers, n);
    hooks->memory = arena_alloc(arena, hooks->all_memory, 1);
    hooks->prefix_memory = arena_alloc(arena, hooks->all_memory, 1);
    hooks->weights = arena_alloc(arena, heads * hooks->capacity, sizeof *hooks->weights);
    hooks->step_rows = arena_alloc(arena, heads * n, sizeof *hooks->step_rows);
    hooks->visible = arena_alloc(arena, n, 1);
    hooks->hidden_now = arena_alloc(arena, n, 1);
    hooks->place = arena_alloc(arena, n, sizeof *hooks->place);
    hooks->positions = arena_alloc(arena, hooks->capacity, sizeof *hooks->positions);
    return hooks->eras && hooks->bias && hooks->step_bias && hooks->biased && hooks->veiled && hooks->prefix_veiled && hooks->memory &&
           hooks->prefix_memory && hooks->weights && hooks->step_rows && hooks->visible && hooks->hidden_now && hooks->place &&
           hooks->positions;
}

int hooks_new(struct hooks **out, const struct model *model, struct language_state *state, const struct method *methods, int n_methods,
              const struct tok_plan *plan, size_t n_before, struct err *err)
{
    struct hooks *hooks = calloc(1, sizeof *hooks);
    *out = NULL;
    if (!hooks)
        return err_no_memory(err, "the hooks of a prompt");
    *hooks = (struct hooks){.model = model, .state = state, .plan = plan, .n_layers = model->shape.language.layers, .n_before = n_before,
                            .n_entered = plan->n_tok, .capacity = language_capacity(state),
                            .layer = methods_find(methods, n_methods, ROLE_LAYER), .decode = methods_find(methods, n_methods, ROLE_DECODE)};
    size_t markers;
    tok_plan_count(plan, &hooks->n_content, &markers);
    enum role spender = methods_spender(methods, n_methods);
    hooks->layer_spends = spender == ROLE_LAYER;
    hooks->decode_spends = spender == ROLE_DECODE;
    hooks->layer_memory = memory_bytes(hooks->layer, plan->n_tok, hooks->n_layers);
    hooks->all_memory = hooks->layer_memory + memory_bytes(hooks->decode, plan->n_tok, hooks->n_layers);
    if (!allocate(hooks) || !first_era(hooks, plan)) {
        hooks_free(hooks);
        return err_no_memory(err, "the hooks of a prompt");
    }
    *out = hooks;
    return 0;
}

void hooks_free(struct hooks *hooks)
{
    if (!hooks)
        return;
    memory_of(hooks)->release(hooks->joined);
    memory_of(hooks)->release(hooks->spare);
    arena_free(&hooks->prefix_arena);
    arena_free(&hooks->arena);
    free(hooks);
}

int hooks_shared_layers(const struct hooks *hooks)
{
    return hooks->shared;
}

/* ---- biases -------------------------------------------------------------------------------------------------------------- */

static const struct era *era_of(const struct hooks *hooks, int layer)
{
    int e = hooks->n_eras - 1;
    while (hooks->eras[e].from > layer)
        e--;
    return &hooks->eras[e];
}

static const struct era *era_now(const struct hooks *hooks)
{
    return &hooks->eras[hooks->n_eras - 1];
}

/* What a question adds to the keys of a layer: logs of sizes, and -infinity for what is veiled. */
static void fill_bias(struct hooks *hooks, int layer)
{
    const struct era *era = era_of(hooks, layer);
    float *bias = hooks->bias + (size_t)layer * hooks->capacity;
    const uint8_t *veiled = hooks->veiled + (size_t)layer * hooks->n_entered;
    bool any = false;
    memset(bias, 0, hooks->capacity * sizeof *bias);
    for (size_t i = 0; i < era->n; i++) {
        float value = veiled[era->origin[i]] ? -INFINITY : era->size_bias ? logf((float)era->tok[i].size) : 0;
        bias[hooks->n_before + i] = value;
        any |= value != 0;
    }
    hooks->biased[layer] = any;
}

static const float *bias_of(const struct hooks *hooks, int layer)
{
    return hooks->biased[layer] ? hooks->bias + (size_t)layer * hooks->capacity : NULL;
}

/* The same with what this step of generation does not see. */
static const float *fill_step_bias(struct hooks *hooks, int layer)
{
    const struct era *era = era_of(hooks, layer);
    float *bias = hooks->step_bias + (size_t)layer * hooks->capacity;
    memcpy(bias, hooks->bias + (size_t)layer * hooks->capacity, hooks->capacity * sizeof *bias);
    for (size_t i = 0; i < era->n; i++)
        if (hooks->hidden_now[era->origin[i]])
            bias[hooks->n_before + i] = -INFINITY;
    return bias;
}

/* ---- what a layer hook sees ---------------------------------------------------------------------------------------------- */

static bool asks_about_question(const struct layer_want *want)
{
    return want->rows == ROWS_LAST || want->rows == ROWS_QUESTION || want->question;
}

static struct layer_want wanted(const struct hooks *hooks, int layer, enum layer_point point)
{
    struct layer_want want = {0};
    if (hooks->layer && (point == POINT_PRE || layer + 1 < hooks->n_layers)) /* behind the last attention nobody would notice */
        hooks->layer->compressor->want(hooks->layer->values, hooks->memory, layer, point, hooks->n_layers, &want);
    return want;
}

static size_t flow_rows(const struct hooks *hooks, const struct flow *flow)
{
    return (flow->prefix ? hooks->n_before + era_now(hooks)->n : 0) + flow->n_suffix;
}

/* The rows as they pass through a layer. */
static struct pass pass_of(struct hooks *hooks, int layer, const struct flow *flow)
{
    const struct era *era = flow->prefix ? era_now(hooks) : era_of(hooks, layer);
    size_t n_prefix = hooks->n_before + era->n;
    struct pass pass = {.rows = flow->rows, .n = flow_rows(hooks, flow), .first_position = flow->prefix ? 0 : era->next_position,
                        .bias = bias_of(hooks, layer), .queries = flow->n_suffix ? hooks->queries : NULL, .n_queries = flow->n_suffix};
    if (!flow->prefix || (!era->position && era->next_position == n_prefix))
        return pass;
    for (size_t i = 0; i < pass.n; i++)
        hooks->positions[i] = i >= n_prefix ? era->next_position + (uint32_t)(i - n_prefix) : era->position ? era->position[i] : (uint32_t)i;
    pass.position = hooks->positions;
    return pass;
}

/* Of hooks->weights on n_keys keys of a layer, those of the tokens there are now (which may be others than the layer's):
 * out[heads][n], or [n] for what is made of them. */
static void take_columns(struct hooks *hooks, int layer, size_t n_keys, const struct layer_want *want, float *out)
{
    const struct era *era = era_of(hooks, layer), *now = era_now(hooks);
    int heads = hooks->model->shape.language.heads;
    for (size_t i = 0; i < era->n; i++)
        hooks->place[era->origin[i]] = (uint32_t)i;
    memset(out, 0, (want->heads == HEADS_EACH ? (size_t)heads : 1) * now->n * sizeof *out);
    for (int h = 0; h < heads; h++) {
        const float *weights = hooks->weights + (size_t)h * n_keys + hooks->n_before;
        float *to = out + (want->heads == HEADS_EACH ? (size_t)h * now->n : 0);
        double sum = 0;
        for (size_t i = 0; i < era->n; i++)
            sum += (double)weights[i];
        float share = want->rows_visual_only && sum > 0 ? (float)(1 / sum) : 1;
        for (size_t i = 0; i < now->n; i++) {
            float weight = weights[hooks->place[now->origin[i]]] * share;
            to[i] = want->heads != HEADS_MOST ? to[i] + weight : weight > to[i] ? weight : to[i];
        }
    }
    for (size_t i = 0; i < now->n && want->heads == HEADS_MEAN; i++)
        out[i] /= (float)heads;
}

/* Rows of the question's last n_rows rows on the first n_keys keys of a layer; each sees those up to its own. */
static void question_rows(struct hooks *hooks, int layer, size_t n_keys, const struct layer_want *want, const struct layer_view *view,
                          float *out)
{
    size_t each = (size_t)view->heads * view->n, n_rows = (size_t)view->n_rows;
    for (size_t r = 0; r < n_rows; r++) {
        size_t seen = n_keys - (n_rows - 1 - r);
        const float *query = hooks->queries + (hooks->n_suffix - n_rows + r) * q_width(hooks);
        language_weigh(hooks->model, hooks->state, layer, query, seen, bias_of(hooks, layer), hooks->weights);
        take_columns(hooks, layer, seen, want, out + r * each);
    }
}

/* 2 sum cos(angle), over the angles between the positions of a row and of a key: the logit of ones, all of them turned. */
static float turned_ones(const struct hooks *hooks, uint32_t row, uint32_t key)
{
    int width = hooks->model->shape.language.head_dim;
    const float *row_cosines, *row_sines, *cosines, *sines;
    double sum = 0;
    language_rope(hooks->state, row, &row_cosines, &row_sines);
    language_rope(hooks->state, key, &cosines, &sines);
    for (int k = 0; k < width / 2; k++)
        sum += (double)row_cosines[k] * (double)cosines[k] + (double)row_sines[k] * (double)sines[k];
    return (float)(2 * sum / sqrt(width));
}

/* The same for the question's last n_rows rows and the tokens there are now, at their positions in a layer: out[n_rows][n]. */
static void rotation_rows(struct hooks *hooks, int layer, size_t n_rows, float *out)
{
    const struct era *era = era_of(hooks, layer), *now = era_now(hooks);
    for (size_t i = 0; i < era->n; i++)
        hooks->place[era->origin[i]] = (uint32_t)i;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < now->n; i++) {
            size_t at = hooks->n_before + hooks->place[now->origin[i]];
            uint32_t row = era->next_position + (uint32_t)(hooks->n_suffix - n_rows + r);
            out[r * now->n + i] = turned_ones(hooks, row, era->position ? era->position[at] : (uint32_t)at);
        }
}

/* The row of the visual tokens' mean query on keys [n_before + n][key_width], both before rotation. */
static void mean_row(struct hooks *hooks, int layer, const float *queries, const float *keys, const struct layer_want *want, float *mean,
                     float *out)
{
    size_t width = q_width(hooks), n = era_now(hooks)->n, end = hooks->n_before + n;
    for (size_t k = 0; k < width; k++) {
        double sum = 0;
        for (size_t i = hooks->n_before; i < end; i++)
            sum += (double)queries[i * width + k];
        mean[k] = (float)(sum / (double)n);
    }
    language_lay_keys(hooks->model, hooks->state, layer, keys, end);
    language_weigh(hooks->model, hooks->state, layer, mean, end, NULL, hooks->weights);
    take_columns(hooks, layer, end, want, out);
}

/* Rows of the question's queries on the keys of the whole prompt, both before rotation. */
static void unturned_rows(struct hooks *hooks, int layer, size_t n, const float *queries, const float *keys, const struct layer_want *want,
                          const struct layer_view *view, float *out)
{
    size_t each = (size_t)view->heads * view->n, n_rows = (size_t)view->n_rows;
    language_lay_keys(hooks->model, hooks->state, layer, keys, n);
    for (size_t r = 0; r < n_rows; r++) {
        language_weigh(hooks->model, hooks->state, layer, queries + (n - n_rows + r) * q_width(hooks), n, NULL, hooks->weights);
        take_columns(hooks, layer, n, want, out + r * each);
    }
}

/* What comes of the rows' projections by a layer that they have not entered yet. */
static int view_projections(struct hooks *hooks, int layer, const struct layer_want *want, const struct flow *flow, struct layer_view *view,
                            float *rows, struct err *err)
{
    struct pass pass = pass_of(hooks, layer, flow);
    bool mean = want->rows == ROWS_MEAN_VISUAL, unturned = mean || want->rows_unturned;
    size_t kv = key_width(hooks);
    float *before = want->keys_before || unturned ? arena_alloc(flow->arena, pass.n * kv, sizeof *before) : NULL;
    float *after = want->keys_after ? arena_alloc(flow->arena, pass.n * kv, sizeof *after) : NULL;
    float *queries = unturned ? arena_alloc(flow->arena, (pass.n + 1) * q_width(hooks), sizeof *queries) : NULL;
    if (((want->keys_before || unturned) && !before) || (want->keys_after && !after) || (unturned && !queries))
        return err_no_memory(err, "what a hook asks for");
    language_project(hooks->model, hooks->state, layer, &pass, before, after, queries);
    view->keys_before = want->keys_before ? before + hooks->n_before * kv : NULL;
    view->keys_after = want->keys_after ? after + hooks->n_before * kv : NULL;
    if (mean)
        mean_row(hooks, layer, queries, before, want, queries + pass.n * q_width(hooks), rows);
    else if (rows && unturned)
        unturned_rows(hooks, layer, pass.n, queries, before, want, view, rows);
    else if (rows)
        question_rows(hooks, layer, pass.n, want, view, rows);
    return 0;
}

/* Rows as a hook can read them: themselves, or a copy on the host. */
static int show_rows(const struct hooks *hooks, const float *rows, size_t n, struct arena *arena, const float **out, struct err *err)
{
    size_t floats = n * row_width(hooks);
    if (memory_of(hooks)->host) {
        *out = rows;
        return 0;
    }
    float *copy = arena_alloc(arena, floats, sizeof *copy);
    if (!copy)
        return err_no_memory(err, "what a hook asks for");
    memory_of(hooks)->get(copy, rows, floats * sizeof *copy);
    *out = copy;
    return 0;
}

static int make_view(struct hooks *hooks, int layer, enum layer_point point, const struct layer_want *want, const struct flow *flow,
                     struct layer_view *view, struct err *err)
{
    const struct tok_plan *plan = hooks->plan;
    const struct era *now = era_now(hooks);
    size_t d = row_width(hooks), heads = want->heads == HEADS_EACH ? (size_t)hooks->model->shape.language.heads : 1;
    int rc = 0;
    *view = (struct layer_view){.layer = layer, .n_layers = hooks->n_layers, .T = plan->T, .h = plan->h, .w = plan->w, .n = now->n,
                                .n_entered = hooks->n_entered, .n_content = hooks->n_content, .tok = now->tok, .d = (int)d, .key_dim = (int)key_width(hooks),
                                .heads = (int)heads, .memory = hooks->memory, .budget = hooks->layer_spends ? hooks->budget : NULL};
    view->n_rows = want->rows == ROWS_NONE ? 0 : want->rows == ROWS_QUESTION ? (int)flow->n_suffix : 1;
    if (want->hidden && flow->prefix)
        rc = show_rows(hooks, flow->rows + hooks->n_before * d, now->n, flow->arena, &view->hidden, err);
    if (!rc && want->question)
        rc = show_rows(hooks, flow->rows + (flow_rows(hooks, flow) - flow->n_suffix) * d, flow->n_suffix, flow->arena, &view->question, err);
    if (rc)
        return rc;
    view->n_question = want->question ? flow->n_suffix : 0;
    view->entered = want->entered ? hooks->entered : NULL;
    view->asked = want->entered ? hooks->asked : NULL;
    view->n_asked = want->entered ? hooks->n_suffix : 0;
    float *rows = view->n_rows ? arena_alloc(flow->arena, (size_t)view->n_rows * heads * now->n, sizeof *rows) : NULL;
    float *rotation = want->rotation ? arena_alloc(flow->arena, (size_t)view->n_rows * now->n, sizeof *rotation) : NULL;
    if ((view->n_rows && !rows) || (want->rotation && !rotation))
        return err_no_memory(err, "what a hook asks for");
    view->rows = rows;
    view->rotation = rotation;
    bool own = point == POINT_PRE && (want->rows_of_this_layer || want->rows == ROWS_MEAN_VISUAL);
    int of = point == POINT_PRE ? layer - 1 : layer;
    if (rotation)
        rotation_rows(hooks, own ? layer : of, (size_t)view->n_rows, rotation);
    if (own)
        fill_bias(hooks, layer);
    if (rows && !own)
        question_rows(hooks, of, language_layer_length(hooks->state, of), want, view, rows);
    return own || want->keys_before || want->keys_after ? view_projections(hooks, layer, want, flow, view, own ? rows : NULL, err) : 0;
}

/* ---- what a layer hook does ---------------------------------------------------------------------------------------------- */

static const char *plan_fault(const struct tok_plan *plan, size_t n)
{
    if (plan->n_tok > n)
        return "more tokens than there were";
    for (size_t i = 0; i < plan->n_tok; i++)
        if (plan->tok[i].row0 >= plan->tok[i].row1 || plan->tok[i].row1 > plan->n_taps)
            return "taps out of range";
    for (size_t i = 0; i < plan->n_taps; i++)
        if (plan->taps[i].src >= n || !isfinite(plan->taps[i].w))
            return "a tap that refers to nothing or weighs nothing finite";
    return NULL;
}

/* Veils the tokens that no tap of the plan refers to, in layers first..end-1. */
static void veil(struct hooks *hooks, const struct tok_plan *plan, int first, int end)
{
    const struct era *now = era_now(hooks);
    memset(hooks->place, 0, hooks->n_entered * sizeof *hooks->place);
    for (size_t i = 0; i < plan->n_taps; i++)
        hooks->place[now->origin[plan->taps[i].src]] = 1;
    for (size_t i = 0; i < now->n; i++)
        for (int layer = first; layer < end && !hooks->place[now->origin[i]]; layer++)
            hooks->veiled[(size_t)layer * hooks->n_entered + now->origin[i]] = 1;
}

/* The visual rows of the flow become those of the plan; what stands behind them moves up. All goes through spare rows, since tensors
 * that overlap cannot be moved. */
static int change_rows(struct hooks *hooks, const struct tok_plan *plan, struct flow *flow, struct err *err)
{
    const struct memory *memory = memory_of(hooks);
    size_t d = row_width(hooks), n = era_now(hooks)->n, most = hooks->n_entered > flow->n_suffix ? hooks->n_entered : flow->n_suffix;
    float *visual = flow->rows + hooks->n_before * d;
    size_t n_taps = 0;
    for (size_t i = 0; i < plan->n_tok; i++)
        n_taps += plan->tok[i].row1 - plan->tok[i].row0;
    uint32_t *begin = arena_alloc(flow->arena, plan->n_tok + 1, sizeof *begin);
    struct tap *taps = arena_alloc(flow->arena, n_taps + 1, sizeof *taps);
    if (!hooks->spare)
        hooks->spare = memory->take(most * d * sizeof *hooks->spare);
    if (!begin || !taps || !hooks->spare)
        return err_no_memory(err, "merged rows");
    uint32_t used = begin[0] = 0;
    for (size_t i = 0; i < plan->n_tok; i++) {
        for (uint32_t k = plan->tok[i].row0; k < plan->tok[i].row1; k++)
            taps[used++] = plan->taps[k];
        begin[i + 1] = used;
    }
    struct merge merge = {.n = plan->n_tok, .D = d, .begin = begin, .taps = taps, .source = {.rows = visual, .dtype = DTYPE_F32}, .out = hooks->spare};
    hooks->model->kernels->merge(&merge);
    memory->move(visual, hooks->spare, plan->n_tok * d * sizeof *visual);
    memory->move(hooks->spare, visual + n * d, flow->n_suffix * d * sizeof *visual);
    memory->move(visual + plan->n_tok * d, hooks->spare, flow->n_suffix * d * sizeof *visual);
    return 0;
}

/* Begins an era with the tokens of the plan. A token takes the place of its first tap's source. */
static int change_era(struct hooks *hooks, const struct tok_plan *plan, int from, struct arena *arena, struct err *err)
{
    const struct era *now = era_now(hooks);
    size_t before = hooks->n_before, n = plan->n_tok;
    bool keep = plan->positions == POSITIONS_KEEP;
    uint32_t *origin = arena_alloc(arena, n, sizeof *origin), *position = keep ? arena_alloc(arena, before + n, sizeof *position) : NULL;
    if (!origin || (keep && !position))
        return err_no_memory(err, "merged rows");
    for (size_t i = 0; i < n; i++)
        origin[i] = now->origin[plan->taps[plan->tok[i].row0].src];
    for (size_t i = 0; i < before + n && keep; i++) {
        size_t at = i < before ? i : before + plan->taps[plan->tok[i - before].row0].src;
        position[i] = now->position ? now->position[at] : (uint32_t)at;
    }
    hooks->eras[hooks->n_eras] = (struct era){.from = from, .n = n, .tok = plan->tok, .taps = plan->taps, .origin = origin,
                                              .position = position,
                                              .next_position = keep ? now->next_position : (uint32_t)(before + n),
                                              .size_bias = now->size_bias || plan->size_bias};
    hooks->n_eras++;
    return 0;
}

static int call_hook(struct hooks *hooks, int layer, enum layer_point point, struct flow *flow, struct err *err)
{
    struct layer_want want = wanted(hooks, layer, point);
    struct layer_view view;
    struct layer_plan plan = {0};
    if (!want.call || (want.hides ? !flow->n_suffix : !flow->prefix))
        return 0;
    int rc = make_view(hooks, layer, point, &want, flow, &view, err);
    if (!rc)
        rc = hooks->layer->compressor->layer(hooks->layer->values, point, &view, flow->arena, &plan, err);
    if (rc || !plan.merge.tok)
        return rc;
    const char *fault = plan_fault(&plan.merge, view.n);
    int next = point == POINT_PRE ? layer : layer + 1;
    if (fault)
        return err_set(err, ERR_DATA, "compressor %s made a plan with %s before layer %d", hooks->layer->compressor->name, fault, next);
    if (want.hides || plan.prune_past_kv)
        veil(hooks, &plan.merge, want.hides ? next : 0, want.hides ? hooks->n_layers : next);
    if (want.hides)
        return 0;
    rc = change_rows(hooks, &plan.merge, flow, err);
    return rc ? rc : change_era(hooks, &plan.merge, next, flow->arena, err);
}

/* ---- the prompt ---------------------------------------------------------------------------------------------------------- */

/* Attention and MLP of a layer on rows whose hook before it has been called. */
static int run_layer(struct hooks *hooks, int layer, struct flow *flow, struct err *err)
{
    fill_bias(hooks, layer);
    struct pass pass = pass_of(hooks, layer, flow);
    bool last = layer + 1 == hooks->n_layers;
    size_t n_out = !last ? pass.n : flow->n_suffix ? 1 : 0;
    language_attend(hooks->model, hooks->state, layer, &pass, n_out);
    int rc = call_hook(hooks, layer, POINT_MID, flow, err);
    size_t n = flow_rows(hooks, flow);
    n_out = last ? n_out : n;
    if (!rc && n_out)
        language_feed(hooks->model, hooks->state, layer, flow->rows + (n - n_out) * row_width(hooks), n_out);
    return rc;
}

/* Whether the prefix ends before the hook at this point. */
static bool parts_here(const struct hooks *hooks, int layer, enum layer_point point)
{
    struct layer_want want = wanted(hooks, layer, point);
    return want.call && !want.hides && asks_about_question(&want);
}

static bool wants_entered(const struct hooks *hooks)
{
    bool any = false;
    for (int i = 0; i < hooks->n_layers; i++)
        for (int point = 0; point < 2; point++) {
            struct layer_want want = wanted(hooks, i, (enum layer_point)point);
            any |= want.call && want.entered;
        }
    return any;
}

/* A copy on the host of rows before layers change them. */
static int keep_rows(const struct memory *memory, struct arena *arena, const float *rows, size_t floats, float **out, struct err *err)
{
    *out = arena_alloc(arena, floats, sizeof **out);
    if (!*out)
        return err_no_memory(err, "the rows of a prompt");
    memory->get(*out, rows, floats * sizeof **out);
    return 0;
}

int hooks_prefix(struct hooks *hooks, float *rows, struct err *err)
{
    struct flow flow = {.rows = rows, .prefix = true, .arena = &hooks->prefix_arena};
    size_t d = row_width(hooks);
    int rc = 0;
    hooks->hidden = rows;
    if (wants_entered(hooks))
        rc = keep_rows(memory_of(hooks), flow.arena, rows + hooks->n_before * d, hooks->n_entered * d, &hooks->entered, err);
    for (; hooks->shared < hooks->n_layers && !rc && !parts_here(hooks, hooks->shared, POINT_PRE); hooks->shared++) {
        rc = call_hook(hooks, hooks->shared, POINT_PRE, &flow, err);
        hooks->shared_pre = parts_here(hooks, hooks->shared, POINT_MID);
        if (rc || hooks->shared_pre)
            break;
        rc = run_layer(hooks, hooks->shared, &flow, err);
    }
    hooks->n_prefix_eras = hooks->n_eras;
    memcpy(hooks->prefix_memory, hooks->memory, hooks->all_memory);
    memcpy(hooks->prefix_veiled, hooks->veiled, (size_t)hooks->n_layers * hooks->n_entered);
    return rc;
}

/* Everything as the prefix left it. */
static int forget_question(struct hooks *hooks, size_t n_suffix, struct err *err)
{
    arena_reset(&hooks->arena);
    memory_of(hooks)->release(hooks->joined);
    memory_of(hooks)->release(hooks->spare); /* its size depends on the question */
    hooks->joined = hooks->spare = NULL;
    hooks->n_suffix = n_suffix;
    hooks->n_steps = 0;
    hooks->n_eras = hooks->n_prefix_eras;
    hooks->tokens_cached = NAN;
    memcpy(hooks->memory, hooks->prefix_memory, hooks->all_memory);
    memcpy(hooks->veiled, hooks->prefix_veiled, (size_t)hooks->n_layers * hooks->n_entered);
    for (int i = 0; i < hooks->n_layers; i++)
        language_cut_layer(hooks->state, i, i < hooks->shared ? hooks->n_before + era_of(hooks, i)->n : 0);
    hooks->queries = arena_alloc(&hooks->arena, n_suffix * q_width(hooks), sizeof *hooks->queries);
    return hooks->queries ? 0 : err_no_memory(err, "the hooks of a prompt");
}

/* The question's rows behind a copy of the prefix's. */
static int join_prefix(struct hooks *hooks, struct flow *flow, struct err *err)
{
    const struct memory *memory = memory_of(hooks);
    size_t d = row_width(hooks), n = hooks->n_before + era_now(hooks)->n;
    float *rows = hooks->joined = memory->take((n + flow->n_suffix) * d * sizeof *rows);
    if (!rows)
        return err_no_memory(err, "the rows of a prompt");
    memory->move(rows, hooks->hidden, n * d * sizeof *rows);
    memory->move(rows + n * d, flow->rows, flow->n_suffix * d * sizeof *rows);
    flow->rows = rows;
    flow->prefix = true;
    return 0;
}

int hooks_ask(struct hooks *hooks, float *rows, size_t n, const struct budget *budget, float *last, struct err *err)
{
    struct flow flow = {.rows = rows, .n_suffix = n, .arena = &hooks->arena};
    int rc = forget_question(hooks, n, err);
    hooks->budget = budget;
    if (!rc && hooks->entered)
        rc = keep_rows(memory_of(hooks), &hooks->arena, rows, n * row_width(hooks), &hooks->asked, err);
    for (int i = 0; i < hooks->n_layers && !rc; i++) {
        if (i == hooks->shared)
            rc = join_prefix(hooks, &flow, err);
        if (!rc && !(i == hooks->shared && hooks->shared_pre))
            rc = call_hook(hooks, i, POINT_PRE, &flow, err);
        if (!rc)
            rc = run_layer(hooks, i, &flow, err);
    }
    if (rc)
        return rc;
    for (int i = 0; i < hooks->n_layers; i++) /* later layers may have veiled tokens of earlier ones */
        fill_bias(hooks, i);
    language_finish(hooks->model, flow.rows + (flow_rows(hooks, &flow) - 1) * row_width(hooks), last);
    return 0;
}

/* ---- the reply ----------------------------------------------------------------------------------------------------------- */

/* Asks the decode hook before `layer`; whether it hides anything in this step. */
static bool ask_decode(struct hooks *hooks, int layer)
{
    const struct era *era = era_of(hooks, layer - 1);
    size_t n_keys = language_layer_length(hooks->state, layer - 1), heads = (size_t)hooks->model->shape.language.heads;
    bool any = false;
    language_weigh(hooks->model, hooks->state, layer - 1, hooks->queries, n_keys, bias_of(hooks, layer - 1), hooks->weights);
    for (size_t h = 0; h < heads; h++)
        memcpy(hooks->step_rows + h * era->n, hooks->weights + h * n_keys + hooks->n_before, era->n * sizeof *hooks->step_rows);
    struct layer_view view = {.layer = layer, .n_layers = hooks->n_layers, .T = hooks->plan->T, .h = hooks->plan->h, .w = hooks->plan->w,
                              .n = era->n, .n_entered = hooks->n_entered, .n_content = hooks->n_content, .tok = era->tok, .d = hooks->model->shape.language.width,
                              .key_dim = (int)key_width(hooks), .heads = (int)heads, .n_rows = 1, .rows = hooks->step_rows,
                              .budget = hooks->decode_spends ? hooks->budget : NULL, .memory = (char *)hooks->memory + hooks->layer_memory};
    struct kv_mask mask = {hooks->visible, era->n};
    memset(mask.visible, 1, mask.n);
    hooks->decode->compressor->decode(hooks->decode->values, (int)hooks->n_steps, &view, &mask);
    memset(hooks->hidden_now, 0, hooks->n_entered);
    for (size_t i = 0; i < era->n; i++) {
        hooks->hidden_now[era->origin[i]] = !mask.visible[i];
        any |= !mask.visible[i];
    }
    return any;
}

/* Visual tokens of a layer's cache that a bias lets through. */
static size_t count_visible(const struct hooks *hooks, int layer, const float *bias)
{
    size_t n = era_of(hooks, layer)->n, visible = 0;
    for (size_t i = 0; i < n; i++)
        visible += !bias || bias[hooks->n_before + i] > -INFINITY;
    return visible;
}

void hooks_step(struct hooks *hooks, float *row, float *last)
{
    int decode_layer = hooks->decode ? hooks->decode->compressor->decode_layer(hooks->decode->values) : hooks->n_layers;
    size_t visible = 0;
    bool masked = false;
    for (int i = 0; i < hooks->n_layers; i++) {
        if (i == decode_layer)
            masked = ask_decode(hooks, i);
        bool read = i + 1 == decode_layer; /* by the hook */
        struct pass pass = {.rows = row, .n = 1, .queries = read ? hooks->queries : NULL, .n_queries = read,
                            .first_position = era_of(hooks, i)->next_position + (uint32_t)(hooks->n_suffix + hooks->n_steps),
                            .bias = masked ? fill_step_bias(hooks, i) : bias_of(hooks, i)};
        visible += count_visible(hooks, i, pass.bias);
        language_attend(hooks->model, hooks->state, i, &pass, 1);
        language_feed(hooks->model, hooks->state, i, row, 1);
    }
    if (!hooks->n_steps++)
        hooks->tokens_cached = (double)visible / hooks->n_layers;
    language_finish(hooks->model, row, last);
}

void hooks_count(const struct hooks *hooks, double *tokens_mean, double *tokens_cached)
{
    size_t n = 0, visible = 0;
    for (int i = 0; i < hooks->n_layers; i++) {
        n += era_of(hooks, i)->n;
        visible += count_visible(hooks, i, bias_of(hooks, i));
    }
    *tokens_mean = (double)n / hooks->n_layers;
    *tokens_cached = isnan(hooks->tokens_cached) ? (double)visible / hooks->n_layers : hooks->tokens_cached;
}

/* place[i]: the token of `era` that holds token i of the era before. */
static void follow_era(const struct era *era, size_t n_before, uint32_t *place)
{
    for (size_t i = 0; i < n_before; i++)
        place[i] = HOOKS_GONE;
    for (size_t i = 0; i < era->n; i++)
        for (uint32_t tap = era->tok[i].row0; tap < era->tok[i].row1; tap++)
            if (place[era->taps[tap].src] == HOOKS_GONE)
                place[era->taps[tap].src] = (uint32_t)i;
}

size_t hooks_trace(struct hooks *hooks, int layer, const struct out_tok **tok, uint32_t *became)
{
    const struct era *last = era_of(hooks, layer);
    const uint8_t *veiled = hooks->veiled + (size_t)layer * hooks->n_entered;
    for (size_t i = 0; i < hooks->n_entered; i++)
        became[i] = (uint32_t)i;
    for (const struct era *era = hooks->eras + 1; era <= last; era++) {
        follow_era(era, era[-1].n, hooks->place);
        for (size_t i = 0; i < hooks->n_entered; i++)
            became[i] = became[i] == HOOKS_GONE ? HOOKS_GONE : hooks->place[became[i]];
    }
    for (size_t i = 0; i < hooks->n_entered; i++)
        if (became[i] != HOOKS_GONE && veiled[last->origin[became[i]]])
            became[i] = HOOKS_GONE;
    *tok = last->tok;
    return last->n;
}
