/* The row-wise slots of each table against ref, over widths that are no multiple of anything; and equal bits for any split of the
 * rows and any number of threads. `--bench [table [threads]]` times the widths of the target models. */
#include "tests/kernels/check.h"

/* One call of one slot: rows x[n][D + gap] to y[n][D + 2 gap], or in place. */
struct call {
    size_t n, D, ldx, ldy, first;
    int heads;
    float *x, *w, *b, *cos, *sin;
    float eps;
    enum dtype out;
};

typedef void slot_run(const struct kernels *k, const struct call *c, size_t row, size_t n, void *y, int threads);

static size_t row_bytes(const struct call *c)
{
    return c->ldy * dtype_size(c->out);
}

static void run_layernorm(const struct kernels *k, const struct call *c, size_t row, size_t n, void *y, int threads)
{
    k->layernorm(n, c->D, c->x + row * c->ldx, c->ldx, c->w, c->b, c->eps, (char *)y + row * row_bytes(c), c->ldy, c->out, threads);
}

static void run_rmsnorm(const struct kernels *k, const struct call *c, size_t row, size_t n, void *y, int threads)
{
    k->rmsnorm(n, c->D, c->x + row * c->ldx, c->ldx, c->w, c->eps, (char *)y + row * row_bytes(c), c->ldy, c->out, threads);
}

/* In place: copies its rows first. Always f32. */
static void run_rope(const struct kernels *k, const struct call *c, size_t row, size_t n, void *y, int threads)
{
    float *to = (float *)y + row * c->ldy;
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * c->ldy, c->x + (row + i) * c->ldx, c->D * sizeof *to);
    k->rope(n, c->heads, (int)c->D / c->heads, to, c->ldy, c->cos, c->sin, c->first + row, threads);
}

static void run_convert(const struct kernels *k, const struct call *c, size_t row, size_t n, void *y, int threads)
{
    k->convert(n, c->D, c->x + row * c->ldx, c->ldx, (char *)y + row * row_bytes(c), c->ldy, c->out, threads);
}

/* Largest error allowed, for a value that ref gives as `want` and inputs that are a few units large. */
typedef double bound(const struct call *c, double want);

/* f32: the mean errs by about sqrt(D) 2^-24 (D / LANES additions per lane), the scale by as much, relatively; both small beside 1e-5.
 * bf16: one rounding of a value that may lie on the other side of a tie. */
static double norm_bound(const struct call *c, double want)
{
    double error = 2e-6 * (fabs(want) + 4);
    return c->out == DTYPE_F32 ? error : error + 0x1p-7 * fabs(want);
}

/* bf16: the rounding before w may fall to the neighbour, and so may the one after it. */
static double rmsnorm_bound(const struct call *c, double want)
{
    return c->out == DTYPE_F32 ? 2e-6 * fabs(want) + 1e-12 : 0x1p-6 * fabs(want);
}

/* Two products of values below 4 with factors below 1, and their sum, each rounded once. */
static double rope_bound(const struct call *c, double want)
{
    (void)c;
    (void)want;
    return 3 * 4 * 0x1p-24;
}

static double exact(const struct call *c, double want)
{
    (void)c;
    (void)want;
    return 0;
}

static const struct slot_check {
    const char *name;
    slot_run *run;
    bound *bound;
    bool f32_only;
} slots[] = {
    {"layernorm", run_layernorm, norm_bound, false},
    {"rmsnorm", run_rmsnorm, rmsnorm_bound, false},
    {"rope", run_rope, rope_bound, true},
    {"convert", run_convert, exact, false},
};

enum { SLOTS = sizeof slots / sizeof *slots };

static struct call call_make(size_t n, int heads, size_t head_dim, enum dtype out, uint64_t seed)
{
    struct call c = {.n = n, .D = (size_t)heads * head_dim, .first = 5 + seed, .heads = heads, .eps = 1e-6f, .out = out};
    c.ldx = c.D + seed % 3;
    c.ldy = c.D + seed % 5;
    size_t angles = (c.first + n) * head_dim / 2;
    c.x = check_floats(n * c.ldx, seed, "x");
    c.w = check_floats(c.D, seed, "w");
    c.b = check_floats(c.D, seed, "b");
    c.cos = check_alloc(angles * sizeof(float));
    c.sin = check_alloc(angles * sizeof(float));
    for (size_t i = 0; i < angles; i++) {
        c.cos[i] = cosf((float)i);
        c.sin[i] = sinf((float)i);
    }
    for (size_t d = 0; d < c.D; d++)
        c.x[d] += 100; /* a row far from zero: its variance must not be lost */
    return c;
}

static void call_free(struct call *c)
{
    free(c->x);
    free(c->w);
    free(c->b);
    free(c->cos);
    free(c->sin);
}

