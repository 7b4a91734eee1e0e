/* tidy.c: what the journal does to the file beside commits: checkpoints of the write-ahead log, and leaving a plain file behind on close. */
#include "state.h"

#define VACUUM_MIN_PAGES 1024 /* unused pages (4 MiB) that a file may keep: the next journal uses them again */

#define WAL_HEADER 32
#define WAL_FRAME (24 + 4096)
#define ROOM_FROM_PAGES 32     /* a log shorter than this is left alone: most programs never get there */
#define ROOM_STEPS 16          /* of 64 KiB: what is added at once */
#define ROOM_LOW (64 * WAL_FRAME)

static const char copying[] = "copying the write-ahead log into the file";
static const char closing[] = "closing the file";

iu_status iu__journal_checkpoint(iu_sqlite_journal *j, iu_error *err) {
  int rc;

  /* Passive: a reader that still needs the log keeps its part of it, and holds up nobody. The next try waits for as much again. */
  rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  j->checkpoint_at = j->wal_pages + IU_CHECKPOINT_PAGES;
  return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? IU_OK : iu__jdb_fail(j->db, rc, copying, err);
}

/* A commit that lengthens the log makes the file system write its own books too, which costs about as much again as the commit. Errors are the next
 * commit's to tell: nothing was promised here. SQLite reads a log up to the first frame that is none, and zeros are none. */
void iu__journal_make_room(iu_sqlite_journal *j) {
  static const uint8_t zeros[1 << 16];
  sqlite3_int64 used = WAL_HEADER + (sqlite3_int64)j->wal_pages * WAL_FRAME, size = 0;
  sqlite3_file *log = NULL;

  if (j->config.durability != IU_DUR_FULL || j->wal_pages < ROOM_FROM_PAGES || j->wal_pages >= IU_CHECKPOINT_PAGES || used + ROOM_LOW <= j->wal_room) return;
  if (sqlite3_file_control(j->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || log == NULL || log->pMethods == NULL) return;
  if (log->pMethods->xFileSize(log, &size) != SQLITE_OK) return;
  j->wal_room = size;
  for (int i = 0; i < ROOM_STEPS && used + ROOM_LOW > size; i++) {
    if (log->pMethods->xWrite(log, zeros, sizeof zeros, j->wal_room) != SQLITE_OK) return;
    j->wal_room += (sqlite3_int64)sizeof zeros;
  }
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
