#include "compressors/diverse.h"

#include "compressors/topk.h"

#include "core/similarity.h"

#include <math.h>

/* A token's distance to its nearest other; 1 for a token alone, which has none. */
static void nearest_other(const float *unit, size_t n, size_t width, float *nearest)
{
    for (size_t i = 0; i < n; i++)
        nearest[i] = n > 1 ? INFINITY : 1;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            float distance = 1 - sim_dot(unit + i * width, unit + j * width, width);
            nearest[i] = fminf(nearest[i], distance);
            nearest[j] = fminf(nearest[j], distance);
        }
}

bool diverse_select(const float *unit, size_t n, size_t width, const float *weight, size_t k, uint32_t *out, struct arena *arena)
{
    float *nearest = arena_alloc(arena, n, sizeof *nearest), *score = arena_alloc(arena, n, sizeof *score);
    uint8_t *chosen = arena_alloc(arena, n, 1);
    if (!nearest || !score || !chosen)
        return false;
    nearest_other(unit, n, width, nearest);
    for (size_t round = 0; round < k; round++) {
        for (size_t i = 0; i < n; i++)
            score[i] = chosen[i] ? -INFINITY : weight ? nearest[i] * weight[i] : nearest[i];
        size_t pick = topk_best(score, n);
        chosen[pick] = 1;
        for (size_t i = 0; i < n; i++) {
            float distance = 1 - sim_dot(unit + pick * width, unit + i * width, width);
            nearest[i] = round ? fminf(nearest[i], distance) : distance; /* from here on, to the nearest chosen */
        }
    }
    for (size_t i = 0, found = 0; i < n; i++)
        if (chosen[i])
            out[found++] = (uint32_t)i;
    return true;
}
