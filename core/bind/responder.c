/* responder.c: `core.responder`: a small HTTP server for what others may look at (core/net/responder.h). It belongs to its userdata, which the registry keeps
 * until it is closed.
 *
 *   core.responder({ address, port, connections_max, request_bytes_max, timeout = seconds }, on_request)
 *
 * on_request(request, path) for each; `:answer(request, status, content_type, body)` answers it, then or later.
 */
#include "../net/responder.h"

#include "bind.h"

#define CLASS "inner_universe.responder"
#define SECONDS_MAX 3600

typedef struct iu_lua_responder {
  iu_responder *responder; /* NULL once closed */
  iu_lua *x;
  int on_request, self;
  struct iu_lua_responder *prev, *next;
} iu_lua_responder;

static void responder_shut(lua_State *L, iu_lua_responder *h) {
  if (h->responder != NULL) {
    iu__responder_release(h->responder);
    h->responder = NULL;
    if (h->prev != NULL) h->prev->next = h->next;
    else h->x->responders = h->next;
    if (h->next != NULL) h->next->prev = h->prev;
  }
  iu__unref(L, h->x, &h->on_request);
  iu__unref(L, h->x, &h->self);
}

void iu__responders_close(iu_lua *x) {
  for (iu_lua_responder *h = x->responders; h != NULL; h = h->next) {
    iu__responder_release(h->responder);
    h->responder = NULL;
  }
  x->responders = NULL;
}

typedef struct request_call { iu_lua_responder *h; uint64_t request; const char *path; size_t len; } request_call;

static int request_body(lua_State *L) {
  const request_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->h->self); /* keeps it alive through the call */
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->h->on_request);
  lua_pushinteger(L, (lua_Integer)c->request);
  lua_pushlstring(L, c->path, c->len);
  iu__gate_run(L, c->h->x, 2);
  return 0;
}

static void on_request(void *ud, iu_responder *r, uint64_t request, const char *path, size_t len) {
  request_call c = {ud, request, path, len};
  (void)r;
  iu__gate(c.h->x, request_body, &c);
}

static uint32_t small(lua_State *L, const char *name) {
  uint64_t value = iu__opt_u64(L, 1, name);
  return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int f_responder(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_responder_config config = {.on_request = on_request};
  iu_loop *loop;
  iu_error err;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  config.address = iu__opt_text(L, 1, "address");
  luaL_argcheck(L, config.address != NULL, 1, "address expected");
  uint64_t port = iu__opt_u64(L, 1, "port");
  luaL_argcheck(L, port <= UINT16_MAX, 1, "port: at most 65535 expected");
  config.port = (uint16_t)port;
  config.connections_max = small(L, "connections_max");
  config.request_bytes_max = small(L, "request_bytes_max");
  lua_getfield(L, 1, "timeout");
  lua_Number seconds = luaL_checknumber(L, -1);
  lua_pop(L, 1);
  luaL_argcheck(L, seconds > 0 && seconds <= SECONDS_MAX, 1, "timeout: seconds above 0 expected, at most an hour");
  config.timeout_ms = seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000);
  iu_lua_responder *h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  h->x = x;
  h->on_request = h->self = LUA_NOREF;
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, 2);
  h->on_request = iu__ref(L, x);
  lua_pushvalue(L, -1);
  h->self = iu__ref(L, x);
  config.ud = h;
  iu_status status = iu__lua_loop(x, &loop, &err);
  if (status == IU_OK) status = iu__responder_start(loop, &config, &h->responder, &err);
  if (status != IU_OK) {
    responder_shut(L, h);
    return iu__push_failure(L, x, &err);
  }
  h->next = x->responders;
  if (h->next != NULL) h->next->prev = h;
  x->responders = h;
  return 1;
}

/* ---- a responder ---- */

static int m_port(lua_State *L) {
  const iu_lua_responder *h = luaL_checkudata(L, 1, CLASS);
  if (h->responder != NULL) lua_pushinteger(L, iu__responder_port(h->responder));
  else lua_pushnil(L);
  return 1;
}

static int m_connections(lua_State *L) {
  const iu_lua_responder *h = luaL_checkudata(L, 1, CLASS);
  lua_pushinteger(L, h->responder != NULL ? iu__responder_connections(h->responder) : 0);
  return 1;
}

static int m_answer(lua_State *L) {
  const iu_lua_responder *h = luaL_checkudata(L, 1, CLASS);
  lua_Integer request = luaL_checkinteger(L, 2), status = luaL_checkinteger(L, 3);
  size_t len;
  const char *type = luaL_checkstring(L, 4), *body = luaL_checklstring(L, 5, &len);
  luaL_argcheck(L, status >= 200 && status <= 599, 3, "a status from 200 to 599 expected");
  lua_pushboolean(L, h->responder != NULL && iu__responder_answer(h->responder, (uint64_t)request, (int)status, type, body, len));
  return 1;
}

static int m_close(lua_State *L) {
  responder_shut(L, luaL_checkudata(L, 1, CLASS));
  return 0;
}

void iu__responder_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"responder", f_responder}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"port", m_port}, {"connections", m_connections}, {"answer", m_answer}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
