/* error.c: an iu_error as the table Lua knows: { kind, code, message, retryable, offset }, with the metatable Lua gave. */
#include "bind.h"

void iu__push_error(lua_State *L, iu_lua *x, const iu_error *err) {
  lua_createtable(L, 0, 5);
  lua_pushstring(L, iu_status_kind(err->status));
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, iu_status_code(err->status));
  lua_setfield(L, -2, "code");
  lua_pushstring(L, err->message);
  lua_setfield(L, -2, "message");
  lua_pushboolean(L, iu_status_retryable(err->status));
  lua_setfield(L, -2, "retryable");
  if (err->offset != IU_NO_OFFSET) {
    lua_pushinteger(L, (lua_Integer)err->offset);
    lua_setfield(L, -2, "offset");
  }
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, x->error_mt) == LUA_TTABLE) lua_setmetatable(L, -2);
  else lua_pop(L, 1);
}

int iu__push_failure(lua_State *L, iu_lua *x, const iu_error *err) {
  lua_pushnil(L);
  iu__push_error(L, x, err);
  return 2;
}
