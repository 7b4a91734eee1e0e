/* signal.c: `core.signal(number)`: a signal of this process, counted while the watch is open (core/net/signal.h). A watch that nobody holds ends when it is
 * collected; where a state ends first, what it left is released with it. */
#include "../net/signal.h"

#include <signal.h>

#include "bind.h"

#define CLASS "inner_universe.signal"

typedef struct iu_lua_signal { iu_signal *watch; struct iu_lua_signal *prev, *next; iu_lua *x; } iu_lua_signal;

static void signal_shut(iu_lua_signal *h) {
  if (h->watch == NULL) return;
  iu__signal_release(h->watch);
  h->watch = NULL;
  if (h->prev != NULL) h->prev->next = h->next;
  else h->x->signals = h->next;
  if (h->next != NULL) h->next->prev = h->prev;
}

void iu__signals_close(iu_lua *x) {
  while (x->signals != NULL) signal_shut(x->signals);
}

static int f_signal(lua_State *L) {
  iu_lua *x = iu__lua(L);
  lua_Integer number = luaL_checkinteger(L, 1);
  iu_lua_signal *h;
  iu_loop *loop;
  iu_error err;
  luaL_argcheck(L, number > 0 && number < NSIG, 1, "a signal's number expected");
  h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  h->x = x;
  luaL_setmetatable(L, CLASS);
  if (iu__lua_loop(x, &loop, &err) != IU_OK || iu__signal_watch(loop, (int)number, &h->watch, &err) != IU_OK) return iu__push_failure(L, x, &err);
  h->next = x->signals;
  if (h->next != NULL) h->next->prev = h;
  x->signals = h;
  return 1;
}

static int m_count(lua_State *L) {
  const iu_lua_signal *h = luaL_checkudata(L, 1, CLASS);
  lua_pushinteger(L, h->watch != NULL ? (lua_Integer)iu__signal_count(h->watch) : 0);
  return 1;
}

static int m_close(lua_State *L) {
  signal_shut(luaL_checkudata(L, 1, CLASS));
  return 0;
}

void iu__signal_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"signal", f_signal}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"count", m_count}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
