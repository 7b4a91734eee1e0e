/* host_frame_test.c: the loop in the host's hands: steps with a budget, waits and wake-ups, a descriptor to poll, the host's own uv_loop_t; and servers
 * that are slow, go away and come back. */
#include <poll.h>
#include <uv.h>

#include "host_fixture.h"

#define MANY 400

static int slow_rows;
static void slow_row(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  uint64_t end = iu__clock_mono_ns() + 200000;
  (void)ud;
  (void)u;
  (void)old_row;
  (void)new_row;
  (void)event;
  slow_rows++;
  while (iu__clock_mono_ns() < end) {} /* 0.2 ms */
}

static void a_step_stops_at_its_budget(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  struct pollfd fd = {.fd = iu_runtime_fd(now.rt), .events = POLLIN};
  char id[16];
  bool more = true;
  int steps = 0, most = 0;
  (void)state;
  for (int i = 0; i < MANY; i++) {
    const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_json("[null,null,[],\"{}\"]"), iu_arg_text(id)};
    snprintf(id, sizeof id, "r%03d", i);
    GOOD(iu_call_async(now.u, "create_entity", args, 3, 0, NULL, NULL, &now.err));
  }
  GOOD(iu_flush(now.u, 0, &now.err));
  slow_rows = 0;
  GOOD(iu_on_row(now.u, "entity", IU_ON_INSERT, slow_row, NULL, NULL, &now.err));
  GOOD(iu_subscribe_async(now.u, queries, 1, hear_sub, &now, NULL, &now.err));
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  while (now.heard[0] == '\0') {
    int before = slow_rows;
    if (iu__clock_mono_ns() > end) fail_msg("%d of %d rows in time", slow_rows, MANY);
    GOOD(iu_step(now.rt, 2000, &more, &now.err));
    if (slow_rows > before) steps++;
    if (slow_rows - before > most) most = slow_rows - before;
    if (!more && now.heard[0] == '\0') poll(&fd, 1, 5); /* for the server; iu_wait would call back without a budget */
  }
  heard("a");
  assert_int_equal(slow_rows, MANY);
  assert_true(most <= 11); /* 2 ms hold 10 of them, and the last may begin at the end */
  assert_true(steps >= MANY / 11);
}

static void the_descriptor_says_when_to_step(void **state) {
  const iu_arg gone[] = {iu_arg_text("nobody"), iu_arg_bool(false)};
  struct pollfd fd = {.fd = iu_runtime_fd(now.rt), .events = POLLIN};
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  (void)state;
  assert_true(fd.fd >= 0);
  GOOD(iu_call_async(now.u, "delete_entity", gone, 2, 0, hear_end, &now, &now.err));
  while (now.ends == 0 && iu__clock_mono_ns() < end) {
    int timeout = iu_runtime_timeout_ms(now.rt);
    assert_true(poll(&fd, 1, timeout < 0 || timeout > 1000 ? 1000 : timeout) >= 0);
    GOOD(iu_step(now.rt, 0, NULL, &now.err));
  }
  heard("!ENTITY_NOT_FOUND");
  /* Then it rests: nothing is left, the descriptor is quiet and no time is short. A server may still say something of its own. */
  bool more = true;
  while (more && iu__clock_mono_ns() < end) GOOD(iu_step(now.rt, 0, &more, &now.err));
  assert_false(more);
  iu_runtime_wake(now.rt);
  assert_int_equal(poll(&fd, 1, 1000), 1);
  int turns = 0;
  do GOOD(iu_step(now.rt, 0, NULL, &now.err));
  while (++turns < 1000 && (poll(&fd, 1, 0) != 0 || iu_runtime_timeout_ms(now.rt) == 0));
  assert_true(turns < 1000);
}

static void *wake_soon(void *rt) {
  usleep(30000);
  iu_runtime_wake(rt);
  return NULL;
}

static void another_thread_wakes_a_wait(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  pthread_t thread;
  uint64_t begin;
  (void)state;
  GOOD(iu_subscribe(now.u, queries, 1, 0, NULL, NULL, NULL, &now.err));
  while (iu_runtime_timeout_ms(now.rt) == 0) GOOD(iu_step(now.rt, 0, NULL, &now.err));
  assert_int_equal(pthread_create(&thread, NULL, wake_soon, now.rt), 0);
  begin = iu__clock_mono_ns();
  bool woken = false;
  for (int i = 0; i < 50 && !woken; i++) { /* a server's messages end a wait, too */
    uint64_t before = iu__clock_mono_ns();
    GOOD(iu_wait(now.rt, 10000, NULL, &now.err));
    woken = iu__clock_mono_ns() - begin > 25000000 && iu__clock_mono_ns() - before < UINT64_C(9000000000);
  }
  assert_true(woken);
  pthread_join(thread, NULL);
}

