/* json_encode.c: Lua values to compact JSON text, exactly.
 *
 * Reads tables raw (no metamethods but the array and object marks), so it raises for nothing but Lua's own memory. Keys 1..n make an
 * array, string keys an object, an empty table an object unless marked. Everything else (sparse or mixed tables, other keys, NaN, infinity, invalid
 * UTF-8, a cycle, depth over IU_LUA_DEPTH_MAX, other types) is IU_E_VALIDATION naming the path: $.a.b[0].
 */
#include "bind.h"

#include <math.h>

#include "../base/text.h"
#include "../document/tree.h"

#define PATH_TEXT_MAX 200

typedef struct level { const void *table; const char *key; size_t key_len; lua_Integer index; } level;
typedef struct encoder { lua_State *L; iu_buf *out; iu_error *err; uint32_t depth; level levels[IU_LUA_DEPTH_MAX]; } encoder;

static void path_text(const encoder *e, char *out, size_t room) {
  size_t at = 0;
  out[at++] = '$';
  for (uint32_t i = 0; i < e->depth && at + 12 < room; i++) {
    const level *l = &e->levels[i];
    char part[64];
    int n;
    if (l->key != NULL) {
      char shown[32 * 4 + 4];
      n = snprintf(part, sizeof part, ".%s", iu__printable(shown, 32, l->key, l->key_len));
    } else {
      n = snprintf(part, sizeof part, "[%lld]", (long long)(l->index - 1));
    }
    if (n < 0 || (size_t)n >= sizeof part) n = (int)sizeof part - 1;
    if (at + (size_t)n >= room) break;
    memcpy(out + at, part, (size_t)n);
    at += (size_t)n;
  }
  out[at] = '\0';
}

static iu_status refuse(const encoder *e, const char *what) {
  char path[PATH_TEXT_MAX];
  path_text(e, path, sizeof path);
  return iu__fail(e->err, IU_E_VALIDATION, "%s at %s", what, path);
}

static iu_status encode(encoder *e, int index);

static iu_status encode_string(encoder *e, int index) {
  size_t len, bad;
  const char *s = lua_tolstring(e->L, index, &len);
  if ((bad = iu__utf8_check(s, len)) != len) {
    char what[64];
    snprintf(what, sizeof what, "invalid UTF-8 (byte %zu of the string)", bad);
    return refuse(e, what);
  }
  iu__json_put_string(e->out, s, len);
  return IU_OK;
}

static iu_status encode_number(encoder *e, int index) {
  if (lua_isinteger(e->L, index)) {
    iu__json_put_i64(e->out, lua_tointeger(e->L, index));
    return IU_OK;
  }
  double d = lua_tonumber(e->L, index);
  if (isnan(d)) return refuse(e, "NaN is not a JSON value");
  if (isinf(d)) return refuse(e, "infinity is not a JSON value");
  iu__json_put_f64(e->out, d);
  return IU_OK;
}

static iu_status encode_array(encoder *e, int index, lua_Integer n) {
  lua_State *L = e->L;
  level *l = &e->levels[e->depth];
  iu__buf_put_u8(e->out, '[');
  for (lua_Integer i = 1; i <= n; i++) {
    iu_status status;
    *l = (level){lua_topointer(L, index), NULL, 0, i};
    e->depth++;
    lua_rawgeti(L, index, i);
    if (i > 1) iu__buf_put_u8(e->out, ',');
    status = encode(e, lua_gettop(L));
    if (status != IU_OK) return status;
    lua_pop(L, 1);
    e->depth--;
  }
  iu__buf_put_u8(e->out, ']');
  return IU_OK;
}

static iu_status encode_object(encoder *e, int index) {
  lua_State *L = e->L;
  level *l = &e->levels[e->depth];
  bool first = true;
  iu__buf_put_u8(e->out, '{');
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    iu_status status;
    size_t len;
    if (lua_type(L, -2) != LUA_TSTRING) {
      return refuse(e, lua_type(L, -2) == LUA_TNUMBER ? "table with both string and number keys" : "object key that is not a string");
    }
    const char *key = lua_tolstring(L, -2, &len);
    *l = (level){lua_topointer(L, index), key, len, 0};
    e->depth++;
    if (iu__utf8_check(key, len) != len) return refuse(e, "key of invalid UTF-8");
    if (!first) iu__buf_put_u8(e->out, ',');
    first = false;
    iu__json_put_string(e->out, key, len);
    iu__buf_put_u8(e->out, ':');
    status = encode(e, lua_gettop(L));
    if (status != IU_OK) return status;
    lua_pop(L, 1);
    e->depth--;
  }
  iu__buf_put_u8(e->out, '}');
  return IU_OK;
}

