/* Rows beside rows, to the bit of core/similarity.h: products of pairs and of blocks, the choice by max-min distance, and sums in double.
 * Nothing here is fused: every product and every sum is rounded by itself, in the order of lanes that the header spells out. */
#include "engine/kernels/cuda/kernel.cuh"

enum { LANES = 16 };

/* The sum over lanes from four of them: sum + ((0 + 4) + (8 + 12)), then that of 1, 2, 3. */
static __device__ float add_lanes(float sum, const float *lane)
{
    UNROLLED
    for (int k = 0; k < 4; k++)
        sum = __fadd_rn(sum, __fadd_rn(__fadd_rn(lane[k], lane[k + 4]), __fadd_rn(lane[k + 8], lane[k + 12])));
    return sum;
}

/* ---- pairs --------------------------------------------------------------------------------------------------------------- */

enum { PAIR_THREADS = 256, PAIRS = PAIR_THREADS / LANES }; /* a pair of rows takes half a warp */

static __device__ float rounded(float value)
{
    return as_bf16::load(as_bf16::store(value));
}

/* By the 16 threads of a half warp, all of whose warp take part; the first of them has the product. */
template <class T>
static __device__ float half_warp_dot(const set_row<T> &a, const set_row<T> &b, size_t D, bool round)
{
    size_t whole = D / LANES * LANES;
    float lane = 0, sum = 0;
    for (size_t d = threadIdx.x % LANES; d < whole; d += LANES)
        lane = __fadd_rn(lane, round ? __fmul_rn(rounded(a.load(d)), rounded(b.load(d))) : __fmul_rn(a.load(d), b.load(d)));
    for (size_t d = whole; d < D; d++)
        sum = __fadd_rn(sum, round ? __fmul_rn(rounded(a.load(d)), rounded(b.load(d))) : __fmul_rn(a.load(d), b.load(d)));
    lane = __fadd_rn(lane, __shfl_xor_sync(0xffffffffu, lane, 4));
    lane = __fadd_rn(lane, __shfl_xor_sync(0xffffffffu, lane, 8));
    sum = __fadd_rn(sum, lane);
    for (int next = 1; next < 4; next++)
        sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, lane, next));
    return sum;
}

struct dots_call {
    size_t n, D;
    const struct row_pair *pairs;
    struct row_set rows;
    bool rounded;
    float *out;
};

/* Half warps past the last pair repeat it, so that exchanges have whole warps. */
template <class T>
static __global__ void dot_pairs(dots_call c)
{
    size_t i = (size_t)blockIdx.x * PAIRS + threadIdx.x / LANES, at = i < c.n ? i : c.n - 1;
    float sum = half_warp_dot(row_of<T>(c.rows, c.pairs[at].a, c.D), row_of<T>(c.rows, c.pairs[at].b, c.D), c.D, c.rounded);
    if (threadIdx.x % LANES == 0 && i < c.n)
        c.out[i] = sum;
}

bool cuda_dots(const struct dots *dots)
{
    size_t bytes = dots->n * sizeof(float);
    struct row_pair *pairs = (struct row_pair *)device_bring(dots->pairs, dots->n * sizeof *pairs);
    float *out = (float *)memory_cuda.take(bytes);
    dots_call c = {dots->n, dots->D, pairs, dots->rows, dots->rounded, out};
    bool enough = pairs && out;
    if (enough) {
        WITH_DTYPE(dots->rows.dtype, launch(dot_pairs<T>, "dots", blocks_for(dots->n, PAIRS), 1, PAIR_THREADS, 0, c));
        memory_cuda.get(dots->out, out, bytes);
    }
    device_drop(pairs);
    memory_cuda.release(out);
    return enough;
}

/* ---- blocks -------------------------------------------------------------------------------------------------------------- */

/* A block of threads makes TILE x TILE values, each of its 16 x 16 threads four of them, with their lanes in registers. Strips of both
 * rows go through shared memory, in f32; their stride spreads the rows that a warp reads over all banks. */
enum { TILE = 32, SIDE = 16, STRIP = 64, STRIDE = STRIP + 4, TILE_THREADS = SIDE * SIDE, TILE_BYTES = 2 * TILE * STRIDE * sizeof(float) };

struct alignas(16) four { float v[4]; };

struct product {
    static __device__ float of(float a, float b) { return __fmul_rn(a, b); }
};

struct apart {
    static __device__ float of(float a, float b) { return __fmul_rn(__fadd_rn(a, -b), __fadd_rn(a, -b)); }
};

/* Rows list[first + i] of a set, or first + i without a list; past the n-th the last one again. */
struct tile_rows {
    const uint32_t *list;
    size_t first, n;
    __device__ size_t row(size_t i) const
    {
        size_t at = first + i < n ? first + i : n - 1;
        return list ? list[at] : at;
    }
};

