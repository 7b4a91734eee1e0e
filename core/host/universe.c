/* universe.c: a universe's life: opened in either world, closed in order, released when nothing holds it; and what it is. */
#include <stdio.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "internal.h"
#include "target.h"

iu_status iu__missing(const char *what, iu_error *err) { return iu__fail(err, IU_E_VALIDATION, "%s: expected one, got NULL", what); }

iu_status iu__check_universe(const iu_universe *u, iu_error *err) {
  if (u == NULL) return iu__missing("universe", err);
  if (!u->closed) return IU_OK;
  if (u->why.status != IU_OK) return iu__fail(err, IU_E_CLOSED, "the universe is closed: %.900s", u->why.message);
  return iu__fail(err, IU_E_CLOSED, "the universe is closed");
}

/* ---- life ---- */

static void release(iu_universe *u) {
  iu_runtime *rt = u->rt;
  if (u->c != NULL) u->c->vtable->release(u->c);
  iu__job_cancel(rt->loop, &u->ended_job);
  while (u->handlers != NULL) {
    iu_handler *h = u->handlers;
    u->handlers = h->next;
    iu__free(h);
  }
  iu__free(u);
  rt->universes--;
}

void iu__universe_reap(void *ud) {
  iu_runtime *rt = ud;
  while (rt->dead != NULL) {
    iu_universe *u = rt->dead;
    rt->dead = u->next_dead;
    release(u);
  }
}

void iu__universe_hold(iu_universe *u) { u->refs++; }

void iu__universe_drop(iu_universe *u) {
  iu_runtime *rt = u->rt;
  if (--u->refs > 0) return;
  if (rt->gates == 0) {
    release(u);
    return;
  }
  u->next_dead = rt->dead; /* what called back is still on the stack */
  rt->dead = u;
  iu__job_post(rt->loop, &rt->reap_job);
}

