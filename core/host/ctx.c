/* ctx.c: what a reducer in C may do inside its transaction (inner_universe.h, section 9). */
#include "module.h"

struct iu_ctx_rows {
  iu_ctx *ctx;
  iu_ctx_rows *prev, *next;
  const iu_type *type;
  iu_iter *it;
};

void iu__ctx_end(iu_ctx *ctx) {
  while (ctx->open != NULL) iu_ctx_rows_free(ctx->open);
  iu__buf_free(&ctx->row);
}

/* ---- who and when ---- */

void iu_ctx_sender(const iu_ctx *ctx, uint8_t identity[32]) { memcpy(identity, ctx->call->sender, 32); }
void iu_ctx_connection_id(const iu_ctx *ctx, uint8_t connection_id[16]) { memcpy(connection_id, ctx->call->connection_id, 16); }
int64_t iu_ctx_timestamp(const iu_ctx *ctx) { return ctx->call->timestamp; }
uint64_t iu_ctx_random(iu_ctx *ctx) { return iu__tx_random(ctx->tx); }

/* ---- tables and keys ---- */

typedef struct place { uint32_t number; const iu_table_def *def; iu_table *table; } place;

static iu_status find_table(iu_ctx *ctx, const char *name, place *out, iu_error *err) {
  if (ctx == NULL || name == NULL) return iu__missing(ctx == NULL ? "ctx" : "table", err);
  if (ctx->last_table == 0 || strcmp(ctx->schema->tables[ctx->last_table - 1].name, name) != 0) {
    iu_status status = iu__find_table(ctx->schema, name, strlen(name), &out->number, err);
    if (status != IU_OK) return status;
    ctx->last_table = out->number + 1;
  }
  out->number = ctx->last_table - 1;
  out->def = &ctx->schema->tables[out->number];
  out->table = iu__tx_table(ctx->tx, out->number);
  return IU_OK;
}

static iu_status put_column(const place *p, uint32_t column, const iu_arg *value, iu_buf *out, iu_error *err) {
  const iu_field *f = &p->def->row->u.fields[column];
  iu_status status = iu__arg_encode(value, f->type, f->name, out, err);
  if (status == IU_E_VALIDATION) iu__error_prefix(err, "table `%s`", p->def->name);
  return status == IU_OK ? iu__buf_status(out, err, "a row") : status;
}

static iu_status find_key(iu_ctx *ctx, const char *table, const iu_arg *key, place *p, const iu_row **row, iu_error *err) {
  iu_buf bytes = {0};
  iu_status status = find_table(ctx, table, p, err);
  *row = NULL;
  if (status != IU_OK) return status;
  if (key == NULL) return iu__missing("key", err);
  if (p->def->primary_key < 0) return iu__fail(err, IU_E_VALIDATION, "table `%s` has no primary key", p->def->name);
  status = put_column(p, (uint32_t)p->def->primary_key, key, &bytes, err);
  if (status == IU_OK) *row = iu__table_get(p->table, IU_EPOCH_LATEST, bytes.data, bytes.len);
  iu__buf_free(&bytes);
  return status;
}

static iu_status missing_row(const place *p, iu_error *err) {
  return iu__fail(err, IU_E_VALIDATION, "table `%s`: there is no row with that `%s`", p->def->name, p->def->row->u.fields[p->def->primary_key].name);
}

static void give(const iu_ctx *ctx, const place *p, const iu_row *row, iu_value *out) {
  if (out != NULL) *out = iu__value(ctx->schema, p->def->row, row->data, row->len);
}

/* ---- writing ---- */

/* Into ctx->row. */
static iu_status encode_row(iu_ctx *ctx, const char *table, const iu_arg *columns, size_t count, place *p, iu_error *err) {
  iu_status status = find_table(ctx, table, p, err);
  if (status != IU_OK) return status;
  if (columns == NULL || count != p->def->row->count) {
    return iu__fail(err, IU_E_VALIDATION, "table `%s` has %u columns, got %zu", p->def->name, p->def->row->count, columns != NULL ? count : 0);
  }
  iu__buf_reset(&ctx->row);
  for (uint32_t i = 0; status == IU_OK && i < count; i++) status = put_column(p, i, &columns[i], &ctx->row, err);
  return status;
}

