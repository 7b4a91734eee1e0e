/* check.c: see check.h. Readable columns are compared with what binding the row's fields to a statement gives back. */
#include "check.h"

#include <stdio.h>

#include "../base/alloc.h"
#include "check_impl.h"
#include "file_schema.h"
#include "frame.h"
#include "restore.h"
#include "snapshot.h"

#define INTEGRITY_MAX "100" /* lines of SQLite's own check */
#define SQL_MAX (4u << 20)
static const char checking[] = "checking the file";

void iu__check_report(iu_checker *c, bool warning, const char *table, const char *format, ...) {
  char text[IU_ERROR_MESSAGE_MAX];
  uint64_t before = c->out->errors + c->out->warnings;
  va_list args;

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (warning) c->out->warnings++;
  else c->out->errors++;
  if (before < IU_CHECK_FINDINGS_MAX && c->status == IU_OK) c->status = c->found(c->ud, warning, table, text);
}

/* ---- SQLite's own ---- */

static iu_status check_integrity(iu_checker *c, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(c->db, "PRAGMA integrity_check(" INTEGRITY_MAX ")", &st, checking, err);
  bool row = status == IU_OK;

  while (row) {
    iu_error why;
    const char *text;

    if (iu__jdb_step(c->db, st, &row, checking, &why) != IU_OK) {
      iu__check_report(c, false, NULL, "SQLite: %s", why.message);
      break;
    }
    if (!row) break;
    text = (const char *)sqlite3_column_text(st, 0);
    if (text != NULL && strcmp(text, "ok") != 0) iu__check_report(c, false, NULL, "SQLite: %s", text);
  }
  sqlite3_finalize(st);
  return status;
}

/* ---- auto-increment ---- */

/* The first of a table's slots in `highest` and its kin. */
static uint32_t slot_of(const iu_checker *c, const iu_catalog_table *t) {
  uint32_t slot = 0;

  for (const iu_catalog_table *before = c->catalog.tables; before < t; before++) slot += before->def->sequence_count;
  return slot;
}

/* Values beyond i64 (a large u64) are left out. */
static void note_values(iu_checker *c, const iu_catalog_table *t, iu_slice row) {
  uint32_t slot = t->def->sequence_count != 0 ? slot_of(c, t) : 0;

  for (uint32_t i = 0; i < t->def->sequence_count; i++, slot++) {
    uint32_t column = t->def->sequences[i].column;
    const iu_type *type = iu__type_deref(t->def->row->u.fields[column].type);
    iu_slice v = iu__bsatn_column(t->def->row, column, row.p, row.len);
    uint64_t bits = 0;
    bool is_signed = type->tag == IU_T_I8 || type->tag == IU_T_I16 || type->tag == IU_T_I32 || type->tag == IU_T_I64;
    int64_t value;

    if (v.len > 8) continue;
    for (size_t k = 0; k < v.len; k++) bits |= (uint64_t)v.p[k] << (8 * k);
    if (is_signed && v.len < 8 && (bits >> (8 * v.len - 1)) != 0) bits |= ~UINT64_C(0) << (8 * v.len);
    if (!is_signed && bits > INT64_MAX) continue;
    value = (int64_t)bits;
    if (!c->seen[slot] || value > c->highest[slot]) c->highest[slot] = value;
    c->seen[slot] = true;
  }
}

static void check_positions(iu_checker *c) {
  uint32_t slot = 0;

  for (uint32_t t = 0; t < c->catalog.count; t++) {
    const iu_table_def *def = c->catalog.tables[t].def;

    for (uint32_t i = 0; i < def->sequence_count; i++, slot++) {
      int64_t next = c->has_next[slot] ? c->next[slot] : def->sequences[i].start;

      if (c->seen[slot] && def->sequences[i].increment > 0 && next <= c->highest[slot])
        iu__check_report(c, true, def->name, "the auto-increment column `%s` goes on at %lld, and a row has %lld already",
               def->row->u.fields[def->sequences[i].column].name, (long long)next, (long long)c->highest[slot]);
    }
  }
}

