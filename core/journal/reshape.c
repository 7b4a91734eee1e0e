/* reshape.c: see reshape.h: sessions and tables. The rows are reshape_rows.c's. */
#include "reshape_internal.h"

#include <stdio.h>

#include "../base/alloc.h"
#include "meta.h"
#include "text_index.h"

#define CACHE_KIB "65536"

const char iu__reshaping[] = "reshaping the working copy";

/* ---- sessions ---- */

static void forget_schema(iu_reshape *s) {
  iu__jcatalog_free(&s->catalog);
  iu__jfile_schema_free(&s->schema);
}

static iu_status read_schema(iu_reshape *s, iu_error *err) {
  iu_status status;

  forget_schema(s);
  status = iu__jfile_schema_read(s->db, NULL, false, &s->schema, err);
  if (status == IU_OK) status = iu__jcatalog_init(&s->catalog, &s->schema.schema, err);
  if (status == IU_OK) status = iu__jcatalog_read(&s->catalog, s->db, NULL, NULL, err);
  if (status == IU_OK) status = iu__jtext_read(&s->catalog, s->db, err);
  return status;
}

/* Nothing of it is synced. What a rollback needs is in a file and not in memory: dropping a large table takes all of its pages. */
static iu_status settings(iu_reshape *s, iu_error *err) {
  int64_t groups = 0;
  iu_status status;

  sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  status = iu__jdb_exec(s->db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=TRUNCATE; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-" CACHE_KIB, iu__reshaping, err);
  if (status == IU_OK) status = iu__jdb_int(s->db, "SELECT count(*) FROM _iu_journal", 0, &groups, iu__reshaping, err);
  if (status == IU_OK && groups != 0) status = iu__fail(err, IU_E_CONFLICT, "%s was not closed properly", s->file);
  return status;
}

iu_status iu__reshape_open(const char *file, iu_reshape **out, iu_error *err) {
  iu_reshape *s = iu__alloc_zero(1, sizeof *s);
  iu_status status = IU_OK;
  int rc;

  *out = NULL;
  if (s == NULL) return iu__fail_nomem(err);
  s->file = iu__strndup(file, strlen(file));
  if (s->file == NULL) status = iu__fail_nomem(err);
  if (status == IU_OK) {
    rc = sqlite3_open_v2(file, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    status = rc == SQLITE_OK ? settings(s, err) : iu__jdb_fail(s->db, rc, file, err);
  }
  if (status == IU_OK) status = read_schema(s, err);
  if (status == IU_OK) *out = s;
  else iu__reshape_close(s);
  return status;
}

void iu__reshape_close(iu_reshape *s) {
  if (s == NULL) return;
  iu__reshape_end_readers(s);
  iu__reshape_end_writers(s);
  forget_schema(s);
  sqlite3_close(s->db); /* rolls back */
  iu__free(s->file);
  iu__free(s);
}

/* ---- looking ---- */

uint32_t iu__reshape_count(const iu_reshape *s) { return s->catalog.count; }
const iu_table_def *iu__reshape_table(const iu_reshape *s, uint32_t table) { return s->catalog.tables[table].def; }
const char *iu__reshape_definition(const iu_reshape *s, uint32_t table) { return s->catalog.tables[table].definition; }

int iu__reshape_find(const iu_reshape *s, const char *name) {
  for (uint32_t i = 0; i < s->catalog.count; i++) {
    if (strcmp(s->catalog.tables[i].def->name, name) == 0) return (int)i;
  }
  return -1;
}

static iu_status count_of(iu_reshape *s, const char *name, int64_t *out, iu_error *err) {
  iu_buf sql = {0};
  iu_status status;

  iu__buf_put_str(&sql, "SELECT count(*) FROM ");
  iu__jdb_quote(&sql, name);
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, iu__reshaping);
  if (status == IU_OK) status = iu__jdb_int(s->db, (const char *)sql.data, 0, out, iu__reshaping, err);
  iu__buf_free(&sql);
  return status;
}

iu_status iu__reshape_rows(iu_reshape *s, uint32_t table, uint64_t *out, iu_error *err) {
  int64_t rows = 0;
  iu_status status = count_of(s, s->catalog.tables[table].def->name, &rows, err);

  *out = (uint64_t)rows;
  return status;
}

/* ---- transactions ---- */

iu_status iu__reshape_need(const iu_reshape *s, bool schema, iu_error *err) {
  if (s->open && (s->schema_changes || !schema)) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "%s: outside of a transaction%s", iu__reshaping, schema ? " for tables" : "");
}

