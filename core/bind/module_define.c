/* module_define.c: what a module in Lua declares as a module definition: module_definition(plan) for lua/inner_universe/module_definition.lua, which checked it
 * and whose words the plan has:
 *
 *   types    { { name, sum, { { field, type }, ... } }, ... }          type: { kind, inner?, name? } as module_types.lua reads them
 *   tables   { { name, public, columns = { { name, type, default? }, ... }, primary_key?, auto_inc, unique, indexes, schedule? }, ... }
 *   reducers { { name, lifecycle, params = { { name, type }, ... } }, ... }
 *
 * Default values need types whose names are resolved: where there are some, the definition is made once without them, then with their bytes, which each
 * column's table gets as `bytes`.
 */
#include "module.h"

#include "../sats/schema_write.h"

#define NAMES_MAX IU_INDEX_COLUMNS_MAX

typedef struct plan { iu_schema_writer *w; iu_schema *schema; iu_buf out, value; iu_error *err; iu_status status; } plan;

/* ---- reading the plan; its shape is our own: what is wrong with it raises ---- */

static const char *text_at(lua_State *L, int table, int position) {
  if (lua_rawgeti(L, table, position) != LUA_TSTRING) luaL_error(L, "plan: a text expected at %d", position);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1); /* kept by the table */
  return text;
}

static const char *text_of(lua_State *L, int table, const char *field) {
  lua_getfield(L, table, field);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1);
  return text;
}

/* Pushes the list, and calls fn with each entry on top. */
static void each(lua_State *L, plan *p, int table, const char *field, void (*fn)(lua_State *L, plan *p, uint32_t owner), uint32_t owner) {
  if (lua_getfield(L, table, field) == LUA_TTABLE) {
    int list = lua_gettop(L);
    for (lua_Integer i = 1, n = luaL_len(L, list); i <= n && p->status == IU_OK; i++) {
      lua_rawgeti(L, list, i);
      luaL_checktype(L, -1, LUA_TTABLE);
      fn(L, p, owner);
      lua_settop(L, list);
    }
  }
  lua_pop(L, 1);
}

static const iu_type *plain_type(const char *kind) {
  static const char *const scalars[IU_T_COUNT] = {
      [IU_T_STRING] = "string", [IU_T_BOOL] = "bool", [IU_T_I8] = "i8", [IU_T_U8] = "u8", [IU_T_I16] = "i16", [IU_T_U16] = "u16", [IU_T_I32] = "i32",
      [IU_T_U32] = "u32", [IU_T_I64] = "i64", [IU_T_U64] = "u64", [IU_T_I128] = "i128", [IU_T_U128] = "u128", [IU_T_I256] = "i256", [IU_T_U256] = "u256",
      [IU_T_F32] = "f32", [IU_T_F64] = "f64"};
  static const char *const specials[] = {
      [IU_S_BYTES] = "bytes", [IU_S_UNIT] = "unit", [IU_S_IDENTITY] = "identity", [IU_S_CONNECTION_ID] = "connection_id", [IU_S_TIMESTAMP] = "timestamp",
      [IU_S_TIME_DURATION] = "time_duration", [IU_S_UUID] = "uuid", [IU_S_SCHEDULE_AT] = "schedule_at"};
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
    if (scalars[i] != NULL && strcmp(scalars[i], kind) == 0) return iu__type_scalar((iu_type_tag)i);
  }
  for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
    if (specials[i] != NULL && strcmp(specials[i], kind) == 0) return iu__type_special((iu_special)i);
  }
  return NULL;
}

/* The node on top. Its depth was bounded where it was read. */
static const iu_type *type_on_top(lua_State *L, plan *p) {
  int node = lua_gettop(L);
  luaL_checkstack(L, 4, "types");
  luaL_checktype(L, node, LUA_TTABLE);
  const char *kind = text_of(L, node, "kind"), *name = text_of(L, node, "name");
  if (kind == NULL) luaL_error(L, "plan: a type without kind");
  const iu_type *type = plain_type(kind);
  if (type != NULL) return type;
  if (name != NULL) return iu__schema_writer_type_ref(p->w, name);
  lua_getfield(L, node, "inner");
  type = type_on_top(L, p);
  lua_settop(L, node);
  return kind[0] == 'a' ? iu__type_array(iu__schema_writer_types(p->w), type) : iu__type_option(iu__schema_writer_types(p->w), type);
}