static iu_status read_positions(iu_checker *c, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(c->db, "SELECT table_id, sequence, next FROM _iu_sequence", &st, checking, err);
  bool row = status == IU_OK;

  while (row && status == IU_OK) {
    status = iu__jdb_step(c->db, st, &row, checking, err);
    if (status != IU_OK || !row) break;
    int64_t id = sqlite3_column_int64(st, 0), which = sqlite3_column_int64(st, 1);
    const iu_catalog_table *t = id > 0 && id <= UINT32_MAX ? iu__jcatalog_by_id(&c->catalog, (uint32_t)id) : NULL;

    if (t == NULL || which < 0 || which >= t->def->sequence_count) {
      iu__check_report(c, false, NULL, "_iu_sequence names an unknown auto-increment column (table %lld, column %lld)", (long long)id, (long long)which);
      continue;
    }
    c->next[slot_of(c, t) + (uint32_t)which] = sqlite3_column_int64(st, 2);
    c->has_next[slot_of(c, t) + (uint32_t)which] = true;
  }
  sqlite3_finalize(st);
  return status;
}

/* ---- rows ---- */

static bool same_value(sqlite3_stmt *a, int column_a, sqlite3_stmt *b, int column_b) {
  int type = sqlite3_column_type(a, column_a), len;

  if (type != sqlite3_column_type(b, column_b)) return false;
  switch (type) {
    case SQLITE_NULL: return true;
    case SQLITE_INTEGER: return sqlite3_column_int64(a, column_a) == sqlite3_column_int64(b, column_b);
    case SQLITE_FLOAT: return sqlite3_column_double(a, column_a) == sqlite3_column_double(b, column_b); /* SQLite does not keep the sign of 0 */
    default: {
      const void *pa = sqlite3_column_blob(a, column_a), *pb = sqlite3_column_blob(b, column_b);

      len = sqlite3_column_bytes(a, column_a);
      return len == sqlite3_column_bytes(b, column_b) && (len == 0 || (pa != NULL && pb != NULL && memcmp(pa, pb, (size_t)len) == 0));
    }
  }
}

/* How a message names a row: its key where it can be shown. */
static const char *name_row(const iu_catalog_table *t, sqlite3_stmt *st, uint64_t number, char out[4 * IU_CHECK_KEY_SHOWN + 64]) {
  char shown[4 * IU_CHECK_KEY_SHOWN + 4];
  const char *key = t->key_is_row ? NULL : (const char *)sqlite3_column_text(st, t->def->primary_key + 1);

  if (key == NULL) snprintf(out, 4 * IU_CHECK_KEY_SHOWN + 64, "row number %llu", (unsigned long long)number);
  else snprintf(out, 4 * IU_CHECK_KEY_SHOWN + 64, "the row `%s`", iu__printable(shown, IU_CHECK_KEY_SHOWN, key, strlen(key)));
  return out;
}

static iu_status compare_columns(iu_checker *c, const iu_catalog_table *t, sqlite3_stmt *st, sqlite3_stmt *echo, iu_slice row, uint64_t number, iu_error *err) {
  const uint8_t *p = row.p, *end = row.p + row.len;
  char name[4 * IU_CHECK_KEY_SHOWN + 64];
  iu_status status = IU_OK;
  bool there;

  for (uint32_t i = 0; i < t->def->row->count && status == IU_OK; i++) {
    const uint8_t *next = iu__bsatn_skip(t->def->row->u.fields[i].type, p, end);

    status = iu__jcell_bind(&t->cells[i], echo, (int)i + 1, (iu_slice){p, (size_t)(next - p)}, &c->scratch, err);
    p = next;
  }
  if (status == IU_OK) status = iu__jdb_step(c->db, echo, &there, checking, err);
  for (uint32_t i = 0; i < t->def->row->count && status == IU_OK; i++) {
    if (!same_value(st, (int)i + 1, echo, (int)i))
      iu__check_report(c, false, t->def->name, "%s: the column `%s` is not what the row holds", name_row(t, st, number, name), t->def->row->u.fields[i].name);
  }
  sqlite3_reset(echo);
  sqlite3_clear_bindings(echo);
  return status;
}

