/* backup.c: see backup.h. SQLite's backup starts over when another connection writes to the source, unless its own connection holds a read transaction: this one
 * does from the first slice to the last. */
#include "backup.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "file.h"
#include "load.h"
#include "lock.h"
#include "snapshot.h"

#define BUSY_MS 5000
#define STEP_PAGES 64 /* between looks at the clock and for a cancel */

static const char copying[] = "copying the file";

struct iu_backup {
  char *source, *target, *temporary;
  iu_lock source_lock, target_lock;
  sqlite3 *from, *to;
  sqlite3_backup *copy;
  uint64_t deadline, page_bytes, done, total; /* done, total: pages */
  bool complete;
  atomic_bool cancelled;
  iu_error failure;
};

/* ---- where from, where to ---- */

static bool same_file(const char *a, const char *b) {
  struct stat sa, sb;
  return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* The target's lock is held: no universe is open there. */
static iu_status check_target(const iu_backup *b, bool overwrite, iu_error *err) {
  bool is_new;
  iu_status status = iu__jfile_identify(b->target, &is_new, err);
  if (status != IU_OK || is_new) return status;
  if (!overwrite) return iu__fail(err, IU_E_VALIDATION, "%s is there already (overwrite replaces it)", b->target);
  if (iu__jfile_has(b->target, "-wal") || iu__jfile_has(b->target, "-journal"))
    return iu__fail(err, IU_E_STORAGE, "%s was not closed properly, and is not replaced: open and close it, or remove it with its log", b->target);
  return IU_OK;
}

static iu_status find_files(iu_backup *b, const char *source, const char *target, bool lock_source, bool overwrite, iu_error *err) {
  bool is_new;
  iu_status status = iu__jfile_resolve(source, &b->source, err);
  if (status == IU_OK) status = iu__jfile_resolve(target, &b->target, err);
  if (status != IU_OK) return status;
  if (strcmp(b->source, b->target) == 0 || same_file(b->source, b->target))
    return iu__fail(err, IU_E_VALIDATION, "%s: the copy would be the file itself", b->target);
  if (lock_source) status = iu__jlock_take_to_read(b->source, &b->source_lock, err);
  if (status == IU_OK && lock_source) {
    status = iu__jfile_look(b->source, &is_new, err);
    if (status == IU_OK && is_new) status = iu__fail(err, IU_E_STORAGE, "%s is empty, no universe", b->source);
  }
  if (status == IU_OK) status = iu__jlock_take(b->target, &b->target_lock, err);
  if (status == IU_OK) status = check_target(b, overwrite, err);
  return status == IU_OK ? iu__jfile_temporary(b->target, ".iu-backup", &b->temporary, err) : status;
}

iu_status iu__backup_new(const char *source, const char *target, bool lock_source, bool overwrite, iu_backup **out, iu_error *err) {
  iu_backup *b = iu__alloc_zero(1, sizeof *b);
  iu_status status;
  *out = NULL;
  if (b == NULL) return iu__fail_nomem(err);
  b->source_lock.fd = b->target_lock.fd = -1;
  status = find_files(b, source, target, lock_source, overwrite, err);
  if (status != IU_OK) {
    iu__backup_free(b);
    return status;
  }
  *out = b;
  return IU_OK;
}

/* ---- copying ---- */

static void close_both(iu_backup *b) {
  sqlite3_backup_finish(b->copy);
  sqlite3_close(b->to);
  sqlite3_close(b->from);
  b->copy = NULL;
  b->to = b->from = NULL;
}

static iu_status open_one(const char *path, int flags, sqlite3 **out, iu_error *err) {
  int rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_EXRESCODE, NULL);
  if (rc != SQLITE_OK) return iu__jdb_fail(*out, rc, copying, err);
  sqlite3_busy_timeout(*out, BUSY_MS);
  return IU_OK;
}

