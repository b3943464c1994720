/* The table for CUDA cards, slot by slot against ref, in f32, bf16 and f16, over ragged sizes; and the same bits for any batch. Runs on the
 * first card, or, built with tests/emulated, on the emulated one, which has own kernels only: what cuBLASLt computes is held against them
 * where there is a card. */
#include "tests/kernels/check.h"

#include "engine/kernels/cuda/cards.h"
#include "engine/kernels/layout.h"

static const struct kernels *card, *ref;
static bool emulated;
static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* ---- the card's memory --------------------------------------------------------------------------------------------------- */

static void *up(const void *host, size_t bytes)
{
    void *tensor = card->memory->take(bytes);
    assert_non_null(tensor);
    card->memory->put(tensor, host, bytes);
    return tensor;
}

static void settle(void)
{
    struct err err;
    if (card->memory->settle(&err))
        fail_msg("%s", err.text);
}

/* Copies a tensor back over `host`, and lets it go. */
static void down(void *host, void *tensor, size_t bytes)
{
    card->memory->get(host, tensor, bytes);
    card->memory->release(tensor);
    settle();
}

static void drop(const void *tensor)
{
    card->memory->release((void *)(uintptr_t)tensor);
}

static void test_memory(void **state)
{
    (void)state;
    const struct memory *memory = card->memory;
    enum { N = 1000 };
    char from[N], to[N] = {0}, zeros[N] = {0};
    for (int i = 0; i < N; i++)
        from[i] = (char)(i * 7);
    char *tensor = memory->take(N), *other = memory->take(N);
    assert_true((uintptr_t)tensor % 64 == 0);
    memory->get(to, tensor, N);
    assert_memory_equal(to, zeros, N);
    memory->put(tensor, from, N);
    memory->move(other, tensor + 1, N - 1);
    memory->get(to, other, N - 1);
    assert_memory_equal(to, from + 1, N - 1);
    memory->get_rows(to, tensor + 3, 100, 10, 9);
    for (int i = 0; i < 90; i++)
        assert_int_equal(to[i], from[3 + i / 10 * 100 + i % 10]);
    memory->release(tensor);
    memory->release(other);
    memory->release(NULL);
    assert_null(memory->take((size_t)1 << 46)); /* an answer, no fault */
    assert_true(memory->left() > 0);
    settle();
}

/* More than a thread's pinned memory holds, in one piece and in many, from memory that changes at once. */
static void test_copies(void **state)
{
    (void)state;
    enum { N = (18 << 20) + 13, PIECE = 5003 };
    unsigned char *host = check_alloc(N), *got = check_alloc(N), *tensor = card->memory->take(N), *pieces = card->memory->take(N), piece[PIECE];
    for (size_t i = 0; i < N; i++)
        host[i] = (unsigned char)(i * 2654435761u >> 24);
    card->memory->put(tensor, host, N);
    for (size_t first = 0, n; first < N; first += n) {
        n = N - first < PIECE ? N - first : PIECE;
        memcpy(piece, host + first, n);
        card->memory->put(pieces + first, piece, n);
        memset(piece, 0, n);
    }
    down(got, tensor, N);
    check_equal(got, host, N, "a copy in one piece");
    down(got, pieces, N);
    check_equal(got, host, N, "a copy in many");
    free(host), free(got);
}

/* What is recorded is not done; then it is, as often as it is repeated, with what lies in its tensors by then. */
static void test_recording(void **state)
{
    (void)state;
    enum { N = 5 };
    const struct memory *memory = card->memory;
    const float first[N] = {1, 2, 3, 4, 5}, second[N] = {6, 7, 8, 9, 10}, zeros[N] = {0};
    float got[N], *x = up(first, sizeof first), *y = memory->take(sizeof got), *z = memory->take(sizeof got);
    assert_true(memory->record());
    card->convert(1, N, x, N, y, N, DTYPE_F32, 1);
    memory->move(z, y, sizeof got);
    struct recording *recording = memory->recorded();
    assert_non_null(recording);
    memory->get(got, z, sizeof got);
    assert_memory_equal(got, zeros, sizeof got);
    memory->repeat(recording, 0);
    memory->get(got, z, sizeof got);
    assert_memory_equal(got, first, sizeof got);
    memory->put(x, second, sizeof second);
    memory->repeat(recording, 0);
    memory->get(got, z, sizeof got);
    assert_memory_equal(got, second, sizeof got);
    memory->forget(recording);
    memory->forget(NULL);
    drop(x), drop(y), drop(z);
    settle();
}

/* A row that is written to the cache at position 3 is written elsewhere when the recording is repeated there, and rotated as it stands there. */
static void test_recorded_positions(void **state)
{
    (void)state;
    enum { WIDTH = 16, N = 64, FROM = 3 };
    const struct memory *memory = card->memory;
    static const ptrdiff_t moves[] = {0, 40, -3};
    struct kv kv = {DTYPE_F32, 1, WIDTH, N, memory->take(N * WIDTH * sizeof(float)), memory->take(N * WIDTH * sizeof(float)), LAYOUT_ROWS, 1};
    float *row = check_floats(WIDTH, 1, "row"), *angles = check_floats(N * WIDTH / 2, 1, "angles"), *cache = check_alloc(N * WIDTH * sizeof *cache);
    float *there = up(row, WIDTH * sizeof *row), *turned = memory->take(WIDTH * sizeof *row), *tables = up(angles, N * WIDTH / 2 * sizeof *angles);
    assert_true(memory->record());
    memory->move(turned, there, WIDTH * sizeof *row);
    card->rope(1, 1, WIDTH, turned, WIDTH, tables, tables, FROM, 1);
    card->kv_write(&kv, FROM, 1, turned, there, WIDTH, 1);
    struct recording *recording = memory->recorded();
    assert_non_null(recording);
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        size_t at = (size_t)(FROM + moves[i]);
        float want[WIDTH];
        memory->repeat(recording, moves[i]);
        memory->get(cache, kv.values, N * WIDTH * sizeof *cache);
        assert_memory_equal(cache + at * WIDTH, row, sizeof want);
        memory->get(cache, kv.keys, N * WIDTH * sizeof *cache);
        memcpy(want, row, sizeof want);
        ref->rope(1, 1, WIDTH, want, WIDTH, angles, angles, at, 1);
        for (size_t j = 0; j < WIDTH; j++)
            check_near(cache[at * WIDTH + j], want[j], 3 * 8 * 0x1p-24, "a recorded rotation", at, j);
    }
    memory->forget(recording);
    drop(kv.keys), drop(kv.values), drop(there), drop(turned), drop(tables);
    free(row), free(angles), free(cache);
    settle();
}

