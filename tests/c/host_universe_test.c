/* host_universe_test.c: a universe through the public C API, the same in memory, in a file and on a server: calls, subscriptions, row callbacks, reads,
 * queries, the schema, and what is refused. */
#include "host_fixture.h"

#include <sqlite3.h>

static void rows_are_heard_and_read(void **state) {
  iu_value row, part;
  bool found;
  uint64_t count;
  int64_t created;
  const iu_arg key = iu_arg_text("ada"), none = iu_arg_text("nobody");
  (void)state;
  subscribe_robots(now.u);
  heard("");
  create(now.u, "ada");
  heard("+ada."); /* before the call has returned */
  GOOD(iu_get(now.u, "entity", &key, &row, &found, &now.err));
  assert_true(found);
  assert_int_equal(iu_value_kind(&row), IU_KIND_PRODUCT);
  GOOD(iu_column_i64(&row, "created_at", &created, &now.err));
  assert_true(created > INT64_C(1600000000000000));
  GOOD(iu_value_field(&row, "metadata", &part, &now.err));
  GOOD(iu_value_field(&part, "name", &part, &now.err));
  assert_int_equal(iu_value_kind(&part), IU_KIND_OPTION);
  const char *text;
  size_t len;
  GOOD(iu_value_string(&part, &text, &len, &now.err)); /* what the option holds */
  assert_int_equal(len, 3);
  assert_memory_equal(text, "ada", 3);
  GOOD(iu_get(now.u, "entity", &none, &row, &found, &now.err));
  assert_false(found);
  GOOD(iu_count(now.u, "entity", &count, &now.err));
  assert_int_equal(count, 1);
  GOOD(iu_call_json(now.u, "update_entity", "{\"metadata\":[null,null,[],\"{}\"],\"id\":\"ada\"}", 0, &now.err));
  heard("*ada.");
  GOOD(iu_call_json(now.u, "delete_entity", "[\"ada\", false]", 0, &now.err));
  heard("-ada.");
  GOOD(iu_count(now.u, "entity", &count, &now.err));
  assert_int_equal(count, 0);
}

static void others_are_heard_too(void **state) {
  iu_universe *other = NULL;
  uint8_t caller[32], mine[32];
  (void)state;
  if (now.kind == ON_SERVER) other = open_more(NULL);
  else GOOD(iu_open_session(now.u, NULL, &other, &now.err));
  GOOD(iu_identity(other, caller, &now.err));
  GOOD(iu_identity(now.u, mine, &now.err));
  assert_memory_not_equal(caller, mine, 32);
  subscribe_robots(now.u);
  create(other, "bob");
  turn_until_heard("+bob");
  GOOD(iu_close(other, &now.err));
  GOOD(iu_close(other, &now.err)); /* again: nothing */
  BAD(iu_call(other, "create_entity", NULL, 0, 0, &now.err), IU_E_CLOSED, "closed");
  iu_free(other);
}

static void a_subscription_brings_what_is_there(void **state) {
  static const char *const all[] = {"SELECT * FROM entity", ROBOT_QUERY}, *const wrong[] = {"SELECT * FROM entiti"};
  uint64_t sub;
  (void)state;
  create(now.u, "ada");
  GOOD(iu_on_row(now.u, "entity", IU_ON_INSERT | IU_ON_DELETE, hear_row, &now, NULL, &now.err));
  GOOD(iu_subscribe_async(now.u, all, 2, hear_sub, &now, &sub, &now.err));
  heard(""); /* never inside */
  turn_until_heard("+ada,a");
  GOOD(iu_unsubscribe(now.u, sub, &now.err));
  turn_until_heard("-ada,e");
  BAD(iu_unsubscribe(now.u, sub, &now.err), IU_E_VALIDATION, "not active");
  iu_status status = iu_subscribe(now.u, wrong, 1, 0, hear_sub, &now, NULL, &now.err);
  assert_int_not_equal(status, IU_OK);
  assert_non_null(strstr(now.err.message, "entiti"));
  heard("");
}

