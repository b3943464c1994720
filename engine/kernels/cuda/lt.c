/* Products by cuBLASLt. Its algorithm for a matrix is chosen once, for LT_ROWS rows, without a workspace and without splitting sums, and then
 * used for any number of rows: the order of a value's sum, and so its bits, are the algorithm's alone. f32 is computed in f32 (no TF32).
 *
 * The library thinks in columns: y^T [n_out x n] = W [n_out x n_in] x^T [n_in x n], with W and x stored as their transposes. */
#include "engine/kernels/cuda/device.h"

#include "core/log.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LT_ROWS = 768, LT_ALIGNED = 16 };

/* What an algorithm depends on. */
struct shape {
    size_t n_out, n_in, ldx, ldy;
    enum dtype dtype;
    bool add, bias; /* the result is f32 */
};

struct choice {
    struct choice *next;
    struct shape shape;
    bool found;
    cublasLtMatmulAlgo_t algorithm;
};

/* The library is opened when the first product asks for it: it is large, and a program that computes on the processor does without. */
#define FUNCTIONS(each)                                                                                            \
    each(cublasLtCreate) each(cublasLtMatmul) each(cublasLtMatmulDescCreate) each(cublasLtMatmulDescDestroy)        \
    each(cublasLtMatmulDescSetAttribute) each(cublasLtMatrixLayoutCreate) each(cublasLtMatrixLayoutDestroy)         \
    each(cublasLtMatmulPreferenceCreate) each(cublasLtMatmulPreferenceDestroy)                                      \
    each(cublasLtMatmulPreferenceSetAttribute) each(cublasLtMatmulAlgoGetHeuristic)
#define MEMBER(name) __typeof__(&name) name;
#define FIND(name) found &= (*(void **)&lt.name = dlsym(library, #name)) != NULL;
#define TEXT_OF(number) #number
#define LIBRARY(major) "libcublasLt.so." TEXT_OF(major)

static struct { FUNCTIONS(MEMBER) } lt;
static cublasLtHandle_t handle; /* NULL: there is no library */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct choice *choices; /* under the lock; they live as long as the process */

static void start(void)
{
    void *library = dlopen(LIBRARY(CUBLAS_VER_MAJOR), RTLD_NOW | RTLD_LOCAL);
    bool found = true;
    if (!library)
        library = dlopen(TOKSWEEP_CUBLASLT, RTLD_NOW | RTLD_LOCAL); /* where it was when this was built */
    if (library) {
        FUNCTIONS(FIND)
        if (found && lt.cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS)
            return;
    }
    handle = NULL;
    log_say(LOG_WARNING, "%s does not start: products take kernels that are much slower; install the CUDA toolkit's cuBLAS", LIBRARY(CUBLAS_VER_MAJOR));
}

/* One product's descriptions. */
struct product {
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t w, x, y;
};

static cudaDataType_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? CUDA_R_32F : dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

static void product_free(struct product *product)
{
    if (product->how)
        lt.cublasLtMatmulDescDestroy(product->how);
    cublasLtMatrixLayout_t *layouts[] = {&product->w, &product->x, &product->y};
    for (int i = 0; i < 3; i++)
        if (*layouts[i])
            lt.cublasLtMatrixLayoutDestroy(*layouts[i]);
}

static bool set(cublasLtMatmulDesc_t how, cublasLtMatmulDescAttributes_t attribute, const void *value, size_t bytes)
{
    return lt.cublasLtMatmulDescSetAttribute(how, attribute, value, bytes) == CUBLAS_STATUS_SUCCESS;
}

