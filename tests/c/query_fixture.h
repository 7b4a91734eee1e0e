/* query_fixture.h: the tables that the query tests read, and what writes rows of them. */
#ifndef IU_TESTS_QUERY_FIXTURE_H
#define IU_TESTS_QUERY_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/base/alloc.h"
#include "../../core/base/clock.h"
#include "../../core/base/errinj.h"
#include "../../core/base/hash.h"
#include "../../core/base/text.h"
#include "../../core/query/filter.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLOW_BUILD 1
#else
#define SLOW_BUILD 0
#endif

/* ---- chance: IU_TEST_SEED repeats a run ---- */

typedef struct chance { uint64_t s; } chance;

static inline chance chance_begin(const char *what) {
  const char *wanted = getenv("IU_TEST_SEED");
  chance c = {0};
  if (wanted != NULL) c.s = strtoull(wanted, NULL, 0);
  else assert_int_equal(iu__random(&c.s, sizeof c.s, NULL), IU_OK);
  c.s |= 1;
  printf("%s: IU_TEST_SEED=0x%llx\n", what, (unsigned long long)c.s);
  return c;
}
static inline uint64_t chance_next(chance *c) {
  c->s ^= c->s >> 12;
  c->s ^= c->s << 25;
  c->s ^= c->s >> 27;
  return c->s * UINT64_C(2685821657736338717);
}
static inline uint64_t chance_below(chance *c, uint64_t n) { return (chance_next(c) >> 11) % n; }

/* ---- the schema ---- */

enum { T_ALL, T_ENTITY, T_SECRET, T_NOKEY, T_COUNT };
/* Columns of `all`; A_X2 is a second column of the type of A_X. */
enum {
  A_ID, A_S, A_B, A_I8, A_U8, A_I16, A_U16, A_I32, A_U32, A_I64, A_U64, A_I128, A_U128, A_I256, A_U256, A_F32, A_F64, A_WHO, A_CONN, A_AT, A_UUID, A_BYTES,
  A_S2, A_B2, A_I32B, A_U64B, A_I256B, A_F64B, A_BYTES2, /* scalars end here */
  A_SPAN, A_OPT, A_TAGS, A_WHEN, A_META, A_COUNT
};
#define A_SCALARS A_SPAN
enum { E_ID, E_TYPE, E_CREATED, E_UPDATED, E_METADATA, E_COUNT };

static inline void put_name(iu_buf *b, const char *text) { iu__buf_put_bytes(b, text, strlen(text)); }

typedef struct index_spec { uint16_t columns[3]; uint8_t count; bool unique; } index_spec;

static inline void put_columns(iu_buf *b, const index_spec *ix) {
  iu__buf_put_u32(b, ix->count);
  for (int i = 0; i < ix->count; i++) iu__buf_put_u16(b, ix->columns[i]);
}

static inline void put_table(iu_buf *b, const char *name, uint32_t row, int primary_key, const index_spec *indexes, uint32_t count, bool is_public) {
  uint32_t unique = 0;
  put_name(b, name);
  iu__buf_put_u32(b, row);
  iu__buf_put_u32(b, primary_key >= 0);
  if (primary_key >= 0) iu__buf_put_u16(b, (uint16_t)primary_key);
  iu__buf_put_u32(b, count);
  for (uint32_t i = 0; i < count; i++) {
    iu__buf_put_u8(b, 1);
    iu__buf_put_u8(b, 1);
    iu__buf_put_u8(b, 0);
    put_columns(b, &indexes[i]);
    unique += indexes[i].unique;
  }
  iu__buf_put_u32(b, unique);
  for (uint32_t i = 0; i < count; i++) {
    if (!indexes[i].unique) continue;
    iu__buf_put_u8(b, 1);
    iu__buf_put_u8(b, 0);
    put_columns(b, &indexes[i]);
  }
  iu__buf_put_u32(b, 0); /* sequences */
  iu__buf_put_u8(b, 1);  /* no schedule */
  iu__buf_put_u8(b, 1);  /* user */
  iu__buf_put_u8(b, is_public ? 0 : 1);
}

