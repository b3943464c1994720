/* Choice of a table: by name, or the best that this processor runs. */
#include "engine/kernels/kernels.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <stdio.h>
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
