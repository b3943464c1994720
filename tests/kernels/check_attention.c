/* Attention and the kv cache of each table against ref: grouped heads, odd head sizes, causal and full, old values past the written
 * keys; and the promise that a query's bits depend on nothing but its keys. `--bench [table [threads]]` times the target models. */
#include "tests/kernels/check.h"

#include "engine/kernels/peak.h"

struct layer {
    int heads, kv_heads, head_dim;
    size_t n_keys;
};

/* One layer's cache, filled, and queries for each position. */
struct fixture {
    struct layer layer;
    enum dtype dtype;
    uint64_t seed;
    struct kv kv;
    float *keys, *values, *queries; /* f32 rows: [n_keys][kv_ld], [n_keys][kv_ld], [n_keys][q_ld] */
    size_t kv_ld, q_ld;
    void *q;                        /* act */
    float *bias;                    /* [n_keys] or NULL */
};

static struct kv kv_make(struct layer layer, enum dtype dtype, float stale)
{
    size_t capacity = (layer.n_keys + 63) / 64 * 64;
    struct kv kv = {dtype, layer.kv_heads, layer.head_dim, capacity, NULL, NULL, LAYOUT_PANELS, 1};
    kv.keys = check_alloc(kv_key_bytes(&kv));
    kv.values = check_alloc(kv_value_bytes(&kv));
    size_t width = (size_t)(layer.kv_heads * layer.head_dim);
    float *old = check_alloc(capacity * width * sizeof *old);
    for (size_t i = 0; i < capacity * width; i++)
        old[i] = i % 2 ? stale : -stale;
    check_table("ref")->kv_write(&kv, 0, capacity, old, old, width, 1);
    free(old);
    return kv;
}

static void kv_free(struct kv *kv)
{
    free(kv->keys);
    free(kv->values);
}

static struct fixture fixture_make(struct layer layer, enum dtype dtype, uint64_t seed)
{
    struct fixture f = {.layer = layer, .dtype = dtype, .seed = seed};
    f.kv_ld = (size_t)(layer.kv_heads * layer.head_dim) + seed % 4;
    f.q_ld = (size_t)(layer.heads * layer.head_dim) + seed % 3;
    f.keys = check_floats(layer.n_keys * f.kv_ld, seed, "keys");
    f.values = check_floats(layer.n_keys * f.kv_ld, seed, "values");
    f.queries = check_floats(layer.n_keys * f.q_ld, seed, "queries");
    f.q = check_act(f.queries, layer.n_keys * f.q_ld, dtype);
    f.kv = kv_make(layer, dtype, 1e30f);
    check_table("ref")->kv_write(&f.kv, 0, layer.n_keys, f.keys, f.values, f.kv_ld, 1);
    return f;
}

static void fixture_free(struct fixture *f)
{
    free(f->keys);
    free(f->values);
    free(f->queries);
    free(f->q);
    free(f->bias);
    kv_free(&f->kv);
}

/* Logs of sizes 1 to 4, and keys hidden one by one, by the block, and all but one of the first 300. */
static void fixture_bias(struct fixture *f)
{
    f->bias = check_alloc(f->layer.n_keys * sizeof *f->bias);
    for (size_t j = 0; j < f->layer.n_keys; j++)
        f->bias[j] = (j * 7 + f->seed) % 3 == 0 || (j >= 1 && j < 300 && f->seed % 2) ? -INFINITY : logf(1 + (float)(j % 4));
    f->bias[0] = 0.5f; /* what every query sees */
}

/* Queries first..first+n-1 into their rows of `out` ([n_keys][q_ld], act). */
static void attend(const struct kernels *k, const struct fixture *f, const struct kv *kv, size_t first, size_t n, bool causal,
                   float scale, char *out, int threads)
{
    size_t row = f->q_ld * dtype_size(f->dtype);
    void *scratch = check_alloc(attention_scratch_bytes(k, kv, threads));
    struct attention a = {
        .n = n,
        .first = first,
        .n_keys = f->layer.n_keys,
        .causal = causal,
        .heads = f->layer.heads,
        .scale = scale,
        .kv = kv,
        .q = (const char *)f->q + first * row,
        .ldq = f->q_ld,
        .out = out + first * row,
        .ldo = f->q_ld,
        .scratch = scratch,
        .bias = f->bias,
    };
    k->attention(&a, threads);
    free(scratch);
}

