/* Store, the file: opening, versions, transactions, and the one way all statements are run and all failures are worded.
 *
 * The journal is a WAL with synchronous=FULL: a commit costs about 0.1 ms and survives loss of power, and an answer takes seconds.
 * When a disk fills, the statement that failed is rolled back and everything committed before stays, here or in the -wal file. */
#include "results/store_impl.h"

#include "core/log.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

enum {
    APPLICATION_ID = 0x746b7377, /* "tksw", in the file's header */
    BUSY_MS = 30000,             /* patience with another process that writes */
    WAL_ATTEMPTS = 200,          /* of 10 ms: SQLite does not wait by itself when two processes switch to WAL */
};

/* migrations[v] takes a store from version v to v + 1; the views are made anew after the last, and with "" nothing else changes. */
static const char *const migrations[] = {store_schema_sql, store_schema_2_sql, store_schema_3_sql, store_schema_4_sql, "",
                                         store_schema_6_sql, "", store_schema_8_sql, store_schema_9_sql, store_schema_10_sql};
enum { VERSION = COUNT(migrations) };

/* ---- failures -------------------------------------------------------------------------------------------------------------- */

static const char *way_out(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
        return "; every answer committed before is kept: make room, or correct the disk, and run again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another process keeps it locked: wait for that one, or give this run a store of its own and merge them later";
    case SQLITE_READONLY:
        return "; make the file and its folder writable, or name another store";
    case SQLITE_CORRUPT:
        return "; the file is damaged: save what is left with the sqlite3 program's .recover, or restore a copy";
    default:
        return "";
    }
}

static int err_code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_NOMEM:
        return ERR_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_CONSTRAINT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or a view is not as it should be */
        return ERR_DATA;
    default:
        return ERR_IO;
    }
}

int store_fail(struct store *store, int sqlite_code, const char *what, struct err *err)
{
    int base = sqlite_code & 0xff;
    if (base == SQLITE_NOTADB)
        return err_set(err, ERR_DATA, "'%s' is not a store: it is no SQLite file; name another file, or move this one away", store->path);
    const char *words = store->db && (sqlite3_errcode(store->db) & 0xff) == base ? sqlite3_errmsg(store->db) : sqlite3_errstr(sqlite_code);
    char which[48] = ""; /* of the system's refusals: "disk I/O error" is many things */
    if (base == SQLITE_IOERR || base == SQLITE_CANTOPEN)
        snprintf(which, sizeof which, " (SQLite result code %d)", sqlite_code);
    return err_set(err, err_code_of(sqlite_code), "cannot %s in store '%s': %s%s%s", what, store->path, words, which, way_out(sqlite_code));
}

/* ---- statements ------------------------------------------------------------------------------------------------------------ */

static int prepare(struct store *store, struct kept *kept, const char *sql)
{
    *kept = (struct kept){.sql = sql};
    int code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept->stmt, NULL);
    if (code != SQLITE_OK)
        return code;
    int n = sqlite3_bind_parameter_count(kept->stmt);
    kept->names = calloc((size_t)n + 2, sizeof *kept->names);
    if (!kept->names)
        sqlite3_finalize(kept->stmt);
    return kept->names ? SQLITE_OK : SQLITE_NOMEM;
}

struct query query_on(struct store *store, const char *sql)
{
    int i = 0;
    while (i < store->n_kept && store->kept[i].sql != sql)
        i++;
    if (i == store->n_kept) {
        assert(i < STORE_STATEMENTS);
        int code = prepare(store, &store->kept[i], sql);
        if (code != SQLITE_OK)
            return (struct query){.store = store, .failed = code};
        store->n_kept++;
    }
    return (struct query){.store = store, .stmt = store->kept[i].stmt, .names = store->kept[i].names};
}

void store_forget_statements(struct store *store)
{
    for (int i = 0; i < store->n_kept; i++) {
        sqlite3_finalize(store->kept[i].stmt);
        free(store->kept[i].names);
    }
    store->n_kept = 0;
}

/* Position of a named parameter, 0 when the query has failed before. Most are bound in the order in which the statement has them, and by the
 * same line of code as last time. */
