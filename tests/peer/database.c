/* database.c: engines by name (server.h). The owner's session watches every table, so that the engine itself says what each transaction changed. */
#include <stdlib.h>

#include "../../core/base/clock.h"
#include "../../core/engine/internal.h"
#include "server.h"

static iu_slice keep(peer_commit *c, const iu_row *row) {
  if (row == NULL) return (iu_slice){NULL, 0};
  uint8_t *p = iu__arena_alloc(&c->bytes, row->len + 1);
  if (p == NULL) abort();
  memcpy(p, row->data, row->len);
  return (iu_slice){p, row->len};
}

static void heard_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *event) {
  peer_commit *c = &((peer_database *)ud)->commit;
  if (event->subscribed) return;
  if (c->count == c->cap) {
    c->cap = c->cap == 0 ? 64 : c->cap * 2;
    c->changes = realloc(c->changes, c->cap * sizeof *c->changes);
    if (c->changes == NULL) abort();
  }
  c->changes[c->count++] = (peer_change){table, keep(c, old_row), keep(c, new_row)};
}

static void forget_commit(peer_commit *c) {
  c->count = 0;
  iu__arena_free(&c->bytes);
}

/* What the engine has to tell about the transaction that just ran. */
static void take_commit(peer_database *db, const iu_connection *caller, const char *reducer, uint32_t reducer_id, iu_slice args) {
  peer_commit *c = &db->commit;
  db->engine->vtable->deliver(db->engine);
  memcpy(c->caller, caller->identity, 32);
  memcpy(c->connection_id, caller->connection_id, 16);
  c->timestamp = iu__session_of(db->engine)->engine->last_timestamp;
  c->reducer = reducer;
  c->reducer_id = reducer_id;
  c->args = args;
}

static iu_status watch_everything(peer_database *db, iu_error *err) {
  const iu_schema *schema = db->engine->schema;
  iu_listener listener = {.ud = db, .row = heard_row};
  iu_status status = IU_OK;
  for (uint32_t t = 0; status == IU_OK && t < schema->table_count; t++) {
    uint64_t id;
    iu_buf sql = {0};
    iu__buf_printf(&sql, "SELECT * FROM %s", schema->tables[t].name);
    iu_slice query = {sql.data, sql.len};
    status = db->engine->vtable->subscribe(db->engine, &query, 1, &id, err);
    iu__buf_free(&sql);
  }
  db->engine->vtable->deliver(db->engine);
  for (uint32_t t = 0; t < schema->table_count; t++) iu__conn_watch(db->engine, t, IU_WATCH_INSERT | IU_WATCH_UPDATE | IU_WATCH_DELETE);
  iu__conn_listen(db->engine, &listener);
  return status;
}

static int64_t micros(void *ud) {
  const peer_server *s = ud;
  return iu__clock_micros() + (int64_t)s->fault.clock_ahead_s * 1000000;
}

iu_status peer__database_open(peer_server *s, const char *name, const uint8_t owner[32], peer_database **out, iu_error *err) {
  peer_database *db = calloc(1, sizeof *db);
  iu_engine_config config;
  iu_engine_status about;
  if (db == NULL) abort();
  db->server = s;
  db->name = strdup(name);
  iu__engine_config_init(&config);
  config.loop = s->loop;
  config.owner = owner;
  config.micros = micros;
  config.micros_ud = s;
  iu_status status = iu__engine_open(&config, &db->engine, err);
  if (status == IU_OK) status = watch_everything(db, err);
  if (status != IU_OK) {
    if (db->engine != NULL) db->engine->vtable->release(db->engine);
    free(db->name);
    free(db);
    return status;
  }
  iu__engine_get_status(db->engine, &about);
  memcpy(db->identity, about.database_identity, 32);
  db->next = s->databases;
  s->databases = db;
  *out = db;
  return IU_OK;
}

peer_database *peer__database_find(peer_server *s, const char *name, size_t len) {
  for (peer_database *db = s->databases; db != NULL; db = db->next) {
    char hex[65];
    peer__hex_reversed(hex, db->identity, 32);
    if ((strlen(db->name) == len && memcmp(db->name, name, len) == 0) || (len == 64 && memcmp(hex, name, 64) == 0)) return db;
  }
  return NULL;
}

void peer__database_close(peer_database *db) {
  peer_database **at = &db->server->databases;
  while (*at != db) at = &(*at)->next;
  *at = db->next;
  for (peer_link *l = db->server->links; l != NULL; l = l->next) {
    if (l->db != db) continue;
    if (!l->closing) peer__websocket_close(l, 1001, "module exited");
    peer__drop_sets(l);
    if (l->session != NULL) l->session->vtable->release(l->session);
    l->session = NULL;
    l->db = NULL;
  }
  db->engine->vtable->release(db->engine);
  forget_commit(&db->commit);
  free(db->commit.changes);
  free(db->name);
  free(db);
}

