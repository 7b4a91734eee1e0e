/* rows.c: see rows.h. */
#include "rows.h"

#include "base/alloc.h"

typedef struct builder { iu_rows *rows; uint64_t cap; bool failed; } builder;

/* ---- gathering ---- */

bool iu__rows_add(iu_rows *rows, uint64_t *cap, const iu_row *row) {
  if (rows->count == *cap) {
    uint64_t more_cap = *cap == 0 ? 16 : *cap * 2;
    const iu_row **more = iu__realloc_array(rows->rows, more_cap, sizeof *more);
    if (more == NULL) return false;
    rows->rows = more;
    *cap = more_cap;
  }
  rows->rows[rows->count++] = row;
  return true;
}

iu_status iu__rows_add_page(iu_rows *rows, uint64_t *cap, const iu_selection *selection, iu_error *err) {
  for (uint64_t i = 0; i < iu__selection_count(selection); i++) {
    if (!iu__rows_add(rows, cap, iu__selection_row(selection, i))) return iu__fail_nomem(err);
  }
  return IU_OK;
}

/* ---- copies ---- */

iu_status iu__copied_rows_new(const iu_table_def *table, iu_copied_rows **out, iu_error *err) {
  iu_copied_rows *set = iu__alloc_zero(1, sizeof *set);
  *out = set;
  if (set == NULL) return iu__fail_nomem(err);
  set->rows.table = table;
  set->rows.release = iu__copied_rows_free;
  return IU_OK;
}

void iu__copied_rows_free(iu_rows *rows) {
  iu_copied_rows *set = (iu_copied_rows *)rows; /* rows is the first member */
  iu__arena_free(&set->arena);
  iu__typespace_free(&set->types);
  iu__free(rows->rows);
  iu__free(set);
}

iu_row *iu__copied_rows_copy(iu_copied_rows *set, iu_slice bytes) {
  iu_row *row = iu__arena_alloc(&set->arena, sizeof *row + bytes.len);
  if (row == NULL) return NULL;
  *row = (iu_row){0, UINT64_MAX, (uint32_t)bytes.len, 0};
  if (bytes.len != 0) memcpy(row->data, bytes.p, bytes.len);
  return row;
}

/* ---- reads of a store ---- */

void iu__rows_free(iu_rows *rows) {
  iu__unpin(&rows->pin);
  iu__free(rows->rows);
  iu__free(rows);
}

static iu_status begin(iu_store *s, uint64_t epoch, uint32_t table, builder *b, iu_error *err) {
  *b = (builder){iu__alloc_zero(1, sizeof *b->rows), 0, false};
  if (b->rows == NULL) return iu__fail_nomem(err);
  b->rows->table = iu__table_def(iu__store_table(s, table));
  b->rows->release = iu__rows_free;
  iu__pin(s, &b->rows->pin, epoch);
  return IU_OK;
}

typedef struct limited { builder b; uint64_t limit; } limited;

static bool add(void *ud, const iu_row *row) {
  limited *l = ud;
  l->b.failed = !iu__rows_add(l->b.rows, &l->b.cap, row);
  return !l->b.failed && l->b.rows->count < l->limit;
}

static iu_status give(builder *b, iu_status status, iu_rows **out, iu_error *err) {
  if (status == IU_OK && b->failed) status = iu__fail_nomem(err);
  if (status != IU_OK) iu__rows_free(b->rows);
  else *out = b->rows;
  return status;
}

/* ---- results of their own ---- */

typedef struct result { const iu_query *q; iu_copied_rows *set; iu_buf row; uint64_t counted; bool failed; } result;

static bool add_result(void *ud, const iu_row *const rows[2]) {
  result *r = ud;
  iu_row *row = NULL;
  if (iu__query_is_count(r->q)) {
    r->counted++;
    return true;
  }
  iu__query_project(r->q, rows, &r->row);
  if (!r->row.failed) row = iu__copied_rows_copy(r->set, (iu_slice){r->row.data, r->row.len});
  r->failed = row == NULL || !iu__rows_add(&r->set->rows, &r->set->cap, row);
  return !r->failed && r->set->rows.count < iu__query_limit(r->q);
}

static iu_status add_count(result *r, iu_error *err) {
  iu__buf_put_u64(&r->row, r->counted);
  iu_row *row = r->row.failed ? NULL : iu__copied_rows_copy(r->set, (iu_slice){r->row.data, r->row.len});
  return row != NULL && iu__rows_add(&r->set->rows, &r->set->cap, row) ? IU_OK : iu__fail_nomem(err);
}

