/* link.c: getting and losing the connection. An attempt reads the schema over HTTP, then opens the WebSocket; the server's first message ends it.
 *
 * Sockets and timers never call the listener: they leave notes. The pump takes them in order, so what was received before a loss is told before it,
 * and the next attempt's timer is started by the loss.
 */
#include "../base/alloc.h"
#include "../base/clock.h"
#include "internal.h"

#define FIRST_WAIT_MIN_MS 1000u /* of what follows the schema, however long that took */

/* ---- notes ---- */

static void lost(iu_client *c, bool final, uint16_t code, const iu_error *why) {
  if (c->notes[IU_NOTE_LOST].queued || c->base.closed) return;
  c->lost_why = *why;
  c->lost_code = code;
  c->lost_final = final;
  iu__inbox_note(c, IU_NOTE_LOST);
}

static void tell(iu_client *c, const iu_conn_state *state) {
  c->phase = state->phase;
  if (c->base.listener.state != NULL) c->base.listener.state(c->base.listener.ud, state);
}

/* ---- words ---- */

static const char *compression(const iu_client *c) {
  return c->config.compression == IU_COMPRESS_GZIP ? "Gzip" : c->config.compression == IU_COMPRESS_BROTLI ? "Brotli" : "None";
}

static iu_status http_url(const iu_client *c, const char *path, iu_buf *url, iu_error *err) {
  iu__buf_printf(url, "http%s/v1/database/%s%s", c->config.url + 2, c->config.database, path); /* ws -> http, wss -> https */
  iu__buf_put_u8(url, 0);
  return iu__buf_status(url, err, "URL");
}

static iu_status socket_url(const iu_client *c, iu_buf *url, iu_error *err) {
  iu__buf_printf(url, "%s/v1/database/%s/subscribe?compression=%s", c->config.url, c->config.database, compression(c));
  if (c->config.light) iu__buf_put_str(url, "&light=true");
  if (c->config.confirmed != 0) iu__buf_printf(url, "&confirmed=%s", c->config.confirmed > 0 ? "true" : "false");
  iu__buf_put_u8(url, 0);
  return iu__buf_status(url, err, "URL");
}

/* *header is for one use of *value. */
static iu_status bearer(const iu_client *c, iu_buf *value, iu_header *header, uint32_t *count, iu_error *err) {
  *count = 0;
  if (c->token == NULL) return IU_OK;
  iu__buf_printf(value, "Bearer %s", c->token);
  iu__buf_put_u8(value, 0);
  *header = (iu_header){"Authorization", (const char *)value->data};
  *count = 1;
  return iu__buf_status(value, err, "the token");
}

/* ---- the schema ---- */

static void drop_new_schema(iu_client *c) {
  iu__schema_free(c->schema_new);
  iu__free(c->schema_new_json);
  c->schema_new = NULL;
  c->schema_new_json = NULL;
}

/* Into schema_new, unless it is the present one. */
static iu_status read_schema(iu_client *c, const void *json, size_t len, iu_error *err) {
  if (c->schema_json != NULL && len == c->schema_len && memcmp(json, c->schema_json, len) == 0) return IU_OK;
  iu_status status = iu__schema_from_http(json, len, &c->schema_new, err);
  if (status != IU_OK) return status;
  c->schema_new_len = len;
  c->schema_new_json = iu__strndup(json, len);
  if (c->schema_new_json != NULL) return IU_OK;
  drop_new_schema(c);
  return iu__fail_nomem(err);
}

/* Makes schema_new the present one. */
static iu_status install_schema(iu_client *c, iu_error *err) {
  iu_schema *schema = c->schema_new;
  c->schema_new = NULL;
  iu_status status = iu__world_enter(c, schema, err);
  if (status != IU_OK) {
    drop_new_schema(c);
    return status;
  }
  iu__free(c->schema_json);
  c->schema_json = c->schema_new_json;
  c->schema_new_json = NULL;
  c->schema_len = c->schema_new_len;
  return IU_OK;
}

iu_status iu__link_know_schema(iu_client *c, const char *json, size_t len, iu_error *err) {
  iu_status status = read_schema(c, json, len, err);
  if (status == IU_OK) status = install_schema(c, err);
  if (status != IU_OK) iu__error_prefix(err, "the schema of an earlier time");
  else iu__world_settle(c);
  return status;
}

const char *iu__client_schema_json(iu_connection *conn, size_t *len) {
  const iu_client *c = iu__client_of(conn);
  *len = c->schema_json != NULL ? c->schema_len : 0;
  return c->schema_json;
}