static int parameter(struct query *query, const char *name)
{
    if (query->failed != SQLITE_OK)
        return 0;
    if (query->names[query->bound + 1] == name)
        return ++query->bound;
    query->bound = sqlite3_bind_parameter_index(query->stmt, name);
    assert(query->bound > 0);
    query->names[query->bound] = name;
    return query->bound;
}

void query_text(struct query *query, const char *name, const char *value)
{
    int position = parameter(query, name);
    if (position)
        query->failed = sqlite3_bind_text64(query->stmt, position, value, value ? strlen(value) : 0, SQLITE_STATIC, SQLITE_UTF8);
}

void query_integer_or_null(struct query *query, const char *name, int64_t value, bool is_null)
{
    int position = parameter(query, name);
    if (position)
        query->failed = is_null ? sqlite3_bind_null(query->stmt, position) : sqlite3_bind_int64(query->stmt, position, value);
}

void query_integer(struct query *query, const char *name, int64_t value)
{
    query_integer_or_null(query, name, value, false);
}

void query_real(struct query *query, const char *name, double value)
{
    int position = parameter(query, name);
    if (position)
        query->failed = isnan(value) ? sqlite3_bind_null(query->stmt, position) : sqlite3_bind_double(query->stmt, position, value);
}

void query_end(struct query *query)
{
    if (query->stmt) {
        sqlite3_reset(query->stmt);
        sqlite3_clear_bindings(query->stmt);
    }
}

int query_step(struct query *query, const char *what, struct err *err)
{
    int code = query->failed != SQLITE_OK ? query->failed : sqlite3_step(query->stmt);
    if (code == SQLITE_ROW)
        return 1;
    int rc = code == SQLITE_DONE ? 0 : store_fail(query->store, code, what, err);
    query_end(query);
    return rc;
}

int query_run(struct query *query, const char *what, struct err *err)
{
    int rc = query_step(query, what, err);
    assert(rc <= 0);
    return rc;
}

const char *store_column_text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    return text ? (const char *)text : "";
}

/* ---- transactions ---------------------------------------------------------------------------------------------------------- */

int store_begin(struct store *store, const char *what, struct err *err)
{
    struct query query = query_on(store, "BEGIN IMMEDIATE");
    int rc = store->depth ? 0 : query_run(&query, what, err);
    store->depth += rc == 0;
    return rc;
}

int store_commit(struct store *store, int rc, const char *what, struct err *err)
{
    if (--store->depth)
        return rc;
    if (rc == 0 && store->summing)
        rc = sums_update(store, err);
    store->summing = false;
    if (rc == 0) {
        struct query query = query_on(store, "COMMIT");
        rc = query_run(&query, what, err);
    }
    if (rc != 0 && !sqlite3_get_autocommit(store->db)) /* some failures have rolled back already */
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int store_begin_batch(struct store *store, struct err *err)
{
    return store_begin(store, "begin to write", err);
}

int store_end_batch(struct store *store, int rc, struct err *err)
{
    return store_commit(store, rc, "write", err);
}

/* ---- opening --------------------------------------------------------------------------------------------------------------- */

int store_execute(struct store *store, const char *sql, const char *what, struct err *err)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : store_fail(store, code, what, err);
}

/* Whose file it is and in which version; version 0 is a file with nothing in it yet. One statement, so one state of the file: another
 * process may be creating it. */
static int read_version(struct store *store, int64_t *version, struct err *err)
{
    struct query query = query_on(store,
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
        "(SELECT count(*) FROM sqlite_schema)");
    int rc = query_step(&query, "read the version", err);
    if (rc < 0)
        return rc;
    int64_t application = sqlite3_column_int64(query.stmt, 0), tables = sqlite3_column_int64(query.stmt, 2);
    *version = sqlite3_column_int64(query.stmt, 1);
    query_end(&query);
    if (application == 0 && *version == 0 && tables == 0)
        return 0;
    if (application != APPLICATION_ID)
        return err_set(err, ERR_DATA,
                       "'%s' is an SQLite file of another program (application id %lld), not a store of toksweep; name another file",
                       store->path, (long long)application);
    if (*version > VERSION)
        return err_set(err, ERR_DATA,
                       "store '%s' has version %lld, this program knows versions up to %d; use a newer toksweep, or another store",
                       store->path, (long long)*version, (int)VERSION);
    if (*version < 1)
        return err_set(err, ERR_DATA, "store '%s' has version %lld, which no toksweep has written; restore a copy, or name another file",
                       store->path, (long long)*version);
    return 0;
}