static iu_status query_result(iu_store *s, uint64_t epoch, const iu_query *q, iu_rows **out, iu_error *err) {
  result r = {.q = q};
  iu_status status = iu__copied_rows_new(NULL, &r.set, err);
  if (status != IU_OK) return status;
  status = iu__query_result(q, &r.set->types, &r.set->def, err);
  r.set->rows.table = &r.set->def;
  if (status == IU_OK && iu__query_limit(q) > 0) {
    status = iu__query_run_pairs(q, s, epoch, add_result, &r, err);
    if (status == IU_OK && r.failed) status = iu__fail_nomem(err);
    if (status == IU_OK && iu__query_is_count(q)) status = add_count(&r, err);
  }
  iu__buf_free(&r.row);
  r.set->rows.matched = r.set->rows.count;
  if (status != IU_OK) iu__copied_rows_free(&r.set->rows);
  else *out = &r.set->rows;
  return status;
}

iu_status iu__rows_query(iu_store *s, uint64_t epoch, const iu_query *q, iu_rows **out, iu_error *err) {
  limited l = {.limit = iu__query_limit(q)};
  if (iu__query_is_count(q) || iu__query_has_columns(q)) return query_result(s, epoch, q, out, err);
  iu_status status = begin(s, epoch, iu__query_table(q), &l.b, err);
  if (status != IU_OK) return status;
  if (l.limit > 0) status = iu__query_run(q, s, epoch, add, &l, err);
  l.b.rows->matched = l.b.rows->count;
  return give(&l.b, status, out, err);
}

/* Of a page that was full early: known where every row matches. */
static uint64_t matched(const iu_store *s, uint64_t epoch, const iu_selection_spec *spec, const iu_selection *sel, const iu_table *t, bool all) {
  if (all) return iu__selection_matched(sel);
  return spec->filter_count == 0 && epoch == iu__store_epoch(s) ? iu__table_count(t, epoch) : IU_MATCHED_UNKNOWN;
}

iu_status iu__rows_select(iu_store *s, uint64_t epoch, uint32_t table, const iu_selection_spec *spec, struct iu_path_index *paths, iu_rows **out,
                          iu_error *err) {
  iu_table *t = iu__store_table(s, table);
  iu_selection *sel;
  builder b;
  bool all = true;
  iu_status status = iu__selection_new(iu__table_def(t), spec, &sel, err);
  if (status != IU_OK) return status;
  status = begin(s, epoch, table, &b, err);
  if (status != IU_OK) {
    iu__selection_free(sel);
    return status;
  }
  status = iu__selection_run(sel, t, epoch, epoch == iu__store_epoch(s) ? paths : NULL, &all, NULL, err);
  if (status == IU_OK) status = iu__rows_add_page(b.rows, &b.cap, sel, err);
  b.rows->matched = matched(s, epoch, spec, sel, t, all);
  iu__selection_free(sel);
  return give(&b, status, out, err);
}

iu_status iu__rows_check_key(const iu_table_def *def, const void *key, size_t len, iu_error *err) {
  if (def->primary_key < 0) return iu__fail(err, IU_E_VALIDATION, "%s: the table has no primary key", def->name);
  return iu__bsatn_check_all(def->row->u.fields[def->primary_key].type, key, len, err);
}

iu_status iu__rows_get(iu_store *s, uint64_t epoch, uint32_t table, const void *key, size_t len, iu_rows **out, iu_error *err) {
  iu_table *t = iu__store_table(s, table);
  const iu_row *row;
  builder b;
  iu_status status = iu__rows_check_key(iu__table_def(t), key, len, err);
  if (status == IU_OK) status = begin(s, epoch, table, &b, err);
  if (status != IU_OK) return status;
  row = iu__table_get(t, epoch, key, len);
  if (row != NULL) b.failed = !iu__rows_add(b.rows, &b.cap, row);
  b.rows->matched = b.rows->count;
  return give(&b, IU_OK, out, err);
}

iu_status iu__rows_explain(iu_store *s, uint32_t table, const iu_selection_spec *spec, struct iu_path_index *paths, const char *where, iu_buf *out,
                           iu_error *err) {
  iu_table *t = iu__store_table(s, table);
  iu_selection *sel;
  iu_status status = iu__selection_new(iu__table_def(t), spec, &sel, err);
  if (status != IU_OK) return status;
  iu__buf_printf(out, "%s: ", where);
  status = iu__selection_explain(sel, t, paths, out, err);
  iu__selection_free(sel);
  return status;
}
