/* read.c: one-off reads of a connection, and how the answer of any method is given to Lua.
 *
 * C memory that is held while Lua values are built is released on every way out: building runs in a protected call.
 */
#include "../client/client.h"
#include "bind.h"

/* ---- results ---- */

int iu__rows_body(lua_State *L) {
  iu__push_rows(L, lua_touserdata(L, 1));
  return 1;
}

static int first_row_body(lua_State *L) {
  const iu_rows *rows = lua_touserdata(L, 1);
  iu__push_row_or_nil(L, rows->table, rows->count > 0 ? rows->rows[0] : NULL);
  return 1;
}

/* value; nil, err; or false, id. */
int iu__give(lua_State *L, iu_lua *x, iu_status status, const iu_error *err, uint64_t pending, iu_rows *rows, lua_CFunction body) {
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

/* ---- reads ---- */

int iu__query_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  uint64_t pending = 0;
  iu_rows *rows = NULL;
  iu_error err;
  iu_status status = c->vtable->query(c, sql, len, &rows, &pending, &err);
  return iu__give(L, lc->x, status, &err, pending, rows, iu__rows_body);
}

/* conn:query_is_sql(text): whether only the server's SQL over HTTP answers it. */
int iu__query_is_sql_method(lua_State *L) {
  iu_connection *c = iu__check_connection(L, 1)->c;
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  lua_pushboolean(L, iu__is_client(c) && iu__client_query_is_sql(c, sql, len));
  return 1;
}

int iu__get_method(lua_State *L) {
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
  return iu__give(L, lc->x, status, &err, pending, rows, first_row_body);
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

/* The selection in the table at 3; leaves what it borrows on the stack. false: err says why. */
bool iu__read_selection(lua_State *L, iu_selection_spec *spec, iu_error *err) {
  iu_filter_spec *filters;
  lua_Integer n = 0;
  spec->limit = iu__opt_u64(L, 3, "limit");
  spec->offset = iu__opt_u64(L, 3, "offset");
  spec->has_limit = lua_getfield(L, 3, "limit") != LUA_TNIL;
  lua_getfield(L, 3, "descending");
  spec->descending = lua_toboolean(L, -1);
  if (lua_getfield(L, 3, "order_by") != LUA_TNIL && (spec->order_by = lua_tolstring(L, -1, &spec->order_by_len)) == NULL) {
    luaL_error(L, "order_by: expected a string, got %s", luaL_typename(L, -1));
  }
  if (lua_getfield(L, 3, "filters") == LUA_TTABLE) n = (lua_Integer)lua_rawlen(L, -1);
  if (n > FILTERS_MAX) {
    iu__fail(err, IU_E_VALIDATION, "filters: %lld of them, the limit is %d", (long long)n, FILTERS_MAX);
    return false;
  }
  filters = lua_newuserdatauv(L, (size_t)(n > 0 ? n : 1) * sizeof *filters, 0);
  read_filters(L, lua_gettop(L) - 1, filters, n);
  spec->filter_count = (uint32_t)n;
  spec->filters = n > 0 ? filters : NULL;
  return true;
}

int iu__select_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_selection_spec spec = {0};
  uint64_t pending = 0;
  iu_rows *rows = NULL;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (!ok || !iu__read_selection(L, &spec, &err)) return iu__push_failure(L, lc->x, &err);
  if (lc->c == NULL) return luaL_error(L, "the connection is closed"); /* by a metamethod of the spec */
  iu_status status = c->vtable->select(c, table, &spec, &rows, &pending, &err);
  return iu__give(L, lc->x, status, &err, pending, rows, iu__rows_body);
}

int iu__explain_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_selection_spec spec = {0};
  iu_buf text = {0};
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (!ok || !iu__read_selection(L, &spec, &err)) return iu__push_failure(L, lc->x, &err);
  if (lc->c == NULL) return luaL_error(L, "the connection is closed");
  iu_status status = c->vtable->explain(c, table, &spec, &text, &err);
  if (status == IU_OK) status = iu__buf_status(&text, &err, "explanation");
  return iu__give_buffer(L, lc->x, status, &err, &text);
}
