/* table.c: reading a connection's view: what its subscriptions hold, at the state it has been told of.
 *
 * What a read needs to know of a table (its number, its columns, their names as Lua strings) is a shape: made once per connection and table, and anew when
 * the connection has another schema (older schemas live as long as the connection). `table_reads` gives closures that keep the shape of one table.
 *
 * Finalisers: any request for Lua's memory may run one, and it may write or close. So the bytes of a row are copied before its table is built (long ones are
 * pinned instead), a shape in use is on the stack, and a short key is written without such a request.
 *
 * An iterator is a userdata on its connection's list: closing the connection ends it (the loop that uses it then ends with an error),
 * collecting it releases the rows it pins.
 */
#include "module.h"

#define CLASS "inner_universe.view_iter"
#define COPY_MAX 1024 /* bytes of a row that is copied */
#define PAGE_GUESS 4096 /* rows of a page that room is made for at once */

static const char class_key, step_key; /* their addresses are keys of the registry */

/* Its one user value: the columns' names by position; and the numbers of indexes by the names they were asked for with. */
typedef struct table_shape {
  const iu_schema *schema;
  const iu_table_def *def;
  uint32_t number, count;
  iu_tx_column columns[];
} table_shape;

struct iu_lua_view_iter {
  iu_view_iter *it;   /* NULL: ended */
  iu_lua_connection *lc;
  const table_shape *shape; /* kept by the third user value; the second is its names */
  bool cut;           /* ended by the close of the connection */
  struct iu_lua_view_iter *prev, *next;
};

static void iter_end(iu_lua_view_iter *v) {
  if (v->it == NULL) return;
  iu__view_iter_close(v->it);
  v->it = NULL;
  if (v->prev != NULL) v->prev->next = v->next;
  else v->lc->iters = v->next;
  if (v->next != NULL) v->next->prev = v->prev;
}

void iu__view_iters_cut(iu_lua_connection *lc) {
  for (iu_lua_view_iter *v = lc->iters; v != NULL; v = v->next) v->cut = true;
}

void iu__view_iters_close(iu_lua_connection *lc) {
  while (lc->iters != NULL) iter_end(lc->iters);
}

/* One argument, or a table of several for the columns of an index, as concatenated BSATN. */
static iu_status encode_key(lua_State *L, int arg, const iu_table_def *def, const iu_index_def *index, bool single, iu_buf *out, iu_error *err) {
  uint32_t columns = single ? 1 : index->column_count;
  iu_status status = IU_OK;
  for (uint32_t i = 0; status == IU_OK && i < columns; i++) {
    const iu_field *f = &def->row->u.fields[index->columns[i]];
    if (columns == 1) {
      lua_pushvalue(L, arg);
    } else {
      if (!lua_istable(L, arg)) return iu__fail(err, IU_E_VALIDATION, "%s: expected an array of %u values", index->accessor, columns);
      lua_rawgeti(L, arg, (lua_Integer)i + 1);
    }
    status = iu__encode_value(L, -1, f->type, f->name, out, err);
    lua_pop(L, 1);
  }
  return status == IU_OK ? iu__buf_status(out, err, "key") : status;
}

/* ---- shapes ---- */