template <class T>
static __device__ void load_strip(const struct row_set &rows, const tile_rows &tile, size_t D, size_t begin, size_t end, float *strip)
{
    for (int i = (int)threadIdx.x; i < TILE * STRIP; i += TILE_THREADS) {
        size_t d = begin + (size_t)(i % STRIP);
        strip[i / STRIP * STRIDE + i % STRIP] = d < end ? row_of<T>(rows, tile.row((size_t)(i / STRIP)), D).load(d) : 0.0f;
    }
}

/* Adds a strip's terms to the lanes: rows a + 0 and a + 1 with rows b + 0 and b + 1, SIDE apart. */
template <class Term>
static __device__ void add_strip(const float *a, const float *b, float lane[2][2][LANES])
{
    for (int k = 0; k < STRIP; k += LANES) {
        UNROLLED
        for (int quad = 0; quad < LANES; quad += 4) {
            const four x[2] = {*(const four *)(a + k + quad), *(const four *)(a + SIDE * STRIDE + k + quad)};
            const four y[2] = {*(const four *)(b + k + quad), *(const four *)(b + SIDE * STRIDE + k + quad)};
            UNROLLED
            for (int i = 0; i < 4; i++)
                UNROLLED
                for (int l = 0; l < 4; l++)
                    lane[i / 2][i % 2][quad + l] = __fadd_rn(lane[i / 2][i % 2][quad + l], Term::of(x[i / 2].v[l], y[i % 2].v[l]));
        }
    }
}

/* The values of rows y and y + SIDE of tile a with rows x and x + SIDE of tile b, x and y being the thread's place. What a strip has past
 * the last whole sixteen is zero, which changes no lane; the rest of the rows is a sum of its own. */
template <class T, class Term>
static __device__ void tile_values(const struct row_set &rows, const tile_rows &a, const tile_rows &b, size_t D, float *room, float value[2][2])
{
    size_t whole = D / LANES * LANES, x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    float lane[2][2][LANES] = {}, *strip_a = room, *strip_b = room + TILE * STRIDE;
    for (size_t begin = 0; begin < whole; begin += STRIP) {
        __syncthreads(); /* the last strip has been read */
        load_strip<T>(rows, a, D, begin, whole, strip_a);
        load_strip<T>(rows, b, D, begin, whole, strip_b);
        __syncthreads();
        add_strip<Term>(strip_a + y * STRIDE, strip_b + x * STRIDE, lane);
    }
    UNROLLED
    for (int i = 0; i < 4; i++) {
        set_row<T> row_a = row_of<T>(rows, a.row(y + (size_t)(i / 2) * SIDE), D), row_b = row_of<T>(rows, b.row(x + (size_t)(i % 2) * SIDE), D);
        float sum = 0;
        for (size_t d = whole; d < D; d++)
            sum = __fadd_rn(sum, Term::of(row_a.load(d), row_b.load(d)));
        value[i / 2][i % 2] = add_lanes(sum, lane[i / 2][i % 2]);
    }
}

struct block_call {
    const uint32_t *a, *b;
    size_t n_a, n_b, D;
    struct row_set rows;
    float *out;
};

template <class T, class Term>
static __global__ void block_values(block_call c)
{
    tile_rows a = {c.a, (size_t)blockIdx.y * TILE, c.n_a}, b = {c.b, (size_t)blockIdx.x * TILE, c.n_b};
    float value[2][2];
    tile_values<T, Term>(c.rows, a, b, c.D, (float *)shared_memory(), value);
    for (int k = 0; k < 4; k++) {
        size_t i = a.first + threadIdx.x / SIDE + (size_t)(k / 2) * SIDE, j = b.first + threadIdx.x % SIDE + (size_t)(k % 2) * SIDE;
        if (i < c.n_a && j < c.n_b)
            c.out[i * c.n_b + j] = value[k / 2][k % 2];
    }
}

template <class Term>
static void launch_block(const block_call &c)
{
    WITH_DTYPE(c.rows.dtype,
               launch(block_values<T, Term>, "block", blocks_for(c.n_b, TILE), blocks_for(c.n_a, TILE), TILE_THREADS, TILE_BYTES, c));
}

