/* working_copy.c: see working_copy.h. Both ways SQLite's backup does the copying: it is what sees all pages, and writes its target in one transaction. */
#include "working_copy.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "file.h"
#include "file_schema.h"
#include "load.h"
#include "lock.h"

#define BUSY_MS 5000
#define STEP_PAGES 64 /* between looks at the clock and for a cancel */
#define SUFFIX ".iu-work"

static const char filling[] = "copying the file";
static const char publishing[] = "publishing the working copy";

typedef enum aim { AIM_NONE, AIM_FILL, AIM_PUBLISH } aim;

struct iu_working_copy {
  uint32_t references;
  char *target, *file;
  iu_lock lock;
  sqlite3 *original, *copy; /* copy: while something is on its way */
  int64_t version;          /* of the original when it was read last: others' commits change it */
  bool doubtful;            /* it could not be read */
  aim aim;
  bool filled;
  bool writing;             /* a publish has begun with the original */
  sqlite3_backup *pages;
  uint64_t deadline, page_bytes, done, total; /* done, total: pages */
  atomic_bool cancelled;
};

/* ---- making, letting go ---- */

static void remove_suffixed(const char *path, const char *suffix) {
  char *name = iu__jfile_beside(path, suffix);

  if (name == NULL) return;
  iu__jfile_remove(name);
  iu__free(name);
}

static void remove_copy(const iu_working_copy *w) {
  iu__jfile_remove(w->file);
  remove_suffixed(w->file, ".lock"); /* of a universe that was opened there and killed */
}

static iu_status open_original(iu_working_copy *w, const char *path, iu_error *err) {
  bool is_new;
  iu_status status = iu__jfile_resolve(path, &w->target, err);

  if (status == IU_OK) status = iu__jlock_take(w->target, &w->lock, err);
  if (status == IU_OK) status = iu__jfile_identify(w->target, &is_new, err);
  if (status == IU_OK && is_new) status = iu__fail(err, IU_E_STORAGE, "%s is empty, no universe", w->target);
  if (status == IU_OK) status = iu__jfile_temporary(w->target, SUFFIX, &w->file, err);
  if (status != IU_OK) return status;
  remove_copy(w);
  return iu__jfile_open(w->target, BUSY_MS, &w->original, err);
}

iu_status iu__working_copy_new(const char *path, iu_working_copy **out, iu_error *err) {
  iu_working_copy *w = iu__alloc_zero(1, sizeof *w);
  iu_status status;

  *out = NULL;
  if (w == NULL) return iu__fail_nomem(err);
  w->references = 1;
  w->lock.fd = -1;
  status = open_original(w, path, err);
  if (status == IU_OK) *out = w;
  else iu__working_copy_release(w);
  return status;
}

void iu__working_copy_retain(iu_working_copy *w) { w->references++; }

static void close_copy(iu_working_copy *w) {
  sqlite3_backup_finish(w->pages);
  sqlite3_close(w->copy);
  w->pages = NULL;
  w->copy = NULL;
}

void iu__working_copy_release(iu_working_copy *w) {
  if (w == NULL || --w->references != 0) return;
  close_copy(w);
  sqlite3_close(w->original);
  if (w->file != NULL) remove_copy(w);
  iu__jlock_release(&w->lock, true);
  iu__free(w->file);
  iu__free(w->target);
  iu__free(w);
}

const char *iu__working_copy_file(const iu_working_copy *w) { return w->file; }
const char *iu__working_copy_target(const iu_working_copy *w) { return w->target; }

/* ---- copying, either way ---- */

static iu_status set_aim(iu_working_copy *w, aim wanted, iu_error *err) {
  if (w->aim != AIM_NONE) return iu__fail(err, IU_E_CONFLICT, "%s: a copy is on its way", w->target);
  w->aim = wanted;
  atomic_store(&w->cancelled, false);
  w->done = w->total = 0;
  return IU_OK;
}

iu_status iu__working_copy_fill(iu_working_copy *w, iu_error *err) {
  iu_status status = set_aim(w, AIM_FILL, err);

  if (status == IU_OK) w->filled = false;
  return status;
}

iu_status iu__working_copy_publish(iu_working_copy *w, iu_error *err) {
  if (!w->filled) return iu__fail(err, IU_E_CONFLICT, "%s: its copy was not made", w->target);
  return set_aim(w, AIM_PUBLISH, err);
}

