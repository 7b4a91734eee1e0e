/* session.c: the connection seam over an engine: one session's methods, its one-off reads, and the answers that wait for the journal.
 *
 * A call is applied when it returns; only with `full` durability does its answer wait (until its group is on disk), or the call itself, where the caller would do
 * nothing else meanwhile. Everything else here answers at once: a call that finds the journal full is refused, and its caller may ask to hear of room
 * (iu__engine_ask_room). A session lives until iu_connection_vtable.release and until no delivery of it is running.
 */
#include "session.h"

#include "../base/alloc.h"

iu_session *iu__session_of(iu_connection *c) { return (iu_session *)c; } /* base is the first member */

static iu_status check_open(const iu_session *s, iu_error *err) {
  if (s->broken) {
    if (err != NULL) *err = s->why;
    return s->why.status;
  }
  return s->base.closed ? iu__fail(err, IU_E_CLOSED, "the connection is closed") : IU_OK;
}

/* ---- answers that wait for the journal ---- */

#define ANSWERS_MAX 100000 /* told together */

/* Its id; 0: no memory. */
static uint64_t await(iu_session *s, uint64_t seq, int what) {
  iu_pending *p = iu__alloc(sizeof *p);
  if (p == NULL) return 0;
  *p = (iu_pending){NULL, ++s->next_id, seq, what};
  *(s->pending != NULL ? s->pending_end : &s->pending) = p;
  s->pending_end = &p->next;
  iu__engine_await(s->engine, 1);
  return p->id;
}

/* Takes the one that *link leads to out of the list, and frees it. */
static void forget(iu_session *s, iu_pending **link) {
  iu_pending *p = *link;
  *link = p->next;
  if (p->next == NULL) s->pending_end = link;
  iu__engine_await(s->engine, -1);
  iu__free(p);
}

/* Registers an answer for when `seq` is durable; 0 in *id when it already is. Waits on the spot when there is no memory to register. */
static iu_status await_durable(iu_session *s, uint64_t seq, uint64_t *id, iu_error *err) {
  iu_engine *e = s->engine;
  iu_status failed = IU_OK;
  *id = 0;
  if (iu__journal_durable(e->journal, &failed, err) >= seq) return IU_OK;
  if (failed != IU_OK) return failed;
  *id = await(s, seq, IU_AWAIT_DURABLE);
  return *id != 0 ? IU_OK : iu__journal_wait(e->journal, seq, -1, err);
}

iu_status iu__engine_ask_fold(iu_connection *c, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  uint64_t seq;
  iu_status status = check_open(s, err);
  *pending = 0;
  if (status == IU_OK) status = iu__journal_ask_fold(s->engine->journal, &seq, err);
  if (status != IU_OK || iu__journal_folded(s->engine->journal) >= seq) return status;
  *pending = await(s, seq, IU_AWAIT_FOLDED);
  return *pending != 0 ? IU_OK : iu__fail_nomem(err);
}

iu_status iu__engine_ask_room(iu_connection *c, bool *full, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_status status = check_open(s, err);
  *pending = 0;
  *full = status == IU_OK && s->engine->turned_away;
  if (!*full || !iu__journal_full(s->engine->journal)) return status;
  *pending = await(s, 0, IU_AWAIT_ROOM);
  return *pending != 0 ? IU_OK : iu__fail_nomem(err);
}

/* For a call whose callbacks closed the connection: nobody would hear an answer. */
static iu_status wait_durable(iu_engine *e, uint64_t seq, iu_error *err) {
  if (e->journal != NULL) return iu__journal_wait(e->journal, seq, -1, err);
  if (e->failure.status != IU_OK && err != NULL) *err = e->failure; /* the close has told whether everything is on disk */
  return e->failure.status;
}

