/* aside.c: see aside.h. */
#include "aside.h"

#include <stdio.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "db.h"
#include "file.h"

/* What is not one of the groups that were replayed. */
#define LOST_SQL "FROM _iu_journal WHERE last >= ?1 OR first >= ?1 OR first > last OR first <= ?2"

static const char setting[] = "setting damaged commits aside";

static iu_status copy_rows(sqlite3 *from, sqlite3 *to, uint64_t folded, uint64_t first, iu_error *err) {
  sqlite3_stmt *read = NULL, *write = NULL;
  bool row = true;
  iu_status status = iu__jdb_prepare(from, "SELECT first, last, checksum, frames " LOST_SQL " ORDER BY first", &read, setting, err);

  if (status == IU_OK) status = iu__jdb_prepare(to, "INSERT INTO lost VALUES (?1, ?2, ?3, ?4)", &write, setting, err);
  if (status == IU_OK) sqlite3_bind_int64(read, 1, (sqlite3_int64)first), sqlite3_bind_int64(read, 2, (sqlite3_int64)folded);
  while (status == IU_OK) {
    status = iu__jdb_step(from, read, &row, setting, err);
    if (status != IU_OK || !row) break;
    for (int i = 0; i < 4 && status == IU_OK; i++) {
      if (sqlite3_bind_value(write, i + 1, sqlite3_column_value(read, i)) != SQLITE_OK) status = iu__fail_nomem(err);
    }
    if (status == IU_OK) status = iu__jdb_run(to, write, setting, err);
  }
  sqlite3_finalize(read);
  sqlite3_finalize(write);
  return status;
}

static iu_status fill(sqlite3 *from, const char *temporary, uint64_t folded, const iu_journal_recovery *r, iu_error *err) {
  sqlite3 *to = NULL;
  int rc = sqlite3_open_v2(temporary, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);
  iu_status status = rc == SQLITE_OK ? IU_OK : iu__jdb_fail(to, rc, setting, err);

  if (status == IU_OK)
    status = iu__jdb_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                              "CREATE TABLE lost (first INTEGER PRIMARY KEY, last INTEGER, checksum INTEGER, frames BLOB)", setting, err);
  if (status == IU_OK) status = copy_rows(from, to, folded, r->lost_first, err);
  if (sqlite3_close(to) != SQLITE_OK && status == IU_OK) status = iu__fail(err, IU_E_STORAGE, "%s: the file could not be closed", setting);
  return status;
}

iu_status iu__jaside(sqlite3 *db, const char *path, uint64_t folded, iu_journal_recovery *r, iu_error *err) {
  char suffix[80];
  char *aside = NULL, *temporary = NULL;
  iu_status status;

  snprintf(suffix, sizeof suffix, ".lost-%llu-%llu-%lld", (unsigned long long)r->lost_first, (unsigned long long)r->lost_last, (long long)iu__clock_micros());
  status = iu__jfile_temporary(path, suffix, &aside, err);
  if (status == IU_OK) status = iu__jfile_temporary(aside, ".iu-new", &temporary, err);
  if (status == IU_OK) status = iu__jfile_reserve(temporary, path, err);
  if (status == IU_OK) status = fill(db, temporary, folded, r, err);
  if (status == IU_OK) status = iu__jfile_publish(temporary, aside, err);
  if (status != IU_OK && temporary != NULL) iu__jfile_remove(temporary);
  if (status == IU_OK) snprintf(r->lost_file, sizeof r->lost_file, "%s", aside);
  iu__free(temporary);
  iu__free(aside);
  return status;
}

iu_status iu__jaside_cut(iu_writer *w, uint64_t folded, const iu_journal_recovery *r, iu_error *err) {
  sqlite3_stmt *cut = NULL;
  iu_status status = iu__jwriter_begin(w, err);

  if (status != IU_OK) return status;
  status = iu__jdb_prepare(w->db, "DELETE " LOST_SQL, &cut, setting, err);
  if (status == IU_OK) {
    sqlite3_bind_int64(cut, 1, (sqlite3_int64)r->lost_first);
    sqlite3_bind_int64(cut, 2, (sqlite3_int64)folded);
    status = iu__jdb_run(w->db, cut, setting, err);
  }
  sqlite3_finalize(cut);
  return iu__jwriter_end(w, status, err);
}
