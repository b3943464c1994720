/* peer_onednn: one product after the other here and in oneDNN (Debian's libdnnl-dev), turn by turn in one process.
 *
 *   peer_onednn [THREADS [REPEATS]]        2 threads and 9 turns each, unless said otherwise
 *
 * prints for the shapes of a tower, of Qwen2-0.5B and of 7B the rates of both, the ratio of rates with the least and the largest of its
 * turns, and our share of the multiply-add peak. What would make this unfair, and is kept out: weights are laid out beforehand on both
 * sides, oneDNN chooses its layout (format "any"); nothing but the product is timed, f32 sums are what both write; both have one OpenMP
 * runtime and its threads; f32 runs beside f32, bf16 beside bf16, and as a processor without bf16 instructions has oneDNN emulate
 * them, bf16 also beside oneDNN's f32; of int8 oneDNN gets bytes without a sign, which it is fastest with. Both sides' results are compared. */
#include "core/clock.h"
#include "core/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/peak.h"

#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REPEATS = 99 };

static const struct product { const char *name; size_t rows, n_in, n_out; } products[] = {
    {"tower queries", 729, 1152, 1152}, {"tower fc1", 729, 1152, 4304}, {"tower fc2", 729, 4304, 1152},
    {"0.5B qkv", 512, 896, 1152},       {"0.5B gate and up", 512, 896, 9728}, {"0.5B down", 512, 4864, 896},
    {"7B queries", 512, 3584, 3584},    {"7B gate and up", 512, 3584, 37888}, {"7B down", 512, 18944, 3584},
};

static void *take(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) {
        fprintf(stderr, "error: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(memory, 0, bytes);
    return memory;
}

static void checked(dnnl_status_t status, const char *what)
{
    if (status != dnnl_success) {
        fprintf(stderr, "error: oneDNN cannot %s (status %d)\n", what, (int)status);
        exit(1);
    }
}

static double median(double *values, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && values[j] < values[j - 1]; j--) {
            double other = values[j];
            values[j] = values[j - 1];
            values[j - 1] = other;
        }
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- ours ------------------------------------------------------------------------------------------------------------------ */

struct ours {
    const struct kernels *kernels;
    struct matrix w;
    void *x, *y, *scratch;
    struct row_scale *scales;
    struct gemm gemm;
};

static void ours_make(struct ours *ours, const struct kernels *kernels, enum dtype dtype, const struct product *p, const float *x, const float *w)
{
    enum dtype act = dtype_act(dtype);
    *ours = (struct ours){.kernels = kernels, .w = {.dtype = dtype, .n_out = p->n_out, .n_in = p->n_in, .layout = kernels->layout}};
    ours->w.panels = take(matrix_bytes(p->n_out, p->n_in, dtype, kernels->layout));
    kernels->pack(&ours->w, 0, p->n_out, w, DTYPE_F32);
    ours->x = take(p->rows * p->n_in * sizeof(float));
    ours->y = take(p->rows * p->n_out * sizeof(float));
    ours->scratch = take(gemm_scratch_bytes(kernels, p->rows, p->n_out) + 1);
    kernels->convert(p->rows, p->n_in, x, p->n_in, ours->x, p->n_in, act, 1);
    ours->gemm = (struct gemm){.n = p->rows, .x = ours->x, .ldx = p->n_in, .w = &ours->w, .epilogue = EPILOGUE_NONE, .y = ours->y, .ldy = p->n_out,
                               .out_dtype = DTYPE_F32, .scratch = ours->scratch};
    if (dtype != DTYPE_I8)
        return;
    size_t ldx = (p->n_in + 3) / 4 * 4;
    void *narrow = take(p->rows * ldx);
    ours->scales = take(p->rows * sizeof *ours->scales);
    kernels->quantise(p->rows, p->n_in, ours->x, p->n_in, act, narrow, ldx, ours->scales, 1);
    free(ours->x);
    ours->gemm.x = ours->x = narrow;
    ours->gemm.ldx = ldx;
    ours->gemm.scales = ours->scales;
}

static void ours_free(struct ours *ours)
{
    free(ours->w.panels);
    free(ours->x);
    free(ours->y);
    free(ours->scratch);
    free(ours->scales);
}

/* ---- theirs ---------------------------------------------------------------------------------------------------------------- */

struct theirs {
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_memory_t x, w, y;
};

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *desc, dnnl_engine_t engine, void *data)
{
    dnnl_memory_t memory;
    checked(dnnl_memory_create(&memory, desc, engine, data), "make a tensor");
    return memory;
}

