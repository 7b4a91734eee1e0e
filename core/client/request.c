/* request.c: everything that is sent and answered: a queue of what waits, a list and a hash of what is in flight, a list of what ended without the
 * server. Each request is in one of them and is answered once. Request ids on the wire count up, skipping 0, which servers use for "none".
 */
#include "../base/alloc.h"
#include "internal.h"

#define PACK_BYTES (64u * 1024u)

/* ---- lists ---- */

static void append(iu_requests *list, iu_request *r) {
  r->next = NULL;
  r->prev = list->last;
  if (list->last != NULL) list->last->next = r;
  else list->first = r;
  list->last = r;
  list->count++;
  list->bytes += r->len;
}

static iu_request **bucket(iu_client *c, uint32_t id) { return &c->buckets[id % IU_CLIENT_BUCKETS]; }

void iu__request_take(iu_client *c, iu_requests *list, iu_request *r) {
  if (r->prev != NULL) r->prev->next = r->next;
  else list->first = r->next;
  if (r->next != NULL) r->next->prev = r->prev;
  else list->last = r->prev;
  list->count--;
  list->bytes -= r->len;
  r->prev = r->next = NULL;
  if (list != &c->flying) return;
  iu_request **link = bucket(c, r->id);
  while (*link != NULL && *link != r) link = &(*link)->chain;
  if (*link != NULL) *link = r->chain;
  r->chain = NULL;
}

/* ---- life ---- */

