/* Attention: a block takes 64 rows of one kv head (16-bit) or 32 (f32) through keys, 64 or 32 at a time, with an online softmax; no row of
 * weights is ever held. A row is a query and one of the heads that share the kv head, so that keys are read once for all of these.
 *
 * Keys come in spans of ATTENTION_SPAN positions. A row's softmax begins anew in each, and what spans come to (maximum, sum of weights,
 * weighted values) is joined in their order. Where there are many rows a block takes its own through all spans; few rows, as in generation,
 * get a block for each span, and another kernel joins what those left in memory, by the same formula (Dao et al., "Flash-Decoding for
 * long-context inference", 2023). So what a row computes depends on its own query and on key positions alone: spans and blocks of keys are
 * aligned at position 0, and keys that a row does not see leave its bits alone.
 *
 * Where two kernels have to come to the same bits no product is left to be fused into a sum or not: fmaf is, __fmul_rn is not. */
#include "engine/kernels/cuda/matrix_unit.cuh"
#include "engine/kernels/layout.h"

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
    size_t row_blocks, spans; /* blocks of the grid: row_blocks for each of spans; spans is 1 where a block takes all */
    float *parts;             /* [kv heads of all sequences][spans][rows][padded + PART_HEAD] of spans that are joined later; NULL: none are */
    const ptrdiff_t *shift;   /* device_shift */
};

enum { PART_MOST, PART_SUM, PART_HEAD }; /* a part begins with its maximum and its sum of weights */

/* The call as it is repeated now. */
static __device__ attention_call at_this_time(attention_call c)
{
    c.first = shifted(c.first, c.shift);
    c.n_keys = shifted(c.n_keys, c.shift);
    return c;
}

static __device__ size_t visible_keys(const attention_call &c, size_t query)
{
    return c.causal ? c.first + query + 1 : c.n_keys;
}

/* Rows of one kv head: all queries' heads that share it. */
static __device__ size_t all_rows(const attention_call &c)
{
    return c.n * (size_t)c.group;
}

