/* engine.c: opening (modules, schema, store, journal, load, owner), the journal's news, closing.
 *
 * Open: the modules' definitions become the schema -> empty store -> journal opens and locks the file -> rows are loaded -> the
 * owner's identity comes from the file, or is made -> primary session -> `init` of modules that are new to the file -> `client_connected`.
 * Close (of the primary session): other sessions end, the primary ends, the journal writes and folds and lets go of the file.
 */
#include "session.h"

#include "../base/alloc.h"
#include "../base/clock.h"

#define CATCH_UP_MS 10000 /* an open or a close waits so long for a full journal before each transaction of its own, then runs it all the same */
#define ROOM_ANSWERS 64   /* of those who wait for room, in one turn: the first of them may fill it again */

void iu__engine_config_init(iu_engine_config *c) {
  memset(c, 0, sizeof *c);
  c->durability = IU_DUR_NORMAL;
  c->flush_interval_ms = 20;
  c->queue_items_max = IU_ENGINE_QUEUE_ITEMS_MAX;
  c->queue_bytes_max = IU_ENGINE_QUEUE_BYTES_MAX;
}

void iu__engine_ref(iu_engine *e) { e->refs++; }

void iu__engine_unref(iu_engine *e) {
  if (--e->refs > 0) return;
  if (e->journal != NULL) iu__journal_close(e->journal, NULL);
  iu__wake_close(e->wake);
  if (e->config.loop != NULL) iu__job_cancel(e->config.loop, &e->scheduled_job);
  while (e->scheduled != NULL) {
    iu_scheduled *s = e->scheduled;
    e->scheduled = s->next;
    iu__free(s);
  }
  iu__schedule_close(e);
  iu__free(e->schedule.heap);
  iu__modules_release(e);
  iu__paths_free(e);
  iu__texts_free(e);
  iu__store_free(e->store);
  iu__schema_free(e->schema);
  iu__free(e->index_base);
  iu__free(e->module_of);
  iu__free(e->sequences);
  iu__free(e->sequence_base);
  iu__free(e->sequence_values);
  iu__free(e->path);
  iu__free(e);
}

iu_status iu__engine_check_writable(const iu_engine *e, iu_error *err) {
  if (e->closed) return iu__fail(err, IU_E_CLOSED, "the universe is closed");
  if (e->failure.status == IU_OK) return IU_OK;
  if (err != NULL) *err = e->failure;
  return e->failure.status;
}

/* ---- the journal's news ---- */

void iu__engine_await(iu_engine *e, int delta) {
  e->pending_count = (uint32_t)((int)e->pending_count + delta);
  if (e->wake != NULL) iu__wake_hold(e->wake, e->pending_count > 0);
}

/* ---- a full journal ---- */

iu_status iu__engine_check_room(iu_engine *e, iu_error *err) {
  iu_journal_stats stats;
  e->turned_away = iu__journal_full(e->journal);
  if (!e->turned_away) return IU_OK;
  iu__journal_hurry(e->journal);
  iu__journal_get_stats(e->journal, &stats);
  return iu__fail(err, IU_E_OVERLOADED, "the journal is behind: %llu bytes of commits are not written yet (pending_bytes_max = %llu)",
                  (unsigned long long)stats.pending_bytes, (unsigned long long)e->config.pending_bytes_max);
}

bool iu__engine_stall(iu_engine *e) {
  if (!iu__journal_full(e->journal)) return false;
  iu__journal_hurry(e->journal);
  if (!e->stalled) iu__engine_await(e, 1);
  e->stalled = true;
  return true;
}

void iu__engine_catch_up(iu_engine *e) {
  if (iu__journal_full(e->journal)) (void)iu__journal_wait(e->journal, e->last_seq, CATCH_UP_MS, NULL);
}

/* What is due goes on. */
static void end_stall(iu_engine *e) {
  if (!e->stalled || iu__journal_full(e->journal)) return;
  e->stalled = false;
  iu__engine_await(e, -1);
  if (e->scheduled != NULL) iu__job_post(e->config.loop, &e->scheduled_job);
  iu__schedule_resume(e);
}

static void journal_wake(void *ud) { iu__wake_send(ud); } /* on the journal's thread */

static void on_journal(void *ud) {
  iu_engine *e = ud;
  iu_error why;
  iu_status failed = IU_OK;
  uint64_t durable = iu__journal_durable(e->journal, &failed, &why), folded = iu__journal_folded(e->journal);
  iu__engine_ref(e); /* the log, too, may end in a script that closes us */
  if (failed != IU_OK && e->failure.status == IU_OK) {
    e->failure = why;
    iu__log(&e->config.log, IU_LOG_ERROR, "journal: %s", why.message);
  }
  /* An answer may close sessions, or the engine: start from the front after each. */
  uint32_t room = ROOM_ANSWERS;
  for (iu_session *s = e->sessions; s != NULL && !e->closing;) {
    if (iu__session_answer_one(s, durable, folded, &room, failed, &why)) s = e->sessions;
    else s = s->next;
  }
  if (!e->closing) end_stall(e);
  if (!e->closing && room == 0) iu__job_post(e->config.loop, &e->room_job);
  iu__engine_unref(e);
}

