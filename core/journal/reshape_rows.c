/* reshape_rows.c: see reshape.h: readers and writers. A table that is written anew is a side table, `_iu_side_N`, until its writer finishes; SQL's own key keeps primary
 * keys apart where the column is faithful (cell.h), reshape_unique.c looks at all else. */
#include "reshape_internal.h"

#include <stdio.h>

#include "../base/alloc.h"
#include "../sats/bsatn_put.h"
#include "fold.h"

/* ---- readers ---- */

static iu_status ended(iu_error *err) { return iu__fail(err, IU_E_CLOSED, "the rows are read no more: the working copy has changed its tables, or is closed"); }

static void end_reader(iu_reshape_reader *r) {
  if (r->s == NULL) return;
  sqlite3_finalize(r->st);
  r->st = NULL;
  if (r->prev != NULL) r->prev->next = r->next;
  else r->s->readers = r->next;
  if (r->next != NULL) r->next->prev = r->prev;
  r->s = NULL;
}

void iu__reshape_end_readers(iu_reshape *s) {
  while (s->readers != NULL) end_reader(s->readers);
}

iu_status iu__reshape_reader_new(iu_reshape *s, uint32_t table, iu_reshape_reader **out, iu_error *err) {
  iu_reshape_reader *r = iu__alloc_zero(1, sizeof *r);
  iu_buf sql = {0};
  iu_status status;

  *out = NULL;
  if (r == NULL) return iu__fail_nomem(err);
  iu__buf_put_str(&sql, "SELECT \"_row\" FROM ");
  iu__jdb_quote(&sql, s->catalog.tables[table].def->name);
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, iu__reshaping);
  if (status == IU_OK) status = iu__jdb_prepare(s->db, (const char *)sql.data, &r->st, iu__reshaping, err);
  iu__buf_free(&sql);
  if (status != IU_OK) {
    iu__free(r);
    return status;
  }
  r->s = s;
  r->table = table;
  r->next = s->readers;
  if (r->next != NULL) r->next->prev = r;
  s->readers = r;
  *out = r;
  return IU_OK;
}

/* The row a statement of "SELECT _row" stands on. */
static iu_status take_row(const iu_table_def *def, sqlite3_stmt *st, iu_slice *bytes, iu_error *err) {
  static const uint8_t none[1] = {0};
  iu_status status;

  *bytes = (iu_slice){sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
  if (bytes->p == NULL && bytes->len != 0) return iu__fail_nomem(err);
  if (bytes->p == NULL) bytes->p = none;
  status = iu__bsatn_check_all(def->row, bytes->p, bytes->len, err);
  if (status == IU_OK) return IU_OK;
  iu__error_prefix(err, "the file is damaged: a row of table `%s`", def->name);
  if (err != NULL) err->status = IU_E_STORAGE;
  return IU_E_STORAGE;
}

iu_status iu__reshape_next(iu_reshape_reader *r, bool *row, iu_slice *bytes, iu_error *err) {
  iu_status status;

  *row = false;
  if (r->s == NULL) return ended(err);
  status = iu__jdb_step(r->s->db, r->st, row, iu__reshaping, err);
  return status == IU_OK && *row ? take_row(iu__reshape_reader_table(r), r->st, bytes, err) : status;
}

const iu_table_def *iu__reshape_reader_table(const iu_reshape_reader *r) { return r->s != NULL ? r->s->catalog.tables[r->table].def : NULL; }

void iu__reshape_reader_free(iu_reshape_reader *r) {
  if (r == NULL) return;
  end_reader(r);
  iu__free(r);
}

iu_status iu__reshape_get(iu_reshape *s, uint32_t table, iu_slice key, bool *row, iu_buf *out, iu_error *err) {
  const iu_catalog_table *t = &s->catalog.tables[table];
  const iu_table_def *def = t->def;
  sqlite3_stmt *st = NULL;
  iu_buf sql = {0}, scratch = {0};
  iu_slice bytes;
  iu_status status;

  *row = false;
  if (def->primary_key < 0) return iu__fail(err, IU_E_VALIDATION, "table `%s` has no primary key", def->name);
  iu__buf_put_str(&sql, "SELECT \"_row\" FROM ");
  iu__jdb_quote(&sql, def->name);
  if (!t->key_is_row) {
    iu__buf_put_str(&sql, " WHERE ");
    iu__jdb_quote(&sql, def->row->u.fields[def->primary_key].name);
    iu__buf_put_str(&sql, " = ?1");
  }
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, iu__reshaping);
  if (status == IU_OK) status = iu__jdb_prepare(s->db, (const char *)sql.data, &st, iu__reshaping, err);
  if (status == IU_OK && !t->key_is_row) status = iu__jcell_bind(&t->cells[def->primary_key], st, 1, key, &scratch, err);
  while (status == IU_OK) { /* where the key is no SQL key: through all rows */
    status = iu__jdb_step(s->db, st, row, iu__reshaping, err);
    if (status != IU_OK || !*row) break;
    status = take_row(def, st, &bytes, err);
    if (status != IU_OK) break;
    iu_slice found = iu__bsatn_column(def->row, (uint32_t)def->primary_key, bytes.p, bytes.len);
    if (found.len != key.len || memcmp(found.p, key.p, key.len) != 0) continue;
    iu__buf_put(out, bytes.p, bytes.len);
    status = iu__buf_status(out, err, iu__reshaping);
    break;
  }
  sqlite3_finalize(st);
  iu__buf_free(&scratch);
  iu__buf_free(&sql);
  return status;
}

