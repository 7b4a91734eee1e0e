/* sql_answer.c: the answer to SQL over HTTP. A first pass over the text finds the parts of each result; its schema becomes a type, and its rows BSATN of
 * that type, so that whoever reads them knows one form of rows only. Unknown members are passed over.
 */
#include "../base/alloc.h"
#include "../sats/sats_json.h"
#include "message_internal.h"

#include <stdio.h>

struct iu_sql_memory { iu_arena arena; iu_typespace types; iu_buf *rows; };

/* Where the parts of one result stand in the text; len 0: absent. */
typedef struct parts { iu_slice schema, rows; iu_sql_result numbers; } parts;

static bool expected(iu_error *err, const char *what) {
  if (err->status == IU_OK) iu__fail(err, IU_E_VALIDATION, "expected %s", what);
  return false;
}

/* ---- finding the parts ---- */

static bool is_key(const iu_json_reader *r, const char *key) { return r->len == strlen(key) && memcmp(r->s, key, r->len) == 0; }

static bool skip(iu_json_reader *r, iu_json_token t, iu_error *err) { return t != IU_J_ERROR && iu__json_skip(r, t) == IU_OK ? true : expected(err, "JSON"); }

static bool read_text(iu_json_reader *r, iu_slice *text, iu_error *err) {
  iu_json_token t = iu__json_next(r);
  const char *start = r->at;
  if (!skip(r, t, err)) return false;
  *text = (iu_slice){(const uint8_t *)start, (size_t)(r->p - start)};
  return true;
}

/* A count; anything else than a whole number from 0 is passed over and counts as absent. */
static bool read_count(iu_json_reader *r, uint64_t *count, bool *present, iu_error *err) {
  iu_json_token t = iu__json_next(r);
  if (t == IU_J_INT && r->i >= 0) {
    *count = (uint64_t)r->i;
    *present = true;
  }
  return skip(r, t, err);
}

static bool read_stats(iu_json_reader *r, iu_sql_result *to, iu_error *err) {
  iu_json_token t = iu__json_next(r);
  if (t != IU_J_OBJECT) return skip(r, t, err);
  while ((t = iu__json_next(r)) == IU_J_KEY) {
    uint64_t ignored;
    uint64_t *count = is_key(r, "rows_inserted") ? &to->inserted : is_key(r, "rows_updated") ? &to->updated : is_key(r, "rows_deleted") ? &to->deleted : &ignored;
    bool present = false;
    if (!read_count(r, count, &present, err)) return false;
    to->has_stats = to->has_stats || (present && count != &ignored);
  }
  return t == IU_J_OBJECT_END || expected(err, "JSON");
}

static bool read_parts(iu_json_reader *r, parts *p, iu_error *err) {
  iu_json_token t;
  while ((t = iu__json_next(r)) == IU_J_KEY) {
    iu_slice ignored;
    bool good = is_key(r, "schema")                  ? read_text(r, &p->schema, err)
                : is_key(r, "rows")                  ? read_text(r, &p->rows, err)
                : is_key(r, "stats")                 ? read_stats(r, &p->numbers, err)
                : is_key(r, "total_duration_micros") ? read_count(r, &p->numbers.duration_micros, &p->numbers.has_duration, err)
                                                     : read_text(r, &ignored, err);
    if (!good) return false;
  }
  if (t != IU_J_OBJECT_END) return expected(err, "JSON");
  return (p->schema.len != 0 && p->rows.len != 0) || expected(err, "a result with `schema` and `rows`");
}

/* ---- a result's types and rows ---- */

static bool has_name(const iu_field *fields, uint32_t count, const char *name) {
  for (uint32_t i = 0; i < count; i++) {
    if (strcmp(fields[i].name, name) == 0) return true;
  }
  return false;
}

/* The column's name, changed until no column before it has it. In the arena; NULL on no memory. */
static const char *own_name(iu_arena *arena, const iu_field *fields, uint32_t at, const char *given) {
  iu_buf text = {0};
  const char *name = NULL;
  for (uint32_t n = 1; name == NULL; n++) {
    iu__buf_reset(&text);
    if (given == NULL) iu__buf_printf(&text, "column_%u", at + n);
    else if (n == 1) iu__buf_put_str(&text, given);
    else iu__buf_printf(&text, "%s_%u", given, n);
    iu__buf_put_u8(&text, '\0');
    if (text.failed) break;
    if (!has_name(fields, at, (const char *)text.data)) {
      name = iu__arena_strndup(arena, (const char *)text.data, text.len - 1);
      break;
    }
  }
  iu__buf_free(&text);
  return name;
}

static const iu_type *named_row(struct iu_sql_memory *m, const iu_type *row) {
  iu_field *fields = iu__arena_zero(&m->arena, row->count + (size_t)1, sizeof *fields);
  for (uint32_t i = 0; i < row->count && fields != NULL; i++) {
    fields[i] = (iu_field){own_name(&m->arena, fields, i, row->u.fields[i].name), row->u.fields[i].type};
    if (fields[i].name == NULL) return NULL;
  }
  return fields != NULL ? iu__type_product(&m->types, row->count, fields) : NULL;
}

