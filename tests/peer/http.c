/* http.c: HTTP/1.1 as far as clients of the sheet's section 7 need it (server.h). Requests of a link are answered in order; connections are kept.
 * A token is `peer.<identity>.<random>`: it says itself who it is, so it outlives a restart.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/base/clock.h"
#include "../../core/base/hash.h"
#include "../../core/sats/sats_json.h"
#include "server.h"

#define HEAD_MAX ((size_t)64 << 10)
#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"

/* ---- parts of a request ---- */

static bool is(iu_slice s, const char *text) { return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0; }

bool peer__http_header(const peer_http *h, const char *name, iu_slice *out) {
  const char *p = (const char *)h->head.p, *end = p + h->head.len;
  size_t len = strlen(name);
  while (p < end) {
    const char *line_end = memmem(p, (size_t)(end - p), "\r\n", 2);
    if (line_end == NULL) line_end = end;
    if ((size_t)(line_end - p) > len && p[len] == ':' && strncasecmp(p, name, len) == 0) {
      const char *from = p + len + 1, *to = line_end;
      while (from < to && *from == ' ') from++;
      while (to > from && to[-1] == ' ') to--;
      *out = (iu_slice){(const uint8_t *)from, (size_t)(to - from)};
      return true;
    }
    p = line_end + 2;
  }
  return false;
}

static bool decode_percent(iu_slice in, char *out, size_t cap) {
  size_t n = 0;
  for (size_t i = 0; i < in.len; i++) {
    uint8_t byte = in.p[i];
    if (byte == '%' && i + 2 < in.len + 0u && iu__unhex(&byte, (const char *)in.p + i + 1, 2)) i += 2;
    else if (byte == '+') byte = ' ';
    if (n + 1 >= cap) return false;
    out[n++] = (char)byte;
  }
  out[n] = '\0';
  return true;
}

bool peer__http_param(const peer_http *h, const char *name, char *out, size_t cap) {
  size_t len = strlen(name), at = 0;
  while (at < h->query.len) {
    const uint8_t *p = h->query.p + at, *end = memchr(p, '&', h->query.len - at);
    size_t n = end != NULL ? (size_t)(end - p) : h->query.len - at;
    if (n > len && p[len] == '=' && memcmp(p, name, len) == 0) return decode_percent((iu_slice){p + len + 1, n - len - 1}, out, cap);
    at += n + 1;
  }
  return false;
}

/* ---- answers ---- */

void peer__http_answer(peer_link *l, int status, const char *type, const char *more_headers, const void *body, size_t len) {
  static const struct { int status; const char *word; } words[] = {
    {200, "OK"}, {204, "No Content"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
    {413, "Payload Too Large"}, {415, "Unsupported Media Type"}, {426, "Upgrade Required"}, {500, "Internal Server Error"}, {530, "Unknown"}};
  const char *word = "Unknown";
  iu_buf out = {0};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i].status == status) word = words[i].word;
  }
  iu__buf_printf(&out, "HTTP/1.1 %d %s\r\ncontent-length: %zu\r\naccess-control-allow-origin: *\r\n%s", status, word, len, more_headers);
  if (type != NULL) iu__buf_printf(&out, "content-type: %s\r\n", type);
  iu__buf_put_str(&out, "\r\n");
  iu__buf_put(&out, body, len);
  if (out.failed) abort();
  peer__link_put(l, out.data, out.len, 0);
  iu__buf_free(&out);
}

static void answer_text(peer_link *l, int status, const char *text) { peer__http_answer(l, status, TEXT, "", text, strlen(text)); }

void peer__hex_reversed(char *out, const uint8_t *bytes, size_t len) {
  uint8_t turned[32];
  for (size_t i = 0; i < len; i++) turned[i] = bytes[len - 1 - i];
  iu__hex(out, turned, len);
}

/* ---- who asks ---- */

static void random_bytes(void *out, size_t len) {
  if (iu__random(out, len, NULL) != IU_OK) abort();
}

static void write_token(const uint8_t identity[32], char token[160]) {
  uint8_t salt[8];
  char who[65], tail[17];
  random_bytes(salt, sizeof salt);
  peer__hex_reversed(who, identity, 32);
  iu__hex(tail, salt, sizeof salt);
  snprintf(token, 160, "peer.%s.%s", who, tail);
}