static void calls_end_once_and_later(void **state) {
  const iu_arg twice[] = {iu_arg_text("Robot"), iu_arg_json("[null,null,[],\"{}\"]"), iu_arg_text("ada")};
  const iu_arg gone[] = {iu_arg_text("nobody"), iu_arg_bool(false)};
  (void)state;
  GOOD(iu_call_async(now.u, "create_entity", twice, 3, 0, hear_end, &now, &now.err));
  GOOD(iu_call_async(now.u, "create_entity", twice, 3, 0, hear_end, &now, &now.err));
  GOOD(iu_call_async(now.u, "delete_entity", gone, 2, 0, hear_end, &now, &now.err));
  GOOD(iu_flush_async(now.u, 0, hear_end, &now, &now.err));
  GOOD(iu_call_async(now.u, "delete_entity", gone, 2, 0, NULL, NULL, &now.err)); /* nobody is interested */
  heard("");
  turn_for(&now.ends, 4);
  now.heard[0] = '\0';
  GOOD(iu_flush(now.u, 0, &now.err));
  assert_int_equal(now.ends, 4);
  BAD(iu_call(now.u, "create_entity", twice, 3, 0, &now.err), IU_E_CONFLICT, "ada");
  BAD(iu_call(now.u, "delete_entity", gone, 2, 0, &now.err), IU_E_ENTITY_NOT_FOUND, "nobody");
}

static void wrong_calls_show_the_signature(void **state) {
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_i64(7)}, bad_text[] = {iu_arg_text_n("\xff", 1), iu_arg_none()};
  static const char signature[] = "create_entity(entity_type: String, metadata: EntityMetadata, id: Option<String>)";
  (void)state;
  BAD(iu_call(now.u, "create_entity", args, 1, 0, &now.err), IU_E_VALIDATION, signature);
  BAD(iu_call(now.u, "create_entity", args, 2, 0, &now.err), IU_E_VALIDATION, signature);
  assert_non_null(strstr(now.err.message, "metadata: expected"));
  assert_non_null(strstr(now.err.message, "got 7"));
  BAD(iu_call(now.u, "create_entity", bad_text, 2, 0, &now.err), IU_E_VALIDATION, "entity_type: expected UTF-8 text, byte 0 is not");
  BAD(iu_call(now.u, "create_entitty", args, 2, 0, &now.err), IU_E_VALIDATION, "did you mean `create_entity`?");
  BAD(iu_call_json(now.u, "create_entity", "[\"Robot\"]", 0, &now.err), IU_E_VALIDATION, "takes 3 arguments, got 1");
  BAD(iu_call_json(now.u, "create_entity", "[1, 2, 3, 4]", 0, &now.err), IU_E_VALIDATION, "takes 3 arguments, got 4");
  BAD(iu_call_json(now.u, "create_entity", "{\"entity_type\": \"Robot\"}", 0, &now.err), IU_E_VALIDATION, "`metadata` is missing");
  BAD(iu_call_json(now.u, "create_entity", "{\"entity_typ\": \"Robot\"}", 0, &now.err), IU_E_VALIDATION, "no parameter `entity_typ`");
  BAD(iu_call_json(now.u, "create_entity", "\"Robot\"", 0, &now.err), IU_E_VALIDATION, "an array or an object");
  BAD(iu_call_json(now.u, "create_entity", "[", 0, &now.err), IU_E_VALIDATION, "create_entity(");
  BAD(iu_call_async(now.u, "create_entity", args, 1, 0, hear_end, &now, &now.err), IU_E_VALIDATION, signature);
  GOOD(iu_flush(now.u, 0, &now.err));
  heard(""); /* what was refused here never ends there */
}

