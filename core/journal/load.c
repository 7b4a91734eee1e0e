/* load.c: see load.h. */
#include "load.h"

#include <stdio.h>

#include "ahead.h"
#include "db.h"
#include "file.h"
#include "frame.h"

#define PLAIN_ROWS 10000 /* of a table, before a thread that reads ahead is worth its making */

static const char reading[] = "reading the file";

/* ---- named values ---- */

static iu_status check_format(sqlite3 *db, const char *path, iu_error *err) {
  int64_t application = 0, format = 0;
  iu_status status = iu__jdb_int(db, "PRAGMA application_id", 0, &application, reading, err);

  if (status == IU_OK) status = iu__jdb_int(db, "PRAGMA user_version", 0, &format, reading, err);
  if (status != IU_OK) return status;
  if (application != IU_JOURNAL_APPLICATION_ID) return iu__fail(err, IU_E_STORAGE, "%s is damaged: it lost its mark as a universe file", path);
  if (format > IU_JOURNAL_FORMAT) return iu__jfile_newer(format, path, err);
  if (format < 1) return iu__fail(err, IU_E_STORAGE, "%s is damaged: its format is %lld", path, (long long)format);
  return IU_OK;
}

static iu_status take_value(sqlite3_stmt *st, iu_meta_set *meta, iu_file_state *out, iu_error *err) {
  const char *key = (const char *)sqlite3_column_text(st, 0);

  if (key == NULL) return iu__fail(err, IU_E_STORAGE, "the file is damaged: an entry of _iu_meta has no key");
  if (strcmp(key, "folded") == 0) out->folded = (uint64_t)sqlite3_column_int64(st, 1);
  if (strcmp(key, "closed") == 0) out->closed = sqlite3_column_int64(st, 1) != 0;
  for (int i = 0; i < IU_META_COUNT; i++) {
    int len = sqlite3_column_bytes(st, 1);

    if (strcmp(key, iu__jmeta_name((iu_meta)i)) != 0) continue;
    if (sqlite3_column_type(st, 1) != SQLITE_BLOB || len > IU_JOURNAL_META_MAX)
      return iu__fail(err, IU_E_STORAGE, "the file is damaged: the entry `%s` of _iu_meta", key);
    iu__jmeta_put(meta, (iu_meta)i, sqlite3_column_blob(st, 1), (size_t)len);
  }
  return IU_OK;
}

static iu_status read_values(sqlite3 *db, iu_meta_set *meta, iu_file_state *out, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(db, "SELECT key, value FROM _iu_meta", &st, reading, err);
  bool row = status == IU_OK;

  while (row && status == IU_OK) {
    status = iu__jdb_step(db, st, &row, reading, err);
    if (row) status = take_value(st, meta, out, err);
  }
  sqlite3_finalize(st);
  return status;
}

iu_status iu__jload_state(sqlite3 *db, const char *path, iu_meta_set *meta, iu_file_state *out, iu_error *err) {
  int64_t bytes = 0, last = 0;
  iu_status status = check_format(db, path, err);

  memset(out, 0, sizeof *out);
  if (status == IU_OK) status = read_values(db, meta, out, err);
  if (status == IU_OK) status = iu__jdb_int(db, "SELECT ifnull(sum(length(frames)), 0) FROM _iu_journal", 0, &bytes, reading, err);
  if (status == IU_OK) status = iu__jdb_int(db, "SELECT ifnull(max(last), 0) FROM _iu_journal", 0, &last, reading, err);
  out->journal_bytes = (uint64_t)bytes;
  out->last = (uint64_t)last > out->folded ? (uint64_t)last : out->folded;
  return status;
}

/* ---- rows of the tables ---- */

typedef struct loader {
  const iu_journal_sink *sink;
  const iu_catalog *catalog;
  iu_journal_recovery *out;
  bool prefix;
} loader;

static uint32_t position_of(const loader *l, const iu_catalog_table *t) { return (uint32_t)(t - l->catalog->tables); }

static iu_status check_bytes(const iu_catalog_table *t, const iu_type *type, iu_slice bytes, iu_error *err) {
  iu_status status = iu__bsatn_check_all(type, bytes.p, bytes.len, err);

  if (status == IU_OK) return IU_OK;
  iu__error_prefix(err, "the file is damaged: a row of table `%s`", t->def->name);
  if (err != NULL) err->status = IU_E_STORAGE;
  return IU_E_STORAGE;
}

typedef struct rows { loader *l; const iu_catalog_table *t; sqlite3 *db; sqlite3_stmt *st; } rows;