static inline const iu_type *all_row(iu_typespace *ts) {
  const iu_type *s = iu__type_scalar(IU_T_STRING);
  iu_field f[A_COUNT] = {
    [A_ID] = {"id", iu__type_scalar(IU_T_U64)}, [A_S] = {"s", s}, [A_B] = {"b", iu__type_scalar(IU_T_BOOL)},
    [A_I8] = {"i8", iu__type_scalar(IU_T_I8)}, [A_U8] = {"u8", iu__type_scalar(IU_T_U8)}, [A_I16] = {"i16", iu__type_scalar(IU_T_I16)},
    [A_U16] = {"u16", iu__type_scalar(IU_T_U16)}, [A_I32] = {"i32", iu__type_scalar(IU_T_I32)}, [A_U32] = {"u32", iu__type_scalar(IU_T_U32)},
    [A_I64] = {"i64", iu__type_scalar(IU_T_I64)}, [A_U64] = {"u64", iu__type_scalar(IU_T_U64)}, [A_I128] = {"i128", iu__type_scalar(IU_T_I128)},
    [A_U128] = {"u128", iu__type_scalar(IU_T_U128)}, [A_I256] = {"i256", iu__type_scalar(IU_T_I256)}, [A_U256] = {"u256", iu__type_scalar(IU_T_U256)},
    [A_F32] = {"f32", iu__type_scalar(IU_T_F32)}, [A_F64] = {"f64", iu__type_scalar(IU_T_F64)}, [A_WHO] = {"who", iu__type_special(IU_S_IDENTITY)},
    [A_CONN] = {"conn", iu__type_special(IU_S_CONNECTION_ID)}, [A_AT] = {"at", iu__type_special(IU_S_TIMESTAMP)},
    [A_UUID] = {"uuid", iu__type_special(IU_S_UUID)}, [A_BYTES] = {"bytes", iu__type_special(IU_S_BYTES)},
    [A_S2] = {"s2", s}, [A_B2] = {"b2", iu__type_scalar(IU_T_BOOL)}, [A_I32B] = {"i32b", iu__type_scalar(IU_T_I32)},
    [A_U64B] = {"u64b", iu__type_scalar(IU_T_U64)}, [A_I256B] = {"i256b", iu__type_scalar(IU_T_I256)}, [A_F64B] = {"f64b", iu__type_scalar(IU_T_F64)},
    [A_BYTES2] = {"bytes2", iu__type_special(IU_S_BYTES)}, [A_SPAN] = {"span", iu__type_special(IU_S_TIME_DURATION)},
    [A_OPT] = {"opt", iu__type_option(ts, s)}, [A_TAGS] = {"tags", iu__type_array(ts, s)},
    [A_WHEN] = {"when", iu__type_special(IU_S_SCHEDULE_AT)}, [A_META] = {"meta", iu__type_ref(ts, 0)},
  };
  return iu__type_product(ts, A_COUNT, f);
}

static inline void put_types(iu_buf *b) {
  iu_typespace ts = {0};
  const iu_type *s = iu__type_scalar(IU_T_STRING), *at = iu__type_special(IU_S_TIMESTAMP);
  iu_field metadata[] = {{"name", iu__type_option(&ts, s)}, {"tags", iu__type_array(&ts, s)},
                         {"nums", iu__type_array(&ts, iu__type_scalar(IU_T_U32))}, {"strength", iu__type_scalar(IU_T_F64)}, {"properties", s}, {"big", iu__type_scalar(IU_T_U256)}};
  iu_field entity[] = {{"id", s}, {"entity_type", s}, {"created_at", at}, {"updated_at", at}, {"metadata", iu__type_ref(&ts, 0)}};
  iu_field secret[] = {{"key", s}, {"value", s}};
  iu_field nokey[] = {{"s", s}, {"n", iu__type_scalar(IU_T_I64)}, {"data", s}};
  iu__buf_put_u32(b, 1 + T_COUNT);
  iu__type_encode(iu__type_product(&ts, 6, metadata), b);
  iu__type_encode(all_row(&ts), b);
  iu__type_encode(iu__type_product(&ts, 5, entity), b);
  iu__type_encode(iu__type_product(&ts, 2, secret), b);
  iu__type_encode(iu__type_product(&ts, 3, nokey), b);
  iu__typespace_free(&ts);
}

