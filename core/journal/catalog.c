/* catalog.c: making a catalog from a schema, and the SQL of its tables. catalog_read.c compares it with a file. */
#include "catalog.h"

#include <strings.h>

#include "../base/alloc.h"
#include "db.h"
#include "journal.h"
#include "text_index.h"

#define SQL_MAX (4u << 20)

static iu_status check_names(const iu_table_def *def, iu_error *err) {
  const iu_type *row = def->row;

  if (strncasecmp(def->name, "sqlite_", 7) == 0)
    return iu__fail(err, IU_E_VALIDATION, "table `%s`: names that start with sqlite_ belong to SQLite", def->name);
  if (row->count > IU_JOURNAL_COLUMNS_MAX)
    return iu__fail(err, IU_E_VALIDATION, "table `%s` has %u columns: a universe file holds at most %d", def->name, row->count,
                    IU_JOURNAL_COLUMNS_MAX);
  for (uint32_t i = 0; i < row->count; i++) {
    const char *name = row->u.fields[i].name;

    if (name == NULL) return iu__fail(err, IU_E_VALIDATION, "table `%s`: column %u has no name", def->name, i);
    if (strcasecmp(name, "_row") == 0)
      return iu__fail(err, IU_E_VALIDATION, "table `%s`: the column name `%s` is taken by the row itself", def->name, name);
    for (uint32_t k = 0; k < i; k++) {
      if (strcasecmp(name, row->u.fields[k].name) == 0)
        return iu__fail(err, IU_E_VALIDATION, "table `%s`: the columns `%s` and `%s` differ only in case", def->name, row->u.fields[k].name, name);
    }
  }
  return IU_OK;
}

static iu_status init_table(iu_catalog_table *t, const iu_table_def *def, iu_error *err) {
  iu_status status = check_names(def, err);

  if (status != IU_OK) return status;
  t->def = def;
  t->cells = iu__alloc_zero(def->row->count, sizeof *t->cells);
  if (t->cells == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < def->row->count; i++) t->cells[i] = iu__jcell_of(def->row->u.fields[i].type);
  t->key_is_row = def->primary_key < 0 || !iu__jcell_is_faithful(&t->cells[def->primary_key]);
  return iu__jcatalog_define(def, &t->definition, err);
}

iu_status iu__jcatalog_init(iu_catalog *l, const iu_schema *schema, iu_error *err) {
  iu_status status = IU_OK;

  memset(l, 0, sizeof *l);
  l->tables = iu__alloc_zero(schema->table_count, sizeof *l->tables);
  l->by_id = iu__alloc_zero(schema->table_count, sizeof *l->by_id);
  if (l->tables == NULL || l->by_id == NULL) status = iu__fail_nomem(err);
  else l->count = schema->table_count;
  for (uint32_t i = 0; i < l->count && status == IU_OK; i++) status = init_table(&l->tables[i], &schema->tables[i], err);
  if (status != IU_OK) iu__jcatalog_free(l);
  return status;
}

void iu__jcatalog_free(iu_catalog *l) {
  iu__jcatalog_finalize(l);
  for (uint32_t i = 0; i < l->count; i++) {
    iu__free(l->tables[i].cells);
    iu__free(l->tables[i].definition);
  }
  iu__free(l->tables);
  iu__free(l->by_id);
  memset(l, 0, sizeof *l);
}

void iu__jcatalog_finalize(iu_catalog *l) {
  for (uint32_t i = 0; i < l->count; i++) {
    sqlite3_finalize(l->tables[i].put);
    sqlite3_finalize(l->tables[i].del);
    iu__jtext_free(l->tables[i].text);
    l->tables[i].put = l->tables[i].del = NULL;
    l->tables[i].text = NULL;
  }
}

/* ---- SQL ---- */

static const char *column_name(const iu_catalog_table *t, uint32_t column) { return t->def->row->u.fields[column].name; }

/* `_row` comes first, so that loading need not walk over the readable columns of a long row. Tables keyed by `_row` are WITHOUT ROWID, since
 * an index beside the table would hold every row twice. */
void iu__jcatalog_create_sql(const iu_catalog_table *t, iu_buf *sql) {
  const iu_cell *key = t->key_is_row ? NULL : &t->cells[t->def->primary_key];

  iu__buf_put_str(sql, "CREATE TABLE ");
  iu__jdb_quote(sql, t->def->name);
  iu__buf_printf(sql, " (\"_row\" BLOB NOT NULL%s", key == NULL ? " PRIMARY KEY" : "");
  for (uint32_t i = 0; i < t->def->row->count; i++) {
    iu__buf_put_str(sql, ", ");
    iu__jdb_quote(sql, column_name(t, i));
    iu__buf_printf(sql, " %s", iu__jcell_sql_type(&t->cells[i]));
    if (key == &t->cells[i]) iu__buf_put_str(sql, iu__jcell_is_rowid(key) ? " PRIMARY KEY" : " NOT NULL PRIMARY KEY");
  }
  iu__buf_put_str(sql, key == NULL ? ") WITHOUT ROWID" : ")");
}

