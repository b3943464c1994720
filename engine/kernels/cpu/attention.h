/* Attention in one pass over the keys (online softmax), and the kv cache it reads.
 *
 * The query heads of one kv head are rows of the same tiles: row r is query r / group, head r % group of the kv head, so that keys
 * and values are read once for all of them, and decoding one query is the same code as prefilling a thousand.
 *
 * Why the bits of a row do not depend on its neighbours: keys are taken in blocks of ATTENTION_KEYS aligned at position 0. What a
 * tile computes beyond a row's last key comes after all of the row's own keys, and leaves the row as it was: hidden scores are below
 * all others, so the maximum stays, the correction is exactly 1, the weights are exactly 0, and 0 times a finite value adds nothing
 * to a sum. The exception is a sum that is subnormal or -0, which the dot product may turn into 0: attention_finish does so always. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_ATTENTION_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_ATTENTION_H

#include <math.h>

struct attention_plan {
    const struct attention *a;
    size_t group;      /* query heads per kv head */
    size_t rows;       /* n * group */
    size_t row_units;  /* units per kv head */
    size_t tile_rows;  /* most rows of a tile */
};

/* Row r of a kv head is query r / group, query head r % group of those that share the kv head. */
struct attention_row {
    size_t query, column; /* of q and out */
    size_t visible;       /* keys that it sees */
    float most;           /* greatest score so far, before scaling */
};

/* The rows of one unit and their running state. */
struct attention_rows {
    const struct attention_plan *plan;
    struct attention_scratch scratch;
    size_t kv_head, first, n; /* rows first..first+n-1 of the kv head, n <= ATTENTION_ROWS */
    size_t tiles;             /* of at most tile_rows rows */
    _Alignas(64) float weight[ATTENTION_ROWS][LANES]; /* sums of weights so far, lane by lane */
    struct attention_row row[ATTENTION_ROWS];
};

/* Keys and values of one block of a kv head, as the tile takes them. */
struct attention_block {
    size_t first;              /* position */
    enum dtype dtype;          /* of what follows */
    const char *keys, *values;
    size_t key_panel;          /* bytes from panel to panel */
};

/* What a hidden key scores: less than any product, and finite, so that its weight comes out as 0 without a case of its own. */
#define ATTENTION_HIDDEN (-1e30f)

/* Address of row `row` in q or out, in values. */
static size_t attention_offset(const struct attention_rows *rows, size_t row, size_t ld)
{
    return rows->row[row].query * ld + rows->row[row].column;
}

/* Bytes of a row of q, as inputs. */
static size_t attention_q_bytes(const struct kv *kv)
{
    return tile_input_bytes(groups_for((size_t)kv->head_dim, kv->dtype), kv->dtype);
}

/* Which rows unit `unit` has. Units go head by head, so that a head's keys and values stay in L2, and from the last rows to the first:
 * with causal masks the long units come first and the last to finish is short. */
static void attention_rows_deal(struct attention_rows *rows, const struct attention_plan *plan, size_t unit, int worker)
{
    size_t part = plan->row_units - 1 - unit % plan->row_units;
    rows->plan = plan;
    rows->scratch = attention_scratch_at(plan->a->scratch, plan->a->kv->head_dim, worker);
    rows->kv_head = unit / plan->row_units;
    rows->first = part * plan->rows / plan->row_units;
    rows->n = (part + 1) * plan->rows / plan->row_units - rows->first;
    rows->tiles = (rows->n + plan->tile_rows - 1) / plan->tile_rows;
}

/* Row by row without a division, which costs as much as a hundred products. */
static void attention_rows_fill(struct attention_rows *rows)
{
    const struct attention_plan *plan = rows->plan;
    size_t width = (size_t)plan->a->kv->head_dim, query = rows->first / plan->group, head = rows->first % plan->group;
    for (size_t r = 0; r < rows->n; r++) {
        rows->row[r] = (struct attention_row){
            .query = query,
            .column = (rows->kv_head * plan->group + head) * width,
            .visible = plan->a->causal ? plan->a->first + query + 1 : plan->a->n_keys,
            .most = ATTENTION_HIDDEN,
        };
        vec_store(rows->weight[r], vec_zero());
        head = head + 1 < plan->group ? head + 1 : 0;
        query += head == 0;
    }
}

static const char *attention_query(const struct attention_rows *rows, size_t row)
{
    const struct attention *a = rows->plan->a;
    return (const char *)a->q + attention_offset(rows, row, a->ldq) * dtype_size(a->kv->dtype);
}

