/* pump.c: takes one thing after the other from the inbox and does it whole: a message is decoded, applied, shown, its rows are told, then its answer is
 * given, and only then the next one is looked at. Applying and telling stop when the loop's deadline is over and go on in the next turn. Nothing
 * is delivered inside a callback; after every callback the connection may be closed.
 */
#include "internal.h"

#define GIVE_BACK (2u << 20) /* bytes of a message's memory that go between two looks at the clock */

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

/* The source of the rows of the thing at hand. `count`: how many there are of the kind that it walks. */
typedef struct telling { iu_row_source source; iu_client *c; uint32_t count; } telling;

static bool may_tell(const telling *t) {
  const iu_client *c = t->c;
  return !c->base.closed && c->work.at < t->count && !(t->source.told && iu__loop_over_deadline(c->config.loop));
}

static bool next_event(iu_row_source *source) {
  telling *t = source->ud;
  iu_work *w = &t->c->work;
  uint32_t count;
  while (may_tell(t)) {
    const iu_replica_event *e = &iu__replica_events(w->target, &count)[w->at++];
    if (iu__conn_offer(&t->c->base, source, e->table, NULL, e->row)) return true;
  }
  return false;
}

static bool next_change(iu_row_source *source) {
  telling *t = source->ud;
  iu_work *w = &t->c->work;
  while (may_tell(t)) {
    const iu_change *change = &iu__replica_changes(w->target)->changes[w->at++];
    if (iu__conn_offer(&t->c->base, source, iu__table_index(change->table), change->old_row, change->new_row)) return true;
  }
  return false;
}

/* false: out of time. */
static bool tell(iu_client *c, uint32_t count, bool (*next)(iu_row_source *source), iu_stage then) {
  iu_work *w = &c->work;
  telling t = {{.next = next, .event = &w->event}, c, count};
  t.source.ud = &t;
  iu__conn_tell(&c->base, &t.source);
  if (c->base.closed) return true;
  if (w->at < count) return false;
  w->at = 0;
  w->stage = then;
  return true;
}

static bool tell_events(iu_client *c) {
  uint32_t count;
  iu__replica_events(c->work.target, &count);
  return tell(c, count, next_event, IU_ST_CHANGES);
}

static bool tell_changes(iu_client *c) {
  const iu_changeset *changes = iu__replica_changes(c->work.target);
  return tell(c, changes != NULL ? changes->count : 0, next_change, IU_ST_FINISH);
}

static bool finish(iu_client *c) {
  if (!iu__replica_finish_some(c->work.target, c->config.loop)) return false;
  c->work.stage = IU_ST_END;
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
  if (w->quiet) w->stage = IU_ST_FINISH;
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
    w->stage = IU_ST_GIVE_BACK;
    return;
  }
  w->has_message = true;
  if (status == IU_OK) status = iu__message_begin(c, &err);
  iu__early_end(c);
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

/* The memory of a large message goes in parts: the kernel takes its time over megabytes. */
static void give_back(iu_client *c) {
  iu_work *w = &c->work;
  if (iu__buf_shrink(&w->payload.plain, GIVE_BACK) || iu__buf_shrink(&w->item->taken, GIVE_BACK)) return;
  iu__pump_drop_work(c);
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
  if (item != c->early.item) iu__early_drop(c);
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
    case IU_ST_FINISH: return finish(c);
    case IU_ST_END: end(c); return true;
    case IU_ST_GIVE_BACK: give_back(c); return true;
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
