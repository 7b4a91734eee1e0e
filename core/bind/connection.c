/* connection.c: a connection as a userdata: its life, calls, subscriptions. Reads are in read.c, its listener in listen.c.
 *
 * Every entry into the core that may deliver callbacks stands between IU_ENTER and IU_LEAVE, and nothing raises in between.
 *
 * Any call of Lua that needs memory may run finalisers, and these are scripts: they may close the very connection a method works on. So a method
 * takes `c` once, and a close inside a finaliser keeps the connection's memory until its userdata, which the method has on its stack, is collected.
 */
#include "module.h"

#include "../base/hash.h"
#include "../sats/bsatn_put.h"

#define CLASS "inner_universe.connection"
/* ---- life ---- */

/* An empty userdata first, then the connection in it: whatever raises, the collector finds it. */
iu_lua_connection *iu__connection_userdata(lua_State *L, iu_lua *x) {
  iu_lua_connection *lc = lua_newuserdatauv(L, sizeof *lc, 2);
  memset(lc, 0, sizeof *lc);
  lc->x = x;
  for (int i = 0; i < IU_LISTEN_COUNT; i++) lc->listener[i] = LUA_NOREF;
  luaL_setmetatable(L, CLASS);
  return lc;
}

void iu__connection_adopt(iu_lua_connection *lc, iu_connection *c) {
  lc->c = c;
  lc->next = lc->x->connections;
  if (lc->next != NULL) lc->next->prev = lc;
  lc->x->connections = lc;
  iu__connection_listen(lc);
}

bool iu__in_finalizer(lua_State *L) { return lua_gc(L, LUA_GCCOUNT) < 0; } /* Lua 5.4 refuses every request about the collector there */

/* Its modules in Lua let go of their references. */
static void release(lua_State *L, iu_lua *x, iu_connection *c) {
  IU_ENTER(x, L);
  c->vtable->release(c);
  IU_LEAVE(x);
}

void iu__connection_shut(lua_State *L, iu_lua_connection *lc, bool final, iu_error *err, iu_status *status) {
  iu_connection *c = lc->c;
  bool keep = !final && (lc->x->plains > 0 || iu__in_finalizer(L));
  iu_status result;
  if (c == NULL) return;
  iu__view_iters_cut(lc);
  if (!keep) iu__view_iters_close(lc);
  if (final) iu__conn_listen(c, NULL);
  lc->c = NULL; /* closed for scripts from here on, also for those that run during the close */
  IU_ENTER(lc->x, L);
  result = c->vtable->close(c, err);
  IU_LEAVE(lc->x);
  if (status != NULL) *status = result;
  if (lc->prev != NULL) lc->prev->next = lc->next;
  else lc->x->connections = lc->next;
  if (lc->next != NULL) lc->next->prev = lc->prev;
  iu__conn_listen(c, NULL);
  if (keep) lc->dead = c;
  else release(L, lc->x, c);
  for (int i = 0; i < IU_LISTEN_COUNT; i++) iu__unref(L, lc->x, &lc->listener[i]);
}

static int m_close(lua_State *L) {
  iu_lua_connection *lc = luaL_checkudata(L, 1, CLASS);
  iu_error err;
  iu_status status = IU_OK;
  iu__connection_shut(L, lc, false, &err, &status);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* Nobody is left to be told, and a finaliser is no place to run scripts. */
static int m_gc(lua_State *L) {
  iu_lua_connection *lc = luaL_checkudata(L, 1, CLASS);
  iu__connection_shut(L, lc, true, NULL, NULL);
  iu__view_iters_close(lc);
  if (lc->dead != NULL) release(L, lc->x, lc->dead);
  lc->dead = NULL;
  for (int i = 0; i < IU_LISTEN_COUNT; i++) iu__unref(L, lc->x, &lc->listener[i]);
  return 0;
}

iu_lua_connection *iu__check_connection(lua_State *L, int index) {
  iu_lua_connection *lc = iu__class_check(L, index, CLASS);
  if (lc->c == NULL) luaL_error(L, "the connection is closed");
  return lc;
}

uint64_t iu__opt_u64(lua_State *L, int table, const char *name) {
  lua_Integer v;
  lua_getfield(L, table, name);
  int is_integer = 1;
  v = lua_isnil(L, -1) ? 0 : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) luaL_error(L, "%s: expected an integer, got %s", name, luaL_tolstring(L, -1, NULL));
  if (v < 0) luaL_error(L, "%s: expected 0 or more, got %I", name, (LUAI_UACINT)v);
  lua_pop(L, 1);
  return (uint64_t)v;
}

