/* table.c: reading a connection's view: what its subscriptions hold, at the state it has been told of.
 *
 * An iterator is a userdata on its connection's list: closing the connection ends it (the loop that uses it then ends with an error),
 * collecting it releases the rows it pins.
 */
#include "bind.h"

#define CLASS "inner_universe.view_iter"

struct iu_lua_view_iter {
  iu_view_iter *it;   /* NULL: ended */
  iu_lua_connection *lc;
  const iu_table_def *def;
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

static int one_row(lua_State *L, const iu_table_def *def, const iu_row *row) {
  if (row == NULL) lua_pushnil(L);
  else iu__push_row(L, def, row);
  return 1;
}

typedef struct found { const iu_table_def *def; const iu_row *row; } found;

static int found_body(lua_State *L) {
  const found *f = lua_touserdata(L, 1);
  return one_row(L, f->def, f->row);
}

/* A row that nothing else holds: a finaliser may write while its table is built. */
static int pinned_row(lua_State *L, iu_connection *c, const iu_table_def *def, const iu_row *row) {
  found f = {def, row};
  iu_pin pin;
  int rc;
  if (row == NULL) return one_row(L, def, NULL);
  iu__pin(c->store, &pin, iu__view_epoch(c->view));
  lua_pushcfunction(L, found_body);
  lua_pushlightuserdata(L, &f);
  rc = lua_pcall(L, 1, 1, 0);
  iu__unpin(&pin);
  return rc == LUA_OK ? 1 : lua_error(L);
}

int iu__table_get_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_buf key = {0};
  const iu_row *row = NULL;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  const iu_table_def *def = &c->schema->tables[table];
  iu_status status = IU_E_VALIDATION;
  luaL_checkany(L, 3);
  if (ok && def->primary_key < 0) iu__fail(&err, IU_E_VALIDATION, "%s: the table has no primary key", def->name);
  else if (ok) {
    const iu_field *f = &def->row->u.fields[def->primary_key];
    status = iu__encode_value(L, 3, f->type, f->name, &key, &err);
    if (status == IU_OK) status = iu__buf_status(&key, &err, "key");
  }
  if (status == IU_OK) row = iu__view_get(c->view, table, key.data, key.len);
  iu__buf_free(&key);
  return status == IU_OK ? pinned_row(L, c, def, row) : iu__push_failure(L, lc->x, &err);
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
  iu_lua_view_iter *v = luaL_checkudata(L, 1, CLASS);
  const iu_row *row;
  if (v->cut) return luaL_error(L, "the connection is closed");
  row = v->it != NULL ? iu__view_iter_next(v->it) : NULL;
  if (row == NULL) {
    iter_end(v);
    lua_pushnil(L);
    return 1;
  }
  iu__push_row(L, v->def, row);
  return 1;
}

static int iter_close(lua_State *L) {
  iter_end(luaL_checkudata(L, 1, CLASS));
  return 0;
}

static int check_index(lua_State *L, int arg, const iu_table_def *def, iu_error *err) {
  size_t len;
  uint32_t index;
  const char *name = luaL_checklstring(L, arg, &len);
  return iu__find_index(def, name, len, &index, err) == IU_OK ? (int)index : -1;
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

static iu_lua_view_iter *new_iter(lua_State *L, iu_lua_connection *lc, const iu_table_def *def) {
  iu_lua_view_iter *v = lua_newuserdatauv(L, sizeof *v, 1);
  memset(v, 0, sizeof *v);
  v->lc = lc;
  v->def = def;
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
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

/* table_iter(table, index?, low?, high?, descending?): bounds are on the index's first column. */
int iu__table_iter_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  const iu_table_def *def;
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu_buf low = {0}, high = {0};
  int index = -1;
  iu_status status = IU_OK;
  iu_lua_view_iter *v;
  lua_settop(L, 6);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  def = &c->schema->tables[table];
  if (!lua_isnil(L, 3) && (index = check_index(L, 3, def, &err)) < 0) return iu__push_failure(L, lc->x, &err);
  if (index < 0 && (!lua_isnil(L, 4) || !lua_isnil(L, 5))) return luaL_argerror(L, 3, "bounds need an index");
  v = new_iter(L, lc, def);
  if (index >= 0) {
    status = read_bound(L, 4, def, &def->indexes[index], &low, &range.low, &err);
    if (status == IU_OK) status = read_bound(L, 5, def, &def->indexes[index], &high, &range.high, &err);
  }
  if (status == IU_OK) {
    status = open_iter(v, c, table, index < 0 ? IU_INDEX_MAIN : (uint32_t)index, index < 0 ? NULL : &range, lua_toboolean(L, 6), &err);
  }
  iu__buf_free(&low);
  iu__buf_free(&high);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  lua_pushcfunction(L, iter_next);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_pushvalue(L, -2); /* the fourth value of a generic for is closed when the loop ends */
  return 4;
}

/* table_find(table, index, key): a row or nil on a unique index, else an array in index order. */
int iu__table_find_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_connection *c = lc->c;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, c, 2, &err, &ok);
  iu_buf key = {0};
  const iu_table_def *def;
  const iu_index_def *index;
  const iu_row *row;
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu_lua_view_iter *v;
  int number;
  iu_status status;
  if (!ok) return iu__push_failure(L, lc->x, &err);
  def = &c->schema->tables[table];
  if ((number = check_index(L, 3, def, &err)) < 0) return iu__push_failure(L, lc->x, &err);
  luaL_checkany(L, 4);
  index = &def->indexes[number];
  v = new_iter(L, lc, def);
  status = encode_key(L, 4, def, index, false, &key, &err);
  if (status == IU_OK) {
    range.prefix = (iu_slice){key.data, key.len};
    range.prefix_columns = index->column_count;
    status = open_iter(v, c, table, (uint32_t)number, &range, false, &err);
  }
  iu__buf_free(&key);
  if (status != IU_OK) return iu__push_failure(L, lc->x, &err);
  if (index->unique) {
    one_row(L, def, iu__view_iter_next(v->it));
    iter_end(v);
    return 1;
  }
  lua_newtable(L);
  for (lua_Integer n = 1; (row = iu__view_iter_next(v->it)) != NULL; n++) {
    iu__push_row(L, def, row);
    lua_rawseti(L, -2, n);
  }
  iter_end(v);
  return 1;
}

void iu__table_open(lua_State *L) {
  static const iu_class class = {CLASS, NULL, NULL, iter_close, NULL};
  iu__class_define(L, &class);
}