iu_status iu__engine_ask_extend(iu_connection *c, const char *sql, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_status status = check_open(s, err);
  if (status == IU_OK && !c->is_owner) status = iu__fail(err, IU_E_AUTHORIZATION, "the file is the owner's");
  if (status != IU_OK) return status;
  /* Registered first: it may be done before this returns. */
  *pending = await(s, 0, IU_AWAIT_EXTENDED);
  if (*pending == 0) return iu__fail_nomem(err);
  status = iu__journal_ask_extend(s->engine->journal, sql, err);
  if (status == IU_OK) return IU_OK;
  for (iu_pending **link = &s->pending; *link != NULL; link = &(*link)->next) {
    if ((*link)->id != *pending) continue;
    forget(s, link);
    break;
  }
  return status;
}

/* *failed: how, where it is known better than by the caller. */
static bool reached(const iu_session *s, const iu_pending *p, uint64_t durable, uint64_t folded, uint32_t room, iu_status *failed, iu_error *why) {
  if (p->what == IU_AWAIT_ROOM) return room > 0 && s->engine->journal != NULL && !iu__journal_full(s->engine->journal);
  if (p->what == IU_AWAIT_EXTENDED) return s->engine->journal != NULL && iu__journal_extended(s->engine->journal, failed, why);
  return p->seq <= (p->what == IU_AWAIT_FOLDED ? folded : durable);
}

/* Those at the front that have become durable and whose ids follow each other, told together. */
static bool answer_run(iu_session *s, uint64_t durable) {
  uint64_t first = s->pending != NULL ? s->pending->id : 0;
  int count = 0;
  if (s->base.listener.went_well == NULL) return false;
  for (iu_pending *p = s->pending; p != NULL && p->what == IU_AWAIT_DURABLE && p->seq <= durable && p->id == first + (uint64_t)count; p = s->pending) {
    s->pending = p->next;
    iu__free(p);
    if (++count == ANSWERS_MAX) break;
  }
  if (count == 0) return false;
  iu__engine_await(s->engine, -count);
  s->base.listener.went_well(s->base.listener.ud, first, (uint64_t)count);
  return true;
}

bool iu__session_answer_one(iu_session *s, uint64_t durable, uint64_t folded, uint32_t *room, iu_status failed, const iu_error *why) {
  iu_pending **link = &s->pending, *p;
  iu_status own = IU_OK;
  iu_error own_why;
  bool ok = false;
  if (failed == IU_OK && answer_run(s, durable)) return true;
  while (*link != NULL && !(ok = reached(s, *link, durable, folded, *room, &own, &own_why)) && failed == IU_OK) link = &(*link)->next;
  p = *link;
  if (p == NULL) return false;
  if (ok && own != IU_OK) ok = false, failed = own, why = &own_why;
  uint64_t id = p->id;
  if (p->what == IU_AWAIT_ROOM && ok) --*room;
  if (p->what == IU_AWAIT_EXTENDED && !ok && own == IU_OK && s->engine->journal != NULL) (void)iu__journal_extended(s->engine->journal, NULL, NULL);
  forget(s, link);
  if (s->base.listener.answer != NULL) {
    s->base.listener.answer(s->base.listener.ud, id, ok ? IU_OK : failed, ok ? NULL : why, NULL, NULL);
  }
  return true;
}

/* ---- calls ---- */

/* On disk before the call returns; of others that were written with it the loop tells. */
static iu_status finish_here(iu_engine *e, uint64_t seq, iu_error *err) {
  iu_status status = wait_durable(e, seq, err);
  if (e->pending_count > 0 && e->wake != NULL) iu__wake_send(e->wake);
  return status;
}

