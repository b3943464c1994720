#include "compressors/similarity.h"

#include <math.h>

enum { LANES = 16, TOGETHER = 4 };

static float lane_sum(const float *lane)
{
    float sum = 0;
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
}

float sim_dot(const float *a, const float *b, size_t n)
{
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += a[i + (size_t)k] * b[i + (size_t)k];
    for (; i < n; i++)
        lane[i % LANES] += a[i] * b[i];
    return lane_sum(lane);
}

static void four_dots(const float *a, const float *rows, size_t n, float *out)
{
    float lane[TOGETHER][LANES] = {{0}};
    const float *b0 = rows, *b1 = rows + n, *b2 = rows + 2 * n, *b3 = rows + 3 * n;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            lane[0][k] += a[i + k] * b0[i + k];
            lane[1][k] += a[i + k] * b1[i + k];
            lane[2][k] += a[i + k] * b2[i + k];
            lane[3][k] += a[i + k] * b3[i + k];
        }
    for (; i < n; i++)
        for (size_t j = 0; j < TOGETHER; j++)
            lane[j][i % LANES] += a[i] * rows[j * n + i];
    for (size_t j = 0; j < TOGETHER; j++)
        out[j] = lane_sum(lane[j]);
}

void sim_dots(const float *a, const float *rows, size_t n_rows, size_t n, float *out)
{
    size_t j = 0;
    for (; j + TOGETHER <= n_rows; j += TOGETHER)
        four_dots(a, rows + j * n, n, out + j);
    for (; j < n_rows; j++)
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