static iu_status read_schema(struct iu_sql_memory *m, iu_slice text, const iu_type **row, iu_error *err) {
  iu_typespace meta = {0};
  iu_buf bytes = {0};
  const iu_type *type = iu__product_type_type(&meta, err);
  iu_status status = type != NULL ? iu__sats_from_json(type, text.p, text.len, &bytes, err) : IU_E_NOMEM;
  if (status == IU_OK) {
    iu_reader r = iu__reader(bytes.data, bytes.len);
    const iu_type *found = iu__product_decode(&m->types, &r, err);
    if (found == NULL) status = err->status;
    else if (found->count > IU_SQL_COLUMNS_MAX) status = iu__fail(err, IU_E_OVERLOADED, "%u columns, at most %d are read", found->count, IU_SQL_COLUMNS_MAX);
    else if ((*row = named_row(m, found)) == NULL) status = iu__fail_nomem(err);
  }
  iu__buf_free(&bytes);
  iu__typespace_free(&meta);
  if (status != IU_OK) iu__error_prefix(err, "schema");
  return status;
}

static iu_status read_rows(struct iu_sql_memory *m, iu_slice text, iu_buf *bytes, iu_sql_result *result, iu_error *err) {
  const iu_type *list = iu__type_array(&m->types, result->row);
  iu_status status = list != NULL ? iu__typespace_link(&m->types, err) : iu__fail_nomem(err);
  iu__buf_init(bytes, IU_SQL_ROWS_BYTES_MAX);
  if (status == IU_OK) status = iu__sats_from_report(list, text.p, text.len, bytes, err);
  if (status != IU_OK) {
    iu__error_prefix(err, "rows");
    return status;
  }
  result->row_count = iu__load_u32(bytes->data);
  result->rows = (iu_slice){bytes->data + 4, bytes->len - 4};
  return IU_OK;
}

static iu_status read_result(const parts *p, struct iu_sql_memory *m, iu_buf *bytes, iu_sql_result *result, iu_error *err) {
  *result = p->numbers;
  iu_status status = read_schema(m, p->schema, &result->row, err);
  return status == IU_OK ? read_rows(m, p->rows, bytes, result, err) : status;
}

/* ---- all of them ---- */

/* The parts of every result, counted. */
static bool find_results(const void *json, size_t len, parts *found, uint32_t *count, iu_error *err) {
  iu_json_reader r;
  iu_json_token t;
  iu__json_reader_init(&r, json, len, err);
  bool good = iu__json_next(&r) == IU_J_ARRAY || expected(err, "an array of results");
  while (good && (t = iu__json_next(&r)) != IU_J_ARRAY_END) {
    good = t == IU_J_OBJECT || expected(err, "an object for each result");
    if (good && *count == IU_SQL_RESULTS_MAX) {
      iu__fail(err, IU_E_OVERLOADED, "more than %d results", IU_SQL_RESULTS_MAX);
      good = false;
    }
    if (good) good = read_parts(&r, &found[(*count)++], err);
  }
  if (good) good = iu__json_next(&r) == IU_J_END || expected(err, "nothing after the results");
  iu__json_reader_free(&r);
  return good;
}

static iu_status read_results(iu_sql_answer *a, const parts *found, uint32_t count, iu_error *err) {
  struct iu_sql_memory *m = a->memory;
  a->results = iu__arena_zero(&m->arena, count + (size_t)1, sizeof *a->results);
  m->rows = iu__arena_zero(&m->arena, count + (size_t)1, sizeof *m->rows);
  if (a->results == NULL || m->rows == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < count; i++) {
    a->count = i + 1;
    if (read_result(&found[i], m, &m->rows[i], &a->results[i], err) == IU_OK) continue;
    iu__error_prefix(err, "result %u", i);
    return err->status;
  }
  return IU_OK;
}

iu_status iu__sql_answer_read(const void *json, size_t len, iu_sql_answer *out, iu_error *err) {
  iu_error own;
  uint32_t count = 0;
  parts *found = iu__alloc_zero(IU_SQL_RESULTS_MAX, sizeof *found);
  if (err == NULL) err = &own;
  iu__error_clear(err);
  *out = (iu_sql_answer){.memory = iu__alloc_zero(1, sizeof *out->memory)};
  iu_status status = IU_OK;
  if (found == NULL || out->memory == NULL) status = iu__fail_nomem(err);
  else if (!find_results(json, len, found, &count, err)) status = err->status;
  if (status == IU_OK) status = read_results(out, found, count, err);
  if (status != IU_OK) {
    iu__sql_answer_free(out);
    iu__error_prefix(err, "answer to SQL");
  }
  iu__free(found);
  return status;
}

void iu__sql_answer_free(iu_sql_answer *a) {
  struct iu_sql_memory *m = a->memory;
  for (uint32_t i = 0; m != NULL && m->rows != NULL && i < a->count; i++) iu__buf_free(&m->rows[i]);
  if (m != NULL) {
    iu__typespace_free(&m->types);
    iu__arena_free(&m->arena);
  }
  iu__free(m);
  *a = (iu_sql_answer){0};
}