static void cursors(void **state) {
  const iu_arg robot = iu_arg_text("Robot"), low = iu_arg_text("b"), high = iu_arg_text("c");
  static const char *const ids[] = {"a", "b", "c", "d"};
  char id[64], seen[16] = "";
  iu_cursor *c;
  iu_value row;
  (void)state;
  for (int i = 0; i < 4; i++) create(now.u, ids[i]);
  GOOD(iu_query_once(now.u, ROBOT_QUERY, 0, &c, &now.err));
  assert_int_equal(iu_cursor_count(c), 4); /* subscribed or not */
  int n = 0;
  while (iu_cursor_next(c, &row)) n++;
  assert_int_equal(n, 4);
  assert_false(iu_cursor_next(c, &row));
  iu_cursor_free(c);
  GOOD(iu_find(now.u, "entity", "entity_type", &robot, 1, &c, &now.err));
  assert_false(iu_cursor_next(c, &row)); /* nothing is subscribed yet */
  iu_cursor_free(c);
  subscribe_robots(now.u);
  now.heard[0] = '\0';
  GOOD(iu_scan(now.u, "entity", "id", &low, &high, true, &c, &now.err));
  assert_true(iu_cursor_count(c) == IU_COUNT_UNKNOWN);
  create(now.u, "bb"); /* a scan sees the rows as they were */
  while (iu_cursor_next(c, &row)) {
    id_of(&row, id);
    strcat(seen, id);
  }
  assert_string_equal(seen, "cb");
  GOOD(iu_cursor_status(c, &now.err));
  iu_cursor_free(c);
  GOOD(iu_scan(now.u, "entity", NULL, NULL, NULL, false, &c, &now.err));
  for (n = 0; iu_cursor_next(c, &row); n++) {}
  assert_int_equal(n, 5);
  iu_cursor_free(c);
  BAD(iu_scan(now.u, "entity", NULL, &low, NULL, false, &c, &now.err), IU_E_VALIDATION, "bounds need one");
  BAD(iu_scan(now.u, "entity", "nam", NULL, NULL, false, &c, &now.err), IU_E_VALIDATION, "no such index: `nam`");
  BAD(iu_find(now.u, "entitty", "id", &low, 1, &c, &now.err), IU_E_VALIDATION, "did you mean `entity`?");
  BAD(iu_find(now.u, "entity", "id", &low, 2, &c, &now.err), IU_E_VALIDATION, "expected 1 to 1 values, got 2");
  BAD(iu_query_once(now.u, "SELECT * FROM entity WHERE", 0, &c, &now.err), IU_E_VALIDATION, "");
  assert_null(c);
}

static void a_cursor_outlives_the_close(void **state) {
  iu_cursor *rows, *scan;
  iu_value row;
  char id[64];
  (void)state;
  create(now.u, "ada");
  subscribe_robots(now.u);
  GOOD(iu_query_once(now.u, ROBOT_QUERY, 0, &rows, &now.err));
  GOOD(iu_scan(now.u, "entity", NULL, NULL, NULL, false, &scan, &now.err));
  GOOD(iu_close(now.u, &now.err));
  BAD(iu_runtime_free(now.rt, &now.err), IU_E_CONFLICT, "not freed");
  assert_true(iu_cursor_next(rows, &row));
  id_of(&row, id);
  assert_string_equal(id, "ada");
  assert_false(iu_cursor_next(scan, &row));
  BAD(iu_cursor_status(scan, &now.err), IU_E_CLOSED, "closed while it was scanned");
  iu_cursor_free(rows);
  iu_cursor_free(scan);
}