/* Keys that the last of rows row..row+n-1 sees. */
static __device__ size_t block_keys(const attention_call &c, size_t row, size_t n)
{
    size_t end = row + n < all_rows(c) ? row + n : all_rows(c);
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

static __device__ float *part_at(const attention_call &c, size_t span, size_t row)
{
    return c.parts + ((blockIdx.y * c.spans + span) * all_rows(c) + row) * (size_t)(c.padded + PART_HEAD);
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

/* ---- joining spans ------------------------------------------------------------------------------------------------------- */

/* What weights are powers of: in 16 bit logits are in powers of 2. */
template <class T>
static __device__ inline float power(float logit) { return exp2f(logit); }

template <>
__device__ inline float power<as_f32>(float logit) { return expf(logit); }

/* What the sums so far and those of a span are scaled by when they are joined, in units of the new maximum. */
struct shares { float kept, added; };

template <class T>
static __device__ shares join_maxima(float *most, float span_most)
{
    float now = fmaxf(*most, span_most), base = now == -INFINITY ? 0.0f : now;
    shares by = {power<T>(*most - base), power<T>(span_most - base)};
    *most = now;
    return by;
}

static __device__ float join(float so_far, float span, shares by)
{
    return fmaf(so_far, by.kept, __fmul_rn(span, by.added));
}

/* A row's output. Nothing but the sign of zero depends on whether a span without visible keys was joined: there is but one zero. */
template <class T>
static __device__ typename T::bits output(float sum_of_values, float sum)
{
    return T::store(sum_of_values / sum + 0.0f);
}

enum { JOIN_THREADS = 128 };

/* A row in a block, a column in a thread. */
template <class T>
static __global__ void join_spans(attention_call call)
{
    const attention_call c = at_this_time(call);
    size_t row = blockIdx.x, visible = visible_keys(c, row / (size_t)c.group);
    typename T::bits *to = row_at(c, (typename T::bits *)c.out, c.ldo, row);
    for (int d = (int)threadIdx.x; d < c.head_dim; d += JOIN_THREADS) {
        float most = -INFINITY, sum = 0, value = 0;
        for (size_t span = 0; span * ATTENTION_SPAN < visible; span++) {
            const float *part = part_at(c, span, row);
            shares by = join_maxima<T>(&most, part[PART_MOST]);
            sum = join(sum, part[PART_SUM], by);
            value = join(value, part[PART_HEAD + d], by);
        }
        to[d] = output<T>(value, sum);
    }
}

/* ---- 16 bit -------------------------------------------------------------------------------------------------------------- */

enum { HALF_ROWS = 64, HALF_KEYS = 64, HALF_THREADS = 128, KEY_TILES = HALF_KEYS / 8 };

/* What a thread loads and stores at once. */
struct alignas(16) piece { uint32_t pairs[4]; };
enum { PIECE = 8 }; /* values in it */

/* 64 keys or values from position `first`, with zeros past head_dim and n_keys, to shared memory. Rows of 16-bit caches begin at multiples of
 * 32 bytes, and rows there, of WIDTH + 8 values, at multiples of 16. */
template <int WIDTH>
static __device__ void load_block(const attention_call &c, uint16_t *to, const void *cache, size_t first)
{
    const uint16_t *from = (const uint16_t *)cache + (blockIdx.y * c.capacity + first) * (size_t)c.padded;
    for (int i = 0; i < HALF_KEYS * WIDTH / PIECE; i += HALF_THREADS) {
        int row = (i + (int)threadIdx.x) / (WIDTH / PIECE), d = (i + (int)threadIdx.x) % (WIDTH / PIECE) * PIECE;
        piece values = {};
        if (first + (size_t)row < c.n_keys && d < c.padded)
            values = *(const piece *)(const void *)(from + (size_t)row * (size_t)c.padded + (size_t)d);
        *(piece *)(void *)(to + row * (WIDTH + 8) + d) = values;
    }
}

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
    UNROLLED
    for (int tile = 0; tile < KEY_TILES; tile++)
        UNROLLED
        for (int i = 0; i < 4; i++)
            scores[tile][i] = 0;
    ROLLED
    for (int k = 0; k < WIDTH; k += 16) {
        uint32_t a[4], b[2];
        load_a(a, queries, WIDTH + 8, top, k);
        UNROLLED
        for (int tile = 0; tile < KEY_TILES; tile++) {
            load_b(b, keys, WIDTH + 8, 8 * tile, k);
            multiply<T>(scores[tile], a, b);
        }
    }
}

/* Of the two rows that a lane has parts of, over some keys: the maximum, this lane's part of the sum of weights and of weighted values. */
template <int WIDTH>
struct half_sums {
    float most[2], sum[2], out[WIDTH / 8][4];
};

template <int WIDTH>
static __device__ inline void clear(half_sums<WIDTH> *sums)
{
    UNROLLED
    for (int half = 0; half < 2; half++) {
        sums->most[half] = -INFINITY;
        sums->sum[half] = 0;
    }
    UNROLLED
    for (int tile = 0; tile < WIDTH / 8; tile++)
        UNROLLED
        for (int i = 0; i < 4; i++)
            sums->out[tile][i] = 0;
}

/* Scores become weights, in units of the new maximum, as does what was summed so far. */
template <int WIDTH>
static __device__ void weigh_keys(const attention_call &c, const size_t visible[2], float scores[KEY_TILES][4], size_t first, half_sums<WIDTH> *sums)
{
    const float log2_e = 1.4426950408889634f;
    int lane = (int)threadIdx.x % WARP;
    float shrink[2];
    UNROLLED
    for (int half = 0; half < 2; half++) {
        float most = sums->most[half];
        UNROLLED
        for (int tile = 0; tile < KEY_TILES; tile++)
            UNROLLED
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                size_t key = first + (size_t)(8 * tile + lane % 4 * 2 + i % 2);
                float score = __fmul_rn(scores[tile][i], c.scale * log2_e);
                if (c.bias && key < c.n_keys)
                    score = fmaf(c.bias[key], log2_e, score);
                scores[tile][i] = key < visible[half] ? score : -INFINITY;
                most = fmaxf(most, scores[tile][i]);
            }
        most = quad_max(most);
        float base = most == -INFINITY ? 0.0f : most, sum = 0;
        shrink[half] = exp2f(sums->most[half] - base);
        UNROLLED
        for (int tile = 0; tile < KEY_TILES; tile++)
            UNROLLED
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                scores[tile][i] = exp2f(scores[tile][i] - base);
                sum += scores[tile][i];
            }
        sums->most[half] = most;
        sums->sum[half] = fmaf(sums->sum[half], shrink[half], sum);
    }
    UNROLLED
    for (int tile = 0; tile < WIDTH / 8; tile++)
        UNROLLED
        for (int i = 0; i < 4; i++)
            sums->out[tile][i] *= shrink[i / 2];
}

