/* engine_live_test.c: what live queries cost, counted; joins as they are told; subscriptions in slices; the cap of what waits to be told. */
#include "live_fixture.h"

#include "../../core/base/clock.h"

static uint64_t op_id;
static uint32_t op_guild, op_count;
static int32_t op_level;
static double op_score;

static int32_t put_players(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) { /* op_count of them from op_id on */
  iu_buf row = {0};
  int32_t rc = 0;
  (void)f; (void)args; (void)err;
  for (uint32_t i = 0; i < op_count && rc == 0; i++) {
    player_row(&row, op_id + i, op_guild, op_score, op_level);
    rc = live_insert(h, "player", &row);
  }
  iu__buf_free(&row);
  return rc;
}
static int32_t change_player(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  iu_buf row = {0};
  (void)f; (void)args; (void)err;
  player_row(&row, op_id, op_guild, op_score, op_level);
  int32_t rc = live_update(h, "player", &row);
  iu__buf_free(&row);
  return rc;
}
static int32_t put_guild(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  iu_buf row = {0};
  (void)f; (void)args; (void)err;
  pair_row_of(&row, op_guild, op_level);
  int32_t rc = live_insert(h, "guild", &row);
  iu__buf_free(&row);
  return rc;
}
static int32_t remove_guild(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  (void)f; (void)args; (void)err;
  return live_delete(h, "guild", op_guild, 4);
}
static int32_t guild_goes_and_player_changes(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  int32_t rc = remove_guild(f, h, args, err);
  return rc == 0 ? change_player(f, h, args, err) : rc;
}

static void add_player(fixture *f, uint64_t id, uint32_t guild, int32_t level) {
  op_id = id; op_guild = guild; op_level = level; op_count = 1; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
}
static void add_guild(fixture *f, uint32_t id, int32_t rank) {
  op_guild = id; op_level = rank;
  assert_int_equal(run(f, put_guild), IU_OK);
}

static iu_engine_live_stats stats(iu_connection *c) {
  iu_engine_live_stats s;
  iu__engine_get_live_stats(c, &s);
  return s;
}
static uint64_t in_view(iu_connection *c, uint32_t table) { return iu__view_count(c->view, table); }
static uint64_t subscribe(fixture *f, iu_connection *c, const char *sql) {
  uint64_t id = 0;
  if (subscribe_to(f, c, sql, &id) != IU_OK) fail_msg("%s: %s", sql, f->err.message);
  return id;
}

/* ---- cost ---- */

static void a_commit_asks_the_queries_that_its_rows_can_match(void **state) {
  fixture *f = *state;
  char sql[96];
  for (int i = 0; i < 1000; i++) {
    snprintf(sql, sizeof sql, "SELECT * FROM player WHERE id = %d", i);
    subscribe(f, f->c, sql);
  }
  for (int i = 0; i < 100; i++) {
    snprintf(sql, sizeof sql, "SELECT * FROM player WHERE level >= %d AND level < %d", i * 10, i * 10 + 10);
    subscribe(f, f->c, sql);
  }
  assert_int_equal(stats(f->c).queries, 1100);
  uint64_t before = stats(f->c).candidates;
  add_player(f, 500, 1, 555);
  assert_int_equal(stats(f->c).candidates - before, 2); /* its id, its level */
  assert_int_equal(in_view(f->c, PLAYER), 1);
  before = stats(f->c).candidates;
  op_level = 5000; /* in no range */
  assert_int_equal(run(f, change_player), IU_OK);
  assert_int_equal(stats(f->c).candidates - before, 1); /* its id; the old row is of no query any more */
  before = stats(f->c).candidates;
  add_player(f, 5000, 1, -1);
  add_guild(f, 7, 1);
  assert_int_equal(stats(f->c).candidates - before, 0);
}

static void one_text_is_one_query(void **state) {
  fixture *f = *state;
  uint64_t ids[50], before;
  listen_to(f, f->c);
  for (int i = 0; i < 50; i++) ids[i] = subscribe(f, f->c, "SELECT * FROM player WHERE guild = 3 AND level > 0");
  settle(f);
  f->logged = 0;
  assert_int_equal(stats(f->c).queries, 1);
  before = stats(f->c).candidates;
  add_player(f, 1, 3, 1);
  expect_log(f, "insert 1 own");
  assert_int_equal(stats(f->c).candidates - before, 1);
  for (int i = 0; i < 49; i++) assert_int_equal(f->c->vtable->unsubscribe(f->c, ids[i], &f->err), IU_OK);
  settle(f);
  f->logged = 0;
  assert_int_equal(in_view(f->c, PLAYER), 1);
  assert_int_equal(f->c->vtable->unsubscribe(f->c, ids[49], &f->err), IU_OK);
  settle(f);
  expect_log(f, "delete 1 subscribed; ended");
  assert_int_equal(stats(f->c).queries, 0);
  before = stats(f->c).candidates;
  add_player(f, 2, 3, 1);
  assert_int_equal(stats(f->c).candidates, before);
}

