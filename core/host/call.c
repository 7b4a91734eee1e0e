/* call.c: what is begun and ends once: calls, procedures, queries, flushes, waited for or with a function that hears the end.
 *
 * A pending call waits in its id's bucket and in the list of all (oldest first). What ends at once (an embedded universe answers on the spot) and what
 * times out goes to the list of those that have ended, which a job of the loop tells: a function is never called inside the call that named it.
 * One timer serves all deadlines: it is set for the nearest, and looks at all calls when it fires, at most every TIMER_MS_MIN.
 */
#include <stdio.h>

#include "../base/clock.h"
#include "internal.h"

#define TIMER_MS_MIN 10u

/* ---- pending calls ---- */

iu_status iu__pending_new(const char *what, size_t len, iu_done_fn done, void *ud, iu_pending_call **out, iu_error *err) {
  iu_pending_call *p = iu__alloc_zero(1, sizeof *p + len + 1);
  *out = p;
  if (p == NULL) return iu__fail_nomem(err);
  memcpy(p->name, what, len);
  p->done = done;
  p->ud = ud;
  return IU_OK;
}

static void unlink_call(iu_universe *u, iu_pending_call *p) {
  iu_pending_call **link = &u->buckets[p->id % IU_PENDING_BUCKETS];
  while (*link != p) link = &(*link)->chain;
  *link = p->chain;
  if (p->prev != NULL) p->prev->next = p->next;
  else u->first = p->next;
  if (p->next != NULL) p->next->prev = p->prev;
  else u->last = p->prev;
  p->prev = p->next = p->chain = NULL;
}

static void free_call(iu_pending_call *p) {
  iu_cursor_free(p->rows);
  iu__free(p->failure);
  iu__free(p);
}

void iu__pending_free(iu_universe *u, iu_pending_call *p) {
  if (p->id != 0) unlink_call(u, p);
  free_call(p);
}

void iu__pending_end(iu_universe *u, iu_pending_call *p, iu_status status, const iu_error *err, iu_cursor *rows) {
  if (p->id != 0) unlink_call(u, p);
  p->id = 0;
  p->rows = rows;
  p->status = status;
  if (status != IU_OK) {
    p->failure = iu__alloc(sizeof *p->failure);
    if (p->failure != NULL) *p->failure = *err;
  }
  p->chain = NULL;
  *u->ended_end = p;
  u->ended_end = &p->chain;
  iu__job_post(u->rt->loop, &u->ended_job);
}

void iu__unheard(iu_universe *u, const char *what, const iu_error *why) {
  if (u->rt->on_error == NULL) {
    iu__log(&u->rt->log, IU_LOG_WARN, "%s: %s", what, why->message);
    return;
  }
  iu__gate_enter(u);
  u->rt->on_error(u->rt->on_error_ud, what, why);
  iu__gate_leave(u);
}

/* why NULL: it went well. p is taken. */
static void tell(iu_universe *u, iu_pending_call *p, const iu_error *why) {
  iu_cursor *rows = p->rows;
  p->rows = NULL;
  if (p->done != NULL) {
    iu__gate_enter(u);
    p->done(p->ud, u, why, rows);
    iu__gate_leave(u);
  } else {
    iu_cursor_free(rows);
    if (why != NULL) iu__unheard(u, p->name, why);
  }
  free_call(p);
}

static void tell_ended(iu_universe *u, iu_pending_call *p) {
  iu_error words;
  const iu_error *why = p->failure;
  if (p->status != IU_OK && why == NULL) { /* there was no memory for them */
    iu__fail(&words, p->status, "%s: it failed", p->name);
    why = &words;
  }
  tell(u, p, why);
}

static iu_pending_call *take_ended(iu_universe *u) {
  iu_pending_call *p = u->ended;
  if (p == NULL) return NULL;
  u->ended = p->chain;
  if (u->ended == NULL) u->ended_end = &u->ended;
  p->chain = NULL;
  return p;
}

