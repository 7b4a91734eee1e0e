/* alter.c: see alter.h.
 *
 * The file is read with a catalog of its own, the schema's cut to the columns that are there; values of BSATN stand behind each other, so a row is made one
 * with more columns by putting the default values behind it. Costs two readings of the file, and memory for the rows of one changed table at a time.
 */
#include "alter.h"

#include "../base/alloc.h"
#include "../base/errinj.h"
#include "aside.h"
#include "file.h"

static const char altering[] = "bringing the file to the schema";

bool iu__jalter_needed(const iu_catalog *l) {
  for (uint32_t i = 0; i < l->count; i++) {
    if (l->tables[i].changed) return true;
  }
  return false;
}

/* ---- the file as it is ---- */

typedef struct before {
  iu_schema schema;   /* its tables only */
  iu_type *rows;
  iu_catalog catalog;
} before;

static void before_free(before *b) {
  iu__jcatalog_free(&b->catalog);
  iu__free(b->schema.tables);
  iu__free(b->rows);
}

static iu_status before_init(before *b, const iu_catalog *l, iu_error *err) {
  iu_status status;

  memset(b, 0, sizeof *b);
  b->schema.table_count = l->count;
  b->schema.tables = iu__alloc_zero(l->count, sizeof *b->schema.tables);
  b->rows = iu__alloc_zero(l->count, sizeof *b->rows);
  if (b->schema.tables == NULL || b->rows == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < l->count; i++) {
    const iu_catalog_table *t = &l->tables[i];

    b->schema.tables[i] = *t->def;
    if (!t->in_file || t->file_columns == t->def->row->count) continue;
    b->rows[i] = *t->def->row;
    b->rows[i].count = t->file_columns;
    b->rows[i].special = IU_S_NONE;
    b->rows[i].plain = false; /* so that nothing relies on the size of all columns */
    b->rows[i].fixed_size = IU_SIZE_VARIES;
    b->schema.tables[i].row = &b->rows[i];
    b->schema.tables[i].index_count = 0; /* the file knows none */
  }
  status = iu__jcatalog_init(&b->catalog, &b->schema, err);
  for (uint32_t i = 0; i < l->count && status == IU_OK; i++) {
    b->catalog.tables[i].id = l->tables[i].id;
    b->catalog.tables[i].in_file = l->tables[i].in_file;
    b->catalog.by_id[i] = l->by_id[i];
  }
  return status;
}

static iu_status ignore_row(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  (void)ud, (void)table, (void)row, (void)len, (void)err;
  return IU_OK;
}
static iu_status ignore_position(void *ud, uint32_t table, uint32_t sequence, int64_t next, iu_error *err) {
  (void)ud, (void)table, (void)sequence, (void)next, (void)err;
  return IU_OK;
}

/* ---- folding it ---- */

static iu_status fold_all(iu_sqlite_journal *j, before *b, iu_error *err) {
  iu_fold fold = {.catalog = &b->catalog};
  iu_fold_result result;
  iu_status status = IU_OK;

  while (j->found.folded < j->found.last && status == IU_OK) {
    status = iu__jfold_slice(&fold, &j->writer, j->found.folded, &result, err);
    if (status == IU_OK && result.frames == 0) status = iu__fail(err, IU_E_STORAGE, "the file is damaged: its journal ends too early");
    if (status != IU_OK) break;
    j->found.folded = j->folded = result.folded;
    j->found.journal_bytes -= result.bytes < j->found.journal_bytes ? result.bytes : j->found.journal_bytes;
    j->journal_bytes = j->found.journal_bytes;
  }
  iu__jfold_free(&fold);
  return status;
}

/* ---- one table ---- */

static iu_status run_sql(sqlite3 *db, iu_buf *sql, iu_error *err) {
  iu__buf_put_u8(sql, 0);
  iu_status status = iu__buf_status(sql, err, altering);
  if (status == IU_OK) status = iu__jdb_exec(db, (const char *)sql->data, altering, err);
  iu__buf_reset(sql);
  return status;
}

static iu_status add_columns(const iu_catalog_table *t, sqlite3 *db, iu_error *err) {
  iu_buf sql = {0};
  iu_status status = IU_OK;

  for (uint32_t i = t->file_columns; i < t->def->row->count && status == IU_OK; i++) {
    iu__buf_put_str(&sql, "ALTER TABLE ");
    iu__jdb_quote(&sql, t->def->name);
    iu__buf_put_str(&sql, " ADD COLUMN ");
    iu__jdb_quote(&sql, t->def->row->u.fields[i].name);
    iu__buf_printf(&sql, " %s", iu__jcell_sql_type(&t->cells[i]));
    status = run_sql(db, &sql, err);
  }
  iu__buf_free(&sql);
  return status;
}

/* All rows behind each other, each with the new columns. */
static iu_status read_rows(const iu_catalog_table *t, sqlite3 *db, iu_buf *out, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_buf sql = {0};
  iu_status status;
  bool row;

  iu__buf_put_str(&sql, "SELECT \"_row\" FROM ");
  iu__jdb_quote(&sql, t->def->name);
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, altering);
  if (status == IU_OK) status = iu__jdb_prepare(db, (const char *)sql.data, &st, altering, err);
  iu__buf_free(&sql);
  row = status == IU_OK;
  while (row && status == IU_OK) {
    status = iu__jdb_step(db, st, &row, altering, err);
    if (!row) break;
    iu__buf_put(out, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
    for (uint32_t i = t->file_columns; i < t->def->row->count; i++) iu__buf_put(out, t->def->defaults[i].p, t->def->defaults[i].len);
    if (out->failed) status = iu__buf_status(out, err, altering);
  }
  sqlite3_finalize(st);
  return status;
}