static void new_identity(uint8_t identity[32], char token[160]) {
  random_bytes(identity, 32);
  identity[31] = 0xc2; /* as every identity begins in text */
  identity[30] = 0;
  write_token(identity, token);
}

static bool read_token(const char *token, uint8_t identity[32]) {
  uint8_t big[32];
  if (strncmp(token, "peer.", 5) != 0 || strlen(token) < 5 + 64 + 2 || token[69] != '.' || !iu__unhex(big, token + 5, 64)) return false;
  for (int i = 0; i < 32; i++) identity[i] = big[31 - i];
  return true;
}

bool peer__http_identity(peer_link *l, const peer_http *h, uint8_t identity[32], char token[160], bool *given) {
  iu_slice value;
  char text[160];
  bool old = l->server->as == PEER_1_2_0;
  *given = true;
  if (peer__http_header(h, "authorization", &value)) {
    if (value.len < 7 || memcmp(value.p, "Bearer ", 7) != 0) {
      answer_text(l, 400, "Authorization is invalid: malformed token");
      return false;
    }
    value = (iu_slice){value.p + 7, value.len - 7};
    snprintf(text, sizeof text, "%.*s", value.len < sizeof text ? (int)value.len : 0, (const char *)value.p);
  } else if (!peer__http_param(h, "token", text, sizeof text)) {
    *given = false;
    new_identity(identity, token);
    return true;
  }
  if (!l->server->fault.refuse_token && read_token(text, identity)) {
    snprintf(token, 160, "%s", text);
    return true;
  }
  answer_text(l, 401, old ? "TokenError(Error(InvalidToken))" : "Invalid token: InvalidToken");
  return false;
}

static void identity_headers(char out[320], const uint8_t identity[32], const char *token) {
  char who[65];
  peer__hex_reversed(who, identity, 32);
  snprintf(out, 320, "spacetime-identity: %s\r\nspacetime-identity-token: %s\r\n", who, token);
}

/* ---- routes without a database ---- */

static void get_ping(peer_link *l, const peer_http *h) {
  uint8_t identity[32];
  char token[160];
  bool given;
  if (peer__http_identity(l, h, identity, token, &given)) peer__http_answer(l, 200, NULL, "", "", 0);
}

static void get_health(peer_link *l) {
  char body[120];
  snprintf(body, sizeof body, "{\"package_name\":\"spacetimedb-client-api\",\"version\":\"%s\",\"nodes\":[0],\"schedulable\":true}",
           l->server->as == PEER_1_2_0 ? "1.2.0" : "2.8.3");
  peer__http_answer(l, 200, JSON, "", body, strlen(body));
}

static void post_identity(peer_link *l) {
  uint8_t identity[32];
  char token[160], who[65], body[320];
  new_identity(identity, token);
  peer__hex_reversed(who, identity, 32);
  snprintf(body, sizeof body, "{\"identity\":\"%s\",\"token\":\"%s\"}", who, token);
  peer__http_answer(l, 200, JSON, "", body, strlen(body));
}

/* The same identity again, a token of its own; that it is short-lived elsewhere makes no difference here. */
static void post_websocket_token(peer_link *l, const peer_http *h) {
  uint8_t identity[32];
  char token[160], body[200];
  bool given;
  if (!peer__http_identity(l, h, identity, token, &given)) return;
  if (!given) {
    answer_text(l, 401, "Authorization required");
    return;
  }
  write_token(identity, token);
  snprintf(body, sizeof body, "{\"token\":\"%s\"}", token);
  peer__http_answer(l, 200, JSON, "", body, strlen(body));
}

static void get_status(peer_link *l) {
  peer_server *s = l->server;
  uint32_t sockets = 0;
  iu_buf body = {0};
  for (const peer_link *other = s->links; other != NULL; other = other->next) sockets += other->session != NULL ? 1 : 0;
  iu__buf_printf(&body, "{\"calls\":%llu,\"upgrades\":%llu,\"sessions\":%u,\"bytes_out\":%llu,\"bytes_in\":%llu}", (unsigned long long)s->calls,
                 (unsigned long long)s->upgrades, sockets, (unsigned long long)s->bytes_out, (unsigned long long)s->bytes_in);
  peer__http_answer(l, 200, JSON, "", body.data, body.len);
  iu__buf_free(&body);
}

