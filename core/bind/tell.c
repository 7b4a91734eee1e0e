/* tell.c: rows that came, changed or went, told to Lua through the gate.
 *
 * Lua asks for them with `next`, within the listener's call, in whatever coroutine it likes. Most rows come in runs: one table, one kind, one handler. Given that
 * handler, `next` calls it itself, row after row, until something is different: the time between two rows is then the handler's, its row's, and little else.
 *
 * conn:watch is called whenever the handlers of a table change (x->watches counts that), so a run ends before a row that others should hear.
 */
#include "bind.h"

#define NAMES_MAX 64 /* columns of a table whose names stay on the stack during a run */

/* The rows that are being told now: what `next` walks. One in another when a callback changes another connection. */
typedef enum row_kind { ROW_INSERT, ROW_UPDATE, ROW_DELETE } row_kind;
struct iu_lua_rows {
  iu_lua_connection *lc;
  iu_row_source *source;
  uint64_t given, watches; /* rows; x->watches when Lua was given the last one */
  const iu_table_def *named;
  uint32_t table; row_kind kind; /* of that one */
};

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

static row_kind kind_of(const iu_row_source *s) { return s->old_row == NULL ? ROW_INSERT : s->new_row != NULL ? ROW_UPDATE : ROW_DELETE; }

/* ---- a run: the function at 1 hears row after row, with the event at 2 ---- */

/* The function waited, and has come to its end: others have told the rest meanwhile. */
static int after_wait(lua_State *L, int status, lua_KContext context) {
  (void)L, (void)status, (void)context;
  return 0;
}

/* A product of named columns becomes a table; their names are pushed. Else 0. */
static uint32_t push_names(lua_State *L, const iu_type *row) {
  if (row->tag != IU_T_PRODUCT || row->special != IU_S_NONE || row->count > NAMES_MAX) return 0;
  for (uint32_t i = 0; i < row->count; i++) {
    if (row->u.fields[i].name == NULL) return 0;
  }
  luaL_checkstack(L, (int)row->count + LUA_MINSTACK, "too many columns");
  for (uint32_t i = 0; i < row->count; i++) lua_pushstring(L, row->u.fields[i].name);
  return row->count;
}

static void push_named(lua_State *L, const iu_table_def *def, const iu_row *row, uint32_t names) {
  const iu_type *t = iu__type_deref(def->row);
  const uint8_t *p = row->data, *end = row->data + row->len;
  if (names == 0) {
    iu__push_row(L, def, row);
    return;
  }
  lua_createtable(L, 0, (int)names);
  for (uint32_t i = 0; i < names; i++) {
    lua_pushvalue(L, 3 + (int)i);
    iu__push_value(L, t->u.fields[i].type, &p, end);
    lua_rawset(L, -3);
  }
}

/* true: the source stands at a row that is not of this run. */
static bool tell_run(lua_State *L, const iu_lua *x, iu_lua_rows *r) {
  iu_row_source *s = r->source;
  const iu_table_def *def = r->named;
  const uint32_t table = r->table;
  const row_kind kind = r->kind;
  const uint64_t watches = r->watches;
  lua_settop(L, 2);
  uint32_t names = push_names(L, iu__type_deref(def->row));
  if (names == 0) lua_settop(L, 2);
  while (s->next(s)) {
    if (s->table != table || kind_of(s) != kind || x->watches != watches) return true;
    r->given++;
    lua_pushvalue(L, 1);
    push_named(L, def, kind == ROW_DELETE ? s->old_row : s->new_row, names);
    if (kind == ROW_UPDATE) push_named(L, def, s->old_row, names);
    lua_pushvalue(L, 2);
    lua_callk(L, kind == ROW_UPDATE ? 3 : 2, 0, 0, after_wait);
  }
  return false;
}

/* ---- next ---- */

/* next() -> table, "insert" | "update" | "delete", new row or nil, old row or nil; nothing when there is no more to be told now, and outside of the
 * listener's call. next(fn, event): first calls fn with each of the rows that follow the last one in its table and kind, up to where the handlers change; it
 * gives nothing, too, where fn has waited. Upvalues: the context, the three words, the name of the table given last. */
static int next_row(lua_State *L) {
  iu_lua *x = lua_touserdata(L, lua_upvalueindex(1));
  iu_lua_rows *r = x->rows;
  if (r == NULL) return 0;
  if (!lua_isnoneornil(L, 1) && r->named != NULL && r->watches == x->watches) {
    if (!tell_run(L, x, r)) return 0;
    lua_settop(L, 0);
  } else if (!r->source->next(r->source)) {
    return 0;
  }
  const iu_row_source *s = r->source;
  const iu_table_def *def = &r->lc->c->schema->tables[s->table];
  r->given++;
  r->watches = x->watches;
  r->table = s->table;
  r->kind = kind_of(s);
  if (def != r->named) {
    lua_pushstring(L, def->name);
    lua_replace(L, lua_upvalueindex(5));
    r->named = def;
  }
  lua_pushvalue(L, lua_upvalueindex(5));
  lua_pushvalue(L, lua_upvalueindex(2 + (int)r->kind));
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
void iu__tell_rows(void *ud, iu_row_source *source) {
  iu_lua_connection *lc = ud;
  iu_lua *x = lc->x;
  iu_lua_rows rows = {.lc = lc, .source = source}, *outer = x->rows;
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

