/* pump.c: takes one thing after the other from the inbox and does it whole: a message is decoded, applied, shown, its rows are told, then its answer is
 * given, and only then the next one is looked at. Applying and telling stop when the loop's deadline is over and go on in the next turn. Nothing
 * is delivered inside a callback; after every callback the connection may be closed.
 */
#include "internal.h"

/* Every subscription that was made again has its answer: what they brought can take the place of what is held. */
static bool resync_is_over(const iu_client *c) { return c->online && c->resync && c->restoring == 0 && c->fresh != NULL; }

bool iu__pump_busy(const iu_client *c) {
  return !c->base.closed && (c->work.stage != IU_ST_IDLE || c->first != NULL || c->done.first != NULL || resync_is_over(c));
}

void iu__pump_end_request(iu_client *c) {
  iu_request *r = c->work.request;
  c->work.request = NULL;
  if (r != NULL && r->kind == IU_R_CALL) iu__call_result(c, r, &c->work.m); /* its outcome was told, whatever became of its rows */
  else iu__request_free(r);
}

void iu__pump_drop_work(iu_client *c) {
  iu_work *w = &c->work;
  iu__pump_end_request(c);
  if (w->payload_open) iu__payload_close(&w->payload);
  if (w->item != NULL) iu__inbox_done(c, w->item);
  *w = (iu_work){0};
}

/* ---- telling ---- */

static uint8_t mask_of(const iu_row *old_row, const iu_row *new_row) {
  if (old_row == NULL) return IU_WATCH_INSERT;
  return new_row == NULL ? IU_WATCH_DELETE : IU_WATCH_UPDATE;
}

/* true: somebody was called. */
static bool tell_row(iu_client *c, uint32_t table, const iu_row *old_row, const iu_row *new_row) {
  if (c->base.listener.row == NULL || (c->base.watched[table] & mask_of(old_row, new_row)) == 0) return false;
  c->base.listener.row(c->base.listener.ud, table, old_row, new_row, &c->work.event);
  return true;
}

/* false: out of time. */
static bool tell_events(iu_client *c) {
  iu_work *w = &c->work;
  uint32_t count;
  const iu_replica_event *events = iu__replica_events(w->target, &count);
  while (w->at < count) {
    const iu_replica_event *e = &events[w->at++];
    if (!tell_row(c, e->table, NULL, e->row)) continue;
    if (c->base.closed) return true;
    if (iu__loop_over_deadline(c->config.loop)) return false;
  }
  w->at = 0;
  w->stage = IU_ST_CHANGES;
  return true;
}

static bool tell_changes(iu_client *c) {
  iu_work *w = &c->work;
  const iu_changeset *changes = iu__replica_changes(w->target);
  while (changes != NULL && w->at < changes->count) {
    const iu_change *change = &changes->changes[w->at++];
    if (!tell_row(c, iu__table_index(change->table), change->old_row, change->new_row)) continue;
    if (c->base.closed) return true;
    if (w->at < changes->count && iu__loop_over_deadline(c->config.loop)) return false;
  }
  iu__replica_finish(w->target);
  w->at = 0;
  w->stage = IU_ST_END;
  return true;
}

/* ---- the stages ---- */

static bool apply(iu_client *c) {
  iu_work *w = &c->work;
  iu_error err;
  bool done;
  iu_status status = iu__replica_step(w->target, c->config.loop, &done, &err);
  if (status != IU_OK) {
    iu__link_cut(c, &err);
    return true;
  }
  if (!done) return false;
  iu__replica_show(w->target);
  w->at = 0;
  w->stage = IU_ST_EVENTS;
  if (w->quiet) {
    iu__replica_finish(w->target);
    w->stage = IU_ST_END;
  }
  return true;
}

