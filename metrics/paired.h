/* Paired comparison: two cells on the same questions, questions grouped by video.
 *
 * Questions on one video share its difficulty, so they are not independent; all errors here are of clusters (Miller 2024,
 * arXiv:2411.00640, section 2.2). Scores are 0 or 1, or an expected value between. Pure functions; memory is the caller's. */
#ifndef TOKSWEEP_METRICS_PAIRED_H
#define TOKSWEEP_METRICS_PAIRED_H

#include "core/err.h"
#include "metrics/interval.h"

#include <stddef.h>
#include <stdint.h>

/* One question: its video (0..n_clusters-1, in any order) and what each side scored. For the mean of one side alone, b is 0. */
struct pair {
    size_t cluster;
    double a, b;
};

struct difference {
    double mean;              /* of a - b over questions */
    double se;                /* of the mean: clusters, with the factor G / (G - 1) for their finite number */
    double df;                /* G - 1: degrees of freedom of its t distribution */
    struct interval interval; /* mean -+ t se at the confidence asked for */
    size_t n, clusters;       /* questions; videos that have any */
    double design_effect;     /* se^2 over that of independent questions; NaN when the latter is 0 */
};

/* ERR_MEMORY; ERR_DATA with fewer than two videos, where nothing can be said about noise. */
int paired_difference(const struct pair *pairs, size_t n, size_t n_clusters, double confidence, struct difference *out, struct err *err);

/* Percentile interval of `draws` resamplings of videos (Field and Welsh 2007), the same for the same seed. ERR_MEMORY, ERR_DATA. */
int paired_bootstrap(const struct pair *pairs, size_t n, size_t n_clusters, double confidence, size_t draws, uint64_t seed,
                     struct interval *out, struct err *err);

/* Exact two-sided McNemar test (1947) of `only_a` against `only_b` questions that one side alone got right; takes questions as
 * independent. 1 when there are none. */
double mcnemar_exact(int64_t only_a, int64_t only_b);

/* p of "a is worse than b by `margin` or more", margin > 0: small means non-inferior. With se 0 it is 0 or 1. */
double noninferiority_p(const struct difference *difference, double margin);

/* p of "a and b differ by `margin` or more" (Schuirmann 1987: the worse of two one-sided tests). */
double equivalence_p(const struct difference *difference, double margin);

/* p of "a and b do not differ", two-sided t. */
double difference_p(const struct difference *difference);

/* Smallest true difference that a two-sided test at `alpha` finds with chance `power`, normal approximation. */
double minimum_detectable(double se, double alpha, double power);

/* Holm's step-down adjustment (1979) of n tests: adjusted[i] belongs to p[i], whatever their order. ERR_MEMORY. */
int holm_adjust(const double *p, size_t n, double *adjusted, struct err *err);

#endif