static iu_status write_rows(iu_catalog_table *t, sqlite3 *db, const iu_buf *rows, iu_error *err) {
  iu_reader r = iu__reader(rows->data, rows->len);
  iu_buf scratch = {0}, sql = {0};
  iu_status status;

  iu__buf_put_str(&sql, "DELETE FROM ");
  iu__jdb_quote(&sql, t->def->name);
  status = run_sql(db, &sql, err);
  iu__buf_free(&sql);
  if (status == IU_OK) status = iu__jcatalog_prepare(t, db, err);
  while (status == IU_OK && iu__reader_left(&r) != 0) {
    const uint8_t *start = r.p;

    status = iu__bsatn_check(t->def->row, &r, err);
    if (status == IU_OK) status = iu__jfold_put(db, t, (iu_slice){start, (size_t)(r.p - start)}, &scratch, err);
  }
  if (t->put != NULL) sqlite3_clear_bindings(t->put);
  iu__buf_free(&scratch);
  return status;
}

static iu_status note_definition(const iu_catalog_table *t, sqlite3 *db, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(db, "UPDATE _iu_table SET definition=?2 WHERE id=?1", &st, altering, err);

  if (status == IU_OK && (sqlite3_bind_int64(st, 1, t->id) != SQLITE_OK || sqlite3_bind_text(st, 2, t->definition, -1, SQLITE_STATIC) != SQLITE_OK))
    status = iu__fail_nomem(err);
  if (status == IU_OK) status = iu__jdb_run(db, st, altering, err);
  sqlite3_finalize(st);
  return status;
}

static iu_status alter_table(iu_catalog_table *t, sqlite3 *db, iu_error *err) {
  iu_buf rows = {0};
  iu_status status = IU_OK;

  if (t->file_columns < t->def->row->count) {
    status = read_rows(t, db, &rows, err);
    if (status == IU_OK) status = add_columns(t, db, err);
    if (status == IU_OK) status = write_rows(t, db, &rows, err);
  }
  iu__buf_free(&rows);
  if (status == IU_OK) status = note_definition(t, db, err);
  if (status == IU_OK && iu__errinj(IU_ERRINJ_JOURNAL_ALTER)) status = iu__jdb_fail_code(SQLITE_IOERR_WRITE, altering, err);
  return status;
}

/* ---- all of it ---- */

static iu_status alter_all(iu_sqlite_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err) {
  iu_status status = IU_OK;

  for (uint32_t i = 0; i < j->catalog.count && status == IU_OK; i++) {
    if (j->catalog.tables[i].changed) status = alter_table(&j->catalog.tables[i], j->db, err);
  }
  if (status == IU_OK) status = iu__jcatalog_create(&j->catalog, j->db, err);
  if (status != IU_OK) return status;
  status = iu__jload_within(j->db, &j->catalog, &j->found, false, sink, out, err);
  if (status != IU_E_CONFLICT) return status;
  iu__error_prefix(err, "a unique constraint cannot be added");
  if (err != NULL) err->status = IU_E_MIGRATION;
  return IU_E_MIGRATION;
}

/* Out of it they will not be told of again. */
static iu_status fail_recovered(iu_status status, const iu_journal_recovery *found, iu_error *err) {
  if (found->lost_first != 0)
    iu__error_prefix(err, "the journal was recovered (commits %llu to %llu are lost, what is left of them is in %s), but", (unsigned long long)found->lost_first,
                     (unsigned long long)found->lost_last, found->lost_file);
  return status;
}

iu_status iu__jalter_and_load(iu_sqlite_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err) {
  iu_journal_sink nothing = {NULL, ignore_row, ignore_row, ignore_position, NULL};
  iu_journal_recovery found;
  before b;
  bool lost;
  iu_status status = before_init(&b, &j->catalog, err);

  if (status == IU_OK) status = iu__jload_all(j->db, &b.catalog, &j->found, j->config.recover_prefix, &nothing, &found, err);
  lost = status == IU_OK && found.lost_first != 0;
  if (lost) status = iu__jaside(j->db, j->path, j->found.folded, &found, err);
  if (status == IU_OK) {
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    status = iu__jfile_make_writable(j->db, j->path, err);
  }
  if (status == IU_OK && lost) status = iu__journal_cut_lost(j, &found, err);
  if (status != IU_OK) {
    before_free(&b);
    return status;
  }
  if (lost && iu__errinj(IU_ERRINJ_JOURNAL_ALTER)) status = iu__jdb_fail_code(SQLITE_IOERR_WRITE, altering, err);
  else status = fold_all(j, &b, err);
  before_free(&b);
  if (status == IU_OK) status = iu__jwriter_begin(&j->writer, err);
  if (status != IU_OK) return fail_recovered(status, &found, err);
  status = iu__jwriter_end(&j->writer, alter_all(j, sink, out, err), err);
  if (status != IU_OK) return fail_recovered(status, &found, err);
  iu__jcatalog_created(&j->catalog);
  found.table_rows = out->table_rows; /* the rest is of the journal as it was */
  *out = found;
  return IU_OK;
}
