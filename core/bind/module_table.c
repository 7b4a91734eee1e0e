/* module_table.c: ctx.db.<table>: a table of the universe in the hands of a reducer: its userdata, how Lua's rows become bytes, and the writes.
 *
 * Each table has methods of its own: C closures whose upvalues are the table, the iterators' metatable and the names of the columns as Lua strings, so
 * that a row costs no search for names. A row is read by one walk over its Lua table, which puts the values in the order of the columns on the stack;
 * the keys are expected in the order of the last row. Plain values are written straight into the module's buffer; what is not plain, and what does not
 * fit (which gives the error), goes through value_encode.c. The bytes are not checked again.
 */
#include "module.h"

#include "../base/text.h"
#include "../host/callee.h"
#include "../sats/bsatn.h"
#include "../sats/sats_json.h"

/* ---- errors ---- */

int iu__tx_refuse(lua_State *L, iu_tx_table *t, iu_error *err) {
  iu__error_prefix(err, "table `%s`", t->def->name);
  return iu__module_raise(L, t->m, err);
}

static int unknown_column(lua_State *L, iu_tx_table *t, int index) {
  iu_error err;
  size_t len;
  char hint[96], shown[64 * 4 + 4];
  const char *name = luaL_tolstring(L, index, &len);
  iu__schema_suggest_column(t->def, name, len, hint);
  iu__fail(&err, IU_E_VALIDATION, "no column `%s`%s", iu__printable(shown, 64, name, len), hint);
  return iu__tx_refuse(L, t, &err);
}

/* "table `player`: update: no row with id = 5" */
static int no_row(lua_State *L, iu_tx_table *t, const char *method, const uint8_t *key, size_t len) {
  const iu_field *f = &t->def->row->u.fields[t->def->primary_key];
  iu_reader r = iu__reader(key, len);
  iu_buf text = {0};
  iu_error err;
  (void)iu__sats_to_json(f->type, &r, IU_SJ_READABLE, &text, NULL);
  int shown = text.failed ? 0 : (int)(text.len < 160 ? text.len : 160);
  iu__fail(&err, IU_E_VALIDATION, "%s: no row with %s = %.*s", method, f->name, shown, text.data != NULL ? (const char *)text.data : "");
  iu__buf_free(&text);
  return iu__tx_refuse(L, t, &err);
}

/* ---- values ---- */

static bool put_integer(lua_State *L, int index, uint8_t form, iu_buf *out, bool *exact) {
  static const uint8_t sizes[] = {[IU_FORM_I8] = 1, [IU_FORM_U8] = 1, [IU_FORM_I16] = 2, [IU_FORM_U16] = 2, [IU_FORM_I32] = 4, [IU_FORM_U32] = 4,
                                  [IU_FORM_I64] = 8, [IU_FORM_U64] = 8};
  unsigned size = sizes[form];
  bool is_signed = form == IU_FORM_I8 || form == IU_FORM_I16 || form == IU_FORM_I32 || form == IU_FORM_I64;
  int fits;
  lua_Integer v = lua_tointegerx(L, index, &fits);
  if (!fits || lua_type(L, index) != LUA_TNUMBER) return false;
  if (!lua_isinteger(L, index)) *exact = false;
  if (!is_signed && v < 0) return false;
  if (size < 8) {
    int64_t most = is_signed ? (INT64_C(1) << (8 * size - 1)) - 1 : (INT64_C(1) << (8 * size)) - 1;
    if (v > most || (is_signed && v < -most - 1)) return false;
  }
  switch (size) {
    case 1: iu__buf_put_u8(out, (uint8_t)v); break;
    case 2: iu__buf_put_u16(out, (uint16_t)v); break;
    case 4: iu__buf_put_u32(out, (uint32_t)v); break;
    default: iu__buf_put_u64(out, (uint64_t)v); break;
  }
  return true;
}

