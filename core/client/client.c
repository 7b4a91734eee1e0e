/* client.c: opening, closing, releasing, status: the life of a connection to a server (client.h). */
#include "client.h"

#include "../base/alloc.h"
#include "../net/url.h"
#include "internal.h"

/* ---- configuration ---- */

static iu_status copy_text(const char *from, const char **to, iu_error *err) {
  if (from == NULL) return IU_OK;
  *to = iu__strndup(from, strlen(from));
  return *to != NULL ? IU_OK : iu__fail_nomem(err);
}

static void set_defaults(iu_client_config *k) {
  if (k->connect_timeout_ms == 0) k->connect_timeout_ms = 10000;
  if (k->ping_interval_ms == 0) k->ping_interval_ms = 10000;
  if (k->idle_timeout_ms == 0) k->idle_timeout_ms = 35000;
  if (k->delay_min_ms == 0) k->delay_min_ms = 500;
  if (k->delay_max_ms == 0) k->delay_max_ms = 30000;
  if (k->away_calls_max == 0) k->away_calls_max = 10000;
  if (k->away_bytes_max == 0) k->away_bytes_max = 8u << 20;
  if (k->in_flight_max == 0) k->in_flight_max = 8192;
  if (k->outgoing_bytes_max == 0) k->outgoing_bytes_max = 64u << 20;
  if (k->incoming_bytes_max == 0) k->incoming_bytes_max = 64u << 20;
  if (k->message_bytes_max == 0) k->message_bytes_max = 64u << 20;
  if (k->answer_bytes_max == 0) k->answer_bytes_max = 32u << 20;
}

static iu_status check_database(const char *name, iu_error *err) {
  char words[4 * 64 + 4];
  size_t len = name != NULL ? strlen(name) : 0;
  if (len == 0) return iu__fail(err, IU_E_VALIDATION, "a connection needs the name of a database");
  for (size_t i = 0; i < len; i++) {
    bool good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-' ||
                name[i] == '_';
    if (!good || len > 128) return iu__fail(err, IU_E_VALIDATION, "`%s` is no name of a database", iu__printable(words, 64, name, len));
  }
  return IU_OK;
}

static iu_status check_url(const char *url, iu_error *err) {
  iu__url parts;
  iu_status status = url != NULL ? iu__url_parse(url, &parts, err) : iu__fail(err, IU_E_VALIDATION, "a connection needs a URL");
  if (status != IU_OK) return status;
  if (!parts.websocket) return iu__fail(err, IU_E_VALIDATION, "%.200s: the URL of a server starts with ws:// or wss://", url);
  if (strcmp(parts.path, "/") != 0) return iu__fail(err, IU_E_VALIDATION, "%.200s: the URL of a server has no path", url);
  return IU_OK;
}

static iu_status check_token(const char *token, iu_error *err) {
  for (const char *p = token; p != NULL && *p != '\0'; p++) {
    if (*p <= ' ' || *p > '~') return iu__fail(err, IU_E_VALIDATION, "the token has a character at %zu that cannot be part of one", (size_t)(p - token));
  }
  return IU_OK;
}

static iu_status configure(iu_client *c, const iu_client_config *config, iu_error *err) {
  iu_client_config *k = &c->config;
  *k = *config;
  k->url = k->database = k->token = k->token_file = k->tls.ca_file = k->schema = NULL; /* not ours yet */
  set_defaults(k);
  iu_status status = check_url(config->url, err);
  if (status == IU_OK) status = check_database(config->database, err);
  if (status == IU_OK) status = check_token(config->token, err);
  if (status == IU_OK && config->loop == NULL) status = iu__fail(err, IU_E_VALIDATION, "a connection needs a loop");
  if (status == IU_OK) status = copy_text(config->url, &k->url, err);
  if (status == IU_OK) status = copy_text(config->database, &k->database, err);
  if (status == IU_OK) status = copy_text(config->token_file, &k->token_file, err);
  if (status == IU_OK) status = copy_text(config->tls.ca_file, &k->tls.ca_file, err);
  if (status == IU_OK && config->token != NULL && *config->token != '\0') status = copy_text(config->token, (const char **)&c->token, err);
  else if (status == IU_OK && k->token_file != NULL) status = iu__token_read(k->token_file, &c->token, err);
  if (status != IU_OK) return status;
  for (char *end = (char *)k->url + strlen(k->url); end > k->url && end[-1] == '/';) *--end = '\0'; /* "ws://host/" */
  return IU_OK;
}

/* ---- life ---- */

static void on_job(void *ud) { iu__pump_run(ud); }
static void on_sending(void *ud) { iu__request_send(ud); }

