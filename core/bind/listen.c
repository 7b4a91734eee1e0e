/* listen.c: what a connection says, told to Lua through the gate: rows, subscriptions, answers, states, its end. */
#include "bind.h"

#include "../base/hash.h"

static const char *const listen_names[IU_LISTEN_COUNT] = {"rows", "subscription", "answer", "closed", "state"};

/* The rows that are being told now: what `next` walks. One in another when a callback changes another connection. */
struct iu_lua_rows { iu_lua_connection *lc; iu_row_source *source; uint64_t given; const iu_table_def *named; };

void iu__push_hex(lua_State *L, const uint8_t *little, size_t size) {
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
  if (e->reducer != NULL || e->timestamp != 0) { /* v2 says nothing of others' transactions */
    iu__push_hex(L, e->caller, 32);
    lua_setfield(L, -2, "caller");
    iu__push_hex(L, e->connection_id, 16);
    lua_setfield(L, -2, "connection_id");
    lua_pushinteger(L, e->timestamp);
    lua_setfield(L, -2, "timestamp");
  }
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

void iu__push_row_or_nil(lua_State *L, const iu_table_def *def, const iu_row *row) {
  if (row != NULL) iu__push_row(L, def, row);
  else lua_pushnil(L);
}

/* next() -> table, "insert" | "update" | "delete", new row or nil, old row or nil; nothing when there is no more to be told now, and outside of the
 * listener's call. Upvalues: the context, the three words, the name of the table given last. */
static int next_row(lua_State *L) {
  iu_lua *x = lua_touserdata(L, lua_upvalueindex(1));
  iu_lua_rows *r = x->rows;
  if (r == NULL || !r->source->next(r->source)) return 0;
  const iu_row_source *s = r->source;
  const iu_table_def *def = &r->lc->c->schema->tables[s->table];
  r->given++;
  if (def != r->named) {
    lua_pushstring(L, def->name);
    lua_replace(L, lua_upvalueindex(5));
    r->named = def;
  }
  lua_pushvalue(L, lua_upvalueindex(5));
  lua_pushvalue(L, lua_upvalueindex(s->old_row == NULL ? 2 : s->new_row != NULL ? 3 : 4));
  iu__push_row_or_nil(L, def, s->new_row);
  iu__push_row_or_nil(L, def, s->old_row);
  return 4;
}

static void push_next(lua_State *L, iu_lua *x) {
  static const char key = 0;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TFUNCTION) return;
  lua_pop(L, 1);
  lua_pushlightuserdata(L, x);
  lua_pushliteral(L, "insert");
  lua_pushliteral(L, "update");
  lua_pushliteral(L, "delete");
  lua_pushnil(L);
  lua_pushcclosure(L, next_row, 5);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

static int rows_body(lua_State *L) {
  const iu_lua_rows *r = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->lc->listener[IU_LISTEN_ROWS]);
  push_next(L, r->lc->x);
  push_event_once(L, r->lc, r->source->event);
  lua_call(L, 2, 0);
  return 0;
}

/* The rows that one failure (of memory) did not reach are told all the same: by another call, without the row where it happened. */
static void on_rows(void *ud, iu_row_source *source) {
  iu_lua_connection *lc = ud;
  iu_lua *x = lc->x;
  iu_lua_rows rows = {lc, source, 0, NULL}, *outer = x->rows;
  while (lc->listener[IU_LISTEN_ROWS] >= 0) {
    uint64_t given = rows.given;
    bool ok;
    rows.named = NULL;
    x->rows = &rows;
    ok = iu__gate(x, rows_body, &rows);
    x->rows = outer;
    if (ok || (rows.given == given && !source->next(source))) break;
  }
  if (outer != NULL) outer->named = NULL; /* the name given last is another table's */
}

typedef struct note_call {
  iu_lua_connection *lc;
  uint64_t id;
  const char *what;
  const iu_error *err;
  iu_rows *rows;
  const iu_typed_value *value;
} note_call;

static void push_error_or_nil(lua_State *L, iu_lua *x, const iu_error *err) {
  if (err != NULL) iu__push_error(L, x, err);
  else lua_pushnil(L);
}

static int subscription_body(lua_State *L) {
  const note_call *c = lua_touserdata(L, 1);
  iu_lua *x = c->lc->x;
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[IU_LISTEN_SUBSCRIPTION]);
  lua_pushinteger(L, (lua_Integer)c->id);
  lua_pushstring(L, c->what);
  push_error_or_nil(L, x, c->err);
  lua_call(L, 3, 0);
  return 0;
}

static void on_subscription(void *ud, uint64_t id, iu_sub_event what, const iu_error *err) {
  static const char *const names[] = {"applied", "ended", "failed"};
  note_call c = {ud, id, names[what], err, NULL, NULL};
  if (c.lc->listener[IU_LISTEN_SUBSCRIPTION] >= 0) iu__gate(c.lc->x, subscription_body, &c);
}

