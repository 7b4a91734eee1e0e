/* db.c: see db.h. */
#include "db.h"

#include <errno.h>

#define ROOM_BYTES (80u << 20) /* more than twice the largest row (32 MiB); never touched */

static const char *plain_words(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL: return "the disk is full";
    case SQLITE_READONLY: return "the file cannot be written";
    case SQLITE_PERM: return "no permission";
    case SQLITE_CORRUPT: return "the file is damaged";
    case SQLITE_NOTADB: return "the file is damaged";
    case SQLITE_BUSY: return "another program holds the file";
    case SQLITE_LOCKED: return "another program holds the file";
    case SQLITE_CANTOPEN: return "a file cannot be opened";
    case SQLITE_TOOBIG: return "a value is too large for SQLite";
    case SQLITE_IOERR: return "reading or writing failed";
    default: return "SQLite refused";
  }
}

static iu_status describe(int rc, const char *message, int os, const char *what, iu_error *err) {
  if ((rc & 0xff) == SQLITE_NOMEM) return iu__fail_nomem(err);
  if (os != 0) return iu__fail(err, IU_E_STORAGE, "%s: %s (SQLite: %s, code %d; system: %s)", what, plain_words(rc), message, rc, strerror(os));
  return iu__fail(err, IU_E_STORAGE, "%s: %s (SQLite: %s, code %d)", what, plain_words(rc), message, rc);
}

/* SQLite does not always keep the system's error number (not for a failed COMMIT); errno still has it then, or something that has
 * nothing to do with it: only what a disk says is believed. */
static int system_error(sqlite3 *db, int rc, int now) {
  int base = rc & 0xff, kept;

  if (base != SQLITE_IOERR && base != SQLITE_CANTOPEN && base != SQLITE_FULL) return 0;
  kept = sqlite3_system_errno(db);
  if (kept != 0) return kept;
  return now == EIO || now == ENOSPC || now == EFBIG || now == EDQUOT || now == EROFS ? now : 0;
}

iu_status iu__jdb_fail(sqlite3 *db, int rc, const char *what, iu_error *err) {
  int os = system_error(db, rc, errno);
  bool told = db != NULL && (sqlite3_errcode(db) & 0xff) == (rc & 0xff); /* a backup's step tells the database nothing */

  return describe(rc, told ? sqlite3_errmsg(db) : sqlite3_errstr(rc), os, what, err);
}

iu_status iu__jdb_fail_code(int rc, const char *what, iu_error *err) { return describe(rc, sqlite3_errstr(rc), 0, what, err); }

iu_status iu__jdb_exec(sqlite3 *db, const char *sql, const char *what, iu_error *err) {
  int rc;

  errno = 0;
  rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? IU_OK : iu__jdb_fail(db, rc, what, err);
}

iu_status iu__jdb_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, const char *what, iu_error *err) {
  int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

  return rc == SQLITE_OK ? IU_OK : iu__jdb_fail(db, rc, what, err);
}

/* Of some damaged pages SQLite says that there is no memory for them. Where there is, also for the largest row and its copy, it is the file. */
static bool is_damage(int rc, sqlite3_stmt *st) {
  void *room;

  if ((rc & 0xff) != SQLITE_NOMEM || !sqlite3_stmt_readonly(st)) return false;
  room = sqlite3_malloc64(ROOM_BYTES);
  sqlite3_free(room);
  return room != NULL;
}

iu_status iu__jdb_step(sqlite3 *db, sqlite3_stmt *st, bool *row, const char *what, iu_error *err) {
  iu_status status = IU_OK;
  int rc;

  errno = 0;
  rc = sqlite3_step(st);
  *row = rc == SQLITE_ROW;
  if (*row) return IU_OK;
  if (is_damage(rc, st)) status = iu__fail(err, IU_E_STORAGE, "%s: the file is damaged (SQLite has no memory for what it reads, and there is enough)", what);
  else if (rc != SQLITE_DONE) status = iu__jdb_fail(db, rc, what, err);
  sqlite3_reset(st);
  return status;
}

iu_status iu__jdb_run(sqlite3 *db, sqlite3_stmt *st, const char *what, iu_error *err) {
  bool row;
  iu_status status = iu__jdb_step(db, st, &row, what, err);

  if (status == IU_OK && row) sqlite3_reset(st);
  return status;
}

iu_status iu__jdb_int(sqlite3 *db, const char *sql, int64_t none, int64_t *out, const char *what, iu_error *err) {
  sqlite3_stmt *st = NULL;
  bool row = false;
  iu_status status = iu__jdb_prepare(db, sql, &st, what, err);

  if (status == IU_OK) status = iu__jdb_step(db, st, &row, what, err);
  *out = row ? sqlite3_column_int64(st, 0) : none;
  sqlite3_finalize(st);
  return status;
}

void iu__jdb_rollback(sqlite3 *db) {
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

void iu__jdb_quote(iu_buf *out, const char *name) {
  iu__buf_put_u8(out, '"');
  for (; *name != '\0'; name++) {
    if (*name == '"') iu__buf_put_u8(out, '"');
    iu__buf_put_u8(out, (uint8_t)*name);
  }
  iu__buf_put_u8(out, '"');
}
