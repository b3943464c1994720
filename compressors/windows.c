#include "compressors/windows.h"

#include "compressors/methods.h"
#include "compressors/peaks.h"

#include <math.h>

bool windows_new(struct windows *w, const struct grid_view *grid, int T, struct tok_plan *plan, struct arena *arena)
{
    size_t N = (size_t)grid->h * (size_t)grid->w, d = (size_t)grid->d;
    *w = (struct windows){.grid = grid, .T = (size_t)T, .N = N, .d = d, .plan = plan, .arena = arena,
                          .cell = arena_alloc(arena, N, sizeof *w->cell), .row = arena_alloc(arena, N, sizeof *w->row),
                          .mean = arena_alloc(arena, N * d, sizeof *w->mean), .distance = arena_alloc(arena, N * N, sizeof *w->distance)};
    return w->cell && w->row && w->mean && w->distance && tok_plan_reserve(plan, T, grid->h, grid->w, w->T * N, w->T * N, arena);
}

/* Rows of the cells, averaged over the frames. */
static void fill_rows(struct windows *w, size_t n, size_t first, size_t last)
{
    for (size_t i = 0; i < n; i++) {
        float *mean = w->mean + i * w->d;
        w->row[i] = w->grid->H + (first * w->N + w->cell[i]) * w->d;
        if (first == last)
            continue;
        for (size_t c = 0; c < w->d; c++)
            mean[c] = 0;
        for (size_t t = first; t <= last; t++)
            for (size_t c = 0; c < w->d; c++)
                mean[c] += w->grid->H[(t * w->N + w->cell[i]) * w->d + c] / (float)(last - first + 1);
        w->row[i] = mean;
    }
}

static void push_taps(struct windows *w, uint32_t cell, size_t first, size_t last, double weight)
{
    for (size_t t = first; t <= last && weight > 0; t++)
        w->plan->taps[w->plan->n_taps++] = (struct tap){(uint32_t)(t * w->N + cell), (float)(weight / (double)(last - first + 1))};
}

static void push_cluster(struct windows *w, const struct peaks *peaks, size_t k, size_t n, double beta, size_t first, size_t last)
{
    size_t taps = w->plan->n_taps, others = 0;
    for (size_t i = 0; i < n; i++)
        others += peaks->of[i] == k && i != peaks->centre[k];
    double own = !others ? 1 : isnan(beta) ? 1 / (double)(others + 1) : beta;
    for (size_t i = 0; i < n; i++)
        if (peaks->of[i] == k)
            push_taps(w, w->cell[i], first, last, i == peaks->centre[k] ? own : (1 - own) / (double)others);
    plan_push_sum(w->plan, taps, (uint32_t)(first * w->N + w->cell[peaks->centre[k]]));
}

bool windows_push(struct windows *w, size_t n, size_t wanted, const struct clustering *clustering, size_t first, size_t last)
{
    struct peaks peaks;
    if (!clustering) {
        for (size_t i = 0; i < n; i++) {
            size_t taps = w->plan->n_taps;
            push_taps(w, w->cell[i], first, last, 1);
            plan_push_sum(w->plan, taps, (uint32_t)(first * w->N + w->cell[i]));
        }
        return true;
    }
    if (!wanted)
        return true;
    fill_rows(w, n, first, last);
    peaks_distances(w->row, n, w->d, w->distance);
    if (!peaks_cluster(w->distance, n, clustering->nearest, wanted, clustering->ascending, &peaks, w->arena))
        return false;
    for (size_t k = 0; k < wanted; k++)
        push_cluster(w, &peaks, k, n, clustering->beta, first, last);
    return true;
}