static void zeros_and_nan_are_found(void **state) {
  fixture *f = *state;
  subscribe(f, f->c, "SELECT * FROM player WHERE score = 0.0");
  subscribe(f, f->c, "SELECT * FROM player WHERE score > 1e308");
  add_player(f, 1, 1, 1);
  op_id = 2; op_score = -0.0;
  assert_int_equal(run(f, put_players), IU_OK);
  op_id = 3; op_score = strtod("nan", NULL);
  assert_int_equal(run(f, put_players), IU_OK);
  op_id = 4; op_score = 1;
  assert_int_equal(run(f, put_players), IU_OK);
  assert_int_equal(in_view(f->c, PLAYER), 3);
}

/* ---- joins ---- */

static void a_change_of_the_other_side_is_told(void **state) {
  fixture *f = *state;
  add_player(f, 1, 5, 1);
  add_player(f, 2, 5, 1);
  add_player(f, 3, 6, 1);
  listen_to(f, f->c);
  subscribe(f, f->c, "SELECT p.* FROM player p JOIN guild g ON p.guild = g.id WHERE g.rank > 3");
  settle(f);
  expect_log(f, "applied");
  add_guild(f, 6, 1); /* of too low a rank */
  expect_log(f, "");
  add_guild(f, 5, 4);
  expect_log(f, "insert 1 own; insert 2 own");
  op_id = 1; op_guild = 5; op_level = 9;
  assert_int_equal(run(f, change_player), IU_OK);
  expect_log(f, "update 1 own");
  /* Both sides in one transaction: each row is told of once. */
  op_id = 2; op_guild = 5;
  assert_int_equal(run(f, guild_goes_and_player_changes), IU_OK);
  expect_log(f, "delete 2 own; delete 1 own");
  assert_int_equal(in_view(f->c, PLAYER), 0);
}

static void a_row_with_two_partners_stays_until_both_are_gone(void **state) {
  fixture *f = *state;
  add_guild(f, 5, 1);
  listen_to(f, f->c);
  subscribe(f, f->c, "SELECT g.* FROM guild g JOIN player p ON g.id = p.guild");
  iu__conn_watch(f->c, GUILD, 7);
  settle(f);
  f->logged = 0;
  add_player(f, 1, 5, 1);
  add_player(f, 2, 5, 1);
  assert_int_equal(f->logged, 1);
  op_id = 1; op_guild = 6;
  assert_int_equal(run(f, change_player), IU_OK);
  assert_int_equal(in_view(f->c, GUILD), 1);
  op_id = 2;
  assert_int_equal(run(f, change_player), IU_OK);
  assert_int_equal(in_view(f->c, GUILD), 0);
  assert_int_equal(f->logged, 2);
}

static void partners_are_looked_up_not_searched_for(void **state) {
  fixture *f = *state;
  op_id = 1; op_guild = 5; op_count = 500; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
  add_player(f, 1000, 6, 1);
  subscribe(f, f->c, "SELECT p.* FROM player p JOIN guild g ON p.guild = g.id");
  uint64_t before = stats(f->c).partners;
  add_guild(f, 6, 1);
  assert_int_equal(stats(f->c).partners - before, 1);
  assert_int_equal(in_view(f->c, PLAYER), 1);
}

/* ---- slices ---- */

#define ROWS 200u
#define SLICE 64u

