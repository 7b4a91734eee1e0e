/* Indexes over paths of an engine: whatever allocation fails, a commit stands or is refused as it would be without them, and answers are those of a scan; older
 * rows that somebody holds do not show; limits and refusals. */
#include "module_fixture.h"

#define ENTITY(name, age) "[\"T\",{\"name\":" NONE ",\"description\":" NONE ",\"tags\":[],\"properties\":\"{\\\"age\\\":" age "}\"}," SOME("\"" name "\"") "]"
#define TABLE(u, name) ((uint32_t)iu__schema_table((u)->owner->schema, name, strlen(name)))

static uint32_t logged;
static void hear(void *ud, iu_log_level level, const char *message) {
  (void)ud;
  if (level == IU_LOG_WARN && strstr(message, "properties.age") != NULL) logged++;
}

static int open_logged(void **state) {
  universe *u = calloc(1, sizeof *u);
  iu_engine_config config;
  iu__engine_config_init(&config);
  config.log = (iu_log){hear, NULL, IU_LOG_WARN};
  assert_int_equal(iu__loop_new(NULL, &u->loop, &u->err), IU_OK);
  config.loop = u->loop;
  if (iu__engine_open(&config, &u->owner, &u->err) != IU_OK) fail_msg("open: %s", u->err.message);
  logged = 0;
  *state = u;
  return 0;
}

static void make(universe *u, const char *table, const char *path) {
  if (iu__engine_create_index(u->owner, TABLE(u, table), path, strlen(path), &u->err) != IU_OK) fail_msg("%s: %s", path, u->err.message);
}

static iu_rows *select_age(universe *u, iu_connection *c, const char *op, const char *json) {
  iu_filter_spec f = {"properties.age", 14, op, strlen(op), json, strlen(json)};
  iu_selection_spec spec = {.filter_count = 1, .filters = &f};
  iu_rows *rows = NULL;
  uint64_t pending;
  if (c->vtable->select(c, TABLE(u, "entity"), &spec, &rows, &pending, &u->err) != IU_OK) fail_msg("%s", u->err.message);
  return rows;
}

static uint64_t count_age(universe *u, const char *op, const char *json) {
  iu_rows *rows = select_age(u, u->owner, op, json);
  uint64_t n = rows->count;
  iu__rows_release(rows);
  return n;
}

static bool broken(universe *u) {
  iu_engine_index index;
  assert_true(iu__engine_index_at(u->owner, 0, &index));
  return index.broken;
}

static void follows_every_commit(void **state) {
  universe *u = *state;
  iu_engine_index index;
  make(u, "entity", "properties.age");
  must(u, "create_entity", ENTITY("a", "5"));
  must(u, "create_entity", ENTITY("b", "5.0"));
  iu_rows *held = select_age(u, u->owner, "Equals", "5");
  iu_connection *other = session(u);
  assert_int_equal(held->count, 2);
  must(u, "update_entity", "[\"a\",{\"name\":" NONE ",\"description\":" NONE ",\"tags\":[],\"properties\":\"{\\\"age\\\":7}\"}]");
  must(u, "delete_entity", "[\"b\",false]");
  assert_int_equal(count_age(u, "Equals", "5"), 0);
  assert_int_equal(count_age(u, "GreaterThan", "5"), 1);
  iu_rows *theirs = select_age(u, other, "In", "[7,8]");
  assert_int_equal(theirs->count, 1);
  iu__rows_release(theirs);
  for (uint64_t i = 0; i < held->count; i++) assert_int_equal(held->rows[i]->data[0], 1); /* still there for who holds them */
  iu__rows_release(held);
  refused(u, IU_E_VALIDATION, "entity_type: \"\" is empty, expected 1 to 256 bytes of text", "create_entity", "[\"\"," PLAIN "," NONE "]");
  assert_true(iu__engine_index_at(u->owner, 0, &index));
  assert_int_equal(index.entries, 1);
  assert_string_equal(index.path, "properties.age");
  assert_false(iu__engine_index_at(u->owner, 1, &index));
  assert_int_equal(iu__engine_create_index(other, TABLE(u, "entity"), "name", 4, &u->err), IU_E_AUTHORIZATION);
  assert_int_equal(iu__engine_drop_index(other, TABLE(u, "entity"), "properties.age", 14, &u->err), IU_E_AUTHORIZATION);
  assert_int_equal(iu__engine_drop_index(u->owner, TABLE(u, "entity"), "name", 4, &u->err), IU_E_VALIDATION);
  assert_int_equal(iu__engine_drop_index(u->owner, TABLE(u, "entity"), "properties.age", 14, &u->err), IU_OK);
  assert_false(iu__engine_index_at(u->owner, 0, &index));
  session_end(other);
}