static iu_status conn_call(iu_connection *c, uint32_t reducer, const void *args, size_t len, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_engine *e = s->engine;
  iu_caller caller = {.session = s};
  uint64_t seq;
  bool here = c->waits_here && e->config.durability == IU_DUR_FULL;
  iu_status status = check_open(s, err);
  c->waits_here = false;
  *pending = 0;
  if (status != IU_OK) return status;
  if (reducer < e->schema->reducer_count && e->schema->reducers[reducer].lifecycle != IU_LC_NONE) {
    return iu__fail(err, IU_E_VALIDATION, "%s: a lifecycle reducer cannot be called", e->schema->reducers[reducer].name);
  }
  if (!e->in_reducer && (status = iu__engine_check_room(e, err)) != IU_OK) return status;
  memcpy(caller.identity, c->identity, 32);
  memcpy(caller.connection_id, c->connection_id, 16);
  iu__session_retain(s);
  if (here) iu__journal_hold(e->journal, true);
  status = iu__transaction_call(e, reducer, args, len, &caller, &seq, err);
  if (status == IU_OK) iu__delivery_run(s, true);
  if (status == IU_OK && e->config.durability == IU_DUR_FULL && seq != 0) {
    status = here ? finish_here(e, seq, err) : c->closed ? wait_durable(e, seq, err) : await_durable(s, seq, pending, err);
  }
  if (here && e->journal != NULL) iu__journal_hold(e->journal, false);
  iu__session_unref(s);
  return status;
}

static iu_status conn_subscribe(iu_connection *c, const iu_slice *queries, uint32_t count, uint64_t *subscription, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_subscription *sub;
  iu_error local;
  iu_status status;
  if (err == NULL) err = &local;
  status = check_open(s, err);
  if (status != IU_OK) return status;
  status = iu__subscription_new(s, queries, count, &sub, err);
  if (status != IU_OK) return status;
  status = iu__delivery_push_subscription(s, sub, false, err);
  if (status != IU_OK && (s->last == NULL || s->last->sub != sub)) {
    iu__subscription_free(s, sub);
    return status;
  }
  sub->next = s->subs;
  s->subs = sub;
  s->sub_count++;
  if (status != IU_OK) { /* queued, but its rows could not all be held */
    iu__session_break(s, err);
    return status;
  }
  *subscription = sub->id;
  return IU_OK;
}

static iu_status conn_unsubscribe(iu_connection *c, uint64_t subscription, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_subscription **link = &s->subs;
  iu_error local;
  iu_status status;
  if (err == NULL) err = &local;
  status = check_open(s, err);
  if (status != IU_OK) return status;
  while (*link != NULL && (*link)->id != subscription) link = &(*link)->next;
  if (*link == NULL) return iu__fail(err, IU_E_VALIDATION, "subscription %llu is not active", (unsigned long long)subscription);
  iu_subscription *sub = *link;
  status = iu__delivery_push_subscription(s, sub, true, err);
  if (status != IU_OK && (s->last == NULL || s->last->sub != sub || s->last->kind != IU_ITEM_UNSUBSCRIBE)) return status; /* nothing happened */
  *link = sub->next; /* the queue's item owns it now */
  s->sub_count--;
  if (status != IU_OK) iu__session_break(s, err);
  return status;
}

/* ---- one-off reads ---- */

/* The latest committed state, which is also what an open transaction started from. */
static uint64_t latest(const iu_session *s) { return iu__store_epoch(s->base.store); }

static iu_status conn_query(iu_connection *c, const char *sql, size_t len, iu_rows **out, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_query *q;
  iu_status status = check_open(s, err);
  *pending = 0;
  if (status == IU_OK) status = iu__query_parse_for(IU_QUERY_ONCE, c->schema, sql, len, c->identity, c->is_owner, &q, err);
  if (status != IU_OK) return status;
  status = iu__rows_query(c->store, latest(s), q, out, err);
  iu__query_free(q);
  return status;
}

static iu_status conn_select(iu_connection *c, uint32_t table, const iu_selection_spec *spec, iu_rows **out, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_status status = check_open(s, err);
  *pending = 0;
  if (status == IU_OK) status = iu__conn_check_table(c, table, err);
  return status != IU_OK ? status : iu__rows_select(c->store, latest(s), table, spec, s->engine->paths[table], out, err);
}

