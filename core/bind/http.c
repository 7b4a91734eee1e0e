/* http.c: `core.http`: one HTTP request, its answer told to a function. The request belongs to its userdata, which the registry keeps until the answer
 * was told or the request was closed.
 *
 *   core.http({ url, method, headers = { { name, value }, ... }, body, timeout, max_body, ca_file, insecure, on_data }, on_done)
 *
 * on_done(err, answer) once: answer = { status, body, content_type, identity, token, sent }, also beside an err where something of one came; sent: the
 * request had left. With on_data the body is handed out as it comes instead.
 */
#include "../net/http.h"
#include "bind.h"

#define CLASS "inner_universe.http"
#define HEADERS_MAX 64

typedef struct iu_lua_http {
  iu_http *http;     /* NULL once done or closed */
  iu_lua *x;
  int on_done, on_data, self;
  struct iu_lua_http *prev, *next;
} iu_lua_http;

static void http_shut(lua_State *L, iu_lua_http *h) {
  if (h->http != NULL) {
    iu__http_release(h->http);
    h->http = NULL;
    if (h->prev != NULL) h->prev->next = h->next;
    else h->x->requests = h->next;
    if (h->next != NULL) h->next->prev = h->prev;
  }
  iu__unref(L, h->x, &h->on_done);
  iu__unref(L, h->x, &h->on_data);
  iu__unref(L, h->x, &h->self);
}

void iu__requests_close(iu_lua *x) {
  for (iu_lua_http *h = x->requests; h != NULL; h = h->next) {
    iu__http_release(h->http);
    h->http = NULL;
  }
  x->requests = NULL;
}

/* ---- what comes ---- */

typedef struct http_call { iu_lua_http *h; const iu_error *err; const iu_http_answer *answer; const uint8_t *bytes; size_t len; } http_call;

static int data_body(lua_State *L) {
  const http_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->h->on_data);
  lua_pushlstring(L, (const char *)c->bytes, c->len);
  iu__gate_run(L, c->h->x, 1);
  return 0;
}

static void on_data(void *ud, iu_http *http, const uint8_t *bytes, size_t len) {
  http_call c = {.h = ud, .bytes = bytes, .len = len};
  (void)http;
  iu__gate(c.h->x, data_body, &c);
}

static void set_text(lua_State *L, const char *name, const char *text) {
  if (*text == '\0') return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static int done_body(lua_State *L) {
  const http_call *c = lua_touserdata(L, 1);
  iu_lua_http *h = c->h;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->self); /* keeps it alive through the call */
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->on_done);
  if (c->err != NULL) iu__push_error(L, h->x, c->err);
  else lua_pushnil(L);
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, c->answer->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, (const char *)c->answer->body, c->answer->body_len);
  lua_setfield(L, -2, "body");
  set_text(L, "content_type", c->answer->content_type);
  set_text(L, "identity", c->answer->identity);
  set_text(L, "token", c->answer->token);
  lua_pushboolean(L, c->answer->sent);
  lua_setfield(L, -2, "sent");
  http_shut(L, h);
  iu__gate_run(L, h->x, 2);
  return 0;
}

static void on_done(void *ud, iu_http *http, const iu_error *err, const iu_http_answer *answer) {
  http_call c = {.h = ud, .err = err, .answer = answer};
  (void)http;
  iu__gate(c.h->x, done_body, &c);
}

/* ---- starting ---- */

/* Half of a header: what ends a text in C would cut it. */
static const char *header_text(lua_State *L, int index) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  if (strlen(text) != len) luaL_error(L, "headers: a zero byte at %d", (int)strlen(text));
  return text;
}

static uint32_t read_headers(lua_State *L, iu_header *headers) {
  uint32_t count = 0;
  if (lua_getfield(L, 1, "headers") == LUA_TTABLE) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    if (n > HEADERS_MAX) luaL_error(L, "headers: more than %d", HEADERS_MAX);
    for (lua_Integer i = 1; i <= n; i++) {
      lua_rawgeti(L, -1, i);
      luaL_argcheck(L, lua_istable(L, -1), 1, "headers: { name, value } expected");
      lua_rawgeti(L, -1, 1);
      lua_rawgeti(L, -2, 2);
      headers[count++] = (iu_header){header_text(L, -2), header_text(L, -1)};
      lua_pop(L, 3);
    }
  }
  lua_pop(L, 1);
  return count;
}

static int f_http(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_header headers[HEADERS_MAX];
  iu_http_config config = {.headers = headers};
  iu_lua_http *h;
  iu_loop *loop;
  iu_error err;
  iu_status status;
  lua_Number seconds;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  config.url = iu__opt_text(L, 1, "url");
  luaL_argcheck(L, config.url != NULL, 1, "url expected");
  config.method = iu__opt_text(L, 1, "method");
  lua_getfield(L, 1, "body");
  luaL_argcheck(L, lua_isnil(L, -1) || lua_type(L, -1) == LUA_TSTRING, 1, "body: string expected");
  config.body = lua_tolstring(L, -1, &config.body_len);
  lua_pop(L, 1); /* the table keeps it */
  config.header_count = read_headers(L, headers);
  config.tls.ca_file = iu__opt_text(L, 1, "ca_file");
  lua_getfield(L, 1, "insecure");
  config.tls.insecure = lua_toboolean(L, -1);
  lua_getfield(L, 1, "timeout");
  seconds = luaL_optnumber(L, -1, 0);
  config.timeout_ms = seconds > 0 && seconds < 1e9 ? (uint64_t)(seconds * 1000 + 0.999) : 0;
  config.max_body = (size_t)iu__opt_u64(L, 1, "max_body");
  h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  h->x = x;
  h->on_done = h->on_data = h->self = LUA_NOREF;
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, 2);
  h->on_done = iu__ref(L, x);
  if (lua_getfield(L, 1, "on_data") == LUA_TFUNCTION) h->on_data = iu__ref(L, x);
  else lua_pop(L, 1);
  lua_pushvalue(L, -1);
  h->self = iu__ref(L, x);
  config.ud = h;
  config.on_done = on_done;
  if (h->on_data >= 0) config.on_data = on_data;
  status = iu__lua_loop(x, &loop, &err);
  if (status == IU_OK) status = iu__http_start(loop, &config, &h->http, &err);
  if (status != IU_OK) {
    http_shut(L, h);
    return iu__push_failure(L, x, &err);
  }
  h->next = x->requests;
  if (h->next != NULL) h->next->prev = h;
  x->requests = h;
  return 1;
}

static int m_close(lua_State *L) {
  http_shut(L, luaL_checkudata(L, 1, CLASS));
  return 0;
}

void iu__http_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"http", f_http}, {NULL, NULL}};
  static const iu_class class = {CLASS, NULL, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
