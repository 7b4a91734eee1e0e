/* gzip.c: core.gzip(bytes), core.gunzip(bytes, max). */
#include "bind.h"

#include "../protocol/compress.h"

#define PLAIN_MAX (1 << 30) /* what gunzip makes at most where no cap is given */

static int f_gzip(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  iu_buf out = {0};
  iu_error err;
  iu_status status = iu__gzip((const uint8_t *)bytes, len, &out, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &out);
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

void iu__gzip_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"gzip", f_gzip}, {"gunzip", f_gunzip}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
