/* Relations: both ends, updates, deletion, and what happens to them when an entity goes. */
#include "module_fixture.h"

#define RELATE(from, to, id) "[\"" from "\",\"" to "\",\"KNOWS\"," LINK "," SOME("\"" id "\"") "]"

static void three_people(universe *u) {
  must(u, "create_entity", "[\"Person\"," PLAIN "," SOME("\"a\"") "]");
  must(u, "create_entity", "[\"Person\"," PLAIN "," SOME("\"b\"") "]");
  must(u, "create_entity", "[\"Person\"," PLAIN "," SOME("\"c\"") "]");
}

static void a_relation_joins_two_entities(void **state) {
  universe *u = *state;
  three_people(u);
  must(u, "create_relation", "[\"a\",\"b\",\"KNOWS\",{\"description\":{\"some\":\"old friends\"},\"strength\":0.9,\"bidirectional\":true,"
                             "\"tags\":[\"t\"],\"properties\":\"{\\\"since\\\":1843}\"}," SOME("\"r\"") "]");
  assert_string_equal(cell(u, "SELECT * FROM relation", "from_entity"), "\"a\"");
  assert_string_equal(cell(u, "SELECT * FROM relation", "to_entity"), "\"b\"");
  assert_string_equal(cell(u, "SELECT * FROM relation", "relation_type"), "\"KNOWS\"");
  assert_string_equal(cell(u, "SELECT * FROM relation", "metadata"),
                      "{\"description\":\"old friends\",\"strength\":0.9,\"bidirectional\":true,\"tags\":[\"t\"],"
                      "\"properties\":{\"since\":1843}}");
  assert_string_equal(last_event(u, "RELATION_CREATED"),
                      "{\"relation_id\":\"r\",\"from_entity\":\"a\",\"to_entity\":\"b\",\"relation_type\":\"KNOWS\"}");
}

static void an_id_is_made_when_none_is_given(void **state) {
  universe *u = *state;
  three_people(u);
  must(u, "create_relation", "[\"a\",\"b\",\"KNOWS\"," LINK "," NONE "]");
  must(u, "create_relation", "[\"a\",\"b\",\"KNOWS\"," LINK "," NONE "]");
  assert_int_equal(count(u, "SELECT * FROM relation"), 2);
}

static void both_ends_must_exist(void **state) {
  universe *u = *state;
  three_people(u);
  refused(u, IU_E_ENTITY_NOT_FOUND, "from_entity: no entity \"x\"", "create_relation", RELATE("x", "a", "r"));
  refused(u, IU_E_ENTITY_NOT_FOUND, "to_entity: no entity \"x\"", "create_relation", RELATE("a", "x", "r"));
  refused(u, IU_E_VALIDATION, "to_entity: \"\" is empty, expected 1 to 256 bytes of text", "create_relation", RELATE("a", "", "r"));
  must(u, "create_relation", RELATE("a", "b", "r"));
  refused(u, IU_E_CONFLICT, "id: relation \"r\" exists already", "create_relation", RELATE("a", "c", "r"));
  assert_int_equal(count(u, "SELECT * FROM relation"), 1);
}

static void strength_is_finite(void **state) {
  universe *u = *state;
  iu_buf args = {0};
  const uint64_t bad[] = {0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000};
  const char *const names[] = {"inf", "-inf", "nan"};
  char message[100];
  three_people(u);
  for (int i = 0; i < 3; i++) {
    iu__buf_reset(&args);
    iu__buf_put_bytes(&args, "a", 1);
    iu__buf_put_bytes(&args, "b", 1);
    iu__buf_put_bytes(&args, "R", 1);
    iu__buf_put_u8(&args, 1);
    iu__buf_put_u64(&args, bad[i]);
    iu__buf_put_u8(&args, 0);
    iu__buf_put_u32(&args, 0);
    iu__buf_put_bytes(&args, "", 0);
    iu__buf_put_u8(&args, 1);
    assert_int_equal(call_bytes(u, u->owner, "create_relation", args.data, args.len), IU_E_VALIDATION);
    assert_string_equal(u->err.message, FORMAT(message, "metadata.strength: %s, expected a finite number", names[i]));
  }
  iu__buf_free(&args);
}