/* Rows of a go in pieces, so that what waits for the host is a few MiB. */
bool cuda_block(const struct block *block)
{
    enum { PIECE_VALUES = 1 << 20 };
    size_t tiles = PIECE_VALUES / block->n_b / TILE, n_piece = (tiles ? tiles : 1) * TILE;
    n_piece = n_piece < block->n_a ? n_piece : block->n_a;
    uint32_t *a = (uint32_t *)device_bring(block->a, block->n_a * sizeof *a), *b = (uint32_t *)device_bring(block->b, block->n_b * sizeof *b);
    float *out = (float *)memory_cuda.take(n_piece * block->n_b * sizeof *out);
    bool enough = a && b && out;
    for (size_t first = 0; first < block->n_a && enough; first += n_piece) {
        size_t n = n_piece < block->n_a - first ? n_piece : block->n_a - first;
        block_call c = {a + first, b, n, block->n_b, block->D, block->rows, out};
        if (block->term == SIM_PRODUCT)
            launch_block<product>(c);
        else
            launch_block<apart>(c);
        memory_cuda.get(block->out + first * block->n_b, out, n * block->n_b * sizeof *out);
    }
    device_drop(a);
    device_drop(b);
    memory_cuda.release(out);
    return enough;
}

/* ---- the choice ---------------------------------------------------------------------------------------------------------- */

/* One launch a round. Each block rates its own rows and leaves the best of them; the next launch begins with the best of these. */
enum { ROUNDS_EACH = 8, ROWS_EACH = PAIRS * ROUNDS_EACH };

struct candidate { float score; uint32_t row; };

struct choice_call {
    size_t n, D;
    const float *rows, *weight; /* weight: or NULL */
    float *nearest;             /* [n] distance to the nearest other, and from the first round on to the nearest chosen */
    uint8_t *chosen;            /* [n] */
    int round;                  /* -1: nothing is chosen yet */
    const candidate *before;    /* [blocks] of the launch before */
    candidate *best;            /* [blocks] */
};

static __global__ void nearest_others(choice_call c)
{
    struct row_set rows = {c.rows, DTYPE_F32, c.n, NULL};
    tile_rows a = {NULL, (size_t)blockIdx.x * TILE, c.n}, b = {NULL, 0, c.n};
    float least[2] = {INFINITY, INFINITY}, value[2][2];
    for (; b.first < c.n; b.first += TILE) {
        tile_values<as_f32, product>(rows, a, b, c.D, (float *)shared_memory(), value);
        for (int k = 0; k < 4; k++) {
            size_t i = a.first + threadIdx.x / SIDE + (size_t)(k / 2) * SIDE, j = b.first + threadIdx.x % SIDE + (size_t)(k % 2) * SIDE;
            if (i != j && j < c.n)
                least[k / 2] = fminf(least[k / 2], __fadd_rn(1.0f, -value[k / 2][k % 2]));
        }
    }
    for (int k = 0; k < 2; k++) {
        size_t i = a.first + threadIdx.x / SIDE + (size_t)k * SIDE;
        for (int apart = 1; apart < SIDE; apart *= 2)
            least[k] = fminf(least[k], __shfl_xor_sync(0xffffffffu, least[k], apart));
        if (threadIdx.x % SIDE == 0 && i < c.n)
            c.nearest[i] = c.n > 1 ? least[k] : 1.0f;
    }
}

/* Larger scores first, equal ones by row; NaN is less than all. */
static __device__ bool goes_before(const candidate &a, const candidate &b)
{
    bool nan_a = a.score != a.score, nan_b = b.score != b.score;
    if (nan_a != nan_b)
        return nan_b;
    return !nan_a && a.score != b.score ? a.score > b.score : a.row < b.row;
}

/* The best of all threads' candidates, in every thread. */
static __device__ candidate block_best(candidate own, candidate *room)
{
    __syncthreads(); /* room may still be read from the last time */
    room[threadIdx.x] = own;
    for (int n = PAIR_THREADS / 2; n; n /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < n && goes_before(room[threadIdx.x + n], room[threadIdx.x]))
            room[threadIdx.x] = room[threadIdx.x + n];
    }
    __syncthreads();
    return room[0];
}

static __device__ candidate nobody(void)
{
    candidate none = {NAN, UINT32_MAX};
    return none;
}

static __device__ candidate last_best(const choice_call &c, size_t blocks, candidate *room)
{
    candidate best = nobody();
    for (size_t i = threadIdx.x; i < blocks; i += PAIR_THREADS)
        best = goes_before(c.before[i], best) ? c.before[i] : best;
    return block_best(best, room);
}

/* What a row is worth after this round's pick, by the first thread of its half warp. */
static __device__ candidate rate(const choice_call &c, size_t row, size_t pick, float dot)
{
    float distance = __fadd_rn(1.0f, -dot), nearest = c.nearest[row];
    if (c.round >= 0) {
        nearest = c.round ? fminf(nearest, distance) : distance;
        c.nearest[row] = nearest;
        if (row == pick)
            c.chosen[row] = 1;
    }
    candidate rated = {c.chosen[row] ? -INFINITY : c.weight ? __fmul_rn(nearest, c.weight[row]) : nearest, (uint32_t)row};
    return rated;
}

