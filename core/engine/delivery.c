/* delivery.c: the queue between what was committed and what a session has been told.
 *
 * An item is applied (becomes visible) when everything before it has been told; at once, when nothing is waiting and no callback is
 * running; one that takes long in slices, to the loop's deadline. Then its callbacks run, stopping between two of them when the loop's deadline is over. While a callback of any session of the engine
 * or a reducer runs, nothing else is delivered: what it causes queues behind.
 *
 * After every callback the session may be closed: its queue is then left alone until the delivery has unwound.
 */
#include "internal.h"

#include "../base/alloc.h"

static void item_free(iu_session *s, iu_item *item) {
  iu__iter_close(item->walk_iter);
  iu__item_end_staging(item);
  if (item->pinned) iu__unpin(&item->pin);
  iu__commit_unref(s->engine, item->commit);
  if (item->kind == IU_ITEM_UNSUBSCRIBE) iu__subscription_free(s, item->sub);
  for (uint32_t i = 0; i < item->more_count; i++) iu__free(item->more[i]);
  iu__free(item->more);
  iu__free(item->edges);
  iu__free(item->walk);
  iu__free(item);
}

void iu__delivery_drop(iu_session *s) {
  if (s->base.delivering) return; /* the delivery that is running does it when it has unwound */
  while (s->first != NULL) {
    iu_item *item = s->first;
    s->first = item->next;
    item_free(s, item);
  }
  s->last = NULL;
  s->queued = 0;
  s->queued_bytes = 0;
}

static void push(iu_session *s, iu_item *item) {
  if (s->last != NULL) s->last->next = item;
  else s->first = item;
  s->last = item;
  s->queued++;
  s->queued_bytes += item->commit != NULL ? item->commit->bytes : 0;
}

static void pop(iu_session *s) {
  iu_item *item = s->first;
  s->first = item->next;
  if (s->first == NULL) s->last = NULL;
  s->queued--;
  s->queued_bytes -= item->commit != NULL ? item->commit->bytes : 0;
  item_free(s, item);
}

/* Whether an item that has to wait may do so. */
static iu_status check_room(const iu_session *s, uint64_t bytes, iu_error *err) {
  const iu_engine_config *config = &s->engine->config;
  if (s->queued < config->queue_items_max && s->queued_bytes + bytes <= config->queue_bytes_max) return IU_OK;
  return iu__fail(err, IU_E_OVERLOADED, "the connection is too far behind: %u changes of %llu bytes wait to be told (at most %u, %llu bytes)", s->queued,
                  (unsigned long long)s->queued_bytes, config->queue_items_max, (unsigned long long)config->queue_bytes_max);
}

static bool can_apply_now(const iu_session *s) { return s->first == NULL && s->engine->delivering == 0; }

/* Between the steps of a frame loop what may take long is left for them. A step itself slices it. */
static bool is_put_off(const iu_session *s) { return iu__loop_in_frames(s->engine->config.loop) && !iu__loop_has_deadline(s->engine->config.loop); }

#define LARGE_COMMIT 256u /* changes that a frame should not have to bear besides those of its own calls */

bool iu__delivery_wants(const iu_session *s) { return s->sub_count > 0 || s->first != NULL; }

iu_status iu__delivery_push_commit(iu_session *s, iu_commit *c, iu_error *err) {
  bool large = c->changes->count > LARGE_COMMIT && c->caller != s && iu__loop_in_frames(s->engine->config.loop);
  bool now = can_apply_now(s) && !large;
  iu_status status = s->first == NULL ? IU_OK : check_room(s, c->bytes, err);
  iu_item *item;
  if (status != IU_OK) return status;
  item = iu__alloc_zero(1, sizeof *item);
  if (item == NULL) return iu__fail_nomem(err);
  item->kind = IU_ITEM_COMMIT;
  item->epoch = c->changes->epoch;
  item->commit = c;
  c->refs++;
  if (now) {
    status = iu__item_apply(s, item, true, err);
    if (status == IU_OK && item->edge_count == 0) (void)iu__item_sweep(s, item, true);
    if (status != IU_OK || item->edge_count == 0) {
      item_free(s, item);
      return status;
    }
  }
  push(s, item);
  iu__job_post(s->engine->config.loop, &s->job);
  return IU_OK;
}

iu_status iu__delivery_push_subscription(iu_session *s, iu_subscription *sub, bool ending, iu_error *err) {
  iu_status status = check_room(s, 0, err);
  bool now = can_apply_now(s);
  iu_item *item;
  if (status != IU_OK) return status;
  item = iu__alloc_zero(1, sizeof *item);
  if (item == NULL) return iu__fail_nomem(err);
  item->kind = ending ? IU_ITEM_UNSUBSCRIBE : IU_ITEM_SUBSCRIBE;
  item->sub = sub;
  if (!ending) {
    item->epoch = iu__store_epoch(s->base.store);
    iu__pin(s->base.store, &item->pin, item->epoch);
    item->pinned = true;
  }
  if (now && !is_put_off(s)) status = iu__item_apply(s, item, false, err);
  push(s, item);
  iu__job_post(s->engine->config.loop, &s->job);
  return status;
}

/* ---- callbacks ---- */

/* The source of an item's rows: first those that entered or left filters, then the tables that are held whole. */
typedef struct telling { iu_row_source source; iu_session *s; iu_item *item; bool ignore_deadline; } telling;