static void post_fault(peer_link *l, const peer_http *h) {
  iu_error err;
  l->admin = true;
  if (peer__fault_apply(l->server, h->body.p, h->body.len, &err) != IU_OK) answer_text(l, 400, err.message);
  else answer_text(l, 200, "");
}

/* ---- routes of a database ---- */

/* Text put into `json` before (or behind) the first `at`. */
static void put_in(iu_buf *json, const char *at, bool behind, const char *text) {
  uint8_t *found = memmem(json->data, json->len, at, strlen(at));
  iu_buf out = {0};
  if (found == NULL) abort();
  size_t where = (size_t)(found - json->data) + (behind ? strlen(at) : 0);
  iu__buf_put(&out, json->data, where);
  iu__buf_put_str(&out, text);
  iu__buf_put(&out, json->data + where, json->len - where);
  if (out.failed) abort();
  iu__buf_free(json);
  *json = out;
}

/* What a republished module might have more: table peer_extra (id U64 primary key) and reducer peer_extra_call(id). They come first in their lists.
 * is_event: a key that only definition.c knows. */
static void add_extra(iu_buf *json, uint32_t types, bool is_event) {
  char table[900], named[120];
  snprintf(table, sizeof table,
           "{\"name\":\"peer_extra\",\"product_type_ref\":%u,\"primary_key\":[0],\"indexes\":[{\"name\":{\"some\":\"peer_extra_id_idx_btree\"},"
           "\"accessor_name\":{\"some\":\"id\"},\"algorithm\":{\"BTree\":[0]}}],\"constraints\":[{\"name\":{\"some\":\"peer_extra_id_key\"},"
           "\"data\":{\"Unique\":{\"columns\":[0]}}}],\"sequences\":[],\"schedule\":{\"none\":[]},\"table_type\":{\"User\":[]},"
           "\"table_access\":{\"Public\":[]}%s},", types, is_event ? ",\"is_event\":true" : "");
  put_in(json, "]},\"tables\":[", false, ",{\"Product\":{\"elements\":[{\"name\":{\"some\":\"id\"},\"algebraic_type\":{\"U64\":[]}}]}}");
  put_in(json, "]},\"tables\":[", true, table);
  put_in(json, "],\"reducers\":[", true, "{\"name\":\"peer_extra_call\",\"params\":{\"elements\":[{\"name\":{\"some\":\"id\"},\"algebraic_type\":{\"U64\":[]}}]},"
                                         "\"lifecycle\":{\"none\":[]}},");
  snprintf(named, sizeof named, "{\"name\":{\"scope\":[],\"name\":\"PeerExtra\"},\"ty\":%u,\"custom_ordering\":true},", types);
  put_in(json, "],\"types\":[", true, named);
}

/* The view, of rows of the table below it; and one with a parameter, which nobody can ask for. */
static void add_views(iu_buf *json) {
  static const char below[] = "{\"name\":\"entity\",\"product_type_ref\":";
  char text[600];
  iu__buf_put_u8(json, '\0');
  const char *found = strstr((const char *)json->data, below);
  json->len--;
  if (found == NULL) abort();
  unsigned row = (unsigned)strtoul(found + sizeof below - 1, NULL, 10);
  snprintf(text, sizeof text,
           "{\"View\":{\"name\":\"" PEER_VIEW "\",\"index\":0,\"is_public\":true,\"is_anonymous\":true,\"params\":{\"elements\":[]},"
           "\"return_type\":{\"Array\":{\"Ref\":%u}}}},{\"View\":{\"name\":\"peer_person\",\"index\":1,\"is_public\":true,\"is_anonymous\":true,"
           "\"params\":{\"elements\":[{\"name\":{\"some\":\"id\"},\"algebraic_type\":{\"String\":[]}}]},\"return_type\":{\"Array\":{\"Ref\":%u}}}}", row, row);
  put_in(json, "\"misc_exports\":[", true, text);
}

