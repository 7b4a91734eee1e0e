/* value_decode.c: BSATN rows and values to Lua. The bytes come from the store and are valid; bounds are kept all the same.
 *
 * Raises only for Lua's memory and stack: runs inside a protected call wherever C memory is at stake.
 */
#include "bind.h"

#include "../base/hash.h"
#include "../base/text.h"

static const uint8_t *take(const uint8_t **p, const uint8_t *end, size_t n) {
  const uint8_t *at = *p;
  if ((size_t)(end - at) < n) return NULL;
  *p = at + n;
  return at;
}

static void push_wide(lua_State *L, const uint8_t *bytes, size_t size, bool is_signed) {
  char text[80];
  size_t len = iu__wide_format(bytes, size, is_signed, text);
  if (!iu__wide_push_text(L, text, len)) lua_pushnil(L);
}

static void push_hex(lua_State *L, const uint8_t *bytes, size_t size) {
  uint8_t big[32];
  char text[65];
  for (size_t i = 0; i < size; i++) big[i] = bytes[size - 1 - i];
  iu__hex(text, big, size);
  lua_pushlstring(L, text, size * 2);
}

static void push_uuid(lua_State *L, const uint8_t *bytes) {
  uint8_t big[16];
  char hex[33], text[37];
  for (size_t i = 0; i < 16; i++) big[i] = bytes[15 - i];
  iu__hex(hex, big, 16);
  snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
  lua_pushlstring(L, text, 36);
}

static void push_scalar(lua_State *L, const iu_type *t, const uint8_t *v) {
  switch ((iu_type_tag)t->tag) {
    case IU_T_BOOL: lua_pushboolean(L, v[0]); break;
    case IU_T_I8: lua_pushinteger(L, (int8_t)v[0]); break;
    case IU_T_U8: lua_pushinteger(L, v[0]); break;
    case IU_T_I16: lua_pushinteger(L, (int16_t)iu__load_u16(v)); break;
    case IU_T_U16: lua_pushinteger(L, iu__load_u16(v)); break;
    case IU_T_I32: lua_pushinteger(L, (int32_t)iu__load_u32(v)); break;
    case IU_T_U32: lua_pushinteger(L, iu__load_u32(v)); break;
    case IU_T_I64: lua_pushinteger(L, (int64_t)iu__load_u64(v)); break;
    case IU_T_U64:
      if (iu__load_u64(v) <= INT64_MAX) lua_pushinteger(L, (int64_t)iu__load_u64(v));
      else push_wide(L, v, 8, false);
      break;
    case IU_T_F32: {
      uint32_t bits = iu__load_u32(v);
      float f;
      memcpy(&f, &bits, 4);
      lua_pushnumber(L, f);
      break;
    }
    case IU_T_F64: {
      uint64_t bits = iu__load_u64(v);
      double d;
      memcpy(&d, &bits, 8);
      lua_pushnumber(L, d);
      break;
    }
    case IU_T_I128: case IU_T_I256: push_wide(L, v, t->fixed_size, true); break;
    default: push_wide(L, v, t->fixed_size, false); break;
  }
}

static void push_bytes(lua_State *L, const uint8_t **p, const uint8_t *end) {
  const uint8_t *len = take(p, end, 4), *s = len != NULL ? take(p, end, iu__load_u32(len)) : NULL;
  if (s != NULL) lua_pushlstring(L, (const char *)s, iu__load_u32(len));
  else lua_pushnil(L);
}

static void push_array(lua_State *L, const iu_type *t, const uint8_t **p, const uint8_t *end) {
  const uint8_t *n = take(p, end, 4);
  uint32_t count = n != NULL ? iu__load_u32(n) : 0;
  lua_createtable(L, count < 1024 ? (int)count : 1024, 0);
  for (uint32_t i = 1; i <= count; i++) {
    iu__push_value(L, t->u.element, p, end);
    if (lua_isnil(L, -1)) { /* an option without a value: a hole would end the array */
      lua_pop(L, 1);
      lua_pushlightuserdata(L, NULL);
    }
    lua_rawseti(L, -2, i);
  }
  iu__push_array_mt(L);
  lua_setmetatable(L, -2);
}

void iu__push_product(lua_State *L, const iu_type *t, const uint8_t **p, const uint8_t *end) {
  lua_createtable(L, 0, (int)t->count);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_field *f = &t->u.fields[i];
    if (f->name != NULL) {
      lua_pushstring(L, f->name);
      iu__push_value(L, f->type, p, end);
      lua_rawset(L, -3);
    } else {
      iu__push_value(L, f->type, p, end);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
  }
}

static void push_sum(lua_State *L, const iu_type *t, const uint8_t **p, const uint8_t *end) {
  const uint8_t *tag = take(p, end, 1);
  if (tag == NULL || *tag >= t->count) {
    lua_pushnil(L);
    return;
  }
  const iu_field *v = &t->u.fields[*tag];
  if (t->special == IU_S_OPTION) {
    if (*tag == 0) iu__push_value(L, v->type, p, end);
    else lua_pushnil(L);
    return;
  }
  if (iu__type_deref(v->type)->special == IU_S_UNIT && v->name != NULL) {
    lua_pushstring(L, v->name);
    return;
  }
  lua_createtable(L, 0, 2);
  if (v->name != NULL) lua_pushstring(L, v->name);
  else lua_pushinteger(L, *tag);
  lua_setfield(L, -2, "tag");
  iu__push_value(L, v->type, p, end);
  lua_setfield(L, -2, "value");
}

void iu__push_value(lua_State *L, const iu_type *t, const uint8_t **p, const uint8_t *end) {
  const uint8_t *v;
  t = iu__type_deref(t);
  if (t->special == IU_S_BYTES || t->tag == IU_T_STRING) {
    push_bytes(L, p, end);
    return;
  }
  if (t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID || t->special == IU_S_UUID || t->special == IU_S_TIMESTAMP ||
      t->special == IU_S_TIME_DURATION || t->tag >= IU_T_BOOL) {
    if ((v = take(p, end, t->fixed_size)) == NULL) lua_pushnil(L);
    else if (t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID) push_hex(L, v, t->fixed_size);
    else if (t->special == IU_S_UUID) push_uuid(L, v);
    else if (t->special != IU_S_NONE) lua_pushinteger(L, (int64_t)iu__load_u64(v));
    else push_scalar(L, t, v);
    return;
  }
  luaL_checkstack(L, 6, "value nests too deep"); /* a part that is no container takes one of them */
  if (t->tag == IU_T_ARRAY) push_array(L, t, p, end);
  else if (t->tag == IU_T_PRODUCT) iu__push_product(L, t, p, end);
  else push_sum(L, t, p, end);
}

void iu__push_row(lua_State *L, const iu_table_def *def, const iu_row *row) {
  const uint8_t *p = row->data;
  iu__push_value(L, def->row, &p, row->data + row->len);
}