/* ---- the cache ----------------------------------------------------------------------------------------------------------- */

/* ref writes where kernels.h says. */
static void test_cache_places(void **state)
{
    (void)state;
    struct layer layer = {2, 2, 72, 130};
    for (int d = 0; d < 2; d++) {
        enum dtype dtype = check_dtypes[d];
        size_t pair = dtype == DTYPE_F32 ? 1 : 2;
        struct fixture f = fixture_make(layer, dtype, 3);
        assert_int_equal(f.kv.capacity, 192);
        assert_int_equal(kv_key_bytes(&f.kv), 2 * 192 * 72 * dtype_size(dtype));
        assert_int_equal(kv_value_bytes(&f.kv), 2 * 192 * 80 * dtype_size(dtype));
        for (size_t head = 0; head < 2; head++)
            for (size_t j = 0; j < layer.n_keys; j++)
                for (size_t c = 0; c < 72; c++) {
                    size_t block = head * 3 + j / 64, at = j * f.kv_ld + head * 72 + c;
                    size_t key_at = ((block * (72 / pair) + c / pair) * 64 + j % 64) * pair + c % pair;
                    size_t value_at = ((block * (64 / pair) + j % 64 / pair) * 80 + c) * pair + j % pair;
                    float key = dtype == DTYPE_F32 ? f.keys[at] : f32_from_bf16(bf16_from_f32(f.keys[at]));
                    float value = dtype == DTYPE_F32 ? f.values[at] : f32_from_bf16(bf16_from_f32(f.values[at]));
                    check_near(check_read(f.kv.keys, dtype, key_at), key, 0, "keys", j, c);
                    check_near(check_read(f.kv.values, dtype, value_at), value, 0, "values", j, c);
                }
        fixture_free(&f);
    }
}

/* Every table writes the same bits as ref, in pieces that begin and end anywhere, and leaves other positions alone. */
static void check_cache_writes(const struct kernels *k)
{
    static const size_t pieces[] = {1, 2, 63, 64, 65, 130};
    static const struct layer layers[] = {{2, 2, 72, 150}, {3, 1, 2, 100}, {1, 1, 256, 70}, {4, 4, 30, 129}};
    for (size_t i = 0; i < 8; i++)
        for (size_t piece = 0; piece < sizeof pieces / sizeof *pieces; piece++) {
            struct fixture f = fixture_make(layers[i / 2], check_dtypes[i % 2], 10 + i);
            struct kv kv = kv_make(f.layer, f.dtype, 1e30f);
            for (size_t first = 0, n; first < f.layer.n_keys; first += n) {
                n = f.layer.n_keys - first < pieces[piece] ? f.layer.n_keys - first : pieces[piece];
                k->kv_write(&kv, first, n, f.keys + first * f.kv_ld, f.values + first * f.kv_ld, f.kv_ld, 1 + (int)piece % 3);
            }
            check_equal(kv.keys, f.kv.keys, kv_key_bytes(&kv), k->name);
            check_equal(kv.values, f.kv.values, kv_value_bytes(&kv), k->name);
            kv_free(&kv);
            fixture_free(&f);
        }
}

static void test_cache_writes(void **state)
{
    (void)state;
    check_tables(check_cache_writes);
}

/* ---- against ref --------------------------------------------------------------------------------------------------------- */

/* Most any |q.k| can be. */
static double greatest_product(const struct fixture *f)
{
    double q = 0, key = 0;
    for (size_t i = 0; i < f->layer.n_keys * f->q_ld; i++)
        q = fmax(q, fabsf(f->queries[i]));
    for (size_t i = 0; i < f->layer.n_keys * f->kv_ld; i++)
        key = fmax(key, fabsf(f->keys[i]));
    return q * key * f->layer.head_dim;
}

/* What relative error a weight may have. A score errs by some 2^-22 of the greatest product (its sum, its scaling, the shift by the
 * maximum), which is the relative error of its exponential; the exponential adds 2e-7 (3e-6 for bf16), the sum of weights 2^-22;
 * and weights are rounded to bf16, by 2^-9 of the power of two above them. */
