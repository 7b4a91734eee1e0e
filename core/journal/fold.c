/* fold.c: see fold.h. */
#include "fold.h"

#include "../base/alloc.h"
#include "../base/errinj.h"
#include "load.h"
#include "text_index.h"

#define BUFFER_KEPT (4u << 20)

static const char folding[] = "folding the journal into its tables";

static iu_status prepare(iu_fold *f, sqlite3 *db, iu_error *err) {
  iu_status status = IU_OK;

  if (f->read == NULL) status = iu__jdb_prepare(db, IU_LOAD_GROUPS_SQL, &f->read, folding, err);
  if (status == IU_OK && f->trim == NULL) status = iu__jdb_prepare(db, "DELETE FROM _iu_journal WHERE first <= ?1", &f->trim, folding, err);
  if (status == IU_OK && f->position == NULL)
    status = iu__jdb_prepare(db, "INSERT INTO _iu_sequence VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET next=excluded.next", &f->position,
                            folding, err);
  return status;
}

/* ---- reading a slice ---- */

static iu_status note_change(void *ud, const iu_catalog_table *t, iu_frame_op op, iu_slice bytes, iu_error *err) {
  return iu__jfold_map_put(ud, t, op, bytes, err);
}

static iu_status note_position(void *ud, const iu_catalog_table *t, uint32_t sequence, int64_t next, iu_error *err) {
  return iu__jfold_map_position(ud, t, sequence, next, err);
}

/* Copies the frames of the next groups: SQLite's memory lasts only until the statement's next step. */
static iu_status read_groups(iu_fold *f, sqlite3 *db, uint64_t folded, iu_fold_result *out, iu_error *err) {
  iu_status status = IU_OK;
  bool row = true;

  out->folded = folded;
  while (status == IU_OK && f->frames.len < IU_FOLD_SLICE_BYTES) {
    iu_group g;

    status = iu__jdb_step(db, f->read, &row, folding, err);
    if (!row) break;
    status = iu__jload_group(f->read, out->folded + 1, &g, err);
    if (status != IU_OK) break;
    iu__buf_put(&f->frames, g.frames.p, g.frames.len);
    status = iu__buf_status(&f->frames, err, folding);
    out->frames += g.last - g.first + 1;
    out->bytes += g.bytes;
    out->folded = g.last;
  }
  sqlite3_reset(f->read);
  return status;
}

static iu_status read_slice(iu_fold *f, sqlite3 *db, uint64_t folded, iu_fold_result *out, iu_error *err) {
  iu_frame_visitor visitor = {f, note_change, note_position};
  iu_status status = read_groups(f, db, folded, out, err);

  if (status != IU_OK || out->frames == 0) return status;
  return iu__jframes_walk(f->catalog, (iu_slice){f->frames.data, f->frames.len}, folded + 1, out->folded, &visitor, err);
}

/* ---- writing it ---- */

iu_status iu__jfold_put(sqlite3 *db, const iu_catalog_table *t, iu_slice row, iu_buf *scratch, iu_error *err) {
  const uint8_t *p = row.p, *end = row.p + row.len;
  iu_status status = IU_OK;

  if (sqlite3_bind_blob64(t->put, 1, row.p, row.len, SQLITE_STATIC) != SQLITE_OK)
    return iu__fail(err, IU_E_STORAGE, "%s: a row of %zu bytes is too large for SQLite", folding, row.len);
  for (uint32_t i = 0; i < t->def->row->count && status == IU_OK; i++) {
    const uint8_t *next = iu__bsatn_skip(t->def->row->u.fields[i].type, p, end);

    if (next == NULL) return iu__fail(err, IU_E_STORAGE, "the file is damaged: a row of table `%s` is cut off", t->def->name);
    status = iu__jcell_bind(&t->cells[i], t->put, (int)i + 2, (iu_slice){p, (size_t)(next - p)}, scratch, err);
    p = next;
  }
  if (status == IU_OK) status = iu__jdb_run(db, t->put, folding, err);
  if (status != IU_OK || t->text == NULL) return status;
  return iu__jtext_put(t, db, iu__bsatn_column(t->def->row, (uint32_t)t->def->primary_key, row.p, row.len), scratch, err);
}

iu_status iu__jfold_delete(sqlite3 *db, const iu_catalog_table *t, iu_slice key, iu_buf *scratch, iu_error *err) {
  iu_status status = IU_OK;

  if (!t->key_is_row) status = iu__jcell_bind(&t->cells[t->def->primary_key], t->del, 1, key, scratch, err);
  else if (sqlite3_bind_blob64(t->del, 1, key.p, key.len, SQLITE_STATIC) != SQLITE_OK) status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_run(db, t->del, folding, err);
  return status == IU_OK ? iu__jtext_delete(t, db, key, scratch, err) : status;
}

