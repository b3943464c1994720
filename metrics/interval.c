/* Intervals: Wilson's score interval in closed form. */
#include "metrics/interval.h"

#include <math.h>

struct interval wilson_interval(int64_t correct, int64_t n, double z)
{
    if (n == 0)
        return (struct interval){0.0, 1.0};
    double count = (double)n, p = (double)correct / count, z2n = z * z / count;
    double centre = (p + z2n / 2) / (1 + z2n);
    double half = z / (1 + z2n) * sqrt(p * (1 - p) / count + z2n / (4 * count));
    /* Exact at the ends, where rounding would leave a trace below 0 or above 1. */
    return (struct interval){correct == 0 ? 0.0 : centre - half, correct == n ? 1.0 : centre + half};
}
