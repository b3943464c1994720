#include "compressors/similarity.h"

#include <math.h>

enum { LANES = 16 };

float sim_dot(const float *a, const float *b, size_t n)
{
    float lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += a[i + (size_t)k] * b[i + (size_t)k];
    for (; i < n; i++)
        lane[i % LANES] += a[i] * b[i];
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
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