static iu_status check_row(iu_checker *c, const iu_catalog_table *t, sqlite3_stmt *st, sqlite3_stmt *echo, uint64_t number, iu_error *err) {
  static const uint8_t none[1] = {0};
  char name[4 * IU_CHECK_KEY_SHOWN + 64];
  iu_slice row = {sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
  iu_error why;

  if (sqlite3_column_type(st, 0) != SQLITE_BLOB) {
    iu__check_report(c, false, t->def->name, "%s is no blob", name_row(t, st, number, name));
    return IU_OK;
  }
  if (row.p == NULL && row.len != 0) return iu__fail_nomem(err);
  if (row.p == NULL) row.p = none;
  if (iu__bsatn_check_all(t->def->row, row.p, row.len, &why) != IU_OK) {
    iu__check_report(c, false, t->def->name, "%s is no valid row: %s", name_row(t, st, number, name), why.message);
    return why.status == IU_E_NOMEM ? iu__fail_nomem(err) : IU_OK;
  }
  note_values(c, t, row);
  return t->def->row->count == 0 ? IU_OK : compare_columns(c, t, st, echo, row, number, err);
}

static iu_status prepare_table(iu_checker *c, const iu_catalog_table *t, sqlite3_stmt **st, sqlite3_stmt **echo, iu_error *err) {
  iu_buf select, values;
  iu_status status;

  iu__buf_init(&select, SQL_MAX);
  iu__buf_init(&values, SQL_MAX);
  iu__buf_put_str(&select, "SELECT \"_row\"");
  iu__buf_put_str(&values, "SELECT ");
  for (uint32_t i = 0; i < t->def->row->count; i++) {
    iu__buf_put_str(&select, ", ");
    iu__jdb_quote(&select, t->def->row->u.fields[i].name);
    iu__buf_printf(&values, "%s?%u", i != 0 ? ", " : "", i + 1);
  }
  iu__buf_put_str(&select, " FROM ");
  iu__jdb_quote(&select, t->def->name);
  iu__buf_put_u8(&select, 0);
  iu__buf_put_u8(&values, 0);
  status = iu__buf_status(&select, err, "the SQL of a table");
  if (status == IU_OK) status = iu__buf_status(&values, err, "the SQL of a table");
  if (status == IU_OK) status = iu__jdb_prepare(c->db, (const char *)select.data, st, checking, err);
  if (status == IU_OK && t->def->row->count != 0) status = iu__jdb_prepare(c->db, (const char *)values.data, echo, checking, err);
  iu__buf_free(&select);
  iu__buf_free(&values);
  return status;
}

static iu_status check_table(iu_checker *c, const iu_catalog_table *t, iu_error *err) {
  sqlite3_stmt *st = NULL, *echo = NULL;
  iu_error why;
  iu_status status = prepare_table(c, t, &st, &echo, &why);
  bool row = status == IU_OK;

  for (uint64_t number = 1; row && status == IU_OK && c->status == IU_OK; number++) {
    status = iu__jdb_step(c->db, st, &row, checking, &why);
    if (status != IU_OK || !row) break;
    c->out->rows++;
    status = check_row(c, t, st, echo, number, &why);
  }
  sqlite3_finalize(st);
  sqlite3_finalize(echo);
  c->out->tables++;
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, t->def->name, "%s", why.message);
  return IU_OK;
}

/* ---- the journal ---- */

static iu_status journal_change(void *ud, const iu_catalog_table *t, iu_frame_op op, iu_slice bytes, iu_error *err) {
  iu_checker *c = ud;
  const iu_type *row = t->def->row;

  if (op == IU_FRAME_DELETE_KEY && t->def->primary_key < 0) {
    iu__check_report(c, false, t->def->name, "the journal deletes by a key, which the table has not");
    return IU_OK;
  }
  if (iu__bsatn_check_all(op == IU_FRAME_DELETE_KEY ? row->u.fields[t->def->primary_key].type : row, bytes.p, bytes.len, err) != IU_OK)
    iu__check_report(c, false, t->def->name, "a change in the journal is no valid row: %s", err->message);
  else if (op == IU_FRAME_PUT) note_values(c, t, bytes);
  return IU_OK;
}

static iu_status journal_position(void *ud, const iu_catalog_table *t, uint32_t sequence, int64_t next, iu_error *err) {
  iu_checker *c = ud;

  (void)err;
  c->next[slot_of(c, t) + sequence] = next;
  c->has_next[slot_of(c, t) + sequence] = true;
  return IU_OK;
}