static void describe(const iu_session *s, const iu_item *item, iu_event *event) {
  const iu_commit *c = item->commit;
  *event = (iu_event){.subscribed = c == NULL};
  if (c == NULL) return;
  event->reducer = c->reducer;
  event->args = (iu_slice){c->args, c->args_len};
  memcpy(event->caller, c->identity, 32);
  memcpy(event->connection_id, c->connection_id, 16);
  event->timestamp = c->timestamp;
  event->own = c->caller == s;
  event->transaction = item->epoch;
}

/* The next row of the tables that are walked. Without memory for the walk its callbacks are lost; the session is told by being closed. */
static const iu_row *next_walked(telling *t, uint32_t *table) {
  iu_item *item = t->item;
  bool entering = item->kind == IU_ITEM_SUBSCRIBE;
  uint8_t mask = entering ? IU_WATCH_INSERT : IU_WATCH_DELETE;
  for (; item->walk_at < item->walk_count; item->walk_at++) {
    const iu_row *row;
    iu_error err;
    *table = item->walk[item->walk_at];
    if (item->walk_iter == NULL && (t->s->base.watched[*table] & mask) == 0) continue;
    if (item->walk_iter == NULL && iu__table_iter(iu__store_table(t->s->base.store, *table), iu__view_epoch(t->s->base.view), IU_INDEX_MAIN, NULL, false,
                                                  &item->walk_iter, &err) != IU_OK) {
      iu__session_break(t->s, &err);
      return NULL;
    }
    if ((row = iu__iter_next(item->walk_iter)) != NULL) return row;
    iu__iter_close(item->walk_iter);
    item->walk_iter = NULL;
  }
  return NULL;
}

static bool next_row(iu_row_source *source) {
  telling *t = source->ud;
  iu_item *item = t->item;
  const iu_row *row;
  uint32_t table;
  while (!t->s->base.closed && !(source->told && iu__session_out_of_time(t->s, t->ignore_deadline))) {
    if (item->edge_at < item->edge_count) {
      const iu_edge *e = iu__item_edge(item, item->edge_at++);
      if (iu__conn_offer(&t->s->base, source, e->table, e->old_row, e->new_row)) return true;
      continue;
    }
    if ((row = next_walked(t, &table)) == NULL) return false;
    if (iu__conn_offer(&t->s->base, source, table, item->kind == IU_ITEM_SUBSCRIBE ? NULL : row, item->kind == IU_ITEM_SUBSCRIBE ? row : NULL)) return true;
  }
  return false;
}

/* false: out of time. */
static bool tell_rows(iu_session *s, iu_item *item, bool ignore_deadline) {
  iu_event event;
  telling t = {{.next = next_row, .event = &event}, s, item, ignore_deadline};
  if (item->edge_at == item->edge_count && item->walk_at == item->walk_count) return true;
  describe(s, item, &event);
  t.source.ud = &t;
  iu__conn_tell(&s->base, &t.source);
  return s->base.closed || (item->edge_at == item->edge_count && item->walk_at == item->walk_count);
}

#define LARGE_ITEM 16384u /* rows */

/* false: out of time, to be continued. */
static bool run_item(iu_session *s, iu_item *item, bool ignore_deadline) {
  iu_sub_event what = item->kind == IU_ITEM_SUBSCRIBE ? IU_SUB_APPLIED : IU_SUB_ENDED;
  if (!tell_rows(s, item, ignore_deadline)) return false;
  if (!s->base.closed && !iu__item_sweep(s, item, ignore_deadline)) return false;
  if (!s->base.closed && !item->told_all && item->sub != NULL && s->base.listener.subscription != NULL) {
    s->base.listener.subscription(s->base.listener.ud, item->sub->id, what, NULL);
  }
  /* Megabytes that go back at once take their time, too: that is for the beginning of a step. */
  bool rest = !s->base.closed && !item->told_all && item->edge_count > LARGE_ITEM && !ignore_deadline && iu__loop_has_deadline(s->engine->config.loop);
  item->told_all = true;
  return !rest;
}

void iu__delivery_resume(iu_engine *e) {
  if (!e->put_off) return;
  e->put_off = false;
  for (iu_session *s = e->sessions; s != NULL; s = s->next) {
    if (!s->base.closed && s->first != NULL) iu__job_post(e->config.loop, &s->job);
  }
}

bool iu__delivery_run(iu_session *s, bool ignore_deadline) {
  iu_engine *e = s->engine;
  bool left = false;
  if (e->delivering > 0 || e->in_reducer) { /* a script turns the loop there; its job is spent, so somebody has to post it again */
    e->put_off = e->put_off || s->first != NULL;
    return s->first != NULL;
  }
  if (s->first == NULL || s->base.closed) return false;
  iu__session_retain(s);
  s->base.delivering = true;
  e->delivering++;
  while (!s->base.closed && !left && s->first != NULL) {
    iu_item *item = s->first;
    iu_error err;
    if (!item->applied && iu__item_apply(s, item, ignore_deadline, &err) != IU_OK) {
      iu__session_break(s, &err);
      break;
    }
    if (!item->applied || !run_item(s, item, ignore_deadline)) {
      left = true;
    } else if (!s->base.closed) {
      pop(s);
      left = s->first != NULL && iu__session_out_of_time(s, ignore_deadline);
    }
  }
  e->delivering--;
  s->base.delivering = false;
  if (s->base.closed) iu__delivery_drop(s);
  else if (left) iu__job_post(e->config.loop, &s->job);
  iu__delivery_resume(e);
  iu__session_unref(s);
  return left;
}
