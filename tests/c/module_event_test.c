/* The event log: order, ids, cursors, retention; and row_history. */
#include "module_fixture.h"

#define HEAD "SELECT * FROM event_head WHERE id = 0"
#define HISTORY_HEAD "SELECT * FROM event_head WHERE id = 2"
#define PRUNE_ALL(limit) "[" NONE "," SOME("0") "," NONE "," NONE ",[]," limit "]"

static void publish(universe *u, int n) {
  for (int i = 0; i < n; i++) must(u, "publish_event", "[\"T\",\"s\",\"{\\\"n\\\":1}\"," NONE "]");
}

/* Sequences are 1..n without a gap, and the head knows count and bytes. */
static void check_log(universe *u, uint64_t first) {
  iu_rows *rows = rows_of(u, "SELECT * FROM event_log");
  uint64_t head, bytes = 0, n = rows->count;
  uint8_t *seen = calloc(1, n + 1);
  for (uint64_t i = 0; i < n; i++) {
    uint64_t s = strtoull(column_text(u, rows, i, "sequence"), NULL, 10);
    assert_in_range(s, first, first + n - 1);
    assert_int_equal(seen[s - first], 0);
    seen[s - first] = 1;
    bytes += rows->rows[i]->len;
  }
  free(seen);
  iu__rows_release(rows);
  head = number(u, HEAD, "sequence");
  assert_int_equal(head, first + n - 1);
  assert_int_equal(number(u, HEAD, "count"), n);
  assert_int_equal(number(u, HEAD, "bytes"), bytes);
}

static void events_have_a_gapless_sequence(void **state) {
  universe *u = *state;
  check_log(u, 1);
  publish(u, 50);
  refused(u, IU_E_VALIDATION, "event_type: \"\" is empty, expected 1 to 256 bytes of text", "publish_event", "[\"\",\"\",\"\"," NONE "]");
  refused(u, IU_E_VALIDATION, "operations[1] publish_event: data: \"{\" is not valid JSON at byte 1: a key was expected", "transact",
          "[[{\"PublishEvent\":[\"T\",\"\",\"1\"," NONE "]},{\"PublishEvent\":[\"T\",\"\",\"{\"," NONE "]}]," NONE "]");
  must(u, "create_entity", "[\"T\"," PLAIN "," NONE "]");
  must(u, "transact", "[[{\"PublishEvent\":[\"T\",\"\",\"1\"," NONE "]},{\"PublishEvent\":[\"T\",\"\",\"2\"," NONE "]}]," NONE "]");
  check_log(u, 1);
}

static void an_event_holds_what_was_published(void **state) {
  universe *u = *state;
  char hex[65], want[80];
  must(u, "publish_event", "[\"USER_ACTION\",\"auth\",\"{\\\"action\\\":\\\"login\\\"}\"," SOME("\"e\"") "]");
  identity_hex(u->owner->identity, hex);
  assert_string_equal(cell(u, "SELECT * FROM event_log WHERE event_id = 'e'", "actor"), FORMAT(want, "\"%s\"", hex));
  assert_string_equal(cell(u, "SELECT * FROM event_log WHERE event_id = 'e'", "source"), "\"auth\"");
  assert_string_equal(cell(u, "SELECT * FROM event_log WHERE event_id = 'e'", "data"), "\"{\\\"action\\\":\\\"login\\\"}\"");
  must(u, "publish_event", "[\"E\",\"\",\"\"," SOME("\"f\"") "]");
  assert_string_equal(cell(u, "SELECT * FROM event_log WHERE event_id = 'f'", "data"), "\"null\"");
  refused(u, IU_E_CONFLICT, "id: event \"e\" exists already", "publish_event", "[\"E\",\"\",\"\"," SOME("\"e\"") "]");
}

static void events_are_published_with_audit_off_too(void **state) {
  universe *u = *state;
  must(u, "update_config", "[\"enable_audit_log\",\"false\",\"\"]");
  publish(u, 3);
  check_log(u, 1);
}

static void a_cursor_goes_forward(void **state) {
  universe *u = *state;
  publish(u, 10);
  must(u, "advance_cursor", "[\"c\",5," NONE "]");
  must(u, "advance_cursor", "[\"c\",5," NONE "]");
  assert_int_equal(number(u, "SELECT * FROM event_cursor", "sequence"), 5);
  refused(u, IU_E_CONFLICT, "sequence: the cursor of \"c\" is at 5 already, 4 would go back", "advance_cursor", "[\"c\",4," NONE "]");
  refused(u, IU_E_CONFLICT, "expected: the cursor of \"c\" is at 5, expected 3", "advance_cursor", "[\"c\",6," SOME("3") "]");
  must(u, "advance_cursor", "[\"c\",2," SOME("5") "]"); /* a replay: back, when the caller knows where it is */
  refused(u, IU_E_VALIDATION, "sequence: 1000 is past the last event, expected at most 12", "advance_cursor", "[\"c\",1000," NONE "]");
  must(u, "advance_cursor", "[\"d\",1," SOME("0") "]");
}