static void new_shape(lua_State *L, const iu_schema *schema, uint32_t number) {
  const iu_table_def *def = &schema->tables[number];
  uint32_t count = def->row->count;
  table_shape *t = lua_newuserdatauv(L, sizeof *t + count * sizeof t->columns[0], 1);
  memset(t, 0, sizeof *t + count * sizeof t->columns[0]);
  t->schema = schema;
  t->def = def;
  t->number = number;
  t->count = count;
  lua_createtable(L, (int)count, 2);
  for (uint32_t i = 0; i < count; i++) {
    iu__column_init(&t->columns[i], &def->row->u.fields[i]);
    if (t->columns[i].name != NULL) lua_pushstring(L, t->columns[i].name);
    else lua_pushinteger(L, (lua_Integer)i + 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setiuservalue(L, -2, 1);
}

/* Pushes the shape of the table whose name is at `name`, and its names. NULL: there is no such table, and nothing was pushed. */
static const table_shape *push_shape(lua_State *L, int conn, int name, const iu_connection *c, iu_error *err) {
  bool ok;
  int top = lua_gettop(L);
  name = lua_absindex(L, name);
  uint32_t number = iu__check_table(L, c, name, err, &ok);
  if (!ok) return NULL;
  if (lua_getiuservalue(L, conn, 2) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, conn, 2);
    lua_replace(L, top + 1);
  }
  lua_pushvalue(L, name);
  lua_rawget(L, top + 1);
  const table_shape *t = lua_touserdata(L, -1);
  if (t == NULL || t->schema != c->schema) {
    lua_pop(L, 1);
    new_shape(L, c->schema, number);
    t = lua_touserdata(L, -1);
    lua_pushvalue(L, name);
    lua_pushvalue(L, -2);
    lua_rawset(L, top + 1);
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  lua_getiuservalue(L, top + 1, 1);
  return t;
}

/* ---- rows ---- */

static void push_bytes(lua_State *L, const table_shape *t, int names, const uint8_t *p, uint32_t len) {
  const uint8_t *end = p + len;
  lua_createtable(L, 0, (int)t->count);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_tx_column *c = &t->columns[i];
    if (c->option && *p == 1) { /* none: no field */
      p++;
      continue;
    }
    lua_rawgeti(L, names, (lua_Integer)i + 1);
    iu__column_push(L, c, &p, end);
    lua_rawset(L, -3);
  }
}

static void push_copy(lua_State *L, const table_shape *t, int names, const iu_row *row) {
  uint8_t copy[COPY_MAX];
  memcpy(copy, row->data, row->len);
  push_bytes(L, t, names, copy, row->len);
}

typedef struct found { const table_shape *shape; const iu_row *row; } found;

static int found_body(lua_State *L) {
  const found *f = lua_touserdata(L, 1);
  push_bytes(L, f->shape, 2, f->row->data, f->row->len);
  return 1;
}

/* A row of the view's present epoch that nothing holds, or nil. The shape's names are at `names`. */
static int push_found(lua_State *L, const iu_connection *c, const table_shape *t, int names, const iu_row *row) {
  found f = {t, row};
  iu_pin pin;
  int rc;
  if (row == NULL) {
    lua_pushnil(L);
    return 1;
  }
  if (row->len <= COPY_MAX) {
    push_copy(L, t, names, row);
    return 1;
  }
  luaL_checkstack(L, 4, "row");
  iu__pin(c->store, &pin, iu__view_epoch(c->view));
  lua_pushcfunction(L, found_body);
  lua_pushlightuserdata(L, &f);
  lua_pushvalue(L, names);
  rc = lua_pcall(L, 2, 1, 0);
  iu__unpin(&pin);
  return rc == LUA_OK ? 1 : lua_error(L);
}

/* A row that an open iterator holds. */
static void push_held(lua_State *L, const table_shape *t, int names, const iu_row *row) {
  if (row->len <= COPY_MAX) push_copy(L, t, names, row);
  else push_bytes(L, t, names, row->data, row->len);
}

/* ---- point reads ---- */

/* A key of one column that is plain and short. false: it has to go through encode_key. */
static bool short_key(lua_State *L, int arg, const iu_tx_column *c, uint8_t storage[64], iu_slice *key) {
  iu_buf buf = {.data = storage, .cap = 64};
  if (lua_type(L, arg) == LUA_TSTRING && lua_rawlen(L, arg) > 48) return false;
  if (!iu__column_put(L, arg, c, &buf)) return false;
  *key = (iu_slice){buf.data, buf.len};
  return true;
}

static int read_get(lua_State *L, iu_lua_connection *lc, iu_connection *c, const table_shape *t, int names, int arg) {
  const iu_table_def *def = t->def;
  uint8_t storage[64];
  iu_slice key;
  iu_buf buf = {0};
  iu_error err;
  iu_status status = IU_OK;
  const iu_row *row = NULL;
  if (def->primary_key < 0) {
    iu__fail(&err, IU_E_VALIDATION, "%s: the table has no primary key", def->name);
    return iu__push_failure(L, lc->x, &err);
  }
  if (!short_key(L, arg, &t->columns[def->primary_key], storage, &key)) {
    const iu_field *f = &def->row->u.fields[def->primary_key];
    status = iu__encode_value(L, arg, f->type, f->name, &buf, &err);
    if (status == IU_OK) status = iu__buf_status(&buf, &err, "key");
    key = (iu_slice){buf.data, buf.len};
  }
  if (status == IU_OK) row = iu__view_get(c->view, t->number, key.p, key.len);
  iu__buf_free(&buf);
  return status == IU_OK ? push_found(L, c, t, names, row) : iu__push_failure(L, lc->x, &err);
}

int iu__table_get_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_error err;
  luaL_checkany(L, 3);
  const table_shape *t = push_shape(L, 1, 2, c, &err);
  return t != NULL ? read_get(L, lc, c, t, lua_gettop(L), 3) : iu__push_failure(L, lc->x, &err);
}

