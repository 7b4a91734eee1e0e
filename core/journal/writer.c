/* writer.c: see writer.h. */
#include "writer.h"

#include "../base/errinj.h"
#include "../base/hash.h"

static const char saving[] = "saving";

static iu_status prepare(iu_writer *w, iu_error *err) {
  iu_status status = IU_OK;

  if (w->insert == NULL) status = iu__jdb_prepare(w->db, "INSERT INTO _iu_journal VALUES (?1, ?2, ?3, ?4)", &w->insert, saving, err);
  if (status == IU_OK && w->put_meta == NULL)
    status = iu__jdb_prepare(w->db, "INSERT INTO _iu_meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value=excluded.value",
                            &w->put_meta, saving, err);
  return status;
}

iu_status iu__jwriter_begin(iu_writer *w, iu_error *err) {
  iu_status status = prepare(w, err);

  return status == IU_OK ? iu__jdb_exec(w->db, "BEGIN IMMEDIATE", saving, err) : status;
}

iu_status iu__jwriter_end(iu_writer *w, iu_status status, iu_error *err) {
  if (status == IU_OK && iu__errinj(IU_ERRINJ_JOURNAL_FSYNC)) status = iu__jdb_fail_code(SQLITE_IOERR_FSYNC, saving, err);
  if (status == IU_OK) status = iu__jdb_exec(w->db, "COMMIT", saving, err);
  if (status != IU_OK) iu__jdb_rollback(w->db);
  return status;
}

iu_status iu__jwriter_put_int(iu_writer *w, const char *key, int64_t value, iu_error *err) {
  if (sqlite3_bind_text(w->put_meta, 1, key, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_bind_int64(w->put_meta, 2, value) != SQLITE_OK)
    return iu__fail_nomem(err);
  return iu__jdb_run(w->db, w->put_meta, saving, err);
}

static iu_status put_blobs(iu_writer *w, const iu_meta_set *meta, iu_error *err) {
  iu_status status = IU_OK;

  for (int i = 0; i < IU_META_COUNT && status == IU_OK; i++) {
    const iu_meta_slot *slot = &meta->slots[i];

    if (!slot->present) continue;
    if (sqlite3_bind_text(w->put_meta, 1, iu__jmeta_name((iu_meta)i), -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob64(w->put_meta, 2, slot->bytes, slot->len, SQLITE_STATIC) != SQLITE_OK)
      return iu__fail_nomem(err);
    status = iu__jdb_run(w->db, w->put_meta, saving, err);
    sqlite3_clear_bindings(w->put_meta);
  }
  return status;
}

static iu_status put_block(iu_writer *w, iu_block *b, iu_error *err) {
  iu_status status;

  if (iu__errinj(IU_ERRINJ_JOURNAL_WRITE)) return iu__jdb_fail_code(SQLITE_IOERR_WRITE, saving, err);
  iu__jblock_seal(b);
  if (sqlite3_bind_int64(w->insert, 1, (int64_t)b->first) != SQLITE_OK || sqlite3_bind_int64(w->insert, 2, (int64_t)b->last) != SQLITE_OK ||
      sqlite3_bind_int64(w->insert, 3, (int64_t)iu__hash64(b->data, b->len)) != SQLITE_OK ||
      sqlite3_bind_blob64(w->insert, 4, b->data, b->len, SQLITE_STATIC) != SQLITE_OK)
    return iu__fail(err, IU_E_STORAGE, "saving: a group of %zu bytes is too large for SQLite", b->len);
  status = iu__jdb_run(w->db, w->insert, saving, err);
  sqlite3_clear_bindings(w->insert);
  return status;
}

iu_status iu__jwriter_write(iu_writer *w, iu_block *blocks, const iu_meta_set *meta, iu_error *err) {
  iu_status status = iu__jwriter_begin(w, err);

  if (status != IU_OK) return status;
  if (!w->marked_open) status = iu__jwriter_put_int(w, "closed", 0, err);
  if (status == IU_OK && meta != NULL) status = put_blobs(w, meta, err);
  for (iu_block *b = blocks; b != NULL && status == IU_OK; b = b->next) status = put_block(w, b, err);
  status = iu__jwriter_end(w, status, err);
  if (status == IU_OK) w->marked_open = true;
  return status;
}

void iu__jwriter_finalize(iu_writer *w) {
  sqlite3_finalize(w->insert);
  sqlite3_finalize(w->put_meta);
  w->insert = w->put_meta = NULL;
}