/* ---- writers ---- */

static void end_writer(iu_reshape_writer *w) {
  if (w->s == NULL) return;
  sqlite3_finalize(w->insert);
  w->insert = NULL;
  iu__jcatalog_free(&w->catalog);
  iu__jfile_schema_free(&w->schema);
  if (w->prev != NULL) w->prev->next = w->next;
  else w->s->writers = w->next;
  if (w->next != NULL) w->next->prev = w->prev;
  w->s = NULL;
}

void iu__reshape_end_writers(iu_reshape *s) {
  while (s->writers != NULL) end_writer(s->writers);
}

void iu__reshape_writer_free(iu_reshape_writer *w) {
  if (w == NULL) return;
  end_writer(w);
  iu__buf_free(&w->scratch);
  iu__free(w->positions);
  iu__free(w->name);
  iu__free(w);
}

static iu_status prepare_insert(iu_reshape_writer *w, iu_error *err) {
  const iu_catalog_table *t = w->table;
  iu_buf sql = {0};
  iu_status status;

  iu__buf_put_str(&sql, "INSERT INTO ");
  iu__jdb_quote(&sql, t->def->name);
  iu__buf_put_str(&sql, " VALUES (?1");
  for (uint32_t i = 0; i < t->def->row->count; i++) iu__buf_printf(&sql, ",?%u", i + 2);
  iu__buf_put_str(&sql, t->key_is_row && t->def->primary_key < 0 ? ") ON CONFLICT (\"_row\") DO NOTHING" : ")");
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, iu__reshaping);
  if (status == IU_OK) status = iu__jdb_prepare(w->s->db, (const char *)sql.data, &w->insert, iu__reshaping, err);
  iu__buf_free(&sql);
  return status;
}

/* A table of its own, whatever becomes of it. */
static iu_status make_side(iu_reshape_writer *w, const char *definition, iu_error *err) {
  iu_buf sql = {0};
  char side[32];
  iu_status status;

  snprintf(side, sizeof side, "_iu_side_%u", ++w->s->sides);
  status = iu__jfile_schema_parse(side, definition, &w->schema, err);
  if (status == IU_OK) status = iu__jcatalog_init(&w->catalog, &w->schema.schema, err);
  if (status != IU_OK) return status;
  w->table = &w->catalog.tables[0];
  iu__jcatalog_create_sql(w->table, &sql);
  return iu__reshape_sql(w->s, &sql, err);
}

static iu_status read_positions(iu_reshape_writer *w, uint32_t table, iu_error *err) {
  iu_status status = IU_OK;

  for (uint32_t i = 0; i < w->table->def->sequence_count && status == IU_OK; i++) status = iu__reshape_position(w->s, table, i, &w->positions[i], err);
  return status;
}

static iu_status begin_writer(iu_reshape_writer *w, const char *definition, iu_error *err) {
  int at = iu__reshape_find(w->s, w->name);
  iu_status status = IU_OK;

  if (w->mode != IU_RESHAPE_CREATE && at < 0) return iu__fail(err, IU_E_VALIDATION, "no table `%s`", w->name);
  if (w->mode != IU_RESHAPE_APPEND) {
    status = make_side(w, definition, err);
  } else {
    w->table = &w->s->catalog.tables[at];
    status = iu__jcatalog_prepare(w->table, w->s->db, err);
  }
  if (status != IU_OK) return status;
  w->positions = iu__alloc_zero(w->table->def->sequence_count + 1u, sizeof *w->positions);
  if (w->positions == NULL) return iu__fail_nomem(err);
  if (w->mode == IU_RESHAPE_APPEND) status = read_positions(w, (uint32_t)at, err);
  return status == IU_OK ? prepare_insert(w, err) : status;
}