const char *iu__opt_text(lua_State *L, int table, const char *name) {
  size_t len;
  int type = lua_getfield(L, table, name);
  if (type != LUA_TNIL && type != LUA_TSTRING) luaL_error(L, "%s: expected a string, got %s", name, lua_typename(L, type));
  const char *text = lua_tolstring(L, -1, &len);
  if (text != NULL && strlen(text) != len) luaL_error(L, "%s: a zero byte at %d", name, (int)strlen(text));
  lua_pop(L, 1);
  return text;
}

static int f_open(lua_State *L) {
  static const char *const levels[] = {"full", "normal", "off", NULL}, *const recoveries[] = {"no", "prefix", NULL};
  iu_lua *x = iu__lua(L);
  iu_engine_config config;
  iu_hosted_module modules[IU_ENGINE_MODULES_MAX];
  iu_lua_connection *lc;
  iu_connection *c = NULL;
  size_t path_len;
  iu_error err;
  iu_status status;
  int at;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_newtable(L);
  luaL_checkstack(L, LUA_MINSTACK, "open");
  iu_difference_list differences = {L, 2, false};
  iu__engine_config_init(&config);
  config.differs = iu__on_difference;
  config.differs_ud = &differences;
  lua_getfield(L, 1, "path");
  config.path = luaL_optlstring(L, -1, NULL, &path_len);
  if (config.path != NULL && strlen(config.path) != path_len) {
    iu__fail(&err, IU_E_VALIDATION, "path: expected a file name, got one with a zero byte at %zu", strlen(config.path));
    return iu__push_failure(L, x, &err);
  }
  lua_getfield(L, 1, "durability");
  config.durability = (iu_durability)luaL_checkoption(L, -1, "normal", levels);
  lua_getfield(L, 1, "flush_interval_ms");
  if (!lua_isnil(L, -1)) {
    uint64_t interval = iu__opt_u64(L, 1, "flush_interval_ms");
    config.flush_interval_ms = interval < UINT32_MAX ? (uint32_t)interval : UINT32_MAX;
  }
  lua_getfield(L, 1, "snapshot");
  config.snapshot = lua_toboolean(L, -1);
  lua_getfield(L, 1, "known_only");
  config.known_only = lua_toboolean(L, -1);
  lua_getfield(L, 1, "recover");
  config.recover_prefix = luaL_checkoption(L, -1, "no", recoveries) == 1;
  config.fold_bytes = iu__opt_u64(L, 1, "fold_bytes");
  config.pending_bytes_max = iu__opt_u64(L, 1, "pending_bytes_max");
  config.log = (iu_log){iu__lua_log, x, IU_LOG_TRACE};
  config.micros = iu__lua_micros;
  config.micros_ud = x;
  lua_getfield(L, 1, "no_nerv");
  config.no_nerv = lua_toboolean(L, -1);
  lc = iu__connection_userdata(L, x);
  at = lua_gettop(L);
  status = x->run != NULL ? iu__fail(&err, IU_E_CONFLICT, "a universe cannot be opened inside a reducer") : iu__lua_loop(x, &config.loop, &err);
  if (status == IU_OK && lua_getfield(L, 1, "modules") == LUA_TTABLE) {
    config.module_count = iu__lua_modules_read(L, lua_gettop(L), iu__opt_u64(L, 1, "reducer_timeout_ms"), iu__opt_u64(L, 1, "reducer_memory_mb"), modules,
                                           IU_ENGINE_MODULES_MAX - 1);
    config.modules = modules;
  }
  IU_ENTER(x, L);
  if (status == IU_OK) status = iu__engine_open(&config, &c, &err);
  IU_LEAVE(x);
  if (status != IU_OK) {
    iu__push_failure(L, x, &err);
    if (lua_rawlen(L, 2) == 0 || differences.lost) return 2;
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "details");
    return 2;
  }
  iu__connection_adopt(lc, c);
  lua_settop(L, at);
  return 1;
}

