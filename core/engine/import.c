/* import.c: NERV's reducers import_rows and remove_rows for the tables of other modules. Its own C source knows its own tables only; here the engine does what
 * is the same for any: rows as they are, by primary key (whole rows where there is none), for the owner. Sequences go on behind what comes. Rows of scheduled
 * tables are scheduled. Keys to remove are JSON of the key's type, of the row where there is no key.
 */
#include "internal.h"

#include "../sats/sats_json.h"

static bool is_named(const char *a, const char *b) { return strcmp(a, b) == 0; }

bool iu__import_concerns(const iu_engine *e, const iu_host *h, const iu_reducer_call *call, uint32_t *table) {
  iu_reader r;
  const uint8_t *name;
  uint32_t len;
  int found;
  if (!is_named(call->def->name, "import_rows") && !is_named(call->def->name, "remove_rows")) return false;
  r = iu__reader(call->args.p, call->args.len);
  name = iu__read_bytes(&r, &len);
  found = name == NULL ? -1 : iu__schema_table(e->schema, (const char *)name, len);
  if (found < 0) return false;
  for (uint32_t i = 0; i < e->module_count; i++) {
    const iu_hosted *m = &e->modules[i];
    if (m->m.ud == h && (uint32_t)found >= m->first_table && (uint32_t)found < m->first_table + m->tables) return false;
  }
  *table = (uint32_t)found;
  return true;
}

/* A column of a sequence that came with a number moves the sequence behind it. Numbers past 63 bits are left to whoever inserts next. */
static void pass_sequences(iu_engine *e, const iu_table_def *def, uint32_t table, const uint8_t *row, size_t len) {
  for (uint32_t i = e->sequence_base[table]; i < e->sequence_base[table + 1]; i++) {
    iu_sequence *q = &e->sequences[i];
    iu_slice c = iu__bsatn_column(def->row, q->def->column, row, len);
    uint8_t low[8] = {0};
    int64_t value;
    memcpy(low, c.p, c.len < 8 ? c.len : 8);
    value = (int64_t)iu__load_u64(low);
    for (size_t at = 8; at < c.len; at++) {
      if (c.p[at] != 0) value = 0;
    }
    if (q->def->increment <= 0 || value < q->next) continue;
    q->dirty = true;
    if (value > q->def->max - q->def->increment) q->exhausted = true;
    else q->next = value + q->def->increment;
  }
}

static const iu_row *present(const iu_table *t, const iu_table_def *def, const uint8_t *row, size_t len) {
  iu_slice key;
  if (def->primary_key < 0) return iu__table_find_row(t, IU_EPOCH_LATEST, row, len);
  key = iu__bsatn_column(def->row, (uint32_t)def->primary_key, row, len);
  return iu__table_get(t, IU_EPOCH_LATEST, key.p, key.len);
}

static iu_status import_row(iu_tx *tx, uint32_t table, iu_slice row, iu_error *err) {
  iu_table *t = iu__tx_table(tx, table);
  const iu_table_def *def = iu__table_def(t);
  const iu_row *old;
  iu_status status = iu__bsatn_check_all(def->row, row.p, row.len, err);
  if (status != IU_OK) return status;
  old = present(t, def, row.p, row.len);
  status = iu__tx_room(tx->engine, row.len, err);
  if (status == IU_OK) status = iu__tx_note_put(tx, def, row.p, row.len, err);
  if (status == IU_OK) status = old != NULL ? iu__tx_update(t, old, row.p, row.len, NULL, err) : iu__tx_insert(t, row.p, row.len, NULL, NULL, err);
  if (status == IU_OK) pass_sequences(tx->engine, def, table, row.p, row.len);
  return status;
}

static iu_status remove_row(iu_tx *tx, uint32_t table, iu_slice json, iu_error *err) {
  iu_table *t = iu__tx_table(tx, table);
  const iu_table_def *def = iu__table_def(t);
  bool keyed = def->primary_key >= 0;
  iu_buf key = {0};
  const iu_row *row = NULL;
  iu_status status = iu__sats_from_json(keyed ? def->row->u.fields[def->primary_key].type : def->row, json.p, json.len, &key, err);
  if (status == IU_OK) status = iu__buf_status(&key, err, "key");
  if (status == IU_OK) {
    row = keyed ? iu__table_get(t, IU_EPOCH_LATEST, key.data, key.len) : iu__table_find_row(t, IU_EPOCH_LATEST, key.data, key.len);
    if (row != NULL) status = iu__tx_remove(tx, table, row, err);
  }
  iu__buf_free(&key);
  return status;
}

iu_status iu__import_run(iu_tx *tx, uint32_t table, const iu_reducer_call *call, iu_error *err) {
  bool import = is_named(call->def->name, "import_rows");
  iu_reader r = iu__reader(call->args.p, call->args.len);
  uint32_t count, len;
  iu_status status = IU_OK;
  iu__read_bytes(&r, &len);
  count = iu__read_u32(&r);
  if (memcmp(call->sender, tx->engine->owner, 32) != 0) return iu__fail(err, IU_E_AUTHORIZATION, "%s is the owner's", call->def->name);
  if (count > IU_ENGINE_IMPORT_ROWS_MAX) {
    return iu__fail(err, IU_E_VALIDATION, "%s: %u, expected at most %u", import ? "rows" : "keys", count, IU_ENGINE_IMPORT_ROWS_MAX);
  }
  for (uint32_t i = 0; status == IU_OK && i < count; i++) {
    const uint8_t *p = iu__read_bytes(&r, &len);
    iu_slice item = {p != NULL ? p : (const uint8_t *)"", len};
    status = import ? import_row(tx, table, item, err) : remove_row(tx, table, item, err);
    if (status != IU_OK) iu__error_prefix(err, "%s[%u]", import ? "rows" : "keys", i);
  }
  return status;
}