static void on_scheduled(void *ud) {
  iu_engine *e = ud;
  iu_scheduled *s = e->scheduled;
  iu_caller caller = {.session = NULL};
  uint64_t seq;
  iu_error err;
  if (s == NULL || e->closing || iu__engine_stall(e)) return;
  e->scheduled = s->next;
  if (e->scheduled == NULL) e->scheduled_end = &e->scheduled;
  else iu__job_post(e->config.loop, &e->scheduled_job);
  memcpy(caller.identity, e->database_identity, 32);
  iu__engine_ref(e); /* what the reducer logs may end in a script that closes us */
  if (iu__transaction_call(e, s->reducer, s->args, s->args_len, &caller, &seq, &err) != IU_OK) {
    iu__log(&e->config.log, IU_LOG_ERROR, "scheduled %s: %s", e->schema->reducers[s->reducer].name, err.message);
  }
  iu__engine_unref(e);
  iu__free(s);
}

/* ---- opening: the file ---- */

static void log_difference(void *ud, const char *table, const char *what) {
  const iu_engine *e = ud;
  iu__log(&e->config.log, IU_LOG_WARN, "the file's table `%s` is not that of the schema: %s", table, what);
}

static iu_status open_journal(iu_engine *e, iu_error *err) {
  iu_journal_config jc;
  iu__journal_config_init(&jc);
  jc.path = e->path;
  jc.snapshot = e->config.snapshot;
  jc.known_only = e->config.known_only;
  jc.recover_prefix = e->config.recover_prefix;
  jc.differs = e->config.differs != NULL ? e->config.differs : log_difference;
  jc.differs_ud = e->config.differs != NULL ? e->config.differs_ud : e;
  jc.schema = e->schema;
  jc.durability = e->config.durability;
  jc.flush_interval_ms = e->config.flush_interval_ms;
  if (e->config.fold_bytes != 0) jc.fold_bytes = e->config.fold_bytes;
  if (e->config.pending_bytes_max != 0) jc.pending_bytes_max = e->config.pending_bytes_max;
  if (jc.pending_bytes_max < IU_ENGINE_PENDING_BYTES_MIN) {
    return iu__fail(err, IU_E_VALIDATION, "pending_bytes_max: expected at least %u, got %llu", IU_ENGINE_PENDING_BYTES_MIN,
                    (unsigned long long)jc.pending_bytes_max);
  }
  e->config.pending_bytes_max = jc.pending_bytes_max;
  jc.wake = journal_wake;
  jc.wake_ud = e->wake;
  return iu__journal_open(&jc, &e->journal, err);
}

/* Of a new file: the given one, or a random one. */
static iu_status identity_of(iu_engine *e, iu_meta which, const uint8_t *given, uint8_t out[32], iu_error *err) {
  size_t len = 0;
  const uint8_t *stored = iu__journal_meta(e->journal, which, &len);
  iu_status status;
  if (stored != NULL && len == 32) {
    memcpy(out, stored, 32);
    return IU_OK;
  }
  if (stored != NULL) return iu__fail(err, IU_E_STORAGE, "the file's identity has %zu bytes, expected 32", len);
  status = given == NULL ? iu__random(out, 32, err) : IU_OK;
  if (given != NULL) memcpy(out, given, 32);
  return status == IU_OK ? iu__journal_set_meta(e->journal, which, out, 32, err) : status;
}

/* ---- opening: sessions ---- */

#define STALE_MAX 4096 /* more than that many connections of a run that died are left as they are */

typedef struct stale { uint8_t identity[32], connection_id[16]; } stale;

/* Connections that a run which died left open, as a table of the module remembers them: `client_connection` with the columns
 * connection_id, identity and status "connected". Their number; 0 where there is no such table. */