/* ---- the host's own loop ---- */

static void stop_when_done(uv_timer_t *timer) {
  if (now.ends > 0) uv_stop(timer->loop);
}
static void close_done(uv_handle_t *handle) { (void)handle; }

static void the_hosts_own_loop(void **state) {
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_json("[null,null,[],\"{}\"]"), iu_arg_text("ada")};
  static const char *const queries[] = {ROBOT_QUERY};
  iu_runtime_options r = iu_runtime_options_default();
  iu_options o = iu_options_default();
  iu_runtime *rt;
  iu_universe *u;
  uv_loop_t loop;
  uv_timer_t timer;
  (void)state;
  if (now.kind == IN_FILE) GOOD(iu_close(now.u, &now.err));
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(uv_timer_init(&loop, &timer), 0);
  r.uv_loop = &loop;
  GOOD(iu_runtime_new(&r, &rt, &now.err));
  GOOD(iu_open(rt, now.target, &o, &u, &now.err)); /* waits on that loop */
  GOOD(iu_on_row(u, "entity", IU_ON_ALL, hear_row, &now, NULL, &now.err));
  GOOD(iu_subscribe(u, queries, 1, 0, NULL, NULL, NULL, &now.err));
  iu_runtime_budget(rt, 1000);
  GOOD(iu_call_async(u, "create_entity", args, 3, 0, hear_end, &now, &now.err));
  uv_timer_start(&timer, stop_when_done, 1, 1);
  uv_run(&loop, UV_RUN_DEFAULT);
  heard("+ada.=");
  GOOD(iu_close(u, &now.err));
  iu_free(u);
  GOOD(iu_runtime_free(rt, &now.err));
  uv_close((uv_handle_t *)&timer, close_done);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0); /* nothing of the library is left on it */
}

/* ---- slow and lost servers ---- */

static void an_answer_that_does_not_come(void **state) {
  const iu_arg gone[] = {iu_arg_text("nobody"), iu_arg_bool(false)};
  iu_cursor *c;
  (void)state;
  fault(&server, "{\"hold\": true}");
  BAD(iu_call(now.u, "delete_entity", gone, 2, 50, &now.err), IU_E_TIMEOUT, "delete_entity: there was no answer in time; it was sent, and whether it was applied is unknown");
  BAD(iu_query_once(now.u, ROBOT_QUERY, 50, &c, &now.err), IU_E_TIMEOUT, "query");
  BAD(iu_subscribe(now.u, (const char *const[]){ROBOT_QUERY}, 1, 50, hear_sub, &now, NULL, &now.err), IU_E_TIMEOUT, "in time");
  for (int i = 0; i < 10; i++) GOOD(iu_call_async(now.u, "delete_entity", gone, 2, 30 + i, hear_end, &now, &now.err));
  turn_for(&now.ends, 10);
  assert_int_equal(strncmp(now.heard, "!TIMEOUT!TIMEOUT", 16), 0);
  fault(&server, "{\"hold\": false}");
  GOOD(iu_flush(now.u, 0, &now.err)); /* late answers are nobody's */
  assert_int_equal(now.ends, 10);
}

static int states[3];
static void count_state(void *ud, iu_universe *u, const iu_conn_state *state) {
  (void)u;
  assert_ptr_equal(ud, &now);
  states[state->phase]++;
  if (state->phase == IU_PHASE_DISCONNECTED) assert_non_null(state->why);
}

