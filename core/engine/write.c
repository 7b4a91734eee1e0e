/* write.c: what a transaction may write (hosted.h), and what belongs to it: sequences, nested calls, random numbers. */
#include "internal.h"

/* ---- for both kinds of modules ---- */

static bool column_is_zero(iu_slice c) {
  if (c.len == 8) return iu__load_u64(c.p) == 0; /* most are */
  for (size_t i = 0; i < c.len; i++) {
    if (c.p[i] != 0) return false;
  }
  return true;
}

static void write_number(uint8_t *to, size_t len, int64_t v) {
  uint8_t bytes[8];
  iu__store_u64(bytes, (uint64_t)v);
  if (len == 8) {
    memcpy(to, bytes, 8);
    return;
  }
  memset(to, v < 0 ? 0xff : 0, len);
  memcpy(to, bytes, len < 8 ? len : 8);
}

bool iu__sequences_draw(iu_engine *e, const iu_table *t, uint8_t *row, size_t len, uint8_t *generated, uint32_t *generated_len, uint16_t *column) {
  const iu_table_def *def = iu__table_def(t);
  uint32_t table = iu__table_index(t), at = 0;
  for (uint32_t i = e->sequence_base[table]; i < e->sequence_base[table + 1]; i++) {
    iu_sequence *q = &e->sequences[i];
    iu_slice c = iu__bsatn_column(def->row, q->def->column, row, len);
    if (!column_is_zero(c)) continue;
    *column = q->def->column;
    if (q->exhausted) return false;
    write_number(row + (c.p - row), c.len, q->next);
    if (generated != NULL) memcpy(generated + at, c.p, c.len);
    at += (uint32_t)c.len;
    q->dirty = true;
    if (q->def->increment > 0 ? q->next > q->def->max - q->def->increment : q->next < q->def->min - q->def->increment) q->exhausted = true;
    else q->next += q->def->increment;
  }
  if (generated_len != NULL) *generated_len = at;
  return true;
}

iu_status iu__tx_room_for_delete(iu_engine *e, iu_error *err) {
  if (iu__tx_changes(e->store) < IU_ENGINE_TX_ROWS_MAX) return IU_OK;
  return iu__fail(err, IU_E_OVERLOADED, "transaction over %u rows: split it into several", IU_ENGINE_TX_ROWS_MAX);
}

iu_status iu__tx_room(iu_engine *e, size_t len, iu_error *err) {
  iu_status status = iu__tx_room_for_delete(e, err);
  if (status != IU_OK) return status;
  if (len <= IU_ENGINE_TX_BYTES_MAX && iu__tx_bytes(e->store) + len <= IU_ENGINE_TX_BYTES_MAX) return IU_OK;
  return iu__fail(err, IU_E_OVERLOADED, "transaction over %u bytes: split it into several", IU_ENGINE_TX_BYTES_MAX);
}

#define DELETE_OVERHEAD 16 /* of a deleted row in the journal, besides its key: more than its head takes */

/* The journal asks for room before the commit; what a delete takes there is the key, or the row where there is none. */
void iu__tx_note_delete(iu_tx *tx, const iu_table *t, const iu_row *row) {
  const iu_table_def *def = iu__table_def(t);
  size_t len = def->primary_key >= 0 ? iu__bsatn_column(def->row, (uint32_t)def->primary_key, row->data, row->len).len : row->len;
  tx->deleted_bytes += len + DELETE_OVERHEAD;
}

iu_status iu__check_args(iu_engine *e, uint32_t reducer, const void *args, size_t len, iu_error *err) {
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

/* ---- for hosted modules ---- */

static iu_status check_running(const iu_tx *tx, iu_error *err) {
  /* A script that heard a log line may have closed the universe under the reducer: it goes on, but writes nothing. */
  if (tx->call != NULL && !tx->engine->closed) return IU_OK;
  return tx->call == NULL ? iu__fail(err, IU_E_VALIDATION, "rows are written inside a reducer only") : iu__fail(err, IU_E_CLOSED, "the universe is closed");
}

iu_table *iu__tx_table(iu_tx *tx, uint32_t table) {
  return table < tx->engine->schema->table_count ? iu__store_table(tx->engine->store, table) : NULL;
}

uint64_t iu__tx_number(const iu_tx *tx) { return tx->call != NULL ? tx->number : 0; }

static iu_status writable(iu_tx *tx, uint32_t table, iu_table **t, iu_error *err) {
  iu_status status = check_running(tx, err);
  if (status != IU_OK) return status;
  *t = iu__tx_table(tx, table);
  return *t != NULL ? IU_OK : iu__fail(err, IU_E_VALIDATION, "table number %u does not exist", table);
}

static iu_status draw(iu_tx *tx, const iu_table *t, uint8_t *row, size_t len, iu_error *err) {
  const iu_table_def *def = iu__table_def(t);
  uint16_t column;
  if (def->sequence_count == 0 || iu__sequences_draw(tx->engine, t, row, len, NULL, NULL, &column)) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "table `%s`: the numbers of `%s` are used up", def->name, def->row->u.fields[column].name);
}

