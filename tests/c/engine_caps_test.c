/* engine_caps_test.c: the engine's caps that no other test meets: what is at the cap goes, what is past it is refused with words that name it, and nothing else changes. */
#include "../../core/engine/internal.h" /* first: the fixtures have short names */

#include "engine_fixture.h"
#include "hosted_fixture.h"

#define WAITING 10 /* queries of a text each, so that a subscription costs little */

static uint64_t subscribe(fixture *f, const char *sql) {
  iu_slice query = {(const uint8_t *)sql, strlen(sql)};
  uint64_t id = 0;
  return f->c->vtable->subscribe(f->c, &query, 1, &id, &f->err) == IU_OK ? id : 0;
}

static void subscriptions_of_a_connection(void **state) {
  fixture *f = *state;
  uint64_t first = 0;
  for (int i = 0; i < IU_ENGINE_SUBSCRIPTIONS_MAX; i++) {
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT * FROM item WHERE grp = %d", i % WAITING);
    uint64_t id = subscribe(f, sql);
    if (id == 0) fail_msg("subscription %d: %s", i, f->err.message);
    if (i == 0) first = id;
  }
  assert_int_equal(subscribe(f, "SELECT * FROM item"), 0);
  assert_int_equal(f->err.status, IU_E_OVERLOADED);
  assert_non_null(strstr(f->err.message, "more than 10000 subscriptions on one connection"));
  assert_int_equal(f->c->vtable->unsubscribe(f->c, first, &f->err), IU_OK);
  while (f->c->vtable->deliver(f->c)) {}
  assert_int_not_equal(subscribe(f, "SELECT * FROM item"), 0);
}

static void sessions_of_a_universe(void **state) {
  fixture *f = *state;
  iu_connection *last = NULL, **all = calloc(IU_ENGINE_SESSIONS_MAX, sizeof *all);
  assert_non_null(all);
  for (int i = 0; i < IU_ENGINE_SESSIONS_MAX - 1; i++) { /* the owner's is one */
    if (iu__engine_session(f->c, NULL, &all[i], &f->err) != IU_OK) fail_msg("session %d: %s", i, f->err.message);
  }
  assert_int_equal(iu__engine_session(f->c, NULL, &last, &f->err), IU_E_OVERLOADED);
  assert_non_null(strstr(f->err.message, "more than 10000 sessions"));
  all[0]->vtable->release(all[0]);
  assert_int_equal(iu__engine_session(f->c, NULL, &all[0], &f->err), IU_OK);
  for (int i = 0; i < IU_ENGINE_SESSIONS_MAX - 1; i++) all[i]->vtable->release(all[i]);
  free(all);
}

static void bytes_of_arguments(void **state) {
  fixture *f = *state;
  char *note = malloc(IU_ENGINE_ARGS_BYTES_MAX);
  assert_non_null(note);
  memset(note, 'x', IU_ENGINE_ARGS_BYTES_MAX);
  note[IU_ENGINE_ARGS_BYTES_MAX - 4] = '\0'; /* with its length the cap exactly */
  assert_int_equal(run_on(f, f->c, NULL, note, NULL), IU_OK);
  note[IU_ENGINE_ARGS_BYTES_MAX - 4] = 'x', note[IU_ENGINE_ARGS_BYTES_MAX - 3] = '\0';
  assert_int_equal(run_on(f, f->c, NULL, note, NULL), IU_E_OVERLOADED);
  assert_non_null(strstr(f->err.message, "run: arguments of 33558529 bytes, the limit is 33558528"));
  free(note);
}

