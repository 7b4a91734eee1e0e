/* class.c: how every userdata class of this folder is made.
 *
 * Methods live in a table of their own behind __index, so that a metamethod (a finaliser above all) cannot be called as a method. `close` is idempotent and
 * serves :close(), __close and __gc. The metatable is protected from scripts; each method has it as its upvalue, so that what it is called with is known by
 * one comparison.
 */
#include "bind.h"

void *iu__class_check(lua_State *L, int index, const char *name) {
  void *object = lua_type(L, index) == LUA_TUSERDATA ? lua_touserdata(L, index) : NULL;
  bool known = false;
  if (object != NULL && lua_getmetatable(L, index)) {
    known = lua_rawequal(L, -1, lua_upvalueindex(1));
    lua_pop(L, 1);
  }
  return known ? object : luaL_checkudata(L, index, name);
}

void iu__class_define(lua_State *L, const iu_class *c) {
  if (!luaL_newmetatable(L, c->name)) {
    lua_pop(L, 1);
    return;
  }
  if (c->metamethods != NULL) luaL_setfuncs(L, c->metamethods, 0);
  lua_newtable(L);
  if (c->methods != NULL) {
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, c->methods, 1);
  }
  if (c->close != NULL) {
    lua_pushcfunction(L, c->close);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "close");
    lua_setfield(L, -3, "__close");
    lua_pushcfunction(L, c->gc != NULL ? c->gc : c->close);
    lua_setfield(L, -3, "__gc");
  }
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, c->name);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
