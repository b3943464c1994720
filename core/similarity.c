#include "core/similarity.h"

#include "core/dtype.h"

#include <math.h>

/* What is summed over two rows: products, products of rounded values, or squares of differences. */
enum term { PRODUCT, ROUNDED_PRODUCT, APART };

static inline float rounded_to_bf16(float value)
{
    return f32_from_bf16(bf16_from_f32(value));
}

static inline float term(enum term of, float a, float b)
{
    return of == APART ? (a - b) * (a - b) : of == PRODUCT ? a * b : rounded_to_bf16(a) * rounded_to_bf16(b);
}

/* Four sums of four lanes each, named one by one: so that GCC and Clang keep them in registers at -O2 and at -O3. */
static inline __attribute__((always_inline)) float sum_terms(const enum term of, const float *a, const float *b, size_t n)
{
    float p[4] = {0}, q[4] = {0}, r[4] = {0}, s[4] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (size_t k = 0; k < 4; k++)
            p[k] += term(of, a[i + k], b[i + k]);
        for (size_t k = 0; k < 4; k++)
            q[k] += term(of, a[i + 4 + k], b[i + 4 + k]);
        for (size_t k = 0; k < 4; k++)
            r[k] += term(of, a[i + 8 + k], b[i + 8 + k]);
        for (size_t k = 0; k < 4; k++)
            s[k] += term(of, a[i + 12 + k], b[i + 12 + k]);
    }
    for (; i < n; i++)
        sum += term(of, a[i], b[i]);
    for (size_t k = 0; k < 4; k++)
        sum += (p[k] + q[k]) + (r[k] + s[k]);
    return sum;
}

float sim_dot(const float *a, const float *b, size_t n)
{
    return sum_terms(PRODUCT, a, b, n);
}

float sim_dot_rounded(const float *a, const float *b, size_t n)
{
    return sum_terms(ROUNDED_PRODUCT, a, b, n);
}

float sim_distance2(const float *a, const float *b, size_t n)
{
    return sum_terms(APART, a, b, n);
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

int sim_pairs(const struct sim_rows *rows, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err)
{
    if (rows->far)
        return rows->far->dots(rows->far, pairs, n, rounded, out, err);
    for (size_t i = 0; i < n; i++) {
        const float *a = rows->near + pairs[i].a * rows->width, *b = rows->near + pairs[i].b * rows->width;
        out[i] = rounded ? sim_dot_rounded(a, b, rows->width) : sim_dot(a, b, rows->width);
    }
    return 0;
}