static void get_schema(peer_link *l, const peer_http *h, peer_database *db) {
  char version[8];
  iu_buf json = {0};
  iu_error err;
  bool given = peer__http_param(h, "version", version, sizeof version), newer = given && strcmp(version, "10") == 0 && l->server->as == PEER_2_8_3;
  if (!given || (strcmp(version, "9") != 0 && !newer)) {
    answer_text(l, 400, given ? "Failed to deserialize query string: unknown variant" : "Failed to deserialize query string: missing field `version`");
    return;
  }
  if (iu__schema_to_http(db->engine->schema, &json, &err) != IU_OK) {
    answer_text(l, 500, err.message);
    return;
  }
  if (l->server->fault.views) add_views(&json);
  if (l->server->fault.extra_schema) add_extra(&json, db->engine->schema->types.count, newer && l->server->fault.event_table);
  if (newer) {
    iu_buf v9 = json;
    json = (iu_buf){0};
    peer__definition_v10(&v9, &json);
    iu__buf_free(&v9);
  }
  peer__http_answer(l, 200, JSON, "", json.data, json.len);
  iu__buf_free(&json);
  if (l->server->fault.schema_delay_ms != 0) peer__link_stall(l, l->server->fault.schema_delay_ms);
}

static bool good_name(iu_slice name) {
  if (name.len == 0 || name.len > 63 || name.p[0] == '-' || name.p[name.len - 1] == '-') return false;
  for (size_t i = 0; i < name.len; i++) {
    if (!islower(name.p[i]) && !isdigit(name.p[i]) && name.p[i] != '-') return false;
  }
  return true;
}

/* Whatever the body: the database runs NERV's module. An existing one goes on, or starts afresh with clear=true. */
static void put_database(peer_link *l, const peer_http *h, iu_slice name) {
  uint8_t identity[32];
  char token[160], who[65], clear[8], key[64], headers[320], body[320];
  bool given;
  const char *op = "updated";
  iu_error err;
  if (!peer__http_identity(l, h, identity, token, &given)) return;
  peer_database *db = peer__database_find(l->server, (const char *)name.p, name.len);
  if (db == NULL && !good_name(name)) {
    answer_text(l, 400, "Invalid URL: invalid characters in database name");
    return;
  }
  snprintf(key, sizeof key, "%.*s", (int)name.len, (const char *)name.p);
  if (db != NULL && memcmp(identity, db->engine->identity, 32) != 0) {
    answer_text(l, l->server->as == PEER_1_2_0 ? 500 : 403, "Permission denied: not the owner");
    return;
  }
  if (db != NULL && peer__http_param(h, "clear", clear, sizeof clear) && strcmp(clear, "true") == 0) {
    snprintf(key, sizeof key, "%s", db->name);
    peer__database_close(db);
    db = NULL;
  } else if (db == NULL) {
    op = "created";
  }
  if (db == NULL && peer__database_open(l->server, key, identity, &db, &err) != IU_OK) {
    answer_text(l, 500, err.message);
    return;
  }
  peer__hex_reversed(who, db->identity, 32);
  identity_headers(headers, identity, token);
  snprintf(body, sizeof body, "{\"Success\":{\"domain\":\"%s\",\"database_identity\":\"%s\",\"op\":\"%s\"}}", db->name, who, op);
  peer__http_answer(l, 200, JSON, headers, body, strlen(body));
}

static void get_database(peer_link *l, const peer_database *db) {
  char id[65], owner[65], body[400];
  peer__hex_reversed(id, db->identity, 32);
  peer__hex_reversed(owner, db->engine->identity, 32);
  snprintf(body, sizeof body, "{\"database_identity\":{\"__identity__\":\"0x%s\"},\"owner_identity\":{\"__identity__\":\"0x%s\"},\"host_type\":{\"Wasm\":[]},"
           "\"initial_program\":\"0x01\"}", id, owner);
  peer__http_answer(l, 200, JSON, "", body, strlen(body));
}

static void delete_database(peer_link *l, const peer_http *h, peer_database *db) {
  uint8_t identity[32];
  char token[160];
  bool given;
  if (!peer__http_identity(l, h, identity, token, &given)) return;
  if (memcmp(identity, db->engine->identity, 32) != 0) {
    answer_text(l, l->server->as == PEER_1_2_0 ? 500 : 403, "Permission denied: not the owner");
    return;
  }
  peer__database_close(db);
  peer__http_answer(l, 200, NULL, "", "", 0);
}