static void the_oldest_events_go_first(void **state) {
  universe *u = *state;
  publish(u, 98); /* with SYSTEM_INITIALIZED and CLIENT_CONNECTED: 100 */
  must(u, "prune_events", "[" NONE "," SOME("40") "," NONE "," NONE ",[],0]");
  check_log(u, 61);
  must(u, "prune_events", "[" NONE "," SOME("0") "," NONE "," SOME("70") ",[],0]"); /* not past what is still needed */
  check_log(u, 71);
  must(u, "prune_events", PRUNE_ALL("5"));
  check_log(u, 76);
  must(u, "prune_events", "[" NONE "," NONE "," SOME("1000") "," NONE ",[],0]");
  assert_true(number(u, HEAD, "bytes") <= 1000);
  assert_true(number(u, HEAD, "count") > 0);
  must(u, "prune_events", PRUNE_ALL("0"));
  assert_int_equal(count(u, "SELECT * FROM event_log"), 0);
  assert_int_equal(number(u, HEAD, "bytes"), 0);
  publish(u, 2);
  check_log(u, 101);
}

static void pruning_by_age_and_type(void **state) {
  universe *u = *state;
  char json[200];
  publish(u, 10);
  must(u, "publish_event", "[\"KEEP\",\"\",\"\"," NONE "]");
  publish(u, 5);
  must(u, "prune_events", FORMAT(json, "[{\"some\":[%lld]}," NONE "," NONE "," NONE ",[\"T\"],0]", (long long)iu__clock_micros() + 1000));
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'T'"), 0);
  assert_int_equal(count(u, "SELECT * FROM event_log"), 3);
  assert_int_equal(number(u, HEAD, "count"), 3);
  must(u, "prune_events", "[{\"some\":[1]}," NONE "," NONE "," NONE ",[],0]"); /* nothing is that old */
  assert_int_equal(count(u, "SELECT * FROM event_log"), 3);
  refused(u, IU_E_VALIDATION, "event_types: expected none with max_count or max_bytes, which count all events", "prune_events",
          "[" NONE "," SOME("1") "," NONE "," NONE ",[\"T\"],0]");
  refused(u, IU_E_VALIDATION, "limit: 100001, expected at most 100000", "prune_events", PRUNE_ALL("100001"));
}

static void history_keeps_rows_as_they_were(void **state) {
  universe *u = *state;
  iu_rows *before;
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"old\"") "]"); /* from before history was on */
  must(u, "update_config", "[\"enable_row_history\",\"entity\",\"\"]");
  before = rows_of(u, "SELECT * FROM entity WHERE id = 'old'");
  must(u, "update_entity", "[\"old\",{\"name\":{\"some\":\"n\"},\"description\":" NONE ",\"tags\":[],\"properties\":\"\"}]");
  iu_rows *history = rows_of(u, "SELECT * FROM row_history");
  assert_int_equal(history->count, 1);
  iu_slice row = iu__bsatn_column(history->table->row, 6, history->rows[0]->data, history->rows[0]->len);
  assert_int_equal(row.len - 4, before->rows[0]->len);
  assert_memory_equal(row.p + 4, before->rows[0]->data, before->rows[0]->len);
  iu__rows_release(history);
  iu__rows_release(before);
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"new\"") "]");
  assert_string_equal(cell(u, "SELECT * FROM row_history WHERE row_key = 'new'", "change"), "\"insert\"");
  assert_string_equal(cell(u, "SELECT * FROM row_history WHERE row_key = 'new'", "row"), "\"\"");
  assert_string_equal(cell(u, "SELECT * FROM row_history WHERE row_key = 'new'", "key"), "\"entity:new:2\"");
  must(u, "create_relation", "[\"old\",\"new\",\"R\"," LINK "," SOME("\"r\"") "]"); /* not of relations */
  must(u, "delete_entity", "[\"new\",true]");
  assert_int_equal(count(u, "SELECT * FROM row_history"), 3);
  assert_int_equal(number(u, HISTORY_HEAD, "count"), 3);
  must(u, "update_config", "[\"enable_row_history\",\"false\",\"\"]");
  must(u, "delete_entity", "[\"old\",false]");
  assert_int_equal(count(u, "SELECT * FROM row_history"), 3);
  refused(u, IU_E_VALIDATION, "value: \"config\", expected \"false\" or some of \"entity,relation\" for \"enable_row_history\"", "update_config",
          "[\"enable_row_history\",\"config\",\"\"]");
}

static void history_is_pruned(void **state) {
  universe *u = *state;
  must(u, "update_config", "[\"enable_row_history\",\"entity,relation\",\"\"]");
  for (int i = 0; i < 20; i++) must(u, "create_entity", "[\"T\"," PLAIN "," NONE "]");
  must(u, "prune_history", "[" NONE "," SOME("5") "," NONE ",0]");
  assert_int_equal(count(u, "SELECT * FROM row_history"), 5);
  assert_int_equal(number(u, HISTORY_HEAD, "count"), 5);
  assert_int_equal(number(u, HISTORY_HEAD, "sequence"), 20);
  must(u, "prune_history", "[" NONE "," SOME("0") "," NONE ",2]");
  assert_int_equal(count(u, "SELECT * FROM row_history"), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(events_have_a_gapless_sequence), MODULE_TEST(an_event_holds_what_was_published),
    MODULE_TEST(events_are_published_with_audit_off_too), MODULE_TEST(a_cursor_goes_forward), MODULE_TEST(the_oldest_events_go_first),
    MODULE_TEST(pruning_by_age_and_type), MODULE_TEST(history_keeps_rows_as_they_were), MODULE_TEST(history_is_pruned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