iu_status iu__reshape_writer_new(iu_reshape *s, iu_reshape_mode mode, const char *name, const char *definition, iu_reshape_writer **out, iu_error *err) {
  iu_reshape_writer *w;
  iu_status status = iu__reshape_need(s, mode != IU_RESHAPE_APPEND, err);

  *out = NULL;
  if (status != IU_OK) return status;
  w = iu__alloc_zero(1, sizeof *w);
  if (w == NULL) return iu__fail_nomem(err);
  w->mode = mode;
  w->s = s;
  w->next = s->writers;
  if (w->next != NULL) w->next->prev = w;
  s->writers = w;
  w->name = iu__strndup(name, strlen(name));
  status = w->name == NULL ? iu__fail_nomem(err) : begin_writer(w, definition, err);
  if (status == IU_OK) *out = w;
  else iu__reshape_writer_free(w);
  return status;
}

const iu_table_def *iu__reshape_writer_table(const iu_reshape_writer *w) { return w->s != NULL ? w->table->def : NULL; }

void iu__reshape_writer_position(iu_reshape_writer *w, uint32_t which, int64_t next) {
  if (w->s == NULL || which >= w->table->def->sequence_count) return;
  w->positions[which] = next;
  w->touched = true;
}

/* ---- numbers ---- */

static int64_t number_of(iu_slice v, bool is_signed, bool *fits) {
  uint64_t low = 0;
  uint8_t rest = 0;

  for (size_t i = 0; i < v.len && i < 8; i++) low |= (uint64_t)v.p[i] << (8 * i);
  if (is_signed && v.len < 8 && (v.p[v.len - 1] & 0x80) != 0) low |= UINT64_MAX << (8 * v.len);
  for (size_t i = 8; i < v.len; i++) rest |= v.p[i];
  *fits = rest == 0 && low <= INT64_MAX;
  return (int64_t)low;
}

/* What is 0 gets a number; what is ahead of the position pulls it along. */
static iu_status draw(iu_reshape_writer *w, uint8_t *row, size_t len, iu_error *err) {
  const iu_table_def *def = w->table->def;

  for (uint32_t i = 0; i < def->sequence_count; i++) {
    const iu_field *f = &def->row->u.fields[def->sequences[i].column];
    iu_slice v = iu__bsatn_column(def->row, def->sequences[i].column, row, len);
    int64_t next = w->positions[i] != 0 ? w->positions[i] : 1, number;
    bool is_signed, fits;

    (void)iu__integer_size(f->type, &is_signed);
    number = number_of(v, is_signed, &fits);
    if (fits && number == 0) {
      uint8_t bytes[8];
      uint64_t most = v.len >= 8 ? (uint64_t)INT64_MAX : (UINT64_C(1) << (8 * v.len - is_signed)) - 1;

      if ((uint64_t)next > most) return iu__fail(err, IU_E_OVERLOADED, "table `%s`: column `%s` has no further numbers", w->name, f->name);
      iu__store_u64(bytes, (uint64_t)next);
      memset(row + (v.p - row), 0, v.len);
      memcpy(row + (v.p - row), bytes, v.len < 8 ? v.len : 8);
      number = next;
    }
    if (!fits || number < next) continue;
    w->positions[i] = number < INT64_MAX ? number + 1 : number;
    w->touched = true;
  }
  return IU_OK;
}

/* ---- rows ---- */

static iu_status taken(const iu_reshape_writer *w, iu_slice row, iu_error *err) {
  uint16_t key = (uint16_t)w->table->def->primary_key;
  iu_buf text = {0};

  iu__reshape_show(w->table->def, &key, w->table->def->primary_key >= 0, row, &text);
  (void)iu__fail(err, IU_E_CONFLICT, "table `%s`: a row with %s is already there", w->name, text.failed ? "that key" : (const char *)text.data);
  iu__buf_free(&text);
  return IU_E_CONFLICT;
}

/* Where SQL does not know the key: the row that has it goes. */
static iu_status make_way(iu_reshape_writer *w, const uint8_t *row, size_t len, iu_error *err) {
  const iu_table_def *def = w->table->def;
  bool was_there;

  if (!w->table->key_is_row || def->primary_key < 0) return IU_OK;
  return iu__reshape_delete(w, iu__bsatn_column(def->row, (uint32_t)def->primary_key, row, len), &was_there, err);
}

iu_status iu__reshape_put(iu_reshape_writer *w, uint8_t *row, size_t len, bool over, iu_error *err) {
  iu_catalog_table as; /* with the statement that is wanted */
  iu_status status;

  if (w->s == NULL) return ended(err);
  status = draw(w, row, len, err);
  if (status == IU_OK && over) status = make_way(w, row, len, err);
  if (status != IU_OK) return status;
  as = *w->table;
  if (!over || w->mode != IU_RESHAPE_APPEND) as.put = w->insert;
  status = iu__jfold_put(w->s->db, &as, (iu_slice){row, len}, &w->scratch, err);
  if (status == IU_E_STORAGE && (sqlite3_errcode(w->s->db) & 0xff) == SQLITE_CONSTRAINT) status = taken(w, (iu_slice){row, len}, err);
  sqlite3_clear_bindings(as.put);
  return status;
}

