/* module_rows.c: reading ctx.db.<table> inside a reducer: rows as Lua tables, point reads, iterators.
 *
 * Everything sees the transaction's own writes so far. An iterator sees the table as it was when it was opened, whatever is written meanwhile; it ends with
 * its loop, and with the reducer at the latest.
 */
#include "module.h"

#include "../host/callee.h"
#include "../sats/bsatn.h"

#define ITER_CLASS "inner_universe.reducer_iter"

struct iu_tx_iter {
  iu_iter *it;          /* NULL: ended */
  iu_tx_table *t;
  iu_lua_run *run;
  iu_tx_iter *prev, *next;
  bool cut;             /* ended by the end of its reducer */
};

/* ---- rows to Lua ---- */

static void push_plain(lua_State *L, uint8_t form, const uint8_t **p) {
  const uint8_t *v = *p;
  switch ((iu_column_form)form) {
    case IU_FORM_BOOL: lua_pushboolean(L, v[0]); *p += 1; break;
    case IU_FORM_I8: lua_pushinteger(L, (int8_t)v[0]); *p += 1; break;
    case IU_FORM_U8: lua_pushinteger(L, v[0]); *p += 1; break;
    case IU_FORM_I16: lua_pushinteger(L, (int16_t)iu__load_u16(v)); *p += 2; break;
    case IU_FORM_U16: lua_pushinteger(L, iu__load_u16(v)); *p += 2; break;
    case IU_FORM_I32: lua_pushinteger(L, (int32_t)iu__load_u32(v)); *p += 4; break;
    case IU_FORM_U32: lua_pushinteger(L, iu__load_u32(v)); *p += 4; break;
    case IU_FORM_I64: lua_pushinteger(L, (int64_t)iu__load_u64(v)); *p += 8; break;
    case IU_FORM_F32: {
      uint32_t bits = iu__load_u32(v);
      float f;
      memcpy(&f, &bits, 4);
      lua_pushnumber(L, (lua_Number)f);
      *p += 4;
      break;
    }
    case IU_FORM_F64: {
      uint64_t bits = iu__load_u64(v);
      double d;
      memcpy(&d, &bits, 8);
      lua_pushnumber(L, d);
      *p += 8;
      break;
    }
    default: /* STRING, BYTES */
      lua_pushlstring(L, (const char *)v + 4, iu__load_u32(v));
      *p += 4 + iu__load_u32(v);
      break;
  }
}

/* Rows of a store are valid bytes of their type. */
void iu__column_push(lua_State *L, const iu_tx_column *c, const uint8_t **p, const uint8_t *end) {
  if (c->form == IU_FORM_OTHER || (c->form == IU_FORM_U64 && iu__load_u64(*p + c->option) > INT64_MAX && (!c->option || **p == 0))) {
    iu__push_value(L, c->type, p, end);
  } else if (!c->option) {
    if (c->form == IU_FORM_U64) {
      lua_pushinteger(L, (lua_Integer)iu__load_u64(*p));
      *p += 8;
    } else {
      push_plain(L, c->form, p);
    }
  } else if (*(*p)++ != 0) {
    lua_pushnil(L);
  } else {
    push_plain(L, c->form == IU_FORM_U64 ? IU_FORM_I64 : c->form, p);
  }
}

void iu__push_tx_row(lua_State *L, iu_tx_table *t, const iu_row *row) {
  const uint8_t *p = row->data, *end = p + row->len;
  lua_createtable(L, 0, (int)t->count);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_tx_column *c = &t->columns[i];
    if (c->option && *p == 1) { /* none: no field */
      p++;
      continue;
    }
    lua_pushvalue(L, lua_upvalueindex(IU_UP_KEYS + (int)i));
    iu__column_push(L, c, &p, end);
    lua_rawset(L, -3);
  }
}

void iu__push_tx_stored(lua_State *L, iu_tx_table *t, int base, const iu_tx_inexact *inexact, const iu_row *row) {
  const uint8_t *p = row->data, *end = p + row->len;
  uint32_t left = inexact->count; /* behind the last of them nothing of the bytes is looked at */
  lua_createtable(L, 0, (int)t->count);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_tx_column *c = &t->columns[i];
    lua_pushvalue(L, lua_upvalueindex(IU_UP_KEYS + (int)i));
    if (left > 0 && (inexact->bits[i / 64] >> (i % 64) & 1) != 0) {
      iu__column_push(L, c, &p, end);
      left--;
    } else {
      if (left > 0) p = iu__bsatn_skip(c->type, p, end);
      lua_pushvalue(L, base + (int)i);
    }
    if (lua_isnil(L, -1)) lua_pop(L, 2);
    else lua_rawset(L, -3);
  }
}

