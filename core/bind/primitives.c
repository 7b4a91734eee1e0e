/* primitives.c: time, ids, and the handlers that Lua sets once. */
#include "bind.h"

#define SEEDED_MICROS INT64_C(1704067200000000) /* 2024-01-01: the time in ids that are seeded, while nobody pins the clock */

static int f_now(lua_State *L) {
  lua_pushinteger(L, iu__lua_micros(iu__lua(L)));
  return 1;
}

static int f_mono(lua_State *L) {
  lua_pushnumber(L, (lua_Number)iu__clock_mono_ns() / 1e9);
  return 1;
}

static int f_uuid(lua_State *L) {
  iu_lua *x = iu__lua(L);
  char text[37];
  iu_error err;
  int64_t micros = x->seeded && !x->pinned ? SEEDED_MICROS : iu__lua_micros(x);
  if (iu__uuid7_at(&x->uuid, micros, text, &err) != IU_OK) return iu__push_failure(L, x, &err);
  lua_pushlstring(L, text, 36);
  return 1;
}

/* For tests: what the wall clock says from now on, in ids and in transactions of universes, too; nil: the wall clock. */
static int f_pin_clock(lua_State *L) {
  iu_lua *x = iu__lua(L);
  x->pinned = !lua_isnoneornil(L, 1);
  if (x->pinned) x->pinned_micros = luaL_checkinteger(L, 1);
  return 0;
}

/* For tests: ids follow from the seed (and the pinned time); nil: they are random again. */
static int f_seed_uuid(lua_State *L) {
  iu_lua *x = iu__lua(L);
  memset(&x->uuid, 0, sizeof x->uuid);
  x->seeded = !lua_isnoneornil(L, 1);
  if (x->seeded) iu__uuid_seed(&x->uuid, (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

static int set_handler(lua_State *L, int *ref) {
  iu_lua *x = iu__lua(L);
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  iu__unref(L, x, ref);
  if (lua_isnoneornil(L, 1)) return 0;
  lua_pushvalue(L, 1);
  *ref = iu__ref(L, x);
  return 0;
}

static int f_set_runner(lua_State *L) { return set_handler(L, &iu__lua(L)->runner); }
static int f_set_alarm(lua_State *L) { return set_handler(L, &iu__lua(L)->on_alarm); }
static int f_set_error_handler(lua_State *L) { return set_handler(L, &iu__lua(L)->on_error); }

static int f_set_log(lua_State *L) {
  static const char *const names[] = {"error", "warn", "info", "debug", "trace", NULL};
  iu__lua(L)->log_level = (iu_log_level)luaL_checkoption(L, 2, "info", names);
  return set_handler(L, &iu__lua(L)->log);
}

static int f_set_error_metatable(lua_State *L) {
  iu_lua *x = iu__lua(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  iu__unref(L, x, &x->error_mt);
  lua_pushvalue(L, 1);
  x->error_mt = iu__ref(L, x);
  return 0;
}

static int f_debug_refs(lua_State *L) {
  lua_pushinteger(L, iu__lua(L)->refs);
  return 1;
}

void iu__primitives_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"now", f_now}, {"mono", f_mono}, {"uuid", f_uuid}, {"pin_clock", f_pin_clock}, {"seed_uuid", f_seed_uuid}, {"set_runner", f_set_runner}, {"set_alarm", f_set_alarm}, {"set_error_handler", f_set_error_handler},
      {"set_log", f_set_log}, {"set_error_metatable", f_set_error_metatable}, {"debug_refs", f_debug_refs}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, IU_VERSION);
  lua_setfield(L, -2, "version");
}
