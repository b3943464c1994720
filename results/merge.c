/* Store, merging: another store's rows come in under new ids, table by table, each found again by what makes it unique. */
#include "results/store_impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A column that refers to another table. */
struct reference { const char *column, *table; };

/* Tables in the order of their references. `unique` are the columns by which a row is the same in both stores; NULL when no table refers to
 * this one, so that nobody asks. `where` leaves out rows of the other store (alias o). Claims stay behind: they are of living processes. */
static const struct merged {
    const char *name;
    const char *unique[7];
    struct reference references[4];
    const char *where;
} tables[] = {
    {"model", {"digest"}, {{0}}, NULL},
    {"benchmark", {"name", "digest"}, {{0}}, NULL},
    /* A worker may have its videos elsewhere: the place that is known stays. */
    {"video", {"benchmark_id", "name", "path", "start_s", "end_s"}, {{"benchmark_id", "benchmark"}},
     "EXISTS (SELECT 1 FROM other.sample s WHERE s.video_id = o.id AND NOT EXISTS (SELECT 1 FROM main.sample m "
     "JOIN temp.merged_benchmark b ON b.theirs = s.benchmark_id WHERE m.benchmark_id = b.ours AND m.name = s.name))"},
    {"sample", {"benchmark_id", "name"}, {{"benchmark_id", "benchmark"}, {"video_id", "video"}},
     "NOT EXISTS (SELECT 1 FROM main.sample m JOIN temp.merged_benchmark b ON b.theirs = o.benchmark_id "
     "WHERE m.benchmark_id = b.ours AND m.name = o.name)"},
    {"option", {0}, {{"sample_id", "sample"}}, NULL},
    {"tag", {0}, {{"sample_id", "sample"}}, NULL},
    {"run", {"command", "sweep_name", "build_digest", "host", "device", "started_at"}, {{0}},
     "NOT EXISTS (SELECT 1 FROM main.run m WHERE m.command = o.command AND m.sweep_name = o.sweep_name AND m.build_digest = o.build_digest "
     "AND m.host = o.host AND m.device = o.device AND m.started_at = o.started_at)"},
    {"cell", {"digest"}, {{"model_id", "model"}, {"benchmark_id", "benchmark"}}, NULL},
    {"answer", {"cell_id", "sample_id"}, {{"cell_id", "cell"}, {"sample_id", "sample"}, {"run_id", "run"}}, NULL},
    {"cost", {0}, {{"answer_id", "answer"}}, NULL},
    {"remote", {0}, {{"answer_id", "answer"}}, NULL},
    {"imported", {0}, {{"answer_id", "answer"}}, NULL},
    {"rescoring", {"cell_id", "profile"}, {{"cell_id", "cell"}}, NULL},
    {"score", {0}, {{"rescoring_id", "rescoring"}, {"answer_id", "answer"}}, NULL},
    {"calibration", {0}, {{0}}, NULL},
    {"token_groups", {0}, {{0}}, NULL},
};

enum { TABLES = sizeof tables / sizeof *tables };

static int execute_text(struct store *store, sqlite3_str *text, const char *what, struct err *err)
{
    char *sql = sqlite3_str_finish(text);
    int rc = sql ? store_execute(store, sql, what, err) : err_no_memory(err, "merging stores");
    sqlite3_free(sql);
    return rc;
}

static const char *referred(const struct merged *table, const char *column)
{
    for (const struct reference *reference = table->references; reference->column; reference++)
        if (!strcmp(reference->column, column))
            return reference->table;
    return NULL;
}

/* A column of the other store's row in our terms. */
static void put_column(sqlite3_str *text, const struct merged *table, const char *column)
{
    const char *of = referred(table, column);
    if (of)
        sqlite3_str_appendf(text, "(SELECT ours FROM temp.merged_%s WHERE theirs = o.%s)", of, column);
    else
        sqlite3_str_appendf(text, "o.%s", column);
}

/* All columns of a table but its id, with a comma behind each but the last; of the other store's rows, or by name. Generated ones are not
 * among them. */
static int put_columns(struct store *store, sqlite3_str *text, const struct merged *table, bool by_name, struct err *err)
{
    struct query query = query_on(store, "SELECT name FROM pragma_table_info(:table, 'main') WHERE name <> 'id' ORDER BY cid");
    query_text(&query, ":table", table->name);
    int rc;
    for (bool first = true; (rc = query_step(&query, "read a table's columns", err)) > 0; first = false) {
        const char *column = store_column_text(query.stmt, 0);
        sqlite3_str_appendall(text, first ? "" : ", ");
        if (by_name)
            sqlite3_str_appendall(text, column);
        else
            put_column(text, table, column);
    }
    return rc;
}

static int copy_rows(struct store *store, const struct merged *table, struct err *err)
{
    sqlite3_str *text = sqlite3_str_new(store->db);
    sqlite3_str_appendf(text, "INSERT INTO main.%s (", table->name);
    int rc = put_columns(store, text, table, true, err);
    sqlite3_str_appendall(text, ") SELECT ");
    if (rc == 0)
        rc = put_columns(store, text, table, false, err);
    sqlite3_str_appendf(text, " FROM other.%s o WHERE %s ON CONFLICT DO NOTHING", table->name, table->where ? table->where : "true");
    if (rc == 0)
        return execute_text(store, text, "merge", err);
    sqlite3_free(sqlite3_str_finish(text));
    return rc;
}