static int one_row(lua_State *L, iu_tx_table *t, const iu_row *row) {
  if (row == NULL) lua_pushnil(L);
  else iu__push_tx_row(L, t, row);
  return 1;
}

/* ---- iterators ---- */

void iu__tx_iter_end(iu_tx_iter *v) {
  if (v->it == NULL) return;
  iu__iter_close(v->it);
  v->it = NULL;
  if (v->prev != NULL) v->prev->next = v->next;
  else v->run->iters = v->next;
  if (v->next != NULL) v->next->prev = v->prev;
}

void iu__tx_iters_close(iu_lua_run *r) {
  while (r->iters != NULL) {
    r->iters->cut = true;
    iu__tx_iter_end(r->iters);
  }
}

iu_tx_iter *iu__tx_iter_new(lua_State *L, iu_tx_table *t) {
  iu_tx_iter *v = lua_newuserdatauv(L, sizeof *v, 0);
  memset(v, 0, sizeof *v);
  v->t = t;
  lua_pushvalue(L, lua_upvalueindex(IU_UP_ITER));
  lua_setmetatable(L, -2);
  return v;
}

void iu__tx_iter_open(lua_State *L, iu_tx_iter *v, uint32_t index, const iu_range *range, bool descending) {
  iu_error err;
  if (iu__table_iter(v->t->t, IU_EPOCH_LATEST, index, range, descending, &v->it, &err) != IU_OK) iu__tx_refuse(L, v->t, &err);
  v->run = v->t->m->run;
  v->next = v->run->iters;
  if (v->next != NULL) v->next->prev = v;
  v->run->iters = v;
}

const iu_row *iu__tx_iter_next(iu_tx_iter *v) { return v->it != NULL ? iu__iter_next(v->it) : NULL; }

static int iter_close(lua_State *L) {
  iu__tx_iter_end(luaL_checkudata(L, 1, ITER_CLASS));
  return 0;
}

void iu__push_iter_mt(lua_State *L) {
  static const iu_class class = {ITER_CLASS, NULL, NULL, iter_close, NULL};
  if (luaL_getmetatable(L, ITER_CLASS) == LUA_TTABLE) return;
  lua_pop(L, 1);
  iu__class_define(L, &class);
  luaL_getmetatable(L, ITER_CLASS);
}

static int m_next(lua_State *L) {
  iu_tx_table *t = lua_touserdata(L, lua_upvalueindex(IU_UP_TABLE));
  iu_tx_iter *v = lua_touserdata(L, 1);
  if (v == NULL || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(IU_UP_ITER)) || v->t != t) {
    return luaL_error(L, "table `%s`: an iterator is for `for row in ...`", t->def->name);
  }
  if (v->cut) return luaL_error(L, "table `%s`: the reducer of this iterator has ended", t->def->name);
  const iu_row *row = iu__tx_iter_next(v);
  if (row == NULL) {
    iu__tx_iter_end(v);
    lua_pushnil(L);
    return 1;
  }
  iu__guard_tick(L, v->run);
  iu__push_tx_row(L, t, row);
  return 1;
}

/* With the iterator on top: what a generic `for` takes; the fourth value is closed when the loop ends. */
static int give_iter(lua_State *L) {
  int it = lua_gettop(L);
  lua_getiuservalue(L, lua_upvalueindex(IU_UP_TABLE), 3);
  lua_pushvalue(L, it);
  lua_pushnil(L);
  lua_pushvalue(L, it);
  return 4;
}

/* ---- methods ---- */

static const iu_index_def *check_index(lua_State *L, iu_tx_table *t, const char *method, uint32_t *number) {
  size_t len;
  iu_error err;
  if (lua_type(L, 2) != LUA_TSTRING) {
    iu__fail(&err, IU_E_VALIDATION, "%s: the name of an index expected, got %s", method, luaL_typename(L, 2));
    iu__tx_refuse(L, t, &err);
  }
  const char *name = lua_tolstring(L, 2, &len);
  if (iu__find_index(t->def, name, len, number, &err) != IU_OK) iu__module_raise(L, t->m, &err);
  return &t->def->indexes[*number];
}

static void check_key(lua_State *L, iu_tx_table *t, int index, const char *method) {
  iu_error err;
  if (!lua_isnil(L, index)) return;
  iu__fail(&err, IU_E_VALIDATION, "%s: a key expected, got nil", method);
  iu__tx_refuse(L, t, &err);
}