/* out[16][WIDTH] += weights times the block's values. */
template <class T, int WIDTH>
static __device__ void add_values(float out[WIDTH / 8][4], const float weights[KEY_TILES][4], const uint16_t *values)
{
    UNROLLED
    for (int k = 0; k < KEY_TILES; k += 2) {
        uint32_t a[4], b[2];
        a[0] = pair_of<T>(weights[k][0], weights[k][1]);
        a[1] = pair_of<T>(weights[k][2], weights[k][3]);
        a[2] = pair_of<T>(weights[k + 1][0], weights[k + 1][1]);
        a[3] = pair_of<T>(weights[k + 1][2], weights[k + 1][3]);
        UNROLLED
        for (int tile = 0; tile < WIDTH / 8; tile++) {
            load_b_rows(b, values, WIDTH + 8, 8 * k, 8 * tile);
            multiply<T>(out[tile], a, b);
        }
    }
}

struct half_tiles { uint16_t *queries, *keys, *values; };

/* A warp's rows over one span; `end`: keys that the block sees. */
template <class T, int WIDTH>
static __device__ void sum_span(const attention_call &c, const half_tiles &tiles, const size_t visible[2], size_t span, size_t end, half_sums<WIDTH> *sums)
{
    size_t past = (span + 1) * ATTENTION_SPAN < end ? (span + 1) * ATTENTION_SPAN : end;
    float scores[KEY_TILES][4];
    clear(sums);
    ROLLED
    for (size_t first = span * ATTENTION_SPAN; first < past; first += HALF_KEYS) {
        __syncthreads();
        load_block<WIDTH>(c, tiles.keys, c.keys, first);
        load_block<WIDTH>(c, tiles.values, c.values, first);
        __syncthreads();
        score_keys<T, WIDTH>(scores, tiles.queries, tiles.keys, (int)threadIdx.x / WARP * 16);
        weigh_keys(c, visible, scores, first, sums);
        add_values<T, WIDTH>(sums->out, scores, tiles.values);
    }
    UNROLLED
    for (int half = 0; half < 2; half++)
        sums->sum[half] = quad_sum(sums->sum[half]);
}

template <class T, int WIDTH>
static __device__ void join_sums(half_sums<WIDTH> *so_far, const half_sums<WIDTH> &span)
{
    shares by[2];
    UNROLLED
    for (int half = 0; half < 2; half++) {
        by[half] = join_maxima<T>(&so_far->most[half], span.most[half]);
        so_far->sum[half] = join(so_far->sum[half], span.sum[half], by[half]);
    }
    UNROLLED
    for (int tile = 0; tile < WIDTH / 8; tile++)
        UNROLLED
        for (int i = 0; i < 4; i++)
            so_far->out[tile][i] = join(so_far->out[tile][i], span.out[tile][i], by[i / 2]);
}

