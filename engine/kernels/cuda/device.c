/* The card, its memory, and the table. Every thread has a stream of its own, so that videos in work do not wait for each other; memory comes
 * from the runtime's pool in the order of the stream, which keeps what was released for the next video. */
#include "engine/kernels/cuda/device.h"
#include "engine/kernels/layout.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int chosen = -1;
static atomic_int fault;               /* the first cudaError_t of any thread */
static _Atomic(const char *) fault_of; /* and what it happened to */
static _Thread_local int current = -1; /* the runtime's current device is per thread */
static _Thread_local bool starved;     /* a small allocation of this thread failed since it last settled */

/* A CUDA graph. Its kernels add *shift to the positions that they were given. */
struct recording {
    cudaGraphExec_t graph;
    ptrdiff_t *shift; /* on the card */
    bool spoilt;      /* something cannot be kept */
};

static _Thread_local struct recording *recording; /* of what this thread asks for; NULL: it is done */

/* Whether what cannot be kept was asked for in a recording, which is of no use then. */
static bool spoils(void)
{
    if (recording)
        recording->spoilt = true;
    return recording != NULL;
}

void device_note(cudaError_t error, const char *what)
{
    int none = cudaSuccess;
    if (error != cudaSuccess && spoils())
        return;
    if (error != cudaSuccess && atomic_compare_exchange_strong(&fault, &none, (int)error))
        atomic_store(&fault_of, what);
}

int device_chosen(void)
{
    return atomic_load(&chosen);
}

/* What was released stays with the process. */
static cudaError_t keep_pool(int card)
{
    cudaMemPool_t pool;
    uint64_t all = UINT64_MAX;
    cudaError_t error = cudaDeviceGetDefaultMemPool(&pool, card);
    return error != cudaSuccess ? error : cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all);
}

int device_choose(int card, struct err *err)
{
    int none = -1;
    cudaError_t error = cudaSetDevice(card);
    if (error == cudaSuccess)
        error = keep_pool(card);
    if (error != cudaSuccess)
        return err_set(err, ERR_DEVICE, "cuda:%d does not start (%s); 'toksweep list devices' says what is there", card, cudaGetErrorString(error));
    if (!atomic_compare_exchange_strong(&chosen, &none, card) && none != card)
        return err_set(err, ERR_DEVICE, "this process computes on cuda:%d already; start another one for cuda:%d", none, card);
    return 0;
}