void iu__pending_job(void *ud) {
  iu_universe *u = ud;
  iu_pending_call *p;
  if (u->rt->gates > 0) { /* a host that turns its loop inside a callback */
    if (u->ended != NULL) iu__job_post(u->rt->loop, &u->ended_job);
    return;
  }
  iu__universe_hold(u);
  while ((p = take_ended(u)) != NULL) {
    tell_ended(u, p);
    if (u->ended != NULL && iu__loop_over_deadline(u->rt->loop)) {
      iu__job_post(u->rt->loop, &u->ended_job);
      break;
    }
  }
  iu__universe_drop(u);
}

void iu__pending_answer(iu_universe *u, uint64_t id, iu_status status, const iu_error *err, iu_cursor *rows) {
  iu_pending_call *p = u->buckets[id % IU_PENDING_BUCKETS];
  iu_error none;
  while (p != NULL && p->id != id) p = p->chain;
  if (p == NULL) { /* its time was over before */
    iu_cursor_free(rows);
    return;
  }
  unlink_call(u, p);
  p->id = 0;
  if (status == IU_OK) p->rows = rows;
  else iu_cursor_free(rows);
  if (status != IU_OK && err == NULL) {
    iu__fail(&none, status, "%s: it failed", p->name);
    err = &none;
  }
  tell(u, p, status == IU_OK ? NULL : err);
}

void iu__pending_close(iu_universe *u, const iu_error *why) {
  iu_pending_call *p;
  while (u->first != NULL) iu__pending_end(u, u->first, why->status, why, NULL);
  while ((p = take_ended(u)) != NULL) tell_ended(u, p);
  iu__job_cancel(u->rt->loop, &u->ended_job);
}

/* ---- deadlines ---- */

static void arm(iu_universe *u, uint64_t at);

static void on_timer(void *ud) {
  iu_universe *u = ud;
  uint64_t now = iu__clock_mono_ns(), nearest = 0;
  iu_pending_call *next;
  iu_error err;
  iu__timer_close(u->timer);
  u->timer = NULL;
  for (iu_pending_call *p = u->first; p != NULL; p = next) {
    next = p->next;
    if (p->deadline == 0) continue;
    if (p->deadline > now) {
      if (nearest == 0 || p->deadline < nearest) nearest = p->deadline;
      continue;
    }
    iu__fail(&err, IU_E_TIMEOUT, "%s: there was no answer in time%s", p->name, u->server ? "; it was sent, and whether it was applied is unknown" : "");
    iu__pending_end(u, p, IU_E_TIMEOUT, &err, NULL);
  }
  if (nearest != 0) arm(u, nearest > now + TIMER_MS_MIN * UINT64_C(1000000) ? nearest : now + TIMER_MS_MIN * UINT64_C(1000000));
}

/* Without memory for the timer calls wait for their answers without a limit; the close ends them. */
static void arm(iu_universe *u, uint64_t at) {
  uint64_t now = iu__clock_mono_ns();
  iu_error err;
  if (u->timer != NULL && u->timer_at <= at) return;
  iu__timer_close(u->timer);
  u->timer = NULL;
  u->timer_at = at;
  if (iu__timer_start(u->rt->loop, at > now ? (at - now) / 1000000 + 1 : 1, 0, on_timer, u, &u->timer, &err) != IU_OK) {
    iu__log(&u->rt->log, IU_LOG_WARN, "timeouts: %s", err.message);
  }
}

void iu__pending_begun(iu_universe *u, iu_pending_call *p, uint64_t pending, uint64_t deadline) {
  if (pending == 0) {
    iu__pending_end(u, p, IU_OK, NULL, NULL);
    return;
  }
  p->id = pending;
  p->deadline = deadline;
  p->prev = u->last;
  if (u->last != NULL) u->last->next = p;
  else u->first = p;
  u->last = p;
  iu_pending_call **bucket = &u->buckets[pending % IU_PENDING_BUCKETS];
  p->chain = *bucket;
  *bucket = p;
  if (deadline != 0) arm(u, deadline);
}

/* ---- beginning ---- */

