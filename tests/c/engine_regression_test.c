/* engine_regression_test.c: callbacks that close, turn the loop or run out of memory at the worst moment. */
#include "engine_fixture.h"

static uint64_t next_id = 1;
static int32_t add_one(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  char name[24];
  uint64_t id = next_id++;
  (void)f; (void)args; (void)err;
  snprintf(name, sizeof name, "x%llu", (unsigned long long)id);
  return put_item(h, &id, 5, name);
}

/* ---- closing ---- */

static void close_the_universe(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  (void)value;
  fixture *f = ud;
  (void)err; (void)rows;
  f->answered = id;
  f->answer_status = status;
  assert_int_equal(f->c->vtable->close(f->c, &f->err), IU_OK);
}
static void an_answer_given_by_a_session_s_close_may_close_the_universe(void **state) {
  fixture *f = *state;
  uint64_t first = 0, second = 0;
  fixture_reopen(f, IU_DUR_FULL);
  assert_int_equal(iu__engine_session(f->c, NULL, &f->other, &f->err), IU_OK);
  iu_listener l = {.ud = f, .answer = close_the_universe};
  iu__conn_listen(f->other, &l);
  assert_int_equal(run_on(f, f->other, add_one, "", &first), IU_OK);
  assert_int_equal(run_on(f, f->other, add_one, "", &second), IU_OK);
  assert_int_equal(f->other->vtable->close(f->other, &f->err), IU_OK);
  assert_true(f->c->closed);
  assert_int_equal(f->answered, second); /* both were given, although the journal was gone after the first */
  assert_int_equal(f->answer_status, IU_OK);
}

static void close_other(fixture *f, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)old_row; (void)new_row; (void)e;
  assert_int_equal(f->other->vtable->close(f->other, &f->err), IU_OK);
}
static void a_full_call_is_durable_also_when_its_callback_closed_the_session(void **state) {
  fixture *f = *state;
  uint64_t pending = 0;
  iu_engine_status s;
  fixture_reopen(f, IU_DUR_FULL);
  assert_int_equal(iu__engine_session(f->c, NULL, &f->other, &f->err), IU_OK);
  listen_to(f, f->other);
  assert_int_equal(subscribe_to(f, f->other, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  f->on_row = close_other;
  assert_int_equal(run_on(f, f->other, add_one, "", &pending), IU_OK);
  assert_int_equal(pending, 0);
  iu__engine_get_status(f->c, &s);
  assert_int_equal(s.journal.durable_sequence, s.journal.last_sequence);
}

/* ---- the loop inside a callback ---- */

static void turn_the_loop(fixture *f, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)old_row; (void)new_row; (void)e;
  for (int i = 0; i < 3; i++) iu__loop_turn(f->loop, 0);
}
static void a_loop_turned_in_a_callback_loses_no_delivery(void **state) {
  fixture *f = *state;
  assert_int_equal(iu__engine_session(f->c, NULL, &f->other, &f->err), IU_OK);
  listen_to(f, f->c);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  assert_int_equal(subscribe_to(f, f->other, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  fixture other = {.loop = f->loop};
  listen_to(&other, f->other);
  f->logged = 0;
  f->on_row = turn_the_loop; /* the other session's turn comes while nothing may be delivered */
  assert_int_equal(run(f, add_one), IU_OK);
  assert_int_equal(f->logged, 1);
  assert_int_equal(other.logged, 0);
  settle(f);
  assert_int_equal(other.logged, 1);
}

static int32_t deliver_inside(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  (void)h; (void)args; (void)err;
  assert_true(f->c->vtable->deliver(f->c)); /* as a script may that hears what the reducer logs */
  assert_int_equal(f->logged, 0);
  return 0;
}
static void nothing_is_delivered_inside_a_reducer(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(iu__engine_session(f->c, NULL, &f->other, &f->err), IU_OK);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  assert_int_equal(run_on(f, f->other, deliver_inside, "", NULL), IU_OK);
  settle(f);
  expect_log(f, "applied");
}

/* ---- no memory ---- */

static void call_then_starve(fixture *f, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)old_row; (void)new_row; (void)e;
  f->on_row = NULL;
  assert_int_equal(run(f, add_one), IU_OK);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0); /* what comes next is the list of the second transaction's changes */
}
static void a_session_that_breaks_while_it_delivers_hears_why(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  f->on_row = call_then_starve;
  assert_int_equal(run(f, add_one), IU_OK);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_true(f->c->closed);
  assert_false(f->closed_heard);
  settle(f);
  assert_true(f->closed_heard);
}

static void unsubscribing_without_memory_changes_nothing(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_int_equal(f->c->vtable->unsubscribe(f->c, f->sub, NULL), IU_E_NOMEM);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_false(f->c->closed);
  f->logged = 0;
  assert_int_equal(run(f, add_one), IU_OK);
  assert_int_equal(f->logged, 1);
  assert_int_equal(f->c->vtable->unsubscribe(f->c, f->sub, NULL), IU_OK);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      T(an_answer_given_by_a_session_s_close_may_close_the_universe),
      T(a_full_call_is_durable_also_when_its_callback_closed_the_session),
      T(a_loop_turned_in_a_callback_loses_no_delivery),
      T(nothing_is_delivered_inside_a_reducer),
      T(a_session_that_breaks_while_it_delivers_hears_why),
      T(unsubscribing_without_memory_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
