/* cursor.c: reading. What the subscriptions hold, at once; and cursors over that, over the rows of an answer, over one value.
 *
 * A cursor holds its universe, so what it points into stays. A scan reads the present view, which a close or another schema takes away: it is cut then,
 * and rows that it gave before go with it.
 */
#include "internal.h"

/* ---- cursors ---- */

static iu_cursor *cursor_new(iu_universe *u) {
  iu_cursor *c = iu__alloc_zero(1, sizeof *c);
  if (c == NULL) return NULL;
  c->u = u;
  c->schema = u->c->schema;
  iu__universe_hold(u);
  return c;
}

iu_cursor *iu__cursor_of_rows(iu_universe *u, iu_rows *rows) {
  iu_cursor *c = cursor_new(u);
  if (c == NULL) {
    iu__rows_release(rows);
    return NULL;
  }
  c->rows = rows;
  c->type = rows->table != NULL ? rows->table->row : NULL;
  return c;
}

iu_cursor *iu__cursor_of_value(iu_universe *u, const iu_typed_value *value) {
  iu_cursor *c = cursor_new(u);
  uint8_t *bytes = iu__alloc(value->bytes.len + 1);
  if (c == NULL || bytes == NULL) {
    iu__free(bytes);
    iu_cursor_free(c);
    return NULL;
  }
  if (value->bytes.len > 0) memcpy(bytes, value->bytes.p, value->bytes.len);
  c->value = bytes;
  c->value_len = value->bytes.len;
  c->has_value = true;
  c->type = value->type;
  return c;
}

static void scan_end(iu_cursor *c) {
  iu__view_iter_close(c->it);
  c->it = NULL;
  if (c->prev != NULL) c->prev->next = c->next;
  else c->u->scans = c->next;
  if (c->next != NULL) c->next->prev = c->prev;
}

void iu__scans_cut(iu_universe *u, iu_status why) {
  while (u->scans != NULL) {
    u->scans->cut = why;
    scan_end(u->scans);
  }
}

bool iu_cursor_next(iu_cursor *c, iu_value *row) {
  const iu_row *r = NULL;
  if (c == NULL) return false;
  if (c->has_value) {
    if (c->at++ > 0) return false;
    if (row != NULL) *row = iu__value(c->schema, c->type, c->value, c->value_len);
    return true;
  }
  if (c->rows != NULL && c->at < c->rows->count) r = c->rows->rows[c->at++];
  else if (c->it != NULL) r = iu__view_iter_next(c->it);
  if (r == NULL) return false;
  if (row != NULL) *row = iu__value(c->schema, c->type, r->data, r->len);
  return true;
}

uint64_t iu_cursor_count(const iu_cursor *c) {
  if (c == NULL) return 0;
  return c->has_value ? 1 : c->rows != NULL ? c->rows->count : IU_COUNT_UNKNOWN;
}

iu_status iu_cursor_status(const iu_cursor *c, iu_error *err) {
  if (c == NULL) return iu__missing("cursor", err);
  if (c->cut == IU_OK) return IU_OK;
  return iu__fail(err, c->cut, c->cut == IU_E_CLOSED ? "the universe was closed while it was scanned" : "the schema changed while it was scanned");
}

void iu_cursor_free(iu_cursor *c) {
  if (c == NULL) return;
  if (c->it != NULL) scan_end(c);
  iu__rows_release(c->rows);
  iu__free(c->value);
  iu__universe_drop(c->u);
  iu__free(c);
}

/* ---- the view ---- */

static iu_status find_def(iu_universe *u, const char *table, uint32_t *number, const iu_table_def **def, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  if (table == NULL) return iu__missing("table", err);
  status = iu__find_table(u->c->schema, table, strlen(table), number, err);
  if (status == IU_OK) *def = &u->c->schema->tables[*number];
  return status;
}

static iu_status key_of(const iu_table_def *def, uint32_t column, const iu_arg *key, iu_buf *out, iu_error *err) {
  const iu_field *f = &def->row->u.fields[column];
  iu_status status = iu__arg_encode(key, f->type, f->name, out, err);
  return status == IU_OK ? iu__buf_status(out, err, "key") : status;
}

