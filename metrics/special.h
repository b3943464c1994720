/* Distribution functions that libm lacks, in double; relative error below 1e-10 where nothing else is said. */
#ifndef TOKSWEEP_METRICS_SPECIAL_H
#define TOKSWEEP_METRICS_SPECIAL_H

/* Standard normal: P(Z <= z), and its inverse for 0 < p < 1. */
double normal_cdf(double z);
double normal_quantile(double p);

/* Regularised incomplete beta function I_x(a, b), a > 0, b > 0, 0 <= x <= 1, by Lentz's continued fraction (Abramowitz and Stegun
 * 26.5.8). */
double beta_cdf(double x, double a, double b);

/* Student's t with df > 0 degrees of freedom: P(T <= t), and its inverse for 0 < p < 1. */
double student_cdf(double t, double df);
double student_quantile(double p, double df);

/* P(X <= k) for X of n trials with chance p each. */
double binomial_cdf(long long k, long long n, double p);

#endif
