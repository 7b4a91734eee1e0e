/* check_text.c: the text indexes of a file (text_index.h): FTS5's own check of each, then index and rows against each other.
 *
 * FTS5 checks an index on a connection that could write only, so each is copied into a temporary database, shadow table by shadow table, and checked there. That reads the
 * file a second time, as of another moment where somebody writes it meanwhile, but of one moment.
 */
#include <ctype.h>
#include <stdio.h>

#include "../base/alloc.h"
#include "check_impl.h"
#include "text_index.h"

#define SQL_MAX (64u << 10)
#define URI_MAX 13000 /* of a path of 4096 bytes, each as %XX */

static const char checking[] = "checking a text index";

/* One entry of _iu_text_index. */
typedef struct text { const iu_catalog_table *t; char *json, *keys; } text;

/* Names in the SQL are identifiers (file_schema.c, text_index.c), so they are quoted plainly. */
static iu_status prepare(iu_checker *c, sqlite3_stmt **st, iu_buf *sql, iu_error *err) {
  iu__buf_put_u8(sql, 0);
  iu_status status = iu__buf_status(sql, err, checking);
  if (status == IU_OK) status = iu__jdb_prepare(c->db, (const char *)sql->data, st, checking, err);
  iu__buf_reset(sql);
  return status;
}

static const char *key_of(const text *x) { return x->t->def->row->u.fields[x->t->def->primary_key].name; }

/* `says` of each row of a statement whose first column is a key. */
static iu_status report_rows(iu_checker *c, const text *x, iu_buf *sql, const char *says, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_error why;
  iu_status status = prepare(c, &st, sql, &why);
  bool row = status == IU_OK;

  while (row && status == IU_OK && c->status == IU_OK) {
    char shown[4 * IU_CHECK_KEY_SHOWN + 4];
    const char *key;

    status = iu__jdb_step(c->db, st, &row, checking, &why);
    if (status != IU_OK || !row) break;
    key = (const char *)sqlite3_column_text(st, 0);
    if (key == NULL) key = "";
    iu__check_report(c, false, x->t->def->name, says, iu__printable(shown, IU_CHECK_KEY_SHOWN, key, strlen(key)));
  }
  sqlite3_finalize(st);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, x->t->def->name, "its text index: %s", why.message);
  return IU_OK;
}

/* ---- against the rows ---- */

static void put_texts_differ(iu_buf *sql, const text *x) {
  const char *keys = x->keys;

  for (int i = 0; *keys != '\0'; i++) {
    size_t n = strcspn(keys, ",");

    iu__buf_printf(sql, " OR f.c%d IS NOT json_extract(e.\"%s\", '$.%.*s')", i, x->json, (int)n, keys);
    keys += n + (keys[n] == ',');
  }
}

static iu_status check_rows(iu_checker *c, const text *x, iu_error *err) {
  const char *name = x->t->def->name, *key = key_of(x);
  iu_buf sql;
  iu_status status;

  iu__buf_init(&sql, SQL_MAX);
  iu__buf_printf(&sql, "SELECT e.\"%s\" FROM \"%s\" AS e LEFT JOIN \"_iu_text_%s_key\" AS k ON k.key = e.\"%s\" LEFT JOIN \"_iu_text_%s_content\" AS f ON f.id = k.n"
                       " WHERE k.n IS NULL OR f.id IS NULL", key, name, name, key, name);
  put_texts_differ(&sql, x);
  status = report_rows(c, x, &sql, "the row `%s`: the text index does not have its texts", err);
  if (status == IU_OK) {
    iu__buf_printf(&sql, "SELECT k.key FROM \"_iu_text_%s_key\" AS k LEFT JOIN \"%s\" AS e ON e.\"%s\" = k.key WHERE e.\"%s\" IS NULL", name, name, key, key);
    status = report_rows(c, x, &sql, "the text index has a row `%s`, and the table has not", err);
  }
  if (status == IU_OK) {
    iu__buf_printf(&sql, "SELECT id FROM \"_iu_text_%s_content\" WHERE id NOT IN (SELECT n FROM \"_iu_text_%s_key\")", name, name);
    status = report_rows(c, x, &sql, "the text index has texts (number %s) of no row", err);
  }
  iu__buf_free(&sql);
  return status;
}

/* ---- FTS5's own check ---- */

/* A file's SQL makes a table of FTS5 here and nothing else. */
static int authorize(void *ud, int action, const char *a, const char *b, const char *db, const char *by) {
  (void)ud, (void)db, (void)by;
  switch (action) {
    case SQLITE_CREATE_VTABLE: return b != NULL && strcmp(b, "fts5") == 0 ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA: return a != NULL && strcmp(a, "data_version") == 0 ? SQLITE_OK : SQLITE_DENY; /* FTS5 asks */
    case SQLITE_ATTACH: case SQLITE_DETACH: case SQLITE_CREATE_TRIGGER: case SQLITE_DROP_TABLE: return SQLITE_DENY;
    default: return SQLITE_OK;
  }
}

/* `file:` and the path, what is not plain as %XX. */
static void make_uri(char out[URI_MAX], const char *path) {
  size_t n = (size_t)snprintf(out, URI_MAX, "file:");

  for (; *path != '\0' && n < URI_MAX - 16; path++) {
    bool plain = isalnum((unsigned char)*path) || strchr("/._-", *path) != NULL;
    n += (size_t)snprintf(out + n, URI_MAX - n, plain ? "%c" : "%%%02X", (unsigned char)*path);
  }
  snprintf(out + n, URI_MAX - n, "?mode=ro");
}

