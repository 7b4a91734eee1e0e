/* listen.c: what a connection says, told to the host's functions: rows, subscriptions, ends, states, the end of it all. And who is told: row handlers
 * and subscriptions.
 *
 * Handlers are one list in the order they were added; each knows its table's number in the present schema. One that is cancelled while rows are told stays
 * in the list, deaf, until they have been.
 */
#include "internal.h"

/* ---- handlers ---- */

void iu__handlers_bind(iu_universe *u) {
  const iu_schema *s = u->c->schema;
  for (uint32_t t = 0; t < s->table_count; t++) {
    unsigned mask = 0;
    for (iu_handler *h = u->handlers; h != NULL; h = h->next) {
      if (h->fn == NULL || strcmp(h->name, s->tables[t].name) != 0) continue;
      h->table = (int)t;
      mask |= h->what;
    }
    iu__conn_watch(u->c, t, (uint8_t)mask);
  }
}

void iu__handlers_sweep(iu_universe *u) {
  iu_handler **link = &u->handlers;
  if (u->telling > 0) return;
  while (*link != NULL) {
    iu_handler *h = *link;
    if (h->fn != NULL) {
      link = &h->next;
      continue;
    }
    *link = h->next;
    iu__free(h);
  }
}

iu_status iu_on_row(iu_universe *u, const char *table, unsigned what, iu_row_handler fn, void *ud, uint64_t *handler, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  uint32_t number = 0;
  if (status != IU_OK) return status;
  if (table == NULL || fn == NULL) return iu__missing(table == NULL ? "table" : "fn", err);
  if (what == 0 || (what & ~(unsigned)IU_ON_ALL) != 0) return iu__fail(err, IU_E_VALIDATION, "what: expected some of IU_ON_ALL, got %u", what);
  if (u->opened && (status = iu__find_table(u->c->schema, table, strlen(table), &number, err)) != IU_OK) return status;
  iu_handler *h = iu__alloc_zero(1, sizeof *h + strlen(table) + 1), **end = &u->handlers;
  if (h == NULL) return iu__fail_nomem(err);
  strcpy(h->name, table);
  h->id = ++u->next_handler;
  h->table = -1;
  h->what = what;
  h->fn = fn;
  h->ud = ud;
  while (*end != NULL) end = &(*end)->next;
  *end = h;
  iu__handlers_bind(u);
  if (handler != NULL) *handler = h->id;
  return IU_OK;
}

iu_status iu_cancel(iu_universe *u, uint64_t handler, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  for (iu_handler *h = u->handlers; h != NULL; h = h->next) {
    if (h->id != handler || h->fn == NULL) continue;
    h->fn = NULL;
    iu__handlers_bind(u);
    iu__handlers_sweep(u);
    return IU_OK;
  }
  return iu__fail(err, IU_E_VALIDATION, "handler %llu does not exist (any more)", (unsigned long long)handler);
}

static void on_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *event) {
  iu_universe *u = ud;
  const iu_schema *s = u->c->schema;
  const iu_type *type = s->tables[table].row;
  unsigned what = old_row == NULL ? IU_ON_INSERT : new_row == NULL ? IU_ON_DELETE : IU_ON_UPDATE;
  uint64_t last = u->next_handler; /* those that are added meanwhile hear the next row */
  iu_value was, is;
  if (old_row != NULL) was = iu__value(s, type, old_row->data, old_row->len);
  if (new_row != NULL) is = iu__value(s, type, new_row->data, new_row->len);
  iu__gate_enter(u);
  u->telling++;
  for (iu_handler *h = u->handlers; h != NULL && h->id <= last; h = h->next) {
    if (h->fn == NULL || h->table != (int)table || (h->what & what) == 0) continue;
    h->fn(h->ud, u, old_row != NULL ? &was : NULL, new_row != NULL ? &is : NULL, event);
    if (u->closed) break;
  }
  u->telling--;
  iu__handlers_sweep(u);
  iu__gate_leave(u);
}

