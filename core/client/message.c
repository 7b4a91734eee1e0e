/* message.c: what a message means. Beginning finds whose answer it is, which rows it brings and why they changed; ending, after its rows were told,
 * gives the answer. What a server may not send (an answer to nothing, a first message that is none) cuts the connection.
 */
#include "internal.h"

static iu_status unexpected(const char *what, iu_error *err) { return iu__fail(err, IU_E_CONNECTION, "the server sent %s", what); }

static iu_status match(iu_client *c, iu_request_kind kind, const char *what, iu_error *err) {
  iu_request *r = c->work.m.has_request ? iu__request_match(c, c->work.m.request) : NULL;
  if (r != NULL && r->kind == kind) {
    c->work.request = r;
    return IU_OK;
  }
  if (r != NULL) iu__request_fly_again(c, r); /* ends with the connection */
  return iu__fail(err, IU_E_CONNECTION, "the server sent %s that answers nothing (request %u)", what, c->work.m.request);
}

/* ---- rows ---- */

/* Rows of tables that the schema does not have (system tables, tables of a module published anew) are left out. */
static void strip(iu_client *c) {
  iu_message *m = &c->work.m;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < m->update_count; i++) {
    const iu_slice name = m->updates[i].table;
    if (iu__schema_table(c->base.schema, (const char *)name.p, name.len) >= 0) m->updates[kept++] = m->updates[i];
  }
  c->work.stripped = kept < m->update_count;
  m->update_count = kept;
}

static iu_status bring_rows(iu_client *c, iu_error *err) {
  iu_work *w = &c->work;
  strip(c);
  if (w->m.update_count == 0) return IU_OK;
  w->target = c->resync ? c->fresh : c->worlds->replica;
  w->quiet = c->resync;
  return iu__replica_begin(w->target, w->m.updates, w->m.update_count, err);
}

/* ---- why rows changed ---- */

static void describe_call(iu_client *c, const iu_reducer_def *def, iu_slice args) {
  if (iu__bsatn_check_all(def->params, args.p, args.len, NULL) != IU_OK) return;
  c->work.event.reducer = def;
  c->work.event.args = args;
}

static void describe_v1(iu_client *c) {
  const iu_message *m = &c->work.m;
  iu_event *e = &c->work.event;
  int reducer = iu__schema_reducer(c->base.schema, (const char *)m->reducer.p, m->reducer.len);
  if (reducer >= 0) describe_call(c, &c->base.schema->reducers[reducer], m->args);
  memcpy(e->caller, m->identity, sizeof e->caller);
  memcpy(e->connection_id, m->connection_id, sizeof e->connection_id);
  e->timestamp = m->timestamp;
  e->own = memcmp(m->connection_id, c->base.connection_id, sizeof m->connection_id) == 0;
}

static void describe_own(iu_client *c) {
  iu_event *e = &c->work.event;
  const iu_request *r = c->work.request;
  describe_call(c, r->reducer, (iu_slice){r->bytes, r->len});
  memcpy(e->caller, c->base.identity, sizeof e->caller);
  memcpy(e->connection_id, c->base.connection_id, sizeof e->connection_id);
  e->timestamp = c->work.m.timestamp;
  e->own = true;
}

/* ---- beginning ---- */

/* v1: the answer to one's own call is a transaction like any other. Request 0 is none of ours: what the server does by itself, or (1.2) a failure. */
static iu_status begin_transaction(iu_client *c, iu_error *err) {
  iu_message *m = &c->work.m;
  c->work.event.transaction = ++c->transactions;
  if (m->has_call) {
    describe_v1(c);
    if (c->work.event.own && m->has_request && m->request != 0) {
      iu_request *r = iu__request_match(c, m->request);
      if (r != NULL && r->kind != IU_R_CALL) {
        iu__request_fly_again(c, r);
        return unexpected("a transaction as the answer to something else", err);
      }
      c->work.request = r;
    } else if (c->work.event.own && !m->ok) {
      c->work.request = iu__request_match_failure(c, m);
    }
    if (c->work.request != NULL && m->ok) describe_own(c);
    if (c->work.request != NULL) c->work.event.timestamp = m->timestamp;
  }
  return m->ok ? bring_rows(c, err) : IU_OK;
}

/* The rows of a set that ended without them: those its queries find here. Where they cannot be understood (a join), reconnecting tells what is held. */
static iu_status drop_rows_of(iu_client *c, const iu_sub *s, iu_error *err) {
  iu_query **queries;
  uint32_t count;
  iu_status status = iu__sub_parse(c, s, &queries, &count, err);
  if (status == IU_E_NOMEM) return status;
  if (status != IU_OK) return iu__fail(err, IU_E_CONNECTION, "the server ended a subscription whose rows only it knows");
  c->work.target = c->worlds->replica;
  status = iu__replica_drop_queries(c->work.target, queries, count, err);
  iu__sub_free_parsed(queries, count);
  return status;
}

static iu_status begin_unsubscribed(iu_client *c, iu_error *err) {
  iu_status status = match(c, IU_R_UNSUBSCRIBE, "the end of a subscription", err);
  if (status != IU_OK) return status;
  return c->work.m.has_rows ? bring_rows(c, err) : drop_rows_of(c, c->work.request->sub, err);
}

