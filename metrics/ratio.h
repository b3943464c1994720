/* How many times as large the values of one sample are as those of another, when nothing is known of their distribution. */
#ifndef TOKSWEEP_METRICS_RATIO_H
#define TOKSWEEP_METRICS_RATIO_H

#include "core/err.h"
#include "metrics/interval.h"

#include <stddef.h>

struct ratio {
    double estimate;          /* median of all b[j] / a[i] (Hodges and Lehmann 1963, on logarithms) */
    struct interval interval; /* of the ratios that Mann and Whitney's test (1947), exact, does not reject; 0 to infinity when it cannot reject any */
    double confidence;        /* that this interval has: at least the one asked for, or 0 */
};

/* Ratio of `b` to `a`, n and m positive values in any order. Made for repeats of a measurement: order statistics bear the outliers of a
 * busy machine, and the interval holds its confidence at five repeats, where a bootstrap draws from too few values to do so. Takes repeats
 * as independent. With fewer than four on each side 0.95 cannot be reached. ERR_DATA for values that are not positive and finite or for
 * no values; ERR_MEMORY. */
int ratio_of(const double *a, size_t n, const double *b, size_t m, double confidence, struct ratio *out, struct err *err);

#endif
