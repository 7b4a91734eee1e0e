/* engine_hosted_test.c: the seam of hosted modules (core/engine/hosted.h): definitions merged, writes, nested calls, lifecycles, random numbers. */
#include "hosted_fixture.h"

static iu_status insert_two(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  const iu_row *row;
  assert_memory_equal(call->sender, g->c->identity, 32);
  assert_true(call->timestamp > 0);
  assert_string_equal(call->def->name, "act");
  assert_int_equal(iu__load_u64(call->args.p), 7);
  assert_int_equal(put_player(g, tx, 0, "a", 1, &row, err), IU_OK);
  assert_int_equal(iu__load_u64(row->data), 1);
  assert_int_equal(put_player(g, tx, 0, "b", 2, &row, err), IU_OK);
  assert_int_equal(iu__load_u64(row->data), 2);
  assert_int_not_equal(iu__tx_number(tx), 0);
  return IU_OK;
}
static iu_status conflict_body(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)call;
  return put_player(g, tx, 0, "b", 3, NULL, err);
}
static void rows_are_written_and_unique_values_named(void **state) {
  game *g = *state;
  assert_int_equal(act(g, insert_two, 7), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 2);
  assert_int_equal(act(g, conflict_body, 0), IU_E_CONFLICT);
  assert_string_equal(g->err.message, "table `player`: a row with name = \"b\" is already there");
  assert_int_equal(count_of(g, PLAYER), 2);
}

static iu_status replace_and_remove(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  uint8_t moved[8 + 4 + 1 + 4] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'c', 0, 0, 0, 0};
  uint8_t clash[8 + 4 + 1 + 4] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'b', 0, 0, 0, 0};
  const iu_row *row;
  (void)call;
  assert_int_equal(iu__tx_replace(tx, g->first_table + PLAYER, find_id(g, PLAYER, 1), clash, sizeof clash, NULL, err), IU_E_CONFLICT);
  assert_int_equal(iu__tx_replace(tx, g->first_table + PLAYER, find_id(g, PLAYER, 1), moved, sizeof moved, &row, err), IU_OK);
  assert_ptr_equal(row, find_id(g, PLAYER, 1));
  assert_int_equal(iu__tx_remove(tx, g->first_table + PLAYER, find_id(g, PLAYER, 2), err), IU_OK);
  assert_int_equal(iu__tx_put(tx, 999, moved, sizeof moved, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table number 999 does not exist");
  return IU_OK;
}
static void rows_are_replaced_and_removed(void **state) {
  game *g = *state;
  act(g, insert_two, 7);
  assert_int_equal(act(g, replace_and_remove, 0), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 1);
  assert_memory_equal(find_id(g, PLAYER, 1)->data + 12, "c", 1);
}

static void nothing_is_written_outside(void **state) {
  game *g = *state;
  act(g, insert_two, 7);
  assert_int_equal(put_player(g, g->tx, 0, "x", 1, NULL, &g->err), IU_E_VALIDATION);
  assert_string_equal(g->err.message, "rows are written inside a reducer only");
  assert_int_equal(iu__tx_remove(g->tx, g->first_table, find_id(g, PLAYER, 1), &g->err), IU_E_VALIDATION);
  assert_int_equal(iu__tx_run(g->tx, g->first_reducer, "", 0, &g->err), IU_E_VALIDATION);
  assert_int_equal(iu__tx_number(g->tx), 0);
  assert_int_equal(count_of(g, PLAYER), 2);
}

/* ---- nested calls ---- */

static iu_status inner_fails(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  assert_string_equal(call->def->name, "other");
  assert_int_equal(put_player(g, tx, 0, "inner", 1, NULL, err), IU_OK);
  return iu__load_u64(call->args.p) == 1 ? iu__fail(err, IU_E_VALIDATION, "inner says no") : IU_OK;
}
static iu_status outer_goes_on(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  static const uint8_t one[8] = {1}, two[8] = {2};
  assert_int_equal(put_player(g, tx, 0, "outer", 1, NULL, err), IU_OK);
  assert_int_equal(iu__tx_run(tx, g->first_reducer + OTHER, one, 8, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "inner says no");
  assert_int_equal(call->reducer, ACT);
  assert_int_equal(iu__table_count(iu__tx_table(tx, g->first_table), IU_EPOCH_LATEST), 1);
  assert_int_equal(iu__tx_run(tx, g->first_reducer + OTHER, one, 7, err), IU_E_VALIDATION);
  assert_int_equal(iu__tx_run(tx, g->first_reducer + INIT, one, 0, err), IU_E_VALIDATION);
  assert_int_equal(iu__tx_run(tx, g->first_reducer + OTHER, two, 8, err), IU_OK);
  return IU_OK;
}
static void a_nested_call_that_fails_is_undone_alone(void **state) {
  game *g = *state;
  g->other = inner_fails;
  assert_int_equal(act(g, outer_goes_on, 0), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 2);
}

static iu_status call_deeper(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  static const uint8_t n[8];
  (void)call;
  g->number++;
  return iu__tx_run(tx, g->first_reducer + OTHER, n, 8, err);
}
static void nested_calls_end_at_their_cap(void **state) {
  game *g = *state;
  g->other = call_deeper;
  assert_int_equal(act(g, call_deeper, 0), IU_E_OVERLOADED);
  assert_int_equal(g->number, IU_TX_DEPTH_MAX);
  assert_non_null(strstr(g->err.message, "over 64 deep"));
}

/* ---- random numbers ---- */

static iu_status draw_random(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  static const uint8_t n[8];
  (void)err;
  uint64_t v = iu__tx_random(tx);
  assert_int_not_equal(v, g->number);
  g->number = v;
  if (call->reducer == ACT) assert_int_equal(iu__tx_run(tx, g->first_reducer + OTHER, n, 8, err), IU_OK);
  return put_player(g, tx, 0, "r", 0, NULL, err);
}
static void random_numbers_differ_in_nested_calls_and_between_transactions(void **state) {
  game *g = *state;
  uint64_t first;
  g->other = draw_random;
  assert_int_equal(act(g, draw_random, 0), IU_E_CONFLICT); /* the second "r"; what counts is what was drawn */
  first = g->number;
  act(g, draw_random, 0);
  assert_int_not_equal(g->number, first);
}

/* ---- several modules ---- */

static void lifecycles_run_for_each_connection_and_init_once(void **state) {
  game *g = *state;
  iu_connection *other;
  assert_int_equal(g->inits, 1);
  assert_int_equal(g->connects, 1);
  assert_int_equal(iu__engine_session(g->c, NULL, &other, &g->err), IU_OK);
  other->vtable->release(other);
  assert_int_equal(g->connects, 2);
  assert_int_equal(g->disconnects, 1);
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(g->releases, 1);
  assert_int_equal(g->inits, 2);
  assert_int_equal(game_reopen(g), IU_OK); /* no row was ever written: the file knows all the same */
  assert_int_equal(g->inits, 2);
}

static iu_status insert_one(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  return call->reducer == INIT ? put_player(g, tx, 0, "first", 0, NULL, err) : IU_OK;
}
static iu_status refuse(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)g; (void)tx;
  return call->reducer == INIT ? iu__fail(err, IU_E_VALIDATION, "not yet") : IU_OK;
}
static void an_init_that_failed_runs_again_beside_nerv(void **state) {
  game *g = *state;
  g->no_nerv = false;
  g->lifecycle = refuse;
  assert_int_equal(game_reopen(g), IU_E_VALIDATION);
  assert_string_equal(g->err.message, "module game: not yet");
  g->lifecycle = insert_one;
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 1);
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(count_of(g, PLAYER), 1);
  assert_int_equal(iu__schema_table(g->schema, "entity", 6), 0);
  assert_int_not_equal(g->first_table, 0);
  assert_string_equal(g->schema->tables[g->first_table].name, "player");
  assert_string_equal(g->schema->reducers[g->first_reducer].name, "act");
}

