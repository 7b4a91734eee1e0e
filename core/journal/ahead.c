/* ahead.c: see ahead.h. Batches go round: the reader fills the one after the last that is full, the caller empties the first. */
#include "ahead.h"

#include "../base/thread.h"

typedef struct ahead {
  const iu_ahead_ends *ends;
  pthread_mutex_t mutex;
  pthread_cond_t moved;      /* a batch was filled or emptied, or one side is done */
  iu_buf batches[IU_AHEAD_BATCHES];  /* each row behind its length */
  uint32_t filled, emptied;  /* batches ever */
  bool over, stop;           /* the reader will fill no more; the caller wants no more */
  iu_status status;          /* of the reader, with over */
  iu_error err;
} ahead;

/* One batch; *more: there may be further ones. */
static iu_status fill(const ahead *a, iu_buf *batch, bool *more, iu_error *err) {
  iu_status status = IU_OK;

  iu__buf_reset(batch);
  while (status == IU_OK && *more && batch->len < IU_AHEAD_BATCH_BYTES) {
    iu_slice bytes;
    size_t before = batch->len;

    status = a->ends->next(a->ends->ud, more, &bytes, err);
    if (status != IU_OK || !*more) break;
    iu__buf_put_bytes(batch, bytes.p, bytes.len);
    status = iu__buf_status(batch, err, "rows read ahead");
    if (status != IU_OK) batch->len = before;
  }
  return status;
}

static void *read_all(void *ud) {
  ahead *a = ud;
  bool more = true;
  iu_status status = IU_OK;
  iu_error err;

  pthread_mutex_lock(&a->mutex);
  while (more && status == IU_OK) {
    while (a->filled - a->emptied == IU_AHEAD_BATCHES && !a->stop) pthread_cond_wait(&a->moved, &a->mutex);
    if (a->stop) break;
    pthread_mutex_unlock(&a->mutex);
    status = fill(a, &a->batches[a->filled % IU_AHEAD_BATCHES], &more, &err);
    pthread_mutex_lock(&a->mutex);
    a->filled++;
    pthread_cond_signal(&a->moved);
  }
  a->over = true;
  a->status = status;
  if (status != IU_OK) a->err = err;
  pthread_cond_signal(&a->moved);
  pthread_mutex_unlock(&a->mutex);
  return NULL;
}

static iu_status take_batch(const ahead *a, const iu_buf *batch, iu_error *err) {
  iu_reader r = iu__reader(batch->data, batch->len);
  iu_status status = IU_OK;

  while (status == IU_OK && iu__reader_left(&r) > 0) {
    uint32_t len;
    const uint8_t *p = iu__read_bytes(&r, &len);
    status = a->ends->take(a->ends->ud, (iu_slice){p, len}, err);
  }
  return status;
}

static iu_status take_all(ahead *a, iu_error *err) {
  iu_status status = IU_OK;

  pthread_mutex_lock(&a->mutex);
  while (status == IU_OK) {
    while (a->filled == a->emptied && !a->over) pthread_cond_wait(&a->moved, &a->mutex);
    if (a->filled == a->emptied) break;
    pthread_mutex_unlock(&a->mutex);
    status = take_batch(a, &a->batches[a->emptied % IU_AHEAD_BATCHES], err);
    pthread_mutex_lock(&a->mutex);
    a->emptied++;
    pthread_cond_signal(&a->moved);
  }
  a->stop = true;
  pthread_cond_signal(&a->moved);
  pthread_mutex_unlock(&a->mutex);
  return status;
}

/* Without a thread. */
static iu_status take_each(const iu_ahead_ends *ends, iu_error *err) {
  iu_status status = IU_OK;
  bool more = true;

  while (status == IU_OK && more) {
    iu_slice bytes;

    status = ends->next(ends->ud, &more, &bytes, err);
    if (status == IU_OK && more) status = ends->take(ends->ud, bytes, err);
  }
  return status;
}

iu_status iu__jahead_rows(const iu_ahead_ends *ends, iu_error *err) {
  ahead a = {.ends = ends, .mutex = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
  pthread_t reader;
  iu_status status;

  if (iu__processors() < 2 || iu__thread_start(&reader, read_all, &a) != 0) return take_each(ends, err);
  status = take_all(&a, err);
  pthread_join(reader, NULL);
  for (uint32_t i = 0; i < IU_AHEAD_BATCHES; i++) iu__buf_free(&a.batches[i]);
  pthread_cond_destroy(&a.moved);
  pthread_mutex_destroy(&a.mutex);
  if (status != IU_OK || a.status == IU_OK) return status;
  if (err != NULL) *err = a.err;
  return a.status;
}