iu_status iu__reshape_begin(iu_reshape *s, bool schema, iu_error *err) {
  iu_status status;

  if (s->open) return iu__fail(err, IU_E_CONFLICT, "%s: a transaction is open", iu__reshaping);
  if (schema) iu__reshape_end_readers(s); /* SQLite drops no table while a statement is on its way */
  status = iu__jdb_exec(s->db, "BEGIN IMMEDIATE", iu__reshaping, err);
  s->open = status == IU_OK;
  s->schema_changes = schema;
  return status;
}

iu_status iu__reshape_commit(iu_reshape *s, iu_error *err) {
  iu_status status = iu__reshape_need(s, false, err);

  if (status != IU_OK) return status;
  for (const iu_reshape_writer *w = s->writers; w != NULL && status == IU_OK; w = w->next) {
    if (w->mode != IU_RESHAPE_APPEND) status = iu__fail(err, IU_E_VALIDATION, "table `%s` is written and not finished", w->name);
  }
  if (status != IU_OK) return status;
  iu__reshape_end_writers(s);
  if (s->schema_changes) iu__reshape_end_readers(s);
  status = iu__jdb_exec(s->db, "COMMIT", iu__reshaping, err);
  if (status != IU_OK) {
    iu__reshape_rollback(s);
    return status;
  }
  s->open = false;
  return s->schema_changes ? read_schema(s, err) : IU_OK;
}

void iu__reshape_rollback(iu_reshape *s) {
  if (!s->open) return;
  iu__reshape_end_writers(s);
  if (s->schema_changes) iu__reshape_end_readers(s);
  iu__jdb_rollback(s->db);
  s->open = false;
}

/* ---- tables ---- */

iu_status iu__reshape_sql(iu_reshape *s, iu_buf *sql, iu_error *err) {
  iu_status status;

  iu__buf_put_u8(sql, 0);
  status = iu__buf_status(sql, err, iu__reshaping);
  if (status == IU_OK) status = iu__jdb_exec(s->db, (const char *)sql->data, iu__reshaping, err);
  iu__buf_free(sql);
  return status;
}

/* `sql` has one parameter or two: the name, and another text or number. */
static iu_status run_named(iu_reshape *s, const char *sql, const char *name, const char *text, int64_t number, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(s->db, sql, &st, iu__reshaping, err);
  int rc = SQLITE_OK;

  if (status != IU_OK) return status;
  rc = sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
  if (rc == SQLITE_OK && sqlite3_bind_parameter_count(st) > 1) {
    rc = text != NULL ? sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC) : sqlite3_bind_int64(st, 2, number);
  }
  status = rc == SQLITE_OK ? iu__jdb_run(s->db, st, iu__reshaping, err) : iu__fail_nomem(err);
  sqlite3_finalize(st);
  return status;
}