/* What a recording cannot keep spoils it and nothing else. */
static void test_spoilt_recording(void **state)
{
    (void)state;
    const struct memory *memory = card->memory;
    const char bytes[8] = "toksweep";
    char got[8] = {0}, *tensor = memory->take(sizeof got);
    assert_true(memory->record());
    memory->put(tensor, bytes, sizeof bytes);
    assert_null(memory->recorded());
    assert_true(memory->record());
    assert_null(memory->take(100));
    assert_null(memory->recorded());
    memory->put(tensor, bytes, sizeof bytes);
    memory->get(got, tensor, sizeof got);
    assert_memory_equal(got, bytes, sizeof got);
    drop(tensor);
    settle();
}

/* ---- row-wise slots ------------------------------------------------------------------------------------------------------ */

struct rows { size_t n, D, ldx, ldy; float *x, *w, *b; };

static struct rows rows_make(size_t n, size_t D, uint64_t seed)
{
    struct rows r = {n, D, D + seed % 3, D + seed % 5, check_floats(n * (D + seed % 3), seed, "x"), check_floats(D, seed, "w"), check_floats(D, seed, "b")};
    return r;
}

static void rows_free(struct rows *r)
{
    free(r->x);
    free(r->w);
    free(r->b);
}

/* One unit in the last place of a 16-bit value that may be rounded the other way; nothing for f32. */
static double step_of(enum dtype dtype, double value)
{
    return dtype == DTYPE_F32 ? 0 : (dtype == DTYPE_BF16 ? 0x1p-7 : 0x1p-10) * fabs(value) + 0x1p-24;
}

static void compare_rows(const char *what, const struct rows *r, const void *got, const void *want, enum dtype out, double f32_bound, double steps)
{
    for (size_t i = 0; i < r->n; i++)
        for (size_t j = 0; j < r->ldy; j++) {
            double value = check_read(want, out, i * r->ldy + j), bound = j < r->D ? f32_bound * (fabs(value) + 1) + steps * step_of(out, value) : 0;
            check_near(check_read(got, out, i * r->ldy + j), value, bound, what, i, j);
        }
}

enum row_slot { LAYERNORM, RMSNORM, CONVERT, ROW_SLOTS };

static void call_row_slot(const struct kernels *k, enum row_slot slot, size_t n, const struct rows *r, const float *x, const float *w, const float *b,
                          void *y, enum dtype out)
{
    if (slot == LAYERNORM)
        k->layernorm(n, r->D, x, r->ldx, w, b, 1e-6f, y, r->ldy, out, 1);
    else if (slot == RMSNORM)
        k->rmsnorm(n, r->D, x, r->ldx, w, 1e-6f, y, r->ldy, out, 1);
    else
        k->convert(n, r->D, x, r->ldx, y, r->ldy, out, 1);
}

/* All rows in one call, then one by one: the same bits. */
static void check_row_slot(enum row_slot slot, const struct rows *r, enum dtype out)
{
    static const char *const names[] = {"layernorm", "rmsnorm", "convert"};
    size_t bytes = r->n * r->ldy * dtype_size(out);
    char *got = check_alloc(bytes), *want = check_alloc(bytes), *single = check_alloc(bytes);
    float *x = up(r->x, r->n * r->ldx * sizeof *x), *w = up(r->w, r->D * sizeof *w), *b = up(r->b, r->D * sizeof *b);
    char *y = up(got, bytes), *one = up(got, bytes);
    call_row_slot(card, slot, r->n, r, x, w, b, y, out);
    for (size_t i = 0; i < r->n; i++)
        call_row_slot(card, slot, 1, r, x + i * r->ldx, w, b, one + i * r->ldy * dtype_size(out), out);
    call_row_slot(ref, slot, r->n, r, r->x, r->w, r->b, want, out);
    down(got, y, bytes);
    down(single, one, bytes);
    check_equal(single, got, bytes, names[slot]);
    compare_rows(names[slot], r, got, want, out, slot == CONVERT ? 0 : 4e-6, slot == CONVERT ? 0 : 2);
    drop(x), drop(w), drop(b);
    free(got), free(want), free(single);
}

static void test_row_slots(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {3, 2}, {5, 127}, {4, 128}, {3, 129}, {2, 1152}, {33, 72}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int d = 0; d < DTYPES; d++)
            for (enum row_slot slot = LAYERNORM; slot < ROW_SLOTS; slot++) {
                struct rows r = rows_make(shapes[s][0], shapes[s][1], s);
                check_row_slot(slot, &r, dtypes[d]);
                rows_free(&r);
            }
}

/* By hand: 3 / sqrt(12.5) = 0.848528 is 0.84765625 in bf16, times 15 is 12.7148, which is 12.6875; rounded once, 12.7279 would be 12.75. */
static void test_rmsnorm_by_hand(void **state)
{
    (void)state;
    static const float x[2] = {3, 4}, w[2] = {15, 1};
    uint16_t y[2];
    float *from = up(x, sizeof x), *weights = up(w, sizeof w);
    uint16_t *to = card->memory->take(sizeof y);
    card->rmsnorm(1, 2, from, 2, weights, 0, to, 2, DTYPE_BF16, 1);
    down(y, to, sizeof y);
    check_near(f32_from_bf16(y[0]), 12.6875, 0, "rmsnorm", 0, 0);
    check_near(f32_from_bf16(y[1]), 1.1328125, 0, "rmsnorm", 0, 1);
    drop(from), drop(weights);
}