static void attention_begin(struct attention_rows *rows, const struct attention_plan *plan, size_t unit, int worker)
{
    const struct kv *kv = plan->a->kv;
    size_t width = (size_t)kv->head_dim;
    attention_rows_deal(rows, plan, unit, worker);
    attention_rows_fill(rows);
    for (size_t r = 0; r < rows->n; r++) {
        if (r + ROWS_AHEAD < rows->n)
            tile_prefetch(attention_query(rows, r + ROWS_AHEAD), width * dtype_size(kv->dtype));
        tile_input_write(rows->scratch.q + r * attention_q_bytes(kv), attention_query(rows, r), width, kv->dtype);
    }
}

/* The block at `first`, its keys before `end`. What many tiles read is widened once rather than in the registers of each. */
static struct attention_block attention_block_at(const struct attention_rows *rows, size_t first, size_t end, size_t tiles)
{
    const struct kv *kv = rows->plan->a->kv;
    size_t groups = groups_for((size_t)kv->head_dim, kv->dtype), panels = (size_min(end - first, ATTENTION_KEYS) + PANEL - 1) / PANEL;
    struct attention_block block = {
        .first = first,
        .dtype = kv->dtype,
        .keys = kv_key_at(kv, rows->kv_head, first, 0),
        .values = kv_value_at(kv, rows->kv_head, first, 0),
        .key_panel = groups * PANEL * GROUP_BYTES,
    };
    if (tile_input_dtype(kv->dtype) == kv->dtype || tiles < TILE_WIDEN)
        return block;
    tile_widen_columns(rows->scratch.keys, block.keys, panels * groups, PANEL);
    tile_widen_columns(rows->scratch.values, block.values, groups_for(panels * PANEL, kv->dtype), kv_padded(kv));
    block.dtype = DTYPE_F32;
    block.keys = (const char *)rows->scratch.keys;
    block.values = (const char *)rows->scratch.values;
    block.key_panel *= 2;
    return block;
}

/* Adds the bias of `width` keys from `first` to the scores of n rows, which are still to be scaled. */
static void attention_bias(const struct attention_rows *rows, size_t n, size_t first, size_t width)
{
    const struct attention *a = rows->plan->a;
    vec scale = vec_set(a->scale), hidden = vec_set(ATTENTION_HIDDEN);
    for (size_t key = 0; key < width; key += LANES) {
        vec bias = vec_div(f32_load(a->bias + first + key, size_min(width - key, LANES)), scale);
        for (size_t r = 0; r < n; r++) {
            float *scores = rows->scratch.scores + r * ATTENTION_KEYS + key;
            vec_store(scores, vec_max(vec_add(vec_load(scores), bias), hidden));
        }
    }
}

/* Hides keys from position `visible` on among `width` scores of a row, the first of which is of position `first`. */
static void attention_hide(float *scores, size_t visible, size_t first, size_t width)
{
    size_t seen = visible > first ? visible - first : 0;
    for (size_t key = seen / LANES * LANES; key < width; key += LANES)
        vec_store(scores + key, vec_select_first(vec_load(scores + key), vec_set(ATTENTION_HIDDEN), seen > key ? seen - key : 0));
}

/* Scores of rows row..row+n-1 against the first `width` keys of the block, rounded up to 16, hidden ones included. */
static void attention_score(const struct attention_rows *rows, size_t row, size_t n, const struct attention_block *block, size_t width)
{
    const struct kv *kv = rows->plan->a->kv;
    struct tile t = {
        .a = rows->scratch.q + row * attention_q_bytes(kv),
        .a_stride = attention_q_bytes(kv),
        .b_stride = PANEL * GROUP_BYTES,
        .n = block->key_panel / (PANEL * GROUP_BYTES),
        .c_stride = ATTENTION_KEYS,
        .dtype = block->dtype,
    };
    for (size_t key = 0; key < width; key += PANEL) {
        t.b = block->keys + key / PANEL * block->key_panel;
        t.c = rows->scratch.scores + key;
        tile_run(&t, n, size_min(PANEL, size_round_up(width - key, 16)));
    }
    if (rows->plan->a->bias)
        attention_bias(rows, n, block->first, width);
    for (size_t r = 0; r < n; r++)
        attention_hide(rows->scratch.scores + r * ATTENTION_KEYS, rows->row[row + r].visible, block->first, size_round_up(width, 16));
}

static float attention_row_most(const float *scores, size_t width, float most)
{
    vec v = vec_set(most);
    for (size_t key = 0; key < width; key += LANES)
        v = vec_max(v, vec_load(scores + key));
    return vec_most(v);
}

