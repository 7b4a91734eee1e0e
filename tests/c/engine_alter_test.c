/* engine_alter_test.c: a file is opened with a schema that has changed since: what is brought to it, what is refused, and crashes in between. */
#include <signal.h>
#include <sys/wait.h>

#include "hosted_fixture.h"
#include "sql_fixture.h"

enum { BAG = TICK + 1 }; /* the table of these tests: text String, then columns of a number each, no primary key */

static uint32_t columns_now, uniques_now, type_now = IU_T_U32, batch; /* batch: names of rows, so that they are new */
static bool without_default, other_order;

/* player and bag get columns_now columns more: c0 (default 0), c1 (default 10), ... */
static iu_status more_columns(game *g, iu_schema_writer *w) {
  static const char *const by_x[] = {"x"}, *const by_text[] = {"text"};
  uint32_t t;
  (void)g;
  iu__schema_writer_table(w, "bag", true, &t, NULL);
  if (!other_order) iu__schema_writer_column(w, t, "text", iu__type_scalar(IU_T_STRING), NULL, 0, NULL);
  for (uint32_t i = 0; i < columns_now; i++) {
    char name[16];
    uint8_t value[8] = {(uint8_t)(i * 10)};
    snprintf(name, sizeof name, "c%u", i);
    iu__schema_writer_column(w, t, name, iu__type_scalar((iu_type_tag)type_now), without_default ? NULL : value, type_now == IU_T_U64 ? 8 : 4, NULL);
    iu__schema_writer_column(w, 0, name, iu__type_scalar(IU_T_U32), value, 4, NULL);
  }
  if (other_order) iu__schema_writer_column(w, t, "text", iu__type_scalar(IU_T_STRING), NULL, 0, NULL);
  if (uniques_now & 1) iu__schema_writer_unique(w, 0, by_x, 1, NULL);
  if (uniques_now & 2) iu__schema_writer_unique(w, t, by_text, 1, NULL);
  return IU_OK;
}

static int setup(void **state) {
  columns_now = uniques_now = 0;
  type_now = IU_T_U32;
  without_default = other_order = false;
  game_setup(state);
  game *g = *state;
  g->more = more_columns;
  assert_int_equal(game_reopen(g), IU_OK);
  return 0;
}

/* The columns of a row hold `value` and its successors. */
static iu_status put_bag(game *g, iu_tx *tx, const char *text, uint32_t value, iu_error *err) {
  iu_buf row = with_room(64 + 4 * columns_now);
  put_text(&row, text);
  for (uint32_t i = 0; i < columns_now; i++) iu__buf_put_u32(&row, value + i);
  iu_status status = iu__tx_put(tx, g->first_table + BAG, row.data, row.len, NULL, err);
  iu__buf_free(&row);
  return status;
}
static iu_status put_full_player(game *g, iu_tx *tx, const char *name, uint32_t value, iu_error *err) {
  iu_buf row = with_room(64 + 4 * columns_now);
  iu__buf_put_u64(&row, 0);
  put_text(&row, name);
  iu__buf_put_u32(&row, value);
  for (uint32_t i = 0; i < columns_now; i++) iu__buf_put_u32(&row, value + i);
  iu_status status = iu__tx_put(tx, g->first_table + PLAYER, row.data, row.len, NULL, err);
  iu__buf_free(&row);
  return status;
}

static iu_status fill(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  uint32_t n = (uint32_t)iu__load_u64(call->args.p);
  char name[32];
  for (uint32_t i = 0; i < n; i++) {
    snprintf(name, sizeof name, "%u-%u-%u", batch, columns_now, i);
    if (put_full_player(g, tx, name, i + 1, err) != IU_OK || put_bag(g, tx, name, i + 1, err) != IU_OK) return err->status;
  }
  return IU_OK;
}

/* The file's last commits stay in its journal: another process writes them and dies. */
static void fill_and_die(game *g, uint64_t n) {
  game_close(g);
  pid_t child = fork();
  if (child == 0) {
    iu_loop *loop;
    uint64_t pending;
    if (iu__loop_new(NULL, &loop, NULL) != IU_OK) _exit(2);
    g->loop = loop;
    g->durability = IU_DUR_FULL;
    if (game_open(g, g->path) != IU_OK || act(g, fill, n) != IU_OK) _exit(3);
    if (g->c->vtable->flush(g->c, &pending, NULL) != IU_OK) _exit(4);
    for (int i = 0; i < 200; i++) {
      iu_engine_status s;
      iu__engine_get_status(g->c, &s);
      if (s.journal.durable_sequence == s.journal.last_sequence) _exit(0);
      iu__loop_turn(loop, 5);
    }
    _exit(5);
  }
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFEXITED(how));
  assert_int_equal(WEXITSTATUS(how), 0);
}