static __global__ void choose_round(choice_call c)
{
    candidate *room = (candidate *)shared_memory(), best = nobody();
    size_t pick = c.round < 0 ? 0 : last_best(c, (c.n + ROWS_EACH - 1) / ROWS_EACH, room).row;
    set_row<as_f32> picked = {NULL, c.rows + pick * c.D};
    for (int k = 0; k < ROUNDS_EACH; k++) {
        size_t row = (size_t)blockIdx.x * ROWS_EACH + (size_t)k * PAIRS + threadIdx.x / LANES, at = row < c.n ? row : c.n - 1;
        set_row<as_f32> own = {NULL, c.rows + at * c.D};
        float dot = c.round < 0 ? 0 : half_warp_dot(picked, own, c.D, false);
        if (threadIdx.x % LANES || row >= c.n)
            continue;
        candidate rated = rate(c, row, pick, dot);
        best = goes_before(rated, best) ? rated : best;
    }
    best = block_best(best, room);
    if (threadIdx.x == 0)
        c.best[blockIdx.x] = best;
}

/* Picks are made on the card, one launch after the other; the host waits for the last. */
static void choose_rounds(choice_call c, size_t k, candidate *best)
{
    size_t blocks = blocks_for(c.n, ROWS_EACH);
    launch(nearest_others, "the choice of tokens", blocks_for(c.n, TILE), 1, TILE_THREADS, TILE_BYTES, c);
    for (size_t round = 0; round <= k; round++) {
        c.round = (int)round - 1;
        c.before = best + (round + 1) % 2 * blocks;
        c.best = best + round % 2 * blocks;
        launch(choose_round, "the choice of tokens", blocks, 1, PAIR_THREADS, PAIR_THREADS * sizeof *best, c);
    }
}

bool cuda_choose(const struct picks *picks)
{
    size_t n = picks->n, blocks = blocks_for(n, ROWS_EACH), found = 0;
    float *weight = picks->weight ? (float *)device_bring(picks->weight, n * sizeof *weight) : NULL;
    float *nearest = (float *)memory_cuda.take(n * sizeof *nearest);
    uint8_t *chosen = (uint8_t *)memory_cuda.take(n), *marked = (uint8_t *)malloc(n);
    candidate *best = (candidate *)memory_cuda.take(2 * blocks * sizeof *best);
    bool enough = (weight || !picks->weight) && nearest && chosen && marked && best;
    choice_call c = {n, picks->D, picks->rows, weight, nearest, chosen, 0, NULL, NULL};
    if (enough) {
        choose_rounds(c, picks->k, best);
        memory_cuda.get(marked, chosen, n);
    }
    for (size_t i = 0; i < n && enough; i++)
        if (marked[i])
            picks->out[found++] = (uint32_t)i;
    free(marked);
    device_drop(weight);
    memory_cuda.release(nearest);
    memory_cuda.release(chosen);
    memory_cuda.release(best);
    return enough;
}

/* ---- sums in double ------------------------------------------------------------------------------------------------------ */

struct wide_call {
    size_t D;
    const uint32_t *begin, *src;
    const double *scale;
    struct row_set rows;
    double *out;
};

template <class T>
static __global__ void wide_values(wide_call c)
{
    size_t d = (size_t)blockIdx.y * PAIR_THREADS + threadIdx.x;
    double sum = 0;
    if (d >= c.D)
        return;
    for (uint32_t i = c.begin[blockIdx.x]; i < c.begin[blockIdx.x + 1]; i++)
        sum = __dadd_rn(sum, __dmul_rn((double)row_of<T>(c.rows, c.src[i], c.D).load(d), c.scale[i]));
    c.out[(size_t)blockIdx.x * c.D + d] = sum;
}

bool cuda_wide_sums(const struct wide_sums *sums)
{
    size_t n = sums->begin[sums->n], bytes = sums->n * sums->D * sizeof(double);
    uint32_t *begin = (uint32_t *)device_bring(sums->begin, (sums->n + 1) * sizeof *begin);
    uint32_t *src = (uint32_t *)device_bring(sums->src, n * sizeof *src);
    double *scale = (double *)device_bring(sums->scale, n * sizeof *scale), *out = (double *)memory_cuda.take(bytes);
    wide_call c = {sums->D, begin, src, scale, sums->rows, out};
    bool enough = begin && src && scale && out;
    if (enough) {
        WITH_DTYPE(sums->rows.dtype,
                   launch(wide_values<T>, "wide_sums", sums->n, blocks_for(sums->D, PAIR_THREADS), PAIR_THREADS, 0, c));
        memory_cuda.get(sums->out, out, bytes);
    }
    device_drop(begin);
    device_drop(src);
    device_drop(scale);
    memory_cuda.release(out);
    return enough;
}
