/* engine_session_test.c: subscriptions, views, delivery order, sessions, durability answers and closing. */
#include "engine_fixture.h"

static int32_t add_three(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  (void)f; (void)args; (void)err;
  for (uint64_t id = 1; id <= 3; id++) {
    char name[4] = {(char)('a' + id), 0};
    uint64_t row = id;
    if (put_item(h, &row, (uint32_t)id, name) != 0) return 77;
  }
  return 0;
}
static uint64_t next_id;
static uint32_t next_grp;
static int32_t add_one(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  char name[24];
  uint64_t id = next_id;
  (void)f; (void)args; (void)err;
  snprintf(name, sizeof name, "x%llu", (unsigned long long)id);
  return put_item(h, &id, next_grp, name);
}
static int32_t regroup(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) { /* row next_id to group next_grp */
  iu_buf row = {0};
  char name[24];
  (void)f; (void)args; (void)err;
  iu__buf_put_u64(&row, next_id);
  iu__buf_put_u32(&row, next_grp);
  snprintf(name, sizeof name, "x%llu", (unsigned long long)next_id);
  put_text(&row, name);
  uint32_t len = (uint32_t)row.len;
  int32_t rc = iu__stdb_datastore_update_bsatn(h, table_id(h, "item"), index_id(h, "item_id_idx_btree"), row.data, &len);
  iu__buf_free(&row);
  return rc;
}
static int32_t remove_one(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint8_t key[9] = {0};
  uint32_t n;
  (void)f; (void)args; (void)err;
  key[1] = (uint8_t)next_id;
  return iu__stdb_datastore_delete_by_index_scan_range_bsatn(h, index_id(h, "item_id_idx_btree"), "", 0, 0, key, 9, key, 9, &n);
}

static uint64_t in_view(iu_connection *c) { return iu__view_count(c->view, 0); }

static void a_subscription_shows_at_once_and_is_told_by_the_loop(void **state) {
  fixture *f = *state;
  assert_int_equal(run(f, add_three), IU_OK);
  listen_to(f, f->c);
  assert_int_equal(in_view(f->c), 0);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  assert_int_equal(in_view(f->c), 3);
  expect_log(f, "");
  settle(f);
  expect_log(f, "insert 1 subscribed; insert 2 subscribed; insert 3 subscribed; applied");
  assert_int_equal(f->c->vtable->unsubscribe(f->c, f->sub, &f->err), IU_OK);
  settle(f);
  expect_log(f, "delete 1 subscribed; delete 2 subscribed; delete 3 subscribed; ended");
  assert_int_equal(in_view(f->c), 0);
  assert_int_equal(f->c->vtable->unsubscribe(f->c, f->sub, &f->err), IU_E_VALIDATION);
}

static void own_changes_are_told_before_the_call_returns(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item WHERE grp = 5", &f->sub), IU_OK);
  settle(f);
  f->logged = 0;
  next_id = 1; next_grp = 5;
  assert_int_equal(run(f, add_one), IU_OK);
  expect_log(f, "insert 1 own");
  next_id = 2; next_grp = 6;
  assert_int_equal(run(f, add_one), IU_OK);
  expect_log(f, "");
  next_grp = 5;
  assert_int_equal(run(f, regroup), IU_OK); /* enters the filter */
  expect_log(f, "insert 2 own");
  next_id = 1; next_grp = 9;
  assert_int_equal(run(f, regroup), IU_OK); /* leaves it */
  expect_log(f, "delete 1 own");
  assert_int_equal(in_view(f->c), 1);
}

static void overlapping_subscriptions_count(void **state) {
  fixture *f = *state;
  uint64_t a, b, whole;
  listen_to(f, f->c);
  next_id = 1; next_grp = 5;
  assert_int_equal(run(f, add_one), IU_OK);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item WHERE grp = 5", &a), IU_OK);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item WHERE grp >= 5", &b), IU_OK);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &whole), IU_OK);
  settle(f);
  expect_log(f, "insert 1 subscribed; applied; applied; applied");
  f->c->vtable->unsubscribe(f->c, a, NULL);
  f->c->vtable->unsubscribe(f->c, whole, NULL);
  settle(f);
  expect_log(f, "ended; ended");
  next_grp = 6;
  assert_int_equal(run(f, regroup), IU_OK);
  expect_log(f, "update 1 own");
  f->c->vtable->unsubscribe(f->c, b, NULL);
  settle(f);
  expect_log(f, "delete 1 subscribed; ended");
  assert_int_equal(in_view(f->c), 0);
}