iu_status iu__reshape_id(iu_reshape *s, const char *name, int64_t *out, iu_error *err) {
  sqlite3_stmt *st = NULL;
  bool row = false;
  iu_status status = iu__jdb_prepare(s->db, "SELECT id FROM _iu_table WHERE name = ?1", &st, iu__reshaping, err);

  if (status == IU_OK && sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_step(s->db, st, &row, iu__reshaping, err);
  if (row) *out = sqlite3_column_int64(st, 0);
  else if (status == IU_OK) status = iu__fail(err, IU_E_VALIDATION, "no table `%s`", name);
  sqlite3_finalize(st);
  return status;
}

/* The fold's statements of the index are on tables that go. */
static void forget_text(iu_reshape *s, const char *name) {
  int at = iu__reshape_find(s, name);

  if (at < 0) return;
  iu__jtext_free(s->catalog.tables[at].text);
  s->catalog.tables[at].text = NULL;
}

iu_status iu__reshape_drop_text(iu_reshape *s, const char *name, iu_error *err) {
  static const char *const suffixes[] = {"", "_key"};
  int64_t there = 0;
  iu_status status = iu__jdb_int(s->db, "SELECT count(*) FROM sqlite_schema WHERE name = '_iu_text_index'", 0, &there, iu__reshaping, err);

  if (status != IU_OK || there == 0) return status;
  forget_text(s, name);
  for (int i = 0; i < 2 && status == IU_OK; i++) {
    iu_buf sql = {0}, table = {0};

    iu__buf_printf(&table, "_iu_text_%s%s", name, suffixes[i]);
    iu__buf_put_u8(&table, 0);
    iu__buf_put_str(&sql, "DROP TABLE IF EXISTS ");
    if (table.failed) sql.failed = table.failed;
    else iu__jdb_quote(&sql, (const char *)table.data);
    iu__buf_free(&table);
    status = iu__reshape_sql(s, &sql, err);
  }
  return status == IU_OK ? run_named(s, "DELETE FROM _iu_text_index WHERE table_name = ?1", name, NULL, 0, err) : status;
}

/* Statements prepared for the fold hold no lock, but SQLite prepares them anew: nothing of them is kept over a change. */
static void forget_statements(iu_reshape *s, const char *name) {
  int at = iu__reshape_find(s, name);

  if (at < 0) return;
  sqlite3_finalize(s->catalog.tables[at].put);
  sqlite3_finalize(s->catalog.tables[at].del);
  s->catalog.tables[at].put = s->catalog.tables[at].del = NULL;
}

iu_status iu__reshape_drop(iu_reshape *s, const char *name, iu_error *err) {
  iu_buf sql = {0};
  int64_t id = 0, last = 0;
  iu_status status = iu__reshape_need(s, true, err);

  if (status == IU_OK) status = iu__reshape_id(s, name, &id, err);
  if (status == IU_OK) status = iu__reshape_drop_text(s, name, err);
  if (status != IU_OK) return status;
  forget_statements(s, name);
  iu__buf_put_str(&sql, "DROP TABLE ");
  iu__jdb_quote(&sql, name);
  status = iu__reshape_sql(s, &sql, err);
  if (status == IU_OK) status = run_named(s, "DELETE FROM _iu_table WHERE name = ?1", name, NULL, 0, err);
  if (status == IU_OK) status = iu__jdb_int(s->db, "SELECT ifnull(max(id), 0) FROM _iu_table", 0, &last, iu__reshaping, err);
  if (status != IU_OK) return status;
  iu__buf_printf(&sql, "DELETE FROM _iu_sequence WHERE table_id = %lld;", (long long)id);
  if (last > id) { /* the last one takes the free id */
    iu__buf_printf(&sql, "UPDATE _iu_table SET id = %lld WHERE id = %lld;", (long long)id, (long long)last);
    iu__buf_printf(&sql, "UPDATE _iu_sequence SET table_id = %lld WHERE table_id = %lld", (long long)id, (long long)last);
  }
  return iu__reshape_sql(s, &sql, err);
}

iu_status iu__reshape_rename(iu_reshape *s, const char *name, const char *to, iu_error *err) {
  iu_buf sql = {0};
  iu_status status = iu__reshape_need(s, true, err);

  if (status == IU_OK) status = iu__reshape_drop_text(s, name, err);
  if (status != IU_OK) return status;
  forget_statements(s, name);
  iu__buf_put_str(&sql, "ALTER TABLE ");
  iu__jdb_quote(&sql, name);
  iu__buf_put_str(&sql, " RENAME TO ");
  iu__jdb_quote(&sql, to);
  status = iu__reshape_sql(s, &sql, err);
  return status == IU_OK ? run_named(s, "UPDATE _iu_table SET name = ?2 WHERE name = ?1", name, to, 0, err) : status;
}

/* ---- another definition ---- */

/* By way of names that no column has, so that names may be exchanged. */
static iu_status rename_columns(iu_reshape *s, const iu_table_def *from, const iu_table_def *to, iu_error *err) {
  iu_status status = IU_OK;

  for (int pass = 0; pass < 2; pass++) {
    for (uint32_t i = 0; i < from->row->count && status == IU_OK; i++) {
      const char *old_name = from->row->u.fields[i].name, *new_name = to->row->u.fields[i].name;
      iu_buf sql = {0};
      char between[32];

      if (strcmp(old_name, new_name) == 0) continue;
      snprintf(between, sizeof between, "_iu_column_%u", i);
      iu__buf_put_str(&sql, "ALTER TABLE ");
      iu__jdb_quote(&sql, from->name);
      iu__buf_put_str(&sql, " RENAME COLUMN ");
      iu__jdb_quote(&sql, pass == 0 ? old_name : between);
      iu__buf_put_str(&sql, " TO ");
      iu__jdb_quote(&sql, pass == 0 ? between : new_name);
      status = iu__reshape_sql(s, &sql, err);
    }
  }
  return status;
}

/* Positions go by the number of the sequence: those of columns that keep theirs are kept. */
static iu_status move_positions(iu_reshape *s, uint32_t table, const iu_table_def *to, iu_error *err) {
  const iu_table_def *from = s->catalog.tables[table].def;
  iu_buf sql = {0};
  iu_status status = IU_OK;

  iu__buf_printf(&sql, "DELETE FROM _iu_sequence WHERE table_id = %u;", s->catalog.tables[table].id);
  for (uint32_t n = 0; n < to->sequence_count && status == IU_OK; n++) {
    for (uint32_t o = 0; o < from->sequence_count && status == IU_OK; o++) {
      int64_t next = 0;

      if (from->sequences[o].column != to->sequences[n].column) continue;
      status = iu__reshape_position(s, table, o, &next, err);
      if (next != 0) iu__buf_printf(&sql, "INSERT INTO _iu_sequence VALUES (%u, %u, %lld);", s->catalog.tables[table].id, n, (long long)next);
    }
  }
  if (status == IU_OK) return iu__reshape_sql(s, &sql, err);
  iu__buf_free(&sql);
  return status;
}

static bool same_shape(const iu_table_def *a, const iu_table_def *b) {
  bool same = a->row->count == b->row->count && a->primary_key == b->primary_key;
  iu_buf left = {0}, right = {0};

  for (uint32_t i = 0; same && i < a->row->count; i++) {
    iu__buf_reset(&left);
    iu__buf_reset(&right);
    iu__type_describe(a->row->u.fields[i].type, &left);
    iu__type_describe(b->row->u.fields[i].type, &right);
    same = left.len == right.len && memcmp(left.data, right.data, left.len) == 0;
  }
  iu__buf_free(&left);
  iu__buf_free(&right);
  return same;
}

iu_status iu__reshape_redefine(iu_reshape *s, const char *name, const char *definition, iu_error *err) {
  iu_file_schema schema = {.space_count = 0};
  iu_catalog catalog = {0};
  int at = iu__reshape_find(s, name);
  iu_status status = iu__reshape_need(s, true, err);

  if (status == IU_OK && at < 0) status = iu__fail(err, IU_E_VALIDATION, "no table `%s`", name);
  if (status == IU_OK) status = iu__jfile_schema_parse(name, definition, &schema, err);
  if (status == IU_OK) status = iu__jcatalog_init(&catalog, &schema.schema, err);
  if (status == IU_OK && !same_shape(s->catalog.tables[at].def, catalog.tables[0].def))
    status = iu__fail(err, IU_E_VALIDATION, "table `%s`: a definition with other types of columns, or another primary key", name);
  if (status == IU_OK) status = iu__reshape_drop_text(s, name, err);
  if (status == IU_OK) {
    forget_statements(s, name);
    status = rename_columns(s, s->catalog.tables[at].def, catalog.tables[0].def, err);
  }
  if (status == IU_OK) status = move_positions(s, (uint32_t)at, catalog.tables[0].def, err);
  if (status == IU_OK) status = run_named(s, "UPDATE _iu_table SET definition = ?2 WHERE name = ?1", name, definition, 0, err);
  if (status == IU_OK) status = iu__reshape_unique(s->db, &catalog.tables[0], name, err);
  iu__jcatalog_free(&catalog);
  iu__jfile_schema_free(&schema);
  return status;
}

iu_status iu__reshape_check_unique(iu_reshape *s, uint32_t table, iu_error *err) {
  return iu__reshape_unique(s->db, &s->catalog.tables[table], s->catalog.tables[table].def->name, err);
}

iu_status iu__reshape_position(iu_reshape *s, uint32_t table, uint32_t which, int64_t *next, iu_error *err) {
  char sql[128];

  snprintf(sql, sizeof sql, "SELECT next FROM _iu_sequence WHERE table_id = %u AND sequence = %u", s->catalog.tables[table].id, which);
  return iu__jdb_int(s->db, sql, 0, next, iu__reshaping, err);
}

/* ---- the list of modules ---- */

iu_status iu__reshape_modules(iu_reshape *s, iu_buf *out, iu_error *err) {
  sqlite3_stmt *st = NULL;
  bool row = false;
  iu_status status = iu__jdb_prepare(s->db, "SELECT value FROM _iu_meta WHERE key = ?1", &st, iu__reshaping, err);

  if (status == IU_OK && sqlite3_bind_text(st, 1, iu__jmeta_name(IU_META_MODULES), -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_step(s->db, st, &row, iu__reshaping, err);
  if (row) iu__buf_put(out, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
  sqlite3_finalize(st);
  return status == IU_OK ? iu__buf_status(out, err, iu__reshaping) : status;
}

iu_status iu__reshape_set_modules(iu_reshape *s, iu_slice list, iu_error *err) {
  sqlite3_stmt *st = NULL;
  const char *sql = list.len != 0 ? "INSERT INTO _iu_meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value" : "DELETE FROM _iu_meta WHERE key = ?1";
  iu_status status = iu__jdb_prepare(s->db, sql, &st, iu__reshaping, err);

  if (status == IU_OK && sqlite3_bind_text(st, 1, iu__jmeta_name(IU_META_MODULES), -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK && list.len != 0 && sqlite3_bind_blob64(st, 2, list.p, list.len, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_run(s->db, st, iu__reshaping, err);
  sqlite3_finalize(st);
  return status;
}