/* Ties, infinities, NaN, subnormals, the largest values. */
static void test_rounding(void **state)
{
    (void)state;
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
                                    0x00800000, 0x4b7fffff, 0x477fefff, 0x477ff000, 0x387fffff, 0x33000001, 0x33000000, 0x38801000, 0x3f801000, 0x3f803000,
                                    0x00000001, 0x80000001, 0xb3800000, 0x338fffff};
    enum { N = sizeof bits / sizeof *bits };
    for (int d = 1; d < DTYPES; d++) {
        float x[N];
        uint16_t got[N], want[N];
        memcpy(x, bits, sizeof x);
        float *from = up(x, sizeof x);
        uint16_t *to = card->memory->take(sizeof got);
        card->convert(1, N, from, N, to, N, dtypes[d], 1);
        down(got, to, sizeof got);
        drop(from);
        dtype_convert(want, dtypes[d], x, DTYPE_F32, N);
        for (size_t i = 0; i < N; i++)
            if (isnan(x[i]) ? !isnan(check_read(got, dtypes[d], i)) : got[i] != want[i])
                fail_msg("0x%08x becomes 0x%04x in %s, expected 0x%04x", bits[i], got[i], dtype_name(dtypes[d]), want[i]);
    }
}

static void test_rope(void **state)
{
    (void)state;
    static const struct { size_t n; int heads, hd; } shapes[] = {{1, 1, 2}, {7, 3, 16}, {5, 2, 72}, {3, 7, 128}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t n = shapes[s].n, D = (size_t)(shapes[s].heads * shapes[s].hd), ld = D + s, angles = (n + 4) * (size_t)shapes[s].hd / 2;
        float *x = check_floats(n * ld, s, "x"), *want = check_copy(x, n * ld * sizeof *x), *c = check_floats(angles, s, "cos"), *si = check_floats(angles, s, "sin");
        float *to = up(x, n * ld * sizeof *x), *cc = up(c, angles * sizeof *c), *ss = up(si, angles * sizeof *si);
        card->rope(n, shapes[s].heads, shapes[s].hd, to, ld, cc, ss, 3, 1);
        down(x, to, n * ld * sizeof *x);
        ref->rope(n, shapes[s].heads, shapes[s].hd, want, ld, c, si, 3, 1);
        for (size_t i = 0; i < n * ld; i++)
            check_near(x[i], want[i], 3 * 8 * 0x1p-24, "rope", s, i);
        drop(cc), drop(ss);
        free(x), free(want), free(c), free(si);
    }
}

/* ---- slots that give the same bits --------------------------------------------------------------------------------------- */

static void test_patches(void **state)
{
    (void)state;
    static const struct { int image, patch, side; } shapes[] = {{14, 14, 1}, {30, 7, 4}, {29, 14, 2}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int d = 0; d < DTYPES; d++) {
            size_t pixels = (size_t)(shapes[s].image * shapes[s].image) * 3, side = (size_t)shapes[s].side, patch = (size_t)shapes[s].patch;
            size_t bytes = side * side * 3 * patch * patch * dtype_size(dtypes[d]);
            uint8_t *rgb = check_alloc(pixels);
            for (size_t i = 0; i < pixels; i++)
                rgb[i] = (uint8_t)(i * 2654435761u >> 11);
            void *got = check_alloc(bytes), *want = check_alloc(bytes), *from = up(rgb, pixels), *to = card->memory->take(bytes);
            card->patches(from, shapes[s].image, shapes[s].patch, shapes[s].side, to, dtypes[d]);
            ref->patches(rgb, shapes[s].image, shapes[s].patch, shapes[s].side, want, dtypes[d]);
            down(got, to, bytes);
            check_equal(got, want, bytes, "patches");
            drop(from);
            free(rgb), free(got), free(want);
        }
}

static void test_pool(void **state)
{
    (void)state;
    for (enum pool_mode mode = POOL_NONE; mode <= POOL_MAX; mode++)
        for (int side = 3; side <= 7; side++)
            for (int stride = 2; stride <= 3; stride++) {
                enum { WIDTH = 19 };
                size_t n = (size_t)(side * side) * WIDTH, out = (size_t)(pool_side(mode, side, stride) * pool_side(mode, side, stride)) * WIDTH;
                float *in = check_floats(n, (uint64_t)side, "in"), *got = check_alloc(out * sizeof *got), *want = check_alloc(out * sizeof *want);
                float *from = up(in, n * sizeof *in), *to = card->memory->take(out * sizeof *to);
                card->pool(mode, stride, side, WIDTH, from, to);
                ref->pool(mode, stride, side, WIDTH, in, want);
                down(got, to, out * sizeof *got);
                check_equal(got, want, out * sizeof *got, pool_mode_name(mode));
                drop(from);
                free(in), free(got), free(want);
            }
}

/* Rows of a dtype with made ones behind them, on the host and on the card. */
struct sets { float *values, *made; void *rows; struct row_set host, there; };

static struct sets sets_make(size_t n, size_t n_made, size_t D, enum dtype dtype)
{
    struct sets s = {.values = check_floats(n * D, D, "rows"), .made = n_made ? check_floats(n_made * D, D, "made") : NULL};
    s.rows = check_act(s.values, n * D, dtype);
    s.host = (struct row_set){.rows = s.rows, .dtype = dtype, .n = n, .made = s.made};
    s.there = (struct row_set){.rows = up(s.rows, n * D * dtype_size(dtype)), .dtype = dtype, .n = n,
                               .made = n_made ? up(s.made, n_made * D * sizeof *s.made) : NULL};
    return s;
}

static void sets_free(struct sets *s)
{
    drop(s->there.rows), drop(s->there.made);
    free(s->values), free(s->made), free(s->rows);
}

static void test_merge(void **state)
{
    (void)state;
    enum { SOURCES = 9, MADE = 2, N = 6 };
    static const struct tap taps[] = {{3, 1}, {MERGE_FILL, 1}, {0, 0.5f}, {7, 0.25f}, {8, 0.3f}, {2, 2}, {10, 3}, {1, 3}, {9, 0.7f}};
    static const uint32_t begin[N + 1] = {0, 1, 2, 5, 5, 6, 9}; /* a copy, a fill, a sum, nothing, one tap that is no copy, made rows */
    for (size_t D = 1; D <= 300; D += 99)
        for (int d = 0; d < DTYPES; d++)
            for (int how = 0; how < 4; how++) {
                struct sets sets = sets_make(SOURCES, MADE, D, dtypes[d]);
                float *fill = check_floats(D, D, "fill"), *got = check_alloc(N * D * sizeof *got), *want = check_alloc(N * D * sizeof *want);
                struct merge merge = {.n = N, .D = D, .begin = begin, .taps = taps, .source = sets.host, .fill = fill, .divide = how / 2,
                                      .round_each = how % 2, .out = want};
                ref->merge(&merge);
                merge.source = sets.there;
                merge.fill = up(fill, D * sizeof *fill);
                merge.out = card->memory->take(N * D * sizeof *got);
                card->merge(&merge);
                down(got, merge.out, N * D * sizeof *got);
                check_equal(got, want, N * D * sizeof *got, "merge");
                drop(merge.fill);
                sets_free(&sets);
                free(fill), free(got), free(want);
            }
}