static void the_schema_is_told(void **state) {
  const iu_schema *s = iu_get_schema(now.u);
  char text[256];
  size_t needed;
  (void)state;
  int64_t table = iu_schema_table_named(s, "entity"), reducer = iu_schema_reducer_named(s, "create_entity");
  assert_true(table >= 0 && reducer >= 0);
  assert_int_equal(iu_schema_table_named(s, "no"), -1);
  assert_true(iu_table_is_public(s, (uint32_t)table));
  assert_int_equal(iu_table_primary_key(s, (uint32_t)table), 0);
  assert_int_equal(iu_table_columns(s, (uint32_t)table), 5);
  assert_string_equal(iu_table_column_name(s, (uint32_t)table, 2), "created_at");
  assert_null(iu_table_column_name(s, (uint32_t)table, 5));
  assert_int_equal(iu_table_column_kind(s, (uint32_t)table, 2), IU_KIND_TIMESTAMP);
  assert_int_equal(iu_table_column_kind(s, (uint32_t)table, 9), IU_KIND_INVALID);
  GOOD(iu_table_column_type(s, (uint32_t)table, 4, text, sizeof text, NULL, &now.err));
  assert_string_equal(text, "EntityMetadata");
  GOOD(iu_table_column_type(s, (uint32_t)table, 4, text, 4, &needed, &now.err));
  assert_string_equal(text, "Ent");
  assert_int_equal(needed, 14);
  assert_true(iu_table_indexes(s, (uint32_t)table) >= 3);
  bool unique = false;
  for (uint32_t i = 0; i < iu_table_indexes(s, (uint32_t)table); i++) {
    if (strcmp(iu_table_index_name(s, (uint32_t)table, i), "id") == 0) unique = iu_table_index_is_unique(s, (uint32_t)table, i);
    assert_int_equal(iu_table_index_columns(s, (uint32_t)table, i), 1);
    assert_true(iu_table_index_column(s, (uint32_t)table, i, 0) >= 0);
    assert_int_equal(iu_table_index_column(s, (uint32_t)table, i, 1), -1);
  }
  assert_true(unique);
  GOOD(iu_reducer_signature_text(s, (uint32_t)reducer, text, sizeof text, NULL, &now.err));
  assert_string_equal(text, "create_entity(entity_type: String, metadata: EntityMetadata, id: Option<String>)");
  assert_null(iu_schema_table_name(s, 9999));
  assert_null(iu_schema_reducer_name(s, 9999));
}

static void an_event_tells_who_and_what(void **state);
static uint8_t expected_caller[32];
static int told;
static void on_told(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  uint8_t caller[32];
  iu_value args, first;
  char text[64];
  (void)ud;
  (void)u;
  (void)old_row;
  (void)new_row;
  told++;
  assert_true(iu_event_is_own(event));
  assert_int_not_equal(iu_event_transaction(event), 0);
  assert_string_equal(iu_event_reducer(event), "create_entity");
  assert_true(iu_event_timestamp(event) > INT64_C(1600000000000000));
  assert_true(iu_event_caller(event, caller, NULL));
  assert_memory_equal(caller, expected_caller, 32);
  assert_true(iu_event_args(event, &args));
  GOOD(iu_value_at(&args, 0, &first, &now.err));
  GOOD(iu_value_text(&first, text, sizeof text, NULL, &now.err));
  assert_string_equal(text, "Robot");
}

static void an_event_tells_who_and_what(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  uint64_t handler;
  (void)state;
  told = 0;
  GOOD(iu_identity(now.u, expected_caller, &now.err));
  GOOD(iu_on_row(now.u, "entity", IU_ON_INSERT, on_told, NULL, &handler, &now.err));
  GOOD(iu_subscribe(now.u, queries, 1, 0, NULL, NULL, NULL, &now.err));
  create(now.u, "ada");
  assert_int_equal(told, 1);
  GOOD(iu_cancel(now.u, handler, &now.err));
  create(now.u, "bob");
  assert_int_equal(told, 1);
  BAD(iu_cancel(now.u, handler, &now.err), IU_E_VALIDATION, "does not exist");
}

static void facts(void **state) {
  iu_info info = {.size = sizeof info};
  uint8_t id[16], none[16] = {0};
  char hex[33];
  (void)state;
  create(now.u, "ada");
  GOOD(iu_get_info(now.u, &info, &now.err));
  assert_int_equal(info.is_server, now.kind == ON_SERVER);
  assert_int_equal(info.phase, IU_PHASE_CONNECTED);
  assert_true(info.calls >= 1);
  assert_true(strlen(info.location) > 0 && strlen(info.durability) > 0);
  if (now.kind == IN_FILE) assert_string_equal(info.location, now.file);
  if (now.kind == ON_SERVER) assert_true(strlen(info.token) > 0 && strlen(info.protocol) > 0 && info.bytes_sent > 0);
  assert_int_equal(iu_is_owner(now.u), now.kind != ON_SERVER);
  GOOD(iu_connection_id(now.u, id, &now.err));
  assert_memory_not_equal(id, none, 16);
  iu_hex(id, 16, hex);
  assert_int_equal(strlen(hex), 32);
  iu_hex((const uint8_t *)"\x01\x02\xff", 3, hex);
  assert_string_equal(hex, "ff0201");
}