cudaStream_t device_stream(void)
{
    int card = device_chosen();
    if (current != card) {
        device_note(cudaSetDevice(card), "choosing the card");
        current = card;
    }
    return cudaStreamPerThread;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static void *take_bytes(size_t bytes)
{
    void *memory = NULL;
    if (spoils())
        return NULL;
    cudaError_t error = cudaMallocAsync(&memory, bytes ? bytes : 1, device_stream());
    if (error == cudaSuccess)
        return memory;
    cudaGetLastError(); /* being out of memory is an answer, no fault */
    device_note(error == cudaErrorMemoryAllocation ? cudaSuccess : error, "an allocation");
    return NULL;
}

static void *take(size_t bytes)
{
    void *memory = take_bytes(bytes);
    if (memory)
        device_note(cudaMemsetAsync(memory, 0, bytes, device_stream()), "clearing memory");
    return memory;
}

static void release(void *tensor)
{
    if (tensor)
        device_note(cudaFreeAsync(tensor, device_stream()), "releasing memory");
}

/* What goes to the card goes through pinned memory of the thread's own, in two halves: while the card reads one, the host fills the other,
 * and neither waits for what the stream has to compute before. */
enum { HALF_BYTES = 4 << 20, STAGED_ALIGNED = 64 };

struct staging {
    unsigned char *half[2];
    cudaEvent_t read[2]; /* what lay in a half has gone */
    size_t now, used;
};

static pthread_key_t staging_key;
static pthread_once_t staging_once = PTHREAD_ONCE_INIT;

static void staging_free(void *memory)
{
    struct staging *staging = memory;
    for (int i = 0; i < 2; i++) {
        if (staging->read[i])
            cudaEventDestroy(staging->read[i]);
        cudaFreeHost(staging->half[i]);
    }
    free(staging);
}

static void staging_start(void)
{
    if (pthread_key_create(&staging_key, staging_free))
        device_note(cudaErrorUnknown, "a thread's memory");
}

/* NULL when there is no pinned memory. */
static struct staging *staging_new(void)
{
    struct staging *staging = calloc(1, sizeof *staging);
    bool made = staging != NULL;
    for (int i = 0; i < 2 && made; i++)
        made = cudaHostAlloc((void **)&staging->half[i], HALF_BYTES, cudaHostAllocDefault) == cudaSuccess &&
               cudaEventCreateWithFlags(&staging->read[i], cudaEventDisableTiming) == cudaSuccess;
    if (made && !pthread_setspecific(staging_key, staging))
        return staging;
    cudaGetLastError();
    if (staging)
        staging_free(staging);
    return NULL;
}

/* At least one byte of room in the half that is filled now; returns how much. */
static size_t staging_room(struct staging *staging, cudaStream_t stream)
{
    if (staging->used == HALF_BYTES) {
        device_note(cudaEventRecord(staging->read[staging->now], stream), "a copy to the card");
        staging->now = 1 - staging->now;
        staging->used = 0;
        device_note(cudaEventSynchronize(staging->read[staging->now]), "a copy to the card");
    }
    return HALF_BYTES - staging->used;
}

static void put(void *tensor, const void *host, size_t bytes)
{
    cudaStream_t stream = device_stream();
    if (spoils())
        return;
    pthread_once(&staging_once, staging_start);
    struct staging *staging = pthread_getspecific(staging_key);
    if (!staging && !(staging = staging_new())) {
        device_note(cudaMemcpyAsync(tensor, host, bytes, cudaMemcpyHostToDevice, stream), "a copy to the card");
        return;
    }
    for (size_t done = 0, n; done < bytes; done += n) {
        n = size_min(bytes - done, staging_room(staging, stream));
        unsigned char *at = staging->half[staging->now] + staging->used;
        memcpy(at, (const char *)host + done, n);
        device_note(cudaMemcpyAsync((char *)tensor + done, at, n, cudaMemcpyHostToDevice, stream), "a copy to the card");
        staging->used += size_round_up(n, STAGED_ALIGNED);
    }
}

static void get(void *host, const void *tensor, size_t bytes)
{
    cudaStream_t stream = device_stream();
    device_note(cudaMemcpyAsync(host, tensor, bytes, cudaMemcpyDeviceToHost, stream), "a copy from the card");
    device_note(cudaStreamSynchronize(stream), "waiting for the card");
}

static void move(void *to, const void *from, size_t bytes)
{
    device_note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, device_stream()), "a copy on the card");
}

static void get_rows(void *host, const void *tensor, size_t from_stride, size_t bytes, size_t n)
{
    cudaStream_t stream = device_stream();
    device_note(cudaMemcpy2DAsync(host, bytes, tensor, from_stride, bytes, n, cudaMemcpyDeviceToHost, stream), "a copy from the card");
    device_note(cudaStreamSynchronize(stream), "waiting for the card");
}

static int settle(struct err *err)
{
    device_note(cudaStreamSynchronize(device_stream()), "waiting for the card");
    cudaError_t error = (cudaError_t)atomic_load(&fault);
    bool short_of = starved;
    starved = false;
    if (error != cudaSuccess)
        return err_set(err, ERR_DEVICE, "cuda:%d failed at %s (%s); nothing more can be computed on it in this run, start again", device_chosen(),
                       atomic_load(&fault_of), cudaGetErrorString(error));
    return short_of ? err_set(err, ERR_MEMORY, "cuda:%d is out of memory; use fewer --jobs or fewer frames", device_chosen()) : 0;
}