static const iu_reducer_def *lifecycle(const peer_database *db, iu_lifecycle which, uint32_t *id) {
  const iu_schema *schema = db->engine->schema;
  for (*id = 0; *id < schema->reducer_count; ++*id) {
    if (schema->reducers[*id].lifecycle == which) return &schema->reducers[*id];
  }
  *id = UINT32_MAX;
  return NULL;
}

static void broadcast_lifecycle(peer_database *db, const iu_connection *session, iu_lifecycle which) {
  uint32_t id;
  const iu_reducer_def *reducer = lifecycle(db, which, &id);
  take_commit(db, session, reducer != NULL ? reducer->name : "", id, (iu_slice){(const uint8_t *)"", 0});
  peer__broadcast(db, NULL, 0);
}

iu_status peer__database_join(peer_database *db, const uint8_t identity[32], iu_connection **out, iu_error *err) {
  forget_commit(&db->commit);
  iu_status status = iu__engine_session(db->engine, identity, out, err);
  if (status == IU_OK) broadcast_lifecycle(db, *out, IU_LC_CONNECT);
  return status;
}

void peer__database_leave(peer_database *db, iu_connection *session) {
  forget_commit(&db->commit);
  session->vtable->close(session, NULL);
  broadcast_lifecycle(db, session, IU_LC_DISCONNECT);
  session->vtable->release(session);
}

/* The reducer's own words, whole; a host's refusal or a trap has none of its own. */
static void explain(peer_database *db, const iu_error *err, peer_result *result) {
  const iu_host *h = iu__session_of(db->engine)->engine->modules[0].m.ud;
  bool said = h->failure.status == IU_OK && h->sink.len > 0;
  result->ran = said ? PEER_RAN_FAILED : PEER_RAN_TRAPPED;
  if (said) iu__buf_put(&result->text, h->sink.data, h->sink.len);
  else iu__buf_put_str(&result->text, err->message);
}

bool peer__database_check(peer_database *db, iu_slice name, iu_slice args, peer_result *result) {
  static const char *const lifecycles[] = {"", "Init", "OnConnect", "OnDisconnect"};
  const iu_schema *schema = db->engine->schema;
  int id = iu__schema_reducer(schema, (const char *)name.p, name.len);
  iu_reader r = iu__reader(args.p, args.len);
  iu_error err;
  *result = (peer_result){.ran = PEER_RAN_BAD_ARGS, .reducer_id = UINT32_MAX, .timestamp = iu__session_of(db->engine)->engine->last_timestamp};
  if (id < 0) {
    result->ran = PEER_RAN_UNKNOWN;
    iu__buf_put_str(&result->text, "no such reducer");
  } else if (schema->reducers[id].lifecycle != IU_LC_NONE) {
    iu__buf_printf(&result->text, "can't directly call special %s lifecycle reducer", lifecycles[schema->reducers[id].lifecycle]);
  } else if (iu__bsatn_check(schema->reducers[id].params, &r, &err) != IU_OK) {
    iu__buf_printf(&result->text, "invalid arguments for reducer %s: %s", schema->reducers[id].name, err.message);
  } else {
    result->ran = PEER_RAN_COMMITTED;
    result->reducer_id = (uint32_t)id;
    result->args_len = iu__reader_offset(&r);
  }
  return result->ran == PEER_RAN_COMMITTED;
}

void peer__database_call(peer_database *db, iu_connection *session, iu_slice name, iu_slice args, peer_result *result) {
  iu_error err;
  uint64_t pending;
  forget_commit(&db->commit);
  if (!peer__database_check(db, name, args, result)) return;
  /* Trailing bytes are not the host's business there; the engine here would refuse them. */
  iu_status status = session->vtable->call(session, result->reducer_id, args.p, result->args_len, &pending, &err);
  take_commit(db, session, db->engine->schema->reducers[result->reducer_id].name, result->reducer_id, args);
  result->timestamp = db->commit.timestamp;
  if (status == IU_OK) db->server->calls++;
  else explain(db, &err, result);
}

void peer__broadcast(peer_database *db, const peer_link *caller, uint32_t request) {
  const peer_commit *c = &db->commit;
  if (c->count == 0) return;
  for (peer_link *l = db->server->links; l != NULL; l = l->next) {
    peer_parts parts = {0};
    if (l->db != db || l->session == NULL || l == caller || l->closing) continue;
    peer__parts_of_commit(l, &parts);
    peer_message m = {.kind = IU_M_TRANSACTION, .light = l->light, .request = request, .identity = c->caller, .connection_id = c->connection_id,
                      .timestamp = c->timestamp, .reducer = {(const uint8_t *)c->reducer, strlen(c->reducer)}, .reducer_id = c->reducer_id,
                      .args = c->args, .duration = 100, .parts = parts.parts, .count = parts.count};
    if (parts.count > 0) peer__websocket_send(l, &m);
    peer__parts_free(&parts);
  }
}
