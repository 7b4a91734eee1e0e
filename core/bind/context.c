/* context.c: the one iu_lua of a Lua state: its loop, its handlers, its references.
 *
 * It is a userdata in the registry, made when the module is loaded. Lua finalises objects in reverse order of their creation, so
 * connections and timers are gone before it; whatever is left all the same is closed here, then the loop is drained.
 */
#include "bind.h"

static const char context_key = 0;
#define CONTEXT_CLASS "inner_universe.context"

static int context_gc(lua_State *L) {
  iu_lua *x = lua_touserdata(L, 1);
  x->closed = true; /* finalisers of objects older than this one still come: they find everything closed */
  while (x->connections != NULL) {
    iu_lua_connection *lc = x->connections;
    if (lc->c != NULL) iu__connection_shut(L, lc, true, NULL, NULL);
    else x->connections = lc->next; /* its close is what called us */
  }
  iu__timers_close(x);
  iu__requests_close(x);
  iu__processes_close(x);
  iu__signals_close(x);
  iu__responders_close(x);
  iu__works_close(x);
  iu__buf_free(&x->args);
  /* os.exit in a callback: what called it still has handles open, and the process ends anyway. */
  if (x->loop != NULL && x->gates == 0 && !iu__loop_turning(x->loop)) iu__loop_free(x->loop);
  x->loop = NULL;
  return 0;
}

iu_lua *iu__lua(lua_State *L) {
  iu_lua *x;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
  x = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (x != NULL) return x;
  x = lua_newuserdatauv(L, sizeof *x, 0);
  memset(x, 0, sizeof *x);
  x->runner = x->on_error = x->on_alarm = x->log = x->error_mt = LUA_NOREF;
  x->log_level = IU_LOG_INFO;
  lua_getfield(L, LUA_REGISTRYINDEX, IU_LUA_UV_LOOP); /* the host's own */
  if (lua_islightuserdata(L, -1)) x->uv_loop = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (luaL_newmetatable(L, CONTEXT_CLASS)) {
    lua_pushcfunction(L, context_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
  return x;
}

iu_status iu__lua_loop(iu_lua *x, iu_loop **loop, iu_error *err) {
  iu_status status = IU_OK;
  if (x->closed) status = iu__fail(err, IU_E_CLOSED, "the Lua state is closing");
  else if (x->loop == NULL) status = iu__loop_new(x->uv_loop, &x->loop, err);
  *loop = x->loop;
  return status;
}

int64_t iu__lua_micros(void *ud) {
  const iu_lua *x = ud;
  return x->pinned ? x->pinned_micros : iu__clock_micros();
}

int iu__ref(lua_State *L, iu_lua *x) {
  int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  if (ref >= 0) x->refs++;
  return ref;
}

void iu__unref(lua_State *L, iu_lua *x, int *ref) {
  if (*ref >= 0) {
    luaL_unref(L, LUA_REGISTRYINDEX, *ref);
    x->refs--;
  }
  *ref = LUA_NOREF;
}

typedef struct log_call { iu_lua *x; iu_log_level level; const char *message; } log_call;

static int log_body(lua_State *L) {
  static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
  const log_call *c = lua_touserdata(L, 1);
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, c->x->log) != LUA_TFUNCTION) return 0;
  lua_pushstring(L, names[c->level]);
  lua_pushstring(L, c->message);
  lua_call(L, 2, 0);
  return 0;
}

void iu__lua_log(void *ud, iu_log_level level, const char *message) {
  log_call c = {ud, level, message};
  if (c.x->log == LUA_NOREF || level > c.x->log_level) return;
  iu__gate(c.x, log_body, &c);
}