static void a_long_subscription_is_staged_in_slices(void **state) {
  fixture *f = *state;
  op_id = 1; op_guild = 5; op_count = ROWS; op_level = 1; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
  listen_to(f, f->c);
  iu__loop_set_deadline(f->loop, 1); /* long over */
  uint64_t id = subscribe(f, f->c, "SELECT * FROM player WHERE level = 1 OR level = 2");
  uint32_t turns = 0;
  for (uint64_t staged = stats(f->c).staged; in_view(f->c, PLAYER) == 0; turns++) {
    assert_true(staged > 0 && staged <= SLICE * (turns + 1));
    assert_int_equal(f->logged, 0);
    uint8_t key[8] = {1};
    iu_view_iter *it;
    assert_null(iu__view_get(f->c->view, PLAYER, key, 8));
    assert_int_equal(iu__view_iter(f->c->view, PLAYER, IU_INDEX_MAIN, NULL, false, &it, &f->err), IU_OK);
    assert_null(iu__view_iter_next(it));
    iu__view_iter_close(it);
    iu__loop_turn(f->loop, 0);
    assert_true(stats(f->c).staged - staged <= SLICE);
    staged = stats(f->c).staged;
    assert_true(turns < 20);
  }
  assert_true(turns >= ROWS / SLICE - 1);
  assert_int_equal(in_view(f->c, PLAYER), ROWS); /* at once; told one by one */
  assert_int_equal(f->logged, 1);
  iu__loop_set_deadline(f->loop, 0);
  settle(f);
  assert_int_equal(f->logged, ROWS + 1);
  /* And back. */
  f->logged = 0;
  iu__loop_set_deadline(f->loop, 1);
  assert_int_equal(f->c->vtable->unsubscribe(f->c, id, &f->err), IU_OK);
  for (turns = 0; in_view(f->c, PLAYER) == ROWS; turns++) {
    assert_int_equal(f->logged, 0);
    iu__loop_turn(f->loop, 0);
    assert_true(turns < 20);
  }
  assert_true(turns >= ROWS / SLICE - 1);
  assert_int_equal(in_view(f->c, PLAYER), 0);
  iu__loop_set_deadline(f->loop, 0);
  settle(f);
  assert_int_equal(f->logged, ROWS + 1);
}

static void what_is_committed_meanwhile_comes_behind(void **state) {
  fixture *f = *state;
  uint8_t who[32] = {3};
  op_id = 1; op_guild = 5; op_count = ROWS; op_level = 1; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
  assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
  iu__loop_set_deadline(f->loop, 1);
  subscribe(f, f->other, "SELECT * FROM player WHERE level = 1");
  op_id = 7; op_level = 2; /* out of it, while it is staged */
  assert_int_equal(run(f, change_player), IU_OK);
  assert_int_equal(in_view(f->other, PLAYER), 0);
  while (in_view(f->other, PLAYER) == 0) iu__loop_turn(f->loop, 0);
  assert_int_equal(in_view(f->other, PLAYER), ROWS); /* as it was when it was subscribed to */
  iu__loop_set_deadline(f->loop, 0);
  settle(f);
  assert_int_equal(in_view(f->other, PLAYER), ROWS - 1);
  /* A call runs to its end, whatever the deadline. */
  iu__loop_set_deadline(f->loop, 1);
  subscribe(f, f->c, "SELECT * FROM player WHERE level = 1");
  op_id = 8;
  assert_int_equal(run(f, change_player), IU_OK);
  assert_int_equal(in_view(f->c, PLAYER), ROWS - 2);
  iu__loop_set_deadline(f->loop, 0);
}

/* ---- frames ---- */

#define MANY 600u /* more than a frame has to bear of others' commits */

static int32_t change_players(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) { /* op_count of them from op_id on */
  uint64_t first = op_id;
  int32_t rc = 0;
  for (uint32_t i = 0; i < op_count && rc == 0; i++, op_id++) rc = change_player(f, h, args, err);
  op_id = first;
  return rc;
}

static uint32_t rows_told[3];
static void count_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)ud, (void)table, (void)e;
  rows_told[old_row == NULL ? 0 : new_row == NULL ? 2 : 1]++;
}
static void expect_told(uint32_t inserted, uint32_t updated, uint32_t deleted) {
  assert_int_equal(rows_told[0], inserted);
  assert_int_equal(rows_told[1], updated);
  assert_int_equal(rows_told[2], deleted);
  memset(rows_told, 0, sizeof rows_told);
}

/* Steps that are over at once, until the view has come from `before` rows to `after` and all is told. Nothing is told before. */
static void step_through(fixture *f, uint64_t before, uint64_t after, uint32_t rows) {
  uint32_t turns = 0, heard = 0;
  bool seen = false;
  while (heard < rows) {
    iu__loop_set_deadline(f->loop, 1);
    iu__loop_turn(f->loop, 0);
    iu__loop_set_deadline(f->loop, 0);
    heard = rows_told[0] + rows_told[1] + rows_told[2];
    seen = seen || heard > 0;
    assert_int_equal(in_view(f->other, PLAYER), seen ? after : before);
    assert_true(heard <= turns++ + 1); /* one at least, and no more where no time is left */
    assert_true(turns < 2 * MANY);
  }
  assert_true(turns >= rows + MANY / SLICE - 1);
}