static iu_status check_group(iu_checker *c, sqlite3_stmt *st, uint64_t *sequence, bool tables_known, iu_error *err) {
  iu_frame_visitor visitor = {c, journal_change, journal_position};
  iu_slice group = {sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3)}, frames;
  uint64_t first = (uint64_t)sqlite3_column_int64(st, 0), last = (uint64_t)sqlite3_column_int64(st, 1);
  iu_error why;
  iu_status status;

  c->out->journal_groups++;
  if (group.p == NULL && group.len != 0) return iu__fail_nomem(err);
  if (first != *sequence + 1)
    iu__check_report(c, false, NULL, "journal: commits %llu to %llu are missing", (unsigned long long)*sequence + 1, (unsigned long long)first - 1);
  status = iu__jgroup_check(group, first, last, (uint64_t)sqlite3_column_int64(st, 2), &frames, &why);
  if (status == IU_OK) c->out->journal_commits += last - first + 1;
  if (status == IU_OK && tables_known) status = iu__jframes_walk(&c->catalog, frames, first, last, &visitor, &why);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, NULL, "journal: %s", why.message);
  *sequence = last >= first ? last : first;
  return IU_OK;
}

static iu_status check_journal(iu_checker *c, uint64_t folded, bool tables_known, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_error why;
  iu_status status = iu__jdb_prepare(c->db, IU_LOAD_GROUPS_SQL, &st, checking, &why);
  bool row = status == IU_OK;

  while (row && status == IU_OK && c->status == IU_OK) {
    status = iu__jdb_step(c->db, st, &row, checking, &why);
    if (status == IU_OK && row) status = check_group(c, st, &folded, tables_known, &why);
  }
  sqlite3_finalize(st);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, NULL, "journal: %s", why.message);
  return IU_OK;
}

/* ---- all of it ---- */

static iu_status make_slots(iu_checker *c, iu_error *err) {
  uint32_t count = 1;

  for (uint32_t t = 0; t < c->catalog.count; t++) count += c->catalog.tables[t].def->sequence_count;
  c->highest = iu__alloc_zero(count, sizeof *c->highest);
  c->next = iu__alloc_zero(count, sizeof *c->next);
  c->seen = iu__alloc_zero(count, sizeof *c->seen);
  c->has_next = iu__alloc_zero(count, sizeof *c->has_next);
  return c->highest != NULL && c->next != NULL && c->seen != NULL && c->has_next != NULL ? IU_OK : iu__fail_nomem(err);
}

/* ---- what the rows say of each other ---- */

/* Keys and unique constraints, by loading everything as an open would; where nothing else is wrong, so that what it refuses is that. */
static iu_status check_unique(iu_checker *c, const iu_schema *schema, const iu_file_state *state, iu_error *err) {
  iu_restore r = {.store = NULL};
  iu_journal_sink sink;
  iu_journal_recovery ignored;
  iu_error why;
  iu_status status = iu__store_new(schema, &r.store, &why);

  if (status == IU_OK) status = iu__restore_begin(&r, &sink, &why);
  if (status == IU_OK) status = iu__restore_end(&r, iu__jload_within(c->db, &c->catalog, state, false, &sink, &ignored, &why), &why);
  iu__store_free(r.store);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, NULL, "the rows do not go together: %s", why.message);
  return IU_OK;
}

/* ---- tables ---- */

typedef struct comparison { iu_checker *c; const iu_schema *schema; uint8_t *told; } comparison;

static void on_difference(void *ud, const char *table, const char *what) {
  comparison *with = ud;

  for (uint32_t i = 0; i < with->schema->table_count; i++) {
    if (strcmp(with->schema->tables[i].name, table) != 0) continue;
    with->told[i] = 1;
    iu__check_report(with->c, true, table, "%s", what);
  }
}

