/* transact: all or none, once for a key, and proofs of what was read; config, records, migrations, connections. */
#include "module_fixture.h"

#include "../../core/engine/internal.h"

#define CREATE(id) "{\"CreateEntity\":[\"T\"," PLAIN "," SOME("\"" id "\"") "]}"

/* applied_request is private, but the owner may read it. */
static uint64_t requests(universe *u) { return count(u, "SELECT * FROM applied_request"); }

static void all_operations_or_none(void **state) {
  universe *u = *state;
  must(u, "transact", "[[" CREATE("a") "," CREATE("b") ",{\"CreateRelation\":[\"a\",\"b\",\"R\"," LINK "," SOME("\"r\"") "]},"
                      "{\"UpdateEntity\":[\"a\"," PLAIN "]},{\"PublishEvent\":[\"E\",\"\",\"1\"," NONE "]},"
                      "{\"PutRecord\":[\"k\",\"v\",{\"some\":0}," NONE "]},{\"UpdateConfig\":[\"k\",\"v\",\"\"]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
  assert_int_equal(count(u, "SELECT * FROM relation"), 1);
  assert_int_equal(count(u, "SELECT * FROM plugin_record"), 1);
  refused(u, IU_E_CONFLICT, "operations[1] put_record: expected_revision: record \"k\" is at revision 1, expected none", "transact",
          "[[" CREATE("c") ",{\"PutRecord\":[\"k\",\"w\",{\"some\":0}," NONE "]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
  must(u, "transact", "[[]," NONE "]");
}

static void hex_of_row(const iu_rows *rows, char *out) {
  for (uint32_t i = 0; i < rows->rows[0]->len; i++) sprintf(out + 2 * i, "%02x", rows->rows[0]->data[i]);
}

static void rows_come_and_go_as_they_are(void **state) {
  universe *u = *state;
  char json[1500], row[600];
  iu_rows *rows;
  must(u, "transact", "[[" CREATE("a") "," CREATE("b") "]," NONE "]");
  rows = rows_of(u, "SELECT * FROM entity WHERE id = 'a'");
  hex_of_row(rows, row);
  iu__rows_release(rows);
  must(u, "transact", "[[{\"RemoveRows\":[\"entity\",[\"a\",\"none\"]]},{\"PutRecord\":[\"k\",\"v\"," NONE "," NONE "]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'ENTITY_DELETED'"), 0);
  must(u, "transact", FORMAT(json, "[[{\"ImportRows\":[\"entity\",[\"%s\"]]}]," NONE "]", row));
  assert_int_equal(count(u, "SELECT * FROM entity WHERE id = 'a'"), 1);
  refused(u, IU_E_CONFLICT, "operations[1] expect: row \"a\" of `entity` exists, expected none", "transact",
          "[[{\"RemoveRows\":[\"entity\",[\"b\"]]},{\"Expect\":[\"entity\",\"a\"," NONE "]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
  refused(u, IU_E_VALIDATION, "operations[1] remove_rows: keys[1]: id: \"\" is empty, expected 1 to 256 bytes of text", "transact",
          "[[" CREATE("c") ",{\"RemoveRows\":[\"entity\",[\"b\",\"\"]]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
}

static void a_feature_changed_inside_counts_at_once(void **state) {
  universe *u = *state;
  must(u, "transact", "[[" CREATE("a") ",{\"UpdateConfig\":[\"enable_audit_log\",\"false\",\"\"]}," CREATE("b") "]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'ENTITY_CREATED'"), 1);
}

static void a_keyed_request_is_applied_once(void **state) {
  universe *u = *state;
  uint64_t events;
  must(u, "transact", "[[" CREATE("a") "]," SOME("\"key-1\"") "]");
  events = count(u, "SELECT * FROM event_log");
  must(u, "transact", "[[" CREATE("a") "]," SOME("\"key-1\"") "]");
  must(u, "transact", "[[" CREATE("a") "]," SOME("\"key-1\"") "]");
  assert_int_equal(count(u, "SELECT * FROM event_log"), events);
  refused(u, IU_E_CONFLICT, "operations[0] create_entity: id: entity \"a\" exists already", "transact", "[[" CREATE("a") "]," SOME("\"key-2\"") "]");
  must(u, "transact", "[[" CREATE("b") "]," SOME("\"key-2\"") "]"); /* a refused request is not remembered */
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
}

static void odd_request_keys(void **state) {
  universe *u = *state;
  char json[900], key[300];
  refused(u, IU_E_VALIDATION, "request_key: \"\" is empty, expected 1 to 256 bytes of text", "transact", "[[]," SOME("\"\"") "]");
  refused(u, IU_E_VALIDATION, "request_key: \"a\\x0a\" has a control character at byte 1, expected none", "transact", "[[]," SOME("\"a\\n\"") "]");
  refused(u, IU_E_VALIDATION, "request_key: \"a\\x01b\" has a control character at byte 1, expected none", "transact", "[[]," SOME("\"a\\u0001b\"") "]");
  memset(key, 'k', 257);
  key[257] = '\0';
  assert_int_equal(call_as(u, u->owner, "transact", FORMAT(json, "[[" CREATE("x") "],{\"some\":\"%s\"}]", key)), IU_E_VALIDATION);
  key[256] = '\0';
  for (int i = 0; i < 2; i++) must(u, "transact", FORMAT(json, "[[" CREATE("a") "],{\"some\":\"%s\"}]", key));
  for (int i = 0; i < 2; i++) must(u, "transact", "[[" CREATE("b") "]," SOME("\"k\"") "]");
  /* a key that contains what looks like the end of another argument list */
  assert_int_equal(call_as(u, u->owner, "transact", "[[" CREATE("c") "]," SOME("\"\\u0000\\u0001\\u0000\\u0000\\u0000q\"") "]"), IU_E_VALIDATION);
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
  assert_int_equal(requests(u), 2);
}

/* Moves every remembered request into the past, behind the module's back. */
static void age_requests(universe *u, int64_t by) {
  iu_engine *e = iu__session_of(u->owner)->engine;
  int t = iu__schema_table(e->schema, "applied_request", 15);
  iu_table *table = iu__store_table(e->store, (uint32_t)t);
  iu_iter *it;
  const iu_row *row;
  iu_changeset *changes;
  assert_int_equal(iu__store_begin(e->store, NULL), IU_OK);
  assert_int_equal(iu__table_iter(table, IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
  while ((row = iu__iter_next(it)) != NULL) {
    iu_buf copy = {0};
    int64_t at;
    iu__buf_put(&copy, row->data, row->len);
    at = (int64_t)iu__load_u64(copy.data + copy.len - 8) - by;
    for (int i = 0; i < 8; i++) copy.data[copy.len - 8 + i] = (uint8_t)((uint64_t)at >> 8 * i);
    assert_int_equal(iu__tx_update(table, row, copy.data, copy.len, NULL, NULL), IU_OK);
    iu__buf_free(&copy);
  }
  iu__iter_close(it);
  assert_int_equal(iu__store_commit(e->store, &changes, NULL), IU_OK);
  if (changes != NULL) iu__changeset_release(e->store, changes);
}

static void requests_are_forgotten_after_a_day(void **state) {
  universe *u = *state;
  const int64_t hour = INT64_C(3600) * 1000000;
  char json[100];
  for (int i = 0; i < 100; i++) must(u, "transact", FORMAT(json, "[[],{\"some\":\"k%d\"}]", i));
  age_requests(u, 23 * hour);
  must(u, "transact", "[[]," SOME("\"new\"") "]");
  assert_int_equal(requests(u), 101);
  age_requests(u, 2 * hour);
  must(u, "transact", "[[]," SOME("\"newer\"") "]"); /* 64 a call */
  assert_int_equal(requests(u), 101 + 1 - 64);
  must(u, "transact", "[[]," SOME("\"newest\"") "]");
  assert_int_equal(requests(u), 3);
}

static void what_was_read_is_proven(void **state) {
  universe *u = *state;
  char row[600], json[1500];
  iu_rows *rows;
  must(u, "transact", "[[" CREATE("a") "]," NONE "]");
  rows = rows_of(u, "SELECT * FROM entity WHERE id = 'a'");
  hex_of_row(rows, row);
  iu__rows_release(rows);
  must(u, "transact", FORMAT(json, "[[{\"Expect\":[\"entity\",\"a\",{\"some\":\"%s\"}]},{\"Expect\":[\"entity\",\"b\"," NONE "]}," CREATE("b") "]," NONE "]", row));
  refused(u, IU_E_CONFLICT, "operations[0] expect: row \"b\" of `entity` exists, expected none", "transact",
          "[[{\"Expect\":[\"entity\",\"b\"," NONE "]}]," NONE "]");
  must(u, "update_entity", "[\"a\",{\"name\":{\"some\":\"n\"},\"description\":" NONE ",\"tags\":[],\"properties\":\"\"}]");
  refused(u, IU_E_CONFLICT, "operations[0] expect: row \"a\" of `entity` has changed since it was read", "transact",
          FORMAT(json, "[[{\"Expect\":[\"entity\",\"a\",{\"some\":\"%s\"}]}]," NONE "]", row));
  must(u, "delete_entity", "[\"a\",false]");
  refused(u, IU_E_CONFLICT, "operations[0] expect: row \"a\" of `entity` is gone since it was read", "transact", json);
  refused(u, IU_E_VALIDATION, "operations[0] expect: table: \"nonsense\", expected a public table with a text as its key", "transact",
          "[[{\"Expect\":[\"nonsense\",\"b\"," NONE "]}]," NONE "]");
}

static void the_number_of_operations_is_limited(void **state) {
  universe *u = *state;
  iu_buf args = {0};
  for (uint32_t n = 100000; n <= 100001; n++) {
    iu__buf_reset(&args);
    iu__buf_put_u32(&args, n);
    for (uint32_t i = 0; i < n; i++) {
      iu__buf_put_u8(&args, 23); /* Expect { "entity", "x", none } */
      iu__buf_put_bytes(&args, "entity", 6);
      iu__buf_put_bytes(&args, "x", 1);
      iu__buf_put_u8(&args, 1);
    }
    iu__buf_put_u8(&args, 1);
    assert_int_equal(call_bytes(u, u->owner, "transact", args.data, args.len), n == 100000 ? IU_OK : IU_E_VALIDATION);
  }
  assert_string_equal(u->err.message, "operations: 100001, expected at most 100000");
  iu__buf_free(&args);
}

/* ---- the other tables ---- */

static void configuration_is_kept(void **state) {
  universe *u = *state;
  char hex[65], want[80];
  identity_hex(u->owner->identity, hex);
  assert_string_equal(cell(u, "SELECT * FROM config WHERE key = 'owner'", "value"), FORMAT(want, "\"%s\"", hex));
  assert_string_equal(cell(u, "SELECT * FROM config WHERE key = 'schema_version'", "value"), "\"1\"");
  must(u, "update_config", "[\"k\",\"v\",\"d\"]");
  must(u, "update_config", "[\"k\",\"w\",\"d\"]");
  assert_string_equal(cell(u, "SELECT * FROM config WHERE key = 'k'", "value"), "\"w\"");
  assert_string_equal(cell(u, "SELECT * FROM config WHERE key = 'k'", "updated_by"), want);
  refused(u, IU_E_VALIDATION, "key: \"owner\" is set once, when the universe is made", "update_config", "[\"owner\",\"x\",\"\"]");
}

static void records_compare_and_set(void **state) {
  universe *u = *state;
  char json[200];
  must(u, "put_record", "[\"k\",\"a\"," SOME("0") "," NONE "]");
  refused(u, IU_E_CONFLICT, "expected_revision: record \"k\" is at revision 1, expected none", "put_record", "[\"k\",\"b\"," SOME("0") "," NONE "]");
  must(u, "put_record", "[\"k\",\"b\"," SOME("1") "," NONE "]");
  refused(u, IU_E_CONFLICT, "expected_revision: record \"k\" is at revision 2, expected 1", "put_record", "[\"k\",\"c\"," SOME("1") "," NONE "]");
  must(u, "put_record", "[\"k\",\"d\"," NONE "," NONE "]");
  assert_int_equal(number(u, "SELECT * FROM plugin_record", "revision"), 3);
  refused(u, IU_E_CONFLICT, "expected_revision: no record \"x\", expected revision 1", "put_record", "[\"x\",\"c\"," SOME("1") "," NONE "]");
  refused(u, IU_E_CONFLICT, "expected_revision: record \"k\" is at revision 3, expected 1", "delete_record", "[\"k\"," SOME("1") "]");
  /* a lease that ran out can be taken, and its number goes on */
  must(u, "put_record", FORMAT(json, "[\"k\",\"e\"," NONE ",{\"some\":[%lld]}]", (long long)iu__clock_micros() - 1000));
  must(u, "put_record", FORMAT(json, "[\"k\",\"f\"," SOME("0") ",{\"some\":[%lld]}]", (long long)iu__clock_micros() + 100000000));
  assert_int_equal(number(u, "SELECT * FROM plugin_record", "revision"), 5);
  refused(u, IU_E_CONFLICT, "expected_revision: record \"k\" is at revision 5, expected none", "put_record", "[\"k\",\"g\"," SOME("0") "," NONE "]");
  must(u, "delete_record", "[\"k\"," SOME("5") "]");
  must(u, "delete_record", "[\"k\"," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM plugin_record"), 0);
  refused(u, IU_E_VALIDATION, "expires_at: -5, expected a time after 1970", "put_record", "[\"k\",\"a\"," NONE ",{\"some\":[-5]}]");
}

static void migrations_are_recorded(void **state) {
  universe *u = *state;
  must(u, "record_migration", "[\"0001\",\"first\",\"sum\",\"running\",2,\"{}\",\"\",0]");
  must(u, "record_migration", "[\"0001\",\"first\",\"sum\",\"failed\",2,\"{}\",\"disk full\",15]");
  assert_string_equal(cell(u, "SELECT * FROM schema_migration", "status"), "\"failed\"");
  assert_string_equal(cell(u, "SELECT * FROM schema_migration", "error"), "\"disk full\"");
  assert_int_equal(number(u, "SELECT * FROM schema_migration", "duration_ms"), 15);
}

static void connections_come_and_go(void **state) {
  universe *u = *state;
  iu_connection *ada = session(u);
  uint8_t identity[32];
  char hex[65], want[200];
  memcpy(identity, ada->identity, sizeof identity);
  identity_hex(identity, hex);
  assert_int_equal(count(u, "SELECT * FROM client_connection WHERE status = 'connected'"), 2);
  assert_int_equal(call_as(u, ada, "set_client_info", "[\"tester\"]"), IU_OK);
  assert_int_equal(count(u, "SELECT * FROM client_connection WHERE client_info = 'tester'"), 1);
  assert_non_null(strstr(last_event(u, "CLIENT_CONNECTED"), hex));
  session_end(ada);
  assert_string_equal(cell(u, "SELECT * FROM client_connection WHERE client_info = 'tester'", "status"), "\"disconnected\"");
  assert_non_null(strstr(last_event(u, "CLIENT_DISCONNECTED"), FORMAT(want, "{\"identity\":\"%s\",\"connection_id\":\"", hex)));
  /* the same identity again: one row */
  assert_int_equal(iu__engine_session(u->owner, identity, &ada, &u->err), IU_OK);
  assert_int_equal(count(u, "SELECT * FROM client_connection"), 2);
  session_end(ada);
}

static void client_info_has_a_limit(void **state) {
  universe *u = *state;
  char json[1100], info[1026];
  memset(info, 'i', 1025);
  info[1025] = '\0';
  assert_int_equal(call_as(u, u->owner, "set_client_info", FORMAT(json, "[\"%s\"]", info)), IU_E_VALIDATION);
  info[1024] = '\0';
  must(u, "set_client_info", FORMAT(json, "[\"%s\"]", info));
}

static void rows_of_clients_that_never_return_are_bounded(void **state) {
  universe *u = *state;
  for (int i = 0; i < 1300; i++) session_end(session(u));
  assert_in_range(count(u, "SELECT * FROM client_connection"), 1, 1100);
  assert_int_equal(count(u, "SELECT * FROM client_connection WHERE status = 'connected'"), 1);
}

static void initialisation_is_logged_once(void **state) {
  universe *u = *state;
  char hex[65], want[200];
  identity_hex(u->owner->identity, hex);
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'SYSTEM_INITIALIZED'"), 1);
  assert_string_equal(last_event(u, "SYSTEM_INITIALIZED"), FORMAT(want, "{\"schema_version\":\"1\",\"owner\":\"%s\"}", hex));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(all_operations_or_none), MODULE_TEST(rows_come_and_go_as_they_are),
    MODULE_TEST(a_feature_changed_inside_counts_at_once), MODULE_TEST(a_keyed_request_is_applied_once),
    MODULE_TEST(odd_request_keys), MODULE_TEST(requests_are_forgotten_after_a_day), MODULE_TEST(what_was_read_is_proven),
    MODULE_TEST(the_number_of_operations_is_limited), MODULE_TEST(configuration_is_kept), MODULE_TEST(records_compare_and_set),
    MODULE_TEST(migrations_are_recorded), MODULE_TEST(connections_come_and_go), MODULE_TEST(client_info_has_a_limit), MODULE_TEST(rows_of_clients_that_never_return_are_bounded),
    MODULE_TEST(initialisation_is_logged_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
