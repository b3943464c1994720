/* Pareto front: which cells are on it, in the numbers as they are and in resampled ones. */
#include "metrics/front.h"

#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

static const uint64_t stream = 0x66726f6e74000001u; /* draws of videos, and nothing else */

static bool beats(double cost, double accuracy, double other_cost, double other_accuracy)
{
    return cost <= other_cost && accuracy >= other_accuracy && (cost < other_cost || accuracy > other_accuracy);
}

static bool is_on_front(const struct front_cell *cells, const double *accuracy, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++)
        if (beats(cells[i].cost, accuracy[i], cells[at].cost, accuracy[at]))
            return false;
    return true;
}

static double best_for(const struct front_cell *cells, const double *accuracy, size_t n, double cost)
{
    double best = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (cells[i].cost <= cost)
            best = fmax(best, accuracy[i]);
    return best;
}

/* How often each video is in a draw. */
static void draw_videos(double *times, size_t n, uint64_t seed, size_t draw)
{
    for (size_t v = 0; v < n; v++)
        times[v] = 0;
    for (size_t v = 0; v < n; v++)
        times[(size_t)(rng_unit(seed, stream, draw * n + v) * (double)n)]++;
}

static void draw_accuracies(double *accuracy, const struct front_cell *cells, size_t n, const double *times, size_t n_videos)
{
    for (size_t i = 0; i < n; i++) {
        accuracy[i] = cells[i].accuracy;
        for (size_t v = 0; v < n_videos; v++)
            accuracy[i] += times[v] * cells[i].moved[v];
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int front_bootstrap(struct front_cell *cells, size_t n_cells, size_t n_videos, const double *at, struct interval *band, size_t n_at,
                    double confidence, size_t draws, uint64_t seed, struct err *err)
{
    double *times = calloc(n_videos + 1, sizeof *times), *accuracy = calloc(n_cells + 1, sizeof *accuracy);
    double *best = calloc(n_at * draws + 1, sizeof *best);
    int rc = times && accuracy && best ? 0 : err_no_memory(err, "a Pareto front");
    if (!rc)
        draw_accuracies(accuracy, cells, n_cells, times, n_videos);
    for (size_t i = 0; i < n_cells && !rc; i++) {
        cells[i].on_front = is_on_front(cells, accuracy, n_cells, i);
        cells[i].chance = 0;
    }
    for (size_t d = 0; d < draws && !rc; d++) {
        draw_videos(times, n_videos, seed, d);
        draw_accuracies(accuracy, cells, n_cells, times, n_videos);
        for (size_t i = 0; i < n_cells; i++)
            cells[i].chance += is_on_front(cells, accuracy, n_cells, i);
        for (size_t i = 0; i < n_at; i++)
            best[i * draws + d] = best_for(cells, accuracy, n_cells, at[i]);
    }
    for (size_t i = 0; i < n_cells && !rc; i++)
        cells[i].chance /= (double)draws;
    for (size_t i = 0; i < n_at && !rc; i++) {
        qsort(best + i * draws, draws, sizeof *best, by_value);
        size_t outside = (size_t)((1 - confidence) / 2 * (double)(draws - 1) + 0.5);
        band[i] = (struct interval){best[i * draws + outside], best[i * draws + draws - 1 - outside]};
    }
    free(times);
    free(accuracy);
    free(best);
    return rc;
}