static iu_status begin(iu_backup *b, iu_error *err) {
  iu_file_state state;
  iu_meta_set *meta = iu__alloc_zero(1, sizeof *meta);
  int64_t bytes = 0;
  iu_status status = meta == NULL ? iu__fail_nomem(err) : iu__jsnapshot_open(b->source, &b->from, err);
  if (status == IU_OK) status = iu__jdb_exec(b->from, "BEGIN", copying, err);
  if (status == IU_OK) status = iu__jload_state(b->from, b->source, meta, &state, err); /* the first read: the moment that is copied */
  if (status == IU_OK) status = iu__jdb_int(b->from, "PRAGMA page_size", 0, &bytes, copying, err);
  iu__free(meta);
  b->page_bytes = (uint64_t)bytes;
  if (status == IU_OK) status = iu__jfile_reserve(b->temporary, b->source, err);
  if (status == IU_OK) status = open_one(b->temporary, SQLITE_OPEN_READWRITE, &b->to, err);
  /* Nobody sees it before it is renamed: it is synced once, as a whole. */
  if (status == IU_OK) status = iu__jdb_exec(b->to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", copying, err);
  if (status != IU_OK) return status;
  b->copy = sqlite3_backup_init(b->to, "main", b->from, "main");
  return b->copy != NULL ? IU_OK : iu__jdb_fail(b->to, sqlite3_errcode(b->to), copying, err);
}

/* The copy is that of a file in use: from here on it is one that was closed properly, out of write-ahead mode. */
static iu_status finish(iu_backup *b, iu_error *err) {
  int rc = sqlite3_backup_finish(b->copy);
  iu_status status = rc == SQLITE_OK ? IU_OK : iu__jdb_fail(b->to, rc, copying, err);
  b->copy = NULL;
  close_both(b);
  if (status == IU_OK) status = open_one(b->temporary, SQLITE_OPEN_READWRITE, &b->to, err);
  if (status == IU_OK)
    status = iu__jdb_exec(b->to, "PRAGMA synchronous=OFF; UPDATE _iu_meta SET value=1 WHERE key='closed'; PRAGMA journal_mode=DELETE", copying, err);
  close_both(b);
  if (status == IU_OK) status = iu__jfile_publish(b->temporary, b->target, err);
  b->complete = status == IU_OK;
  return status;
}

static bool over(const iu_backup *b) { return b->deadline != 0 && iu__clock_mono_ns() >= b->deadline; }

static iu_status slice(iu_backup *b, uint32_t slice_ms, iu_error *err) {
  uint64_t until = iu__clock_mono_ns() + slice_ms * 1000000ull;
  do {
    int rc;
    if (atomic_load(&b->cancelled)) return iu__fail(err, IU_E_CLOSED, "the backup was cancelled");
    if (over(b)) return iu__fail(err, IU_E_TIMEOUT, "the backup was not done in its time");
    rc = sqlite3_backup_step(b->copy, STEP_PAGES);
    b->total = (uint64_t)sqlite3_backup_pagecount(b->copy);
    b->done = b->total - (uint64_t)sqlite3_backup_remaining(b->copy);
    if (rc == SQLITE_DONE) return finish(b, err);
    if (rc != SQLITE_OK) return iu__jdb_fail(b->to, rc, copying, err);
  } while (iu__clock_mono_ns() < until);
  return IU_OK;
}

void iu__backup_limit(iu_backup *b, uint64_t deadline_ns) { b->deadline = deadline_ns; }
void iu__backup_cancel(iu_backup *b) { atomic_store(&b->cancelled, true); }

iu_status iu__backup_run(iu_backup *b, uint32_t slice_ms, iu_error *err) {
  iu_error why;
  iu_status status = IU_OK;
  if (b->complete) return IU_OK;
  if (b->failure.status == IU_OK) {
    if (b->copy == NULL) status = begin(b, &why);
    if (status == IU_OK) status = slice(b, slice_ms, &why);
    if (status == IU_OK) return IU_OK;
    b->failure = why;
    close_both(b);
  }
  if (err != NULL) *err = b->failure;
  return b->failure.status;
}

bool iu__backup_progress(const iu_backup *b, uint64_t *done, uint64_t *total) {
  *done = b->done * b->page_bytes;
  *total = b->total * b->page_bytes;
  return b->complete;
}

void iu__backup_free(iu_backup *b) {
  if (b == NULL) return;
  close_both(b);
  if (b->temporary != NULL && !b->complete) iu__jfile_remove(b->temporary);
  iu__free(b->temporary);
  iu__jlock_release(&b->target_lock, true);
  iu__jlock_release(&b->source_lock, true);
  iu__free(b->source);
  iu__free(b->target);
  iu__free(b);
}
