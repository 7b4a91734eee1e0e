/* replica.c: see replica.h. One message goes through the phases of iu_replica_phase inside one store transaction; a step stops between two rows.
 *
 * Counts first, rows later: a row whose count came to zero stays in its table until all inserts of the message that are equal to it were counted,
 * so a row that leaves one query and enters another is never touched. Then what is still at zero goes, before new rows take its keys.
 */
#include "replica_internal.h"

#include "../base/alloc.h"

#define FINISH_STRIDE (8 * IU_REPLICA_STRIDE) /* rows that are let go between two looks at the clock */

iu_status iu__replica_new(const iu_schema *schema, iu_replica **out, iu_error *err) {
  iu_replica *r = iu__alloc_zero(1, sizeof *r);
  iu_status status;
  *out = NULL;
  if (r == NULL) return iu__fail_nomem(err);
  r->schema = schema;
  status = iu__store_new(schema, &r->store, err);
  if (status == IU_OK) iu__store_be_lean(r->store);
  if (status == IU_OK) status = iu__view_new(r->store, &r->view, err);
  if (status != IU_OK) {
    iu__replica_free(r);
    return status;
  }
  for (uint32_t i = 0; i < schema->table_count; i++) iu__view_hold_table(r->view, i, NULL);
  *out = r;
  return IU_OK;
}

static void drop_events(iu_replica *r) {
  for (uint32_t i = 0; i < r->event_count; i++) iu__free((void *)(uintptr_t)r->events[i].row);
  r->event_count = 0;
}

void iu__replica_free(iu_replica *r) {
  if (r == NULL) return;
  iu__iter_close(r->iter);
  iu__replica_free(r->fresh);
  drop_events(r);
  if (r->store != NULL) {
    iu__changeset_release(r->store, r->changes);
    iu__store_abort(r->store);
    iu__view_free(r->view);
    iu__store_free(r->store);
  }
  iu__counts_free(&r->counts);
  iu__free(r->tables);
  iu__free(r->known);
  iu__free(r->zero);
  iu__free(r->zero_table);
  iu__free(r->events);
  iu__free(r);
}

iu_store *iu__replica_store(iu_replica *r) { return r->store; }
iu_view *iu__replica_view(iu_replica *r) { return r->view; }
const iu_changeset *iu__replica_changes(const iu_replica *r) { return r->changes; }

const iu_replica_event *iu__replica_events(const iu_replica *r, uint32_t *count) {
  *count = r->event_count;
  return r->events;
}

void iu__replica_show(iu_replica *r) { iu__view_set_epoch(r->view, iu__store_epoch(r->store)); }

bool iu__replica_finish_some(iu_replica *r, iu_loop *loop) {
  bool changes = r->changes != NULL;
  do {
    if (changes && iu__changeset_release_some(r->store, r->changes, FINISH_STRIDE)) {
      r->changes = NULL;
      changes = false;
    } else if (!changes && iu__store_reclaim_some(r->store, FINISH_STRIDE)) {
      drop_events(r);
      r->updates = NULL;
      r->phase = IU_RP_IDLE;
      return true;
    }
  } while (loop == NULL || !iu__loop_over_deadline(loop));
  return false;
}

void iu__replica_finish(iu_replica *r) { (void)iu__replica_finish_some(r, NULL); }

/* ---- beginning ---- */

static iu_status resolve(iu_replica *r, uint64_t *inserts, iu_error *err) {
  char name[64 * 4 + 4];
  *inserts = 0;
  r->any_delete = false;
  if (r->update_count > r->table_cap) {
    uint32_t *more = iu__realloc_array(r->tables, r->update_count, sizeof *more);
    if (more == NULL) return iu__fail_nomem(err);
    r->tables = more;
    r->table_cap = r->update_count;
  }
  for (uint32_t i = 0; i < r->update_count; i++) {
    const iu_table_update *u = &r->updates[i];
    int table = iu__schema_table(r->schema, (const char *)u->table.p, u->table.len);
    if (table < 0) {
      return iu__fail(err, IU_E_VALIDATION, "the server told rows of a table that the schema does not have: `%s`",
                      iu__printable(name, 64, u->table.p, u->table.len));
    }
    r->tables[i] = (uint32_t)table;
    if (!u->event_table) *inserts += u->inserts.count;
    r->any_delete = r->any_delete || u->deletes.count > 0;
  }
  return IU_OK;
}

