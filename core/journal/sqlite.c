/* sqlite.c: the journal over a universe file: opening, loading, what the owner thread asks for, closing. The thread's side is thread.c.
 *
 * Cost on the owner thread: append and ready are one uncontended lock and one copy of the rows; wait, fold and close sleep.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "alter.h"
#include "aside.h"
#include "file.h"
#include "state.h"
#include "text_index.h"

#define NS_PER_MS 1000000ull
#define FRAME_SLACK 4096 /* of a commit beside its rows: what `ready` adds */

static iu_sqlite_journal *self(iu_journal *j) { return (iu_sqlite_journal *)j; }

/* ---- opening ---- */

static int on_wal_commit(void *ud, sqlite3 *db, const char *name, int pages) {
  iu_sqlite_journal *j = ud;

  (void)db, (void)name;
  if (pages < j->wal_pages) j->checkpoint_at = IU_CHECKPOINT_PAGES; /* SQLite began the log anew */
  j->wal_pages = pages;
  return SQLITE_OK;
}

static iu_status make_locks(iu_sqlite_journal *j, iu_error *err) {
  pthread_condattr_t attr;
  int rc = pthread_condattr_init(&attr);

  if (rc == 0) rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  if (rc == 0) rc = pthread_mutex_init(&j->mutex, NULL);
  if (rc == 0) rc = pthread_cond_init(&j->work, &attr);
  if (rc == 0) rc = pthread_cond_init(&j->done, &attr);
  pthread_condattr_destroy(&attr);
  if (rc != 0) return iu__fail(err, IU_E_STORAGE, "the journal's locks cannot be made: %s", strerror(rc));
  j->locks_made = true;
  return IU_OK;
}

static void take_state(iu_sqlite_journal *j) {
  j->folded = j->found.folded;
  j->last = j->durable = j->found.last;
  j->journal_bytes = j->found.journal_bytes;
  j->draining = j->journal_bytes > j->config.fold_bytes;
}

static iu_status open_file(iu_sqlite_journal *j, iu_error *err) {
  iu_status status = iu__jfile_identify(j->path, &j->is_new, err);
  bool used;

  if (status != IU_OK) return status;
  if (j->is_new) status = iu__jfile_create(j->path, &j->catalog, err);
  if (status != IU_OK) return status;
  status = iu__jfile_open(j->path, j->config.busy_timeout_ms, &j->db, err);
  if (status != IU_OK) return status;
  sqlite3_wal_hook(j->db, on_wal_commit, j);
  status = iu__jload_state(j->db, j->path, &j->meta, &j->found, err);
  if (status == IU_OK && !j->is_new) status = iu__jcatalog_read(&j->catalog, j->db, j->config.differs, j->config.differs_ud, err);
  if (status != IU_OK) return status;
  take_state(j);
  used = j->last != 0;
  /* A crash between making the file and its first commit leaves a universe that is as new. */
  for (int i = 0; i < IU_META_COUNT; i++) used = used || j->meta.slots[i].present;
  j->is_new = j->is_new || !used;
  return IU_OK;
}

/* Everything but the lock, which goes last. */
static void dispose(iu_sqlite_journal *j) {
  iu__jfold_free(&j->fold);
  iu__jwriter_finalize(&j->writer);
  iu__jcatalog_free(&j->catalog);
  sqlite3_close(j->db);
  iu__jqueue_free(&j->queue);
  if (j->locks_made) {
    pthread_mutex_destroy(&j->mutex);
    pthread_cond_destroy(&j->work);
    pthread_cond_destroy(&j->done);
  }
  iu__jlock_release(&j->lock, true);
  iu__free(j->script);
  iu__free(j->path);
  iu__free(j);
}

static const iu_journal_vtable sqlite_vtable;

iu_status iu__journal_sqlite_open(const iu_journal_config *c, iu_journal **out, iu_error *err) {
  iu_sqlite_journal *j = iu__alloc_zero(1, sizeof *j);
  iu_status status;

  if (j == NULL) return iu__fail_nomem(err);
  j->base.vtable = &sqlite_vtable;
  j->config = *c;
  j->config.path = NULL; /* borrowed for the call only */
  j->lock.fd = -1;
  j->pid = getpid();
  j->checkpoint_at = IU_CHECKPOINT_PAGES;
  status = iu__jcatalog_init(&j->catalog, c->schema, err);
  if (status == IU_OK) status = iu__jfile_resolve(c->path, &j->path, err);
  if (status == IU_OK) status = iu__jlock_take(j->path, &j->lock, err);
  if (status == IU_OK) status = make_locks(j, err);
  if (status == IU_OK) status = open_file(j, err);
  if (status != IU_OK) {
    dispose(j);
    return status;
  }
  j->fold.catalog = &j->catalog;
  j->writer.db = j->db;
  *out = &j->base;
  return IU_OK;
}