/* Tables that other modules declare are nothing to say a word about. */
static iu_status compare_schema(iu_checker *c, const iu_schema *schema, bool *usable, iu_error *err) {
  iu_catalog declared;
  iu_error why;
  comparison with = {c, schema, NULL};
  iu_status status = iu__jcatalog_init(&declared, schema, err);

  if (status != IU_OK) return status;
  with.told = iu__alloc_zero(schema->table_count + 1u, 1);
  if (with.told == NULL) status = iu__fail_nomem(&why);
  else status = iu__jcatalog_read(&declared, c->db, on_difference, &with, &why);
  for (uint32_t i = 0; i < schema->table_count && (status == IU_OK || status == IU_E_MIGRATION); i++) {
    if (declared.tables[i].changed && with.told[i] == 0)
      iu__check_report(c, true, schema->tables[i].name, "it is the table of an earlier schema: opening the universe once changes it");
  }
  iu__free(with.told);
  iu__jcatalog_free(&declared);
  *usable = status == IU_OK || status == IU_E_MIGRATION;
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (!*usable) iu__check_report(c, false, NULL, "%s (rows were not looked at)", why.message);
  return IU_OK;
}

/* The file's own tables; *usable false: there is no telling what they are. */
static iu_status read_catalog(iu_checker *c, const iu_schema *schema, iu_file_schema *own, bool *usable, iu_error *err) {
  iu_error why;
  iu_status status = compare_schema(c, schema, usable, err);

  if (status != IU_OK || !*usable) return status;
  status = iu__jfile_schema_read(c->db, schema, false, own, &why);
  if (status == IU_OK) status = iu__jcatalog_init(&c->catalog, &own->schema, &why);
  if (status == IU_OK) status = iu__jcatalog_read(&c->catalog, c->db, NULL, NULL, &why);
  *usable = status == IU_OK;
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) {
    iu__jcatalog_free(&c->catalog);
    iu__check_report(c, false, NULL, "%s (rows were not looked at)", why.message);
  }
  return IU_OK;
}

static iu_status check_tables(iu_checker *c, const iu_schema *schema, const iu_file_state *state, iu_error *err) {
  iu_status status = IU_OK;

  for (uint32_t t = 0; t < c->catalog.count && status == IU_OK && c->status == IU_OK; t++) status = check_table(c, &c->catalog.tables[t], err);
  if (status == IU_OK) status = read_positions(c, err);
  if (status == IU_OK) status = check_journal(c, state->folded, true, err);
  if (status == IU_OK) check_positions(c);
  if (status == IU_OK && c->status == IU_OK) status = iu__check_texts(c, err);
  if (status == IU_OK && c->status == IU_OK && c->out->errors == 0) status = check_unique(c, schema, state, err);
  return status;
}

static iu_status check_all(iu_checker *c, const iu_schema *schema, iu_error *err) {
  iu_meta_set *meta = iu__alloc_zero(1, sizeof *meta);
  iu_file_schema own = {.space_count = 0};
  iu_file_state state;
  bool usable = false;
  iu_status status = meta != NULL ? iu__jload_state(c->db, c->path, meta, &state, err) : iu__fail_nomem(err);

  iu__free(meta);
  if (status != IU_OK) return status;
  c->out->last_sequence = state.last;
  c->out->closed = state.closed;
  status = check_integrity(c, err);
  if (status == IU_OK) status = read_catalog(c, schema, &own, &usable, err);
  if (status == IU_OK) status = make_slots(c, err);
  if (status == IU_OK) status = usable ? check_tables(c, &own.schema, &state, err) : check_journal(c, state.folded, false, err);
  iu__jcatalog_free(&c->catalog);
  iu__jfile_schema_free(&own);
  return status;
}

iu_status iu__check_file(const char *path, const iu_schema *schema, iu_check_fn found, void *ud, iu_check_counts *out, iu_error *err) {
  iu_checker c = {.path = path, .found = found, .ud = ud, .out = out};
  iu_status status;

  memset(out, 0, sizeof *out);
  status = iu__jsnapshot_open(path, &c.db, err);
  if (status == IU_OK) status = iu__jdb_exec(c.db, "BEGIN", checking, err);
  if (status == IU_OK) status = check_all(&c, schema, err);
  if (status == IU_OK && c.status != IU_OK) status = iu__fail(err, c.status, "the check was ended");
  sqlite3_close(c.db);
  iu__buf_free(&c.scratch);
  iu__free(c.highest);
  iu__free(c.next);
  iu__free(c.seen);
  iu__free(c.has_next);
  return status;
}
