/* describe.c: writes the module definition (RawModuleDef V9, which every SpacetimeDB from 1.0 on takes) from the tables of schema.h.
 *
 * Indexes get no name but an accessor, so that the host generates `{table}_{column}_idx_btree`. Every type declares custom_ordering:
 * the order of fields is ours.
 */
#include "internal.h"

enum { TYPE_REF, TYPE_SUM, TYPE_PRODUCT, TYPE_ARRAY, TYPE_STRING, TYPE_BOOL, TYPE_U8 = 7, TYPE_U32 = 11, TYPE_I64, TYPE_U64, TYPE_U128 = 15,
       TYPE_U256 = 17, TYPE_F64 = 19 };

static void put_element(nerv_out *o, const char *name) {
  iu__nerv_put_u8(o, 0); /* some(name) */
  iu__nerv_put_cstr(o, name);
}

static void put_special(nerv_out *o, const char *element, uint8_t type) {
  iu__nerv_put_u8(o, TYPE_PRODUCT);
  iu__nerv_put_u32(o, 1);
  put_element(o, element);
  iu__nerv_put_u8(o, type);
}

static void put_ref(nerv_out *o, nerv_slice name) {
  uint32_t i = 0;
  while (i < iu__nerv_type_count && !iu__nerv_is(name, iu__nerv_types[i].name)) i++;
  iu__nerv_put_u8(o, TYPE_REF);
  iu__nerv_put_u32(o, i);
}

static void put_plain(nerv_out *o, nerv_slice name) {
  static const struct { const char *name; uint8_t type; } scalars[] = {
    {"String", TYPE_STRING}, {"Bool", TYPE_BOOL}, {"U32", TYPE_U32}, {"U64", TYPE_U64}, {"F64", TYPE_F64}};
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
    if (iu__nerv_is(name, scalars[i].name)) {
      iu__nerv_put_u8(o, scalars[i].type);
      return;
    }
  }
  if (iu__nerv_is(name, "Bytes")) {
    iu__nerv_put_u8(o, TYPE_ARRAY);
    iu__nerv_put_u8(o, TYPE_U8);
  } else if (iu__nerv_is(name, "Identity")) put_special(o, "__identity__", TYPE_U256);
  else if (iu__nerv_is(name, "ConnectionId")) put_special(o, "__connection_id__", TYPE_U128);
  else if (iu__nerv_is(name, "Timestamp")) put_special(o, "__timestamp_micros_since_unix_epoch__", TYPE_I64);
  else put_ref(o, name);
}

/* One level of [] or ? around a plain type is all the schema uses. */
static void put_type(nerv_out *o, const char *type) {
  nerv_slice name = iu__nerv_text(type);
  if (name.p[0] == '[') {
    iu__nerv_put_u8(o, TYPE_ARRAY);
    put_plain(o, (nerv_slice){name.p + 1, name.n - 2});
  } else if (name.p[name.n - 1] == '?') {
    iu__nerv_put_u8(o, TYPE_SUM);
    iu__nerv_put_u32(o, 2);
    put_element(o, "some");
    put_plain(o, (nerv_slice){name.p, name.n - 1});
    put_element(o, "none");
    iu__nerv_put_u8(o, TYPE_PRODUCT);
    iu__nerv_put_u32(o, 0);
  } else {
    put_plain(o, name);
  }
}

static const nerv_type *find_type(const char *name) {
  const nerv_type *t = iu__nerv_types;
  while (!iu__nerv_is(iu__nerv_text(t->name), name)) t++;
  return t;
}

static void put_fields(nerv_out *o, const nerv_type *t) {
  iu__nerv_put_u32(o, t->count);
  for (uint32_t i = 0; i < t->count; i++) {
    put_element(o, t->fields[i].name);
    put_type(o, t->fields[i].type);
  }
}

static uint16_t column_of(const nerv_type *row, const char *name) {
  uint16_t i = 0;
  while (!iu__nerv_is(iu__nerv_text(row->fields[i].name), name)) i++;
  return i;
}

static void put_columns(nerv_out *o, uint16_t column) {
  iu__nerv_put_u32(o, 1);
  iu__nerv_put_u16(o, column);
}

