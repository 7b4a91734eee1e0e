/* sats_schema_fixture.h: writes RawModuleDef V9 bytes piece by piece for the schema tests, and holds M-1 and M-2 of the sheet (12.6). */
#ifndef IU_TESTS_SATS_SCHEMA_FIXTURE_H
#define IU_TESTS_SATS_SCHEMA_FIXTURE_H

#include "sats_fixture.h"

#include "../../core/sats/schema.h"

#define M1 "01000000000000000000000000000000000000000000000000"
#define M2 \
  "01010000000202000000000200000069640b00040000006e616d650401000000040000007573657200000000010000000000010000000011" \
  "000000757365725f69645f6964785f6274726565000200000069640001000000000001000000010001000000000001000000010000010101" \
  "010000000000000000000000000000000101000200000004000000696e6974000000000000080000007365745f6e616d6501000000000400" \
  "00006e616d6504010100000000000000040000005573657200000000010000000000000000"

typedef struct list { iu_buf bytes; uint32_t count; } list;
typedef struct def { list types, tables, reducers, names, exports, rules; } def;

static inline void put_text(iu_buf *b, const char *text) { iu__buf_put_bytes(b, text, strlen(text)); }
static inline void put_option(iu_buf *b, const char *text) {
  iu__buf_put_u8(b, text != NULL ? 0 : 1);
  if (text != NULL) put_text(b, text);
}
static inline void put_columns(iu_buf *b, uint32_t count, const uint16_t *columns) {
  iu__buf_put_u32(b, count);
  for (uint32_t i = 0; i < count; i++) iu__buf_put_u16(b, columns[i]);
}
static inline void put_list(iu_buf *b, list *l) {
  iu__buf_put_u32(b, l->count);
  iu__buf_put(b, l->bytes.data, l->bytes.len);
  iu__buf_free(&l->bytes);
}
#define COLUMNS(...) sizeof((uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t), (uint16_t[]){__VA_ARGS__}

/* A type of the typespace, named unless name is NULL; custom ordering. */
static inline void add_type(def *d, const iu_type *t, const char *name) {
  iu__type_encode(t, &d->types.bytes);
  if (name != NULL) {
    iu__buf_put_u32(&d->names.bytes, 0);
    put_text(&d->names.bytes, name);
    iu__buf_put_u32(&d->names.bytes, d->types.count);
    iu__buf_put_u8(&d->names.bytes, 1);
    d->names.count++;
  }
  d->types.count++;
}

typedef struct table_parts { list indexes, constraints, sequences; const char *sched_reducer; uint16_t sched_column; bool system, hidden; } table_parts;

static inline void add_index(table_parts *t, const char *name, const char *accessor, uint8_t algorithm, uint32_t count, const uint16_t *columns) {
  put_option(&t->indexes.bytes, name);
  put_option(&t->indexes.bytes, accessor);
  iu__buf_put_u8(&t->indexes.bytes, algorithm);
  if (algorithm == 2) iu__buf_put_u16(&t->indexes.bytes, columns[0]);
  else put_columns(&t->indexes.bytes, count, columns);
  t->indexes.count++;
}
static inline void add_unique(table_parts *t, const char *name, uint32_t count, const uint16_t *columns) {
  put_option(&t->constraints.bytes, name);
  iu__buf_put_u8(&t->constraints.bytes, 0);
  put_columns(&t->constraints.bytes, count, columns);
  t->constraints.count++;
}
#define NOT_GIVEN INT64_MAX
static inline void put_i128(iu_buf *b, int64_t v) {
  iu__buf_put_u64(b, (uint64_t)v);
  iu__buf_put_u64(b, v < 0 ? UINT64_MAX : 0);
}
static inline void add_sequence(table_parts *t, const char *name, uint16_t column, int64_t start, int64_t min, int64_t max, int64_t increment) {
  int64_t optional[] = {start, min, max};
  put_option(&t->sequences.bytes, name);
  iu__buf_put_u16(&t->sequences.bytes, column);
  for (int i = 0; i < 3; i++) {
    iu__buf_put_u8(&t->sequences.bytes, optional[i] == NOT_GIVEN);
    if (optional[i] != NOT_GIVEN) put_i128(&t->sequences.bytes, optional[i]);
  }
  put_i128(&t->sequences.bytes, increment);
  t->sequences.count++;
}
/* primary: column or -1. Empties `t`. */
static inline void add_table(def *d, const char *name, uint32_t row, int primary, table_parts *t) {
  table_parts none = {0};
  iu_buf *b = &d->tables.bytes;
  if (t == NULL) t = &none;
  put_text(b, name);
  iu__buf_put_u32(b, row);
  uint16_t key = (uint16_t)primary;
  put_columns(b, primary >= 0, &key);
  put_list(b, &t->indexes);
  put_list(b, &t->constraints);
  put_list(b, &t->sequences);
  iu__buf_put_u8(b, t->sched_reducer == NULL);
  if (t->sched_reducer != NULL) {
    iu__buf_put_u8(b, 1);
    put_text(b, t->sched_reducer);
    iu__buf_put_u16(b, t->sched_column);
  }
  iu__buf_put_u8(b, !t->system);
  iu__buf_put_u8(b, t->hidden);
  d->tables.count++;
  *t = none;
}

/* params: a product; lifecycle -1 for none. */
static inline void add_reducer(def *d, const char *name, const iu_type *params, int lifecycle) {
  iu_buf product = {0};
  put_text(&d->reducers.bytes, name);
  iu__type_encode(params, &product);
  iu__buf_put(&d->reducers.bytes, product.data + 1, product.len - 1); /* without the tag */
  iu__buf_free(&product);
  iu__buf_put_u8(&d->reducers.bytes, lifecycle < 0);
  if (lifecycle >= 0) iu__buf_put_u8(&d->reducers.bytes, (uint8_t)lifecycle);
  d->reducers.count++;
}

/* The definition's bytes; empties d. */
static inline iu_buf finish_def(def *d) {
  iu_buf out = {0};
  iu__buf_put_u8(&out, 1);
  put_list(&out, &d->types);
  put_list(&out, &d->tables);
  put_list(&out, &d->reducers);
  put_list(&out, &d->names);
  put_list(&out, &d->exports);
  put_list(&out, &d->rules);
  assert_int_equal(iu__buf_status(&out, NULL, "definition"), IU_OK);
  memset(d, 0, sizeof *d);
  return out;
}

static inline iu_schema *decode_def(def *d, iu_error *err) {
  iu_buf b = finish_def(d);
  iu_schema *s = NULL;
  uint8_t *exact = malloc(b.len);
  memcpy(exact, b.data, b.len);
  iu_status status = iu__schema_decode(exact, b.len, &s, err);
  assert_int_equal(status == IU_OK, s != NULL);
  if (err != NULL) assert_int_equal(err->status, status);
  free(exact);
  iu__buf_free(&b);
  return s;
}

#endif
