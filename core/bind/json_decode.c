/* json_decode.c: JSON text to Lua values, and the module's JSON functions.
 *
 * Building runs in a protected call, because the reader holds memory that an error of Lua (no memory) must not lose.
 * Marks: arrays carry array_mt, empty objects object_mt (an object with members is recognised by its keys).
 */
#include "bind.h"

#include "../base/hash.h"

static const char array_key = 0, object_key = 0;

static void push_mt(lua_State *L, const void *key, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void iu__push_array_mt(lua_State *L) { push_mt(L, &array_key, "array"); }
void iu__push_object_mt(lua_State *L) { push_mt(L, &object_key, "object"); }

static bool is_mt(lua_State *L, int index, const void *key) {
  bool same;
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  same = lua_rawequal(L, index, -1);
  lua_pop(L, 1);
  return same;
}

bool iu__is_array_mt(lua_State *L, int index) { return is_mt(L, index, &array_key); }
bool iu__is_object_mt(lua_State *L, int index) { return is_mt(L, index, &object_key); }

typedef struct decoder { iu_json_reader reader; iu_error err; int array_mt, object_mt; } decoder;

static bool push_token(lua_State *L, decoder *d, iu_json_token t);

static bool push_array(lua_State *L, decoder *d) {
  lua_Integer n = 0;
  lua_newtable(L);
  lua_pushvalue(L, d->array_mt);
  lua_setmetatable(L, -2);
  for (;;) {
    iu_json_token t = iu__json_next(&d->reader);
    if (t == IU_J_ARRAY_END) return true;
    if (!push_token(L, d, t)) return false;
    lua_rawseti(L, -2, ++n);
  }
}

static bool push_object(lua_State *L, decoder *d) {
  bool empty = true;
  lua_newtable(L);
  for (;;) {
    iu_json_token t = iu__json_next(&d->reader);
    if (t == IU_J_OBJECT_END) break;
    if (t != IU_J_KEY) return false;
    empty = false;
    lua_pushlstring(L, d->reader.s, d->reader.len);
    if (!push_token(L, d, iu__json_next(&d->reader))) return false;
    lua_rawset(L, -3);
  }
  if (empty) {
    lua_pushvalue(L, d->object_mt);
    lua_setmetatable(L, -2);
  }
  return true;
}

/* Pushes the value that starts with t; false (and d->err set) when the text is bad. */
static bool push_token(lua_State *L, decoder *d, iu_json_token t) {
  luaL_checkstack(L, 4, "JSON nests too deep for Lua's stack");
  switch (t) {
    case IU_J_NULL: lua_pushlightuserdata(L, NULL); return true;
    case IU_J_TRUE: lua_pushboolean(L, 1); return true;
    case IU_J_FALSE: lua_pushboolean(L, 0); return true;
    case IU_J_INT: lua_pushinteger(L, d->reader.i); return true;
    case IU_J_DOUBLE: lua_pushnumber(L, d->reader.d); return true;
    case IU_J_STRING: lua_pushlstring(L, d->reader.s, d->reader.len); return true;
    case IU_J_BIGINT:
      if (iu__wide_push_text(L, d->reader.s, d->reader.len)) return true;
      iu__fail(&d->err, IU_E_VALIDATION, "integer of %zu digits, the limit is %d", d->reader.len, IU_WIDE_DIGITS_MAX);
      return false;
    case IU_J_ARRAY: return push_array(L, d);
    case IU_J_OBJECT: return push_object(L, d);
    default: return false;
  }
}

static int decode_body(lua_State *L) {
  decoder *d = lua_touserdata(L, 1);
  iu__push_array_mt(L);
  d->array_mt = lua_gettop(L);
  iu__push_object_mt(L);
  d->object_mt = lua_gettop(L);
  if (!push_token(L, d, iu__json_next(&d->reader)) || iu__json_next(&d->reader) != IU_J_END) {
    if (d->err.status == IU_OK) iu__fail(&d->err, IU_E_VALIDATION, "not a JSON value");
    lua_pushnil(L);
  }
  return 1;
}

int iu__push_json_or_failure(lua_State *L, iu_lua *x, const void *text, size_t len) {
  decoder d;
  int rc;
  iu__error_clear(&d.err);
  iu__json_reader_init(&d.reader, text, len, &d.err);
  lua_pushcfunction(L, decode_body);
  lua_pushlightuserdata(L, &d);
  rc = lua_pcall(L, 1, 1, 0);
  iu__json_reader_free(&d.reader);
  if (rc != LUA_OK) return lua_error(L);
  if (d.err.status == IU_OK) return 1;
  lua_pop(L, 1);
  return iu__push_failure(L, x, &d.err);
}

/* ---- functions ---- */

static int f_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  return iu__push_json_or_failure(L, iu__lua(L), text, len);
}