iu_status iu__tx_put(iu_tx *tx, uint32_t table, uint8_t *row, size_t len, const iu_row **stored, iu_error *err) {
  iu_table *t;
  iu_status status = writable(tx, table, &t, err);
  if (status == IU_OK) status = iu__tx_room(tx->engine, len, err);
  if (status == IU_OK) status = iu__tx_note_put(tx, iu__table_def(t), row, len, err);
  if (status == IU_OK) status = draw(tx, t, row, len, err);
  return status == IU_OK ? iu__tx_insert(t, row, len, stored, NULL, err) : status;
}

static bool same_key(const iu_table_def *def, const iu_row *a, const uint8_t *row, size_t len) {
  if (def->primary_key < 0) return false;
  iu_slice x = iu__bsatn_column(def->row, (uint32_t)def->primary_key, a->data, a->len);
  iu_slice y = iu__bsatn_column(def->row, (uint32_t)def->primary_key, row, len);
  return x.len == y.len && memcmp(x.p, y.p, x.len) == 0;
}

iu_status iu__tx_replace(iu_tx *tx, uint32_t table, const iu_row *old_row, uint8_t *row, size_t len, const iu_row **stored, iu_error *err) {
  iu_table *t;
  iu_status status = writable(tx, table, &t, err);
  if (status == IU_OK) status = iu__tx_room(tx->engine, len, err);
  if (status == IU_OK) status = iu__tx_note_put(tx, iu__table_def(t), row, len, err);
  if (status == IU_OK) status = draw(tx, t, row, len, err);
  if (status == IU_OK) status = iu__tx_update(t, old_row, row, len, stored, err);
  if (status == IU_OK && !same_key(iu__table_def(t), old_row, row, len)) iu__tx_note_delete(tx, t, old_row);
  return status;
}

iu_status iu__tx_remove(iu_tx *tx, uint32_t table, const iu_row *row, iu_error *err) {
  iu_table *t;
  iu_status status = writable(tx, table, &t, err);
  if (status == IU_OK) status = iu__tx_room_for_delete(tx->engine, err);
  if (status == IU_OK) status = iu__tx_delete(t, row, err);
  if (status == IU_OK) iu__tx_note_delete(tx, t, row);
  return status;
}

iu_status iu__tx_run(iu_tx *tx, uint32_t reducer, const void *args, size_t len, iu_error *err) {
  iu_engine *e = tx->engine;
  const iu_reducer_call *outer = tx->call;
  iu_error own;
  iu_status status;
  if (err == NULL) err = &own;
  if ((status = check_running(tx, err)) != IU_OK || (status = iu__check_args(e, reducer, args, len, err)) != IU_OK) return status;
  const iu_reducer_def *def = &e->schema->reducers[reducer];
  if (def->lifecycle != IU_LC_NONE) return iu__fail(err, IU_E_VALIDATION, "%s: a lifecycle reducer cannot be called", def->name);
  if (tx->depth >= IU_TX_DEPTH_MAX) return iu__fail(err, IU_E_OVERLOADED, "%s: reducers call each other over %d deep", def->name, IU_TX_DEPTH_MAX);
  const iu_hosted *m = iu__module_of(e, reducer);
  iu_reducer_call call = *outer;
  size_t mark = iu__tx_mark(e->store);
  call.reducer = reducer - m->first_reducer;
  call.def = def;
  call.args = (iu_slice){args, len};
  tx->call = &call;
  tx->depth++;
  status = m->m.run(m->m.ud, tx, &call, err);
  tx->depth--;
  tx->call = outer;
  if (status != IU_OK) iu__tx_rollback_to(e->store, mark);
  return status;
}

/* splitmix64 */
uint64_t iu__tx_random(iu_tx *tx) {
  uint64_t z = tx->random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}
