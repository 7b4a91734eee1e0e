/* module.c: a module in Lua: made from what core.open is given, hosted by the engine, its reducers run and their errors turned into the engine's.
 *
 * A reducer runs in a protected call on the thread that entered the core; nothing it raises crosses a C frame of the engine. What is raised becomes an
 * iu_error: a text "CODE: message" (with or without the "file:line:" that `error` puts before it) and a table with `code` or `kind` and `message` keep their
 * kind, as the refusals of NERV's reducers do; anything else is a PersistenceError with its text.
 */
#include "module.h"

#include "../base/alloc.h"

#define CLASS "inner_universe.hosted_module"

/* ---- errors ---- */

static iu_status status_by(const char *(*word)(iu_status), const char *text, size_t len) {
  for (int s = IU_OK + 1; s < IU_STATUS_COUNT; s++) {
    const char *known = word((iu_status)s);
    if (strlen(known) == len && memcmp(known, text, len) == 0) return (iu_status)s;
  }
  return IU_OK;
}

static bool has_code(const char *text, size_t len) {
  const char *colon = memchr(text, ':', len < 64 ? len : 64);
  return colon != NULL && status_by(iu_status_code, text, (size_t)(colon - text)) != IU_OK;
}

/* Behind "arena.lua:12: ", where a code stands there. */
static const char *without_position(const char *text, size_t *len) {
  const char *end = text + *len;
  for (const char *p = text; (p = memchr(p, ':', (size_t)(end - p))) != NULL; p++) {
    const char *q = p + 1;
    while (q < end && *q >= '0' && *q <= '9') q++;
    if (q == p + 1 || end - q < 2 || q[0] != ':' || q[1] != ' ') continue;
    q += 2;
    if (!has_code(q, (size_t)(end - q))) break;
    *len = (size_t)(end - q);
    return q;
  }
  return text;
}

static bool status_field(lua_State *L, int table, const char *field, const char *(*word)(iu_status), iu_status *out) {
  size_t len;
  iu_status found = IU_OK;
  if (lua_getfield(L, table, field) == LUA_TSTRING) {
    const char *text = lua_tolstring(L, -1, &len);
    found = status_by(word, text, len);
  }
  lua_pop(L, 1);
  if (found != IU_OK) *out = found;
  return found != IU_OK;
}

/* (value, light userdata of an iu_error) */
static int failure_body(lua_State *L) {
  iu_error *err = lua_touserdata(L, 2);
  iu_status status = IU_E_PERSISTENCE;
  size_t len;
  const char *text;
  if (lua_istable(L, 1) && lua_getfield(L, 1, "message") == LUA_TSTRING) {
    if (!status_field(L, 1, "code", iu_status_code, &status)) (void)status_field(L, 1, "kind", iu_status_kind, &status);
    iu__fail(err, status, "%s", lua_tostring(L, 3));
    return 0;
  }
  text = luaL_tolstring(L, 1, &len);
  text = without_position(text, &len);
  iu__error_from_reducer(err, text, len);
  return 0;
}

/* Of what a protected call left on top. */
static iu_status failure(lua_State *L, const iu_lua_run *r, int rc, iu_error *err) {
  iu_error why;
  if (rc == LUA_ERRMEM) return iu__fail_nomem(err);
  (void)iu__gate_interrupted(L, -1);
  iu__fail(&why, IU_E_PERSISTENCE, "%s: raised a value that cannot be shown", r->call->def->name);
  lua_pushcfunction(L, failure_body);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &why);
  if (lua_pcall(L, 2, 0, 0) == LUA_ERRMEM) return iu__fail_nomem(err);
  if (err != NULL) *err = why;
  return why.status;
}

int iu__module_raise(lua_State *L, iu_lua_module *m, const iu_error *err) {
  iu__push_error(L, m->x, err);
  return lua_error(L);
}

void iu__module_check(lua_State *L, const iu_lua_module *m, const char *what) {
  if (m->run != NULL) return;
  luaL_error(L, "%s: the reducer has ended: ctx and what comes from it serve one only while a reducer runs", what);
}

/* ---- what the engine calls ---- */

static iu_status define(void *ud, iu_buf *out, iu_error *err) {
  iu_lua_module *m = ud;
  iu__buf_put(out, m->definition.data, m->definition.len);
  iu__buf_free(&m->definition);
  return iu__buf_status(out, err, m->name);
}

static iu_status bound(void *ud, const iu_schema *schema, iu_store *store, uint32_t first_table, uint32_t first_reducer, iu_tx *tx, iu_error *err) {
  iu_lua_module *m = ud;
  (void)store;
  (void)first_reducer;
  (void)err;
  m->schema = schema;
  m->first_table = first_table;
  m->tx = tx;
  return IU_OK;
}

static int run_body(lua_State *L) {
  iu_lua_run *r = lua_touserdata(L, 1);
  iu_lua_module *m = r->m;
  const iu_type *params = r->call->def->params;
  const uint8_t *p = r->call->args.p, *end = p + r->call->args.len;
  luaL_checkstack(L, (int)params->count + 4, "arguments of a reducer");
  if (m->ctx == LUA_NOREF) {
    iu__push_ctx(L, m);
    m->ctx = iu__ref(L, m->x);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->functions);
  lua_rawgeti(L, -1, (lua_Integer)r->call->reducer + 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->ctx);
  for (uint32_t i = 0; i < params->count; i++) iu__push_value(L, params->u.fields[i].type, &p, end);
  lua_call(L, (int)params->count + 1, 0);
  return 0;
}

