/* extend.c: something of SQLite's own beside the tables (text_index.h): made on the journal's thread, in one transaction. Its names begin with `_iu_text`:
 * nothing else may be touched. */
#include <strings.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "state.h"
#include "text_index.h"

static const char extending[] = "extending the file";

static bool is_own(const char *name) {
  return name == NULL || strncasecmp(name, "_iu_text", 8) == 0 || strncasecmp(name, "sqlite_autoindex__iu_text", 25) == 0 ||
         strcasecmp(name, "sqlite_master") == 0 || strcasecmp(name, "sqlite_schema") == 0;
}

static int authorize(void *ud, int action, const char *a, const char *b, const char *c, const char *d) {
  (void)ud, (void)b, (void)c, (void)d;
  switch (action) {
    case SQLITE_INSERT: case SQLITE_UPDATE: case SQLITE_DELETE: case SQLITE_CREATE_TABLE: case SQLITE_CREATE_INDEX: case SQLITE_CREATE_VTABLE:
    case SQLITE_CREATE_TRIGGER: return is_own(a) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_SELECT: case SQLITE_READ: case SQLITE_FUNCTION: case SQLITE_RECURSIVE: case SQLITE_PRAGMA: case SQLITE_SAVEPOINT: return SQLITE_OK;
    default: return SQLITE_DENY;
  }
}

/* *final: the transaction could not be ended, or the file not be written: the journal has failed. */
static iu_status run(iu_sqlite_journal *j, const char *sql, bool *final, iu_error *err) {
  iu_status status = iu__jwriter_begin(&j->writer, err);

  *final = status == IU_E_STORAGE;
  if (status != IU_OK) return status;
  sqlite3_set_authorizer(j->db, authorize, NULL);
  status = iu__jdb_exec(j->db, sql, extending, err);
  *final = status == IU_E_STORAGE && (sqlite3_errcode(j->db) & 0xff) != SQLITE_ERROR && (sqlite3_errcode(j->db) & 0xff) != SQLITE_AUTH;
  sqlite3_set_authorizer(j->db, NULL, NULL);
  if (status != IU_OK) {
    iu__jdb_rollback(j->db);
    return status;
  }
  status = iu__jwriter_end(&j->writer, IU_OK, err);
  if (status == IU_OK) status = iu__jtext_read(&j->catalog, j->db, err);
  *final = status != IU_OK;
  return status;
}

bool iu__journal_extend(iu_sqlite_journal *j, iu_error *err) {
  char *sql = j->script;
  bool final;
  iu_status status;

  j->script = NULL;
  iu__error_clear(&j->script_error);
  pthread_mutex_unlock(&j->mutex);
  status = run(j, sql, &final, err);
  iu__free(sql);
  pthread_mutex_lock(&j->mutex);
  j->active_ns = iu__clock_mono_ns();
  if (status != IU_OK) j->script_error = *err;
  j->script_done = true;
  if (j->script_dropped) j->script_waits = j->script_dropped = false;
  return !final;
}

iu_status iu__journal_sqlite_ask_extend(iu_journal *base, const char *sql, iu_error *err) {
  iu_sqlite_journal *j = (iu_sqlite_journal *)base;
  char *copy = iu__strndup(sql, strlen(sql));
  iu_status status = IU_OK;

  if (copy == NULL) return iu__fail_nomem(err);
  pthread_mutex_lock(&j->mutex);
  if (j->failed) status = iu__journal_report(j, err);
  else if (!j->loaded) status = iu__fail(err, IU_E_VALIDATION, "the journal must be loaded first");
  else if (j->script_waits) status = iu__fail(err, IU_E_OVERLOADED, "the file is being extended already");
  if (status == IU_OK) {
    j->script = copy;
    j->script_waits = true;
    j->script_done = false;
    pthread_cond_signal(&j->work);
  }
  pthread_mutex_unlock(&j->mutex);
  if (status != IU_OK) iu__free(copy);
  return status;
}

bool iu__journal_sqlite_extended(iu_journal *base, iu_status *status, iu_error *err) {
  iu_sqlite_journal *j = (iu_sqlite_journal *)base;
  bool done;

  pthread_mutex_lock(&j->mutex);
  done = j->script_waits && (j->script_done || j->failed);
  if (status == NULL) {
    j->script_dropped = j->script_waits && !done;
    if (done) j->script_waits = false;
  } else if (done) {
    *status = j->script_done ? j->script_error.status : iu__journal_report(j, err);
    if (j->script_done && *status != IU_OK && err != NULL) *err = j->script_error;
    j->script_waits = false;
  }
  pthread_mutex_unlock(&j->mutex);
  return done;
}
