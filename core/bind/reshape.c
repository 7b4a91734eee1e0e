/* reshape.c: core.reshape: the tables of a working copy in Lua's hands (core/journal/reshape.h). Rows and values as everywhere (README.md).
 *
 *   core.reshape(file)                      a session: s:close()
 *   s:tables()                              { { name, definition } }
 *   s:rows(table), s:get(table, key)        how many; a row or nothing
 *   s:begin(schema?), s:commit(), s:rollback()
 *   s:drop(t), s:rename(t, to), s:redefine(t, definition), s:check_unique(t), s:position(t, which)   which: from 1
 *   s:modules(), s:set_modules(bytes)       the file's list of modules that had their `init`
 *   s:reader(t)                             r:next() (a row, nil at the end), r:current(), r:close()
 *   s:writer(mode, t, definition?, defaults?)   mode: "create", "replace", "append"; defaults: { [column number] = BSATN }
 *     w:put(row, over?, stored?)            true, or the row as it is stored; nil, err, column
 *     w:keep(reader)                        the row that the reader stands on, of a table with the same columns, as it is
 *     w:take(reader, plan, most)            as many rows of a reader as it has, at most so many, each made one of this table by the plan: for each column the number of
 *                                           an old one, BSATN, or { fn, old column? } whose function gets that column's value, or without one the row. What it took, and
 *                                           whether that was the end; nil, err, column, value. Functions raise through it
 *     w:column()                            whose function raised
 *     w:delete(key_or_row)                  whether it was there
 *     w:position(which, next), w:finish(check?), w:close()
 *
 * Everything that fails is nil, err. An error, or what a function raised, leaves the transaction open: roll it back.
 */
#include "../journal/reshape.h"

#include "../base/alloc.h"
#include "../host/callee.h"
#include "../sats/bsatn.h"
#include "module.h"

#define SESSION "inner_universe.reshape"
#define READER "inner_universe.reshape_reader"
#define WRITER "inner_universe.reshape_writer"

enum { UV_NAMES = 1, UV_SESSION, UV_DEFAULTS, UV_COUNT = UV_DEFAULTS };

typedef struct session_box { iu_reshape *s; } session_box;

/* How rows of a table are read and written. */
typedef struct shape { const iu_table_def *def; uint32_t count; iu_tx_column columns[]; } shape;
typedef struct reader_box { iu_reshape_reader *r; iu_slice row; bool has_row; shape shape; } reader_box;
typedef struct writer_box { iu_reshape_writer *w; iu_buf row; int32_t calling; shape shape; } writer_box; /* calling: the column whose function runs, or -1 */

static int fail(lua_State *L, const iu_error *err) { return iu__push_failure(L, iu__lua(L), err); }

/* ---- shapes ---- */

static void shape_init(shape *p, const iu_table_def *def) {
  p->def = def;
  p->count = def->row->count;
  memset(p->columns, 0, p->count * sizeof p->columns[0]);
  for (uint32_t i = 0; i < p->count; i++) {
    iu__column_init(&p->columns[i], &def->row->u.fields[i]);
    for (uint32_t s = 0; s < def->sequence_count; s++) p->columns[i].generated |= def->sequences[s].column == i;
  }
}

