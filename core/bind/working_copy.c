/* working_copy.c: core.working_copy and what belongs to it: a private copy of a universe file (core/journal/working_copy.h), and which tables definitions make.
 *
 *   core.working_copy(path)          the file is locked until it is closed: w:file(), w:target(), w:close()
 *   w:fill(), w:publish()            works (work.c): on_done(nil, complete, done, total) after each slice, in bytes
 *   core.rehearse{ path, modules, no_nerv }   what an open with these modules would say to the file; blocks
 *   core.catalog{ modules, no_nerv }, core.catalog(definition)   { { name, definition } } of the tables that they declare (catalog_text.c)
 */
#include "../journal/working_copy.h"

#include "../journal/catalog.h"
#include "module.h"

#define CLASS "inner_universe.working_copy"

typedef struct copy_box { iu_working_copy *w; } copy_box;

/* ---- works ---- */

static iu_status copy_run(void *job, iu_error *err) { return iu__working_copy_run(job, IU_WORKING_COPY_SLICE_MS, err); }
static void copy_limit(void *job, uint64_t deadline_ns) { iu__working_copy_limit(job, deadline_ns); }
static void copy_cancel(void *job) { iu__working_copy_cancel(job); }
static void copy_free(void *job) {
  iu__working_copy_stop(job);
  iu__working_copy_release(job);
}

static int copy_push(lua_State *L, void *job) {
  uint64_t done, total;
  lua_pushboolean(L, iu__working_copy_progress(job, &done, &total));
  lua_pushinteger(L, (lua_Integer)done);
  lua_pushinteger(L, (lua_Integer)total);
  return 3;
}

static iu_working_copy *check_copy(lua_State *L) {
  copy_box *b = iu__class_check(L, 1, CLASS);
  if (b->w == NULL) luaL_error(L, "the working copy is closed");
  return b->w;
}

static int start(lua_State *L, iu_status (*aim)(iu_working_copy *, iu_error *)) {
  static const iu_lua_work_kind kind = {copy_run, copy_push, copy_limit, copy_cancel, copy_free};
  iu_working_copy *w = check_copy(L);
  iu_lua *x = iu__lua(L);
  iu_error err;
  void **at = iu__work_userdata(L, x, &kind);
  iu_status status = at == NULL ? iu__fail_nomem(&err) : aim(w, &err);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  iu__working_copy_retain(w);
  *at = w;
  return 1;
}

static int m_fill(lua_State *L) { return start(L, iu__working_copy_fill); }
static int m_publish(lua_State *L) { return start(L, iu__working_copy_publish); }

/* ---- the copy ---- */

static int m_file(lua_State *L) {
  lua_pushstring(L, iu__working_copy_file(check_copy(L)));
  return 1;
}

static int m_target(lua_State *L) {
  lua_pushstring(L, iu__working_copy_target(check_copy(L)));
  return 1;
}

/* A work that is on its way keeps it; whoever closes it closed that before. */
static int m_close(lua_State *L) {
  copy_box *b = luaL_checkudata(L, 1, CLASS);
  iu_working_copy *w = b->w;
  b->w = NULL;
  iu__working_copy_release(w);
  return 0;
}

static const char *text_at(lua_State *L, int index, const char *what, iu_error *err) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  if (strlen(text) == len) return text;
  iu__fail(err, IU_E_VALIDATION, "%s: expected a text without zero bytes, got one at %zu", what, strlen(text));
  return NULL;
}

static int f_working_copy(lua_State *L) {
  iu_error err;
  const char *path = text_at(L, 1, "path", &err);
  if (path == NULL) return iu__push_failure(L, iu__lua(L), &err);
  copy_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->w = NULL;
  luaL_setmetatable(L, CLASS);
  if (iu__working_copy_new(path, &b->w, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return 1;
}

/* ---- what modules declare ---- */

/* Of the table at 1: what an open takes. `modules` are released by who gets the configuration. */
static iu_status read_config(lua_State *L, iu_lua *x, iu_engine_config *config, iu_hosted_module modules[IU_ENGINE_MODULES_MAX], iu_error *err) {
  iu_status status = IU_OK;
  iu__engine_config_init(config);
  config->log = (iu_log){iu__lua_log, x, IU_LOG_TRACE};
  lua_getfield(L, 1, "no_nerv");
  config->no_nerv = lua_toboolean(L, -1);
  config->path = iu__opt_text(L, 1, "path");
  if (x->run != NULL) status = iu__fail(err, IU_E_CONFLICT, "not inside a reducer");
  if (status == IU_OK) status = iu__lua_loop(x, &config->loop, err);
  if (status != IU_OK) return status;
  if (lua_getfield(L, 1, "modules") == LUA_TTABLE) {
    config->module_count = iu__lua_modules_read(L, lua_gettop(L), 0, 0, modules, IU_ENGINE_MODULES_MAX - 1);
    config->modules = modules;
  }
  return IU_OK;
}

/* rehearse{ path, modules, no_nerv }: true; or nil, err, with the differences as its details. */
static int f_rehearse(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_engine_config config;
  iu_hosted_module modules[IU_ENGINE_MODULES_MAX];
  iu_error err;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_newtable(L);
  luaL_checkstack(L, LUA_MINSTACK, "rehearse");
  iu_difference_list differences = {L, 2, false};
  iu_status status = read_config(L, x, &config, modules, &err);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  config.differs = iu__on_difference;
  config.differs_ud = &differences;
  IU_ENTER(x, L);
  status = iu__engine_rehearse(&config, &err);
  IU_LEAVE(x);
  if (status == IU_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  iu__push_failure(L, x, &err);
  if (lua_rawlen(L, 2) == 0 || differences.lost) return 2;
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "details");
  return 2;
}

typedef struct listing { iu_schema *schema; iu_catalog catalog; } listing;

static int listing_body(lua_State *L) {
  const listing *l = lua_touserdata(L, 1);
  lua_createtable(L, (int)l->catalog.count, 0);
  for (uint32_t i = 0; i < l->catalog.count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, l->catalog.tables[i].def->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, l->catalog.tables[i].definition);
    lua_setfield(L, -2, "definition");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int f_catalog(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_engine_config config;
  iu_hosted_module modules[IU_ENGINE_MODULES_MAX];
  listing l = {NULL, {0}};
  iu_error err;
  iu_status status;
  size_t len;
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING) {
    const char *definition = lua_tolstring(L, 1, &len);
    status = iu__schema_decode(definition, len, &l.schema, &err);
  } else {
    luaL_checktype(L, 1, LUA_TTABLE);
    status = read_config(L, x, &config, modules, &err);
    if (status != IU_OK) return iu__push_failure(L, x, &err);
    IU_ENTER(x, L);
    status = iu__engine_schema(&config, &l.schema, &err);
    IU_LEAVE(x);
  }
  if (status == IU_OK) status = iu__jcatalog_init(&l.catalog, l.schema, &err);
  int rc = LUA_OK;
  if (status == IU_OK) {
    lua_pushcfunction(L, listing_body);
    lua_pushlightuserdata(L, &l);
    rc = lua_pcall(L, 1, 1, 0);
    iu__jcatalog_free(&l.catalog);
  }
  iu__schema_free(l.schema);
  if (rc != LUA_OK) return lua_error(L);
  return status == IU_OK ? 1 : iu__push_failure(L, x, &err);
}

void iu__working_copy_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"fill", m_fill}, {"publish", m_publish}, {"file", m_file}, {"target", m_target}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"working_copy", f_working_copy}, {"rehearse", f_rehearse}, {"catalog", f_catalog}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
  iu__reshape_open_functions(L);
}
