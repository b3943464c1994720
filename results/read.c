/* Store, reading: what is answered already, and the rows of the views as structs. */
#include "results/store_impl.h"

#include "core/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what is there --------------------------------------------------------------------------------------------------------- */

int store_has_answer(struct store *store, int64_t cell, const struct manifest *manifest, size_t sample, bool retry_failed, bool *has,
                     struct err *err)
{
    struct query query = query_on(store,
        "SELECT 1 FROM benchmark "
        "JOIN sample ON sample.benchmark_id = benchmark.id AND sample.name = :sample "
        "JOIN answer ON answer.cell_id = :cell AND answer.sample_id = sample.id "
        "WHERE benchmark.name = :benchmark AND benchmark.digest = :digest AND NOT (answer.failed AND :retry_failed)");
    query_text(&query, ":benchmark", manifest->benchmark);
    query_text(&query, ":digest", manifest->digest);
    query_text(&query, ":sample", manifest->samples[sample].id);
    query_integer(&query, ":cell", cell);
    query_integer(&query, ":retry_failed", retry_failed);
    int rc = query_step(&query, "look for an answer", err);
    if (rc < 0)
        return rc;
    *has = rc == 1;
    query_end(&query);
    return 0;
}

int store_has_manifest(struct store *store, const struct manifest *manifest, bool *has, struct err *err)
{
    struct query query = query_on(store, "SELECT count(*) FROM benchmark JOIN sample ON sample.benchmark_id = benchmark.id "
                                         "WHERE benchmark.name = :benchmark AND benchmark.digest = :digest");
    query_text(&query, ":benchmark", manifest->benchmark);
    query_text(&query, ":digest", manifest->digest);
    int rc = query_step(&query, "look for a manifest", err);
    if (rc < 0)
        return rc;
    *has = (uint64_t)sqlite3_column_int64(query.stmt, 0) >= manifest->n_samples;
    query_end(&query);
    return 0;
}

