/* For tests of results/: a look into a store past store.h. */
#ifndef TOKSWEEP_TESTS_SUPPORT_STORE_SQL_H
#define TOKSWEEP_TESTS_SUPPORT_STORE_SQL_H

#include <sqlite3.h>
#include <stdio.h>

/* Runs a statement on a connection of its own. Every row as text, valid until the next call: columns joined by '|', rows by '\n', NULL
 * for NULL. */
static inline const char *sql(const char *path, const char *query)
{
    static char text[16384];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(db));
    size_t used = 0;
    text[0] = 0;
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const unsigned char *value = sqlite3_column_text(stmt, i);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "|" : used ? "\n" : "",
                                     value ? (const char *)value : "NULL");
        }
        assert_true(used < sizeof text);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return text;
}

/* Takes from a store what version 10 brought. */
static inline void make_version_9(const char *path)
{
    static const char *const steps[] = {
        "DROP TRIGGER answer_dropped", "DROP TRIGGER answer_changed",      "DROP TRIGGER cost_changed", "DROP TRIGGER cost_dropped",
        "DROP TRIGGER sample_moved",   "DROP TRIGGER tag_added",           "DROP VIEW cell_history",    "DROP VIEW cell_accuracy",
        "DROP VIEW task_accuracy",     "DROP VIEW group_accuracy",         "DROP TABLE stale_cell",     "DROP TABLE answer_count",
        "DROP TABLE reply_sum",        "DROP TABLE group_sum",             "DROP TABLE type_pair",      "DROP TABLE summed",
        "DROP INDEX answer_without_letter", "ALTER TABLE benchmark DROP COLUMN videos_digest", "PRAGMA user_version = 9",
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        sql(path, steps[i]);
}

#endif
