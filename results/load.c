/* Store, a cell whole: found by what a user calls it, and read with its samples and answers, in the order of the manifest. */
#include "results/store_impl.h"

#include "core/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_BEGINNING = 4 };

/* ---- finding --------------------------------------------------------------------------------------------------------------- */

/* Whether `name` is "<label>@<frames>". */
static bool is_at_frames(const char *name, const char *label, int frames)
{
    char at[16];
    size_t length = strlen(label);
    snprintf(at, sizeof at, "@%d", frames);
    return strncmp(name, label, length) == 0 && strcmp(name + length, at) == 0;
}

bool store_is_called(const char *name, const char *label, int frames, const char *digest)
{
    size_t n = strlen(name);
    return strcmp(name, label) == 0 || is_at_frames(name, label, frames) || (n >= DIGEST_BEGINNING && strncmp(name, digest, n) == 0);
}

int store_find_cell(struct store *store, const char *name, int64_t *id, struct err *err)
{
    enum { MOST_SHOWN = 12 };
    struct query query = query_on(store, "SELECT cell.id, label, cell.digest, benchmark.name, frames FROM cell "
                                         "JOIN benchmark ON benchmark.id = cell.benchmark_id ORDER BY cell.id");
    struct text cells = {0}, fitting = {0};
    size_t n = 0, n_cells = 0;
    int rc;
    while ((rc = query_step(&query, "look for a cell", err)) > 0) {
        const char *label = store_column_text(query.stmt, 1), *digest = store_column_text(query.stmt, 2);
        int frames = sqlite3_column_int(query.stmt, 4);
        bool fits = !name || store_is_called(name, label, frames, digest);
        struct text *list = fits ? &fitting : &cells;
        if ((fits ? n : n_cells - n) < MOST_SHOWN)
            text_printf(list, "%s'%s' (%s, %d frames, digest %.8s)", list->length ? ", " : "", label,
                        store_column_text(query.stmt, 3), frames, digest);
        if (fits && n++ == 0)
            *id = sqlite3_column_int64(query.stmt, 0);
        n_cells++;
    }
    if (rc == 0 && n_cells == 0)
        rc = err_set(err, ERR_CONFIG, "store '%s' holds no cell; 'toksweep run' and 'toksweep import' fill it", store->path);
    else if (rc == 0 && n == 0)
        rc = err_set(err, ERR_CONFIG, "no cell of store '%s' is called '%s'; give a label, LABEL@FRAMES or the beginning of a digest of %s",
                     store->path, name, cells.bytes);
    else if (rc == 0 && n > 1)
        rc = err_set(err, ERR_CONFIG, "%zu cells of store '%s' may be meant: give LABEL@FRAMES or the beginning of a digest, of %s", n,
                     store->path, fitting.bytes);
    text_free(&cells);
    text_free(&fitting);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

struct loader {
    struct store *store;
    struct stored_cell *cell;
    struct arena *arena;
    int64_t benchmark;
    int64_t *video_ids; /* [manifest.n_videos], ascending */
    bool no_memory;
};

/* A copy of a text of the row that is there; NULL for NULL. */
static const char *copy(struct loader *loader, sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return NULL;
    const char *text = arena_strdup(loader->arena, store_column_text(stmt, column));
    loader->no_memory |= !text;
    return text;
}

static void *table(struct loader *loader, size_t n, size_t size)
{
    void *memory = arena_alloc(loader->arena, n, size);
    loader->no_memory |= !memory;
    return memory;
}

static int load_facts(struct loader *loader, struct err *err)
{
    struct stored_cell *cell = loader->cell;
    struct query query = query_on(loader->store,
        "SELECT cell.digest, model.name, label, profile, prompt_form, compressor, params, sampling, dtype, runner, conversation, "
        "benchmark.name, benchmark.path, (SELECT min(answered_at) FROM answer WHERE cell_id = cell.id), "
        "(SELECT max(answered_at) FROM answer WHERE cell_id = cell.id), "
        "frames, max_new_tokens, benchmark.id, benchmark.digest, "
        "(SELECT count(*) FROM sample WHERE sample.benchmark_id = benchmark.id), "
        "(SELECT count(*) FROM video WHERE video.benchmark_id = benchmark.id) "
        "FROM cell JOIN model ON model.id = cell.model_id JOIN benchmark ON benchmark.id = cell.benchmark_id WHERE cell.id = :cell");
    query_integer(&query, ":cell", cell->id);
    int rc = query_step(&query, "read a cell", err);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(err, ERR_CONFIG, "store '%s' has no cell %lld", loader->store->path, (long long)cell->id);
    const char **texts[] = {&cell->digest, &cell->model, &cell->label, &cell->profile, &cell->prompt_form, &cell->compressor, &cell->params,
                            &cell->sampling, &cell->dtype, &cell->runner, &cell->conversation, &cell->manifest.benchmark,
                            &cell->manifest.path, &cell->started_at, &cell->ended_at};
    enum { TEXTS = sizeof texts / sizeof *texts };
    for (int i = 0; i < TEXTS; i++)
        *texts[i] = copy(loader, query.stmt, i);
    cell->started_at = cell->started_at ? cell->started_at : "";
    cell->ended_at = cell->ended_at ? cell->ended_at : "";
    cell->frames = sqlite3_column_int(query.stmt, TEXTS);
    cell->max_new_tokens = sqlite3_column_int(query.stmt, TEXTS + 1);
    loader->benchmark = sqlite3_column_int64(query.stmt, TEXTS + 2);
    strncpy(cell->manifest.digest, store_column_text(query.stmt, TEXTS + 3), DIGEST_HEX - 1);
    cell->manifest.n_samples = (size_t)sqlite3_column_int64(query.stmt, TEXTS + 4);
    cell->manifest.n_videos = (size_t)sqlite3_column_int64(query.stmt, TEXTS + 5);
    query_end(&query);
    return 0;
}

static int load_videos(struct loader *loader, struct err *err)
{
    struct manifest *manifest = &loader->cell->manifest;
    manifest->videos = table(loader, manifest->n_videos, sizeof *manifest->videos);
    loader->video_ids = table(loader, manifest->n_videos, sizeof *loader->video_ids);
    if (loader->no_memory)
        return err_no_memory(err, "a cell's videos");
    struct query query = query_on(loader->store, "SELECT id, name, path, missing, is_folder, folder_fps, start_s, end_s FROM video "
                                                 "WHERE benchmark_id = :benchmark ORDER BY id");
    query_integer(&query, ":benchmark", loader->benchmark);
    size_t n = 0;
    int rc;
    while ((rc = query_step(&query, "read videos", err)) > 0 && n < manifest->n_videos) {
        loader->video_ids[n] = sqlite3_column_int64(query.stmt, 0);
        manifest->videos[n++] = (struct video_ref){.id = copy(loader, query.stmt, 1),
                                                   .path = copy(loader, query.stmt, 2),
                                                   .missing = sqlite3_column_int(query.stmt, 3),
                                                   .is_folder = sqlite3_column_int(query.stmt, 4),
                                                   .folder_fps = sqlite3_column_double(query.stmt, 5),
                                                   .start_s = sqlite3_column_double(query.stmt, 6),
                                                   .end_s = sqlite3_column_double(query.stmt, 7)};
    }
    query_end(&query);
    manifest->n_videos = n;
    return rc < 0 ? rc : 0;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int load_options(struct loader *loader, int64_t id, struct sample *sample, struct err *err)
{
    const char *texts[SAMPLE_MOST_OPTIONS];
    struct query query = query_on(loader->store, "SELECT text FROM option WHERE sample_id = :sample ORDER BY position");
    query_integer(&query, ":sample", id);
    int rc, n = 0;
    while ((rc = query_step(&query, "read options", err)) > 0 && n < SAMPLE_MOST_OPTIONS)
        texts[n++] = copy(loader, query.stmt, 0);
    query_end(&query);
    const char **options = table(loader, (size_t)n, sizeof *options);
    if (rc < 0 || !options)
        return rc;
    memcpy(options, texts, (size_t)n * sizeof *options);
    sample->options = options;
    sample->n_options = n;
    return 0;
}

static enum answer_status status_of(const char *name)
{
    int status = 0;
    while (status < ANSWER_STATUSES - 1 && strcmp(name, answer_status_name((enum answer_status)status)) != 0)
        status++;
    return (enum answer_status)status;
}

enum { ANSWER_FACTS = 11, COST_COUNTS = 11 };

#define ALONE_AND_PAID(stage) stage "_alone_ms, " stage "_paid_ms"

/* What read_answer reads, from answer.id on. */
#define ANSWER_COLUMNS                                                                                                       \
    "answer.id, status, raw, message, extracted, correct, empty, margin, record, tokens_digest, "                           \
    "NOT failed AND NOT (drop_empty AND empty) AND NOT (drop_unread AND status = 'no_answer'), "                            \
    "cost.frames, frames_encoded, tokens_before, tokens_marker_before, tokens_visual, tokens_marker, tokens_text, "         \
    "tokens_generated, tokens_prefilled, tokens_guide, shared_layers, tokens_mean, tokens_cached, "                         \
    ALONE_AND_PAID("open") ", " ALONE_AND_PAID("decode") ", " ALONE_AND_PAID("resize") ", " ALONE_AND_PAID("vision") ", "   \
    ALONE_AND_PAID("guide") ", " ALONE_AND_PAID("compress") ", " ALONE_AND_PAID("prefill") ", " ALONE_AND_PAID("generate")

static double number_or_nan(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(stmt, column);
}

/* The part of ANSWER_COLUMNS that begins with cost.frames, at column `at`. */
static struct cost read_cost(sqlite3_stmt *stmt, int at)
{
    struct cost cost = {.frames = -1, .joules = (double)NAN};
    if (sqlite3_column_type(stmt, at) == SQLITE_NULL)
        return cost;
    int32_t *counts[COST_COUNTS] = {&cost.frames, &cost.frames_encoded, &cost.tokens_before, &cost.tokens_marker_before, &cost.tokens_visual,
                                    &cost.tokens_marker, &cost.tokens_text, &cost.tokens_generated, &cost.tokens_prefilled,
                                    &cost.tokens_guide, &cost.shared_layers};
    for (int i = 0; i < COST_COUNTS; i++)
        *counts[i] = sqlite3_column_int(stmt, at + i);
    cost.tokens_mean = sqlite3_column_double(stmt, at + COST_COUNTS);
    cost.tokens_cached = sqlite3_column_double(stmt, at + COST_COUNTS + 1);
    for (int stage = 0; stage < STAGES; stage++) {
        cost.alone_ms[stage] = number_or_nan(stmt, at + COST_COUNTS + 2 + 2 * stage);
        cost.paid_ms[stage] = number_or_nan(stmt, at + COST_COUNTS + 3 + 2 * stage);
    }
    return cost;
}

static struct stored_answer read_answer(struct loader *loader, sqlite3_stmt *stmt, int at)
{
    struct stored_answer stored = {.id = sqlite3_column_int64(stmt, at)};
    if (!stored.id)
        return stored;
    bool has_letter = sqlite3_column_type(stmt, at + 4) != SQLITE_NULL;
    stored.answer = (struct answer){
        .status = status_of(store_column_text(stmt, at + 1)),
        .raw = copy(loader, stmt, at + 2),
        .message = copy(loader, stmt, at + 3),
        .extracted = has_letter ? sqlite3_column_int(stmt, at + 4) : -1,
        .correct = sqlite3_column_int(stmt, at + 5),
        .empty = sqlite3_column_int(stmt, at + 6),
        .margin = number_or_nan(stmt, at + 7),
        .cost = read_cost(stmt, at + ANSWER_FACTS),
    };
    stored.record = copy(loader, stmt, at + 8);
    snprintf(stored.answer.tokens_digest, DIGEST_HEX, "%s", store_column_text(stmt, at + 9));
    stored.counted = sqlite3_column_int(stmt, at + 10);
    return stored;
}

static int load_samples(struct loader *loader, struct err *err)
{
    struct manifest *manifest = &loader->cell->manifest;
    manifest->samples = table(loader, manifest->n_samples, sizeof *manifest->samples);
    loader->cell->answers = table(loader, manifest->n_samples, sizeof *loader->cell->answers);
    struct query query = query_on(loader->store,
        "SELECT sample.id, video_id, manifest_row, sample.name, question, sample.answer, task_type, duration, domain, sub_category, "
        ANSWER_COLUMNS " FROM sample JOIN cell ON cell.id = :cell LEFT JOIN answer ON answer.sample_id = sample.id AND answer.cell_id = :cell "
        "LEFT JOIN cost ON cost.answer_id = answer.id LEFT JOIN imported ON imported.answer_id = answer.id "
        "WHERE sample.benchmark_id = :benchmark ORDER BY manifest_row");
    query_integer(&query, ":cell", loader->cell->id);
    query_integer(&query, ":benchmark", loader->benchmark);
    size_t n = 0;
    int rc = 0;
    while (!loader->no_memory && (rc = query_step(&query, "read samples", err)) > 0 && n < manifest->n_samples) {
        int64_t id = sqlite3_column_int64(query.stmt, 0), video = sqlite3_column_int64(query.stmt, 1);
        const int64_t *place = bsearch(&video, loader->video_ids, manifest->n_videos, sizeof video, by_id);
        bool has_answer = sqlite3_column_type(query.stmt, 5) != SQLITE_NULL;
        struct sample *sample = &manifest->samples[n];
        *sample = (struct sample){
            .id = copy(loader, query.stmt, 3),
            .row = (size_t)sqlite3_column_int64(query.stmt, 2),
            .video = place ? (size_t)(place - loader->video_ids) : 0,
            .question = copy(loader, query.stmt, 4),
            .answer = has_answer ? sqlite3_column_int(query.stmt, 5) : -1,
            .task_type = copy(loader, query.stmt, 6),
            .duration = copy(loader, query.stmt, 7),
            .domain = copy(loader, query.stmt, 8),
            .sub_category = copy(loader, query.stmt, 9),
        };
        loader->cell->answers[n] = read_answer(loader, query.stmt, 10);
        loader->cell->n_answers += loader->cell->answers[n].id != 0;
        if ((rc = load_options(loader, id, sample, err)) < 0)
            break;
        n++;
    }
    query_end(&query);
    manifest->n_samples = n;
    return rc < 0 ? rc : 0;
}

int store_load_cell(struct stored_cell *out, struct store *store, int64_t id, struct err *err)
{
    *out = (struct stored_cell){.id = id};
    struct loader loader = {.store = store, .cell = out, .arena = &out->manifest.arena};
    int rc = load_facts(&loader, err);
    if (rc == 0)
        rc = load_videos(&loader, err);
    if (rc == 0)
        rc = load_samples(&loader, err);
    if (rc == 0 && loader.no_memory)
        rc = err_no_memory(err, "a cell's answers");
    if (rc < 0)
        stored_cell_free(out);
    return rc;
}

void stored_cell_free(struct stored_cell *cell)
{
    arena_free(&cell->manifest.arena);
    *cell = (struct stored_cell){0};
}
