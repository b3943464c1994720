/* Attention: a block takes 64 rows of one kv head (16-bit) or 32 (f32) through all the keys that they see, 64 or 32 at a time, with an online
 * softmax; no row of weights is ever held. A row is a query and one of the heads that share the kv head, so that keys are read once for
 * all of these. What a row computes depends on its own query and on key positions alone: key blocks are aligned at position 0, and a block
 * of keys that a row does not see leaves its bits alone. */
#include "engine/kernels/cuda/matrix_unit.cuh"

struct attention_call {
    size_t n, first, n_keys;
    bool causal;
    int kv_heads, group; /* query heads per kv head */
    int head_dim, padded;
    size_t capacity;
    float scale;
    const void *q;
    size_t ldq;
    const void *keys, *values;
    const float *bias;
    void *out;
    size_t ldo;
    float *weights;
    size_t sequences;
};

static __device__ size_t visible_keys(const attention_call &c, size_t query)
{
    return c.causal ? c.first + query + 1 : c.n_keys;
}

/* Keys that the last of rows row..row+n-1 sees. */
static __device__ size_t block_keys(const attention_call &c, size_t row, size_t n)
{
    size_t end = row + n < c.n * (size_t)c.group ? row + n : c.n * (size_t)c.group;
    return visible_keys(c, (end - 1) / (size_t)c.group);
}

/* Values of row `row`, a query and a head; NULL past the last. blockIdx.y counts the kv heads of all sequences. */
template <class Bits>
static __device__ Bits *row_at(const attention_call &c, Bits *base, size_t ld, size_t row)
{
    size_t sequence = blockIdx.y / (size_t)c.kv_heads, kv_head = blockIdx.y % (size_t)c.kv_heads;
    size_t query = row / (size_t)c.group, head = kv_head * (size_t)c.group + row % (size_t)c.group;
    return query < c.n ? base + (sequence * c.n + query) * ld + head * (size_t)c.head_dim : NULL;
}

/* `rows` rows of keys or values from position `first`, `width` wide with zeros past head_dim, to shared memory; zeros past n_keys. */
template <class Bits>
static __device__ void load_keys(const attention_call &c, Bits *to, int stride, const void *cache, size_t first, int rows, int width)
{
    const Bits *from = (const Bits *)cache + (blockIdx.y * c.capacity + first) * (size_t)c.padded;
    for (int i = (int)threadIdx.x; i < rows * width; i += (int)blockDim.x) {
        int row = i / width, d = i % width;
        to[row * stride + d] = first + (size_t)row < c.n_keys && d < c.padded ? from[(size_t)row * (size_t)c.padded + (size_t)d] : (Bits)0;
    }
}

template <class Bits>
static __device__ void load_queries(const attention_call &c, Bits *to, int stride, size_t first, int rows, int width)
{
    for (int i = (int)threadIdx.x; i < rows * width; i += (int)blockDim.x) {
        int d = i % width;
        const Bits *q = row_at(c, (const Bits *)c.q, c.ldq, first + (size_t)(i / width));
        to[i / width * stride + d] = q && d < c.head_dim ? q[d] : (Bits)0;
    }
}

/* ---- 16 bit -------------------------------------------------------------------------------------------------------------- */

enum { HALF_ROWS = 64, HALF_KEYS = 64, HALF_THREADS = 128, KEY_TILES = HALF_KEYS / 8 };

