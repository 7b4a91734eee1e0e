/* document.c: iu.json.document: an immutable JSON value outside of Lua's memory (core/document/document.h) as a userdata.
 *
 * A userdata stands for a node of a document and holds it. A scalar that is looked up becomes a Lua value, a container another userdata. `#` counts
 * elements and members; pairs goes through them in order; == compares by value. The methods (`totable`) are found where an object has no member of the name.
 */
#include "bind.h"

#include "../document/document.h"
#include "../document/tree.h"

#define CLASS "inner_universe.document"

typedef struct handle { iu_document *d; const iu_json *node; } handle;

/* The handle at `index`. One whose finaliser ran can still be met, by a finaliser that runs later: it is told so, as with anything that is closed. */
static const handle *get(lua_State *L, int index) {
  const handle *h = iu__class_check(L, index, CLASS);
  if (h->d == NULL) luaL_error(L, "the document is gone (its finaliser ran before this one)");
  return h;
}

const iu_json *iu__document_node(lua_State *L, int index, iu_document **d) {
  const handle *h = lua_type(L, index) == LUA_TUSERDATA ? luaL_testudata(L, index, CLASS) : NULL;
  if (h == NULL || h->d == NULL) return NULL;
  if (d != NULL) *d = h->d;
  return h->node;
}

/* The handle first: whatever raises afterwards, the collector finds what is put into it. */
static handle *push_handle(lua_State *L) {
  handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  h->d = NULL;
  h->node = NULL;
  luaL_setmetatable(L, CLASS);
  return h;
}

/* Lua's collector sees a few bytes of each document: it is told of the others. */
static void count_memory(lua_State *L, const iu_document *d) {
  size_t kilobytes = d->arena.total / 1024;
  if (kilobytes > 0 && lua_gc(L, LUA_GCISRUNNING)) lua_gc(L, LUA_GCSTEP, kilobytes < INT_MAX ? (int)kilobytes : INT_MAX);
}

int iu__push_document(lua_State *L, iu_lua *x, iu_document *(*make)(void *ud, iu_error *err), void *ud) {
  iu_error err;
  handle *h = push_handle(L);
  h->d = make(ud, &err);
  if (h->d == NULL) return iu__push_failure(L, x, &err);
  h->node = h->d->root;
  count_memory(L, h->d);
  return 1;
}

static void push_long_integer(lua_State *L, const iu_json *v) {
  if (!iu__wide_push_text(L, v->u.s, v->len)) luaL_error(L, "integer of %d digits, the limit is %d", (int)v->len, IU_WIDE_DIGITS_MAX);
}

static void push_scalar(lua_State *L, const iu_json *v) {
  switch (v->token) {
    case IU_J_TRUE: lua_pushboolean(L, 1); break;
    case IU_J_FALSE: lua_pushboolean(L, 0); break;
    case IU_J_INT: lua_pushinteger(L, v->u.i); break;
    case IU_J_DOUBLE: lua_pushnumber(L, v->u.d); break;
    case IU_J_STRING: lua_pushlstring(L, v->u.s, v->len); break;
    case IU_J_BIGINT: push_long_integer(L, v); break;
    default: lua_pushlightuserdata(L, NULL); break;
  }
}

typedef struct pusher { lua_State *L; int array_mt, object_mt; } pusher;

static int table_size(uint32_t count) { return count < INT_MAX ? (int)count : INT_MAX; }

static void push_tree(const pusher *p, const iu_json *v) {
  lua_State *L = p->L;
  if (!iu__tree_is_container(v)) {
    push_scalar(L, v);
    return;
  }
  luaL_checkstack(L, 4, "JSON nests too deep for Lua's stack");
  if (v->token == IU_J_ARRAY) {
    lua_createtable(L, table_size(v->len), 0);
    for (uint32_t i = 0; i < v->len; i++) {
      push_tree(p, &v->u.elements[i]);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
  } else {
    lua_createtable(L, 0, table_size(v->len));
    for (uint32_t i = 0; i < v->len; i++) {
      lua_pushlstring(L, v->u.members[i].key, v->u.members[i].key_len);
      push_tree(p, &v->u.members[i].value);
      lua_rawset(L, -3);
    }
    if (v->len > 0) return;
  }
  lua_pushvalue(L, v->token == IU_J_ARRAY ? p->array_mt : p->object_mt);
  lua_setmetatable(L, -2);
}

void iu__push_json_tree(lua_State *L, const iu_json *v) {
  pusher p = {L, 0, 0};
  if (!iu__tree_is_container(v)) {
    push_scalar(L, v);
    return;
  }
  luaL_checkstack(L, 3, NULL);
  iu__push_array_mt(L);
  p.array_mt = lua_gettop(L);
  iu__push_object_mt(L);
  p.object_mt = lua_gettop(L);
  push_tree(&p, v);
  lua_replace(L, p.array_mt);
  lua_settop(L, p.array_mt);
}

/* A scalar's value, or a userdata for a container of the document that h is of. */
static int push_node(lua_State *L, const handle *h, const iu_json *v) {
  if (!iu__tree_is_container(v)) {
    push_scalar(L, v);
    return 1;
  }
  handle *below = push_handle(L);
  below->d = iu__document_hold(h->d);
  below->node = v;
  return 1;
}

/* ---- metamethods ---- */

#define METHODS 2 /* upvalue of index */

static int m_index(lua_State *L) {
  const handle *h = get(L, 1);
  const iu_json *v = h->node;
  if (v->token == IU_J_ARRAY && lua_type(L, 2) == LUA_TNUMBER) {
    lua_Integer i = lua_tointeger(L, 2); /* 2.0 is 2, as for a table; what is no integer is 0 */
    if (i >= 1 && i <= (lua_Integer)v->len) return push_node(L, h, &v->u.elements[i - 1]);
  } else if (lua_type(L, 2) == LUA_TSTRING) {
    size_t len;
    const char *key = lua_tolstring(L, 2, &len);
    v = iu__json_get(v, key, len);
    if (v != NULL) return push_node(L, h, v);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(METHODS));
    return 1;
  }
  lua_pushnil(L);
  return 1;
}

