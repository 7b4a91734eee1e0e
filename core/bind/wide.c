/* wide.c: integers that do not fit Lua's: a small immutable userdata of any size up to IU_WIDE_DIGITS_MAX decimal digits.
 *
 * Sign and magnitude, in limbs of nine decimal digits, least significant first: its text (what JSON and SATS exchange) is exact and cheap, and
 * arithmetic is plain. Results that fit an i64 become Lua integers again.
 */
#include "bind.h"

#include <stdlib.h>

#define CLASS "inner_universe.wide"
#define BASE 1000000000u
#define LIMBS_MAX (IU_WIDE_DIGITS_MAX / 9 + 2)

typedef struct wide { uint32_t count; bool negative; uint32_t limbs[]; } wide;
typedef struct number { uint32_t count; bool negative; uint32_t limbs[2 * LIMBS_MAX]; } number;

static void trim(number *n) {
  while (n->count > 0 && n->limbs[n->count - 1] == 0) n->count--;
  if (n->count == 0) n->negative = false;
}

static bool parse(const char *s, size_t len, number *n) {
  n->negative = len > 0 && s[0] == '-';
  n->count = 0;
  if (n->negative) { s++; len--; }
  if (len == 0 || len > IU_WIDE_DIGITS_MAX) return false;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') return false;
  }
  while (len > 0) {
    size_t part = len < 9 ? len : 9;
    uint32_t v = 0;
    for (size_t i = len - part; i < len; i++) v = v * 10 + (uint32_t)(s[i] - '0');
    n->limbs[n->count++] = v;
    len -= part;
  }
  trim(n);
  return true;
}

static void from_integer(lua_Integer v, number *n) {
  uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  n->negative = v < 0;
  for (n->count = 0; m > 0; m /= BASE) n->limbs[n->count++] = (uint32_t)(m % BASE);
}

/* false: does not fit. */
static bool to_integer(const number *n, lua_Integer *out) {
  uint64_t m = 0, limit = n->negative ? (uint64_t)1 << 63 : ((uint64_t)1 << 63) - 1;
  for (uint32_t i = n->count; i-- > 0;) {
    if (m > (UINT64_MAX - n->limbs[i]) / BASE) return false;
    m = m * BASE + n->limbs[i];
  }
  if (m > limit) return false;
  *out = n->negative ? (lua_Integer)(0 - m) : (lua_Integer)m;
  return true;
}

static uint32_t digits_of(const number *n) {
  uint32_t digits = n->count > 0 ? (n->count - 1) * 9 : 0;
  for (uint32_t v = n->count > 0 ? n->limbs[n->count - 1] : 0; v > 0; v /= 10) digits++;
  return digits;
}

static void push(lua_State *L, const number *n) {
  lua_Integer small;
  wide *w;
  if (to_integer(n, &small)) {
    lua_pushinteger(L, small);
    return;
  }
  if (digits_of(n) > IU_WIDE_DIGITS_MAX) luaL_error(L, "integer of more than %d digits", IU_WIDE_DIGITS_MAX);
  w = lua_newuserdatauv(L, sizeof *w + n->count * sizeof w->limbs[0], 0);
  w->count = n->count;
  w->negative = n->negative;
  memcpy(w->limbs, n->limbs, n->count * sizeof w->limbs[0]);
  luaL_setmetatable(L, CLASS);
}

static bool get(lua_State *L, int index, number *n) {
  const wide *w = luaL_testudata(L, index, CLASS);
  if (w != NULL) {
    n->count = w->count;
    n->negative = w->negative;
    memcpy(n->limbs, w->limbs, w->count * sizeof w->limbs[0]);
    return true;
  }
  if (!lua_isinteger(L, index)) return false;
  from_integer(lua_tointeger(L, index), n);
  return true;
}

static void check(lua_State *L, int index, number *n) {
  if (!get(L, index, n)) luaL_typeerror(L, index, "integer or wide integer");
}

static int compare_magnitude(const number *a, const number *b) {
  if (a->count != b->count) return a->count < b->count ? -1 : 1;
  for (uint32_t i = a->count; i-- > 0;) {
    if (a->limbs[i] != b->limbs[i]) return a->limbs[i] < b->limbs[i] ? -1 : 1;
  }
  return 0;
}

static int compare(const number *a, const number *b) {
  if (a->negative != b->negative) return a->negative ? -1 : 1;
  return a->negative ? -compare_magnitude(a, b) : compare_magnitude(a, b);
}

static void add_magnitude(const number *a, const number *b, number *out) {
  uint32_t carry = 0, count = a->count > b->count ? a->count : b->count;
  for (uint32_t i = 0; i < count || carry != 0; i++) {
    uint32_t sum = carry + (i < a->count ? a->limbs[i] : 0) + (i < b->count ? b->limbs[i] : 0);
    out->limbs[i] = sum % BASE;
    carry = sum / BASE;
    out->count = i + 1;
  }
}

static void subtract_magnitude(const number *a, const number *b, number *out) { /* |a| >= |b| */
  uint32_t borrow = 0;
  for (uint32_t i = 0; i < a->count; i++) {
    uint32_t take = borrow + (i < b->count ? b->limbs[i] : 0);
    borrow = a->limbs[i] < take;
    out->limbs[i] = a->limbs[i] + (borrow ? BASE : 0) - take;
  }
  out->count = a->count;
}

