/* GEMM of each table against ref over odd shapes, all epilogues and both dtypes; packing against its written layout; and the promise
 * that neither batching nor threads change a bit. `--bench [table [threads]]` times the shapes of the target models. */
#include "tests/kernels/check.h"

#include "engine/kernels/peak.h"

struct shape {
    size_t n, n_out, n_in;
};

/* One product with its operands in f32 and in the compute dtype. */
struct product {
    struct shape shape;
    enum dtype dtype;
    float *x_f32, *w_f32, *bias;
    void *x;
    size_t ldx, ldy;
    struct matrix w;
};

static struct matrix pack(const float *rows, size_t n_out, size_t n_in, enum dtype dtype, const float *bias)
{
    struct matrix w = {dtype, n_out, n_in, check_alloc(matrix_bytes(n_out, n_in, dtype, LAYOUT_PANELS)), bias, LAYOUT_PANELS};
    matrix_pack_rows(&w, 0, n_out, rows, DTYPE_F32);
    return w;
}

static struct product product_make(struct shape s, enum dtype dtype, uint64_t seed)
{
    struct product p = {.shape = s, .dtype = dtype, .ldx = s.n_in + seed % 3, .ldy = s.n_out + seed % 5};
    size_t padded = (s.n_out + PANEL - 1) / PANEL * PANEL;
    p.x_f32 = check_floats(s.n * p.ldx, seed, "x");
    p.w_f32 = check_floats(s.n_out * s.n_in, seed, "w");
    p.bias = check_floats(padded, seed, "bias");
    memset(p.bias + s.n_out, 0, (padded - s.n_out) * sizeof *p.bias);
    p.x = check_act(p.x_f32, s.n * p.ldx, dtype);
    p.w = pack(p.w_f32, s.n_out, s.n_in, dtype, p.bias);
    return p;
}

static void product_free(struct product *p)
{
    free(p->x_f32);
    free(p->w_f32);
    free(p->bias);
    free(p->x);
    free(p->w.panels);
}

static struct gemm product_call(const struct product *p, enum epilogue epilogue, enum dtype out, void *y)
{
    return (struct gemm){p->shape.n, p->x, p->ldx, &p->w, epilogue, y, p->ldy, out, NULL, NULL};
}

/* ---- packing ------------------------------------------------------------------------------------------------------------- */

/* Every value lies where kernels.h says, and pads are zero, whatever the order and size of the pieces. */
static void test_pack_places(void **state)
{
    (void)state;
    enum { N_OUT = 150, N_IN = 131 };
    float *rows = check_floats(N_OUT * N_IN, 1, "rows");
    static const size_t pieces[][2] = {{100, 50}, {3, 60}, {0, 3}, {63, 1}, {64, 36}};
    for (int d = 0; d < 2; d++) {
        enum dtype dtype = check_dtypes[d];
        size_t pair = dtype == DTYPE_F32 ? 1 : 2, groups = (N_IN + pair - 1) / pair;
        struct matrix w = {dtype, N_OUT, N_IN, check_alloc(matrix_bytes(N_OUT, N_IN, dtype, LAYOUT_PANELS)), NULL, LAYOUT_PANELS};
        assert_int_equal(matrix_panel_bytes(N_IN, dtype), groups * 64 * 4);
        assert_int_equal(matrix_bytes(N_OUT, N_IN, dtype, LAYOUT_PANELS), 3 * groups * 64 * 4);
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
            matrix_pack_rows(&w, pieces[i][0], pieces[i][1], rows + pieces[i][0] * N_IN, DTYPE_F32);
        for (size_t row = 0; row < 192; row++)
            for (size_t k = 0; k < groups * pair; k++) {
                size_t at = ((row / 64 * groups + k / pair) * 64 + row % 64) * pair + k % pair;
                float want = row < N_OUT && k < N_IN ? rows[row * N_IN + k] : 0;
                want = dtype == DTYPE_F32 ? want : f32_from_bf16(bf16_from_f32(want));
                check_near(check_read(w.panels, dtype, at), want, 0, dtype_name(dtype), row, k);
            }
        free(w.panels);
    }
    free(rows);
}