static bool put_float(lua_State *L, int index, uint8_t form, iu_buf *out, bool *exact) {
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  double d = lua_tonumber(L, index);
  if (lua_isinteger(L, index)) *exact = false;
  if (form == IU_FORM_F64) {
    uint64_t bits;
    memcpy(&bits, &d, 8);
    iu__buf_put_u64(out, bits);
    return true;
  }
  float f = (float)d;
  uint32_t bits;
  if ((double)f != d) {
    if (f - f != 0 && d - d == 0) return false; /* infinite, and was not */
    *exact = false;
  }
  memcpy(&bits, &f, 4);
  iu__buf_put_u32(out, bits);
  return true;
}

static bool put_text(lua_State *L, int index, uint8_t form, iu_buf *out) {
  size_t len;
  if (lua_type(L, index) != LUA_TSTRING) return false;
  const char *s = lua_tolstring(L, index, &len);
  if (len > IU_ENGINE_TX_BYTES_MAX || (form == IU_FORM_STRING && iu__utf8_check(s, len) != len)) return false;
  iu__buf_put_u32(out, (uint32_t)len);
  iu__buf_put(out, s, len);
  return true;
}

/* Without asking Lua for memory; false: not a plain value that fits, and nothing was written. */
static inline bool put_plain(lua_State *L, int index, uint8_t form, iu_buf *out, bool *exact) {
  switch ((iu_column_form)form) {
    case IU_FORM_OTHER: return false;
    case IU_FORM_BOOL:
      if (!lua_isboolean(L, index)) return false;
      iu__buf_put_u8(out, (uint8_t)lua_toboolean(L, index));
      return true;
    case IU_FORM_F32: case IU_FORM_F64: return put_float(L, index, form, out, exact);
    case IU_FORM_STRING: case IU_FORM_BYTES: return put_text(L, index, form, out);
    default: return put_integer(L, index, form, out, exact);
  }
}

bool iu__column_put(lua_State *L, int index, const iu_tx_column *c, iu_buf *out) {
  bool dropped;
  return !c->option && put_plain(L, index, c->form, out, &dropped);
}

static void encode_other(lua_State *L, iu_tx_table *t, const iu_tx_column *c, int index, iu_buf *out) {
  iu_error err;
  iu_status status;
  t->m->busy = true;
  out->limit = IU_ENGINE_TX_BYTES_MAX;
  status = iu__encode_value(L, index, c->type, c->name, out, &err);
  if (status == IU_OK) status = iu__buf_status(out, &err, c->name);
  t->m->busy = false;
  if (status != IU_OK) iu__tx_refuse(L, t, &err);
}

void iu__tx_encode(lua_State *L, iu_tx_table *t, const iu_tx_column *c, int index, iu_buf *out, bool *exact) {
  bool dropped;
  size_t at = out->len;
  if (exact == NULL) exact = &dropped;
  if (c->option && c->form != IU_FORM_OTHER) {
    if (lua_isnil(L, index)) {
      iu__buf_put_u8(out, 1);
      return;
    }
    iu__buf_put_u8(out, 0);
    if (put_plain(L, index, c->form, out, exact)) return;
    out->len = at;
  } else if (put_plain(L, index, c->form, out, exact)) {
    return;
  }
  *exact = false;
  encode_other(L, t, c, index, out);
}

void iu__tx_encode_key(lua_State *L, iu_tx_table *t, const iu_index_def *ix, int index, iu_buf *out) {
  if (ix->column_count == 1) {
    iu__tx_encode(L, t, &t->columns[ix->columns[0]], index, out, NULL);
    return;
  }
  if (!lua_istable(L, index)) {
    iu_error err;
    iu__fail(&err, IU_E_VALIDATION, "index %s: an array of %u values expected, got %s", ix->accessor, ix->column_count, luaL_typename(L, index));
    iu__tx_refuse(L, t, &err);
  }
  for (uint32_t i = 0; i < ix->column_count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    iu__tx_encode(L, t, &t->columns[ix->columns[i]], lua_gettop(L), out, NULL);
    lua_pop(L, 1);
  }
}

