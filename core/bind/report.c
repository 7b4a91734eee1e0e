/* report.c: core.sql: one read-only SQL query over a universe file, its rows as Lua tables.
 *
 * The report is a userdata while rows are built, so that an error of Lua's (no memory) closes it too.
 */
#include "bind.h"

#include "../journal/report.h"

#define CLASS "inner_universe.report"

typedef struct report_box { iu_report *r; } report_box;

static int box_close(lua_State *L) {
  report_box *b = luaL_checkudata(L, 1, CLASS);
  iu__report_close(b->r);
  b->r = NULL;
  return 0;
}

static bool parameter(lua_State *L, int index, iu_report_value *v) {
  memset(v, 0, sizeof *v);
  switch (lua_type(L, index)) {
    case LUA_TNIL: case LUA_TLIGHTUSERDATA: v->kind = IU_REPORT_NULL; return true;
    case LUA_TBOOLEAN: v->kind = IU_REPORT_INT; v->i = lua_toboolean(L, index); return true;
    case LUA_TSTRING: v->kind = IU_REPORT_TEXT; v->p = lua_tolstring(L, index, &v->len); return true;
    case LUA_TNUMBER:
      v->kind = lua_isinteger(L, index) ? IU_REPORT_INT : IU_REPORT_REAL;
      v->i = lua_tointeger(L, index);
      v->d = lua_tonumber(L, index);
      return true;
    default: return false;
  }
}

static iu_status bind_parameters(lua_State *L, int params, iu_report *r, iu_error *err) {
  lua_Integer n = lua_istable(L, params) ? (lua_Integer)lua_rawlen(L, params) : 0;
  for (lua_Integer i = 1; i <= n; i++) {
    iu_report_value v;
    iu_status status;
    lua_rawgeti(L, params, i);
    if (!parameter(L, -1, &v)) return iu__fail(err, IU_E_VALIDATION, "params[%d]: %s is no SQL value", (int)i, luaL_typename(L, -1));
    status = iu__report_bind(r, (int)i, &v, err);
    lua_pop(L, 1);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static void push_report_value(lua_State *L, const iu_report_value *v) {
  switch (v->kind) {
    case IU_REPORT_INT: lua_pushinteger(L, v->i); break;
    case IU_REPORT_REAL: lua_pushnumber(L, v->d); break;
    case IU_REPORT_TEXT: case IU_REPORT_BLOB: lua_pushlstring(L, v->p != NULL ? v->p : "", v->len); break;
    default: lua_pushlightuserdata(L, NULL);
  }
}

static void push_row(lua_State *L, iu_report *r, int columns) {
  lua_createtable(L, columns, 0);
  for (int c = 0; c < columns; c++) {
    iu_report_value v;
    iu__report_value_at(r, c, &v);
    push_report_value(L, &v);
    lua_rawseti(L, -2, c + 1);
  }
}

/* sql(path, text, params?) -> { columns, rows } or nil, err */
static int f_sql(lua_State *L) {
  size_t len, path_len;
  const char *path = luaL_checklstring(L, 1, &path_len);
  const char *sql = luaL_checklstring(L, 2, &len);
  iu_error err;
  bool row;
  lua_settop(L, 3);
  report_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->r = NULL;
  luaL_setmetatable(L, CLASS);
  iu_status status = IU_OK;
  if (strlen(path) != path_len) status = iu__fail(&err, IU_E_VALIDATION, "path: expected a file name, got one with a zero byte at %zu", strlen(path));
  if (status == IU_OK) status = iu__report_open(path, &b->r, &err);
  if (status == IU_OK) status = iu__report_prepare(b->r, sql, len, &err);
  if (status == IU_OK) status = bind_parameters(L, 3, b->r, &err);
  if (status == IU_OK) {
    int columns = iu__report_columns(b->r);
    lua_createtable(L, 0, 2);
    lua_createtable(L, columns, 0);
    for (int c = 0; c < columns; c++) {
      lua_pushstring(L, iu__report_column_name(b->r, c));
      lua_rawseti(L, -2, c + 1);
    }
    lua_setfield(L, -2, "columns");
    lua_newtable(L);
    for (lua_Integer n = 1; (status = iu__report_step(b->r, &row, &err)) == IU_OK && row; n++) {
      push_row(L, b->r, columns);
      lua_rawseti(L, -2, n);
    }
    lua_setfield(L, -2, "rows");
  }
  iu__report_close(b->r);
  b->r = NULL;
  return status == IU_OK ? 1 : iu__push_failure(L, iu__lua(L), &err);
}

void iu__report_open_functions(lua_State *L) {
  static const iu_class class = {CLASS, NULL, NULL, box_close, NULL};
  iu__class_define(L, &class);
  lua_pushcfunction(L, f_sql);
  lua_setfield(L, -2, "sql");
}