/* From each source dtype, and read back by matrix_row. */
static void test_pack_sources(void **state)
{
    (void)state;
    static const uint16_t f16[4] = {0x3c00, 0xc000, 0x0001, 0x7bff}, bf16[4] = {0x3f80, 0xc000, 0x3eab, 0x4780};
    static const float from_f16[4] = {1, -2, 0x1p-24f, 65504}, from_bf16[4] = {1, -2, 0.333984375f, 65536};
    static const float from_f16_rounded[4] = {1, -2, 0x1p-24f, 65536};
    float out[4];
    for (int d = 0; d < 2; d++) {
        struct matrix w = {check_dtypes[d], 2, 4, check_alloc(matrix_bytes(2, 4, check_dtypes[d], LAYOUT_PANELS)), NULL, LAYOUT_PANELS};
        matrix_pack_rows(&w, 1, 1, f16, DTYPE_F16);
        matrix_pack_rows(&w, 0, 1, bf16, DTYPE_BF16);
        matrix_row(&w, 1, out);
        assert_memory_equal(out, check_dtypes[d] == DTYPE_F32 ? from_f16 : from_f16_rounded, sizeof out);
        matrix_row(&w, 0, out);
        assert_memory_equal(out, from_bf16, sizeof out);
        free(w.panels);
    }
}

static void test_swiglu_places(void **state)
{
    (void)state;
    assert_int_equal(swiglu_gate_row(0), 0);
    assert_int_equal(swiglu_gate_row(31), 31);
    assert_int_equal(swiglu_gate_row(32), 64);
    assert_int_equal(swiglu_gate_row(4863), 9695);
}

/* ---- against ref --------------------------------------------------------------------------------------------------------- */

/* v = x W^T + bias by ref, in f32, and the same of absolute values: the scale of v's rounding errors. */
struct expected {
    float *v, *size;
};

static void absolute(float *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = fabsf(from[i]);
}

static struct expected expect(const struct product *p)
{
    struct shape s = p->shape;
    struct expected e = {check_alloc(s.n * p->ldy * sizeof(float)), check_alloc(s.n * p->ldy * sizeof(float))};
    struct product sizes = product_make(s, p->dtype, p->ldx - s.n_in); /* of the same strides; operands are set below */
    sizes.ldy = p->ldy;
    absolute(sizes.x_f32, p->x_f32, s.n * p->ldx);
    absolute(sizes.w_f32, p->w_f32, s.n_out * s.n_in);
    absolute(sizes.bias, p->bias, s.n_out);
    dtype_convert(sizes.x, p->dtype, sizes.x_f32, DTYPE_F32, s.n * p->ldx);
    matrix_pack_rows(&sizes.w, 0, s.n_out, sizes.w_f32, DTYPE_F32);
    if (!p->w.bias)
        sizes.w.bias = NULL;
    struct gemm plain = product_call(p, EPILOGUE_NONE, DTYPE_F32, e.v), size = product_call(&sizes, EPILOGUE_NONE, DTYPE_F32, e.size);
    check_table("ref")->gemm(&plain, 1);
    check_table("ref")->gemm(&size, 1);
    product_free(&sizes);
    return e;
}

/* Bound of |v - exact|. In the worst case each of n_in additions errs by 2^-24 of a partial sum, which is at most `size`; errors
 * of either sign add up like a random walk, so the square root of n_in with a factor for luck. One product left out would be off
 * by about size / n_in, ten times as much at the longest sum here. */
static double v_bound(const struct product *p, const struct expected *e, size_t at)
{
    return 2 * sqrt((double)p->shape.n_in + 4) * 0x1p-24 * e->size[at];
}

/* Bound of an output before it is rounded to the output dtype. The activations have slopes below 1.13, and errors of their own of
 * 4e-7 |v|, as cpu/math.h states. */