/* ---- rows ---- */

/* The column of the key at `index`, and where to expect it the next time. */
static int column_of(lua_State *L, iu_tx_table *t, int index, uint32_t place) {
  const void *key = lua_topointer(L, index);
  uint32_t c;
  if (place < t->order_count && t->columns[t->order[place]].key == key) return t->order[place];
  for (c = 0; c < t->count && t->columns[c].key != key; c++) continue;
  if (c == t->count) { /* a long string, or no column */
    size_t len;
    if (lua_type(L, index) != LUA_TSTRING) return -1;
    const char *name = lua_tolstring(L, index, &len);
    int found = iu__table_def_column(t->def, name, len);
    if (found < 0) return -1;
    c = (uint32_t)found;
  }
  if (place < t->count) {
    t->order[place] = (uint16_t)c;
    if (place >= t->order_count) t->order_count = place + 1;
  }
  return (int)c;
}

/* The values of the row at `index` onto the stack, in the order of the columns: the first at the returned index. */
static int spread_row(lua_State *L, iu_tx_table *t, int index) {
  int base = lua_gettop(L) + 1;
  uint32_t place = 0;
  if (!lua_istable(L, index)) {
    iu_error err;
    iu__fail(&err, IU_E_VALIDATION, "a row expected (a table by column), got %s", luaL_typename(L, index));
    iu__tx_refuse(L, t, &err);
  }
  luaL_checkstack(L, (int)t->count + 12, "columns of a row");
  lua_settop(L, base - 1 + (int)t->count);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    int c = column_of(L, t, -2, place++);
    if (c < 0) unknown_column(L, t, -2);
    lua_replace(L, base + c);
  }
  return base;
}

static int missing(lua_State *L, iu_tx_table *t, const iu_tx_column *c, const char *method) {
  iu_error err;
  iu_buf type = {0};
  iu__type_describe_named(c->type, t->m->schema->type_names, &type);
  iu__fail(&err, IU_E_VALIDATION, "%s: column `%s` (%.*s) is missing%s", method, c->name, type.failed ? 0 : (int)type.len,
           type.data != NULL ? (const char *)type.data : "", strcmp(method, "update") == 0 ? "; `patch` changes some columns only" : "");
  iu__buf_free(&type);
  return iu__tx_refuse(L, t, &err);
}

typedef struct row_facts { uint32_t key_at, key_len; iu_tx_inexact inexact; } row_facts;

/* The values from `base` on as a row in m->row. insert: what is absent is generated or has its default. */
static row_facts encode_row(lua_State *L, iu_tx_table *t, int base, bool insert) {
  iu_buf *out = &t->m->row;
  row_facts facts = {0};
  iu__buf_reset(out);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_tx_column *c = &t->columns[i];
    int index = base + (int)i;
    uint32_t at = (uint32_t)out->len;
    bool exact = true;
    if (lua_isnil(L, index) && (!c->option || (insert && c->fallback != NULL))) {
      if (!insert || (!c->generated && c->fallback == NULL)) missing(L, t, c, insert ? "insert" : "update");
      if (c->fallback != NULL) iu__buf_put(out, c->fallback, c->fallback_len);
      else for (uint32_t n = c->type->fixed_size; n > 0; n--) iu__buf_put_u8(out, 0);
      exact = false;
    } else {
      iu__tx_encode(L, t, c, index, out, &exact);
    }
    if (c->generated && lua_isinteger(L, index) && lua_tointeger(L, index) == 0) exact = false;
    if (!exact) {
      facts.inexact.bits[i / 64] |= UINT64_C(1) << (i % 64);
      facts.inexact.count++;
    }
    if ((int32_t)i == t->def->primary_key) {
      facts.key_at = at;
      facts.key_len = (uint32_t)out->len - at;
    }
  }
  iu_error err;
  if (iu__buf_status(out, &err, "row") != IU_OK) iu__tx_refuse(L, t, &err);
  return facts;
}

