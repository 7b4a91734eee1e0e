/* bare.c: what Lua itself costs when C reads or makes its tables, and nothing else: no work of ours or of a peer. A Lua module that jobs load.
 *
 *   walk(value)            every key and value below it is asked for, as whoever writes tables does: its type, a string's address and length, a table's metatable
 *   rows(count, fn)        calls fn with `count` tables { id = integer, payload = string of 88 bytes }, as whoever tells rows does
 */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

enum { PAYLOAD = 88, TEXTS = 64 };

static size_t bytes;

static void look(lua_State *L, int index) {
  size_t len;
  if (lua_type(L, index) != LUA_TSTRING) return;
  lua_tolstring(L, index, &len);
  bytes += len;
}

static void walk(lua_State *L, int table) {
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    look(L, -2);
    look(L, -1);
    if (lua_type(L, -1) == LUA_TTABLE) {
      if (lua_getmetatable(L, -1)) lua_pop(L, 1);
      walk(L, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
}

static int l_walk(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  bytes = 0;
  walk(L, 1);
  lua_pushinteger(L, (lua_Integer)bytes);
  return 1;
}

static int l_rows(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  char texts[TEXTS + PAYLOAD];
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  for (size_t i = 0; i < sizeof texts; i++) texts[i] = (char)('a' + i % 26);
  lua_pushliteral(L, "id");
  lua_pushliteral(L, "payload");
  for (lua_Integer i = 0; i < count; i++) {
    lua_pushvalue(L, 2);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, 3);
    lua_pushinteger(L, i);
    lua_rawset(L, -3);
    lua_pushvalue(L, 4);
    lua_pushlstring(L, texts + i % TEXTS, PAYLOAD);
    lua_rawset(L, -3);
    lua_call(L, 1, 0);
  }
  return 0;
}

int luaopen_bare(lua_State *L);
int luaopen_bare(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, l_walk);
  lua_setfield(L, -2, "walk");
  lua_pushcfunction(L, l_rows);
  lua_setfield(L, -2, "rows");
  return 1;
}
