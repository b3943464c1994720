/* Plots, first step: cells from the store, grouped into series, and the words that tell series and points apart. */
#include "plots/plot_impl.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const char *text_at(const struct cell_row *row, size_t offset)
{
    return *(const char *const *)((const char *)row + offset);
}

/* ---- collecting ------------------------------------------------------------------------------------------------------------ */

static const size_t texts[] = {
    offsetof(struct cell_row, digest), offsetof(struct cell_row, model), offsetof(struct cell_row, benchmark),
    offsetof(struct cell_row, profile), offsetof(struct cell_row, compressor), offsetof(struct cell_row, params),
    offsetof(struct cell_row, label), offsetof(struct cell_row, dtype), offsetof(struct cell_row, sampling),
    offsetof(struct cell_row, variant), offsetof(struct cell_row, pooling), offsetof(struct cell_row, newline),
    offsetof(struct cell_row, conversation), offsetof(struct cell_row, prompt_form), offsetof(struct cell_row, runner),
    offsetof(struct cell_row, isa), offsetof(struct cell_row, build_digest),
};

struct collector {
    struct cells *cells;
    bool (*wanted)(const struct cell_row *row);
    bool out_of_memory;
};

static bool cells_grow(struct cells *cells)
{
    size_t capacity = cells->capacity ? 2 * cells->capacity : 64;
    struct cell_row *rows = arena_alloc(&cells->arena, capacity, sizeof *rows);
    if (!rows)
        return false;
    if (cells->n)
        memcpy(rows, cells->rows, cells->n * sizeof *rows);
    cells->rows = rows;
    cells->capacity = capacity;
    return true;
}

static bool cells_add(struct cells *cells, const struct cell_row *row)
{
    if (cells->n == cells->capacity && !cells_grow(cells))
        return false;
    struct cell_row *copy = &cells->rows[cells->n];
    *copy = *row;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const char *text = arena_strdup(&cells->arena, text_at(row, texts[i]));
        if (!text)
            return false;
        *(const char **)((char *)copy + texts[i]) = text;
    }
    cells->n++;
    return true;
}

static int collect(const struct cell_row *row, void *context)
{
    struct collector *collector = context;
    if (collector->wanted(row))
        collector->out_of_memory = !cells_add(collector->cells, row);
    return collector->out_of_memory;
}

int cells_collect(struct cells *cells, struct store *store, const char *where, bool (*wanted)(const struct cell_row *row),
                  const char *lacking, struct err *err)
{
    struct collector collector = {cells, wanted, false};
    int rc = store_each_cell(store, where, collect, &collector, err);
    if (rc == 0 && collector.out_of_memory)
        return err_no_memory(err, "the cells of a plot");
    if (rc == 0 && cells->n == 0)
        return where ? err_set(err, ERR_CONFIG, "nothing to plot: no cell that matches '%s' %s", where, lacking)
                     : err_set(err, ERR_CONFIG, "nothing to plot: no cell of the store %s", lacking);
    return rc;
}

void cells_free(struct cells *cells)
{
    arena_free(&cells->arena);
    *cells = (struct cells){0};
}

struct interval cell_interval(const struct cell_row *row)
{
    struct interval share = share_interval(row->accuracy, row->accuracy_se, row->headline_n, row->n_videos, 0.95);
    return (struct interval){100 * share.low, 100 * share.high};
}

bool cell_has_replies(const struct cell_row *row)
{
    return row->headline_n > 0;
}

double cell_kept(const struct cell_row *row)
{
    return 100 * (isnan(row->ratio_mean) ? row->ratio : row->ratio_mean);
}

double cell_tokens(const struct cell_row *row)
{
    return isnan(row->tokens_mean) ? row->tokens_visual + row->tokens_marker : row->tokens_mean;
}

const struct plot_reference *reference_of(const struct plot_options *options, const struct cell_row *row)
{
    for (size_t i = 0; i < options->n_references; i++)
        if (options->references[i].cell == row->id)
            return &options->references[i];
    return NULL;
}

bool references_any(const struct plot_options *options, const struct cells *cells)
{
    for (size_t i = 0; i < cells->n; i++)
        if (reference_of(options, &cells->rows[i]))
            return true;
    return false;
}

/* ---- what cells differ in -------------------------------------------------------------------------------------------------- */