static void take_answer(iu_client *c, const iu_http_answer *a) {
  if (c->token == NULL && a->token[0] != '\0') { /* stay who the server says this is */
    c->token = iu__strndup(a->token, strlen(a->token));
    c->token_unsaved = c->token != NULL;
  }
  c->schema_status = read_schema(c, a->body, a->body_len, &c->schema_why);
}

static iu_status refused(const iu_client *c, const iu_http_answer *a, iu_error *err) {
  char words[4 * 200 + 4];
  iu__printable(words, 200, a->body, a->body_len);
  if (a->status == 404) return iu__fail(err, IU_E_NO_DATABASE, "%s has no database `%s`", c->config.url, c->config.database);
  if (a->status == 401 || a->status == 403) {
    return iu__fail(err, IU_E_AUTHORIZATION, "%s refused the token (%d): %s", c->config.url, a->status, words);
  }
  return iu__fail(err, IU_E_CONNECTION, "%s answered %d for the schema of `%s`: %s", c->config.url, a->status, c->config.database, words);
}

typedef void (*http_done)(void *ud, iu_http *h, const iu_error *why, const iu_http_answer *a);
static void on_owner(void *ud, iu_http *h, const iu_error *why, const iu_http_answer *a);
static iu_status ask(iu_client *c, const char *path, uint64_t timeout_ms, http_done done, iu_error *err);
static iu_status ask_schema_of(iu_client *c, uint64_t timeout_ms, iu_error *err);

static uint64_t left_ms(const iu_client *c) {
  uint64_t spent = (iu__clock_mono_ns() - c->attempt_started) / 1000000u;
  return spent + FIRST_WAIT_MIN_MS < c->config.connect_timeout_ms ? c->config.connect_timeout_ms - spent : FIRST_WAIT_MIN_MS;
}

static void on_schema(void *ud, iu_http *h, const iu_error *why, const iu_http_answer *a) {
  iu_client *c = ud;
  iu__http_release(h);
  c->http = NULL;
  drop_new_schema(c);
  c->schema_status = IU_OK;
  if (why != NULL) {
    c->schema_status = why->status;
    c->schema_why = *why;
    iu__error_prefix(&c->schema_why, "reading the schema");
  } else if (a->status == 400 && !c->schema_v9) { /* a server of 1.x has version 9 only */
    iu_error err;
    c->schema_v9 = true;
    if (ask_schema_of(c, left_ms(c), &err) == IU_OK) return;
    c->schema_status = refused(c, a, &c->schema_why);
  } else if (a->status != 200) {
    c->schema_status = refused(c, a, &c->schema_why);
  } else {
    take_answer(c, a);
    iu_error err;
    if (c->token != NULL && !c->http_refresh && ask(c, "", left_ms(c), on_owner, &err) == IU_OK) return;
  }
  iu__inbox_note(c, IU_NOTE_SCHEMA);
}

/* Without an answer nobody is the owner: nothing but private tables depends on it. */
static void on_owner(void *ud, iu_http *h, const iu_error *why, const iu_http_answer *a) {
  iu_client *c = ud;
  iu__http_release(h);
  c->http = NULL;
  c->owner_known = why == NULL && a->status == 200 && iu__owner_from_http(a->body, a->body_len, c->owner);
  iu__inbox_note(c, IU_NOTE_SCHEMA);
}

static iu_status ask(iu_client *c, const char *path, uint64_t timeout_ms, http_done done, iu_error *err) {
  iu_buf url = {0}, token = {0};
  iu_header header;
  iu_http_config http = {.method = "GET", .headers = &header, .tls = c->config.tls, .timeout_ms = timeout_ms,
                         .max_body = IU_SCHEMA_JSON_MAX, .ud = c, .on_done = done};
  iu_status status = http_url(c, path, &url, err);
  if (status == IU_OK) status = bearer(c, &token, &header, &http.header_count, err);
  http.url = (const char *)url.data;
  if (status == IU_OK) status = iu__http_start(c->config.loop, &http, &c->http, err);
  iu__buf_free(&url);
  iu__buf_free(&token);
  return status;
}

static iu_status ask_schema_of(iu_client *c, uint64_t timeout_ms, iu_error *err) {
  return ask(c, c->schema_v9 ? "/schema?version=9" : "/schema?version=10", timeout_ms, on_schema, err);
}

static iu_status ask_schema(iu_client *c, iu_error *err) { return ask_schema_of(c, c->config.connect_timeout_ms, err); }

/* ---- the socket ---- */