static int m_session(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1), *session;
  iu_connection *parent = lc->c;
  size_t len;
  const char *hex = luaL_optlstring(L, 2, NULL, &len);
  uint8_t big[32], identity[32];
  iu_connection *c = NULL;
  iu_error err;
  iu_status status = IU_OK;
  if (hex != NULL) {
    if (len != 64 || !iu__unhex(big, hex, 64)) {
      iu__fail(&err, IU_E_VALIDATION, "identity: expected 64 hex digits, got %d characters", (int)len);
      return iu__push_failure(L, lc->x, &err);
    }
    for (int i = 0; i < 32; i++) identity[i] = big[31 - i];
  }
  session = iu__connection_userdata(L, lc->x);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* the universe lives while a session is held */
  if (iu__is_client(parent)) {
    iu__fail(&err, IU_E_VALIDATION, "session: a connection to a server has none; connect once more with another token");
    return iu__push_failure(L, lc->x, &err);
  }
  IU_ENTER(lc->x, L);
  status = iu__engine_session(parent, hex != NULL ? identity : NULL, &c, &err);
  IU_LEAVE(lc->x);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  iu__connection_adopt(session, c);
  return 1;
}

/* ---- calls ---- */

iu_status iu__encode_arguments(lua_State *L, const iu_schema *s, const iu_callee *f, int first, int defaults, iu_buf *args, iu_error *err) {
  int given = lua_gettop(L) - first + 1;
  iu_status status = IU_OK;
  if (given > (int)f->params->count) return iu__callee_wrong_count(s, f, (size_t)given, err);
  if (!lua_checkstack(L, (int)f->params->count + LUA_MINSTACK)) return iu__fail_nomem(err);
  lua_settop(L, first + (int)f->params->count - 1); /* absent ones at the end are nil: none, where the type is an option */
  for (uint32_t i = 0; status == IU_OK && i < f->params->count; i++) {
    const iu_field *p = &f->params->u.fields[i];
    if ((int)i >= given && iu__type_deref(p->type)->special != IU_S_OPTION) return iu__callee_wrong_count(s, f, (size_t)given, err);
    status = iu__encode_argument(L, first + (int)i, defaults, p, args, err);
  }
  if (status == IU_E_VALIDATION) return iu__callee_wrong_argument(s, f, err);
  return status == IU_OK ? iu__buf_status(args, err, "arguments") : status;
}

#define ARGS_KEPT (64u * 1024u) /* bytes of memory that wait for the next call */

/* The memory for arguments is used by one call after the other; a call made inside a callback of another one has its own. */
static iu_buf take_args(iu_lua *x) {
  iu_buf args = x->args;
  x->args = (iu_buf){0};
  args.limit = IU_ARGS_BYTES_MAX;
  return args;
}

static void give_args_back(iu_lua *x, iu_buf *args) {
  if (x->closed || x->args.data != NULL || args->cap > ARGS_KEPT || args->failed) {
    iu__buf_free(args);
    return;
  }
  iu__buf_reset(args);
  x->args = *args;
}

/* Plain code: tasks and callbacks have coroutines of their own. */
static bool nothing_else_runs(lua_State *L, const iu_lua *x) {
  bool is_main = lua_pushthread(L) == 1;
  lua_pop(L, 1);
  return is_main && x->gates == 0 && x->turns == 0 && x->run == NULL && x->loop != NULL && !iu__loop_turning(x->loop);
}

/* `find` says what kind of callee the name behind the connection is; with a table of defaults between them, a name or arguments that are refused give nothing. */
static int call(lua_State *L, iu_status (*find)(const iu_schema *s, const char *name, size_t len, iu_callee *out, iu_error *err), int defaults, bool waits) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  uint64_t pending = 0;
  iu_callee f;
  iu_error err;
  size_t len;
  int at = defaults != 0 ? defaults + 1 : 2;
  const char *name = luaL_checklstring(L, at, &len);
  bool refused;
  if (defaults != 0) luaL_checktype(L, defaults, LUA_TTABLE);
  iu_buf args = take_args(lc->x);
  iu_status status = lc->x->run == NULL ? find(c->schema, name, len, &f, &err)
                                        : iu__fail(&err, IU_E_CONFLICT, "%s: a reducer calls others with ctx:call, and nothing else", name);
  if (status == IU_OK) status = iu__encode_arguments(L, c->schema, &f, at + 1, defaults, &args, &err);
  refused = status != IU_OK && defaults != 0;
  if (status == IU_OK) {
    c->waits_here = waits && nothing_else_runs(L, lc->x);
    IU_ENTER(lc->x, L);
    status = iu__callee_call(c, &f, args.data, args.len, &pending, &err);
    IU_LEAVE(lc->x);
  }
  give_args_back(lc->x, &args);
  if (refused) return 0;
  int count = iu__give(L, lc->x, status, &err, pending, NULL, NULL);
  if (status != IU_OK || pending == 0) return count;
  lua_pushnumber(L, (lua_Number)iu__clock_mono_ns() / 1e9); /* who waits for the answer needs it */
  return count + 1;
}

