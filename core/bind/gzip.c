/* gzip.c: core.gzip(bytes), core.gunzip(bytes, max), and core.gzip_work(bytes), which compresses on another thread (work.c). core.gunzip_stream():
 * s:feed(bytes, most) gives what they hold and how many of them were taken, s:is_whole() whether they may end here.
 */
#include "bind.h"

#include "../base/alloc.h"
#include "../protocol/compress.h"

#define CLASS "inner_universe.gunzip_stream"
#define PIECE (1 << 18)     /* plain bytes of one answer of a stream where no number is given */
#define PLAIN_MAX (1 << 30) /* what gunzip makes at most where no cap is given */

static int f_gzip(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  iu_buf out = {0};
  iu_error err;
  iu_status status = iu__gzip((const uint8_t *)bytes, len, &out, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &out);
}

/* ---- on another thread ---- */

typedef struct gzip_job { iu_buf plain, packed; } gzip_job;

static iu_status job_run(void *job, iu_error *err) {
  gzip_job *j = job;
  iu__buf_free(&j->packed);
  return iu__gzip(j->plain.data, j->plain.len, &j->packed, err);
}

static int job_push(lua_State *L, void *job) {
  gzip_job *j = job;
  lua_pushlstring(L, (const char *)j->packed.data, j->packed.len);
  return 1;
}

/* It takes a fraction of a second at most: whoever closes it waits so long. */
static void job_limit(void *job, uint64_t deadline_ns) { (void)job; (void)deadline_ns; }
static void job_cancel(void *job) { (void)job; }

static void job_free(void *job) {
  gzip_job *j = job;
  iu__buf_free(&j->plain);
  iu__buf_free(&j->packed);
  iu__free(j);
}

static int f_gzip_work(lua_State *L) {
  static const iu_lua_work_kind kind = {job_run, job_push, job_limit, job_cancel, job_free};
  iu_lua *x = iu__lua(L);
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  void **at = iu__work_userdata(L, x, &kind);
  gzip_job *j = at != NULL ? iu__alloc_zero(1, sizeof *j) : NULL;
  iu_error err;
  iu_status status = IU_OK;
  if (j == NULL) {
    status = iu__fail_nomem(&err);
  } else {
    *at = j;
    iu__buf_put(&j->plain, bytes, len);
    status = iu__buf_status(&j->plain, &err, "bytes to compress");
  }
  return status == IU_OK ? 1 : iu__push_failure(L, x, &err);
}

static int f_gunzip(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  lua_Integer max = luaL_optinteger(L, 2, PLAIN_MAX);
  iu_buf out = {0};
  iu_error err;
  iu_status status;
  luaL_argcheck(L, max >= 0 && max <= PLAIN_MAX, 2, "expected 0 to 2^30 bytes");
  status = iu__inflate(IU_COMPRESSION_GZIP, (const uint8_t *)bytes, len, (size_t)max, &out, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &out);
}

/* ---- streams ---- */

typedef struct stream { iu_gunzip *g; } stream;

static int f_gunzip_stream(lua_State *L) {
  stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->g = NULL;
  luaL_setmetatable(L, CLASS);
  s->g = iu__gunzip_new();
  return s->g != NULL ? 1 : luaL_error(L, "out of memory");
}

static iu_gunzip *get(lua_State *L) {
  stream *s = iu__class_check(L, 1, CLASS);
  luaL_argcheck(L, s->g != NULL, 1, "closed");
  return s->g;
}

static int m_feed(lua_State *L) {
  iu_gunzip *g = get(L);
  size_t len, used = 0;
  const char *bytes = luaL_checklstring(L, 2, &len);
  lua_Integer most = luaL_optinteger(L, 3, PIECE);
  iu_buf out = {0};
  iu_error err;
  luaL_argcheck(L, most > 0 && most <= PLAIN_MAX, 3, "expected 1 to 2^30 bytes");
  iu_status status = iu__gunzip_some(g, (const uint8_t *)bytes, len, (size_t)most, &used, &out, &err);
  if (iu__give_buffer(L, iu__lua(L), status, &err, &out) == 2) return 2; /* nil, err */
  lua_pushinteger(L, (lua_Integer)used);
  return 2;
}

static int m_is_whole(lua_State *L) {
  lua_pushboolean(L, iu__gunzip_is_whole(get(L)));
  return 1;
}

static int m_close(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, CLASS);
  iu__gunzip_free(s->g);
  s->g = NULL;
  return 0;
}

void iu__gzip_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"gzip", f_gzip}, {"gzip_work", f_gzip_work}, {"gunzip", f_gunzip}, {"gunzip_stream", f_gunzip_stream}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"feed", m_feed}, {"is_whole", m_is_whole}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