static iu_status run(void *ud, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  iu_lua_module *m = ud;
  iu_lua *x = m->x;
  lua_State *L = x->L;
  iu_lua_run r = {.outer = x->run, .before = m->run, .m = m, .call = call};
  iu_lua_guard own;
  iu_status status = IU_OK;
  int top, rc;
  (void)tx;
  if (L == NULL || !lua_checkstack(L, 8)) return iu__fail(err, IU_E_NOMEM, "%s: no stack left to run it", call->def->name);
  top = lua_gettop(L);
  x->run = m->run = &r;
  iu__guard_enter(L, &r, &own);
  lua_pushcfunction(L, run_body);
  lua_pushlightuserdata(L, &r);
  rc = lua_pcall(L, 1, 0, 0);
  x->L = L; /* whatever ran in between */
  iu__guard_leave(&r);
  if (r.iters != NULL) iu__tx_iters_close(&r);
  m->busy = false;
  if (r.guard->broken) { /* also where something caught it and returned all the same */
    if (err != NULL) *err = r.guard->why;
    status = r.guard->why.status;
  } else if (rc != LUA_OK) {
    status = failure(L, &r, rc, err);
  }
  x->run = r.outer;
  m->run = r.before;
  lua_settop(L, top);
  return status;
}

static void release(void *ud) {
  iu_lua_module *m = ud;
  lua_State *L = m->x->L != NULL ? m->x->L : m->main;
  m->schema = NULL;
  m->tx = NULL;
  iu__unref(L, m->x, &m->ctx);
  iu__unref(L, m->x, &m->functions);
  iu__unref(L, m->x, &m->parts);
  iu__unref(L, m->x, &m->sender_text);
  iu__unref(L, m->x, &m->connection_text);
  iu__unref(L, m->x, &m->self); /* last: the collector may take it from here on */
}

/* ---- making ---- */

static int module_gc(lua_State *L) {
  iu_lua_module *m = luaL_checkudata(L, 1, CLASS);
  iu__buf_free(&m->definition);
  iu__buf_free(&m->row);
  iu__buf_free(&m->key);
  iu__buf_free(&m->args);
  iu__free(m->name);
  m->name = NULL;
  return 0;
}

static const char *text_field(lua_State *L, int table, const char *field, size_t *len) {
  if (lua_getfield(L, table, field) != LUA_TSTRING) luaL_error(L, "modules: %s: expected a string, got %s", field, luaL_typename(L, -1));
  const char *text = lua_tolstring(L, -1, len);
  lua_pop(L, 1); /* kept by the table */
  return text;
}

/* The table on top (popped) as a module; its userdata is in the registry afterwards. */
static iu_lua_module *module_new(lua_State *L, iu_lua *x) {
  int entry = lua_gettop(L);
  size_t name_len, len;
  luaL_checktype(L, entry, LUA_TTABLE);
  const char *name = text_field(L, entry, "name", &name_len), *definition = text_field(L, entry, "definition", &len);
  iu_lua_module *m = lua_newuserdatauv(L, sizeof *m, 0);
  memset(m, 0, sizeof *m);
  m->x = x;
  m->self = m->parts = m->functions = m->ctx = m->sender_text = m->connection_text = LUA_NOREF;
  luaL_setmetatable(L, CLASS);
  m->name = iu__strndup(name, name_len);
  iu__buf_put(&m->definition, definition, len);
  if (m->name == NULL || m->definition.failed) luaL_error(L, "out of memory");
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  m->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  m->table_count = (uint32_t)iu__opt_u64(L, entry, "table_count");
  if (lua_getfield(L, entry, "run") != LUA_TTABLE) luaL_error(L, "modules: run: expected a table");
  m->functions = iu__ref(L, x);
  lua_pushvalue(L, entry);
  m->parts = iu__ref(L, x);
  m->self = iu__ref(L, x);
  lua_settop(L, entry - 1);
  return m;
}

static int read_body(lua_State *L) {
  iu_hosted_module *out = lua_touserdata(L, 2);
  uint32_t *count = lua_touserdata(L, 3);
  iu_lua *x = iu__lua(L);
  lua_Integer n = luaL_len(L, 1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    iu_lua_module *m = module_new(L, x);
    out[(*count)++] = (iu_hosted_module){m->name, m, define, bound, run, release};
  }
  return 0;
}

uint32_t iu__lua_modules_read(lua_State *L, int list, uint64_t timeout_ms, uint64_t memory_mb, iu_hosted_module *out, uint32_t room) {
  uint32_t count = 0;
  if (luaL_len(L, list) > (lua_Integer)room) luaL_error(L, "modules: more than %d", (int)room);
  lua_pushcfunction(L, read_body);
  lua_pushvalue(L, list);
  lua_pushlightuserdata(L, out);
  lua_pushlightuserdata(L, &count);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) {
    iu__lua_modules_release(L, out, count);
    lua_error(L);
  }
  for (uint32_t i = 0; i < count; i++) {
    iu_lua_module *m = out[i].ud;
    m->timeout_ns = timeout_ms < UINT64_MAX / 1000000 ? timeout_ms * 1000000 : 0;
    m->memory_max = memory_mb < SIZE_MAX >> 20 ? (size_t)memory_mb << 20 : 0;
  }
  return count;
}

void iu__lua_modules_release(lua_State *L, iu_hosted_module *modules, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    iu_lua_module *m = modules[i].ud;
    iu_lua *x = m->x;
    IU_ENTER(x, L);
    release(m);
    IU_LEAVE(x);
  }
}

void iu__module_open(lua_State *L) {
  static const iu_class class = {CLASS, NULL, NULL, module_gc, NULL};
  iu__class_define(L, &class);
  iu__module_define_open(L);
}