iu_status iu_get(iu_universe *u, const char *table, const iu_arg *key, iu_value *row, bool *found, iu_error *err) {
  const iu_table_def *def;
  const iu_row *r = NULL;
  iu_buf bytes = {0};
  uint32_t number;
  if (found != NULL) *found = false;
  if (row != NULL) memset(row, 0, sizeof *row);
  iu_status status = find_def(u, table, &number, &def, err);
  if (status != IU_OK) return status;
  if (key == NULL || found == NULL) return iu__missing(key == NULL ? "key" : "found", err);
  if (def->primary_key < 0) return iu__fail(err, IU_E_VALIDATION, "%s: the table has no primary key", def->name);
  status = key_of(def, (uint32_t)def->primary_key, key, &bytes, err);
  if (status == IU_OK) r = iu__view_get(u->c->view, number, bytes.data, bytes.len);
  iu__buf_free(&bytes);
  if (r == NULL) return status;
  *found = true;
  if (row != NULL) *row = iu__value(u->c->schema, def->row, r->data, r->len);
  return IU_OK;
}

iu_status iu_count(iu_universe *u, const char *table, uint64_t *count, iu_error *err) {
  const iu_table_def *def;
  uint32_t number;
  iu_status status = find_def(u, table, &number, &def, err);
  if (status != IU_OK) return status;
  if (count == NULL) return iu__missing("count", err);
  *count = iu__view_count(u->c->view, number);
  return IU_OK;
}

static iu_status open_scan(iu_universe *u, uint32_t table, const iu_table_def *def, uint32_t index, const iu_range *range, bool descending, iu_cursor **out,
                           iu_error *err) {
  iu_cursor *c = cursor_new(u);
  if (c == NULL) return iu__fail_nomem(err);
  c->type = def->row;
  iu_status status = iu__view_iter(u->c->view, table, index, range, descending, &c->it, err);
  if (status != IU_OK) {
    c->it = NULL;
    iu_cursor_free(c);
    return status;
  }
  c->next = u->scans;
  if (c->next != NULL) c->next->prev = c;
  u->scans = c;
  *out = c;
  return IU_OK;
}

iu_status iu_find(iu_universe *u, const char *table, const char *index, const iu_arg *key, size_t count, iu_cursor **out, iu_error *err) {
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  const iu_table_def *def;
  iu_buf bytes = {0};
  uint32_t number, which;
  if (out != NULL) *out = NULL;
  iu_status status = find_def(u, table, &number, &def, err);
  if (status != IU_OK) return status;
  if (index == NULL || out == NULL || key == NULL) return iu__missing(index == NULL ? "index" : out == NULL ? "out" : "key", err);
  status = iu__find_index(def, index, strlen(index), &which, err);
  if (status != IU_OK) return status;
  const iu_index_def *i = &def->indexes[which];
  if (count == 0 || count > i->column_count) {
    return iu__fail(err, IU_E_VALIDATION, "%s.%s: expected 1 to %u values, got %zu", def->name, i->accessor, i->column_count, count);
  }
  for (size_t n = 0; status == IU_OK && n < count; n++) status = key_of(def, i->columns[n], &key[n], &bytes, err);
  if (status == IU_OK) {
    range.prefix = (iu_slice){bytes.data, bytes.len};
    range.prefix_columns = (uint32_t)count;
    status = open_scan(u, number, def, which, &range, false, out, err);
  }
  iu__buf_free(&bytes);
  return status;
}

static iu_status read_bound(const iu_table_def *def, const iu_index_def *index, const iu_arg *key, iu_buf *bytes, iu_bound *bound, iu_error *err) {
  if (key == NULL) return IU_OK;
  iu_status status = key_of(def, index->columns[0], key, bytes, err);
  if (status == IU_OK) *bound = (iu_bound){IU_BOUND_INCLUDED, {bytes->data, bytes->len}};
  return status;
}

iu_status iu_scan(iu_universe *u, const char *table, const char *index, const iu_arg *low, const iu_arg *high, bool descending, iu_cursor **out,
                  iu_error *err) {
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  const iu_table_def *def;
  iu_buf low_bytes = {0}, high_bytes = {0};
  uint32_t number, which = IU_INDEX_MAIN;
  if (out != NULL) *out = NULL;
  iu_status status = find_def(u, table, &number, &def, err);
  if (status != IU_OK) return status;
  if (out == NULL) return iu__missing("out", err);
  if (index == NULL && (low != NULL || high != NULL)) return iu__fail(err, IU_E_VALIDATION, "index: bounds need one, got NULL");
  if (index != NULL) status = iu__find_index(def, index, strlen(index), &which, err);
  if (status == IU_OK && index != NULL) status = read_bound(def, &def->indexes[which], low, &low_bytes, &range.low, err);
  if (status == IU_OK && index != NULL) status = read_bound(def, &def->indexes[which], high, &high_bytes, &range.high, err);
  if (status == IU_OK) status = open_scan(u, number, def, which, index != NULL ? &range : NULL, descending, out, err);
  iu__buf_free(&low_bytes);
  iu__buf_free(&high_bytes);
  return status;
}
