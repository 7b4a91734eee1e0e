/* tidy.c: what the journal does to the file beside commits: checkpoints of the write-ahead log, and leaving a plain file behind on close. */
#include "state.h"

#define VACUUM_MIN_PAGES 1024 /* unused pages (4 MiB) that a file may keep: the next journal uses them again */

static const char copying[] = "copying the write-ahead log into the file";
static const char closing[] = "closing the file";

iu_status iu__journal_checkpoint(iu_sqlite_journal *j, iu_error *err) {
  int rc;

  /* Passive: a reader that still needs the log keeps its part of it, and holds up nobody. The next try waits for as much again. */
  rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  j->checkpoint_at = j->wal_pages + IU_CHECKPOINT_PAGES;
  return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? IU_OK : iu__jdb_fail(j->db, rc, copying, err);
}

static iu_status note_closed(iu_sqlite_journal *j, iu_error *err) {
  iu_status status = iu__jwriter_begin(&j->writer, err);

  if (status != IU_OK) return status;
  return iu__jwriter_end(&j->writer, iu__jwriter_put_int(&j->writer, "closed", 1, err), err);
}

static iu_status give_back_pages(iu_sqlite_journal *j, iu_error *err) {
  int64_t unused = 0;
  iu_status status = iu__jdb_int(j->db, "PRAGMA freelist_count", 0, &unused, closing, err);

  if (status != IU_OK || unused < VACUUM_MIN_PAGES) return status;
  return iu__jdb_exec(j->db, "PRAGMA incremental_vacuum", closing, err);
}

/* While another program reads the file this is refused, and the file stays in write-ahead mode: that is fine too. */
static iu_status leave_wal(iu_sqlite_journal *j, iu_error *err) {
  int rc;

  sqlite3_busy_timeout(j->db, 0);
  rc = sqlite3_exec(j->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
  return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED ? IU_OK : iu__jdb_fail(j->db, rc, closing, err);
}

iu_status iu__journal_tidy(iu_sqlite_journal *j, iu_error *err) {
  iu_status status = IU_OK;

  if (j->writer.marked_open || !j->found.closed) {
    status = give_back_pages(j, err);
    if (status == IU_OK) status = note_closed(j, err);
    if (status == IU_OK) status = iu__journal_checkpoint(j, err);
  }
  iu__jfold_free(&j->fold);
  iu__jwriter_finalize(&j->writer);
  iu__jcatalog_finalize(&j->catalog);
  return status == IU_OK ? leave_wal(j, err) : status;
}
