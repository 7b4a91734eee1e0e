/* value_encode.c: Lua values to BSATN, by type. The forms are those of README.md ("Rows are plain tables ...").
 *
 * Tables are read raw. A value that does not fit is IU_E_VALIDATION naming path, expected type and what came. What Lua raises for want of memory
 * is caught here, since callers hold a buffer.
 */
#include "bind.h"

#include "../base/text.h"
#include "../sats/bsatn_put.h"

typedef struct encoder { lua_State *L; iu_buf *out; iu_error *err; const char *what; uint32_t depth; struct { const char *name; lua_Integer index; } path[IU_TYPE_DEPTH_MAX + 1]; } encoder;

static iu_status encode(encoder *e, int index, const iu_type *t);

static void path_text(const encoder *e, char *out, size_t room) {
  int n = snprintf(out, room, "%s", e->what);
  size_t at = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
  for (uint32_t i = 0; i < e->depth && at + 1 < room; i++) {
    n = e->path[i].name != NULL ? snprintf(out + at, room - at, "%s%s", at > 0 ? "." : "", e->path[i].name)
                                : snprintf(out + at, room - at, "[%lld]", (long long)e->path[i].index);
    if (n < 0 || (size_t)n >= room - at) return;
    at += (size_t)n;
  }
}

static void shown_value(lua_State *L, int index, char out[160]) {
  char text[40 * 4 + 4];
  size_t len;
  const char *s;
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      s = lua_tolstring(L, index, &len);
      snprintf(out, 160, "\"%.150s\"", iu__printable(text, 30, s, len));
      break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) snprintf(out, 160, "%lld", (long long)lua_tointeger(L, index));
      else snprintf(out, 160, "%.14g", lua_tonumber(L, index));
      break;
    case LUA_TBOOLEAN: snprintf(out, 160, "%s", lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TUSERDATA: {
      char digits[IU_WIDE_TEXT_ROOM];
      size_t n = iu__wide_text(L, index, digits, sizeof digits);
      snprintf(out, 160, "%.*s", n > 0 ? (int)(n > 100 ? 100 : n) : 8, n > 0 ? digits : "userdata");
      break;
    }
    default: snprintf(out, 160, "%s", luaL_typename(L, index));
  }
}

static iu_status refuse(const encoder *e, int index, const char *expected) {
  char path[256], shown[160];
  path_text(e, path, sizeof path);
  shown_value(e->L, index, shown);
  return iu__fail(e->err, IU_E_VALIDATION, "%s: expected %s, got %s", path, expected, shown);
}

static iu_status refuse_type(const encoder *e, int index, const iu_type *t) {
  iu_buf text = {0};
  iu_status status;
  iu__type_describe(t, &text);
  iu__buf_put_u8(&text, 0);
  status = refuse(e, index, text.failed ? "another type" : (const char *)text.data);
  iu__buf_free(&text);
  return status;
}

/* ---- scalars ---- */

static iu_status encode_integer(encoder *e, int index, const iu_type *t) {
  char text[IU_WIDE_TEXT_ROOM];
  int is_integer = 0;
  lua_Integer v = lua_type(e->L, index) == LUA_TNUMBER ? lua_tointegerx(e->L, index, &is_integer) : 0;
  if (is_integer) return iu__put_i64(t, v, e->out) ? IU_OK : refuse_type(e, index, t);
  size_t len = iu__wide_text(e->L, index, text, sizeof text);
  return len > 0 && iu__put_digits(t, text, len, e->out) ? IU_OK : refuse_type(e, index, t);
}

static iu_status encode_float(encoder *e, int index, const iu_type *t) {
  if (lua_type(e->L, index) != LUA_TNUMBER || !iu__put_f64(t, lua_tonumber(e->L, index), e->out)) return refuse_type(e, index, t);
  return IU_OK;
}

static iu_status encode_string(encoder *e, int index, const iu_type *t) {
  size_t len, bad;
  const char *s;
  if (lua_type(e->L, index) != LUA_TSTRING) return refuse_type(e, index, t);
  s = lua_tolstring(e->L, index, &len);
  if (e->out->limit > 0 && len > e->out->limit) { /* here the argument has a name */
    char path[256];
    path_text(e, path, sizeof path);
    return iu__fail(e->err, IU_E_OVERLOADED, "%s: %zu bytes, expected at most %zu", path, len, e->out->limit);
  }
  if (t->tag == IU_T_STRING && (bad = iu__utf8_check(s, len)) != len) {
    char path[256];
    path_text(e, path, sizeof path);
    return iu__fail(e->err, IU_E_VALIDATION, "%s: expected UTF-8 text, byte %zu is not", path, bad);
  }
  iu__buf_put_bytes(e->out, s, len);
  return IU_OK;
}

