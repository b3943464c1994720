/* A card on the processor: memory, copies, and kernels run block by block. The threads of a block are fibers of the calling thread, switched
 * where they wait for each other; every other launch runs them last to first, so that a kernel whose threads race gives other bits. Shared
 * memory is NaN when a block begins, and memory is when it is taken. */
#include <cuda_runtime.h>

#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

enum { WARP = 32, STACK_BYTES = 128 << 10, MOST_THREADS = 1024, SHARED_BYTES = 227 << 10, UNASKED_BYTES = 48 << 10 };

static void die(const char *why)
{
    fprintf(stderr, "emulated card: %s\n", why);
    abort();
}

/* ---- fibers -------------------------------------------------------------------------------------------------------------- */

namespace {

struct fiber {
    ucontext_t start;
    jmp_buf at;
    char *stack;
    dim3 index;
    bool began, done;
};

struct barrier { int waiting = 0; unsigned generation = 0; };

/* What the lanes of a warp show each other, twice over: a lane may be at the next exchange while others still read this one. */
struct exchange {
    float value[WARP];
    uint32_t a[WARP][4], b[WARP][2];
    const uint16_t *row[WARP];
};

struct warp {
    barrier together;
    int left; /* lanes that have not ended */
    exchange shown[2];
};

struct block {
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    barrier all;
    int n, running, left;
    bool moved; /* a thread did not only wait */
    jmp_buf back;
    void (*run)(const void *kernel, const void *call);
    const void *kernel, *call;
    unsigned char *shared;
};

}

thread_local dim3 threadIdx, blockIdx, blockDim;
static thread_local block now;

static void yield()
{
    fiber &self = now.fibers[(size_t)now.running];
    if (!_setjmp(self.at))
        _longjmp(now.back, 1);
}

/* A fiber serves block after block. */
static void fiber_main()
{
    for (;;) {
        now.run(now.kernel, now.call);
        now.fibers[(size_t)now.running].done = true;
        now.left--;
        now.warps[(size_t)(now.running / WARP)].left--;
        yield();
    }
}

static warp &own_warp()
{
    return now.warps[(size_t)(now.running / WARP)];
}

/* `left` threads are there to wait; one that has ended is not waited for. */
static void wait_for_all(barrier &at, const int &left)
{
    unsigned generation = at.generation;
    at.waiting++;
    now.moved = true;
    while (at.generation == generation) {
        if (at.waiting >= left) {
            at.waiting = 0;
            at.generation++;
            now.moved = true;
            break;
        }
        yield();
    }
}

/* Runs a thread of the block until it waits or ends. */
static void resume(int i)
{
    fiber &fiber = now.fibers[(size_t)i];
    now.running = i;
    threadIdx = fiber.index;
    if (_setjmp(now.back))
        return;
    if (fiber.began)
        _longjmp(fiber.at, 1);
    fiber.began = true;
    setcontext(&fiber.start);
}

static void make_fiber(int i)
{
    fiber &fiber = now.fibers[(size_t)i];
    fiber.stack = (char *)mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack;
    fiber.start.uc_stack.ss_size = STACK_BYTES;
    fiber.start.uc_link = NULL;
    makecontext(&fiber.start, fiber_main, 0);
    fiber.index = dim3((unsigned)i, 0, 0);
}

static void make_fibers(int n)
{
    now.fibers.resize(MOST_THREADS); /* once: contexts do not move */
    for (int i = 0; i < n; i++) {
        if (!now.fibers[(size_t)i].stack)
            make_fiber(i);
        now.fibers[(size_t)i].done = false;
    }
}

static void run_block(int n, bool backwards)
{
    make_fibers(n);
    now.n = now.left = n;
    now.all = barrier();
    now.warps.resize(MOST_THREADS / WARP);
    for (int i = 0; i < n; i += WARP) {
        now.warps[(size_t)(i / WARP)].together = barrier();
        now.warps[(size_t)(i / WARP)].left = n - i < WARP ? n - i : WARP;
    }
    while (now.left) {
        int before = now.left;
        now.moved = false;
        for (int k = 0; k < n; k++) {
            int i = backwards ? n - 1 - k : k;
            if (!now.fibers[(size_t)i].done)
                resume(i);
        }
        if (!now.moved && now.left == before)
            die("the threads of a block wait for each other for ever");
    }
}

