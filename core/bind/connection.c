/* connection.c: a connection as a userdata: calls, subscriptions, reads, and its listener.
 *
 * C memory that is held while Lua values are built (row sets, buffers) is released on every way out: building runs in a protected call.
 * Every entry into the core that may deliver callbacks stands between IU_ENTER and IU_LEAVE, and nothing raises in between.
 *
 * Any call of Lua that needs memory may run finalisers, and these are scripts: they may close the very connection a method works on. So a method
 * takes `c` once, and a close inside a finaliser keeps the connection's memory until its userdata, which the method has on its stack, is collected.
 */
#include "bind.h"

#include "../base/hash.h"

#define CLASS "inner_universe.connection"
enum { LISTEN_ROW, LISTEN_SUBSCRIPTION, LISTEN_ANSWER, LISTEN_CLOSED, LISTEN_COUNT };
static const char *const listen_names[LISTEN_COUNT] = {"row", "subscription", "answer", "closed"};

/* ---- the listener: C hears, Lua is told through the gate ---- */

typedef struct row_call { iu_lua_connection *lc; uint32_t table; const iu_row *old_row, *new_row; const iu_event *event; } row_call;

static void push_hex(lua_State *L, const uint8_t *little, size_t size) {
  uint8_t big[32];
  char text[65];
  for (size_t i = 0; i < size; i++) big[i] = little[size - 1 - i];
  iu__hex(text, big, size);
  lua_pushlstring(L, text, size * 2);
}

static void push_event(lua_State *L, const iu_event *e) {
  lua_createtable(L, 0, 6);
  if (e->subscribed) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "subscribed");
    return;
  }
  if (e->reducer != NULL) {
    const uint8_t *p = e->args.p;
    lua_pushstring(L, e->reducer->name);
    lua_setfield(L, -2, "reducer");
    iu__push_value(L, e->reducer->params, &p, e->args.p + e->args.len);
    lua_setfield(L, -2, "args");
  }
  push_hex(L, e->caller, 32);
  lua_setfield(L, -2, "caller");
  push_hex(L, e->connection_id, 16);
  lua_setfield(L, -2, "connection_id");
  lua_pushinteger(L, e->timestamp);
  lua_setfield(L, -2, "timestamp");
  lua_pushboolean(L, e->own);
  lua_setfield(L, -2, "own");
}

/* One event table serves all rows of a transaction: its arguments may be many times larger than a row. It is held weakly. */
static void push_event_once(lua_State *L, iu_lua_connection *lc, const iu_event *e) {
  static const char key = 0;
  bool known = e->transaction != 0 && e->transaction == lc->event_transaction;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  if (known && lua_rawgetp(L, -1, lc) != LUA_TTABLE) {
    lua_pop(L, 1);
    known = false;
  }
  if (!known) {
    push_event(L, e);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, lc);
    lc->event_transaction = e->transaction;
  }
  lua_remove(L, -2);
}

static void push_row_or_nil(lua_State *L, const iu_table_def *def, const iu_row *row) {
  if (row != NULL) iu__push_row(L, def, row);
  else lua_pushnil(L);
}

static int row_body(lua_State *L) {
  const row_call *c = lua_touserdata(L, 1);
  const iu_table_def *def = &c->lc->c->schema->tables[c->table];
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[LISTEN_ROW]);
  lua_pushstring(L, def->name);
  lua_pushstring(L, c->old_row == NULL ? "insert" : c->new_row == NULL ? "delete" : "update");
  push_row_or_nil(L, def, c->new_row);
  push_row_or_nil(L, def, c->old_row);
  push_event_once(L, c->lc, c->event);
  lua_call(L, 5, 0);
  return 0;
}

static void on_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *event) {
  row_call c = {ud, table, old_row, new_row, event};
  if (c.lc->listener[LISTEN_ROW] >= 0) iu__gate(c.lc->x, row_body, &c);
}

typedef struct note_call { iu_lua_connection *lc; uint64_t id; const char *what; const iu_error *err; iu_rows *rows; } note_call;

static void push_error_or_nil(lua_State *L, iu_lua *x, const iu_error *err) {
  if (err != NULL) iu__push_error(L, x, err);
  else lua_pushnil(L);
}

