/* Entities: creation, update, deletion, what is refused and what the audit log says. */
#include "module_fixture.h"

static void an_entity_is_stored_with_its_times(void **state) {
  universe *u = *state;
  must(u, "create_entity", "[\"Person\",{\"name\":{\"some\":\"Ada\"},\"description\":{\"none\":[]},\"tags\":[\"test\"],"
                           "\"properties\":\"{\\\"age\\\":36}\"}," SOME("\"ada\"") "]");
  assert_string_equal(cell(u, "SELECT * FROM entity WHERE id = 'ada'", "entity_type"), "\"Person\"");
  assert_string_equal(cell(u, "SELECT * FROM entity WHERE id = 'ada'", "metadata"),
                      "{\"name\":\"Ada\",\"description\":null,\"tags\":[\"test\"],\"properties\":{\"age\":36}}");
  assert_true(number(u, "SELECT * FROM entity WHERE id = 'ada'", "created_at") > 0);
  assert_int_equal(number(u, "SELECT * FROM entity WHERE id = 'ada'", "created_at"),
                   number(u, "SELECT * FROM entity WHERE id = 'ada'", "updated_at"));
  assert_string_equal(last_event(u, "ENTITY_CREATED"), "{\"entity_id\":\"ada\",\"entity_type\":\"Person\",\"name\":\"Ada\"}");
  assert_string_equal(cell(u, "SELECT * FROM event_log WHERE event_type = 'ENTITY_CREATED'", "source"), "\"ada\"");
}

static void empty_properties_become_an_empty_object(void **state) {
  universe *u = *state;
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  assert_non_null(strstr(cell(u, "SELECT * FROM entity", "metadata"), "\"properties\":{}"));
}

static void an_id_is_made_when_none_is_given(void **state) {
  universe *u = *state;
  iu_rows *rows;
  char previous[64] = "";
  for (int i = 0; i < 100; i++) must(u, "create_entity", "[\"T\"," PLAIN "," NONE "]");
  rows = rows_of(u, "SELECT * FROM entity");
  assert_int_equal(rows->count, 100);
  for (uint64_t i = 0; i < rows->count; i++) {
    const char *id = column_text(u, rows, i, "id");
    assert_int_equal(strlen(id), 38);
    assert_int_equal(id[15], '7'); /* version */
    assert_non_null(strchr("89ab", id[20]));
    assert_true(strcmp(previous, id) != 0);
    snprintf(previous, sizeof previous, "%s", id);
  }
  iu__rows_release(rows);
  assert_int_equal(number(u, "SELECT * FROM event_head WHERE id = 1", "sequence"), 100);
}