/* After a call or a session that ended with OVERLOADED: nothing: not because the journal was full; true: it has room by now; false, id: the answer comes when
 * it has. */
static int m_room(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  uint64_t pending = 0;
  bool full = false;
  iu_error err;
  iu_status status = iu__is_client(lc->c) ? IU_OK : iu__engine_ask_room(lc->c, &full, &pending, &err);
  return status == IU_OK && !full ? 0 : iu__give(L, lc->x, status, &err, pending, NULL, NULL);
}

static int m_call(lua_State *L) { return call(L, iu__callee_reducer, 0, false); }
static int m_call_here(lua_State *L) { return call(L, iu__callee_reducer, 0, true); }
static int m_call_filled(lua_State *L) { return call(L, iu__callee_reducer, 2, true); }
static int m_procedure(lua_State *L) { return call(L, iu__callee_procedure, 0, false); }

static int m_refresh_schema(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  uint64_t pending = 0;
  iu_error err;
  IU_ENTER(lc->x, L);
  iu_status status = lc->c->vtable->refresh_schema(lc->c, &pending, &err);
  IU_LEAVE(lc->x);
  return iu__give(L, lc->x, status, &err, pending, NULL, NULL);
}

/* ---- subscriptions ---- */

static int m_subscribe(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  lua_Integer n;
  iu_slice *queries;
  uint64_t id = 0;
  iu_error err;
  luaL_checktype(L, 2, LUA_TTABLE);
  n = (lua_Integer)lua_rawlen(L, 2);
  if (n > IU_SUBSCRIBE_QUERIES_MAX) {
    iu__fail(&err, IU_E_VALIDATION, "queries: %lld of them, the limit is %d", (long long)n, IU_SUBSCRIBE_QUERIES_MAX);
    return iu__push_failure(L, lc->x, &err);
  }
  queries = lua_newuserdatauv(L, (size_t)(n > 0 ? n : 1) * sizeof *queries, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, 2, i) != LUA_TSTRING) return luaL_argerror(L, 2, "expected an array of query strings");
    queries[i - 1].p = (const uint8_t *)lua_tolstring(L, -1, &queries[i - 1].len); /* kept by the table */
    lua_pop(L, 1);
  }
  IU_ENTER(lc->x, L);
  iu_status status = c->vtable->subscribe(c, queries, (uint32_t)n, &id, &err);
  IU_LEAVE(lc->x);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  lua_pushinteger(L, (lua_Integer)id);
  return 1;
}

static int m_unsubscribe(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  lua_Integer id = luaL_checkinteger(L, 2);
  iu_error err;
  IU_ENTER(lc->x, L);
  iu_status status = lc->c->vtable->unsubscribe(lc->c, (uint64_t)id, &err);
  IU_LEAVE(lc->x);
  return iu__give(L, lc->x, status, &err, 0, NULL, NULL);
}

static int m_watch(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  lua_Integer mask = luaL_checkinteger(L, 3);
  iu_error err;
  bool ok;
  iu_connection *c = lc->c;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  luaL_argcheck(L, mask >= 0 && mask <= 7, 3, "expected 0 to 7");
  iu__conn_watch(c, table, (uint8_t)mask);
  lc->x->watches++;
  lua_pushboolean(L, 1);
  return 1;
}

static int m_deliver(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  IU_ENTER(lc->x, L);
  bool more = lc->c->vtable->deliver(lc->c);
  IU_LEAVE(lc->x);
  lua_pushboolean(L, more);
  return 1;
}

/* ---- durability ---- */

static int m_flush(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  uint64_t pending = 0;
  iu_error err;
  IU_ENTER(lc->x, L);
  iu_status status = lc->c->vtable->flush(lc->c, &pending, &err);
  IU_LEAVE(lc->x);
  return iu__give(L, lc->x, status, &err, pending, NULL, NULL);
}

