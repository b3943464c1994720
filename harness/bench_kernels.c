/* Kernels at the shapes of a model: the products of one layer of tower and language model with the epilogues they have, and attention
 * of the tower, of a prompt and of a row that is generated. */
#include "harness/bench.h"

#include <stdio.h>

static const char part[] = "kernels";

static enum dtype act_of(const struct bench *bench)
{
    return dtype_act(bench->model->dtype);
}

/* A product of `rows` rows, with int8 weights made narrow first. */
static int time_gemm(struct bench *bench, const char *name, const struct matrix *w, size_t rows, enum epilogue epilogue, struct err *err)
{
    const struct kernels *kernels = bench->model->kernels;
    size_t n_y = epilogue == EPILOGUE_SWIGLU ? w->n_out / 2 : w->n_out;
    double seconds[BENCH_MOST_REPEATS];
    float *values = bench_take(bench, rows * w->n_in * sizeof *values), *y = bench_take(bench, rows * n_y * sizeof *y);
    void *x = bench_take(bench, rows * w->n_in * dtype_size(act_of(bench))), *narrow = bench_take(bench, narrow_bytes(rows, w->n_in));
    void *scratch = bench_take(bench, gemm_scratch_bytes(kernels, rows, w->n_out) + 1);
    int rc = values && x && y && narrow && scratch ? bench_fill(bench, values, rows * w->n_in, err) : err_no_memory(err, "a benchmark");
    if (!rc)
        kernels->convert(rows, w->n_in, values, w->n_in, x, w->n_in, act_of(bench), bench->threads);
    const struct gemm gemm = {.n = rows, .x = x, .ldx = w->n_in, .w = w, .epilogue = epilogue, .y = y, .ldy = n_y, .out_dtype = DTYPE_F32,
                              .scratch = scratch};
    for (int r = -1; r < bench->repeats && !rc && !(rc = kernels->memory->settle(err)); r++) {
        double start = bench_now(bench);
        kernels_linear(kernels, gemm, narrow, bench->threads);
        rc = kernels->memory->settle(err);
        seconds[r < 0 ? 0 : r] = bench_now(bench) - start;
    }
    char full[96];
    snprintf(full, sizeof full, "%s: %zu x %zu x %zu", name, rows, w->n_in, w->n_out);
    bench_release(bench);
    return rc ? rc : bench_add(bench, part, full, "products/s", 1, 2.0 * (double)rows * (double)w->n_in * (double)w->n_out, seconds, err);
}

/* Keys and values of `n` positions of each sequence. */
static int make_kv(struct bench *bench, struct kv *kv, size_t n, struct err *err)
{
    size_t width = (size_t)(kv->kv_heads * kv->head_dim), all = kv_sequences(kv) * n;
    float *rows = bench_take(bench, all * width * sizeof *rows);
    kv->dtype = act_of(bench);
    kv->layout = bench->model->kernels->layout;
    kv->capacity = (n + PANEL - 1) / PANEL * PANEL;
    kv->keys = bench_take(bench, kv_key_bytes(kv));
    kv->values = bench_take(bench, kv_value_bytes(kv));
    if (!rows || !kv->keys || !kv->values)
        return err_no_memory(err, "a benchmark");
    int rc = bench_fill(bench, rows, all * width, err);
    if (!rc)
        bench->model->kernels->kv_write(kv, 0, n, rows, rows, width, bench->threads);
    return rc;
}

/* The last n queries of n_keys, of each sequence. */
static int time_attention(struct bench *bench, const char *name, struct kv *kv, int heads, size_t n, size_t n_keys, bool causal, struct err *err)
{
    const struct kernels *kernels = bench->model->kernels;
    size_t width = (size_t)(heads * kv->head_dim), all = kv_sequences(kv) * n;
    double seconds[BENCH_MOST_REPEATS];
    float *values = bench_take(bench, all * width * sizeof *values);
    void *q = bench_take(bench, all * width * dtype_size(act_of(bench))), *out = bench_take(bench, all * width * dtype_size(act_of(bench)));
    int rc = values && q && out ? make_kv(bench, kv, n_keys, err) : err_no_memory(err, "a benchmark");
    void *scratch = rc ? NULL : bench_take(bench, attention_scratch_bytes(kernels, kv, bench->threads) + 1);
    if (!rc && !scratch)
        rc = err_no_memory(err, "a benchmark");
    if (!rc && !(rc = bench_fill(bench, values, all * width, err)))
        kernels->convert(all, width, values, width, q, width, act_of(bench), bench->threads);
    const struct attention attention = {.n = n, .first = n_keys - n, .n_keys = n_keys, .causal = causal, .heads = heads, .scale = 0.125f, .kv = kv, .q = q, .ldq = width,
                                        .out = out, .ldo = width, .scratch = scratch};
    for (int r = -1; r < bench->repeats && !rc && !(rc = kernels->memory->settle(err)); r++) {
        double start = bench_now(bench);
        kernels->attention(&attention, bench->threads);
        rc = kernels->memory->settle(err);
        seconds[r < 0 ? 0 : r] = bench_now(bench) - start;
    }
    char full[96];
    double pairs = (double)all * ((double)n_keys - (causal ? 0.5 * (double)n : 0));
    snprintf(full, sizeof full, "%s: %zu %s, %d heads of %d", name, n < n_keys ? n_keys : all, n < n_keys ? "keys" : "rows", heads, kv->head_dim);
    bench_release(bench);
    return rc ? rc : bench_add(bench, part, full, "calls/s", 1, 4 * pairs * (double)width, seconds, err);
}

static int time_tower(struct bench *bench, struct err *err)
{
    const struct vision_shape *v = &bench->model->shape.vision;
    const struct vision_layer *layer = &bench->model->vision_layers[0];
    size_t n = (size_t)(v->side * v->side), rows = (size_t)bench->model->frames_at_once * n;
    struct kv kv = {.kv_heads = v->heads, .head_dim = v->width / v->heads, .sequences = bench->model->frames_at_once};
    int rc = time_gemm(bench, "tower fc1", &layer->fc1, rows, EPILOGUE_GELU_TANH, err);
    if (!rc)
        rc = time_gemm(bench, "tower fc2", &layer->fc2, rows, EPILOGUE_ADD, err);
    if (!rc)
        rc = time_gemm(bench, "tower keys and values", &layer->kv, rows, EPILOGUE_NONE, err);
    return rc ? rc : time_attention(bench, "tower attention", &kv, v->heads, n, n, false, err);
}

int bench_kernels(struct bench *bench, struct err *err)
{
    const struct language_shape *l = &bench->model->shape.language;
    const struct language_layer *layer = &bench->model->language_layers[0];
    struct kv kv = {.kv_heads = l->kv_heads, .head_dim = l->head_dim};
    int rc = time_tower(bench, err);
    if (!rc)
        rc = time_gemm(bench, "language qkv", &layer->qkv, bench->rows, EPILOGUE_NONE, err);
    if (!rc)
        rc = time_gemm(bench, "language gate and up", &layer->gate_up, bench->rows, EPILOGUE_SWIGLU, err);
    if (!rc)
        rc = time_gemm(bench, "language down", &layer->down, bench->rows, EPILOGUE_ADD, err);
    if (!rc)
        rc = time_attention(bench, "language attention", &kv, l->heads, bench->rows, bench->rows, true, err);
    return rc ? rc : time_attention(bench, "attention of one row", &kv, l->heads, 1, bench->rows, true, err);
}