static bool sqlite_is_new(const iu_journal *base) { return ((const iu_sqlite_journal *)base)->is_new; }

/* ---- loading ---- */

static iu_status add_new_tables(iu_sqlite_journal *j, iu_error *err) {
  bool missing = false;
  iu_status status;

  for (uint32_t i = 0; i < j->catalog.count; i++) missing = missing || !j->catalog.tables[i].in_file;
  if (!missing) return IU_OK;
  status = iu__jwriter_begin(&j->writer, err);
  if (status != IU_OK) return status;
  status = iu__jwriter_end(&j->writer, iu__jcatalog_create(&j->catalog, j->db, err), err);
  if (status == IU_OK) iu__jcatalog_created(&j->catalog);
  return status;
}

iu_status iu__journal_cut_lost(iu_sqlite_journal *j, const iu_journal_recovery *r, iu_error *err) {
  int64_t bytes = 0;
  iu_status status = iu__jaside_cut(&j->writer, j->found.folded, r, err);

  if (status == IU_OK) status = iu__jdb_int(j->db, "SELECT ifnull(sum(length(frames)), 0) FROM _iu_journal", 0, &bytes, "reading the file", err);
  j->found.last = r->last_sequence;
  j->found.journal_bytes = (uint64_t)bytes;
  take_state(j);
  return status;
}

static iu_status sqlite_load(iu_journal *base, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  bool alter, lost = false;
  iu_status status;

  if (j->loaded || j->load_failed) return iu__fail(err, IU_E_VALIDATION, "the journal was loaded before");
  alter = iu__jalter_needed(&j->catalog); /* then what is lost is dealt with there */
  if (alter) status = iu__jalter_and_load(j, sink, out, err);
  else status = iu__jload_all(j->db, &j->catalog, &j->found, j->config.recover_prefix, sink, out, err);
  if (status == IU_OK && !alter) lost = out->lost_first != 0;
  if (lost) status = iu__jaside(j->db, j->path, j->found.folded, out, err);
  if (status == IU_OK) {
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    status = iu__jfile_make_writable(j->db, j->path, err);
    if (status == IU_OK) status = add_new_tables(j, err);
    if (status == IU_OK && lost) status = iu__journal_cut_lost(j, out, err);
    if (status == IU_OK) status = iu__jtext_read(&j->catalog, j->db, err);
  }
  if (status == IU_OK) status = iu__journal_thread_start(j, err);
  j->loaded = status == IU_OK;
  j->load_failed = !j->loaded;
  return status;
}

/* ---- metadata ---- */

static const uint8_t *sqlite_meta(const iu_journal *base, iu_meta which, size_t *len) {
  return iu__jmeta_get(&((const iu_sqlite_journal *)base)->meta, which, len); /* only the owner changes it */
}

static iu_status sqlite_set_meta(iu_journal *base, iu_meta which, const void *bytes, size_t len, iu_error *err) {
  iu_sqlite_journal *j = self(base);

  (void)err;
  pthread_mutex_lock(&j->mutex);
  iu__jmeta_put(&j->meta, which, bytes, len);
  j->meta_dirty = true;
  pthread_mutex_unlock(&j->mutex);
  return IU_OK;
}

/* ---- appending ---- */

/* Under the mutex. */
static iu_status admit(const iu_sqlite_journal *j, iu_error *err) {
  if (j->failed) return iu__journal_report(j, err);
  if (!j->loaded) return iu__fail(err, IU_E_VALIDATION, "the journal must be loaded before commits are appended");
  return IU_OK;
}

static iu_status too_large(uint64_t size, iu_error *err) {
  return iu__fail(err, IU_E_OVERLOADED, "a commit of %llu bytes: at most %u", (unsigned long long)size, IU_JOURNAL_COMMIT_MAX);
}

/* Only what the owner appends fills it: while the last append did not, there is nothing to look at. */
static bool sqlite_full(iu_journal *base) {
  iu_sqlite_journal *j = self(base);

  if (!j->was_full) return false;
  pthread_mutex_lock(&j->mutex);
  j->was_full = !j->failed && j->pending_bytes >= j->config.pending_bytes_max;
  pthread_mutex_unlock(&j->mutex);
  return j->was_full;
}

static iu_status sqlite_ready(iu_journal *base, uint64_t bytes, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  iu_status status;

  if (bytes > IU_JOURNAL_COMMIT_MAX - FRAME_SLACK) return too_large(bytes, err);
  pthread_mutex_lock(&j->mutex);
  status = admit(j, err);
  /* Heads and lengths of many small rows may need as much as the rows. */
  if (status == IU_OK && !iu__jqueue_ready(&j->queue, 2 * (size_t)bytes + FRAME_SLACK)) status = iu__fail_nomem(err);
  pthread_mutex_unlock(&j->mutex);
  return status;
}