static int subscription_body(lua_State *L) {
  const note_call *c = lua_touserdata(L, 1);
  iu_lua *x = c->lc->x;
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[LISTEN_SUBSCRIPTION]);
  lua_pushinteger(L, (lua_Integer)c->id);
  lua_pushstring(L, c->what);
  push_error_or_nil(L, x, c->err);
  lua_call(L, 3, 0);
  return 0;
}

static void on_subscription(void *ud, uint64_t id, iu_sub_event what, const iu_error *err) {
  static const char *const names[] = {"applied", "ended", "failed"};
  note_call c = {ud, id, names[what], err, NULL};
  if (c.lc->listener[LISTEN_SUBSCRIPTION] >= 0) iu__gate(c.lc->x, subscription_body, &c);
}

static void push_rows(lua_State *L, const iu_rows *rows) {
  lua_createtable(L, rows->count < INT32_MAX ? (int)rows->count : 0, 0);
  for (uint64_t i = 0; i < rows->count; i++) {
    iu__push_row(L, rows->table, rows->rows[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int answer_body(lua_State *L) {
  const note_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[LISTEN_ANSWER]);
  lua_pushinteger(L, (lua_Integer)c->id);
  push_error_or_nil(L, c->lc->x, c->err);
  if (c->rows != NULL) push_rows(L, c->rows);
  else lua_pushboolean(L, c->err == NULL);
  lua_call(L, 3, 0);
  return 0;
}

static void on_answer(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  (void)value;
  note_call c = {ud, id, NULL, status == IU_OK ? NULL : err, rows};
  if (c.lc->listener[LISTEN_ANSWER] >= 0) iu__gate(c.lc->x, answer_body, &c);
  iu__rows_release(rows);
}

static int closed_body(lua_State *L) {
  const note_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[LISTEN_CLOSED]);
  push_error_or_nil(L, c->lc->x, c->err);
  lua_call(L, 1, 0);
  return 0;
}

static void on_closed(void *ud, const iu_error *why) {
  note_call c = {ud, 0, NULL, why, NULL};
  iu__view_iters_cut(c.lc);
  if (c.lc->x->L == NULL || !iu__in_finalizer(c.lc->x->L)) iu__view_iters_close(c.lc);
  if (c.lc->listener[LISTEN_CLOSED] >= 0) iu__gate(c.lc->x, closed_body, &c);
}

/* ---- life ---- */

static void listen(iu_lua_connection *lc) {
  const iu_listener listener = {lc, on_row, on_subscription, on_answer, on_closed, NULL};
  iu__conn_listen(lc->c, &listener);
}

/* An empty userdata first, then the connection in it: whatever raises, the collector finds it. */
static iu_lua_connection *new_userdata(lua_State *L, iu_lua *x) {
  iu_lua_connection *lc = lua_newuserdatauv(L, sizeof *lc, 1);
  memset(lc, 0, sizeof *lc);
  lc->x = x;
  for (int i = 0; i < LISTEN_COUNT; i++) lc->listener[i] = LUA_NOREF;
  luaL_setmetatable(L, CLASS);
  return lc;
}

static void adopt(iu_lua_connection *lc, iu_connection *c) {
  lc->c = c;
  lc->next = lc->x->connections;
  if (lc->next != NULL) lc->next->prev = lc;
  lc->x->connections = lc;
  listen(lc);
}

bool iu__in_finalizer(lua_State *L) { return lua_gc(L, LUA_GCCOUNT) < 0; } /* Lua 5.4 refuses every request about the collector there */

void iu__connection_shut(lua_State *L, iu_lua_connection *lc, bool final, iu_error *err, iu_status *status) {
  iu_connection *c = lc->c;
  bool keep = !final && iu__in_finalizer(L);
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
  else c->vtable->release(c);
  for (int i = 0; i < LISTEN_COUNT; i++) iu__unref(L, lc->x, &lc->listener[i]);
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
  if (lc->dead != NULL) lc->dead->vtable->release(lc->dead);
  lc->dead = NULL;
  for (int i = 0; i < LISTEN_COUNT; i++) iu__unref(L, lc->x, &lc->listener[i]);
  return 0;
}

iu_lua_connection *iu__check_connection(lua_State *L, int index) {
  iu_lua_connection *lc = luaL_checkudata(L, index, CLASS);
  if (lc->c == NULL) luaL_error(L, "the connection is closed");
  return lc;
}

static uint64_t opt_u64(lua_State *L, int table, const char *name) {
  lua_Integer v;
  lua_getfield(L, table, name);
  int is_integer = 1;
  v = lua_isnil(L, -1) ? 0 : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) luaL_error(L, "%s: expected an integer, got %s", name, luaL_tolstring(L, -1, NULL));
  if (v < 0) luaL_error(L, "%s: expected 0 or more, got %I", name, (LUAI_UACINT)v);
  lua_pop(L, 1);
  return (uint64_t)v;
}

static int f_open(lua_State *L) {
  static const char *const levels[] = {"full", "normal", "off", NULL};
  iu_lua *x = iu__lua(L);
  iu_engine_config config;
  iu_lua_connection *lc;
  iu_connection *c = NULL;
  size_t path_len;
  iu_error err;
  iu_status status;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  iu__engine_config_init(&config);
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
    uint64_t interval = opt_u64(L, 1, "flush_interval_ms");
    config.flush_interval_ms = interval < UINT32_MAX ? (uint32_t)interval : UINT32_MAX;
  }
  config.fold_bytes = opt_u64(L, 1, "fold_bytes");
  config.pending_bytes_max = opt_u64(L, 1, "pending_bytes_max");
  config.log = (iu_log){iu__lua_log, x, IU_LOG_TRACE};
  lc = new_userdata(L, x);
  status = iu__lua_loop(x, &config.loop, &err);
  IU_ENTER(x, L);
  if (status == IU_OK) status = iu__engine_open(&config, &c, &err);
  IU_LEAVE(x);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  adopt(lc, c);
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
  session = new_userdata(L, lc->x);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* the universe lives while a session is held */
  IU_ENTER(lc->x, L);
  status = iu__engine_session(parent, hex != NULL ? identity : NULL, &c, &err);
  IU_LEAVE(lc->x);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  adopt(session, c);
  return 1;
}