static double weight_bound(const struct fixture *f, double scale)
{
    double scores = scale * greatest_product(f) * 0x1p-22;
    return scores + (f->dtype == DTYPE_F32 ? 1e-6 : 1e-5 + 0x1p-8);
}

/* ref with |values|: the scale of the errors in the sum over values. */
static char *size_of_sums(const struct fixture *f, size_t first, size_t n, bool causal, float scale)
{
    struct kv kv = kv_make(f->layer, f->dtype, 1);
    size_t values = f->layer.n_keys * f->kv_ld;
    float *size = check_alloc(values * sizeof *size);
    for (size_t i = 0; i < values; i++)
        size[i] = fabsf(f->values[i]);
    check_table("ref")->kv_write(&kv, 0, f->layer.n_keys, f->keys, size, f->kv_ld, 1);
    char *out = check_alloc(f->layer.n_keys * f->q_ld * dtype_size(f->dtype));
    attend(check_table("ref"), f, &kv, first, n, causal, scale, out, 1);
    free(size);
    kv_free(&kv);
    return out;
}

/* One call of attention and what ref makes of it. */
struct expected {
    const struct fixture *f;
    size_t first, n;
    bool causal;
    float scale;
    char *out, *size;
};

static void compare(const struct kernels *k, const struct expected *e)
{
    const struct fixture *f = e->f;
    size_t bytes = f->layer.n_keys * f->q_ld * dtype_size(f->dtype), width = (size_t)(f->layer.heads * f->layer.head_dim);
    char *got = check_alloc(bytes), what[200];
    double error = 2 * weight_bound(f, e->scale), rounding = f->dtype == DTYPE_BF16 ? 0x1p-7 : 0;
    memset(got, 0x55, bytes);
    attend(k, f, &f->kv, e->first, e->n, e->causal, e->scale, got, 1);
    snprintf(what, sizeof what, "%s %s, %s, scale %g, queries %zu+%zu of %zu, %d/%d heads of %d, seed %llu", k->name, dtype_name(f->dtype),
             e->causal ? "causal" : "full", (double)e->scale, e->first, e->n, f->layer.n_keys, f->layer.heads, f->layer.kv_heads,
             f->layer.head_dim, (unsigned long long)f->seed);
    for (size_t i = 0; i < f->layer.n_keys; i++)
        for (size_t j = 0; j < f->q_ld; j++) {
            size_t at = i * f->q_ld + j;
            double value = check_read(e->out, f->dtype, at), bound = 0;
            if (i >= e->first && i < e->first + e->n && j < width)
                bound = error * check_read(e->size, f->dtype, at) + rounding * fabs(value);
            check_near(check_read(got, f->dtype, at), value, bound, what, i, j);
        }
    free(got);
}

static void compare_all(const struct fixture *f, size_t first, size_t n, bool causal, float scale)
{
    size_t bytes = f->layer.n_keys * f->q_ld * dtype_size(f->dtype);
    struct expected e = {f, first, n, causal, scale, check_alloc(bytes), size_of_sums(f, first, n, causal, scale)};
    memset(e.out, 0x55, bytes);
    attend(check_table("ref"), f, &f->kv, first, n, causal, scale, e.out, 1);
    for (const char *const *name = kernels_names(); *name; name++)
        if (check_wanted(*name))
            compare(check_table(*name), &e);
    free(e.out);
    free(e.size);
}

static const struct layer layers[] = {
    {1, 1, 2, 1},    {2, 2, 72, 73},  {7, 1, 64, 65},   {14, 2, 64, 140},  {4, 4, 72, 257},   {3, 1, 30, 64},
    {2, 1, 80, 129}, {4, 2, 96, 255}, {2, 1, 128, 513}, {1, 1, 256, 270}, {16, 16, 16, 100}, {5, 1, 250, 40},
};