iu_status iu__replica_begin(iu_replica *r, const iu_table_update *updates, uint32_t count, iu_error *err) {
  uint64_t inserts;
  iu_status status;
  r->updates = updates;
  r->update_count = count;
  status = resolve(r, &inserts, err);
  if (r->phase == IU_RP_EARLY) {
    if (status == IU_OK && iu__replica_early_fits(r)) return IU_OK;
    iu__replica_drop_early(r);
  }
  if (status == IU_OK && r->any_delete && (inserts + 7) / 8 > r->known_cap) {
    size_t cap = (size_t)((inserts + 7) / 8);
    uint8_t *more = iu__realloc(r->known, cap);
    if (more == NULL) return iu__fail_nomem(err);
    r->known = more;
    r->known_cap = cap;
  }
  if (status == IU_OK && r->any_delete && inserts > 0) memset(r->known, 0, (size_t)((inserts + 7) / 8));
  if (status == IU_OK) status = iu__store_begin(r->store, err);
  if (status != IU_OK) return status;
  r->phase = r->any_delete ? IU_RP_DELETES : IU_RP_INSERTS;
  r->update = r->row = 0;
  r->insert = 0;
  r->zero_count = r->zero_at = 0;
  return IU_OK;
}

/* ---- counting ---- */

iu_status iu__replica_list_zero(iu_replica *r, uint32_t table, const iu_row *row, iu_error *err) {
  if (r->zero_count == r->zero_cap) {
    uint32_t cap = r->zero_cap == 0 ? 64 : r->zero_cap * 2;
    const iu_row **rows = iu__realloc_array(r->zero, cap, sizeof *rows);
    if (rows == NULL) return iu__fail_nomem(err);
    r->zero = rows;
    uint32_t *tables = iu__realloc_array(r->zero_table, cap, sizeof *tables);
    if (tables == NULL) return iu__fail_nomem(err);
    r->zero_table = tables;
    r->zero_cap = cap;
  }
  if (!iu__counts_set(&r->counts, table, row, 0)) return iu__fail_nomem(err);
  r->zero[r->zero_count] = row;
  r->zero_table[r->zero_count++] = table;
  return IU_OK;
}

/* Once less. */
static iu_status count_down(iu_replica *r, uint32_t table, const iu_row *row, iu_error *err) {
  iu_row_count *c = iu__counts_find(&r->counts, row);
  if (c == NULL) return iu__replica_list_zero(r, table, row, err);
  if (c->count == 0) {
    return iu__fail(err, IU_E_CONNECTION, "the server deleted a row of `%s` more often than it had told it", r->schema->tables[table].name);
  }
  c->count--;
  if (c->count == 1) iu__counts_remove(&r->counts, row);
  return IU_OK;
}

/* Once more. */
static iu_status count_up(iu_replica *r, uint32_t table, const iu_row *row, iu_error *err) {
  iu_row_count *c = iu__counts_find(&r->counts, row);
  if (c == NULL) return iu__counts_set(&r->counts, table, row, 2) ? IU_OK : iu__fail_nomem(err);
  if (c->count == UINT32_MAX) return iu__fail(err, IU_E_CONNECTION, "a row of `%s` is held too often", r->schema->tables[table].name);
  c->count++;
  if (c->count == 1) iu__counts_remove(&r->counts, row);
  return IU_OK;
}

iu_status iu__replica_check_row(const iu_replica *r, uint32_t table, iu_slice row, iu_error *err) {
  iu_error inner;
  iu_status status = iu__bsatn_check_all(r->schema->tables[table].row, row.p, row.len, &inner);
  if (status == IU_OK) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "the server told a row of `%s` that is none: %s", r->schema->tables[table].name, inner.message);
}

/* ---- what is done with one row ---- */

