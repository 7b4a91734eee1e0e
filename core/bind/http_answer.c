/* http_answer.c: what a server answers over HTTP, as Lua values: a module's definition and the results of SQL.
 *
 *   core.module_def(json)  -> { tables, reducers, procedures }, as conn:schema()
 *   core.sql_answer(json)  -> { { columns = { { name, type }, ... }, rows = { { name = value }, ... }, duration_micros, rows_inserted, rows_updated,
 *                              rows_deleted }, ... }, a result a statement
 *
 * What was read is freed whether or not Lua has the memory for its tables.
 */
#include "../protocol/message.h"
#include "bind.h"

/* body's value of `read` on the stack, or the error that it raised; which of them is in the status. */
static int push_protected(lua_State *L, lua_CFunction body, void *read) {
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, read);
  return lua_pcall(L, 1, 1, 0);
}

static int schema_body(lua_State *L) {
  iu__push_schema(L, lua_touserdata(L, 1));
  return 1;
}

static int f_module_def(lua_State *L) {
  iu_lua *x = iu__lua(L);
  size_t len;
  const char *json = luaL_checklstring(L, 1, &len);
  iu_schema *schema;
  iu_error err;
  if (iu__schema_from_http(json, len, &schema, &err) != IU_OK) return iu__push_failure(L, x, &err);
  int rc = push_protected(L, schema_body, schema);
  iu__schema_free(schema);
  return rc == LUA_OK ? 1 : lua_error(L);
}

static void push_rows(lua_State *L, const iu_sql_result *r) {
  const uint8_t *p = r->rows.p, *end = p + r->rows.len;
  lua_createtable(L, r->row_count < 1024 ? (int)r->row_count : 1024, 0);
  for (uint32_t i = 1; i <= r->row_count; i++) {
    iu__push_product(L, r->row, &p, end);
    lua_rawseti(L, -2, i);
  }
}

static void push_result(lua_State *L, const iu_sql_result *r) {
  lua_createtable(L, 0, 6);
  iu__push_fields(L, NULL, r->row);
  lua_setfield(L, -2, "columns");
  push_rows(L, r);
  lua_setfield(L, -2, "rows");
  if (r->has_stats) {
    lua_pushinteger(L, (lua_Integer)r->inserted);
    lua_setfield(L, -2, "rows_inserted");
    lua_pushinteger(L, (lua_Integer)r->updated);
    lua_setfield(L, -2, "rows_updated");
    lua_pushinteger(L, (lua_Integer)r->deleted);
    lua_setfield(L, -2, "rows_deleted");
  }
  if (r->has_duration) {
    lua_pushinteger(L, (lua_Integer)r->duration_micros);
    lua_setfield(L, -2, "duration_micros");
  }
}

static int results_body(lua_State *L) {
  const iu_sql_answer *a = lua_touserdata(L, 1);
  lua_createtable(L, (int)a->count, 0);
  for (uint32_t i = 0; i < a->count; i++) {
    push_result(L, &a->results[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int f_sql_answer(lua_State *L) {
  iu_lua *x = iu__lua(L);
  size_t len;
  const char *json = luaL_checklstring(L, 1, &len);
  iu_sql_answer answer;
  iu_error err;
  if (iu__sql_answer_read(json, len, &answer, &err) != IU_OK) return iu__push_failure(L, x, &err);
  int rc = push_protected(L, results_body, &answer);
  iu__sql_answer_free(&answer);
  return rc == LUA_OK ? 1 : lua_error(L);
}

void iu__http_answer_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"module_def", f_module_def}, {"sql_answer", f_sql_answer}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