static iu_status encode_hex(encoder *e, int index, const iu_type *t) {
  size_t len = 0;
  const char *s = lua_type(e->L, index) == LUA_TSTRING ? lua_tolstring(e->L, index, &len) : "";
  return iu__put_hex(t, s, len, e->out) ? IU_OK : refuse_type(e, index, t);
}

/* ---- containers ---- */

static iu_status enter(encoder *e, const char *name, lua_Integer index) {
  if (e->depth > IU_TYPE_DEPTH_MAX - 1 || !lua_checkstack(e->L, 8)) {
    return iu__fail(e->err, IU_E_VALIDATION, "%s: nested deeper than %d", e->what, IU_TYPE_DEPTH_MAX);
  }
  e->path[e->depth].name = name;
  e->path[e->depth].index = index;
  e->depth++;
  return IU_OK;
}

/* The element on top of the stack. */
static iu_status encode_top(encoder *e, const iu_type *t, const char *name, lua_Integer index) {
  iu_status status = enter(e, name, index);
  if (status == IU_OK) status = encode(e, lua_gettop(e->L), t);
  if (status != IU_OK) return status;
  e->depth--;
  lua_pop(e->L, 1);
  return IU_OK;
}

static iu_status encode_array(encoder *e, int index, const iu_type *t) {
  lua_Integer n, keys = 0, in_batches = 0, batches = 0;
  size_t at = e->out->len;
  if (!lua_istable(e->L, index)) return refuse_type(e, index, t);
  n = (lua_Integer)lua_rawlen(e->L, index);
  lua_pushnil(e->L);
  while (lua_next(e->L, index) != 0) { /* with a hole the length may be that of the part before it */
    keys++;
    lua_pop(e->L, 1);
  }
  if (keys != n) return refuse(e, index, "an array (keys 1..n)");
  iu__buf_put_u32(e->out, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    iu_status status;
    lua_rawgeti(e->L, index, i);
    if (lua_type(e->L, -1) == LUA_TUSERDATA && iu__put_batch(e->L, -1, t, e->out, &in_batches)) {
      batches++;
      lua_pop(e->L, 1);
      continue;
    }
    status = encode_top(e, t->u.element, NULL, i);
    if (status != IU_OK) return status;
  }
  iu__buf_patch_u32(e->out, at, (uint32_t)(n - batches + in_batches));
  return IU_OK;
}

static iu_status refuse_unknown_field(encoder *e, int index, const iu_type *t) {
  char path[256], key[64 * 4 + 4] = "";
  lua_pushnil(e->L);
  while (lua_next(e->L, index) != 0) {
    size_t len = 0;
    const char *name = lua_type(e->L, -2) == LUA_TSTRING ? lua_tolstring(e->L, -2, &len) : NULL;
    if (name == NULL || iu__product_find(t, name, len) < 0) {
      if (name != NULL) iu__printable(key, 64, name, len);
      else shown_value(e->L, lua_gettop(e->L) - 1, key);
      lua_pop(e->L, 2);
      break;
    }
    lua_pop(e->L, 1);
  }
  path_text(e, path, sizeof path);
  const char *best = NULL;
  size_t distance = 4;
  for (uint32_t i = 0; i < t->count; i++) {
    const char *name = t->u.fields[i].name;
    size_t d = name != NULL ? iu__edit_distance(name, strlen(name), key, strlen(key)) : 4;
    if (d < distance) { distance = d; best = name; }
  }
  return iu__fail(e->err, IU_E_VALIDATION, "%s: unknown field `%s`%s%s%s", path, key, best != NULL ? ", did you mean `" : "",
                  best != NULL ? best : "", best != NULL ? "`?" : "");
}

static bool is_option(const iu_type *t) { return iu__type_deref(t)->special == IU_S_OPTION; }

