/* json_decode.c: JSON text to Lua values, and the module's JSON functions.
 *
 * The values of an open container wait on Lua's stack, above the place of its table, which is made when their number is known (or when there are many).
 * Building runs in a protected call, because the reader holds memory that an error of Lua (no memory) must not lose.
 * Marks: arrays carry array_mt, empty objects object_mt (an object with members is recognised by its keys).
 */
#include "bind.h"

#include <limits.h>

#include "../base/hash.h"
#include "../sats/json_scan.h"

static const char array_key = 0, object_key = 0;

static void push_mt(lua_State *L, const void *key, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void iu__push_array_mt(lua_State *L) { push_mt(L, &array_key, "array"); }
void iu__push_object_mt(lua_State *L) { push_mt(L, &object_key, "object"); }

static bool is_mt(lua_State *L, int index, const void *key) {
  bool same;
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  same = lua_rawequal(L, index, -1);
  lua_pop(L, 1);
  return same;
}

bool iu__is_array_mt(lua_State *L, int index) { return is_mt(L, index, &array_key); }
bool iu__is_object_mt(lua_State *L, int index) { return is_mt(L, index, &object_key); }

#define CACHED_COUNT 256      /* a power of two */
#define CACHED_LENGTH 24      /* longer ones seldom come again */
#define CACHE_FROM 1024       /* bytes of text; below that making room costs more than it saves */
#define PAUSE_FROM (64 * 1024)
#define STACK_STEP 256
#define PENDING_ELEMENTS 128
#define PENDING_MEMBERS 64
#define COMPARED_KEYS 16      /* of an object with more it is not known whether two are equal */

/* The first and the last bytes of a string: of at most 16, all of them. */
typedef struct ends { uint64_t first, last; } ends;
typedef struct cached { const char *s; size_t len; ends ends; } cached;
typedef struct decoder {
  iu_json_scan scan;
  iu_error err;
  int array_mt, object_mt;    /* where they are on the stack */
  int room;                   /* up to where the stack is known to reach */
  int cache;                  /* where the strings of `strings` begin, 0: no cache */
  cached strings[CACHED_COUNT];
} decoder;

static bool push_value(lua_State *L, decoder *d, int at);

static inline uint64_t load(const char *s, size_t bytes) {
  uint64_t word = 0;
  memcpy(&word, s, bytes);
  return word;
}

static inline ends ends_of(const char *s, size_t len) {
  if (len >= 8) return (ends){load(s, 8), load(s + len - 8, 8)};
  if (len >= 4) return (ends){load(s, 4), load(s + len - 4, 4)};
  if (len == 0) return (ends){0, 0};
  return (ends){(unsigned char)s[0], (uint64_t)(unsigned char)s[len / 2] << 8 | (unsigned char)s[len - 1]};
}

/* Different for different strings, as good as always. */
static inline uint64_t mark_of(const ends *e, size_t len) {
  return (e->first ^ (e->last + len) * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0x9E3779B97F4A7C15);
}

/* Strings that come again and again are kept on the stack: a comparison there costs less than Lua's own table of strings. Returns the string's mark. */
static inline uint64_t push_string(lua_State *L, decoder *d, const char *s, size_t len) {
  ends e = ends_of(s, len);
  uint64_t mark = mark_of(&e, len);
  if (d->cache == 0 || len > CACHED_LENGTH) {
    lua_pushlstring(L, s, len);
    return mark;
  }
  uint32_t slot = (uint32_t)(mark >> 56) % CACHED_COUNT;
  cached *c = &d->strings[slot];
  if (c->len == len && c->ends.first == e.first && c->ends.last == e.last && (len <= 16 || memcmp(c->s, s, len) == 0)) {
    lua_pushvalue(L, d->cache + (int)slot);
    return mark;
  }
  c->len = SIZE_MAX; /* what it points into may be collected before the new one is there */
  c->s = lua_pushlstring(L, s, len);
  lua_copy(L, -1, d->cache + (int)slot);
  c->ends = e;
  c->len = len;
  return mark;
}

/* Room for a container's values from `at` on, and for a few more. */
static void need_stack(lua_State *L, decoder *d, int at, int count) {
  int above = at + count + 8;
  if (above <= d->room) return;
  luaL_checkstack(L, above + STACK_STEP - at, "JSON nests too deep for Lua's stack");
  d->room = above + STACK_STEP;
}

/* Moves `count` values from above `at` into the table there, behind the `before` that it has; the first of them makes it. */
static void settle_elements(lua_State *L, decoder *d, int at, int count, lua_Integer before) {
  if (before == 0) {
    lua_createtable(L, count, 0);
    lua_pushvalue(L, d->array_mt);
    lua_setmetatable(L, -2);
    lua_replace(L, at);
    for (int i = count; i > 0; i--) lua_rawseti(L, at, i);
    return;
  }
  for (int i = 1; i <= count; i++) { /* in order, so that the table grows as an array */
    lua_pushvalue(L, at + i);
    lua_rawseti(L, at, before + i);
  }
  lua_settop(L, at);
}

/* A container's opening bracket; what comes first in it, 0 where it is too deep. */
static char enter(decoder *d) {
  if (d->scan.depth++ == IU_JSON_DEPTH_MAX) return 0;
  d->scan.p++;
  return iu__json_scan_next(&d->scan);
}

static void leave(decoder *d) {
  d->scan.depth--;
  d->scan.p++;
}

static bool push_array(lua_State *L, decoder *d, int at) {
  lua_Integer before = 0;
  int pending = 0;
  char c = enter(d);
  need_stack(L, d, at, PENDING_ELEMENTS);
  lua_pushnil(L); /* the table's place */
  while (c != ']') {
    if (pending == PENDING_ELEMENTS) {
      settle_elements(L, d, at, pending, before);
      before += pending;
      pending = 0;
    }
    if (c == 0 || !push_value(L, d, at + ++pending)) return false;
    c = iu__json_scan_next(&d->scan);
    if (c == ']') break;
    if (c != ',') return false;
    d->scan.p++;
    c = ',';
  }
  leave(d);
  settle_elements(L, d, at, pending, before);
  return true;
}

/* The same for `count` keys and values. Where no two keys are equal, from the top down: that needs no copies. Otherwise in order: the last wins. */
static void settle_members(lua_State *L, decoder *d, int at, int count, bool first, bool different) {
  if (first) {
    lua_createtable(L, 0, count);
    if (count == 0) {
      lua_pushvalue(L, d->object_mt);
      lua_setmetatable(L, -2);
    }
    lua_replace(L, at);
  }
  if (first && different) {
    for (; count > 0; count--) lua_rawset(L, at);
    return;
  }
  for (int i = 1; i < 2 * count; i += 2) {
    lua_pushvalue(L, at + i);
    lua_pushvalue(L, at + i + 1);
    lua_rawset(L, at);
  }
  lua_settop(L, at);
}

static bool push_object(lua_State *L, decoder *d, int at) {
  uint64_t marks[COMPARED_KEYS];
  bool first = true, different = true;
  int pending = 0;
  char c = enter(d);
  need_stack(L, d, at, 2 * PENDING_MEMBERS);
  lua_pushnil(L);
  while (c != '}') {
    if (c != '"') return false;
    if (pending == PENDING_MEMBERS) {
      settle_members(L, d, at, pending, first, false);
      first = false;
      pending = 0;
    }
    iu_json key = iu__json_scan_string(&d->scan);
    if (key.token == IU_J_ERROR) return false;
    uint64_t mark = push_string(L, d, key.u.s, key.len);
    different = different && pending < COMPARED_KEYS;
    if (different) {
      for (int i = 0; i < pending; i++) different = different && marks[i] != mark;
      marks[pending] = mark;
    }
    if (iu__json_scan_next(&d->scan) != ':') return false;
    d->scan.p++;
    if (!push_value(L, d, at + 2 * ++pending)) return false;
    c = iu__json_scan_next(&d->scan);
    if (c == '}') break;
    if (c != ',') return false;
    d->scan.p++;
    c = iu__json_scan_next(&d->scan);
    if (c == '}') return false;
  }
  leave(d);
  settle_members(L, d, at, pending, first, different);
  return true;
}

static bool push_scalar(lua_State *L, decoder *d, const iu_json *v) {
  switch (v->token) {
    case IU_J_NULL: lua_pushlightuserdata(L, NULL); return true;
    case IU_J_TRUE: lua_pushboolean(L, 1); return true;
    case IU_J_FALSE: lua_pushboolean(L, 0); return true;
    case IU_J_INT: lua_pushinteger(L, v->u.i); return true;
    case IU_J_DOUBLE: lua_pushnumber(L, v->u.d); return true;
    case IU_J_STRING: (void)push_string(L, d, v->u.s, v->len); return true;
    case IU_J_BIGINT:
      if (iu__wide_push_text(L, v->u.s, v->len)) return true;
      iu__fail(&d->err, IU_E_VALIDATION, "integer of %zu digits, the limit is %d", (size_t)v->len, IU_WIDE_DIGITS_MAX);
      return false;
    default: return false;
  }
}

/* Pushes the value at the scanner, to where the stack's top is: `at`. false when the text is bad. */
static bool push_value(lua_State *L, decoder *d, int at) {
  char c = iu__json_scan_next(&d->scan);
  if (c == '{') return push_object(L, d, at);
  if (c == '[') return push_array(L, d, at);
  iu_json v = iu__json_scan_scalar(&d->scan, c);
  return push_scalar(L, d, &v);
}

static int decode_body(lua_State *L) {
  decoder *d = lua_touserdata(L, 1);
  iu__push_array_mt(L);
  d->array_mt = lua_gettop(L);
  iu__push_object_mt(L);
  d->object_mt = lua_gettop(L);
  if (d->cache != 0) {
    luaL_checkstack(L, CACHED_COUNT + 8, NULL);
    d->cache = d->object_mt + 1;
    lua_settop(L, d->object_mt + CACHED_COUNT);
  }
  if (!push_value(L, d, lua_gettop(L) + 1) || iu__json_scan_next(&d->scan) != 0 || d->scan.p != d->scan.end) {
    if (d->err.status == IU_OK) iu__json_scan_explain(&d->scan, &d->err);
    lua_pushnil(L);
  }
  return 1;
}

/* Decoding makes no garbage: while much is made the collector would go over the same growing tree again and again. What was made meanwhile is
 * owed to it, and paid before the next, when that comes to as much as everything else there is. */
static bool pause_collector(lua_State *L, iu_lua *x, size_t len) {
  if (len < PAUSE_FROM || lua_gc(L, LUA_GCISRUNNING) != 1) return false;
  if (x->collector_owed > lua_gc(L, LUA_GCCOUNT) / 2) {
    lua_gc(L, LUA_GCSTEP, x->collector_owed);
    x->collector_owed = 0;
  }
  lua_gc(L, LUA_GCSTOP);
  return true;
}

static void resume_collector(lua_State *L, iu_lua *x, int before) {
  int made = lua_gc(L, LUA_GCCOUNT) - before;
  if (made > 0) x->collector_owed = made < INT_MAX - x->collector_owed ? x->collector_owed + made : INT_MAX;
  lua_gc(L, LUA_GCRESTART);
}

int iu__push_json_or_failure(lua_State *L, iu_lua *x, const void *text, size_t len) {
  decoder d;
  bool paused;
  int rc, before;
  iu__error_clear(&d.err);
  if (len > UINT32_MAX) {
    iu__fail(&d.err, IU_E_VALIDATION, "JSON text of %zu bytes, the limit is %u", len, UINT32_MAX);
    return iu__push_failure(L, x, &d.err);
  }
  iu__json_scan_init(&d.scan, text, len, NULL);
  d.room = 0;
  d.cache = len >= CACHE_FROM;
  if (d.cache != 0) memset(d.strings, 0xFF, sizeof d.strings); /* no string is that long */
  paused = pause_collector(L, x, len);
  before = lua_gc(L, LUA_GCCOUNT);
  lua_pushcfunction(L, decode_body);
  lua_pushlightuserdata(L, &d);
  rc = lua_pcall(L, 1, 1, 0);
  iu__json_scan_free(&d.scan);
  if (paused) resume_collector(L, x, before);
  if (rc != LUA_OK) return lua_error(L);
  if (d.err.status == IU_OK) return 1;
  lua_pop(L, 1);
  return iu__push_failure(L, x, &d.err);
}

/* ---- functions ---- */

static int f_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  return iu__push_json_or_failure(L, iu__lua(L), text, len);
}

