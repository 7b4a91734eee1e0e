/* loose.c: rows that Lua holds, seen as the core sees rows: their bytes, and a selection of them. For those who lay changes of their own over what was
 * read (transactions). Nothing is stored.
 */
#include "bind.h"

#include "../sats/sats_json.h"

int iu__row_bytes_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_buf bytes = {0};
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  luaL_checkany(L, 3);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  const iu_table_def *def = &lc->c->schema->tables[table];
  iu_status status = iu__encode_value(L, 3, def->row, def->name, &bytes, &err);
  if (status == IU_OK) status = iu__buf_status(&bytes, &err, "row");
  return iu__give_buffer(L, lc->x, status, &err, &bytes);
}

/* The table at 2 and the bytes at 3, which something else kept: a row of it, or `nil, err` is pushed and NULL answered. */
static const iu_table_def *kept_row(lua_State *L, iu_lua_connection *lc, const uint8_t **bytes, size_t *len) {
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  *bytes = (const uint8_t *)luaL_checklstring(L, 3, len);
  const iu_table_def *def = ok ? &lc->c->schema->tables[table] : NULL;
  if (def != NULL && iu__bsatn_check_all(def->row, *bytes, *len, &err) == IU_OK) return def;
  iu__push_failure(L, lc->x, &err);
  return NULL;
}

/* The other way round. Nothing of C's is held while Lua's memory is asked for. */
int iu__row_of_bytes_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  const uint8_t *bytes;
  size_t len;
  const iu_table_def *def = kept_row(L, lc, &bytes, &len);
  if (def == NULL) return 2;
  iu__push_value(L, def->row, &bytes, bytes + len);
  return 1;
}

/* row_json(table, bytes): a row's bytes as SATS-JSON (core/sats/sats_json.h, typed). */
int iu__row_json_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_buf text = {0};
  iu_error err;
  const uint8_t *bytes;
  size_t len;
  const iu_table_def *def = kept_row(L, lc, &bytes, &len);
  if (def == NULL) return 2;
  iu_reader r = iu__reader(bytes, len);
  iu_status status = iu__sats_to_json(def->row, &r, IU_SJ_TYPED, &text, &err);
  if (status == IU_OK) status = iu__buf_status(&text, &err, "row");
  return iu__give_buffer(L, lc->x, status, &err, &text);
}

/* row_of_json(table, text): the bytes of the row that a text of SATS-JSON is. */
int iu__row_of_json_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_buf bytes = {0};
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  size_t len;
  const char *text = luaL_checklstring(L, 3, &len);
  if (!ok) return iu__push_failure(L, lc->x, &err);
  iu_status status = iu__sats_from_json(lc->c->schema->tables[table].row, text, len, &bytes, &err);
  if (status == IU_OK) status = iu__buf_status(&bytes, &err, "row");
  return iu__give_buffer(L, lc->x, status, &err, &bytes);
}

/* The row on top of the stack, copied. */
static iu_status read_row(lua_State *L, iu_copied_rows *set, iu_row **out, iu_error *err) {
  const iu_table_def *def = set->rows.table;
  iu_buf bytes = {0};
  iu_status status = iu__encode_value(L, -1, def->row, def->name, &bytes, err);
  if (status == IU_OK) status = iu__buf_status(&bytes, err, "row");
  if (status == IU_OK && (*out = iu__copied_rows_copy(set, (iu_slice){bytes.data, bytes.len})) == NULL) status = iu__fail_nomem(err);
  iu__buf_free(&bytes);
  return status;
}

/* Nothing in here raises: reading an array's elements needs no memory of Lua's. */
static iu_status offer_rows(lua_State *L, int list, iu_selection *selection, iu_copied_rows *set, iu_error *err) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  iu_status status = IU_OK;
  for (lua_Integer i = 1; status == IU_OK && i <= n; i++) {
    iu_row *row;
    bool done;
    lua_rawgeti(L, list, i);
    status = read_row(L, set, &row, err);
    if (status == IU_OK) status = iu__selection_offer(selection, row, &done, err);
    lua_pop(L, 1);
  }
  return status == IU_OK ? iu__selection_finish(selection, err) : status;
}

int iu__select_from_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  iu_selection_spec spec = {0};
  iu_selection *selection = NULL;
  iu_error err;
  bool ok;
  uint32_t table = iu__check_table(L, lc->c, 2, &err, &ok);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  lua_insert(L, 3); /* the spec comes third, as with select */
  if (!ok || !iu__read_selection(L, &spec, &err)) return iu__push_failure(L, lc->x, &err);
  if (lc->c == NULL) return luaL_error(L, "the connection is closed"); /* by a metamethod of the spec */
  if (!lua_checkstack(L, IU_LUA_DEPTH_MAX)) return luaL_error(L, "the stack is full");
  const iu_table_def *def = &lc->c->schema->tables[table];
  iu_copied_rows *set;
  iu_status status = iu__copied_rows_new(def, &set, &err);
  if (status == IU_OK) status = iu__selection_new(def, &spec, &selection, &err);
  if (status == IU_OK) status = offer_rows(L, 4, selection, set, &err);
  if (status == IU_OK) status = iu__rows_add_page(&set->rows, &set->cap, selection, &err);
  if (status == IU_OK) set->rows.matched = iu__selection_matched(selection);
  iu__selection_free(selection);
  if (status != IU_OK) {
    if (set != NULL) iu__copied_rows_free(&set->rows);
    return iu__push_failure(L, lc->x, &err);
  }
  return iu__give(L, lc->x, IU_OK, NULL, 0, &set->rows, iu__rows_body);
}
