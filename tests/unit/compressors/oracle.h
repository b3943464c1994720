/* What the scripts of tools/oracle/compressors recorded: {"cases": {name: {key: numbers}}}, on inputs that both sides make. */
#ifndef TOKSWEEP_TESTS_UNIT_COMPRESSORS_ORACLE_H
#define TOKSWEEP_TESTS_UNIT_COMPRESSORS_ORACLE_H

#include "tests/unit/compressors/videos.h"

#include <math.h>

/* The file's tree; json_free() it. */
static inline struct json *oracle_open(const char *name)
{
    char path[512];
    struct json *json;
    struct err err = {0};
    snprintf(path, sizeof path, FIXTURES_DIR "/compressors/%s.json", name);
    if (json_load(&json, path, 1 << 20, &err))
        fail_msg("%s", err.text);
    return json;
}

/* First of its cases; the others by json_next(), their names by json_key(). */
static inline const struct json *oracle_cases(const struct json *file)
{
    const struct json *first = json_first(json_get(file, "cases"));
    assert_non_null(first);
    return first;
}

static inline void flatten(const struct json *value, double *out, size_t *n)
{
    if (json_type(value) == JSON_ARRAY)
        for (const struct json *child = json_first(value); child; child = json_next(child))
            flatten(child, out, n);
    else if (out)
        out[(*n)++] = json_number(value);
    else
        ++*n;
}

/* Numbers of a member, nested lists in order; fails the test when there is none of this name. */
static inline double *oracle_numbers(const struct json *item, const char *key, size_t *n, struct arena *arena)
{
    const struct json *value = json_get(item, key);
    if (!value)
        fail_msg("the fixture's case %s has no %s", json_key(item), key);
    *n = 0;
    flatten(value, NULL, n);
    double *out = arena_alloc(arena, *n, sizeof *out);
    assert_non_null(out);
    *n = 0;
    flatten(value, out, n);
    return out;
}

static inline int oracle_number(const struct json *item, const char *key)
{
    const struct json *value = json_get(item, key);
    if (!value)
        fail_msg("the fixture's case %s has no %s", json_key(item), key);
    return (int)json_number(value);
}

/* features() of tools/oracle/compressors/common.py. */
static inline float *oracle_features(uint64_t seed, const char *purpose, size_t n, size_t width, struct arena *arena)
{
    float *rows = arena_alloc(arena, n * width, sizeof *rows);
    uint64_t stream = rng_stream(purpose);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        double mix = rng_unit(seed, stream ^ 2, i);
        for (size_t c = 0; c < width; c++) {
            double noise = rng_unit(seed, stream, i * width + c) - 0.5, place = rng_unit(seed, stream ^ 1, c) - 0.5;
            double last = i ? (double)rows[(i - 1) * width + c] : 0;
            rows[i * width + c] = (float)(mix * last + (1 - mix) * (noise + 0.5 * place));
        }
    }
    return rows;
}

/* scenes() and saliency() of tools/oracle/compressors/common.py. */
static inline float *oracle_scenes(uint64_t seed, const char *purpose, int T, int N, int width, struct arena *arena)
{
    float *rows = arena_alloc(arena, (size_t)(T * N * width), sizeof *rows), *at = rows;
    uint64_t stream = rng_stream(purpose);
    assert_non_null(rows);
    for (int t = 0; t < T; t++)
        for (int p = 0; p < N; p++) {
            uint64_t cell = (uint64_t)(t / 3 * N + p), kind = (uint64_t)(rng_unit(seed, stream ^ 4, cell) * 6);
            double moves = rng_unit(seed, stream ^ 6, cell) < 0.6 ? 0.05 : 0.9;
            for (uint64_t c = 0; c < (uint64_t)width; c++) {
                double still = (rng_unit(seed, stream ^ 3, kind * (uint64_t)width + c) - 0.5) +
                               0.4 * (rng_unit(seed, stream ^ 5, cell * (uint64_t)width + c) - 0.5);
                double noise = rng_unit(seed, stream ^ 7, (uint64_t)(t * N + p) * (uint64_t)width + c) - 0.5;
                *at++ = (float)(still + moves * noise);
            }
        }
    return rows;
}

static inline float *oracle_saliency(uint64_t seed, const char *purpose, size_t n, struct arena *arena)
{
    float *sal = arena_alloc(arena, n, sizeof *sal);
    assert_non_null(sal);
    for (size_t i = 0; i < n; i++) {
        double unit = rng_unit(seed, rng_stream(purpose) ^ 8, i), cube = unit * unit * unit;
        sal[i] = (float)(0.001 + cube * cube);
    }
    return sal;
}

static inline void expect_close(const char *what, size_t i, double found, double wanted, double tolerance)
{
    if (!(fabs(found - wanted) <= tolerance * fmax(1, fabs(wanted))))
        fail_msg("%s: number %zu is %.9g, recorded %.9g", what, i, found, wanted);
}

#endif
