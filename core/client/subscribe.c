/* subscribe.c: the subscriptions of a connection. Each is a query set of the server; it outlives the socket, so after a loss all of them are sent
 * again, with new numbers, and answered into a fresh replica.
 *
 * What the listener hears of one: applied, then ended or failed; or failed; or only ended, when it was given up before it was applied.
 */
#include "../base/alloc.h"
#include "../base/text.h"
#include "internal.h"

/* ---- life ---- */

static iu_sub *sub_new(const iu_slice *queries, uint32_t count) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) bytes += queries[i].len;
  iu_sub *s = iu__alloc(sizeof *s + count * sizeof *queries + bytes);
  if (s == NULL) return NULL;
  memset(s, 0, sizeof *s);
  s->count = count;
  uint8_t *at = (uint8_t *)(s->queries + count);
  for (uint32_t i = 0; i < count; i++) {
    if (queries[i].len != 0) memcpy(at, queries[i].p, queries[i].len);
    s->queries[i] = (iu_slice){at, queries[i].len};
    at += queries[i].len;
  }
  return s;
}

static void unlist(iu_client *c, iu_sub *s) {
  if (!s->listed) return;
  s->listed = false;
  if (s->prev != NULL) s->prev->next = s->next;
  else c->subs = s->next;
  if (s->next != NULL) s->next->prev = s->prev;
  s->prev = s->next = NULL;
  c->sub_count--;
}

void iu__sub_release(iu_sub *s) {
  if (s->listed || s->requests > 0) return;
  iu__free(s->whole);
  iu__free(s);
}

void iu__sub_free_all(iu_client *c) {
  while (c->subs != NULL) {
    iu_sub *s = c->subs;
    unlist(c, s);
    iu__sub_release(s);
  }
}

/* ---- tables held whole ---- */

static void whole_count(iu_client *c, iu_sub *s, bool more) {
  for (uint32_t i = 0; i < s->whole_count; i++) {
    if (more) c->whole[s->whole[i]]++;
    else c->whole[s->whole[i]]--;
  }
  if (more) return;
  iu__free(s->whole);
  s->whole = NULL;
  s->whole_count = 0;
}

static bool is_everything(iu_slice q) {
  static const char words[] = "SELECT * FROM *";
  return q.len == sizeof words - 1 && memcmp(q.p, words, q.len) == 0;
}

/* Without memory the table is only not known to be whole. */
static void find_whole(iu_client *c, iu_sub *s) {
  const iu_schema *schema = c->base.schema;
  bool everything = false;
  s->whole = iu__alloc(((size_t)s->count + schema->table_count + 1) * sizeof *s->whole);
  if (s->whole == NULL) return;
  for (uint32_t i = 0; i < s->count; i++) {
    iu_query *q;
    if (is_everything(s->queries[i])) everything = true;
    else if (iu__query_parse(schema, (const char *)s->queries[i].p, s->queries[i].len, c->base.identity, true, &q, NULL) == IU_OK) {
      if (iu__query_is_whole(q)) s->whole[s->whole_count++] = iu__query_table(q);
      iu__query_free(q);
    }
  }
  for (uint32_t t = 0; everything && t < schema->table_count; t++) {
    if (schema->tables[t].is_public && !schema->tables[t].is_view) s->whole[s->whole_count++] = t;
  }
  whole_count(c, s, true);
}

void iu__sub_recount(iu_client *c) {
  for (iu_sub *s = c->subs; s != NULL; s = s->next) {
    iu__free(s->whole);
    s->whole = NULL;
    s->whole_count = 0;
    if (s->state == IU_SUB_ACTIVE && !s->ending) find_whole(c, s);
  }
}

/* ---- the seam ---- */

static iu_status check_queries(const iu_slice *queries, uint32_t count, iu_error *err) {
  if (count == 0) return iu__fail(err, IU_E_VALIDATION, "a subscription needs at least one query");
  for (uint32_t i = 0; i < count; i++) {
    if (queries[i].len == 0) return iu__fail(err, IU_E_VALIDATION, "query %u is empty", i + 1);
    if (queries[i].len > IU_SQL_MAX) return iu__fail(err, IU_E_VALIDATION, "query %u is longer than %d bytes", i + 1, IU_SQL_MAX);
    if (iu__utf8_check((const char *)queries[i].p, queries[i].len) != queries[i].len) {
      return iu__fail(err, IU_E_VALIDATION, "query %u is not UTF-8", i + 1);
    }
  }
  return IU_OK;
}

