/* transaction.c: one reducer call: arguments checked, run inside a transaction, committed or undone, handed to the journal and to the
 * queues of the sessions, in that order.
 *
 * Commits and their journal frames never part: room in the journal is made sure of while the transaction can still be undone, and an append that
 * fails all the same puts the engine into its failed state, which says that what was applied may not be saved.
 */
#include "internal.h"

#include "../base/alloc.h"
#include "../base/clock.h"

#define BACKPRESSURE_WAIT_MS 10000

void iu__commit_unref(iu_engine *e, iu_commit *c) {
  if (c == NULL || --c->refs > 0) return;
  iu__changeset_release(e->store, c->changes);
  iu__free(c);
}

static iu_status check_args(iu_engine *e, uint32_t reducer, const void *args, size_t len, iu_error *err) {
  const iu_reducer_def *def;
  iu_status status;
  if (reducer >= e->schema->reducer_count) return iu__fail(err, IU_E_VALIDATION, "reducer number %u does not exist", reducer);
  def = &e->schema->reducers[reducer];
  if (len > IU_ENGINE_ARGS_BYTES_MAX) {
    return iu__fail(err, IU_E_OVERLOADED, "%s: arguments of %zu bytes, the limit is %u", def->name, len, IU_ENGINE_ARGS_BYTES_MAX);
  }
  status = iu__bsatn_check_all(def->params, args, len, err);
  if (status != IU_OK) iu__error_prefix(err, "%s", def->name);
  return status;
}

/* Room for the whole transaction, asked for while it can still be undone; when the journal is far behind, the caller waits for it here. */
static iu_status room_in_journal(iu_engine *e, iu_error *err) {
  uint64_t bytes = iu__tx_bytes(e->store) + e->host.deleted_bytes;
  iu_error local;
  iu_status status = iu__journal_ready(e->journal, bytes, &local);
  if (status == IU_E_OVERLOADED) {
    iu__journal_hurry(e->journal);
    status = iu__journal_wait(e->journal, e->last_seq, BACKPRESSURE_WAIT_MS, &local);
    if (status == IU_OK) status = iu__journal_ready(e->journal, bytes, &local);
    else if (status == IU_E_TIMEOUT) {
      status = iu__fail(&local, IU_E_OVERLOADED, "the journal is far behind and did not catch up within %d s", BACKPRESSURE_WAIT_MS / 1000);
    }
  }
  if (status != IU_OK && err != NULL) *err = local;
  return status;
}

static int32_t run_reducer(iu_engine *e, uint32_t reducer, const void *args, size_t len, const iu_caller *caller) {
  iu_host *h = &e->host;
  const uint8_t *id = caller->identity, *conn = caller->connection_id;
  int32_t rc;
  h->args = args;
  h->args_len = len;
  h->args_at = 0;
  h->args_open = len > 0;
  iu__buf_reset(&h->sink);
  iu__error_clear(&h->failure);
  h->deleted_bytes = 0;
  e->in_reducer = true;
  rc = e->module->call_reducer(e->instance, reducer, iu__load_u64(id), iu__load_u64(id + 8), iu__load_u64(id + 16), iu__load_u64(id + 24),
                               iu__load_u64(conn), iu__load_u64(conn + 8), (uint64_t)e->last_timestamp, len > 0 ? 1 : 0, 1);
  e->in_reducer = false;
  iu__host_end_call(h);
  iu__delivery_resume(e);
  return rc;
}

static iu_status refusal(iu_engine *e, const char *reducer, int32_t rc, iu_error *err) {
  if (e->host.failure.status != IU_OK) {
    if (err != NULL) *err = e->host.failure;
    return e->host.failure.status;
  }
  if (rc != IU_ABI_HOST_CALL_FAILURE) {
    return iu__fail(err, IU_E_PERSISTENCE, "%s: the module failed (return code %d)", reducer, (int)rc);
  }
  iu_error local;
  if (err == NULL) err = &local;
  iu__error_from_reducer(err, (const char *)e->host.sink.data, e->host.sink.len);
  return err->status;
}

