#include "compressors/similarity.h"

#include <math.h>
#include <stdbool.h>

/* What is summed over two rows: products, or squares of differences. */
static inline float term(bool apart, float a, float b)
{
    return apart ? (a - b) * (a - b) : a * b;
}

/* Four sums of four lanes each, named one by one: so that GCC and Clang keep them in registers at -O2 and at -O3. */
static inline __attribute__((always_inline)) float sum_terms(const bool apart, const float *a, const float *b, size_t n)
{
    float p[4] = {0}, q[4] = {0}, r[4] = {0}, s[4] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (size_t k = 0; k < 4; k++)
            p[k] += term(apart, a[i + k], b[i + k]);
        for (size_t k = 0; k < 4; k++)
            q[k] += term(apart, a[i + 4 + k], b[i + 4 + k]);
        for (size_t k = 0; k < 4; k++)
            r[k] += term(apart, a[i + 8 + k], b[i + 8 + k]);
        for (size_t k = 0; k < 4; k++)
            s[k] += term(apart, a[i + 12 + k], b[i + 12 + k]);
    }
    for (; i < n; i++)
        sum += term(apart, a[i], b[i]);
    for (size_t k = 0; k < 4; k++)
        sum += (p[k] + q[k]) + (r[k] + s[k]);
    return sum;
}

float sim_dot(const float *a, const float *b, size_t n)
{
    return sum_terms(false, a, b, n);
}

float sim_distance2(const float *a, const float *b, size_t n)
{
    return sum_terms(true, a, b, n);
}

void sim_dots(const float *a, const float *rows, size_t n_rows, size_t n, float *out)
{
    for (size_t j = 0; j < n_rows; j++)
        out[j] = sim_dot(a, rows + j * n, n);
}

float *sim_norms(const float *rows, size_t n_rows, size_t n, struct arena *arena)
{
    float *norms = arena_alloc(arena, n_rows, sizeof *norms);
    for (size_t i = 0; norms && i < n_rows; i++)
        norms[i] = sqrtf(sim_dot(rows + i * n, rows + i * n, n));
    return norms;
}

float sim_cosine(float dot, float norm_a, float norm_b)
{
    if (norm_a == 0 || norm_b == 0)
        return 0;
    float value = dot / norm_a / norm_b; /* their product can overflow or vanish where the quotients do not */
    return value > 1 ? 1 : value < -1 ? -1 : value;
}

float *sim_unit_rows(const float *rows, size_t n_rows, size_t n, struct arena *arena)
{
    float *unit = arena_alloc(arena, n_rows * n, sizeof *unit);
    for (size_t i = 0; unit && i < n_rows; i++) {
        float norm = sqrtf(sim_dot(rows + i * n, rows + i * n, n));
        for (size_t k = 0; norm != 0 && k < n; k++)
            unit[i * n + k] = rows[i * n + k] / norm;
    }
    return unit;
}
