/* snapshot.c: see snapshot.h. */
#include "snapshot.h"

#include "db.h"
#include "file_schema.h"

#define BUSY_MS 5000

static const char first_look[] = "PRAGMA schema_version";

/* A process that was killed while SQLite wrote into the file itself (the switch out of write-ahead mode at a close, a publish) leaves a rollback
 * journal, and whoever may only read can then not read. SQLite undoes what was begun when one who may write looks: the same file, as of before. */
static void undo_what_was_begun(const char *path) {
  sqlite3 *db = NULL;

  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
    sqlite3_busy_timeout(db, BUSY_MS);
    (void)sqlite3_exec(db, first_look, NULL, NULL, NULL); /* where it fails, the reader's own error says why the file cannot be read */
  }
  sqlite3_close(db);
}

/* A rollback journal or a log without its index, as a killed process leaves them, and we may not bring it in order. (The file itself could be opened.) */
static bool needs_a_writer(int rc) { return (rc & 0xff) == SQLITE_READONLY || (rc & 0xff) == SQLITE_CANTOPEN; }

/* Other failures are those of whoever reads next: they last. */
static iu_status look(sqlite3 *db, const char *path, iu_error *err) {
  int rc = sqlite3_exec(db, first_look, NULL, NULL, NULL);

  if (rc == SQLITE_READONLY_ROLLBACK) {
    undo_what_was_begun(path);
    rc = sqlite3_exec(db, first_look, NULL, NULL, NULL);
  }
  if (!needs_a_writer(rc)) return IU_OK;
  return iu__fail(err, IU_E_STORAGE,
                  "%s was not closed properly: somebody who may write it and its folder has to open it once, before others can read it (SQLite: %s, code %d)", path,
                  sqlite3_errmsg(db), rc);
}

iu_status iu__jsnapshot_open(const char *path, sqlite3 **out, iu_error *err) {
  int rc = sqlite3_open_v2(path, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_EXRESCODE, NULL);
  iu_status status;

  if (rc == SQLITE_OK) {
    sqlite3_busy_timeout(*out, BUSY_MS);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    status = look(*out, path, err);
    if (status == IU_OK) return IU_OK;
  } else {
    status = iu__jdb_fail(*out, rc, path, err);
  }
  sqlite3_close(*out);
  *out = NULL;
  return status;
}

/* ---- with known_only: a sink that drops what the schema has not ---- */

typedef struct filter { const iu_journal_sink *to; uint32_t known; } filter;

static iu_status put(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  const filter *f = ud;
  return table < f->known ? f->to->put(f->to->ud, table, row, len, err) : IU_OK;
}
static iu_status del(void *ud, uint32_t table, const void *key, size_t len, iu_error *err) {
  const filter *f = ud;
  return table < f->known ? f->to->del(f->to->ud, table, key, len, err) : IU_OK;
}
static iu_status sequence(void *ud, uint32_t table, uint32_t which, int64_t next, iu_error *err) {
  const filter *f = ud;
  return table < f->known ? f->to->sequence(f->to->ud, table, which, next, err) : IU_OK;
}
static iu_status tables_read(void *ud, iu_error *err) {
  const filter *f = ud;
  return f->to->tables_read != NULL ? f->to->tables_read(f->to->ud, err) : IU_OK;
}

static iu_status load(sqlite3 *db, const char *path, const iu_journal_config *c, const iu_file_state *state, const iu_journal_sink *sink, iu_journal_recovery *out,
                      iu_error *err) {
  iu_file_schema all = {.space_count = 0};
  iu_catalog catalog = {0};
  filter f = {sink, c->schema->table_count};
  iu_journal_sink filtered = {&f, put, del, sequence, tables_read};
  iu_status status = c->known_only ? iu__jfile_schema_read(db, c->schema, true, &all, err) : IU_OK;

  if (status == IU_OK) status = iu__jcatalog_init(&catalog, c->known_only ? &all.schema : c->schema, err);
  if (status == IU_OK) status = iu__jcatalog_read(&catalog, db, c->differs, c->differs_ud, err);
  for (uint32_t i = 0; i < catalog.count && status == IU_OK; i++) {
    if (catalog.tables[i].changed)
      status = iu__fail(err, IU_E_MIGRATION, "%s: table `%s` is that of an earlier schema: opening the universe once changes it", path, catalog.tables[i].def->name);
  }
  if (status == IU_OK) status = iu__jload_all(db, &catalog, state, false, c->known_only ? &filtered : sink, out, err);
  iu__jcatalog_free(&catalog);
  iu__jfile_schema_free(&all);
  return status;
}

iu_status iu__jsnapshot_load(const char *path, const iu_journal_config *c, iu_meta_set *meta, const iu_journal_sink *sink, iu_journal_recovery *out,
                             iu_error *err) {
  iu_file_state state;
  sqlite3 *db = NULL;
  iu_status status = iu__jsnapshot_open(path, &db, err);

  if (status == IU_OK) status = iu__jdb_exec(db, "BEGIN", "reading the file", err);
  if (status == IU_OK) status = iu__jload_state(db, path, meta, &state, err);
  if (status == IU_OK) status = load(db, path, c, &state, sink, out, err);
  sqlite3_close(db);
  return status;
}