static void finish_call(peer_link *l, const peer_result *result) {
  int status = result->ran == PEER_RAN_COMMITTED ? 200 : result->ran == PEER_RAN_UNKNOWN ? 404 : result->ran == PEER_RAN_BAD_ARGS ? 400 : 530;
  if (status == 200) peer__http_answer(l, 200, NULL, "", "", 0);
  else peer__http_answer(l, status, TEXT, "", result->text.data, result->text.len);
}

static void call_as(peer_link *l, const peer_http *h, peer_database *db, iu_connection *session, iu_slice name) {
  const iu_schema *schema = db->engine->schema;
  int id = iu__schema_reducer(schema, (const char *)name.p, name.len);
  peer_result result;
  iu_buf args = {0};
  iu_error err;
  if (id >= 0 && iu__sats_from_json(schema->reducers[id].params, h->body.p, h->body.len, &args, &err) != IU_OK) {
    iu_buf why = {0};
    iu__buf_printf(&why, "invalid arguments for reducer %s: %s", schema->reducers[id].name, err.message);
    peer__http_answer(l, 400, TEXT, "", why.data, why.len);
    iu__buf_free(&why);
  } else {
    peer__database_call(db, session, name, (iu_slice){args.data, args.len}, &result);
    peer__broadcast(db, NULL, 0);
    finish_call(l, &result);
    iu__buf_free(&result.text);
  }
  iu__buf_free(&args);
}

static void post_call(peer_link *l, const peer_http *h, peer_database *db, iu_slice name) {
  uint8_t identity[32];
  char token[160];
  bool given;
  iu_slice type;
  iu_connection *session;
  iu_error err;
  if (!peer__http_identity(l, h, identity, token, &given)) return;
  if (!peer__http_header(h, "content-type", &type) || !is(type, JSON)) {
    answer_text(l, 415, "Expected request with `Content-Type: application/json`");
  } else if (peer__database_join(db, identity, &session, &err) != IU_OK) {
    answer_text(l, 403, err.message);
  } else {
    call_as(l, h, db, session, name);
    peer__database_leave(db, session);
  }
}

/* A type as JSON, what it refers to in its place: the types of columns are written so. */
static void put_type(iu_buf *b, const iu_type *t);

static void put_parts(iu_buf *b, const char *list, const iu_type *t) {
  iu__buf_printf(b, "{\"%s\":[", list);
  for (uint32_t i = 0; i < t->count; i++) {
    iu__buf_printf(b, "%s{\"name\":{\"some\":\"%s\"},\"algebraic_type\":", i > 0 ? "," : "", t->u.fields[i].name);
    put_type(b, t->u.fields[i].type);
    iu__buf_put_str(b, "}");
  }
  iu__buf_put_str(b, "]}");
}

static void put_type(iu_buf *b, const iu_type *t) {
  t = iu__type_deref(t);
  if (t->tag >= IU_T_STRING) {
    iu__buf_printf(b, "{\"%s\":[]}", iu__type_label(t));
    return;
  }
  iu__buf_printf(b, "{\"%s\":", t->tag == IU_T_ARRAY ? "Array" : t->tag == IU_T_SUM ? "Sum" : "Product");
  if (t->tag == IU_T_ARRAY) put_type(b, t->u.element);
  else put_parts(b, t->tag == IU_T_SUM ? "variants" : "elements", t);
  iu__buf_put_str(b, "}");
}