static iu_status append(iu_engine *e, const iu_changeset *changes, uint64_t *seq, iu_error *err) {
  uint32_t n = 0;
  iu_status status;
  for (uint32_t i = 0; i < e->sequence_count; i++) {
    const iu_sequence *q = &e->sequences[i];
    if (!q->dirty) continue;
    e->sequence_values[n++] = (iu_sequence_value){q->table, q->index, q->next};
  }
  status = iu__journal_append(e->journal, changes, e->sequence_values, n, seq, err);
  if (status != IU_OK) return status;
  for (uint32_t i = 0; i < e->sequence_count; i++) e->sequences[i].dirty = false;
  e->last_seq = *seq;
  return IU_OK;
}

static iu_commit *commit_record(iu_changeset *changes, const iu_reducer_def *def, const void *args, size_t len, const iu_caller *caller,
                                int64_t timestamp) {
  iu_commit *c = iu__alloc(sizeof *c + len);
  if (c == NULL) return NULL;
  c->refs = 1;
  c->changes = changes;
  c->reducer = def;
  c->caller = caller->session;
  memcpy(c->identity, caller->identity, 32);
  memcpy(c->connection_id, caller->connection_id, 16);
  c->timestamp = timestamp;
  c->args_len = (uint32_t)len;
  if (len != 0) memcpy(c->args, args, len);
  return c;
}

/* Every session hears of it. Most commits concern nobody's subscriptions: then only the views' epochs move and no record is made.
 * A session that cannot queue it is closed rather than left with a view that lies; the commit stands. */
static void broadcast(iu_engine *e, iu_changeset *changes, const iu_reducer_def *def, const void *args, size_t len, const iu_caller *caller) {
  iu_commit *c = NULL;
  for (iu_session *s = e->sessions; s != NULL; s = s->next) {
    iu_error err;
    iu_status status;
    if (s->base.closed) continue;
    if (!iu__delivery_wants(s)) {
      iu__view_set_epoch(s->base.view, changes->epoch);
      continue;
    }
    if (c == NULL) c = commit_record(changes, def, args, len, caller, e->last_timestamp);
    status = c != NULL ? iu__delivery_push_commit(s, c, &err) : iu__fail_nomem(&err);
    if (status != IU_OK) iu__session_break(s, &err);
  }
  if (c != NULL) iu__commit_unref(e, c);
  else iu__changeset_release(e->store, changes);
}

iu_status iu__transaction_call(iu_engine *e, uint32_t reducer, const void *args, size_t len, const iu_caller *caller,
                               uint64_t *seq, iu_error *err) {
  const iu_reducer_def *def;
  iu_changeset *changes = NULL;
  int64_t now;
  int32_t rc;
  iu_status status;
  *seq = 0;
  if (e->in_reducer) return iu__fail(err, IU_E_CONFLICT, "a reducer cannot be called from inside a reducer");
  if ((status = check_args(e, reducer, args, len, err)) != IU_OK) return status;
  if ((status = iu__engine_check_writable(e, err)) != IU_OK) return status;
  def = &e->schema->reducers[reducer];
  if ((status = iu__store_begin(e->store, err)) != IU_OK) return status;
  now = iu__clock_micros();
  if (now > e->last_timestamp) e->last_timestamp = now; /* never backwards within one run */
  rc = run_reducer(e, reducer, args, len, caller);
  if (e->closed) { /* by a script that heard what the reducer logged */
    iu__store_abort(e->store);
    return iu__fail(err, IU_E_CLOSED, "%s: the universe was closed meanwhile", def->name);
  }
  if (rc != IU_ABI_OK || e->host.failure.status != IU_OK) {
    iu__store_abort(e->store);
    e->rejected++;
    return refusal(e, def->name, rc, err);
  }
  status = room_in_journal(e, err);
  if (status == IU_OK) status = iu__store_commit(e->store, &changes, err);
  if (status != IU_OK) {
    iu__store_abort(e->store);
    return status;
  }
  e->transactions++;
  if (changes == NULL) return IU_OK;
  status = append(e, changes, seq, err);
  if (status != IU_OK) {
    iu__changeset_release(e->store, changes);
    iu__error_prefix(err, "%s was applied in memory but not saved", def->name);
    if (err != NULL) e->failure = *err;
    else iu__fail(&e->failure, status, "%s was applied in memory but not saved", def->name);
    return status;
  }
  broadcast(e, changes, def, args, len, caller);
  return IU_OK;
}
