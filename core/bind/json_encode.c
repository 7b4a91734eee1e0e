/* json_encode.c: Lua values to compact JSON text, exactly.
 *
 * Reads tables raw (no metamethods but the array and object marks), so it raises for nothing but Lua's own memory. A table that stands for another value
 * (a draft) has a function __iu_plain in its metatable, which answers that value, a level of it. Keys 1..n make an
 * array, string keys an object, an empty table an object unless marked. Everything else (sparse or mixed tables, other keys, NaN, infinity, invalid
 * UTF-8, a cycle, depth over IU_LUA_DEPTH_MAX, other types) is IU_E_VALIDATION naming the path: $.a.b[0].
 */
#include "bind.h"

#include <math.h>

#include "../base/text.h"
#include "../document/tree.h"

#define PATH_TEXT_MAX 200

#define STACK_STEP 64
#define AHEAD 16 /* members of an object that are looked at together */
#define ROOM (2 * AHEAD + 8) /* of the stack, that a container takes */

/* A container being written: its table, and where in it: the key, or (NULL) the index. */
typedef struct level { const void *table; const char *key; size_t key_len; lua_Integer index; } level;
typedef struct encoder {
  lua_State *L;
  iu_buf *out;
  iu_error *err;
  const void *array_mt, *object_mt;
  int room; /* up to where the stack is known to reach */
  uint32_t depth;
  level levels[IU_LUA_DEPTH_MAX];
} encoder;

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

static iu_status encode(encoder *e, int index, int type);

/* The same for what is wrong with the innermost container itself. */
static iu_status refuse_table(encoder *e, const char *what) {
  e->depth--;
  return refuse(e, what);
}

static iu_status encode_string(encoder *e, int index) {
  size_t len, bad;
  const char *s = lua_tolstring(e->L, index, &len);
  if ((bad = iu__json_put_text(e->out, 0, s, len, 0)) != len) {
    char what[64];
    snprintf(what, sizeof what, "invalid UTF-8 (byte %zu of the string)", bad);
    return refuse(e, what);
  }
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

/* How many keys, and whether they are exactly 1..n. */
static iu_status check_array(encoder *e, int index, lua_Integer *n) {
  lua_State *L = e->L;
  lua_Integer count = 0, length = (lua_Integer)lua_rawlen(L, index);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    count++;
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 && lua_tointeger(L, -1) <= length) continue;
    if (lua_type(L, -1) == LUA_TSTRING) return refuse_table(e, "table with both string and number keys");
    if (lua_type(L, -1) != LUA_TNUMBER) return refuse_table(e, "object key that is not a string");
    return refuse_table(e, "sparse array (keys must be 1..n)");
  }
  if (count != length) return refuse_table(e, "sparse array (keys must be 1..n)");
  *n = length;
  return IU_OK;
}

/* An array whose elements do not come in their order, if it is one. */
static iu_status encode_unordered(encoder *e, int index) {
  lua_State *L = e->L;
  lua_Integer n = 0;
  iu_status status = check_array(e, index, &n);
  for (lua_Integer i = 1; i <= n && status == IU_OK; i++) {
    if (i > 1) iu__buf_put_u8(e->out, ',');
    e->levels[e->depth - 1].index = i;
    status = encode(e, index + 1, lua_rawgeti(L, index, i));
    lua_settop(L, index);
  }
  return status;
}

/* The first key and value are on the stack, unless it is empty. */
static iu_status encode_array(encoder *e, int index, bool empty) {
  lua_State *L = e->L;
  level *l = &e->levels[e->depth - 1];
  size_t start;
  iu_status status;
  iu__buf_put_u8(e->out, '[');
  start = e->out->len;
  l->key = NULL;
  for (lua_Integer i = 1; !empty; i++) {
    if (!lua_isinteger(L, index + 1) || lua_tointeger(L, index + 1) != i) {
      lua_settop(L, index);
      if (!e->out->failed) e->out->len = start;
      status = encode_unordered(e, index);
      if (status != IU_OK) return status;
      break;
    }
    if (i > 1) iu__buf_put_u8(e->out, ',');
    l->index = i;
    status = encode(e, index + 2, lua_type(L, index + 2));
    if (status != IU_OK) return status;
    lua_settop(L, index + 1);
    empty = lua_next(L, index) == 0;
  }
  iu__buf_put_u8(e->out, ']');
  return IU_OK;
}

/* The member whose key is at `key` and whose value is behind it. */
static iu_status encode_member(encoder *e, int key, char between) {
  lua_State *L = e->L;
  level *l = &e->levels[e->depth - 1];
  int type = lua_type(L, key), value = key + 1;
  if (type != LUA_TSTRING) return refuse_table(e, type == LUA_TNUMBER ? "table with both string and number keys" : "object key that is not a string");
  l->key = lua_tolstring(L, key, &l->key_len);
  if (iu__json_put_text(e->out, between, l->key, l->key_len, ':') != l->key_len) return refuse(e, "key of invalid UTF-8");
  type = lua_type(L, value);
  if (type != LUA_TTABLE && type != LUA_TUSERDATA) return encode(e, value, type);
  int top = lua_gettop(L);
  lua_pushvalue(L, value);
  iu_status status = encode(e, top + 1, type);
  lua_settop(L, top);
  return status;
}