iu_status iu__reshape_delete(iu_reshape_writer *w, iu_slice key, bool *was_there, iu_error *err) {
  iu_buf row = {0};
  iu_status status = IU_OK;

  if (w->s == NULL || w->mode != IU_RESHAPE_APPEND) return ended(err);
  *was_there = true;
  if (w->table->def->primary_key >= 0) { /* where the whole row is the key it is needed; else it says whether there is one */
    status = iu__reshape_get(w->s, (uint32_t)iu__reshape_find(w->s, w->name), key, was_there, &row, err);
    if (w->table->key_is_row) key = (iu_slice){row.data, row.len};
  }
  if (status == IU_OK && *was_there) status = iu__jfold_delete(w->s->db, w->table, key, &w->scratch, err);
  if (status == IU_OK && *was_there) *was_there = w->table->def->primary_key >= 0 || sqlite3_changes(w->s->db) != 0;
  if (w->table->del != NULL) sqlite3_clear_bindings(w->table->del);
  iu__buf_free(&row);
  return status;
}

/* ---- the end of one ---- */

static iu_status note_positions(iu_reshape_writer *w, iu_error *err) {
  iu_buf sql = {0};
  int64_t id = 0;
  iu_status status;

  if (!w->touched && w->mode == IU_RESHAPE_APPEND) return IU_OK;
  status = iu__reshape_id(w->s, w->name, &id, err);
  iu__buf_printf(&sql, "DELETE FROM _iu_sequence WHERE table_id = %lld;", (long long)id);
  for (uint32_t i = 0; i < w->table->def->sequence_count; i++) {
    if (w->positions[i] != 0) iu__buf_printf(&sql, "INSERT INTO _iu_sequence VALUES (%lld, %u, %lld);", (long long)id, i, (long long)w->positions[i]);
  }
  if (status == IU_OK) return iu__reshape_sql(w->s, &sql, err);
  iu__buf_free(&sql);
  return status;
}

static iu_status note_table(iu_reshape_writer *w, iu_error *err) {
  sqlite3_stmt *st = NULL;
  const char *sql = w->mode == IU_RESHAPE_CREATE ? "INSERT INTO _iu_table SELECT ifnull(max(id), 0) + 1, ?1, ?2 FROM _iu_table"
                                                 : "UPDATE _iu_table SET definition = ?2 WHERE name = ?1";
  iu_status status = iu__jdb_prepare(w->s->db, sql, &st, iu__reshaping, err);

  if (status == IU_OK && (sqlite3_bind_text(st, 1, w->name, -1, SQLITE_STATIC) != SQLITE_OK ||
                          sqlite3_bind_text(st, 2, w->table->definition, -1, SQLITE_STATIC) != SQLITE_OK))
    status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_run(w->s->db, st, iu__reshaping, err);
  sqlite3_finalize(st);
  return status;
}

/* The side table in the place of the one it replaces, if any. */
static iu_status put_in_place(iu_reshape_writer *w, iu_error *err) {
  iu_buf sql = {0};
  iu_status status = IU_OK;

  iu__reshape_end_readers(w->s);
  sqlite3_finalize(w->insert);
  w->insert = NULL;
  if (w->mode == IU_RESHAPE_REPLACE) {
    status = iu__reshape_drop_text(w->s, w->name, err);
    if (status != IU_OK) return status;
    iu__buf_put_str(&sql, "DROP TABLE ");
    iu__jdb_quote(&sql, w->name);
    iu__buf_put_str(&sql, ";");
  }
  iu__buf_put_str(&sql, "ALTER TABLE ");
  iu__jdb_quote(&sql, w->table->def->name);
  iu__buf_put_str(&sql, " RENAME TO ");
  iu__jdb_quote(&sql, w->name);
  status = iu__reshape_sql(w->s, &sql, err);
  return status == IU_OK ? note_table(w, err) : status;
}

iu_status iu__reshape_finish(iu_reshape_writer *w, bool check, iu_error *err) {
  iu_status status = IU_OK;

  if (w->s == NULL) return ended(err);
  if (check) status = iu__reshape_unique(w->s->db, w->table, w->name, err);
  if (status == IU_OK && w->mode != IU_RESHAPE_APPEND) status = put_in_place(w, err);
  if (status == IU_OK) status = note_positions(w, err);
  if (status == IU_OK) end_writer(w);
  return status;
}
