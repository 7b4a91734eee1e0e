/* report.c: read-only SQL over a universe file, its rows as Lua tables: core.sql at once, core.report in batches on another thread (work.c).
 *
 *   core.report(path, text, params?, arrays?)   a work; on_done(nil, rows, last, columns, bytes)
 *   conn:text_sync, conn:text_sql               the text index of a universe without a file (core/engine/text_indexes.c), brought up to date and asked
 *
 * A parameter is nil or null, a boolean (1 or 0), a number, a wide integer (its digits), a string (TEXT), or { blob = string }. Parameters are
 * positional in an array, or named by text keys.
 * The report of core.sql is a userdata while rows are built, so that an error of Lua's (no memory) closes it too.
 */
#include "bind.h"

#include "../base/alloc.h"
#include "../base/clock.h"
#include "../journal/report_job.h"

#define CLASS "inner_universe.report"

typedef struct report_box { iu_report *r; } report_box;

static int box_close(lua_State *L) {
  report_box *b = luaL_checkudata(L, 1, CLASS);
  iu__report_close(b->r);
  b->r = NULL;
  return 0;
}

/* The value at the top of the stack; `room` (IU_WIDE_TEXT_ROOM) is for the digits of a wide integer. What it borrows is kept by the parameters' table. */
static bool parameter(lua_State *L, iu_report_value *v, char *room) {
  const int index = lua_gettop(L);
  memset(v, 0, sizeof *v);
  switch (lua_type(L, index)) {
    case LUA_TUSERDATA:
      v->kind = IU_REPORT_TEXT;
      v->p = room;
      return (v->len = iu__wide_text(L, index, room, IU_WIDE_TEXT_ROOM)) != 0;
    case LUA_TTABLE:
      lua_pushstring(L, "blob");
      v->kind = IU_REPORT_BLOB;
      if (lua_rawget(L, index) == LUA_TSTRING) v->p = lua_tolstring(L, -1, &v->len);
      lua_pop(L, 1);
      return v->p != NULL;
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

typedef iu_status (*parameter_fn)(void *ud, const char *name, size_t len, const iu_report_value *v, iu_error *err);

/* Each of the table at `params` (or none) to `take`, those of the array first; the others' keys are their names. */
static iu_status walk_parameters(lua_State *L, int params, parameter_fn take, void *ud, iu_error *err) {
  static const char expected[] = "nil, a boolean, a number, a string or { blob = string } expected";
  char room[IU_WIDE_TEXT_ROOM];
  lua_Integer n = lua_istable(L, params) ? (lua_Integer)lua_rawlen(L, params) : 0;
  iu_report_value v;
  iu_status status = IU_OK;
  for (lua_Integer i = 1; i <= n && status == IU_OK; i++) {
    lua_rawgeti(L, params, i);
    if (parameter(L, &v, room)) status = take(ud, NULL, 0, &v, err);
    else status = iu__fail(err, IU_E_VALIDATION, "params[%d]: %s, got %s", (int)i, expected, luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  if (!lua_istable(L, params)) return status;
  lua_pushnil(L);
  while (status == IU_OK && lua_next(L, params) != 0) {
    size_t len;
    const char *name;
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n) {
      lua_pop(L, 1);
      continue;
    }
    if (lua_type(L, -2) != LUA_TSTRING) return iu__fail(err, IU_E_VALIDATION, "params: an array without holes, or names as keys expected (null stands for NULL)");
    name = lua_tolstring(L, -2, &len);
    if (parameter(L, &v, room)) status = take(ud, name, len, &v, err);
    else status = iu__fail(err, IU_E_VALIDATION, "params.%.64s: %s, got %s", name, expected, luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return status;
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

/* ---- at once ---- */

typedef struct binding { iu_report *r; int next; } binding;

static iu_status bind_parameter(void *ud, const char *name, size_t len, const iu_report_value *v, iu_error *err) {
  binding *b = ud;
  int position = 0;
  iu_status status = IU_OK;
  (void)len;
  if (name == NULL) position = ++b->next;
  else status = iu__report_position(b->r, name, &position, err);
  return status == IU_OK ? iu__report_bind(b->r, position, v, err) : status;
}

static iu_status check_path(const char *path, size_t len, iu_error *err) {
  if (strlen(path) == len) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "path: expected a file name, got one with a zero byte at %zu", strlen(path));
}

static report_box *new_box(lua_State *L) {
  report_box *b = lua_newuserdatauv(L, sizeof *b, 1);
  b->r = NULL;
  luaL_setmetatable(L, CLASS);
  return b;
}

/* The answer of the box's report, with the parameters at that index; the box is closed. `status`: of opening it, *why where that failed. */
static int answer(lua_State *L, iu_lua *x, report_box *b, const char *sql, size_t len, int params, iu_status status, const iu_error *why) {
  iu_error err;
  bool row;
  if (status != IU_OK) err = *why;
  if (status == IU_OK) status = iu__report_prepare(b->r, sql, len, &err);
  if (status == IU_OK) {
    binding all = {b->r, 0};
    status = walk_parameters(L, params, bind_parameter, &all, &err);
  }
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
  return status == IU_OK ? 1 : iu__push_failure(L, x, &err);
}

/* sql(path, text, params?) -> { columns, rows } or nil, err */
static int f_sql(lua_State *L) {
  size_t len, path_len;
  const char *path = luaL_checklstring(L, 1, &path_len);
  const char *sql = luaL_checklstring(L, 2, &len);
  iu_error err;
  lua_settop(L, 3);
  report_box *b = new_box(L);
  iu_status status = check_path(path, path_len, &err);
  if (status == IU_OK) status = iu__report_open(path, &b->r, &err);
  return answer(L, iu__lua(L), b, sql, len, 3, status, &err);
}

/* ---- over a text index in memory ---- */

static bool in_memory(iu_lua_connection *lc, iu_error *err) {
  if (!iu__is_client(lc->c)) return true;
  iu__fail(err, IU_E_VALIDATION, "search: a text index is kept by an embedded universe");
  return false;
}

/* conn:text_sync(table, sql, most) -> whether something is left; or nil, err */
int iu__text_sync_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  const char *sql = luaL_checkstring(L, 3);
  lua_Integer most = luaL_checkinteger(L, 4);
  iu_error err;
  bool ok, more = false;
  luaL_argcheck(L, most > 0 && most <= UINT32_MAX, 4, "expected 1 or more");
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  if (!ok || !in_memory(lc, &err) || iu__engine_text_sync(lc->c, table, sql, (uint32_t)most, &more, &err) != IU_OK) return iu__push_failure(L, lc->x, &err);
  lua_pushboolean(L, more);
  return 1;
}

/* conn:text_sql(table, text, params, seconds) -> { columns, rows } or nil, err */
int iu__text_sql_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  size_t len;
  const char *sql = luaL_checklstring(L, 3, &len);
  lua_Number seconds = luaL_checknumber(L, 5);
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  if (!ok || !in_memory(lc, &err)) return iu__push_failure(L, lc->x, &err);
  report_box *b = new_box(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* the index lives while it is read, also where a row finds no memory */
  iu_status status = iu__engine_text_report(lc->c, table, &b->r, &err);
  if (status == IU_OK) iu__report_deadline(b->r, iu__clock_mono_ns() + (uint64_t)(seconds < 1e9 ? (seconds > 0 ? seconds * 1e9 : 0) : 1e18));
  return answer(L, lc->x, b, sql, len, 4, status, &err);
}

/* ---- in batches, on another thread ---- */

typedef struct report_work { iu_report_job *job; bool arrays; } report_work;

static iu_status work_run(void *job, iu_error *err) { return iu__report_job_run(((report_work *)job)->job, err); }
static void work_limit(void *job, uint64_t deadline_ns) { iu__report_job_limit(((report_work *)job)->job, deadline_ns); }
static void work_cancel(void *job) { iu__report_job_cancel(((report_work *)job)->job); }

static void work_free(void *job) {
  report_work *w = job;
  iu__report_job_free(w->job);
  iu__free(w);
}

/* rows, last, columns, bytes */
static int work_push(lua_State *L, void *job) {
  report_work *w = job;
  int columns = iu__report_job_columns(w->job), names = lua_gettop(L) + 1;
  bool last;
  uint32_t rows = iu__report_job_rows(w->job, &last);
  lua_createtable(L, columns, 0);
  for (int c = 0; c < columns; c++) {
    lua_pushstring(L, iu__report_job_column_name(w->job, c));
    lua_rawseti(L, names, c + 1);
  }
  lua_createtable(L, (int)rows, 0);
  for (uint32_t i = 0; i < rows; i++) {
    lua_createtable(L, w->arrays ? columns : 0, w->arrays ? 0 : columns);
    for (int c = 0; c < columns; c++) {
      iu_report_value v;
      iu__report_job_value(w->job, &v);
      if (!w->arrays) lua_rawgeti(L, names, c + 1);
      push_report_value(L, &v);
      if (w->arrays) lua_rawseti(L, -2, c + 1);
      else lua_rawset(L, -3);
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushboolean(L, last);
  lua_pushvalue(L, names);
  lua_remove(L, names);
  lua_pushinteger(L, (lua_Integer)iu__report_job_bytes(w->job));
  return 4;
}

static iu_status job_parameter(void *ud, const char *name, size_t len, const iu_report_value *v, iu_error *err) {
  return iu__report_job_param(ud, name, len, v, err);
}

/* report(path, text, params?, arrays?) -> work or nil, err */
static int f_report(lua_State *L) {
  static const iu_lua_work_kind kind = {work_run, work_push, work_limit, work_cancel, work_free};
  iu_lua *x = iu__lua(L);
  size_t len, path_len;
  const char *path = luaL_checklstring(L, 1, &path_len);
  const char *sql = luaL_checklstring(L, 2, &len);
  iu_error err;
  report_work *w;
  void **at;
  lua_settop(L, 4);
  iu_status status = check_path(path, path_len, &err);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  at = iu__work_userdata(L, x, &kind);
  w = at != NULL ? iu__alloc_zero(1, sizeof *w) : NULL;
  if (w == NULL) {
    iu__fail_nomem(&err);
    return iu__push_failure(L, x, &err);
  }
  *at = w;
  w->arrays = lua_toboolean(L, 4);
  status = iu__report_job_new(path, sql, len, &w->job, &err);
  if (status == IU_OK) status = walk_parameters(L, 3, job_parameter, w->job, &err);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  return 1;
}

void iu__report_open_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"sql", f_sql}, {"report", f_report}, {NULL, NULL}};
  static const iu_class class = {CLASS, NULL, NULL, box_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