static iu_tx_table *self_to_write(lua_State *L, const char *method) {
  iu_tx_table *t = iu__tx_self(L, method);
  if (!t->own) {
    iu_error err;
    iu__fail(&err, IU_E_VALIDATION, "%s: the table is another module's: read it, and call that module's reducers (ctx:call) to write", method);
    iu__tx_refuse(L, t, &err);
  }
  return t;
}

static const iu_row *find_by_key(iu_tx_table *t, const uint8_t *key, size_t len) { return iu__table_get(t->t, IU_EPOCH_LATEST, key, len); }

static void need_primary_key(lua_State *L, iu_tx_table *t, const char *method) {
  iu_error err;
  if (t->def->primary_key >= 0) return;
  iu__fail(&err, IU_E_VALIDATION, "%s: the table has no primary key", method);
  iu__tx_refuse(L, t, &err);
}

/* ---- methods ---- */

static int m_insert(lua_State *L) {
  iu_tx_table *t = self_to_write(L, "insert");
  const iu_row *stored = NULL;
  iu_error err;
  lua_settop(L, 2);
  int base = spread_row(L, t, 2);
  row_facts facts = encode_row(L, t, base, true);
  if (iu__tx_put(t->m->tx, t->number, t->m->row.data, t->m->row.len, &stored, &err) != IU_OK) return iu__module_raise(L, t->m, &err);
  if (facts.inexact.count == 0) lua_settop(L, 2); /* the table given says all that is stored */
  else iu__push_tx_stored(L, t, base, &facts.inexact, stored);
  return 1;
}

