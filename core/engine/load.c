/* load.c: what the journal has, into the empty store: the rows of the tables at once, then what the frames say, in slices. The journal has checked
 * every row against its type. */
#include "internal.h"

#include "../base/alloc.h"

#define TRIM_ROWS 10000 /* with fewer the room that sorting them took is not worth a walk over the heap */
#define LOAD_SLICE 200000 /* rows a transaction while loading: bounds the undo list */

typedef struct loader {
  iu_engine *e;
  bool tables; /* the rows of the tables are being read */
  uint32_t in_slice;
  bool replacing; /* the last row took another's place: so may the next */
} loader;

static iu_status load_step(loader *l, iu_error *err) {
  iu_changeset *changes;
  iu_status status;
  if (++l->in_slice < LOAD_SLICE) return IU_OK;
  l->in_slice = 0;
  status = iu__store_commit(l->e->store, &changes, err);
  if (status != IU_OK) return status;
  if (changes != NULL) iu__changeset_release(l->e->store, changes);
  return iu__store_begin(l->e->store, err);
}

/* Rows of the tables are new, those of the journal often not: what the last one was decides what is tried first. */
static iu_status load_put(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  loader *l = ud;
  iu_table *t = iu__store_table(l->e->store, table);
  const iu_table_def *def = iu__table_def(t);
  bool keyed = def->primary_key >= 0;
  iu_status status = IU_E_CONFLICT;
  if (l->tables) return iu__store_load_row(t, row, len, err);
  if (!keyed || !l->replacing) status = iu__tx_insert(t, row, len, NULL, NULL, keyed ? NULL : err);
  if (keyed && status != IU_OK) {
    iu_slice key = iu__bsatn_column(def->row, (uint32_t)def->primary_key, row, len);
    const iu_row *old = iu__table_get(t, IU_EPOCH_LATEST, key.p, key.len);
    l->replacing = old != NULL;
    status = old != NULL ? iu__tx_update(t, old, row, len, NULL, err) : iu__tx_insert(t, row, len, NULL, NULL, err);
  }
  return status == IU_OK ? load_step(l, err) : status;
}

static iu_status load_del(void *ud, uint32_t table, const void *key, size_t len, iu_error *err) {
  loader *l = ud;
  iu_table *t = iu__store_table(l->e->store, table);
  const iu_table_def *def = iu__table_def(t);
  const iu_type *type = def->primary_key >= 0 ? def->row->u.fields[def->primary_key].type : def->row;
  const iu_row *row;
  if (iu__bsatn_check_all(type, key, len, err) != IU_OK) {
    return iu__fail(err, IU_E_STORAGE, "damaged key in the journal of table %s", def->name);
  }
  row = def->primary_key >= 0 ? iu__table_get(t, IU_EPOCH_LATEST, key, len) : iu__table_find_row(t, IU_EPOCH_LATEST, key, len);
  if (row == NULL) return IU_OK; /* deleted twice is deleted: replay may overlap a fold */
  iu_status status = iu__tx_delete(t, row, err);
  return status == IU_OK ? load_step(l, err) : status;
}

static iu_status load_tables_read(void *ud, iu_error *err) {
  loader *l = ud;
  iu_status status = iu__store_load_end(l->e->store, err);
  l->tables = false;
  return status == IU_OK ? iu__store_begin(l->e->store, err) : status;
}

static iu_status load_sequence(void *ud, uint32_t table, uint32_t sequence, int64_t next, iu_error *err) {
  iu_engine *e = ((loader *)ud)->e;
  (void)err;
  for (uint32_t i = e->sequence_base[table]; i < e->sequence_base[table + 1]; i++) {
    if (e->sequences[i].index == sequence) e->sequences[i].next = next;
  }
  return IU_OK;
}

/* What the open found that a user should hear of. What a torn write-ahead log loses was never reported durable, and leaves no trace to tell of. */
static void log_recovery(const iu_engine *e) {
  const iu_journal_recovery *r = &e->recovery;
  if (r->lost_first != 0) {
    iu__log(&e->config.log, IU_LOG_WARN, "%s: commits %llu to %llu are lost: %s; what is left of them is in %s", e->path, (unsigned long long)r->lost_first,
            (unsigned long long)r->lost_last, r->lost_why, r->lost_file);
  }
  if (r->clean || r->last_sequence == 0 || e->config.snapshot) return;
  iu__log(&e->config.log, IU_LOG_INFO, "%s: recovered: it was not closed properly; %llu rows read, %llu commits with %llu rows replayed from the journal%s", e->path,
          (unsigned long long)r->table_rows, (unsigned long long)r->frames_replayed, (unsigned long long)r->rows_replayed,
          r->lost_first == 0 ? ", nothing that was reported durable is lost" : "");
}

iu_status iu__engine_load(iu_engine *e, iu_error *err) {
  loader l = {.e = e, .tables = true};
  iu_journal_sink sink = {&l, load_put, load_del, load_sequence, load_tables_read};
  iu_changeset *changes;
  iu_status status = iu__store_load_begin(e->store, err);
  if (status != IU_OK) return status;
  status = iu__journal_load(e->journal, &sink, &e->recovery, err);
  if (status == IU_OK && l.tables) status = load_tables_read(&l, err); /* of a journal without a file */
  if (status == IU_OK) status = iu__store_commit(e->store, &changes, err);
  if (status != IU_OK) {
    if (l.tables) iu__store_load_cancel(e->store);
    else if (iu__store_in_tx(e->store)) iu__store_abort(e->store);
    return status;
  }
  if (changes != NULL) iu__changeset_release(e->store, changes);
  e->last_seq = e->recovery.last_sequence;
  if (e->recovery.table_rows >= TRIM_ROWS) iu__alloc_trim();
  log_recovery(e);
  return IU_OK;
}