/* Weights of one row, exp2(scores * scale - shift), in place of its scores and as inputs of the next product; returns their sums,
 * lane by lane, before rounding. Where the tile widens, weights are not rounded. */
static inline __attribute__((always_inline)) vec attention_row_weigh(const enum dtype dtype, float *scores, size_t width, float scale,
                                                                     float shift)
{
    vec sum = vec_zero(), slope = vec_set(scale), start = vec_set(-shift);
    for (size_t key = 0; key < width; key += LANES) {
        vec x = vec_fma(vec_load(scores + key), slope, start);
        vec weight = dtype == DTYPE_F32 ? vec_exp2(x) : vec_exp2_short(x);
        sum = vec_add(sum, weight);
        if (tile_input_dtype(dtype) == DTYPE_F32)
            vec_store(scores + key, weight);
        else
            vec_store_bf16((uint16_t *)(void *)scores + key, weight);
    }
    return sum;
}

static void attention_row_scale(float *out, size_t width, float factor)
{
    for (size_t d = 0; d < width; d += LANES)
        vec_store(out + d, vec_mul(vec_load(out + d), vec_set(factor)));
}

/* The new greatest scores of rows row..row+n-1, scaled, and the factors that take what was summed before to them. */
struct attention_step {
    float most[TILE_ROWS], shift[LANES], factor[LANES];
};

static void attention_step(const struct attention_rows *rows, size_t row, size_t n, size_t width, struct attention_step *step)
{
    float scale = rows->plan->a->scale * 1.44269504f, before[LANES] = {0};
    for (size_t r = 0; r < n; r++)
        step->most[r] = attention_row_most(rows->scratch.scores + r * ATTENTION_KEYS, width, rows->row[row + r].most);
    for (size_t r = 0; r < n; r++) {
        step->shift[r] = step->most[r] > ATTENTION_HIDDEN ? step->most[r] * scale : 0; /* else all keys so far are hidden */
        before[r] = rows->row[row + r].most * scale - step->shift[r];
    }
    vec_store(step->factor, vec_exp2(vec_load(before)));
}

/* Turns scores of rows row..row+n-1 into weights, and takes what was summed before to the new maximum. */
static void attention_weigh(struct attention_rows *rows, size_t row, size_t n, const struct attention_block *block, size_t width)
{
    const struct attention *a = rows->plan->a;
    size_t padded = kv_padded(a->kv);
    float scale = a->scale * 1.44269504f;
    struct attention_step step;
    attention_step(rows, row, n, width, &step);
    for (size_t r = 0; r < n; r++) {
        float *scores = rows->scratch.scores + r * ATTENTION_KEYS;
        vec sum = a->kv->dtype == DTYPE_F32 ? attention_row_weigh(DTYPE_F32, scores, width, scale, step.shift[r])
                                            : attention_row_weigh(DTYPE_BF16, scores, width, scale, step.shift[r]);
        if (step.most[r] > rows->row[row + r].most && block->first > 0)
            attention_row_scale(rows->scratch.out + (row + r) * padded, padded, step.factor[r]);
        vec_store(rows->weight[row + r], vec_fma(vec_load(rows->weight[row + r]), vec_set(step.factor[r]), sum));
        rows->row[row + r].most = step.most[r];
    }
}

/* out += weights times values, for rows row..row+n-1 and the first `width` keys of the block. */
static void attention_mix(const struct attention_rows *rows, size_t row, size_t n, const struct attention_block *block, size_t width)
{
    size_t padded = kv_padded(rows->plan->a->kv);
    struct tile t = {
        .a = (const char *)rows->scratch.scores,
        .a_stride = ATTENTION_KEYS * sizeof(float),
        .b = block->values,
        .b_stride = padded * GROUP_BYTES,
        .n = groups_for(width, block->dtype),
        .c = rows->scratch.out + row * padded,
        .c_stride = padded,
        .dtype = block->dtype,
        .resume = block->first > 0,
    };
    tile_run(&t, n, padded);
}

/* Divides by the sum of weights and stores in act. */
static void attention_finish(const struct attention_rows *rows)
{
    const struct attention *a = rows->plan->a;
    size_t width = (size_t)a->kv->head_dim;
    for (size_t r = 0; r < rows->n; r++) {
        const float *sums = rows->scratch.out + r * kv_padded(a->kv);
        char *out = (char *)a->out + attention_offset(rows, r, a->ldo) * dtype_size(a->kv->dtype);
        vec share = vec_set(1 / vec_sum(vec_load(rows->weight[r])));
        for (size_t d = 0; d < width; d += LANES)
            act_store(out + d * dtype_size(a->kv->dtype), a->kv->dtype, vec_mul(vec_flush(vec_load(sums + d)), share),
                      size_min(width - d, LANES));
    }
}

