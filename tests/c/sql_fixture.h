/* sql_fixture.h: SQL of a test's own over a universe file that is closed: what is in it, and damage to it. */
#ifndef SQL_FIXTURE_H
#define SQL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

/* One value of a query on the file, as text; the connection is SQLite's own. */
static inline const char *sql_text(const char *path, const char *sql, char *out, size_t size) {
  sqlite3 *db = NULL;
  sqlite3_stmt *st = NULL;

  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  if (sqlite3_step(st) == SQLITE_ROW) {
    const unsigned char *text = sqlite3_column_text(st, 0);
    snprintf(out, size, "%s", text != NULL ? (const char *)text : "(null)");
  } else {
    snprintf(out, size, "(no row)");
  }
  sqlite3_finalize(st);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  return out;
}
static inline void assert_sql(const char *path, const char *sql, const char *expected) {
  char out[512];
  if (strcmp(sql_text(path, sql, out, sizeof out), expected) != 0) fail_msg("%s gives `%s`, not `%s`", sql, out, expected);
}
static inline void sql_exec(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#endif
