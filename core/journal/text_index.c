/* text_index.c: see text_index.h. FTS5 writes down what it holds back whenever SQLite sets a savepoint, which it does for every statement that might write several
 * rows: texts are read by one statement and put by another, of one row, and a new row is not deleted first. */
#include "text_index.h"

#include <ctype.h>

#include "../base/alloc.h"
#include "db.h"

#define SQL_MAX (64u << 10)

static const char indexing[] = "indexing texts";

static iu_status damaged(const char *table, iu_error *err) {
  char shown[260];
  return iu__fail(err, IU_E_STORAGE, "the file is damaged: the entry `%s` of _iu_text_index", iu__printable(shown, 64, table, strlen(table)));
}

static void put_name(iu_buf *sql, const iu_catalog_table *t, const char *suffix) {
  iu_buf name = {0};

  iu__buf_printf(&name, "_iu_text_%s%s", t->def->name, suffix);
  iu__buf_put_u8(&name, 0);
  if (name.failed) sql->failed = name.failed;
  else iu__jdb_quote(sql, (const char *)name.data);
  iu__buf_free(&name);
}

static int count_keys(const char *keys) {
  int count = 1;

  for (; *keys != '\0'; keys++) count += *keys == ',';
  return count;
}

/* Keys are letters, digits and underscores, so that they need no quoting in paths, and as columns only where they are words of SQL's. */
static bool valid_keys(const char *keys) {
  if (*keys == '\0' || *keys == ',') return false;
  for (const char *p = keys; *p != '\0'; p++) {
    if (*p == ',' && (p[1] == ',' || p[1] == '\0')) return false;
    if (*p != ',' && !isalnum((unsigned char)*p) && *p != '_') return false;
  }
  return count_keys(keys) <= IU_TEXT_KEYS_MAX;
}

static void put_extracts(iu_buf *sql, const char *json, const char *keys) {
  while (*keys != '\0') {
    size_t n = strcspn(keys, ",");

    iu__buf_put_str(sql, ", json_extract(e.");
    iu__jdb_quote(sql, json);
    iu__buf_put_str(sql, ", '$.");
    iu__buf_put(sql, keys, n);
    iu__buf_put_str(sql, "')");
    keys += n + (keys[n] == ',');
  }
}

static void put_columns(iu_buf *sql, const char *keys) {
  while (*keys != '\0') {
    size_t n = strcspn(keys, ",");

    iu__buf_printf(sql, ", \"%.*s\"", (int)n, keys);
    keys += n + (keys[n] == ',');
  }
}

static void put_sql(iu_buf *sql, const iu_catalog_table *t, int which, const char *json, const char *keys) {
  const char *key = t->def->row->u.fields[t->def->primary_key].name;

  switch (which) {
    case IU_TEXT_NUMBER:
      iu__buf_put_str(sql, "INSERT OR IGNORE INTO ");
      put_name(sql, t, "_key");
      iu__buf_put_str(sql, " (key) VALUES (?1)");
      break;
    case IU_TEXT_PUT:
      iu__buf_put_str(sql, "INSERT INTO ");
      put_name(sql, t, "");
      iu__buf_put_str(sql, " (rowid");
      put_columns(sql, keys);
      iu__buf_put_str(sql, ") VALUES (?1");
      for (int i = 0; i < count_keys(keys); i++) iu__buf_printf(sql, ", ?%d", i + 2);
      iu__buf_put_str(sql, ")");
      break;
    case IU_TEXT_READ:
      iu__buf_put_str(sql, "SELECT k.n");
      put_extracts(sql, json, keys);
      iu__buf_put_str(sql, " FROM ");
      put_name(sql, t, "_key");
      iu__buf_put_str(sql, " AS k JOIN ");
      iu__jdb_quote(sql, t->def->name);
      iu__buf_put_str(sql, " AS e ON e.");
      iu__jdb_quote(sql, key);
      iu__buf_put_str(sql, " = k.key WHERE k.key = ?1");
      break;
    case IU_TEXT_DROP:
      iu__buf_put_str(sql, "DELETE FROM ");
      put_name(sql, t, "");
      iu__buf_put_str(sql, " WHERE rowid = (SELECT n FROM ");
      put_name(sql, t, "_key");
      iu__buf_put_str(sql, " WHERE key = ?1)");
      break;
    default:
      iu__buf_put_str(sql, "DELETE FROM ");
      put_name(sql, t, "_key");
      iu__buf_put_str(sql, " WHERE key = ?1");
  }
}

