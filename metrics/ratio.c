#include "metrics/ratio.h"

#include <math.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const double *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* ways[u]: in how many orders of n and m values u pairs stand the other way round. Coefficients of the Gaussian binomial, a product of
 * (1 - q^(m+i)) / (1 - q^i); exact as long as they are below 2^53, and they are where they matter, in the tail. */
static void count_orders(size_t n, size_t m, double *ways)
{
    size_t most = n * m;
    for (size_t u = 0; u <= most; u++)
        ways[u] = u == 0;
    for (size_t i = 1; i <= n; i++) {
        for (size_t u = most; u >= m + i && u != SIZE_MAX; u--)
            ways[u] -= ways[u - m - i];
        for (size_t u = i; u <= most; u++)
            ways[u] += ways[u - i];
    }
}

/* How many of the sorted ratios are cut off on either side so that both tails together stay within 1 - confidence. */
static int find_cut(size_t n, size_t m, double *confidence, size_t *cut, struct err *err)
{
    double *ways = calloc(n * m + 1, sizeof *ways), all = 1, tail = 0;
    if (!ways)
        return err_no_memory(err, "a ratio's interval");
    count_orders(n, m, ways);
    for (size_t i = 1; i <= n; i++)
        all *= (double)(m + i) / (double)i;
    for (*cut = 0; *cut < n * m / 2 && 2 * (tail + ways[*cut]) <= (1 - *confidence) * all; (*cut)++)
        tail += ways[*cut];
    *confidence = *cut ? 1 - 2 * tail / all : 0;
    free(ways);
    return 0;
}

static int refuse(const double *values, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!(values[i] > 0) || !isfinite(values[i]))
            return err_set(err, ERR_DATA, "a ratio is of positive numbers, %g is none", values[i]);
    return n ? 0 : err_set(err, ERR_DATA, "a ratio is of at least one value on each side");
}

int ratio_of(const double *a, size_t n, const double *b, size_t m, double confidence, struct ratio *out, struct err *err)
{
    size_t all = n * m, cut = 0;
    int rc = refuse(a, n, err);
    if (rc || (rc = refuse(b, m, err)))
        return rc;
    double *ratios = calloc(all, sizeof *ratios);
    if (!ratios)
        return err_no_memory(err, "a ratio's interval");
    for (size_t i = 0; i < all; i++)
        ratios[i] = b[i % m] / a[i / m];
    qsort(ratios, all, sizeof *ratios, by_size);
    if (!(rc = find_cut(n, m, &confidence, &cut, err))) {
        out->estimate = sqrt(ratios[(all - 1) / 2] * ratios[all / 2]);
        out->interval = cut ? (struct interval){ratios[cut - 1], ratios[all - cut]} : (struct interval){0, INFINITY};
        out->confidence = confidence;
    }
    free(ratios);
    return rc;
}