/* One SELECT in the subscription dialect; rows untyped. */
static void post_sql(peer_link *l, const peer_http *h, peer_database *db) {
  uint8_t identity[32];
  char token[160];
  bool given;
  iu_connection *session;
  iu_rows *rows = NULL;
  iu_error err;
  iu_buf body = {0};
  uint64_t pending;
  if (!peer__http_identity(l, h, identity, token, &given)) return;
  if (peer__database_join(db, identity, &session, &err) != IU_OK) {
    answer_text(l, 403, err.message);
    return;
  }
  iu_status status = session->vtable->query(session, (const char *)h->body.p, h->body.len, &rows, &pending, &err);
  iu__buf_put_str(&body, "[{\"schema\":");
  if (status == IU_OK) put_parts(&body, "elements", rows->table->row);
  iu__buf_put_str(&body, ",\"rows\":[");
  for (uint64_t i = 0; status == IU_OK && i < rows->count; i++) {
    iu_reader r = iu__reader(rows->rows[i]->data, rows->rows[i]->len);
    if (i > 0) iu__buf_put_str(&body, ",");
    status = iu__sats_to_json(rows->table->row, &r, IU_SJ_UNTYPED, &body, &err);
  }
  iu__buf_put_str(&body, "],\"total_duration_micros\":100,\"stats\":{\"rows_inserted\":0,\"rows_deleted\":0,\"rows_updated\":0}}]");
  if (status == IU_OK) peer__http_answer(l, 200, JSON, "", body.data, body.len);
  else {
    iu_buf why = {0};
    peer__put_query_error(l->server, &err, &why);
    peer__http_answer(l, 400, TEXT, "", why.data, why.len);
    iu__buf_free(&why);
  }
  iu__rows_release(rows);
  iu__buf_free(&body);
  peer__database_leave(db, session);
}

/* ---- finding the route ---- */

/* The next segment of the path behind *at, without its slash; false: none. */
static bool segment(iu_slice path, size_t *at, iu_slice *out) {
  if (*at >= path.len || path.p[*at] != '/') return false;
  size_t from = *at + 1, to = from;
  while (to < path.len && path.p[to] != '/') to++;
  *at = to;
  *out = (iu_slice){path.p + from, to - from};
  return true;
}

static void say_not_found(peer_link *l, iu_slice name) {
  char text[200];
  snprintf(text, sizeof text, name.len == 64 ? "No such database." : "`%.*s` not found", (int)(name.len < 100 ? name.len : 100), (const char *)name.p);
  answer_text(l, 404, l->server->as == PEER_1_2_0 ? "" : text);
}

static void route_database(peer_link *l, const peer_http *h, iu_slice name, iu_slice what, iu_slice rest) {
  peer_database *db = l->server->fault.hide_databases ? NULL : peer__database_find(l->server, (const char *)name.p, name.len);
  bool get = is(h->method, "GET"), post = is(h->method, "POST");
  if (what.p == NULL && is(h->method, "PUT")) put_database(l, h, name);
  else if (db == NULL) say_not_found(l, name);
  else if (is(what, "subscribe") && get) peer__websocket_upgrade(l, h, db);
  else if (is(what, "subscribe")) answer_text(l, 405, "");
  else if (is(what, "schema") && get) get_schema(l, h, db);
  else if (is(what, "call") && post) post_call(l, h, db, rest);
  else if (is(what, "sql") && post) post_sql(l, h, db);
  else if (is(what, "names") && get) {
    char body[100];
    snprintf(body, sizeof body, "{\"names\":[\"%s\"]}", db->name);
    peer__http_answer(l, 200, JSON, "", body, strlen(body));
  } else if (is(what, "identity") && get) {
    char id[65];
    peer__hex_reversed(id, db->identity, 32);
    answer_text(l, 200, id);
  } else if (what.p == NULL && get) get_database(l, db);
  else if (what.p == NULL && is(h->method, "DELETE")) delete_database(l, h, db);
  else answer_text(l, 404, "");
}

static void route(peer_link *l, const peer_http *h) {
  iu_slice first = {0}, second = {0}, name = {0}, what = {0}, rest = {0};
  size_t at = 0;
  if (segment(h->path, &at, &first) && segment(h->path, &at, &second) && segment(h->path, &at, &name) && segment(h->path, &at, &what)) {
    segment(h->path, &at, &rest);
  }
  bool post = is(h->method, "POST");
  if (is(first, "peer") && is(second, "fault") && post) post_fault(l, h);
  else if (is(first, "peer") && is(second, "status")) {
    l->admin = true;
    get_status(l);
  } else if (l->server->fault.http_status != 0) {
    int status = l->server->fault.http_status;
    l->server->fault.http_status = 0;
    answer_text(l, status, l->server->fault.http_body);
  } else if (is(first, "v1") && is(second, "ping")) get_ping(l, h);
  else if (is(first, "v1") && is(second, "health")) get_health(l);
  else if (is(first, "v1") && is(second, "identity") && name.p == NULL && post) post_identity(l);
  else if (is(first, "v1") && is(second, "identity") && is(name, "websocket-token") && post) post_websocket_token(l, h);
  else if (is(first, "v1") && is(second, "database") && name.p != NULL) route_database(l, h, name, what, rest);
  else answer_text(l, 404, "");
}