/* Under the mutex. The thread looks again when the queue gets its first commit and when it passes a size. */
static void queued(iu_sqlite_journal *j, bool was_empty, uint64_t size) {
  uint64_t before = j->pending_bytes, after = before + size, half = j->config.pending_bytes_max / 2;

  j->pending_bytes = after;
  j->was_full = after >= j->config.pending_bytes_max;
  if (was_empty) j->queued_ns = iu__clock_mono_ns();
  if (j->held) return;
  if (was_empty || (before < IU_WRITE_EARLY_BYTES && after >= IU_WRITE_EARLY_BYTES) || (before < half && after >= half))
    pthread_cond_signal(&j->work);
}

static iu_status sqlite_append(iu_journal *base, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count,
                               uint64_t *seq, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  uint64_t size = iu__jframe_size(&j->catalog, c, next_count);
  uint8_t *p = NULL;
  bool was_empty;
  iu_status status;

  if (size > IU_JOURNAL_COMMIT_MAX) return too_large(size, err);
  pthread_mutex_lock(&j->mutex);
  status = admit(j, err);
  was_empty = j->queue.head == NULL;
  if (status == IU_OK && (p = iu__jqueue_add(&j->queue, (size_t)size, j->last + 1)) == NULL) status = iu__fail_nomem(err);
  if (status == IU_OK) {
    iu__jframe_write(p, &j->catalog, c, next_values, next_count);
    *seq = ++j->last;
    queued(j, was_empty, size);
  }
  pthread_mutex_unlock(&j->mutex);
  return status;
}

/* ---- waiting ---- */

static uint64_t sqlite_durable(iu_journal *base, iu_status *failed, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  uint64_t durable;
  iu_status status = IU_OK;

  pthread_mutex_lock(&j->mutex);
  durable = j->durable;
  if (j->failed) status = iu__journal_report(j, err);
  pthread_mutex_unlock(&j->mutex);
  if (failed != NULL) *failed = status;
  return durable;
}

static void sqlite_hurry(iu_journal *base) {
  iu_sqlite_journal *j = self(base);

  pthread_mutex_lock(&j->mutex);
  j->hurry = true;
  pthread_cond_signal(&j->work);
  pthread_mutex_unlock(&j->mutex);
}

static void sqlite_hold(iu_journal *base, bool on) {
  iu_sqlite_journal *j = self(base);

  pthread_mutex_lock(&j->mutex);
  if (j->held && !on && j->queue.head != NULL) pthread_cond_signal(&j->work);
  j->held = on;
  pthread_mutex_unlock(&j->mutex);
}

static iu_status may_wait(const iu_sqlite_journal *j, iu_error *err) {
  if (!j->loaded) return iu__fail(err, IU_E_VALIDATION, "the journal must be loaded first");
  if (j->pid != getpid()) return iu__fail(err, IU_E_STORAGE, "%s belongs to process %ld, which this one was forked from", j->path, (long)j->pid);
  return IU_OK;
}

/* Under the mutex: sleeps until progress; false when the time is over. */
static bool sleep_for_progress(iu_sqlite_journal *j, uint64_t deadline_ns) {
  struct timespec ts;

  if (deadline_ns == 0) return pthread_cond_wait(&j->done, &j->mutex) == 0;
  ts.tv_sec = (time_t)(deadline_ns / 1000000000u);
  ts.tv_nsec = (long)(deadline_ns % 1000000000u);
  return pthread_cond_timedwait(&j->done, &j->mutex, &ts) != ETIMEDOUT;
}

static uint64_t deadline_of(int64_t timeout_ms) {
  uint64_t now = iu__clock_mono_ns();

  if (timeout_ms < 0) return 0;
  return (uint64_t)timeout_ms > (UINT64_MAX - now) / NS_PER_MS ? 0 : now + (uint64_t)timeout_ms * NS_PER_MS;
}

static iu_status sqlite_wait(iu_journal *base, uint64_t seq, int64_t timeout_ms, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  iu_status status = may_wait(j, err);
  uint64_t deadline = deadline_of(timeout_ms);
  bool in_time = true;

  if (status != IU_OK) return status;
  pthread_mutex_lock(&j->mutex);
  if (seq > j->last) status = iu__fail(err, IU_E_VALIDATION, "nothing was appended under sequence %llu", (unsigned long long)seq);
  while (status == IU_OK && j->durable < seq && !j->failed && in_time) {
    if (j->held && iu__journal_write_here(j)) continue;
    j->hurry = true; /* someone waits: the window is of no use any more */
    pthread_cond_signal(&j->work);
    in_time = sleep_for_progress(j, deadline);
  }
  if (status == IU_OK && j->durable < seq)
    status = j->failed ? iu__journal_report(j, err) : iu__fail(err, IU_E_TIMEOUT, "commit %llu is not on disk yet", (unsigned long long)seq);
  pthread_mutex_unlock(&j->mutex);
  return status;
}