static double y_bound(const struct product *p, const struct expected *e, enum epilogue epilogue, size_t i, size_t j, double want)
{
    size_t at = i * p->ldy + j, gate = i * p->ldy + swiglu_gate_row(j), up = gate + 32;
    switch (epilogue) {
    case EPILOGUE_NONE:
        return v_bound(p, e, at);
    case EPILOGUE_ADD:
        return v_bound(p, e, at) + 0x1p-23 * (fabs(want) + 1);
    case EPILOGUE_GELU_TANH:
    case EPILOGUE_GELU_ERF:
        return 1.13 * v_bound(p, e, at) + 4e-7 * fabs(e->v[at]);
    case EPILOGUE_SWIGLU:
        return (1.13 * v_bound(p, e, gate) + 5e-7 * fabs(e->v[gate])) * (fabs(e->v[up]) + v_bound(p, e, up)) +
               (fabs(e->v[gate]) + 1) * v_bound(p, e, up);
    }
    return 0;
}

static void compare(const struct kernels *k, const struct product *p, const struct expected *e, enum epilogue epilogue, enum dtype out,
                    uint64_t seed)
{
    struct shape s = p->shape;
    size_t columns = epilogue == EPILOGUE_SWIGLU ? s.n_out / 2 : s.n_out;
    float *before = check_floats(s.n * p->ldy, seed, "before"), *want = check_copy(before, s.n * p->ldy * sizeof *before);
    void *got = check_act(before, s.n * p->ldy, out);
    struct gemm reference = product_call(p, epilogue, DTYPE_F32, want), call = product_call(p, epilogue, out, got);
    check_table("ref")->gemm(&reference, 1);
    k->gemm(&call, 1);
    char what[200];
    snprintf(what, sizeof what, "%s %s to %s, epilogue %d, %zu x %zu x %zu, seed %llu", k->name, dtype_name(p->dtype), dtype_name(out),
             (int)epilogue, s.n, s.n_out, s.n_in, (unsigned long long)seed);
    for (size_t i = 0; i < s.n; i++)
        for (size_t j = 0; j < p->ldy; j++) {
            double value = want[i * p->ldy + j], bound = 0;
            if (j < columns)
                bound = y_bound(p, e, epilogue, i, j, value);
            if (out == DTYPE_BF16)
                bound += 0x1p-8 * (fabs(value) + bound) + 0x1p-126; /* half of the last place, or a subnormal */
            check_near(check_read(got, out, i * p->ldy + j), value, bound, what, i, j);
        }
    free(before);
    free(want);
    free(got);
}

static const struct shape shapes[] = {
    {1, 1, 1},    {1, 64, 2},    {1, 200, 257},  {2, 63, 3},    {3, 65, 31},   {4, 130, 64},  {5, 16, 129},  {6, 64, 96},
    {7, 192, 65}, {11, 128, 77}, {13, 17, 1000}, {97, 96, 50},  {194, 64, 33}, {100, 70, 12}, {2, 70, 9001}, {9, 64, 4300},
};

static void check_against_ref(const struct kernels *k)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int d = 0; d < 2; d++) {
            uint64_t seed = 100 + i;
            struct product p = product_make(shapes[i], check_dtypes[d], seed);
            if (i % 4 == 3)
                p.w.bias = NULL;
            struct expected e = expect(&p);
            for (enum epilogue epilogue = EPILOGUE_NONE; epilogue <= EPILOGUE_SWIGLU; epilogue++) {
                if (epilogue == EPILOGUE_SWIGLU && shapes[i].n_out % PANEL)
                    continue;
                compare(k, &p, &e, epilogue, DTYPE_F32, seed);
                if (check_dtypes[d] == DTYPE_BF16 && epilogue != EPILOGUE_ADD)
                    compare(k, &p, &e, epilogue, DTYPE_BF16, seed);
            }
            free(e.v);
            free(e.size);
            product_free(&p);
        }
}

static void test_against_ref(void **state)
{
    (void)state;
    check_tables(check_against_ref);
}