static void client_free(iu_client *c) {
  iu__pump_drop_work(c);
  iu__inbox_drop_heard(c);
  iu__link_free(c);
  iu__replica_free(c->fresh);
  iu__sub_free_all(c);
  iu__world_free_all(c);
  iu__free(c->base.watched);
  iu__free(c->whole);
  iu__free(c->token);
  iu__free((void *)c->config.url);
  iu__free((void *)c->config.database);
  iu__free((void *)c->config.token_file);
  iu__free((void *)c->config.tls.ca_file);
  iu__free(c);
}

void iu__client_retain(iu_client *c) { c->refs++; }
void iu__client_unref(iu_client *c) {
  if (--c->refs == 0) client_free(c);
}

iu_status iu__client_open(const iu_client_config *config, iu_connection **out, iu_error *err) {
  iu_client *c = iu__alloc_zero(1, sizeof *c);
  *out = NULL;
  if (c == NULL) return iu__fail_nomem(err);
  c->base.vtable = &iu__client_vtable;
  c->refs = 1;
  c->job.fn = on_job;
  c->job.ud = c;
  c->sending.fn = on_sending;
  c->sending.ud = c;
  c->phase = IU_PHASE_CONNECTING;
  c->base.is_owner = config->is_owner;
  iu_status status = configure(c, config, err);
  if (status == IU_OK) status = iu__world_first(c, err);
  if (status == IU_OK && config->schema != NULL) status = iu__link_know_schema(c, config->schema, config->schema_len, err);
  if (status != IU_OK) {
    client_free(c);
    return status;
  }
  iu__link_start(c);
  *out = &c->base;
  return IU_OK;
}

iu_status iu__client_check_open(const iu_client *c, iu_error *err) {
  return c->base.closed ? iu__fail(err, IU_E_CLOSED, "the connection is closed") : IU_OK;
}

/* ---- the end ---- */

/* Everything pending is answered; no callback can come after. What callbacks ask for meanwhile is refused: the connection is closed. */
static void finish(iu_client *c, const iu_error *why) {
  if (c->ended) return;
  c->ended = c->base.closed = true;
  iu__job_cancel(c->config.loop, &c->job);
  iu__job_cancel(c->config.loop, &c->sending);
  iu__link_stop(c);
  c->online = false;
  c->phase = IU_PHASE_DISCONNECTED;
  iu__pump_end_request(c);
  iu__request_answer_all(c, why);
  iu__call_end_flushes(c, why);
  iu__link_tell_refreshed(c, why->status, why);
}

void iu__client_fail(iu_client *c, const iu_error *why) {
  iu_error copy = *why;
  if (c->base.closed) return;
  finish(c, &copy);
  if (c->base.listener.closed != NULL) c->base.listener.closed(c->base.listener.ud, &copy);
}

static iu_status client_close(iu_connection *conn, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_error why;
  (void)err;
  iu__client_retain(c);
  iu__fail(&why, IU_E_CLOSED, "the connection was closed");
  finish(c, &why);
  if (!c->base.delivering) { /* else the pump does it when it has unwound */
    iu__pump_drop_work(c);
    iu__inbox_drop_heard(c);
  }
  iu__client_unref(c);
  return IU_OK;
}

static void client_release(iu_connection *conn) {
  iu__conn_listen(conn, NULL);
  client_close(conn, NULL);
  iu__client_unref(iu__client_of(conn));
}

/* ---- the rest of the seam ---- */

static bool client_deliver(iu_connection *conn) { return iu__pump_run(iu__client_of(conn)); }

const iu_connection_vtable iu__client_vtable = {
    .version = IU_CONNECTION_VTABLE_VERSION, .call = iu__client_call, .subscribe = iu__client_subscribe, .unsubscribe = iu__client_unsubscribe,
    .query = iu__client_query, .select = iu__client_select, .get = iu__client_get, .flush = iu__client_flush, .procedure = iu__client_procedure,
    .refresh_schema = iu__client_refresh_schema, .explain = iu__client_explain, .deliver = client_deliver,
    .close = client_close, .release = client_release};

bool iu__is_client(const iu_connection *c) { return c->vtable == &iu__client_vtable; }

void iu__client_get_status(iu_connection *conn, iu_client_status *out) {
  iu_client *c = iu__client_of(conn);
  *out = c->counts;
  out->url = c->config.url;
  out->database = c->config.database;
  out->protocol = c->online ? iu__protocol_name(c->protocol) : "";
  out->token = c->token != NULL ? c->token : "";
  out->phase = c->phase;
  out->attempt = c->attempt;
  out->confirmed = c->online && (c->protocol == IU_P_V2 || c->protocol == IU_P_V3) && c->config.confirmed >= 0;
  out->in_flight = c->flying.count;
  out->waiting = c->waiting.count;
  out->waiting_bytes = c->waiting.bytes;
  out->incoming_bytes = c->in_bytes;
  iu__store_stats(conn->store, &out->store);
}