/* How many keys, and whether they are exactly 1..n. */
static iu_status check_array(encoder *e, int index, lua_Integer *n) {
  lua_State *L = e->L;
  lua_Integer count = 0, length = (lua_Integer)lua_rawlen(L, index);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    count++;
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 && lua_tointeger(L, -1) <= length) continue;
    if (lua_type(L, -1) == LUA_TSTRING) return refuse(e, "table with both string and number keys");
    if (lua_type(L, -1) != LUA_TNUMBER) return refuse(e, "object key that is not a string");
    return refuse(e, "sparse array (keys must be 1..n)");
  }
  if (count != length) return refuse(e, "sparse array (keys must be 1..n)");
  *n = length;
  return IU_OK;
}

static iu_status encode_table(encoder *e, int index) {
  lua_State *L = e->L;
  bool array = false, object = false;
  lua_Integer n = 0;
  iu_status status;
  const void *self = lua_topointer(L, index);
  for (uint32_t i = 0; i < e->depth; i++) {
    if (e->levels[i].table == self) return refuse(e, "cycle");
  }
  if (e->depth >= IU_LUA_DEPTH_MAX) {
    char what[48];
    snprintf(what, sizeof what, "nesting deeper than %d", IU_LUA_DEPTH_MAX);
    return refuse(e, what);
  }
  if (!lua_checkstack(L, 6)) return iu__fail_nomem(e->err);
  if (lua_getmetatable(L, index)) {
    array = iu__is_array_mt(L, -1);
    object = iu__is_object_mt(L, -1);
    lua_pop(L, 1);
  }
  if (!array && !object) {
    lua_pushnil(L);
    if (lua_next(L, index) == 0) {
      iu__buf_put_str(e->out, "{}");
      return IU_OK;
    }
    array = lua_type(L, -2) == LUA_TNUMBER;
    lua_pop(L, 2);
  }
  if (!array) return encode_object(e, index);
  status = check_array(e, index, &n);
  return status == IU_OK ? encode_array(e, index, n) : status;
}

static iu_status encode_document(encoder *e, const iu_json *v) {
  if (e->depth > 0 && e->depth + iu__tree_depth(v) > IU_LUA_DEPTH_MAX) {
    char what[48];
    snprintf(what, sizeof what, "nesting deeper than %d", IU_LUA_DEPTH_MAX);
    return refuse(e, what);
  }
  iu__json_write(v, e->out);
  return IU_OK;
}

static iu_status encode_userdata(encoder *e, int index) {
  const iu_json *document = iu__document_node(e->L, index, NULL);
  size_t len;
  if (document != NULL) return encode_document(e, document);
  if (!iu__buf_reserve(e->out, IU_WIDE_TEXT_ROOM)) return IU_OK; /* sticky */
  len = iu__wide_text(e->L, index, (char *)e->out->data + e->out->len, IU_WIDE_TEXT_ROOM);
  if (len == 0) return refuse(e, "userdata is not a JSON value");
  e->out->len += len;
  return IU_OK;
}

static iu_status encode(encoder *e, int index) {
  switch (lua_type(e->L, index)) {
    case LUA_TTABLE: return encode_table(e, index);
    case LUA_TSTRING: return encode_string(e, index);
    case LUA_TNUMBER: return encode_number(e, index);
    case LUA_TBOOLEAN: iu__buf_put_str(e->out, lua_toboolean(e->L, index) ? "true" : "false"); return IU_OK;
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(e->L, index) == NULL) {
        iu__buf_put_str(e->out, "null");
        return IU_OK;
      }
      return refuse(e, "userdata is not a JSON value");
    case LUA_TUSERDATA: return encode_userdata(e, index);
    case LUA_TNIL: return refuse(e, "nil is not a JSON value (use null)");
    default: break;
  }
  char what[48];
  snprintf(what, sizeof what, "%s is not a JSON value", luaL_typename(e->L, index));
  return refuse(e, what);
}

iu_status iu__lua_to_json(lua_State *L, int index, iu_buf *out, iu_error *err) {
  encoder e;
  int top = lua_gettop(L);
  iu_status status;
  e.L = L;
  e.out = out;
  e.err = err;
  e.depth = 0;
  status = encode(&e, lua_absindex(L, index));
  lua_settop(L, top);
  return status == IU_OK ? iu__buf_status(out, err, "JSON text") : status;
}
