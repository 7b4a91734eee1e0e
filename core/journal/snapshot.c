/* snapshot.c: see snapshot.h. */
#include "snapshot.h"

#include "db.h"

#define BUSY_MS 5000

iu_status iu__jsnapshot_open(const char *path, sqlite3 **out, iu_error *err) {
  int rc = sqlite3_open_v2(path, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_EXRESCODE, NULL);
  iu_status status;

  if (rc == SQLITE_OK) {
    sqlite3_busy_timeout(*out, BUSY_MS);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return IU_OK;
  }
  status = iu__jdb_fail(*out, rc, path, err);
  sqlite3_close(*out);
  *out = NULL;
  return status;
}

iu_status iu__jsnapshot_load(const char *path, const iu_journal_config *c, iu_meta_set *meta, const iu_journal_sink *sink, iu_journal_recovery *out,
                             iu_error *err) {
  iu_catalog catalog = {0};
  iu_file_state state;
  sqlite3 *db = NULL;
  iu_status status = iu__jcatalog_init(&catalog, c->schema, err);

  if (status == IU_OK) status = iu__jsnapshot_open(path, &db, err);
  if (status == IU_OK) status = iu__jdb_exec(db, "BEGIN", "reading the file", err);
  if (status == IU_OK) status = iu__jload_state(db, path, meta, &state, err);
  if (status == IU_OK) status = iu__jcatalog_read(&catalog, db, c->differs, c->differs_ud, err);
  for (uint32_t i = 0; i < catalog.count && status == IU_OK; i++) {
    if (catalog.tables[i].changed)
      status = iu__fail(err, IU_E_MIGRATION, "%s: table `%s` is that of an earlier schema: opening the universe once changes it", path, catalog.tables[i].def->name);
  }
  if (status == IU_OK) status = iu__jload_all(db, &catalog, &state, false, sink, out, err);
  sqlite3_close(db);
  iu__jcatalog_free(&catalog);
  return status;
}