static void survives_failed_allocations(void **state) {
  universe *u = *state;
  uint64_t there = 0;
  uint32_t lost = 0;
  bool fired = true;
  make(u, "entity", "properties.age");
  for (long n = 0; fired; n++) {
    char args[400];
    int r = iu__schema_reducer(u->owner->schema, "create_entity", 13);
    iu_buf bytes = {0};
    uint64_t pending;
    snprintf(args, sizeof args, "[\"T\",{\"name\":" NONE ",\"description\":" NONE ",\"tags\":[],\"properties\":\"{\\\"age\\\":%ld}\"},{\"some\":\"n%ld\"}]", n % 7, n);
    assert_int_equal(iu__sats_from_json(u->owner->schema->reducers[r].params, args, strlen(args), &bytes, &u->err), IU_OK);
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    iu_status status = u->owner->vtable->call(u->owner, (uint32_t)r, bytes.data, bytes.len, &pending, &u->err);
    fired = iu__errinj_count(IU_ERRINJ_ALLOC) > n;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    iu__buf_free(&bytes);
    if (status == IU_OK) there++;
    else assert_int_equal(status, IU_E_NOMEM);
    assert_int_equal(count(u, "SELECT * FROM entity"), there);
    assert_int_equal(count_age(u, "GreaterOrEqual", "0"), there); /* with the index, or without */
    if (broken(u)) {
      assert_int_equal(status, IU_OK);
      lost++;
      make(u, "entity", "properties.age");
      assert_int_equal(count_age(u, "GreaterOrEqual", "0"), there);
    }
    assert_false(broken(u));
    if (n > 500) fail_msg("the call never ends without a failure");
  }
  assert_true(lost > 0);
  assert_int_equal(logged, lost);
}

static void names_its_limits(void **state) {
  universe *u = *state;
  char path[IU_ENGINE_INDEX_PATH_MAX + 2];
  memset(path, 'p', sizeof path);
  memcpy(path, "properties.", 11);
  assert_int_equal(iu__engine_create_index(u->owner, TABLE(u, "entity"), path, IU_ENGINE_INDEX_PATH_MAX + 1, &u->err), IU_E_VALIDATION);
  assert_int_equal(iu__engine_create_index(u->owner, TABLE(u, "entity"), path, IU_ENGINE_INDEX_PATH_MAX, &u->err), IU_OK);
  for (uint32_t i = 1; i < IU_ENGINE_INDEXES_MAX; i++) {
    snprintf(path, sizeof path, "properties.a%u", i);
    make(u, i % 2 ? "entity" : "relation", path);
  }
  assert_int_equal(iu__engine_create_index(u->owner, TABLE(u, "relation"), "strength", 8, &u->err), IU_E_OVERLOADED);
  assert_int_equal(iu__engine_create_index(u->owner, TABLE(u, "entity"), "properties.a1", 13, &u->err), IU_OK); /* is there */
  assert_int_equal(iu__engine_drop_index(u->owner, TABLE(u, "entity"), "properties.a1", 13, &u->err), IU_OK);
  make(u, "relation", "strength");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(follows_every_commit, universe_open, universe_close),
    cmocka_unit_test_setup_teardown(survives_failed_allocations, open_logged, universe_close),
    cmocka_unit_test_setup_teardown(names_its_limits, universe_open, universe_close),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