static void test_against_ref(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int d = 0; d < 2; d++) {
            struct fixture f = fixture_make(layers[i], check_dtypes[d], 20 + i);
            float scale = 1 / sqrtf((float)f.layer.head_dim);
            size_t keys = f.layer.n_keys;
            compare_all(&f, 0, keys, true, scale);
            compare_all(&f, keys / 2, (keys + 7) / 8, false, scale);
            compare_all(&f, keys - 1, 1, true, scale);
            compare_all(&f, keys / 2, (keys + 3) / 4, true, 8 * scale); /* a sharp softmax, whose maximum moves */
            fixture_free(&f);
        }
}

/* ---- determinism --------------------------------------------------------------------------------------------------------- */

static void check_split(const struct kernels *k, const struct fixture *f, bool causal, const char *whole)
{
    static const size_t pieces[] = {1, 3, 7, 64, 200};
    size_t bytes = f->layer.n_keys * f->q_ld * dtype_size(f->dtype);
    char *split = check_alloc(bytes);
    for (size_t piece = 0; piece < sizeof pieces / sizeof *pieces; piece++) {
        memset(split, 0, bytes);
        for (size_t first = 0, n; first < f->layer.n_keys; first += n) {
            n = f->layer.n_keys - first < pieces[piece] ? f->layer.n_keys - first : pieces[piece];
            attend(k, f, &f->kv, first, n, causal, 0.3f, split, 1 + (int)piece % 3);
        }
        check_equal(split, whole, bytes, k->name);
    }
    free(split);
}

/* Prefill of a prefix, then of the rest, with other old values behind the prefix: how a shared prefix is used. */
static void check_prefix(const struct kernels *k, const struct fixture *f, const char *whole)
{
    size_t bytes = f->layer.n_keys * f->q_ld * dtype_size(f->dtype), keys = f->layer.n_keys;
    char *split = check_alloc(bytes);
    for (size_t prefix = 1; prefix < keys; prefix += keys / 5 + 1) {
        struct kv kv = kv_make(f->layer, f->dtype, prefix % 2 ? 3e38f : 0);
        struct fixture part = *f;
        part.layer.n_keys = prefix;
        k->kv_write(&kv, 0, prefix, f->keys, f->values, f->kv_ld, 1);
        attend(k, &part, &kv, 0, prefix, true, 0.3f, split, 2);
        k->kv_write(&kv, prefix, keys - prefix, f->keys + prefix * f->kv_ld, f->values + prefix * f->kv_ld, f->kv_ld, 2);
        attend(k, f, &kv, prefix, keys - prefix, true, 0.3f, split, 1);
        check_equal(split, whole, bytes, k->name);
        kv_free(&kv);
    }
    free(split);
}

static void check_same_bits(const struct kernels *k)
{
    static const struct layer some[] = {{7, 1, 64, 530}, {4, 2, 72, 301}, {2, 2, 30, 67}};
    for (size_t i = 0; i < 6; i++) {
        struct fixture f = fixture_make(some[i / 2], check_dtypes[i % 2], 40 + i);
        char *whole = check_alloc(f.layer.n_keys * f.q_ld * dtype_size(f.dtype));
        attend(k, &f, &f.kv, 0, f.layer.n_keys, false, 0.3f, whole, 1);
        check_split(k, &f, false, whole);
        attend(k, &f, &f.kv, 0, f.layer.n_keys, true, 0.3f, whole, 1);
        check_split(k, &f, true, whole);
        check_prefix(k, &f, whole);
        free(whole);
        fixture_free(&f);
    }
}

static void test_same_bits(void **state)
{
    (void)state;
    check_tables(check_same_bits);
}

/* ---- the weights themselves ---------------------------------------------------------------------------------------------- */

/* Weights of queries first..first+n-1: [n][heads][n_keys]; what is behind them must stay. */
static float *weigh(const struct kernels *k, const struct fixture *f, size_t first, size_t n, bool causal, float scale, int threads)
{
    size_t count = n * (size_t)f->layer.heads * f->layer.n_keys;
    float *weights = check_alloc((count + 16) * sizeof *weights);
    void *scratch = check_alloc(attention_scratch_bytes(k, &f->kv, threads));
    struct attention a = {.n = n, .first = first, .n_keys = f->layer.n_keys, .causal = causal, .heads = f->layer.heads, .scale = scale,
                          .kv = &f->kv, .q = (const char *)f->q + first * f->q_ld * dtype_size(f->dtype), .ldq = f->q_ld, .scratch = scratch,
                          .bias = f->bias};
    for (size_t i = 0; i < count + 16; i++)
        weights[i] = -7;
    k->attention_weights(&a, weights, threads);
    for (size_t i = count; i < count + 16; i++)
        assert_true(weights[i] == -7);
    free(scratch);
    return weights;
}