/* Brings the store to VERSION, all or nothing. Another process may have done so while we waited for the lock. */
static int migrate(struct store *store, struct err *err)
{
    int64_t version = 0;
    int rc = store_begin(store, "create tables", err);
    if (rc < 0)
        return rc;
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL); /* version 10 says a constraint in other words */
    if ((rc = read_version(store, &version, err)) == 0 && version < VERSION) {
        for (int64_t v = version; v < VERSION && rc == 0; v++)
            rc = store_execute(store, migrations[v], "create tables", err);
        char header[96];
        snprintf(header, sizeof header, "PRAGMA application_id = %d; PRAGMA user_version = %d", (int)APPLICATION_ID, (int)VERSION);
        if (rc == 0 && (rc = store_execute(store, store_views_sql, "create views", err)) == 0)
            rc = store_execute(store, header, "write the version", err);
    }
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    store->summing = true;
    return store_commit(store, rc, "create tables", err);
}

/* What other programs have written is summed up too. */
static int catch_up(struct store *store, struct err *err)
{
    bool current = false;
    int rc = sums_are_current(store, &current, err);
    if (rc < 0 || current)
        return rc;
    if ((rc = store_begin(store, "write sums", err)) < 0)
        return rc;
    store->summing = true;
    return store_commit(store, 0, "write sums", err);
}

static int switch_to_wal(struct store *store, struct err *err)
{
    int code = SQLITE_BUSY;
    for (int i = 0; i < WAL_ATTEMPTS && (code & 0xff) == SQLITE_BUSY; i++) {
        if (i > 0)
            nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
        code = sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    if (code != SQLITE_OK)
        return store_fail(store, code, "switch on the write-ahead log", err);
    struct query query = query_on(store, "PRAGMA journal_mode");
    int rc = query_step(&query, "read the journal mode", err);
    if (rc > 0 && strcmp(store_column_text(query.stmt, 0), "wal") != 0)
        rc = err_set(err, ERR_IO, "cannot keep a write-ahead log beside '%s': its file system lacks shared memory; put the store on a "
                                  "local "
                     "disk", store->path);
    query_end(&query);
    return rc < 0 ? rc : 0;
}

/* Settings of a connection. Nothing is registered on it that a view in a stranger's file could misuse. */
static int configure(struct store *store, struct err *err)
{
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, "SELECT sqrt(2.0), json_type('{}')", -1, &stmt, NULL);
    sqlite3_finalize(stmt);
    if (code == SQLITE_ERROR)
        return err_set(err, ERR_CONFIG, "SQLite %s lacks what the views need (%s); use Debian's libsqlite3-0, or one built with "
                       "SQLITE_ENABLE_MATH_FUNCTIONS and JSON", sqlite3_libversion(), sqlite3_errmsg(store->db));
    return store_execute(store, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL", "set up", err);
}

int store_copy(struct store *to, const char *schema, struct store *from, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to->db, schema, from->db, "main");
    int code = backup ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(to->db);
    sqlite3_backup_finish(backup);
    return code == SQLITE_DONE ? 0 : store_fail(from, code, "copy", err);
}