static void call_again(fixture *f, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)old_row; (void)new_row; (void)e;
  if (next_id >= 5) return;
  next_id++;
  uint64_t before = in_view(f->c);
  assert_int_equal(run(f, add_one), IU_OK);
  assert_int_equal(in_view(f->c), before); /* the next transaction is not visible inside this callback */
  iu_rows *rows;
  uint64_t pending;
  assert_int_equal(f->c->vtable->query(f->c, "SELECT * FROM item", 18, &rows, &pending, &f->err), IU_OK);
  assert_int_equal(rows->count, before + 1); /* but a query sees it */
  iu__rows_release(rows);
  note_down(f, "called");
}
static void a_callback_never_sees_the_next_transaction(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  f->logged = 0;
  f->on_row = call_again;
  next_id = 3; next_grp = 1;
  assert_int_equal(run(f, add_one), IU_OK);
  expect_log(f, "insert 3 own; called; insert 4 own; called; insert 5 own");
  assert_int_equal(in_view(f->c), 3);
}

static void close_now(fixture *f, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)old_row; (void)new_row; (void)e;
  assert_int_equal(f->c->vtable->close(f->c, &f->err), IU_OK);
}
static void a_callback_may_close_its_connection(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  f->logged = 0;
  f->on_row = close_now;
  assert_int_equal(run(f, add_three), IU_OK);
  expect_log(f, "insert 1 own"); /* the other two are not told to a closed connection */
  assert_true(f->c->closed);
  uint64_t pending;
  uint8_t note[4] = {0};
  assert_int_equal(f->c->vtable->call(f->c, 0, note, 4, &pending, &f->err), IU_E_CLOSED);
  assert_int_equal(f->c->vtable->close(f->c, &f->err), IU_OK);
}

static void sessions_have_their_own_view_and_are_told_by_the_loop(void **state) {
  fixture *f = *state;
  uint8_t who[32] = {9};
  assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
  assert_false(f->other->is_owner);
  listen_to(f, f->other);
  assert_int_equal(subscribe_to(f, f->other, "SELECT * FROM item", &f->sub), IU_OK);
  settle(f);
  f->logged = 0;
  assert_int_equal(run(f, add_three), IU_OK);
  assert_int_equal(in_view(f->other), 3);
  assert_int_equal(in_view(f->c), 0);
  expect_log(f, "");
  settle(f);
  expect_log(f, "insert 1; insert 2; insert 3");
  /* Private tables do not exist for it. */
  assert_int_equal(subscribe_to(f, f->other, "SELECT * FROM secret", &f->sub), IU_E_VALIDATION);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM secret", &f->sub), IU_OK);
  iu_rows *rows;
  uint64_t pending, key = 1;
  assert_int_equal(f->other->vtable->get(f->other, 1, &key, 8, &rows, &pending, &f->err), IU_E_VALIDATION);
  /* The primary connection takes its sessions with it. */
  assert_int_equal(f->c->vtable->close(f->c, &f->err), IU_OK);
  assert_true(f->other->closed);
  assert_true(f->closed_heard);
}

static void a_refused_connect_refuses_the_session(void **state) {
  fixture *f = *state;
  f->refuse_connect = true;
  assert_int_equal(iu__engine_session(f->c, NULL, &f->other, &f->err), IU_E_CONFLICT);
  assert_string_equal(f->err.message, "full");
  assert_null(f->other);
}

static void a_deadline_stops_between_callbacks(void **state) {
  fixture *f = *state;
  listen_to(f, f->c);
  assert_int_equal(run(f, add_three), IU_OK);
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM item", &f->sub), IU_OK);
  iu__loop_set_deadline(f->loop, 1); /* long over */
  iu__loop_turn(f->loop, 0);
  expect_log(f, "insert 1 subscribed");
  iu__loop_turn(f->loop, 0);
  expect_log(f, "insert 2 subscribed");
  iu__loop_set_deadline(f->loop, 0);
  settle(f);
  expect_log(f, "insert 3 subscribed; applied");
}