static int push_text_body(lua_State *L) {
  const iu_buf *b = lua_touserdata(L, 1);
  lua_pushlstring(L, (const char *)b->data, b->len);
  return 1;
}

/* Pushes the buffer's bytes and frees it, also when Lua has no memory for the string. */
static int push_buffer(lua_State *L, iu_buf *b) {
  int rc;
  lua_pushcfunction(L, push_text_body);
  lua_pushlightuserdata(L, b);
  rc = lua_pcall(L, 1, 1, 0);
  iu__buf_free(b);
  return rc == LUA_OK ? 1 : lua_error(L);
}

static int f_encode(lua_State *L) {
  iu_buf out = {0};
  iu_error err;
  luaL_checkany(L, 1);
  if (iu__lua_to_json(L, 1, &out, &err) == IU_OK) return push_buffer(L, &out);
  iu__buf_free(&out);
  return iu__push_failure(L, iu__lua(L), &err);
}

static iu_status canonical_of(lua_State *L, bool is_text, iu_buf *out, iu_error *err) {
  const iu_json *document = iu__document_node(L, 1, NULL);
  iu_buf json = {0};
  iu_status status;
  if (is_text) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    return iu__json_canonical(text, len, out, err);
  }
  luaL_checkany(L, 1);
  if (document != NULL) {
    iu__json_write_canonical(document, out);
    return iu__buf_status(out, err, "canonical text");
  }
  status = iu__lua_to_json(L, 1, &json, err);
  if (status == IU_OK) status = iu__json_canonical(json.data, json.len, out, err);
  iu__buf_free(&json);
  return status;
}