/* Axes beside compressor, parameters and frames. A legend names those that vary. */
static const struct facet { size_t offset; const char *format; } facets[] = {
    {offsetof(struct cell_row, model), "%s"},
    {offsetof(struct cell_row, benchmark), "%s"},
    {offsetof(struct cell_row, profile), "%s"},
    {offsetof(struct cell_row, sampling), "%s"},
    {offsetof(struct cell_row, dtype), "%s"},
    {offsetof(struct cell_row, pooling), "%s pooling"},
    {offsetof(struct cell_row, newline), "%s markers"},
    {offsetof(struct cell_row, conversation), "%s"},
    {offsetof(struct cell_row, prompt_form), "%s prompt"},
    {offsetof(struct cell_row, runner), "%s"},
    {offsetof(struct cell_row, isa), "%s"},
    {offsetof(struct cell_row, build_digest), "build %.7s"},
};

static bool facet_varies(const struct cells *cells, size_t offset)
{
    for (size_t i = 1; i < cells->n; i++)
        if (strcmp(text_at(&cells->rows[i], offset), text_at(&cells->rows[0], offset)) != 0)
            return true;
    return false;
}

static bool image_size_varies(const struct cells *cells)
{
    for (size_t i = 1; i < cells->n; i++)
        if (cells->rows[i].image_size != cells->rows[0].image_size)
            return true;
    return false;
}

static bool same_setting(const struct cell_row *a, const struct cell_row *b)
{
    if (a->image_size != b->image_size)
        return false;
    for (size_t i = 0; i < COUNT(facets); i++)
        if (strcmp(text_at(a, facets[i].offset), text_at(b, facets[i].offset)) != 0)
            return false;
    return true;
}

bool series_same_setting(const struct series *a, const struct series *b)
{
    return a->cells[0]->frames == b->cells[0]->frames && same_setting(a->cells[0], b->cells[0]);
}

/* A model's folder or Hub id without the owner. */
static const char *short_name(const char *model)
{
    const char *slash = strrchr(model, '/');
    return slash && slash[1] ? slash + 1 : model;
}

/* ---- words ----------------------------------------------------------------------------------------------------------------- */

/* A label without the compressor's name in front: "threshold=0.6". */
static const char *label_options(const struct cell_row *row)
{
    size_t length = strlen(row->compressor);
    if (strncmp(row->label, row->compressor, length) != 0)
        return row->label;
    if (row->label[length] == 0)
        return "";
    return row->label[length] == ' ' ? row->label + length + 1 : row->label;
}

/* Length of the name in "name=value" when the options are just that, else 0. */
static size_t single_option(const char *options)
{
    const char *equals = strchr(options, '=');
    return equals && !strchr(options, ' ') && !strchr(equals + 1, '=') ? (size_t)(equals - options) : 0;
}

static const char *common_param(struct arena *arena, const struct series *series)
{
    const char *first = label_options(series->cells[0]);
    size_t length = single_option(first);
    for (size_t i = 1; i < series->n && length; i++) {
        const char *options = label_options(series->cells[i]);
        if (single_option(options) != length || strncmp(options, first, length) != 0)
            length = 0;
    }
    return length ? arena_strndup(arena, first, length) : NULL;
}

const char *series_point_label(struct cells *cells, const struct series *series, const struct cell_row *row)
{
    const char *options = label_options(row), *value = series->param ? options + strlen(series->param) + 1 : options;
    if (series->n > 1)
        return arena_strdup(&cells->arena, value);
    return arena_printf(&cells->arena, "%s%s%s", row->compressor, series->param ? " " : "", series->param ? value : "");
}

/* What a label says beside the name, the threshold and the target ratio: the options that set a variant apart. */
static void put_variant(struct text *text, const struct cell_row *row)
{
    static const char *const axes[] = {"threshold=", "target_ratio="};
    for (const char *word = label_options(row); *word;) {
        size_t length = strcspn(word, " ");
        if (strncmp(word, axes[0], strlen(axes[0])) != 0 && strncmp(word, axes[1], strlen(axes[1])) != 0)
            text_printf(text, " %.*s", (int)length, word);
        word += length + (word[length] == ' ');
    }
}

static const char *series_title(struct cells *cells, const struct series *series, enum series_by by)
{
    struct text text = {0};
    const struct cell_row *row = series->cells[0];
    text_put(&text, by == SERIES_FRAMES || by == SERIES_CELL ? row->label : row->compressor);
    if (series->param && by == SERIES_OPTIONS)
        text_printf(&text, " %s", series->param);
    if (by == SERIES_VARIANT)
        put_variant(&text, row);
    if (by != SERIES_FRAMES)
        text_printf(&text, ", %d frames", row->frames);
    for (size_t i = 0; i < COUNT(facets); i++)
        if (facet_varies(cells, facets[i].offset)) {
            char word[128];
            const char *value = text_at(row, facets[i].offset);
            snprintf(word, sizeof word, facets[i].format, i == 0 ? short_name(value) : value);
            text_printf(&text, ", %s", word);
        }
    if (image_size_varies(cells))
        text_printf(&text, ", %d px", row->image_size);
    char *made = text_take(&text);
    const char *title = made ? arena_strdup(&cells->arena, made) : NULL;
    free(made);
    return title;
}