static int32_t open_iterators(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint32_t it, id = table_id(h, "item");
  (void)f; (void)args; (void)err;
  for (int i = 0; i < IU_HOST_ITERS_MAX; i++) assert_int_equal(iu__stdb_datastore_table_scan_bsatn(h, id, &it), 0);
  assert_int_equal(iu__stdb_datastore_table_scan_bsatn(h, id, &it), IU_ABI_NO_SPACE);
  return 0;
}
static int32_t reuse_iterators(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint32_t it, id = table_id(h, "item");
  (void)f; (void)args; (void)err;
  for (int i = 0; i < 2 * IU_HOST_ITERS_MAX; i++) {
    assert_int_equal(iu__stdb_datastore_table_scan_bsatn(h, id, &it), 0);
    assert_int_equal(iu__stdb_row_iter_bsatn_close(h, it), 0);
  }
  return 0;
}
static void iterators_of_a_reducer(void **state) {
  fixture *f = *state;
  assert_int_equal(run(f, open_iterators), IU_E_OVERLOADED);
  assert_non_null(strstr(f->err.message, "more than 1024 open iterators in one reducer"));
  assert_int_equal(run(f, reuse_iterators), IU_OK);
}

static int32_t start_timers(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  (void)f; (void)args; (void)err;
  for (uint32_t i = 0; i < IU_HOST_TIMERS_MAX; i++) assert_int_equal(iu__stdb_console_timer_start(h, "t", 1), i + 1);
  assert_int_equal(iu__stdb_console_timer_start(h, "t", 1), 0); /* one too many measures nothing */
  assert_int_equal(iu__stdb_console_timer_end(h, 0), IU_ABI_NO_SUCH_CONSOLE_TIMER);
  assert_int_equal(iu__stdb_console_timer_end(h, 7), 0);
  assert_int_equal(iu__stdb_console_timer_start(h, "t", 1), 7);
  return 0;
}
static void timers_of_a_reducer(void **state) { assert_int_equal(run(*state, start_timers), IU_OK); }

/* ---- modules ---- */

static uint32_t sequences_now;
static iu_status many_sequences(game *g, iu_schema_writer *w) {
  uint32_t t;
  (void)g;
  iu__schema_writer_table(w, "counters", true, &t, NULL);
  for (uint32_t i = 0; i < sequences_now; i++) {
    char name[16];
    snprintf(name, sizeof name, "c%u", i);
    iu__schema_writer_column(w, t, name, iu__type_scalar(IU_T_U64), NULL, 0, NULL);
    iu__schema_writer_auto_inc(w, t, name, NULL);
  }
  return IU_OK;
}
static void sequences_of_a_table(void **state) {
  game *g = *state;
  g->more = many_sequences;
  sequences_now = IU_SEQUENCE_COLUMNS_MAX;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  sequences_now++;
  game_close(g);
  assert_int_equal(game_open(g, NULL), IU_E_VALIDATION);
  assert_non_null(strstr(g->err.message, "table counters: more than 16 sequences"));
}

static void ignore_release(void *ud) { ++*(int *)ud; }
static void modules_of_a_universe(void **state) {
  game *g = *state;
  iu_hosted_module modules[IU_ENGINE_MODULES_MAX];
  iu_engine_config config;
  iu_connection *c = NULL;
  int released = 0;
  memset(modules, 0, sizeof modules);
  for (int i = 0; i < IU_ENGINE_MODULES_MAX; i++) modules[i] = (iu_hosted_module){.name = "m", .ud = &released, .release = ignore_release};
  iu__engine_config_init(&config);
  config.modules = modules;
  config.module_count = IU_ENGINE_MODULES_MAX; /* and NERV's own */
  config.loop = g->loop;
  assert_int_equal(iu__engine_open(&config, &c, &g->err), IU_E_OVERLOADED);
  assert_non_null(strstr(g->err.message, "65 modules, at most 64 are hosted by one universe"));
  assert_int_equal(released, IU_ENGINE_MODULES_MAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define G(name) cmocka_unit_test_setup_teardown(name, game_setup, game_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      T(subscriptions_of_a_connection), T(sessions_of_a_universe), T(bytes_of_arguments), T(iterators_of_a_reducer), T(timers_of_a_reducer),
      G(sequences_of_a_table), G(modules_of_a_universe)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