static inline void put_tables(iu_buf *b) {
  static const index_spec all[] = {{{A_ID}, 1, true}, {{A_S}, 1, false}, {{A_I64}, 1, false}, {{A_WHO}, 1, false}, {{A_AT}, 1, false},
                                   {{A_I32, A_U8, A_S2}, 3, false}, {{A_F64}, 1, false}, {{A_U256}, 1, false}, {{A_B}, 1, false}};
  static const index_spec entity[] = {{{E_ID}, 1, true}, {{E_TYPE}, 1, false}, {{E_CREATED}, 1, false}};
  static const index_spec secret[] = {{{0}, 1, true}};
  static const index_spec nokey[] = {{{1}, 1, false}};
  iu__buf_put_u32(b, T_COUNT);
  put_table(b, "all", 1, A_ID, all, sizeof all / sizeof *all, true);
  put_table(b, "entity", 2, E_ID, entity, 3, true);
  put_table(b, "secret", 3, 0, secret, 1, false);
  put_table(b, "nokey", 4, -1, nokey, 1, true);
}

static inline iu_schema *fixture_schema(void) {
  static const char *const names[] = {"Metadata", "All", "Entity", "Secret", "Nokey"};
  iu_buf b = {0};
  iu_schema *schema = NULL;
  iu_error err;
  iu__buf_put_u8(&b, 1);
  put_types(&b);
  put_tables(&b);
  iu__buf_put_u32(&b, 0); /* reducers */
  iu__buf_put_u32(&b, 1 + T_COUNT);
  for (uint32_t i = 0; i < 1 + T_COUNT; i++) {
    iu__buf_put_u32(&b, 0);
    put_name(&b, names[i]);
    iu__buf_put_u32(&b, i);
    iu__buf_put_u8(&b, 1);
  }
  iu__buf_put_u32(&b, 0);
  iu__buf_put_u32(&b, 0);
  if (iu__schema_decode(b.data, b.len, &schema, &err) != IU_OK) fail_msg("%s", err.message);
  iu__buf_free(&b);
  return schema;
}

static inline uint32_t table_index(const iu_schema *s, const char *name) {
  int i = iu__schema_table(s, name, strlen(name));
  assert_true(i >= 0);
  return (uint32_t)i;
}
static inline const iu_table_def *table_def(const iu_schema *s, const char *name) { return &s->tables[table_index(s, name)]; }

/* ---- rows ---- */

typedef struct entity_spec {
  const char *id, *type;
  int64_t created;
  const char *name;       /* NULL: none */
  const char *tags[4];
  double strength;
  const char *properties; /* JSON text */
} entity_spec;

static inline void put_entity(iu_buf *b, const entity_spec *e) {
  uint64_t bits;
  uint32_t tags = 0;
  uint8_t big[32] = {0};
  put_name(b, e->id);
  put_name(b, e->type);
  iu__buf_put_u64(b, (uint64_t)e->created);
  iu__buf_put_u64(b, (uint64_t)e->created + 1);
  iu__buf_put_u8(b, e->name == NULL);
  if (e->name != NULL) put_name(b, e->name);
  while (tags < 4 && e->tags[tags] != NULL) tags++;
  iu__buf_put_u32(b, tags);
  for (uint32_t i = 0; i < tags; i++) put_name(b, e->tags[i]);
  iu__buf_put_u32(b, 2);
  iu__buf_put_u32(b, 7);
  iu__buf_put_u32(b, UINT32_MAX);
  memcpy(&bits, &e->strength, 8);
  iu__buf_put_u64(b, bits);
  put_name(b, e->properties != NULL ? e->properties : "{}");
  big[16] = 1; /* 2^128 */
  iu__buf_put(b, big, 32);
}

