#include "compressors/windows.h"

#include "compressors/methods.h"
#include "compressors/peaks.h"

#include <math.h>

int windows_new(struct windows *w, const struct grid_view *grid, int T, struct tok_plan *plan, struct arena *arena, struct err *err)
{
    size_t N = (size_t)grid->h * (size_t)grid->w, d = (size_t)grid->d, n = (size_t)T * N, room = N > (size_t)T ? N : (size_t)T;
    *w = (struct windows){.grid = grid, .T = (size_t)T, .N = N, .d = d, .plan = plan, .arena = arena,
                          .rows = {.near = grid->H, .n = n, .width = d, .far = grid->far_H},
                          .cell = arena_alloc(arena, N, sizeof *w->cell), .taps = arena_alloc(arena, n, sizeof *w->taps),
                          .begin = arena_alloc(arena, room + 1, sizeof *w->begin), .row = arena_alloc(arena, N, sizeof *w->row),
                          .distance = arena_alloc(arena, N * N, sizeof *w->distance)};
    if (!w->cell || !w->taps || !w->begin || !w->row || !w->distance || !tok_plan_reserve(plan, T, grid->h, grid->w, n, n, arena))
        return err_no_memory(err, "a token plan");
    return sim_room(&w->rows, room, arena, err);
}

/* Rows of the cells, averaged over the frames. */
static int fill_rows(struct windows *w, size_t n, size_t first, size_t last, struct err *err)
{
    const struct sim_sums means = {.first = w->rows.n, .n = n, .begin = w->begin, .taps = w->taps, .divide = true};
    uint32_t taps = 0;
    w->begin[0] = 0;
    for (size_t i = 0; i < n; i++) {
        w->row[i] = (uint32_t)(first == last ? first * w->N + w->cell[i] : w->rows.n + i);
        for (size_t t = first; t <= last; t++)
            w->taps[taps++] = (struct tap){(uint32_t)(t * w->N + w->cell[i]), (float)(last - first + 1)};
        w->begin[i + 1] = taps;
    }
    return first == last ? 0 : sim_sum(&w->rows, &means, err);
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

int windows_push(struct windows *w, size_t n, size_t wanted, const struct clustering *clustering, size_t first, size_t last, struct err *err)
{
    struct peaks peaks;
    for (size_t i = 0; i < n && !clustering; i++) {
        size_t taps = w->plan->n_taps;
        push_taps(w, w->cell[i], first, last, 1);
        plan_push_sum(w->plan, taps, (uint32_t)(first * w->N + w->cell[i]));
    }
    if (!clustering || !wanted)
        return 0;
    int rc = fill_rows(w, n, first, last, err);
    if (!rc)
        rc = peaks_distances(&w->rows, (struct row_list){.of = w->row, .n = n}, w->distance, err);
    if (rc)
        return rc;
    if (!peaks_cluster(w->distance, n, clustering->nearest, wanted, clustering->ascending, &peaks, w->arena))
        return err_no_memory(err, "clusters of tokens");
    for (size_t k = 0; k < wanted; k++)
        push_cluster(w, &peaks, k, n, clustering->beta, first, last);
    return 0;
}
