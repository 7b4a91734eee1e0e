/* backup.c: core.backup: a copy of a universe file in slices on another thread (work.c).
 *
 *   core.backup(source, target, overwrite?, lock_source?)   a work; on_done(nil, complete, done, total), in bytes
 */
#include "../journal/backup.h"

#include "bind.h"

static iu_status backup_run(void *job, iu_error *err) { return iu__backup_run(job, IU_BACKUP_SLICE_MS, err); }
static void backup_limit(void *job, uint64_t deadline_ns) { iu__backup_limit(job, deadline_ns); }
static void backup_cancel(void *job) { iu__backup_cancel(job); }
static void backup_free(void *job) { iu__backup_free(job); }

static int backup_push(lua_State *L, void *job) {
  uint64_t done, total;
  lua_pushboolean(L, iu__backup_progress(job, &done, &total));
  lua_pushinteger(L, (lua_Integer)done);
  lua_pushinteger(L, (lua_Integer)total);
  return 3;
}

static const char *file_name(lua_State *L, int index, const char *what, iu_error *err) {
  size_t len;
  const char *name = luaL_checklstring(L, index, &len);
  if (strlen(name) == len) return name;
  iu__fail(err, IU_E_VALIDATION, "%s: expected a file name, got one with a zero byte at %zu", what, strlen(name));
  return NULL;
}

static int f_backup(lua_State *L) {
  static const iu_lua_work_kind kind = {backup_run, backup_push, backup_limit, backup_cancel, backup_free};
  iu_lua *x = iu__lua(L);
  iu_error err;
  iu_backup *b;
  lua_settop(L, 4);
  const char *source = file_name(L, 1, "source", &err), *target = source != NULL ? file_name(L, 2, "target", &err) : NULL;
  if (target == NULL) return iu__push_failure(L, x, &err);
  void **at = iu__work_userdata(L, x, &kind);
  iu_status status = at == NULL ? iu__fail_nomem(&err) : iu__backup_new(source, target, lua_toboolean(L, 4), lua_toboolean(L, 3), &b, &err);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  *at = b;
  return 1;
}

void iu__backup_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"backup", f_backup}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