iu_status iu_ctx_insert(iu_ctx *ctx, const char *table, const iu_arg *columns, size_t count, iu_value *row, iu_error *err) {
  const iu_row *stored;
  place p;
  iu_status status = encode_row(ctx, table, columns, count, &p, err);
  if (status == IU_OK) status = iu__tx_put(ctx->tx, p.number, ctx->row.data, ctx->row.len, &stored, err);
  if (status == IU_OK) give(ctx, &p, stored, row);
  return status;
}

iu_status iu_ctx_update(iu_ctx *ctx, const char *table, const iu_arg *columns, size_t count, iu_value *row, iu_error *err) {
  const iu_row *stored = NULL, *old = NULL;
  place p;
  iu_status status = encode_row(ctx, table, columns, count, &p, err);
  if (status == IU_OK && p.def->primary_key < 0) status = iu__fail(err, IU_E_VALIDATION, "table `%s` has no primary key", p.def->name);
  if (status == IU_OK) {
    iu_slice key = iu__bsatn_column(p.def->row, (uint32_t)p.def->primary_key, ctx->row.data, ctx->row.len);
    old = iu__table_get(p.table, IU_EPOCH_LATEST, key.p, key.len);
    status = old == NULL ? missing_row(&p, err) : iu__tx_replace(ctx->tx, p.number, old, ctx->row.data, ctx->row.len, &stored, err);
  }
  if (status == IU_OK) give(ctx, &p, stored, row);
  return status;
}

/* ---- some columns ---- */

/* The row that the value shows, as it is now; NULL: it is not there any more, or never was one of this table. */
static const iu_row *row_of(const iu_ctx *ctx, const place *p, const iu_value *value) {
  if (value->type != p->def->row || value->bytes == NULL) return NULL;
  if (ctx->given != NULL && value->bytes == ctx->given->data && iu__row_visible(ctx->given, IU_EPOCH_LATEST)) return ctx->given;
  return iu__table_find_row(p->table, IU_EPOCH_LATEST, value->bytes, value->len);
}

static iu_status gone(const place *p, iu_error *err) {
  return iu__fail(err, IU_E_VALIDATION, "table `%s`: the row is not there, or not one of this table", p->def->name);
}

typedef struct changes { const uint32_t *columns; const iu_arg *values; size_t count; } changes;

static iu_status check_changes(const place *p, const changes *c, iu_error *err) {
  if (c->count > 0 && (c->columns == NULL || c->values == NULL)) return iu__missing(c->columns == NULL ? "columns" : "values", err);
  for (size_t i = 0; i < c->count; i++) {
    if (c->columns[i] >= p->def->row->count) {
      return iu__fail(err, IU_E_VALIDATION, "table `%s` has %u columns, number %u does not exist (they count from 0)", p->def->name, p->def->row->count,
                      c->columns[i]);
    }
    for (size_t j = 0; j < i; j++) {
      if (c->columns[j] != c->columns[i]) continue;
      return iu__fail(err, IU_E_VALIDATION, "table `%s`: column `%s` is given twice", p->def->name, p->def->row->u.fields[c->columns[i]].name);
    }
  }
  return IU_OK;
}

/* Into ctx->row: the old one, piece by piece, with the new values between. */
static iu_status merge(iu_ctx *ctx, const place *p, const iu_row *old, const changes *c, iu_error *err) {
  const uint8_t *from = old->data, *at = from, *end = from + old->len;
  iu_status status = IU_OK;
  iu__buf_reset(&ctx->row);
  for (uint32_t i = 0; status == IU_OK && i < p->def->row->count; i++) {
    const iu_type *t = p->def->row->u.fields[i].type;
    const uint8_t *next = t->fixed_size != IU_SIZE_VARIES ? at + t->fixed_size : iu__bsatn_skip(t, at, end);
    size_t which = 0;
    while (which < c->count && c->columns[which] != i) which++;
    if (which < c->count) {
      iu__buf_put(&ctx->row, from, (size_t)(at - from));
      status = put_column(p, i, &c->values[which], &ctx->row, err);
      from = next;
    }
    at = next;
  }
  iu__buf_put(&ctx->row, from, (size_t)(end - from));
  return status == IU_OK ? iu__buf_status(&ctx->row, err, "a row") : status;
}

