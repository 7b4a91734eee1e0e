/* engine_pressure_test.c: a full journal: who is refused, who waits, and that nothing blocks. The disk is slow because the test holds SQLite's write lock. */
#include <sqlite3.h>

#include "hosted_fixture.h"

#define CAP (64u << 10)
#define LIMIT_MS 2000 /* the journal's thread waits 5 s for the lock: whoever blocks on it is found out */

typedef struct pressure { game *g; sqlite3 *holder; uint64_t answers; iu_status last; } pressure;

static void on_answer(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  pressure *p = ud;
  (void)id, (void)err, (void)rows, (void)value;
  p->answers++;
  p->last = status;
}

static void do_sql(pressure *p, const char *sql) {
  if (sqlite3_exec(p->holder, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(p->holder));
}

static void begin(pressure *p, game *g) {
  iu_listener listener = {.ud = p, .answer = on_answer};
  *p = (pressure){.g = g};
  g->pending_bytes_max = CAP;
  if (game_reopen(g) != IU_OK) fail_msg("open: %s", g->err.message);
  iu__conn_listen(g->c, &listener);
  assert_int_equal(sqlite3_open(g->path, &p->holder), SQLITE_OK);
  sqlite3_busy_timeout(p->holder, 5000);
}

static void end(pressure *p) {
  sqlite3_close(p->holder);
  game_close(p->g);
}

static iu_status put_large(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  static char name[2 * CAP];
  memset(name, 'n', sizeof name - 1);
  snprintf(name, 24, "%020llu", (unsigned long long)iu__load_u64(call->args.p));
  name[20] = 'n';
  return put_player(g, tx, 0, name, 1, NULL, err);
}

static iu_status put_small(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  char name[32];
  snprintf(name, sizeof name, "small %llu", (unsigned long long)iu__load_u64(call->args.p));
  g->number++;
  return put_player(g, tx, 0, name, 1, NULL, err);
}

/* From here on the journal is full, until `let_go`. */
static void fill(pressure *p, game_body body) {
  do_sql(p, "BEGIN IMMEDIATE");
  assert_int_equal(act(p->g, body, 0), IU_OK); /* larger than the cap, and let in */
}
static void let_go(pressure *p) { do_sql(p, "COMMIT"); }

static void turn_until_answered(pressure *p, uint64_t answers) {
  int64_t stop = iu__clock_micros() + 5000000;
  while (p->answers < answers && iu__clock_micros() < stop) iu__loop_turn(p->g->loop, 5);
  assert_int_equal(p->answers, answers);
}

static void a_call_is_refused_at_once_and_hears_of_room(void **state) {
  game *g = *state;
  pressure p;
  bool full;
  uint64_t pending;
  int64_t started;
  begin(&p, g);
  assert_int_equal(act(g, put_small, 1), IU_OK);
  assert_int_equal(iu__engine_ask_room(g->c, &full, &pending, &g->err), IU_OK);
  assert_false(full);
  fill(&p, put_large);
  started = iu__clock_micros();
  assert_int_equal(act(g, put_small, 2), IU_E_OVERLOADED);
  assert_non_null(strstr(g->err.message, "pending_bytes_max = 65536"));
  assert_int_equal(g->number, 1); /* it did not run */
  assert_int_equal(count_of(g, PLAYER), 2);
  assert_int_equal(iu__engine_ask_room(g->c, &full, &pending, &g->err), IU_OK);
  assert_true(full && pending != 0);
  for (int i = 0; i < 5; i++) iu__loop_turn(g->loop, 5);
  assert_int_equal(p.answers, 0);
  assert_true(iu__clock_micros() - started < LIMIT_MS * 1000);
  let_go(&p);
  turn_until_answered(&p, 1);
  assert_int_equal(p.last, IU_OK);
  assert_int_equal(act(g, put_small, 3), IU_OK);
  assert_int_equal(iu__engine_ask_room(g->c, &full, &pending, &g->err), IU_OK);
  assert_false(full); /* another refusal is not about room */
  end(&p);
}

static void many_wait_and_all_are_told(void **state) {
  game *g = *state;
  pressure p;
  bool full;
  uint64_t pending;
  begin(&p, g);
  fill(&p, put_large);
  assert_int_equal(act(g, put_small, 2), IU_E_OVERLOADED);
  for (int i = 0; i < 200; i++) {
    assert_int_equal(iu__engine_ask_room(g->c, &full, &pending, &g->err), IU_OK);
    assert_true(full && pending != 0);
  }
  let_go(&p);
  turn_until_answered(&p, 200);
  end(&p);
}

static void a_session_is_refused(void **state) {
  game *g = *state;
  pressure p;
  iu_connection *other;
  bool full;
  uint64_t pending;
  begin(&p, g);
  fill(&p, put_large);
  assert_int_equal(iu__engine_session(g->c, NULL, &other, &g->err), IU_E_OVERLOADED);
  assert_null(other);
  assert_int_equal(iu__engine_ask_room(g->c, &full, &pending, &g->err), IU_OK);
  assert_true(full);
  let_go(&p);
  turn_until_answered(&p, 1);
  assert_int_equal(iu__engine_session(g->c, NULL, &other, &g->err), IU_OK);
  other->vtable->release(other);
  end(&p);
}

static iu_status put_large_and_tick(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  put_tick(g, tx, 0, true, call->timestamp, "due", NULL, err);
  return put_large(g, tx, call, err);
}
static iu_status note_run(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)tx, (void)call, (void)err;
  g->number++;
  return IU_OK;
}