static iu_status attach(sqlite3 *copy, const char *path, iu_error *err) {
  sqlite3_stmt *st = NULL;
  char *uri = iu__alloc(URI_MAX);
  iu_status status = uri != NULL ? iu__jdb_prepare(copy, "ATTACH ?1 AS file", &st, checking, err) : iu__fail_nomem(err);

  if (status == IU_OK) {
    make_uri(uri, path);
    if (sqlite3_bind_text(st, 1, uri, -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  }
  if (status == IU_OK) status = iu__jdb_run(copy, st, checking, err);
  sqlite3_finalize(st);
  iu__free(uri);
  return status;
}

/* The SQL that made the index, as the file has it. */
static iu_status create(sqlite3 *copy, const char *name, iu_error *err) {
  sqlite3_stmt *find = NULL, *make = NULL;
  bool row = false;
  iu_status status = iu__jdb_prepare(copy, "SELECT sql FROM file.sqlite_schema WHERE type = 'table' AND name = '_iu_text_' || ?1", &find, checking, err);

  if (status == IU_OK && sqlite3_bind_text(find, 1, name, -1, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_step(copy, find, &row, checking, err);
  if (status == IU_OK) {
    const char *sql = row ? (const char *)sqlite3_column_text(find, 0) : NULL;

    if (sql == NULL) status = iu__fail(err, IU_E_STORAGE, "it is not there");
    sqlite3_set_authorizer(copy, authorize, NULL);
    if (status == IU_OK) status = iu__jdb_prepare(copy, sql, &make, checking, err);
    if (status == IU_OK) status = iu__jdb_run(copy, make, checking, err);
    sqlite3_set_authorizer(copy, NULL, NULL);
  }
  sqlite3_finalize(find);
  sqlite3_finalize(make);
  return status;
}

static iu_status check_copy(sqlite3 *copy, const char *name, iu_error *err) {
  static const char *const shadows[] = {"data", "idx", "content", "docsize", "config"};
  iu_buf sql;
  iu_status status = create(copy, name, err);

  iu__buf_init(&sql, SQL_MAX);
  for (size_t i = 0; i < sizeof shadows / sizeof shadows[0]; i++)
    iu__buf_printf(&sql, "DELETE FROM main.\"_iu_text_%s_%s\"; INSERT INTO main.\"_iu_text_%s_%s\" SELECT * FROM file.\"_iu_text_%s_%s\";", name, shadows[i], name, shadows[i], name,
                   shadows[i]);
  iu__buf_printf(&sql, "INSERT INTO main.\"_iu_text_%s\" (\"_iu_text_%s\") VALUES ('integrity-check')", name, name);
  iu__buf_put_u8(&sql, 0);
  if (status == IU_OK) status = iu__buf_status(&sql, err, checking);
  if (status == IU_OK) status = iu__jdb_exec(copy, (const char *)sql.data, checking, err);
  iu__buf_free(&sql);
  return status;
}

static iu_status check_index(iu_checker *c, const text *x, iu_error *err) {
  sqlite3 *copy = NULL;
  iu_error why;
  int rc = sqlite3_open_v2("", &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, NULL);
  iu_status status = rc == SQLITE_OK ? IU_OK : iu__jdb_fail(copy, rc, checking, &why);

  if (status == IU_OK) {
    sqlite3_db_config(copy, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    status = attach(copy, c->path, &why);
  }
  if (status == IU_OK) status = iu__jdb_exec(copy, "BEGIN", checking, &why);
  if (status == IU_OK) status = check_copy(copy, x->t->def->name, &why);
  sqlite3_close(copy);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, x->t->def->name, "its text index: %s", why.message);
  return IU_OK;
}

/* ---- all of them ---- */

static iu_status check_one(iu_checker *c, sqlite3_stmt *st, iu_error *err) {
  const char *table = (const char *)sqlite3_column_text(st, 0);
  text x = {NULL, (char *)(uintptr_t)sqlite3_column_text(st, 1), (char *)(uintptr_t)sqlite3_column_text(st, 2)};
  iu_status status;

  for (uint32_t i = 0; i < c->catalog.count; i++) {
    if (strcmp(c->catalog.tables[i].def->name, table) == 0) x.t = &c->catalog.tables[i];
  }
  status = check_index(c, &x, err);
  return status == IU_OK && c->status == IU_OK ? check_rows(c, &x, err) : status;
}

iu_status iu__check_texts(iu_checker *c, iu_error *err) {
  sqlite3_stmt *st = NULL;
  bool row = false;
  iu_error why;
  iu_status status = iu__jtext_read(&c->catalog, c->db, &why); /* the list is what it should be */

  for (uint32_t i = 0; i < c->catalog.count && status == IU_OK; i++) row = row || c->catalog.tables[i].text != NULL;
  if (row) status = iu__jdb_prepare(c->db, "SELECT table_name, json, texts FROM _iu_text_index", &st, checking, &why);
  while (row && status == IU_OK && c->status == IU_OK) {
    status = iu__jdb_step(c->db, st, &row, checking, &why);
    if (status == IU_OK && row) status = check_one(c, st, &why);
  }
  sqlite3_finalize(st);
  iu__jcatalog_finalize(&c->catalog);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__check_report(c, false, NULL, "text indexes: %s", why.message);
  return IU_OK;
}