static int m_listen(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  for (int i = 0; i < LISTEN_COUNT; i++) {
    iu__unref(L, lc->x, &lc->listener[i]);
    if (lua_getfield(L, 2, listen_names[i]) == LUA_TFUNCTION) lc->listener[i] = iu__ref(L, lc->x);
    else lua_pop(L, 1);
  }
  return 0;
}

/* ---- results ---- */

static int rows_body(lua_State *L) {
  push_rows(L, lua_touserdata(L, 1));
  return 1;
}

static int first_row_body(lua_State *L) {
  const iu_rows *rows = lua_touserdata(L, 1);
  push_row_or_nil(L, rows->table, rows->count > 0 ? rows->rows[0] : NULL);
  return 1;
}

/* value; nil, err; or false, id. */
static int give(lua_State *L, iu_lua *x, iu_status status, const iu_error *err, uint64_t pending, iu_rows *rows, lua_CFunction body) {
  uint64_t matched;
  int rc;
  if (status != IU_OK) return iu__push_failure(L, x, err);
  if (pending != 0) {
    lua_pushboolean(L, 0);
    lua_pushinteger(L, (lua_Integer)pending);
    return 2;
  }
  if (rows == NULL) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, rows);
  rc = lua_pcall(L, 1, 1, 0);
  matched = rows->matched;
  iu__rows_release(rows);
  if (rc != LUA_OK) return lua_error(L);
  if (matched == IU_MATCHED_UNKNOWN) lua_pushnil(L);
  else lua_pushinteger(L, (lua_Integer)matched);
  return 2;
}

/* ---- calls ---- */

static iu_status wrong_arguments(iu_connection *c, const iu_reducer_def *def, int given, iu_error *err) {
  iu_buf signature = {0};
  iu__reducer_signature(c->schema, def, &signature);
  iu__buf_put_u8(&signature, 0);
  const char *text = signature.failed ? def->name : (const char *)signature.data;
  if (given >= 0) iu__fail(err, IU_E_VALIDATION, "%s takes %u arguments, got %d: %s", def->name, def->params->count, given, text);
  else {
    char detail[IU_ERROR_MESSAGE_MAX];
    memcpy(detail, err->message, sizeof detail);
    iu__fail(err, IU_E_VALIDATION, "%s (%s)", detail, text);
  }
  iu__buf_free(&signature);
  return IU_E_VALIDATION;
}