static iu_universe *universe_new(iu_runtime *rt, const iu_options *o, iu_error *err) {
  iu_universe *u = iu__alloc_zero(1, sizeof *u);
  if (u == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  u->rt = rt;
  u->refs = 1;
  u->ud = o->ud;
  u->on_state = o->on_state;
  u->on_closed = o->on_closed;
  u->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : IU_TIMEOUT_MS_DEFAULT;
  u->ended_end = &u->ended;
  u->ended_job = (iu_job){.fn = iu__pending_job, .ud = u};
  rt->universes++;
  return u;
}

static void adopt(iu_universe *u, iu_connection *c) {
  iu_listener listener = iu__host_listener;
  listener.ud = u;
  u->c = c;
  iu__conn_listen(c, &listener);
}

/* ---- opening ---- */

static iu_status open_embedded(iu_universe *u, const iu_target *t, const iu_options *o, iu_error *err) {
  iu_engine_config config;
  iu_hosted_module *modules = NULL;
  iu_connection *c;
  iu__engine_config_init(&config);
  config.path = t->kind == IU_TARGET_FILE ? (const char *)t->path.data : NULL;
  config.loop = u->rt->loop;
  config.log = u->rt->log;
  iu_status status = iu__options_engine(o, &config, err);
  if (status == IU_OK) status = iu__modules_hosted(u->rt, o, &modules, err);
  config.no_nerv = o->no_nerv;
  config.modules = modules;
  config.module_count = (uint32_t)o->module_count;
  if (status == IU_OK) status = iu__engine_open(&config, &c, err);
  iu__free(modules);
  if (status != IU_OK) return status;
  adopt(u, c);
  u->opened = true;
  return IU_OK;
}

static iu_status start_client(iu_universe *u, const iu_target *t, const iu_options *o, iu_error *err) {
  iu_client_config config = {.loop = u->rt->loop, .log = u->rt->log, .database = (const char *)t->database.data};
  iu_buf url = {0}, file = {0};
  iu_connection *c;
  iu_status status = iu__options_client(o, &config, err);
  iu__target_url(t, &url);
  if (config.token_file != NULL && strcmp(config.token_file, "none") == 0) config.token_file = NULL;
  if (config.token_file != NULL && strcmp(config.token_file, "auto") == 0) {
    iu__token_file_path((const char *)t->host.data, t->port, (const char *)t->database.data, &file);
    config.token_file = (const char *)file.data;
  }
  if (status == IU_OK) status = iu__buf_status(&url, err, "target");
  if (status == IU_OK) status = iu__buf_status(&file, err, "token_file");
  config.url = (const char *)url.data;
  if (status == IU_OK) status = iu__client_open(&config, &c, err);
  iu__buf_free(&url);
  iu__buf_free(&file);
  if (status == IU_OK) adopt(u, c);
  return status;
}

static iu_status open_server(iu_universe *u, const iu_target *t, const iu_options *o, iu_error *err) {
  iu_wait_for w = {0};
  iu_status status = o->background ? IU_OK : iu__may_wait(u->rt, "iu_open", "the option `background`", err);
  if (status == IU_OK) status = start_client(u, t, o, err);
  if (status != IU_OK || o->background) return status;
  u->opening = &w;
  status = iu__wait_for(u->rt, &w, 0, err);
  u->opening = NULL;
  return status;
}

iu_status iu_open(iu_runtime *rt, const char *target, const iu_options *options, iu_universe **out, iu_error *err) {
  iu_target t;
  iu_options o;
  iu_universe *u = NULL;
  iu_error why;
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  if (rt == NULL) return iu__missing("runtime", err);
  if (target == NULL) return iu__missing("target", err);
  if (err == NULL) err = &why;
  iu_status status = iu__target_parse(target, strlen(target), &t, err);
  bool server = t.kind == IU_TARGET_SERVER;
  if (status == IU_OK) status = iu__options_read(options, server, &o, err);
  if (status == IU_OK && (u = universe_new(rt, &o, err)) == NULL) status = IU_E_NOMEM;
  if (status == IU_OK) {
    u->server = server;
    status = server ? open_server(u, &t, &o, err) : open_embedded(u, &t, &o, err);
  }
  iu__target_free(&t);
  if (status == IU_OK) *out = u;
  else iu_free(u);
  return status;
}

iu_status iu_open_session(iu_universe *u, const uint8_t *identity, iu_universe **out, iu_error *err) {
  iu_options o = iu_options_default();
  iu_universe *session;
  iu_connection *c;
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  iu_status status = iu__check_universe(u, err);
  if (status == IU_OK && u->server) {
    status = iu__fail(err, IU_E_VALIDATION, "session: a connection to a server has none; connect once more with another token");
  }
  if (status != IU_OK) return status;
  o.timeout_ms = u->timeout_ms;
  session = universe_new(u->rt, &o, err);
  if (session == NULL) return IU_E_NOMEM;
  status = iu__engine_session(u->c, identity, &c, err);
  if (status != IU_OK) {
    iu_free(session);
    return status;
  }
  adopt(session, c);
  session->opened = true;
  *out = session;
  return IU_OK;
}

/* ---- closing ---- */

static void await_answers(iu_universe *u) {
  iu_error err;
  if (u->server && u->opened && iu__may_wait(u->rt, "iu_close", NULL, NULL) == IU_OK) (void)iu_flush(u, IU_CLOSE_TIMEOUT_MS, &err);
}

iu_status iu_close(iu_universe *u, iu_error *err) {
  iu_status status = IU_OK;
  iu_error why;
  if (u == NULL || u->closed) return IU_OK;
  iu__universe_hold(u);
  await_answers(u);
  if (!u->closed) { /* by a callback meanwhile */
    iu__fail(&why, IU_E_CLOSED, "the universe was closed before the answer came");
    u->closed = true;
    iu__scans_cut(u, IU_E_CLOSED);
    if (u->c != NULL) {
      u->rt->gates++; /* what closing tells is inside a callback, too: it may not turn the loop */
      status = u->c->vtable->close(u->c, err);
      u->rt->gates--;
      iu__conn_listen(u->c, NULL);
    }
    iu__subs_end(u, &why);
    iu__pending_close(u, &why);
    iu__timer_close(u->timer);
    u->timer = NULL;
  }
  iu__universe_drop(u);
  return status;
}

void iu_free(iu_universe *u) {
  if (u == NULL || u->freed) return;
  u->freed = true;
  iu_close(u, NULL);
  iu__universe_drop(u);
}

/* ---- facts ---- */

iu_runtime *iu_runtime_of(const iu_universe *u) { return u != NULL ? u->rt : NULL; }
bool iu_is_closed(const iu_universe *u) { return u == NULL || u->closed; }
bool iu_is_owner(const iu_universe *u) { return u != NULL && u->c != NULL && u->c->is_owner; }

iu_status iu_identity(const iu_universe *u, uint8_t out[32], iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  if (out == NULL) return iu__missing("out", err);
  memcpy(out, u->c->identity, 32);
  return IU_OK;
}

iu_status iu_connection_id(const iu_universe *u, uint8_t out[16], iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  if (out == NULL) return iu__missing("out", err);
  memcpy(out, u->c->connection_id, 16);
  return IU_OK;
}

void iu_hex(const uint8_t *bytes, size_t size, char *out) {
  for (size_t i = 0; i < size; i++) iu__hex(out + 2 * i, &bytes[size - 1 - i], 1);
  if (size == 0) *out = '\0';
}

static void engine_info(iu_universe *u, iu_info *info) {
  static const char *const levels[] = {"full", "normal", "off"};
  iu_engine_status s;
  iu__engine_get_status(u->c, &s);
  info->phase = IU_PHASE_CONNECTED;
  info->location = s.path != NULL ? s.path : "memory:";
  info->database = info->protocol = info->token = "";
  info->durability = levels[s.durability];
  info->rows = s.store.rows;
  info->row_bytes = s.store.row_bytes;
  info->calls = s.transactions;
  info->pending_bytes = s.journal.pending_bytes;
}

static void client_info(iu_universe *u, iu_info *info) {
  iu_client_status s;
  iu__client_get_status(u->c, &s);
  info->is_server = true;
  info->phase = s.phase;
  info->location = s.url;
  info->database = s.database;
  info->protocol = s.protocol;
  info->token = s.token;
  info->durability = s.confirmed ? "confirmed" : "unconfirmed";
  info->rows = s.store.rows;
  info->row_bytes = s.store.row_bytes;
  info->calls = s.calls;
  info->pending_bytes = s.waiting_bytes;
  info->in_flight = s.in_flight;
  info->connects = s.connects;
  info->bytes_received = s.bytes_received;
  info->bytes_sent = s.bytes_sent;
}

iu_status iu_get_info(iu_universe *u, iu_info *out, iu_error *err) {
  iu_info info = IU_ALL_ZERO;
  iu_status status = iu__check_universe(u, err);
  if (status != IU_OK) return status;
  if (out == NULL) return iu__missing("out", err);
  if (out->size == 0) return iu__fail(err, IU_E_VALIDATION, "info: size: it is 0; set it to sizeof(iu_info) before the call");
  info.size = out->size;
  if (u->server) client_info(u, &info);
  else engine_info(u, &info);
  memcpy(out, &info, out->size < sizeof info ? out->size : sizeof info);
  return IU_OK;
}
