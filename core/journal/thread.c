/* thread.c: the journal's thread: decides under the lock what is due, does it without, publishes, tells. While it sleeps, the owner may write in its
 * place (iu__journal_write_here): what is the db's is then lent to it.
 *
 * Order of preference: write what is due; then one slice of folding; else sleep until the next of these is due or someone calls. While the
 * journal is over its cap writes and slices take turns, so that it shrinks under any load; a commit waits for at most one slice. Any failure but a fold without memory ends the work for good: what was not durable by
 * then is reported as applied but not saved, and the thread only waits for the close.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "../base/clock.h"
#include "../base/thread.h"
#include "state.h"

#define NS_PER_MS 1000000ull
#define NEVER UINT64_MAX

/* ---- what is due; all under the mutex ---- */

static uint64_t write_at(const iu_sqlite_journal *j) {
  if (j->queue.head == NULL) return j->meta_dirty && (j->hurry || j->stop) ? 0 : NEVER;
  if (j->hurry || j->stop || j->config.durability == IU_DUR_FULL || j->pending_bytes >= j->config.pending_bytes_max / 2) return 0;
  if (j->config.durability == IU_DUR_OFF) return NEVER;
  if (j->pending_bytes >= IU_WRITE_EARLY_BYTES) return 0;
  return j->queued_ns + j->config.flush_interval_ms * NS_PER_MS;
}

static uint64_t fold_at(const iu_sqlite_journal *j) {
  uint64_t at;

  if (j->folded >= j->durable) return NEVER;
  if (j->stop) return j->fold_trouble == IU_OK ? 0 : NEVER;
  at = j->draining || j->fold_target > j->folded ? 0 : j->active_ns + j->config.fold_idle_ms * NS_PER_MS;
  return at > j->fold_after_ns ? at : j->fold_after_ns;
}

static void sleep_until(iu_sqlite_journal *j, uint64_t at) {
  struct timespec ts;

  j->resting = true;
  j->rest_until = at;
  if (at == NEVER) {
    pthread_cond_wait(&j->work, &j->mutex);
  } else {
    ts.tv_sec = (time_t)(at / 1000000000u);
    ts.tv_nsec = (long)(at % 1000000000u);
    pthread_cond_timedwait(&j->work, &j->mutex, &ts);
  }
  j->resting = false;
  while (j->lent) pthread_cond_wait(&j->work, &j->mutex);
}

/* ---- doing it; entered and left with the mutex held ---- */

static void tell(iu_sqlite_journal *j) {
  pthread_cond_broadcast(&j->done);
  if (j->config.wake == NULL) return;
  pthread_mutex_unlock(&j->mutex);
  j->config.wake(j->config.wake_ud);
  pthread_mutex_lock(&j->mutex);
}

static void fail(iu_sqlite_journal *j, const iu_error *why) {
  iu_block *lost = iu__jqueue_take(&j->queue);

  j->failed = true;
  j->error = *why;
  j->pending_bytes = 0;
  iu__jqueue_recycle(&j->queue, lost);
  tell(j);
}

static uint64_t bytes_of(const iu_block *blocks, uint64_t *groups) {
  uint64_t bytes = 0;

  for (*groups = 0; blocks != NULL; blocks = blocks->next, ++*groups) bytes += blocks->len;
  return bytes;
}

static void published(iu_sqlite_journal *j, uint64_t last, uint64_t pending, uint64_t bytes, uint64_t groups) {
  j->durable = last;
  j->pending_bytes -= pending;
  j->journal_bytes += bytes;
  j->groups_written += groups;
  j->active_ns = iu__clock_mono_ns();
  if (j->journal_bytes > j->config.fold_bytes) j->draining = true;
}

/* What is queued, written; the failure is everybody's. */
static bool write_queued(iu_sqlite_journal *j) {
  iu_meta_set meta;
  iu_error err;
  bool with_meta = j->meta_dirty;
  uint64_t last = j->last, pending = j->pending_bytes, groups, bytes;
  iu_status status;
  iu_block *blocks = iu__jqueue_take(&j->queue);

  if (with_meta) meta = j->meta;
  j->hurry = j->meta_dirty = false;
  pthread_mutex_unlock(&j->mutex);
  bytes = bytes_of(blocks, &groups);
  status = iu__jwriter_write(&j->writer, blocks, with_meta ? &meta : NULL, &err);
  pthread_mutex_lock(&j->mutex);
  if (status == IU_OK) published(j, last, pending, bytes, groups);
  iu__jqueue_recycle(&j->queue, blocks);
  if (status != IU_OK) fail(j, &err);
  return status == IU_OK;
}

static void write_all(iu_sqlite_journal *j) {
  if (write_queued(j)) tell(j);
}

