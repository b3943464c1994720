/* Paired comparison: everything from the sums of differences per video. */
#include "metrics/paired.h"

#include "core/rng.h"
#include "metrics/special.h"

#include <math.h>
#include <stdlib.h>

/* ---- clusters ------------------------------------------------------------------------------------------------------------ */

struct cluster { double sum; size_t n; };

/* Sums per video, those without questions left out. The caller frees *out. */
static int cluster_sums(const struct pair *pairs, size_t n, size_t n_clusters, struct cluster **out, size_t *n_out, struct err *err)
{
    struct cluster *clusters = calloc(n_clusters ? n_clusters : 1, sizeof *clusters);
    if (!clusters)
        return err_no_memory(err, "a paired comparison");
    for (size_t i = 0; i < n; i++) {
        clusters[pairs[i].cluster].sum += pairs[i].a - pairs[i].b;
        clusters[pairs[i].cluster].n++;
    }
    size_t used = 0;
    for (size_t c = 0; c < n_clusters; c++)
        if (clusters[c].n)
            clusters[used++] = clusters[c];
    if (used < 2) {
        free(clusters);
        return err_set(err, ERR_DATA, "a comparison over %zu videos says nothing about noise: at least 2 are needed", used);
    }
    *out = clusters;
    *n_out = used;
    return 0;
}

static double mean_of(const struct cluster *clusters, size_t n_clusters, size_t n)
{
    double sum = 0;
    for (size_t c = 0; c < n_clusters; c++)
        sum += clusters[c].sum;
    return sum / (double)n;
}

static double cluster_variance(const struct cluster *clusters, size_t n_clusters, size_t n, double mean)
{
    double squares = 0, g = (double)n_clusters, count = (double)n;
    for (size_t c = 0; c < n_clusters; c++) {
        double residual = clusters[c].sum - mean * (double)clusters[c].n;
        squares += residual * residual;
    }
    return g / (g - 1) * squares / (count * count);
}

static double plain_variance(const struct pair *pairs, size_t n, double mean)
{
    double squares = 0, count = (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (pairs[i].a - pairs[i].b - mean) * (pairs[i].a - pairs[i].b - mean);
    return squares / (count * (count - 1));
}

int paired_difference(const struct pair *pairs, size_t n, size_t n_clusters, double confidence, struct difference *out, struct err *err)
{
    struct cluster *clusters;
    size_t used;
    int rc = cluster_sums(pairs, n, n_clusters, &clusters, &used, err);
    if (rc)
        return rc;
    double mean = mean_of(clusters, used, n), variance = cluster_variance(clusters, used, n, mean);
    double plain = plain_variance(pairs, n, mean), df = (double)used - 1;
    double half = student_quantile((1 + confidence) / 2, df) * sqrt(variance);
    *out = (struct difference){
        .mean = mean,
        .se = sqrt(variance),
        .df = df,
        .interval = {mean - half, mean + half},
        .n = n,
        .clusters = used,
        .design_effect = plain > 0 ? variance / plain : NAN,
    };
    free(clusters);
    return 0;
}

/* ---- bootstrap ----------------------------------------------------------------------------------------------------------- */

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile q of a sorted list, between neighbours in proportion. */
static double sorted_quantile(const double *sorted, size_t n, double q)
{
    double place = q * (double)(n - 1);
    size_t below = (size_t)place;
    return below + 1 < n ? sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]) : sorted[n - 1];
}

static double draw_mean(const struct cluster *clusters, size_t n_clusters, uint64_t seed, size_t draw)
{
    static const uint64_t stream = 0x7061697265640001u; /* draws of videos, and nothing else */
    double sum = 0;
    size_t n = 0;
    for (size_t c = 0; c < n_clusters; c++) {
        const struct cluster *drawn = &clusters[(size_t)(rng_unit(seed, stream, draw * n_clusters + c) * (double)n_clusters)];
        sum += drawn->sum;
        n += drawn->n;
    }
    return sum / (double)n;
}

int paired_bootstrap(const struct pair *pairs, size_t n, size_t n_clusters, double confidence, size_t draws, uint64_t seed,
                     struct interval *out, struct err *err)
{
    struct cluster *clusters;
    size_t used;
    int rc = cluster_sums(pairs, n, n_clusters, &clusters, &used, err);
    if (rc)
        return rc;
    double *means = malloc(draws * sizeof *means);
    if (means) {
        for (size_t d = 0; d < draws; d++)
            means[d] = draw_mean(clusters, used, seed, d);
        qsort(means, draws, sizeof *means, compare_double);
        *out = (struct interval){sorted_quantile(means, draws, (1 - confidence) / 2), sorted_quantile(means, draws, (1 + confidence) / 2)};
    }
    free(clusters);
    free(means);
    return means ? 0 : err_no_memory(err, "a bootstrap");
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

double mcnemar_exact(int64_t only_a, int64_t only_b)
{
    int64_t fewer = only_a < only_b ? only_a : only_b;
    return fmin(1, 2 * binomial_cdf(fewer, only_a + only_b, 0.5));
}

/* P(T >= distance / se); a difference without noise is certain. */
static double upper_p(const struct difference *difference, double distance)
{
    if (difference->se > 0)
        return student_cdf(-distance / difference->se, difference->df);
    return distance > 0 ? 0 : 1;
}

double noninferiority_p(const struct difference *difference, double margin)
{
    return upper_p(difference, difference->mean + margin);
}

double equivalence_p(const struct difference *difference, double margin)
{
    return fmax(upper_p(difference, margin + difference->mean), upper_p(difference, margin - difference->mean));
}

double difference_p(const struct difference *difference)
{
    return fmin(1, 2 * upper_p(difference, fabs(difference->mean)));
}

double minimum_detectable(double se, double alpha, double power)
{
    return (normal_quantile(1 - alpha / 2) + normal_quantile(power)) * se;
}

/* ---- many tests ---------------------------------------------------------------------------------------------------------- */

struct ranked { double p; size_t index; };

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p) - (x->p < y->p) : (x->index > y->index) - (x->index < y->index);
}

int holm_adjust(const double *p, size_t n, double *adjusted, struct err *err)
{
    struct ranked *ranks = malloc((n ? n : 1) * sizeof *ranks);
    if (!ranks)
        return err_no_memory(err, "an adjustment for many tests");
    for (size_t i = 0; i < n; i++)
        ranks[i] = (struct ranked){p[i], i};
    qsort(ranks, n, sizeof *ranks, compare_ranked);
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fmin(1, (double)(n - i) * ranks[i].p));
        adjusted[ranks[i].index] = most;
    }
    free(ranks);
    return 0;
}
