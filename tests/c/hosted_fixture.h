/* hosted_fixture.h: an engine over a hosted module of the test's own, `game`: table player (id U64 auto-increment primary key, name String unique, x F32
 * indexed), private table note (text String, no primary key), scheduled table tick (id U64 auto-increment primary key, at ScheduleAt, label String), reducers
 * act(n U64), other(n U64) and on_tick(row), whose bodies each test sets, and the three lifecycles, which note down that they ran. */
#ifndef HOSTED_FIXTURE_H
#define HOSTED_FIXTURE_H

#include "sats_schema_fixture.h"
#include "scratch_fixture.h"

#include "../../core/base/clock.h"
#include "../../core/base/errinj.h"
#include "../../core/engine/engine.h"
#include "../../core/sats/schema_write.h"

enum { PLAYER, NOTE, TICK };
enum { ACT, OTHER, ON_TICK, INIT, CONNECTED, DISCONNECTED };

typedef struct game game;
typedef iu_status (*game_body)(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err);
struct game {
  iu_loop *loop;
  iu_connection *c;
  iu_error err;
  const iu_schema *schema;
  iu_store *store;
  iu_tx *tx;
  uint32_t first_table, first_reducer;
  const char *name;
  game_body act, other, on_tick, lifecycle;
  iu_status (*more)(game *g, iu_schema_writer *w); /* adds to the definition */
  bool no_nerv, recover;
  iu_durability durability;
  uint64_t pending_bytes_max;
  int inits, connects, disconnects, releases;
  char path[SCRATCH_PATH_MAX];
  iu_log log;
  char said[4096];                /* by bodies */
  uint64_t number;
};

static inline iu_status game_declare(game *g, iu_schema_writer *w) {
  static const char *const by_x[] = {"x"}, *const by_name[] = {"name"};
  uint32_t t, r;
  const iu_type *u64 = iu__type_scalar(IU_T_U64), *string = iu__type_scalar(IU_T_STRING);
  iu__schema_writer_table(w, "player", true, &t, NULL);
  iu__schema_writer_column(w, t, "id", u64, NULL, 0, NULL);
  iu__schema_writer_column(w, t, "name", string, NULL, 0, NULL);
  iu__schema_writer_column(w, t, "x", iu__type_scalar(IU_T_F32), NULL, 0, NULL);
  iu__schema_writer_primary_key(w, t, "id", NULL);
  iu__schema_writer_auto_inc(w, t, "id", NULL);
  iu__schema_writer_unique(w, t, by_name, 1, NULL);
  iu__schema_writer_index(w, t, NULL, by_x, 1, NULL);
  iu__schema_writer_table(w, "note", false, &t, NULL);
  iu__schema_writer_column(w, t, "text", string, NULL, 0, NULL);
  iu__schema_writer_table(w, "tick", true, &t, NULL);
  iu__schema_writer_column(w, t, "id", u64, NULL, 0, NULL);
  iu__schema_writer_column(w, t, "at", iu__type_special(IU_S_SCHEDULE_AT), NULL, 0, NULL);
  iu__schema_writer_column(w, t, "label", string, NULL, 0, NULL);
  iu__schema_writer_primary_key(w, t, "id", NULL);
  iu__schema_writer_auto_inc(w, t, "id", NULL);
  iu__schema_writer_schedule(w, t, "at", "on_tick", NULL);
  iu__schema_writer_reducer(w, "act", IU_LC_NONE, &r, NULL);
  iu__schema_writer_param(w, r, "n", u64, NULL);
  iu__schema_writer_reducer(w, "other", IU_LC_NONE, &r, NULL);
  iu__schema_writer_param(w, r, "n", u64, NULL);
  iu__schema_writer_reducer(w, "on_tick", IU_LC_NONE, &r, NULL);
  iu__schema_writer_reducer(w, "init", IU_LC_INIT, &r, NULL);
  iu__schema_writer_reducer(w, "client_connected", IU_LC_CONNECT, &r, NULL);
  iu__schema_writer_reducer(w, "client_disconnected", IU_LC_DISCONNECT, &r, NULL);
  return g->more != NULL ? g->more(g, w) : IU_OK;
}

static inline iu_status game_define(void *ud, iu_buf *out, iu_error *err) {
  iu_schema_writer *w = iu__schema_writer_new();
  if (w == NULL) return iu__fail_nomem(err);
  game_declare(ud, w);
  iu_status status = iu__schema_writer_end(w, out, err);
  iu__schema_writer_free(w);
  return status;
}

static inline iu_status game_bound(void *ud, const iu_schema *schema, iu_store *store, uint32_t table, uint32_t reducer, iu_tx *tx, iu_error *err) {
  game *g = ud;
  (void)err;
  g->schema = schema;
  g->store = store;
  g->first_table = table;
  g->first_reducer = reducer;
  g->tx = tx;
  return IU_OK;
}