/* On the thread that reads. */
static iu_status next_row(void *ud, bool *row, iu_slice *bytes, iu_error *err) {
  static const uint8_t none[1] = {0};
  const rows *r = ud;
  iu_status status = iu__jdb_step(r->db, r->st, row, reading, err);

  if (status != IU_OK || !*row) return status;
  if (sqlite3_column_type(r->st, 0) != SQLITE_BLOB) return iu__fail(err, IU_E_STORAGE, "the file is damaged: a row of table `%s` is no blob", r->t->def->name);
  bytes->p = sqlite3_column_blob(r->st, 0);
  bytes->len = (size_t)sqlite3_column_bytes(r->st, 0);
  if (bytes->p == NULL && bytes->len != 0) return iu__fail_nomem(err);
  if (bytes->p == NULL) bytes->p = none; /* a row without columns */
  return IU_OK;
}

static iu_status take_row(void *ud, iu_slice bytes, iu_error *err) {
  const rows *r = ud;
  iu_status status = check_bytes(r->t, r->t->def->row, bytes, err);

  r->l->out->table_rows++;
  return status == IU_OK ? r->l->sink->put(r->l->sink->ud, position_of(r->l, r->t), bytes.p, bytes.len, err) : status;
}

/* The first ones, then the rest by two threads. */
static iu_status load_rows(rows *r, iu_error *err) {
  const iu_ahead_ends ends = {next_row, take_row, r};
  iu_status status = IU_OK;
  bool row = true;

  for (uint32_t i = 0; i < PLAIN_ROWS && row && status == IU_OK; i++) {
    iu_slice bytes;

    status = next_row(r, &row, &bytes, err);
    if (row && status == IU_OK) status = take_row(r, bytes, err);
  }
  return row && status == IU_OK ? iu__jahead_rows(&ends, err) : status;
}

static iu_status load_table(loader *l, sqlite3 *db, const iu_catalog_table *t, iu_error *err) {
  rows all = {l, t, db, NULL};
  iu_buf sql = {0};
  iu_status status;

  iu__buf_put_str(&sql, "SELECT \"_row\" FROM ");
  iu__jdb_quote(&sql, t->def->name);
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, "the SQL of a table");
  if (status == IU_OK) status = iu__jdb_prepare(db, (const char *)sql.data, &all.st, reading, err);
  iu__buf_free(&sql);
  if (status == IU_OK) status = load_rows(&all, err);
  sqlite3_finalize(all.st);
  return status;
}

static iu_status load_positions(loader *l, sqlite3 *db, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(db, "SELECT table_id, sequence, next FROM _iu_sequence", &st, reading, err);
  bool row = status == IU_OK;

  while (row && status == IU_OK) {
    int64_t id, which;
    const iu_catalog_table *t;

    status = iu__jdb_step(db, st, &row, reading, err);
    if (!row) break;
    id = sqlite3_column_int64(st, 0), which = sqlite3_column_int64(st, 1);
    t = id > 0 && id <= UINT32_MAX ? iu__jcatalog_by_id(l->catalog, (uint32_t)id) : NULL;
    if (t == NULL || which < 0 || which >= t->def->sequence_count)
      status = iu__fail(err, IU_E_STORAGE, "the file is damaged: _iu_sequence names an unknown auto-increment column");
    else
      status = l->sink->sequence(l->sink->ud, position_of(l, t), (uint32_t)which, sqlite3_column_int64(st, 2), err);
  }
  sqlite3_finalize(st);
  return status;
}

/* ---- the journal ---- */

static iu_status replay_change(void *ud, const iu_catalog_table *t, iu_frame_op op, iu_slice bytes, iu_error *err) {
  loader *l = ud;
  const iu_type *row = t->def->row;
  int32_t key = t->def->primary_key;
  iu_status status;

  if (op == IU_FRAME_DELETE_KEY && key < 0) return iu__fail(err, IU_E_STORAGE, "the file is damaged: a key of table `%s`, which has none", t->def->name);
  status = check_bytes(t, op == IU_FRAME_DELETE_KEY ? row->u.fields[key].type : row, bytes, err);
  if (status != IU_OK) return status;
  l->out->rows_replayed++;
  if (op == IU_FRAME_PUT) return l->sink->put(l->sink->ud, position_of(l, t), bytes.p, bytes.len, err);
  if (op == IU_FRAME_DELETE_ROW && key >= 0) bytes = iu__bsatn_column(row, (uint32_t)key, bytes.p, bytes.len);
  return l->sink->del(l->sink->ud, position_of(l, t), bytes.p, bytes.len, err);
}