static __device__ inline float quad_max(float value)
{
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

static __device__ inline float quad_sum(float value)
{
    value += __shfl_xor_sync(0xffffffffu, value, 1);
    return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/* scores[16][64] = a warp's queries times the block's keys. */
template <class T, int WIDTH>
static __device__ void score_keys(float scores[KEY_TILES][4], const uint16_t *queries, const uint16_t *keys, int top)
{
    for (int tile = 0; tile < KEY_TILES; tile++)
        for (int i = 0; i < 4; i++)
            scores[tile][i] = 0;
    ROLLED
    for (int k = 0; k < WIDTH; k += 16) {
        uint32_t a[4], b[2];
        load_a(a, queries, WIDTH + 8, top, k);
        for (int tile = 0; tile < KEY_TILES; tile++) {
            load_b(b, keys, WIDTH + 8, 8 * tile, k);
            multiply<T>(scores[tile], a, b);
        }
    }
}

/* Of the two rows that a lane has parts of: the maximum so far, and this lane's part of the sum of weights. */
struct softmax_rows {
    size_t visible[2];
    float most[2], sum[2];
};

/* Scores become weights, in units of the new maximum; shrink[] is what was summed so far in those. Logits are in powers of 2. */
static __device__ void weigh_keys(const attention_call &c, softmax_rows *rows, float scores[KEY_TILES][4], size_t first, float shrink[2])
{
    const float log2_e = 1.4426950408889634f;
    int lane = (int)threadIdx.x % WARP;
    for (int half = 0; half < 2; half++) {
        float most = rows->most[half];
        for (int tile = 0; tile < KEY_TILES; tile++)
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                size_t key = first + (size_t)(8 * tile + lane % 4 * 2 + i % 2);
                float score = scores[tile][i] * (c.scale * log2_e);
                if (c.bias && key < c.n_keys)
                    score += c.bias[key] * log2_e;
                scores[tile][i] = key < rows->visible[half] ? score : -INFINITY;
                most = fmaxf(most, scores[tile][i]);
            }
        most = quad_max(most);
        float base = most == -INFINITY ? 0.0f : most, sum = 0;
        shrink[half] = exp2f(rows->most[half] - base);
        for (int tile = 0; tile < KEY_TILES; tile++)
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                scores[tile][i] = exp2f(scores[tile][i] - base);
                sum += scores[tile][i];
            }
        rows->most[half] = most;
        rows->sum[half] = rows->sum[half] * shrink[half] + sum;
    }
}

/* out[16][WIDTH] += weights times the block's values. */
template <class T, int WIDTH>
static __device__ void add_values(float out[WIDTH / 8][4], const float weights[KEY_TILES][4], const uint16_t *values)
{
    for (int k = 0; k < KEY_TILES; k += 2) {
        uint32_t a[4], b[2];
        a[0] = pair_of<T>(weights[k][0], weights[k][1]);
        a[1] = pair_of<T>(weights[k][2], weights[k][3]);
        a[2] = pair_of<T>(weights[k + 1][0], weights[k + 1][1]);
        a[3] = pair_of<T>(weights[k + 1][2], weights[k + 1][3]);
        for (int tile = 0; tile < WIDTH / 8; tile++) {
            load_b_rows(b, values, WIDTH + 8, 8 * k, 8 * tile);
            multiply<T>(out[tile], a, b);
        }
    }
}

template <class T, int WIDTH>
static __device__ void store_rows(const attention_call &c, const softmax_rows &rows, float out[WIDTH / 8][4], size_t row)
{
    int lane = (int)threadIdx.x % WARP;
    for (int half = 0; half < 2; half++) {
        float sum = quad_sum(rows.sum[half]);
        uint16_t *to = row_at(c, (uint16_t *)c.out, c.ldo, row + (size_t)(8 * half));
        for (int tile = 0; to && tile < WIDTH / 8; tile++)
            for (int i = 0; i < 2; i++) {
                int d = 8 * tile + lane % 4 * 2 + i;
                if (d < c.head_dim)
                    to[d] = T::store(out[tile][2 * half + i] / sum);
            }
    }
}

/* Warp w has rows 16 w.. of the block. */
template <class T, int WIDTH>
static __global__ void attend_half(attention_call c)
{
    uint16_t *queries = (uint16_t *)shared_memory(), *keys = queries + HALF_ROWS * (WIDTH + 8), *values = keys + HALF_KEYS * (WIDTH + 8);
    int top = (int)threadIdx.x / WARP * 16;
    size_t block = (size_t)blockIdx.x * HALF_ROWS, row = block + (size_t)top + threadIdx.x % WARP / 4, end = block_keys(c, block, HALF_ROWS);
    softmax_rows rows = {{visible_keys(c, row / (size_t)c.group), visible_keys(c, (row + 8) / (size_t)c.group)}, {-INFINITY, -INFINITY}, {0, 0}};
    float out[WIDTH / 8][4] = {}, scores[KEY_TILES][4], shrink[2];
    load_queries(c, queries, WIDTH + 8, block, HALF_ROWS, WIDTH);
    for (size_t first = 0; first < end; first += HALF_KEYS) {
        __syncthreads();
        load_keys(c, keys, WIDTH + 8, c.keys, first, HALF_KEYS, WIDTH);
        load_keys(c, values, WIDTH + 8, c.values, first, HALF_KEYS, WIDTH);
        __syncthreads();
        score_keys<T, WIDTH>(scores, queries, keys, top);
        weigh_keys(c, &rows, scores, first, shrink);
        for (int tile = 0; tile < WIDTH / 8; tile++)
            for (int i = 0; i < 4; i++)
                out[tile][i] *= shrink[i / 2];
        add_values<T, WIDTH>(out, scores, values);
    }
    store_rows<T, WIDTH>(c, rows, out, row);
}