int iu__table_count_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  lua_pushinteger(L, (lua_Integer)iu__view_count(c->view, table));
  return 1;
}

/* ---- iteration ---- */

static int iter_next(lua_State *L) {
  iu_lua_view_iter *v = lua_touserdata(L, 1);
  const iu_row *row;
  if (v == NULL || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(1))) v = luaL_checkudata(L, 1, CLASS);
  if (v->cut) return luaL_error(L, "the connection is closed");
  row = v->it != NULL ? iu__view_iter_next(v->it) : NULL;
  if (row == NULL) {
    iter_end(v);
    lua_pushnil(L);
    return 1;
  }
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 2);
  push_held(L, v->shape, 2, row);
  return 1;
}

/* core.next_page(iterator, rows, bytes): the next rows as an array of their bytes, so many at most, and none more once there are `bytes` of them; nil: the end.
 * The iterator holds the rows, whatever a finaliser does meanwhile. */
static int next_page(lua_State *L) {
  iu_lua_view_iter *v = luaL_checkudata(L, 1, CLASS);
  lua_Integer rows = luaL_checkinteger(L, 2), bytes = luaL_checkinteger(L, 3), n = 0;
  if (v->cut) return luaL_error(L, "the connection is closed");
  luaL_argcheck(L, rows > 0, 2, "expected 1 or more");
  lua_createtable(L, rows < PAGE_GUESS ? (int)rows : PAGE_GUESS, 0);
  while (n < rows && (n == 0 || bytes > 0) && v->it != NULL) {
    const iu_row *row = iu__view_iter_next(v->it);
    if (row == NULL) {
      iter_end(v);
      break;
    }
    bytes -= row->len;
    lua_pushlstring(L, (const char *)row->data, row->len);
    lua_rawseti(L, -2, ++n);
  }
  if (n == 0) lua_pushnil(L);
  return 1;
}

static int iter_close(lua_State *L) {
  iter_end(luaL_checkudata(L, 1, CLASS));
  return 0;
}

/* The number of the index whose name is at `arg`; -1: there is none. */
static int check_index(lua_State *L, int arg, const table_shape *t, int names, iu_error *err) {
  size_t len;
  uint32_t index;
  const char *name = luaL_checklstring(L, arg, &len);
  lua_pushvalue(L, arg);
  if (lua_rawget(L, names) == LUA_TNUMBER) {
    index = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return (int)index;
  }
  lua_pop(L, 1);
  if (iu__find_index(t->def, name, len, &index, err) != IU_OK) return -1;
  lua_pushvalue(L, arg);
  lua_pushinteger(L, (lua_Integer)index);
  lua_rawset(L, names);
  return (int)index;
}

static iu_status open_iter(iu_lua_view_iter *v, iu_connection *c, uint32_t table, uint32_t index, const iu_range *range, bool descending, iu_error *err) {
  iu_status status = iu__view_iter(c->view, table, index, range, descending, &v->it, err);
  if (status != IU_OK) return status;
  v->next = v->lc->iters;
  if (v->next != NULL) v->next->prev = v;
  v->lc->iters = v;
  v->cut = v->lc->c == NULL; /* closed by a finaliser meanwhile */
  return IU_OK;
}

/* `conn`: where the connection is; the shape and its names are at names - 1 and names. */
static iu_lua_view_iter *new_iter(lua_State *L, int conn, iu_lua_connection *lc, const table_shape *t, int names) {
  iu_lua_view_iter *v = lua_newuserdatauv(L, sizeof *v, 3);
  memset(v, 0, sizeof *v);
  v->lc = lc;
  v->shape = t;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, conn);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, names);
  lua_setiuservalue(L, -2, 2);
  lua_pushvalue(L, names - 1);
  lua_setiuservalue(L, -2, 3);
  return v;
}

static iu_status read_bound(lua_State *L, int arg, const iu_table_def *def, const iu_index_def *index, iu_buf *bytes, iu_bound *bound, iu_error *err) {
  iu_status status;
  bound->kind = IU_BOUND_UNBOUNDED;
  if (lua_isnoneornil(L, arg)) return IU_OK;
  status = encode_key(L, arg, def, index, true, bytes, err);
  if (status != IU_OK) return status;
  bound->kind = IU_BOUND_INCLUDED;
  bound->key = (iu_slice){bytes->data, bytes->len};
  return IU_OK;
}