/* What is asked of the connection. */
typedef enum request_kind { ASK_CALL, ASK_QUERY, ASK_FLUSH, ASK_SCHEMA } request_kind;
typedef struct request {
  request_kind kind;
  iu_callee callee;
  iu_buf args;
  const char *sql;
  const char *what; size_t what_len;
} request;

static iu_status ask(iu_universe *u, const request *r, iu_rows **rows, uint64_t *pending, iu_error *err) {
  iu_connection *c = u->c;
  *pending = 0;
  *rows = NULL;
  switch (r->kind) {
    case ASK_CALL: return iu__callee_call(c, &r->callee, r->args.data, r->args.len, pending, err);
    case ASK_QUERY: return c->vtable->query(c, r->sql, strlen(r->sql), rows, pending, err);
    case ASK_FLUSH: return c->vtable->flush(c, pending, err);
    default: return c->vtable->refresh_schema(c, pending, err);
  }
}

/* In front of what a refusal or an answer says nothing is put: it is the reducer's own message. */
static iu_status begin(iu_universe *u, const request *r, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err) {
  iu_pending_call *p;
  iu_rows *rows;
  iu_cursor *cursor = NULL;
  uint64_t pending;
  iu_error why;
  iu_status status = iu__pending_new(r->what, r->what_len, done, ud, &p, err);
  if (status != IU_OK) return status;
  iu__universe_hold(u);
  status = ask(u, r, &rows, &pending, &why);
  if (status == IU_OK && pending == 0 && rows != NULL) {
    cursor = iu__cursor_of_rows(u, rows);
    if (cursor == NULL) status = iu__fail_nomem(&why);
  }
  if (u->closed && status == IU_OK && pending != 0) status = iu__fail(&why, IU_E_UNKNOWN_OUTCOME, "the universe was closed before the answer came");
  if (status != IU_OK || cursor != NULL || u->closed) {
    iu__pending_end(u, p, status, &why, cursor);
    if (u->freed) iu__pending_close(u, &why); /* by a callback of its rows: no turn of the loop will find it */
  } else {
    iu__pending_begun(u, p, pending, iu__deadline(u, timeout_ms));
  }
  iu__universe_drop(u);
  return IU_OK;
}

void iu__wait_done(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  iu_wait_for *w = ud;
  (void)u;
  w->over = true;
  w->rows = rows;
  w->status = err != NULL ? err->status : IU_OK;
  if (err != NULL) w->err = *err;
}

static iu_status await(iu_universe *u, iu_pending_call *p, iu_wait_for *w, int64_t timeout_ms, iu_error *err) {
  iu_status status = iu__wait_for(u->rt, w, iu__deadline(u, timeout_ms), err);
  if (w->over) return status;
  iu__fail(err, IU_E_TIMEOUT, "%s: there was no answer in time%s", p->name, u->server ? "; it was sent, and whether it was applied is unknown" : "");
  iu__pending_free(u, p);
  return IU_E_TIMEOUT;
}

/* After a refusal: true: the journal was full, and has room now. */
static bool room_came(iu_universe *u, uint64_t deadline) {
  iu_wait_for w = {0};
  iu_pending_call *p;
  uint64_t pending;
  bool full;
  if (u->closed || u->server || iu__pending_new("room", 4, iu__wait_done, &w, &p, NULL) != IU_OK) return false;
  iu_status status = iu__engine_ask_room(u->c, &full, &pending, NULL);
  if (status != IU_OK || pending == 0) {
    iu__pending_free(u, p);
    return status == IU_OK && full;
  }
  iu__pending_begun(u, p, pending, 0);
  bool came = iu__wait_for(u->rt, &w, deadline, NULL) == IU_OK;
  if (!w.over) iu__pending_free(u, p);
  return came && !u->closed;
}

/* While an embedded universe's journal is full a call waits for room, to its timeout. */
static iu_status ask_patiently(iu_universe *u, const request *r, int64_t timeout_ms, iu_rows **rows, uint64_t *pending, iu_error *err) {
  uint64_t deadline = 0;
  iu_status status = ask(u, r, rows, pending, err);
  while (status == IU_E_OVERLOADED && r->kind == ASK_CALL) {
    if (deadline == 0) deadline = iu__deadline(u, timeout_ms);
    if (!room_came(u, deadline)) break;
    status = ask(u, r, rows, pending, err);
  }
  return status;
}