static size_t left(void)
{
    size_t free_bytes = 0, all_bytes = 0;
    device_stream();
    device_note(cudaMemGetInfo(&free_bytes, &all_bytes), "asking for memory");
    return free_bytes;
}

/* ---- recordings ---------------------------------------------------------------------------------------------------------- */

static void forget(struct recording *kept)
{
    if (!kept)
        return;
    if (kept->graph)
        device_note(cudaGraphExecDestroy(kept->graph), "a recording");
    release(kept->shift);
    free(kept);
}

/* Other threads go on as ever, and kernels may be loaded meanwhile: the mode forbids nothing. */
static bool record(void)
{
    struct recording *begun = calloc(1, sizeof *begun);
    if (begun)
        begun->shift = take(sizeof *begun->shift);
    if (begun && begun->shift && cudaStreamBeginCapture(device_stream(), cudaStreamCaptureModeRelaxed) == cudaSuccess) {
        recording = begun;
        return true;
    }
    cudaGetLastError(); /* being unable to is an answer, no fault */
    forget(begun);
    return false;
}

static struct recording *recorded(void)
{
    struct recording *kept = recording;
    cudaGraph_t graph = NULL;
    recording = NULL;
    bool whole = cudaStreamEndCapture(device_stream(), &graph) == cudaSuccess && !kept->spoilt &&
                 cudaGraphInstantiateWithFlags(&kept->graph, graph, 0) == cudaSuccess;
    if (graph)
        cudaGraphDestroy(graph);
    if (whole)
        return kept;
    cudaGetLastError();
    forget(kept);
    return NULL;
}

static void repeat(const struct recording *kept, ptrdiff_t by)
{
    put(kept->shift, &by, sizeof by);
    device_note(cudaGraphLaunch(kept->graph, device_stream()), "a recording");
}

const ptrdiff_t *device_shift(void)
{
    return recording ? recording->shift : NULL;
}

const struct memory memory_cuda = {
    .host = false,
    .take = take,
    .release = release,
    .put = put,
    .get = get,
    .move = move,
    .get_rows = get_rows,
    .settle = settle,
    .left = left,
    .record = record,
    .recorded = recorded,
    .repeat = repeat,
    .forget = forget,
};

void *device_bring(const void *host, size_t bytes)
{
    void *memory = take_bytes(bytes);
    if (memory)
        put(memory, host, bytes);
    else
        starved = true;
    return memory;
}

void device_drop(void *brought)
{
    release(brought);
}

/* ---- weights ------------------------------------------------------------------------------------------------------------- */

/* Rows are rounded and padded on the host, and sent piece by piece. */
static bool pack(struct matrix *matrix, size_t first, size_t n, const void *rows, enum dtype from)
{
    struct matrix piece = *matrix;
    size_t row_bytes = matrix_stride(matrix->n_in) * dtype_size(matrix->dtype);
    piece.n_out = n;
    piece.panels = calloc(n, row_bytes);
    if (!piece.panels)
        return false;
    matrix_pack_rows(&piece, 0, n, rows, from);
    put(matrix_at(matrix, first, 0), piece.panels, n * row_bytes);
    free(piece.panels);
    return true;
}

const struct kernels kernels_cuda = {
    .name = "cuda",
    .memory = &memory_cuda,
    .layout = LAYOUT_ROWS,
    .pack = pack,
    .gemm = cuda_gemm,
    .attention = cuda_attention,
    .attention_weights = cuda_attention_weights,
    .kv_write = cuda_kv_write,
    .layernorm = cuda_layernorm,
    .rmsnorm = cuda_rmsnorm,
    .rope = cuda_rope,
    .convert = cuda_convert,
    .patches = cuda_patches,
    .pool = cuda_pool,
    .merge = cuda_merge,
    .wide_sums = cuda_wide_sums,
    .dots = cuda_dots,
    .block = cuda_block,
    .choose = cuda_choose,
    .sum_rows = cuda_sum_rows,
    .embed = cuda_embed,
    .next = cuda_next,
};
