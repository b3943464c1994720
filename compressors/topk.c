#include "compressors/topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Larger scores have larger keys; equal scores have equal keys; 0 is NaN's alone. */
static uint32_t score_key(float score)
{
    if (isnan(score))
        return 0;
    uint32_t bits;
    score += 0.0f; /* -0 becomes 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

struct cut { uint32_t key; size_t ties; }; /* the k largest: all above key, and the first `ties` that equal it */

static size_t count_above(const float *score, size_t n, uint32_t key)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += score_key(score[i]) > key;
    return count;
}

/* Bisection over the keys: at most 32 passes over the scores, no copy of them. 0 < k <= n. */
static struct cut find_cut(const float *score, size_t n, size_t k)
{
    uint32_t low = 0, high = UINT32_MAX; /* the smallest key with fewer than k above it lies in [low, high] */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (count_above(score, n, middle) < k)
            high = middle;
        else
            low = middle + 1;
    }
    return (struct cut){low, k - count_above(score, n, low)};
}

static bool takes(struct cut *cut, float score)
{
    uint32_t key = score_key(score);
    if (key != cut->key || !cut->ties)
        return key > cut->key;
    cut->ties--;
    return true;
}

void topk_mark(const float *score, size_t n, size_t k, uint8_t *marked)
{
    struct cut cut = k && n ? find_cut(score, n, k < n ? k : n) : (struct cut){UINT32_MAX, 0};
    for (size_t i = 0; i < n; i++)
        marked[i] = takes(&cut, score[i]);
}

size_t topk_select(const float *score, size_t n, size_t k, uint32_t *out)
{
    size_t found = 0;
    struct cut cut = k && n ? find_cut(score, n, k < n ? k : n) : (struct cut){UINT32_MAX, 0};
    for (size_t i = 0; i < n; i++)
        if (takes(&cut, score[i]))
            out[found++] = (uint32_t)i;
    return found;
}

static int descending(const void *a, const void *b)
{
    const uint64_t *p = a, *q = b;
    return (*p < *q) - (*p > *q);
}

bool topk_rank(const float *score, size_t n, size_t k, uint32_t *out, struct arena *arena)
{
    size_t found = topk_select(score, n, k, out);
    uint64_t *keys = arena_alloc(arena, found, sizeof *keys);
    if (!keys)
        return false;
    for (size_t i = 0; i < found; i++)
        keys[i] = (uint64_t)score_key(score[out[i]]) << 32 | (UINT32_MAX - out[i]);
    qsort(keys, found, sizeof *keys, descending);
    for (size_t i = 0; i < found; i++)
        out[i] = UINT32_MAX - (uint32_t)keys[i];
    return true;
}

size_t topk_best(const float *score, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (score_key(score[i]) > score_key(score[best]))
            best = i;
    return best;
}
