/* call.c: calls of reducers and procedures, and flushes, which wait until everything that was sent before them is answered. */
#include "../base/alloc.h"
#include "../sats/sats_json.h"
#include "internal.h"

static iu_status check_args(const char *name, const iu_type *params, const void *args, size_t len, iu_error *err) {
  iu_status status;
  if (len > IU_CLIENT_ARGS_BYTES_MAX) {
    return iu__fail(err, IU_E_OVERLOADED, "%s: arguments of %zu bytes are over the limit of %u", name, len, IU_CLIENT_ARGS_BYTES_MAX);
  }
  status = iu__bsatn_check_all(params, args, len, err);
  if (status != IU_OK) iu__error_prefix(err, "%s", name);
  return status;
}

static iu_status queue(iu_client *c, iu_request *r, uint64_t *pending, iu_error *err) {
  uint64_t id = ++c->next_pending;
  r->pending = id;
  iu_status status = iu__request_queue(c, r, err);
  if (status == IU_OK) *pending = id;
  return status;
}

iu_status iu__client_call(iu_connection *conn, uint32_t reducer, const void *args, size_t len, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_status status = iu__client_check_open(c, err);
  *pending = 0;
  if (status != IU_OK) return status;
  if (reducer >= conn->schema->reducer_count) {
    if (!c->ever) return iu__fail(err, IU_E_CONNECTION, "not connected to %s", c->config.url);
    return iu__fail(err, IU_E_VALIDATION, "reducer number %u does not exist", reducer);
  }
  const iu_reducer_def *def = &conn->schema->reducers[reducer];
  if (def->lifecycle != IU_LC_NONE) return iu__fail(err, IU_E_VALIDATION, "%s: a lifecycle reducer cannot be called", def->name);
  status = check_args(def->name, def->params, args, len, err);
  if (status != IU_OK) return status;
  iu_request *r = iu__request_new(c, IU_R_CALL, args, len, err);
  if (r == NULL) return IU_E_NOMEM;
  r->reducer = def;
  return queue(c, r, pending, err);
}

iu_status iu__client_procedure(iu_connection *conn, uint32_t procedure, const void *args, size_t len, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_status status = iu__client_check_open(c, err);
  *pending = 0;
  if (status != IU_OK) return status;
  if (procedure >= conn->schema->procedure_count) return iu__fail(err, IU_E_VALIDATION, "procedure number %u does not exist", procedure);
  const iu_procedure_def *def = &conn->schema->procedures[procedure];
  status = check_args(def->name, def->params, args, len, err);
  if (status != IU_OK) return status;
  iu_request *r = iu__request_new(c, IU_R_PROCEDURE, args, len, err);
  if (r == NULL) return IU_E_NOMEM;
  r->procedure = def;
  return queue(c, r, pending, err);
}

/* ---- answers ---- */

static bool starts_with(iu_slice text, const char *start) {
  size_t len = strlen(start);
  return text.len >= len && memcmp(text.p, start, len) == 0;
}

/* A refusal of the reducer is "CODE: message"; everything else is the server's own. */
static void refusal(const iu_message *m, const char *name, iu_error *err) {
  char words[4 * 400 + 4];
  iu__printable(words, 400, m->text.p, m->text.len);
  if (m->outcome == IU_OUT_NO_ENERGY) iu__fail(err, IU_E_OVERLOADED, "%s: the database is out of energy", name);
  else if (starts_with(m->text, "no such reducer")) iu__fail(err, IU_E_VALIDATION, "%s: the server has no such reducer any more (%s)", name, words);
  else if (starts_with(m->text, "invalid arguments for ")) iu__fail(err, IU_E_VALIDATION, "%s: the server takes other arguments now (%s)", name, words);
  else if (m->outcome == IU_OUT_FAILED && m->text.len > 0) iu__error_from_reducer(err, (const char *)m->text.p, m->text.len);
  else iu__fail(err, IU_E_PERSISTENCE, "%s: %s", name, m->text.len > 0 ? words : "the server refused the call without a word");
}

void iu__call_result(iu_client *c, iu_request *r, const iu_message *m) {
  iu_error err;
  if (m->ok) {
    iu__request_answer(c, r, IU_OK, NULL, NULL, NULL);
    return;
  }
  refusal(m, r->reducer->name, &err);
  iu__request_answer(c, r, err.status, &err, NULL, NULL);
}