/* ---- subscriptions ---- */

static void tell_sub(iu_universe *u, iu_host_sub *sub, iu_sub_event what, const iu_error *err) {
  iu_wait_for *w = sub->waiter;
  sub->waiter = NULL;
  if (w == NULL) {
    if (sub->fn == NULL) {
      iu_error none;
      if (err == NULL && what == IU_SUB_FAILED) iu__fail(&none, IU_E_PERSISTENCE, "it failed");
      if (what == IU_SUB_FAILED) iu__unheard(u, "subscription", err != NULL ? err : &none);
      return;
    }
    iu__gate_enter(u);
    sub->fn(sub->ud, u, sub->id, what, err);
    iu__gate_leave(u);
    return;
  }
  w->over = true;
  w->status = what == IU_SUB_APPLIED ? IU_OK : err != NULL ? err->status : IU_E_CLOSED;
  if (err != NULL) w->err = *err;
  else if (what != IU_SUB_APPLIED) iu__fail(&w->err, IU_E_CLOSED, "the subscription ended before it was applied");
}

static iu_host_sub *take_sub(iu_universe *u, uint64_t id, bool over) {
  iu_host_sub **link = &u->subs;
  while (*link != NULL && (*link)->id != id) link = &(*link)->next;
  iu_host_sub *sub = *link;
  if (sub != NULL && over) *link = sub->next;
  return sub;
}

static void on_subscription(void *ud, uint64_t id, iu_sub_event what, const iu_error *err) {
  iu_universe *u = ud;
  bool over = what != IU_SUB_APPLIED;
  iu_host_sub *sub = take_sub(u, id, over);
  if (sub == NULL) return;
  iu_host_sub copy = *sub;
  if (over) iu__free(sub);
  else sub->waiter = NULL;
  tell_sub(u, &copy, what, err); /* a close in there frees the one in the list */
}

void iu__subs_end(iu_universe *u, const iu_error *why) {
  while (u->subs != NULL) {
    iu_host_sub *sub = u->subs;
    u->subs = sub->next;
    if (sub->waiter != NULL) tell_sub(u, sub, IU_SUB_FAILED, why);
    iu__free(sub);
  }
}

static iu_status subscribe(iu_universe *u, const char *const *queries, size_t count, iu_subscription_fn fn, void *ud, iu_wait_for *waiter, uint64_t *id,
                           iu_error *err) {
  iu_slice *texts;
  iu_status status;
  if (count > 0 && queries == NULL) return iu__missing("queries", err);
  if (count > IU_SUBSCRIBE_QUERIES_MAX) {
    return iu__fail(err, IU_E_VALIDATION, "queries: %zu of them, the limit is %d", count, IU_SUBSCRIBE_QUERIES_MAX);
  }
  iu_host_sub *sub = iu__alloc_zero(1, sizeof *sub);
  texts = iu__alloc_zero(count + 1, sizeof *texts);
  status = sub == NULL || texts == NULL ? iu__fail_nomem(err) : IU_OK;
  for (size_t i = 0; status == IU_OK && i < count; i++) {
    if (queries[i] == NULL) status = iu__fail(err, IU_E_VALIDATION, "queries[%zu]: text expected, got NULL", i);
    else texts[i] = (iu_slice){(const uint8_t *)queries[i], strlen(queries[i])};
  }
  if (status == IU_OK) status = u->c->vtable->subscribe(u->c, texts, (uint32_t)count, id, err);
  iu__free(texts);
  if (status != IU_OK) {
    iu__free(sub);
    return status;
  }
  *sub = (iu_host_sub){u->subs, *id, fn, ud, waiter};
  u->subs = sub;
  return IU_OK;
}

iu_status iu_subscribe_async(iu_universe *u, const char *const *queries, size_t count, iu_subscription_fn fn, void *ud, uint64_t *subscription,
                             iu_error *err) {
  uint64_t id;
  iu_status status = iu__check_universe(u, err);
  if (status == IU_OK) status = subscribe(u, queries, count, fn, ud, NULL, &id, err);
  if (status == IU_OK && subscription != NULL) *subscription = id;
  return status;
}

