#include "compressors/peaks.h"

#include "compressors/topk.h"
#include "core/rng.h"

#include <math.h>

int peaks_distances(const struct sim_rows *rows, struct row_list list, float *distance, struct err *err)
{
    float unit = sqrtf((float)rows->width);
    int rc = sim_square(rows, list, SIM_APART, distance, err);
    for (size_t i = 0; i < list.n * list.n && !rc; i++)
        distance[i] = i % (list.n + 1) ? sqrtf(distance[i]) / unit : 0;
    return rc;
}

/* Mean of the k smallest squares; least[k] is room. */
static float mean_nearest(const float *distance, size_t n, size_t k, float *least)
{
    float sum = 0;
    size_t held = 0;
    for (size_t j = 0; j < n; j++) {
        if (held == k && !(distance[j] < least[k - 1]))
            continue;
        size_t at = held < k ? held++ : k - 1;
        for (; at && least[at - 1] > distance[j]; at--)
            least[at] = least[at - 1];
        least[at] = distance[j];
    }
    for (size_t i = 0; i < held; i++)
        sum += least[i] * least[i];
    return sum / (float)held;
}

static float nearest_denser(const float *distance, const float *density, size_t n, size_t i, float most)
{
    float least = most;
    for (size_t j = 0; j < n; j++)
        if (density[j] > density[i] && distance[j] < least)
            least = distance[j];
    return least;
}

bool peaks_scores(const float *distance, size_t n, size_t nearest, float *score, struct arena *arena)
{
    size_t k = nearest < n ? nearest : n;
    float *density = arena_alloc(arena, n, sizeof *density), *least = arena_alloc(arena, k, sizeof *least), most = 0;
    if (!density || !least)
        return false;
    uint64_t stream = rng_stream("density peaks");
    for (size_t i = 0; i < n; i++)
        density[i] = expf(-mean_nearest(distance + i * n, n, k, least)) + (float)rng_unit(0, stream, i) * 1e-6f;
    for (size_t i = 0; i < n * n; i++)
        most = distance[i] > most ? distance[i] : most;
    for (size_t i = 0; i < n; i++)
        score[i] = nearest_denser(distance + i * n, density, n, i, most) * density[i];
    return true;
}

bool peaks_cluster(const float *distance, size_t n, size_t nearest, size_t n_centres, bool ascending, struct peaks *out, struct arena *arena)
{
    float *score = arena_alloc(arena, n, sizeof *score);
    *out = (struct peaks){.centre = arena_alloc(arena, n_centres, sizeof *out->centre), .n_centres = n_centres,
                          .of = arena_alloc(arena, n, sizeof *out->of)};
    if (!score || !out->centre || !out->of || !peaks_scores(distance, n, nearest, score, arena))
        return false;
    if (ascending)
        topk_select(score, n, n_centres, out->centre);
    else if (!topk_rank(score, n, n_centres, out->centre, arena))
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 1; k < n_centres; k++)
            if (distance[i * n + out->centre[k]] < distance[i * n + out->centre[out->of[i]]])
                out->of[i] = (uint32_t)k;
    for (size_t k = 0; k < n_centres; k++)
        out->of[out->centre[k]] = (uint32_t)k; /* even where it equals another */
    return true;
}