static iu_status take_delete(iu_replica *r, uint32_t table, iu_slice bytes, iu_error *err) {
  const iu_row *row;
  iu_status status = iu__replica_check_row(r, table, bytes, err);
  if (status != IU_OK) return status;
  row = iu__table_find_row(iu__store_table(r->store, table), IU_EPOCH_LATEST, bytes.p, bytes.len);
  if (row == NULL) return iu__fail(err, IU_E_CONNECTION, "the server deleted a row of `%s` that it had not told", r->schema->tables[table].name);
  return count_down(r, table, row, err);
}

static iu_status take_known(iu_replica *r, uint32_t table, iu_slice bytes, iu_error *err) {
  uint64_t number = r->insert++;
  const iu_row *row;
  iu_status status = iu__replica_check_row(r, table, bytes, err);
  if (status != IU_OK) return status;
  row = iu__table_find_row(iu__store_table(r->store, table), IU_EPOCH_LATEST, bytes.p, bytes.len);
  if (row == NULL) return IU_OK;
  r->known[number / 8] |= (uint8_t)(1u << (number % 8));
  return count_up(r, table, row, err);
}

static iu_status take_insert(iu_replica *r, uint32_t table, iu_slice bytes, iu_error *err) {
  uint64_t number = r->insert++;
  const iu_row *row;
  bool existing;
  iu_status status;
  iu_error inner;
  if (r->any_delete) {
    if ((r->known[number / 8] >> (number % 8)) & 1) return IU_OK;
  } else if ((status = iu__replica_check_row(r, table, bytes, err)) != IU_OK) {
    return status;
  }
  status = iu__tx_insert(iu__store_table(r->store, table), bytes.p, bytes.len, &row, &existing, &inner);
  if (status == IU_OK) return existing ? count_up(r, table, row, err) : IU_OK;
  if (status != IU_E_CONFLICT) {
    if (err != NULL) *err = inner;
    return status;
  }
  return iu__fail(err, IU_E_CONNECTION, "the server told two rows with one key: %s", inner.message);
}

static iu_status take_event(iu_replica *r, uint32_t table, iu_slice bytes, iu_error *err) {
  iu_status status = iu__replica_check_row(r, table, bytes, err);
  iu_row *row;
  if (status != IU_OK) return status;
  if (bytes.len > UINT32_MAX - sizeof *row) return iu__fail(err, IU_E_OVERLOADED, "an event row is too large");
  if (r->event_count == r->event_cap) {
    uint32_t cap = r->event_cap == 0 ? 16 : r->event_cap * 2;
    iu_replica_event *more = iu__realloc_array(r->events, cap, sizeof *more);
    if (more == NULL) return iu__fail_nomem(err);
    r->events = more;
    r->event_cap = cap;
  }
  row = iu__alloc(sizeof *row + bytes.len);
  if (row == NULL) return iu__fail_nomem(err);
  *row = (iu_row){0, UINT64_MAX, (uint32_t)bytes.len, 0};
  if (bytes.len != 0) memcpy(row->data, bytes.p, bytes.len);
  r->events[r->event_count++] = (iu_replica_event){table, row};
  return IU_OK;
}

/* ---- steps ---- */

bool iu__replica_out_of_time(iu_loop *loop, uint32_t *since) {
  if (loop == NULL || ++*since < IU_REPLICA_STRIDE) return false;
  *since = 0;
  return iu__loop_over_deadline(loop);
}

static iu_status take(iu_replica *r, const iu_table_update *u, uint32_t table, uint32_t i, iu_error *err) {
  if (r->phase == IU_RP_DELETES) return take_delete(r, table, iu__row_list_at(&u->deletes, i), err);
  if (u->event_table) return r->phase == IU_RP_INSERTS ? take_event(r, table, iu__row_list_at(&u->inserts, i), err) : IU_OK;
  if (r->phase == IU_RP_KNOWN) return take_known(r, table, iu__row_list_at(&u->inserts, i), err);
  return take_insert(r, table, iu__row_list_at(&u->inserts, i), err);
}

