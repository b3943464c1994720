/* Rank from the eigenvalues of the rows' products, by Jacobi's rotations in double: the squares of singular values in single precision lie
 * far above its epsilon. */
#include "compressors/rank.h"

#include <float.h>
#include <math.h>

/* Turns rows and columns i and j of a symmetric matrix so that their product vanishes. */
static void turn(double *a, size_t n, size_t i, size_t j)
{
    double slope = (a[j * n + j] - a[i * n + i]) / (2 * a[i * n + j]);
    double t = (slope < 0 ? -1 : 1) / (fabs(slope) + sqrt(slope * slope + 1)), c = 1 / sqrt(t * t + 1), s = t * c;
    for (size_t k = 0; k < n; k++) {
        double p = a[k * n + i], q = a[k * n + j];
        a[k * n + i] = c * p - s * q;
        a[k * n + j] = s * p + c * q;
    }
    for (size_t k = 0; k < n; k++) {
        double p = a[i * n + k], q = a[j * n + k];
        a[i * n + k] = c * p - s * q;
        a[j * n + k] = s * p + c * q;
    }
}

/* Leaves the eigenvalues of a symmetric matrix without negative ones on its diagonal. */
static void diagonalise(double *a, size_t n)
{
    enum { MOST_SWEEPS = 30 }; /* it converges in fewer than ten */
    bool turned = true;
    for (int sweep = 0; sweep < MOST_SWEEPS && turned; sweep++) {
        turned = false;
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++)
                if (fabs(a[i * n + j]) > DBL_EPSILON * sqrt(fabs(a[i * n + i] * a[j * n + j]))) {
                    turn(a, n, i, j);
                    turned = true;
                }
    }
}

bool rank_of_rows(const float *rows, size_t m, size_t n, size_t *rank, struct arena *arena)
{
    double *products = arena_alloc(arena, m * m, sizeof *products), least = (double)(m > n ? m : n) * (double)FLT_EPSILON, most = 0;
    if (!products)
        return false;
    for (size_t p = 0; p < m; p++)
        for (size_t q = 0; q < m; q++)
            for (size_t i = 0; i < n; i++)
                products[p * m + q] += (double)rows[p * n + i] * (double)rows[q * n + i];
    diagonalise(products, m);
    *rank = 0;
    for (size_t p = 0; p < m; p++)
        most = products[p * m + p] > most ? products[p * m + p] : most;
    for (size_t p = 0; p < m; p++)
        *rank += products[p * m + p] > least * least * most;
    return true;
}
