/* file.c: a universe file as a whole: conn:check_file (against the connection's schema) and core.compact; folders: core.folder_names, core.make_folder; and other
 * files that appear when they are whole (core/journal/new_file.h): core.new_file(path), f:name(), f:publish(), f:close(). All block. */
#include "../journal/check.h"
#include "../journal/compact.h"
#include "../journal/new_file.h"
#include "../net/folder.h"

#include "bind.h"

#define NEW_FILE "inner_universe.new_file"

static const char *file_name(lua_State *L, int index, iu_error *err) {
  size_t len;
  const char *name = luaL_checklstring(L, index, &len);
  if (strlen(name) == len) return name;
  iu__fail(err, IU_E_VALIDATION, "path: expected a file name, got one with a zero byte at %zu", strlen(name));
  return NULL;
}

typedef struct finding { const bool *warning; const char *table, *message; } finding;

static int finding_body(lua_State *L) {
  const finding *f = lua_touserdata(L, 2);
  lua_createtable(L, 0, 3);
  if (f->warning != NULL) {
    lua_pushboolean(L, *f->warning);
    lua_setfield(L, -2, "warning");
  }
  lua_pushstring(L, f->table);
  lua_setfield(L, -2, "table");
  lua_pushstring(L, f->message);
  lua_setfield(L, -2, "message");
  lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
  return 0;
}

/* Appends to the list at `list`; false: no memory. */
static bool append(lua_State *L, int list, finding f) {
  lua_pushcfunction(L, finding_body);
  lua_pushvalue(L, list);
  lua_pushlightuserdata(L, &f);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

/* The list is at 3. */
static iu_status on_finding(void *ud, bool warning, const char *table, const char *message) {
  return append(ud, 3, (finding){&warning, table, message}) ? IU_OK : IU_E_NOMEM;
}

void iu__on_difference(void *ud, const char *table, const char *what) {
  iu_difference_list *d = ud;
  if (!append(d->L, d->list, (finding){NULL, table, what})) d->lost = true;
}

/* conn:check_file(path) -> { findings = { { warning, table, message } }, tables, rows, ... } or nil, err */
int iu__check_file_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_check_counts n;
  iu_error err;
  const char *path = file_name(L, 2, &err);
  if (path == NULL) return iu__push_failure(L, lc->x, &err);
  lua_settop(L, 2);
  lua_newtable(L);
  lua_createtable(L, 0, 9);
  luaL_checkstack(L, 8, "check_file");
  if (lc->c == NULL) return luaL_error(L, "the connection is closed");
  if (iu__check_file(path, lc->c->schema, on_finding, L, &n, &err) != IU_OK) return iu__push_failure(L, lc->x, &err);
  const struct { const char *name; uint64_t value; } counts[] = {
      {"tables", n.tables}, {"rows", n.rows}, {"journal_groups", n.journal_groups}, {"journal_commits", n.journal_commits},
      {"errors", n.errors}, {"warnings", n.warnings}, {"last_sequence", n.last_sequence}};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    lua_pushinteger(L, (lua_Integer)counts[i].value);
    lua_setfield(L, 4, counts[i].name);
  }
  lua_pushboolean(L, n.closed);
  lua_setfield(L, 4, "closed_properly");
  lua_pushvalue(L, 3);
  lua_setfield(L, 4, "findings");
  return 1;
}

/* compact(path) -> bytes before, bytes after; or nil, err */
static int f_compact(lua_State *L) {
  uint64_t before, after;
  iu_error err;
  const char *path = file_name(L, 1, &err);
  if (path == NULL || iu__compact(path, &before, &after, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  lua_pushinteger(L, (lua_Integer)before);
  lua_pushinteger(L, (lua_Integer)after);
  return 2;
}

static int name_body(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 2));
  lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
  return 0;
}

/* The list is at 2. */
static iu_status on_name(void *ud, const char *name) {
  lua_State *L = ud;
  lua_pushcfunction(L, name_body);
  lua_pushvalue(L, 2);
  lua_pushlightuserdata(L, (void *)(uintptr_t)name);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return IU_OK;
  lua_pop(L, 1);
  return IU_E_NOMEM;
}

/* folder_names(path) -> { name, ... } in no order; or nil, err */
static int f_folder_names(lua_State *L) {
  iu_error err = {0};
  const char *path = file_name(L, 1, &err);
  if (path == NULL) return iu__push_failure(L, iu__lua(L), &err);
  lua_settop(L, 1);
  lua_newtable(L);
  luaL_checkstack(L, 8, "folder_names");
  switch (iu__folder_names(path, IU_FOLDER_NAMES_MAX, on_name, L, &err)) {
    case IU_OK: return 1;
    case IU_E_NOMEM: return luaL_error(L, "not enough memory");
    default: return iu__push_failure(L, iu__lua(L), &err);
  }
}

/* make_folder(path) -> true; or nil, err */
static int f_make_folder(lua_State *L) {
  iu_error err;
  const char *path = file_name(L, 1, &err);
  if (path == NULL || iu__folder_make(path, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- new files ---- */

typedef struct new_file_box { iu_new_file *f; } new_file_box;

static iu_new_file *check_new_file(lua_State *L) {
  new_file_box *b = iu__class_check(L, 1, NEW_FILE);
  if (b->f == NULL) luaL_error(L, "the new file is closed");
  return b->f;
}

static int m_new_file_name(lua_State *L) {
  lua_pushstring(L, iu__new_file_name(check_new_file(L)));
  return 1;
}

static int m_new_file_publish(lua_State *L) {
  iu_error err;
  if (iu__new_file_publish(check_new_file(L), &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int m_new_file_close(lua_State *L) {
  new_file_box *b = luaL_checkudata(L, 1, NEW_FILE);
  iu_new_file *f = b->f;
  b->f = NULL;
  iu__new_file_free(f);
  return 0;
}

/* new_file(path) -> a new file, which close removes unless it was published; or nil, err */
static int f_new_file(lua_State *L) {
  iu_error err;
  const char *path = file_name(L, 1, &err);
  if (path == NULL) return iu__push_failure(L, iu__lua(L), &err);
  new_file_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->f = NULL;
  luaL_setmetatable(L, NEW_FILE);
  if (iu__new_file(path, &b->f, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return 1;
}

void iu__file_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"compact", f_compact}, {"folder_names", f_folder_names}, {"make_folder", f_make_folder}, {"new_file", f_new_file}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"name", m_new_file_name}, {"publish", m_new_file_publish}, {NULL, NULL}};
  static const iu_class class = {NEW_FILE, methods, NULL, m_new_file_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
