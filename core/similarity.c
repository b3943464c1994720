#include "core/similarity.h"

#include "core/dtype.h"

#include <math.h>
#include <string.h>

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

/* ---- rows wherever they are ---------------------------------------------------------------------------------------------- */

static const float *row_at(const struct sim_rows *rows, size_t row)
{
    return row < rows->n ? rows->near + row * rows->width : rows->made + (row - rows->n) * rows->width;
}

static float *made_at(const struct sim_rows *rows, size_t row)
{
    return rows->made + (row - rows->n) * rows->width;
}

static size_t listed(struct row_list list, size_t i)
{
    return list.of ? list.of[i] : list.first + i;
}

int sim_room(struct sim_rows *rows, size_t n, struct arena *arena, struct err *err)
{
    if (rows->far)
        return rows->far->room(rows->far, n, err);
    rows->made = arena_alloc(arena, n * rows->width, sizeof *rows->made);
    return rows->made ? 0 : err_no_memory(err, "rows made of tokens");
}

int sim_put(const struct sim_rows *rows, size_t first, size_t n, const float *values, struct err *err)
{
    if (rows->far)
        return rows->far->put(rows->far, first, n, values, err);
    memcpy(made_at(rows, first), values, n * rows->width * sizeof *values);
    return 0;
}

int sim_get(const struct sim_rows *rows, size_t first, size_t n, float *out, struct err *err)
{
    if (rows->far)
        return rows->far->get(rows->far, first, n, out, err);
    memcpy(out, made_at(rows, first), n * rows->width * sizeof *out);
    return 0;
}

static void add_tap(float *sum, const float *row, float w, bool divide, size_t n)
{
    if (divide)
        for (size_t c = 0; c < n; c++)
            sum[c] += row[c] / w;
    else
        for (size_t c = 0; c < n; c++)
            sum[c] += w * row[c];
}

int sim_sum(const struct sim_rows *rows, const struct sim_sums *sums, struct err *err)
{
    if (rows->far)
        return rows->far->sum(rows->far, sums, err);
    for (size_t i = 0; i < sums->n; i++) {
        float *out = made_at(rows, sums->first + i);
        memset(out, 0, rows->width * sizeof *out);
        for (const struct tap *tap = sums->taps + sums->begin[i]; tap < sums->taps + sums->begin[i + 1]; tap++)
            add_tap(out, row_at(rows, tap->src), tap->w, sums->divide, rows->width);
    }
    return 0;
}

int sim_units(const struct sim_rows *rows, struct row_list list, const float *norm, size_t first, struct arena *arena, struct err *err)
{
    uint32_t *begin = arena_alloc(arena, list.n + 1, sizeof *begin), n = 0;
    struct tap *taps = arena_alloc(arena, list.n, sizeof *taps);
    const struct sim_sums sums = {.first = first, .n = list.n, .begin = begin, .taps = taps, .divide = true};
    if (!begin || !taps)
        return err_no_memory(err, "rows made of tokens");
    for (size_t i = 0; i < list.n; i++) {
        if (norm[i] != 0)
            taps[n++] = (struct tap){(uint32_t)listed(list, i), norm[i]};
        begin[i + 1] = n;
    }
    return sim_sum(rows, &sums, err);
}

int sim_total(const struct sim_rows *rows, const struct sim_totals *totals, double *out, struct err *err)
{
    if (rows->far)
        return rows->far->total(rows->far, totals, out, err);
    memset(out, 0, totals->n * rows->width * sizeof *out);
    for (size_t k = 0; k < totals->n; k++, out += rows->width)
        for (uint32_t i = totals->begin[k]; i < totals->begin[k + 1]; i++) {
            const float *row = row_at(rows, totals->src[i]);
            for (size_t c = 0; c < rows->width; c++)
                out[c] += (double)row[c] * totals->scale[i];
        }
    return 0;
}

int sim_pairs(const struct sim_rows *rows, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err)
{
    if (rows->far)
        return rows->far->pairs(rows->far, pairs, n, rounded, out, err);
    for (size_t i = 0; i < n; i++) {
        const float *a = row_at(rows, pairs[i].a), *b = row_at(rows, pairs[i].b);
        out[i] = rounded ? sim_dot_rounded(a, b, rows->width) : sim_dot(a, b, rows->width);
    }
    return 0;
}

