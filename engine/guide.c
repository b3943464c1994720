#include "engine/guide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct guide_state {
    const struct model *model;
    const struct tok_plan *plan;
    struct language_state *language;
    size_t n_before;
    int last;
    float *bias;    /* [n_before + n_tok] -infinity for all but content */
    float *query;   /* [q] */
    float *weights; /* [heads][n_before + n_tok] */
};

static size_t q_width(const struct language_shape *l)
{
    return (size_t)(l->heads * l->head_dim);
}

size_t guide_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t rows, int threads)
{
    const struct language_shape *l = &shape->language;
    return language_state_bytes(shape, kernels, dtype, rows, rows, threads) + (rows * (size_t)(l->width + l->heads + 1) + q_width(l)) * sizeof(float);
}

/* All rows through a layer; the last layer only takes their keys. */
static void run_layer(struct guide_state *guide, int layer, const struct pass *pass)
{
    size_t n_out = layer < guide->last ? pass->n : 0;
    language_attend(guide->model, guide->language, layer, pass, n_out);
    if (n_out)
        language_feed(guide->model, guide->language, layer, pass->rows, n_out);
}

static void hide_all_but_content(struct guide_state *guide)
{
    size_t n = guide->n_before + guide->plan->n_tok;
    for (size_t i = 0; i < n; i++) {
        bool content = i >= guide->n_before && guide->plan->tok[i - guide->n_before].kind == TOK_VISUAL;
        guide->bias[i] = content ? 0 : -INFINITY;
    }
}

int guide_new(struct guide_state **out, const struct model *model, const struct tok_plan *plan, float *rows, size_t n_before, size_t n_behind,
              int last, int threads, struct err *err)
{
    const struct language_shape *l = &model->shape.language;
    size_t n = n_before + plan->n_tok;
    struct guide_state *guide = calloc(1, sizeof *guide);
    *out = NULL;
    if (!guide)
        return err_no_memory(err, "a guide");
    *guide = (struct guide_state){.model = model, .plan = plan, .n_before = n_before, .last = last, .bias = calloc(n, sizeof(float)),
                                  .query = calloc(q_width(l), sizeof(float)), .weights = calloc((size_t)l->heads * n, sizeof(float))};
    int rc = guide->bias && guide->query && guide->weights ? 0 : err_no_memory(err, "a guide");
    if (!rc)
        rc = language_state_new(&guide->language, model, n + n_behind, n + n_behind, threads, err);
    if (rc) {
        guide_free(guide);
        return rc;
    }
    hide_all_but_content(guide);
    for (int i = 0; i <= last; i++)
        run_layer(guide, i, &(struct pass){.rows = rows, .n = n});
    *out = guide;
    return 0;
}

void guide_free(struct guide_state *guide)
{
    if (!guide)
        return;
    language_state_free(guide->language);
    free(guide->bias);
    free(guide->query);
    free(guide->weights);
    free(guide);
}

/* What falls on each frame of a layer's attention, mean over heads. */
static void share_layer(struct guide_state *guide, int layer, float *share)
{
    const struct tok_plan *plan = guide->plan;
    size_t n = guide->n_before + plan->n_tok;
    int heads = guide->model->shape.language.heads;
    language_weigh(guide->model, guide->language, layer, guide->query, n, guide->bias, guide->weights);
    for (int t = 0; t < plan->T; t++)
        share[t] = 0;
    for (int h = 0; h < heads; h++)
        for (size_t i = 0; i < plan->n_tok; i++)
            share[plan->tok[i].t0] += guide->weights[(size_t)h * n + guide->n_before + i]; /* markers weigh nothing */
    for (int t = 0; t < plan->T; t++)
        share[t] /= (float)heads;
}

void guide_ask(struct guide_state *guide, float *rows, size_t n, int first, float *share)
{
    size_t length = guide->n_before + guide->plan->n_tok;
    struct pass pass = {.rows = rows, .n = n, .first_position = (uint32_t)length, .queries = guide->query, .n_queries = 1};
    for (int i = 0; i <= guide->last; i++) {
        language_cut_layer(guide->language, i, length);
        run_layer(guide, i, &pass);
        if (i >= first)
            share_layer(guide, i, share + (size_t)(i - first) * (size_t)guide->plan->T);
    }
}