/* Tables lie scattered in memory, and the first look at one waits for it: so the next AHEAD members are on the stack before the first of them is
 * written, and asked for. What lies behind a table's head are mostly its slots. */
static void ask_for(const void *value) {
  const char *p = value;
  if (p == NULL) return;
  __builtin_prefetch(p);
  __builtin_prefetch(p + 64);
  __builtin_prefetch(p + 128);
}

/* The first pair is on the stack. Puts those behind it there, AHEAD together at most; the last one's key, and what is behind it. */
static int look_ahead(encoder *e, int index, bool *more) {
  lua_State *L = e->L;
  int last = index + 1;
  ask_for(lua_topointer(L, last + 1));
  for (int n = 1; n < AHEAD; n++) {
    lua_pushvalue(L, last);
    *more = lua_next(L, index) != 0;
    if (!*more) return last;
    last += 2;
    ask_for(lua_topointer(L, last + 1));
  }
  lua_pushvalue(L, last);
  return last;
}

static iu_status encode_object(encoder *e, int index, bool empty) {
  lua_State *L = e->L;
  char between = '{';
  bool more = !empty;
  if (empty) iu__buf_put_u8(e->out, '{');
  while (more) {
    int last = look_ahead(e, index, &more);
    for (int key = index + 1; key <= last; key += 2) {
      iu_status status = encode_member(e, key, between);
      if (status != IU_OK) return status;
      between = ',';
    }
    if (!more) break;
    lua_replace(L, index + 1); /* the last key */
    lua_settop(L, index + 1);
    more = lua_next(L, index) != 0;
  }
  lua_settop(L, index);
  iu__buf_put_u8(e->out, '}');
  return IU_OK;
}

static iu_status encode_contents(encoder *e, int index, const void *self, const void *mt);
static iu_status encode_userdata(encoder *e, int index);

/* A table that stands for another value: the function that answers it is at the top. */
/* The function may do anything, closing the connection by whose types the value is read included. */
static iu_status encode_plain(encoder *e, int index, const void *self) {
  lua_State *L = e->L;
  iu_lua *x = iu__lua(L);
  const void *mt = NULL;
  lua_pushvalue(L, index);
  x->plains++;
  int result = lua_pcall(L, 1, 1, 0);
  x->plains--;
  if (result != LUA_OK) return refuse(e, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "what stands for the value cannot be read");
  lua_replace(L, index);
  lua_settop(L, index);
  if (lua_type(L, index) == LUA_TUSERDATA) return encode_userdata(e, index);
  if (!lua_istable(L, index)) return refuse(e, "what stands for the value is no table");
  if (lua_getmetatable(L, index)) {
    mt = lua_topointer(L, -1);
    lua_settop(L, index);
  }
  return encode_contents(e, index, self, mt);
}

static iu_status encode_table(encoder *e, int index) {
  lua_State *L = e->L;
  const void *self = lua_topointer(L, index), *mt = NULL;
  for (uint32_t i = 0; i < e->depth; i++) {
    if (e->levels[i].table == self) return refuse(e, "cycle");
  }
  if (e->depth >= IU_LUA_DEPTH_MAX) {
    char what[48];
    snprintf(what, sizeof what, "nesting deeper than %d", IU_LUA_DEPTH_MAX);
    return refuse(e, what);
  }
  if (index + ROOM > e->room) {
    if (!lua_checkstack(L, STACK_STEP + ROOM)) return iu__fail_nomem(e->err);
    e->room = index + STACK_STEP + ROOM;
  }
  if (lua_getmetatable(L, index)) {
    mt = lua_topointer(L, -1);
    if (mt != e->array_mt && mt != e->object_mt) {
      lua_pushliteral(L, "__iu_plain");
      if (lua_rawget(L, index + 1) == LUA_TFUNCTION) return encode_plain(e, index, self);
    }
    lua_settop(L, index);
  }
  return encode_contents(e, index, self, mt);
}

static iu_status encode_contents(encoder *e, int index, const void *self, const void *mt) {
  lua_State *L = e->L;
  bool empty;
  iu_status status;
  lua_pushnil(L);
  empty = lua_next(L, index) == 0;
  e->levels[e->depth++] = (level){self, NULL, 0, 0};
  if (mt != NULL && mt == e->array_mt) status = encode_array(e, index, empty);
  else if (empty || (mt != NULL && mt == e->object_mt) || lua_type(L, index + 1) != LUA_TNUMBER) status = encode_object(e, index, empty);
  else status = encode_array(e, index, false);
  if (status == IU_OK) e->depth--;
  return status;
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

/* The value of that type at index, the stack's top. What is left above it is the caller's to remove. */
static iu_status encode(encoder *e, int index, int type) {
  switch (type) {
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
  if (!lua_checkstack(L, STACK_STEP + ROOM)) return iu__fail_nomem(err);
  e.L = L;
  e.out = out;
  e.err = err;
  e.depth = 0;
  e.room = top + STACK_STEP + ROOM;
  iu__push_array_mt(L);
  e.array_mt = lua_topointer(L, -1);
  iu__push_object_mt(L);
  e.object_mt = lua_topointer(L, -1);
  lua_settop(L, top);
  lua_pushvalue(L, index);
  status = encode(&e, top + 1, lua_type(L, top + 1));
  lua_settop(L, top);
  return status == IU_OK ? iu__buf_status(out, err, "JSON text") : status;
}
