/* engine_schedule_test.c: scheduled tables: order, one-shot and interval rows, failures, re-arming, reopening, many rows. */
#include "hosted_fixture.h"

/* Says the row's label; "bad..." fails after a write. */
static iu_status note_tick(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  static const uint8_t none[16] = {0};
  iu_slice label = iu__bsatn_column(g->schema->tables[g->first_table + TICK].row, 2, call->args.p, call->args.len);
  size_t at = strlen(g->said);
  assert_memory_equal(call->connection_id, none, 16);
  assert_memory_not_equal(call->sender, g->c->identity, 32);
  g->number++;
  if (at + label.len < sizeof g->said) snprintf(g->said + at, sizeof g->said - at, "%.*s ", (int)(label.len - 4), (const char *)label.p + 4);
  if (label.len < 7 || memcmp(label.p + 4, "bad", 3) != 0) return IU_OK;
  put_player(g, tx, 0, "bad", 0, NULL, err);
  return iu__fail(err, IU_E_VALIDATION, "a bad tick");
}

static void count_errors(void *ud, iu_log_level level, const char *message) {
  game *g = ud;
  if (level == IU_LOG_ERROR && strstr(message, "scheduled on_tick: a bad tick") != NULL) g->number += 1000;
}

/* Turns the loop until there were so many runs, or (in milliseconds) the time is over. */
static void turn_until(game *g, uint64_t runs, int64_t ms) {
  int64_t end = iu__clock_micros() + ms * 1000;
  while (g->number < runs && iu__clock_micros() < end) iu__loop_turn(g->loop, 5);
}
static void turn_for(game *g, int64_t ms) { turn_until(g, UINT64_MAX, ms); }

static iu_status three_out_of_order(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  int64_t now = call->timestamp;
  put_tick(g, tx, 0, true, now + 30000, "third", NULL, err);
  put_tick(g, tx, 0, true, now - 5000000, "first", NULL, err);
  return put_tick(g, tx, 0, true, now + 10000, "second", NULL, err);
}
static void one_shot_rows_run_in_order_and_go(void **state) {
  game *g = *state;
  g->on_tick = note_tick;
  assert_int_equal(act(g, three_out_of_order, 0), IU_OK);
  assert_int_equal(count_of(g, TICK), 3);
  assert_string_equal(g->said, ""); /* nothing runs inside a call */
  turn_until(g, 3, 5000);
  turn_for(g, 30);
  assert_string_equal(g->said, "first second third ");
  assert_int_equal(count_of(g, TICK), 0);
}

static iu_status arm_interval(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  return put_tick(g, tx, 0, false, (int64_t)iu__load_u64(call->args.p), "i", NULL, err);
}
/* As on a SpacetimeDB server: less than 2^36 - 1 ms ahead. */
static iu_status arm_at(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  bool once = g->number != 0;
  return put_tick(g, tx, 0, once, (int64_t)iu__load_u64(call->args.p) + (once ? call->timestamp : 0), "far", NULL, err);
}
static iu_status move_away(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  const iu_row *row = find_id(g, TICK, 1);
  uint8_t copy[64];
  assert_true(row->len <= sizeof copy);
  memcpy(copy, row->data, row->len);
  iu__store_u64(copy + 9, iu__load_u64(call->args.p)); /* behind the id and the tag */
  return iu__tx_replace(tx, g->first_table + TICK, row, copy, row->len, NULL, err);
}
static void what_is_too_far_ahead_is_refused(void **state) {
  game *g = *state;
  const uint64_t most = (uint64_t)IU_SCHEDULE_DELAY_MS_MAX * 1000;
  assert_int_equal(IU_SCHEDULE_DELAY_MS_MAX, (INT64_C(1) << 36) - 1);
  for (int once = 0; once < 2; once++) {
    g->number = (uint64_t)once;
    assert_int_equal(act(g, arm_at, most), IU_E_VALIDATION);
    assert_non_null(strstr(g->err.message, once ? "table `tick`: `at` is too far ahead: expected less than 796 days" : "table `tick`: `at` is too long an interval"));
    assert_int_equal(act(g, arm_at, INT64_MAX - (uint64_t)once * 4000000000000000ull), IU_E_VALIDATION);
    assert_int_equal(count_of(g, TICK), (uint64_t)once);
    assert_int_equal(act(g, arm_at, most - 1), IU_OK);
  }
  assert_int_equal(act(g, move_away, most), IU_E_VALIDATION);
  assert_int_equal(act(g, move_away, most - 1), IU_OK);
}

