/* bind_fixture.h: Lua states with the core linked in and the public modules of this tree, and an allocator that can refuse. */
#ifndef BIND_FIXTURE_H
#define BIND_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>

#include "scratch_fixture.h"

#include "../../core/include/inner_universe.h"

/* Counts growing requests once armed. At `fail_at` it refuses: that one and its repetition after Lua's emergency collection, or, with
 * `for_good`, everything from there on. */
typedef struct memory { long asked, fail_at; bool armed, for_good; long refused; } memory;

static void *allocate(void *ud, void *p, size_t old_size, size_t new_size) {
  memory *m = ud;
  if (new_size == 0) {
    free(p);
    return NULL;
  }
  if (m->armed && (p == NULL || new_size > old_size)) {
    long n = m->asked++;
    if (n >= m->fail_at && (m->for_good || n <= m->fail_at + 1)) {
      m->refused++;
      return NULL;
    }
  }
  return realloc(p, new_size);
}

static int open_everything(lua_State *L) {
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_inner_universe_core);
  lua_setfield(L, -2, "inner_universe.core");
  lua_getglobal(L, "package");
  lua_pushliteral(L, "lua/?.lua;lua/?/init.lua;tests/lua/?.lua");
  lua_setfield(L, -2, "path");
  return 0;
}

static inline lua_State *state_new(memory *m) {
  lua_State *L = m != NULL ? lua_newstate(allocate, m) : luaL_newstate();
  assert_non_null(L);
  lua_pushcfunction(L, open_everything);
  assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_OK);
  return L;
}

/* Runs a chunk; its `...` are the texts given, up to NULL. Fails the test when it raises. */
static inline void run_chunk(lua_State *L, const char *chunk, ...) {
  va_list ap;
  const char *text;
  int n = 0;
  if (luaL_loadstring(L, chunk) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
  va_start(ap, chunk);
  while ((text = va_arg(ap, const char *)) != NULL) {
    lua_pushstring(L, text);
    n++;
  }
  va_end(ap);
  if (lua_pcall(L, n, 0, 0) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
}

#endif