static iu_status encode_arguments(lua_State *L, iu_connection *c, const iu_reducer_def *def, int first, iu_buf *args, iu_error *err) {
  int given = lua_gettop(L) - first + 1;
  iu_status status = IU_OK;
  if (given > (int)def->params->count) return wrong_arguments(c, def, given, err);
  if (!lua_checkstack(L, (int)def->params->count + LUA_MINSTACK)) return iu__fail_nomem(err);
  lua_settop(L, first + (int)def->params->count - 1); /* absent ones at the end are nil: none, where the type is an option */
  for (uint32_t i = 0; status == IU_OK && i < def->params->count; i++) {
    const iu_field *f = &def->params->u.fields[i];
    if ((int)i >= given && iu__type_deref(f->type)->special != IU_S_OPTION) return wrong_arguments(c, def, given, err);
    status = iu__encode_value(L, first + (int)i, f->type, f->name, args, err);
  }
  if (status == IU_E_VALIDATION) return wrong_arguments(c, def, -1, err);
  return status == IU_OK ? iu__buf_status(args, err, "arguments") : status;
}

static int m_call(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  int reducer = iu__schema_reducer(c->schema, name, len);
  iu_buf args = {.limit = IU_ENGINE_ARGS_BYTES_MAX};
  uint64_t pending = 0;
  iu_error err;
  iu_status status;
  if (reducer < 0) {
    char suggestion[96], shown[64 * 4 + 4];
    iu__schema_suggest_reducer(c->schema, name, len, suggestion);
    iu__fail(&err, IU_E_VALIDATION, "unknown reducer `%s`%s", iu__printable(shown, 64, name, len), suggestion);
    return iu__push_failure(L, lc->x, &err);
  }
  status = encode_arguments(L, c, &c->schema->reducers[reducer], 3, &args, &err);
  if (status == IU_OK) {
    IU_ENTER(lc->x, L);
    status = c->vtable->call(c, (uint32_t)reducer, args.data, args.len, &pending, &err);
    IU_LEAVE(lc->x);
  }
  iu__buf_free(&args);
  return give(L, lc->x, status, &err, pending, NULL, NULL);
}

/* ---- subscriptions ---- */

#define QUERIES_MAX 1000