static iu_status drop_ticks(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)call;
  return iu__tx_remove(tx, g->first_table + TICK, find_id(g, TICK, 1), err);
}
static void interval_rows_run_again_until_they_are_deleted(void **state) {
  game *g = *state;
  g->on_tick = note_tick;
  assert_int_equal(act(g, arm_interval, 5000), IU_OK);
  turn_until(g, 3, 5000);
  assert_true(g->number >= 3);
  assert_int_equal(count_of(g, TICK), 1);
  assert_int_equal(act(g, drop_ticks, 0), IU_OK);
  g->number = 0;
  turn_for(g, 30);
  assert_int_equal(g->number, 0);
}
static void an_interval_of_nothing_leaves_the_loop_its_turns(void **state) {
  game *g = *state;
  g->on_tick = note_tick;
  act(g, arm_interval, 0);
  for (int i = 0; i < 10; i++) {
    uint64_t was = g->number;
    iu__loop_turn(g->loop, 5);
    assert_true(g->number - was <= 64);
  }
  assert_true(g->number >= 9);
}

static iu_status one_bad(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  put_tick(g, tx, 0, true, call->timestamp, "bad", NULL, err);
  return put_tick(g, tx, 0, false, 20000, "bad again", NULL, err);
}
static void a_failed_run_is_logged_and_its_row_goes_all_the_same(void **state) {
  game *g = *state;
  g->log = (iu_log){.fn = count_errors, .ud = g, .level = IU_LOG_INFO};
  assert_int_equal(game_reopen(g), IU_OK);
  g->on_tick = note_tick;
  assert_int_equal(act(g, one_bad, 0), IU_OK);
  turn_until(g, 2002, 5000);
  assert_true(g->number >= 2002);
  assert_int_equal(count_of(g, TICK), 1);
  assert_int_equal(count_of(g, PLAYER), 0);
  assert_memory_equal(g->said, "bad bad again ", 14);
}

static iu_status arm_and_fail(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  put_tick(g, tx, 0, true, call->timestamp, "never", NULL, err);
  return iu__fail(err, IU_E_VALIDATION, "no");
}
static void a_transaction_that_was_undone_arms_nothing(void **state) {
  game *g = *state;
  g->on_tick = note_tick;
  assert_int_equal(act(g, arm_and_fail, 0), IU_E_VALIDATION);
  turn_for(g, 20);
  assert_int_equal(g->number, 0);
}

static iu_status move_tick(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  iu_buf row = {0};
  (void)err;
  iu__buf_put_u64(&row, 1);
  iu__buf_put_u8(&row, 1);
  iu__buf_put_u64(&row, (uint64_t)(call->timestamp + (int64_t)iu__load_u64(call->args.p)));
  put_text(&row, "moved");
  iu_status status = iu__tx_replace(tx, g->first_table + TICK, find_id(g, TICK, 1), row.data, row.len, NULL, err);
  iu__buf_free(&row);
  return status;
}
static iu_status far_tick(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  return put_tick(g, tx, 0, true, call->timestamp + (int64_t)iu__load_u64(call->args.p), "far", NULL, err);
}
static void a_row_that_is_written_again_runs_at_its_new_time_once(void **state) {
  game *g = *state;
  g->on_tick = note_tick;
  act(g, far_tick, UINT64_C(3600000000));
  act(g, move_tick, 5000);
  turn_until(g, 1, 5000);
  assert_string_equal(g->said, "moved ");
  g->said[0] = '\0';
  g->number = 0;
  act(g, far_tick, 10000);
  turn_until(g, 1, 5000);
  turn_for(g, 20);
  assert_string_equal(g->said, "far ");
}

