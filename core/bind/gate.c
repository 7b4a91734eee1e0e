/* gate.c: the one gate from C into Lua.
 *
 * Everything a callback needs (decoding its row, building its arguments) happens inside the protected call, since any of it can run out of
 * memory. An error never crosses a C frame of the core: it goes, with its traceback, to the error handler that Lua set; an error in that handler is
 * dropped, for there is nobody left to tell.
 *
 * One error is nobody's: the "interrupted!" that the interpreter's signal handler raises from a hook, wherever its thread happens to be. It is not
 * reported but raised again as soon as Lua code runs behind the gate, so that Ctrl-C ends the program and not just a callback.
 */
#include "bind.h"

static int traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  lua_settop(L, 1);
  if (message == NULL && luaL_callmeta(L, 1, "__tostring")) message = lua_tostring(L, -1);
  luaL_traceback(L, L, message != NULL ? message : "(error object is not a string)", 1);
  lua_createtable(L, 0, 2);
  lua_insert(L, -2);
  lua_setfield(L, -2, "traceback");
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "value");
  return 1;
}

static void interrupt_again(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted!");
}

static bool is_interrupt(lua_State *L, int at) {
  static const char end[] = "interrupted!"; /* lua.c's words, since 5.1 */
  const size_t n = sizeof end - 1;
  size_t len;
  const char *text = lua_type(L, at) == LUA_TSTRING ? lua_tolstring(L, at, &len) : NULL;
  return text != NULL && len >= n && memcmp(text + len - n, end, n) == 0;
}

bool iu__gate_interrupted(lua_State *L, int at) {
  if (!is_interrupt(L, at)) return false;
  lua_sethook(L, interrupt_again, LUA_MASKCOUNT, 1);
  return true;
}

static int report(lua_State *L) {
  iu_lua *x = lua_touserdata(L, 2);
  int handler = lua_rawgeti(L, LUA_REGISTRYINDEX, x->on_error);
  if (lua_istable(L, 1)) {
    lua_getfield(L, 1, "traceback");
    lua_getfield(L, 1, "value");
  } else {
    lua_pushvalue(L, 1); /* no memory for the traceback */
    lua_pushvalue(L, 1);
  }
  if (iu__gate_interrupted(L, -1)) return 0;
  if (handler != LUA_TFUNCTION) return 0;
  lua_call(L, 2, 0);
  return 0;
}

bool iu__gate(iu_lua *x, lua_CFunction body, void *ud) {
  lua_State *L = x->L;
  int top;
  bool ok;
  if (L == NULL || !lua_checkstack(L, 8)) return false;
  top = lua_gettop(L);
  x->gates++;
  lua_pushcfunction(L, traceback);
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, ud);
  ok = lua_pcall(L, 1, 0, top + 1) == LUA_OK;
  if (!ok) {
    lua_pushcfunction(L, report);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, x);
    (void)lua_pcall(L, 2, 0, 0); /* the last resort has failed: nothing more can be said */
  }
  lua_settop(L, top);
  x->gates--;
  x->L = L; /* whatever ran in between */
  return ok;
}

void iu__gate_run(lua_State *L, iu_lua *x, int nargs) {
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, x->runner) == LUA_TFUNCTION) {
    lua_insert(L, -nargs - 2);
    lua_call(L, nargs + 1, 0);
    return;
  }
  lua_pop(L, 1);
  lua_call(L, nargs, 0);
}