static iu_status prepare(iu_text_index *index, const iu_catalog_table *t, sqlite3 *db, const char *json, const char *keys, iu_error *err) {
  iu_status status = IU_OK;

  index->texts = count_keys(keys);
  for (int i = 0; i < IU_TEXT_STATEMENTS && status == IU_OK; i++) {
    iu_buf sql;

    iu__buf_init(&sql, SQL_MAX);
    put_sql(&sql, t, i, json, keys);
    iu__buf_put_u8(&sql, 0);
    status = iu__buf_status(&sql, err, "the SQL of an index");
    if (status == IU_OK) status = iu__jdb_prepare(db, (const char *)sql.data, &index->statements[i], indexing, err);
    iu__buf_free(&sql);
  }
  return status;
}

void iu__jtext_free(iu_text_index *index) {
  for (int i = 0; index != NULL && i < IU_TEXT_STATEMENTS; i++) sqlite3_finalize(index->statements[i]);
  iu__free(index);
}

static iu_status add(iu_catalog *l, sqlite3 *db, const char *table, const char *json, const char *keys, iu_error *err) {
  iu_catalog_table *t = NULL;
  iu_text_index *index;
  bool column = false;
  iu_status status;

  for (uint32_t i = 0; i < l->count; i++) {
    if (strcmp(l->tables[i].def->name, table) == 0) t = &l->tables[i];
  }
  if (t == NULL || t->key_is_row || !valid_keys(keys)) return damaged(table, err);
  for (uint32_t i = 0; i < t->def->row->count; i++) column = column || strcmp(t->def->row->u.fields[i].name, json) == 0;
  if (!column) return damaged(table, err);
  if (t->text != NULL) return IU_OK;
  index = iu__alloc_zero(1, sizeof *index);
  if (index == NULL) return iu__fail_nomem(err);
  status = prepare(index, t, db, json, keys, err);
  if (status == IU_OK) t->text = index;
  else iu__jtext_free(index);
  return status;
}

iu_status iu__jtext_read(iu_catalog *l, sqlite3 *db, iu_error *err) {
  sqlite3_stmt *st = NULL;
  int64_t there = 0;
  iu_status status = iu__jdb_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = '_iu_text_index'", 0, &there, indexing, err);
  bool row;

  if (status != IU_OK || there == 0) return status;
  status = iu__jdb_prepare(db, "SELECT table_name, json, texts FROM _iu_text_index", &st, indexing, err);
  row = status == IU_OK;
  while (row && status == IU_OK) {
    status = iu__jdb_step(db, st, &row, indexing, err);
    if (status != IU_OK || !row) break;
    const char *texts[3];
    for (int i = 0; i < 3; i++) texts[i] = (const char *)sqlite3_column_text(st, i);
    if (texts[0] == NULL || texts[1] == NULL || texts[2] == NULL) status = damaged("", err);
    else status = add(l, db, texts[0], texts[1], texts[2], err);
  }
  sqlite3_finalize(st);
  return status;
}

static iu_status run(const iu_catalog_table *t, sqlite3 *db, int which, iu_slice key, iu_buf *scratch, iu_error *err) {
  sqlite3_stmt *st = t->text->statements[which];
  iu_status status = iu__jcell_bind(&t->cells[t->def->primary_key], st, 1, key, scratch, err);

  if (status == IU_OK) status = iu__jdb_run(db, st, indexing, err);
  sqlite3_clear_bindings(st);
  return status;
}

iu_status iu__jtext_put(const iu_catalog_table *t, sqlite3 *db, iu_slice key, iu_buf *scratch, iu_error *err) {
  sqlite3_stmt *read, *put;
  bool is_new, row = false;
  iu_status status;

  if (t->text == NULL) return IU_OK;
  read = t->text->statements[IU_TEXT_READ], put = t->text->statements[IU_TEXT_PUT];
  status = run(t, db, IU_TEXT_NUMBER, key, scratch, err);
  is_new = sqlite3_changes(db) != 0;
  if (status == IU_OK && !is_new) status = run(t, db, IU_TEXT_DROP, key, scratch, err);
  if (status == IU_OK) status = iu__jcell_bind(&t->cells[t->def->primary_key], read, 1, key, scratch, err);
  if (status == IU_OK) status = iu__jdb_step(db, read, &row, indexing, err);
  for (int i = 0; i <= t->text->texts && row && status == IU_OK; i++) {
    if (sqlite3_bind_value(put, i + 1, sqlite3_column_value(read, i)) != SQLITE_OK) status = iu__fail_nomem(err);
  }
  sqlite3_reset(read);
  sqlite3_clear_bindings(read);
  if (status == IU_OK && row) status = iu__jdb_run(db, put, indexing, err);
  sqlite3_clear_bindings(put);
  return status;
}

iu_status iu__jtext_delete(const iu_catalog_table *t, sqlite3 *db, iu_slice key, iu_buf *scratch, iu_error *err) {
  iu_status status = t->text == NULL ? IU_OK : run(t, db, IU_TEXT_DROP, key, scratch, err);

  return t->text == NULL || status != IU_OK ? status : run(t, db, IU_TEXT_FORGET, key, scratch, err);
}