static void compare(const struct kernels *k, const struct slot_check *slot, const struct call *c, uint64_t seed)
{
    char *got = check_alloc(c->n * row_bytes(c)), *want = check_alloc(c->n * row_bytes(c)), what[120];
    memset(got, 0x55, c->n * row_bytes(c));
    memset(want, 0x55, c->n * row_bytes(c));
    slot->run(k, c, 0, c->n, got, 1);
    slot->run(check_table("ref"), c, 0, c->n, want, 1);
    snprintf(what, sizeof what, "%s %s to %s, %zu rows of %zu, %d heads, seed %llu", k->name, slot->name, dtype_name(c->out), c->n, c->D,
             c->heads, (unsigned long long)seed);
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < c->ldy; j++) {
            double value = check_read(want, c->out, i * c->ldy + j);
            /* row 0 lies at 100: what its differences and products lose is as much larger */
            double allowed = j < c->D ? slot->bound(c, value) * (i ? 1 : 100) : 0;
            check_near(check_read(got, c->out, i * c->ldy + j), value, allowed, what, i, j);
        }
    free(got);
    free(want);
}

static void check_split(const struct kernels *k, const struct slot_check *slot, const struct call *c)
{
    char *whole = check_alloc(c->n * row_bytes(c)), *split = check_alloc(c->n * row_bytes(c));
    slot->run(k, c, 0, c->n, whole, 1);
    for (size_t piece = 1; piece < 20; piece += 3) {
        memset(split, 0, c->n * row_bytes(c));
        for (size_t row = 0; row < c->n; row += piece)
            slot->run(k, c, row, c->n - row < piece ? c->n - row : piece, split, 1);
        check_equal(split, whole, c->n * row_bytes(c), slot->name);
    }
    for (int threads = 2; threads <= 3; threads++) {
        memset(split, 0, c->n * row_bytes(c));
        slot->run(k, c, 0, c->n, split, threads);
        check_equal(split, whole, c->n * row_bytes(c), slot->name);
    }
    free(whole);
    free(split);
}

static void check_slots(const struct kernels *k)
{
    static const struct {
        size_t n;
        int heads;
        size_t head_dim;
    } shapes[] = {{1, 1, 2}, {3, 1, 6}, {2, 3, 16}, {17, 2, 30}, {40, 16, 72}, {33, 14, 64}, {5, 1, 256}, {50, 7, 34}};
    for (size_t s = 0; s < SLOTS; s++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int d = 0; d < (slots[s].f32_only ? 1 : 2); d++) {
                struct call c = call_make(shapes[i].n, shapes[i].heads, shapes[i].head_dim, check_dtypes[d], i);
                compare(k, &slots[s], &c, i);
                check_split(k, &slots[s], &c);
                call_free(&c);
            }
}

static void test_against_ref(void **state)
{
    (void)state;
    check_tables(check_slots);
}

/* Ties, infinities, NaN, the largest values: rounding to bf16 is the same everywhere but for subnormals, which avx512-bf16 flushes. */
static void check_rounding(const struct kernels *k)
{
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0xbf818000, 0x7f7fffff,
                                    0x7f7f7fff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff, 0x00800000, 0x4b7fffff};
    enum { N = sizeof bits / sizeof *bits };
    float x[N];
    uint16_t got[N];
    memcpy(x, bits, sizeof x);
    k->convert(1, N, x, N, got, N, DTYPE_BF16, 1);
    for (size_t i = 0; i < N; i++)
        if (got[i] != bf16_from_f32(x[i]))
            fail_msg("%s: 0x%08x rounds to 0x%04x, not 0x%04x", k->name, bits[i], got[i], bf16_from_f32(x[i]));
}

static void test_rounding(void **state)
{
    (void)state;
    check_tables(check_rounding);
}

/* A long conversion is dealt to threads in pieces. */
static void check_long_convert(const struct kernels *k)
{
    enum { N = 70001 };
    float *x = check_floats(N, 9, "x");
    uint16_t *got = check_alloc((N + 1) * sizeof *got), *want = check_act(x, N + 1, DTYPE_BF16);
    got[N] = want[N] = 0x1234;
    k->convert(1, N, x, N, got, N, DTYPE_BF16, 3);
    check_equal(got, want, (N + 1) * sizeof *got, k->name);
    free(x);
    free(got);
    free(want);
}

static void test_long_convert(void **state)
{
    (void)state;
    check_tables(check_long_convert);
}

/* By hand: (3, 4) has mean square 12.5; 3 / sqrt(12.5) = 0.848528 is 0.84765625 in bf16, times 3 is 2.54296875, which is 2.546875. */
static void test_rmsnorm_by_hand(void **state)
{
    (void)state;
    static const float x[2] = {3, 4}, w[2] = {3, 1};
    for (const char *const *name = kernels_names(); *name; name++) {
        uint16_t y[2];
        if (!kernels_runs(*name))
            continue;
        check_table(*name)->rmsnorm(1, 2, x, 2, w, 0, y, 2, DTYPE_BF16, 1);
        check_near(f32_from_bf16(y[0]), 2.546875, 0, *name, 0, 0);
        check_near(f32_from_bf16(y[1]), 1.1328125, 0, *name, 0, 1);
    }
}

