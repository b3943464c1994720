/* Distribution functions: erfc from libm, everything else from one continued fraction. */
#include "metrics/special.h"

#include <math.h>

double normal_cdf(double z)
{
    return erfc(-z / sqrt(2)) / 2;
}

/* One step of Lentz's method for a fraction whose next numerator is `term`. */
struct fraction { double value, up, down; };

static void fraction_step(struct fraction *f, double term)
{
    static const double tiny = 1e-300;
    f->down = 1 + term * f->down;
    f->down = 1 / (fabs(f->down) < tiny ? tiny : f->down);
    f->up = 1 + term / f->up;
    f->up = fabs(f->up) < tiny ? tiny : f->up;
    f->value *= f->up * f->down;
}

/* Converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    enum { MOST_STEPS = 100000 };
    double first = 1 - (a + b) * x / (a + 1);
    struct fraction f = {1 / first, 1, 1 / first};
    for (int i = 1; i < MOST_STEPS; i++) {
        double before = f.value;
        fraction_step(&f, i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i)));
        fraction_step(&f, -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1)));
        if (fabs(f.value - before) <= 1e-16 * fabs(f.value))
            break;
    }
    return f.value;
}

double beta_cdf(double x, double a, double b)
{
    if (!(x > 0))
        return x <= 0 ? 0 : NAN;
    if (x >= 1)
        return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a : 1 - front * beta_fraction(1 - x, b, a) / b;
}

double student_cdf(double t, double df)
{
    /* Two forms of the same: near 0 the first takes its argument from a number next to 1, far out the second takes a small rest of 1/2. */
    double tail = t * t > 1 ? beta_cdf(df / (df + t * t), df / 2, 0.5) / 2 : 0.5 - beta_cdf(t * t / (df + t * t), 0.5, df / 2) / 2;
    return t > 0 ? 1 - tail : tail;
}

double binomial_cdf(long long k, long long n, double p)
{
    return k < 0 ? 0 : k >= n ? 1 : beta_cdf(1 - p, (double)(n - k), (double)k + 1);
}

/* The z >= 0 whose upper tail is `tail`, which falls strictly: halving until the bounds are neighbours. */
static double upper_quantile(double (*upper)(double z, double df), double df, double tail)
{
    double low = 0, high = 1;
    while (upper(high, df) > tail)
        high *= 2;
    for (;;) {
        double middle = (low + high) / 2;
        if (middle <= low || middle >= high)
            return middle;
        *(upper(middle, df) > tail ? &low : &high) = middle;
    }
}

static double normal_upper(double z, double df)
{
    (void)df;
    return normal_cdf(-z);
}

static double student_upper(double t, double df)
{
    return student_cdf(-t, df);
}

double normal_quantile(double p)
{
    return p < 0.5 ? -upper_quantile(normal_upper, 0, p) : upper_quantile(normal_upper, 0, 1 - p);
}

double student_quantile(double p, double df)
{
    return p < 0.5 ? -upper_quantile(student_upper, df, p) : upper_quantile(student_upper, df, 1 - p);
}