/* The names of the columns as the uservalue of the userdata on top. */
static void keep_names(lua_State *L, const iu_table_def *def, int session) {
  lua_createtable(L, (int)def->row->count, 0);
  for (uint32_t i = 0; i < def->row->count; i++) {
    lua_pushstring(L, def->row->u.fields[i].name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setiuservalue(L, -2, UV_NAMES);
  lua_pushvalue(L, session);
  lua_setiuservalue(L, -2, UV_SESSION);
}

/* names: an index. */
static void push_row(lua_State *L, const shape *p, int names, iu_slice row) {
  const uint8_t *at = row.p, *end = row.p + row.len;
  lua_createtable(L, 0, (int)p->count);
  for (uint32_t i = 0; i < p->count; i++) {
    const iu_tx_column *c = &p->columns[i];
    if (c->option && *at == 1) { /* none: no field */
      at++;
      continue;
    }
    lua_rawgeti(L, names, (lua_Integer)i + 1);
    iu__column_push(L, c, &at, end);
    lua_rawset(L, -3);
  }
}

/* The value on top; never raises. */
static iu_status put_value(lua_State *L, const iu_tx_column *c, iu_buf *out, iu_error *err) {
  size_t at = out->len;
  if (c->option && c->form != IU_FORM_OTHER && !lua_isnil(L, -1)) {
    iu_tx_column inner = *c;
    inner.option = false;
    iu__buf_put_u8(out, 0);
    if (iu__column_put(L, -1, &inner, out)) return IU_OK;
    out->len = at;
  } else if (iu__column_put(L, -1, c, out)) {
    return IU_OK;
  }
  iu_status status = iu__encode_value(L, lua_gettop(L), c->type, c->name, out, err);
  return status == IU_OK ? iu__buf_status(out, err, c->name) : status;
}

/* Of a column that is absent. */
static iu_status put_absent(const iu_tx_column *c, iu_buf *out, iu_error *err) {
  iu_buf type = {0};
  if (c->fallback != NULL) iu__buf_put(out, c->fallback, c->fallback_len);
  else if (c->option) iu__buf_put_u8(out, 1);
  else if (c->generated) for (uint32_t n = c->type->fixed_size; n > 0; n--) iu__buf_put_u8(out, 0);
  else {
    iu__type_describe(c->type, &type);
    iu__buf_put_u8(&type, 0);
    (void)iu__fail(err, IU_E_VALIDATION, "%s: expected %s, the column is missing", c->name, type.failed ? "a value" : (const char *)type.data);
    iu__buf_free(&type);
    return IU_E_VALIDATION;
  }
  return IU_OK;
}

static iu_status unknown_column(lua_State *L, const shape *p, int row, iu_error *err) {
  lua_pushnil(L);
  while (lua_next(L, row) != 0) {
    size_t len = 0;
    lua_pop(L, 1);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    char hint[96], shown[64 * 4 + 4];
    if (name != NULL && iu__table_def_column(p->def, name, len) >= 0) continue;
    if (name == NULL) return iu__fail(err, IU_E_VALIDATION, "expected columns by name, found a key that is %s", luaL_typename(L, -1));
    iu__schema_suggest_column(p->def, name, len, hint);
    return iu__fail(err, IU_E_VALIDATION, "no column `%s`%s", iu__printable(shown, 64, name, len), hint);
  }
  return iu__fail(err, IU_E_VALIDATION, "a row changed while it was read");
}

/* The table at `row` as BSATN in w->row. *column: which one is wrong; -1: none of its own. */
static iu_status encode_row(lua_State *L, writer_box *b, int names, int row, int *column, iu_error *err) {
  const shape *p = &b->shape;
  uint32_t found = 0, keys = 0;
  iu_status status = IU_OK;
  *column = -1;
  iu__buf_reset(&b->row);
  if (!lua_istable(L, row)) return iu__fail(err, IU_E_VALIDATION, "expected a row (a table by column), got %s", luaL_typename(L, row));
  for (uint32_t i = 0; i < p->count && status == IU_OK; i++) {
    lua_rawgeti(L, names, (lua_Integer)i + 1);
    if (lua_rawget(L, row) == LUA_TNIL) {
      status = put_absent(&p->columns[i], &b->row, err);
    } else {
      found++;
      status = put_value(L, &p->columns[i], &b->row, err);
    }
    if (status != IU_OK) *column = (int)i;
    lua_pop(L, 1);
  }
  if (status != IU_OK) return status;
  lua_pushnil(L);
  while (lua_next(L, row) != 0) {
    keys++;
    lua_pop(L, 1);
  }
  return keys == found ? iu__buf_status(&b->row, err, "row") : unknown_column(L, p, row, err);
}

/* ---- sessions ---- */

static session_box *check_session(lua_State *L) {
  session_box *b = iu__class_check(L, 1, SESSION);
  if (b->s == NULL) luaL_error(L, "the working copy is closed");
  return b;
}

static int answer(lua_State *L, iu_status status, const iu_error *err) {
  if (status != IU_OK) return fail(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

static int table_at(lua_State *L, iu_reshape *s, int index, iu_error *err) {
  const char *name = luaL_checkstring(L, index);
  int at = iu__reshape_find(s, name);
  char shown[64 * 4 + 4];
  if (at < 0) iu__fail(err, IU_E_VALIDATION, "no table `%s`", iu__printable(shown, 64, name, strlen(name)));
  return at;
}

static int m_tables(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  lua_createtable(L, (int)iu__reshape_count(s), 0);
  for (uint32_t i = 0; i < iu__reshape_count(s); i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, iu__reshape_table(s, i)->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, iu__reshape_definition(s, i));
    lua_setfield(L, -2, "definition");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int m_rows(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  uint64_t rows = 0;
  iu_error err;
  int at = table_at(L, s, 2, &err);
  if (at < 0 || iu__reshape_rows(s, (uint32_t)at, &rows, &err) != IU_OK) return fail(L, &err);
  lua_pushinteger(L, (lua_Integer)rows);
  return 1;
}

static int m_begin(lua_State *L) {
  iu_error err;
  return answer(L, iu__reshape_begin(check_session(L)->s, lua_toboolean(L, 2), &err), &err);
}

static int m_commit(lua_State *L) {
  iu_error err;
  return answer(L, iu__reshape_commit(check_session(L)->s, &err), &err);
}

static int m_rollback(lua_State *L) {
  iu__reshape_rollback(check_session(L)->s);
  return 0;
}

static int m_drop(lua_State *L) {
  iu_error err;
  return answer(L, iu__reshape_drop(check_session(L)->s, luaL_checkstring(L, 2), &err), &err);
}

static int m_rename(lua_State *L) {
  iu_error err;
  return answer(L, iu__reshape_rename(check_session(L)->s, luaL_checkstring(L, 2), luaL_checkstring(L, 3), &err), &err);
}

static int m_redefine(lua_State *L) {
  iu_error err;
  return answer(L, iu__reshape_redefine(check_session(L)->s, luaL_checkstring(L, 2), luaL_checkstring(L, 3), &err), &err);
}

static int m_check_unique(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  iu_error err;
  int at = table_at(L, s, 2, &err);
  return answer(L, at < 0 ? IU_E_VALIDATION : iu__reshape_check_unique(s, (uint32_t)at, &err), &err);
}

static int m_position(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  iu_error err;
  int64_t next = 0;
  int at = table_at(L, s, 2, &err);
  if (at < 0 || iu__reshape_position(s, (uint32_t)at, (uint32_t)luaL_checkinteger(L, 3) - 1, &next, &err) != IU_OK) return fail(L, &err);
  lua_pushinteger(L, next);
  return 1;
}

static int m_modules(lua_State *L) {
  iu_buf list = {0};
  iu_error err;
  iu_status status = iu__reshape_modules(check_session(L)->s, &list, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &list);
}

static int m_set_modules(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  iu_error err;
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  return answer(L, iu__reshape_set_modules(s, (iu_slice){(const uint8_t *)bytes, len}, &err), &err);
}

static int session_close(lua_State *L) {
  session_box *b = luaL_checkudata(L, 1, SESSION);
  iu_reshape *s = b->s;
  b->s = NULL;
  iu__reshape_close(s);
  return 0;
}

static int f_reshape(lua_State *L) {
  const char *file = luaL_checkstring(L, 1);
  iu_error err;
  session_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  memset(b, 0, sizeof *b);
  luaL_setmetatable(L, SESSION);
  return iu__reshape_open(file, &b->s, &err) == IU_OK ? 1 : fail(L, &err);
}

/* ---- readers ---- */

static reader_box *new_reader(lua_State *L, const iu_table_def *def, int session) {
  reader_box *b = lua_newuserdatauv(L, sizeof *b + def->row->count * sizeof b->shape.columns[0], UV_COUNT);
  memset(b, 0, sizeof *b);
  shape_init(&b->shape, def);
  luaL_setmetatable(L, READER);
  keep_names(L, def, session);
  return b;
}

static int m_reader(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  iu_error err;
  int at = table_at(L, s, 2, &err);
  if (at < 0) return fail(L, &err);
  reader_box *b = new_reader(L, iu__reshape_table(s, (uint32_t)at), 1);
  return iu__reshape_reader_new(s, (uint32_t)at, &b->r, &err) == IU_OK ? 1 : fail(L, &err);
}

static iu_status read_next(reader_box *b, bool *row, iu_error *err) {
  b->has_row = false;
  if (b->r == NULL) return iu__fail(err, IU_E_CLOSED, "the reader is closed");
  iu_status status = iu__reshape_next(b->r, row, &b->row, err);
  b->has_row = status == IU_OK && *row;
  return status;
}

static int push_current(lua_State *L, const reader_box *b, int reader) {
  if (b->r == NULL || !b->has_row || iu__reshape_reader_table(b->r) == NULL) return 0;
  lua_getiuservalue(L, reader, UV_NAMES);
  push_row(L, &b->shape, lua_gettop(L), b->row);
  return 1;
}

static int m_next(lua_State *L) {
  reader_box *b = iu__class_check(L, 1, READER);
  bool row = false;
  iu_error err;
  if (read_next(b, &row, &err) != IU_OK) return fail(L, &err);
  if (row) return push_current(L, b, 1);
  lua_pushnil(L);
  return 1;
}

static int m_current(lua_State *L) { return push_current(L, iu__class_check(L, 1, READER), 1); }

static int reader_close(lua_State *L) {
  reader_box *b = luaL_checkudata(L, 1, READER);
  iu_reshape_reader *r = b->r;
  b->r = NULL;
  iu__reshape_reader_free(r);
  return 0;
}

static int m_get(lua_State *L) {
  iu_reshape *s = check_session(L)->s;
  iu_buf key = {0}, row = {0};
  bool found = false;
  iu_error err;
  int at = table_at(L, s, 2, &err);
  if (at < 0) return fail(L, &err);
  const iu_table_def *def = iu__reshape_table(s, (uint32_t)at);
  lua_settop(L, 3);
  iu_status status = def->primary_key < 0 ? iu__fail(&err, IU_E_VALIDATION, "get: table `%s` has no primary key", def->name) : IU_OK;
  if (status == IU_OK) status = iu__encode_value(L, 3, def->row->u.fields[def->primary_key].type, def->row->u.fields[def->primary_key].name, &key, &err);
  if (status == IU_OK) status = iu__buf_status(&key, &err, "key");
  if (status == IU_OK) status = iu__reshape_get(s, (uint32_t)at, (iu_slice){key.data, key.len}, &found, &row, &err);
  iu__buf_free(&key);
  if (status != IU_OK) {
    iu__buf_free(&row);
    return fail(L, &err);
  }
  if (!found) {
    lua_pushnil(L);
    return 1;
  }
  void *bytes = lua_newuserdatauv(L, row.len + 1, 0); /* the collector's, since the rest may raise */
  iu_slice copy = {bytes, row.len};
  if (row.len != 0) memcpy(bytes, row.data, row.len);
  iu__buf_free(&row);
  reader_box *b = new_reader(L, def, 1);
  lua_getiuservalue(L, -1, UV_NAMES);
  push_row(L, &b->shape, lua_gettop(L), copy);
  return 1;
}

/* ---- writers ---- */

static writer_box *check_writer(lua_State *L) {
  writer_box *b = iu__class_check(L, 1, WRITER);
  if (b->w == NULL || iu__reshape_writer_table(b->w) == NULL) luaL_error(L, "the writer has ended");
  return b;
}

/* The texts of the table at `index` are kept with the writer on top. */
static void keep_defaults(lua_State *L, writer_box *b, int index) {
  if (!lua_istable(L, index)) return;
  for (uint32_t i = 0; i < b->shape.count; i++) {
    if (lua_rawgeti(L, index, (lua_Integer)i + 1) == LUA_TSTRING) b->shape.columns[i].fallback = (const uint8_t *)lua_tolstring(L, -1, &b->shape.columns[i].fallback_len);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, UV_DEFAULTS);
}

/* How many columns a writer will have: known before it is made, so that its userdata is there first. */
static uint32_t count_columns(const iu_reshape *s, const char *name, const char *definition) {
  uint32_t n = 0;
  int at = iu__reshape_find(s, name);
  if (definition == NULL) return at >= 0 ? iu__reshape_table(s, (uint32_t)at)->row->count : 0;
  for (const char *p = definition; p != NULL && strncmp(p, "column ", 7) == 0; n++) {
    p = strchr(p, '\n');
    if (p != NULL) p++;
  }
  return n;
}

static int m_writer(lua_State *L) {
  static const char *const modes[] = {"create", "replace", "append", NULL};
  iu_reshape *s = check_session(L)->s;
  iu_reshape_mode mode = (iu_reshape_mode)luaL_checkoption(L, 2, NULL, modes);
  const char *name = luaL_checkstring(L, 3), *definition = mode == IU_RESHAPE_APPEND ? NULL : luaL_checkstring(L, 4);
  iu_error err;
  lua_settop(L, 5);
  uint32_t count = count_columns(s, name, definition);
  writer_box *b = lua_newuserdatauv(L, sizeof *b + count * sizeof b->shape.columns[0], UV_COUNT);
  memset(b, 0, sizeof *b);
  b->row.limit = IU_ENGINE_TX_BYTES_MAX;
  b->calling = -1;
  luaL_setmetatable(L, WRITER);
  if (iu__reshape_writer_new(s, mode, name, definition, &b->w, &err) != IU_OK) return fail(L, &err);
  const iu_table_def *def = iu__reshape_writer_table(b->w);
  if (def->row->count != count) return luaL_error(L, "writer: the definition of table `%s`", name);
  shape_init(&b->shape, def);
  keep_names(L, def, 1);
  keep_defaults(L, b, 5);
  return 1;
}

/* nil, err, and the column's name. */
static int fail_at(lua_State *L, const writer_box *b, int column, const iu_error *err) {
  fail(L, err);
  if (column < 0) return 2;
  lua_pushstring(L, b->shape.columns[column].name);
  return 3;
}

static int m_put(lua_State *L) {
  writer_box *b = check_writer(L);
  int column;
  iu_error err;
  lua_settop(L, 4);
  lua_getiuservalue(L, 1, UV_NAMES);
  iu_status status = encode_row(L, b, 5, 2, &column, &err);
  if (status == IU_OK) status = iu__reshape_put(b->w, b->row.data, b->row.len, lua_toboolean(L, 3), &err);
  if (status != IU_OK) return fail_at(L, b, column, &err);
  if (lua_toboolean(L, 4)) push_row(L, &b->shape, 5, (iu_slice){b->row.data, b->row.len});
  else lua_pushboolean(L, 1);
  return 1;
}

static int m_delete(lua_State *L) {
  writer_box *b = check_writer(L);
  const iu_table_def *def = b->shape.def;
  bool was_there = false;
  int column = -1;
  iu_error err;
  iu_status status;
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, UV_NAMES);
  if (def->primary_key < 0) {
    status = encode_row(L, b, 3, 2, &column, &err);
  } else {
    iu__buf_reset(&b->row);
    lua_pushvalue(L, 2);
    status = put_value(L, &b->shape.columns[def->primary_key], &b->row, &err);
  }
  if (status == IU_OK) status = iu__reshape_delete(b->w, (iu_slice){b->row.data, b->row.len}, &was_there, &err);
  if (status != IU_OK) return fail_at(L, b, column, &err);
  lua_pushboolean(L, was_there);
  return 1;
}

static int m_writer_position(lua_State *L) {
  writer_box *b = check_writer(L);
  iu__reshape_writer_position(b->w, (uint32_t)luaL_checkinteger(L, 2) - 1, luaL_checkinteger(L, 3));
  return 0;
}

static int m_finish(lua_State *L) {
  iu_error err;
  return answer(L, iu__reshape_finish(check_writer(L)->w, lua_toboolean(L, 2), &err), &err);
}

static int writer_close(lua_State *L) {
  writer_box *b = luaL_checkudata(L, 1, WRITER);
  iu_reshape_writer *w = b->w;
  b->w = NULL;
  iu__reshape_writer_free(w);
  iu__buf_free(&b->row);
  return 0;
}

/* ---- by a plan ---- */

typedef struct step { iu_slice bytes; int32_t from; bool call; } step; /* from: an old column, or -1 */

/* The stack of w:take(reader, plan, most): the reader's names, the functions by column, the steps. */
enum { TAKE_READER = 2, TAKE_PLAN = 3, TAKE_NAMES = 5, TAKE_FUNCTIONS = 6 };

static void read_step(lua_State *L, step *p, uint32_t column, uint32_t old_count) {
  size_t len;
  p->from = -1;
  if (lua_isinteger(L, -1)) {
    p->from = (int32_t)lua_tointeger(L, -1) - 1;
  } else if (lua_type(L, -1) == LUA_TSTRING) {
    p->bytes.p = (const uint8_t *)lua_tolstring(L, -1, &len); /* the plan keeps it */
    p->bytes.len = len;
  } else {
    luaL_checktype(L, -1, LUA_TTABLE);
    p->call = true;
    if (lua_rawgeti(L, -1, 2) == LUA_TNUMBER) p->from = (int32_t)lua_tointeger(L, -1) - 1;
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 1);
    lua_rawseti(L, TAKE_FUNCTIONS, (lua_Integer)column + 1);
  }
  if (p->from >= (int32_t)old_count || (!p->call && p->bytes.p == NULL && p->from < 0)) luaL_error(L, "the plan of column %d", (int)column + 1);
}

static step *read_plan(lua_State *L, const writer_box *b, uint32_t old_count) {
  step *steps = lua_newuserdatauv(L, (b->shape.count + 1) * sizeof *steps, 0);
  memset(steps, 0, (b->shape.count + 1) * sizeof *steps);
  for (uint32_t i = 0; i < b->shape.count; i++) {
    lua_rawgeti(L, TAKE_PLAN, (lua_Integer)i + 1);
    read_step(L, &steps[i], i, old_count);
    lua_pop(L, 1);
  }
  return steps;
}

/* Calls the function of a column: its value is on top afterwards. A finaliser may run; `in` is of the reader's statement, which only the session moves. */
static void call_step(lua_State *L, const reader_box *in, const step *p, uint32_t column, const iu_slice *columns) {
  lua_rawgeti(L, TAKE_FUNCTIONS, (lua_Integer)column + 1);
  if (p->from >= 0) {
    const uint8_t *at = columns[p->from].p, *end = at + columns[p->from].len;
    iu__column_push(L, &in->shape.columns[p->from], &at, end);
  } else {
    push_row(L, &in->shape, TAKE_NAMES, in->row);
  }
  lua_call(L, 1, 1);
}

static void find_columns(const reader_box *in, iu_slice *columns) {
  const uint8_t *p = in->row.p, *end = in->row.p + in->row.len;
  for (uint32_t i = 0; i < in->shape.count; i++) {
    const uint8_t *next = iu__bsatn_skip(in->shape.columns[i].type, p, end);
    columns[i] = (iu_slice){p, (size_t)(next - p)};
    p = next;
  }
}

/* One row by the plan. On a failure of a value it is on top. */
static iu_status take_row(lua_State *L, writer_box *b, const reader_box *in, const step *steps, iu_slice *columns, int *column, iu_error *err) {
  iu_status status = IU_OK;
  *column = -1;
  find_columns(in, columns);
  iu__buf_reset(&b->row);
  for (uint32_t i = 0; i < b->shape.count; i++) {
    const step *p = &steps[i];
    if (!p->call) {
      iu_slice v = p->from >= 0 ? columns[p->from] : p->bytes;
      iu__buf_put(&b->row, v.p, v.len);
      continue;
    }
    b->calling = (int32_t)i;
    call_step(L, in, p, i, columns);
    b->calling = -1;
    if (check_writer(L) != b || iu__reshape_reader_table(in->r) == NULL) luaL_error(L, "the working copy was changed by the function of a row");
    status = lua_isnil(L, -1) && !b->shape.columns[i].option ? put_absent(&b->shape.columns[i], &b->row, err) : put_value(L, &b->shape.columns[i], &b->row, err);
    if (status != IU_OK) {
      *column = (int)i;
      return status;
    }
    lua_pop(L, 1);
  }
  status = iu__buf_status(&b->row, err, "row");
  return status == IU_OK ? iu__reshape_put(b->w, b->row.data, b->row.len, false, err) : status;
}

static int m_take(lua_State *L) {
  writer_box *b = check_writer(L);
  reader_box *in = luaL_checkudata(L, TAKE_READER, READER);
  lua_Integer most = luaL_checkinteger(L, 4), taken = 0;
  bool row = true;
  int column = -1;
  iu_error err;
  iu_status status = IU_OK;
  luaL_checktype(L, TAKE_PLAN, LUA_TTABLE);
  lua_settop(L, 4);
  luaL_checkstack(L, 20, "take");
  lua_getiuservalue(L, TAKE_READER, UV_NAMES);
  lua_newtable(L);
  const step *steps = read_plan(L, b, in->shape.count);
  iu_slice *columns = lua_newuserdatauv(L, (in->shape.count + 1) * sizeof *columns, 0);
  while (taken < most && status == IU_OK) {
    status = read_next(in, &row, &err);
    if (status != IU_OK || !row) break;
    status = take_row(L, b, in, steps, columns, &column, &err);
    taken += status == IU_OK;
  }
  if (status == IU_OK) {
    lua_pushinteger(L, taken);
    lua_pushboolean(L, !row);
    return 2;
  }
  int value = lua_gettop(L);
  if (column < 0) return fail(L, &err);
  fail_at(L, b, column, &err);
  lua_pushvalue(L, value);
  return 4;
}

static int m_column(lua_State *L) {
  const writer_box *b = check_writer(L);
  if (b->calling < 0) return 0;
  lua_pushstring(L, b->shape.columns[b->calling].name);
  return 1;
}

static int m_keep(lua_State *L) {
  writer_box *b = check_writer(L);
  const reader_box *in = luaL_checkudata(L, TAKE_READER, READER);
  iu_error err;
  iu_status status = IU_OK;
  if (!in->has_row || in->r == NULL || iu__reshape_reader_table(in->r) == NULL) return luaL_error(L, "the reader stands on no row");
  iu__buf_reset(&b->row);
  iu__buf_put(&b->row, in->row.p, in->row.len);
  status = iu__bsatn_check_all(b->shape.def->row, b->row.data, b->row.len, &err);
  if (status == IU_OK) status = iu__reshape_put(b->w, b->row.data, b->row.len, false, &err);
  return answer(L, status, &err);
}

void iu__reshape_open_functions(lua_State *L) {
  static const luaL_Reg session[] = {
      {"tables", m_tables}, {"rows", m_rows}, {"get", m_get}, {"begin", m_begin}, {"commit", m_commit}, {"rollback", m_rollback}, {"drop", m_drop},
      {"rename", m_rename}, {"redefine", m_redefine}, {"check_unique", m_check_unique}, {"position", m_position},
      {"modules", m_modules}, {"set_modules", m_set_modules}, {"reader", m_reader}, {"writer", m_writer}, {NULL, NULL}};
  static const luaL_Reg reader[] = {{"next", m_next}, {"current", m_current}, {NULL, NULL}};
  static const luaL_Reg writer[] = {{"put", m_put}, {"keep", m_keep}, {"column", m_column}, {"take", m_take}, {"delete", m_delete}, {"position", m_writer_position}, {"finish", m_finish}, {NULL, NULL}};
  static const iu_class session_class = {SESSION, session, NULL, session_close, NULL}, reader_class = {READER, reader, NULL, reader_close, NULL},
                        writer_class = {WRITER, writer, NULL, writer_close, NULL};
  iu__class_define(L, &session_class);
  iu__class_define(L, &reader_class);
  iu__class_define(L, &writer_class);
  lua_pushcfunction(L, f_reshape);
  lua_setfield(L, -2, "reshape");
}