static void test_wide_sums(void **state)
{
    (void)state;
    enum { ROWS = 9, MADE = 1, N = 3, TERMS = 12 };
    static const uint32_t begin[N + 1] = {0, 5, 5, TERMS}, src[TERMS] = {0, 8, 3, 9, 3, 1, 2, 3, 4, 5, 6, 7};
    double scale[TERMS];
    for (int i = 0; i < TERMS; i++)
        scale[i] = 1 / (1 + 0.3 * i);
    for (size_t D = 1; D <= 300; D += 99)
        for (int d = 0; d < DTYPES; d++) {
            struct sets sets = sets_make(ROWS, MADE, D, dtypes[d]);
            double *got = check_alloc(N * D * sizeof *got), *want = check_alloc(N * D * sizeof *want);
            struct wide_sums sums = {.n = N, .D = D, .begin = begin, .src = src, .scale = scale, .rows = sets.host, .out = want};
            assert_true(ref->wide_sums(&sums));
            sums.rows = sets.there;
            sums.out = got;
            assert_true(card->wide_sums(&sums));
            settle();
            check_equal(got, want, N * D * sizeof *got, "wide_sums");
            sets_free(&sets);
            free(got), free(want);
        }
}

static const size_t compared_widths[] = {1, 15, 16, 17, 64, 160, 1153};

enum { COMPARED_WIDTHS = sizeof compared_widths / sizeof *compared_widths };

/* Lanes and what is left over, rounded or not. */
static void test_dots(void **state)
{
    (void)state;
    enum { ROWS = 9, MADE = 3, N = 37 };
    struct row_pair pairs[N];
    for (uint32_t i = 0; i < N; i++)
        pairs[i] = (struct row_pair){i % (ROWS + MADE), i * i % (ROWS + MADE)};
    for (size_t w = 0; w < COMPARED_WIDTHS; w++)
        for (int d = 0; d < DTYPES; d++)
            for (int rounded = 0; rounded < 2; rounded++) {
                float got[N], want[N];
                struct sets sets = sets_make(ROWS, MADE, compared_widths[w], dtypes[d]);
                struct dots dots = {.n = N, .D = compared_widths[w], .pairs = pairs, .rows = sets.host, .rounded = rounded, .out = want};
                assert_true(ref->dots(&dots));
                dots.rows = sets.there;
                dots.out = got;
                assert_true(card->dots(&dots));
                settle();
                check_equal(got, want, sizeof got, "dots");
                sets_free(&sets);
            }
}

/* Each value of `block` by itself. */
static void expect_block(const struct block *block)
{
    for (size_t i = 0; i < block->n_a; i++)
        for (size_t j = 0; j < block->n_b; j++) {
            const size_t at[2] = {block->a[i], block->b[j]};
            float rows[2][1153], value;
            for (int k = 0; k < 2; k++)
                for (size_t d = 0; d < block->D; d++)
                    rows[k][d] = at[k] < block->rows.n ? (float)check_read(block->rows.rows, block->rows.dtype, at[k] * block->D + d)
                                                       : block->rows.made[(at[k] - block->rows.n) * block->D + d];
            value = block->term == SIM_PRODUCT ? sim_dot(rows[0], rows[1], block->D) : sim_distance2(rows[0], rows[1], block->D);
            check_near(block->out[i * block->n_b + j], value, 0, "block", i, j);
        }
}

/* Products and distances of ragged lists, of one list with itself, and of more than fit what waits for the host at once. */
static void test_block(void **state)
{
    (void)state;
    enum { ROWS = 9, MADE = 3, MOST = 41 };
    uint32_t a[MOST], b[MOST];
    for (uint32_t i = 0; i < MOST; i++) {
        a[i] = i * i % (ROWS + MADE);
        b[i] = i * 5 % (ROWS + MADE);
    }
    for (int i = 0; i < COMPARED_WIDTHS * DTYPES * 2; i++) {
        size_t D = compared_widths[i / DTYPES / 2], n_a = i % 2 ? MOST : 1 + (size_t)i % 7, n_b = i % 3 ? MOST : 33;
        struct sets sets = sets_make(ROWS, MADE, D, dtypes[i / 2 % DTYPES]);
        float got[MOST * MOST], want[MOST * MOST];
        struct block block = {.n_a = n_a, .n_b = n_b, .D = D, .a = a, .b = b, .rows = sets.host, .term = i % 4 < 2 ? SIM_PRODUCT : SIM_APART, .out = want};
        for (int square = 0; square < 2; square++) {
            if (square) {
                block.b = a;
                block.n_b = n_a;
            }
            block.rows = sets.host;
            block.out = want;
            assert_true(ref->block(&block));
            expect_block(&block);
            block.rows = sets.there;
            block.out = got;
            assert_true(card->block(&block));
            settle();
            check_equal(got, want, block.n_a * block.n_b * sizeof *got, "block");
        }
        sets_free(&sets);
    }
}

static void test_block_in_pieces(void **state)
{
    (void)state;
    enum { ROWS = 5, D = 3, N_A = 70, N_B = 20000 };
    uint32_t a[N_A], *b = check_alloc(N_B * sizeof *b);
    float *got = check_alloc((size_t)N_A * N_B * sizeof *got), *want = check_alloc((size_t)N_A * N_B * sizeof *want);
    struct sets sets = sets_make(ROWS, 0, D, DTYPE_BF16);
    for (uint32_t i = 0; i < N_B; i++)
        b[i] = i % 7 % ROWS;
    for (uint32_t i = 0; i < N_A; i++)
        a[i] = i * 3 % ROWS;
    struct block block = {.n_a = N_A, .n_b = N_B, .D = D, .a = a, .b = b, .rows = sets.host, .out = want};
    assert_true(ref->block(&block));
    block.rows = sets.there;
    block.out = got;
    assert_true(card->block(&block));
    settle();
    check_equal(got, want, (size_t)N_A * N_B * sizeof *got, "block in pieces");
    sets_free(&sets);
    free(b), free(got), free(want);
}