static iu_status ask(iu_client *c, iu_sub *s, iu_request_kind kind, iu_error *err) {
  iu_request *r = iu__request_new(c, kind, NULL, 0, err);
  if (r == NULL) return IU_E_NOMEM;
  r->sub = s;
  s->requests++;
  return iu__request_queue(c, r, err);
}

/* While away there is nothing to ask: the connection asks for all of them once it is there. */
iu_status iu__client_subscribe(iu_connection *conn, const iu_slice *queries, uint32_t count, uint64_t *subscription, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_status status = iu__client_check_open(c, err);
  if (status == IU_OK) status = check_queries(queries, count, err);
  if (status == IU_OK && c->sub_count >= IU_CLIENT_SUBSCRIPTIONS_MAX) {
    status = iu__fail(err, IU_E_OVERLOADED, "%d subscriptions are the most", IU_CLIENT_SUBSCRIPTIONS_MAX);
  }
  if (status != IU_OK) return status;
  iu_sub *s = sub_new(queries, count);
  if (s == NULL) return iu__fail_nomem(err);
  s->id = ++c->next_sub;
  s->listed = true;
  s->next = c->subs;
  if (c->subs != NULL) c->subs->prev = s;
  c->subs = s;
  c->sub_count++;
  uint64_t id = s->id;
  if (c->online && !c->resync) status = ask(c, s, IU_R_SUBSCRIBE, err);
  if (status != IU_OK) {
    unlist(c, s);
    iu__sub_release(s);
    return status;
  }
  *subscription = id;
  return IU_OK;
}

static iu_request *waiting_request(iu_client *c, const iu_sub *s) {
  for (iu_request *r = c->waiting.first; r != NULL; r = r->next) {
    if (r->sub == s && r->kind == IU_R_SUBSCRIBE) return r;
  }
  return NULL;
}

/* Nothing of it reached the server, or the server forgot it with the connection: the end is told by the pump. */
static iu_status end_here(iu_client *c, iu_sub *s, iu_error *err) {
  iu_request *r = iu__request_new(c, IU_R_UNSUBSCRIBE, NULL, 0, err);
  if (r == NULL) return IU_E_NOMEM;
  iu_request *asking = waiting_request(c, s);
  r->sub = s;
  s->requests++;
  if (asking != NULL) {
    iu__request_take(c, &c->waiting, asking);
    iu__request_free(asking);
  }
  iu__request_end(c, r, IU_OK, NULL);
  return IU_OK;
}

iu_status iu__client_unsubscribe(iu_connection *conn, uint64_t subscription, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_status status = iu__client_check_open(c, err);
  iu_sub *s = c->subs;
  if (status != IU_OK) return status;
  while (s != NULL && (s->id != subscription || s->ending || s->over)) s = s->next;
  if (s == NULL) return iu__fail(err, IU_E_VALIDATION, "subscription %llu is not active", (unsigned long long)subscription);
  bool holds = s->state == IU_SUB_ACTIVE || s->told; /* while away: its rows go with the next resync, and then it has ended */
  if (c->online && !c->resync && s->state != IU_SUB_WAITS) status = ask(c, s, IU_R_UNSUBSCRIBE, err);
  else if (c->resync && s->restoring) status = IU_OK;
  else if (!holds) status = end_here(c, s, err);
  if (status != IU_OK) return status;
  s->ending = true;
  if (s->state == IU_SUB_ACTIVE) whole_count(c, s, false);
  return IU_OK;
}

/* ---- what the server said ---- */

static void tell(iu_client *c, iu_sub *s, iu_sub_event what, const iu_error *err) {
  if (what != IU_SUB_APPLIED) s->over = true;
  else s->told = true;
  if (c->base.listener.subscription != NULL) c->base.listener.subscription(c->base.listener.ud, s->id, what, err);
}

void iu__sub_applied(iu_client *c, iu_sub *s) {
  s->state = IU_SUB_ACTIVE;
  if (s->ending || s->over) return;
  find_whole(c, s);
  if (!s->told) tell(c, s, IU_SUB_APPLIED, NULL);
}

static void gone(iu_client *c, iu_sub *s, iu_sub_event what, const iu_error *why) {
  if (s->over) return;
  if (s->state == IU_SUB_ACTIVE) whole_count(c, s, false);
  s->state = IU_SUB_WAITS;
  s->requests++; /* stays for the callback */
  unlist(c, s);
  tell(c, s, what, why);
  s->requests--;
  iu__sub_release(s);
}

