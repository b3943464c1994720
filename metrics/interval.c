/* Intervals: Wilson's score interval in closed form, and the same for questions that come in clusters. */
#include "metrics/interval.h"

#include "metrics/special.h"

#include <math.h>

struct interval wilson_interval(double share, double n, double z)
{
    double z2n = z * z / n;
    double centre = (share + z2n / 2) / (1 + z2n);
    double half = z / (1 + z2n) * sqrt(share * (1 - share) / n + z2n / (4 * n));
    /* Exact at the ends, where rounding would leave a trace below 0 or above 1. */
    return (struct interval){share <= 0 ? 0.0 : centre - half, share >= 1 ? 1.0 : centre + half};
}

struct interval share_interval(double share, double se, int64_t n, int64_t clusters, double confidence)
{
    if (n < 1 || clusters < 2)
        return (struct interval){0.0, 1.0};
    double z = normal_quantile((1 + confidence) / 2), t = student_quantile((1 + confidence) / 2, (double)(clusters - 1));
    double spread = share * (1 - share) / (se * se); /* inf or NaN where all videos agree */
    double independent = spread < (double)n ? spread : (double)n;
    return wilson_interval(share, independent * (z / t) * (z / t), z);
}