static int push_text_body(lua_State *L) {
  const iu_buf *b = lua_touserdata(L, 1);
  lua_pushlstring(L, (const char *)b->data, b->len);
  return 1;
}

/* Pushes the buffer's bytes and frees it, also when Lua has no memory for the string. */
static int push_buffer(lua_State *L, iu_buf *b) {
  int rc;
  lua_pushcfunction(L, push_text_body);
  lua_pushlightuserdata(L, b);
  rc = lua_pcall(L, 1, 1, 0);
  iu__buf_free(b);
  return rc == LUA_OK ? 1 : lua_error(L);
}

static int f_encode(lua_State *L) {
  iu_buf out = {0};
  iu_error err;
  luaL_checkany(L, 1);
  if (iu__lua_to_json(L, 1, &out, &err) == IU_OK) return push_buffer(L, &out);
  iu__buf_free(&out);
  return iu__push_failure(L, iu__lua(L), &err);
}

static iu_status canonical_of(lua_State *L, bool is_text, iu_buf *out, iu_error *err) {
  iu_buf json = {0};
  iu_status status;
  if (is_text) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    return iu__json_canonical(text, len, out, err);
  }
  luaL_checkany(L, 1);
  status = iu__lua_to_json(L, 1, &json, err);
  if (status == IU_OK) status = iu__json_canonical(json.data, json.len, out, err);
  iu__buf_free(&json);
  return status;
}

static int canonical(lua_State *L, bool is_text) {
  iu_buf out = {0};
  iu_error err;
  if (canonical_of(L, is_text, &out, &err) == IU_OK) return push_buffer(L, &out);
  iu__buf_free(&out);
  return iu__push_failure(L, iu__lua(L), &err);
}

static int f_canonical(lua_State *L) { return canonical(L, false); }
static int f_canonical_text(lua_State *L) { return canonical(L, true); }

static int push_hex(lua_State *L, const uint8_t digest[32]) {
  char hex[65];
  iu__hex(hex, digest, 32);
  lua_pushlstring(L, hex, 64);
  return 1;
}

static int f_hash(lua_State *L) {
  iu_buf out = {0};
  iu_error err;
  uint8_t digest[32];
  iu_status status = canonical_of(L, false, &out, &err);
  if (status == IU_OK) status = iu__sha256(out.data, out.len, digest, &err);
  iu__buf_free(&out);
  if (status != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return push_hex(L, digest);
}

static int f_sha256(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  uint8_t digest[32];
  iu_error err;
  if (iu__sha256(bytes, len, digest, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return push_hex(L, digest);
}

static int mark(lua_State *L, void (*push)(lua_State *)) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  push(L);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

static int f_array(lua_State *L) { return mark(L, iu__push_array_mt); }
static int f_object(lua_State *L) { return mark(L, iu__push_object_mt); }

void iu__json_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"json_encode", f_encode}, {"json_decode", f_decode}, {"json_canonical", f_canonical}, {"json_hash", f_hash},
      {"canonical_text", f_canonical_text}, {"sha256", f_sha256}, {"array", f_array}, {"object", f_object}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  iu__push_array_mt(L);
  lua_setfield(L, -2, "array_mt");
  iu__push_object_mt(L);
  lua_setfield(L, -2, "object_mt");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
}