static void scheduled_rows_wait(void **state) {
  game *g = *state;
  pressure p;
  int64_t started, stop;
  g->on_tick = note_run;
  begin(&p, g);
  fill(&p, put_large_and_tick);
  started = iu__clock_micros();
  for (int i = 0; i < 10; i++) iu__loop_turn(g->loop, 5);
  assert_int_equal(g->number, 0);
  assert_true(iu__clock_micros() - started < LIMIT_MS * 1000);
  let_go(&p);
  stop = iu__clock_micros() + 5000000;
  while (g->number == 0 && iu__clock_micros() < stop) iu__loop_turn(g->loop, -1); /* without a limit: it waits for the journal, not for nothing */
  assert_int_equal(g->number, 1);
  assert_int_equal(count_of(g, TICK), 0);
  end(&p);
}

static void a_close_answers_those_who_wait(void **state) {
  game *g = *state;
  pressure p;
  bool full;
  uint64_t pending;
  begin(&p, g);
  fill(&p, put_large);
  assert_int_equal(act(g, put_small, 2), IU_E_OVERLOADED);
  assert_int_equal(iu__engine_ask_room(g->c, &full, &pending, &g->err), IU_OK);
  let_go(&p);
  assert_int_equal(g->c->vtable->close(g->c, &g->err), IU_OK);
  assert_int_equal(p.answers, 1);
  assert_int_equal(p.last, IU_E_CLOSED);
  assert_int_equal(g->disconnects, 2); /* of the universe before this one, too */
  end(&p);
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 1);
}

static void the_cap_has_a_minimum(void **state) {
  game *g = *state;
  g->pending_bytes_max = CAP - 1;
  assert_int_equal(game_reopen(g), IU_E_VALIDATION);
  assert_non_null(strstr(g->err.message, "pending_bytes_max: expected at least 65536, got 65535"));
  g->pending_bytes_max = CAP;
  assert_int_equal(game_reopen(g), IU_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_call_is_refused_at_once_and_hears_of_room, game_setup, game_teardown),
      cmocka_unit_test_setup_teardown(many_wait_and_all_are_told, game_setup, game_teardown),
      cmocka_unit_test_setup_teardown(a_session_is_refused, game_setup, game_teardown),
      cmocka_unit_test_setup_teardown(scheduled_rows_wait, game_setup, game_teardown),
      cmocka_unit_test_setup_teardown(a_close_answers_those_who_wait, game_setup, game_teardown),
      cmocka_unit_test_setup_teardown(the_cap_has_a_minimum, game_setup, game_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
