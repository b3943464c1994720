#include "compressors/kmeans.h"

#include "core/rng.h"
#include "core/similarity.h"

#include <math.h>
#include <string.h>

bool kmeans_new(struct kmeans *kmeans, const float *rows, size_t n, size_t width, size_t most, struct arena *arena)
{
    *kmeans = (struct kmeans){.rows = rows, .norms = sim_norms(rows, n, width, arena), .n = n, .width = width, .most = most,
                              .seed = arena_alloc(arena, most, sizeof *kmeans->seed), .label = arena_alloc(arena, n, sizeof *kmeans->label),
                              .count = arena_alloc(arena, most, sizeof *kmeans->count),
                              .centroid = arena_alloc(arena, most * width, sizeof *kmeans->centroid),
                              .centroid_norm = arena_alloc(arena, most, sizeof *kmeans->centroid_norm),
                              .sum = arena_alloc(arena, most * width, sizeof *kmeans->sum),
                              .dots = arena_alloc(arena, most, sizeof *kmeans->dots)};
    return kmeans->norms && kmeans->seed && kmeans->label && kmeans->count && kmeans->centroid && kmeans->centroid_norm && kmeans->sum &&
           kmeans->dots;
}

/* ---- seeds --------------------------------------------------------------------------------------------------------------- */

/* Squared distance of two rows' unit vectors; a row of norm 0 has the unit vector 0. */
static double unit_distance(const struct kmeans *kmeans, size_t i, size_t j)
{
    double a = kmeans->norms[i] > 0, b = kmeans->norms[j] > 0;
    float dot = sim_dot(kmeans->rows + i * kmeans->width, kmeans->rows + j * kmeans->width, kmeans->width);
    double distance = a + b - 2 * (double)sim_cosine(dot, kmeans->norms[i], kmeans->norms[j]);
    return distance > 0 ? distance : 0;
}

/* The first row at which the weights so far exceed `draw` of their total. */
static size_t draw_row(const double *weight, size_t n, double draw)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        total += weight[i];
    for (size_t i = 0; i + 1 < n; i++) {
        sum += weight[i];
        if (sum > draw * total)
            return i;
    }
    return n - 1;
}

bool kmeans_seed(struct kmeans *kmeans, uint64_t seed, uint64_t stream, struct arena *arena)
{
    double *weight = arena_alloc(arena, kmeans->n, sizeof *weight);
    if (!weight)
        return false;
    for (size_t i = 0; i < kmeans->n; i++)
        weight[i] = 1;
    for (size_t k = 0; k < kmeans->most; k++) {
        size_t row = draw_row(weight, kmeans->n, rng_unit(seed, stream, k));
        kmeans->seed[k] = (uint32_t)row;
        for (size_t i = 0; i < kmeans->n; i++) {
            double distance = unit_distance(kmeans, i, row) + 1e-6;
            weight[i] = k == 0 || distance < weight[i] ? distance : weight[i];
        }
    }
    return true;
}

/* ---- clusters ------------------------------------------------------------------------------------------------------------ */

static void begin(struct kmeans *kmeans, size_t k)
{
    size_t width = kmeans->width;
    kmeans->k = k;
    for (size_t i = 0; i < k; i++) {
        const float *row = kmeans->rows + kmeans->seed[i] * width;
        float norm = kmeans->norms[kmeans->seed[i]];
        for (size_t c = 0; c < width; c++)
            kmeans->centroid[i * width + c] = norm > 0 ? row[c] / norm : 0;
    }
}

static void measure_centroids(struct kmeans *kmeans)
{
    for (size_t i = 0; i < kmeans->k; i++) {
        const float *centroid = kmeans->centroid + i * kmeans->width;
        kmeans->centroid_norm[i] = sqrtf(sim_dot(centroid, centroid, kmeans->width));
    }
}

static void assign(struct kmeans *kmeans)
{
    measure_centroids(kmeans);
    for (size_t i = 0; i < kmeans->n; i++) {
        size_t best = 0;
        float most = -INFINITY;
        sim_dots(kmeans->rows + i * kmeans->width, kmeans->centroid, kmeans->k, kmeans->width, kmeans->dots);
        for (size_t k = 0; k < kmeans->k; k++) {
            float value = kmeans->centroid_norm[k] > 0 ? kmeans->dots[k] / kmeans->centroid_norm[k] : 0; /* the cosine, times the row's norm */
            if (value > most) {
                most = value;
                best = k;
            }
        }
        kmeans->label[i] = (uint32_t)best;
    }
}

static void add_up(struct kmeans *kmeans)
{
    size_t width = kmeans->width;
    memset(kmeans->sum, 0, kmeans->k * width * sizeof *kmeans->sum);
    memset(kmeans->count, 0, kmeans->k * sizeof *kmeans->count);
    for (size_t i = 0; i < kmeans->n; i++) {
        const float *row = kmeans->rows + i * width;
        double *sum = kmeans->sum + kmeans->label[i] * width, scale = kmeans->norms[i] > 0 ? 1 / (double)kmeans->norms[i] : 0;
        kmeans->count[kmeans->label[i]]++;
        for (size_t c = 0; c < width; c++)
            sum[c] += (double)row[c] * scale;
    }
}

/* Moves every centroid that has rows to their mean; returns the Frobenius norm of the change. */
static double move_centroids(struct kmeans *kmeans)
{
    double change = 0;
    for (size_t k = 0; k < kmeans->k; k++) {
        float *centroid = kmeans->centroid + k * kmeans->width;
        for (size_t c = 0; c < kmeans->width && kmeans->count[k]; c++) {
            float mean = (float)(kmeans->sum[k * kmeans->width + c] / kmeans->count[k]), step = mean - centroid[c];
            change += (double)step * (double)step;
            centroid[c] = mean;
        }
    }
    return sqrt(change);
}

void kmeans_fit(struct kmeans *kmeans, size_t k, int iterations)
{
    begin(kmeans, k);
    for (kmeans->iterations = 1;; kmeans->iterations++) {
        assign(kmeans);
        add_up(kmeans);
        if (move_centroids(kmeans) < 1e-4 || kmeans->iterations >= iterations)
            break;
    }
    for (size_t i = 0; i < k; i++)
        if (!kmeans->count[i])
            memset(kmeans->centroid + i * kmeans->width, 0, kmeans->width * sizeof *kmeans->centroid);
    measure_centroids(kmeans);
}

/* ---- how well ------------------------------------------------------------------------------------------------------------ */

double kmeans_cosine(const struct kmeans *kmeans, size_t row, size_t k)
{
    size_t width = kmeans->width;
    return (double)sim_cosine(sim_dot(kmeans->rows + row * width, kmeans->centroid + k * width, width), kmeans->norms[row], kmeans->centroid_norm[k]);
}

double kmeans_cosines(const struct kmeans *kmeans)
{
    double sum = 0;
    for (size_t i = 0; i < kmeans->n; i++)
        sum += kmeans_cosine(kmeans, i, kmeans->label[i]);
    return sum;
}

double kmeans_distortion(const struct kmeans *kmeans)
{
    double sum = 0;
    for (size_t i = 0; i < kmeans->n; i++) {
        double unit = kmeans->norms[i] > 0, norm = (double)kmeans->centroid_norm[kmeans->label[i]];
        sum += unit + norm * norm - 2 * norm * kmeans_cosine(kmeans, i, kmeans->label[i]);
    }
    return sum;
}