/* All subscriptions have answered: what they brought replaces what is held. */
static void begin_adoption(iu_client *c) {
  iu_work *w = &c->work;
  iu_replica *fresh = c->fresh;
  iu_error err;
  c->fresh = NULL;
  w->event = (iu_event){.subscribed = true};
  w->target = c->worlds->replica;
  w->quiet = w->stripped = w->has_message = false;
  w->stage = IU_ST_APPLY;
  c->counts.resyncs++;
  if (iu__replica_adopt(w->target, fresh, &err) != IU_OK) iu__link_cut(c, &err);
}

static void next_message(iu_client *c) {
  iu_work *w = &c->work;
  iu_error err;
  bool more;
  iu_status status;
  if (resync_is_over(c)) {
    begin_adoption(c);
    return;
  }
  w->target = NULL;
  w->quiet = w->stripped = false;
  w->lost_sub = NULL;
  status = iu__payload_next(&w->payload, &w->m, &more, &err);
  if (status == IU_OK && !more) {
    iu__pump_drop_work(c);
    return;
  }
  w->has_message = true;
  if (status == IU_OK) status = iu__message_begin(c, &err);
  if (status != IU_OK) {
    iu__error_prefix(&err, "message");
    iu__link_cut(c, &err);
    return;
  }
  w->stage = w->target != NULL ? IU_ST_APPLY : IU_ST_END;
}

static void end(iu_client *c) {
  iu_work *w = &c->work;
  bool message = w->has_message;
  w->stage = w->payload_open ? IU_ST_NEXT : IU_ST_IDLE;
  w->has_message = false;
  if (message) {
    iu__message_end(c);
    return;
  }
  c->resync = false;
  c->attempt = 0;
  iu__sub_adopted(c);
}

/* ---- one step ---- */

static void open_message(iu_client *c, iu_in *item) {
  iu_work *w = &c->work;
  iu_error err;
  *w = (iu_work){.item = item};
  iu_status status = iu__payload_open(&w->payload, c->protocol, item->bytes, item->len, c->config.message_bytes_max, &err);
  if (status != IU_OK) {
    iu__payload_close(&w->payload);
    if (status == IU_E_OVERLOADED && iu__read_oversized(c, item->bytes, item->len)) {
      iu__pump_drop_work(c);
      return;
    }
    iu__error_prefix(&err, "message");
    iu__link_cut(c, &err);
    return;
  }
  w->payload.schema = c->base.schema;
  w->payload_open = true;
  w->stage = IU_ST_NEXT;
}

static void take(iu_client *c) {
  iu_in *item = iu__inbox_take(c);
  if (item->kind == IU_IN_MESSAGE) {
    open_message(c, item);
    return;
  }
  switch ((iu_note_kind)item->len) {
    case IU_NOTE_CONNECTING: iu__link_on_connecting(c); break;
    case IU_NOTE_SCHEMA: iu__link_on_schema(c); break;
    default: iu__link_on_lost(c); break;
  }
}

/* false: out of time in the middle of it. */
static bool step(iu_client *c) {
  switch (c->work.stage) {
    case IU_ST_NEXT: next_message(c); return true;
    case IU_ST_APPLY: return apply(c);
    case IU_ST_EVENTS: return tell_events(c);
    case IU_ST_CHANGES: return tell_changes(c);
    case IU_ST_END: end(c); return true;
    default: break;
  }
  if (c->done.first != NULL) iu__request_tell_ended(c);
  else if (resync_is_over(c)) begin_adoption(c);
  else take(c);
  return true;
}

bool iu__pump_run(iu_client *c) {
  bool left = false;
  if (c->base.delivering || c->base.closed) return iu__pump_busy(c);
  iu__client_retain(c);
  c->base.delivering = true;
  while (!left && iu__pump_busy(c)) {
    left = !step(c);
    if (!c->base.closed) iu__call_tell_flushes(c);
    if (!left && iu__loop_over_deadline(c->config.loop)) left = iu__pump_busy(c);
  }
  c->base.delivering = false;
  if (c->base.closed) {
    iu__pump_drop_work(c);
    iu__inbox_drop_heard(c);
    left = false;
  } else {
    iu__request_send(c);
    if (left) iu__inbox_post(c);
  }
  iu__client_unref(c);
  return left;
}