static void made_ids_differ_inside_one_call(void **state) {
  universe *u = *state;
  must(u, "transact", "[[{\"CreateEntity\":[\"T\"," PLAIN "," NONE "]},{\"CreateEntity\":[\"T\"," PLAIN "," NONE "]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
}

static void an_id_is_taken_once(void **state) {
  universe *u = *state;
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  refused(u, IU_E_CONFLICT, "id: entity \"e\" exists already", "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  /* the very same row in the same instant is no exception */
  refused(u, IU_E_CONFLICT, "operations[1] create_entity: id: entity \"f\" exists already", "transact",
          "[[{\"CreateEntity\":[\"T\"," PLAIN "," SOME("\"f\"") "]},{\"CreateEntity\":[\"T\"," PLAIN "," SOME("\"f\"") "]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
}

static void an_update_keeps_what_is_not_metadata(void **state) {
  universe *u = *state;
  uint64_t created;
  must(u, "create_entity", "[\"T\",{\"name\":{\"some\":\"a\"},\"description\":{\"none\":[]},\"tags\":[\"x\"],\"properties\":\"{}\"}," SOME("\"e\"") "]");
  created = number(u, "SELECT * FROM entity", "created_at");
  must(u, "update_entity", "[\"e\",{\"name\":{\"some\":\"b\"},\"description\":{\"some\":\"d\"},\"tags\":[\"x\"],\"properties\":\"{\\\"n\\\":1}\"}]");
  assert_int_equal(number(u, "SELECT * FROM entity", "created_at"), created);
  assert_true(number(u, "SELECT * FROM entity", "updated_at") >= created);
  assert_string_equal(cell(u, "SELECT * FROM entity", "entity_type"), "\"T\"");
  assert_string_equal(last_event(u, "ENTITY_UPDATED"),
                      "{\"entity_id\":\"e\",\"entity_type\":\"T\",\"changed_fields\":[\"name\",\"description\",\"properties\"],"
                      "\"old_metadata\":{\"name\":\"a\",\"description\":null,\"tags\":[\"x\"],\"properties\":{}},"
                      "\"new_metadata\":{\"name\":\"b\",\"description\":\"d\",\"tags\":[\"x\"],\"properties\":{\"n\":1}}}");
}

static void a_deleted_entity_is_gone(void **state) {
  universe *u = *state;
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  must(u, "delete_entity", "[\"e\",false]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 0);
  assert_string_equal(last_event(u, "ENTITY_DELETED"),
                      "{\"entity_id\":\"e\",\"entity_type\":\"T\",\"metadata\":{\"name\":null,\"description\":null,\"tags\":[],\"properties\":{}},"
                      "\"relations_deleted\":0}");
}

static void a_missing_entity_is_not_found(void **state) {
  universe *u = *state;
  refused(u, IU_E_ENTITY_NOT_FOUND, "id: no entity \"x\"", "update_entity", "[\"x\"," PLAIN "]");
  refused(u, IU_E_ENTITY_NOT_FOUND, "id: no entity \"x\"", "delete_entity", "[\"x\",true]");
}

#define META(fields) "{\"name\":{\"none\":[]},\"description\":{\"none\":[]}," fields "}"

static void bad_values_are_named(void **state) {
  universe *u = *state;
  char json[4096], long_id[300], message[600];
  refused(u, IU_E_VALIDATION, "entity_type: \"\" is empty, expected 1 to 256 bytes of text", "create_entity", "[\"\"," PLAIN "," NONE "]");
  refused(u, IU_E_VALIDATION, "id: \"\" is empty, expected 1 to 256 bytes of text", "create_entity", "[\"T\"," PLAIN "," SOME("\"\"") "]");
  refused(u, IU_E_VALIDATION, "id: \"a\\x0ab\" has a control character at byte 1, expected none", "create_entity",
          "[\"T\"," PLAIN "," SOME("\"a\\nb\"") "]");
  refused(u, IU_E_VALIDATION, "metadata.tags: \"\" is empty, expected 1 to 256 bytes of text", "create_entity",
          "[\"T\"," META("\"tags\":[\"a\",\"\"],\"properties\":\"\"") "," NONE "]");
  refused(u, IU_E_VALIDATION, "metadata.properties: \"[1]\" is not a JSON object", "create_entity",
          "[\"T\"," META("\"tags\":[],\"properties\":\"[1]\"") "," NONE "]");
  refused(u, IU_E_VALIDATION, "metadata.properties: \"{\\\"a\\\":}\" is not valid JSON at byte 5: a value was expected", "create_entity",
          "[\"T\"," META("\"tags\":[],\"properties\":\"{\\\"a\\\":}\"") "," NONE "]");
  memset(long_id, 'x', 257);
  long_id[257] = '\0';
  snprintf(message, sizeof message, "id: \"%.64s...\" has 257 bytes, expected at most 256", long_id);
  refused(u, IU_E_VALIDATION, message, "update_entity", FORMAT(json, "[\"%s\"," PLAIN "]", long_id));
  long_id[256] = '\0';
  must(u, "create_entity", FORMAT(json, "[\"T\"," PLAIN ",{\"some\":\"%s\"}]", long_id));
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
}

static void a_quoted_value_is_cut_at_a_character(void **state) {
  universe *u = *state;
  char id[400] = "", json[600], message[600];
  for (int i = 0; i < 129; i++) strcat(id, "\xc3\xa9"); /* 258 bytes */
  snprintf(message, sizeof message, "id: \"%.64s...\" has 258 bytes, expected at most 256", id);
  refused(u, IU_E_VALIDATION, message, "delete_entity", FORMAT(json, "[\"%s\",false]", id));
  memmove(id + 1, id, strlen(id) + 1);
  id[0] = 'a'; /* now byte 64 is in the middle of a character */
  snprintf(message, sizeof message, "id: \"%.63s...\" has 259 bytes, expected at most 256", id);
  refused(u, IU_E_VALIDATION, message, "delete_entity", FORMAT(json, "[\"%s\",false]", id));
}

static void tags_have_a_limit(void **state) {
  universe *u = *state;
  iu_buf json = {0};
  for (int tags = 1024; tags <= 1025; tags++) {
    iu__buf_reset(&json);
    iu__buf_put_str(&json, "[\"T\",{\"name\":" NONE ",\"description\":" NONE ",\"tags\":[\"t\"");
    for (int i = 1; i < tags; i++) iu__buf_put_str(&json, ",\"t\"");
    iu__buf_put_str(&json, "],\"properties\":\"\"}," NONE "]");
    iu__buf_put_u8(&json, 0);
    if (tags == 1024) must(u, "create_entity", (char *)json.data);
    else refused(u, IU_E_VALIDATION, "metadata.tags: 1025 tags, expected at most 1024", "create_entity", (char *)json.data);
  }
  iu__buf_free(&json);
}

static void texts_have_a_limit(void **state) {
  universe *u = *state;
  size_t limit = 65536;
  char *text = malloc(limit + 2), *json = malloc(limit + 300);
  memset(text, 'x', limit + 1);
  text[limit + 1] = '\0';
  snprintf(json, limit + 300, "[\"T\",{\"name\":" NONE ",\"description\":{\"some\":\"%s\"},\"tags\":[],\"properties\":\"\"}," NONE "]", text);
  assert_int_equal(call_as(u, u->owner, "create_entity", json), IU_E_VALIDATION);
  assert_non_null(strstr(u->err.message, "metadata.description: \"xxx"));
  assert_non_null(strstr(u->err.message, "...\" has 65537 bytes, expected at most 65536"));
  text[limit] = '\0';
  snprintf(json, limit + 300, "[\"T\",{\"name\":" NONE ",\"description\":{\"some\":\"%s\"},\"tags\":[],\"properties\":\"\"}," NONE "]", text);
  must(u, "create_entity", json);
  free(text);
  free(json);
}

static void audit_can_be_switched_off_and_on(void **state) {
  universe *u = *state;
  must(u, "update_config", "[\"enable_audit_log\",\"false\",\"\"]");
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"a\"") "]");
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'ENTITY_CREATED'"), 0);
  must(u, "update_config", "[\"enable_audit_log\",\"true\",\"\"]");
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"b\"") "]");
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'ENTITY_CREATED'"), 1);
  refused(u, IU_E_VALIDATION, "value: \"no\", expected \"true\" or \"false\" for \"enable_audit_log\"", "update_config",
          "[\"enable_audit_log\",\"no\",\"\"]");
}