static iu_status rearm_itself(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  iu_buf row = {0};
  iu__buf_put(&row, call->args.p, call->args.len);
  iu_status status = IU_OK;
  if (++g->number < 4) {
    uint64_t at = (uint64_t)call->timestamp + 1000;
    for (int i = 0; i < 8; i++) row.data[9 + i] = (uint8_t)(at >> 8 * i);
    status = iu__tx_replace(tx, g->first_table + TICK, find_id(g, TICK, iu__load_u64(call->args.p)), row.data, row.len, NULL, err);
  }
  iu__buf_free(&row);
  return status;
}
static void a_reducer_may_move_its_own_row(void **state) {
  game *g = *state;
  g->on_tick = rearm_itself;
  act(g, far_tick, 0);
  turn_until(g, 4, 5000);
  turn_for(g, 20);
  assert_int_equal(g->number, 4);
  assert_int_equal(count_of(g, TICK), 0);
}

static void overdue_rows_run_after_the_open_once(void **state) {
  game *g = *state;
  assert_int_equal(game_reopen(g), IU_OK);
  g->on_tick = note_tick;
  assert_int_equal(act(g, three_out_of_order, 0), IU_OK);
  game_close(g);
  usleep(40000);
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(count_of(g, TICK), 3);
  turn_until(g, 3, 5000);
  assert_string_equal(g->said, "first second third ");
  assert_int_equal(game_reopen(g), IU_OK);
  turn_for(g, 30);
  assert_int_equal(g->number, 3);
  assert_int_equal(count_of(g, TICK), 0);
}

#define MANY 100000
static iu_status arm_many(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  for (int i = 0; i < MANY; i++) {
    if (put_tick(g, tx, 0, true, call->timestamp + (i % 100 == 0 ? (i * 7919) % 1000 : INT64_C(3600000000) + (i * 7919) % MANY), "m", NULL, err) != IU_OK) return err->status;
  }
  return IU_OK;
}
static void many_rows_cost_little(void **state) {
  game *g = *state;
  int64_t start;
  g->on_tick = note_tick;
  assert_int_equal(act(g, arm_many, 0), IU_OK);
  start = iu__clock_micros();
  turn_until(g, MANY / 100, 20000);
  assert_int_equal(g->number, MANY / 100);
  assert_true(iu__clock_micros() - start < 10000000); /* 1,000 runs beside 99,000 rows that wait; a scan for each would take minutes */
  assert_int_equal(count_of(g, TICK), MANY - MANY / 100);
}

static void any_allocation_may_fail(void **state) {
  game *g = *state;
  g->on_tick = note_tick;
  game_close(g);
  for (long i = 0; i < 100000; i++) {
    iu_status status;
    g->number = 0;
    iu__errinj_arm(IU_ERRINJ_ALLOC, i);
    status = game_open(g, NULL);
    if (status == IU_OK) status = act(g, three_out_of_order, 0);
    if (status == IU_OK) {
      for (int k = 0; k < 3; k++) iu__loop_turn(g->loop, 0);
    }
    bool fired = iu__errinj_count(IU_ERRINJ_ALLOC) > i;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status != IU_OK && status != IU_E_NOMEM && status != IU_E_CLOSED) fail_msg("allocation %ld: %d %s", i, status, g->err.message);
    assert_true(g->number <= 3);
    game_close(g);
    if (!fired) return;
  }
  fail_msg("the faults never end");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, game_setup, game_teardown)
  const struct CMUnitTest tests[] = {
      T(what_is_too_far_ahead_is_refused),
      T(one_shot_rows_run_in_order_and_go), T(interval_rows_run_again_until_they_are_deleted), T(an_interval_of_nothing_leaves_the_loop_its_turns),
      T(a_failed_run_is_logged_and_its_row_goes_all_the_same), T(a_transaction_that_was_undone_arms_nothing),
      T(a_row_that_is_written_again_runs_at_its_new_time_once), T(a_reducer_may_move_its_own_row), T(overdue_rows_run_after_the_open_once),
      T(many_rows_cost_little), T(any_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
