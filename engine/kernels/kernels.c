/* Choice of a table: by name, or the best that this processor runs; or a card's. */
#include "engine/kernels/kernels.h"
#include "engine/kernels/cuda/cards.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include "engine/kernels/cpu/cpu.h"

static bool runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static bool runs_avx512_bf16(void)
{
    return runs_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif

static bool runs_always(void)
{
    return true;
}

static const struct entry {
    const struct kernels *kernels;
    bool (*runs)(void);
} entries[] = { /* best first */
#if defined(__x86_64__)
    {&kernels_avx512_bf16, runs_avx512_bf16},
    {&kernels_avx512, runs_avx512},
    {&kernels_avx2, runs_avx2},
#endif
    {&kernels_ref, runs_always},
};

static const char *const names[] = { /* of entries */
#if defined(__x86_64__)
    "avx512-bf16", "avx512", "avx2",
#endif
    "ref", NULL,
};

enum { ENTRIES = sizeof entries / sizeof *entries };

const char *const *kernels_names(void)
{
    return names;
}

static const struct entry *entry_find(const char *name)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (!strcmp(entries[i].kernels->name, name))
            return &entries[i];
    return NULL;
}

static const struct entry *entry_best(void)
{
    const struct entry *entry = entries;
    while (!entry->runs())
        entry++; /* the last one runs always */
    return entry;
}

bool kernels_runs(const char *name)
{
    const struct entry *entry = entry_find(name);
    return entry && entry->runs();
}

static int unknown_name(const char *name, struct err *err)
{
    char all[128] = "";
    for (size_t i = 0; i < ENTRIES; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), ", %s", entries[i].kernels->name);
    return err_set(err, ERR_CONFIG, "there is no kernel table '%s': choose one of auto%s", name, all);
}

size_t narrow_bytes(size_t n, size_t n_in)
{
    return size_round_up(n * sizeof(struct row_scale), 64) + n * size_round_up(n_in, 4);
}

void kernels_linear(const struct kernels *k, struct gemm g, void *narrow, int threads)
{
    if (g.w->dtype == DTYPE_I8) {
        struct row_scale *scales = narrow;
        int8_t *rows = (int8_t *)narrow + size_round_up(g.n * sizeof *scales, 64);
        size_t width = size_round_up(g.w->n_in, 4);
        k->quantise(g.n, g.w->n_in, g.x, g.ldx, DTYPE_BF16, rows, width, scales, threads);
        g.x = rows;
        g.ldx = width;
        g.scales = scales;
    }
    k->gemm(&g, threads);
}

int kernels_open(const struct kernels **out, const char *name, struct err *err)
{
    bool best = !name || !strcmp(name, "auto");
    const struct entry *entry = best ? entry_best() : entry_find(name);
    if (!entry)
        return unknown_name(name, err);
    if (!entry->runs())
        return err_set(err, ERR_DEVICE, "this processor cannot run kernel table '%s': choose auto, which is '%s' here", name,
                       entry_best()->kernels->name);
    *out = entry->kernels;
    return 0;
}

bool kernels_computes(const struct kernels *k, enum dtype dtype)
{
    return dtype == DTYPE_I8 ? k->quantise != NULL : dtype != DTYPE_F16 || k == &kernels_ref || !k->memory->host;
}

int kernels_check(const struct kernels *k, enum dtype dtype, struct err *err)
{
    if (kernels_computes(k, dtype))
        return 0;
    return err_set(err, ERR_CONFIG, "kernel table '%s' has no %s; use --dtype bf16, or %s", k->name, dtype_name(dtype),
                   dtype == DTYPE_F16 ? "a card (--device cuda)" : "--device cpu");
}

/* ---- devices ------------------------------------------------------------------------------------------------------------- */

/* Why there is no card to open. */
static int no_card(int n, const char *why, struct err *err)
{
    if (!cuda_built())
        return err_set(err, ERR_DEVICE, "this build has no CUDA: install the CUDA toolkit and build with 'cmake --preset cuda', or use --device cpu");
    if (n < 0)
        return err_set(err, ERR_DEVICE, "CUDA does not start here (%s): a driver that fits the card is missing; use --device cpu", why);
    return err_set(err, ERR_DEVICE, "CUDA finds no card in this machine; use --device cpu");
}

static int open_card(const struct kernels **out, const char *device, struct err *err)
{
    const char *why = "", *number = device + strlen("cuda");
    char *end = NULL;
    long card = *number ? strtol(number + 1, &end, 10) : 0;
    int n = cuda_cards(NULL, 0, &why);
    if (n < 1)
        return no_card(n, why, err);
    if (card >= n)
        return err_set(err, ERR_DEVICE, "there is no %s: this machine has %d CUDA card%s, counted from cuda:0", device, n, n == 1 ? "" : "s");
    return cuda_open(out, (int)card, err);
}

static bool is_card(const char *device)
{
    size_t prefix = strlen("cuda:");
    const char *number = device + prefix;
    return !strcmp(device, "cuda") ||
           (!strncmp(device, "cuda:", prefix) && *number && strspn(number, "0123456789") == strlen(number) && strlen(number) < 6);
}

int kernels_open_device(const struct kernels **out, const char *device, const char *name, struct err *err)
{
    const char *why;
    if (!strcmp(device, "auto"))
        device = cuda_cards(NULL, 0, &why) > 0 ? "cuda" : "cpu";
    if (!strcmp(device, "cpu"))
        return kernels_open(out, name, err);
    if (is_card(device))
        return open_card(out, device, err);
    return err_set(err, ERR_CONFIG, "there is no device '%s': choose cpu, cuda, cuda:N or auto", device);
}

void kernels_describe(const struct kernels *k, char *isa, size_t isa_size, char *card, size_t card_size)
{
    struct cuda_card facts;
    int number;
    if (cuda_card_of(k, &number, &facts)) {
        snprintf(isa, isa_size, "%s-sm%d%d", k->name, facts.major, facts.minor);
        snprintf(card, card_size, "cuda:%d %s", number, facts.name);
    } else {
        snprintf(isa, isa_size, "%s", k->name);
        snprintf(card, card_size, "%s", "");
    }
}
