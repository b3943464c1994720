/* Published numbers: whole questions and verdicts. */
#include "metrics/published.h"

#include "metrics/paired.h"

#include <math.h>

static const double tiny = 1e-9; /* against rounding of decimals in binary */

static double unit_of(int decimals)
{
    return pow(10, -decimals);
}

double whole_printed(int64_t correct, int64_t n, int decimals)
{
    double unit = unit_of(decimals);
    return round(100.0 * (double)correct / (double)n / unit + tiny) * unit;
}

enum whole whole_questions(double printed, int decimals, int64_t n, int64_t *correct)
{
    double unit = unit_of(decimals), nearest = round(printed * (double)n / 100);
    *correct = (int64_t)fmax(0, fmin((double)n, nearest));
    double off = fabs(100.0 * (double)*correct / (double)n - printed);
    if (100.0 / (double)n <= unit)
        return WHOLE_ANY;
    return off <= unit / 2 + tiny ? WHOLE_EXACT : off <= 1.5 * unit + tiny ? WHOLE_ROUNDED_WRONGLY : WHOLE_IMPOSSIBLE;
}

int64_t whole_most_changed(int64_t difference, double alpha)
{
    enum { MOST = 100000 };
    int64_t most = 0, apart = difference < 0 ? -difference : difference;
    for (int64_t one_way = 0; apart > 0 && 2 * one_way + apart < MOST && mcnemar_exact(one_way + apart, one_way) < alpha; one_way++)
        most = 2 * one_way + apart;
    return most;
}

enum verdict verdict_of(struct interval interval, double open, double margin, int64_t n, int64_t *questions)
{
    double half = (interval.high - interval.low) / 2;
    *questions = 0;
    if (interval.high + open < 0)
        return VERDICT_LOWER;
    if (interval.low - open > 0)
        return VERDICT_HIGHER;
    if (half <= margin)
        return VERDICT_WITHIN_NOISE;
    if (isfinite(half))
        *questions = (int64_t)ceil((double)n * (half / margin) * (half / margin));
    return VERDICT_CANNOT_TELL;
}
