/* module_ctx.c: ctx, the first argument of every reducer of a Lua module: who calls and when, random numbers, other reducers, the tables.
 *
 * One userdata per module, made at its first run. What is there for good (db, call, log, random, uuid) is found without a call into C; sender,
 * connection_id and timestamp are those of the run.
 */
#include "module.h"

#include "../base/hash.h"
#include "../host/callee.h"

static iu_lua_module *module_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/* Hex of little-endian bytes; made once for a caller who comes again. */
static void push_hex_kept(lua_State *L, iu_lua_module *m, const uint8_t *bytes, uint8_t *kept, size_t size, int *text) {
  if (*text != LUA_NOREF && memcmp(bytes, kept, size) == 0) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, *text);
    return;
  }
  iu__push_hex(L, bytes, size);
  iu__unref(L, m->x, text);
  lua_pushvalue(L, -1);
  *text = iu__ref(L, m->x);
  memcpy(kept, bytes, size);
}

static bool is_zero(const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

/* __index of what ctx has for good: (that table, key) */
static int ctx_fact(lua_State *L) {
  iu_lua_module *m = module_of(L);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  bool sender = strcmp(key, "sender") == 0, connection = strcmp(key, "connection_id") == 0;
  if (!sender && !connection && strcmp(key, "timestamp") != 0) return 0;
  iu__module_check(L, m, key);
  const iu_reducer_call *call = m->run->call;
  if (sender) push_hex_kept(L, m, call->sender, m->sender, 32, &m->sender_text);
  else if (!connection) lua_pushinteger(L, call->timestamp);
  else if (is_zero(call->connection_id, 16)) lua_pushnil(L);
  else push_hex_kept(L, m, call->connection_id, m->connection_id, 16, &m->connection_text);
  return 1;
}

static int read_only(lua_State *L) { return luaL_error(L, "%s is read-only", lua_tostring(L, lua_upvalueindex(1))); }

/* ---- random numbers ---- */

/* 0 to most, evenly. */
static uint64_t random_up_to(iu_lua_module *m, uint64_t most) {
  uint64_t mask = most, v;
  for (unsigned s = 1; s < 64; s *= 2) mask |= mask >> s;
  do v = iu__tx_random(m->tx) & mask;
  while (v > most);
  return v;
}

/* As math.random: (), (m), (m, n). */
static int ctx_random(lua_State *L) {
  iu_lua_module *m = module_of(L);
  lua_Integer low = 1, high;
  iu__module_check(L, m, "random");
  if (lua_gettop(L) == 0) {
    lua_pushnumber(L, (lua_Number)(iu__tx_random(m->tx) >> 11) * 0x1p-53);
    return 1;
  }
  high = luaL_checkinteger(L, 1);
  if (lua_gettop(L) > 1) {
    low = high;
    high = luaL_checkinteger(L, 2);
  }
  luaL_argcheck(L, low <= high, lua_gettop(L) > 1 ? 2 : 1, "interval is empty");
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + random_up_to(m, (uint64_t)high - (uint64_t)low)));
  return 1;
}

/* UUIDv7 of the transaction's time and random numbers. */
static int ctx_uuid(lua_State *L) {
  iu_lua_module *m = module_of(L);
  uint8_t b[16];
  char hex[33], text[37];
  iu__module_check(L, m, "uuid");
  uint64_t ms = (uint64_t)m->run->call->timestamp / 1000, random[2] = {iu__tx_random(m->tx), iu__tx_random(m->tx)};
  for (int i = 0; i < 6; i++) b[i] = (uint8_t)(ms >> (40 - 8 * i));
  for (int i = 6; i < 16; i++) b[i] = (uint8_t)(random[(i - 6) / 8] >> (8 * ((i - 6) % 8)));
  b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
  b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
  iu__hex(hex, b, 16);
  snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
  lua_pushlstring(L, text, 36);
  return 1;
}

/* ---- other reducers ---- */

/* ctx:call(reducer, ...): in the same transaction. true, or raises what it was refused with; then only what that reducer wrote is undone. */
static int ctx_call(lua_State *L) {
  iu_lua_module *m = module_of(L);
  iu_buf args = {.limit = IU_ARGS_BYTES_MAX};
  iu_callee f;
  iu_error err;
  size_t len;
  luaL_checktype(L, 1, LUA_TUSERDATA);
  const char *name = luaL_checklstring(L, 2, &len);
  iu__module_check(L, m, "call");
  if (m->busy) return luaL_error(L, "call: not from a finaliser while a row is put together");
  iu__guard_tick(L, m->run);
  iu_status status = iu__callee_reducer(m->schema, name, len, &f, &err);
  if (status == IU_OK) status = iu__encode_arguments(L, m->schema, &f, 3, 0, &args, &err);
  if (status == IU_OK) {
    IU_ENTER(m->x, L);
    status = iu__tx_run(m->tx, f.number, args.data, args.len, &err);
    IU_LEAVE(m->x);
  }
  iu__buf_free(&args);
  if (status != IU_OK) return iu__module_raise(L, m, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- db ---- */

static int unknown_table(lua_State *L) {
  iu_lua_module *m = module_of(L);
  size_t len;
  char hint[96] = "";
  const char *name = luaL_tolstring(L, 2, &len);
  if (m->schema != NULL) iu__schema_suggest_table(m->schema, name, len, hint);
  return luaL_error(L, "ctx.db: no table '%s'%s", name, hint);
}

/* A userdata without data whose fields are those of the table on top (popped); absent ones come from `absent`. */
static void push_face(lua_State *L, iu_lua_module *m, const char *name, lua_CFunction absent) {
  lua_createtable(L, 0, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->self);
  lua_pushcclosure(L, absent, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 4);
  lua_rotate(L, -3, -1);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_pushcclosure(L, read_only, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}

static void push_db(lua_State *L, iu_lua_module *m) {
  lua_createtable(L, 0, (int)m->schema->table_count);
  for (uint32_t i = 0; i < m->schema->table_count; i++) {
    iu__push_tx_table(L, m, i);
    lua_setfield(L, -2, m->schema->tables[i].name);
  }
  push_face(L, m, "ctx.db", unknown_table);
}

void iu__push_ctx(lua_State *L, iu_lua_module *m) {
  static const luaL_Reg functions[] = {{"random", ctx_random}, {"uuid", ctx_uuid}, {"call", ctx_call}, {NULL, NULL}};
  lua_createtable(L, 0, 8);
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->self);
  luaL_setfuncs(L, functions, 1);
  push_db(L, m);
  lua_setfield(L, -2, "db");
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->parts);
  lua_getfield(L, -1, "log");
  lua_remove(L, -2);
  lua_setfield(L, -2, "log");
  push_face(L, m, "ctx", ctx_fact);
}