static int canonical(lua_State *L, bool is_text) {
  iu_buf out = {0};
  iu_error err;
  if (canonical_of(L, is_text, &out, &err) == IU_OK) return push_buffer(L, &out);
  iu__buf_free(&out);
  return iu__push_failure(L, iu__lua(L), &err);
}

static int f_canonical(lua_State *L) { return canonical(L, false); }
static int f_canonical_text(lua_State *L) { return canonical(L, true); }

int iu__push_hash(lua_State *L, const uint8_t digest[32]) {
  char hex[65];
  iu__hex(hex, digest, 32);
  lua_pushlstring(L, hex, 64);
  return 1;
}

static iu_status hash_of_text(const void *text, size_t len, uint8_t digest[32], iu_error *err) {
  iu_arena arena = {0};
  const iu_json *root = iu__json_parse_borrowed(&arena, text, len, err);
  iu_status status = root != NULL ? iu__json_hash(root, digest, err) : err->status;
  iu__arena_free(&arena);
  return status;
}

static iu_status hash_of_value(lua_State *L, iu_buf *json, uint8_t digest[32], iu_error *err) {
  const iu_json *document = iu__document_node(L, 1, NULL);
  if (document != NULL) return iu__json_hash(document, digest, err);
  iu_status status = iu__lua_to_json(L, 1, json, err);
  return status == IU_OK ? hash_of_text(json->data, json->len, digest, err) : status;
}