/* First row of tile i. */
static size_t attention_tile(const struct attention_rows *rows, size_t i)
{
    return i * rows->n / rows->tiles;
}

/* First of the tiles whose last row sees position `key`. */
static size_t attention_first_tile(const struct attention_rows *rows, size_t key)
{
    size_t i = 0;
    while (rows->row[attention_tile(rows, i + 1) - 1].visible <= key)
        i++;
    return i;
}

/* Blocks outside, tiles inside: a block's keys and values stay in L2 while all rows go by. */
static void attention_run(struct attention_rows *rows)
{
    size_t last = rows->row[rows->n - 1].visible;
    for (size_t first = 0; first < last; first += ATTENTION_KEYS) {
        size_t start = attention_first_tile(rows, first);
        struct attention_block block = attention_block_at(rows, first, last, rows->tiles - start);
        for (size_t i = start; i < rows->tiles; i++) {
            size_t row = attention_tile(rows, i), n = attention_tile(rows, i + 1) - row;
            size_t width = size_min(rows->row[row + n - 1].visible - first, ATTENTION_KEYS);
            attention_score(rows, row, n, &block, width);
            attention_weigh(rows, row, n, &block, width);
            attention_mix(rows, row, n, &block, width);
        }
    }
    attention_finish(rows);
}

static void attention_unit(const void *call, size_t unit, int worker)
{
    struct attention_rows rows;
    attention_begin(&rows, call, unit, worker);
    attention_run(&rows);
}

/* Values of head size 72 are five vectors of 16: one strip for a tile of five rows. */
static size_t attention_tile_rows(const struct kv *kv)
{
    size_t vecs = kv_padded(kv) / LANES;
    return vecs > STRIP && vecs <= STRIP_FEW ? TILE_ROWS - 1 : TILE_ROWS;
}

static struct attention_plan attention_plan_make(const struct attention *a, int threads)
{
    size_t kv_heads = (size_t)a->kv->kv_heads, least = ((size_t)threads + kv_heads - 1) / kv_heads; /* units that give each thread one */
    struct attention_plan plan = {.a = a, .group = (size_t)a->heads / kv_heads, .tile_rows = attention_tile_rows(a->kv)};
    plan.rows = a->n * plan.group;
    plan.row_units = size_min(plan.rows, (plan.rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS);
    if (plan.row_units < least)
        plan.row_units = size_min(plan.rows, least);
    return plan;
}

static void attention(const struct attention *a, int threads)
{
    if (kv_sequences(a->kv) > 1) {
        attention_each(a, threads, attention);
        return;
    }
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
    size_t head = rows->row[r].column / (size_t)call->plan.a->kv->head_dim;
    return call->weights + (rows->row[r].query * (size_t)call->plan.a->heads + head) * call->plan.a->n_keys;
}

static void weights_unit(const void *context, size_t unit, int worker)
{
    const struct weights_call *call = context;
    const struct attention *a = call->plan.a;
    struct attention_rows rows;
    attention_begin(&rows, &call->plan, unit, worker);
    for (size_t first = 0; first < a->n_keys; first += ATTENTION_KEYS) {
        struct attention_block block = attention_block_at(&rows, first, a->n_keys, rows.tiles);
        for (size_t i = 0; i < rows.tiles; i++) {
            size_t row = attention_tile(&rows, i), n = attention_tile(&rows, i + 1) - row;
            size_t width = size_min(a->n_keys - first, ATTENTION_KEYS);
            attention_score(&rows, row, n, &block, width);
            for (size_t r = 0; r < n; r++)
                memcpy(weights_row(call, &rows, row + r) + first, rows.scratch.scores + r * ATTENTION_KEYS, width * sizeof(float));
        }
    }
    for (size_t r = 0; r < rows.n; r++)
        weights_finish(weights_row(call, &rows, r), rows.row[r].visible, a->n_keys, a->scale * 1.44269504f);
}

static void attention_weights(const struct attention *a, float *weights, int threads)
{
    struct weights_call call = {attention_plan_make(a, threads), weights};
    if (call.plan.rows)
        kernels_deal((size_t)a->kv->kv_heads * call.plan.row_units, threads, weights_unit, &call);
}

#endif