/* Ties (equal rows), weights of either sign, one row, more rows than a block rates. */
static void test_choose(void **state)
{
    (void)state;
    static const struct { size_t n, D, k; } shapes[] = {{1, 5, 1}, {2, 16, 2}, {33, 17, 9}, {40, 64, 40}, {300, 24, 20}};
    for (int i = 0; i < 10; i++) {
        size_t n = shapes[i / 2].n, D = shapes[i / 2].D, k = shapes[i / 2].k;
        float *rows = check_floats(n * D, n, "rows"), *weight = check_floats(n, n, "weight");
        for (size_t row = 0; row + 4 < n; row += 4)
            memcpy(rows + (row + 3) * D, rows + row * D, D * sizeof *rows);
        uint32_t got[40], want[40];
        struct picks picks = {.n = n, .D = D, .k = k, .rows = rows, .weight = i % 2 ? weight : NULL, .out = want};
        assert_true(ref->choose(&picks));
        picks.rows = up(rows, n * D * sizeof *rows);
        picks.out = got;
        assert_true(card->choose(&picks));
        settle();
        check_equal(got, want, k * sizeof *got, "choose");
        drop(picks.rows);
        free(rows), free(weight);
    }
}

static void test_sum_rows(void **state)
{
    (void)state;
    enum { GROUPS = 3, ROWS = 7, D = 37, LD = 40, GROUP = ROWS * LD + 5 };
    float *x = check_floats(GROUPS * GROUP, 1, "x"), *y = check_floats(GROUPS * D, 2, "y"), got[GROUPS * D];
    for (int add = 0; add < 2; add++) {
        float *from = up(x, GROUPS * GROUP * sizeof *x), *to = up(y, sizeof got), *want = check_copy(y, sizeof got);
        card->sum_rows(GROUPS, ROWS, D, from, GROUP, LD, to, add, 7);
        ref->sum_rows(GROUPS, ROWS, D, x, GROUP, LD, want, add, 7);
        down(got, to, sizeof got);
        check_equal(got, want, sizeof got, "sum_rows");
        drop(from);
        free(want);
    }
    free(x), free(y);
}

/* ---- matrices ------------------------------------------------------------------------------------------------------------ */

/* The same matrix on the host, row by row, and on the card. */
struct both { struct matrix host, there; };

static struct both both_make(const float *rows, size_t n_out, size_t n_in, enum dtype dtype, const float *bias)
{
    size_t bytes = matrix_bytes(n_out, n_in, dtype, LAYOUT_ROWS), padded = (n_out + PANEL - 1) / PANEL * PANEL;
    struct both both = {{dtype, n_out, n_in, check_alloc(bytes), bias, LAYOUT_ROWS}, {dtype, n_out, n_in, card->memory->take(bytes), NULL, LAYOUT_ROWS}};
    matrix_pack_rows(&both.host, 0, n_out, rows, DTYPE_F32);
    for (size_t first = 0, n; first < n_out; first += n) { /* in pieces */
        n = n_out - first < 50 ? n_out - first : 50;
        assert_true(card->pack(&both.there, first, n, rows + first * n_in, DTYPE_F32));
    }
    if (bias)
        both.there.bias = up(bias, padded * sizeof *bias);
    return both;
}

static void both_free(struct both *both)
{
    drop(both->there.panels);
    drop(both->there.bias);
    free(both->host.panels);
}

static void test_embed(void **state)
{
    (void)state;
    enum { N_OUT = 70, N_IN = 13, N = 4 };
    static const int32_t ids[N] = {69, 0, 5, 69};
    float *rows = check_floats(N_OUT * N_IN, 1, "rows"), got[N * N_IN], want[N * N_IN];
    for (int d = 0; d < DTYPES; d++) {
        struct both w = both_make(rows, N_OUT, N_IN, dtypes[d], NULL);
        float *to = card->memory->take(sizeof got);
        card->embed(&w.there, N, ids, to);
        ref->embed(&w.host, N, ids, want);
        down(got, to, sizeof got);
        check_equal(got, want, sizeof got, "embed");
        both_free(&w);
    }
    free(rows);
}

/* Ties, several among the penalised, one id alone; more ids than a block has threads. */
static void test_next(void **state)
{
    (void)state;
    enum { MOST = 3000, IDS = 300 };
    static const size_t sizes[] = {1, 2, 5, 1024, 1025, MOST};
    int32_t ids[IDS];
    float *logits = check_floats(MOST, 3, "logits"), *want = check_alloc(MOST * sizeof *want), *got = check_alloc(MOST * sizeof *got);
    for (size_t i = 0; i < MOST; i++)
        logits[i] = roundf(64 * logits[i]) / 64; /* so that many are the same */
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t n_ids = 0; n_ids <= IDS; n_ids += IDS / 2) {
            size_t n = sizes[s];
            memcpy(want, logits, n * sizeof *want);
            for (size_t i = 0; i < n_ids; i++)
                ids[i] = (int32_t)((i / 2) * 37 % n);
            float *there = up(logits, n * sizeof *logits);
            struct candidates candidates = {n, n_ids, want, ids, n_ids == IDS ? 1.25f : 1.0f};
            struct next_id here = ref->next(&candidates);
            candidates.logits = there;
            struct next_id next = card->next(&candidates);
            down(got, there, n * sizeof *got);
            check_equal(got, want, n * sizeof *got, "penalised logits");
            assert_int_equal(next.id, here.id);
            assert_true(next.most == here.most && next.second == here.second);
        }
    free(logits), free(want), free(got);
}

struct product {
    size_t n, n_out, n_in, ldx, ldy;
    enum dtype dtype;
    float *values, *rows, *bias;
    void *x;      /* on the host */
    void *x_there;
    struct both w;
};