static void on_late(void *ud) {
  iu_client *c = ud;
  iu_error err;
  iu__fail(&err, IU_E_TIMEOUT, "the server did not send its first message within %llu ms", (unsigned long long)c->config.connect_timeout_ms);
  iu__timer_close(c->late);
  c->late = NULL;
  iu__ws_release(c->ws);
  c->ws = NULL;
  lost(c, false, 0, &err);
}

static void on_open(void *ud, iu_ws *ws, const char *protocol) {
  iu_client *c = ud;
  iu_error err;
  (void)ws;
  c->open = true;
  if (!iu__protocol_from_name(protocol, &c->protocol)) iu__fail(&err, IU_E_CONNECTION, "the server chose a protocol that was not offered");
  else if (iu__timer_start(c->config.loop, c->config.connect_timeout_ms, 0, on_late, c, &c->late, &err) == IU_OK) return;
  iu__ws_release(c->ws);
  c->ws = NULL;
  lost(c, false, 0, &err);
}

static void on_message(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len, bool text) {
  iu_client *c = ud;
  iu_error err;
  (void)text;
  if (c->base.closed) return;
  c->heard = true;
  iu__timer_close(c->late);
  c->late = NULL;
  c->counts.bytes_received += len;
  if (iu__inbox_message(c, ws, bytes, len)) return;
  iu__fail_nomem(&err);
  iu__ws_release(ws);
  c->ws = NULL;
  lost(c, false, 0, &err);
}

static void on_part(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len) {
  (void)ws;
  iu__early_part(ud, bytes, len);
}

/* Too large: the answer to a one-off query is skipped, all else ends the connection (what is held could not be told any more). */
static bool on_oversize(void *ud, iu_ws *ws, const uint8_t *head, size_t len, bool text) {
  iu_client *c = ud;
  (void)ws;
  (void)text;
  return iu__read_oversized(c, head, len);
}

static void on_closed(void *ud, iu_ws *ws, const iu_error *why, int http_status, uint16_t code) {
  iu_client *c = ud;
  iu_error err = *why;
  bool silent = c->open && !c->heard && code == 0 && why->status == IU_E_CONNECTION;
  iu__ws_release(ws);
  c->ws = NULL;
  c->open = false;
  if (silent) iu__error_prefix(&err, "the server hung up before its first message (the module's client_connected may have refused)");
  if (http_status == 404) iu__fail(&err, IU_E_NO_DATABASE, "%s has no database `%s`", c->config.url, c->config.database);
  lost(c, err.status == IU_E_AUTHORIZATION || err.status == IU_E_NO_DATABASE, code, &err);
}

static iu_status open_socket(iu_client *c, iu_error *err) {
  const char *offered[3];
  iu_buf url = {0}, token = {0};
  iu_header header;
  iu_ws_config ws = {.protocols = offered, .headers = &header, .tls = c->config.tls, .connect_timeout_ms = left_ms(c),
                     .ping_interval_ms = c->config.ping_interval_ms, .idle_timeout_ms = c->config.idle_timeout_ms,
                     .max_message = c->config.message_bytes_max, .max_queued = c->config.outgoing_bytes_max, .ud = c,
                     .on_open = on_open, .on_message = on_message, .on_part = on_part, .on_oversize = on_oversize, .on_closed = on_closed};
  iu_status status = socket_url(c, &url, err);
  if (status == IU_OK) status = bearer(c, &token, &header, &ws.header_count, err);
  if (c->config.has_protocol) {
    offered[ws.protocol_count++] = iu__protocol_name(c->config.protocol);
  } else {
    for (int p = IU_P_V3; p >= IU_P_V1; p--) offered[ws.protocol_count++] = iu__protocol_name((iu_protocol)p);
  }
  ws.url = (const char *)url.data;
  c->open = c->heard = c->paused = false;
  if (status == IU_OK) status = iu__ws_connect(c->config.loop, &ws, &c->ws, err);
  iu__buf_free(&url);
  iu__buf_free(&token);
  return status;
}

/* ---- an attempt ---- */

void iu__link_start(iu_client *c) {
  iu_error err;
  c->attempt++;
  c->attempt_started = iu__clock_mono_ns();
  c->http_refresh = c->schema_v9 = false;
  iu__inbox_note(c, IU_NOTE_CONNECTING);
  if (ask_schema(c, &err) != IU_OK) lost(c, false, 0, &err);
}

void iu__link_on_connecting(iu_client *c) {
  tell(c, &(iu_conn_state){.phase = IU_PHASE_CONNECTING, .attempt = c->attempt, .delay_ms = -1, .protocol = ""});
}