static iu_status run(iu_universe *u, const request *r, int64_t timeout_ms, iu_cursor **out, iu_error *err) {
  iu_wait_for w = {0};
  iu_pending_call *p;
  iu_rows *rows;
  uint64_t pending;
  iu_status status = iu__pending_new(r->what, r->what_len, iu__wait_done, &w, &p, err);
  if (status != IU_OK) return status;
  iu__universe_hold(u);
  status = ask_patiently(u, r, timeout_ms, &rows, &pending, err);
  if (status != IU_OK || pending == 0 || u->closed) {
    iu__pending_free(u, p);
    if (status == IU_OK && rows != NULL && (w.rows = iu__cursor_of_rows(u, rows)) == NULL) status = iu__fail_nomem(err);
  } else {
    iu__pending_begun(u, p, pending, 0);
    status = await(u, p, &w, timeout_ms, err);
  }
  if (out != NULL) *out = w.rows;
  else iu_cursor_free(w.rows);
  iu__universe_drop(u);
  return status;
}

/* ---- reducers and procedures ---- */

typedef struct arguments { const iu_arg *args; size_t count; const char *json; } arguments;

static iu_status prepare(iu_universe *u, const char *name, bool procedure, const arguments *a, request *r, iu_error *err) {
  const iu_schema *s;
  iu_status status = iu__check_universe(u, err);
  memset(r, 0, sizeof *r);
  if (status != IU_OK) return status;
  if (name == NULL) return iu__missing(procedure ? "procedure" : "reducer", err);
  if (!u->opened) return iu__fail(err, IU_E_CONNECTION, "not connected yet: what can be called is not known");
  s = u->c->schema;
  status = (procedure ? iu__callee_procedure : iu__callee_reducer)(s, name, strlen(name), &r->callee, err);
  if (status != IU_OK) return status;
  r->args.limit = IU_ARGS_BYTES_MAX;
  status = a->json != NULL ? iu__args_from_json(s, &r->callee, a->json, &r->args, err) : iu__args_encode(s, &r->callee, a->args, a->count, &r->args, err);
  r->what = r->callee.name;
  r->what_len = strlen(r->callee.name);
  if (status != IU_OK) iu__buf_free(&r->args);
  return status;
}

static bool is_known(const iu_universe *u, const char *name, bool procedure) {
  iu_callee f;
  return (procedure ? iu__callee_procedure : iu__callee_reducer)(u->c->schema, name, strlen(name), &f, NULL) == IU_OK;
}

/* A server's module may have been published anew with more in it: a name that is not known is looked for once more in its schema. */
static bool learns(iu_universe *u, const char *name, bool procedure, int64_t timeout_ms) {
  if (name == NULL || iu__check_universe(u, NULL) != IU_OK || !u->server || !u->opened || is_known(u, name, procedure)) return false;
  iu__universe_hold(u);
  bool known = iu_refresh_schema(u, timeout_ms, NULL) == IU_OK && !u->closed && is_known(u, name, procedure);
  iu__universe_drop(u);
  return known;
}

static iu_status call_waiting(iu_universe *u, const char *name, bool procedure, const arguments *a, int64_t timeout_ms, iu_cursor **out, iu_error *err) {
  request r;
  iu_status status = prepare(u, name, procedure, a, &r, err);
  if (status == IU_E_VALIDATION && learns(u, name, procedure, timeout_ms)) status = prepare(u, name, procedure, a, &r, err);
  if (status == IU_OK) status = iu__may_wait(u->rt, procedure ? "iu_procedure" : "iu_call", procedure ? "iu_procedure_async" : "iu_call_async", err);
  if (status == IU_OK) status = run(u, &r, timeout_ms, out, err);
  iu__buf_free(&r.args);
  return status;
}

