/* Revisions: rows of the history, cut down to one point. */
#include "harness/revisions.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>

enum { BEGINNING = 4, MOST_SHOWN = 12 };

struct collection {
    struct revisions *revisions;
    size_t capacity;
    bool no_memory;
};

static int collect(const struct history_row *row, void *context)
{
    struct collection *into = context;
    struct revisions *out = into->revisions;
    if (out->n == into->capacity) {
        size_t capacity = 2 * into->capacity + 16;
        struct history_row *grown = arena_alloc(&out->arena, capacity, sizeof *grown);
        if (grown && out->n)
            memcpy(grown, out->rows, out->n * sizeof *grown);
        into->no_memory |= !grown;
        out->rows = grown ? grown : out->rows;
        into->capacity = grown ? capacity : into->capacity;
    }
    if (into->no_memory)
        return 1;
    struct history_row *copy = &out->rows[out->n++];
    *copy = *row;
    const char **texts[] = {&copy->point, &copy->digest, &copy->benchmark, &copy->model, &copy->label, &copy->revision, &copy->build_digest,
                            &copy->model_digest, &copy->manifest_digest, &copy->started_at, &copy->device};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        into->no_memory |= !(*texts[i] = arena_strdup(&out->arena, *texts[i]));
    return into->no_memory;
}

static bool is_meant(const struct history_row *row, const char *name)
{
    return store_is_called(name, row->label, row->frames, row->digest);
}

/* Points come one after the other: *first and *last bound the one that `name` calls; the number of points that it calls is returned. */
static size_t find_point(struct revisions *revisions, const char *name, size_t *first, size_t *last, struct text *meant)
{
    size_t n_points = 0;
    for (size_t from = 0, to; from < revisions->n; from = to) {
        bool found = false;
        for (to = from; to < revisions->n && !strcmp(revisions->rows[to].point, revisions->rows[from].point); to++)
            if (is_meant(&revisions->rows[to], name)) {
                found = true;
                revisions->chosen = to;
            }
        if (!found)
            continue;
        const struct history_row *row = &revisions->rows[revisions->chosen];
        if (n_points++ < MOST_SHOWN)
            text_printf(meant, "%s'%s@%d' (%s, digest %.8s)", n_points > 1 ? ", " : "", row->label, row->frames, row->benchmark,
                        row->digest);
        *first = from;
        *last = to;
    }
    return n_points;
}

int revisions_find(struct revisions *out, struct store *store, const char *name, struct err *err)
{
    struct collection collection = {.revisions = out};
    struct text meant = {0};
    size_t first = 0, last = 0;
    int64_t unanswered;
    int rc = store_each_history(store, NULL, collect, &collection, err);
    if (!rc && collection.no_memory)
        rc = err_no_memory(err, "a history");
    size_t n_points = rc ? 0 : find_point(out, name, &first, &last, &meant);
    if (!rc && n_points == 0 && !(rc = store_find_cell(store, name, &unanswered, err))) /* says what there is */
        rc = err_set(err, ERR_CONFIG, "cell '%s' has no answer yet; 'toksweep run' gives them", name);
    if (!rc && n_points > 1)
        rc = err_set(err, ERR_CONFIG, "'%s' may be one of several cells: give LABEL@FRAMES or the beginning of a digest, of %s", name,
                     meant.bytes ? meant.bytes : "");
    text_free(&meant);
    out->rows = out->rows ? out->rows + first : NULL;
    out->n = last - first;
    out->chosen -= first;
    return rc;
}

void revisions_free(struct revisions *revisions)
{
    arena_free(&revisions->arena);
    *revisions = (struct revisions){0};
}

const struct history_row *revisions_begin(const struct revisions *revisions, const char *beginning)
{
    size_t n = strlen(beginning);
    for (size_t i = revisions->n; i-- > 0 && n >= BEGINNING;) {
        const struct history_row *row = &revisions->rows[i];
        if (!strncmp(row->revision, beginning, n) || !strncmp(row->build_digest, beginning, n) || !strncmp(row->digest, beginning, n))
            return row;
    }
    return NULL;
}

struct revision_name revision_name(const struct history_row *row)
{
    struct revision_name name;
    bool known = *row->revision != 0;
    snprintf(name.text, sizeof name.text, "%.10s, %s %.8s", row->started_at, known ? "revision" : "build",
             known ? row->revision : row->build_digest);
    return name;
}
