/* transaction.c: one reducer call: arguments checked, run inside a transaction, committed or undone, handed to the journal and to the
 * queues of the sessions, in that order.
 *
 * Commits and their journal frames never part: memory for the frame is made sure of while the transaction can still be undone, and an append that
 * fails all the same puts the engine into its failed state, which says that what was applied may not be saved. Whether the journal has room is asked
 * before the transaction, by who begins it: no transaction waits for the disk.
 */
#include "internal.h"

#include "../base/alloc.h"
#include "../base/clock.h"

void iu__commit_unref(iu_engine *e, iu_commit *c) {
  if (c == NULL || --c->refs > 0) return;
  iu__changeset_release(e->store, c->changes);
  iu__free(c);
}

/* Timestamps may be equal, commits between them are not, nor are transactions of which only reads came. */
static uint64_t seed_of(const iu_engine *e) {
  return ((uint64_t)e->last_timestamp * UINT64_C(0x9e3779b97f4a7c15)) ^ (e->last_seq * UINT64_C(0xc2b2ae3d27d4eb4f));
}

static iu_status run_reducer(iu_engine *e, uint32_t reducer, const void *args, size_t len, const iu_caller *caller, iu_error *err) {
  const iu_hosted *m = iu__module_of(e, reducer);
  iu_reducer_call call;
  iu_status status;
  memcpy(call.sender, caller->identity, 32);
  memcpy(call.connection_id, caller->connection_id, 16);
  call.timestamp = e->last_timestamp;
  call.reducer = reducer - m->first_reducer;
  call.def = &e->schema->reducers[reducer];
  call.args = (iu_slice){args, len};
  e->tx.call = &call;
  e->tx.depth = 1;
  e->tx.number++;
  e->tx.random = seed_of(e);
  e->tx.deleted_bytes = 0;
  e->tx.scheduled = 0;
  e->in_reducer = true;
  status = m->m.run(m->m.ud, &e->tx, &call, err);
  e->in_reducer = false;
  e->tx.call = NULL;
  iu__delivery_resume(e);
  return status;
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
  c->bytes = sizeof *c + len + changes->count * sizeof *changes->changes + changes->inserted_bytes;
  for (uint32_t i = 0; changes->inserted_bytes == 0 && i < changes->count; i++) {
    const iu_change *change = &changes->changes[i];
    c->bytes += (change->old_row != NULL ? change->old_row->len : 0u) + (change->new_row != NULL ? change->new_row->len : 0u);
  }
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

static iu_status begin(iu_engine *e, iu_error *err) {
  int64_t now;
  iu_status status = iu__engine_check_writable(e, err);
  if (status == IU_OK) status = iu__store_begin(e->store, err);
  if (status != IU_OK) return status;
  now = e->config.micros != NULL ? e->config.micros(e->config.micros_ud) : iu__clock_micros();
  if (now > e->last_timestamp) e->last_timestamp = now; /* never backwards within one run */
  return IU_OK;
}

static iu_status closed_meanwhile(iu_engine *e, const iu_reducer_def *def, iu_error *err) {
  iu__store_abort(e->store); /* by a script that heard what the reducer logged */
  return iu__fail(err, IU_E_CLOSED, "%s: the universe was closed meanwhile", def->name);
}

/* What the transaction wrote is kept, or all of it undone. */
static iu_status commit(iu_engine *e, const iu_reducer_def *def, const void *args, size_t len, const iu_caller *caller, uint64_t *seq, iu_error *err) {
  iu_changeset *changes = NULL;
  iu_status status = iu__journal_ready(e->journal, iu__tx_bytes(e->store) + e->tx.deleted_bytes, err);
  if (status == IU_OK && e->tx.scheduled != 0) status = iu__schedule_reserve(e, err);
  if (status == IU_OK) status = iu__store_commit(e->store, &changes, err);
  if (status != IU_OK) {
    iu__store_abort(e->store);
    return status;
  }
  e->transactions++;
  if (changes == NULL) return IU_OK;
  iu__paths_commit(e, changes);
  iu__texts_commit(e, changes);
  status = append(e, changes, seq, err);
  if (status != IU_OK) {
    iu__changeset_release(e->store, changes);
    iu__error_prefix(err, "%s was applied in memory but not saved", def->name);
    e->failure = *err;
    return status;
  }
  if (e->tx.scheduled != 0) iu__schedule_commit(e, changes);
  broadcast(e, changes, def, args, len, caller);
  return IU_OK;
}

iu_status iu__transaction_call(iu_engine *e, uint32_t reducer, const void *args, size_t len, const iu_caller *caller,
                               uint64_t *seq, iu_error *err) {
  const iu_reducer_def *def;
  iu_error own;
  iu_status status;
  *seq = 0;
  if (err == NULL) err = &own;
  if (e->in_reducer) return iu__fail(err, IU_E_CONFLICT, "a reducer cannot be called from inside a reducer");
  if ((status = iu__check_args(e, reducer, args, len, err)) != IU_OK || (status = begin(e, err)) != IU_OK) return status;
  def = &e->schema->reducers[reducer];
  status = run_reducer(e, reducer, args, len, caller, err);
  if (e->closed) return closed_meanwhile(e, def, err);
  if (status != IU_OK) {
    iu__store_abort(e->store);
    e->rejected++;
    return status;
  }
  return commit(e, def, args, len, caller, seq, err);
}

iu_status iu__transaction_scheduled(iu_engine *e, uint32_t table, const iu_row *row, bool once, bool *ran, iu_error *err) {
  const iu_table *t = iu__store_table(e->store, table);
  uint32_t reducer = (uint32_t)iu__table_def(t)->schedule_reducer;
  const iu_reducer_def *def = &e->schema->reducers[reducer];
  iu_caller caller = {.session = NULL};
  iu_error why;
  uint64_t seq;
  iu_status status = begin(e, err), run;
  *ran = false;
  if (status != IU_OK) return status;
  memcpy(caller.identity, e->database_identity, 32);
  run = run_reducer(e, reducer, row->data, row->len, &caller, &why);
  if (e->closed) return closed_meanwhile(e, def, err);
  if (run != IU_OK) {
    iu__tx_rollback_to(e->store, 0);
    e->tx.deleted_bytes = 0;
    e->rejected++;
  }
  /* One that the reducer has deleted, or written anew, is not there any more. */
  if (once && iu__row_visible(row, IU_EPOCH_LATEST)) {
    status = iu__tx_delete((iu_table *)(uintptr_t)t, row, err);
    if (status == IU_OK) iu__tx_note_delete(&e->tx, t, row);
    else iu__store_abort(e->store);
  }
  if (status == IU_OK) status = commit(e, def, row->data, row->len, &caller, &seq, err);
  *ran = status == IU_OK;
  if (*ran && run != IU_OK) iu__log(&e->config.log, IU_LOG_ERROR, "scheduled %s: %s", def->name, why.message);
  return status;
}