/* The activations over their whole range, through a 1x1 product: far out, at zero, and densely where they bend. */
static void check_activations(const struct kernels *k)
{
    enum { N = 24001 };
    static const float one = 1;
    struct matrix w = pack(&one, 1, 1, DTYPE_F32, NULL);
    float *x = check_alloc(N * sizeof *x), *got = check_alloc(N * sizeof *got), *want = check_alloc(N * sizeof *want);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) * 1e-3f;
    x[0] = -1e30f, x[1] = -300, x[N - 2] = 300, x[N - 1] = 1e30f;
    for (enum epilogue epilogue = EPILOGUE_GELU_TANH; epilogue <= EPILOGUE_GELU_ERF; epilogue++) {
        struct gemm call = {N, x, 1, &w, epilogue, got, 1, DTYPE_F32, NULL, NULL}, reference = {N, x, 1, &w, epilogue, want, 1, DTYPE_F32, NULL, NULL};
        k->gemm(&call, 1);
        check_table("ref")->gemm(&reference, 1);
        for (size_t i = 0; i < N; i++)
            check_near(got[i], want[i], 4e-7 * fabs(x[i]), k->name, (size_t)epilogue, i);
    }
    free(x);
    free(got);
    free(want);
    free(w.panels);
}

static void test_activations(void **state)
{
    (void)state;
    check_tables(check_activations);
}

/* ---- determinism --------------------------------------------------------------------------------------------------------- */

static void run_rows(const struct kernels *k, const struct product *p, size_t first, size_t n, char *y, enum epilogue epilogue, int threads)
{
    struct gemm call = product_call(p, epilogue, DTYPE_F32, y + first * p->ldy * sizeof(float));
    call.x = (const char *)p->x + first * p->ldx * dtype_size(p->dtype);
    call.n = n;
    k->gemm(&call, threads);
}

static void check_same_bits(const struct kernels *k)
{
    static const struct shape some[] = {{205, 128, 100}, {29, 192, 4611}};
    static const size_t pieces[] = {1, 2, 3, 5, 6, 7, 100};
    for (size_t i = 0; i < 4; i++) {
        struct product p = product_make(some[i / 2], check_dtypes[i % 2], 7);
        size_t bytes = p.shape.n * p.ldy * sizeof(float);
        char *whole = check_alloc(bytes), *split = check_alloc(bytes);
        for (enum epilogue epilogue = EPILOGUE_NONE; epilogue <= EPILOGUE_SWIGLU; epilogue++) {
            memset(whole, 0, bytes);
            run_rows(k, &p, 0, p.shape.n, whole, epilogue, 1);
            for (size_t piece = 0; piece < sizeof pieces / sizeof *pieces; piece++) {
                memset(split, 0, bytes);
                for (size_t row = 0, n; row < p.shape.n; row += n) {
                    n = p.shape.n - row < pieces[piece] ? p.shape.n - row : pieces[piece];
                    run_rows(k, &p, row, n, split, epilogue, 1 + (int)(piece % 3));
                }
                check_equal(split, whole, bytes, k->name);
            }
            for (int threads = 2; threads <= 3; threads++) {
                memset(split, 0, bytes);
                run_rows(k, &p, 0, p.shape.n, split, epilogue, threads);
                check_equal(split, whole, bytes, k->name);
            }
        }
        free(whole);
        free(split);
        product_free(&p);
    }
}

static void test_same_bits(void **state)
{
    (void)state;
    check_tables(check_same_bits);
}

/* ---- int8 ---------------------------------------------------------------------------------------------------------------- */

enum { I8_ROWS = 29, I8_EXTRA = 3 };

/* A product in int8: rows of x in bf16, one of them zero, one with a single large value. */
struct narrow_product {
    struct shape shape;
    uint16_t *x;
    float *bias;
    struct matrix w;
};

static struct narrow_product narrow_make(struct shape s, uint64_t seed)
{
    float *x = check_floats(s.n * s.n_in, seed, "x"), *w = check_floats(s.n_out * s.n_in, seed, "w");
    memset(x + s.n / 2 * s.n_in, 0, s.n_in * sizeof *x);
    x[s.n_in - 1] = 1000;
    memset(w, 0, s.n_in * sizeof *w);
    struct narrow_product p = {.shape = s, .x = check_act(x, s.n * s.n_in, DTYPE_BF16), .bias = check_alloc((s.n_out + PANEL) * sizeof(float))};
    check_fill(p.bias, s.n_out, seed, "bias");
    p.w = pack(w, s.n_out, s.n_in, DTYPE_I8, p.bias);
    free(x);
    free(w);
    return p;
}