static int sum(lua_State *L, bool negate_second) {
  number a, b, out = {0};
  check(L, 1, &a);
  check(L, 2, &b);
  if (negate_second && b.count > 0) b.negative = !b.negative;
  if (a.negative == b.negative) {
    add_magnitude(&a, &b, &out);
    out.negative = a.negative;
  } else if (compare_magnitude(&a, &b) >= 0) {
    subtract_magnitude(&a, &b, &out);
    out.negative = a.negative;
  } else {
    subtract_magnitude(&b, &a, &out);
    out.negative = b.negative;
  }
  trim(&out);
  push(L, &out);
  return 1;
}

static int m_add(lua_State *L) { return sum(L, false); }
static int m_sub(lua_State *L) { return sum(L, true); }

static int m_mul(lua_State *L) {
  number a, b, out = {0};
  check(L, 1, &a);
  check(L, 2, &b);
  if (a.count + b.count > 2 * LIMBS_MAX) return luaL_error(L, "integer of more than %d digits", IU_WIDE_DIGITS_MAX);
  for (uint32_t i = 0; i < a.count; i++) {
    uint64_t carry = 0;
    for (uint32_t k = 0; k < b.count || carry != 0; k++) {
      uint64_t v = out.limbs[i + k] + carry + (k < b.count ? (uint64_t)a.limbs[i] * b.limbs[k] : 0);
      out.limbs[i + k] = (uint32_t)(v % BASE);
      carry = v / BASE;
    }
  }
  out.count = a.count + b.count;
  out.negative = a.negative != b.negative;
  trim(&out);
  push(L, &out);
  return 1;
}

static int m_unm(lua_State *L) {
  number a;
  check(L, 1, &a);
  if (a.count > 0) a.negative = !a.negative;
  push(L, &a);
  return 1;
}

static int m_eq(lua_State *L) {
  number a, b;
  lua_pushboolean(L, get(L, 1, &a) && get(L, 2, &b) && compare(&a, &b) == 0);
  return 1;
}

static int m_lt(lua_State *L) {
  number a, b;
  check(L, 1, &a);
  check(L, 2, &b);
  lua_pushboolean(L, compare(&a, &b) < 0);
  return 1;
}

static int m_le(lua_State *L) {
  number a, b;
  check(L, 1, &a);
  check(L, 2, &b);
  lua_pushboolean(L, compare(&a, &b) <= 0);
  return 1;
}

static int m_tostring(lua_State *L) {
  char text[IU_WIDE_TEXT_ROOM];
  size_t len = iu__wide_text(L, 1, text, sizeof text);
  lua_pushlstring(L, text, len);
  return 1;
}

static int m_tointeger(lua_State *L) {
  number a;
  lua_Integer v;
  check(L, 1, &a);
  if (to_integer(&a, &v)) lua_pushinteger(L, v);
  else lua_pushnil(L);
  return 1;
}

size_t iu__wide_text(lua_State *L, int index, char *out, size_t room) {
  const wide *w = luaL_testudata(L, index, CLASS);
  size_t at = 0;
  if (w == NULL || room < (size_t)w->count * 9 + 2) return 0;
  if (w->negative) out[at++] = '-';
  for (uint32_t i = w->count; i-- > 0;) {
    char part[10];
    uint32_t v = w->limbs[i];
    int digits = 9;
    for (int k = 8; k >= 0; k--, v /= 10) part[k] = (char)('0' + v % 10);
    const char *from = part;
    if (i == w->count - 1) {
      while (digits > 1 && *from == '0') { from++; digits--; }
    }
    memcpy(out + at, from, (size_t)digits);
    at += (size_t)digits;
  }
  return at;
}

bool iu__wide_push_text(lua_State *L, const char *digits, size_t len) {
  number n;
  if (!parse(digits, len, &n)) return false;
  push(L, &n);
  return true;
}

static int f_wide(lua_State *L) {
  size_t len;
  const char *text;
  if (lua_isinteger(L, 1) || luaL_testudata(L, 1, CLASS) != NULL) {
    lua_settop(L, 1);
    return 1;
  }
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_typeerror(L, 1, "string of decimal digits or integer");
  text = lua_tolstring(L, 1, &len);
  if (iu__wide_push_text(L, text, len)) return 1;
  iu_error err;
  char shown[48 * 4 + 4];
  iu__fail(&err, IU_E_VALIDATION, "wide: expected at most %d decimal digits with an optional minus, got \"%s\"", IU_WIDE_DIGITS_MAX,
           iu__printable(shown, 48, text, len));
  return iu__push_failure(L, iu__lua(L), &err);
}

void iu__wide_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"tointeger", m_tointeger}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__add", m_add}, {"__sub", m_sub}, {"__mul", m_mul}, {"__unm", m_unm}, {"__eq", m_eq},
                                  {"__lt", m_lt}, {"__le", m_le}, {"__tostring", m_tostring}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, meta, NULL, NULL};
  iu__class_define(L, &class);
  lua_pushcfunction(L, f_wide);
  lua_setfield(L, -2, "wide");
}