static iu_status encode_product(encoder *e, int index, const iu_type *t) {
  uint32_t given = 0, present = 0;
  if (!lua_istable(e->L, index)) return refuse_type(e, index, t);
  if (!lua_checkstack(e->L, 8)) return iu__fail_nomem(e->err);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_field *f = &t->u.fields[i];
    iu_status status;
    if (f->name != NULL) {
      lua_pushstring(e->L, f->name);
      lua_rawget(e->L, index);
    } else {
      lua_rawgeti(e->L, index, (lua_Integer)i + 1);
    }
    if (!lua_isnil(e->L, -1)) given++;
    else if (!is_option(f->type)) {
      status = enter(e, f->name, (lua_Integer)i + 1);
      return status == IU_OK ? refuse_type(e, lua_gettop(e->L), f->type) : status;
    }
    status = encode_top(e, f->type, f->name, (lua_Integer)i + 1);
    if (status != IU_OK) return status;
  }
  lua_pushnil(e->L);
  while (lua_next(e->L, index) != 0) {
    present++;
    lua_pop(e->L, 1);
  }
  return present == given ? IU_OK : refuse_unknown_field(e, index, t);
}

static bool is_absent(lua_State *L, int index) {
  return lua_isnil(L, index) || (lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL);
}

static iu_status encode_option(encoder *e, int index, const iu_type *t) {
  if (is_absent(e->L, index)) {
    iu__buf_put_u8(e->out, 1);
    return IU_OK;
  }
  iu__buf_put_u8(e->out, 0);
  iu_status status = enter(e, "", 0);
  if (status != IU_OK) return status;
  e->depth--; /* an option is no step of the path; enter only bounded the depth */
  return encode(e, index, t->u.fields[0].type);
}

static iu_status encode_sum(encoder *e, int index, const iu_type *t) {
  lua_State *L = e->L;
  int variant = -1;
  size_t len;
  const char *name = NULL;
  bool unit;
  if (lua_type(L, index) == LUA_TSTRING) {
    name = lua_tolstring(L, index, &len);
    variant = iu__product_find(t, name, len);
    unit = true;
  } else if (lua_istable(L, index) && lua_checkstack(L, 8)) {
    lua_pushliteral(L, "tag");
    lua_rawget(L, index);
    if (lua_type(L, -1) == LUA_TSTRING) {
      name = lua_tolstring(L, -1, &len);
      variant = iu__product_find(t, name, len);
    }
    iu_status unknown = variant < 0 && name != NULL ? refuse_type(e, lua_gettop(L), t) : IU_OK; /* the tag tells more than "table" */
    lua_pop(L, 1);
    if (unknown != IU_OK) return unknown;
    unit = false;
  } else {
    return refuse_type(e, index, t);
  }
  if (variant < 0) return refuse_type(e, index, t);
  const iu_type *payload = t->u.fields[variant].type;
  iu__buf_put_u8(e->out, (uint8_t)variant);
  if (iu__type_deref(payload)->special == IU_S_UNIT) return IU_OK;
  if (unit) return refuse(e, index, "{ tag = ..., value = ... }");
  lua_pushliteral(L, "value");
  lua_rawget(L, index);
  return encode_top(e, payload, t->u.fields[variant].name, 0);
}

static iu_status encode(encoder *e, int index, const iu_type *t) {
  t = iu__type_deref(t);
  switch ((iu_special)t->special) {
    case IU_S_IDENTITY: case IU_S_CONNECTION_ID: case IU_S_UUID: return encode_hex(e, index, t);
    case IU_S_TIMESTAMP: case IU_S_TIME_DURATION: return encode_integer(e, index, iu__type_scalar(IU_T_I64));
    case IU_S_OPTION: return encode_option(e, index, t);
    case IU_S_BYTES: return encode_string(e, index, t);
    default: break;
  }
  switch ((iu_type_tag)t->tag) {
    case IU_T_PRODUCT: return encode_product(e, index, t);
    case IU_T_SUM: return encode_sum(e, index, t);
    case IU_T_ARRAY: return encode_array(e, index, t);
    case IU_T_STRING: return encode_string(e, index, t);
    case IU_T_BOOL:
      if (!lua_isboolean(e->L, index)) return refuse_type(e, index, t);
      iu__buf_put_u8(e->out, (uint8_t)lua_toboolean(e->L, index));
      return IU_OK;
    case IU_T_F32: case IU_T_F64: return encode_float(e, index, t);
    default: return encode_integer(e, index, t);
  }
}

/* ---- a table of which not every field must be given ---- */

/* The default of the field, instead of what is on top of the stack. */
static void take_default(lua_State *L, int defaults, const iu_field *f) {
  lua_pop(L, 1);
  lua_pushstring(L, f->name);
  lua_rawget(L, defaults);
}