/* ---- taking requests apart ---- */

/* A chunked body that is all there, put together in `out`; 1, 0: not yet, -1: wrong. *used: bytes of it. */
static int read_chunks(iu_slice in, iu_buf *out, size_t *used) {
  size_t at = 0;
  for (;;) {
    const uint8_t *line = in.p + at, *end = memmem(line, in.len - at, "\r\n", 2);
    if (end == NULL) return in.len - at > 32 ? -1 : 0;
    size_t len = strtoul((const char *)line, NULL, 16);
    at = (size_t)(end - in.p) + 2;
    if (len > PEER_BODY_MAX || out->len + len > PEER_BODY_MAX) return -1;
    if (in.len - at < len + 2) return 0;
    iu__buf_put(out, in.p + at, len);
    at += len + 2;
    if (len != 0) continue;
    *used = at;
    return 1;
  }
}

/* The head's first line and header lines; false: no request line. */
static bool read_head(iu_slice head, peer_http *h) {
  const uint8_t *p = head.p, *line_end = memmem(p, head.len, "\r\n", 2), *space, *query;
  if (line_end == NULL) line_end = p + head.len;
  space = memchr(p, ' ', (size_t)(line_end - p));
  if (space == NULL) return false;
  h->method = (iu_slice){p, (size_t)(space - p)};
  p = space + 1;
  space = memchr(p, ' ', (size_t)(line_end - p));
  if (space == NULL) return false;
  query = memchr(p, '?', (size_t)(space - p));
  h->path = (iu_slice){p, (size_t)((query != NULL ? query : space) - p)};
  if (query != NULL) h->query = (iu_slice){query + 1, (size_t)(space - query - 1)};
  if (line_end + 2 < head.p + head.len) h->head = (iu_slice){line_end + 2, (size_t)(head.p + head.len - line_end - 2)};
  return true;
}

/* One request: its length, 0 when it is not all there, or a refusal. */
static size_t read_request(peer_link *l) {
  iu_slice in = {l->in.data, l->in.len}, value;
  uint8_t *end = memmem(in.p, in.len, "\r\n\r\n", 4);
  peer_http h = {0};
  iu_buf chunks = {0};
  size_t used = 0;
  if (end == NULL && in.len <= HEAD_MAX) return 0;
  if (end == NULL || !read_head((iu_slice){in.p, (size_t)(end - in.p)}, &h)) {
    peer__link_cut(l);
    return 0;
  }
  size_t body_at = (size_t)(end - in.p) + 4;
  iu_slice body = {in.p + body_at, in.len - body_at};
  if (peer__http_header(&h, "expect", &value) && body.len == 0) peer__link_put(l, "HTTP/1.1 100 Continue\r\n\r\n", 25, 0);
  if (peer__http_header(&h, "transfer-encoding", &value)) {
    int got = read_chunks(body, &chunks, &used);
    if (got < 0) peer__link_cut(l);
    if (got <= 0) {
      iu__buf_free(&chunks);
      return 0;
    }
    h.body = (iu_slice){chunks.data, chunks.len};
  } else if (peer__http_header(&h, "content-length", &value)) {
    used = strtoul((const char *)value.p, NULL, 10);
    if (used > PEER_BODY_MAX) peer__link_cut(l);
    if (used > PEER_BODY_MAX || body.len < used) return 0;
    h.body = (iu_slice){body.p, used};
  }
  bool last = peer__http_header(&h, "connection", &value) && is(value, "close");
  route(l, &h);
  if (last && !l->websocket) peer__link_finish(l);
  iu__buf_free(&chunks);
  return body_at + used;
}

void peer__http_read(peer_link *l) {
  size_t used = 1;
  while (!l->closing && !l->finish && !l->websocket && l->in.len > 0 && used > 0) {
    used = read_request(l);
    l->in.len -= used;
    memmove(l->in.data, l->in.data + used, l->in.len);
  }
  if (l->websocket && !l->closing) peer__websocket_read(l);
}