/* Place of the sample with that manifest row, n_samples if there is none; rows ascend, and answers come mostly in their order. */
static size_t sample_at(const struct manifest *manifest, size_t after, int64_t row)
{
    size_t low = 0, high = manifest->n_samples;
    if (after + 1 < high && (int64_t)manifest->samples[after + 1].row == row)
        return after + 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((int64_t)manifest->samples[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < manifest->n_samples && (int64_t)manifest->samples[low].row == row ? low : manifest->n_samples;
}

int store_answered(struct store *store, int64_t cell, const struct manifest *manifest, bool retry_failed, bool *done, struct err *err)
{
    struct query query = query_on(store,
        "SELECT sample.name, sample.manifest_row FROM benchmark JOIN answer ON answer.cell_id = :cell "
        "JOIN sample ON sample.id = answer.sample_id AND sample.benchmark_id = benchmark.id "
        "WHERE benchmark.name = :benchmark AND benchmark.digest = :digest AND NOT (answer.failed AND :retry_failed) ORDER BY sample_id");
    query_text(&query, ":benchmark", manifest->benchmark);
    query_text(&query, ":digest", manifest->digest);
    query_integer(&query, ":cell", cell);
    query_integer(&query, ":retry_failed", retry_failed);
    size_t at = 0;
    int rc;
    memset(done, 0, manifest->n_samples * sizeof *done);
    while ((rc = query_step(&query, "look for answers", err)) > 0) {
        const char *name = store_column_text(query.stmt, 0);
        at = sample_at(manifest, at, sqlite3_column_int64(query.stmt, 1));
        if (at == manifest->n_samples || strcmp(manifest->samples[at].id, name)) /* rows are counted otherwise than when it was written */
            for (at = 0; at < manifest->n_samples && strcmp(manifest->samples[at].id, name);)
                at++;
        if (at < manifest->n_samples)
            done[at] = true;
    }
    return rc;
}

int store_version(struct store *store, int64_t *version, struct err *err)
{
    struct query query = query_on(store, "PRAGMA data_version");
    int rc = query_step(&query, "read the version of the data", err);
    if (rc > 0)
        *version = sqlite3_column_int64(query.stmt, 0);
    query_end(&query);
    return rc < 0 ? rc : 0;
}

int store_find_build(struct store *store, const char *beginning, char digest[DIGEST_HEX], struct err *err)
{
    struct query query =
        query_on(store, "SELECT build_digest FROM cell WHERE build_digest <> '' GROUP BY build_digest ORDER BY max(id) DESC");
    struct text builds = {0};
    size_t found = 0;
    int rc;
    while ((rc = query_step(&query, "look for a build", err)) > 0) {
        const char *build = store_column_text(query.stmt, 0);
        text_printf(&builds, "%s%.12s", builds.length ? ", " : "", build);
        if (strncmp(build, beginning, strlen(beginning)) == 0 && found++ == 0)
            snprintf(digest, DIGEST_HEX, "%s", build);
    }
    if (rc == 0 && found != 1)
        rc = err_set(err, ERR_CONFIG, "'%s' is the beginning of %s build's digest in store '%s'; the builds of its cells are %s", beginning,
                     found ? "more than one" : "no", store->path, builds.length ? builds.bytes : "none");
    text_free(&builds);
    return rc;
}

int store_get_calibration(struct store *store, const char *key, struct calibration *out, bool *found, struct err *err)
{
    struct query query =
        query_on(store, "SELECT target_ratio, threshold, achieved_ratio, n_videos FROM calibration WHERE key = :key");
    query_text(&query, ":key", key);
    int rc = query_step(&query, "look for a calibration", err);
    *found = rc == 1;
    if (rc <= 0)
        return rc;
    *out = (struct calibration){.target_ratio = sqlite3_column_double(query.stmt, 0),
                                .threshold = sqlite3_column_double(query.stmt, 1),
                                .achieved_ratio = sqlite3_column_double(query.stmt, 2),
                                .n_videos = sqlite3_column_int(query.stmt, 3)};
    query_end(&query);
    return 0;
}

int store_get_groups(struct store *store, const char *digest, struct arena *arena, struct answer_groups *out, bool *found, struct err *err)
{
    struct query query = query_on(store, "SELECT frames, h, w, map FROM token_groups WHERE digest = :digest");
    query_text(&query, ":digest", digest);
    int rc = query_step(&query, "read token groups", err);
    *found = rc == 1;
    if (rc <= 0)
        return rc;
    *out = (struct answer_groups){.frames = arena_strdup(arena, store_column_text(query.stmt, 0)),
                                  .h = sqlite3_column_int(query.stmt, 1),
                                  .w = sqlite3_column_int(query.stmt, 2),
                                  .map = arena_strdup(arena, store_column_text(query.stmt, 3))};
    query_end(&query);
    return out->frames && out->map ? 0 : err_no_memory(err, "token groups");
}

int store_statuses(struct store *store, int64_t count[ANSWER_STATUSES], struct err *err)
{
    struct query query = query_on(store, "SELECT status, count(*) FROM answer GROUP BY status");
    memset(count, 0, ANSWER_STATUSES * sizeof *count);
    int rc;
    while ((rc = query_step(&query, "count answers", err)) > 0)
        for (int status = 0; status < ANSWER_STATUSES; status++)
            if (strcmp(store_column_text(query.stmt, 0), answer_status_name((enum answer_status)status)) == 0)
                count[status] = sqlite3_column_int64(query.stmt, 1);
    return rc;
}

/* ---- views as structs ------------------------------------------------------------------------------------------------------ */

enum kind { KIND_TEXT, KIND_INT, KIND_INT64, KIND_BOOL, KIND_REAL };

struct column { /* a view's column and the member it fills */
    const char *name;
    enum kind kind;
    size_t offset;
};

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define CELL(kind, member) {#member, kind, offsetof(struct cell_row, member)}
#define CELL_STAGE(name, stage)                                                      \
    {#name "_alone_ms", KIND_REAL, offsetof(struct cell_row, alone_ms[stage])},      \
    {#name "_paid_ms", KIND_REAL, offsetof(struct cell_row, paid_ms[stage])}

static const struct column cell_columns[] = {
    CELL(KIND_INT64, id),
    CELL(KIND_TEXT, digest),
    CELL(KIND_TEXT, model),
    CELL(KIND_TEXT, benchmark),
    CELL(KIND_TEXT, profile),
    CELL(KIND_TEXT, compressor),
    CELL(KIND_TEXT, params),
    CELL(KIND_TEXT, variant),
    CELL(KIND_TEXT, label),
    CELL(KIND_TEXT, dtype),
    CELL(KIND_TEXT, sampling),
    CELL(KIND_TEXT, pooling),
    CELL(KIND_TEXT, newline),
    CELL(KIND_TEXT, conversation),
    CELL(KIND_TEXT, prompt_form),
    CELL(KIND_TEXT, runner),
    CELL(KIND_TEXT, isa),
    CELL(KIND_TEXT, build_digest),
    CELL(KIND_INT, frames),
    CELL(KIND_INT, image_size),
    CELL(KIND_BOOL, macro),
    CELL(KIND_INT, macro_types),
    CELL(KIND_BOOL, guesses),
    CELL(KIND_REAL, threshold),
    CELL(KIND_INT64, n_samples),
    CELL(KIND_INT64, n_answered),
    CELL(KIND_INT64, n_ok),
    CELL(KIND_INT64, n_correct),
    CELL(KIND_INT64, n_failed),
    CELL(KIND_INT64, n_no_answer),
    CELL(KIND_INT64, headline_n),
    CELL(KIND_INT64, headline_correct),
    CELL(KIND_REAL, accuracy),
    CELL(KIND_REAL, accuracy_se),
    CELL(KIND_INT64, n_videos),
    CELL(KIND_REAL, accuracy_micro),
    CELL(KIND_REAL, accuracy_macro),
    CELL(KIND_REAL, accuracy_expected),
    CELL(KIND_REAL, wilson_low),
    CELL(KIND_REAL, wilson_high),
    CELL(KIND_REAL, tokens_before),
    CELL(KIND_REAL, tokens_visual),
    CELL(KIND_REAL, tokens_marker),
    CELL(KIND_REAL, tokens_text),
    CELL(KIND_REAL, tokens_generated),
    CELL(KIND_REAL, tokens_mean),
    CELL(KIND_REAL, tokens_cached),
    CELL(KIND_REAL, tokens_guide),
    CELL(KIND_REAL, tokens_match),
    CELL(KIND_REAL, match_off),
    CELL(KIND_REAL, ratio),
    CELL(KIND_REAL, ratio_mean),
    CELL(KIND_REAL, ratio_content),
    CELL_STAGE(open, STAGE_OPEN),
    CELL_STAGE(decode, STAGE_DECODE),
    CELL_STAGE(resize, STAGE_RESIZE),
    CELL_STAGE(vision, STAGE_VISION),
    CELL_STAGE(guide, STAGE_GUIDE),
    CELL_STAGE(compress, STAGE_COMPRESS),
    CELL_STAGE(prefill, STAGE_PREFILL),
    CELL_STAGE(generate, STAGE_GENERATE),
};

#define GROUP(kind, member) {#member, kind, offsetof(struct group_row, member)}

static const struct column group_columns[] = {
    GROUP(KIND_INT64, cell),
    GROUP(KIND_TEXT, benchmark),
    GROUP(KIND_TEXT, label),
    GROUP(KIND_TEXT, kind),
    GROUP(KIND_TEXT, name),
    GROUP(KIND_INT, frames),
    GROUP(KIND_INT64, n),
    GROUP(KIND_INT64, n_correct),
    GROUP(KIND_REAL, accuracy),
    GROUP(KIND_REAL, accuracy_se),
    GROUP(KIND_INT64, n_videos),
    GROUP(KIND_REAL, wilson_low),
    GROUP(KIND_REAL, wilson_high),
};

#define HISTORY(kind, member) {#member, kind, offsetof(struct history_row, member)}

static const struct column history_columns[] = {
    HISTORY(KIND_INT64, cell),
    HISTORY(KIND_TEXT, point),
    HISTORY(KIND_TEXT, digest),
    HISTORY(KIND_TEXT, benchmark),
    HISTORY(KIND_TEXT, model),
    HISTORY(KIND_TEXT, label),
    HISTORY(KIND_TEXT, revision),
    HISTORY(KIND_TEXT, build_digest),
    HISTORY(KIND_TEXT, model_digest),
    HISTORY(KIND_TEXT, manifest_digest),
    HISTORY(KIND_TEXT, started_at),
    HISTORY(KIND_TEXT, device),
    HISTORY(KIND_INT, frames),
    HISTORY(KIND_INT64, n_samples),
    HISTORY(KIND_INT64, n_answered),
    HISTORY(KIND_INT64, n_failed),
    HISTORY(KIND_INT64, n_correct),
    HISTORY(KIND_REAL, accuracy),
    HISTORY(KIND_REAL, accuracy_se),
    HISTORY(KIND_INT64, headline_n),
    HISTORY(KIND_INT64, n_videos),
    HISTORY(KIND_REAL, ratio),
};

struct view {
    const char *name;
    const char *cell; /* its column with the cell's id */
    const char *order;
    const struct column *columns;
    size_t n_columns;
};

static const struct view cell_accuracy = {"cell_accuracy", "id", "benchmark, model, frames, id", cell_columns, COUNT(cell_columns)};
static const struct view group_accuracy = {"group_accuracy", "cell", "benchmark, model, frames, cell, first_row", group_columns,
                                           COUNT(group_columns)};
static const struct view cell_history = {"cell_history", "cell", "benchmark, model, frames, point, started_at, cell", history_columns,
                                         COUNT(history_columns)};

struct selection { /* of a view's rows */
    const struct view *view;
    const char *kind;  /* of group_accuracy; NULL of others */
    const char *where; /* a condition over cell_accuracy, NULL for none */
};

static double real_at(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(stmt, column);
}

static void column_read(sqlite3_stmt *stmt, int at, const struct column *column, void *row)
{
    void *member = (char *)row + column->offset;
    switch (column->kind) {
    case KIND_TEXT:
        *(const char **)member = store_column_text(stmt, at);
        break;
    case KIND_INT:
        *(int *)member = sqlite3_column_int(stmt, at);
        break;
    case KIND_INT64:
        *(int64_t *)member = sqlite3_column_int64(stmt, at);
        break;
    case KIND_BOOL:
        *(bool *)member = sqlite3_column_int(stmt, at) != 0;
        break;
    case KIND_REAL:
        *(double *)member = real_at(stmt, at);
        break;
    }
}

/* "SELECT <columns> FROM <view> WHERE <kind> AND <cell> IN (SELECT id FROM cell_accuracy WHERE (<where>)) ORDER BY <order>"; NULL when
 * memory is out. */
static char *select_text(const struct selection *selection)
{
    const struct view *view = selection->view;
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_str_appendall(text, "SELECT ");
    for (size_t i = 0; i < view->n_columns; i++)
        sqlite3_str_appendf(text, "%s%s", i ? ", " : "", view->columns[i].name);
    sqlite3_str_appendf(text, " FROM %s WHERE true", view->name);
    if (selection->kind)
        sqlite3_str_appendf(text, " AND kind = %Q", selection->kind);
    if (selection->where && view == &cell_accuracy)
        sqlite3_str_appendf(text, " AND (%s\n)", selection->where); /* a comment in `where` ends at the line */
    else if (selection->where)
        sqlite3_str_appendf(text, " AND %s IN (SELECT id FROM cell_accuracy WHERE (%s\n))", view->cell, selection->where);
    sqlite3_str_appendf(text, " ORDER BY %s", view->order);
    return sqlite3_str_finish(text);
}

/* A condition that SQLite does not accept is the user's: say what it may speak of. */
static int select_fail(struct store *store, int code, const char *where, struct err *err)
{
    if (where && (code & 0xff) == SQLITE_ERROR)
        return err_set(err, ERR_CONFIG,
                       "cannot select by '%s' in store '%s': %s; give one SQL condition over the columns of view cell_accuracy, such as "
                       "\"frames = 96 AND label LIKE 'dyntok%%'\"; 'SELECT * FROM cell_accuracy' shows them all",
                       where, store->path, sqlite3_errmsg(store->db));
    return store_fail(store, code, "read a view", err);
}

/* Prepares the statement of select_text. A `where` that ends the statement early is refused. */
static int select_prepare(struct store *store, const struct selection *selection, sqlite3_stmt **stmt, struct err *err)
{
    *stmt = NULL;
    char *text = select_text(selection);
    if (!text)
        return err_no_memory(err, "reading a view");
    const char *rest = NULL;
    int code = sqlite3_prepare_v2(store->db, text, -1, stmt, &rest);
    int rc = code == SQLITE_OK ? 0 : select_fail(store, code, selection->where, err);
    if (rc == 0 && *rest)
        rc = err_set(err, ERR_CONFIG, "cannot select by '%s': it is more than one SQL condition; join conditions with AND", selection->where);
    if (rc < 0) {
        sqlite3_finalize(*stmt);
        *stmt = NULL;
    }
    sqlite3_free(text);
    return rc;
}

/* Reads each row of a view into `row` and calls `each` until it returns nonzero. */
static int select_each(struct store *store, const struct selection *selection, void *row, int (*each)(const void *row, void *context), void *context,
                       struct err *err)
{
    sqlite3_stmt *stmt;
    const struct view *view = selection->view;
    int rc = select_prepare(store, selection, &stmt, err);
    if (rc < 0)
        return rc;
    int code;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (size_t i = 0; i < view->n_columns; i++)
            column_read(stmt, (int)i, &view->columns[i], row);
        if (each(row, context))
            break;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        rc = select_fail(store, code, selection->where, err);
    sqlite3_finalize(stmt);
    return rc;
}

struct cell_reader { int (*each)(const struct cell_row *row, void *context); void *context; };
struct group_reader { int (*each)(const struct group_row *row, void *context); void *context; };
struct history_reader { int (*each)(const struct history_row *row, void *context); void *context; };

static int cell_each(const void *row, void *context)
{
    const struct cell_reader *reader = context;
    return reader->each(row, reader->context);
}

static int group_each(const void *row, void *context)
{
    const struct group_reader *reader = context;
    return reader->each(row, reader->context);
}

static int history_each(const void *row, void *context)
{
    const struct history_reader *reader = context;
    return reader->each(row, reader->context);
}

int store_each_cell(struct store *store, const char *where, int (*each)(const struct cell_row *row, void *context), void *context,
                    struct err *err)
{
    struct cell_row row;
    struct cell_reader reader = {each, context};
    return select_each(store, &(struct selection){&cell_accuracy, NULL, where}, &row, cell_each, &reader, err);
}

int store_each_group(struct store *store, const char *kind, const char *where, int (*each)(const struct group_row *row, void *context),
                     void *context, struct err *err)
{
    struct group_row row;
    struct group_reader reader = {each, context};
    return select_each(store, &(struct selection){&group_accuracy, kind, where}, &row, group_each, &reader, err);
}

int store_each_history(struct store *store, const char *where, int (*each)(const struct history_row *row, void *context), void *context,
                       struct err *err)
{
    struct history_row row;
    struct history_reader reader = {each, context};
    return select_each(store, &(struct selection){&cell_history, NULL, where}, &row, history_each, &reader, err);
}

int store_each_scored(struct store *store, int64_t cell, int (*each)(const struct scored_row *row, void *context), void *context,
                      struct err *err)
{
    struct query query = query_on(store, "SELECT sample_id, video_id, task_type, in_headline, correct, tokens_visual + tokens_marker, "
                                         "tokens_before FROM scored_answer WHERE cell_id = :cell AND replied ORDER BY manifest_row");
    query_integer(&query, ":cell", cell);
    int rc;
    while ((rc = query_step(&query, "read scores", err)) > 0) {
        const struct scored_row row = {sqlite3_column_int64(query.stmt, 0),    sqlite3_column_int64(query.stmt, 1),
                                       store_column_text(query.stmt, 2),       sqlite3_column_int(query.stmt, 3) != 0,
                                       sqlite3_column_int(query.stmt, 4) != 0, real_at(query.stmt, 5), real_at(query.stmt, 6)};
        if (each(&row, context))
            break;
    }
    query_end(&query);
    return rc < 0 ? rc : 0;
}

int store_each_unread(struct store *store, int64_t cell, int (*each)(const struct unread_row *row, void *context), void *context,
                      struct err *err)
{
    struct query query = query_on(store,
        "SELECT (SELECT count(*) FROM option WHERE option.sample_id = sample.id), coalesce(sample.answer, -1), task_type, duration, domain, "
        "sub_category FROM answer JOIN sample ON sample.id = answer.sample_id "
        "WHERE answer.cell_id = :cell AND answer.status = 'no_answer' ORDER BY manifest_row");
    query_integer(&query, ":cell", cell);
    int rc;
    while ((rc = query_step(&query, "read replies without a letter", err)) > 0) {
        const struct unread_row row = {sqlite3_column_int(query.stmt, 0),        sqlite3_column_int(query.stmt, 1),
                                       store_column_text(query.stmt, 2), store_column_text(query.stmt, 3),
                                       store_column_text(query.stmt, 4), store_column_text(query.stmt, 5)};
        if (each(&row, context))
            break;
    }
    query_end(&query);
    return rc < 0 ? rc : 0;
}