void iu__push_rows(lua_State *L, const iu_rows *rows) {
  lua_createtable(L, rows->count < INT32_MAX ? (int)rows->count : 0, 0);
  for (uint64_t i = 0; i < rows->count; i++) {
    iu__push_row(L, rows->table, rows->rows[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int answer_body(lua_State *L) {
  const note_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[IU_LISTEN_ANSWER]);
  lua_pushinteger(L, (lua_Integer)c->id);
  push_error_or_nil(L, c->lc->x, c->err);
  if (c->rows != NULL) {
    iu__push_rows(L, c->rows);
  } else if (c->value != NULL) {
    const uint8_t *p = c->value->bytes.p;
    iu__push_value(L, c->value->type, &p, p + c->value->bytes.len);
  } else {
    lua_pushboolean(L, c->err == NULL);
  }
  if (c->rows != NULL && c->rows->matched != IU_MATCHED_UNKNOWN) lua_pushinteger(L, (lua_Integer)c->rows->matched);
  else lua_pushnil(L);
  lua_call(L, 4, 0);
  return 0;
}

static void on_answer(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  note_call c = {ud, id, NULL, status == IU_OK ? NULL : err, rows, value};
  if (c.lc->listener[IU_LISTEN_ANSWER] >= 0) iu__gate(c.lc->x, answer_body, &c);
  iu__rows_release(rows);
}

static int closed_body(lua_State *L) {
  const note_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[IU_LISTEN_CLOSED]);
  push_error_or_nil(L, c->lc->x, c->err);
  lua_call(L, 1, 0);
  return 0;
}

/* The view goes, or is another one from here on. */
static void end_view_iters(iu_lua_connection *lc) {
  iu__view_iters_cut(lc);
  if (lc->x->L == NULL || !iu__in_finalizer(lc->x->L)) iu__view_iters_close(lc);
}

static void on_closed(void *ud, const iu_error *why) {
  note_call c = {ud, 0, NULL, why, NULL, NULL};
  end_view_iters(c.lc);
  if (c.lc->listener[IU_LISTEN_CLOSED] >= 0) iu__gate(c.lc->x, closed_body, &c);
}

typedef struct state_call { iu_lua_connection *lc; const iu_conn_state *s; } state_call;

const char *iu__phase_name(iu_phase phase) {
  static const char *const names[] = {"connecting", "connected", "disconnected"};
  return names[phase];
}

static int state_body(lua_State *L) {
  const state_call *c = lua_touserdata(L, 1);
  const iu_conn_state *s = c->s;
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[IU_LISTEN_STATE]);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, iu__phase_name(s->phase));
  lua_setfield(L, -2, "phase");
  lua_pushinteger(L, s->attempt);
  lua_setfield(L, -2, "attempt");
  if (s->phase == IU_PHASE_DISCONNECTED) {
    if (s->delay_ms >= 0) {
      lua_pushnumber(L, (lua_Number)s->delay_ms / 1000);
      lua_setfield(L, -2, "delay");
    }
    if (s->close_code != 0) {
      lua_pushinteger(L, s->close_code);
      lua_setfield(L, -2, "close_code");
    }
    if (s->why != NULL) {
      iu__push_error(L, c->lc->x, s->why);
      lua_setfield(L, -2, "reason");
    }
  }
  if (s->protocol != NULL && *s->protocol != '\0') {
    lua_pushstring(L, s->protocol);
    lua_setfield(L, -2, "protocol");
  }
  lua_pushboolean(L, s->schema_changed);
  lua_setfield(L, -2, "schema_changed");
  lua_pushboolean(L, s->identity_changed);
  lua_setfield(L, -2, "identity_changed");
  lua_call(L, 1, 0);
  return 0;
}

static void on_state(void *ud, const iu_conn_state *state) {
  state_call c = {ud, state};
  if (state->schema_changed) end_view_iters(c.lc);
  if (c.lc->listener[IU_LISTEN_STATE] >= 0) iu__gate(c.lc->x, state_body, &c);
}

/* ---- in Lua's hands ---- */

void iu__connection_listen(iu_lua_connection *lc) {
  const iu_listener listener = {.ud = lc, .rows = on_rows, .subscription = on_subscription, .answer = on_answer, .closed = on_closed, .state = on_state};
  iu__conn_listen(lc->c, &listener);
}

int iu__listen_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  for (int i = 0; i < IU_LISTEN_COUNT; i++) {
    iu__unref(L, lc->x, &lc->listener[i]);
    if (lua_getfield(L, 2, listen_names[i]) == LUA_TFUNCTION) lc->listener[i] = iu__ref(L, lc->x);
    else lua_pop(L, 1);
  }
  return 0;
}
