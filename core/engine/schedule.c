/* schedule.c: scheduled tables: each row runs its table's reducer, at its time or again and again.
 *
 * A heap holds an entry for every such row, earliest first; one timer of the loop waits for the first. Rows that a commit writes get entries, those that
 * it deletes or writes again leave stale ones behind, known by the row's epoch and dropped where they come up, or when they are more than the rows. So what
 * a transaction arms costs O(log n), and a rolled-back one arms nothing.
 *
 * Due rows run in order of their time (then of their writing), a transaction each, with the database's identity as sender. A row with a time is deleted in
 * the transaction that runs it; one with an interval is due again an interval after it was due (not after it ran), and what it missed meanwhile is left out.
 * The first time comes an interval after it was written, or after the open. Times that are over when the universe opens are due at once.
 */
#include "internal.h"

#include "../base/alloc.h"
#include "../base/clock.h"

#define RUNS_A_TURN 64        /* then the loop looks at other things; fewer where its budget is spent */
#define SLEEP_MAX_MS 60000    /* the clock may be set meanwhile */
#define RETRY_MICROS 1000000  /* after a run that could not begin or be kept: no memory, a journal far behind */
#define STALE_EXTRA 1024      /* stale entries that are not worth a clean-up */

/* ---- the heap ---- */

static bool before(const iu_due *a, const iu_due *b) {
  if (a->at != b->at) return a->at < b->at;
  return a->epoch != b->epoch ? a->epoch < b->epoch : a->key < b->key;
}

static void sift_down(iu_schedule *s, uint32_t i) {
  iu_due moving = s->heap[i];
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= s->count) break;
    if (child + 1 < s->count && before(&s->heap[child + 1], &s->heap[child])) child++;
    if (!before(&s->heap[child], &moving)) break;
    s->heap[i] = s->heap[child];
    i = child;
  }
  s->heap[i] = moving;
}

static void heapify(iu_schedule *s) {
  for (uint32_t i = s->count / 2; i > 0; i--) sift_down(s, i - 1);
}

/* Room was made sure of. */
static void push(iu_schedule *s, iu_due due) {
  uint32_t i = s->count++;
  while (i > 0 && before(&due, &s->heap[(i - 1) / 2])) {
    s->heap[i] = s->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  s->heap[i] = due;
}

static iu_due pop(iu_schedule *s) {
  iu_due first = s->heap[0];
  s->heap[0] = s->heap[--s->count];
  if (s->count > 0) sift_down(s, 0);
  return first;
}

static iu_status reserve(iu_schedule *s, uint64_t more, iu_error *err) {
  uint64_t cap = s->cap != 0 ? s->cap : 64;
  if (s->cap - s->count >= more) return IU_OK;
  while (cap - s->count < more) cap *= 2;
  iu_due *heap = cap <= UINT32_MAX ? iu__realloc_array(s->heap, (size_t)cap, sizeof *heap) : NULL;
  if (heap == NULL) return iu__fail_nomem(err);
  s->heap = heap;
  s->cap = (uint32_t)cap;
  return IU_OK;
}

/* ---- rows ---- */

static int64_t later(int64_t at, int64_t by) { return by > 0 && at > INT64_MAX - by ? INT64_MAX : at + by; }

/* Its ScheduleAt: microseconds, of a time or of an interval. */
static int64_t schedule_of(const iu_table_def *def, const iu_row *row, bool *once) {
  const uint8_t *at = iu__bsatn_column(def->row, def->schedule_column, row->data, row->len).p;
  int64_t micros = (int64_t)iu__load_u64(at + 1);
  *once = at[0] == 1;
  return !*once && micros < 0 ? 0 : micros;
}

/* As on a SpacetimeDB server, whose timers do not reach further. */
iu_status iu__schedule_check(const iu_engine *e, const iu_table_def *def, const void *row, size_t len, iu_error *err) {
  const uint8_t *at = iu__bsatn_column(def->row, def->schedule_column, row, len).p;
  int64_t micros = (int64_t)iu__load_u64(at + 1), limit = IU_SCHEDULE_DELAY_MS_MAX * 1000;
  bool over = at[0] == 1 ? micros > e->last_timestamp && (uint64_t)micros - (uint64_t)e->last_timestamp >= (uint64_t)limit : micros >= limit;
  if (!over) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "table `%s`: `%s` is %s: expected less than %lld days (2^36 - 1 ms), as on a SpacetimeDB server; schedule again from the reducer",
                  def->name, def->row->u.fields[def->schedule_column].name, at[0] == 1 ? "too far ahead" : "too long an interval",
                  (long long)(IU_SCHEDULE_DELAY_MS_MAX / 86400000 + 1));
}

static iu_due due_of(const iu_table *t, const iu_row *row, int64_t now) {
  const iu_table_def *def = iu__table_def(t);
  bool once;
  int64_t micros = schedule_of(def, row, &once);
  uint64_t key = iu__load_u64(iu__bsatn_column(def->row, (uint32_t)def->primary_key, row->data, row->len).p);
  return (iu_due){once ? micros : later(now, micros), key, row->from, iu__table_index(t)};
}

/* The row that an entry means; NULL: it is stale. */
static const iu_row *row_of(const iu_engine *e, const iu_due *due) {
  uint8_t key[8];
  iu__store_u64(key, due->key);
  const iu_row *row = iu__table_get(iu__store_table(e->store, due->table), IU_EPOCH_LATEST, key, 8);
  return row != NULL && row->from == due->epoch ? row : NULL;
}

static uint64_t count_rows(const iu_engine *e) {
  uint64_t n = 0;
  for (uint32_t t = 0; t < e->schema->table_count; t++) {
    if (e->schema->tables[t].schedule_reducer >= 0) n += iu__table_count(iu__store_table(e->store, t), IU_EPOCH_LATEST);
  }
  return n;
}