static iu_status sqlite_fold(iu_journal *base, int64_t timeout_ms, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  iu_status status = may_wait(j, err);
  uint64_t deadline = deadline_of(timeout_ms), target;
  bool in_time = true;

  if (status != IU_OK) return status;
  pthread_mutex_lock(&j->mutex);
  target = j->last;
  if (j->fold_target < target) j->fold_target = target;
  j->fold_trouble = IU_OK;
  j->fold_after_ns = 0;
  while (j->folded < target && !j->failed && j->fold_trouble == IU_OK && in_time) {
    j->hurry = true;
    pthread_cond_signal(&j->work);
    in_time = sleep_for_progress(j, deadline);
  }
  if (j->folded < target) {
    if (j->failed) status = iu__journal_report(j, err);
    else if (j->fold_trouble != IU_OK) status = iu__fail_nomem(err);
    else status = iu__fail(err, IU_E_TIMEOUT, "the journal is not folded yet (at commit %llu of %llu)", (unsigned long long)j->folded, (unsigned long long)target);
  }
  pthread_mutex_unlock(&j->mutex);
  return status;
}

static iu_status sqlite_ask_fold(iu_journal *base, uint64_t *seq, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  iu_status status = may_wait(j, err);

  if (status != IU_OK) return status;
  pthread_mutex_lock(&j->mutex);
  *seq = j->last;
  if (j->failed && j->folded < j->last) status = iu__journal_report(j, err);
  if (j->fold_target < j->last) j->fold_target = j->last;
  j->fold_after_ns = 0;
  j->hurry = true;
  pthread_cond_signal(&j->work);
  pthread_mutex_unlock(&j->mutex);
  return status;
}

static uint64_t sqlite_folded(iu_journal *base) {
  iu_sqlite_journal *j = self(base);
  uint64_t folded;

  pthread_mutex_lock(&j->mutex);
  folded = j->folded;
  pthread_mutex_unlock(&j->mutex);
  return folded;
}

static const char *sqlite_path(const iu_journal *base) { return ((const iu_sqlite_journal *)base)->path; }

static void sqlite_stats(iu_journal *base, iu_journal_stats *out) {
  iu_sqlite_journal *j = self(base);

  pthread_mutex_lock(&j->mutex);
  out->last_sequence = j->last;
  out->durable_sequence = j->durable;
  out->folded_sequence = j->folded;
  out->pending_bytes = j->pending_bytes;
  out->journal_bytes = j->journal_bytes;
  out->groups_written = j->groups_written;
  out->frames_folded = j->frames_folded;
  out->format = IU_JOURNAL_FORMAT;
  out->failed = j->failed;
  pthread_mutex_unlock(&j->mutex);
}

/* ---- closing ---- */

static iu_status sqlite_close(iu_journal *base, iu_error *err) {
  iu_sqlite_journal *j = self(base);
  iu_status status = IU_OK;

  if (j->pid != getpid()) {
    /* A forked child has neither the thread nor a right to the file; only the lock's descriptor is its own to close. */
    status = iu__fail(err, IU_E_STORAGE, "%s belongs to process %ld, which this one was forked from", j->path, (long)j->pid);
    iu__jlock_release(&j->lock, false);
    return status;
  }
  if (j->started) {
    pthread_mutex_lock(&j->mutex);
    j->stop = true;
    j->fold_trouble = IU_OK;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->mutex);
    pthread_join(j->thread, NULL);
  }
  if (j->failed) {
    status = iu__journal_report(j, err);
    /* Nothing that failed is tried again, the copy of the log on close neither: the next open starts from what is there. */
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  }
  dispose(j);
  return status;
}

static const iu_journal_vtable sqlite_vtable = {
    IU_JOURNAL_VTABLE_VERSION, sqlite_is_new, sqlite_meta, sqlite_set_meta, sqlite_load,  sqlite_full, sqlite_ready, sqlite_append,
    sqlite_durable,            sqlite_hurry,  sqlite_hold,  sqlite_wait, sqlite_fold,
    sqlite_ask_fold,           sqlite_folded, sqlite_path, iu__journal_sqlite_ask_extend, iu__journal_sqlite_extended, sqlite_stats, sqlite_close};
