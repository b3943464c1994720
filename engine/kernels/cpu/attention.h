/* Attention in one pass over the keys (online softmax), and the kv cache it reads.
 *
 * The query heads of one kv head are rows of the same tiles: row r is query r / group, head r % group of the kv head, so that keys
 * and values are read once for all of them, and decoding one query is the same code as prefilling a thousand.
 *
 * Why the bits of a row do not depend on its neighbours: keys are taken in blocks of ATTENTION_KEYS aligned at position 0. What a
 * tile computes beyond a row's last key comes after all of the row's own keys, and leaves the row as it was: masked scores are
 * -infinity, so the maximum stays, the correction is exactly 1, the weights are exactly 0, and 0 times a finite value adds nothing
 * to a sum. The exception is a sum that is subnormal or -0, which the dot product may turn into 0: attention_finish does so always. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_ATTENTION_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_ATTENTION_H

#include <math.h>

struct attention_plan {
    const struct attention *a;
    size_t group;      /* query heads per kv head */
    size_t rows;       /* n * group */
    size_t row_units;  /* units per kv head */
};

/* The rows of one unit and their running state. */
struct attention_rows {
    const struct attention_plan *plan;
    struct attention_scratch scratch;
    size_t kv_head, first, n;        /* rows first..first+n-1 of the kv head, n <= ATTENTION_ROWS */
    float most[ATTENTION_ROWS];      /* greatest score so far, before scaling */
    float weight[ATTENTION_ROWS];    /* sum of weights so far */
};

/* Number of keys that row `row` of a kv head sees. */
static size_t attention_visible(const struct attention_plan *plan, size_t row)
{
    return plan->a->causal ? plan->a->first + row / plan->group + 1 : plan->a->n_keys;
}

/* Address of row `row` in q or out. */
static size_t attention_offset(const struct attention_rows *rows, size_t row, size_t ld)
{
    const struct attention_plan *plan = rows->plan;
    size_t head = rows->kv_head * plan->group + (rows->first + row) % plan->group;
    return (rows->first + row) / plan->group * ld + head * (size_t)plan->a->kv->head_dim;
}

/* Bytes of a row of q, as inputs. */
static size_t attention_q_bytes(const struct kv *kv)
{
    return tile_input_bytes(groups_for((size_t)kv->head_dim, kv->dtype), kv->dtype);
}

/* Bytes of a row of weights, as inputs. */
static size_t attention_weight_bytes(const struct kv *kv)
{
    return tile_input_bytes(groups_for(ATTENTION_KEYS, kv->dtype), kv->dtype);
}

static void attention_begin(struct attention_rows *rows)
{
    const struct attention *a = rows->plan->a;
    for (size_t r = 0; r < rows->n; r++) {
        const char *q = (const char *)a->q + attention_offset(rows, r, a->ldq) * dtype_size(a->kv->dtype);
        tile_input_write(rows->scratch.q + r * attention_q_bytes(a->kv), q, (size_t)a->kv->head_dim, a->kv->dtype);
        rows->most[r] = -INFINITY;
        rows->weight[r] = 0;
    }
    memset(rows->scratch.out, 0, rows->n * kv_padded(a->kv) * sizeof(float));
}

/* Adds the bias of keys block..block+width-1 to the scores of n rows, which are still to be scaled. */
static void attention_bias(const struct attention_rows *rows, size_t n, size_t block, size_t width)
{
    const struct attention *a = rows->plan->a;
    for (size_t r = 0; r < n; r++)
        for (size_t key = 0; key < width; key++)
            rows->scratch.scores[r * ATTENTION_KEYS + key] += a->bias[block + key] / a->scale;
}

/* Scores of rows row..row+n-1 against keys block..block+width-1, and -infinity for keys that a row does not see. */
static void attention_score(const struct attention_rows *rows, size_t row, size_t n, size_t block, size_t width)
{
    const struct kv *kv = rows->plan->a->kv;
    size_t q_bytes = attention_q_bytes(kv);
    for (size_t key = 0; key < width; key += PANEL) {
        struct tile t = {
            .a = rows->scratch.q + row * q_bytes,
            .a_stride = q_bytes,
            .b = kv_key_at(kv, rows->kv_head, block + key, 0),
            .b_stride = PANEL * GROUP_BYTES,
            .n = groups_for((size_t)kv->head_dim, kv->dtype),
            .c = rows->scratch.scores + key,
            .c_stride = ATTENTION_KEYS,
            .dtype = kv->dtype,
        };
        tile_run(t, n, size_min(PANEL, size_round_up(width - key, 16)));
    }
    if (rows->plan->a->bias)
        attention_bias(rows, n, block, width);
    for (size_t r = 0; r < n; r++) {
        size_t visible = attention_visible(rows->plan, rows->first + row + r);
        for (size_t key = visible > block ? visible - block : 0; key < size_round_up(width, 16); key++)
            rows->scratch.scores[r * ATTENTION_KEYS + key] = -INFINITY;
    }
}