static inline iu_status game_run(void *ud, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  game *g = ud;
  game_body body = call->reducer == ACT ? g->act : call->reducer == OTHER ? g->other : call->reducer == ON_TICK ? g->on_tick : g->lifecycle;
  g->inits += call->reducer == INIT;
  g->connects += call->reducer == CONNECTED;
  g->disconnects += call->reducer == DISCONNECTED;
  return body != NULL ? body(g, tx, call, err) : IU_OK;
}

static inline void game_release(void *ud) { ((game *)ud)->releases++; }

static inline iu_hosted_module game_module(game *g) {
  return (iu_hosted_module){g->name, g, game_define, game_bound, game_run, game_release};
}

static inline iu_status game_open(game *g, const char *path) {
  iu_hosted_module module = game_module(g);
  iu_engine_config config;
  iu__engine_config_init(&config);
  config.path = path;
  config.no_nerv = g->no_nerv;
  config.modules = &module;
  config.module_count = 1;
  config.durability = g->durability;
  config.recover_prefix = g->recover;
  config.pending_bytes_max = g->pending_bytes_max;
  config.loop = g->loop;
  config.log = g->log;
  return iu__engine_open(&config, &g->c, &g->err);
}

static inline int game_setup(void **state) {
  game *g = calloc(1, sizeof *g);
  assert_non_null(g);
  g->name = "game";
  g->no_nerv = true;
  g->durability = IU_DUR_NORMAL;
  assert_int_equal(iu__loop_new(NULL, &g->loop, &g->err), IU_OK);
  if (game_open(g, NULL) != IU_OK) fail_msg("open: %s", g->err.message);
  *state = g;
  return 0;
}

static inline void game_close(game *g) {
  if (g->c != NULL) g->c->vtable->release(g->c);
  g->c = NULL;
}

/* A universe on a file of the test's own takes the place of the one that is open. */
static inline iu_status game_reopen(game *g) {
  if (g->path[0] == '\0') scratch_path(g->path, "hosted");
  game_close(g);
  return game_open(g, g->path);
}

static inline int game_teardown(void **state) {
  game *g = *state;
  game_close(g);
  if (g->path[0] != '\0') scratch_remove(g->path);
  iu__loop_free(g->loop);
  free(g);
  return 0;
}

/* Room that the tests' own writing never has to ask for, whatever allocation fails. */
static inline iu_buf with_room(size_t n) { return (iu_buf){.data = malloc(n), .cap = n}; }

static inline iu_status call_number(game *g, uint32_t own, uint64_t n) {
  iu_buf args = with_room(8);
  uint64_t pending;
  iu__buf_put_u64(&args, n);
  iu_status status = g->c->vtable->call(g->c, g->first_reducer + own, args.data, args.len, &pending, &g->err);
  iu__buf_free(&args);
  return status;
}
static inline iu_status act(game *g, game_body body, uint64_t n) {
  g->act = body;
  return call_number(g, ACT, n);
}

static inline iu_status put_player(game *g, iu_tx *tx, uint64_t id, const char *name, float x, const iu_row **stored, iu_error *err) {
  iu_buf row = with_room(64 + strlen(name));
  uint32_t bits;
  memcpy(&bits, &x, 4);
  iu__buf_put_u64(&row, id);
  put_text(&row, name);
  iu__buf_put_u32(&row, bits);
  assert_false(row.failed);
  iu_status status = iu__tx_put(tx, g->first_table + PLAYER, row.data, row.len, stored, err);
  iu__buf_free(&row);
  return status;
}

/* An interval (time false) or a time, in microseconds. */
static inline iu_status put_tick(game *g, iu_tx *tx, uint64_t id, bool time, int64_t micros, const char *label, const iu_row **stored, iu_error *err) {
  iu_buf row = with_room(64 + strlen(label));
  iu__buf_put_u64(&row, id);
  iu__buf_put_u8(&row, time);
  iu__buf_put_u64(&row, (uint64_t)micros);
  put_text(&row, label);
  assert_false(row.failed);
  iu_status status = iu__tx_put(tx, g->first_table + TICK, row.data, row.len, stored, err);
  iu__buf_free(&row);
  return status;
}

static inline uint64_t count_of(const game *g, uint32_t own) {
  return iu__table_count(iu__store_table(g->store, g->first_table + own), iu__store_epoch(g->store));
}

static inline const iu_row *find_id(const game *g, uint32_t own, uint64_t id) {
  uint8_t key[8];
  for (int i = 0; i < 8; i++) key[i] = (uint8_t)(id >> 8 * i);
  return iu__table_get(iu__store_table(g->store, g->first_table + own), IU_EPOCH_LATEST, key, 8);
}

#endif