static uint32_t number_at(const game *g, uint32_t own, const iu_row *row, uint32_t column) {
  return iu__load_u32(iu__bsatn_column(g->schema->tables[g->first_table + own].row, column, row->data, row->len).p);
}

/* Each row of the table: its columns up to `filled` count on from the first, those behind have their defaults. */
static void expect_rows(const game *g, uint32_t own, uint64_t count, uint32_t filled) {
  uint32_t first = own == PLAYER ? 3 : 1;
  const iu_row *row;
  iu_iter *it;
  assert_int_equal(count_of(g, own), count);
  iu__table_iter(iu__store_table(g->store, g->first_table + own), iu__store_epoch(g->store), IU_INDEX_MAIN, NULL, false, &it, NULL);
  while ((row = iu__iter_next(it)) != NULL) {
    for (uint32_t i = 0; i < columns_now; i++) {
      uint32_t v = number_at(g, own, row, first + i);
      if (i >= filled) assert_int_equal(v, i * 10);
      else if (i > 0) assert_int_equal(v, number_at(g, own, row, first) + i);
    }
  }
  iu__iter_close(it);
}

static void columns_are_added_with_their_defaults(void **state) {
  game *g = *state;
  assert_int_equal(act(g, fill, 20), IU_OK);
  columns_now = 2;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  expect_rows(g, PLAYER, 20, 0);
  expect_rows(g, BAG, 20, 0);
  assert_int_equal(act(g, fill, 5), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 25);
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(count_of(g, BAG), 25);
  assert_non_null(find_id(g, PLAYER, 25)); /* numbers go on where they were */
}