unsigned char *shared_memory(void)
{
    return now.shared;
}

void __syncthreads(void)
{
    wait_for_all(now.all, now.left);
}

void __syncwarp(void)
{
    wait_for_all(own_warp().together, own_warp().left);
}

/* Where the lanes of this warp show what they have next. */
static exchange &own_exchange()
{
    if (own_warp().left != WARP)
        die("an exchange without a whole warp");
    return own_warp().shown[own_warp().together.generation % 2];
}

float __shfl_xor_sync(unsigned mask, float value, int apart)
{
    exchange &shown = own_exchange();
    int lane = now.running % WARP;
    if (mask != 0xffffffffu)
        die("a shuffle without a whole warp");
    shown.value[lane] = value;
    __syncwarp();
    return shown.value[lane ^ apart];
}

void emulated_load_transposed(uint32_t b[2], const uint16_t *row)
{
    exchange &shown = own_exchange();
    int lane = now.running % WARP;
    if ((uintptr_t)row % 16)
        die("ldmatrix of a row that is not aligned to 16 bytes");
    shown.row[lane] = row;
    __syncwarp();
    for (int half = 0; half < 2; half++) {
        const uint16_t *const *rows = shown.row + 8 * half + lane % 4 * 2;
        b[half] = (uint32_t)rows[0][lane / 4] | (uint32_t)rows[1][lane / 4] << 16;
    }
}

void emulated_multiply(float c[4], const uint32_t a[4], const uint32_t b[2], float (*load)(uint16_t))
{
    exchange &shown = own_exchange();
    int lane = now.running % WARP;
    memcpy(shown.a[lane], a, sizeof shown.a[lane]);
    memcpy(shown.b[lane], b, sizeof shown.b[lane]);
    __syncwarp();
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 16; k++) {
            /* row lane/4 (+ 8), column 2 (lane % 4) (+ 1); k's pair is lane k/2 % 4 of its row or column, in the register of k's half */
            uint32_t left = shown.a[lane / 4 * 4 + k / 2 % 4][i / 2 + k / 8 * 2], right = shown.b[(lane % 4 * 2 + i % 2) * 4 + k / 2 % 4][k / 8];
            c[i] += load((uint16_t)(left >> k % 2 * 16)) * load((uint16_t)(right >> k % 2 * 16));
        }
}

/* ---- graphs -------------------------------------------------------------------------------------------------------------- */

/* What a thread asked for while it captured. What a graph cannot hold (allocations, copies of the host's memory, waiting) spoils it. */
struct emulated_graph {
    std::vector<std::function<void()>> nodes;
    bool spoilt = false;
};

static thread_local emulated_graph *captured; /* NULL: what is asked for is done */
static std::atomic<long> launches, graphs, repeated_launches;
static thread_local bool repeating;