/* { name, type } on top: its type. */
static const iu_type *type_of_entry(lua_State *L, plan *p) {
  int entry = lua_gettop(L);
  lua_rawgeti(L, entry, 2);
  const iu_type *type = type_on_top(L, p);
  lua_settop(L, entry);
  return type;
}

/* The texts of the list on top. */
static uint32_t names_on_top(lua_State *L, const char *names[NAMES_MAX]) {
  lua_Integer n = luaL_len(L, -1);
  if (n > NAMES_MAX) luaL_error(L, "more than %d columns in an index", NAMES_MAX);
  for (lua_Integer i = 1; i <= n; i++) names[i - 1] = text_at(L, lua_gettop(L), (int)i);
  return (uint32_t)n;
}

/* ---- types ---- */

static void put_type(lua_State *L, plan *p, uint32_t owner) {
  int entry = lua_gettop(L);
  (void)owner;
  const char *name = text_at(L, entry, 1);
  lua_rawgeti(L, entry, 2);
  bool sum = lua_toboolean(L, -1);
  lua_rawgeti(L, entry, 3);
  int list = lua_gettop(L);
  uint32_t n = (uint32_t)luaL_len(L, list);
  if (n > IU_TYPE_FIELDS_MAX) luaL_error(L, "types.%s: more than %d fields", name, IU_TYPE_FIELDS_MAX);
  iu_field *fields = lua_newuserdatauv(L, (n + 1) * sizeof *fields, 0);
  for (uint32_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    fields[i] = (iu_field){text_at(L, lua_gettop(L), 1), type_of_entry(L, p)};
    lua_pop(L, 1);
  }
  iu_typespace *types = iu__schema_writer_types(p->w);
  p->status = iu__schema_writer_type(p->w, name, sum ? iu__type_sum(types, n, fields) : iu__type_product(types, n, fields), p->err);
}

/* ---- tables ---- */

static void put_column(lua_State *L, plan *p, uint32_t table) {
  int entry = lua_gettop(L);
  const char *name = text_at(L, entry, 1);
  const iu_type *type = type_of_entry(L, p);
  size_t len = 0;
  const char *bytes = lua_getfield(L, entry, "bytes") == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  p->status = iu__schema_writer_column(p->w, table, name, type, bytes, len, p->err);
}

static void put_unique(lua_State *L, plan *p, uint32_t table) {
  const char *names[NAMES_MAX];
  uint32_t n = names_on_top(L, names);
  p->status = iu__schema_writer_unique(p->w, table, names, n, p->err);
}

static void put_index(lua_State *L, plan *p, uint32_t table) {
  const char *names[NAMES_MAX], *accessor = text_of(L, lua_gettop(L), "accessor");
  uint32_t n = names_on_top(L, names);
  p->status = iu__schema_writer_index(p->w, table, accessor, names, n, p->err);
}

static void put_table(lua_State *L, plan *p, uint32_t owner) {
  int entry = lua_gettop(L);
  const char *primary = text_of(L, entry, "primary_key"), *names[NAMES_MAX];
  uint32_t table = 0;
  (void)owner;
  lua_getfield(L, entry, "public");
  p->status = iu__schema_writer_table(p->w, text_at(L, entry, 1), lua_toboolean(L, -1), &table, p->err);
  each(L, p, entry, "columns", put_column, table);
  if (p->status == IU_OK && primary != NULL) p->status = iu__schema_writer_primary_key(p->w, table, primary, p->err);
  if (lua_getfield(L, entry, "auto_inc") == LUA_TTABLE) {
    uint32_t n = names_on_top(L, names);
    for (uint32_t i = 0; i < n && p->status == IU_OK; i++) p->status = iu__schema_writer_auto_inc(p->w, table, names[i], p->err);
  }
  each(L, p, entry, "unique", put_unique, table);
  each(L, p, entry, "indexes", put_index, table);
  if (lua_getfield(L, entry, "schedule") == LUA_TTABLE && p->status == IU_OK) {
    int at = lua_gettop(L);
    p->status = iu__schema_writer_schedule(p->w, table, text_at(L, at, 1), text_at(L, at, 2), p->err);
  }
}