static void narrow_free(struct narrow_product *p)
{
    free(p->x);
    free(p->bias);
    free(p->w.panels);
}

static void narrow_run(const struct kernels *k, const struct narrow_product *p, size_t first, size_t n, enum epilogue epilogue, float *y, int threads)
{
    void *narrow = check_alloc(narrow_bytes(n, p->shape.n_in));
    size_t ldy = p->shape.n_out;
    struct gemm g = {n, p->x + first * p->shape.n_in, p->shape.n_in, &p->w, epilogue, y + first * ldy, ldy, DTYPE_F32, NULL, NULL};
    kernels_linear(k, g, narrow, threads);
    free(narrow);
}

/* Weights lie where kernels.h says and are within half a step of what they were. */
static void test_pack_int8(void **state)
{
    (void)state;
    enum { N_OUT = 70, N_IN = 131, GROUPS = 33 };
    float *rows = check_floats(N_OUT * N_IN, 5, "rows"), back[N_IN];
    struct matrix w = {DTYPE_I8, N_OUT, N_IN, check_alloc(matrix_bytes(N_OUT, N_IN, DTYPE_I8, LAYOUT_PANELS)), NULL, LAYOUT_PANELS};
    assert_int_equal(matrix_bytes(N_OUT, N_IN, DTYPE_I8, LAYOUT_PANELS), 2 * GROUPS * 64 * 4 + 128 * sizeof(float));
    matrix_pack_rows(&w, 66, 4, rows + 66 * N_IN, DTYPE_F32);
    matrix_pack_rows(&w, 0, 66, rows, DTYPE_F32);
    for (size_t row = 0; row < N_OUT; row++) {
        float largest = 0, scale = matrix_scales(&w)[row];
        for (size_t k = 0; k < N_IN; k++)
            largest = fmaxf(largest, fabsf(rows[row * N_IN + k]));
        check_near(scale, largest / 127, 0, "scale", row, 0);
        matrix_row(&w, row, back);
        for (size_t k = 0; k < N_IN; k++) {
            size_t at = ((row / 64 * GROUPS + k / 4) * 64 + row % 64) * 4 + k % 4;
            check_near(back[k], rows[row * N_IN + k], 0.5001 * (double)scale, "weight", row, k);
            check_near(back[k], (((const uint8_t *)w.panels)[at] - 128) * (double)scale, 1e-6, "place", row, k);
        }
    }
    free(rows);
    free(w.panels);
}

/* Sums are exact, so that nothing but the scaling and the epilogue in f32 is left to err, a hundredth of a byte wrong; and neither batching nor threads, nor here
 * the table, change a bit. */
static void check_int8(const struct kernels *k)
{
    static const struct shape some[] = {{1, 64, 1}, {7, 128, 67}, {I8_ROWS, 192, 333}, {13, 64, 9001}, {5, 70, 64}, {200, 64, 130}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct shape s = some[i];
        struct narrow_product p = narrow_make(s, 60 + i);
        size_t bytes = s.n * s.n_out * sizeof(float);
        for (enum epilogue epilogue = EPILOGUE_NONE; epilogue <= EPILOGUE_SWIGLU; epilogue++) {
            if (epilogue == EPILOGUE_SWIGLU && s.n_out % PANEL)
                continue;
            float *want = check_alloc(bytes), *got = check_alloc(bytes), *split = check_alloc(bytes);
            narrow_run(check_table("ref"), &p, 0, s.n, epilogue, want, 1);
            narrow_run(k, &p, 0, s.n, epilogue, got, 2);
            for (size_t at = 0; at < s.n * s.n_out; at++)
                check_near(got[at], want[at], 3e-5 * (fabs(want[at]) + 1), k->name, (size_t)epilogue, at);
            for (size_t row = 0; row < s.n; row += I8_EXTRA)
                narrow_run(k, &p, row, s.n - row < I8_EXTRA ? s.n - row : I8_EXTRA, epilogue, split, 1);
            check_equal(split, got, bytes, k->name);
            free(want);
            free(got);
            free(split);
        }
        narrow_free(&p);
    }
}

