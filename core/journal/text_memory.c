/* text_memory.c: see text_memory.h. The table, its columns and the index's statements are those of a file (catalog.c, fold.c, text_index.c). */
#include "text_memory.h"

#include "../base/alloc.h"
#include "db.h"
#include "fold.h"
#include "report.h"
#include "text_index.h"

struct iu_text_memory {
  sqlite3 *db;
  iu_catalog catalog;
  iu_catalog_table *table;
  sqlite3_stmt *strip;   /* what the index has taken its texts from */
  iu_buf scratch;
};

static const char making[] = "making a text index", indexing[] = "indexing texts";

/* What iu__jcatalog_read and _create find in a file. */
static const char tables_sql[] = "CREATE TABLE _iu_table (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL)";

static iu_status prepare_strip(iu_text_memory *m, const char *json, iu_error *err) {
  const iu_table_def *def = m->table->def;
  iu_buf sql = {0};
  iu_status status;

  iu__buf_put_str(&sql, "UPDATE ");
  iu__jdb_quote(&sql, def->name);
  iu__buf_put_str(&sql, " SET _row = x'', ");
  iu__jdb_quote(&sql, json);
  iu__buf_put_str(&sql, " = NULL WHERE ");
  iu__jdb_quote(&sql, def->row->u.fields[def->primary_key].name);
  iu__buf_put_str(&sql, " = ?1");
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, making);
  if (status == IU_OK) status = iu__jdb_prepare(m->db, (const char *)sql.data, &m->strip, making, err);
  iu__buf_free(&sql);
  return status;
}

/* The column of JSON that the index was made over. */
static iu_status read_json(iu_text_memory *m, iu_error *err) {
  sqlite3_stmt *st = NULL;
  bool row = false;
  iu_status status = iu__jdb_prepare(m->db, "SELECT json FROM _iu_text_index WHERE table_name = ?1", &st, making, err);

  if (status == IU_OK && sqlite3_bind_text(st, 1, m->table->def->name, -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_step(m->db, st, &row, making, err);
  if (status == IU_OK && row) {
    const char *json = (const char *)sqlite3_column_text(st, 0);
    status = json != NULL ? prepare_strip(m, json, err) : iu__fail_nomem(err);
  }
  sqlite3_finalize(st);
  return status;
}

static iu_status make(iu_text_memory *m, const iu_schema *schema, uint32_t table, const char *sql, iu_error *err) {
  iu_status status;
  int rc = sqlite3_open_v2(":memory:", &m->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, NULL);

  if (rc != SQLITE_OK) return iu__jdb_fail(m->db, rc, making, err);
  sqlite3_limit(m->db, SQLITE_LIMIT_LENGTH, (int)IU_REPORT_VALUE_MAX);
  sqlite3_limit(m->db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(m->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  status = iu__jdb_exec(m->db, tables_sql, making, err);
  if (status == IU_OK) status = iu__jcatalog_init(&m->catalog, schema, err);
  if (status == IU_OK) status = iu__jcatalog_read(&m->catalog, m->db, NULL, NULL, err);
  if (status == IU_OK) status = iu__jcatalog_create(&m->catalog, m->db, err);
  if (status == IU_OK) status = iu__jdb_exec(m->db, sql, making, err);
  if (status == IU_OK) status = iu__jtext_read(&m->catalog, m->db, err);
  if (status != IU_OK) return status;
  m->table = &m->catalog.tables[table];
  if (m->table->text == NULL) return iu__fail(err, IU_E_VALIDATION, "table `%s` cannot have a text index: it needs a primary key of text or numbers", m->table->def->name);
  status = read_json(m, err);
  if (status == IU_OK) status = iu__jcatalog_prepare(m->table, m->db, err);
  return status;
}

iu_status iu__text_memory_new(const iu_schema *schema, uint32_t table, const char *sql, iu_text_memory **out, iu_error *err) {
  iu_text_memory *m = iu__alloc_zero(1, sizeof *m);
  iu_status status = m != NULL ? make(m, schema, table, sql, err) : iu__fail_nomem(err);

  if (status != IU_OK) {
    iu__text_memory_free(m);
    m = NULL;
  }
  *out = m;
  return status;
}

void iu__text_memory_free(iu_text_memory *m) {
  if (m == NULL) return;
  sqlite3_finalize(m->strip);
  if (m->catalog.tables != NULL) iu__jcatalog_free(&m->catalog);
  sqlite3_close_v2(m->db);
  iu__buf_free(&m->scratch);
  iu__free(m);
}

iu_status iu__text_memory_begin(iu_text_memory *m, iu_error *err) { return iu__jdb_exec(m->db, "BEGIN", indexing, err); }
iu_status iu__text_memory_end(iu_text_memory *m, iu_error *err) { return iu__jdb_exec(m->db, "COMMIT", indexing, err); }

iu_status iu__text_memory_put(iu_text_memory *m, iu_slice row, iu_error *err) {
  uint32_t column = (uint32_t)m->table->def->primary_key;
  iu_slice key = iu__bsatn_column(m->table->def->row, column, row.p, row.len);
  iu_status status = iu__jfold_put(m->db, m->table, row, &m->scratch, err);

  sqlite3_clear_bindings(m->table->put);
  if (status == IU_OK) status = iu__jcell_bind(&m->table->cells[column], m->strip, 1, key, &m->scratch, err);
  if (status == IU_OK) status = iu__jdb_run(m->db, m->strip, indexing, err);
  sqlite3_clear_bindings(m->strip);
  return status;
}

iu_status iu__text_memory_delete(iu_text_memory *m, iu_slice key, iu_error *err) {
  iu_status status = iu__jfold_delete(m->db, m->table, key, &m->scratch, err);

  sqlite3_clear_bindings(m->table->del);
  return status;
}

iu_status iu__text_memory_report(iu_text_memory *m, iu_report **out, iu_error *err) { return iu__report_over(m->db, out, err); }