template <class T, int WIDTH>
static __device__ void store_rows(const attention_call &c, const half_sums<WIDTH> &sums, size_t row)
{
    int lane = (int)threadIdx.x % WARP;
    UNROLLED
    for (int half = 0; half < 2; half++) {
        uint16_t *to = row_at(c, (uint16_t *)c.out, c.ldo, row + (size_t)(8 * half));
        if (!to)
            continue;
        UNROLLED
        for (int tile = 0; tile < WIDTH / 8; tile++)
            UNROLLED
            for (int i = 0; i < 2; i++) {
                int d = 8 * tile + lane % 4 * 2 + i;
                if (d < c.head_dim)
                    to[d] = output<T>(sums.out[tile][2 * half + i], sums.sum[half]);
            }
    }
}

template <int WIDTH>
static __device__ void store_parts(const attention_call &c, const half_sums<WIDTH> &sums, size_t span, size_t row)
{
    int lane = (int)threadIdx.x % WARP;
    UNROLLED
    for (int half = 0; half < 2; half++) {
        if (row + (size_t)(8 * half) >= all_rows(c))
            continue;
        float *part = part_at(c, span, row + (size_t)(8 * half));
        part[PART_MOST] = sums.most[half]; /* of four lanes each */
        part[PART_SUM] = sums.sum[half];
        UNROLLED
        for (int tile = 0; tile < WIDTH / 8; tile++)
            UNROLLED
            for (int i = 0; i < 2; i++) {
                int d = 8 * tile + lane % 4 * 2 + i;
                if (d < c.head_dim)
                    part[PART_HEAD + d] = sums.out[tile][2 * half + i];
            }
    }
}

/* Warp w has rows 16 w.. of the block. ALL: through all spans. Three blocks to a multiprocessor: what was summed in spans before may lie in
 * local memory meanwhile, it is touched once in a span. */
template <class T, int WIDTH, bool ALL>
static __global__ void __launch_bounds__(HALF_THREADS, WIDTH > 128 ? 1 : 3) attend_half(attention_call call)
{
    const attention_call c = at_this_time(call);
    uint16_t *queries = (uint16_t *)shared_memory(), *keys = queries + HALF_ROWS * (WIDTH + 8);
    half_tiles tiles = {queries, keys, keys + HALF_KEYS * (WIDTH + 8)};
    size_t block = blockIdx.x % c.row_blocks * HALF_ROWS, span = blockIdx.x / c.row_blocks, end = block_keys(c, block, HALF_ROWS);
    size_t row = block + (size_t)(threadIdx.x / WARP * 16 + threadIdx.x % WARP / 4);
    const size_t visible[2] = {visible_keys(c, row / (size_t)c.group), visible_keys(c, (row + 8) / (size_t)c.group)};
    half_sums<WIDTH> sums, all;
    if (span * ATTENTION_SPAN >= end)
        return;
    load_queries(c, queries, WIDTH + 8, block, HALF_ROWS, WIDTH);
    if (ALL) {
        clear(&all);
        ROLLED
        for (; span * ATTENTION_SPAN < end; span++) {
            sum_span<T, WIDTH>(c, tiles, visible, span, end, &sums);
            join_sums<T, WIDTH>(&all, sums);
        }
        store_rows<T, WIDTH>(c, all, row);
    } else {
        sum_span<T, WIDTH>(c, tiles, visible, span, end, &sums);
        if (c.parts)
            store_parts<WIDTH>(c, sums, span, row);
        else
            store_rows<T, WIDTH>(c, sums, row);
    }
}

/* ---- f32 ----------------------------------------------------------------------------------------------------------------- */

enum { F32_ROWS = 32, F32_KEYS = 32, F32_THREADS = 128, WARP_ROWS = F32_ROWS / (F32_THREADS / WARP) };