static int m_fold(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  uint64_t pending = 0;
  iu_error err;
  if (iu__is_client(lc->c)) {
    iu__fail(&err, IU_E_VALIDATION, "fold: there is no journal here: the connection is to a server");
    return iu__push_failure(L, lc->x, &err);
  }
  iu_status status = iu__engine_ask_fold(lc->c, &pending, &err);
  return iu__give(L, lc->x, status, &err, pending, NULL, NULL);
}

/* SQL that makes something of SQLite's own in the file: core/journal/extend.c. */
static int m_extend_file(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  const char *sql = luaL_checkstring(L, 2);
  uint64_t pending = 0;
  iu_error err;
  iu_status status = iu__is_client(lc->c) ? iu__fail(&err, IU_E_VALIDATION, "there is no file here: the connection is to a server")
                                          : iu__engine_ask_extend(lc->c, sql, &pending, &err);
  return iu__give(L, lc->x, status, &err, pending, NULL, NULL);
}

/* The universe's file, or nil: in memory. */
static int m_file(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  if (iu__is_client(lc->c)) {
    iu_error err;
    iu__fail(&err, IU_E_VALIDATION, "there is no file here: the connection is to a server");
    return iu__push_failure(L, lc->x, &err);
  }
  lua_pushstring(L, iu__engine_file(lc->c));
  return 1;
}

/* ---- facts ---- */

static int m_identity(lua_State *L) {
  iu__push_hex(L, iu__check_connection(L, 1)->c->identity, 32);
  return 1;
}

static int m_connection_id(lua_State *L) {
  iu__push_hex(L, iu__check_connection(L, 1)->c->connection_id, 16);
  return 1;
}

static int m_is_owner(lua_State *L) {
  lua_pushboolean(L, iu__check_connection(L, 1)->c->is_owner);
  return 1;
}

static int m_is_closed(lua_State *L) {
  const iu_lua_connection *lc = luaL_checkudata(L, 1, CLASS);
  lua_pushboolean(L, lc->c == NULL || lc->c->closed);
  return 1;
}

uint32_t iu__check_table(lua_State *L, const iu_connection *c, int index, iu_error *err, bool *ok) {
  size_t len;
  uint32_t table = 0;
  const char *name = luaL_checklstring(L, index, &len);
  *ok = iu__find_table(c->schema, name, len, &table, err) == IU_OK;
  return table;
}

void iu__connection_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"call", m_call}, {"call_here", m_call_here}, {"call_filled", m_call_filled}, {"room", m_room}, {"subscribe", m_subscribe},
      {"unsubscribe", m_unsubscribe},
      {"query", iu__query_method}, {"query_is_sql", iu__query_is_sql_method}, {"select", iu__select_method},
      {"get", iu__get_method}, {"explain", iu__explain_method}, {"procedure", m_procedure}, {"refresh_schema", m_refresh_schema},
      {"row_bytes", iu__row_bytes_method}, {"row_of_bytes", iu__row_of_bytes_method}, {"row_json", iu__row_json_method},
      {"row_of_json", iu__row_of_json_method}, {"batch", iu__batch_method}, {"select_from", iu__select_from_method},
      {"create_index", iu__create_index_method}, {"drop_index", iu__drop_index_method}, {"indexes", iu__indexes_method},
      {"flush", m_flush}, {"fold", m_fold}, {"file", m_file}, {"extend_file", m_extend_file}, {"text_sync", iu__text_sync_method}, {"text_sql", iu__text_sql_method}, {"check_file", iu__check_file_method}, {"deliver", m_deliver}, {"session", m_session}, {"listen", iu__listen_method}, {"watch", m_watch},
      {"identity", m_identity}, {"connection_id", m_connection_id}, {"is_owner", m_is_owner}, {"is_closed", m_is_closed},
      {"schema", iu__describe_schema}, {"schema_json", iu__schema_json_method}, {"definition", iu__definition_method},
      {"knows", iu__knows_method}, {"status", iu__describe_status}, {"table_get", iu__table_get_method}, {"table_find", iu__table_find_method},
      {"table_count", iu__table_count_method}, {"table_iter", iu__table_iter_method}, {"table_reads", iu__table_reads_method}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, m_gc};
  iu__class_define(L, &class);
  iu__batch_open(L);
  iu__table_open(L);
  lua_pushcfunction(L, f_open);
  lua_setfield(L, -2, "open");
  iu__client_open_functions(L);
}