static dnnl_memory_desc_t plain(size_t rows, size_t columns, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t desc;
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    checked(dnnl_memory_desc_init_by_tag(&desc, 2, dims, type, tag), "describe a tensor");
    return desc;
}

/* A copy in another type and layout. */
static dnnl_memory_t laid_out(const dnnl_memory_desc_t *from, void *data, const dnnl_memory_desc_t *to, dnnl_engine_t engine, dnnl_stream_t stream)
{
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t reorder;
    dnnl_memory_t source = memory_of(from, engine, data), copy = memory_of(to, engine, DNNL_MEMORY_ALLOCATE);
    checked(dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL), "plan a copy");
    checked(dnnl_primitive_create(&reorder, desc), "make a copy");
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, copy}};
    checked(dnnl_primitive_execute(reorder, stream, 2, args), "copy");
    checked(dnnl_stream_wait(stream), "copy");
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(desc);
    dnnl_memory_destroy(source);
    return copy;
}

/* x [rows][n_in] and w [n_out][n_in] of f32; of int8 whole numbers. */
static void theirs_make(struct theirs *theirs, dnnl_engine_t engine, enum dtype dtype, const struct product *p, float *x, float *w)
{
    const bool narrow = dtype == DTYPE_I8;
    const dnnl_data_type_t type = dtype == DTYPE_F32 ? dnnl_f32 : dtype == DTYPE_BF16 ? dnnl_bf16 : dnnl_s8;
    dnnl_memory_desc_t source = plain(p->rows, p->n_in, narrow ? dnnl_u8 : type, dnnl_ab), weights = plain(p->n_in, p->n_out, type, dnnl_format_tag_any);
    dnnl_memory_desc_t sums = plain(p->rows, p->n_out, dnnl_f32, dnnl_ab), x_f32 = plain(p->rows, p->n_in, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_t w_f32 = plain(p->n_in, p->n_out, dnnl_f32, dnnl_ba);
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t desc;
    checked(dnnl_stream_create(&theirs->stream, engine, dnnl_stream_default_flags), "begin");
    checked(dnnl_matmul_desc_init(&matmul, &source, &weights, NULL, &sums), "describe a product");
    checked(dnnl_primitive_desc_create(&desc, &matmul, NULL, engine, NULL), "plan a product");
    checked(dnnl_primitive_create(&theirs->product, desc), "make a product");
    theirs->x = laid_out(&x_f32, x, &source, engine, theirs->stream);
    theirs->w = laid_out(&w_f32, w, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), engine, theirs->stream);
    theirs->y = memory_of(&sums, engine, DNNL_MEMORY_ALLOCATE);
    dnnl_primitive_desc_destroy(desc);
}

static void theirs_run(const struct theirs *theirs)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, theirs->x}, {DNNL_ARG_WEIGHTS, theirs->w}, {DNNL_ARG_DST, theirs->y}};
    checked(dnnl_primitive_execute(theirs->product, theirs->stream, 3, args), "multiply");
    checked(dnnl_stream_wait(theirs->stream), "multiply");
}

static const float *theirs_sums(const struct theirs *theirs)
{
    void *data;
    checked(dnnl_memory_get_data_handle(theirs->y, &data), "read a tensor");
    return data;
}

static void theirs_free(struct theirs *theirs)
{
    dnnl_memory_destroy(theirs->x);
    dnnl_memory_destroy(theirs->w);
    dnnl_memory_destroy(theirs->y);
    dnnl_primitive_destroy(theirs->product);
    dnnl_stream_destroy(theirs->stream);
}

/* ---- turns ----------------------------------------------------------------------------------------------------------------- */

static const struct pair { enum dtype ours, theirs; const char *name; } pairs[] = {
    {DTYPE_F32, DTYPE_F32, "f32 / f32"}, {DTYPE_BF16, DTYPE_BF16, "bf16 / bf16"}, {DTYPE_BF16, DTYPE_F32, "bf16 / f32"}, {DTYPE_I8, DTYPE_I8, "int8 / int8"}};