static void a_module_joins_a_file_that_is_there(void **state) {
  game *g = *state;
  iu_engine_config config;
  uint64_t pending;
  iu_rows *rows;
  game_close(g);
  scratch_path(g->path, "hosted");
  iu__engine_config_init(&config);
  config.path = g->path;
  config.loop = g->loop;
  assert_int_equal(iu__engine_open(&config, &g->c, &g->err), IU_OK); /* NERV's alone */
  game_close(g);
  g->no_nerv = false;
  g->inits = 0;
  g->lifecycle = insert_one;
  if (game_reopen(g) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(g->inits, 1);
  assert_int_equal(count_of(g, PLAYER), 1);
  assert_int_equal(g->c->vtable->query(g->c, "SELECT * FROM event_log WHERE event_type = 'SYSTEM_INITIALIZED'", 63, &rows, &pending, &g->err), IU_OK);
  assert_int_equal(rows->count, 1); /* NERV's own did not run again */
  iu__rows_release(rows);
  game_close(g);
  assert_int_equal(iu__engine_open(&config, &g->c, &g->err), IU_E_MIGRATION); /* without it rows would be lost to sight */
  assert_non_null(strstr(g->err.message, "table `player`: is not in the schema"));
}

static iu_status call_nerv(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  int r = iu__schema_reducer(g->schema, "update_config", 13);
  iu_buf args = {0};
  (void)call;
  put_text(&args, "greeting");
  put_text(&args, "hello");
  put_text(&args, "");
  iu_status status = iu__tx_run(tx, (uint32_t)r, args.data, args.len, err);
  iu__buf_free(&args);
  return status;
}
static void a_module_calls_reducers_of_another_one(void **state) {
  game *g = *state;
  iu_rows *rows;
  uint64_t pending;
  g->no_nerv = false;
  assert_int_equal(game_reopen(g), IU_OK);
  if (act(g, call_nerv, 0) != IU_OK) fail_msg("%s", g->err.message);
  assert_int_equal(g->c->vtable->query(g->c, "SELECT * FROM config WHERE key = 'greeting'", 43, &rows, &pending, &g->err), IU_OK);
  assert_int_equal(rows->count, 1);
  iu__rows_release(rows);
}

static iu_status add_entity(game *g, iu_schema_writer *w) {
  uint32_t t;
  (void)g;
  iu__schema_writer_table(w, "Entity", true, &t, NULL);
  return iu__schema_writer_column(w, t, "id", iu__type_scalar(IU_T_U64), NULL, 0, NULL);
}
static iu_status add_create(game *g, iu_schema_writer *w) {
  uint32_t r;
  (void)g;
  return iu__schema_writer_reducer(w, "create_entity", IU_LC_NONE, &r, NULL);
}
static void names_of_two_modules_are_refused_with_both(void **state) {
  game *g = *state;
  g->no_nerv = false;
  g->more = add_entity;
  assert_int_equal(game_reopen(g), IU_E_VALIDATION);
  assert_non_null(strstr(g->err.message, "is declared by two modules, `"));
  assert_non_null(strstr(g->err.message, "nerv"));
  assert_non_null(strstr(g->err.message, "game"));
  g->more = add_create;
  assert_int_equal(game_reopen(g), IU_E_VALIDATION);
  assert_non_null(strstr(g->err.message, "the reducer `create_entity` is declared by two modules"));
  assert_int_equal(g->releases, 3); /* once for each open, failed or not */
  g->more = NULL;
}

static iu_status refuse_second(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  (void)tx;
  return call->reducer == CONNECTED && g->connects > 1 ? iu__fail(err, IU_E_AUTHORIZATION, "full") : IU_OK;
}
static void a_client_refused_by_a_later_module_is_not_greeted_at_all(void **state) {
  game *g = *state;
  iu_connection *other = NULL;
  iu_rows *rows;
  uint64_t pending;
  g->no_nerv = false;
  g->connects = 0;
  g->lifecycle = refuse_second;
  assert_int_equal(game_reopen(g), IU_OK);
  assert_int_equal(iu__engine_session(g->c, NULL, &other, &g->err), IU_E_AUTHORIZATION);
  assert_null(other);
  assert_int_equal(g->c->vtable->query(g->c, "SELECT * FROM client_connection WHERE status = 'connected'", 58, &rows, &pending, &g->err), IU_OK);
  assert_int_equal(rows->count, 1);
  iu__rows_release(rows);
}

/* ---- what fails ---- */

static iu_status too_much(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  char *text = malloc((1u << 20) + 1);
  iu_status status = IU_OK;
  (void)call;
  memset(text, 'x', 1u << 20);
  text[1u << 20] = '\0';
  for (int i = 0; i < 40 && status == IU_OK; i++) {
    text[0] = (char)('a' + i % 26);
    text[1] = (char)('a' + i / 26);
    status = put_player(g, tx, 0, text, 0, NULL, err);
  }
  free(text);
  return status;
}
static void transactions_have_a_cap(void **state) {
  game *g = *state;
  assert_int_equal(act(g, too_much, 0), IU_E_OVERLOADED);
  assert_int_equal(count_of(g, PLAYER), 0);
}

static iu_status pair(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  iu_status status = put_player(g, tx, 0, "a", 1, NULL, err);
  (void)call;
  return status == IU_OK ? put_player(g, tx, 0, "b", 2, NULL, err) : status;
}
static void any_allocation_may_fail(void **state) {
  game *g = *state;
  game_close(g);
  for (long i = 0; i < 100000; i++) {
    int before = g->releases;
    iu_status status;
    g->no_nerv = i % 2 == 0;
    iu__errinj_arm(IU_ERRINJ_ALLOC, i / 2);
    status = game_open(g, NULL);
    if (status == IU_OK) {
      status = act(g, pair, 0);
      if (status == IU_OK) status = act(g, conflict_body, 0) == IU_E_CONFLICT ? IU_OK : g->err.status;
      assert_int_equal(iu__table_count(iu__store_table(g->store, g->first_table), IU_EPOCH_LATEST) & 1, 0);
    }
    bool fired = iu__errinj_count(IU_ERRINJ_ALLOC) > i / 2;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status != IU_OK && status != IU_E_NOMEM && status != IU_E_CLOSED) fail_msg("allocation %ld: %d %s", i, status, g->err.message);
    game_close(g);
    assert_int_equal(g->releases, before + 1);
    if (!fired && i % 2 == 1) return;
  }
  fail_msg("the faults never end");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, game_setup, game_teardown)
  const struct CMUnitTest tests[] = {
      T(rows_are_written_and_unique_values_named), T(rows_are_replaced_and_removed), T(nothing_is_written_outside),
      T(a_nested_call_that_fails_is_undone_alone), T(nested_calls_end_at_their_cap),
      T(random_numbers_differ_in_nested_calls_and_between_transactions), T(lifecycles_run_for_each_connection_and_init_once),
      T(an_init_that_failed_runs_again_beside_nerv), T(a_module_joins_a_file_that_is_there), T(a_module_calls_reducers_of_another_one), T(names_of_two_modules_are_refused_with_both),
      T(a_client_refused_by_a_later_module_is_not_greeted_at_all), T(transactions_have_a_cap), T(any_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