static void removed_rows_stay_readable_for_callbacks_that_wait(void **state) {
  fixture *f = *state;
  uint8_t who[32] = {1};
  assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
  assert_int_equal(run(f, add_three), IU_OK);
  listen_to(f, f->other);
  assert_int_equal(subscribe_to(f, f->other, "SELECT * FROM item WHERE grp > 0", &f->sub), IU_OK); /* its inserts are not told yet */
  for (next_id = 1; next_id <= 3; next_id++) assert_int_equal(run(f, remove_one), IU_OK);
  assert_int_equal(in_view(f->other), 3);
  settle(f);
  expect_log(f, "insert 1 subscribed; insert 2 subscribed; insert 3 subscribed; applied; delete 1; delete 2; delete 3");
  assert_int_equal(in_view(f->other), 0);
}

static void random_views_equal_a_recomputation(void **state) {
  fixture *f = *state;
  const char *const queries[] = {"SELECT * FROM item", "SELECT * FROM item WHERE grp = 3", "SELECT * FROM item WHERE grp < 5",
                                 "SELECT * FROM item WHERE id > 20 AND grp >= 2", "SELECT * FROM item WHERE grp = 1 OR id <= 10"};
  uint64_t subs[12] = {0};
  int which[12] = {0};
  const char *given = getenv("IU_TEST_SEED");
  unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)getpid() * 2654435761u;
  print_message("seed 0x%x\n", seed);
  srand(seed);
  for (int round = 0; round < 3000; round++) {
    next_id = (uint64_t)(rand() % 40) + 1;
    next_grp = (uint32_t)(rand() % 8);
    int what = rand() % 6, slot = rand() % 12;
    if (what == 0) (void)run(f, add_one);
    else if (what == 1) (void)run(f, regroup);
    else if (what == 2) (void)run(f, remove_one);
    else if (what == 3 && subs[slot] == 0) {
      which[slot] = rand() % 5;
      assert_int_equal(subscribe_to(f, f->c, queries[which[slot]], &subs[slot]), IU_OK);
    } else if (what == 4 && subs[slot] != 0) {
      assert_int_equal(f->c->vtable->unsubscribe(f->c, subs[slot], &f->err), IU_OK);
      subs[slot] = 0;
    } else if (what == 5) {
      settle(f);
    }
    if (round % 7 != 0) continue;
    settle(f);
    bool held[64] = {false};
    for (int i = 0; i < 12; i++) {
      iu_rows *rows;
      uint64_t pending;
      if (subs[i] == 0) continue;
      assert_int_equal(f->c->vtable->query(f->c, queries[which[i]], strlen(queries[which[i]]), &rows, &pending, &f->err), IU_OK);
      for (uint64_t r = 0; r < rows->count; r++) held[iu__load_u64(rows->rows[r]->data)] = true;
      iu__rows_release(rows);
    }
    uint64_t expected = 0;
    for (uint64_t id = 1; id <= 40; id++) {
      uint8_t key[8] = {(uint8_t)id};
      expected += held[id];
      if ((iu__view_get(f->c->view, 0, key, 8) != NULL) != held[id]) fail_msg("round %d: row %llu", round, (unsigned long long)id);
    }
    assert_int_equal(in_view(f->c), expected);
  }
}

/* ---- files ---- */

static void full_durability_answers_when_the_group_is_on_disk(void **state) {
  fixture *f = *state;
  uint64_t pending = 0;
  fixture_reopen(f, IU_DUR_FULL);
  listen_to(f, f->c);
  assert_int_equal(run_on(f, f->c, add_three, "", &pending), IU_OK);
  assert_int_not_equal(pending, 0);
  for (int i = 0; i < 500 && f->answered != pending; i++) iu__loop_turn(f->loop, 20);
  assert_int_equal(f->answered, pending);
  assert_int_equal(f->answer_status, IU_OK);
  iu_engine_status s;
  iu__engine_get_status(f->c, &s);
  assert_int_equal(s.journal.durable_sequence, s.journal.last_sequence);
}

static void a_close_answers_what_still_waits(void **state) {
  fixture *f = *state;
  uint64_t pending = 0;
  fixture_reopen(f, IU_DUR_FULL);
  listen_to(f, f->c);
  assert_int_equal(run_on(f, f->c, add_three, "", &pending), IU_OK);
  assert_int_equal(f->c->vtable->close(f->c, &f->err), IU_OK);
  assert_int_equal(f->answered, pending);
}