void iu__sub_failed(iu_client *c, iu_sub *s, const iu_error *why) { gone(c, s, IU_SUB_FAILED, why); }
void iu__sub_ended(iu_client *c, iu_sub *s) { gone(c, s, IU_SUB_ENDED, NULL); }

/* It cannot be held: the server is told to drop it, the listener hears that it failed. Rows it brought go with the answer. */
void iu__sub_give_up(iu_client *c, iu_sub *s, const iu_error *why) {
  iu_error err;
  if (ask(c, s, IU_R_UNSUBSCRIBE, &err) != IU_OK) iu__link_cut(c, &err);
  else iu__sub_failed(c, s, why);
}

iu_sub *iu__sub_by_set(iu_client *c, uint32_t set) {
  iu_sub *s = c->subs;
  while (s != NULL && (s->set != set || s->state == IU_SUB_WAITS)) s = s->next;
  return s;
}

void iu__sub_drop_all(iu_client *c, const iu_error *why) {
  while (c->subs != NULL && !c->base.closed) {
    if (c->subs->ending) iu__sub_ended(c, c->subs);
    else iu__sub_failed(c, c->subs, why);
  }
}

/* ---- losses ---- */

void iu__sub_on_lost(iu_client *c) {
  for (iu_sub *s = c->subs; s != NULL; s = s->next) {
    if (s->state == IU_SUB_ACTIVE) whole_count(c, s, false);
    s->state = IU_SUB_WAITS;
    s->restoring = false;
  }
}

/* Without memory for a request the connection is cut by the caller (false). */
static bool restore_one(iu_client *c, iu_sub *s) {
  iu_request *r = iu__request_new(c, IU_R_SUBSCRIBE, NULL, 0, NULL);
  if (r == NULL) return false;
  r->sub = s;
  r->sequence = 0; /* before everything that waits: the lists stay in order */
  s->requests++;
  s->restoring = c->resync;
  if (c->resync) c->restoring++;
  iu__request_push_first(c, r);
  return true;
}

/* The list has the newest first, and each is put before the ones that are there: they go out in the order they were made. */
void iu__sub_restore(iu_client *c) {
  for (iu_sub *s = c->subs; s != NULL; s = s->next) {
    if (s->ending || s->over) continue;
    if (restore_one(c, s)) continue;
    iu_error err;
    iu__fail_nomem(&err);
    iu__link_cut(c, &err);
    return;
  }
}

void iu__sub_answered(iu_client *c, iu_sub *s) {
  if (!s->restoring) return;
  s->restoring = false;
  c->restoring--;
}

/* The view shows the new state: those that were given up meanwhile have ended; those that were made meanwhile are applied, or asked for now. */
void iu__sub_adopted(iu_client *c) {
  iu_sub *s = c->subs;
  iu_error err;
  iu__sub_recount(c); /* tables are held whole again */
  while (s != NULL && !c->base.closed) {
    bool settled = s->over || (s->state == IU_SUB_ACTIVE && s->told && !s->ending) || (s->state == IU_SUB_SENT && !s->ending) || s->requests > 0;
    if (settled) {
      s = s->next;
      continue;
    }
    if (s->ending && s->state != IU_SUB_WAITS) { /* it was restored before it was given up */
      if (ask(c, s, IU_R_UNSUBSCRIBE, &err) != IU_OK) break;
      s = s->next;
    } else if (s->ending) {
      iu__sub_ended(c, s);
      s = c->subs; /* the callback may have changed the list */
    } else if (s->state == IU_SUB_ACTIVE) {
      tell(c, s, IU_SUB_APPLIED, NULL);
      s = c->subs;
    } else {
      if (ask(c, s, IU_R_SUBSCRIBE, &err) != IU_OK) break;
      s = s->next;
    }
  }
  if (s != NULL && !c->base.closed) iu__link_cut(c, &err); /* no memory to ask: the next connection asks for all of them */
}

/* ---- a set's queries ---- */

void iu__sub_free_parsed(iu_query **queries, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) iu__query_free(queries[i]);
  iu__free(queries);
}

iu_status iu__sub_parse(iu_client *c, const iu_sub *s, iu_query ***out, uint32_t *count, iu_error *err) {
  iu_query **queries = iu__alloc_zero(s->count, sizeof *queries);
  if (queries == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < s->count; i++) {
    iu_status status = iu__query_parse(c->base.schema, (const char *)s->queries[i].p, s->queries[i].len, c->base.identity, true, &queries[i], err);
    if (status == IU_OK) continue;
    iu__sub_free_parsed(queries, i);
    return status;
  }
  *out = queries;
  *count = s->count;
  return IU_OK;
}