/* A stand-alone row, as a selection is offered them. Free with free(). */
static inline iu_row *new_row(const iu_buf *b) {
  iu_row *r = malloc(sizeof *r + b->len);
  assert_non_null(r);
  memset(r, 0, sizeof *r);
  r->gone = UINT64_MAX;
  r->len = (uint32_t)b->len;
  memcpy(r->data, b->data, b->len);
  return r;
}
static inline iu_row *entity_row(const iu_schema *s, const entity_spec *e) {
  iu_buf b = {0};
  iu_error err;
  iu_row *r;
  put_entity(&b, e);
  if (iu__bsatn_check_all(table_def(s, "entity")->row, b.data, b.len, &err) != IU_OK) fail_msg("%s", err.message);
  r = new_row(&b);
  iu__buf_free(&b);
  return r;
}

/* Random values close together, so that comparisons meet equals and extremes. */
static inline void put_random_int(iu_buf *b, chance *c, size_t size) {
  uint8_t fill = chance_below(c, 2) ? 0xff : 0, v[32];
  memset(v, fill, sizeof v);
  switch (chance_below(c, 4)) {
    case 0: v[size - 1] ^= 0x80; break;                       /* an extreme */
    case 1: v[chance_below(c, size)] ^= (uint8_t)(1u << chance_below(c, 8)); break;
    default: v[0] = (uint8_t)(fill ? 0xff - chance_below(c, 3) : chance_below(c, 4)); break;
  }
  iu__buf_put(b, v, size);
}
static inline double random_double(chance *c) {
  static const double some[] = {0.0, -0.0, 1, -1, 0.5, 1.5, 9007199254740993.0, 1e300, -1e300, 2, 3, 1e-7};
  uint64_t pick = chance_below(c, 16);
  if (pick == 15) return (double)NAN;
  if (pick == 14) return (double)INFINITY;
  if (pick == 13) return -(double)INFINITY;
  return some[pick % 12];
}
static inline void put_random_text(iu_buf *b, chance *c) {
  static const char *const some[] = {"", "a", "b", "ab", "A", "\xC3\xBC", "a'b", "\xF0\x9F\x98\x80", "abc", "z"};
  put_name(b, some[chance_below(c, 10)]);
}
static inline void put_random_scalar(iu_buf *b, chance *c, const iu_type *t) {
  double d;
  float f;
  uint64_t bits;
  uint32_t bits32;
  switch (t->special) {
    case IU_S_TIMESTAMP: iu__buf_put_u64(b, chance_below(c, 4) * 1000000 + chance_below(c, 2)); return;
    case IU_S_BYTES: put_random_text(b, c); return;
    case IU_S_IDENTITY: put_random_int(b, c, 32); return;
    case IU_S_CONNECTION_ID:
    case IU_S_UUID: put_random_int(b, c, 16); return;
    default: break;
  }
  switch (t->tag) {
    case IU_T_STRING: put_random_text(b, c); return;
    case IU_T_BOOL: iu__buf_put_u8(b, (uint8_t)chance_below(c, 2)); return;
    case IU_T_F32:
      d = random_double(c);
      f = d > 1e38 ? 1e38f : d < -1e38 ? -1e38f : (float)d;
      memcpy(&bits32, &f, 4);
      iu__buf_put_u32(b, bits32);
      return;
    case IU_T_F64:
      d = random_double(c);
      memcpy(&bits, &d, 8);
      iu__buf_put_u64(b, bits);
      return;
    default: put_random_int(b, c, t->fixed_size); return;
  }
}
static inline void put_random_all(iu_buf *b, chance *c, const iu_type *row, uint64_t id) {
  uint8_t big[32] = {0};
  iu__buf_put_u64(b, id);
  for (uint32_t i = 1; i < A_SCALARS; i++) put_random_scalar(b, c, iu__type_deref(row->u.fields[i].type));
  iu__buf_put_u64(b, chance_next(c));
  iu__buf_put_u8(b, 1);
  iu__buf_put_u32(b, 1);
  put_name(b, "tag");
  iu__buf_put_u8(b, 0);
  iu__buf_put_u64(b, 5);
  iu__buf_put_u8(b, 1);
  iu__buf_put_u32(b, 0);
  iu__buf_put_u32(b, 0);
  iu__buf_put_u64(b, 0);
  put_name(b, "{}");
  iu__buf_put(b, big, 32);
}

#endif