static void a_lost_connection_comes_back(void **state) {
  const iu_arg gone[] = {iu_arg_text("nobody"), iu_arg_bool(false)};
  iu_options o = options_of();
  iu_universe *u;
  (void)state;
  memset(states, 0, sizeof states);
  o.on_state = count_state;
  o.delay_min_ms = o.delay_max_ms = 20;
  o.protocol = "v2";
  u = open_more(&o);
  assert_int_equal(states[IU_PHASE_CONNECTED], 1);
  GOOD(iu_on_row(u, "entity", IU_ON_ALL, hear_row, &now, NULL, &now.err));
  GOOD(iu_subscribe(u, (const char *const[]){ROBOT_QUERY}, 1, 0, hear_sub, &now, NULL, &now.err));
  create(u, "ada");
  heard("+ada.");
  fault(&server, "{\"drop_after\": 0}");
  BAD(iu_call(u, "delete_entity", gone, 2, 0, &now.err), IU_E_UNKNOWN_OUTCOME, "");
  turn_for(&states[IU_PHASE_CONNECTED], 2);
  assert_int_equal(states[IU_PHASE_DISCONNECTED], 1);
  create(u, "bob"); /* the subscription is there again, and nothing is told twice */
  turn_until_heard("+bob.");
  fault(&server, "{\"drop_before\": 0}");
  GOOD(iu_call_async(u, "delete_entity", gone, 2, 0, hear_end, &now, &now.err));
  turn_for(&now.ends, 1);
  heard("!UNKNOWN_OUTCOME");
  iu_free(u);
}

static void an_opening_in_the_background(void **state) {
  iu_options o = options_of();
  iu_universe *u;
  (void)state;
  o.background = true;
  o.on_state = hear_state;
  u = open_more(&o);
  assert_int_equal(iu_schema_tables(iu_get_schema(u)), 0);
  GOOD(iu_on_row(u, "entity", IU_ON_ALL, hear_row, &now, NULL, &now.err)); /* before anything is known */
  GOOD(iu_subscribe_async(u, (const char *const[]){ROBOT_QUERY}, 1, hear_sub, &now, NULL, &now.err));
  turn_until_heard("ca");
  assert_true(iu_schema_tables(iu_get_schema(u)) > 0);
  create(u, "ada");
  heard("+ada.");
  iu_free(u);
}

/* A module that was published anew: handlers hold, scans end. */
static void another_schema(void **state) {
  iu_options o = options_of();
  iu_value row;
  iu_cursor *scan;
  iu_universe *u;
  (void)state;
  o.delay_min_ms = o.delay_max_ms = 20;
  u = open_more(&o);
  GOOD(iu_on_row(u, "entity", IU_ON_ALL, hear_row, &now, NULL, &now.err));
  GOOD(iu_subscribe(u, (const char *const[]){ROBOT_QUERY}, 1, 0, NULL, NULL, NULL, &now.err));
  create(u, "ada");
  GOOD(iu_scan(u, "entity", NULL, NULL, NULL, false, &scan, &now.err));
  const iu_schema *before = iu_get_schema(u);
  assert_int_equal(iu_schema_table_named(before, "peer_extra"), -1);
  BAD(iu_call(u, "peer_extra_call", NULL, 0, 0, &now.err), IU_E_VALIDATION, "unknown reducer `peer_extra_call`");
  fault(&server, "{\"extra_schema\": true}");
  BAD(iu_call(u, "peer_extra_call", NULL, 0, 0, &now.err), IU_E_VALIDATION, "peer_extra_call takes 1 arguments, got 0"); /* it was looked for once more */
  GOOD(iu_refresh_schema(u, 0, &now.err));
  assert_true(iu_schema_table_named(iu_get_schema(u), "peer_extra") >= 0);
  assert_int_equal(iu_schema_table_named(before, "peer_extra"), -1); /* the old one is still there */
  assert_false(iu_cursor_next(scan, &row));
  BAD(iu_cursor_status(scan, &now.err), IU_E_CONFLICT, "the schema changed");
  iu_cursor_free(scan);
  now.heard[0] = '\0';
  create(u, "bob");
  heard("+bob.");
  fault(&server, "{\"reset\": true}");
  iu_free(u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_EVERY_WORLD(a_step_stops_at_its_budget), IN_EVERY_WORLD(the_descriptor_says_when_to_step), IN_EVERY_WORLD(the_hosts_own_loop),
      {"another thread wakes a wait", another_thread_wakes_a_wait, world_open, world_close, &world_kinds[ON_SERVER]},
      {"an answer that does not come", an_answer_that_does_not_come, world_open, world_close, &world_kinds[ON_SERVER]},
      {"a lost connection comes back", a_lost_connection_comes_back, world_open, world_close, &world_kinds[ON_SERVER]},
      {"an opening in the background", an_opening_in_the_background, world_open, world_close, &world_kinds[ON_SERVER]},
      {"another schema", another_schema, world_open, world_close, &world_kinds[ON_SERVER]},
  };
  return cmocka_run_group_tests(tests, NULL, server_end);
}