static void test_int8(void **state)
{
    (void)state;
    check_tables(check_int8);
}

/* ---- bench --------------------------------------------------------------------------------------------------------------- */

struct timed {
    const struct check_bench *bench;
    struct gemm call;
};

static void timed_call(const void *context)
{
    const struct timed *timed = context;
    timed->bench->k->gemm(&timed->call, timed->bench->threads);
}

static void bench_shape(const struct check_bench *bench, enum dtype dtype, struct shape s, enum epilogue epilogue, double peak)
{
    float *row = check_floats(s.n_in, 1, "row"), *bias = check_alloc((s.n_out + PANEL) * sizeof *bias);
    struct matrix w = {dtype, s.n_out, s.n_in, check_alloc(matrix_bytes(s.n_out, s.n_in, dtype, LAYOUT_PANELS)), bias, LAYOUT_PANELS};
    char *x = check_alloc(s.n * s.n_in * dtype_size(dtype)), *y = check_alloc(s.n * s.n_out * sizeof(float));
    for (size_t i = 0; i < s.n_out; i++)
        matrix_pack_rows(&w, i, 1, row, DTYPE_F32);
    for (size_t i = 0; i < s.n; i++)
        dtype_convert(x + i * s.n_in * dtype_size(dtype), dtype, row, DTYPE_F32, s.n_in);
    enum dtype out = epilogue == EPILOGUE_ADD ? DTYPE_F32 : dtype;
    struct timed timed = {bench, {s.n, x, s.n_in, &w, epilogue, y, s.n_out, out, NULL, NULL}};
    double took = check_time(bench, timed_call, &timed), gflops = 2e-9 * (double)(s.n * s.n_in * s.n_out) / took;
    printf("%s %s n %4zu, %5zu -> %6zu, epilogue %d: %8.3f ms %7.1f GFLOP/s %5.1f %% of peak, %5.1f GB/s of weights\n", bench->k->name,
           dtype_name(dtype), s.n, s.n_in, s.n_out, (int)epilogue, 1e3 * took, gflops, 100 * gflops / peak,
           1e-9 * (double)matrix_bytes(s.n_out, s.n_in, dtype, LAYOUT_PANELS) / took);
    free(row);
    free(bias);
    free(w.panels);
    free(x);
    free(y);
}

static int bench_all(const struct check_bench *bench)
{
    static const struct {
        struct shape shape;
        enum epilogue epilogue;
    } cases[] = {
        {{1024, 1152, 1152}, EPILOGUE_ADD},      {{1024, 3456, 1152}, EPILOGUE_NONE}, {{1024, 4304, 1152}, EPILOGUE_GELU_TANH},
        {{1024, 1152, 4304}, EPILOGUE_ADD},      {{1024, 1152, 896}, EPILOGUE_NONE},  {{1024, 9728, 896}, EPILOGUE_SWIGLU},
        {{1024, 896, 4864}, EPILOGUE_ADD},       {{729, 896, 1152}, EPILOGUE_GELU_ERF}, {{256, 3584, 18944}, EPILOGUE_ADD},
        {{1, 9728, 896}, EPILOGUE_SWIGLU},       {{1, 896, 4864}, EPILOGUE_ADD},      {{1, 151936, 896}, EPILOGUE_NONE},
        {{7, 9728, 896}, EPILOGUE_SWIGLU},
    };
    for (int d = 1; d >= 0; d--) {
        double peak = kernels_peak_gflops(bench->k, check_dtypes[d], bench->threads, 1);
        printf("%s %s, %d thread(s): peak %.1f GFLOP/s\n", bench->k->name, dtype_name(check_dtypes[d]), bench->threads, peak);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            bench_shape(bench, check_dtypes[d], cases[i].shape, cases[i].epilogue, peak);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct check_bench bench;
    if (check_wants_bench(argc, argv, &bench))
        return bench_all(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_places), cmocka_unit_test(test_pack_sources), cmocka_unit_test(test_swiglu_places),
        cmocka_unit_test(test_against_ref), cmocka_unit_test(test_activations),  cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_pack_int8),   cmocka_unit_test(test_int8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