static void an_update_says_what_changed(void **state) {
  universe *u = *state;
  three_people(u);
  must(u, "create_relation", RELATE("a", "b", "r"));
  must(u, "update_relation", "[\"r\",{\"description\":{\"none\":[]},\"strength\":0.25,\"bidirectional\":true,\"tags\":[],\"properties\":\"{}\"}]");
  assert_string_equal(last_event(u, "RELATION_UPDATED"),
                      "{\"relation_id\":\"r\",\"from_entity\":\"a\",\"to_entity\":\"b\",\"relation_type\":\"KNOWS\","
                      "\"changed_fields\":[\"strength\",\"bidirectional\"],"
                      "\"old_metadata\":{\"description\":null,\"strength\":1.0,\"bidirectional\":false,\"tags\":[],\"properties\":{}},"
                      "\"new_metadata\":{\"description\":null,\"strength\":0.25,\"bidirectional\":true,\"tags\":[],\"properties\":{}}}");
  assert_string_equal(cell(u, "SELECT * FROM relation", "from_entity"), "\"a\"");
  refused(u, IU_E_RELATION_NOT_FOUND, "id: no relation \"x\"", "update_relation", "[\"x\"," LINK "]");
}

static void a_relation_can_be_deleted(void **state) {
  universe *u = *state;
  three_people(u);
  must(u, "create_relation", RELATE("a", "b", "r"));
  must(u, "delete_relation", "[\"r\"]");
  assert_int_equal(count(u, "SELECT * FROM relation"), 0);
  assert_string_equal(last_event(u, "RELATION_DELETED"),
                      "{\"relation_id\":\"r\",\"from_entity\":\"a\",\"to_entity\":\"b\",\"relation_type\":\"KNOWS\"}");
  refused(u, IU_E_RELATION_NOT_FOUND, "id: no relation \"r\"", "delete_relation", "[\"r\"]");
}

static void a_related_entity_stays_unless_the_caller_cascades(void **state) {
  universe *u = *state;
  three_people(u);
  must(u, "create_relation", RELATE("a", "b", "ab"));
  must(u, "create_relation", RELATE("c", "a", "ca"));
  must(u, "create_relation", RELATE("a", "a", "aa"));
  must(u, "create_relation", RELATE("b", "c", "bc"));
  refused(u, IU_E_CONFLICT, "id: entity \"a\" still has relations: delete them first, or cascade", "delete_entity", "[\"a\",false]");
  refused(u, IU_E_CONFLICT, "id: entity \"c\" still has relations: delete them first, or cascade", "delete_entity", "[\"c\",false]");
  must(u, "delete_entity", "[\"a\",true]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 2);
  assert_string_equal(cell(u, "SELECT * FROM relation", "id"), "\"bc\"");
  assert_int_equal(count(u, "SELECT * FROM event_log WHERE event_type = 'RELATION_DELETED'"), 3);
  assert_non_null(strstr(last_event(u, "ENTITY_DELETED"), "\"relations_deleted\":3}"));
}

/* More rows than fit into one batch of a scan. */
static void a_cascade_over_many_relations(void **state) {
  universe *u = *state;
  char json[800], id[300];
  three_people(u);
  for (int i = 0; i < 2000; i++) {
    snprintf(id, sizeof id, "r%0200d", i);
    must(u, "create_relation", FORMAT(json, "[\"a\",\"b\",\"R\"," LINK ",{\"some\":\"%s\"}]", id));
  }
  must(u, "delete_entity", "[\"a\",true]");
  assert_int_equal(count(u, "SELECT * FROM relation"), 0);
  assert_non_null(strstr(last_event(u, "ENTITY_DELETED"), "\"relations_deleted\":2000}"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(a_relation_joins_two_entities), MODULE_TEST(an_id_is_made_when_none_is_given), MODULE_TEST(both_ends_must_exist),
    MODULE_TEST(strength_is_finite), MODULE_TEST(an_update_says_what_changed), MODULE_TEST(a_relation_can_be_deleted),
    MODULE_TEST(a_related_entity_stays_unless_the_caller_cascades), MODULE_TEST(a_cascade_over_many_relations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