static iu_status replay_position(void *ud, const iu_catalog_table *t, uint32_t sequence, int64_t next, iu_error *err) {
  loader *l = ud;

  return l->sink->sequence(l->sink->ud, position_of(l, t), sequence, next, err);
}

iu_status iu__jload_group(sqlite3_stmt *st, uint64_t expected, iu_group *out, iu_error *err) {
  iu_slice group = {sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3)};

  out->first = (uint64_t)sqlite3_column_int64(st, 0);
  out->last = (uint64_t)sqlite3_column_int64(st, 1);
  out->bytes = group.len;
  if (group.p == NULL && group.len != 0) return iu__fail_nomem(err);
  if (out->first != expected)
    return iu__fail(err, IU_E_STORAGE, "the file is damaged: commit %llu is missing from the journal (the next one there is %llu)",
                    (unsigned long long)expected, (unsigned long long)out->first);
  return iu__jgroup_check(group, out->first, out->last, (uint64_t)sqlite3_column_int64(st, 2), &out->frames, err);
}

/* A group that cannot be trusted; none of it was replayed. */
static iu_status damaged_group(loader *l, uint64_t sequence, uint64_t last, const iu_error *why, iu_error *err) {
  if (why->status != IU_E_STORAGE) return iu__fail(err, why->status, "%s", why->message);
  if (!l->prefix)
    return iu__fail(err, IU_E_STORAGE, "%s (commits %llu to %llu cannot be had; `iu check` says more, recover = \"prefix\" opens with those before them)",
                    why->message, (unsigned long long)sequence + 1, (unsigned long long)last);
  l->out->lost_first = sequence + 1;
  l->out->lost_last = last;
  snprintf(l->out->lost_why, sizeof l->out->lost_why, "%s", why->message);
  return IU_OK;
}

static iu_status replay_group(loader *l, sqlite3_stmt *st, uint64_t *sequence, uint64_t last, iu_error *err) {
  iu_frame_visitor visitor = {l, replay_change, replay_position};
  iu_group g;
  iu_error why;
  iu_status status = iu__jload_group(st, *sequence + 1, &g, &why);

  if (status != IU_OK) return damaged_group(l, *sequence, last, &why, err);
  if (status == IU_OK) status = iu__jframes_walk(l->catalog, g.frames, g.first, g.last, &visitor, err);
  if (status != IU_OK) return status;
  l->out->frames_replayed += g.last - g.first + 1;
  *sequence = g.last;
  return IU_OK;
}

static iu_status load_journal(loader *l, sqlite3 *db, const iu_file_state *state, iu_error *err) {
  sqlite3_stmt *st = NULL;
  uint64_t sequence = state->folded;
  iu_status status = iu__jdb_prepare(db, IU_LOAD_GROUPS_SQL, &st, reading, err);
  bool row = status == IU_OK;

  while (row && status == IU_OK && l->out->lost_first == 0) {
    status = iu__jdb_step(db, st, &row, reading, err);
    if (row) status = replay_group(l, st, &sequence, state->last, err);
  }
  sqlite3_finalize(st);
  return status;
}

iu_status iu__jload_within(sqlite3 *db, const iu_catalog *l, const iu_file_state *state, bool prefix, const iu_journal_sink *sink, iu_journal_recovery *out,
                          iu_error *err) {
  loader all = {sink, l, out, prefix};
  iu_status status = IU_OK;

  memset(out, 0, sizeof *out);
  for (uint32_t i = 0; i < l->count && status == IU_OK; i++) {
    if (l->tables[i].in_file) status = load_table(&all, db, &l->tables[i], err);
  }
  if (status == IU_OK) status = load_positions(&all, db, err);
  if (status == IU_OK && sink->tables_read != NULL) status = sink->tables_read(sink->ud, err);
  if (status == IU_OK) status = load_journal(&all, db, state, err);
  out->last_sequence = out->lost_first != 0 ? out->lost_first - 1 : state->last;
  out->clean = state->closed;
  return status;
}

iu_status iu__jload_all(sqlite3 *db, const iu_catalog *l, const iu_file_state *state, bool prefix, const iu_journal_sink *sink, iu_journal_recovery *out,
                       iu_error *err) {
  /* One read transaction, so that what is read is one state. */
  iu_status status = sqlite3_get_autocommit(db) ? iu__jdb_exec(db, "BEGIN", reading, err) : IU_OK;

  memset(out, 0, sizeof *out);
  if (status == IU_OK) status = iu__jload_within(db, l, state, prefix, sink, out, err);
  iu__jdb_rollback(db);
  return status;
}