static void compare_weights(const struct kernels *k, const struct fixture *f, size_t first, size_t n, bool causal, float scale)
{
    float *want = weigh(check_table("ref"), f, first, n, causal, scale, 1), *got = weigh(k, f, first, n, causal, scale, 1);
    size_t keys = f->layer.n_keys, rows = n * (size_t)f->layer.heads;
    double bound = 2 * (scale * greatest_product(f) * 0x1p-22 + 1e-6);
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t key = 0; key < keys; key++) {
            bool hidden = causal && key > first + r / (size_t)f->layer.heads;
            check_near(got[r * keys + key], want[r * keys + key], hidden ? 0 : bound * want[r * keys + key] + 1e-37, k->name, r, key);
            sum += got[r * keys + key];
        }
        check_near(sum, 1, 1e-5, k->name, r, keys);
    }
    free(want);
    free(got);
}

/* Pieces of queries and threads leave every bit alone. */
static void compare_weight_pieces(const struct kernels *k, const struct fixture *f)
{
    size_t keys = f->layer.n_keys, row = (size_t)f->layer.heads * keys;
    float *whole = weigh(k, f, 0, keys, true, 0.3f, 1);
    for (size_t first = 0, n; first < keys; first += n) {
        n = keys - first < 11 ? keys - first : 11;
        float *piece = weigh(k, f, first, n, true, 0.3f, 1 + (int)first % 3);
        check_equal(piece, whole + first * row, n * row * sizeof *piece, k->name);
        free(piece);
    }
    free(whole);
}

static void check_weights(const struct kernels *k)
{
    static const struct layer some[] = {{1, 1, 2, 1}, {2, 2, 72, 73}, {7, 1, 64, 65}, {4, 2, 36, 257}, {3, 1, 30, 530}, {16, 16, 16, 100}};
    for (size_t i = 0; i < 2 * sizeof some / sizeof *some; i++) {
        struct fixture f = fixture_make(some[i / 2], check_dtypes[i % 2], 60 + i);
        float scale = 1 / sqrtf((float)f.layer.head_dim);
        compare_weights(k, &f, 0, f.layer.n_keys, false, scale);
        compare_weights(k, &f, f.layer.n_keys / 2, (f.layer.n_keys + 3) / 4, true, 4 * scale);
        compare_weight_pieces(k, &f);
        fixture_free(&f);
    }
}

static void test_weights(void **state)
{
    (void)state;
    check_tables(check_weights);
}

/* ---- biased keys --------------------------------------------------------------------------------------------------------- */

static void test_bias_against_ref(void **state)
{
    (void)state;
    static const struct layer some[] = {{2, 2, 72, 73}, {14, 2, 64, 140}, {4, 4, 30, 530}, {2, 1, 128, 700}};
    for (size_t i = 0; i < 2 * sizeof some / sizeof *some; i++) {
        struct fixture f = fixture_make(some[i / 2], check_dtypes[i % 2], 80 + i / 2);
        float scale = 1 / sqrtf((float)f.layer.head_dim);
        fixture_bias(&f);
        compare_all(&f, 0, f.layer.n_keys, true, scale);
        compare_all(&f, f.layer.n_keys / 2, 7, false, 4 * scale);
        fixture_free(&f);
    }
}