/* A set that failed by itself. v2 names it; v1 means all of them. */
static iu_status begin_dropped(iu_client *c, iu_error *err) {
  iu_work *w = &c->work;
  if (c->resync) return iu__fail(err, IU_E_CONNECTION, "a subscription failed while all were made again");
  if (!w->m.has_set) {
    iu_replica *empty;
    iu_status status = iu__replica_new(c->base.schema, &empty, err);
    if (status == IU_OK) status = iu__replica_adopt(c->worlds->replica, empty, err);
    w->target = c->worlds->replica;
    return status;
  }
  w->lost_sub = iu__sub_by_set(c, w->m.set);
  return w->lost_sub == NULL ? IU_OK : drop_rows_of(c, w->lost_sub, err);
}

static iu_status begin_subscription_error(iu_client *c, iu_error *err) {
  iu_message *m = &c->work.m;
  if (!m->has_request) return begin_dropped(c, err);
  iu_request *r = iu__request_match(c, m->request);
  if (r == NULL || (r->kind != IU_R_SUBSCRIBE && r->kind != IU_R_UNSUBSCRIBE)) {
    if (r != NULL) iu__request_fly_again(c, r);
    return unexpected("a subscription's error that answers nothing", err);
  }
  c->work.request = r;
  return IU_OK;
}

iu_status iu__message_begin(iu_client *c, iu_error *err) {
  iu_work *w = &c->work;
  iu_status status;
  w->event = (iu_event){0};
  c->counts.messages++;
  if ((w->m.kind == IU_M_CONNECTED) == c->online) {
    return unexpected(c->online ? "its first message twice" : "something else before its first message", err);
  }
  switch (w->m.kind) {
    case IU_M_CONNECTED: return IU_OK;
    case IU_M_SUBSCRIBED:
      w->event.subscribed = true;
      status = match(c, IU_R_SUBSCRIBE, "a subscription's rows", err);
      return status != IU_OK ? status : bring_rows(c, err);
    case IU_M_UNSUBSCRIBED:
      w->event.subscribed = true;
      return begin_unsubscribed(c, err);
    case IU_M_SUBSCRIPTION_ERROR:
      w->event.subscribed = true;
      return begin_subscription_error(c, err);
    case IU_M_TRANSACTION: return begin_transaction(c, err);
    case IU_M_CALL_RESULT:
      status = match(c, IU_R_CALL, "a call's result", err);
      if (status != IU_OK || !w->m.ok) return status;
      w->event.transaction = ++c->transactions;
      describe_own(c);
      return bring_rows(c, err);
    case IU_M_ONE_OFF: return match(c, IU_R_ONE_OFF, "a query's answer", err);
    case IU_M_PROCEDURE: return match(c, IU_R_PROCEDURE, "a procedure's result", err);
    default: return unexpected("an answer to a request that is never made", err);
  }
}

/* ---- ending ---- */

static void server_error(const iu_message *m, iu_error *err) {
  char words[4 * 800 + 4];
  iu__fail(err, IU_E_VALIDATION, "%s", iu__printable(words, 800, m->text.p, m->text.len));
}

static void end_subscribed(iu_client *c, iu_sub *s) {
  iu_error err;
  iu__sub_answered(c, s);
  if (!c->work.stripped) {
    if (c->resync) s->state = IU_SUB_ACTIVE; /* told with the others */
    else iu__sub_applied(c, s);
    return;
  }
  iu__fail(&err, IU_E_VALIDATION, "the query is of a table that the module does not define (a system table?); one-off queries can read those");
  iu__sub_give_up(c, s, &err);
}

static void end_subscription_error(iu_client *c, iu_request *r) {
  const iu_message *m = &c->work.m;
  iu_error err;
  server_error(m, &err);
  if (r == NULL) {
    if (!m->has_set) iu__sub_drop_all(c, &err);
    else if (c->work.lost_sub != NULL) iu__sub_failed(c, c->work.lost_sub, &err);
    return;
  }
  if (r->kind == IU_R_SUBSCRIBE) {
    iu__sub_answered(c, r->sub);
    iu__sub_failed(c, r->sub, &err);
    if (!c->base.closed) iu__link_doubt(c);
    return;
  }
  if (r->sub->over) return; /* it had failed before it was given up */
  iu__sub_ended(c, r->sub);
  if (c->base.closed) return;
  iu__error_prefix(&err, "unsubscribing failed, what is held is in doubt");
  err.status = IU_E_CONNECTION;
  iu__link_cut(c, &err);
}

static void end_call(iu_client *c, iu_request *r) {
  bool rejected = !c->work.m.ok && c->work.m.reducer_id == UINT32_MAX;
  bool internal = !c->work.m.ok && c->work.m.outcome == IU_OUT_INTERNAL;
  if (r != NULL) iu__call_result(c, r, &c->work.m);
  if ((rejected || internal) && !c->base.closed) iu__link_doubt(c);
}

void iu__message_end(iu_client *c) {
  iu_request *r = c->work.request;
  c->work.request = NULL;
  switch (c->work.m.kind) {
    case IU_M_CONNECTED: iu__link_on_connected(c, &c->work.m); return;
    case IU_M_SUBSCRIBED:
      end_subscribed(c, r->sub);
      break;
    case IU_M_UNSUBSCRIBED: iu__sub_ended(c, r->sub); break;
    case IU_M_SUBSCRIPTION_ERROR: end_subscription_error(c, r); break;
    case IU_M_TRANSACTION:
    case IU_M_CALL_RESULT: end_call(c, r); return;
    case IU_M_ONE_OFF: iu__read_answered(c, r, &c->work.m); return;
    case IU_M_PROCEDURE: iu__call_procedure_result(c, r, &c->work.m); return;
    default: break;
  }
  iu__request_free(r);
}