/* By hand: position 1, one head of 4, angles with cos 0, sin 1 and cos 0.5, sin 0.25. */
static void test_rope_by_hand(void **state)
{
    (void)state;
    static const float cos[4] = {9, 9, 0, 0.5f}, sin[4] = {9, 9, 1, 0.25f}, want[4] = {-3, 0, 1, 2.5f};
    for (const char *const *name = kernels_names(); *name; name++) {
        float x[4] = {1, 2, 3, 4};
        if (!kernels_runs(*name))
            continue;
        check_table(*name)->rope(1, 1, 4, x, 4, cos, sin, 1, 1);
        for (size_t i = 0; i < 4; i++)
            check_near(x[i], want[i], 0, *name, 0, i);
    }
}

/* ---- int8 ---------------------------------------------------------------------------------------------------------------- */

/* Every table makes of a row what ref makes of it, to the bit, pads with zeros, and touches nothing behind them. */
static void check_quantise(const struct kernels *k)
{
    static const size_t widths[] = {1, 3, 16, 67, 1152};
    enum { N = 21 };
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int d = 0; d < 2; d++) {
            size_t D = widths[w], ldy = (D + 3) / 4 * 4, ldx = D + w;
            float *values = check_floats(N * ldx, w, "values");
            memset(values + 3 * ldx, 0, ldx * sizeof *values);
            values[D - 1] = -3e4f;
            void *x = check_act(values, N * ldx, check_dtypes[d]);
            int8_t *want = check_alloc(N * ldy + 64), *got = check_alloc(N * ldy + 64);
            struct row_scale want_scales[N], got_scales[N];
            check_table("ref")->quantise(N, D, x, ldx, check_dtypes[d], want, ldy, want_scales, 1);
            k->quantise(N, D, x, ldx, check_dtypes[d], got, ldy, got_scales, 2);
            check_equal(got, want, N * ldy + 64, k->name);
            check_equal(got_scales, want_scales, sizeof want_scales, k->name);
            assert_int_equal(got[D - 1], -127);
            assert_true(got_scales[3].scale == 0 && got_scales[3].sum == 0);
            for (size_t c = 0; c < D; c++)
                check_near(got[ldy + c] * (double)got_scales[1].scale, check_read(x, check_dtypes[d], ldx + c),
                           0.501 * (double)got_scales[1].scale, k->name, 1, c);
            free(values);
            free(x);
            free(want);
            free(got);
        }
}

static void test_quantise(void **state)
{
    (void)state;
    check_tables(check_quantise);
}

/* ---- bench --------------------------------------------------------------------------------------------------------------- */

struct timed {
    const struct check_bench *bench;
    const struct slot_check *slot;
    struct call call;
    void *y;
};

static void timed_call(const void *context)
{
    const struct timed *timed = context;
    timed->slot->run(timed->bench->k, &timed->call, 0, timed->call.n, timed->y, timed->bench->threads);
}

static int bench_all(const struct check_bench *bench)
{
    for (size_t s = 0; s < SLOTS; s++)
        for (int d = slots[s].f32_only ? 0 : 1; d >= 0; d--) {
            struct timed timed = {bench, &slots[s], call_make(1024, 16, 72, check_dtypes[d], 0), NULL};
            timed.y = check_alloc(timed.call.n * row_bytes(&timed.call));
            double took = check_time(bench, timed_call, &timed);
            double bytes = (double)(timed.call.n * timed.call.D * (sizeof(float) + dtype_size(check_dtypes[d])));
            printf("%s %s to %s, 1024 rows of 1152: %7.3f ms %6.1f GB/s\n", bench->k->name, slots[s].name, dtype_name(check_dtypes[d]),
                   1e3 * took, 1e-9 * bytes / took);
            free(timed.y);
            call_free(&timed.call);
        }
    return 0;
}

/* 6 is penalised once to 4 though it stands there twice, -1 to -1.5; then 5 is first, and 5 again second. */
static void test_next_by_hand(void **state)
{
    (void)state;
    float logits[] = {-1, 6, 5, 3, 5}, one[] = {2};
    const int32_t ids[] = {1, 0, 1};
    const struct kernels *k = check_table("ref");
    struct next_id next = k->next(&(struct candidates){5, 3, logits, ids, 1.5f});
    assert_int_equal(next.id, 2);
    check_near(next.most, 5, 0, "the largest", 0, 0);
    check_near(next.second, 5, 0, "the second", 0, 0);
    check_near(logits[1], 4, 0, "a penalised logit", 1, 0);
    check_near(logits[0], -1.5, 0, "a penalised logit", 0, 0);
    next = k->next(&(struct candidates){1, 0, one, NULL, 1});
    assert_int_equal(next.id, 0);
    assert_true(next.most == 2 && next.second == -INFINITY);
}

int main(int argc, char **argv)
{
    struct check_bench bench;
    if (check_wants_bench(argc, argv, &bench))
        return bench_all(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_ref),     cmocka_unit_test(test_rounding),     cmocka_unit_test(test_long_convert),
        cmocka_unit_test(test_rmsnorm_by_hand), cmocka_unit_test(test_rope_by_hand),    cmocka_unit_test(test_quantise),
        cmocka_unit_test(test_next_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
