#include "compressors/kmeans.h"

#include "core/rng.h"
#include "core/similarity.h"

#include <math.h>
#include <string.h>

int kmeans_new(struct kmeans *kmeans, const struct sim_rows *rows, size_t most, struct arena *arena, struct err *err)
{
    size_t n = rows->n, width = rows->width, dots = most > n ? most : n;
    *kmeans = (struct kmeans){.rows = *rows, .norms = arena_alloc(arena, n, sizeof *kmeans->norms), .n = n, .width = width, .most = most,
                              .seed = arena_alloc(arena, most, sizeof *kmeans->seed), .label = arena_alloc(arena, n, sizeof *kmeans->label),
                              .count = arena_alloc(arena, most, sizeof *kmeans->count),
                              .centroid = arena_alloc(arena, most * width, sizeof *kmeans->centroid),
                              .centroid_norm = arena_alloc(arena, most, sizeof *kmeans->centroid_norm),
                              .begin = arena_alloc(arena, most + 1, sizeof *kmeans->begin),
                              .members = arena_alloc(arena, n, sizeof *kmeans->members),
                              .pairs = arena_alloc(arena, n, sizeof *kmeans->pairs),
                              .scale = arena_alloc(arena, n, sizeof *kmeans->scale), .sum = arena_alloc(arena, most * width, sizeof *kmeans->sum),
                              .dots = arena_alloc(arena, dots > KMEANS_CHUNK_VALUES ? dots : KMEANS_CHUNK_VALUES, sizeof *kmeans->dots),
                              .arena = arena};
    if (!kmeans->norms || !kmeans->seed || !kmeans->label || !kmeans->count || !kmeans->centroid || !kmeans->centroid_norm || !kmeans->begin ||
        !kmeans->members || !kmeans->pairs || !kmeans->scale || !kmeans->sum || !kmeans->dots)
        return err_no_memory(err, "clusters of tokens");
    int rc = sim_lengths(rows, (struct row_list){.n = n}, kmeans->norms, arena, err);
    return rc ? rc : sim_room(&kmeans->rows, 2 * most, arena, err);
}

/* ---- seeds --------------------------------------------------------------------------------------------------------------- */