static iu_status call_begin(iu_universe *u, const char *name, bool procedure, const arguments *a, int64_t timeout_ms, iu_done_fn done, void *ud,
                            iu_error *err) {
  request r;
  iu_status status = prepare(u, name, procedure, a, &r, err);
  if (status == IU_OK) status = begin(u, &r, timeout_ms, done, ud, err);
  iu__buf_free(&r.args);
  return status;
}

iu_status iu_call(iu_universe *u, const char *reducer, const iu_arg *args, size_t count, int64_t timeout_ms, iu_error *err) {
  return call_waiting(u, reducer, false, &(arguments){args, count, NULL}, timeout_ms, NULL, err);
}

iu_status iu_call_json(iu_universe *u, const char *reducer, const char *json, int64_t timeout_ms, iu_error *err) {
  if (json == NULL) return iu__missing("json", err);
  return call_waiting(u, reducer, false, &(arguments){NULL, 0, json}, timeout_ms, NULL, err);
}

iu_status iu_call_async(iu_universe *u, const char *reducer, const iu_arg *args, size_t count, int64_t timeout_ms, iu_done_fn done, void *ud,
                        iu_error *err) {
  return call_begin(u, reducer, false, &(arguments){args, count, NULL}, timeout_ms, done, ud, err);
}

iu_status iu_call_json_async(iu_universe *u, const char *reducer, const char *json, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err) {
  if (json == NULL) return iu__missing("json", err);
  return call_begin(u, reducer, false, &(arguments){NULL, 0, json}, timeout_ms, done, ud, err);
}

iu_status iu_procedure(iu_universe *u, const char *name, const iu_arg *args, size_t count, int64_t timeout_ms, iu_cursor **value, iu_error *err) {
  if (value != NULL) *value = NULL;
  return call_waiting(u, name, true, &(arguments){args, count, NULL}, timeout_ms, value, err);
}

iu_status iu_procedure_async(iu_universe *u, const char *name, const iu_arg *args, size_t count, int64_t timeout_ms, iu_done_fn done, void *ud,
                             iu_error *err) {
  return call_begin(u, name, true, &(arguments){args, count, NULL}, timeout_ms, done, ud, err);
}

/* ---- queries, flushes ---- */

static request query_of(const char *sql) { return (request){.kind = ASK_QUERY, .sql = sql, .what = "query", .what_len = 5}; }
static const request flush_request = {.kind = ASK_FLUSH, .what = "flush", .what_len = 5};
static const request schema_request = {.kind = ASK_SCHEMA, .what = "refresh_schema", .what_len = 14};

iu_status iu_query_once(iu_universe *u, const char *sql, int64_t timeout_ms, iu_cursor **out, iu_error *err) {
  if (out != NULL) *out = NULL;
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  if (sql == NULL || out == NULL) return iu__missing(sql == NULL ? "sql" : "out", err);
  status = iu__may_wait(u->rt, "iu_query_once", "iu_query_once_async", err);
  request r = query_of(sql);
  return status == IU_OK ? run(u, &r, timeout_ms, out, err) : status;
}

iu_status iu_query_once_async(iu_universe *u, const char *sql, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  if (sql == NULL || done == NULL) return iu__missing(sql == NULL ? "sql" : "done", err);
  request r = query_of(sql);
  return begin(u, &r, timeout_ms, done, ud, err);
}

iu_status iu_flush(iu_universe *u, int64_t timeout_ms, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status == IU_OK) status = iu__may_wait(u->rt, "iu_flush", "iu_flush_async", err);
  return status == IU_OK ? run(u, &flush_request, timeout_ms, NULL, err) : status;
}

iu_status iu_flush_async(iu_universe *u, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  return status == IU_OK ? begin(u, &flush_request, timeout_ms, done, ud, err) : status;
}

iu_status iu_refresh_schema(iu_universe *u, int64_t timeout_ms, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status == IU_OK) status = iu__may_wait(u->rt, "iu_refresh_schema", NULL, err);
  return status == IU_OK ? run(u, &schema_request, timeout_ms, NULL, err) : status;
}