/* Goes on with a private copy of the store, which ends with this connection: in memory, and in a temporary file when it is large. */
static int continue_with_copy(struct store *store, struct err *err)
{
    struct store copy = {.path = store->path, .is_copy = true};
    if (sqlite3_open_v2("", &copy.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        sqlite3_close(copy.db);
        return err_no_memory(err, "a copy of a store");
    }
    int rc = store_copy(&copy, "main", store, err);
    store_forget_statements(store);
    sqlite3_close(store->db);
    *store = copy;
    return rc < 0 ? rc : configure(store, err);
}

static int prepare_for_reading(struct store *store, struct err *err)
{
    int64_t version = 0;
    int rc = read_version(store, &version, err);
    if (rc < 0)
        return rc;
    if (version == 0)
        return err_set(err, ERR_DATA, "store '%s' is empty; fill it with 'toksweep run SWEEP.yaml --store %s'", store->path, store->path);
    bool current = false;
    if (version == VERSION && ((rc = sums_are_current(store, &current, err)) < 0 || current))
        return rc;
    if (version == VERSION)
        log_say(LOG_NOTE, "store '%s' was changed by another program and stays as it is: a copy with sums made anew is read; any 'toksweep run' "
                "into the store makes them there", store->path);
    else
        log_say(LOG_NOTE, "store '%s' has version %lld and stays as it is: a copy brought to version %d is read; any 'toksweep run' into the "
                "store brings it there", store->path, (long long)version, (int)VERSION);
    if ((rc = continue_with_copy(store, err)) == 0 && (rc = migrate(store, err)) == 0)
        rc = store_execute(store, "PRAGMA query_only = ON", "set up", err);
    return rc;
}

static int prepare_for_writing(struct store *store, struct err *err)
{
    int64_t version = 0;
    int rc = read_version(store, &version, err); /* before anything is written: the file may be someone else's */
    if (rc == 0)
        rc = switch_to_wal(store, err);
    if (rc == 0 && version < VERSION)
        rc = migrate(store, err);
    return rc == 0 ? catch_up(store, err) : rc;
}

/* "file:<path>?immutable=1": reads without the -wal and -shm files that even readers otherwise keep. NULL when memory is out. */
static char *immutable_uri(const char *path)
{
    sqlite3_str *uri = sqlite3_str_new(NULL);
    sqlite3_str_appendall(uri, "file:");
    for (; *path; path++)
        sqlite3_str_appendf(uri, strchr("%?#", *path) ? "%%%02X" : "%c", *path);
    sqlite3_str_appendall(uri, "?immutable=1");
    return sqlite3_str_finish(uri);
}

/* A store in a folder where nothing can be made and where no log waits: an archive, which only reads as immutable. */
static bool is_archived(const char *path)
{
    char log[4096], folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(log, sizeof log, "%s-wal", path);
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return access(folder, W_OK) != 0 && access(log, F_OK) != 0;
}

static int open_file(struct store *store, enum store_mode mode, struct err *err)
{
    bool immutable = mode == STORE_READ && is_archived(store->path);
    int flags = mode == STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    char *uri = immutable ? immutable_uri(store->path) : NULL;
    if (immutable && !uri)
        return err_no_memory(err, "opening a store");
    int code = sqlite3_open_v2(immutable ? uri : store->path, &store->db, flags | SQLITE_OPEN_NOMUTEX | (immutable ? SQLITE_OPEN_URI : 0),
                               NULL);
    sqlite3_free(uri);
    if (code == SQLITE_NOMEM || !store->db)
        return err_no_memory(err, "opening a store");
    if (code != SQLITE_OK) {
        int saved = sqlite3_system_errno(store->db);
        return err_set(err, ERR_IO, "cannot open store '%s': %s%s", store->path, saved ? strerror(saved) : sqlite3_errmsg(store->db),
                       saved != ENOENT      ? ""
                       : mode == STORE_READ ? "; name a store that 'toksweep run' has written"
                                            : "; make its folder, or name another");
    }
    if (mode == STORE_WRITE && sqlite3_db_readonly(store->db, "main") == 1) /* SQLite falls back to reading */
        return err_set(err, ERR_IO, "cannot write store '%s': its permissions allow only reading; make it writable, or name another store",
                       store->path);
    return 0;
}

int store_open(struct store **out, const char *path, enum store_mode mode, struct err *err)
{
    *out = NULL;
    struct store *store = calloc(1, sizeof *store);
    if (!store || !(store->path = strdup(path))) {
        store_close(store);
        return err_no_memory(err, "opening a store");
    }
    int rc = open_file(store, mode, err);
    if (rc == 0)
        rc = configure(store, err);
    if (rc == 0)
        rc = mode == STORE_WRITE ? prepare_for_writing(store, err) : prepare_for_reading(store, err);
    if (rc < 0) {
        store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store_forget_statements(store);
    sqlite3_close(store->db);
    sqlite3_free(store->add_replies[0]);
    sqlite3_free(store->add_replies[1]);
    free(store->path);
    free(store);
}