static float attention_row_most(const float *scores, size_t width, float most)
{
    vec v = vec_set(most);
    for (size_t key = 0; key < width; key += LANES)
        v = vec_max(v, vec_load(scores + key));
    return vec_most(v);
}

/* Weights of one row, exp2(scores * scale - shift), stored as inputs of the next product; returns their sum before rounding. Four
 * sums, by position of the vector, keep additions independent. */
static inline __attribute__((always_inline)) float attention_row_weigh(const enum dtype dtype, const float *scores, size_t width,
                                                                       float scale, float shift, char *weights)
{
    vec sums[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()}, slope = vec_set(scale), start = vec_set(-shift);
    for (size_t key = 0; key < width; key += LANES) {
        vec x = vec_fma(vec_load(scores + key), slope, start);
        vec weight = dtype == DTYPE_F32 ? vec_exp2(x) : vec_exp2_short(x);
        sums[key / LANES % 4] = vec_add(sums[key / LANES % 4], weight);
        if (dtype == DTYPE_BF16 && !TILE_WIDENS)
            vec_store_bf16((uint16_t *)weights + key, weight);
        else
            vec_store((float *)weights + key, dtype == DTYPE_BF16 ? vec_round_bf16(weight) : weight);
    }
    return vec_sum(vec_add(vec_add(sums[0], sums[1]), vec_add(sums[2], sums[3])));
}

static void attention_row_scale(float *out, size_t width, float factor)
{
    for (size_t d = 0; d < width; d += LANES)
        vec_store(out + d, vec_mul(vec_load(out + d), vec_set(factor)));
}

/* Turns scores of rows row..row+n-1 into weights, and takes what was summed before to the new maximum. */
static void attention_weigh(struct attention_rows *rows, size_t row, size_t n, size_t width)
{
    const struct attention *a = rows->plan->a;
    float scale = a->scale * 1.44269504f;
    for (size_t r = 0; r < n; r++) {
        const float *scores = rows->scratch.scores + r * ATTENTION_KEYS;
        char *weights = rows->scratch.weights + r * attention_weight_bytes(a->kv);
        float before = rows->most[row + r], most = attention_row_most(scores, width, before);
        float shift = most > -INFINITY ? most * scale : 0; /* else all keys so far are hidden */
        float sum = a->kv->dtype == DTYPE_F32 ? attention_row_weigh(DTYPE_F32, scores, width, scale, shift, weights)
                                              : attention_row_weigh(DTYPE_BF16, scores, width, scale, shift, weights);
        float factor = 1;
        if (most > before) {
            factor = vec_first_lane(vec_exp2(vec_set(before * scale - shift)));
            attention_row_scale(rows->scratch.out + (row + r) * kv_padded(a->kv), kv_padded(a->kv), factor);
        }
        rows->weight[row + r] = rows->weight[row + r] * factor + sum;
        rows->most[row + r] = most;
    }
}

/* out += weights times values, for rows row..row+n-1 and keys block..block+width-1. */
static void attention_mix(const struct attention_rows *rows, size_t row, size_t n, size_t block, size_t width)
{
    const struct kv *kv = rows->plan->a->kv;
    size_t padded = kv_padded(kv);
    struct tile t = {
        .a = rows->scratch.weights,
        .a_stride = attention_weight_bytes(kv),
        .b = kv_value_at(kv, rows->kv_head, block, 0),
        .b_stride = padded * GROUP_BYTES,
        .n = groups_for(width, kv->dtype),
        .c = rows->scratch.out + row * padded,
        .c_stride = padded,
        .dtype = kv->dtype,
        .resume = true,
    };
    tile_run(t, n, padded);
}

/* Divides by the sum of weights and stores in act. */
static void attention_finish(const struct attention_rows *rows)
{
    const struct attention *a = rows->plan->a;
    size_t width = (size_t)a->kv->head_dim;
    for (size_t r = 0; r < rows->n; r++) {
        const float *sums = rows->scratch.out + r * kv_padded(a->kv);
        char *out = (char *)a->out + attention_offset(rows, r, a->ldo) * dtype_size(a->kv->dtype);
        vec share = vec_set(1 / rows->weight[r]);
        for (size_t d = 0; d < width; d += LANES)
            act_store(out + d * dtype_size(a->kv->dtype), a->kv->dtype, vec_mul(vec_flush(vec_load(sums + d)), share),
                      size_min(width - d, LANES));
    }
}

/* Takes rows row..row+n-1 through all blocks that any of them sees would read each block once per six rows; so blocks are outside. */
static void attention_run(struct attention_rows *rows)
{
    size_t last = attention_visible(rows->plan, rows->first + rows->n - 1);
    attention_begin(rows);
    for (size_t block = 0; block < last; block += ATTENTION_KEYS)
        for (size_t i = 0; i < tile_count(rows->n); i++) {
            size_t row = tile_start(i, rows->n), n = tile_start(i + 1, rows->n) - row;
            size_t visible = attention_visible(rows->plan, rows->first + row + n - 1);
            if (visible <= block)
                continue;
            size_t width = size_min(visible - block, ATTENTION_KEYS);
            attention_score(rows, row, n, block, width);
            attention_weigh(rows, row, n, width);
            attention_mix(rows, row, n, block, width);
        }
    attention_finish(rows);
}