iu_request *iu__request_new(iu_client *c, iu_request_kind kind, const void *bytes, size_t len, iu_error *err) {
  iu_request *r = iu__alloc(sizeof *r + len);
  if (r == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  *r = (iu_request){.kind = kind, .len = len, .sequence = ++c->next_sequence};
  if (len != 0) memcpy(r->bytes, bytes, len);
  return r;
}

void iu__request_free(iu_request *r) {
  if (r == NULL) return;
  if (r->sub != NULL) {
    r->sub->requests--;
    iu__sub_release(r->sub);
  }
  iu__free(r->end_text);
  iu__free(r);
}

/* ---- into the queue ---- */

static iu_status admit(const iu_client *c, const iu_request *r, iu_error *err) {
  const iu_client_config *k = &c->config;
  if (c->online && c->ws != NULL) {
    if (c->waiting.bytes + r->len > k->outgoing_bytes_max) {
      return iu__fail(err, IU_E_OVERLOADED, "%zu bytes of requests wait to be sent; the limit is %zu", c->waiting.bytes, k->outgoing_bytes_max);
    }
    return IU_OK;
  }
  if (k->away == IU_AWAY_REFUSE) return iu__fail(err, IU_E_CONNECTION, "not connected to %s", k->url);
  if (c->waiting.count >= k->away_calls_max || c->waiting.bytes + r->len > k->away_bytes_max) {
    return iu__fail(err, IU_E_OVERLOADED, "not connected to %s, and %u requests of %zu bytes wait for it already", k->url, c->waiting.count, c->waiting.bytes);
  }
  return IU_OK;
}

iu_status iu__request_queue(iu_client *c, iu_request *r, iu_error *err) {
  iu_status status = r->pending == 0 ? IU_OK : admit(c, r, err);
  if (status != IU_OK) {
    iu__request_free(r);
    return status;
  }
  append(&c->waiting, r);
  if (c->online && c->protocol == IU_P_V3) iu__job_post_early(c->config.loop, &c->sending); /* with what else is asked for in this turn */
  else iu__request_send(c);
  return IU_OK;
}

void iu__request_push_first(iu_client *c, iu_request *r) {
  iu_requests *list = &c->waiting;
  r->prev = NULL;
  r->next = list->first;
  if (list->first != NULL) list->first->prev = r;
  else list->last = r;
  list->first = r;
  list->count++;
  list->bytes += r->len;
}

/* ---- sending ---- */

static iu_status encode(iu_client *c, const iu_request *r, iu_buf *b, iu_error *err) {
  iu_slice bytes = {r->bytes, r->len};
  iu_status status = IU_OK;
  switch (r->kind) {
    case IU_R_CALL: status = iu__put_call(b, c->protocol, r->id, r->reducer->name, r->reducer->params, bytes, false, err); break;
    case IU_R_PROCEDURE: status = iu__put_procedure(b, c->protocol, r->id, r->procedure->name, r->procedure->params, bytes, err); break;
    case IU_R_ONE_OFF: iu__put_one_off(b, c->protocol, r->id, bytes); break;
    case IU_R_SUBSCRIBE: iu__put_subscribe(b, c->protocol, r->id, r->sub->set, r->sub->queries, r->sub->count); break;
    case IU_R_UNSUBSCRIBE: iu__put_unsubscribe(b, c->protocol, r->id, r->sub->set, true); break;
  }
  return status != IU_OK ? status : iu__buf_status(b, err, "a request");
}

/* Ids of 2^32 requests ago may still be in flight. */
static uint32_t next_id(iu_client *c) {
  for (;;) {
    uint32_t id = ++c->next_request;
    const iu_request *r = *bucket(c, id);
    while (r != NULL && r->id != id) r = r->chain;
    if (id != 0 && r == NULL) return id;
  }
}

void iu__request_fly_again(iu_client *c, iu_request *r) {
  iu_request **head = bucket(c, r->id);
  append(&c->flying, r);
  r->chain = *head;
  *head = r;
}

static void fly(iu_client *c, iu_request *r) {
  iu__request_fly_again(c, r);
  if (r->kind == IU_R_CALL || r->kind == IU_R_PROCEDURE) c->counts.calls++;
  if (r->kind == IU_R_SUBSCRIBE) r->sub->state = IU_SUB_SENT;
}

/* It goes later: there is no room, and answers that are to come say when there is; or the socket is at its end, which is told next. */
static bool can_wait(const iu_client *c, iu_status status) {
  return (status == IU_E_OVERLOADED && c->flying.count > 0) || status == IU_E_CONNECTION || status == IU_E_CLOSED;
}

/* false: the socket takes no more for now. */
static bool send_one(iu_client *c, iu_request *r) {
  iu_buf b = {0};
  iu_error err;
  r->id = next_id(c);
  if (r->kind == IU_R_SUBSCRIBE) r->sub->set = ++c->next_set;
  iu_status status = encode(c, r, &b, &err);
  bool later = false;
  if (status == IU_OK) {
    status = iu__ws_send(c->ws, b.data, b.len, c->protocol == IU_P_V1_JSON, &err);
    later = can_wait(c, status);
  }
  if (status == IU_OK) {
    c->counts.bytes_sent += b.len;
    iu__request_take(c, &c->waiting, r);
    fly(c, r);
  } else if (!later) {
    iu__request_take(c, &c->waiting, r);
    iu__request_end(c, r, status, err.message);
  }
  iu__buf_free(&b);
  return !later;
}

/* During a resync only what restores the subscriptions goes out: an answer must not come before the change it made can be seen. */
static bool may_go(const iu_client *c, const iu_request *r, uint32_t before) {
  return r != NULL && c->flying.count + before < c->config.in_flight_max && (!c->resync || (r->kind == IU_R_SUBSCRIBE && r->sub->restoring));
}

/* v3: several messages in one payload, as many as PACK_BYTES hold; one that is larger goes alone. false: the socket takes no more for now. */
static bool send_pack(iu_client *c) {
  iu_buf b = {0};
  iu_error err;
  uint32_t count = 0;
  iu_status status = IU_OK;
  for (iu_request *r = c->waiting.first; may_go(c, r, count) && (count == 0 || b.len + r->len < PACK_BYTES); r = r->next) {
    r->id = next_id(c);
    if (r->kind == IU_R_SUBSCRIBE) r->sub->set = ++c->next_set;
    status = encode(c, r, &b, &err);
    if (status != IU_OK) break;
    count++;
  }
  if (status == IU_OK) status = iu__ws_send(c->ws, b.data, b.len, false, &err);
  if (status == IU_OK) c->counts.bytes_sent += b.len;
  iu__buf_free(&b);
  if (status != IU_OK) return send_one(c, c->waiting.first); /* one of them cannot be written, or there is no room: alone it says so, or waits */
  while (count-- > 0) {
    iu_request *r = c->waiting.first;
    iu__request_take(c, &c->waiting, r);
    fly(c, r);
  }
  return true;
}

void iu__request_send(iu_client *c) {
  while (c->online && c->ws != NULL && !c->base.closed && may_go(c, c->waiting.first, 0)) {
    if (!(c->protocol == IU_P_V3 ? send_pack(c) : send_one(c, c->waiting.first))) return;
  }
}

/* ---- answers ---- */

const iu_request *iu__request_flying(const iu_client *c, uint32_t id) {
  const iu_request *r = c->buckets[id % IU_CLIENT_BUCKETS];
  while (r != NULL && r->id != id) r = r->chain;
  return r;
}

iu_request *iu__request_match(iu_client *c, uint32_t id) {
  iu_request *r = *bucket(c, id);
  while (r != NULL && r->id != id) r = r->chain;
  if (r != NULL) iu__request_take(c, &c->flying, r);
  return r;
}

static bool same_name(const iu_request *r, iu_slice name) {
  return strlen(r->reducer->name) == name.len && memcmp(r->reducer->name, name.p, name.len) == 0;
}

/* Servers of 1.2 answer a failed call with request 0. Calls that ran are answered in the order they were sent, so the oldest call of that reducer with
 * these arguments is meant: an older one of the same kind cannot still be open. A rejection before the run has no arguments and overtakes the answers of
 * earlier calls; among calls of one reducer it is the oldest that ends, because all of them will be rejected alike. */
iu_request *iu__request_match_failure(iu_client *c, const iu_message *m) {
  iu_request *by_name = NULL;
  for (iu_request *r = c->flying.first; r != NULL; r = r->next) {
    if (r->kind != IU_R_CALL || !same_name(r, m->reducer)) continue;
    if (r->len == m->args.len && (r->len == 0 || memcmp(r->bytes, m->args.p, r->len) == 0)) {
      by_name = r;
      break;
    }
    if (by_name == NULL) by_name = r;
  }
  if (by_name != NULL) iu__request_take(c, &c->flying, by_name);
  return by_name;
}

void iu__request_answer(iu_client *c, iu_request *r, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  uint64_t pending = r->forgotten ? 0 : r->pending;
  if (status == IU_E_UNKNOWN_OUTCOME) c->counts.unknown++;
  if (pending == 0 || c->base.listener.answer == NULL) iu__rows_release(rows);
  else c->base.listener.answer(c->base.listener.ud, pending, status, status == IU_OK ? NULL : err, rows, value);
  iu__request_free(r);
}

/* Some of the parts of a read could not be queued: the others are not wanted. Those in flight still have to be answered. */
void iu__request_drop_pending(iu_client *c, uint64_t pending) {
  for (iu_request *r = c->waiting.first, *next; r != NULL; r = next) {
    next = r->next;
    if (r->pending != pending) continue;
    iu__request_take(c, &c->waiting, r);
    iu__read_part_dropped(r);
    iu__request_free(r);
  }
  for (iu_request *r = c->flying.first; r != NULL; r = r->next) {
    if (r->pending == pending) r->forgotten = true;
  }
}

/* ---- ends without the server ---- */

void iu__request_end(iu_client *c, iu_request *r, iu_status status, const char *text) {
  r->end = status;
  r->end_text = text != NULL ? iu__strndup(text, strlen(text)) : NULL;
  append(&c->done, r);
  iu__inbox_post(c);
}

static void tell_end(iu_client *c, iu_request *r, iu_status status, const iu_error *err) {
  iu_sub *s = r->sub;
  switch (r->kind) {
    case IU_R_CALL:
    case IU_R_PROCEDURE: iu__request_answer(c, r, status, err, NULL, NULL); return;
    case IU_R_ONE_OFF: iu__read_failed(c, r, status, err); return;
    case IU_R_SUBSCRIBE:
      iu__sub_answered(c, s); /* a resync does not wait for it */
      iu__sub_failed(c, s, err);
      break;
    case IU_R_UNSUBSCRIBE: iu__sub_ended(c, s); break;
  }
  iu__request_free(r);
}

void iu__request_tell_ended(iu_client *c) {
  iu_request *r = c->done.first;
  iu_error err;
  iu__request_take(c, &c->done, r);
  iu__fail(&err, r->end, "%s", r->end_text != NULL ? r->end_text : "out of memory");
  tell_end(c, r, r->end, &err);
}

/* Nothing is sent twice: what may have reached the server and changes something has an unknown outcome. */
static iu_status lost_status(const iu_request *r) {
  return r->kind == IU_R_CALL || r->kind == IU_R_PROCEDURE ? IU_E_UNKNOWN_OUTCOME : IU_E_CONNECTION;
}

static void end_list(iu_client *c, iu_requests *list, bool sent, const iu_error *why) {
  iu_request *r;
  while ((r = list->first) != NULL) {
    iu_error err;
    iu_status status = sent ? lost_status(r) : why->status;
    iu__request_take(c, list, r);
    if (r->kind == IU_R_SUBSCRIBE || r->kind == IU_R_UNSUBSCRIBE) {
      iu__request_free(r);
      continue;
    }
    if (sent) iu__fail(&err, status, "the connection was lost before the answer came: %.900s", why->message);
    else err = *why;
    tell_end(c, r, status, &err);
  }
}

/* Subscribing is not asked for again by its request, but by the list of subscriptions. */
static void drop_subscribing(iu_client *c) {
  for (iu_request *r = c->waiting.first, *next; r != NULL; r = next) {
    next = r->next;
    if (r->kind != IU_R_SUBSCRIBE && r->kind != IU_R_UNSUBSCRIBE) continue;
    iu__request_take(c, &c->waiting, r);
    iu__request_free(r);
  }
}

/* For good, what waits ends when the connection is closed: until then a callback that asks again would be given a place in the queue, for ever. */
void iu__request_on_lost(iu_client *c, bool final, const iu_error *why) {
  end_list(c, &c->flying, true, why);
  drop_subscribing(c);
  if (!final && c->config.away == IU_AWAY_REFUSE) end_list(c, &c->waiting, false, why);
}

void iu__request_answer_all(iu_client *c, const iu_error *why) {
  while (c->done.first != NULL) iu__request_tell_ended(c);
  end_list(c, &c->flying, true, why);
  end_list(c, &c->waiting, false, why);
}

static uint64_t older(uint64_t oldest, const iu_request *r) { return r != NULL && r->sequence < oldest ? r->sequence : oldest; }

uint64_t iu__request_oldest(const iu_client *c) {
  uint64_t oldest = older(older(older(UINT64_MAX, c->flying.first), c->waiting.first), c->work.request);
  for (const iu_request *r = c->done.first; r != NULL; r = r->next) oldest = older(oldest, r); /* few, and in no order */
  return oldest;
}
