/* restore.c: see restore.h. */
#include "restore.h"

#define LOAD_SLICE 200000 /* rows a transaction while loading: bounds the undo list */

static iu_status step(iu_restore *r, iu_error *err) {
  iu_changeset *changes;
  iu_status status;
  if (++r->in_slice < LOAD_SLICE) return IU_OK;
  r->in_slice = 0;
  status = iu__store_commit(r->store, &changes, err);
  if (status != IU_OK) return status;
  if (changes != NULL) iu__changeset_release(r->store, changes);
  return iu__store_begin(r->store, err);
}

/* Rows of the tables are new, those of the journal often not: what the last one was decides what is tried first. */
static iu_status put(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  iu_restore *r = ud;
  iu_table *t = iu__store_table(r->store, table);
  const iu_table_def *def = iu__table_def(t);
  bool keyed = def->primary_key >= 0;
  iu_status status = IU_E_CONFLICT;
  if (r->tables) return iu__store_load_row(t, row, len, err);
  if (!keyed || !r->replacing) status = iu__tx_insert(t, row, len, NULL, NULL, keyed ? NULL : err);
  if (keyed && status != IU_OK) {
    iu_slice key = iu__bsatn_column(def->row, (uint32_t)def->primary_key, row, len);
    const iu_row *old = iu__table_get(t, IU_EPOCH_LATEST, key.p, key.len);
    r->replacing = old != NULL;
    status = old != NULL ? iu__tx_update(t, old, row, len, NULL, err) : iu__tx_insert(t, row, len, NULL, NULL, err);
  }
  return status == IU_OK ? step(r, err) : status;
}

static iu_status del(void *ud, uint32_t table, const void *key, size_t len, iu_error *err) {
  iu_restore *r = ud;
  iu_table *t = iu__store_table(r->store, table);
  const iu_table_def *def = iu__table_def(t);
  const iu_type *type = def->primary_key >= 0 ? def->row->u.fields[def->primary_key].type : def->row;
  const iu_row *row;
  if (iu__bsatn_check_all(type, key, len, err) != IU_OK) {
    return iu__fail(err, IU_E_STORAGE, "damaged key in the journal of table %s", def->name);
  }
  row = def->primary_key >= 0 ? iu__table_get(t, IU_EPOCH_LATEST, key, len) : iu__table_find_row(t, IU_EPOCH_LATEST, key, len);
  if (row == NULL) return IU_OK; /* deleted twice is deleted: replay may overlap a fold */
  iu_status status = iu__tx_delete(t, row, err);
  return status == IU_OK ? step(r, err) : status;
}

static iu_status tables_read(void *ud, iu_error *err) {
  iu_restore *r = ud;
  iu_status status = iu__store_load_end(r->store, err);
  r->tables = false;
  return status == IU_OK ? iu__store_begin(r->store, err) : status;
}

static iu_status sequence(void *ud, uint32_t table, uint32_t which, int64_t next, iu_error *err) {
  const iu_restore *r = ud;
  (void)err;
  if (r->sequence != NULL) r->sequence(r->ud, table, which, next);
  return IU_OK;
}

iu_status iu__restore_begin(iu_restore *r, iu_journal_sink *sink, iu_error *err) {
  r->tables = true;
  r->in_slice = 0;
  r->replacing = false;
  *sink = (iu_journal_sink){r, put, del, sequence, tables_read};
  return iu__store_load_begin(r->store, err);
}

iu_status iu__restore_end(iu_restore *r, iu_status status, iu_error *err) {
  iu_changeset *changes = NULL;
  if (status == IU_OK && r->tables) status = tables_read(r, err); /* of a journal without a file */
  if (status == IU_OK) status = iu__store_commit(r->store, &changes, err);
  if (status != IU_OK) {
    if (r->tables) iu__store_load_cancel(r->store);
    else if (iu__store_in_tx(r->store)) iu__store_abort(r->store);
    return status;
  }
  if (changes != NULL) iu__changeset_release(r->store, changes);
  return IU_OK;
}
