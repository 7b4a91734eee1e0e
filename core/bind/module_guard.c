/* module_guard.c: a reducer's time and Lua's memory in it.
 *
 * While a reducer runs, a hook of its thread looks every GUARD_INSTRUCTIONS instructions (threads it makes inherit the hook), operations on tables look
 * every so often by themselves. The clock starts with the first look, so that a short reducer never asks for the time. Past a cap the hook comes at every
 * instruction and raises each time, so that a pcall in the reducer only puts the end off; then everything is undone.
 *
 * The memory counted is Lua's, above what it was when the reducer began; what is garbage by then is collected before a reducer is refused for it. C
 * functions are not interrupted, nor is what a finaliser runs (Lua hooks neither), nor an error handler of xpcall.
 */
#include "module.h"

#define GUARD_INSTRUCTIONS 10000

static void hook(lua_State *L, lua_Debug *ar) {
  iu_lua *x = iu__lua(L);
  (void)ar;
  if (x->run == NULL) lua_sethook(L, NULL, 0, 0); /* a thread that outlived its reducer */
  else iu__guard_look(L, x->run);
}

static size_t memory_used(lua_State *L) {
  int kilobytes = lua_gc(L, LUA_GCCOUNT);
  return kilobytes < 0 ? 0 : (size_t)kilobytes << 10; /* below 0: in a finaliser, where the collector tells nothing */
}

static void look_at_clock(iu_lua_run *r) {
  iu_lua_guard *g = r->guard;
  uint64_t now;
  if (g->timeout_ns == 0) return;
  now = iu__clock_mono_ns();
  if (g->deadline == 0) g->deadline = now + g->timeout_ns;
  if (now < g->deadline) return;
  g->broken = true;
  iu__fail(&g->why, IU_E_TIMEOUT, "reducer %s: runs longer than reducer_timeout_ms = %llu", r->call->def->name,
           (unsigned long long)(g->timeout_ns / 1000000));
}

static void look_at_memory(lua_State *L, iu_lua_run *r) {
  iu_lua_guard *g = r->guard;
  size_t most = g->memory_base + g->memory_max;
  if (g->memory_max == 0 || memory_used(L) <= most) return;
  lua_gc(L, LUA_GCCOLLECT);
  if (memory_used(L) <= most || g->broken) return;
  g->broken = true;
  iu__fail(&g->why, IU_E_OVERLOADED, "reducer %s: needs more of Lua's memory than reducer_memory_mb = %zu", r->call->def->name, g->memory_max >> 20);
}

void iu__guard_look(lua_State *L, iu_lua_run *r) {
  iu_lua_guard *g = r->guard;
  if (!g->broken) look_at_clock(r);
  if (!g->broken) look_at_memory(L, r);
  if (!g->broken) return;
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  luaL_error(L, "%s", g->why.message);
}

void iu__guard_enter(lua_State *L, iu_lua_run *r, iu_lua_guard *own) {
  r->L = L;
  r->guard = r->outer != NULL ? r->outer->guard : own;
  if (r->guard == own) {
    own->deadline = 0;
    own->ticks = 0;
    own->broken = false;
    own->timeout_ns = r->m->timeout_ns;
    own->memory_max = r->m->memory_max;
    own->memory_base = own->memory_max != 0 ? memory_used(L) : 0;
  }
  r->hooked = (r->guard->timeout_ns != 0 || r->guard->memory_max != 0) && lua_gethook(L) != hook;
  if (!r->hooked) return;
  r->hook = lua_gethook(L);
  r->hook_mask = lua_gethookmask(L);
  r->hook_count = lua_gethookcount(L);
  lua_sethook(L, hook, LUA_MASKCOUNT, GUARD_INSTRUCTIONS);
}

void iu__guard_leave(iu_lua_run *r) {
  /* What was set meanwhile (an interrupt, a debugger) stays. */
  if (r->hooked && lua_gethook(r->L) == hook) lua_sethook(r->L, r->hook, r->hook_mask, r->hook_count);
}