static iu_status open_copy(iu_working_copy *w, iu_error *err) {
  int rc = sqlite3_open_v2(w->file, &w->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

  if (rc != SQLITE_OK) return iu__jdb_fail(w->copy, rc, w->file, err);
  sqlite3_busy_timeout(w->copy, BUSY_MS);
  return IU_OK;
}

static iu_status start(iu_working_copy *w, sqlite3 *to, sqlite3 *from, const char *what, iu_error *err) {
  int64_t bytes = 0;
  iu_status status = iu__jdb_int(from, "PRAGMA page_size", 0, &bytes, what, err);

  if (status != IU_OK) return status;
  w->page_bytes = (uint64_t)bytes;
  w->pages = sqlite3_backup_init(to, "main", from, "main");
  return w->pages != NULL ? IU_OK : iu__jdb_fail(to, sqlite3_errcode(to), what, err);
}

static iu_status finish(iu_working_copy *w, sqlite3 *to, const char *what, iu_error *err) {
  int rc = sqlite3_backup_finish(w->pages);

  w->pages = NULL;
  return rc == SQLITE_OK ? IU_OK : iu__jdb_fail(to, rc, what, err);
}

/* ---- filling ---- */

/* The read transaction lasts until all pages are copied: of one moment, whatever others do. */
static iu_status begin_fill(iu_working_copy *w, iu_error *err) {
  iu_file_state state;
  iu_meta_set *meta = iu__alloc_zero(1, sizeof *meta);
  iu_status status = meta == NULL ? iu__fail_nomem(err) : iu__jdb_exec(w->original, "BEGIN", filling, err);

  remove_copy(w);
  w->doubtful = false;
  if (status == IU_OK) status = iu__jload_state(w->original, w->target, meta, &state, err);
  if (status == IU_OK) status = iu__jdb_int(w->original, "PRAGMA data_version", 0, &w->version, filling, err);
  iu__free(meta);
  if (status == IU_OK) status = iu__jfile_reserve(w->file, w->target, err);
  if (status == IU_OK) status = open_copy(w, err);
  if (status == IU_OK) status = iu__jdb_exec(w->copy, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", filling, err);
  return status == IU_OK ? start(w, w->copy, w->original, filling, err) : status;
}

static iu_status ignore_row(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  (void)ud, (void)table, (void)row, (void)len, (void)err;
  return IU_OK;
}
static iu_status ignore_position(void *ud, uint32_t table, uint32_t sequence, int64_t next, iu_error *err) {
  (void)ud, (void)table, (void)sequence, (void)next, (void)err;
  return IU_OK;
}

/* An open and a close, with the tables that the file itself declares, check all that is there and fold the journal. */
static iu_status fold_copy(iu_working_copy *w, const iu_schema *schema, iu_error *err) {
  iu_journal_sink nothing = {NULL, ignore_row, ignore_row, ignore_position, NULL};
  iu_journal_recovery found;
  iu_journal_config c;
  iu_journal *j;
  iu_error ignored;
  iu_status status;

  iu__journal_config_init(&c);
  c.path = w->file;
  c.schema = schema;
  status = iu__journal_open(&c, &j, err);
  if (status != IU_OK) return status;
  status = iu__journal_load(j, &nothing, &found, err);
  if (status == IU_OK) status = iu__journal_fold(j, -1, err);
  if (status == IU_OK) return iu__journal_close(j, err);
  (void)iu__journal_close(j, &ignored);
  return status;
}

static iu_status end_fill(iu_working_copy *w, iu_error *err) {
  iu_file_schema schema = {.space_count = 0};
  iu_status status = finish(w, w->copy, filling, err);

  iu__jdb_rollback(w->original);
  close_copy(w); /* what it kept of the file is of the time before */
  if (status == IU_OK) status = open_copy(w, err);
  if (status == IU_OK) status = iu__jdb_exec(w->copy, "PRAGMA synchronous=OFF; PRAGMA journal_mode=DELETE", filling, err);
  if (status == IU_OK) status = iu__jfile_schema_read(w->copy, NULL, false, &schema, err);
  close_copy(w);
  if (status == IU_OK) status = fold_copy(w, &schema.schema, err);
  iu__jfile_schema_free(&schema);
  w->filled = status == IU_OK;
  return status;
}

/* ---- publishing ---- */

/* Folded, with its unused pages given back, marked as closed. */
static iu_status tidy_copy(iu_working_copy *w, iu_error *err) {
  int64_t groups = 0, unused = 0;
  iu_status status = open_copy(w, err);

  if (status == IU_OK) status = iu__jdb_exec(w->copy, "PRAGMA synchronous=OFF; PRAGMA journal_mode=DELETE", publishing, err);
  if (status == IU_OK) status = iu__jdb_int(w->copy, "SELECT count(*) FROM _iu_journal", 0, &groups, publishing, err);
  if (status == IU_OK && groups != 0) status = iu__fail(err, IU_E_CONFLICT, "%s was not closed properly", w->file);
  if (status == IU_OK) status = iu__jdb_exec(w->copy, "UPDATE _iu_meta SET value=1 WHERE key='closed' AND value<>1", publishing, err);
  if (status == IU_OK) status = iu__jdb_int(w->copy, "PRAGMA freelist_count", 0, &unused, publishing, err);
  if (status == IU_OK && unused != 0) status = iu__jdb_exec(w->copy, "PRAGMA incremental_vacuum", publishing, err);
  return status;
}

/* Other programs may write to the file, the lock is none of SQLite's; what they wrote is not in the copy. */
static iu_status check_original(iu_working_copy *w, iu_error *err) {
  int64_t version = 0;
  int moved = 0;
  iu_status status = iu__jdb_int(w->original, "PRAGMA data_version", 0, &version, publishing, err);

  if (status != IU_OK) return status;
  if (sqlite3_file_control(w->original, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0)
    return iu__fail(err, IU_E_CONFLICT, "%s was moved or replaced while its copy was worked on", w->target);
  if (version != w->version && !w->doubtful) return iu__fail(err, IU_E_CONFLICT, "%s was changed by another program while its copy was worked on", w->target);
  return IU_OK;
}

/* After a publish of our own, or what is left of one. Where the disk refuses even that, the next look at it is taken for the truth. */
static void note_version(iu_working_copy *w) {
  w->doubtful = iu__jdb_int(w->original, "PRAGMA data_version", 0, &w->version, publishing, NULL) != IU_OK;
}

static iu_status begin_publish(iu_working_copy *w, iu_error *err) {
  iu_status status = tidy_copy(w, err);

  if (status == IU_OK) status = check_original(w, err);
  w->writing = status == IU_OK;
  if (status == IU_OK) status = iu__jfile_make_writable(w->original, w->target, err);
  return status == IU_OK ? start(w, w->original, w->copy, publishing, err) : status;
}

/* The log into the file, and the file out of write-ahead mode: where a reader is in the way, or the disk, it stays, as after a crash. */
static void leave_log(iu_working_copy *w) {
  sqlite3_db_config(w->original, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
  sqlite3_busy_timeout(w->original, 0);
  (void)sqlite3_exec(w->original, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
  sqlite3_busy_timeout(w->original, BUSY_MS);
}

/* The backup's last step has committed: what comes now changes nothing about that, whatever the disk says to it. */
static iu_status end_publish(iu_working_copy *w, iu_error *err) {
  iu_status status = finish(w, w->original, publishing, err);

  if (status != IU_OK) return status;
  w->writing = false;
  leave_log(w);
  close_copy(w);
  note_version(w);
  return IU_OK;
}

/* ---- running ---- */

static iu_status step(iu_working_copy *w, uint32_t slice_ms, bool *over, iu_error *err) {
  uint64_t until = iu__clock_mono_ns() + slice_ms * 1000000ull;

  *over = false;
  do {
    int rc;

    if (atomic_load(&w->cancelled)) return iu__fail(err, IU_E_CLOSED, "the working copy was closed");
    if (w->deadline != 0 && iu__clock_mono_ns() >= w->deadline) return iu__fail(err, IU_E_TIMEOUT, "the file was not copied in its time");
    rc = sqlite3_backup_step(w->pages, STEP_PAGES);
    w->total = (uint64_t)sqlite3_backup_pagecount(w->pages);
    w->done = w->total - (uint64_t)sqlite3_backup_remaining(w->pages);
    *over = rc == SQLITE_DONE;
    if (rc != SQLITE_DONE && rc != SQLITE_OK) return iu__jdb_fail(w->aim == AIM_FILL ? w->copy : w->original, rc, w->aim == AIM_FILL ? filling : publishing, err);
  } while (!*over && iu__clock_mono_ns() < until);
  return IU_OK;
}

static void give_up(iu_working_copy *w) {
  close_copy(w); /* undoes what it wrote to the original */
  iu__jdb_rollback(w->original);
  if (w->aim == AIM_FILL) remove_copy(w);
  if (!w->writing) return;
  w->writing = false;
  leave_log(w);
  note_version(w); /* a rollback looks like another's commit */
}

iu_status iu__working_copy_run(iu_working_copy *w, uint32_t slice_ms, iu_error *err) {
  bool over = false;
  iu_status status = IU_OK;

  if (w->aim == AIM_NONE) return IU_OK;
  if (w->pages == NULL) status = w->aim == AIM_FILL ? begin_fill(w, err) : begin_publish(w, err);
  if (status == IU_OK) status = step(w, slice_ms, &over, err);
  if (status == IU_OK && over) status = w->aim == AIM_FILL ? end_fill(w, err) : end_publish(w, err);
  if (status != IU_OK) give_up(w);
  if (status != IU_OK || over) w->aim = AIM_NONE;
  return status;
}

void iu__working_copy_stop(iu_working_copy *w) {
  if (w->aim == AIM_NONE) return;
  give_up(w);
  w->aim = AIM_NONE;
}

void iu__working_copy_limit(iu_working_copy *w, uint64_t deadline_ns) { w->deadline = deadline_ns; }
void iu__working_copy_cancel(iu_working_copy *w) { atomic_store(&w->cancelled, true); }

bool iu__working_copy_progress(const iu_working_copy *w, uint64_t *done, uint64_t *total) {
  *done = w->done * w->page_bytes;
  *total = w->total * w->page_bytes;
  return w->aim == AIM_NONE;
}
