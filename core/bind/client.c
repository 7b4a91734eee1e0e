/* client.c: `core.connect`: a connection to a SpacetimeDB server, from a table of settings. It connects by itself, in the loop's turns; the listener's
 * `state` tells how that goes. Its methods are those of every connection (connection.c). And what stands around it: targets, the token's file.
 */
#include "bind.h"

#include <math.h>

#include "../base/alloc.h"
#include "../host/target.h"

static bool flag_at(lua_State *L, const char *key) {
  lua_getfield(L, 1, key);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* Seconds as milliseconds, at least one; 0 when absent. */
static uint64_t ms_at(lua_State *L, const char *key) {
  lua_Number seconds;
  lua_getfield(L, 1, key);
  seconds = luaL_optnumber(L, -1, 0);
  lua_pop(L, 1);
  if (!(seconds > 0)) return 0;
  return seconds >= 1e9 ? UINT64_C(1000000000000) : (uint64_t)ceil(seconds * 1000);
}

static int option_at(lua_State *L, const char *key, const char *const *list) {
  lua_getfield(L, 1, key);
  int chosen = luaL_checkoption(L, -1, list[0], list);
  lua_pop(L, 1);
  return chosen;
}

static uint32_t u32_at(lua_State *L, const char *key) {
  uint64_t v = iu__opt_u64(L, 1, key);
  return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static void read_protocol(lua_State *L, iu_client_config *config) {
  const char *name = iu__opt_text(L, 1, "protocol");
  if (name == NULL) return;
  config->has_protocol = true;
  if (!iu__protocol_from_name(name, &config->protocol)) luaL_error(L, "protocol: no such protocol: %s", name);
}

static void read_settings(lua_State *L, iu_client_config *config) {
  static const char *const compressions[] = {"none", "gzip", "brotli", NULL}, *const aways[] = {"refuse", "queue", NULL},
                    *const confirms[] = {"default", "yes", "no", NULL};
  static const int confirmed[] = {0, 1, -1};
  config->url = iu__opt_text(L, 1, "url");
  config->database = iu__opt_text(L, 1, "database");
  luaL_argcheck(L, config->url != NULL && config->database != NULL, 1, "url and database expected");
  config->token = iu__opt_text(L, 1, "token");
  config->token_file = iu__opt_text(L, 1, "token_file");
  config->schema = iu__opt_text(L, 1, "schema");
  if (config->schema != NULL) config->schema_len = strlen(config->schema);
  read_protocol(L, config);
  config->compression = (iu_client_compression)option_at(L, "compression", compressions);
  config->light = flag_at(L, "light");
  config->confirmed = confirmed[option_at(L, "confirmed", confirms)];
  config->connect_timeout_ms = ms_at(L, "connect_timeout");
  config->ping_interval_ms = ms_at(L, "ping_interval");
  config->idle_timeout_ms = ms_at(L, "idle_timeout");
  config->no_reconnect = flag_at(L, "no_reconnect");
  config->retry_first = flag_at(L, "retry_first");
  config->attempts_max = u32_at(L, "max_attempts");
  config->delay_min_ms = ms_at(L, "min_delay");
  config->delay_max_ms = ms_at(L, "max_delay");
  config->away = (iu_client_away)option_at(L, "away", aways);
  config->away_calls_max = u32_at(L, "away_calls_max");
  config->away_bytes_max = (size_t)iu__opt_u64(L, 1, "away_bytes_max");
  config->in_flight_max = u32_at(L, "in_flight_max");
  config->outgoing_bytes_max = (size_t)iu__opt_u64(L, 1, "outgoing_bytes_max");
  config->incoming_bytes_max = (size_t)iu__opt_u64(L, 1, "incoming_bytes_max");
  config->message_bytes_max = (size_t)iu__opt_u64(L, 1, "message_bytes_max");
  config->answer_bytes_max = (size_t)iu__opt_u64(L, 1, "answer_bytes_max");
  config->is_owner = flag_at(L, "is_owner");
  config->tls.ca_file = iu__opt_text(L, 1, "ca_file");
  config->tls.insecure = flag_at(L, "insecure");
}

static int f_connect(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_client_config config = {0};
  iu_lua_connection *lc;
  iu_connection *c = NULL;
  iu_error err;
  iu_status status;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  read_settings(L, &config);
  config.log = (iu_log){iu__lua_log, x, IU_LOG_TRACE};
  lc = iu__connection_userdata(L, x);
  status = iu__lua_loop(x, &config.loop, &err);
  IU_ENTER(x, L);
  if (status == IU_OK) status = iu__client_open(&config, &c, &err);
  IU_LEAVE(x);
  if (status != IU_OK) return iu__push_failure(L, x, &err);
  iu__connection_adopt(lc, c);
  return 1;
}

/* A path or a token: a text that C sees whole. */
static const char *check_text(lua_State *L, int index) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  luaL_argcheck(L, strlen(text) == len, index, "a zero byte");
  return text;
}

static int f_token_read(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_buf text = {0};
  char *token;
  iu_error err;
  if (iu__token_read(check_text(L, 1), &token, &err) != IU_OK) return iu__push_failure(L, x, &err);
  if (token == NULL) {
    lua_pushnil(L);
    return 1;
  }
  iu__buf_put_str(&text, token);
  iu__free(token);
  return iu__give_buffer(L, x, iu__buf_status(&text, &err, "token"), &err, &text);
}

static int f_token_write(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_error err;
  if (iu__token_write(check_text(L, 1), check_text(L, 2), &err) != IU_OK) return iu__push_failure(L, x, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int f_token_path(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_buf path = {0};
  iu_error err;
  lua_Integer port = luaL_checkinteger(L, 2);
  luaL_argcheck(L, port > 0 && port <= UINT16_MAX, 2, "expected a port");
  iu__token_file_path(check_text(L, 1), (uint16_t)port, check_text(L, 3), &path);
  if (path.len == 0 && !path.failed) {
    lua_pushnil(L);
    return 1;
  }
  if (!path.failed) path.len--; /* the terminator */
  return iu__give_buffer(L, x, iu__buf_status(&path, &err, "token_file"), &err, &path);
}

/* ---- targets ---- */

static int target_body(lua_State *L) {
  static const char *const kinds[] = {"memory", "file", "server"};
  const iu_target *t = lua_touserdata(L, 1);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, kinds[t->kind]);
  lua_setfield(L, -2, "kind");
  if (t->kind == IU_TARGET_FILE) {
    lua_pushlstring(L, (const char *)t->path.data, t->path.len);
    lua_setfield(L, -2, "path");
  }
  if (t->kind != IU_TARGET_SERVER) return 1;
  lua_pushlstring(L, (const char *)t->host.data, t->host.len);
  lua_setfield(L, -2, "address");
  lua_pushinteger(L, t->port);
  lua_setfield(L, -2, "port");
  lua_pushlstring(L, (const char *)t->database.data, t->database.len);
  lua_setfield(L, -2, "database");
  lua_pushboolean(L, t->tls);
  lua_setfield(L, -2, "tls");
  return 1;
}

static int f_target(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_target t;
  iu_error err;
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  iu_status status = iu__target_parse(text, len, &t, &err);
  int rc = LUA_OK;
  if (status == IU_OK) {
    lua_pushcfunction(L, target_body);
    lua_pushlightuserdata(L, &t);
    rc = lua_pcall(L, 1, 1, 0);
  }
  iu__target_free(&t);
  if (rc != LUA_OK) return lua_error(L);
  return status == IU_OK ? 1 : iu__push_failure(L, x, &err);
}

static int f_authority(lua_State *L) {
  size_t len, host;
  uint16_t port;
  const char *text = luaL_checklstring(L, 1, &len), *why;
  lua_Integer standard = luaL_checkinteger(L, 2);
  luaL_argcheck(L, standard > 0 && standard <= UINT16_MAX, 2, "expected a port");
  why = iu__authority_parse(text, len, (uint16_t)standard, &host, &port);
  if (why != NULL) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
  }
  lua_pushlstring(L, text, host);
  lua_pushinteger(L, port);
  return 2;
}

void iu__client_open_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"connect", f_connect}, {"token_read", f_token_read}, {"token_write", f_token_write}, {"token_path", f_token_path}, {"target", f_target},
      {"authority", f_authority}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