static void rows_that_are_in_the_journal_only_come_along(void **state) {
  game *g = *state;
  fill_and_die(g, 30);
  columns_now = 1;
  if (game_open(g, g->path) != IU_OK) fail_msg("%s", g->err.message);
  iu_engine_status s;
  iu__engine_get_status(g->c, &s);
  assert_true(s.recovered);
  assert_int_not_equal(s.recovery.frames_replayed, 0);
  expect_rows(g, PLAYER, 30, 0);
  expect_rows(g, BAG, 30, 0);
  fill_and_die(g, 3);
  columns_now = 3;
  if (game_open(g, g->path) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(count_of(g, PLAYER), 33);
  assert_int_equal(number_at(g, PLAYER, find_id(g, PLAYER, 33), 3), 3);
  assert_int_equal(number_at(g, PLAYER, find_id(g, PLAYER, 33), 4), 10);
  assert_int_equal(number_at(g, PLAYER, find_id(g, PLAYER, 1), 5), 20);
}

/* ---- a journal that is damaged, and a schema that has grown ---- */

/* 20 rows in the tables, 10 in the journal, and 7 more in its last group, which is damaged. */
static void damage(game *g) {
  batch++;
  assert_int_equal(act(g, fill, 20), IU_OK);
  batch++;
  fill_and_die(g, 10);
  batch++;
  fill_and_die(g, 7);
  sql_exec(g->path, "UPDATE _iu_journal SET checksum = checksum + 1 WHERE first = (SELECT max(first) FROM _iu_journal)");
}

static void expect_recovered(const game *g, uint64_t rows) {
  iu_engine_status s;
  iu__engine_get_status(g->c, &s);
  assert_int_not_equal(s.recovery.lost_first, 0);
  assert_int_equal(s.recovery.lost_last, s.recovery.lost_first);
  assert_int_equal(s.recovery.last_sequence, s.recovery.lost_first - 1);
  assert_non_null(strstr(s.recovery.lost_why, "do not match their checksum"));
  assert_int_equal(access(s.recovery.lost_file, R_OK), 0);
  assert_int_equal(unlink(s.recovery.lost_file), 0);
  expect_rows(g, PLAYER, rows, 0);
  expect_rows(g, BAG, rows, 0);
}

static void a_damaged_journal_is_recovered_before_the_schema_grows(void **state) {
  game *g = *state;
  damage(g);
  columns_now = 2;
  assert_int_equal(game_open(g, g->path), IU_E_STORAGE);
  assert_non_null(strstr(g->err.message, "recover = \"prefix\" opens with those before them"));
  g->recover = true;
  if (game_open(g, g->path) != IU_OK) fail_msg("%s", g->err.message);
  expect_recovered(g, 30);
  assert_int_equal(act(g, fill, 5), IU_OK);
  g->recover = false;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(count_of(g, PLAYER), 35);
  assert_int_equal(count_of(g, BAG), 35);
}

/* The file is whole when it fails between the two, or the new schema does not fit; who opens is told what was lost. */
static void what_was_recovered_stays_so_when_the_schema_is_refused(void **state) {
  game *g = *state;
  const char *aside;
  char name[SCRATCH_PATH_MAX + 80];
  for (int refused = 0; refused < 2; refused++) {
    damage(g);
    columns_now = 1;
    g->recover = true;
    if (refused) uniques_now = 1; /* the x of players are not unique */
    else iu__errinj_arm(IU_ERRINJ_JOURNAL_ALTER, 0);
    assert_int_equal(game_open(g, g->path), refused ? IU_E_MIGRATION : IU_E_STORAGE);
    iu__errinj_arm(IU_ERRINJ_JOURNAL_ALTER, -1);
    assert_non_null(strstr(g->err.message, "the journal was recovered (commits "));
    aside = strstr(g->err.message, "is in ");
    assert_non_null(aside);
    assert_int_equal(sscanf(aside, "is in %300[^)]", name), 1);
    assert_int_equal(unlink(name), 0);
    columns_now = uniques_now = 0;
    g->recover = false;
    if (game_open(g, g->path) != IU_OK) fail_msg("%s", g->err.message);
    expect_rows(g, PLAYER, refused ? 60 : 30, 0);
    expect_rows(g, BAG, refused ? 60 : 30, 0);
  }
}

static void a_process_killed_while_it_recovers_and_grows(void **state) {
  game *g = *state;
  unsigned seed = (unsigned)iu__clock_micros();
  uint64_t rows = 0;
  char command[SCRATCH_PATH_MAX + 80];
  print_message("seed %u\n", seed);
  srand(seed);
  for (int round = 0; round < 8; round++) {
    damage(g);
    rows += 30;
    columns_now++;
    g->recover = true;
    pid_t child = fork();
    if (child == 0) {
      if (iu__loop_new(NULL, &g->loop, NULL) == IU_OK) game_open(g, g->path);
      _exit(0);
    }
    usleep((useconds_t)(rand() % 60000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    if (game_open(g, g->path) != IU_OK) fail_msg("seed %u round %d: %s", seed, round, g->err.message);
    assert_int_equal(count_of(g, PLAYER), rows);
    assert_int_equal(count_of(g, BAG), rows);
    g->recover = false;
    snprintf(command, sizeof command, "rm -f %s.lost-*", g->path);
    assert_int_equal(system(command), 0);
  }
}

static iu_status same_x(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)call;
  put_player(g, tx, 0, "one", 2.5f, NULL, err);
  return put_player(g, tx, 0, "two", 2.5f, NULL, err);
}
static iu_status remove_two(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)call;
  return iu__tx_remove(tx, g->first_table + PLAYER, find_id(g, PLAYER, 2), err);
}
static void unique_constraints_come_where_the_rows_allow_it(void **state) {
  game *g = *state;
  assert_int_equal(act(g, same_x, 0), IU_OK);
  uniques_now = 1;
  assert_int_equal(game_reopen(g), IU_E_MIGRATION);
  assert_string_equal(g->err.message, "a unique constraint cannot be added: table `player`: a row with x = 2.5 is already there");
  uniques_now = 0;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(count_of(g, PLAYER), 2);
  assert_int_equal(act(g, remove_two, 0), IU_OK);
  uniques_now = 3;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(act(g, same_x, 0), IU_E_CONFLICT);
  uniques_now = 0;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(count_of(g, PLAYER), 1);
}

static void everything_else_is_refused_with_what_differs(void **state) {
  game *g = *state;
  columns_now = 2;
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(act(g, fill, 3), IU_OK);
  type_now = IU_T_U64;
  assert_int_equal(game_reopen(g), IU_E_MIGRATION);
  assert_non_null(strstr(g->err.message, "table `bag`: `column c0 U32` in the file is `column c0 U64` in the schema; table `bag`: `column c1 U32`"));
  type_now = IU_T_U32;
  columns_now = 1;
  assert_int_equal(game_reopen(g), IU_E_MIGRATION);
  assert_non_null(strstr(g->err.message, "table `bag`: `column c1 U32` in the file is nothing in the schema"));
  assert_non_null(strstr(g->err.message, "table `player`: `column c1 U32` in the file is nothing in the schema"));
  columns_now = 3;
  without_default = true;
  assert_int_equal(game_reopen(g), IU_E_MIGRATION);
  assert_non_null(strstr(g->err.message, "table `bag`: nothing in the file is `column c2 U32` in the schema (a column is added behind all others, with a default value)"));
  without_default = false;
  columns_now = 2;
  other_order = true;
  assert_int_equal(game_reopen(g), IU_E_MIGRATION);
  assert_non_null(strstr(g->err.message, "table `bag`: its columns are in another order"));
  other_order = false;
  assert_int_equal(game_reopen(g), IU_OK);
  expect_rows(g, PLAYER, 3, 2);
}

static void count_differences(void *ud, iu_log_level level, const char *message) {
  if (level == IU_LOG_WARN && strstr(message, "is not that of the schema: `column c") != NULL) ++*(uint32_t *)ud;
}

static void a_long_list_says_how_many_more(void **state) {
  game *g = *state;
  uint32_t shown = 0, hidden = 0, logged = 0;
  columns_now = 30;
  assert_int_equal(game_reopen(g), IU_OK);
  type_now = IU_T_U64;
  g->log = (iu_log){count_differences, &logged, IU_LOG_WARN};
  assert_int_equal(game_reopen(g), IU_E_MIGRATION);
  g->log = (iu_log){NULL, NULL, IU_LOG_ERROR};
  assert_int_equal(logged, 30); /* all of them */
  for (const char *at = g->err.message; (at = strstr(at, "in the file is")) != NULL; at++) shown++;
  assert_non_null(strstr(g->err.message, "; and "));
  assert_int_equal(sscanf(strstr(g->err.message, "; and "), "; and %u more", &hidden), 1);
  assert_true(shown >= 8);
  assert_int_equal(shown + hidden, 30);
}

static void a_failure_in_the_middle_leaves_the_old_file(void **state) {
  game *g = *state;
  assert_int_equal(act(g, fill, 10), IU_OK);
  for (long after = 0; after < 2; after++) {
    game_close(g);
    columns_now = 1;
    iu__errinj_arm(IU_ERRINJ_JOURNAL_ALTER, after);
    assert_int_equal(game_open(g, g->path), IU_E_STORAGE);
    iu__errinj_arm(IU_ERRINJ_JOURNAL_ALTER, -1);
    columns_now = 0;
    if (game_open(g, g->path) != IU_OK) fail_msg("%s", g->err.message);
    assert_int_equal(count_of(g, PLAYER), 10);
  }
}

static void any_allocation_may_fail(void **state) {
  game *g = *state;
  fill_and_die(g, 4);
  columns_now = 1;
  for (long i = 0; i < 20000; i++) {
    iu__errinj_arm(IU_ERRINJ_ALLOC, i);
    iu_status status = game_open(g, g->path);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status == IU_OK) {
      expect_rows(g, PLAYER, 4, 0);
      assert_true(i > 50);
      return; /* from here on it is an ordinary open, whose allocations others fail */
    }
    if (status != IU_E_NOMEM && status != IU_E_STORAGE && status != IU_E_CLOSED) fail_msg("allocation %ld: %d %s", i, status, g->err.message);
  }
  fail_msg("it never opens");
}