static void drop_stale(iu_engine *e) {
  iu_schedule *s = &e->schedule;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    if (row_of(e, &s->heap[i]) != NULL) s->heap[kept++] = s->heap[i];
  }
  s->count = kept;
  heapify(s);
}

/* ---- the timer ---- */

static void set_timer(iu_engine *e) {
  iu_schedule *s = &e->schedule;
  if (s->timer == NULL) return;
  if (s->count == 0 || e->failure.status != IU_OK) {
    iu__timer_set(s->timer, -1);
    return;
  }
  int64_t now = iu__clock_micros(), at = s->heap[0].at;
  if (at <= now) {
    iu__timer_set(s->timer, -1);
    iu__job_post(e->config.loop, &s->job);
  } else if (at / 1000 - now / 1000 >= SLEEP_MAX_MS) iu__timer_set(s->timer, SLEEP_MAX_MS);
  else iu__timer_set(s->timer, (at - now + 999) / 1000);
}

/* When a row with an interval comes again. */
static int64_t next_time(int64_t at, int64_t interval, int64_t now) {
  int64_t next = later(at, interval);
  if (next > now) return next;
  return interval == 0 ? now : later(at, ((now - at) / interval + 1) * interval);
}

static void run_due(iu_engine *e, iu_due due, const iu_row *row) {
  const iu_table_def *def = &e->schema->tables[due.table];
  bool once, ran;
  iu_error err;
  int64_t interval = schedule_of(def, row, &once);
  iu_status status = iu__transaction_scheduled(e, due.table, row, once, &ran, &err);
  if (e->closed || e->closing) return;
  int64_t now = iu__clock_micros();
  if (!ran) {
    iu__log(&e->config.log, IU_LOG_WARN, "scheduled %s: %s", e->schema->reducers[def->schedule_reducer].name, err.message);
    if (status != IU_OK && e->failure.status == IU_OK) due.at = later(now, RETRY_MICROS);
  } else if (!once) due.at = next_time(due.at, interval, now);
  if ((!ran || !once) && row_of(e, &due) != NULL) push(&e->schedule, due);
}

static void on_due(void *ud) {
  iu_engine *e = ud;
  iu_schedule *s = &e->schedule;
  iu_due due;
  if (e->closing || s->timer == NULL) return;
  if (e->in_reducer) { /* which turns the loop, by way of a script */
    iu__timer_set(s->timer, 1);
    return;
  }
  if (iu__engine_stall(e)) return;
  iu__engine_ref(e); /* a reducer, or who hears what it logs, may close us */
  int64_t now = iu__clock_micros();
  for (int i = 0; i < RUNS_A_TURN && s->count > 0 && s->heap[0].at <= now; i++) {
    if (i > 0 && iu__engine_stall(e)) break;
    due = pop(s);
    const iu_row *row = row_of(e, &due);
    if (row != NULL) run_due(e, due, row);
    if (e->closing || e->failure.status != IU_OK || iu__loop_over_deadline(e->config.loop)) break;
  }
  if (!e->closing && !e->stalled) set_timer(e);
  iu__engine_unref(e);
}

/* ---- life ---- */

static iu_status arm_table(iu_engine *e, iu_table *t, int64_t now, iu_error *err) {
  iu_schedule *s = &e->schedule;
  const iu_row *row;
  iu_iter *it;
  iu_status status = reserve(s, iu__table_count(t, IU_EPOCH_LATEST) + 1, err);
  if (status == IU_OK) status = iu__table_iter(t, IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, err);
  if (status != IU_OK) return status;
  while ((row = iu__iter_next(it)) != NULL) s->heap[s->count++] = due_of(t, row, now);
  iu__iter_close(it);
  return IU_OK;
}

iu_status iu__schedule_open(iu_engine *e, iu_error *err) {
  int64_t now = iu__clock_micros();
  iu_status status = IU_OK;
  bool any = false;
  for (uint32_t t = 0; t < e->schema->table_count && status == IU_OK; t++) {
    if (e->schema->tables[t].schedule_reducer < 0) continue;
    any = true;
    status = arm_table(e, iu__store_table(e->store, t), now, err);
  }
  if (status != IU_OK || !any) return status;
  heapify(&e->schedule);
  e->schedule.job.fn = on_due;
  e->schedule.job.ud = e;
  status = iu__timer_start(e->config.loop, SLEEP_MAX_MS, 0, on_due, e, &e->schedule.timer, err);
  if (status == IU_OK) set_timer(e);
  return status;
}

void iu__schedule_resume(iu_engine *e) { set_timer(e); }

void iu__schedule_close(iu_engine *e) {
  if (e->schedule.timer == NULL) return;
  iu__job_cancel(e->config.loop, &e->schedule.job);
  iu__timer_close(e->schedule.timer);
  e->schedule.timer = NULL;
}

/* One more, for the row that runs just now and comes again. */
iu_status iu__schedule_reserve(iu_engine *e, iu_error *err) { return reserve(&e->schedule, (uint64_t)e->tx.scheduled + 1, err); }

void iu__schedule_commit(iu_engine *e, const iu_changeset *changes) {
  iu_schedule *s = &e->schedule;
  for (uint32_t i = 0; i < changes->count; i++) {
    const iu_change *c = &changes->changes[i];
    if (c->new_row == NULL || iu__table_def(c->table)->schedule_reducer < 0) continue;
    push(s, due_of(c->table, c->new_row, e->last_timestamp));
  }
  if (s->count > STALE_EXTRA && s->count > 2 * count_rows(e) + STALE_EXTRA) drop_stale(e);
  set_timer(e);
}