int sim_lengths(const struct sim_rows *rows, struct row_list list, float *out, struct arena *arena, struct err *err)
{
    struct row_pair *pairs = arena_alloc(arena, list.n, sizeof *pairs);
    if (!pairs)
        return err_no_memory(err, "the lengths of tokens");
    for (size_t i = 0; i < list.n; i++)
        pairs[i] = (struct row_pair){(uint32_t)listed(list, i), (uint32_t)listed(list, i)};
    int rc = sim_pairs(rows, pairs, list.n, false, out, err);
    for (size_t i = 0; i < list.n && !rc; i++)
        out[i] = sqrtf(out[i]);
    return rc;
}

static float compared(const struct sim_rows *rows, size_t a, size_t b, enum sim_term term)
{
    return term == SIM_PRODUCT ? sim_dot(row_at(rows, a), row_at(rows, b), rows->width) : sim_distance2(row_at(rows, a), row_at(rows, b), rows->width);
}

int sim_block(const struct sim_rows *rows, struct row_list a, struct row_list b, enum sim_term term, float *out, struct err *err)
{
    if (rows->far)
        return rows->far->block(rows->far, a, b, term, out, err);
    for (size_t i = 0; i < a.n; i++)
        for (size_t j = 0; j < b.n; j++)
            out[i * b.n + j] = compared(rows, listed(a, i), listed(b, j), term);
    return 0;
}

int sim_square(const struct sim_rows *rows, struct row_list list, enum sim_term term, float *out, struct err *err)
{
    if (rows->far)
        return rows->far->block(rows->far, list, list, term, out, err);
    for (size_t i = 0; i < list.n; i++)
        for (size_t j = i; j < list.n; j++)
            out[i * list.n + j] = out[j * list.n + i] = compared(rows, listed(list, i), listed(list, j), term);
    return 0;
}

/* ---- max-min choice ------------------------------------------------------------------------------------------------------ */

/* A row's distance to its nearest other; 1 for a row alone, which has none. */
static void nearest_other(const float *rows, size_t n, size_t width, float *nearest)
{
    for (size_t i = 0; i < n; i++)
        nearest[i] = n > 1 ? INFINITY : 1;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            float distance = 1 - sim_dot(rows + i * width, rows + j * width, width);
            nearest[i] = fminf(nearest[i], distance);
            nearest[j] = fminf(nearest[j], distance);
        }
}

static size_t best_candidate(const float *nearest, const float *weight, const uint8_t *chosen, size_t n)
{
    size_t best = 0;
    float most = NAN;
    for (size_t i = 0; i < n; i++) {
        float score = chosen[i] ? -INFINITY : weight ? nearest[i] * weight[i] : nearest[i];
        if (score > most || (isnan(most) && !isnan(score))) {
            best = i;
            most = score;
        }
    }
    return best;
}

int sim_choose(const struct sim_rows *rows, const struct sim_choice *choice, uint32_t *out, struct arena *arena, struct err *err)
{
    size_t n = choice->n, width = rows->width;
    if (rows->far)
        return rows->far->choose(rows->far, choice, out, err);
    const float *row = made_at(rows, choice->first);
    float *nearest = arena_alloc(arena, n, sizeof *nearest);
    uint8_t *chosen = arena_alloc(arena, n, 1);
    if (!nearest || !chosen)
        return err_no_memory(err, "a choice of tokens");
    nearest_other(row, n, width, nearest);
    for (size_t round = 0; round < choice->k; round++) {
        size_t pick = best_candidate(nearest, choice->weight, chosen, n);
        chosen[pick] = 1;
        for (size_t i = 0; i < n; i++) {
            float distance = 1 - sim_dot(row + pick * width, row + i * width, width);
            nearest[i] = round ? fminf(nearest[i], distance) : distance; /* from here on, to the nearest chosen */
        }
    }
    for (size_t i = 0, found = 0; i < n; i++)
        if (chosen[i])
            out[found++] = (uint32_t)i;
    return 0;
}
