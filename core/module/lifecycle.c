/* lifecycle.c: init, client_connected, client_disconnected, set_client_info.
 *
 * A connection's row stays when it ends, with status "disconnected" and the time in last_active_at, until the same identity connects again. Those
 * of identities that never return are removed in passing once there are more than CONNECTIONS_KEPT rows.
 */
#include "internal.h"

#define CONNECTIONS_KEPT 1024u
#define SWEEP_MAX 64u /* rows looked at in passing */
#define INFO_MAX 1024u

static nerv_slice text_of_sender(const nerv_call *c, char hex[64]) {
  iu__nerv_hex(c->sender, sizeof c->sender, hex);
  return (nerv_slice){(const uint8_t *)hex, 64};
}

bool iu__nerv_init(nerv_call *c, nerv_reader *r) {
  char hex[64];
  nerv_slice owner = text_of_sender(c, hex), version = iu__nerv_text(NERV_SCHEMA_VERSION);
  nerv_head *log;
  nerv_out data;
  bool on;
  (void)r;
  if (!iu__nerv_config_put(c, "owner", owner, "identity of the universe's owner")) return false;
  if (!iu__nerv_config_put(c, "schema_version", version, "version of the tables and reducers")) return false;
  if (!iu__nerv_head(c, NERV_HEAD_EVENTS, &log)) return false;
  log->dirty = true; /* the head is there from the start, with or without events */
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_json_member(&data, "schema_version", version);
  iu__nerv_json_member(&data, "owner", owner);
  return iu__nerv_audit_end(c, "SYSTEM_INITIALIZED", iu__nerv_text(""), &data);
}

static bool log_connection(nerv_call *c, const char *event) {
  char hex[64], connection[32];
  nerv_slice identity = text_of_sender(c, hex);
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_hex(c->connection, sizeof c->connection, connection);
  iu__nerv_json_member(&data, "identity", identity);
  iu__nerv_json_member(&data, "connection_id", (nerv_slice){(const uint8_t *)connection, sizeof connection});
  return iu__nerv_audit_end(c, event, identity, &data);
}

/* Appends the connection ids of those rows of a scan that are disconnected; looks at most at `most` rows. */
static bool collect_gone(nerv_call *c, nerv_scan *s, uint32_t most, nerv_out *gone) {
  nerv_slice row;
  while (most-- > 0 && iu__nerv_next(c, s, &row)) {
    nerv_reader r = iu__nerv_reader(row);
    const uint8_t *id = iu__nerv_get_bytes(&r, 16);
    iu__nerv_get_bytes(&r, 32 + 8 + 8);
    iu__nerv_get_text(&r);
    if (iu__nerv_is(iu__nerv_get_text(&r), "disconnected") && id != NULL) iu__nerv_put(gone, id, 16);
  }
  iu__nerv_scan_end(c, s);
  return !c->refused && iu__nerv_wrote(c, gone);
}

static bool delete_gone(nerv_call *c, const nerv_out *gone) {
  for (size_t at = 0; at < gone->n; at += 16) {
    if (!iu__nerv_delete(c, NERV_CONNECTION_ID, (nerv_slice){gone->p + at, 16}, NULL)) return false;
  }
  return true;
}

/* The sweep starts at the new connection's own random id, so all rows get their turn. */
static bool remove_gone(nerv_call *c) {
  nerv_slice identity = {c->sender, sizeof c->sender}, own = {c->connection, sizeof c->connection};
  nerv_out gone = iu__nerv_out_of(c), swept = iu__nerv_out_of(c);
  nerv_scan s;
  uint64_t rows;
  if (!iu__nerv_scan(c, NERV_CONNECTION_IDENTITY, &identity, &identity, &s)) return false;
  if (!collect_gone(c, &s, UINT32_MAX, &gone) || !delete_gone(c, &gone)) return false;
  if (!iu__nerv_count_rows(c, NERV_CLIENT_CONNECTION, &rows)) return false;
  if (rows < CONNECTIONS_KEPT) return true;
  if (!iu__nerv_scan(c, NERV_CONNECTION_ID, &own, NULL, &s)) return false;
  return collect_gone(c, &s, SWEEP_MAX, &swept) && delete_gone(c, &swept);
}

typedef struct connection { bool exists; uint64_t connected_at; nerv_slice info; } connection;

static bool find_connection(nerv_call *c, connection *out) {
  nerv_slice row;
  nerv_reader r;
  *out = (connection){false, (uint64_t)c->now, {(const uint8_t *)"", 0}};
  if (!iu__nerv_find(c, NERV_CONNECTION_ID, (nerv_slice){c->connection, sizeof c->connection}, &row, &out->exists)) return false;
  if (!out->exists) return true;
  r = iu__nerv_reader(row);
  iu__nerv_get_bytes(&r, 16 + 32);
  out->connected_at = iu__nerv_get_u64(&r);
  iu__nerv_get_u64(&r);
  out->info = iu__nerv_get_text(&r);
  return true;
}

static bool put_connection(nerv_call *c, const connection *present, nerv_slice info, const char *status) {
  nerv_out row = iu__nerv_out_of(c);
  iu__nerv_put(&row, c->connection, sizeof c->connection);
  iu__nerv_put(&row, c->sender, sizeof c->sender);
  iu__nerv_put_u64(&row, present->connected_at);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  iu__nerv_put_text(&row, info);
  iu__nerv_put_cstr(&row, status);
  return iu__nerv_put_row(c, NERV_CLIENT_CONNECTION, &row, present->exists);
}

bool iu__nerv_client_connected(nerv_call *c, nerv_reader *r) {
  connection fresh;
  (void)r;
  if (!remove_gone(c) || !find_connection(c, &fresh)) return false;
  fresh.connected_at = (uint64_t)c->now;
  return put_connection(c, &fresh, iu__nerv_text(""), "connected") && log_connection(c, "CLIENT_CONNECTED");
}

bool iu__nerv_client_disconnected(nerv_call *c, nerv_reader *r) {
  connection present;
  (void)r;
  if (!find_connection(c, &present)) return false;
  if (present.exists && !put_connection(c, &present, present.info, "disconnected")) return false;
  return log_connection(c, "CLIENT_DISCONNECTED");
}

bool iu__nerv_set_client_info(nerv_call *c, nerv_reader *r) {
  nerv_slice info = iu__nerv_get_text(r);
  connection present;
  if (!iu__nerv_read(c, r) || !iu__nerv_check_text(c, "client_info", info, INFO_MAX) || !find_connection(c, &present)) return false;
  if (!present.exists) return iu__nerv_refuse(c, "VALIDATION", "client_info: the call came over no connection");
  return put_connection(c, &present, info, "connected");
}