static int m_update(lua_State *L) {
  iu_tx_table *t = self_to_write(L, "update");
  iu_error err;
  need_primary_key(L, t, "update");
  lua_settop(L, 2);
  int base = spread_row(L, t, 2);
  row_facts facts = encode_row(L, t, base, false);
  iu_buf *row = &t->m->row;
  const iu_row *old = find_by_key(t, row->data + facts.key_at, facts.key_len);
  if (old == NULL) return no_row(L, t, "update", row->data + facts.key_at, facts.key_len);
  if (iu__tx_replace(t->m->tx, t->number, old, row->data, row->len, NULL, &err) != IU_OK) return iu__module_raise(L, t->m, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* The primary key at 2 into m->key. */
static void encode_primary(lua_State *L, iu_tx_table *t, const char *method) {
  iu_buf *key = &t->m->key;
  iu_error err;
  need_primary_key(L, t, method);
  iu__buf_reset(key);
  iu__tx_encode(L, t, &t->columns[t->def->primary_key], 2, key, NULL);
  if (iu__buf_status(key, &err, "key") != IU_OK) iu__tx_refuse(L, t, &err);
}

/* patch(key, changes): the named columns only; iu.null takes an option's value away. */
static int m_patch(lua_State *L) {
  iu_tx_table *t = self_to_write(L, "patch");
  iu_buf *out = &t->m->row;
  iu_error err;
  lua_settop(L, 3);
  encode_primary(L, t, "patch");
  int base = spread_row(L, t, 3);
  const iu_row *old = find_by_key(t, t->m->key.data, t->m->key.len);
  if (old == NULL) return no_row(L, t, "patch", t->m->key.data, t->m->key.len);
  const uint8_t *p = old->data, *end = p + old->len;
  iu__buf_reset(out);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_tx_column *c = &t->columns[i];
    const uint8_t *next = c->type->fixed_size != IU_SIZE_VARIES ? p + c->type->fixed_size : iu__bsatn_skip(c->type, p, end);
    if (lua_isnil(L, base + (int)i)) iu__buf_put(out, p, (size_t)(next - p));
    else iu__tx_encode(L, t, c, base + (int)i, out, NULL);
    p = next;
  }
  if (iu__buf_status(out, &err, "row") != IU_OK) iu__tx_refuse(L, t, &err);
  if (iu__tx_replace(t->m->tx, t->number, old, out->data, out->len, NULL, &err) != IU_OK) return iu__module_raise(L, t->m, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static void remove_row(lua_State *L, iu_tx_table *t, const iu_row *row) {
  iu_error err;
  if (iu__tx_remove(t->m->tx, t->number, row, &err) != IU_OK) iu__tx_refuse(L, t, &err);
}

static int m_delete(lua_State *L) {
  iu_tx_table *t = self_to_write(L, "delete");
  lua_settop(L, 2);
  encode_primary(L, t, "delete");
  const iu_row *row = find_by_key(t, t->m->key.data, t->m->key.len);
  if (row != NULL) remove_row(L, t, row);
  lua_pushboolean(L, row != NULL);
  return 1;
}

/* ---- delete_where ---- */

static bool is_wanted(lua_State *L, const iu_tx_table *t, int base, const uint32_t *ends, const iu_row *row) {
  const uint8_t *p = row->data, *end = p + row->len, *want = t->m->key.data;
  for (uint32_t i = 0, at = 0; i < t->count; i++) {
    const uint8_t *next = iu__bsatn_skip(t->columns[i].type, p, end);
    if (!lua_isnil(L, base + (int)i)) {
      if ((size_t)(next - p) != ends[i] - at || memcmp(p, want + at, ends[i] - at) != 0) return false;
    }
    at = ends[i];
    p = next;
  }
  return true;
}

/* The index with the most columns at its beginning that the filter names; IU_INDEX_MAIN: none. */
static uint32_t index_for(lua_State *L, const iu_tx_table *t, int base, uint32_t *columns) {
  uint32_t best = IU_INDEX_MAIN;
  *columns = 0;
  for (uint32_t i = 0; i < t->def->index_count; i++) {
    const iu_index_def *ix = &t->def->indexes[i];
    uint32_t n = 0;
    while (n < ix->column_count && !lua_isnil(L, base + ix->columns[n])) n++;
    if (n > *columns) {
      best = i;
      *columns = n;
    }
  }
  return best;
}

/* By a table of column = value; iu.null is an option without a value. */
static lua_Integer delete_matching(lua_State *L, iu_tx_table *t) {
  int base = spread_row(L, t, 2);
  uint32_t *ends = lua_newuserdatauv(L, (t->count + 1) * sizeof *ends, 0), columns;
  iu_tx_iter *it = iu__tx_iter_new(L, t);
  iu_buf *want = &t->m->key, *prefix = &t->m->row;
  lua_Integer n = 0;
  iu_status status = IU_OK;
  iu_error err;
  iu__buf_reset(want);
  for (uint32_t i = 0; i < t->count; i++) {
    if (!lua_isnil(L, base + (int)i)) iu__tx_encode(L, t, &t->columns[i], base + (int)i, want, NULL);
    ends[i] = (uint32_t)want->len;
  }
  uint32_t index = index_for(L, t, base, &columns);
  iu__buf_reset(prefix);
  for (uint32_t i = 0; i < columns; i++) {
    uint32_t c = t->def->indexes[index].columns[i], start = c > 0 ? ends[c - 1] : 0;
    iu__buf_put(prefix, want->data + start, ends[c] - start);
  }
  if (iu__buf_status(want, &err, "filter") != IU_OK || iu__buf_status(prefix, &err, "filter") != IU_OK) iu__tx_refuse(L, t, &err);
  iu_range range = {.prefix = {prefix->data, prefix->len}, .prefix_columns = columns, .low.kind = IU_BOUND_UNBOUNDED, .high.kind = IU_BOUND_UNBOUNDED};
  iu__tx_iter_open(L, it, index, &range, false);
  t->m->busy = true; /* `want` is needed to the end */
  for (const iu_row *row; (row = iu__tx_iter_next(it)) != NULL;) {
    iu__guard_tick(L, t->m->run);
    if (!is_wanted(L, t, base, ends, row)) continue;
    status = iu__tx_remove(t->m->tx, t->number, row, &err);
    if (status != IU_OK) break;
    n++;
  }
  t->m->busy = false;
  iu__tx_iter_end(it);
  if (status != IU_OK) iu__tx_refuse(L, t, &err);
  return n;
}

/* By a function of the row. */
static lua_Integer delete_chosen(lua_State *L, iu_tx_table *t) {
  iu_tx_iter *it = iu__tx_iter_new(L, t);
  iu__tx_iter_open(L, it, IU_INDEX_MAIN, NULL, false);
  lua_Integer n = 0;
  for (const iu_row *row; (row = iu__tx_iter_next(it)) != NULL;) {
    iu__guard_tick(L, t->m->run);
    lua_pushvalue(L, 2);
    iu__push_tx_row(L, t, row);
    lua_call(L, 1, 1);
    bool chosen = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (!chosen || row->gone != UINT64_MAX) continue; /* the function may have deleted it itself */
    remove_row(L, t, row);
    n++;
  }
  iu__tx_iter_end(it);
  return n;
}

static int m_delete_where(lua_State *L) {
  iu_tx_table *t = self_to_write(L, "delete_where");
  lua_settop(L, 2);
  if (!lua_istable(L, 2) && !lua_isfunction(L, 2)) {
    iu_error err;
    iu__fail(&err, IU_E_VALIDATION, "delete_where: a table of column = value or a function expected, got %s", luaL_typename(L, 2));
    return iu__tx_refuse(L, t, &err);
  }
  lua_pushinteger(L, lua_istable(L, 2) ? delete_matching(L, t) : delete_chosen(L, t));
  return 1;
}

/* ---- the userdata ---- */

iu_tx_table *iu__tx_self(lua_State *L, const char *method) {
  iu_tx_table *t = lua_touserdata(L, lua_upvalueindex(IU_UP_TABLE));
  if (lua_touserdata(L, 1) != t) luaL_error(L, "%s: call it with a colon: ctx.db.%s:%s(...)", method, t->def->name, method);
  iu__module_check(L, t->m, method);
  if (t->m->busy) luaL_error(L, "table `%s`: a finaliser cannot use it while a row is put together", t->def->name);
  iu__guard_tick(L, t->m->run);
  return t;
}

static iu_column_form form_of(const iu_type *type) {
  static const uint8_t forms[IU_T_COUNT] = {
      [IU_T_BOOL] = IU_FORM_BOOL, [IU_T_I8] = IU_FORM_I8, [IU_T_U8] = IU_FORM_U8, [IU_T_I16] = IU_FORM_I16, [IU_T_U16] = IU_FORM_U16,
      [IU_T_I32] = IU_FORM_I32, [IU_T_U32] = IU_FORM_U32, [IU_T_I64] = IU_FORM_I64, [IU_T_U64] = IU_FORM_U64, [IU_T_F32] = IU_FORM_F32,
      [IU_T_F64] = IU_FORM_F64, [IU_T_STRING] = IU_FORM_STRING};
  type = iu__type_deref(type);
  if (type->special == IU_S_BYTES) return IU_FORM_BYTES;
  if (type->special == IU_S_TIMESTAMP || type->special == IU_S_TIME_DURATION) return IU_FORM_I64;
  return type->special == IU_S_NONE ? (iu_column_form)forms[type->tag] : IU_FORM_OTHER;
}

void iu__column_init(iu_tx_column *c, const iu_field *f) {
  const iu_type *type = iu__type_deref(f->type);
  c->name = f->name;
  c->type = type;
  c->option = type->special == IU_S_OPTION;
  c->form = (uint8_t)form_of(c->option ? type->u.fields[0].type : type);
}

static void init_column(iu_tx_table *t, uint32_t i) {
  iu_tx_column *c = &t->columns[i];
  iu__column_init(c, &t->def->row->u.fields[i]);
  for (uint32_t s = 0; s < t->def->sequence_count; s++) c->generated |= t->def->sequences[s].column == i;
}

/* Of the module's own tables: core.open was given the bytes of the defaults, and keeps them. */
static void find_defaults(lua_State *L, iu_tx_table *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->m->parts);
  if (lua_getfield(L, -1, "defaults") != LUA_TTABLE) luaL_error(L, "modules: defaults: expected a table");
  for (lua_Integer i = 1, n = luaL_len(L, -1); i <= n; i++) {
    lua_rawgeti(L, -1, i);
    lua_getfield(L, -1, "table");
    lua_getfield(L, -2, "position");
    lua_getfield(L, -3, "bytes");
    lua_Integer position = lua_tointeger(L, -2);
    const char *table = lua_tostring(L, -3);
    if (table != NULL && strcmp(table, t->def->name) == 0 && position >= 0 && position < (lua_Integer)t->count) {
      t->columns[position].fallback = (const uint8_t *)lua_tolstring(L, -1, &t->columns[position].fallback_len);
    }
    lua_pop(L, 4);
  }
  lua_pop(L, 2);
}

static void push_closure(lua_State *L, const iu_tx_table *t, int self, lua_CFunction f) {
  lua_pushvalue(L, self);
  iu__push_iter_mt(L);
  for (uint32_t i = 0; i < t->count; i++) lua_pushstring(L, t->columns[i].name);
  lua_pushcclosure(L, f, (int)t->count + IU_UP_KEYS - 1);
}

/* The methods in a new table. The userdata is at `self`. */
static void push_methods(lua_State *L, const iu_tx_table *t, int self) {
  static const luaL_Reg writes[] = {{"insert", m_insert}, {"update", m_update}, {"patch", m_patch}, {"delete", m_delete},
                                    {"delete_where", m_delete_where}, {NULL, NULL}};
  const luaL_Reg *lists[] = {writes, iu__tx_reads()};
  lua_createtable(L, 0, 12);
  for (int l = 0; l < 2; l++) {
    for (const luaL_Reg *f = lists[l]; f->name != NULL; f++) {
      push_closure(L, t, self, f->func);
      lua_setfield(L, -2, f->name);
    }
  }
}

void iu__push_tx_table(lua_State *L, iu_lua_module *m, uint32_t n) {
  const iu_table_def *def = &m->schema->tables[n];
  uint32_t count = def->row->count;
  if (count > IU_TX_COLUMNS_MAX) luaL_error(L, "table `%s`: %d columns, reducers in Lua take at most %d", def->name, (int)count, IU_TX_COLUMNS_MAX);
  luaL_checkstack(L, (int)count + 12, "columns");
  iu_tx_table *t = lua_newuserdatauv(L, sizeof *t + count * (sizeof t->columns[0] + sizeof t->order[0]), 3);
  int self = lua_gettop(L);
  memset(t, 0, sizeof *t + count * (sizeof t->columns[0] + sizeof t->order[0]));
  t->m = m;
  t->def = def;
  t->number = n;
  t->count = count;
  t->t = iu__tx_table(m->tx, n);
  t->own = n >= m->first_table && n - m->first_table < m->table_count;
  t->order = (uint16_t *)(void *)&t->columns[count];
  lua_rawgeti(L, LUA_REGISTRYINDEX, m->self);
  lua_setiuservalue(L, self, 1);
  lua_createtable(L, (int)count, 0); /* keeps the names' strings, whose addresses are the keys */
  for (uint32_t i = 0; i < count; i++) {
    init_column(t, i);
    lua_pushstring(L, t->columns[i].name);
    t->columns[i].key = lua_topointer(L, -1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setiuservalue(L, self, 2);
  push_closure(L, t, self, iu__tx_step());
  lua_setiuservalue(L, self, 3);
  if (t->own) find_defaults(L, t);
  lua_createtable(L, 0, 4);
  push_methods(L, t, self);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "inner_universe.ReducerTable");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "inner_universe.ReducerTable");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, self);
}
