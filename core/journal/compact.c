/* compact.c: see compact.h. VACUUM INTO and not VACUUM: the file itself is never half written, and the copy is made of one moment. */
#include "compact.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/alloc.h"
#include "file.h"
#include "lock.h"

static const char compacting[] = "compacting the file";

static iu_status size_of(const char *path, uint64_t *out, iu_error *err) {
  struct stat st;

  if (stat(path, &st) != 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be looked at: %s", path, strerror(errno));
  *out = (uint64_t)st.st_size;
  return IU_OK;
}

static iu_status copy_into(sqlite3 *db, const char *temporary, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(db, "VACUUM INTO ?1", &st, compacting, err);

  if (status == IU_OK && sqlite3_bind_text(st, 1, temporary, -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_run(db, st, compacting, err);
  sqlite3_finalize(st);
  return status;
}

static iu_status check_closed(const char *path, sqlite3 *db, iu_error *err) {
  int64_t groups = 0;
  iu_status status = IU_OK;

  if (db == NULL) {
    if (!iu__jfile_has(path, "-wal") && !iu__jfile_has(path, "-journal")) return IU_OK;
  } else {
    status = iu__jdb_int(db, "SELECT count(*) FROM _iu_journal", 0, &groups, compacting, err);
    if (status != IU_OK || groups == 0) return status;
  }
  return iu__fail(err, IU_E_STORAGE, "%s was not closed properly", path);
}

static iu_status compact(const char *path, const char *temporary, uint64_t *before, uint64_t *after, iu_error *err) {
  sqlite3 *db = NULL;
  bool is_new;
  iu_status status = iu__jfile_identify(path, &is_new, err);

  if (status == IU_OK && is_new) status = iu__fail(err, IU_E_STORAGE, "%s is empty, no universe", path);
  if (status == IU_OK) status = check_closed(path, NULL, err);
  if (status == IU_OK) status = size_of(path, before, err);
  if (status == IU_OK) {
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);

    if (rc != SQLITE_OK) status = iu__jdb_fail(db, rc, compacting, err);
  }
  if (status == IU_OK) status = check_closed(path, db, err);
  if (status == IU_OK) status = iu__jfile_reserve(temporary, path, err);
  if (status == IU_OK) status = copy_into(db, temporary, err);
  if (sqlite3_close(db) != SQLITE_OK && status == IU_OK) status = iu__fail(err, IU_E_STORAGE, "%s: it could not be closed", compacting);
  if (status == IU_OK) status = size_of(temporary, after, err);
  return status == IU_OK ? iu__jfile_publish(temporary, path, err) : status;
}

iu_status iu__compact(const char *path, uint64_t *before, uint64_t *after, iu_error *err) {
  char *resolved = NULL, *temporary = NULL;
  iu_lock lock = {NULL, -1};
  iu_status status = iu__jfile_resolve(path, &resolved, err);

  if (status == IU_OK) status = iu__jlock_take(resolved, &lock, err);
  if (status == IU_OK) status = iu__jfile_temporary(resolved, ".iu-compact", &temporary, err);
  if (status == IU_OK) status = compact(resolved, temporary, before, after, err);
  if (status != IU_OK && temporary != NULL) iu__jfile_remove(temporary);
  iu__jlock_release(&lock, true);
  iu__free(temporary);
  iu__free(resolved);
  return status;
}