/* ---- f32 ----------------------------------------------------------------------------------------------------------------- */

enum { F32_ROWS = 32, F32_KEYS = 32, F32_THREADS = 128, WARP_ROWS = F32_ROWS / (F32_THREADS / WARP) };

static __device__ float dot(const float *a, const float *b, int n)
{
    float sum = 0;
    ROLLED
    for (int d = 0; d < n; d++)
        sum = fmaf(a[d], b[d], sum);
    return sum;
}

/* Warp w has rows 8 w.. of the block; its lanes are keys while it scores, and columns of the output while it sums. */
template <int WIDTH>
static __global__ void attend_f32(attention_call c)
{
    float *queries = (float *)shared_memory(), *keys = queries + F32_ROWS * (WIDTH + 1), *values = keys + F32_KEYS * (WIDTH + 1);
    float *weights = values + F32_KEYS * (WIDTH + 1); /* [F32_ROWS][F32_KEYS] */
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    size_t block = (size_t)blockIdx.x * F32_ROWS, end = block_keys(c, block, F32_ROWS);
    float out[WARP_ROWS][WIDTH / WARP] = {}, most[WARP_ROWS], sum[WARP_ROWS] = {};
    for (int r = 0; r < WARP_ROWS; r++)
        most[r] = -INFINITY;
    load_queries(c, queries, WIDTH + 1, block, F32_ROWS, WIDTH);
    for (size_t first = 0; first < end; first += F32_KEYS) {
        __syncthreads();
        load_keys(c, keys, WIDTH + 1, c.keys, first, F32_KEYS, WIDTH);
        load_keys(c, values, WIDTH + 1, c.values, first, F32_KEYS, WIDTH);
        __syncthreads();
        for (int r = 0; r < WARP_ROWS; r++) {
            int at = warp * WARP_ROWS + r;
            size_t key = first + (size_t)lane;
            float score = dot(queries + at * (WIDTH + 1), keys + lane * (WIDTH + 1), c.head_dim) * c.scale;
            if (c.bias && key < c.n_keys)
                score += c.bias[key];
            if (key >= visible_keys(c, (block + (size_t)at) / (size_t)c.group))
                score = -INFINITY;
            float now = fmaxf(most[r], warp_max(score)), base = now == -INFINITY ? 0.0f : now, weight = expf(score - base);
            float shrink = expf(most[r] - base);
            weights[at * F32_KEYS + lane] = weight;
            sum[r] = sum[r] * shrink + warp_sum(weight);
            most[r] = now;
            for (int part = 0; part < WIDTH / WARP; part++)
                out[r][part] *= shrink;
        }
        __syncwarp();
        for (int r = 0; r < WARP_ROWS; r++)
            ROLLED
            for (int key = 0; key < F32_KEYS; key++)
                for (int part = 0; part < WIDTH / WARP; part++)
                    out[r][part] = fmaf(weights[(warp * WARP_ROWS + r) * F32_KEYS + key], values[key * (WIDTH + 1) + part * WARP + lane], out[r][part]);
    }
    for (int r = 0; r < WARP_ROWS; r++) {
        float *to = row_at(c, (float *)c.out, c.ldo, block + (size_t)(warp * WARP_ROWS + r));
        for (int part = 0; to && part < WIDTH / WARP; part++)
            if (part * WARP + lane < c.head_dim)
                to[part * WARP + lane] = out[r][part] / sum[r];
    }
}

/* ---- weights ------------------------------------------------------------------------------------------------------------- */

enum { WEIGHT_THREADS = 128 };

template <class T>
static __device__ float score_at(const attention_call &c, const typename T::bits *q, size_t kv_head, size_t key)
{
    const typename T::bits *k = (const typename T::bits *)c.keys + (kv_head * c.capacity + key) * (size_t)c.padded;
    float sum = 0;
    for (int d = 0; d < c.head_dim; d++)
        sum = fmaf(T::load(q[d]), T::load(k[d]), sum);
    return sum * c.scale + (c.bias ? c.bias[key] : 0.0f);
}