/* The new world is there; the listener is told before anything else happens. */
static iu_status enter(iu_client *c, iu_error *err) {
  iu_status status = install_schema(c, err);
  if (status != IU_OK) return status;
  c->schema_doubted = false;
  tell(c, &(iu_conn_state){.phase = c->phase == IU_PHASE_CONNECTED ? IU_PHASE_CONNECTED : IU_PHASE_CONNECTING, .attempt = c->attempt, .delay_ms = -1,
                           .protocol = c->online ? iu__protocol_name(c->protocol) : "", .schema_changed = true});
  iu__world_settle(c);
  return IU_OK;
}

static bool hopeless(iu_status status) {
  return status == IU_E_AUTHORIZATION || status == IU_E_NO_DATABASE || status == IU_E_MIGRATION || status == IU_E_VALIDATION;
}

static void on_refreshed(iu_client *c) {
  iu_error err = c->schema_why;
  iu_status status = c->schema_status;
  c->http_refresh = false;
  if (status == IU_OK && c->schema_new != NULL && c->online && !c->resync) {
    status = enter(c, &err);
    if (c->base.closed) return;
    if (status == IU_E_MIGRATION) {
      iu__client_fail(c, &err);
      return;
    }
  }
  iu__link_tell_refreshed(c, status, &err);
}

void iu__link_on_schema(iu_client *c) {
  iu_error err = c->schema_why;
  iu_status status = c->schema_status;
  if (c->http_refresh) {
    on_refreshed(c);
    return;
  }
  if (status == IU_OK && c->schema_new != NULL) status = enter(c, &err);
  if (c->base.closed) return;
  if (status == IU_OK) status = open_socket(c, &err);
  else if (hopeless(status)) {
    lost(c, true, 0, &err);
    return;
  }
  if (status != IU_OK) lost(c, false, 0, &err);
}

/* ---- connected ---- */

static void keep_token(iu_client *c, iu_slice token) {
  iu_error err;
  if (c->token == NULL && token.len > 0) {
    c->token = iu__strndup((const char *)token.p, token.len);
    c->token_unsaved = c->token != NULL;
  }
  if (!c->token_unsaved || c->config.token_file == NULL) return;
  c->token_unsaved = false;
  if (iu__token_write(c->config.token_file, c->token, &err) != IU_OK) iu__log(&c->config.log, IU_LOG_WARN, "%s", err.message);
}

void iu__link_on_connected(iu_client *c, const iu_message *m) {
  iu_error err;
  bool again = c->ever;
  iu_conn_state state = {.phase = IU_PHASE_CONNECTED, .attempt = c->attempt, .delay_ms = -1, .protocol = iu__protocol_name(c->protocol)};
  state.identity_changed = again && memcmp(c->base.identity, m->identity, sizeof c->base.identity) != 0;
  memcpy(c->base.identity, m->identity, sizeof c->base.identity);
  c->base.is_owner = c->config.is_owner || (c->owner_known && memcmp(c->owner, m->identity, sizeof c->owner) == 0);
  memcpy(c->base.connection_id, m->connection_id, sizeof c->base.connection_id);
  keep_token(c, m->token);
  if (again) {
    iu__replica_free(c->fresh);
    c->fresh = NULL;
    if (iu__replica_new(c->base.schema, &c->fresh, &err) != IU_OK) {
      iu__link_cut(c, &err);
      return;
    }
  }
  c->resync = again;
  c->ever = c->online = true;
  if (!again) c->attempt = 0; /* else once everything is held again: what cuts the resync must not do so without pause */
  c->counts.connects++;
  iu__sub_restore(c);
  if (!c->online) return; /* cut */
  tell(c, &state);
}

/* ---- lost ---- */

static int64_t backoff_ms(const iu_client *c) {
  uint64_t delay = c->config.delay_min_ms, random = 0;
  for (uint32_t i = 1; i < c->attempt && delay < c->config.delay_max_ms; i++) delay *= 2;
  if (delay > c->config.delay_max_ms) delay = c->config.delay_max_ms;
  if (iu__random(&random, sizeof random, NULL) != IU_OK) random = iu__clock_mono_ns();
  return (int64_t)(delay / 2 + random % (delay / 2 + 1));
}

static void on_timer(void *ud) {
  iu_client *c = ud;
  iu__timer_close(c->timer);
  c->timer = NULL;
  iu__link_start(c);
}