static uint32_t find_stale(iu_engine *e, stale *out) {
  int table = iu__schema_table(e->schema, "client_connection", 17);
  const iu_table_def *def = table >= 0 ? &e->schema->tables[table] : NULL;
  int id = def != NULL ? iu__table_def_column(def, "connection_id", 13) : -1, who = def != NULL ? iu__table_def_column(def, "identity", 8) : -1;
  int status = def != NULL ? iu__table_def_column(def, "status", 6) : -1;
  const iu_row *row;
  uint32_t n = 0;
  iu_iter *it;
  if (id < 0 || who < 0 || status < 0 || def->row->u.fields[id].type->special != IU_S_CONNECTION_ID ||
      def->row->u.fields[who].type->special != IU_S_IDENTITY || def->row->u.fields[status].type->tag != IU_T_STRING) {
    return 0;
  }
  if (iu__table_iter(iu__store_table(e->store, (uint32_t)table), IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, NULL) != IU_OK) return 0;
  while (n < STALE_MAX && (row = iu__iter_next(it)) != NULL) {
    iu_slice s = iu__bsatn_column(def->row, (uint32_t)status, row->data, row->len);
    if (s.len != 4 + 9 || memcmp(s.p + 4, "connected", 9) != 0) continue;
    memcpy(out[n].connection_id, iu__bsatn_column(def->row, (uint32_t)id, row->data, row->len).p, 16);
    memcpy(out[n++].identity, iu__bsatn_column(def->row, (uint32_t)who, row->data, row->len).p, 32);
  }
  iu__iter_close(it);
  return n;
}

/* As a SpacetimeDB server does after a restart: each of them gets its client_disconnected. */
static iu_status end_stale(iu_engine *e, iu_error *err) {
  stale *list = iu__alloc(STALE_MAX * sizeof *list);
  iu_status status = IU_OK;
  if (list == NULL) return iu__fail_nomem(err);
  uint32_t n = find_stale(e, list);
  for (uint32_t i = 0; i < n && status == IU_OK; i++) {
    iu_error why;
    iu__engine_catch_up(e);
    status = iu__lifecycle_call(e, IU_LC_DISCONNECT, list[i].identity, list[i].connection_id, &why);
    if (status == IU_OK || status == IU_E_STORAGE || status == IU_E_NOMEM) {
      if (status != IU_OK && err != NULL) *err = why;
      continue;
    }
    iu__log(&e->config.log, IU_LOG_WARN, "client_disconnected: %s", why.message);
    status = IU_OK;
  }
  iu__free(list);
  return status;
}

static iu_status first_session(iu_engine *e, iu_session **out, iu_error *err) {
  uint8_t connection_id[16];
  iu_status status = iu__random(connection_id, 16, err);
  if (status == IU_OK) status = iu__session_new(e, e->owner, connection_id, out, err);
  if (status != IU_OK) return status;
  (*out)->primary = true;
  status = iu__modules_init(e, err);
  if (status == IU_OK) status = end_stale(e, err);
  return status == IU_OK ? iu__session_greet(*out, err) : status;
}

iu_status iu__engine_prepare(iu_engine *e, iu_error *err) {
  iu_status status = iu__wake_new(e->config.loop, on_journal, e, &e->wake, err);
  if (status == IU_OK) status = iu__modules_merge(e, err);
  if (status == IU_OK) status = iu__store_new(e->schema, &e->store, err);
  if (status == IU_OK) status = iu__paths_init(e, err);
  if (status == IU_OK) status = open_journal(e, err);
  return status == IU_OK ? iu__engine_load(e, err) : status;
}

static iu_status engine_start(iu_engine *e, iu_session **out, iu_error *err) {
  iu_status status = iu__engine_prepare(e, err);
  if (status == IU_OK) status = identity_of(e, IU_META_OWNER, e->config.owner, e->owner, err);
  if (status == IU_OK) status = identity_of(e, IU_META_DATABASE_IDENTITY, NULL, e->database_identity, err);
  if (status == IU_OK) status = iu__schedule_open(e, err);
  if (status == IU_OK) status = iu__modules_bind(e, err);
  return status == IU_OK ? first_session(e, out, err) : status;
}

static void release_given(const iu_engine_config *config) {
  for (uint32_t i = 0; i < config->module_count; i++) {
    if (config->modules[i].release != NULL) config->modules[i].release(config->modules[i].ud);
  }
}

iu_status iu__engine_make(const iu_engine_config *config, iu_engine **out, iu_error *err) {
  iu_engine *e = iu__alloc_zero(1, sizeof *e);
  iu_status status = IU_OK;
  *out = NULL;
  if (e == NULL) {
    release_given(config);
    return iu__fail_nomem(err);
  }
  e->refs = 1;
  e->config = *config;
  if (e->config.queue_items_max == 0) e->config.queue_items_max = IU_ENGINE_QUEUE_ITEMS_MAX;
  if (e->config.queue_bytes_max == 0) e->config.queue_bytes_max = IU_ENGINE_QUEUE_BYTES_MAX;
  e->scheduled_end = &e->scheduled;
  e->scheduled_job.fn = on_scheduled;
  e->scheduled_job.ud = e;
  e->room_job.fn = on_journal;
  e->room_job.ud = e;
  e->modules = iu__alloc_zero(config->module_count + 1u, sizeof *e->modules);
  if (e->modules == NULL) {
    release_given(config);
    status = iu__fail_nomem(err);
  } else status = iu__modules_take(e, config, err);
  if (status == IU_OK && config->path != NULL && (e->path = iu__strndup(config->path, strlen(config->path))) == NULL) status = iu__fail_nomem(err);
  if (status == IU_OK) *out = e;
  else iu__engine_unref(e);
  return status;
}