static void a_process_killed_meanwhile_leaves_the_old_file_or_the_new_one(void **state) {
  game *g = *state;
  unsigned seed = (unsigned)iu__clock_micros();
  int kept_old = 0;
  print_message("seed %u\n", seed);
  srand(seed);
  assert_int_equal(act(g, fill, 3000), IU_OK);
  for (int round = 0; round < 12; round++) {
    game_close(g);
    columns_now++;
    pid_t child = fork();
    if (child == 0) {
      if (iu__loop_new(NULL, &g->loop, NULL) == IU_OK) game_open(g, g->path);
      _exit(0);
    }
    usleep((useconds_t)(rand() % 60000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    columns_now--;
    iu_status status = game_open(g, g->path);
    if (status == IU_E_MIGRATION) {
      columns_now++;
      status = game_open(g, g->path);
    } else kept_old++;
    if (status != IU_OK) fail_msg("seed %u round %d: %s", seed, round, g->err.message);
    expect_rows(g, PLAYER, 3000, 0);
    expect_rows(g, BAG, 3000, 0);
  }
  print_message("%d of 12 killed before the commit\n", kept_old);
}

/* Random steps: rows added and removed, reopened with more columns, uniques that come and go, properly closed or died; the rows are counted beside. */
static iu_status remove_some(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  const iu_row *row;
  iu_iter *it;
  uint64_t left = iu__load_u64(call->args.p);
  iu_status status = iu__table_iter(iu__tx_table(tx, g->first_table + PLAYER), IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, err);
  while (status == IU_OK && left-- > 0 && (row = iu__iter_next(it)) != NULL) status = iu__tx_remove(tx, g->first_table + PLAYER, row, err);
  iu__iter_close(it);
  return status;
}
static void random_steps_lose_nothing(void **state) {
  game *g = *state;
  unsigned seed = (unsigned)iu__clock_micros();
  uint64_t players = 0, bags = 0;
  print_message("seed %u\n", seed);
  srand(seed);
  for (int step = 0; step < 60; step++) {
    uint64_t n = (uint64_t)(rand() % 20);
    switch (rand() % 4) {
      case 0:
        uniques_now = (unsigned)rand() % 2 * 2;
        columns_now++;
        if (game_reopen(g) != IU_OK) fail_msg("seed %u step %d: %s", seed, step, g->err.message);
        break;
      case 1:
        n = n < players ? n : players;
        assert_int_equal(act(g, remove_some, n), IU_OK);
        players -= n;
        break;
      case 2: {
        columns_now++; /* names of rows hold it, so they are new */
        if (game_reopen(g) != IU_OK) fail_msg("seed %u step %d: %s", seed, step, g->err.message);
        fill_and_die(g, n);
        columns_now += (uint32_t)rand() % 2;
        if (game_open(g, g->path) != IU_OK) fail_msg("seed %u step %d: %s", seed, step, g->err.message);
        players += n;
        bags += n;
        break;
      }
      default:
        columns_now++;
        if (game_reopen(g) != IU_OK) fail_msg("seed %u step %d: %s", seed, step, g->err.message);
        assert_int_equal(act(g, fill, n), IU_OK);
        players += n;
        bags += n;
        break;
    }
    if (count_of(g, PLAYER) != players || count_of(g, BAG) != bags) fail_msg("seed %u step %d: rows are lost", seed, step);
  }
}

static void two_rows_with_one_key_are_damage(void **state) {
  game *g = *state;
  assert_int_equal(act(g, same_x, 0), IU_OK);
  game_close(g);
  sql_exec(g->path, "UPDATE player SET _row = CAST(x'0100000000000000' || substr(_row, 9) AS BLOB) WHERE id = 2");
  assert_int_equal(game_open(g, g->path), IU_E_STORAGE);
  assert_string_equal(g->err.message, "the file is damaged: table `player`: a row with id = 1 is already there");
  sql_exec(g->path, "DELETE FROM player WHERE id = 2");
  if (game_open(g, g->path) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(count_of(g, PLAYER), 1);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, game_teardown)
  const struct CMUnitTest tests[] = {
      T(a_damaged_journal_is_recovered_before_the_schema_grows), T(what_was_recovered_stays_so_when_the_schema_is_refused),
      T(a_process_killed_while_it_recovers_and_grows), T(columns_are_added_with_their_defaults), T(rows_that_are_in_the_journal_only_come_along), T(unique_constraints_come_where_the_rows_allow_it),
      T(two_rows_with_one_key_are_damage),
      T(everything_else_is_refused_with_what_differs), T(a_long_list_says_how_many_more), T(a_failure_in_the_middle_leaves_the_old_file), T(any_allocation_may_fail),
      T(a_process_killed_meanwhile_leaves_the_old_file_or_the_new_one), T(random_steps_lose_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