/* `rows` rows of keys or values from position `first`, `width` wide with zeros past head_dim, to shared memory; zeros past n_keys. */
static __device__ void load_keys(const attention_call &c, float *to, int stride, const void *cache, size_t first, int rows, int width)
{
    const float *from = (const float *)cache + (blockIdx.y * c.capacity + first) * (size_t)c.padded;
    for (int i = (int)threadIdx.x; i < rows * width; i += (int)blockDim.x) {
        int row = i / width, d = i % width;
        to[row * stride + d] = first + (size_t)row < c.n_keys && d < c.padded ? from[(size_t)row * (size_t)c.padded + (size_t)d] : 0.0f;
    }
}

static __device__ float dot(const float *a, const float *b, int n)
{
    float sum = 0;
    ROLLED
    for (int d = 0; d < n; d++)
        sum = fmaf(a[d], b[d], sum);
    return sum;
}

/* Of a warp's rows, over some keys; `out` of a lane's columns. */
template <int WIDTH>
struct f32_sums {
    float most[WARP_ROWS], sum[WARP_ROWS], out[WARP_ROWS][WIDTH / WARP];
};

template <int WIDTH>
static __device__ void clear(f32_sums<WIDTH> *sums)
{
    for (int r = 0; r < WARP_ROWS; r++) {
        sums->most[r] = -INFINITY;
        sums->sum[r] = 0;
        for (int part = 0; part < WIDTH / WARP; part++)
            sums->out[r][part] = 0;
    }
}

struct f32_tiles { float *queries, *keys, *values, *weights; }; /* weights [F32_ROWS][F32_KEYS] */

/* Weights of the block's keys for the warp's rows, a key in a lane. `block`: the first row. */
template <int WIDTH>
static __device__ void weigh_keys(const attention_call &c, const f32_tiles &tiles, size_t block, size_t first, f32_sums<WIDTH> *sums)
{
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    size_t key = first + (size_t)lane;
    for (int r = 0; r < WARP_ROWS; r++) {
        int at = warp * WARP_ROWS + r;
        float score = __fmul_rn(dot(tiles.queries + at * (WIDTH + 1), tiles.keys + lane * (WIDTH + 1), c.head_dim), c.scale);
        if (c.bias && key < c.n_keys)
            score += c.bias[key];
        if (key >= visible_keys(c, (block + (size_t)at) / (size_t)c.group))
            score = -INFINITY;
        float now = fmaxf(sums->most[r], warp_max(score)), base = now == -INFINITY ? 0.0f : now, weight = expf(score - base);
        float shrink = expf(sums->most[r] - base);
        tiles.weights[at * F32_KEYS + lane] = weight;
        sums->sum[r] = fmaf(sums->sum[r], shrink, warp_sum(weight));
        sums->most[r] = now;
        for (int part = 0; part < WIDTH / WARP; part++)
            sums->out[r][part] *= shrink;
    }
}

/* A warp's rows over one span. */
template <int WIDTH>
static __device__ void sum_span(const attention_call &c, const f32_tiles &tiles, size_t block, size_t span, size_t end, f32_sums<WIDTH> *sums)
{
    int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    size_t past = (span + 1) * ATTENTION_SPAN < end ? (span + 1) * ATTENTION_SPAN : end;
    clear(sums);
    ROLLED
    for (size_t first = span * ATTENTION_SPAN; first < past; first += F32_KEYS) {
        __syncthreads();
        load_keys(c, tiles.keys, WIDTH + 1, c.keys, first, F32_KEYS, WIDTH);
        load_keys(c, tiles.values, WIDTH + 1, c.values, first, F32_KEYS, WIDTH);
        __syncthreads();
        weigh_keys(c, tiles, block, first, sums);
        __syncwarp();
        for (int r = 0; r < WARP_ROWS; r++)
            ROLLED
            for (int key = 0; key < F32_KEYS; key++)
                for (int part = 0; part < WIDTH / WARP; part++)
                    sums->out[r][part] = fmaf(tiles.weights[(warp * WARP_ROWS + r) * F32_KEYS + key],
                                              tiles.values[key * (WIDTH + 1) + part * WARP + lane], sums->out[r][part]);
    }
}

