/* db.h: SQLite through iu_error: running, preparing and stepping statements, and saying what went wrong in words.
 *
 * A connection is used by one thread at a time: the owner until the journal's thread starts, that thread afterwards, the owner again after it
 * ended. Any failure but no-memory is IU_E_STORAGE; the message says what was being done, the cause in plain words, and SQLite's own.
 */
#ifndef IU_JOURNAL_DB_H
#define IU_JOURNAL_DB_H

#include <sqlite3.h>

#include "../base/buffer.h"

/* Explains `rc` of the connection's last call; `what` as in "saving". */
iu_status iu__jdb_fail(sqlite3 *db, int rc, const char *what, iu_error *err);
/* For failures that did not come from SQLite's last call (injected faults). */
iu_status iu__jdb_fail_code(int rc, const char *what, iu_error *err);
iu_status iu__jdb_exec(sqlite3 *db, const char *sql, const char *what, iu_error *err);
iu_status iu__jdb_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, const char *what, iu_error *err);
/* Steps a statement that gives no row, and resets it. */
iu_status iu__jdb_run(sqlite3 *db, sqlite3_stmt *st, const char *what, iu_error *err);
/* The next row: *row false at the end (the statement is reset then, and after a failure). Damage that SQLite takes for a want of memory is IU_E_STORAGE. */
iu_status iu__jdb_step(sqlite3 *db, sqlite3_stmt *st, bool *row, const char *what, iu_error *err);
/* First column of the first row as an integer; `none` when there is no row. */
iu_status iu__jdb_int(sqlite3 *db, const char *sql, int64_t none, int64_t *out, const char *what, iu_error *err);
void iu__jdb_rollback(sqlite3 *db);   /* when a transaction is open */
/* A name between double quotes, those inside doubled. */
void iu__jdb_quote(iu_buf *out, const char *name);

#endif