/* A file keeps what a program left, whoever opens it next. */
static void a_file_keeps(void **state) {
  iu_options o = options_of();
  iu_cursor *rows;
  (void)state;
  create(now.u, "ada");
  GOOD(iu_close(now.u, &now.err));
  iu_free(now.u);
  o.durability = "full";
  now.u = open_more(&o);
  GOOD(iu_query_once(now.u, ROBOT_QUERY, 0, &rows, &now.err));
  assert_int_equal(iu_cursor_count(rows), 1);
  iu_cursor_free(rows);
  create(now.u, "bob"); /* waits for the disk */
  const iu_arg args[] = {iu_arg_text("bob"), iu_arg_bool(false)};
  GOOD(iu_call_async(now.u, "delete_entity", args, 2, 0, hear_end, &now, &now.err));
  turn_until_heard("=");
  iu_universe *second;
  BAD(iu_open(now.rt, now.target, NULL, &second, &now.err), IU_E_UNIVERSE_LOCKED, "");
  assert_null(second);
}

static uint64_t entities_of(iu_universe *u) {
  iu_cursor *rows;
  GOOD(iu_query_once(u, "SELECT * FROM entity", 0, &rows, &now.err));
  uint64_t count = iu_cursor_count(rows);
  iu_cursor_free(rows);
  return count;
}

static void a_snapshot_leaves_the_file_alone(void **state) {
  iu_options o = options_of();
  iu_universe *copy;
  (void)state;
  create(now.u, "ada");
  GOOD(iu_flush(now.u, 0, &now.err));
  o.snapshot = true;
  GOOD(iu_open(now.rt, now.target, &o, &copy, &now.err)); /* while the file is open */
  assert_int_equal(entities_of(copy), 1);
  create(copy, "bob");
  assert_int_equal(entities_of(copy), 2);
  assert_int_equal(entities_of(now.u), 1);
  iu_free(copy);
}