static void check_written(lua_State *L, iu_tx_table *t, const iu_buf *key) {
  iu_error err;
  if (iu__buf_status(key, &err, "key") != IU_OK) iu__tx_refuse(L, t, &err);
}

static int m_get(lua_State *L) {
  iu_tx_table *t = iu__tx_self(L, "get");
  iu_buf *key = &t->m->key;
  lua_settop(L, 2);
  if (t->def->primary_key < 0) {
    iu_error err;
    iu__fail(&err, IU_E_VALIDATION, "get: the table has no primary key");
    return iu__tx_refuse(L, t, &err);
  }
  check_key(L, t, 2, "get");
  iu__buf_reset(key);
  iu__tx_encode(L, t, &t->columns[t->def->primary_key], 2, key, NULL);
  check_written(L, t, key);
  return one_row(L, t, iu__table_get(t->t, IU_EPOCH_LATEST, key->data, key->len));
}

/* find(index, key): the row or nil on a unique index, else an array in the order of the index. */
static int m_find(lua_State *L) {
  iu_tx_table *t = iu__tx_self(L, "find");
  iu_buf *key = &t->m->key;
  uint32_t number;
  lua_settop(L, 3);
  const iu_index_def *ix = check_index(L, t, "find", &number);
  iu_tx_iter *it = ix->unique ? NULL : iu__tx_iter_new(L, t);
  check_key(L, t, 3, "find");
  iu__buf_reset(key);
  iu__tx_encode_key(L, t, ix, 3, key);
  check_written(L, t, key);
  if (ix->unique) return one_row(L, t, iu__table_find_unique(t->t, number, IU_EPOCH_LATEST, key->data, key->len));
  iu_range range = {.prefix = {key->data, key->len}, .prefix_columns = ix->column_count, .low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu__tx_iter_open(L, it, number, &range, false);
  lua_newtable(L);
  const iu_row *row;
  for (lua_Integer n = 1; (row = iu__tx_iter_next(it)) != NULL; n++) {
    iu__guard_tick(L, t->m->run);
    iu__push_tx_row(L, t, row);
    lua_rawseti(L, -2, n);
  }
  iu__tx_iter_end(it);
  return 1;
}

/* range(index, low, high, descending): bounds on the first column of the index, both included; nil is open. */
static int m_range(lua_State *L) {
  iu_tx_table *t = iu__tx_self(L, "range");
  iu_buf *low = &t->m->key, *high = &t->m->args;
  iu_range range = {.low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  uint32_t number;
  iu_error err;
  lua_settop(L, 5);
  const iu_tx_column *c = &t->columns[check_index(L, t, "range", &number)->columns[0]];
  iu_tx_iter *it = iu__tx_iter_new(L, t);
  iu__buf_reset(low);
  iu__buf_reset(high);
  if (!lua_isnil(L, 3)) iu__tx_encode(L, t, c, 3, low, NULL);
  if (!lua_isnil(L, 4)) iu__tx_encode(L, t, c, 4, high, NULL);
  if (iu__buf_status(low, &err, "low") != IU_OK || iu__buf_status(high, &err, "high") != IU_OK) return iu__tx_refuse(L, t, &err);
  if (!lua_isnil(L, 3)) range.low = (iu_bound){IU_BOUND_INCLUDED, {low->data, low->len}};
  if (!lua_isnil(L, 4)) range.high = (iu_bound){IU_BOUND_INCLUDED, {high->data, high->len}};
  iu__tx_iter_open(L, it, number, &range, lua_toboolean(L, 5));
  return give_iter(L);
}

static int m_iter(lua_State *L) {
  iu_tx_table *t = iu__tx_self(L, "iter");
  iu__tx_iter_open(L, iu__tx_iter_new(L, t), IU_INDEX_MAIN, NULL, false);
  return give_iter(L);
}

static int m_count(lua_State *L) {
  const iu_tx_table *t = iu__tx_self(L, "count");
  lua_pushinteger(L, (lua_Integer)iu__table_count(t->t, IU_EPOCH_LATEST));
  return 1;
}

lua_CFunction iu__tx_step(void) { return m_next; }

const luaL_Reg *iu__tx_reads(void) {
  static const luaL_Reg reads[] = {{"get", m_get}, {"find", m_find}, {"range", m_range}, {"iter", m_iter}, {"count", m_count}, {NULL, NULL}};
  return reads;
}