static void drop_link(iu_client *c) {
  iu__early_end(c);
  iu__timer_close(c->late);
  c->late = NULL;
  iu__http_release(c->http);
  c->http = NULL;
  iu__ws_release(c->ws);
  c->ws = NULL;
  c->open = c->paused = false;
}

void iu__link_cut(iu_client *c, const iu_error *why) {
  iu_error copy = *why;
  drop_link(c);
  iu__inbox_drop_heard(c);
  c->online = false;
  iu__pump_drop_work(c);
  lost(c, false, 0, &copy);
  c->lost_why = copy; /* also where the socket's end is noted already: this came first */
  c->lost_code = 0;
}

static bool is_final(const iu_client *c) {
  if (c->lost_final || (c->ever ? c->config.no_reconnect : !c->config.retry_first)) return true;
  return c->config.attempts_max > 0 && c->attempt >= c->config.attempts_max;
}

void iu__link_on_lost(iu_client *c) {
  iu_error why = c->lost_why, err;
  bool final = is_final(c);
  iu_conn_state state = {.phase = IU_PHASE_DISCONNECTED, .attempt = c->attempt, .delay_ms = final ? -1 : backoff_ms(c), .close_code = c->lost_code,
                         .why = &why, .protocol = ""};
  drop_link(c);
  iu__inbox_drop_heard(c);
  c->online = c->resync = false;
  c->restoring = 0;
  iu__replica_free(c->fresh);
  c->fresh = NULL;
  iu__sub_on_lost(c);
  iu__call_doubt_flushes(c, final || c->config.away == IU_AWAY_QUEUE);
  iu__request_on_lost(c, final, &why);
  if (!c->base.closed) iu__call_fail_flushes(c, &why);
  if (!c->base.closed) iu__link_tell_refreshed(c, why.status, &why);
  if (!c->base.closed) tell(c, &state);
  if (c->base.closed) return;
  if (final) iu__client_fail(c, &why);
  else if (iu__timer_start(c->config.loop, (uint64_t)state.delay_ms, 0, on_timer, c, &c->timer, &err) != IU_OK) iu__client_fail(c, &err);
}

/* ---- the schema of a connection that stands ---- */

static iu_status refresh(iu_client *c, iu_error *err) {
  if (c->http != NULL) return IU_OK; /* its answer is as good */
  c->http_refresh = true;
  iu_status status = ask_schema(c, err);
  if (status != IU_OK) c->http_refresh = false;
  return status;
}

iu_status iu__client_refresh_schema(iu_connection *conn, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_status status = iu__client_check_open(c, err);
  *pending = 0;
  if (status != IU_OK || !c->online) return status; /* the next connect reads it */
  if (c->refresh_count == sizeof c->refresh_pending / sizeof *c->refresh_pending) {
    return iu__fail(err, IU_E_OVERLOADED, "the schema is being read, and %u wait for it already", c->refresh_count);
  }
  status = refresh(c, err);
  if (status == IU_OK) *pending = c->refresh_pending[c->refresh_count++] = ++c->next_pending;
  return status;
}

void iu__link_tell_refreshed(iu_client *c, iu_status status, const iu_error *err) {
  uint64_t pending[sizeof c->refresh_pending / sizeof *c->refresh_pending];
  uint32_t count = c->refresh_count;
  memcpy(pending, c->refresh_pending, sizeof pending);
  c->refresh_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (c->base.listener.answer != NULL) c->base.listener.answer(c->base.listener.ud, pending[i], status, status == IU_OK ? NULL : err, NULL, NULL);
  }
}

void iu__link_doubt(iu_client *c) {
  iu_error err;
  if (c->schema_doubted || !c->online || c->resync) return;
  c->schema_doubted = true;
  if (refresh(c, &err) != IU_OK) iu__log(&c->config.log, IU_LOG_WARN, "reading the schema anew: %s", err.message);
}

/* ---- the end ---- */

void iu__link_stop(iu_client *c) {
  iu__timer_close(c->timer);
  iu__timer_close(c->late);
  c->timer = c->late = NULL;
  iu__http_release(c->http);
  c->http = NULL;
  if (c->ws == NULL) return;
  if (c->open) {
    iu__ws_pause(c->ws, false);
    iu__ws_close(c->ws, 1000, NULL); /* what was sent before still leaves; on_closed releases it */
    return;
  }
  iu__ws_release(c->ws);
  c->ws = NULL;
}

void iu__link_free(iu_client *c) {
  iu__timer_close(c->timer);
  drop_link(c);
  drop_new_schema(c);
  iu__free(c->schema_json);
}