/* Units go head by head, so that a head's keys and values stay in L2, and from the last rows to the first: with causal masks the
 * long units come first and the last to finish is short. */
static void attention_unit(const void *call, size_t unit, int worker)
{
    const struct attention_plan *plan = call;
    size_t part = plan->row_units - 1 - unit % plan->row_units;
    struct attention_rows rows = {
        .plan = plan,
        .scratch = attention_scratch_at(plan->a->scratch, plan->a->kv->head_dim, worker),
        .kv_head = unit / plan->row_units,
        .first = part * plan->rows / plan->row_units,
    };
    rows.n = (part + 1) * plan->rows / plan->row_units - rows.first;
    attention_run(&rows);
}

static struct attention_plan attention_plan_make(const struct attention *a, int threads)
{
    size_t kv_heads = (size_t)a->kv->kv_heads, least = ((size_t)threads + kv_heads - 1) / kv_heads; /* units that give each thread one */
    struct attention_plan plan = {.a = a, .group = (size_t)a->heads / kv_heads};
    plan.rows = a->n * plan.group;
    plan.row_units = size_min(plan.rows, (plan.rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS);
    if (plan.row_units < least)
        plan.row_units = size_min(plan.rows, least);
    return plan;
}

static void attention(const struct attention *a, int threads)
{
    struct attention_plan plan = attention_plan_make(a, threads);
    if (plan.rows)
        kernels_deal((size_t)a->kv->kv_heads * plan.row_units, threads, attention_unit, &plan);
}

/* ---- the weights themselves ---------------------------------------------------------------------------------------------- */

/* Turns the scores of one row into weights, and those of keys that it does not see into 0. */
static void weights_finish(float *row, size_t visible, size_t n_keys, float scale)
{
    float most = -INFINITY;
    vec sum = vec_zero();
    for (size_t key = 0; key < visible; key++)
        most = row[key] > most ? row[key] : most;
    vec slope = vec_set(scale), start = vec_set(-most * scale);
    for (size_t key = 0; key < visible; key += LANES) {
        size_t n = size_min(visible - key, LANES);
        f32_store(row + key, vec_exp2(vec_fma(f32_load(row + key, n), slope, start)), n);
        sum = vec_add(sum, f32_load(row + key, n));
    }
    vec share = vec_set(1 / vec_sum(sum));
    for (size_t key = 0; key < visible; key += LANES) {
        size_t n = size_min(visible - key, LANES);
        f32_store(row + key, vec_mul(f32_load(row + key, n), share), n);
    }
    memset(row + visible, 0, (n_keys - visible) * sizeof *row);
}

struct weights_call {
    struct attention_plan plan;
    float *weights;
};

/* Where the weights of row r of the unit lie. */
static float *weights_row(const struct weights_call *call, const struct attention_rows *rows, size_t r)
{
    const struct attention_plan *plan = &call->plan;
    size_t query = (rows->first + r) / plan->group, head = rows->kv_head * plan->group + (rows->first + r) % plan->group;
    return call->weights + (query * (size_t)plan->a->heads + head) * plan->a->n_keys;
}

static void weights_unit(const void *context, size_t unit, int worker)
{
    const struct weights_call *call = context;
    const struct attention *a = call->plan.a;
    size_t part = unit % call->plan.row_units;
    struct attention_rows rows = {
        .plan = &call->plan,
        .scratch = attention_scratch_at(a->scratch, a->kv->head_dim, worker),
        .kv_head = unit / call->plan.row_units,
        .first = part * call->plan.rows / call->plan.row_units,
    };
    rows.n = (part + 1) * call->plan.rows / call->plan.row_units - rows.first;
    attention_begin(&rows);
    for (size_t block = 0; block < a->n_keys; block += ATTENTION_KEYS)
        for (size_t i = 0; i < tile_count(rows.n); i++) {
            size_t row = tile_start(i, rows.n), n = tile_start(i + 1, rows.n) - row, width = size_min(a->n_keys - block, ATTENTION_KEYS);
            attention_score(&rows, row, n, block, width);
            for (size_t r = 0; r < n; r++)
                memcpy(weights_row(call, &rows, row + r) + block, rows.scratch.scores + r * ATTENTION_KEYS, width * sizeof(float));
        }
    for (size_t r = 0; r < rows.n; r++)
        weights_finish(weights_row(call, &rows, r), attention_visible(&call->plan, rows.first + r), a->n_keys, a->scale * 1.44269504f);
}

static void attention_weights(const struct attention *a, float *weights, int threads)
{
    struct weights_call call = {attention_plan_make(a, threads), weights};
    if (call.plan.rows)
        kernels_deal((size_t)a->kv->kv_heads * call.plan.row_units, threads, weights_unit, &call);
}

#endif