static struct product product_make(size_t n, size_t n_out, size_t n_in, size_t ldx, size_t ldy, enum dtype dtype, bool bias, uint64_t seed)
{
    size_t padded = (n_out + PANEL - 1) / PANEL * PANEL;
    struct product p = {.n = n, .n_out = n_out, .n_in = n_in, .ldx = ldx, .ldy = ldy, .dtype = dtype, .values = check_floats(n * ldx, seed, "x"),
                        .rows = check_floats(n_out * n_in, seed, "w"), .bias = check_floats(padded, seed, "bias")};
    memset(p.bias + n_out, 0, (padded - n_out) * sizeof *p.bias);
    p.x = check_act(p.values, n * ldx, dtype);
    p.x_there = up(p.x, n * ldx * dtype_size(dtype));
    p.w = both_make(p.rows, n_out, n_in, dtype, bias ? p.bias : NULL);
    return p;
}

static void product_free(struct product *p)
{
    both_free(&p->w);
    drop(p->x_there);
    free(p->values), free(p->rows), free(p->bias), free(p->x);
}

/* The product on the card, of rows first..first+n-1 into their places of `y`, which the card has as well when it is added to. */
static void multiply(const struct product *p, size_t first, size_t n, enum epilogue epilogue, void *y, enum dtype out)
{
    size_t bytes = n * p->ldy * dtype_size(out);
    char *at = (char *)y + first * p->ldy * dtype_size(out);
    void *scratch = card->memory->take(gemm_scratch_bytes(card, n, p->n_out)), *to = up(at, bytes);
    struct gemm g = {.n = n, .x = (const char *)p->x_there + first * p->ldx * dtype_size(p->dtype), .ldx = p->ldx, .w = &p->w.there,
                     .epilogue = epilogue, .y = to, .ldy = p->ldy, .out_dtype = out, .scratch = scratch};
    card->gemm(&g, 1);
    down(at, to, bytes);
    drop(scratch);
}

/* Sums of n_in products below about 10 in f32, of either sign; activations add 4e-7 of their argument, and have slopes below 1.13. */
static double product_bound(const struct product *p, enum epilogue epilogue, double want)
{
    double sum = 4 * sqrt((double)p->n_in + 4) * 0x1p-24 * sqrt((double)p->n_in + 1) * 3, value = fabs(want) + 4;
    return epilogue == EPILOGUE_SWIGLU ? (1.13 * sum + 1e-6 * value) * 3 * sqrt((double)p->n_in + 1) + sum * value : 1.13 * sum + 1e-6 * value;
}

static void check_product(const struct product *p, enum epilogue epilogue, enum dtype out)
{
    size_t columns = epilogue == EPILOGUE_SWIGLU ? p->n_out / 2 : p->n_out, bytes = p->n * p->ldy * dtype_size(out);
    float *before = check_floats(p->n * p->ldy, 5, "before"), *want = check_copy(before, p->n * p->ldy * sizeof *before);
    void *whole = check_act(before, p->n * p->ldy, out), *split = check_copy(whole, bytes);
    struct gemm g = {.n = p->n, .x = p->x, .ldx = p->ldx, .w = &p->w.host, .epilogue = epilogue, .y = want, .ldy = p->ldy, .out_dtype = DTYPE_F32};
    char what[120];
    ref->gemm(&g, 1);
    multiply(p, 0, p->n, epilogue, whole, out);
    snprintf(what, sizeof what, "gemm in %s to %s, epilogue %d, %zu x %zu x %zu", dtype_name(p->dtype), dtype_name(out), (int)epilogue, p->n, p->n_out, p->n_in);
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->ldy; j++) {
            double value = want[i * p->ldy + j], bound = j < columns ? product_bound(p, epilogue, value) : 0;
            value = j < columns ? value : check_read(split, out, i * p->ldy + j); /* what lies between rows stays */
            check_near(check_read(whole, out, i * p->ldy + j), value, bound + (j < columns ? step_of(out, value) : 0), what, i, j);
        }
    for (size_t first = 0, n; first < p->n; first += n) { /* 1, 2, 3, ... rows */
        n = first + 1 < p->n - first ? first + 1 : p->n - first;
        multiply(p, first, n, epilogue, split, out);
    }
    check_equal(split, whole, bytes, what);
    free(before), free(want), free(whole), free(split);
}

static void test_gemm(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {2, 63, 33}, {7, 64, 32}, {5, 65, 31}, {65, 130, 17}, {4, 128, 100}, {70, 64, 50}, {1, 192, 300}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int d = 0; d < DTYPES; d++) {
            const size_t *n = shapes[s];
            struct product p = product_make(n[0], n[1], n[2], n[2] + s % 3, n[1] + s % 5, dtypes[d], s % 4 != 3, s);
            for (enum epilogue epilogue = EPILOGUE_NONE; epilogue <= EPILOGUE_SWIGLU; epilogue++) {
                if (epilogue == EPILOGUE_SWIGLU && n[1] % PANEL)
                    continue;
                check_product(&p, epilogue, DTYPE_F32);
                if (d && epilogue != EPILOGUE_ADD)
                    check_product(&p, epilogue, dtypes[d]);
            }
            product_free(&p);
        }
}

/* Aligned rows, which cuBLASLt takes: a few of them at the shapes of the tower and of the 0.5B model. */
static void test_gemm_library(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{29, 1152, 592}, {29, 4304, 1152}, {29, 1152, 4304}, {29, 9728, 896}, {29, 896, 4864}, {1, 896, 896}};
    if (emulated) {
        print_message("skip: cuBLASLt is not emulated\n");
        skip();
    }
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int d = 0; d < DTYPES; d++) {
            const size_t *n = shapes[s];
            struct product p = product_make(n[0], n[1], n[2], n[2], n[1], dtypes[d], s % 2, s);
            check_product(&p, EPILOGUE_NONE, DTYPE_F32);
            check_product(&p, EPILOGUE_ADD, DTYPE_F32);
            check_product(&p, EPILOGUE_GELU_TANH, dtypes[d]);
            if (n[1] % PANEL == 0)
                check_product(&p, EPILOGUE_SWIGLU, dtypes[d]);
            product_free(&p);
        }
}

/* ---- attention ----------------------------------------------------------------------------------------------------------- */

