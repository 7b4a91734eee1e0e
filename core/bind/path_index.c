/* path_index.c: indexes over paths of an embedded universe's tables: conn:create_index(table, path), conn:drop_index(table, path), conn:indexes(). */
#include "bind.h"

typedef iu_status (*change)(iu_connection *c, uint32_t table, const char *path, size_t len, iu_error *err);

static int change_index(lua_State *L, const char *what, change fn) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_error err;
  bool ok;
  size_t len;
  const char *path = luaL_checklstring(L, 3, &len);
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  if (iu__is_client(lc->c)) {
    iu__fail(&err, IU_E_VALIDATION, "%s: indexes over paths are kept by an embedded universe; a SpacetimeDB server has the indexes its module was published with", what);
    ok = false;
  }
  if (!ok) return iu__push_failure(L, lc->x, &err);
  return iu__give(L, lc->x, fn(lc->c, table, path, len, &err), &err, 0, NULL, NULL);
}

int iu__create_index_method(lua_State *L) { return change_index(L, "create_index", iu__engine_create_index); }
int iu__drop_index_method(lua_State *L) { return change_index(L, "drop_index", iu__engine_drop_index); }

static void push_index(lua_State *L, const iu_schema *schema, const iu_engine_index *index) {
  lua_createtable(L, 0, 5);
  lua_pushstring(L, schema->tables[index->table].name);
  lua_setfield(L, -2, "table");
  lua_pushstring(L, index->path);
  lua_setfield(L, -2, "path");
  lua_pushinteger(L, (lua_Integer)index->entries);
  lua_setfield(L, -2, "entries");
  lua_pushinteger(L, (lua_Integer)index->bytes);
  lua_setfield(L, -2, "bytes");
  lua_pushstring(L, index->broken ? "broken" : index->ordered ? "ready" : "unordered");
  lua_setfield(L, -2, "state");
}

int iu__indexes_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c; /* lives as long as the userdata, also when a finaliser closes it meanwhile */
  iu_engine_index index;
  lua_settop(L, 1);
  lua_newtable(L);
  for (uint32_t i = 0; !iu__is_client(c) && iu__engine_index_at(c, i, &index); i++) {
    push_index(L, c->schema, &index);
    lua_rawseti(L, 2, (lua_Integer)i + 1);
  }
  return 1;
}