/* Numbers that every dtype holds exactly: quarters from -1 to 1; of int8 whole ones, those of x from 0 to 127 with a 127 in each row, so that
 * quantising changes nothing. */
static void fill(float *values, size_t rows, size_t columns, bool whole, bool positive, uint64_t stream)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            uint64_t bits = rng_u64(1, stream, i * columns + j);
            values[i * columns + j] = !whole ? (float)(bits % 9) / 4 - 1 : j == 0 ? 127 : positive ? (float)(bits % 128) : (float)(bits % 255) - 127;
        }
}

static bool same_sums(const float *a, const float *b, size_t n, size_t n_in, bool whole)
{
    double bound = whole ? 1 : 1e-6 * (double)n_in;
    for (size_t i = 0; i < n; i++)
        if (fabs((double)a[i] - b[i]) > bound + 1e-6 * fabs((double)b[i]))
            return false;
    return true;
}

static void compare(const struct kernels *kernels, dnnl_engine_t engine, const struct product *p, const struct pair *pair, int threads, int repeats)
{
    const bool whole = pair->ours == DTYPE_I8;
    double here[MOST_REPEATS], there[MOST_REPEATS], ratio[MOST_REPEATS];
    float *x = take(p->rows * p->n_in * sizeof *x), *w = take(p->n_out * p->n_in * sizeof *w);
    struct ours ours;
    struct theirs theirs;
    fill(x, p->rows, p->n_in, whole, true, 1);
    fill(w, p->n_out, p->n_in, whole, false, 2);
    ours_make(&ours, kernels, pair->ours, p, x, w);
    theirs_make(&theirs, engine, pair->theirs, p, x, w);
    free(x);
    free(w);
    for (int r = -2; r < repeats; r++) { /* two turns that do not count */
        int at = r < 0 ? 0 : r;
        double start = now_s();
        kernels->gemm(&ours.gemm, threads);
        double middle = now_s();
        theirs_run(&theirs);
        here[at] = middle - start;
        there[at] = now_s() - middle;
        ratio[at] = there[at] / here[at];
    }
    const double work = 2e-9 * (double)p->rows * (double)p->n_in * (double)p->n_out;
    const double peak = kernels_peak_gflops(kernels, pair->ours, threads, 0.1);
    double our_rate = work / median(here, repeats), their_rate = work / median(there, repeats), middle = median(ratio, repeats);
    bool same = same_sums(ours.y, theirs_sums(&theirs), p->rows * p->n_out, p->n_in, whole);
    printf("%-18s %4zu x %5zu x %5zu  %-12s %7.0f %7.0f   %5.2f (%.2f - %.2f) %4.0f %%%s\n", p->name, p->rows, p->n_in, p->n_out, pair->name, our_rate,
           their_rate, middle, ratio[0], ratio[repeats - 1], 100 * our_rate / peak, same ? "" : "  RESULTS DIFFER");
    fflush(stdout);
    ours_free(&ours);
    theirs_free(&theirs);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 2, repeats = argc > 2 ? atoi(argv[2]) : 9;
    const struct kernels *kernels;
    struct err err = {0};
    dnnl_engine_t engine;
    if (threads < 1 || repeats < 1 || repeats > MOST_REPEATS || kernels_open(&kernels, NULL, &err)) {
        fprintf(stderr, "usage: peer_onednn [THREADS [REPEATS]]  (at most %d) %s\n", (int)MOST_REPEATS, err.text);
        return 2;
    }
    omp_set_num_threads(threads); /* oneDNN's */
    checked(dnnl_engine_create(&engine, dnnl_cpu, 0), "open the processor");
    const dnnl_version_t *version = dnnl_version();
    printf("table %s beside oneDNN %d.%d.%d, %d threads; GFLOP/s, int8 operations\n", kernels->name, version->major, version->minor, version->patch, threads);
    printf("%-18s %-20s  %-12s %7s %7s   %-20s %s\n", "product", "rows x in x out", "dtypes", "here", "there", "ratio", "of peak");
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        for (size_t j = 0; j < sizeof pairs / sizeof *pairs; j++)
            compare(kernels, engine, &products[i], &pairs[j], threads, repeats);
    dnnl_engine_destroy(engine);
    return 0;
}