struct layer { int heads, kv_heads, hd; size_t n_keys; };

/* A cache on the host and on the card, stale values past its keys, and a query for every key. */
struct cached {
    struct layer layer;
    enum dtype dtype;
    struct kv host, there;
    void *q, *q_there;
    size_t ldq;
    float *bias, *bias_there; /* NULL: none */
    void *scratch;
};

static void make_bias(struct cached *c, uint64_t seed)
{
    c->bias = check_alloc(c->layer.n_keys * sizeof *c->bias);
    for (size_t j = 0; j < c->layer.n_keys; j++)
        c->bias[j] = (j * 7 + seed) % 3 == 0 || (j >= 1 && j < 90 && seed % 2) || (j >= 512 && j < 1024) ? -INFINITY : logf(1 + (float)(j % 4));
    c->bias[0] = 0.5f; /* what every query sees */
    c->bias_there = up(c->bias, c->layer.n_keys * sizeof *c->bias);
}

static struct cached cached_make(struct layer layer, enum dtype dtype, bool bias, uint64_t seed)
{
    size_t capacity = (layer.n_keys + 63) / 64 * 64, width = (size_t)(layer.kv_heads * layer.hd), n = layer.n_keys;
    struct cached c = {.layer = layer, .dtype = dtype, .ldq = (size_t)(layer.heads * layer.hd) + seed % 3};
    c.host = (struct kv){dtype, layer.kv_heads, layer.hd, capacity, NULL, NULL, LAYOUT_ROWS, 1};
    size_t bytes = kv_key_bytes(&c.host);
    assert_int_equal(bytes, kv_value_bytes(&c.host));
    c.host.keys = check_alloc(bytes), c.host.values = check_alloc(bytes);
    float *old = check_alloc(capacity * width * sizeof *old), *keys = check_floats(n * width, seed, "keys"), *values = check_floats(n * width, seed, "values");
    float *queries = check_floats(n * c.ldq, seed, "queries");
    for (size_t i = 0; i < capacity * width; i++)
        old[i] = i % 2 ? 60000.0f : -60000.0f;
    ref->kv_write(&c.host, 0, capacity, old, old, width, 1);
    c.there = c.host;
    c.there.keys = up(c.host.keys, bytes), c.there.values = up(c.host.values, bytes);
    float *k = up(keys, n * width * sizeof *keys), *v = up(values, n * width * sizeof *values);
    ref->kv_write(&c.host, 0, n, keys, values, width, 1);
    card->kv_write(&c.there, 0, n / 2, k, v, width, 1); /* in two pieces */
    card->kv_write(&c.there, n / 2, n - n / 2, k + n / 2 * width, v + n / 2 * width, width, 1);
    c.q = check_act(queries, n * c.ldq, dtype);
    c.q_there = up(c.q, n * c.ldq * dtype_size(dtype));
    if (bias)
        make_bias(&c, seed);
    c.scratch = card->memory->take(attention_scratch_bytes(card, &c.there, 1));
    assert_non_null(c.scratch);
    drop(k), drop(v);
    free(old), free(keys), free(values), free(queries);
    return c;
}

static void cached_free(struct cached *c)
{
    drop(c->there.keys), drop(c->there.values), drop(c->q_there), drop(c->bias_there), drop(c->scratch);
    free(c->host.keys), free(c->host.values), free(c->q), free(c->bias);
}

/* The cache that the card wrote is that of ref, bit for bit. */
static void check_cache(const struct cached *c)
{
    size_t bytes = kv_key_bytes(&c->host);
    void *got = check_alloc(bytes);
    card->memory->get(got, c->there.keys, bytes);
    check_equal(got, c->host.keys, bytes, "keys");
    card->memory->get(got, c->there.values, bytes);
    check_equal(got, c->host.values, bytes, "values");
    free(got);
}

static struct attention call_on(const struct cached *c, bool there, size_t first, size_t n, bool causal)
{
    size_t row = c->ldq * dtype_size(c->dtype);
    return (struct attention){.n = n, .first = first, .n_keys = c->layer.n_keys, .causal = causal, .heads = c->layer.heads,
                              .scale = 1 / sqrtf((float)c->layer.hd), .kv = there ? &c->there : &c->host,
                              .q = (const char *)(there ? c->q_there : c->q) + first * row, .ldq = c->ldq, .ldo = c->ldq,
                              .scratch = there ? c->scratch : NULL, .bias = there ? c->bias_there : c->bias};
}

/* Queries from `from` on in one call, then in pieces, against ref. Weights err by some 2^-22 of a logit (at most 16 * sqrt(hd) here), and in 16 bit by
 * their rounding; values are below 4. */
static void check_attention(const struct cached *c, size_t from, bool causal)
{
    size_t n = c->layer.n_keys, bytes = n * c->ldq * dtype_size(c->dtype);
    char *want = check_alloc(bytes), *whole = check_alloc(bytes), *split = check_alloc(bytes), what[120];
    char *to = up(whole, bytes), *pieces = up(split, bytes);
    size_t row = c->ldq * dtype_size(c->dtype);
    struct attention a = call_on(c, false, from, n - from, causal);
    a.out = want + from * row;
    ref->attention(&a, 1);
    a = call_on(c, true, from, n - from, causal);
    a.out = to + from * row;
    card->attention(&a, 1);
    for (size_t first = from, m; first < n; first += m) {
        m = 2 * (first - from) + 1 < n - first ? 2 * (first - from) + 1 : n - first;
        a = call_on(c, true, first, m, causal);
        a.out = pieces + first * row;
        card->attention(&a, 1);
    }
    down(whole, to, bytes);
    down(split, pieces, bytes);
    snprintf(what, sizeof what, "attention in %s, %d heads of %d on %d, %zu keys, %s%s", dtype_name(c->dtype), c->layer.heads, c->layer.hd, c->layer.kv_heads,
             n, causal ? "causal" : "full", c->bias ? ", biased" : "");
    double weight = 16 * sqrt(c->layer.hd) * 0x1p-22 + (c->dtype == DTYPE_F32 ? 2e-6 : c->dtype == DTYPE_BF16 ? 0x1p-8 : 0x1p-11);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < (size_t)(c->layer.heads * c->layer.hd); j++) {
            double value = check_read(want, c->dtype, i * c->ldq + j);
            check_near(check_read(whole, c->dtype, i * c->ldq + j), value, 3 * weight + step_of(c->dtype, value), what, i, j);
        }
    check_equal(split, whole, bytes, what);
    free(want), free(whole), free(split);
}