static void a_damaged_journal_is_recovered_on_demand(void **state) {
  iu_options o = options_of();
  sqlite3 *db;
  (void)state;
  create(now.u, "ada");
  GOOD(iu_close(now.u, &now.err));
  iu_free(now.u);
  now.u = NULL;
  assert_int_equal(sqlite3_open(now.file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "INSERT INTO _iu_journal SELECT value + 1, value + 1, 0, x'00' FROM _iu_meta WHERE key = 'folded'", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  iu_universe *u;
  BAD(iu_open(now.rt, now.target, NULL, &u, &now.err), IU_E_STORAGE, "");
  o.recover = "prefix";
  now.u = open_more(&o);
  assert_int_equal(entities_of(now.u), 1);
  create(now.u, "bob");
}

static void backups(void **state) {
  char copy[400];
  iu_backup *b = NULL;
  iu_universe *other;
  iu_cursor *rows;
  uint64_t done = 0, total = 0, id;
  bool complete = false;
  (void)state;
  snprintf(copy, sizeof copy, "%s.copy", now.file);
  if (now.kind != IN_FILE) {
    BAD(iu_backup_begin(now.u, "copy", false, 0, &b, &now.err), IU_E_VALIDATION, now.kind == IN_MEMORY ? "memory: universe has no file" : "server");
    assert_null(b);
    BAD(iu_backup_begin(NULL, "copy", false, 0, &b, &now.err), IU_E_VALIDATION, "universe");
    BAD(iu_backup_step(NULL, 1, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "backup");
    iu_backup_cancel(NULL);
    iu_backup_end(NULL);
    return;
  }
  create(now.u, "ada");
  BAD(iu_backup_begin(now.u, now.file, true, 0, &b, &now.err), IU_E_VALIDATION, "the file itself");
  BAD(iu_backup_begin(now.u, NULL, true, 0, &b, &now.err), IU_E_VALIDATION, "iu_backup_begin");
  GOOD(iu_backup_begin(now.u, copy, false, 0, &b, &now.err)); /* ended early */
  iu_backup_cancel(b);
  BAD(iu_backup_step(b, 10, &done, &total, &complete, &now.err), IU_E_CLOSED, "cancelled");
  BAD(iu_backup_step(b, 10, &done, &total, &complete, &now.err), IU_E_CLOSED, "cancelled");
  iu_backup_end(b);
  assert_int_not_equal(access(copy, F_OK), 0);
  GOOD(iu_backup_begin(now.u, copy, false, 0, &b, &now.err));
  create(now.u, "bob"); /* before the first step: may be in it or not, and is no trouble */
  while (!complete) GOOD(iu_backup_step(b, 0, &done, &total, &complete, &now.err));
  assert_int_equal(done, total);
  GOOD(iu_backup_step(b, 0, NULL, NULL, NULL, &now.err)); /* complete is complete */
  iu_backup_end(b);
  BAD(iu_backup_begin(now.u, copy, false, 0, &b, &now.err), IU_E_VALIDATION, "is there already");
  GOOD(iu_open(now.rt, copy, NULL, &other, &now.err));
  GOOD(iu_query_once(other, "SELECT * FROM entity WHERE id = 'ada'", 0, &rows, &now.err));
  id = iu_cursor_count(rows);
  assert_int_equal(id, 1);
  iu_cursor_free(rows);
  GOOD(iu_close(other, &now.err));
  iu_free(other);
  unlink(copy);
}

static void hear_failure(void *ud, const char *what, const iu_error *err) {
  assert_ptr_equal(ud, &now);
  hear(what);
  hear(strstr(err->message, "the query could not be evaluated any more") != NULL ? "!" : err->message);
}

/* With a function it goes there, without one to on_error of the runtime. */
static void a_subscription_that_fails_is_heard(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  iu_runtime *was = now.rt, *own;
  iu_runtime_options o = iu_runtime_options_default();
  iu_universe *u;
  fetched f;
  (void)state;
  o.on_error = hear_failure;
  o.on_error_ud = &now;
  GOOD(iu_runtime_new(&o, &own, &now.err));
  for (int with = 0; with < 2; with++) {
    now.rt = own;
    u = open_more(NULL);
    GOOD(iu_subscribe(u, queries, 1, 0, with ? hear_sub : NULL, &now, NULL, &now.err));
    now.heard[0] = '\0';
    for (int set = 0; set < 8; set++) {
      char json[40];
      snprintf(json, sizeof json, "{\"fail_set\":%d}", set);
      assert_int_equal(http(&server, "POST", "/peer/fault", json, &f), 200);
    }
    turn_until_heard(with ? "f" : "subscription!");
    iu_free(u);
    now.rt = was;
  }
  GOOD(iu_runtime_free(own, &now.err));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_EVERY_WORLD(rows_are_heard_and_read), IN_EVERY_WORLD(others_are_heard_too), IN_EVERY_WORLD(a_subscription_brings_what_is_there),
      IN_EVERY_WORLD(calls_end_once_and_later), IN_EVERY_WORLD(wrong_calls_show_the_signature), IN_EVERY_WORLD(cursors),
      IN_EVERY_WORLD(a_cursor_outlives_the_close), IN_EVERY_WORLD(the_schema_is_told), IN_EVERY_WORLD(an_event_tells_who_and_what),
      IN_EVERY_WORLD(facts), IN_EVERY_WORLD(backups),
      {"a subscription that fails is heard", a_subscription_that_fails_is_heard, world_open, world_close, &world_kinds[ON_SERVER]},
      {"a file keeps what was left", a_file_keeps, world_open, world_close, &world_kinds[IN_FILE]},
      {"a snapshot leaves the file alone", a_snapshot_leaves_the_file_alone, world_open, world_close, &world_kinds[IN_FILE]},
      {"a damaged journal is recovered on demand", a_damaged_journal_is_recovered_on_demand, world_open, world_close, &world_kinds[IN_FILE]},
  };
  return cmocka_run_group_tests(tests, NULL, server_end);
}