static void a_large_commit_is_staged_and_told_in_slices(void **state) {
  fixture *f = *state;
  uint8_t who[32] = {3};
  iu_listener l = {.row = count_row};
  assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
  iu__conn_listen(f->other, &l);
  iu__conn_watch(f->other, PLAYER, 7);
  memset(rows_told, 0, sizeof rows_told);
  iu__loop_set_frames(f->loop, true);
  op_id = 1; op_guild = 5; op_count = MANY; op_level = 1; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
  subscribe(f, f->other, "SELECT * FROM player WHERE level = 1");
  assert_int_equal(stats(f->other).staged, 0); /* between two steps: it waits for the next */
  step_through(f, 0, MANY, MANY);
  expect_told(MANY, 0, 0);
  op_guild = 6; /* all stay */
  assert_int_equal(run(f, change_players), IU_OK);
  step_through(f, MANY, MANY, MANY);
  expect_told(0, MANY, 0);
  op_level = 2; /* all leave */
  assert_int_equal(run(f, change_players), IU_OK);
  assert_int_equal(in_view(f->other, PLAYER), MANY);
  step_through(f, MANY, 0, MANY);
  expect_told(0, 0, MANY);
  op_level = 1; op_count = MANY / 2; /* half come back; a small commit behind it waits */
  assert_int_equal(run(f, change_players), IU_OK);
  op_count = 1; op_level = 3;
  assert_int_equal(run(f, change_players), IU_OK);
  assert_int_equal(in_view(f->other, PLAYER), 0);
  settle(f);
  assert_int_equal(in_view(f->other, PLAYER), MANY / 2 - 1);
  expect_told(MANY / 2, 0, 1);
  /* Its own call tells everything before it returns. */
  op_count = MANY; op_level = 1;
  assert_int_equal(run_on(f, f->other, change_players, "", NULL), IU_OK);
  assert_int_equal(in_view(f->other, PLAYER), MANY);
  expect_told(MANY / 2 + 1, 0, 0);
  iu__loop_set_frames(f->loop, false);
  op_level = 4;
  assert_int_equal(run(f, change_players), IU_OK);
  assert_int_equal(in_view(f->other, PLAYER), 0); /* no frames: seen at once */
  settle(f);
  expect_told(0, 0, MANY);
}

/* So large that what it leaves behind is given back in a step of its own. */
static void a_very_large_commit_is_told_to_its_end(void **state) {
  fixture *f = *state;
  enum { ROWS_OF_IT = 20000 };
  uint8_t who[32] = {3};
  iu_listener l = {.row = count_row};
  const char *const queries[] = {"SELECT * FROM player", "SELECT * FROM player WHERE level = 1"};
  op_id = 1; op_guild = 5; op_count = ROWS_OF_IT; op_level = 1; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
  iu__loop_set_frames(f->loop, true);
  for (int i = 0; i < 2; i++) {
    memset(rows_told, 0, sizeof rows_told);
    assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
    iu__conn_listen(f->other, &l);
    iu__conn_watch(f->other, PLAYER, 7);
    uint64_t id = subscribe(f, f->other, queries[i]);
    settle(f);
    expect_told(ROWS_OF_IT, 0, 0);
    op_guild++;
    assert_int_equal(run(f, change_players), IU_OK);
    for (int turn = 0; turn < 2 * ROWS_OF_IT && iu__loop_timeout_ms(f->loop) == 0; turn++) {
      iu__loop_set_deadline(f->loop, iu__clock_mono_ns() + 200000);
      iu__loop_turn(f->loop, 0);
    }
    iu__loop_set_deadline(f->loop, 0);
    expect_told(0, ROWS_OF_IT, 0);
    assert_int_equal(f->other->vtable->unsubscribe(f->other, id, &f->err), IU_OK);
    for (int turn = 0; turn < 2 * ROWS_OF_IT && iu__loop_timeout_ms(f->loop) == 0; turn++) {
      iu__loop_set_deadline(f->loop, iu__clock_mono_ns() + 200000);
      iu__loop_turn(f->loop, 0);
    }
    iu__loop_set_deadline(f->loop, 0);
    expect_told(0, 0, ROWS_OF_IT);
    f->other->vtable->release(f->other);
    f->other = NULL;
  }
}