static void check_bias_bits(const struct kernels *k)
{
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = fixture_make((struct layer){4, 2, 30, 530}, check_dtypes[i], 90 + i);
        size_t bytes = f.layer.n_keys * f.q_ld * dtype_size(f.dtype);
        char *plain = check_alloc(bytes), *biased = check_alloc(bytes);
        attend(k, &f, &f.kv, 0, f.layer.n_keys, true, 0.3f, plain, 1);
        float *weights = weigh(k, &f, 500, 30, true, 0.3f, 1);
        fixture_bias(&f);
        for (size_t j = 0; j < f.layer.n_keys; j++)
            f.bias[j] = 0; /* zeros change nothing */
        attend(k, &f, &f.kv, 0, f.layer.n_keys, true, 0.3f, biased, 1);
        check_equal(biased, plain, bytes, k->name);
        float *same = weigh(k, &f, 500, 30, true, 0.3f, 1);
        check_equal(same, weights, 30 * 4 * f.layer.n_keys * sizeof *same, k->name);
        free(f.bias);
        fixture_bias(&f);
        attend(k, &f, &f.kv, 0, f.layer.n_keys, true, 0.3f, biased, 1);
        check_split(k, &f, true, biased);
        compare_weights(k, &f, 500, 30, true, 0.3f);
        free(plain);
        free(biased);
        free(weights);
        free(same);
        fixture_free(&f);
    }
}

static void test_bias_bits(void **state)
{
    (void)state;
    check_tables(check_bias_bits);
}

/* ---- bench --------------------------------------------------------------------------------------------------------------- */

struct timed {
    const struct check_bench *bench;
    struct attention call;
};

static void timed_call(const void *context)
{
    const struct timed *timed = context;
    timed->bench->k->attention(&timed->call, timed->bench->threads);
}

static void bench_layer(const struct check_bench *bench, enum dtype dtype, struct layer layer, size_t n, bool causal, double peak)
{
    size_t width = (size_t)(layer.heads * layer.head_dim), kv_width = (size_t)(layer.kv_heads * layer.head_dim);
    float *rows = check_floats(layer.n_keys * width, 1, "rows");
    struct kv kv = kv_make(layer, dtype, 0);
    bench->k->kv_write(&kv, 0, layer.n_keys, rows, rows, kv_width, bench->threads);
    void *q = check_act(rows, n * width, dtype), *out = check_alloc(n * width * dtype_size(dtype));
    void *scratch = check_alloc(attention_scratch_bytes(bench->k, &kv, bench->threads));
    struct timed timed = {bench,
                          {n, layer.n_keys - n, layer.n_keys, causal, layer.heads, 1 / sqrtf((float)layer.head_dim), &kv, q, width, out,
                           width, scratch, NULL}};
    double took = check_time(bench, timed_call, &timed), pairs = (double)n * (double)layer.n_keys;
    if (causal)
        pairs -= (double)n * ((double)n - 1) / 2;
    double gflops = 4e-9 * pairs * (double)width / took;
    printf("%s %s %5zu queries, %5zu keys, %s, %d/%d heads of %d: %9.3f ms %7.1f GFLOP/s %5.1f %% of peak\n", bench->k->name,
           dtype_name(dtype), n, layer.n_keys, causal ? "causal" : "full", layer.heads, layer.kv_heads, layer.head_dim, 1e3 * took, gflops,
           100 * gflops / peak);
    free(rows);
    free(q);
    free(out);
    free(scratch);
    kv_free(&kv);
}

static int bench_all(const struct check_bench *bench)
{
    static const struct {
        struct layer layer;
        size_t n;
        bool causal;
    } cases[] = {
        {{16, 16, 72, 729}, 729, false}, {{14, 2, 64, 2048}, 2048, true}, {{14, 2, 64, 8192}, 8192, true},
        {{28, 4, 128, 2048}, 2048, true}, {{14, 2, 64, 8192}, 1, true},
    };
    for (int d = 1; d >= 0; d--) {
        double peak = kernels_peak_gflops(bench->k, check_dtypes[d], bench->threads, 1);
        printf("%s %s, %d thread(s): peak %.1f GFLOP/s\n", bench->k->name, dtype_name(check_dtypes[d]), bench->threads, peak);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            bench_layer(bench, check_dtypes[d], cases[i].layer, cases[i].n, cases[i].causal, peak);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct check_bench bench;
    if (check_wants_bench(argc, argv, &bench))
        return bench_all(&bench);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_places),
        cmocka_unit_test(test_cache_writes),
        cmocka_unit_test(test_against_ref),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_bias_against_ref),
        cmocka_unit_test(test_bias_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