static iu_status write_entries(iu_fold *f, sqlite3 *db, iu_error *err) {
  iu_status status = IU_OK;

  for (uint32_t i = 0; i < f->count && status == IU_OK; i++) {
    const iu_fold_entry *e = &f->entries[i];

    if (e->table->put == NULL || e->table->del == NULL) status = iu__jcatalog_prepare(&f->catalog->tables[e->table - f->catalog->tables], db, err);
    if (status != IU_OK) break;
    status = e->op == IU_FRAME_PUT ? iu__jfold_put(db, e->table, e->bytes, &f->scratch, err) : iu__jfold_delete(db, e->table, e->key, &f->scratch, err);
  }
  return status;
}

static iu_status write_positions(iu_fold *f, sqlite3 *db, iu_error *err) {
  iu_status status = IU_OK;

  for (uint32_t i = 0; i < f->position_count && status == IU_OK; i++) {
    const iu_fold_position *p = &f->positions[i];

    sqlite3_bind_int64(f->position, 1, p->table->id);
    sqlite3_bind_int64(f->position, 2, p->sequence);
    sqlite3_bind_int64(f->position, 3, p->next);
    status = iu__jdb_run(db, f->position, folding, err);
  }
  return status;
}

static iu_status write_slice(iu_fold *f, iu_writer *w, const iu_fold_result *result, iu_error *err) {
  iu_status status = write_entries(f, w->db, err);

  if (status == IU_OK) status = write_positions(f, w->db, err);
  if (status == IU_OK) {
    sqlite3_bind_int64(f->trim, 1, (int64_t)result->folded);
    status = iu__jdb_run(w->db, f->trim, folding, err);
  }
  if (status == IU_OK) status = iu__jwriter_put_int(w, "folded", (int64_t)result->folded, err);
  if (status == IU_OK && iu__errinj(IU_ERRINJ_JOURNAL_FOLD)) status = iu__jdb_fail_code(SQLITE_IOERR_WRITE, folding, err);
  return status;
}

static void tidy(iu_fold *f) {
  iu__jfold_map_reset(f);
  if (f->frames.cap > BUFFER_KEPT) iu__buf_free(&f->frames);
  if (f->scratch.cap > BUFFER_KEPT) iu__buf_free(&f->scratch);
  iu__buf_reset(&f->frames);
  iu__buf_reset(&f->scratch);
}

/* Bindings point into the slice's memory. */
static void unbind(iu_fold *f) {
  for (uint32_t i = 0; i < f->catalog->count; i++) {
    if (f->catalog->tables[i].put != NULL) sqlite3_clear_bindings(f->catalog->tables[i].put);
    if (f->catalog->tables[i].del != NULL) sqlite3_clear_bindings(f->catalog->tables[i].del);
  }
}

static iu_status slice(iu_fold *f, iu_writer *w, uint64_t folded, iu_fold_result *out, iu_error *err) {
  iu_status status = iu__jwriter_begin(w, err);

  if (status != IU_OK) return status;
  status = prepare(f, w->db, err);
  if (status == IU_OK) status = read_slice(f, w->db, folded, out, err);
  if (status == IU_OK && out->frames != 0) status = write_slice(f, w, out, err);
  if (status == IU_OK) status = iu__jdb_exec(w->db, "COMMIT", folding, err);
  if (status != IU_OK) iu__jdb_rollback(w->db);
  unbind(f);
  return status;
}

iu_status iu__jfold_slice(iu_fold *f, iu_writer *w, uint64_t folded, iu_fold_result *out, iu_error *err) {
  iu_error ignored;
  iu_status status = iu__jdb_exec(w->db, "PRAGMA synchronous=NORMAL", folding, err), restored;

  memset(out, 0, sizeof *out);
  if (status == IU_OK) status = slice(f, w, folded, out, err);
  restored = iu__jdb_exec(w->db, "PRAGMA synchronous=FULL", folding, status == IU_OK ? err : &ignored);
  tidy(f);
  return status != IU_OK ? status : restored;
}

void iu__jfold_free(iu_fold *f) {
  sqlite3_finalize(f->read);
  sqlite3_finalize(f->trim);
  sqlite3_finalize(f->position);
  iu__buf_free(&f->frames);
  iu__buf_free(&f->scratch);
  iu__free(f->entries);
  iu__free(f->slots);
  iu__free(f->positions);
  memset(f, 0, sizeof *f);
}