/* temp.merged_<table>: the other store's ids and ours. */
static int map_rows(struct store *store, const struct merged *table, struct err *err)
{
    sqlite3_str *text = sqlite3_str_new(store->db);
    sqlite3_str_appendf(text, "CREATE TEMP TABLE merged_%s (theirs INTEGER PRIMARY KEY, ours INTEGER NOT NULL); "
                              "INSERT OR IGNORE INTO temp.merged_%s SELECT o.id, m.id FROM other.%s o JOIN main.%s m ON ",
                        table->name, table->name, table->name, table->name);
    for (int i = 0; table->unique[i]; i++) {
        sqlite3_str_appendf(text, "%sm.%s = ", i ? " AND " : "", table->unique[i]);
        put_column(text, table, table->unique[i]);
    }
    return execute_text(store, text, "merge", err);
}

static int drop_maps(struct store *store, struct err *err)
{
    sqlite3_str *text = sqlite3_str_new(store->db);
    for (int i = 0; i < TABLES; i++)
        if (tables[i].unique[0])
            sqlite3_str_appendf(text, "DROP TABLE IF EXISTS temp.merged_%s; ", tables[i].name);
    return execute_text(store, text, "merge", err);
}

/* An answer that failed here and not there makes room; its cost goes with it. */
static const char drop_failed_sql[] =
    "DELETE FROM main.answer WHERE failed AND EXISTS (SELECT 1 FROM other.answer o "
    "JOIN temp.merged_cell c ON c.theirs = o.cell_id JOIN temp.merged_sample s ON s.theirs = o.sample_id "
    "WHERE c.ours = answer.cell_id AND s.ours = answer.sample_id AND NOT o.failed)";

/* A run that still went on when it was merged before. */
static const char end_runs_sql[] =
    "UPDATE main.run SET (ended_at, outcome) = (SELECT o.ended_at, o.outcome FROM other.run o JOIN temp.merged_run r ON r.theirs = o.id "
    "WHERE r.ours = run.id) WHERE outcome IS NULL AND id IN (SELECT ours FROM temp.merged_run)";

static int64_t count(struct store *store, const char *sql, int *rc, struct err *err)
{
    struct query query = query_on(store, sql);
    int64_t n = 0;
    if (*rc == 0 && (*rc = query_step(&query, "merge", err)) > 0) {
        n = sqlite3_column_int64(query.stmt, 0);
        *rc = 0;
    }
    query_end(&query);
    return n;
}

static int merge_attached(struct store *store, struct merge_counts *out, struct err *err)
{
    int rc = 0;
    int64_t cells = count(store, "SELECT count(*) FROM main.cell", &rc, err);
    int64_t answers = count(store, "SELECT count(*) FROM main.answer", &rc, err);
    for (int i = 0; i < TABLES && rc == 0; i++) {
        if (!strcmp(tables[i].name, "answer") && (rc = store_execute(store, drop_failed_sql, "merge", err)) == 0)
            out->replaced = sqlite3_changes64(store->db);
        if (rc == 0)
            rc = copy_rows(store, &tables[i], err);
        if (rc == 0 && tables[i].unique[0])
            rc = map_rows(store, &tables[i], err);
    }
    if (rc == 0)
        rc = store_execute(store, end_runs_sql, "merge", err);
    out->cells = count(store, "SELECT count(*) FROM main.cell", &rc, err) - cells;
    out->answers = count(store, "SELECT count(*) FROM main.answer", &rc, err) - answers + out->replaced;
    out->differing = count(store, "SELECT count(*) FROM other.answer o JOIN temp.merged_answer a ON a.theirs = o.id "
                                  "JOIN main.answer m ON m.id = a.ours WHERE NOT o.failed AND NOT m.failed AND m.raw IS NOT o.raw",
                           &rc, err);
    return rc;
}

/* Attaches a store that can be read as "other": the file, or the copy that an older one is read through. */
static int attach_other(struct store *store, const char *path, struct err *err)
{
    struct stat ours, theirs;
    struct store *other;
    if (!stat(path, &theirs) && !stat(store->path, &ours) && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
        return err_set(err, ERR_CONFIG, "'%s' is the store that is merged into; name the others", path);
    int rc = store_open(&other, path, STORE_READ, err); /* says what is wrong with it */
    if (rc < 0)
        return rc;
    struct query attach = query_on(store, "ATTACH DATABASE :path AS other");
    query_text(&attach, ":path", other->is_copy ? "" : path);
    rc = query_run(&attach, "merge", err);
    if (rc == 0 && other->is_copy && (rc = store_copy(store, "other", other, err)) < 0)
        store_execute(store, "DETACH DATABASE other", "merge", &(struct err){0});
    store_close(other);
    return rc;
}

int store_merge(struct store *store, const char *path, struct merge_counts *out, struct err *err)
{
    static const char what[] = "merge";
    *out = (struct merge_counts){0};
    int rc = attach_other(store, path, err);
    if (rc < 0)
        return rc;
    if ((rc = store_begin(store, what, err)) == 0) {
        store->summing = true;
        rc = merge_attached(store, out, err);
        if (rc == 0)
            rc = drop_maps(store, err);
        rc = store_commit(store, rc, what, err);
    }
    store_forget_statements(store); /* those above must not outlive the store that they name */
    struct err ignored = {0};
    int detached = store_execute(store, "DETACH DATABASE other", what, rc < 0 ? &ignored : err);
    return rc < 0 ? rc : detached;
}