static iu_status change(iu_ctx *ctx, const place *p, const iu_row *old, const changes *c, iu_value *out, iu_error *err) {
  const iu_row *stored = NULL;
  iu_status status = check_changes(p, c, err);
  if (status == IU_OK) status = merge(ctx, p, old, c, err);
  if (status == IU_OK) status = iu__tx_replace(ctx->tx, p->number, old, ctx->row.data, ctx->row.len, &stored, err);
  if (status == IU_OK) give(ctx, p, stored, out);
  return status;
}

iu_status iu_ctx_set(iu_ctx *ctx, const char *table, const iu_value *row, const uint32_t *columns, const iu_arg *values, size_t count, iu_value *changed,
                     iu_error *err) {
  place p;
  iu_status status = find_table(ctx, table, &p, err);
  if (status != IU_OK) return status;
  if (row == NULL) return iu__missing("row", err);
  const iu_row *old = row_of(ctx, &p, row);
  return old != NULL ? change(ctx, &p, old, &(changes){columns, values, count}, changed, err) : gone(&p, err);
}

iu_status iu_ctx_patch(iu_ctx *ctx, const char *table, const iu_arg *key, const uint32_t *columns, const iu_arg *values, size_t count, iu_value *changed,
                       iu_error *err) {
  const iu_row *old;
  place p;
  iu_status status = find_key(ctx, table, key, &p, &old, err);
  if (status == IU_OK && old == NULL) status = missing_row(&p, err);
  return status == IU_OK ? change(ctx, &p, old, &(changes){columns, values, count}, changed, err) : status;
}

/* ---- deleting ---- */

iu_status iu_ctx_delete(iu_ctx *ctx, const char *table, const iu_arg *key, bool *found, iu_error *err) {
  const iu_row *row;
  place p;
  if (found != NULL) *found = false;
  iu_status status = find_key(ctx, table, key, &p, &row, err);
  if (status != IU_OK) return status;
  if (row == NULL) return found != NULL ? IU_OK : missing_row(&p, err);
  status = iu__tx_remove(ctx->tx, p.number, row, err);
  if (found != NULL) *found = status == IU_OK;
  return status;
}

iu_status iu_ctx_delete_row(iu_ctx *ctx, const char *table, const iu_value *value, iu_error *err) {
  place p;
  iu_status status = find_table(ctx, table, &p, err);
  if (status != IU_OK) return status;
  if (value == NULL) return iu__missing("row", err);
  const iu_row *row = row_of(ctx, &p, value);
  return row != NULL ? iu__tx_remove(ctx->tx, p.number, row, err) : gone(&p, err);
}

/* ---- reading ---- */

iu_status iu_ctx_get(iu_ctx *ctx, const char *table, const iu_arg *key, iu_value *out, bool *found, iu_error *err) {
  const iu_row *row;
  place p;
  if (found == NULL) return iu__missing("found", err);
  *found = false;
  iu_status status = find_key(ctx, table, key, &p, &row, err);
  if (status != IU_OK || row == NULL) return status;
  *found = true;
  ctx->given = row;
  give(ctx, &p, row, out);
  return IU_OK;
}

iu_status iu_ctx_count(iu_ctx *ctx, const char *table, uint64_t *count, iu_error *err) {
  place p;
  if (count == NULL) return iu__missing("count", err);
  iu_status status = find_table(ctx, table, &p, err);
  if (status == IU_OK) *count = iu__table_count(p.table, IU_EPOCH_LATEST);
  return status;
}

static iu_status open_rows(iu_ctx *ctx, const place *p, uint32_t index, const iu_range *range, bool descending, iu_ctx_rows **out, iu_error *err) {
  iu_ctx_rows *rows = iu__alloc_zero(1, sizeof *rows);
  if (rows == NULL) return iu__fail_nomem(err);
  iu_status status = iu__table_iter(p->table, IU_EPOCH_LATEST, index, range, descending, &rows->it, err);
  if (status != IU_OK) {
    iu__free(rows);
    return status;
  }
  rows->ctx = ctx;
  rows->type = p->def->row;
  rows->next = ctx->open;
  if (rows->next != NULL) rows->next->prev = rows;
  ctx->open = rows;
  *out = rows;
  return IU_OK;
}

static iu_status find_index(const place *p, const char *index, uint32_t *which, iu_error *err) {
  return iu__find_index(p->def, index, strlen(index), which, err);
}

