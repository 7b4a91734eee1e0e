/* report.c: see report.h. */
#include "report.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "db.h"
#include "file.h"
#include "journal.h"
#include "snapshot.h"

#define BUSY_MS 5000
#define BUSY_STEP_MS 5
#define LOOK_EVERY 1000 /* instructions of SQLite's machine, some 50 us, between looks at the clock and for a cancel */
#define NAME_MAX_BYTES 256

struct iu_report {
  sqlite3 *db; bool borrowed;
  sqlite3_stmt *st;
  uint64_t deadline;    /* 0: none */
  atomic_bool cancelled;
};

/* Pragmas that only tell. */
static bool tells_only(const char *pragma) {
  static const char *const names[] = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "user_version",
                                      "application_id", "integrity_check", "quick_check", "page_count", "page_size", "freelist_count",
                                      "data_version" /* full text search asks for it */};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (sqlite3_stricmp(pragma, names[i]) == 0) return true;
  }
  return false;
}

/* Reading and nothing else: no writes, no attaching, no extensions, no pragmas that change (those that take a value set something, but for the
 * ones whose argument is a table's or an index's name or a number of errors). */
static int authorize(void *ud, int action, const char *a, const char *b, const char *c, const char *d) {
  (void)ud; (void)c; (void)d;
  switch (action) {
    case SQLITE_SELECT: case SQLITE_READ: case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION: return b != NULL && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    /* What declaring a virtual table asks for, full text search's; a statement that would do it is refused all the same. */
    case SQLITE_UPDATE: return a != NULL && strcmp(a, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA:
      if (!tells_only(a)) return SQLITE_DENY;
      return b != NULL && (sqlite3_stricmp(a, "user_version") == 0 || sqlite3_stricmp(a, "application_id") == 0 || sqlite3_stricmp(a, "page_size") == 0)
                 ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_DENY;
  }
}

static iu_status check_ours(iu_report *r, const char *path, iu_error *err) {
  int64_t id = 0, format = 0;
  iu_status status = iu__jdb_int(r->db, "PRAGMA application_id", 0, &id, "reading", err);
  if (status == IU_OK) status = iu__jdb_int(r->db, "PRAGMA user_version", 0, &format, "reading", err);
  if (status != IU_OK) {
    iu__error_prefix(err, "%s", path);
    return status;
  }
  if (id != IU_JOURNAL_APPLICATION_ID) return iu__fail(err, IU_E_STORAGE, "%s is not a universe file", path);
  return format > IU_JOURNAL_FORMAT ? iu__jfile_newer(format, path, err) : IU_OK;
}

/* ---- ending early ---- */

void iu__report_cancel(iu_report *r) { atomic_store(&r->cancelled, true); }
void iu__report_deadline(iu_report *r, uint64_t mono_ns) { r->deadline = mono_ns; }

static bool over(iu_report *r) { return atomic_load(&r->cancelled) || (r->deadline != 0 && iu__clock_mono_ns() >= r->deadline); }

/* A handler and not sqlite3_interrupt, which does nothing to a statement that is just about to begin. */
static int on_progress(void *ud) { return over(ud); }

static int on_busy(void *ud, int tries) {
  struct timespec pause = {0, BUSY_STEP_MS * 1000000L};
  if (over(ud) || tries >= BUSY_MS / BUSY_STEP_MS) return 0;
  nanosleep(&pause, NULL);
  return 1;
}

static iu_status ended_early(const iu_report *r, iu_error *err) {
  if (atomic_load(&r->cancelled)) return iu__fail(err, IU_E_CLOSED, "sql: the query was cancelled");
  return iu__fail(err, IU_E_TIMEOUT, "sql: the query was not done in its time");
}

/* ---- opening ---- */

iu_status iu__report_open(const char *path, iu_report **out, iu_error *err) {
  iu_report *r = iu__alloc_zero(1, sizeof *r);
  iu_status status;
  *out = NULL;
  if (r == NULL) return iu__fail_nomem(err);
  status = iu__jsnapshot_open(path, &r->db, err);
  if (status == IU_OK) {
    sqlite3_busy_handler(r->db, on_busy, r);
    sqlite3_progress_handler(r->db, LOOK_EVERY, on_progress, r);
    sqlite3_limit(r->db, SQLITE_LIMIT_LENGTH, (int)IU_REPORT_VALUE_MAX);
    sqlite3_limit(r->db, SQLITE_LIMIT_ATTACHED, 0);
    status = check_ours(r, path, err);
  }
  if (status == IU_OK) sqlite3_set_authorizer(r->db, authorize, NULL);
  if (status != IU_OK) {
    iu__report_close(r);
    return status;
  }
  *out = r;
  return IU_OK;
}

iu_status iu__report_over(sqlite3 *db, iu_report **out, iu_error *err) {
  iu_report *r = iu__alloc_zero(1, sizeof *r);
  *out = r;
  if (r == NULL) return iu__fail_nomem(err);
  r->db = db;
  r->borrowed = true;
  sqlite3_progress_handler(db, LOOK_EVERY, on_progress, r);
  sqlite3_set_authorizer(db, authorize, NULL);
  return IU_OK;
}

void iu__report_close(iu_report *r) {
  if (r == NULL) return;
  if (r->borrowed) { /* its owner may have closed it: then it is there until the statement ends */
    sqlite3_set_authorizer(r->db, NULL, NULL);
    sqlite3_progress_handler(r->db, 0, NULL, NULL);
  }
  sqlite3_finalize(r->st);
  if (!r->borrowed) sqlite3_close(r->db);
  iu__free(r);
}

/* White space, semicolons and comments. */
static bool nothing_more(const char *s, const char *end) {
  while (s < end) {
    if (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r' || *s == '\f' || *s == ';') {
      s++;
    } else if (end - s >= 2 && s[0] == '-' && s[1] == '-') {
      while (s < end && *s != '\n') s++;
    } else if (end - s >= 2 && s[0] == '/' && s[1] == '*') {
      for (s += 2; s < end && !(end - s >= 2 && s[0] == '*' && s[1] == '/'); s++) {}
      s = end - s >= 2 ? s + 2 : end;
    } else {
      return false;
    }
  }
  return true;
}

iu_status iu__report_prepare(iu_report *r, const char *sql, size_t len, iu_error *err) {
  const char *tail = NULL;
  int rc;
  sqlite3_finalize(r->st);
  r->st = NULL;
  if (len > IU_REPORT_SQL_MAX) return iu__fail(err, IU_E_VALIDATION, "sql: %zu bytes, the limit is %u", len, IU_REPORT_SQL_MAX);
  rc = sqlite3_prepare_v2(r->db, sql, (int)len, &r->st, &tail);
  if (rc == SQLITE_AUTH || rc == SQLITE_SCHEMA) return iu__fail(err, IU_E_VALIDATION, "sql: only reading is allowed (%s)", sqlite3_errmsg(r->db));
  if (rc == SQLITE_ERROR) {
    int at = sqlite3_error_offset(r->db);
    return iu__fail_at(err, IU_E_VALIDATION, at < 0 ? IU_NO_OFFSET : (size_t)at, "sql: %s", sqlite3_errmsg(r->db));
  }
  if ((rc & 0xff) == SQLITE_INTERRUPT) return ended_early(r, err);
  if (rc != SQLITE_OK) return iu__jdb_fail(r->db, rc, "reading", err);
  if (r->st == NULL) return iu__fail(err, IU_E_VALIDATION, "sql: expected a query");
  if (!nothing_more(tail, sql + len)) return iu__fail(err, IU_E_VALIDATION, "sql: expected one statement");
  if (!sqlite3_stmt_readonly(r->st)) return iu__fail(err, IU_E_VALIDATION, "sql: only reading is allowed");
  return IU_OK;
}

iu_status iu__report_bind(iu_report *r, int position, const iu_report_value *v, iu_error *err) {
  int rc = SQLITE_OK;
  if (position > sqlite3_bind_parameter_count(r->st)) {
    return iu__fail(err, IU_E_VALIDATION, "sql: %d parameters given, the statement has %d", position, sqlite3_bind_parameter_count(r->st));
  }
  switch (v->kind) {
    case IU_REPORT_NULL: rc = sqlite3_bind_null(r->st, position); break;
    case IU_REPORT_INT: rc = sqlite3_bind_int64(r->st, position, v->i); break;
    case IU_REPORT_REAL: rc = sqlite3_bind_double(r->st, position, v->d); break;
    case IU_REPORT_TEXT: rc = sqlite3_bind_text64(r->st, position, v->p, v->len, SQLITE_TRANSIENT, SQLITE_UTF8); break;
    case IU_REPORT_BLOB: rc = sqlite3_bind_blob64(r->st, position, v->p, v->len, SQLITE_TRANSIENT); break;
  }
  return rc == SQLITE_OK ? IU_OK : iu__jdb_fail(r->db, rc, "binding a parameter", err);
}

iu_status iu__report_position(iu_report *r, const char *name, int *position, iu_error *err) {
  static const char signs[] = ":@$";
  char text[NAME_MAX_BYTES + 2], shown[4 * NAME_MAX_BYTES + 4];
  *position = 0;
  if (strlen(name) <= NAME_MAX_BYTES) {
    if (*name != '\0' && strchr(signs, *name) != NULL) *position = sqlite3_bind_parameter_index(r->st, name);
    for (int i = 0; *position == 0 && signs[i] != '\0'; i++) {
      snprintf(text, sizeof text, "%c%s", signs[i], name);
      *position = sqlite3_bind_parameter_index(r->st, text);
    }
  }
  if (*position != 0) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "params: the statement has no parameter `%s`", iu__printable(shown, NAME_MAX_BYTES, name, strlen(name)));
}

