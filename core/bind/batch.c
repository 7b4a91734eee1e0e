/* batch.c: the elements of an array that is the first parameter of a reducer, a sum's, encoded one by one as they come. For those who gather what one call will do (transactions):
 * an element costs its bytes and no table, and is what it was when it was added, whatever becomes of the tables it came from.
 *
 * A batch belongs to its connection, whose schemas its type is from: when that is closed, it can neither be added to nor read. Among the elements of an array that
 * is an argument it stands for its own, as often as it is wanted. While an element is encoded or read a finaliser may run: nothing moves or goes then.
 */
#include "bind.h"

#include "../base/alloc.h"

#define CLASS "inner_universe.batch"
#define ITEMS_MIN 16u

typedef struct batch_item { size_t at; int64_t micros; } batch_item;
typedef struct batch {
  iu_buf bytes;
  batch_item *items; /* where each begins, and when it came */
  size_t count, cap;
  const iu_type *type; /* the array's */
  uint32_t busy;
} batch;

static int m_gc(lua_State *L) {
  batch *b = luaL_checkudata(L, 1, CLASS);
  iu__buf_free(&b->bytes);
  b->bytes.limit = IU_ARGS_BYTES_MAX;
  iu__free(b->items);
  b->items = NULL;
  b->count = b->cap = 0;
  return 0;
}

static int m_close(lua_State *L) {
  const batch *b = luaL_checkudata(L, 1, CLASS);
  return b->busy > 0 ? 0 : m_gc(L);
}

/* The connection is its user value. */
static batch *check_batch(lua_State *L, bool *open) {
  batch *b = iu__class_check(L, 1, CLASS);
  lua_getiuservalue(L, 1, 1);
  const iu_lua_connection *lc = lua_touserdata(L, -1);
  lua_pop(L, 1);
  *open = lc->c != NULL;
  return b;
}

int iu__batch_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  iu_callee f;
  iu_error err;
  iu_status status = iu__callee_reducer(lc->c->schema, name, len, &f, &err);
  if (status == IU_OK && (f.params->count == 0 || iu__type_deref(f.params->u.fields[0].type)->tag != IU_T_ARRAY ||
                          iu__type_deref(iu__type_deref(f.params->u.fields[0].type)->u.element)->tag != IU_T_SUM)) {
    status = iu__fail(&err, IU_E_VALIDATION, "%s: its first parameter is no array of a sum", f.name);
  }
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  const iu_type *type = iu__type_deref(f.params->u.fields[0].type);
  batch *b = lua_newuserdatauv(L, sizeof *b, 1);
  memset(b, 0, sizeof *b);
  b->bytes.limit = IU_ARGS_BYTES_MAX;
  b->type = type;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, CLASS);
  return 1;
}

static bool room(batch *b) {
  size_t cap = b->cap == 0 ? ITEMS_MIN : b->cap * 2;
  batch_item *items;
  if (b->count < b->cap) return true;
  items = iu__realloc_array(b->items, cap, sizeof *items);
  if (items == NULL) return false;
  b->items = items;
  b->cap = cap;
  return true;
}

/* What was encoded behind `from` is an element: its number; or nothing, and it is dropped. */
static int give_added(lua_State *L, batch *b, size_t from, iu_status status) {
  if (status != IU_OK || b->bytes.failed) {
    b->bytes.len = from;
    b->bytes.failed = 0;
    return 0;
  }
  b->items[b->count++] = (batch_item){from, iu__lua_micros(iu__lua(L))};
  lua_pushinteger(L, (lua_Integer)b->count);
  return 1;
}

/* batch:put(value): an element. Its number in the batch; nothing when it is refused. */
static int m_put(lua_State *L) {
  bool open;
  batch *b = check_batch(L, &open);
  size_t from = b->bytes.len;
  iu_error err;
  luaL_checktype(L, 2, LUA_TTABLE);
  if (!open || b->busy > 0 || !room(b)) return 0;
  b->busy++;
  iu_status status = iu__encode_value(L, 2, b->type->u.element, "element", &b->bytes, &err);
  b->busy--;
  return give_added(L, b, from, status);
}

/* batch:add(defaults, variant, field, ...): the fields of the variant's product by position, tables of which may be filled from `defaults`; as put. */
static int m_add(lua_State *L) {
  bool open;
  batch *b = check_batch(L, &open);
  const iu_type *sum = open ? iu__type_deref(b->type->u.element) : NULL;
  size_t len, from = b->bytes.len;
  const char *name = luaL_checklstring(L, 3, &len);
  iu_status status = IU_OK;
  iu_error err;
  luaL_checktype(L, 2, LUA_TTABLE);
  int variant = sum != NULL && b->busy == 0 ? iu__product_find(sum, name, len) : -1;
  const iu_type *fields = variant >= 0 ? iu__type_deref(sum->u.fields[variant].type) : NULL;
  if (fields == NULL || fields->tag != IU_T_PRODUCT || lua_gettop(L) > 3 + (int)fields->count || !room(b)) return 0;
  luaL_checkstack(L, (int)fields->count + LUA_MINSTACK, NULL);
  lua_settop(L, 3 + (int)fields->count);
  b->busy++;
  iu__buf_put_u8(&b->bytes, (uint8_t)variant);
  for (uint32_t i = 0; i < fields->count && status == IU_OK; i++) status = iu__encode_argument(L, 4 + (int)i, 2, &fields->u.fields[i], &b->bytes, &err);
  b->busy--;
  return give_added(L, b, from, status);
}

/* batch:get(number): the element as encoding would take it, and when it was added, in microseconds. */
static int m_get(lua_State *L) {
  bool open;
  batch *b = check_batch(L, &open);
  lua_Integer n = luaL_checkinteger(L, 2);
  if (!open) return luaL_error(L, "the connection is closed");
  luaL_argcheck(L, n >= 1 && (size_t)n <= b->count, 2, "no such element");
  const batch_item *item = &b->items[n - 1];
  const uint8_t *p = b->bytes.data + item->at;
  int64_t micros = item->micros;
  b->busy++; /* for good when this raises: then there is no memory, and nothing more is added */
  iu__push_value(L, b->type->u.element, &p, b->bytes.data + b->bytes.len);
  b->busy--;
  lua_pushinteger(L, micros);
  return 2;
}

static int m_len(lua_State *L) {
  const batch *b = luaL_checkudata(L, 1, CLASS);
  lua_pushinteger(L, (lua_Integer)b->count);
  return 1;
}

bool iu__put_batch(lua_State *L, int index, const iu_type *array, iu_buf *out, lua_Integer *count) {
  const batch *b = luaL_testudata(L, index, CLASS);
  if (b == NULL || (b->type != array && !iu__type_equal(b->type, array))) return false;
  iu__buf_put(out, b->bytes.data, b->bytes.len);
  *count += (lua_Integer)b->count;
  return true;
}

void iu__batch_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"add", m_add}, {"put", m_put}, {"get", m_get}, {NULL, NULL}}, metamethods[] = {{"__len", m_len}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, metamethods, m_close, m_gc};
  iu__class_define(L, &class);
}
