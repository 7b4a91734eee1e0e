/* query_result.c: results that are no rows of a table: column lists and COUNT(*). */
#include "query_internal.h"

#include "../base/alloc.h"

uint64_t iu__query_limit(const iu_query *q) { return q->limit; }
bool iu__query_is_count(const iu_query *q) { return q->count_name != NULL; }
bool iu__query_has_columns(const iu_query *q) { return q->columns != NULL; }

/* The primary key stays one where the rows of its table are still told apart by it: in queries of one table. */
static int32_t key_of(const iu_query *q) {
  int32_t at = 0;
  for (const iu_sql_column *c = q->columns; c != NULL && !q->join; c = c->next, at++) {
    if ((int32_t)c->column == q->parts[0].def->primary_key) return at;
  }
  return -1;
}

iu_status iu__query_result(const iu_query *q, iu_typespace *types, iu_table_def *out, iu_error *err) {
  uint32_t count = q->count_name != NULL ? 1 : q->column_count, i = 0;
  iu_field *fields = iu__alloc(count * sizeof *fields);
  if (fields == NULL) return iu__fail_nomem(err);
  if (q->count_name != NULL) fields[0] = (iu_field){q->count_name, iu__type_scalar(IU_T_U64)};
  for (const iu_sql_column *c = q->columns; c != NULL; c = c->next) {
    fields[i++] = (iu_field){c->name, iu__type_deref(q->parts[c->side].def->row->u.fields[c->column].type)};
  }
  *out = *q->parts[0].def;
  out->row = iu__type_product(types, count, fields);
  iu__free(fields);
  if (out->row == NULL) return iu__fail_nomem(err);
  out->primary_key = key_of(q);
  out->index_count = out->sequence_count = 0;
  out->indexes = NULL;
  out->sequences = NULL;
  out->schedule_reducer = -1;
  return IU_OK;
}

void iu__query_project(const iu_query *q, const iu_row *const rows[2], iu_buf *out) {
  uint32_t i = 0;
  iu__buf_reset(out);
  for (const iu_sql_column *c = q->columns; c != NULL; c = c->next, i++) {
    iu_slice value;
    if (iu__locate(&q->locators[i], rows[c->side]->data, rows[c->side]->len, &value)) iu__buf_put(out, value.p, value.len);
  }
}