/* index: 0, or where its name is, with its bounds behind it (nil: open): they are on its first column. */
static int read_iter(lua_State *L, int conn, iu_lua_connection *lc, iu_connection *c, const table_shape *t, int names, int index, bool descending) {
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu_buf low = {0}, high = {0};
  uint8_t storage[2][64];
  iu_error err;
  iu_status status = IU_OK;
  int number = index != 0 ? check_index(L, index, t, names, &err) : 0;
  if (number < 0) return iu__push_failure(L, lc->x, &err);
  iu_lua_view_iter *v = new_iter(L, conn, lc, t, names);
  if (index != 0) {
    const iu_index_def *ix = &t->def->indexes[number];
    const iu_tx_column *first = &t->columns[ix->columns[0]];
    if (lua_isnil(L, index + 1)) range.low.kind = IU_BOUND_UNBOUNDED;
    else if (short_key(L, index + 1, first, storage[0], &range.low.key)) range.low.kind = IU_BOUND_INCLUDED;
    else status = read_bound(L, index + 1, t->def, ix, &low, &range.low, &err);
    if (status != IU_OK || lua_isnil(L, index + 2)) range.high.kind = IU_BOUND_UNBOUNDED;
    else if (short_key(L, index + 2, first, storage[1], &range.high.key)) range.high.kind = IU_BOUND_INCLUDED;
    else status = read_bound(L, index + 2, t->def, ix, &high, &range.high, &err);
  }
  if (status == IU_OK) {
    status = open_iter(v, c, t->number, index == 0 ? IU_INDEX_MAIN : (uint32_t)number, index == 0 ? NULL : &range, descending, &err);
  }
  iu__buf_free(&low);
  iu__buf_free(&high);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &step_key);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_pushvalue(L, -2); /* the fourth value of a generic for is closed when the loop ends */
  return 4;
}

/* table_iter(table, index?, low?, high?, descending?) */
int iu__table_iter_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_error err;
  lua_settop(L, 6);
  const table_shape *t = push_shape(L, 1, 2, c, &err);
  if (t == NULL) return iu__push_failure(L, lc->x, &err);
  bool indexed = !lua_isnil(L, 3);
  if (!indexed && (!lua_isnil(L, 4) || !lua_isnil(L, 5))) return luaL_argerror(L, 3, "bounds need an index");
  return read_iter(L, 1, lc, c, t, 8, indexed ? 3 : 0, lua_toboolean(L, 6));
}

/* A row or nil on a unique index, else an array in index order. */
static int read_find(lua_State *L, int conn, iu_lua_connection *lc, iu_connection *c, const table_shape *t, int names, int arg) {
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  uint8_t storage[64];
  iu_slice key;
  iu_buf buf = {0};
  iu_error err;
  iu_status status = IU_OK;
  const iu_row *row = NULL;
  int number = check_index(L, arg, t, names, &err);
  if (number < 0) return iu__push_failure(L, lc->x, &err);
  const iu_index_def *ix = &t->def->indexes[number];
  iu_lua_view_iter *v = ix->unique ? NULL : new_iter(L, conn, lc, t, names);
  if (ix->column_count != 1 || !short_key(L, arg + 1, &t->columns[ix->columns[0]], storage, &key)) {
    status = encode_key(L, arg + 1, t->def, ix, false, &buf, &err);
    key = (iu_slice){buf.data, buf.len};
  }
  if (status == IU_OK && ix->unique) {
    row = iu__view_find_unique(c->view, t->number, (uint32_t)number, key.p, key.len);
  } else if (status == IU_OK) {
    range.prefix = key;
    range.prefix_columns = ix->column_count;
    status = open_iter(v, c, t->number, (uint32_t)number, &range, false, &err);
  }
  iu__buf_free(&buf);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  if (ix->unique) return push_found(L, c, t, names, row);
  lua_newtable(L);
  for (lua_Integer n = 1; (row = iu__view_iter_next(v->it)) != NULL; n++) {
    push_held(L, t, names, row);
    lua_rawseti(L, -2, n);
  }
  iter_end(v);
  return 1;
}

/* table_find(table, index, key) */
int iu__table_find_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_error err;
  luaL_checkany(L, 4);
  const table_shape *t = push_shape(L, 1, 2, c, &err);
  return t != NULL ? read_find(L, 1, lc, c, t, lua_gettop(L), 3) : iu__push_failure(L, lc->x, &err);
}

/* ---- the reads of one table: closures over the connection, the shape and the table's name ---- */

