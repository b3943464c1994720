/* Measures: from scored replies to a number and its interval. */
#include "harness/measure.h"

#include "core/arena.h"
#include "metrics/headline.h"
#include "metrics/paired.h"
#include "metrics/special.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double confidence = 0.95;

/* ---- loading ------------------------------------------------------------------------------------------------------------- */

struct loading { struct scores *scores; size_t capacity; bool no_memory; };

static int add_row(const struct scored_row *row, void *context)
{
    struct loading *loading = context;
    struct scores *scores = loading->scores;
    if (scores->n == loading->capacity) {
        size_t capacity = loading->capacity ? 2 * loading->capacity : 1024;
        struct scored_row *grown = realloc(scores->rows, capacity * sizeof *grown);
        if (!grown)
            return loading->no_memory = true;
        scores->rows = grown;
        loading->capacity = capacity;
    }
    scores->rows[scores->n] = *row;
    scores->rows[scores->n].task_type = arena_strdup(&scores->arena, row->task_type);
    return loading->no_memory = !scores->rows[scores->n++].task_type;
}

static int by_sample(const void *a, const void *b)
{
    const struct scored_row *x = a, *y = b;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

int scores_load(struct scores *out, struct store *store, const struct cell_row *cell, struct err *err)
{
    struct loading loading = {.scores = out};
    *out = (struct scores){.macro = cell->macro, .macro_types = cell->macro_types};
    int rc = store_each_scored(store, cell->id, add_row, &loading, err);
    if (!rc && loading.no_memory)
        rc = err_no_memory(err, "a cell's scores");
    if (rc)
        scores_free(out);
    else if (out->n)
        qsort(out->rows, out->n, sizeof *out->rows, by_sample);
    return rc;
}

void scores_free(struct scores *scores)
{
    free(scores->rows);
    arena_free(&scores->arena);
    *scores = (struct scores){0};
}

/* ---- choosing questions -------------------------------------------------------------------------------------------------- */

struct chosen { /* of questions: parallel arrays */
    const struct scored_row **rows, **bases;
    double *scores, *base_scores;
    size_t *groups;
    struct pair *pairs;
    size_t n;
};

static void chosen_free(struct chosen *chosen)
{
    free(chosen->rows);
    free(chosen->bases);
    free(chosen->scores);
    free(chosen->base_scores);
    free(chosen->groups);
    free(chosen->pairs);
}

static bool has(const struct scored_row *row, enum quantity quantity)
{
    return quantity == QUANTITY_ACCURACY ? row->counted : !isnan(row->tokens);
}

static int choose(struct chosen *out, const struct scores *cell, const struct scores *base, const char *task, enum quantity quantity,
                  struct err *err)
{
    size_t most = cell->n + 1, b = 0;
    *out = (struct chosen){.rows = calloc(most, sizeof *out->rows), .bases = calloc(most, sizeof *out->bases),
                           .scores = calloc(most, sizeof *out->scores), .base_scores = calloc(most, sizeof *out->base_scores),
                           .groups = calloc(most, sizeof *out->groups), .pairs = calloc(most, sizeof *out->pairs)};
    if (!out->rows || !out->bases || !out->scores || !out->base_scores || !out->groups || !out->pairs)
        return err_no_memory(err, "a cell's scores");
    for (size_t i = 0; i < cell->n; i++) {
        const struct scored_row *row = &cell->rows[i];
        while (base && b < base->n && base->rows[b].sample < row->sample)
            b++;
        bool paired = !base || (b < base->n && base->rows[b].sample == row->sample && has(&base->rows[b], quantity));
        if (!paired || !has(row, quantity) || (task && strcmp(task, row->task_type)))
            continue;
        out->rows[out->n] = row;
        out->bases[out->n++] = base ? &base->rows[b] : NULL;
    }
    return 0;
}

/* ---- scores whose mean is the measure ------------------------------------------------------------------------------------ */

/* Task types numbered in the order they come. */
static size_t number_groups(struct chosen *chosen)
{
    size_t n_groups = 0;
    for (size_t i = 0; i < chosen->n; i++) {
        size_t same = 0;
        while (same < i && strcmp(chosen->rows[same]->task_type, chosen->rows[i]->task_type))
            same++;
        chosen->groups[i] = same < i ? chosen->groups[same] : n_groups++;
    }
    return n_groups;
}

/* The delta method on a ratio of sums. */
static void ratio_scores(double *scores, const struct scored_row *const *rows, size_t n)
{
    double tokens = 0, before = 0;
    for (size_t i = 0; i < n; i++) {
        tokens += rows[i]->tokens;
        before += rows[i]->tokens_before;
    }
    double ratio = tokens / before, mean = before / (double)n;
    for (size_t i = 0; i < n; i++)
        scores[i] = 100 * (ratio + (rows[i]->tokens - ratio * rows[i]->tokens_before) / mean);
}

static int make_scores(double *scores, const struct scored_row *const *rows, const struct chosen *chosen, enum quantity quantity,
                       const struct scores *macro, size_t n_groups, struct err *err)
{
    if (quantity == QUANTITY_RATIO)
        ratio_scores(scores, rows, chosen->n);
    for (size_t i = 0; i < chosen->n && quantity != QUANTITY_RATIO; i++)
        scores[i] = quantity == QUANTITY_TOKENS ? rows[i]->tokens : 100.0 * rows[i]->correct;
    return macro ? headline_macro(scores, chosen->groups, chosen->n, n_groups, (size_t)macro->macro_types, err) : 0;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------- */

static int by_video(const void *a, const void *b)
{
    const struct scored_row *x = *(const struct scored_row *const *)a, *y = *(const struct scored_row *const *)b;
    return (x->video > y->video) - (x->video < y->video);
}

/* Pairs with videos numbered from 0. Uses up the order of chosen->bases. */
static size_t make_pairs(struct chosen *chosen)
{
    const struct scored_row **sorted = chosen->bases;
    size_t n_videos = 0;
    memcpy(sorted, chosen->rows, chosen->n * sizeof *sorted);
    qsort(sorted, chosen->n, sizeof *sorted, by_video);
    for (size_t i = 0; i < chosen->n; i++)
        if (i == 0 || sorted[i]->video != sorted[n_videos - 1]->video)
            sorted[n_videos++] = sorted[i];
    for (size_t i = 0; i < chosen->n; i++) {
        const struct scored_row **at = bsearch(&chosen->rows[i], sorted, n_videos, sizeof *sorted, by_video);
        chosen->pairs[i] = (struct pair){(size_t)(at - sorted), chosen->scores[i], chosen->base_scores[i]};
    }
    return n_videos;
}

static double mean_of(const struct chosen *chosen)
{
    double sum = 0;
    for (size_t i = 0; i < chosen->n; i++)
        sum += chosen->scores[i] - chosen->base_scores[i];
    return sum / (double)chosen->n;
}

/* A change of accuracy is never more than all. */
static double measure_most(enum quantity quantity)
{
    return quantity == QUANTITY_ACCURACY ? 100 : INFINITY;
}

static struct interval interval_of(const struct difference *d, enum quantity quantity, bool change)
{
    if (quantity == QUANTITY_ACCURACY && !change) {
        struct interval share = share_interval(d->mean / 100, d->se / 100, (int64_t)d->n, (int64_t)d->clusters, confidence);
        return (struct interval){100 * share.low, 100 * share.high};
    }
    double least = quantity == QUANTITY_ACCURACY ? 100 / (double)d->n : 0, se = d->se > least ? d->se : least;
    double half = student_quantile((1 + confidence) / 2, d->df) * se, most = measure_most(quantity);
    return (struct interval){fmax(d->mean - half, -most), fmin(d->mean + half, most)};
}

static int estimate_from(struct chosen *chosen, enum quantity quantity, bool change, struct estimate *out, struct err *err)
{
    struct difference difference;
    size_t n_videos = make_pairs(chosen);
    *out = (struct estimate){mean_of(chosen), {-INFINITY, INFINITY}, chosen->n, n_videos};
    if (n_videos < 2)
        return 0;
    int rc = paired_difference(chosen->pairs, chosen->n, n_videos, confidence, &difference, err);
    if (!rc)
        out->interval = interval_of(&difference, quantity, change);
    return rc;
}

int measure_cell(const struct scores *cell, const struct scores *base, const char *task, enum quantity quantity, struct estimate *out,
                 struct err *err)
{
    struct chosen chosen;
    bool macro = cell->macro && !task && quantity == QUANTITY_ACCURACY;
    *out = (struct estimate){.value = (double)NAN};
    int rc = choose(&chosen, cell, base, task, quantity, err);
    if (!rc && chosen.n) {
        size_t n_groups = macro ? number_groups(&chosen) : 0;
        rc = make_scores(chosen.scores, chosen.rows, &chosen, quantity, macro ? cell : NULL, n_groups, err);
        if (!rc && base)
            rc = make_scores(chosen.base_scores, chosen.bases, &chosen, quantity, macro ? base : NULL, n_groups, err);
        if (!rc)
            rc = estimate_from(&chosen, quantity, base != NULL, out, err);
    }
    chosen_free(&chosen);
    return rc;
}