static void put_indexes(nerv_out *o, uint32_t table, const nerv_type *row) {
  uint32_t count = 0, unique = 0;
  for (uint32_t i = 0; i < NERV_INDEX_COUNT; i++) {
    count += iu__nerv_indexes[i].table == table;
    unique += iu__nerv_indexes[i].table == table && iu__nerv_indexes[i].unique;
  }
  iu__nerv_put_u32(o, count);
  for (uint32_t i = 0; i < NERV_INDEX_COUNT; i++) {
    if (iu__nerv_indexes[i].table != table) continue;
    iu__nerv_put_u8(o, 1);                          /* name: none */
    put_element(o, iu__nerv_indexes[i].column);     /* accessor_name: some */
    iu__nerv_put_u8(o, 0);                          /* BTree */
    put_columns(o, column_of(row, iu__nerv_indexes[i].column));
  }
  iu__nerv_put_u32(o, unique);
  for (uint32_t i = 0; i < NERV_INDEX_COUNT; i++) {
    if (iu__nerv_indexes[i].table != table || !iu__nerv_indexes[i].unique) continue;
    iu__nerv_put_u8(o, 1);                          /* name: none */
    iu__nerv_put_u8(o, 0);                          /* Unique */
    put_columns(o, column_of(row, iu__nerv_indexes[i].column));
  }
}

static void put_table(nerv_out *o, uint32_t table) {
  const nerv_table_spec *spec = &iu__nerv_tables[table];
  const nerv_type *row = find_type(spec->row);
  iu__nerv_put_cstr(o, spec->name);
  iu__nerv_put_u32(o, (uint32_t)(row - iu__nerv_types));
  put_columns(o, column_of(row, iu__nerv_indexes[spec->primary].column));
  put_indexes(o, table, row);
  iu__nerv_put_u32(o, 0); /* sequences */
  iu__nerv_put_u8(o, 1);  /* schedule: none */
  iu__nerv_put_u8(o, 1);  /* user table */
  iu__nerv_put_u8(o, spec->is_private ? 1 : 0);
}

static void put_reducer(nerv_out *o, const nerv_reducer_spec *spec) {
  iu__nerv_put_cstr(o, spec->name);
  if (spec->params != NULL) put_fields(o, find_type(spec->params));
  else iu__nerv_put_u32(o, 0);
  if (spec->lifecycle == NERV_CALLED) {
    iu__nerv_put_u8(o, 1); /* none */
  } else {
    iu__nerv_put_u8(o, 0);
    iu__nerv_put_u8(o, (uint8_t)(spec->lifecycle - NERV_INIT));
  }
}

void iu__nerv_describe(nerv_out *o) {
  iu__nerv_put_u8(o, 1); /* V9 */
  iu__nerv_put_u32(o, iu__nerv_type_count);
  for (uint32_t i = 0; i < iu__nerv_type_count; i++) {
    iu__nerv_put_u8(o, iu__nerv_types[i].is_sum ? TYPE_SUM : TYPE_PRODUCT);
    put_fields(o, &iu__nerv_types[i]);
  }
  iu__nerv_put_u32(o, NERV_TABLE_COUNT);
  for (uint32_t i = 0; i < NERV_TABLE_COUNT; i++) put_table(o, i);
  iu__nerv_put_u32(o, iu__nerv_reducer_count);
  for (uint32_t i = 0; i < iu__nerv_reducer_count; i++) put_reducer(o, &iu__nerv_reducers[i]);
  iu__nerv_put_u32(o, iu__nerv_type_count);
  for (uint32_t i = 0; i < iu__nerv_type_count; i++) {
    iu__nerv_put_u32(o, 0); /* scope */
    iu__nerv_put_cstr(o, iu__nerv_types[i].name);
    iu__nerv_put_u32(o, i);
    iu__nerv_put_u8(o, 1); /* custom_ordering */
  }
  iu__nerv_put_u32(o, 0); /* misc exports: 1.2.0 knows none */
  iu__nerv_put_u32(o, 0); /* row level security */
}
