/* describe.c: what a connection is made of (schema) and how it is doing (status), as plain tables. */
#include "../base/alloc.h"
#include "../journal/catalog.h"
#include "bind.h"

static int type_body(lua_State *L) {
  const iu_buf *b = lua_touserdata(L, 1);
  lua_pushlstring(L, (const char *)b->data, b->len);
  return 1;
}

void iu__push_buffer(lua_State *L, iu_buf *b) {
  int rc;
  lua_pushcfunction(L, type_body);
  lua_pushlightuserdata(L, b);
  rc = lua_pcall(L, 1, 1, 0);
  iu__buf_free(b);
  if (rc != LUA_OK) lua_error(L);
}

int iu__give_buffer(lua_State *L, iu_lua *x, iu_status status, const iu_error *err, iu_buf *b) {
  if (status != IU_OK) {
    iu__buf_free(b);
    return iu__push_failure(L, x, err);
  }
  iu__push_buffer(L, b);
  return 1;
}

void iu__push_fields(lua_State *L, const iu_schema *s, const iu_type *product) {
  lua_createtable(L, (int)product->count, 0);
  for (uint32_t i = 0; i < product->count; i++) {
    iu_buf type = {0};
    lua_createtable(L, 2, 0);
    lua_pushstring(L, product->u.fields[i].name);
    lua_rawseti(L, -2, 1);
    if (s != NULL) iu__type_describe_named(product->u.fields[i].type, s->type_names, &type);
    else iu__type_describe(product->u.fields[i].type, &type);
    iu__push_buffer(L, &type);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_index(lua_State *L, const iu_table_def *def, const iu_index_def *index) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, index->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, index->accessor);
  lua_setfield(L, -2, "accessor");
  lua_pushboolean(L, index->unique);
  lua_setfield(L, -2, "unique");
  lua_createtable(L, (int)index->column_count, 0);
  for (uint32_t i = 0; i < index->column_count; i++) {
    lua_pushstring(L, def->row->u.fields[index->columns[i]].name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "columns");
}

static void push_table(lua_State *L, const iu_schema *s, const iu_table_def *def) {
  lua_createtable(L, 0, 4);
  iu__push_fields(L, s, def->row);
  lua_setfield(L, -2, "columns");
  if (def->primary_key >= 0) {
    lua_pushstring(L, def->row->u.fields[def->primary_key].name);
    lua_setfield(L, -2, "primary_key");
  }
  lua_pushboolean(L, def->is_public);
  lua_setfield(L, -2, "public");
  if (def->is_view) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "view");
  }
  if (def->is_event) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "event");
  }
  lua_createtable(L, (int)def->index_count, 0);
  for (uint32_t i = 0; i < def->index_count; i++) {
    push_index(L, def, &def->indexes[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "indexes");
}

static void push_reducer(lua_State *L, const iu_schema *s, const iu_reducer_def *def) {
  static const char *const lifecycles[] = {NULL, "init", "client_connected", "client_disconnected"};
  iu_buf signature = {0};
  lua_createtable(L, 0, 3);
  iu__push_fields(L, s, def->params);
  lua_setfield(L, -2, "params");
  iu__reducer_signature(s, def, &signature);
  iu__push_buffer(L, &signature);
  lua_setfield(L, -2, "signature");
  lua_pushstring(L, lifecycles[def->lifecycle]);
  lua_setfield(L, -2, "lifecycle");
}

static void push_procedure(lua_State *L, const iu_schema *s, const iu_procedure_def *def) {
  iu_buf signature = {0}, returns = {0};
  lua_createtable(L, 0, 3);
  iu__push_fields(L, s, def->params);
  lua_setfield(L, -2, "params");
  iu__type_describe_named(def->returns, s->type_names, &returns);
  iu__push_buffer(L, &returns);
  lua_setfield(L, -2, "returns");
  iu__procedure_signature(s, def, &signature);
  iu__push_buffer(L, &signature);
  lua_setfield(L, -2, "signature");
}

void iu__push_schema(lua_State *L, const iu_schema *s) {
  lua_createtable(L, 0, 3);
  lua_createtable(L, 0, (int)s->table_count);
  for (uint32_t i = 0; i < s->table_count; i++) {
    push_table(L, s, &s->tables[i]);
    lua_setfield(L, -2, s->tables[i].name);
  }
  lua_setfield(L, -2, "tables");
  lua_createtable(L, 0, (int)s->reducer_count);
  for (uint32_t i = 0; i < s->reducer_count; i++) {
    push_reducer(L, s, &s->reducers[i]);
    lua_setfield(L, -2, s->reducers[i].name);
  }
  lua_setfield(L, -2, "reducers");
  lua_createtable(L, 0, (int)s->procedure_count);
  for (uint32_t i = 0; i < s->procedure_count; i++) {
    push_procedure(L, s, &s->procedures[i]);
    lua_setfield(L, -2, s->procedures[i].name);
  }
  lua_setfield(L, -2, "procedures");
}

int iu__describe_schema(lua_State *L) {
  iu__push_schema(L, iu__check_connection(L, 1)->c->schema);
  return 1;
}

/* conn:knows("tables" | "reducers" | "procedures", name): whether the schema has it, without a table of all of it. */
int iu__knows_method(lua_State *L) {
  static const char *const kinds[] = {"tables", "reducers", "procedures", NULL};
  static int (*const find[])(const iu_schema *, const char *, size_t) = {iu__schema_table, iu__schema_reducer, iu__schema_procedure};
  const iu_schema *s = iu__check_connection(L, 1)->c->schema;
  int kind = luaL_checkoption(L, 2, NULL, kinds);
  size_t len;
  const char *name = luaL_checklstring(L, 3, &len);
  lua_pushboolean(L, find[kind](s, name, len) >= 0);
  return 1;
}

static int text_body(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

/* conn:definition(table): the table as files keep it (core/journal/catalog_text.c): its types spelled out, whatever they are called; or nil, err. */
int iu__definition_method(lua_State *L) {
  iu_lua_connection *lc = iu__check_connection(L, 1);
  const iu_schema *s = lc->c->schema;
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  int table = iu__schema_table(s, name, len);
  char *text = NULL;
  iu_error err;
  if (table < 0) iu__fail(&err, IU_E_VALIDATION, "no table `%s`", name);
  if (table < 0 || iu__jcatalog_define(&s->tables[table], &text, &err) != IU_OK) return iu__push_failure(L, lc->x, &err);
  lua_pushcfunction(L, text_body);
  lua_pushlightuserdata(L, text);
  int rc = lua_pcall(L, 1, 1, 0);
  iu__free(text);
  return rc == LUA_OK ? 1 : lua_error(L);
}

static void set_u64(lua_State *L, const char *name, uint64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool v) {
  lua_pushboolean(L, v);
  lua_setfield(L, -2, name);
}

static void set_identity(lua_State *L, const char *name, const uint8_t little[32]) {
  iu__push_hex(L, little, 32);
  lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *v) {
  lua_pushstring(L, v);
  lua_setfield(L, -2, name);
}

static void set_store(lua_State *L, const iu_store_stats *s) {
  set_u64(L, "rows", s->rows);
  set_u64(L, "row_bytes", s->row_bytes);
  set_u64(L, "overhead_bytes", s->overhead_bytes);
  set_u64(L, "dead_rows", s->dead_rows);
}

static void push_client_status(lua_State *L, iu_connection *c) {
  iu_client_status s;
  iu__client_get_status(c, &s);
  lua_createtable(L, 0, 24);
  set_string(L, "url", s.url);
  set_string(L, "database", s.database);
  set_string(L, "protocol", s.protocol);
  set_string(L, "token", s.token);
  set_string(L, "phase", iu__phase_name(s.phase));
  set_string(L, "durability", s.confirmed ? "confirmed" : "unconfirmed");
  set_u64(L, "attempt", s.attempt);
  set_u64(L, "connects", s.connects);
  set_u64(L, "resyncs", s.resyncs);
  set_u64(L, "calls", s.calls);
  set_u64(L, "unknown", s.unknown);
  set_u64(L, "messages", s.messages);
  set_u64(L, "rows_early", s.rows_early);
  set_u64(L, "bytes_received", s.bytes_received);
  set_u64(L, "bytes_sent", s.bytes_sent);
  set_u64(L, "in_flight", s.in_flight);
  set_u64(L, "waiting", s.waiting);
  set_u64(L, "waiting_bytes", s.waiting_bytes);
  set_u64(L, "incoming_bytes", s.incoming_bytes);
  set_store(L, &s.store);
}

static void push_engine_status(lua_State *L, iu_connection *c) {
  static const char *const levels[] = {"full", "normal", "off"};
  iu_engine_status s;
  iu__engine_get_status(c, &s);
  lua_createtable(L, 0, 24);
  set_string(L, "path", s.path);
  set_string(L, "durability", levels[s.durability]);
  set_identity(L, "owner", s.owner);
  set_identity(L, "database_identity", s.database_identity);
  set_u64(L, "sessions", s.sessions);
  set_u64(L, "epoch", s.epoch);
  set_u64(L, "transactions", s.transactions);
  set_u64(L, "rejected", s.rejected);
  set_store(L, &s.store);
  set_flag(L, "recovered", s.recovered);
  set_u64(L, "loaded_rows", s.recovery.table_rows);
  set_u64(L, "replayed_frames", s.recovery.frames_replayed);
  lua_createtable(L, 0, 8);
  set_flag(L, "closed_properly", s.recovery.clean);
  set_u64(L, "rows", s.recovery.table_rows);
  set_u64(L, "replayed_commits", s.recovery.frames_replayed);
  set_u64(L, "replayed_rows", s.recovery.rows_replayed);
  set_u64(L, "last_sequence", s.recovery.last_sequence);
  if (s.recovery.lost_first != 0) {
    lua_createtable(L, 0, 4);
    set_u64(L, "first", s.recovery.lost_first);
    set_u64(L, "last", s.recovery.lost_last);
    set_string(L, "why", s.recovery.lost_why);
    set_string(L, "file", s.recovery.lost_file);
    lua_setfield(L, -2, "lost");
  }
  lua_setfield(L, -2, "recovery");
  lua_createtable(L, 0, 9);
  set_u64(L, "last_sequence", s.journal.last_sequence);
  set_u64(L, "durable_sequence", s.journal.durable_sequence);
  set_u64(L, "folded_sequence", s.journal.folded_sequence);
  set_u64(L, "pending_bytes", s.journal.pending_bytes);
  set_u64(L, "journal_bytes", s.journal.journal_bytes);
  set_u64(L, "groups_written", s.journal.groups_written);
  set_u64(L, "frames_folded", s.journal.frames_folded);
  set_u64(L, "format", s.journal.format);
  set_flag(L, "failed", s.journal.failed);
  lua_setfield(L, -2, "journal");
}

/* What a later connection to the same server may be given as its setting `schema`; nil: nothing is known, or there is no server. */
int iu__schema_json_method(lua_State *L) {
  iu_connection *c = iu__check_connection(L, 1)->c;
  size_t len = 0;
  const char *json = iu__is_client(c) ? iu__client_schema_json(c, &len) : NULL;
  if (json != NULL) lua_pushlstring(L, json, len);
  else lua_pushnil(L);
  return 1;
}

int iu__describe_status(lua_State *L) {
  iu_connection *c = iu__check_connection(L, 1)->c;
  if (iu__is_client(c)) push_client_status(L, c);
  else push_engine_status(L, c);
  return 1;
}