static void check_weights(const struct cached *c, bool causal)
{
    size_t n = c->layer.n_keys < 9 ? c->layer.n_keys : 9, first = causal ? c->layer.n_keys - n : 0, values = n * (size_t)c->layer.heads * c->layer.n_keys;
    float *got = check_alloc(values * sizeof *got), *want = check_alloc(values * sizeof *want), *to = card->memory->take(values * sizeof *to);
    struct attention here = call_on(c, false, first, n, causal), there = call_on(c, true, first, n, causal);
    ref->attention_weights(&here, want, 1);
    card->attention_weights(&there, to, 1);
    down(got, to, values * sizeof *got);
    for (size_t i = 0; i < values; i++)
        check_near(got[i], want[i], (16 * sqrt(c->layer.hd) * 0x1p-22 + 2e-6) * want[i] + 1e-30, "attention's weights", i / c->layer.n_keys, i % c->layer.n_keys);
    free(got), free(want);
}

static void test_attention(void **state)
{
    (void)state;
    static const struct layer layers[] = {{1, 1, 2, 1}, {2, 2, 16, 33}, {3, 1, 30, 65}, {4, 2, 72, 97}, {7, 1, 64, 64}, {2, 1, 128, 131}, {1, 1, 256, 70}, {14, 2, 64, 29}};
    for (size_t s = 0; s < sizeof layers / sizeof *layers; s++)
        for (int d = 0; d < DTYPES; d++)
            for (int bias = 0; bias < 2; bias++) {
                struct cached c = cached_make(layers[s], dtypes[d], bias, s);
                check_cache(&c);
                check_attention(&c, 0, false);
                check_attention(&c, 0, true);
                check_weights(&c, bias);
                cached_free(&c);
            }
}

/* Several spans of keys, one of them hidden where there is a bias: so many rows at once go through them in one block, few in a block for
 * each, to the same bits. */
static void test_spans(void **state)
{
    (void)state;
    static const struct layer many = {8, 2, 16, 520}, few = {3, 1, 72, 1100};
    for (int d = 0; d < DTYPES; d++) {
        struct cached c = cached_make(many, dtypes[d], d != 1, 0), e = cached_make(few, dtypes[d], d == 1, 1);
        check_attention(&c, 0, true);
        check_attention(&e, few.n_keys - 6, true);
        check_attention(&e, few.n_keys - 6, false);
        cached_free(&c), cached_free(&e);
    }
}

/* Two sequences in one call: each as alone. Queries, keys and values are the rows of `c`, n of either. */
static void check_sequences(const struct cached *c)
{
    size_t n = c->layer.n_keys / 2, width = (size_t)(c->layer.kv_heads * c->layer.hd), row = c->ldq * dtype_size(c->dtype), bytes = 2 * n * row;
    struct kv both = c->there;
    both.sequences = 2;
    both.keys = card->memory->take(kv_key_bytes(&both)), both.values = card->memory->take(kv_value_bytes(&both));
    float *rows = check_floats(2 * n * width, 5, "rows"), *there = up(rows, 2 * n * width * sizeof *rows);
    char *got = check_alloc(bytes), *want = check_alloc(bytes), *to = up(got, bytes), *one_by_one = up(got, bytes);
    card->kv_write(&both, 0, n, there, there, width, 1);
    struct attention a = call_on(c, true, 0, n, false);
    a.n_keys = n, a.kv = &both, a.out = to, a.bias = NULL;
    card->attention(&a, 1);
    for (size_t i = 0; i < 2; i++) {
        card->kv_write(&c->there, 0, n, there + i * n * width, there + i * n * width, width, 1);
        a.kv = &c->there, a.q = (const char *)c->q_there + i * n * row, a.out = one_by_one + i * n * row;
        card->attention(&a, 1);
    }
    down(got, to, bytes), down(want, one_by_one, bytes);
    check_equal(got, want, bytes, "attention on two sequences");
    drop(both.keys), drop(both.values), drop(there);
    free(rows), free(got), free(want);
}

static void test_sequences(void **state)
{
    (void)state;
    static const struct layer layers[] = {{2, 2, 16, 34}, {3, 1, 30, 66}, {4, 2, 72, 150}, {2, 1, 16, 1400}};
    for (size_t s = 0; s < sizeof layers / sizeof *layers; s++)
        for (int d = 0; d < DTYPES; d++) {
            struct cached c = cached_make(layers[s], dtypes[d], false, s);
            check_sequences(&c);
            cached_free(&c);
        }
}

int main(void)
{
    const char *why = "";
    struct err err;
    struct cuda_card facts;
    int number, n = cuda_cards(NULL, 0, &why);
    if (n < 1) {
        printf("skip: no CUDA card%s%s\n", n < 0 ? ": " : "", n < 0 ? why : "");
        return 77;
    }
    ref = check_table("ref");
    if (kernels_open_device(&card, "cuda", NULL, &err) || !cuda_card_of(card, &number, &facts)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    emulated = !strcmp(facts.name, "emulated card");
    printf("on cuda:%d, %s\n", number, facts.name);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory), cmocka_unit_test(test_copies), cmocka_unit_test(test_recording),
        cmocka_unit_test(test_recorded_positions), cmocka_unit_test(test_spoilt_recording), cmocka_unit_test(test_row_slots),
        cmocka_unit_test(test_rounding), cmocka_unit_test(test_rope), cmocka_unit_test(test_rmsnorm_by_hand),
        cmocka_unit_test(test_patches), cmocka_unit_test(test_pool), cmocka_unit_test(test_merge), cmocka_unit_test(test_wide_sums),
        cmocka_unit_test(test_dots), cmocka_unit_test(test_block), cmocka_unit_test(test_block_in_pieces), cmocka_unit_test(test_choose),
        cmocka_unit_test(test_sum_rows), cmocka_unit_test(test_embed), cmocka_unit_test(test_next), cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_gemm_library),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_spans), cmocka_unit_test(test_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