static void rows_sequences_and_owner_survive_reopening(void **state) {
  fixture *f = *state;
  uint8_t owner[32];
  iu_rows *rows;
  uint64_t pending;
  fixture_reopen(f, IU_DUR_NORMAL);
  memcpy(owner, f->c->identity, 32);
  for (int i = 0; i < 3; i++) {
    next_id = 0; next_grp = (uint32_t)i;
    uint64_t id = 0;
    (void)id;
    f->body = NULL;
    next_id = (uint64_t)i + 100;
    assert_int_equal(run(f, add_one), IU_OK);
  }
  fixture_reopen(f, IU_DUR_NORMAL);
  assert_memory_equal(f->c->identity, owner, 32);
  assert_true(f->c->is_owner);
  assert_int_equal(f->c->vtable->query(f->c, "SELECT * FROM item", 18, &rows, &pending, &f->err), IU_OK);
  assert_int_equal(rows->count, 3);
  iu__rows_release(rows);
}

static int32_t draw(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  char name[24];
  uint64_t id = 0;
  (void)args; (void)err;
  snprintf(name, sizeof name, "s%u", f->logged + rand() % 1000000u);
  int32_t rc = put_item(h, &id, 1, name);
  f->sub = id;
  return rc;
}
static void sequences_go_on_after_reopening(void **state) {
  fixture *f = *state;
  fixture_reopen(f, IU_DUR_NORMAL);
  assert_int_equal(run(f, draw), IU_OK);
  assert_int_equal(run(f, draw), IU_OK);
  uint64_t last = f->sub;
  fixture_reopen(f, IU_DUR_NORMAL);
  assert_int_equal(run(f, draw), IU_OK);
  assert_int_equal(f->sub, last + 1);
}

static void a_locked_universe_names_the_holder(void **state) {
  fixture *f = *state, second = {0};
  char pid[24];
  fixture_reopen(f, IU_DUR_NORMAL);
  second.definition = test_definition();
  second.loop = f->loop;
  assert_int_equal(fixture_open(&second, f->path, IU_DUR_NORMAL), IU_E_UNIVERSE_LOCKED);
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  assert_non_null(strstr(second.err.message, pid));
  iu__buf_free(&second.definition);
}

static void a_failed_journal_refuses_writes_and_says_so(void **state) {
  fixture *f = *state;
  uint64_t pending = 0;
  iu_status status;
  fixture_reopen(f, IU_DUR_FULL);
  listen_to(f, f->c);
  assert_int_equal(iu__engine_fold(f->c, -1, &f->err), IU_OK); /* what the open itself wrote is not what fails */
  iu__errinj_arm(IU_ERRINJ_JOURNAL_WRITE, 0);
  status = run_on(f, f->c, add_three, "", &pending);
  if (status == IU_OK) {
    for (int i = 0; i < 500 && f->answered != pending; i++) iu__loop_turn(f->loop, 20);
    assert_int_equal(f->answered, pending);
    status = f->answer_status;
  } else { /* the journal's thread was quicker than the call, which says so itself */
    assert_int_equal(pending, 0);
  }
  assert_int_equal(status, IU_E_STORAGE);
  next_id = 50;
  assert_int_equal(run(f, add_one), IU_E_STORAGE);
  assert_int_equal(f->c->vtable->close(f->c, &f->err), IU_E_STORAGE);
  iu__errinj_arm(IU_ERRINJ_JOURNAL_WRITE, -1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      T(a_subscription_shows_at_once_and_is_told_by_the_loop), T(own_changes_are_told_before_the_call_returns), T(overlapping_subscriptions_count),
      T(a_callback_never_sees_the_next_transaction), T(a_callback_may_close_its_connection),
      T(sessions_have_their_own_view_and_are_told_by_the_loop), T(a_refused_connect_refuses_the_session), T(a_deadline_stops_between_callbacks),
      T(removed_rows_stay_readable_for_callbacks_that_wait), T(random_views_equal_a_recomputation),
      T(full_durability_answers_when_the_group_is_on_disk), T(a_close_answers_what_still_waits), T(rows_sequences_and_owner_survive_reopening),
      T(sequences_go_on_after_reopening), T(a_locked_universe_names_the_holder), T(a_failed_journal_refuses_writes_and_says_so)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
