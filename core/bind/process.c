/* process.c: `core.process`: one child process, its end told to a function. The process belongs to its userdata, which the registry keeps until the
 * end was told or it was closed; closing it lets the process go on, its input (the pipe by which it can notice) ended.
 *
 *   core.process({ args = { program, ... }, env = { "NAME=value", ... }, cwd, output_file, on_output, input, own_session }, on_exit)
 *   core.kill(pid, signal)
 *
 * on_exit(status, signal_or_nil) once.
 */
#include "../net/process.h"

#include <signal.h>

#include "bind.h"

#define CLASS "inner_universe.process"
#define TEXTS_MAX 1024

typedef struct iu_lua_process {
  iu_process *process;      /* NULL once closed or told */
  iu_lua *x;
  int pid;
  int on_exit, on_output, self;
  struct iu_lua_process *prev, *next;
} iu_lua_process;

static void process_shut(lua_State *L, iu_lua_process *h) {
  if (h->process != NULL) {
    iu__process_release(h->process);
    h->process = NULL;
    if (h->prev != NULL) h->prev->next = h->next;
    else h->x->processes = h->next;
    if (h->next != NULL) h->next->prev = h->prev;
  }
  iu__unref(L, h->x, &h->on_exit);
  iu__unref(L, h->x, &h->on_output);
  iu__unref(L, h->x, &h->self);
}

void iu__processes_close(iu_lua *x) {
  for (iu_lua_process *h = x->processes; h != NULL; h = h->next) {
    iu__process_release(h->process);
    h->process = NULL;
  }
  x->processes = NULL;
}

/* ---- what comes ---- */

typedef struct process_call { iu_lua_process *h; const uint8_t *bytes; size_t len; int64_t status; int signal; } process_call;

static int output_body(lua_State *L) {
  const process_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->h->on_output);
  lua_pushlstring(L, (const char *)c->bytes, c->len);
  iu__gate_run(L, c->h->x, 1);
  return 0;
}

static void on_output(void *ud, iu_process *p, const uint8_t *bytes, size_t len) {
  process_call c = {.h = ud, .bytes = bytes, .len = len};
  (void)p;
  iu__gate(c.h->x, output_body, &c);
}

static int exit_body(lua_State *L) {
  const process_call *c = lua_touserdata(L, 1);
  iu_lua_process *h = c->h;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->self); /* keeps it alive through the call */
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->on_exit);
  lua_pushinteger(L, c->status);
  if (c->signal != 0) lua_pushinteger(L, c->signal);
  else lua_pushnil(L);
  process_shut(L, h);
  iu__gate_run(L, h->x, 2);
  return 0;
}

static void on_exit(void *ud, iu_process *p, int64_t status, int signal) {
  process_call c = {.h = ud, .status = status, .signal = signal};
  (void)p;
  iu__gate(c.h->x, exit_body, &c);
}

/* ---- starting ---- */

/* The array of texts at a key as a list that ends with NULL, in a userdata that stays on the stack as long as the table does; NULL when absent. */
static const char *const *texts_at(lua_State *L, const char *key) {
  const char **list;
  lua_Integer n;
  if (lua_getfield(L, 1, key) == LUA_TNIL) return NULL;
  luaL_argcheck(L, lua_istable(L, -1), 1, "args, env: arrays of texts expected");
  n = (lua_Integer)lua_rawlen(L, -1);
  if (n > TEXTS_MAX) luaL_error(L, "%s: at most %d texts expected", key, TEXTS_MAX);
  list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    size_t len;
    lua_rawgeti(L, -2, i);
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s[%d]: string expected, got %s", key, (int)i, luaL_typename(L, -1));
    list[i - 1] = lua_tolstring(L, -1, &len);
    if (strlen(list[i - 1]) != len) luaL_error(L, "%s[%d]: contains a zero byte", key, (int)i);
    lua_pop(L, 1); /* the table keeps it */
  }
  list[n] = NULL;
  return list;
}

static bool flag_at(lua_State *L, const char *key) {
  lua_getfield(L, 1, key);
  bool is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

static int f_process(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_process_config config = {0};
  iu_lua_process *h;
  iu_loop *loop;
  iu_error err;
  iu_status status;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  config.args = texts_at(L, "args");
  luaL_argcheck(L, config.args != NULL && config.args[0] != NULL, 1, "args: the program at least expected");
  config.env = texts_at(L, "env");
  config.cwd = iu__opt_text(L, 1, "cwd");
  config.output_file = iu__opt_text(L, 1, "output_file");
  config.input = flag_at(L, "input");
  config.own_session = flag_at(L, "own_session");
  h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  h->x = x;
  h->on_exit = h->on_output = h->self = LUA_NOREF;
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, 2);
  h->on_exit = iu__ref(L, x);
  if (lua_getfield(L, 1, "on_output") == LUA_TFUNCTION) h->on_output = iu__ref(L, x);
  else lua_pop(L, 1);
  lua_pushvalue(L, -1);
  h->self = iu__ref(L, x);
  config.ud = h;
  config.on_exit = on_exit;
  if (h->on_output >= 0) config.on_output = on_output;
  status = iu__lua_loop(x, &loop, &err);
  if (status == IU_OK) status = iu__process_start(loop, &config, &h->process, &err);
  if (status != IU_OK) {
    process_shut(L, h);
    return iu__push_failure(L, x, &err);
  }
  h->pid = iu__process_pid(h->process);
  h->next = x->processes;
  if (h->next != NULL) h->next->prev = h;
  x->processes = h;
  return 1;
}

static int f_kill(lua_State *L) {
  iu_lua *x = iu__lua(L);
  lua_Integer pid = luaL_checkinteger(L, 1), signal = luaL_checkinteger(L, 2);
  iu_error err;
  bool exists;
  luaL_argcheck(L, pid > 0 && pid <= INT32_MAX, 1, "a process's number expected");
  luaL_argcheck(L, signal >= 0 && signal < NSIG, 2, "a signal's number expected");
  if (iu__process_kill((int)pid, (int)signal, &exists, &err) != IU_OK) return iu__push_failure(L, x, &err);
  lua_pushboolean(L, exists);
  return 1;
}

/* ---- a process ---- */

static int m_pid(lua_State *L) {
  lua_pushinteger(L, ((iu_lua_process *)luaL_checkudata(L, 1, CLASS))->pid);
  return 1;
}

static int m_signal(lua_State *L) {
  iu_lua_process *h = luaL_checkudata(L, 1, CLASS);
  lua_Integer signal = luaL_checkinteger(L, 2);
  iu_error err;
  luaL_argcheck(L, signal >= 0 && signal < NSIG, 2, "a signal's number expected");
  if (h->process != NULL && iu__process_signal(h->process, (int)signal, &err) != IU_OK) return iu__push_failure(L, h->x, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int m_close_input(lua_State *L) {
  iu_lua_process *h = luaL_checkudata(L, 1, CLASS);
  if (h->process != NULL) iu__process_close_input(h->process);
  return 0;
}

static int m_close(lua_State *L) {
  process_shut(L, luaL_checkudata(L, 1, CLASS));
  return 0;
}

void iu__process_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"process", f_process}, {"kill", f_kill}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"pid", m_pid}, {"signal", m_signal}, {"close_input", m_close_input}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