static bool is_json(lua_State *L, int defaults, const iu_field *f) {
  if (iu__type_deref(f->type)->tag != IU_T_STRING) return false;
  lua_pushstring(L, f->name);
  bool json = lua_rawget(L, defaults) == LUA_TTABLE;
  lua_pop(L, 1);
  return json;
}

static iu_status encode_json_object(encoder *e, const iu_field *f) {
  size_t at = e->out->len;
  iu_status status = enter(e, f->name, 0);
  if (status == IU_OK && !lua_istable(e->L, -1)) status = refuse(e, lua_gettop(e->L), "a table with string keys");
  iu__buf_put_u32(e->out, 0);
  if (status == IU_OK) status = iu__lua_to_json(e->L, -1, e->out, e->err);
  if (status == IU_OK && e->out->data[at + 4] != '{') status = refuse(e, lua_gettop(e->L), "a table with string keys");
  if (status != IU_OK) return status;
  iu__buf_patch_u32(e->out, at, (uint32_t)(e->out->len - at - 4));
  e->depth--;
  lua_pop(e->L, 1);
  return IU_OK;
}

static iu_status encode_filled(encoder *e, int index, int defaults, const iu_type *t) {
  lua_State *L = e->L;
  uint32_t given = 0, present = 0;
  bool none = lua_isnil(L, index);
  if (!none && !lua_istable(L, index)) return refuse_type(e, index, t);
  if (!none && lua_getmetatable(L, index)) return refuse(e, index, "a table without a metatable");
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_field *f = &t->u.fields[i];
    iu_status status;
    if (f->name == NULL) return refuse_type(e, index, t);
    if (none) {
      lua_pushnil(L);
    } else {
      lua_pushstring(L, f->name);
      if (lua_rawget(L, index) != LUA_TNIL) given++;
    }
    if (is_absent(L, -1) && !is_option(f->type)) take_default(L, defaults, f);
    status = is_json(L, defaults, f) ? encode_json_object(e, f) : encode_top(e, f->type, f->name, (lua_Integer)i + 1);
    if (status != IU_OK) return status;
  }
  if (none) return IU_OK;
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    present++;
    lua_pop(L, 1);
  }
  return present == given ? IU_OK : refuse_unknown_field(e, index, t);
}

/* ---- protected ---- */

typedef struct encoding { encoder *e; const iu_type *type; bool filled; iu_status status; } encoding;

static int encode_body(lua_State *L) {
  encoding *p = lua_touserdata(L, 2);
  p->status = p->filled ? encode_filled(p->e, 1, 3, p->type) : encode(p->e, 1, p->type);
  return 0;
}

static iu_status encode_protected(lua_State *L, int index, int defaults, const iu_type *t, const char *what, iu_buf *out, iu_error *err) {
  encoder e;
  encoding p = {&e, t, defaults != 0, IU_OK};
  int top = lua_gettop(L), kind = lua_type(L, index);
  e.L = L;
  e.out = out;
  e.err = err;
  e.what = what;
  e.depth = 0;
  index = lua_absindex(L, index);
  if (kind != LUA_TTABLE && kind != LUA_TUSERDATA && !p.filled) { /* needs nothing of Lua's */
    p.status = encode(&e, index, t);
  } else if (!lua_checkstack(L, 4)) {
    p.status = iu__fail_nomem(err);
  } else {
    lua_pushcfunction(L, encode_body);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, &p);
    if (p.filled) lua_pushvalue(L, defaults);
    if (lua_pcall(L, p.filled ? 3 : 2, 0, 0) != LUA_OK) p.status = iu__fail_nomem(err);
  }
  lua_settop(L, top);
  return p.status;
}

iu_status iu__encode_value(lua_State *L, int index, const iu_type *t, const char *what, iu_buf *out, iu_error *err) {
  return encode_protected(L, index, 0, t, what, out, err);
}

iu_status iu__encode_argument(lua_State *L, int index, int defaults, const iu_field *p, iu_buf *out, iu_error *err) {
  const iu_type *t = iu__type_deref(p->type);
  if (t->special == IU_S_NONE && lua_isinteger(L, index) && iu__put_i64(t, lua_tointeger(L, index), out)) return IU_OK; /* most are such */
  return encode_protected(L, index, t->tag == IU_T_PRODUCT && t->special == IU_S_NONE ? defaults : 0, t, p->name, out, err);
}