static void a_session_may_end_in_the_middle(void **state) {
  fixture *f = *state;
  uint8_t who[32] = {3};
  op_id = 1; op_guild = 5; op_count = ROWS; op_level = 1; op_score = 0;
  assert_int_equal(run(f, put_players), IU_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
    uint64_t id = 0;
    if (i == 1) {
      id = subscribe(f, f->other, "SELECT * FROM player WHERE level = 1");
      settle(f);
    }
    iu__loop_set_deadline(f->loop, 1);
    if (i == 0) subscribe(f, f->other, "SELECT a.* FROM player a JOIN player b ON a.guild = b.guild WHERE b.level = 1");
    else assert_int_equal(f->other->vtable->unsubscribe(f->other, id, &f->err), IU_OK);
    f->other->vtable->release(f->other);
    f->other = NULL;
    iu__loop_set_deadline(f->loop, 0);
    settle(f);
  }
}

/* ---- what waits to be told ---- */

static void open_with(fixture *f, uint32_t items, uint64_t bytes) {
  iu_engine_config config;
  f->c->vtable->release(f->c);
  iu__engine_config_init(&config);
  config.module = &test_module;
  config.loop = f->loop;
  config.queue_items_max = items;
  config.queue_bytes_max = bytes;
  fixture_now = f;
  assert_int_equal(iu__engine_open(&config, &f->c, &f->err), IU_OK);
}

/* How many commits a session that is never told anything bears. */
static uint32_t fall_behind(fixture *f) {
  uint8_t who[32] = {3};
  uint32_t n = 0;
  assert_int_equal(iu__engine_session(f->c, who, &f->other, &f->err), IU_OK);
  listen_to(f, f->other);
  subscribe(f, f->other, "SELECT * FROM player");
  settle(f);
  f->logged = 0;
  add_player(f, 1, 1, 0);
  for (; !f->other->closed && n < 2 * IU_ENGINE_QUEUE_ITEMS_MAX; n++) {
    op_level = (int32_t)n + 1;
    assert_int_equal(run(f, change_player), IU_OK);
  }
  assert_true(f->other->closed);
  assert_false(f->c->closed);
  settle(f);
  assert_true(f->closed_heard);
  uint64_t pending;
  uint8_t note[4] = {0};
  assert_int_equal(f->other->vtable->call(f->other, 0, note, 4, &pending, &f->err), IU_E_OVERLOADED);
  assert_non_null(strstr(f->err.message, "too far behind"));
  f->other->vtable->release(f->other);
  f->other = NULL;
  return n;
}

static void a_session_that_is_too_far_behind_is_closed(void **state) {
  fixture *f = *state;
  open_with(f, 0, 0);
  assert_int_equal(fall_behind(f), IU_ENGINE_QUEUE_ITEMS_MAX);
  open_with(f, 10, 0);
  f->closed_heard = false;
  assert_int_equal(fall_behind(f), 10);
  open_with(f, 0, 20000);
  f->closed_heard = false;
  uint32_t n = fall_behind(f);
  assert_true(n > 20 && n < 500);
}

static void a_subscription_is_refused_by_a_full_queue(void **state) {
  fixture *f = *state;
  uint64_t id;
  open_with(f, 2, 0);
  subscribe(f, f->c, "SELECT * FROM player");
  subscribe(f, f->c, "SELECT * FROM guild");
  assert_int_equal(subscribe_to(f, f->c, "SELECT * FROM loose", &id), IU_E_OVERLOADED);
  assert_false(f->c->closed);
  settle(f);
  assert_int_equal(stats(f->c).queries, 2);
  subscribe(f, f->c, "SELECT * FROM loose");
}

#define T(name) cmocka_unit_test_setup_teardown(name, live_setup, fixture_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      T(a_commit_asks_the_queries_that_its_rows_can_match), T(one_text_is_one_query), T(zeros_and_nan_are_found), T(a_change_of_the_other_side_is_told),
      T(a_row_with_two_partners_stays_until_both_are_gone), T(partners_are_looked_up_not_searched_for), T(a_long_subscription_is_staged_in_slices),
      T(what_is_committed_meanwhile_comes_behind), T(a_large_commit_is_staged_and_told_in_slices), T(a_very_large_commit_is_told_to_its_end), T(a_session_may_end_in_the_middle), T(a_session_that_is_too_far_behind_is_closed),
      T(a_subscription_is_refused_by_a_full_queue)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
