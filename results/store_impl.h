/* What the files of results/ share: the open store and one way to run a statement. SQLite stays behind store.h. */
#ifndef TOKSWEEP_RESULTS_STORE_IMPL_H
#define TOKSWEEP_RESULTS_STORE_IMPL_H

#include "results/store.h"

#include <sqlite3.h>

enum { STORE_STATEMENTS = 96 };

struct store {
    sqlite3 *db;
    char *path;
    struct kept {
        const char *sql;
        sqlite3_stmt *stmt;
        const char **names; /* by which its parameters were bound last, the first at 1; NULL behind the last */
    } kept[STORE_STATEMENTS]; /* prepared once, found by the address of their text */
    int n_kept;
    int depth;    /* of transactions begun within each other; the outermost is SQLite's */
    bool is_copy; /* of an older file, brought to this version; not what is at `path` */
    bool summing; /* the transaction has changed what sums are made of */
    char *add_replies[2]; /* statements of sums.c that are made of its table */
};

extern const char store_schema_sql[], store_schema_2_sql[], store_schema_3_sql[], store_schema_4_sql[], store_schema_6_sql[],
                  store_schema_8_sql[], store_schema_9_sql[], store_schema_10_sql[], store_views_sql[]; /* the .sql files, made by embed.cmake */

/* Sets err from SQLite's last failure: "cannot <what> in store '<path>': <SQLite's words>[; the way out]". */
int store_fail(struct store *store, int sqlite_code, const char *what, struct err *err);

/* One execution of a statement. Members are bound by name, a literal; the first thing that fails is kept and reported by query_step, so that
 * callers bind without looking. `sql` must be a constant with static storage: it is the key under which the statement is kept. */
struct query {
    struct store *store;
    sqlite3_stmt *stmt;
    const char **names; /* of struct kept */
    int failed; /* an SQLite code, SQLITE_OK while nothing failed */
    int bound;  /* position of the parameter that was bound last */
};

struct query query_on(struct store *store, const char *sql);
void query_text(struct query *query, const char *name, const char *value);      /* NULL is NULL; borrowed until query_end */
void query_integer(struct query *query, const char *name, int64_t value);
void query_integer_or_null(struct query *query, const char *name, int64_t value, bool is_null);
void query_real(struct query *query, const char *name, double value);           /* NaN is NULL */

/* 1: a row is there; 0: no more rows; negative: failed, err says "cannot <what> ...". After 0 or an error the query is at its end. */
int query_step(struct query *query, const char *what, struct err *err);
void query_end(struct query *query);                                            /* gives the statement back early; always safe */
int query_run(struct query *query, const char *what, struct err *err);          /* for statements without rows */

const char *store_column_text(sqlite3_stmt *stmt, int column); /* of the row that is there; "" for NULL */

void store_forget_statements(struct store *store); /* that are kept prepared */

/* Puts the whole of `from` in the place of what schema "main", or an attached one, of `to` holds. */
int store_copy(struct store *to, const char *schema, struct store *from, struct err *err);

/* Runs statements without rows; ERR_DATA, ERR_IO as store_fail has it. */
int store_execute(struct store *store, const char *sql, const char *what, struct err *err);

/* Transactions of the writer. store_commit ends the one begun: with `rc` 0 it commits, else it rolls back and passes `rc` on. Within
 * another one (store_begin_batch) both leave that to the outermost, whose caller must pass on the failure of any within. */
int store_begin(struct store *store, const char *what, struct err *err);
int store_commit(struct store *store, int rc, const char *what, struct err *err);

/* Adds to the sums what they lack, within a transaction: store_commit does so when `summing` is set. */
int sums_update(struct store *store, struct err *err);

/* Whether they lack nothing. They do in a store to which something else than this program has written. */
int sums_are_current(struct store *store, bool *current, struct err *err);

#endif