/* An upsert that leaves the row where it is in the table, instead of a delete and an insert. */
static void put_upsert(iu_buf *sql, const iu_catalog_table *t) {
  iu__buf_put_str(sql, "INSERT INTO ");
  iu__jdb_quote(sql, t->def->name);
  iu__buf_put_str(sql, " VALUES (?1");
  for (uint32_t i = 0; i < t->def->row->count; i++) iu__buf_printf(sql, ",?%u", i + 2);
  if (t->key_is_row) {
    iu__buf_put_str(sql, ") ON CONFLICT (\"_row\") DO NOTHING");
    return;
  }
  iu__buf_put_str(sql, ") ON CONFLICT (");
  iu__jdb_quote(sql, column_name(t, (uint32_t)t->def->primary_key));
  iu__buf_put_str(sql, ") DO UPDATE SET \"_row\"=excluded.\"_row\"");
  for (uint32_t i = 0; i < t->def->row->count; i++) {
    if ((int32_t)i == t->def->primary_key) continue;
    iu__buf_put_str(sql, ",");
    iu__jdb_quote(sql, column_name(t, i));
    iu__buf_put_str(sql, "=excluded.");
    iu__jdb_quote(sql, column_name(t, i));
  }
}

static void put_delete(iu_buf *sql, const iu_catalog_table *t) {
  iu__buf_put_str(sql, "DELETE FROM ");
  iu__jdb_quote(sql, t->def->name);
  iu__buf_put_str(sql, " WHERE ");
  iu__jdb_quote(sql, t->key_is_row ? "_row" : column_name(t, (uint32_t)t->def->primary_key));
  iu__buf_put_str(sql, "=?1");
}

static void put_create(iu_buf *sql, const iu_catalog_table *t) { iu__jcatalog_create_sql(t, sql); }

static iu_status prepare(sqlite3 *db, const iu_catalog_table *t, void (*put)(iu_buf *, const iu_catalog_table *), sqlite3_stmt **out,
                         iu_error *err) {
  iu_buf sql;
  iu_status status;

  iu__buf_init(&sql, SQL_MAX);
  put(&sql, t);
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, "the SQL of a table");
  if (status == IU_OK) status = iu__jdb_prepare(db, (const char *)sql.data, out, t->def->name, err);
  iu__buf_free(&sql);
  return status;
}

iu_status iu__jcatalog_prepare(iu_catalog_table *t, sqlite3 *db, iu_error *err) {
  iu_status status = IU_OK;

  if (t->put == NULL) status = prepare(db, t, put_upsert, &t->put, err);
  if (status == IU_OK && t->del == NULL) status = prepare(db, t, put_delete, &t->del, err);
  return status;
}

static iu_status create_one(const iu_catalog_table *t, sqlite3 *db, sqlite3_stmt *note, iu_error *err) {
  sqlite3_stmt *create = NULL;
  iu_status status = prepare(db, t, put_create, &create, err);

  if (status == IU_OK) status = iu__jdb_run(db, create, t->def->name, err);
  sqlite3_finalize(create);
  if (status != IU_OK) return status;
  if (sqlite3_bind_int64(note, 1, t->id) != SQLITE_OK || sqlite3_bind_text(note, 2, t->def->name, -1, SQLITE_STATIC) != SQLITE_OK ||
      sqlite3_bind_text(note, 3, t->definition, -1, SQLITE_STATIC) != SQLITE_OK)
    return iu__fail_nomem(err);
  return iu__jdb_run(db, note, "noting a table", err);
}

iu_status iu__jcatalog_create(iu_catalog *l, sqlite3 *db, iu_error *err) {
  sqlite3_stmt *note = NULL;
  iu_status status = iu__jdb_prepare(db, "INSERT INTO _iu_table VALUES (?1, ?2, ?3)", &note, "creating tables", err);

  for (uint32_t i = 0; i < l->count && status == IU_OK; i++) {
    if (!l->tables[i].in_file) status = create_one(&l->tables[i], db, note, err);
  }
  sqlite3_finalize(note);
  return status;
}

void iu__jcatalog_created(iu_catalog *l) {
  for (uint32_t i = 0; i < l->count; i++) {
    l->tables[i].in_file = true;
    l->tables[i].changed = false;
    l->tables[i].file_columns = l->tables[i].def->row->count;
  }
}