iu_status iu_ctx_find(iu_ctx *ctx, const char *table, const char *index, const iu_arg *key, size_t count, iu_ctx_rows **out, iu_error *err) {
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu_buf bytes = {0};
  uint32_t which;
  place p;
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  if (index == NULL || key == NULL) return iu__missing(index == NULL ? "index" : "key", err);
  iu_status status = find_table(ctx, table, &p, err);
  if (status == IU_OK) status = find_index(&p, index, &which, err);
  if (status != IU_OK) return status;
  const iu_index_def *i = &p.def->indexes[which];
  if (count == 0 || count > i->column_count) {
    return iu__fail(err, IU_E_VALIDATION, "%s.%s: expected 1 to %u values, got %zu", p.def->name, i->accessor, i->column_count, count);
  }
  for (size_t n = 0; status == IU_OK && n < count; n++) status = put_column(&p, i->columns[n], &key[n], &bytes, err);
  range.prefix = (iu_slice){bytes.data, bytes.len};
  range.prefix_columns = (uint32_t)count;
  if (status == IU_OK) status = open_rows(ctx, &p, which, &range, false, out, err);
  iu__buf_free(&bytes);
  return status;
}

static iu_status put_bound(const place *p, uint32_t index, const iu_arg *key, iu_buf *bytes, iu_bound *bound, iu_error *err) {
  if (key == NULL) return IU_OK;
  iu_status status = put_column(p, p->def->indexes[index].columns[0], key, bytes, err);
  if (status == IU_OK) *bound = (iu_bound){IU_BOUND_INCLUDED, {bytes->data, bytes->len}};
  return status;
}

iu_status iu_ctx_scan(iu_ctx *ctx, const char *table, const char *index, const iu_arg *low, const iu_arg *high, bool descending, iu_ctx_rows **out,
                      iu_error *err) {
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu_buf low_bytes = {0}, high_bytes = {0};
  uint32_t which = IU_INDEX_MAIN;
  place p;
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  iu_status status = find_table(ctx, table, &p, err);
  if (status != IU_OK) return status;
  if (index == NULL && (low != NULL || high != NULL)) return iu__fail(err, IU_E_VALIDATION, "index: bounds need one, got NULL");
  if (index != NULL) status = find_index(&p, index, &which, err);
  if (status == IU_OK && index != NULL) status = put_bound(&p, which, low, &low_bytes, &range.low, err);
  if (status == IU_OK && index != NULL) status = put_bound(&p, which, high, &high_bytes, &range.high, err);
  if (status == IU_OK) status = open_rows(ctx, &p, which, index != NULL ? &range : NULL, descending, out, err);
  iu__buf_free(&low_bytes);
  iu__buf_free(&high_bytes);
  return status;
}

bool iu_ctx_rows_next(iu_ctx_rows *rows, iu_value *row) {
  const iu_row *r = rows != NULL ? iu__iter_next(rows->it) : NULL;
  if (r == NULL) return false;
  rows->ctx->given = r;
  if (row != NULL) *row = iu__value(rows->ctx->schema, rows->type, r->data, r->len);
  return true;
}

void iu_ctx_rows_free(iu_ctx_rows *rows) {
  if (rows == NULL) return;
  iu__iter_close(rows->it);
  if (rows->prev != NULL) rows->prev->next = rows->next;
  else rows->ctx->open = rows->next;
  if (rows->next != NULL) rows->next->prev = rows->prev;
  iu__free(rows);
}

/* ---- nested calls ---- */

iu_status iu_ctx_call(iu_ctx *ctx, const char *reducer, const iu_arg *args, size_t count, iu_error *err) {
  iu_buf bytes = {0};
  iu_callee f;
  if (ctx != NULL) ctx->given = NULL; /* a failure frees what it wrote */
  if (ctx == NULL || reducer == NULL) return iu__missing(ctx == NULL ? "ctx" : "reducer", err);
  iu_status status = iu__callee_reducer(ctx->schema, reducer, strlen(reducer), &f, err);
  if (status == IU_OK) status = iu__args_encode(ctx->schema, &f, args, count, &bytes, err);
  if (status == IU_OK) status = iu__tx_run(ctx->tx, f.number, bytes.data, bytes.len, err);
  iu__buf_free(&bytes);
  return status;
}