/* Squared distance of two rows' unit vectors by their dot product; a row of norm 0 has the unit vector 0. */
static double unit_distance(const struct kmeans *kmeans, size_t i, size_t j, float dot)
{
    double a = kmeans->norms[i] > 0, b = kmeans->norms[j] > 0;
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

int kmeans_seed(struct kmeans *kmeans, uint64_t seed, uint64_t stream, struct err *err)
{
    double *weight = arena_alloc(kmeans->arena, kmeans->n, sizeof *weight);
    int rc = weight ? 0 : err_no_memory(err, "clusters of tokens");
    for (size_t i = 0; i < kmeans->n && !rc; i++)
        weight[i] = 1;
    for (size_t k = 0; k < kmeans->most && !rc; k++) {
        size_t row = draw_row(weight, kmeans->n, rng_unit(seed, stream, k));
        kmeans->seed[k] = (uint32_t)row;
        rc = sim_block(&kmeans->rows, (struct row_list){.first = row, .n = 1}, (struct row_list){.n = kmeans->n}, SIM_PRODUCT, kmeans->dots, err);
        for (size_t i = 0; i < kmeans->n && !rc; i++) {
            double distance = unit_distance(kmeans, i, row, kmeans->dots[i]) + 1e-6;
            weight[i] = k == 0 || distance < weight[i] ? distance : weight[i];
        }
    }
    return rc;
}

/* ---- clusters ------------------------------------------------------------------------------------------------------------ */

/* The centroids are the seeds' unit vectors, until they move. */
static int begin(struct kmeans *kmeans, size_t k, struct err *err)
{
    float *norm = kmeans->centroid_norm;
    kmeans->k = k;
    for (size_t i = 0; i < k; i++)
        norm[i] = kmeans->norms[kmeans->seed[i]] > 0 ? kmeans->norms[kmeans->seed[i]] : 0;
    int rc = sim_units(&kmeans->rows, (struct row_list){.of = kmeans->seed, .n = k}, norm, kmeans->n, kmeans->arena, err);
    return rc ? rc : sim_get(&kmeans->rows, kmeans->n, k, kmeans->centroid, err);
}

/* Brings the centroids to where the rows are. */
static int measure_centroids(struct kmeans *kmeans, struct err *err)
{
    for (size_t i = 0; i < kmeans->k; i++) {
        const float *centroid = kmeans->centroid + i * kmeans->width;
        kmeans->centroid_norm[i] = sqrtf(sim_dot(centroid, centroid, kmeans->width));
    }
    return sim_put(&kmeans->rows, kmeans->n, kmeans->k, kmeans->centroid, err);
}

/* Into `dots`: the products of rows from `first` on with all centroids. Returns of how many rows, 0 when that failed. */
static size_t compare_some(const struct kmeans *kmeans, size_t first, int *rc, struct err *err)
{
    size_t most = KMEANS_CHUNK_VALUES / kmeans->k, n = most ? most : 1;
    n = n < kmeans->n - first ? n : kmeans->n - first;
    *rc = sim_block(&kmeans->rows, (struct row_list){.first = first, .n = n}, (struct row_list){.first = kmeans->n, .n = kmeans->k}, SIM_PRODUCT,
                    kmeans->dots, err);
    return *rc ? 0 : n;
}

static uint32_t nearest_centroid(const struct kmeans *kmeans, const float *dots)
{
    size_t best = 0;
    float most = -INFINITY;
    for (size_t k = 0; k < kmeans->k; k++) {
        float value = kmeans->centroid_norm[k] > 0 ? dots[k] / kmeans->centroid_norm[k] : 0; /* the cosine, times the row's norm */
        if (value > most) {
            most = value;
            best = k;
        }
    }
    return (uint32_t)best;
}

static int assign(struct kmeans *kmeans, struct err *err)
{
    int rc = measure_centroids(kmeans, err);
    for (size_t first = 0, n; first < kmeans->n && !rc; first += n) {
        n = compare_some(kmeans, first, &rc, err);
        for (size_t i = 0; i < n; i++)
            kmeans->label[first + i] = nearest_centroid(kmeans, kmeans->dots + i * kmeans->k);
    }
    return rc;
}

static int add_up(struct kmeans *kmeans, struct err *err)
{
    const struct sim_totals totals = {.n = kmeans->k, .begin = kmeans->begin, .src = kmeans->members, .scale = kmeans->scale};
    uint32_t *begin = kmeans->begin;
    memset(kmeans->count, 0, kmeans->k * sizeof *kmeans->count);
    for (size_t i = 0; i < kmeans->n; i++)
        kmeans->count[kmeans->label[i]]++;
    begin[0] = 0;
    for (size_t k = 0; k < kmeans->k; k++)
        begin[k + 1] = begin[k] + kmeans->count[k];
    for (size_t i = kmeans->n; i-- > 0;) { /* each from the end of its part, which is where the next one begins until then */
        uint32_t at = --begin[kmeans->label[i] + 1];
        kmeans->members[at] = (uint32_t)i;
        kmeans->scale[at] = kmeans->norms[i] > 0 ? 1 / (double)kmeans->norms[i] : 0;
    }
    for (size_t k = 0; k < kmeans->k; k++)
        begin[k + 1] += kmeans->count[k];
    return sim_total(&kmeans->rows, &totals, kmeans->sum, err);
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

int kmeans_fit(struct kmeans *kmeans, size_t k, int iterations, struct err *err)
{
    int rc = begin(kmeans, k, err);
    bool moves = true;
    for (kmeans->iterations = 0; moves && !rc && kmeans->iterations < iterations; kmeans->iterations++) {
        rc = assign(kmeans, err);
        if (!rc && !(rc = add_up(kmeans, err)))
            moves = !(move_centroids(kmeans) < 1e-4);
    }
    for (size_t i = 0; i < k; i++)
        if (!kmeans->count[i])
            memset(kmeans->centroid + i * kmeans->width, 0, kmeans->width * sizeof *kmeans->centroid);
    return rc ? rc : measure_centroids(kmeans, err);
}

/* ---- how well ------------------------------------------------------------------------------------------------------------ */

static double cosine(const struct kmeans *kmeans, size_t row, size_t k, float dot)
{
    return (double)sim_cosine(dot, kmeans->norms[row], kmeans->centroid_norm[k]);
}

/* dots[n]: of each row with its centroid. */
static int own_dots(const struct kmeans *kmeans, struct err *err)
{
    for (size_t i = 0; i < kmeans->n; i++)
        kmeans->pairs[i] = (struct row_pair){(uint32_t)i, (uint32_t)kmeans->n + kmeans->label[i]};
    return sim_pairs(&kmeans->rows, kmeans->pairs, kmeans->n, false, kmeans->dots, err);
}

int kmeans_cosines(const struct kmeans *kmeans, double *out, struct err *err)
{
    int rc = own_dots(kmeans, err);
    *out = 0;
    for (size_t i = 0; i < kmeans->n && !rc; i++)
        *out += cosine(kmeans, i, kmeans->label[i], kmeans->dots[i]);
    return rc;
}

int kmeans_distortion(const struct kmeans *kmeans, double *out, struct err *err)
{
    int rc = own_dots(kmeans, err);
    *out = 0;
    for (size_t i = 0; i < kmeans->n && !rc; i++) {
        double unit = kmeans->norms[i] > 0, norm = (double)kmeans->centroid_norm[kmeans->label[i]];
        *out += unit + norm * norm - 2 * norm * cosine(kmeans, i, kmeans->label[i], kmeans->dots[i]);
    }
    return rc;
}

static double row_silhouette(const struct kmeans *kmeans, size_t i, const float *dots)
{
    double own = 0, other = 2;
    for (size_t k = 0; k < kmeans->k; k++) {
        double distance = 1 - cosine(kmeans, i, k, dots[k]);
        if (k == kmeans->label[i])
            own = distance;
        else if (kmeans->count[k])
            other = fmin(other, distance);
    }
    double most = fmax(own, other);
    return most > 0 ? (other - own) / most : 0;
}

int kmeans_silhouette(const struct kmeans *kmeans, double *out, struct err *err)
{
    int rc = 0;
    *out = 0;
    for (size_t first = 0, n; first < kmeans->n && !rc; first += n) {
        n = compare_some(kmeans, first, &rc, err);
        for (size_t i = 0; i < n; i++)
            *out += row_silhouette(kmeans, first + i, kmeans->dots + i * kmeans->k);
    }
    *out /= (double)kmeans->n;
    return rc;
}