static int m_subscribe(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  lua_Integer n;
  iu_slice *queries;
  uint64_t id = 0;
  iu_error err;
  luaL_checktype(L, 2, LUA_TTABLE);
  n = (lua_Integer)lua_rawlen(L, 2);
  if (n > QUERIES_MAX) {
    iu__fail(&err, IU_E_VALIDATION, "queries: %lld of them, the limit is %d", (long long)n, QUERIES_MAX);
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
  return give(L, lc->x, status, &err, 0, NULL, NULL);
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

/* ---- one-off reads ---- */

static int m_query(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  uint64_t pending = 0;
  iu_rows *rows = NULL;
  iu_error err;
  iu_status status = c->vtable->query(c, sql, len, &rows, &pending, &err);
  return give(L, lc->x, status, &err, pending, rows, rows_body);
}

static int m_get(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_buf key = {0};
  uint64_t pending = 0;
  iu_rows *rows = NULL;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  const iu_table_def *def;
  iu_status status;
  luaL_checkany(L, 3);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  def = &c->schema->tables[table];
  status = def->primary_key < 0 ? iu__fail(&err, IU_E_VALIDATION, "%s: the table has no primary key", def->name)
                                : iu__encode_value(L, 3, def->row->u.fields[def->primary_key].type,
                                                   def->row->u.fields[def->primary_key].name, &key, &err);
  if (status == IU_OK) status = iu__buf_status(&key, &err, "key");
  if (status == IU_OK) status = c->vtable->get(c, table, key.data, key.len, &rows, &pending, &err);
  iu__buf_free(&key);
  return give(L, lc->x, status, &err, pending, rows, first_row_body);
}

#define FILTERS_MAX 256

static const char *filter_field(lua_State *L, int filter, int position, size_t *len) {
  const char *s;
  if (lua_rawgeti(L, filter, position) != LUA_TSTRING) luaL_error(L, "filters: expected { field, operator, json_text }");
  s = lua_tolstring(L, -1, len);
  lua_pop(L, 1); /* kept by the filter table */
  return s;
}

/* Nothing in here but an error asks Lua for memory once the first text was read, so no finaliser can take a text away. */
static void read_filters(lua_State *L, int list, iu_filter_spec *filters, lua_Integer n) {
  int top = lua_gettop(L);
  for (lua_Integer i = 1; i <= n; i++) {
    iu_filter_spec *f = &filters[i - 1];
    if (lua_rawgeti(L, list, i) != LUA_TTABLE) luaL_error(L, "filters: expected { field, operator, json_text }");
    f->field = filter_field(L, top + 1, 1, &f->field_len);
    f->op = filter_field(L, top + 1, 2, &f->op_len);
    f->json = filter_field(L, top + 1, 3, &f->json_len);
    lua_settop(L, top);
  }
}

static int m_select(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_selection_spec spec = {0};
  iu_filter_spec *filters;
  lua_Integer n = 0;
  uint64_t pending = 0;
  iu_rows *rows = NULL;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  spec.limit = opt_u64(L, 3, "limit");
  spec.offset = opt_u64(L, 3, "offset");
  spec.has_limit = lua_getfield(L, 3, "limit") != LUA_TNIL;
  lua_getfield(L, 3, "descending");
  spec.descending = lua_toboolean(L, -1);
  if (lua_getfield(L, 3, "order_by") != LUA_TNIL && (spec.order_by = lua_tolstring(L, -1, &spec.order_by_len)) == NULL) {
    return luaL_error(L, "order_by: expected a string, got %s", luaL_typename(L, -1));
  }
  if (lua_getfield(L, 3, "filters") == LUA_TTABLE) n = (lua_Integer)lua_rawlen(L, -1);
  if (n > FILTERS_MAX) {
    iu__fail(&err, IU_E_VALIDATION, "filters: %lld of them, the limit is %d", (long long)n, FILTERS_MAX);
    return iu__push_failure(L, lc->x, &err);
  }
  filters = lua_newuserdatauv(L, (size_t)(n > 0 ? n : 1) * sizeof *filters, 0);
  read_filters(L, lua_gettop(L) - 1, filters, n);
  spec.filter_count = (uint32_t)n;
  spec.filters = n > 0 ? filters : NULL;
  if (lc->c == NULL) return luaL_error(L, "the connection is closed"); /* by a metamethod of the spec */
  iu_status status = c->vtable->select(c, table, &spec, &rows, &pending, &err);
  return give(L, lc->x, status, &err, pending, rows, rows_body);
}

/* ---- durability ---- */

static int m_flush(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  uint64_t pending = 0;
  iu_error err;
  IU_ENTER(lc->x, L);
  iu_status status = lc->c->vtable->flush(lc->c, &pending, &err);
  IU_LEAVE(lc->x);
  return give(L, lc->x, status, &err, pending, NULL, NULL);
}

static int m_fold(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  lua_Number seconds = luaL_optnumber(L, 2, -1);
  iu_error err;
  iu_status status = iu__engine_fold(lc->c, seconds >= 0 && seconds < 1e9 ? (int64_t)(seconds * 1000) : -1, &err);
  return give(L, lc->x, status, &err, 0, NULL, NULL);
}

/* ---- facts ---- */

static int m_identity(lua_State *L) {
  push_hex(L, iu__check_connection(L, 1)->c->identity, 32);
  return 1;
}

static int m_connection_id(lua_State *L) {
  push_hex(L, iu__check_connection(L, 1)->c->connection_id, 16);
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
  const char *name = luaL_checklstring(L, index, &len);
  int table = iu__schema_table(c->schema, name, len);
  *ok = table >= 0;
  if (*ok) return (uint32_t)table;
  char suggestion[96], shown[64 * 4 + 4];
  iu__schema_suggest_table(c->schema, name, len, suggestion);
  iu__fail(err, IU_E_VALIDATION, "no such table: `%s`%s", iu__printable(shown, 64, name, len), suggestion);
  return 0;
}

void iu__connection_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"call", m_call}, {"subscribe", m_subscribe}, {"unsubscribe", m_unsubscribe}, {"query", m_query}, {"select", m_select}, {"get", m_get},
      {"flush", m_flush}, {"fold", m_fold}, {"deliver", m_deliver}, {"session", m_session}, {"listen", m_listen}, {"watch", m_watch},
      {"identity", m_identity}, {"connection_id", m_connection_id}, {"is_owner", m_is_owner}, {"is_closed", m_is_closed},
      {"schema", iu__describe_schema}, {"status", iu__describe_status}, {"table_get", iu__table_get_method}, {"table_find", iu__table_find_method},
      {"table_count", iu__table_count_method}, {"table_iter", iu__table_iter_method}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, m_gc};
  iu__class_define(L, &class);
  iu__table_open(L);
  lua_pushcfunction(L, f_open);
  lua_setfield(L, -2, "open");
}