enum { UP_CONN = 1, UP_SHAPE = 2, UP_NAME = 3 };

typedef struct reading { iu_lua_connection *lc; iu_connection *c; const table_shape *shape; int conn, names; } reading;

/* Pushes connection, shape and names. false: the schema has no such table any more: err. */
static bool begin(lua_State *L, const char *method, int arguments, reading *r, iu_error *err) {
  r->lc = lua_touserdata(L, lua_upvalueindex(UP_CONN));
  if (!lua_istable(L, 1)) luaL_error(L, "%s: call it with a colon: conn.tables.%s:%s(...)", method, lua_tostring(L, lua_upvalueindex(UP_NAME)), method);
  r->c = r->lc->c;
  if (r->c == NULL || r->c->closed) luaL_error(L, "connection is closed");
  lua_settop(L, arguments);
  lua_pushvalue(L, lua_upvalueindex(UP_CONN));
  r->conn = arguments + 1;
  r->names = arguments + 3;
  r->shape = lua_touserdata(L, lua_upvalueindex(UP_SHAPE));
  if (r->shape->schema == r->c->schema) {
    lua_pushvalue(L, lua_upvalueindex(UP_SHAPE));
    lua_getiuservalue(L, -1, 1);
    return true;
  }
  r->shape = push_shape(L, r->conn, lua_upvalueindex(UP_NAME), r->c, err);
  if (r->shape == NULL) return false;
  lua_pushvalue(L, -2);
  lua_replace(L, lua_upvalueindex(UP_SHAPE));
  return true;
}

static void need_index(lua_State *L, const char *method) {
  if (lua_type(L, 2) == LUA_TSTRING) return;
  const char *name = luaL_typename(L, 2);
  if (lua_type(L, 2) == LUA_TNUMBER) name = lua_isinteger(L, 2) ? "an integer" : "a float";
  else if (luaL_getmetafield(L, 2, "__name") == LUA_TSTRING && (lua_istable(L, 2) || lua_isuserdata(L, 2))) name = lua_tostring(L, -1);
  luaL_error(L, "bad argument #1 to '%s' (index: string expected, got %s)", method, name);
}

static int f_get(lua_State *L) {
  reading r;
  iu_error err;
  bool known = begin(L, "get", 2, &r, &err);
  if (lua_isnil(L, 2)) return luaL_error(L, "bad argument #1 to 'get' (key: a value expected, got nil)");
  return known ? read_get(L, r.lc, r.c, r.shape, r.names, 2) : iu__push_failure(L, r.lc->x, &err);
}

static int f_find(lua_State *L) {
  reading r;
  iu_error err;
  bool known = begin(L, "find", 3, &r, &err);
  need_index(L, "find");
  if (lua_isnil(L, 3)) return luaL_error(L, "bad argument #2 to 'find' (key: a value expected, got nil)");
  return known ? read_find(L, r.conn, r.lc, r.c, r.shape, r.names, 2) : iu__push_failure(L, r.lc->x, &err);
}

static int f_range(lua_State *L) {
  reading r;
  iu_error err;
  bool known = begin(L, "range", 5, &r, &err);
  need_index(L, "range");
  return known ? read_iter(L, r.conn, r.lc, r.c, r.shape, r.names, 2, lua_toboolean(L, 5)) : iu__push_failure(L, r.lc->x, &err);
}

static int f_iter(lua_State *L) {
  reading r;
  iu_error err;
  return begin(L, "iter", 1, &r, &err) ? read_iter(L, r.conn, r.lc, r.c, r.shape, r.names, 0, false) : iu__push_failure(L, r.lc->x, &err);
}

/* table_reads(table): get, find, range, iter: what `conn.tables.<table>` has as methods; nil, err: no such table. */
int iu__table_reads_method(lua_State *L) {
  static const lua_CFunction reads[] = {f_get, f_find, f_range, f_iter};
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_error err;
  lua_settop(L, 2);
  if (push_shape(L, 1, 2, lc->c, &err) == NULL) return iu__push_failure(L, lc->x, &err);
  for (int i = 0; i < 4; i++) {
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, reads[i], 3);
  }
  return 4;
}

void iu__table_open(lua_State *L) {
  static const iu_class class = {CLASS, NULL, NULL, iter_close, NULL};
  iu__class_define(L, &class);
  luaL_getmetatable(L, CLASS);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_pushcclosure(L, iter_next, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &step_key);
  lua_pushcfunction(L, next_page);
  lua_setfield(L, -2, "next_page");
}
