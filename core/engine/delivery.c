/* delivery.c: the queue between what was committed and what a session has been told.
 *
 * An item is applied (becomes visible) when everything before it has been told; at once, when nothing is waiting and no callback is
 * running. Then its callbacks run, stopping between two of them when the loop's deadline is over. While a callback of any session of the engine
 * or a reducer runs, nothing else is delivered: what it causes queues behind.
 *
 * After every callback the session may be closed: its queue is then left alone until the delivery has unwound.
 */
#include "internal.h"

#include "../base/alloc.h"

static void item_free(iu_session *s, iu_item *item) {
  iu__iter_close(item->walk_iter);
  if (item->pinned) iu__unpin(&item->pin);
  iu__commit_unref(s->engine, item->commit);
  if (item->kind == IU_ITEM_UNSUBSCRIBE) iu__subscription_free(s, item->sub);
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
}

static void push(iu_session *s, iu_item *item) {
  if (s->last != NULL) s->last->next = item;
  else s->first = item;
  s->last = item;
}

static bool can_apply_now(const iu_session *s) { return s->first == NULL && s->engine->delivering == 0; }

bool iu__delivery_wants(const iu_session *s) { return s->sub_count > 0 || s->first != NULL; }

iu_status iu__delivery_push_commit(iu_session *s, iu_commit *c, iu_error *err) {
  iu_item *item = iu__alloc_zero(1, sizeof *item);
  bool now = can_apply_now(s);
  iu_status status;
  if (item == NULL) return iu__fail_nomem(err);
  item->kind = IU_ITEM_COMMIT;
  item->epoch = c->changes->epoch;
  item->commit = c;
  c->refs++;
  if (now) {
    status = iu__item_apply(s, item, err);
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
  iu_item *item = iu__alloc_zero(1, sizeof *item);
  iu_status status = IU_OK;
  bool now = can_apply_now(s);
  if (item == NULL) return iu__fail_nomem(err);
  item->kind = ending ? IU_ITEM_UNSUBSCRIBE : IU_ITEM_SUBSCRIBE;
  item->sub = sub;
  if (!ending) {
    item->epoch = iu__store_epoch(s->base.store);
    iu__pin(s->base.store, &item->pin, item->epoch);
    item->pinned = true;
  }
  if (now) status = iu__item_apply(s, item, err);
  push(s, item);
  iu__job_post(s->engine->config.loop, &s->job);
  return status;
}

/* ---- callbacks ---- */

static void call_row(iu_session *s, const iu_item *item, uint32_t table, const iu_row *old_row, const iu_row *new_row) {
  uint8_t mask = old_row == NULL ? IU_WATCH_INSERT : new_row == NULL ? IU_WATCH_DELETE : IU_WATCH_UPDATE;
  iu_event event = {0};
  if (s->base.listener.row == NULL || (s->base.watched[table] & mask) == 0) return;
  if (item->commit != NULL) {
    const iu_commit *c = item->commit;
    event.reducer = c->reducer;
    event.args = (iu_slice){c->args, c->args_len};
    memcpy(event.caller, c->identity, 32);
    memcpy(event.connection_id, c->connection_id, 16);
    event.timestamp = c->timestamp;
    event.own = c->caller == s;
    event.transaction = item->epoch;
  } else {
    event.subscribed = true;
  }
  s->base.listener.row(s->base.listener.ud, table, old_row, new_row, &event);
}

static bool out_of_time(const iu_session *s, bool ignore_deadline) {
  return !ignore_deadline && iu__loop_over_deadline(s->engine->config.loop);
}

static bool run_edges(iu_session *s, iu_item *item, bool ignore_deadline) {
  while (item->edge_at < item->edge_count) {
    const iu_edge *e = &item->edges[item->edge_at++];
    call_row(s, item, e->table, e->old_row, e->new_row);
    if (s->base.closed) return true;
    if (item->edge_at < item->edge_count && out_of_time(s, ignore_deadline)) return false;
  }
  return true;
}

static bool run_walk(iu_session *s, iu_item *item, bool ignore_deadline) {
  bool entering = item->kind == IU_ITEM_SUBSCRIBE;
  uint8_t mask = entering ? IU_WATCH_INSERT : IU_WATCH_DELETE;
  while (item->walk_at < item->walk_count) {
    uint32_t table = item->walk[item->walk_at];
    const iu_row *row;
    if (item->walk_iter == NULL) {
      bool watched = (s->base.watched[table] & mask) != 0;
      /* Without memory for the walk its callbacks are lost; the session is told by being closed. */
      iu_error err;
      if (watched && iu__table_iter(iu__store_table(s->base.store, table), iu__view_epoch(s->base.view), IU_INDEX_MAIN, NULL, false,
                                    &item->walk_iter, &err) != IU_OK) {
        iu__session_break(s, &err);
        return true;
      }
      if (!watched) {
        item->walk_at++;
        continue;
      }
    }
    while ((row = iu__iter_next(item->walk_iter)) != NULL) {
      call_row(s, item, table, entering ? NULL : row, entering ? row : NULL);
      if (s->base.closed) return true;
      if (out_of_time(s, ignore_deadline)) return false;
    }
    iu__iter_close(item->walk_iter);
    item->walk_iter = NULL;
    item->walk_at++;
  }
  return true;
}

/* false: out of time, to be continued. */
static bool run_item(iu_session *s, iu_item *item, bool ignore_deadline) {
  iu_sub_event what = item->kind == IU_ITEM_SUBSCRIBE ? IU_SUB_APPLIED : IU_SUB_ENDED;
  if (!run_edges(s, item, ignore_deadline) || (!s->base.closed && !run_walk(s, item, ignore_deadline))) return false;
  if (s->base.closed || item->sub == NULL || s->base.listener.subscription == NULL) return true;
  s->base.listener.subscription(s->base.listener.ud, item->sub->id, what, NULL);
  return true;
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
    if (!item->applied && iu__item_apply(s, item, &err) != IU_OK) {
      iu__session_break(s, &err);
      break;
    }
    if (!run_item(s, item, ignore_deadline)) {
      left = true;
    } else if (!s->base.closed) {
      s->first = item->next;
      if (s->first == NULL) s->last = NULL;
      item_free(s, item);
      left = s->first != NULL && out_of_time(s, ignore_deadline);
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