static void large_metadata_is_not_repeated_in_the_log(void **state) {
  universe *u = *state;
  size_t big = (1u << 20) + 100;
  char *json = malloc(big + 300), *fill = malloc(big + 1);
  memset(fill, 'x', big);
  fill[big] = '\0';
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  snprintf(json, big + 300, "[\"e\"," META("\"tags\":[],\"properties\":\"{\\\"a\\\":\\\"%s\\\"}\"") "]", fill);
  must(u, "update_entity", json);
  assert_non_null(strstr(last_event(u, "ENTITY_UPDATED"), "\"new_metadata\":null"));
  free(json);
  free(fill);
}

/* An event's data can always be read back: it never nests deeper than properties may. */
static void deep_metadata_is_not_repeated_in_the_log(void **state) {
  universe *u = *state;
  char json[2000], deep[1100];
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  for (int depth = 510; depth <= 512; depth++) {
    memset(deep, '[', 511);
    memset(deep + depth - 1, ']', 511);
    deep[2 * (depth - 1)] = '\0';
    must(u, "update_entity", FORMAT(json, "[\"e\"," META("\"tags\":[],\"properties\":\"{\\\"[\\\":%s}\"") "]", deep));
    assert_int_equal(strstr(last_event(u, "ENTITY_UPDATED"), "\"new_metadata\":null") == NULL, depth == 510);
    assert_int_equal(iu__json_check(u->text.data, strlen((char *)u->text.data), &u->err), IU_OK);
  }
}

static void a_failed_call_leaves_nothing(void **state) {
  universe *u = *state;
  uint64_t events = count(u, "SELECT * FROM event_log"), head = number(u, "SELECT * FROM event_head WHERE id = 0", "sequence");
  refused(u, IU_E_ENTITY_NOT_FOUND, "operations[1] delete_entity: id: no entity \"x\"", "transact",
          "[[{\"CreateEntity\":[\"T\"," PLAIN "," SOME("\"e\"") "]},{\"DeleteEntity\":[\"x\",false]}]," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 0);
  assert_int_equal(count(u, "SELECT * FROM event_log"), events);
  assert_int_equal(number(u, "SELECT * FROM event_head WHERE id = 0", "sequence"), head);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(an_entity_is_stored_with_its_times), MODULE_TEST(empty_properties_become_an_empty_object),
    MODULE_TEST(an_id_is_made_when_none_is_given), MODULE_TEST(made_ids_differ_inside_one_call), MODULE_TEST(an_id_is_taken_once),
    MODULE_TEST(an_update_keeps_what_is_not_metadata), MODULE_TEST(a_deleted_entity_is_gone), MODULE_TEST(a_missing_entity_is_not_found),
    MODULE_TEST(bad_values_are_named), MODULE_TEST(a_quoted_value_is_cut_at_a_character), MODULE_TEST(tags_have_a_limit), MODULE_TEST(texts_have_a_limit),
    MODULE_TEST(audit_can_be_switched_off_and_on), MODULE_TEST(large_metadata_is_not_repeated_in_the_log), MODULE_TEST(deep_metadata_is_not_repeated_in_the_log),
    MODULE_TEST(a_failed_call_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