static iu_status conn_get(iu_connection *c, uint32_t table, const void *key, size_t len, iu_rows **out, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_status status = check_open(s, err);
  *pending = 0;
  if (status == IU_OK) status = iu__conn_check_table(c, table, err);
  return status != IU_OK ? status : iu__rows_get(c->store, latest(s), table, key, len, out, err);
}

/* ---- flush, deliver, close ---- */

static iu_status conn_flush(iu_connection *c, uint64_t *pending, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_status status = check_open(s, err);
  *pending = 0;
  if (status != IU_OK) return status;
  iu__journal_hurry(s->engine->journal);
  return await_durable(s, s->engine->last_seq, pending, err);
}

static bool conn_deliver(iu_connection *c) { return iu__delivery_run(iu__session_of(c), false); }

static void on_job(void *ud) {
  iu_session *s = ud;
  if (s->broken && s->base.listener.closed != NULL) {
    iu_listener listener = s->base.listener;
    s->base.listener.closed = NULL;
    listener.closed(listener.ud, &s->why);
    return;
  }
  iu__delivery_run(s, false);
}

void iu__session_break(iu_session *s, const iu_error *why) {
  if (s->base.closed) return;
  s->broken = true;
  s->why = *why;
  s->base.closed = true;
  iu__delivery_drop(s);
  iu__job_post(s->engine->config.loop, &s->job);
}

/* A client that is gone; its row and event are the module's business. Errors are logged: a disconnect cannot be refused. */
static void say_goodbye(iu_session *s) {
  iu_engine *e = s->engine;
  iu_error err;
  if (!s->greeted) return;
  s->greeted = false;
  if (e->journal != NULL) iu__engine_catch_up(e);
  if (iu__lifecycle_call(e, IU_LC_DISCONNECT, s->base.identity, s->base.connection_id, &err) != IU_OK) {
    iu__log(&e->config.log, IU_LOG_WARN, "client_disconnected: %s", err.message);
  }
}

/* Before the journal closes: what was acknowledged as waiting gets its answer. An answer, or the goodbye before, may have closed the engine. */
static void answer_all(iu_session *s) {
  iu_engine *e = s->engine;
  iu_error why;
  iu_status status;
  uint64_t last = 0, durable;
  uint32_t room = 0; /* a call that is made again now finds a closed connection */
  if (s->pending == NULL) return;
  for (iu_pending *p = s->pending; p != NULL; p = p->next) last = p->seq > last && p->what == IU_AWAIT_DURABLE ? p->seq : last;
  status = wait_durable(e, last, &why);
  durable = status == IU_OK ? last : e->journal != NULL ? iu__journal_durable(e->journal, NULL, NULL) : 0;
  while (iu__session_answer_one(s, durable, 0, &room, status, &why)) {}
  /* What is left nobody waits for any more. */
  if (s->pending != NULL) status = iu__fail(&why, IU_E_CLOSED, "the connection was closed before it was done");
  while (iu__session_answer_one(s, durable, 0, &room, status, &why)) {}
}

static void unlink_session(iu_session *s) {
  iu_session **link = &s->engine->sessions;
  while (*link != NULL && *link != s) link = &(*link)->next;
  if (*link == NULL) return;
  *link = s->next;
  s->engine->session_count--;
}

void iu__session_end(iu_session *s, bool tell) {
  if (s->ended) return;
  s->ended = s->base.closed = true;
  unlink_session(s); /* first: what runs from here on may close the engine, which ends every session it finds */
  say_goodbye(s);
  iu__delivery_drop(s);
  iu__job_cancel(s->engine->config.loop, &s->job);
  answer_all(s);
  if (tell && s->base.listener.closed != NULL) s->base.listener.closed(s->base.listener.ud, s->broken ? &s->why : NULL);
}

static iu_status conn_close(iu_connection *c, iu_error *err) {
  iu_session *s = iu__session_of(c);
  iu_status status = IU_OK;
  iu__session_retain(s);
  if (s->primary) status = iu__engine_close(s->engine, err);
  else iu__session_end(s, false);
  iu__session_unref(s);
  return status;
}