void iu__call_procedure_result(iu_client *c, iu_request *r, const iu_message *m) {
  iu_typed_value value = {r->procedure->returns, m->value};
  iu_buf converted = {0};
  iu_error err;
  iu_status status = IU_OK;
  if (!m->ok) {
    refusal(m, r->procedure->name, &err);
    status = err.status;
  } else if (c->protocol == IU_P_V1_JSON) {
    status = iu__sats_from_report(value.type, m->value.p, m->value.len, &converted, &err);
    value.bytes = (iu_slice){converted.data, converted.len};
  } else {
    status = iu__bsatn_check_all(value.type, m->value.p, m->value.len, &err);
  }
  if (m->ok && status != IU_OK) iu__error_prefix(&err, "%s: the returned value", r->procedure->name);
  iu__request_answer(c, r, status, &err, NULL, status == IU_OK ? &value : NULL);
  iu__buf_free(&converted);
}

/* ---- flushes ---- */

/* Away, the server cannot be asked whether it still has what it acknowledged; what waits for it is flushed once it was sent and answered. */
iu_status iu__client_flush(iu_connection *conn, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_status status = iu__client_check_open(c, err);
  bool nothing = iu__request_oldest(c) == UINT64_MAX;
  *pending = 0;
  if (status == IU_OK && nothing && (!c->online || c->ws == NULL)) {
    return iu__fail(err, IU_E_CONNECTION, "not connected to %s: whether it has saved what it acknowledged cannot be known", c->config.url);
  }
  if (status != IU_OK || nothing) return status;
  iu_flush_wait **end = &c->flushes;
  uint32_t waiting = 0;
  for (; *end != NULL; end = &(*end)->next) waiting++;
  if (waiting == IU_CLIENT_FLUSHES_MAX) return iu__fail(err, IU_E_OVERLOADED, "%u flushes wait for their end already", waiting);
  iu_flush_wait *f = iu__alloc(sizeof *f);
  if (f == NULL) return iu__fail_nomem(err);
  *f = (iu_flush_wait){NULL, ++c->next_pending, c->next_sequence, IU_OK};
  *end = f;
  *pending = f->pending;
  return IU_OK;
}

/* Taken out of the list first: the callback may flush again, or close. */
static void tell_flush(iu_client *c, iu_flush_wait **place, iu_status status, const iu_error *err) {
  iu_flush_wait *f = *place;
  uint64_t pending = f->pending;
  *place = f->next;
  iu__free(f);
  if (c->base.listener.answer != NULL) c->base.listener.answer(c->base.listener.ud, pending, status, err, NULL, NULL);
}

void iu__call_tell_flushes(iu_client *c) {
  while (c->flushes != NULL && iu__request_oldest(c) > c->flushes->after) tell_flush(c, &c->flushes, IU_OK, NULL);
}

static bool has_call(const iu_requests *list, uint64_t until) {
  for (const iu_request *r = list->first; r != NULL; r = r->next) {
    if ((r->kind == IU_R_CALL || r->kind == IU_R_PROCEDURE) && r->sequence <= until) return true;
  }
  return false;
}

void iu__call_doubt_flushes(iu_client *c, bool keep_queued) {
  for (iu_flush_wait *f = c->flushes; f != NULL; f = f->next) {
    if (has_call(&c->flying, f->after)) f->lost = IU_E_UNKNOWN_OUTCOME;
    else if (!keep_queued || !has_call(&c->waiting, f->after)) f->lost = IU_E_CONNECTION;
  }
}

void iu__call_fail_flushes(iu_client *c, const iu_error *why) {
  iu_flush_wait **place = &c->flushes;
  iu_error err;
  while (*place != NULL) {
    iu_status status = (*place)->lost;
    if (status == IU_OK) {
      place = &(*place)->next;
      continue;
    }
    iu__fail(&err, status, "the connection was lost before everything was answered: %.900s", why->message);
    tell_flush(c, place, status, &err);
    place = &c->flushes; /* whatever the callback did to the list */
  }
}

void iu__call_end_flushes(iu_client *c, const iu_error *why) {
  while (c->flushes != NULL) tell_flush(c, &c->flushes, why->status, why);
}