/* One pass over all rows of one side of the message. */
static iu_status pass(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err) {
  uint32_t since = 0;
  for (; r->update < r->update_count; r->update++, r->row = 0) {
    const iu_table_update *u = &r->updates[r->update];
    uint32_t count = r->phase == IU_RP_DELETES ? u->deletes.count : u->inserts.count;
    while (r->row < count) {
      iu_status status = take(r, u, r->tables[r->update], r->row, err);
      if (status != IU_OK) return status;
      r->row++;
      if (iu__replica_out_of_time(loop, &since)) {
        *out_of_time = true;
        return IU_OK;
      }
    }
  }
  r->update = r->row = 0;
  r->insert = 0;
  r->phase = r->phase == IU_RP_DELETES ? IU_RP_KNOWN : r->phase == IU_RP_KNOWN ? IU_RP_REMOVE : IU_RP_COMMIT;
  return IU_OK;
}

static iu_status remove_zeros(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err) {
  uint32_t since = 0;
  for (; r->zero_at < r->zero_count; r->zero_at++) {
    const iu_row *row = r->zero[r->zero_at];
    const iu_row_count *c = iu__counts_find(&r->counts, row);
    if (iu__replica_out_of_time(loop, &since)) {
      *out_of_time = true;
      return IU_OK;
    }
    if (c == NULL || c->count != 0) continue; /* it came again */
    iu_status status = iu__tx_delete(iu__store_table(r->store, r->zero_table[r->zero_at]), row, err);
    if (status != IU_OK) return status;
    iu__counts_remove(&r->counts, row);
  }
  r->phase = IU_RP_INSERTS;
  return IU_OK;
}

static iu_status commit(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err) {
  iu_status status;
  while (!iu__store_settle_some(r->store, FINISH_STRIDE)) {
    *out_of_time = loop != NULL && iu__loop_over_deadline(loop);
    if (*out_of_time) return IU_OK;
  }
  status = r->fresh != NULL ? iu__replica_adopt_counts(r, err) : IU_OK;
  if (status == IU_OK) status = iu__store_commit(r->store, &r->changes, err);
  if (status != IU_OK) return status;
  r->phase = IU_RP_DONE;
  return IU_OK;
}

static iu_status advance(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err) {
  switch (r->phase) {
    case IU_RP_DELETES:
    case IU_RP_KNOWN:
    case IU_RP_INSERTS: return pass(r, loop, out_of_time, err);
    case IU_RP_REMOVE: return remove_zeros(r, loop, out_of_time, err);
    case IU_RP_LEAVING: return iu__replica_leaving(r, loop, out_of_time, err);
    case IU_RP_COMING: return iu__replica_coming(r, loop, out_of_time, err);
    case IU_RP_COMMIT: return commit(r, loop, out_of_time, err);
    default: return iu__fail(err, IU_E_PERSISTENCE, "no message is being applied");
  }
}

iu_status iu__replica_step(iu_replica *r, iu_loop *loop, bool *done, iu_error *err) {
  bool out_of_time = false;
  *done = false;
  while (!out_of_time && r->phase != IU_RP_DONE) {
    iu_status status = advance(r, loop, &out_of_time, err);
    if (status != IU_OK) {
      iu__iter_close(r->iter);
      r->iter = NULL;
      iu__store_abort(r->store);
      iu__counts_free(&r->counts); /* they may name rows that went with the transaction, and are not those of any state */
      return status;
    }
  }
  *done = r->phase == IU_RP_DONE;
  return IU_OK;
}

/* ---- a set that the server dropped ---- */

typedef struct dropping { iu_replica *r; uint32_t table; iu_status status; iu_error *err; } dropping;

static bool drop_row(void *ud, const iu_row *row) {
  dropping *d = ud;
  d->status = count_down(d->r, d->table, row, d->err);
  return d->status == IU_OK;
}

iu_status iu__replica_drop_queries(iu_replica *r, iu_query *const *queries, uint32_t count, iu_error *err) {
  iu_status status = iu__replica_begin(r, NULL, 0, err);
  for (uint32_t i = 0; status == IU_OK && i < count; i++) {
    dropping d = {r, iu__query_table(queries[i]), IU_OK, err};
    status = iu__query_run(queries[i], r->store, iu__store_epoch(r->store), drop_row, &d, err);
    if (status == IU_OK) status = d.status;
  }
  if (status != IU_OK) {
    iu__store_abort(r->store);
    iu__counts_free(&r->counts);
  }
  r->phase = IU_RP_REMOVE;
  return status;
}