const char *cells_title(struct cells *cells)
{
    const struct cell_row *row = &cells->rows[0];
    bool one_model = !facet_varies(cells, offsetof(struct cell_row, model));
    bool one_benchmark = !facet_varies(cells, offsetof(struct cell_row, benchmark));
    if (one_model && one_benchmark)
        return arena_printf(&cells->arena, "%s on %s", short_name(row->model), row->benchmark);
    return one_model ? short_name(row->model) : one_benchmark ? row->benchmark : "several models and benchmarks";
}

struct notes cells_notes(struct cells *cells, bool moved_apart)
{
    int64_t least = INT64_MAX, most = 0;
    size_t incomplete = 0;
    bool macro = false;
    for (size_t i = 0; i < cells->n; i++) {
        const struct cell_row *row = &cells->rows[i];
        int64_t replies = row->headline_n;
        least = replies < least ? replies : least;
        most = replies > most ? replies : most;
        incomplete += row->n_answered - row->n_failed < row->n_samples;
        macro |= row->macro;
    }
    char count[64], part[96] = "";
    snprintf(count, sizeof count, least < most ? "n = %lld to %lld" : "n = %lld", (long long)least, (long long)most);
    if (incomplete)
        snprintf(part, sizeof part, "%zu of %zu cells lack replies to part of the questions", incomplete, cells->n);
    struct notes notes;
    notes.first = arena_printf(&cells->arena, "%s replies a point; bars are 95 %% intervals over videos%s", count,
                               macro ? "; accuracy is the mean over task types" : "");
    notes.second = arena_printf(&cells->arena, "%s%s%s", part, incomplete && moved_apart ? "; " : "",
                                moved_apart ? "points at equal x are drawn side by side" : "");
    return notes;
}

/* ---- series ---------------------------------------------------------------------------------------------------------------- */

static bool same_series(const struct cell_row *a, const struct cell_row *b, enum series_by by)
{
    if (by == SERIES_CELL || strcmp(a->compressor, b->compressor) != 0 || !same_setting(a, b))
        return false;
    if (by == SERIES_FRAMES)
        return strcmp(a->label, b->label) == 0;
    return a->frames == b->frames && (by == SERIES_OPTIONS || strcmp(a->variant, b->variant) == 0);
}

static struct series *series_of(struct series_set *set, const struct cell_row *row, enum series_by by)
{
    for (size_t i = 0; i < set->n; i++)
        if (same_series(set->series[i].cells[0], row, by))
            return &set->series[i];
    return NULL;
}

/* Insertion from the end keeps cells of equal x in the order they came. */
static void series_insert(struct series *series, const struct cell_row *row, double (*x)(const struct cell_row *row))
{
    size_t at = series->n++;
    for (; at > 0 && x(series->cells[at - 1]) > x(row); at--)
        series->cells[at] = series->cells[at - 1];
    series->cells[at] = row;
}

int series_make(struct series_set *out, struct cells *cells, enum series_by by, double (*x)(const struct cell_row *row), struct err *err)
{
    out->n = 0;
    out->series = arena_alloc(&cells->arena, cells->n, sizeof *out->series);
    for (size_t i = 0; i < cells->n && out->series; i++) {
        const struct cell_row *row = &cells->rows[i];
        struct series *series = series_of(out, row, by);
        if (!series) {
            series = &out->series[out->n++];
            series->baseline = strcmp(row->compressor, "none") == 0;
            series->cells = arena_alloc(&cells->arena, cells->n, sizeof *series->cells);
            if (!series->cells)
                return err_no_memory(err, "the series of a plot");
        }
        series_insert(series, row, x);
    }
    for (size_t i = 0; i < out->n; i++) {
        out->series[i].param = common_param(&cells->arena, &out->series[i]);
        out->series[i].title = series_title(cells, &out->series[i], by);
    }
    bool complete = out->series != NULL;
    for (size_t i = 0; i < out->n; i++)
        complete &= out->series[i].title != NULL;
    return complete ? 0 : err_no_memory(err, "the series of a plot");
}