static bool product_new(struct product *out, const struct shape *s, size_t n, const float *bias)
{
    cublasOperation_t transpose = CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = s->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    cudaDataType_t operand = type_of(s->dtype), sums = CUDA_R_32F;
    cublasComputeType_t compute = s->dtype == DTYPE_F32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    *out = (struct product){0};
    bool made = lt.cublasLtMatmulDescCreate(&out->how, compute, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
                set(out->how, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose) &&
                set(out->how, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) &&
                (!s->bias || (set(out->how, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias) &&
                              set(out->how, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &sums, sizeof sums))) &&
                lt.cublasLtMatrixLayoutCreate(&out->w, operand, s->n_in, s->n_out, (int64_t)matrix_stride(s->n_in)) == CUBLAS_STATUS_SUCCESS &&
                lt.cublasLtMatrixLayoutCreate(&out->x, operand, s->n_in, n, (int64_t)s->ldx) == CUBLAS_STATUS_SUCCESS &&
                lt.cublasLtMatrixLayoutCreate(&out->y, sums, s->n_out, n, (int64_t)s->ldy) == CUBLAS_STATUS_SUCCESS;
    if (!made)
        product_free(out);
    return made;
}

/* The library's first choice among algorithms that need no workspace and add up in one piece. */
static bool choose(struct choice *choice, const float *bias)
{
    struct product product;
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t result;
    size_t workspace = 0;
    uint32_t split = CUBLASLT_REDUCTION_SCHEME_NONE, aligned = LT_ALIGNED;
    int n = 0;
    if (!product_new(&product, &choice->shape, LT_ROWS, bias))
        return false;
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                                                      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    bool asked = lt.cublasLtMatmulPreferenceCreate(&wish) == CUBLAS_STATUS_SUCCESS &&
                 lt.cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace) == CUBLAS_STATUS_SUCCESS &&
                 lt.cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &split, sizeof split) == CUBLAS_STATUS_SUCCESS;
    for (int i = 0; i < 4 && asked; i++)
        asked = lt.cublasLtMatmulPreferenceSetAttribute(wish, alignments[i], &aligned, sizeof aligned) == CUBLAS_STATUS_SUCCESS;
    bool found = asked && lt.cublasLtMatmulAlgoGetHeuristic(handle, product.how, product.w, product.x, product.y, product.y, wish, 1, &result, &n) ==
                              CUBLAS_STATUS_SUCCESS && n == 1 && result.state == CUBLAS_STATUS_SUCCESS;
    if (found)
        choice->algorithm = result.algo;
    if (wish)
        lt.cublasLtMatmulPreferenceDestroy(wish);
    product_free(&product);
    return found;
}

static bool same_shape(const struct shape *a, const struct shape *b)
{
    return a->n_out == b->n_out && a->n_in == b->n_in && a->ldx == b->ldx && a->ldy == b->ldy && a->dtype == b->dtype &&
           a->add == b->add && a->bias == b->bias;
}

/* The choice for a shape, made when it is first met; NULL where there is none. */
static const struct choice *choice_for(const struct shape *shape, const float *bias)
{
    pthread_mutex_lock(&lock);
    struct choice *choice = choices;
    while (choice && !same_shape(&choice->shape, shape))
        choice = choice->next;
    if (!choice && (choice = calloc(1, sizeof *choice))) {
        *choice = (struct choice){.next = choices, .shape = *shape};
        choice->found = choose(choice, bias);
        choices = choice;
    }
    pthread_mutex_unlock(&lock);
    return choice && choice->found ? choice : NULL;
}

static bool is_aligned(const void *base, size_t ld, size_t value_bytes)
{
    return (uintptr_t)base % LT_ALIGNED == 0 && ld * value_bytes % LT_ALIGNED == 0;
}

bool cuda_gemm_lt(const struct gemm *g, bool *bare)
{
    static const float one = 1, zero = 0;
    const struct matrix *w = g->w;
    bool direct = g->out_dtype == DTYPE_F32 && (g->epilogue == EPILOGUE_NONE || g->epilogue == EPILOGUE_ADD);
    void *y = direct ? g->y : g->scratch;
    struct shape shape = {w->n_out, w->n_in, g->ldx, direct ? g->ldy : w->n_out, w->dtype, direct && g->epilogue == EPILOGUE_ADD,
                          direct && w->bias};
    struct product product;
    pthread_once(&once, start);
    *bare = !direct;
    if (!handle || !is_aligned(g->x, g->ldx, dtype_size(w->dtype)) || !is_aligned(y, shape.ldy, sizeof(float)))
        return false;
    const struct choice *choice = choice_for(&shape, w->bias);
    if (!choice || !product_new(&product, &shape, g->n, w->bias))
        return false;
    cublasStatus_t status = lt.cublasLtMatmul(handle, product.how, &one, w->panels, product.w, g->x, product.x, shape.add ? &one : &zero, y, product.y, y,
                                           product.y, &choice->algorithm, NULL, 0, device_stream());
    product_free(&product);
    if (status != CUBLAS_STATUS_SUCCESS) /* an algorithm that takes one number of rows and not another would break the promise on bits */
        device_note(cudaErrorLaunchFailure, "a product by cuBLASLt");
    return true;
}