template <int WIDTH>
static __device__ void join_sums(f32_sums<WIDTH> *so_far, const f32_sums<WIDTH> &span)
{
    for (int r = 0; r < WARP_ROWS; r++) {
        shares by = join_maxima<as_f32>(&so_far->most[r], span.most[r]);
        so_far->sum[r] = join(so_far->sum[r], span.sum[r], by);
        for (int part = 0; part < WIDTH / WARP; part++)
            so_far->out[r][part] = join(so_far->out[r][part], span.out[r][part], by);
    }
}

/* Of the warp's row `r`, which is row `row` of all. */
template <int WIDTH>
static __device__ void store_row(const attention_call &c, const f32_sums<WIDTH> &sums, int r, size_t row)
{
    int lane = (int)threadIdx.x % WARP;
    float *to = row_at(c, (float *)c.out, c.ldo, row);
    for (int part = 0; to && part < WIDTH / WARP; part++)
        if (part * WARP + lane < c.head_dim)
            to[part * WARP + lane] = output<as_f32>(sums.out[r][part], sums.sum[r]);
}

template <int WIDTH>
static __device__ void store_part(const attention_call &c, const f32_sums<WIDTH> &sums, int r, size_t span, size_t row)
{
    int lane = (int)threadIdx.x % WARP;
    if (row >= all_rows(c))
        return;
    float *to = part_at(c, span, row);
    to[PART_MOST] = sums.most[r]; /* of all lanes */
    to[PART_SUM] = sums.sum[r];
    for (int part = 0; part < WIDTH / WARP; part++)
        if (part * WARP + lane < c.head_dim)
            to[PART_HEAD + part * WARP + lane] = sums.out[r][part];
}

/* Warp w has rows 8 w.. of the block; its lanes are keys while it scores, and columns of the output while it sums. ALL: through all spans. */
template <int WIDTH, bool ALL>
static __global__ void attend_f32(attention_call call)
{
    const attention_call c = at_this_time(call);
    float *queries = (float *)shared_memory(), *keys = queries + F32_ROWS * (WIDTH + 1), *values = keys + F32_KEYS * (WIDTH + 1);
    f32_tiles tiles = {queries, keys, values, values + F32_KEYS * (WIDTH + 1)};
    size_t block = blockIdx.x % c.row_blocks * F32_ROWS, span = blockIdx.x / c.row_blocks, end = block_keys(c, block, F32_ROWS);
    size_t row = block + threadIdx.x / WARP * WARP_ROWS;
    f32_sums<WIDTH> sums, all;
    if (span * ATTENTION_SPAN >= end)
        return;
    load_queries(c, queries, WIDTH + 1, block, F32_ROWS, WIDTH);
    if (ALL) {
        clear(&all);
        ROLLED
        for (; span * ATTENTION_SPAN < end; span++) {
            sum_span(c, tiles, block, span, end, &sums);
            join_sums(&all, sums);
        }
    } else {
        sum_span(c, tiles, block, span, end, &sums);
    }
    for (int r = 0; r < WARP_ROWS; r++)
        if (!ALL && c.parts)
            store_part(c, sums, r, span, row + (size_t)r);
        else
            store_row(c, ALL ? all : sums, r, row + (size_t)r);
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
    attention_call c = {};
    c.n = a->n, c.first = a->first, c.n_keys = a->n_keys, c.causal = a->causal;
    c.kv_heads = kv->kv_heads, c.group = a->heads / kv->kv_heads, c.head_dim = kv->head_dim, c.padded = (int)kv_padded(kv);
    c.capacity = kv->capacity, c.scale = a->scale, c.sequences = kv_sequences(kv);
    c.q = a->q, c.ldq = a->ldq, c.keys = kv->keys, c.values = kv->values, c.bias = a->bias, c.out = a->out, c.ldo = a->ldo;
    c.spans = 1;
    c.shift = device_shift();
    return c;
}