int iu__report_parameters(const iu_report *r) { return sqlite3_bind_parameter_count(r->st); }
const char *iu__report_parameter_name(const iu_report *r, int position) { return sqlite3_bind_parameter_name(r->st, position); }

int iu__report_columns(const iu_report *r) { return sqlite3_column_count(r->st); }
const char *iu__report_column_name(iu_report *r, int column) {
  const char *name = sqlite3_column_name(r->st, column);
  return name != NULL ? name : "";
}

iu_status iu__report_step(iu_report *r, bool *row, iu_error *err) {
  int rc = sqlite3_step(r->st);
  *row = rc == SQLITE_ROW;
  if (rc == SQLITE_ROW || rc == SQLITE_DONE) return IU_OK;
  if ((rc & 0xff) == SQLITE_INTERRUPT || ((rc & 0xff) == SQLITE_BUSY && over(r))) return ended_early(r, err);
  if ((rc & 0xff) == SQLITE_ERROR || (rc & 0xff) == SQLITE_MISMATCH) return iu__fail(err, IU_E_VALIDATION, "sql: %s", sqlite3_errmsg(r->db));
  if ((rc & 0xff) == SQLITE_TOOBIG) return iu__fail(err, IU_E_VALIDATION, "sql: a value of more than %u bytes", IU_REPORT_VALUE_MAX);
  return iu__jdb_fail(r->db, rc, "reading", err);
}

void iu__report_value_at(iu_report *r, int column, iu_report_value *out) {
  memset(out, 0, sizeof *out);
  switch (sqlite3_column_type(r->st, column)) {
    case SQLITE_INTEGER:
      out->kind = IU_REPORT_INT;
      out->i = sqlite3_column_int64(r->st, column);
      break;
    case SQLITE_FLOAT:
      out->kind = IU_REPORT_REAL;
      out->d = sqlite3_column_double(r->st, column);
      break;
    case SQLITE_TEXT:
      out->kind = IU_REPORT_TEXT;
      out->p = sqlite3_column_text(r->st, column); /* NULL: no memory */
      out->len = out->p != NULL ? (size_t)sqlite3_column_bytes(r->st, column) : 0;
      break;
    case SQLITE_BLOB:
      out->kind = IU_REPORT_BLOB;
      out->p = sqlite3_column_blob(r->st, column);
      out->len = out->p != NULL ? (size_t)sqlite3_column_bytes(r->st, column) : 0;
      break;
    default: out->kind = IU_REPORT_NULL;
  }
}