iu_status iu__engine_open(const iu_engine_config *config, iu_connection **out, iu_error *err) {
  iu_engine *e;
  iu_session *s = NULL;
  iu_status status = iu__engine_make(config, &e, err);
  *out = NULL;
  if (status != IU_OK) return status;
  status = engine_start(e, &s, err);
  e->config.owner = NULL; /* what was borrowed for the open */
  e->config.modules = NULL;
  if (status != IU_OK && s != NULL) s->base.vtable->release(&s->base);
  iu__engine_unref(e); /* its sessions keep it */
  if (status == IU_OK) *out = &s->base;
  return status;
}

iu_status iu__engine_session(iu_connection *any, const uint8_t identity[32], iu_connection **out, iu_error *err) {
  iu_engine *e = iu__session_of(any)->engine;
  uint8_t fresh[32], connection_id[16];
  iu_session *s;
  iu_status status = IU_OK;
  *out = NULL;
  if (e->closed || e->closing || any->closed) return iu__fail(err, IU_E_CLOSED, "the connection is closed");
  if (e->session_count >= IU_ENGINE_SESSIONS_MAX) return iu__fail(err, IU_E_OVERLOADED, "more than %d sessions", IU_ENGINE_SESSIONS_MAX);
  status = iu__engine_check_room(e, err);
  if (status != IU_OK) return status;
  if (identity == NULL) {
    status = iu__random(fresh, 32, err);
    identity = fresh;
  }
  if (status == IU_OK) status = iu__random(connection_id, 16, err);
  if (status == IU_OK) status = iu__session_new(e, identity, connection_id, &s, err);
  if (status != IU_OK) return status;
  status = iu__session_greet(s, err);
  if (status != IU_OK) {
    s->base.vtable->release(&s->base);
    return status;
  }
  *out = &s->base;
  return IU_OK;
}

/* ---- status and closing ---- */

void iu__engine_get_status(iu_connection *c, iu_engine_status *out) {
  iu_engine *e = iu__session_of(c)->engine;
  memset(out, 0, sizeof *out);
  out->path = e->path;
  out->durability = e->config.durability;
  out->sessions = e->session_count;
  out->epoch = iu__store_epoch(e->store);
  out->recovery = e->recovery;
  out->recovered = !e->recovery.clean && e->recovery.last_sequence > 0;
  out->transactions = e->transactions;
  out->rejected = e->rejected;
  memcpy(out->owner, e->owner, 32);
  memcpy(out->database_identity, e->database_identity, 32);
  iu__store_stats(e->store, &out->store);
  if (e->journal != NULL) iu__journal_get_stats(e->journal, &out->journal);
}

void iu__engine_get_live_stats(iu_connection *c, iu_engine_live_stats *out) {
  *out = iu__session_of(c)->live.stats;
  out->queries = iu__session_of(c)->live.count;
}

iu_status iu__engine_fold(iu_connection *c, int64_t timeout_ms, iu_error *err) {
  iu_engine *e = iu__session_of(c)->engine;
  if (e->journal == NULL) return iu__fail(err, IU_E_CLOSED, "the universe is closed");
  return iu__journal_fold(e->journal, timeout_ms, err);
}

const char *iu__engine_file(iu_connection *c) {
  iu_engine *e = iu__session_of(c)->engine;
  return e->journal != NULL ? iu__journal_path(e->journal) : NULL;
}

iu_status iu__engine_close(iu_engine *e, iu_error *err) {
  iu_error why;
  iu_status status;
  iu_session *s;
  if (e->closing) return IU_OK;
  e->closing = true;
  iu__schedule_close(e);
  iu__engine_ref(e);
  /* Ending one runs its goodbye and its listener: look from the front again each time. The primary one goes last. */
  for (bool primary = false;; primary = true) {
    for (s = e->sessions; s != NULL; s = e->sessions) {
      while (s != NULL && s->primary != primary) s = s->next;
      if (s == NULL) break;
      iu__session_retain(s); /* its listener may release it meanwhile */
      iu__session_end(s, !primary);
      iu__session_unref(s);
    }
    if (primary) break;
  }
  status = iu__journal_close(e->journal, &why);
  if (status != IU_OK && e->failure.status == IU_OK) e->failure = why; /* for calls that are still on the stack */
  e->journal = NULL;
  e->closed = true;
  iu__wake_close(e->wake);
  e->wake = NULL;
  iu__job_cancel(e->config.loop, &e->scheduled_job);
  iu__job_cancel(e->config.loop, &e->room_job);
  if (status != IU_OK && err != NULL) *err = why;
  iu__engine_unref(e);
  return status;
}