iu_status iu_subscribe(iu_universe *u, const char *const *queries, size_t count, int64_t timeout_ms, iu_subscription_fn fn, void *ud,
                       uint64_t *subscription, iu_error *err) {
  iu_wait_for w = {0};
  uint64_t id;
  iu_status status = iu__check_universe(u, err);
  if (status == IU_OK) status = iu__may_wait(u->rt, "iu_subscribe", "iu_subscribe_async", err);
  if (status == IU_OK) status = subscribe(u, queries, count, fn, ud, &w, &id, err);
  if (status != IU_OK) return status;
  iu__universe_hold(u);
  status = iu__wait_for(u->rt, &w, iu__deadline(u, timeout_ms), err);
  if (!w.over && !u->closed) { /* not in time: given up, and its end is nobody's news */
    iu_host_sub *sub = take_sub(u, id, true);
    iu__free(sub);
    (void)u->c->vtable->unsubscribe(u->c, id, NULL);
  }
  iu__universe_drop(u);
  if (status == IU_OK && subscription != NULL) *subscription = id;
  return status;
}

iu_status iu_unsubscribe(iu_universe *u, uint64_t subscription, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  return status == IU_OK ? u->c->vtable->unsubscribe(u->c, subscription, err) : status;
}

/* ---- ends and states ---- */

static void on_answer(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  iu_universe *u = ud;
  iu_cursor *cursor = NULL;
  iu_error why;
  if (rows != NULL) cursor = iu__cursor_of_rows(u, rows);
  else if (status == IU_OK && value != NULL) cursor = iu__cursor_of_value(u, value);
  if (cursor == NULL && (rows != NULL || (status == IU_OK && value != NULL))) {
    status = iu__fail_nomem(&why);
    err = &why;
  }
  iu__pending_answer(u, id, status, err, cursor);
}

static void on_closed(void *ud, const iu_error *why) {
  iu_universe *u = ud;
  iu_wait_for *opening = u->opening;
  iu_error ended;
  if (u->closed) return;
  if (why == NULL) { /* a session, by the close of its universe */
    iu__fail(&ended, IU_E_CLOSED, "the universe it is a session of was closed");
    why = &ended;
  }
  iu__universe_hold(u);
  u->closed = true;
  u->why = *why;
  iu__scans_cut(u, IU_E_CLOSED);
  iu__subs_end(u, &u->why);
  iu__pending_close(u, &u->why);
  iu__timer_close(u->timer);
  u->timer = NULL;
  if (opening != NULL) {
    u->opening = NULL;
    opening->over = true;
    opening->status = why->status != IU_OK ? why->status : IU_E_CONNECTION;
    opening->err = u->why;
  } else if (u->on_closed != NULL) {
    iu__gate_enter(u);
    u->on_closed(u->ud, u, &u->why);
    iu__gate_leave(u);
  }
  iu__universe_drop(u);
}

static void on_state(void *ud, const iu_conn_state *state) {
  iu_universe *u = ud;
  iu__universe_hold(u);
  if (state->schema_changed) {
    iu__scans_cut(u, IU_E_CONFLICT);
    for (iu_handler *h = u->handlers; h != NULL; h = h->next) h->table = -1;
    iu__handlers_bind(u);
  }
  if (state->phase == IU_PHASE_CONNECTED) u->opened = true;
  if (u->on_state != NULL) {
    iu__gate_enter(u);
    u->on_state(u->ud, u, state);
    iu__gate_leave(u);
  }
  if (state->phase == IU_PHASE_CONNECTED && u->opening != NULL) {
    u->opening->over = true;
    u->opening = NULL;
  }
  iu__universe_drop(u);
}

const iu_listener iu__host_listener = {
    .row = on_row, .subscription = on_subscription, .answer = on_answer, .closed = on_closed, .state = on_state};