static int f_hash(lua_State *L) {
  iu_buf json = {0};
  iu_error err;
  uint8_t digest[32];
  luaL_checkany(L, 1);
  iu_status status = hash_of_value(L, &json, digest, &err);
  iu__buf_free(&json);
  if (status != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return iu__push_hash(L, digest);
}

static int f_hash_text(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  uint8_t digest[32];
  iu_error err;
  if (hash_of_text(text, len, digest, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return iu__push_hash(L, digest);
}

static int f_sha256(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  uint8_t digest[32];
  iu_error err;
  if (iu__sha256(bytes, len, digest, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return iu__push_hash(L, digest);
}

static int mark(lua_State *L, void (*push)(lua_State *)) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  if (luaL_getmetafield(L, 1, "__iu_plain") != LUA_TNIL) return luaL_argerror(L, 1, "a draft knows its arrays and objects by itself");
  push(L);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

static int f_array(lua_State *L) { return mark(L, iu__push_array_mt); }
static int f_object(lua_State *L) { return mark(L, iu__push_object_mt); }

void iu__json_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"json_encode", f_encode}, {"json_decode", f_decode}, {"json_canonical", f_canonical}, {"json_hash", f_hash},
      {"canonical_text", f_canonical_text}, {"hash_text", f_hash_text}, {"sha256", f_sha256}, {"array", f_array}, {"object", f_object}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  iu__push_array_mt(L);
  lua_setfield(L, -2, "array_mt");
  iu__push_object_mt(L);
  lua_setfield(L, -2, "object_mt");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
}