static int next_node(lua_State *L) {
  const handle *h = get(L, lua_upvalueindex(1));
  const iu_json *v = h->node;
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
  if (i >= (lua_Integer)v->len) return 0;
  lua_pushinteger(L, i + 1);
  lua_copy(L, -1, lua_upvalueindex(2));
  if (v->token == IU_J_ARRAY) return 1 + push_node(L, h, &v->u.elements[i]);
  lua_settop(L, 0);
  lua_pushlstring(L, v->u.members[i].key, v->u.members[i].key_len);
  return 1 + push_node(L, h, &v->u.members[i].value);
}

static int m_pairs(lua_State *L) {
  get(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_node, 2);
  lua_insert(L, 1);
  lua_pushnil(L);
  return 3;
}

static int m_len(lua_State *L) {
  lua_pushinteger(L, get(L, 1)->node->len);
  return 1;
}

static int m_eq(lua_State *L) {
  const iu_json *a = iu__document_node(L, 1, NULL), *b = iu__document_node(L, 2, NULL);
  lua_pushboolean(L, a != NULL && b != NULL && iu__tree_equal(a, b));
  return 1;
}

static int m_tostring(lua_State *L) {
  const handle *h = luaL_checkudata(L, 1, CLASS);
  const iu_json *v = h->node;
  if (h->d == NULL) {
    lua_pushliteral(L, "document: gone");
    return 1;
  }
  const char *kind = v->token == IU_J_ARRAY ? "array" : "object", *part = v->token == IU_J_ARRAY ? "element" : "member";
  if (!iu__tree_is_container(v)) lua_pushliteral(L, "document: a scalar");
  else lua_pushfstring(L, "document: an %s of %d %s%s", kind, table_size(v->len), part, v->len == 1 ? "" : "s");
  return 1;
}

static int m_gc(lua_State *L) {
  static const iu_json nothing = {.token = IU_J_NULL};
  handle *h = luaL_checkudata(L, 1, CLASS);
  iu__document_release(h->d);
  h->d = NULL;
  h->node = &nothing;
  return 0;
}

static int m_totable(lua_State *L) {
  iu__push_json_tree(L, get(L, 1)->node);
  return 1;
}

/* ---- functions ---- */

typedef struct source { const char *text; size_t len; } source;

static iu_document *parse(void *ud, iu_error *err) {
  const source *s = ud;
  return iu__document_parse(s->text, s->len, err);
}

static int f_document(lua_State *L) {
  source s;
  s.text = luaL_checklstring(L, 1, &s.len);
  return iu__push_document(L, iu__lua(L), parse, &s);
}

static int f_totable(lua_State *L) {
  iu__push_json_tree(L, get(L, 1)->node);
  return 1;
}

static int f_is_document(lua_State *L) {
  lua_pushboolean(L, iu__document_node(L, 1, NULL) != NULL);
  return 1;
}

/* "array" or "object" where the value is a document of one, else nil. */
static int f_kind(lua_State *L) {
  const iu_json *v = iu__document_node(L, 1, NULL);
  if (v == NULL || !iu__tree_is_container(v)) lua_pushnil(L);
  else lua_pushstring(L, v->token == IU_J_ARRAY ? "array" : "object");
  return 1;
}

void iu__document_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"totable", m_totable}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__pairs", m_pairs}, {"__len", m_len}, {"__eq", m_eq}, {"__tostring", m_tostring}, {"__gc", m_gc}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, meta, NULL, NULL};
  static const luaL_Reg functions[] = {
      {"json_document", f_document}, {"json_totable", f_totable}, {"is_document", f_is_document}, {"document_kind", f_kind}, {NULL, NULL}};
  iu__class_define(L, &class);
  luaL_getmetatable(L, CLASS);
  lua_pushvalue(L, -1);
  lua_getfield(L, -2, "__index");
  lua_pushcclosure(L, m_index, METHODS);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