static bool spoils_capture()
{
    if (captured)
        captured->spoilt = true;
    return captured != NULL;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, enum cudaStreamCaptureMode)
{
    if (captured)
        die("a capture in a capture");
    captured = new emulated_graph();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *out)
{
    *out = captured->spoilt ? NULL : captured;
    if (!*out)
        delete captured;
    captured = NULL;
    return *out ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    *out = new emulated_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t)
{
    graphs++;
    repeating = true;
    for (const std::function<void()> &node : graph->nodes)
        node();
    repeating = false;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

struct emulated_counts emulated_counts(void)
{
    return {launches, graphs, repeated_launches};
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static std::mutex lock;
static std::map<size_t, size_t> taken; /* offset, bytes */
static char *memory;
static size_t memory_bytes;
static bool apart;
static int open_count;
static long allocations, failing_allocation; /* so many were asked for; this one finds no memory, 0: none */

/* How many there were, for tests that let one of them fail. */
static void count_allocations()
{
    FILE *file = fopen(getenv("EMULATED_ALLOCATIONS"), "w");
    if (!file || fprintf(file, "%ld\n", allocations) < 0 || fclose(file))
        die("the number of allocations cannot be written");
}

static void memory_init()
{
    const char *mib = getenv("EMULATED_MEMORY_MIB"), *kept = getenv("EMULATED_APART");
    if (memory)
        return;
    apart = kept && *kept == '1';
    failing_allocation = getenv("EMULATED_FAIL") ? atol(getenv("EMULATED_FAIL")) : 0;
    if (getenv("EMULATED_ALLOCATIONS"))
        atexit(count_allocations);
    memory_bytes = (size_t)(mib ? atol(mib) : 512) << 20;
    void *mapped = mmap(NULL, memory_bytes, apart ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        die("no memory");
    memory = (char *)mapped;
}

/* While one lives, the card's memory can be reached. */
struct opened {
    opened()
    {
        std::lock_guard<std::mutex> guard(lock);
        memory_init();
        if (apart && !open_count++)
            mprotect(memory, memory_bytes, PROT_READ | PROT_WRITE);
    }
    ~opened()
    {
        std::lock_guard<std::mutex> guard(lock);
        if (apart && !--open_count)
            mprotect(memory, memory_bytes, PROT_NONE);
    }
};

static bool on_card(const void *at)
{
    return (const char *)at >= memory && (const char *)at < memory + memory_bytes;
}

/* Copies from pinned memory happen as late as a stream may let them: the host that reuses such memory without waiting sends something else. */
struct copy { void *to; const void *from; size_t bytes; };
static thread_local std::vector<copy> late;
static thread_local size_t asked, arrived; /* copies of this kind so far; those that have happened */
static std::map<const char *, size_t> pinned; /* under the lock */

static bool is_pinned(const void *at)
{
    std::lock_guard<std::mutex> guard(lock);
    auto above = pinned.upper_bound((const char *)at);
    return above != pinned.begin() && (--above, (const char *)at < above->first + above->second);
}

static void catch_up(size_t until)
{
    opened memory_is_open;
    size_t n = until > arrived ? until - arrived : 0;
    for (size_t i = 0; i < n; i++)
        memcpy(late[i].to, late[i].from, late[i].bytes);
    late.erase(late.begin(), late.begin() + (ptrdiff_t)n);
    arrived += n;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    *out = malloc(bytes);
    std::lock_guard<std::mutex> guard(lock);
    pinned[(char *)*out] = bytes;
    return *out ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *at)
{
    catch_up(asked);
    std::lock_guard<std::mutex> guard(lock);
    pinned.erase((const char *)at);
    free(at);
    return cudaSuccess;
}

/* What its thread had asked for when it was recorded. */
struct emulated_event { size_t asked; };

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    *out = new emulated_event();
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    event->asked = asked;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    catch_up(event->asked);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t)
{
    size_t whole = (bytes + 255) / 256 * 256, at = 0;
    if (spoils_capture())
        return cudaErrorStreamCaptureUnsupported;
    {
        std::lock_guard<std::mutex> guard(lock);
        memory_init();
        if (++allocations == failing_allocation)
            return cudaErrorMemoryAllocation;
        for (auto &piece : taken) {
            if (piece.first - at >= whole + 256)
                break;
            at = piece.first + piece.second;
        }
        if (at + whole + 256 > memory_bytes)
            return cudaErrorMemoryAllocation;
        at += 256; /* what lies between pieces belongs to none */
        taken[at] = whole;
        *out = memory + at;
    }
    opened memory_is_open;
    memset(*out, 0xff, whole);
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void *at, cudaStream_t)
{
    if (spoils_capture())
        return cudaErrorStreamCaptureUnsupported;
    catch_up(asked);
    std::lock_guard<std::mutex> guard(lock);
    return taken.erase((size_t)((char *)at - memory)) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    std::lock_guard<std::mutex> guard(lock);
    memory_init();
    size_t used = 0;
    for (auto &piece : taken)
        used += piece.second + 256;
    *left = memory_bytes - used;
    *all = memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    if (captured) {
        captured->nodes.push_back([=] { cudaMemsetAsync(at, value, bytes, stream); });
        return cudaSuccess;
    }
    catch_up(asked);
    opened memory_is_open;
    memset(at, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    if (captured && kind == cudaMemcpyDeviceToDevice) {
        captured->nodes.push_back([=] { cudaMemcpyAsync(to, from, bytes, kind, stream); });
        return cudaSuccess;
    }
    if (spoils_capture())
        return cudaErrorStreamCaptureUnsupported;
    opened memory_is_open;
    bool fits = on_card(to) == (kind != cudaMemcpyDeviceToHost) && on_card(from) == (kind != cudaMemcpyHostToDevice);
    if (apart && bytes && !fits)
        die("a copy between other memories than it says");
    if (kind == cudaMemcpyHostToDevice && is_pinned(from)) {
        late.push_back({to, from, bytes});
        asked++;
        return cudaSuccess;
    }
    catch_up(asked);
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_stride, const void *from, size_t from_stride, size_t bytes, size_t n,
                              enum cudaMemcpyKind kind, cudaStream_t stream)
{
    for (size_t i = 0; i < n; i++)
        cudaMemcpyAsync((char *)to + i * to_stride, (const char *)from + i * from_stride, bytes, kind, stream);
    return cudaSuccess;
}

/* ---- the rest of the runtime --------------------------------------------------------------------------------------------- */

/* Whether memory is mapped there: numbers that look like addresses seldom are. */
static bool is_mapped(uintptr_t word)
{
    unsigned char resident;
    return !mincore((void *)(word & ~(uintptr_t)4095), 1, &resident);
}

static void refuse_host_pointers(const void *call, size_t bytes)
{
    for (size_t i = 0; i + sizeof(uintptr_t) <= bytes; i += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, (const char *)call + i, sizeof word);
        if (word >> 32 && word >> 47 == 0 && !on_card((const void *)word) && is_mapped(word))
            die("a kernel was given a pointer to the host's memory");
    }
}

typedef void run_kernel(const void *kernel, const void *call);

static void launch_blocks(const cudaLaunchConfig_t *config, const void *kernel, run_kernel *run, const void *call)
{
    static thread_local bool backwards;
    static thread_local std::vector<uint64_t> shared; /* aligned to 16 as the allocator does */
    catch_up(asked);
    opened memory_is_open;
    (repeating ? repeated_launches : launches)++;
    backwards = !backwards;
    shared.resize(SHARED_BYTES / sizeof shared[0]);
    now.run = run;
    now.kernel = kernel;
    now.call = call;
    now.shared = (unsigned char *)shared.data();
    blockDim = config->blockDim;
    for (unsigned y = 0; y < config->gridDim.y; y++)
        for (unsigned x = 0; x < config->gridDim.x; x++) {
            memset(now.shared, 0xff, config->dynamicSmemBytes);
            blockIdx = dim3(x, y, 0);
            run_block((int)config->blockDim.x, backwards);
        }
}

cudaError_t emulated_launch(const cudaLaunchConfig_t *config, const void *kernel, run_kernel *run, const void *call, size_t call_bytes)
{
    unsigned n = config->blockDim.x;
    if (n < 1 || n > MOST_THREADS || config->dynamicSmemBytes > SHARED_BYTES || config->gridDim.y > 65535 || config->gridDim.x > INT32_MAX)
        return cudaErrorInvalidConfiguration;
    if (apart)
        refuse_host_pointers(call, call_bytes);
    if (!captured) {
        launch_blocks(config, kernel, run, call);
        return cudaSuccess;
    }
    cudaLaunchConfig_t kept = *config;
    const void *function = *(const void *const *)kernel;
    std::vector<unsigned char> bytes((const unsigned char *)call, (const unsigned char *)call + call_bytes);
    captured->nodes.push_back([=] { launch_blocks(&kept, &function, run, bytes.data()); });
    return cudaSuccess;
}

/* Kernels are compiled for the processor's multiply-add where there is one (tests/CMakeLists.txt). */
cudaError_t cudaGetDeviceCount(int *n)
{
#ifdef __FMA__
    *n = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    *n = 1;
#endif
    return *n ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    if (device)
        return cudaErrorInvalidDevice;
    size_t left;
    *out = cudaDeviceProp();
    strcpy(out->name, "emulated card");
    out->major = 9;
    out->multiProcessorCount = 1;
    return cudaMemGetInfo(&left, &out->totalGlobalMem);
}

cudaError_t cudaSetDevice(int device)
{
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaSuccess ? "no error" : error == cudaErrorMemoryAllocation ? "out of memory" : "an error of the emulated card";
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int)
{
    *pool = NULL;
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, enum cudaMemPoolAttr, void *)
{
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    if (spoils_capture())
        return cudaErrorStreamCaptureUnsupported;
    catch_up(asked);
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *, enum cudaFuncAttribute, int)
{
    return cudaSuccess;
}

/* cuBLASLt is not emulated: every product takes the engine's own kernels. */
struct gemm;
extern "C" bool cuda_gemm_lt(const struct gemm *, bool *)
{
    return false;
}