/* One query's head in a block: its row of weights, in three passes over the keys. */
template <class T>
static __global__ void weigh_all(attention_call c)
{
    float *room = (float *)shared_memory();
    size_t heads = (size_t)(c.kv_heads * c.group), query = blockIdx.x / heads, head = blockIdx.x % heads, visible = visible_keys(c, query);
    const typename T::bits *q = (const typename T::bits *)c.q + query * c.ldq + head * (size_t)c.head_dim;
    float *weights = c.weights + (size_t)blockIdx.x * c.n_keys, most = -INFINITY, sum = 0;
    for (size_t key = threadIdx.x; key < c.n_keys; key += WEIGHT_THREADS) {
        weights[key] = key < visible ? score_at<T>(c, q, head / (size_t)c.group, key) : -INFINITY;
        most = fmaxf(most, weights[key]);
    }
    most = block_reduce(most, room, true);
    for (size_t key = threadIdx.x; key < c.n_keys; key += WEIGHT_THREADS) {
        weights[key] = expf(weights[key] - most);
        sum += weights[key];
    }
    sum = block_reduce(sum, room, false);
    for (size_t key = threadIdx.x; key < c.n_keys; key += WEIGHT_THREADS)
        weights[key] /= sum;
}

/* ---- slots --------------------------------------------------------------------------------------------------------------- */

static attention_call call_of(const struct attention *a)
{
    const struct kv *kv = a->kv;
    attention_call c = {a->n,      a->first,     a->n_keys,    a->causal,    kv->kv_heads, a->heads / kv->kv_heads,
                        kv->head_dim, (kv->head_dim + 15) / 16 * 16, kv->capacity, a->scale, a->q, a->ldq, kv->keys, kv->values, a->bias, a->out,
                        a->ldo,    NULL, kv_sequences(kv)};
    return c;
}

template <class T, int WIDTH>
static void attend_half_as(const attention_call &c)
{
    size_t shared = (HALF_ROWS + 2 * HALF_KEYS) * (WIDTH + 8) * sizeof(uint16_t);
    launch(attend_half<T, WIDTH>, "attention", blocks_for(c.n * (size_t)c.group, HALF_ROWS), (size_t)c.kv_heads * c.sequences, HALF_THREADS, shared, c);
}

template <class T>
static void attend_in_half(const attention_call &c)
{
    if (c.head_dim <= 32)
        attend_half_as<T, 32>(c);
    else if (c.head_dim <= 64)
        attend_half_as<T, 64>(c);
    else if (c.head_dim <= 80)
        attend_half_as<T, 80>(c);
    else if (c.head_dim <= 128)
        attend_half_as<T, 128>(c);
    else
        attend_half_as<T, 256>(c);
}

template <int WIDTH>
static void attend_f32_as(const attention_call &c)
{
    size_t shared = ((F32_ROWS + 2 * F32_KEYS) * (WIDTH + 1) + F32_ROWS * F32_KEYS) * sizeof(float);
    launch(attend_f32<WIDTH>, "attention", blocks_for(c.n * (size_t)c.group, F32_ROWS), (size_t)c.kv_heads * c.sequences, F32_THREADS, shared, c);
}

static void attend_in_f32(const attention_call &c)
{
    if (c.head_dim <= 32)
        attend_f32_as<32>(c);
    else if (c.head_dim <= 64)
        attend_f32_as<64>(c);
    else if (c.head_dim <= 96)
        attend_f32_as<96>(c);
    else if (c.head_dim <= 128)
        attend_f32_as<128>(c);
    else
        attend_f32_as<256>(c);
}

void cuda_attention(const struct attention *a, int threads)
{
    (void)threads;
    attention_call c = call_of(a);
    if (a->kv->dtype == DTYPE_F32)
        attend_in_f32(c);
    else if (a->kv->dtype == DTYPE_BF16)
        attend_in_half<as_bf16>(c);
    else
        attend_in_half<as_f16>(c);
}

void cuda_attention_weights(const struct attention *a, float *weights, int threads)
{
    (void)threads;
    attention_call c = call_of(a);
    c.weights = weights;
    size_t rows = a->n * (size_t)a->heads;
    WITH_DTYPE(a->kv->dtype, launch(weigh_all<T>, "attention's weights", rows, 1, WEIGHT_THREADS, WEIGHT_THREADS / WARP * sizeof(float), c));
}
