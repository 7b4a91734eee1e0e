/* replica_adopt.c: what a replica holds becomes what another one holds. After a reconnect the subscriptions are made again into a fresh replica; its
 * difference to the old one is one change. A row that is the same in both keeps its place and is not told.
 */
#include "replica_internal.h"

#include "../base/alloc.h"

iu_status iu__replica_adopt(iu_replica *r, iu_replica *fresh, iu_error *err) {
  iu_status status;
  if (iu__store_in_tx(r->store)) iu__store_abort(r->store); /* a message that failed, or was cut off */
  iu__replica_finish(r);
  status = iu__store_begin(r->store, err);
  if (status != IU_OK) {
    iu__replica_free(fresh);
    return status;
  }
  iu__replica_free(r->fresh);
  r->fresh = fresh;
  r->iter_table = 0;
  r->phase = IU_RP_LEAVING;
  return IU_OK;
}

/* The next row of `of`, table after table; NULL at the end (or status). */
static iu_status next_row(iu_replica *r, iu_replica *of, const iu_row **row, iu_error *err) {
  *row = NULL;
  while (r->iter_table < r->schema->table_count) {
    if (r->iter == NULL) {
      iu_status status = iu__table_iter(iu__store_table(of->store, r->iter_table), iu__store_epoch(of->store), IU_INDEX_MAIN, NULL, false, &r->iter, err);
      if (status != IU_OK) return status;
    }
    *row = iu__iter_next(r->iter);
    if (*row != NULL) return IU_OK;
    iu__iter_close(r->iter);
    r->iter = NULL;
    r->iter_table++;
  }
  return IU_OK;
}

iu_status iu__replica_leaving(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err) {
  uint32_t since = 0;
  const iu_row *row;
  while (!(*out_of_time = iu__replica_out_of_time(loop, &since))) {
    iu_status status = next_row(r, r, &row, err);
    if (status != IU_OK) return status;
    if (row == NULL) {
      r->iter_table = 0;
      r->phase = IU_RP_COMING;
      return IU_OK;
    }
    if (iu__table_find_row(iu__store_table(r->fresh->store, r->iter_table), iu__store_epoch(r->fresh->store), row->data, row->len) != NULL) continue;
    status = iu__tx_delete(iu__store_table(r->store, r->iter_table), row, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

iu_status iu__replica_coming(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err) {
  uint32_t since = 0;
  const iu_row *row;
  while (!(*out_of_time = iu__replica_out_of_time(loop, &since))) {
    iu_status status = next_row(r, r->fresh, &row, err);
    if (status != IU_OK) return status;
    if (row == NULL) {
      r->phase = IU_RP_COMMIT;
      return IU_OK;
    }
    status = iu__tx_insert(iu__store_table(r->store, r->iter_table), row->data, row->len, NULL, NULL, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

/* The counts of `from` for the rows of `to` that are equal; `table_of` maps tables (NULL: the same). */
static iu_status copy_counts(iu_replica *to, const iu_replica *from, const uint32_t *table_of, iu_counts *out, iu_error *err) {
  for (uint32_t i = 0; i < from->counts.cap; i++) {
    const iu_row_count *c = &from->counts.entries[i];
    if (c->row == NULL) continue;
    uint32_t table = table_of != NULL ? table_of[c->table] : c->table;
    const iu_row *row = iu__table_find_row(iu__store_table(to->store, table), IU_EPOCH_LATEST, c->row->data, c->row->len);
    if (row == NULL || !iu__counts_set(out, table, row, c->count)) {
      iu__counts_free(out);
      return row == NULL ? iu__fail(err, IU_E_PERSISTENCE, "a counted row is missing") : iu__fail_nomem(err);
    }
  }
  return IU_OK;
}

iu_status iu__replica_adopt_counts(iu_replica *r, iu_error *err) {
  iu_counts counts = {0};
  iu_status status = copy_counts(r, r->fresh, NULL, &counts, err);
  if (status != IU_OK) return status;
  iu__counts_free(&r->counts);
  r->counts = counts;
  iu__replica_free(r->fresh);
  r->fresh = NULL;
  return IU_OK;
}

/* ---- to another schema ---- */

static iu_status map_tables(const iu_schema *to, const iu_schema *from, uint32_t *table_of, iu_error *err) {
  for (uint32_t i = 0; i < from->table_count; i++) {
    const iu_table_def *old = &from->tables[i];
    int table = iu__schema_table(to, old->name, strlen(old->name));
    if (table < 0) return iu__fail(err, IU_E_MIGRATION, "the server's module was published anew without the table `%s`", old->name);
    if (!iu__type_equal(to->tables[table].row, old->row) || to->tables[table].primary_key != old->primary_key) {
      return iu__fail(err, IU_E_MIGRATION, "the server's module was published anew with other columns in the table `%s`", old->name);
    }
    table_of[i] = (uint32_t)table;
  }
  return IU_OK;
}

static iu_status copy_rows(iu_replica *to, const iu_replica *from, const uint32_t *table_of, iu_error *err) {
  for (uint32_t i = 0; i < from->schema->table_count; i++) {
    const iu_row *row;
    iu_iter *it;
    iu_status status = iu__table_iter(iu__store_table(from->store, i), iu__store_epoch(from->store), IU_INDEX_MAIN, NULL, false, &it, err);
    if (status != IU_OK) return status;
    while (status == IU_OK && (row = iu__iter_next(it)) != NULL) {
      status = iu__tx_insert(iu__store_table(to->store, table_of[i]), row->data, row->len, NULL, NULL, err);
    }
    iu__iter_close(it);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

iu_status iu__replica_carry(iu_replica *to, const iu_replica *from, iu_error *err) {
  uint32_t *table_of = iu__alloc(((size_t)from->schema->table_count + 1) * sizeof *table_of);
  iu_status status;
  if (table_of == NULL) return iu__fail_nomem(err);
  status = map_tables(to->schema, from->schema, table_of, err);
  if (status == IU_OK) status = iu__store_begin(to->store, err);
  if (status == IU_OK) status = copy_rows(to, from, table_of, err);
  if (status == IU_OK) status = copy_counts(to, from, table_of, &to->counts, err);
  if (status == IU_OK) status = iu__store_commit(to->store, NULL, err);
  if (status != IU_OK) iu__store_abort(to->store);
  else iu__replica_show(to);
  iu__free(table_of);
  return status;
}