/* Whether each span gets a block: where there is one alone, and for few rows, whose spans are joined then. A recording is laid out for all
 * keys that the cache can hold. */
static bool split_spans(attention_call *c, const struct attention *a)
{
    size_t spans = blocks_for(c->shift ? c->capacity : c->n_keys, ATTENTION_SPAN);
    if (spans > 1 && a->n * (size_t)a->heads * c->sequences > ATTENTION_SPLIT)
        return false;
    c->spans = spans;
    if (spans > 1)
        c->parts = (float *)a->scratch;
    return true;
}

static size_t y_blocks(const attention_call &c)
{
    return (size_t)c.kv_heads * c.sequences;
}

template <class T, int WIDTH>
static void attend_half_as(attention_call c, bool split)
{
    size_t shared = (HALF_ROWS + 2 * HALF_KEYS) * (WIDTH + 8) * sizeof(uint16_t);
    c.row_blocks = blocks_for(c.n * (size_t)c.group, HALF_ROWS);
    launch(split ? attend_half<T, WIDTH, false> : attend_half<T, WIDTH, true>, "attention", c.row_blocks * c.spans, y_blocks(c), HALF_THREADS, shared, c);
}

template <class T>
static void attend_in_half(const attention_call &c, bool split)
{
    if (c.head_dim <= 32)
        attend_half_as<T, 32>(c, split);
    else if (c.head_dim <= 64)
        attend_half_as<T, 64>(c, split);
    else if (c.head_dim <= 80)
        attend_half_as<T, 80>(c, split);
    else if (c.head_dim <= 128)
        attend_half_as<T, 128>(c, split);
    else
        attend_half_as<T, 256>(c, split);
}

template <int WIDTH>
static void attend_f32_as(attention_call c, bool split)
{
    size_t shared = ((F32_ROWS + 2 * F32_KEYS) * (WIDTH + 1) + F32_ROWS * F32_KEYS) * sizeof(float);
    c.row_blocks = blocks_for(c.n * (size_t)c.group, F32_ROWS);
    launch(split ? attend_f32<WIDTH, false> : attend_f32<WIDTH, true>, "attention", c.row_blocks * c.spans, y_blocks(c), F32_THREADS, shared, c);
}

static void attend_in_f32(const attention_call &c, bool split)
{
    if (c.head_dim <= 32)
        attend_f32_as<32>(c, split);
    else if (c.head_dim <= 64)
        attend_f32_as<64>(c, split);
    else if (c.head_dim <= 96)
        attend_f32_as<96>(c, split);
    else if (c.head_dim <= 128)
        attend_f32_as<128>(c, split);
    else
        attend_f32_as<256>(c, split);
}

void cuda_attention(const struct attention *a, int threads)
{
    (void)threads;
    attention_call c = call_of(a);
    bool split = split_spans(&c, a);
    if (a->kv->dtype == DTYPE_F32)
        attend_in_f32(c, split);
    else if (a->kv->dtype == DTYPE_BF16)
        attend_in_half<as_bf16>(c, split);
    else
        attend_in_half<as_f16>(c, split);
    if (c.parts)
        WITH_DTYPE(a->kv->dtype, launch(join_spans<T>, "attention's spans", c.n * (size_t)c.group, y_blocks(c), JOIN_THREADS, 0, c));
}

void cuda_attention_weights(const struct attention *a, float *weights, int threads)
{
    (void)threads;
    attention_call c = call_of(a);
    c.weights = weights;
    size_t rows = a->n * (size_t)a->heads;
    WITH_DTYPE(a->kv->dtype, launch(weigh_all<T>, "attention's weights", rows, 1, WEIGHT_THREADS, WEIGHT_THREADS / WARP * sizeof(float), c));
}
