/* listen.c: what a connection says, told to Lua through the gate: subscriptions, answers, states, its end; its rows are told by tell.c. */
#include "bind.h"

#include "../base/hash.h"

static const char *const listen_names[IU_LISTEN_COUNT] = {"rows", "subscription", "answer", "went_well", "closed", "state"};

void iu__push_hex(lua_State *L, const uint8_t *little, size_t size) {
  uint8_t big[32];
  char text[65];
  for (size_t i = 0; i < size; i++) big[i] = little[size - 1 - i];
  iu__hex(text, big, size);
  lua_pushlstring(L, text, size * 2);
}

void iu__push_row_or_nil(lua_State *L, const iu_table_def *def, const iu_row *row) {
  if (row != NULL) iu__push_row(L, def, row);
  else lua_pushnil(L);
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

typedef struct well_call { iu_lua_connection *lc; uint64_t first, count; } well_call;

static int well_body(lua_State *L) {
  const well_call *c = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->lc->listener[IU_LISTEN_WENT_WELL]);
  lua_pushinteger(L, (lua_Integer)c->first);
  lua_pushinteger(L, (lua_Integer)(c->first + c->count - 1));
  lua_call(L, 2, 0);
  return 0;
}

/* Where Lua stops in the middle (no memory, an interrupt), each that it has not taken comes alone; of the others it hears twice, and lets it be. */
static void on_went_well(void *ud, uint64_t first, uint64_t count) {
  well_call c = {ud, first, count};
  if (c.lc->listener[IU_LISTEN_WENT_WELL] >= 0 && iu__gate(c.lc->x, well_body, &c)) return;
  for (uint64_t i = 0; i < count; i++) on_answer(ud, first + i, IU_OK, NULL, NULL, NULL);
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
  const iu_listener listener = {.ud = lc, .rows = iu__tell_rows, .subscription = on_subscription, .answer = on_answer, .went_well = on_went_well,
                                .closed = on_closed, .state = on_state};
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
