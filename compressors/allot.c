#include "compressors/allot.h"

#include "compressors/topk.h"

#include <math.h>

/* Shares of the sum; all equal when there is none. In f32, as the released code has them: exact halves are ties there. */
static void take_shares(const float *weight, size_t T, float *share)
{
    double sum = 0;
    for (size_t t = 0; t < T; t++)
        sum += weight[t] > 0 ? (double)weight[t] : 0;
    bool some = sum > 0 && isfinite(sum);
    for (size_t t = 0; t < T; t++)
        share[t] = !some ? 1 / (float)T : weight[t] > 0 ? (float)((double)weight[t] / sum) : 0;
}

/* One each to the `left` frames of largest remainder, which are taken. Ties to the larger weight, then to the earlier frame. */
static void give_remainders(const float *weight, float *remainder, size_t T, size_t left, uint32_t *per_frame)
{
    for (; left; left--) {
        size_t best = 0;
        for (size_t t = 1; t < T; t++)
            if (remainder[t] > remainder[best] || (remainder[t] == remainder[best] && weight[t] > weight[best]))
                best = t;
        remainder[best] = -1;
        per_frame[best]++;
    }
}

/* Round by round, one to each frame below the cap, by falling weight. */
static bool give_rounds(const float *weight, size_t T, size_t left, uint32_t cap, uint32_t *per_frame, struct arena *arena)
{
    uint32_t *order = arena_alloc(arena, T, sizeof *order);
    if (!order || !topk_rank(weight, T, T, order, arena))
        return false;
    while (left)
        for (size_t i = 0; i < T && left; i++)
            if (per_frame[order[i]] < cap) {
                per_frame[order[i]]++;
                left--;
            }
    return true;
}

bool allot_tokens(const float *weight, int T, uint32_t total, uint32_t cap, uint32_t *per_frame, struct arena *arena)
{
    size_t n = (size_t)T, given = 0;
    float *share = arena_alloc(arena, n, sizeof *share), *remainder = arena_alloc(arena, n, sizeof *remainder);
    if (!share || !remainder)
        return false;
    take_shares(weight, n, share);
    total = total / n >= cap ? (uint32_t)(n * cap) : total;
    for (size_t t = 0; t < n; t++) {
        float quota = share[t] * (float)total;
        given += per_frame[t] = (uint32_t)quota;
        remainder[t] = quota - floorf(quota);
    }
    give_remainders(weight, remainder, n, total - given, per_frame);
    given = 0;
    for (size_t t = 0; t < n; t++)
        given += per_frame[t] = per_frame[t] < cap ? per_frame[t] : cap;
    return give_rounds(weight, n, total - given, cap, per_frame, arena);
}