/* ---- reducers ---- */

static void put_param(lua_State *L, plan *p, uint32_t reducer) {
  const char *name = text_at(L, lua_gettop(L), 1);
  p->status = iu__schema_writer_param(p->w, reducer, name, type_of_entry(L, p), p->err);
}

static void put_reducer(lua_State *L, plan *p, uint32_t owner) {
  int entry = lua_gettop(L);
  uint32_t reducer = 0;
  (void)owner;
  lua_rawgeti(L, entry, 2);
  p->status = iu__schema_writer_reducer(p->w, text_at(L, entry, 1), (iu_lifecycle)lua_tointeger(L, -1), &reducer, p->err);
  each(L, p, entry, "params", put_param, reducer);
}

/* ---- all ---- */

/* The value of column `column` on top, as bytes in its entry. */
static void encode_default(lua_State *L, plan *p, const iu_table_def *def, uint32_t column) {
  int entry = lua_gettop(L);
  char what[300];
  if (lua_getfield(L, entry, "default") == LUA_TNIL) return;
  snprintf(what, sizeof what, "tables.%s.%s.default", def->name, def->row->u.fields[column].name);
  iu__buf_reset(&p->value);
  p->status = iu__encode_value(L, -1, def->row->u.fields[column].type, what, &p->value, p->err);
  if (p->status == IU_OK) p->status = iu__buf_status(&p->value, p->err, what);
  if (p->status != IU_OK) return;
  lua_pushlstring(L, (const char *)p->value.data, p->value.len);
  lua_setfield(L, entry, "bytes");
}

static void encode_defaults(lua_State *L, plan *p) {
  lua_getfield(L, 1, "tables");
  for (uint32_t t = 0; t < p->schema->table_count && p->status == IU_OK; t++) {
    lua_rawgeti(L, -1, (lua_Integer)t + 1);
    lua_getfield(L, -1, "columns");
    int columns = lua_gettop(L);
    for (uint32_t c = 0; c < p->schema->tables[t].row->count && p->status == IU_OK; c++) {
      lua_rawgeti(L, columns, (lua_Integer)c + 1);
      encode_default(L, p, &p->schema->tables[t], c);
      lua_settop(L, columns);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

static void write_definition(lua_State *L, plan *p) {
  iu__schema_writer_free(p->w);
  iu__buf_reset(&p->out);
  p->w = iu__schema_writer_new();
  if (p->w == NULL) {
    p->status = iu__fail_nomem(p->err);
    return;
  }
  each(L, p, 1, "types", put_type, 0);
  each(L, p, 1, "tables", put_table, 0);
  each(L, p, 1, "reducers", put_reducer, 0);
  if (p->status == IU_OK) p->status = iu__schema_writer_end(p->w, &p->out, p->err);
  if (p->status == IU_OK) p->status = iu__buf_status(&p->out, p->err, "definition");
}

/* (plan table, light userdata of a plan) */
static int plan_body(lua_State *L) {
  plan *p = lua_touserdata(L, 2);
  write_definition(L, p);
  if (p->status != IU_OK) return 0;
  lua_getfield(L, 1, "has_defaults");
  if (!lua_toboolean(L, -1)) return 0;
  lua_settop(L, 2);
  p->status = iu__schema_decode(p->out.data, p->out.len, &p->schema, p->err);
  if (p->status == IU_OK) encode_defaults(L, p);
  if (p->status == IU_OK) write_definition(L, p);
  return 0;
}

/* module_definition(plan): the bytes, judged by the rules of core/sats/schema.h; or nil, err. */
static int f_definition(lua_State *L) {
  iu_error err;
  plan p = {.err = &err, .status = IU_OK};
  int rc;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushcfunction(L, plan_body);
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, &p);
  rc = lua_pcall(L, 2, 0, 0);
  iu__schema_writer_free(p.w);
  iu__schema_free(p.schema);
  iu__buf_free(&p.value);
  if (rc != LUA_OK) {
    iu__buf_free(&p.out);
    return lua_error(L);
  }
  return iu__give_buffer(L, iu__lua(L), p.status, &err, &p.out);
}

void iu__module_define_open(lua_State *L) {
  lua_pushcfunction(L, f_definition);
  lua_setfield(L, -2, "module_definition");
}