/* Nobody but the caller waits for what is written: no one is told. The thread is woken where it has something to do, or nothing was to be done before. */
bool iu__journal_write_here(iu_sqlite_journal *j) {
  if (!j->resting || j->lent || j->failed || j->stop || j->queue.head == NULL) return false;
  j->lent = true;
  if (write_queued(j)) {
    pthread_mutex_unlock(&j->mutex);
    iu__journal_make_room(j);
    pthread_mutex_lock(&j->mutex);
  }
  j->lent = false;
  if (!j->resting || j->rest_until == NEVER || j->draining || j->wal_pages >= j->checkpoint_at || j->failed) pthread_cond_signal(&j->work);
  return true;
}

static void folded(iu_sqlite_journal *j, const iu_fold_result *r) {
  j->folded = r->folded;
  j->frames_folded += r->frames;
  j->journal_bytes -= r->bytes < j->journal_bytes ? r->bytes : j->journal_bytes;
  j->fold_trouble = IU_OK;
  if (j->journal_bytes <= j->config.fold_bytes / 2) j->draining = false;
}

static void fold_some(iu_sqlite_journal *j) {
  iu_fold_result result;
  iu_error err;
  uint64_t from = j->folded;
  iu_status status;

  pthread_mutex_unlock(&j->mutex);
  status = iu__jfold_slice(&j->fold, &j->writer, from, &result, &err);
  if (status == IU_OK && result.frames == 0)
    status = iu__fail(&err, IU_E_STORAGE, "the file is damaged: commit %llu is missing from the journal", (unsigned long long)from + 1);
  pthread_mutex_lock(&j->mutex);
  if (status == IU_OK) {
    folded(j, &result);
  } else if (status == IU_E_NOMEM) {
    j->fold_trouble = status;
    j->fold_after_ns = iu__clock_mono_ns() + j->config.fold_idle_ms * NS_PER_MS;
  } else {
    fail(j, &err);
    return;
  }
  if (j->folded >= j->fold_target || status != IU_OK) tell(j);
}

static void checkpoint(iu_sqlite_journal *j) {
  iu_error err;
  iu_status status;

  pthread_mutex_unlock(&j->mutex);
  status = iu__journal_checkpoint(j, &err);
  pthread_mutex_lock(&j->mutex);
  if (status != IU_OK) fail(j, &err);
}

static void make_room(iu_sqlite_journal *j) {
  pthread_mutex_unlock(&j->mutex);
  iu__journal_make_room(j);
  pthread_mutex_lock(&j->mutex);
}

static void extend(iu_sqlite_journal *j) {
  iu_error err;

  if (iu__journal_extend(j, &err)) tell(j);
  else fail(j, &err);
}

static void finish(iu_sqlite_journal *j) {
  iu_error err;
  iu_status status;

  pthread_mutex_unlock(&j->mutex);
  status = iu__journal_tidy(j, &err);
  pthread_mutex_lock(&j->mutex);
  if (status != IU_OK) fail(j, &err);
}

static void *run(void *arg) {
  iu_sqlite_journal *j = arg;
  bool wrote = false;

  pthread_mutex_lock(&j->mutex);
  while (!j->failed) {
    uint64_t write = write_at(j), fold = fold_at(j), now = iu__clock_mono_ns();

    if (j->wal_pages >= j->checkpoint_at) { /* the owner's writes made it due */
      checkpoint(j);
    } else if (write <= now && !(wrote && j->draining && fold <= now)) {
      write_all(j);
      wrote = true;
    } else if (j->script != NULL && !j->stop) {
      extend(j);
    } else if (fold <= now) {
      fold_some(j);
      wrote = false;
    } else if (j->stop) break;
    else {
      j->hurry = false; /* nothing to hurry with */
      sleep_until(j, write < fold ? write : fold);
      continue;
    }
    if (!j->failed && wrote) make_room(j);
  }
  if (!j->failed) finish(j);
  pthread_mutex_unlock(&j->mutex);
  return NULL;
}

iu_status iu__journal_thread_start(iu_sqlite_journal *j, iu_error *err) {
  int rc;

  j->active_ns = iu__clock_mono_ns();
  rc = iu__thread_start(&j->thread, run, j);
  if (rc != 0) return iu__fail(err, IU_E_STORAGE, "the journal's thread cannot be started: %s", strerror(rc));
  j->started = true;
  return IU_OK;
}

iu_status iu__journal_report(const iu_sqlite_journal *j, iu_error *err) {
  iu_status status = j->error.status != IU_E_NOMEM ? j->error.status : IU_E_STORAGE;

  if (j->durable < j->last)
    return iu__fail(err, status, "commits %llu to %llu were applied but not saved: %s: %s", (unsigned long long)j->durable + 1,
                    (unsigned long long)j->last, j->path, j->error.message);
  return iu__fail(err, status, "%s cannot be written any more (everything committed is saved): %s", j->path, j->error.message);
}