static void conn_release(iu_connection *c) {
  iu_session *s = iu__session_of(c);
  iu__conn_listen(c, NULL);
  conn_close(c, NULL);
  iu__session_unref(s);
}

/* Nothing changes an engine's schema while it is open. */
static iu_status conn_refresh_schema(iu_connection *c, uint64_t *pending, iu_error *err) {
  *pending = 0;
  return check_open(iu__session_of(c), err);
}

static iu_status conn_procedure(iu_connection *c, uint32_t procedure, const void *args, size_t len, uint64_t *pending, iu_error *err) {
  (void)args;
  (void)len;
  *pending = 0;
  iu_status status = check_open(iu__session_of(c), err);
  return status != IU_OK ? status : iu__fail(err, IU_E_VALIDATION, "procedure number %u does not exist: an embedded universe has no procedures", procedure);
}

static iu_status conn_explain(iu_connection *c, uint32_t table, const iu_selection_spec *spec, iu_buf *out, iu_error *err) {
  iu_status status = check_open(iu__session_of(c), err);
  if (status == IU_OK) status = iu__conn_check_table(c, table, err);
  return status != IU_OK ? status : iu__rows_explain(c->store, table, spec, iu__session_of(c)->engine->paths[table], "embedded", out, err);
}

const iu_connection_vtable iu__engine_vtable = {
    .version = IU_CONNECTION_VTABLE_VERSION, .call = conn_call, .subscribe = conn_subscribe, .unsubscribe = conn_unsubscribe,
    .query = conn_query, .select = conn_select, .get = conn_get, .flush = conn_flush, .procedure = conn_procedure,
    .refresh_schema = conn_refresh_schema, .explain = conn_explain, .deliver = conn_deliver,
    .close = conn_close, .release = conn_release};

/* ---- life ---- */

iu_status iu__session_new(iu_engine *e, const uint8_t identity[32], const uint8_t connection_id[16], iu_session **out, iu_error *err) {
  iu_session *s = iu__alloc_zero(1, sizeof *s);
  iu_status status;
  *out = NULL;
  if (s == NULL) return iu__fail_nomem(err);
  s->base.vtable = &iu__engine_vtable;
  s->base.schema = e->schema;
  s->base.store = e->store;
  s->engine = e;
  s->refs = 1;
  s->job.fn = on_job;
  s->job.ud = s;
  memcpy(s->base.identity, identity, 32);
  memcpy(s->base.connection_id, connection_id, 16);
  s->base.is_owner = memcmp(identity, e->owner, 32) == 0;
  iu__engine_ref(e);
  s->base.watched = iu__alloc_zero(e->schema->table_count + 1u, 1);
  status = s->base.watched == NULL ? iu__fail_nomem(err) : iu__live_init(s, err);
  if (status == IU_OK) status = iu__view_new(e->store, &s->base.view, err);
  if (status != IU_OK) {
    s->ended = s->base.closed = true;
    iu__session_unref(s);
    return status;
  }
  s->next = e->sessions;
  e->sessions = s;
  e->session_count++;
  *out = s;
  return IU_OK;
}

iu_status iu__session_greet(iu_session *s, iu_error *err) {
  iu_status status = iu__lifecycle_call(s->engine, IU_LC_CONNECT, s->base.identity, s->base.connection_id, err);
  s->greeted = status == IU_OK;
  return status;
}

void iu__session_retain(iu_session *s) { s->refs++; }

void iu__session_unref(iu_session *s) {
  iu_engine *e = s->engine;
  if (--s->refs > 0) return;
  iu__delivery_drop(s);
  iu__job_cancel(e->config.loop, &s->job);
  while (s->subs != NULL) {
    iu_subscription *sub = s->subs;
    s->subs = sub->next;
    iu__subscription_free(s, sub);
  }
  iu__view_free(s->base.view);
  iu__free(s->base.watched);
  iu__live_free(s);
  iu__free(s);
  iu__engine_unref(e);
}
